/* reload: the daemon reads its files anew and says what it thinks of them. */
#include <string.h>

#include <cJSON.h>

#include "ctl/answer.h"

static void print_problems(const cJSON *root, FILE *to)
{
	const cJSON *p;

	cJSON_ArrayForEach(p, cJSON_GetObjectItemCaseSensitive(root, "problems"))
	{
		bool warning = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(p, "warning"));
		const char *path = answer_text(p, "path");

		fprintf(to, "%s:%.0f:%.0f: %s: %s%s%s\n", answer_text(p, "file"),
		    answer_number(p, "line"), answer_number(p, "column"),
		    warning ? "warning" : "error", path, path[0] ? ": " : "",
		    answer_text(p, "text"));
		if (answer_text(p, "remedy")[0])
			fprintf(to, "    %s\n", answer_text(p, "remedy"));
	}
}

static void print_result(const struct ctl *ctl, const cJSON *root, bool is_dry, bool ok)
{
	const cJSON *key;

	print_problems(root, ctl->errors);
	cJSON_ArrayForEach(key, cJSON_GetObjectItemCaseSensitive(root, "not_applied"))
	    fprintf(ctl->errors, "bridlectl: %s: takes effect only at the next start\n",
		cJSON_IsString(key) ? key->valuestring : "");
	if (!ok)
		fprintf(
		    ctl->errors, "bridlectl: reload: refused: %s\n", answer_text(root, "error"));
	else if (is_dry)
		fprintf(ctl->out, "the new configuration is good; the old one stays in force\n");
	else
		fprintf(ctl->out, "reloaded, %s%s\n", answer_text(root, "hash"),
		    cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(root, "changed"))
			? ": nothing has changed"
			: "");
}

static enum ctl_exit run_reload(int argc, char **argv, struct ctl *ctl)
{
	bool is_dry = argc == 2 && strcmp(argv[1], "--dry-run") == 0;
	enum ctl_exit code;
	cJSON *root;

	if (argc > 1 && !is_dry)
		return ctl_refuse(ctl, &command_reload, "%s is not understood", argv[1]);
	code = answer_post(ctl, is_dry ? "/reload?dry_run=1" : "/reload", SLICE_NONE, &root);
	if (root)
		print_result(ctl, root, is_dry, code == CTL_DONE);
	cJSON_Delete(root);
	return code;
}

const struct command command_reload = {
    "reload", "[--dry-run]", "read the configuration anew; --dry-run: only check it", run_reload};
