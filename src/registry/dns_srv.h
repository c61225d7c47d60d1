/*
 * An answer that lists the servers of a service (SRV, RFC 2782), read with suspicion. Pure.
 */
#ifndef BRIDLE_REGISTRY_DNS_SRV_H
#define BRIDLE_REGISTRY_DNS_SRV_H

#include "base/clock.h"
#include "base/slice.h"

#define DNS_TARGETS_MAX 1024u

struct dns_target {
	char host[256];  /* a name, without its last dot, in small letters */
	uint16_t port;   /* not 0 */
	uint16_t weight; /* not 0: a weight of 0 counts as 1 */
};

/*
 * The targets of the most preferred priority, sorted and each once, in *targets (from malloc, the
 * caller's) and *n, at most DNS_TARGETS_MAX; none when the service is said not to be there (target
 * "."). Targets that are no host names are left out. *ttl: of the shortest record.
 * Returns 0, or -1 when @reply is no answer as it should be.
 */
int dns_srv_read(struct slice reply, struct dns_target **targets, size_t *n, usec_t *ttl);

#endif
