#include "daemon/metrics.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "daemon/metrics_calls.h"
#include "daemon/metrics_family.h"
#include "daemon/metrics_governance.h"
#include "daemon/metrics_policies.h"
#include "daemon/metrics_registrations.h"
#include "daemon/metrics_registries.h"
#include "daemon/trace_export.h"

#define SERIES_ROOM 4096u              /* of the lines that a series leads to, about */
#define LARGE_PAGE  (2u * 1024 * 1024) /* as usual systems have them; where not, nothing is lost */

/* One page under way. */
struct page {
	const struct metrics_source *source;
	struct arena arena;
	struct text labels; /* of the cell that is looked up */
	struct text *out;
};

/* How many bytes at the start need no escape. */
static size_t plain_len(struct slice s)
{
	size_t n = 0;

	while (n < s.len && s.data[n] >= 0x20 && s.data[n] < 0x7f && s.data[n] != '"' &&
	       s.data[n] != '\\')
		n++;
	return n;
}

static void add_escaped(struct text *out, struct slice value)
{
	while (value.len) {
		uint8_t b = value.data[0];
		size_t n = plain_len(value);
		uint32_t code;

		if (n) {
			text_add(out, slice_first(value, n));
			value = slice_from(value, n);
			continue;
		}
		n = utf8_take(value, &code);
		if (b == '\n')
			text_add_str(out, "\\n");
		else if (b == '\\' || b == '"')
			text_add(out, slice_of(b == '"' ? "\\\"" : "\\\\", 2));
		else if (n == 0 || b < 0x20 || b == 0x7f)
			text_printf(out, "\\\\x%02x", b);
		else
			text_add(out, slice_first(value, n));
		value = slice_from(value, n ? n : 1);
	}
}

void metrics_add_label(struct text *out, const char *name, struct slice value, const char *empty)
{
	if (out->len)
		text_add_str(out, ",");
	text_add_str(out, name);
	text_add_str(out, "=\"");
	add_escaped(out, value.len ? value : slice_str(empty));
	text_add_str(out, "\"");
}

static void label(struct page *p, const char *name, const char *value)
{
	metrics_add_label(&p->labels, name, slice_str(value), "");
}

/* The cell for the labels gathered so far, which start over. */
static struct family_cell *take_cell(struct page *p, struct family *f)
{
	struct family_cell *cell = family_cell(f, &p->labels);

	p->labels.len = 0;
	return cell;
}

/* --- families of services --- */

typedef void (*service_visit_fn)(struct page *p, struct family *f, const struct service_stats *s);

static void visit_attempts(struct page *p, struct family *f, const struct service_stats *s)
{
	for (int i = 0; i < ATTEMPT_OUTCOMES; i++) {
		label(p, "service", s->label);
		label(p, "outcome", attempt_outcome_name((enum attempt_outcome)i));
		take_cell(p, f)->value += counter_get(&s->attempts[i]);
	}
}

static void visit_retries(struct page *p, struct family *f, const struct service_stats *s)
{
	label(p, "service", s->label);
	label(p, "kind", "connect");
	take_cell(p, f)->value += counter_get(&s->retries_connect);
	label(p, "service", s->label);
	label(p, "kind", "unsent");
	take_cell(p, f)->value += counter_get(&s->retries_unsent);
	label(p, "service", s->label);
	label(p, "kind", "failure");
	take_cell(p, f)->value += counter_get(&s->retries_failure);
	label(p, "service", s->label);
	label(p, "kind", "backup");
	take_cell(p, f)->value += counter_get(&s->retries_backup);
}

static void visit_fallbacks(struct page *p, struct family *f, const struct service_stats *s)
{
	label(p, "service", s->label);
	take_cell(p, f)->value += counter_get(&s->fallbacks);
}

static void visit_mirrored(struct page *p, struct family *f, const struct service_stats *s)
{
	label(p, "service", s->label);
	take_cell(p, f)->value += counter_get(&s->mirrored);
}

static void visit_correlated(struct page *p, struct family *f, const struct service_stats *s)
{
	for (int i = 0; i < CORRELATION_COUNTED; i++) {
		label(p, "service", s->label);
		label(p, "result", correlation_result_name((enum correlation_result)i));
		take_cell(p, f)->value += counter_get(&s->correlated[i]);
	}
}

static void visit_upstreams(struct page *p, struct family *f, const struct service_stats *s)
{
	label(p, "service", s->label);
	take_cell(p, f)->value += counter_get(&s->upstream_connections);
}

static void visit_backlog(struct page *p, struct family *f, const struct service_stats *s)
{
	label(p, "service", s->label);
	take_cell(p, f)->value += counter_get(&s->connect_backlog);
}

static void visit_odd_ids(struct page *p, struct family *f, const struct service_stats *s)
{
	label(p, "service", s->label);
	take_cell(p, f)->value += counter_get(&s->odd_sequence_ids);
}

static void add_both_ways(
    struct page *p, struct family *f, const struct service_stats *s, const struct counter *counts)
{
	static const char *const directions[] = {"in", "out"};

	for (int i = 0; i < 2; i++) {
		label(p, "service", s->label);
		label(p, "direction", directions[i]);
		take_cell(p, f)->value += counter_get(&counts[i]);
	}
}

static void visit_messages(struct page *p, struct family *f, const struct service_stats *s)
{
	add_both_ways(p, f, s, s->messages);
}

static void visit_message_bytes(struct page *p, struct family *f, const struct service_stats *s)
{
	add_both_ways(p, f, s, s->message_bytes);
}

static const struct service_family {
	const char *name, *type, *help;
	service_visit_fn visit;
} service_families[] = {
    {"bridle_attempts_total", "counter", "Tries of calls on endpoints.", visit_attempts},
    {"bridle_retries_total", "counter", "Second and later tries, by what made them needed.",
	visit_retries},
    {"bridle_fallbacks_total", "counter", "Calls that were led from here to their fallback.",
	visit_fallbacks},
    {"bridle_mirrored_total", "counter", "Copies of calls that were sent here.", visit_mirrored},
    {"bridle_correlated_total", "counter",
	"Calls from the service's application, by what they could be tied to (correlate).",
	visit_correlated},
    {"bridle_upstream_connections", "gauge", "Open connections to endpoints.", visit_upstreams},
    {"bridle_connect_backlog_total", "counter",
	"Connects that found the accept queue of a unix socket full.", visit_backlog},
    {"bridle_odd_sequence_ids_total", "counter",
	"Replies whose TTHeader has another sequence id than the call.", visit_odd_ids},
    {"bridle_stream_messages_total", "counter",
	"Messages of gRPC calls and of streams: in from callers, out to them.", visit_messages},
    {"bridle_stream_message_bytes_total", "counter",
	"Bytes of those messages, without what frames them.", visit_message_bytes},
};

static void render_service_family(struct page *p, const struct service_family *row)
{
	struct family f;

	family_init(&f, &p->arena, row->name, row->type, row->help);
	for (unsigned i = 0; i < p->source->n_workers; i++) {
		const struct service_stats *s =
		    atomic_load_explicit(&p->source->workers[i]->services, memory_order_acquire);

		for (; s; s = atomic_load_explicit(&s->next, memory_order_acquire))
			row->visit(p, &f, s);
	}
	family_render(&f, p->out);
	family_fini(&f);
}

/* --- the rest --- */

typedef void (*listener_visit_fn)(struct page *p, struct family *f, const struct listener_stats *s);

static void visit_open(struct page *p, struct family *f, const struct listener_stats *s)
{
	label(p, "listener", s->name);
	take_cell(p, f)->value += counter_get(&s->connections);
}

static void visit_refused(struct page *p, struct family *f, const struct listener_stats *s)
{
	label(p, "listener", s->name);
	take_cell(p, f)->value += counter_get(&s->refused_connections);
}

static void visit_http2_limits(struct page *p, struct family *f, const struct listener_stats *s)
{
	for (unsigned i = 0; i < HTTP2_LIMITS; i++) {
		uint64_t ended = counter_get(&s->http2_limits[i]);

		if (ended == 0)
			continue; /* nine lines of nothing for each listener help nobody */
		label(p, "listener", s->name);
		label(p, "limit", http2_limit_name(i));
		take_cell(p, f)->value += ended;
	}
}

static const struct listener_family {
	const char *name, *type, *help;
	listener_visit_fn visit;
} listener_families[] = {
    {"bridle_downstream_connections", "gauge", "Open connections from callers.", visit_open},
    {"bridle_refused_connections_total", "counter",
	"Connections closed at once because of allow and deny.", visit_refused},
    {"bridle_http2_limits_total", "counter",
	"HTTP/2 connections that were ended because they passed a limit of listeners[].http2.",
	visit_http2_limits},
};

static void render_listener_family(struct page *p, const struct listener_family *row)
{
	struct family f;

	family_init(&f, &p->arena, row->name, row->type, row->help);
	for (unsigned i = 0; i < p->source->n_workers; i++) {
		const struct listener_stats *s =
		    atomic_load_explicit(&p->source->workers[i]->listeners, memory_order_acquire);

		for (; s; s = atomic_load_explicit(&s->next, memory_order_acquire))
			row->visit(p, &f, s);
	}
	family_render(&f, p->out);
	family_fini(&f);
}

static void take_unedited(struct page *p, struct family *unedited, const struct worker *w)
{
	for (int i = 0; i < RPC_UNCARRIED; i++) {
		const char *why = rpc_uncarried_name((enum rpc_uncarried)i);

		if (why == NULL)
			continue;
		label(p, "why", why);
		take_cell(p, unedited)->value += counter_get(&w->metadata_unedited[i]);
	}
}

static void render_traffic(struct page *p)
{
	struct family bytes, dropped, unedited;

	family_init(&bytes, &p->arena, "bridle_bytes_total", "counter",
	    "Bytes read from and written to callers.");
	family_init(&dropped, &p->arena, "bridle_metadata_dropped_total", "counter",
	    "Metadata that had no place in another protocol, or was not its caller's to state.");
	family_init(&unedited, &p->arena, "bridle_metadata_unedited_total", "counter",
	    "Calls whose bodies were to carry metadata and went on as they came, by the reason.");
	for (unsigned i = 0; i < p->source->n_workers; i++) {
		const struct worker *w = p->source->workers[i];

		label(p, "direction", "in");
		take_cell(p, &bytes)->value += counter_get(&w->bytes_in);
		label(p, "direction", "out");
		take_cell(p, &bytes)->value += counter_get(&w->bytes_out);
		for (int c = 0; c < METADATA_CLASSES; c++) {
			label(p, "class", metadata_class_name((enum metadata_class)c));
			take_cell(p, &dropped)->value += counter_get(&w->metadata_dropped[c]);
		}
		take_unedited(p, &unedited, w);
	}
	family_render(&bytes, p->out);
	family_render(&dropped, p->out);
	family_render(&unedited, p->out);
	family_fini(&bytes);
	family_fini(&dropped);
	family_fini(&unedited);
}

static void render_asked(struct page *p)
{
	struct family f;

	family_init(&f, &p->arena, "bridle_metadata_asked_total", "counter",
	    "What applications were told that asked for a call's metadata.");
	for (unsigned i = 0; i < p->source->n_workers; i++)
		for (int a = 0; a < METADATA_ANSWERS; a++) {
			label(p, "answer", metadata_answer_name((enum metadata_answer)a));
			take_cell(p, &f)->value +=
			    counter_get(&p->source->workers[i]->metadata_asked[a]);
		}
	family_render(&f, p->out);
	family_fini(&f);
}

static void render_one(struct page *p, const char *name, const char *type, const char *help,
    const char *label_name, const char *value_of_label, uint64_t value)
{
	struct family f;

	family_init(&f, &p->arena, name, type, help);
	label(p, label_name, value_of_label);
	take_cell(p, &f)->value = value;
	family_render(&f, p->out);
	family_fini(&f);
}

static void render_plain(struct page *p, const char *name, const char *help, uint64_t value)
{
	struct family f;

	family_init(&f, &p->arena, name, "gauge", help);
	take_cell(p, &f)->value = value;
	family_render(&f, p->out);
	family_fini(&f);
}

static void render_results(
    struct page *p, const char *name, const char *help, uint64_t succeeded, uint64_t failed)
{
	struct family f;

	family_init(&f, &p->arena, name, "counter", help);
	label(p, "result", "ok");
	take_cell(p, &f)->value = succeeded;
	label(p, "result", "failed");
	take_cell(p, &f)->value = failed;
	family_render(&f, p->out);
	family_fini(&f);
}

static void render_spans(struct page *p, const struct trace_export *spans)
{
	struct trace_export_counts counts = trace_export_counts(spans);
	struct family f;

	family_init(&f, &p->arena, "bridle_spans_total", "counter",
	    "Spans for the collector of traces, by what became of them.");
	label(p, "result", "exported");
	take_cell(p, &f)->value = counts.exported;
	label(p, "result", "dropped");
	take_cell(p, &f)->value = counts.dropped;
	label(p, "result", "failed");
	take_cell(p, &f)->value = counts.failed;
	family_render(&f, p->out);
	family_fini(&f);
}

static void render_daemon(struct page *p)
{
	const struct metrics_source *s = p->source;
	struct family f;

	render_results(p, "bridle_reloads_total", "Reloads by their result.", s->reloads_succeeded,
	    s->reloads_failed);
	render_plain(p, "bridle_config_last_reload_successful",
	    "1 if the file was good when it was last read.", !s->reload_failed);
	render_plain(p, "bridle_config_last_reload_success_timestamp_seconds",
	    "When the configuration in force was read.", s->loaded_at / USEC_S);
	render_results(p, "bridle_upgrades_total",
	    "Upgrades by their result, those before this process included.", s->upgrades_succeeded,
	    s->upgrades_failed);
	family_init(&f, &p->arena, "bridle_log_dropped_total", "counter",
	    "Log lines lost because the destination did not take them.");
	for (size_t i = 0; i < s->n_logs; i++) {
		label(p, "log", s->logs[i].name);
		take_cell(p, &f)->value = s->logs[i].dropped;
	}
	family_render(&f, p->out);
	family_fini(&f);
	if (s->spans)
		render_spans(p, s->spans);
	render_one(p, "bridle_config_info", "gauge", "The configuration in force.", "hash",
	    s->snapshot->config->hash, 1);
	render_one(
	    p, "bridle_build_info", "gauge", "The running program.", "version", PACKAGE_VERSION, 1);
}

/*
 * Makes room for a long page in one piece, of large pages where the system has them: most of what a
 * long page costs is otherwise that the system gives its memory bit by bit. What is not used is not
 * taken.
 */
static void make_room(struct text *out, const struct metrics_source *source)
{
	size_t room = 0;

	for (unsigned i = 0; i < source->n_workers; i++)
		room += (size_t)source->workers[i]->calls.n_series * SERIES_ROOM;
	room = (room + LARGE_PAGE - 1) / LARGE_PAGE * LARGE_PAGE;
	if (out->bytes || room <= LARGE_PAGE)
		return;
	out->bytes = aligned_alloc(LARGE_PAGE, room);
	if (out->bytes == NULL)
		return; /* then it grows as it is needed */
	out->room = room;
	madvise(out->bytes, room, MADV_HUGEPAGE);
}

void metrics_render(const struct metrics_source *source, struct text *out)
{
	struct page p = {.source = source, .out = out};

	make_room(out, source);
	arena_init(&p.arena, NULL, 0);
	metrics_render_calls(source, &p.arena, out);
	for (size_t i = 0; i < ARRAY_LEN(service_families); i++)
		render_service_family(&p, &service_families[i]);
	metrics_render_policies(source, &p.arena, out);
	for (size_t i = 0; i < ARRAY_LEN(listener_families); i++)
		render_listener_family(&p, &listener_families[i]);
	render_traffic(&p);
	render_asked(&p);
	metrics_render_registries(source->discovery, &p.arena, out);
	metrics_render_registrations(source->registrations, &p.arena, out);
	metrics_render_governance(source->governance, &p.arena, out);
	render_daemon(&p);
	text_fini(&p.labels);
	arena_fini(&p.arena);
}
