#include "support/followed_registry.h"

#include <stdio.h>
#include <string.h>

#include <check.h>

#include "net/loop.h"
#include "support/descriptors.h"
#include "support/loaded.h"

#define PATIENCE  (25 * USEC_S)
#define NAMES_MAX 16u

static void set_changed(void *arg, struct registry *registry, struct slice service)
{
	struct followed_registry *f = arg;

	(void)registry;
	(void)service;
	f->raised++;
}

void followed_open(struct followed_registry *f, const char *keys, const char *more)
{
	static const struct registry_events events = {
	    .set_changed = set_changed, .document_changed = set_changed};
	struct registry_place place = {.seed = 1};
	struct loaded loaded;
	char text[1024];
	struct err err;

	*f = (struct followed_registry){.raised = 0};
	f->descriptors_before = descriptors_open();
	f->loop = place.loop = loop_new(&err);
	ck_assert_ptr_nonnull(f->loop);
	snprintf(text, sizeof text,
	    "listeners: [{address: \"127.0.0.1:0\"}]\n"
	    "services: {\"*\": {discover: main}}\n"
	    "registries: {main: {%s}}\n%s",
	    keys, more);
	loaded = loaded_from(text);
	loaded_config(&loaded);
	f->shared = shared_config_new(loaded.config);
	loaded.config = NULL;
	loaded_free(&loaded);
	f->registry =
	    registry_new(f->shared, f->shared->config->registries[0], &place, &events, f, &err);
	ck_assert_msg(f->registry != NULL, "%s", err.text);
}

void followed_close(struct followed_registry *f)
{
	registry_free(&f->registry);
	for (int i = 0; i < 5; i++)
		loop_turn(f->loop, 0);
	loop_free(&f->loop);
	shared_config_unref(&f->shared);
	ck_assert_int_eq(descriptors_open(), f->descriptors_before);
}

static size_t split(const char *names, struct slice list[NAMES_MAX])
{
	size_t n = 0;

	while (*names) {
		size_t len = strcspn(names, " ");

		ck_assert_uint_lt(n, NAMES_MAX);
		list[n++] = slice_of(names, len);
		names += len + (names[len] == ' ');
	}
	return n;
}

void followed_services(struct followed_registry *f, const char *names)
{
	struct slice list[NAMES_MAX];

	registry_follow(f->registry, list, split(names, list));
}

void followed_documents(struct followed_registry *f, const char *keys)
{
	struct slice list[NAMES_MAX];

	registry_follow_documents(f->registry, list, split(keys, list));
}

static void say(struct followed_registry *f, const char *part)
{
	size_t len = strlen(f->said);

	snprintf(f->said + len, sizeof f->said - len, "%s", part);
}

static void say_endpoint(struct followed_registry *f, const struct endpoint *e)
{
	char weight[16];

	snprintf(weight, sizeof weight, " w%u", e->weight);
	say(f, e->address.text);
	say(f, weight);
	if (e->zone) {
		say(f, " ");
		say(f, e->zone);
	}
	for (size_t i = 0; i < e->tags.n; i++) {
		say(f, i ? "," : " {");
		say(f, e->tags.pairs[i].name);
		say(f, "=");
		say(f, e->tags.pairs[i].value);
	}
	say(f, e->tags.n ? "}" : "");
}

const char *followed_set(struct followed_registry *f, const char *service)
{
	struct registry_set set = registry_set(f->registry, slice_str(service));

	f->said[0] = '\0';
	if (set.state != ENDPOINTS_FRESH) {
		say(f, endpoint_state_name(set.state));
		say(f, set.n ? ": " : ":");
	}
	for (size_t i = 0; i < set.n; i++) {
		say(f, i ? "; " : "");
		say_endpoint(f, &set.list[i]);
	}
	return f->said;
}

const char *followed_document(struct followed_registry *f, const char *key)
{
	struct registry_document document = registry_document(f->registry, slice_str(key));

	if (!document.is_known || !document.exists)
		return document.is_known ? "none" : "unknown";
	snprintf(f->said, sizeof f->said, "%.*s", (int)document.text.len,
	    (const char *)document.text.data);
	return f->said;
}

void followed_turn(struct followed_registry *f, usec_t time)
{
	usec_t end = clock_monotonic() + time;

	for (usec_t now; (now = clock_monotonic()) < end;)
		loop_turn(f->loop, end - now);
}

typedef const char *(*look_fn)(struct followed_registry *f, const char *name);

static const char *error_of(struct followed_registry *f, const char *service)
{
	return registry_set(f->registry, slice_str(service)).error;
}

static void until(
    struct followed_registry *f, look_fn look, const char *name, const char *text, bool as_part)
{
	usec_t end = clock_monotonic() + PATIENCE;

	while (clock_monotonic() < end) {
		const char *now = look(f, name);

		if (as_part ? strstr(now, text) != NULL : strcmp(now, text) == 0)
			return;
		loop_turn(f->loop, 100 * USEC_MS);
	}
	ck_abort_msg("%s: \"%s\", not \"%s\"", name, look(f, name), text);
}

void followed_until(struct followed_registry *f, const char *service, const char *set)
{
	until(f, followed_set, service, set, false);
}

void followed_until_document(struct followed_registry *f, const char *key, const char *text)
{
	until(f, followed_document, key, text, false);
}

void followed_until_error(struct followed_registry *f, const char *service, const char *part)
{
	until(f, error_of, service, part, true);
}

struct search {
	const char *part;
	bool is_found;
};

static void visit(void *arg, const struct registry_change *change)
{
	struct search *search = arg;

	if (strstr(change->text, search->part) || strstr(change->address, search->part))
		search->is_found = true;
}

bool followed_remembers(struct followed_registry *f, const char *service, const char *part)
{
	struct search search = {part, false};

	registry_history(f->registry, slice_str(service), visit, &search);
	return search.is_found;
}
