/* explain: why a call would go where it would go, asked of the daemon or, with -c, of a file
 * alone. */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include <cJSON.h>

#include "base/mem.h"
#include "base/text.h"
#include "ctl/answer.h"
#include "model/config.h"
#include "model/explain_ask.h"
#include "model/file_snapshot.h"

/* The words of the command: what is asked, and how it is shown. */
struct request {
	const char *file; /* NULL: the daemon is asked */
	bool all;         /* values that are defaults, too */
	struct explain_ask ask;
	struct text query; /* the same as the daemon hears it; owned */
};

/* Options that are facts with a name of their own: --meta env=gray is the fact meta.env. */
enum { OPTION_NAMED = 256, OPTION_PLAIN, OPTION_ALL };

static const struct option options[] = {
    {"config", required_argument, NULL, 'c'},
    {"all", no_argument, NULL, OPTION_ALL},
    {"meta", required_argument, NULL, OPTION_NAMED},
    {"header", required_argument, NULL, OPTION_NAMED},
    {"int", required_argument, NULL, OPTION_NAMED},
    {"field", required_argument, NULL, OPTION_NAMED},
    {"caller", required_argument, NULL, OPTION_PLAIN},
    {"caller-method", required_argument, NULL, OPTION_PLAIN},
    {"idl-service", required_argument, NULL, OPTION_PLAIN},
    {"listener", required_argument, NULL, OPTION_PLAIN},
    {"source", required_argument, NULL, OPTION_PLAIN},
    {"uid", required_argument, NULL, OPTION_PLAIN},
    {"gid", required_argument, NULL, OPTION_PLAIN},
    {"seed", required_argument, NULL, OPTION_PLAIN},
    {0},
};

/* ---- what is asked ---- */

static bool is_plain(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '.' || c == '_' || c == '-';
}

/* Source of the escapes: RFC 3986 section 2.1. */
static void add_escaped(struct text *query, const char *text)
{
	for (; *text; text++)
		if (is_plain(*text))
			text_printf(query, "%c", *text);
		else
			text_printf(query, "%%%02X", (unsigned char)*text);
}

static int add(struct request *r, const char *name, const char *value, struct err *err)
{
	text_add_str(&r->query, r->query.len ? "&" : "/explain?");
	add_escaped(&r->query, name);
	text_add_str(&r->query, "=");
	add_escaped(&r->query, value);
	return explain_ask_add(&r->ask, slice_str(name), slice_str(value), err);
}

/* --meta env=gray */
static int add_named(struct request *r, const char *option, const char *words, struct err *err)
{
	const char *is = strchr(words, '=');
	char name[256];

	if (is == NULL || is == words)
		return err_set(err, 0, "--%s takes NAME=VALUE", option);
	snprintf(name, sizeof name, "%s.%.*s", option, (int)(is - words), words);
	return add(r, name, is + 1, err);
}

/* --idl-service is the fact idl_service. */
static int add_plain(struct request *r, const char *option, const char *value, struct err *err)
{
	char name[32];

	snprintf(name, sizeof name, "%s", option);
	for (char *c = name; *c; c++)
		if (*c == '-')
			*c = '_';
	return add(r, name, value, err);
}

static int read_words(struct request *r, int argc, char **argv, struct err *err)
{
	int option, index = 0, rc = 0;

	while (rc == 0 && (option = getopt_long(argc, argv, "c:", options, &index)) != -1) {
		if (option == 'c')
			r->file = optarg;
		else if (option == OPTION_ALL)
			r->all = true;
		else if (option == OPTION_NAMED)
			rc = add_named(r, options[index].name, optarg, err);
		else if (option == OPTION_PLAIN)
			rc = add_plain(r, options[index].name, optarg, err);
		else
			rc = err_set(err, 0, "%s: no such option, or its value is missing",
			    argv[optind - 1]);
	}
	if (rc == 0 && optind + 1 != argc)
		return err_set(err, 0, "one call is to be named, SERVICE/METHOD");
	if (rc == 0)
		rc = add(r, "call", argv[optind], err);
	text_add(&r->query, SLICE_LIT("\0")); /* it is a string from here on */
	return rc;
}

/* ---- the answer ---- */

static enum ctl_exit fail(const struct ctl *ctl, const char *why)
{
	fprintf(ctl->errors, "bridlectl: explain: %s\n", why);
	return CTL_FAILED;
}

static cJSON *explain_config(const struct request *r, const struct config *config, struct err *err)
{
	struct snapshot *s = file_snapshot_new(config);
	cJSON *root = NULL;
	char *text = NULL;
	size_t len = 0;
	FILE *to = open_memstream(&text, &len);

	if (to && explain_ask_answer(&r->ask, s, 0, to, err) == 0 && fflush(to) == 0) {
		root = cJSON_ParseWithLength(text, len);
		if (root == NULL)
			err_set(err, 0, "the explanation is not understood");
	}
	if (to)
		fclose(to);
	else
		err_set(err, 0, "out of memory");
	free(text);
	file_snapshot_free(&s);
	return root;
}

/* A name that "*" stands for is explained as if it had been found. */
static void find_service(const struct request *r, struct config **config, struct problems *problems)
{
	struct config_additions with = {0};
	struct config *derived;
	struct slice name;

	for (size_t i = 0; i < r->ask.n; i++) {
		if (r->ask.facts[i].key.kind != FACT_SERVICE)
			continue;
		name = r->ask.facts[i].value;
		with.names = &name;
		with.n_names = 1;
	}
	derived = config_derive(*config, &with, problems);
	if (derived) {
		config_free(config);
		*config = derived;
	}
}

static enum ctl_exit ask_file(const struct request *r, const struct ctl *ctl, cJSON **root)
{
	struct config_source source = {.path = r->file};
	struct problems problems;
	struct config *config;
	struct err err;

	problems_init(&problems);
	config = config_load(&source, &problems);
	if (config && config->any)
		find_service(r, &config, &problems);
	if (config == NULL)
		problems_print(&problems, ctl->errors, false);
	problems_fini(&problems);
	if (config == NULL)
		return CTL_FAILED;
	*root = explain_config(r, config, &err);
	config_free(&config);
	return *root ? CTL_DONE : fail(ctl, err.text);
}

/* ---- shown to people ---- */

static const cJSON *member(const cJSON *object, const char *name)
{
	return cJSON_GetObjectItemCaseSensitive(object, name);
}

static void print_line(FILE *out, const char *name, const char *text)
{
	if (*text)
		fprintf(out, "%-10s %s\n", name, text);
}

static void print_reason(const cJSON *root, FILE *out)
{
	const char *reason = answer_text(root, "reason"), *at = answer_text(root, "at");

	if (strcmp(reason, "ok") == 0)
		fprintf(out, "%-10s ok\n", "reason");
	else
		fprintf(out, "%-10s %s: %s%s%s%s\n", "reason", reason, answer_text(root, "why"),
		    *at ? " (" : "", at, *at ? ")" : "");
}

static void print_balance(const cJSON *balance, FILE *out)
{
	const char *key = answer_text(balance, "key");

	if (balance == NULL)
		return;
	fprintf(out, "%-10s %s", "balance", answer_text(balance, "type"));
	if (*key && cJSON_IsTrue(member(balance, "has_key")))
		fprintf(out, ", by %s", key);
	else if (*key)
		fprintf(out, ", by chance: the call has no %s", key);
	fputc('\n', out);
}

static void print_changes(const cJSON *changes, FILE *out)
{
	char value[LOG_ESCAPED_MAX];
	const cJSON *one;

	cJSON_ArrayForEach(one, changes)
	{
		log_escape(value, sizeof value, slice_str(one->valuestring));
		if (cJSON_IsString(one))
			fprintf(out, "%-10s %s: %s\n", "sets", one->string, value);
		else
			print_line(out, "removes", one->string);
	}
}

static void print_head(const cJSON *root, FILE *out)
{
	const char *name = answer_text(root, "route_name");
	double delay = answer_number(root, "delay_ms");

	fprintf(out, "%-10s %s, by listener %s\n", "call", answer_text(root, "call"),
	    answer_text(root, "listener"));
	print_line(out, "service", answer_text(root, "service"));
	if (*answer_text(root, "route"))
		fprintf(out, "%-10s %s%s%s\n", "route", answer_text(root, "route"),
		    *name ? ", " : "", name);
	print_line(out, "subset", answer_text(root, "subset"));
	print_balance(member(root, "balance"), out);
	if (delay > 0)
		fprintf(out, "%-10s %.0fms\n", "delay", delay);
	if (cJSON_IsTrue(member(root, "abort")))
		print_line(out, "fault", "aborted");
	print_line(out, "mirror", answer_text(root, "mirror"));
	print_changes(member(root, "changes"), out);
	print_reason(root, out);
}

static void print_rules(const cJSON *list, FILE *out)
{
	static const char *const heads[] = {"", "RULE", "WHY"};
	struct answer_table table;
	const cJSON *one;

	answer_table_init(&table, heads, ARRAY_LEN(heads));
	cJSON_ArrayForEach(one, list)
	{
		answer_table_add(&table, "%s", cJSON_IsTrue(member(one, "matched")) ? "+" : "-");
		answer_table_add(&table, "%s", answer_text(one, "at"));
		answer_table_add(&table, "%s", answer_text(one, "why"));
	}
	fputc('\n', out);
	answer_table_print(&table, out);
	answer_table_fini(&table);
}

static void print_policy(const cJSON *object, bool all, FILE *out)
{
	static const char *const heads[] = {"POLICY", "VALUE", "FROM"};
	struct answer_table table;
	const cJSON *one;
	unsigned n_defaults = 0;

	if (cJSON_GetArraySize(object) == 0)
		return;
	answer_table_init(&table, heads, ARRAY_LEN(heads));
	cJSON_ArrayForEach(one, object)
	{
		if (!all && strcmp(answer_text(one, "at"), "default") == 0) {
			n_defaults++;
			continue;
		}
		answer_table_add(&table, "%s", one->string);
		answer_table_add(&table, "%s", answer_text(one, "value"));
		answer_table_add(&table, "%s", answer_text(one, "at"));
	}
	if (n_defaults) {
		answer_table_add(&table, "the other %u", n_defaults);
		answer_table_add(&table, "%s", "");
		answer_table_add(&table, "default");
	}
	fputc('\n', out);
	answer_table_print(&table, out);
	answer_table_fini(&table);
}

static void add_tags(struct answer_table *table, const cJSON *tags)
{
	char text[256] = "";
	const cJSON *tag;
	size_t len = 0;

	cJSON_ArrayForEach(tag, tags)
	{
		len += (size_t)snprintf(text + len, sizeof text - len, "%s%s=%s", len ? " " : "",
		    tag->string, cJSON_IsString(tag) ? tag->valuestring : "");
		if (len >= sizeof text)
			break;
	}
	answer_table_add(table, "%s", text);
}

/* More than fit on a screen are not listed; --json has them all. */
#define CANDIDATES_SHOWN 20

static void print_candidates(const cJSON *root, FILE *out)
{
	static const char *const heads[] = {"", "ENDPOINT", "#WEIGHT", "ZONE", "TAGS", "STATE"};
	const cJSON *list = member(root, "candidates"), *one;
	const char *pick = answer_text(root, "pick");
	struct answer_table table;
	int n = cJSON_GetArraySize(list), shown = 0;

	if (n == 0)
		return;
	answer_table_init(&table, heads, ARRAY_LEN(heads));
	cJSON_ArrayForEach(one, list)
	{
		const char *address = answer_text(one, "address");
		bool is_pick = strcmp(address, pick) == 0;

		if (!is_pick && shown >= CANDIDATES_SHOWN)
			continue;
		shown++;
		answer_table_add(&table, "%s", is_pick ? ">" : "");
		answer_table_add(&table, "%s", address);
		answer_table_add(&table, "%.0f", answer_number(one, "weight"));
		answer_table_add(&table, "%s", answer_text(one, "zone"));
		add_tags(&table, member(one, "tags"));
		answer_table_add(&table, "%s",
		    is_pick                               ? "picked"
		    : cJSON_IsTrue(member(one, "usable")) ? "usable"
							  : answer_text(one, "why"));
	}
	fputc('\n', out);
	answer_table_print(&table, out);
	answer_table_fini(&table);
	if (shown < n)
		fprintf(out, "%d more\n", n - shown);
	if (cJSON_IsTrue(member(root, "panic")))
		fputs("so many are out that none is left out (balance.panic)\n", out);
}

static void print_all(const cJSON *root, bool all, FILE *out)
{
	print_head(root, out);
	print_rules(member(root, "rules"), out);
	print_policy(member(root, "policy"), all, out);
	print_candidates(root, out);
}

static enum ctl_exit answer(const struct request *r, const struct ctl *ctl)
{
	cJSON *root = NULL;
	enum ctl_exit code =
	    r->file ? ask_file(r, ctl, &root) : answer_get(ctl, r->query.bytes, &root);

	if (code == CTL_DONE && ctl->json)
		code = answer_print_json(ctl, root);
	else if (code == CTL_DONE)
		print_all(root, r->all, ctl->out);
	cJSON_Delete(root);
	return code;
}

static enum ctl_exit run_explain(int argc, char **argv, struct ctl *ctl)
{
	struct request request = {0};
	enum ctl_exit code;
	struct err err;

	explain_ask_init(&request.ask);
	if (read_words(&request, argc, argv, &err) < 0)
		code = ctl_refuse(ctl, &command_explain, "%s", err.text);
	else
		code = answer(&request, ctl);
	explain_ask_fini(&request.ask);
	text_fini(&request.query);
	return code;
}

const struct command command_explain = {"explain",
    "SERVICE/METHOD [-c FILE] [OPTION]...\n"
    "  -c, --config FILE                    ask the file, not a daemon\n"
    "      --listener NAME                  by which the call comes in\n"
    "      --caller NAME, --caller-method NAME, --idl-service NAME\n"
    "      --source ADDRESS, --uid N, --gid N\n"
    "      --meta NAME=VALUE, --header NAME=VALUE, --int N=VALUE, --field 1.3.2=VALUE\n"
    "                                       what else is known of the call\n"
    "      --seed N                         draw shares and splits anew\n"
    "      --all                            show values that are defaults, too",
    "why such a call goes where it goes", run_explain};
