/*
 * The control thread: starts the daemon in order, reloads it in place, answers signals and the
 * admin socket, and stops it. Nothing here is on the path of a call.
 *
 *     STARTING --first answers, or 2 s, 10 s--> READY --drain, TERM, INT, QUIT--> DRAINING --> gone
 */
#ifndef BRIDLE_DAEMON_CONTROL_H
#define BRIDLE_DAEMON_CONTROL_H

#include "base/wheel.h"
#include "daemon/bindings.h"
#include "daemon/discovery.h"
#include "daemon/fixed_keys.h"
#include "daemon/liveness.h"
#include "daemon/logs.h"
#include "daemon/options.h"
#include "daemon/overload_watch.h"
#include "daemon/retirement.h"
#include "daemon/signals.h"
#include "daemon/workers.h"
#include "net/inbox.h"

enum control_state {
	CONTROL_STARTING, /* waits for the first answers about names and of registries */
	CONTROL_READY,
	CONTROL_DRAINING, /* no new work is wanted; perhaps on the way to the end */
};

const char *control_state_name(enum control_state state);

/* What became of the last reload. */
struct reload_record {
	uint64_t succeeded, failed;
	bool ok, is_unchanged;
	usec_t at; /* calendar; 0: there was none */
	char error[512];
	const char *kept[FIXED_KEYS_MAX]; /* keys whose new values wait for the next start */
	size_t n_kept;
};

/* The way out, as far as it has been gone: see control_stop.c. */
enum leaving {
	LEAVING_NOT,
	LEAVING_REGISTRIES, /* waits until what is registered is withdrawn */
	LEAVING_NEWS,       /* waits until callers have heard of that */
	LEAVING_CALLERS,    /* callers were asked to go elsewhere */
};

struct stopping {
	enum leaving leaving;
	bool is_under_way; /* to the end of the process */
	bool is_hurried;   /* a limit was asked for; asked for again, it is now */
	bool has_told;     /* the application under us */
	int signal;        /* what the application under us is told to end by; 0: SIGTERM */
	usec_t deadline;   /* USEC_NONE: as long as it takes */
	bool is_cut;       /* it is over: the last answers leave, */
	usec_t end_by;     /* at most until then */
	uint64_t connections_cut;
	usec_t alone_since;  /* no caller is connected; 0: there are some */
	usec_t askers_until; /* of those who found the admin socket by the name that was ours */
	struct timer wait, look;
};

/* Belongs to the control thread, like all that it points at. */
struct control {
	const struct options *options; /* borrowed */
	struct loop *loop;
	struct inbox *inbox; /* of the loop: what other threads have to say */
	struct signals *signals;
	struct logs logs;
	struct bindings bindings;
	struct discovery *discovery;
	struct workers workers;
	struct liveness *liveness;
	struct health_checks *health_checks;
	struct overload_watch *overload_watch;
	struct registrations *registrations;
	struct admin *admin;
	struct metadata_socket *metadata_socket;
	struct taps *taps;
	struct tallies *tallies;         /* owned */
	struct timer sweep;              /* forgets tallies that nobody names any more */
	struct snapshot *snapshot;       /* the present one; a reference of its own */
	struct retirement retired;       /* those before it */
	struct lookups *lookups;         /* of names that no file lists */
	struct found_names *found_names; /* theirs */
	struct config_watch *watch;      /* of the file; see reload.watch */
	struct effective *effective;     /* what the file comes to with all that is found */
	struct governance *governance;   /* theirs */
	struct hosted *hosted;           /* the application under us; NULL: none */
	struct endpoint_orders *orders;  /* of operators */
	struct upgrade *upgrade;         /* to a process that takes our place */
	struct successor *successor;     /* we are such a process; NULL: no */
	struct trace_export *spans;
	enum control_state state;
	struct timer start_wait;
	usec_t started_at; /* monotonic */
	usec_t loaded_at;  /* calendar */
	struct reload_record last_reload;
	struct stopping stopping;
};

/* Runs the daemon until it has been told to stop; everything is freed. Returns an exit_code, or
 * what the application under it returned. */
int control_run(const struct options *options);

/* Builds a snapshot of @shared, by what discovery knows, and gives it to the workers. */
void control_publish(struct control *c, struct shared_config *shared);
/* Why the daemon is not ready, or might not be complete; "" when nothing is missing. */
void control_missing(const struct control *c, char *room, size_t size);
/* While it starts: is it ready now? */
void control_look_ready(struct control *c);

/* In the place of another process, which waits for that: opens the doors. Returns 0, or -1 with
 * @err set and nothing changed that it would miss. */
int control_enter(struct control *c, struct err *err);

/* Opens the log files anew. Returns 0, or -1 with @err set. */
int control_reopen(struct control *c, struct err *err);
/* Asks callers to go elsewhere and goes on serving those who stay. */
void control_drain(struct control *c);
/* Takes that back, and is ready again. Returns -1 with @err set when a stop has begun. */
int control_undrain(struct control *c, struct err *err);
/* Ends the daemon when its calls have ended: after shutdown.drain at the latest, or with no limit
 * if @patient. Asked a second time with a limit it ends at once. */
void control_stop(struct control *c, bool patient);
/* Another process serves in our place: ends with the last call, after upgrade.drain at the
 * latest. */
void control_hand_over(struct control *c);
/* The application under us has ended, or could not be started: there is nothing more to stay
 * for. */
void control_application_ended(struct control *c);

#endif
