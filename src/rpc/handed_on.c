#include "rpc/handed_on.h"

#include <stdio.h>

#include "rpc/changes.h"
#include "rpc/facts.h"
#include "rpc/grpc_head.h"
#include "rpc/head.h"
#include "rpc/metadata.h"
#include "rpc/sections.h"
#include "rpc/trace_context.h"
#include "rpc/trace_name.h"
#include "wire/grpc.h"

#define PARENT_KEY METADATA_TRANSIT_KEY "traceparent"
#define B3_KEY     METADATA_TRANSIT_KEY "b3"
#define STATE_KEY  METADATA_TRANSIT_KEY "tracestate"
#define ADDED      64u /* sections, lengths of entries, padding, a number */

/* ---- taking out ---- */

/* Sections under construction. */
struct taking {
	struct ttheader_writer t;
	struct changes changes;
	struct slice state; /* of the trace, as the call says it */
};

static bool is_persistent(const struct rpc_change *change)
{
	return change->kind == RPC_CHANGE_META ||
	       (change->kind == RPC_CHANGE_HEADER &&
		   metadata_of_key(change->name, false) == METADATA_PERSISTENT);
}

/* What is empty is not there, as for Kitex's readers. */
static void put_value(struct taking *taking, struct slice key, struct slice value)
{
	if (key.len > METADATA_PREFIX && value.len)
		ttheader_put_str(&taking->t, key, value);
}

/* A rule names it, which then stands in its place, or nothing does. */
static bool is_changed(struct taking *taking, int index)
{
	const struct rpc_change *change = index < 0 ? NULL : changes_take(&taking->changes, index);

	if (change && change->value.len && is_persistent(change))
		changes_put(&taking->t, change);
	return index >= 0;
}

static void take_entry(struct taking *taking, const struct ttheader_entry *e)
{
	bool is_transient;

	if (e->kind != TTHEADER_STR)
		return;
	if (trace_name_of_key(e->key, &is_transient) == TRACE_NAME_STATE)
		taking->state = e->value;
	else if (metadata_of_key(e->key, false) == METADATA_PERSISTENT &&
		 !is_changed(taking, changes_find_entry(&taking->changes, e)))
		put_value(taking, e->key, e->value);
}

static void take_field(struct taking *taking, const struct rpc_field *field, struct arena *arena)
{
	uint8_t room[METADATA_NAME_MAX];
	struct slice key, value = field->value;
	bool is_transient;

	if (trace_name_of_field(field->name, &is_transient) == TRACE_NAME_STATE)
		taking->state = value;
	if (metadata_of_field(field->name) != METADATA_PERSISTENT ||
	    is_changed(taking, changes_find_field(&taking->changes, field->name)) ||
	    !metadata_to_key(METADATA_PERSISTENT, field->name, room, false, &key))
		return;
	if (grpc_is_binary(field->name)) {
		struct writer w = writer_of(arena_alloc(arena, value.len), value.len);

		if (!grpc_binary_decode(&w, value) || w.bad)
			return;
		value = writer_slice(&w);
	}
	put_value(taking, key, value);
}

/* Of a repeated field the first counts, of a repeated key the last. */
static void take_fields(struct taking *taking, const struct rpc_message *m)
{
	struct arena arena;

	arena_init(&arena, NULL, 0);
	for (unsigned i = m->n_fields; i-- > 0;)
		take_field(taking, &m->fields[i], &arena);
	arena_fini(&arena);
}

static void take_due(struct taking *taking)
{
	for (unsigned i = 0; i < taking->changes.n; i++)
		if (taking->changes.is_due[i] && is_persistent(taking->changes.list[i]))
			is_changed(taking, (int)i);
}

/* A context that leaves the decision open can be said in B3 alone. */
static void put_trace(struct taking *taking, const struct trace_context *trace)
{
	char room[TRACE_W3C_TEXT];

	if (!trace->has_ids)
		return;
	if (trace->decision == TRACE_UNDECIDED)
		ttheader_put_str(&taking->t, SLICE_LIT(B3_KEY),
		    slice_of(room, trace_context_write_b3(trace, room)));
	else
		ttheader_put_str(&taking->t, SLICE_LIT(PARENT_KEY),
		    slice_of(room, trace_context_write_w3c(trace, room)));
	if (taking->state.len)
		ttheader_put_str(&taking->t, SLICE_LIT(STATE_KEY), taking->state);
}

bool rpc_hand_on(const struct rpc_message *m, const struct rpc_edit *edit,
    const struct trace_context *trace, void *room, size_t size, struct slice *sections)
{
	struct writer w = writer_of(room, size);
	struct taking taking = {.t = {.w = &w}};
	struct ttheader_iter it = head_entries(m);
	struct ttheader_entry e;
	bool is_http = m->form.transport == RPC_HTTP2;

	changes_init(&taking.changes, edit, is_http);
	ttheader_section_begin(&taking.t, TTHEADER_STR);
	if (is_http)
		take_fields(&taking, m);
	while (!is_http && ttheader_next(&it, &e))
		take_entry(&taking, &e);
	take_due(&taking);
	put_trace(&taking, trace);
	ttheader_section_end(&taking.t);
	*sections = writer_slice(&w);
	return !w.bad && taking.t.count <= RPC_HANDED_ON_MAX;
}

/* ---- giving ---- */

/* Who is given something, and what it has itself. */
struct taker {
	struct rpc_message *m;
	const struct rpc_handed_on *what;
	struct rpc_facts facts;
	bool has_trace;
	usec_t timeout; /* what it has from now on */
};

static void taker_init(struct taker *taker, struct rpc_message *m, const struct rpc_handed_on *what)
{
	struct trace_context context;
	unsigned spellings;

	taker->m = m;
	taker->what = what;
	rpc_facts_init(&taker->facts, m);
	trace_context_find(&context, m, &spellings);
	taker->has_trace = spellings != 0;
	taker->timeout = usec_min(m->timeout, what->timeout);
}

static bool is_meta(const struct ttheader_entry *e)
{
	return metadata_of_key(e->key, false) == METADATA_PERSISTENT;
}

static bool lacks(struct taker *taker, const struct ttheader_entry *e)
{
	struct slice present;

	if (!is_meta(e))
		return !taker->has_trace;
	return !rpc_facts_meta(&taker->facts, slice_from(e->key, METADATA_PREFIX), &present);
}

static void put_values(struct taker *taker, struct ttheader_writer *t)
{
	struct ttheader_iter it = ttheader_entries(taker->what->sections);
	struct ttheader_entry e;

	while (ttheader_next(&it, &e))
		if (lacks(taker, &e))
			ttheader_put_str(t, e.key, e.value);
}

/* ---- to one with a transport header ---- */

static void put_timeout(struct ttheader_writer *t, usec_t timeout)
{
	char room[24];
	int len = snprintf(room, sizeof room, "%llu",
	    (unsigned long long)(timeout < USEC_MS ? 1 : timeout / USEC_MS));

	ttheader_put_int(t, TTKEY_RPC_TIMEOUT, slice_of(room, (size_t)len));
}

/* A stream states no time. */
static bool has_new_timeout(const struct taker *taker)
{
	return taker->m->form.transport == RPC_TTHEADER && taker->timeout < taker->m->timeout;
}

static void put_facts(struct taker *taker, struct ttheader_writer *t)
{
	const struct rpc_handed_on *what = taker->what;

	if (taker->m->log_id.len == 0 && what->log_id.len)
		ttheader_put_int(t, TTKEY_LOG_ID, what->log_id);
	if (taker->m->caller_method.len == 0 && what->method.len)
		ttheader_put_int(t, TTKEY_FROM_METHOD, what->method);
	if (has_new_timeout(taker))
		put_timeout(t, taker->timeout);
}

/* What goes behind the entries of one kind: once. */
struct adding {
	struct taker *taker;
	bool has_strs, has_ints;
};

static void add(void *arg, struct ttheader_writer *t, enum ttheader_section kind)
{
	struct adding *adding = arg;

	if (kind == TTHEADER_STR && !adding->has_strs) {
		adding->has_strs = true;
		put_values(adding->taker, t);
	} else if (kind == TTHEADER_INT && !adding->has_ints) {
		adding->has_ints = true;
		put_facts(adding->taker, t);
	}
}

/* Is it stated, be it as nothing? Then what is known stands in its place. */
static bool is_outdated(const struct taker *taker, const struct ttheader_entry *e)
{
	if (e->kind != TTHEADER_INT)
		return false;
	switch (e->int_key) {
	case TTKEY_LOG_ID:
		return taker->m->log_id.len == 0;
	case TTKEY_FROM_METHOD:
		return taker->m->caller_method.len == 0;
	case TTKEY_RPC_TIMEOUT:
		return has_new_timeout(taker);
	default:
		return false;
	}
}

static void write_sections(struct taker *taker, struct ttheader_writer *t)
{
	struct ttheader_iter it = ttheader_entries(taker->m->sections);
	struct adding adding = {.taker = taker};
	struct ttheader_entry e;
	struct sections s;

	sections_begin(&s, t, taker->m->sections, add, &adding);
	while (ttheader_next(&it, &e)) {
		if (is_outdated(taker, &e))
			sections_cut(&s, &e);
		else
			sections_keep(&s, &e);
	}
	sections_end(&s);
	t->w->bad |= !sections_are_readable(&s);
}

/* The payload's part of the head follows. Facts stay views of the head as it was. */
static bool give_header(struct taker *taker, struct arena *arena)
{
	struct rpc_message *m = taker->m;
	size_t size = rpc_handed_on_bound(m, taker->what), before = m->payload_at, after;
	struct writer w = writer_of(arena_alloc(arena, size), size);
	struct ttheader_writer t;

	ttheader_begin(&t, &w, m->flags, m->transport_seq, m->head.data[TTHEADER_FIXED]);
	write_sections(taker, &t);
	ttheader_end(&t, (uint64_t)load_u32(m->head.data) + 4 - before);
	after = writer_len(&w);
	write_bytes(&w, slice_from(m->head, before));
	if (w.bad)
		return false;
	m->head = writer_slice(&w);
	m->sections = slice_sub(m->head, TTHEADER_SECTIONS, after - TTHEADER_SECTIONS);
	m->message_at = m->message_at - before + after;
	m->payload_at = after;
	return true;
}

/* ---- to others ---- */

static bool give_lifted(struct taker *taker, struct arena *arena)
{
	struct rpc_message *m = taker->m;
	size_t size = rpc_handed_on_bound(m, taker->what);
	struct writer w = writer_of(arena_alloc(arena, size), size);
	struct ttheader_writer t = {.w = &w};

	write_bytes(&w, m->sections);
	ttheader_section_begin(&t, TTHEADER_STR);
	put_values(taker, &t);
	ttheader_section_end(&t);
	m->sections = writer_slice(&w);
	m->marks |= RPC_IS_LIFTED;
	return true;
}

static void add_value(struct field_list *fields, const struct ttheader_entry *e)
{
	struct slice name = slice_from(e->key, METADATA_PREFIX), value = e->value;

	/* of traces the standards' own names are read, by everybody */
	if (is_meta(e) && !metadata_to_field(METADATA_PERSISTENT, e->key, fields->arena, &name))
		return;
	value = grpc_is_binary(name) ? grpc_in_base64(fields->arena, value)
				     : arena_copy(fields->arena, value);
	if (metadata_is_field_value(value))
		field_add(fields, arena_copy(fields->arena, name), value);
}

static void add_fact(struct field_list *fields, struct slice name, struct slice value)
{
	if (value.len && metadata_is_field_value(value))
		field_add(fields, name, arena_copy(fields->arena, value));
}

/* The time is written by whoever passes the call on. */
static bool give_fields(struct taker *taker, struct arena *arena)
{
	struct rpc_message *m = taker->m;
	struct ttheader_iter it = ttheader_entries(taker->what->sections);
	struct field_list list = {.arena = arena, .n = m->n_fields};
	struct ttheader_entry e;

	list.size = m->n_fields + RPC_HANDED_ON_MAX + 2;
	list.items = arena_alloc(arena, list.size * sizeof *list.items);
	if (m->n_fields)
		memcpy(list.items, m->fields, m->n_fields * sizeof *list.items);
	while (ttheader_next(&it, &e))
		if (lacks(taker, &e))
			add_value(&list, &e);
	if (m->log_id.len == 0)
		add_fact(&list, metadata_field(METADATA_NAME_LOG_ID), taker->what->log_id);
	if (m->caller_method.len == 0)
		add_fact(&list, metadata_field(METADATA_NAME_CALLER_METHOD), taker->what->method);
	m->fields = list.items;
	m->n_fields = list.n;
	return true;
}

static bool give(struct taker *taker, struct arena *arena)
{
	switch (taker->m->form.transport) {
	case RPC_TTHEADER:
	case RPC_TTSTREAM:
		return give_header(taker, arena);
	case RPC_PLAIN:
		return give_lifted(taker, arena);
	case RPC_HTTP2:
		return give_fields(taker, arena);
	case RPC_MESH:
		break;
	}
	return true;
}

static void set_fact(struct slice *fact, struct slice value, struct arena *arena)
{
	if (fact->len == 0)
		*fact = arena_copy(arena, value);
}

/* For logs. */
static void note_trace(struct taker *taker, struct arena *arena)
{
	struct ttheader_iter it = ttheader_entries(taker->what->sections);
	struct ttheader_entry e;
	bool is_transient;

	while (!taker->has_trace && ttheader_next(&it, &e))
		set_fact(&taker->m->trace_id,
		    trace_id_in(trace_name_of_key(e.key, &is_transient), e.value), arena);
}

size_t rpc_handed_on_bound(const struct rpc_message *m, const struct rpc_handed_on *what)
{
	size_t values = what->sections.len + 2 * (what->log_id.len + what->method.len) + ADDED;
	size_t fields = (m->n_fields + RPC_HANDED_ON_MAX + 2) * sizeof *m->fields;

	if (m->form.transport == RPC_HTTP2)
		return fields + 2 * values; /* base64, and names in lower case */
	return (m->form.transport == RPC_PLAIN ? m->sections.len : m->head.len) + values;
}

bool rpc_handed_on_give(
    struct rpc_message *m, const struct rpc_handed_on *what, struct arena *arena)
{
	struct taker taker;

	taker_init(&taker, m, what);
	if (!give(&taker, arena))
		return false;
	set_fact(&m->log_id, what->log_id, arena);
	set_fact(&m->caller_method, what->method, arena);
	note_trace(&taker, arena);
	m->timeout = taker.timeout;
	return true;
}
