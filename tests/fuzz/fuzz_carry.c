/*
 * Metadata into and out of any body: the first bytes choose how, then sections of a TTHeader behind
 * their length, then the body. What is changed stays a struct, and differs in its carrier alone;
 * what is not understood stays; what was put in is found again; a second time changes nothing.
 */
#include "fuzz.h"
#include "rpc/facts.h"
#include "support/carrying.h"

enum { HOW, KNOWN, ID, SECTIONS, CHOICES };

/* Of KNOWN. */
enum { CALLER = 1, METHOD = 2, SERVICE = 4, DEADLINE = 8, ATTESTED = 16, CHANGED = 32 };

/* ---- replies ---- */

static void read_reply(struct slice body)
{
	struct rpc_message m = {.form = {RPC_PLAIN, RPC_THRIFT, true},
	    .kind = RPC_REPLY,
	    .body = body,
	    .body_len = body.len,
	    .complete = true};
	struct struct_parts parts;
	struct arena arena;
	int32_t code;

	arena_init(&arena, NULL, 0);
	if (rpc_note_base_resp(&m, &arena)) {
		must(struct_read(body, &parts));
		must(rpc_biz_code(&m, &code) && code != 0);
		struct_parts_free(&parts);
	} else {
		must(m.marks == 0 && m.biz_status.len == 0);
	}
	arena_fini(&arena);
}

/* ---- calls ---- */

static void choose(struct carrying *c, const uint8_t *choices)
{
	static const struct rpc_change changes[] = {
	    {.kind = RPC_CHANGE_META, .name = SLICE_LIT("k"), .value = SLICE_LIT("set")},
	    {.kind = RPC_CHANGE_HEADER, .name = SLICE_LIT("x"), .is_removal = true}};

	if (choices[HOW] & 1)
		c->carrier.type = RPC_CARRIER_ARGUMENT;
	c->carrier.id = (int8_t)choices[ID];
	c->carrier.merge = (enum rpc_merge)(choices[HOW] >> 1 & 3) % 3;
	if (choices[HOW] & 8)
		c->edit.form.transport = RPC_TTHEADER;
	if (!(choices[KNOWN] & CALLER))
		c->facts.caller = c->facts.address = SLICE_NONE;
	if (choices[KNOWN] & METHOD)
		c->facts.caller_method = SLICE_LIT("Say");
	if (!(choices[KNOWN] & SERVICE))
		c->facts.service = SLICE_NONE;
	if (choices[KNOWN] & DEADLINE)
		c->facts.deadline_ms = UINT64_MAX;
	c->facts.is_attested = choices[KNOWN] & ATTESTED;
	if (choices[KNOWN] & CHANGED) {
		c->edit.changes = changes;
		c->edit.n_changes = 2;
	}
}

static void check_lifted(const struct carrying *c)
{
	struct rpc_message m = {.form = {RPC_PLAIN, RPC_THRIFT, true},
	    .timeout = USEC_NONE,
	    .body = c->out,
	    .body_len = c->out.len,
	    .complete = true};
	struct carrier_seen seen;
	struct arena arena;
	struct slice value;

	arena_init(&arena, NULL, 0);
	carrier_see(&seen, c->out, &c->carrier);
	if (rpc_lift(&m, &c->carrier, 1, &arena)) {
		must(seen.is_understood && seen.is_there && m.marks & RPC_IS_LIFTED);
		must(slice_eq(m.body, c->out));
		if (rpc_find_meta(&m, SLICE_LIT("k"), &value))
			must(value.len > 0);
		if (c->carrier.type == RPC_CARRIER_BASE && seen.strings[0].len <= 1024)
			must(slice_eq(m.log_id, seen.strings[0]));
	} else {
		must(m.marks == 0 && m.sections.len == 0);
	}
	carrier_seen_free(&seen);
	arena_fini(&arena);
}

/* Unless somebody else has said who calls, and was let say it: that is of an earlier hop then. */
static void check_again(const struct carrying *c, const uint8_t *choices)
{
	struct carrying again;

	if (c->facts.service.len && c->facts.caller.len && c->carrier.merge != RPC_MERGE_REPLACE)
		return;
	carrying_begin_with(&again, c->m.sections, c->out);
	choose(&again, choices);
	must(carrying_go(&again) == RPC_UNCARRIED_KEPT);
	carrying_end(&again);
}

static void carry(const uint8_t *choices, struct slice sections, struct slice body)
{
	struct carrier_seen before, after;
	enum rpc_uncarried why;
	struct carrying c;

	carrying_begin_with(&c, sections, body);
	choose(&c, choices);
	why = carrying_go(&c);
	carrier_see(&before, c.m.body, &c.carrier);
	carrier_see(&after, c.out, &c.carrier);
	if (why == RPC_CARRIED) {
		must(before.is_understood && after.is_understood && after.is_there);
		must(carrier_differs_alone(&before, &after, &c.carrier));
		check_again(&c, choices);
	}
	check_lifted(&c);
	carrier_seen_free(&before);
	carrier_seen_free(&after);
	carrying_end(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice rest, sections;

	if (size < CHOICES)
		return 0;
	rest = slice_of(data + CHOICES, size - CHOICES);
	sections = slice_first(rest, data[SECTIONS]);
	rest = slice_from(rest, sections.len);
	if (data[HOW] & 0x80)
		read_reply(rest);
	else
		carry(data, sections, rest);
	return 0;
}
