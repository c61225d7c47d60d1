/* upgrade: the program as it is installed now takes the place of the running one. */
#include <cJSON.h>

#include "ctl/answer.h"

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
	enum ctl_exit code;
	cJSON *root;

	if (argc > 1)
		return ctl_refuse(ctl, &command_upgrade, "%s is not understood", argv[1]);
	code = answer_post(ctl, "/upgrade", SLICE_NONE, &root);
	if (root)
		print_result(ctl, root, code == CTL_DONE);
	cJSON_Delete(root);
	return code;
}

const struct command command_upgrade = {
    "upgrade", "", "let the program that is installed now take this one's place", run_upgrade};
