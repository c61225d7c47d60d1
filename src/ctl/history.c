/* What discovery said of a service, line by line. */
#include <string.h>

#include <cJSON.h>

#include "base/mem.h"
#include "ctl/answer.h"

static void print_history(const cJSON *root, FILE *out)
{
	static const char *const heads[] = {"TIME", "CHANGE", "ENDPOINT", "REVISION", "WHAT"};
	const cJSON *list = cJSON_GetObjectItemCaseSensitive(root, "changes"), *one;
	struct answer_table table;

	if (cJSON_GetArraySize(list) == 0) {
		fprintf(out, "nothing has changed; the endpoints of %s come from %s %s\n",
		    answer_text(root, "label"), answer_text(root, "from"),
		    answer_text(root, "registry"));
		return;
	}
	answer_table_init(&table, heads, ARRAY_LEN(heads));
	cJSON_ArrayForEach(one, list)
	{
		answer_table_add(&table, "%s", answer_text(one, "at"));
		answer_table_add(&table, "%s", answer_text(one, "change"));
		answer_table_add(&table, "%s", answer_text(one, "address"));
		answer_table_add(&table, "%s", answer_text(one, "revision"));
		answer_table_add(&table, "%s", answer_text(one, "text"));
	}
	answer_table_print(&table, out);
	answer_table_fini(&table);
}

static enum ctl_exit run_history(int argc, char **argv, struct ctl *ctl)
{
	enum ctl_exit code;
	cJSON *root;

	if (argc != 2)
		return ctl_refuse(ctl, &command_history, "the label of one service is needed");
	code = ctl_get_service(ctl, "/history", argv[1], &root);
	if (code == CTL_DONE && ctl->json)
		code = answer_print_json(ctl, root);
	else if (code == CTL_DONE)
		print_history(root, ctl->out);
	cJSON_Delete(root);
	return code;
}

const struct command command_history = {
    "history", "SERVICE", "what its registry said, when, and what became of it", run_history};
