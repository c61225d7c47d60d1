/*
 * top: services and endpoints, what they do now and why calls fail, once a second. On a terminal
 * until somebody presses q; else, or with --once, one screen after one interval.
 */
#include <getopt.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cJSON.h>

#include "base/text.h"
#include "ctl/answer.h"
#include "ctl/terminal.h"
#include "ctl/top_frame.h"
#include "ctl/top_json.h"
#include "net/http_ask.h"

#define ANSWER_WITHIN_S 2 /* keys wait meanwhile */
#define WIDTH_OF_PAPER  120u
#define INTERVAL_MAX_S  3600.0

struct top {
	struct ctl *ctl;
	usec_t interval;
	bool once;
	enum top_order order;
	struct top_sample before, now;
	struct terminal terminal;
	struct err trouble; /* of the last question; text "" when it was answered */
};

/* ---- asking ---- */

static cJSON *ask(struct top *t, const char *target)
{
	struct http_answer answer = {0};
	int fd = http_ask_open(t->ctl->socket, ANSWER_WITHIN_S, &t->trouble);
	cJSON *root = NULL;

	if (fd < 0) {
		err_wrap(&t->trouble, "no daemon answers at %s", t->ctl->socket);
		return NULL;
	}
	if (http_ask(fd, "GET", target, SLICE_NONE, &answer, &t->trouble) == 0) {
		root = cJSON_ParseWithLength((const char *)answer.body.data, answer.body.len);
		if (root == NULL || answer.status != 200)
			err_set(&t->trouble, 0, "%s is not understood", target);
	}
	http_answer_fini(&answer);
	close(fd);
	return root;
}

/* The newest answers take the place of those before; when there are none, all stays as it is. */
static bool take_sample(struct top *t)
{
	struct top_sample next = {.at = clock_monotonic()};

	t->trouble.text[0] = '\0';
	next.status = ask(t, "/status");
	if (t->trouble.text[0] == '\0')
		next.services = ask(t, "/services");
	if (t->trouble.text[0]) {
		top_sample_fini(&next);
		return false;
	}
	top_sample_fini(&t->before);
	t->before = t->now;
	t->now = next;
	return true;
}

/* ---- showing ---- */

static void draw(struct top *t)
{
	struct top_screen screen = {
	    .is_terminal = true,
	    .has_colours = getenv("NO_COLOR") == NULL,
	    .order = t->order,
	    .trouble = t->trouble.text[0] ? t->trouble.text : NULL,
	};
	struct text out = {0};
	struct top_rows rows;
	struct arena arena;

	terminal_size(&screen.width, &screen.height);
	screen.width = screen.width > TOP_WIDTH_MAX ? TOP_WIDTH_MAX : screen.width;
	text_add_str(&out, "\033[H");
	arena_init(&arena, NULL, 0);
	if (screen.width < TOP_WIDTH_MIN || screen.height < TOP_HEIGHT_MIN) {
		text_add_str(&out, "\033[2Jtoo small");
	} else {
		top_rows_build(&rows, &arena, &t->before, &t->now, t->order);
		top_frame(&out, &screen, &t->now, &rows, &arena);
		text_add_str(&out, "\033[J");
	}
	arena_fini(&arena);
	terminal_write(&t->terminal, slice_of(out.bytes, out.len));
	text_fini(&out);
}

/* Returns false when it is to end. */
static bool press(struct top *t, char key)
{
	if (key == 'q' || key == 'Q')
		return false;
	if (key == 's' || key == 'S')
		t->order = (t->order + 1) % TOP_ORDERS;
	return true;
}

static void watch(struct top *t)
{
	usec_t next = usec_after(t->now.at, t->interval);
	char key;

	draw(t);
	for (;;) {
		switch (terminal_wait(&t->terminal, next, &key)) {
		case TERMINAL_END:
			return;
		case TERMINAL_TIME:
			next = usec_after(clock_monotonic(), t->interval);
			take_sample(t);
			break;
		case TERMINAL_KEY:
			if (!press(t, key))
				return;
			break;
		case TERMINAL_RESIZE:
			break;
		}
		draw(t);
	}
}

static enum ctl_exit print_json(const struct top *t, const struct top_rows *rows)
{
	cJSON *root = top_json(rows, (double)(t->now.at - t->before.at) / (double)USEC_S);
	enum ctl_exit code = answer_print_json(t->ctl, root);

	cJSON_Delete(root);
	return code;
}

static void print_text(const struct top *t, const struct top_rows *rows, struct arena *arena)
{
	struct top_screen screen = {.width = WIDTH_OF_PAPER, .order = t->order};
	struct text out = {0};

	top_frame(&out, &screen, &t->now, rows, arena);
	fwrite(out.bytes, 1, out.len, t->ctl->out);
	text_fini(&out);
}

static enum ctl_exit complain(const struct top *t)
{
	fprintf(t->ctl->errors, "bridlectl: %s\n", t->trouble.text);
	return CTL_UNREACHABLE;
}

static enum ctl_exit print_once(struct top *t)
{
	enum ctl_exit code = CTL_DONE;
	struct top_rows rows;
	struct arena arena;

	poll(NULL, 0, (int)(t->interval / USEC_MS));
	if (!take_sample(t))
		return complain(t);
	arena_init(&arena, NULL, 0);
	top_rows_build(&rows, &arena, &t->before, &t->now, t->order);
	if (t->ctl->json)
		code = print_json(t, &rows);
	else
		print_text(t, &rows, &arena);
	arena_fini(&arena);
	return code;
}

/* ---- the command line ---- */

static bool parse_interval(const char *word, usec_t *interval)
{
	char *end;
	double seconds = strtod(word, &end);

	if (end == word || *end || !(seconds >= 0.1 && seconds <= INTERVAL_MAX_S))
		return false;
	*interval = (usec_t)(seconds * (double)USEC_S);
	return true;
}

static bool parse_order(const char *word, enum top_order *order)
{
	for (int i = 0; i < TOP_ORDERS; i++) {
		if (strcmp(word, top_order_name((enum top_order)i)) == 0) {
			*order = (enum top_order)i;
			return true;
		}
	}
	return false;
}

static enum ctl_exit parse(struct top *t, int argc, char **argv)
{
	static const struct option options[] = {{"once", no_argument, NULL, 'o'},
	    {"delay", required_argument, NULL, 'd'}, {"sort", required_argument, NULL, 's'}, {0}};
	int c;

	while ((c = getopt_long(argc, argv, "d:s:", options, NULL)) != -1) {
		if (c == 'o')
			t->once = true;
		else if (c == 'd' && !parse_interval(optarg, &t->interval))
			return ctl_refuse(t->ctl, &command_top, "%s: 0.1 to 3600 seconds", optarg);
		else if (c == 's' && !parse_order(optarg, &t->order))
			return ctl_refuse(t->ctl, &command_top,
			    "%s: calls, errors, p99 or name is what it sorts by", optarg);
		else if (c == '?')
			return ctl_refuse(t->ctl, &command_top,
			    "%s is not understood, or lacks its value", argv[optind - 1]);
	}
	if (optind < argc)
		return ctl_refuse(t->ctl, &command_top, "%s: no word is expected", argv[optind]);
	return CTL_DONE;
}

static enum ctl_exit run_top(int argc, char **argv, struct ctl *ctl)
{
	struct top t = {.ctl = ctl, .interval = USEC_S};
	enum ctl_exit code = parse(&t, argc, argv);

	if (code != CTL_DONE)
		return code;
	if (!take_sample(&t)) {
		code = complain(&t);
	} else if (!t.once && !ctl->json && terminal_open(&t.terminal)) {
		watch(&t);
		terminal_close(&t.terminal);
	} else {
		code = print_once(&t);
	}
	top_sample_fini(&t.before);
	top_sample_fini(&t.now);
	return code;
}

const struct command command_top = {"top",
    "[--once] [-d SECONDS] [-s ORDER]\n"
    "      --once           one screen after one interval; so too where there is no terminal\n"
    "  -d, --delay SECONDS  between two looks; 1 by default\n"
    "  -s, --sort ORDER     calls, errors, p99 or name; the key s changes it",
    "services and endpoints, what they do now and why calls fail", run_top};
