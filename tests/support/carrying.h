/*
 * One message on its way into a body that is to carry its metadata: set up from text, carried, and
 * its body as it would be written. Everything lies in memory of its exact size.
 */
#ifndef BRIDLE_TESTS_CARRYING_H
#define BRIDLE_TESTS_CARRYING_H

#include "rpc/carry.h"
#include "support/changes_text.h"
#include "support/structs.h"

struct carrying {
	struct rpc_message m;
	struct rpc_edit edit;
	struct rpc_carrier carrier;
	struct rpc_carry_facts facts;
	struct arena arena;
	struct changes_text changes;
	bool has_changes;
	struct rpc_splice splice;
	struct slice out; /* owned: the body with its splice */
};

/* A TTHeader call that is to be written Framed; Base, filled. @sections as frame_sections has them;
 * @body as struct_made. The facts are those of carrying_facts. */
void carrying_begin(struct carrying *c, const char *sections, const char *body);
/* The same, of bytes. */
void carrying_begin_with(struct carrying *c, struct slice sections, struct slice body);
void carrying_change(struct carrying *c, const char *changes);
/* Carries, and checks what every carrying has to keep. `out` is the body as it goes out: as it came
 * unless it says RPC_CARRIED. */
enum rpc_uncarried carrying_go(struct carrying *c);
/* Is `out` the struct that @text writes down? */
bool carrying_is(const struct carrying *c, const char *text);
void carrying_end(struct carrying *c);

/* Where a body has its carrier, as a plain reader finds it. */
struct carrier_seen {
	bool is_understood, is_there;
	struct slice map, strings[4]; /* Extra, or the argument; LogID to Client */
	struct struct_parts args, request, base;
};

void carrier_see(struct carrier_seen *s, struct slice body, const struct rpc_carrier *carrier);
void carrier_seen_free(struct carrier_seen *s);
/* All fields that are neither the carrier nor those of Base that are known are the same in both, in
 * the same order. */
bool carrier_differs_alone(
    const struct carrier_seen *a, const struct carrier_seen *b, const struct rpc_carrier *carrier);

/* Log id "log", caller "cal", address "1.2.3.4:5", service "svc", method "Echo". */
extern const struct rpc_carry_facts carrying_facts;

#endif
