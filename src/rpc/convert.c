/*
 * Whole gRPC calls and replies as unary ones: what HTTP/2 spreads over blocks and prefixed messages
 * comes into one message, whose head head_write makes in the form that is wanted. The way there and
 * back of metadata is metadata.c's.
 */
#include "rpc/codec.h"
#include "rpc/exception.h"
#include "wire/grpc.h"
#include "wire/thrift.h"

bool codec_can_convert(struct rpc_form from, struct rpc_form to)
{
	if (from.payload != to.payload)
		return false;
	if (to.transport == RPC_MESH && from.transport != RPC_MESH)
		return false; /* nobody writes them any more */
	if (from.transport == RPC_TTSTREAM || to.transport == RPC_TTSTREAM ||
	    from.payload == RPC_OPAQUE)
		return from.transport == to.transport;
	return to.transport == RPC_HTTP2 || to.payload == RPC_THRIFT || to.framed;
}

/* A struct that ends early would let what stands behind it pass for another message. */
static bool is_exact_struct(struct slice body)
{
	struct thrift_walk walk;
	struct wire_note note;
	size_t used;

	thrift_walk_init(&walk);
	return thrift_walk(&walk, body, &used, &note) == WIRE_OK && used == body.len;
}

/* Takes the prefix off a body of one message. */
static const char *unwrap(struct rpc_message *m)
{
	struct slice message = slice_from(m->body, GRPC_PREFIX);

	if (m->body.len == 0)
		return "it has no message";
	if (m->body.len < GRPC_PREFIX || m->body.data[0] > 1)
		return "it is no gRPC message";
	if (m->body.data[0])
		return "its message is compressed";
	if (load_u32(m->body.data + 1) > message.len)
		return "its message is cut short";
	if (load_u32(m->body.data + 1) < message.len)
		return "it has more than one message";
	if (m->form.payload == RPC_THRIFT && !is_exact_struct(message))
		return "its message is no Thrift struct";
	m->body = message;
	m->body_len = message.len;
	m->complete = true;
	return NULL;
}

const char *rpc_call_from_grpc(struct rpc_message *call)
{
	const char *why = unwrap(call);

	if (why == NULL)
		call->seq = call->transport_seq = 1; /* HTTP/2 numbers its streams instead */
	return why;
}

/* ---- replies ---- */

/* The fields of both blocks in one list: a reply of another form has one header. */
static void join_fields(
    struct rpc_message *reply, const struct rpc_message *trailers, struct arena *arena)
{
	unsigned n = reply->n_fields + trailers->n_fields;
	struct rpc_field *fields = arena_alloc(arena, n * sizeof *fields);

	if (reply->n_fields)
		memcpy(fields, reply->fields, reply->n_fields * sizeof *fields);
	for (unsigned i = 0; i < trailers->n_fields; i++) {
		struct rpc_field *field = &fields[reply->n_fields + i];

		*field = trailers->fields[i];
		field->name = arena_copy(arena, field->name);
		field->value = arena_copy(arena, field->value);
	}
	reply->fields = fields;
	reply->n_fields = n;
}

static struct slice decoded(struct slice text, struct arena *arena)
{
	uint8_t *room = arena_alloc(arena, text.len);
	struct writer w = writer_of(room, text.len);

	grpc_message_decode(&w, text);
	exception_make_utf8(room, writer_len(&w));
	return writer_slice(&w);
}

/* An empty struct, of which Protobuf says nothing at all. Source: kitex
 * pkg/remote/codec/thrift/thrift.go, protobuf/protobuf.go: results without a value. */
static void set_empty_result(struct rpc_message *reply)
{
	static const uint8_t stop = 0;

	reply->body = slice_of(&stop, reply->form.payload == RPC_THRIFT);
	reply->body_len = reply->body.len;
	reply->complete = true;
}

static void become_biz_error(struct rpc_message *reply, const struct rpc_message *end,
    struct slice text, struct arena *arena)
{
	reply->kind = RPC_REPLY;
	reply->marks |= RPC_HAS_BIZ;
	reply->biz_status = arena_copy(arena, end->biz_status);
	reply->biz_message = text;
	set_empty_result(reply);
}

static void become_exception(
    struct rpc_message *reply, uint32_t status, struct slice text, struct arena *arena)
{
	if (text.len == 0)
		text = slice_str(arena_printf(arena, "grpc-status %u", status));
	reply->kind = RPC_EXCEPTION;
	reply->marks |= status == GRPC_RESOURCE_EXHAUSTED ? RPC_HAS_OVERLOAD : 0;
	reply->status = exception_id_of(status);
	reply->status_text = text;
	reply->body = SLICE_NONE;
	reply->body_len = 0;
	reply->complete = true;
}

/* A reply that no gRPC server gave: what its HTTP status stands for. */
static const char *become_http_error(struct rpc_message *reply, struct arena *arena)
{
	unsigned status = reply->http_status;

	if (status == 200)
		return "it has no grpc-status";
	become_exception(reply, grpc_status_of_http(status),
	    slice_str(arena_printf(arena, "HTTP status %u without a grpc-status", status)), arena);
	return NULL;
}

const char *rpc_reply_from_grpc(
    struct rpc_message *reply, const struct rpc_message *trailers, struct arena *arena)
{
	const struct rpc_message *end = trailers ? trailers : reply;
	bool is_biz = end->marks & RPC_HAS_BIZ;
	int64_t status = end->status;
	struct slice text;

	reply->transport_seq = reply->seq;
	reply->marks &= ~(unsigned)RPC_HAS_BIZ;
	if (status == RPC_STATUS_NONE)
		return become_http_error(reply, arena);
	text = decoded(end->status_text, arena);
	if (trailers)
		join_fields(reply, trailers, arena);
	if (status != GRPC_OK && is_biz) {
		become_biz_error(reply, end, text, arena);
		return NULL;
	}
	if (status != GRPC_OK) {
		become_exception(reply, (uint32_t)status, text, arena);
		return NULL;
	}
	reply->kind = RPC_REPLY;
	return unwrap(reply);
}
