/*
 * What the transport header of a message says beside the call itself, entry by entry, for people
 * who look on: int keys, metadata by how far it travels, and the rest. One that asks for a certain
 * fact asks rpc/facts.
 */
#ifndef BRIDLE_RPC_ENTRIES_H
#define BRIDLE_RPC_ENTRIES_H

#include "rpc/message.h"

enum rpc_entry_group {
	RPC_ENTRY_INT,        /* int keys of a TTHeader */
	RPC_ENTRY_PERSISTENT, /* passed on to every hop; named without their prefix */
	RPC_ENTRY_TRANSIENT,  /* for one hop, the ACL token among them; without their prefix */
	RPC_ENTRY_BACKWARD,   /* travels from callee to caller; without their prefix */
	RPC_ENTRY_STR,        /* other str keys of a TTHeader */
	RPC_ENTRY_HEADER,     /* other fields of HTTP/2 */
	RPC_ENTRY_GROUPS,
};

struct rpc_entry {
	enum rpc_entry_group group;
	uint16_t number; /* INT */
	struct slice name, value;
	bool is_secret; /* its writer said so, or it is the token of an ACL */
};

/* Fills @list, of room for @max, in their order; views into the message. Returns how many there are
 * in all. */
size_t rpc_entries(const struct rpc_message *m, struct rpc_entry *list, size_t max);

#endif
