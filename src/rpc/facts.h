/*
 * Facts of a message by name, as rules ask for them: metadata in whatever form the message
 * travelled in, int keys, fields of the Thrift argument. Nothing is decoded before it is asked for.
 *
 * Of a key that stands twice in a TTHeader the last value counts, of a field of HTTP/2 the first,
 * of a field of a Thrift struct the last: so do Kitex's readers, and a rule must not see another
 * value than the one that the application will act upon.
 * Source: gopkg protocol/ttheader/decode.go fills a map; kitex pkg/remote/transmeta takes the first
 * value of a repeated field; generated Thrift readers assign again.
 */
#ifndef BRIDLE_RPC_FACTS_H
#define BRIDLE_RPC_FACTS_H

#include "rpc/message.h"

/*
 * A message that is asked for several facts: what its transport header holds is taken apart once,
 * at the first question, as far as there is room; what is past that is looked for in the header
 * each time.
 */
#define RPC_FACTS_MAX 32u

struct rpc_facts {
	const struct rpc_message *m; /* borrowed */
	bool is_read, is_whole;      /* private: list is filled; nothing was left out */
	unsigned n;
	struct rpc_fact {
		unsigned section; /* as in the header: int keys, str keys, the ACL token */
		uint16_t number;
		struct slice key, value;
	} list[RPC_FACTS_MAX];
};

/* Leaves the list as it is: cheap. */
void rpc_facts_init(struct rpc_facts *facts, const struct rpc_message *m);

/*
 * Each: true when the message has it, @value is a view of it, into the message (rpc_find_field: or
 * into its room).
 */
/* RPC_PERSIST_K, else RPC_TRANSIT_K; rpc-persist-k, rpc-transit-k. Case is folded, `-` is `_`. What
 * is empty is not there, as for Kitex's readers. The ACL token is found as "gdpr-token". */
bool rpc_facts_meta(struct rpc_facts *facts, struct slice name, struct slice *value);
/* A str key exactly; an HTTP/2 field in lower case. */
bool rpc_facts_header(struct rpc_facts *facts, struct slice name, struct slice *value);
bool rpc_facts_int(struct rpc_facts *facts, uint16_t number, struct slice *value);
/* The same of a message that is asked once. */
bool rpc_find_meta(const struct rpc_message *m, struct slice name, struct slice *value);
bool rpc_find_header(const struct rpc_message *m, struct slice name, struct slice *value);
bool rpc_find_int(const struct rpc_message *m, uint16_t number, struct slice *value);
/*
 * A field of the Thrift argument by ids: 1.3.2 is field 2 of field 3 of the first argument. Strings
 * and binaries as they are; integers, bools and enums as decimal text in @room (bools 0 and 1); a
 * path that leads through or to anything else, or into what of the body is not here, finds nothing.
 * Of a gRPC body it is the first message, unless that is compressed.
 */
bool rpc_find_field(const struct rpc_message *m, const int16_t *path, unsigned depth, char room[24],
    struct slice *value);
/* How a message says that it is a retry: RetryReq in persistent metadata, any case.
 * Source: kitex pkg/retry/util.go. */
bool rpc_is_marked_retry(const struct rpc_message *m);

#endif
