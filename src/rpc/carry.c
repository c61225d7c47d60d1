#include "rpc/carry.h"

#include "base/utf8.h"
#include "rpc/carrier.h"
#include "rpc/changes.h"
#include "rpc/head_write.h"
#include "rpc/metadata.h"

#define CLIENT       "bridled"
#define FIELD_HEAD   3u /* type, id */
#define MAP_HEAD     6u /* two types, count */
#define COUNT_AT     2u /* in it */
#define STRING_HEAD  4u
#define BASE_STRINGS 4u /* LogID to Client */

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

struct pair {
	struct slice key, value;
	uint64_t hash; /* of the key */
	bool is_due;   /* it is to be written, and has not been */
};

/* What is to be put into a carrier. */
struct load {
	struct slice strings[BASE_STRINGS]; /* of Base, by id - 1; empty: not known */
	struct pair pairs[RPC_CARRY_ENTRIES];
	unsigned n;
	bool is_over;  /* there were more */
	size_t bytes;  /* of the pairs, on the wire */
	bool is_alone; /* nothing but the carrier has them: what has no place in it is lost */
	char deadline[24];
};

/* ---- what there is to carry ---- */

static struct pair *find_pair(struct load *load, struct slice key, uint64_t hash)
{
	for (unsigned i = 0; i < load->n; i++)
		if (load->pairs[i].hash == hash && slice_eq(load->pairs[i].key, key))
			return &load->pairs[i];
	return NULL;
}

/* Of a key that comes twice the last value counts, as in a header. */
static void add_pair(struct load *load, struct slice key, struct slice value)
{
	uint64_t hash = slice_hash(key, 0);
	struct pair *pair = find_pair(load, key, hash);

	if (pair) {
		load->bytes += value.len - pair->value.len;
		pair->value = value;
		return;
	}
	if (load->n == RPC_CARRY_ENTRIES) {
		load->is_over = true;
		return;
	}
	load->bytes += 2 * STRING_HEAD + key.len + value.len;
	load->pairs[load->n++] = (struct pair){key, value, hash, true};
}

/* Readers that know nothing of a carrier pass over it all the same, and some of them decode every
 * string on their way: one that is no UTF-8 would fail their call. */
static bool is_text(struct slice s)
{
	while (s.len) {
		uint64_t word;
		uint32_t code;
		size_t len;

		if (s.len >= sizeof word) {
			memcpy(&word, s.data, sizeof word);
			if ((word & 0x8080808080808080u) == 0) {
				s = slice_from(s, sizeof word);
				continue;
			}
		}
		len = utf8_take(s, &code);
		if (len == 0)
			return false;
		s = slice_from(s, len);
	}
	return true;
}

static struct slice text_of(struct slice s)
{
	return is_text(s) ? s : SLICE_NONE;
}

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

static void add_entry(struct load *load, const struct ttheader_entry *e, struct rpc_edit *edit)
{
	enum metadata_kind kind = metadata_of_entry(e, false);

	if (is_carried(kind, e)) {
		if (e->value.len)
			add_pair(load,
			    e->kind == TTHEADER_ACL ? SLICE_LIT(METADATA_TOKEN_KEY) : e->key,
			    e->value);
	} else if (load->is_alone && kind != METADATA_FACT && kind != METADATA_PRIVATE) {
		metadata_drop(edit, kind);
	}
}

static void add_entries(struct load *load, const struct rpc_message *m, struct rpc_edit *edit)
{
	struct ttheader_iter it = m->form.transport == RPC_MESH ? ttheader_entries_mesh(m->sections)
								: ttheader_entries(m->sections);
	struct ttheader_entry e;

	while (ttheader_next(&it, &e))
		add_entry(load, &e, edit);
}

static void add_fact(struct load *load, struct slice key, struct slice value)
{
	if (value.len && is_text(value))
		add_pair(load, key, value);
}

static void add_facts(
    struct load *load, const struct rpc_carrier *carrier, const struct rpc_carried *facts)
{
	bool has_fields = carrier->type == RPC_CARRIER_BASE;

	if (has_fields) {
		load->strings[BASE_LOG_ID - 1] = text_of(facts->log_id);
		load->strings[BASE_CALLER - 1] = text_of(facts->caller);
		load->strings[BASE_ADDR - 1] = text_of(facts->address);
		load->strings[BASE_CLIENT - 1] = SLICE_LIT(CLIENT);
	} else {
		add_fact(load, SLICE_LIT(RPC_CARRY_LOG_ID), facts->log_id);
		add_fact(load, SLICE_LIT(RPC_CARRY_CALLER), facts->caller);
		add_fact(load, SLICE_LIT(RPC_CARRY_ADDR), facts->address);
	}
	add_fact(load, SLICE_LIT(RPC_CARRY_CALLER_METHOD), facts->caller_method);
	add_fact(load, SLICE_LIT(RPC_CARRY_SERVICE), facts->service);
	add_fact(load, SLICE_LIT(RPC_CARRY_METHOD), facts->method);
	if (facts->deadline_ms)
		add_fact(load, SLICE_LIT(RPC_CARRY_DEADLINE),
		    head_decimal(load->deadline, sizeof load->deadline, facts->deadline_ms));
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

static void write_pair(struct writer *w, struct pair *pair)
{
	write_string(w, pair->key);
	write_string(w, pair->value);
	pair->is_due = false;
}

static void write_map_head(struct writer *w, uint32_t n)
{
	write_u8(w, THRIFT_STRING);
	write_u8(w, THRIFT_STRING);
	write_u32(w, n);
}

/* What of it has not been written yet. */
static uint32_t write_due_pairs(struct writer *w, struct load *load)
{
	uint32_t n = 0;

	for (unsigned i = 0; i < load->n; i++) {
		if (load->pairs[i].is_due) {
			write_pair(w, &load->pairs[i]);
			n++;
		}
	}
	return n;
}

static void write_new_map(struct writer *w, struct load *load)
{
	write_map_head(w, load->n);
	write_due_pairs(w, load);
}

static void write_new_base(struct writer *w, struct load *load)
{
	for (unsigned i = 0; i < BASE_STRINGS; i++) {
		if (load->strings[i].len) {
			write_field(w, THRIFT_STRING, (int16_t)(i + 1));
			write_string(w, load->strings[i]);
		}
	}
	if (load->n) {
		write_field(w, THRIFT_MAP, BASE_EXTRA);
		write_new_map(w, load);
	}
	write_u8(w, THRIFT_STOP);
}

/* Of the field with all that is in it, at most. */
static size_t new_bound(const struct load *load)
{
	size_t len = FIELD_HEAD + FIELD_HEAD + MAP_HEAD + load->bytes + 1;

	for (unsigned i = 0; i < BASE_STRINGS; i++)
		len += FIELD_HEAD + STRING_HEAD + load->strings[i].len;
	return len;
}

static enum rpc_uncarried append(struct load *load, const struct rpc_carrier *carrier,
    const struct carrier_place *place, struct arena *arena, struct rpc_splice *splice)
{
	size_t bound = new_bound(load);
	struct writer w;

	if (bound > FIELD_HEAD + RPC_CARRY_MAX)
		return RPC_UNCARRIED_SIZE;
	w = writer_of(arena_alloc(arena, bound), bound);
	if (carrier->type == RPC_CARRIER_BASE) {
		write_field(&w, THRIFT_STRUCT, RPC_BASE_FIELD);
		write_new_base(&w, load);
	} else {
		write_field(&w, THRIFT_MAP, carrier->id);
		write_new_map(&w, load);
	}
	*splice = (struct rpc_splice){.at = place->at, .with = writer_slice(&w)};
	return RPC_CARRIED;
}

/* ---- */

static bool find_place(
    const struct rpc_message *m, const struct rpc_carrier *carrier, struct carrier_place *place)
{
	if (carrier->type == RPC_CARRIER_BASE)
		return carrier_find_base(m->body, CARRIER_REQUEST, place);
	return carrier_find_map(m->body, carrier->id, place);
}

static void collect(struct load *load, const struct rpc_message *m, struct rpc_edit *edit,
    const struct rpc_carrier *carrier, const struct rpc_carried *facts)
{
	load->n = 0;
	load->bytes = 0;
	load->is_over = false;
	load->is_alone = edit->form.transport == RPC_PLAIN;
	memset(load->strings, 0, sizeof load->strings);
	add_facts(load, carrier, facts);
	add_entries(load, m, edit);
}

enum rpc_uncarried rpc_carry(const struct rpc_message *m, struct rpc_edit *edit,
    const struct rpc_carrier *carrier, const struct rpc_carried *facts, struct arena *arena,
    struct rpc_splice *splice)
{
	struct carrier_place place;
	unsigned dropped[sizeof edit->dropped / sizeof edit->dropped[0]];
	enum rpc_uncarried why;
	struct load load;

	if (m->form.payload != RPC_THRIFT || m->form.transport == RPC_TTSTREAM)
		return RPC_UNCARRIED_PAYLOAD;
	if (!m->complete)
		return RPC_UNCARRIED_LONG;
	if (!find_place(m, carrier, &place))
		return RPC_UNCARRIED_SHAPE;
	if (place.is_there)
		return RPC_UNCARRIED_KEPT;
	memcpy(dropped, edit->dropped, sizeof dropped);
	collect(&load, m, edit, carrier, facts);
	why = load.is_over ? RPC_UNCARRIED_SIZE : append(&load, carrier, &place, arena, splice);
	if (why != RPC_CARRIED) /* then the writer counts all of it */
		memcpy(edit->dropped, dropped, sizeof dropped);
	return why;
}
