#include "net/process.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Source: linux include/uapi/asm-generic/socket.h; headers may be older than the kernel. */
#if !defined SO_PEERPIDFD && !defined __sparc__ && !defined __hppa__
#define SO_PEERPIDFD 77
#endif
/* The same number everywhere. Source: linux include/uapi/asm-generic/unistd.h. */
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

int process_open(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

int process_of_peer(int fd, pid_t pid, bool *is_known)
{
	int process = -1;

	*is_known = true;
#ifdef SO_PEERPIDFD
	socklen_t len = sizeof process;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &process, &len) == 0)
		return process;
	if (errno != ENOPROTOOPT)
		return -1;
#else
	(void)fd;
#endif
	process = process_open(pid);
	*is_known = process >= 0 || errno == ESRCH || errno == EINVAL;
	return process;
}

bool process_is_alive(int process)
{
	struct pollfd asked = {.fd = process, .events = POLLIN};

	return process < 0 || poll(&asked, 1, 0) == 0;
}
