/*
 * Which fields stand in the header blocks that we write: of messages that are passed on with their
 * edits, of such as are made from other forms, of refusals. Pseudo fields are the first entries of
 * a list here. Private to rpc/.
 */
#ifndef BRIDLE_RPC_H2_FIELDS_H
#define BRIDLE_RPC_H2_FIELDS_H

#include "rpc/grpc_head.h"

/* A call towards an endpoint. False when a call of another form cannot be named. */
bool h2_call_fields(const struct rpc_message *m, struct rpc_edit *edit, struct field_list *list);
/* A reply's head, or a 1xx, of HTTP/2's own form: as it came. */
void h2_reply_fields(const struct rpc_message *m, struct field_list *list);
/* A unary reply of another form. @head without fields: @trailers are the only block. */
void h2_unary_reply_fields(const struct rpc_message *m, struct rpc_edit *edit,
    struct field_list *head, struct field_list *trailers);
/* The block of a failure of a gRPC call: the only one, or, when a head was sent, the trailers. */
void h2_failure_fields(const struct rpc_message *call, const struct rpc_status *why, bool head_sent,
    struct field_list *list);
/* The head of a failure of any other HTTP/2 call; *@body becomes its text. */
void h2_opaque_failure_fields(
    const struct rpc_status *why, struct field_list *list, struct slice *body);

#endif
