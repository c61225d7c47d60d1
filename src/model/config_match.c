/* The type of keys that are predicates over the facts of a call. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "model/config_bind.h"
#include "model/nearest.h"

#define RULES_MAX 64u
#define TEXTS_MAX 1000u
#define TEXT_MAX  1024u

static const struct {
	const char *word;
	enum match_how how;
} hows[] = {
    {"exact", MATCH_EXACT},
    {"prefix", MATCH_PREFIX},
    {"suffix", MATCH_SUFFIX},
    {"regex", MATCH_REGEX},
    {"in", MATCH_IN},
    {"present", MATCH_PRESENT},
};

static const char like_value[] =
    "a value, or a map with one of: exact, prefix, suffix, regex, in, present, not";

static const char like_networks[] = "a network like 10.0.0.0/8, a list of them, or {not: ...}";

/* Whatever a scalar looks like: what comes in calls is text. */
static int take_text(struct binder *b, const struct yaml_node *node, struct slice *text)
{
	if (node->kind != NODE_SCALAR || (yaml_scalar_kind(node) == SCALAR_NULL && !node->variable))
		return bind_expected(b, node, "a value", "a text");
	if (node->text.len > TEXT_MAX)
		return bind_error(b, node, "%zu bytes are too many\nexpected at most %u",
		    node->text.len, TEXT_MAX);
	*text = slice_str(arena_str(b->arena, node->text));
	return 0;
}

static int set_text(struct binder *b, const struct yaml_node *node, struct match_rule *rule)
{
	struct slice *text = arena_alloc(b->arena, sizeof *text);

	if (take_text(b, node, text) < 0)
		return -1;
	rule->texts = text;
	rule->n_texts = 1;
	if (rule->how == MATCH_REGEX)
		return bind_regex(b, node, *text, &rule->regex);
	return 0;
}

static int set_texts(struct binder *b, const struct yaml_node *node, struct match_rule *rule)
{
	struct slice *texts;
	int rc = 0;

	if (node->kind != NODE_LIST || node->n == 0 || node->n > TEXTS_MAX)
		return bind_expected(b, node, "values", "a list of 1 to 1000 values, like [a, b]");
	texts = arena_calloc(b->arena, node->n, sizeof *texts);
	for (const struct yaml_node *item = node->first; item; item = item->next) {
		size_t before = key_path_index(&b->path, rule->n_texts);

		if (item->is_bad || take_text(b, item, &texts[rule->n_texts++]) < 0)
			rc = -1;
		key_path_cut(&b->path, before);
	}
	rule->texts = texts;
	return rc;
}

static int set_present(struct binder *b, const struct yaml_node *node, struct match_rule *rule)
{
	static const struct key at_start = {.offset = 0};
	bool is_present;

	if (key_bool.parse(b, &at_start, node, &is_present) < 0)
		return -1;
	rule->how = is_present != rule->is_negated ? MATCH_PRESENT : MATCH_ABSENT;
	rule->is_negated = false;
	return 0;
}

static int set_how(struct binder *b, const struct yaml_node *value, struct match_rule *rule)
{
	switch (rule->how) {
	case MATCH_IN:
		return set_texts(b, value, rule);
	case MATCH_PRESENT:
		return set_present(b, value, rule);
	case MATCH_EXACT:
	case MATCH_PREFIX:
	case MATCH_SUFFIX:
	case MATCH_REGEX:
	case MATCH_ABSENT:
	case MATCH_CIDR:
		break;
	}
	return set_text(b, value, rule);
}

/* ---- networks ---- */

static int add_network(struct binder *b, const struct yaml_node *node, struct cidr *cidr)
{
	struct slice text;

	if (node->is_bad || bind_text(b, node, &text) < 0)
		return -1;
	if (cidr_parse(cidr, text))
		return 0;
	return bind_error(b, node, "%s is no network\nexpected one like 10.0.0.0/8 or fd00::/8",
	    bind_shows(b, node));
}

static int set_networks(struct binder *b, const struct yaml_node *node, struct match_rule *rule)
{
	struct cidr *cidrs;
	int rc = 0;

	rule->how = MATCH_CIDR;
	if (node->kind == NODE_MAP || node->n > TEXTS_MAX ||
	    (node->kind == NODE_LIST && node->n == 0))
		return bind_expected(b, node, "a network", like_networks);
	cidrs = arena_calloc(b->arena, node->n + 1, sizeof *cidrs);
	rule->cidrs = cidrs;
	if (node->kind == NODE_SCALAR) {
		rule->n_cidrs = 1;
		return add_network(b, node, cidrs);
	}
	for (const struct yaml_node *item = node->first; item; item = item->next) {
		size_t before = key_path_index(&b->path, rule->n_cidrs);

		if (add_network(b, item, &cidrs[rule->n_cidrs++]) < 0)
			rc = -1;
		key_path_cut(&b->path, before);
	}
	return rc;
}

/* ---- one fact ---- */

static int set_value(struct binder *b, const struct yaml_node *node, struct match_rule *rule);

static int refuse_how(struct binder *b, const struct yaml_node *value)
{
	struct nearest nearest;
	const char *meant = "";

	nearest_init(&nearest, value->key);
	nearest_try(&nearest, SLICE_LIT("not"));
	for (size_t i = 0; i < ARRAY_LEN(hows); i++)
		nearest_try(&nearest, slice_str(hows[i].word));
	if (nearest_found(&nearest))
		meant = arena_printf(b->scratch, "; did you mean \"%.*s\"?", (int)nearest.best.len,
		    (const char *)nearest.best.data);
	problems_error(b->problems, value->key_at, b->path.text, "unknown key\nexpected %s%s",
	    like_value, meant);
	return -1;
}

static int set_negated(struct binder *b, const struct yaml_node *value, struct match_rule *rule)
{
	if (rule->is_negated)
		return bind_error(
		    b, value, "not of a not\nexpected the value itself, without both");
	rule->is_negated = true;
	return set_value(b, value, rule);
}

static int set_one(struct binder *b, const struct yaml_node *value, struct match_rule *rule)
{
	if (value->is_bad)
		return -1;
	if (slice_eq_str(value->key, "not"))
		return set_negated(b, value, rule);
	if (rule->key.kind == FACT_SOURCE)
		return bind_expected(b, value, "a network", like_networks);
	for (size_t i = 0; i < ARRAY_LEN(hows); i++) {
		if (!slice_eq_str(value->key, hows[i].word))
			continue;
		rule->how = hows[i].how;
		return set_how(b, value, rule);
	}
	return refuse_how(b, value);
}

/* {prefix: a}; what path says is known already. */
static int set_by_map(struct binder *b, const struct yaml_node *node, struct match_rule *rule)
{
	bool has_path = rule->key.kind == FACT_FIELD && yaml_find(node, SLICE_LIT("path")) != NULL;
	const struct yaml_node *value = node->first;
	size_t before;
	int rc;

	if (value && has_path && slice_eq_str(value->key, "path"))
		value = value->next;
	if (value == NULL || node->n > 1u + has_path)
		return bind_error(b, node, "%s keys where one belongs\nexpected %s",
		    value ? "several" : "no", like_value);
	before = key_path_key(&b->path, value->key);
	rc = set_one(b, value, rule);
	key_path_cut(&b->path, before);
	return rc;
}

static int set_value(struct binder *b, const struct yaml_node *node, struct match_rule *rule)
{
	if (node->kind == NODE_MAP)
		return set_by_map(b, node, rule);
	if (rule->key.kind == FACT_SOURCE)
		return set_networks(b, node, rule);
	if (node->kind == NODE_LIST)
		return bind_error(b, node, "a list where a value belongs\nexpected {in: [...]}");
	rule->how = MATCH_EXACT;
	return set_text(b, node, rule);
}

/* A uid that is no number is nobody's. */
static int check_ids(struct binder *b, const struct yaml_node *node, const struct match_rule *rule)
{
	uint64_t id;

	if (rule->key.kind != FACT_UID && rule->key.kind != FACT_GID)
		return 0;
	if (rule->how == MATCH_PREFIX || rule->how == MATCH_SUFFIX || rule->how == MATCH_REGEX)
		return bind_expected(b, node, "a number", "a number, {in: [...]} or {not: ...}");
	for (size_t i = 0; i < rule->n_texts; i++)
		if (!slice_to_u64(rule->texts[i], &id) || id >= UINT32_MAX)
			return bind_error(b, node,
			    "\"%.*s\" is no number of a user or group\nexpected a number like 1000",
			    (int)rule->texts[i].len, (const char *)rule->texts[i].data);
	return 0;
}

/* field: 1.3.2, and field: {path: 1.3.2, exact: x} */
static int parse_field(struct binder *b, const struct yaml_node *value, struct match_rule *rule)
{
	const struct yaml_node *path =
	    value->kind == NODE_MAP ? yaml_find(value, SLICE_LIT("path")) : value;
	const char *text;

	if (path == NULL || path->kind != NODE_SCALAR)
		return bind_expected(b, value, "the path of a field",
		    "ids with dots between, like 1.3.2, or {path: 1.3.2, exact: x}");
	text = arena_printf(
	    b->scratch, "field.%.*s", (int)path->text.len, (const char *)path->text.data);
	if (bind_fact(b, path, slice_str(text), &rule->key) < 0)
		return -1;
	if (value->kind == NODE_MAP && value->n > 1)
		return set_value(b, value, rule);
	rule->how = MATCH_PRESENT;
	return 0;
}

static int refuse_key(struct binder *b, const struct yaml_node *value)
{
	static const char *const words[] = {"method", "idl_service", "service", "caller",
	    "caller_method", "source", "percent", "field", "uid", "gid", "log_id"};
	static const char *const families[] = {"meta", "header", "int", "field"};
	struct nearest nearest;
	const char *meant = "";

	nearest_init(&nearest, value->key);
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		nearest_try(&nearest, slice_str(words[i]));
	if (nearest_found(&nearest))
		meant = arena_printf(b->scratch, "; did you mean \"%.*s\"?", (int)nearest.best.len,
		    (const char *)nearest.best.data);
	for (size_t i = 0; i < ARRAY_LEN(families); i++)
		if (slice_eq_str(value->key, families[i]))
			meant = arena_printf(
			    b->scratch, "; write %s.NAME: VALUE in one key", families[i]);
	problems_error(b->problems, value->key_at, b->path.text,
	    "unknown key\nexpected one of: method, idl_service, service, caller, caller_method, meta.NAME, "
	    "header.NAME, int.N, source, field.1.3.2, uid, gid, log_id, percent%s",
	    meant);
	return -1;
}

static int parse_rule(struct binder *b, const struct yaml_node *value, struct match_rule *rule)
{
	*rule = (struct match_rule){.how = MATCH_EXACT};
	if (value->is_bad)
		return -1;
	if (slice_eq_str(value->key, "field"))
		return parse_field(b, value, rule);
	if (value->key.len > 200 || fact_key_parse(&rule->key, value->key, b->arena) != NULL)
		return refuse_key(b, value);
	if (set_value(b, value, rule) < 0)
		return -1;
	return check_ids(b, value, rule);
}

int bind_match(struct binder *b, const struct yaml_node *node, struct match *match)
{
	static const struct key at_start = {.offset = 0};
	struct match_rule *rules;
	int rc = 0;

	*match = (struct match){.percent = 1};
	if (node->kind != NODE_MAP)
		return bind_expected(b, node, "a map", "a map of facts, like {meta.env: gray}");
	if (node->n > RULES_MAX)
		return bind_error(b, node, "%zu rules\nexpected at most %u", node->n, RULES_MAX);
	rules = arena_calloc(b->arena, node->n + 1, sizeof *rules);
	match->rules = rules;
	for (const struct yaml_node *value = node->first; value; value = value->next) {
		size_t before = key_path_key(&b->path, value->key);
		int one;

		if (slice_eq_str(value->key, "percent"))
			one = value->is_bad ? -1 : bind_share(b, &at_start, value, &match->percent);
		else
			one = parse_rule(b, value, &rules[match->n++]);
		rc = one < 0 ? -1 : rc;
		key_path_cut(&b->path, before);
	}
	/* Half a predicate would match what it was not meant to. */
	if (rc < 0)
		match->n = 0;
	return rc;
}

/* ---- as it is written ---- */

static void print_texts(const struct match_rule *rule, FILE *to)
{
	fputc('[', to);
	for (size_t i = 0; i < rule->n_texts; i++) {
		fputs(i ? ", " : "", to);
		print_text(rule->texts[i], to);
	}
	fputc(']', to);
}

static void print_value(const struct match_rule *rule, FILE *to)
{
	switch (rule->how) {
	case MATCH_EXACT:
		print_text(rule->texts[0], to);
		break;
	case MATCH_IN:
		fputs("{in: ", to);
		print_texts(rule, to);
		fputc('}', to);
		break;
	case MATCH_PREFIX:
	case MATCH_SUFFIX:
	case MATCH_REGEX:
		fprintf(to, "{%s: ",
		    rule->how == MATCH_PREFIX   ? "prefix"
		    : rule->how == MATCH_SUFFIX ? "suffix"
						: "regex");
		print_text(rule->texts[0], to);
		fputc('}', to);
		break;
	case MATCH_PRESENT:
	case MATCH_ABSENT:
		fprintf(to, "{present: %s}", rule->how == MATCH_PRESENT ? "true" : "false");
		break;
	case MATCH_CIDR:
		print_networks(rule->cidrs, rule->n_cidrs, to);
		break;
	}
}

void match_print(const struct match *match, FILE *to)
{
	const char *comma = "";

	fputc('{', to);
	for (size_t i = 0; i < match->n; i++) {
		const struct match_rule *rule = &match->rules[i];

		fputs(comma, to);
		print_label(rule->key.text, to);
		fputs(rule->is_negated ? ": {not: " : ": ", to);
		print_value(rule, to);
		fputs(rule->is_negated ? "}" : "", to);
		comma = ", ";
	}
	if (match->percent < 1)
		fprintf(to, "%spercent: %.9g%%", comma, match->percent * 100);
	fputc('}', to);
}

static int parse_match(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	return bind_match(b, node, (struct match *)(void *)((char *)base + key->offset));
}

static void print_match(const struct key *key, const void *base, FILE *to)
{
	match_print((const struct match *)(const void *)((const char *)base + key->offset), to);
}

static void schema_match(const struct key *key, FILE *to)
{
	(void)key;
	fputs("{\"$ref\": \"#/$defs/match\"}", to);
}

const struct key_type key_match = {
    "match", parse_match, print_match, schema_match, KEY_VALUE, NULL};
