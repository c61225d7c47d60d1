/*
 * Tells the service manager how we are, as sd_notify(3) describes: datagrams to the socket that
 * NOTIFY_SOCKET names. Does nothing where there is none.
 */
#ifndef BRIDLE_DAEMON_NOTIFY_H
#define BRIDLE_DAEMON_NOTIFY_H

#include <sys/types.h>

#include "base/clock.h"

/* Lines of KEY=VALUE. Never blocks. */
void notify_send(const char *lines);
void notify_ready(void);
void notify_reloading(void);
void notify_stopping(void);
/* Another process is the service's main one from now on. */
void notify_main_process(pid_t process);
/* How often the manager wants to hear WATCHDOG=1 from this process; USEC_NONE when it does not. */
usec_t notify_watchdog_interval(void);

#endif
