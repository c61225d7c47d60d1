/* Lists of endpoints that never change, shared by reference. */
#include <stdlib.h>

#include "base/mem.h"
#include "registry/registry_impl.h"

struct endpoint_list *endpoint_list_new(const struct endpoint *const *sorted, size_t n)
{
	struct endpoint_list *l = mem_calloc(1, sizeof *l);

	ref_init(&l->ref);
	arena_init(&l->arena, NULL, 0);
	l->list = mem_calloc(n ? n : 1, sizeof *l->list);
	for (l->n = 0; l->n < n; l->n++) {
		const struct endpoint *from = sorted[l->n];
		struct endpoint *to = &l->list[l->n];

		to->address = from->address;
		to->weight = from->weight;
		to->zone = from->zone ? arena_str(&l->arena, slice_str(from->zone)) : NULL;
		to->tags = config_map_copy(&l->arena, &from->tags);
	}
	return l;
}

void endpoint_list_unref(void *list)
{
	struct endpoint_list *l = list;

	if (l == NULL || !ref_drop(&l->ref))
		return;
	arena_fini(&l->arena);
	free(l->list);
	free(l);
}
