/*
 * The addresses at which unpinned listeners of our own can be reached: an endpoint there would send
 * calls back to us, for ever. Belongs to the control thread.
 */
#ifndef BRIDLE_DAEMON_OWN_ADDRESSES_H
#define BRIDLE_DAEMON_OWN_ADDRESSES_H

#include "base/table.h"
#include "model/config.h"

struct bindings;

struct own_addresses {
	struct arena arena;
	struct table exact;        /* texts of addresses */
	struct address *wildcards; /* in the arena: any address of this machine, at these ports */
	size_t n_wildcards;
	struct address *local; /* owned: addresses of this machine, port 0 */
	size_t n_local;
	usec_t local_until; /* monotonic: when they are looked at again */
};

void own_addresses_init(struct own_addresses *own);
void own_addresses_fini(struct own_addresses *own);
/* By what @config asks for and what is bound already. */
void own_addresses_set(struct own_addresses *own, const struct config *config,
    const struct bindings *bindings, usec_t now);
bool own_addresses_has(const struct own_addresses *own, const struct address *address);

#endif
