/*
 * Host names, followed: each name is asked for again when its answer runs out, the last good answer
 * is kept over any error, and failures are tried again ever more slowly. Runs in one loop, blocks
 * nothing. Knows names and addresses; what they are endpoints of is its owner's business.
 */
#ifndef BRIDLE_REGISTRY_DNS_H
#define BRIDLE_REGISTRY_DNS_H

#include <stdbool.h>

#include "base/address.h"
#include "base/err.h"
#include "model/config.h"
#include "registry/dns_srv.h"

struct dns;
struct loop;

#define DNS_TTL_MIN     USEC_S
#define DNS_TTL_MAX     (300 * USEC_S)
#define DNS_BACKOFF_MIN USEC_S
#define DNS_BACKOFF_MAX (30 * USEC_S)

/* What is known of a name; all zero but for the error, when it is not followed. */
struct dns_answer {
	const struct address *list;       /* port 0, sorted; valid until the loop's next turn */
	const struct dns_target *targets; /* of a service, sorted; its list is NULL */
	size_t n;
	uint64_t serial; /* of answers and failures so far */
	bool is_known;   /* somebody answered once, were it with "no such name" */
	bool is_stale;   /* the last try failed */
	bool says_none; /* the last answer was "no such name", or that it has nothing of the kind */
	const char *error; /* why the last try failed; "" */
};

/* Some answer is not what it was. May be called inside dns_follow and dns_set_servers. */
typedef void (*dns_changed_fn)(void *arg);

/* Uses the system's name servers. @arg is borrowed. NULL with @err set. */
struct dns *dns_new(
    struct loop *loop, uint64_t seed, dns_changed_fn changed, void *arg, struct err *err);
void dns_free(struct dns **dns);

/*
 * Asks these servers from now on ("ip", "ip:port", "[v6]:port"), the system's when the list is
 * empty, and asks all names anew; answers are kept meanwhile. On failure nothing changes.
 */
int dns_set_servers(struct dns *dns, const struct config_list *servers, struct err *err);
/* For registries: @changed is called after each answer and failure, and a name that fails is tried
 * again after at most @pause_max; one that there is not, after @pause_none. */
void dns_set_pace(struct dns *dns, usec_t pause_max, usec_t pause_none);
/* Follows exactly these names; answers of names that were followed before stay. Copies. */
void dns_follow(struct dns *dns, const struct slice *hosts, size_t n);
/* The same for names that are asked for as services (SRV). */
void dns_follow_services(struct dns *dns, const struct slice *names, size_t n);
struct dns_answer dns_answer(const struct dns *dns, struct slice host);
struct dns_answer dns_service(const struct dns *dns, struct slice name);

/* The library's version, for --build. */
const char *dns_library_version(void);

#endif
