/* upgrade: the program as it is installed now takes the place of the running one. */
#include <cJSON.h>

#include "ctl/answer.h"
#include "net/http_ask.h"

static void print_result(const struct ctl *ctl, const cJSON *root, bool ok)
{
	if (ok)
		fprintf(ctl->out, "upgraded, process %.0f serves\n", answer_number(root, "pid"));
	else
		fprintf(ctl->errors, "bridlectl: upgrade: the old process goes on: %s\n",
		    answer_text(root, "error"));
}

static enum ctl_exit run_upgrade(int argc, char **argv, struct ctl *ctl)
{
	struct http_answer answer;
	enum ctl_exit code;
	cJSON *root;
	bool ok;

	if (argc > 1)
		return ctl_refuse(ctl, &command_upgrade, "%s is not understood", argv[1]);
	code = ctl_ask(ctl, "POST", "/upgrade", SLICE_NONE, &answer);
	root = cJSON_ParseWithLength((const char *)answer.body.data, answer.body.len);
	if (code == CTL_DONE) {
		ok = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(root, "ok"));
		code = ok ? CTL_DONE : CTL_FAILED;
		if (root == NULL)
			fprintf(ctl->errors, "bridlectl: the answer is not understood\n");
		else if (ctl->json)
			answer_print_json(ctl, root);
		else
			print_result(ctl, root, ok);
	}
	cJSON_Delete(root);
	http_answer_fini(&answer);
	return code;
}

const struct command command_upgrade = {
    "upgrade", "", "let the program that is installed now take this one's place", run_upgrade};
