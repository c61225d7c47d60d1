/*
 * The first byte says what the others are. A stream of messages is walked in pieces as it is in
 * one; values that can be read, written anew read the same.
 */
#include "fuzz.h"
#include "wire/grpc.h"

#define LIMIT 4096u

/* Everything a walk says, summed over all pieces; it stops where the walk does. */
struct walked {
	enum wire_result result;
	uint64_t n, bytes;
	bool is_between, is_compressed;
};

static struct walked walk_in(struct slice in, size_t step)
{
	struct walked w = {.result = WIRE_OK};
	struct grpc_walk walk;
	struct grpc_ended ended;
	struct wire_note note = {0};

	grpc_walk_init(&walk, LIMIT);
	while (in.len && w.result == WIRE_OK) {
		w.result = grpc_walk(&walk, slice_first(in, step), &ended, &note);
		w.n += ended.n;
		w.bytes += ended.bytes;
		in = slice_from(in, step);
	}
	must(w.result == WIRE_OK || note.why != NULL);
	w.is_between = grpc_walk_is_between(&walk);
	w.is_compressed = walk.is_compressed;
	return w;
}

static void fuzz_messages(struct slice in)
{
	struct walked whole = walk_in(in, in.len);

	for (size_t step = 1; step <= 7; step++) {
		struct walked w = walk_in(in, step);

		must(w.result == whole.result && w.n == whole.n && w.bytes == whole.bytes);
		must(w.is_between == whole.is_between && w.is_compressed == whole.is_compressed);
	}
	must(whole.bytes + whole.n * GRPC_PREFIX <= in.len);
}

static void fuzz_timeout(struct slice in)
{
	char room[GRPC_TIMEOUT_ROOM];
	usec_t timeout = grpc_timeout_read(in), back;

	if (timeout == USEC_NONE)
		return;
	must(timeout > 0 && timeout <= GRPC_TIMEOUT_MAX);
	back = grpc_timeout_read(grpc_timeout_write(timeout, room));
	must(back >= timeout && back - timeout <= timeout / 1000);
}

static void fuzz_message(struct slice in)
{
	size_t size = 3 * in.len + 1;
	uint8_t *coded = malloc(size), *plain = malloc(size);
	struct writer c, p;

	must(coded && plain);
	p = writer_of(plain, in.len);
	grpc_message_decode(&p, in); /* whatever it is, it is no longer then */
	must(!p.bad);
	c = writer_of(coded, 3 * in.len);
	grpc_message_encode(&c, in);
	must(!c.bad);
	p = writer_of(plain, in.len);
	grpc_message_decode(&p, writer_slice(&c));
	must(!p.bad && slice_eq(writer_slice(&p), in));
	free(coded);
	free(plain);
}

static void fuzz_binary(struct slice in)
{
	size_t size = 2 * in.len + 4;
	uint8_t *coded = malloc(size), *plain = malloc(size);
	struct writer c, p;

	must(coded && plain);
	p = writer_of(plain, in.len);
	if (grpc_binary_decode(&p, in))
		must(!p.bad);
	c = writer_of(coded, size);
	grpc_binary_encode(&c, in);
	must(!c.bad);
	p = writer_of(plain, in.len);
	must(grpc_binary_decode(&p, writer_slice(&c)));
	must(!p.bad && slice_eq(writer_slice(&p), in));
	free(coded);
	free(plain);
}

static void fuzz_names(struct slice in)
{
	struct grpc_path path;
	uint32_t status;

	grpc_content_type(in);
	if (grpc_status_read(in, &status))
		must(status <= INT32_MAX);
	if (!grpc_path_split(in, &path))
		return;
	must(path.method.len && path.name.len && path.name.len <= path.service.len);
	must(path.service.len + path.method.len + 1 <= in.len);
	must(memchr(path.method.data, '/', path.method.len) == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const parts[])(struct slice) = {
	    fuzz_messages, fuzz_timeout, fuzz_message, fuzz_binary, fuzz_names};

	if (size)
		parts[data[0] % 5](slice_of(data + 1, size - 1));
	return 0;
}
