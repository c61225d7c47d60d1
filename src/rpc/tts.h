/*
 * What the parts of the TTHeader Streaming codec share: its state, the streams in it, and what it
 * writes. Private to rpc/.
 */
#ifndef BRIDLE_RPC_TTS_H
#define BRIDLE_RPC_TTS_H

#include "base/list.h"
#include "base/table.h"
#include "rpc/codec_ops.h"
#include "rpc/frame_queue.h"
#include "wire/ttstream.h"

#define TTS_OWN_MAX 2048u /* a frame of our own: method twice, node, text */

struct tts_stream {
	uint32_t id;                /* its key */
	void *owner;                /* borrowed */
	struct slice method;        /* owned */
	bool has_begun, has_ended;  /* the other side's header and trailer have come */
	bool header_sent, end_sent; /* ours are written, or wait to be */
	bool is_on_wire;            /* something of it has been written */
	bool is_over;               /* nothing is left of it but an event */
	bool reset_due, room_due;   /* events to give out */
	struct list waiting, due;   /* links in the lists of the codec */
	struct frame_queue queue;   /* to be written */
	struct frame_queue early;   /* read before the header of the reply */
};

struct tts {
	struct codec *codec;  /* whose state this is: borrowed */
	struct table streams; /* owned, with the streams */
	struct list waiting;  /* streams with something to be written, the next to write first */
	struct list due;      /* streams with events */
	struct frame_queue control; /* resets and refusals to be written */
	size_t queued;              /* memory in queues */
	uint32_t last_id;           /* upstream: of the newest stream */
	bool is_dead;
	bool is_overrun; /* more waits in `control` than an honest peer leaves there */

	struct frame_queue held; /* the beginning of a frame */
	bool held_is_out;        /* the last event's views lie in it */
	size_t want;             /* bytes to hold before it is worth another look */
	uint8_t *made;           /* owned; what the last event's views lie in otherwise */
};

static inline bool tts_is_upstream(const struct tts *c)
{
	return c->codec->side == CODEC_UPSTREAM;
}

/* ---- tts_streams.c ---- */

void tts_init(struct tts *c, struct codec *codec);
void tts_fini(struct tts *c);
/* NULL when there is none. */
struct tts_stream *tts_find(const struct tts *c, uint32_t id);
/* One that can still be written to, or NULL. */
struct tts_stream *tts_find_open(const struct tts *c, uint32_t id);
/* The number is not in use. */
struct tts_stream *tts_open(struct tts *c, uint32_t id, void *owner);
/* Copies the method; one that is too long to be a name is left out. */
void tts_keep_method(struct tts_stream *s, struct slice method);
/* Nothing waits of the stream any more, and none of its events is due. */
void tts_quiet(struct tts *c, struct tts_stream *s);
/* Forgets the stream. */
void tts_finish(struct tts *c, struct tts_stream *s);
/* The stream has an event to give out. */
void tts_make_due(struct tts *c, struct tts_stream *s);

/* The queues of the streams, and `control`: their memory is counted. */
bool tts_queue_add(struct tts *c, struct frame_queue *q, const struct slice *pieces, int n);
void tts_queue_skip(struct tts *c, struct frame_queue *q, size_t len);
void tts_queue_drop(struct tts *c, struct frame_queue *q);

/* ---- tts_write.c ---- */

/* Makes a frame in @room, of TTS_OWN_MAX bytes. */
struct slice tts_own_frame(uint8_t *room, const struct ttstream_own *own);
/* Answers a call, of which no stream was made, with an empty header and an exception. */
void tts_refuse(
    struct tts *c, uint32_t id, struct slice method, enum reason reason, const char *detail);
/* Tells the other side that the stream is given up, if it knows of it; what waits is thrown
 * away. */
void tts_give_up(struct tts *c, struct tts_stream *s, const struct codec_reset *why);
/* The functions of struct codec_ops. */
bool tts_send_message(
    struct codec *codec, uint32_t id, const struct rpc_message *m, struct rpc_edit *edit);
void tts_send_data(struct codec *codec, uint32_t id, struct slice data, bool last);
void tts_send_end(struct codec *codec, uint32_t id, const struct rpc_message *trailers);
void tts_send_failure(struct codec *codec, uint32_t id, const struct rpc_message *call,
    const struct rpc_status *why, bool closing);
void tts_reset(struct codec *codec, uint32_t id, const struct codec_reset *why);
void tts_pump(struct codec *codec);

/* How a stream ends whose reader is too slow. */
struct codec_reset tts_overload(void);

#endif
