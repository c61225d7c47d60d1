#include "daemon/successor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/mem.h"
#include "daemon/control.h"
#include "daemon/endpoint_orders.h"
#include "daemon/inheritance.h"
#include "daemon/upgrade.h"
#include "daemon/upgrade_channel.h"
#include "model/problems.h"
#include "net/loop.h"

enum state {
	STATE_TAKING,
	STATE_STARTING,
	STATE_PROVING, /* each worker's loop is to turn once */
	STATE_WAITING, /* for GO */
	STATE_SERVING,
	STATE_FAILED, /* the process is to end */
};

struct successor {
	struct control *control; /* borrowed; NULL until it is attached */
	enum state state;
	int channel; /* owned; -1: closed */
	struct event *input;
	pid_t predecessor;
	struct endpoint_orders *orders; /* owned until they are taken */
	uint32_t *taken;                /* owned: ids of the doors that the configuration has */
	size_t n_taken;
	unsigned unproven; /* workers that have not turned yet */
};

/* --- speaking --- */

/* The other side reads at once what it is sent, or has stopped: then so have we. */
static bool say(struct successor *s, enum upgrade_word word, uint32_t number, const char *text)
{
	const struct upgrade_message message = {
	    .word = word, .number = number, .text = slice_str(text)};
	struct pollfd writable = {.fd = s->channel, .events = POLLOUT};
	enum channel_result result;

	if (s->channel < 0)
		return false;
	while ((result = upgrade_channel_send(s->channel, &message, -1)) == CHANNEL_LATER)
		poll(&writable, 1, -1);
	return result == CHANNEL_DONE;
}

static void close_channel(struct successor *s)
{
	if (s->input)
		event_free(s->input);
	s->input = NULL;
	if (s->channel >= 0)
		close(s->channel);
	s->channel = -1;
}

void successor_fail(struct successor *s, const char *why)
{
	if (s->state == STATE_FAILED)
		return;
	s->state = STATE_FAILED;
	log_error("upgrade", "this new process does not serve", "error=\"%s\"", why);
	say(s, UPGRADE_FAILED, 0, why);
	close_channel(s);
	if (s->control)
		loop_stop(s->control->loop);
}

void successor_fail_by_problems(struct successor *s, const struct problems *problems)
{
	const struct problem *first = NULL;
	struct err err;

	for (size_t i = 0; i < problems->n && first == NULL; i++)
		if (!problems->list[i].is_warning)
			first = &problems->list[i];
	if (first)
		err_set(&err, 0, "%s:%u:%u: %s: %s", first->file ? first->file : "", first->line,
		    first->column, first->path, first->text);
	else
		err_set(&err, 0, "the configuration cannot be read");
	successor_fail(s, err.text);
}

/* --- taking --- */

static int find_channel(int *channel, struct err *err)
{
	const char *text = getenv(UPGRADE_VARIABLE);
	uint64_t number = 0;
	int type = 0;
	socklen_t len = sizeof type;

	if (text == NULL || !slice_to_u64(slice_str(text), &number) || number > INT32_MAX ||
	    getsockopt((int)number, SOL_SOCKET, SO_TYPE, &type, &len) < 0 || type != SOCK_SEQPACKET)
		return err_set(err, 0,
		    "--upgrade is for the daemon's own use: bridlectl upgrade, or SIGUSR2 to the "
		    "running one");
	*channel = (int)number;
	fcntl(*channel, F_SETFD, FD_CLOEXEC);
	unsetenv(UPGRADE_VARIABLE);
	return 0;
}

static int wait_for_input(int channel, struct err *err)
{
	struct pollfd readable = {.fd = channel, .events = POLLIN};

	while (poll(&readable, 1, -1) < 0)
		if (errno != EINTR)
			return err_set(
			    err, errno, "cannot wait for the old process: %s", strerror(errno));
	return 0;
}

/* One message, waited for; 0, or -1 with @err set. */
static int hear(
    int channel, uint8_t *room, struct upgrade_message *message, int *fd, struct err *err)
{
	enum channel_result result;
	size_t length;

	while ((result = upgrade_channel_receive(channel, room, &length, fd)) == CHANNEL_LATER)
		if (wait_for_input(channel, err) < 0)
			return -1;
	if (result == CHANNEL_ENDED)
		return err_set(err, 0, "the old process is gone, or has given up");
	if (upgrade_message_read(message, slice_of(room, length), err) == 0)
		return 0;
	if (*fd >= 0)
		close(*fd);
	return -1;
}

static int take_order(
    struct endpoint_orders *orders, const struct upgrade_message *m, struct err *err)
{
	struct endpoint_order order;

	if (upgrade_order_read(m, &order) < 0)
		return err_set(err, 0, "an order of the old process is not understood");
	return endpoint_orders_give(orders, &order, err);
}

static int take_doors(struct successor *s, struct inheritance *inheritance, struct err *err)
{
	uint8_t room[UPGRADE_MESSAGE_MAX];
	struct upgrade_message m;
	uint32_t n = 0;
	int fd;

	while (hear(s->channel, room, &m, &fd, err) == 0) {
		if (m.word == UPGRADE_DOOR && fd >= 0) {
			inheritance_add(inheritance, m.kind, m.number, m.text, fd);
			n++;
			continue;
		}
		if (fd >= 0)
			close(fd);
		if (m.word == UPGRADE_DOORS_END && m.number == n)
			return 0;
		if (m.word == UPGRADE_ORDER) {
			if (take_order(s->orders, &m, err) < 0)
				return -1;
			continue;
		}
		return err_set(err, 0, "the old process has passed something else than sockets");
	}
	return -1;
}

static pid_t process_behind(int channel)
{
	struct ucred who;
	socklen_t len = sizeof who;

	return getsockopt(channel, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0 ? 0 : who.pid;
}

struct successor *successor_new(struct inheritance *inheritance, struct err *err)
{
	struct successor *s = mem_calloc(1, sizeof *s);

	s->channel = -1;
	if (find_channel(&s->channel, err) < 0) {
		free(s);
		return NULL;
	}
	s->predecessor = process_behind(s->channel);
	s->orders = endpoint_orders_new((uint64_t)clock_calendar());
	if (take_doors(s, inheritance, err) < 0) {
		successor_fail(s, err->text);
		successor_free(&s);
		return NULL;
	}
	s->state = STATE_STARTING;
	return s;
}

void successor_free(struct successor **ps)
{
	struct successor *s = *ps;

	if (s == NULL)
		return;
	*ps = NULL;
	close_channel(s);
	free(s->taken);
	endpoint_orders_free(&s->orders);
	free(s);
}

/* --- proving --- */

static void say_ready(struct successor *s)
{
	bool is_said = true;

	for (size_t i = 0; i < s->n_taken; i++)
		is_said = is_said && say(s, UPGRADE_TOOK, s->taken[i], "");
	s->state = STATE_WAITING;
	log_info("upgrade", "ready, waiting for the old process", "process=%d sockets=%zu",
	    (int)s->predecessor, s->n_taken);
	if (!is_said || !say(s, UPGRADE_READY, (uint32_t)s->n_taken, ""))
		successor_fail(s, "the old process is gone");
}

/* In the control thread. */
static void turned(void *arg)
{
	struct successor *s = arg;

	if (--s->unproven == 0 && s->state == STATE_PROVING)
		say_ready(s);
}

/* In a worker's thread. */
static void turn(void *arg)
{
	struct successor *s = arg;

	inbox_post(s->control->inbox, turned, s);
}

void successor_is_complete(struct successor *s)
{
	struct control *c = s->control;

	if (s->state != STATE_STARTING)
		return;
	s->state = STATE_PROVING;
	s->unproven = c->workers.n;
	for (unsigned i = 0; i < c->workers.n; i++)
		worker_thread_post(c->workers.threads[i], turn, s);
}

/* --- the turn --- */

static void serve(struct successor *s, const struct upgrade_message *go)
{
	uint64_t failed = 0;
	struct err err;

	if (control_enter(s->control, &err) < 0) {
		successor_fail(s, err.text);
		return;
	}
	s->state = STATE_SERVING;
	slice_to_u64(go->text, &failed);
	upgrade_was_made(s->control->upgrade, go->number, failed);
	say(s, UPGRADE_SERVING, 0, "");
	close_channel(s);
	log_info(
	    "upgrade", "serving in place of the old process", "process=%d", (int)s->predecessor);
}

static void has_input(evutil_socket_t channel, short what, void *arg)
{
	struct successor *s = arg;
	uint8_t room[UPGRADE_MESSAGE_MAX];
	struct upgrade_message message;
	struct err err;
	int fd;

	(void)what;
	if (hear((int)channel, room, &message, &fd, &err) < 0) {
		successor_fail(s, err.text);
		return;
	}
	if (fd >= 0)
		close(fd);
	if (message.word == UPGRADE_GO && s->state == STATE_WAITING)
		serve(s, &message);
	else
		successor_fail(s, "the old process says what it should not say now");
}

static void note_taken(void *arg, uint32_t id)
{
	struct successor *s = arg;

	s->taken = mem_realloc(s->taken, (s->n_taken + 1) * sizeof *s->taken);
	s->taken[s->n_taken++] = id;
}

void successor_attach(struct successor *s, struct control *control)
{
	s->control = control;
	inheritance_visit_taken(control->bindings.inheritance, note_taken, s);
	s->input =
	    event_new(loop_base(control->loop), s->channel, EV_READ | EV_PERSIST, has_input, s);
	event_add(s->input, NULL);
}

struct endpoint_orders *successor_take_orders(struct successor *s)
{
	struct endpoint_orders *orders = s->orders;

	s->orders = NULL;
	return orders;
}

bool successor_is_waiting(const struct successor *s)
{
	return s && s->state != STATE_SERVING;
}

bool successor_has_failed(const struct successor *s)
{
	return s && s->state == STATE_FAILED;
}

pid_t successor_of(const struct successor *s)
{
	return s->predecessor;
}
