#include "ctl/top_frame.h"

#include <string.h>

#include <cJSON.h>

#include "base/mem.h"
#include "ctl/answer.h"

#define NAME_MIN    14u
#define NAME_MOST   44u
#define NOTE_MIN    20u
#define NOTE_WISHED 32u /* before the column that is worth least is shown */
#define HEAD_LINES  3u  /* above the table */

#define RED     "\033[31m"
#define YELLOW  "\033[33m"
#define DIM     "\033[2m"
#define BOLD    "\033[1m"
#define REVERSE "\033[7m"
#define PLAIN   "\033[0m"

/* ---- columns ---- */

static void show_state(const struct top_row *row, char *room, size_t size)
{
	snprintf(room, size, "%s", row->state);
}

static void show_breaker(const struct top_row *row, char *room, size_t size)
{
	snprintf(room, size, "%s", row->breaker);
}

static void show_usable(const struct top_row *row, char *room, size_t size)
{
	room[0] = '\0';
	if (!row->is_endpoint)
		snprintf(room, size, "%u/%u", row->usable, row->endpoints);
}

static void show_in_flight(const struct top_row *row, char *room, size_t size)
{
	snprintf(room, size, "%.0f", row->in_flight);
}

static void show_connections(const struct top_row *row, char *room, size_t size)
{
	snprintf(room, size, "%.0f", row->connections);
}

static void show_rate(double rate, char *room, size_t size)
{
	char text[16];

	snprintf(room, size, "%s", top_rate(rate, text));
}

static void show_calls(const struct top_row *row, char *room, size_t size)
{
	show_rate(row->rates.calls, room, size);
}

static void show_errors(const struct top_row *row, char *room, size_t size)
{
	show_rate(row->rates.errors, room, size);
}

static void show_retries(const struct top_row *row, char *room, size_t size)
{
	room[0] = '\0';
	if (!row->is_endpoint)
		show_rate(row->rates.retries, room, size);
}

static void show_quantile(const struct top_rates *rates, double share, char *room, size_t size)
{
	usec_t took = histogram_quantile(&rates->took, share);
	char text[24];

	snprintf(room, size, "%s", took ? answer_usec((double)took, text) : "-");
}

static void show_p50(const struct top_row *row, char *room, size_t size)
{
	show_quantile(&row->rates, 0.5, room, size);
}

static void show_p99(const struct top_row *row, char *room, size_t size)
{
	show_quantile(&row->rates, 0.99, room, size);
}

enum column_id {
	COLUMN_STATE,
	COLUMN_BREAKER,
	COLUMN_USABLE,
	COLUMN_CONNECTIONS,
	COLUMN_IN_FLIGHT,
	COLUMN_CALLS,
	COLUMN_ERRORS,
	COLUMN_RETRIES,
	COLUMN_P50,
	COLUMN_P99,
	COLUMNS,
};

/* Between the name on the left and the note on the right, which share what is left. */
static const struct column {
	const char *head;
	unsigned width;
	bool is_word; /* set to the left */
	void (*show)(const struct top_row *row, char *room, size_t size);
} columns[COLUMNS] = {
    [COLUMN_STATE] = {"STATE", 8, true, show_state},
    [COLUMN_BREAKER] = {"BREAKER", 9, true, show_breaker},
    [COLUMN_USABLE] = {"USABLE", 7, false, show_usable},
    [COLUMN_CONNECTIONS] = {"CONNS", 6, false, show_connections},
    [COLUMN_IN_FLIGHT] = {"IN-FLIGHT", 9, false, show_in_flight},
    [COLUMN_CALLS] = {"CALLS/S", 7, false, show_calls},
    [COLUMN_ERRORS] = {"ERR/S", 6, false, show_errors},
    [COLUMN_RETRIES] = {"RETRY/S", 7, false, show_retries},
    [COLUMN_P50] = {"P50", 7, false, show_p50},
    [COLUMN_P99] = {"P99", 7, false, show_p99},
};

/* What is given up last comes first. */
static const enum column_id by_worth[COLUMNS] = {COLUMN_CALLS, COLUMN_ERRORS, COLUMN_P99,
    COLUMN_STATE, COLUMN_P50, COLUMN_USABLE, COLUMN_IN_FLIGHT, COLUMN_BREAKER, COLUMN_RETRIES,
    COLUMN_CONNECTIONS};

/* A frame under way. */
struct frame {
	const struct top_screen *screen;
	struct text *out;
	struct text line; /* without what steers */
	bool is_shown[COLUMNS];
	unsigned name_width, note_width; /* note_width 0: there is none */
	unsigned lines;                  /* written so far */
};

static void lay_out(struct frame *f)
{
	unsigned left = f->screen->width - NAME_MIN;

	for (size_t i = 0; i < COLUMNS; i++) {
		unsigned width = columns[by_worth[i]].width;

		if (left <= width + (i + 1 == COLUMNS ? NOTE_WISHED : 0))
			break;
		f->is_shown[by_worth[i]] = true;
		left -= width + 1;
	}
	f->name_width = NAME_MIN;
	if (left > NOTE_MIN) {
		unsigned more = (left - NOTE_MIN - 1) / 2;

		f->name_width += more < NAME_MOST - NAME_MIN ? more : NAME_MOST - NAME_MIN;
		f->note_width = left - 1 - (f->name_width - NAME_MIN);
	} else {
		f->name_width += left;
	}
}

/* ---- lines ---- */

/* ASCII, one column a byte, padded to the width; with 0 as long as it is. */
static void put(struct text *to, const char *words, unsigned width, bool is_right)
{
	unsigned len = (unsigned)strlen(words), pad;

	len = width && len > width ? width : len;
	pad = width > len ? width - len : 0;
	for (unsigned i = 0; is_right && i < pad; i++)
		text_add_str(to, " ");
	for (unsigned i = 0; i < len; i++) {
		char c = words[i];

		text_add(to, slice_of(c < ' ' || c > '~' ? "?" : &c, 1));
	}
	for (unsigned i = 0; !is_right && i < pad; i++)
		text_add_str(to, " ");
}

/* Writes the line that was put together, in a colour if there are any, and begins a new one. */
static void end_line(struct frame *f, const char *colour)
{
	struct slice line = slice_of(f->line.bytes, f->line.len);
	bool is_coloured = f->screen->has_colours && colour[0];
	bool is_bar = is_coloured && strcmp(colour, REVERSE) == 0;

	line = slice_first(line, line.len < f->screen->width ? line.len : f->screen->width);
	while (line.len && line.data[line.len - 1] == ' ' && !is_bar)
		line.len--;
	if (f->lines)
		text_add_str(f->out, f->screen->is_terminal ? "\r\n" : "\n");
	text_add_str(f->out, is_coloured ? colour : "");
	text_add(f->out, line);
	text_add_str(f->out, is_coloured ? PLAIN : "");
	text_add_str(f->out, f->screen->is_terminal ? "\033[K" : "");
	f->lines++;
	f->line.len = 0;
}

static void say(struct frame *f, const char *name, const char *value)
{
	put(&f->line, f->line.len ? "   " : "", 0, false);
	put(&f->line, name, 0, false);
	put(&f->line, name[0] ? " " : "", 0, false);
	put(&f->line, value, 0, false);
}

static void say_rate(struct frame *f, const char *name, double rate)
{
	char room[16];

	say(f, name, top_rate(rate, room));
}

static void say_count(struct frame *f, const char *name, double n)
{
	char room[24];

	snprintf(room, sizeof room, "%.0f", n);
	say(f, name, room);
}

static const cJSON *member(const cJSON *object, const char *name)
{
	return cJSON_GetObjectItemCaseSensitive(object, name);
}

/* ---- above the table ---- */

static void show_daemon(struct frame *f, const struct top_sample *now)
{
	const char *state = answer_text(now->status, "state");
	char room[24], memory[32];

	put(&f->line, "bridled ", 0, false);
	put(&f->line, answer_text(now->status, "version"), 0, false);
	say(f, "", f->screen->trouble ? "no answer" : state);
	say(f, "up", answer_usec(answer_number(now->status, "uptime_s") * 1e6, room));
	say_count(f, "connections", answer_sum(member(now->status, "workers"), "connections"));
	snprintf(memory, sizeof memory, "%.1f MiB",
	    answer_number(member(now->status, "memory"), "rss_bytes") / (1 << 20));
	say(f, "memory", memory);
	say_count(f, "workers", cJSON_GetArraySize(member(now->status, "workers")));
	say_count(f, "pid", answer_number(now->status, "pid"));
	end_line(f, f->screen->trouble ? RED : strcmp(state, "ready") == 0 ? BOLD : YELLOW);
}

static void show_totals(struct frame *f, const struct top_rows *rows)
{
	char room[24];

	say_rate(f, "calls/s", rows->all.calls);
	say_rate(f, "errors/s", rows->all.errors);
	show_quantile(&rows->all, 0.5, room, sizeof room);
	say(f, "p50", room);
	show_quantile(&rows->all, 0.99, room, sizeof room);
	say(f, "p99", room);
	say_rate(f, "retries/s", rows->all.retries);
	say_count(f, "services", (double)rows->n_services);
	say_count(f, "endpoints", (double)rows->n_endpoints);
	end_line(f, "");
}

/* What needs somebody's eye, or else why calls fail. */
static void show_news(
    struct frame *f, const struct top_sample *now, const struct top_rows *rows, struct arena *arena)
{
	const cJSON *reload = member(member(now->status, "config"), "last_reload");
	const char *reasons = top_reasons(arena, &rows->all), *colour = RED;

	if (f->screen->trouble) {
		put(&f->line, f->screen->trouble, 0, false);
	} else if (cJSON_IsFalse(member(reload, "ok"))) {
		put(&f->line, "reload refused: ", 0, false);
		put(&f->line, answer_text(reload, "error"), 0, false);
	} else if (answer_number(now->status, "overload") > 0) {
		say_count(f, "short of memory or descriptors: level",
		    answer_number(now->status, "overload"));
	} else if (strcmp(answer_text(now->status, "state"), "draining") == 0) {
		put(&f->line, "draining: callers are asked to go elsewhere", 0, false);
		colour = YELLOW;
	} else if (reasons[0]) {
		say(f, "failing:", reasons);
	}
	end_line(f, f->line.len ? colour : "");
}

/* ---- the table ---- */

static void show_heads(struct frame *f)
{
	put(&f->line, "SERVICE", f->name_width, false);
	for (int i = 0; i < COLUMNS; i++) {
		if (!f->is_shown[i])
			continue;
		put(&f->line, " ", 1, false);
		put(&f->line, columns[i].head, columns[i].width, !columns[i].is_word);
	}
	if (f->note_width) {
		put(&f->line, " ", 1, false);
		put(&f->line, "FAILING, OR WHERE", f->note_width, false);
	}
	end_line(f, REVERSE);
}

static const char *colour_of(const struct top_row *row)
{
	if (row->is_endpoint)
		return row->is_out ? YELLOW : row->rates.errors > 0 ? RED : DIM;
	if (row->rates.errors > 0 || strcmp(row->breaker, "open") == 0 || row->usable == 0)
		return RED;
	if (strcmp(row->state, "fresh") != 0 || strcmp(row->breaker, "closed") != 0)
		return YELLOW;
	return "";
}

static void show_row(struct frame *f, const struct top_row *row)
{
	put(&f->line, row->is_endpoint ? "  " : "", 0, false);
	put(&f->line, row->name, f->name_width - (row->is_endpoint ? 2 : 0), false);
	for (int i = 0; i < COLUMNS; i++) {
		char room[64];

		if (!f->is_shown[i])
			continue;
		columns[i].show(row, room, sizeof room);
		put(&f->line, " ", 1, false);
		put(&f->line, room, columns[i].width, !columns[i].is_word);
	}
	if (f->note_width) {
		put(&f->line, " ", 1, false);
		put(&f->line, row->note, f->note_width, false);
	}
	end_line(f, colour_of(row));
}

/* Every service as far as there is room, then the endpoints of the first ones in what is left. */
static void show_rows(struct frame *f, const struct top_rows *rows, size_t room)
{
	size_t services = rows->n_services < room ? rows->n_services : room;
	size_t left = room - services;

	for (const struct top_row *s = rows->first; s && services; s = s->next, services--) {
		show_row(f, s);
		for (const struct top_row *e = s->first; e && left; e = e->next, left--)
			show_row(f, e);
	}
}

static void show_keys(struct frame *f, const struct top_rows *rows, size_t room)
{
	put(&f->line, "q quit   s sort: ", 0, false);
	put(&f->line, top_order_name(f->screen->order), 0, false);
	if (rows->n_services > room)
		say_count(f, "services that are not shown:", (double)(rows->n_services - room));
	end_line(f, DIM);
}

void top_frame(struct text *out, const struct top_screen *screen, const struct top_sample *now,
    const struct top_rows *rows, struct arena *arena)
{
	struct frame f = {.screen = screen, .out = out};
	size_t room = rows->n_services + rows->n_endpoints;

	if (screen->height)
		room = screen->height - HEAD_LINES - 2; /* the heads and the keys */
	lay_out(&f);
	show_daemon(&f, now);
	show_totals(&f, rows);
	show_news(&f, now, rows, arena);
	show_heads(&f);
	show_rows(&f, rows, room);
	if (screen->is_terminal) {
		while (f.lines + 1 < screen->height)
			end_line(&f, "");
		show_keys(&f, rows, room);
	} else {
		text_add_str(out, "\n");
	}
	text_fini(&f.line);
}
