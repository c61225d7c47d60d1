#include "net/file_watch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/slice.h"
#include "net/loop.h"

#define HOPS_MAX  2000u /* names in directories that play a part */
#define LINKS_MAX 40u   /* as the kernel follows; source: path_resolution(7) */
#define EVENTS                                                                                     \
	(IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_MODIFY | IN_CLOSE_WRITE |        \
	    IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)

/* A name in a directory that the path goes through. */
struct hop {
	int wd;                  /* inotify's */
	char name[NAME_MAX + 1]; /* "": all that are parts */
};

struct file_watch {
	struct loop *loop;  /* borrowed */
	const char *path;   /* borrowed */
	const char *suffix; /* borrowed; NULL: a directory has no parts */
	usec_t quiet;
	int fd;              /* owned; -1 where inotify is not to be had */
	struct event *event; /* owned */
	struct hop *hops;    /* owned */
	size_t n_hops, hops_room;
	bool has_complained;
	uint64_t
	    sight; /* by what it is known to be another, or to have been written; 0: not there */
	struct timer look, wait;
	usec_t refresh;
	usec_t since; /* of the first event that has not been told; 0: none */
	file_changed_fn changed;
	void *arg; /* borrowed */
};

/* ---- the way to the file ---- */

/* Once; a directory that has just gone is no reason to. */
static void complain(struct file_watch *w, int code)
{
	if (w->has_complained || code == ENOENT || code == ENOTDIR)
		return;
	w->has_complained = true;
	log_warn("file", "no inotify, the file is looked at now and then", "path=%s error=\"%s\"",
	    w->path, strerror(code));
}

static bool is_part(const struct file_watch *w, const char *name)
{
	size_t len = strlen(name), end = w->suffix ? strlen(w->suffix) : 0;

	return w->suffix && name[0] != '.' && len > end && strcmp(name + len - end, w->suffix) == 0;
}

static bool hop_fits(const struct file_watch *w, const struct hop *hop, int wd, const char *name)
{
	if (hop->wd != wd)
		return false;
	return hop->name[0] ? strcmp(hop->name, name) == 0 : is_part(w, name);
}

static bool has_hop(const struct file_watch *w, int wd, const char *name)
{
	for (size_t i = 0; i < w->n_hops; i++)
		if (hop_fits(w, &w->hops[i], wd, name))
			return true;
	return false;
}

static void add_hop(struct file_watch *w, const char *dir, const char *name)
{
	int wd = inotify_add_watch(w->fd, dir, EVENTS);
	struct hop *hop;

	if (wd < 0)
		complain(w, errno);
	if (wd < 0 || w->n_hops == HOPS_MAX || has_hop(w, wd, name))
		return;
	if (w->n_hops == w->hops_room) {
		w->hops_room = w->hops_room ? 2 * w->hops_room : 8;
		w->hops = mem_realloc(w->hops, w->hops_room * sizeof *w->hops);
	}
	hop = &w->hops[w->n_hops++];
	hop->wd = wd;
	snprintf(hop->name, sizeof hop->name, "%s", name);
}

/* What is left of a path to be followed. */
struct walk {
	char dir[PATH_MAX];  /* where we are: no links before here */
	char rest[PATH_MAX]; /* to be followed from there */
	unsigned links;
};

/* Takes the first part of the rest off; false at the end. */
static bool next_name(struct walk *walk, char name[NAME_MAX + 1])
{
	char *from = walk->rest + strspn(walk->rest, "/");
	size_t len = strcspn(from, "/");

	if (len == 0 || len > NAME_MAX)
		return false;
	memcpy(name, from, len);
	name[len] = '\0';
	memmove(walk->rest, from + len, strlen(from + len) + 1);
	return true;
}

/* The target takes the place of the link's name. False when it is no path we can follow. */
static bool turn_at_link(struct walk *walk, const char *link)
{
	char target[PATH_MAX], rest[PATH_MAX];
	ssize_t n = readlink(link, target, sizeof target - 1);

	if (n <= 0 || ++walk->links > LINKS_MAX)
		return false;
	target[n] = '\0';
	memcpy(rest, walk->rest, sizeof rest);
	if (target[0] == '/')
		snprintf(walk->dir, sizeof walk->dir, "/");
	return (size_t)snprintf(walk->rest, sizeof walk->rest, "%s/%s", target, rest) <
	       sizeof walk->rest;
}

/* One name further. False at the file, or where nothing more is there. */
static bool step(struct file_watch *w, struct walk *walk)
{
	char name[NAME_MAX + 1], at[PATH_MAX];
	struct stat st;
	bool is_there;

	if (!next_name(walk, name))
		return false;
	if ((size_t)snprintf(at, sizeof at, "%s%s%s", walk->dir,
		walk->dir[strlen(walk->dir) - 1] == '/' ? "" : "/", name) >= sizeof at)
		return false;
	is_there = lstat(at, &st) == 0;
	if (!is_there || !S_ISDIR(st.st_mode))
		add_hop(w, walk->dir, name);
	if (is_there && S_ISLNK(st.st_mode))
		return turn_at_link(walk, at);
	memcpy(walk->dir, at, sizeof at);
	return is_there && S_ISDIR(st.st_mode);
}

static bool is_hop(const struct file_watch *w, int wd)
{
	for (size_t i = 0; i < w->n_hops; i++)
		if (w->hops[i].wd == wd)
			return true;
	return false;
}

static void follow_from(struct file_watch *w, const char *dir, const char *rest)
{
	struct walk walk = {.links = 0};

	snprintf(walk.dir, sizeof walk.dir, "%s", dir);
	snprintf(walk.rest, sizeof walk.rest, "%s", rest);
	while (step(w, &walk))
		continue;
}

/* Calls @visit for the name of each part. False when it is no directory, or has none. */
static bool each_part(
    const struct file_watch *w, void (*visit)(void *arg, DIR *dir, const char *name), void *arg)
{
	DIR *dir = w->suffix ? opendir(w->path) : NULL;
	const struct dirent *entry;

	if (dir == NULL)
		return false;
	while ((entry = readdir(dir)) != NULL)
		if (is_part(w, entry->d_name))
			visit(arg, dir, entry->d_name);
	closedir(dir);
	return true;
}

/* A part that is a link lies elsewhere. */
static void follow_part(void *arg, DIR *dir, const char *name)
{
	struct file_watch *w = arg;
	struct stat st;

	if (fstatat(dirfd(dir), name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode))
		follow_from(w, w->path, name);
}

/* The same directory gives the same descriptor again, so only those left over are taken back. */
static void follow_path(struct file_watch *w)
{
	size_t n = w->n_hops;
	int *before = mem_calloc(n + 1, sizeof *before);
	struct stat st;

	for (size_t i = 0; i < n; i++)
		before[i] = w->hops[i].wd;
	w->n_hops = 0;
	follow_from(w, w->path[0] == '/' ? "/" : ".", w->path);
	if (w->suffix && stat(w->path, &st) == 0 && S_ISDIR(st.st_mode)) {
		add_hop(w, w->path, "");
		each_part(w, follow_part, w);
	}
	for (size_t i = 0; i < n; i++)
		if (!is_hop(w, before[i]))
			inotify_rm_watch(w->fd, before[i]);
	free(before);
}

static uint64_t hash_of(const char *name, const struct stat *st)
{
	const uint64_t facts[] = {(uint64_t)st->st_dev, (uint64_t)st->st_ino, (uint64_t)st->st_size,
	    (uint64_t)st->st_mtim.tv_sec, (uint64_t)st->st_mtim.tv_nsec,
	    (uint64_t)st->st_ctim.tv_sec, (uint64_t)st->st_ctim.tv_nsec};

	return slice_hash(slice_of(facts, sizeof facts), slice_hash(slice_str(name), 1)) | 1;
}

/* Directories give names in no order. */
static void look_at_part(void *arg, DIR *dir, const char *name)
{
	uint64_t *sight = arg;
	struct stat st;

	if (fstatat(dirfd(dir), name, &st, 0) == 0)
		*sight += hash_of(name, &st);
}

/* What is written into a directory beside its parts does not count. */
static uint64_t look_at(const struct file_watch *w)
{
	uint64_t sight = 1;
	struct stat st;

	if (stat(w->path, &st) < 0)
		return 0;
	if (S_ISDIR(st.st_mode) && each_part(w, look_at_part, &sight))
		return sight;
	return hash_of("", &st);
}

void file_watch_mark(struct file_watch *w)
{
	if (w->fd >= 0)
		follow_path(w);
	w->sight = look_at(w);
}

bool file_watch_differs(const struct file_watch *w)
{
	return look_at(w) != w->sight;
}

void file_watch_doubt(struct file_watch *w)
{
	w->sight = 0;
}

bool file_watch_is_due(const struct file_watch *w)
{
	return timer_is_set(&w->wait);
}

/* ---- news ---- */

static void tell(struct timer *timer, usec_t now)
{
	struct file_watch *w = container_of(timer, struct file_watch, wait);

	(void)now;
	w->since = 0;
	w->changed(w->arg);
}

/* Each event moves the end of the wait, but not for ever. */
static void wait_quiet(struct file_watch *w, usec_t patience)
{
	usec_t now = loop_now(w->loop), at = usec_after(now, patience);

	if (w->since == 0)
		w->since = now;
	wheel_set(loop_wheel(w->loop), &w->wait,
	    usec_min(at, usec_after(w->since, 2 * FILE_WATCH_OPEN)), tell);
}

static bool concerns_us(const struct file_watch *w, const struct inotify_event *event)
{
	if (event->mask & IN_Q_OVERFLOW)
		return true;
	return event->len ? has_hop(w, event->wd, event->name) : is_hop(w, event->wd);
}

static void take_events(struct file_watch *w, const char *bytes, size_t len)
{
	for (size_t at = 0; at + sizeof(struct inotify_event) <= len;) {
		const struct inotify_event *event = (const void *)(bytes + at);

		if (concerns_us(w, event))
			wait_quiet(w, event->mask & IN_MODIFY ? FILE_WATCH_OPEN : w->quiet);
		at += sizeof *event + event->len;
	}
}

static void inotify_ready(evutil_socket_t fd, short what, void *arg)
{
	struct file_watch *w = arg;
	_Alignas(struct inotify_event) char bytes[8192];
	ssize_t n;

	(void)what;
	while ((n = read(fd, bytes, sizeof bytes)) > 0)
		take_events(w, bytes, (size_t)n);
}

static void look_again(struct timer *timer, usec_t now)
{
	struct file_watch *w = container_of(timer, struct file_watch, look);

	wheel_set(loop_wheel(w->loop), &w->look, usec_after(now, w->refresh), look_again);
	if (file_watch_differs(w))
		wait_quiet(w, w->quiet);
}

static void open_inotify(struct file_watch *w)
{
	w->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (w->fd >= 0)
		w->event =
		    event_new(loop_base(w->loop), w->fd, EV_READ | EV_PERSIST, inotify_ready, w);
	if (w->event && event_add(w->event, NULL) == 0)
		return;
	complain(w, errno);
}

struct file_watch *file_watch_new(
    struct loop *loop, const struct file_watch_options *options, file_changed_fn changed, void *arg)
{
	struct file_watch *w = mem_calloc(1, sizeof *w);

	w->loop = loop;
	w->path = options->path;
	w->suffix = options->suffix;
	w->quiet = options->quiet;
	w->refresh = options->refresh;
	w->changed = changed;
	w->arg = arg;
	open_inotify(w);
	wheel_set(loop_wheel(loop), &w->look, usec_after(loop_now(loop), w->refresh), look_again);
	wheel_set(loop_wheel(loop), &w->wait, usec_after(loop_now(loop), options->first), tell);
	return w;
}

void file_watch_free(struct file_watch **pw)
{
	struct file_watch *w = *pw;

	*pw = NULL;
	if (w == NULL)
		return;
	wheel_clear(&w->look);
	wheel_clear(&w->wait);
	if (w->event)
		event_free(w->event);
	if (w->fd >= 0)
		close(w->fd);
	free(w->hops);
	free(w);
}
