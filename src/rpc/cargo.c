#include "rpc/cargo.h"

#include "base/utf8.h"
#include "rpc/carrier.h"
#include "rpc/head.h"
#include "rpc/head_write.h"
#include "rpc/metadata.h"

#define CLIENT   "bridled"
#define UNHASHED 8u /* so few are found as fast without; of more, names may be made up to be slow */

static uint64_t hash_of(const struct cargo *cargo, struct slice key)
{
	return cargo->is_hashed ? slice_hash(key, 0) : 0;
}

static void hash_all(struct cargo *cargo)
{
	if (cargo->is_hashed)
		return;
	cargo->is_hashed = true;
	for (unsigned i = 0; i < cargo->n; i++)
		cargo->pairs[i].hash = hash_of(cargo, cargo->pairs[i].key);
}

static struct cargo_pair *find(struct cargo *cargo, unsigned from, struct slice key, uint64_t hash)
{
	for (unsigned i = from; i < cargo->n; i++)
		if (cargo->pairs[i].hash == hash && slice_eq(cargo->pairs[i].key, key))
			return &cargo->pairs[i];
	return NULL;
}

struct cargo_pair *cargo_find(struct cargo *cargo, struct slice key)
{
	hash_all(cargo);
	return find(cargo, 0, key, hash_of(cargo, key));
}

static void push(struct cargo *cargo, struct slice key, struct slice value, uint64_t hash)
{
	struct cargo_pair *pair;

	if (cargo->n == RPC_CARRY_ENTRIES) {
		cargo->is_over = true;
		return;
	}
	cargo->bytes += CARGO_PAIR_EXTRA + key.len + value.len;
	pair = &cargo->pairs[cargo->n++];
	pair->key = key;
	pair->value = value;
	pair->hash = hash;
	pair->is_due = true;
	pair->is_said = false;
}

/* Of a key that comes twice the last value counts, as in a header. Facts are put first, and no
 * entry has their keys. */
static void add_pair(struct cargo *cargo, struct slice key, struct slice value)
{
	struct cargo_pair *pair;
	uint64_t hash;

	if (cargo->n - cargo->n_facts >= UNHASHED)
		hash_all(cargo);
	hash = hash_of(cargo, key);
	pair = find(cargo, cargo->n_facts, key, hash);
	if (pair == NULL) {
		push(cargo, key, value, hash);
		return;
	}
	cargo->bytes += value.len - pair->value.len;
	pair->value = value;
}

/* ---- text ---- */

static uint64_t load_word(const uint8_t *p)
{
	uint64_t word;

	memcpy(&word, p, sizeof word);
	return word;
}

static bool is_ascii(struct slice s)
{
	uint64_t bits = 0;

	if (s.len < sizeof bits) {
		for (size_t i = 0; i < s.len; i++)
			bits |= s.data[i];
	} else {
		for (size_t i = 0; i + sizeof bits < s.len; i += sizeof bits)
			bits |= load_word(s.data + i);
		bits |= load_word(s.data + s.len - sizeof bits);
	}
	return (bits & 0x8080808080808080u) == 0;
}

/* Readers that know nothing of a carrier pass over it all the same, and some of them decode every
 * string on their way: one that is no UTF-8 would fail their call. */
static bool is_text(struct slice s)
{
	return is_ascii(s) || utf8_is_text(s);
}

/* ---- metadata ---- */

/* What belongs to the hop or to the header, or is said by a fact, stays behind. */
static bool is_carried(enum metadata_kind kind, const struct ttheader_entry *e)
{
	switch (kind) {
	case METADATA_PERSISTENT:
	case METADATA_TRANSIENT:
	case METADATA_UPSTREAM:
	case METADATA_BACKWARD:
	case METADATA_ACL:
		break;
	case METADATA_HEADER:
		if (carrier_is_fact(e->key))
			return false;
		break;
	default:
		return false;
	}
	return is_text(e->key) && is_text(e->value);
}

static void add_entry(struct cargo *cargo, const struct ttheader_entry *e, struct rpc_edit *edit)
{
	enum metadata_kind kind = metadata_of_entry(e, false);

	if (is_carried(kind, e)) {
		if (e->value.len) /* what is empty is not there, as for Kitex's readers */
			add_pair(cargo,
			    e->kind == TTHEADER_ACL ? SLICE_LIT(METADATA_TOKEN_KEY) : e->key,
			    e->value);
	} else if (cargo->is_alone && kind != METADATA_FACT && kind != METADATA_PRIVATE) {
		metadata_drop(edit, kind); /* facts are known otherwise */
	}
}

static void add_change(struct cargo *cargo, const struct rpc_change *change, struct rpc_edit *edit,
    struct arena *arena)
{
	struct ttheader_entry e = {.kind = TTHEADER_STR, .value = change->value};
	uint8_t room[METADATA_NAME_MAX];

	if (change->kind == RPC_CHANGE_INT)
		e = (struct ttheader_entry){.kind = TTHEADER_INT, .int_key = change->number};
	else if (change->kind == RPC_CHANGE_META)
		e.key = arena_copy(arena, changes_key(change, room));
	else
		e.key = change->name;
	add_entry(cargo, &e, edit);
}

static void add_sections(
    struct cargo *cargo, struct ttheader_iter it, struct rpc_edit *edit, struct arena *arena)
{
	struct ttheader_entry e;

	while (ttheader_next(&it, &e)) {
		int index = cargo->is_asked ? changes_find_entry(&cargo->changes, &e) : -1;
		const struct rpc_change *change =
		    index < 0 ? NULL : changes_take(&cargo->changes, index);

		if (change)
			add_change(cargo, change, edit, arena);
		else if (index < 0)
			add_entry(cargo, &e, edit);
	}
}

/* The fields of HTTP/2 as a TTHeader would have them. What is lost on the way is lost to the form
 * that the message goes out in: its writer counts it, if there is one. */
static void add_fields(
    struct cargo *cargo, const struct rpc_message *m, struct rpc_edit *edit, struct arena *arena)
{
	struct rpc_edit uncounted = *edit;
	struct slice sections =
	    head_fields_as_sections(m, cargo->is_alone ? edit : &uncounted, &cargo->changes, arena);
	struct ttheader_iter it = ttheader_entries(sections);
	struct ttheader_entry e;

	cargo->is_over |= sections.data == NULL;
	while (ttheader_next(&it, &e))
		add_entry(cargo, &e, edit);
	cargo->is_over |= it.why != NULL; /* more than may be read */
}

static void add_metadata(
    struct cargo *cargo, const struct rpc_message *m, struct rpc_edit *edit, struct arena *arena)
{
	struct changes *c = &cargo->changes;
	bool is_http = m->form.transport == RPC_HTTP2;

	cargo->is_asked = changes_are_asked(edit);
	if (cargo->is_asked || is_http)
		changes_init(c, edit, is_http);
	if (is_http)
		add_fields(cargo, m, edit, arena);
	else
		add_sections(cargo, head_entries(m), edit, arena);
	for (unsigned i = 0; cargo->is_asked && i < c->n; i++)
		if (c->is_due[i])
			add_change(cargo, changes_take(c, (int)i), edit, arena);
}

bool cargo_is_named(const struct cargo *cargo, struct slice key)
{
	struct ttheader_entry e = {.kind = TTHEADER_STR, .key = key};

	return cargo->is_asked && changes_find_entry(&cargo->changes, &e) >= 0;
}

/* ---- facts ---- */

static struct slice text_of(struct slice s)
{
	return is_text(s) ? s : SLICE_NONE;
}

static void add_fact(struct cargo *cargo, struct slice key, struct slice value)
{
	if (value.len && is_text(value))
		push(cargo, key, value, 0);
}

static void add_facts(
    struct cargo *cargo, const struct rpc_carrier *carrier, const struct rpc_carry_facts *facts)
{
	if (carrier->type == RPC_CARRIER_BASE) {
		cargo->strings[BASE_LOG_ID - 1] = text_of(facts->log_id);
		cargo->strings[BASE_CALLER - 1] = text_of(facts->caller);
		cargo->strings[BASE_ADDR - 1] = text_of(facts->address);
		cargo->strings[BASE_CLIENT - 1] = SLICE_LIT(CLIENT);
	} else {
		add_fact(cargo, SLICE_LIT(RPC_CARRY_LOG_ID), facts->log_id);
		add_fact(cargo, SLICE_LIT(RPC_CARRY_CALLER), facts->caller);
		add_fact(cargo, SLICE_LIT(RPC_CARRY_ADDR), facts->address);
	}
	add_fact(cargo, SLICE_LIT(RPC_CARRY_CALLER_METHOD), facts->caller_method);
	add_fact(cargo, SLICE_LIT(RPC_CARRY_SERVICE), facts->service);
	add_fact(cargo, SLICE_LIT(RPC_CARRY_METHOD), facts->method);
	if (facts->deadline_ms)
		add_fact(cargo, SLICE_LIT(RPC_CARRY_DEADLINE),
		    head_decimal(cargo->deadline, sizeof cargo->deadline, facts->deadline_ms));
}

void cargo_collect(struct cargo *cargo, const struct rpc_message *m, struct rpc_edit *edit,
    const struct rpc_carrier *carrier, const struct rpc_carry_facts *facts, struct arena *arena)
{
	memset(cargo->strings, 0, sizeof cargo->strings);
	cargo->n = 0;
	cargo->is_hashed = false;
	cargo->bytes = 0;
	cargo->is_over = false;
	cargo->is_alone = edit->form.transport == RPC_PLAIN;
	add_facts(cargo, carrier, facts);
	cargo->n_facts = cargo->n;
	add_metadata(cargo, m, edit, arena);
}
