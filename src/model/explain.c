#include "model/explain.h"

#include <stdlib.h>

#include "base/rng.h"
#include "model/balance.h"
#include "model/explain_policy.h"
#include "model/route_changes.h"

/* ---- rules ---- */

static void note_rule(void *arg, const char *at, bool matched, const char *why)
{
	struct explanation *e = arg;

	if (e->n_rules == e->rules_room) {
		size_t room = e->rules_room ? 2 * e->rules_room : 16;
		struct explained_rule *more = arena_calloc(&e->arena, room, sizeof *more);

		if (e->n_rules)
			memcpy(more, e->rules, e->n_rules * sizeof *more);
		e->rules = more;
		e->rules_room = room;
	}
	e->rules[e->n_rules++] = (struct explained_rule){.at = arena_str(&e->arena, slice_str(at)),
	    .why = arena_str(&e->arena, slice_str(why)),
	    .matched = matched};
}

/* ---- changes ---- */

static bool is_changed_again(const struct route_changes *changes, size_t i)
{
	for (size_t k = i + 1; k < changes->n; k++)
		if (fact_key_eq(changes->list[k].key, changes->list[i].key))
			return true;
	return false;
}

/* What comes of them in the end; the loss of what was not there is none. */
static void note_changes(struct explanation *e, const struct fact_source *facts)
{
	struct route_changes changes;
	char room[FACT_ROOM];

	route_changes_find(&changes, e->decision.route, facts);
	e->changes = arena_calloc(&e->arena, changes.n + 1, sizeof *e->changes);
	for (size_t i = 0; i < changes.n; i++) {
		const struct changed_fact *c = &changes.list[i];
		struct slice before;

		if (is_changed_again(&changes, i) ||
		    (c->is_removal && !fact_find(facts, c->key, room, &before)))
			continue;
		e->changes[e->n_changes++] = (struct explained_change){
		    c->key, c->is_removal ? NULL : arena_str(&e->arena, c->value)};
	}
}

bool explanation_fact(const struct explanation *e, const struct call_facts *facts,
    const struct fact_key *key, char room[FACT_ROOM], struct slice *value)
{
	for (size_t i = 0; i < e->n_changes; i++) {
		if (!fact_key_eq(key, e->changes[i].key))
			continue;
		*value = slice_str(e->changes[i].value);
		return e->changes[i].value != NULL;
	}
	return fact_find(&facts->more, key, room, value);
}

/* ---- candidates ---- */

static struct lb_load no_load(const void *arg, size_t endpoint)
{
	(void)arg;
	(void)endpoint;
	return (struct lb_load){0};
}

static void find_candidates(struct explanation *e, struct rng *rng, usec_t now)
{
	const struct route_decision *d = &e->decision;
	struct balance_request request = {.service = d->service,
	    .group = d->group,
	    .has_hash = d->has_hash,
	    .hash = d->hash,
	    .load = no_load,
	    .now = now};
	struct balance_state st;
	size_t pick;

	if (d->group == NULL)
		return;
	e->n_candidates = d->group->n;
	e->candidates = arena_calloc(&e->arena, e->n_candidates, sizeof *e->candidates);
	for (size_t i = 0; i < d->group->n; i++) {
		size_t endpoint = d->group->members[i];

		e->candidates[i] =
		    (struct explained_candidate){endpoint, balance_why_not(&request, endpoint)};
	}
	e->is_panic = balance_is_panic(d->service, d->group, now);
	if (d->reason != REASON_OK || d->abort)
		return;
	balance_state_init(&st, d->group, rng);
	pick = balance_pick(&st, &request, rng);
	balance_state_fini(&st);
	if (pick != LB_NONE)
		e->pick = &d->service->endpoints[pick];
}

void explanation_init(struct explanation *e, const struct snapshot *s,
    const struct call_facts *facts, struct rng *rng, usec_t now)
{
	struct route_trace trace = {note_rule, e};
	char service[LOG_ESCAPED_MAX], method[LOG_ESCAPED_MAX];

	*e = (struct explanation){.snapshot = s, .listener = facts->listener};
	arena_init(&e->arena, NULL, 0);
	log_escape(service, sizeof service, facts->service_asked);
	log_escape(method, sizeof method, facts->method);
	e->call = arena_printf(&e->arena, "%s/%s", service, method);
	e->decision = route_decide(s, facts, rng, &trace);
	if (route_has_changes(e->decision.route))
		note_changes(e, &facts->more);
	if (e->decision.policy)
		explain_policy(e);
	if (e->decision.service)
		find_candidates(e, rng, now);
}

void explanation_fini(struct explanation *e)
{
	arena_fini(&e->arena);
	*e = (struct explanation){0};
}

enum reason explanation_reason(const struct explanation *e)
{
	const struct route_decision *d = &e->decision;

	if (d->reason == REASON_OK && d->abort)
		return d->route->fault.abort_reason;
	return d->reason;
}

const char *explanation_why(const struct explanation *e)
{
	const struct route_decision *d = &e->decision;

	return d->reason == REASON_OK && d->abort ? "a fault of the route aborts it" : d->why;
}
