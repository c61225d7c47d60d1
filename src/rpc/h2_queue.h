/*
 * Bytes of one stream that have been taken to be written and cannot leave yet: a first-in,
 * first-out list of chunks. It knows nothing of frames and windows. Private to rpc/.
 */
#ifndef BRIDLE_RPC_H2_QUEUE_H
#define BRIDLE_RPC_H2_QUEUE_H

#include "base/slice.h"

struct h2_queue {
	struct h2_chunk *first, *last; /* owned */
	size_t at;                     /* bytes of the first chunk that have left */
	size_t len;                    /* bytes that wait */
};

/* Copies @data to the end. */
void h2_queue_add(struct h2_queue *q, struct slice data);
/* Views of the first @len bytes, or of as many as fit into @max pieces. Returns how many pieces;
 * they stay until something is dropped. */
int h2_queue_peek(const struct h2_queue *q, size_t len, struct slice *pieces, int max);
/* The first @len bytes have left. */
void h2_queue_drop(struct h2_queue *q, size_t len);
void h2_queue_clear(struct h2_queue *q);

#endif
