#include "model/yaml.h"

#include "base/utf8.h"

void yaml_append(struct yaml_node *to, struct slice key, struct yaml_node *value)
{
	value->key = key;
	value->next = NULL;
	if (to->last)
		to->last->next = value;
	else
		to->first = value;
	to->last = value;
	to->n++;
}

struct yaml_node *yaml_find(const struct yaml_node *map, struct slice key)
{
	for (struct yaml_node *node = map->first; node; node = node->next)
		if (slice_eq(node->key, key))
			return node;
	return NULL;
}

static bool is_one_of(struct slice s, const char *const *words)
{
	for (; *words; words++)
		if (slice_eq_str(s, *words))
			return true;
	return false;
}

static size_t digits_at(struct slice s, size_t at)
{
	size_t n = 0;

	while (at + n < s.len && s.data[at + n] >= '0' && s.data[at + n] <= '9')
		n++;
	return n;
}

/* [0-9]* ( . [0-9]* )? ( [eE] [-+]? [0-9]+ )? with at least one digit before the exponent. */
static bool is_decimal(struct slice s)
{
	size_t whole = digits_at(s, 0), at = whole, part = 0;

	if (at < s.len && s.data[at] == '.') {
		part = digits_at(s, at + 1);
		at += 1 + part;
	}
	if (whole + part == 0)
		return false;
	if (at < s.len && (s.data[at] == 'e' || s.data[at] == 'E')) {
		at++;
		if (at < s.len && (s.data[at] == '-' || s.data[at] == '+'))
			at++;
		if (digits_at(s, at) == 0)
			return false;
		at += digits_at(s, at);
	}
	return at == s.len;
}

static bool is_based(struct slice s)
{
	bool is_hex = slice_starts(s, SLICE_LIT("0x"));

	if (s.len < 3 || (!is_hex && !slice_starts(s, SLICE_LIT("0o"))))
		return false;
	for (size_t i = 2; i < s.len; i++) {
		uint8_t c = s.data[i];

		if (!(c >= '0' && c <= (is_hex ? '9' : '7')) &&
		    !(is_hex && ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))))
			return false;
	}
	return true;
}

static bool is_number(struct slice s)
{
	static const char *const special[] = {".inf", ".Inf", ".INF", ".nan", ".NaN", ".NAN", NULL};
	bool is_signed = s.len > 0 && (s.data[0] == '-' || s.data[0] == '+');

	return is_based(s) || is_decimal(slice_from(s, is_signed)) ||
	       is_one_of(slice_from(s, is_signed), special);
}

/* Source: YAML 1.2.2, 10.3.2 Tag Resolution of the Core Schema. */
enum scalar_kind yaml_scalar_kind(const struct yaml_node *node)
{
	static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
	static const char *const bools[] = {
	    "true", "True", "TRUE", "false", "False", "FALSE", NULL};

	if (!node->is_plain)
		return SCALAR_TEXT;
	if (is_one_of(node->text, nulls))
		return SCALAR_NULL;
	if (is_one_of(node->text, bools))
		return SCALAR_BOOL;
	return is_number(node->text) ? SCALAR_NUMBER : SCALAR_TEXT;
}

static bool is_control(uint32_t code)
{
	if (code < 0x20)
		return code != '\t' && code != '\n' && code != '\r';
	return code >= 0x7f && code < 0xa0 && code != 0x85;
}

size_t yaml_bad_byte(struct slice s)
{
	size_t at = 0;

	while (at < s.len) {
		uint32_t code;
		size_t len = utf8_take(slice_from(s, at), &code);

		if (len == 0 || is_control(code))
			break;
		at += len;
	}
	return at;
}
