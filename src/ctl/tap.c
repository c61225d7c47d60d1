/* tap: calls as they go by, until the reader has seen enough. */
#include <inttypes.h>
#include <signal.h>
#include <string.h>

#include <cJSON.h>

#include "base/mem.h"
#include "ctl/answer.h"
#include "ctl/following.h"
#include "ctl/tap_print.h"

#define BODY "512" /* bytes, where no number is given */

/* What the words ask for. */
struct wish {
	struct text target;
	bool is_verbose;
	bool is_limited; /* to a number of calls */
};

struct seen {
	uint64_t calls, lost;
	bool is_over; /* the daemon ended it */
};

static volatile sig_atomic_t is_told_to_end;

static void end(int number)
{
	(void)number;
	is_told_to_end = 1;
}

/* ---- words ---- */

/* Everything that could end a part of a query, or mean something else in one. */
static void add_escaped(struct text *t, struct slice s)
{
	static const char plain[] = "-._~*/:,";

	for (size_t i = 0; i < s.len; i++) {
		uint8_t c = s.data[i], letter = c | 0x20;
		bool is_plain = (letter >= 'a' && letter <= 'z') || (c >= '0' && c <= '9') ||
				(c && strchr(plain, c));

		if (is_plain)
			text_add(t, slice_of(&c, 1));
		else
			text_printf(t, "%%%02X", c);
	}
}

static void add_pair(struct wish *w, struct slice name, struct slice value)
{
	text_add_str(&w->target, strchr("?&", w->target.bytes[w->target.len - 1]) ? "" : "&");
	add_escaped(&w->target, name);
	text_add_str(&w->target, "=");
	add_escaped(&w->target, value);
}

/* Words that are not NAME=VALUE, and names that are shorter here. */
static bool add_short(struct wish *w, const char *word)
{
	static const struct {
		const char *word, *name, *value;
	} shorts[] = {
	    {"errors", "errors", "1"},
	    {"body", "body", BODY},
	    {"show-secrets", "redact", "0"},
	};

	for (size_t i = 0; i < ARRAY_LEN(shorts); i++)
		if (strcmp(word, shorts[i].word) == 0) {
			add_pair(w, slice_str(shorts[i].name), slice_str(shorts[i].value));
			return true;
		}
	if (strcmp(word, "-v") != 0 && strcmp(word, "--verbose") != 0)
		return false;
	w->is_verbose = true;
	return true;
}

static bool add_word(struct wish *w, const char *word)
{
	const char *is = strchr(word, '=');
	struct slice name;

	if (add_short(w, word))
		return true;
	if (is == NULL || is == word)
		return false;
	name = slice_of(word, (size_t)(is - word));
	if (slice_eq_str(name, "slower"))
		name = SLICE_LIT("slower_than");
	w->is_limited |= slice_eq_str(name, "n");
	add_pair(w, name, slice_str(is + 1));
	return true;
}

/* ---- lines ---- */

static void print_lost(struct ctl *ctl, const cJSON *lost)
{
	fprintf(ctl->out, "-- %.0f calls are not shown: they come faster than they are read\n",
	    lost->valuedouble);
}

static void show(struct ctl *ctl, const struct wish *w, struct seen *seen, struct slice line)
{
	cJSON *root = cJSON_ParseWithLength((const char *)line.data, line.len);
	const cJSON *lost = cJSON_GetObjectItemCaseSensitive(root, "lost");

	if (cJSON_IsNumber(lost))
		seen->lost += (uint64_t)lost->valuedouble;
	else
		seen->calls++;
	if (ctl->json)
		fprintf(ctl->out, "%.*s\n", (int)line.len, (const char *)line.data);
	else if (cJSON_IsNumber(lost))
		print_lost(ctl, lost);
	else if (root)
		tap_print(root, w->is_verbose, ctl->out);
	cJSON_Delete(root);
}

static enum ctl_exit refused(struct ctl *ctl, const struct following *f, struct slice line)
{
	cJSON *root = cJSON_ParseWithLength((const char *)line.data, line.len);

	if (ctl->json && root)
		answer_print_json(ctl, root);
	else
		fprintf(ctl->errors, "bridlectl: refused (%d): %s\n", f->status,
		    answer_text(root, "error"));
	cJSON_Delete(root);
	return CTL_FAILED;
}

static enum ctl_exit follow(
    struct ctl *ctl, const struct wish *w, struct following *f, struct seen *seen)
{
	struct slice line;
	struct err err;

	while (!is_told_to_end) {
		switch (following_next(f, &line, &err)) {
		case FOLLOWING_LINE:
			if (f->status != 200)
				return refused(ctl, f, line);
			show(ctl, w, seen, line);
			if (fflush(ctl->out) != 0)
				return CTL_FAILED;
			break;
		case FOLLOWING_NOTHING:
			break;
		case FOLLOWING_END:
			seen->is_over = true;
			return CTL_DONE;
		case FOLLOWING_BROKEN:
			fprintf(ctl->errors, "bridlectl: %s: %s\n", ctl->socket, err.text);
			return CTL_UNREACHABLE;
		}
	}
	return CTL_DONE;
}

static enum ctl_exit look_on(struct ctl *ctl, const struct wish *w)
{
	/* without SA_RESTART: what waits for a line is to come back */
	const struct sigaction action = {.sa_handler = end};
	struct following f;
	struct seen seen = {0, 0, false};
	enum ctl_exit code = CTL_UNREACHABLE;
	struct err err;

	is_told_to_end = 0;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	if (following_open(&f, ctl->socket, w->target.bytes, &err) < 0)
		fprintf(
		    ctl->errors, "bridlectl: no daemon answers at %s: %s\n", ctl->socket, err.text);
	else
		code = follow(ctl, w, &f, &seen);
	if (f.status == 200 && !ctl->json)
		fprintf(ctl->errors, "%" PRIu64 " calls shown, %" PRIu64 " lost%s\n", seen.calls,
		    seen.lost, seen.is_over && !w->is_limited ? "; the daemon has ended" : "");
	following_close(&f);
	return code;
}

static enum ctl_exit run_tap(int argc, char **argv, struct ctl *ctl)
{
	struct wish w = {0};
	enum ctl_exit code;

	text_add_str(&w.target, "/tap?");
	for (int i = 1; i < argc; i++)
		if (!add_word(&w, argv[i])) {
			text_fini(&w.target);
			return ctl_refuse(ctl, &command_tap,
			    "%s is no filter: NAME=VALUE, NAME!=VALUE, or one of the words below",
			    argv[i]);
		}
	text_add(&w.target, slice_of("", 1));
	code = look_on(ctl, &w);
	text_fini(&w.target);
	return code;
}

const struct command command_tap = {"tap",
    "[FILTER]... [-v]\n"
    "    NAME=VALUE, NAME!=VALUE   service, method, listener, caller, reason, endpoint, protocol,\n"
    "                              kind, meta.NAME, header.NAME, int.NAME; * stands for anything\n"
    "    errors, slower=50ms       calls that went wrong, or took longer\n"
    "    sample=10%, n=100         a share of the calls; so many, then end\n"
    "    body, body=N              the first 512 (or N) bytes of what was said, taken apart\n"
    "    show-secrets              values whose names smell of secrets, too\n"
    "    -v, --verbose             the metadata of each call and reply",
    "show calls as they go by", run_tap};
