/*
 * A codec turns one connection's bytes into messages and messages into bytes. It does no I/O and
 * keeps no clock: bytes are offered, events are pulled out one by one, and what is to be written is
 * handed to a sink. The same codec serves both sides of the proxy.
 *
 * Pulling (codec_next) instead of callbacks means that nothing can call back into the proxy while
 * it is reading, and that it can stop between two messages simply by not asking for the next.
 */
#ifndef BRIDLE_RPC_CODEC_H
#define BRIDLE_RPC_CODEC_H

#include "rpc/message.h"
#include "rpc/status.h"

/* Bodies longer than this are relayed as they arrive; shorter ones are given out whole. */
#define CODEC_RELAY_ABOVE (64u * 1024)

/* What one call of a protocol without flow control may have waiting to be written. */
#define CODEC_STREAM_QUEUE (256u * 1024)

enum codec_side {
	CODEC_DOWNSTREAM, /* reads calls, writes replies */
	CODEC_UPSTREAM,   /* reads replies, writes calls */
};

/* Decided once for a connection. */
enum codec_family {
	CODEC_UNDETECTED, /* downstream, before the first bytes have told */
	CODEC_UNARY,
	CODEC_HTTP2,
	CODEC_TTSTREAM,
};

struct http2_limits;

struct codec_limits {
	uint64_t max_message; /* bytes of a whole message */
	uint64_t max_header;  /* bytes of a transport header, or of a decoded header list */
	unsigned protocols;   /* PROTOCOL_BIT()s that are admitted */
	unsigned in_flight;   /* calls at once on one multiplexing connection, downstream */
	const struct http2_limits *http2; /* borrowed; NULL: the defaults */
	struct slice node; /* borrowed: who we are, for the list of those who passed a cancel on */
};

enum codec_event {
	CODEC_MORE,    /* all input is used; nothing more comes out of it */
	CODEC_MESSAGE, /* a message, or the beginning of a long one or of a stream */
	CODEC_DATA,    /* more of the body of a message that was given out */
	CODEC_REFUSED, /* no more can be read; what runs on it is lost, the codec is dead */
	/* Multiplexing families only: */
	CODEC_END,   /* one direction of a call has ended; its trailers are the message */
	CODEC_RESET, /* the other side gave the call up, or broke its rules: nothing more comes */
	CODEC_ROOM,  /* of what waited to be written for the call some has left */
};

/* How a call of a multiplexing connection is given up. */
struct codec_reset {
	enum reason reason;
	bool is_unprocessed; /* from an endpoint: it says that it has not looked at the call */
	bool is_passed_on;   /* as the other side of the proxy gave it, in the same family */
	uint32_t code;       /* HTTP/2: the error code; TTHeader streaming: the exception's type */
	struct slice frame;  /* TTHeader streaming: the frame; empty: the codec makes one */
	char detail[128];    /* what happened, for logs */
};

struct codec_item {
	/* MESSAGE, END; REFUSED: what was understood so far, NULL when no method and sequence id
	 * are known. */
	struct rpc_message message;
	bool has_message;
	struct slice data;     /* DATA */
	bool last;             /* DATA: the body ends with it; of a stream, no END follows */
	struct rpc_status why; /* REFUSED */

	/* Multiplexing families. */
	uint32_t id; /* which call of the connection; unary: 0 */
	void *owner; /* whom codec_own named for it; without one none are given out but MESSAGE */
	unsigned n_messages;      /* DATA: messages of the stream that end in it, */
	uint64_t message_bytes;   /* and how long they are */
	struct codec_reset reset; /* RESET */
};

/* The connection that a codec writes to. */
struct codec_io {
	/* Takes bytes to be written; the pieces belong together and stay the codec's. */
	void (*write)(void *arg, const struct slice *pieces, int n);
	/* So much is queued that no more data should come; codec_pump follows when it has left.
	 * Asked by multiplexing families alone; NULL: never full. */
	bool (*is_full)(void *arg);
};

struct codec;

/* @limits is copied; @io and @arg are borrowed. Downstream codecs detect their family:
 * CODEC_UNDETECTED. */
struct codec *codec_open(enum codec_side side, enum codec_family family,
    const struct codec_limits *limits, const struct codec_io *io, void *arg);
void codec_close(struct codec **codec);
enum codec_family codec_family(const struct codec *codec);
bool codec_is_multiplexed(const struct codec *codec);

/*
 * Takes the next event out of @in and moves @in forward over the bytes it used. Views in @item stay
 * until the next call with this codec, but no longer than the bytes behind @in. Multiplexing codecs
 * may have events without any input (after codec_pump or any sending): they want to be asked until
 * they say CODEC_MORE, with an empty @in if need be.
 */
enum codec_event codec_next(struct codec *codec, struct slice *in, struct codec_item *item);
/* What time it is, for limits on rates: to be told before input is offered. */
void codec_set_now(struct codec *codec, usec_t now);

/* No message, header block or handshake is partly read. */
bool codec_is_idle(const struct codec *codec);
/* Whether enough bytes have come to know what the present message is (HTTP/2: the handshake is done
 * and no header block is partly here). */
bool codec_has_detected(const struct codec *codec);
/* Bytes of memory that the codec holds: of partly read messages, and of what waits to be
 * written. */
size_t codec_held(const struct codec *codec);

/* ---- calls of multiplexing connections; for unary ones every id is 0 ---- */

/* Upstream: how many calls may be begun now. */
unsigned codec_capacity(const struct codec *codec);
/* Upstream: no more calls may be begun, ever (GOAWAY, or no ids are left). Downstream: none will
 * come, and all that came are over. */
bool codec_is_ending(const struct codec *codec);
/* Upstream: a number for a new call, whose codec_send_message follows at once. Needs capacity. */
uint32_t codec_begin(struct codec *codec, void *owner);
/* Who items of this call are for from now on; NULL: nobody wants them (the rest of the call is read
 * and thrown away, what waits to be written still goes out). Unknown ids are ignored. */
void codec_own(struct codec *codec, uint32_t id, void *owner);
/* Gives the call up: what waits for it is thrown away, the other side is told. Unknown ids are
 * ignored. */
void codec_reset(struct codec *codec, uint32_t id, const struct codec_reset *why);
/* @bytes of DATA of this call have left on the other side: its writer may send as many more. */
void codec_credit(struct codec *codec, uint32_t id, size_t bytes);
/* Bytes taken for this call that have not been written yet. */
size_t codec_pending(const struct codec *codec, uint32_t id);
/* Writes what waits, until the connection is full. */
void codec_pump(struct codec *codec);

enum codec_drain {
	CODEC_DRAIN_SOON, /* HTTP/2: a GOAWAY that still admits calls which are on their way */
	/* HTTP/2: the GOAWAY that names the last call. TTHeader with many calls at once: Kitex's
	 * word for it, on which its clients of today break off whatever runs: only when nothing
	 * does. */
	CODEC_DRAIN_NOW,
};
/* Downstream: tells the caller that no more calls are wanted here, where its protocol has a word
 * for it. */
void codec_drain(struct codec *codec, enum codec_drain step);
/* Downstream, of unary ones: the caller has said that it takes replies in any order. */
bool codec_is_unordered(const struct codec *codec);
/* Nothing has happened for a while: memory that only traffic needs is given back. */
void codec_rest(struct codec *codec);
/* Asks the other side for a sign of life, where the protocol can: any input is one. */
void codec_ping(struct codec *codec);

/*
 * Metadata to set or take away, in whatever form the message goes out. Of changes with one name the
 * last decides.
 *
 * What has a place of its own is no business of a rule: such changes are ignored. Headers: isn,
 * rip, crrst, crc32c, PV_*, biz-*, RPC_TRANSIT_gdpr-token, RPC_TRANSIT_UPSTREAM_*, RPC_BACKWARD_*
 * (and what of it HTTP/2 spells its own way), pseudo fields, content-type, content-length, te,
 * host, user-agent, connection, keep-alive, proxy-connection, upgrade, transfer-encoding, grpc-*,
 * source-service, source-method, destination-*, stream-log-id, in any case. Ints: 1, 2, 3, 6, 9,
 * 12, 20, 22, 27. Names are 1 to 500 bytes long.
 */
enum rpc_change_kind {
	RPC_CHANGE_META,   /* persistent: replaces a persistent or transient one, in any case */
	RPC_CHANGE_HEADER, /* a str key; a field. Metadata, too, by its whole key: a transient value
			    * for the next hop is set as RPC_TRANSIT_K */
	RPC_CHANGE_INT,    /* an int key of TTHeader; has no place elsewhere */
};

#define RPC_CHANGES_MAX 256u /* of one message: those behind them are ignored */

struct rpc_change {
	enum rpc_change_kind kind;
	struct slice name; /* META, HEADER */
	uint16_t number;   /* INT */
	bool is_removal;
	struct slice value;
};

/* False: such a change is ignored, whatever the message. policy/fact.h says the same of its
 * keys. */
bool rpc_change_is_possible(const struct rpc_change *change);

/* One change in a body: @with stands in place of @cut bytes from @at on. */
struct rpc_splice {
	size_t at, cut;
	struct slice with;
};

/* Metadata that has no place, or may not be stated. */
enum rpc_dropped {
	RPC_DROPPED_PERSISTENT,
	RPC_DROPPED_TRANSIENT,
	RPC_DROPPED_HEADER,
	RPC_DROPPED_INT,
	RPC_DROPPED_ACL,
	RPC_DROPPED_CHECKSUM,
	RPC_DROPPED_BIZ,
	RPC_DROPPED_IDENTITY, /* who calls, as the caller stated it, where that does not count */
	RPC_DROPPED_CLASSES,
};

/* What is to be different in a message that is passed on. All zero but `form`: nothing. */
struct rpc_edit {
	struct rpc_form form; /* the form to write */
	bool renumber;        /* put `seq` in place of both sequence ids */
	int32_t seq, transport_seq;
	bool out_of_order; /* set the TTHeader flag */
	bool strip_crrst, add_crrst;
	bool add_prefix; /* to backward values that come into a TTHeader; see RPC_WANTS_PREFIX */
	bool set_timeout;
	uint64_t timeout_ms; /* int key 12 */
	usec_t timeout;      /* the same, exactly: grpc-timeout; with set_timeout */
	struct slice rip;    /* str key rip, when not empty */
	/* For a head in another form than the message came in. caller: empty: as the message says;
	 * the others: left out. */
	struct slice caller, service, idl_service, log_id;
	struct slice authority;           /* HTTP/2 towards an endpoint: :authority */
	const struct rpc_change *changes; /* borrowed: by the rules of a route, in order */
	size_t n_changes;
	unsigned retry; /* RetryReq: the attempt's number; 0: no retry, a mark stays as it came */
	/* Of a body that is here as a whole; borrowed; NULL: none. It holds the metadata that a
	 * form without a header has no place for: nothing of them is counted as dropped by the
	 * writer. */
	const struct rpc_splice *splice;
	/* Out: what had no place in the new form, by enum rpc_dropped. */
	unsigned dropped[RPC_DROPPED_CLASSES];
};

/*
 * Writes a message, or the head and first part of a long one or of a stream. @edit->dropped is
 * filled. Returns false when the message has no room in the form (a header past its format's
 * limits), having written nothing.
 *
 * HTTP/2 writes messages of its own form field by field; those of unary forms (CALL, REPLY,
 * EXCEPTION) become whole gRPC calls and replies: prefix, body, trailers.
 */
bool codec_send_message(
    struct codec *codec, uint32_t id, const struct rpc_message *m, struct rpc_edit *edit);
/* More of the body. Multiplexing families: in pieces as a codec of the same family gave them out,
 * or several of those one behind the other; what cannot be written yet is copied. @last: the
 * direction ends with it. */
void codec_send_data(struct codec *codec, uint32_t id, struct slice data, bool last);
/* Multiplexing families: the direction ends with these trailers; NULL: with none. */
void codec_send_end(struct codec *codec, uint32_t id, const struct rpc_message *trailers);
/*
 * Writes a failure reply to @call in the caller's own protocol and framing; nothing for a oneway.
 * On a stream whose reply has begun it is the legal end of it that tells the failure.
 * @closing: announces that the connection ends with it, where the protocol can.
 */
void codec_send_failure(struct codec *codec, uint32_t id, const struct rpc_message *call,
    const struct rpc_status *why, bool closing);
/* As codec_send_failure, for a business error towards a caller that cannot carry one. */
void codec_send_exception(struct codec *codec, const struct rpc_message *call, struct slice text,
    int exception_id, bool closing);

#define RPC_EXCEPTION_INTERNAL                                                                     \
	6 /* a handler's own error; source: kitex pkg/remote/trans_errors.go */
/* The type of an exception that is here whole, -1 when it cannot be read. */
int32_t codec_exception_id(const struct rpc_message *m);
/* Does a reply (a gRPC one: its trailers, or its only block) say that its endpoint has more calls
 * than it may have? Then another one may well answer. */
bool rpc_is_overload(const struct rpc_message *reply);
/* The code of a business error. False: the reply (its trailers) tells of none. */
bool rpc_biz_code(const struct rpc_message *reply, int32_t *code);

/* Can a message of @from be written in @to at all? */
bool codec_can_convert(struct rpc_form from, struct rpc_form to);

/*
 * Conversions of whole gRPC calls, in rpc/convert.c.
 *
 * A gRPC call whose body has been collected becomes a unary one: its one message, without the
 * prefix. NULL, or why it cannot (several messages, none, a compressed one): constant text.
 */
const char *rpc_call_from_grpc(struct rpc_message *call);
/*
 * The reply of a gRPC endpoint to a unary call, from its head with the collected body and its
 * trailers (NULL: the head was all): becomes REPLY with the body of its one message, or EXCEPTION
 * with no body, whose exception type is in status and text, decoded, in status_text; a business
 * error sets RPC_HAS_BIZ, biz_status and biz_message. Text lies in @arena. NULL, or why it is a bad
 * reply.
 *
 * The method, the sequence id and the payload in @reply are those of its call, set before: HTTP/2
 * says none of them (a Thrift call may be answered with a bare application/grpc).
 */
const char *rpc_reply_from_grpc(
    struct rpc_message *reply, const struct rpc_message *trailers, struct arena *arena);
/* The gRPC status that a whole unary reply of another form becomes. */
unsigned rpc_grpc_status_of(const struct rpc_message *reply);

/* Of the library that HTTP/2 is spoken with. */
const char *codec_library_version(void);

#endif
