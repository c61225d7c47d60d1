/*
 * A codec turns one connection's bytes into messages and messages into bytes. It does no I/O and
 * keeps no clock: bytes are offered, events are pulled out one by one, and what is to be written is
 * handed to a sink. The same codec serves both sides of the proxy.
 *
 * Pulling (codec_next) instead of callbacks means that nothing can call back into the proxy while it
 * is reading, and that it can stop between two messages simply by not asking for the next.
 */
#ifndef BRIDLE_RPC_CODEC_H
#define BRIDLE_RPC_CODEC_H

#include "rpc/message.h"
#include "rpc/status.h"

/* Bodies longer than this are relayed as they arrive; shorter ones are given out whole. */
#define CODEC_RELAY_ABOVE (64u * 1024)

enum codec_side {
	CODEC_DOWNSTREAM, /* reads calls, writes replies */
	CODEC_UPSTREAM,   /* reads replies, writes calls */
};

struct codec_limits {
	uint64_t max_message; /* bytes of a whole message */
	uint64_t max_header;  /* bytes of a transport header */
	unsigned protocols;   /* PROTOCOL_BIT()s that are admitted */
};

enum codec_event {
	CODEC_MORE,    /* all input is used; nothing more comes out of it */
	CODEC_MESSAGE, /* a message, or the beginning of a long one */
	CODEC_DATA,    /* more of the body of the message given out last */
	CODEC_REFUSED, /* the stream cannot be read on; the codec is dead */
};

struct codec_item {
	/* MESSAGE; REFUSED: what was understood so far, NULL when no method and sequence id are known. */
	struct rpc_message message;
	bool has_message;
	struct slice data;     /* DATA */
	bool last;             /* DATA: the body ends with it */
	struct rpc_status why; /* REFUSED */
};

/* Where bytes to be written go; the pieces belong together and stay the caller's. */
typedef void (*codec_sink_fn)(void *arg, const struct slice *pieces, int n);

struct codec;

/* @limits is copied; @sink and @arg are borrowed. */
struct codec *codec_open(
    enum codec_side side, const struct codec_limits *limits, codec_sink_fn sink, void *arg);
void codec_close(struct codec **codec);

/*
 * Takes the next event out of @in and moves @in forward over the bytes it used. Views in @item stay
 * until the next call with this codec, but no longer than the bytes behind @in.
 */
enum codec_event codec_next(struct codec *codec, struct slice *in, struct codec_item *item);

/* No message is partly read. */
bool codec_is_idle(const struct codec *codec);
/* Whether enough bytes have come to know what the present message is. */
bool codec_has_detected(const struct codec *codec);
/* Bytes of memory that a partly read message holds. */
size_t codec_held(const struct codec *codec);

/* What is to be different in a message that is passed on. All zero but `form`: nothing. */
struct rpc_edit {
	struct rpc_form form; /* the form to write */
	bool renumber;        /* put `seq` in place of both sequence ids */
	int32_t seq, transport_seq;
	bool out_of_order; /* set the TTHeader flag */
	bool strip_crrst, add_crrst;
	bool set_timeout;
	uint64_t timeout_ms; /* int key 12 */
	struct slice caller; /* int key 3, when not empty */
	bool strip_caller;   /* no int key 3 at all */
	struct slice rip;    /* str key rip, when not empty */
	/* For a TTHeader where there was none; empty: left out. */
	struct slice service, idl_service, log_id;
	/* Out: what had no place in the new form, by enum rpc_dropped. */
	unsigned dropped[8];
};

enum rpc_dropped {
	RPC_DROPPED_PERSISTENT,
	RPC_DROPPED_TRANSIENT,
	RPC_DROPPED_HEADER,
	RPC_DROPPED_INT,
	RPC_DROPPED_ACL,
	RPC_DROPPED_CHECKSUM,
	RPC_DROPPED_BIZ,
};

/*
 * Writes a message, or the head and first part of a long one. @edit->dropped is filled. Returns false
 * when the message has no room in the form (a header past its format's limits), having written
 * nothing.
 */
bool codec_send_message(struct codec *codec, const struct rpc_message *m, struct rpc_edit *edit);
/* More of the body of the message sent last. */
void codec_send_data(struct codec *codec, struct slice data);
/*
 * Writes a failure reply to @call in the caller's own protocol and framing; nothing for a oneway.
 * @closing: announces that the connection ends with it, where the protocol can.
 */
void codec_send_failure(struct codec *codec, const struct rpc_message *call,
    const struct rpc_status *why, bool closing);
/* As codec_send_failure, for a business error towards a caller that cannot carry one. */
void codec_send_exception(struct codec *codec, const struct rpc_message *call, struct slice text,
    int exception_id, bool closing);

#define RPC_EXCEPTION_INTERNAL                                                                     \
	6 /* a handler's own error; source: kitex pkg/remote/trans_errors.go */
/* The type of an exception that is here whole, -1 when it cannot be read. */
int32_t codec_exception_id(const struct rpc_message *m);

/* Can a message of @from be written in @to at all? */
bool codec_can_convert(struct rpc_form from, struct rpc_form to);

#endif
