#include "net/output.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <event2/buffer.h>

#include "net/loop.h"

#define GATHER_MAX LOOP_BLOCK /* up to here a copy is cheaper than an iovec for each piece */
#define IOV_PIECES 16

static size_t total_of(const struct slice *pieces, int n)
{
	size_t total = 0;

	for (int i = 0; i < n; i++)
		total += pieces[i].len;
	return total;
}

static size_t gather(uint8_t *room, const struct slice *pieces, int n)
{
	size_t len = 0;

	for (int i = 0; i < n; i++) {
		if (pieces[i].len)
			memcpy(room + len, pieces[i].data, pieces[i].len);
		len += pieces[i].len;
	}
	return len;
}

void output_fini(struct output *out, struct loop *loop)
{
	if (out->queue)
		evbuffer_free(out->queue);
	loop_block_return(loop, out->batch);
	out->queue = NULL;
	out->batch = NULL;
	out->batch_len = 0;
}

static enum output_result broken(struct output *out, int error)
{
	out->error = error;
	return OUTPUT_BROKEN;
}

/* Bytes the kernel took, 0 when it takes none for now, -1 with out->error when it never will. */
static ssize_t taken(struct output *out, ssize_t n)
{
	if (n >= 0) {
		out->taken += (uint64_t)n;
		return n;
	}
	if (errno == EAGAIN || errno == EINTR)
		return 0;
	out->error = errno;
	return -1;
}

static ssize_t send_bytes(struct output *out, int fd, const void *data, size_t len)
{
	return taken(out, send(fd, data, len, MSG_NOSIGNAL));
}

static ssize_t send_iov(struct output *out, int fd, struct iovec *iov, int n)
{
	struct msghdr message = {.msg_iov = iov, .msg_iovlen = (size_t)n};

	return taken(out, sendmsg(fd, &message, MSG_NOSIGNAL));
}

static ssize_t send_large(struct output *out, int fd, const struct slice *pieces, int n)
{
	struct iovec iov[IOV_PIECES];
	ssize_t sent, whole = 0;

	for (int i = 0; i < n;) {
		size_t asked = 0;
		int count = 0;

		for (; i < n && count < IOV_PIECES; i++) {
			iov[count++] =
			    (struct iovec){(void *)(uintptr_t)pieces[i].data, pieces[i].len};
			asked += pieces[i].len;
		}
		sent = send_iov(out, fd, iov, count);
		if (sent < 0)
			return -1;
		whole += sent;
		if ((size_t)sent < asked)
			break;
	}
	return whole;
}

static ssize_t send_gathered(struct output *out, int fd, const struct slice *pieces, int n)
{
	uint8_t room[GATHER_MAX];

	return send_bytes(out, fd, room, gather(room, pieces, n));
}

static ssize_t send_pieces(
    struct output *out, int fd, const struct slice *pieces, int n, size_t total)
{
	if (n == 1)
		return send_bytes(out, fd, pieces[0].data, pieces[0].len);
	if (total <= GATHER_MAX)
		return send_gathered(out, fd, pieces, n);
	return send_large(out, fd, pieces, n);
}

/* Queues the pieces but for the first @skip bytes. */
static enum output_result enqueue(
    struct output *out, struct loop *loop, const struct slice *pieces, int n, size_t skip)
{
	if (out->queue == NULL) {
		out->queue = evbuffer_new();
		out->moved = loop_now(loop);
	}
	for (int i = 0; i < n && out->queue; i++) {
		struct slice rest = slice_from(pieces[i], skip);

		skip -= pieces[i].len - rest.len;
		if (rest.len && evbuffer_add(out->queue, rest.data, rest.len) < 0)
			return broken(out, ENOMEM);
	}
	return out->queue ? OUTPUT_QUEUED : broken(out, ENOMEM);
}

enum output_result output_flush_batch(struct output *out, int fd, struct loop *loop)
{
	struct slice all = slice_of(out->batch, out->batch_len);
	enum output_result result = OUTPUT_SENT;
	ssize_t sent;

	if (out->batch == NULL)
		return out->queue ? OUTPUT_QUEUED : OUTPUT_SENT;
	sent = send_bytes(out, fd, all.data, all.len);
	if (sent < 0)
		result = OUTPUT_BROKEN;
	else if ((size_t)sent < all.len)
		result = enqueue(out, loop, &all, 1, (size_t)sent);
	loop_block_return(loop, out->batch);
	out->batch = NULL;
	out->batch_len = 0;
	return result;
}

enum output_result output_write(
    struct output *out, int fd, struct loop *loop, const struct slice *pieces, int n)
{
	size_t total = total_of(pieces, n);
	ssize_t sent = 0;

	out->written += total;
	if (out->batch && output_flush_batch(out, fd, loop) == OUTPUT_BROKEN)
		return OUTPUT_BROKEN;
	if (total == 0)
		return out->queue ? OUTPUT_QUEUED : OUTPUT_SENT;
	if (out->queue == NULL)
		sent = send_pieces(out, fd, pieces, n, total);
	if (sent < 0)
		return OUTPUT_BROKEN;
	if ((size_t)sent == total)
		return OUTPUT_SENT;
	return enqueue(out, loop, pieces, n, (size_t)sent);
}

enum output_result output_enqueue(
    struct output *out, struct loop *loop, const struct slice *pieces, int n)
{
	size_t total = total_of(pieces, n);

	out->written += total;
	if (total == 0 && out->queue == NULL)
		return OUTPUT_SENT;
	return enqueue(out, loop, pieces, n, 0);
}

enum output_result output_discard(struct output *out, const struct slice *pieces, int n)
{
	out->written += total_of(pieces, n);
	return OUTPUT_BROKEN;
}

bool output_batch(struct output *out, struct loop *loop, const struct slice *pieces, int n)
{
	size_t total = total_of(pieces, n);

	if (out->queue || total > LOOP_BLOCK - out->batch_len)
		return false;
	out->written += total;
	if (total && out->batch == NULL)
		out->batch = loop_block_take(loop);
	if (total)
		out->batch_len += (uint32_t)gather(out->batch + out->batch_len, pieces, n);
	return true;
}

enum output_result output_flush_queue(struct output *out, int fd, struct loop *loop)
{
	struct evbuffer_iovec views[IOV_PIECES];

	/* To the last byte or to EAGAIN, not to the first short write: with an edge-triggered event
	 * the rest would wait for an edge that may have passed. */
	while (out->queue && evbuffer_get_length(out->queue)) {
		int n = evbuffer_peek(out->queue, -1, NULL, views, IOV_PIECES);
		ssize_t sent;

		n = n > IOV_PIECES ? IOV_PIECES : n;
		sent = send_iov(out, fd, (struct iovec *)views, n);
		if (sent < 0)
			return OUTPUT_BROKEN;
		if (sent == 0)
			return OUTPUT_QUEUED;
		evbuffer_drain(out->queue, (size_t)sent);
		out->moved = loop_now(loop);
	}
	if (out->queue)
		evbuffer_free(out->queue);
	out->queue = NULL;
	return OUTPUT_SENT;
}
