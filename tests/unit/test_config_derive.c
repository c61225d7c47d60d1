#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <check.h>

#include "base/mem.h"
#include "support/loaded.h"
#include "support/suite.h"

#define LISTENERS                                                                                  \
	"listeners:\n"                                                                             \
	"  - {name: in, address: \"127.0.0.1:0\", service: app}\n"                                 \
	"  - {name: out, address: \"127.0.0.1:0\"}\n"
#define REGISTRIES "registries: {main: {type: etcd, endpoints: [\"127.0.0.1:2379\"]}}\n"
#define SERVICES                                                                                   \
	"services:\n"                                                                              \
	"  app: {endpoints: [\"127.0.0.1:9000\"], name: wire.app, aliases: [App, app.v1]}\n"       \
	"  shop.price:\n"                                                                          \
	"    discover: main\n"                                                                     \
	"    timeout: 1s\n"                                                                        \
	"    methods: {Quote: {timeout: \"${UNSET:-200ms}\", idempotent: true}}\n"
#define ANY       "  \"*\": {discover: main, timeout: 3s, retry: {attempts: 1}, governance: main}\n"
#define WHOLE     LISTENERS REGISTRIES SERVICES ANY
#define ANY_TEXT  "\"*\""
#define NAMES_MAX 1000u

struct derived {
	struct config *config;
	struct problems problems;
};

static struct derived derive(const struct config *base, const struct config_additions *with)
{
	struct derived d;

	problems_init(&d.problems);
	d.config = config_derive(base, with, &d.problems);
	return d;
}

/* With names alone, which must all be fine. */
static struct config *derive_names(const struct config *base, const struct slice *names, size_t n)
{
	struct config_additions with = {.names = names, .n_names = n};
	struct derived d = derive(base, &with);

	ck_assert_uint_eq(d.problems.n, 0);
	problems_fini(&d.problems);
	ck_assert_ptr_nonnull(d.config);
	return d.config;
}

static void derived_free(struct derived *d)
{
	config_free(&d->config);
	problems_fini(&d->problems);
}

/* "config: text" of what @config comes to, by which two are compared; from malloc. */
static void assert_same(const struct config *a, const struct config *b)
{
	char *first = loaded_dump(a), *second = loaded_dump(b);

	ck_assert_str_eq(first, second);
	free(first);
	free(second);
}

static struct derived derive_overlays(
    const struct config *base, const struct config_overlay *overlays, size_t n)
{
	struct config_additions with = {.overlays = overlays, .n_overlays = n};

	return derive(base, &with);
}

static const struct problem *only_problem(const struct derived *d)
{
	ck_assert_uint_eq(d->problems.n, 1);
	return &d->problems.list[0];
}

START_TEST(nothing_added_is_the_same_configuration)
{
	struct loaded l = loaded_from(WHOLE);
	struct config_additions nothing = {0};
	struct derived once = derive(loaded_config(&l), &nothing), twice;

	ck_assert_ptr_nonnull(once.config);
	assert_same(l.config, once.config);
	ck_assert_str_eq(l.config->hash, once.config->hash);
	twice = derive(once.config, &nothing);
	assert_same(l.config, twice.config);
	ck_assert_uint_eq(once.problems.n + twice.problems.n, 0);
	derived_free(&twice);
	derived_free(&once);
	loaded_free(&l);
}
END_TEST

START_TEST(a_name_is_a_service_under_the_keys_of_the_template)
{
	static const struct slice names[] = {SLICE_LIT("shop.stock"), SLICE_LIT("a")};
	struct loaded l = loaded_from(WHOLE);
	struct config *config = derive_names(loaded_config(&l), names, 2);
	const struct service_config *found = config_service(config, names[0]);

	ck_assert_uint_eq(config->n_services, l.config->n_services + 2);
	ck_assert_ptr_nonnull(found);
	ck_assert(found->is_found);
	ck_assert_str_eq(found->name, "shop.stock");
	ck_assert_uint_eq(found->policy.timeout_call, 3 * USEC_S);
	ck_assert_uint_eq(found->policy.retry.attempts, 1);
	ck_assert_str_eq(found->discover.from->name, "main");
	ck_assert_str_eq(found->governance.from->name, "main");
	ck_assert_ptr_eq(found->policy.service, found);
	ck_assert_ptr_eq(config->policies[found->policy.index], &found->policy);
	ck_assert(!config_service(config, SLICE_LIT("app"))->is_found);
	ck_assert_str_eq(config->hash, l.config->hash);
	ck_assert_ptr_nonnull(config->any);
	config_free(&config);
	loaded_free(&l);
}
END_TEST

START_TEST(names_that_the_file_has_in_any_way_are_left_out)
{
	static const struct slice names[] = {
	    SLICE_LIT("app"),
	    SLICE_LIT("wire.app"),
	    SLICE_LIT("App"),
	    SLICE_LIT("app.v1"),
	    SLICE_LIT("shop.price"),
	    SLICE_LIT("new"),
	    SLICE_LIT("new"),
	};
	struct loaded l = loaded_from(WHOLE);
	struct config *config = derive_names(loaded_config(&l), names, ARRAY_LEN(names));

	ck_assert_uint_eq(config->n_services, l.config->n_services + 1);
	ck_assert(config_service(config, SLICE_LIT("new"))->is_found);
	config_free(&config);
	loaded_free(&l);
}
END_TEST

START_TEST(what_is_no_name_is_left_out)
{
	static const struct slice names[] = {
	    SLICE_LIT(""),
	    SLICE_LIT("*"),
	    SLICE_LIT("a/b"),
	    SLICE_LIT("a b"),
	    SLICE_LIT("none"),
	    SLICE_LIT("a\0b"),
	    SLICE_LIT("caf\xc3\xa9"),
	    SLICE_LIT("${WORD}"),
	    SLICE_LIT("ok"),
	};
	struct loaded l = loaded_from(WHOLE);
	struct config *config = derive_names(loaded_config(&l), names, ARRAY_LEN(names));

	ck_assert_uint_eq(config->n_services, l.config->n_services + 1);
	config_free(&config);
	loaded_free(&l);
}
END_TEST

START_TEST(names_mean_nothing_without_a_template)
{
	static const struct slice names[] = {SLICE_LIT("new")};
	struct loaded l = loaded_from(LISTENERS REGISTRIES SERVICES);
	struct config *config = derive_names(loaded_config(&l), names, 1);

	assert_same(l.config, config);
	config_free(&config);
	loaded_free(&l);
}
END_TEST

START_TEST(the_order_of_names_does_not_matter)
{
	struct slice names[] = {SLICE_LIT("c"), SLICE_LIT("a"), SLICE_LIT("b.x"), SLICE_LIT("b")};
	struct slice other[] = {SLICE_LIT("b"), SLICE_LIT("c"), SLICE_LIT("b.x"), SLICE_LIT("a")};
	struct loaded l = loaded_from(WHOLE);
	struct config *one = derive_names(loaded_config(&l), names, 4);
	struct config *two = derive_names(l.config, other, 4);

	assert_same(one, two);
	config_free(&one);
	config_free(&two);
	loaded_free(&l);
}
END_TEST

START_TEST(names_are_those_given_and_not_those_of_the_base)
{
	static const struct slice first[] = {SLICE_LIT("a"), SLICE_LIT("b")};
	static const struct slice second[] = {SLICE_LIT("b"), SLICE_LIT("c")};
	struct loaded l = loaded_from(WHOLE);
	struct config *one = derive_names(loaded_config(&l), first, 2);
	struct config *two = derive_names(one, second, 2);

	ck_assert_ptr_null(config_service(two, SLICE_LIT("a")));
	ck_assert(config_service(two, SLICE_LIT("b"))->is_found);
	ck_assert_ptr_nonnull(config_service(two, SLICE_LIT("c")));
	config_free(&one);
	config_free(&two);
	loaded_free(&l);
}
END_TEST

START_TEST(the_base_may_be_gone)
{
	static const struct slice names[] = {SLICE_LIT("a")};
	struct loaded l = loaded_from(WHOLE);
	struct config *one = derive_names(loaded_config(&l), names, 1), *two;
	char *dump;

	config_free(&l.config);
	two = derive_names(one, names, 1);
	config_free(&one);
	dump = loaded_dump(two);
	/* places still name the file */
	ck_assert_ptr_nonnull(strstr(dump, "# test.yaml:"));
	free(dump);
	config_free(&two);
	loaded_free(&l);
}
END_TEST

START_TEST(files_are_read_once)
{
	char folder[] = "/tmp/derive-XXXXXX", path[64];
	struct config_additions nothing = {0};
	struct derived d;
	struct loaded l;
	FILE *file;

	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/a.yaml", folder);
	file = fopen(path, "w");
	ck_assert(file && fputs(WHOLE, file) >= 0 && fclose(file) == 0);
	l = loaded_file(folder);
	ck_assert_ptr_nonnull(loaded_config(&l));
	ck_assert(unlink(path) == 0 && rmdir(folder) == 0);
	d = derive(l.config, &nothing);
	ck_assert_ptr_nonnull(d.config);
	assert_same(l.config, d.config);
	derived_free(&d);
	loaded_free(&l);
}
END_TEST

START_TEST(what_was_set_and_what_variables_held_stays)
{
	static const char *const set[] = {
	    "services.\"*\".timeout.call=4s", "services.app.timeout.call=6s", "node.zone=${WORD}"};
	static const struct slice names[] = {SLICE_LIT("new")};
	static const struct config_overlay overlay = {"services.app.timeout.connect", "7ms", "doc"};
	struct config_additions with = {names, 1, &overlay, 1};
	struct loaded l = loaded_with(WHOLE, set, ARRAY_LEN(set));
	struct derived d = derive(loaded_config(&l), &with);
	const struct service_config *app = config_service(d.config, SLICE_LIT("app"));

	ck_assert_uint_eq(d.problems.n, 0);
	ck_assert_str_eq(d.config->node.zone, "many");
	ck_assert_uint_eq(config_service(d.config, names[0])->policy.timeout_call, 4 * USEC_S);
	ck_assert_uint_eq(app->policy.timeout_call, 6 * USEC_S);
	ck_assert_uint_eq(app->policy.timeout_connect, 7 * USEC_MS);
	derived_free(&d);
	loaded_free(&l);
}
END_TEST

/* ---- overlays ---- */

START_TEST(an_overlay_is_as_if_it_had_been_set)
{
	static const struct {
		const char *path, *value;
	} cases[] = {
	    {"services.app.timeout.call", "7s"},
	    {"services.\"shop.price\".methods.Quote.timeout.call", "70ms"},
	    {"services.\"shop.price\".methods.Quote.timeout.connect", "7ms"},
	    {"services.\"shop.price\".methods.\"*\".timeout.call", "70ms"},
	    {"services.\"shop.price\".methods.New.retry", "{type: none}"},
	    {"services.\"shop.price\".timeout.connect", "none"},
	    {"services.app.limit", "{rate: 100/s}"},
	    {"services.app.endpoints[0].weight", "3"},
	    {"services.app.endpoints[1]", "127.0.0.1:9001"},
	    {"services.app.degrade", "10%"},
	    {"services." ANY_TEXT ".timeout.call", "1s"},
	    {"listeners[1].connections", "17"},
	    {"defaults.breaker", "{error_rate: 30%}"},
	    {"access_log.to", "stderr"},
	};
	struct loaded l = loaded_from(WHOLE);

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct config_overlay overlay = {cases[i].path, cases[i].value, "command line"};
		struct derived d = derive_overlays(loaded_config(&l), &overlay, 1);
		const char *set = NULL;
		char text[256];
		struct loaded other;

		snprintf(text, sizeof text, "%s=%s", cases[i].path, cases[i].value);
		set = text;
		other = loaded_with(WHOLE, &set, 1);
		ck_assert_msg(d.problems.n == 0, "%s: %s", text, d.problems.list[0].text);
		assert_same(loaded_config(&other), d.config);
		ck_assert_str_eq(d.config->hash, l.config->hash);
		loaded_free(&other);
		derived_free(&d);
	}
	loaded_free(&l);
}
END_TEST

START_TEST(an_overlay_is_shown_with_its_source)
{
	static const struct config_overlay overlays[] = {
	    {"services.app.timeout.call", "7s", "main:/KitexConfig/a/b/rpc_timeout"},
	    {"services.app.timeout.connect", "7ms", "main:/KitexConfig/a/b/rpc_timeout"},
	};
	struct loaded l = loaded_from(WHOLE);
	struct derived d = derive_overlays(loaded_config(&l), overlays, 2);
	char *dump = loaded_dump(d.config);

	ck_assert_ptr_nonnull(strstr(dump, "call: 7s  # main:/KitexConfig/a/b/rpc_timeout\n"));
	ck_assert_ptr_nonnull(strstr(dump, "connect: 7ms  # main:/KitexConfig/a/b/rpc_timeout\n"));
	free(dump);
	derived_free(&d);
	loaded_free(&l);
}
END_TEST

START_TEST(overlays_are_not_inherited_by_what_is_derived_from_the_derived)
{
	static const struct config_overlay overlay = {"services.app.timeout.call", "7s", "doc"};
	struct config_additions nothing = {0};
	struct loaded l = loaded_from(WHOLE);
	struct derived d = derive_overlays(loaded_config(&l), &overlay, 1);
	struct derived back = derive(d.config, &nothing);

	assert_same(l.config, back.config);
	derived_free(&back);
	derived_free(&d);
	loaded_free(&l);
}
END_TEST

START_TEST(overlays_reach_names_that_were_found)
{
	static const struct slice names[] = {SLICE_LIT("a.b"), SLICE_LIT("c")};
	static const struct config_overlay overlay = {"services.\"a.b\".timeout.call", "7s", "doc"};
	struct config_additions with = {names, 2, &overlay, 1};
	struct loaded l = loaded_from(WHOLE);
	struct derived d = derive(loaded_config(&l), &with);

	ck_assert_uint_eq(d.problems.n, 0);
	ck_assert_uint_eq(config_service(d.config, names[0])->policy.timeout_call, 7 * USEC_S);
	ck_assert_uint_eq(config_service(d.config, names[1])->policy.timeout_call, 3 * USEC_S);
	ck_assert_uint_eq(d.config->any->policy.timeout_call, 3 * USEC_S);
	derived_free(&d);
	loaded_free(&l);
}
END_TEST

START_TEST(a_method_that_overlays_name_begins_with_that_of_any)
{
	static const struct config_overlay overlays[] = {
	    {"services.app.methods.Get.timeout.call", "7s", "doc"},
	    {"services.app.methods.\"*\".retry.attempts", "1", "doc"},
	    {"services.app.methods.Put.timeout.call", "8s", "doc"},
	};
	struct loaded l = loaded_from(
	    LISTENERS "services:\n"
		      "  app:\n"
		      "    endpoints: [\"127.0.0.1:9000\"]\n"
		      "    methods:\n"
		      "      Put: {idempotent: false}\n"
		      "      \"*\": {idempotent: true, timeout: {call: 2s, connect: 3ms}}\n");
	struct derived d = derive_overlays(loaded_config(&l), overlays, 3);
	const struct service_config *app = config_service(d.config, SLICE_LIT("app"));
	const struct method_config *get = &app->methods[1], *put = &app->methods[2];

	ck_assert_uint_eq(d.problems.n, 0);
	ck_assert_uint_eq(app->n_methods, 3);
	ck_assert_str_eq(get->name, "Get");
	ck_assert(get->policy.is_idempotent);
	ck_assert_uint_eq(get->policy.timeout_call, 7 * USEC_S);
	ck_assert_uint_eq(get->policy.timeout_connect, 3 * USEC_MS);
	ck_assert_uint_eq(get->policy.retry.attempts, 1);
	/* one that the file has is as the file has it */
	ck_assert_uint_eq(put->policy.timeout_call, 8 * USEC_S);
	ck_assert_uint_eq(put->policy.timeout_connect, 250 * USEC_MS);
	derived_free(&d);
	loaded_free(&l);
}
END_TEST

START_TEST(variables_in_overlays_stay_as_they_are)
{
	static const struct config_overlay overlays[] = {
	    {"services.app.name", "'${WORD}'", "doc"},
	    {"node.zone", "'x${WORD}'", "doc"},
	};
	struct loaded l = loaded_from(WHOLE);
	struct derived d = derive_overlays(loaded_config(&l), overlays, 2);

	/* as a name it is refused, as a text it is one */
	ck_assert_str_eq(only_problem(&d)->path, "services.app.name");
	ck_assert_str_eq(d.config->node.zone, "x${WORD}");
	ck_assert_str_eq(config_service(d.config, SLICE_LIT("app"))->name, "wire.app");
	derived_free(&d);
	loaded_free(&l);
}
END_TEST

/* Overlays that are wrong in every way there is; none may harm the one that is good. */
static const struct {
	const char *path, *value, *says;
} wrong[] = {
    {"services.app.timeout.call", "7", "unit"},
    {"services.app.timeout.call", "", "gives no value"},
    {"services.app.timeout.call", "[", "not YAML"},
    {"services.app.timeout.call", "&a 1s", "anchors"},
    {"services.app.timeout.call", "{a: 1, a: 2}", "second time"},
    {"services.app.timeout.cal", "7s", "unknown key"},
    {"services.nobody.timeout.call", "7s", "no such service"},
    {"services.nobody", "{discover: main}", "no such service"},
    {"services", "{}", "no such service"},
    {"services[0].name", "x", "no such service"},
    {"", "7s", "no place"},
    {"services.app.", "7s", "no place"},
    {"listeners[7].connections", "7", "no place"},
    {"listeners[x].connections", "7", "no place"},
    {"listeners[0].service", "nobody", "no service"},
    {"listeners", "[]", "empty list"},
    {"services.app.retry", "{type: backup, delay: 10ms}", "idempotent"},
    {"services.app.retry.on", "[timeout]", "idempotent"},
    {"services.app.endpoints", "none", "list"},
    {"services.app.discover", "main", NULL},
    {"services.app.aliases", "[shop.price]", NULL},
    {"services.\"shop.price\".discover", "other", "registry"},
    {"services.\"shop.price\".methods.Quote", "[]", "map"},
    {"services.\"shop.price\".methods.\"a b\".timeout", "1s", "name"},
    {"version", "2", NULL},
};

START_TEST(an_overlay_that_is_wrong_is_left_out_alone)
{
	struct config_overlay overlays[2] = {
	    {"services.\"shop.price\".timeout.connect", "7ms", "good"}};
	struct loaded l = loaded_from(WHOLE);
	struct config *expected;
	struct derived good = derive_overlays(loaded_config(&l), overlays, 1);
	struct derived d;

	expected = good.config;
	overlays[1] = (struct config_overlay){wrong[_i].path, wrong[_i].value, "the document"};
	d = derive_overlays(l.config, overlays, 2);
	ck_assert_ptr_nonnull(d.config);
	assert_same(expected, d.config);
	ck_assert_uint_ge(d.problems.n, 1);
	for (size_t i = 0; i < d.problems.n; i++) {
		const struct problem *p = &d.problems.list[i];

		ck_assert_str_eq(p->file, "the document");
		ck_assert_uint_eq(p->line + p->column, 0);
		ck_assert(!p->is_warning);
	}
	if (wrong[_i].says) {
		const struct problem *p = &d.problems.list[0];

		ck_assert_msg(strstr(p->text, wrong[_i].says) ||
				  (p->remedy && strstr(p->remedy, wrong[_i].says)),
		    "%s=%s: %s\n%s", wrong[_i].path, wrong[_i].value, p->text, p->remedy);
	}
	derived_free(&d);
	derived_free(&good);
	loaded_free(&l);
}
END_TEST

START_TEST(all_that_are_wrong_are_left_out_together)
{
	struct config_overlay overlays[ARRAY_LEN(wrong) + 2];
	struct loaded l = loaded_from(WHOLE);
	size_t n = 0;
	struct derived d;

	overlays[n++] = (struct config_overlay){"services.app.timeout.connect", "7ms", "good"};
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		overlays[n++] = (struct config_overlay){wrong[i].path, wrong[i].value, "bad"};
	overlays[n++] =
	    (struct config_overlay){"services.\"shop.price\".retry", "{type: none}", "good"};
	d = derive_overlays(loaded_config(&l), overlays, n);
	ck_assert_ptr_nonnull(d.config);
	ck_assert_uint_eq(
	    config_service(d.config, SLICE_LIT("app"))->policy.timeout_connect, 7 * USEC_MS);
	ck_assert_int_eq(
	    config_service(d.config, SLICE_LIT("shop.price"))->policy.retry.type, RETRY_NONE);
	for (size_t i = 0; i < d.problems.n; i++)
		ck_assert_str_eq(d.problems.list[i].file, "bad");
	derived_free(&d);
	loaded_free(&l);
}
END_TEST

/* An error that points at the file, since the overlay only takes away what the file needs. */
START_TEST(an_overlay_that_makes_the_file_wrong_is_found)
{
	static const struct config_overlay overlays[] = {
	    {"services.\"shop.price\".timeout.call", "2s", "good"},
	    {"services.\"shop.price\".methods.Quote.idempotent", "false", "bad"},
	    {"services.app.timeout.call", "2s", "good"},
	    {"services.\"shop.price\".methods.Put.timeout.call", "2s", "good"},
	};
	struct loaded l = loaded_from(LISTENERS REGISTRIES
	    "services:\n"
	    "  app: {endpoints: [\"127.0.0.1:9000\"]}\n"
	    "  shop.price:\n"
	    "    discover: main\n"
	    "    methods: {Quote: {idempotent: true, retry: {type: backup, delay: 10ms}}}\n");
	struct derived d = derive_overlays(loaded_config(&l), overlays, 4);
	const struct service_config *price;

	ck_assert_str_eq(only_problem(&d)->file, "bad");
	price = config_service(d.config, SLICE_LIT("shop.price"));
	ck_assert_uint_eq(price->policy.timeout_call, 2 * USEC_S);
	ck_assert_uint_eq(price->n_methods, 2);
	ck_assert_uint_eq(
	    config_service(d.config, SLICE_LIT("app"))->policy.timeout_call, 2 * USEC_S);
	derived_free(&d);
	loaded_free(&l);
}
END_TEST

START_TEST(a_file_that_would_be_refused_now_gives_nothing)
{
	char folder[] = "/tmp/derive-XXXXXX", text[512];
	static const struct config_overlay overlay = {"services.app.timeout.call", "7s", "doc"};
	struct derived d;
	struct loaded l;

	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(text, sizeof text, "log: {to: %s/log}\n" WHOLE, folder);
	l = loaded_from(text);
	ck_assert_ptr_nonnull(loaded_config(&l));
	ck_assert_int_eq(rmdir(folder), 0);
	d = derive_overlays(l.config, &overlay, 1);
	ck_assert_ptr_null(d.config);
	ck_assert_str_eq(only_problem(&d)->path, "log.to");
	ck_assert_str_eq(only_problem(&d)->file, "test.yaml");
	derived_free(&d);
	loaded_free(&l);
}
END_TEST

/* ---- how much it takes ---- */

static usec_t time_of_wrong(
    const struct config *base, const struct config_additions *with, size_t n_wrong)
{
	usec_t best = USEC_NONE;

	for (int i = 0; i < 5; i++) {
		usec_t before = suite_cpu_time(), took;
		struct derived d = derive(base, with);

		took = suite_cpu_time() - before;
		best = took < best ? took : best;
		ck_assert_ptr_nonnull(d.config);
		ck_assert_uint_eq(d.problems.n, n_wrong);
		derived_free(&d);
	}
	return best;
}

static usec_t time_of(const struct config *base, const struct config_additions *with)
{
	return time_of_wrong(base, with, 0);
}

START_TEST(a_thousand_names_take_little_time)
{
	struct slice names[NAMES_MAX];
	char room[NAMES_MAX][16];
	struct loaded l = loaded_from(WHOLE);
	struct config_additions with = {.names = names, .n_names = 1};
	usec_t one, all;

	for (size_t i = 0; i < NAMES_MAX; i++) {
		snprintf(room[i], sizeof room[i], "found.%zu", i);
		names[i] = slice_str(room[i]);
	}
	one = time_of(loaded_config(&l), &with);
	with.n_names = NAMES_MAX;
	all = time_of(l.config, &with);
	/* many times what it is, for sanitizers and slow machines */
	ck_assert_uint_lt(one, 100 * USEC_MS);
	ck_assert_uint_lt(all, 600 * USEC_MS);
	loaded_free(&l);
}
END_TEST

START_TEST(many_overlays_take_little_time)
{
	static const char *const parts[] = {
	    "timeout.call", "timeout.connect", "retry.attempts", "breaker", "pool.keep"};
	static const char *const values[] = {"2s", "20ms", "1", "{error_rate: 30%}", "7"};
	struct config_overlay overlays[500];
	char paths[500][80], text[4096] = LISTENERS REGISTRIES SERVICES;
	struct config_additions with = {.overlays = overlays, .n_overlays = 500};
	struct loaded l;

	for (size_t i = 0; i < 10; i++) {
		size_t len = strlen(text);

		snprintf(text + len, sizeof text - len, "  s%zu: {discover: main}\n", i);
	}
	for (size_t i = 0; i < 500; i++) {
		snprintf(paths[i], sizeof paths[i], "services.s%zu.methods.M%zu.%s", i % 10, i / 50,
		    parts[i / 10 % 5]);
		overlays[i] = (struct config_overlay){paths[i], values[i / 10 % 5], "document"};
	}
	l = loaded_from(text);
	ck_assert_uint_lt(time_of(loaded_config(&l), &with), 600 * USEC_MS);
	/* and when all are wrong */
	for (size_t i = 0; i < 500; i++)
		overlays[i].value = "[]";
	ck_assert_uint_lt(time_of_wrong(l.config, &with, 500), 600 * USEC_MS);
	loaded_free(&l);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {nothing_added_is_the_same_configuration, 1},
	    {a_name_is_a_service_under_the_keys_of_the_template, 1},
	    {names_that_the_file_has_in_any_way_are_left_out, 1},
	    {what_is_no_name_is_left_out, 1},
	    {names_mean_nothing_without_a_template, 1},
	    {the_order_of_names_does_not_matter, 1},
	    {names_are_those_given_and_not_those_of_the_base, 1},
	    {the_base_may_be_gone, 1},
	    {files_are_read_once, 1},
	    {what_was_set_and_what_variables_held_stays, 1},
	    {an_overlay_is_as_if_it_had_been_set, 1},
	    {an_overlay_is_shown_with_its_source, 1},
	    {overlays_are_not_inherited_by_what_is_derived_from_the_derived, 1},
	    {overlays_reach_names_that_were_found, 1},
	    {a_method_that_overlays_name_begins_with_that_of_any, 1},
	    {variables_in_overlays_stay_as_they_are, 1},
	    {an_overlay_that_is_wrong_is_left_out_alone, ARRAY_LEN(wrong)},
	    {all_that_are_wrong_are_left_out_together, 1},
	    {an_overlay_that_makes_the_file_wrong_is_found, 1},
	    {a_file_that_would_be_refused_now_gives_nothing, 1},
	    {a_thousand_names_take_little_time, 1},
	    {many_overlays_take_little_time, 1},
	};

	return suite_run_between("config_derive", tests, ARRAY_LEN(tests), NULL, NULL);
}
