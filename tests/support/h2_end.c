#include "support/h2_end.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "wire/grpc.h"

#define FIELDS_MAX 64u

const struct codec_limits h2_end_limits = {
    .max_message = 1u << 20,
    .max_header = 64u << 10,
    .protocols = ~0u,
    .in_flight = 100,
};

static const struct rpc_form form = {RPC_HTTP2, RPC_KITEXPB, false};

static void sink(void *arg, const struct slice *pieces, int n)
{
	struct h2_end *e = arg;

	written_io.write(&e->out, pieces, n);
}

static bool is_full(void *arg)
{
	const struct h2_end *e = arg;

	return e->is_full || (e->room && e->out.len >= e->room);
}

static const struct codec_io end_io = {.write = sink, .is_full = is_full};

void h2_end_open(struct h2_end *e, enum codec_side side, const struct codec_limits *limits)
{
	*e = (struct h2_end){0};
	e->codec = codec_open(side, side == CODEC_UPSTREAM ? CODEC_HTTP2 : CODEC_UNDETECTED,
	    limits ? limits : &h2_end_limits, &end_io, e);
}

void h2_end_close(struct h2_end *e)
{
	codec_close(&e->codec);
	written_fini(&e->out);
	written_fini(&e->body);
	free(e->log);
}

/* ---- what it hears ---- */

__attribute__((format(printf, 2, 3))) static void say(struct h2_end *e, const char *format, ...)
{
	char line[2048];
	va_list args;
	size_t len;

	va_start(args, format);
	len = (size_t)vsnprintf(line, sizeof line, format, args);
	va_end(args);
	if (len >= sizeof line)
		abort();
	if (e->log_size - e->log_len <= len) {
		e->log_size = 2 * (e->log_size + len + 1);
		e->log = mem_realloc(e->log, e->log_size);
	}
	memcpy(e->log + e->log_len, line, len + 1);
	e->log_len += len;
}

static void say_fields(struct h2_end *e, const struct rpc_message *m)
{
	for (unsigned i = 0; e->tells_fields && i < m->n_fields; i++)
		say(e, "  %.*s: %.*s%s\n", (int)m->fields[i].name.len, m->fields[i].name.data,
		    (int)m->fields[i].value.len, m->fields[i].value.data,
		    m->fields[i].is_secret ? " (secret)" : "");
}

static void say_message(struct h2_end *e, uint32_t id, const struct rpc_message *m)
{
	const char *end = m->complete ? " end" : "";

	switch (m->kind) {
	case RPC_CALL:
		say(e, "call %u %.*s %.*s%s\n", id, (int)m->http_method.len, m->http_method.data,
		    (int)m->path.len, m->path.data, end);
		break;
	case RPC_INTERIM:
		say(e, "interim %u %u\n", id, m->http_status);
		break;
	case RPC_TRAILERS:
		say(e, "trailers %u grpc=%d\n", id, (int)m->status);
		break;
	default:
		say(e, "reply %u %u%s", id, m->http_status, end);
		if (m->status != RPC_STATUS_NONE)
			say(e, " grpc=%d", (int)m->status);
		say(e, "\n");
		break;
	}
	say_fields(e, m);
}

static void hear(struct h2_end *e, enum codec_event event, const struct codec_item *item)
{
	const struct codec_reset *reset = &item->reset;

	switch (event) {
	case CODEC_MORE:
		break;
	case CODEC_MESSAGE:
		if (item->owner == NULL && !e->owns_none)
			codec_own(e->codec, item->id, e);
		say_message(e, item->id, &item->message);
		break;
	case CODEC_END:
		say_message(e, item->id, &item->message);
		break;
	case CODEC_DATA:
		say(e, "data %u %zu", item->id, item->data.len);
		if (item->n_messages)
			say(e, " (%u of %u)", item->n_messages, (unsigned)item->message_bytes);
		say(e, "%s\n", item->last ? " end" : "");
		h2_put(&e->body, item->data);
		break;
	case CODEC_RESET:
		say(e, "reset %u %s %u%s: %s\n", item->id, reason_name(reset->reason), reset->code,
		    reset->is_unprocessed ? " unprocessed" : "", reset->detail);
		break;
	case CODEC_ROOM:
		say(e, "room %u\n", item->id);
		break;
	case CODEC_REFUSED:
		say(e, "refused %s: %s\n", reason_name(item->why.reason), item->why.detail);
		e->refused++;
		break;
	}
}

void h2_end_feed(struct h2_end *e, struct slice piece)
{
	uint8_t *bytes = mem_alloc(piece.len);
	struct slice in = slice_of(bytes, piece.len);
	struct codec_item item = {0};
	enum codec_event event;
	size_t held;

	if (piece.len)
		memcpy(bytes, piece.data, piece.len);
	do {
		event = codec_next(e->codec, &in, &item);
		hear(e, event, &item);
	} while (event != CODEC_MORE);
	if (in.len)
		abort();
	free(bytes);
	held = codec_held(e->codec);
	e->most_held = held > e->most_held ? held : e->most_held;
}

void h2_end_feed_in(struct h2_end *e, struct slice in, size_t step)
{
	while (step && in.len > step) {
		h2_end_feed(e, slice_first(in, step));
		in = slice_from(in, step);
	}
	h2_end_feed(e, in);
}

void h2_end_hears(struct h2_end *e, struct written *w)
{
	h2_end_feed(e, written_slice(w));
	w->len = 0;
}

bool h2_end_pass(struct h2_end *from, struct h2_end *to)
{
	struct written w = from->out;
	bool any = w.len > 0;

	from->out = (struct written){0};
	h2_end_feed(to, written_slice(&w));
	written_fini(&w);
	return any;
}

void h2_ends_settle(struct h2_end *a, struct h2_end *b)
{
	bool has_moved;

	do {
		has_moved = h2_end_pass(a, b);
		has_moved = h2_end_pass(b, a) || has_moved;
	} while (has_moved);
}

const char *h2_end_log(struct h2_end *e)
{
	if (e->log_len == 0)
		return "";
	e->log_len = 0;
	return e->log;
}

const char *h2_end_frames(struct h2_end *e)
{
	const char *text = h2_frames_text(written_slice(&e->out));

	e->out.len = 0;
	return text;
}

/* ---- what it sends ---- */

unsigned h2_fields_of(const char *text, struct rpc_field *fields, unsigned max)
{
	unsigned n = 0;

	while (*text) {
		const char *blank = strchr(text, ' '), *end = strchr(text, '\n');

		if (n == max)
			abort();
		fields[n++] = (struct rpc_field){slice_of(text, (size_t)(blank - text)),
		    slice_of(blank + 1, (size_t)(end - blank - 1)), false};
		text = end + 1;
	}
	return n;
}

uint32_t h2_end_begin(struct h2_end *e, const char *path, const char *text, bool is_complete)
{
	struct rpc_field fields[FIELDS_MAX];
	struct rpc_message m = {.form = form,
	    .kind = RPC_CALL,
	    .timeout = USEC_NONE,
	    .http_method = SLICE_LIT("POST"),
	    .path = slice_str(path),
	    .fields = fields,
	    .body_len = is_complete ? 0 : RPC_LENGTH_UNKNOWN,
	    .complete = is_complete};
	struct rpc_edit edit = {.form = form, .authority = SLICE_LIT("callee")};
	uint32_t id = codec_begin(e->codec, e);

	m.n_fields = h2_fields_of(text, fields, FIELDS_MAX);
	if (!codec_send_message(e->codec, id, &m, &edit))
		abort();
	return id;
}

void h2_end_reply(struct h2_end *e, uint32_t id, unsigned status, const char *text, bool is_end)
{
	struct rpc_field fields[FIELDS_MAX];
	struct rpc_message m = {.form = form,
	    .kind = status < 200 ? RPC_INTERIM : RPC_REPLY,
	    .http_status = status,
	    .fields = fields,
	    .body_len = is_end ? 0 : RPC_LENGTH_UNKNOWN,
	    .complete = is_end};
	struct rpc_edit edit = {.form = form};

	m.n_fields = h2_fields_of(text, fields, FIELDS_MAX);
	if (!codec_send_message(e->codec, id, &m, &edit))
		abort();
}

void h2_end_trailers(struct h2_end *e, uint32_t id, const char *text)
{
	struct rpc_field fields[FIELDS_MAX];
	struct rpc_message m = {.form = form, .kind = RPC_TRAILERS, .fields = fields};

	m.n_fields = h2_fields_of(text, fields, FIELDS_MAX);
	codec_send_end(e->codec, id, &m);
}

void h2_end_message(struct h2_end *e, uint32_t id, size_t len, bool is_last)
{
	uint8_t *bytes = mem_alloc(GRPC_PREFIX + len);

	grpc_prefix_write(bytes, (uint32_t)len);
	memset(bytes + GRPC_PREFIX, 'm', len);
	codec_send_data(e->codec, id, slice_of(bytes, GRPC_PREFIX + len), is_last);
	free(bytes);
}

void h2_end_fail(struct h2_end *e, uint32_t id, enum rpc_payload payload, enum reason reason)
{
	struct rpc_message call = {.form = {RPC_HTTP2, payload, false},
	    .kind = RPC_CALL,
	    .content_type = SLICE_LIT("application/grpc+proto")};
	struct rpc_status why;

	rpc_status_set(&why, reason, "why");
	codec_send_failure(e->codec, id, &call, &why, false);
}
