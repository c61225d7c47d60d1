#include "rpc/header_seen.h"

#include "rpc/head.h"

struct rpc_form rpc_seen_form(const struct rpc_message *call)
{
	return (struct rpc_form){RPC_TTHEADER, call->form.payload, true};
}

static bool has_header_to_be(const struct rpc_message *call)
{
	return call->form.transport != RPC_TTSTREAM && call->form.payload != RPC_OPAQUE;
}

bool rpc_see_header(const struct rpc_message *call, struct rpc_edit *edit, struct arena *arena,
    struct rpc_message *seen)
{
	const struct codec_limits limits = {
	    .max_message = UINT64_MAX, .max_header = UINT64_MAX, .protocols = ~0u};
	struct rpc_message bare = *call;
	struct head_refusal refusal;
	struct writer w;
	size_t bound, need;

	if (!has_header_to_be(call))
		return false;
	bare.body = SLICE_NONE;
	bare.body_len = 0;
	bare.complete = true;
	bound = head_write_bound(&bare, edit);
	w = writer_of(arena_alloc(arena, bound), bound);
	head_write(&w, &bare, edit);
	return !w.bad && head_read(CODEC_DOWNSTREAM, &limits, writer_slice(&w), seen, &need,
			     &refusal) == WIRE_OK;
}
