/*
 * Thrift strict binary: the message head, a resumable walk over a struct that only finds its end,
 * and TApplicationException. Kitex Protobuf's head has the same shape with another magic, so both
 * are read here.
 * Source: gopkg protocol/thrift/binary.go; kitex pkg/remote/codec/protobuf/protobuf.go.
 */
#ifndef BRIDLE_WIRE_THRIFT_H
#define BRIDLE_WIRE_THRIFT_H

#include "base/cursor.h"
#include "wire/wire.h"

#define THRIFT_MAGIC      0x8001u
#define KITEXPB_MAGIC     0x9001u
#define THRIFT_DEPTH_MAX  64u  /* source: gopkg defaultRecursionDepth */
#define THRIFT_METHOD_MAX 256u /* ours: no IDL has longer names, and they become labels */

enum thrift_type { THRIFT_CALL = 1, THRIFT_REPLY = 2, THRIFT_EXCEPTION = 3, THRIFT_ONEWAY = 4 };

/* Types of values; STOP ends a struct. Source: gopkg protocol/thrift/ttype.go. */
enum thrift_value {
	THRIFT_STOP = 0,
	THRIFT_BOOL = 2,
	THRIFT_BYTE = 3,
	THRIFT_DOUBLE = 4,
	THRIFT_I16 = 6,
	THRIFT_I32 = 8,
	THRIFT_I64 = 10,
	THRIFT_STRING = 11,
	THRIFT_STRUCT = 12,
	THRIFT_MAP = 13,
	THRIFT_SET = 14,
	THRIFT_LIST = 15,
};

struct thrift_head {
	uint16_t magic;
	uint16_t type; /* as on the wire, all sixteen bits */
	int32_t seq;
	struct slice method; /* view into what was read */
	size_t len;          /* of the head: magic up to and with the sequence id */
};

/*
 * Reads a message head with the magic THRIFT_MAGIC or KITEXPB_MAGIC. Bad: another magic, a method
 * that is longer than THRIFT_METHOD_MAX. An empty method and any type are read: exceptions may
 * carry both; the caller decides.
 */
enum wire_result thrift_head_read(
    struct slice in, struct thrift_head *head, struct wire_note *note);
void thrift_head_write(
    struct writer *w, uint16_t magic, enum thrift_type type, struct slice method, int32_t seq);

/*
 * A walk over one struct (args or result), fed in pieces of any size; it never looks back.
 * Iterative, bounded depth, constant memory; counts are never used to reserve. A container of
 * fixed-size elements is skipped in one step, one of empty structs costs a step for each byte that
 * is really there.
 */
struct thrift_walk {
	uint64_t skip; /* bytes of a value still to pass over */
	struct {
		uint8_t kind;          /* struct, list or set, map */
		uint8_t first, second; /* element types; first: key of a map */
		uint8_t at_second;     /* a map's value is next */
		uint32_t left;         /* elements (map: pairs) still to come */
	} stack[THRIFT_DEPTH_MAX];
	uint8_t depth, depth_max;
	uint8_t pending[8]; /* bytes of a field header or count split between two pieces */
	uint8_t n_pending;
	uint8_t want; /* what the pending bytes are; private */
};

void thrift_walk_init(struct thrift_walk *walk);
/*
 * WIRE_OK: the struct has ended, *@used bytes of @in belong to it. WIRE_MORE: all of @in does and
 * more is to come: note->need further bytes at least. WIRE_BAD: not a struct; note->why says what,
 * *@used how far it got.
 */
enum wire_result thrift_walk(
    struct thrift_walk *walk, struct slice in, size_t *used, struct wire_note *note);

/*
 * The fields of a struct that is here, one by one, for those who look for some of them: the header
 * of each is read, then its value is read or skipped.
 */
struct thrift_field {
	uint8_t type; /* as on the wire: maybe none of enum thrift_value */
	int16_t id;
};

/* False at the struct's end, with STOP read, and when it does not end here, with @in bad. */
bool thrift_next_field(struct cursor *in, struct thrift_field *field);
/* Passes over a value of that type, which has @depth structs and containers around it. False, with
 * @in bad, when it is none, or does not end here. */
bool thrift_skip(struct cursor *in, uint8_t type, unsigned depth);

/* The body of a type 3 message: exactly text and id, in this order. */
void thrift_exception_write(struct writer *w, struct slice text, int32_t id);
/* Tolerates unknown fields. False when it is no struct that ends within @body. */
bool thrift_exception_read(struct slice body, struct slice *text, int32_t *id);

#endif
