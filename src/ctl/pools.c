/* pools: connections to endpoints, and who waits for them. */
#include <cJSON.h>

#include "base/mem.h"
#include "ctl/answer.h"

static void add_endpoint(struct answer_table *table, const char *label, const cJSON *one)
{
	answer_table_add(table, "%s", label);
	answer_table_add(table, "%s", answer_text(one, "address"));
	answer_table_add(table, "%.0f", answer_number(one, "open"));
	answer_table_add(table, "%.0f", answer_number(one, "idle"));
	answer_table_add(table, "%.0f", answer_number(one, "leased"));
	answer_table_add(table, "%.0f", answer_number(one, "waiting"));
	answer_table_add(table, "%.0f", answer_number(one, "backlog_total"));
}

static void print_pools(const cJSON *list, FILE *out)
{
	static const char *const heads[] = {
	    "SERVICE", "ENDPOINT", "#OPEN", "#IDLE", "#LEASED", "#WAITING", "#BACKLOG"};
	const cJSON *service, *endpoint;
	struct answer_table table;

	answer_table_init(&table, heads, ARRAY_LEN(heads));
	cJSON_ArrayForEach(service, list)
	{
		const cJSON *of = cJSON_GetObjectItemCaseSensitive(service, "endpoints");
		const char *label = answer_text(service, "label");

		cJSON_ArrayForEach(endpoint, of)
		{
			add_endpoint(&table, label, endpoint);
			label = "";
		}
	}
	answer_table_print(&table, out);
	answer_table_fini(&table);
}

static enum ctl_exit run_pools(int argc, char **argv, struct ctl *ctl)
{
	enum ctl_exit code;
	cJSON *root;

	if (argc > 1)
		return ctl_refuse(ctl, &command_pools, "%s: no word is expected", argv[1]);
	code = answer_get(ctl, "/pools", &root);
	if (code == CTL_DONE && ctl->json)
		code = answer_print_json(ctl, root);
	else if (code == CTL_DONE)
		print_pools(root, ctl->out);
	cJSON_Delete(root);
	return code;
}

const struct command command_pools = {
    "pools", "", "connections to endpoints, and who waits for them", run_pools};
