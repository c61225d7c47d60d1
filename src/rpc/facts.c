#include "rpc/facts.h"

#include "base/cursor.h"
#include "rpc/head.h"
#include "rpc/metadata.h"
#include "wire/grpc.h"
#include "wire/thrift.h"
#include "wire/ttheader.h"

/* ---- transport headers ---- */

static bool has_entries(const struct rpc_message *m)
{
	return m->sections.len > 0; /* a PLAIN message, too, may have been lifted */
}

void rpc_facts_init(struct rpc_facts *facts, const struct rpc_message *m)
{
	facts->m = m;
	facts->is_read = facts->is_whole = false;
	facts->n = 0;
}

/* One entry after another: those that were read once, or out of the header. */
struct walk {
	const struct rpc_facts *facts; /* NULL: out of the header */
	unsigned at;
	struct ttheader_iter it;
	struct rpc_fact fact; /* the last one out of the header */
};

static struct rpc_fact fact_of(const struct ttheader_entry *e)
{
	return (struct rpc_fact){
	    .section = e->kind,
	    .number = e->kind == TTHEADER_INT ? e->int_key : 0,
	    .key = e->kind == TTHEADER_ACL   ? SLICE_LIT(METADATA_TOKEN_KEY)
		   : e->kind == TTHEADER_STR ? e->key
					     : SLICE_NONE,
	    .value = e->value,
	};
}

static void read_all(struct rpc_facts *facts)
{
	struct ttheader_iter it = head_entries(facts->m);
	struct ttheader_entry e;

	facts->is_read = true;
	while (ttheader_next(&it, &e)) {
		if (facts->n == RPC_FACTS_MAX)
			return;
		facts->list[facts->n++] = fact_of(&e);
	}
	facts->is_whole = true;
}

static void walk_begin(struct walk *w, struct rpc_facts *facts)
{
	w->facts = facts;
	w->at = 0;
	if (!has_entries(facts->m))
		return; /* nor has it any in the list */
	if (!facts->is_read)
		read_all(facts);
	if (facts->is_whole)
		return;
	w->facts = NULL;
	w->it = head_entries(facts->m);
}

/* NULL at the end; stays until the next one is asked for. */
static const struct rpc_fact *walk_next(struct walk *w)
{
	struct ttheader_entry e;

	if (w->facts)
		return w->at < w->facts->n ? &w->facts->list[w->at++] : NULL;
	if (!ttheader_next(&w->it, &e))
		return NULL;
	w->fact = fact_of(&e);
	return &w->fact;
}

/* What is found of a name: its two lives. */
struct meta {
	struct slice persistent, transient;
};

/* Where a value of this kind goes; NULL: it is no metadata that rules know. */
static struct slice *place_of(struct meta *found, enum metadata_kind kind)
{
	if (kind == METADATA_PERSISTENT)
		return &found->persistent;
	return kind == METADATA_TRANSIENT || kind == METADATA_ACL ? &found->transient : NULL;
}

static enum metadata_kind kind_of(const struct rpc_fact *fact)
{
	return fact->section == TTHEADER_ACL ? METADATA_ACL : metadata_of_key(fact->key, false);
}

static void find_meta_entry(const struct rpc_fact *fact, struct slice name, struct meta *found)
{
	struct slice *place;

	if (fact->key.len != METADATA_PREFIX + name.len)
		return;
	if (!metadata_name_eq(slice_from(fact->key, METADATA_PREFIX), name))
		return;
	place = place_of(found, kind_of(fact));
	if (place)
		*place = fact->value;
}

static void find_meta_field(const struct rpc_field *field, struct slice name, struct meta *found)
{
	struct slice *place;

	if (field->name.len != METADATA_PREFIX + name.len)
		return;
	if (!metadata_name_eq(slice_from(field->name, METADATA_PREFIX), name))
		return;
	place = place_of(found, metadata_of_field(field->name));
	if (place && place->data == NULL)
		*place = field->value;
}

static struct meta find_meta(struct rpc_facts *facts, struct slice name)
{
	struct meta found = {SLICE_NONE, SLICE_NONE};
	const struct rpc_message *m = facts->m;
	const struct rpc_fact *fact;
	struct walk walk;

	if (m->form.transport == RPC_HTTP2)
		for (unsigned i = 0; i < m->n_fields; i++)
			find_meta_field(&m->fields[i], name, &found);
	walk_begin(&walk, facts);
	while ((fact = walk_next(&walk)) != NULL)
		find_meta_entry(fact, name, &found);
	return found;
}

bool rpc_facts_meta(struct rpc_facts *facts, struct slice name, struct slice *value)
{
	struct meta found = find_meta(facts, name);

	*value = found.persistent.len ? found.persistent : found.transient;
	return value->len > 0;
}

bool rpc_is_marked_retry(const struct rpc_message *m)
{
	struct rpc_facts facts;

	rpc_facts_init(&facts, m);
	return find_meta(&facts, SLICE_LIT("RetryReq")).persistent.len > 0;
}

static bool find_plain_field(const struct rpc_message *m, struct slice name, struct slice *value)
{
	for (unsigned i = 0; i < m->n_fields; i++) {
		if (metadata_is_field(m->fields[i].name, name)) {
			*value = m->fields[i].value;
			return true;
		}
	}
	return false;
}

bool rpc_facts_header(struct rpc_facts *facts, struct slice name, struct slice *value)
{
	const struct rpc_fact *fact;
	struct walk walk;
	bool is_found = false;

	if (facts->m->form.transport == RPC_HTTP2)
		return find_plain_field(facts->m, name, value);
	walk_begin(&walk, facts);
	while ((fact = walk_next(&walk)) != NULL) {
		if (fact->section != TTHEADER_INT && slice_eq(fact->key, name)) {
			*value = fact->value;
			is_found = true;
		}
	}
	return is_found;
}

bool rpc_facts_int(struct rpc_facts *facts, uint16_t number, struct slice *value)
{
	const struct rpc_fact *fact;
	struct walk walk;
	bool is_found = false;

	walk_begin(&walk, facts);
	while ((fact = walk_next(&walk)) != NULL) {
		if (fact->section == TTHEADER_INT && fact->number == number) {
			*value = fact->value;
			is_found = true;
		}
	}
	return is_found;
}

bool rpc_find_meta(const struct rpc_message *m, struct slice name, struct slice *value)
{
	struct rpc_facts facts;

	rpc_facts_init(&facts, m);
	return rpc_facts_meta(&facts, name, value);
}

bool rpc_find_header(const struct rpc_message *m, struct slice name, struct slice *value)
{
	struct rpc_facts facts;

	rpc_facts_init(&facts, m);
	return rpc_facts_header(&facts, name, value);
}

bool rpc_find_int(const struct rpc_message *m, uint16_t number, struct slice *value)
{
	struct rpc_facts facts;

	rpc_facts_init(&facts, m);
	return rpc_facts_int(&facts, number, value);
}

/* ---- fields of the argument ---- */

/*
 * The field @id of the struct that begins at @in, with @depth structs around its fields: its type,
 * and @value where its value begins; STOP when it has none. What is past the end of the bytes is
 * not there; what was found before it is.
 */
static uint8_t find_id(struct cursor in, int16_t id, unsigned depth, struct cursor *value)
{
	struct thrift_field field;
	uint8_t found = THRIFT_STOP;

	while (thrift_next_field(&in, &field)) {
		if (field.id == id) {
			found = field.type;
			*value = in;
		}
		thrift_skip(&in, field.type, depth);
	}
	return found;
}

static bool say_number(int64_t n, char room[24], struct slice *value)
{
	uint64_t rest = n < 0 ? -(uint64_t)n : (uint64_t)n;
	size_t at = 24;

	do {
		room[--at] = (char)('0' + rest % 10);
		rest /= 10;
	} while (rest);
	if (n < 0)
		room[--at] = '-';
	*value = slice_of(room + at, 24 - at);
	return true;
}

static int64_t read_i64(struct cursor *in)
{
	uint64_t high = cursor_u32(in);

	return (int64_t)(high << 32 | cursor_u32(in));
}

/* Integers of any size; a bool is true when it is 1. Source: gopkg protocol/thrift/binary.go. */
static int64_t read_number(struct cursor *in, uint8_t type)
{
	switch (type) {
	case THRIFT_BOOL:
		return cursor_u8(in) == 1;
	case THRIFT_BYTE:
		return (int8_t)cursor_u8(in);
	case THRIFT_I16:
		return (int16_t)cursor_u16(in);
	case THRIFT_I32:
		return (int32_t)cursor_u32(in);
	case THRIFT_I64:
		return read_i64(in);
	default:
		in->bad = true;
		return 0;
	}
}

static bool read_field(struct cursor in, uint8_t type, char room[24], struct slice *value)
{
	int64_t number;

	if (type == THRIFT_STRING) {
		*value = cursor_take(&in, cursor_u32(&in));
		return !in.bad;
	}
	number = read_number(&in, type);
	return !in.bad && say_number(number, room, value);
}

/*
 * The struct in the body. A gRPC body begins with the prefix of its first message, which is 0 or 1
 * in its first byte; one that was taken out of its prefix begins with a field's type, which is
 * neither.
 */
static struct slice argument_of(const struct rpc_message *m)
{
	struct slice body = m->body;

	if (m->form.payload != RPC_THRIFT || body.len == 0)
		return SLICE_NONE;
	if (m->form.transport != RPC_HTTP2 || body.data[0] > 1)
		return body;
	if (body.data[0] == 1 || body.len < GRPC_PREFIX)
		return SLICE_NONE;
	return slice_first(slice_from(body, GRPC_PREFIX), load_u32(body.data + 1));
}

bool rpc_find_field(const struct rpc_message *m, const int16_t *path, unsigned depth, char room[24],
    struct slice *value)
{
	struct cursor in = cursor_of(argument_of(m));
	uint8_t type = THRIFT_STRUCT;

	for (unsigned i = 0; i < depth; i++) {
		if (type != THRIFT_STRUCT)
			return false;
		type = find_id(in, path[i], i + 1, &in);
		if (type == THRIFT_STOP)
			return false;
	}
	return read_field(in, type, room, value);
}
