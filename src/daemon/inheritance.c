/*
 * A socket of the old process is known by the address as it was asked for, which is the same text
 * in both configurations, also where that is port 0. One of the service manager is known by where
 * it is bound, or by the name of the listener; then a wildcard of IPv6 does for one of IPv4, since
 * that is how a ListenStream= of a mere port is bound.
 */
#include "daemon/inheritance.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"

#define MANAGER_FIRST 3 /* source: sd_listen_fds(3), SD_LISTEN_FDS_START */
#define MANAGER_MAX   1024

struct heirloom {
	struct list link;
	struct inherited is;
	char *name;                   /* owned: what the service manager calls it; else NULL */
	char asked[ADDRESS_TEXT_MAX]; /* as the old process was asked for it; "" from a manager */
	bool is_taken;
};

struct inheritance {
	struct list all; /* owned */
};

struct inheritance *inheritance_new(void)
{
	struct inheritance *in = mem_calloc(1, sizeof *in);

	list_init(&in->all);
	return in;
}

static void heirloom_free(struct heirloom *h)
{
	if (!h->is_taken) {
		log_write(h->name ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, "listener",
		    "a socket that was passed on is in no listener, it is closed",
		    "address=%s name=\"%s\"", h->is.bound.text, h->name ? h->name : "");
		close(h->is.fd);
	}
	list_remove(&h->link);
	free(h->name);
	free(h);
}

void inheritance_free(struct inheritance **pin)
{
	struct inheritance *in = *pin;

	if (in == NULL)
		return;
	*pin = NULL;
	list_each_safe (link, &in->all)
		heirloom_free(list_item(link, struct heirloom, link));
	free(in);
}

static int number_of(int fd, int option)
{
	int value = 0;
	socklen_t len = sizeof value;

	return getsockopt(fd, SOL_SOCKET, option, &value, &len) < 0 ? -1 : value;
}

/* NULL, with the descriptor closed, where nothing can be accepted on it. */
static struct heirloom *add(struct inheritance *in, enum door_kind kind, int fd)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof sa;
	struct heirloom *h;

	if (number_of(fd, SO_TYPE) != SOCK_STREAM || number_of(fd, SO_ACCEPTCONN) != 1 ||
	    getsockname(fd, (struct sockaddr *)&sa, &len) < 0) {
		log_warn("listener",
		    "a descriptor that was passed on does not listen, it is closed", "number=%d",
		    fd);
		close(fd);
		return NULL;
	}
	h = mem_calloc(1, sizeof *h);
	h->is.fd = fd;
	h->is.kind = kind;
	address_from_sockaddr(&h->is.bound, (struct sockaddr *)&sa, len);
	list_push_back(&in->all, &h->link);
	return h;
}

void inheritance_add(
    struct inheritance *in, enum door_kind kind, uint32_t id, struct slice asked, int fd)
{
	struct heirloom *h = add(in, kind, fd);

	if (h == NULL)
		return;
	asked = slice_first(asked, sizeof h->asked - 1);
	h->is.id = id;
	if (asked.len)
		memcpy(h->asked, asked.data, asked.len);
}

/* --- of a service manager --- */

static uint64_t number_in(const char *variable)
{
	const char *text = getenv(variable);
	uint64_t number;

	return text && slice_to_u64(slice_str(text), &number) ? number : 0;
}

/* The next name of a list like "in:admin:in"; they may be fewer than descriptors. */
static char *next_name(const char **at)
{
	size_t len = strcspn(*at, ":");
	char *name = slice_dup(slice_of(*at, len));

	*at += len;
	if (**at == ':')
		++*at;
	return name;
}

void inheritance_from_manager(struct inheritance *in)
{
	bool is_for_us = number_in("LISTEN_PID") == (uint64_t)getpid();
	uint64_t n = is_for_us ? number_in("LISTEN_FDS") : 0;
	const char *names = getenv("LISTEN_FDNAMES");

	names = names ? names : "";
	for (int i = 0; (uint64_t)i < n && i < MANAGER_MAX; i++) {
		char *name = next_name(&names);
		struct heirloom *h;

		fcntl(MANAGER_FIRST + i, F_SETFD, FD_CLOEXEC);
		h = add(in, DOOR_ACTIVATED, MANAGER_FIRST + i);
		if (h)
			h->name = name;
		else
			free(name);
	}
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
}

/* --- who takes it --- */

static bool is_any(const struct address *a)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&a->sa;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&a->sa;

	if (a->sa.ss_family == AF_INET)
		return v4->sin_addr.s_addr == htonl(INADDR_ANY);
	return a->sa.ss_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr);
}

static bool is_same_host(const struct address *a, const struct address *b)
{
	struct address first = address_with_port(a, 1), second = address_with_port(b, 1);

	return strcmp(first.text, second.text) == 0 || (is_any(a) && is_any(b));
}

/* A name alone is no reason to listen where the configuration does not say so. */
static bool fits_name(const struct heirloom *h, const struct inheritance_wish *wish)
{
	const struct address *asked = wish->asked, *bound = &h->is.bound;

	if (strcmp(h->name, wish->listener) != 0)
		return false;
	return asked->kind == ADDRESS_IP && bound->kind == ADDRESS_IP &&
	       (asked->port == 0 || asked->port == bound->port) && is_same_host(asked, bound);
}

static bool is_wanted(const struct heirloom *h, const struct inheritance_wish *wish, bool by_name)
{
	if (h->is_taken || (h->is.kind == DOOR_ADMIN) != wish->is_admin)
		return false;
	if (h->name == NULL)
		return !by_name && strcmp(h->asked, wish->asked->text) == 0;
	if (by_name)
		return fits_name(h, wish);
	return strcmp(h->is.bound.text, wish->asked->text) == 0;
}

static struct heirloom *find(
    struct inheritance *in, const struct inheritance_wish *wish, bool by_name)
{
	list_each (link, &in->all) {
		struct heirloom *h = list_item(link, struct heirloom, link);

		if (is_wanted(h, wish, by_name))
			return h;
	}
	return NULL;
}

bool inheritance_take(
    struct inheritance *in, const struct inheritance_wish *wish, struct inherited *taken)
{
	struct heirloom *h;

	if (in == NULL)
		return false;
	h = find(in, wish, false);
	if (h == NULL)
		h = find(in, wish, true);
	if (h == NULL)
		return false;
	h->is_taken = true;
	*taken = h->is;
	if (wish->asked->kind != ADDRESS_IP)
		taken->bound = *wish->asked; /* as it is written, which is what the log shows */
	return true;
}

void inheritance_visit_taken(
    const struct inheritance *in, void (*visit)(void *arg, uint32_t id), void *arg)
{
	list_each (link, &in->all) {
		const struct heirloom *h = list_item(link, struct heirloom, link);

		if (h->is_taken && h->name == NULL)
			visit(arg, h->is.id);
	}
}
