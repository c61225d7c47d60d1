/* Snapshots: what they copy, what they share, and when it is all given back. */
#include <pthread.h>
#include <stdlib.h>

#include "base/mem.h"
#include "model/snapshot.h"
#include "support/loaded.h"
#include "support/suite.h"

#define THREADS 4
#define ROUNDS  20000

static const char text[] = "listeners:\n"
			   "  - {name: a, address: 127.0.0.1:0, max_message: 1MiB}\n"
			   "  - {name: b, address: 127.0.0.1:0, max_header: 16KiB}\n"
			   "services:\n"
			   "  price: {endpoints: [127.0.0.1:9001]}\n"
			   "  stock: {endpoints: [127.0.0.1:9002]}\n";

static struct loaded loaded;
static struct shared_config *shared;
static struct tallies *tallies;

static void begin(void)
{
	loaded = loaded_from(text);
	loaded_config(&loaded);
	shared = shared_config_new(loaded.config);
	loaded.config = NULL; /* moved */
	tallies = tallies_new();
}

static void end(void)
{
	shared_config_unref(&shared);
	tallies_free(&tallies);
	loaded_free(&loaded);
}

static struct endpoint endpoint_at(const char *address, unsigned weight)
{
	struct endpoint e = {.weight = weight};
	struct err err;

	ck_assert_int_eq(address_parse(&e.address, slice_str(address), &err), 0);
	return e;
}

START_TEST(endpoints_are_copied_with_all_that_belongs_to_them)
{
	char zone[] = "east", name[] = "lane", value[] = "gray";
	struct config_pair pair = {name, value};
	struct endpoint list[2] = {endpoint_at("10.0.0.1:80", 1), endpoint_at("10.0.0.2:80", 1)};
	struct endpoint_set sets[2] = {{list, 2, ENDPOINTS_FRESH}, {NULL, 0, ENDPOINTS_EMPTY}};
	struct snapshot *s;
	const struct endpoint *e;

	list[1].zone = zone;
	list[1].tags = (struct config_map){&pair, 1};
	s = snapshot_new(shared, sets, tallies, NULL, 0);
	memset(list, 0, sizeof list);
	memset(zone, 'x', 4);
	memset(name, 'x', 4);
	memset(value, 'x', 4);
	ck_assert_uint_eq(s->n_services, 2);
	ck_assert(slice_eq_str(s->services[0].label, "price"));
	ck_assert_uint_eq(s->services[0].n_endpoints, 2);
	e = s->services[0].endpoints;
	ck_assert_str_eq(e[0].address.text, "10.0.0.1:80");
	ck_assert_ptr_null(e[0].zone);
	ck_assert_str_eq(e[1].zone, "east");
	ck_assert_uint_eq(e[1].tags.n, 1);
	ck_assert_str_eq(e[1].tags.pairs[0].name, "lane");
	ck_assert_str_eq(e[1].tags.pairs[0].value, "gray");
	ck_assert_int_eq(s->services[0].state, ENDPOINTS_FRESH);
	ck_assert_int_eq(s->services[1].state, ENDPOINTS_EMPTY);
	ck_assert_uint_eq(s->services[1].n_endpoints, 0);
	snapshot_unref(&s);
}
END_TEST

START_TEST(replies_may_have_what_the_largest_listener_allows)
{
	static const struct endpoint_set none[2];
	struct snapshot *s = snapshot_new(shared, none, tallies, NULL, 0);

	ck_assert_uint_eq(s->max_message, 64u << 20); /* b's default */
	ck_assert_uint_eq(s->max_header, 64u << 10);  /* a's default */
	snapshot_unref(&s);
}
END_TEST

START_TEST(listeners_are_found_by_name)
{
	static const struct endpoint_set none[2];
	struct snapshot *s = snapshot_new(shared, none, tallies, NULL, 0);

	ck_assert_str_eq(snapshot_listener(s, SLICE_LIT("b"))->name, "b");
	ck_assert_ptr_null(snapshot_listener(s, SLICE_LIT("c")));
	ck_assert_ptr_null(snapshot_listener(s, SLICE_NONE));
	snapshot_unref(&s);
}
END_TEST

START_TEST(the_configuration_lives_as_long_as_any_snapshot_of_it)
{
	static const struct endpoint_set none[2];
	struct snapshot *a = snapshot_new(shared, none, tallies, NULL, 0),
			*b = snapshot_new(shared, none, tallies, NULL, 0);
	struct snapshot *more = snapshot_ref(b);

	shared_config_unref(&shared);
	ck_assert_ptr_null(shared);
	snapshot_unref(&a);
	ck_assert_ptr_null(a);
	snapshot_unref(&b);
	ck_assert_str_eq(more->config->services[0]->label, "price"); /* ASan: still there */
	ck_assert_str_eq(more->services[1].config->label, "stock");
	snapshot_unref(&more);
	snapshot_unref(&more); /* nothing is legal */
}
END_TEST

static void *take_and_give(void *arg)
{
	for (int i = 0; i < ROUNDS; i++) {
		struct snapshot *mine = snapshot_ref(arg);

		if (mine->n_services != 2)
			abort(); /* a thread cannot fail the test otherwise */
		snapshot_unref(&mine);
	}
	snapshot_unref((struct snapshot **)&arg);
	return NULL;
}

START_TEST(threads_may_take_and_give_references_at_once)
{
	static const struct endpoint_set none[2];
	struct snapshot *s = snapshot_new(shared, none, tallies, NULL, 0);
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(
		    pthread_create(&threads[i], NULL, take_and_give, snapshot_ref(s)), 0);
	snapshot_unref(&s); /* the last thread frees it */
	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
}
END_TEST

START_TEST(every_state_of_endpoints_has_its_word)
{
	ck_assert_str_eq(endpoint_state_name(ENDPOINTS_UNKNOWN), "unknown");
	ck_assert_str_eq(endpoint_state_name(ENDPOINTS_FRESH), "fresh");
	ck_assert_str_eq(endpoint_state_name(ENDPOINTS_STALE), "stale");
	ck_assert_str_eq(endpoint_state_name(ENDPOINTS_EMPTY), "empty");
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {endpoints_are_copied_with_all_that_belongs_to_them, 1},
	    {replies_may_have_what_the_largest_listener_allows, 1},
	    {listeners_are_found_by_name, 1},
	    {the_configuration_lives_as_long_as_any_snapshot_of_it, 1},
	    {threads_may_take_and_give_references_at_once, 1},
	    {every_state_of_endpoints_has_its_word, 1},
	};

	return suite_run_between("snapshot", tests, ARRAY_LEN(tests), begin, end);
}
