/*
 * Carriers in structs that chance made: all types, nested, empty, ids of every size, fields 255 at
 * every depth and of every type. What goes out is what came in but for the one field, and in it
 * what a plain model says; what is not understood stays. Then everything cut and bent.
 */
#include <stdio.h>

#include "base/rng.h"
#include "rpc/facts.h"
#include "rpc/metadata.h"
#include "support/carrying.h"
#include "support/frames.h"
#include "support/structs.h"
#include "support/suite.h"
#include "wire/thrift.h"

#define RUNS   20000u
#define BYTES  (1u << 16)
#define DEPTH  5u
#define N_KEYS 10u

static const char *const keys[N_KEYS] = {"RPC_PERSIST_a", "RPC_PERSIST_b", "RPC_TRANSIT_c",
    "RPC_TRANSIT_traceparent", "RPC_TRANSIT_gdpr-token", "x-env", "rip", "destination-service",
    "source-method", "isn"};

/* ---- structs made by chance ---- */

struct making {
	struct rng rng;
	struct writer w;
};

static unsigned below(struct making *m, unsigned bound)
{
	return (unsigned)rng_below(&m->rng, bound);
}

static uint8_t any_type(struct making *m, unsigned depth)
{
	static const uint8_t types[] = {2, 3, 4, 6, 8, 10, 11, 12, 13, 14, 15};

	return types[below(m, depth < DEPTH ? sizeof types : 7)];
}

static void make_bytes(struct making *m, unsigned n)
{
	while (n-- > 0)
		write_u8(&m->w, (uint8_t)rng_next(&m->rng));
}

static void make_text(struct making *m, struct slice s)
{
	write_u32(&m->w, (uint32_t)s.len);
	write_bytes(&m->w, s);
}

static void make_struct(struct making *m, unsigned depth);

static void make_value(struct making *m, uint8_t type, unsigned depth)
{
	static const uint8_t sizes[16] = {[2] = 1, [3] = 1, [4] = 8, [6] = 2, [8] = 4, [10] = 8};
	uint32_t n = below(m, 4);
	uint8_t first = any_type(m, depth + 1), second = any_type(m, depth + 1);

	if (type == 12) {
		make_struct(m, depth + 1);
		return;
	}
	if (sizes[type] || type == 11) {
		if (type == 11)
			write_u32(&m->w, n);
		make_bytes(m, type == 11 ? n : sizes[type]);
		return;
	}
	write_u8(&m->w, n || below(m, 2) ? first : 0);
	if (type == 13)
		write_u8(&m->w, n || below(m, 2) ? second : 0);
	write_u32(&m->w, n);
	while (n-- > 0) {
		make_value(m, first, depth + 1);
		if (type == 13)
			make_value(m, second, depth + 1);
	}
}

static void make_field(struct making *m, int16_t id, uint8_t type)
{
	write_u8(&m->w, type);
	write_u16(&m->w, (uint16_t)id);
}

static void make_any_field(struct making *m, const int16_t *ids, unsigned n, unsigned depth)
{
	uint8_t type = any_type(m, depth);

	make_field(m, ids[below(m, n)], type);
	make_value(m, type, depth);
}

static void make_struct(struct making *m, unsigned depth)
{
	static const int16_t ids[] = {-32768, -1, 0, 1, 2, 6, 254, 255, 256, 300, 32767};

	for (unsigned n = below(m, 4); n > 0; n--)
		make_any_field(m, ids, sizeof ids / sizeof ids[0], depth);
	write_u8(&m->w, 0);
}

static void make_map(struct making *m)
{
	uint32_t n = below(m, 5);

	if (n == 0 && below(m, 2)) {
		write_bytes(&m->w, slice_of("\0\0\0\0\0", 6));
		return;
	}
	write_bytes(&m->w, slice_of("\x0b\x0b", 2));
	write_u32(&m->w, n);
	while (n-- > 0) {
		make_text(m, slice_str(below(m, 8) ? keys[below(m, N_KEYS)] : "own"));
		make_text(m, slice_first(SLICE_LIT("theirs"), below(m, 4) ? 6 : 0));
	}
}

/* Nearly always one; what else is in it stays. */
static void make_base(struct making *m)
{
	static const int16_t others[] = {-6, 0, 5, 7, 255, 262};

	for (int16_t id = 1; id <= 6; id++) {
		if (below(m, 3) == 0)
			make_any_field(m, others, sizeof others / sizeof others[0], 3);
		if (id == 5 || below(m, 2))
			continue;
		make_field(m, id, id == 6 ? 13 : 11);
		if (id == 6)
			make_map(m);
		else
			make_text(m, slice_first(SLICE_LIT("said"), below(m, 3) ? 4 : 0));
	}
	if (below(m, 40) == 0)
		make_any_field(m, (const int16_t[]){1, 4, 6}, 3, 3);
	write_u8(&m->w, 0);
}

static void make_request(struct making *m)
{
	static const int16_t ids[] = {-1, 0, 1, 6, 254, 256, 511, -255};
	unsigned n = below(m, 5), at = below(m, 5), kind = below(m, 8);

	for (unsigned i = 0; i <= n; i++) {
		if (i == at && kind < 4) {
			make_field(m, 255, 12);
			make_base(m);
		}
		make_any_field(m, ids, sizeof ids / sizeof ids[0], 2);
	}
	if (kind == 7 && below(m, 4) == 0)
		make_any_field(m, (const int16_t[]){255}, 1, 2);
	write_u8(&m->w, 0);
}

static void make_args(struct making *m)
{
	static const int16_t ids[] = {-1, 0, 2, 3, 255, 256};
	unsigned n = below(m, 4), at = below(m, 4);

	for (unsigned i = 0; i <= n; i++) {
		if (i == at) {
			make_field(m, 1, 12);
			make_request(m);
		}
		if (below(m, 2))
			make_any_field(m, ids, sizeof ids / sizeof ids[0], 1);
	}
	if (below(m, 3) == 0) {
		make_field(m, 9, 13);
		make_map(m);
	}
	if (below(m, 30) == 0)
		make_any_field(m, (const int16_t[]){1, 9}, 2, 1);
	write_u8(&m->w, 0);
}

static void make_sections(struct making *m)
{
	unsigned n = below(m, 6);

	write_u8(&m->w, 1);
	write_u16(&m->w, (uint16_t)n);
	while (n-- > 0) {
		struct slice key = slice_str(keys[below(m, N_KEYS)]);
		struct slice value = slice_first(SLICE_LIT("ours"), below(m, 5) ? 4 : 0);

		write_u16(&m->w, (uint16_t)key.len);
		write_bytes(&m->w, key);
		write_u16(&m->w, (uint16_t)value.len);
		write_bytes(&m->w, value);
	}
}

/* ---- a plain model ---- */

/* What the call has under this key, for a body. */
static struct slice ours(const struct carrying *c, const char *key)
{
	struct ttheader_iter it = ttheader_entries(c->m.sections);
	struct ttheader_entry e;
	struct slice found = SLICE_NONE;

	if (slice_eq_str(slice_str(key), "destination-service"))
		return c->facts.service;
	if (slice_eq_str(slice_str(key), "source-method"))
		return c->facts.caller_method;
	if (slice_eq_str(slice_str(key), "rip"))
		return c->carrier.type == RPC_CARRIER_ARGUMENT ? c->facts.address : SLICE_NONE;
	while (!slice_eq_str(slice_str(key), "isn") && ttheader_next(&it, &e))
		if (slice_eq_str(e.key, key) && e.value.len)
			found = e.value;
	return found;
}

static struct slice merged(enum rpc_merge merge, struct slice theirs, struct slice our)
{
	if (our.len == 0)
		return theirs;
	return theirs.len == 0 || merge == RPC_MERGE_REPLACE ? our : theirs;
}

/* With neither an earlier hop nor attestation nor changes. */
static void must_be_merged(
    const struct carrying *c, const struct carrier_seen *before, const struct carrier_seen *after)
{
	const struct slice facts[] = {
	    c->facts.log_id, c->facts.caller, c->facts.address, SLICE_LIT("bridled")};

	if (struct_value(before->map, "destination-service").len || c->facts.is_attested)
		return;
	for (size_t i = 0; i < N_KEYS; i++)
		ck_assert_msg(slice_eq(struct_value(after->map, keys[i]),
				  merged(c->carrier.merge, struct_value(before->map, keys[i]),
				      ours(c, keys[i]))),
		    "%s", keys[i]);
	for (size_t i = 0; i < 4 && c->carrier.type == RPC_CARRIER_BASE; i++)
		ck_assert(slice_eq(
		    after->strings[i], merged(c->carrier.merge, before->strings[i], facts[i])));
	ck_assert(slice_eq(struct_value(before->map, "own"), struct_value(after->map, "own")));
}

/* ---- one call ---- */

static void begin(struct carrying *c, struct making *m, uint8_t *room)
{
	struct slice sections, body;

	m->w = writer_of(room, BYTES);
	make_sections(m);
	sections = writer_slice(&m->w);
	m->w = writer_of(room + sections.len, BYTES - sections.len);
	make_args(m);
	ck_assert(!m->w.bad);
	body = writer_slice(&m->w);
	carrying_begin_with(c, sections, body);
	if (below(m, 3) == 0)
		c->carrier =
		    (struct rpc_carrier){RPC_CARRIER_ARGUMENT, 9, RPC_MERGE_FILL, SLICE_NONE};
	c->carrier.merge = below(m, 2) ? RPC_MERGE_FILL : RPC_MERGE_REPLACE;
	c->facts.is_attested = below(m, 8) == 0;
	if (below(m, 2))
		c->facts.service = SLICE_NONE;
	if (below(m, 2))
		c->facts.address = c->facts.caller = SLICE_NONE;
	if (below(m, 2))
		c->facts.caller_method = SLICE_LIT("Say");
}

/* What another caller has said of itself to this callee, and was let stand, is of an earlier hop
 * the second time. */
static void must_stay_the_same(const struct carrying *c, const struct carrier_seen *after)
{
	struct carrying again;

	if (c->facts.service.len && c->facts.caller.len && after->is_there &&
	    c->carrier.type == RPC_CARRIER_BASE && !slice_eq(after->strings[1], c->facts.caller))
		return;
	carrying_begin_with(&again, c->m.sections, c->out);
	again.carrier = c->carrier;
	again.facts = c->facts;
	ck_assert_int_eq(carrying_go(&again), RPC_UNCARRIED_KEPT);
	carrying_end(&again);
}

/* A legacy application that sends this body says all that is in the carrier. */
static void must_be_lifted(const struct carrying *c, const struct carrier_seen *after)
{
	struct rpc_message m = {.form = {RPC_PLAIN, RPC_THRIFT, true},
	    .timeout = USEC_NONE,
	    .body = c->out,
	    .body_len = c->out.len,
	    .complete = true};
	struct slice service = struct_value(after->map, "destination-service"), value, key, found;
	struct arena arena;

	arena_init(&arena, NULL, 0);
	ck_assert(rpc_lift(&m, &c->carrier, 1000, &arena));
	ck_assert(m.marks & RPC_IS_LIFTED);
	if (c->carrier.type == RPC_CARRIER_BASE) {
		ck_assert(slice_eq(m.log_id, after->strings[0]));
		ck_assert(slice_eq(m.caller, service.len ? service : after->strings[1]));
	}
	for (size_t i = 0; struct_pair(after->map, i, &key, &value); i++) {
		char name[32];

		snprintf(name, sizeof name, "%.*s", (int)key.len, (const char *)key.data);
		if (metadata_of_key(key, false) == METADATA_PERSISTENT)
			ck_assert(rpc_find_header(&m, key, &found) &&
				  slice_eq(found, struct_value(after->map, name)));
	}
	arena_fini(&arena);
}

static void check(struct carrying *c, enum rpc_uncarried why)
{
	struct carrier_seen before, after;

	carrier_see(&before, c->m.body, &c->carrier);
	carrier_see(&after, c->out, &c->carrier);
	ck_assert_int_eq(why == RPC_UNCARRIED_SHAPE, !before.is_understood);
	if (before.is_understood) {
		ck_assert(carrier_differs_alone(&before, &after, &c->carrier));
		must_be_merged(c, &before, &after);
		must_stay_the_same(c, &after);
		must_be_lifted(c, &after);
	}
	carrier_seen_free(&before);
	carrier_seen_free(&after);
}

START_TEST(everything_stays_but_the_one_field)
{
	static uint8_t room[BYTES];
	struct making m;

	rng_init(&m.rng, 1);
	for (unsigned i = 0; i < RUNS; i++) {
		struct carrying c;

		begin(&c, &m, room);
		check(&c, carrying_go(&c));
		carrying_end(&c);
	}
}
END_TEST

/* carrying_go checks that only structs are changed, and into structs. */
START_TEST(what_is_cut_short_is_never_changed)
{
	static uint8_t room[BYTES];
	struct making m;

	rng_init(&m.rng, 2);
	for (unsigned i = 0; i < RUNS / 100; i++) {
		struct carrying c, cut;

		begin(&c, &m, room);
		for (size_t len = 0; len < c.m.body.len; len++) {
			carrying_begin_with(&cut, c.m.sections, slice_first(c.m.body, len));
			cut.carrier = c.carrier;
			ck_assert_int_eq(carrying_go(&cut), RPC_UNCARRIED_SHAPE);
			carrying_end(&cut);
		}
		carrying_end(&c);
	}
}
END_TEST

static bool walks(struct slice body)
{
	struct thrift_walk walk;
	struct wire_note note;
	size_t used;

	thrift_walk_init(&walk);
	return thrift_walk(&walk, body, &used, &note) == WIRE_OK && used == body.len;
}

static void must_agree(const struct carrying *c)
{
	struct struct_parts parts;

	ck_assert_int_eq(struct_read(c->m.body, &parts), walks(c->m.body));
	struct_parts_free(&parts);
}

START_TEST(what_is_bent_is_changed_only_while_it_is_a_struct)
{
	static uint8_t room[BYTES];
	struct making m;

	rng_init(&m.rng, 3);
	for (unsigned i = 0; i < RUNS; i++) {
		struct carrying c;

		begin(&c, &m, room);
		for (unsigned n = below(&m, 4); n <= 4; n++) {
			uint8_t *bytes = (uint8_t *)(uintptr_t)c.m.body.data;
			size_t at = below(&m, (unsigned)c.m.body.len);

			bytes[at] = (uint8_t)(below(&m, 2) ? below(&m, 17) : below(&m, 256));
		}
		must_agree(&c);
		carrying_go(&c);
		must_agree(&c);
		carrying_end(&c);
	}
}
END_TEST

/* Structs in structs around the request's only other field. */
static struct slice nested(uint8_t *room, unsigned depth)
{
	struct writer w = writer_of(room, BYTES);

	write_bytes(&w, slice_of("\x0c\0\x01", 3));
	for (unsigned i = 2; i < depth; i++)
		write_bytes(&w, slice_of("\x0c\0\x02", 3));
	for (unsigned i = 0; i < depth; i++)
		write_u8(&w, 0);
	return writer_slice(&w);
}

START_TEST(nesting_is_bounded_as_for_everybody)
{
	static uint8_t room[BYTES];

	for (unsigned depth = 2; depth < 80; depth++) {
		struct carrying c;

		carrying_begin_with(&c, SLICE_NONE, nested(room, depth));
		must_agree(&c);
		ck_assert_int_eq(
		    carrying_go(&c), depth <= THRIFT_DEPTH_MAX ? RPC_CARRIED : RPC_UNCARRIED_SHAPE);
		carrying_end(&c);
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    everything_stays_but_the_one_field,
	    what_is_cut_short_is_never_changed,
	    what_is_bent_is_changed_only_while_it_is_a_struct,
	    nesting_is_bounded_as_for_everybody,
	};

	return suite_run("carry_random", tests, sizeof tests / sizeof tests[0]);
}
