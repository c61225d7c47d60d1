#include "support/made_capture.h"

#include <stdlib.h>

#include "base/cursor.h"
#include "ctl/tcp_segment.h"

#define SERVER_PORT 9000u
#define SEGMENT_MAX 1448u
#define LINK_RAW    101u

static void add_le32(struct text *out, uint32_t value)
{
	uint8_t bytes[4] = {
	    (uint8_t)value, (uint8_t)(value >> 8), (uint8_t)(value >> 16), (uint8_t)(value >> 24)};

	text_add(out, slice_of(bytes, sizeof bytes));
}

void made_begin(struct made_capture *c)
{
	*c = (struct made_capture){.at = MADE_AT};
	add_le32(&c->bytes, 0xa1b2c3d4);
	add_le32(&c->bytes, 2 | 4 << 16);
	add_le32(&c->bytes, 0);
	add_le32(&c->bytes, 0);
	add_le32(&c->bytes, 262144);
	add_le32(&c->bytes, LINK_RAW);
}

void made_fini(struct made_capture *c)
{
	text_fini(&c->bytes);
}

FILE *made_open(const struct made_capture *c)
{
	FILE *file = fmemopen(c->bytes.bytes, c->bytes.len, "rb");

	if (file == NULL)
		abort();
	return file;
}

void made_packet(struct made_capture *c, struct slice packet, size_t length)
{
	add_le32(&c->bytes, (uint32_t)(c->at / USEC_S));
	add_le32(&c->bytes, (uint32_t)(c->at % USEC_S));
	add_le32(&c->bytes, (uint32_t)packet.len);
	add_le32(&c->bytes, (uint32_t)length);
	text_add(&c->bytes, packet);
	c->at += USEC_MS;
}

void made_segment(struct text *out, const struct made_conn *conn, unsigned side, unsigned flags,
    uint32_t seq, struct slice data)
{
	uint8_t room[40] = {
	    [0] = 0x45, [8] = 64, [9] = 6, [12] = 127, [15] = 1, [16] = 127, [19] = 1};

	store_u16(room + 2, (uint16_t)(sizeof room + data.len));
	store_u16(room + 20, conn->sides[side].port);
	store_u16(room + 22, conn->sides[!side].port);
	store_u32(room + 24, seq);
	store_u32(room + 28, conn->sides[!side].seq);
	room[32] = 5 << 4;
	room[33] = (uint8_t)flags;
	store_u16(room + 34, UINT16_MAX);
	text_add(out, slice_of(room, sizeof room));
	text_add(out, data);
}

static void put(struct made_capture *c, const struct made_conn *conn, unsigned side, unsigned flags,
    struct slice data)
{
	struct text packet = {0};

	made_segment(&packet, conn, side, flags, conn->sides[side].seq, data);
	made_packet(c, slice_of(packet.bytes, packet.len), packet.len);
	text_fini(&packet);
}

void made_connect(struct made_capture *c, struct made_conn *conn, uint16_t port)
{
	*conn = (struct made_conn){{{port, 0xfffffff0}, {SERVER_PORT, 5000}}}; /* goes round soon */
	put(c, conn, 0, TCP_SYN, SLICE_NONE);
	conn->sides[0].seq++;
	put(c, conn, 1, TCP_SYN | TCP_ACK, SLICE_NONE);
	conn->sides[1].seq++;
	made_ack(c, conn, 0);
}

void made_send(struct made_capture *c, struct made_conn *conn, unsigned side, struct slice data)
{
	for (struct slice piece; data.len; data = slice_from(data, piece.len)) {
		piece = slice_first(data, SEGMENT_MAX);
		put(c, conn, side, TCP_ACK, piece);
		conn->sides[side].seq += (uint32_t)piece.len;
	}
}

void made_lose(struct made_conn *conn, unsigned side, size_t n)
{
	conn->sides[side].seq += (uint32_t)n;
}

void made_ack(struct made_capture *c, struct made_conn *conn, unsigned side)
{
	put(c, conn, side, TCP_ACK, SLICE_NONE);
}

void made_end(struct made_capture *c, struct made_conn *conn, unsigned side)
{
	put(c, conn, side, TCP_FIN | TCP_ACK, SLICE_NONE);
	conn->sides[side].seq++;
}
