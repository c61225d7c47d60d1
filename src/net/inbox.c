/*
 * A list under a mutex and an eventfd that is written when the list stops being empty. The lock is
 * held for a few instructions: to put one message on, or to take all of them off.
 */
#include "net/inbox.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/mem.h"
#include "net/loop.h"

struct message {
	struct message *next;
	inbox_fn run;
	void *arg; /* moves to run */
};

struct inbox {
	struct loop *loop;
	struct event *event; /* owned */
	int fd;
	pthread_mutex_t lock; /* over first and end */
	struct message *first, **end;
	struct message *taken; /* the loop's thread only: taken off, not run yet */
};

static void take_all(struct inbox *inbox)
{
	struct message **last = &inbox->taken;

	while (*last)
		last = &(*last)->next;
	pthread_mutex_lock(&inbox->lock);
	*last = inbox->first;
	inbox->first = NULL;
	inbox->end = &inbox->first;
	pthread_mutex_unlock(&inbox->lock);
}

static void run_taken(struct inbox *inbox)
{
	struct message *m;

	/* A message may free the inbox: then the rest has run when it returns. */
	while ((m = inbox->taken)) {
		struct message copy = *m;

		inbox->taken = m->next;
		free(m);
		copy.run(copy.arg);
	}
}

static void readable(evutil_socket_t fd, short what, void *arg)
{
	struct inbox *inbox = arg;
	uint64_t count;

	(void)what;
	/* Before the list is taken: whoever posts afterwards writes again. */
	(void)!read(fd, &count, sizeof count);
	take_all(inbox);
	run_taken(inbox);
}

void inbox_run(struct inbox *inbox)
{
	take_all(inbox);
	run_taken(inbox);
}

struct inbox *inbox_new(struct loop *loop, struct err *err)
{
	struct inbox *inbox = mem_calloc(1, sizeof *inbox);

	inbox->loop = loop;
	inbox->end = &inbox->first;
	inbox->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (inbox->fd >= 0)
		inbox->event =
		    event_new(loop_base(loop), inbox->fd, EV_READ | EV_PERSIST, readable, inbox);
	if (inbox->event == NULL || event_add(inbox->event, NULL) < 0) {
		err_set(err, errno, "cannot make an inbox: %s", strerror(errno));
		if (inbox->event)
			event_free(inbox->event);
		if (inbox->fd >= 0)
			close(inbox->fd);
		free(inbox);
		return NULL;
	}
	pthread_mutex_init(&inbox->lock, NULL);
	return inbox;
}

void inbox_free(struct inbox **at)
{
	struct inbox *inbox = *at;

	if (inbox == NULL)
		return;
	*at = NULL;
	do {
		take_all(inbox);
		run_taken(inbox);
	} while (inbox->first);
	event_free(inbox->event);
	close(inbox->fd);
	pthread_mutex_destroy(&inbox->lock);
	loop_reap(inbox->loop, inbox, free);
}

void inbox_post(struct inbox *inbox, inbox_fn run, void *arg)
{
	struct message *m = mem_alloc(sizeof *m);
	uint64_t one = 1;

	*m = (struct message){NULL, run, arg};
	pthread_mutex_lock(&inbox->lock);
	/* Under the lock: once the message is out of reach, it may free the inbox. */
	if (inbox->first == NULL)
		(void)!write(inbox->fd, &one, sizeof one);
	*inbox->end = m;
	inbox->end = &m->next;
	pthread_mutex_unlock(&inbox->lock);
}
