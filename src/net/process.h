/*
 * Another process, by a descriptor: a number alone may be another one's by the time that it is
 * looked at.
 */
#ifndef BRIDLE_NET_PROCESS_H
#define BRIDLE_NET_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * A descriptor, the caller's to close, for the process at the other end of the unix socket @fd,
 * whose number is @pid. *is_known is false, and the result -1, when there is no way to get one; -1
 * with *is_known: it is gone. Kernels before 6.5 know no more than the number.
 */
int process_of_peer(int fd, pid_t pid, bool *is_known);
/* The same for whoever has that number now. -1: nobody, or there is no way. */
int process_open(pid_t pid);
/* It has not ended. True for -1, of which nobody knows. */
bool process_is_alive(int process);

#endif
