#include "wire/proxy_v2.h"

#include <netinet/in.h>
#include <sys/un.h>

#define VERSION_2      0x20u /* in the upper half of a byte */
#define COMMAND_MASK   0x0fu
#define MAPPED_PREFIX  12u  /* bytes before the IPv4 address in ::ffff:a.b.c.d */
#define UNIX_NAME      108u /* bytes of a unix socket's name, filled up with zeros */
#define TCP4_ADDRESSES (2u * 4 + 2 * 2)
#define TCP6_ADDRESSES (2u * 16 + 2 * 2)
#define UNIX_ADDRESSES (2u * UNIX_NAME)

static const uint8_t signature[] = {
    0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};

void proxy_v2_write_start(
    struct writer *w, enum proxy_v2_command command, enum proxy_v2_family family, uint16_t len)
{
	write_bytes(w, slice_of(signature, sizeof signature));
	write_u8(w, (uint8_t)(VERSION_2 | (unsigned)command));
	write_u8(w, (uint8_t)family);
	write_u16(w, len);
}

/* ---- addresses ---- */

struct ip_end {
	uint8_t host[16];
	uint16_t port;
	bool is_v4;
};

static struct ip_end ip_end_of(const struct address *a)
{
	struct ip_end end = {.is_v4 = a->sa.ss_family == AF_INET};
	struct sockaddr_in sin;
	struct sockaddr_in6 sin6;

	if (end.is_v4) {
		memcpy(&sin, &a->sa, sizeof sin);
		memcpy(end.host, &sin.sin_addr, sizeof sin.sin_addr);
		end.port = ntohs(sin.sin_port);
		return end;
	}
	memcpy(&sin6, &a->sa, sizeof sin6);
	memcpy(end.host, &sin6.sin6_addr, sizeof end.host);
	end.port = ntohs(sin6.sin6_port);
	if (IN6_IS_ADDR_V4MAPPED(&sin6.sin6_addr)) {
		memmove(end.host, end.host + MAPPED_PREFIX, sizeof sin.sin_addr);
		end.is_v4 = true;
	}
	return end;
}

static enum proxy_v2_family write_ip(
    struct writer *w, const struct address *a, const struct address *b)
{
	struct ip_end from = ip_end_of(a), to = ip_end_of(b);
	size_t len = from.is_v4 ? 4 : 16;

	if (from.is_v4 != to.is_v4)
		return PROXY_V2_UNSPEC;
	write_bytes(w, slice_of(from.host, len));
	write_bytes(w, slice_of(to.host, len));
	write_u16(w, from.port);
	write_u16(w, to.port);
	return from.is_v4 ? PROXY_V2_TCP4 : PROXY_V2_TCP6;
}

/* A name in the abstract namespace begins with a zero; who has none is all zeros. */
static void write_unix_name(struct writer *w, const struct address *a)
{
	struct sockaddr_un sun = {0};
	uint8_t name[UNIX_NAME] = {0};
	size_t start = offsetof(struct sockaddr_un, sun_path), len = 0;

	memcpy(&sun, &a->sa, a->len < sizeof sun ? a->len : sizeof sun);
	if (a->len > start)
		len = a->len - start < UNIX_NAME ? a->len - start : UNIX_NAME;
	memcpy(name, sun.sun_path, len);
	write_bytes(w, slice_of(name, sizeof name));
}

static bool is_ip(const struct address *a)
{
	return a->sa.ss_family == AF_INET || a->sa.ss_family == AF_INET6;
}

enum proxy_v2_family proxy_v2_write_addresses(
    struct writer *w, const struct address *from, const struct address *to)
{
	if (is_ip(from) && is_ip(to))
		return write_ip(w, from, to);
	if (from->sa.ss_family != AF_UNIX || to->sa.ss_family != AF_UNIX)
		return PROXY_V2_UNSPEC;
	write_unix_name(w, from);
	write_unix_name(w, to);
	return PROXY_V2_UNIX;
}

/* ---- values ---- */

void proxy_v2_write_value(struct writer *w, enum proxy_v2_type type, struct slice value)
{
	if (value.len > UINT16_MAX) {
		w->bad = true;
		return;
	}
	write_u8(w, (uint8_t)type);
	write_u16(w, (uint16_t)value.len);
	write_bytes(w, value);
}

bool proxy_v2_next(struct cursor *values, uint8_t *type, struct slice *value)
{
	if (values->bad || cursor_left(values) == 0)
		return false;
	*type = cursor_u8(values);
	*value = cursor_take(values, cursor_u16(values));
	return !values->bad;
}

/* ---- reading ---- */

/* Bytes of addresses. False: no such family. */
static bool size_of_addresses(uint8_t family, size_t *size)
{
	switch (family) {
	case PROXY_V2_UNSPEC:
		*size = 0;
		return true;
	case PROXY_V2_TCP4:
		*size = TCP4_ADDRESSES;
		return true;
	case PROXY_V2_TCP6:
		*size = TCP6_ADDRESSES;
		return true;
	case PROXY_V2_UNIX:
		*size = UNIX_ADDRESSES;
		return true;
	}
	return false;
}

/* What stands in a LOCAL header is of no meaning. */
static enum proxy_v2_result read_rest(struct slice rest, struct proxy_v2_head *head)
{
	size_t size;

	head->addresses = head->values = SLICE_NONE;
	if (head->command == PROXY_V2_LOCAL)
		return PROXY_V2_OK;
	if (!size_of_addresses(head->family, &size) || rest.len < size)
		return PROXY_V2_BAD;
	head->addresses = slice_first(rest, size);
	head->values = slice_from(rest, size);
	return PROXY_V2_OK;
}

enum proxy_v2_result proxy_v2_read(struct slice in, struct proxy_v2_head *head)
{
	size_t known = in.len < sizeof signature ? in.len : sizeof signature;
	struct cursor c = cursor_of(slice_from(in, known));
	uint8_t first;
	struct slice rest;

	if (known && memcmp(in.data, signature, known) != 0)
		return PROXY_V2_BAD;
	if (in.len < PROXY_V2_START)
		return PROXY_V2_MORE;
	first = cursor_u8(&c);
	if ((first & ~COMMAND_MASK) != VERSION_2 || (first & COMMAND_MASK) > PROXY_V2_PROXY)
		return PROXY_V2_BAD;
	head->command = (enum proxy_v2_command)(first & COMMAND_MASK);
	head->family = cursor_u8(&c);
	rest = cursor_take(&c, cursor_u16(&c));
	if (c.bad)
		return PROXY_V2_MORE;
	head->len = PROXY_V2_START + rest.len;
	return read_rest(rest, head);
}
