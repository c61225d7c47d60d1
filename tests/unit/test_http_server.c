#include "daemon/http_server.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <check.h>

#include "base/mem.h"
#include "net/listener.h"
#include "net/loop.h"
#include "support/descriptors.h"
#include "support/suite.h"

#define BIG ((size_t)4 << 20) /* more than any socket takes at once */

static char directory[64], path[128];
static struct loop *loop;
static struct http_server *server;
static unsigned served, left;
static struct http_later *later;
static int before;

/* An asker of what comes later has gone. */
static void asker_left(void *arg)
{
	ck_assert_ptr_eq(arg, &left);
	left++;
	later = NULL;
}

/* Says what it was asked; /big is long, /later is left to the test. */
static void serve(void *arg, const struct http_request *request, struct http_reply *reply)
{
	ck_assert_ptr_eq(arg, &served);
	served++;
	if (slice_eq_str(request->path, "/later")) {
		later = http_reply_later(reply, asker_left, &left);
		return;
	}
	*reply = (struct http_reply){.status = 200, .type = "text/plain"};
	if (slice_eq_str(request->path, "/big")) {
		reply->len = BIG;
		reply->body = mem_calloc(1, BIG);
		memset(reply->body, 'x', BIG);
		return;
	}
	reply->body = mem_alloc(request->path.len + request->body.len);
	memcpy(reply->body, request->path.data, request->path.len);
	if (request->body.len)
		memcpy(reply->body + request->path.len, request->body.data, request->body.len);
	reply->len = request->path.len + request->body.len;
}

static void begin(void)
{
	struct listener_options options = {
	    .mode = 0600, .owner = (uid_t)-1, .group = (gid_t)-1, .label = "test"};
	struct address address, bound;
	struct err err;
	char text[160];
	int fd;

	before = descriptors_open();
	snprintf(directory, sizeof directory, "/tmp/test_http_server.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	snprintf(path, sizeof path, "%s/admin.sock", directory);
	snprintf(text, sizeof text, "unix:%s", path);
	ck_assert_int_eq(address_parse(&address, slice_str(text), &err), 0);
	loop = loop_new(&err);
	fd = listener_bind(&address, &options, &bound, &err);
	ck_assert_msg(fd >= 0, "%s", err.text);
	server = http_server_new(loop, fd, &bound, "test", serve, &served);
	served = left = 0;
	later = NULL;
}

static void end(void)
{
	http_server_free(&server);
	loop_free(&loop);
	ck_assert_int_eq(access(path, F_OK), -1); /* the socket's file goes with the server */
	ck_assert_int_eq(rmdir(directory), 0);
	ck_assert_int_eq(descriptors_open(), before);
}

static int dial(void)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(to.sun_path, path, strlen(path) + 1);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
	return fd;
}

static void say(int fd, const char *text)
{
	ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Turns the loop until @end stands in what came, or the connection ends; returns what came. */
static const char *hear(int fd, const char *until)
{
	static char heard[65536];
	size_t len = 0;

	for (;;) {
		ssize_t n = recv(fd, heard + len, sizeof heard - 1 - len, MSG_DONTWAIT);

		if (n == 0)
			break;
		if (n > 0)
			len += (size_t)n;
		heard[len] = '\0';
		if (until && strstr(heard, until))
			break;
		loop_turn(loop, 10 * USEC_MS);
	}
	heard[len] = '\0';
	return heard;
}

static void has(const char *heard, const char *part)
{
	ck_assert_msg(strstr(heard, part) != NULL, "%s is missing in %s", part, heard);
}

START_TEST(only_the_owner_may_open_the_socket)
{
	struct stat st;

	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
}
END_TEST

START_TEST(a_connection_serves_one_request_after_another)
{
	int fd = dial();

	say(fd, "GET /one HTTP/1.1\r\nHost: x\r\n\r\n");
	has(hear(fd, "/one"), "HTTP/1.1 200 OK\r\n");
	say(fd, "PUT /two HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody");
	has(hear(fd, "/twobody"), "Content-Length: 8\r\n");
	close(fd);
}
END_TEST

START_TEST(requests_sent_at_once_are_answered_in_order)
{
	int fd = dial();

	say(fd, "GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\nConnection: close\r\n\r\n");
	has(strstr(hear(fd, NULL), "/a"), "/b");
	ck_assert_uint_eq(served, 2);
	close(fd);
}
END_TEST

START_TEST(a_head_is_answered_without_the_body)
{
	int fd = dial();
	const char *heard;

	say(fd, "HEAD /one HTTP/1.1\r\n\r\nGET /second HTTP/1.1\r\n\r\n");
	heard = hear(fd, "/second");
	has(heard, "Content-Length: 4\r\n");
	has(heard, "\r\n\r\nHTTP/1.1 200 OK\r\n");
	ck_assert_ptr_null(strstr(heard, "/one"));
	close(fd);
}
END_TEST

START_TEST(a_request_may_come_byte_by_byte)
{
	static const char text[] = "GET /slow HTTP/1.1\r\nConnection: close\r\n\r\n";
	int fd = dial();

	for (const char *at = text; *at; at++) {
		ck_assert_int_eq(send(fd, at, 1, MSG_NOSIGNAL), 1);
		loop_turn(loop, 10 * USEC_MS);
	}
	has(hear(fd, NULL), "/slow");
	close(fd);
}
END_TEST

START_TEST(a_bad_request_is_answered_and_ends_the_connection)
{
	int fd = dial();

	say(fd, "nonsense\r\n\r\n");
	has(hear(fd, NULL), "HTTP/1.1 400 Bad Request\r\n");
	ck_assert_uint_eq(served, 0);
	close(fd);
}
END_TEST

START_TEST(a_body_is_asked_for_where_it_is_held_back)
{
	int fd = dial();

	say(fd, "PUT /x HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
	has(hear(fd, "\r\n\r\n"), "100 Continue");
	say(fd, "ok");
	has(hear(fd, "/xok"), "200 OK");
	close(fd);
}
END_TEST

/* Reads on until @tail has come. Returns how many bytes came. */
static size_t swallow(int fd, const char *tail)
{
	static char part[65536];
	size_t len = 0, n_tail = strlen(tail), kept = 0; /* the tail may come in two pieces */

	for (;;) {
		ssize_t n = recv(fd, part + kept, sizeof part - kept, MSG_DONTWAIT);
		size_t have = kept + (n > 0 ? (size_t)n : 0);

		len += have - kept;
		if (have >= n_tail && memcmp(part + have - n_tail, tail, n_tail) == 0)
			return len;
		kept = have < n_tail ? have : n_tail;
		memmove(part, part + have - kept, kept);
		loop_turn(loop, 10 * USEC_MS);
	}
}

START_TEST(a_long_answer_arrives_whole)
{
	int fd = dial();
	size_t len = 0;
	const char *rest;

	say(fd, "GET /big HTTP/1.1\r\nConnection: close\r\n\r\n");
	while (len < BIG)
		len += swallow(fd, "x");
	rest = hear(fd, NULL); /* to the end of the connection */
	ck_assert_uint_eq(strspn(rest, "x"), strlen(rest));
	close(fd);
}
END_TEST

START_TEST(what_waits_behind_a_long_answer_is_served_after_it)
{
	int fd = dial();

	say(fd, "GET /big HTTP/1.1\r\n\r\nGET /after HTTP/1.1\r\n\r\n");
	ck_assert_uint_gt(swallow(fd, "/after"), BIG);
	ck_assert_uint_eq(served, 2);
	close(fd);
}
END_TEST

START_TEST(nothing_may_wait_behind_a_long_answer)
{
	int fd = dial();
	size_t len = 0;

	say(fd, "GET /big HTTP/1.1\r\n\r\n");
	while (len < BIG)
		len += swallow(fd, "x");
	say(fd, "GET /after HTTP/1.1\r\n\r\n");
	swallow(fd, "/after");
	close(fd);
}
END_TEST

START_TEST(a_caller_may_leave_at_any_moment)
{
	int fd;

	for (int i = 0; i < 3; i++) {
		fd = dial();
		if (i == 1)
			say(fd, "GET /half HTT");
		if (i == 2)
			say(fd, "GET /big HTTP/1.1\r\n\r\n");
		loop_turn(loop, 10 * USEC_MS);
		close(fd);
		for (int turn = 0; turn < 5; turn++)
			loop_turn(loop, USEC_MS);
	}
	fd = dial();
	say(fd, "GET /still HTTP/1.1\r\n\r\n");
	hear(fd, "/still");
	close(fd);
}
END_TEST

START_TEST(who_has_just_come_is_about_to_ask)
{
	int fd;

	ck_assert(!http_server_is_asked_soon(server));
	fd = dial();
	ck_assert(http_server_is_asked_soon(server)); /* though nobody has let it in yet */
	say(fd, "GET /a HTTP/1.1\r\n\r\n");
	has(hear(fd, "/a"), "200 OK");
	ck_assert(!http_server_is_asked_soon(server));
	close(fd);
	fd = dial();
	ck_assert(http_server_is_asked_soon(server));
	close(fd);
	while (http_server_is_asked_soon(server))
		loop_turn(loop, 10 * USEC_MS);
}
END_TEST

START_TEST(connections_above_the_limit_are_closed)
{
	int fds[HTTP_CONNECTIONS + 1];

	for (unsigned i = 0; i <= HTTP_CONNECTIONS; i++) {
		fds[i] = dial();
		loop_turn(loop, 10 * USEC_MS);
	}
	ck_assert_str_eq(hear(fds[HTTP_CONNECTIONS], NULL), "");
	say(fds[0], "GET /first HTTP/1.1\r\n\r\n");
	hear(fds[0], "/first");
	for (unsigned i = 0; i <= HTTP_CONNECTIONS; i++)
		close(fds[i]);
}
END_TEST

START_TEST(above_what_anybody_is_allowed_the_silent_give_way)
{
	int fds[4];

	http_server_allow(server, 3);
	for (unsigned i = 0; i < 3; i++) {
		fds[i] = dial();
		loop_turn(loop, 10 * USEC_MS);
	}
	say(fds[0], "GET /first HTTP/1.1\r\n\r\n");
	hear(fds[0], "/first");
	fds[3] = dial();
	say(fds[3], "GET /next HTTP/1.1\r\n\r\n");
	has(hear(fds[3], "/next"), "200 OK");
	ck_assert_str_eq(hear(fds[1], NULL), "");
	for (unsigned i = 0; i < 3; i += 2) {
		say(fds[i], "GET /still HTTP/1.1\r\n\r\n");
		has(hear(fds[i], "/still"), "200 OK");
	}
	for (unsigned i = 0; i < 4; i++)
		close(fds[i]);
}
END_TEST

static void ask_for_later(int fd, const char *request)
{
	say(fd, request);
	for (int turn = 0; turn < 100 && later == NULL; turn++)
		loop_turn(loop, 10 * USEC_MS);
	ck_assert_ptr_nonnull(later);
}

static void answer_later(const char *text)
{
	struct http_reply reply = {.status = 200, .type = "text/plain"};

	reply.body = mem_strdup(text);
	reply.len = strlen(text);
	http_later_answer(&later, &reply);
	ck_assert_ptr_null(later);
}

START_TEST(an_answer_may_come_later_and_what_waits_behind_it_is_served_then)
{
	int fd = dial();

	ask_for_later(fd, "GET /later HTTP/1.1\r\n\r\nGET /after HTTP/1.1\r\n\r\n");
	for (int turn = 0; turn < 5; turn++)
		loop_turn(loop, USEC_MS);
	ck_assert_uint_eq(served, 1);
	answer_later("at last");
	has(strstr(hear(fd, "/after"), "at last"), "/after");
	ck_assert_uint_eq(left, 0);
	close(fd);
}
END_TEST

START_TEST(who_ends_its_side_still_gets_the_answer_that_is_owed)
{
	int fd = dial();

	ask_for_later(fd, "GET /later HTTP/1.1\r\n\r\n");
	shutdown(fd, SHUT_WR);
	for (int turn = 0; turn < 5; turn++)
		loop_turn(loop, USEC_MS);
	answer_later("at last");
	has(hear(fd, NULL), "at last");
	close(fd);
}
END_TEST

START_TEST(who_is_owed_an_answer_and_leaves_is_told_of)
{
	int fd = dial();

	ask_for_later(fd, "GET /later HTTP/1.1\r\n\r\n");
	close(fd);
	for (int turn = 0; turn < 100 && left == 0; turn++)
		loop_turn(loop, 10 * USEC_MS);
	ck_assert_uint_eq(left, 1);
}
END_TEST

START_TEST(a_server_that_ends_owes_nothing_more)
{
	int fd = dial();

	ask_for_later(fd, "GET /later HTTP/1.1\r\n\r\n");
	http_server_free(&server);
	ck_assert_uint_eq(left, 1);
	close(fd);
}
END_TEST

START_TEST(an_answer_that_goes_on_comes_in_chunks)
{
	int fd = dial();
	const char *heard;

	ask_for_later(fd, "GET /later HTTP/1.1\r\n\r\n");
	http_later_begin(later, 200, "application/x-ndjson");
	ck_assert(http_later_write(later, SLICE_LIT("first line\n")));
	has(hear(fd, "first line"), "Transfer-Encoding: chunked\r\n");
	ck_assert(http_later_write(later, SLICE_LIT("second\n")));
	http_later_end(&later);
	heard = hear(fd, NULL);
	has(heard, "7\r\nsecond\n\r\n0\r\n\r\n");
	ck_assert_uint_eq(left, 0);
	close(fd);
}
END_TEST

START_TEST(an_old_asker_gets_it_without_chunks)
{
	int fd = dial();
	const char *heard;

	ask_for_later(fd, "GET /later HTTP/1.0\r\n\r\n");
	http_later_begin(later, 200, "text/plain");
	ck_assert(http_later_write(later, SLICE_LIT("one")));
	ck_assert(http_later_write(later, SLICE_LIT("two")));
	http_later_end(&later);
	heard = hear(fd, NULL);
	has(heard, "\r\n\r\nonetwo");
	ck_assert_ptr_null(strstr(heard, "chunked"));
	close(fd);
}
END_TEST

START_TEST(who_does_not_read_gets_no_more_than_so_much)
{
	int fd = dial();
	static char part[16384];
	size_t taken = 0;

	memset(part, 'x', sizeof part);
	ask_for_later(fd, "GET /later HTTP/1.1\r\n\r\n");
	http_later_begin(later, 200, "text/plain");
	while (http_later_write(later, slice_of(part, sizeof part)) && taken < BIG)
		taken += sizeof part;
	ck_assert_uint_lt(taken, BIG);
	ck_assert(!http_later_write(later, SLICE_LIT("more")));
	http_later_end(&later);
	close(fd);
}
END_TEST

START_TEST(who_leaves_an_answer_that_goes_on_is_told_of_once)
{
	int fd = dial();

	ask_for_later(fd, "GET /later HTTP/1.1\r\n\r\n");
	http_later_begin(later, 200, "text/plain");
	close(fd);
	for (int turn = 0; turn < 100 && left == 0; turn++) {
		if (later)
			http_later_write(later, SLICE_LIT("line\n"));
		loop_turn(loop, 10 * USEC_MS);
	}
	ck_assert_uint_eq(left, 1);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {only_the_owner_may_open_the_socket, 1},
	    {a_connection_serves_one_request_after_another, 1},
	    {requests_sent_at_once_are_answered_in_order, 1},
	    {a_head_is_answered_without_the_body, 1},
	    {a_request_may_come_byte_by_byte, 1},
	    {a_bad_request_is_answered_and_ends_the_connection, 1},
	    {a_body_is_asked_for_where_it_is_held_back, 1},
	    {a_long_answer_arrives_whole, 1},
	    {what_waits_behind_a_long_answer_is_served_after_it, 1},
	    {nothing_may_wait_behind_a_long_answer, 1},
	    {a_caller_may_leave_at_any_moment, 1},
	    {who_has_just_come_is_about_to_ask, 1},
	    {connections_above_the_limit_are_closed, 1},
	    {above_what_anybody_is_allowed_the_silent_give_way, 1},
	    {an_answer_may_come_later_and_what_waits_behind_it_is_served_then, 1},
	    {who_ends_its_side_still_gets_the_answer_that_is_owed, 1},
	    {who_is_owed_an_answer_and_leaves_is_told_of, 1},
	    {a_server_that_ends_owes_nothing_more, 1},
	    {an_answer_that_goes_on_comes_in_chunks, 1},
	    {an_old_asker_gets_it_without_chunks, 1},
	    {who_does_not_read_gets_no_more_than_so_much, 1},
	    {who_leaves_an_answer_that_goes_on_is_told_of_once, 1},
	};

	return suite_run_between("http_server", tests, ARRAY_LEN(tests), begin, end);
}
