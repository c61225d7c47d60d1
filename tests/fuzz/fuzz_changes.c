/*
 * Metadata changed by rules: the first bytes choose a form to write and up to eight changes, the
 * rest is a call, or fields of HTTP/2 with their lengths. Read again, it has what was set, once,
 * nothing that was taken away, and everything that no change names, in order.
 */
#include <string.h>

#include "fuzz.h"
#include "rpc/changes.h"
#include "rpc/facts.h"
#include "rpc/metadata.h"
#include "support/reading.h"

#define N_CHANGES 8u
#define N_NAMES   8u
#define N_FIELDS  64u

enum { CHOICES = 2 + 2 * N_CHANGES };

static const char *const names[N_NAMES] = {
    "K", "k", "RetryReq", "log_id", "LOG-ID", "gdpr-token", "x", "very.long.name.of.a.key"};
static const char *const headers[N_NAMES] = {"x", "X", "isn", "crc32c", "RPC_PERSIST_K",
    "RPC_TRANSIT_k", "RPC_TRANSIT_gdpr-token", "another"};
static const uint16_t ints[N_NAMES] = {12, 14, 15, 3, 27, 65535, 24, 0};
static const char *const values[4] = {"", "1", "a value", "something that is rather long"};

/* Names of headers that are not free, and ints. */
static bool is_refused(const struct rpc_change *c)
{
	if (c->kind == RPC_CHANGE_HEADER)
		return slice_eq_str(c->name, "isn") || slice_eq_str(c->name, "crc32c") ||
		       slice_eq_str(c->name, "RPC_TRANSIT_gdpr-token");
	return c->kind == RPC_CHANGE_INT && (c->number == 12 || c->number == 3 || c->number == 27);
}

static void choose(struct rpc_change *list, const uint8_t *choices, struct rpc_edit *edit)
{
	for (unsigned i = 0; i < N_CHANGES; i++) {
		uint8_t what = choices[2 * i], which = choices[2 * i + 1] % N_NAMES;
		struct rpc_change *c = &list[edit->n_changes];

		if (what % 4 == 3)
			continue;
		*c = (struct rpc_change){
		    .kind = (enum rpc_change_kind)(what % 4), .is_removal = what & 64};
		if (c->kind == RPC_CHANGE_INT)
			c->number = ints[which];
		else
			c->name =
			    slice_str(c->kind == RPC_CHANGE_META ? names[which] : headers[which]);
		if (!c->is_removal)
			c->value = slice_str(values[what >> 4 & 3]);
		edit->n_changes++;
	}
	edit->changes = list;
}

/* ---- what a plain reader thinks ---- */

static bool is_life(struct slice key)
{
	return (slice_starts(key, SLICE_LIT("RPC_PERSIST_")) ||
		   slice_starts(key, SLICE_LIT("RPC_TRANSIT_"))) &&
	       !slice_starts(key, SLICE_LIT("RPC_TRANSIT_UPSTREAM_")) &&
	       !slice_eq_str(key, METADATA_TOKEN_KEY);
}

static bool names_entry(const struct rpc_change *c, const struct ttheader_entry *e)
{
	if (is_refused(c) || e->kind == TTHEADER_ACL)
		return false;
	if (c->kind == RPC_CHANGE_INT)
		return e->kind == TTHEADER_INT && e->int_key == c->number;
	if (e->kind == TTHEADER_INT)
		return false;
	if (c->kind == RPC_CHANGE_HEADER)
		return slice_eq(e->key, c->name);
	return is_life(e->key) && metadata_name_eq(slice_from(e->key, 12), c->name);
}

/* The index of the last change that names it, -1: none; the mark of a retry: N_CHANGES. */
static int who_names(const struct rpc_edit *edit, const struct ttheader_entry *e)
{
	const struct rpc_change mark = {.kind = RPC_CHANGE_META, .name = SLICE_LIT("RetryReq")};

	if (edit->retry && names_entry(&mark, e))
		return N_CHANGES;
	for (int i = (int)edit->n_changes - 1; i >= 0; i--)
		if (names_entry(&edit->changes[i], e))
			return i;
	return -1;
}

static struct ttheader_iter entries_of(const struct rpc_message *m)
{
	return m->form.transport == RPC_MESH ? ttheader_entries_mesh(m->sections)
					     : ttheader_entries(m->sections);
}

static bool next_unnamed(
    struct ttheader_iter *it, const struct rpc_edit *edit, struct ttheader_entry *e)
{
	while (ttheader_next(it, e))
		if (who_names(edit, e) < 0)
			return true;
	return false;
}

static void compare_unnamed(
    const struct rpc_message *before, const struct rpc_message *after, const struct rpc_edit *edit)
{
	struct ttheader_iter a = entries_of(before), b = entries_of(after);
	struct ttheader_entry x, y;

	while (next_unnamed(&a, edit, &x)) {
		must(next_unnamed(&b, edit, &y));
		must(x.kind == y.kind && x.int_key == y.int_key);
		must(slice_eq(x.key, y.key) && slice_eq(x.value, y.value));
	}
	must(!next_unnamed(&b, edit, &y) && b.why == NULL);
}

/* Entries that a change names are its own work, and there is one of each. */
static void check_named(const struct rpc_message *after, const struct rpc_edit *edit)
{
	unsigned times[N_CHANGES + 1] = {0};
	struct ttheader_iter it = entries_of(after);
	struct ttheader_entry e;

	while (ttheader_next(&it, &e)) {
		int who = who_names(edit, &e);

		if (who < 0)
			continue;
		must(times[who]++ == 0);
		if (who == N_CHANGES)
			must(slice_eq_str(e.key, "RPC_PERSIST_RetryReq"));
		else
			must(!edit->changes[who].is_removal &&
			     slice_eq(e.value, edit->changes[who].value));
	}
	must(edit->retry == 0 || times[N_CHANGES] == 1);
	must(edit->retry == 0 || rpc_is_marked_retry(after));
}

/* The last change of all has nobody to override it. */
static void check_last(const struct rpc_message *after, const struct rpc_edit *edit)
{
	const struct rpc_change *last;
	struct slice value;

	if (edit->n_changes == 0 || edit->retry)
		return;
	last = &edit->changes[edit->n_changes - 1];
	if (is_refused(last) || last->is_removal)
		return;
	if (last->kind == RPC_CHANGE_META)
		must(last->value.len == 0 ||
		     (rpc_find_meta(after, last->name, &value) && slice_eq(value, last->value)));
	else if (last->kind == RPC_CHANGE_HEADER)
		must(rpc_find_header(after, last->name, &value) && slice_eq(value, last->value));
	else if (after->form.transport == RPC_TTHEADER)
		must(rpc_find_int(after, last->number, &value) && slice_eq(value, last->value));
}

static void check(
    const struct rpc_message *before, struct slice written, const struct rpc_edit *edit)
{
	const struct rpc_message *after;
	struct reading r;

	reading_open(&r, CODEC_DOWNSTREAM, &reading_limits);
	reading_feed(&r, written);
	must(r.n == 1 && r.list[0].is_whole);
	after = &r.list[0].message;
	must(rpc_form_eq(after->form, edit->form) && after->seq == before->seq);
	must(slice_eq(after->method, before->method) && slice_eq(after->body, before->body));
	if (after->form.transport != RPC_PLAIN && before->form.transport != RPC_PLAIN &&
	    rpc_form_eq(before->form, after->form))
		compare_unnamed(before, after, edit);
	if (after->form.transport != RPC_PLAIN) {
		check_named(after, edit);
		check_last(after, edit);
	} else {
		must(after->head.len <= before->head.len + 4);
	}
	reading_close(&r);
}

static void pass_on(const struct rpc_message *m, const uint8_t *choices)
{
	struct rpc_change list[N_CHANGES];
	struct rpc_edit edit = {.form = m->form, .retry = choices[1]};
	struct written out = {0};

	choose(list, choices + 2, &edit);
	if (choices[0] & 1)
		edit.form.transport = RPC_TTHEADER;
	else if (choices[0] & 2)
		edit.form.transport = RPC_PLAIN;
	if (!codec_can_convert(m->form, edit.form))
		return;
	if (written_message(&out, m, &edit, CODEC_UPSTREAM))
		check(m, written_slice(&out), &edit);
	else
		must(out.len == 0 && m->head.len > 65000);
	written_fini(&out);
}

/* ---- blocks of HTTP/2 ---- */

static bool names_field(const struct rpc_change *c, struct slice name)
{
	struct slice rest = slice_from(name, 12);
	bool is_token = slice_eq_str(name, METADATA_TOKEN_FIELD);
	bool is_persistent = slice_starts(name, SLICE_LIT("rpc-persist-"));
	bool is_transient = slice_starts(name, SLICE_LIT("rpc-transit-")) && !is_token &&
			    !slice_starts(name, SLICE_LIT("rpc-transit-upstream-"));

	if (is_refused(c) || c->kind == RPC_CHANGE_INT)
		return false;
	if (c->kind == RPC_CHANGE_META)
		return (is_persistent || is_transient) && metadata_name_eq(rest, c->name);
	if (slice_starts(c->name, SLICE_LIT("RPC_PERSIST_")))
		return is_persistent && metadata_name_eq(rest, slice_from(c->name, 12));
	if (slice_starts(c->name, SLICE_LIT("RPC_TRANSIT_")))
		return is_transient && metadata_name_eq(rest, slice_from(c->name, 12));
	return metadata_is_field(name, c->name);
}

static int who_names_field(const struct rpc_edit *edit, struct slice name)
{
	const struct rpc_change mark = {.kind = RPC_CHANGE_META, .name = SLICE_LIT("RetryReq")};

	if (edit->retry && names_field(&mark, name))
		return N_CHANGES;
	for (int i = (int)edit->n_changes - 1; i >= 0; i--)
		if (names_field(&edit->changes[i], name))
			return i;
	return -1;
}

/* Unnamed ones in their order and as secret as they were; of each change one. */
static void check_fields(const struct rpc_field *before, unsigned n, const struct field_list *after,
    const struct rpc_edit *edit)
{
	unsigned times[N_CHANGES + 1] = {0}, at = 0;

	for (unsigned i = 0; i < after->n; i++) {
		const struct rpc_field *field = &after->items[i];
		int who = who_names_field(edit, field->name);

		if (who >= 0) {
			must(times[who]++ == 0);
			must(who == N_CHANGES || !edit->changes[who].is_removal);
			continue;
		}
		while (at < n && who_names_field(edit, before[at].name) >= 0)
			at++;
		must(at < n && slice_eq(field->name, before[at].name));
		must(slice_eq(field->value, before[at].value));
		must(field->is_secret == before[at].is_secret);
		at++;
	}
	while (at < n)
		must(who_names_field(edit, before[at++].name) >= 0);
	must(times[N_CHANGES] == (edit->retry > 0));
}

static void change_block(struct slice in, const uint8_t *choices)
{
	struct rpc_field fields[N_FIELDS], kept[N_FIELDS];
	struct field_list list = {.items = fields, .size = N_FIELDS};
	struct rpc_change changes[N_CHANGES];
	struct rpc_edit edit = {.retry = choices[1]};
	struct cursor c = cursor_of(in);
	struct arena arena;
	unsigned n;

	while (list.n < N_FIELDS) {
		struct slice name = cursor_take(&c, cursor_u8(&c));
		struct slice value = name.len ? cursor_take(&c, cursor_u8(&c)) : SLICE_NONE;

		if (c.bad || name.len == 0)
			break;
		kept[list.n] = (struct rpc_field){name, value, value.len % 2};
		fields[list.n] = kept[list.n];
		list.n++;
	}
	arena_init(&arena, NULL, 0);
	list.arena = &arena;
	choose(changes, choices + 2, &edit);
	n = list.n;
	changes_apply(&edit, &list, 0);
	check_fields(kept, n, &list, &edit);
	arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct codec_item item;
	struct codec *codec;
	struct slice in;

	if (size < CHOICES)
		return 0;
	in = slice_of(data + CHOICES, size - CHOICES);
	if (data[0] & 4) {
		change_block(in, data);
		return 0;
	}
	codec = codec_open(CODEC_DOWNSTREAM, CODEC_UNARY, &reading_limits, NULL, NULL);
	if (codec_next(codec, &in, &item) == CODEC_MESSAGE && item.message.complete)
		pass_on(&item.message, data);
	codec_close(&codec);
	return 0;
}
