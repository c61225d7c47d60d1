/*
 * Changes of metadata written down as text, one behind the other: "+meta.env=blue" sets,
 * "-header.X-Tag" takes away, "+int.14=ring", and "retry=2" marks a retry.
 */
#ifndef BRIDLE_TESTS_CHANGES_TEXT_H
#define BRIDLE_TESTS_CHANGES_TEXT_H

#include "rpc/codec.h"

#define CHANGES_TEXT_MAX (RPC_CHANGES_MAX + 32u)

struct changes_text {
	char *text; /* owned */
	struct rpc_change list[CHANGES_TEXT_MAX];
};

/* Puts them into @edit, which borrows from @c. */
void changes_read(struct changes_text *c, const char *text, struct rpc_edit *edit);
void changes_text_free(struct changes_text *c);

#endif
