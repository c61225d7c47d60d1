/* How doubts are looked for and told: what the warn_*.c share. See model/warn.h for what they
 * are. */
#ifndef BRIDLE_MODEL_CONFIG_WARN_H
#define BRIDLE_MODEL_CONFIG_WARN_H

#include "model/config_bind.h"
#include "model/config_check.h"

/* Which doubt it is, by number. Part of the product: a number never changes its meaning. */
enum warning_id {
	WARN_ALLOW = 1,
	WARN_CONNECT_TIME,
	WARN_MARGIN,
	WARN_DEFAULT_TIME,
	WARN_STREAM_TIME,
	WARN_ATTEMPTS_TIME,
	WARN_ATTEMPT_TIME,
	WARN_BACKUP_DELAY,
	WARN_BACKOFF,
	WARN_DURATION,
	WARN_BUDGET,
	WARN_RETRY_KEY,
	WARN_RETRY_TIMEOUT,
	WARN_FAN,
	WARN_BREAKER_SAMPLES,
	WARN_BREAKER_ONE,
	WARN_EJECT,
	WARN_HEALTH_TIME,
	WARN_HEALTH_KEY,
	WARN_ZONE,
	WARN_SLOW_START,
	WARN_BALANCE_KEY,
	WARN_HASH_KEY,
	WARN_WEIGHTS,
	WARN_SUBSET,
	WARN_SHADOWED,
	WARN_SPLIT,
	WARN_ROUTE_KEY,
	WARN_MIRROR,
	WARN_TO_SELF,
	WARN_FALLBACK_SELF,
	WARN_FALLBACK_LOOP,
	WARN_QUEUE_WAIT,
	WARN_METHOD_LIMIT,
	WARN_FAULT,
	WARN_DEGRADE,
	WARN_ACL,
	WARN_ACL_ID,
	WARN_SET,
	WARN_POOL,
	WARN_FACT,
	WARN_PERCENT,
	WARN_TEST,
	WARN_UNSAFE,
	WARN_LISTENER,
	WARN_SOCKET_KEY,
	WARN_SOCKET_MODE,
	WARN_ENDPOINT_TWICE,
	WARN_MULTIPLEX,
	WARN_UNREACHED,
	WARN_ACCESS_LOG,
	WARN_REGISTERED_NAME,
	WARN_REGISTER_ALWAYS,
	WARN_REGISTER_TTL,
	WARN_REGISTER_LOCAL,
	WARN_DEREGISTER_WAIT,
	WARN_EMPTY_OBEY,
	WARN_REGISTRY_UNUSED,
	WARN_REGISTRY_FILE,
	WARN_CACHE,
	WARN_SECRET,
	WARN_TLS_VERIFY,
	WARN_PREFIX,
	WARN_DISCOVER_TAG,
	WARN_REDACTED,
	WARN_RPCX_PREFIX,
	WARN_METADATA_BODY,
	WARN_METADATA_WARM,
	WARN_CORRELATE,
	WARN_METADATA_LOOKUP,
};

/* Tells, unless it is allowed there. The text may hold a newline: what follows is the remedy. */
void warn_at(struct check *c, enum warning_id id, struct place at, const char *path,
    const char *format, ...) __attribute__((format(printf, 5, 6)));
void warn_policy(struct check *c, enum warning_id id, const struct policy *policy, const char *key,
    const char *format, ...) __attribute__((format(printf, 5, 6)));
void warn_service(struct check *c, enum warning_id id, const struct service_config *service,
    const char *key, const char *format, ...) __attribute__((format(printf, 5, 6)));
/* @base: the struct that the key is of, which belongs to what is at @at. */
void warn_part(struct check *c, enum warning_id id, const void *base, const char *at,
    const char *key, const char *format, ...) __attribute__((format(printf, 6, 7)));

/* The first of the keys (up to NULL) that was written for this policy and changes something there;
 * NULL when all are inherited. */
const char *warn_own(const struct check *c, const struct policy *policy, const char *const *keys);

/* Of one policy, as it is written: not of what is merged for the methods of a route. */
void warn_of_times(struct check *c, const struct policy *policy);
void warn_of_retries(struct check *c, const struct policy *policy);
void warn_of_guards(struct check *c, const struct policy *policy);
void warn_of_acl(struct check *c, const struct policy *policy);
/* Of one service. */
void warn_of_balance(struct check *c, const struct service_config *service);
void warn_of_routes(struct check *c, const struct service_config *service);
void warn_of_metadata(struct check *c, const struct service_config *service);
/* Of the whole file. */
void warn_of_registries(struct check *c);
void warn_of_facts(struct check *c);
void warn_of_tests(struct check *c);

/* All of the above: only when there is no error. */
void config_warn(struct check *c);

#endif
