#include "proxy/call_told.h"

#include <inttypes.h>

#include "base/base64.h"
#include "base/table.h"
#include "base/utf8.h"
#include "net/loop.h"
#include "proxy/call.h"
#include "proxy/world.h"
#include "rpc/entries.h"
#include "rpc/header_seen.h"

int32_t call_told_seq(const struct attempt *a)
{
	if (a->stream)
		return (int32_t)a->stream;
	return a->id ? a->id : a->call->request.seq;
}

/* What it is made of lies in @arena: in the call's own it would stay for as long as a stream runs,
 * each time that somebody asks. */
static void make_edit(struct attempt *a, struct arena *arena, struct rpc_edit *edit)
{
	struct call *call = a->call;
	struct arena own = call->arena;

	call->arena = *arena;
	call_request_edit(call, a, edit);
	*arena = call->arena;
	call->arena = own;
}

/* As it was sent, with what the rules of its route and the trace changed. */
static void see(struct attempt *a, struct arena *arena, struct rpc_message *seen)
{
	struct call *call = a->call;
	struct rpc_edit edit = {.form = rpc_seen_form(&call->request)};

	make_edit(a, arena, &edit);
	if (rpc_see_header(&call->request, &edit, arena, seen))
		return;
	*seen = call->request;
	seen->body = SLICE_NONE;
	rpc_message_keep_head(seen, arena);
}

void call_told_of(struct attempt *a, struct arena *arena, struct call_told *told)
{
	struct call *call = a->call;
	usec_t now = loop_now(call->worker->loop), rest = deadline_rest(&call->deadline, now);

	see(a, arena, &told->seen);
	told->service = arena_copy(arena, slice_str(call->service->service->config->name));
	told->source = arena_copy(arena, slice_str(call->source));
	told->seq = call_told_seq(a);
	told->deadline = rest == USEC_NONE ? USEC_NONE : now + rest;
}

/* ---- JSON ---- */

static bool is_plain(uint8_t c)
{
	return c >= 0x20 && c != '"' && c != '\\' && c != 0x7f;
}

static void put_escaped(struct text *t, uint8_t c)
{
	if (c == '"' || c == '\\')
		text_printf(t, "\\%c", c);
	else
		text_printf(t, "\\u%04x", c);
}

static void put_chars(struct text *t, struct slice s)
{
	while (s.len) {
		size_t n = 0;

		while (n < s.len && is_plain(s.data[n]))
			n++;
		text_add(t, slice_first(s, n));
		if (n < s.len)
			put_escaped(t, s.data[n++]);
		s = slice_from(s, n);
	}
}

static void put_base64(struct text *t, struct slice s)
{
	base64_write(s, text_room(t, BASE64_LEN(s.len)));
	t->len += BASE64_LEN(s.len);
}

/* A string; bytes that are none are {"base64": "..."}. */
static void put_value(struct text *t, struct slice s)
{
	bool is_text = utf8_is_text(s);

	text_add_str(t, is_text ? "\"" : "{\"base64\":\"");
	if (is_text)
		put_chars(t, s);
	else
		put_base64(t, s);
	text_add_str(t, is_text ? "\"" : "\"}");
}

static void put_key(struct text *t, struct slice s)
{
	text_add_str(t, "\"");
	if (utf8_is_text(s)) {
		put_chars(t, s);
	} else {
		text_add_str(t, "base64:");
		put_base64(t, s);
	}
	text_add_str(t, "\":");
}

static void put_fact(struct text *t, const char *name, struct slice value)
{
	text_printf(t, ",\"%s\":", name);
	put_value(t, value);
}

/* ---- entries ---- */

struct entries {
	struct rpc_entry *list; /* in the arena */
	size_t n;
	struct table last; /* by group and name: the one that counts */
	struct arena arena;
	bool with_secrets;
};

/* The object that a group is told in; those without one are not. */
static const char *const groups[RPC_ENTRY_GROUPS] = {
    [RPC_ENTRY_INT] = "ints",
    [RPC_ENTRY_PERSISTENT] = "persistent",
    [RPC_ENTRY_TRANSIENT] = "transient",
    [RPC_ENTRY_STR] = "headers",
    [RPC_ENTRY_HEADER] = "headers",
};

static struct slice key_of(const struct rpc_entry *e, struct arena *arena)
{
	uint8_t *key = arena_alloc(arena, e->name.len + 3);

	key[0] = (uint8_t)e->group;
	key[1] = (uint8_t)(e->number >> 8);
	key[2] = (uint8_t)e->number;
	if (e->name.len)
		memcpy(key + 3, e->name.data, e->name.len);
	return slice_of(key, e->name.len + 3);
}

/* What is told as a fact of its own, or says how the message was wrapped. */
static bool is_fact(const struct rpc_entry *e)
{
	static const char *const names[] = {"isn", "rip", "crrst", "crc32c"};
	struct rpc_change number = {.kind = RPC_CHANGE_INT, .number = e->number};

	if (e->group == RPC_ENTRY_INT)
		return !rpc_change_is_possible(&number);
	if (e->group != RPC_ENTRY_STR)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (slice_eq_str(e->name, names[i]))
			return true;
	return slice_starts(e->name, SLICE_LIT("PV_")) || slice_starts(e->name, SLICE_LIT("biz-"));
}

/* The last value of a key counts, as for Kitex's readers; of HTTP/2 fields the first. */
static void collect(struct entries *e, const struct rpc_message *m)
{
	arena_init(&e->arena, NULL, 0);
	table_init(&e->last, 0);
	e->n = rpc_entries(m, NULL, 0);
	e->list = arena_alloc(&e->arena, e->n * sizeof *e->list + 1);
	rpc_entries(m, e->list, e->n);
	for (size_t i = 0; i < e->n; i++) {
		struct slice key = key_of(&e->list[i], &e->arena);

		if (m->form.transport != RPC_HTTP2 || table_get(&e->last, key) == NULL)
			table_put(&e->last, key, &e->list[i]);
	}
}

static bool is_told(struct entries *e, const struct rpc_entry *entry)
{
	if (groups[entry->group] == NULL || is_fact(entry) ||
	    (entry->is_secret && !e->with_secrets))
		return false;
	return table_get(&e->last, key_of(entry, &e->arena)) == entry;
}

static void put_group(struct text *t, struct entries *e, const char *group)
{
	bool is_first = true;

	text_printf(t, ",\"%s\":{", group);
	for (size_t i = 0; i < e->n; i++) {
		const struct rpc_entry *entry = &e->list[i];

		if (groups[entry->group] == NULL || strcmp(groups[entry->group], group) != 0 ||
		    !is_told(e, entry))
			continue;
		text_add_str(t, is_first ? "" : ",");
		is_first = false;
		if (entry->group == RPC_ENTRY_INT)
			text_printf(t, "\"int.%u\":", entry->number);
		else
			put_key(t, entry->name);
		put_value(t, entry->value);
	}
	text_add_str(t, "}");
}

static void put_entries(struct text *t, const struct rpc_message *m, bool with_secrets)
{
	struct entries e = {.with_secrets = with_secrets};

	collect(&e, m);
	put_group(t, &e, "persistent");
	put_group(t, &e, "transient");
	put_group(t, &e, "headers");
	put_group(t, &e, "ints");
	table_fini(&e.last);
	arena_fini(&e.arena);
}

static void put_times(struct text *t, usec_t deadline, const struct call_told_moment *moment)
{
	usec_t left = deadline > moment->now ? deadline - moment->now : 0;

	if (deadline == USEC_NONE)
		text_add_str(t, ",\"deadline_ms\":null,\"time_left_ms\":null");
	else
		text_printf(t, ",\"deadline_ms\":%" PRIu64 ",\"time_left_ms\":%" PRIu64,
		    (moment->calendar + deadline - moment->now) / USEC_MS, left / USEC_MS);
}

void call_told_write(const struct call_told *told, struct slice name,
    const struct call_told_moment *moment, bool with_secrets, struct text *page)
{
	const struct rpc_message *m = &told->seen;

	text_add_str(page, "{\"name\":");
	put_value(page, name);
	put_fact(page, "service", told->service);
	put_fact(page, "idl_service", m->idl_service);
	put_fact(page, "method", m->method);
	text_printf(page, ",\"seq\":%" PRId32, told->seq);
	put_fact(page, "caller", m->caller);
	put_fact(page, "caller_method", m->caller_method);
	put_fact(page, "log_id", m->log_id);
	put_fact(page, "trace_id", m->trace_id);
	put_fact(page, "source", told->source);
	put_times(page, told->deadline, moment);
	put_entries(page, m, with_secrets);
	text_add_str(page, "}\n");
}
