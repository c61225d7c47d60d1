#include "ctl/tcp_segment.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "base/cursor.h"

enum {
	LINK_NULL = 0,
	LINK_ETHERNET = 1,
	LINK_RAW_BSD = 12,
	LINK_RAW_OPENBSD = 14,
	LINK_RAW = 101,
	LINK_LOOP = 108,
	LINK_SLL = 113,
	LINK_IPV4 = 228,
	LINK_IPV6 = 229,
	LINK_SLL2 = 276,
};

#define ETHER_IPV4 0x0800u
#define ETHER_IPV6 0x86ddu
#define TAGS_MAX   4 /* VLANs in each other */

enum { IP_HOP_BY_HOP = 0, IP_TCP = 6, IP_ROUTING = 43, IP_FRAGMENT = 44, IP_AUTH = 51 };
enum { IP_DESTINATION = 60 };
#define EXTENSIONS_MAX 16

static bool is_tag(unsigned type)
{
	return type == 0x8100 || type == 0x88a8 || type == 0x9100;
}

static enum segment_result read_tcp(struct slice s, uint32_t length, struct segment *out)
{
	size_t head;

	if (s.len < 20)
		return SEGMENT_BAD;
	head = (size_t)(s.data[12] >> 4) * 4;
	if (head < 20 || head > s.len || head > length)
		return SEGMENT_BAD;
	out->from.port = load_u16(s.data);
	out->to.port = load_u16(s.data + 2);
	out->seq = load_u32(s.data + 4);
	out->ack = load_u32(s.data + 8);
	out->flags = s.data[13];
	out->data = slice_from(s, head);
	out->length = length - (uint32_t)head;
	return SEGMENT_OK;
}

/* @s: as much as was captured of the @length bytes behind the IP header; padding is cut off it. */
static enum segment_result read_payload(
    struct slice s, uint32_t length, unsigned protocol, struct segment *out)
{
	if (protocol != IP_TCP)
		return SEGMENT_OTHER;
	return read_tcp(slice_first(s, length), length, out);
}

static enum segment_result read_v4(struct slice s, struct segment *out)
{
	size_t head = s.len ? (size_t)(s.data[0] & 15) * 4 : 0;
	uint32_t total;

	if (s.len < 20 || head < 20 || head > s.len)
		return SEGMENT_BAD;
	total = load_u16(s.data + 2);
	if (total == 0) /* the sender's card cuts it up only later */
		total = (uint32_t)s.len;
	if (total < head)
		return SEGMENT_BAD;
	if (load_u16(s.data + 6) & 0x3fff)
		return SEGMENT_FRAGMENT;
	memcpy(out->from.bytes, s.data + 12, 4);
	memcpy(out->to.bytes, s.data + 16, 4);
	return read_payload(slice_from(s, head), total - (uint32_t)head, s.data[9], out);
}

/* Length of the extension header that begins here, 0 when it is none (a protocol, or cut). */
static size_t extension_len(struct slice s, unsigned type)
{
	if (s.len < 8)
		return 0;
	switch (type) {
	case IP_HOP_BY_HOP:
	case IP_ROUTING:
	case IP_DESTINATION:
		return ((size_t)s.data[1] + 1) * 8;
	case IP_AUTH:
		return ((size_t)s.data[1] + 2) * 4;
	case IP_FRAGMENT:
		return 8;
	default:
		return 0;
	}
}

static enum segment_result read_v6(struct slice s, struct segment *out)
{
	unsigned type;
	uint32_t left;
	size_t len;

	if (s.len < 40)
		return SEGMENT_BAD;
	memcpy(out->from.bytes, s.data + 8, 16);
	memcpy(out->to.bytes, s.data + 24, 16);
	out->from.is_v6 = out->to.is_v6 = 1;
	type = s.data[6];
	left = load_u16(s.data + 4);
	s = slice_from(s, 40);
	if (left == 0) /* longer than the field can say */
		left = (uint32_t)s.len;
	for (int i = 0; i < EXTENSIONS_MAX && (len = extension_len(s, type)) > 0; i++) {
		if (len > s.len || len > left)
			return SEGMENT_BAD;
		if (type == IP_FRAGMENT && load_u16(s.data + 2) & 0xfff9)
			return SEGMENT_FRAGMENT;
		type = s.data[0];
		s = slice_from(s, len);
		left -= (uint32_t)len;
	}
	return read_payload(s, left, type, out);
}

static enum segment_result read_ip(struct slice s, struct segment *out)
{
	if (s.len == 0)
		return SEGMENT_BAD;
	if (s.data[0] >> 4 == 4)
		return read_v4(s, out);
	return s.data[0] >> 4 == 6 ? read_v6(s, out) : SEGMENT_OTHER;
}

/* The type of what follows stands at @at, its bytes from @head on. */
static enum segment_result read_typed(struct slice s, size_t at, size_t head, struct segment *out)
{
	unsigned type;

	if (s.len < head)
		return SEGMENT_BAD;
	type = load_u16(s.data + at);
	s = slice_from(s, head);
	for (int i = 0; i < TAGS_MAX && is_tag(type); i++) {
		if (s.len < 4)
			return SEGMENT_BAD;
		type = load_u16(s.data + 2);
		s = slice_from(s, 4);
	}
	if (type == ETHER_IPV4 || type == ETHER_IPV6)
		return read_ip(s, out);
	return SEGMENT_OTHER;
}

enum segment_result segment_read(unsigned link, struct slice packet, struct segment *segment)
{
	*segment = (struct segment){0};
	switch (link) {
	case LINK_ETHERNET:
		return read_typed(packet, 12, 14, segment);
	case LINK_SLL:
		return read_typed(packet, 14, 16, segment);
	case LINK_SLL2:
		return read_typed(packet, 0, 20, segment);
	case LINK_NULL:
	case LINK_LOOP: /* a number for the family, other on other systems: IP tells it, too */
		return packet.len < 4 ? SEGMENT_BAD : read_ip(slice_from(packet, 4), segment);
	case LINK_RAW:
	case LINK_RAW_BSD:
	case LINK_RAW_OPENBSD:
	case LINK_IPV4:
	case LINK_IPV6:
		return read_ip(packet, segment);
	default:
		return SEGMENT_LINK;
	}
}

const char *tcp_place_text(const struct tcp_place *place, char room[TCP_PLACE_TEXT])
{
	char host[INET6_ADDRSTRLEN];

	inet_ntop(place->is_v6 ? AF_INET6 : AF_INET, place->bytes, host, sizeof host);
	snprintf(room, TCP_PLACE_TEXT, place->is_v6 ? "[%s]:%u" : "%s:%u", host, place->port);
	return room;
}
