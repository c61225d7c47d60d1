/*
 * HTTP/2 frames made to measure, wrong ones too, and frames written down as text: by hand, not by
 * what is tested. Header blocks are made without compression tables, so they mean the same
 * anywhere.
 */
#ifndef BRIDLE_TESTS_H2_FRAMES_H
#define BRIDLE_TESTS_H2_FRAMES_H

#include "support/reading.h"

enum {
	H2_DATA = 0,
	H2_HEADERS = 1,
	H2_PRIORITY = 2,
	H2_RST_STREAM = 3,
	H2_SETTINGS = 4,
	H2_PUSH_PROMISE = 5,
	H2_PING = 6,
	H2_GOAWAY = 7,
	H2_WINDOW_UPDATE = 8,
	H2_CONTINUATION = 9,

	H2_ACK = 0x1,
	H2_END_STREAM = 0x1,
	H2_END_HEADERS = 0x4,
	H2_PADDED = 0x8,
};

/* All of these append to @w, which the caller frees with written_fini. */
void h2_put(struct written *w, struct slice bytes);
void h2_frame(struct written *w, unsigned type, unsigned flags, uint32_t id, struct slice payload);
void h2_frame_u32(struct written *w, unsigned type, uint32_t id, uint32_t value);
/* A client's preface and its empty SETTINGS. */
void h2_preface(struct written *w);
/* One setting, in a frame of its own. */
void h2_setting(struct written *w, unsigned id, uint32_t value);
void h2_goaway(struct written *w, uint32_t last, uint32_t code);
/* HEADERS with END_HEADERS and @flags; @fields: "name value\n" for each, ":path /a b" splits at the
 * first blank. */
void h2_headers(struct written *w, unsigned flags, uint32_t id, const char *fields);
/* The block alone. */
void h2_block(struct written *w, const char *fields);
/* HEADERS of a gRPC call to /pkg.Service/Method, and more fields. */
void h2_call(struct written *w, unsigned flags, uint32_t id, const char *more);
/* DATA with one message of gRPC whose bytes are @len times 'm'. */
void h2_message(struct written *w, unsigned flags, uint32_t id, size_t len);

/*
 * What frames say, one to a line: "SETTINGS 3=100 6=65536", "HEADERS 1 end", "DATA 1 12 end",
 * "RST_STREAM 1 8", "GOAWAY 1 11 text", "WINDOW_UPDATE 0 1000", "PING ack 0102030405060708". A
 * preface is passed over. Valid until the next call; the program stops at a frame that is cut.
 */
const char *h2_frames_text(struct slice bytes);

#endif
