/* The known word that somebody most likely meant. */
#ifndef BRIDLE_MODEL_NEAREST_H
#define BRIDLE_MODEL_NEAREST_H

#include "base/slice.h"

struct nearest {
	struct slice typed;
	struct slice best;
	unsigned distance;
};

void nearest_init(struct nearest *n, struct slice typed);
void nearest_try(struct nearest *n, struct slice word);
/* False when nothing is near enough to be worth saying. */
bool nearest_found(const struct nearest *n);

#endif
