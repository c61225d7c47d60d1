/* Signals, turned into calls in the control thread's loop. */
#ifndef BRIDLE_DAEMON_SIGNALS_H
#define BRIDLE_DAEMON_SIGNALS_H

#include <spawn.h>

struct loop;
struct signals;

/* @arrived is called in the loop for HUP, USR1, USR2, TERM, INT, QUIT and CHLD. PIPE is ignored
 * from now on. */
struct signals *signals_new(struct loop *loop, void (*arrived)(void *arg, int number), void *arg);
void signals_free(struct signals **s);

/* For a program that we start: it finds signals as programs expect to, nothing blocked and nothing
 * ignored, whatever we have done with ours. */
void signals_spawn_afresh(posix_spawnattr_t *attributes);

#endif
