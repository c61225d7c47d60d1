#include "proxy/identity.h"

#include <string.h>

#include "proxy/access.h"
#include "proxy/call.h"
#include "proxy/downstream.h"
#include "proxy/world.h"
#include "rpc/attest.h"

static bool may_say_all(const struct listener_config *l)
{
	return l->caller == CALLER_AS_STATED;
}

/* A process at the other end of a unix socket has no address, unless it is to have one. */
static struct slice address_of(const struct call *call)
{
	struct slice source = slice_str(call->source);
	bool is_named = slice_starts(source, SLICE_LIT("unix:"));

	return is_named && !call->listener->caller_address_set ? SLICE_NONE : source;
}

static bool has_rules(const struct listener_config *l)
{
	return !may_say_all(l) || l->n_reserved;
}

const struct rpc_reserved *identity_reserved(struct call *call)
{
	static const enum rpc_change_kind kinds[] = {
	    [FACT_META] = RPC_CHANGE_META,
	    [FACT_HEADER] = RPC_CHANGE_HEADER,
	    [FACT_INT] = RPC_CHANGE_INT,
	};
	const struct listener_config *l = call->listener;
	struct rpc_reserved *reserved;

	if (l->n_reserved == 0)
		return NULL;
	reserved = arena_alloc(&call->arena, l->n_reserved * sizeof *reserved);
	for (size_t i = 0; i < l->n_reserved; i++) {
		const struct fact_key *key = &l->reserved[i].key;

		reserved[i] = (struct rpc_reserved){
		    kinds[key->kind], key->name, key->number, l->reserved[i].is_prefix};
	}
	return reserved;
}

static void describe(struct call *call, struct rpc_attestation *as)
{
	*as = (struct rpc_attestation){.is_identity = !may_say_all(call->listener),
	    .reserved = identity_reserved(call),
	    .n_reserved = call->listener->n_reserved};
}

/* False: the call has failed. */
static bool attest(struct call *call, struct rpc_message *m, const struct rpc_attestation *as)
{
	unsigned dropped[RPC_DROPPED_CLASSES] = {0};

	if (rpc_is_attested(m, as))
		return true;
	if (!call_charge(call, call_head_size(m))) {
		call_fail(call, REASON_OVERLOAD, "no memory for the head (limits.memory)");
		return false;
	}
	if (!rpc_attest(m, as, &call->arena, dropped)) {
		call_fail(call, REASON_TOO_LARGE, "its header has no room for who calls");
		return false;
	}
	worker_count_dropped(call->worker, dropped);
	return true;
}

/* Who is gone cannot be asked again; he was, when his call began. */
static struct slice caller_of_call(const struct call *call)
{
	struct slice stated = call->request.caller;
	bool replaced;

	if (call->downstream)
		return access_caller(
		    call->downstream, call->world->snapshot->config, stated, &replaced);
	return stated.len && may_say_all(call->listener) ? stated : call->caller;
}

bool identity_establish(struct call *call)
{
	struct rpc_message *m = &call->request;
	struct rpc_attestation as;

	call->caller = caller_of_call(call);
	if (!has_rules(call->listener))
		return true;
	describe(call, &as);
	if (as.is_identity) {
		as.caller = call->caller;
		as.address = address_of(call);
	}
	if (!attest(call, m, &as))
		return false;
	if (as.is_identity)
		call->caller = m->caller; /* it stays as long as the message */
	return true;
}

bool identity_check_trailers(struct call *call, struct rpc_message *trailers)
{
	struct rpc_attestation as;

	if (!has_rules(call->listener))
		return true;
	describe(call, &as);
	return attest(call, trailers, &as);
}
