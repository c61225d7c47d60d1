#include "net/http_ask.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <check.h>

#include "base/mem.h"
#include "support/suite.h"

/* A daemon that gives one answer, whatever it is asked. */
struct fake {
	int fd;
	char path[128];
	struct slice answer;
	char heard[4096];
	pthread_t thread;
};

static void *serve(void *arg)
{
	struct fake *fake = arg;
	int fd = accept(fake->fd, NULL, NULL);
	ssize_t n;
	size_t len = 0;

	while (strstr(fake->heard, "\r\n\r\n") == NULL &&
	       (n = recv(fd, fake->heard + len, sizeof fake->heard - 1 - len, 0)) > 0)
		len += (size_t)n;
	while (fake->answer.len &&
	       (n = send(fd, fake->answer.data, fake->answer.len, MSG_NOSIGNAL)) > 0)
		fake->answer = slice_from(fake->answer, (size_t)n);
	close(fd);
	return NULL;
}

static void start(struct fake *fake, struct slice answer)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	*fake = (struct fake){.answer = answer};
	/* A name in no file, given by the system. */
	fake->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(fake->fd, (struct sockaddr *)&address, sizeof(sa_family_t)), 0);
	ck_assert_int_eq(listen(fake->fd, 1), 0);
	ck_assert_int_eq(
	    getsockname(fake->fd, (struct sockaddr *)&address, &(socklen_t){sizeof address}), 0);
	snprintf(fake->path, sizeof fake->path, "@%s", address.sun_path + 1);
	ck_assert_int_eq(pthread_create(&fake->thread, NULL, serve, fake), 0);
}

/* Asks a daemon that answers so. */
static int ask_with(
    struct slice body, struct slice text, struct http_answer *answer, struct err *err)
{
	struct fake fake;
	int fd, rc;

	start(&fake, text);
	fd = http_ask_open(fake.path, 10, err);
	ck_assert_int_ge(fd, 0);
	rc = http_ask(fd, "POST", "/reload?dry_run=1", body, answer, err);
	close(fd);
	pthread_join(fake.thread, NULL);
	close(fake.fd);
	ck_assert_int_eq(strncmp(fake.heard, "POST /reload?dry_run=1 HTTP/1.1\r\n", 33), 0);
	ck_assert_ptr_nonnull(strstr(fake.heard, "\r\nConnection: close\r\n"));
	if (body.len) {
		ck_assert_ptr_nonnull(strstr(fake.heard, "\r\nContent-Type: application/json\r\n"));
		ck_assert_ptr_nonnull(strstr(fake.heard, "\r\nContent-Length: 14\r\n"));
		ck_assert_ptr_nonnull(strstr(fake.heard, "\r\n\r\n{\"weight\": 10}"));
	}
	return rc;
}

static int ask(struct slice text, struct http_answer *answer, struct err *err)
{
	return ask_with(SLICE_NONE, text, answer, err);
}

START_TEST(a_body_is_sent_as_json)
{
	struct http_answer answer;
	struct err err;

	ck_assert_int_eq(ask_with(SLICE_LIT("{\"weight\": 10}"),
			     SLICE_LIT("HTTP/1.1 200 OK\r\n\r\n"), &answer, &err),
	    0);
	ck_assert_int_eq(answer.status, 200);
	http_answer_fini(&answer);
}
END_TEST

START_TEST(an_answer_has_a_status_and_a_body)
{
	struct http_answer answer;
	struct err err;

	ck_assert_int_eq(ask(SLICE_LIT("HTTP/1.1 409 Conflict\r\nContent-Type: x\r\n"
				       "Content-Length: 5\r\n\r\nhello"),
			     &answer, &err),
	    0);
	ck_assert_int_eq(answer.status, 409);
	ck_assert(slice_eq_str(answer.body, "hello"));
	http_answer_fini(&answer);
	ck_assert_int_eq(ask(SLICE_LIT("HTTP/1.1 200 OK\r\n\r\n"), &answer, &err), 0);
	ck_assert_uint_eq(answer.body.len, 0);
	http_answer_fini(&answer);
}
END_TEST

START_TEST(what_is_no_whole_answer_is_an_error)
{
	static const char *const texts[] = {"", "HTTP/1.1 200 OK\r\n", "HTTP/1.0 200 OK\r\n\r\n",
	    "HTTP/1.1 2", "HTTP/1.1 \r\n\r\n", "hello\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n",
	    "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello",
	    "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhello"};
	struct http_answer answer;
	struct err err;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		ck_assert_msg(ask(slice_str(texts[i]), &answer, &err) < 0, "%s", texts[i]);
		http_answer_fini(&answer);
	}
}
END_TEST

START_TEST(an_answer_without_end_is_cut)
{
	size_t size = (size_t)17 << 20;
	char *bytes = mem_alloc(size);
	struct http_answer answer;
	struct err err;

	memset(bytes, 'x', size);
	ck_assert_int_lt(ask(slice_of(bytes, size), &answer, &err), 0);
	ck_assert_int_eq(err.code, EMSGSIZE);
	ck_assert_uint_lt(answer.all.len, size);
	http_answer_fini(&answer);
	free(bytes);
}
END_TEST

START_TEST(who_is_not_there_is_an_error)
{
	char longer[200];
	struct err err;

	memset(longer, 'x', sizeof longer - 1);
	longer[sizeof longer - 1] = '\0';
	ck_assert_int_eq(http_ask_open("/nowhere/admin.sock", 1, &err), -1);
	ck_assert_int_eq(err.code, ENOENT);
	ck_assert_int_eq(http_ask_open(longer, 1, &err), -1);
	ck_assert_int_eq(err.code, ENAMETOOLONG);
	ck_assert_int_eq(http_ask_open("", 1, &err), -1);
}
END_TEST

int main(void)
{
	const TTest *tests[] = {
	    an_answer_has_a_status_and_a_body,
	    what_is_no_whole_answer_is_an_error,
	    an_answer_without_end_is_cut,
	    who_is_not_there_is_an_error,
	    a_body_is_sent_as_json,
	};

	return suite_run("http_ask", tests, ARRAY_LEN(tests));
}
