/* From a tree of nodes to a configuration: what loading a file and deriving from one share. */
#ifndef BRIDLE_MODEL_CONFIG_LOAD_H
#define BRIDLE_MODEL_CONFIG_LOAD_H

#include "model/config_source.h"

/* What a tree is bound with; all of it is borrowed. */
struct config_binding {
	struct config_tree *tree; /* the configuration takes a reference of its own */
	const struct yaml_node *root;
	struct arena *scratch;
	struct problems *problems;
	struct allows *allows; /* what comments allow; NULL: no warnings are looked for */
	const char *hash;      /* NULL: worked out */
	/* Called between binding and checking; NULL: nothing is. */
	void (*adjust)(struct config *config, void *arg);
	void *arg;
};

/* The configuration, the caller's, or NULL when there are errors among the problems. */
struct config *config_bind(const struct config_binding *binding);

#endif
