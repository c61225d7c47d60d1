#include "sockets.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 1024

struct address {
	union {
		struct sockaddr any;
		struct sockaddr_un un;
		struct sockaddr_in in;
	};
	socklen_t len;
};

/* In a list, so that the end of the program can reach all of them. */
struct connection {
	struct connection *next;
	void (*serve)(int fd);
	int fd;
	pthread_t thread;
	atomic_bool has_ended;
};

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static struct address address_parse(const char *where)
{
	struct address address = {.len = sizeof(address.in)};
	size_t len = strlen(where + strcspn(where, ":") + 1);

	if (strncmp(where, "unix:", 5) != 0) {
		address.in.sin_family = AF_INET;
		address.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		address.in.sin_port = htons((uint16_t)atoi(where + strcspn(where, ":") + 1));
		return address;
	}
	if (len >= sizeof(address.un.sun_path)) {
		fprintf(stderr, "%s: too long for a unix socket\n", where);
		exit(1);
	}
	address.un.sun_family = AF_UNIX;
	memcpy(address.un.sun_path, where + 5, len + 1);
	address.len = sizeof(address.un);
	/* An abstract name begins with a zero and ends where the length says: unix(7). */
	if (where[5] == '@') {
		address.len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
		address.un.sun_path[0] = '\0';
	}
	return address;
}

/* The path of a socket's file; nothing for other addresses. */
static const char *address_file(const struct address *address)
{
	return address->any.sa_family == AF_UNIX ? address->un.sun_path : "";
}

static int listen_at(const char *where, const struct address *address)
{
	int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	if (*address_file(address))
		unlink(address_file(address));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, &address->any, address->len) < 0 || listen(fd, BACKLOG) < 0)
		fail(where);
	return fd;
}

/* TERM and INT as something to wait for beside a socket. */
static int open_signals(void)
{
	sigset_t ends;

	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	pthread_sigmask(SIG_BLOCK, &ends, NULL);
	return signalfd(-1, &ends, SFD_CLOEXEC);
}

/* The one who called must see the end now; the descriptor is closed when the thread is joined. */
static void *connection_run(void *arg)
{
	struct connection *connection = arg;

	connection->serve(connection->fd);
	shutdown(connection->fd, SHUT_RDWR);
	atomic_store(&connection->has_ended, true);
	return NULL;
}

static void connection_start(struct connection **list, int fd, void (*serve)(int fd))
{
	struct connection *connection = calloc(1, sizeof(*connection));

	if (!connection)
		fail("calloc");
	connection->fd = fd;
	connection->serve = serve;
	connection->next = *list;
	*list = connection;
	if (pthread_create(&connection->thread, NULL, connection_run, connection) != 0)
		fail("pthread_create");
}

/* Frees those that have ended; with @all it ends the others and waits for them. */
static void connections_join(struct connection **list, bool all)
{
	struct connection *each;

	while ((each = *list)) {
		if (!all && !atomic_load(&each->has_ended)) {
			list = &each->next;
			continue;
		}
		shutdown(each->fd, SHUT_RDWR);
		pthread_join(each->thread, NULL);
		close(each->fd);
		*list = each->next;
		free(each);
	}
}

void sockets_serve(const char *where, void (*serve)(int fd))
{
	struct address address = address_parse(where);
	struct pollfd sources[] = {
	    {.fd = open_signals(), .events = POLLIN},
	    {.fd = listen_at(where, &address), .events = POLLIN},
	};
	struct connection *connections = NULL;
	int fd;

	signal(SIGPIPE, SIG_IGN);
	while (poll(sources, 2, -1) > 0 && sources[0].revents == 0) {
		connections_join(&connections, false);
		fd = accept(sources[1].fd, NULL, NULL);
		if (fd >= 0)
			connection_start(&connections, fd, serve);
	}
	if (*address_file(&address))
		unlink(address_file(&address));
	close(sources[1].fd);
	close(sources[0].fd);
	connections_join(&connections, true);
}

int sockets_connect(const char *where, unsigned patience_seconds)
{
	struct address address = address_parse(where);
	struct timeval patience = {.tv_sec = (time_t)patience_seconds};
	int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	signal(SIGPIPE, SIG_IGN);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (address.any.sa_family == AF_INET) /* a message is not to wait for the next one */
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(fd, &address.any, address.len) < 0)
		fail(where);
	return fd;
}
