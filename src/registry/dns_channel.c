#include "registry/dns_channel.h"

#include <stdio.h>
#include <stdlib.h>

#include <ares.h>
#include <event2/event.h>

#include "base/list.h"
#include "base/mem.h"
#include "net/loop.h"

#define QUERY_TIMEOUT_MS 1000 /* of one try; the library doubles it for the next */
#define QUERY_TRIES      3

/* A socket of the library's that we watch for it. */
struct dns_socket {
	struct list link;
	struct dns_channel *channel; /* borrowed */
	int fd;                      /* the library's */
	struct event *event;         /* owned */
};

struct dns_channel {
	struct loop *loop;    /* borrowed */
	ares_channel channel; /* owned */
	struct list sockets;
	struct timer tick; /* the library's own timeouts */
};

static void tick(struct timer *timer, usec_t now)
{
	struct dns_channel *c = container_of(timer, struct dns_channel, tick);

	(void)now;
	ares_process_fd(c->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	dns_channel_kick(c);
}

/* The timeouts move with every exchange. */
void dns_channel_kick(struct dns_channel *c)
{
	struct timeval room, *wait = ares_timeout(c->channel, NULL, &room);
	usec_t at = USEC_NONE;

	if (wait)
		at = loop_now(c->loop) + (usec_t)wait->tv_sec * USEC_S + (usec_t)wait->tv_usec;
	wheel_set(loop_wheel(c->loop), &c->tick, at, tick);
}

static void socket_ready(evutil_socket_t fd, short what, void *arg)
{
	struct dns_socket *s = arg;
	struct dns_channel *c = s->channel; /* the library may close the socket, and so free s */

	ares_process_fd(c->channel, what & EV_READ ? fd : ARES_SOCKET_BAD,
	    what & EV_WRITE ? fd : ARES_SOCKET_BAD);
	dns_channel_kick(c);
}

static void socket_free(struct dns_socket *s)
{
	list_remove(&s->link);
	event_free(s->event);
	free(s);
}

static struct dns_socket *find_socket(struct dns_channel *c, int fd)
{
	list_each (link, &c->sockets) {
		struct dns_socket *s = list_item(link, struct dns_socket, link);

		if (s->fd == fd)
			return s;
	}
	return NULL;
}

static void socket_changed(void *arg, ares_socket_t fd, int readable, int writable)
{
	struct dns_channel *c = arg;
	struct dns_socket *s = find_socket(c, fd);
	short what = (short)((readable ? EV_READ : 0) | (writable ? EV_WRITE : 0) | EV_PERSIST);

	if (s)
		socket_free(s);
	if (!readable && !writable)
		return;
	s = mem_calloc(1, sizeof *s);
	s->channel = c;
	s->fd = fd;
	s->event = event_new(loop_base(c->loop), fd, what, socket_ready, s);
	list_push_back(&c->sockets, &s->link);
	event_add(s->event, NULL);
}

static int set_servers(ares_channel channel, const struct config_list *servers)
{
	char csv[1024];
	size_t len = 0;

	for (size_t i = 0; i < servers->n && len < sizeof csv; i++)
		len += (size_t)snprintf(
		    csv + len, sizeof csv - len, "%s%s", i ? "," : "", servers->items[i]);
	if (len >= sizeof csv)
		return ARES_EBADSTR;
	return servers->n ? ares_set_servers_ports_csv(channel, csv) : ARES_SUCCESS;
}

static int open_library(struct dns_channel *c, const struct config_list *servers, struct err *err)
{
	struct ares_options options = {
	    .timeout = QUERY_TIMEOUT_MS,
	    .tries = QUERY_TRIES,
	    .sock_state_cb = socket_changed,
	    .sock_state_cb_data = c,
	};
	int status;

	status = ares_init_options(
	    &c->channel, &options, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB);
	if (status != ARES_SUCCESS)
		return err_set(err, 0, "name resolution: %s", ares_strerror(status));
	status = set_servers(c->channel, servers);
	if (status == ARES_SUCCESS)
		return 0;
	ares_destroy(c->channel);
	return err_set(err, 0, "resolvers: %s", ares_strerror(status));
}

struct dns_channel *dns_channel_new(
    struct loop *loop, const struct config_list *servers, struct err *err)
{
	struct dns_channel *c = mem_calloc(1, sizeof *c);

	c->loop = loop;
	list_init(&c->sockets);
	ares_library_init(ARES_LIB_INIT_ALL);
	if (open_library(c, servers, err) == 0)
		return c;
	ares_library_cleanup();
	free(c);
	return NULL;
}

void dns_channel_free(struct dns_channel **pc)
{
	struct dns_channel *c = *pc;

	*pc = NULL;
	if (c == NULL)
		return;
	ares_destroy(c->channel);
	ares_library_cleanup();
	list_each_safe (link, &c->sockets)
		socket_free(list_item(link, struct dns_socket, link));
	wheel_clear(&c->tick);
	free(c);
}

struct ares_channeldata *dns_channel_of(struct dns_channel *c)
{
	return c->channel;
}
