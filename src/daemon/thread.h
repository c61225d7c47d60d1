/* Starts threads that no signal is delivered to: signals are the control thread's business. */
#ifndef BRIDLE_DAEMON_THREAD_H
#define BRIDLE_DAEMON_THREAD_H

#include <pthread.h>
#include <stddef.h>

#include "base/err.h"

struct thread_options {
	const char *name;  /* at most 15 characters; shown by ps and top */
	size_t stack_size; /* 0: the system's */
};

/* Returns 0, or -1 with @err set. The thread is joinable. */
int thread_start(pthread_t *thread, const struct thread_options *options, void *(*run)(void *arg),
    void *arg, struct err *err);

#endif
