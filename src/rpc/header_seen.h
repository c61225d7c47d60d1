/*
 * What a TTHeader would say of a call, for those who are told of it in another way: the header is
 * written as for an endpoint that speaks it, and read again.
 */
#ifndef BRIDLE_RPC_HEADER_SEEN_H
#define BRIDLE_RPC_HEADER_SEEN_H

#include "rpc/codec.h"

/* The form that @edit has to ask for. */
struct rpc_form rpc_seen_form(const struct rpc_message *call);
/*
 * Fills @seen with the call as it goes out with @edit: its facts and sections, no body; views into
 * @arena. False: no TTHeader can be made of it (TTHeader streaming, HTTP/2 that is not gRPC, a
 * header that is too long); what it has of its own is all there is to say.
 */
bool rpc_see_header(const struct rpc_message *call, struct rpc_edit *edit, struct arena *arena,
    struct rpc_message *seen);

#endif
