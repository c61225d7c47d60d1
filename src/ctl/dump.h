/*
 * What the parts of the command dump share: the run, its connections, and of each the two
 * directions.
 *
 *     capture -> tcp_segment -> tcp_streams -> dump_lane -> dump_frame -> dump_unary  \
 *                                                     `---> dump_h2                   -> dump_print
 *
 * Everything in a capture is hostile. What is kept of a message is bounded, and so is what all
 * connections hold; above that the one that was silent longest is forgotten, and that is told.
 * Private to ctl/dump*.c and the tests.
 */
#ifndef BRIDLE_CTL_DUMP_H
#define BRIDLE_CTL_DUMP_H

#include "base/err.h"
#include "ctl/dump_calls.h"
#include "ctl/dump_frame.h"
#include "ctl/dump_print.h"
#include "ctl/tcp_streams.h"

#define DUMP_CONNECTIONS_MAX 4096u
#define DUMP_HELD_MAX        (128u << 20) /* bytes that all connections hold */
#define DUMP_FIELDS_MAX      1200u        /* of one message */
#define DUMP_BODY_KEPT       (64u << 10)  /* of one payload, where it is shown */
#define DUMP_BODY_BRIEF      (4u << 10)   /* where only errors are read from it */

struct dump {
	struct dump_options options;
	FILE *out; /* borrowed */
	struct text room;
	struct dump_field *fields; /* owned: DUMP_FIELDS_MAX */
	size_t body_kept, held;
	struct tcp_streams streams;
	uint64_t fragments, cut, unknown_links, forgotten;
};

struct dump_conn;
struct h2_lane;

enum lane_state {
	LANE_NEW,    /* its first bytes will tell what it speaks */
	LANE_FRAMES, /* messages that may be of any unary protocol, frames of TTHeader streaming */
	LANE_LOST,   /* until bytes are recognised as the beginning of a message */
	LANE_H2,
	LANE_DEAF, /* TLS, or nothing that is known here */
};

/* One direction of a connection. */
struct dump_lane {
	struct dump_conn *conn;
	unsigned side;
	enum lane_state state;
	bool has_syn;
	bool is_introduced; /* it began with a PROXY header */
	usec_t at;          /* of the bytes that are being looked at */
	struct text window; /* NEW, LOST: what could not be decided yet */
	uint64_t skipped;   /* LOST: bytes that were no beginning */
	struct dump_frame frame;
	struct h2_lane *h2; /* owned; H2 */
};

struct dump_conn {
	struct dump *dump;
	bool has_places;
	char places[2][TCP_PLACE_TEXT];
	struct dump_lane lanes[2];
	struct dump_calls calls;
	size_t held; /* as it counts in dump->held */
};

/* ---- dump_run.c ---- */

void dump_init(struct dump *d, const struct dump_options *options, FILE *out);
void dump_fini(struct dump *d);
/* Reads @from to its end. Returns -1 with @err when a part of it cannot be read; what is before
 * that was shown. */
int dump_file(struct dump *d, FILE *from, struct err *err);

/* ---- dump_lane.c ---- */

struct dump_conn *dump_conn_new(struct dump *d);
/* Shows what is partly here. */
void dump_conn_end(struct dump_conn *conn);
void dump_conn_free(struct dump_conn **conn);
size_t dump_conn_held(const struct dump_conn *conn);
void dump_lane_take(struct dump_lane *lane, usec_t at, struct slice bytes);
void dump_lane_miss(struct dump_lane *lane, usec_t at, uint64_t n);
/* Nothing more comes. */
void dump_lane_end(struct dump_lane *lane, usec_t at, bool is_reset);
/* A message of this direction, filled in as far as the direction says it. */
struct dump_message dump_message_of(const struct dump_lane *lane, usec_t at);
void dump_lane_note(const struct dump_lane *lane, const char *protocol, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- dump_proxy.c ---- */

/* Shows the PROXY header that a direction begins with, and takes it off @bytes, or all of them when
 * it is not whole yet. False: there is none. */
bool dump_proxy_header(struct dump_lane *lane, struct slice *bytes);

/* ---- dump_unary.c ---- */

/* Shows what has come of a message. @problem: why that is not all of it, or NULL. */
void dump_unary(struct dump_lane *lane, const struct dump_frame *frame, const char *problem);

/* ---- dump_h2.c ---- */

/* @is_whole: nothing of the direction came before. */
struct h2_lane *h2_lane_new(struct dump_lane *lane, bool is_whole);
void h2_lane_free(struct h2_lane **h2);
void h2_lane_take(struct h2_lane *h2, struct slice bytes);
void h2_lane_miss(struct h2_lane *h2, uint64_t n);
size_t h2_lane_held(const struct h2_lane *h2);
/* Do frames of HTTP/2 begin here, by several of them or by one that fills the view? */
bool h2_is_likely(struct slice bytes);

#endif
