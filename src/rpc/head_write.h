/*
 * The halves of head_write.c: a TTHeader that is changed (head_edit.c), and what becomes of a
 * header in another form (head_new.c). Private to rpc/.
 */
#ifndef BRIDLE_RPC_HEAD_WRITE_H
#define BRIDLE_RPC_HEAD_WRITE_H

#include "rpc/head.h"

/* Does a byte behind the transport header change? Then checksums over it are void. */
bool head_payload_is_changed(const struct rpc_message *m, const struct rpc_edit *edit);
/* Bytes behind the transport header, RPC_LENGTH_UNKNOWN when nobody knows yet. */
uint64_t head_payload_len(const struct rpc_message *m, const struct rpc_edit *edit);
/* The payload's part of the head: inner length and message head. */
void head_write_payload(struct writer *w, const struct rpc_message *m, const struct rpc_edit *edit);
/* As printf's %llu, which costs as much as all the rest of an edit. A view into @room. */
struct slice head_decimal(char *room, size_t size, uint64_t n);

/* The transport header of @m with its ids and flag patched, and only the sections changed that have
 * to. */
void head_edit_ttheader(struct writer *w, const struct rpc_message *m, struct rpc_edit *edit);
bool head_is_edited(const struct rpc_message *m, const struct rpc_edit *edit);

/* A mesh header with its metadata changed, if that is asked. */
void head_edit_mesh(struct writer *w, const struct rpc_message *m, struct rpc_edit *edit);
bool head_mesh_is_edited(const struct rpc_message *m, const struct rpc_edit *edit);

/* A TTHeader where there was none. */
void head_new_ttheader(struct writer *w, const struct rpc_message *m, struct rpc_edit *edit);
struct changes;

/* The str keys, and the token, that a TTHeader would have of the fields of @m: sections, made in
 * @arena. What @changes names is changed, and no longer due. */
struct slice head_fields_as_sections(const struct rpc_message *m, struct rpc_edit *edit,
    struct changes *changes, struct arena *arena);
/* Counts what @m has, and what it was to get, and a form without a header has no place for. */
void head_drop_all(const struct rpc_message *m, struct rpc_edit *edit);
/* Source: kitex pkg/remote/message.go: the message types, in decimal. */
struct slice head_msg_type(enum rpc_kind kind);

#endif
