/*
 * One end of a TTHeader Streaming connection: a codec, what it said and what it wrote. Everything
 * heard is a copy; each piece of input lives in memory of its own exact size while the codec looks
 * at it. Also frames, written by hand.
 */
#ifndef BRIDLE_TESTS_TTS_END_H
#define BRIDLE_TESTS_TTS_END_H

#include "rpc/codec.h"
#include "support/reading.h"

struct tts_heard {
	enum codec_event event;
	uint32_t id;
	void *owner;
	struct rpc_message message; /* MESSAGE, END: views into `arena` */
	struct slice bytes; /* MESSAGE, END: head and body; DATA: the data; RESET: its frame */
	struct codec_reset reset;
	struct rpc_status why;
	unsigned n_messages;
	uint64_t message_bytes;
	struct arena arena;
};

struct tts_end {
	struct codec *codec;    /* owned */
	struct tts_heard *list; /* owned */
	size_t n;
	struct written out;
	size_t room;      /* the connection is full when so much has been written */
	bool owns_none;   /* calls that come get no owner */
	size_t most_held; /* codec_held, at its highest after a piece */
};

/* Downstream it detects its family; upstream it is of this one. Never full. */
void tts_end_open(struct tts_end *e, enum codec_side side, const struct codec_limits *limits);
void tts_end_open_as(struct tts_end *e, enum codec_side side, enum codec_family family,
    const struct codec_limits *limits);
void tts_end_close(struct tts_end *e);
/* One piece of input, used up when this returns; new calls get tts_owner(id) as their owner. */
void tts_end_feed(struct tts_end *e, struct slice piece);
/* All of @in in pieces of @step bytes; 0: in one. */
void tts_end_feed_in(struct tts_end *e, struct slice in, size_t step);
/* Upstream: begins a call with this header frame; what was written goes. Returns its number. */
uint32_t tts_end_begin(struct tts_end *e, struct slice header);
/* The newest; NULL when nothing was heard. */
const struct tts_heard *tts_end_last(const struct tts_end *e);
/* Forgets what was written. */
void tts_end_forget(struct tts_end *e);

void *tts_owner(uint32_t id);
/* NULL when both heard the same; else what differs. */
const char *tts_end_difference(const struct tts_end *a, const struct tts_end *b);

/* A frame with sections as text, as frame_sections of frames.h reads it. Free with frame_free. */
struct slice tts_frame(uint32_t stream, const char *sections, struct slice payload);
/* "2", with the method M: a header frame, and so on. */
struct slice tts_frame_of(char type, uint32_t stream, struct slice payload);
/* The message of an exception. Free with frame_free. */
struct slice tts_exception(uint32_t stream, const char *text, int32_t type);

#endif
