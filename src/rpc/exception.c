#include "rpc/exception.h"

#include "base/utf8.h"
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

/* Kitex has no type of its own for it, only words. Source: kitex pkg/kerrors/kerrors.go,
 * ErrOverlimit and pkg/remote/trans_errors.go. */
static bool tells_of_overload(struct slice text, int32_t id)
{
	static const char words[] = "request over limit";

	return id == EXCEPTION_INTERNAL && text.len &&
	       memmem(text.data, text.len, words, sizeof words - 1) != NULL;
}

bool rpc_is_overload(const struct rpc_message *reply)
{
	struct slice text;
	int32_t id;

	if (reply->marks & RPC_HAS_OVERLOAD)
		return true;
	if (reply->form.transport == RPC_HTTP2 && reply->kind != RPC_EXCEPTION)
		return reply->status == GRPC_RESOURCE_EXHAUSTED;
	return exception_read(reply, &text, &id) && tells_of_overload(text, id);
}

bool rpc_biz_code(const struct rpc_message *reply, int32_t *code)
{
	bool has_sign = slice_starts(reply->biz_status, SLICE_LIT("-")) ||
			slice_starts(reply->biz_status, SLICE_LIT("+"));
	uint64_t value;

	if (!(reply->marks & RPC_HAS_BIZ)) /* the mark vouches that it is an i32 */
		return false;
	if (!slice_to_u64(slice_from(reply->biz_status, has_sign), &value))
		return false;
	*code = reply->biz_status.data[0] == '-' ? (int32_t) - (int64_t)value : (int32_t)value;
	return true;
}

struct slice exception_cut(struct slice text, size_t len)
{
	if (text.len <= len)
		return text;
	while (len && (text.data[len] & 0xc0) == 0x80)
		len--;
	return slice_first(text, len);
}

void exception_make_utf8(uint8_t *text, size_t len)
{
	size_t at = 0;

	while (at < len) {
		uint32_t code;
		size_t n = utf8_take(slice_of(text + at, len - at), &code);

		if (n == 0) {
			text[at] = '?';
			n = 1;
		}
		at += n;
	}
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
		return rpc_header_tells_biz(reply) ? GRPC_INTERNAL : GRPC_OK;
	exception_read(reply, &text, &id); /* one that cannot be read is internal, too */
	return exception_grpc_status(id);
}

int32_t exception_id_of(uint32_t grpc_status)
{
	return grpc_status == GRPC_UNIMPLEMENTED ? EXCEPTION_UNKNOWN_METHOD : EXCEPTION_INTERNAL;
}
