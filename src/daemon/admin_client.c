#include "daemon/admin_client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cJSON.h>

#include "base/address.h"
#include "daemon/reload.h"
#include "daemon/text.h"

#define ANSWER_WITHIN_S 60 /* a reload reads files and binds addresses */
#define ANSWER_MAX      ((size_t)16 << 20)

/* Where the daemon of this configuration listens for its operator. */
static int find_socket(const struct options *options, struct address *address)
{
	struct problems problems;
	struct config *config;
	char text[ADDRESS_TEXT_MAX];
	struct err err;
	int found = -1;

	problems_init(&problems);
	config = reload_read(options, &problems);
	if (config == NULL) {
		problems_print(&problems, stderr, false);
		fprintf(stderr, "bridled: cannot tell where the daemon listens: %s has errors\n",
		    options->config_path);
	} else {
		snprintf(text, sizeof text, "unix:%s", config->admin.socket);
		found = address_parse(address, slice_str(text), &err);
		config_free(&config);
	}
	problems_fini(&problems);
	return found;
}

static int open_connection(const struct address *address)
{
	const struct timeval patience = {.tv_sec = ANSWER_WITHIN_S};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
	if (connect(fd, (const struct sockaddr *)&address->sa, address->len) == 0)
		return fd;
	close(fd);
	return -1;
}

/* A handle on the process that listens, to wait for its end; -1 when there is none to be had. */
static int open_process(int fd)
{
	struct ucred who;
	socklen_t len = sizeof who;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0 || who.pid <= 0)
		return -1;
	return (int)syscall(SYS_pidfd_open, who.pid, 0);
}

static int exchange(int fd, enum options_command command, struct text *answer)
{
	char request[128], part[4096];
	ssize_t n;
	int len = snprintf(request, sizeof request,
	    "POST /%s HTTP/1.1\r\nHost: bridled\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
	    options_command_name(command));

	if (send(fd, request, (size_t)len, MSG_NOSIGNAL) != len)
		return -1;
	while ((n = recv(fd, part, sizeof part, 0)) > 0 && answer->len < ANSWER_MAX)
		text_add(answer, slice_of(part, (size_t)n));
	return n < 0 ? -1 : 0;
}

static const char *text_of(const cJSON *object, const char *name)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

	return cJSON_IsString(item) ? item->valuestring : "";
}

static unsigned number_of(const cJSON *object, const char *name)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

	return cJSON_IsNumber(item) && item->valuedouble >= 0 ? (unsigned)item->valuedouble : 0;
}

static void print_problems(const cJSON *root)
{
	const cJSON *list = cJSON_GetObjectItemCaseSensitive(root, "problems"), *p;

	cJSON_ArrayForEach(p, list)
	{
		bool warning = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(p, "warning"));

		fprintf(stderr, "%s:%u:%u: %s: %s: %s\n", text_of(p, "file"), number_of(p, "line"),
		    number_of(p, "column"), warning ? "warning" : "error", text_of(p, "path"),
		    text_of(p, "text"));
		if (text_of(p, "remedy")[0])
			fprintf(stderr, "    %s\n", text_of(p, "remedy"));
	}
}

static bool report(enum options_command command, const struct text *answer)
{
	const char *body = answer->len ? memmem(answer->bytes, answer->len, "\r\n\r\n", 4) : NULL;
	size_t len = body ? answer->len - (size_t)(body + 4 - answer->bytes) : 0;
	cJSON *root = len ? cJSON_ParseWithLength(body + 4, len) : NULL;
	bool ok = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(root, "ok"));
	const cJSON *kept = cJSON_GetObjectItemCaseSensitive(root, "not_applied"), *key;

	print_problems(root);
	cJSON_ArrayForEach(key, kept)
	{
		if (cJSON_IsString(key))
			fprintf(stderr, "bridled: %s: takes effect only at the next start\n",
			    key->valuestring);
	}
	if (root == NULL)
		fprintf(stderr, "bridled: %s: the answer is not understood\n",
		    options_command_name(command));
	else if (!ok)
		fprintf(stderr, "bridled: %s: refused: %s\n", options_command_name(command),
		    text_of(root, "error"));
	cJSON_Delete(root);
	return ok;
}

static void wait_for_end(int process)
{
	struct pollfd p = {.fd = process, .events = POLLIN};

	while (poll(&p, 1, -1) < 0 && errno == EINTR)
		;
}

enum exit_code admin_client_run(const struct options *options)
{
	bool ends = options->command == COMMAND_STOP || options->command == COMMAND_QUIT;
	struct text answer = {0};
	struct address address;
	int fd, process = -1;
	bool ok = false;

	if (find_socket(options, &address) < 0)
		return EXIT_CODE_FAILED;
	fd = open_connection(&address);
	if (fd < 0) {
		fprintf(stderr,
		    "bridled: no daemon answers at %s: %s\n"
		    "    if admin.socket was changed: a running daemon keeps the old one until its end\n",
		    address.text, strerror(errno));
		return EXIT_CODE_FAILED;
	}
	if (ends)
		process = open_process(fd);
	if (exchange(fd, options->command, &answer) < 0)
		fprintf(stderr, "bridled: %s: %s\n", address.text, strerror(errno));
	else
		ok = report(options->command, &answer);
	close(fd);
	if (ok && process >= 0)
		wait_for_end(process);
	if (process >= 0)
		close(process);
	text_fini(&answer);
	return ok ? EXIT_CODE_OK : EXIT_CODE_FAILED;
}
