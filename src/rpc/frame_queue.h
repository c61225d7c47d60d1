/*
 * TTHeader Streaming frames that wait to be written, one behind the other in one piece of memory
 * that is there only while something waits. Private to rpc/.
 */
#ifndef BRIDLE_RPC_FRAME_QUEUE_H
#define BRIDLE_RPC_FRAME_QUEUE_H

#include "base/slice.h"

struct frame_queue {
	uint8_t *bytes; /* owned */
	size_t at, len; /* what waits: bytes[at .. at + len) */
	size_t size;    /* of the memory */
};

/* Adds whole frames, which the pieces make together. False when memory is gone: nothing was
 * added. */
bool frame_queue_add(struct frame_queue *q, const struct slice *pieces, int n);
/* Whole frames from the front: one, and more as long as all are not longer than @most. A view until
 * the queue is changed. Not of an empty queue. */
struct slice frame_queue_first(const struct frame_queue *q, size_t most);
/* Takes so many bytes from the front, whole frames. The memory goes with the last of them. */
void frame_queue_skip(struct frame_queue *q, size_t len);
void frame_queue_fini(struct frame_queue *q);

#endif
