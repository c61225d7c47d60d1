#include "base/reason.h"

#include <stddef.h>

#define INTERNAL_ERROR  6
#define PROTOCOL_ERROR  7
#define UNKNOWN_SERVICE 20

static const struct {
	const char *name, *kitex;
	int exception;
} reasons[REASON_COUNT] = {
    [REASON_OK] = {"ok", NULL, 0},
    [REASON_APP_EXCEPTION] = {"app_exception", NULL, INTERNAL_ERROR},
    [REASON_BIZ_ERROR] = {"biz_error", NULL, INTERNAL_ERROR},
    [REASON_NO_ROUTE] = {"no_route", "rpc route failed", UNKNOWN_SERVICE},
    [REASON_NO_ENDPOINT] = {"no_endpoint", "service discovery error: no instance available",
	INTERNAL_ERROR},
    [REASON_CONNECT_FAILED] = {"connect_failed", "get connection error", INTERNAL_ERROR},
    [REASON_RESET] = {"reset", "remote or network error", INTERNAL_ERROR},
    [REASON_TIMEOUT] = {"timeout", "rpc timeout", INTERNAL_ERROR},
    [REASON_CALLER_DEADLINE] = {"caller_deadline", "rpc timeout", INTERNAL_ERROR},
    [REASON_BREAKER_OPEN] = {"breaker_open", "forbidden by circuitbreaker", INTERNAL_ERROR},
    [REASON_RATE_LIMITED] = {"rate_limited", "request over limit: request too frequent",
	INTERNAL_ERROR},
    [REASON_CONCURRENCY_LIMITED] = {"concurrency_limited", "request over limit", INTERNAL_ERROR},
    [REASON_CONNECTION_LIMITED] = {"connection_limited", "request over limit: to many connections",
	INTERNAL_ERROR},
    [REASON_QUEUE_TIMEOUT] = {"queue_timeout", "request over limit", INTERNAL_ERROR},
    [REASON_ACL_DENIED] = {"acl_denied", "request forbidden", INTERNAL_ERROR},
    [REASON_MALFORMED] = {"malformed", NULL, PROTOCOL_ERROR},
    [REASON_TOO_LARGE] = {"too_large", NULL, PROTOCOL_ERROR},
    [REASON_BAD_REPLY] = {"bad_reply", "remote or network error", INTERNAL_ERROR},
    [REASON_PROTOCOL_UNKNOWN] = {"protocol_unknown", NULL, PROTOCOL_ERROR},
    [REASON_NO_CONVERSION] = {"no_conversion", NULL, INTERNAL_ERROR},
    [REASON_DRAINING] = {"draining", NULL, INTERNAL_ERROR},
    [REASON_OVERLOAD] = {"overload", "request over limit", INTERNAL_ERROR},
    [REASON_DEGRADED] = {"degraded", NULL, INTERNAL_ERROR},
    [REASON_FAULT_INJECTED] = {"fault_injected", NULL, INTERNAL_ERROR},
    [REASON_CANCELED] = {"canceled", NULL, INTERNAL_ERROR},
    [REASON_INTERNAL] = {"internal", "internal exception", INTERNAL_ERROR},
};

const char *reason_name(enum reason reason)
{
	return reasons[reason].name;
}

const char *reason_kitex_text(enum reason reason)
{
	return reasons[reason].kitex;
}

int reason_exception_id(enum reason reason)
{
	return reasons[reason].exception;
}
