#include "ctl/dump_print.h"

#include <stdarg.h>
#include <time.h>

#include "base/secret.h"
#include "ctl/shown.h"
#include "ctl/thrift_view.h"
#include "policy/fact.h"

#define WORD_MAX  256u
#define VALUE_MAX 4096u
#define YEAR_9999 (253402300799 * USEC_S)
#define HEX_ROW   16u

void dump_add_detail(struct dump_message *m, const char *format, ...)
{
	size_t len = strlen(m->detail);
	va_list args;

	if (len && len + 2 < sizeof m->detail) {
		memcpy(m->detail + len, ", ", 3);
		len += 2;
	}
	va_start(args, format);
	vsnprintf(m->detail + len, sizeof m->detail - len, format, args);
	va_end(args);
}

/* ---- what is shown at all ---- */

/* A gRPC service may be asked for without its package, too. */
static bool is_named(struct slice service, const char *wanted)
{
	struct slice name = slice_str(wanted);

	if (slice_eq(service, name))
		return true;
	return service.len > name.len && service.data[service.len - name.len - 1] == '.' &&
	       slice_eq(slice_from(service, service.len - name.len), name);
}

static bool is_wanted(const struct dump_options *o, const struct dump_message *m)
{
	if (m->is_detail && !o->is_verbose)
		return false;
	if (o->only_errors && !m->is_error && m->problem == NULL)
		return false;
	if (o->method && !slice_eq_str(m->method, o->method))
		return false;
	return o->service == NULL || is_named(m->service, o->service) ||
	       is_named(m->idl_service, o->service);
}

static bool is_hidden(const struct dump_options *o, const struct dump_field *f)
{
	if (o->shows_secrets || f->section == DUMP_INT)
		return false;
	return f->section == DUMP_ACL || secret_is_named(f->name);
}

static void add_time(struct text *out, usec_t at)
{
	time_t seconds = (time_t)(at / USEC_S);
	char room[32];
	struct tm tm;

	gmtime_r(&seconds, &tm);
	strftime(room, sizeof room, "%Y-%m-%dT%H:%M:%S", &tm);
	text_printf(out, "%s.%06uZ", room, (unsigned)(at % USEC_S));
}

static bool has_time(usec_t at)
{
	return at <= YEAR_9999;
}

/* ---- for people ---- */

static void add_word(struct text *out, const char *before, struct slice word, const char *after)
{
	text_add_str(out, before);
	shown_word(out, word, WORD_MAX);
	text_add_str(out, after);
}

/* Time, and who speaks to whom. */
static void add_where(struct text *out, const struct dump_message *m)
{
	if (has_time(m->at)) {
		add_time(out, m->at);
		text_add_str(out, " ");
	}
	if (m->from)
		text_printf(out, "%s -> %s ", m->from, m->to);
}

static void add_name(struct text *out, const struct dump_message *m)
{
	struct slice service = m->service.len ? m->service : m->idl_service;

	if (service.len)
		add_word(out, " ", service, m->method.len ? "/" : "");
	else if (m->method.len)
		text_add_str(out, " ");
	if (m->method.len)
		add_word(out, "", m->method, "");
}

static void add_sizes(struct text *out, const struct dump_message *m)
{
	if (m->bytes)
		text_printf(out, ", %llu bytes", (unsigned long long)m->bytes);
	if (m->bytes && m->payload_bytes != m->bytes)
		text_printf(out, " (payload %llu)", (unsigned long long)m->payload_bytes);
	if (m->missing)
		text_printf(out, ", %llu of them missing here", (unsigned long long)m->missing);
}

static void add_latency(struct text *out, usec_t latency)
{
	if (latency < USEC_MS)
		text_printf(out, ", after %uus", (unsigned)latency);
	else if (latency < USEC_S)
		text_printf(out, ", after %.3fms", (double)latency / 1e3);
	else
		text_printf(out, ", after %.3fs", (double)latency / 1e6);
}

static void add_result(struct text *out, const struct dump_message *m)
{
	if (m->latency != USEC_NONE)
		add_latency(out, m->latency);
	if (m->code_name)
		text_printf(out, ", %s %lld", m->code_name, (long long)m->code);
	if (m->detail[0])
		text_printf(out, ", %s", m->detail);
	if (m->text.len) {
		text_add_str(out, ": ");
		shown_quoted(out, m->text, WORD_MAX);
	}
	if (m->problem)
		text_printf(out, ", BROKEN: %s", m->problem);
	text_add_str(out, "\n");
}

static void add_line(struct text *out, const struct dump_message *m)
{
	add_where(out, m);
	text_printf(out, "%s %s", m->protocol, m->kind);
	add_name(out, m);
	if (m->has_stream)
		text_printf(out, " stream %u", m->stream);
	if (m->has_seq)
		text_printf(out, " seq %d", m->seq);
	add_sizes(out, m);
	add_result(out, m);
}

static void add_field_name(struct text *out, const struct dump_field *f)
{
	switch (f->section) {
	case DUMP_INT:
		if (fact_int_name(f->number))
			text_printf(out, "int %u %s", f->number, fact_int_name(f->number));
		else
			text_printf(out, "int %u", f->number);
		return;
	case DUMP_ACL:
		text_add_str(out, "acl token");
		return;
	case DUMP_STR:
		add_word(out, "str ", f->name, "");
		return;
	case DUMP_HEADER:
		shown_word(out, f->name, WORD_MAX);
		return;
	case DUMP_UNKNOWN:
		text_add_str(out, "unknown section");
		return;
	}
}

static void add_value(struct text *out, struct slice value, bool is_hex)
{
	if (is_hex || !shown_is_text(value)) {
		text_add_str(out, "hex ");
		shown_hex(out, value, WORD_MAX);
	} else {
		shown_quoted(out, value, VALUE_MAX);
	}
}

static void add_field(struct text *out, const struct dump_options *o, const struct dump_field *f)
{
	text_add_str(out, "    ");
	add_field_name(out, f);
	text_add_str(out, ": ");
	if (is_hidden(o, f))
		text_add_str(out, SECRET_SHOWN);
	else
		add_value(out, f->value, f->section == DUMP_UNKNOWN);
	text_add_str(out, "\n");
}

static bool is_cut(const struct dump_message *m, const struct thrift_view *view)
{
	return view->used >= m->body.len && m->payload_bytes > m->body.len;
}

static void add_view(struct text *out, const struct dump_message *m)
{
	static const struct thrift_view_limits limits = THRIFT_VIEW_FULL;
	struct thrift_view view;

	text_add_str(out, "    thrift ");
	view = thrift_view_text(out, m->body, &limits);
	text_add_str(out, "\n");
	if (!view.is_whole && view.why[0] && !is_cut(m, &view))
		text_printf(out, "    BROKEN at byte %zu of the struct: %s\n", view.used, view.why);
	if (view.is_whole && view.used < m->body.len)
		text_printf(
		    out, "    BROKEN: %zu bytes behind the struct\n", m->body.len - view.used);
}

static void add_hex_row(struct text *out, size_t at, struct slice row)
{
	text_printf(out, "    %06zx ", at);
	for (size_t i = 0; i < HEX_ROW; i++) {
		if (i < row.len)
			text_printf(out, "%s%02x", i == HEX_ROW / 2 ? "  " : " ", row.data[i]);
		else
			text_add_str(out, i == HEX_ROW / 2 ? "    " : "   ");
	}
	text_add_str(out, "  ");
	for (size_t i = 0; i < row.len; i++)
		text_printf(
		    out, "%c", row.data[i] >= ' ' && row.data[i] < 0x7f ? row.data[i] : '.');
	text_add_str(out, "\n");
}

static void add_text(struct text *out, const struct dump_options *o, const struct dump_message *m)
{
	add_line(out, m);
	if (o->is_verbose) {
		for (size_t i = 0; i < m->n_fields; i++)
			add_field(out, o, &m->fields[i]);
		if (m->is_thrift)
			add_view(out, m);
	}
	if (!o->has_hex)
		return;
	for (size_t at = 0; at < m->body.len; at += HEX_ROW)
		add_hex_row(out, at, slice_first(slice_from(m->body, at), HEX_ROW));
}

/* ---- for programs ---- */

static void add_name_of(struct text *out, const char *name)
{
	text_add_str(out, ",\"");
	text_add_str(out, name);
	text_add_str(out, "\":");
}

static void add_string(struct text *out, const char *name, struct slice value)
{
	if (value.len == 0)
		return;
	add_name_of(out, name);
	shown_quoted(out, value, VALUE_MAX);
}

static void add_number(struct text *out, const char *name, uint64_t value)
{
	add_name_of(out, name);
	text_add_u64(out, value);
}

static void add_json_where(struct text *out, const struct dump_message *m)
{
	text_printf(out, "{\"protocol\":\"%s\",\"kind\":\"%s\"", m->protocol, m->kind);
	if (has_time(m->at)) {
		text_add_str(out, ",\"time\":\"");
		add_time(out, m->at);
		text_add_str(out, "\"");
	}
	add_string(out, "from", slice_str(m->from));
	add_string(out, "to", slice_str(m->to));
	add_string(out, "payload", slice_str(m->payload));
}

static void add_json_sizes(struct text *out, const struct dump_message *m)
{
	if (m->has_stream)
		add_number(out, "stream", m->stream);
	if (m->has_seq)
		text_printf(out, ",\"seq\":%d", m->seq);
	if (m->bytes) {
		add_number(out, "bytes", m->bytes);
		add_number(out, "payload_bytes", m->payload_bytes);
	}
	if (m->missing)
		add_number(out, "missing", m->missing);
	if (m->latency != USEC_NONE)
		add_number(out, "latency_us", m->latency);
}

static void add_json_result(struct text *out, const struct dump_message *m)
{
	text_add_str(out, m->is_error || m->problem ? ",\"error\":true" : ",\"error\":false");
	add_string(out, "code_name", slice_str(m->code_name));
	if (m->code_name)
		text_printf(out, ",\"code\":%lld", (long long)m->code);
	add_string(out, "text", m->text);
	add_string(out, "detail", slice_str(m->detail));
	add_string(out, "problem", slice_str(m->problem));
}

static void add_json_field(
    struct text *out, const struct dump_options *o, const struct dump_field *f)
{
	static const char *const sections[] = {"str", "int", "acl", "header", "unknown"};
	const char *name = f->section == DUMP_INT ? fact_int_name(f->number) : NULL;
	bool is_hex = f->section == DUMP_UNKNOWN || !shown_is_text(f->value);

	text_add_str(out, "{\"section\":\"");
	text_add_str(out, sections[f->section]);
	text_add_str(out, "\"");
	if (f->section == DUMP_INT)
		add_number(out, "key", f->number);
	add_string(out, "name", name ? slice_str(name) : f->name);
	if (is_hidden(o, f)) {
		text_add_str(out, ",\"value\":\"" SECRET_SHOWN "\"}");
		return;
	}
	text_add_str(out, is_hex ? ",\"hex\":" : ",\"value\":");
	if (is_hex) {
		text_add_str(out, "\"");
		shown_hex(out, f->value, VALUE_MAX);
		text_add_str(out, "\"}");
	} else {
		shown_quoted(out, f->value, VALUE_MAX);
		text_add_str(out, "}");
	}
}

static void add_json_view(struct text *out, const struct dump_message *m)
{
	static const struct thrift_view_limits limits = THRIFT_VIEW_FULL;
	struct thrift_view view;

	text_add_str(out, ",\"thrift\":");
	view = thrift_view_json(out, m->body, &limits);
	if (!view.is_whole && view.why[0] && !is_cut(m, &view))
		text_printf(
		    out, ",\"thrift_problem\":{\"at\":%zu,\"why\":\"%s\"}", view.used, view.why);
}

static void add_json(struct text *out, const struct dump_options *o, const struct dump_message *m)
{
	add_json_where(out, m);
	add_string(out, "service", m->service);
	add_string(out, "idl_service", m->idl_service);
	add_string(out, "method", m->method);
	add_json_sizes(out, m);
	add_json_result(out, m);
	if (o->is_verbose) {
		text_add_str(out, ",\"metadata\":[");
		for (size_t i = 0; i < m->n_fields; i++) {
			text_add_str(out, i ? "," : "");
			add_json_field(out, o, &m->fields[i]);
		}
		text_add_str(out, "]");
		if (m->is_thrift)
			add_json_view(out, m);
	}
	if (o->has_hex) {
		text_add_str(out, ",\"hex\":\"");
		shown_hex(out, m->body, m->body.len);
		text_add_str(out, "\"");
	}
	text_add_str(out, "}\n");
}

void dump_print(
    const struct dump_options *options, const struct dump_message *m, struct text *room, FILE *out)
{
	if (!is_wanted(options, m))
		return;
	room->len = 0;
	if (options->is_json)
		add_json(room, options, m);
	else
		add_text(room, options, m);
	fwrite(room->bytes, 1, room->len, out);
}

void dump_note(
    const struct dump_options *options, const struct dump_message *m, struct text *room, FILE *out)
{
	if (options->service || options->method || options->only_errors)
		return;
	room->len = 0;
	if (options->is_json) {
		add_json_where(room, m);
		add_string(room, "detail", slice_str(m->detail));
		text_add_str(room, "}\n");
	} else {
		add_where(room, m);
		text_printf(room, "%s: %s\n", m->protocol, m->detail);
	}
	fwrite(room->bytes, 1, room->len, out);
}
