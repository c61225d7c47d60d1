/* The types of keys that are numbers: bools, counts, sizes, times, shares, modes. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "model/config_bind.h"

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit time_units[] = {
    {"us", 1},
    {"ms", USEC_MS},
    {"s", USEC_S},
    {"m", 60 * USEC_S},
    {"h", 3600 * USEC_S},
    {"d", 86400 * USEC_S},
    {NULL, 0},
};

static const struct unit size_units[] = {
    {"B", 1},
    {"KiB", (uint64_t)1 << 10},
    {"MiB", (uint64_t)1 << 20},
    {"GiB", (uint64_t)1 << 30},
    {NULL, 0},
};

/* What a rate is counted over. */
static const struct unit rate_units[] = {
    {"/s", USEC_S},
    {"/m", 60 * USEC_S},
    {"/h", 3600 * USEC_S},
    {NULL, 0},
};

/* Limits of every time and size, so that sums of them stay far from the end of 64 bits. */
#define TIME_MAX       (365 * 86400 * USEC_S)
#define SIZE_MAX_BYTES ((uint64_t)1 << 50)

struct quantity {
	const char *what, *like;
	const struct unit *units;
	uint64_t max;
};

static const struct quantity a_time = {"a time",
    "a whole number with its unit (us, ms, s, m, h, d), like 250ms", time_units, TIME_MAX};
static const struct quantity a_size = {"a size",
    "a whole number with its unit (B, KiB, MiB, GiB), like 64MiB", size_units, SIZE_MAX_BYTES};
static const struct quantity a_rate = {
    "a rate", "a whole number with its unit (/s, /m, /h), like 100/s", rate_units, UINT32_MAX - 1};

/* In the largest unit that leaves no rest. */
static void write_quantity(const struct unit *units, uint64_t value, char *text, size_t size)
{
	const struct unit *best = units;

	for (const struct unit *u = units; u->name; u++)
		if (value % u->factor == 0 && value > 0)
			best = u;
	snprintf(text, size, "%" PRIu64 "%s", value / best->factor, best->name);
}

static const char *or_none(const struct key *key)
{
	if (key->flags & KEY_AUTO)
		return ", or auto, or none";
	return key->flags & KEY_NONE ? ", or none" : "";
}

static int refuse_range(struct binder *b, const struct key *key, const struct yaml_node *node,
    const struct unit *units, uint64_t max)
{
	char low[32], high[32];

	if (units) {
		write_quantity(units, key->min, low, sizeof low);
		write_quantity(units, max, high, sizeof high);
	} else {
		snprintf(low, sizeof low, "%" PRIu64, key->min);
		snprintf(high, sizeof high, "%" PRIu64, max);
	}
	return bind_error(b, node, "%s is out of range\nexpected %s to %s%s", bind_shows(b, node),
	    low, high, or_none(key));
}

static size_t count_digits(struct slice s)
{
	size_t n = 0;

	while (n < s.len && s.data[n] >= '0' && s.data[n] <= '9')
		n++;
	return n;
}

static const struct unit *find_unit(const struct unit *units, struct slice name)
{
	for (const struct unit *u = units; u->name; u++)
		if (slice_eq_str(name, u->name))
			return u;
	return NULL;
}

/* What is wrong with the form of a quantity. */
static int refuse_form(
    struct binder *b, const struct key *key, const struct yaml_node *node, const struct quantity *q)
{
	size_t digits = node->kind == NODE_SCALAR ? count_digits(node->text) : 0;
	if (node->kind != NODE_SCALAR || digits == 0)
		return bind_error(b, node, "%s where %s belongs\nexpected %s%s",
		    bind_shows(b, node), q->what, q->like, or_none(key));
	if (digits == node->text.len)
		return bind_error(b, node, "%s has no unit\nexpected %s%s", bind_shows(b, node),
		    q->like, or_none(key));
	return bind_error(b, node, "%s is not %s\nexpected %s%s", bind_shows(b, node), q->what,
	    q->like, or_none(key));
}

static int parse_quantity(struct binder *b, const struct key *key, const struct yaml_node *node,
    const struct quantity *q, uint64_t *value)
{
	uint64_t max = key->max ? key->max : q->max, number;
	const struct unit *unit;
	size_t digits;

	if (bind_is_none(key, node)) {
		*value = UINT64_MAX;
		return 0;
	}
	if (node->kind != NODE_SCALAR)
		return refuse_form(b, key, node, q);
	digits = count_digits(node->text);
	unit = find_unit(q->units, slice_from(node->text, digits));
	if (digits == 0 || unit == NULL)
		return refuse_form(b, key, node, q);
	if (!slice_to_u64(slice_first(node->text, digits), &number) ||
	    number > max / unit->factor || number * unit->factor < key->min)
		return refuse_range(b, key, node, q->units, max);
	*value = number * unit->factor;
	return 0;
}

static int parse_time(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	return parse_quantity(b, key, node, &a_time, (uint64_t *)((char *)base + key->offset));
}

static int parse_size(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	return parse_quantity(b, key, node, &a_size, (uint64_t *)((char *)base + key->offset));
}

static void print_quantity(
    const struct key *key, const void *base, const struct unit *units, FILE *to)
{
	uint64_t value = *(const uint64_t *)((const char *)base + key->offset);
	char text[32] = "none";

	if (value != UINT64_MAX)
		write_quantity(units, value, text, sizeof text);
	fputs(text, to);
}

static void print_time(const struct key *key, const void *base, FILE *to)
{
	print_quantity(key, base, time_units, to);
}

static void print_size(const struct key *key, const void *base, FILE *to)
{
	print_quantity(key, base, size_units, to);
}

/* What a variable gives is a string to a schema; so each pattern lets ${ through. */
static void schema_quantity(const struct key *key, const char *units, FILE *to)
{
	fprintf(to, "{\"type\": \"string\", \"pattern\": \"^%s%s[0-9]+(%s)$|\\\\$\\\\{\"}",
	    key->flags & KEY_NONE ? "none$|^" : "", key->flags & KEY_AUTO ? "auto$|^" : "", units);
}

static void schema_time(const struct key *key, FILE *to)
{
	schema_quantity(key, "us|ms|s|m|h|d", to);
}

static void schema_size(const struct key *key, FILE *to)
{
	schema_quantity(key, "B|KiB|MiB|GiB", to);
}

const struct key_type key_time = {"time", parse_time, print_time, schema_time, KEY_VALUE, NULL};
const struct key_type key_size = {"size", parse_size, print_size, schema_size, KEY_VALUE, NULL};

/* Something that is switched off by taking no time. */
static int parse_time_or_zero(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	if (!bind_is_none(key, node))
		return parse_time(b, key, node, base);
	*(usec_t *)(void *)((char *)base + key->offset) = 0;
	return 0;
}

static void print_time_or_zero(const struct key *key, const void *base, FILE *to)
{
	if (*(const usec_t *)(const void *)((const char *)base + key->offset) == 0)
		fputs("none", to);
	else
		print_time(key, base, to);
}

const struct key_type key_time_or_zero = {
    "time", parse_time_or_zero, print_time_or_zero, schema_time, KEY_VALUE, NULL};

static int parse_memory(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	if (node->kind == NODE_SCALAR && slice_eq_str(node->text, "auto")) {
		key->fill(b, base);
		return 0;
	}
	return parse_size(b, key, node, base);
}

const struct key_type key_memory = {"size", parse_memory, print_size, schema_size, KEY_VALUE, NULL};

/* Room for something that can be done without: none is no room, not room without end. */
static int parse_buffer(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	if (bind_is_none(key, node)) {
		*(uint64_t *)((char *)base + key->offset) = 0;
		return 0;
	}
	return parse_size(b, key, node, base);
}

static void print_buffer(const struct key *key, const void *base, FILE *to)
{
	if (*(const uint64_t *)((const char *)base + key->offset) == 0)
		fputs("none", to);
	else
		print_size(key, base, to);
}

const struct key_type key_buffer = {
    "size", parse_buffer, print_buffer, schema_size, KEY_VALUE, NULL};

static int parse_rate(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	uint64_t max = key->max ? key->max : a_rate.max, number;
	struct rate *rate = (struct rate *)(void *)((char *)base + key->offset);
	const struct unit *unit;
	size_t digits;

	if (node->kind != NODE_SCALAR)
		return refuse_form(b, key, node, &a_rate);
	digits = count_digits(node->text);
	unit = find_unit(rate_units, slice_from(node->text, digits));
	if (digits == 0 || unit == NULL)
		return refuse_form(b, key, node, &a_rate);
	if (!slice_to_u64(slice_first(node->text, digits), &number) || number > max ||
	    number < key->min)
		return bind_error(b, node,
		    "%s is out of range\nexpected %" PRIu64 " to %" PRIu64
		    " in a second, a minute or an hour",
		    bind_shows(b, node), key->min, max);
	*rate = (struct rate){(unsigned)number, unit->factor};
	return 0;
}

static void print_rate(const struct key *key, const void *base, FILE *to)
{
	const struct rate *rate =
	    (const struct rate *)(const void *)((const char *)base + key->offset);

	for (const struct unit *u = rate_units; u->name; u++)
		if (u->factor == rate->per)
			fprintf(to, "%u%s", rate->count, u->name);
}

static void schema_rate(const struct key *key, FILE *to)
{
	schema_quantity(key, "/s|/m|/h", to);
}

const struct key_type key_rate = {"rate", parse_rate, print_rate, schema_rate, KEY_VALUE, NULL};

/* That of a limit may be missing: then the limit is one of concurrency alone. */
static int parse_limit_rate(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	struct limit_config *limit = base;
	struct key of_limit = *key;

	limit->rate = (struct rate){1, USEC_S};
	limit->has_rate = false;
	if (bind_is_none(key, node))
		return 0;
	of_limit.offset = offsetof(struct limit_config, rate);
	limit->has_rate = true; /* meant to be there, be it wrong */
	return parse_rate(b, &of_limit, node, base);
}

static void print_limit_rate(const struct key *key, const void *base, FILE *to)
{
	const struct limit_config *limit = base;
	struct key of_limit = *key;

	of_limit.offset = offsetof(struct limit_config, rate);
	if (limit->has_rate)
		print_rate(&of_limit, base, to);
	else
		fputs("none", to);
}

const struct key_type key_limit_rate = {
    "rate", parse_limit_rate, print_limit_rate, schema_rate, KEY_VALUE, NULL};

static int parse_bool(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	static const char *const no[] = {"no", "off", "n", "No", "NO", "Off", "OFF", "0"};
	const char *meant = "true";
	struct yaml_node scalar = *node;

	/* "${NAME}" is quoted for YAML's sake only. */
	scalar.is_plain |= node->variable != NULL;
	if (node->kind == NODE_SCALAR && yaml_scalar_kind(&scalar) == SCALAR_BOOL) {
		*(bool *)((char *)base + key->offset) = (node->text.data[0] | 0x20) == 't';
		return 0;
	}
	if (node->kind != NODE_SCALAR)
		return bind_expected(b, node, "a bool", "true or false");
	if (!node->is_plain && !node->variable)
		return bind_error(b, node,
		    "%s is a text, not a bool\nexpected true or false: leave the quotes out",
		    bind_shows(b, node));
	for (size_t i = 0; i < ARRAY_LEN(no); i++)
		if (slice_eq_str(node->text, no[i]))
			meant = "false";
	return bind_error(b, node, "%s is no bool\nexpected true or false; did you mean %s?",
	    bind_shows(b, node), meant);
}

static void print_bool(const struct key *key, const void *base, FILE *to)
{
	fputs(*(const bool *)((const char *)base + key->offset) ? "true" : "false", to);
}

static void schema_bool(const struct key *key, FILE *to)
{
	(void)key;
	fputs("{\"anyOf\": [{\"type\": \"boolean\"}, {\"$ref\": \"#/$defs/variable\"}]}", to);
}

const struct key_type key_bool = {"bool", parse_bool, print_bool, schema_bool, KEY_VALUE, NULL};

static int parse_number(struct binder *b, const struct key *key, const struct yaml_node *node,
    uint64_t most, uint64_t *value)
{
	uint64_t max = key->max ? key->max : most;
	const char *like = key->flags & KEY_NONE ? "a whole number, or none" : "a whole number";

	if (bind_is_none(key, node)) {
		*value = COUNT_NONE;
		return 0;
	}
	if (node->kind != NODE_SCALAR ||
	    (yaml_scalar_kind(node) != SCALAR_NUMBER && count_digits(node->text) == 0))
		return bind_expected(b, node, "a number", like);
	if (!node->is_plain && !node->variable)
		return bind_error(b, node,
		    "%s is a text, not a number\nexpected %s: leave the quotes out",
		    bind_shows(b, node), like);
	if (count_digits(node->text) != node->text.len)
		return bind_error(b, node, "%s is no whole number\nexpected %s, without a unit",
		    bind_shows(b, node), like);
	if (!slice_to_u64(node->text, value) || *value < key->min || *value > max)
		return refuse_range(b, key, node, NULL, max);
	return 0;
}

static int parse_count64(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	uint64_t value;

	if (parse_number(b, key, node, UINT32_MAX, &value) < 0)
		return -1;
	*(uint64_t *)((char *)base + key->offset) = value;
	return 0;
}

static int parse_count(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	uint64_t value;

	if (parse_number(b, key, node, UINT32_MAX - 1, &value) < 0)
		return -1;
	*(unsigned *)((char *)base + key->offset) =
	    value == COUNT_NONE ? UINT32_MAX : (unsigned)value;
	return 0;
}

/* Something that can be done without: none is 0 of it, not as many as there are. */
static int parse_count_or_zero(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	unsigned *value = (unsigned *)(void *)((char *)base + key->offset);

	if (!bind_is_none(key, node))
		return parse_count(b, key, node, base);
	*value = 0;
	return 0;
}

static void print_number(uint64_t value, uint64_t none, FILE *to)
{
	if (value == none)
		fputs("none", to);
	else
		fprintf(to, "%" PRIu64, value);
}

static void print_count64(const struct key *key, const void *base, FILE *to)
{
	print_number(*(const uint64_t *)((const char *)base + key->offset), COUNT_NONE, to);
}

static void print_count(const struct key *key, const void *base, FILE *to)
{
	print_number(*(const unsigned *)((const char *)base + key->offset), UINT32_MAX, to);
}

static void print_count_or_zero(const struct key *key, const void *base, FILE *to)
{
	print_number(*(const unsigned *)(const void *)((const char *)base + key->offset), 0, to);
}

static void schema_count(const struct key *key, FILE *to)
{
	fprintf(to, "{\"anyOf\": [{\"type\": \"integer\", \"minimum\": %" PRIu64, key->min);
	if (key->max)
		fprintf(to, ", \"maximum\": %" PRIu64, key->max);
	fprintf(to, "}, %s{\"$ref\": \"#/$defs/variable\"}]}",
	    key->flags & KEY_NONE ? "{\"const\": \"none\"}, " : "");
}

const struct key_type key_count = {
    "count", parse_count, print_count, schema_count, KEY_VALUE, NULL};
const struct key_type key_count_or_zero = {
    "count", parse_count_or_zero, print_count_or_zero, schema_count, KEY_VALUE, NULL};
const struct key_type key_count64 = {
    "count", parse_count64, print_count64, schema_count, KEY_VALUE, NULL};

static int parse_version(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	if (node->kind != NODE_SCALAR || !node->is_plain || !slice_eq_str(node->text, "1"))
		return bind_error(b, node, "this version of the file is not known\nexpected 1");
	*(unsigned *)((char *)base + key->offset) = 1;
	return 0;
}

const struct key_type key_version = {
    "count", parse_version, print_count, schema_count, KEY_VALUE, NULL};

/* Octal, as chmod(1) takes it; the YAML reader's view of it as a number does not matter. */
static int parse_mode(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	mode_t mode = 0;

	if (node->kind != NODE_SCALAR || node->text.len < 3 || node->text.len > 4)
		return bind_expected(
		    b, node, "a file mode", "three or four octal digits, like 0660");
	for (size_t i = 0; i < node->text.len; i++) {
		if (node->text.data[i] < '0' || node->text.data[i] > '7')
			return bind_expected(
			    b, node, "a file mode", "three or four octal digits, like 0660");
		mode = mode * 8 + (mode_t)(node->text.data[i] - '0');
	}
	if (mode > 0777)
		return bind_error(b, node,
		    "%s has bits that mean nothing for a socket\n"
		    "expected a mode up to 0777",
		    bind_shows(b, node));
	*(mode_t *)((char *)base + key->offset) = mode;
	return 0;
}

static void print_mode(const struct key *key, const void *base, FILE *to)
{
	fprintf(to, "%04o", *(const mode_t *)((const char *)base + key->offset));
}

static void schema_mode(const struct key *key, FILE *to)
{
	(void)key;
	fputs("{\"type\": [\"string\", \"integer\"]}", to);
}

const struct key_type key_mode = {"mode", parse_mode, print_mode, schema_mode, KEY_VALUE, NULL};
