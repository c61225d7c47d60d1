/*
 * Facts of a message by name, as rules ask for them: metadata in whatever form the message travelled
 * in, int keys, fields of the Thrift argument. Nothing is decoded before it is asked for.
 *
 * Of a key that stands twice in a TTHeader the last value counts, of a field of HTTP/2 the first, of a
 * field of a Thrift struct the last: so do Kitex's readers, and a rule must not see another value than
 * the one that the application will act upon.
 * Source: gopkg protocol/ttheader/decode.go fills a map; kitex pkg/remote/transmeta takes the first
 * value of a repeated field; generated Thrift readers assign again.
 */
#ifndef BRIDLE_RPC_FACTS_H
#define BRIDLE_RPC_FACTS_H

#include "rpc/message.h"

/*
 * Each: true when the message has it, @value is a view of it, into the message (rpc_find_field: or
 * into its room).
 */
/* RPC_PERSIST_K, else RPC_TRANSIT_K; rpc-persist-k, rpc-transit-k. Case is folded, `-` is `_`. What is
 * empty is not there, as for Kitex's readers. The ACL token is found as "gdpr-token". */
bool rpc_find_meta(const struct rpc_message *m, struct slice name, struct slice *value);
/* A str key exactly; an HTTP/2 field in lower case. */
bool rpc_find_header(const struct rpc_message *m, struct slice name, struct slice *value);
bool rpc_find_int(const struct rpc_message *m, uint16_t number, struct slice *value);
/*
 * A field of the Thrift argument by ids: 1.3.2 is field 2 of field 3 of the first argument. Strings and
 * binaries as they are; integers, bools and enums as decimal text in @room (bools 0 and 1); a path that
 * leads through or to anything else, or into what of the body is not here, finds nothing. Of a gRPC
 * body it is the first message, unless that is compressed.
 */
bool rpc_find_field(const struct rpc_message *m, const int16_t *path, unsigned depth, char room[24],
    struct slice *value);
/* How a message says that it is a retry: RetryReq in persistent metadata, any case.
 * Source: kitex pkg/retry/util.go. */
bool rpc_is_marked_retry(const struct rpc_message *m);

#endif
