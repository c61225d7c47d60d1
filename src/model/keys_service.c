/* The table of keys: a service, its endpoints and its methods. */
#include "base/mem.h"
#include "model/config_keys.h"

static const struct key endpoint_keys[] = {
    {.name = "address",
	.type = &key_address,
	.offset = offsetof(struct endpoint_config, address),
	.flags = KEY_REQUIRED | KEY_SHORT,
	.missing = "an address, like \"127.0.0.1:8888\" or \"unix:/run/app.sock\"",
	.text = "Where it is. A host name stands for all the addresses it has in DNS."},
    {.name = "weight",
	.type = &key_count,
	.offset = offsetof(struct endpoint_config, weight),
	.fallback = "10",
	.max = 1000000,
	.text = "Its share of the calls, relative to the others; 0 takes none."},
    {.name = "tags",
	.type = &key_pairs,
	.offset = offsetof(struct endpoint_config, tags),
	.fallback = "{}",
	.text = "Names and values that describe it."},
    {.name = "zone",
	.type = &key_text,
	.offset = offsetof(struct endpoint_config, zone),
	.fallback = "\"\"",
	.max = 200,
	.text = "The data centre or zone that it is in."},
};

static const void *endpoint_item(const void *base, size_t i, const char **label)
{
	const struct service_config *service = base;

	*label = NULL;
	return i < service->n_endpoints ? &service->endpoints[i] : NULL;
}

const struct scope endpoint_scope = {
    .name = "Endpoint",
    .keys = endpoint_keys,
    .n = ARRAY_LEN(endpoint_keys),
    .size = sizeof(struct endpoint_config),
    .item = endpoint_item,
};

static const struct word protocols[] = {
    {"same", SERVICE_SAME, false},
    {"buffered", SERVICE_BUFFERED, false},
    {"framed", SERVICE_FRAMED, false},
    {"ttheader", SERVICE_TTHEADER, false},
    {"ttheader_framed", SERVICE_TTHEADER_FRAMED, false},
    {"ttheader_bare", SERVICE_TTHEADER_BARE, false},
    {"ttheader_streaming", SERVICE_TTHEADER_STREAMING, false},
    {"grpc", SERVICE_GRPC, false},
    {"tcp", 0, true},
    {NULL, 0, false},
};

static const struct word metadata[] = {
    {"auto", METADATA_AUTO, false},
    {"drop", METADATA_DROP, false},
    {"base255", METADATA_BASE255, false},
    {"lookup", METADATA_LOOKUP, false},
    {"proxy_v2", METADATA_PROXY_V2, false},
    {NULL, 0, false},
};

static const struct word merges[] = {
    {"fill", METADATA_FILL, false},
    {"keep", METADATA_KEEP, false},
    {"replace", METADATA_REPLACE, false},
    {NULL, 0, false},
};

static const struct word correlates[] = {
    {"none", 0, false}, {"connection", 1, false}, {NULL, 0, false}};

static const struct word biz_errors[] = {
    {"exception", 0, false}, {"drop", 1, false}, {NULL, 0, false}};

static const struct word balances[] = {
    {"weighted_round_robin", LB_WEIGHTED_ROUND_ROBIN, false},
    {"interleaved_weighted_round_robin", LB_INTERLEAVED_WEIGHTED_ROUND_ROBIN, false},
    {"weighted_random", LB_WEIGHTED_RANDOM, false},
    {"round_robin", LB_ROUND_ROBIN, false},
    {"random", LB_RANDOM, false},
    {"least_request", LB_LEAST_REQUEST, false},
    {"peak_ewma", LB_PEAK_EWMA, false},
    {"consistent_hash", LB_CONSISTENT_HASH, false},
    {"maglev", LB_MAGLEV, false},
    {"closest", LB_CLOSEST, false},
    {"network_quality", LB_NETWORK_QUALITY, false},
    {NULL, 0, false},
};

static const struct word zones[] = {
    {"any", ZONE_ANY, false},
    {"prefer", ZONE_PREFER, false},
    {"only", ZONE_ONLY, false},
    {NULL, 0, false},
};

static const struct word register_whens[] = {
    {"ready", 0, false}, {"always", 1, false}, {NULL, 0, false}};

static const struct word subset_fallbacks[] = {
    {"base", SUBSET_BASE, false},
    {"any", SUBSET_ANY, false},
    {"none", SUBSET_NONE, false},
    {NULL, 0, false},
};

static const struct key service_keys[] = {
    {.name = "name",
	.type = &key_service_name,
	.offset = offsetof(struct service_config, name),
	.worked_out = "the label",
	.fill = fill_service_name,
	.is_absent = service_is_template,
	.text = "Its name on the wire and in registries."},
    {.name = "endpoints",
	.type = &key_endpoints,
	.scope = &endpoint_scope,
	.fallback = "[]",
	.is_absent = service_is_without_endpoints,
	.text =
	    "Where it is found; each an address, or a map with the keys of an endpoint. Exactly "
	    "one of endpoints and discover is there; neither may be only where routes send every "
	    "call to other services."},
    {.name = "discover.from",
	.type = &key_registry,
	.offset = offsetof(struct service_config, discover.from),
	.fallback = "none",
	.flags = KEY_NONE | KEY_SHORT,
	.text = "The registry in which it is found, under its name."},
    {.name = "discover.tags",
	.type = &key_pairs,
	.offset = offsetof(struct service_config, discover.tags),
	.fallback = "{}",
	.is_absent = service_is_not_discovered,
	.text = "Tags that an endpoint must have; others are left out. The value \"\" means that "
		"the tag is missing or empty."},
    {.name = "aliases",
	.type = &key_names,
	.offset = offsetof(struct service_config, aliases),
	.fallback = "[]",
	.is_absent = service_is_template,
	.text = "Other names by which calls may ask for it, like the service of its IDL."},
    {.name = "protocol",
	.type = &key_word,
	.offset = offsetof(struct service_config, protocol),
	.fallback = "same",
	.words = protocols,
	.text =
	    "What the endpoints speak; same is what the caller speaks. ttheader keeps the inner "
	    "length that the call had, ttheader_framed and ttheader_bare force a form. Streams go "
	    "only where they are spoken as they came."},
    {.name = "multiplex",
	.type = &key_bool,
	.offset = offsetof(struct service_config, multiplex),
	.fallback = "false",
	.text = "The endpoints are Kitex servers in mux mode: calls share connections. Those of "
		"gRPC and TTHeader Streaming share them anyway."},
    {.name = "metadata.type",
	.type = &key_carrier,
	.offset = offsetof(struct service_config, metadata),
	.fallback = "auto",
	.words = metadata,
	.flags = KEY_SHORT,
	.text =
	    "How metadata reaches an application that cannot read TTHeader. auto and drop: only "
	    "where its protocol has a place for it. base255: in field 255 (Base) of the request "
	    "struct of Thrift calls, where an outgoing call of such an application may bring it, "
	    "too. argfield:<id>: in an argument with that id, a map<string,string>. lookup: it asks "
	    "metadata_socket. proxy_v2: facts of its caller's connection, by the PROXY protocol."},
    {.name = "metadata.merge",
	.type = &key_word,
	.offset = offsetof(struct service_config, metadata.merge),
	.fallback = "fill",
	.words = merges,
	.text = "Of base255 and argfield, where a call has the field already: fill adds what it "
		"lacks, keep leaves it as it is, replace writes what is known over what it says."},
    {.name = "biz_error",
	.type = &key_word_bool,
	.offset = offsetof(struct service_config, biz_error_drop),
	.fallback = "exception",
	.words = biz_errors,
	.text = "What a caller that cannot carry a business error gets of it."},
    {.name = "correlate",
	.type = &key_word_bool,
	.offset = offsetof(struct service_config, correlate),
	.fallback = "none",
	.words = correlates,
	.text =
	    "connection: an outgoing call that its application makes over a unix socket while one "
	    "call, and only one, is in flight to it takes over that call's persistent metadata, log "
	    "id, trace and time."},
    {.name = "tls"},
    {.name = "balance.type",
	.type = &key_word,
	.offset = offsetof(struct service_config, balance.type),
	.fallback = "weighted_round_robin",
	.words = balances,
	.flags = KEY_SHORT,
	.text = "How an endpoint is picked; see Balancing."},
    {.name = "balance.key",
	.type = &key_fact,
	.offset = offsetof(struct service_config, balance.key),
	.fallback = "none",
	.flags = KEY_NONE,
	.text =
	    "Of consistent_hash and maglev: calls with the same value of this fact go to the same "
	    "endpoint. With none int.14 (the ring hash key), else int.24; a call without a value is "
	    "sent by chance."},
    {.name = "balance.virtual_nodes",
	.type = &key_count,
	.offset = offsetof(struct service_config, balance.virtual_nodes),
	.fallback = "100",
	.min = 1,
	.max = 10000,
	.text = "Of consistent_hash: an endpoint stands weight x virtual_nodes times on the ring."},
    {.name = "balance.choices",
	.type = &key_count,
	.offset = offsetof(struct service_config, balance.choices),
	.fallback = "2",
	.min = 2,
	.max = 16,
	.text = "Of least_request and peak_ewma: how many endpoints are drawn by weight, of which "
		"the best is taken."},
    {.name = "balance.slow_start",
	.type = &key_time,
	.offset = offsetof(struct service_config, balance.slow_start),
	.fallback = "none",
	.min = USEC_MS,
	.flags = KEY_NONE,
	.text = "How long an endpoint that is new to a service takes to reach its weight: before, "
		"it has max(10%, age / slow_start) of it."},
    {.name = "balance.zone",
	.type = &key_word,
	.offset = offsetof(struct service_config, balance.zone),
	.fallback = "any",
	.words = zones,
	.text =
	    "prefer: endpoints of node.zone take the calls, and those of other zones the part that "
	    "is due to endpoints of ours that are out. only: no others."},
    {.name = "balance.panic",
	.type = &key_share,
	.offset = offsetof(struct service_config, balance.panic),
	.fallback = "50%",
	.text = "When less than this share of the endpoints is usable, calls go to all: too many "
		"failures at once are rather those of the network than of each endpoint."},
    {.name = "subsets",
	.type = &key_subsets,
	.fallback = "{}",
	.text = "Names of parts of the endpoints, each with the tags that an endpoint of it has, "
		"like {canary: {lane: canary}}. The value \"\" means that the tag is missing or "
		"empty. Routes lead to them; an endpoint may be in several."},
    {.name = "subset_by.tag",
	.type = &key_text,
	.offset = offsetof(struct service_config, subset_by.tag),
	.fallback = "none",
	.max = 200,
	.flags = KEY_NONE | KEY_SHORT,
	.text = "A tag of the endpoints: a call goes to those whose tag has the value that key has "
		"in the call. Routes that name a subset go before it."},
    {.name = "subset_by.key",
	.type = &key_fact,
	.offset = offsetof(struct service_config, subset_by.key),
	.fallback = "none",
	.flags = KEY_NONE,
	.text = "The fact of a call that is compared with the tag, like meta.env."},
    {.name = "subset_by.fallback",
	.type = &key_word,
	.offset = offsetof(struct service_config, subset_by.fallback),
	.fallback = "base",
	.words = subset_fallbacks,
	.text = "Where calls without that fact go, and those whose value no endpoint has. base: to "
		"the endpoints without the tag. any: to all. none: they end with the reason "
		"no_endpoint."},
    {.name = "routes",
	.type = &key_routes,
	.fallback = "[]",
	.scope = &route_scope,
	.text = "What calls are sent elsewhere than to any of the endpoints, or changed on the "
		"way. They are looked at in order, the first that matches holds; a call that none "
		"matches goes to the service's own endpoints."},
    {.name = "methods",
	.type = &key_methods,
	.fallback = "{}",
	.scope = &method_scope,
	.text = "Policies of single methods, by name; \"*\" stands for those not named."},
    {.name = "register.in",
	.type = &key_register_in,
	.offset = offsetof(struct service_config, registration),
	.fallback = "none",
	.flags = KEY_NONE | KEY_SHORT,
	.is_absent = service_is_template,
	.text =
	    "The registry in which the service is published under its name, or a list of them."},
    {.name = "register.address",
	.type = &key_register_address,
	.offset = offsetof(struct service_config, registration),
	.fallback = "none",
	.flags = KEY_NONE,
	.is_absent = service_is_not_registered,
	.text =
	    "The address that others are told: an IP address and a port. With none the first TCP "
	    "address of the listener that is pinned to the service; where that is a wildcard, its "
	    "host becomes the address from which the registry is reached."},
    {.name = "register.weight",
	.type = &key_count,
	.offset = offsetof(struct service_config, registration.weight),
	.fallback = "10",
	.min = 1,
	.max = 1000000,
	.is_absent = service_is_not_registered,
	.text = "Its share of the calls, relative to the others that are registered."},
    {.name = "register.tags",
	.type = &key_pairs,
	.offset = offsetof(struct service_config, registration.tags),
	.fallback = "{}",
	.is_absent = service_is_not_registered,
	.text = "Names and values that describe it."},
    {.name = "register.ttl",
	.type = &key_time,
	.offset = offsetof(struct service_config, registration.ttl),
	.fallback = "60s",
	.min = 5 * USEC_S,
	.max = 3600 * USEC_S,
	.is_absent = service_is_not_registered,
	.text =
	    "How long a registry keeps what it does not hear of again; in zookeeper its session "
	    "counts, in nacos its beat."},
    {.name = "register.when",
	.type = &key_word_bool,
	.offset = offsetof(struct service_config, registration.always),
	.fallback = "ready",
	.words = register_whens,
	.is_absent = service_is_not_registered,
	.text = "ready: while the service's own endpoints answer: its health check, else a connect "
		"every second. always: as long as the daemon runs."},
    {.name = "governance.from",
	.type = &key_registry,
	.offset = offsetof(struct service_config, governance.from),
	.fallback = "none",
	.flags = KEY_NONE | KEY_SHORT,
	.text =
	    "The registry with the documents of Kitex's dynamic configuration for this service; "
	    "they go over what the file says."},
    {.name = "governance.prefix",
	.type = &key_base,
	.offset = offsetof(struct service_config, governance.prefix),
	.fallback = "/KitexConfig",
	.max = 200,
	.is_absent = service_is_not_governed,
	.text = "What stands before the keys of the documents."},
    {.name = "governance.locked",
	.type = &key_locked,
	.offset = offsetof(struct service_config, governance.locked),
	.fallback = "[]",
	.is_absent = service_is_not_governed,
	.text = "What stays as the file says: timeout, retry, breaker, limit, degrade."},
};

static const void *service_item(const void *base, size_t i, const char **label)
{
	const struct config *config = base;
	const struct service_config *service = config->any;

	if (i < config->n_services)
		service = config->services[i];
	else if (i > config->n_services || service == NULL)
		return NULL;
	*label = service->label;
	return service;
}

const struct scope service_scope = {
    .name = "Service",
    .keys = service_keys,
    .n = ARRAY_LEN(service_keys),
    .size = sizeof(struct service_config),
    .include = &policy_scope,
    .include_at = offsetof(struct service_config, policy),
    .item = service_item,
};

static const struct key method_keys[] = {
    {.name = "idempotent",
	.type = &key_bool,
	.offset = offsetof(struct method_config, policy.is_idempotent),
	.fallback = "false",
	.text = "Calling it twice does no more than calling it once. It is not inherited."},
};

static const void *method_item(const void *base, size_t i, const char **label)
{
	const struct service_config *service = base;

	if (i >= service->n_methods)
		return NULL;
	*label = service->methods[i].name;
	return &service->methods[i];
}

const struct scope method_scope = {
    .name = "Method",
    .keys = method_keys,
    .n = ARRAY_LEN(method_keys),
    .size = sizeof(struct method_config),
    .include = &policy_scope,
    .include_at = offsetof(struct method_config, policy),
    .item = method_item,
};
