/* log: how much the daemon's own log says, until the next reload. */
#include <string.h>

#include <cJSON.h>

#include "base/log.h"
#include "ctl/answer.h"
#include "net/http_ask.h"

static enum ctl_exit ask(const struct ctl *ctl, enum log_level level, cJSON **root)
{
	struct http_answer answer;
	enum ctl_exit code;
	char body[64];

	snprintf(body, sizeof body, "{\"level\":\"%s\"}", log_level_name(level));
	code = ctl_ask(ctl, "PUT", "/log", slice_str(body), &answer);
	*root = cJSON_ParseWithLength((const char *)answer.body.data, answer.body.len);
	if (code == CTL_DONE && answer.status != 200) {
		fprintf(ctl->errors, "bridlectl: refused: %s\n", answer_text(*root, "error"));
		code = CTL_FAILED;
	}
	http_answer_fini(&answer);
	return code;
}

static enum ctl_exit run_log(int argc, char **argv, struct ctl *ctl)
{
	enum log_level level;
	enum ctl_exit code;
	cJSON *root;

	if (argc != 2 || !log_level_parse(argv[1], &level))
		return ctl_refuse(
		    ctl, &command_log, "one of these is needed: error, warn, info, debug");
	code = ask(ctl, level, &root);
	if (code == CTL_DONE && ctl->json)
		code = answer_print_json(ctl, root);
	else if (code == CTL_DONE)
		fprintf(ctl->out, "the log level is %s, until the next reload\n",
		    log_level_name(level));
	cJSON_Delete(root);
	return code;
}

const struct command command_log = {
    "log", "LEVEL", "change how much the log says: error, warn, info, debug", run_log};
