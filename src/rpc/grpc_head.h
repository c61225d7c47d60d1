/*
 * Header blocks of gRPC messages that are made from messages of other forms, and of refusals. What
 * they are written with is the business of codec_h2.c. Private to rpc/.
 */
#ifndef BRIDLE_RPC_GRPC_HEAD_H
#define BRIDLE_RPC_GRPC_HEAD_H

#include "base/arena.h"
#include "rpc/codec.h"

/* Fields in their order, without pseudo fields. Names and values are views, of the message or of
 * what was made in the arena. */
struct field_list {
	struct arena *arena; /* borrowed */
	struct rpc_field *items;
	unsigned n, size; /* items grow in the arena */
};

void field_add(struct field_list *list, struct slice name, struct slice value);
/* The value of a field whose name ends in "-bin", made in the arena. */
struct slice grpc_in_base64(struct arena *arena, struct slice bytes);

/*
 * The request block of a unary call of another form: content-type, te, grpc-timeout, who calls, the
 * log id, metadata. *@path becomes "/Service/Method". Counts what was dropped in @edit. False when
 * the call has no IDL service that a path could name.
 */
bool grpc_call_fields(const struct rpc_message *call, struct rpc_edit *edit,
    struct field_list *fields, struct slice *path);
/*
 * A unary reply of another form: the fields of its head and of its trailers. For an EXCEPTION, and
 * for a business error, @head stays empty: all stands in @trailers (to be sent as the only block).
 */
void grpc_reply_fields(const struct rpc_message *reply, struct rpc_edit *edit,
    struct field_list *head, struct field_list *trailers);
/* The only block of a refusal: content-type as the call's, grpc-status, grpc-message. */
void grpc_failure_fields(
    const struct rpc_message *call, const struct rpc_status *why, struct field_list *fields);

/* Facts that stand in the fields of a call: service_asked, caller, caller_method, log_id, trace_id,
 * timeout, and method and idl_service from the path. */
void grpc_note_call(struct rpc_message *call);
/* Facts of a reply's head or of trailers: status, status_text, biz_status, marks. */
void grpc_note_reply(struct rpc_message *m);

#endif
