/*
 * A call's part in a trace: the context it came with, whether its spans are recorded, and the
 * context that its attempts go out with. Does nothing, and costs next to nothing, where the
 * configuration asks for neither spans nor spellings.
 */
#ifndef BRIDLE_PROXY_TRACE_H
#define BRIDLE_PROXY_TRACE_H

#include "base/clock.h"
#include "base/slice.h"
#include "proxy/attempt.h"

struct call;
struct rpc_edit;
struct trace_context;

/* A call has come, with its head. Sets call->trace where there is something to do. */
void trace_begin_call(struct call *call);
/* It is over, and all is known of it. */
void trace_end_call(struct call *call, usec_t now);
/* The same for its attempts, when it has a trace. */
void trace_begin_attempt(struct attempt *a);
void trace_end_attempt(struct attempt *a, enum attempt_outcome outcome);
/* What is to stand in the call as the attempt sends it; rules of routes have the last word. */
void trace_edit(const struct attempt *a, struct rpc_edit *edit);

/* The context that the attempt goes out with, whether or not the endpoint is told; without ids:
 * none. */
void trace_context_sent(const struct attempt *a, struct trace_context *context);

/* The id of the trace that the call belongs to, for its line in the log; empty when there is
 * none. */
struct slice trace_id_of(const struct call *call);

#endif
