/*
 * One metric family while a page is rendered: values added up under their labels. Labels are looked
 * up in a table, so that a page of many series stays linear.
 */
#ifndef BRIDLE_DAEMON_METRICS_FAMILY_H
#define BRIDLE_DAEMON_METRICS_FAMILY_H

#include "base/arena.h"
#include "base/stat.h"
#include "base/table.h"
#include "base/text.h"

/* A histogram at rest. */
struct buckets {
	uint64_t counts[HISTOGRAM_BOUNDS + 1]; /* not cumulative */
	uint64_t sum_us;
};

struct family_cell {
	struct family_cell *next;
	struct slice labels; /* name="value",... */
	uint64_t value;
	void *parts;              /* whoever has looked it up keeps there what it is made of */
	struct buckets buckets[]; /* one in the families that are histograms */
};

struct family {
	const char *name, *help, *type; /* constant */
	bool has_buckets;
	struct arena *arena; /* borrowed; cells lie in it */
	struct table cells;
	struct family_cell *first, **last; /* in the order they came */
};

/* With the type "histogram" its cells have buckets, whatever type it is shown as later. */
void family_init(
    struct family *f, struct arena *arena, const char *name, const char *type, const char *help);
void family_fini(struct family *f);

/* The cell of these labels, added when there is none yet. */
struct family_cell *family_cell(struct family *f, const struct text *labels);
/* A new cell of labels that no other has; family_cell does not find it. */
struct family_cell *family_append(struct family *f, const struct text *labels);
/* Takes in what a live histogram shows; returns how much it has counted. */
uint64_t buckets_add(struct buckets *to, const struct histogram *from);

/* # HELP, # TYPE, and the cells' values. Nothing at all for a family without cells. */
void family_render(const struct family *f, struct text *out);
/*
 * The same for histograms. Of our bounds those from @first for @n are shown, each printed after
 * division by @unit (1: microseconds, 1000000: seconds).
 */
void family_render_histogram(
    const struct family *f, size_t first, size_t n, usec_t unit, struct text *out);

#endif
