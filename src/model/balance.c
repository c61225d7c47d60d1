#include "model/balance.h"

#include <string.h>

#include "base/rng.h"

#define LOOK_EVERY (50 * USEC_MS)

void balance_state_init(
    struct balance_state *st, const struct endpoint_group *group, struct rng *rng)
{
	*st = (struct balance_state){
	    .here = group->table ? lb_state_new(group->table, rng) : NULL,
	    .elsewhere = group->elsewhere ? lb_state_new(group->elsewhere, rng) : NULL,
	};
}

void balance_state_fini(struct balance_state *st)
{
	lb_state_free(&st->here);
	lb_state_free(&st->elsewhere);
	*st = (struct balance_state){0};
}

/* ---- who is out ---- */

static bool is_out(const struct service *service, size_t endpoint, usec_t now)
{
	return !endpoint_tally_is_usable(service->endpoint_tallies[endpoint], now);
}

bool balance_is_disabled(const struct service *service, size_t endpoint)
{
	return endpoint_tally_is_disabled(service->endpoint_tallies[endpoint]);
}

static bool is_tried(const struct balance_request *r, size_t endpoint)
{
	for (size_t i = 0; i < r->n_tried; i++)
		if (r->tried[i] == endpoint)
			return true;
	return false;
}

static bool has_troubles(const struct service *service)
{
	return atomic_load_explicit(&service->tally->troubles, memory_order_relaxed) > 0;
}

static bool is_panic_now(
    const struct service *service, const struct endpoint_group *group, usec_t now)
{
	size_t all = 0, usable = 0;

	for (size_t i = 0; i < group->n; i++) {
		size_t endpoint = group->members[i];

		if (endpoint_share(&service->endpoints[endpoint]) == 0 ||
		    !balance_is_in_reach(service, endpoint))
			continue;
		all++;
		usable += !is_out(service, endpoint, now);
	}
	return (double)usable < (double)all * service->config->balance.panic;
}

bool balance_is_panic(const struct service *service, const struct endpoint_group *group, usec_t now)
{
	return has_troubles(service) && is_panic_now(service, group, now);
}

static void look_whether_panic(struct balance_state *st, const struct balance_request *r)
{
	if (!has_troubles(r->service)) {
		st->is_panic = false;
		st->looked_at = 0;
		return;
	}
	if (st->looked_at && r->now - st->looked_at < LOOK_EVERY)
		return;
	st->looked_at = r->now;
	st->is_panic = is_panic_now(r->service, r->group, r->now);
}

/* ---- what balancing asks of endpoints ---- */

struct view {
	const struct balance_request *request;
	bool with_out, with_tried; /* those that are out, or were tried, are taken for usable */
};

static bool is_usable(const void *arg, size_t endpoint)
{
	const struct view *v = arg;
	const struct balance_request *r = v->request;

	return !balance_is_disabled(r->service, endpoint) &&
	       (v->with_out || !is_out(r->service, endpoint, r->now)) &&
	       (v->with_tried || !is_tried(r, endpoint));
}

static bool is_always_usable(const void *arg, size_t endpoint)
{
	(void)arg;
	(void)endpoint;
	return true;
}

static struct lb_load load_of(const void *arg, size_t endpoint)
{
	const struct balance_request *r = ((const struct view *)arg)->request;

	return r->load(r->arg, endpoint);
}

/* A tenth at first, so that it is not forgotten. */
#define SHARE_LEAST (256u / 10)

static unsigned share_of(const void *arg, size_t endpoint)
{
	const struct balance_request *r = ((const struct view *)arg)->request;
	const struct endpoint_tally *t = r->service->endpoint_tallies[endpoint];
	usec_t slow = r->service->config->balance.slow_start;
	usec_t since = t->since, age = r->now > since ? r->now - since : 0;
	unsigned share;

	if (since == 0 || age >= slow)
		return 256;
	share = (unsigned)((double)age / (double)slow * 256);
	return share > SHARE_LEAST ? share : SHARE_LEAST;
}

static struct lb_view view_of(const struct view *v)
{
	usec_t slow = v->request->service->config->balance.slow_start;

	return (struct lb_view){
	    .is_usable = is_usable,
	    .load = v->request->load ? load_of : NULL,
	    .share = slow != USEC_NONE && slow > 0 ? share_of : NULL,
	    .arg = v,
	};
}

/* ---- the pick ---- */

static bool goes_by_load(const struct service *service)
{
	enum lb_type type = service->config->balance.type;

	return type == LB_LEAST_REQUEST || type == LB_PEAK_EWMA;
}

/*
 * The first draw with zones: as if nobody were out, so that calls leave the zone in proportion to
 * what is out in it. Balancing by load would favour those that are out, since they have none; it
 * draws by weight alone here, which tells whether the call stays, and picks again among those that
 * stay.
 */
static size_t draw_here(struct balance_state *st, const struct balance_request *r,
    const struct view *v, uint64_t hash, struct rng *rng)
{
	const struct lb_table *table = r->group->table;
	struct lb_view usable = view_of(v), all = usable;
	size_t drawn;

	all.is_usable = is_always_usable;
	if (goes_by_load(r->service))
		all.load = NULL;
	drawn = lb_pick(table, st->here, &all, hash, rng);
	if (drawn == LB_NONE || !is_usable(v, drawn))
		return LB_NONE;
	return goes_by_load(r->service) ? lb_pick(table, st->here, &usable, hash, rng) : drawn;
}

static size_t pick_with(struct balance_state *st, const struct balance_request *r,
    const struct view *v, uint64_t hash, struct rng *rng)
{
	struct lb_view view = view_of(v);
	size_t endpoint = LB_NONE;

	if (st->here && st->elsewhere) {
		endpoint = draw_here(st, r, v, hash, rng);
		if (endpoint == LB_NONE)
			endpoint = lb_pick(r->group->elsewhere, st->elsewhere, &view, hash, rng);
	}
	if (endpoint == LB_NONE && st->here)
		endpoint = lb_pick(r->group->table, st->here, &view, hash, rng);
	return endpoint;
}

size_t balance_pick(struct balance_state *st, const struct balance_request *r, struct rng *rng)
{
	uint64_t hash = r->has_hash ? r->hash : rng_next(rng);
	struct view v = {.request = r};
	size_t endpoint;

	look_whether_panic(st, r);
	v.with_out = st->is_panic;
	endpoint = pick_with(st, r, &v, hash, rng);
	if (endpoint == LB_NONE && r->avoids_tried && has_troubles(r->service)) {
		v.with_out = true;
		endpoint = pick_with(st, r, &v, hash, rng);
		v.with_out = st->is_panic;
	}
	if (endpoint == LB_NONE && r->n_tried > 0) {
		v.with_tried = true;
		endpoint = pick_with(st, r, &v, hash, rng);
	}
	if (endpoint != LB_NONE || v.with_out || !balance_is_panic(r->service, r->group, r->now))
		return endpoint;
	/* The last ones went out since it was counted. */
	st->is_panic = true;
	v = (struct view){.request = r, .with_out = true};
	endpoint = pick_with(st, r, &v, hash, rng);
	v.with_tried = true;
	return endpoint != LB_NONE ? endpoint : pick_with(st, r, &v, hash, rng);
}

/* ---- why not ---- */

static bool is_all_of_ours_usable(const struct balance_request *r)
{
	for (size_t i = 0; i < r->group->n; i++) {
		size_t endpoint = r->group->members[i];

		if (balance_is_here(r->service, endpoint) &&
		    (is_out(r->service, endpoint, r->now) || is_tried(r, endpoint)))
			return false;
	}
	return true;
}

static bool is_in_group(const struct endpoint_group *group, size_t endpoint)
{
	for (size_t i = 0; i < group->n; i++)
		if (group->members[i] == endpoint)
			return true;
	return false;
}

const char *balance_why_not(const struct balance_request *r, size_t endpoint)
{
	const struct endpoint_tally *tally = r->service->endpoint_tallies[endpoint];
	bool is_panic = balance_is_panic(r->service, r->group, r->now);

	if (!is_in_group(r->group, endpoint))
		return "in another subset";
	if (balance_is_disabled(r->service, endpoint))
		return "disabled by an operator";
	if (r->service->endpoints[endpoint].weight == 0)
		return "weight 0";
	if (!balance_is_in_reach(r->service, endpoint))
		return "in another zone";
	if (!is_panic && endpoint_tally_is_ejected(tally, r->now))
		return "ejected";
	if (!is_panic && is_out(r->service, endpoint, r->now))
		return "down";
	if (is_tried(r, endpoint))
		return "tried";
	/* Calls leave the zone only for one in it that is out. */
	if (r->group->elsewhere && !balance_is_here(r->service, endpoint) &&
	    is_all_of_ours_usable(r))
		return "in another zone";
	return NULL;
}
