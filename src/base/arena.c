#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

#define ARENA_CHUNK 4096u
#define ARENA_ALIGN _Alignof(max_align_t)

struct arena_chunk {
	struct arena_chunk *older;
	_Alignas(max_align_t) uint8_t room[];
};

void arena_init(struct arena *a, void *room, size_t size)
{
	a->at = room;
	a->end = a->at ? a->at + size : NULL;
	a->chunks = NULL;
}

void arena_fini(struct arena *a)
{
	while (a->chunks) {
		struct arena_chunk *older = a->chunks->older;

		free(a->chunks);
		a->chunks = older;
	}
	a->at = a->end = NULL;
}

static void arena_grow(struct arena *a, size_t size)
{
	size_t room = size > ARENA_CHUNK ? size : ARENA_CHUNK;
	struct arena_chunk *chunk = mem_alloc(sizeof *chunk + room);

	chunk->older = a->chunks;
	a->chunks = chunk;
	a->at = chunk->room;
	a->end = a->at + room;
}

void *arena_alloc(struct arena *a, size_t size)
{
	size_t pad = -(uintptr_t)a->at % ARENA_ALIGN;
	uint8_t *p;

	if (a->at == NULL || (size_t)(a->end - a->at) < pad ||
	    (size_t)(a->end - a->at) - pad < size) {
		arena_grow(a, size);
		pad = 0;
	}
	p = a->at + pad;
	a->at = p + size;
	return p;
}

void *arena_calloc(struct arena *a, size_t count, size_t size)
{
	size_t all;

	if (__builtin_mul_overflow(count, size, &all))
		all = SIZE_MAX / 2; /* more than there is: ends as any lack of memory does */
	return memset(arena_alloc(a, all), 0, all);
}

struct slice arena_copy(struct arena *a, struct slice s)
{
	uint8_t *copy = arena_alloc(a, s.len);

	if (s.len)
		memcpy(copy, s.data, s.len);
	return slice_of(copy, s.len);
}

char *arena_str(struct arena *a, struct slice s)
{
	char *copy = arena_alloc(a, s.len + 1);

	if (s.len)
		memcpy(copy, s.data, s.len);
	copy[s.len] = '\0';
	return copy;
}

char *arena_printf(struct arena *a, const char *format, ...)
{
	va_list args, again;
	int len;
	char *text;

	va_start(args, format);
	va_copy(again, args);
	len = vsnprintf(NULL, 0, format, args);
	va_end(args);
	text = arena_alloc(a, (size_t)len + 1);
	vsnprintf(text, (size_t)len + 1, format, again);
	va_end(again);
	return text;
}
