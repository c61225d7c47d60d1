/* Balancing among thousands: what picks and tables cost in time and memory. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "support/lb_bench.h"
#include "support/suite.h"

#define MANY 10000u

/* The linker leads every allocation of the code under test here. */
static size_t allocations;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

void *__wrap_malloc(size_t size)
{
	allocations++;
	return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	allocations++;
	return __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	allocations++;
	return __real_realloc(old, size);
}

static const char *const names[LB_TYPES] = {
    [LB_WEIGHTED_ROUND_ROBIN] = "weighted_round_robin",
    [LB_INTERLEAVED_WEIGHTED_ROUND_ROBIN] = "interleaved_weighted_round_robin",
    [LB_WEIGHTED_RANDOM] = "weighted_random",
    [LB_ROUND_ROBIN] = "round_robin",
    [LB_RANDOM] = "random",
    [LB_LEAST_REQUEST] = "least_request",
    [LB_PEAK_EWMA] = "peak_ewma",
    [LB_CONSISTENT_HASH] = "consistent_hash",
    [LB_MAGLEV] = "maglev",
    [LB_CLOSEST] = "closest",
    [LB_NETWORK_QUALITY] = "network_quality",
};

static struct lb_bench bench;

static void start_many(enum lb_type type)
{
	uint32_t *weights = mem_calloc(MANY, sizeof *weights);

	for (size_t i = 0; i < MANY; i++)
		weights[i] = 1 + (uint32_t)(i * i % 37);
	lb_bench_init(&bench, type, weights, MANY);
	bench.options.has_location = true;
	for (size_t i = 0; i < MANY; i++) {
		bench.endpoints[i].has_location = true;
		bench.endpoints[i].latitude = (double)(i % 100) / 10;
		bench.endpoints[i].longitude = (double)(i / 100) / 10;
		bench.loads[i].connect = 1 + (i * 7919 % 300) * USEC_MS;
		bench.loads[i].latency = 1000 + i;
	}
	free(weights);
}

static usec_t time_of_picks(size_t n)
{
	usec_t began = suite_cpu_time();

	lb_bench_picks(&bench, n);
	return suite_cpu_time() - began;
}

START_TEST(ten_thousand_endpoints_are_no_burden)
{
	const size_t n = 200000;
	usec_t began, built, all_in, some_out;

	start_many((enum lb_type)_i);
	began = suite_cpu_time();
	lb_bench_build(&bench, 1);
	built = suite_cpu_time() - began;
	all_in = time_of_picks(n);
	for (size_t i = 0; i < MANY; i++)
		bench.is_out[i] = i % 10 < 3;
	some_out = time_of_picks(n);
	printf("%-33s table %7zu bytes in %6" PRIu64 " us; pick %4" PRIu64 " ns, %4" PRIu64
	       " ns with 30 %% out\n",
	    names[_i], lb_table_size(bench.table), built, all_in * 1000 / n, some_out * 1000 / n);
	/* Bounds that an instrumented build on a busy machine keeps; a scan of all would not. */
	ck_assert_uint_lt(all_in * 1000 / n, 10000);
	ck_assert_uint_lt(some_out * 1000 / n, 20000);
	ck_assert_uint_lt(built, 10 * USEC_S);
	lb_bench_free(&bench);
}
END_TEST

START_TEST(a_pick_allocates_nothing)
{
	size_t before;

	start_many((enum lb_type)_i);
	lb_bench_build(&bench, 1);
	for (size_t i = 0; i < MANY; i++)
		bench.is_out[i] = i % 10 > 0; /* so that every way of picking is taken */
	ck_assert_uint_gt(allocations, 0);    /* the linker did lead them here */
	before = allocations;
	lb_bench_picks(&bench, 5000);
	ck_assert_uint_eq(allocations, before);
	lb_bench_free(&bench);
}
END_TEST

/* Small tables are what most services have. */
START_TEST(ten_endpoints_need_little)
{
	uint32_t weights[10];

	for (size_t i = 0; i < 10; i++)
		weights[i] = 10 + (uint32_t)i;
	lb_bench_start(&bench, (enum lb_type)_i, weights, 10, 1);
	printf("%-33s table of ten %zu bytes; pick %" PRIu64 " ns\n", names[_i],
	    lb_table_size(bench.table), time_of_picks(200000) * 1000 / 200000);
	if (_i != LB_CONSISTENT_HASH && _i != LB_MAGLEV)
		ck_assert_uint_lt(lb_table_size(bench.table), 1024);
	lb_bench_free(&bench);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {ten_thousand_endpoints_are_no_burden, LB_TYPES},
	    {a_pick_allocates_nothing, LB_TYPES},
	    {ten_endpoints_need_little, LB_TYPES},
	};

	return suite_run_between("lb_scale", tests, ARRAY_LEN(tests), NULL, NULL);
}
