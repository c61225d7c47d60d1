#include "rpc/grpc_head.h"

#include "rpc/exception.h"
#include "rpc/head.h"
#include "rpc/metadata.h"
#include "rpc/trace_context.h"
#include "rpc/trace_name.h"
#include "wire/grpc.h"

#define FIELDS_MIN 16u
#define TEXT_MAX   2048u /* of a grpc-message; encoded it still fits into 8 KiB of fields */

void field_add(struct field_list *list, struct slice name, struct slice value)
{
	if (list->n == list->size) {
		unsigned size = list->size ? list->size * 2 : FIELDS_MIN;
		struct rpc_field *items = arena_alloc(list->arena, size * sizeof *items);

		if (list->n)
			memcpy(items, list->items, list->n * sizeof *items);
		list->items = items;
		list->size = size;
	}
	list->items[list->n++] = (struct rpc_field){.name = name, .value = value};
}

/* ---- what fields say ---- */

static void note_once(struct slice *fact, struct slice value)
{
	if (fact->data == NULL) /* of a repeated field the first one counts, as in Kitex */
		*fact = value;
}

static void note_caller(struct rpc_message *m, struct slice value)
{
	if (m->marks & RPC_HAS_CALLER)
		return;
	m->caller = value;
	m->marks |= RPC_HAS_CALLER;
}

static void note_trace(struct rpc_message *m, struct slice name, struct slice value)
{
	bool is_transient;

	note_once(&m->trace_id, trace_id_in(trace_name_of_field(name, &is_transient), value));
}

/* The names that matter have few lengths: most fields are passed over at once. */
static void note_call_field(struct rpc_message *m, struct slice name, struct slice value)
{
	switch (name.len) {
	case 2:  /* b3 */
	case 11: /* traceparent */
	case 23: /* the same with rpc-transit- */
	case 24:
		note_trace(m, name, value);
		break;
	case 12:
		if (slice_eq(name, SLICE_LIT("grpc-timeout")))
			m->timeout = usec_min(m->timeout, grpc_timeout_read(value));
		else if (slice_eq(name, SLICE_LIT("content-type")))
			note_once(&m->content_type, value);
		else
			note_trace(m, name, value); /* x-b3-traceid */
		break;
	case 13:
		if (slice_eq(name, SLICE_LIT("stream-log-id")))
			note_once(&m->log_id, value);
		else if (slice_eq(name, SLICE_LIT("source-method")))
			note_once(&m->caller_method, value);
		break;
	case 14:
		if (slice_eq(name, SLICE_LIT("source-service")))
			note_caller(m, value);
		else
			note_trace(m, name, value); /* rpc-transit-b3 */
		break;
	case 19:
		if (slice_eq(name, SLICE_LIT("destination-service")))
			note_once(&m->service_asked, value);
		break;
	default:
		break;
	}
}

void grpc_note_call(struct rpc_message *m)
{
	struct grpc_path path;

	m->timeout = USEC_NONE;
	if (grpc_path_split(m->path, &path)) {
		m->idl_service = path.service;
		m->method = path.method;
	}
	for (unsigned i = 0; i < m->n_fields; i++)
		note_call_field(m, m->fields[i].name, m->fields[i].value);
}

void grpc_note_reply(struct rpc_message *m)
{
	uint32_t status;

	m->status = RPC_STATUS_NONE;
	for (unsigned i = 0; i < m->n_fields; i++) {
		struct slice name = m->fields[i].name, value = m->fields[i].value;

		if (name.len == 10 && slice_eq(name, SLICE_LIT("biz-status")))
			note_once(&m->biz_status, value);
		else if (name.len == 11 && slice_eq(name, SLICE_LIT("grpc-status")) &&
			 grpc_status_read(value, &status))
			m->status = status;
		else if (name.len == 12 && slice_eq(name, SLICE_LIT("grpc-message")))
			note_once(&m->status_text, value);
		else if (name.len == 12 && slice_eq(name, SLICE_LIT("content-type")))
			note_once(&m->content_type, value);
	}
	if (metadata_is_biz_error(m->biz_status))
		m->marks |= RPC_HAS_BIZ;
}

/* ---- blocks made from messages of other forms ---- */

/* What the callee's codec is to take the message for. */
static struct slice content_type_of(enum rpc_payload payload)
{
	return payload == RPC_THRIFT ? SLICE_LIT("application/grpc+thrift")
				     : SLICE_LIT("application/grpc");
}

static struct slice decimal(struct arena *arena, uint32_t n)
{
	return slice_str(arena_printf(arena, "%u", n));
}

static struct slice encoded(struct arena *arena, struct slice text)
{
	size_t size = 3 * text.len;
	struct writer w = writer_of(arena_alloc(arena, size), size);

	grpc_message_encode(&w, text);
	return writer_slice(&w);
}

/* A fact of a call, if it is known and can be said. */
static void add_fact(
    struct field_list *fields, struct rpc_edit *edit, enum metadata_name name, struct slice value)
{
	if (value.len == 0)
		return;
	if (metadata_is_field_value(value))
		field_add(fields, metadata_field(name), value);
	else
		metadata_drop(edit, METADATA_FACT);
}

static struct slice first_known(struct slice a, struct slice b)
{
	return a.len ? a : b;
}

static void add_timeout(
    const struct rpc_message *call, const struct rpc_edit *edit, struct field_list *fields)
{
	usec_t timeout = edit->set_timeout ? edit->timeout : call->timeout;
	char *room;

	if (timeout == USEC_NONE || (timeout == 0 && !edit->set_timeout))
		return;
	room = arena_alloc(fields->arena, GRPC_TIMEOUT_ROOM);
	field_add(fields, SLICE_LIT("grpc-timeout"), grpc_timeout_write(timeout, room));
}

static void add_call_facts(
    const struct rpc_message *call, struct rpc_edit *edit, struct field_list *fields)
{
	add_timeout(call, edit, fields);
	add_fact(fields, edit, METADATA_NAME_CALLER, first_known(edit->caller, call->caller));
	add_fact(fields, edit, METADATA_NAME_CALLER_METHOD, call->caller_method);
	add_fact(fields, edit, METADATA_NAME_TO_SERVICE,
	    first_known(call->service_asked, edit->service));
	add_fact(fields, edit, METADATA_NAME_LOG_ID, first_known(call->log_id, edit->log_id));
}

struct slice grpc_in_base64(struct arena *arena, struct slice bytes)
{
	size_t size = bytes.len / 3 * 4 + 3;
	struct writer w = writer_of(arena_alloc(arena, size), size);

	grpc_binary_encode(&w, bytes);
	return writer_slice(&w);
}

#define PLAIN_NAMES_UNKNOWN (1u << TRACE_NAMES)

/* Names of traces that stand there as they are, a bit for each. */
static unsigned plain_names(const struct rpc_message *m)
{
	struct ttheader_iter it = head_entries(m);
	struct ttheader_entry e;
	unsigned found = 0;

	while (ttheader_next(&it, &e)) {
		bool is_transient;
		enum trace_name name =
		    e.kind == TTHEADER_STR ? trace_name_of_key(e.key, &is_transient) : TRACE_NAMES;

		if (name != TRACE_NAMES && !is_transient)
			found |= 1u << name;
	}
	return found;
}

/* Whoever is no peer of Kitex's looks for the context of a trace under its plain names, too.
 * @plain: those that stand there, looked for once: a name may be repeated as often as there is
 * room. */
static void add_plain_trace(struct field_list *fields, const struct rpc_message *m,
    const struct ttheader_entry *e, unsigned *plain)
{
	bool is_transient;
	enum trace_name name = trace_name_of_key(e->key, &is_transient);

	if (name == TRACE_NAMES || !is_transient)
		return;
	if (*plain == PLAIN_NAMES_UNKNOWN)
		*plain = plain_names(m);
	if ((*plain & 1u << name) == 0)
		field_add(fields, trace_name_text(name), e->value);
}

/* One entry of a header as a field; false when it has no place in a block of this kind. */
static bool add_entry(struct field_list *fields, const struct ttheader_entry *e,
    enum metadata_kind kind, bool is_reply)
{
	struct slice name, value = e->value;

	if (!metadata_is_carried(kind, is_reply) ||
	    !metadata_to_field(kind, e->key, fields->arena, &name))
		return false;
	if (grpc_is_binary(name))
		value = grpc_in_base64(fields->arena, value);
	if (!metadata_is_field_value(value))
		return false;
	field_add(fields, name, value);
	fields->items[fields->n - 1].is_secret = kind == METADATA_ACL;
	return true;
}

/* Which kinds stand elsewhere in the block, or in the path. */
static bool is_said(enum metadata_kind kind, bool is_reply)
{
	if (is_reply)
		return kind == METADATA_BIZ;
	return kind == METADATA_FACT || kind == METADATA_IDL_SERVICE;
}

/* A key that is repeated counts with its last value in a TTHeader, with its first one here. */
static void turn_round(struct rpc_field *items, unsigned n)
{
	for (unsigned i = 0; i < n / 2; i++) {
		struct rpc_field first = items[i];

		items[i] = items[n - 1 - i];
		items[n - 1 - i] = first;
	}
}

static void add_metadata(
    const struct rpc_message *m, struct rpc_edit *edit, struct field_list *fields)
{
	bool is_reply = m->kind == RPC_REPLY || m->kind == RPC_EXCEPTION;
	struct ttheader_iter it = head_entries(m);
	struct ttheader_entry e;
	unsigned before = fields->n, plain = PLAIN_NAMES_UNKNOWN;

	while (ttheader_next(&it, &e)) {
		enum metadata_kind kind = metadata_of_entry(&e, is_reply);

		if (is_said(kind, is_reply))
			continue;
		if (!add_entry(fields, &e, kind, is_reply))
			metadata_drop(edit, kind);
		else if (kind == METADATA_TRANSIENT)
			add_plain_trace(fields, m, &e, &plain);
	}
	if (fields->n > before)
		turn_round(fields->items + before, fields->n - before);
}

/* Characters that stand for themselves in a path, and end no part of it. Source: RFC 3986, 3.3. */
static bool is_path_part(struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		uint8_t c = s.data[i];

		if (c <= ' ' || c > '~' || c == '/' || c == '?' || c == '#' || c == '%')
			return false;
	}
	return s.len > 0;
}

/* Only Kitex's servers do without the package, and the configuration may know it. */
static struct slice path_service(const struct rpc_message *call, const struct rpc_edit *edit)
{
	struct slice known = edit->idl_service, asked = call->idl_service;

	if (asked.len == 0)
		return known;
	if (known.len > asked.len && known.data[known.len - asked.len - 1] == '.' &&
	    slice_eq(slice_from(known, known.len - asked.len), asked))
		return known;
	return asked;
}

/* "/Service/Method", made in the arena; empty when there is nothing that could be read again. */
static struct slice make_path(struct arena *arena, struct slice service, struct slice method)
{
	size_t size = service.len + method.len + 2;
	struct writer w = writer_of(arena_alloc(arena, size), size);
	struct grpc_path parts;

	if (!is_path_part(service) || !is_path_part(method))
		return SLICE_NONE;
	write_u8(&w, '/');
	write_bytes(&w, service);
	write_u8(&w, '/');
	write_bytes(&w, method);
	return grpc_path_split(writer_slice(&w), &parts) ? writer_slice(&w) : SLICE_NONE;
}

bool grpc_call_fields(const struct rpc_message *call, struct rpc_edit *edit,
    struct field_list *fields, struct slice *path)
{
	*path = make_path(fields->arena, path_service(call, edit), call->method);
	if (path->len == 0)
		return false;
	field_add(fields, SLICE_LIT("content-type"), content_type_of(edit->form.payload));
	field_add(fields, SLICE_LIT("te"), SLICE_LIT("trailers"));
	add_call_facts(call, edit, fields);
	add_metadata(call, edit, fields);
	return true;
}

static void add_status(struct field_list *fields, uint32_t status, struct slice text)
{
	field_add(fields, SLICE_LIT("grpc-status"), decimal(fields->arena, status));
	field_add(fields, SLICE_LIT("grpc-message"),
	    encoded(fields->arena, exception_cut(text, TEXT_MAX)));
}

/* Its keys as they stand in the header; the last of a repeated one counts. */
static void add_biz(const struct rpc_message *reply, struct rpc_edit *edit, struct field_list *to)
{
	struct ttheader_iter it = ttheader_entries(reply->sections);
	struct slice extra = SLICE_NONE;
	struct ttheader_entry e;

	add_status(to, GRPC_INTERNAL, reply->biz_message);
	field_add(to, SLICE_LIT("biz-status"), reply->biz_status);
	while (ttheader_next(&it, &e))
		if (e.kind == TTHEADER_STR && slice_eq(e.key, SLICE_LIT("biz-extra")))
			extra = e.value;
	if (extra.len && metadata_is_field_value(extra))
		field_add(to, SLICE_LIT("biz-extra"), extra);
	else if (extra.len)
		metadata_drop(edit, METADATA_BIZ);
}

static void add_exception(const struct rpc_message *reply, struct field_list *to)
{
	struct slice text;
	int32_t id;

	if (!exception_read(reply, &text, &id)) {
		text = SLICE_LIT("an exception that cannot be read");
		id = EXCEPTION_INTERNAL;
	}
	add_status(to, exception_grpc_status(id), text);
}

void grpc_reply_fields(const struct rpc_message *reply, struct rpc_edit *edit,
    struct field_list *head, struct field_list *trailers)
{
	bool is_biz = reply->kind == RPC_REPLY && rpc_header_tells_biz(reply);
	bool is_plain = reply->kind == RPC_REPLY && !is_biz;
	struct field_list *first = is_plain ? head : trailers;

	field_add(first, SLICE_LIT("content-type"), content_type_of(edit->form.payload));
	if (is_biz)
		add_biz(reply, edit, trailers);
	else if (is_plain)
		field_add(trailers, SLICE_LIT("grpc-status"), SLICE_LIT("0"));
	else
		add_exception(reply, trailers);
	add_metadata(reply, edit, first);
}

/* Clients know a time that is up by these words. Source: Go's context.DeadlineExceeded. */
static void say_deadline(struct rpc_status *status, const struct rpc_status *why)
{
	rpc_status_set(status, why->reason, "context deadline exceeded%s%s",
	    why->detail[0] ? ": " : "", why->detail);
}

void grpc_failure_fields(
    const struct rpc_message *call, const struct rpc_status *why, struct field_list *fields)
{
	int status = why->has_exception_id ? (int)exception_grpc_status(why->exception_id)
					   : reason_grpc_status(why->reason);
	char text[RPC_STATUS_TEXT_MAX];
	struct rpc_status timeout;
	size_t len;

	if (status == GRPC_DEADLINE_EXCEEDED) {
		say_deadline(&timeout, why);
		why = &timeout;
	}
	len = rpc_status_text(why, text, sizeof text);
	if (call->form.payload != RPC_OPAQUE && call->content_type.len)
		field_add(fields, SLICE_LIT("content-type"), call->content_type);
	add_status(fields, (uint32_t)status, slice_of(text, len));
}
