#include "rpc/head_write.h"

#include "rpc/changes.h"
#include "wire/thrift.h"
#include "wire/ttheader.h"

#define HEAD_FIXED 12u /* of a message head: all but the method */

/* Of a new TTHeader: its fixed part, the keys that are always there, the lengths of all the
 * others. */
#define NEW_HEADER_ROOM 256u
#define FIELD_EXTRA     16u /* a field as a str key: two lengths, and a prefix that it may gain */

/* Empty where the message came without one. */
static struct slice message_head(const struct rpc_message *m)
{
	return m->form.transport == RPC_HTTP2 ? SLICE_NONE : slice_from(m->head, m->message_at);
}

static size_t message_head_len(const struct rpc_message *m)
{
	return m->form.transport == RPC_HTTP2 ? HEAD_FIXED + m->method.len : message_head(m).len;
}

static bool is_renumbered(const struct rpc_message *m, const struct rpc_edit *edit)
{
	return edit->renumber && edit->seq != m->seq;
}

bool head_payload_is_changed(const struct rpc_message *m, const struct rpc_edit *edit)
{
	return edit->form.framed != m->form.framed || is_renumbered(m, edit) || edit->splice;
}

bool head_is_changed(const struct rpc_message *m, const struct rpc_edit *edit)
{
	if (!rpc_form_eq(m->form, edit->form) || is_renumbered(m, edit) ||
	    changes_are_asked(edit) || edit->splice)
		return true;
	if (m->form.transport == RPC_MESH)
		return head_mesh_is_edited(m, edit);
	return m->form.transport == RPC_TTHEADER && head_is_edited(m, edit);
}

size_t head_write_bound(const struct rpc_message *m, const struct rpc_edit *edit)
{
	size_t fields = m->marks & RPC_IS_LIFTED ? m->sections.len : 0; /* else within the head */

	for (unsigned i = 0; i < m->n_fields; i++)
		fields += m->fields[i].name.len + m->fields[i].value.len + FIELD_EXTRA;
	return m->head.len + fields + 2 * m->method.len + m->idl_service.len + m->caller.len +
	       m->caller_method.len + m->service_asked.len + m->log_id.len + m->biz_status.len +
	       m->biz_message.len + m->biz_extra.len + edit->caller.len + edit->rip.len +
	       edit->service.len + edit->idl_service.len + edit->log_id.len +
	       (changes_are_asked(edit) ? changes_bound(edit) : 0) + NEW_HEADER_ROOM;
}

/* RPC_LENGTH_UNKNOWN, which no field of a format holds, when nobody knows yet. */
static uint64_t body_len(const struct rpc_message *m, const struct rpc_edit *edit)
{
	return edit->splice ? m->body_len - edit->splice->cut + edit->splice->with.len
			    : m->body_len;
}

uint64_t head_payload_len(const struct rpc_message *m, const struct rpc_edit *edit)
{
	uint64_t len = body_len(m, edit);

	if (len == RPC_LENGTH_UNKNOWN)
		return RPC_LENGTH_UNKNOWN;
	return (edit->form.framed ? 4 : 0) + message_head_len(m) + len;
}

int head_body_pieces(
    const struct rpc_message *m, const struct rpc_edit *edit, struct slice pieces[BODY_PIECES])
{
	const struct rpc_splice *s = edit->splice;

	pieces[0] = m->body;
	if (s == NULL)
		return 1;
	pieces[0] = slice_first(m->body, s->at);
	pieces[1] = s->with;
	pieces[2] = slice_from(m->body, s->at + s->cut);
	return BODY_PIECES;
}

struct slice head_decimal(char *room, size_t size, uint64_t n)
{
	size_t at = size;

	do {
		room[--at] = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	return slice_of(room + at, size - at);
}

static enum thrift_type type_of(enum rpc_kind kind)
{
	switch (kind) {
	case RPC_CALL:
		return THRIFT_CALL;
	case RPC_ONEWAY:
		return THRIFT_ONEWAY;
	case RPC_REPLY:
		return THRIFT_REPLY;
	case RPC_EXCEPTION:
	case RPC_INTERIM:
	case RPC_TRAILERS:
		break;
	}
	return THRIFT_EXCEPTION;
}

static uint16_t magic_of(enum rpc_payload payload)
{
	return payload == RPC_KITEXPB ? KITEXPB_MAGIC : THRIFT_MAGIC;
}

void head_write_payload(struct writer *w, const struct rpc_message *m, const struct rpc_edit *edit)
{
	struct slice head = message_head(m);
	int32_t seq = edit->renumber ? edit->seq : m->seq;

	if (edit->form.framed) {
		uint64_t len = message_head_len(m), body = body_len(m, edit);

		/* So is an unknown length: a frame cannot begin before its end is known. */
		w->bad |= body > UINT32_MAX - len;
		write_u32(w, (uint32_t)(len + body));
	}
	if (m->form.transport == RPC_HTTP2) {
		thrift_head_write(
		    w, magic_of(edit->form.payload), type_of(m->kind), m->method, seq);
		return;
	}
	if (!edit->renumber) {
		write_bytes(w, head);
		return;
	}
	write_bytes(w, slice_first(head, head.len - 4));
	write_u32(w, (uint32_t)seq);
}

void head_write(struct writer *w, const struct rpc_message *m, struct rpc_edit *edit)
{
	if (edit->form.transport == RPC_TTHEADER && m->form.transport == RPC_TTHEADER)
		head_edit_ttheader(w, m, edit);
	else if (edit->form.transport == RPC_TTHEADER)
		head_new_ttheader(w, m, edit);
	else if (edit->form.transport == RPC_MESH)
		head_edit_mesh(w, m, edit);
	else
		head_drop_all(m, edit);
	head_write_payload(w, m, edit);
}

void head_write_exception(
    struct writer *w, const struct rpc_message *call, uint64_t body_len, bool closing)
{
	size_t head_len = HEAD_FIXED + call->method.len;

	if (call->form.transport == RPC_TTHEADER) {
		struct ttheader_writer t;

		ttheader_begin(&t, w, 0, call->transport_seq, 0);
		if (closing) {
			ttheader_section_begin(&t, TTHEADER_STR);
			ttheader_put_str(&t, SLICE_LIT("crrst"), SLICE_LIT("1"));
			ttheader_section_end(&t);
		}
		ttheader_section_begin(&t, TTHEADER_INT);
		ttheader_put_int(&t, TTKEY_MSG_TYPE, head_msg_type(RPC_EXCEPTION));
		ttheader_section_end(&t);
		ttheader_end(&t, (call->form.framed ? 4 : 0) + head_len + body_len);
	}
	if (call->form.framed)
		write_u32(w, (uint32_t)(head_len + body_len));
	thrift_head_write(
	    w, magic_of(call->form.payload), THRIFT_EXCEPTION, call->method, call->seq);
}
