/*
 *   CONNECTING --connected--> OPEN --conn_close_after_output--> LEAVING
 *        |                     |                                   |
 *        +------ broken -------+--> BROKEN ------ conn_close ------+--> GONE (freed by the loop)
 *
 * The read event stays in the kernel's set for the connection's life: a pause only leaves a mark,
 * and the event goes when bytes arrive under that mark. The write event exists while there is
 * something to wait for.
 *
 * After the end of input the descriptor would be readable for ever. It is watched edge-triggered
 * from then on: a reset, or a unix peer that closed altogether, makes one more edge, and poll tells
 * it from a mere half-close. A TCP peer that closed altogether looks like one that half-closed
 * until it answers our next bytes with a reset.
 *
 * What is known to be broken inside a call of the owner, but may not be raised there, waits as
 * output.error for the end of the turn.
 */
#include "net/conn.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "base/mem.h"
#include "net/loop.h"
#include "net/output.h"
#include "net/process.h"
#include "net/socket_file.h"

#define READS_PER_TURN 4      /* full buffers of one connection before the others have their turn */
#define LINGER_MAX     USEC_S /* for the other side to close too, once it has everything */

enum conn_state {
	STATE_CONNECTING, /* the kernel's word that connect is over */
	STATE_OPEN,       /* bytes either way */
	STATE_BROKEN,     /* the owner's conn_close; no event comes any more */
	STATE_LEAVING,    /* no owner: the end of the queue, then of the input, or the timer */
	STATE_GONE,       /* closed; the end of the turn */
};

struct farewell {
	struct timer timer;
	struct loop_orphan orphan;
	struct conn *conn;
};

struct conn {
	struct loop *loop;
	const struct conn_events *events; /* borrowed */
	void *arg;                        /* borrowed */
	struct event read;
	struct event *write;       /* owned; NULL: not waiting to write */
	struct farewell *farewell; /* owned; set: nobody listens to events any more */
	struct loop_work turn_end;
	struct output output;
	int fd;
	unsigned paused;
	enum conn_state state;
	bool is_batching;
	bool has_ended;  /* eof was raised */
	bool was_high;   /* the queue went over the high-water mark */
	bool is_reading; /* the read event is in the kernel's set */
	bool has_shut;   /* LEAVING: the queue is out, our half is closed */
};

static void readable(evutil_socket_t fd, short what, void *arg);
static void writable(evutil_socket_t fd, short what, void *arg);
static void on_turn_end(struct loop_work *work);
static void leave(struct conn *conn);

static struct conn *new_conn(
    struct loop *loop, int fd, enum conn_state state, const struct conn_events *events, void *arg)
{
	struct conn *conn = mem_calloc(1, sizeof *conn);

	conn->loop = loop;
	conn->fd = fd;
	conn->state = state;
	conn->events = events;
	conn->arg = arg;
	conn->turn_end.run = on_turn_end;
	return conn;
}

/* Raises `closed` with @error at the end of the turn. */
static void break_later(struct conn *conn, int error)
{
	conn->output.error = error ? error : ENOMEM;
	loop_defer(conn->loop, &conn->turn_end);
}

static void stop_reading(struct conn *conn)
{
	if (conn->is_reading)
		event_del(&conn->read);
	conn->is_reading = false;
}

static short edge_if_ended(const struct conn *conn)
{
	/* libevent wants one mode for both events of a descriptor. */
	return conn->has_ended ? EV_ET : 0;
}

static void start_reading(struct conn *conn)
{
	short what = (short)(EV_READ | EV_PERSIST | edge_if_ended(conn));

	if (conn->is_reading)
		return;
	event_assign(&conn->read, loop_base(conn->loop), conn->fd, what, readable, conn);
	if (event_add(&conn->read, NULL) < 0)
		break_later(conn, errno);
	else
		conn->is_reading = true;
}

static void stop_writing(struct conn *conn)
{
	if (conn->write)
		event_free(conn->write);
	conn->write = NULL;
}

static void start_writing(struct conn *conn)
{
	short what = (short)(EV_WRITE | EV_PERSIST | edge_if_ended(conn));

	if (conn->write)
		return;
	conn->write = event_new(loop_base(conn->loop), conn->fd, what, writable, conn);
	if (conn->write == NULL || event_add(conn->write, NULL) < 0)
		break_later(conn, errno);
}

static void stop(struct conn *conn)
{
	stop_reading(conn);
	stop_writing(conn);
	loop_undefer(&conn->turn_end);
	output_fini(&conn->output, conn->loop);
}

static void dispose(struct conn *conn)
{
	assert(conn->state != STATE_GONE);
	conn->state = STATE_GONE;
	stop(conn);
	close(conn->fd);
	if (conn->farewell) {
		wheel_clear(&conn->farewell->timer);
		list_remove(&conn->farewell->orphan.link);
		free(conn->farewell);
	}
	loop_reap(conn->loop, conn, free);
}

static void broke(struct conn *conn, int error)
{
	if (conn->farewell) {
		dispose(conn);
		return;
	}
	stop(conn);
	conn->state = STATE_BROKEN;
	conn->output.error = error;
	conn->events->closed(conn->arg, error);
}

/* --- input --- */

static void ended(struct conn *conn)
{
	bool was_writing = conn->write != NULL;

	conn->has_ended = true;
	stop_reading(conn);
	if (was_writing) {
		stop_writing(conn);
		start_writing(conn);
	}
	if (conn->state == STATE_LEAVING) {
		if (conn->has_shut)
			dispose(conn);
		else
			start_reading(conn);
		return;
	}
	conn->events->eof(conn->arg);
	if (conn->state == STATE_OPEN || conn->state == STATE_LEAVING)
		start_reading(conn);
}

/* False when reading is over for this turn. */
static bool read_once(struct conn *conn)
{
	uint8_t *room = loop_read_buffer(conn->loop);
	ssize_t n = recv(conn->fd, room, LOOP_READ_BUFFER, 0);

	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			broke(conn, errno);
		return false;
	}
	if (n == 0) {
		ended(conn);
		return false;
	}
	if (conn->state == STATE_OPEN)
		conn->events->input(conn->arg, slice_of(room, (size_t)n));
	return (size_t)n == LOOP_READ_BUFFER;
}

static bool may_read(const struct conn *conn)
{
	if (conn->has_ended)
		return false;
	return (conn->state == STATE_OPEN && !conn->paused) || conn->state == STATE_LEAVING;
}

static void read_input(struct conn *conn)
{
	for (int i = 0; i < READS_PER_TURN && may_read(conn); i++)
		if (!read_once(conn))
			return;
}

static int socket_error(int fd)
{
	int error = 0;
	socklen_t len = sizeof error;

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		return errno;
	return error;
}

/* After the end of input: has the other side only stopped sending, or is it gone? */
static void look_for_break(struct conn *conn)
{
	struct pollfd p = {.fd = conn->fd};
	int error;

	if (poll(&p, 1, 0) <= 0 || !(p.revents & (POLLHUP | POLLERR)))
		return;
	error = socket_error(conn->fd);
	broke(conn, error ? error : ECONNRESET);
}

static void readable(evutil_socket_t fd, short what, void *arg)
{
	struct conn *conn = arg;

	(void)fd;
	(void)what;
	if (conn->has_ended)
		look_for_break(conn);
	else if (may_read(conn))
		read_input(conn);
	else
		stop_reading(conn);
}

/* --- output --- */

/* In the loop only. */
static void write_failed(struct conn *conn, int error)
{
	/* What the other side said before it went is often the reason why. */
	output_fini(&conn->output, conn->loop);
	read_input(conn);
	if (conn->state == STATE_OPEN || conn->state == STATE_LEAVING)
		broke(conn, error);
}

static void settle_output(struct conn *conn, enum output_result result)
{
	switch (result) {
	case OUTPUT_SENT:
		stop_writing(conn);
		if (conn->state == STATE_LEAVING)
			leave(conn);
		break;
	case OUTPUT_QUEUED:
		start_writing(conn);
		if (output_pending(&conn->output) > CONN_HIGH_WATER)
			conn->was_high = true;
		break;
	case OUTPUT_BROKEN:
		write_failed(conn, conn->output.error);
		break;
	}
}

static void flush_queue(struct conn *conn)
{
	settle_output(conn, output_flush_queue(&conn->output, conn->fd, conn->loop));
	if (conn->was_high && conn->state == STATE_OPEN &&
	    output_pending(&conn->output) <= CONN_LOW_WATER) {
		conn->was_high = false;
		conn->events->drained(conn->arg);
	}
}

static void on_turn_end(struct loop_work *work)
{
	struct conn *conn = container_of(work, struct conn, turn_end);

	if (conn->state == STATE_CONNECTING)
		broke(conn, conn->output.error);
	else if (conn->output.error)
		write_failed(conn, conn->output.error);
	else
		settle_output(conn, output_flush_batch(&conn->output, conn->fd, conn->loop));
}

/* --- connecting --- */

static void reset_on_close(int fd)
{
	struct linger reset = {.l_onoff = 1, .l_linger = 0};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
}

/* A loopback port that nobody listens on may be given to the very socket that connects to it. It
 * would talk to itself, and the service could not bind its port any more. */
static bool is_connected_to_itself(int fd)
{
	struct sockaddr_storage here, there;
	socklen_t here_len = sizeof here, there_len = sizeof there;

	if (getsockname(fd, (struct sockaddr *)&here, &here_len) < 0 ||
	    getpeername(fd, (struct sockaddr *)&there, &there_len) < 0)
		return false;
	return here_len == there_len && memcmp(&here, &there, here_len) == 0;
}

static void finish_connect(struct conn *conn)
{
	int error = socket_error(conn->fd);

	if (error == 0 && is_connected_to_itself(conn->fd)) {
		reset_on_close(conn->fd); /* else the port stays in TIME_WAIT */
		error = ECONNREFUSED;
	}
	if (error) {
		broke(conn, error);
		return;
	}
	conn->state = conn->farewell ? STATE_LEAVING : STATE_OPEN;
	start_reading(conn);
	if (conn->state == STATE_OPEN)
		conn->events->connected(conn->arg);
	if (conn->state == STATE_OPEN || conn->state == STATE_LEAVING)
		flush_queue(conn);
}

static void writable(evutil_socket_t fd, short what, void *arg)
{
	struct conn *conn = arg;

	(void)fd;
	(void)what;
	if (conn->state == STATE_CONNECTING)
		finish_connect(conn);
	else
		flush_queue(conn);
}

static enum conn_start start_of(int error, int family)
{
	if (error == 0)
		return CONN_READY;
	if (family == AF_UNIX)
		return error == EAGAIN ? CONN_BACKLOG : CONN_FAILED;
	return error == EINPROGRESS || error == EINTR ? CONN_PENDING : CONN_FAILED;
}

/* Returns an errno, 0 when it is bound. */
static int bind_name(int fd, struct slice name)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	size_t len = offsetof(struct sockaddr_un, sun_path) + 1 + name.len;

	if (name.len > sizeof sa.sun_path - 1)
		return ENAMETOOLONG;
	memcpy(sa.sun_path + 1, name.data, name.len);
	return bind(fd, (const struct sockaddr *)&sa, (socklen_t)len) < 0 ? errno : 0;
}

static enum conn_start start_connect(int fd, const struct address *to, int *error)
{
	int family = to->sa.ss_family, one = 1;

	if (family != AF_UNIX)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	*error = connect(fd, (const struct sockaddr *)&to->sa, to->len) < 0 ? errno : 0;
	return start_of(*error, family);
}

enum conn_start conn_connect_as(struct loop *loop, struct slice name, const struct address *to,
    const struct conn_events *events, void *arg, struct conn **conn, int *error)
{
	enum conn_start start = CONN_FAILED;
	int fd;

	*conn = NULL;
	*error = EDESTADDRREQ;
	if (to->len == 0)
		return CONN_FAILED;
	fd = socket(to->sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	*error = errno;
	if (fd < 0)
		return CONN_FAILED;
	*error = name.len ? bind_name(fd, name) : 0;
	if (*error == 0)
		start = start_connect(fd, to, error);
	if (start == CONN_BACKLOG || start == CONN_FAILED) {
		close(fd);
		return start;
	}
	*conn =
	    new_conn(loop, fd, start == CONN_READY ? STATE_OPEN : STATE_CONNECTING, events, arg);
	if (start == CONN_READY)
		start_reading(*conn);
	else
		start_writing(*conn);
	return start;
}

enum conn_start conn_connect(struct loop *loop, const struct address *to,
    const struct conn_events *events, void *arg, struct conn **conn, int *error)
{
	return conn_connect_as(loop, SLICE_NONE, to, events, arg, conn, error);
}

struct conn *conn_accepted(struct loop *loop, int fd, const struct conn_events *events, void *arg)
{
	struct conn *conn = new_conn(loop, fd, STATE_OPEN, events, arg);

	if (evutil_make_socket_nonblocking(fd) < 0)
		break_later(conn, errno);
	else
		start_reading(conn);
	return conn;
}

/* --- closing --- */

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
	dispose(container_of(timer, struct farewell, timer)->conn);
}

static void have_patience(struct conn *conn, usec_t patience)
{
	wheel_set(loop_wheel(conn->loop), &conn->farewell->timer,
	    usec_after(loop_now(conn->loop), patience), patience_over);
}

/* The queue is out. Closing now, with input unread, would send a reset that may overtake the last
 * bytes: so the other side is told, and gets a moment to close first. */
static void leave(struct conn *conn)
{
	if (conn->has_shut)
		return;
	conn->has_shut = true;
	if (conn->has_ended || shutdown(conn->fd, SHUT_WR) < 0) {
		dispose(conn);
		return;
	}
	conn->farewell->orphan.may_end = true;
	have_patience(conn, LINGER_MAX);
}

static void abandoned(struct loop_orphan *orphan)
{
	dispose(container_of(orphan, struct farewell, orphan)->conn);
}

void conn_close_after_output(struct conn **at, usec_t patience)
{
	struct conn *conn = *at;
	enum output_result result;

	*at = NULL;
	if (conn == NULL)
		return;
	loop_undefer(&conn->turn_end);
	result = output_flush_batch(&conn->output, conn->fd, conn->loop);
	if (conn->state == STATE_BROKEN || conn->output.error ||
	    (conn->state == STATE_CONNECTING && output_pending(&conn->output) == 0)) {
		dispose(conn);
		return;
	}
	conn->farewell = mem_calloc(1, sizeof *conn->farewell);
	conn->farewell->conn = conn;
	conn->farewell->orphan.end = abandoned;
	loop_adopt(conn->loop, &conn->farewell->orphan);
	have_patience(conn, patience);
	if (conn->state == STATE_CONNECTING)
		return;
	conn->state = STATE_LEAVING;
	start_reading(conn);
	settle_output(conn, result);
}

/* --- the owner's side of an open connection --- */

static enum output_result write_batched(struct conn *conn, const struct slice *pieces, int n)
{
	loop_defer(conn->loop, &conn->turn_end);
	if (output_batch(&conn->output, conn->loop, pieces, n))
		return OUTPUT_SENT;
	if (output_flush_batch(&conn->output, conn->fd, conn->loop) == OUTPUT_SENT &&
	    output_batch(&conn->output, conn->loop, pieces, n))
		return OUTPUT_SENT;
	return output_write(&conn->output, conn->fd, conn->loop, pieces, n);
}

static enum output_result write_by_state(struct conn *conn, const struct slice *pieces, int n)
{
	if (conn->output.error) /* `closed` is on its way */
		return output_discard(&conn->output, pieces, n);
	if (conn->state == STATE_CONNECTING)
		return output_enqueue(&conn->output, conn->loop, pieces, n);
	if (conn->is_batching)
		return write_batched(conn, pieces, n);
	return output_write(&conn->output, conn->fd, conn->loop, pieces, n);
}

int conn_write(struct conn *conn, const struct slice *pieces, int n, int *error)
{
	enum output_result result;

	if (conn->state == STATE_BROKEN) {
		*error = conn->output.error;
		return -1;
	}
	result = write_by_state(conn, pieces, n);
	if (result == OUTPUT_SENT)
		return 0;
	if (result == OUTPUT_QUEUED) {
		settle_output(conn, result);
		return 0;
	}
	if (conn->is_batching || loop_is_deferred(&conn->turn_end)) {
		break_later(conn, conn->output.error);
		return 0;
	}
	*error = conn->output.error;
	stop(conn);
	conn->state = STATE_BROKEN;
	return -1;
}

void conn_set_batching(struct conn *conn, bool on)
{
	conn->is_batching = on;
}

uint64_t conn_written(const struct conn *conn)
{
	return conn->output.written;
}

uint64_t conn_taken(const struct conn *conn)
{
	return conn->output.taken;
}

size_t conn_pending(const struct conn *conn)
{
	return output_pending(&conn->output);
}

usec_t conn_stalled_since(const struct conn *conn)
{
	return conn->output.queue ? conn->output.moved : USEC_NONE;
}

void conn_pause(struct conn *conn, unsigned bit)
{
	conn->paused |= bit;
}

void conn_resume(struct conn *conn, unsigned bit)
{
	conn->paused &= ~bit;
	if (conn->paused == 0 && conn->state == STATE_OPEN && !conn->has_ended)
		start_reading(conn);
}

bool conn_is_quiet(struct conn *conn)
{
	char byte;

	if (conn->state != STATE_OPEN || conn->has_ended || conn->output.error)
		return false;
	return recv(conn->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

bool conn_identity(const struct conn *conn, struct conn_identity *who)
{
	int domain = 0;
	socklen_t len = sizeof domain;
	struct ucred peer;

	if (getsockopt(conn->fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0 || domain != AF_UNIX)
		return false;
	len = sizeof peer;
	if (getsockopt(conn->fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return false;
	*who = (struct conn_identity){peer.pid, peer.uid, peer.gid};
	return true;
}

static void name_after_file(struct sockaddr_storage *sa)
{
	struct sockaddr_un *un = (struct sockaddr_un *)sa;
	size_t len = strnlen(un->sun_path, sizeof un->sun_path);
	struct slice path = socket_file_path(slice_of(un->sun_path, len));

	memset(un->sun_path + path.len, 0, len - path.len);
}

bool conn_address(const struct conn *conn, struct address *address)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof sa;

	if (getsockname(conn->fd, (struct sockaddr *)&sa, &len) < 0)
		return false;
	if (sa.ss_family == AF_UNIX)
		name_after_file(&sa);
	address_from_sockaddr(address, (const struct sockaddr *)&sa, len);
	return true;
}

bool conn_peer_address(const struct conn *conn, struct address *address)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof sa;

	if (getpeername(conn->fd, (struct sockaddr *)&sa, &len) < 0)
		return false;
	address_from_sockaddr(address, (const struct sockaddr *)&sa, len);
	return true;
}

bool conn_process(const struct conn *conn, struct conn_process *who)
{
	struct conn_identity identity;
	bool is_known;

	if (!conn_identity(conn, &identity) || identity.pid <= 0)
		return false;
	who->pid = identity.pid;
	who->uid = identity.uid;
	who->process = process_of_peer(conn->fd, identity.pid, &is_known);
	if (process_is_alive(who->process))
		return who->process >= 0 || !is_known;
	close(who->process);
	return false;
}
