#include "daemon/thread.h"

#include <signal.h>
#include <string.h>

/* Faults of the thread itself stay deliverable, for whoever catches them to report a crash. */
static void block_signals(sigset_t *before)
{
	static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP};
	sigset_t set;

	sigfillset(&set);
	for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
		sigdelset(&set, faults[i]);
	pthread_sigmask(SIG_BLOCK, &set, before);
}

int thread_start(pthread_t *thread, const struct thread_options *options, void *(*run)(void *arg),
    void *arg, struct err *err)
{
	pthread_attr_t attr;
	sigset_t before;
	int error;

	pthread_attr_init(&attr);
	if (options->stack_size)
		pthread_attr_setstacksize(&attr, options->stack_size);
	block_signals(&before); /* the new thread inherits the mask */
	error = pthread_create(thread, &attr, run, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	if (error)
		return err_set(
		    err, error, "cannot start the thread %s: %s", options->name, strerror(error));
	pthread_setname_np(*thread, options->name);
	return 0;
}
