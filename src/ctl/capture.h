/*
 * Packets out of a capture, one after the other: pcap in all its four spellings, and pcapng with
 * sections and interfaces. The file is read as a stream and may be a pipe; what is kept is one
 * packet. What is in a packet is not known here: see ctl/tcp_segment.h.
 * Source: draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng.
 */
#ifndef BRIDLE_CTL_CAPTURE_H
#define BRIDLE_CTL_CAPTURE_H

#include <stdio.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/slice.h"

#define CAPTURE_PACKET_MAX     (256u << 10) /* source: libpcap's MAXIMUM_SNAPLEN */
#define CAPTURE_INTERFACES_MAX 1024u        /* ours: of one section */

enum capture_kind {
	CAPTURE_RAW, /* no capture, by its first bytes */
	CAPTURE_PCAP,
	CAPTURE_PCAPNG,
};

struct packet {
	uint64_t number; /* from 1, counting what was skipped */
	usec_t at;       /* since 1970; USEC_NONE: not told */
	unsigned link;   /* link type, as registered for pcap */
	struct slice bytes;
	uint32_t length; /* as it was on the wire: bytes.len or more */
};

enum capture_event {
	CAPTURE_PACKET,
	CAPTURE_END,
	CAPTURE_BROKEN, /* the rest cannot be read; the error says why */
};

struct capture;

/* Reads the first bytes. @from is borrowed. */
struct capture *capture_open(FILE *from);
void capture_close(struct capture **capture);
enum capture_kind capture_kind(const struct capture *capture);
/* What was read of a file that is no capture; the rest is still in the file. */
struct slice capture_first(const struct capture *capture);
/* The bytes of the packet stay until the next call. */
enum capture_event capture_next(struct capture *capture, struct packet *packet, struct err *err);
/* Packets that were passed over: longer than CAPTURE_PACKET_MAX, or with lengths that lie. */
uint64_t capture_skipped(const struct capture *capture);

#endif
