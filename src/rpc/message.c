#include "rpc/message.h"

#include "wire/ttheader.h"

enum protocol rpc_form_protocol(struct rpc_form form)
{
	if (form.transport == RPC_HTTP2)
		return PROTOCOL_GRPC;
	if (form.transport == RPC_TTSTREAM)
		return PROTOCOL_TTHEADER_STREAMING;
	if (form.transport == RPC_TTHEADER)
		return PROTOCOL_TTHEADER;
	return form.framed ? PROTOCOL_FRAMED : PROTOCOL_BUFFERED;
}

void rpc_message_keep_head(struct rpc_message *m, struct arena *arena)
{
	struct slice *const views[] = {&m->method, &m->service_asked, &m->idl_service, &m->caller,
	    &m->caller_method, &m->log_id, &m->trace_id, &m->biz_status, &m->biz_message,
	    &m->biz_extra, &m->sections, &m->http_method, &m->path, &m->authority, &m->content_type,
	    &m->status_text};
	const uint8_t *from = m->head.data;
	uintptr_t start = (uintptr_t)from, end = start + m->head.len;
	bool is_made_of_body = m->marks & (RPC_IS_LIFTED | RPC_BIZ_IN_BODY);
	struct rpc_field *fields;

	m->head = arena_copy(arena, m->head);
	for (size_t i = 0; i < sizeof views / sizeof views[0]; i++) {
		uintptr_t at = (uintptr_t)views[i]->data;

		if (views[i]->len && at >= start && at < end)
			views[i]->data = m->head.data + (views[i]->data - from);
		else if (is_made_of_body)
			*views[i] = arena_copy(arena, *views[i]);
	}
	if (m->n_fields == 0)
		return;
	fields = arena_alloc(arena, m->n_fields * sizeof *fields);
	for (unsigned i = 0; i < m->n_fields; i++) {
		fields[i] = m->fields[i];
		fields[i].name.data = m->head.data + (fields[i].name.data - from);
		fields[i].value.data = m->head.data + (fields[i].value.data - from);
	}
	m->fields = fields;
}

bool rpc_message_is_unordered(const struct rpc_message *m)
{
	return m->form.transport == RPC_TTHEADER && m->flags & TTHEADER_FLAG_OUT_OF_ORDER;
}
