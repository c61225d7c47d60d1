#include "registry/kitex_reading.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "registry/kitex_governance.h"

#define NUMBER_MAX 40u /* bytes */

int kitex_refuse(const struct yaml_node *node, const char *name, const char *why, struct err *err)
{
	struct slice key = slice_first(node->key, 100);

	return err_set(err, 0, "line %u: %.*s%s%s: %s", node->at.line, (int)key.len,
	    key.len ? (const char *)key.data : "", key.len && *name ? "." : "", name, why);
}

const struct yaml_node *kitex_read(struct slice text, struct arena *arena, struct err *err)
{
	struct problems problems;
	struct yaml_input in = {"document", text, arena, &problems, 0};
	const struct yaml_node *root;

	problems_init(&problems);
	root = yaml_read(&in);
	if (problems.n > 0) {
		err_set(err, 0, "line %u: %s", problems.list[0].line, problems.list[0].text);
		root = NULL;
	} else if (root && kitex_map(root, "a map", err) < 0) {
		root = NULL;
	}
	problems_fini(&problems);
	return root;
}

int kitex_map(const struct yaml_node *node, const char *expected, struct err *err)
{
	if (node->kind == NODE_MAP)
		return 0;
	kitex_refuse(node, "", "expected ", err);
	strncat(err->text, expected, sizeof err->text - strlen(err->text) - 1);
	return -1;
}

static bool is_method(struct slice name)
{
	for (size_t i = 0; i < name.len; i++) {
		uint8_t c = name.data[i], lower = c | 0x20;

		if (!(lower >= 'a' && lower <= 'z') && !(c >= '0' && c <= '9') && c != '_' &&
		    c != '.' && c != '-')
			return false;
	}
	return name.len > 0 && name.len <= 200 && !slice_eq_str(name, "none");
}

int kitex_methods(const struct yaml_node *map, struct err *err)
{
	if (map->n > GOVERNANCE_METHODS_MAX)
		return err_set(err, 0, "%zu methods, more than %u", map->n, GOVERNANCE_METHODS_MAX);
	for (const struct yaml_node *entry = map->first; entry; entry = entry->next)
		if (!slice_eq_str(entry->key, "*") && !is_method(entry->key))
			return err_set(err, 0,
			    "line %u: a method has a name of letters, digits, \".\", \"_\" and "
			    "\"-\", or is \"*\"",
			    entry->at.line);
	return 0;
}

/* The member, or NULL when it is missing or null. */
static const struct yaml_node *find(const struct yaml_node *map, const char *name)
{
	const struct yaml_node *node = yaml_find(map, slice_str(name));

	if (node && node->kind == NODE_SCALAR && yaml_scalar_kind(node) == SCALAR_NULL)
		return NULL;
	return node;
}

static int refuse_range(
    const struct yaml_node *map, const char *name, double min, double max, struct err *err)
{
	char why[128];

	snprintf(why, sizeof why, "expected a number from %.7g to %.10g", min, max);
	return kitex_refuse(map, name, why, err);
}

/* Copies a number, to where it ends with NUL. */
static bool copy_number(const struct yaml_node *node, char room[NUMBER_MAX + 1])
{
	if (node->kind != NODE_SCALAR || yaml_scalar_kind(node) != SCALAR_NUMBER ||
	    node->text.len > NUMBER_MAX)
		return false;
	memcpy(room, node->text.data, node->text.len);
	room[node->text.len] = '\0';
	return true;
}

int kitex_integer(const struct yaml_node *map, const char *name, int64_t min, int64_t max,
    int64_t *value, struct err *err)
{
	const struct yaml_node *node = find(map, name);
	char room[NUMBER_MAX + 1], *end;
	long long number;

	if (node == NULL)
		return 0;
	if (!copy_number(node, room) || strspn(room, "-0123456789") != strlen(room))
		return kitex_refuse(map, name, "expected a whole number", err);
	errno = 0;
	number = strtoll(room, &end, 10);
	if (errno || *end || number < min || number > max)
		return refuse_range(map, name, (double)min, (double)max, err);
	*value = number;
	return 0;
}

int kitex_number(const struct yaml_node *map, const char *name, double min, double max,
    double *value, struct err *err)
{
	const struct yaml_node *node = find(map, name);
	char room[NUMBER_MAX + 1], *end;
	double number;

	if (node == NULL)
		return 0;
	/* Not 0x10, .inf or .nan. */
	if (!copy_number(node, room) || strspn(room, "-+.eE0123456789") != strlen(room))
		return kitex_refuse(map, name, "expected a number", err);
	number = strtod(room, &end);
	if (*end || !(number >= min && number <= max))
		return refuse_range(map, name, min, max, err);
	*value = number;
	return 0;
}

int kitex_bool(const struct yaml_node *map, const char *name, bool *value, struct err *err)
{
	const struct yaml_node *node = find(map, name);

	if (node == NULL)
		return 0;
	if (node->kind != NODE_SCALAR || yaml_scalar_kind(node) != SCALAR_BOOL)
		return kitex_refuse(map, name, "expected true or false", err);
	*value = (node->text.data[0] | 0x20) == 't';
	return 0;
}

int kitex_child(
    const struct yaml_node *map, const char *name, const struct yaml_node **child, struct err *err)
{
	*child = find(map, name);
	if (*child == NULL || (*child)->kind == NODE_MAP)
		return 0;
	return kitex_refuse(map, name, "expected a map", err);
}

int kitex_text(const struct yaml_node *map, const char *name, struct slice *text, struct err *err)
{
	const struct yaml_node *node = find(map, name);

	if (node == NULL)
		return 0;
	if (node->kind != NODE_SCALAR || yaml_scalar_kind(node) != SCALAR_TEXT)
		return kitex_refuse(map, name, "expected a text", err);
	*text = node->text;
	return 0;
}
