#include "model/config_source.h"
#include "model/key_path.h"

/* --set path=value: walks the tree, making what is missing, and puts the value at the end. */

static const struct place command_line = {COMMAND_LINE, 0, 0};

static struct yaml_node *make(const struct source *s, enum node_kind kind)
{
	struct yaml_node *node = arena_calloc(s->nodes, 1, sizeof *node);

	node->kind = kind;
	node->at = node->key_at = command_line;
	return node;
}

static struct yaml_node *item_at(const struct yaml_node *list, size_t index)
{
	struct yaml_node *node = list->first;

	while (node && index-- > 0)
		node = node->next;
	return node;
}

/* Makes a list or a map of @node, keeping what it said before as its short form. */
static int become(const struct source *s, struct yaml_node *node, enum node_kind kind)
{
	struct yaml_node *before;

	if (node->kind == kind)
		return 0;
	if (node->kind != NODE_SCALAR || (kind == NODE_LIST && node->text.data))
		return -1;
	if (node->text.data) {
		before = arena_alloc(s->nodes, sizeof *before);
		*before = *node;
		node->shorthand = before;
	}
	node->kind = kind;
	return 0;
}

/* The node one step further, made when it is missing. NULL when there can be none. */
static struct yaml_node *walk(
    const struct source *s, struct yaml_node *node, const struct key_step *step)
{
	struct yaml_node *next;

	if (become(s, node, step->is_index ? NODE_LIST : NODE_MAP) < 0)
		return NULL;
	next = step->is_index ? item_at(node, step->index) : yaml_find(node, step->key);
	if (next)
		return next;
	if (step->is_index && step->index != node->n)
		return NULL;
	next = make(s, NODE_SCALAR);
	yaml_append(node, step->is_index ? SLICE_NONE : arena_copy(s->nodes, step->key), next);
	return next;
}

/* Everything but its place among its siblings. */
static void replace(struct yaml_node *node, const struct yaml_node *value)
{
	struct yaml_node old = *node;

	*node = *value;
	node->next = old.next;
	node->key = old.key;
	node->key_at = command_line;
}

static void forget_places(struct yaml_node *node)
{
	node->at = node->key_at = command_line;
	for (struct yaml_node *child = node->first; child; child = child->next)
		forget_places(child);
}

static struct yaml_node *read_value(const struct source *s, const char *path, struct slice text)
{
	const char *file = arena_printf(s->names, "--set %s", path);
	struct yaml_input in = {file, text, s->nodes, s->problems, 0};
	struct yaml_node *value = yaml_read(&in);

	if (value == NULL)
		return NULL;
	forget_places(value);
	if (yaml_scalar_kind(value) == SCALAR_NULL && value->kind == NODE_SCALAR) {
		problems_error(s->problems, command_line, path,
		    "--set gives no value\nwrite an empty string as %s='\"\"'", path);
		return NULL;
	}
	return value;
}

/* The = that ends the path: the first outside of quotes. */
static const char *find_equals(const char *text)
{
	bool quoted = false;

	for (; *text; text++) {
		if (*text == '"')
			quoted = !quoted;
		if (*text == '=' && !quoted)
			return text;
	}
	return NULL;
}

void source_override(const struct source *s, struct yaml_node *root, const char *assignment)
{
	const char *equals = find_equals(assignment), *path;
	struct yaml_node *node = root, *value;
	struct key_step step;
	struct slice rest;

	if (equals == NULL || equals == assignment) {
		problems_error(s->problems, command_line, NULL,
		    "--set %.100s is no assignment\nexpected path=value, like listeners[0].in_flight=10",
		    assignment);
		return;
	}
	rest = slice_of(assignment, (size_t)(equals - assignment));
	path = arena_str(s->nodes, rest);
	value = read_value(s, path, slice_str(equals + 1));
	if (value == NULL)
		return;
	while (node && key_path_step(&rest, &step))
		node = walk(s, node, &step);
	if (node == NULL || rest.len > 0 || node == root) {
		problems_error(s->problems, command_line, path,
		    "--set names no place\nexpected a path like listeners[0].timeout.idle or "
		    "services.\"a.b\".protocol, the index at most one past the end");
		return;
	}
	replace(node, value);
}
