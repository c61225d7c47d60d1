#include "daemon/fixed_keys.h"

#include <string.h>

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_map(const struct config_map *a, const struct config_map *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (!same_text(a->pairs[i].name, b->pairs[i].name) ||
		    !same_text(a->pairs[i].value, b->pairs[i].value))
			return false;
	return true;
}

static bool same_node(const struct config *a, const struct config *b)
{
	return same_text(a->node.service, b->node.service) &&
	       same_text(a->node.cluster, b->node.cluster) &&
	       same_text(a->node.zone, b->node.zone) && same_text(a->node.id, b->node.id) &&
	       same_map(&a->node.tags, &b->node.tags);
}

static const char *copy_text(struct arena *arena, const char *text)
{
	return text ? arena_str(arena, slice_str(text)) : NULL;
}

static void copy_node(struct config *to, const struct config *from)
{
	struct config_pair *pairs = arena_calloc(&to->arena, from->node.tags.n, sizeof *pairs);

	for (size_t i = 0; i < from->node.tags.n; i++) {
		pairs[i].name = copy_text(&to->arena, from->node.tags.pairs[i].name);
		pairs[i].value = copy_text(&to->arena, from->node.tags.pairs[i].value);
	}
	to->node.service = copy_text(&to->arena, from->node.service);
	to->node.cluster = copy_text(&to->arena, from->node.cluster);
	to->node.zone = copy_text(&to->arena, from->node.zone);
	to->node.id = copy_text(&to->arena, from->node.id);
	to->node.tags = (struct config_map){pairs, from->node.tags.n};
}

size_t fixed_keys_keep(
    struct config *fresh, const struct config *present, const char *kept[FIXED_KEYS_MAX])
{
	size_t n = 0;

	if (!same_node(fresh, present)) {
		copy_node(fresh, present);
		kept[n++] = "node";
	}
	if (fresh->workers != present->workers) {
		fresh->workers = present->workers;
		kept[n++] = "workers";
	}
	if (!same_text(fresh->admin.socket, present->admin.socket)) {
		fresh->admin.socket = copy_text(&fresh->arena, present->admin.socket);
		kept[n++] = "admin.socket";
	}
	return n;
}
