#include "ctl/top_rows.h"

#include <stdlib.h>
#include <string.h>

#include <cJSON.h>

#include "base/text.h"
#include "ctl/answer.h"

void top_sample_fini(struct top_sample *sample)
{
	cJSON_Delete(sample->status);
	cJSON_Delete(sample->services);
	*sample = (struct top_sample){0};
}

const char *top_order_name(enum top_order order)
{
	switch (order) {
	case TOP_BY_CALLS:
		return "calls";
	case TOP_BY_ERRORS:
		return "errors";
	case TOP_BY_LATENCY:
		return "p99";
	case TOP_BY_NAME:
		return "name";
	case TOP_ORDERS:
		break;
	}
	return "";
}

const char *top_rate(double rate, char room[static 16])
{
	if (rate <= 0)
		snprintf(room, 16, "0");
	else if (rate < 9.95)
		snprintf(room, 16, "%.1f", rate);
	else if (rate < 1e4)
		snprintf(room, 16, "%.0f", rate);
	else if (rate < 1e6)
		snprintf(room, 16, "%.1fk", rate / 1e3);
	else
		snprintf(room, 16, "%.1fM", rate / 1e6);
	return room;
}

/* ---- between two answers ---- */

/* One of a list by a member of its name; *at is where it stands unless the list has changed. */
static const cJSON *find(const cJSON *list, const cJSON **at, const char *member, const char *name)
{
	const cJSON *one = *at;

	if (one == NULL || strcmp(answer_text(one, member), name) != 0)
		cJSON_ArrayForEach(one, list)
		{
			if (strcmp(answer_text(one, member), name) == 0)
				break;
		}
	*at = one ? one->next : NULL;
	return one;
}

/* How much a counter has grown. */
static double grown(const cJSON *before, const cJSON *now, const char *name)
{
	double from = answer_number(before, name), to = answer_number(now, name);

	return to > from ? to - from : 0;
}

/* Counters that are less than they were count something else by now. */
static bool is_comparable(const cJSON *before, const cJSON *now)
{
	return before && answer_number(now, "calls_total") >= answer_number(before, "calls_total");
}

static double at_least_0(double n)
{
	return n > 0 ? n : 0;
}

static void add_histogram(struct histogram *to, const cJSON *before, const cJSON *now)
{
	const cJSON *old = cJSON_GetObjectItemCaseSensitive(before, "latency"), *one;
	int i = 0;

	old = old ? old->child : NULL;
	cJSON_ArrayForEach(one, cJSON_GetObjectItemCaseSensitive(now, "latency"))
	{
		if (i > HISTOGRAM_BOUNDS)
			return;
		counter_add(&to->buckets[i++],
		    (uint64_t)at_least_0(one->valuedouble - (old ? old->valuedouble : 0)));
		old = old ? old->next : NULL;
	}
}

static double count_retries(const cJSON *service)
{
	const cJSON *kind;
	double sum = 0;

	cJSON_ArrayForEach(kind, cJSON_GetObjectItemCaseSensitive(service, "retries")) sum +=
	    kind->valuedouble;
	return sum;
}

static bool is_failure(int reason)
{
	return reason != REASON_OK && reason != REASON_BIZ_ERROR;
}

static void rate_service(
    struct top_rates *rates, const cJSON *before, const cJSON *now, double seconds)
{
	const cJSON *old = cJSON_GetObjectItemCaseSensitive(before, "reasons");
	const cJSON *reasons = cJSON_GetObjectItemCaseSensitive(now, "reasons");

	rates->calls = grown(before, now, "calls_total") / seconds;
	rates->retries = at_least_0(count_retries(now) - count_retries(before)) / seconds;
	for (int i = 0; i < REASON_COUNT; i++) {
		double rate = grown(old, reasons, reason_name((enum reason)i)) / seconds;

		rates->by_reason[i] = rate;
		rates->errors += is_failure(i) ? rate : 0;
	}
	add_histogram(&rates->took, before, now);
}

static void add_rates(struct top_rates *to, const struct top_rates *from)
{
	to->calls += from->calls;
	to->errors += from->errors;
	to->retries += from->retries;
	for (int i = 0; i < REASON_COUNT; i++)
		to->by_reason[i] += from->by_reason[i];
	for (int i = 0; i <= HISTOGRAM_BOUNDS; i++)
		counter_add(&to->took.buckets[i], counter_get(&from->took.buckets[i]));
}

/* The failure with the highest rate that is not said yet, -1 when there is none. */
static int most_frequent(const struct top_rates *rates, const bool *is_said)
{
	int most = -1;

	for (int i = 0; i < REASON_COUNT; i++)
		if (is_failure(i) && !is_said[i] && rates->by_reason[i] > 0 &&
		    (most < 0 || rates->by_reason[i] > rates->by_reason[most]))
			most = i;
	return most;
}

const char *top_reasons(struct arena *arena, const struct top_rates *rates)
{
	bool is_said[REASON_COUNT] = {false};
	struct text text = {0};
	const char *said;
	char room[16];
	int most;

	while ((most = most_frequent(rates, is_said)) >= 0) {
		is_said[most] = true;
		text_printf(&text, "%s%s %s/s", text.len ? ", " : "",
		    reason_name((enum reason)most), top_rate(rates->by_reason[most], room));
	}
	said = arena_str(arena, slice_of(text.bytes, text.len));
	text_fini(&text);
	return said;
}

/* ---- rows ---- */

static bool is_true(const cJSON *object, const char *name)
{
	return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(object, name));
}

static const char *state_of(const cJSON *endpoint)
{
	if (is_true(endpoint, "disabled"))
		return "disabled";
	if (strcmp(answer_text(endpoint, "health"), "down") == 0)
		return "down";
	if (answer_number(endpoint, "ejected_for_ms") > 0)
		return "ejected";
	return strcmp(answer_text(endpoint, "health"), "up") == 0 ? "up" : "";
}

/* "zone env=prod" */
static const char *note_of(struct arena *arena, const cJSON *endpoint)
{
	struct text text = {0};
	const cJSON *tag;
	const char *said;

	text_add_str(&text, answer_text(endpoint, "zone"));
	cJSON_ArrayForEach(tag, cJSON_GetObjectItemCaseSensitive(endpoint, "tags"))
	    text_printf(&text, "%s%s=%s", text.len ? " " : "", tag->string,
		cJSON_IsString(tag) ? tag->valuestring : "");
	said = arena_str(arena, slice_of(text.bytes, text.len));
	text_fini(&text);
	return said;
}

static struct top_row *build_endpoint(
    struct arena *arena, const cJSON *before, const cJSON *now, double seconds)
{
	struct top_row *row = arena_calloc(arena, 1, sizeof *row);

	row->is_endpoint = true;
	row->name = answer_text(now, "address");
	row->state = state_of(now);
	row->is_out = row->state[0] && strcmp(row->state, "up") != 0;
	row->breaker = "";
	row->note = note_of(arena, now);
	row->in_flight = answer_number(now, "in_flight");
	row->connections = answer_number(now, "connections");
	if (!is_comparable(before, now))
		return row;
	row->rates.calls = grown(before, now, "calls_total") / seconds;
	row->rates.errors = grown(before, now, "errors_total") / seconds;
	add_histogram(&row->rates.took, before, now);
	return row;
}

/* Seconds between the two, 0 when they do not belong together. */
static double seconds_between(const struct top_sample *before, const struct top_sample *now)
{
	if (before->status == NULL || now->at <= before->at ||
	    answer_number(before->status, "pid") != answer_number(now->status, "pid"))
		return 0;
	return (double)(now->at - before->at) / (double)USEC_S;
}

static int compare_rows(const struct top_row *a, const struct top_row *b, enum top_order order)
{
	double left = 0, right = 0;

	switch (order) {
	case TOP_BY_CALLS:
		left = a->rates.calls;
		right = b->rates.calls;
		break;
	case TOP_BY_ERRORS:
		left = a->rates.errors;
		right = b->rates.errors;
		break;
	case TOP_BY_LATENCY:
		left = (double)histogram_quantile(&a->rates.took, 0.99);
		right = (double)histogram_quantile(&b->rates.took, 0.99);
		break;
	case TOP_BY_NAME:
	case TOP_ORDERS:
		break;
	}
	if (left < right || left > right)
		return left < right ? 1 : -1;
	return strcmp(a->name, b->name);
}

static struct top_row *merge(struct top_row *a, struct top_row *b, enum top_order order)
{
	struct top_row *first = NULL, **last = &first;

	while (a && b) {
		struct top_row **least = compare_rows(a, b, order) <= 0 ? &a : &b;

		*last = *least;
		last = &(*last)->next;
		*least = (*least)->next;
	}
	*last = a ? a : b;
	return first;
}

/* A list of @n in order. */
static struct top_row *sort(struct top_row *list, size_t n, enum top_order order)
{
	struct top_row *half = list, *rest;

	if (n < 2)
		return list;
	for (size_t i = 1; i < n / 2; i++)
		half = half->next;
	rest = half->next;
	half->next = NULL;
	return merge(sort(list, n / 2, order), sort(rest, n - n / 2, order), order);
}

static void add_endpoints(
    struct top_row *row, struct arena *arena, const cJSON *before, const cJSON *now, double seconds)
{
	const cJSON *old = cJSON_GetObjectItemCaseSensitive(before, "endpoints"), *one;
	const cJSON *at = old ? old->child : NULL;

	cJSON_ArrayForEach(one, cJSON_GetObjectItemCaseSensitive(now, "endpoints"))
	{
		const cJSON *was = find(old, &at, "address", answer_text(one, "address"));
		struct top_row *e = build_endpoint(arena, was, one, seconds);

		e->next = row->first;
		row->first = e;
		row->endpoints++;
		row->usable += !e->is_out;
		row->in_flight += e->in_flight;
		row->connections += e->connections;
	}
}

static struct top_row *build_service(struct arena *arena, const cJSON *before, const cJSON *now,
    double seconds, enum top_order order)
{
	struct top_row *row = arena_calloc(arena, 1, sizeof *row);

	row->name = answer_text(now, "label");
	row->state = answer_text(now, "state");
	row->breaker = answer_text(now, "breaker");
	add_endpoints(row, arena, before, now, seconds);
	row->is_out = row->usable == 0;
	row->first = sort(row->first, row->endpoints, order);
	if (is_comparable(before, now))
		rate_service(&row->rates, before, now, seconds);
	row->note = top_reasons(arena, &row->rates);
	return row;
}

void top_rows_build(struct top_rows *rows, struct arena *arena, const struct top_sample *before,
    const struct top_sample *now, enum top_order order)
{
	double seconds = seconds_between(before, now);
	const cJSON *old = seconds > 0 ? before->services : NULL, *one;
	const cJSON *at = old ? old->child : NULL;

	*rows = (struct top_rows){0};
	cJSON_ArrayForEach(one, now->services)
	{
		const cJSON *was = find(old, &at, "label", answer_text(one, "label"));
		struct top_row *row = build_service(arena, was, one, seconds, order);

		row->next = rows->first;
		rows->first = row;
		rows->n_services++;
		rows->n_endpoints += row->endpoints;
		add_rates(&rows->all, &row->rates);
	}
	rows->first = sort(rows->first, rows->n_services, order);
}
