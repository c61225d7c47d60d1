/* What may and may not stand in the way of a unix socket, and who wins a race for it. */
#include "net/socket_file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <check.h>

#include "base/address.h"
#include "base/mem.h"
#include "net/listener.h"
#include "support/descriptors.h"
#include "support/suite.h"

/* The linker puts these between the module and the system. */
int __real_bind(int fd, const struct sockaddr *sa, socklen_t len);
int __wrap_bind(int fd, const struct sockaddr *sa, socklen_t len);
int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);
int __real_flock(int fd, int what);
int __wrap_flock(int fd, int what);

static mode_t mode_at_bind, mode_at_rename;
static bool was_absent_at_rename, was_listening_at_rename;

static mode_t mode_of(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 ? st.st_mode : 0;
}

int __wrap_bind(int fd, const struct sockaddr *sa, socklen_t len)
{
	int result = __real_bind(fd, sa, len);

	if (result == 0)
		mode_at_bind = mode_of(((const struct sockaddr_un *)sa)->sun_path);
	return result;
}

static int try(const char *path)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int error;

	strcpy(sun.sun_path, path);
	error = connect(fd, (struct sockaddr *)&sun, sizeof sun) < 0 ? errno : 0;
	close(fd);
	return error;
}

int __wrap_rename(const char *from, const char *to)
{
	mode_at_rename = mode_of(from);
	was_absent_at_rename = mode_of(to) == 0;
	was_listening_at_rename = try(from) == 0;
	return __real_rename(from, to);
}

static int descriptors_before;
static char folder[32], path[120];
static const char *removed_at_lock; /* by its last holder, just before we get the lock */
static int locks;

int __wrap_flock(int fd, int what)
{
	locks++;
	if (removed_at_lock)
		unlink(removed_at_lock);
	removed_at_lock = NULL;
	return __real_flock(fd, what);
}

static struct err err;
static struct listener_options options;

static void begin(void)
{
	descriptors_before = descriptors_open();
	strcpy(folder, "/tmp/bridle-socket-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/s", folder);
	options = (struct listener_options){
	    .mode = 0640, .owner = (uid_t)-1, .group = (gid_t)-1, .label = "test"};
	err = (struct err){.text = ""};
}

/* The folder has to be empty: a lock or a second name left behind makes rmdir fail. */
static void end(void)
{
	unlink(path);
	ck_assert_int_eq(rmdir(folder), 0);
	ck_assert_int_eq(descriptors_open(), descriptors_before);
}

static int listen_here(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (socket_file_listen(fd, path, &options, &err) == 0)
		return fd;
	close(fd);
	return -1;
}

static void expect_served(void)
{
	int fd = listen_here();

	ck_assert_msg(fd >= 0, "%s", err.text);
	ck_assert_int_eq(try(path), 0);
	close(fd);
}

static void expect_refused(int code, const char *word)
{
	ck_assert_int_eq(listen_here(), -1);
	ck_assert_int_eq(err.code, code);
	ck_assert_msg(strstr(err.text, word), "%s", err.text);
	ck_assert_msg(strstr(err.text, path), "%s", err.text);
}

static void leave_file(const char *at)
{
	int fd = open(at, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	close(fd);
}

/* A socket that listens there, bound by the plain means; the caller closes it. */
static int listen_plainly(const char *at, int type, int backlog)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	strcpy(sun.sun_path, at);
	ck_assert_int_eq(__real_bind(fd, (struct sockaddr *)&sun, sizeof sun), 0);
	if (type == SOCK_STREAM)
		ck_assert_int_eq(listen(fd, backlog), 0);
	return fd;
}

static void leave_stale(const char *at)
{
	close(listen_plainly(at, SOCK_STREAM, 1));
}

/* --- rights --- */

START_TEST(nobody_can_connect_before_the_mode_is_right)
{
	static const mode_t masks[] = {0, 022, 077, 0777};
	mode_t mask = umask(masks[_i]);

	options.mode = 0666;
	expect_served();
	umask(mask);
	ck_assert_uint_eq(mode_at_bind, S_IFSOCK);
	ck_assert_uint_eq(mode_at_rename, S_IFSOCK | 0666);
	ck_assert(was_absent_at_rename);
	ck_assert(was_listening_at_rename);
	ck_assert_uint_eq(mode_of(path), S_IFSOCK | 0666);
}
END_TEST

START_TEST(owner_and_group_are_set)
{
	struct stat st;

	options.group = getegid();
	if (geteuid() == 0) {
		options.owner = 12345;
		options.group = 12346;
	}
	expect_served();
	ck_assert_int_eq(lstat(path, &st), 0);
	ck_assert_uint_eq(st.st_gid, options.group);
	if (geteuid() == 0)
		ck_assert_uint_eq(st.st_uid, 12345);
	/* and such a file is ours when it is stale */
	expect_served();
}
END_TEST

START_TEST(owner_that_may_not_be_set_is_an_error_that_leaves_nothing)
{
	if (geteuid() == 0)
		return; /* root may */
	options.owner = 0;
	expect_refused(EPERM, "owner");
}
END_TEST

/* --- what is in the way --- */

START_TEST(stale_socket_is_replaced)
{
	leave_stale(path);
	ck_assert_int_eq(try(path), ECONNREFUSED);
	expect_served();
	ck_assert(!was_absent_at_rename);
}
END_TEST

START_TEST(live_socket_is_left_alone)
{
	int fd = listen_plainly(path, SOCK_STREAM, 5);
	struct socket_file before = socket_file_look(path), after;

	expect_refused(EADDRINUSE, "served by another process");
	after = socket_file_look(path);
	ck_assert_uint_eq(before.inode, after.inode);
	ck_assert_int_eq(try(path), 0);
	close(fd);
}
END_TEST

START_TEST(live_socket_of_the_predecessor_is_replaced_while_it_listens)
{
	int old = listen_plainly(path, SOCK_STREAM, 5), fd;
	struct socket_file before = socket_file_look(path);

	options.predecessor = getpid();
	fd = listen_here();
	ck_assert_msg(fd >= 0, "%s", err.text);
	ck_assert_uint_ne(socket_file_look(path).inode, before.inode);
	socket_file_remove(path, &before); /* the old one's end takes nothing away */
	ck_assert_int_eq(try(path), 0);
	close(old);
	ck_assert_int_eq(try(path), 0);
	close(fd);
}
END_TEST

START_TEST(live_socket_of_another_than_the_predecessor_is_left_alone)
{
	int fd = listen_plainly(path, SOCK_STREAM, 5);

	options.predecessor = getppid();
	expect_refused(EADDRINUSE, "served by another process");
	close(fd);
}
END_TEST

START_TEST(live_socket_with_a_full_queue_is_left_alone)
{
	int fd = listen_plainly(path, SOCK_STREAM, 0), waiting[4], n = 0;
	struct sockaddr_un sun = {.sun_family = AF_UNIX};

	strcpy(sun.sun_path, path);
	do {
		waiting[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	} while (connect(waiting[n++], (struct sockaddr *)&sun, sizeof sun) == 0 && n < 4);
	ck_assert_int_eq(try(path), EAGAIN);
	expect_refused(EADDRINUSE, "served by another process");
	while (n)
		close(waiting[--n]);
	close(fd);
}
END_TEST

START_TEST(datagram_socket_is_left_alone)
{
	int fd = listen_plainly(path, SOCK_DGRAM, 0);

	expect_refused(EADDRINUSE, "another kind of socket");
	close(fd);
}
END_TEST

START_TEST(regular_file_is_left_alone)
{
	leave_file(path);
	expect_refused(EEXIST, "regular file");
	ck_assert(S_ISREG(mode_of(path)));
}
END_TEST

START_TEST(directory_is_left_alone)
{
	ck_assert_int_eq(mkdir(path, 0700), 0);
	expect_refused(EEXIST, "directory");
	ck_assert_int_eq(rmdir(path), 0);
}
END_TEST

START_TEST(fifo_is_left_alone)
{
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	expect_refused(EEXIST, "not a socket");
	ck_assert(S_ISFIFO(mode_of(path)));
}
END_TEST

START_TEST(symbolic_link_is_left_alone)
{
	char target[64];

	snprintf(target, sizeof target, "%s/t", folder);
	if (_i == 1)
		leave_stale(target);
	ck_assert_int_eq(symlink(_i == 2 ? "/etc/passwd" : target, path), 0);
	expect_refused(EEXIST, "symbolic link");
	ck_assert(S_ISLNK(mode_of(path)));
	unlink(target);
}
END_TEST

START_TEST(symbolic_link_to_the_folder_is_fine)
{
	char link[64];

	snprintf(link, sizeof link, "%s/d", folder);
	ck_assert_int_eq(symlink(folder, link), 0);
	snprintf(path, sizeof path, "%s/d/s", folder);
	expect_served();
	unlink(path);
	ck_assert_int_eq(unlink(link), 0);
}
END_TEST

START_TEST(stale_socket_of_somebody_else_is_left_alone)
{
	struct stat st;

	if (geteuid() != 0)
		return; /* only root can make one */
	leave_stale(path);
	ck_assert_int_eq(chown(path, 12345, 12345), 0);
	expect_refused(EPERM, "12345");
	ck_assert_int_eq(lstat(path, &st), 0);
	ck_assert_uint_eq(st.st_uid, 12345);
}
END_TEST

START_TEST(folder_that_is_not_there_is_an_error)
{
	snprintf(path, sizeof path, "%s/none/s", folder);
	expect_refused(ENOENT, "No such file");
}
END_TEST

/* --- long paths --- */

/* From where a second name fits to the longest there is. */
START_TEST(path_of_any_length_is_served)
{
	size_t len = strlen(folder);

	memset(path, 'p', sizeof path);
	memcpy(path, folder, len);
	path[len] = '/';
	path[ADDRESS_PATH_MAX - (size_t)_i] = '\0';
	expect_served();
	ck_assert_uint_eq(mode_at_bind, S_IFSOCK);
	ck_assert_uint_eq(mode_of(path), S_IFSOCK | 0640);
	expect_served(); /* the stale one is replaced */
}
END_TEST

/* --- leftovers of a starter that died --- */

START_TEST(leftovers_of_our_own_do_not_hinder)
{
	char beside[140], lock[140];

	snprintf(beside, sizeof beside, "%s.bridle", path);
	snprintf(lock, sizeof lock, "%s.bridle-lock", path);
	leave_stale(beside);
	leave_file(lock);
	expect_served();
	ck_assert_uint_eq(mode_of(beside), 0);
	ck_assert_uint_eq(mode_of(lock), 0);
}
END_TEST

START_TEST(file_of_somebody_under_the_second_name_is_left_alone)
{
	char beside[140];

	snprintf(beside, sizeof beside, "%s.bridle", path);
	leave_file(beside);
	expect_refused(EEXIST, "regular file");
	ck_assert_int_eq(unlink(beside), 0);
	ck_assert_uint_eq(mode_of(path), 0);
}
END_TEST

START_TEST(lock_held_for_long_is_an_error)
{
	char lock[140];
	int fd;

	snprintf(lock, sizeof lock, "%s.bridle-lock", path);
	fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_eq(flock(fd, LOCK_EX), 0);
	expect_refused(EADDRINUSE, "being bound");
	close(fd);
	ck_assert_int_eq(unlink(lock), 0);
}
END_TEST

START_TEST(lock_on_a_file_that_has_been_removed_is_no_lock)
{
	char lock[140];

	snprintf(lock, sizeof lock, "%s.bridle-lock", path);
	removed_at_lock = lock;
	locks = 0;
	expect_served();
	ck_assert_int_eq(locks, 2);
}
END_TEST

/* --- removing --- */

START_TEST(only_the_same_file_is_removed)
{
	struct socket_file ours, none = socket_file_look(path);
	int fd = listen_here();

	socket_file_remove(path, &none);
	ck_assert(S_ISSOCK(mode_of(path)));
	ours = socket_file_look(path);
	ck_assert_int_eq(unlink(path), 0);
	leave_file(path);
	socket_file_remove(path, &ours);
	ck_assert(S_ISREG(mode_of(path)));
	ck_assert_int_eq(unlink(path), 0);
	close(fd);
	fd = listen_here();
	ours = socket_file_look(path);
	socket_file_remove(path, &ours);
	ck_assert_uint_eq(mode_of(path), 0);
	close(fd);
}
END_TEST

/* --- races --- */

enum { STARTERS = 2, RACES = 200 };

static pthread_barrier_t line;
static int won[STARTERS];

static void *race(void *arg)
{
	int me = (int)(intptr_t)arg;
	struct err why;

	for (int i = 0; i < RACES; i++) {
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

		pthread_barrier_wait(&line);
		won[me] = socket_file_listen(fd, path, &options, &why) == 0;
		if (!won[me])
			ck_assert_msg(why.code == EADDRINUSE, "%s", why.text);
		pthread_barrier_wait(&line);
		if (me == 0) {
			ck_assert_int_eq(won[0] + won[1], 1);
			ck_assert_int_eq(try(path), 0);
			if (i % 2) /* else the next race is for a stale socket */
				unlink(path);
		}
		pthread_barrier_wait(&line);
		close(fd);
		pthread_barrier_wait(&line);
	}
	return NULL;
}

START_TEST(one_of_two_starters_wins_each_of_many_races)
{
	pthread_t threads[STARTERS];

	pthread_barrier_init(&line, NULL, STARTERS);
	for (int i = 0; i < STARTERS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, race, (void *)(intptr_t)i), 0);
	for (int i = 0; i < STARTERS; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&line);
}
END_TEST

START_TEST(the_path_is_told_of_what_was_bound)
{
	ck_assert(slice_eq_str(socket_file_path(SLICE_LIT("/run/a.sock.bridle")), "/run/a.sock"));
	ck_assert(slice_eq_str(socket_file_path(SLICE_LIT("/run/a.sock")), "/run/a.sock"));
	ck_assert(slice_eq_str(socket_file_path(SLICE_LIT(".bridle")), ".bridle"));
	ck_assert_uint_eq(socket_file_path(SLICE_NONE).len, 0);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {nobody_can_connect_before_the_mode_is_right, 4},
	    {owner_and_group_are_set, 1},
	    {owner_that_may_not_be_set_is_an_error_that_leaves_nothing, 1},
	    {stale_socket_is_replaced, 1},
	    {live_socket_is_left_alone, 1},
	    {live_socket_of_the_predecessor_is_replaced_while_it_listens, 1},
	    {live_socket_of_another_than_the_predecessor_is_left_alone, 1},
	    {live_socket_with_a_full_queue_is_left_alone, 1},
	    {datagram_socket_is_left_alone, 1},
	    {regular_file_is_left_alone, 1},
	    {directory_is_left_alone, 1},
	    {fifo_is_left_alone, 1},
	    {symbolic_link_is_left_alone, 3},
	    {symbolic_link_to_the_folder_is_fine, 1},
	    {stale_socket_of_somebody_else_is_left_alone, 1},
	    {folder_that_is_not_there_is_an_error, 1},
	    {path_of_any_length_is_served, 12},
	    {leftovers_of_our_own_do_not_hinder, 1},
	    {file_of_somebody_under_the_second_name_is_left_alone, 1},
	    {lock_held_for_long_is_an_error, 1},
	    {lock_on_a_file_that_has_been_removed_is_no_lock, 1},
	    {only_the_same_file_is_removed, 1},
	    {one_of_two_starters_wins_each_of_many_races, 1},
	    {the_path_is_told_of_what_was_bound, 1},
	};

	return suite_run_between("socket_file", tests, ARRAY_LEN(tests), begin, end);
}
