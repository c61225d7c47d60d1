/* An answer that goes on: lines out of chunks, however they arrive, and how it ends. */
#include "ctl/following.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <check.h>

#include "base/mem.h"
#include "support/suite.h"

#define HEAD     "HTTP/1.1 200 OK\r\nContent-Type: x\r\nTransfer-Encoding: chunked\r\n\r\n"
#define NO_CHUNK "HTTP/1.1 503 Busy\r\nContent-Length: 5\r\nConnection: close\r\n\r\n"

/* A daemon that says one thing, in parts of so many bytes. */
static struct {
	int fd;
	char path[128];
	struct slice answer;
	size_t part;
	pthread_t thread;
} fake;

static void *serve(void *arg)
{
	int fd = accept(fake.fd, NULL, NULL);
	char heard[4096];

	(void)arg;
	ck_assert_int_gt(recv(fd, heard, sizeof heard, 0), 0);
	while (fake.answer.len) {
		struct slice part = slice_first(fake.answer, fake.part);

		/* the other side may know by then how it ends, and be gone */
		if (send(fd, part.data, part.len, MSG_NOSIGNAL) < 0)
			break;
		fake.answer = slice_from(fake.answer, part.len);
	}
	close(fd);
	return NULL;
}

static void start(const char *answer, size_t part)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	fake.answer = slice_str(answer);
	fake.part = part;
	/* A name in no file, given by the system. */
	fake.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(fake.fd, (struct sockaddr *)&address, sizeof(sa_family_t)), 0);
	ck_assert_int_eq(listen(fake.fd, 1), 0);
	ck_assert_int_eq(
	    getsockname(fake.fd, (struct sockaddr *)&address, &(socklen_t){sizeof address}), 0);
	snprintf(fake.path, sizeof fake.path, "@%s", address.sun_path + 1);
	ck_assert_int_eq(pthread_create(&fake.thread, NULL, serve, NULL), 0);
}

/* "line|line|" and how it ended. */
static const char *read_as(const char *answer, size_t part, int *status)
{
	static char text[512];
	struct following f;
	struct slice line;
	struct err err;
	size_t len = 0;

	start(answer, part);
	ck_assert_int_eq(following_open(&f, fake.path, "/tap", &err), 0);
	for (;;) {
		enum following_got got = following_next(&f, &line, &err);

		if (got == FOLLOWING_LINE)
			len += (size_t)snprintf(text + len, sizeof text - len, "%.*s|",
			    (int)line.len, (const char *)line.data);
		if (got == FOLLOWING_END || got == FOLLOWING_BROKEN) {
			snprintf(text + len, sizeof text - len, "%s",
			    got == FOLLOWING_END ? "end" : "broken");
			break;
		}
	}
	*status = f.status;
	following_close(&f);
	pthread_join(fake.thread, NULL);
	close(fake.fd);
	return text;
}

static const struct {
	const char *answer, *lines;
	int status;
} answers[] = {
    {HEAD "0\r\n\r\n", "end", 200},
    {HEAD "4\r\none\n\r\n0\r\n\r\n", "one|end", 200},
    {HEAD "4\r\none\n\r\n4\r\ntwo\n\r\n0\r\n\r\n", "one|two|end", 200},
    {HEAD "2\r\non\r\n6\r\ne\ntwo\n\r\n0\r\n\r\n", "one|two|end", 200},
    {HEAD "a\r\none\n\ntwo\n\n\r\n0\r\n\r\n", "one||two||end", 200},
    {HEAD "3\r\none\r\n0\r\n\r\n", "one|end", 200},
    {HEAD "4\r\none\n\r\n", "one|broken", 200},
    {HEAD "4\r\none\n\r\n4\r\ntw", "one|broken", 200},
    {HEAD "4\r\none\n\r\nx\r\n", "one|broken", 200},
    {HEAD "4\r\none\n\r\n\r\n", "one|broken", 200},
    {HEAD "4\r\none\n\r\nfffffffff\r\n", "one|broken", 200},
    {HEAD, "broken", 200},
    {NO_CHUNK "12345", "12345|end", 503},
    {"HTTP/1.1 200 OK\r\n\r\none\ntwo", "one|two|end", 200},
    {"HTTP/1.1 200 OK\r\n", "broken", 0},
    {"HTTP/1.1 abc OK\r\n\r\n", "broken", 0},
    {"SSH-2.0-x\r\n\r\n", "broken", 0},
    {"", "broken", 0},
};

START_TEST(lines_come_out_however_the_answer_arrives)
{
	size_t len = strlen(answers[_i].answer);

	for (size_t part = 1; part <= len + 1; part += part < 20 ? 1 : 40) {
		int status;
		const char *lines = read_as(answers[_i].answer, part, &status);

		ck_assert_str_eq(lines, answers[_i].lines);
		ck_assert_int_eq(status, answers[_i].status);
	}
}
END_TEST

START_TEST(where_nobody_listens_it_cannot_be_opened)
{
	struct following f;
	struct err err;

	ck_assert_int_eq(following_open(&f, "/nowhere/admin.sock", "/tap", &err), -1);
	ck_assert_int_eq(err.code, ENOENT);
	following_close(&f);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {lines_come_out_however_the_answer_arrives, ARRAY_LEN(answers)},
	    {where_nobody_listens_it_cannot_be_opened, 1},
	};

	return suite_run_between("following", tests, ARRAY_LEN(tests), NULL, NULL);
}
