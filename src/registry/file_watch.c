#include "registry/file_watch.h"

#include <errno.h>
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
#include "net/loop.h"

#define HOPS_MAX  32u /* directories that play a part */
#define LINKS_MAX 40u /* as the kernel follows; source: path_resolution(7) */
#define EVENTS                                                                                     \
	(IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_MODIFY | IN_CLOSE_WRITE |        \
	    IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)

/* A name in a directory that the path goes through. */
struct hop {
	int wd; /* inotify's */
	char name[NAME_MAX + 1];
};

/* By what a file is known to be another, or to have been written. */
struct sight {
	bool is_there;
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec mtime, ctime;
};

struct file_watch {
	struct loop *loop;   /* borrowed */
	const char *path;    /* borrowed */
	int fd;              /* owned; -1 where inotify is not to be had */
	struct event *event; /* owned */
	struct hop hops[HOPS_MAX];
	size_t n_hops;
	bool has_complained;
	struct sight sight;
	struct timer look, quiet;
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

static void add_hop(struct file_watch *w, const char *dir, const char *name)
{
	struct hop *hop;
	int wd;

	if (w->n_hops == HOPS_MAX)
		return;
	wd = inotify_add_watch(w->fd, dir, EVENTS);
	if (wd < 0) {
		complain(w, errno);
		return;
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

/* The same directory gives the same descriptor again, so only those left over are taken back. */
static void follow_path(struct file_watch *w)
{
	struct walk walk = {.links = 0};
	int before[HOPS_MAX];
	size_t n = w->n_hops;

	for (size_t i = 0; i < n; i++)
		before[i] = w->hops[i].wd;
	w->n_hops = 0;
	snprintf(walk.dir, sizeof walk.dir, "%s", w->path[0] == '/' ? "/" : ".");
	snprintf(walk.rest, sizeof walk.rest, "%s", w->path);
	while (step(w, &walk))
		;
	for (size_t i = 0; i < n; i++)
		if (!is_hop(w, before[i]))
			inotify_rm_watch(w->fd, before[i]);
}

static struct sight look_at(const char *path)
{
	struct sight s = {0};
	struct stat st;

	if (stat(path, &st) < 0)
		return s;
	s.is_there = true;
	s.dev = st.st_dev;
	s.ino = st.st_ino;
	s.size = st.st_size;
	s.mtime = st.st_mtim;
	s.ctime = st.st_ctim;
	return s;
}

static bool is_same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool is_same_sight(const struct sight *a, const struct sight *b)
{
	return a->is_there == b->is_there && a->dev == b->dev && a->ino == b->ino &&
	       a->size == b->size && is_same_time(a->mtime, b->mtime) &&
	       is_same_time(a->ctime, b->ctime);
}

void file_watch_mark(struct file_watch *w)
{
	if (w->fd >= 0)
		follow_path(w);
	w->sight = look_at(w->path);
}

void file_watch_doubt(struct file_watch *w)
{
	w->sight = (struct sight){0};
}

bool file_watch_is_due(const struct file_watch *w)
{
	return timer_is_set(&w->quiet);
}

/* ---- news ---- */

static void tell(struct timer *timer, usec_t now)
{
	struct file_watch *w = container_of(timer, struct file_watch, quiet);

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
	wheel_set(loop_wheel(w->loop), &w->quiet,
	    usec_min(at, usec_after(w->since, 2 * FILE_WATCH_OPEN)), tell);
}

static bool concerns_us(const struct file_watch *w, const struct inotify_event *event)
{
	if (event->mask & IN_Q_OVERFLOW)
		return true;
	for (size_t i = 0; i < w->n_hops; i++)
		if (w->hops[i].wd == event->wd &&
		    (event->len == 0 || strcmp(w->hops[i].name, event->name) == 0))
			return true;
	return false;
}

static void take_events(struct file_watch *w, const char *bytes, size_t len)
{
	for (size_t at = 0; at + sizeof(struct inotify_event) <= len;) {
		const struct inotify_event *event = (const void *)(bytes + at);

		if (concerns_us(w, event))
			wait_quiet(w, event->mask & IN_MODIFY ? FILE_WATCH_OPEN : FILE_WATCH_QUIET);
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
	struct sight sight = look_at(w->path);

	wheel_set(loop_wheel(w->loop), &w->look, usec_after(now, w->refresh), look_again);
	if (!is_same_sight(&sight, &w->sight))
		wait_quiet(w, FILE_WATCH_QUIET);
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
    struct loop *loop, const char *path, usec_t refresh, file_changed_fn changed, void *arg)
{
	struct file_watch *w = mem_calloc(1, sizeof *w);

	w->loop = loop;
	w->path = path;
	w->refresh = refresh;
	w->changed = changed;
	w->arg = arg;
	open_inotify(w);
	wheel_set(loop_wheel(loop), &w->look, usec_after(loop_now(loop), refresh), look_again);
	wheel_set(loop_wheel(loop), &w->quiet, loop_now(loop), tell);
	return w;
}

void file_watch_free(struct file_watch **pw)
{
	struct file_watch *w = *pw;

	*pw = NULL;
	if (w == NULL)
		return;
	wheel_clear(&w->look);
	wheel_clear(&w->quiet);
	if (w->event)
		event_free(w->event);
	if (w->fd >= 0)
		close(w->fd);
	free(w);
}
