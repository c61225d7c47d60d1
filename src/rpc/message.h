/*
 * One RPC message, whatever protocol it travelled in. It is cut in two: the head is every byte
 * before the argument or result struct (transport header, inner length, message head up to and with
 * the sequence id), the body is that struct alone. Converting between protocols changes the head
 * only.
 *
 * All slices of a message are views. As a codec gives it out they lie in the codec's input and end
 * with the next call into the codec; rpc_message_keep_head moves them into an arena.
 */
#ifndef BRIDLE_RPC_MESSAGE_H
#define BRIDLE_RPC_MESSAGE_H

#include "base/arena.h"
#include "base/clock.h"
#include "base/protocol.h"
#include "base/slice.h"

enum rpc_transport { RPC_PLAIN, RPC_TTHEADER, RPC_MESH, RPC_HTTP2, RPC_TTSTREAM };
enum rpc_payload {
	RPC_THRIFT,
	RPC_KITEXPB, /* Protobuf: in Kitex's envelope, or as gRPC carries it */
	RPC_OPAQUE,  /* HTTP/2 that is not gRPC */
};
enum rpc_kind {
	RPC_CALL, /* a stream is one, too */
	RPC_ONEWAY,
	RPC_REPLY,
	RPC_EXCEPTION,
	RPC_INTERIM,  /* HTTP/2 1xx: the reply is still to come */
	RPC_TRAILERS, /* what ends one direction of a stream */
};

/* One field of an HTTP/2 header block. */
struct rpc_field {
	struct slice name, value;
	bool is_secret; /* its writer asked that nobody keeps it in a compression table */
};

/* How a message is wrapped. */
struct rpc_form {
	enum rpc_transport transport;
	enum rpc_payload payload;
	bool framed; /* a 4-byte length before the message head */
};

static inline bool rpc_form_eq(struct rpc_form a, struct rpc_form b)
{
	return a.transport == b.transport && a.payload == b.payload && a.framed == b.framed;
}

/* Calls of these live on connections that carry many at once, and may be streams. */
static inline bool rpc_form_is_multiplexed(struct rpc_form form)
{
	return form.transport == RPC_HTTP2 || form.transport == RPC_TTSTREAM;
}

/* The name that configuration, logs and metrics have for a form; a mesh header does not count. */
enum protocol rpc_form_protocol(struct rpc_form form);

/* What the TTHeader of a message carries beside plain facts. */
enum rpc_mark {
	RPC_HAS_CRRST = 1u << 0,          /* the peer will close this connection */
	RPC_HAS_CHECKSUM = 1u << 1,       /* crc32c */
	RPC_HAS_VALIDATOR = 1u << 2,      /* PV_... */
	RPC_HAS_BIZ = 1u << 3,            /* a business error: biz-status is not 0 */
	RPC_HAS_TRANSPORT_TYPE = 1u << 4, /* int key 1 */
	RPC_HAS_RIP = 1u << 5,
	RPC_HAS_CALLER = 1u << 6,   /* int key 3, source-service; be it empty */
	RPC_HAS_OVERLOAD = 1u << 7, /* an exception made of a gRPC status that told of overload */
	RPC_IS_LIFTED = 1u << 8, /* a PLAIN message: sections were made from its body (rpc/carry) */
	RPC_BIZ_IN_BODY = 1u << 9, /* with HAS_BIZ: the body says so, and no header */
	/* Of a call: its caller knows backward values by their prefix alone, as Volo's clients do;
	 * those of Kitex take all str keys of a reply for them. */
	RPC_WANTS_PREFIX = 1u << 10,
};

#define RPC_LENGTH_UNKNOWN UINT64_MAX
#define RPC_STATUS_NONE    (-1) /* nothing was said of how the call went */

struct rpc_message {
	struct rpc_form form;
	enum rpc_kind kind;
	int32_t seq;           /* the message's own */
	int32_t transport_seq; /* TTHeader's; the message's own elsewhere */
	uint16_t flags;        /* TTHeader's */
	unsigned marks;        /* enum rpc_mark */
	struct slice method;

	/* What the transport header says; empty where it says nothing. */
	struct slice service_asked, idl_service, caller, caller_method, log_id, trace_id;
	struct slice biz_status, biz_message, biz_extra; /* extra: only with BIZ_IN_BODY */
	usec_t timeout;                                  /* asked by the caller; USEC_NONE */

	struct slice head;     /* all of it */
	struct slice sections; /* of the transport header, within head; or lifted (IS_LIFTED) */
	size_t payload_at;     /* where the payload begins in head: behind the transport header */
	size_t message_at;     /* where the message head begins: payload_at, + 4 if framed */

	/* HTTP/2: the names and values of a header block lie one behind the other in head. The
	 * fields stand in their order, without the pseudo fields, which have places of their
	 * own. */
	const struct rpc_field *fields;
	unsigned n_fields;
	struct slice http_method, path, authority, content_type;
	unsigned http_status; /* of a reply; 0 elsewhere */
	/* Streams: how the call went. HTTP/2: grpc-status; TTHeader streaming: the type of the
	 * exception in a trailer, 0 for a trailer without one. */
	int64_t status;
	struct slice status_text; /* as on the wire */

	struct slice body; /* what is here of it */
	uint64_t body_len; /* of all of it, or RPC_LENGTH_UNKNOWN */
	bool complete;     /* no more of the body follows */
};

/* There is a business error, and the header alone says so. */
static inline bool rpc_header_tells_biz(const struct rpc_message *m)
{
	return (m->marks & (RPC_HAS_BIZ | RPC_BIZ_IN_BODY)) == RPC_HAS_BIZ;
}

/* Copies the head into the arena and turns all views onto the copy, but those into the body. What
 * lies elsewhere, since it was made of the body (IS_LIFTED, BIZ_IN_BODY) or by the proxy, is
 * copied, too. */
void rpc_message_keep_head(struct rpc_message *m, struct arena *arena);

/* The caller announced that replies may come in any order. */
bool rpc_message_is_unordered(const struct rpc_message *m);

#endif
