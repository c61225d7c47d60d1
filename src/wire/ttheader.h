/*
 * TTHeader: the fixed part, and a walk over the info sections, which are validated on the way. Also
 * the older mesh header (decode only), whose entries look the same to the reader.
 * Source: gopkg protocol/ttheader/{encode,decode,metakey}.go; kitex
 * pkg/remote/codec/header_codec.go.
 */
#ifndef BRIDLE_WIRE_TTHEADER_H
#define BRIDLE_WIRE_TTHEADER_H

#include "base/cursor.h"
#include "wire/wire.h"

#define TTHEADER_MAGIC       0x1000u
#define MESHHEADER_MAGIC     0xffafu
#define TTHEADER_FIXED       14u     /* LENGTH .. HEADER WORDS */
#define TTHEADER_SECTIONS    16u     /* where sections begin without transforms */
#define TTHEADER_HEADER_MAX  262140u /* 65535 words of 4 */
#define TTHEADER_ENTRIES_MAX 1024u   /* ours: keys in one header */

#define TTHEADER_FLAG_OUT_OF_ORDER 0x0001u
#define TTHEADER_FLAG_STREAMING    0x0002u

enum ttheader_section {
	TTHEADER_PADDING = 0x00,
	TTHEADER_STR = 0x01,
	TTHEADER_INT = 0x10,
	TTHEADER_ACL = 0x11,
};

/* Int keys. Source: gopkg protocol/ttheader/metakey.go. */
enum ttheader_key {
	TTKEY_TRANSPORT_TYPE = 1,
	TTKEY_LOG_ID = 2,
	TTKEY_FROM_SERVICE = 3,
	TTKEY_FROM_CLUSTER = 4,
	TTKEY_FROM_IDC = 5,
	TTKEY_TO_SERVICE = 6,
	TTKEY_TO_METHOD = 9,
	TTKEY_DEST_ADDRESS = 11,
	TTKEY_RPC_TIMEOUT = 12,
	TTKEY_WITH_HEADER = 16, /* "3": a client of Volo's; those of Kitex write none */
	TTKEY_FROM_METHOD = 20,
	TTKEY_MSG_TYPE = 22,
	TTKEY_FRAME_TYPE = 27, /* of streams */
};

struct ttheader {
	uint32_t length; /* as written: bytes after the LENGTH field */
	uint16_t flags;
	int32_t seq;
	uint8_t protocol_id;
	size_t header_len;  /* from the start of the message to the payload */
	size_t payload_len; /* header_len + payload_len is the whole message */
	struct slice sections;
};

/*
 * Reads the fixed part when all header bytes are there. Checks in wide types, before anything is
 * used: magic, HEADER WORDS not 0, header within LENGTH, at least 8 payload bytes (Kitex's readers
 * hang on fewer; a streaming frame may have none), protocol id 0, 3, 4 (0x10 and 0x11 only with the
 * streaming flag), no transforms; HEADER WORDS in bytes <= @max_header, whole message <=
 * @max_message (WIRE_TOO_LARGE).
 */
enum wire_result ttheader_read(struct slice in, size_t max_header, size_t max_message,
    struct ttheader *h, struct wire_note *note);

struct meshheader {
	size_t header_len;
	struct slice sections; /* count, then entries: iterate with ttheader_entries_mesh */
};

/* Checks the size (at least a count) against @max_header; the entries are checked by the
 * iteration. */
enum wire_result meshheader_read(
    struct slice in, size_t max_header, struct meshheader *h, struct wire_note *note);

/* One entry of an info section. */
struct ttheader_entry {
	enum ttheader_section kind; /* STR, INT or ACL */
	uint16_t int_key;           /* INT */
	struct slice key;           /* STR */
	struct slice value;         /* STR, INT; ACL: the token */
	size_t offset, len; /* of the whole entry within the sections (ACL: with its id byte) */
	size_t section;     /* offset of the section's id byte (mesh header: 0) */
};

struct ttheader_iter {
	struct cursor in;
	const uint8_t *start;
	size_t section;
	uint32_t left; /* entries still to come in this section */
	uint32_t seen;
	uint8_t kind;
	bool mesh;
	const char *why; /* set when the sections are bad: iteration ended for that */
};

struct ttheader_iter ttheader_entries(struct slice sections);
struct ttheader_iter ttheader_entries_mesh(struct slice sections);
/* False at the end, and on bad bytes, with `why` set: unknown section, a length past the end, more
 * than TTHEADER_ENTRIES_MAX entries. */
bool ttheader_next(struct ttheader_iter *it, struct ttheader_entry *entry);

/*
 * Writing a header: ttheader_begin, then sections (each str or int section once, entries between
 * its begin and end), then ttheader_end pads and fills LENGTH and HEADER WORDS in.
 */
struct ttheader_writer {
	struct writer *w;
	size_t start, count_at;
	uint16_t count;
};

void ttheader_begin(
    struct ttheader_writer *t, struct writer *w, uint16_t flags, int32_t seq, uint8_t protocol_id);
void ttheader_section_begin(struct ttheader_writer *t, enum ttheader_section kind);
void ttheader_put_str(struct ttheader_writer *t, struct slice key, struct slice value);
/* A str key whose value the caller writes behind it: @len bytes. */
void ttheader_begin_str(struct ttheader_writer *t, struct slice key, uint16_t len);
void ttheader_put_int(struct ttheader_writer *t, uint16_t key, struct slice value);
/* A section without entries is taken back. */
void ttheader_section_end(struct ttheader_writer *t);
void ttheader_put_acl(struct ttheader_writer *t, struct slice token);
/* @payload_len: bytes that will follow. Sets the writer's `bad` when a field cannot hold it. */
void ttheader_end(struct ttheader_writer *t, uint64_t payload_len);

#endif
