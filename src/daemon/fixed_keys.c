#include "daemon/fixed_keys.h"

#include <string.h>

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_node(const struct config *a, const struct config *b)
{
	return same_text(a->node.service, b->node.service) &&
	       same_text(a->node.cluster, b->node.cluster) &&
	       same_text(a->node.zone, b->node.zone) && same_text(a->node.id, b->node.id) &&
	       config_map_eq(&a->node.tags, &b->node.tags);
}

static const char *copy_text(struct arena *arena, const char *text)
{
	return text ? arena_str(arena, slice_str(text)) : NULL;
}

static void copy_node(struct config *to, const struct config *from)
{
	to->node.service = copy_text(&to->arena, from->node.service);
	to->node.cluster = copy_text(&to->arena, from->node.cluster);
	to->node.zone = copy_text(&to->arena, from->node.zone);
	to->node.id = copy_text(&to->arena, from->node.id);
	to->node.tags = config_map_copy(&to->arena, &from->node.tags);
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
