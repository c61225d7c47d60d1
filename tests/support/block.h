/*
 * Header blocks of HTTP/2 for tests: messages made of lines "name: value\n", as a codec would give
 * them out, and lists of fields written down in the same way.
 */
#ifndef BRIDLE_TESTS_BLOCK_H
#define BRIDLE_TESTS_BLOCK_H

#include "rpc/grpc_head.h"

struct block {
	struct rpc_message message; /* views into the text */
	char *text;                 /* owned */
	struct rpc_field *fields;   /* owned */
};

/* ":path", ":authority" and ":status" go to their places; what the others say is noted. The payload
 * is what content-type says, but Thrift without one. */
void block_make(struct block *b, enum rpc_kind kind, const char *lines);
void block_free(struct block *b);

/* Valid until the next call. */
const char *block_text(const struct field_list *list);

/* One gRPC message with its prefix; free with frame_free. */
struct slice block_body(uint8_t flag, struct slice message);

#endif
