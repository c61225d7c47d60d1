#include "proxy/access_line.h"

#include <string.h>
#include <time.h>

#include "base/log.h"
#include "proxy/call.h"
#include "proxy/line.h"
#include "proxy/trace.h"
#include "proxy/world.h"

#define NUMBER_MAX 48u
#define ANSWER_MAX 1200u /* bytes of one of them, escaped, and of what ends the line */

_Static_assert(
    ACCESS_STATUS *LINE_STRING_MAX + (ACCESS_COUNT - ACCESS_STATUS) * NUMBER_MAX < ACCESS_LINE_MAX,
    "strings from outside may not cut a JSON line off");

/* ---- the fields ---- */

struct record {
	struct call *call;
	const struct access_moment *moment;
};

static void put_time(struct line *l, const struct record *r)
{
	struct access_clock *clock = &r->call->worker->access_clock;
	usec_t second = r->moment->calendar / USEC_S, part = r->moment->calendar % USEC_S;
	char text[8] = {'.', '0', '0', '0', '0', '0', '0', 'Z'};
	time_t t = (time_t)second;
	struct tm tm;

	if (clock->second != second || clock->text[0] == '\0') {
		gmtime_r(&t, &tm);
		strftime(clock->text, sizeof clock->text, "%Y-%m-%dT%H:%M:%S", &tm);
		clock->second = second;
	}
	line_put_str(l, clock->text);
	for (char *at = text + 6; part; part /= 10)
		*at-- = (char)('0' + part % 10);
	line_put(l, slice_of(text, sizeof text));
}

static struct slice service_of(const struct call *call)
{
	if (call->service)
		return call->service->service->label;
	return call->listener->service ? slice_str(call->listener->service->label)
				       : call->request.service_asked;
}

/* Nothing on the wire says whether a gRPC call is a stream: more than one message one way does. */
static struct slice kind_of(const struct call *call)
{
	if (call->request.form.transport == RPC_TTSTREAM || call->up.messages > 1 ||
	    call->down.messages > 1)
		return SLICE_LIT("stream");
	return call->request.kind == RPC_ONEWAY ? SLICE_LIT("oneway") : SLICE_LIT("call");
}

static struct slice endpoint_of(const struct call *call)
{
	return call->endpoint ? slice_str(call->endpoint->address.text) : SLICE_NONE;
}

static usec_t since(usec_t from, usec_t to)
{
	return from && to > from ? to - from : 0;
}

struct slice access_line_text(enum access_field f, struct call *call)
{
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
		return kind_of(call);
	case ACCESS_REASON:
		return slice_str(reason_name(call->reason));
	case ACCESS_TRACE_ID:
		return trace_id_of(call);
	case ACCESS_DETAIL:
		return slice_str(call->failure.detail);
	case ACCESS_BIZ_STATUS:
		return call->reply_biz_status;
	case ACCESS_ENDPOINT:
		return endpoint_of(call);
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
		return since(call->started, r->moment->now);
	case ACCESS_US_QUEUE:
		return since(call->started, call->tried_at);
	case ACCESS_US_CONNECT:
		return since(call->tried_at, call->connected);
	case ACCESS_US_FIRST_BYTE:
		return since(call->connected, call->first_byte);
	}
	return 0;
}

/* ---- JSON ---- */

/* A constant, for which there is room: a few moves of the processor. */
static inline void put_known(struct line *l, struct slice s)
{
	memcpy(l->at, s.data, s.len);
	l->at += s.len;
}

/* The names stand here once more, with all that is around them: looking each up, with its group,
 * took longer than the values do. */
static void put_who(struct line *l, const struct record *r)
{
	struct call *call = r->call;

	if (r->moment->is_untimed) {
		put_known(l, SLICE_LIT("{\"log_id\":\""));
	} else {
		put_known(l, SLICE_LIT("{\"time\":\""));
		put_time(l, r);
		put_known(l, SLICE_LIT("\",\"log_id\":\""));
	}
	line_put_json(l, call_log_id(call));
	put_known(l, SLICE_LIT("\",\"trace_id\":\""));
	line_put_json(l, trace_id_of(call));
	put_known(l, SLICE_LIT("\",\"listener\":\""));
	line_put_json(l, slice_str(call->listener->name));
	put_known(l, SLICE_LIT("\",\"protocol\":\""));
	line_put_str(l, protocol_name(call_protocol(call)));
	put_known(l, SLICE_LIT("\",\"caller\":\""));
	line_put_json(l, call->caller);
	put_known(l, SLICE_LIT("\",\"service\":\""));
	line_put_json(l, service_of(call));
	put_known(l, SLICE_LIT("\",\"idl_service\":\""));
	line_put_json(l, call->request.idl_service);
	put_known(l, SLICE_LIT("\",\"method\":\""));
	line_put_json(l, call->request.method);
	put_known(l, SLICE_LIT("\",\"kind\":\""));
	line_put(l, kind_of(call));
}

static void put_outcome(struct line *l, const struct call *call)
{
	put_known(l, SLICE_LIT("\",\"reason\":\""));
	line_put_str(l, reason_name(call->reason));
	put_known(l, SLICE_LIT("\",\"detail\":\""));
	line_put_json(l, slice_str(call->failure.detail));
	put_known(l, SLICE_LIT("\",\"biz_status\":\""));
	line_put_json(l, call->reply_biz_status);
	put_known(l, SLICE_LIT("\",\"endpoint\":\""));
	line_put_json(l, endpoint_of(call));
	put_known(l, SLICE_LIT("\",\"source\":\""));
	line_put_json(l, slice_str(call->source));
	put_known(l, SLICE_LIT("\",\"status\":"));
	line_put_number(l, call->status);
	put_known(l, SLICE_LIT(",\"attempts\":"));
	line_put_number(l, call->n_attempts);
}

static void put_amounts(struct line *l, const struct record *r)
{
	const struct call *call = r->call;

	put_known(l, SLICE_LIT(",\"bytes_in\":"));
	line_put_number(l, call->bytes_in);
	put_known(l, SLICE_LIT(",\"bytes_out\":"));
	line_put_number(l, call->bytes_out);
	if (rpc_form_is_multiplexed(call->request.form)) {
		put_known(l, SLICE_LIT(",\"messages\":{\"in\":"));
		line_put_number(l, call->up.messages);
		put_known(l, SLICE_LIT(",\"out\":"));
		line_put_number(l, call->down.messages);
		put_known(l, SLICE_LIT("}"));
	}
	put_known(l, SLICE_LIT(",\"us\":{\"total\":"));
	line_put_number(l, since(call->started, r->moment->now));
	put_known(l, SLICE_LIT(",\"queue\":"));
	line_put_number(l, since(call->started, call->tried_at));
	put_known(l, SLICE_LIT(",\"connect\":"));
	line_put_number(l, since(call->tried_at, call->connected));
	put_known(l, SLICE_LIT(",\"first_byte\":"));
	line_put_number(l, since(call->connected, call->first_byte));
	put_known(l, SLICE_LIT("}"));
}

/* Where a call went to several at once: what became of each, as far as there is room. */
static void put_answers(struct line *l, const struct call *call)
{
	const struct endpoint *endpoints = call->service->service->endpoints;
	const char *comma = "";

	line_put_str(l, ",\"answers\":[");
	for (const struct attempt *a = &call->first; a; a = a->next) {
		if (line_room(l) < ANSWER_MAX)
			break;
		line_put_str(l, comma);
		line_put_str(l, "{\"endpoint\":\"");
		line_put_json(l, slice_str(endpoints[a->endpoint].address.text));
		line_put_str(l, "\",\"outcome\":\"");
		line_put_str(l, attempt_outcome_name(a->outcome));
		line_put_str(l, "\",\"us\":");
		line_put_number(l, a->took);
		line_put_str(l, "}");
		comma = ",";
	}
	line_put_str(l, "]");
}

size_t access_line_json(struct call *call, const struct access_moment *moment, char *room)
{
	struct record r = {call, moment};
	struct line l = {room, room + ACCESS_LINE_MAX};

	put_who(&l, &r);
	put_outcome(&l, call);
	put_amounts(&l, &r);
	if (call->went_to_all)
		put_answers(&l, call);
	put_known(&l, SLICE_LIT("}"));
	return (size_t)(l.at - room);
}

/* ---- an operator's format ---- */

static void put_plain_value(struct line *l, enum access_field f, const struct record *r)
{
	char text[LOG_ESCAPED_MAX];
	struct slice s;

	if (f >= ACCESS_STATUS) {
		line_put_number(l, number_of(f, r));
	} else if (f == ACCESS_TIME) {
		put_time(l, r);
	} else {
		s = access_line_text(f, r->call);
		log_escape(text, sizeof text, s.len ? s : SLICE_LIT("-"));
		line_put_str(l, text);
	}
}

/* %{name} is replaced, anything else stands as it is. */
size_t access_line_format(
    struct call *call, const struct access_moment *moment, const char *format, char *room)
{
	struct record r = {call, moment};
	struct line l = {room, room + ACCESS_LINE_MAX};

	while (*format) {
		const char *end = format[0] == '%' && format[1] == '{' ? strchr(format, '}') : NULL;
		enum access_field f = ACCESS_COUNT;

		if (end)
			f = access_field_find(slice_of(format + 2, (size_t)(end - format - 2)));
		if (f != ACCESS_COUNT) {
			put_plain_value(&l, f, &r);
			format = end + 1;
		} else {
			line_put(&l, slice_of(format, 1));
			format++;
		}
	}
	return (size_t)(l.at - room);
}
