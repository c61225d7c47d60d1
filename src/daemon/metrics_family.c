#include "daemon/metrics_family.h"

#include <stdio.h>
#include <string.h>

void family_init(
    struct family *f, struct arena *arena, const char *name, const char *type, const char *help)
{
	*f = (struct family){.name = name, .help = help, .type = type, .arena = arena};
	f->has_buckets = strcmp(type, "histogram") == 0;
	table_init(&f->cells, 0);
	f->last = &f->first;
}

void family_fini(struct family *f)
{
	table_fini(&f->cells);
}

struct family_cell *family_append(struct family *f, const struct text *labels)
{
	size_t size = sizeof(struct family_cell) + (f->has_buckets ? sizeof(struct buckets) : 0);
	struct family_cell *cell = arena_calloc(f->arena, 1, size);

	cell->labels = arena_copy(f->arena, slice_of(labels->bytes, labels->len));
	*f->last = cell;
	f->last = &cell->next;
	return cell;
}

struct family_cell *family_cell(struct family *f, const struct text *labels)
{
	struct family_cell *cell = table_get(&f->cells, slice_of(labels->bytes, labels->len));

	if (cell)
		return cell;
	cell = family_append(f, labels);
	table_put(&f->cells, cell->labels, cell);
	return cell;
}

uint64_t buckets_add(struct buckets *to, const struct histogram *from)
{
	uint64_t all = 0;

	for (size_t i = 0; i <= HISTOGRAM_BOUNDS; i++) {
		uint64_t n = counter_get(&from->buckets[i]);

		to->counts[i] += n;
		all += n;
	}
	to->sum_us += counter_get(&from->sum_us);
	return all;
}

static void add_head(const struct family *f, struct text *out)
{
	text_printf(out, "# HELP %s %s\n# TYPE %s %s\n", f->name, f->help, f->name, f->type);
}

/* ---- lines: a page may have a hundred thousand of them, so they are put together by hand ---- */

#define DIGITS 20u /* of the longest number */

static char *put(char *at, const char *bytes, size_t len)
{
	memcpy(at, bytes, len);
	return at + len;
}

static char *put_str(char *at, const char *s)
{
	return put(at, s, strlen(s));
}

/* At least @width digits. */
static char *put_u64(char *at, uint64_t value, unsigned width)
{
	char digits[DIGITS];
	size_t first = sizeof digits;

	do {
		digits[--first] = (char)('0' + value % 10);
		value /= 10;
	} while (value || sizeof digits - first < width);
	return put(at, digits + first, sizeof digits - first);
}

/* name suffix { labels: what follows is "}", or "," and one more label. */
static char *put_name(
    char *at, const struct family *f, const char *suffix, const struct family_cell *cell)
{
	at = put_str(put_str(at, f->name), suffix);
	if (cell->labels.len == 0)
		return at;
	*at++ = '{';
	return put(at, (const char *)cell->labels.data, cell->labels.len);
}

static char *put_end(char *at, const struct family_cell *cell)
{
	if (cell->labels.len)
		*at++ = '}';
	*at++ = ' ';
	return at;
}

/* Enough for a line of the cell with a suffix, an edge and a number. */
static size_t line_room(const struct family *f, const struct family_cell *cell)
{
	return strlen(f->name) + cell->labels.len + 64;
}

void family_render(const struct family *f, struct text *out)
{
	if (f->first)
		add_head(f, out);
	for (const struct family_cell *cell = f->first; cell; cell = cell->next) {
		char *begin = text_room(out, line_room(f, cell)), *at = begin;

		at = put_end(put_name(at, f, "", cell), cell);
		at = put_u64(at, cell->value, 1);
		*at++ = '\n';
		out->len += (size_t)(at - begin);
	}
}

/* ---- histograms ---- */

/* What a histogram shows: some of our bounds, each with the end of its line's labels. */
struct edges {
	struct {
		size_t bucket; /* the last one that it counts */
		char text[48]; /* le="0.5"} and a space */
		size_t len;
	} list[HISTOGRAM_BOUNDS + 1];
	size_t n;
	usec_t unit;
};

static void add_edge(struct edges *edges, size_t bucket, const char *bound)
{
	size_t size = sizeof edges->list[0].text;

	edges->list[edges->n].bucket = bucket;
	edges->list[edges->n].len =
	    (size_t)snprintf(edges->list[edges->n].text, size, "le=\"%s\"} ", bound);
	edges->n++;
}

static void make_edges(struct edges *edges, size_t first, size_t n, usec_t unit)
{
	*edges = (struct edges){.unit = unit};
	for (size_t i = first; i < first + n && i < HISTOGRAM_BOUNDS; i++) {
		char bound[32];

		snprintf(bound, sizeof bound, "%.9g", (double)histogram_bounds[i] / (double)unit);
		add_edge(edges, i, bound);
	}
	add_edge(edges, HISTOGRAM_BOUNDS, "+Inf");
}

/* The lines of all buckets begin alike: the first one's beginning is copied to the others. */
static char *put_buckets(char *at, const struct family *f, const struct family_cell *cell,
    const struct edges *edges, uint64_t *all)
{
	const char *begin = at;
	uint64_t below = 0;
	size_t len, bucket = 0;

	at = put_name(at, f, "_bucket", cell);
	*at++ = cell->labels.len ? ',' : '{';
	len = (size_t)(at - begin);
	for (size_t i = 0; i < edges->n; i++) {
		for (; bucket <= edges->list[i].bucket; bucket++)
			below += cell->buckets->counts[bucket];
		if (i)
			at = put(at, begin, len);
		at = put(at, edges->list[i].text, edges->list[i].len);
		at = put_u64(at, below, 1);
		*at++ = '\n';
	}
	*all = below;
	return at;
}

static char *put_sum(char *at, const struct family *f, const struct family_cell *cell, usec_t unit)
{
	at = put_end(put_name(at, f, "_sum", cell), cell);
	at = put_u64(at, cell->buckets->sum_us / unit, 1);
	if (unit == USEC_S) {
		*at++ = '.';
		at = put_u64(at, cell->buckets->sum_us % USEC_S, 6);
	}
	*at++ = '\n';
	return at;
}

static char *put_count(
    char *at, const struct family *f, const struct family_cell *cell, uint64_t all)
{
	at = put_end(put_name(at, f, "_count", cell), cell);
	at = put_u64(at, all, 1);
	*at++ = '\n';
	return at;
}

void family_render_histogram(
    const struct family *f, size_t first, size_t n, usec_t unit, struct text *out)
{
	struct edges edges;

	make_edges(&edges, first, n, unit);
	if (f->first)
		add_head(f, out);
	for (const struct family_cell *cell = f->first; cell; cell = cell->next) {
		char *begin = text_room(out, (edges.n + 2) * line_room(f, cell)), *at;
		uint64_t all;

		at = put_buckets(begin, f, cell, &edges, &all);
		at = put_sum(at, f, cell, unit);
		at = put_count(at, f, cell, all);
		out->len += (size_t)(at - begin);
	}
}
