/*
 * A registration as rpcx makes it: a key of the store, locked by a session that ends, and takes the
 * key with it, when nobody renews it. The first put takes the key from whoever holds it (we ourselves
 * before a restart); later a key that another session holds is left to it until it is gone.
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

static usec_t session_ttl(const struct consul_enrolled *e)
{
	/* Consul waits for twice the time that it is told. */
	usec_t ttl = e->registration->plan.ttl / 2;

	return ttl < TTL_MIN ? TTL_MIN : usec_min(ttl, TTL_MAX);
}

static void write_key_target(const struct consul_enrolled *e, struct text *target)
{
	const struct registration_plan *plan = &e->registration->plan;
	struct text key = {0};

	consul_tree(e->client->start->config, plan->service, &key);
	record_write_rpcx_key(plan, &key);
	text_add_str(target, "/v1/kv/");
	consul_add_key(target, slice_of(key.bytes, key.len));
	text_fini(&key);
}

static void refused(struct consul_enrolled *e, void (*next)(struct consul_enrolled *e),
    const struct http_response *response)
{
	struct err err = {0};

	http_place_refuse(response, &err);
	consul_failed(e, next, response, &err);
}

/* ---- looking ---- */

enum holder { HELD_BY_US, HELD_BY_ANOTHER, HELD_BY_NOBODY };

static enum holder holder_of(const struct consul_enrolled *e, const struct consul_key *key)
{
	if (key->session.len == 0)
		return HELD_BY_NOBODY;
	return slice_eq_str(key->session, e->session) ? HELD_BY_US : HELD_BY_ANOTHER;
}

static void contested(struct consul_enrolled *e)
{
	registration_is(e->registration, REGISTRATION_CONTESTED, "another holds its key");
	e->index = 0;
	consul_later(e, CONTESTED_GAP, e->kind->put);
}

static bool is_our_value(const struct consul_enrolled *e, struct slice value)
{
	struct text wanted = {0};
	bool same;

	record_write_rpcx(&e->registration->plan, &wanted);
	same = slice_eq(value, slice_of(wanted.bytes, wanted.len));
	text_fini(&wanted);
	return same;
}

static void judge(struct consul_enrolled *e, const struct consul_key *key, const char *index)
{
	switch (holder_of(e, key)) {
	case HELD_BY_ANOTHER:
		contested(e);
		return;
	case HELD_BY_NOBODY:
		consul_lost(e, "somebody took its key out of our session");
		return;
	case HELD_BY_US:
		break;
	}
	if (!is_our_value(e, key->value)) {
		consul_lost(e, "somebody changed its value");
		return;
	}
	e->index = consul_next_index(index, e->index);
	consul_present(e);
}

static void looked(void *arg, const struct http_response *response)
{
	struct consul_enrolled *e = arg;
	struct consul_key key;
	struct arena arena;
	struct err err = {0};

	if (!consul_answered(e))
		return;
	if (response->status == 404) {
		consul_lost(e, "its key is gone");
		return;
	}
	if (response->status != 200) {
		refused(e, e->kind->look, response);
		return;
	}
	arena_init(&arena, NULL, 0);
	if (consul_read_key(response->body, &arena, &key, &err) < 0)
		consul_failed(e, e->kind->look, response, &err);
	else
		judge(e, &key, http_response_header(response, "X-Consul-Index"));
	arena_fini(&arena);
}

static void look(struct consul_enrolled *e)
{
	usec_t wait = e->index ? LOOK_WAIT : 0;
	struct text target = {0};

	write_key_target(e, &target);
	if (wait)
		consul_add_wait(&target, e->index, wait);
	e->looked_at = http_place_now(&e->client->place);
	consul_step(e, "GET", &target, SLICE_NONE, wait, looked);
}

/* ---- the session ---- */

static void renewed(void *arg, const struct http_response *response)
{
	struct consul_enrolled *e = arg;

	e->beating = NULL;
	if (response->status == 200)
		return;
	if (response->status != 404) {
		consul_beat_in(e, CONSUL_BEAT_RETRY);
		return;
	}
	e->session[0] = '\0';
	wheel_clear(&e->beat);
	consul_lost(e, "its session has ended");
}

static void renew(struct consul_enrolled *e)
{
	struct text target = {0};

	text_add_str(&target, "/v1/session/renew/");
	record_escape(slice_str(e->session), &target);
	consul_beat(e, "PUT", &target, renewed);
}

static void before_acquire(struct consul_enrolled *e);

static void created(void *arg, const struct http_response *response)
{
	struct consul_enrolled *e = arg;
	struct slice id = SLICE_NONE;
	struct arena arena;
	struct err err = {0};

	if (!consul_answered(e))
		return;
	if (response->status != 200) {
		refused(e, e->kind->put, response);
		return;
	}
	arena_init(&arena, NULL, 0);
	if (consul_read_session(response->body, &arena, &id, &err) == 0 &&
	    id.len >= sizeof e->session)
		err_set(&err, 0, "the ID of the session is too long");
	else
		snprintf(e->session, sizeof e->session, "%.*s", (int)id.len, (const char *)id.data);
	arena_fini(&arena);
	if (e->session[0] == '\0') {
		consul_failed(e, e->kind->put, response, &err);
		return;
	}
	consul_beat_in(e, e->beat_every);
	before_acquire(e);
}

/* The shortest lock delay there is: a key that its session loses may be had again at once. */
static void create(struct consul_enrolled *e)
{
	struct text target = {0}, body = {0};

	e->beat_every = session_ttl(e) / 3;
	text_add_str(&target, "/v1/session/create");
	text_printf(&body,
	    "{\"Name\":\"bridle\",\"TTL\":\"%us\",\"Behavior\":\"delete\",\"LockDelay\":\"1ms\"}",
	    (unsigned)(session_ttl(e) / USEC_S));
	consul_step(e, "PUT", &target, slice_of(body.bytes, body.len), 0, created);
	text_fini(&body);
}

/* ---- the lock ---- */

static void acquired(void *arg, const struct http_response *response)
{
	struct consul_enrolled *e = arg;

	if (!consul_answered(e))
		return;
	if (response->status != 200) {
		/* The session may have ended meanwhile, which a renewal tells for sure. */
		if (response->status)
			renew(e);
		refused(e, e->kind->put, response);
		return;
	}
	if (slice_starts(response->body, SLICE_LIT("true")))
		look(e);
	else
		consul_lost(e, "its key cannot be locked yet");
}

static void acquire(struct consul_enrolled *e)
{
	struct text target = {0}, value = {0};

	write_key_target(e, &target);
	consul_add(&target, "acquire", slice_str(e->session));
	consul_add(&target, "flags", SLICE_LIT(LOCK_FLAG));
	record_write_rpcx(&e->registration->plan, &value);
	consul_put_step(e, &target, slice_of(value.bytes, value.len), acquired);
	text_fini(&value);
}

static void taken_over(void *arg, const struct http_response *response)
{
	struct consul_enrolled *e = arg;

	if (!consul_answered(e))
		return;
	if (response->status == 200)
		acquire(e);
	else
		refused(e, e->kind->put, response);
}

static void take_over(struct consul_enrolled *e)
{
	struct text target = {0};

	write_key_target(e, &target);
	consul_step(e, "DELETE", &target, SLICE_NONE, 0, taken_over);
}

static void looked_before(void *arg, const struct http_response *response)
{
	struct consul_enrolled *e = arg;
	struct consul_key key = {SLICE_NONE, SLICE_NONE};
	struct arena arena;
	struct err err = {0};
	int result = 0;

	if (!consul_answered(e))
		return;
	if (response->status != 200 && response->status != 404) {
		refused(e, e->kind->put, response);
		return;
	}
	arena_init(&arena, NULL, 0);
	if (response->status == 200)
		result = consul_read_key(response->body, &arena, &key, &err);
	if (result < 0)
		consul_failed(e, e->kind->put, response, &err);
	else if (holder_of(e, &key) != HELD_BY_ANOTHER)
		acquire(e);
	else if (e->was_put)
		contested(e);
	else
		take_over(e);
	arena_fini(&arena);
}

static void before_acquire(struct consul_enrolled *e)
{
	struct text target = {0};

	write_key_target(e, &target);
	consul_step(e, "GET", &target, SLICE_NONE, 0, looked_before);
}

static void put(struct consul_enrolled *e)
{
	if (e->session[0])
		before_acquire(e);
	else
		create(e);
}

/* ---- the end ---- */

static void removed(void *arg, const struct http_response *response)
{
	struct consul_enrolled *e = arg;

	consul_answered(e);
	if (response->status == 200)
		consul_gone(e);
	else
		refused(e, e->kind->remove, response);
}

/* The key goes with its session, and nobody else's does. */
static void take_away(struct consul_enrolled *e)
{
	struct text target = {0};

	if (e->session[0] == '\0') {
		consul_gone(e);
		return;
	}
	text_add_str(&target, "/v1/session/destroy/");
	record_escape(slice_str(e->session), &target);
	consul_step(e, "PUT", &target, SLICE_NONE, 0, removed);
}

const struct consul_kind consul_lock = {
    .put = put, .look = look, .beat = renew, .remove = take_away};
