#include "daemon/control.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>

#include "base/mem.h"
#include "daemon/admin.h"
#include "daemon/config_watch.h"
#include "daemon/effective.h"
#include "daemon/endpoint_orders.h"
#include "daemon/hosted.h"
#include "daemon/lookups.h"
#include "daemon/metadata_socket.h"
#include "daemon/notify.h"
#include "daemon/registrations.h"
#include "daemon/reload.h"
#include "daemon/successor.h"
#include "daemon/taps.h"
#include "daemon/trace_export.h"
#include "daemon/upgrade.h"
#include "net/loop.h"
#include "net/process.h"
#include "proxy/correlation.h"
#include "proxy/health_check.h"

#define SWEEP_EVERY    USEC_MIN
#define SPANS_PATIENCE USEC_S /* of the way out, for a collector */

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
	trace_export_follow(c->spans, fresh->shared);
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

/* Whether it means something else than usual because one process takes the place of another. */
static bool is_of_upgrade(struct control *c, int number)
{
	bool ends = number == SIGTERM || number == SIGINT || number == SIGQUIT;

	if (successor_is_waiting(c->successor) && ends) {
		successor_fail(c->successor, "it was told to stop before it served");
		return true;
	}
	if (successor_is_waiting(c->successor) && number == SIGHUP)
		return true; /* who serves gets it, too, and passes it on when that is us */
	return number == SIGHUP && c->upgrade && upgrade_defers(c->upgrade, number);
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
	if (is_of_upgrade(c, number))
		return;
	pass_on(c, number);
	switch (number) {
	case SIGHUP:
		reload_by_signal(c);
		break;
	case SIGUSR1:
		control_reopen(c, &err);
		break;
	case SIGUSR2:
		upgrade_begin(c->upgrade, NULL, NULL, &err);
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

/* Where others ask us; of an application's socket it is known where the operator's is. */
static int enter_sockets(struct control *c, const struct config *config, struct err *err)
{
	if (admin_enter(c->admin, config, 0, err) < 0)
		return -1;
	return metadata_socket_enter(c->metadata_socket, config, 0, err);
}

/* Binds every address, so that a second daemon fails before anything runs. */
static int bind_all(
    struct control *c, const struct config *config, struct bindings_plan *plan, struct err *err)
{
	if (bindings_prepare(&c->bindings, config, plan, err) < 0)
		return -1;
	c->admin = admin_new(c, config, err);
	c->metadata_socket = metadata_socket_new(c->loop, c->inbox, &c->workers);
	if (c->admin && (c->successor || enter_sockets(c, config, err) == 0))
		return 0;
	bindings_cancel(plan);
	return -1;
}

static void open_doors(struct control *c, struct bindings_plan *plan)
{
	struct acceptor_plan doors;

	if (c->successor) { /* another process still serves there */
		bindings_commit_shut(&c->bindings, plan);
		return;
	}
	doors = bindings_commit(&c->bindings, plan);
	acceptor_apply(c->workers.acceptor, &doors);
}

static int start_running(
    struct control *c, struct shared_config *shared, struct bindings_plan *plan, struct err *err)
{
	c->snapshot = discovery_snapshot(c->discovery, shared, c->tallies, NULL, clock_monotonic());
	c->workers.want_name = lookups_want;
	c->workers.want_arg = c->lookups;
	c->workers.take_spans = trace_export_take;
	c->workers.spans_arg = c->spans = trace_export_new(c->loop, c->inbox, clock_calendar());
	trace_export_follow(c->spans, shared);
	if (workers_start(&c->workers, shared->config->workers, c->snapshot, logs_access(&c->logs),
		err) < 0) {
		bindings_cancel(plan);
		return -1;
	}
	if (c->successor)
		correlation_share_with(c->workers.shares.correlation,
		    process_open(successor_of(c->successor)),
		    usec_after(clock_monotonic(), shared->config->upgrade.drain));
	open_doors(c, plan);
	c->taps = taps_new(c->loop, c->inbox, &c->workers);
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
	c->orders = c->successor ? successor_take_orders(c->successor)
				 : endpoint_orders_new(clock_calendar());
	if (open_discovery(c, shared, err) < 0) {
		bindings_cancel(&plan);
		return -1;
	}
	discovery_hold_caches(c->discovery, c->successor != NULL);
	c->tallies = tallies_new();
	c->lookups = lookups_new(c);
	if (start_running(c, shared, &plan, err) < 0)
		return -1;
	c->effective = effective_new(c, shared);
	effective_changed(c);
	c->watch = config_watch_new(c);
	config_watch_follow(c->watch, shared->config);
	c->upgrade = upgrade_new(c);
	if (c->successor)
		successor_attach(c->successor, c);
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
	taps_free(&c->taps);
	upgrade_free(&c->upgrade); /* before admin: who waits for it is told */
	config_watch_free(&c->watch);
	admin_free(&c->admin);
	metadata_socket_free(&c->metadata_socket);
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
	trace_export_free(&c->spans, SPANS_PATIENCE);
	loop_free(&c->loop);
}

static int run(struct control *c, struct config *moved)
{
	struct shared_config *shared = shared_config_new(moved);
	int code = EXIT_CODE_OK;
	struct err err = {0};
	int started = start(c, shared, &err);

	shared_config_unref(&shared); /* the snapshot has its own reference */
	inheritance_free(&c->bindings.inheritance);
	if (started == 0) {
		loop_run(c->loop);
		code = c->hosted ? hosted_exit_code(c->hosted) : EXIT_CODE_OK;
		if (successor_has_failed(c->successor))
			code = EXIT_CODE_FAILED;
	} else {
		if (c->successor)
			successor_fail(c->successor, err.text);
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

/* Where another process serves, nothing but a file that is right in all may take its place. */
static struct config *read_config(struct control *c)
{
	struct problems problems;
	struct config *config;

	problems_init(&problems);
	config = c->successor ? reload_read_tested(c->options, &problems)
			      : reload_read(c->options, &problems);
	problems_print(&problems, stderr, true);
	if (config == NULL && c->successor)
		successor_fail_by_problems(c->successor, &problems);
	problems_fini(&problems);
	return config;
}

static int read_and_run(struct control *c)
{
	struct config *config = read_config(c);
	struct err err;
	int code;

	if (config == NULL)
		return EXIT_CODE_CONFIG;
	if (logs_start(&c->logs, config, &err) < 0) {
		fprintf(stderr, "bridled: %s\n", err.text);
		if (c->successor)
			successor_fail(c->successor, err.text);
		config_free(&config);
		code = EXIT_CODE_FAILED;
	} else {
		code = run(c, config);
	}
	logs_stop(&c->logs);
	return code;
}

int control_run(const struct options *options)
{
	struct control c = {.options = options};
	struct err err;
	int code = EXIT_CODE_FAILED;

	raise_descriptor_limit();
	bindings_init(&c.bindings);
	c.bindings.inheritance = inheritance_new();
	if (options->upgrades)
		c.successor = successor_new(c.bindings.inheritance, &err);
	else
		inheritance_from_manager(c.bindings.inheritance);
	if (options->upgrades && c.successor == NULL)
		fprintf(stderr, "bridled: %s\n", err.text);
	else
		code = read_and_run(&c);
	inheritance_free(&c.bindings.inheritance);
	successor_free(&c.successor);
	return code;
}
