#ifndef EXAMPLES_H2_H
#define EXAMPLES_H2_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <nghttp2/nghttp2.h>

/*
 * What both sides of gRPC need of HTTP/2: a session on a socket, fields, and the lengths before
 * messages.
 */

#define H2_FIELDS_MAX 16u

/* A session and its socket; whoever made them ends them. */
struct h2 {
	nghttp2_session *session;
	int fd;
	const uint8_t *rest; /* what nghttp2 gave to send and the socket has not taken; nghttp2's */
	size_t rest_len;
};

/*
 * Sends what there is to send, then waits for the socket for at most @wait_ms (-1: without an end)
 * and reads. False when the connection is over, or nothing came in that time.
 */
bool h2_turn(struct h2 *h2, int wait_ms);

/* Fields that are kept: texts of their own. */
struct h2_fields {
	struct {
		char *name, *value;
	} each[H2_FIELDS_MAX];
	size_t n;
};

/* Keeps a field; one too many is left out. */
void h2_fields_add(struct h2_fields *fields, const uint8_t *name, size_t name_len,
    const uint8_t *value, size_t len);
const char *h2_fields_value(const struct h2_fields *fields, const char *name);
void h2_fields_free(struct h2_fields *fields);

/* One field for nghttp2, which copies it. */
nghttp2_nv h2_nv(const char *name, const char *value);

/* gRPC: each message has a flag and a length of four bytes before it. */
#define H2_PREFIX 5u

/* Finds messages in a body that comes in pieces of any size. */
struct h2_messages {
	size_t n_prefix; /* so many bytes of the prefix have come */
	size_t size;     /* what it says */
	size_t left;     /* so many of these are still to come */
};

/*
 * Goes over the next bytes of a body, up to the end of the first message in them. @used says how
 * many bytes that was. Returns whether that message is whole; until then ask again with what is
 * left of the bytes.
 */
bool h2_messages_next(struct h2_messages *messages, const uint8_t *bytes, size_t len, size_t *used);

#endif
