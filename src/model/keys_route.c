/* The table of keys: routes, and the faults that they inject. */
#include "base/mem.h"
#include "model/config_keys.h"

/* Those that the proxy could have answered with itself. */
static const struct word abort_reasons[] = {
    {"fault_injected", REASON_FAULT_INJECTED, false},
    {"no_route", REASON_NO_ROUTE, false},
    {"no_endpoint", REASON_NO_ENDPOINT, false},
    {"connect_failed", REASON_CONNECT_FAILED, false},
    {"timeout", REASON_TIMEOUT, false},
    {"breaker_open", REASON_BREAKER_OPEN, false},
    {"rate_limited", REASON_RATE_LIMITED, false},
    {"concurrency_limited", REASON_CONCURRENCY_LIMITED, false},
    {"queue_timeout", REASON_QUEUE_TIMEOUT, false},
    {"acl_denied", REASON_ACL_DENIED, false},
    {"overload", REASON_OVERLOAD, false},
    {"degraded", REASON_DEGRADED, false},
    {"internal", REASON_INTERNAL, false},
    {NULL, 0, false},
};

static const struct key fault_keys[] = {
    {.name = "delay.for",
	.type = &key_time_or_zero,
	.offset = offsetof(struct fault_config, delay),
	.fallback = "none",
	.min = USEC_MS,
	.max = 3600 * USEC_S,
	.flags = KEY_NONE | KEY_SHORT,
	.text =
	    "How long a call is held back before an endpoint is picked. It counts in the call's "
	    "time."},
    {.name = "delay.percent",
	.type = &key_share,
	.offset = offsetof(struct fault_config, delay_percent),
	.fallback = "100%",
	.text = "The share of the route's calls that it happens to, by chance."},
    {.name = "abort.reason",
	.type = &key_abort_reason,
	.offset = offsetof(struct fault_config, abort_reason),
	.fallback = "none",
	.words = abort_reasons,
	.flags = KEY_NONE | KEY_SHORT,
	.text = "The call is answered as if this had happened."},
    {.name = "abort.exception",
	.type = &key_exception,
	.offset = offsetof(struct fault_config, abort_exception),
	.fallback = "none",
	.max = 1000000,
	.flags = KEY_NONE,
	.text = "The call is answered with a Thrift exception of this type."},
    {.name = "abort.reset",
	.type = &key_reset,
	.offset = offsetof(struct fault_config, is_reset),
	.fallback = "false",
	.text = "The caller's connection, or in HTTP/2 its stream, is reset."},
    {.name = "abort.percent",
	.type = &key_share,
	.offset = offsetof(struct fault_config, abort_percent),
	.fallback = "100%",
	.text = "The share of the route's calls that it happens to, by chance."},
};

const struct scope fault_scope = {
    .name = "Fault",
    .keys = fault_keys,
    .n = ARRAY_LEN(fault_keys),
    .size = sizeof(struct fault_config),
};

static const struct key route_keys[] = {
    {.name = "name",
	.type = &key_name,
	.offset = offsetof(struct route_config, name),
	.fallback = "none",
	.flags = KEY_NONE,
	.text = "What it is called in logs and in tests."},
    {.name = "match",
	.type = &key_match,
	.offset = offsetof(struct route_config, match),
	.fallback = "{}",
	.text = "The calls that it is for; {} is all. See Match."},
    {.name = "to.service",
	.type = &key_service,
	.offset = offsetof(struct route_config, to),
	.fallback = "none",
	.flags = KEY_NONE,
	.text =
	    "The label of another service that answers them. Its own routes are not looked at."},
    {.name = "to.subset",
	.type = &key_subset,
	.fallback = "none",
	.flags = KEY_NONE | KEY_SHORT,
	.text = "The subset of the service's endpoints that answers them, or base, that of "
		"subset_by."},
    {.name = "split",
	.type = &key_split,
	.fallback = "none",
	.flags = KEY_NONE,
	.text =
	    "Subsets with their weights, like {base: 95, canary: 5}: each gets weight / (sum of "
	    "the weights) of the calls."},
    {.name = "sticky",
	.type = &key_fact,
	.offset = offsetof(struct route_config, sticky),
	.fallback = "none",
	.flags = KEY_NONE,
	.text = "Of a split: calls with the same value of this fact get the same subset, in every "
		"sidecar. With none, and without a value, chance decides for each call."},
    {.name = "fallback",
	.type = &key_route_fallback,
	.fallback = "none",
	.flags = KEY_NONE,
	.text = "Where calls go when the chosen subset has no endpoint: another subset, or any of "
		"the endpoints. With none they end with the reason no_endpoint."},
    {.name = "remove",
	.type = &key_remove,
	.fallback = "[]",
	.text = "Facts that calls lose on their way: meta.NAME, header.NAME and int.N. See "
		"Changes."},
    {.name = "rename",
	.type = &key_rename,
	.fallback = "{}",
	.text = "Such facts that get another name, like {meta.a: meta.b}."},
    {.name = "copy",
	.type = &key_copy,
	.fallback = "{}",
	.text = "Facts whose value is said again as such a fact, like {caller: meta.from, "
		"field.1.2: meta.tenant}."},
    {.name = "set",
	.type = &key_set,
	.fallback = "{}",
	.text = "Such facts that calls get, with their values, like {meta.env: gray}."},
    {.name = "mirror.service",
	.type = &key_service,
	.offset = offsetof(struct route_config, mirror),
	.fallback = "none",
	.flags = KEY_NONE | KEY_SHORT,
	.text =
	    "The label of a service that gets a copy of each call. Its answers are dropped, and "
	    "nobody waits for them. Streams of TTHeader, and calls longer than retry.buffer, are "
	    "not copied."},
    {.name = "mirror.percent",
	.type = &key_share,
	.offset = offsetof(struct route_config, mirror_percent),
	.fallback = "100%",
	.text = "The share of the calls that is copied."},
    {.name = "fault",
	.type = &key_fault,
	.offset = offsetof(struct route_config, fault),
	.fallback = "none",
	.flags = KEY_NONE,
	.scope = &fault_scope,
	.text = "Failures that are made to happen, to see what they do."},
    {.name = "policy",
	.type = &key_route_policy,
	.fallback = "none",
	.flags = KEY_NONE,
	.scope = &route_policy_scope,
	.text = "What holds for these calls, over the policy of the service that the route leads "
		"to and below that of its methods."},
};

static const void *route_item(const void *base, size_t i, const char **label)
{
	const struct service_config *service = base;

	*label = NULL;
	return i < service->n_routes ? &service->routes[i] : NULL;
}

const struct scope route_scope = {
    .name = "Route",
    .keys = route_keys,
    .n = ARRAY_LEN(route_keys),
    .size = sizeof(struct route_config),
    .item = route_item,
};

/* Only the keys of a policy, which start from what is there. */
const struct scope route_policy_scope = {
    .name = "Policy of a route",
    .size = sizeof(struct policy),
    .include = &policy_scope,
};
