/*
 * The socket is bound to a name beside the wanted one, given its rights, set to listen and then
 * renamed: whoever sees the wanted name can connect or is not meant to. Between the look at what is
 * there and the rename the starter holds a lock file, which is gone again afterwards; who waits for
 * the lock then finds a live socket. A path too long for the second name is bound directly, closed
 * to all until its rights are set.
 */
#include "net/socket_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/address.h"
#include "net/listener.h"

#define LOCK_SUFFIX   ".bridle-lock"
#define NEW_SUFFIX    ".bridle"
#define LOCK_TRIES    200 /* 10 ms each */
#define RIGHTS_BITS   07777
#define NAME_ROOM     (ADDRESS_PATH_MAX + sizeof LOCK_SUFFIX)
#define DEFAULT_QUEUE 1024

struct slice socket_file_path(struct slice bound)
{
	struct slice suffix = SLICE_LIT(NEW_SUFFIX);

	if (bound.len > suffix.len && slice_eq(slice_from(bound, bound.len - suffix.len), suffix))
		return slice_first(bound, bound.len - suffix.len);
	return bound;
}

static int refuse(struct err *err, int code, const char *path, const char *what)
{
	return err_set(err, code, "unix:%s %s", path, what);
}

static int failed(struct err *err, const char *path, const char *doing)
{
	int code = errno;

	return err_set(err, code, "unix:%s: cannot %s: %s", path, doing, strerror(code));
}

static struct sockaddr_un address_of(const char *path)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};

	/* The caller has checked the length; a path cut short would be another file. */
	memcpy(sun.sun_path, path, strnlen(path, sizeof sun.sun_path - 1));
	return sun;
}

/* The errno of a connect that does not wait; 0 when it succeeded, with the process that listens. */
static int try_connect(const char *path, pid_t *by)
{
	struct sockaddr_un sun = address_of(path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct ucred who = {0};
	socklen_t len = sizeof who;
	int error;

	if (fd < 0)
		return errno;
	error = connect(fd, (struct sockaddr *)&sun, sizeof sun) < 0 ? errno : 0;
	*by = error == 0 && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 ? who.pid : 0;
	close(fd);
	return error;
}

static const char *what_is(mode_t mode)
{
	if (S_ISREG(mode))
		return "is a regular file, not a socket; remove it or choose another path";
	if (S_ISDIR(mode))
		return "is a directory; name a file in it";
	if (S_ISLNK(mode))
		return "is a symbolic link; name the socket itself";
	return "is not a socket; choose another path";
}

/* Whether the socket file at @path may be replaced: 0, or -1 with @err set. */
static int check_stale(
    const char *path, uid_t owner, const struct listener_options *options, struct err *err)
{
	pid_t by = 0;
	int error = try_connect(path, &by);

	if (error == 0 && by != 0 && by == options->predecessor)
		return 0;
	if (error == 0 || error == EAGAIN)
		return refuse(err, EADDRINUSE, path, "is served by another process");
	if (error == ENOENT)
		return 0;
	if (error == EPROTOTYPE)
		return refuse(err, EADDRINUSE, path, "belongs to another kind of socket");
	if (error != ECONNREFUSED) {
		errno = error;
		return failed(err, path, "find out whether somebody serves it");
	}
	if (owner != geteuid() && owner != options->owner)
		return err_set(err, EPERM,
		    "unix:%s is a stale socket of uid %lu, not ours; remove it or choose another path",
		    path, (unsigned long)owner);
	return 0;
}

static int check_place(const char *path, const struct listener_options *options, struct err *err)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : failed(err, path, "look at it");
	if (!S_ISSOCK(st.st_mode))
		return refuse(err, EEXIST, path, what_is(st.st_mode));
	return check_stale(path, st.st_uid, options, err);
}

/* True when @fd is the file that has the name now, and nobody else's. */
static bool is_our_file(int fd, const char *name)
{
	struct stat held, named;

	return fstat(fd, &held) == 0 && lstat(name, &named) == 0 && S_ISREG(held.st_mode) &&
	       held.st_uid == geteuid() && held.st_dev == named.st_dev &&
	       held.st_ino == named.st_ino;
}

/* The descriptor that holds the lock, or -1 with errno set. */
static int take_lock(const char *name)
{
	struct timespec moment = {.tv_nsec = 10 * 1000 * 1000};

	for (int i = 0; i < LOCK_TRIES; i++) {
		int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
		bool is_held;

		if (fd < 0)
			return -1;
		is_held = flock(fd, LOCK_EX | LOCK_NB) == 0;
		/* The last holder may have removed the file between our open and our lock. */
		if (is_held && is_our_file(fd, name))
			return fd;
		close(fd);
		if (!is_held)
			nanosleep(&moment, NULL);
	}
	errno = EBUSY;
	return -1;
}

static void drop_lock(int fd, const char *name)
{
	unlink(name); /* first: nobody else may hold it then */
	close(fd);
}

/* Removes what a starter that died has left under the second name. */
static int clear_name(const char *name, struct err *err)
{
	struct stat st;

	if (lstat(name, &st) < 0)
		return errno == ENOENT ? 0 : failed(err, name, "look at it");
	if (!S_ISSOCK(st.st_mode))
		return refuse(err, EEXIST, name, what_is(st.st_mode));
	if (unlink(name) < 0)
		return failed(err, name, "replace it");
	return 0;
}

static int bind_closed(int fd, const char *name, struct err *err)
{
	struct sockaddr_un sun = address_of(name);

	/* The file inherits the socket's mode: nobody may connect until the rights are set. */
	if (clear_name(name, err) < 0)
		return -1;
	if (fchmod(fd, 0) < 0 || bind(fd, (struct sockaddr *)&sun, sizeof sun) < 0)
		return failed(err, name, "bind");
	return 0;
}

static int set_rights(
    const char *name, const char *path, const struct listener_options *options, struct err *err)
{
	bool has_owner = options->owner != (uid_t)-1 || options->group != (gid_t)-1;

	if (has_owner && lchown(name, options->owner, options->group) < 0)
		return failed(err, path, "give it to its owner and group");
	if (chmod(name, options->mode & RIGHTS_BITS) < 0)
		return failed(err, path, "set its mode");
	return 0;
}

static int publish(int fd, const char *name, const char *path,
    const struct listener_options *options, struct err *err)
{
	if (set_rights(name, path, options, err) < 0)
		return -1;
	if (listen(fd, options->backlog ? options->backlog : DEFAULT_QUEUE) < 0)
		return failed(err, path, "listen");
	if (strcmp(name, path) != 0 && rename(name, path) < 0)
		return failed(err, path, "put the socket in its place");
	return 0;
}

static int listen_locked(
    int fd, const char *path, const struct listener_options *options, struct err *err)
{
	char beside[NAME_ROOM];
	const char *name = beside;

	if (check_place(path, options, err) < 0)
		return -1;
	if ((size_t)snprintf(beside, sizeof beside, "%s" NEW_SUFFIX, path) > ADDRESS_PATH_MAX)
		name = path;
	if (bind_closed(fd, name, err) < 0)
		return -1;
	if (publish(fd, name, path, options, err) < 0) {
		unlink(name);
		return -1;
	}
	return 0;
}

int socket_file_listen(
    int fd, const char *path, const struct listener_options *options, struct err *err)
{
	char name[NAME_ROOM];
	int lock, result;

	snprintf(name, sizeof name, "%s" LOCK_SUFFIX, path);
	lock = take_lock(name);
	if (lock < 0 && errno == EBUSY)
		return refuse(err, EADDRINUSE, path, "is being bound by another process");
	if (lock < 0)
		return failed(err, path, "lock it by a file beside it");
	result = listen_locked(fd, path, options, err);
	drop_lock(lock, name);
	return result;
}

struct socket_file socket_file_look(const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return (struct socket_file){0};
	return (struct socket_file){st.st_dev, st.st_ino};
}

void socket_file_remove(const char *path, const struct socket_file *file)
{
	struct socket_file now = socket_file_look(path);

	if (file->inode && now.inode == file->inode && now.device == file->device)
		unlink(path);
}
