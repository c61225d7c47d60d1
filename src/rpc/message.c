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

/* The head, on its way into an arena. */
struct moving {
	const uint8_t *from, *to;
	size_t len;
	struct slice body; /* views into it stay */
	struct arena *arena;
};

static bool is_within(struct slice view, const uint8_t *data, size_t len)
{
	uintptr_t at = (uintptr_t)view.data, start = (uintptr_t)data;

	return at >= start && at < start + len;
}

/* What was made elsewhere is copied. */
static void move(const struct moving *head, struct slice *view)
{
	if (view->len == 0)
		return;
	if (is_within(*view, head->from, head->len))
		view->data = head->to + (view->data - head->from);
	else if (!is_within(*view, head->body.data, head->body.len))
		*view = arena_copy(head->arena, *view);
}

static void move_fields(const struct moving *head, struct rpc_message *m)
{
	struct rpc_field *fields = arena_alloc(head->arena, m->n_fields * sizeof *fields);

	for (unsigned i = 0; i < m->n_fields; i++) {
		fields[i] = m->fields[i];
		move(head, &fields[i].name);
		move(head, &fields[i].value);
	}
	m->fields = fields;
}

void rpc_message_keep_head(struct rpc_message *m, struct arena *arena)
{
	struct slice *const views[] = {&m->method, &m->service_asked, &m->idl_service, &m->caller,
	    &m->caller_method, &m->log_id, &m->trace_id, &m->biz_status, &m->biz_message,
	    &m->biz_extra, &m->sections, &m->http_method, &m->path, &m->authority, &m->content_type,
	    &m->status_text};
	struct slice kept = arena_copy(arena, m->head);
	bool is_made_of_body = m->marks & (RPC_IS_LIFTED | RPC_BIZ_IN_BODY);
	struct moving head = {
	    m->head.data, kept.data, m->head.len, is_made_of_body ? SLICE_NONE : m->body, arena};

	m->head = kept;
	for (size_t i = 0; i < sizeof views / sizeof views[0]; i++)
		move(&head, views[i]);
	if (m->n_fields)
		move_fields(&head, m);
}

bool rpc_message_is_unordered(const struct rpc_message *m)
{
	return m->form.transport == RPC_TTHEADER && m->flags & TTHEADER_FLAG_OUT_OF_ORDER;
}
