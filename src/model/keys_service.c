/* The table of keys: a service, its endpoints, its methods, and the policy of calls to it. */
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
    {"base255", 0, true},
    {"lookup", 0, true},
    {"proxy_v2", 0, true},
    {"argfield", 0, true},
    {NULL, 0, false},
};

static const struct word biz_errors[] = {
    {"exception", 0, false}, {"drop", 1, false}, {NULL, 0, false}};

static const struct word balances[] = {
    {"weighted_round_robin", BALANCE_WEIGHTED_ROUND_ROBIN, false},
    {"round_robin", BALANCE_ROUND_ROBIN, false},
    {"random", BALANCE_RANDOM, false},
    {"interleaved_weighted_round_robin", 0, true},
    {"weighted_random", 0, true},
    {"least_request", 0, true},
    {"peak_ewma", 0, true},
    {"consistent_hash", 0, true},
    {"maglev", 0, true},
    {"closest", 0, true},
    {"network_quality", 0, true},
    {NULL, 0, false},
};

static const struct key service_keys[] = {
    {.name = "name",
	.type = &key_name,
	.offset = offsetof(struct service_config, name),
	.worked_out = "the label",
	.fill = fill_service_name,
	.text = "Its name on the wire."},
    {.name = "endpoints",
	.type = &key_endpoints,
	.scope = &endpoint_scope,
	.flags = KEY_REQUIRED,
	.missing = "a list of at least one address: where it is found",
	.text = "Where it is found; each an address, or a map with the keys of an endpoint."},
    {.name = "discover"},
    {.name = "aliases",
	.type = &key_names,
	.offset = offsetof(struct service_config, aliases),
	.fallback = "[]",
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
    {.name = "metadata",
	.type = &key_word,
	.offset = offsetof(struct service_config, metadata),
	.fallback = "auto",
	.words = metadata,
	.text =
	    "How metadata reaches an application that cannot read TTHeader: auto carries it where "
	    "it is spoken and else drops it."},
    {.name = "biz_error",
	.type = &key_word_bool,
	.offset = offsetof(struct service_config, biz_error_drop),
	.fallback = "exception",
	.words = biz_errors,
	.text = "What a caller that cannot carry a business error gets of it."},
    {.name = "correlate"},
    {.name = "tls"},
    {.name = "balance.type",
	.type = &key_word,
	.offset = offsetof(struct service_config, balance),
	.fallback = "weighted_round_robin",
	.words = balances,
	.flags = KEY_SHORT,
	.text = "How an endpoint is picked."},
    {.name = "balance.key"},
    {.name = "balance.virtual_nodes"},
    {.name = "balance.choices"},
    {.name = "balance.slow_start"},
    {.name = "balance.zone"},
    {.name = "subsets"},
    {.name = "subset_by"},
    {.name = "routes"},
    {.name = "methods",
	.type = &key_methods,
	.fallback = "{}",
	.scope = &method_scope,
	.text = "Policies of single methods, by name; \"*\" stands for those not named."},
    {.name = "register"},
    {.name = "governance"},
};

static const void *service_item(const void *base, size_t i, const char **label)
{
	const struct config *config = base;

	if (i >= config->n_services)
		return NULL;
	*label = config->services[i]->label;
	return config->services[i];
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
	.offset = offsetof(struct method_config, idempotent),
	.fallback = "false",
	.text = "Calling it twice does no more than calling it once."},
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

static const struct word retry_types[] = {
    {"failure", 1, false},
    {"none", 0, false},
    {"backup", 0, true},
    {"mixed", 0, true},
    {"fork", 0, true},
    {"broadcast", 0, true},
    {NULL, 0, false},
};

static const struct word retry_on[] = {
    {"connect", offsetof(struct policy, retry_on_connect), false},
    {"unsent", offsetof(struct policy, retry_on_unsent), false},
    {"reset", 0, true},
    {"timeout", 0, true},
    {"overload", 0, true},
    {"exception", 0, true},
    {"biz", 0, true},
    {"grpc", 0, true},
    {NULL, 0, false},
};

static const struct key policy_keys[] = {
    {.name = "timeout.connect",
	.type = &key_time,
	.offset = offsetof(struct policy, timeout_connect),
	.fallback = "250ms",
	.min = 1,
	.flags = KEY_NONE,
	.text = "How long one attempt to connect may take."},
    {.name = "timeout.call",
	.type = &key_time,
	.offset = offsetof(struct policy, timeout_call),
	.fallback = "none",
	.min = 1,
	.flags = KEY_NONE | KEY_SHORT,
	.text =
	    "The operator's limit for a whole call, attempts included. The smaller of it and what "
	    "the caller states counts."},
    {.name = "timeout.default",
	.type = &key_time,
	.offset = offsetof(struct policy, timeout_default),
	.fallback = "30s",
	.min = 1,
	.flags = KEY_NONE,
	.text = "The limit for calls that have no other."},
    {.name = "timeout.attempt",
	.type = &key_time,
	.offset = offsetof(struct policy, timeout_attempt),
	.fallback = "none",
	.min = 1,
	.flags = KEY_NONE,
	.text = "How long one attempt may take."},
    {.name = "timeout.margin",
	.type = &key_time,
	.offset = offsetof(struct policy, timeout_margin),
	.fallback = "none",
	.min = 1,
	.flags = KEY_NONE,
	.text =
	    "Answer this much before the caller's own time is up, at most a tenth of it. With none "
	    "the caller's own timer fires first."},
    {.name = "timeout.idle",
	.type = &key_time,
	.offset = offsetof(struct policy, timeout_idle),
	.fallback = "1h",
	.min = 1,
	.flags = KEY_NONE,
	.text = "How long a stream may go on with nothing to send on either side, or with a side "
		"that does not take what is sent."},
    {.name = "timeout.stream",
	.type = &key_time,
	.offset = offsetof(struct policy, timeout_stream),
	.fallback = "none",
	.min = 1,
	.flags = KEY_NONE,
	.text = "How long a whole stream may take, whatever the caller states."},
    {.name = "retry.type",
	.type = &key_word_bool,
	.offset = offsetof(struct policy, retry),
	.fallback = "failure",
	.words = retry_types,
	.flags = KEY_SHORT,
	.text = "Whether an attempt that failed is followed by another."},
    {.name = "retry.attempts",
	.type = &key_count,
	.offset = offsetof(struct policy, retry_attempts),
	.fallback = "2",
	.max = 5,
	.text = "Attempts after the first."},
    {.name = "retry.on",
	.type = &key_word_flags,
	.fallback = "[connect, unsent]",
	.words = retry_on,
	.missing = "at least one of: connect, unsent; to retry nothing, retry: none",
	.text =
	    "Failures that are followed by another attempt: no connection, and a call of which no "
	    "byte was taken or that the endpoint refused unprocessed."},
    {.name = "retry.delay"},
    {.name = "retry.backoff"},
    {.name = "retry.budget"},
    {.name = "retry.duration"},
    {.name = "retry.same_endpoint"},
    {.name = "retry.chain"},
    {.name = "retry.buffer",
	.type = &key_buffer,
	.offset = offsetof(struct policy, retry_buffer),
	.fallback = "1MiB",
	.min = 1,
	.max = (uint64_t)1 << 30,
	.flags = KEY_NONE,
	.text = "How much of a gRPC call is kept so that it can be sent again when the endpoint "
		"refused it unprocessed. One that is longer gets no other attempt."},
    {.name = "retry.unsafe"},
    {.name = "breaker"},
    {.name = "eject"},
    {.name = "health"},
    {.name = "limit"},
    {.name = "pool.keep",
	.type = &key_count,
	.offset = offsetof(struct policy, pool_keep),
	.fallback = "64",
	.max = 100000,
	.text = "Idle connections that are kept, for each endpoint and worker."},
    {.name = "pool.idle_timeout",
	.type = &key_time,
	.offset = offsetof(struct policy, pool_idle_timeout),
	.fallback = "60s",
	.min = 1,
	.flags = KEY_NONE,
	.text = "How long an idle connection is kept."},
    {.name = "pool.connections"},
    {.name = "pool.warm"},
    {.name = "fallback"},
    {.name = "degrade"},
    {.name = "acl"},
};

const struct scope policy_scope = {
    .name = "Policy",
    .keys = policy_keys,
    .n = ARRAY_LEN(policy_keys),
    .size = sizeof(struct policy),
};
