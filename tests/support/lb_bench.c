#include "support/lb_bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <check.h>

#include "base/mem.h"

static bool is_usable(const void *arg, size_t endpoint)
{
	return !((const struct lb_bench *)arg)->is_out[endpoint];
}

static struct lb_load load_of(const void *arg, size_t endpoint)
{
	return ((const struct lb_bench *)arg)->loads[endpoint];
}

unsigned lb_bench_share(const void *arg, size_t endpoint)
{
	return ((const struct lb_bench *)arg)->shares[endpoint];
}

void lb_bench_init(struct lb_bench *b, enum lb_type type, const uint32_t *weights, size_t n)
{
	*b = (struct lb_bench){
	    .options = {.type = type, .virtual_nodes = 100, .choices = 2},
	    .view = {.is_usable = is_usable, .load = load_of, .arg = b},
	    .n = n,
	    .endpoints = mem_calloc(n + 1, sizeof *b->endpoints),
	    .keys = mem_calloc(n + 1, sizeof *b->keys),
	    .is_out = mem_calloc(n + 1, sizeof *b->is_out),
	    .shares = mem_calloc(n + 1, sizeof *b->shares),
	    .loads = mem_calloc(n + 1, sizeof *b->loads),
	    .picked = mem_calloc(n + 1, sizeof *b->picked),
	};
	for (size_t i = 0; i < n; i++) {
		snprintf(b->keys[i], sizeof b->keys[i], "10.%u.%u.%u:80", (unsigned)(i >> 16),
		    (unsigned)(i >> 8 & 255), (unsigned)(i & 255));
		b->endpoints[i].key = slice_str(b->keys[i]);
		b->endpoints[i].weight = weights ? weights[i] : 1;
		b->shares[i] = 256;
	}
}

void lb_bench_build(struct lb_bench *b, uint64_t seed)
{
	lb_state_free(&b->state);
	lb_table_unref(&b->table);
	rng_init(&b->rng, seed);
	b->table = lb_table_new(&b->options, b->endpoints, NULL, b->n);
	b->state = lb_state_new(b->table, &b->rng);
}

void lb_bench_start(
    struct lb_bench *b, enum lb_type type, const uint32_t *weights, size_t n, uint64_t seed)
{
	lb_bench_init(b, type, weights, n);
	lb_bench_build(b, seed);
}

void lb_bench_free(struct lb_bench *b)
{
	lb_state_free(&b->state);
	lb_table_unref(&b->table);
	free(b->endpoints);
	free(b->keys);
	free(b->is_out);
	free(b->shares);
	free(b->loads);
	free(b->picked);
}

size_t lb_bench_pick(struct lb_bench *b)
{
	return lb_pick(b->table, b->state, &b->view, rng_next(&b->rng), &b->rng);
}

void lb_bench_picks(struct lb_bench *b, size_t times)
{
	for (size_t i = 0; i < times; i++) {
		size_t at = lb_bench_pick(b);

		/* Millions of times: the macros of Check are slow. */
		if (at >= b->n || b->is_out[at] || b->endpoints[at].weight == 0)
			ck_abort_msg("pick %zu of type %d is %zu", i, b->options.type, at);
		b->picked[at]++;
	}
}

void lb_bench_forget(struct lb_bench *b)
{
	memset(b->picked, 0, b->n * sizeof *b->picked);
}

bool lb_bench_is_fair(const struct lb_bench *b, const double *parts)
{
	double all = 0, picks = 0, sum = 0, free_ones = -1;

	for (size_t i = 0; i < b->n; i++) {
		all += parts ? parts[i] : b->endpoints[i].weight;
		picks += (double)b->picked[i];
	}
	for (size_t i = 0; i < b->n; i++) {
		double part = parts ? parts[i] : b->endpoints[i].weight;
		double expected = picks * part / all, off = (double)b->picked[i] - expected;

		if (part == 0 && b->picked[i])
			return false;
		if (part == 0)
			continue;
		sum += off * off / expected;
		free_ones++;
	}
	return sum <= free_ones + 5 * sqrt(2 * free_ones);
}
