#include "support/fake_registry.h"

#include <stdio.h>
#include <stdlib.h>

#include <check.h>

#include "base/text.h"
#include "net/loop.h"
#include "support/descriptors.h"
#include "support/loaded.h"

usec_t __real_clock_monotonic(void);
usec_t __wrap_clock_monotonic(void);
usec_t __real_clock_calendar(void);
usec_t __wrap_clock_calendar(void);

char fake_registry_asked[4096], fake_registry_raised[4096];
struct loop *fake_registry_loop;
struct registry_config fake_registry_config;
struct registration *fake_registry_enrolled;
usec_t fake_registry_skipped, fake_registry_calendar_skipped;

static struct shared_config *shared;
static struct loaded loaded;
static struct arena arena;
static int descriptors_before;

usec_t __wrap_clock_monotonic(void)
{
	return __real_clock_monotonic() + fake_registry_skipped;
}

usec_t __wrap_clock_calendar(void)
{
	return __real_clock_calendar() + fake_registry_calendar_skipped;
}

static void note(char *room, const char *what, struct slice name, const char *more)
{
	size_t len = strlen(room);

	snprintf(room + len, 4096 - len, "%s %.*s%s%s\n", what, (int)name.len,
	    (const char *)name.data, *more ? " " : "", more);
}

/* ---- the client ---- */

static int client_is_open;

static struct registry_client *open_fake(const struct registry_client_start *start, struct err *err)
{
	(void)err;
	ck_assert_str_eq(start->config->name, "main");
	client_is_open++;
	return (struct registry_client *)&client_is_open;
}

static void close_fake(struct registry_client **client)
{
	*client = NULL;
	client_is_open--;
}

static void watch(struct registry_client *client, struct slice service)
{
	(void)client;
	note(fake_registry_asked, "watch", service, "");
}

static void unwatch(struct registry_client *client, struct slice service)
{
	(void)client;
	note(fake_registry_asked, "unwatch", service, "");
}

static void watch_document(struct registry_client *client, struct slice key)
{
	(void)client;
	note(fake_registry_asked, "watch_document", key, "");
}

static void unwatch_document(struct registry_client *client, struct slice key)
{
	(void)client;
	note(fake_registry_asked, "unwatch_document", key, "");
}

static void enroll(struct registry_client *client, struct registration *registration)
{
	char more[ADDRESS_TEXT_MAX + 16];

	(void)client;
	snprintf(
	    more, sizeof more, "%s %u", registration->plan.address.text, registration->plan.weight);
	note(fake_registry_asked, "enroll", registration->plan.service, more);
	fake_registry_enrolled = registration;
}

static void withdraw(struct registry_client *client, struct registration *registration)
{
	(void)client;
	note(fake_registry_asked, "withdraw", registration->plan.service,
	    registration->plan.address.text);
}

static void let_go(struct registry_client *client, struct registration *registration)
{
	(void)client;
	note(fake_registry_asked, "let_go", registration->plan.service,
	    registration->plan.address.text);
}

static const struct registry_client_ops ops = {open_fake, close_fake, watch, unwatch,
    watch_document, unwatch_document, enroll, withdraw, let_go};
static const struct registry_client_ops plain_ops = {
    .open = open_fake, .close = close_fake, .watch = watch, .unwatch = unwatch};

/* ---- the events ---- */

static void set_changed(void *arg, struct registry *registry, struct slice service)
{
	(void)arg;
	(void)registry;
	note(fake_registry_raised, "set", service, "");
}

static void document_changed(void *arg, struct registry *registry, struct slice key)
{
	(void)arg;
	(void)registry;
	note(fake_registry_raised, "document", key, "");
}

static void registration_changed(void *arg, struct registration *registration)
{
	struct registration_report report = registration_report(registration);

	(void)arg;
	note(fake_registry_raised, "registration", report.service,
	    registration_state_name(report.state));
}

static const struct registry_events events = {set_changed, document_changed, registration_changed};

/* ---- around a test ---- */

void fake_registry_begin(void)
{
	struct err err;

	descriptors_before = descriptors_open();
	fake_registry_loop = loop_new(&err);
	ck_assert_ptr_nonnull(fake_registry_loop);
	loaded = loaded_from("listeners: [{name: a, address: \"127.0.0.1:0\", service: s}]\n"
			     "services: {s: {endpoints: [\"127.0.0.1:9\"]}}\n");
	loaded_config(&loaded);
	shared = shared_config_new(loaded.config);
	loaded.config = NULL;
	fake_registry_config = (struct registry_config){
	    .name = "main",
	    .type = REGISTRY_ETCD,
	    .empty_keep = 10 * USEC_MIN,
	};
	fake_registry_asked[0] = fake_registry_raised[0] = '\0';
	fake_registry_skipped = fake_registry_calendar_skipped = 0;
	arena_init(&arena, NULL, 0);
}

void fake_registry_end(void)
{
	ck_assert_int_eq(client_is_open, 0);
	loop_free(&fake_registry_loop);
	shared_config_unref(&shared);
	loaded_free(&loaded);
	arena_fini(&arena);
	ck_assert_int_eq(descriptors_open(), descriptors_before);
}

static struct registry *open_with(const struct registry_client_ops *with)
{
	const struct registry_place place = {.loop = fake_registry_loop, .seed = 7};
	struct registry *r;
	struct err err;

	r = registry_new_with(with, shared, &fake_registry_config, &place, &events, NULL, &err);
	ck_assert_ptr_nonnull(r);
	return r;
}

struct registry *fake_registry_open(void)
{
	return open_with(&ops);
}

struct registry *fake_registry_open_plain(void)
{
	return open_with(&plain_ops);
}

void fake_registry_turn(void)
{
	loop_turn(fake_registry_loop, 0);
	loop_turn(fake_registry_loop, 0);
}

void fake_registry_pass(usec_t time)
{
	fake_registry_skipped += time;
	fake_registry_turn();
}

/* ---- sets ---- */

static void read_words(struct endpoint *e, char *text)
{
	struct config_pair *pair = arena_calloc(&arena, 1, sizeof *pair);
	char *save, *word = strtok_r(text, " ", &save);
	struct err err;

	ck_assert_int_eq(address_parse(&e->address, slice_str(word), &err), 0);
	word = strtok_r(NULL, " ", &save);
	e->weight = word ? (unsigned)atoi(word) : 10;
	word = strtok_r(NULL, " ", &save);
	e->zone = word && strcmp(word, "-") != 0 ? word : NULL;
	word = strtok_r(NULL, " ", &save);
	if (word == NULL)
		return;
	pair->name = word;
	pair->value = strchr(word, '=') + 1;
	*strchr(word, '=') = '\0';
	e->tags = (struct config_map){pair, 1};
}

size_t fake_registry_endpoints(const char *text, const struct endpoint **list)
{
	struct endpoint *made = arena_calloc(&arena, strlen(text) / 8 + 1, sizeof *made);
	char *copy = arena_str(&arena, slice_str(text)), *save, *one;
	size_t n = 0;

	for (one = strtok_r(copy, ";", &save); one; one = strtok_r(NULL, ";", &save))
		read_words(&made[n++], one);
	*list = made;
	return n;
}

void fake_registry_hear(struct registry *r, const char *service, const char *set)
{
	const struct endpoint *list;
	size_t n = fake_registry_endpoints(set, &list);

	registry_heard(r, slice_str(service), list, n, "7");
	fake_registry_turn();
}

void fake_registry_fail(struct registry *r, const char *service, const char *why)
{
	struct err err;

	err_set(&err, 0, "%s", why);
	registry_failed(r, service ? slice_str(service) : SLICE_NONE, &err);
	fake_registry_turn();
}

const char *fake_registry_known(const struct registry *r, const char *service)
{
	static char room[2048];
	struct registry_set set = registry_set(r, slice_str(service));
	struct text out = {0};

	text_add_str(&out, endpoint_state_name(set.state));
	for (size_t i = 0; i < set.n; i++)
		text_printf(&out, " %s", set.list[i].address.text);
	if (set.error[0])
		text_printf(&out, " ! %s", set.error);
	snprintf(room, sizeof room, "%.*s", (int)out.len, out.bytes);
	text_fini(&out);
	return room;
}

static void add_change(void *arg, const struct registry_change *change)
{
	static const char *const kinds[] = {
	    [CHANGE_ADDED] = "added",
	    [CHANGE_REMOVED] = "removed",
	    [CHANGE_CHANGED] = "changed",
	    [CHANGE_KEPT] = "kept",
	    [CHANGE_ERROR] = "error",
	    [CHANGE_CACHED] = "cached",
	};

	text_printf(arg, "%s %s [%s] %s\n", kinds[change->kind],
	    *change->address ? change->address : "-", change->revision, change->text);
}

const char *fake_registry_history(const struct registry *r, const char *service)
{
	static char room[32768];
	struct text out = {0};

	registry_history(r, slice_str(service), add_change, &out);
	snprintf(room, sizeof room, "%.*s", (int)out.len, out.bytes ? out.bytes : "");
	text_fini(&out);
	return room;
}
