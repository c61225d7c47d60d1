/*
 * Says when a file, or one of the files of a directory, may have another content: by inotify on
 * every directory that plays a part in its path (where it lies, where a symbolic link on the way
 * lies, and the last one that is there while the rest is missing), so that a file that is replaced,
 * a link that is turned and a directory that comes later are all seen; and by looking at it now and
 * then, for file systems that tell nothing. Does not read files.
 */
#ifndef BRIDLE_NET_FILE_WATCH_H
#define BRIDLE_NET_FILE_WATCH_H

#include <stdbool.h>

#include "base/clock.h"

struct file_watch;
struct loop;

/* A writer that has the file still open is waited for at most that long. */
#define FILE_WATCH_OPEN (1 * USEC_S)

struct file_watch_options {
	const char *path; /* borrowed */
	/* Borrowed. If the path is a directory, its files whose names end like this and do not
	 * begin with a dot are its parts; NULL: it has none. */
	const char *suffix;
	usec_t quiet; /* nothing has been written for that long, or the writer has closed it and as
			 * long has gone by */
	usec_t refresh; /* between two looks */
	usec_t first;   /* until the first one is told, if nothing happens */
};

/* Never called inside a call to here; it may free the watch. */
typedef void (*file_changed_fn)(void *arg);

/* Begins with looking: @changed is called once in any case. @arg is borrowed. */
struct file_watch *file_watch_new(struct loop *loop, const struct file_watch_options *options,
    file_changed_fn changed, void *arg);
void file_watch_free(struct file_watch **watch);
/* To be called right before the file is read: what happens to it from here on is told. */
void file_watch_mark(struct file_watch *watch);
/* Is it another than when it was marked? */
bool file_watch_differs(const struct file_watch *watch);
/* It could not be read, for a reason that may pass without a trace at the file (no descriptors):
 * the next look finds it changed, if it is there. */
void file_watch_doubt(struct file_watch *watch);
/* Will @changed be called soon? */
bool file_watch_is_due(const struct file_watch *watch);

#endif
