/*
 * Headers that are made or lost when a message goes on in another form: a TTHeader for one that
 * came with none, with a mesh header, or in HTTP/2; and the count of what has no place.
 */
#include "rpc/changes.h"
#include "rpc/head.h"
#include "rpc/head_write.h"
#include "rpc/metadata.h"
#include "rpc/trace_name.h"
#include "wire/grpc.h"

#define BIZ_EXTRA "biz-extra"
#define VALUE_MAX UINT16_MAX /* bytes of a value in a header */

static bool is_reply(const struct rpc_message *m)
{
	return m->kind != RPC_CALL && m->kind != RPC_ONEWAY;
}

struct slice head_msg_type(enum rpc_kind kind)
{
	switch (kind) {
	case RPC_CALL:
		return SLICE_LIT("1");
	case RPC_ONEWAY:
		return SLICE_LIT("4");
	case RPC_REPLY:
		return SLICE_LIT("2");
	case RPC_EXCEPTION:
	case RPC_INTERIM:
	case RPC_TRAILERS:
		break;
	}
	return SLICE_LIT("3");
}

/* ---- str keys ---- */

static void put_str_if(struct ttheader_writer *t, struct slice key, struct slice value)
{
	if (value.len)
		ttheader_put_str(t, key, value);
}

/* Whether a change names it, which then stands in its place, or nothing does. */
static bool is_changed(struct ttheader_writer *t, struct changes *c, int index)
{
	const struct rpc_change *change = index < 0 ? NULL : changes_take(c, index);

	if (change)
		changes_put(t, change);
	return index >= 0;
}

/* The str keys of a mesh header, and those that were lifted, live on in a TTHeader, but for those
 * that are written anew. */
static void put_entries(struct ttheader_writer *t, const struct rpc_message *m,
    struct rpc_edit *edit, struct changes *c)
{
	struct ttheader_iter it = head_entries(m);
	struct ttheader_entry e;

	while (ttheader_next(&it, &e)) {
		enum metadata_kind kind = metadata_of_entry(&e, is_reply(m));

		if (e.kind != TTHEADER_STR)
			continue;
		if (is_changed(t, c, changes_find_entry(c, &e)))
			continue;
		if (kind == METADATA_CHECKSUM && head_payload_is_changed(m, edit))
			metadata_drop(edit, kind);
		else if (slice_eq(e.key, SLICE_LIT("rip")) ? edit->rip.len == 0
							   : !slice_eq(e.key, SLICE_LIT("crrst")))
			ttheader_put_str(t, e.key, e.value);
	}
}

/* Kinds of fields that are written from the facts of the message, or stand in sections of their
 * own. */
static bool is_put_elsewhere(const struct rpc_message *m, enum metadata_kind kind)
{
	if (is_reply(m))
		return kind == METADATA_BIZ;
	return kind == METADATA_FACT || kind == METADATA_ACL;
}

/* What gRPC writes in base64. False: it is none, or longer than a value may be. */
static bool put_binary(struct ttheader_writer *t, struct slice key, struct slice text)
{
	struct writer measured = writer_of(NULL, 0);

	if (!grpc_binary_decode(&measured, text) || measured.need > VALUE_MAX)
		return false;
	ttheader_begin_str(t, key, (uint16_t)measured.need);
	grpc_binary_decode(t->w, text);
	return true;
}

static bool put_field(struct ttheader_writer *t, const struct rpc_message *m,
    const struct rpc_edit *edit, const struct rpc_field *field, enum metadata_kind kind)
{
	uint8_t room[METADATA_NAME_MAX];
	struct slice key;

	if (!metadata_is_carried(kind, is_reply(m)))
		return false;
	if (!metadata_to_key(kind, field->name, room, edit->add_prefix, &key))
		return false;
	if (grpc_is_binary(field->name))
		return put_binary(t, key, field->value);
	if (field->value.len > VALUE_MAX)
		return false;
	ttheader_put_str(t, key, field->value);
	return true;
}

#define TRANSIENT_NAMES_UNKNOWN (1u << TRACE_NAMES)

/* Names of traces that stand there as transient metadata, a bit for each. */
static unsigned transient_names(const struct rpc_message *m)
{
	unsigned found = 0;

	for (unsigned i = 0; i < m->n_fields; i++) {
		bool is_transient;
		enum trace_name name = trace_name_of_field(m->fields[i].name, &is_transient);

		if (name != TRACE_NAMES && is_transient)
			found |= 1u << name;
	}
	return found;
}

/* @transient: as transient_names has them, looked for once: a name may be repeated as often as
 * there is room. */
static bool has_transient(const struct rpc_message *m, enum trace_name name, unsigned *transient)
{
	if (*transient == TRANSIENT_NAMES_UNKNOWN)
		*transient = transient_names(m);
	return *transient & 1u << name;
}

static bool is_of_trace(const struct rpc_message *m, struct slice field, enum metadata_kind kind)
{
	bool is_transient;

	return (kind == METADATA_HEADER || kind == METADATA_TRANSIENT) && !is_reply(m) &&
	       trace_name_of_field(field, &is_transient) != TRACE_NAMES;
}

/* Kitex's peers look for the context of a trace in transient metadata alone. */
static void put_trace(struct ttheader_writer *t, const struct rpc_message *m, struct rpc_edit *edit,
    const struct rpc_field *field, struct changes *c, unsigned *transient)
{
	struct ttheader_entry e = {.kind = TTHEADER_STR};
	uint8_t room[METADATA_NAME_MAX];
	struct writer key = writer_of(room, sizeof room);
	bool is_transient;
	enum trace_name name = trace_name_of_field(field->name, &is_transient);

	write_bytes(&key, metadata_key(METADATA_NAME_TRANSIENT));
	write_bytes(&key, trace_name_text(name));
	e.key = writer_slice(&key);
	if (is_changed(t, c, changes_find_entry(c, &e)))
		return;
	if (field->value.len > VALUE_MAX)
		metadata_drop(edit, METADATA_TRANSIENT);
	else if (is_transient || !has_transient(m, name, transient))
		ttheader_put_str(t, e.key, field->value);
}

/* From the last to the first: of a repeated key the last value counts here, of a field the
 * first. */
static void put_fields(struct ttheader_writer *t, const struct rpc_message *m,
    struct rpc_edit *edit, struct changes *c)
{
	unsigned transient = TRANSIENT_NAMES_UNKNOWN;

	for (unsigned i = m->n_fields; i-- > 0;) {
		const struct rpc_field *field = &m->fields[i];
		enum metadata_kind kind = metadata_of_field(field->name);

		if (c->n && is_changed(t, c, changes_find_field(c, field->name)))
			continue;
		if (is_of_trace(m, field->name, kind))
			put_trace(t, m, edit, field, c, &transient);
		else if (!is_put_elsewhere(m, kind) && !put_field(t, m, edit, field, kind))
			metadata_drop(edit, kind);
	}
}

static struct slice find_field(const struct rpc_message *m, struct slice name)
{
	for (unsigned i = 0; i < m->n_fields; i++)
		if (slice_eq(m->fields[i].name, name))
			return m->fields[i].value;
	return SLICE_NONE;
}

/* A business error. Source: kitex pkg/transmeta/ttheader.go. */
static void put_biz(struct ttheader_writer *t, const struct rpc_message *m)
{
	ttheader_put_str(t, SLICE_LIT("biz-status"), m->biz_status);
	ttheader_put_str(t, SLICE_LIT("biz-message"), m->biz_message);
	put_str_if(t, SLICE_LIT(BIZ_EXTRA),
	    m->marks & RPC_BIZ_IN_BODY ? m->biz_extra : find_field(m, SLICE_LIT(BIZ_EXTRA)));
}

/* Kitex looks services up without their package. */
static struct slice isn_of(const struct rpc_message *m, const struct rpc_edit *edit)
{
	struct grpc_path path;

	if (m->form.transport == RPC_HTTP2 && grpc_path_split(m->path, &path))
		return path.name;
	return m->idl_service.len ? SLICE_NONE : edit->idl_service; /* a mesh header's is there */
}

static void put_strs(struct ttheader_writer *t, const struct rpc_message *m, struct rpc_edit *edit,
    struct changes *c)
{
	if (m->form.transport == RPC_HTTP2)
		put_fields(t, m, edit, c);
	else
		put_entries(t, m, edit, c);
	changes_put_due(t, c, TTHEADER_STR);
	if (!is_reply(m))
		put_str_if(t, SLICE_LIT("isn"), isn_of(m, edit));
	else if (m->marks & (m->form.transport == RPC_HTTP2 ? RPC_HAS_BIZ : RPC_BIZ_IN_BODY))
		put_biz(t, m);
	put_str_if(t, SLICE_LIT("rip"), edit->rip);
	if (edit->add_crrst)
		ttheader_put_str(t, SLICE_LIT("crrst"), SLICE_LIT("1"));
}

/* ---- int keys ---- */

static void put_fact(
    struct ttheader_writer *t, struct rpc_edit *edit, uint16_t key, struct slice value)
{
	if (value.len > VALUE_MAX)
		metadata_drop(edit, METADATA_FACT);
	else if (value.len)
		ttheader_put_int(t, key, value);
}

static struct slice first_known(struct slice a, struct slice b)
{
	return a.len ? a : b;
}

static void put_timeout(
    struct ttheader_writer *t, const struct rpc_message *m, const struct rpc_edit *edit)
{
	uint64_t ms = edit->timeout_ms;
	char number[24];

	if (!edit->set_timeout && (m->timeout == 0 || m->timeout == USEC_NONE))
		return;
	if (!edit->set_timeout)
		ms = (m->timeout + USEC_MS - 1) / USEC_MS;
	ttheader_put_int(t, TTKEY_RPC_TIMEOUT, head_decimal(number, sizeof number, ms));
}

/* The keys that a Kitex client with its TTHeader handler writes on a call.
 * Source: kitex pkg/transmeta/ttheader.go. */
static void put_call_keys(
    struct ttheader_writer *t, const struct rpc_message *m, struct rpc_edit *edit)
{
	ttheader_put_int(t, TTKEY_TRANSPORT_TYPE,
	    edit->form.framed ? SLICE_LIT("framed") : SLICE_LIT("unframed"));
	put_fact(t, edit, TTKEY_FROM_SERVICE, first_known(edit->caller, m->caller));
	put_fact(t, edit, TTKEY_TO_SERVICE, first_known(m->service_asked, edit->service));
	ttheader_put_int(t, TTKEY_TO_METHOD, m->method);
	put_fact(t, edit, TTKEY_LOG_ID, first_known(m->log_id, edit->log_id));
	put_timeout(t, m, edit);
	put_fact(t, edit, TTKEY_FROM_METHOD, m->caller_method);
}

static struct slice find_token(const struct rpc_message *m)
{
	struct ttheader_iter it = head_entries(m);
	struct ttheader_entry e;

	if (m->form.transport == RPC_HTTP2)
		return find_field(m, SLICE_LIT(METADATA_TOKEN_FIELD));
	while (ttheader_next(&it, &e))
		if (e.kind == TTHEADER_ACL)
			return e.value;
	return SLICE_NONE;
}

static void put_token(struct ttheader_writer *t, const struct rpc_message *m, struct rpc_edit *edit)
{
	struct slice token = is_reply(m) ? SLICE_NONE : find_token(m);

	if (token.len > VALUE_MAX)
		metadata_drop(edit, METADATA_ACL);
	else if (token.len)
		ttheader_put_acl(t, token);
}

struct slice head_fields_as_sections(const struct rpc_message *m, struct rpc_edit *edit,
    struct changes *changes, struct arena *arena)
{
	size_t bound = head_write_bound(m, edit);
	struct writer w = writer_of(arena_alloc(arena, bound), bound);
	struct ttheader_writer t = {.w = &w};

	ttheader_section_begin(&t, TTHEADER_STR);
	put_fields(&t, m, edit, changes);
	ttheader_section_end(&t);
	put_token(&t, m, edit);
	return w.bad ? SLICE_NONE : writer_slice(&w);
}

void head_new_ttheader(struct writer *w, const struct rpc_message *m, struct rpc_edit *edit)
{
	struct ttheader_writer t;
	struct changes changes;

	changes_init(&changes, edit, m->form.transport == RPC_HTTP2);
	ttheader_begin(&t, w, edit->out_of_order ? TTHEADER_FLAG_OUT_OF_ORDER : 0,
	    edit->renumber ? edit->transport_seq : m->transport_seq, 0);
	ttheader_section_begin(&t, TTHEADER_STR);
	put_strs(&t, m, edit, &changes);
	ttheader_section_end(&t);
	ttheader_section_begin(&t, TTHEADER_INT);
	if (!is_reply(m))
		put_call_keys(&t, m, edit);
	ttheader_put_int(&t, TTKEY_MSG_TYPE, head_msg_type(m->kind));
	changes_put_due(&t, &changes, TTHEADER_INT);
	ttheader_section_end(&t);
	put_token(&t, m, edit);
	ttheader_end(&t, head_payload_len(m, edit));
}

/* ---- what is lost ---- */

/* What a rule takes away, or would replace, is not lost. */
static void drop_fields(
    const struct rpc_message *m, struct rpc_edit *edit, const struct changes *changes)
{
	for (unsigned i = 0; i < m->n_fields; i++)
		if (changes_find_field(changes, m->fields[i].name) < 0)
			metadata_drop(edit, metadata_of_field(m->fields[i].name));
}

static void drop_entries(
    const struct rpc_message *m, struct rpc_edit *edit, const struct changes *changes)
{
	struct ttheader_iter it = head_entries(m);
	struct ttheader_entry e;

	while (ttheader_next(&it, &e))
		if (changes_find_entry(changes, &e) < 0)
			metadata_drop(edit, metadata_of_entry(&e, is_reply(m)));
}

void head_drop_all(const struct rpc_message *m, struct rpc_edit *edit)
{
	struct changes changes;

	if (edit->splice) /* its maker has counted what the body has no place for, either */
		return;
	changes_init(&changes, edit, m->form.transport == RPC_HTTP2);
	if (m->form.transport == RPC_HTTP2)
		drop_fields(m, edit, &changes);
	else if (m->form.transport != RPC_PLAIN)
		drop_entries(m, edit, &changes);
	changes_drop(&changes, edit);
}
