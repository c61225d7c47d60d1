/*
 * TTHeader Streaming: its frames are TTHeaders with a flag of their own, whose SEQ names the
 * stream, and whose type and method are int keys. Which frame may follow which is not known here.
 * Source: kitex pkg/remote/trans/ttstream/{frame,exception}.go; gopkg protocol/ttheader.
 */
#ifndef BRIDLE_WIRE_TTSTREAM_H
#define BRIDLE_WIRE_TTSTREAM_H

#include "wire/ttheader.h"

#define TTSTREAM_SEQ_AT   8u    /* of the stream's number in a frame */
#define TTSTREAM_PROTOCOL 0x10u /* a Thrift struct without a message head */

enum ttstream_type {
	TTSTREAM_META = 1,
	TTSTREAM_HEADER = 2,
	TTSTREAM_DATA = 3,
	TTSTREAM_TRAILER = 4,
	TTSTREAM_RST = 5,
	TTSTREAM_OTHER, /* a number that is none of these */
};

/* Types of exceptions in trailers and resets. Source: kitex
 * pkg/remote/trans/ttstream/exception.go. */
enum ttstream_code {
	TTSTREAM_CODE_RST = 13, /* what a reset without a readable exception counts as */
	TTSTREAM_CODE_ILLEGAL_FRAME = 12004,
};

struct ttstream_frame {
	enum ttstream_type type;
	uint32_t stream; /* an i32 on the wire; 0: the connection itself */
	uint16_t flags;
	struct slice method;   /* may be empty */
	struct slice bytes;    /* the whole frame */
	struct slice sections; /* within it */
	struct slice payload;
};

/*
 * Reads a whole frame from the start of @in. Beside what ttheader_read refuses: a TTHeader without
 * the flag, sections that cannot be walked, a type that is missing or no number.
 */
enum wire_result ttstream_read(struct slice in, size_t max_header, size_t max_message,
    struct ttstream_frame *frame, struct wire_note *note);

/* The length of the frame that begins here, as it says itself; at least four bytes are here. */
static inline uint64_t ttstream_frame_len(struct slice in)
{
	return (uint64_t)load_u32(in.data) + 4;
}

/* The exception that is the payload of a trailer or a reset; false when there is none to be
 * read. */
bool ttstream_exception_read(struct slice payload, struct slice *text, int32_t *type);

/* A frame of our own. */
struct ttstream_own {
	enum ttstream_type type;
	uint32_t stream;
	struct slice method; /* may be empty */
	struct slice path;   /* str key ttscp, when not empty */
	bool has_exception;
	struct slice text; /* of the exception */
	int32_t exception; /* its type */
};

void ttstream_write(struct writer *w, const struct ttstream_own *own);

/*
 * Writes the header of a reset again with ",@node" behind its path (str key ttscp), or with
 * @node as its path; the payload is left to the caller. False, with nothing that counts written,
 * when the writer's room or the format's fields are too small.
 */
bool ttstream_extend_path(struct writer *w, const struct ttstream_frame *rst, struct slice node);

#endif
