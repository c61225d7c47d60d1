/* What is published where, and when, against registries whose clients do what the test says. */
#include "daemon/registrations.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <check.h>

#include "base/log.h"
#include "base/mem.h"
#include "daemon/bindings.h"
#include "daemon/discovery.h"
#include "net/local_address.h"
#include "net/loop.h"
#include "registry/client.h"
#include "support/loaded.h"
#include "support/recorder.h"
#include "support/suite.h"

/* The linker puts these between the code and the system, or discovery: time passes at once, and
 * registries are the test's. */
usec_t __real_clock_monotonic(void);
usec_t __wrap_clock_monotonic(void);
struct registry *__wrap_discovery_registry(
    const struct discovery *d, const struct registry_config *config);

int __real_local_address_towards(
    const struct address *to, bool only_v4, struct address *own, struct err *err);
int __wrap_local_address_towards(
    const struct address *to, bool only_v4, struct address *own, struct err *err);

static const char *own_text; /* what the machine's routes say; NULL: what they really do */
static bool is_cut_off;

int __wrap_local_address_towards(
    const struct address *to, bool only_v4, struct address *own, struct err *err)
{
	if (is_cut_off)
		return err_set(err, ENETUNREACH, "no way to %s", to->text);
	if (own_text)
		return address_parse(own, slice_str(own_text), err);
	return __real_local_address_towards(to, only_v4, own, err);
}

static usec_t skipped;

usec_t __wrap_clock_monotonic(void)
{
	return __real_clock_monotonic() + skipped;
}

/* --- a registry's client --- */

#define CLIENTS 8
#define RECORDS 16

struct registry_client {
	char name[16];
	bool is_silent; /* says nothing, neither of what comes nor of what goes */
	int enrolled, changed, withdrawn, let_go;
	struct registration *there[RECORDS];
	size_t n;
};

static struct registry_client *clients[CLIENTS]; /* in the order in which they were opened */
static size_t n_clients;

static struct registry_client *fake_open(const struct registry_client_start *start, struct err *err)
{
	struct registry_client *c = mem_calloc(1, sizeof *c);

	(void)err;
	ck_assert_uint_lt(n_clients, CLIENTS);
	snprintf(c->name, sizeof c->name, "%s", start->config->name);
	clients[n_clients++] = c;
	return c;
}

static void fake_close(struct registry_client **client)
{
	free(*client);
	*client = NULL;
}

static void fake_watch(struct registry_client *client, struct slice service)
{
	(void)client;
	(void)service;
}

static void fake_enroll(struct registry_client *c, struct registration *r)
{
	for (size_t i = 0; i < c->n; i++) {
		if (c->there[i] == r) {
			c->changed++;
			return;
		}
	}
	ck_assert_uint_lt(c->n, RECORDS);
	c->there[c->n++] = r;
	c->enrolled++;
	if (!c->is_silent)
		registration_is(r, REGISTRATION_PRESENT, "");
}

static void fake_withdraw(struct registry_client *c, struct registration *r)
{
	c->withdrawn++;
	if (c->is_silent)
		return;
	for (size_t i = 0; i < c->n; i++)
		if (c->there[i] == r)
			c->there[i] = c->there[--c->n];
	registration_gone(r);
}

static void fake_let_go(struct registry_client *c, struct registration *registration)
{
	(void)registration;
	c->let_go++;
}

static const struct registry_client_ops fake_ops = {
    .open = fake_open,
    .close = fake_close,
    .watch = fake_watch,
    .unwatch = fake_watch,
    .enroll = fake_enroll,
    .withdraw = fake_withdraw,
    .let_go = fake_let_go,
};

/* --- the world --- */

static struct loop *loop;
static struct registrations *registrations;
static struct tallies *tallies;
static struct snapshot *snapshot;
static struct bindings bindings;
static struct registry *open_registries[2]; /* what discovery would have: main, other */
static struct registry *left_registries[2];
static size_t n_left;
static int app; /* its listening socket, -1: down */
static char app_address[32];
static int done;    /* with leaving */
static int said[8]; /* log lines, by what they are about */

enum { SAID_PUBLISHED, SAID_BACK, SAID_LOST, SAID_CONTESTED, SAID_WITHDRAWN, SAID_MISSING };

static void count_line(const struct log_record *record)
{
	static const char *const events[] = {"published", "back", "lost",
	    "contested: another holds our place", "withdrawn", "still not published"};

	if (strcmp(record->subject, "registration") != 0)
		return;
	for (size_t i = 0; i < ARRAY_LEN(events); i++)
		said[i] += strcmp(record->event, events[i]) == 0;
}

static void ignore_set(void *arg, struct registry *registry, struct slice service)
{
	(void)arg;
	(void)registry;
	(void)service;
}

static void hand_on(void *arg, struct registration *registration)
{
	(void)arg;
	registrations_changed(registrations, registration);
}

static const struct registry_events events = {ignore_set, ignore_set, hand_on};

struct registry *__wrap_discovery_registry(
    const struct discovery *d, const struct registry_config *config)
{
	(void)d;
	return open_registries[strcmp(config->name, "main") != 0];
}

static void open_registry(size_t index, const char *name)
{
	struct registry_place place = {.loop = loop};
	struct err err;

	open_registries[index] = registry_new_with(&fake_ops, snapshot->shared,
	    config_registry(snapshot->config, slice_str(name)), &place, &events, NULL, &err);
	ck_assert_ptr_nonnull(open_registries[index]);
}

/* As a reload does it when its configuration is another. */
static void replace_registry(size_t index, const char *name)
{
	left_registries[n_left++] = open_registries[index];
	open_registry(index, name);
}

static void start_app(void)
{
	uint16_t port;

	app = listen_tcp(&port);
	snprintf(app_address, sizeof app_address, "127.0.0.1:%u", port);
}

static void stop_app(void)
{
	close(app);
	app = -1;
}

static void add_binding(const char *listener, const char *address)
{
	struct binding *b = mem_calloc(1, sizeof *b);
	struct err err;

	ck_assert_int_eq(address_parse(&b->bound, slice_str(address), &err), 0);
	b->fd = -1;
	b->listener = mem_strdup(listener);
	list_push_back(&bindings.all, &b->link);
}

static void begin(void)
{
	struct err err;

	skipped = 0;
	loop = loop_new(&err);
	ck_assert_ptr_nonnull(loop);
	tallies = tallies_new();
	bindings_init(&bindings);
	start_app();
	registrations = registrations_new(loop, NULL, &bindings);
	log_set_sink(count_line);
	memset(said, 0, sizeof said);
	n_clients = n_left = 0;
	own_text = NULL;
	is_cut_off = false;
	done = 0;
}

static void end(void)
{
	registrations_free(&registrations);
	for (size_t i = 0; i < ARRAY_LEN(open_registries); i++)
		registry_free(&open_registries[i]);
	for (size_t i = 0; i < n_left; i++)
		registry_free(&left_registries[i]);
	if (snapshot)
		snapshot_unref(&snapshot);
	tallies_free(&tallies);
	bindings_fini(&bindings);
	if (app >= 0)
		stop_app();
	loop_free(&loop);
}

#define HEAD                                                                                       \
	"registries:\n"                                                                            \
	"  main: {type: etcd, endpoints: [\"127.0.0.1:2379\"]}\n"                                  \
	"  other: {type: consul, endpoints: [\"127.0.0.1:8500\"]}\n"                               \
	"listeners:\n"                                                                             \
	"  - {name: in, address: \"127.0.0.1:0\", service: app}\n"                                 \
	"  - {name: in2, address: \"127.0.0.1:0\", service: app2}\n"

/* What is in force from now on: the head and services; every service's endpoint is the
 * application. */
static void follow(const char *services)
{
	struct snapshot *before = snapshot;
	struct endpoint endpoint = {.weight = 1};
	struct endpoint_set sets[4];
	struct shared_config *shared;
	struct loaded loaded;
	char text[2048];
	struct err err;

	snprintf(text, sizeof text, HEAD "services:\n%s", services);
	loaded = loaded_from(text);
	loaded_config(&loaded);
	shared = shared_config_new(loaded.config);
	loaded.config = NULL; /* moved */
	loaded_free(&loaded);
	ck_assert_int_eq(address_parse(&endpoint.address, slice_str(app_address), &err), 0);
	for (size_t i = 0; i < ARRAY_LEN(sets); i++)
		sets[i] = (struct endpoint_set){&endpoint, 1, ENDPOINTS_FRESH};
	snapshot = snapshot_new(shared, sets, tallies, before, loop_now(loop));
	shared_config_unref(&shared);
	if (before)
		snapshot_unref(&before);
	if (open_registries[0] == NULL) {
		open_registry(0, "main");
		open_registry(1, "other");
	}
	registrations_follow(registrations, snapshot);
}

#define APP2_PLAIN "  app2: {endpoints: [\"127.0.0.1:9\"]}\n"

static void follow_app(const char *keys)
{
	char services[512];

	snprintf(services, sizeof services,
	    "  app: {endpoints: [\"127.0.0.1:9\"], register: {%s}}\n" APP2_PLAIN, keys);
	follow(services);
}

static void settle(void)
{
	for (int i = 0; i < 8; i++) {
		skipped += USEC_MS; /* a timer that is due waits for the next tick */
		loop_turn(loop, 0);
	}
}

static void pass(usec_t time)
{
	skipped += time + 2 * USEC_MS; /* timers may be a tick late */
	settle();
}

static const char *address_in(const struct registry_client *client)
{
	ck_assert_uint_eq(client->n, 1);
	return registration_report(client->there[0]).address->text;
}

struct sought {
	const char *label, *registry;
	struct registered_report found;
	bool is_found;
};

static void seek(void *arg, const struct registered_report *report)
{
	struct sought *s = arg;

	if (strcmp(report->label, s->label) != 0 || strcmp(report->registry, s->registry) != 0)
		return;
	s->found = *report;
	s->is_found = true;
}

static struct registered_report report_of(const char *label, const char *registry)
{
	struct sought s = {.label = label, .registry = registry};

	registrations_visit(registrations, seek, &s);
	ck_assert(s.is_found);
	return s.found;
}

/* --- when --- */

START_TEST(an_application_is_published_while_it_answers)
{
	add_binding("in", "127.0.0.1:8888");
	stop_app();
	follow_app("in: main");
	pass(USEC_S);
	ck_assert_int_eq(clients[0]->enrolled, 0);
	ck_assert_int_eq(report_of("app", "main").state, REGISTRATION_WITHDRAWN);
	ck_assert_ptr_nonnull(strstr(report_of("app", "main").why, "does not answer"));
	start_app();
	follow_app("in: main");
	settle();
	ck_assert_str_eq(address_in(clients[0]), "127.0.0.1:8888");
	ck_assert_int_eq(report_of("app", "main").state, REGISTRATION_PRESENT);
	ck_assert_str_eq(report_of("app", "main").why, "");
	stop_app();
	pass(USEC_S);
	ck_assert_uint_eq(clients[0]->n, 0);
	ck_assert_int_eq(report_of("app", "main").state, REGISTRATION_WITHDRAWN);
	ck_assert_int_eq(said[SAID_PUBLISHED], 1);
	ck_assert_int_eq(said[SAID_WITHDRAWN], 1);
}
END_TEST

START_TEST(when_always_the_application_is_not_asked)
{
	add_binding("in", "127.0.0.1:8888");
	stop_app();
	follow_app("in: main, when: always");
	settle();
	ck_assert_uint_eq(clients[0]->n, 1);
	pass(10 * USEC_S);
	ck_assert_uint_eq(clients[0]->n, 1);
}
END_TEST

START_TEST(each_registry_is_told_and_none_waits_for_another)
{
	add_binding("in", "127.0.0.1:8888");
	follow_app("in: [main, other], weight: 3, tags: {env: prod}, ttl: 20s");
	clients[1]->is_silent = true;
	settle();
	ck_assert_uint_eq(clients[0]->n, 1);
	ck_assert_uint_eq(clients[0]->there[0]->plan.weight, 3);
	ck_assert_uint_eq(clients[0]->there[0]->plan.ttl, 20 * USEC_S);
	ck_assert_str_eq(clients[0]->there[0]->plan.tags.pairs[0].value, "prod");
	ck_assert(slice_eq_str(clients[0]->there[0]->plan.service, "app"));
	ck_assert_int_eq(report_of("app", "main").state, REGISTRATION_PRESENT);
	ck_assert_int_eq(report_of("app", "other").state, REGISTRATION_PENDING);
}
END_TEST

/* --- where --- */

START_TEST(a_wildcard_becomes_the_address_from_which_the_registry_is_reached)
{
	add_binding("in", "unix:/run/app.sock");
	add_binding("in", "0.0.0.0:7777");
	add_binding("in", "127.0.0.1:8888"); /* not the first */
	follow_app("in: main");
	settle();
	ck_assert_str_eq(address_in(clients[0]), "127.0.0.1:7777"); /* so the registry is reached */
}
END_TEST

START_TEST(a_machine_that_gets_another_address_moves_what_it_has_published)
{
	own_text = "10.0.0.1:0";
	add_binding("in", "0.0.0.0:7777");
	follow_app("in: main, when: always");
	settle();
	ck_assert_str_eq(address_in(clients[0]), "10.0.0.1:7777");
	own_text = "10.0.0.2:0";
	for (int i = 0; i < 29; i++)
		pass(USEC_S);
	ck_assert_int_eq(clients[0]->enrolled, 1);
	for (int i = 0; i < 2; i++)
		pass(USEC_S);
	ck_assert_str_eq(address_in(clients[0]), "10.0.0.2:7777");
	ck_assert_int_eq(clients[0]->withdrawn, 1);
}
END_TEST

START_TEST(a_registry_that_is_back_may_be_reached_from_another_address)
{
	own_text = "10.0.0.1:0";
	add_binding("in", "0.0.0.0:7777");
	follow_app("in: main");
	settle();
	own_text = "10.0.0.2:0";
	registration_is(clients[0]->there[0], REGISTRATION_LOST, "gone");
	settle();
	ck_assert_str_eq(address_in(clients[0]), "10.0.0.1:7777");
	registration_is(clients[0]->there[0], REGISTRATION_PRESENT, "");
	settle();
	ck_assert_str_eq(address_in(clients[0]), "10.0.0.2:7777");
}
END_TEST

START_TEST(without_a_way_to_the_registry_an_address_is_not_guessed)
{
	is_cut_off = true;
	own_text = "10.0.0.1:0";
	add_binding("in", "0.0.0.0:7777");
	follow_app("in: main, when: always");
	settle();
	ck_assert_int_eq(clients[0]->enrolled, 0);
	ck_assert_str_eq(report_of("app", "main").why, "no way to 127.0.0.1:2379");
	ck_assert_int_eq(report_of("app", "main").state, REGISTRATION_PENDING);
	is_cut_off = false;
	pass(USEC_S);
	ck_assert_str_eq(address_in(clients[0]), "10.0.0.1:7777");
	is_cut_off = true; /* what is known stays */
	for (int i = 0; i < 40; i++)
		pass(USEC_S);
	ck_assert_str_eq(address_in(clients[0]), "10.0.0.1:7777");
	ck_assert_int_eq(clients[0]->withdrawn, 0);
}
END_TEST

START_TEST(a_stated_address_goes_before_all)
{
	add_binding("in", "127.0.0.1:8888");
	follow_app("in: main, address: \"10.9.8.7:6000\"");
	settle();
	ck_assert_str_eq(address_in(clients[0]), "10.9.8.7:6000");
}
END_TEST

START_TEST(without_an_address_there_is_nothing_to_publish)
{
	add_binding("in", "unix:/run/app.sock");
	add_binding("in2", "127.0.0.1:8888"); /* another service's */
	follow_app("in: main");
	settle();
	ck_assert_uint_eq(clients[0]->n, 0);
	ck_assert_ptr_nonnull(strstr(report_of("app", "main").why, "has a TCP address"));
	pass(61 * USEC_S);
	ck_assert_int_eq(said[SAID_MISSING], 1);
}
END_TEST

/* --- reloads --- */

START_TEST(another_weight_changes_what_is_there)
{
	add_binding("in", "127.0.0.1:8888");
	follow_app("in: main");
	settle();
	follow_app("in: main"); /* the same */
	settle();
	ck_assert_int_eq(clients[0]->changed, 0);
	follow_app("in: main, weight: 99, tags: {a: b}");
	settle();
	ck_assert_int_eq(clients[0]->enrolled, 1);
	ck_assert_int_eq(clients[0]->changed, 1);
	ck_assert_int_eq(clients[0]->withdrawn, 0);
	ck_assert_uint_eq(clients[0]->there[0]->plan.weight, 99);
	ck_assert_uint_eq(clients[0]->there[0]->plan.tags.n, 1);
}
END_TEST

START_TEST(a_new_address_is_there_before_the_old_one_goes)
{
	add_binding("in", "127.0.0.1:8888");
	follow_app("in: main");
	settle();
	clients[0]->is_silent = true;
	follow_app("in: main, address: \"10.0.0.1:1\"");
	settle();
	ck_assert_int_eq(clients[0]->enrolled, 2);
	ck_assert_int_eq(clients[0]->withdrawn, 0); /* the new one is not there yet */
	clients[0]->is_silent = false;
	registration_is(clients[0]->there[1], REGISTRATION_PRESENT, "");
	settle();
	ck_assert_int_eq(clients[0]->withdrawn, 1);
	ck_assert_str_eq(address_in(clients[0]), "10.0.0.1:1");
}
END_TEST

START_TEST(an_old_address_does_not_stay_for_a_new_one_that_does_not_come)
{
	add_binding("in", "127.0.0.1:8888");
	follow_app("in: main");
	settle();
	clients[0]->is_silent = true;
	follow_app("in: main, address: \"10.0.0.1:1\"");
	settle();
	pass(3 * USEC_S);
	ck_assert_int_eq(clients[0]->withdrawn, 1);
	ck_assert_int_eq(report_of("app", "main").state, REGISTRATION_PENDING);
	ck_assert_str_eq(report_of("app", "main").address, "10.0.0.1:1");
}
END_TEST

START_TEST(back_at_the_old_address_nothing_has_gone)
{
	add_binding("in", "127.0.0.1:8888");
	follow_app("in: main");
	settle();
	clients[0]->is_silent = true;
	follow_app("in: main, address: \"10.0.0.1:1\"");
	settle();
	clients[0]->is_silent = false;
	follow_app("in: main");
	settle();
	ck_assert_str_eq(address_in(clients[0]), "127.0.0.1:8888");
	ck_assert_int_eq(clients[0]->enrolled, 2);
	ck_assert_int_eq(clients[0]->withdrawn, 1);
	ck_assert_int_eq(report_of("app", "main").state, REGISTRATION_PRESENT);
}
END_TEST

START_TEST(what_is_not_wanted_any_more_is_withdrawn)
{
	add_binding("in", "127.0.0.1:8888");
	follow_app("in: [main, other]");
	settle();
	follow_app("in: main");
	settle();
	ck_assert_uint_eq(clients[0]->n, 1);
	ck_assert_uint_eq(clients[1]->n, 0);
	follow("  app: {endpoints: [\"127.0.0.1:9\"]}\n" APP2_PLAIN);
	settle();
	ck_assert_uint_eq(clients[0]->n, 0);
	ck_assert_int_eq(said[SAID_WITHDRAWN], 2);
}
END_TEST

START_TEST(a_registry_opened_anew_gets_it_before_the_old_one_loses_it)
{
	add_binding("in", "127.0.0.1:8888");
	follow_app("in: main");
	settle();
	replace_registry(0, "main");
	clients[2]->is_silent = true;
	follow_app("in: main");
	settle();
	ck_assert_int_eq(clients[2]->enrolled, 1);
	ck_assert_int_eq(clients[0]->withdrawn, 0);
	registration_is(clients[2]->there[0], REGISTRATION_PRESENT, "");
	settle();
	ck_assert_int_eq(clients[0]->withdrawn, 1);
	ck_assert_uint_eq(registry_report(left_registries[0]).n_registrations, 0);
}
END_TEST

START_TEST(where_keys_have_no_owners_the_old_one_goes_first)
{
	add_binding("in", "127.0.0.1:8888");
	follow_app("in: other");
	settle();
	replace_registry(1, "other");
	clients[1]->is_silent = true;
	follow_app("in: other");
	settle();
	ck_assert_int_eq(clients[1]->withdrawn, 1);
	ck_assert_int_eq(clients[2]->enrolled, 0); /* the withdrawal would take it away */
	registration_gone(clients[1]->there[0]);
	settle();
	ck_assert_int_eq(clients[2]->enrolled, 1);
}
END_TEST

START_TEST(two_services_do_not_share_a_place)
{
	static const char both[] =
	    "  app: {name: x, endpoints: [\"127.0.0.1:9\"], register: {in: main, address: "
	    "\"10.0.0.1:%d\"}}\n"
	    "  app2: {name: x, endpoints: [\"127.0.0.1:9\"], register: {in: main}}\n";
	char text[512];

	add_binding("in2", "10.0.0.1:1");
	snprintf(text, sizeof text, both, 2);
	follow(text);
	settle();
	ck_assert_int_eq(clients[0]->enrolled, 2); /* one name, two addresses */
	snprintf(text, sizeof text, both, 1);
	follow(text);
	settle();
	ck_assert_int_eq(report_of("app2", "main").state, REGISTRATION_PRESENT);
	ck_assert_ptr_nonnull(strstr(report_of("app", "main").why, "for the service app2"));
	ck_assert_str_eq(address_in(clients[0]), "10.0.0.1:1");
}
END_TEST

/* --- what registries say --- */

START_TEST(each_change_is_said_once_and_drifts_add_up)
{
	struct registration *r;

	add_binding("in", "127.0.0.1:8888");
	follow_app("in: main");
	settle();
	r = clients[0]->there[0];
	for (int i = 0; i < 3; i++) {
		registration_is(r, REGISTRATION_LOST, "the lease has ended");
		settle();
		registration_is(r, REGISTRATION_LOST, "still nothing");
		settle();
		registration_is(r, REGISTRATION_PRESENT, "");
		settle();
	}
	registration_is(r, REGISTRATION_CONTESTED, "another lease");
	settle();
	ck_assert_int_eq(said[SAID_PUBLISHED], 1);
	ck_assert_int_eq(said[SAID_LOST], 3);
	ck_assert_int_eq(said[SAID_BACK], 3);
	ck_assert_int_eq(said[SAID_CONTESTED], 1);
	ck_assert_uint_eq(report_of("app", "main").drifts, 4);
	ck_assert_str_eq(report_of("app", "main").why, "another lease");
	stop_app();
	pass(USEC_S);
	ck_assert_uint_eq(report_of("app", "main").drifts, 4); /* of what is gone, too */
}
END_TEST

START_TEST(what_stays_away_is_said_every_minute)
{
	add_binding("in", "127.0.0.1:8888");
	follow_app("in: main, when: always");
	clients[0]->is_silent = true;
	settle();
	for (int i = 0; i < 150; i++)
		pass(USEC_S);
	ck_assert_int_eq(said[SAID_MISSING], 2);
	registration_is(clients[0]->there[0], REGISTRATION_PRESENT, "");
	settle();
	for (int i = 0; i < 100; i++)
		pass(USEC_S);
	ck_assert_int_eq(said[SAID_MISSING], 2);
}
END_TEST

/* --- leaving --- */

static void count_done(void *arg)
{
	(void)arg;
	done++;
}

START_TEST(leaving_withdraws_all_and_says_when_that_is_done)
{
	add_binding("in", "127.0.0.1:8888");
	follow_app("in: [main, other]");
	settle();
	ck_assert(registrations_were_any(registrations));
	clients[1]->is_silent = true;
	registrations_leave(registrations, count_done, NULL);
	ck_assert_int_eq(done, 0);
	settle();
	ck_assert_int_eq(clients[0]->withdrawn, 1);
	ck_assert_int_eq(clients[1]->withdrawn, 1);
	ck_assert_int_eq(done, 0);
	registration_gone(clients[1]->there[0]);
	settle();
	ck_assert_int_eq(done, 1);
	follow_app("in: [main, other]"); /* a reload meanwhile */
	pass(10 * USEC_S);
	ck_assert_int_eq(clients[0]->enrolled, 1);
	ck_assert_int_eq(done, 1);
}
END_TEST

START_TEST(what_is_let_go_is_neither_withdrawn_nor_renewed_nor_missed)
{
	add_binding("in", "127.0.0.1:8888");
	follow_app("in: [main, other]");
	settle();
	ck_assert_int_eq(clients[0]->enrolled, 1);
	registrations_let_go(registrations);
	ck_assert_int_eq(clients[0]->let_go, 1);
	ck_assert_int_eq(clients[1]->let_go, 1);
	follow_app("in: main"); /* a registry has said something meanwhile */
	pass(2 * USEC_MIN);
	ck_assert_int_eq(clients[0]->enrolled, 1);
	ck_assert_int_eq(clients[0]->withdrawn, 0);
	ck_assert_int_eq(clients[1]->withdrawn, 0);
}
END_TEST

START_TEST(what_is_on_its_way_out_is_not_let_go)
{
	add_binding("in", "127.0.0.1:8888");
	follow_app("in: [main, other]");
	settle();
	clients[1]->is_silent = true;
	follow_app("in: main");
	settle();
	ck_assert_int_eq(clients[1]->withdrawn, 1);
	registrations_let_go(registrations);
	ck_assert_int_eq(clients[0]->let_go, 1);
	ck_assert_int_eq(clients[1]->let_go, 0);
	registration_gone(clients[1]->there[0]);
	settle();
}
END_TEST

START_TEST(a_registry_that_does_not_answer_holds_nobody_up_for_long)
{
	add_binding("in", "127.0.0.1:8888");
	follow_app("in: main");
	settle();
	clients[0]->is_silent = true;
	registrations_leave(registrations, count_done, NULL);
	pass(4 * USEC_S);
	ck_assert_int_eq(done, 0);
	pass(2 * USEC_S);
	ck_assert_int_eq(done, 1);
}
END_TEST

START_TEST(where_nothing_is_registered_leaving_is_done_at_once)
{
	follow("  app: {endpoints: [\"127.0.0.1:9\"]}\n" APP2_PLAIN);
	settle();
	registrations_leave(registrations, count_done, NULL);
	ck_assert_int_eq(done, 0);
	loop_turn(loop, 0);
	ck_assert_int_eq(done, 1);
	ck_assert(!registrations_were_any(registrations));
}
END_TEST

START_TEST(what_was_never_there_keeps_nobody_waiting_for_long)
{
	add_binding("in", "127.0.0.1:8888");
	follow_app("in: main");
	clients[0]->is_silent = true;
	settle();
	ck_assert_int_eq(clients[0]->enrolled, 1);
	ck_assert(!registrations_were_any(registrations));
	ck_assert_str_ne(report_of("app", "main").why, "");
	registrations_leave(registrations, count_done, NULL);
	settle();
	ck_assert_int_eq(done, 0);
	pass(USEC_S);
	ck_assert_int_eq(done, 1);
}
END_TEST

START_TEST(without_registrations_nothing_ticks)
{
	follow("  app: {endpoints: [\"127.0.0.1:9\"]}\n" APP2_PLAIN);
	settle();
	ck_assert(loop_sleeps(loop));
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {an_application_is_published_while_it_answers, 1},
	    {when_always_the_application_is_not_asked, 1},
	    {each_registry_is_told_and_none_waits_for_another, 1},
	    {a_wildcard_becomes_the_address_from_which_the_registry_is_reached, 1},
	    {a_machine_that_gets_another_address_moves_what_it_has_published, 1},
	    {a_registry_that_is_back_may_be_reached_from_another_address, 1},
	    {without_a_way_to_the_registry_an_address_is_not_guessed, 1},
	    {a_stated_address_goes_before_all, 1},
	    {without_an_address_there_is_nothing_to_publish, 1},
	    {another_weight_changes_what_is_there, 1},
	    {a_new_address_is_there_before_the_old_one_goes, 1},
	    {an_old_address_does_not_stay_for_a_new_one_that_does_not_come, 1},
	    {back_at_the_old_address_nothing_has_gone, 1},
	    {what_is_not_wanted_any_more_is_withdrawn, 1},
	    {a_registry_opened_anew_gets_it_before_the_old_one_loses_it, 1},
	    {where_keys_have_no_owners_the_old_one_goes_first, 1},
	    {two_services_do_not_share_a_place, 1},
	    {each_change_is_said_once_and_drifts_add_up, 1},
	    {what_stays_away_is_said_every_minute, 1},
	    {leaving_withdraws_all_and_says_when_that_is_done, 1},
	    {what_is_let_go_is_neither_withdrawn_nor_renewed_nor_missed, 1},
	    {what_is_on_its_way_out_is_not_let_go, 1},
	    {a_registry_that_does_not_answer_holds_nobody_up_for_long, 1},
	    {where_nothing_is_registered_leaving_is_done_at_once, 1},
	    {what_was_never_there_keeps_nobody_waiting_for_long, 1},
	    {without_registrations_nothing_ticks, 1},
	};

	return suite_run_between("registrations", tests, ARRAY_LEN(tests), begin, end);
}
