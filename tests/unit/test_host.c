#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <check.h>

#include "base/mem.h"
#include "model/host.h"
#include "support/suite.h"

/* A root of our own with the files that the kernel would show. */
static char root[40];
static const char *const made[] = {"/proc", "/proc/self", "/sys", "/sys/fs", "/sys/fs/cgroup",
    "/sys/fs/cgroup/a", "/sys/fs/cgroup/a/b", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/memory/x"};
static const char *const files[] = {"/proc/self/cgroup", "/sys/fs/cgroup/a/memory.max",
    "/sys/fs/cgroup/a/b/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    "/sys/fs/cgroup/memory/x/memory.limit_in_bytes"};

static void begin(void)
{
	char path[200];

	strcpy(root, "/tmp/bridle-host-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(root));
	for (size_t i = 0; i < ARRAY_LEN(made); i++) {
		snprintf(path, sizeof path, "%s%s", root, made[i]);
		ck_assert_int_eq(mkdir(path, 0700), 0);
	}
}

static void end(void)
{
	char path[200];

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		snprintf(path, sizeof path, "%s%s", root, files[i]);
		unlink(path);
	}
	for (size_t i = ARRAY_LEN(made); i > 0; i--) {
		snprintf(path, sizeof path, "%s%s", root, made[i - 1]);
		ck_assert_int_eq(rmdir(path), 0);
	}
	ck_assert_int_eq(rmdir(root), 0);
}

static void put(const char *name, const char *text)
{
	char path[200];
	FILE *file;

	snprintf(path, sizeof path, "%s%s", root, name);
	file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	fputs(text, file);
	fclose(file);
}

START_TEST(host_has_cpus_and_a_name)
{
	char name[4] = "";

	ck_assert_uint_ge(host_cpus(), 1);
	host_name(name, sizeof name);
	ck_assert_uint_gt(strlen(name), 0);
	ck_assert_uint_lt(strlen(name), sizeof name);
}
END_TEST

START_TEST(host_without_groups_has_no_memory_limit)
{
	ck_assert(host_memory_limit(root) == UINT64_MAX);
	put("/proc/self/cgroup", "junk\n:\n0:\n");
	ck_assert(host_memory_limit(root) == UINT64_MAX);
}
END_TEST

START_TEST(host_memory_limit_is_the_smallest_up_the_tree)
{
	put("/proc/self/cgroup", "0::/a/b\n");
	put("/sys/fs/cgroup/a/b/memory.max", "max\n");
	ck_assert(host_memory_limit(root) == UINT64_MAX);
	put("/sys/fs/cgroup/a/memory.max", "1048576\n");
	ck_assert_uint_eq(host_memory_limit(root), 1048576);
	put("/sys/fs/cgroup/a/b/memory.max", "2097152\n");
	ck_assert_uint_eq(host_memory_limit(root), 1048576);
}
END_TEST

START_TEST(host_memory_limit_of_the_older_groups)
{
	put("/proc/self/cgroup", "9:name=systemd:/\n4:cpu,memory:/x\n0::/\n");
	put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
	ck_assert(host_memory_limit(root) == UINT64_MAX);
	put("/sys/fs/cgroup/memory/x/memory.limit_in_bytes", "4096\n");
	ck_assert_uint_eq(host_memory_limit(root), 4096);
	/* a group whose files are not mounted here */
	put("/proc/self/cgroup", "4:memory:/not/mounted/here\n");
	put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "8192\n");
	ck_assert_uint_eq(host_memory_limit(root), 8192);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {host_has_cpus_and_a_name, 1},
	    {host_without_groups_has_no_memory_limit, 1},
	    {host_memory_limit_is_the_smallest_up_the_tree, 1},
	    {host_memory_limit_of_the_older_groups, 1},
	};

	return suite_run_between("host", tests, ARRAY_LEN(tests), begin, end);
}
