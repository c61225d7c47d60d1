#include "model/host.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"

/* Without a limit version 1 tells the largest multiple of a page. */
#define UNLIMITED ((uint64_t)1 << 60)

unsigned host_cpus(void)
{
	cpu_set_t set;
	int n;

	CPU_ZERO(&set);
	/* More CPUs than the set has room for are an error; then all that are there count. */
	n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set)
							: (int)sysconf(_SC_NPROCESSORS_ONLN);
	return n > 0 ? (unsigned)n : 1;
}

void host_name(char *room, size_t size)
{
	if (gethostname(room, size) < 0 || room[0] == '\0')
		snprintf(room, size, "localhost");
	room[size - 1] = '\0';
}

static uint64_t read_limit(const char *path)
{
	FILE *file = fopen(path, "re");
	char text[64];
	uint64_t limit = UINT64_MAX;

	if (file == NULL)
		return UINT64_MAX;
	if (fgets(text, sizeof text, file) && text[0] >= '0' && text[0] <= '9') {
		errno = 0;
		limit = strtoull(text, NULL, 10);
		if (errno || limit >= UNLIMITED)
			limit = UINT64_MAX;
	}
	fclose(file);
	return limit;
}

/* The smallest limit of the group and of all above it. */
static uint64_t least_limit(const char *mount, char *group, const char *file)
{
	uint64_t least = UINT64_MAX;

	for (;;) {
		char path[PATH_MAX];
		uint64_t limit = UINT64_MAX;
		char *slash;

		if (snprintf(path, sizeof path, "%s%s/%s", mount, group, file) < (int)sizeof path)
			limit = read_limit(path);
		if (limit < least)
			least = limit;
		slash = strrchr(group, '/');
		if (slash == NULL)
			return least;
		*slash = '\0';
	}
}

/* "4:cpu,memory:/group" and "0::/group". Source: cgroups(7). */
static uint64_t limit_of_line(const char *root, char *line)
{
	char *controllers = strchr(line, ':'), *group, mount[PATH_MAX];
	bool is_v2;

	if (controllers == NULL || (group = strchr(controllers + 1, ':')) == NULL)
		return UINT64_MAX;
	*group++ = '\0';
	group[strcspn(group, "\n")] = '\0';
	is_v2 = strcmp(controllers, ":") == 0;
	if (!is_v2 && strstr(controllers, "memory") == NULL)
		return UINT64_MAX;
	if (snprintf(mount, sizeof mount, "%s/sys/fs/cgroup%s", root, is_v2 ? "" : "/memory") >=
	    (int)sizeof mount)
		return UINT64_MAX;
	return least_limit(mount, group, is_v2 ? "memory.max" : "memory.limit_in_bytes");
}

uint64_t host_memory_limit(const char *root)
{
	char path[PATH_MAX], line[PATH_MAX];
	uint64_t least = UINT64_MAX;
	FILE *file;

	if (snprintf(path, sizeof path, "%s/proc/self/cgroup", root) >= (int)sizeof path)
		return UINT64_MAX;
	file = fopen(path, "re");
	if (file == NULL)
		return UINT64_MAX;
	while (fgets(line, sizeof line, file)) {
		uint64_t limit = limit_of_line(root, line);

		if (limit < least)
			least = limit;
	}
	fclose(file);
	return least;
}

const char *host_admin_socket(struct arena *arena, const char *runtime, const char *user)
{
	/* systemd gives a list when the unit names several. */
	if (runtime && *runtime)
		return arena_printf(arena, "%.*s/admin.sock", (int)strcspn(runtime, ":"), runtime);
	if (geteuid() == 0)
		return "/run/bridled/admin.sock";
	if (user && *user)
		return arena_printf(arena, "%s/bridled/admin.sock", user);
	return arena_printf(arena, "/run/user/%u/bridled/admin.sock", (unsigned)geteuid());
}
