#ifndef EXAMPLES_FRAME_H
#define EXAMPLES_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/*
 * Frames of TTHeader Streaming. A stream is, from each side, a header, data as often as there are
 * messages, and a trailer; or it is cut off by rst. Numbers and texts are those of Kitex.
 */

#define FRAME_STRINGS_MAX 16u

enum frame_type { FRAME_META = 1, FRAME_HEADER, FRAME_DATA, FRAME_TRAILER, FRAME_RST };

struct frame_string {
	char *key, *value;
};

struct frame {
	enum frame_type type;
	uint32_t stream;
	char *method;
	struct frame_string strings[FRAME_STRINGS_MAX];
	unsigned n_strings;
	uint8_t *payload;
	size_t len;
};

/* The value of a string key; NULL if the frame does not have it. It stays the frame's. */
const char *frame_string(const struct frame *frame, const char *key);

/*
 * Reads a frame, whose parts are then the caller's, for frame_free. False: none came, or no frame
 * of a stream.
 */
bool frame_read(FILE *in, struct frame *frame);
void frame_free(struct frame *frame);

/*
 * Writes a frame and sends it; everything in it stays the caller's. False if the connection is
 * broken.
 */
bool frame_write(FILE *out, const struct frame *frame);

/*
 * The payload that says why a stream failed: a Thrift exception; free @frame's payload afterwards.
 */
void frame_put_exception(struct frame *frame, uint32_t type, const char *text);

/* Reads that again; the text is the caller's to free, NULL if the payload is no exception. */
char *frame_exception(const struct frame *frame, uint32_t *type);

#endif
