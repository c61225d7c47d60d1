/*
 * The bodies of a call on their way, in both directions: of long unary messages and of streams.
 * Nothing is held but what cannot be passed on yet, or may have to be sent again; whoever writes
 * faster than the other side reads is stopped: a unary one by not reading its connection, a stream
 * by its window.
 */
#ifndef BRIDLE_PROXY_RELAY_H
#define BRIDLE_PROXY_RELAY_H

#include <stdbool.h>

#include "base/slice.h"

struct attempt;
struct call;
struct codec_item;
struct rpc_message;

/* More of the call's own body; views end with this call. */
void relay_body(struct call *call, const struct codec_item *item);
/* The caller's side has ended with these trailers. */
void relay_body_end(struct call *call, const struct rpc_message *trailers);
/* False while the call cannot take more of its body: connecting, or the far side is slow. Streams
 * are stopped by their windows instead. */
bool relay_wants_body(const struct call *call);
/* A stream's head has just been written to an endpoint: so is what has come of its body. */
void relay_begin(struct attempt *attempt);

/* More of the reply. */
void relay_reply(struct call *call, const struct codec_item *item);
/* A whole reply goes to a caller who counts messages. */
void relay_note_reply(struct call *call);
/* The reply has ended with these trailers. */
void relay_reply_end(struct call *call, const struct rpc_message *trailers);

/* Something has left on either side, or begun to wait: lets writers go on, or stops them. */
void relay_settle(struct call *call);
/* All of the reply has left. */
bool relay_is_flushed(const struct call *call);

#endif
