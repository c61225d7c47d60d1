/*
 * The metadata of a call, for an application in C behind a service with metadata: lookup. The other
 * end of its connection has a name, and the sidecar tells over a socket of its own what belongs to
 * the call that it has sent there. To be copied; it needs nothing but a C library.
 */
#include "metadata.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* The name of the other end: in the abstract namespace it begins with NUL, and has no other end. */
static int name_of(int connection, struct sockaddr_un *peer, int *len)
{
	socklen_t size = sizeof *peer;

	if (getpeername(connection, (struct sockaddr *)peer, &size) < 0)
		return -1;
	*len = (int)size - (int)offsetof(struct sockaddr_un, sun_path) - 1;
	if (peer->sun_family == AF_UNIX && *len > 0 && peer->sun_path[0] == '\0')
		return 0;
	errno = ENOTCONN;
	return -1;
}

/* All that comes before the end; its length, or -1. */
static ssize_t exchange(int fd, const char *request, char *answer, size_t size)
{
	ssize_t len = 0, n = 1;

	if (send(fd, request, strlen(request), MSG_NOSIGNAL) < 0)
		return -1;
	while (n > 0 && (size_t)len < size - 1) {
		n = recv(fd, answer + len, size - 1 - (size_t)len, 0);
		len += n > 0 ? n : 0;
	}
	if (n == 0)
		return len;
	if (n > 0)
		errno = EMSGSIZE;
	return -1;
}

int metadata_of(
    int connection, const int32_t *seq, const char *socket_path, char *json, size_t size)
{
	struct sockaddr_un peer, door = {.sun_family = AF_UNIX};
	char request[256], query[32] = "", *body;
	ssize_t len = -1;
	int name_len, status, fd;

	if (name_of(connection, &peer, &name_len) < 0)
		return -1;
	if (seq)
		snprintf(query, sizeof query, "?seq=%" PRId32, *seq);
	snprintf(request, sizeof request, "GET /meta/%.*s%s HTTP/1.0\r\n\r\n", name_len,
	    peer.sun_path + 1, query);
	snprintf(door.sun_path, sizeof door.sun_path, "%s", socket_path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&door, sizeof door) == 0)
		len = exchange(fd, request, json, size);
	if (fd >= 0)
		close(fd);
	if (len < 0)
		return -1;
	json[len] = '\0';
	body = strstr(json, "\r\n\r\n");
	if (body == NULL || sscanf(json, "HTTP/1.%*d %d", &status) != 1) {
		errno = EPROTO;
		return -1;
	}
	memmove(json, body + 4, strlen(body + 4) + 1);
	return status;
}
