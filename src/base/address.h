/*
 * Addresses as they are written: host:port, [v6]:port, unix:/path, unix:@abstract. Parsing never
 * looks a name up; an address whose host is a name has to be resolved by somebody else first.
 */
#ifndef BRIDLE_BASE_ADDRESS_H
#define BRIDLE_BASE_ADDRESS_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/slice.h"

#define ADDRESS_TEXT_MAX 272u /* longest host name, port, NUL */
#define ADDRESS_PATH_MAX 107u /* what sun_path holds beside its NUL */

enum address_kind {
	ADDRESS_IP,
	ADDRESS_UNIX,
	ADDRESS_ABSTRACT,
	ADDRESS_NAME, /* host name and port: sa is not filled */
};

struct address {
	enum address_kind kind;
	uint16_t port; /* IP, NAME */
	socklen_t len; /* of sa; 0 for NAME */
	struct sockaddr_storage sa;
	char text[ADDRESS_TEXT_MAX]; /* as written, normalised for IP */
};

/* Where a connection comes from, in little room. */
struct address_source {
	union {
		struct sockaddr any; /* AF_UNSPEC: not an IP address */
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	};
};
void address_source_from(struct address_source *source, const struct address *a);
/* The address behind it, or NULL. */
const struct sockaddr *address_source_get(const struct address_source *source);

/* Returns 0, or -1 with @err saying what is wrong and what would be right. Port 0 is parsed. */
int address_parse(struct address *a, struct slice text, struct err *err);
/* Fills @a from a socket address, text included. */
void address_from_sockaddr(struct address *a, const struct sockaddr *sa, socklen_t len);
/* The same IP address with another port. */
struct address address_with_port(const struct address *a, uint16_t port);
/* The host part of an ADDRESS_NAME. */
struct slice address_host(const struct address *a);
/* Unix, or an IP address of the loopback network. */
bool address_is_local(const struct address *a);

/* A network: 10.0.0.0/8, fd00::/8, or one address. */
struct cidr {
	int family;
	uint8_t bytes[16];
	unsigned bits;
};
bool cidr_parse(struct cidr *c, struct slice text);
/* IPv4-mapped IPv6 addresses match IPv4 networks. */
bool cidr_contains(const struct cidr *c, const struct sockaddr *sa);

#endif
