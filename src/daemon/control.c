#include "daemon/control.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>

#include "base/mem.h"
#include "daemon/admin.h"
#include "daemon/effective.h"
#include "daemon/endpoint_orders.h"
#include "daemon/hosted.h"
#include "daemon/lookups.h"
#include "daemon/notify.h"
#include "daemon/registrations.h"
#include "daemon/reload.h"
#include "net/loop.h"
#include "proxy/health_check.h"

#define SWEEP_EVERY USEC_MIN

const char *control_state_name(enum control_state state)
{
	switch (state) {
	case CONTROL_STARTING:
		return "starting";
	case CONTROL_READY:
		return "ready";
	case CONTROL_DRAINING:
		return "draining";
	}
	return "starting";
}

void control_publish(struct control *c, struct shared_config *shared)
{
	struct snapshot *fresh =
	    discovery_snapshot(c->discovery, shared, c->tallies, c->snapshot, clock_monotonic());

	workers_adopt(&c->workers, fresh, logs_access(&c->logs));
	if (c->snapshot)
		retirement_take(&c->retired, c->loop, c->snapshot);
	c->snapshot = fresh;
	health_checks_follow(c->health_checks, fresh);
	if (c->state != CONTROL_STARTING) /* until then nobody could be served */
		registrations_follow(c->registrations, fresh);
	lookups_published(c->lookups);
	if (c->hosted)
		hosted_follow(c->hosted, fresh);
}

static void endpoints_changed(void *arg)
{
	struct control *c = arg;

	control_publish(c, c->snapshot->shared);
	control_look_ready(c);
}

static void name_heard(void *arg, struct slice name, bool has_endpoints, const char *why)
{
	struct control *c = arg;

	lookups_heard(c->lookups, name, has_endpoints, why);
}

static void document_changed(void *arg, struct registry *registry, struct slice key)
{
	(void)registry;
	(void)key;
	effective_changed(arg);
}

static void registration_changed(void *arg, struct registration *registration)
{
	struct control *c = arg;

	registrations_changed(c->registrations, registration);
}

static const struct discovery_events discovery_events = {
    .changed = endpoints_changed,
    .name_heard = name_heard,
    .document_changed = document_changed,
    .registration_changed = registration_changed,
};

int control_reopen(struct control *c, struct err *err)
{
	if (logs_reopen(&c->logs, err) < 0) {
		log_error("log", "cannot be reopened", "error=\"%s\"", err->text);
		return -1;
	}
	log_info("log", "reopened", "%s", "");
	return 0;
}

static void reload_by_signal(struct control *c)
{
	struct reload_result result;

	reload_run(c, false, &result);
	reload_result_fini(&result);
}

/* To the application under us, as if it had come to it. */
static void pass_on(struct control *c, int number)
{
	if (c->hosted == NULL)
		return;
	if (number == SIGTERM || number == SIGINT || number == SIGQUIT)
		c->stopping.signal = number;
	else
		hosted_signal(c->hosted, number, false);
}

static void signal_arrived(void *arg, int number)
{
	struct control *c = arg;
	struct err err;

	if (number == SIGCHLD) {
		if (c->hosted)
			hosted_reap(c->hosted);
		return;
	}
	pass_on(c, number);
	switch (number) {
	case SIGHUP:
		reload_by_signal(c);
		break;
	case SIGUSR1:
		control_reopen(c, &err);
		break;
	case SIGUSR2:
		log_warn("control", "SIGUSR2 means nothing to this version", "%s", "");
		break;
	case SIGQUIT:
		control_stop(c, true);
		break;
	default:
		control_stop(c, false);
	}
}

static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == limit.rlim_max)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

/* Binds every address, so that a second daemon fails before anything runs. */
static int bind_all(
    struct control *c, const struct config *config, struct bindings_plan *plan, struct err *err)
{
	if (bindings_prepare(&c->bindings, config, plan, err) < 0)
		return -1;
	c->admin = admin_new(c, config, err);
	if (c->admin)
		return 0;
	bindings_cancel(plan);
	return -1;
}

static int start_running(
    struct control *c, struct shared_config *shared, struct bindings_plan *plan, struct err *err)
{
	struct acceptor_plan doors;

	c->snapshot = discovery_snapshot(c->discovery, shared, c->tallies, NULL, clock_monotonic());
	c->workers.want_name = lookups_want;
	c->workers.want_arg = c->lookups;
	if (workers_start(&c->workers, shared->config->workers, c->snapshot, logs_access(&c->logs),
		err) < 0) {
		bindings_cancel(plan);
		return -1;
	}
	doors = bindings_commit(&c->bindings, plan);
	acceptor_apply(c->workers.acceptor, &doors);
	c->liveness = liveness_new(c->loop, &c->workers);
	c->health_checks = health_checks_new(c->loop, clock_calendar());
	health_checks_follow(c->health_checks, c->snapshot);
	c->overload_watch = overload_watch_new(c->loop, &c->workers, &c->snapshot);
	c->registrations = registrations_new(c->loop, c->discovery, &c->bindings);
	return 0;
}

static void sweep(struct timer *timer, usec_t now)
{
	struct control *c = container_of(timer, struct control, sweep);

	tallies_sweep(c->tallies, clock_monotonic());
	wheel_set(loop_wheel(c->loop), timer, usec_after(now, SWEEP_EVERY), sweep);
}

static int open_discovery(struct control *c, struct shared_config *shared, struct err *err)
{
	const struct discovery_start start = {
	    .loop = c->loop,
	    .inbox = c->inbox,
	    .seed = clock_calendar(),
	    .bindings = &c->bindings,
	    .orders = c->orders,
	    .events = &discovery_events,
	    .arg = c,
	};

	c->discovery = discovery_new(&start, err);
	return c->discovery ? discovery_follow(c->discovery, shared, err) : -1;
}

static int start(struct control *c, struct shared_config *shared, struct err *err)
{
	struct bindings_plan plan;

	c->loop = loop_new(err);
	if (c->loop == NULL)
		return -1;
	c->inbox = inbox_new(c->loop, err);
	if (c->inbox == NULL)
		return -1;
	c->signals = signals_new(c->loop, signal_arrived, c);
	if (bind_all(c, shared->config, &plan, err) < 0)
		return -1;
	c->orders = endpoint_orders_new(clock_calendar());
	if (open_discovery(c, shared, err) < 0) {
		bindings_cancel(&plan);
		return -1;
	}
	c->tallies = tallies_new();
	c->lookups = lookups_new(c);
	if (start_running(c, shared, &plan, err) < 0)
		return -1;
	c->effective = effective_new(c, shared);
	effective_changed(c);
	if (c->options->command_line)
		c->hosted = hosted_new(c, c->options->command_line);
	sweep(&c->sweep, loop_now(c->loop));
	c->started_at = clock_monotonic();
	c->loaded_at = clock_calendar();
	control_look_ready(c);
	return 0;
}

/* In reverse order of the start; what was never made is NULL. */
static void end(struct control *c)
{
	wheel_clear(&c->start_wait);
	wheel_clear(&c->stopping.wait);
	wheel_clear(&c->stopping.look);
	wheel_clear(&c->sweep);
	admin_free(&c->admin);
	hosted_free(&c->hosted);
	registrations_free(&c->registrations);
	overload_watch_free(&c->overload_watch);
	health_checks_free(&c->health_checks);
	liveness_free(&c->liveness);
	workers_stop(&c->workers);
	lookups_free(&c->lookups);
	effective_free(&c->effective);
	discovery_free(&c->discovery);
	endpoint_orders_free(&c->orders);
	if (c->snapshot)
		snapshot_unref(&c->snapshot);
	retirement_fini(&c->retired);
	tallies_free(&c->tallies);
	bindings_fini(&c->bindings);
	signals_free(&c->signals);
	if (c->inbox)
		inbox_free(&c->inbox);
	loop_free(&c->loop);
}

static int run(struct control *c, struct config *moved)
{
	struct shared_config *shared = shared_config_new(moved);
	int code = EXIT_CODE_OK;
	struct err err = {0};
	int started = start(c, shared, &err);

	shared_config_unref(&shared); /* the snapshot has its own reference */
	if (started == 0) {
		loop_run(c->loop);
		code = c->hosted ? hosted_exit_code(c->hosted) : EXIT_CODE_OK;
	} else {
		log_error("control", "cannot start", "error=\"%s\"", err.text);
		/* Whoever started it looks there, not into a file. */
		if (strcmp(c->logs.daemon_to, "stderr") != 0)
			fprintf(stderr, "bridled: cannot start: %s\n", err.text);
		code = err.code == EADDRINUSE ? EXIT_CODE_AGAIN : EXIT_CODE_FAILED;
	}
	end(c);
	if (started == 0)
		log_info("control", "stopped", "%s", "");
	return code;
}

int control_run(const struct options *options)
{
	struct control c = {.options = options};
	struct problems problems;
	struct config *config;
	struct err err;
	int code;

	raise_descriptor_limit();
	problems_init(&problems);
	config = reload_read(options, &problems);
	problems_print(&problems, stderr, true);
	problems_fini(&problems);
	if (config == NULL)
		return EXIT_CODE_CONFIG;
	bindings_init(&c.bindings);
	if (logs_start(&c.logs, config, &err) < 0) {
		fprintf(stderr, "bridled: %s\n", err.text);
		config_free(&config);
		code = EXIT_CODE_FAILED;
	} else {
		code = run(&c, config);
	}
	logs_stop(&c.logs);
	return code;
}
