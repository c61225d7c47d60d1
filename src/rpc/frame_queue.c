#include "rpc/frame_queue.h"

#include <stdlib.h>

#include "wire/ttstream.h"

#define SIZE_FIRST 1024u

/* Moves to the front what waits when that frees half of the memory at least, so that a byte is
 * moved once for each that has left. */
static bool make_room(struct frame_queue *q, size_t len)
{
	size_t size = q->size ? q->size : SIZE_FIRST;
	uint8_t *bigger;

	if (q->size - q->at - q->len >= len)
		return true;
	if (q->at && q->at >= q->len) {
		memmove(q->bytes, q->bytes + q->at, q->len);
		q->at = 0;
	}
	if (q->size - q->at - q->len >= len)
		return true;
	while (size - q->at - q->len < len)
		size *= 2;
	bigger = realloc(q->bytes, size);
	if (bigger == NULL)
		return false;
	q->bytes = bigger;
	q->size = size;
	return true;
}

bool frame_queue_add(struct frame_queue *q, const struct slice *pieces, int n)
{
	size_t len = 0;

	for (int i = 0; i < n; i++)
		len += pieces[i].len;
	if (!make_room(q, len))
		return false;
	for (int i = 0; i < n; i++) {
		if (pieces[i].len)
			memcpy(q->bytes + q->at + q->len, pieces[i].data, pieces[i].len);
		q->len += pieces[i].len;
	}
	return true;
}

struct slice frame_queue_first(const struct frame_queue *q, size_t most)
{
	struct slice all = slice_of(q->bytes + q->at, q->len);
	size_t len = (size_t)ttstream_frame_len(all);

	while (len < all.len) {
		size_t next = (size_t)ttstream_frame_len(slice_from(all, len));

		if (len + next > most)
			break;
		len += next;
	}
	return slice_first(all, len);
}

void frame_queue_skip(struct frame_queue *q, size_t len)
{
	q->at += len;
	q->len -= len;
	if (q->len == 0)
		frame_queue_fini(q);
}

void frame_queue_fini(struct frame_queue *q)
{
	free(q->bytes);
	*q = (struct frame_queue){0};
}
