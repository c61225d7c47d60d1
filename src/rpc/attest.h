/*
 * What the caller of a listener may not say is taken out of its message, in whatever form it came,
 * and what the proxy knows stands in its place, once: the message becomes what an honest caller
 * would have sent. Rules, logs and every form it may go on in see that one alone. All other entries
 * keep their bytes and their order. Who has to be believed is not known here.
 */
#ifndef BRIDLE_RPC_ATTEST_H
#define BRIDLE_RPC_ATTEST_H

#include "rpc/codec.h"

/* Names that no caller may use: those that begin so, or that one. Case is folded, `-` is `_`. */
struct rpc_reserved {
	/* META: however far it travels, the ACL token too; HEADER: what has no place of its own in
	 * a message; INT. */
	enum rpc_change_kind kind;
	struct slice name; /* META, HEADER */
	uint16_t number;   /* INT */
	bool is_prefix;
};

struct rpc_attestation {
	/* The caller, its method, its address (rip) and the ACL token are not the caller's to
	 * say. */
	bool is_identity;
	/* What stands in their place; empty: nothing. The address only where one was stated, and
	 * only in a transport header that has room for it. */
	struct slice caller, caller_method, address;
	const struct rpc_reserved *reserved; /* borrowed */
	size_t n_reserved;
};

/* May a caller state a value under this str key? A body's maps have them, too (rpc/carry). */
bool rpc_may_be_stated(const struct rpc_attestation *as, struct slice key);
/* Nothing would become of rpc_attest: cheap. */
bool rpc_is_attested(const struct rpc_message *m, const struct rpc_attestation *as);

/*
 * Changes a call, or the trailers of one, whose head was kept: what is made lies in @arena. A new
 * head takes no more than the old one, the known values and 64 bytes. @dropped, by enum
 * rpc_dropped, counts what was taken out. False: its header has no room; it is as it was.
 */
bool rpc_attest(struct rpc_message *m, const struct rpc_attestation *as, struct arena *arena,
    unsigned dropped[RPC_DROPPED_CLASSES]);

#endif
