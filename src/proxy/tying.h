/*
 * Calls of an application beside us, tied to the call that it answers meanwhile (`correlate`): what
 * is sent to it is noted in the process's table (proxy/correlation.h), and a call that comes from
 * it is given what the one in flight hands on.
 */
#ifndef BRIDLE_PROXY_TYING_H
#define BRIDLE_PROXY_TYING_H

#include "proxy/worker.h"

struct attempt;
struct call;
struct rpc_edit;
struct snapshot;
struct upstream;

/* Some service of it has `correlate`. */
bool tying_is_asked(const struct snapshot *snapshot);

/* The attempt's call is about to be written as @edit has it; where nothing correlates it is not to
 * be asked. */
void tying_begin(struct attempt *a, const struct rpc_edit *edit);
/* It is over, as @outcome says; it was begun. */
void tying_end(struct attempt *a, enum attempt_outcome outcome);
/* It was given up, and its connection waits for the reply that nobody wants: that one will tell. */
void tying_leave(struct attempt *a, struct upstream *u);
/* That reply has come. */
void tying_answered(struct upstream *u);
/* The connection ends. */
void tying_forget(struct upstream *u);

/* Ties the call, which has just come, if it can be; where nothing correlates it is not to be
 * asked. */
void tying_tie(struct call *call);
/* Its body may have brought something meanwhile, which counts before what it is tied to. */
void tying_complete(struct call *call);

#endif
