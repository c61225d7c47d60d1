/* The calls of a connection that have not been answered yet, to say what an answer is the answer
 * to. */
#ifndef BRIDLE_CTL_DUMP_CALLS_H
#define BRIDLE_CTL_DUMP_CALLS_H

#include "base/clock.h"
#include "base/list.h"
#include "base/text.h"

#define DUMP_CALLS_MAX 1024u /* of one side of a connection; the oldest is forgotten */

/* Messages of gRPC in one direction of a call. */
struct dump_flow {
	uint8_t prefix[5];
	uint8_t n_prefix;
	bool is_grpc, is_thrift, is_over, is_broken;
	uint32_t left, length, missing; /* of the present message */
	uint32_t count;
	struct text kept;
};

struct dump_call {
	struct list by_age, by_id; /* links */
	uint32_t id;
	unsigned side; /* whose call it is */
	usec_t at;
	struct slice service, idl_service, method; /* in `names` */
	char *names;                               /* owned */
	struct dump_flow flows[2];                 /* HTTP/2: by side */
};

struct dump_calls {
	struct list by_age[2]; /* by side */
	struct list *by_id;    /* owned; NULL: there was no call yet */
	uint32_t seed;         /* so that nobody chooses numbers that all meet */
	unsigned n[2];
	size_t held;
};

void dump_calls_init(struct dump_calls *calls);
void dump_calls_fini(struct dump_calls *calls);
struct dump_call *dump_calls_add(struct dump_calls *calls, unsigned side, uint32_t id, usec_t at,
    struct slice service, struct slice idl_service, struct slice method);
/* The oldest call of that number; of that side. NULL when there is none. */
struct dump_call *dump_calls_find(const struct dump_calls *calls, unsigned side, uint32_t id);
struct dump_call *dump_calls_oldest(const struct dump_calls *calls, unsigned side);
void dump_calls_remove(struct dump_calls *calls, struct dump_call *call);
/* Keeps up to @max bytes of the present message of a flow. */
void dump_flow_keep(
    struct dump_calls *calls, struct dump_flow *flow, struct slice bytes, size_t max);
void dump_flow_reset(struct dump_calls *calls, struct dump_flow *flow);

#endif
