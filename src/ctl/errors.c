/* errors: why calls failed, how often, and what was said of the last one. */
#include <cJSON.h>

#include "base/mem.h"
#include "ctl/answer.h"

static const char *or_dash(const char *text)
{
	return *text ? text : "-";
}

static void add_error(struct answer_table *table, const cJSON *one)
{
	const cJSON *ago = cJSON_GetObjectItemCaseSensitive(one, "last_ago_s");
	char room[24];

	answer_table_add(table, "%s", or_dash(answer_text(one, "service")));
	answer_table_add(table, "%s", or_dash(answer_text(one, "method")));
	answer_table_add(table, "%s", answer_text(one, "reason"));
	answer_table_add(table, "%.0f", answer_number(one, "count"));
	if (cJSON_IsNumber(ago) && ago->valuedouble < 1)
		answer_table_add(table, "just now");
	else if (cJSON_IsNumber(ago))
		answer_table_add(table, "%s ago", answer_usec(ago->valuedouble * 1e6, room));
	else
		answer_table_add(table, "-");
	answer_table_add(table, "%s", answer_text(one, "detail"));
}

static void print_errors(const cJSON *root, FILE *out)
{
	static const char *const heads[] = {
	    "SERVICE", "METHOD", "REASON", "#COUNT", "#LAST", "WHAT HAPPENED"};
	const cJSON *one, *list = cJSON_GetObjectItemCaseSensitive(root, "errors");
	double left_out = answer_number(root, "left_out");
	struct answer_table table;

	if (cJSON_GetArraySize(list) == 0) {
		fprintf(out, "no call failed since %s\n", answer_text(root, "since"));
		return;
	}
	answer_table_init(&table, heads, ARRAY_LEN(heads));
	cJSON_ArrayForEach(one, list) add_error(&table, one);
	answer_table_print(&table, out);
	answer_table_fini(&table);
	if (left_out > 0)
		fprintf(
		    out, "and %.0f more; the metric bridle_calls_total has them all\n", left_out);
	fprintf(
	    out, "since %s; bridlectl why REASON explains a reason\n", answer_text(root, "since"));
}

static enum ctl_exit run_errors(int argc, char **argv, struct ctl *ctl)
{
	enum ctl_exit code;
	cJSON *root;

	if (argc > 1)
		return ctl_refuse(ctl, &command_errors, "%s: no word is expected", argv[1]);
	code = answer_get(ctl, "/errors", &root);
	if (code == CTL_DONE && ctl->json)
		code = answer_print_json(ctl, root);
	else if (code == CTL_DONE)
		print_errors(root, ctl->out);
	cJSON_Delete(root);
	return code;
}

const struct command command_errors = {
    "errors", "", "why calls failed, how often, and what happened last", run_errors};
