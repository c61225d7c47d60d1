/* Captures made in a test: packets of TCP between two ports of loopback, in a pcap file in
 * memory. */
#ifndef BRIDLE_TESTS_MADE_CAPTURE_H
#define BRIDLE_TESTS_MADE_CAPTURE_H

#include <stdio.h>

#include "base/clock.h"
#include "base/text.h"

#define MADE_AT (UINT64_C(1700000000) * USEC_S) /* of the first packet; the next are 1 ms apart */

struct made_side {
	uint16_t port;
	uint32_t seq; /* of the next byte */
};

/* One connection; side 0 opened it. */
struct made_conn {
	struct made_side sides[2];
};

struct made_capture {
	struct text bytes; /* owned */
	usec_t at;         /* of the next packet */
};

/* Raw IP, little-endian, in microseconds. */
void made_begin(struct made_capture *c);
void made_fini(struct made_capture *c);
/* A file to read it from; to be closed before made_fini. */
FILE *made_open(const struct made_capture *c);
/* A packet as it is; @length as it is said to have been. */
void made_packet(struct made_capture *c, struct slice packet, size_t length);

/* An IPv4 packet with a TCP segment of @side, at @seq, with all that the other side has sent
 * acknowledged; added to @out. */
void made_segment(struct text *out, const struct made_conn *conn, unsigned side, unsigned flags,
    uint32_t seq, struct slice data);

/* With the handshake. */
void made_connect(struct made_capture *c, struct made_conn *conn, uint16_t port);
void made_send(struct made_capture *c, struct made_conn *conn, unsigned side, struct slice data);
/* Bytes that are not in the capture. */
void made_lose(struct made_conn *conn, unsigned side, size_t n);
/* Only an acknowledgement. */
void made_ack(struct made_capture *c, struct made_conn *conn, unsigned side);
void made_end(struct made_capture *c, struct made_conn *conn, unsigned side);

#endif
