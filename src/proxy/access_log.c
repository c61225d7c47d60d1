#include "proxy/access_log.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "model/access_field.h"
#include "net/loop.h"
#include "proxy/call.h"
#include "proxy/world.h"

#define LINE_SIZE  16384u
#define TEXT_MAX   256u /* bytes of a string that are shown */
#define VALUE_MAX  704u /* once a string has taken so many, escaped, the rest of it is cut */
#define STRING_MAX (VALUE_MAX + TEXT_MAX + 32u)
#define NUMBER_MAX 48u
#define ANSWER_MAX 1200u /* bytes of one of them, escaped, and of what ends the line */

_Static_assert(ACCESS_STATUS *STRING_MAX + (ACCESS_COUNT - ACCESS_STATUS) * NUMBER_MAX < LINE_SIZE,
    "strings from outside may not cut a JSON line off");

/* A line under construction; of an operator's format, what does not fit is cut. */
struct line {
	char *at, *end;
	char room[LINE_SIZE];
};

static void put_slice(struct line *l, struct slice s)
{
	size_t room = (size_t)(l->end - l->at), len = s.len < room ? s.len : room;

	if (len)
		memcpy(l->at, s.data, len);
	l->at += len;
}

static void put(struct line *l, const char *text)
{
	put_slice(l, slice_str(text));
}

static void put_number(struct line *l, uint64_t n)
{
	char text[24];

	snprintf(text, sizeof text, "%llu", (unsigned long long)n);
	put(l, text);
}

/* How many bytes from the start stand for themselves in JSON. */
static size_t plain_len(struct slice s)
{
	size_t n = 0;

	while (n < s.len && s.data[n] >= 0x20 && s.data[n] < 0x7f && s.data[n] != '"' &&
	       s.data[n] != '\\')
		n++;
	return n;
}

static void put_escaped(struct line *l, uint8_t b)
{
	char text[8];

	snprintf(text, sizeof text, b == '"' || b == '\\' ? "\\%c" : "\\u%04x", b);
	put(l, text);
}

/* Strings from outside: JSON has no \xNN, so its own escapes are used; cut like log_escape. */
static void put_json(struct line *l, struct slice s)
{
	struct slice left = slice_first(s, TEXT_MAX);
	const char *start = l->at;

	put(l, "\"");
	while (left.len && (size_t)(l->at - start) < VALUE_MAX) {
		size_t n = plain_len(left);

		put_slice(l, slice_first(left, n));
		if (n < left.len)
			put_escaped(l, left.data[n++]);
		left = slice_from(left, n);
	}
	put(l, left.len || s.len > TEXT_MAX ? "...\"" : "\"");
}

static void put_time(struct line *l, usec_t at)
{
	time_t seconds = (time_t)(at / USEC_S);
	struct tm tm;
	char text[48];
	size_t len;

	gmtime_r(&seconds, &tm);
	len = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + len, sizeof text - len, ".%06uZ", (unsigned)(at % USEC_S));
	put(l, text);
}

/* ---- the fields ---- */

struct record {
	struct call *call;
	usec_t now, calendar;
};

static struct slice service_of(const struct call *call)
{
	if (call->service)
		return call->service->service->label;
	return call->listener->service ? slice_str(call->listener->service->label)
				       : call->request.service_asked;
}

/* Nothing on the wire says whether a gRPC call is a stream: more than one message one way does. */
static const char *kind_of(const struct call *call)
{
	if (call->request.form.transport == RPC_TTSTREAM || call->up.messages > 1 ||
	    call->down.messages > 1)
		return "stream";
	return call->request.kind == RPC_ONEWAY ? "oneway" : "call";
}

static const char *endpoint_of(const struct call *call)
{
	return call->endpoint ? call->endpoint->address.text : "";
}

static usec_t since(usec_t from, usec_t to)
{
	return from && to > from ? to - from : 0;
}

static struct slice text_of(enum access_field f, const struct record *r)
{
	struct call *call = r->call;

	switch ((int)f) {
	case ACCESS_LOG_ID:
		return call_log_id(call);
	case ACCESS_LISTENER:
		return slice_str(call->listener->name);
	case ACCESS_PROTOCOL:
		return slice_str(protocol_name(call_protocol(call)));
	case ACCESS_CALLER:
		return call->caller;
	case ACCESS_SERVICE:
		return service_of(call);
	case ACCESS_IDL_SERVICE:
		return call->request.idl_service;
	case ACCESS_METHOD:
		return call->request.method;
	case ACCESS_KIND:
		return slice_str(kind_of(call));
	case ACCESS_REASON:
		return slice_str(reason_name(call->reason));
	case ACCESS_TRACE_ID:
		return call->request.trace_id;
	case ACCESS_DETAIL:
		return slice_str(call->failure.detail);
	case ACCESS_BIZ_STATUS:
		return call->reply_biz_status;
	case ACCESS_ENDPOINT:
		return slice_str(endpoint_of(call));
	case ACCESS_SOURCE:
		return slice_str(call->source);
	}
	return SLICE_NONE;
}

static uint64_t number_of(enum access_field f, const struct record *r)
{
	const struct call *call = r->call;

	switch ((int)f) {
	case ACCESS_STATUS:
		return call->status;
	case ACCESS_ATTEMPTS:
		return call->n_attempts;
	case ACCESS_BYTES_IN:
		return call->bytes_in;
	case ACCESS_BYTES_OUT:
		return call->bytes_out;
	case ACCESS_MESSAGES_IN:
		return call->up.messages;
	case ACCESS_MESSAGES_OUT:
		return call->down.messages;
	case ACCESS_US_TOTAL:
		return since(call->started, r->now);
	case ACCESS_US_QUEUE:
		return since(call->started, call->tried_at);
	case ACCESS_US_CONNECT:
		return since(call->tried_at, call->connected);
	case ACCESS_US_FIRST_BYTE:
		return since(call->connected, call->first_byte);
	}
	return 0;
}

static void put_json_value(struct line *l, enum access_field f, const struct record *r)
{
	if (f >= ACCESS_STATUS) {
		put_number(l, number_of(f, r));
	} else if (f == ACCESS_TIME) {
		put(l, "\"");
		put_time(l, r->calendar);
		put(l, "\"");
	} else {
		put_json(l, text_of(f, r));
	}
}

/* The name of a field, in its group: {"us":{"total": */
static void put_name(struct line *l, const char *name, struct slice *group)
{
	const char *dot = strchr(name, '.');
	struct slice mine = dot ? slice_of(name, (size_t)(dot - name)) : SLICE_NONE;
	bool is_first = l->at[-1] == '{';

	if (!slice_eq(mine, *group)) {
		put(l, group->len ? "}" : "");
		put(l, is_first ? "\"" : ",\"");
		put_slice(l, mine);
		put(l, "\":{\"");
	} else {
		put(l, is_first ? "\"" : ",\"");
	}
	*group = mine;
	put(l, dot ? dot + 1 : name);
	put(l, "\":");
}

static bool is_left_out(enum access_field f, const struct record *r)
{
	return (f == ACCESS_MESSAGES_IN || f == ACCESS_MESSAGES_OUT) &&
	       !rpc_form_is_multiplexed(r->call->request.form);
}

/* Where a call went to several at once: what became of each, as far as there is room. */
static void put_answers(struct line *l, const struct call *call)
{
	const struct endpoint *endpoints = call->service->service->endpoints;
	const char *comma = "";

	put(l, ",\"answers\":[");
	for (const struct attempt *a = &call->first; a; a = a->next) {
		if (l->room + LINE_SIZE - l->at < ANSWER_MAX)
			break;
		put(l, comma);
		put(l, "{\"endpoint\":");
		put_json(l, slice_str(endpoints[a->endpoint].address.text));
		put(l, ",\"outcome\":\"");
		put(l, attempt_outcome_name(a->outcome));
		put(l, "\",\"us\":");
		put_number(l, a->took);
		put(l, "}");
		comma = ",";
	}
	put(l, "]");
}

static void write_json(struct line *l, const struct record *r)
{
	struct slice group = SLICE_NONE;

	put(l, "{");
	for (int f = 0; f < ACCESS_COUNT; f++) {
		if (is_left_out((enum access_field)f, r))
			continue;
		put_name(l, access_field_name((enum access_field)f), &group);
		put_json_value(l, (enum access_field)f, r);
	}
	l->end = l->room + LINE_SIZE;
	put(l, "}");
	if (r->call->went_to_all)
		put_answers(l, r->call);
	put(l, "}");
}

static void put_plain_value(struct line *l, enum access_field f, const struct record *r)
{
	char text[LOG_ESCAPED_MAX];
	struct slice s;

	if (f >= ACCESS_STATUS) {
		put_number(l, number_of(f, r));
	} else if (f == ACCESS_TIME) {
		put_time(l, r->calendar);
	} else {
		s = text_of(f, r);
		log_escape(text, sizeof text, s.len ? s : SLICE_LIT("-"));
		put(l, text);
	}
}

/* %{name} is replaced, anything else stands as it is. */
static void write_format(struct line *l, const char *format, const struct record *r)
{
	while (*format) {
		const char *end = format[0] == '%' && format[1] == '{' ? strchr(format, '}') : NULL;
		enum access_field f = ACCESS_COUNT;
		char one[2] = {*format, '\0'};

		if (end)
			f = access_field_find(slice_of(format + 2, (size_t)(end - format - 2)));
		if (f != ACCESS_COUNT) {
			put_plain_value(l, f, r);
			format = end + 1;
		} else {
			put(l, one);
			format++;
		}
	}
}

static bool is_wanted(struct call *call, const struct access_log_config *c, usec_t took)
{
	if (c->always_errors && !reason_is_success(call->reason))
		return true;
	if (took > c->always_slower_than)
		return true;
	return c->sample >= 1.0 ||
	       (double)rng_below(&call->worker->rng, 1000000) < c->sample * 1000000.0;
}

void access_log_call(struct call *call, usec_t now)
{
	const struct access_log_config *c = &call->world->snapshot->config->access_log;
	struct record r = {call, now, loop_calendar(call->worker->loop)};
	struct line l;

	if (c->to == NULL || !is_wanted(call, c, now - call->started))
		return;
	l.at = l.room;
	l.end = l.room + LINE_SIZE - 2; /* room to end the line with */
	if (c->format)
		write_format(&l, c->format, &r);
	else
		write_json(&l, &r);
	call->worker->access_sink(call->worker->access_arg, l.room, (size_t)(l.at - l.room));
}
