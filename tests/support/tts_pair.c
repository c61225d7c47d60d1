#include "support/tts_pair.h"

#include <stdio.h>

#include <check.h>

#include "support/frames.h"
#include "support/golden.h"

const struct rpc_form tts_form = {RPC_TTSTREAM, RPC_THRIFT, false};
struct tts_end tts_down, tts_up;
struct codec_limits tts_limits;

static struct golden_set goldens;

void tts_begin(void)
{
	tts_limits = reading_limits;
	tts_limits.node = SLICE_LIT("me");
	goldens = golden_load();
	tts_end_open(&tts_down, CODEC_DOWNSTREAM, &tts_limits);
	tts_end_open(&tts_up, CODEC_UPSTREAM, &tts_limits);
}

void tts_done(void)
{
	tts_end_close(&tts_down);
	tts_end_close(&tts_up);
	golden_free(&goldens);
}

struct slice tts_golden_stream(const char *name, uint32_t id)
{
	const struct golden *g = golden_find(&goldens, name);
	struct slice all = frame_join(SLICE_NONE, SLICE_NONE);

	ck_assert_ptr_nonnull(g);
	for (size_t i = 0; i < g->n_frames; i++) {
		struct slice longer = frame_join(all, g->frames[i]);

		store_u32((uint8_t *)(uintptr_t)longer.data + all.len + 8, id);
		frame_free(&all);
		all = longer;
	}
	return all;
}

void tts_feed(struct tts_end *e, struct slice frame)
{
	tts_end_feed(e, frame);
	frame_free(&frame);
}

void tts_feed_of(struct tts_end *e, char type, uint32_t id)
{
	tts_feed(e, tts_frame_of(type, id, type == '3' ? SLICE_LIT("data") : SLICE_NONE));
}

void tts_open_down(uint32_t id)
{
	tts_feed_of(&tts_down, '2', id);
	ck_assert_int_eq(tts_end_last(&tts_down)->event, CODEC_MESSAGE);
}

uint32_t tts_open_up(void)
{
	struct slice header = tts_frame_of('2', 77, SLICE_NONE);
	uint32_t id = tts_end_begin(&tts_up, header);

	frame_free(&header);
	return id;
}

const struct tts_heard *tts_last(const struct tts_end *e, enum codec_event event)
{
	const struct tts_heard *h = tts_end_last(e);

	ck_assert_ptr_nonnull(h);
	ck_assert_int_eq(h->event, event);
	return h;
}

/* What was written, frame by frame; each can be read. */
static size_t written_frames(const struct tts_end *e, struct ttstream_frame *f, size_t most)
{
	struct slice rest = written_slice(&e->out);
	struct wire_note note;
	size_t n = 0;

	while (rest.len) {
		ck_assert_uint_lt(n, most);
		ck_assert_int_eq(ttstream_read(rest, SIZE_MAX, SIZE_MAX, &f[n], &note), WIRE_OK);
		rest = slice_from(rest, f[n++].bytes.len);
	}
	return n;
}

void tts_must_have_written(
    const struct tts_end *e, struct ttstream_frame *f, const enum ttstream_type *types, size_t n)
{
	ck_assert_uint_eq(written_frames(e, f, n), n);
	for (size_t i = 0; i < n; i++)
		ck_assert_int_eq(f[i].type, types[i]);
}

void tts_must_be_exception(const struct ttstream_frame *f, int32_t type, const char *part)
{
	struct slice text;
	int32_t got;
	char copy[512];

	ck_assert(ttstream_exception_read(f->payload, &text, &got));
	ck_assert_int_eq(got, type);
	snprintf(copy, sizeof copy, "%.*s", (int)text.len, (const char *)text.data);
	ck_assert_msg(strstr(copy, part) != NULL, "%s", copy);
}

bool tts_has_path(const struct ttstream_frame *f, const char *path)
{
	struct ttheader_iter it = ttheader_entries(f->sections);
	struct ttheader_entry e;

	while (ttheader_next(&it, &e))
		if (slice_eq_str(e.key, "ttscp"))
			return path && slice_eq_str(e.value, path);
	return path == NULL;
}

void tts_fail_down(uint32_t id, enum reason reason)
{
	struct rpc_status why;

	rpc_status_set(&why, reason, "detail");
	codec_send_failure(tts_down.codec, id, NULL, &why, false);
}

void tts_answer_down(uint32_t id)
{
	struct rpc_edit edit = {.form = tts_form};
	uint32_t other = tts_open_up();

	tts_feed_of(&tts_up, '2', other);
	ck_assert(codec_send_message(
	    tts_down.codec, id, &tts_last(&tts_up, CODEC_MESSAGE)->message, &edit));
}
