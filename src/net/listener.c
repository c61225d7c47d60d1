/*
 * An IPv6 address is bound as the kernel's default says: [::]:PORT takes IPv4 too, unless
 * net.ipv6.bindv6only is set.
 *
 * Out of descriptors, a level-triggered listening socket would wake the loop for ever. So accepting
 * pauses, longer each time, and one connection a time is turned away on a descriptor held in
 * reserve: its caller sees a closed connection at once instead of silence.
 */
#include "net/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "base/log.h"
#include "base/mem.h"
#include "net/loop.h"
#include "net/socket_file.h"

#define DEFAULT_BACKLOG 1024
#define ACCEPTS_A_TURN  64
#define PAUSE_FIRST     (100 * USEC_MS)
#define PAUSE_LONGEST   USEC_S

#define WAITING_MAX 4096u /* as many as a queue may hold: others come behind them */

struct listener {
	struct loop *loop;
	struct event event;
	struct address bound;
	struct socket_file file; /* unix: what the path meant when we began */
	const char *label;       /* borrowed */
	listener_accept_fn accept;
	void *arg;
	struct timer resume;
	usec_t pause; /* the last one; 0 after a success */
	struct log_gate gate;
	int fd, spare_fd;
	bool is_stopped, is_held;
};

/* --- binding --- */

static int fail_bind(int fd, const struct address *address, const char *doing, struct err *err)
{
	int code = errno;

	close(fd);
	if (code == EADDRINUSE)
		return err_set(err, code, "%s is served by another process", address->text);
	return err_set(err, code, "%s: cannot %s: %s", address->text, doing, strerror(code));
}

static int bind_address(
    int fd, const struct address *address, const struct listener_options *options, struct err *err)
{
	int one = 1;

	if (address->kind == ADDRESS_IP)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(fd, (const struct sockaddr *)&address->sa, address->len) < 0)
		return fail_bind(fd, address, "bind", err);
	if (listen(fd, options->backlog ? options->backlog : DEFAULT_BACKLOG) < 0)
		return fail_bind(fd, address, "listen", err);
	return fd;
}

static const char *path_of(const struct address *address)
{
	return ((const struct sockaddr_un *)&address->sa)->sun_path;
}

static int bind_path(
    int fd, const struct address *address, const struct listener_options *options, struct err *err)
{
	if (socket_file_listen(fd, path_of(address), options, err) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static void find_port(int fd, const struct address *address, struct address *bound)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof sa;

	*bound = *address;
	if (address->kind == ADDRESS_IP && getsockname(fd, (struct sockaddr *)&sa, &len) == 0)
		address_from_sockaddr(bound, (struct sockaddr *)&sa, len);
}

int listener_bind(const struct address *address, const struct listener_options *options,
    struct address *bound, struct err *err)
{
	int fd;

	if (address->kind == ADDRESS_NAME)
		return err_set(err, EINVAL, "%s: a listener needs an IP address, not a host name",
		    address->text);
	fd = socket(address->sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_set(
		    err, errno, "%s: cannot make a socket: %s", address->text, strerror(errno));
	if (address->kind == ADDRESS_UNIX)
		fd = bind_path(fd, address, options, err);
	else
		fd = bind_address(fd, address, options, err);
	if (fd >= 0)
		find_port(fd, address, bound);
	return fd;
}

void listener_listen(int fd)
{
	listen(fd, DEFAULT_BACKLOG); /* it did before: what could go wrong keeps it as it is */
}

/* --- accepting --- */

static void hold_spare(struct listener *l)
{
	if (l->spare_fd < 0)
		l->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void turn_one_away(struct listener *l)
{
	int fd;

	if (l->spare_fd < 0)
		return;
	close(l->spare_fd);
	l->spare_fd = -1;
	fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0)
		close(fd);
	hold_spare(l);
}

static void go_on(struct timer *timer, usec_t now)
{
	struct listener *l = container_of(timer, struct listener, resume);

	if (l->is_held)
		return;
	hold_spare(l);
	if (event_add(&l->event, NULL) < 0)
		wheel_set(loop_wheel(l->loop), &l->resume, usec_after(now, l->pause), go_on);
}

static void pause_accepting(struct listener *l, int error)
{
	usec_t now = loop_now(l->loop);
	unsigned held;

	l->pause = l->pause ? usec_min(2 * l->pause, PAUSE_LONGEST) : PAUSE_FIRST;
	if (log_gate_open(&l->gate, now, &held))
		log_warn("listener", "cannot accept, pausing",
		    "name=%s address=%s error=\"%s\" pause_ms=%u held_back=%u", l->label,
		    l->bound.text, strerror(error), (unsigned)(l->pause / USEC_MS), held);
	turn_one_away(l);
	event_del(&l->event);
	wheel_set(loop_wheel(l->loop), &l->resume, usec_after(now, l->pause), go_on);
}

/* The rest tells of one connection that has died in the queue: the next may be well. */
static bool is_lasting(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM ||
	       error == EINVAL; /* handed a socket that does not listen */
}

/* False when there is nothing to accept for now. */
static bool accept_one(struct listener *l)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof sa;
	struct address from;
	int fd = accept4(l->fd, (struct sockaddr *)&sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0 && errno == EAGAIN)
		return false;
	if (fd < 0 && is_lasting(errno)) {
		pause_accepting(l, errno);
		return false;
	}
	if (fd < 0)
		return true;
	l->pause = 0;
	address_from_sockaddr(&from, (struct sockaddr *)&sa, len);
	l->accept(l->arg, fd, &from);
	return true;
}

static void acceptable(evutil_socket_t fd, short what, void *arg)
{
	struct listener *l = arg;

	(void)fd;
	(void)what;
	for (int i = 0; i < ACCEPTS_A_TURN && !l->is_stopped; i++)
		if (!accept_one(l))
			return;
}

struct listener *listener_start(struct loop *loop, int fd, const struct address *bound,
    const char *label, listener_accept_fn accept, void *arg)
{
	struct listener *l = mem_calloc(1, sizeof *l);
	int one = 1;

	l->loop = loop;
	l->fd = fd;
	l->spare_fd = -1;
	l->bound = *bound;
	l->label = label;
	l->accept = accept;
	l->arg = arg;
	if (bound->kind == ADDRESS_UNIX)
		l->file = socket_file_look(path_of(bound));
	else if (bound->kind == ADDRESS_IP) /* accepted connections inherit it */
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	evutil_make_socket_nonblocking(fd);
	hold_spare(l);
	event_assign(&l->event, loop_base(loop), fd, EV_READ | EV_PERSIST, acceptable, l);
	if (event_add(&l->event, NULL) < 0)
		pause_accepting(l, errno);
	return l;
}

void listener_hold(struct listener *l, bool hold)
{
	if (l->is_held == hold)
		return;
	l->is_held = hold;
	if (hold)
		event_del(&l->event);
	else if (!timer_is_set(&l->resume))
		go_on(&l->resume, loop_now(l->loop));
}

void listener_take_waiting(struct listener *l, bool unlink_file)
{
	if (l->is_held)
		return;
	if (unlink_file && l->bound.kind == ADDRESS_UNIX)
		socket_file_remove(path_of(&l->bound), &l->file);
	for (unsigned i = 0; i < WAITING_MAX && !l->is_stopped; i++)
		if (!accept_one(l))
			return;
}

void listener_stop(struct listener **at, bool unlink_file)
{
	struct listener *l = *at;

	if (l == NULL)
		return;
	*at = NULL;
	l->is_stopped = true;
	wheel_clear(&l->resume);
	event_del(&l->event);
	if (unlink_file && l->bound.kind == ADDRESS_UNIX)
		socket_file_remove(path_of(&l->bound), &l->file);
	close(l->fd);
	if (l->spare_fd >= 0)
		close(l->spare_fd);
	loop_reap(l->loop, l, free);
}
