#include "rpc/h2_queue.h"

#include <stdlib.h>

#include "base/mem.h"

/* Small enough for a stream that waits for a window of a few bytes, large enough for a frame. */
#define CHUNK_MIN 1024u
#define CHUNK_MAX 16384u

struct h2_chunk {
	struct h2_chunk *next;
	size_t len, size;
	uint8_t bytes[];
};

static struct h2_chunk *append_chunk(struct h2_queue *q, size_t wanted)
{
	size_t size = wanted < CHUNK_MIN ? CHUNK_MIN : wanted > CHUNK_MAX ? CHUNK_MAX : wanted;
	struct h2_chunk *chunk = mem_alloc(sizeof *chunk + size);

	chunk->next = NULL;
	chunk->len = 0;
	chunk->size = size;
	if (q->last)
		q->last->next = chunk;
	else
		q->first = chunk;
	q->last = chunk;
	return chunk;
}

void h2_queue_add(struct h2_queue *q, struct slice data)
{
	q->len += data.len;
	while (data.len) {
		struct h2_chunk *chunk = q->last;
		size_t n;

		if (chunk == NULL || chunk->len == chunk->size)
			chunk = append_chunk(q, data.len);
		n = chunk->size - chunk->len;
		n = data.len < n ? data.len : n;
		memcpy(chunk->bytes + chunk->len, data.data, n);
		chunk->len += n;
		data = slice_from(data, n);
	}
}

int h2_queue_peek(const struct h2_queue *q, size_t len, struct slice *pieces, int max)
{
	const struct h2_chunk *chunk = q->first;
	size_t at = q->at;
	int n = 0;

	for (; chunk && len && n < max; chunk = chunk->next, at = 0) {
		pieces[n] = slice_first(slice_of(chunk->bytes + at, chunk->len - at), len);
		len -= pieces[n++].len;
	}
	return n;
}

void h2_queue_drop(struct h2_queue *q, size_t len)
{
	q->len -= len;
	while (q->first && len >= q->first->len - q->at) {
		struct h2_chunk *chunk = q->first;

		len -= chunk->len - q->at;
		q->first = chunk->next;
		q->at = 0;
		free(chunk);
	}
	q->at += len;
	if (q->first == NULL)
		q->last = NULL;
}

void h2_queue_clear(struct h2_queue *q)
{
	h2_queue_drop(q, q->len);
}
