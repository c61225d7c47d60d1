/*
 * The life of a registration in Consul, whatever kind it is: put there, looked at for ever, put again
 * when it is missing or changed, taken away at the end.
 *
 *     put --done--> look --as it should be--> (PRESENT) look, waiting for a change ...
 *      ^              |
 *      '--- LOST <----'  missing, changed
 *
 * Looks wait at the agent for a change, so that a loss is seen when it happens, and an agent that
 * goes away by the connection that breaks. Beats (of a TTL check, of a session) run beside.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "registry/consul_impl.h"

#define GAP         (2 * USEC_S) /* at most one look and one put within it, whatever is answered */
#define LEAVING_MAX (4 * USEC_S) /* of trying to take it away */
#define REFUSED     403          /* as good as: we have no token to show */

static void run_next(struct timer *timer, usec_t now)
{
	struct consul_enrolled *e = container_of(timer, struct consul_enrolled, again);

	(void)now;
	e->next(e);
}

void consul_later(struct consul_enrolled *e, usec_t wait, void (*next)(struct consul_enrolled *e))
{
	e->next = next;
	http_place_timer(&e->client->place, &e->again, wait, run_next);
}

static void run_beat(struct timer *timer, usec_t now)
{
	struct consul_enrolled *e = container_of(timer, struct consul_enrolled, beat);

	(void)now;
	e->kind->beat(e);
}

void consul_beat_in(struct consul_enrolled *e, usec_t wait)
{
	http_place_timer(&e->client->place, &e->beat, wait, run_beat);
}

/* ---- asking ---- */

void consul_step(struct consul_enrolled *e, const char *method, struct text *target,
    struct slice body, usec_t wait, void (*done)(void *arg, const struct http_response *response))
{
	struct consul_request request = {
	    .method = method,
	    .target = slice_of(target->bytes, target->len),
	    .body = body,
	    .wait = wait,
	    .done = done,
	    .arg = e,
	};
	struct http_response none = {.status = REFUSED};
	struct err err = {0};

	e->main = consul_ask(e->client, &request, &err);
	text_fini(target);
	if (e->main == NULL)
		consul_failed(e, e->is_leaving ? e->kind->remove : e->kind->put, &none, &err);
}

void consul_put_step(struct consul_enrolled *e, struct text *target, struct slice body,
    void (*done)(void *arg, const struct http_response *response))
{
	e->is_putting = e->was_put = true;
	e->put_at = http_place_now(&e->client->place);
	consul_step(e, "PUT", target, body, 0, done);
}

bool consul_answered(struct consul_enrolled *e)
{
	bool was_putting = e->is_putting;

	e->main = NULL;
	e->is_putting = false;
	if (!e->is_leaving || !was_putting)
		return true;
	e->kind->remove(e);
	return false;
}

void consul_beat(struct consul_enrolled *e, const char *method, struct text *target,
    void (*done)(void *arg, const struct http_response *response))
{
	struct consul_request request = {
	    .method = method,
	    .target = slice_of(target->bytes, target->len),
	    .done = done,
	    .arg = e,
	};
	struct err err = {0};

	if (e->beating)
		http_exchange_drop(&e->beating);
	e->beating = consul_ask(e->client, &request, &err);
	text_fini(target);
	consul_beat_in(e, e->beat_every);
}

/* ---- how it stands ---- */

static void say(struct consul_enrolled *e, const char *why)
{
	bool is_new = e->registration->state == REGISTRATION_PENDING;

	registration_is(e->registration, is_new ? REGISTRATION_PENDING : REGISTRATION_LOST, why);
}

void consul_failed(struct consul_enrolled *e, void (*next)(struct consul_enrolled *e),
    const struct http_response *response, const struct err *err)
{
	usec_t pause = http_place_pause(&e->client->place, &e->pause, response->status);

	e->index = 0;
	e->hash[0] = '\0';
	e->is_putting = false;
	if (e->is_leaving && http_place_now(&e->client->place) - e->leaving_since > LEAVING_MAX) {
		consul_gone(e);
		return;
	}
	/* One exchange that breaks is no loss yet. */
	if (!e->is_leaving && (e->failures++ > 0 || response->status > 0)) {
		registry_failed(e->client->start->registry, SLICE_NONE, err);
		say(e, err->text);
	}
	consul_later(e, e->is_leaving ? usec_min(pause, USEC_S) : pause, next);
}

void consul_present(struct consul_enrolled *e)
{
	usec_t since = http_place_now(&e->client->place) - e->looked_at;

	e->failures = 0;
	registry_pause_reset(&e->pause);
	registry_alive(e->client->start->registry);
	registration_is(e->registration, REGISTRATION_PRESENT, "");
	consul_later(e, since < GAP ? GAP - since : 0, e->kind->look);
}

void consul_lost(struct consul_enrolled *e, const char *why)
{
	usec_t since = http_place_now(&e->client->place) - e->put_at;

	if (e->main && e->is_putting)
		return;
	if (e->main)
		http_exchange_drop(&e->main);
	e->hash[0] = '\0';
	e->index = 0;
	say(e, why);
	consul_later(e, since < GAP ? GAP - since : 0, e->kind->put);
}

/* ---- from outside ---- */

static void enrolled_free(struct consul_enrolled *e)
{
	wheel_clear(&e->again);
	wheel_clear(&e->beat);
	if (e->main)
		http_exchange_drop(&e->main);
	if (e->beating)
		http_exchange_drop(&e->beating);
	list_remove(&e->link);
	free(e);
}

void consul_gone(struct consul_enrolled *e)
{
	struct registration *registration = e->registration;

	registration->client = NULL;
	enrolled_free(e);
	registration_gone(registration);
}

static struct consul_enrolled *enrolled_new(
    struct registry_client *client, struct registration *registration)
{
	struct consul_enrolled *e = mem_calloc(1, sizeof *e);
	bool is_kitex = client->start->config->format == REGISTRY_FORMAT_KITEX;

	e->client = client;
	e->kind = is_kitex ? &consul_agent : &consul_lock;
	e->registration = registration;
	registration->client = e;
	list_push_back(&client->enrolled, &e->link);
	return e;
}

void consul_enroll(struct registry_client *client, struct registration *registration)
{
	struct consul_enrolled *e = registration->client;

	if (e == NULL)
		e = enrolled_new(client, registration);
	if (e->main)
		http_exchange_drop(&e->main);
	e->hash[0] = '\0';
	e->index = 0;
	consul_later(e, 0, e->kind->put);
}

void consul_withdraw(struct registry_client *client, struct registration *registration)
{
	struct consul_enrolled *e = registration->client;

	e->is_leaving = true;
	e->leaving_since = http_place_now(&client->place);
	wheel_clear(&e->again);
	wheel_clear(&e->beat);
	if (e->beating)
		http_exchange_drop(&e->beating);
	if (e->main && e->is_putting)
		return;
	if (e->main)
		http_exchange_drop(&e->main);
	consul_later(e, 0, e->was_put ? e->kind->remove : consul_gone);
}

void consul_forget_enrolled(struct registry_client *client)
{
	list_each_safe (link, &client->enrolled) {
		struct consul_enrolled *e = list_item(link, struct consul_enrolled, link);

		e->registration->client = NULL;
		enrolled_free(e);
	}
}
