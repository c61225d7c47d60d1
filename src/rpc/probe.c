#include "rpc/probe.h"

#include "base/cursor.h"
#include "wire/grpc.h"
#include "wire/thrift.h"

#define PROBE_SEQ 1

/* grpc.health.v1: HealthCheckRequest.service and HealthCheckResponse.status are fields 1.
 * Source: grpc/health/v1/health.proto. */
#define FIELD_SERVICE 0x0au /* a string */
#define FIELD_STATUS  0x08u /* a varint */
#define SERVING       1u

/* The same head in Thrift and in Kitex Protobuf but for its magic. */
static void fill(struct rpc_probe *p, enum rpc_payload payload, uint16_t magic, struct slice method)
{
	struct writer w = writer_of(p->head, sizeof p->head);

	method = slice_first(method, RPC_PROBE_NAME_MAX);
	thrift_head_write(&w, magic, THRIFT_CALL, method, PROBE_SEQ);
	p->message = (struct rpc_message){
	    .form = {RPC_PLAIN, payload, false},
	    .kind = RPC_CALL,
	    .seq = PROBE_SEQ,
	    .transport_seq = PROBE_SEQ,
	    .timeout = USEC_NONE,
	    .status = RPC_STATUS_NONE,
	    .head = writer_slice(&w),
	    .complete = true,
	};
	/* Behind the magic, the type and the length. */
	p->message.method = slice_sub(p->message.head, 8, method.len);
}

static void set_body(struct rpc_probe *p, size_t len)
{
	p->message.body = slice_of(p->body, len);
	p->message.body_len = len;
}

void rpc_probe_thrift(struct rpc_probe *p, struct slice method)
{
	fill(p, RPC_THRIFT, THRIFT_MAGIC, method);
	p->body[0] = 0; /* a struct of no fields */
	set_body(p, 1);
}

void rpc_probe_grpc(struct rpc_probe *p, struct slice service)
{
	struct writer w = writer_of(p->body, sizeof p->body);

	fill(p, RPC_KITEXPB, KITEXPB_MAGIC, SLICE_LIT("Check"));
	p->message.idl_service = SLICE_LIT("grpc.health.v1.Health");
	service = slice_first(service, RPC_PROBE_NAME_MAX);
	if (service.len) {
		write_u8(&w, FIELD_SERVICE);
		if (service.len > 0x7f) /* a varint of two bytes */
			write_u8(&w, (uint8_t)(service.len | 0x80));
		write_u8(&w, (uint8_t)(service.len > 0x7f ? service.len >> 7 : service.len));
		write_bytes(&w, service);
	}
	set_body(p, writer_len(&w));
}

/* A small message of one enum: whatever else is in it says that it is another answer. */
bool rpc_probe_is_serving(struct slice body)
{
	struct cursor c = cursor_of(body);

	if (cursor_u8(&c) != 0) /* compressed, which nobody asked for */
		return false;
	if (cursor_u32(&c) != cursor_left(&c) || c.bad)
		return false;
	return cursor_u8(&c) == FIELD_STATUS && cursor_u8(&c) == SERVING && !c.bad;
}
