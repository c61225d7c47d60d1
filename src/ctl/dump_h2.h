/*
 * What the parts of the HTTP/2 view share: dump_h2.c (bytes and frames), dump_h2_block.c (header
 * blocks) and dump_h2_data.c (messages of gRPC). Private to these.
 */
#ifndef BRIDLE_CTL_DUMP_H2_H
#define BRIDLE_CTL_DUMP_H2_H

#include "ctl/dump.h"

#define H2_KEPT        (64u << 10) /* of one frame, and of one header block */
#define H2_PREFACE     "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define H2_PREFACE_LEN (sizeof H2_PREFACE - 1)

/* Source: RFC 9113, sections 6 and 7. */
enum {
	H2_DATA,
	H2_HEADERS,
	H2_PRIORITY,
	H2_RST_STREAM,
	H2_SETTINGS,
	H2_PUSH_PROMISE,
	H2_PING,
	H2_GOAWAY,
	H2_WINDOW_UPDATE
};
enum { H2_CONTINUATION = 9 };

#define H2_END_STREAM   0x1u
#define H2_ACK          0x1u
#define H2_END_HEADERS  0x4u
#define H2_PADDED       0x8u
#define H2_HAS_PRIORITY 0x20u

enum h2_step { H2_BEGIN, H2_HEAD, H2_PAYLOAD, H2_SEARCH };

struct h2_inflate;

struct h2_lane {
	struct dump_lane *lane;     /* borrowed */
	struct h2_inflate *inflate; /* owned; NULL: blocks cannot be read any more */
	enum h2_step step;
	bool is_sure; /* of the table: all of the direction was seen */
	uint8_t head[H2_PREFACE_LEN];
	size_t n_head;
	uint64_t skipped;

	uint32_t length, left; /* of the present frame's payload */
	uint8_t type, flags;
	uint32_t stream;
	uint32_t padding;    /* DATA: bytes at its end */
	bool has_padding;    /* DATA: its length was read */
	struct text payload; /* of all other frames */

	struct text block; /* a header block that is coming in */
	bool is_block_open, is_block_cut;
	uint8_t block_type, block_flags;
	uint32_t block_stream;
	struct text names; /* of the fields of a block, one behind the other */
	size_t n_fields;
};

static inline struct slice h2_bytes(const struct text *t)
{
	return slice_of(t->bytes, t->len);
}

/* Memory that is large is given back. */
static inline void h2_empty(struct text *t)
{
	if (t->room > 4096)
		text_fini(t);
	t->len = 0;
}

/* ---- dump_h2.c ---- */

struct dump_call *h2_find_call(const struct h2_lane *h, uint32_t stream);
/* A message of that stream; @call may be NULL. */
struct dump_message h2_message(
    const struct h2_lane *h, uint32_t stream, const char *kind, const struct dump_call *call);
void h2_show(const struct h2_lane *h, const struct dump_message *m);
void h2_set_latency(const struct h2_lane *h, const struct dump_call *call, struct dump_message *m);
/* This direction of the call has ended; with both of them the call is forgotten. */
void h2_end_flow(struct h2_lane *h, struct dump_call *call);

/* ---- dump_h2_data.c ---- */

void h2_take_data(struct h2_lane *h, struct slice bytes);
/* The frame has ended. */
void h2_end_data(struct h2_lane *h);
/* Bytes of DATA that were not captured. */
void h2_miss_data(struct h2_lane *h, uint32_t n);

/* ---- dump_h2_block.c ---- */

/* The payload of HEADERS, PUSH_PROMISE or CONTINUATION is here. */
void h2_take_fragment(struct h2_lane *h);

#endif
