#include "net/http_ask.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_MAX ((size_t)16 << 20)
#define TARGET_MAX 6144u

/* A name in no file is written with an @ and has a NUL in its place. */
static int fill_address(
    struct sockaddr_un *address, socklen_t *len, const char *path, struct err *err)
{
	size_t n = strlen(path);

	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (n == 0 || n >= sizeof address->sun_path)
		return err_set(err, ENAMETOOLONG, "the path of a socket has 1 to %zu bytes",
		    sizeof address->sun_path - 1);
	memcpy(address->sun_path, path, n);
	*len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + 1);
	if (path[0] == '@') {
		address->sun_path[0] = '\0';
		*len -= 1;
	}
	return 0;
}

int http_ask_open(const char *path, unsigned seconds, struct err *err)
{
	const struct timeval patience = {.tv_sec = (time_t)seconds};
	struct sockaddr_un address;
	socklen_t len = 0;
	int fd, code;

	if (fill_address(&address, &len, path, err) < 0)
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_set(err, errno, "%s", strerror(errno));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
	if (connect(fd, (const struct sockaddr *)&address, len) == 0)
		return fd;
	code = errno;
	close(fd);
	return err_set(err, code, "%s", strerror(code));
}

static int send_all(int fd, struct slice bytes, struct err *err)
{
	while (bytes.len) {
		ssize_t n = send(fd, bytes.data, bytes.len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(err, errno, "sending: %s", strerror(errno));
		bytes = slice_from(bytes, (size_t)n);
	}
	return 0;
}

static int receive_all(int fd, struct text *all, struct err *err)
{
	char part[16384];

	while (all->len < ANSWER_MAX) {
		ssize_t n = recv(fd, part, sizeof part, 0);

		if (n == 0)
			return 0;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return err_set(err, ETIMEDOUT, "no answer in time");
		if (n < 0)
			return err_set(err, errno, "waiting for the answer: %s", strerror(errno));
		text_add(all, slice_of(part, (size_t)n));
	}
	return err_set(err, EMSGSIZE, "the answer is longer than %zu bytes", ANSWER_MAX);
}

/* The length that the head states. False where there is none. */
static bool find_length(struct slice head, uint64_t *length)
{
	static const char name[] = "\r\nContent-Length: ";
	const uint8_t *at = memmem(head.data, head.len, name, sizeof name - 1);
	struct slice digits;
	size_t n = 0;

	if (at == NULL)
		return false;
	digits = slice_from(head, (size_t)(at - head.data) + sizeof name - 1);
	while (n < digits.len && digits.data[n] != '\r')
		n++;
	return slice_to_u64(slice_first(digits, n), length);
}

static int split(struct http_answer *answer, struct err *err)
{
	static const char version[] = "HTTP/1.1 ";
	struct slice all = slice_of(answer->all.bytes, answer->all.len);
	const uint8_t *end = all.len ? memmem(all.data, all.len, "\r\n\r\n", 4) : NULL;
	struct slice head = end ? slice_first(all, (size_t)(end - all.data) + 4) : SLICE_NONE;
	uint64_t status, length;

	if (!slice_starts(head, slice_str(version)) || head.len < sizeof version + 3 ||
	    !slice_to_u64(slice_sub(head, sizeof version - 1, 3), &status))
		return err_set(err, EPROTO, "the answer is no HTTP");
	answer->status = (int)status;
	answer->body = slice_from(all, head.len);
	if (find_length(head, &length) && answer->body.len != length)
		return err_set(
		    err, EPROTO, "the answer breaks off after %zu bytes", answer->body.len);
	return 0;
}

int http_ask_send(
    int fd, const char *method, const char *target, struct slice body, struct err *err)
{
	struct text request = {0};
	int rc;

	if (strlen(target) > TARGET_MAX)
		return err_set(err, EMSGSIZE, "the request is too long");
	text_printf(&request,
	    "%s %s HTTP/1.1\r\nHost: bridled\r\n%sContent-Length: %zu\r\nConnection: close\r\n\r\n",
	    method, target, body.len ? "Content-Type: application/json\r\n" : "", body.len);
	text_add(&request, body);
	rc = send_all(fd, slice_of(request.bytes, request.len), err);
	text_fini(&request);
	return rc;
}

int http_ask(int fd, const char *method, const char *target, struct slice body,
    struct http_answer *answer, struct err *err)
{
	*answer = (struct http_answer){0};
	if (http_ask_send(fd, method, target, body, err) < 0 ||
	    receive_all(fd, &answer->all, err) < 0)
		return -1;
	return split(answer, err);
}

void http_answer_fini(struct http_answer *answer)
{
	text_fini(&answer->all);
	*answer = (struct http_answer){0};
}
