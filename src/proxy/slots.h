/*
 * The calls in flight on a shared connection, by the sequence id that we gave each. An id is a
 * slot's number and its generation; the slot of a call that was given up stays taken until its
 * reply has come, so a late reply cannot meet a newer call. Id 0 is never given: servers use it for
 * control.
 */
#ifndef BRIDLE_PROXY_SLOTS_H
#define BRIDLE_PROXY_SLOTS_H

#include <stdbool.h>
#include <stdint.h>

struct attempt;

#define SLOTS_MAX 4096u
#define SLOTS_ABANDONED                                                                            \
	1024u /* more replies outstanding that nobody wants: the connection is bad */

struct slot {
	struct attempt *attempt; /* NULL: free, or given up */
	uint16_t generation;
	bool is_taken;
};

struct slots {
	struct slot *list; /* owned */
	unsigned size, used, abandoned, next;
};

struct slots *slots_new(void);
void slots_free(struct slots **slots);
/* Gives an id, or 0 when all are in use. */
int32_t slots_take(struct slots *slots, struct attempt *attempt);
/* The reply of @id has come: frees the slot. False when no call of that id is out; *@attempt is
 * NULL when it had been given up. */
bool slots_answer(struct slots *slots, int32_t id, struct attempt **attempt);
void slots_abandon(struct slots *slots, int32_t id);
/* Calls in flight that somebody waits for. */
unsigned slots_waiting(const struct slots *slots);
/* The attempt in slot number @i, or NULL. */
struct attempt *slots_at(const struct slots *slots, unsigned i);

#endif
