#include "registry/gathering.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

#define NAME_MAX_SHOWN 80u
#define LIST_MAX       (10u * REGISTRY_ENDPOINTS_MAX) /* which of them count is said behind this */

void gathering_init(struct gathering *g)
{
	*g = (struct gathering){0};
	arena_init(&g->arena, NULL, 0);
}

void gathering_fini(struct gathering *g)
{
	arena_fini(&g->arena);
	free(g->list);
	*g = (struct gathering){0};
}

static void add(struct gathering *g, const struct endpoint *endpoint)
{
	if (g->n == g->room) {
		g->room = g->room ? 2 * g->room : 16;
		g->list = mem_realloc(g->list, g->room * sizeof *g->list);
	}
	g->list[g->n++] = *endpoint;
}

static void skip(struct gathering *g, struct slice name, const char *why)
{
	size_t i = g->n_skipped++;

	if (i >= GATHERING_SKIPPED)
		return;
	g->skipped[i].record = arena_copy(&g->arena, slice_first(name, NAME_MAX_SHOWN));
	g->skipped[i].why = arena_str(&g->arena, slice_str(why));
}

void gathering_take(struct gathering *g, int verdict, const struct endpoint *endpoint,
    struct slice name, const struct err *err)
{
	if (verdict < 0)
		skip(g, name, err->text);
	else if (verdict == 0 && g->n == LIST_MAX)
		skip(g, name, "far too many endpoints");
	else if (verdict == 0)
		add(g, endpoint);
}

void gathering_tell(const struct gathering *g, struct registry *registry, struct slice service,
    const char *revision)
{
	char more[64];

	for (size_t i = 0; i < g->n_skipped && i < GATHERING_SKIPPED; i++)
		registry_skipped(registry, service, g->skipped[i].record, g->skipped[i].why);
	if (g->n_skipped > GATHERING_SKIPPED) {
		snprintf(more, sizeof more, "and %zu more", g->n_skipped - GATHERING_SKIPPED);
		registry_skipped(registry, service, SLICE_NONE, more);
	}
	registry_heard(registry, service, g->list, g->n, revision);
}
