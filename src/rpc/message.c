#include "rpc/message.h"

#include "wire/ttheader.h"

enum protocol rpc_form_protocol(struct rpc_form form)
{
	if (form.transport == RPC_TTHEADER)
		return PROTOCOL_TTHEADER;
	return form.framed ? PROTOCOL_FRAMED : PROTOCOL_BUFFERED;
}

void rpc_message_keep_head(struct rpc_message *m, struct arena *arena)
{
	struct slice *const views[] = {&m->method, &m->service_asked, &m->idl_service, &m->caller,
	    &m->caller_method, &m->log_id, &m->trace_id, &m->biz_status, &m->biz_message,
	    &m->sections};
	const uint8_t *from = m->head.data;

	m->head = arena_copy(arena, m->head);
	for (size_t i = 0; i < sizeof views / sizeof views[0]; i++)
		if (views[i]->len)
			views[i]->data = m->head.data + (views[i]->data - from);
}

bool rpc_message_is_unordered(const struct rpc_message *m)
{
	return m->form.transport == RPC_TTHEADER && m->flags & TTHEADER_FLAG_OUT_OF_ORDER;
}
