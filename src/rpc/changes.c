#include "rpc/changes.h"

#include <stdio.h>

#include "rpc/metadata.h"
#include "rpc/trace_name.h"
#include "wire/grpc.h"

#define RETRY_NAME  "RetryReq" /* source: kitex pkg/retry/util.go */
#define NAME_LIMIT  (METADATA_NAME_MAX - METADATA_PREFIX)
#define ENTRY_EXTRA (METADATA_PREFIX + 4u) /* its lengths */
#define HEAD_EXTRA  12u                    /* a section of each kind, padding */

/* ---- what a change may name ---- */

static bool is_metadata(enum metadata_kind kind)
{
	return kind == METADATA_PERSISTENT || kind == METADATA_TRANSIENT;
}

/* What has a place of its own in a message, or belongs to the hop, is not for rules to change. */
static bool is_free(enum metadata_kind kind)
{
	return is_metadata(kind) || kind == METADATA_HEADER;
}

static bool is_free_header(struct slice name)
{
	uint8_t room[NAME_LIMIT];

	for (size_t i = 0; i < name.len; i++)
		room[i] =
		    name.data[i] >= 'A' && name.data[i] <= 'Z' ? name.data[i] | 0x20 : name.data[i];
	return is_free(metadata_of_key(name, false)) &&
	       is_free(metadata_of_field(slice_of(room, name.len)));
}

static bool is_free_int(uint16_t number)
{
	struct ttheader_entry e = {.kind = TTHEADER_INT, .int_key = number};

	return metadata_of_entry(&e, false) == METADATA_INT;
}

bool rpc_change_is_possible(const struct rpc_change *change)
{
	if (change->kind == RPC_CHANGE_INT)
		return is_free_int(change->number);
	if (change->name.len == 0 || change->name.len > NAME_LIMIT)
		return false;
	if (change->kind == RPC_CHANGE_META)
		return true;
	return change->name.data[0] != ':' && is_free_header(change->name);
}

/* ---- the list ---- */

/* The kind of a header, and what follows its prefix. */
static enum metadata_kind split_header(struct slice name, struct slice *rest)
{
	enum metadata_kind kind = metadata_of_key(name, false);

	*rest = slice_from(name, is_metadata(kind) ? METADATA_PREFIX : 0);
	return kind;
}

/* Does @later name what @earlier would write? */
static bool overrides(
    const struct rpc_change *later, const struct rpc_change *earlier, bool as_fields)
{
	enum metadata_kind kind = METADATA_PERSISTENT, later_kind = METADATA_PERSISTENT;
	struct slice name = earlier->name, later_name = later->name;

	if (later->kind == RPC_CHANGE_INT || earlier->kind == RPC_CHANGE_INT)
		return later->kind == earlier->kind && later->number == earlier->number;
	if (earlier->kind == RPC_CHANGE_HEADER)
		kind = split_header(earlier->name, &name);
	if (later->kind == RPC_CHANGE_META)
		return is_metadata(kind) && metadata_name_eq(name, later->name);
	later_kind = split_header(later->name, &later_name);
	if (kind != later_kind)
		return false;
	if (!as_fields)
		return slice_eq(name, later_name);
	return is_metadata(kind) ? metadata_name_eq(name, later_name)
				 : metadata_is_field(name, later_name);
}

static void add(struct changes *c, const struct rpc_change *change, bool as_fields)
{
	for (unsigned i = 0; i < c->n; i++)
		if (c->is_due[i] && overrides(change, c->list[i], as_fields))
			changes_take(c, (int)i);
	c->is_due[c->n] = !change->is_removal;
	c->n_due += !change->is_removal;
	c->list[c->n++] = change;
}

void changes_init(struct changes *c, const struct rpc_edit *edit, bool as_fields)
{
	int len;

	c->n = c->n_due = 0;
	for (size_t i = 0; i < edit->n_changes && c->n < RPC_CHANGES_MAX; i++)
		if (rpc_change_is_possible(&edit->changes[i]))
			add(c, &edit->changes[i], as_fields);
	if (edit->retry == 0)
		return;
	len = snprintf(c->attempt, sizeof c->attempt, "%u", edit->retry);
	c->retry = (struct rpc_change){.kind = RPC_CHANGE_META,
	    .name = SLICE_LIT(RETRY_NAME),
	    .value = slice_of(c->attempt, (size_t)len)};
	add(c, &c->retry, as_fields);
}

size_t changes_bound(const struct rpc_edit *edit)
{
	size_t len = sizeof RETRY_NAME + 12 + ENTRY_EXTRA + HEAD_EXTRA;

	for (size_t i = 0; i < edit->n_changes; i++)
		len += edit->changes[i].name.len + edit->changes[i].value.len + ENTRY_EXTRA;
	return len;
}

static enum metadata_kind kind_of(const struct rpc_change *change)
{
	switch (change->kind) {
	case RPC_CHANGE_META:
		return METADATA_PERSISTENT;
	case RPC_CHANGE_HEADER:
		return metadata_of_key(change->name, false);
	case RPC_CHANGE_INT:
		break;
	}
	return METADATA_INT;
}

void changes_drop(const struct changes *c, struct rpc_edit *edit)
{
	for (unsigned i = 0; i < c->n; i++)
		if (c->is_due[i] && c->list[i] != &c->retry)
			metadata_drop(edit, kind_of(c->list[i]));
}

/* ---- who names what ---- */

/* The context of a trace, which Kitex's peers read under any spelling of its name. */
static bool is_same_trace(struct slice key, struct slice name)
{
	bool key_is, name_is;
	enum trace_name asked;

	if (key.len != name.len)
		return false;
	asked = trace_name_of_key(name, &name_is);
	return asked != TRACE_NAMES && trace_name_of_key(key, &key_is) == asked &&
	       key_is == name_is;
}

static bool names_entry(
    const struct rpc_change *change, const struct ttheader_entry *e, enum metadata_kind kind)
{
	if (change->kind == RPC_CHANGE_INT)
		return e->kind == TTHEADER_INT && e->int_key == change->number;
	if (e->kind != TTHEADER_STR)
		return false;
	if (change->kind == RPC_CHANGE_HEADER)
		return slice_eq(e->key, change->name) || is_same_trace(e->key, change->name);
	return is_metadata(kind) &&
	       metadata_name_eq(slice_from(e->key, METADATA_PREFIX), change->name);
}

int changes_find_entry(const struct changes *c, const struct ttheader_entry *e)
{
	enum metadata_kind kind = METADATA_INT;

	if (c->n && e->kind == TTHEADER_STR)
		kind = metadata_of_key(e->key, false);
	for (unsigned i = c->n; i-- > 0;)
		if (names_entry(c->list[i], e, kind))
			return (int)i;
	return -1;
}

static bool names_field(const struct rpc_change *change, struct slice name, enum metadata_kind kind)
{
	struct slice rest;
	enum metadata_kind asked;

	if (change->kind == RPC_CHANGE_INT)
		return false;
	if (change->kind == RPC_CHANGE_META)
		return is_metadata(kind) &&
		       metadata_name_eq(slice_from(name, METADATA_PREFIX), change->name);
	asked = split_header(change->name, &rest);
	if (is_metadata(asked))
		return kind == asked && metadata_name_eq(slice_from(name, METADATA_PREFIX), rest);
	return metadata_is_field(name, change->name);
}

int changes_find_field(const struct changes *c, struct slice name)
{
	enum metadata_kind kind = c->n ? metadata_of_field(name) : METADATA_HEADER;

	for (unsigned i = c->n; i-- > 0;)
		if (names_field(c->list[i], name, kind))
			return (int)i;
	return -1;
}

const struct rpc_change *changes_take(struct changes *c, int index)
{
	if (!c->is_due[index])
		return NULL;
	c->is_due[index] = false;
	c->n_due--;
	return c->list[index];
}

/* ---- entries ---- */

struct slice changes_key(const struct rpc_change *change, uint8_t *room)
{
	struct writer key = writer_of(room, METADATA_NAME_MAX);

	if (change->kind == RPC_CHANGE_META)
		write_bytes(&key, metadata_key(METADATA_NAME_PERSISTENT));
	write_bytes(&key, change->name);
	return writer_slice(&key);
}

void changes_put(struct ttheader_writer *t, const struct rpc_change *change)
{
	uint8_t room[METADATA_NAME_MAX];

	if (change->kind == RPC_CHANGE_INT)
		ttheader_put_int(t, change->number, change->value);
	else
		ttheader_put_str(t, changes_key(change, room), change->value);
}

void changes_put_due(struct ttheader_writer *t, struct changes *c, enum ttheader_section kind)
{
	for (unsigned i = 0; i < c->n; i++) {
		bool is_int = c->list[i]->kind == RPC_CHANGE_INT;

		if (c->is_due[i] && is_int == (kind == TTHEADER_INT))
			changes_put(t, changes_take(c, (int)i));
	}
}

/* ---- fields ---- */

/* What the change makes of a field; a secret stays one. False when its name or its value can be
 * none. */
static bool to_field(const struct rpc_change *change, struct arena *arena, struct rpc_field *field)
{
	uint8_t room[METADATA_NAME_MAX];
	struct slice name = SLICE_NONE;

	if (change->kind == RPC_CHANGE_INT)
		return false;
	if (!metadata_to_field(kind_of(change), changes_key(change, room), arena, &name) &&
	    !is_metadata(metadata_of_field(name))) /* a rule may spell it as the field it is */
		return false;
	field->name = name;
	if (grpc_is_binary(name))
		field->value = grpc_in_base64(arena, change->value);
	else
		field->value = arena_copy(arena, change->value); /* a mark lies in the changes */
	return metadata_is_field_value(field->value);
}

static void add_due(struct changes *c, struct rpc_edit *edit, struct field_list *fields)
{
	for (unsigned i = 0; i < c->n; i++) {
		struct rpc_field field = {.is_secret = false};

		if (!c->is_due[i])
			continue;
		if (!to_field(c->list[i], fields->arena, &field))
			continue; /* stays due: it has no place */
		changes_take(c, (int)i);
		field_add(fields, field.name, field.value);
	}
	changes_drop(c, edit);
}

void changes_apply(struct rpc_edit *edit, struct field_list *fields, unsigned first)
{
	struct changes c;
	unsigned kept = first;

	if (!changes_are_asked(edit))
		return;
	changes_init(&c, edit, true);
	for (unsigned i = first; i < fields->n; i++) {
		struct rpc_field field = fields->items[i];
		int index = changes_find_field(&c, field.name);
		const struct rpc_change *change = index < 0 ? NULL : c.list[index];

		if (change && c.is_due[index] && to_field(change, fields->arena, &field))
			changes_take(&c, index);
		else if (change)
			continue;
		fields->items[kept++] = field;
	}
	fields->n = kept;
	add_due(&c, edit, fields);
}
