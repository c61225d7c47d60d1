/*
 * What the parts of the HTTP/2 codec share: codec_h2.c (the session, and giving out),
 * codec_h2_read.c and codec_h2_write.c (the session's callbacks for what comes and what goes),
 * codec_h2_calls.c (what the proxy asks for). Nobody else knows nghttp2. Private to these.
 */
#ifndef BRIDLE_RPC_CODEC_H2_H
#define BRIDLE_RPC_CODEC_H2_H

#include <nghttp2/nghttp2.h>

#include "rpc/codec_ops.h"
#include "rpc/h2_flood.h"
#include "rpc/h2_head.h"
#include "rpc/h2_memory.h"
#include "rpc/h2_stream.h"

#define H2_CALL_WINDOW    65535      /* of a call: what the protocol starts with */
#define H2_REPLY_WINDOW   (24 << 10) /* of a reply, to begin with */
#define H2_STATUS_INTERIM 200u       /* below: another head follows */

struct h2 {
	struct codec *codec;      /* whose state this is: borrowed */
	nghttp2_session *session; /* owned */
	bool is_server;
	uint32_t in_flight;      /* downstream: streams allowed at once */
	uint32_t n_open;         /* upstream: streams begun and not closed */
	struct h2_memory memory; /* of the session */
	struct h2_streams streams;
	struct h2_events events;
	struct h2_heads heads;
	struct h2_flood flood;
	size_t held; /* bytes that wait in streams */

	bool has_input, has_settings;
	bool settings_sent;      /* our own, which go first */
	bool is_dying;           /* the session has ended; `why` will be given out, or was */
	bool is_dead;            /* it was */
	uint32_t block_of;       /* the stream of the present block */
	struct rpc_status *why;  /* owned; NULL: nothing yet */
	struct h2_strike strike; /* a limit that was passed while writing */
};

/* ---- codec_h2.c ---- */

struct h2_stream *h2_find(const struct h2 *h, uint32_t id);
/* Frees the stream if nothing and nobody knows it any more. */
void h2_let_go(struct h2 *h, struct h2_stream *s);
/* What waits to be written is worth nothing any more. */
void h2_drop_output(struct h2 *h, struct h2_stream *s);
/* The stream is reset, because the proxy or this codec wants it so. */
void h2_submit_reset(struct h2 *h, struct h2_stream *s, uint32_t code);
/* Tells the owner, after all that came before; nothing more of the stream is given out. @detail is
 * constant text. */
void h2_push_reset(
    struct h2 *h, struct h2_stream *s, enum reason reason, uint32_t code, const char *detail);

/* ---- codec_h2_read.c ---- */

void h2_reading_callbacks(nghttp2_session_callbacks *cb);
/* Hands all of the input to the session. */
void h2_feed(struct h2 *h, struct slice *in);
/* Bytes of data that nobody will credit may be sent again by their writer. */
void h2_refund(struct h2 *h, const struct h2_stream *s, size_t bytes);

/* ---- codec_h2_write.c ---- */

void h2_writing_callbacks(nghttp2_session_callbacks *cb);
/* The connection cannot go on: says so, and nothing more. */
void h2_die(struct h2 *h, enum reason reason, uint32_t code, const char *detail);
void h2_die_of_strike(struct h2 *h, const struct h2_strike *strike);
/* Everything that the session has to say, until nothing is left or (unless @is_forced) the
 * connection is full. Data stops at a full connection in any case. */
void h2_flush(struct h2 *h, bool is_forced);
/* A header block; a flush has to follow before its fields go. */
void h2_submit_block(
    struct h2 *h, struct h2_stream *s, const struct rpc_field *fields, unsigned n, bool is_end);
/* Writes both pieces behind what waits, and ends the direction if that is asked. Flushes. */
void h2_send_bytes(
    struct h2 *h, struct h2_stream *s, struct slice first, struct slice second, bool is_last);
/* Ends the direction with these fields once everything else has left. Flushes. */
void h2_send_trailers(
    struct h2 *h, struct h2_stream *s, const struct rpc_field *fields, unsigned n);

/* ---- codec_h2_calls.c: as in codec_ops.h ---- */

bool h2_send_message(
    struct codec *c, uint32_t id, const struct rpc_message *m, struct rpc_edit *edit);
void h2_send_data(struct codec *c, uint32_t id, struct slice data, bool last);
void h2_send_end(struct codec *c, uint32_t id, const struct rpc_message *trailers);
void h2_send_failure(struct codec *c, uint32_t id, const struct rpc_message *call,
    const struct rpc_status *why, bool closing);
unsigned h2_capacity(const struct codec *c);
bool h2_is_ending(const struct codec *c);
uint32_t h2_begin(struct codec *c, void *owner);
void h2_own(struct codec *c, uint32_t id, void *owner);
void h2_reset(struct codec *c, uint32_t id, const struct codec_reset *why);
void h2_credit(struct codec *c, uint32_t id, size_t bytes);
size_t h2_pending(const struct codec *c, uint32_t id);
void h2_pump(struct codec *c);
void h2_drain(struct codec *c, enum codec_drain step);
void h2_ping(struct codec *c);

#endif
