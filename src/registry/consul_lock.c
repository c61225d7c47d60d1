/*
 * A registration as rpcx makes it: a key of the store, locked by a session that ends, and takes the
 * key with it, when nobody renews it. The first put takes the key from whoever holds it (we
 * ourselves before a restart); later a key that another session holds is left to it until it is
 * gone.
 */
#include <stdio.h>
#include <string.h>

#include "registry/consul_impl.h"
#include "registry/consul_read.h"

#define LOOK_WAIT     (10 * USEC_S)
#define CONTESTED_GAP (2 * USEC_S)
#define TTL_MIN       (10 * USEC_S)         /* source: the API's page on sessions */
#define TTL_MAX       (86400 * USEC_S)      /* as before */
#define LOCK_FLAG     "3304740253564472344" /* source: LockFlagValue in consul's api/lock.go */

static void put(struct upkeep *u);
static void look(struct upkeep *u);
static void take_away(struct upkeep *u);

static usec_t session_ttl(const struct consul_upkeep *c)
{
	/* Consul waits for twice the time that it is told. */
	usec_t ttl = c->upkeep.registration->plan.ttl / 2;

	return ttl < TTL_MIN ? TTL_MIN : usec_min(ttl, TTL_MAX);
}

static void write_key_target(const struct consul_upkeep *c, struct text *target)
{
	const struct registration_plan *plan = &c->upkeep.registration->plan;
	struct text key = {0};

	consul_tree(c->client->start->config, plan->service, &key);
	record_write_rpcx_key(plan, &key);
	text_add_str(target, "/v1/kv/");
	consul_add_key(target, slice_of(key.bytes, key.len));
	text_fini(&key);
}

static void refused(struct consul_upkeep *c, upkeep_fn next, const struct http_response *response)
{
	struct err err = {0};

	http_place_refuse(response, &err);
	upkeep_failed(&c->upkeep, next, response->status, &err);
}

/* ---- looking ---- */

enum holder { HELD_BY_US, HELD_BY_ANOTHER, HELD_BY_NOBODY };

static enum holder holder_of(const struct consul_upkeep *c, const struct consul_key *key)
{
	if (key->session.len == 0)
		return HELD_BY_NOBODY;
	return slice_eq_str(key->session, c->session) ? HELD_BY_US : HELD_BY_ANOTHER;
}

static void contested(struct consul_upkeep *c)
{
	registration_is(c->upkeep.registration, REGISTRATION_CONTESTED, "another holds its key");
	c->index = 0;
	upkeep_later(&c->upkeep, CONTESTED_GAP, put);
}

static bool is_our_value(const struct consul_upkeep *c, struct slice value)
{
	struct text wanted = {0};
	bool same;

	record_write_rpcx(&c->upkeep.registration->plan, &wanted);
	same = slice_eq(value, slice_of(wanted.bytes, wanted.len));
	text_fini(&wanted);
	return same;
}

static void judge(struct consul_upkeep *c, const struct consul_key *key, const char *index)
{
	switch (holder_of(c, key)) {
	case HELD_BY_ANOTHER:
		contested(c);
		return;
	case HELD_BY_NOBODY:
		upkeep_lost(&c->upkeep, "somebody took its key out of our session");
		return;
	case HELD_BY_US:
		break;
	}
	if (!is_our_value(c, key->value)) {
		upkeep_lost(&c->upkeep, "somebody changed its value");
		return;
	}
	c->index = consul_next_index(index, c->index);
	upkeep_present(&c->upkeep, 0);
}

static void looked(void *arg, const struct http_response *response)
{
	struct consul_upkeep *c = arg;
	struct consul_key key;
	struct arena arena;
	struct err err = {0};

	if (!upkeep_answered(&c->upkeep))
		return;
	if (response->status == 404) {
		upkeep_lost(&c->upkeep, "its key is gone");
		return;
	}
	if (response->status != 200) {
		refused(c, look, response);
		return;
	}
	arena_init(&arena, NULL, 0);
	if (consul_read_key(response->body, &arena, &key, &err) < 0)
		upkeep_failed(&c->upkeep, look, response->status, &err);
	else
		judge(c, &key, http_response_header(response, "X-Consul-Index"));
	arena_fini(&arena);
}

static void look(struct upkeep *u)
{
	struct consul_upkeep *c = consul_of(u);
	usec_t wait = c->index ? LOOK_WAIT : 0;
	struct text target = {0};

	write_key_target(c, &target);
	if (wait)
		consul_add_wait(&target, c->index, wait);
	c->upkeep.looked_at = http_place_now(&c->client->place);
	consul_step(c, "GET", &target, SLICE_NONE, wait, looked);
}

/* ---- the session ---- */

static void renewed(void *arg, const struct http_response *response)
{
	struct consul_upkeep *c = arg;

	c->upkeep.beating = NULL;
	if (response->status == 200)
		return;
	if (response->status != 404) {
		upkeep_beat_in(&c->upkeep, UPKEEP_BEAT_RETRY);
		return;
	}
	c->session[0] = '\0';
	wheel_clear(&c->upkeep.beat);
	upkeep_lost(&c->upkeep, "its session has ended");
}

static void renew(struct upkeep *u)
{
	struct consul_upkeep *c = consul_of(u);
	struct text target = {0};

	text_add_str(&target, "/v1/session/renew/");
	record_escape(slice_str(c->session), &target);
	consul_beat(c, &target, renewed);
}

static void before_acquire(struct consul_upkeep *c);

static void created(void *arg, const struct http_response *response)
{
	struct consul_upkeep *c = arg;
	struct slice id = SLICE_NONE;
	struct arena arena;
	struct err err = {0};

	if (!upkeep_answered(&c->upkeep))
		return;
	if (response->status != 200) {
		refused(c, put, response);
		return;
	}
	arena_init(&arena, NULL, 0);
	if (consul_read_session(response->body, &arena, &id, &err) == 0 &&
	    id.len >= sizeof c->session)
		err_set(&err, 0, "the ID of the session is too long");
	else
		snprintf(c->session, sizeof c->session, "%.*s", (int)id.len, (const char *)id.data);
	arena_fini(&arena);
	if (c->session[0] == '\0') {
		upkeep_failed(&c->upkeep, put, response->status, &err);
		return;
	}
	upkeep_beat_in(&c->upkeep, c->upkeep.beat_every);
	before_acquire(c);
}

/* The shortest lock delay there is: a key that its session loses may be had again at once. */
static void create(struct consul_upkeep *c)
{
	struct text target = {0}, body = {0};

	c->upkeep.beat_every = session_ttl(c) / 3;
	text_add_str(&target, "/v1/session/create");
	text_printf(&body,
	    "{\"Name\":\"bridle\",\"TTL\":\"%us\",\"Behavior\":\"delete\",\"LockDelay\":\"1ms\"}",
	    (unsigned)(session_ttl(c) / USEC_S));
	consul_step(c, "PUT", &target, slice_of(body.bytes, body.len), 0, created);
	text_fini(&body);
}

/* ---- the lock ---- */

static void acquired(void *arg, const struct http_response *response)
{
	struct consul_upkeep *c = arg;

	if (!upkeep_answered(&c->upkeep))
		return;
	if (response->status != 200) {
		/* The session may have ended meanwhile, which a renewal tells for sure. */
		if (response->status)
			renew(&c->upkeep);
		refused(c, put, response);
		return;
	}
	if (slice_starts(response->body, SLICE_LIT("true")))
		look(&c->upkeep);
	else
		upkeep_lost(&c->upkeep, "its key cannot be locked yet");
}

static void acquire(struct consul_upkeep *c)
{
	struct text target = {0}, value = {0};

	write_key_target(c, &target);
	consul_add(&target, "acquire", slice_str(c->session));
	consul_add(&target, "flags", SLICE_LIT(LOCK_FLAG));
	record_write_rpcx(&c->upkeep.registration->plan, &value);
	upkeep_puts(&c->upkeep);
	consul_step(c, "PUT", &target, slice_of(value.bytes, value.len), 0, acquired);
	text_fini(&value);
}

static void taken_over(void *arg, const struct http_response *response)
{
	struct consul_upkeep *c = arg;

	if (!upkeep_answered(&c->upkeep))
		return;
	if (response->status == 200)
		acquire(c);
	else
		refused(c, put, response);
}

static void take_over(struct consul_upkeep *c)
{
	struct text target = {0};

	write_key_target(c, &target);
	consul_step(c, "DELETE", &target, SLICE_NONE, 0, taken_over);
}

static void looked_before(void *arg, const struct http_response *response)
{
	struct consul_upkeep *c = arg;
	struct consul_key key = {SLICE_NONE, SLICE_NONE};
	struct arena arena;
	struct err err = {0};
	int result = 0;

	if (!upkeep_answered(&c->upkeep))
		return;
	if (response->status != 200 && response->status != 404) {
		refused(c, put, response);
		return;
	}
	arena_init(&arena, NULL, 0);
	if (response->status == 200)
		result = consul_read_key(response->body, &arena, &key, &err);
	if (result < 0)
		upkeep_failed(&c->upkeep, put, response->status, &err);
	else if (holder_of(c, &key) != HELD_BY_ANOTHER)
		acquire(c);
	else if (c->upkeep.was_put)
		contested(c);
	else
		take_over(c);
	arena_fini(&arena);
}

static void before_acquire(struct consul_upkeep *c)
{
	struct text target = {0};

	write_key_target(c, &target);
	consul_step(c, "GET", &target, SLICE_NONE, 0, looked_before);
}

static void put(struct upkeep *u)
{
	struct consul_upkeep *c = consul_of(u);

	if (c->session[0])
		before_acquire(c);
	else
		create(c);
}

/* ---- the end ---- */

static void removed(void *arg, const struct http_response *response)
{
	struct consul_upkeep *c = arg;

	upkeep_answered(&c->upkeep);
	if (response->status == 200)
		upkeep_gone(&c->upkeep);
	else
		refused(c, take_away, response);
}

/* The key goes with its session, and nobody else's does. */
static void take_away(struct upkeep *u)
{
	struct consul_upkeep *c = consul_of(u);
	struct text target = {0};

	if (c->session[0] == '\0') {
		upkeep_gone(&c->upkeep);
		return;
	}
	text_add_str(&target, "/v1/session/destroy/");
	record_escape(slice_str(c->session), &target);
	consul_step(c, "PUT", &target, SLICE_NONE, 0, removed);
}

const struct upkeep_kind consul_lock = {
    .put = put,
    .look = look,
    .beat = renew,
    .remove = take_away,
    .forget = consul_upkeep_forget,
    .free = consul_upkeep_free,
};
