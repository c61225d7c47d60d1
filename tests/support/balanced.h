/* A snapshot out of a text, its endpoints as the text has them, and picks among them: for tests of
 * balancing with all that leaves endpoints out. */
#ifndef BRIDLE_TESTS_BALANCED_H
#define BRIDLE_TESTS_BALANCED_H

#include "base/rng.h"
#include "model/balance.h"

struct balanced {
	struct tallies *tallies;   /* owned, like all of it */
	struct snapshot *snapshot; /* the newest */
	struct balance_state state;
	struct balance_request request; /* the picks to come */
	size_t tried[8];
	size_t picked[16];
	struct rng rng;
};

void balanced_init(struct balanced *b);
/* Loads "services: ..." and makes it the newest snapshot, at request.now; picks are among the first
 * group of the first service. */
void balanced_load(struct balanced *b, const char *services);
/* Picks of another group of the first service. */
void balanced_use(struct balanced *b, const struct endpoint_group *group);
void balanced_free(struct balanced *b);

const struct service *balanced_service(const struct balanced *b);
void balanced_set_health(struct balanced *b, size_t endpoint, enum health health);
/* Until it is ejected for 10 s. */
void balanced_eject(struct balanced *b, size_t endpoint);
void balanced_try(struct balanced *b, size_t endpoint);

size_t balanced_pick(struct balanced *b);
/* Counts anew; the count of those that went nowhere is returned. */
size_t balanced_picks(struct balanced *b, size_t times);

#endif
