/*
 * Comments that silence a warning where it is meant so: "# allow W07: reason", on the line of the
 * value or alone on a line above it. Comments are not part of what the YAML reader gives, so the
 * lines of the text are looked at.
 */
#ifndef BRIDLE_MODEL_CONFIG_ALLOW_H
#define BRIDLE_MODEL_CONFIG_ALLOW_H

#include "base/arena.h"
#include "model/problems.h"

struct allow {
	struct allow *next;
	struct place at; /* of the comment */
	unsigned line;   /* that it is for */
	unsigned id;
	bool has_reason, is_used;
};

struct allows {
	struct arena *arena;
	struct allow *first;
};

/* Adds those of a text that is called @file, which stays as long as the list. */
void allows_read(struct allows *allows, const char *file, struct slice text);
/* Whether a warning is allowed there; it counts as used then. */
bool allows_has(struct allows *allows, struct place at, unsigned id);

#endif
