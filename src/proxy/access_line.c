#include "proxy/access_line.h"

#include <string.h>
#include <time.h>

#include "base/log.h"
#include "model/access_field.h"
#include "proxy/call.h"
#include "proxy/world.h"

#define TEXT_MAX   256u /* bytes of a string that are shown */
#define VALUE_MAX  704u /* once a string has taken so many, escaped, the rest of it is cut */
#define STRING_MAX (VALUE_MAX + TEXT_MAX + 32u)
#define NUMBER_MAX 48u
#define ANSWER_MAX 1200u /* bytes of one of them, escaped, and of what ends the line */

_Static_assert(
    ACCESS_STATUS *STRING_MAX + (ACCESS_COUNT - ACCESS_STATUS) * NUMBER_MAX < ACCESS_LINE_MAX,
    "strings from outside may not cut a JSON line off");

/* A line under construction. Every call that is served may have one: neither printf nor strftime is
 * in its way. */
struct line {
	char *at, *end;
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
	char text[20], *at = text + sizeof text;

	do {
		*--at = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	put_slice(l, slice_of(at, (size_t)(text + sizeof text - at)));
}

/* ---- JSON strings ---- */

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

static uint64_t has_zero(uint64_t word)
{
	return (word - EACH(1)) & ~word;
}

/* Do all eight bytes stand for themselves in JSON, and on a terminal? */
static bool is_plain_word(uint64_t word)
{
	uint64_t is_low = (word - EACH(0x20)) & ~word, is_high = (word + EACH(1)) | word;

	return ((is_low | is_high | has_zero(word ^ EACH('"')) | has_zero(word ^ EACH('\\'))) &
		   EACH(0x80)) == 0;
}

static bool is_plain(uint8_t b)
{
	return b >= 0x20 && b < 0x7f && b != '"' && b != '\\';
}

/* How many bytes from the start stand for themselves. */
static size_t plain_len(struct slice s)
{
	size_t n = 0;

	for (uint64_t word; n + sizeof word <= s.len; n += sizeof word) {
		memcpy(&word, s.data + n, sizeof word);
		if (!is_plain_word(word))
			break;
	}
	while (n < s.len && is_plain(s.data[n]))
		n++;
	return n;
}

static void put_escaped(struct line *l, uint8_t b)
{
	static const char digits[] = "0123456789abcdef";
	char text[6] = {'\\', 'u', '0', '0', digits[b >> 4], digits[b & 15]};

	if (b == '"' || b == '\\')
		text[1] = (char)b;
	put_slice(l, slice_of(text, b == '"' || b == '\\' ? 2 : sizeof text));
}

/* What stands between the quotes. JSON has no \xNN, so its own escapes are used; cut like log_escape. */
static void put_json(struct line *l, struct slice s)
{
	struct slice left = slice_first(s, TEXT_MAX);
	const char *start = l->at;

	while (left.len && (size_t)(l->at - start) < VALUE_MAX) {
		size_t n = plain_len(left);

		put_slice(l, slice_first(left, n));
		if (n < left.len)
			put_escaped(l, left.data[n++]);
		left = slice_from(left, n);
	}
	if (left.len || s.len > TEXT_MAX)
		put(l, "...");
}

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
	put(l, clock->text);
	for (char *at = text + 6; part; part /= 10)
		*at-- = (char)('0' + part % 10);
	put_slice(l, slice_of(text, sizeof text));
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
		return kind_of(call);
	case ACCESS_REASON:
		return slice_str(reason_name(call->reason));
	case ACCESS_TRACE_ID:
		return call->request.trace_id;
	case ACCESS_DETAIL:
		return slice_str(call->failure.detail);
	case ACCESS_BIZ_STATUS:
		return call->reply_biz_status;
	case ACCESS_ENDPOINT:
		return call->endpoint ? slice_str(call->endpoint->address.text) : SLICE_NONE;
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

#define KEY(text)                                                                                  \
	{                                                                                          \
		(text), sizeof(text) - 1                                                           \
	}

/* What stands before each value, groups begun with it; access_field_name without the work. */
static const struct {
	const char *text;
	size_t len;
} keys[ACCESS_COUNT] = {
    [ACCESS_TIME] = KEY(",\"time\":\""),
    [ACCESS_LOG_ID] = KEY(",\"log_id\":\""),
    [ACCESS_TRACE_ID] = KEY(",\"trace_id\":\""),
    [ACCESS_LISTENER] = KEY(",\"listener\":\""),
    [ACCESS_PROTOCOL] = KEY(",\"protocol\":\""),
    [ACCESS_CALLER] = KEY(",\"caller\":\""),
    [ACCESS_SERVICE] = KEY(",\"service\":\""),
    [ACCESS_IDL_SERVICE] = KEY(",\"idl_service\":\""),
    [ACCESS_METHOD] = KEY(",\"method\":\""),
    [ACCESS_KIND] = KEY(",\"kind\":\""),
    [ACCESS_REASON] = KEY(",\"reason\":\""),
    [ACCESS_DETAIL] = KEY(",\"detail\":\""),
    [ACCESS_BIZ_STATUS] = KEY(",\"biz_status\":\""),
    [ACCESS_ENDPOINT] = KEY(",\"endpoint\":\""),
    [ACCESS_SOURCE] = KEY(",\"source\":\""),
    [ACCESS_STATUS] = KEY(",\"status\":"),
    [ACCESS_ATTEMPTS] = KEY(",\"attempts\":"),
    [ACCESS_BYTES_IN] = KEY(",\"bytes_in\":"),
    [ACCESS_BYTES_OUT] = KEY(",\"bytes_out\":"),
    [ACCESS_MESSAGES_IN] = KEY(",\"messages\":{\"in\":"),
    [ACCESS_MESSAGES_OUT] = KEY(",\"out\":"),
    [ACCESS_US_TOTAL] = KEY(",\"us\":{\"total\":"),
    [ACCESS_US_QUEUE] = KEY(",\"queue\":"),
    [ACCESS_US_CONNECT] = KEY(",\"connect\":"),
    [ACCESS_US_FIRST_BYTE] = KEY(",\"first_byte\":"),
};

static void put_json_field(struct line *l, enum access_field f, const struct record *r)
{
	put_slice(l, slice_of(keys[f].text, keys[f].len));
	if (f >= ACCESS_STATUS) {
		put_number(l, number_of(f, r));
		return;
	}
	if (f == ACCESS_TIME)
		put_time(l, r);
	else
		put_json(l, text_of(f, r));
	put_slice(l, SLICE_LIT("\""));
}

/* Where a call went to several at once: what became of each, as far as there is room. */
static void put_answers(struct line *l, const struct call *call)
{
	const struct endpoint *endpoints = call->service->service->endpoints;
	const char *comma = "";

	put(l, ",\"answers\":[");
	for (const struct attempt *a = &call->first; a; a = a->next) {
		if (l->end - l->at < (ptrdiff_t)ANSWER_MAX)
			break;
		put(l, comma);
		put(l, "{\"endpoint\":\"");
		put_json(l, slice_str(endpoints[a->endpoint].address.text));
		put(l, "\",\"outcome\":\"");
		put(l, attempt_outcome_name(a->outcome));
		put(l, "\",\"us\":");
		put_number(l, a->took);
		put(l, "}");
		comma = ",";
	}
	put(l, "]");
}

size_t access_line_json(struct call *call, const struct access_moment *moment, char *room)
{
	struct record r = {call, moment};
	struct line l = {room, room + ACCESS_LINE_MAX};
	bool has_messages = rpc_form_is_multiplexed(call->request.form);
	int f = moment->is_untimed ? ACCESS_TIME + 1 : ACCESS_TIME;

	for (; f < ACCESS_MESSAGES_IN; f++)
		put_json_field(&l, (enum access_field)f, &r);
	for (; f < ACCESS_US_TOTAL; f++)
		if (has_messages)
			put_json_field(&l, (enum access_field)f, &r);
	put(&l, has_messages ? "}" : "");
	for (; f < ACCESS_COUNT; f++)
		put_json_field(&l, (enum access_field)f, &r);
	put(&l, "}");
	if (call->went_to_all)
		put_answers(&l, call);
	put(&l, "}");
	room[0] = '{'; /* in place of the first field's comma */
	return (size_t)(l.at - room);
}

/* ---- an operator's format ---- */

static void put_plain_value(struct line *l, enum access_field f, const struct record *r)
{
	char text[LOG_ESCAPED_MAX];
	struct slice s;

	if (f >= ACCESS_STATUS) {
		put_number(l, number_of(f, r));
	} else if (f == ACCESS_TIME) {
		put_time(l, r);
	} else {
		s = text_of(f, r);
		log_escape(text, sizeof text, s.len ? s : SLICE_LIT("-"));
		put(l, text);
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
			put_slice(&l, slice_of(format, 1));
			format++;
		}
	}
	return (size_t)(l.at - room);
}
