/* Messages of gRPC in DATA frames, whatever frames they are cut into; and DATA that is none of
 * gRPC. */
#include "base/cursor.h"
#include "ctl/dump_h2.h"
#include "wire/grpc.h"

/* ---- DATA ---- */

static void show_grpc_message(
    struct h2_lane *h, const struct dump_call *call, struct dump_flow *flow)
{
	struct dump_message m = h2_message(h, call->id, "message", call);

	m.bytes = GRPC_PREFIX + (uint64_t)flow->length;
	m.payload_bytes = flow->length;
	m.missing = flow->missing;
	m.body = h2_bytes(&flow->kept);
	m.is_thrift = flow->is_thrift && flow->prefix[0] == 0;
	m.payload = flow->is_thrift ? "thrift" : "protobuf";
	if (flow->prefix[0] == 1)
		dump_add_detail(&m, "compressed");
	else if (flow->prefix[0])
		m.problem = "its prefix is none of gRPC's";
	h2_show(h, &m);
	dump_flow_reset(&h->lane->conn->calls, flow);
	flow->count++;
}

static void take_grpc(
    struct h2_lane *h, const struct dump_call *call, struct dump_flow *flow, struct slice bytes)
{
	while (bytes.len && !flow->is_broken) {
		struct slice piece;

		if (flow->n_prefix < GRPC_PREFIX) {
			flow->prefix[flow->n_prefix++] = bytes.data[0];
			bytes = slice_from(bytes, 1);
			if (flow->n_prefix < GRPC_PREFIX)
				continue;
			flow->length = flow->left = load_u32(flow->prefix + 1);
		}
		piece = slice_first(bytes, flow->left);
		dump_flow_keep(&h->lane->conn->calls, flow, piece, h->lane->conn->dump->body_kept);
		flow->left -= (uint32_t)piece.len;
		bytes = slice_from(bytes, piece.len);
		if (flow->left == 0)
			show_grpc_message(h, call, flow);
	}
}

void h2_take_data(struct h2_lane *h, struct slice bytes)
{
	struct dump_call *call = h2_find_call(h, h->stream);
	struct dump_flow *flow = call ? &call->flows[h->lane->side] : NULL;

	if (flow && flow->is_grpc && !flow->is_over)
		take_grpc(h, call, flow, bytes);
}

/* The frame has ended. */
void h2_end_data(struct h2_lane *h)
{
	struct dump_call *call = h2_find_call(h, h->stream);
	bool is_end = h->flags & H2_END_STREAM;

	if (call == NULL || !call->flows[h->lane->side].is_grpc) {
		struct dump_message m = h2_message(h, h->stream, "data", call);

		m.protocol = "http2";
		m.bytes = m.payload_bytes = h->length;
		if (is_end)
			dump_add_detail(&m, "end of stream");
		if (is_end && call)
			h2_set_latency(h, call, &m);
		h2_show(h, &m);
	}
	if (is_end && call)
		h2_end_flow(h, call);
}

/* Bytes of DATA that were not captured. */
void h2_miss_data(struct h2_lane *h, uint32_t n)
{
	struct dump_call *call = h2_find_call(h, h->stream);
	struct dump_flow *flow = call ? &call->flows[h->lane->side] : NULL;

	if (flow == NULL || !flow->is_grpc)
		return;
	if (flow->n_prefix < GRPC_PREFIX || n > flow->left) {
		flow->is_broken = true;
		dump_flow_reset(&h->lane->conn->calls, flow);
		return;
	}
	flow->left -= n;
	flow->missing += n;
	if (flow->left == 0)
		show_grpc_message(h, call, flow);
}
