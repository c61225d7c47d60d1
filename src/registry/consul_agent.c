/*
 * A registration as a service of the agent, as Kitex's registry writes it. The check is the agent's
 * own (it connects) or one that we pass. Who registered a service cannot be told in Consul, so nobody
 * else's is ever seen here: the same ID is the same service at the same address.
 */
#include <string.h>

#include "registry/consul_impl.h"
#include "registry/consul_read.h"

#define LOOK_WAIT (10 * USEC_S)

static void write_body(const struct consul_enrolled *e, struct text *body)
{
	record_write_consul(&e->registration->plan, e->client->start->config->check_ttl, body);
}

/* The ID as our own body has it, escaped for a path. */
static void add_id(const struct consul_enrolled *e, struct text *target)
{
	struct text body = {0}, id = {0};

	write_body(e, &body);
	consul_read_id(slice_of(body.bytes, body.len), &id);
	record_escape(slice_of(id.bytes, id.len), target);
	text_fini(&id);
	text_fini(&body);
}

/* ---- the check that we pass ---- */

static void passed(void *arg, const struct http_response *response)
{
	struct consul_enrolled *e = arg;

	e->beating = NULL;
	if (response->status == 0)
		consul_beat_in(e, CONSUL_BEAT_RETRY);
	else if (response->status != 200)
		consul_lost(e, "the agent does not know its check");
}

/* Source: /v1/agent/check/pass; the check of a service that names none has the ID service:ID. */
static void pass(struct consul_enrolled *e)
{
	struct text target = {0};

	text_add_str(&target, "/v1/agent/check/pass/service%3A");
	add_id(e, &target);
	consul_add(&target, "note", SLICE_LIT("online"));
	consul_beat(e, "PUT", &target, passed);
}

/* ---- looking ---- */

static void keep_hash(struct consul_enrolled *e, const char *hash)
{
	bool fits = hash && strlen(hash) < sizeof e->hash;

	memcpy(e->hash, fits ? hash : "", fits ? strlen(hash) + 1 : 1);
}

static void compare(struct consul_enrolled *e, const struct http_response *response)
{
	struct text body = {0};
	struct err why = {0};
	int same;

	write_body(e, &body);
	same = consul_compare(response->body, slice_of(body.bytes, body.len), &why);
	text_fini(&body);
	if (same < 0) {
		consul_failed(e, e->kind->look, response, &why);
	} else if (same == 0) {
		consul_lost(e, why.text);
	} else {
		keep_hash(e, http_response_header(response, "X-Consul-ContentHash"));
		consul_present(e);
	}
}

static void looked(void *arg, const struct http_response *response)
{
	struct consul_enrolled *e = arg;
	struct err err = {0};

	if (!consul_answered(e))
		return;
	if (response->status == 200) {
		compare(e, response);
	} else if (response->status == 404) {
		consul_lost(e, "the agent does not know it");
	} else {
		http_place_refuse(response, &err);
		consul_failed(e, e->kind->look, response, &err);
	}
}

static void look(struct consul_enrolled *e)
{
	usec_t wait = e->hash[0] ? LOOK_WAIT : 0;
	struct text target = {0};

	text_add_str(&target, "/v1/agent/service/");
	add_id(e, &target);
	if (wait) {
		consul_add(&target, "hash", slice_str(e->hash));
		consul_add(&target, "wait", SLICE_LIT("10s"));
	}
	e->looked_at = http_place_now(&e->client->place);
	consul_step(e, "GET", &target, SLICE_NONE, wait, looked);
}

/* ---- putting and removing ---- */

static void put_done(void *arg, const struct http_response *response)
{
	struct consul_enrolled *e = arg;
	struct err err = {0};

	if (!consul_answered(e))
		return;
	if (response->status != 200) {
		http_place_refuse(response, &err);
		consul_failed(e, e->kind->put, response, &err);
		return;
	}
	if (e->beat_every)
		pass(e);
	look(e);
}

static void put(struct consul_enrolled *e)
{
	struct text target = {0}, body = {0};

	e->beat_every = e->client->start->config->check_ttl ? e->registration->plan.ttl / 3 : 0;
	text_add_str(&target, "/v1/agent/service/register");
	write_body(e, &body);
	consul_put_step(e, &target, slice_of(body.bytes, body.len), put_done);
	text_fini(&body);
}

static void removed(void *arg, const struct http_response *response)
{
	struct consul_enrolled *e = arg;
	struct err err = {0};

	consul_answered(e);
	if (response->status == 200 || response->status == 404) {
		consul_gone(e);
		return;
	}
	http_place_refuse(response, &err);
	consul_failed(e, e->kind->remove, response, &err);
}

static void take_away(struct consul_enrolled *e)
{
	struct text target = {0};

	text_add_str(&target, "/v1/agent/service/deregister/");
	add_id(e, &target);
	consul_step(e, "PUT", &target, SLICE_NONE, 0, removed);
}

const struct consul_kind consul_agent = {
    .put = put, .look = look, .beat = pass, .remove = take_away};
