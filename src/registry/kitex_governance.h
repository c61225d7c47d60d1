/*
 * The documents of Kitex's configuration centres (retry, rpc_timeout, circuit_break, limit,
 * degradation) as values that are put over the file's. Pure; documents are untrusted.
 */
#ifndef BRIDLE_REGISTRY_KITEX_GOVERNANCE_H
#define BRIDLE_REGISTRY_KITEX_GOVERNANCE_H

#include "base/arena.h"
#include "base/err.h"
#include "model/config.h"

enum governance_category {
	GOVERNANCE_RETRY,
	GOVERNANCE_RPC_TIMEOUT,
	GOVERNANCE_CIRCUIT_BREAK,
	GOVERNANCE_DEGRADATION,
	GOVERNANCE_LIMIT,
	GOVERNANCE_CATEGORIES,
};

/* "retry", "rpc_timeout", …: the last part of the key. */
const char *governance_category_name(enum governance_category category);
/* <prefix>/<client>/<server>/<category>, of limit <prefix>/<server>/limit. */
struct slice governance_key(const struct service_config *service, const char *client,
    enum governance_category category, struct arena *arena);
/*
 * What @document means for @service, in @arena: paths under services.LABEL, @source in each. Keys
 * that the service has locked are left out. Returns -1 with @err set when the document is not what it
 * should be; then none of it holds. NULL and *n = 0 when it changes nothing.
 */
int governance_overlays(const struct service_config *service, enum governance_category category,
    struct slice document, const char *source, struct arena *arena,
    struct config_overlay **overlays, size_t *n, struct err *err);

#endif
