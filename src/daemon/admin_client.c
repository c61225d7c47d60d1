#include "daemon/admin_client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cJSON.h>

#include "base/mem.h"
#include "daemon/reload.h"
#include "net/http_ask.h"

#define ANSWER_WITHIN_S 60 /* a reload reads files and binds addresses */

/* Where the daemon of this configuration listens for its operator; from malloc, or NULL. */
static char *find_socket(const struct options *options)
{
	struct problems problems;
	struct config *config;
	char *path = NULL;

	problems_init(&problems);
	config = reload_read(options, &problems);
	if (config == NULL) {
		problems_print(&problems, stderr, false);
		fprintf(stderr, "bridled: cannot tell where the daemon listens: %s has errors\n",
		    options->config_path);
	} else {
		path = mem_strdup(config->admin.socket);
		config_free(&config);
	}
	problems_fini(&problems);
	return path;
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

static bool report(enum options_command command, struct slice answer)
{
	cJSON *root = cJSON_ParseWithLength((const char *)answer.data, answer.len);
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

static bool ask(int fd, const struct options *options, const char *path)
{
	struct http_answer answer;
	struct err err;
	char target[32];
	bool ok = false;

	snprintf(target, sizeof target, "/%s", options_command_name(options->command));
	if (http_ask(fd, "POST", target, SLICE_NONE, &answer, &err) < 0)
		fprintf(stderr, "bridled: %s: %s\n", path, err.text);
	else
		ok = report(options->command, answer.body);
	http_answer_fini(&answer);
	return ok;
}

enum exit_code admin_client_run(const struct options *options)
{
	bool ends = options->command == COMMAND_STOP || options->command == COMMAND_QUIT;
	char *path = find_socket(options);
	int fd, process = -1;
	struct err err;
	bool ok = false;

	if (path == NULL)
		return EXIT_CODE_FAILED;
	fd = http_ask_open(path, ANSWER_WITHIN_S, &err);
	if (fd < 0) {
		fprintf(stderr,
		    "bridled: no daemon answers at %s: %s\n"
		    "    if admin.socket was changed: a running daemon keeps the old one until its end\n",
		    path, err.text);
	} else {
		process = ends ? open_process(fd) : -1;
		ok = ask(fd, options, path);
		close(fd);
	}
	if (ok && process >= 0)
		wait_for_end(process);
	if (process >= 0)
		close(process);
	free(path);
	return ok ? EXIT_CODE_OK : EXIT_CODE_FAILED;
}
