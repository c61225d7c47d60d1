/* What the walk takes for a struct, the reader of exceptions takes, too; and it reads what it
 * wrote. */
#include "fuzz.h"
#include "wire/thrift.h"

static void check_walk(struct slice body, bool good)
{
	struct thrift_walk walk;
	struct wire_note note;
	size_t used;

	thrift_walk_init(&walk);
	must(good || thrift_walk(&walk, body, &used, &note) != WIRE_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice body = slice_of(data, size), text, text2;
	int32_t id, id2;
	bool good = thrift_exception_read(body, &text, &id);
	uint8_t *room;
	struct writer w;

	check_walk(body, good);
	if (!good)
		return 0;
	must(text.len <= size);
	room = malloc(text.len + 15);
	must(room != NULL);
	w = writer_of(room, text.len + 15);
	thrift_exception_write(&w, text, id);
	must(!w.bad && writer_len(&w) == text.len + 15);
	must(thrift_exception_read(writer_slice(&w), &text2, &id2));
	must(id == id2 && slice_eq(text, text2));
	free(room);
	return 0;
}
