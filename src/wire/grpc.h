/*
 * gRPC apart from HTTP/2: length-prefixed messages, the values of its header fields, and its status
 * codes. Which fields stand in which block is not known here.
 * Source: gRPC over HTTP/2 (grpc/doc/PROTOCOL-HTTP2.md); kitex pkg/remote/trans/nphttp2.
 */
#ifndef BRIDLE_WIRE_GRPC_H
#define BRIDLE_WIRE_GRPC_H

#include "base/clock.h"
#include "base/cursor.h"
#include "wire/wire.h"

#define GRPC_PREFIX 5u /* before each message: whether it is compressed, its length */

/* Status codes. Source: grpc/doc/statuscodes.md. */
enum grpc_status {
	GRPC_OK = 0,
	GRPC_CANCELLED = 1,
	GRPC_UNKNOWN = 2,
	GRPC_DEADLINE_EXCEEDED = 4,
	GRPC_PERMISSION_DENIED = 7,
	GRPC_RESOURCE_EXHAUSTED = 8,
	GRPC_UNIMPLEMENTED = 12,
	GRPC_INTERNAL = 13,
	GRPC_UNAVAILABLE = 14,
	GRPC_UNAUTHENTICATED = 16,
};

/* ---- messages ---- */

/* A walk over one direction of a call, fed in pieces of any size. */
struct grpc_walk {
	uint64_t limit;  /* of one message, without its prefix */
	uint32_t length; /* of the present message */
	uint32_t left;   /* bytes of it still to come */
	uint8_t prefix[GRPC_PREFIX];
	uint8_t n_prefix;   /* bytes of it that are here; all while its message is coming in */
	bool is_compressed; /* a message had the flag; never taken back */
};

/* Messages that ended in a piece. */
struct grpc_ended {
	unsigned n;
	uint64_t bytes; /* of all of them, without prefixes */
};

void grpc_walk_init(struct grpc_walk *walk, uint64_t limit);
/*
 * Takes all of @in. WIRE_OK: @ended is filled. WIRE_BAD: a flag that is neither 0 nor 1.
 * WIRE_TOO_LARGE: a message longer than the limit, as soon as its prefix tells.
 */
enum wire_result grpc_walk(
    struct grpc_walk *walk, struct slice in, struct grpc_ended *ended, struct wire_note *note);
/* No message is partly here: the direction may end. */
static inline bool grpc_walk_is_between(const struct grpc_walk *walk)
{
	return walk->n_prefix == 0;
}

/* The prefix of a message that is not compressed. */
void grpc_prefix_write(uint8_t prefix[GRPC_PREFIX], uint32_t length);

/* ---- values of header fields ---- */

#define GRPC_TIMEOUT_MAX  (86400000 * USEC_S) /* a thousand days; longer ones are cut */
#define GRPC_TIMEOUT_ROOM 9u                  /* eight digits and a unit */

/* grpc-timeout. USEC_NONE for what is no timeout, and for zero. */
usec_t grpc_timeout_read(struct slice text);
/* In the finest unit that eight digits can hold, rounded up: a view into @room. */
struct slice grpc_timeout_write(usec_t timeout, char room[GRPC_TIMEOUT_ROOM]);

/* grpc-message: what it says (at most as long as @text; escapes that are none stay), and back (at
 * most three times as long). */
void grpc_message_decode(struct writer *w, struct slice text);
void grpc_message_encode(struct writer *w, struct slice text);

/* Fields whose names end in "-bin" carry bytes, in base64 without padding; padding is read, too. */
bool grpc_is_binary(struct slice name);
void grpc_binary_encode(struct writer *w, struct slice bytes);
/* At most as long as @text. False when it is no base64. */
bool grpc_binary_decode(struct writer *w, struct slice text);

enum grpc_content { GRPC_CONTENT_NONE, GRPC_CONTENT_PROTOBUF, GRPC_CONTENT_THRIFT };

/* What content-type says; without regard for what is meant by any subtype but "thrift". */
enum grpc_content grpc_content_type(struct slice value);

struct grpc_path {
	struct slice service; /* with its package: "echo.v1.Echo" */
	struct slice name;    /* without: "Echo"; all that Kitex looks at */
	struct slice method;
};

/* Splits "/package.Service/Method" into views. False when there is no service or no method. */
bool grpc_path_split(struct slice path, struct grpc_path *parts);

/* grpc-status: a number, also one that has no name here (Kitex sends more). */
bool grpc_status_read(struct slice text, uint32_t *status);
/* The status of a reply that has none, from its :status. */
enum grpc_status grpc_status_of_http(unsigned http_status);

#endif
