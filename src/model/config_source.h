/*
 * From what the operator names to one tree of nodes: files or a directory of them merged, overrides
 * of the command line put over it, the environment filled in. What the keys mean is not known here.
 */
#ifndef BRIDLE_MODEL_CONFIG_SOURCE_H
#define BRIDLE_MODEL_CONFIG_SOURCE_H

#include "base/ref.h"
#include "model/yaml.h"

#define SOURCE_MAX_FILES 1000u
#define CONFIG_SUFFIX                                                                              \
	".yaml" /* of the files of a directory; those that begin with a dot are none */
#define COMMAND_LINE "command line" /* the file of values given with --set */

struct allows;

/* What a configuration was bound from. It stays with it, and with all that is derived from it. */
struct config_tree {
	struct ref ref;
	struct arena arena;                      /* owns all of it, and the names of files */
	const struct yaml_node *root;            /* a map; never changed once it is read */
	const char *(*getenv)(const char *name); /* as the source had it */
};

struct config_tree *config_tree_new(void);
struct config_tree *config_tree_ref(struct config_tree *tree);
void config_tree_unref(struct config_tree **tree);

/* Whether both say the same: comments, lines and what files are called do not count. */
bool config_tree_same(const struct config_tree *a, const struct config_tree *b);

struct source {
	const struct config_source *from;
	struct arena *nodes; /* the tree, and the names of files */
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
/* Puts the keys of @from into @into; values that meet are clashes, at the top lists of @lists
 * join. */
void source_merge(const struct source *s, struct yaml_node *into, struct yaml_node *from);
/* Puts path=value, of the command line, over the tree. */
void source_override(const struct source *s, struct yaml_node *root, const char *assignment);
/* Replaces ${NAME}, ${NAME:-default} and $${ in every scalar below. */
void source_expand(const struct source *s, struct yaml_node *root);

/* A value that is put over the tree. */
struct source_value {
	struct arena *nodes;
	struct problems *problems;
	struct slice text; /* YAML */
	const char *path;  /* whole, for messages */
	const char *file;  /* for what is wrong within the text */
	struct place at;   /* of everything that is made */
	const char *by;    /* who gives it, for messages */
	bool is_whole;     /* one with an error in it is not used at all */
};

/* Puts it at @path as seen from the map @from. Returns -1 when it has complained. */
int source_put(const struct source_value *value, struct yaml_node *from, struct slice path);

#endif
