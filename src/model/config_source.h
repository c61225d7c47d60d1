/*
 * From what the operator names to one tree of nodes: files or a directory of them merged, overrides
 * of the command line put over it, the environment filled in. What the keys mean is not known here.
 */
#ifndef BRIDLE_MODEL_CONFIG_SOURCE_H
#define BRIDLE_MODEL_CONFIG_SOURCE_H

#include "model/yaml.h"

#define SOURCE_MAX_FILES 1000u
#define COMMAND_LINE     "command line" /* the file of values given with --set */

struct allows;

struct source {
	const struct config_source *from;
	struct arena *nodes; /* the tree */
	struct arena *names; /* of files: they outlive the tree */
	struct problems *problems;
	struct allows *allows; /* what comments allow is put here; NULL: nowhere */
};

/* The tree, a map, or NULL when nothing could be read. */
struct yaml_node *source_read(const struct source *s);
/* The same for a text that is already in memory. */
struct yaml_node *source_read_text(const struct source *s, const char *name, struct slice text);

/* One variable of the environment, NULL when it is not set. */
const char *source_getenv(const struct config_source *from, const char *name);

/* The steps, each in a file of its own. */
/* Puts the keys of @from into @into; values that meet are clashes, at the top lists of @lists join. */
void source_merge(const struct source *s, struct yaml_node *into, struct yaml_node *from);
/* Puts path=value over the tree. */
void source_override(const struct source *s, struct yaml_node *root, const char *assignment);
/* Replaces ${NAME}, ${NAME:-default} and $${ in every scalar below. */
void source_expand(const struct source *s, struct yaml_node *root);

#endif
