/* The commands that show what the daemon says of itself. */
#include <stdlib.h>
#include <string.h>

#include <cJSON.h>

#include "base/arena.h"
#include "base/mem.h"
#include "ctl/answer.h"
#include "model/yaml.h"
#include "net/http_ask.h"

#define LABEL_MAX 200u

static const cJSON *member(const cJSON *object, const char *name)
{
	return cJSON_GetObjectItemCaseSensitive(object, name);
}

/* --- status --- */

static void print_last_reload(const cJSON *config, FILE *out)
{
	const cJSON *last = member(config, "last_reload");

	if (!cJSON_IsObject(last))
		fprintf(out, "last reload  none\n");
	else if (cJSON_IsTrue(member(last, "ok")))
		fprintf(out, "last reload  %s, done\n", answer_text(last, "at"));
	else
		fprintf(out, "last reload  %s, refused: %s\n", answer_text(last, "at"),
		    answer_text(last, "error"));
}

static void print_registries(const cJSON *list, FILE *out)
{
	const cJSON *one;
	char age[24];

	cJSON_ArrayForEach(one, list)
	{
		bool is_up = cJSON_IsTrue(member(one, "up"));
		const char *error = answer_text(one, "error");

		fprintf(out, "registry     %s (%s) is %s", answer_text(one, "name"),
		    answer_text(one, "type"), is_up ? "up" : "not up");
		if (cJSON_IsNumber(member(one, "age_s")))
			fprintf(out, ", heard %s ago",
			    answer_usec(answer_number(one, "age_s") * 1e6, age));
		fprintf(out, "; services %.0f%s%s\n", answer_number(one, "services"),
		    *error ? "; " : "", error);
	}
}

static void print_status(const cJSON *root, FILE *out)
{
	const cJSON *config = member(root, "config"), *workers = member(root, "workers");
	const cJSON *listeners = member(root, "listeners");
	char up[24];

	fprintf(out, "bridled %s is %s; pid %.0f, up %s\n", answer_text(root, "version"),
	    answer_text(root, "state"), answer_number(root, "pid"),
	    answer_usec(answer_number(root, "uptime_s") * 1e6, up));
	fprintf(out, "config       %s, loaded %s\n", answer_text(config, "hash"),
	    answer_text(config, "loaded_at"));
	print_last_reload(config, out);
	fprintf(out, "workers      %d\n", cJSON_GetArraySize(workers));
	fprintf(out, "listeners    %d\n", cJSON_GetArraySize(listeners));
	print_registries(member(root, "registries"), out);
	fprintf(out, "connections  %.0f\n", answer_sum(workers, "connections"));
	fprintf(out, "calls        %.0f\n", answer_sum(workers, "calls"));
	fprintf(out, "memory       %.1f MiB\n",
	    answer_number(member(root, "memory"), "rss_bytes") / (1 << 20));
}

static enum ctl_exit run_status(int argc, char **argv, struct ctl *ctl)
{
	enum ctl_exit code;
	cJSON *root;

	if (argc > 1)
		return ctl_refuse(ctl, &command_status, "%s: no word is expected", argv[1]);
	code = answer_get(ctl, "/status", &root);
	if (code == CTL_DONE && ctl->json)
		code = answer_print_json(ctl, root);
	else if (code == CTL_DONE)
		print_status(root, ctl->out);
	cJSON_Delete(root);
	return code;
}

const struct command command_status = {
    "status", "", "version, state, configuration, load", run_status};

/* --- listeners --- */

/* An empty cell behind the first address of a listener. */
static void add_count(struct answer_table *table, bool is_first, double count)
{
	if (is_first)
		answer_table_add(table, "%.0f", count);
	else
		answer_table_add(table, "%s", "");
}

static void print_listeners(const cJSON *list, FILE *out)
{
	static const char *const heads[] = {"LISTENER", "#CONNECTIONS", "#CALLS", "ADDRESS"};
	struct answer_table table;
	const cJSON *one, *address;

	answer_table_init(&table, heads, ARRAY_LEN(heads));
	cJSON_ArrayForEach(one, list)
	{
		bool is_first = true;

		cJSON_ArrayForEach(address, member(one, "addresses"))
		{
			answer_table_add(&table, "%s", is_first ? answer_text(one, "name") : "");
			add_count(&table, is_first, answer_number(one, "connections"));
			add_count(&table, is_first, answer_number(one, "calls_total"));
			answer_table_add(
			    &table, "%s", cJSON_IsString(address) ? address->valuestring : "");
			is_first = false;
		}
	}
	answer_table_print(&table, out);
	answer_table_fini(&table);
}

static enum ctl_exit run_listeners(int argc, char **argv, struct ctl *ctl)
{
	const cJSON *list;
	enum ctl_exit code;
	cJSON *root;

	if (argc > 1)
		return ctl_refuse(ctl, &command_listeners, "%s: no word is expected", argv[1]);
	code = answer_get(ctl, "/status", &root);
	list = member(root, "listeners");
	if (code == CTL_DONE && ctl->json)
		code = answer_print_json(ctl, list);
	else if (code == CTL_DONE)
		print_listeners(list, ctl->out);
	cJSON_Delete(root);
	return code;
}

const struct command command_listeners = {
    "listeners", "", "addresses with the ports they got, connections, calls", run_listeners};

/* --- services and endpoints --- */

/* A label as the configuration allows it; anything else is in no daemon and in no request. */
static bool is_label(const char *text)
{
	size_t len = strlen(text);

	return len > 0 && len <= LABEL_MAX &&
	       strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") ==
		   len;
}

enum ctl_exit ctl_get_service(
    const struct ctl *ctl, const char *page, const char *label, cJSON **root)
{
	char target[LABEL_MAX + 16];

	*root = NULL;
	if (!is_label(label)) {
		fprintf(ctl->errors, "bridlectl: \"%s\" is no label of a service\n", label);
		return CTL_FAILED;
	}
	snprintf(target, sizeof target, "%s/%s", page, label);
	return answer_get(ctl, target, root);
}

static unsigned count_usable(const cJSON *endpoints)
{
	const cJSON *one;
	unsigned n = 0;

	cJSON_ArrayForEach(one, endpoints) n += strcmp(answer_text(one, "health"), "down") != 0 &&
						answer_number(one, "ejected_for_ms") == 0 &&
						!cJSON_IsTrue(member(one, "disabled"));
	return n;
}

/* In how many of its registries a service stands. */
static void add_registered(struct answer_table *table, const cJSON *registered)
{
	const cJSON *one;
	unsigned present = 0;

	cJSON_ArrayForEach(one, registered) present +=
	    strcmp(answer_text(one, "state"), "present") == 0;
	if (cJSON_GetArraySize(registered))
		answer_table_add(table, "%u of %d", present, cJSON_GetArraySize(registered));
	else
		answer_table_add(table, "-");
}

static void print_services(const cJSON *list, FILE *out)
{
	static const char *const heads[] = {"SERVICE", "STATE", "BREAKER", "#USABLE", "#ENDPOINTS",
	    "#IN-FLIGHT", "#CALLS", "#ERRORS", "FROM", "REGISTERED"};
	struct answer_table table;
	const cJSON *one;

	answer_table_init(&table, heads, ARRAY_LEN(heads));
	cJSON_ArrayForEach(one, list)
	{
		const cJSON *endpoints = member(one, "endpoints");

		answer_table_add(&table, "%s", answer_text(one, "label"));
		answer_table_add(&table, "%s", answer_text(one, "state"));
		answer_table_add(&table, "%s", answer_text(one, "breaker"));
		answer_table_add(&table, "%u", count_usable(endpoints));
		answer_table_add(&table, "%d", cJSON_GetArraySize(endpoints));
		answer_table_add(&table, "%.0f", answer_sum(endpoints, "in_flight"));
		answer_table_add(&table, "%.0f", answer_sum(endpoints, "calls_total"));
		answer_table_add(&table, "%.0f", answer_sum(endpoints, "errors_total"));
		answer_table_add(&table, "%s%s%s", answer_text(one, "from"),
		    *answer_text(one, "registry") ? " " : "", answer_text(one, "registry"));
		add_registered(&table, member(one, "registered"));
	}
	answer_table_print(&table, out);
	answer_table_fini(&table);
}

static void add_tags(struct answer_table *table, const cJSON *tags)
{
	char line[256] = "";
	size_t len = 0;
	const cJSON *tag;

	cJSON_ArrayForEach(tag, tags)
	{
		if (len < sizeof line)
			len += (size_t)snprintf(line + len, sizeof line - len, "%s%s=%s",
			    len ? "," : "", tag->string,
			    cJSON_IsString(tag) ? tag->valuestring : "");
	}
	answer_table_add(table, "%s", line);
}

static void add_orders(struct answer_table *table, const cJSON *one)
{
	bool is_disabled = cJSON_IsTrue(member(one, "disabled"));

	if (cJSON_IsNumber(member(one, "weight_ordered")))
		answer_table_add(table, "%sweight %.0f for %.0f", is_disabled ? "disabled, " : "",
		    answer_number(one, "weight_ordered"), answer_number(one, "weight_found"));
	else
		answer_table_add(table, "%s", is_disabled ? "disabled" : "-");
}

static void add_endpoint(struct answer_table *table, const cJSON *one)
{
	double ejected = answer_number(one, "ejected_for_ms");
	char room[24];

	answer_table_add(table, "%s", answer_text(one, "address"));
	answer_table_add(table, "%.0f", answer_number(one, "weight"));
	add_orders(table, one);
	answer_table_add(table, "%s", answer_text(one, "zone"));
	answer_table_add(table, "%s", answer_text(one, "health"));
	answer_table_add(table, "%s", ejected > 0 ? answer_usec(ejected * 1e3, room) : "-");
	answer_table_add(table, "%.0f", answer_number(one, "in_flight"));
	answer_table_add(table, "%.0f", answer_number(one, "connections"));
	answer_table_add(table, "%.0f", answer_number(one, "calls_total"));
	answer_table_add(table, "%.0f", answer_number(one, "errors_total"));
	answer_table_add(table, "%s", answer_usec(answer_number(one, "p50_us"), room));
	answer_table_add(table, "%s", answer_usec(answer_number(one, "p99_us"), room));
	add_tags(table, member(one, "tags"));
}

static void print_endpoints(const cJSON *list, FILE *out)
{
	static const char *const heads[] = {"ENDPOINT", "#WEIGHT", "ORDERED", "ZONE", "HEALTH",
	    "#EJECTED FOR", "#IN-FLIGHT", "#CONNECTIONS", "#CALLS", "#ERRORS", "#P50", "#P99",
	    "TAGS"};
	struct answer_table table;
	const cJSON *one;

	answer_table_init(&table, heads, ARRAY_LEN(heads));
	cJSON_ArrayForEach(one, list) add_endpoint(&table, one);
	answer_table_print(&table, out);
	answer_table_fini(&table);
}

static void print_registered(const cJSON *list, FILE *out)
{
	static const char *const heads[] = {"REGISTRY", "ADDRESS", "STATE", "#DRIFTS", "WHY"};
	struct answer_table table;
	const cJSON *one;

	answer_table_init(&table, heads, ARRAY_LEN(heads));
	cJSON_ArrayForEach(one, list)
	{
		answer_table_add(&table, "%s", answer_text(one, "registry"));
		answer_table_add(&table, "%s", answer_text(one, "address"));
		answer_table_add(&table, "%s", answer_text(one, "state"));
		answer_table_add(&table, "%.0f", answer_number(one, "drifts"));
		answer_table_add(&table, "%s", answer_text(one, "why"));
	}
	answer_table_print(&table, out);
	answer_table_fini(&table);
}

/* Where it is found, and how well that is known: "etcd main, stale, confirmed 12s ago; why". */
static void print_source(const cJSON *root, FILE *out)
{
	const char *registry = answer_text(root, "registry"), *error = answer_text(root, "error");
	char age[24];

	fprintf(out, "%s%s%s, %s", answer_text(root, "from"), *registry ? " " : "", registry,
	    answer_text(root, "state"));
	if (cJSON_IsNumber(member(root, "age_s")))
		fprintf(out, ", confirmed %s ago",
		    answer_usec(answer_number(root, "age_s") * 1e6, age));
	fprintf(out, "%s%s\n", *error ? "; " : "", error);
}

static void print_service(const cJSON *root, FILE *out)
{
	const cJSON *registered = member(root, "registered");
	const cJSON *endpoints = member(root, "endpoints");

	fprintf(out, "service    %s\n", answer_text(root, "label"));
	fprintf(out, "name       %s\n", answer_text(root, "name"));
	fprintf(out, "from       ");
	print_source(root, out);
	fprintf(out, "breaker    %s\n", answer_text(root, "breaker"));
	fprintf(out, "endpoints  %d, usable %u\n", cJSON_GetArraySize(endpoints),
	    count_usable(endpoints));
	if (cJSON_GetArraySize(registered)) {
		fputc('\n', out);
		print_registered(registered, out);
	}
	if (cJSON_GetArraySize(endpoints)) {
		fputc('\n', out);
		print_endpoints(endpoints, out);
	}
}

static enum ctl_exit run_services(int argc, char **argv, struct ctl *ctl)
{
	enum ctl_exit code;
	cJSON *root;

	if (argc > 2)
		return ctl_refuse(ctl, &command_services, "%s: one name is enough", argv[2]);
	code = argc == 2 ? ctl_get_service(ctl, "/services", argv[1], &root)
			 : answer_get(ctl, "/services", &root);
	if (code == CTL_DONE && ctl->json)
		code = answer_print_json(ctl, root);
	else if (code == CTL_DONE && argc == 2)
		print_service(root, ctl->out);
	else if (code == CTL_DONE)
		print_services(root, ctl->out);
	cJSON_Delete(root);
	return code;
}

const struct command command_services = {
    "services", "[SERVICE]", "services with their state, or one in full", run_services};

static enum ctl_exit run_endpoints(int argc, char **argv, struct ctl *ctl)
{
	enum ctl_exit code;
	cJSON *root;

	if (argc != 2)
		return ctl_refuse(ctl, &command_endpoints, "the label of one service is needed");
	code = ctl_get_service(ctl, "/services", argv[1], &root);
	if (code == CTL_DONE && ctl->json)
		code = answer_print_json(ctl, member(root, "endpoints"));
	else if (code == CTL_DONE) {
		print_endpoints(member(root, "endpoints"), ctl->out);
		if (strcmp(answer_text(root, "state"), "fresh") != 0)
			print_source(root, ctl->out);
	}
	cJSON_Delete(root);
	return code;
}

const struct command command_endpoints = {
    "endpoints", "SERVICE", "endpoints of a service: health, load, latency", run_endpoints};

/* --- config --- */

static size_t count_digits(const char *text)
{
	return strspn(text, "0123456789");
}

/* YAML has more ways to write one: 0660, 0x1f, .5. Those stay text. */
static bool is_json_number(const char *text)
{
	size_t whole = count_digits(text += *text == '-');

	if (whole == 0 || (whole > 1 && text[0] == '0'))
		return false;
	text += whole;
	if (*text != '.')
		return *text == '\0';
	return count_digits(text + 1) > 0 && text[1 + count_digits(text + 1)] == '\0';
}

static cJSON *scalar_to_json(const struct yaml_node *node)
{
	enum scalar_kind kind = node->is_plain ? yaml_scalar_kind(node) : SCALAR_TEXT;
	char *text = slice_dup(node->text);
	cJSON *item = NULL;

	if (kind == SCALAR_NUMBER && is_json_number(text))
		item = cJSON_CreateRaw(text);
	else if (kind == SCALAR_BOOL)
		item = cJSON_CreateBool(text[0] == 't' || text[0] == 'T');
	else if (kind == SCALAR_NULL)
		item = cJSON_CreateNull();
	else
		item = cJSON_CreateString(text);
	free(text);
	return item;
}

static cJSON *yaml_to_json(const struct yaml_node *node)
{
	cJSON *item;

	if (node->kind == NODE_SCALAR)
		return scalar_to_json(node);
	item = node->kind == NODE_MAP ? cJSON_CreateObject() : cJSON_CreateArray();
	for (const struct yaml_node *child = node->first; child; child = child->next) {
		char *key = slice_dup(child->key);

		if (node->kind == NODE_MAP)
			cJSON_AddItemToObject(item, key, yaml_to_json(child));
		else
			cJSON_AddItemToArray(item, yaml_to_json(child));
		free(key);
	}
	return item;
}

static enum ctl_exit print_config_as_json(const struct ctl *ctl, struct slice text)
{
	struct problems problems;
	struct arena arena;
	struct yaml_input in = {"/config", text, &arena, &problems, 0};
	const struct yaml_node *root;
	enum ctl_exit code = CTL_FAILED;

	problems_init(&problems);
	arena_init(&arena, NULL, 0);
	root = yaml_read(&in);
	if (root && problems.n_errors == 0) {
		cJSON *json = yaml_to_json(root);

		code = answer_print_json(ctl, json);
		cJSON_Delete(json);
	} else {
		problems_print(&problems, ctl->errors, false);
	}
	arena_fini(&arena);
	problems_fini(&problems);
	return code;
}

static enum ctl_exit run_config(int argc, char **argv, struct ctl *ctl)
{
	struct http_answer answer;
	enum ctl_exit code;

	if (argc > 1)
		return ctl_refuse(ctl, &command_config, "%s: no word is expected", argv[1]);
	code = ctl_ask(ctl, "GET", "/config", SLICE_NONE, &answer);
	if (code == CTL_DONE && answer.status != 200) {
		fprintf(ctl->errors, "bridlectl: refused: %.*s\n", (int)answer.body.len,
		    (const char *)answer.body.data);
		code = CTL_FAILED;
	} else if (code == CTL_DONE && ctl->json) {
		code = print_config_as_json(ctl, answer.body);
	} else if (code == CTL_DONE) {
		fwrite(answer.body.data, 1, answer.body.len, ctl->out);
	}
	http_answer_fini(&answer);
	return code;
}

const struct command command_config = {
    "config", "", "the effective configuration, and where each value is from", run_config};
