/*
 * Messages into another thread's loop: the only way across threads besides references and counters.
 * Posting takes a short lock and never blocks on the receiver; it is not for the path of a call.
 */
#ifndef BRIDLE_NET_INBOX_H
#define BRIDLE_NET_INBOX_H

#include "base/err.h"

struct inbox;
struct loop;

typedef void (*inbox_fn)(void *arg);

/* Belongs to the loop's thread. */
struct inbox *inbox_new(struct loop *loop, struct err *err);
/* What is still inside runs first; nobody may post any more. */
void inbox_free(struct inbox **inbox);
/* Runs what is inside now, without waiting for the loop to turn. */
void inbox_run(struct inbox *inbox);
/* From any thread: @run is called with @arg in the loop's thread, in the order of posting. */
void inbox_post(struct inbox *inbox, inbox_fn run, void *arg);

#endif
