/* The table of keys: limits, breakers and ACLs. */
#include "base/mem.h"
#include "model/config_keys.h"

static const struct word limit_by[] = {
    {"none", LIMIT_BY_NONE, false},
    {"caller", LIMIT_BY_CALLER, false},
    {"method", LIMIT_BY_METHOD, false},
    {NULL, 0, false},
};

static const struct word limit_shares[] = {
    {"none", 0, false}, {"equal", 1, false}, {NULL, 0, false}};

static const struct key limit_keys[] = {
    {.name = "rate",
	.type = &key_limit_rate,
	.fallback = "none",
	.min = 1,
	.flags = KEY_NONE,
	.text = "Calls that are let through in a time; any value is exact, over the whole process. "
		"More are refused with the reason rate_limited."},
    {.name = "burst",
	.type = &key_count,
	.offset = offsetof(struct limit_config, burst),
	.worked_out = "max(1, rate x 100ms)",
	.fill = fill_burst,
	.min = 1,
	.max = 1000000000,
	.text = "How many calls may come at once when none came before: over a time t no more than "
		"rate x t + burst are let through."},
    {.name = "concurrency",
	.type = &key_count64,
	.offset = offsetof(struct limit_config, concurrency),
	.fallback = "none",
	.min = 1,
	.max = 1000000,
	.flags = KEY_NONE,
	.text =
	    "Calls that may be under way at a time, in the whole process; a stream is one until "
	    "it ends. More wait in the queue, or are refused with the reason "
	    "concurrency_limited."},
    {.name = "queue.length",
	.type = &key_count_or_zero,
	.offset = offsetof(struct limit_config, queue_length),
	.fallback = "none",
	.min = 1,
	.max = 100000,
	.flags = KEY_NONE | KEY_SHORT,
	.text = "Calls that may wait for one of concurrency to end, first come, first served."},
    {.name = "queue.wait",
	.type = &key_time,
	.offset = offsetof(struct limit_config, queue_wait),
	.fallback = "100ms",
	.min = USEC_MS,
	.text = "How long a call may wait; then it is refused with the reason queue_timeout."},
    {.name = "by",
	.type = &key_word,
	.offset = offsetof(struct limit_config, by),
	.fallback = "none",
	.words = limit_by,
	.text =
	    "caller or method: each caller, or method, has this limit for itself. At most 10000 "
	    "are told apart; the one unused for the longest gives way."},
    {.name = "share",
	.type = &key_word_bool,
	.offset = offsetof(struct limit_config, share_equal),
	.fallback = "none",
	.words = limit_shares,
	.text = "equal: callers have equal shares of the limit when it is reached. One within "
		"limit / (callers of the last second) is let through first; one beyond takes what "
		"the others leave."},
};

const struct scope limit_scope = {
    .name = "Limit",
    .keys = limit_keys,
    .n = ARRAY_LEN(limit_keys),
    .size = sizeof(struct limit_config),
};

static const struct word breaker_by[] = {
    {"service", BREAKER_BY_SERVICE, false},
    {"method", BREAKER_BY_METHOD, false},
    {NULL, 0, false},
};

static const struct key breaker_keys[] = {
    {.name = "error_rate",
	.type = &key_share,
	.offset = offsetof(struct breaker_config, policy.error_rate),
	.fallback = "50%",
	.min = 1,
	.text = "It opens when failures / calls of the window is this much or more."},
    {.name = "min_samples",
	.type = &key_count64,
	.offset = offsetof(struct breaker_config, policy.min_samples),
	.fallback = "200",
	.min = 1,
	.max = 1000000,
	.text = "It does not open before the window has so many calls."},
    {.name = "window",
	.type = &key_time,
	.offset = offsetof(struct breaker_config, policy.window),
	.fallback = "10s",
	.min = 100 * USEC_MS,
	.max = 3600 * USEC_S,
	.text = "The time over which calls are counted; it slides by hundredths."},
    {.name = "open",
	.type = &key_time,
	.offset = offsetof(struct breaker_config, policy.open),
	.fallback = "5s",
	.min = USEC_MS,
	.text = "How long it stays open: calls are refused with the reason breaker_open."},
    {.name = "probe",
	.type = &key_time,
	.offset = offsetof(struct breaker_config, policy.probe),
	.fallback = "200ms",
	.min = USEC_MS,
	.text = "After that, one call in so much time is let through to see how things are."},
    {.name = "successes",
	.type = &key_count,
	.offset = offsetof(struct breaker_config, policy.successes),
	.fallback = "2",
	.min = 1,
	.max = 1000,
	.text = "So many of them in a row that succeed close it; one that fails opens it anew."},
    {.name = "by",
	.type = &key_word,
	.offset = offsetof(struct breaker_config, policy.by),
	.fallback = "service",
	.words = breaker_by,
	.text = "method: each method has a breaker of its own. At most 1000 are told apart."},
};

const struct scope breaker_scope = {
    .name = "Breaker",
    .keys = breaker_keys,
    .n = ARRAY_LEN(breaker_keys),
    .size = sizeof(struct breaker_config),
};

static const struct key acl_keys[] = {
    {.name = "allow",
	.type = &key_allow,
	.is_absent = rule_is_deny,
	.flags = KEY_ONE_OF,
	.text = "Calls that this matches may pass. Where an ACL has an allow, calls that no rule "
		"matches may not."},
    {.name = "deny",
	.type = &key_deny,
	.is_absent = rule_is_allow,
	.flags = KEY_ONE_OF,
	.text = "Calls that this matches are refused with the reason acl_denied."},
};

static const void *acl_item(const void *base, size_t i, const char **label)
{
	const struct policy *policy = base;
	const struct acl_config *acl = policy->acls[policy_level(policy)];

	*label = NULL;
	return acl && i < acl->n ? &acl->rules[i] : NULL;
}

const struct scope acl_scope = {
    .name = "Rule of an ACL",
    .keys = acl_keys,
    .n = ARRAY_LEN(acl_keys),
    .size = sizeof(struct acl_rule),
    .item = acl_item,
};
