/*
 * Metadata in the body of a Thrift call, for applications that read no transport header, and the
 * way back: what such an application says there is lifted out. Nothing is known of the IDL: the
 * struct is walked, and what is not understood stays as it is.
 *
 * A carrier is the place. Base: field 255 of the struct that is field 1 of the arguments,
 *     1: string LogID, 2: string Caller, 3: string Addr, 4: string Client,
 *     6: map<string,string> Extra
 * An argument: a map<string,string> with an id of the operator's choice. The keys of both maps are
 * those of a TTHeader, byte for byte; facts that have no place else go by the names that Kitex has
 * for them in HTTP/2.
 */
#ifndef BRIDLE_RPC_CARRY_H
#define BRIDLE_RPC_CARRY_H

#include "rpc/codec.h"

struct rpc_reserved;

#define RPC_CARRY_MAX     (64u * 1024) /* bytes that a carrier may take, as a header may */
#define RPC_CARRY_ENTRIES 256u         /* of its map */
#define RPC_BASE_FIELD    255          /* by convention: Base in requests, BaseResp in results */

/* Keys of a carrier's map for facts without a field. */
#define RPC_CARRY_CALLER_METHOD "source-method"
#define RPC_CARRY_SERVICE       "destination-service" /* whom the call was for */
#define RPC_CARRY_METHOD        "destination-method"
#define RPC_CARRY_DEADLINE      "rpc-deadline" /* Unix time in ms, decimal */
/* And in an argument, which has no fields. */
#define RPC_CARRY_LOG_ID "stream-log-id"
#define RPC_CARRY_CALLER "source-service"
#define RPC_CARRY_ADDR   "rip"

enum rpc_carrier_type { RPC_CARRIER_NONE, RPC_CARRIER_BASE, RPC_CARRIER_ARGUMENT };

/*
 * What becomes of a carrier that the call has already. Changes that the edit asks for hold whatever
 * the merge but KEEP. One that says whom it was for (RPC_CARRY_SERVICE, RPC_CARRY_METHOD), and it
 * is not whom this call is for, or another caller, was written for an earlier hop: unless it is to
 * be kept, its facts and the transient values that were for that hop alone go, and what we know
 * stands in place of what it says.
 */
enum rpc_merge {
	RPC_MERGE_FILL,    /* what is missing or empty in it is added */
	RPC_MERGE_KEEP,    /* nothing is touched, ever */
	RPC_MERGE_REPLACE, /* what we know stands in place of what it says; the rest stays */
};

struct rpc_carrier {
	enum rpc_carrier_type type;
	int16_t id; /* ARGUMENT: of the argument */
	enum rpc_merge merge;
	struct slice service; /* for rpc_lift: whom all calls are for, when that is known */
};

/* Facts of a call that are the proxy's to say; empty: not known. */
struct rpc_carry_facts {
	struct slice log_id, caller, caller_method, address;
	struct slice service, method; /* who is called */
	uint64_t deadline_ms;         /* Unix time; 0: none was stated */
	/* Caller, its method and its address are not the caller's to say: what a carrier says of
	 * them, and the ACL token in it, goes, whatever is known in their place. */
	bool is_attested;
	const struct rpc_reserved *reserved; /* so go these names (rpc/attest.h); borrowed */
	size_t n_reserved;
};

/* Why a body was passed on as it came. */
enum rpc_uncarried {
	RPC_CARRIED,
	RPC_UNCARRIED_PAYLOAD, /* not Thrift, a stream, or compressed */
	RPC_UNCARRIED_LONG,    /* not here as a whole: longer than retry.buffer */
	RPC_UNCARRIED_SHAPE,   /* no struct in field 1, a field twice, or one of another type */
	RPC_UNCARRIED_SIZE,    /* the carrier would be longer, or have more entries, than it may */
	RPC_UNCARRIED_KEPT, /* it has one, which is to stay, or says all of it: nothing is wrong */
	RPC_UNCARRIED,
};

/* The word for it in metrics: "payload", "long", ...; NULL for those that are no loss. */
const char *rpc_uncarried_name(enum rpc_uncarried why);

/*
 * Works out the edit that puts metadata into the body of @m, which is here as a whole: entries of
 * its transport header (or what was lifted into it) as @edit changes them, and @facts. *splice is
 * filled; its bytes lie in @arena, its places count from the beginning of m->body. The body is not
 * touched. @m of a gRPC call is its one message, without the prefix. edit->dropped counts what has
 * no place in a carrier (int keys), as head_write does for forms without a header, which then
 * counts nothing itself.
 */
enum rpc_uncarried rpc_carry(const struct rpc_message *m, struct rpc_edit *edit,
    const struct rpc_carrier *carrier, const struct rpc_carry_facts *facts, struct arena *arena,
    struct rpc_splice *splice);

/*
 * Reads the carrier of a PLAIN call that is here as a whole, and fills what such a call lacks:
 * caller, caller_method, log_id, trace_id, timeout (from the deadline, at @now_ms; at least 1 ms),
 * and `sections`, in the encoding of a TTHeader, all of it in @arena, with the mark RPC_IS_LIFTED:
 * so rules and writers of other forms find metadata where they find a header's. The body stays as
 * it is. False: it has none, or it is not understood; @m is as before.
 *
 * A carrier that says whom it was for (RPC_CARRY_SERVICE), and that is not this very call, was
 * handed through by that application: it is the caller now, the method it was called by the
 * caller's method, and transient values, which were for it alone, stay behind (not those of
 * traces).
 */
bool rpc_lift(
    struct rpc_message *m, const struct rpc_carrier *carrier, uint64_t now_ms, struct arena *arena);

/*
 * Reads BaseResp of a Thrift reply that is here as a whole: field 255 of the struct that is field 0
 * of the result,
 *     1: string StatusMessage, 2: i32 StatusCode, 3: map<string,string> Extra
 * A code other than 0 is a business error: RPC_HAS_BIZ and RPC_BIZ_IN_BODY, biz_status, biz_message
 * and biz_extra (JSON) are set, in @arena, unless the reply's header tells of one
 * already. True: it is one.
 */
bool rpc_note_base_resp(struct rpc_message *reply, struct arena *arena);

#endif
