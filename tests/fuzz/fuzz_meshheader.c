/* A mesh header's entries fill it to its last byte, or it is bad. */
#include "fuzz.h"
#include "wire/ttheader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct meshheader h;
	struct wire_note note = {0};
	struct ttheader_iter it;
	struct ttheader_entry e;
	enum wire_result result = meshheader_read(slice_of(data, size), 4096, &h, &note);
	size_t end = 2;

	must(result != WIRE_MORE || note.need > size);
	must(result == WIRE_OK || result == WIRE_MORE || note.why);
	if (result != WIRE_OK)
		return 0;
	must(h.header_len <= size && h.sections.len + 4 == h.header_len);
	it = ttheader_entries_mesh(h.sections);
	while (ttheader_next(&it, &e)) {
		must(e.kind == TTHEADER_STR && e.offset == end);
		must(e.len == 4 + e.key.len + e.value.len);
		end += e.len;
		must(end <= h.sections.len);
	}
	must(it.why || end == h.sections.len);
	return 0;
}
