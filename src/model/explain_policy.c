#include "model/explain_policy.h"

#include <stdlib.h>

#include "model/config_bind.h"
#include "model/explain.h"

static void add(struct explanation *e, struct explained_value value)
{
	if (e->n_values == e->values_room) {
		size_t room = e->values_room ? 2 * e->values_room : 64;
		struct explained_value *more = arena_calloc(&e->arena, room, sizeof *more);

		if (e->n_values)
			memcpy(more, e->values, e->n_values * sizeof *more);
		e->values = more;
		e->values_room = room;
	}
	e->values[e->n_values++] = value;
}

static const char *print_value(struct arena *arena, const struct key *key, const void *base)
{
	char *text = NULL;
	size_t len = 0;
	FILE *to = open_memstream(&text, &len);
	const char *copy = "";

	if (to == NULL)
		return copy;
	key->type->print(key, base, to);
	fclose(to);
	copy = arena_str(arena, slice_of(text, len));
	free(text);
	return copy;
}

static const char *print_place(struct arena *arena, const struct origin *origin)
{
	if (origin == NULL)
		return NULL;
	if (origin->at.line == 0)
		return arena_str(arena, slice_str(origin->at.file));
	return arena_printf(arena, "%s:%u", origin->at.file, origin->at.line);
}

static void add_scope(
    struct explanation *e, const struct scope *scope, const void *base, const char *prefix)
{
	const struct key *key;
	void *at;

	for (size_t i = 0; (key = scope_key(scope, i, (void *)(uintptr_t)base, &at)) != NULL; i++) {
		if (key->type == NULL || key->type->shape != KEY_VALUE)
			continue;
		add(e,
		    (struct explained_value){
			.name = arena_printf(&e->arena, "%s%s", prefix, key->name),
			.value = print_value(&e->arena, key, at),
			.from = print_place(&e->arena, origin_find(e->snapshot->config, at, key)),
		    });
	}
}

/* Limits and breakers are not merged: each that holds is told by where it stands. */
static void add_guards(struct explanation *e)
{
	const struct policy *p = e->decision.policy;

	for (size_t level = 0; level < LEVELS; level++) {
		const struct limit_config *limit = p->limits[level];
		const struct breaker_config *breaker = p->breakers[level];
		bool is_defaults = level == LEVEL_DEFAULTS;

		if (limit && !(is_defaults && p->limits[LEVEL_SERVICE]))
			add_scope(
			    e, &limit_scope, limit, arena_printf(&e->arena, "%s.", limit->at));
		if (breaker && !(is_defaults && p->breakers[LEVEL_SERVICE]))
			add_scope(e, &breaker_scope, breaker,
			    arena_printf(&e->arena, "%s.", breaker->at));
	}
}

void explain_policy(struct explanation *e)
{
	add_scope(e, &policy_scope, e->decision.policy, "");
	add_guards(e);
}
