/*
 * From a captured packet to the TCP segment in it: link header, IP with what may stand between,
 * TCP. Fragments are not put together. Nothing is kept.
 * Source: the link types of pcap (tcpdump.org/linktypes.html), RFC 791, 8200, 9293.
 */
#ifndef BRIDLE_CTL_TCP_SEGMENT_H
#define BRIDLE_CTL_TCP_SEGMENT_H

#include "base/slice.h"

enum segment_result {
	SEGMENT_OK,
	SEGMENT_OTHER,    /* no TCP: nothing to say about it */
	SEGMENT_FRAGMENT, /* a part of an IP packet */
	SEGMENT_BAD,      /* lengths that lie, or a packet that was cut within its headers */
	SEGMENT_LINK,     /* a link type that is not known here */
};

struct tcp_place {
	uint8_t bytes[16]; /* of the address; IPv4 fills four, the rest is 0 */
	uint16_t port;
	uint8_t is_v6;
};

#define TCP_FIN 0x01u
#define TCP_SYN 0x02u
#define TCP_RST 0x04u
#define TCP_ACK 0x10u

struct segment {
	struct tcp_place from, to;
	uint32_t seq, ack;
	uint8_t flags;
	struct slice data; /* what of it was captured */
	uint32_t length;   /* of the data on the wire; data.len or more */
};

enum segment_result segment_read(unsigned link, struct slice packet, struct segment *segment);

#define TCP_PLACE_TEXT 56u /* room for "[v6]:port" */

const char *tcp_place_text(const struct tcp_place *place, char room[TCP_PLACE_TEXT]);

#endif
