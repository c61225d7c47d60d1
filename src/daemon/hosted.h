/*
 * `bridled run -- COMMAND`: the application that runs under the sidecar. It is started once calls
 * can go out, so that its first call finds us; the daemon is ready when it answers; it is asked to
 * end when its callers have gone, and until it has ended its own calls are served. The process
 * returns what it returned.
 */
#ifndef BRIDLE_DAEMON_HOSTED_H
#define BRIDLE_DAEMON_HOSTED_H

#include <stdbool.h>
#include <stddef.h>

struct bindings;
struct control;
struct hosted;
struct snapshot;

/* @argv: the command and its words, borrowed, ended by NULL. @control is borrowed and outlives
 * it. */
struct hosted *hosted_new(struct control *control, char *const *argv);
/* The application, if it still runs, is left alone. */
void hosted_free(struct hosted **hosted);

/* While the daemon starts: starts the application if it has not been, and says whether it answers;
 * when that changes control_look_ready is called. One that does not serve anything here is ready at
 * once. */
bool hosted_is_ready(struct hosted *hosted);
/* What it lacks; "" when it is ready. Valid until the loop's next turn. */
const char *hosted_missing(const struct hosted *hosted);
/* Its snapshot has been replaced. */
void hosted_follow(struct hosted *hosted, struct snapshot *snapshot);

bool hosted_is_running(const struct hosted *hosted);
/* It gets this signal. One that would end it because it does not care is kept from it, unless
 * @asks_to_end. */
void hosted_signal(struct hosted *hosted, int number, bool asks_to_end);
/* SIGCHLD has come; control_application_ended is called when it was the application. As process 1
 * it takes in whatever else has been left behind. */
void hosted_reap(struct hosted *hosted);
/* What this process returns: the application's status, 128 and the signal that ended it, 127 when
 * it was not found, 126 when it could not be run. */
int hosted_exit_code(const struct hosted *hosted);

/* Is this what the application is started for: a service on this machine to which a listener is
 * pinned? A readiness_wants_fn. */
struct service;
bool hosted_serves(const struct snapshot *snapshot, const struct service *service);

/*
 * Its environment: ours, without what our own supervisor tells us, and with
 * BRIDLE_ADMIN_SOCKET, BRIDLE_METADATA_SOCKET where there is one, BRIDLE_LISTENER_<NAME>: addresses
 * of a listener, BRIDLE_SERVICE_<LABEL>: addresses of a service on this machine to which a listener
 * is pinned; several are separated by blanks. Where the first is the path of a unix socket it
 * stands in BRIDLE_..._<NAME>_PATH once more. Names are in upper case, with _ for what is neither
 * letter nor digit. Returns a list that the caller frees as one with hosted_environment_free.
 */
char **hosted_environment(
    char *const *ours, const struct bindings *bindings, const struct snapshot *snapshot);
void hosted_environment_free(char ***environment);

#endif
