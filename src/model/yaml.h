/*
 * The guarded YAML reader. It makes a small tree of nodes with places out of a text that may be
 * hostile: the text is measured and its bytes are checked before the parser sees them, nesting and
 * nodes are counted while it runs, and what makes YAML surprising (aliases, merge keys, tags,
 * directives, doubled keys, several documents) is refused. It knows nothing of the configuration.
 */
#ifndef BRIDLE_MODEL_YAML_H
#define BRIDLE_MODEL_YAML_H

#include "base/arena.h"
#include "base/slice.h"
#include "model/problems.h"

#define YAML_MAX_BYTES (1024u * 1024u)
#define YAML_MAX_DEPTH 32u
#define YAML_MAX_NODES 100000u

enum node_kind { NODE_SCALAR, NODE_LIST, NODE_MAP };

struct yaml_node {
	enum node_kind kind;
	bool is_plain; /* a scalar without quotes */
	bool is_bad;   /* stands for something already complained about */
	struct place at;
	struct slice text;    /* of a scalar */
	const char *variable; /* of the environment, when the text came from one; else NULL */

	struct yaml_node *first, *last; /* items of a list, values of a map */
	size_t n;
	/* What a short form said before an override turned it into a map; else NULL. */
	struct yaml_node *shorthand;

	struct yaml_node *next; /* in the list or map this belongs to */
	struct slice key;       /* in a map */
	struct place key_at;
};

struct yaml_input {
	const char *file;  /* for places; borrowed by the nodes */
	struct slice text; /* borrowed during the call */
	struct arena *arena;
	struct problems *problems;
	size_t n_nodes; /* out: made, also when the text was refused in the end */
};

/* The root, in the arena, or NULL when the text was refused as a whole. A text without content
 * gives an empty plain scalar. Problems that leave the rest readable are only reported. */
struct yaml_node *yaml_read(struct yaml_input *in);
/* The same with limits of its own, for texts that are no configuration. */
struct yaml_node *yaml_read_up_to(struct yaml_input *in, size_t max_bytes, size_t max_nodes);

/* The value of a key, or NULL. */
struct yaml_node *yaml_find(const struct yaml_node *map, struct slice key);
/* Puts a value at the end of a list or (with @key) a map. */
void yaml_append(struct yaml_node *to, struct slice key, struct yaml_node *value);

/* What a scalar is by the core schema of YAML 1.2. */
enum scalar_kind { SCALAR_TEXT, SCALAR_NUMBER, SCALAR_BOOL, SCALAR_NULL };
enum scalar_kind yaml_scalar_kind(const struct yaml_node *node);

/* The offset of the first byte that is no UTF-8 or a control byte other than tab and line ends;
 * s.len when there is none. */
size_t yaml_bad_byte(struct slice s);

/* The YAML library's version. */
const char *yaml_library_version(void);

#endif
