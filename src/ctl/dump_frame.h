/*
 * A message of a unary protocol, or a frame of TTHeader streaming, while its bytes come in: where
 * it ends, and as much of it as is to be shown. What it says is not looked at here.
 */
#ifndef BRIDLE_CTL_DUMP_FRAME_H
#define BRIDLE_CTL_DUMP_FRAME_H

#include "base/clock.h"
#include "base/text.h"
#include "wire/sniff.h"
#include "wire/thrift.h"

enum frame_result {
	FRAME_MORE, /* all bytes are used */
	FRAME_DONE, /* it is complete */
	FRAME_BAD,  /* it cannot go on like this */
};

struct dump_frame {
	struct text kept; /* its first bytes */
	size_t want;      /* look again when so many are kept */
	size_t keep_max;  /* how many are kept at most */
	size_t body_kept; /* what keep_max is to leave for a payload */
	size_t body_at;   /* where that begins: behind transport headers, before a Thrift head */
	uint64_t have;    /* bytes that came or are missing */
	uint64_t total;   /* 0: not known yet */
	uint64_t missing; /* of them */
	enum sniff_form form;
	enum sniff_form inner; /* behind a mesh header */
	bool is_walking;       /* a bare Thrift struct, whose end tells the total */
	struct thrift_walk walk;
	usec_t at; /* when it began */
};

void dump_frame_begin(struct dump_frame *frame, size_t body_kept);
void dump_frame_fini(struct dump_frame *frame);
/* Nothing of a message is here. */
static inline bool dump_frame_is_between(const struct dump_frame *frame)
{
	return frame->have == 0;
}

/* Takes bytes off @in, never more than belong to the message. BAD: *@why says what is wrong. */
enum frame_result dump_frame_take(
    struct dump_frame *frame, struct slice *in, usec_t at, const char **why);
/* @n bytes are not there. False: it cannot be said where the message ends. */
bool dump_frame_miss(struct dump_frame *frame, uint64_t n);

enum frame_guess { GUESS_NO, GUESS_MORE, GUESS_YES };

/* Does a message begin here, in the midst of a connection? Stricter than the sniffing of a
 * beginning. */
enum frame_guess dump_frame_guess(struct slice s);

#endif
