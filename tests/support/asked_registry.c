#include "support/asked_registry.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include <check.h>

#include "base/mem.h"
#include "net/loop.h"
#include "registry/client.h"
#include "support/descriptors.h"
#include "support/loaded.h"

#define PATIENCE (25 * USEC_S)
#define TAGS_MAX 8u

static void requested(void *arg, struct script_peer *peer, const struct script_request *request)
{
	struct asked_registry *a = arg;

	text_printf(&a->requests, "%s %s\n", request->method, request->target);
	if (request->body.len) {
		text_add(&a->bodies, request->body);
		text_add_str(&a->bodies, "\n");
	}
	a->n_requests++;
	if (a->respond)
		a->respond(a, peer, request);
}

static void set_changed(void *arg, struct registry *registry, struct slice service)
{
	(void)arg;
	(void)registry;
	(void)service;
}

static void registration_changed(void *arg, struct registration *registration)
{
	struct asked_registry *a = arg;

	if (registration_report(registration).state != REGISTRATION_WITHDRAWN)
		return;
	a->n_withdrawn++;
	if (registration == a->registration)
		a->registration = NULL;
}

void asked_open(struct asked_registry *a, const char *keys, script_fn respond)
{
	static const struct registry_events events = {
	    set_changed, set_changed, registration_changed};
	struct registry_place place = {.seed = 1};
	struct loaded loaded;
	char text[1024];
	struct err err;

	signal(SIGPIPE, SIG_IGN);
	*a = (struct asked_registry){.respond = respond};
	a->descriptors_before = descriptors_open();
	a->loop = place.loop = loop_new(&err);
	ck_assert_ptr_nonnull(a->loop);
	a->script = script_new(a->loop, NULL, requested, a);
	snprintf(text, sizeof text,
	    "listeners: [{address: \"127.0.0.1:0\"}]\n"
	    "services: {\"*\": {discover: main}}\n"
	    "registries: {main: {endpoints: [\"%s\"], %s}}\n",
	    script_address(a->script)->text, keys);
	loaded = loaded_from(text);
	loaded_config(&loaded);
	a->shared = shared_config_new(loaded.config);
	loaded.config = NULL;
	loaded_free(&loaded);
	a->registry =
	    registry_new(a->shared, a->shared->config->registries[0], &place, &events, a, &err);
	ck_assert_msg(a->registry != NULL, "%s", err.text);
}

void asked_close(struct asked_registry *a)
{
	registry_free(&a->registry);
	script_free(&a->script);
	for (int i = 0; i < 5; i++)
		loop_turn(a->loop, 0);
	loop_free(&a->loop);
	shared_config_unref(&a->shared);
	text_fini(&a->requests);
	text_fini(&a->bodies);
	ck_assert_int_eq(descriptors_open(), a->descriptors_before);
}

void asked_follow(struct asked_registry *a, const char *service)
{
	struct slice name = slice_str(service);

	registry_follow(a->registry, &name, 1);
}

/* ---- registrations ---- */

static struct config_map split_tags(char *text, struct config_pair pairs[TAGS_MAX])
{
	struct config_map tags = {pairs, 0};
	char *rest = NULL;

	for (char *tag = strtok_r(text, ",", &rest); tag; tag = strtok_r(NULL, ",", &rest)) {
		char *value = strchr(tag, '=');

		*value = '\0';
		pairs[tags.n++] = (struct config_pair){tag, value + 1};
	}
	return tags;
}

static void with_plan(
    struct asked_registry *a, unsigned weight, const char *tags, usec_t ttl, bool is_new)
{
	struct config_pair pairs[TAGS_MAX];
	char *text = mem_strdup(tags);
	struct registration_plan plan = {
	    .service = SLICE_LIT("shop.cart"), .weight = weight, .ttl = ttl};
	struct err err;

	plan.tags = split_tags(text, pairs);
	ck_assert_int_eq(address_parse(&plan.address, SLICE_LIT("127.0.0.1:8888"), &err), 0);
	if (is_new)
		a->registration = registry_enroll(a->registry, &plan, NULL);
	else
		registration_change(a->registration, &plan);
	free(text);
}

void asked_enroll(struct asked_registry *a, unsigned weight, const char *tags, usec_t ttl)
{
	with_plan(a, weight, tags, ttl, true);
}

void asked_change(struct asked_registry *a, unsigned weight, const char *tags, usec_t ttl)
{
	with_plan(a, weight, tags, ttl, false);
}

/* ---- waiting ---- */

void asked_turn(struct asked_registry *a, usec_t time)
{
	usec_t until = clock_monotonic() + time;

	while (clock_monotonic() < until)
		loop_turn(a->loop, until - clock_monotonic());
}

void asked_until(struct asked_registry *a, bool (*is_so)(struct asked_registry *a))
{
	usec_t until = clock_monotonic() + PATIENCE;

	while (!is_so(a)) {
		ck_assert_msg(clock_monotonic() < until, "not in time; asked so far:\n%.*s",
		    (int)a->requests.len, a->requests.bytes);
		loop_turn(a->loop, 10 * USEC_MS);
	}
}

void asked_until_set(struct asked_registry *a, const char *service, const char *text)
{
	usec_t until = clock_monotonic() + PATIENCE;

	while (strcmp(asked_set(a, service), text) != 0) {
		ck_assert_msg(clock_monotonic() < until, "%s is not %s but %s", service, text,
		    asked_set(a, service));
		loop_turn(a->loop, 10 * USEC_MS);
	}
}

void asked_until_state(struct asked_registry *a, enum registration_state state)
{
	usec_t until = clock_monotonic() + PATIENCE;

	while (registration_report(a->registration).state != state) {
		ck_assert_msg(clock_monotonic() < until, "it is %s and not %s: %s\n%.*s",
		    registration_state_name(registration_report(a->registration).state),
		    registration_state_name(state), registration_report(a->registration).error,
		    (int)a->requests.len, a->requests.bytes);
		loop_turn(a->loop, 10 * USEC_MS);
	}
}

void asked_until_asked(struct asked_registry *a, const char *part)
{
	usec_t until = clock_monotonic() + PATIENCE;

	while (!asked_was(a, part)) {
		ck_assert_msg(clock_monotonic() < until, "%s was not asked, but\n%.*s", part,
		    (int)a->requests.len, a->requests.bytes);
		loop_turn(a->loop, 10 * USEC_MS);
	}
}

/* ---- looking ---- */

static void print_endpoint(const struct endpoint *endpoint, struct text *out)
{
	text_printf(
	    out, "%s%s w%u", out->len ? "; " : "", endpoint->address.text, endpoint->weight);
	for (size_t i = 0; i < endpoint->tags.n; i++)
		text_printf(out, "%s%s=%s%s", i ? "," : " {", endpoint->tags.pairs[i].name,
		    endpoint->tags.pairs[i].value, i + 1 == endpoint->tags.n ? "}" : "");
}

const char *asked_set(struct asked_registry *a, const char *service)
{
	struct registry_set set = registry_set(a->registry, slice_str(service));
	struct text out = {0};

	for (size_t i = 0; i < set.n; i++)
		print_endpoint(&set.list[i], &out);
	snprintf(a->said, sizeof a->said, "%s%s%.*s",
	    set.state == ENDPOINTS_FRESH ? "" : endpoint_state_name(set.state),
	    set.state == ENDPOINTS_STALE ? ": " : "", (int)out.len, out.len ? out.bytes : "");
	text_fini(&out);
	return a->said;
}

static unsigned count(const struct text *text, const char *part)
{
	struct slice all = slice_of(text->bytes, text->len);
	unsigned n = 0;
	const uint8_t *at;

	while (all.len && (at = memmem(all.data, all.len, part, strlen(part)))) {
		n++;
		all = slice_from(all, (size_t)(at - all.data) + strlen(part));
	}
	return n;
}

unsigned asked_times(const struct asked_registry *a, const char *part)
{
	return count(&a->requests, part);
}

bool asked_was(const struct asked_registry *a, const char *part)
{
	return count(&a->requests, part) > 0;
}

bool asked_said(const struct asked_registry *a, const char *part)
{
	return count(&a->bodies, part) > 0;
}

void asked_forget(struct asked_registry *a)
{
	a->requests.len = a->bodies.len = 0;
	a->n_requests = 0;
}
