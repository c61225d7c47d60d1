/*
 * The layout of rpcx: the key names network and address, the value is a URL's query. Of a name that
 * comes twice the first value counts, as in Go's Values.Get; only groups are a list, joined by
 * commas here.
 */
#include <stdio.h>

#include "base/hex.h"
#include "base/utf8.h"
#include "registry/record_parts.h"

#define QUERY_MAX 4096u
#define PAIRS_MAX 256u

/* One name and value of a query, in the order of the text. */
struct query {
	struct config_pair pairs[PAIRS_MAX];
	size_t n;
};

/* NULL when an escape is none, or stands for NUL, which no tag may have, or makes no UTF-8. */
static const char *unescape(struct slice s, struct arena *arena)
{
	char *out = arena_alloc(arena, s.len + 1);
	size_t n = 0;

	for (size_t i = 0; i < s.len; i++) {
		int c = s.data[i] == '+' ? ' ' : s.data[i];

		if (c == '%') {
			int high = i + 2 < s.len ? hex_digit(s.data[i + 1]) : -1;
			int low = i + 2 < s.len ? hex_digit(s.data[i + 2]) : -1;

			if (high < 0 || low < 0)
				return NULL;
			c = high << 4 | low;
			i += 2;
		}
		if (c == '\0')
			return NULL;
		out[n++] = (char)c;
	}
	out[n] = '\0';
	return utf8_is_text(slice_of(out, n)) ? out : NULL;
}

static struct slice until(struct slice s, char end)
{
	const uint8_t *at = s.len ? memchr(s.data, end, s.len) : NULL;

	return at ? slice_first(s, (size_t)(at - s.data)) : s;
}

static int take_pair(struct slice text, struct arena *arena, struct query *q, struct err *err)
{
	struct slice name = until(text, '=');
	struct config_pair *pair = &q->pairs[q->n];

	if (q->n == PAIRS_MAX)
		return err_set(err, 0, "more than %u values", PAIRS_MAX);
	pair->name = unescape(name, arena);
	pair->value = unescape(slice_from(text, name.len + 1), arena);
	if (pair->name == NULL || pair->value == NULL)
		return err_set(err, 0, "a wrong escape in the query");
	q->n++;
	return 0;
}

static int parse_query(struct slice text, struct arena *arena, struct query *q, struct err *err)
{
	q->n = 0;
	if (text.len > QUERY_MAX)
		return err_set(err, 0, "larger than 4 KiB");
	while (text.len) {
		struct slice pair = until(text, '&');

		if (pair.len && take_pair(pair, arena, q, err) < 0)
			return -1;
		text = slice_from(text, pair.len + 1);
	}
	return 0;
}

/* Puts the pair into the sorted list, where that name may be already. */
static void put(struct config_pair *pairs, size_t *n, struct config_pair pair, struct arena *arena)
{
	size_t at = *n;

	for (size_t i = 0; i < *n; i++) {
		if (strcmp(pairs[i].name, pair.name) != 0)
			continue;
		if (strcmp(pair.name, "group") == 0)
			pairs[i].value = arena_printf(arena, "%s,%s", pairs[i].value, pair.value);
		return;
	}
	while (at > 0 && strcmp(pairs[at - 1].name, pair.name) > 0) {
		pairs[at] = pairs[at - 1];
		at--;
	}
	pairs[at] = pair;
	(*n)++;
}

static void take_tags(const struct query *q, struct arena *arena, struct endpoint *endpoint)
{
	struct config_pair *pairs = arena_calloc(arena, q->n + 1, sizeof *pairs);
	size_t n = 0;

	for (size_t i = 0; i < q->n; i++)
		if (strcmp(q->pairs[i].name, "weight") != 0)
			put(pairs, &n, q->pairs[i], arena);
	endpoint->tags = (struct config_map){n ? pairs : NULL, n};
	endpoint->zone = record_zone(&endpoint->tags);
}

static int take_weight(const struct query *q, unsigned *weight, struct err *err)
{
	uint64_t value;

	*weight = RECORD_WEIGHT_RPCX;
	for (size_t i = 0; i < q->n; i++) {
		if (strcmp(q->pairs[i].name, "weight") != 0)
			continue;
		if (!slice_to_u64(slice_str(q->pairs[i].value), &value) ||
		    value > RECORD_WEIGHT_MAX)
			return err_set(
			    err, 0, "the weight is no number of 0 to %u", RECORD_WEIGHT_MAX);
		*weight = (unsigned)value;
		break;
	}
	return 0;
}

/* network@host:port; without a network it is TCP. */
static int take_key(struct slice key, struct address *address, struct err *err)
{
	struct slice network = until(key, '@');

	if (network.len == key.len)
		return record_take_address(key, address, err);
	if (!slice_eq_str(network, "tcp") && !slice_eq_str(network, "tcp4") &&
	    !slice_eq_str(network, "tcp6"))
		return err_set(err, 0, "its network is not tcp");
	return record_take_address(slice_from(key, network.len + 1), address, err);
}

int record_read_rpcx(struct slice key, struct slice value, struct arena *arena,
    struct endpoint *endpoint, struct err *err)
{
	struct query q;
	const char *state;

	*endpoint = (struct endpoint){0};
	if (take_key(key, &endpoint->address, err) < 0 || parse_query(value, arena, &q, err) < 0 ||
	    take_weight(&q, &endpoint->weight, err) < 0)
		return -1;
	take_tags(&q, arena, endpoint);
	state = config_map_find(&endpoint->tags, "state");
	return state && strcmp(state, "inactive") == 0;
}

void record_write_rpcx_key(const struct registration_plan *plan, struct text *out)
{
	text_printf(out, "tcp@%s", plan->address.text);
}

static void write_pair(const char *name, const char *value, struct text *out)
{
	if (out->len)
		text_add_str(out, "&");
	record_escape_query(slice_str(name), out);
	text_add_str(out, "=");
	record_escape_query(slice_str(value), out);
}

/* A tag called weight would be another word on the weight: it stays out. */
void record_write_rpcx(const struct registration_plan *plan, struct text *out)
{
	struct text query = {0};
	char weight[16];
	bool is_done = false;

	snprintf(weight, sizeof weight, "%u", plan->weight);
	for (size_t i = 0; i < plan->tags.n; i++) {
		const struct config_pair *tag = &plan->tags.pairs[i];
		int order = strcmp(tag->name, "weight");

		if (order >= 0 && !is_done) {
			write_pair("weight", weight, &query);
			is_done = true;
		}
		if (order != 0)
			write_pair(tag->name, tag->value, &query);
	}
	if (!is_done)
		write_pair("weight", weight, &query);
	text_add(out, slice_of(query.bytes, query.len));
	text_fini(&query);
}
