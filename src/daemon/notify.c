#include "daemon/notify.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/slice.h"

void notify_send(const char *lines)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	const char *path = getenv("NOTIFY_SOCKET");
	size_t len = path ? strlen(path) : 0;
	int fd;

	if (len < 2 || len >= sizeof to.sun_path || (path[0] != '/' && path[0] != '@'))
		return;
	memcpy(to.sun_path, path, len);
	if (path[0] == '@')
		to.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	sendto(fd, lines, strlen(lines), MSG_NOSIGNAL, (const struct sockaddr *)&to,
	    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
	close(fd);
}

void notify_ready(void)
{
	notify_send("READY=1\nSTATUS=serving\n");
}

void notify_reloading(void)
{
	char lines[96];

	/* Type=notify-reload wants to know when the reload began. */
	snprintf(lines, sizeof lines, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64 "\nSTATUS=reloading\n",
	    clock_monotonic());
	notify_send(lines);
}

void notify_stopping(void)
{
	notify_send("STOPPING=1\nSTATUS=draining\n");
}

void notify_main_process(pid_t process)
{
	char line[48];

	snprintf(line, sizeof line, "MAINPID=%d\n", (int)process);
	notify_send(line);
}

usec_t notify_watchdog_interval(void)
{
	const char *interval = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	uint64_t usec, number;

	if (interval == NULL || !slice_to_u64(slice_str(interval), &usec) || usec == 0)
		return USEC_NONE;
	if (pid && (!slice_to_u64(slice_str(pid), &number) || number != (uint64_t)getpid()))
		return USEC_NONE;
	return usec;
}
