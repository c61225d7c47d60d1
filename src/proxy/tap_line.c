#include "proxy/tap_line.h"

#include <stdlib.h>

#include "base/base64.h"
#include "base/mem.h"
#include "base/secret.h"
#include "net/loop.h"
#include "policy/fact.h"
#include "proxy/access_line.h"
#include "proxy/call.h"
#include "proxy/line.h"
#include "proxy/tap.h"
#include "rpc/entries.h"

#define LINE_SIZE    65536u
#define ENTRIES_MAX  128u /* of one message */
#define ENDING_MAX   256u /* what begins and ends messages and groups, and says what was left out */
#define BODIES_MAX   (2 * (BASE64_LEN(TAP_BODY_MAX) + 64u) + 32u)
#define METADATA_MAX (LINE_SIZE - ACCESS_LINE_MAX - BODIES_MAX - 32u)

static const char *const groups[RPC_ENTRY_GROUPS] = {
    [RPC_ENTRY_INT] = "ints",
    [RPC_ENTRY_PERSISTENT] = "persistent",
    [RPC_ENTRY_TRANSIENT] = "transient",
    [RPC_ENTRY_BACKWARD] = "backward",
    [RPC_ENTRY_STR] = "strs",
    [RPC_ENTRY_HEADER] = "headers",
};

/* The entries of one message on their way into a line. */
struct entries {
	const struct tap *tap;
	struct rpc_entry list[ENTRIES_MAX];
	bool is_written[ENTRIES_MAX];
	size_t n, left_out;
};

static bool is_same(const struct rpc_entry *a, const struct rpc_entry *b)
{
	return a->group == b->group && a->number == b->number && slice_eq(a->name, b->name);
}

static void put_value(struct line *l, const struct entries *e, const struct rpc_entry *entry)
{
	bool is_hidden =
	    !e->tap->shows_secrets &&
	    (entry->is_secret || (entry->group != RPC_ENTRY_INT && secret_is_named(entry->name)));

	line_put_str(l, "\"");
	line_put_json(l, is_hidden ? slice_str(SECRET_SHOWN) : entry->value);
	line_put_str(l, "\"");
}

static void put_name(struct line *l, const struct rpc_entry *entry)
{
	const char *name = entry->group == RPC_ENTRY_INT ? fact_int_name(entry->number) : NULL;

	line_put_str(l, "\"");
	if (name)
		line_put_str(l, name);
	else if (entry->group == RPC_ENTRY_INT)
		line_put_number(l, entry->number);
	else
		line_put_json(l, entry->name);
	line_put_str(l, "\":");
}

/* All values of a name that stands more than once, in their order. False: no room for all, and for
 * what has to come behind them in any case. */
static bool put_entry(struct line *l, struct entries *e, size_t first)
{
	size_t copies = 0, room = LINE_STRING_MAX + ENDING_MAX;

	for (size_t i = first; i < e->n; i++)
		if (is_same(&e->list[i], &e->list[first])) {
			e->is_written[i] = true;
			room += LINE_STRING_MAX + 4;
			copies++;
		}
	if (line_room(l) < room) {
		e->left_out += copies;
		return false;
	}
	put_name(l, &e->list[first]);
	line_put_str(l, copies > 1 ? "[" : "");
	for (size_t i = first, n = 0; n < copies; i++) {
		if (!is_same(&e->list[i], &e->list[first]))
			continue;
		line_put_str(l, n++ ? "," : "");
		put_value(l, e, &e->list[i]);
	}
	line_put_str(l, copies > 1 ? "]" : "");
	return true;
}

static void put_group(struct line *l, struct entries *e, enum rpc_entry_group group)
{
	bool is_open = false;

	for (size_t i = 0; i < e->n; i++) {
		char *before = l->at;

		if (e->list[i].group != group || e->is_written[i])
			continue;
		if (!is_open) {
			line_put_str(l, l->at[-1] == '{' ? "\"" : ",\"");
			line_put_str(l, groups[group]);
			line_put_str(l, "\":{");
		} else {
			line_put_str(l, ",");
		}
		if (put_entry(l, e, i))
			is_open = true;
		else
			l->at = before;
	}
	line_put_str(l, is_open ? "}" : "");
}

/* "name":{"ints":{...},...}, nothing when the message has none. */
static void put_message(
    struct line *l, const struct tap *tap, const char *name, const struct rpc_message *m)
{
	struct entries e = {.tap = tap};
	size_t all = rpc_entries(m, e.list, ENTRIES_MAX);

	if (all == 0)
		return;
	e.n = all < ENTRIES_MAX ? all : ENTRIES_MAX;
	e.left_out = all - e.n;
	line_put_str(l, l->at[-1] == '{' ? "\"" : ",\"");
	line_put_str(l, name);
	line_put_str(l, "\":{");
	for (int g = 0; g < RPC_ENTRY_GROUPS; g++)
		put_group(l, &e, (enum rpc_entry_group)g);
	if (e.left_out) {
		line_put_str(l, l->at[-1] == '{' ? "\"left_out\":" : ",\"left_out\":");
		line_put_number(l, e.left_out);
	}
	line_put_str(l, "}");
}

static void put_metadata(struct line *l, const struct tap *tap, const struct call *call)
{
	const struct tapped *kept = call->tapped;
	char *end = l->end;

	l->end = l->at + METADATA_MAX;
	line_put_str(l, ",\"metadata\":{");
	put_message(l, tap, "call", &call->request);
	if (call->reply_is_at_hand)
		put_message(l, tap, "reply", &call->reply);
	else if (kept && kept->has_reply)
		put_message(l, tap, "reply", &kept->reply);
	if (kept && kept->has_trailers)
		put_message(l, tap, "trailers", &kept->trailers);
	l->end = end;
	line_put_str(l, "}");
}

static void put_body(
    struct line *l, const struct tap *tap, const char *name, struct slice body, uint64_t total)
{
	struct slice shown = slice_first(body, tap->body);

	line_put_str(l, ",\"");
	line_put_str(l, name);
	line_put_str(l, "_bytes\":");
	line_put_number(l, total);
	line_put_str(l, ",\"");
	line_put_str(l, name);
	line_put_str(l, "\":\"");
	base64_write(shown, l->at);
	l->at += BASE64_LEN(shown.len);
	line_put_str(l, "\"");
}

static const char *payload_name(const struct call *call)
{
	switch (call->request.form.payload) {
	case RPC_THRIFT:
		return "thrift";
	case RPC_KITEXPB:
		return "protobuf";
	case RPC_OPAQUE:
		break;
	}
	return "opaque";
}

static void put_bodies(struct line *l, const struct tap *tap, const struct call *call)
{
	const struct tap_body *in = &call->tapped->in, *out = &call->tapped->out;

	line_put_str(l, ",\"payload\":\"");
	line_put_str(l, payload_name(call));
	line_put_str(l, "\"");
	put_body(l, tap, "request_body", slice_of(in->bytes, in->len), in->total);
	if (call->reply_is_at_hand)
		put_body(l, tap, "reply_body", call->reply.body, call->reply.body.len);
	else
		put_body(l, tap, "reply_body", slice_of(out->bytes, out->len), out->total);
}

struct tap_line *tap_line_of(struct tap *tap, struct call *call, usec_t now)
{
	const struct access_moment moment = {
	    .now = now, .calendar = loop_calendar(call->worker->loop)};
	struct tap_line *line = mem_alloc(sizeof *line + LINE_SIZE);
	struct line l = {line->text, line->text + LINE_SIZE};

	l.at += access_line_json(call, &moment, l.at) - 1; /* without the brace that ends it */
	if (call->is_tied)
		line_put_str(&l, ",\"correlated\":true");
	put_metadata(&l, tap, call);
	if (tap->body && call->tapped)
		put_bodies(&l, tap, call);
	line_put_str(&l, "}\n");
	line->len = (size_t)(l.at - line->text);
	line->tap = tap_ref(tap);
	return mem_realloc(line, sizeof *line + line->len);
}
