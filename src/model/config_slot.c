/*
 * The keys that are not merged: a limit, a breaker and an ACL stand at the level at which they are
 * written. What a policy starts as a copy of brings those of the levels above with it.
 */
#include <stdio.h>

#include "base/mem.h"
#include "model/config_bind.h"
#include "model/config_dump.h"

#define RULES_MAX 1000u

enum level policy_level(const struct policy *policy)
{
	if (policy->method)
		return LEVEL_METHOD;
	if (policy->route)
		return LEVEL_ROUTE;
	return policy->service ? LEVEL_SERVICE : LEVEL_DEFAULTS;
}

static const void **slots_of(const struct key *key, const void *base)
{
	return (const void **)(uintptr_t)((const char *)base + key->offset);
}

/* None at one level is none of the levels above either. */
static void clear(const void **slots, enum level level)
{
	for (int l = LEVEL_DEFAULTS; l <= (int)level; l++)
		slots[l] = NULL;
}

/* What stands at a service stands in place of what defaults say. */
static void put(const void **slots, enum level level, const void *value)
{
	slots[level] = value;
	if (level == LEVEL_SERVICE)
		slots[LEVEL_DEFAULTS] = NULL;
}

static const void *find_slot(const struct key *key, const void *base)
{
	return slots_of(key, base)[policy_level(base)];
}

static void print_none(const struct key *key, const void *base, FILE *to)
{
	(void)key;
	(void)base;
	fputs("none", to);
}

static void schema_slot(const struct key *key, FILE *to)
{
	config_schema_values(key, to);
}

/* Binds a map of the key's scope into a new struct of it. */
static void *bind_map(struct binder *b, const struct key *key, const struct yaml_node *node)
{
	void *made = arena_calloc(b->arena, 1, key->scope->size);

	memcpy(made, bind_template(b, key->scope), key->scope->size);
	bind_scope(b, key->scope, node, made, NULL);
	return made;
}

static int parse_limit(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	const void **slots = slots_of(key, base);
	struct limit_config *limit;

	if (bind_is_none(key, node)) {
		clear(slots, b->level);
		return 0;
	}
	if (node->kind != NODE_MAP)
		return bind_expected(b, node, "a limit", "a map like {rate: 100/s}, or none");
	limit = bind_map(b, key, node);
	limit->at = arena_str(b->arena, slice_str(b->path.text));
	put(slots, b->level, limit);
	return 0;
}

const struct key_type key_limit = {
    "map", parse_limit, print_none, schema_slot, KEY_STRUCT, find_slot};

static int parse_breaker(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	const void **slots = slots_of(key, base);
	struct breaker_config *breaker;

	if (bind_is_none(key, node)) {
		clear(slots, b->level);
		return 0;
	}
	if (node->kind != NODE_MAP)
		return bind_expected(b, node, "a breaker",
		    "a map like {error_rate: 50%}, {} for one as is usual, or none");
	breaker = bind_map(b, key, node);
	breaker->at = arena_str(b->arena, slice_str(b->path.text));
	put(slots, b->level, breaker);
	return 0;
}

const struct key_type key_breaker = {
    "map", parse_breaker, print_none, schema_slot, KEY_STRUCT, find_slot};

/* ---- acl ---- */

static int parse_rule(struct binder *b, const struct yaml_node *node, struct acl_rule *rule)
{
	rule->at = arena_str(b->arena, slice_str(b->path.text));
	if (node->is_bad)
		return -1;
	if (node->kind != NODE_MAP || node->n != 1)
		return bind_error(b, node,
		    "%s where a rule of an ACL belongs\nexpected one of {allow: MATCH} and {deny: MATCH}, "
		    "like {allow: {caller: shop.cart}}",
		    node->kind == NODE_MAP ? "a map of several keys, or none"
					   : bind_shows(b, node));
	bind_scope(b, &acl_scope, node, rule, NULL);
	return 0;
}

static int parse_acl(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	const void **slots = slots_of(key, base);
	struct acl_config *acl;
	struct acl_rule *rules;
	size_t n = 0;

	if (bind_is_none(key, node)) {
		clear(slots, b->level);
		return 0;
	}
	if (node->kind != NODE_LIST || node->n > RULES_MAX)
		return bind_expected(b, node, "a list",
		    "a list of up to 1000 rules, like [{allow: {caller: shop.cart}}], or none");
	rules = arena_calloc(b->arena, node->n + 1, sizeof *rules);
	for (const struct yaml_node *item = node->first; item; item = item->next, n++) {
		size_t before = key_path_index(&b->path, n);

		parse_rule(b, item, &rules[n]);
		key_path_cut(&b->path, before);
	}
	acl = arena_alloc(b->arena, sizeof *acl);
	*acl = (struct acl_config){rules, n};
	slots[b->level] = n ? acl : NULL;
	return 0;
}

const struct key_type key_acl = {
    "list of rules", parse_acl, print_none, schema_slot, KEY_LIST_OR_NONE, find_slot};

static int parse_rule_match(
    struct binder *b, const struct yaml_node *node, struct acl_rule *rule, bool is_allow)
{
	rule->is_allow = is_allow;
	return bind_match(b, node, &rule->match);
}

static int parse_allow(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	(void)key;
	return parse_rule_match(b, node, base, true);
}

static int parse_deny(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	(void)key;
	return parse_rule_match(b, node, base, false);
}

static void print_rule_match(const struct key *key, const void *base, FILE *to)
{
	const struct acl_rule *rule = base;

	(void)key;
	match_print(&rule->match, to);
}

static void schema_match(const struct key *key, FILE *to)
{
	(void)key;
	fputs("{\"$ref\": \"#/$defs/match\"}", to);
}

const struct key_type key_allow = {
    "match", parse_allow, print_rule_match, schema_match, KEY_VALUE, NULL};
const struct key_type key_deny = {
    "match", parse_deny, print_rule_match, schema_match, KEY_VALUE, NULL};

/* ---- what the dump leaves out, because it stands elsewhere ---- */

/* Of defaults and services: theirs is not there, but one from above is. */
bool slot_is_inherited(const struct key *key, const void *base)
{
	const void **slots = slots_of(key, base);
	enum level level = policy_level(base);

	return slots[level] == NULL && level > LEVEL_DEFAULTS && slots[LEVEL_DEFAULTS] != NULL;
}

bool rule_is_deny(const struct key *key, const void *base)
{
	const struct acl_rule *rule = base;

	(void)key;
	return !rule->is_allow;
}

bool rule_is_allow(const struct key *key, const void *base)
{
	const struct acl_rule *rule = base;

	(void)key;
	return rule->is_allow;
}

/* Where what stands at one level was written: services.a.limit. */
static struct slice place_of(const struct key *key, const struct policy *policy, int level)
{
	struct slice at = SLICE_NONE;

	if (key->type == &key_limit && policy->limits[level])
		return slice_str(policy->limits[level]->at);
	if (key->type == &key_breaker && policy->breakers[level])
		return slice_str(policy->breakers[level]->at);
	if (key->type == &key_acl && policy->acls[level]) {
		at = slice_str(policy->acls[level]->rules[0].at);
		at.len -= strlen("[0]");
	}
	return at;
}

void slots_print(const struct key *key, const struct policy *policy, FILE *to)
{
	const char *comma = "";

	for (int level = LEVELS - 1; level >= 0; level--) {
		struct slice at = place_of(key, policy, level);

		if (at.len == 0)
			continue;
		fprintf(to, "%s%.*s", comma, (int)at.len, (const char *)at.data);
		comma = ", ";
	}
	fputs(*comma ? "" : "none", to);
}
