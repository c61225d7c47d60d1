#include "support/tts_end.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "support/frames.h"
#include "wire/ttstream.h"

#define FRAME_HEAD 16u

/* As assert, in every build; fuzz targets use this file, too, so it is not Check's. */
static void must(bool fact)
{
	if (!fact)
		abort();
}

static void sink(void *arg, const struct slice *pieces, int n)
{
	struct tts_end *e = arg;

	written_io.write(&e->out, pieces, n);
}

static bool is_full(void *arg)
{
	const struct tts_end *e = arg;

	return e->out.len >= e->room;
}

static const struct codec_io io = {.write = sink, .is_full = is_full};

void tts_end_open_as(struct tts_end *e, enum codec_side side, enum codec_family family,
    const struct codec_limits *limits)
{
	*e = (struct tts_end){.room = SIZE_MAX};
	e->codec = codec_open(side, family, limits, &io, e);
}

void tts_end_open(struct tts_end *e, enum codec_side side, const struct codec_limits *limits)
{
	tts_end_open_as(
	    e, side, side == CODEC_UPSTREAM ? CODEC_TTSTREAM : CODEC_UNDETECTED, limits);
}

void tts_end_close(struct tts_end *e)
{
	for (size_t i = 0; i < e->n; i++)
		arena_fini(&e->list[i].arena);
	free(e->list);
	codec_close(&e->codec);
	written_fini(&e->out);
	*e = (struct tts_end){0};
}

void *tts_owner(uint32_t id)
{
	return (void *)((uintptr_t)id + 1);
}

static struct slice keep_two(struct arena *arena, struct slice a, struct slice b)
{
	struct slice joined = frame_join(a, b), kept = arena_copy(arena, joined);

	frame_free(&joined);
	return kept;
}

static void hear(struct tts_end *e, enum codec_event event, const struct codec_item *item)
{
	struct tts_heard *h;

	e->list = mem_realloc(e->list, (e->n + 1) * sizeof *e->list);
	h = &e->list[e->n++];
	*h = (struct tts_heard){.event = event, .id = item->id, .owner = item->owner};
	arena_init(&h->arena, NULL, 0);
	if (event == CODEC_MESSAGE || event == CODEC_END) {
		must(item->has_message);
		h->message = item->message;
		h->bytes = keep_two(&h->arena, item->message.head, item->message.body);
		rpc_message_keep_head(&h->message, &h->arena);
		h->message.body = slice_from(h->bytes, item->message.head.len);
		if (h->message.status_text.len)
			h->message.status_text = arena_copy(&h->arena, h->message.status_text);
	} else if (event == CODEC_DATA) {
		h->bytes = arena_copy(&h->arena, item->data);
		h->n_messages = item->n_messages;
		h->message_bytes = item->message_bytes;
	} else if (event == CODEC_RESET) {
		h->reset = item->reset;
		h->bytes = h->reset.frame = arena_copy(&h->arena, item->reset.frame);
	} else if (event == CODEC_REFUSED) {
		h->why = item->why;
	}
}

void tts_end_feed(struct tts_end *e, struct slice piece)
{
	uint8_t *exact = mem_alloc(piece.len ? piece.len : 1);
	struct slice in = slice_of(exact, piece.len);
	struct codec_item item;
	enum codec_event event;

	if (piece.len)
		memcpy(exact, piece.data, piece.len);
	while ((event = codec_next(e->codec, &in, &item)) != CODEC_MORE) {
		hear(e, event, &item);
		if (event == CODEC_MESSAGE && item.owner == NULL && !e->owns_none)
			codec_own(e->codec, item.id, tts_owner(item.id));
	}
	must(in.len == 0);
	if (codec_held(e->codec) > e->most_held)
		e->most_held = codec_held(e->codec);
	free(exact);
}

void tts_end_feed_in(struct tts_end *e, struct slice in, size_t step)
{
	if (step == 0)
		step = in.len;
	while (in.len) {
		tts_end_feed(e, slice_first(in, step));
		in = slice_from(in, step);
	}
}

void tts_end_forget(struct tts_end *e)
{
	e->out.len = 0;
}

const struct tts_heard *tts_end_last(const struct tts_end *e)
{
	return e->n ? &e->list[e->n - 1] : NULL;
}

uint32_t tts_end_begin(struct tts_end *e, struct slice header)
{
	struct tts_end caller;
	struct rpc_edit edit = {.form = {RPC_TTSTREAM, RPC_THRIFT, false}};
	uint32_t id = codec_begin(e->codec, NULL);

	codec_own(e->codec, id, tts_owner(id));
	tts_end_open(&caller, CODEC_DOWNSTREAM, &reading_limits);
	tts_end_feed(&caller, header);
	must(caller.n == 1 && caller.list[0].event == CODEC_MESSAGE);
	must(codec_send_message(e->codec, id, &caller.list[0].message, &edit));
	tts_end_close(&caller);
	tts_end_forget(e);
	return id;
}

static const char *messages_differ(const struct rpc_message *a, const struct rpc_message *b)
{
	if (a->kind != b->kind || a->seq != b->seq || a->flags != b->flags || a->marks != b->marks)
		return "kind, number, flags or marks";
	if (!slice_eq(a->method, b->method) || !slice_eq(a->idl_service, b->idl_service) ||
	    !slice_eq(a->service_asked, b->service_asked) || !slice_eq(a->caller, b->caller))
		return "names";
	if (a->status != b->status || !slice_eq(a->status_text, b->status_text))
		return "status";
	return NULL;
}

static const char *heard_differ(const struct tts_heard *a, const struct tts_heard *b)
{
	if (a->event != b->event || a->id != b->id || a->owner != b->owner)
		return "event, number or owner";
	if (!slice_eq(a->bytes, b->bytes))
		return "bytes";
	if (a->event == CODEC_REFUSED && a->why.reason != b->why.reason)
		return "reason";
	if (a->n_messages != b->n_messages || a->message_bytes != b->message_bytes)
		return "messages in the data";
	if (a->event == CODEC_MESSAGE || a->event == CODEC_END)
		return messages_differ(&a->message, &b->message);
	if (a->event == CODEC_RESET)
		return a->reset.reason != b->reset.reason || a->reset.code != b->reset.code
			   ? "reset"
			   : NULL;
	return NULL;
}

const char *tts_end_difference(const struct tts_end *a, const struct tts_end *b)
{
	if (a->n != b->n)
		return "number of events";
	for (size_t i = 0; i < a->n; i++) {
		const char *what = heard_differ(&a->list[i], &b->list[i]);

		if (what)
			return what;
	}
	return slice_eq(written_slice(&a->out), written_slice(&b->out)) ? NULL : "what was written";
}

struct slice tts_frame(uint32_t stream, const char *sections, struct slice payload)
{
	struct slice text = frame_sections(sections);
	size_t padding = (4 - (2 + text.len) % 4) % 4, header = 2 + text.len + padding;
	uint8_t *bytes = mem_calloc(1, 14 + header + payload.len);

	store_u32(bytes, (uint32_t)(10 + header + payload.len));
	store_u16(bytes + 4, 0x1000);
	store_u16(bytes + 6, 0x0002);
	store_u32(bytes + 8, stream);
	store_u16(bytes + 12, (uint16_t)(header / 4));
	bytes[14] = 0x10;
	if (text.len)
		memcpy(bytes + FRAME_HEAD, text.data, text.len);
	if (payload.len)
		memcpy(bytes + 14 + header, payload.data, payload.len);
	frame_free(&text);
	return slice_of(bytes, 14 + header + payload.len);
}

struct slice tts_frame_of(char type, uint32_t stream, struct slice payload)
{
	char sections[] = "i 27=? 9=M;";

	*strchr(sections, '?') = type;
	return tts_frame(stream, sections, payload);
}

struct slice tts_exception(uint32_t stream, const char *text, int32_t type)
{
	size_t len = strlen(text);
	struct writer w = writer_of(mem_alloc(len + 32), len + 32);

	write_u32(&w, 0x80010003);
	write_u32(&w, 1);
	write_u8(&w, 'M');
	write_u32(&w, stream);
	write_bytes(&w, slice_of("\x0b\x00\x01", 3));
	write_u32(&w, (uint32_t)len);
	write_bytes(&w, slice_str(text));
	write_bytes(&w, slice_of("\x08\x00\x02", 3));
	write_u32(&w, (uint32_t)type);
	write_u8(&w, 0);
	must(!w.bad);
	return writer_slice(&w);
}
