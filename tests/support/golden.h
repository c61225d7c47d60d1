/* The golden frames of tests/wire/golden, as its INDEX lists them. */
#ifndef BRIDLE_TESTS_GOLDEN_H
#define BRIDLE_TESTS_GOLDEN_H

#include "base/slice.h"

#define GOLDEN_FRAMES_MAX 8

struct golden {
	char name[64], protocol[32], direction[16];
	bool accept;
	char messages[256]; /* kind:method:type:sequence id, one for each frame, or "-" */
	struct slice frames[GOLDEN_FRAMES_MAX]; /* owned */
	size_t n_frames;
};

struct golden_set {
	struct golden *items; /* owned */
	size_t count;
};

/* Stops the program when a file is missing or wrong: no test makes sense then. */
struct golden_set golden_load(void);
void golden_free(struct golden_set *set);

/* NULL when there is none of the name. */
const struct golden *golden_find(const struct golden_set *set, const char *name);

/* Neither streaming nor gRPC: messages of the unary codecs, good or bad. */
bool golden_is_unary(const struct golden *g);

#endif
