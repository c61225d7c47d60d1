/* Groups of endpoints: who belongs to which, which tables outlive a snapshot, and what it all
 * costs. */
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "support/balanced.h"
#include "support/suite.h"

static struct balanced b;

static void begin(void)
{
	balanced_init(&b);
}

static void end(void)
{
	balanced_free(&b);
}

static const char lanes[] =
    "services:\n"
    "  a:\n"
    "    subsets: {big: {size: big}, green: {lane: green, size: ''}, nobody: {size: huge}}\n"
    "    subset_by: {tag: lane, key: meta.lane}\n"
    "    endpoints:\n"
    "      - {address: 10.0.0.1:80, tags: {lane: green}}\n"
    "      - {address: 10.0.0.2:80, tags: {size: big}}\n"
    "      - {address: 10.0.0.3:80, tags: {lane: blue, size: big}}\n"
    "      - {address: 10.0.0.4:80}\n"
    "      - {address: 10.0.0.5:80, tags: {lane: green, size: ''}}\n"
    "      - {address: 10.0.0.6:80, tags: {lane: ''}}\n";

/* @members: "0 2 5" */
static void must_be(size_t index, const char *name, const char *members)
{
	const struct endpoint_group *group = &balanced_service(&b)->groups[index];
	char text[128] = "";
	size_t len = 0;

	ck_assert_uint_lt(index, balanced_service(&b)->n_groups);
	ck_assert_uint_eq(group->index, index);
	ck_assert_msg(slice_eq_str(group->name, name), "group %zu is not %s", index, name);
	for (size_t i = 0; i < group->n; i++)
		len += (size_t)snprintf(
		    text + len, sizeof text - len, i ? " %u" : "%u", (unsigned)group->members[i]);
	ck_assert_str_eq(text, members);
	ck_assert((group->n > 0) == (group->table != NULL));
	ck_assert_ptr_null(group->elsewhere);
}

START_TEST(groups_are_all_then_subsets_then_values)
{
	balanced_load(&b, lanes);
	ck_assert_uint_eq(balanced_service(&b)->n_groups, 7);
	must_be(0, "", "0 1 2 3 4 5");
	must_be(1, "big", "1 2");
	must_be(2, "green", "0 4");
	must_be(3, "nobody", "");
	must_be(4, "base", "1 3 5");
	must_be(5, "blue", "2");
	must_be(6, "green", "0 4");
}
END_TEST

START_TEST(a_service_without_subsets_has_one_group)
{
	balanced_load(&b, "services: {a: {endpoints: [10.0.0.1:80, 10.0.0.2:80]}}\n");
	ck_assert_uint_eq(balanced_service(&b)->n_groups, 1);
	must_be(0, "", "0 1");
}
END_TEST

START_TEST(a_base_may_be_empty)
{
	balanced_load(&b, "services:\n  a:\n    subset_by: {tag: lane, key: meta.lane}\n"
			  "    endpoints:\n"
			  "      - {address: 10.0.0.1:80, tags: {lane: x}}\n"
			  "      - {address: 10.0.0.2:80, tags: {lane: x}}\n");
	ck_assert_uint_eq(balanced_service(&b)->n_groups, 3);
	must_be(1, "base", "");
	must_be(2, "x", "0 1");
}
END_TEST

START_TEST(groups_are_found_by_subset_and_by_value)
{
	static const struct subset_config base = {"base", {0}}, unknown = {"other", {0}};
	const struct service *s;

	balanced_load(&b, lanes);
	s = balanced_service(&b);
	for (size_t i = 0; i < s->config->n_subsets; i++)
		ck_assert_ptr_eq(balance_group_of(s, &s->config->subsets[i]), &s->groups[1 + i]);
	ck_assert_ptr_eq(balance_group_of(s, &base), &s->groups[4]);
	ck_assert_ptr_null(balance_group_of(s, &unknown));
	ck_assert_ptr_eq(balance_group_by(s, SLICE_LIT("blue")), &s->groups[5]);
	ck_assert_ptr_eq(balance_group_by(s, SLICE_LIT("green")), &s->groups[6]);
	ck_assert_ptr_null(balance_group_by(s, SLICE_LIT("red")));
	ck_assert_ptr_null(balance_group_by(s, SLICE_LIT("big"))); /* a subset's name */
	ck_assert_ptr_null(balance_group_by(s, SLICE_LIT("base")));
	ck_assert_ptr_null(balance_group_by(s, SLICE_NONE));
}
END_TEST

START_TEST(picks_stay_in_their_group)
{
	balanced_load(&b, lanes);
	balanced_use(&b, &balanced_service(&b)->groups[6]);
	ck_assert_uint_eq(balanced_picks(&b, 1000), 0);
	ck_assert_uint_eq(b.picked[0] + b.picked[4], 1000);
	ck_assert_uint_eq(b.picked[0], 500);
	balanced_set_health(&b, 0, HEALTH_DOWN);
	balanced_picks(&b, 1000);
	ck_assert_uint_eq(b.picked[4], 1000);
	balanced_use(&b, &balanced_service(&b)->groups[3]);
	ck_assert_uint_eq(balanced_picks(&b, 10), 10); /* nobody is there */
}
END_TEST

START_TEST(values_are_told_apart_in_any_number)
{
	char *text = mem_alloc(64 * 2000 + 256);
	size_t len = (size_t)sprintf(text, "services:\n  a:\n"
					   "    subset_by: {tag: lane, key: meta.lane}\n"
					   "    endpoints:\n");

	for (int i = 0; i < 2000; i++)
		len += (size_t)sprintf(text + len,
		    "      - {address: 10.0.%d.%d:80, tags: {lane: l%d}}\n", i / 250, i % 250 + 1,
		    i * 7 % 1000);
	balanced_load(&b, text);
	ck_assert_uint_eq(balanced_service(&b)->n_groups, 2 + 1000);
	for (int i = 0; i < 1000; i++) {
		char name[8];
		const struct endpoint_group *group;

		snprintf(name, sizeof name, "l%d", i);
		group = balance_group_by(balanced_service(&b), slice_str(name));
		ck_assert_ptr_nonnull(group);
		ck_assert_uint_eq(group->n, 2);
		ck_assert_uint_eq(group->members[0] * 7 % 1000, (unsigned)i);
		ck_assert_uint_eq(group->members[1], group->members[0] + 1000);
	}
	free(text);
}
END_TEST

/* ---- what outlives a snapshot ---- */

/* Two services; @a and @b: what is said of them beside one endpoint each. */
static void load_two(const char *of_a, const char *of_b)
{
	char text[1024];

	snprintf(text, sizeof text,
	    "services:\n"
	    "  a: {subset_by: {tag: lane, key: meta.lane}, %s}\n"
	    "  b: {%s}\n",
	    of_a, of_b);
	balanced_load(&b, text);
}

#define TWO   "endpoints: [10.0.0.1:80, {address: 10.0.0.2:80, tags: {lane: x}}]"
#define THREE "endpoints: [10.0.0.1:80, {address: 10.0.0.2:80, tags: {lane: x}}, 10.0.0.3:80]"

static struct lb_table *table_of(size_t service, size_t group)
{
	return b.snapshot->services[service].groups[group].table;
}

START_TEST(tables_of_services_that_did_not_change_are_shared)
{
	struct lb_table *all, *x, *other;

	load_two(TWO, TWO);
	all = table_of(0, 0);
	x = table_of(0, 2);
	other = lb_table_ref(table_of(1, 0)); /* so that its place is not taken by a new one */
	load_two(TWO, THREE);
	ck_assert_ptr_eq(table_of(0, 0), all);
	ck_assert_ptr_eq(table_of(0, 2), x);
	ck_assert_ptr_ne(table_of(1, 0), other);
	lb_table_unref(&other);
	ck_assert_uint_eq(balanced_picks(&b, 100), 0); /* ASan: they are still there */
}
END_TEST

START_TEST(groups_that_did_not_change_are_shared_in_a_service_that_did)
{
	struct lb_table *all, *x;

	load_two(TWO, TWO);
	all = lb_table_ref(table_of(0, 0));
	x = table_of(0, 2);
	load_two(THREE, TWO);
	ck_assert_ptr_ne(table_of(0, 0), all);
	ck_assert_ptr_eq(table_of(0, 2), x);
	lb_table_unref(&all);
	balanced_picks(&b, 300);
	ck_assert_uint_eq(b.picked[2], 100);
}
END_TEST

START_TEST(whatever_changes_a_table_makes_a_new_one)
{
	static const char *const changes[] = {
	    "endpoints: [10.0.0.1:80, {address: 10.0.0.2:80, weight: 11, tags: {lane: x}}]",
	    "endpoints: [10.0.0.1:80, {address: 10.0.0.2:81, tags: {lane: x}}]",
	    "endpoints: [{address: 10.0.0.2:80, tags: {lane: x}}, 10.0.0.1:80]",
	    "endpoints: [10.0.0.1:80, {address: 10.0.0.2:80, zone: east, tags: {lane: x}}]",
	    "endpoints: [10.0.0.1:80, {address: 10.0.0.2:80, tags: {lane: x, latitude: '3'}}]",
	    "endpoints: [10.0.0.1:80]",
	    TWO ", balance: random",
	    TWO ", balance: {zone: prefer}",
	};
	struct lb_table *table;

	load_two(TWO, TWO);
	table = lb_table_ref(table_of(0, 0));
	load_two(changes[_i], TWO);
	ck_assert_ptr_ne(table_of(0, 0), table);
	lb_table_unref(&table);
	balanced_picks(&b, 100);
}
END_TEST

/* Services are found again by label, wherever they stand. */
START_TEST(services_come_and_go_beside_the_others)
{
	struct lb_table *table;

	balanced_load(
	    &b, "services: {b: {endpoints: [10.0.0.1:80]}, d: {endpoints: [10.0.0.2:80]}}\n");
	table = table_of(1, 0);
	balanced_load(&b,
	    "services: {a: {endpoints: [10.0.0.9:80]}, c: {endpoints: [10.0.0.8:80]},\n"
	    "  d: {endpoints: [10.0.0.2:80]}, e: {endpoints: [10.0.0.7:80]}}\n");
	ck_assert_ptr_eq(table_of(2, 0), table);
	balanced_load(&b, "services: {d: {endpoints: [10.0.0.2:80]}}\n");
	ck_assert_ptr_eq(table_of(0, 0), table);
}
END_TEST

/* ---- what it costs ---- */

#define SERVICES  1000
#define ENDPOINTS 10

/* An instrumented build has an allocator of its own. */
size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

static size_t bytes_in_use(void)
{
	struct mallinfo2 m;

	if (__sanitizer_get_current_allocated_bytes)
		return __sanitizer_get_current_allocated_bytes();
	m = mallinfo2();
	return m.uordblks + m.hblkhd;
}

static char *write_services(void)
{
	char *text = mem_alloc(SERVICES * (64 + ENDPOINTS * 32));
	size_t len = (size_t)sprintf(text, "services:\n");

	for (unsigned i = 0; i < SERVICES; i++) {
		len += (size_t)sprintf(text + len, "  s%04u: {endpoints: [", i);
		for (unsigned k = 0; k < ENDPOINTS; k++)
			len += (size_t)sprintf(
			    text + len, "%s10.%u.%u.%u:80", k ? ", " : "", i / 250, i % 250, k + 1);
		len += (size_t)sprintf(text + len, "]}\n");
	}
	return text;
}

/* A snapshot of the same services; @before as snapshot_new has it. Bounds are for instrumented
 * builds on busy machines: what is usual is printed. */
static struct snapshot *build(
    const struct endpoint_set *sets, const struct snapshot *before, const char *what)
{
	size_t bytes = bytes_in_use();
	usec_t took = suite_cpu_time();
	struct snapshot *s =
	    snapshot_new(b.snapshot->shared, sets, b.tallies, before, b.request.now);

	took = suite_cpu_time() - took;
	bytes = (bytes_in_use() - bytes) / (SERVICES * ENDPOINTS);
	printf("%s: %" PRIu64 " us, %zu bytes for each of %d endpoints\n", what, took, bytes,
	    SERVICES * ENDPOINTS);
	ck_assert_uint_lt(bytes, 1024);
	ck_assert_uint_lt(took, USEC_S);
	return s;
}

START_TEST(a_thousand_services_cost_little)
{
	struct endpoint_set *sets = mem_calloc(SERVICES, sizeof *sets);
	struct snapshot *again, *anew;
	char *text = write_services();

	balanced_load(&b, text);
	free(text);
	for (size_t i = 0; i < SERVICES; i++)
		sets[i] = (struct endpoint_set){b.snapshot->services[i].endpoints,
		    b.snapshot->services[i].n_endpoints, ENDPOINTS_FRESH};
	again = build(sets, b.snapshot, "nothing has changed");
	for (size_t i = 0; i < SERVICES; i++)
		ck_assert_ptr_eq(again->services[i].groups[0].table, table_of(i, 0));
	tallies_free(&b.tallies); /* the snapshots hold what they need of it */
	b.tallies = tallies_new();
	anew = build(sets, NULL, "all is new");
	snapshot_unref(&again);
	snapshot_unref(&anew);
	free(sets);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {groups_are_all_then_subsets_then_values, 1},
	    {a_service_without_subsets_has_one_group, 1},
	    {a_base_may_be_empty, 1},
	    {groups_are_found_by_subset_and_by_value, 1},
	    {picks_stay_in_their_group, 1},
	    {values_are_told_apart_in_any_number, 1},
	    {tables_of_services_that_did_not_change_are_shared, 1},
	    {groups_that_did_not_change_are_shared_in_a_service_that_did, 1},
	    {whatever_changes_a_table_makes_a_new_one, 8},
	    {services_come_and_go_beside_the_others, 1},
	    {a_thousand_services_cost_little, 1},
	};

	return suite_run_between("balance_groups", tests, ARRAY_LEN(tests), begin, end);
}
