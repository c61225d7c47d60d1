#include "net/local_address.h"

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <string.h>
#include <unistd.h>

#define ADDRESSES_MAX 64u /* looked at; the first ones count */

static bool is_ipv4(const struct address *a)
{
	return a->kind == ADDRESS_IP && a->sa.ss_family == AF_INET;
}

/* 169.254.0.0/16, which says that nobody gave the interface an address. */
static bool is_link_local(const struct address *a)
{
	const struct sockaddr_in *sin = (const struct sockaddr_in *)&a->sa;

	return (ntohl(sin->sin_addr.s_addr) >> 16) == 0xa9feu;
}

const struct address *local_address_choose(const struct address *list, size_t n)
{
	const struct address *spare = NULL;

	for (size_t i = 0; i < n; i++) {
		if (!is_ipv4(&list[i]) || address_is_local(&list[i]))
			continue;
		if (!is_link_local(&list[i]))
			return &list[i];
		if (spare == NULL)
			spare = &list[i];
	}
	return spare;
}

static size_t list_own(struct address *list, size_t room)
{
	struct ifaddrs *all;
	size_t n = 0;

	if (getifaddrs(&all) < 0)
		return 0;
	for (const struct ifaddrs *i = all; i && n < room; i = i->ifa_next)
		if (i->ifa_addr && i->ifa_addr->sa_family == AF_INET && (i->ifa_flags & IFF_UP))
			address_from_sockaddr(&list[n++], i->ifa_addr, sizeof(struct sockaddr_in));
	freeifaddrs(all);
	return n;
}

void local_address_first(struct address *own)
{
	struct address list[ADDRESSES_MAX];
	const struct address *chosen = local_address_choose(list, list_own(list, ADDRESSES_MAX));
	struct sockaddr_in loopback = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	if (chosen)
		*own = *chosen;
	else
		address_from_sockaddr(own, (const struct sockaddr *)&loopback, sizeof loopback);
}

/* Connecting a datagram socket only has the kernel choose a route. */
static int ask_route(const struct address *to, struct sockaddr_storage *from, socklen_t *len)
{
	int fd = socket(to->sa.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0), error = 0;

	if (fd < 0)
		return errno;
	if (connect(fd, (const struct sockaddr *)&to->sa, to->len) < 0 ||
	    getsockname(fd, (struct sockaddr *)from, len) < 0)
		error = errno;
	close(fd);
	return error;
}

static void clear_port(struct sockaddr_storage *sa)
{
	if (sa->ss_family == AF_INET6)
		((struct sockaddr_in6 *)sa)->sin6_port = 0;
	else
		((struct sockaddr_in *)sa)->sin_port = 0;
}

int local_address_towards(
    const struct address *to, bool only_v4, struct address *own, struct err *err)
{
	struct sockaddr_storage from = {0};
	socklen_t len = sizeof from;
	int error = to->kind == ADDRESS_IP ? ask_route(to, &from, &len) : EDESTADDRREQ;

	if (error)
		return err_set(err, error, "no way to %s: %s", to->text, strerror(error));
	clear_port(&from);
	address_from_sockaddr(own, (const struct sockaddr *)&from, len);
	if (only_v4 && !is_ipv4(own))
		local_address_first(own);
	return 0;
}
