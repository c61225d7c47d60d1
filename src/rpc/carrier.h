/*
 * Where a body has its carrier of metadata, or has room for one, and what a carrier holds. Nothing
 * is changed here, and nothing is guessed: what is not exactly as expected is not understood.
 * Private to rpc/; what a carrier is says rpc/carry.h.
 */
#ifndef BRIDLE_RPC_CARRIER_H
#define BRIDLE_RPC_CARRIER_H

#include "rpc/carry.h"
#include "wire/thrift.h"

/* Fields of Base, but for TrafficEnv, a struct that is none of ours.
 * Source: the base.thrift that Kitex's services include by convention. */
enum { BASE_LOG_ID = 1, BASE_CALLER = 2, BASE_ADDR = 3, BASE_CLIENT = 4, BASE_EXTRA = 6 };

struct carrier_place {
	bool is_there;
	size_t at;  /* of its value in the body; else of the STOP that it would stand before */
	size_t len; /* of the value */
};

/* Both: false when the body is not understood. */
bool carrier_find(
    struct slice body, const struct rpc_carrier *carrier, struct carrier_place *place);
/* BaseResp of a result. */
bool carrier_find_base_resp(struct slice body, struct carrier_place *place);

/* A field that is looked for in a struct. */
struct carrier_field {
	int16_t id;
	uint8_t type; /* that it must have */
	bool is_there;
	struct slice value; /* as on the wire: a string with its length */
};

/* False: one of them is of another type, or is there twice. */
bool carrier_read_fields(struct slice structure, struct carrier_field *fields, unsigned n);

static inline struct slice carrier_text(const struct carrier_field *field)
{
	return field->is_there ? slice_from(field->value, 4) : SLICE_NONE;
}

/* The pairs of a map<string,string>, which was skipped before. */
struct carrier_pairs {
	struct cursor in;
	uint32_t n; /* all of them */
};

/* @map: as on the wire, empty: none. False when it is of other types. */
bool carrier_pairs_of(struct slice map, struct carrier_pairs *pairs);
bool carrier_next_pair(struct carrier_pairs *pairs, struct slice *key, struct slice *value);

/* Is it one of the keys for facts, which only the proxy writes? */
bool carrier_is_fact(struct slice key);

#endif
