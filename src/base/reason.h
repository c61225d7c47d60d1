/*
 * Why a call ended as it did: one stable word, in the access log, in metrics, and in the text of
 * each reply that the proxy makes itself.
 */
#ifndef BRIDLE_BASE_REASON_H
#define BRIDLE_BASE_REASON_H

enum reason {
	REASON_OK,
	REASON_APP_EXCEPTION,
	REASON_BIZ_ERROR,
	REASON_NO_ROUTE,
	REASON_NO_ENDPOINT,
	REASON_CONNECT_FAILED,
	REASON_RESET,
	REASON_TIMEOUT,
	REASON_CALLER_DEADLINE,
	REASON_BREAKER_OPEN,
	REASON_RATE_LIMITED,
	REASON_CONCURRENCY_LIMITED,
	REASON_CONNECTION_LIMITED,
	REASON_QUEUE_TIMEOUT,
	REASON_ACL_DENIED,
	REASON_MALFORMED,
	REASON_TOO_LARGE,
	REASON_BAD_REPLY,
	REASON_PROTOCOL_UNKNOWN,
	REASON_NO_CONVERSION,
	REASON_DRAINING,
	REASON_OVERLOAD,
	REASON_DEGRADED,
	REASON_FAULT_INJECTED,
	REASON_CANCELED,
	REASON_INTERNAL,
	REASON_COUNT,
};

/* The word: "no_endpoint". */
const char *reason_name(enum reason reason);
/* Kitex's own text for the same situation, so that both are found by one search; NULL where it has
 * none. Source: kitex pkg/kerrors/kerrors.go. */
const char *reason_kitex_text(enum reason reason);
/* The TApplicationException type of a reply that tells it. Source: kitex
 * pkg/remote/trans_errors.go. */
int reason_exception_id(enum reason reason);
/* The grpc-status of one, as Kitex maps its errors (kitex pkg/remote/trans/nphttp2/codes.go). */
int reason_grpc_status(enum reason reason);
/* The type in the exception that ends a stream of TTHeader streaming.
 * Source: kitex pkg/remote/trans/ttstream/exception.go. */
int reason_ttstream_id(enum reason reason);

#endif
