/* The table of keys: the policy of calls. */
#include "base/mem.h"
#include "model/config_keys.h"

static const struct word retry_types[] = {
    {"failure", RETRY_FAILURE, false},
    {"backup", RETRY_BACKUP, false},
    {"mixed", RETRY_MIXED, false},
    {"fork", RETRY_FORK, false},
    {"broadcast", RETRY_BROADCAST, false},
    {"none", RETRY_NONE, false},
    {NULL, 0, false},
};

static const struct word retry_on[] = {
    {"connect", RETRY_ON_CONNECT, false},
    {"unsent", RETRY_ON_UNSENT, false},
    {"reset", RETRY_ON_RESET, false},
    {"timeout", RETRY_ON_TIMEOUT, false},
    {"overload", RETRY_ON_OVERLOAD, false},
    {NULL, 0, false},
};

static const struct word chains[] = {{"stop", 0, false}, {"ignore", 1, false}, {NULL, 0, false}};

static const struct word eject_on[] = {
    {"connect", EJECT_ON_CONNECT, false},
    {"reset", EJECT_ON_RESET, false},
    {"timeout", EJECT_ON_TIMEOUT, false},
    {"bad_reply", EJECT_ON_BAD_REPLY, false},
    {NULL, 0, false},
};

static const struct word health_types[] = {
    {"none", HEALTH_NONE, false},
    {"tcp", HEALTH_TCP, false},
    {"thrift", HEALTH_THRIFT, false},
    {"grpc", HEALTH_GRPC, false},
    {NULL, 0, false},
};

static const struct word fallback_on[] = {
    {"timeout", FALLBACK_ON_TIMEOUT, false},
    {"breaker", FALLBACK_ON_BREAKER, false},
    {"no_endpoint", FALLBACK_ON_NO_ENDPOINT, false},
    {"any", FALLBACK_ON_ANY, false},
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
	.type = &key_word,
	.offset = offsetof(struct policy, retry.type),
	.fallback = "failure",
	.words = retry_types,
	.flags = KEY_SHORT,
	.text =
	    "What follows an attempt that does not succeed. failure: another attempt after it "
	    "failed. backup: another one whenever delay has passed without an answer, the first "
	    "good answer wins. mixed: both. fork: all endpoints at once, the first good answer "
	    "wins. broadcast: all endpoints at once, and all have to answer."},
    {.name = "retry.attempts",
	.type = &key_attempts,
	.offset = offsetof(struct policy, retry.attempts),
	.fallback = "auto",
	.max = RETRY_ATTEMPTS_MAX,
	.flags = KEY_AUTO,
	.text =
	    "Attempts after the first: at most 5 of failure, 2 of backup, 3 of mixed. auto is 2 "
	    "of failure and 1 of the others."},
    {.name = "retry.on",
	.type = &key_retry_on,
	.offset = offsetof(struct policy, retry),
	.fallback = "[connect, unsent]",
	.words = retry_on,
	.missing = "at least one of: connect, unsent; to retry nothing, retry: none",
	.text =
	    "Failures that are followed by another attempt. connect: no connection. unsent: no byte "
	    "of the call was taken, or the endpoint refused it unprocessed. reset: the connection "
	    "ended before the answer. timeout: timeout.attempt is over. overload: the endpoint says "
	    "that it is over its limits. exception:6,7, biz:100,101 and grpc:4,14: an exception of "
	    "such a type, a business error or a gRPC status of such a code. All but the first two "
	    "need idempotent: true at the method, or retry.unsafe: true."},
    {.name = "retry.delay",
	.type = &key_time,
	.offset = offsetof(struct policy, retry.delay),
	.fallback = "none",
	.min = USEC_MS,
	.flags = KEY_NONE,
	.text = "Of backup and mixed: how long an answer is waited for before the next attempt "
		"leaves. Somewhat above the 95th percentile of the method's latency is a good "
		"value."},
    {.name = "retry.backoff",
	.type = &key_backoff,
	.offset = offsetof(struct policy, retry.backoff),
	.fallback = "none",
	.flags = KEY_NONE,
	.text =
	    "How long to wait before an attempt that follows a failure; of mixed, before a backup "
	    "too. A time is always waited. "
	    "{min, max}: a time between the two, by chance. {base, max, factor: 2, jitter: 20%}: "
	    "before the n-th of them min(max, base x factor^(n-1)), more or less by up to jitter."},
    {.name = "retry.budget",
	.type = &key_budget,
	.offset = offsetof(struct policy, retry.budget),
	.fallback = "20%",
	.flags = KEY_NONE,
	.text =
	    "Retries and backups that a service may have in all: this share of its calls of the "
	    "last 10 seconds, and 3 a second more. connect and unsent are outside of it. none: as "
	    "many as attempts allows."},
    {.name = "retry.duration",
	.type = &key_time,
	.offset = offsetof(struct policy, retry.duration),
	.fallback = "none",
	.min = USEC_MS,
	.flags = KEY_NONE,
	.text = "No attempt begins so long after the first one. Running ones are not cut short."},
    {.name = "retry.same_endpoint",
	.type = &key_bool,
	.offset = offsetof(struct policy, retry.same_endpoint),
	.fallback = "false",
	.text = "Try the endpoint again that failed. Otherwise those tried are left out while "
		"others remain."},
    {.name = "retry.chain",
	.type = &key_word_bool,
	.offset = offsetof(struct policy, retry.goes_on_in_chain),
	.fallback = "stop",
	.words = chains,
	.text = "A call that says of itself that it is a retry (RetryReq) is not retried again: "
		"attempts would multiply from hop to hop. ignore: it is."},
    {.name = "retry.buffer",
	.type = &key_buffer,
	.offset = offsetof(struct policy, retry.buffer),
	.fallback = "1MiB",
	.min = 1,
	.max = (uint64_t)1 << 30,
	.flags = KEY_NONE,
	.text = "How much of a gRPC call is kept so that it can be sent again. One that is longer "
		"gets no other attempt."},
    {.name = "retry.unsafe",
	.type = &key_bool,
	.offset = offsetof(struct policy, retry.is_unsafe),
	.fallback = "false",
	.text = "Whoever writes true says that all methods here may run twice."},
    {.name = "breaker",
	.type = &key_breaker,
	.offset = offsetof(struct policy, breakers),
	.fallback = "none",
	.flags = KEY_NONE,
	.scope = &breaker_scope,
	.is_absent = slot_is_inherited,
	.text =
	    "Stops calls to what fails anyway; see Breakers. {} is one with every default. It is "
	    "not merged with that of another level: one at a service counts all its calls, one "
	    "at a method those of the method in addition, one below defaults stands for one at "
	    "each service."},
    {.name = "eject.on",
	.type = &key_eject_on,
	.offset = offsetof(struct policy, eject),
	.fallback = "[connect, reset, timeout, bad_reply]",
	.words = eject_on,
	.missing = "at least one of: connect, reset, timeout, bad_reply; to eject nobody, none",
	.flags = KEY_NONE | KEY_SHORT,
	.text = "What counts against an endpoint: no connection, one that ended before the answer, "
		"timeout.attempt or the call's time being over, and an answer that cannot be read. "
		"Where the caller's own time is over it counts only if the endpoint had the call "
		"for twice as long as nine of ten of its answers take (at least 10ms; 100ms while "
		"there are none). "
		"Exceptions never do, and of business errors those alone whose codes are named: "
		"biz:5003,5004, where an application says so that it is sick itself. none: no "
		"endpoint is ejected."},
    {.name = "eject.consecutive",
	.type = &key_count,
	.offset = offsetof(struct policy, eject.consecutive),
	.fallback = "5",
	.min = 1,
	.max = 1000000,
	.text = "So many failures in a row eject the endpoint. They are counted in the whole "
		"process; a good answer sets the number back to 0."},
    {.name = "eject.for",
	.type = &key_time,
	.offset = offsetof(struct policy, eject.time),
	.fallback = "10s",
	.min = USEC_MS,
	.text = "How long an ejected endpoint is left out."},
    {.name = "eject.at_most",
	.type = &key_share,
	.offset = offsetof(struct policy, eject.at_most),
	.fallback = "30%",
	.text = "The share of a service's endpoints that may be out at once: max(1, floor(n x "
		"at_most)) of n. The only endpoint is never ejected, and never all of them."},
    {.name = "health.type",
	.type = &key_word,
	.offset = offsetof(struct policy, health.type),
	.fallback = "none",
	.words = health_types,
	.flags = KEY_SHORT,
	.text = "How endpoints are asked whether they are well. tcp: they take a connection. "
		"thrift: they answer a call, with an exception too. grpc: grpc.health.v1 says "
		"SERVING."},
    {.name = "health.method",
	.type = &key_text,
	.offset = offsetof(struct policy, health.method),
	.fallback = "none",
	.max = 200,
	.flags = KEY_NONE,
	.text =
	    "Of thrift: the method that is called, without arguments; with none, ping. Of grpc: "
	    "the service that is asked about; with none, the whole server."},
    {.name = "health.interval",
	.type = &key_time,
	.offset = offsetof(struct policy, health.interval),
	.fallback = "5s",
	.min = 100 * USEC_MS,
	.text = "From the end of one check of an endpoint to the next."},
    {.name = "health.timeout",
	.type = &key_time,
	.offset = offsetof(struct policy, health.timeout),
	.fallback = "1s",
	.min = USEC_MS,
	.text = "How long one check may take, the connection included."},
    {.name = "health.rise",
	.type = &key_count,
	.offset = offsetof(struct policy, health.rise),
	.fallback = "2",
	.min = 1,
	.max = 1000,
	.text = "Good checks in a row that bring an endpoint back which was down."},
    {.name = "health.fall",
	.type = &key_count,
	.offset = offsetof(struct policy, health.fall),
	.fallback = "3",
	.min = 1,
	.max = 1000,
	.text = "Bad checks in a row that take an endpoint out. One that was never checked takes "
		"calls."},
    {.name = "limit",
	.type = &key_limit,
	.offset = offsetof(struct policy, limits),
	.fallback = "none",
	.flags = KEY_NONE,
	.scope = &limit_scope,
	.is_absent = slot_is_inherited,
	.text =
	    "How many calls there may be; see Limits. It stands where it is written, as a breaker "
	    "does: a call has to be within all of them. none at a level lifts those of the "
	    "levels above as well."},
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
    {.name = "pool.connections",
	.type = &key_count,
	.offset = offsetof(struct policy, pool_connections),
	.fallback = "none",
	.min = 1,
	.max = 100000,
	.flags = KEY_NONE,
	.text =
	    "Connections at most, for each endpoint and worker; calls beyond them wait for one. "
	    "With none there is no limit."},
    {.name = "pool.warm",
	.type = &key_count_or_zero,
	.offset = offsetof(struct policy, pool_warm),
	.fallback = "none",
	.min = 1,
	.max = 1000,
	.flags = KEY_NONE,
	.text = "Connections that are made before a call needs them, for each endpoint and worker, "
		"and kept ready."},
    {.name = "fallback.on",
	.type = &key_word_bits,
	.offset = offsetof(struct policy, fallback_on),
	.fallback = "none",
	.words = fallback_on,
	.flags = KEY_NONE | KEY_SHORT,
	.text = "When another service is asked in place of this one. timeout: the call's time was "
		"over, or that of its attempts. breaker: the breaker is open. no_endpoint: there "
		"is no endpoint, or none could be reached. any: whatever else the proxy would "
		"answer, or an exception."},
    {.name = "fallback.to.service",
	.type = &key_service,
	.offset = offsetof(struct policy, fallback),
	.fallback = "none",
	.flags = KEY_NONE,
	.text = "The label of that service. A fallback is followed once, its own routes and "
		"fallback are not."},
    {.name = "degrade",
	.type = &key_share_or_zero,
	.offset = offsetof(struct policy, degrade),
	.fallback = "none",
	.flags = KEY_NONE,
	.text = "The share of calls that is refused by chance, to take load off a service in need. "
		"They end with the reason degraded, are not retried, and count nowhere else."},
    {.name = "acl",
	.type = &key_acl,
	.offset = offsetof(struct policy, acls),
	.fallback = "none",
	.flags = KEY_NONE,
	.scope = &acl_scope,
	.is_absent = slot_is_inherited,
	.text =
	    "Who may call: a list of rules, each {allow: MATCH} or {deny: MATCH}. The lists of the "
	    "method, the route, the service and of defaults are read in this order, and the first "
	    "rule that matches decides. A call that none matches passes, unless there is an allow "
	    "among them."},
};

const struct scope policy_scope = {
    .name = "Policy",
    .keys = policy_keys,
    .n = ARRAY_LEN(policy_keys),
    .size = sizeof(struct policy),
};
