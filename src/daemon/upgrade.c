#include "daemon/upgrade.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/mem.h"
#include "daemon/admin.h"
#include "daemon/control.h"
#include "daemon/endpoint_orders.h"
#include "daemon/metadata_socket.h"
#include "daemon/notify.h"
#include "daemon/upgrade_channel.h"
#include "daemon/upgrade_spawn.h"
#include "net/loop.h"
#include "proxy/correlation.h"
#include "registry/client.h"

#define SERVES_WITHIN (5 * USEC_S)    /* after it was told to */
#define ENDS_WITHIN   (500 * USEC_MS) /* of its own accord, once it has closed the channel */
#define LOOK_EVERY    (5 * USEC_MS)   /* for the end of a process */
#define ADMIN_ID      UINT32_MAX      /* the door that is in no listener */

enum state {
	STATE_NONE,
	STATE_PROVING, /* the new process starts; doors are passed to it */
	STATE_GOING,   /* it was told to serve */
	STATE_OVER,    /* it serves; we are leaving */
	STATE_FAILING, /* it is to end, then the failure is told */
};

struct upgrade {
	struct control *control; /* borrowed */
	char *binary;            /* owned */
	enum state state;
	pid_t process; /* the new one */
	int channel;   /* owned; -1: none */
	struct event *input, *room;
	size_t n_passed, n_taken;      /* doors */
	struct endpoint_order *orders; /* owned list, while they are passed */
	size_t n_orders, n_said;
	struct timer clock; /* time is up */
	struct timer look;  /* has it ended? */
	usec_t end_by;      /* FAILING: then it is ended */
	bool has_been_going, was_killed;
	int deferred; /* a signal that waits; 0: none */
	char why[512];
	void (*done)(void *arg, const struct upgrade_record *record); /* NULL: nobody asks */
	void *arg;
	struct upgrade_record last;
};

/* --- the end of it --- */

static void close_channel(struct upgrade *u)
{
	if (u->input)
		event_free(u->input);
	if (u->room)
		event_free(u->room);
	u->input = u->room = NULL;
	if (u->channel >= 0)
		close(u->channel);
	u->channel = -1;
	wheel_clear(&u->clock);
}

static void tell(struct upgrade *u)
{
	void (*done)(void *arg, const struct upgrade_record *record) = u->done;

	u->done = NULL;
	if (done)
		done(u->arg, &u->last);
}

static void give_deferred(struct upgrade *u, pid_t process)
{
	int number = u->deferred;

	u->deferred = 0;
	if (number)
		kill(process, number);
}

static void look_for_end(struct timer *timer, usec_t now);

static void kill_process(struct upgrade *u)
{
	u->was_killed = true;
	kill(u->process, SIGKILL);
}

static void record_failure(struct upgrade *u, const char *how)
{
	struct upgrade_record *r = &u->last;
	char text[LOG_ESCAPED_MAX];

	r->ok = false;
	r->at = clock_calendar();
	r->failed++;
	r->process = 0;
	if (u->why[0])
		snprintf(r->error, sizeof r->error, "%s", u->why);
	else
		snprintf(r->error, sizeof r->error, "the new process %s before it served", how);
	log_escape(text, sizeof text, slice_str(r->error));
	log_error("upgrade", "failed, this process goes on",
	    "error=\"%s\" process=%d the_process=\"%s\"", text, (int)u->process, how);
}

static void take_back_sockets(struct control *c)
{
	admin_take_back(c->admin);
	metadata_socket_take_back(c->metadata_socket);
}

/* All is as it was. */
static void failed(struct upgrade *u, const char *how)
{
	if (u->has_been_going)
		take_back_sockets(u->control);
	correlation_share(u->control->workers.shares.correlation, false, clock_monotonic());
	record_failure(u, how);
	u->state = STATE_NONE;
	tell(u);
	give_deferred(u, getpid());
}

static void look_for_end(struct timer *timer, usec_t now)
{
	struct upgrade *u = container_of(timer, struct upgrade, look);
	char how[64];

	if (upgrade_has_ended(u->process, how, sizeof how)) {
		failed(u, how);
		return;
	}
	if (!u->was_killed && now >= u->end_by)
		kill_process(u);
	wheel_set(loop_wheel(u->control->loop), timer, usec_after(now, LOOK_EVERY), look_for_end);
}

/* @why: NULL when its end will tell. */
static void fail(struct upgrade *u, const char *why)
{
	usec_t now = loop_now(u->control->loop);

	close_channel(u);
	if (u->has_been_going)
		notify_main_process(getpid());
	u->state = STATE_FAILING;
	snprintf(u->why, sizeof u->why, "%s", why ? why : "");
	u->end_by = usec_after(now, why ? 0 : ENDS_WITHIN);
	wheel_set(loop_wheel(u->control->loop), &u->look, now, look_for_end);
}

static void time_is_up(struct timer *timer, usec_t now)
{
	struct upgrade *u = container_of(timer, struct upgrade, clock);
	char why[128];

	(void)now;
	if (u->state == STATE_GOING)
		snprintf(why, sizeof why,
		    "the new process did not serve within %u s of being told to",
		    (unsigned)(SERVES_WITHIN / USEC_S));
	else
		snprintf(why, sizeof why,
		    "the new process was not ready within %" PRIu64 " ms (upgrade.timeout)",
		    u->control->snapshot->config->upgrade.timeout / USEC_MS);
	fail(u, why);
}

static void set_clock(struct upgrade *u, usec_t within)
{
	struct loop *loop = u->control->loop;

	if (within != USEC_NONE)
		wheel_set(
		    loop_wheel(loop), &u->clock, usec_after(loop_now(loop), within), time_is_up);
}

/* --- what is passed on --- */

/* Doors in the order of the configuration, then admin.http. False past the end. */
static bool door_at(const struct control *c, size_t index, struct upgrade_message *message, int *fd)
{
	*message = (struct upgrade_message){.word = UPGRADE_DOOR};
	list_each (link, &c->bindings.all) {
		const struct binding *b = list_item(link, struct binding, link);

		if (index--)
			continue;
		message->kind = b->is_activated ? DOOR_ACTIVATED : DOOR_LISTENER;
		message->number = b->id;
		message->text = slice_str(b->asked.text);
		*fd = b->fd;
		return true;
	}
	if (index || !admin_http_door(c->admin, &message->text, fd))
		return false;
	message->kind = DOOR_ADMIN;
	message->number = ADMIN_ID;
	return true;
}

static bool say(struct upgrade *u, const struct upgrade_message *message, int fd)
{
	switch (upgrade_channel_send(u->channel, message, fd)) {
	case CHANNEL_DONE:
		return true;
	case CHANNEL_LATER:
		event_add(u->room, NULL);
		return false;
	case CHANNEL_ENDED:
		fail(u, NULL);
		return false;
	}
	return false;
}

/* What operators have ordered of endpoints holds on. False when there is no room now. */
static bool pass_orders(struct upgrade *u)
{
	uint8_t room[UPGRADE_MESSAGE_MAX];
	struct upgrade_message message;

	for (; u->n_said < u->n_orders; u->n_said++)
		if (upgrade_order_write(room, &u->orders[u->n_said], &message) == 0 &&
		    !say(u, &message, -1))
			return false;
	return true;
}

static void pass_doors(struct upgrade *u)
{
	struct upgrade_message message;
	int fd;

	while (door_at(u->control, u->n_passed, &message, &fd)) {
		if (!say(u, &message, fd))
			return;
		u->n_passed++;
	}
	if (!pass_orders(u))
		return;
	message =
	    (struct upgrade_message){.word = UPGRADE_DOORS_END, .number = (uint32_t)u->n_passed};
	say(u, &message, -1);
}

static void has_room(evutil_socket_t fd, short what, void *arg)
{
	struct upgrade *u = arg;

	(void)fd;
	(void)what;
	if (u->state == STATE_PROVING)
		pass_doors(u);
}

/* --- what is heard --- */

static void take_door(struct upgrade *u, uint32_t id)
{
	u->n_taken++;
	list_each (link, &u->control->bindings.all) {
		struct binding *b = list_item(link, struct binding, link);

		if (b->id == id)
			b->is_taken_over = true;
	}
}

static void let_go(struct upgrade *u, uint32_t n_taken)
{
	const struct upgrade_record *r = &u->last;
	struct upgrade_message go = {.word = UPGRADE_GO, .number = (uint32_t)r->succeeded + 1};
	char failed[24];

	if (n_taken != u->n_taken) {
		fail(u, "the new process says that it has taken other sockets than it named");
		return;
	}
	log_info("upgrade", "the new process is ready, it is told to serve",
	    "process=%d sockets=%zu", (int)u->process, u->n_taken);
	/* First: whichever of us is gone next, the service manager knows who is left. */
	notify_main_process(u->process);
	correlation_share(u->control->workers.shares.correlation, true, clock_monotonic());
	u->state = STATE_GOING;
	u->has_been_going = true;
	set_clock(u, SERVES_WITHIN);
	go.text = slice_of(failed, (size_t)snprintf(failed, sizeof failed, "%" PRIu64, r->failed));
	say(u, &go, -1);
}

static void leave(struct upgrade *u)
{
	struct upgrade_record *r = &u->last;

	close_channel(u);
	u->state = STATE_OVER;
	r->ok = true;
	r->at = clock_calendar();
	r->succeeded++;
	r->process = u->process;
	r->error[0] = '\0';
	log_info("upgrade", "the new process serves, this one ends with its calls", "process=%d",
	    (int)u->process);
	control_hand_over(u->control);
	give_deferred(u, u->process);
	tell(u);
}

static void hear_failure(struct upgrade *u, struct slice text)
{
	char why[sizeof u->why];

	snprintf(
	    why, sizeof why, "the new process says: %.*s", (int)text.len, (const char *)text.data);
	registry_make_plain(why);
	fail(u, why);
}

static void hear(struct upgrade *u, const struct upgrade_message *m)
{
	bool is_proving = u->state == STATE_PROVING;

	switch (m->word) {
	case UPGRADE_TOOK:
		if (is_proving) {
			take_door(u, m->number);
			return;
		}
		break;
	case UPGRADE_READY:
		if (is_proving) {
			let_go(u, m->number);
			return;
		}
		break;
	case UPGRADE_SERVING:
		if (u->state == STATE_GOING) {
			leave(u);
			return;
		}
		break;
	case UPGRADE_FAILED:
		hear_failure(u, m->text);
		return;
	case UPGRADE_DOOR:
	case UPGRADE_ORDER:
	case UPGRADE_DOORS_END:
	case UPGRADE_GO:
		break;
	}
	fail(u, "the new process says what it should not say now");
}

static void has_input(evutil_socket_t channel, short what, void *arg)
{
	struct upgrade *u = arg;
	uint8_t room[UPGRADE_MESSAGE_MAX];
	struct upgrade_message message;
	struct err err;
	size_t length;
	int fd;

	(void)what;
	switch (upgrade_channel_receive((int)channel, room, &length, &fd)) {
	case CHANNEL_LATER:
		return;
	case CHANNEL_ENDED:
		fail(u, NULL);
		return;
	case CHANNEL_DONE:
		break;
	}
	if (fd >= 0)
		close(fd); /* nobody gives us any */
	if (upgrade_message_read(&message, slice_of(room, length), &err) < 0)
		fail(u, err.text);
	else
		hear(u, &message);
}

/* --- the beginning --- */

static const char *why_not(const struct upgrade *u)
{
	const struct control *c = u->control;

	if (u->state == STATE_OVER)
		return "another process serves already, this one is leaving";
	if (u->state != STATE_NONE)
		return "an upgrade is under way";
	if (c->state == CONTROL_STARTING)
		return "the daemon is still starting";
	if (c->state == CONTROL_DRAINING)
		return "the daemon is draining";
	if (c->hosted)
		return "the application runs under this process (bridled run): restart both";
	if (getpid() == 1)
		return "the daemon is the first process of its container, which ends with it: "
		       "restart the container";
	return NULL;
}

static void watch(struct upgrade *u)
{
	struct event_base *base = loop_base(u->control->loop);

	u->input = event_new(base, u->channel, EV_READ | EV_PERSIST, has_input, u);
	u->room = event_new(base, u->channel, EV_WRITE, has_room, u);
	event_add(u->input, NULL);
}

static void forget_doors(struct upgrade *u)
{
	u->n_passed = u->n_taken = u->n_said = 0;
	free(u->orders);
	u->orders = endpoint_orders_list(u->control->orders, &u->n_orders);
	list_each (link, &u->control->bindings.all)
		list_item(link, struct binding, link)->is_taken_over = false;
}

static int start(struct upgrade *u, struct err *err)
{
	int ends[2];

	if (upgrade_channel_open(ends, err) < 0)
		return -1;
	u->process = upgrade_spawn(u->binary, u->control->options->argv, ends[1], err);
	close(ends[1]);
	if (u->process > 0) {
		u->channel = ends[0];
		return 0;
	}
	close(ends[0]);
	return -1;
}

static void refused(struct upgrade *u, const char *why)
{
	u->last.ok = false;
	u->last.at = clock_calendar();
	u->last.failed++;
	snprintf(u->last.error, sizeof u->last.error, "%s", why);
	log_error("upgrade", "failed, this process goes on", "error=\"%s\"", why);
}

int upgrade_begin(struct upgrade *u, void (*done)(void *arg, const struct upgrade_record *record),
    void *arg, struct err *err)
{
	const char *why = why_not(u);

	if (why) {
		log_warn("upgrade", "refused", "why=\"%s\"", why);
		return err_set(err, 0, "%s", why);
	}
	if (start(u, err) < 0) {
		refused(u, err->text);
		return -1;
	}
	log_info("upgrade", "the new process starts", "process=%d binary=%s", (int)u->process,
	    u->binary);
	u->state = STATE_PROVING;
	u->has_been_going = u->was_killed = false;
	u->done = done;
	u->arg = arg;
	forget_doors(u);
	watch(u);
	set_clock(u, u->control->snapshot->config->upgrade.timeout);
	pass_doors(u);
	return 0;
}

void upgrade_forget(struct upgrade *u, const void *arg)
{
	if (u->arg == arg)
		u->done = NULL;
}

bool upgrade_is_under_way(const struct upgrade *u)
{
	return u->state == STATE_PROVING || u->state == STATE_GOING || u->state == STATE_FAILING;
}

bool upgrade_defers(struct upgrade *u, int number)
{
	if (u->state == STATE_GOING || (upgrade_is_under_way(u) && number == SIGHUP)) {
		if (number != SIGHUP || u->deferred == 0)
			u->deferred = number;
		log_info("upgrade", "a signal waits for its end", "number=%d", number);
		return true;
	}
	if (u->state == STATE_PROVING)
		fail(u, "the daemon was told to stop meanwhile");
	return false;
}

const struct upgrade_record *upgrade_last(const struct upgrade *u)
{
	return &u->last;
}

void upgrade_was_made(struct upgrade *u, uint64_t succeeded, uint64_t failed)
{
	u->last = (struct upgrade_record){.succeeded = succeeded,
	    .failed = failed,
	    .ok = true,
	    .at = clock_calendar(),
	    .process = getpid()};
}

/* --- life --- */

struct upgrade *upgrade_new(struct control *control)
{
	struct upgrade *u = mem_calloc(1, sizeof *u);

	u->control = control;
	u->channel = -1;
	u->binary = upgrade_find_binary(control->options->argv[0]);
	return u;
}

void upgrade_free(struct upgrade **pu)
{
	struct upgrade *u = *pu;

	if (u == NULL)
		return;
	*pu = NULL;
	if (upgrade_is_under_way(u)) {
		kill_process(u);
		record_failure(u, "was ended");
		tell(u);
	}
	close_channel(u);
	wheel_clear(&u->look);
	free(u->binary);
	free(u->orders);
	free(u);
}
