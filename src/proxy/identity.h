/*
 * Who a call comes from, by the rule of its listener, and what its caller may not say: from here on
 * the message says nothing else, whether rules ask it, logs show it, or an endpoint reads it.
 */
#ifndef BRIDLE_PROXY_IDENTITY_H
#define BRIDLE_PROXY_IDENTITY_H

#include <stdbool.h>

struct call;
struct rpc_message;
struct rpc_reserved;

/* Sets call->caller, and takes out of the call's request, whose head is its own, what its caller
 * may not say. To be asked again once more was found in the body (rpc_lift). False: there is no
 * room for what is made, and the call has failed. */
bool identity_establish(struct call *call);
/* The names that no caller of the call's listener may use, as many as the listener has; in the
 * call's arena. */
const struct rpc_reserved *identity_reserved(struct call *call);
/* The same for the trailers of the request; false: no room. */
bool identity_check_trailers(struct call *call, struct rpc_message *trailers);

#endif
