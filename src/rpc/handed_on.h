/*
 * What an application that knows metadata hands on from a call that it answers to those that it
 * makes meanwhile: persistent values, the context of the trace, the log id, what is left of the
 * time, and which method of its own it is that calls. For applications that do not, it is taken out
 * of the one and put into the other here; in between it needs nothing of the call that it came
 * from. Which call belongs to which is not known here.
 */
#ifndef BRIDLE_RPC_HANDED_ON_H
#define BRIDLE_RPC_HANDED_ON_H

#include "rpc/codec.h"

struct trace_context;

#define RPC_HANDED_ON_MAX 64u /* values of one call, those of its trace among them */

struct rpc_handed_on {
	struct slice sections; /* values and trace, in the encoding of a TTHeader */
	struct slice log_id;
	struct slice method; /* that was called, and calls */
	usec_t timeout;      /* USEC_NONE: its caller stated no time */
};

/*
 * Writes the values of the call @m as @edit has it go out into @room: persistent ones in the
 * spelling that they have there, the state of the trace and, in place of what @m says, @trace as
 * its parent (without ids: none). Transient values were for the application alone. *@sections is
 * empty when there are none. False: there is not enough room, or there are more than
 * RPC_HANDED_ON_MAX.
 */
bool rpc_hand_on(const struct rpc_message *m, const struct rpc_edit *edit,
    const struct trace_context *trace, void *room, size_t size, struct slice *sections);

/* Bytes of the arena that rpc_handed_on_give takes at most. */
size_t rpc_handed_on_bound(const struct rpc_message *m, const struct rpc_handed_on *what);

/*
 * Gives the call @m, whose head was kept, what it lacks of it: the message becomes what an
 * application that hands on would have sent. Values of a name that the call has itself, in either
 * life, stay as they are, and so do its log id, its method and a trace of its own; of two times the
 * shorter counts. A PLAIN call is lifted (rpc/carry.h) from here on; a mesh header gets no values.
 * What is made lies in @arena. False: its header has no room; it is as it was.
 */
bool rpc_handed_on_give(
    struct rpc_message *m, const struct rpc_handed_on *what, struct arena *arena);

#endif
