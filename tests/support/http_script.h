/*
 * An HTTP server that does as a test tells it, right or wrong: it lives in the test's own loop, so
 * nothing happens between two turns. It reads requests; every byte of the answers is the test's.
 */
#ifndef BRIDLE_TESTS_HTTP_SCRIPT_H
#define BRIDLE_TESTS_HTTP_SCRIPT_H

#include "base/address.h"
#include "base/slice.h"

struct loop;
struct script;
struct script_peer; /* one connection; stays valid until the script is freed */
struct ssl_ctx_st;

struct script_request {
	const char *method, *target; /* valid in the callback */
	struct slice head, body;     /* the same */
};
typedef void (*script_fn)(
    void *arg, struct script_peer *peer, const struct script_request *request);

/* Is it a request of @method whose target has @part? */
bool script_asks(const struct script_request *request, const char *method, const char *part);

/* Listens on a port of the loopback address. @tls: NULL for plain; borrowed. */
struct script *script_new(
    struct loop *loop, struct ssl_ctx_st *tls, script_fn on_request, void *arg);
void script_free(struct script **script);
const struct address *script_address(const struct script *script);
/* Nobody can connect any more, or again, on the same port. */
void script_deaf(struct script *script);
void script_listen(struct script *script);
unsigned script_accepted(const struct script *script); /* connections so far */
unsigned script_open(const struct script *script);     /* connections now */
/* All connections, at once. */
void script_reset_all(struct script *script);

bool script_is_open(const struct script_peer *peer);
void script_send(struct script_peer *peer, struct slice bytes);
void script_send_text(struct script_peer *peer, const char *text);
/* A byte a millisecond. */
void script_drip(struct script_peer *peer, const char *text);
/* 200 and so on, with a right length. */
void script_answer(struct script_peer *peer, int status, const char *body);
/* @headers: whole lines, each with its end. */
void script_answer_with(
    struct script_peer *peer, int status, const char *headers, const char *body);
/* The head of a chunked answer, one chunk, the end. */
void script_stream(struct script_peer *peer);
void script_chunk(struct script_peer *peer, const char *text);
void script_stream_end(struct script_peer *peer);
/* When all has been sent. */
void script_close(struct script_peer *peer);
void script_reset(struct script_peer *peer);

#endif
