/*
 * A registration: a key under a lease of ours. The lease is renewed at each third of its time,
 * and the key is read back much more often, since it may go, or be overwritten, without the
 * lease.
 *
 * The first put takes the key from whoever holds it: that is we ourselves before a restart, or
 * the process that this one replaces. From then on a key that another lease, or none, holds is
 * left alone until it is gone, so that two never fight.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "registry/etcd_impl.h"
#include "registry/record.h"

#define LOOK_EVERY    (3 * USEC_S)
#define CONTESTED_GAP (2 * USEC_S)

struct etcd_upkeep {
	struct upkeep upkeep;
	struct registry_client *client; /* borrowed */
	int64_t lease;                  /* 0: none */
	usec_t ttl;                     /* that was asked for */
	bool was_taken;                 /* the key was put once */
	struct slice key;               /* owned */
};

static void put(struct upkeep *u);
static void look(struct upkeep *u);
static void take_away(struct upkeep *u);

static struct etcd_upkeep *etcd_of(struct upkeep *u)
{
	return container_of(u, struct etcd_upkeep, upkeep);
}

static void step(struct etcd_upkeep *e, const char *path, struct text *body, etcd_done_fn done)
{
	struct err err = {0};
	struct http_exchange *exchange = etcd_ask(e->client, path, body, done, e, &err);

	upkeep_began(&e->upkeep, exchange, &err);
}

/* For a token: the login wakes it. */
static bool must_wait(struct etcd_upkeep *e, upkeep_fn next)
{
	if (etcd_may_ask(e->client))
		return false;
	upkeep_later(&e->upkeep, REGISTRY_BACKOFF_MAX, next);
	return true;
}

static void refused(struct etcd_upkeep *e, upkeep_fn next, const struct http_response *response)
{
	struct err err = {0};

	etcd_refuse(e->client, response, &err);
	upkeep_failed(&e->upkeep, next, response->status, &err);
}

static struct slice write_value(const struct etcd_upkeep *e, struct text *value)
{
	const struct registration_plan *plan = &e->upkeep.registration->plan;

	if (e->client->start->config->format == REGISTRY_FORMAT_RPCX)
		record_write_rpcx(plan, value);
	else
		record_write_etcd(plan, value);
	return slice_of(value->bytes, value->len);
}

/* ---- looking ---- */

static void contested(struct etcd_upkeep *e)
{
	registration_is(e->upkeep.registration, REGISTRATION_CONTESTED,
	    "another holds its key, which is left alone until it is gone");
	upkeep_later(&e->upkeep, CONTESTED_GAP, put);
}

static bool is_our_value(const struct etcd_upkeep *e, struct slice value)
{
	struct text wanted = {0};
	bool same = slice_eq(value, write_value(e, &wanted));

	text_fini(&wanted);
	return same;
}

static void looked(void *arg, const struct http_response *response)
{
	struct etcd_upkeep *e = arg;
	struct etcd_range range;
	struct arena arena;
	struct err err = {0};

	if (!upkeep_answered(&e->upkeep))
		return;
	if (response->status != 200) {
		refused(e, look, response);
		return;
	}
	arena_init(&arena, NULL, 0);
	if (etcd_read_range(response->body, &arena, &range, &err) < 0)
		upkeep_failed(&e->upkeep, look, response->status, &err);
	else if (range.n == 0 || !slice_eq(range.keys[0].key, e->key))
		upkeep_lost(&e->upkeep, "its key is gone");
	else if (range.keys[0].lease != e->lease)
		contested(e);
	else if (!is_our_value(e, range.keys[0].value))
		upkeep_lost(&e->upkeep, "somebody changed its value");
	else
		upkeep_present(&e->upkeep, LOOK_EVERY);
	arena_fini(&arena);
}

static void look(struct upkeep *u)
{
	struct etcd_upkeep *e = etcd_of(u);
	struct text body = {0};

	if (must_wait(e, look))
		return;
	text_add_str(&body, "{");
	etcd_add_range(&body, e->key, SLICE_NONE);
	text_add_str(&body, "}");
	u->looked_at = http_place_now(u->place);
	step(e, "/v3/kv/range", &body, looked);
}

/* ---- the lease ---- */

static void lose_lease(struct etcd_upkeep *e)
{
	e->lease = 0;
	wheel_clear(&e->upkeep.beat);
	upkeep_lost(&e->upkeep, "its lease has ended");
}

static void renewed(void *arg, const struct http_response *response)
{
	struct etcd_upkeep *e = arg;
	int64_t id, ttl;
	struct err err;

	e->upkeep.beating = NULL;
	if (response->status == 200 && etcd_read_lease(response->body, &id, &ttl, &err) == 0 &&
	    id == e->lease) {
		if (ttl == 0)
			lose_lease(e);
		else
			registry_alive(e->client->start->registry);
		return;
	}
	if (response->status != 200)
		etcd_refuse(e->client, response, &err);
	upkeep_beat_in(&e->upkeep, UPKEEP_BEAT_RETRY);
}

static void renew(struct upkeep *u)
{
	struct etcd_upkeep *e = etcd_of(u);
	struct text body = {0};
	struct err err;

	text_printf(&body, "{\"ID\":\"%lld\"}", (long long)e->lease);
	upkeep_beats(u, etcd_ask(e->client, "/v3/lease/keepalive", &body, renewed, e, &err));
	if (u->beating == NULL)
		upkeep_beat_in(u, UPKEEP_BEAT_RETRY);
}

static void put_key(struct etcd_upkeep *e, bool is_ours);

static void granted(void *arg, const struct http_response *response)
{
	struct etcd_upkeep *e = arg;
	int64_t id, ttl;
	struct err err = {0};

	if (!upkeep_answered(&e->upkeep))
		return;
	if (response->status != 200) {
		refused(e, put, response);
		return;
	}
	if (etcd_read_lease(response->body, &id, &ttl, &err) < 0 || ttl == 0) {
		if (err.text[0] == '\0')
			err_set(&err, 0, "a lease that has ended already");
		upkeep_failed(&e->upkeep, put, response->status, &err);
		return;
	}
	e->lease = id;
	/* The server may give less time, or more, than it was asked for. */
	e->upkeep.beat_every = usec_min((usec_t)ttl, 86400) * USEC_S / 3;
	upkeep_beat_in(&e->upkeep, e->upkeep.beat_every);
	put_key(e, false);
}

static void grant(struct etcd_upkeep *e)
{
	struct text body = {0};

	e->ttl = e->upkeep.registration->plan.ttl;
	text_printf(
	    &body, "{\"TTL\":\"%llu\"}", (unsigned long long)((e->ttl + USEC_S - 1) / USEC_S));
	step(e, "/v3/lease/grant", &body, granted);
}

/* ---- the key ---- */

/* It was not put: another word has come before. */
static void judge_holder(struct etcd_upkeep *e, const struct etcd_range *found)
{
	if (found->n == 0)
		upkeep_lost(&e->upkeep, "its key is gone");
	else if (found->keys[0].lease != e->lease)
		contested(e);
	else if (is_our_value(e, found->keys[0].value))
		look(&e->upkeep);
	else
		put_key(e, true);
}

static void answered_put(struct etcd_upkeep *e, const struct http_response *response)
{
	struct etcd_range found;
	struct arena arena;
	struct err err = {0};
	bool succeeded;

	arena_init(&arena, NULL, 0);
	if (etcd_read_txn(response->body, &arena, &succeeded, &found, &err) < 0) {
		upkeep_failed(&e->upkeep, put, response->status, &err);
	} else if (succeeded) {
		e->was_taken = true;
		look(&e->upkeep);
	} else {
		judge_holder(e, &found);
	}
	arena_fini(&arena);
}

static void put_done(void *arg, const struct http_response *response)
{
	struct etcd_upkeep *e = arg;
	char why[200];

	if (!upkeep_answered(&e->upkeep))
		return;
	if (response->status == 200) {
		answered_put(e, response);
		return;
	}
	etcd_read_error(response->body, why, sizeof why);
	if (response->status && strstr(why, "lease not found"))
		lose_lease(e);
	else
		refused(e, put, response);
}

static void add_compare(struct etcd_upkeep *e, struct text *body, const char *what, int64_t value)
{
	const char *target = strcmp(what, "lease") == 0 ? "LEASE" : "VERSION";

	text_add_str(body, "\"compare\":[{");
	etcd_add_bytes(body, "key", e->key);
	text_printf(body, ",\"target\":\"%s\",\"result\":\"EQUAL\",\"%s\":\"%lld\"}],", target,
	    what, (long long)value);
}

/* @is_ours: over a value of ours. Else, but for the first time, only where there is none. */
static void put_key(struct etcd_upkeep *e, bool is_ours)
{
	struct text body = {0}, value = {0};

	text_add_str(&body, "{");
	if (is_ours)
		add_compare(e, &body, "lease", e->lease);
	else if (e->was_taken)
		add_compare(e, &body, "version", 0);
	text_add_str(&body, "\"success\":[{\"request_put\":{");
	etcd_add_bytes(&body, "key", e->key);
	text_add_str(&body, ",");
	etcd_add_bytes(&body, "value", write_value(e, &value));
	text_printf(
	    &body, ",\"lease\":\"%lld\"}}],\"failure\":[{\"request_range\":{", (long long)e->lease);
	etcd_add_bytes(&body, "key", e->key);
	text_add_str(&body, "}}]}");
	text_fini(&value);
	upkeep_puts(&e->upkeep);
	step(e, "/v3/kv/txn", &body, put_done);
}

static void put(struct upkeep *u)
{
	struct etcd_upkeep *e = etcd_of(u);

	if (must_wait(e, put))
		return;
	if (e->lease)
		put_key(e, false);
	else
		grant(e);
}

/* ---- the end ---- */

static void revoked(void *arg, const struct http_response *response)
{
	struct etcd_upkeep *e = arg;
	char why[200];

	upkeep_answered(&e->upkeep);
	etcd_read_error(response->body, why, sizeof why);
	if (response->status == 200 || (response->status && strstr(why, "lease not found")))
		upkeep_gone(&e->upkeep);
	else
		refused(e, take_away, response);
}

/* What an exchange that was dropped may still put goes with the lease. */
static void deleted(void *arg, const struct http_response *response)
{
	struct etcd_upkeep *e = arg;
	struct text body = {0};

	upkeep_answered(&e->upkeep);
	if (response->status != 200) {
		refused(e, take_away, response);
		return;
	}
	text_printf(&body, "{\"ID\":\"%lld\"}", (long long)e->lease);
	step(e, "/v3/lease/revoke", &body, revoked);
}

static void take_away(struct upkeep *u)
{
	struct etcd_upkeep *e = etcd_of(u);
	struct text body = {0};

	if (e->lease == 0) {
		upkeep_gone(u);
		return;
	}
	text_add_str(&body, "{");
	add_compare(e, &body, "lease", e->lease);
	text_add_str(&body, "\"success\":[{\"request_delete_range\":{");
	etcd_add_bytes(&body, "key", e->key);
	text_add_str(&body, "}}]}");
	step(e, "/v3/kv/txn", &body, deleted);
}

static void free_upkeep(struct upkeep *u)
{
	struct etcd_upkeep *e = etcd_of(u);

	free((void *)(uintptr_t)e->key.data);
	free(e);
}

/* ---- for the registry ---- */

static struct slice key_of(struct registry_client *client, const struct registration_plan *plan)
{
	struct slice start = etcd_service_start(client, plan->service);
	struct text key = {0};

	text_add(&key, start);
	if (client->start->config->format == REGISTRY_FORMAT_RPCX)
		record_write_rpcx_key(plan, &key);
	else
		text_add_str(&key, plan->address.text);
	free((void *)(uintptr_t)start.data);
	return slice_of(key.bytes, key.len);
}

void etcd_enroll(struct registry_client *client, struct registration *registration)
{
	static const struct upkeep_kind kind = {
	    .put = put, .look = look, .beat = renew, .remove = take_away, .free = free_upkeep};
	struct upkeep *u = registration->client;
	struct etcd_upkeep *e = u ? etcd_of(u) : NULL;

	if (e == NULL) {
		e = mem_calloc(1, sizeof *e);
		e->client = client;
		e->key = key_of(client, &registration->plan);
		upkeep_start(&e->upkeep, &kind, &client->place, registration, &client->enrolled);
		return;
	}
	/* Another time to live needs another lease; the key goes from the old one to that. */
	if (registration->plan.ttl != e->ttl && registration->state == REGISTRATION_PRESENT) {
		e->lease = 0;
		e->was_taken = false;
		wheel_clear(&u->beat);
	}
	upkeep_change(u);
}

void etcd_withdraw(struct registry_client *client, struct registration *registration)
{
	(void)client;
	upkeep_withdraw(registration->client);
}

void etcd_let_go(struct registry_client *client, struct registration *registration)
{
	(void)client;
	upkeep_let_go(registration->client);
}
