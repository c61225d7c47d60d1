/*
 * The context of a trace: which trace a call belongs to, which span it comes from, and whether the
 * trace is recorded. Read from a call in any spelling, written in one. A context of which one byte
 * is wrong is none: nobody's trace is to be joined by guessing.
 */
#ifndef BRIDLE_RPC_TRACE_CONTEXT_H
#define BRIDLE_RPC_TRACE_CONTEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

struct rpc_message;

enum trace_decision {
	TRACE_UNDECIDED, /* B3 alone: whoever comes next decides */
	TRACE_LEFT_OUT,
	TRACE_SAMPLED,
};

struct trace_context {
	bool has_ids; /* B3 may state no more than a decision */
	uint8_t trace_id[16], span_id[8];
	enum trace_decision decision;
};

/* How a call states its context: it may do so in several ways. Transient is Kitex's metadata of
 * that name. */
enum trace_spelling {
	TRACE_PARENT = 1u << 0, /* traceparent */
	TRACE_PARENT_TRANSIENT = 1u << 1,
	TRACE_B3_SINGLE = 1u << 2, /* b3 */
	TRACE_B3_SINGLE_TRANSIENT = 1u << 3,
	TRACE_B3_MULTI = 1u << 4, /* x-b3-traceid and so on */
	TRACE_B3_MULTI_TRANSIENT = 1u << 5,
};

#define TRACE_ID_TEXT  32u
#define TRACE_W3C_TEXT 55u
#define TRACE_B3_TEXT  51u

/* Source: W3C Trace Context, section 3.2. */
bool trace_context_read_w3c(struct trace_context *c, struct slice traceparent);
/* Source: github.com/openzipkin/b3-propagation, "Single Header". */
bool trace_context_read_b3(struct trace_context *c, struct slice b3);
/* The context of a call: traceparent before B3, a field that is written once before its repetition.
 * False: none. *@spellings: those that are there, readable or not. */
bool trace_context_find(
    struct trace_context *c, const struct rpc_message *call, unsigned *spellings);

/* Without a NUL; return the length. An undecided context is left out in W3C's spelling. */
size_t trace_context_write_w3c(const struct trace_context *c, char room[TRACE_W3C_TEXT]);
size_t trace_context_write_b3(const struct trace_context *c, char room[TRACE_B3_TEXT]);
/* Lower-case digits, two for each byte. */
void trace_write_hex(char *room, const uint8_t *bytes, size_t n);

#endif
