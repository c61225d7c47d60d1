/* An error that can be read, written anew reads the same and is no longer than before and a bit. */
#include "fuzz.h"
#include "wire/kitexpb.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text, text2;
	int32_t id, id2;
	uint8_t *room;
	struct writer w;

	if (!kitexpb_error_read(slice_of(data, size), &text, &id))
		return 0;
	must(text.len <= size);
	room = malloc(text.len + 32);
	must(room != NULL);
	w = writer_of(room, text.len + 32);
	kitexpb_error_write(&w, text, id);
	must(!w.bad);
	must(kitexpb_error_read(writer_slice(&w), &text2, &id2));
	must(id == id2 && slice_eq(text, text2));
	free(room);
	return 0;
}
