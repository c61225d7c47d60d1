/*
 * More far ends for scenarios, beside those of sim.h: callers and endpoints of gRPC over HTTP/2 and
 * of TTHeader Streaming, in the same words. They share no code with the product's codecs: one side
 * is the library of HTTP/2 itself, the other reads and writes its frames by hand.
 *
 * As in sim.h nothing waits: all that can happen has happened when a word returns, windows and
 * acknowledgements included.
 */
#ifndef BRIDLE_TESTS_STREAM_END_H
#define BRIDLE_TESTS_STREAM_END_H

#include <stdbool.h>

#include <check.h>

#include "base/mem.h"
#include "base/reason.h"
#include "base/slice.h"
#include "support/suite.h"

struct fake_end;

/* A loop test that runs once for each has its family in _i. */
enum stream_family { GRPC, TTS };
#define FAMILIES 2

/* Error codes of HTTP/2 (RFC 9113, 7). */
#define H2_NO_ERROR 0u
#define H2_REFUSED  7u
#define H2_CANCEL   8u

struct stream_end; /* a connection, seen from its far end */
struct stream;     /* one end of one stream */

struct stream_setup {
	unsigned streams; /* HTTP/2: MAX_CONCURRENT_STREAMS; 0: none is announced */
	bool admits_none; /* HTTP/2: it is announced as 0 */
	unsigned window;  /* HTTP/2: of a stream; 0: 65535 */
	bool gathers;     /* from the beginning: see gather */
};

/* A caller on the listener "in", or on one by name. */
#define dial_streams(family, ...)         stream_dial(family, "in", &(struct stream_setup){__VA_ARGS__})
#define dial_streams_to(listener, family) stream_dial(family, listener, &(struct stream_setup){0})
/* The same above the listener's limit. */
struct stream_end *dial_streams_over_limit(enum stream_family family);
struct stream_end *stream_dial(
    enum stream_family family, const char *listener, const struct stream_setup *setup);
/* The next connection to an endpoint; there must be one. */
#define accepted_streams(family, ...)                                                              \
	stream_accepted(__LINE__, family, &(struct stream_setup){__VA_ARGS__})
struct stream_end *stream_accepted(
    int line, enum stream_family family, const struct stream_setup *setup);
/* The same of one that is already there. */
struct stream_end *stream_wrap(struct fake_end *net, enum stream_family family);
/* What the proxy speaks to an endpoint, by the bytes that have come. */
enum stream_family stream_guess(const struct fake_end *net);
struct fake_end *net_of(struct stream_end *end);

/* Its words leave together, with let_go. */
void gather(struct stream_end *end);
void let_go(struct stream_end *end);
/* What it writes arrives in reads of so many bytes; 0: as it was written. */
void write_in_pieces(struct stream_end *end, size_t piece);
/* Lets time pass, while all ends go on reading. */
void let_pass(unsigned ms);
/* Whatever ends have to read or to write, until nothing moves. */
void stream_settle(void);

enum stream_body {
	AS_IS,     /* the text alone */
	AS_THRIFT, /* in the one field of a struct: 1 of arguments, 0 of a result */
	AS_PB,     /* in field 1 */
};

/* What is said, or expected: what is left out is not. */
struct stream_words {
	const char *method;    /* "Quote", of the service shop.Price */
	const char *authority; /* HTTP/2: "app" */
	const char *type;      /* HTTP/2: content-type; "application/grpc" */
	/* Fields of HTTP/2, keys of a TTHeader (numbers are int keys): "name=value name=value".
	 * Where they are expected "!name" must not be there. */
	const char *keys;
	const char *message;
	size_t fill; /* the message is made this long by a pattern that follows it */
	enum stream_body body;
	unsigned times; /* the message, so often */
	bool ends;      /* and that is all, in this direction */
	int status;     /* gRPC: grpc-status; TTHeader: the type of the exception */
	const char *text;
};
#define WORDS(...)                                                                                 \
	&(struct stream_words)                                                                     \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}

/* ---- saying ---- */

/* A call: its head, and messages if there are any. */
#define begin(end, ...) stream_begin(end, WORDS(__VA_ARGS__))
struct stream *stream_begin(struct stream_end *end, const struct stream_words *words);
/* The head of a reply. */
#define head(stream, ...) stream_head(stream, WORDS(__VA_ARGS__))
void stream_head(struct stream *s, const struct stream_words *words);
/* Messages. */
#define speak(stream, ...) stream_speak(stream, WORDS(__VA_ARGS__))
void stream_speak(struct stream *s, const struct stream_words *words);
/* Bytes of the body as they are: HTTP/2 alone. */
void speak_bytes(struct stream *s, struct slice bytes);
/* The direction ends; of a reply with this status. */
#define finish(stream, ...) stream_finish(stream, WORDS(__VA_ARGS__))
void stream_finish(struct stream *s, const struct stream_words *words);
/* HTTP/2: a reply ends without trailers. */
void finish_bare(struct stream *s);
/* A whole reply. */
#define answer(stream, ...) stream_answer(stream, WORDS(__VA_ARGS__))
void stream_answer(struct stream *s, const struct stream_words *words);
/* A reply of nothing but a status. */
#define refuse(stream, ...) stream_refuse(stream, WORDS(__VA_ARGS__))
void stream_refuse(struct stream *s, const struct stream_words *words);
/* HTTP/2: RST_STREAM; TTHeader: an rst frame with an exception of this type, from "tester". */
void give_up(struct stream *s, uint32_t code);
/* HTTP/2: an interim head. */
void interim(struct stream *s, unsigned status, const char *keys);
/* HTTP/2: GOAWAY; @last: the stream up to which calls were taken, NULL: none. */
void say_goaway(struct stream_end *end, const struct stream *last);
/* HTTP/2: so many streams may run from now on. */
void allow_streams(struct stream_end *end, unsigned n);
/* TTHeader: a frame of this type (int key 27). */
#define say_frame(stream, type, ...) stream_say_frame(stream, type, WORDS(__VA_ARGS__))
void stream_say_frame(struct stream *s, const char *type, const struct stream_words *words);

/* HTTP/2: what comes on the stream is not acknowledged to its writer, until it is. */
void hold(struct stream *s);
void release(struct stream *s);

/* ---- hearing ---- */

/* The next call that has come; with a message and its end if those are given. */
#define hear_call(end, ...) stream_hear_call(__LINE__, end, WORDS(__VA_ARGS__))
struct stream *stream_hear_call(int line, struct stream_end *end, const struct stream_words *words);
#define hear_no_call(end) stream_hear_no_call(__LINE__, end)
void stream_hear_no_call(int line, struct stream_end *end);
/* The next thing on the stream is the head of a reply. */
#define hear_head(stream, ...) stream_hear_head(__LINE__, stream, WORDS(__VA_ARGS__))
void stream_hear_head(int line, struct stream *s, const struct stream_words *words);
#define hear_message(stream, ...) stream_hear_message(__LINE__, stream, WORDS(__VA_ARGS__))
void stream_hear_message(int line, struct stream *s, const struct stream_words *words);
/* The direction has ended; @ends is understood. */
#define hear_last(stream, ...) stream_hear_last(__LINE__, stream, WORDS(__VA_ARGS__))
void stream_hear_last(int line, struct stream *s, const struct stream_words *words);
/* A whole reply. */
#define hear_answer(stream, ...) stream_hear_answer(__LINE__, stream, WORDS(__VA_ARGS__))
void stream_hear_answer(int line, struct stream *s, const struct stream_words *words);
/* The proxy ended it for this reason, with a status that says so. */
#define hear_refusal(stream, reason) stream_hear_refusal(__LINE__, stream, reason)
void stream_hear_refusal(int line, struct stream *s, enum reason reason);
/* It was given up. TTHeader: with an exception of this type. Returns its keys. */
#define hear_reset(stream, code) stream_hear_reset(__LINE__, stream, code)
const char *stream_hear_reset(int line, struct stream *s, uint32_t code);
/* The proxy gave it up for this reason. */
#define hear_given_up(stream, reason) stream_hear_given_up(__LINE__, stream, reason)
void stream_hear_given_up(int line, struct stream *s, enum reason reason);
/* A caller that has not ended its side is told that nothing more of it is wanted. */
#define hear_done(stream) stream_hear_done(__LINE__, stream)
void stream_hear_done(int line, struct stream *s);
/* TTHeader: a frame of another type. */
#define hear_frame(stream, ...) stream_hear_frame(__LINE__, stream, WORDS(__VA_ARGS__))
void stream_hear_frame(int line, struct stream *s, const struct stream_words *words);
/* Nothing more has come on it. */
#define hear_silence(stream) stream_hear_silence(__LINE__, stream)
void stream_hear_silence(int line, struct stream *s);

/* Bytes of its body that have come so far. */
size_t heard_bytes(const struct stream *s);
/* Bytes of its body that it was not allowed to write yet. */
size_t unsaid_bytes(const struct stream *s);
/* HTTP/2: how many GOAWAYs have come, and the last stream that the latest one named. */
unsigned goaways(const struct stream_end *end);
int32_t goaway_last(const struct stream_end *end);
uint32_t stream_number(const struct stream *s);

/* For soaks: what is not a scenario. */
enum stream_event_kind {
	STREAM_NOTHING,
	STREAM_INTERIM,
	STREAM_HEAD,
	STREAM_MESSAGE,
	STREAM_END,
	STREAM_RESET,
	STREAM_FRAME,
};
struct stream_event {
	enum stream_event_kind kind;
	char *keys; /* " name=value name=value " */
	struct slice text;
	int64_t status;
	uint32_t code;
};
/* The next event, taken out; stays until the stream's next one. NOTHING: there is none. */
const struct stream_event *stream_next_event(struct stream *s);
/* The next call that has come, or NULL. */
struct stream *stream_next_call(struct stream_end *end);
enum stream_family stream_family(const struct stream_end *end);
/* The end is of no more use: its connection is over. */
void stream_end_forget(struct stream_end *end);

/* Runs a suite of scenarios with sim_end behind each; `runs`: 1, or FAMILIES. */
int stream_main(const char *name, const struct suite_test *tests, size_t count);

#endif
