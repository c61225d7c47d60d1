/*
 * Calls of the proxy's own: what health checks send, and what they make of the answer.
 */
#ifndef BRIDLE_RPC_PROBE_H
#define BRIDLE_RPC_PROBE_H

#include "rpc/message.h"

#define RPC_PROBE_NAME_MAX 200u

struct rpc_probe {
	struct rpc_message message; /* views into this struct: it stays where it is */
	uint8_t head[RPC_PROBE_NAME_MAX + 16], body[RPC_PROBE_NAME_MAX + 8];
};

/* A call of @method without arguments; to be sent in whatever form. Names that are too long are
 * cut. */
void rpc_probe_thrift(struct rpc_probe *p, struct slice method);
/* Asks for the health of @service, or with an empty one of the whole server: a call of
 * grpc.health.v1.Health/Check. Source: grpc/doc/health-checking.md. */
void rpc_probe_grpc(struct rpc_probe *p, struct slice service);
/* Does the body of the reply to that, all of it, say SERVING? */
bool rpc_probe_is_serving(struct slice body);

#endif
