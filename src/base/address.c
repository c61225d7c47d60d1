#include "base/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/un.h>

#include "base/log.h"

#define NAME_MAX_LEN  253u /* source: RFC 1035 section 2.3.4, without the root's dot */
#define LABEL_MAX     63u
#define PORT_DIGITS   5u
#define SHOWN_MAX     80u /* of a wrong address, in a message */
#define MAPPED_PREFIX 12u /* bytes before the IPv4 address in ::ffff:a.b.c.d */

static int refuse(struct err *err, struct slice text, const char *why)
{
	char shown[LOG_ESCAPED_MAX];

	log_escape(shown, sizeof shown, slice_first(text, SHOWN_MAX));
	return err_set(err, 0, "\"%s\": %s", shown, why);
}

static void set_text(struct address *a, struct slice text)
{
	memcpy(a->text, text.data, text.len);
	a->text[text.len] = '\0';
}

static const char *parse_port(struct slice s, uint16_t *port)
{
	uint64_t value;

	if (s.len > PORT_DIGITS || !slice_to_u64(s, &value) || value > UINT16_MAX)
		return "the port must be a number from 0 to 65535";
	*port = (uint16_t)value;
	return NULL;
}

/* inet_pton wants a string. */
static bool parse_ip(int family, struct slice s, void *ip)
{
	char text[INET6_ADDRSTRLEN];

	if (s.len >= sizeof text || memchr(s.data, '\0', s.len))
		return false;
	memcpy(text, s.data, s.len);
	text[s.len] = '\0';
	return inet_pton(family, text, ip) == 1;
}

static void set_ip4(struct address *a, const struct in_addr *ip, uint16_t port)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = *ip};
	char host[INET_ADDRSTRLEN];

	a->kind = ADDRESS_IP;
	a->port = port;
	a->len = sizeof sin;
	memcpy(&a->sa, &sin, sizeof sin);
	inet_ntop(AF_INET, ip, host, sizeof host);
	snprintf(a->text, sizeof a->text, "%s:%u", host, port);
}

static void set_ip6(struct address *a, const struct in6_addr *ip, uint32_t scope, uint16_t port)
{
	struct sockaddr_in6 sin6 = {.sin6_family = AF_INET6,
	    .sin6_port = htons(port),
	    .sin6_addr = *ip,
	    .sin6_scope_id = scope};
	char host[INET6_ADDRSTRLEN];

	a->kind = ADDRESS_IP;
	a->port = port;
	a->len = sizeof sin6;
	memcpy(&a->sa, &sin6, sizeof sin6);
	inet_ntop(AF_INET6, ip, host, sizeof host);
	snprintf(a->text, sizeof a->text, "[%s]:%u", host, port);
}

/* @name: the path, or what follows the @ of an abstract name, whose first byte is NUL. */
static void set_unix(struct address *a, enum address_kind kind, struct slice name)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	size_t skip = kind == ADDRESS_ABSTRACT;
	size_t len = offsetof(struct sockaddr_un, sun_path) + name.len + 1;

	memcpy(un.sun_path + skip, name.data, name.len);
	a->kind = kind;
	a->len = (socklen_t)len;
	memcpy(&a->sa, &un, len);
}

static bool has_control(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.data[i] < 0x20 || s.data[i] == 0x7f)
			return true;
	return false;
}

static const char *parse_unix(struct address *a, struct slice text, struct slice rest)
{
	bool abstract = slice_starts(rest, SLICE_LIT("@"));
	struct slice name = abstract ? slice_from(rest, 1) : rest;

	if (has_control(name))
		return "a socket path has no NUL and no control characters";
	if (!abstract && !slice_starts(rest, SLICE_LIT("/")))
		return "write unix:/path with the whole path, or unix:@name";
	if (abstract && name.len == 0)
		return "the name after unix:@ is missing";
	if (name.len > ADDRESS_PATH_MAX)
		return "a socket path has at most 107 bytes";
	set_unix(a, abstract ? ADDRESS_ABSTRACT : ADDRESS_UNIX, name);
	set_text(a, text);
	return NULL;
}

static const char *parse_ip6(struct address *a, struct slice text)
{
	const uint8_t *close = memchr(text.data, ']', text.len);
	struct in6_addr ip;
	struct slice host, rest;
	const char *why;

	if (close == NULL)
		return "the ] after the IPv6 address is missing";
	host = slice_of(text.data + 1, (size_t)(close - text.data) - 1);
	rest = slice_from(text, host.len + 2);
	if (!parse_ip(AF_INET6, host, &ip))
		return "there is no IPv6 address in the brackets";
	if (!slice_starts(rest, SLICE_LIT(":")))
		return "write [address]:port, the port is missing";
	why = parse_port(slice_from(rest, 1), &a->port);
	if (why)
		return why;
	set_ip6(a, &ip, 0, a->port);
	return NULL;
}

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static bool is_name_byte(uint8_t c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
	       c == '_';
}

/* A name whose last label is a number would be an IPv4 address to some readers: nobody has such. */
static const char *check_name(struct slice host)
{
	size_t label = 0;
	bool number = true;

	if (host.len > NAME_MAX_LEN)
		return "a host name has at most 253 bytes";
	for (size_t i = 0; i < host.len; i++) {
		if (host.data[i] == '.') {
			if (label == 0)
				return "a host name has no empty labels";
			if (i + 1 == host.len)
				break;
			label = 0;
			number = true;
			continue;
		}
		if (!is_name_byte(host.data[i]))
			return "a host name has letters, digits, '-', '_' and '.' only";
		number = number && is_digit(host.data[i]);
		if (++label > LABEL_MAX)
			return "a label of a host name has at most 63 bytes";
	}
	return number ? "not an IPv4 address" : NULL;
}

static const char *parse_host(struct address *a, struct slice text)
{
	const uint8_t *colon = memchr(text.data, ':', text.len);
	struct in_addr ip;
	struct slice host, port;
	const char *why;

	if (colon == NULL)
		return "the port is missing, write host:port, [v6]:port, unix:/path or unix:@name";
	host = slice_first(text, (size_t)(colon - text.data));
	port = slice_from(text, host.len + 1);
	if (slice_starts(port, SLICE_LIT("//")))
		return "write host:port without a scheme";
	if (port.len && memchr(port.data, ':', port.len))
		return "an IPv6 address needs brackets: [address]:port";
	if (host.len == 0)
		return "the host is missing, write 0.0.0.0:port for all addresses";
	why = parse_port(port, &a->port);
	if (why)
		return why;
	if (parse_ip(AF_INET, host, &ip)) {
		set_ip4(a, &ip, a->port);
		return NULL;
	}
	why = check_name(host);
	if (why)
		return why;
	a->kind = ADDRESS_NAME;
	set_text(a, text);
	return NULL;
}

int address_parse(struct address *a, struct slice text, struct err *err)
{
	struct slice prefix = SLICE_LIT("unix:");
	const char *why;

	memset(a, 0, sizeof *a);
	if (text.len == 0)
		why = "empty, write host:port, [v6]:port, unix:/path or unix:@name";
	else if (slice_starts(text, prefix))
		why = parse_unix(a, text, slice_from(text, prefix.len));
	else if (text.data[0] == '[')
		why = parse_ip6(a, text);
	else
		why = parse_host(a, text);
	return why ? refuse(err, text, why) : 0;
}

/* The path of another process may hold anything. */
static void append_printable(struct address *a, struct slice name)
{
	size_t n = strlen(a->text);

	for (size_t i = 0; i < name.len; i++)
		a->text[n++] =
		    name.data[i] > 0x20 && name.data[i] < 0x7f ? (char)name.data[i] : '?';
	a->text[n] = '\0';
}

static void from_unix(struct address *a, const struct sockaddr *sa, socklen_t len)
{
	size_t at = offsetof(struct sockaddr_un, sun_path);
	struct sockaddr_un un = {0};
	size_t room = len > at ? len - at : 0;
	struct slice name;

	if (room > ADDRESS_PATH_MAX + 1)
		room = ADDRESS_PATH_MAX + 1;
	if (room)
		memcpy(un.sun_path, (const char *)sa + at, room);
	snprintf(a->text, sizeof a->text, "unix:");
	if (room > 1 && un.sun_path[0] == '\0') {
		name = slice_of(un.sun_path + 1, room - 1);
		set_unix(a, ADDRESS_ABSTRACT, name);
		a->text[strlen(a->text)] = '@';
	} else {
		name = slice_of(un.sun_path, strnlen(un.sun_path, ADDRESS_PATH_MAX));
		set_unix(a, ADDRESS_UNIX, name);
	}
	append_printable(a, name);
}

void address_from_sockaddr(struct address *a, const struct sockaddr *sa, socklen_t len)
{
	struct sockaddr_in sin;
	struct sockaddr_in6 sin6;

	memset(a, 0, sizeof *a);
	if (sa->sa_family == AF_UNIX) {
		from_unix(a, sa, len);
	} else if (sa->sa_family == AF_INET && len >= sizeof sin) {
		memcpy(&sin, sa, sizeof sin);
		set_ip4(a, &sin.sin_addr, ntohs(sin.sin_port));
	} else if (sa->sa_family == AF_INET6 && len >= sizeof sin6) {
		memcpy(&sin6, sa, sizeof sin6);
		set_ip6(a, &sin6.sin6_addr, sin6.sin6_scope_id, ntohs(sin6.sin6_port));
	} else {
		a->kind = ADDRESS_NAME;
		snprintf(a->text, sizeof a->text, "unknown:0");
	}
}

struct address address_with_port(const struct address *a, uint16_t port)
{
	struct sockaddr_storage sa = a->sa;
	struct address with;

	if (sa.ss_family == AF_INET6)
		((struct sockaddr_in6 *)&sa)->sin6_port = htons(port);
	else
		((struct sockaddr_in *)&sa)->sin_port = htons(port);
	address_from_sockaddr(&with, (const struct sockaddr *)&sa, a->len);
	return with;
}

struct slice address_host(const struct address *a)
{
	const char *colon = strrchr(a->text, ':');

	return colon ? slice_of(a->text, (size_t)(colon - a->text)) : SLICE_NONE;
}

/* The IP address of @sa as 4 or 16 bytes, an IPv4-mapped one as 4; false for other families. */
static bool ip_bytes(const struct sockaddr *sa, int *family, uint8_t bytes[16])
{
	struct sockaddr_in sin;
	struct sockaddr_in6 sin6;

	*family = sa->sa_family;
	if (sa->sa_family == AF_INET) {
		memcpy(&sin, sa, sizeof sin);
		memcpy(bytes, &sin.sin_addr, sizeof sin.sin_addr);
		return true;
	}
	if (sa->sa_family != AF_INET6)
		return false;
	memcpy(&sin6, sa, sizeof sin6);
	memcpy(bytes, &sin6.sin6_addr, sizeof sin6.sin6_addr);
	if (IN6_IS_ADDR_V4MAPPED(&sin6.sin6_addr)) {
		*family = AF_INET;
		memmove(bytes, bytes + MAPPED_PREFIX, 4);
	}
	return true;
}

bool address_is_local(const struct address *a)
{
	uint8_t bytes[16];
	int family;

	if (a->kind != ADDRESS_IP)
		return a->kind != ADDRESS_NAME;
	if (!ip_bytes((const struct sockaddr *)&a->sa, &family, bytes))
		return false;
	if (family == AF_INET)
		return bytes[0] == IN_LOOPBACKNET;
	return memcmp(bytes, &in6addr_loopback, sizeof bytes) == 0;
}

static void clear_host_bits(struct cidr *c)
{
	for (unsigned i = 0; i < sizeof c->bytes; i++) {
		unsigned kept = c->bits > 8 * i ? c->bits - 8 * i : 0;

		if (kept < 8)
			c->bytes[i] &= (uint8_t)(0xff00u >> kept);
	}
}

/* ::ffff:10.0.0.0/104 is 10.0.0.0/8, as ip_bytes sees the addresses in it. */
static void unmap(struct cidr *c)
{
	static const uint8_t mapped[MAPPED_PREFIX] = {[10] = 0xff, [11] = 0xff};

	if (c->bits < 8 * MAPPED_PREFIX || memcmp(c->bytes, mapped, sizeof mapped) != 0)
		return;
	c->family = AF_INET;
	c->bits -= 8 * MAPPED_PREFIX;
	memmove(c->bytes, c->bytes + MAPPED_PREFIX, sizeof c->bytes - MAPPED_PREFIX);
	memset(c->bytes + 4, 0, sizeof c->bytes - 4);
}

bool cidr_parse(struct cidr *c, struct slice text)
{
	const uint8_t *slash = text.len ? memchr(text.data, '/', text.len) : NULL;
	struct slice host = slash ? slice_first(text, (size_t)(slash - text.data)) : text;
	uint64_t bits;

	*c = (struct cidr){.family = AF_INET, .bits = 32};
	if (host.len == 0)
		return false;
	if (!parse_ip(AF_INET, host, c->bytes)) {
		*c = (struct cidr){.family = AF_INET6, .bits = 128};
		if (!parse_ip(AF_INET6, host, c->bytes))
			return false;
	}
	if (slash) {
		if (!slice_to_u64(slice_from(text, host.len + 1), &bits) || bits > c->bits)
			return false;
		c->bits = (unsigned)bits;
	}
	if (c->family == AF_INET6)
		unmap(c);
	clear_host_bits(c);
	return true;
}

bool cidr_contains(const struct cidr *c, const struct sockaddr *sa)
{
	struct cidr other = {.bits = c->bits};

	if (!ip_bytes(sa, &other.family, other.bytes) || other.family != c->family)
		return false;
	clear_host_bits(&other);
	return memcmp(other.bytes, c->bytes, sizeof c->bytes) == 0;
}

void address_source_from(struct address_source *source, const struct address *a)
{
	*source = (struct address_source){.any.sa_family = AF_UNSPEC};
	if (a->kind == ADDRESS_IP && a->len <= sizeof *source)
		memcpy(source, &a->sa, a->len);
}

const struct sockaddr *address_source_get(const struct address_source *source)
{
	return source->any.sa_family == AF_UNSPEC ? NULL : &source->any;
}
