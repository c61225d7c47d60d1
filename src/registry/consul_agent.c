/*
 * A registration as a service of the agent, as Kitex's registry writes it. The check is the agent's
 * own (it connects) or one that we pass. Who registered a service cannot be told in Consul, so
 * nobody else's is ever seen here: the same ID is the same service at the same address.
 */
#include <string.h>

#include "registry/consul_impl.h"
#include "registry/consul_read.h"

#define LOOK_WAIT (10 * USEC_S)

static void put(struct upkeep *u);
static void look(struct upkeep *u);
static void take_away(struct upkeep *u);

static void write_body(const struct consul_upkeep *c, struct text *body)
{
	record_write_consul(
	    &c->upkeep.registration->plan, c->client->start->config->check_ttl, body);
}

/* The ID as our own body has it, escaped for a path. */
static void add_id(const struct consul_upkeep *c, struct text *target)
{
	struct text body = {0}, id = {0};

	write_body(c, &body);
	consul_read_id(slice_of(body.bytes, body.len), &id);
	record_escape(slice_of(id.bytes, id.len), target);
	text_fini(&id);
	text_fini(&body);
}

/* ---- the check that we pass ---- */

static void passed(void *arg, const struct http_response *response)
{
	struct consul_upkeep *c = arg;
	struct err err = {0};

	c->upkeep.beating = NULL;
	if (response->status == 200)
		return;
	http_place_refuse(response, &err);
	err_wrap(&err, "its check cannot be passed");
	if (response->status == 0)
		upkeep_beat_in(&c->upkeep, UPKEEP_BEAT_RETRY);
	else
		upkeep_lost(&c->upkeep, err.text);
}

/* Source: /v1/agent/check/pass; the check of a service that names none has the ID service:ID. */
static void pass(struct upkeep *u)
{
	struct consul_upkeep *c = consul_of(u);
	struct text target = {0};

	text_add_str(&target, "/v1/agent/check/pass/service%3A");
	add_id(c, &target);
	consul_add(&target, "note", SLICE_LIT("online"));
	consul_beat(c, &target, passed);
}

/* ---- looking ---- */

static void keep_hash(struct consul_upkeep *c, const char *hash)
{
	bool fits = hash && strlen(hash) < sizeof c->hash;

	memcpy(c->hash, fits ? hash : "", fits ? strlen(hash) + 1 : 1);
}

static void compare(struct consul_upkeep *c, const struct http_response *response)
{
	struct text body = {0};
	struct err why = {0};
	int same;

	write_body(c, &body);
	same = consul_compare(response->body, slice_of(body.bytes, body.len), &why);
	text_fini(&body);
	if (same < 0) {
		upkeep_failed(&c->upkeep, look, response->status, &why);
	} else if (same == 0) {
		upkeep_lost(&c->upkeep, why.text);
	} else {
		keep_hash(c, http_response_header(response, "X-Consul-ContentHash"));
		upkeep_present(&c->upkeep, 0);
	}
}

static void looked(void *arg, const struct http_response *response)
{
	struct consul_upkeep *c = arg;
	struct err err = {0};

	if (!upkeep_answered(&c->upkeep))
		return;
	if (response->status == 200) {
		compare(c, response);
	} else if (response->status == 404) {
		upkeep_lost(&c->upkeep, "the agent does not know it");
	} else {
		http_place_refuse(response, &err);
		upkeep_failed(&c->upkeep, look, response->status, &err);
	}
}

static void look(struct upkeep *u)
{
	struct consul_upkeep *c = consul_of(u);
	usec_t wait = c->hash[0] ? LOOK_WAIT : 0;
	struct text target = {0};

	text_add_str(&target, "/v1/agent/service/");
	add_id(c, &target);
	if (wait) {
		consul_add(&target, "hash", slice_str(c->hash));
		consul_add(&target, "wait", SLICE_LIT("10s"));
	}
	c->upkeep.looked_at = http_place_now(&c->client->place);
	consul_step(c, "GET", &target, SLICE_NONE, wait, looked);
}

/* ---- putting and removing ---- */

static void put_done(void *arg, const struct http_response *response)
{
	struct consul_upkeep *c = arg;
	struct err err = {0};

	if (!upkeep_answered(&c->upkeep))
		return;
	if (response->status != 200) {
		http_place_refuse(response, &err);
		upkeep_failed(&c->upkeep, put, response->status, &err);
		return;
	}
	if (c->upkeep.beat_every)
		pass(&c->upkeep);
	look(&c->upkeep);
}

static void put(struct upkeep *u)
{
	struct consul_upkeep *c = consul_of(u);
	struct text target = {0}, body = {0};

	c->upkeep.beat_every =
	    c->client->start->config->check_ttl ? c->upkeep.registration->plan.ttl / 3 : 0;
	text_add_str(&target, "/v1/agent/service/register");
	write_body(c, &body);
	upkeep_puts(&c->upkeep);
	consul_step(c, "PUT", &target, slice_of(body.bytes, body.len), 0, put_done);
	text_fini(&body);
}

static void removed(void *arg, const struct http_response *response)
{
	struct consul_upkeep *c = arg;
	struct err err = {0};

	upkeep_answered(&c->upkeep);
	if (response->status == 200 || response->status == 404) {
		upkeep_gone(&c->upkeep);
		return;
	}
	http_place_refuse(response, &err);
	upkeep_failed(&c->upkeep, take_away, response->status, &err);
}

static void take_away(struct upkeep *u)
{
	struct consul_upkeep *c = consul_of(u);
	struct text target = {0};

	text_add_str(&target, "/v1/agent/service/deregister/");
	add_id(c, &target);
	consul_step(c, "PUT", &target, SLICE_NONE, 0, removed);
}

const struct upkeep_kind consul_agent = {
    .put = put,
    .look = look,
    .beat = pass,
    .remove = take_away,
    .forget = consul_upkeep_forget,
    .free = consul_upkeep_free,
};
