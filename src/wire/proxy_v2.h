/*
 * The header of the PROXY protocol, version 2, in which a proxy tells at the start of a connection
 * on whose behalf it was opened. Source: haproxy doc/proxy-protocol.txt section 2.2.
 *
 *     signature:12 version+command:1 family:1 length:2 | addresses | (type:1 length:2 value)...
 *
 * Only streams are known: TCP over IPv4 and IPv6, and unix. The checksum that may stand in a header
 * is neither written nor looked at.
 */
#ifndef BRIDLE_WIRE_PROXY_V2_H
#define BRIDLE_WIRE_PROXY_V2_H

#include "base/address.h"
#include "base/cursor.h"

#define PROXY_V2_START      16u /* bytes before the addresses */
#define PROXY_V2_VALUE_HEAD 3u  /* type and length */

enum proxy_v2_command {
	PROXY_V2_LOCAL = 0, /* for the proxy itself: a health check */
	PROXY_V2_PROXY = 1, /* for somebody else */
};

/* Address family and transport in one byte. */
enum proxy_v2_family {
	PROXY_V2_UNSPEC = 0x00, /* no addresses follow */
	PROXY_V2_TCP4 = 0x11,
	PROXY_V2_TCP6 = 0x21,
	PROXY_V2_UNIX = 0x31,
};

/* Types of values: the protocol's own, then those that it leaves to applications, which have the
 * meaning given here only in what bridled sends. */
enum proxy_v2_type {
	PROXY_V2_AUTHORITY = 0x02, /* the service that is called: UTF-8 */
	PROXY_V2_UNIQUE_ID = 0x05, /* of the caller's connection: 16 hexadecimal digits */
	PROXY_V2_CALLER = 0xe0,    /* the service that calls, as the listener knows it: UTF-8 */
	PROXY_V2_LISTENER = 0xe1,  /* where it came in: UTF-8 */
	PROXY_V2_UID = 0xe2,       /* of a caller on a unix socket: decimal digits */
	PROXY_V2_PID = 0xe3,       /* the same */
};

/* The first PROXY_V2_START bytes; @len is that of all that follows. */
void proxy_v2_write_start(
    struct writer *w, enum proxy_v2_command command, enum proxy_v2_family family, uint16_t len);
/*
 * Where the caller's connection comes from and which of our addresses it came to. Both are of one
 * family (else nothing is written): IPv4 in IPv6's clothes is written as IPv4. Returns what stands
 * there for proxy_v2_write_start.
 */
enum proxy_v2_family proxy_v2_write_addresses(
    struct writer *w, const struct address *from, const struct address *to);
/* Longer than 65535 bytes: bad. */
void proxy_v2_write_value(struct writer *w, enum proxy_v2_type type, struct slice value);

struct proxy_v2_head {
	enum proxy_v2_command command;
	uint8_t family;         /* as it stands there: enum proxy_v2_family, or another */
	struct slice addresses; /* of a known family: 12, 36 or 216 bytes; else none */
	struct slice values;    /* for proxy_v2_next */
	size_t len;             /* of the header, all of it */
};

enum proxy_v2_result { PROXY_V2_OK, PROXY_V2_MORE, PROXY_V2_BAD };
/* Reads the header that @in begins with. MORE: it may be one, but is not whole. All views are into
 * @in. */
enum proxy_v2_result proxy_v2_read(struct slice in, struct proxy_v2_head *head);
/* The next value. False at the end, and bad where it is not a clean one. */
bool proxy_v2_next(struct cursor *values, uint8_t *type, struct slice *value);

#endif
