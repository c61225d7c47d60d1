/* The types of keys that are shares: 0..1, written in per cent. */
#include <stdio.h>
#include <stdlib.h>

#include "model/config_bind.h"

static const char like_share[] = "a number from 0 to 100 with its unit, like 1% or 0.5%";

static double *share_at(const struct key *key, void *base)
{
	return (double *)(void *)((char *)base + key->offset);
}

static int refuse_share(
    struct binder *b, const struct key *key, const struct yaml_node *node, const char *what)
{
	return bind_error(b, node, "%s %s\nexpected %s%s", bind_shows(b, node), what, like_share,
	    key->flags & KEY_NONE ? ", or none" : "");
}

static size_t count_digits(struct slice s)
{
	size_t n = 0;

	while (n < s.len && s.data[n] >= '0' && s.data[n] <= '9')
		n++;
	return n;
}

int bind_share(struct binder *b, const struct key *key, const struct yaml_node *node, double *share)
{
	struct slice s = node->kind == NODE_SCALAR ? node->text : SLICE_NONE;
	size_t whole = count_digits(s), at = whole;
	double value;

	if (at + 1 < s.len && whole > 0 && s.data[at] == '.')
		at += 1 + count_digits(slice_from(s, at + 1));
	if (whole > 0 && at == s.len)
		return refuse_share(b, key, node, "has no unit");
	if (whole == 0 || whole > 3 || at > 20 || at + 1 != s.len || s.data[at] != '%')
		return refuse_share(b, key, node, "where a share belongs");
	value = strtod((const char *)s.data, NULL) / 100;
	if (value > 1)
		return refuse_share(b, key, node, "is more than all");
	if (value <= 0 && key->min)
		return refuse_share(b, key, node, "is nothing at all");
	*share = value;
	return 0;
}

static int parse_share(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	return bind_share(b, key, node, share_at(key, base));
}

static void print_share(const struct key *key, const void *base, FILE *to)
{
	fprintf(to, "%.9g%%", *(const double *)((const char *)base + key->offset) * 100);
}

static void schema_share(const struct key *key, FILE *to)
{
	fprintf(to, "{\"type\": \"string\", \"pattern\": \"^%s[0-9]+([.][0-9]+)?%%$|\\\\$\\\\{\"}",
	    key->flags & KEY_NONE ? "none$|^" : "");
}

const struct key_type key_share = {
    "share", parse_share, print_share, schema_share, KEY_VALUE, NULL};

/* Something that is switched off by having none of it. */
static int parse_share_or_zero(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	if (!bind_is_none(key, node))
		return parse_share(b, key, node, base);
	*share_at(key, base) = 0;
	return 0;
}

static void print_share_or_zero(const struct key *key, const void *base, FILE *to)
{
	if (*(const double *)((const char *)base + key->offset) > 0)
		print_share(key, base, to);
	else
		fputs("none", to);
}

const struct key_type key_share_or_zero = {
    "share", parse_share_or_zero, print_share_or_zero, schema_share, KEY_VALUE, NULL};

/* A bound that is not there is told by a negative share. */
static int parse_budget(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	if (!bind_is_none(key, node))
		return parse_share(b, key, node, base);
	*share_at(key, base) = -1;
	return 0;
}

static void print_budget(const struct key *key, const void *base, FILE *to)
{
	if (*(const double *)((const char *)base + key->offset) < 0)
		fputs("none", to);
	else
		print_share(key, base, to);
}

const struct key_type key_budget = {
    "share", parse_budget, print_budget, schema_share, KEY_VALUE, NULL};
