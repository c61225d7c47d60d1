/* Metadata out of a carrier, into the places where a transport header's stands. */
#include "rpc/carrier.h"
#include "rpc/head.h"
#include "rpc/metadata.h"
#include "rpc/trace_name.h"

#define DEADLINE_MAX_MS 86400000000u /* from now: a thousand days. What is longer is no limit */
#define SECTIONS_EXTRA  6u           /* of a section of str keys, and of a token */
#define FACT_MAX        1024u        /* longer names are none: they have to fit into every header */

enum { LOG_ID, CALLER, ADDR, CLIENT, EXTRA, FIELDS };

/* What stands in a carrier. */
struct lifting {
	struct slice log_id, caller, caller_method;
	struct slice service, method; /* whom it was for */
	bool is_handed_through;       /* by them */
	uint64_t deadline_ms;
	struct carrier_pairs pairs;
	struct slice token;
};

/* ---- facts ---- */

static struct slice fact(struct slice value)
{
	return value.len > FACT_MAX ? SLICE_NONE : value;
}

static void note_pair(struct lifting *l, bool has_fields, struct slice key, struct slice value)
{
	if (!carrier_is_fact(key))
		return;
	if (slice_eq(key, SLICE_LIT(RPC_CARRY_CALLER_METHOD)))
		l->caller_method = fact(value);
	else if (slice_eq(key, SLICE_LIT(RPC_CARRY_SERVICE)))
		l->service = fact(value);
	else if (slice_eq(key, SLICE_LIT(RPC_CARRY_METHOD)))
		l->method = fact(value);
	else if (slice_eq(key, SLICE_LIT(RPC_CARRY_DEADLINE)))
		slice_to_u64(value, &l->deadline_ms);
	else if (!has_fields && slice_eq(key, SLICE_LIT(RPC_CARRY_LOG_ID)))
		l->log_id = fact(value);
	else if (!has_fields && slice_eq(key, SLICE_LIT(RPC_CARRY_CALLER)))
		l->caller = fact(value);
}

static bool read_base(struct lifting *l, struct slice base)
{
	/* Some are asked for their types alone: a struct that has others is no Base. */
	struct carrier_field fields[FIELDS] = {
	    [LOG_ID] = {.id = BASE_LOG_ID, .type = THRIFT_STRING},
	    [CALLER] = {.id = BASE_CALLER, .type = THRIFT_STRING},
	    [ADDR] = {.id = BASE_ADDR, .type = THRIFT_STRING},
	    [CLIENT] = {.id = BASE_CLIENT, .type = THRIFT_STRING},
	    [EXTRA] = {.id = BASE_EXTRA, .type = THRIFT_MAP},
	};

	if (!carrier_read_fields(base, fields, FIELDS))
		return false;
	l->log_id = fact(carrier_text(&fields[LOG_ID]));
	l->caller = fact(carrier_text(&fields[CALLER]));
	return carrier_pairs_of(
	    fields[EXTRA].is_there ? fields[EXTRA].value : SLICE_NONE, &l->pairs);
}

static bool read_carrier(
    struct lifting *l, const struct rpc_message *m, const struct rpc_carrier *carrier)
{
	bool has_fields = carrier->type == RPC_CARRIER_BASE;
	struct carrier_pairs pairs;
	struct carrier_place place;
	struct slice value, key;

	if (!carrier_find(m->body, carrier, &place) || !place.is_there)
		return false;
	value = slice_sub(m->body, place.at, place.len);
	if (has_fields ? !read_base(l, value) : !carrier_pairs_of(value, &l->pairs))
		return false;
	if (l->pairs.n > RPC_CARRY_ENTRIES || cursor_left(&l->pairs.in) > RPC_CARRY_MAX)
		return false;
	pairs = l->pairs;
	while (carrier_next_pair(&pairs, &key, &value))
		note_pair(l, has_fields, key, value);
	l->is_handed_through = l->service.len && !(slice_eq(l->service, carrier->service) &&
						     slice_eq(l->method, m->method));
	return true;
}

/* ---- sections ---- */

static bool is_trace(struct slice key)
{
	bool is_transient;

	return trace_name_of_key(key, &is_transient) != TRACE_NAMES;
}

/* @is_stale: it came with another call, and was for its callee alone. */
static bool is_lifted(enum metadata_kind kind, bool is_stale, struct slice key)
{
	switch (kind) {
	case METADATA_PERSISTENT:
	case METADATA_BACKWARD:
		return true;
	case METADATA_HEADER:
		return !carrier_is_fact(key);
	case METADATA_TRANSIENT:
	case METADATA_UPSTREAM:
		return !is_stale || is_trace(key);
	case METADATA_ACL:
		return !is_stale;
	default:
		return false;
	}
}

static void put_pair(
    struct ttheader_writer *t, struct lifting *l, struct slice key, struct slice value)
{
	enum metadata_kind kind = metadata_of_key(key, false);

	if (key.len == 0 || key.len > UINT16_MAX || value.len > UINT16_MAX)
		return; /* it fits no header */
	if (!is_lifted(kind, l->is_handed_through, key))
		return;
	if (kind == METADATA_ACL)
		l->token = value;
	else
		ttheader_put_str(t, key, value);
}

static struct slice make_sections(struct lifting *l, struct arena *arena)
{
	size_t size = cursor_left(&l->pairs.in) + SECTIONS_EXTRA;
	struct writer w = writer_of(arena_alloc(arena, size), size);
	struct ttheader_writer t = {.w = &w};
	struct slice key, value;

	l->token = SLICE_NONE;
	ttheader_section_begin(&t, TTHEADER_STR);
	while (carrier_next_pair(&l->pairs, &key, &value))
		put_pair(&t, l, key, value);
	ttheader_section_end(&t);
	if (l->token.len)
		ttheader_put_acl(&t, l->token);
	return writer_slice(&w);
}

/* ---- the message ---- */

static usec_t time_left(uint64_t deadline_ms, uint64_t now_ms)
{
	if (deadline_ms == 0)
		return USEC_NONE;
	if (deadline_ms <= now_ms)
		return USEC_MS;
	deadline_ms -= now_ms;
	return deadline_ms > DEADLINE_MAX_MS ? USEC_NONE : deadline_ms * USEC_MS;
}

static void set_facts(
    struct rpc_message *m, const struct lifting *l, uint64_t now_ms, struct arena *arena)
{
	struct slice caller = l->is_handed_through ? l->service : l->caller;

	m->log_id = arena_copy(arena, l->log_id);
	m->caller = arena_copy(arena, caller);
	m->caller_method = arena_copy(arena, l->is_handed_through ? l->method : l->caller_method);
	m->timeout = time_left(l->deadline_ms, now_ms);
	m->marks |= RPC_IS_LIFTED | (caller.len ? RPC_HAS_CALLER : 0u);
}

bool rpc_lift(
    struct rpc_message *m, const struct rpc_carrier *carrier, uint64_t now_ms, struct arena *arena)
{
	struct lifting l = {.deadline_ms = 0};
	const char *why;

	if (m->form.transport != RPC_PLAIN || m->form.payload != RPC_THRIFT || !m->complete)
		return false;
	if (!read_carrier(&l, m, carrier))
		return false;
	m->sections = make_sections(&l, arena);
	head_note(m, ttheader_entries(m->sections), &why);
	set_facts(m, &l, now_ms, arena);
	return true;
}
