#include "daemon/signals.h"

#include <signal.h>
#include <stdlib.h>

#include <event2/event.h>

#include "base/mem.h"
#include "net/loop.h"

static const int watched[] = {SIGHUP, SIGUSR1, SIGUSR2, SIGTERM, SIGINT, SIGQUIT, SIGCHLD};

struct signals {
	struct event *events[ARRAY_LEN(watched)]; /* owned */
	void (*arrived)(void *arg, int number);
	void *arg; /* borrowed */
};

static void raised(evutil_socket_t number, short what, void *arg)
{
	struct signals *s = arg;

	(void)what;
	s->arrived(s->arg, (int)number);
}

struct signals *signals_new(struct loop *loop, void (*arrived)(void *arg, int number), void *arg)
{
	struct signals *s = mem_calloc(1, sizeof *s);

	s->arrived = arrived;
	s->arg = arg;
	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < ARRAY_LEN(watched); i++) {
		/* What holds again when the events are gone: a second TERM must not kill what ends
		 * well. Ignored children could not be waited for. */
		if (watched[i] != SIGCHLD)
			signal(watched[i], SIG_IGN);
		s->events[i] = evsignal_new(loop_base(loop), watched[i], raised, s);
		evsignal_add(s->events[i], NULL);
	}
	return s;
}

void signals_free(struct signals **ps)
{
	struct signals *s = *ps;

	if (s == NULL)
		return;
	*ps = NULL;
	for (size_t i = 0; i < ARRAY_LEN(watched); i++)
		event_free(s->events[i]);
	free(s);
}

void signals_spawn_afresh(posix_spawnattr_t *attributes)
{
	sigset_t all, none;

	sigfillset(&all);
	sigemptyset(&none);
	posix_spawnattr_setsigdefault(attributes, &all);
	posix_spawnattr_setsigmask(attributes, &none);
	posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
}
