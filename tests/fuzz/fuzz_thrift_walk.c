/*
 * However the bytes are cut, a walk comes to the same end. The first byte of the input says how;
 * the rest is walked, and read as a message.
 */
#include "base/rng.h"
#include "fuzz.h"
#include "wire/thrift.h"

struct outcome {
	enum wire_result result;
	size_t used;
	const char *why;
};

static struct outcome walk(struct slice in, uint8_t how)
{
	struct outcome out = {.result = WIRE_MORE};
	struct thrift_walk w;
	struct wire_note note = {0};
	struct rng rng;
	size_t used;

	rng_init(&rng, how);
	thrift_walk_init(&w);
	do {
		struct slice rest = slice_from(in, out.used);
		struct slice piece = how ? slice_first(rest, rng_below(&rng, how) + 1) : rest;

		out.result = thrift_walk(&w, piece, &used, &note);
		must(used <= piece.len);
		must(out.result != WIRE_MORE || (used == piece.len && note.need > 0));
		out.used += used;
	} while (out.result == WIRE_MORE && out.used < in.len);
	out.why = out.result == WIRE_BAD ? note.why : NULL;
	must(out.result != WIRE_BAD || out.why);
	return out;
}

static void check_head(struct slice in)
{
	struct thrift_head head;
	struct wire_note note = {0};
	enum wire_result result = thrift_head_read(in, &head, &note);

	must(result != WIRE_TOO_LARGE);
	must(result != WIRE_MORE || note.need > in.len);
	if (result != WIRE_OK)
		return;
	must(head.len <= in.len && head.method.len <= THRIFT_METHOD_MAX);
	must(head.method.data == in.data + 8 && head.len == 12 + head.method.len);
	must(thrift_head_read(slice_first(in, head.len - 1), &head, &note) == WIRE_MORE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_from(slice_of(data, size), 1);
	struct outcome whole, parts;

	if (size == 0)
		return 0;
	check_head(in);
	whole = walk(in, 0);
	parts = walk(in, data[0]);
	must(whole.result == parts.result && whole.used == parts.used && whole.why == parts.why);
	return 0;
}
