#include "base/reason.h"

#include <stddef.h>

/* Types of TApplicationException. Source: kitex pkg/remote/trans_errors.go. */
#define INTERNAL_ERROR  6
#define PROTOCOL_ERROR  7
#define UNKNOWN_SERVICE 20

/* Those of streams alone. Source: kitex pkg/remote/trans/ttstream/exception.go. */
#define ILLEGAL_FRAME     12004
#define TRANSPORT_CLOSING 12006
#define USER_CANCEL       12007
#define STREAM_TIMEOUT    12015

/* Source: grpc/doc/statuscodes.md. */
enum {
	CANCELLED = 1,
	DEADLINE_EXCEEDED = 4,
	PERMISSION_DENIED = 7,
	RESOURCE_EXHAUSTED = 8,
	UNIMPLEMENTED = 12,
	INTERNAL = 13,
	UNAVAILABLE = 14,
};

static const struct {
	const char *name, *kitex;
	int exception, grpc, ttstream;
} reasons[REASON_COUNT] = {
    [REASON_OK] = {"ok", NULL, 0, 0, 0},
    [REASON_APP_EXCEPTION] = {"app_exception", NULL, INTERNAL_ERROR, INTERNAL, INTERNAL_ERROR},
    [REASON_BIZ_ERROR] = {"biz_error", NULL, INTERNAL_ERROR, INTERNAL, INTERNAL_ERROR},
    [REASON_NO_ROUTE] = {"no_route", "rpc route failed", UNKNOWN_SERVICE, UNIMPLEMENTED,
	UNKNOWN_SERVICE},
    [REASON_NO_ENDPOINT] = {"no_endpoint", "service discovery error: no instance available",
	INTERNAL_ERROR, UNAVAILABLE, TRANSPORT_CLOSING},
    [REASON_CONNECT_FAILED] = {"connect_failed", "get connection error", INTERNAL_ERROR,
	UNAVAILABLE, TRANSPORT_CLOSING},
    [REASON_RESET] = {"reset", "remote or network error", INTERNAL_ERROR, UNAVAILABLE,
	TRANSPORT_CLOSING},
    [REASON_TIMEOUT] = {"timeout", "rpc timeout", INTERNAL_ERROR, DEADLINE_EXCEEDED,
	STREAM_TIMEOUT},
    [REASON_CALLER_DEADLINE] = {"caller_deadline", "rpc timeout", INTERNAL_ERROR, DEADLINE_EXCEEDED,
	STREAM_TIMEOUT},
    [REASON_BREAKER_OPEN] = {"breaker_open", "forbidden by circuitbreaker", INTERNAL_ERROR,
	UNAVAILABLE, INTERNAL_ERROR},
    [REASON_RATE_LIMITED] = {"rate_limited", "request over limit: request too frequent",
	INTERNAL_ERROR, RESOURCE_EXHAUSTED, INTERNAL_ERROR},
    [REASON_CONCURRENCY_LIMITED] = {"concurrency_limited", "request over limit", INTERNAL_ERROR,
	RESOURCE_EXHAUSTED, INTERNAL_ERROR},
    [REASON_CONNECTION_LIMITED] = {"connection_limited", "request over limit: to many connections",
	INTERNAL_ERROR, RESOURCE_EXHAUSTED, INTERNAL_ERROR},
    [REASON_QUEUE_TIMEOUT] = {"queue_timeout", "request over limit", INTERNAL_ERROR,
	RESOURCE_EXHAUSTED, INTERNAL_ERROR},
    [REASON_ACL_DENIED] = {"acl_denied", "request forbidden", INTERNAL_ERROR, PERMISSION_DENIED,
	INTERNAL_ERROR},
    [REASON_MALFORMED] = {"malformed", NULL, PROTOCOL_ERROR, INTERNAL, ILLEGAL_FRAME},
    [REASON_TOO_LARGE] = {"too_large", NULL, PROTOCOL_ERROR, RESOURCE_EXHAUSTED, INTERNAL_ERROR},
    [REASON_BAD_REPLY] = {"bad_reply", "remote or network error", INTERNAL_ERROR, INTERNAL,
	INTERNAL_ERROR},
    [REASON_PROTOCOL_UNKNOWN] = {"protocol_unknown", NULL, PROTOCOL_ERROR, INTERNAL,
	INTERNAL_ERROR},
    [REASON_NO_CONVERSION] = {"no_conversion", NULL, INTERNAL_ERROR, UNIMPLEMENTED, INTERNAL_ERROR},
    [REASON_DRAINING] = {"draining", NULL, INTERNAL_ERROR, UNAVAILABLE, TRANSPORT_CLOSING},
    [REASON_OVERLOAD] = {"overload", "request over limit", INTERNAL_ERROR, RESOURCE_EXHAUSTED,
	INTERNAL_ERROR},
    [REASON_DEGRADED] = {"degraded", NULL, INTERNAL_ERROR, UNAVAILABLE, INTERNAL_ERROR},
    [REASON_FAULT_INJECTED] = {"fault_injected", NULL, INTERNAL_ERROR, UNAVAILABLE, INTERNAL_ERROR},
    [REASON_CANCELED] = {"canceled", NULL, INTERNAL_ERROR, CANCELLED, USER_CANCEL},
    [REASON_INTERNAL] = {"internal", "internal exception", INTERNAL_ERROR, INTERNAL,
	INTERNAL_ERROR},
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

int reason_grpc_status(enum reason reason)
{
	return reasons[reason].grpc;
}

int reason_ttstream_id(enum reason reason)
{
	return reasons[reason].ttstream;
}
