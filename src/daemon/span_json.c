#include "daemon/span_json.h"

#include <inttypes.h>

#include "rpc/trace_context.h"

/* Source: opentelemetry-proto, trace/v1/trace.proto, SpanKind and StatusCode. */
#define KIND_SERVER  2
#define KIND_CLIENT  3
#define STATUS_ERROR 2

#define NSEC_IN_USEC 1000u

/* Bytes that are no plain ASCII are escaped each by itself, as in the access log: a text that was
 * cut within a character is JSON all the same. */
static void add_string(struct text *out, struct slice s)
{
	text_add_str(out, "\"");
	while (s.len) {
		size_t n = 0;

		while (n < s.len && s.data[n] >= 0x20 && s.data[n] < 0x7f && s.data[n] != '"' &&
		       s.data[n] != '\\')
			n++;
		text_add(out, slice_first(s, n));
		if (n < s.len)
			text_printf(out, "\\u%04x", s.data[n++]);
		s = slice_from(s, n);
	}
	text_add_str(out, "\"");
}

/* ---- attributes ---- */

static void add_comma(struct text *out)
{
	if (out->len && out->bytes[out->len - 1] != '[')
		text_add_str(out, ",");
}

static void add_text_attribute(struct text *out, const char *key, struct slice value)
{
	if (value.len == 0)
		return;
	add_comma(out);
	text_printf(out, "{\"key\":\"%s\",\"value\":{\"stringValue\":", key);
	add_string(out, value);
	text_add_str(out, "}}");
}

/* 64 bits are text in JSON. Source: protobuf.dev, ProtoJSON. */
static void add_number_attribute(struct text *out, const char *key, uint64_t value)
{
	add_comma(out);
	text_printf(out, "{\"key\":\"%s\",\"value\":{\"intValue\":\"%" PRIu64 "\"}}", key, value);
}

void span_json_begin(struct text *out, const struct span_resource *r)
{
	text_add_str(out, "{\"resourceSpans\":[{\"resource\":{\"attributes\":[");
	add_text_attribute(out, "service.name", slice_str(r->service));
	add_text_attribute(out, "service.instance.id", slice_str(r->instance));
	add_text_attribute(out, "service.version", slice_str(r->version));
	add_text_attribute(out, "cloud.availability_zone", slice_str(r->zone));
	add_text_attribute(out, "telemetry.sdk.name", SLICE_LIT("bridled"));
	add_text_attribute(out, "telemetry.sdk.version", SLICE_LIT(PACKAGE_VERSION));
	text_add_str(out,
	    "]},\"scopeSpans\":[{\"scope\":{\"name\":\"bridled\",\"version\":\"" PACKAGE_VERSION
	    "\"},\"spans\":[");
}

void span_json_end(struct text *out)
{
	text_add_str(out, "]}]}]}");
}

/* ---- spans ---- */

static void add_id(struct text *out, const char *name, const uint8_t *id, size_t n)
{
	char hex[TRACE_ID_TEXT];

	trace_write_hex(hex, id, n);
	text_printf(out, "\"%s\":\"%.*s\",", name, (int)(2 * n), hex);
}

/* [<package>.]<Service>/<Method>, as Kitex's peers name theirs. */
static void add_name(struct text *out, const struct span *span)
{
	struct slice service = span_text(span, SPAN_IDL_SERVICE);
	struct slice method = span_text(span, SPAN_METHOD);
	struct text name = {0};

	if (service.len == 0)
		service = span_text(span, SPAN_CALLEE);
	text_add(&name, service);
	text_add_str(&name, service.len && method.len ? "/" : "");
	text_add(&name, method);
	text_add_str(out, "\"name\":");
	add_string(out, name.len ? slice_of(name.bytes, name.len) : SLICE_LIT("unknown"));
	text_fini(&name);
}

/* The first are Kitex's: its dashboards look for them. */
static void add_common(struct text *out, const struct span *span)
{
	bool is_grpc = span->protocol == PROTOCOL_GRPC;
	struct slice callee = span_text(span, SPAN_CALLEE), caller = span_text(span, SPAN_CALLER);

	add_text_attribute(out, "rpc.system", is_grpc ? SLICE_LIT("grpc") : SLICE_LIT("kitex"));
	add_text_attribute(out, "rpc.service",
	    span_text(span, SPAN_IDL_SERVICE).len ? span_text(span, SPAN_IDL_SERVICE) : callee);
	add_text_attribute(out, "rpc.method", span_text(span, SPAN_METHOD));
	add_text_attribute(out, "request.protocol", slice_str(protocol_name(span->protocol)));
	add_text_attribute(out, "peer.service", span->kind == SPAN_SERVER ? caller : callee);
	add_text_attribute(out, "bridle.service", span_text(span, SPAN_SERVICE));
	add_text_attribute(out, "bridle.callee", callee);
	add_text_attribute(out, "bridle.caller", caller);
	add_text_attribute(out, "bridle.listener", span_text(span, SPAN_LISTENER));
	add_text_attribute(out, "bridle.endpoint", span_text(span, SPAN_ENDPOINT));
	add_text_attribute(out, "bridle.log_id", span_text(span, SPAN_LOG_ID));
}

static void add_of_call(struct text *out, const struct span *span)
{
	add_text_attribute(out, "bridle.reason", slice_str(reason_name(span->reason)));
	add_number_attribute(out, "bridle.status", span->status);
	add_text_attribute(out, "bridle.biz_status", span_text(span, SPAN_BIZ_STATUS));
	add_number_attribute(out, "bridle.attempts", span->attempts);
	add_number_attribute(out, "kitex.recv_size", span->bytes_in);
	add_number_attribute(out, "kitex.send_size", span->bytes_out);
	if (span->messages_in | span->messages_out) {
		add_number_attribute(out, "bridle.messages_in", span->messages_in);
		add_number_attribute(out, "bridle.messages_out", span->messages_out);
	}
}

static void add_of_attempt(struct text *out, const struct span *span)
{
	add_text_attribute(out, "bridle.outcome", span_text(span, SPAN_OUTCOME));
	if (span->mark)
		add_number_attribute(out, "bridle.retry", span->mark);
}

static void add_status(struct text *out, const struct span *span)
{
	struct slice detail = span_text(span, SPAN_DETAIL);
	struct text message = {0};

	text_add_str(out, "\"status\":{");
	if (span->is_failed) {
		if (span->kind == SPAN_ATTEMPT)
			text_add(&message, span_text(span, SPAN_OUTCOME));
		else
			text_add_str(&message, reason_name(span->reason));
		text_add_str(&message, detail.len ? ": " : "");
		text_add(&message, detail);
		text_printf(out, "\"code\":%d,\"message\":", STATUS_ERROR);
		add_string(out, slice_of(message.bytes, message.len));
		text_fini(&message);
	}
	text_add_str(out, "}");
}

void span_json_add(struct text *out, const struct span *span)
{
	add_comma(out);
	text_add_str(out, "{");
	add_id(out, "traceId", span->trace_id, sizeof span->trace_id);
	add_id(out, "spanId", span->id, sizeof span->id);
	if (span->has_parent)
		add_id(out, "parentSpanId", span->parent, sizeof span->parent);
	add_name(out, span);
	text_printf(out,
	    ",\"kind\":%d,\"startTimeUnixNano\":\"%" PRIu64 "\",\"endTimeUnixNano\":\"%" PRIu64
	    "\",\"attributes\":[",
	    span->kind == SPAN_SERVER ? KIND_SERVER : KIND_CLIENT, span->start * NSEC_IN_USEC,
	    (span->start + span->took) * NSEC_IN_USEC);
	add_common(out, span);
	if (span->kind == SPAN_ATTEMPT)
		add_of_attempt(out, span);
	else
		add_of_call(out, span);
	text_add_str(out, "],");
	add_status(out, span);
	text_add_str(out, "}");
}
