/*
 * Header blocks that have been read, until they are given out: names and values lie one behind the
 * other in one piece of memory, as struct rpc_message wants them. Several blocks of one input may
 * be here; the last may still be growing. Private to rpc/.
 */
#ifndef BRIDLE_RPC_H2_HEAD_H
#define BRIDLE_RPC_H2_HEAD_H

#include "rpc/message.h"

enum h2_pseudo {
	H2_METHOD,
	H2_PATH,
	H2_AUTHORITY,
	H2_SCHEME,
	H2_STATUS,
	H2_PSEUDO_COUNT,
};

struct h2_block {
	size_t at, len; /* in the bytes of all blocks */
	size_t first_field, n_fields;
	size_t listed; /* how long the list is, as SETTINGS_MAX_HEADER_LIST_SIZE counts */
	size_t pseudo_at[H2_PSEUDO_COUNT],
	    pseudo_len[H2_PSEUDO_COUNT]; /* at: from the block's start */
	unsigned has;                    /* bits: 1 << enum h2_pseudo */
	size_t content_at, content_len;  /* the value of content-type; at: from the block's start */
	bool is_encoded;                 /* grpc-encoding: messages may be compressed */
};

struct h2_heads {
	uint8_t *bytes; /* owned */
	size_t len, size;
	struct rpc_field
	    *fields; /* owned; lengths alone are set, views when a block is given out */
	size_t n_fields, fields_size;
	struct h2_block *blocks; /* owned */
	size_t n_blocks, blocks_size;
	bool is_open; /* the last block is growing */
};

void h2_heads_fini(struct h2_heads *h);
/* Forgets all blocks but one that is growing, and gives back memory that is large; all of it when
 * @is_idle and nothing is growing. */
void h2_heads_reset(struct h2_heads *h, bool is_idle);
size_t h2_heads_held(const struct h2_heads *h);

void h2_heads_begin(struct h2_heads *h);
struct h2_block *h2_heads_current(struct h2_heads *h);
void h2_heads_add(struct h2_heads *h, struct slice name, struct slice value, bool is_secret);
/* The block is complete: its number. */
size_t h2_heads_end(struct h2_heads *h);
/* It comes to nothing. */
void h2_heads_drop(struct h2_heads *h);

/* The number in :status, 0 when there is none. */
unsigned h2_heads_status(const struct h2_heads *h, size_t block);
struct slice h2_heads_pseudo(const struct h2_heads *h, size_t block, enum h2_pseudo which);
struct slice h2_heads_content_type(const struct h2_heads *h, size_t block);
/* Fills the views of @m; they stay until the next reset or begin. */
void h2_heads_view(const struct h2_heads *h, size_t block, struct rpc_message *m);

#endif
