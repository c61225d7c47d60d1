/* Why a call failed, in the proxy's own words: a reason and a sentence for the caller and the
 * log. */
#ifndef BRIDLE_RPC_STATUS_H
#define BRIDLE_RPC_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/reason.h"

struct rpc_status {
	enum reason reason;
	char detail[256]; /* what happened, without the reason's word; may be empty */
	/* A type for the exception that tells it, in place of the reason's own: in a Thrift or
	 * Kitex Protobuf exception, in a trailer of TTHeader streaming; gRPC: the status that it
	 * maps to. */
	bool has_exception_id;
	int32_t exception_id;
};

/* Without an exception_id: to be set after. */
void rpc_status_set(struct rpc_status *status, enum reason reason, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The text of a reply: "bridled: <reason>: <Kitex's text>: <detail>". Returns its length. */
#define RPC_STATUS_TEXT_MAX 384u
size_t rpc_status_text(const struct rpc_status *status, char *room, size_t size);

#endif
