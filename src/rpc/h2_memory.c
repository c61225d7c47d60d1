#include "rpc/h2_memory.h"

#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Sizes that are kept: 8, 24, 40 ... bytes, which is what the C library rounds up to. */
#define STEP     16u
#define FIRST    8u
#define CLASSES  160u
#define KEPT_MAX (64u * 1024) /* bytes of each size and thread */

/* A session's buffer for frames is the only block about so long. */
#define PAGES_MIN (16u * 1024)
#define PAGES     (20u * 1024)

struct spare {
	struct spare *next;
};

struct stock {
	struct spare *first[CLASSES];
	unsigned n[CLASSES];
};

static _Thread_local struct stock *stock; /* owned by the thread */
static pthread_key_t stock_key;
static pthread_once_t stock_once = PTHREAD_ONCE_INIT;

static void end_stock(void *arg)
{
	struct stock *s = arg;

	for (unsigned i = 0; i < CLASSES; i++) {
		while (s->first[i]) {
			struct spare *spare = s->first[i];

			s->first[i] = spare->next;
			free(spare);
		}
	}
	free(s);
	stock = NULL;
}

static void make_key(void)
{
	if (pthread_key_create(&stock_key, end_stock) != 0)
		abort();
}

/* NULL when there is no memory for it. */
static struct stock *own_stock(void)
{
	if (stock)
		return stock;
	pthread_once(&stock_once, make_key);
	stock = calloc(1, sizeof *stock);
	if (stock && pthread_setspecific(stock_key, stock) != 0) {
		free(stock);
		stock = NULL;
	}
	return stock;
}

static void *take(size_t class)
{
	struct stock *s = own_stock();
	struct spare *spare = s ? s->first[class] : NULL;

	if (spare == NULL)
		return malloc(FIRST + class * STEP);
	s->first[class] = spare->next;
	s->n[class]--;
	return spare;
}

static void *take_pages(struct h2_memory *m)
{
	void *pages = mmap(NULL, PAGES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (pages == MAP_FAILED)
		return NULL;
	m->pages = pages;
	return pages;
}

static size_t size_of(const struct h2_memory *m, void *block)
{
	if (m && block == m->pages)
		return PAGES;
	return malloc_usable_size(block);
}

void *h2_memory_malloc(size_t size, void *memory)
{
	struct h2_memory *m = memory;
	size_t class = size > FIRST ? (size - FIRST + STEP - 1) / STEP : 0;

	if (class < CLASSES)
		return take(class);
	if (m == NULL || m->pages || size < PAGES_MIN || size > PAGES)
		return malloc(size);
	return take_pages(m);
}

void *h2_memory_calloc(size_t count, size_t size, void *memory)
{
	size_t all;
	void *block;

	if (__builtin_mul_overflow(count, size, &all))
		return NULL;
	block = h2_memory_malloc(all, memory);
	if (block)
		memset(block, 0, all);
	return block;
}

static void give(void *block)
{
	size_t size = malloc_usable_size(block);
	size_t class = size < FIRST ? CLASSES : (size - FIRST) / STEP;
	struct stock *s = class < CLASSES ? own_stock() : NULL;
	struct spare *spare = block;

	if (s == NULL || s->n[class] * size >= KEPT_MAX) {
		free(block);
		return;
	}
	spare->next = s->first[class];
	s->first[class] = spare;
	s->n[class]++;
}

void h2_memory_free(void *block, void *memory)
{
	struct h2_memory *m = memory;

	if (block == NULL)
		return;
	if (m == NULL || block != m->pages) {
		give(block);
		return;
	}
	munmap(block, PAGES);
	m->pages = NULL;
}

void *h2_memory_realloc(void *block, size_t size, void *memory)
{
	size_t old = block ? size_of(memory, block) : 0;
	void *bigger;

	if (block && size <= old)
		return block;
	bigger = h2_memory_malloc(size, memory);
	if (bigger && block) {
		memcpy(bigger, block, old);
		h2_memory_free(block, memory);
	}
	return bigger;
}

void *h2_memory_array(void *block, size_t size)
{
	block = h2_memory_realloc(block, size, NULL);
	if (block == NULL)
		abort();
	return block;
}

void h2_memory_rest(struct h2_memory *memory)
{
	if (memory->pages)
		madvise(memory->pages, PAGES, MADV_DONTNEED);
}
