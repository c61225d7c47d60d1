/*
 * Questions about calls, lines of NAME=VALUE, asked of a file that has a rule of every kind. Each
 * is refused with words or answered with JSON, twice alike, that gives a reason which exists.
 */
#include <stdio.h>
#include <string.h>

#include <cJSON.h>

#include "base/reason.h"
#include "fuzz.h"
#include "model/explain_ask.h"
#include "model/file_snapshot.h"

static const char text[] =
    "node: {service: shop.web}\n"
    "listeners:\n"
    "  - {name: out, address: 127.0.0.1:0}\n"
    "  - {name: node, address: 127.0.0.1:0, caller: node}\n"
    "services:\n"
    "  a:\n"
    "    endpoints:\n"
    "      - {address: 127.0.0.1:9001, tags: {lane: gray}}\n"
    "      - {address: 127.0.0.1:9002, tags: {lane: blue}}\n"
    "      - 127.0.0.1:9003\n"
    "    subsets: {gray: {lane: gray}, red: {lane: red}}\n"
    "    subset_by: {tag: lane, key: meta.env, fallback: base}\n"
    "    balance: {type: consistent_hash, key: meta.user}\n"
    "    degrade: 10%\n"
    "    acl: [{deny: {uid: 0}}, {deny: {source: [10.0.0.0/8, '::1']}}, {allow: {}}]\n"
    "    routes:\n"
    "      - {match: {method: {prefix: G}, caller: {in: [x, y]}}, to: gray}\n"
    "      - {match: {meta.k: {regex: '^(a|b)*c$'}, percent: 50%}, to: red, fallback: any}\n"
    "      - {match: {header.h: {suffix: z}, idl_service: {not: s}}, split: {gray: 1, base: 1}, "
    "sticky: int.14}\n"
    "      - {match: {field.1.2: {present: true}, gid: '5'}, set: {meta.env: blue}}\n"
    "      - {match: {int.stress_tag: {present: false}, caller_method: m}, fault: {abort: {reset: "
    "true}}}\n";

static struct snapshot *load(void)
{
	struct config_source source = {.path = NULL};
	struct problems problems;
	struct config *config;

	problems_init(&problems);
	config =
	    config_load_text(slice_of(text, sizeof text - 1), "explain.yaml", &source, &problems);
	if (config == NULL)
		problems_print(&problems, stderr, true);
	must(config != NULL);
	problems_fini(&problems);
	return file_snapshot_new(config);
}

static int ask_line(struct explain_ask *ask, struct slice line, struct err *err)
{
	const uint8_t *is = line.len ? memchr(line.data, '=', line.len) : NULL;
	size_t at = is ? (size_t)(is - line.data) : line.len;

	return explain_ask_add(ask, slice_first(line, at), slice_from(line, at + 1), err);
}

/* From malloc; NULL when it was refused. */
static char *answer(const struct snapshot *s, struct slice in, struct err *err)
{
	struct explain_ask ask;
	char *json = NULL;
	size_t len = 0, from = 0;
	FILE *to = open_memstream(&json, &len);
	int rc = 0;

	must(to != NULL);
	explain_ask_init(&ask);
	for (size_t i = 0; i <= in.len && rc == 0; i++)
		if (i == in.len || in.data[i] == '\n') {
			rc = ask_line(&ask, slice_sub(in, from, i - from), err);
			from = i + 1;
		}
	if (rc == 0)
		rc = explain_ask_answer(&ask, s, 0, to, err);
	explain_ask_fini(&ask);
	must(fclose(to) == 0);
	if (rc == 0)
		return json;
	must(err->text[0] != '\0');
	free(json);
	return NULL;
}

static void check_reason(const cJSON *root)
{
	const cJSON *found = cJSON_GetObjectItemCaseSensitive(root, "reason");
	unsigned known = 0;

	must(cJSON_IsString(found));
	for (int i = 0; i < REASON_COUNT; i++)
		known += strcmp(found->valuestring, reason_name((enum reason)i)) == 0;
	must(known == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct snapshot *snapshot; /* the same for all; kept */
	struct slice in = slice_of(data, size);
	char *first, *second;
	struct err err;
	cJSON *root;

	if (snapshot == NULL)
		snapshot = load();
	first = answer(snapshot, in, &err);
	second = answer(snapshot, in, &err);
	must((first == NULL) == (second == NULL));
	if (first) {
		must(strcmp(first, second) == 0);
		for (const char *c = first; *c; c++)
			must((*c >= ' ' && *c <= '~') || *c == '\n');
		root = cJSON_Parse(first);
		must(root != NULL);
		check_reason(root);
		cJSON_Delete(root);
	}
	free(first);
	free(second);
	return 0;
}
