/* What can stand in place of SERVICE, ENDPOINT and others: what the daemon knows, for
 * completions. */
#include <string.h>
#include <unistd.h>

#include <cJSON.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/reason.h"
#include "ctl/answer.h"
#include "ctl/command.h"
#include "net/http_ask.h"

#define ANSWER_WITHIN_S 2 /* somebody has pressed a key and waits */

/* The list behind that path; NULL when there is none to be had. The caller owns it. */
static cJSON *ask(const struct ctl *ctl, const char *target)
{
	struct http_answer answer = {0};
	struct err err;
	int fd = http_ask_open(ctl->socket, ANSWER_WITHIN_S, &err);
	cJSON *root = NULL;

	if (fd < 0)
		return NULL;
	if (http_ask(fd, "GET", target, SLICE_NONE, &answer, &err) == 0 && answer.status == 200)
		root = cJSON_ParseWithLength((const char *)answer.body.data, answer.body.len);
	http_answer_fini(&answer);
	close(fd);
	return root;
}

static void print_members(const struct ctl *ctl, const cJSON *list, const char *name)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, list) fprintf(ctl->out, "%s\n", answer_text(item, name));
}

static void print_services(const struct ctl *ctl)
{
	cJSON *root = ask(ctl, "/services");

	print_members(ctl, root, "label");
	cJSON_Delete(root);
}

static void print_endpoints(const struct ctl *ctl)
{
	cJSON *root = ask(ctl, "/services");
	const cJSON *service;

	cJSON_ArrayForEach(service, root)
	    print_members(ctl, cJSON_GetObjectItemCaseSensitive(service, "endpoints"), "address");
	cJSON_Delete(root);
}

static void print_listeners(const struct ctl *ctl)
{
	cJSON *root = ask(ctl, "/status");

	print_members(ctl, cJSON_GetObjectItemCaseSensitive(root, "listeners"), "name");
	cJSON_Delete(root);
}

static void print_reasons(const struct ctl *ctl)
{
	for (int i = 0; i < REASON_COUNT; i++)
		fprintf(ctl->out, "%s\n", reason_name((enum reason)i));
}

static void print_levels(const struct ctl *ctl)
{
	for (int i = LOG_LEVEL_ERROR; i <= LOG_LEVEL_DEBUG; i++)
		fprintf(ctl->out, "%s\n", log_level_name((enum log_level)i));
}

void ctl_words(const struct ctl *ctl, const char *kind)
{
	static const struct {
		const char *kind;
		void (*print)(const struct ctl *ctl);
	} kinds[] = {
	    {"SERVICE", print_services},
	    {"SERVICE/METHOD", print_services},
	    {"ENDPOINT", print_endpoints},
	    {"LISTENER", print_listeners},
	    {"REASON", print_reasons},
	    {"LEVEL", print_levels},
	};

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (strcmp(kind, kinds[i].kind) == 0)
			kinds[i].print(ctl);
}
