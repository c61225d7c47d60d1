/*
 * The changes of metadata that an edit asks for, as they come to bear on one message: which of them
 * an entry or a field is named by, and what of them is still to be written. The last change that
 * names something decides. Private to rpc/.
 */
#ifndef BRIDLE_RPC_CHANGES_H
#define BRIDLE_RPC_CHANGES_H

#include "rpc/grpc_head.h"
#include "wire/ttheader.h"

#define CHANGES_MAX (RPC_CHANGES_MAX + 1) /* and the mark of a retry */

struct changes {
	const struct rpc_change *list[CHANGES_MAX]; /* borrowed */
	bool is_due[CHANGES_MAX]; /* it sets something, and that has not been written yet */
	unsigned n, n_due;
	struct rpc_change retry;
	char attempt[12];
};

static inline bool changes_are_asked(const struct rpc_edit *edit)
{
	return edit->n_changes || edit->retry;
}

/* @as_fields: the names are those of fields of HTTP/2, which know no upper case. */
void changes_init(struct changes *c, const struct rpc_edit *edit, bool as_fields);
/* Bytes that they add to a header at most, if any are asked. */
size_t changes_bound(const struct rpc_edit *edit);
/* Counts what is due: there is no place for it. A form that cannot be marked as a retry loses
 * nothing. */
void changes_drop(const struct changes *c, struct rpc_edit *edit);

/* Which change names it: an index, or -1. */
int changes_find_entry(const struct changes *c, const struct ttheader_entry *e);
int changes_find_field(const struct changes *c, struct slice name);
/* What stands in its place from now on; NULL: nothing, it is removed or was written before. */
const struct rpc_change *changes_take(struct changes *c, int index);

/* The str key of one that is none of INT, made in @room, which holds METADATA_NAME_MAX bytes. */
struct slice changes_key(const struct rpc_change *change, uint8_t *room);
void changes_put(struct ttheader_writer *t, const struct rpc_change *change);
/* Writes all that is due and belongs into this section: STR or INT. */
void changes_put_due(struct ttheader_writer *t, struct changes *c, enum ttheader_section kind);

/* Changes the fields of a block from index @first on; what is set and new comes behind them. */
void changes_apply(struct rpc_edit *edit, struct field_list *fields, unsigned first);

#endif
