/*
 * What a connection has to send: gathers small pieces into one send, keeps a batch until the end of
 * a turn, and queues what the kernel does not take. Knows a descriptor and bytes; it waits for
 * nothing and raises nothing, conn does.
 */
#ifndef BRIDLE_NET_OUTPUT_H
#define BRIDLE_NET_OUTPUT_H

#include <stdbool.h>

#include "base/clock.h"
#include "base/slice.h"

struct evbuffer;
struct loop;

enum output_result {
	OUTPUT_SENT,   /* the kernel has it all */
	OUTPUT_QUEUED, /* some waits in the queue: flush when the descriptor is writable */
	OUTPUT_BROKEN, /* error says why; no more can be sent */
};

/* All zero is empty. */
struct output {
	struct evbuffer *queue; /* owned; NULL when there is nothing in it */
	uint8_t *batch;         /* a loop's block, while there is something in it */
	uint32_t batch_len;
	int error;
	uint64_t written, taken; /* bytes since the beginning */
	usec_t moved;            /* when the queue began, or the kernel last took from it */
};

/* Gives up everything unsent. */
void output_fini(struct output *out, struct loop *loop);

/* Sends at once, after the batch; queues when something is queued already. */
enum output_result output_write(
    struct output *out, int fd, struct loop *loop, const struct slice *pieces, int n);
/* Only queues: OUTPUT_QUEUED, or OUTPUT_BROKEN without memory. */
enum output_result output_enqueue(
    struct output *out, struct loop *loop, const struct slice *pieces, int n);
/* Counts what is not going to be sent; OUTPUT_BROKEN. */
enum output_result output_discard(struct output *out, const struct slice *pieces, int n);
/* Puts the pieces into the batch; false, with nothing done, when they do not fit or a queue
 * exists. */
bool output_batch(struct output *out, struct loop *loop, const struct slice *pieces, int n);
/* Sends the batch. */
enum output_result output_flush_batch(struct output *out, int fd, struct loop *loop);
/* Sends from the queue until it is empty or the kernel takes no more. */
enum output_result output_flush_queue(struct output *out, int fd, struct loop *loop);

static inline size_t output_pending(const struct output *out)
{
	return (size_t)(out->written - out->taken);
}

#endif
