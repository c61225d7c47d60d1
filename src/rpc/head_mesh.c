/*
 * Mesh headers whose metadata is changed. Nobody makes new ones; those that come are passed on.
 * Source: kitex pkg/remote/codec/header_codec.go.
 */
#include "rpc/changes.h"
#include "rpc/head_write.h"
#include "rpc/metadata.h"

#define SIZE_AT    2u /* behind the magic */
#define COUNT_AT   4u /* where the bytes begin that the size counts */
#define ENTRIES_AT 6u

/* What belongs to the connection, and what covers bytes that will be others. */
static bool is_void(const struct rpc_message *m, struct rpc_edit *edit, struct slice key)
{
	enum metadata_name name = metadata_find_key(key);

	if (name == METADATA_NAME_CRRST)
		return edit->strip_crrst;
	if (metadata_spellings[name].kind != METADATA_CHECKSUM || !head_payload_is_changed(m, edit))
		return false;
	metadata_drop(edit, METADATA_CHECKSUM);
	return true;
}

/* The entries in their order. */
static void put_entries(struct ttheader_writer *t, const struct rpc_message *m,
    struct rpc_edit *edit, struct changes *changes)
{
	struct ttheader_iter it = ttheader_entries_mesh(m->sections);
	struct ttheader_entry e;

	while (ttheader_next(&it, &e)) {
		int index = changes_find_entry(changes, &e);
		const struct rpc_change *change;

		if (is_void(m, edit, e.key))
			continue;
		if (index < 0) {
			ttheader_put_str(t, e.key, e.value);
			continue;
		}
		change = changes_take(changes, index);
		if (change)
			changes_put(t, change);
	}
	changes_put_due(t, changes, TTHEADER_STR);
}

bool head_mesh_is_edited(const struct rpc_message *m, const struct rpc_edit *edit)
{
	return changes_are_asked(edit) || (edit->strip_crrst && m->marks & RPC_HAS_CRRST) ||
	       (m->marks & (RPC_HAS_CHECKSUM | RPC_HAS_VALIDATOR) &&
		   head_payload_is_changed(m, edit));
}

void head_edit_mesh(struct writer *w, const struct rpc_message *m, struct rpc_edit *edit)
{
	struct ttheader_writer t = {.w = w};
	struct changes changes;
	uint8_t *start = w->at;
	size_t before = w->need, size;

	if (!head_mesh_is_edited(m, edit)) {
		write_bytes(w, slice_first(m->head, m->payload_at));
		return;
	}
	changes_init(&changes, edit, false);
	write_bytes(w, slice_first(m->head, ENTRIES_AT));
	put_entries(&t, m, edit, &changes);
	size = w->need - before - COUNT_AT;
	w->bad |= size > UINT16_MAX;
	changes_drop(&changes, edit);
	if (w->bad)
		return;
	store_u16(start + SIZE_AT, (uint16_t)size);
	store_u16(start + COUNT_AT, t.count);
}
