#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *checked(void *p, size_t size)
{
	if (p == NULL) {
		fprintf(stderr, "bridle: out of memory for %zu bytes of its own; stopping\n", size);
		abort();
	}
	return p;
}

void *mem_alloc(size_t size)
{
	return checked(malloc(size ? size : 1), size);
}

void *mem_calloc(size_t count, size_t size)
{
	return checked(calloc(count ? count : 1, size ? size : 1), count * size);
}

void *mem_realloc(void *old, size_t size)
{
	return checked(realloc(old, size ? size : 1), size);
}

char *mem_strdup(const char *text)
{
	size_t len = strlen(text) + 1;

	return memcpy(mem_alloc(len), text, len);
}
