#include "daemon/metrics_family.h"

#include <stdio.h>

void family_init(
    struct family *f, struct arena *arena, const char *name, const char *type, const char *help)
{
	*f = (struct family){.name = name, .help = help, .type = type, .arena = arena};
	table_init(&f->cells, 0);
	f->last = &f->first;
}

void family_fini(struct family *f)
{
	table_fini(&f->cells);
}

struct family_cell *family_cell(struct family *f, const struct text *labels)
{
	struct slice key = slice_of(labels->bytes, labels->len);
	struct family_cell *cell = table_get(&f->cells, key);

	if (cell)
		return cell;
	cell = arena_calloc(f->arena, 1, sizeof *cell);
	cell->labels = arena_copy(f->arena, key);
	table_put(&f->cells, cell->labels, cell);
	*f->last = cell;
	f->last = &cell->next;
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

/* name suffix { labels , extra } space: the value and the line's end are the caller's. */
static void add_name(const struct family *f, const char *suffix, const struct family_cell *cell,
    const char *extra, struct text *out)
{
	text_add_str(out, f->name);
	text_add_str(out, suffix);
	if (cell->labels.len || extra[0]) {
		text_add_str(out, "{");
		text_add(out, cell->labels);
		if (cell->labels.len && extra[0])
			text_add_str(out, ",");
		text_add_str(out, extra);
		text_add_str(out, "}");
	}
	text_add_str(out, " ");
}

static void add_line(const struct family *f, const char *suffix, const struct family_cell *cell,
    const char *extra, uint64_t value, struct text *out)
{
	add_name(f, suffix, cell, extra, out);
	text_add_u64(out, value);
	text_add_str(out, "\n");
}

void family_render(const struct family *f, struct text *out)
{
	if (f->first)
		add_head(f, out);
	for (const struct family_cell *cell = f->first; cell; cell = cell->next)
		add_line(f, "", cell, "", cell->value, out);
}

static void add_sum(
    const struct family *f, const struct family_cell *cell, usec_t unit, struct text *out)
{
	add_name(f, "_sum", cell, "", out);
	text_add_u64(out, cell->buckets.sum_us / unit);
	if (unit == USEC_S)
		text_printf(out, ".%06u", (unsigned)(cell->buckets.sum_us % USEC_S));
	text_add_str(out, "\n");
}

static void render_cell(const struct family *f, const struct family_cell *cell, size_t first,
    size_t n, usec_t unit, struct text *out)
{
	uint64_t below = 0;

	for (size_t i = 0; i <= HISTOGRAM_BOUNDS; i++) {
		char bound[48];

		below += cell->buckets.counts[i];
		if (i < first || i >= first + n || i == HISTOGRAM_BOUNDS)
			continue;
		if (unit == USEC_S)
			snprintf(bound, sizeof bound, "le=\"%g\"",
			    (double)histogram_bounds[i] / (double)unit);
		else
			snprintf(bound, sizeof bound, "le=\"%llu\"",
			    (unsigned long long)(histogram_bounds[i] / unit));
		add_line(f, "_bucket", cell, bound, below, out);
	}
	add_line(f, "_bucket", cell, "le=\"+Inf\"", below, out);
	add_sum(f, cell, unit, out);
	add_line(f, "_count", cell, "", below, out);
}

void family_render_histogram(
    const struct family *f, size_t first, size_t n, usec_t unit, struct text *out)
{
	if (f->first)
		add_head(f, out);
	for (const struct family_cell *cell = f->first; cell; cell = cell->next)
		render_cell(f, cell, first, n, unit, out);
}
