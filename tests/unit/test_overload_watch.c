/* How much the process uses, and that workers hear of it. */
#include "daemon/overload_watch.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <check.h>

#include "base/mem.h"
#include "net/loop.h"
#include "support/suite.h"

#define MANY  40
#define ROOMY (64u * 1024 * 1024)

static struct config config = {.limit_memory = 1000};
static struct snapshot present = {.config = &config};
static struct snapshot *snapshot = &present;
static struct workers workers;
static struct loop *loop;

static void begin(void)
{
	struct err err;

	workers = (struct workers){.n = 0};
	loop = loop_new(&err);
	ck_assert_ptr_nonnull(loop);
}

static void end(void)
{
	loop_free(&loop);
}

/* The level after one look, the first of which is at once. */
static enum overload_level look(void)
{
	struct overload_watch *watch = overload_watch_new(loop, &workers, &snapshot);

	overload_watch_free(&watch);
	return overload_get(&workers.shares.overload);
}

START_TEST(descriptors_are_counted)
{
	uint64_t before = overload_descriptors();
	int fds[MANY];

	ck_assert_uint_gt(before, 2);
	for (int i = 0; i < MANY; i++)
		fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	ck_assert_uint_eq(overload_descriptors(), before + MANY);
	for (int i = 0; i < MANY; i++)
		close(fds[i]);
	ck_assert_uint_eq(overload_descriptors(), before);
}
END_TEST

START_TEST(memory_in_use_is_told)
{
	uint64_t before = overload_resident();
	volatile char *room = mem_alloc(ROOMY);

	for (size_t i = 0; i < ROOMY; i += 1024)
		room[i] = 1;
	ck_assert_uint_gt(before, 0);
	ck_assert_uint_ge(overload_resident(), before + ROOMY / 2);
	free((void *)(uintptr_t)room);
}
END_TEST

START_TEST(what_messages_hold_counts_against_the_limit)
{
	ck_assert_int_eq(look(), OVERLOAD_NONE);
	atomic_store(&workers.shares.memory, 850);
	ck_assert_int_eq(look(), OVERLOAD_SHRINK);
	atomic_store(&workers.shares.memory, 920);
	ck_assert_int_eq(look(), OVERLOAD_REFUSE);
	config.limit_memory = 2000; /* a reload */
	ck_assert_int_eq(look(), OVERLOAD_NONE);
}
END_TEST

START_TEST(open_descriptors_count_against_theirs)
{
	struct rlimit limit, tight;
	int fds[MANY];

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	for (int i = 0; i < MANY; i++)
		fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	tight = limit;
	tight.rlim_cur = overload_descriptors() * 100 / 92;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &tight), 0);
	ck_assert_int_eq(look(), OVERLOAD_SHRINK);
	ck_assert(!overload_refuses(&workers.shares.overload));
	for (int i = 0; i < MANY; i++)
		close(fds[i]);
	ck_assert_int_eq(look(), OVERLOAD_NONE);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}
END_TEST

START_TEST(it_looks_again_every_second)
{
	struct overload_watch *watch = overload_watch_new(loop, &workers, &snapshot);

	atomic_store(&workers.shares.memory, 920);
	ck_assert_int_eq(overload_get(&workers.shares.overload), OVERLOAD_NONE);
	while (overload_get(&workers.shares.overload) == OVERLOAD_NONE)
		loop_turn(loop, 100 * USEC_MS);
	ck_assert_int_eq(overload_get(&workers.shares.overload), OVERLOAD_REFUSE);
	overload_watch_free(&watch);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {descriptors_are_counted, 1},
	    {memory_in_use_is_told, 1},
	    {what_messages_hold_counts_against_the_limit, 1},
	    {open_descriptors_count_against_theirs, 1},
	    {it_looks_again_every_second, 1},
	};

	return suite_run_between("overload_watch", tests, ARRAY_LEN(tests), begin, end);
}
