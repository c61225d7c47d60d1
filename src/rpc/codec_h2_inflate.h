/*
 * Header blocks of HTTP/2 read by themselves, for those who only look on: no session, no rules, one
 * table of HPACK for one direction of a connection.
 */
#ifndef BRIDLE_RPC_CODEC_H2_INFLATE_H
#define BRIDLE_RPC_CODEC_H2_INFLATE_H

#include "base/slice.h"

#define H2_INFLATE_TABLE_MAX 65536u /* ours: of a table that somebody else's SETTINGS allow */

struct h2_inflate;

/* NULL when memory is gone. */
struct h2_inflate *h2_inflate_new(void);
void h2_inflate_free(struct h2_inflate **inflate);
/* The reader of this direction allows tables of this size. */
void h2_inflate_allow(struct h2_inflate *inflate, uint32_t table_size);
/*
 * Reads a whole block; each field is handed out as a view that ends with the call. NULL, or why it
 * cannot be read (constant text); then the table is worth nothing any more.
 */
const char *h2_inflate_block(struct h2_inflate *inflate, struct slice block,
    void (*field)(void *arg, struct slice name, struct slice value), void *arg);

#endif
