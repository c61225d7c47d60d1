/*
 * Big-endian reading and writing over bytes with an error that sticks: read or write as if all went
 * well, then look at `bad` once. A reader past its end gives zeros; a writer past its end writes
 * nothing.
 */
#ifndef BRIDLE_BASE_CURSOR_H
#define BRIDLE_BASE_CURSOR_H

#include "base/slice.h"

static inline uint16_t load_u16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t load_u32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline void store_u16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void store_u32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

struct cursor {
	const uint8_t *at, *end; /* borrowed */
	bool bad;
};

static inline struct cursor cursor_of(struct slice s)
{
	return (struct cursor){s.data, s.data ? s.data + s.len : s.data, false};
}

static inline size_t cursor_left(const struct cursor *c)
{
	return (size_t)(c->end - c->at);
}

/* The next @len bytes as a view, empty and bad when they are not there. */
static inline struct slice cursor_take(struct cursor *c, size_t len)
{
	const uint8_t *at = c->at;

	if (c->bad || cursor_left(c) < len) {
		c->bad = true;
		return SLICE_NONE;
	}
	if (len) /* NULL has no other offset, not even 0 */
		c->at += len;
	return slice_of(at, len);
}

static inline uint8_t cursor_u8(struct cursor *c)
{
	struct slice s = cursor_take(c, 1);

	return c->bad ? 0 : s.data[0];
}

static inline uint16_t cursor_u16(struct cursor *c)
{
	struct slice s = cursor_take(c, 2);

	return c->bad ? 0 : load_u16(s.data);
}

static inline uint32_t cursor_u32(struct cursor *c)
{
	struct slice s = cursor_take(c, 4);

	return c->bad ? 0 : load_u32(s.data);
}

/* Writes into room that the caller owns, or NULL. `need` counts what was asked for, room or not. */
struct writer {
	uint8_t *start, *at, *end; /* borrowed */
	size_t need;
	bool bad;
};

static inline struct writer writer_of(void *room, size_t size)
{
	return (struct writer){room, room, room ? (uint8_t *)room + size : NULL, 0, false};
}

static inline size_t writer_len(const struct writer *w)
{
	return (size_t)(w->at - w->start);
}

static inline struct slice writer_slice(const struct writer *w)
{
	return slice_of(w->start, writer_len(w));
}

/* Room for @len bytes at the end, or NULL and bad. */
static inline uint8_t *writer_room(struct writer *w, size_t len)
{
	uint8_t *at = w->at;

	w->need += len;
	if (w->bad || (size_t)(w->end - w->at) < len) {
		w->bad = true;
		return NULL;
	}
	if (len)
		w->at += len;
	return at;
}

static inline void write_bytes(struct writer *w, struct slice s)
{
	uint8_t *at = writer_room(w, s.len);

	if (at && s.len)
		memcpy(at, s.data, s.len);
}

static inline void write_u8(struct writer *w, uint8_t v)
{
	uint8_t *at = writer_room(w, 1);

	if (at)
		*at = v;
}

static inline void write_u16(struct writer *w, uint16_t v)
{
	uint8_t *at = writer_room(w, 2);

	if (at)
		store_u16(at, v);
}

static inline void write_u32(struct writer *w, uint32_t v)
{
	uint8_t *at = writer_room(w, 4);

	if (at)
		store_u32(at, v);
}

#endif
