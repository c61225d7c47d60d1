#include "rpc/head_write.h"

#include <stdio.h>

#include "rpc/changes.h"
#include "rpc/sections.h"
#include "wire/crc32c.h"
#include "wire/thrift.h"
#include "wire/ttheader.h"

#define FLAGS_AT    6u /* in the fixed part of a TTHeader */
#define SEQ_AT      8u
#define MAX_CHANGES 12 /* collect_changes never makes more */

enum head_change_what {
	CHANGE_SET,     /* in place of an entry, or as a new one */
	CHANGE_REPLACE, /* in place of an entry only */
	CHANGE_REMOVE,
	CHANGE_REMOVE_PREFIX,
};

/* One change to the entries of a header. */
struct head_change {
	enum head_change_what what;
	enum ttheader_section kind;
	uint16_t int_key;
	struct slice key, value;
};

struct head_changes {
	struct head_change list[MAX_CHANGES];
	int n;
	unsigned n_validators; /* entries that CHANGE_REMOVE_PREFIX took out */
	char timeout[24], checksum[9];
	struct changes asked; /* of metadata: they name no key that is in the list */
};

/* The header alone: changes behind it are none here. */
bool head_is_edited(const struct rpc_message *m, const struct rpc_edit *edit)
{
	return (edit->renumber && edit->transport_seq != m->transport_seq) ||
	       (edit->out_of_order && !(m->flags & TTHEADER_FLAG_OUT_OF_ORDER)) ||
	       (edit->strip_crrst && m->marks & RPC_HAS_CRRST) || edit->add_crrst ||
	       edit->set_timeout || edit->rip.len || m->marks & RPC_BIZ_IN_BODY;
}

static struct head_change *add_change(
    struct head_changes *c, enum head_change_what what, enum ttheader_section kind)
{
	struct head_change *change = &c->list[c->n++];

	*change = (struct head_change){.kind = kind};
	change->what = what;
	return change;
}

static void change_str(
    struct head_changes *c, enum head_change_what what, struct slice key, struct slice value)
{
	struct head_change *change = add_change(c, what, TTHEADER_STR);

	change->key = key;
	change->value = value;
}

static void change_int(
    struct head_changes *c, enum head_change_what what, uint16_t key, struct slice value)
{
	struct head_change *change = add_change(c, what, TTHEADER_INT);

	change->int_key = key;
	change->value = value;
}

/* The checksum over the payload as it will be written; the whole body is here. */
static struct slice checksum(
    struct head_changes *c, const struct rpc_message *m, const struct rpc_edit *edit)
{
	uint8_t room[4 + 12 + THRIFT_METHOD_MAX];
	struct writer w = writer_of(room, sizeof room);
	struct slice pieces[BODY_PIECES];
	int n = head_body_pieces(m, edit, pieces);
	uint32_t sum;

	head_write_payload(&w, m, edit);
	sum = crc32c(0, writer_slice(&w));
	for (int i = 0; i < n; i++)
		sum = crc32c(sum, pieces[i]);
	snprintf(c->checksum, sizeof c->checksum, "%08x", sum);
	return slice_str(c->checksum);
}

static void collect_payload_changes(
    struct head_changes *c, const struct rpc_message *m, struct rpc_edit *edit)
{
	if (!head_payload_is_changed(m, edit))
		return;
	if (m->marks & RPC_HAS_TRANSPORT_TYPE && edit->form.framed != m->form.framed)
		change_int(c, CHANGE_REPLACE, TTKEY_TRANSPORT_TYPE,
		    edit->form.framed ? SLICE_LIT("framed") : SLICE_LIT("unframed"));
	if (m->marks & RPC_HAS_CHECKSUM) {
		if (m->complete)
			change_str(c, CHANGE_REPLACE, SLICE_LIT("crc32c"), checksum(c, m, edit));
		else
			change_str(c, CHANGE_REMOVE, SLICE_LIT("crc32c"), SLICE_NONE);
		edit->dropped[RPC_DROPPED_CHECKSUM] += !m->complete;
	}
	if (m->marks & RPC_HAS_VALIDATOR)
		change_str(c, CHANGE_REMOVE_PREFIX, SLICE_LIT("PV_"), SLICE_NONE);
}

/* What the body says of a business error, said again where Kitex's clients look for it. */
static void change_biz(struct head_changes *c, const struct rpc_message *m)
{
	change_str(c, CHANGE_SET, SLICE_LIT("biz-status"), m->biz_status);
	change_str(c, CHANGE_SET, SLICE_LIT("biz-message"), m->biz_message);
	if (m->biz_extra.len)
		change_str(c, CHANGE_SET, SLICE_LIT("biz-extra"), m->biz_extra);
}

static void collect_changes(
    struct head_changes *c, const struct rpc_message *m, struct rpc_edit *edit)
{
	c->n = 0;
	c->n_validators = 0;
	changes_init(&c->asked, edit, false);
	if (edit->add_crrst)
		change_str(c, CHANGE_SET, SLICE_LIT("crrst"), SLICE_LIT("1"));
	else if (edit->strip_crrst && m->marks & RPC_HAS_CRRST)
		change_str(c, CHANGE_REMOVE, SLICE_LIT("crrst"), SLICE_NONE);
	if (m->marks & RPC_BIZ_IN_BODY)
		change_biz(c, m);
	if (edit->rip.len)
		change_str(c, CHANGE_SET, SLICE_LIT("rip"), edit->rip);
	if (edit->set_timeout)
		change_int(c, CHANGE_SET, TTKEY_RPC_TIMEOUT,
		    head_decimal(c->timeout, sizeof c->timeout, edit->timeout_ms));
	collect_payload_changes(c, m, edit);
}

static bool change_applies(const struct head_change *change, const struct ttheader_entry *e)
{
	if (change->kind != e->kind)
		return false;
	if (e->kind == TTHEADER_INT)
		return change->int_key == e->int_key;
	if (change->what == CHANGE_REMOVE_PREFIX)
		return slice_starts(e->key, change->key);
	return slice_eq(e->key, change->key);
}

static struct head_change *find_change(struct head_changes *c, const struct ttheader_entry *e)
{
	for (int i = 0; i < c->n; i++)
		if (change_applies(&c->list[i], e))
			return &c->list[i];
	return NULL;
}

static void put_change(struct ttheader_writer *t, const struct head_change *change)
{
	if (change->kind == TTHEADER_INT)
		ttheader_put_int(t, change->int_key, change->value);
	else
		ttheader_put_str(t, change->key, change->value);
}

static void put_additions(void *arg, struct ttheader_writer *t, enum ttheader_section kind)
{
	struct head_changes *c = arg;

	for (int i = 0; i < c->n; i++) {
		if (c->list[i].kind == kind && c->list[i].what == CHANGE_SET) {
			put_change(t, &c->list[i]);
			c->list[i].what = CHANGE_REMOVE;
		}
	}
	if (c->asked.n_due)
		changes_put_due(t, &c->asked, kind);
}

static void change_entry(struct sections *s, struct head_changes *c, const struct ttheader_entry *e,
    struct head_change *change)
{
	sections_cut(s, e);
	if (change->what == CHANGE_SET || change->what == CHANGE_REPLACE) {
		put_change(s->t, change);
		/* A key that came twice goes out once: no reader can take the other value. */
		change->what = CHANGE_REMOVE;
	} else if (change->what == CHANGE_REMOVE_PREFIX) {
		c->n_validators++;
	}
}

static void change_asked(
    struct sections *s, struct head_changes *c, const struct ttheader_entry *e, int index)
{
	const struct rpc_change *change = changes_take(&c->asked, index);

	sections_cut(s, e);
	if (change)
		changes_put(s->t, change);
}

static void rewrite_sections(
    struct ttheader_writer *t, const struct rpc_message *m, struct head_changes *c)
{
	struct ttheader_iter it = ttheader_entries(m->sections);
	struct ttheader_entry e;
	struct sections s;

	sections_begin(&s, t, m->sections, put_additions, c);
	while (ttheader_next(&it, &e)) {
		struct head_change *change = find_change(c, &e);
		int asked = c->asked.n ? changes_find_entry(&c->asked, &e) : -1;

		if (change)
			change_entry(&s, c, &e, change);
		else if (asked >= 0)
			change_asked(&s, c, &e, asked);
		else
			sections_keep(&s, &e);
	}
	sections_end(&s);
}

/* Removals of what is not there change nothing, not even the padding. */
static bool is_touched(const struct rpc_message *m, const struct head_changes *c)
{
	struct ttheader_iter it = ttheader_entries(m->sections);
	struct ttheader_entry e;

	if (c->n || c->asked.n_due)
		return true;
	if (c->asked.n == 0)
		return false;
	while (ttheader_next(&it, &e))
		if (changes_find_entry(&c->asked, &e) >= 0)
			return true;
	return false;
}

void head_edit_ttheader(struct writer *w, const struct rpc_message *m, struct rpc_edit *edit)
{
	uint16_t flags = m->flags | (edit->out_of_order ? TTHEADER_FLAG_OUT_OF_ORDER : 0);
	int32_t seq = edit->renumber ? edit->transport_seq : m->transport_seq;
	uint64_t len = head_payload_len(m, edit);
	struct head_changes changes;
	uint8_t *fixed = w->at;

	collect_changes(&changes, m, edit);
	if (!is_touched(m, &changes)) {
		write_bytes(w, slice_first(m->head, m->payload_at));
		if (w->bad)
			return;
		store_u32(fixed, (uint32_t)(m->payload_at - 4 + len));
		store_u16(fixed + FLAGS_AT, flags);
		store_u32(fixed + SEQ_AT, (uint32_t)seq);
	} else {
		struct ttheader_writer t;

		ttheader_begin(&t, w, flags, seq, m->head.data[TTHEADER_FIXED]);
		rewrite_sections(&t, m, &changes);
		ttheader_end(&t, len);
		edit->dropped[RPC_DROPPED_CHECKSUM] += changes.n_validators;
	}
}
