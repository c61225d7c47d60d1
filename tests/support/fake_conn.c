/*
 * net/conn on the network that is not there. It differs from the real one in what it does to show
 * faults: see fake_net.h.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "net/loop.h"
#include "support/fake_parts.h"

#define READS_PER_TURN 4
#define POISON         0xa5

/* ---- beginning and end ---- */

static void defer(struct conn *conn)
{
	loop_defer(conn->loop, &conn->turn_end);
}

static void on_turn_end(struct loop_work *work);

static struct conn *new_conn(
    struct fake_end *end, enum conn_state state, const struct conn_events *events, void *arg)
{
	struct conn *conn = mem_calloc(1, sizeof *conn);

	conn->loop = end->loop;
	conn->end = end;
	conn->state = state;
	conn->events = events;
	conn->arg = arg;
	conn->turn_end.run = on_turn_end;
	end->conn = conn;
	end->loop->n_open++;
	fake_make_ready(end);
	return conn;
}

static void free_conn(void *object)
{
	struct conn *conn = object;

	fake_bytes_fini(&conn->batch);
	fake_bytes_fini(&conn->queue);
	free(conn);
}

static void stop(struct conn *conn)
{
	loop_undefer(&conn->turn_end);
	conn->end->was_cut |= conn->queue.len + conn->batch.len > 0;
	fake_bytes_fini(&conn->queue);
	fake_bytes_fini(&conn->batch);
}

static void dispose(struct conn *conn)
{
	struct fake_end *end = conn->end;

	assert(conn->state != GONE);
	stop(conn);
	conn->state = GONE;
	wheel_clear(&conn->patience);
	conn->loop->n_open--;
	end->conn = NULL;
	end->is_over = true;
	loop_reap(conn->loop, conn, free_conn);
	if (end->is_forgotten)
		fake_end_free(end);
}

static void broke(struct conn *conn, int error)
{
	if (conn->state == LEAVING) {
		dispose(conn);
		return;
	}
	stop(conn);
	conn->state = BROKEN;
	conn->error = error;
	conn->events->closed(conn->arg, error);
}

/* ---- input ---- */

static bool may_read(const struct conn *conn)
{
	return conn->state == OPEN && !conn->paused && !conn->has_ended;
}

/* The view is as short-lived as the real one, and what stays behind shows. */
static void give_input(struct conn *conn, const uint8_t *data, size_t len)
{
	uint8_t *room = mem_alloc(len);

	memcpy(room, data, len);
	conn->events->input(conn->arg, slice_of(room, len));
	memset(room, POISON, len);
	free(room);
}

static struct chunk *first_chunk(const struct fake_end *end)
{
	return list_is_empty(&end->chunks) ? NULL : list_item(end->chunks.next, struct chunk, link);
}

static void drop_chunk(struct chunk *chunk)
{
	list_remove(&chunk->link);
	free(chunk);
}

/* One chunk, in reads of at most the loop's buffer. The owner may close the conn meanwhile. */
static void read_chunk(struct conn *conn, struct chunk *chunk)
{
	struct fake_end *end = conn->end;

	for (int i = 0; i < READS_PER_TURN && may_read(conn); i++) {
		size_t len = chunk->len - chunk->at;
		bool is_last = len <= LOOP_READ_BUFFER;

		len = is_last ? len : LOOP_READ_BUFFER;
		chunk->at += len;
		end->unread -= len;
		if (is_last)
			list_remove(&chunk->link);
		give_input(conn, chunk->data + chunk->at - len, len);
		if (is_last) {
			free(chunk);
			return;
		}
	}
}

static void read_input(struct conn *conn)
{
	struct chunk *chunk = first_chunk(conn->end);
	enum chunk_kind kind;

	if (chunk == NULL)
		return;
	kind = chunk->kind;
	if (conn->state == LEAVING || conn->has_ended) {
		drop_chunk(chunk);
		if (kind == CHUNK_RESET || kind == CHUNK_GONE)
			broke(conn, ECONNRESET);
	} else if (!may_read(conn)) {
		return;
	} else if (kind == CHUNK_BYTES) {
		read_chunk(conn, chunk);
	} else {
		drop_chunk(chunk);
		if (kind == CHUNK_RESET) {
			broke(conn, ECONNRESET);
			return;
		}
		conn->has_ended = true;
		conn->events->eof(conn->arg);
	}
}

/* ---- output ---- */

/* Bytes taken, or -1 with errno. */
static ssize_t kernel_takes(struct fake_end *end, const uint8_t *data, size_t len)
{
	size_t n = len < end->room ? len : end->room;

	if (end->is_reset || (end->is_gone && end->is_unix)) {
		errno = EPIPE;
		return -1;
	}
	if (end->is_gone) { /* the kernel learns it from the answer to these bytes */
		fake_reset(end);
		return (ssize_t)len;
	}
	if (end->room != FAKE_ALL)
		end->room -= n;
	fake_bytes_add(&end->received, data, n);
	return (ssize_t)n;
}

static void enqueue(struct conn *conn, const uint8_t *data, size_t len)
{
	if (conn->queue.len == 0)
		conn->moved = conn->loop->now;
	fake_bytes_add(&conn->queue, data, len);
}

static bool send_now(struct conn *conn, const uint8_t *data, size_t len)
{
	ssize_t n = conn->queue.len || len == 0 ? 0 : kernel_takes(conn->end, data, len);

	if (n < 0) {
		conn->error = errno;
		return false;
	}
	conn->taken += (uint64_t)n;
	if ((size_t)n < len)
		enqueue(conn, data + n, len - (size_t)n);
	return true;
}

static void note_high(struct conn *conn)
{
	if (conn->queue.len && conn_pending(conn) > CONN_HIGH_WATER)
		conn->was_high = true;
}

static bool flush_batch(struct conn *conn)
{
	struct bytes batch = conn->batch;
	bool sent;

	conn->batch = (struct bytes){0};
	sent = send_now(conn, batch.data, batch.len);
	fake_bytes_fini(&batch);
	return sent;
}

/* What the other side said before it went is often the reason why. */
static void write_failed(struct conn *conn, int error)
{
	stop(conn);
	read_input(conn);
	if (conn->state == OPEN || conn->state == LEAVING)
		broke(conn, error);
}

static void settle_output(struct conn *conn, bool sent)
{
	if (!sent)
		write_failed(conn, conn->error);
	else if (conn->state == LEAVING && conn->queue.len == 0)
		dispose(conn);
	else
		note_high(conn);
}

static void flush_queue(struct conn *conn)
{
	ssize_t n = kernel_takes(conn->end, conn->queue.data, conn->queue.len);

	if (n < 0) {
		write_failed(conn, errno);
		return;
	}
	if (n == 0)
		return;
	conn->taken += (uint64_t)n;
	conn->moved = conn->loop->now;
	fake_bytes_drop(&conn->queue, (size_t)n);
	if (conn->state == LEAVING && conn->queue.len == 0) {
		dispose(conn);
	} else if (conn->was_high && conn->state == OPEN && conn_pending(conn) <= CONN_LOW_WATER) {
		conn->was_high = false;
		conn->events->drained(conn->arg);
	}
}

static void on_turn_end(struct loop_work *work)
{
	struct conn *conn = container_of(work, struct conn, turn_end);

	if (conn->state == CONNECTING)
		broke(conn, conn->error);
	else if (conn->error)
		write_failed(conn, conn->error);
	else
		settle_output(conn, flush_batch(conn));
}

/* ---- turns ---- */

static void finish_connect(struct conn *conn)
{
	struct fake_end *end = conn->end;

	end->is_connect_over = false;
	if (end->connect_error) {
		broke(conn, end->connect_error);
		return;
	}
	conn->state = OPEN;
	conn->events->connected(conn->arg);
	if (conn->state == OPEN && conn->queue.len)
		flush_queue(conn);
}

static bool has_more(const struct fake_end *end)
{
	const struct conn *conn = end->conn;
	struct chunk *chunk = first_chunk(end);

	if (conn == NULL || conn->state == BROKEN)
		return false;
	if (conn->state == CONNECTING)
		return end->is_connect_over;
	if (conn->queue.len && (end->room || end->is_reset))
		return true;
	if (chunk == NULL)
		return false;
	return may_read(conn) || conn->state == LEAVING || conn->has_ended;
}

void fake_conn_look(struct fake_end *end)
{
	struct conn *conn = end->conn;

	list_remove(&end->ready);
	if (!has_more(end))
		return;
	if (conn->state == CONNECTING) {
		finish_connect(conn);
	} else {
		read_input(conn);
		if ((conn->state == OPEN || conn->state == LEAVING) && conn->queue.len)
			flush_queue(conn);
	}
	/* A conn is freed at the end of the turn at the earliest, an end with it if forgotten. */
	if (conn->state != GONE && has_more(end))
		fake_make_ready(end);
}

/* ---- conn.h ---- */

struct conn *conn_accepted(struct loop *loop, int fd, const struct conn_events *events, void *arg)
{
	list_each (link, &loop->ends) {
		struct fake_end *end = list_item(link, struct fake_end, link);

		if (end->fd == fd)
			return new_conn(end, OPEN, events, arg);
	}
	abort();
}

/* @error 0: the connection is there, or will be. */
static enum conn_start start_of(enum fake_connect what, bool is_unix, int *error)
{
	*error = 0;
	switch (what) {
	case FAKE_DEFAULT:
	case FAKE_HANGS:
		return CONN_PENDING;
	case FAKE_AT_ONCE:
		return CONN_READY;
	case FAKE_REFUSED:
		*error = ECONNREFUSED;
		return is_unix ? CONN_FAILED : CONN_PENDING;
	case FAKE_BACKLOG:
		*error = EAGAIN;
		return CONN_BACKLOG;
	case FAKE_NO_DESCRIPTOR:
		*error = EMFILE;
		return CONN_FAILED;
	case FAKE_NAME_TAKEN:
		*error = EADDRINUSE;
		return CONN_FAILED;
	}
	abort();
}

enum conn_start conn_connect(struct loop *loop, const struct address *to,
    const struct conn_events *events, void *arg, struct conn **conn, int *error)
{
	return conn_connect_as(loop, SLICE_NONE, to, events, arg, conn, error);
}

enum conn_start conn_connect_as(struct loop *loop, struct slice name, const struct address *to,
    const struct conn_events *events, void *arg, struct conn **conn, int *error)
{
	bool is_unix = to->kind == ADDRESS_UNIX || to->kind == ADDRESS_ABSTRACT;
	enum fake_connect what = fake_next_script(loop, is_unix);
	enum conn_start start = start_of(what, is_unix, error);
	struct fake_end *end;

	*conn = NULL;
	loop->n_connects++;
	if (start == CONN_FAILED || start == CONN_BACKLOG)
		return start;
	end = fake_end_new(loop, is_unix);
	end->address = *to;
	if (name.len && name.len < sizeof end->name)
		memcpy(end->name, name.data, name.len);
	end->process = loop->process;
	end->connect_error = *error;
	end->is_connect_over = what != FAKE_HANGS;
	*conn = new_conn(end, start == CONN_READY ? OPEN : CONNECTING, events, arg);
	return start;
}

void conn_close(struct conn **at)
{
	struct conn *conn = *at;

	*at = NULL;
	if (conn)
		dispose(conn);
}

static void patience_over(struct timer *timer, usec_t now)
{
	(void)now;
	dispose(container_of(timer, struct conn, patience));
}

void conn_close_after_output(struct conn **at, usec_t patience)
{
	struct conn *conn = *at;

	*at = NULL;
	if (conn == NULL)
		return;
	loop_undefer(&conn->turn_end);
	if (conn->state == BROKEN || conn->error || conn->state == CONNECTING) {
		dispose(conn);
		return;
	}
	conn->state = LEAVING;
	wheel_set(&conn->loop->wheel, &conn->patience, usec_after(conn->loop->now, patience),
	    patience_over);
	settle_output(conn, flush_batch(conn));
}

static bool write_batched(struct conn *conn, const struct slice *pieces, int n, size_t total)
{
	defer(conn);
	if (conn->batch.len + total > LOOP_BLOCK && !flush_batch(conn))
		return false;
	for (int i = 0; i < n; i++) {
		if (conn->queue.len == 0 && total <= LOOP_BLOCK)
			fake_bytes_add(&conn->batch, pieces[i].data, pieces[i].len);
		else if (!send_now(conn, pieces[i].data, pieces[i].len))
			return false;
	}
	return true;
}

static bool write_by_state(struct conn *conn, const struct slice *pieces, int n, size_t total)
{
	struct bytes all = {0};
	bool sent = true;

	if (conn->is_batching && conn->state == OPEN)
		return write_batched(conn, pieces, n, total);
	for (int i = 0; i < n; i++)
		fake_bytes_add(&all, pieces[i].data, pieces[i].len);
	if (conn->state == CONNECTING)
		enqueue(conn, all.data, all.len);
	else
		sent = send_now(conn, all.data, all.len);
	fake_bytes_fini(&all);
	return sent;
}

int conn_write(struct conn *conn, const struct slice *pieces, int n, int *error)
{
	size_t total = 0;

	assert(conn->state != LEAVING && conn->state != GONE);
	for (int i = 0; i < n; i++)
		total += pieces[i].len;
	if (conn->state == BROKEN) {
		*error = conn->error;
		return -1;
	}
	conn->written += total;
	if (conn->error)
		return 0; /* `closed` is on its way */
	if (write_by_state(conn, pieces, n, total)) {
		note_high(conn);
		return 0;
	}
	if (conn->is_batching) {
		defer(conn);
		return 0;
	}
	*error = conn->error;
	stop(conn);
	conn->state = BROKEN;
	return -1;
}

void conn_set_batching(struct conn *conn, bool on)
{
	conn->is_batching = on;
}

uint64_t conn_written(const struct conn *conn)
{
	return conn->written;
}

uint64_t conn_taken(const struct conn *conn)
{
	return conn->taken;
}

size_t conn_pending(const struct conn *conn)
{
	return (size_t)(conn->written - conn->taken);
}

usec_t conn_stalled_since(const struct conn *conn)
{
	return conn->queue.len ? conn->moved : USEC_NONE;
}

void conn_pause(struct conn *conn, unsigned bit)
{
	assert(conn->state != GONE);
	conn->paused |= bit;
}

void conn_resume(struct conn *conn, unsigned bit)
{
	assert(conn->state != GONE);
	conn->paused &= ~bit;
	fake_make_ready(conn->end);
}

bool conn_is_quiet(struct conn *conn)
{
	return conn->state == OPEN && !conn->has_ended && !conn->error &&
	       list_is_empty(&conn->end->chunks);
}

#define USUAL_PROCESS 4711

bool conn_identity(const struct conn *conn, struct conn_identity *who)
{
	const struct fake_end *end = conn->end;

	if (end->uid < 0)
		return false;
	*who = (struct conn_identity){
	    end->process ? end->process : USUAL_PROCESS, (uid_t)end->uid, (gid_t)end->uid};
	return true;
}

/* Endpoints run as nobody in particular. */
bool conn_process(const struct conn *conn, struct conn_process *who)
{
	const struct fake_end *end = conn->end;

	if (!end->is_unix || end->process <= 0)
		return false;
	*who = (struct conn_process){end->process, end->uid < 0 ? 0 : (uid_t)end->uid, -1};
	return true;
}

/* The same for all: who asks for it is after more than numbers that differ. */
static bool address_is(struct address *address, const char *text)
{
	struct err err;

	return address_parse(address, slice_str(text), &err) == 0;
}

bool conn_address(const struct conn *conn, struct address *address)
{
	return address_is(address, conn->end->is_unix ? "unix:/run/local.sock" : "127.0.0.1:8888");
}

bool conn_peer_address(const struct conn *conn, struct address *address)
{
	return address_is(address, conn->end->is_unix ? "unix:@caller" : "127.0.0.1:40000");
}
