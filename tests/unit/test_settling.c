/* A worker between two snapshots: what it has of endpoints follows, a part at a time. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "net/loop.h"
#include "proxy/backend.h"
#include "proxy/worker.h"
#include "proxy/world.h"
#include "support/loaded.h"
#include "support/suite.h"

#define MANY 10000u

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SLOWER 10u
#else
#define SLOWER 1u
#endif

static struct loop *loop;
static struct tallies *tallies;
static struct shared_config *shared;
static struct snapshot *snapshot;
static struct process_shares shares;
static struct worker *worker;

static struct shared_config *config_with(const char *keys)
{
	char text[400];
	struct shared_config *moved;
	struct loaded loaded;

	snprintf(text, sizeof text,
	    "listeners: [{address: \"127.0.0.1:1\", service: app}]\n"
	    "services: {app: {endpoints: [\"10.0.0.1:80\"], %s}}\n",
	    keys);
	loaded = loaded_from(text);
	ck_assert_ptr_nonnull(loaded_config(&loaded));
	moved = shared_config_new(loaded.config);
	loaded.config = NULL;
	loaded_free(&loaded);
	return moved;
}

/* Endpoints number @from up to, not including, @to. */
static struct snapshot *set_of(unsigned from, unsigned to)
{
	struct endpoint *list = mem_calloc(to - from + 1, sizeof *list);
	struct endpoint_set set = {list, to - from, ENDPOINTS_FRESH};
	struct snapshot *s;

	for (unsigned i = from; i < to; i++) {
		char text[40];
		struct err err;

		snprintf(text, sizeof text, "10.1.%u.%u:80", i / 250, i % 250 + 1);
		ck_assert_int_eq(address_parse(&list[i - from].address, slice_str(text), &err), 0);
		list[i - from].weight = 10;
	}
	s = snapshot_new(shared, &set, tallies, snapshot, 0);
	free(list);
	return s;
}

static void adopt(struct snapshot *fresh)
{
	worker_adopt(worker, fresh);
	if (snapshot)
		snapshot_unref(&snapshot);
	snapshot = fresh;
}

static void use_all(void)
{
	struct world_service *ws = &worker->world->services[0];

	for (size_t i = 0; i < ws->service->n_endpoints; i++)
		world_backend(worker->world, ws, i);
}

static void let_settle(void)
{
	for (int i = 0; i < 200; i++)
		loop_turn(loop, USEC_MS);
}

static void start(const char *keys, unsigned n)
{
	struct err err;

	loop = loop_new(&err);
	ck_assert_ptr_nonnull(loop);
	tallies = tallies_new();
	shared = config_with(keys);
	snapshot = NULL;
	snapshot = set_of(0, n);
	worker = worker_new(0, loop, &shares, snapshot, 1);
}

static void stop(void)
{
	worker_free(&worker);
	snapshot_unref(&snapshot);
	shared_config_unref(&shared);
	tallies_free(&tallies);
	loop_free(&loop);
}

START_TEST(an_endpoint_that_nobody_wanted_costs_nothing)
{
	start("balance: least_request", 100);
	ck_assert_uint_eq(worker->backends.used, 0);
	world_backend(worker->world, &worker->world->services[0], 7);
	ck_assert_uint_eq(worker->backends.used, 1);
	stop();
}
END_TEST

START_TEST(what_stays_is_the_same_and_what_is_gone_goes)
{
	struct backend *kept;

	start("balance: random", 10);
	use_all();
	kept = world_backend(worker->world, &worker->world->services[0], 9);
	adopt(set_of(5, 15));
	ck_assert_uint_eq(worker->backends.used, 5);
	ck_assert_ptr_eq(world_backend(worker->world, &worker->world->services[0], 4), kept);
	use_all();
	ck_assert_uint_eq(worker->backends.used, 10);
	adopt(set_of(20, 20));
	ck_assert_uint_eq(worker->backends.used, 0);
	stop();
}
END_TEST

START_TEST(labels_that_come_and_go_are_counted_together_beyond_a_thousand)
{
	struct service_stats *first, *other;
	char label[16];

	start("balance: random", 1);
	first = worker_service_stats(worker, SLICE_LIT("app"));
	for (unsigned i = 0; i < CALL_STATS_SERVICES + 500; i++) {
		snprintf(label, sizeof label, "made.%u", i);
		worker_service_stats(worker, slice_str(label));
	}
	other = worker_service_stats(worker, slice_str(label));
	ck_assert_str_eq(other->label, "other");
	ck_assert_ptr_eq(worker_service_stats(worker, SLICE_LIT("yet another")), other);
	ck_assert_ptr_eq(worker_service_stats(worker, SLICE_LIT("app")), first);
	ck_assert_uint_eq(worker->stats_by_label.used, CALL_STATS_SERVICES + 1);
	stop();
}
END_TEST

START_TEST(thousands_follow_a_part_in_each_turn)
{
	start("balance: random", MANY);
	use_all();
	adopt(set_of(MANY, 2 * MANY));
	ck_assert_uint_gt(worker->backends.used, MANY / 2);
	let_settle();
	ck_assert_uint_eq(worker->backends.used, 0);
	stop();
}
END_TEST

START_TEST(a_set_that_comes_while_the_last_one_settles_is_followed_to_its_end)
{
	start("balance: random", MANY);
	use_all();
	adopt(set_of(MANY / 2, MANY));
	loop_turn(loop, USEC_MS);
	adopt(set_of(MANY - 100, MANY + 100));
	let_settle();
	ck_assert_uint_eq(worker->backends.used, 100);
	stop();
}
END_TEST

START_TEST(pools_follow_the_configuration)
{
	struct backend *b;

	start("pool: {connections: 3}", 600);
	use_all();
	b = world_backend(worker->world, &worker->world->services[0], 599);
	ck_assert_uint_eq(b->most_connections, 3);
	shared_config_unref(&shared);
	shared = config_with("pool: {connections: 5}");
	adopt(set_of(0, 600));
	let_settle();
	ck_assert_uint_eq(b->most_connections, 5);
	stop();
}
END_TEST

/* Building the set is the control thread's work, and grows with it; taking it over must not. */
START_TEST(no_set_is_so_large_that_calls_wait_for_it)
{
	usec_t built, taken, t, worst = 0;
	struct snapshot *fresh;

	start("balance: random", MANY);
	use_all();
	t = suite_cpu_time();
	fresh = set_of(MANY / 2, MANY + MANY / 2);
	built = suite_cpu_time() - t;
	t = suite_cpu_time();
	adopt(fresh);
	taken = suite_cpu_time() - t;
	for (int i = 0; i < 200; i++) {
		t = suite_cpu_time();
		loop_turn(loop, USEC_MS);
		t = suite_cpu_time() - t;
		worst = t > worst ? t : worst;
	}
	ck_assert_msg(taken * 3 < built && worst * 3 < built,
	    "built in %llu us, taken over in %llu, the longest turn %llu",
	    (unsigned long long)built, (unsigned long long)taken, (unsigned long long)worst);
	stop();
}
END_TEST

/* A configuration of a thousand services with five endpoints each, all of which are in use. */
#define SERVICES 1000u

static struct shared_config *large_config(unsigned version)
{
	struct shared_config *moved;
	struct loaded loaded;
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	fprintf(to, "listeners: [{address: \"127.0.0.1:1\"}]\nservices:\n");
	for (unsigned i = 0; i < SERVICES; i++) {
		fprintf(to,
		    "  s%u:\n    timeout: {call: %ums}\n    methods: {Get: {timeout: {call: 1s}}}\n"
		    "    subsets: {blue: {color: blue}}\n    routes: [{match: {method: Get}, to: "
		    "blue}]\n    endpoints:\n",
		    i, 500 + version);
		for (unsigned j = 1; j <= 5; j++)
			fprintf(to, "      - {address: \"10.%u.%u.%u:80\", tags: {color: blue}}\n",
			    i / 250, i % 250, j);
	}
	fclose(to);
	loaded = loaded_from(text);
	free(text);
	ck_assert_ptr_nonnull(loaded_config(&loaded));
	moved = shared_config_new(loaded.config);
	loaded.config = NULL;
	loaded_free(&loaded);
	return moved;
}

static struct snapshot *large_snapshot(void)
{
	const struct config *config = shared->config;
	struct endpoint_set *sets = mem_calloc(config->n_services, sizeof *sets);
	struct endpoint *list = mem_calloc(5 * config->n_services, sizeof *list), *at = list;
	struct snapshot *s;

	for (size_t i = 0; i < config->n_services; i++) {
		sets[i] = (struct endpoint_set){at, 5, ENDPOINTS_FRESH};
		for (size_t j = 0; j < 5; j++, at++) {
			at->address = config->services[i]->endpoints[j].address;
			at->weight = 10;
		}
	}
	s = snapshot_new(shared, sets, tallies, snapshot, 0);
	free(list);
	free(sets);
	return s;
}

static void use_all_services(void)
{
	for (size_t i = 0; i < SERVICES; i++)
		for (size_t j = 0; j < 5; j++)
			world_backend(worker->world, &worker->world->services[i], j);
}

/* The longest turn of the worker over a reload, in CPU time. */
static usec_t longest_turn(unsigned version)
{
	usec_t t, worst;

	shared_config_unref(&shared);
	shared = large_config(version);
	snapshot = large_snapshot();
	t = suite_cpu_time();
	worker_adopt(worker, snapshot);
	worst = suite_cpu_time() - t;
	for (int i = 0; i < 100; i++) {
		t = suite_cpu_time();
		loop_turn(loop, USEC_MS);
		t = suite_cpu_time() - t;
		worst = t > worst ? t : worst;
	}
	return worst;
}

START_TEST(a_reload_of_a_thousand_services_holds_no_worker_up)
{
	usec_t worst, best = USEC_NONE;
	struct snapshot *old;
	struct err err;

	loop = loop_new(&err);
	ck_assert_ptr_nonnull(loop);
	tallies = tallies_new();
	shared = large_config(0);
	snapshot = NULL;
	snapshot = large_snapshot();
	worker = worker_new(0, loop, &shares, snapshot, 1);
	for (unsigned version = 1; version <= 5; version++) {
		use_all_services();
		old = snapshot;
		worst = longest_turn(version);
		snapshot_unref(&old); /* which the control thread keeps so long */
		best = worst < best ? worst : best;
	}
	ck_assert_uint_eq(worker->backends.used, 5 * SERVICES);
	ck_assert_msg(best < suite_allow(USEC_MS * SLOWER), "the longest turn took %llu us",
	    (unsigned long long)best);
	stop();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    an_endpoint_that_nobody_wanted_costs_nothing,
	    what_stays_is_the_same_and_what_is_gone_goes,
	    labels_that_come_and_go_are_counted_together_beyond_a_thousand,
	    thousands_follow_a_part_in_each_turn,
	    a_set_that_comes_while_the_last_one_settles_is_followed_to_its_end,
	    pools_follow_the_configuration,
	    no_set_is_so_large_that_calls_wait_for_it,
	    a_reload_of_a_thousand_services_holds_no_worker_up,
	};

	return suite_run("settling", tests, ARRAY_LEN(tests));
}
