#include "rpc/tts.h"

#include <stdlib.h>

#include "base/mem.h"
#include "wire/thrift.h"

#define TABLE_KEPT 64u /* slots; a larger table goes with the last stream */

static void init_table(struct tts *c)
{
	/* Numbers are the caller's choice: which of them collide is not for it to know. */
	table_init(&c->streams, (uint64_t)(uintptr_t)c * 0x9e3779b97f4a7c15u);
}

void tts_init(struct tts *c, struct codec *codec)
{
	c->codec = codec;
	init_table(c);
	list_init(&c->waiting);
	list_init(&c->due);
}

static struct slice key_of(const uint32_t *id)
{
	return slice_of(id, sizeof *id);
}

struct tts_stream *tts_find(const struct tts *c, uint32_t id)
{
	return table_get(&c->streams, key_of(&id));
}

struct tts_stream *tts_find_open(const struct tts *c, uint32_t id)
{
	struct tts_stream *s = tts_find(c, id);

	return s && !s->is_over && !s->end_sent ? s : NULL;
}

struct tts_stream *tts_open(struct tts *c, uint32_t id, void *owner)
{
	struct tts_stream *s = mem_calloc(1, sizeof *s);

	s->id = id;
	s->owner = owner;
	list_init(&s->waiting);
	list_init(&s->due);
	table_put(&c->streams, key_of(&s->id), s);
	return s;
}

void tts_keep_method(struct tts_stream *s, struct slice method)
{
	uint8_t *copy;

	if (method.len == 0 || method.len > THRIFT_METHOD_MAX || s->method.len)
		return;
	copy = mem_alloc(method.len);
	memcpy(copy, method.data, method.len);
	s->method = slice_of(copy, method.len);
}

void tts_queue_drop(struct tts *c, struct frame_queue *q)
{
	c->queued -= q->size;
	frame_queue_fini(q);
}

bool tts_queue_add(struct tts *c, struct frame_queue *q, const struct slice *pieces, int n)
{
	size_t before = q->size;
	bool ok = frame_queue_add(q, pieces, n);

	c->queued += q->size - before;
	return ok;
}

void tts_queue_skip(struct tts *c, struct frame_queue *q, size_t len)
{
	size_t before = q->size;

	frame_queue_skip(q, len);
	c->queued -= before - q->size;
}

void tts_quiet(struct tts *c, struct tts_stream *s)
{
	tts_queue_drop(c, &s->queue);
	tts_queue_drop(c, &s->early);
	list_remove(&s->waiting);
	list_remove(&s->due);
	s->room_due = s->reset_due = false;
}

static void free_stream(struct tts *c, struct tts_stream *s)
{
	tts_quiet(c, s);
	free((void *)(uintptr_t)s->method.data);
	free(s);
}

void tts_finish(struct tts *c, struct tts_stream *s)
{
	table_remove(&c->streams, key_of(&s->id));
	free_stream(c, s);
	if (c->streams.used == 0 && c->streams.size > TABLE_KEPT) {
		table_fini(&c->streams);
		init_table(c);
	}
}

void tts_fini(struct tts *c)
{
	struct tts_stream *s;
	size_t at = 0;

	while ((s = table_next(&c->streams, &at)))
		free_stream(c, s);
	table_fini(&c->streams);
	frame_queue_fini(&c->control);
	frame_queue_fini(&c->held);
	free(c->made);
}

void tts_make_due(struct tts *c, struct tts_stream *s)
{
	if (list_is_empty(&s->due))
		list_push_back(&c->due, &s->due);
}
