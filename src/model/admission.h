/*
 * What admission goes by, on the data path and in simulations alike: in which order limits give
 * their slots, and what the end of a call means to breakers.
 */
#ifndef BRIDLE_MODEL_ADMISSION_H
#define BRIDLE_MODEL_ADMISSION_H

#include "model/config.h"

/* Slots are taken from the narrowest limit to the widest: who waits for a place in the whole
 * service holds one of its method, which nobody else could use now; the other way round calls of
 * one slow method would sit on the places of all. */
extern const enum level admission_slot_order[LEVELS];

/* What a service cannot help says nothing of it: refusals of ours, callers that go away or send
 * nonsense. As in Kitex an exception counts as a failure and a business error does not. */
enum breaker_outcome admission_outcome(enum reason reason);

#endif
