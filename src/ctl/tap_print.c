#include "ctl/tap_print.h"

#include <string.h>

#include <cJSON.h>

#include "base/base64.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "ctl/answer.h"
#include "ctl/shown.h"
#include "ctl/thrift_view.h"

#define TIME_LEN   15u
#define REASON_LEN 13u /* of most reasons */
#define WORD_MAX   256u
#define HEX_MAX    256u
#define GRPC_FRAME 5u /* before each message of a gRPC body: compressed or not, length */

/*
 * The daemon writes each byte that is no plain ASCII as \u00XX, so that any bytes make JSON; here
 * they are bytes again, and text where they were text. As long as @text at most.
 */
static struct slice bytes_of(const char *text, struct arena *arena)
{
	const uint8_t *from = (const uint8_t *)text;
	uint8_t *to = arena_alloc(arena, strlen(text) + 1);
	size_t n = 0;

	for (; *from; from++) {
		bool is_pair = (*from == 0xc2 || *from == 0xc3) && from[1];

		to[n++] = is_pair ? (uint8_t)((*from & 3) << 6 | (from[1] & 0x3f)) : *from;
		from += is_pair;
	}
	return slice_of(to, n);
}

static void add_word(struct text *out, const char *word, struct arena *arena)
{
	if (word[0])
		shown_word(out, bytes_of(word, arena), WORD_MAX);
	else
		text_add_str(out, "-");
}

static void add_member(struct text *out, const char *name, const cJSON *call, struct arena *arena)
{
	const char *value = answer_text(call, name);

	if (value[0] == '\0')
		return;
	text_printf(out, " %s=", name);
	add_word(out, value, arena);
}

/* "12:34:56.789012", of a time with its date. */
static struct slice time_of_day(const cJSON *call)
{
	const char *at = strchr(answer_text(call, "time"), 'T');

	return slice_first(slice_str(at ? at + 1 : "-"), TIME_LEN);
}

static double total_of(const cJSON *call)
{
	return answer_number(cJSON_GetObjectItemCaseSensitive(call, "us"), "total");
}

/* As wide as that at least. */
static void add_column(struct text *out, struct slice word, size_t width)
{
	size_t before = out->len;

	shown_word(out, word, WORD_MAX);
	while (out->len - before < width)
		text_add_str(out, " ");
}

/* What is as usual is not said. */
static void add_odd(struct text *out, const cJSON *call, struct arena *arena)
{
	const cJSON *messages = cJSON_GetObjectItemCaseSensitive(call, "messages");
	double attempts = answer_number(call, "attempts"), status = answer_number(call, "status");

	if (strcmp(answer_text(call, "kind"), "call") != 0)
		add_member(out, "kind", call, arena);
	if (messages)
		text_printf(out, " messages=%.0f>%.0f", answer_number(messages, "in"),
		    answer_number(messages, "out"));
	if (attempts != 1)
		text_printf(out, " attempts=%.0f", attempts);
	if (status != 0)
		text_printf(out, " status=%.0f", status);
	add_member(out, "biz_status", call, arena);
	add_member(out, "log_id", call, arena);
	add_member(out, "trace_id", call, arena);
}

static void add_line(struct text *out, const cJSON *call, struct arena *arena)
{
	const char *detail = answer_text(call, "detail");
	char took[24];

	add_column(out, time_of_day(call), TIME_LEN);
	text_printf(out, " %7s ", answer_usec(total_of(call), took));
	add_column(out, slice_str(answer_text(call, "reason")), REASON_LEN);
	text_add_str(out, " ");
	add_word(out, answer_text(call, "service"), arena);
	text_add_str(out, "/");
	add_word(out, answer_text(call, "method"), arena);
	text_add_str(out, " ");
	add_word(out, answer_text(call, "caller"), arena);
	text_add_str(out, ">");
	add_word(out, answer_text(call, "endpoint"), arena);
	text_add_str(out, " ");
	add_word(out, answer_text(call, "protocol"), arena);
	text_printf(out, " bytes=%.0f>%.0f", answer_number(call, "bytes_in"),
	    answer_number(call, "bytes_out"));
	add_odd(out, call, arena);
	if (detail[0]) {
		text_add_str(out, " ");
		shown_quoted(out, bytes_of(detail, arena), WORD_MAX);
	}
	text_add_str(out, "\n");
}

/* ---- metadata ---- */

static void add_value(struct text *out, struct slice value)
{
	if (utf8_is_text(value)) {
		shown_quoted(out, value, WORD_MAX);
	} else {
		text_add_str(out, "hex ");
		shown_hex(out, value, WORD_MAX);
	}
}

static void add_pair(struct text *out, const cJSON *entry, const char *value, struct arena *arena)
{
	text_add_str(out, " ");
	add_word(out, entry->string ? entry->string : "", arena);
	text_add_str(out, "=");
	add_value(out, bytes_of(value, arena));
}

/* A name that stood more than once has a list of values. */
static void add_entry(struct text *out, const cJSON *entry, struct arena *arena)
{
	const cJSON *one;

	if (cJSON_IsString(entry))
		add_pair(out, entry, entry->valuestring, arena);
	cJSON_ArrayForEach(one, entry) if (cJSON_IsString(one))
	    add_pair(out, entry, one->valuestring, arena);
}

static void add_groups(struct text *out, const cJSON *message, struct arena *arena)
{
	const cJSON *group, *entry;

	cJSON_ArrayForEach(group, message)
	{
		text_add_str(out, "    ");
		add_word(out, message->string ? message->string : "", arena);
		text_add_str(out, " ");
		add_word(out, group->string ? group->string : "", arena);
		text_add_str(out, ":");
		if (cJSON_IsNumber(group))
			text_printf(out, " %.0f entries", group->valuedouble);
		cJSON_ArrayForEach(entry, group) add_entry(out, entry, arena);
		text_add_str(out, "\n");
	}
}

/* ---- bodies ---- */

/* The first message of a gRPC body, when it is not compressed. */
static struct slice without_frame(const cJSON *call, struct slice body)
{
	bool is_grpc = strcmp(answer_text(call, "protocol"), "grpc") == 0;

	return is_grpc && body.len >= GRPC_FRAME && body.data[0] == 0 ? slice_from(body, GRPC_FRAME)
								      : body;
}

/* @is_cut: more of it came. */
static void add_struct(struct text *out, struct slice body, bool is_cut)
{
	static const struct thrift_view_limits limits = THRIFT_VIEW_FULL;
	struct thrift_view view = thrift_view_text(out, body, &limits);

	if (!view.is_whole && !is_cut && view.why[0])
		text_printf(out, " (at byte %zu: %s)", view.used, view.why);
}

static void add_shown(struct text *out, const cJSON *call, struct slice body, bool is_cut)
{
	if (strcmp(answer_text(call, "payload"), "thrift") == 0) {
		add_struct(out, without_frame(call, body), is_cut);
	} else if (shown_is_text(body)) {
		shown_quoted(out, body, HEX_MAX);
	} else {
		text_add_str(out, "hex ");
		shown_hex(out, without_frame(call, body), HEX_MAX);
	}
}

static void add_body(struct text *out, const cJSON *call, const char *name, struct arena *arena)
{
	char member[32];
	struct slice body;
	double total;

	snprintf(member, sizeof member, "%s_body", name);
	if (base64_decode(slice_str(answer_text(call, member)), arena, &body) < 0)
		return;
	snprintf(member, sizeof member, "%s_body_bytes", name);
	total = answer_number(call, member);
	if (total == 0)
		return;
	text_printf(out, "    %s ", name);
	add_shown(out, call, body, total > (double)body.len);
	if (total > (double)body.len)
		text_printf(out, " (%zu of %.0f bytes)", body.len, total);
	text_add_str(out, "\n");
}

void tap_print(const cJSON *call, bool is_verbose, FILE *to)
{
	const cJSON *message, *metadata = cJSON_GetObjectItemCaseSensitive(call, "metadata");
	struct text out = {0};
	struct arena arena;

	arena_init(&arena, NULL, 0);
	add_line(&out, call, &arena);
	if (is_verbose)
		cJSON_ArrayForEach(message, metadata) add_groups(&out, message, &arena);
	add_body(&out, call, "request", &arena);
	add_body(&out, call, "reply", &arena);
	fwrite(out.bytes, 1, out.len, to);
	text_fini(&out);
	arena_fini(&arena);
}
