#include "proxy/carriage.h"

#include "net/loop.h"
#include "proxy/attempt.h"
#include "proxy/call.h"
#include "proxy/identity.h"
#include "proxy/world.h"
#include "rpc/carry.h"
#include "rpc/facts.h"

/* Where metadata of the service's calls travel in their bodies, if they do. */
static struct rpc_carrier carrier_of(const struct metadata_config *metadata)
{
	static const enum rpc_merge merges[] = {
	    [METADATA_FILL] = RPC_MERGE_FILL,
	    [METADATA_KEEP] = RPC_MERGE_KEEP,
	    [METADATA_REPLACE] = RPC_MERGE_REPLACE,
	};
	struct rpc_carrier carrier = {.merge = merges[metadata->merge], .id = metadata->field};

	if (metadata->type == METADATA_BASE255)
		carrier.type = RPC_CARRIER_BASE;
	else if (metadata->type == METADATA_ARGFIELD)
		carrier.type = RPC_CARRIER_ARGUMENT;
	return carrier;
}

static const struct metadata_config *service_metadata(const struct call *call)
{
	return &call->service->service->config->metadata;
}

bool carriage_may_bring(const struct call *call)
{
	const struct rpc_message *m = &call->request;

	return m->form.transport == RPC_PLAIN && m->form.payload == RPC_THRIFT &&
	       !(m->marks & RPC_IS_LIFTED) &&
	       metadata_is_in_body(config_callers_metadata(call->listener));
}

/* gRPC has room for metadata of its own, and so has a stream. */
bool carriage_gives(const struct call *call)
{
	return call->service && metadata_is_in_body(service_metadata(call)) &&
	       !rpc_form_is_multiplexed(call->target);
}

/* Also where all of it came at once: what becomes of a call depends on its length alone. */
static bool is_too_long(const struct call *call)
{
	const struct rpc_message *m = &call->request;

	return m->form.payload == RPC_THRIFT && m->body.len > call->policy->retry.buffer;
}

/* What is left counts from the first byte of the call on, as a time that is stated does; that of
 * the call that it belongs to holds all the same. */
static void bound_time(struct rpc_message *m, usec_t waited, usec_t before)
{
	m->timeout = usec_min(usec_after(m->timeout, waited), before);
}

bool carriage_lift(struct call *call)
{
	struct rpc_message *m = &call->request;
	struct loop *loop = call->worker->loop;
	struct rpc_carrier carrier;
	usec_t before = m->timeout;

	if (!carriage_may_bring(call) || !m->complete || (call->policy && is_too_long(call)))
		return false;
	if (!call_charge(call, m->body.len)) /* what is lifted is no longer */
		return false;
	carrier = carrier_of(config_callers_metadata(call->listener));
	if (call->listener->service)
		carrier.service = slice_str(call->listener->service->name);
	if (!rpc_lift(m, &carrier, loop_calendar(loop) / USEC_MS, &call->arena))
		return false;
	bound_time(m, loop_now(loop) - call->started, before);
	return true;
}

bool carriage_wants_body(const struct call *call)
{
	const struct rpc_message *m = &call->request;

	if (m->complete || call->is_stream || m->form.payload != RPC_THRIFT)
		return false;
	return (carriage_may_bring(call) || carriage_gives(call)) &&
	       (m->body_len <= call->policy->retry.buffer || m->body_len == RPC_LENGTH_UNKNOWN);
}

static void count(struct call *call, enum rpc_uncarried why)
{
	if (rpc_uncarried_name(why))
		counter_add(&call->worker->metadata_unedited[why], 1);
}

/* The same time as a new TTHeader says, as a point in it. */
static uint64_t deadline_ms(const struct call *call)
{
	struct loop *loop = call->worker->loop;
	uint64_t rest = deadline_rest_ms(&call->deadline, loop_now(loop));

	return rest ? loop_calendar(loop) / USEC_MS + rest : 0;
}

/* As an application that reads a header finds it there. */
static struct slice address_of(const struct call *call)
{
	struct slice stated;

	if (!call->listener->caller_address_set && call->request.marks & RPC_HAS_RIP &&
	    rpc_find_header(&call->request, SLICE_LIT("rip"), &stated) && stated.len)
		return stated;
	return slice_str(call->source);
}

void carriage_edit(struct call *call, struct rpc_edit *edit)
{
	struct rpc_carrier carrier;
	struct rpc_carry_facts facts;
	struct rpc_splice *splice;
	enum rpc_uncarried why;

	if (!carriage_gives(call))
		return;
	carrier = carrier_of(service_metadata(call));
	facts = (struct rpc_carry_facts){
	    .log_id = call_log_id(call),
	    .caller = call->caller,
	    .caller_method = call->request.caller_method,
	    .address = address_of(call),
	    .service = call->service->service->name,
	    .method = call->request.method,
	    .deadline_ms = deadline_ms(call),
	    .is_attested = call->listener->caller != CALLER_AS_STATED,
	    .reserved = identity_reserved(call),
	    .n_reserved = call->listener->n_reserved,
	};
	splice = arena_alloc(&call->arena, sizeof *splice);
	why = is_too_long(call)
		  ? RPC_UNCARRIED_LONG
		  : rpc_carry(&call->request, edit, &carrier, &facts, &call->arena, splice);
	if (why == RPC_CARRIED && !call_charge(call, splice->with.len))
		why = RPC_UNCARRIED_SIZE;
	if (why == RPC_CARRIED)
		edit->splice = splice;
	else
		count(call, why);
}

bool carriage_reads_replies(const struct call *call)
{
	return call->service && service_metadata(call)->type == METADATA_BASE255;
}

void carriage_note_reply(struct call *call, struct rpc_message *m)
{
	if (m->kind == RPC_REPLY && m->complete && m->form.payload == RPC_THRIFT &&
	    !rpc_form_is_multiplexed(m->form))
		rpc_note_base_resp(m, &call->arena);
}
