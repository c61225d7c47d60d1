/*
 * The file of a unix socket that is listened on: taking its name without a moment in which the
 * wrong ones may connect or nobody can, and giving it back. No events, no accepting.
 */
#ifndef BRIDLE_NET_SOCKET_FILE_H
#define BRIDLE_NET_SOCKET_FILE_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/slice.h"

struct listener_options;

/*
 * Binds @fd to @path with the mode and owner of @options and listens. A stale socket file of ours
 * is replaced, and so is a live one of the process @options names as predecessor, without a moment
 * in which nobody answers; anything else in the way is left alone and refused. Several starters at
 * once: one wins. Returns 0, or -1 with @err set; err->code is EADDRINUSE when somebody serves the
 * path.
 */
int socket_file_listen(
    int fd, const char *path, const struct listener_options *options, struct err *err);

/* The path that a socket listens on, of the one that it was bound to: the same, but for sockets of
 * ours, which get their name when they listen already. */
struct slice socket_file_path(struct slice bound);

/* Which file a path means; all zero is none. */
struct socket_file {
	dev_t device;
	ino_t inode;
};
struct socket_file socket_file_look(const char *path);
/* Removes the path if it still means this file. The socket must still listen: so no starter takes
 * the path in between. */
void socket_file_remove(const char *path, const struct socket_file *file);

#endif
