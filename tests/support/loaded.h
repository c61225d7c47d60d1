/* Configurations out of texts and files, for tests. */
#ifndef BRIDLE_TESTS_LOADED_H
#define BRIDLE_TESTS_LOADED_H

#include "model/config.h"

/* The environment of every configuration here. RUNTIME_DIRECTORY is a folder that is there. */
const char *loaded_getenv(const char *name);

/* A configuration and what was said about it; config is NULL when there were errors. */
struct loaded {
	struct config *config;
	struct problems problems;
};

struct loaded loaded_from(const char *text);
struct loaded loaded_with(const char *text, const char *const *overrides, size_t n);
struct loaded loaded_file(const char *path);
void loaded_free(struct loaded *l);

/* Fails the running test, with all that was said, unless the configuration is there. */
const struct config *loaded_config(const struct loaded *l);
/* Whether there is an error or a warning at a path whose text and remedy contain these parts;
 * @remedy may be NULL. */
bool loaded_says(const struct loaded *l, const char *path, const char *text, const char *remedy);

/* What -T prints; from malloc. */
char *loaded_dump(const struct config *config);

#endif
