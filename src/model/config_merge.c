#include "base/mem.h"
#include "base/table.h"
#include "model/config_source.h"
#include "model/key_path.h"

/* Merging the files of a directory: maps by key, some lists end to end, all else is a clash. */

static const char *const joined[] = {"listeners", "tests"};

static bool is_joined(const struct yaml_node *value, const struct key_path *path)
{
	if (value->kind != NODE_LIST)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(joined); i++)
		if (strcmp(path->text, joined[i]) == 0)
			return true;
	return false;
}

static void merge_maps(
    const struct source *s, struct yaml_node *into, struct yaml_node *from, struct key_path *path);

static void merge_value(
    const struct source *s, struct yaml_node *old, struct yaml_node *new, struct key_path *path)
{
	if (old->kind == NODE_MAP && new->kind == NODE_MAP) {
		merge_maps(s, old, new, path);
	} else if (old->kind == new->kind && is_joined(old, path)) {
		for (struct yaml_node *item = new->first, *next; item; item = next) {
			next = item->next;
			yaml_append(old, SLICE_NONE, item);
		}
	} else {
		problems_error(s->problems, new->key_at, path->text,
		    "given in two files\nfirst given at %s:%u:%u", old->key_at.file,
		    old->key_at.line, old->key_at.column);
	}
}

static void merge_maps(
    const struct source *s, struct yaml_node *into, struct yaml_node *from, struct key_path *path)
{
	struct table keys;

	table_init(&keys, 0);
	for (struct yaml_node *value = into->first; value; value = value->next)
		table_put(&keys, value->key, value);
	for (struct yaml_node *value = from->first, *next; value; value = next) {
		struct yaml_node *old = table_get(&keys, value->key);
		size_t before = key_path_key(path, value->key);

		next = value->next;
		if (old)
			merge_value(s, old, value, path);
		else
			yaml_append(into, value->key, value);
		key_path_cut(path, before);
	}
	table_fini(&keys);
}

void source_merge(const struct source *s, struct yaml_node *into, struct yaml_node *from)
{
	struct key_path path = {.len = 0};

	merge_maps(s, into, from, &path);
}
