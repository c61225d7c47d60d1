#include "support/recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <check.h>

#include "base/mem.h"
#include "net/loop.h"

static void connected(void *arg)
{
	struct recorder *r = arg;

	ck_assert_int_eq(r->closeds, 0);
	r->connected++;
	if (r->on_connected)
		r->on_connected(r);
}

static void input(void *arg, struct slice in)
{
	struct recorder *r = arg;

	ck_assert_int_eq(r->eofs + r->closeds, 0);
	ck_assert_uint_gt(in.len, 0);
	r->inputs++;
	r->bytes = mem_realloc(r->bytes, r->len + in.len);
	memcpy(r->bytes + r->len, in.data, in.len);
	r->len += in.len;
	if (r->on_input)
		r->on_input(r);
}

static void eof(void *arg)
{
	struct recorder *r = arg;

	ck_assert_int_eq(r->eofs + r->closeds, 0);
	r->eofs++;
	if (r->on_eof)
		r->on_eof(r);
}

static void closed(void *arg, int error)
{
	struct recorder *r = arg;

	ck_assert_int_eq(r->closeds, 0);
	ck_assert_int_ne(error, 0);
	r->closeds++;
	r->error = error;
	if (r->on_closed)
		r->on_closed(r);
}

static void drained(void *arg)
{
	struct recorder *r = arg;

	ck_assert_int_eq(r->closeds, 0);
	ck_assert_uint_le(conn_pending(r->conn), CONN_LOW_WATER);
	r->draineds++;
	if (r->on_drained)
		r->on_drained(r);
}

const struct conn_events recorder_events = {connected, input, eof, closed, drained};

void recorder_fini(struct recorder *r)
{
	conn_close(&r->conn);
	free(r->bytes);
	r->bytes = NULL;
	r->len = 0;
}

int recorder_events_seen(const struct recorder *r)
{
	return r->connected + r->inputs + r->eofs + r->closeds + r->draineds;
}

void recorder_write(struct recorder *r, const void *bytes, size_t len)
{
	struct slice piece = slice_of(bytes, len);
	int error = 0;

	ck_assert_int_eq(conn_write(r->conn, &piece, 1, &error), 0);
}

void recorder_await(struct loop *loop, const int *count, int wanted)
{
	usec_t until = clock_monotonic() + 60 * USEC_S;

	while (*count < wanted) {
		ck_assert_uint_lt(clock_monotonic(), until);
		loop_turn(loop, 100 * USEC_MS);
	}
}

void recorder_settle(struct loop *loop)
{
	for (int i = 0; i < 10; i++)
		loop_turn(loop, 0);
}

bool loop_sleeps(struct loop *loop)
{
	enum { TURNS = 20, EARLY = 3 }; /* something may have been under way */
	usec_t began;

	loop_turn(loop, 0);
	began = loop_now(loop);
	for (int i = 0; i < TURNS; i++)
		loop_turn(loop, 5 * USEC_MS);
	return loop_now(loop) - began >= (TURNS - EARLY) * 5 * USEC_MS;
}

static void make_nonblocking(int fd)
{
	ck_assert_int_eq(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK), 0);
}

void pair_unix(int fds[2])
{
	ck_assert_int_eq(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
}

int listen_tcp(uint16_t *port)
{
	struct sockaddr_in sin = {.sin_family = AF_INET};
	socklen_t len = sizeof sin;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&sin, sizeof sin), 0);
	ck_assert_int_eq(listen(fd, 16), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
	*port = ntohs(sin.sin_port);
	return fd;
}

void pair_tcp(int fds[2])
{
	struct sockaddr_in sin = {.sin_family = AF_INET};
	uint16_t port;
	int listening = listen_tcp(&port), one = 1;

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	sin.sin_port = htons(port);
	fds[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(connect(fds[1], (struct sockaddr *)&sin, sizeof sin), 0);
	fds[0] = accept(listening, NULL, NULL);
	ck_assert_int_ge(fds[0], 0);
	close(listening);
	for (int i = 0; i < 2; i++) {
		setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		make_nonblocking(fds[i]);
	}
}

ssize_t far_read(int fd, void *room, size_t len)
{
	return recv(fd, room, len, MSG_DONTWAIT);
}

void far_write(int fd, const void *bytes, size_t len)
{
	ck_assert_int_eq(send(fd, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
}

void far_reset(int fd)
{
	struct linger reset = {.l_onoff = 1, .l_linger = 0};

	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset), 0);
	close(fd);
}

size_t far_waiting(int fd)
{
	int n = 0;

	ck_assert_int_eq(ioctl(fd, FIONREAD, &n), 0);
	return (size_t)n;
}

void stream_fill(uint8_t *room, size_t len, uint64_t at)
{
	for (size_t i = 0; i < len; i++)
		room[i] = stream_byte(at + i);
}

bool stream_matches(const uint8_t *bytes, size_t len, uint64_t at)
{
	for (size_t i = 0; i < len; i++)
		if (bytes[i] != stream_byte(at + i))
			return false;
	return true;
}
