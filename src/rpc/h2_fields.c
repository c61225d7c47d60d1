#include "rpc/h2_fields.h"

#include <limits.h>

#include "rpc/changes.h"
#include "wire/grpc.h"

#define MORE_FIELDS 8u /* beside those that are passed on: pseudo fields, and what is put in */
#define HTTP_OK     200u
#define PATH_AT     2u /* of :path among the pseudo fields of a call */

static void reserve(struct field_list *list, unsigned n)
{
	list->items = arena_alloc(list->arena, n * sizeof *list->items);
	list->size = n;
}

static void add_field(struct field_list *list, const struct rpc_field *field)
{
	field_add(list, field->name, field->value);
	list->items[list->n - 1].is_secret = field->is_secret;
}

/* ---- calls ---- */

static struct slice first_known(struct slice a, struct slice b)
{
	return a.len ? a : b;
}

static void add_call_pseudo(
    const struct rpc_message *m, const struct rpc_edit *edit, struct field_list *list)
{
	struct slice authority = first_known(edit->authority, m->authority);

	field_add(list, SLICE_LIT(":method"), first_known(m->http_method, SLICE_LIT("POST")));
	field_add(list, SLICE_LIT(":scheme"), SLICE_LIT("http"));
	field_add(list, SLICE_LIT(":path"), m->path);
	if (authority.len)
		field_add(list, SLICE_LIT(":authority"), authority);
}

static void add_timeout(struct field_list *list, usec_t timeout)
{
	char *room;

	if (timeout == USEC_NONE)
		return;
	room = arena_alloc(list->arena, GRPC_TIMEOUT_ROOM);
	field_add(list, SLICE_LIT("grpc-timeout"), grpc_timeout_write(timeout, room));
}

/* What an implementation writes itself, before the metadata of its user. */
static bool is_reserved(struct slice name)
{
	return slice_starts(name, SLICE_LIT("grpc-")) || slice_eq(name, SLICE_LIT("te")) ||
	       slice_eq(name, SLICE_LIT("content-type")) || slice_eq(name, SLICE_LIT("user-agent"));
}

/* Where the timeout goes: where one stands, or before the metadata. */
static unsigned place_of_timeout(const struct rpc_message *m)
{
	unsigned place = m->n_fields;

	for (unsigned i = m->n_fields; i-- > 0;)
		if (!is_reserved(m->fields[i].name))
			place = i;
	for (unsigned i = m->n_fields; i-- > 0;)
		if (slice_eq(m->fields[i].name, SLICE_LIT("grpc-timeout")))
			place = i;
	return place;
}

/* The fields of a call as they came, but for what is edited. */
static void add_edited(
    const struct rpc_message *m, const struct rpc_edit *edit, struct field_list *list)
{
	unsigned place = edit->set_timeout ? place_of_timeout(m) : UINT_MAX;

	for (unsigned i = 0; i < m->n_fields; i++) {
		const struct rpc_field *field = &m->fields[i];

		if (i == place)
			add_timeout(list, edit->timeout);
		if (!edit->set_timeout || !slice_eq(field->name, SLICE_LIT("grpc-timeout")))
			add_field(list, field);
	}
	if (place == m->n_fields)
		add_timeout(list, edit->timeout);
}

bool h2_call_fields(const struct rpc_message *m, struct rpc_edit *edit, struct field_list *list)
{
	struct slice path;
	unsigned first;

	reserve(list, m->n_fields + MORE_FIELDS);
	add_call_pseudo(m, edit, list);
	first = list->n;
	if (m->form.transport == RPC_HTTP2) {
		add_edited(m, edit, list);
	} else {
		if (!grpc_call_fields(m, edit, list, &path))
			return false;
		list->items[PATH_AT].value = path;
	}
	changes_apply(edit, list, first);
	return true;
}

/* ---- replies ---- */

static void add_status(struct field_list *list, unsigned status)
{
	field_add(list, SLICE_LIT(":status"), slice_str(arena_printf(list->arena, "%03u", status)));
}

void h2_reply_fields(const struct rpc_message *m, struct field_list *list)
{
	reserve(list, m->n_fields + 1);
	if (m->http_status == HTTP_OK)
		field_add(list, SLICE_LIT(":status"), SLICE_LIT("200"));
	else
		add_status(list, m->http_status);
	for (unsigned i = 0; i < m->n_fields; i++)
		add_field(list, &m->fields[i]);
}

void h2_unary_reply_fields(const struct rpc_message *m, struct rpc_edit *edit,
    struct field_list *head, struct field_list *trailers)
{
	struct rpc_field *status;

	reserve(head, MORE_FIELDS);
	reserve(trailers, MORE_FIELDS);
	field_add(head, SLICE_LIT(":status"), SLICE_LIT("200"));
	field_add(trailers, SLICE_LIT(":status"), SLICE_LIT("200"));
	grpc_reply_fields(m, edit, head, trailers);
	if (head->n == 1) { /* all stands in the trailers, which need the status then */
		head->n = 0;
		return;
	}
	status = trailers->items;
	trailers->n--;
	memmove(status, status + 1, trailers->n * sizeof *status);
}

/* ---- failures ---- */

void h2_failure_fields(const struct rpc_message *call, const struct rpc_status *why, bool head_sent,
    struct field_list *list)
{
	if (!head_sent)
		field_add(list, SLICE_LIT(":status"), SLICE_LIT("200"));
	grpc_failure_fields(call, why, list);
	if (head_sent && slice_eq(list->items[0].name, SLICE_LIT("content-type"))) {
		list->items++; /* stood in the head */
		list->n--;
		list->size--;
	}
}

static unsigned http_status_of(enum reason reason)
{
	switch (reason) {
	case REASON_NO_ROUTE:
		return 404;
	case REASON_MALFORMED:
	case REASON_PROTOCOL_UNKNOWN:
	case REASON_NO_CONVERSION:
	case REASON_CANCELED:
		return 400;
	case REASON_ACL_DENIED:
		return 403;
	case REASON_TOO_LARGE:
		return 413;
	case REASON_RATE_LIMITED:
	case REASON_CONCURRENCY_LIMITED:
	case REASON_CONNECTION_LIMITED:
		return 429;
	case REASON_RESET:
	case REASON_BAD_REPLY:
		return 502;
	case REASON_TIMEOUT:
	case REASON_CALLER_DEADLINE:
		return 504;
	case REASON_NO_ENDPOINT:
	case REASON_CONNECT_FAILED:
	case REASON_BREAKER_OPEN:
	case REASON_QUEUE_TIMEOUT:
	case REASON_DRAINING:
	case REASON_OVERLOAD:
	case REASON_DEGRADED:
	case REASON_FAULT_INJECTED:
		return 503;
	case REASON_OK:
	case REASON_APP_EXCEPTION:
	case REASON_BIZ_ERROR:
	case REASON_INTERNAL:
	case REASON_COUNT:
		break;
	}
	return 500;
}

void h2_opaque_failure_fields(
    const struct rpc_status *why, struct field_list *list, struct slice *body)
{
	char text[RPC_STATUS_TEXT_MAX];
	size_t len = rpc_status_text(why, text, sizeof text);

	add_status(list, http_status_of(why->reason));
	field_add(list, SLICE_LIT("content-type"), SLICE_LIT("text/plain; charset=utf-8"));
	*body = slice_str(arena_printf(list->arena, "%.*s\n", (int)len, text));
}
