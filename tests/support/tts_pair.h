/* A caller's and an endpoint's side of TTHeader Streaming, and what tests ask of them. With
 * Check. */
#ifndef BRIDLE_TESTS_TTS_PAIR_H
#define BRIDLE_TESTS_TTS_PAIR_H

#include "base/mem.h"
#include "support/tts_end.h"
#include "wire/ttstream.h"

extern const struct rpc_form tts_form;
/* Between tts_begin and tts_done. The ends have these limits, with the node "me"; who changes them
 * opens an end anew. */
extern struct tts_end tts_down, tts_up;
extern struct codec_limits tts_limits;

void tts_begin(void);
void tts_done(void);

/* All frames of a golden file, one behind the other, under another number. Free with frame_free. */
struct slice tts_golden_stream(const char *name, uint32_t id);
/* Frees the frame. */
void tts_feed(struct tts_end *e, struct slice frame);
/* A frame of this type of stream @id. */
void tts_feed_of(struct tts_end *e, char type, uint32_t id);

/* Opens stream @id at the caller's side. */
void tts_open_down(uint32_t id);
/* Opens one at the endpoint's side: the first is number 1. */
uint32_t tts_open_up(void);
/* Answers a stream of the caller's side with an empty header. */
void tts_answer_down(uint32_t id);
void tts_fail_down(uint32_t id, enum reason reason);

/* What was heard last, which must be of this kind. */
const struct tts_heard *tts_last(const struct tts_end *e, enum codec_event event);

/* What was written is @n frames of these types. */
void tts_must_have_written(
    const struct tts_end *e, struct ttstream_frame *f, const enum ttstream_type *types, size_t n);
#define MUST_HAVE_WRITTEN(e, f, ...)                                                               \
	tts_must_have_written((e), (f), (const enum ttstream_type[]){__VA_ARGS__},                 \
	    ARRAY_LEN(((const enum ttstream_type[]){__VA_ARGS__})))
/* The frame carries an exception of this type with @part in its text. */
void tts_must_be_exception(const struct ttstream_frame *f, int32_t type, const char *part);
/* NULL: has it none? */
bool tts_has_path(const struct ttstream_frame *f, const char *path);

#endif
