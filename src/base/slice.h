/*
 * A view of bytes that somebody else owns. A slice never frees anything and is passed by value;
 * whoever hands one out says how long the bytes stay.
 */
#ifndef BRIDLE_BASE_SLICE_H
#define BRIDLE_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
	const uint8_t *data; /* borrowed; may be NULL when len is 0 */
	size_t len;
};

#define SLICE_NONE      ((struct slice){NULL, 0})
#define SLICE_LIT(text) ((struct slice){(const uint8_t *)(text), sizeof(text) - 1})

static inline struct slice slice_of(const void *data, size_t len)
{
	return (struct slice){data, len};
}

static inline struct slice slice_str(const char *text)
{
	return (struct slice){(const uint8_t *)text, text ? strlen(text) : 0};
}

/* The bytes from @offset on, none when @offset is past the end. */
static inline struct slice slice_from(struct slice s, size_t offset)
{
	if (offset >= s.len)
		return (struct slice){s.len ? s.data + s.len : s.data, 0};
	return (struct slice){s.data + offset, s.len - offset};
}

/* At most the first @len bytes. */
static inline struct slice slice_first(struct slice s, size_t len)
{
	return (struct slice){s.data, s.len < len ? s.len : len};
}

/* @len bytes from @offset on; the caller knows that they are there. */
static inline struct slice slice_sub(struct slice s, size_t offset, size_t len)
{
	return (struct slice){s.data + offset, len};
}

static inline bool slice_eq(struct slice a, struct slice b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static inline bool slice_eq_str(struct slice a, const char *b)
{
	return slice_eq(a, slice_str(b));
}

static inline bool slice_starts(struct slice s, struct slice prefix)
{
	return s.len >= prefix.len &&
	       (prefix.len == 0 || memcmp(s.data, prefix.data, prefix.len) == 0);
}

/* Order of bytes, the shorter first where one is the start of the other. */
int slice_cmp(struct slice a, struct slice b);

/* Reads a decimal number that fills the slice: digits only. False on junk or overflow. */
bool slice_to_u64(struct slice s, uint64_t *value);

/* A seeded hash for tables in memory; never written anywhere. */
uint64_t slice_hash(struct slice s, uint64_t seed);

/* A copy that ends with NUL, from malloc; aborts when memory is gone. */
char *slice_dup(struct slice s);

#endif
