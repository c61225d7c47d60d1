/*
 * Metadata in the bodies of calls, as the configuration asks for it: what an application that reads
 * no header is given there, what it brings there, and the business errors that it answers with.
 * What the bytes are is rpc/carry's.
 */
#ifndef BRIDLE_PROXY_CARRIAGE_H
#define BRIDLE_PROXY_CARRIAGE_H

#include <stdbool.h>

struct call;
struct rpc_edit;
struct rpc_message;

/* Takes out what the body of the call brings, if it is one that may, and here as a whole. Before it
 * is routed: rules are to see it. True: it brought something. */
bool carriage_lift(struct call *call);
/* Metadata goes to the call's service in bodies. */
bool carriage_gives(const struct call *call);
/* Its body may bring something that cannot be looked at yet. */
bool carriage_may_bring(const struct call *call);
/* The body is wanted as a whole for what it brings or is given, and not known to be longer than
 * retry.buffer. */
bool carriage_wants_body(const struct call *call);
/* Puts metadata into the body as the attempt sends it: edit->splice, in the call's arena. Counts
 * bodies that stay as they are. */
void carriage_edit(struct call *call, struct rpc_edit *edit);
/* Whether replies are read for what their bodies say of a business error. */
bool carriage_reads_replies(const struct call *call);
/* Reads it: @m is a reply to the call, here as a whole or not; its views are in the call's
 * arena. */
void carriage_note_reply(struct call *call, struct rpc_message *m);

#endif
