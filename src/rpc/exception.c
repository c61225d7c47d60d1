#include "rpc/exception.h"

#include "rpc/codec.h"
#include "wire/grpc.h"
#include "wire/kitexpb.h"
#include "wire/thrift.h"

void exception_write(struct writer *w, enum rpc_payload payload, struct slice text, int32_t id)
{
	if (payload == RPC_KITEXPB)
		kitexpb_error_write(w, text, id);
	else
		thrift_exception_write(w, text, id);
}

bool exception_read(const struct rpc_message *m, struct slice *text, int32_t *id)
{
	if (m->kind != RPC_EXCEPTION || !m->complete)
		return false;
	if (m->form.transport == RPC_HTTP2) {
		*text = m->status_text;
		*id = (int32_t)m->status;
		return true;
	}
	if (m->form.payload == RPC_KITEXPB)
		return kitexpb_error_read(m->body, text, id);
	return thrift_exception_read(m->body, text, id);
}

int32_t codec_exception_id(const struct rpc_message *m)
{
	struct slice text;
	int32_t id;

	return exception_read(m, &text, &id) ? id : -1;
}

struct slice exception_cut(struct slice text, size_t len)
{
	if (text.len <= len)
		return text;
	while (len && (text.data[len] & 0xc0) == 0x80)
		len--;
	return slice_first(text, len);
}

uint32_t exception_grpc_status(int32_t id)
{
	if (id == EXCEPTION_UNKNOWN_METHOD || id == EXCEPTION_UNKNOWN_SERVICE)
		return GRPC_UNIMPLEMENTED;
	return GRPC_INTERNAL;
}

unsigned rpc_grpc_status_of(const struct rpc_message *reply)
{
	struct slice text;
	int32_t id = EXCEPTION_INTERNAL;

	if (reply->kind == RPC_REPLY)
		return reply->marks & RPC_HAS_BIZ ? GRPC_INTERNAL : GRPC_OK;
	exception_read(reply, &text, &id); /* one that cannot be read is internal, too */
	return exception_grpc_status(id);
}

int32_t exception_id_of(uint32_t grpc_status)
{
	return grpc_status == GRPC_UNIMPLEMENTED ? EXCEPTION_UNKNOWN_METHOD : EXCEPTION_INTERNAL;
}
