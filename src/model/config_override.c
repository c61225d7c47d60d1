#include "model/config_source.h"
#include "model/key_path.h"

/* path=value over the tree: walks it, making what is missing, and puts the value at the end. */

static struct yaml_node *make(const struct source_value *v, enum node_kind kind)
{
	struct yaml_node *node = arena_calloc(v->nodes, 1, sizeof *node);

	node->kind = kind;
	node->at = node->key_at = v->at;
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
static int become(const struct source_value *v, struct yaml_node *node, enum node_kind kind)
{
	struct yaml_node *before;

	if (node->kind == kind)
		return 0;
	if (node->kind != NODE_SCALAR || (kind == NODE_LIST && node->text.data))
		return -1;
	if (node->text.data) {
		before = arena_alloc(v->nodes, sizeof *before);
		*before = *node;
		node->shorthand = before;
	}
	node->kind = kind;
	return 0;
}

/* The node one step further, made when it is missing. NULL when there can be none. */
static struct yaml_node *walk(
    const struct source_value *v, struct yaml_node *node, const struct key_step *step)
{
	struct yaml_node *next;

	if (become(v, node, step->is_index ? NODE_LIST : NODE_MAP) < 0)
		return NULL;
	next = step->is_index ? item_at(node, step->index) : yaml_find(node, step->key);
	if (next)
		return next;
	if (step->is_index && step->index != node->n)
		return NULL;
	next = make(v, NODE_SCALAR);
	yaml_append(node, step->is_index ? SLICE_NONE : arena_copy(v->nodes, step->key), next);
	return next;
}

/* Everything but its place among its siblings. */
static void replace(
    const struct source_value *v, struct yaml_node *node, const struct yaml_node *value)
{
	struct yaml_node old = *node;

	*node = *value;
	node->next = old.next;
	node->key = old.key;
	node->key_at = v->at;
}

static void set_places(struct yaml_node *node, struct place at)
{
	node->at = node->key_at = at;
	for (struct yaml_node *child = node->first; child; child = child->next)
		set_places(child, at);
}

static struct yaml_node *read_value(const struct source_value *v)
{
	struct yaml_input in = {v->file, v->text, v->nodes, v->problems, 0};
	size_t errors = v->problems->n_errors;
	struct yaml_node *value = yaml_read(&in);

	if (value == NULL)
		return NULL;
	set_places(value, v->at);
	if (yaml_scalar_kind(value) == SCALAR_NULL && value->kind == NODE_SCALAR) {
		problems_error(v->problems, v->at, v->path,
		    "%s gives no value\nwrite an empty string as %s='\"\"'", v->by, v->path);
		return NULL;
	}
	return v->is_whole && v->problems->n_errors > errors ? NULL : value;
}

int source_put(const struct source_value *v, struct yaml_node *from, struct slice path)
{
	struct yaml_node *node = from, *value = read_value(v);
	struct key_step step;

	if (value == NULL)
		return -1;
	while (node && key_path_step(&path, &step))
		node = walk(v, node, &step);
	if (node == NULL || path.len > 0 || node == from) {
		problems_error(v->problems, v->at, v->path,
		    "%s names no place\nexpected a path like listeners[0].timeout.idle or "
		    "services.\"a.b\".protocol, the index at most one past the end",
		    v->by);
		return -1;
	}
	replace(v, node, value);
	return 0;
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
	struct source_value v = {
	    .nodes = s->nodes, .problems = s->problems, .at = {COMMAND_LINE, 0, 0}, .by = "--set"};
	const char *equals = find_equals(assignment);

	if (equals == NULL || equals == assignment) {
		problems_error(s->problems, v.at, NULL,
		    "--set %.100s is no assignment\nexpected path=value, like listeners[0].in_flight=10",
		    assignment);
		return;
	}
	v.path = arena_str(s->nodes, slice_of(assignment, (size_t)(equals - assignment)));
	v.file = arena_printf(s->nodes, "--set %s", v.path);
	v.text = slice_str(equals + 1);
	source_put(&v, root, slice_str(v.path));
}
