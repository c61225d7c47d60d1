#include "daemon/metrics_calls.h"

#include <stdio.h>

#include "daemon/metrics.h"
#include "daemon/metrics_family.h"

/* Kitex's buckets are 5 ms to 1 s of ours. Source: kitex-contrib/monitor-prometheus. */
#define KITEX_BOUNDS_FIRST 5u
#define KITEX_BOUNDS       8u

/*
 * What the series of all workers are added up to. Each is read once and looked up twice, for there
 * may be thousands: by what its labels have in common; what tells those apart is a short list
 * there.
 */
struct calls_page {
	struct arena *arena; /* borrowed */
	struct family clients, servers;
	struct family seconds;
	struct text labels; /* of the cell that is looked up */
};

/* Of a cell of `seconds`: calls of one protocol and reason. Of Kitex's: of one status and retry. */
struct part {
	struct part *next;
	unsigned key;
	uint64_t value;
	struct buckets took; /* Kitex's alone */
};

static void label(struct calls_page *p, const char *name, struct slice value, const char *empty)
{
	metrics_add_label(&p->labels, name, value, empty);
}

static struct part *find_part(struct calls_page *p, struct family_cell *of, unsigned key)
{
	struct part *part = of->parts;

	while (part && part->key != key)
		part = part->next;
	if (part)
		return part;
	part = arena_calloc(p->arena, 1, sizeof *part);
	part->key = key;
	part->next = of->parts;
	of->parts = part;
	return part;
}

static void add_status(
    struct calls_page *p, struct family_cell *cell, unsigned key, const struct histogram *took)
{
	struct buckets buckets = {0};
	uint64_t n = buckets_add(&buckets, took);
	struct part *part;

	if (n == 0)
		return;
	part = find_part(p, cell, key);
	part->value += n;
	for (size_t i = 0; i <= HISTOGRAM_BOUNDS; i++)
		part->took.counts[i] += buckets.counts[i];
	part->took.sum_us += buckets.sum_us;
}

static void add_kitex(struct calls_page *p, const struct call_series *s)
{
	struct family_cell *cell;

	p->labels.len = 0;
	label(p, "caller", s->labels.caller, "unknown");
	label(p, "callee", s->labels.callee, "unknown");
	label(p, "method", s->labels.method, "unknown");
	cell = family_cell(s->labels.is_server ? &p->servers : &p->clients, &p->labels);
	add_status(p, cell, 2 * s->labels.retries, &s->good);
	add_status(p, cell, 2 * s->labels.retries + 1, &s->bad);
}

static void add_ours(struct calls_page *p, const struct call_series *s)
{
	struct family_cell *cell;

	p->labels.len = 0;
	label(p, "listener", s->labels.listener, "");
	label(p, "service", s->labels.service, "");
	label(p, "method", s->labels.method, "");
	cell = family_cell(&p->seconds, &p->labels);
	buckets_add(cell->buckets, &s->good);
	buckets_add(cell->buckets, &s->bad);
	for (unsigned i = 0; i < REASON_COUNT; i++) {
		uint64_t n = counter_get(&s->by_reason[i]);

		if (n)
			find_part(p, cell, (unsigned)s->labels.protocol * REASON_COUNT + i)
			    ->value += n;
	}
}

static void gather(struct calls_page *p, const struct metrics_source *source)
{
	for (unsigned i = 0; i < source->n_workers; i++) {
		const struct call_series *s =
		    atomic_load_explicit(&source->workers[i]->calls.first, memory_order_acquire);

		for (; s; s = atomic_load_explicit(&s->next, memory_order_acquire)) {
			add_ours(p, s);
			add_kitex(p, s);
		}
	}
}

/* The labels of a part begin with those of its cell. */
static void begin_labels(struct calls_page *p, const struct family_cell *cell)
{
	p->labels.len = 0;
	text_add(&p->labels, cell->labels);
}

static void add_kitex_parts(struct calls_page *p, struct family *f, const struct family_cell *cell)
{
	for (const struct part *part = cell->parts; part; part = part->next) {
		struct family_cell *one;
		char retry[16];

		snprintf(retry, sizeof retry, "%u", part->key / 2);
		begin_labels(p, cell);
		label(p, "status", slice_str(part->key % 2 ? "error" : "succeed"), "");
		label(p, "retry", slice_str(retry), "");
		one = family_append(f, &p->labels);
		one->value = part->value;
		*one->buckets = part->took;
	}
}

/* Two families of the same cells: how long calls took, and how many there were. */
static void render_kitex(struct calls_page *p, const struct family *of, const char *throughput,
    const char *latency, struct text *out)
{
	struct family f;

	family_init(&f, p->arena, latency, "histogram",
	    "Time from the first byte of a call to the last of its reply, in microseconds.");
	for (const struct family_cell *cell = of->first; cell; cell = cell->next)
		add_kitex_parts(p, &f, cell);
	family_render_histogram(&f, KITEX_BOUNDS_FIRST, KITEX_BOUNDS, 1, out);
	f.name = throughput;
	f.type = "counter";
	f.help = of->help;
	family_render(&f, out);
	family_fini(&f);
}

static void render_reasons(struct calls_page *p, struct text *out)
{
	struct family f;

	family_init(
	    &f, p->arena, "bridle_calls_total", "counter", "Calls by the reason why they ended.");
	for (const struct family_cell *cell = p->seconds.first; cell; cell = cell->next)
		for (const struct part *part = cell->parts; part; part = part->next) {
			enum protocol protocol = (enum protocol)(part->key / REASON_COUNT);
			enum reason reason = (enum reason)(part->key % REASON_COUNT);

			begin_labels(p, cell);
			label(p, "protocol", slice_str(protocol_name(protocol)), "");
			label(p, "reason", slice_str(reason_name(reason)), "");
			family_append(&f, &p->labels)->value = part->value;
		}
	family_render(&f, out);
	family_fini(&f);
}

void metrics_render_calls(
    const struct metrics_source *source, struct arena *arena, struct text *out)
{
	struct calls_page p = {.arena = arena};

	family_init(&p.clients, arena, "", "", "Calls made to other services.");
	family_init(&p.servers, arena, "", "", "Calls answered by the local service.");
	family_init(&p.seconds, arena, "bridle_call_seconds", "histogram",
	    "Time from the first byte of a call to the last of its reply.");
	gather(&p, source);
	render_kitex(&p, &p.clients, "kitex_client_throughput", "kitex_client_latency_us", out);
	render_kitex(&p, &p.servers, "kitex_server_throughput", "kitex_server_latency_us", out);
	render_reasons(&p, out);
	family_render_histogram(&p.seconds, 0, HISTOGRAM_BOUNDS, USEC_S, out);
	family_fini(&p.clients);
	family_fini(&p.servers);
	family_fini(&p.seconds);
	text_fini(&p.labels);
}
