/*
 * What operators have ordered of endpoints: that one gets nothing, or another weight than it was
 * found with. An order holds for an address of one service, or of every service that has it, now or
 * later; it outlives reloads and whatever discovery says, goes with an upgrade, and ends with the
 * process. Belongs to the control thread; calls hear of it by the snapshots that are made with it.
 */
#ifndef BRIDLE_DAEMON_ENDPOINT_ORDERS_H
#define BRIDLE_DAEMON_ENDPOINT_ORDERS_H

#include "model/snapshot.h"

#define ENDPOINT_ORDERS_MAX 10000u

struct endpoint_orders;

enum endpoint_verb {
	ENDPOINT_DISABLE,
	ENDPOINT_ENABLE,
	ENDPOINT_WEIGHT,       /* `weight` from now on */
	ENDPOINT_WEIGHT_FOUND, /* again what discovery says */
};

struct endpoint_order {
	enum endpoint_verb verb;
	struct slice service; /* label; "": every service */
	struct slice address; /* as struct address has it */
	unsigned weight;
};

/* @seed: of its table. */
struct endpoint_orders *endpoint_orders_new(uint64_t seed);
void endpoint_orders_free(struct endpoint_orders **orders);

/* The order holds from the next endpoint_orders_apply on. One for every service replaces what was
 * ordered of single ones. Copies. Returns 0, or -1 with @err set when there are too many. */
int endpoint_orders_give(
    struct endpoint_orders *orders, const struct endpoint_order *order, struct err *err);
/* All that is ordered, as it may be given again in this order. Returns a list from malloc, *n long,
 * whose texts are good until the next order; NULL where there are none. */
struct endpoint_order *endpoint_orders_list(const struct endpoint_orders *orders, size_t *n);
/* Is anything ordered of that address for this service, alone or with all? Without a service: for
 * any. */
bool endpoint_orders_has(
    const struct endpoint_orders *orders, struct slice service, struct slice address);
/* @orders: may be NULL, for none. Makes the endpoints of the service what was ordered of them, or
 * what they were found as where nothing is any more; what changes is copied into @arena. */
void endpoint_orders_apply(const struct endpoint_orders *orders, struct slice service,
    struct arena *arena, struct endpoint_set *set);

#endif
