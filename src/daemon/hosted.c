#include "daemon/hosted.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "daemon/control.h"
#include "daemon/readiness.h"
#include "daemon/signals.h"
#include "net/loop.h"

#define LOOK_EVERY (100 * USEC_MS) /* whether it answers */

/* What a shell returns, too. Source: POSIX, the shell's command language, 2.8.2. */
#define STATUS_NOT_RUN   126
#define STATUS_NOT_FOUND 127
#define STATUS_SIGNAL    128

struct hosted {
	struct control *control;     /* borrowed */
	char *const *argv;           /* borrowed */
	struct readiness *readiness; /* owned; NULL: it is ready */
	struct timer ready;
	pid_t pid; /* 0: does not run */
	bool was_started;
	int exit_code;
};

static void readiness_changed(void *arg)
{
	struct hosted *h = arg;

	if (h->was_started)
		control_look_ready(h->control);
}

struct hosted *hosted_new(struct control *control, char *const *argv)
{
	struct hosted *h = mem_calloc(1, sizeof *h);

	h->control = control;
	h->argv = argv;
	h->readiness =
	    readiness_new(control->loop, hosted_serves, LOOK_EVERY, readiness_changed, h);
	return h;
}

void hosted_free(struct hosted **ph)
{
	struct hosted *h = *ph;

	if (h == NULL)
		return;
	*ph = NULL;
	wheel_clear(&h->ready);
	readiness_free(&h->readiness);
	free(h);
}

/* --- its beginning and its end --- */

static void start(struct hosted *h)
{
	struct control *c = h->control;
	char **environment = hosted_environment(environ, &c->bindings, c->snapshot);
	posix_spawnattr_t attributes;
	int error;

	posix_spawnattr_init(&attributes);
	signals_spawn_afresh(&attributes);
	h->was_started = true;
	error = posix_spawnp(&h->pid, h->argv[0], NULL, &attributes, h->argv, environment);
	posix_spawnattr_destroy(&attributes);
	hosted_environment_free(&environment);
	if (error == 0) {
		log_info("application", "started", "command=%s pid=%d", h->argv[0], (int)h->pid);
		return;
	}
	h->pid = 0;
	h->exit_code = error == ENOENT ? STATUS_NOT_FOUND : STATUS_NOT_RUN;
	log_error("application", "cannot be started", "command=%s error=\"%s\"", h->argv[0],
	    strerror(error));
	control_application_ended(c);
}

static void ended(struct hosted *h, int status)
{
	int pid = (int)h->pid;

	h->pid = 0;
	if (WIFSIGNALED(status)) {
		h->exit_code = STATUS_SIGNAL + WTERMSIG(status);
		log_warn("application", "was ended by a signal", "pid=%d signal=%d", pid,
		    WTERMSIG(status));
	} else {
		h->exit_code = WEXITSTATUS(status);
		log_info("application", "has ended", "pid=%d status=%d", pid, h->exit_code);
	}
	control_application_ended(h->control);
}

void hosted_reap(struct hosted *h)
{
	pid_t which = getpid() == 1 ? -1 : h->pid, pid;
	int status;

	if (which == 0)
		return;
	while ((pid = waitpid(which, &status, WNOHANG)) > 0) {
		if (pid != h->pid)
			continue;
		ended(h, status);
		if (which > 0)
			return;
	}
}

bool hosted_is_running(const struct hosted *h)
{
	return h->pid > 0;
}

int hosted_exit_code(const struct hosted *h)
{
	return h->exit_code;
}

/* --- signals --- */

/* Does it have a handler of its own? Source: proc(5), the mask SigCgt of /proc/PID/status. */
static bool catches(pid_t pid, int number)
{
	char path[64], line[256];
	uint64_t mask = 0;
	FILE *status;

	snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
	status = fopen(path, "re");
	if (status == NULL)
		return false;
	while (fgets(line, sizeof line, status))
		if (sscanf(line, "SigCgt: %" SCNx64, &mask) == 1)
			break;
	fclose(status);
	return mask >> (number - 1) & 1;
}

void hosted_signal(struct hosted *h, int number, bool asks_to_end)
{
	if (h->pid == 0 || (!asks_to_end && !catches(h->pid, number)))
		return;
	log_info("application", "is sent a signal", "pid=%d signal=%d", (int)h->pid, number);
	kill(h->pid, number);
}

/* --- whether it answers --- */

void hosted_follow(struct hosted *h, struct snapshot *snapshot)
{
	if (h->was_started && h->readiness)
		readiness_follow(h->readiness, snapshot);
}

/* It need not be asked any more. */
static void is_ready(struct timer *timer, usec_t now)
{
	struct hosted *h = container_of(timer, struct hosted, ready);

	(void)now;
	readiness_free(&h->readiness);
}

bool hosted_is_ready(struct hosted *h)
{
	struct loop *loop = h->control->loop;
	const char *why;

	if (!h->was_started) {
		start(h);
		if (h->pid)
			readiness_follow(h->readiness, h->control->snapshot);
	}
	if (h->readiness && (h->pid == 0 || !readiness_all_ready(h->readiness, &why)))
		return false;
	if (h->readiness) /* which may have told us just now, and be freed only later */
		wheel_set(loop_wheel(loop), &h->ready, loop_now(loop), is_ready);
	return true;
}

const char *hosted_missing(const struct hosted *h)
{
	const char *why = "the application has not been started yet";

	if (h->was_started && h->readiness)
		readiness_all_ready(h->readiness, &why);
	return why;
}
