#include "ctl/capture.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "base/cursor.h"
#include "base/mem.h"

#define PCAP_USEC   0xa1b2c3d4u
#define PCAP_NSEC   0xa1b23c4du
#define PCAP_HEAD   24u
#define PCAP_PACKET 16u

#define NG_SECTION    0x0a0d0d0au
#define NG_INTERFACE  1u
#define NG_OLD_PACKET 2u
#define NG_SIMPLE     3u
#define NG_PACKET     6u
#define NG_MAGIC      0x1a2b3c4du
#define NG_BLOCK      12u /* type, and the length at both ends */

#define OPTION_END        0u
#define OPTION_RESOLUTION 9u
#define OPTION_OFFSET     14u

#define BLOCK_KEPT (CAPTURE_PACKET_MAX + 4096u) /* of one block; what is behind it are options */

enum order { ORDER_BIG, ORDER_LITTLE };

struct interface {
	unsigned link;
	uint32_t snap;      /* 0: no limit */
	uint8_t resolution; /* as in the option */
	int64_t offset_s;
};

struct capture {
	FILE *from; /* borrowed */
	enum capture_kind kind;
	enum order order;
	bool is_nsec;                 /* pcap: fractions of a second */
	unsigned link;                /* pcap: of all packets */
	struct interface *interfaces; /* owned */
	unsigned n_interfaces;
	uint64_t number, skipped, at_byte;
	size_t n_first;
	uint8_t first[4];
	uint8_t *block; /* owned: BLOCK_KEPT bytes */
};

static uint16_t u16(const struct capture *c, const uint8_t *p)
{
	return c->order == ORDER_BIG ? load_u16(p) : __builtin_bswap16(load_u16(p));
}

static uint32_t u32(const struct capture *c, const uint8_t *p)
{
	uint32_t value = load_u32(p);

	return c->order == ORDER_BIG ? value : __builtin_bswap32(value);
}

/* ---- the file ---- */

static size_t read_bytes(struct capture *c, void *room, size_t len)
{
	size_t n = fread(room, 1, len, c->from);

	c->at_byte += n;
	return n;
}

static enum capture_event broken(struct capture *c, struct err *err, const char *what)
{
	if (ferror(c->from))
		err_set(err, errno, "cannot be read: %s", strerror(errno));
	else
		err_set(err, 0, "%s, at byte %llu", what, (unsigned long long)c->at_byte);
	return CAPTURE_BROKEN;
}

static bool pass_over(struct capture *c, uint64_t len)
{
	uint8_t away[4096];

	while (len) {
		size_t want = len < sizeof away ? (size_t)len : sizeof away;

		if (read_bytes(c, away, want) != want)
			return false;
		len -= want;
	}
	return true;
}

static enum capture_kind kind_of(struct capture *c)
{
	if (c->n_first < sizeof c->first)
		return CAPTURE_RAW;
	if (load_u32(c->first) == NG_SECTION)
		return CAPTURE_PCAPNG;
	for (c->order = ORDER_BIG; c->order <= ORDER_LITTLE; c->order++) {
		uint32_t magic = u32(c, c->first);

		c->is_nsec = magic == PCAP_NSEC;
		if (magic == PCAP_USEC || magic == PCAP_NSEC)
			return CAPTURE_PCAP;
	}
	return CAPTURE_RAW;
}

struct capture *capture_open(FILE *from)
{
	struct capture *c = mem_calloc(1, sizeof *c);

	c->from = from;
	c->block = mem_alloc(BLOCK_KEPT);
	c->n_first = read_bytes(c, c->first, sizeof c->first);
	c->kind = kind_of(c);
	return c;
}

void capture_close(struct capture **capture)
{
	struct capture *c = *capture;

	if (c == NULL)
		return;
	free(c->interfaces);
	free(c->block);
	free(c);
	*capture = NULL;
}

enum capture_kind capture_kind(const struct capture *capture)
{
	return capture->kind;
}

struct slice capture_first(const struct capture *capture)
{
	return slice_of(capture->first, capture->n_first);
}

uint64_t capture_skipped(const struct capture *capture)
{
	return capture->skipped;
}

/* ---- pcap ---- */

static enum capture_event read_pcap_head(struct capture *c, struct err *err)
{
	uint8_t *head = c->block;

	if (read_bytes(c, head, PCAP_HEAD - sizeof c->first) != PCAP_HEAD - sizeof c->first)
		return broken(c, err, "the file ends within its head");
	c->link = u32(c, head + 16) & 0x0fffffff; /* above: length of a checksum */
	return CAPTURE_PACKET;
}

static enum capture_event next_pcap(struct capture *c, struct packet *p, struct err *err)
{
	uint8_t head[PCAP_PACKET];
	uint32_t kept, fraction;
	size_t n;

	if (c->number == 0 && read_pcap_head(c, err) == CAPTURE_BROKEN)
		return CAPTURE_BROKEN;
	for (;;) {
		n = read_bytes(c, head, sizeof head);
		if (n == 0 && !ferror(c->from))
			return CAPTURE_END;
		if (n < sizeof head)
			return broken(c, err, "the file ends within the head of a packet");
		c->number++;
		kept = u32(c, head + 8);
		if (kept <= CAPTURE_PACKET_MAX)
			break;
		c->skipped++;
		if (!pass_over(c, kept))
			return broken(c, err, "the file ends within a packet that says it is long");
	}
	if (read_bytes(c, c->block, kept) != kept)
		return broken(c, err, "the file ends within a packet");
	fraction = u32(c, head + 4);
	p->number = c->number;
	p->at = u32(c, head) * USEC_S + (c->is_nsec ? fraction / 1000 : fraction);
	p->link = c->link;
	p->bytes = slice_of(c->block, kept);
	p->length = u32(c, head + 12);
	return CAPTURE_PACKET;
}

/* ---- pcapng ---- */

/* Units of 10^-n or, with the highest bit, 2^-n seconds. */
static usec_t usec_of(uint64_t ticks, uint8_t resolution)
{
	unsigned n = resolution & 0x7f;
	uint64_t scale = 1;

	if (resolution & 0x80) {
		uint64_t fraction;

		if (n > 63)
			return 0;
		fraction = n ? ticks & ((UINT64_C(1) << n) - 1) : 0;
		if (n > 43) /* keeps the product within 64 bits */
			fraction >>= n - 43;
		return (ticks >> n) * USEC_S + (fraction * USEC_S >> (n > 43 ? 43 : n));
	}
	for (unsigned i = n < 6 ? n : 6; i < (n < 6 ? 6 : n); i++)
		if (__builtin_mul_overflow(scale, 10, &scale))
			return 0;
	if (n >= 6)
		return ticks / scale;
	return __builtin_mul_overflow(ticks, scale, &ticks) ? USEC_NONE : ticks;
}

static usec_t time_of(const struct interface *i, uint64_t ticks)
{
	int64_t at, offset;
	usec_t since = usec_of(ticks, i->resolution);

	if (since > INT64_MAX || __builtin_mul_overflow(i->offset_s, (int64_t)USEC_S, &offset) ||
	    __builtin_add_overflow((int64_t)since, offset, &at) || at < 0)
		return USEC_NONE;
	return (usec_t)at;
}

static void read_options(struct capture *c, struct slice options, struct interface *i)
{
	while (options.len >= 4) {
		unsigned code = u16(c, options.data), len = u16(c, options.data + 2);
		struct slice value = slice_from(options, 4);

		if (code == OPTION_END || value.len < len)
			return;
		if (code == OPTION_RESOLUTION && len >= 1)
			i->resolution = value.data[0];
		if (code == OPTION_OFFSET && len >= 8) {
			uint64_t first = u32(c, value.data), second = u32(c, value.data + 4);

			i->offset_s = (int64_t)(c->order == ORDER_BIG ? first << 32 | second
								      : second << 32 | first);
		}
		options = slice_from(value, (len + 3u) & ~3u);
	}
}

static void read_interface(struct capture *c, struct slice body)
{
	struct interface *i;

	if (c->n_interfaces == CAPTURE_INTERFACES_MAX)
		return; /* its packets will be skipped */
	if (c->interfaces == NULL)
		c->interfaces = mem_calloc(CAPTURE_INTERFACES_MAX, sizeof *c->interfaces);
	i = &c->interfaces[c->n_interfaces++];
	*i = (struct interface){.link = UINT_MAX, .resolution = 6};
	if (body.len < 8)
		return;
	i->link = u16(c, body.data);
	i->snap = u32(c, body.data + 4);
	read_options(c, slice_from(body, 8), i);
}

/* @head: bytes of the block before those of the packet. False: its lengths lie. */
static bool fill_packet(struct capture *c, struct slice body, size_t head, uint32_t number,
    uint32_t kept, struct packet *p)
{
	struct interface *i = number < c->n_interfaces ? &c->interfaces[number] : NULL;
	bool has_time = head >= 20;

	if (i == NULL || kept > CAPTURE_PACKET_MAX || body.len < head || body.len - head < kept)
		return false;
	p->at = USEC_NONE;
	if (has_time)
		p->at = time_of(i, (uint64_t)u32(c, body.data + 4) << 32 | u32(c, body.data + 8));
	p->link = i->link;
	p->bytes = slice_sub(body, head, kept);
	p->length = u32(c, body.data + head - 4);
	return true;
}

static bool read_packet(struct capture *c, uint32_t type, struct slice body, struct packet *p)
{
	uint32_t kept, snap;

	if (type == NG_PACKET)
		return body.len >= 20 &&
		       fill_packet(c, body, 20, u32(c, body.data), u32(c, body.data + 12), p);
	if (type == NG_OLD_PACKET)
		return body.len >= 20 &&
		       fill_packet(c, body, 20, u16(c, body.data), u32(c, body.data + 12), p);
	if (body.len < 4 || c->n_interfaces == 0)
		return false;
	kept = u32(c, body.data);
	snap = c->interfaces[0].snap;
	if (snap && kept > snap)
		kept = snap;
	return fill_packet(c, body, 4, 0, kept, p);
}

/* The order of bytes is told behind the length of the block. */
static enum capture_event begin_section(struct capture *c, const uint8_t *head, struct err *err)
{
	uint8_t magic[4];

	if (read_bytes(c, magic, sizeof magic) != sizeof magic)
		return broken(c, err, "the file ends within the head of a section");
	c->order = ORDER_BIG;
	if (u32(c, magic) != NG_MAGIC)
		c->order = ORDER_LITTLE;
	if (u32(c, magic) != NG_MAGIC)
		return broken(c, err, "a section without the mark of its byte order");
	c->n_interfaces = 0;
	if (u32(c, head + 4) < NG_BLOCK + 16 || u32(c, head + 4) % 4)
		return broken(c, err, "a section with a head of no such length");
	if (!pass_over(c, u32(c, head + 4) - NG_BLOCK))
		return broken(c, err, "the file ends within the head of a section");
	return CAPTURE_PACKET;
}

/* Reads the block behind its head into *@body, as much as is kept of it. */
static enum capture_event read_body(
    struct capture *c, uint32_t len, struct slice *body, struct err *err)
{
	uint32_t whole = len - NG_BLOCK, kept = whole < BLOCK_KEPT ? whole : BLOCK_KEPT;
	uint8_t tail[4];

	if (len < NG_BLOCK || len % 4)
		return broken(c, err, "a block of no such length");
	if (read_bytes(c, c->block, kept) != kept || !pass_over(c, whole - kept) ||
	    read_bytes(c, tail, sizeof tail) != sizeof tail)
		return broken(c, err, "the file ends within a block");
	if (u32(c, tail) != len)
		return broken(c, err, "a block whose two lengths differ");
	*body = slice_of(c->block, kept);
	return CAPTURE_PACKET;
}

/* One block; *@is_packet when it was one that can be given out. */
static enum capture_event next_block(
    struct capture *c, const uint8_t *head, struct packet *p, bool *is_packet, struct err *err)
{
	uint32_t type = u32(c, head);
	struct slice body = SLICE_NONE;

	if (type == NG_SECTION)
		return begin_section(c, head, err);
	if (read_body(c, u32(c, head + 4), &body, err) == CAPTURE_BROKEN)
		return CAPTURE_BROKEN;
	if (type == NG_INTERFACE)
		read_interface(c, body);
	if (type != NG_PACKET && type != NG_SIMPLE && type != NG_OLD_PACKET)
		return CAPTURE_PACKET;
	p->number = ++c->number;
	*is_packet = read_packet(c, type, body, p);
	c->skipped += !*is_packet;
	return CAPTURE_PACKET;
}

static enum capture_event next_pcapng(struct capture *c, struct packet *p, struct err *err)
{
	bool is_packet = false;

	while (!is_packet) {
		uint8_t head[8];
		size_t n = c->n_first; /* the first block's type was read already */

		memcpy(head, c->first, n);
		c->n_first = 0;
		n += read_bytes(c, head + n, sizeof head - n);
		if (n == 0 && !ferror(c->from))
			return CAPTURE_END;
		if (n < sizeof head)
			return broken(c, err, "the file ends within the head of a block");
		if (next_block(c, head, p, &is_packet, err) == CAPTURE_BROKEN)
			return CAPTURE_BROKEN;
	}
	return CAPTURE_PACKET;
}

enum capture_event capture_next(struct capture *capture, struct packet *packet, struct err *err)
{
	enum capture_event event = capture->kind == CAPTURE_PCAP
				       ? next_pcap(capture, packet, err)
				       : next_pcapng(capture, packet, err);

	if (event == CAPTURE_PACKET && packet->length < packet->bytes.len)
		packet->length = (uint32_t)packet->bytes.len;
	return event;
}
