#include "daemon/overload_watch.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "model/host.h"
#include "net/loop.h"

#define LOOK_EVERY USEC_S

struct overload_watch {
	struct loop *loop;                /* borrowed */
	struct workers *workers;          /* borrowed */
	struct snapshot *const *snapshot; /* borrowed */
	struct timer look;
};

/* Source: proc(5), statm. */
uint64_t overload_resident(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	unsigned long size, resident = 0;

	if (f == NULL)
		return 0;
	if (fscanf(f, "%lu %lu", &size, &resident) != 2)
		resident = 0;
	fclose(f);
	return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Linux 6.2 and later tell their number as the size of the folder. Source: proc(5), fd. */
uint64_t overload_descriptors(void)
{
	struct stat st;
	uint64_t n = 0;
	DIR *folder;

	if (stat("/proc/self/fd", &st) == 0 && st.st_size > 0)
		return (uint64_t)st.st_size;
	folder = opendir("/proc/self/fd");
	if (folder == NULL)
		return 0;
	for (struct dirent *entry; (entry = readdir(folder));)
		n += entry->d_name[0] != '.';
	closedir(folder);
	return n ? n - 1 : 0; /* the one that was open to count them */
}

static double share(uint64_t used, uint64_t of)
{
	return of == 0 || of == UINT64_MAX ? 0 : (double)used / (double)of;
}

static uint64_t descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
		return UINT64_MAX;
	return limit.rlim_cur;
}

static void publish(
    struct overload_watch *w, struct overload_levels next, const struct overload_shares *shares)
{
	struct overload_levels before = overload_levels(&w->workers->shares.overload);
	enum overload_level level = overload_worst(next), old = overload_worst(before);

	if (level != old)
		log_write(level > old ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, "overload",
		    "level changed",
		    "from=%s to=%s memory=%.0f%% resident=%.0f%% descriptors=%.0f%%",
		    overload_level_name(old), overload_level_name(level), 100 * shares->memory,
		    100 * shares->resident, 100 * shares->descriptors);
	if (next.memory != before.memory || next.descriptors != before.descriptors)
		workers_overload(w->workers, next);
}

static void look(struct timer *timer, usec_t now)
{
	struct overload_watch *w = container_of(timer, struct overload_watch, look);
	const struct process_shares *process = &w->workers->shares;
	struct overload_shares shares = {
	    .memory = share(atomic_load_explicit(&process->memory, memory_order_relaxed),
		(*w->snapshot)->config->limit_memory),
	    .resident = share(overload_resident(), host_memory_limit("")),
	    .descriptors = share(overload_descriptors(), descriptor_limit()),
	};

	publish(w, overload_next(overload_levels(&process->overload), &shares), &shares);
	wheel_set(loop_wheel(w->loop), timer, usec_after(now, LOOK_EVERY), look);
}

struct overload_watch *overload_watch_new(
    struct loop *loop, struct workers *workers, struct snapshot *const *snapshot)
{
	struct overload_watch *w = mem_calloc(1, sizeof *w);

	w->loop = loop;
	w->workers = workers;
	w->snapshot = snapshot;
	look(&w->look, loop_now(loop));
	return w;
}

void overload_watch_free(struct overload_watch **at)
{
	struct overload_watch *w = *at;

	if (w == NULL)
		return;
	*at = NULL;
	wheel_clear(&w->look);
	free(w);
}
