/*
 * The documents of Kitex's configuration centres (retry, rpc_timeout, circuit_break, limit,
 * degradation) as values that are put over the file's. Pure; documents are untrusted.
 *
 * One reader for JSON and YAML: the guarded one of YAML, in which JSON is written as well. Consul
 * and files may hold either, and it says where a document is wrong.
 *
 * Sources: config-etcd, config-zookeeper, config-consul and config-file of kitex-contrib; the
 * policies of retries in pkg/retry of cloudwego/kitex.
 */
#ifndef BRIDLE_REGISTRY_KITEX_GOVERNANCE_H
#define BRIDLE_REGISTRY_KITEX_GOVERNANCE_H

#include "base/arena.h"
#include "base/err.h"
#include "model/config.h"

#define GOVERNANCE_METHODS_MAX 1000u /* in one document */

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
/* Does the service stand for the application beside us, which is limited, and not for one that is
 * called? Its endpoints are all here then. */
bool governance_is_of_server(const struct service_config *service);
/*
 * Where the document is in service->governance.from: <prefix>/<client>/<server>/<category>, of
 * limit <prefix>/<server>/limit; in Consul without the slash at its start, in a file without the
 * prefix.
 */
struct slice governance_key(const struct service_config *service, const char *client,
    enum governance_category category, struct arena *arena);

struct governance_document {
	const struct config *config;          /* the file's: whose listeners are meant */
	const struct service_config *service; /* with the methods that the file gives it */
	enum governance_category category;
	struct slice text;
	const char *source; /* of the overlays; borrowed by them */
};

/*
 * What the document means, in @arena: paths under services.LABEL, or at listeners that are pinned
 * to the service. Keys that the service has locked are left out. Returns -1 with @err set when the
 * document is not what it should be; then none of it holds. NULL and *n = 0 when it changes
 * nothing.
 */
int governance_overlays(const struct governance_document *document, struct arena *arena,
    struct config_overlay **overlays, size_t *n, struct err *err);

#endif
