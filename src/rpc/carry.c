#include "rpc/carry.h"

#include "rpc/attest.h"
#include "rpc/cargo.h"
#include "rpc/carrier.h"
#include "rpc/metadata.h"
#include "rpc/trace_name.h"

#define FIELD_HEAD  3u /* type, id */
#define MAP_HEAD    6u /* two types, count */
#define COUNT_AT    2u /* in it */
#define STRING_HEAD 4u

const char *rpc_uncarried_name(enum rpc_uncarried why)
{
	static const char *const names[RPC_UNCARRIED] = {
	    [RPC_UNCARRIED_PAYLOAD] = "payload",
	    [RPC_UNCARRIED_LONG] = "long",
	    [RPC_UNCARRIED_SHAPE] = "shape",
	    [RPC_UNCARRIED_SIZE] = "size",
	};

	return names[why];
}

/* ---- writing ---- */

static void write_field(struct writer *w, enum thrift_value type, int16_t id)
{
	write_u8(w, (uint8_t)type);
	write_u16(w, (uint16_t)id);
}

static void write_string(struct writer *w, struct slice s)
{
	write_u32(w, (uint32_t)s.len);
	write_bytes(w, s);
}

static void write_map_head(struct writer *w, uint32_t n)
{
	write_u8(w, THRIFT_STRING);
	write_u8(w, THRIFT_STRING);
	write_u32(w, n);
}

static void write_pair(struct writer *w, struct cargo_pair *pair)
{
	write_string(w, pair->key);
	write_string(w, pair->value);
	pair->is_due = false;
}

/* Returns how many. */
static uint32_t write_due_pairs(struct writer *w, struct cargo *cargo)
{
	uint32_t n = 0;

	for (unsigned i = 0; i < cargo->n; i++) {
		if (cargo->pairs[i].is_due) {
			write_pair(w, &cargo->pairs[i]);
			n++;
		}
	}
	return n;
}

static void write_base_string(struct writer *w, const struct cargo *cargo, unsigned i)
{
	if (cargo->strings[i].len == 0)
		return;
	write_field(w, THRIFT_STRING, (int16_t)(i + 1));
	write_string(w, cargo->strings[i]);
}

/* Of a field with all that is in the cargo, at most. */
static size_t bound_of(const struct cargo *cargo)
{
	size_t len = FIELD_HEAD + FIELD_HEAD + MAP_HEAD + cargo->bytes + 1;

	for (unsigned i = 0; i < CARGO_STRINGS; i++)
		len += FIELD_HEAD + STRING_HEAD + cargo->strings[i].len;
	return len;
}

/* ---- a new carrier ---- */

static void write_new_map(struct writer *w, struct cargo *cargo)
{
	write_map_head(w, cargo->n);
	write_due_pairs(w, cargo);
}

static void write_new_base(struct writer *w, struct cargo *cargo)
{
	for (unsigned i = 0; i < CARGO_STRINGS; i++)
		write_base_string(w, cargo, i);
	if (cargo->n) {
		write_field(w, THRIFT_MAP, BASE_EXTRA);
		write_new_map(w, cargo);
	}
	write_u8(w, THRIFT_STOP);
}

static enum rpc_uncarried append(struct cargo *cargo, const struct rpc_carrier *carrier, size_t at,
    struct arena *arena, struct rpc_splice *splice)
{
	size_t bound = bound_of(cargo);
	struct writer w;

	if (bound > RPC_CARRY_MAX)
		return RPC_UNCARRIED_SIZE;
	w = writer_of(arena_alloc(arena, bound), bound);
	if (carrier->type == RPC_CARRIER_BASE) {
		write_field(&w, THRIFT_STRUCT, RPC_BASE_FIELD);
		write_new_base(&w, cargo);
	} else {
		write_field(&w, THRIFT_MAP, carrier->id);
		write_new_map(&w, cargo);
	}
	*splice = (struct rpc_splice){.at = at, .with = writer_slice(&w)};
	return RPC_CARRIED;
}

/* ---- one that is there ---- */

struct merging {
	struct cargo *cargo;
	const struct rpc_carry_facts *facts;
	bool is_over; /* what we know stands in place of what it says */
	bool is_past; /* it was written for an earlier hop */
	struct writer w;
	uint32_t n; /* pairs written */
};

/* Beside the fields of Base; as in a header. */
static bool may_be_stated(const struct rpc_carry_facts *facts, struct slice key)
{
	const struct rpc_attestation as = {.is_identity = facts->is_attested,
	    .reserved = facts->reserved,
	    .n_reserved = facts->n_reserved};

	return (!as.is_identity && as.n_reserved == 0) || rpc_may_be_stated(&as, key);
}

/* Of an earlier hop, and of no use behind it. The log id and traces go on. */
static bool is_of_hop(struct slice key)
{
	enum metadata_kind kind = metadata_of_key(key, false);
	bool is_transient;

	if (kind == METADATA_TRANSIENT || kind == METADATA_UPSTREAM || kind == METADATA_ACL)
		return trace_name_of_key(key, &is_transient) == TRACE_NAMES;
	return carrier_is_fact(key) && !slice_eq(key, SLICE_LIT(RPC_CARRY_LOG_ID));
}

static bool is_unwanted(const struct merging *g, struct slice key)
{
	return (g->is_past && is_of_hop(key)) || !may_be_stated(g->facts, key) ||
	       cargo_is_named(g->cargo, key);
}

/* The first pair with a key that we write makes place for it, and what repeats it goes. */
static void merge_pair(struct merging *g, struct slice key, struct slice value)
{
	struct cargo_pair *pair = cargo_find(g->cargo, key);

	if (pair && !pair->is_said) {
		if (!pair->is_due)
			return;
		write_pair(&g->w, pair);
	} else if (pair == NULL && is_unwanted(g, key)) {
		return;
	} else {
		write_string(&g->w, key);
		write_string(&g->w, value);
	}
	g->n++;
}

/* Of a key that it has twice the last value counts. The callee's method is said with the callee. */
static void note_said(struct merging *g, struct carrier_pairs pairs)
{
	struct slice key, value;

	while (carrier_next_pair(&pairs, &key, &value)) {
		struct cargo_pair *pair = cargo_find(g->cargo, key);

		if (pair && !g->is_over && !is_unwanted(g, key) &&
		    !slice_eq(key, SLICE_LIT(RPC_CARRY_METHOD))) {
			pair->is_said = value.len > 0;
			pair->is_due = !pair->is_said;
		}
	}
}

/* @pairs of the map that is there. */
static void merge_map(struct merging *g, struct carrier_pairs pairs)
{
	size_t count_at = writer_len(&g->w) + COUNT_AT;
	struct slice key, value;

	note_said(g, pairs);
	write_map_head(&g->w, 0);
	while (carrier_next_pair(&pairs, &key, &value))
		merge_pair(g, key, value);
	g->n += write_due_pairs(&g->w, g->cargo);
	if (!g->w.bad)
		store_u32(g->w.start + count_at, g->n);
}

/* Does the string stay that Base has at this place? */
static bool keeps_string(const struct merging *g, unsigned i, struct slice said)
{
	bool is_identity = i == BASE_CALLER - 1 || i == BASE_ADDR - 1;

	if (is_identity && (g->is_past || g->facts->is_attested))
		return false;
	if (g->cargo->strings[i].len == 0)
		return true;
	return said.len && !g->is_over;
}

enum { EXTRA = CARGO_STRINGS, BASE_FIELDS };

static void merge_base(
    struct merging *g, struct slice base, struct carrier_field *fields, struct carrier_pairs pairs)
{
	struct cursor in = cursor_of(base);
	struct thrift_field field;
	const uint8_t *from = in.at;

	for (; thrift_next_field(&in, &field); from = in.at) {
		unsigned i = (unsigned)(field.id - 1);

		thrift_skip(&in, field.type, 0);
		if (field.id == BASE_EXTRA) {
			write_field(&g->w, THRIFT_MAP, BASE_EXTRA);
			merge_map(g, pairs);
		} else if (field.id < 1 || i >= CARGO_STRINGS ||
			   keeps_string(g, i, carrier_text(&fields[i]))) {
			write_bytes(&g->w, slice_of(from, (size_t)(in.at - from)));
		} else {
			write_base_string(&g->w, g->cargo, i);
		}
	}
	for (unsigned i = 0; i < CARGO_STRINGS; i++)
		if (!fields[i].is_there)
			write_base_string(&g->w, g->cargo, i);
	if (!fields[EXTRA].is_there && g->cargo->n) {
		write_field(&g->w, THRIFT_MAP, BASE_EXTRA);
		merge_map(g, pairs);
	}
	write_u8(&g->w, THRIFT_STOP);
}

static bool read_there(const struct rpc_carrier *carrier, struct slice there,
    struct carrier_field fields[BASE_FIELDS], struct carrier_pairs *pairs)
{
	struct slice map = there;

	if (carrier->type == RPC_CARRIER_BASE) {
		for (unsigned i = 0; i < CARGO_STRINGS; i++)
			fields[i] =
			    (struct carrier_field){.id = (int16_t)(i + 1), .type = THRIFT_STRING};
		fields[EXTRA] = (struct carrier_field){.id = BASE_EXTRA, .type = THRIFT_MAP};
		if (!carrier_read_fields(there, fields, BASE_FIELDS))
			return false;
		map = fields[EXTRA].is_there ? fields[EXTRA].value : SLICE_NONE;
	}
	return carrier_pairs_of(map, pairs);
}

static struct slice find_value(struct carrier_pairs pairs, struct slice wanted)
{
	struct slice key, value, found = SLICE_NONE;

	while (carrier_next_pair(&pairs, &key, &value))
		if (slice_eq(key, wanted))
			found = value;
	return found;
}

static bool is_for_earlier_hop(
    struct carrier_pairs pairs, struct slice caller, const struct rpc_carry_facts *facts)
{
	struct slice service = find_value(pairs, SLICE_LIT(RPC_CARRY_SERVICE));
	struct slice method = find_value(pairs, SLICE_LIT(RPC_CARRY_METHOD));

	if (service.len == 0)
		return false;
	return !slice_eq(service, facts->service) || !slice_eq(method, facts->method) ||
	       (facts->caller.len && !slice_eq(caller, facts->caller));
}

static enum rpc_uncarried merge(struct cargo *cargo, const struct rpc_carrier *carrier,
    const struct rpc_carry_facts *facts, struct slice there, struct arena *arena,
    struct rpc_splice *splice)
{
	struct merging g = {.cargo = cargo, .facts = facts};
	struct carrier_field fields[BASE_FIELDS];
	struct carrier_pairs pairs;
	size_t bound = there.len + bound_of(cargo);

	if (!read_there(carrier, there, fields, &pairs))
		return RPC_UNCARRIED_SHAPE;
	if (pairs.n > RPC_CARRY_ENTRIES || bound > 2 * RPC_CARRY_MAX)
		return RPC_UNCARRIED_SIZE;
	g.is_past = is_for_earlier_hop(pairs,
	    carrier->type == RPC_CARRIER_BASE ? carrier_text(&fields[BASE_CALLER - 1])
					      : find_value(pairs, SLICE_LIT(RPC_CARRY_CALLER)),
	    facts);
	g.is_over = g.is_past || carrier->merge == RPC_MERGE_REPLACE;
	g.w = writer_of(arena_alloc(arena, bound), bound);
	if (carrier->type == RPC_CARRIER_BASE)
		merge_base(&g, there, fields, pairs);
	else
		merge_map(&g, pairs);
	splice->with = writer_slice(&g.w);
	if (g.w.bad || g.n > RPC_CARRY_ENTRIES || splice->with.len > RPC_CARRY_MAX)
		return RPC_UNCARRIED_SIZE;
	return slice_eq(splice->with, there) ? RPC_UNCARRIED_KEPT : RPC_CARRIED;
}

/* ---- */

static enum rpc_uncarried put(struct cargo *cargo, const struct rpc_message *m,
    const struct rpc_carrier *carrier, const struct rpc_carry_facts *facts,
    const struct carrier_place *place, struct arena *arena, struct rpc_splice *splice)
{
	if (cargo->is_over)
		return RPC_UNCARRIED_SIZE;
	if (!place->is_there)
		return append(cargo, carrier, place->at, arena, splice);
	*splice = (struct rpc_splice){.at = place->at, .cut = place->len};
	return merge(
	    cargo, carrier, facts, slice_sub(m->body, place->at, place->len), arena, splice);
}

enum rpc_uncarried rpc_carry(const struct rpc_message *m, struct rpc_edit *edit,
    const struct rpc_carrier *carrier, const struct rpc_carry_facts *facts, struct arena *arena,
    struct rpc_splice *splice)
{
	unsigned dropped[RPC_DROPPED_CLASSES];
	struct carrier_place place;
	enum rpc_uncarried why;
	struct cargo cargo;

	if (m->form.payload != RPC_THRIFT || m->form.transport == RPC_TTSTREAM)
		return RPC_UNCARRIED_PAYLOAD;
	if (!m->complete)
		return RPC_UNCARRIED_LONG;
	if (!carrier_find(m->body, carrier, &place))
		return RPC_UNCARRIED_SHAPE;
	if (place.is_there && carrier->merge == RPC_MERGE_KEEP)
		return RPC_UNCARRIED_KEPT;
	memcpy(dropped, edit->dropped, sizeof dropped);
	cargo_collect(&cargo, m, edit, carrier, facts, arena);
	why = put(&cargo, m, carrier, facts, &place, arena, splice);
	if (why != RPC_CARRIED) /* then the writer counts all of it */
		memcpy(edit->dropped, dropped, sizeof dropped);
	return why;
}
