#include "model/route_group.h"

#include <stdio.h>

#include "base/log.h"
#include "base/rng.h"
#include "model/balance.h"
#include "model/key_path.h"
#include "model/deciding.h"

/* The groups stand as snapshot.h says: all, the subsets, the base of subset_by. */
static const struct endpoint_group *all_of(const struct service *service)
{
	return &service->groups[0];
}

static const struct endpoint_group *base_of(const struct service *service)
{
	return &service->groups[1 + service->config->n_subsets];
}

/* A part without a subset is the base of subset_by. */
static const struct endpoint_group *group_of(
    const struct service *service, const struct subset_config *subset)
{
	return subset ? balance_group_of(service, subset) : base_of(service);
}

/* There is nobody in it who may take calls: another may stand in for it. */
static bool is_empty(const struct endpoint_group *group)
{
	return group->n == 0 || group->is_disabled;
}

static void tell_split(const struct deciding *w, const struct split_part *part, bool is_stuck)
{
	const struct route_config *r = w->d.route;
	char at[256];

	if (w->trace == NULL)
		return;
	snprintf(at, sizeof at, "%s.split", r->at);
	deciding_tell(w, true, at, "%s has %u of %u, drawn by %s",
	    part->subset ? part->subset->name : "base", part->weight, r->split_total,
	    is_stuck ? "the sticky key" : "chance");
}

static const struct endpoint_group *draw_split(struct deciding *w)
{
	const struct route_config *r = w->d.route;
	const struct split_part *part = r->split;
	char room[FACT_ROOM];
	struct slice value;
	bool is_stuck;
	uint64_t point;

	if (r->n_split == 1)
		return group_of(w->d.service, part->subset);
	is_stuck = r->sticky.kind != FACT_NONE && deciding_find(w, &r->sticky, room, &value);
	point = is_stuck ? lb_hash(value) % r->split_total : rng_below(w->rng, r->split_total);
	while (point >= part->weight)
		point -= (part++)->weight;
	tell_split(w, part, is_stuck);
	return group_of(w->d.service, part->subset);
}

static const char *why_not(const struct endpoint_group *group)
{
	return group->n ? "every endpoint of the subset is disabled by an operator"
			: "the subset is empty";
}

/* A route names the subset; where it is empty, the route's fallback. */
static int choose_named_group(struct deciding *w)
{
	const struct route_config *r = w->d.route;
	const struct endpoint_group *other = NULL;

	w->d.group = r->n_split ? draw_split(w) : group_of(w->d.service, r->subset);
	if (!is_empty(w->d.group))
		return 0;
	if (r->fallback_any)
		other = all_of(w->d.service);
	else if (r->fallback)
		other = balance_group_of(w->d.service, r->fallback);
	if (other && w->trace) {
		char at[256];

		snprintf(at, sizeof at, "%s.fallback", r->at);
		deciding_tell(w, !is_empty(other), at, "%s", why_not(w->d.group));
	}
	if (other && !is_empty(other)) {
		w->d.group = other;
		return 0;
	}
	return deciding_refuse(w, REASON_NO_ENDPOINT, r->at,
	    w->d.group->n
		? "every endpoint of the subset that the route leads to is disabled by an operator"
		: "the subset that the route leads to is empty");
}

static void tell_subset_by(const struct deciding *w, struct slice value, bool is_found)
{
	const struct subset_by_config *by = &w->d.service->config->subset_by;
	static const char *const falls_back[] = {
	    [SUBSET_BASE] = "base", [SUBSET_ANY] = "any", [SUBSET_NONE] = "none"};
	struct key_path at = {.len = 0};
	char text[LOG_ESCAPED_MAX];

	if (w->trace == NULL)
		return;
	key_path_key(&at, SLICE_LIT("services"));
	key_path_key(&at, w->d.service->label);
	key_path_key(&at, SLICE_LIT("subset_by"));
	log_escape(text, sizeof text, slice_first(value, 64));
	if (is_found)
		deciding_tell(w, true, at.text, "endpoints with %s \"%s\"", by->tag, text);
	else if (value.len)
		deciding_tell(w, false, at.text, "no endpoint has %s \"%s\": fallback %s", by->tag,
		    text, falls_back[by->fallback]);
	else
		deciding_tell(w, false, at.text, "there is no %.*s: fallback %s",
		    (int)by->key.text.len, (const char *)by->key.text.data,
		    falls_back[by->fallback]);
}

static int choose_group_by(struct deciding *w)
{
	const struct subset_by_config *by = &w->d.service->config->subset_by;
	char room[FACT_ROOM];
	struct slice value = SLICE_NONE;
	bool is_found;

	if (!deciding_find(w, &by->key, room, &value))
		value = SLICE_NONE;
	if (value.len)
		w->d.group = balance_group_by(w->d.service, value);
	is_found = w->d.group && !is_empty(w->d.group);
	tell_subset_by(w, value, is_found);
	if (is_found)
		return 0;
	switch (by->fallback) {
	case SUBSET_BASE:
		w->d.group = base_of(w->d.service);
		break;
	case SUBSET_ANY:
		w->d.group = all_of(w->d.service);
		break;
	case SUBSET_NONE:
		break;
	}
	if (w->d.group && !is_empty(w->d.group))
		return 0;
	return deciding_refuse(w, REASON_NO_ENDPOINT, NULL,
	    w->d.group && w->d.group->n ? "every endpoint of the subset is disabled by an operator"
	    : by->fallback == SUBSET_BASE
		? "no endpoint is without the tag of subset_by"
		: "no endpoint has the tag of subset_by that it asks for");
}

static const char *why_empty(enum endpoint_state state)
{
	switch (state) {
	case ENDPOINTS_UNKNOWN:
		return "its endpoints are not known yet";
	case ENDPOINTS_FRESH:
	case ENDPOINTS_STALE:
	case ENDPOINTS_EMPTY:
		break;
	}
	return "it has no endpoints";
}

int route_choose_group(struct deciding *w)
{
	const struct service *service = w->d.service;
	const struct route_config *r = w->d.route;

	if (service->n_endpoints == 0) {
		w->d.group = all_of(service);
		return deciding_refuse(w, REASON_NO_ENDPOINT, NULL, why_empty(service->state));
	}
	if (all_of(service)->is_disabled) {
		w->d.group = all_of(service);
		return deciding_refuse(
		    w, REASON_NO_ENDPOINT, NULL, "every endpoint of it is disabled by an operator");
	}
	if (r && (r->subset || r->n_split))
		return choose_named_group(w);
	if (service->config->subset_by.tag)
		return choose_group_by(w);
	w->d.group = all_of(service);
	return 0;
}

/* ---- hash ---- */

/* Kitex's clients say by these which instance they mean. */
static const struct fact_key ring_keys[] = {
    {.kind = FACT_INT, .number = 14, .text = SLICE_LIT("int.ring_hash_key")},
    {.kind = FACT_INT, .number = 24, .text = SLICE_LIT("int.raw_ring_hash_key")},
};

void route_find_hash(struct deciding *w)
{
	const struct balance_config *b = &w->d.service->config->balance;
	const struct fact_key *keys = b->key.kind == FACT_NONE ? ring_keys : &b->key;
	size_t n = b->key.kind == FACT_NONE ? 2 : 1;
	char room[FACT_ROOM];
	struct slice value;

	if (b->type != LB_CONSISTENT_HASH && b->type != LB_MAGLEV)
		return;
	for (size_t i = 0; i < n; i++)
		if (deciding_find(w, &keys[i], room, &value)) {
			w->d.has_hash = true;
			w->d.hash = lb_hash(value);
			return;
		}
}
