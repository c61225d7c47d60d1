/* Which listener takes which of the sockets that were passed on, and that no other stays open. */
#include "daemon/inheritance.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <check.h>

#include "base/log.h"
#include "base/mem.h"
#include "support/descriptors.h"
#include "support/suite.h"

static struct inheritance *in;
static int before, log_lines;

static void count_line(const struct log_record *record)
{
	(void)record;
	log_lines++;
}

static void begin(void)
{
	log_set_sink(count_line);
	log_lines = 0;
	before = descriptors_open();
	in = inheritance_new();
}

static void end(void)
{
	inheritance_free(&in);
	ck_assert_int_eq(descriptors_open(), before);
}

static struct address address_of(const char *text)
{
	struct address address;
	struct err err;

	if (address_parse(&address, slice_str(text), &err) < 0)
		abort(); /* nothing is to be told on a descriptor that may be another by now */
	return address;
}

/* A socket that listens there; @bound says where that is. */
static int listening(const char *text, char *bound)
{
	struct address address = address_of(text);
	int fd = socket(address.sa.ss_family, SOCK_STREAM, 0);
	struct sockaddr_storage sa;
	socklen_t len = sizeof sa;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address.sa, address.len), 0);
	ck_assert_int_eq(listen(fd, 8), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	address_from_sockaddr(&address, (struct sockaddr *)&sa, len);
	strcpy(bound, address.text);
	return fd;
}

static bool takes(const char *listener, const char *asked, struct inherited *taken)
{
	struct address address = address_of(asked);
	const struct inheritance_wish wish = {false, listener, &address};

	return inheritance_take(in, &wish, taken);
}

static bool takes_and_closes(const char *listener, const char *asked)
{
	struct inherited taken;

	if (!takes(listener, asked, &taken))
		return false;
	close(taken.fd);
	return true;
}

START_TEST(what_was_asked_for_as_port_0_keeps_its_port)
{
	char bound[ADDRESS_TEXT_MAX];
	struct inherited taken;

	inheritance_add(
	    in, DOOR_LISTENER, 5, SLICE_LIT("127.0.0.1:0"), listening("127.0.0.1:0", bound));
	ck_assert(!takes("in", "127.0.0.2:0", &taken));
	ck_assert(takes("another", "127.0.0.1:0", &taken));
	ck_assert_uint_eq(taken.id, 5);
	ck_assert_str_eq(taken.bound.text, bound);
	close(taken.fd);
	ck_assert(!takes("in", "127.0.0.1:0", &taken)); /* once */
}
END_TEST

START_TEST(each_is_taken_once_in_the_order_they_came)
{
	char bound[2][ADDRESS_TEXT_MAX];
	struct inherited taken;

	for (uint32_t i = 0; i < 2; i++)
		inheritance_add(in, DOOR_LISTENER, i + 1, SLICE_LIT("127.0.0.1:0"),
		    listening("127.0.0.1:0", bound[i]));
	for (uint32_t i = 0; i < 2; i++) {
		ck_assert(takes("in", "127.0.0.1:0", &taken));
		ck_assert_uint_eq(taken.id, i + 1);
		close(taken.fd);
	}
}
END_TEST

START_TEST(the_admin_door_is_for_nobody_else)
{
	struct address asked = address_of("127.0.0.1:0");
	const struct inheritance_wish wish = {true, "admin", &asked};
	char bound[ADDRESS_TEXT_MAX];
	struct inherited taken;

	inheritance_add(
	    in, DOOR_ADMIN, 1, SLICE_LIT("127.0.0.1:0"), listening("127.0.0.1:0", bound));
	ck_assert(!takes("in", "127.0.0.1:0", &taken));
	ck_assert(inheritance_take(in, &wish, &taken));
	close(taken.fd);
}
END_TEST

static void note_id(void *arg, uint32_t id)
{
	*(uint32_t *)arg += id;
}

START_TEST(only_what_was_taken_is_told)
{
	char bound[ADDRESS_TEXT_MAX];
	uint32_t sum = 0;

	inheritance_add(
	    in, DOOR_LISTENER, 1, SLICE_LIT("127.0.0.1:0"), listening("127.0.0.1:0", bound));
	inheritance_add(
	    in, DOOR_ACTIVATED, 2, SLICE_LIT("127.0.0.2:0"), listening("127.0.0.2:0", bound));
	ck_assert(takes_and_closes("in", "127.0.0.2:0"));
	inheritance_visit_taken(in, note_id, &sum);
	ck_assert_uint_eq(sum, 2);
}
END_TEST

START_TEST(what_does_not_listen_is_closed)
{
	int pipes[2], quiet = socket(AF_INET, SOCK_STREAM, 0),
		      datagram = socket(AF_INET, SOCK_DGRAM, 0);
	struct inherited taken;

	ck_assert_int_eq(pipe(pipes), 0);
	inheritance_add(in, DOOR_LISTENER, 1, SLICE_LIT("127.0.0.1:0"), pipes[0]);
	inheritance_add(in, DOOR_LISTENER, 2, SLICE_LIT("127.0.0.1:0"), pipes[1]);
	inheritance_add(in, DOOR_LISTENER, 3, SLICE_LIT("127.0.0.1:0"), quiet);
	inheritance_add(in, DOOR_LISTENER, 4, SLICE_LIT("127.0.0.1:0"), datagram);
	ck_assert_int_eq(log_lines, 4);
	ck_assert(!takes("in", "127.0.0.1:0", &taken));
}
END_TEST

START_TEST(an_address_of_any_length_is_borne)
{
	char bound[ADDRESS_TEXT_MAX], asked[4096];

	memset(asked, 'a', sizeof asked);
	inheritance_add(
	    in, DOOR_LISTENER, 1, slice_of(asked, sizeof asked), listening("127.0.0.1:0", bound));
	ck_assert(!takes_and_closes("in", "127.0.0.1:0"));
}
END_TEST

/* --- from a service manager --- */

/* They begin at 3, where the test program has descriptors of its own. So it is looked at in a
 * process apart, which ends with the line of what is not so. */
#define must(what)                                                                                 \
	do {                                                                                       \
		if (!(what))                                                                       \
			_exit(__LINE__ % 199 + 1);                                                 \
	} while (0)

static void apart(void (*look)(void))
{
	pid_t process = fork();
	int status;

	ck_assert_int_ge(process, 0);
	if (process == 0) {
		look();
		_exit(0);
	}
	ck_assert_int_eq(waitpid(process, &status, 0), process);
	ck_assert_int_eq(status, 0);
}

static void from_manager(const int *fds, int n, const char *names, const char *pid)
{
	char number[24];

	for (int i = 0; i < n; i++)
		must(fcntl(fds[i], F_DUPFD, 100 + i) == 100 + i);
	for (int i = 0; i < n; i++)
		must(dup2(100 + i, 3 + i) == 3 + i);
	snprintf(number, sizeof number, "%d", (int)getpid());
	setenv("LISTEN_PID", pid ? pid : number, 1);
	snprintf(number, sizeof number, "%d", n);
	setenv("LISTEN_FDS", number, 1);
	if (names)
		setenv("LISTEN_FDNAMES", names, 1);
	else
		unsetenv("LISTEN_FDNAMES");
	inheritance_from_manager(in);
	must(!getenv("LISTEN_PID") && !getenv("LISTEN_FDS") && !getenv("LISTEN_FDNAMES"));
}

static void look_at_addresses(void)
{
	char bound[ADDRESS_TEXT_MAX], other[ADDRESS_TEXT_MAX];
	const int fds[] = {listening("127.0.0.1:0", other), listening("127.0.0.1:0", bound)};
	struct inherited taken;

	from_manager(fds, 2, NULL, NULL);
	must(takes("in", bound, &taken));
	must(taken.fd == 4 && taken.kind == DOOR_ACTIVATED && taken.id == 0);
	must(fcntl(taken.fd, F_GETFD) & FD_CLOEXEC);
	must(!takes("in", bound, &taken));
	inheritance_free(&in);
	must(fcntl(3, F_GETFD) < 0); /* nobody wanted it */
	must(fcntl(4, F_GETFD) >= 0);
}

START_TEST(a_socket_of_the_manager_is_known_by_its_address)
{
	apart(look_at_addresses);
}
END_TEST

static void look_at_names(void)
{
	char any[ADDRESS_TEXT_MAX], loopback[ADDRESS_TEXT_MAX], asked[64];
	const int fds[] = {listening("[::]:0", any), listening("127.0.0.1:0", loopback)};

	from_manager(fds, 2, "public:local", NULL);
	snprintf(asked, sizeof asked, "0.0.0.0%s", strrchr(any, ':'));
	must(!takes_and_closes("other", asked));
	must(takes_and_closes("public", asked));
	must(!takes_and_closes("local", "127.0.0.2:0")); /* the file says where */
	must(!takes_and_closes("local", "127.0.0.1:1"));
	must(takes_and_closes("local", "127.0.0.1:0"));
}

START_TEST(a_name_stands_for_port_0_and_for_any_family)
{
	apart(look_at_names);
}
END_TEST

static void look_at_one_name(void)
{
	char bound[2][ADDRESS_TEXT_MAX];
	const int fds[] = {listening("127.0.0.1:0", bound[0]), listening("127.0.0.1:0", bound[1])};

	from_manager(fds, 2, "in:in", NULL);
	must(takes_and_closes("in", bound[1]));
	must(takes_and_closes("in", bound[0]));
}

START_TEST(one_name_may_stand_for_several_sockets)
{
	apart(look_at_one_name);
}
END_TEST

static void look_at_few_names(void)
{
	char bound[2][ADDRESS_TEXT_MAX];
	const int fds[] = {listening("127.0.0.1:0", bound[0]), listening("127.0.0.1:0", bound[1])};

	from_manager(fds, 2, "in", NULL);
	must(takes_and_closes("in", "127.0.0.1:0"));
	must(!takes_and_closes("in", "127.0.0.1:0"));
	must(takes_and_closes("in", bound[1]));
}

START_TEST(names_may_be_fewer_than_sockets)
{
	apart(look_at_few_names);
}
END_TEST

static void look_at_others(void)
{
	char bound[ADDRESS_TEXT_MAX];
	const int fds[] = {listening("127.0.0.1:0", bound)};

	from_manager(fds, 1, "in", "1");
	must(!takes_and_closes("in", bound));
	must(fcntl(3, F_GETFD) == 0);
}

START_TEST(what_is_for_another_process_is_not_touched)
{
	apart(look_at_others);
}
END_TEST

START_TEST(numbers_that_are_none_are_no_sockets)
{
	static const char *const wrong[] = {"", "-1", "99999999999999999999", "3x", "0"};
	char number[24];

	snprintf(number, sizeof number, "%d", (int)getpid());
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct inherited taken;

		setenv("LISTEN_PID", number, 1);
		setenv("LISTEN_FDS", wrong[i], 1);
		inheritance_from_manager(in);
		ck_assert(!takes("in", "127.0.0.1:0", &taken));
	}
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {what_was_asked_for_as_port_0_keeps_its_port, 1},
	    {each_is_taken_once_in_the_order_they_came, 1},
	    {the_admin_door_is_for_nobody_else, 1},
	    {only_what_was_taken_is_told, 1},
	    {what_does_not_listen_is_closed, 1},
	    {an_address_of_any_length_is_borne, 1},
	    {a_socket_of_the_manager_is_known_by_its_address, 1},
	    {a_name_stands_for_port_0_and_for_any_family, 1},
	    {one_name_may_stand_for_several_sockets, 1},
	    {names_may_be_fewer_than_sockets, 1},
	    {what_is_for_another_process_is_not_touched, 1},
	    {numbers_that_are_none_are_no_sockets, 1},
	};

	return suite_run_between("inheritance", tests, ARRAY_LEN(tests), begin, end);
}
