#include "rpc/trace_context.h"

#include "rpc/head.h"
#include "rpc/metadata.h"
#include "rpc/message.h"
#include "rpc/trace_name.h"

#define W3C_SAMPLED 1u /* of its flags */

/* ---- digits ---- */

/* The standards know lower case alone. */
static int digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_hex(uint8_t *to, struct slice text)
{
	for (size_t i = 0; i < text.len; i += 2) {
		int high = digit(text.data[i]), low = digit(text.data[i + 1]);

		if (high < 0 || low < 0)
			return false;
		to[i / 2] = (uint8_t)(high << 4 | low);
	}
	return true;
}

void trace_write_hex(char *room, const uint8_t *bytes, size_t n)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		room[2 * i] = digits[bytes[i] >> 4];
		room[2 * i + 1] = digits[bytes[i] & 15];
	}
}

static bool is_zero(const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (bytes[i])
			return false;
	return true;
}

/* 16 digits are the lower half of an id. */
static bool read_trace_id(uint8_t id[16], struct slice text)
{
	memset(id, 0, 16);
	if (text.len != 32 && text.len != 16)
		return false;
	return read_hex(id + 16 - text.len / 2, text) && !is_zero(id, 16);
}

static bool read_span_id(uint8_t id[8], struct slice text)
{
	return text.len == 16 && read_hex(id, text) && !is_zero(id, 8);
}

/* ---- W3C ---- */

/* version "-" trace id "-" parent id "-" flags; a later version may go on behind another "-". */
bool trace_context_read_w3c(struct trace_context *c, struct slice text)
{
	uint8_t version, flags;

	if (text.len < TRACE_W3C_TEXT || text.data[2] != '-' || text.data[35] != '-' ||
	    text.data[52] != '-')
		return false;
	if (!read_hex(&version, slice_first(text, 2)) || version == 0xff)
		return false;
	if (text.len > TRACE_W3C_TEXT && (version == 0 || text.data[TRACE_W3C_TEXT] != '-'))
		return false;
	if (!read_trace_id(c->trace_id, slice_sub(text, 3, 32)) ||
	    !read_span_id(c->span_id, slice_sub(text, 36, 16)) ||
	    !read_hex(&flags, slice_sub(text, 53, 2)))
		return false;
	c->has_ids = true;
	c->decision = flags & W3C_SAMPLED ? TRACE_SAMPLED : TRACE_LEFT_OUT;
	return true;
}

size_t trace_context_write_w3c(const struct trace_context *c, char room[TRACE_W3C_TEXT])
{
	memcpy(room, "00-", 3);
	trace_write_hex(room + 3, c->trace_id, 16);
	room[35] = '-';
	trace_write_hex(room + 36, c->span_id, 8);
	memcpy(room + 52, c->decision == TRACE_SAMPLED ? "-01" : "-00", 3);
	return TRACE_W3C_TEXT;
}

/* ---- B3 ---- */

/* "1", "0", and "d" for one that everybody is to record. */
static bool read_state(enum trace_decision *decision, struct slice text)
{
	if (text.len != 1)
		return false;
	*decision = text.data[0] == '0' ? TRACE_LEFT_OUT : TRACE_SAMPLED;
	return text.data[0] == '0' || text.data[0] == '1' || text.data[0] == 'd';
}

/* What stands before the next "-", which is taken off with it. */
static struct slice next_part(struct slice *text)
{
	struct slice part = *text;

	for (part.len = 0; part.len < text->len && text->data[part.len] != '-';)
		part.len++;
	*text = slice_from(*text, part.len + (part.len < text->len));
	return part;
}

/* trace id "-" span id ["-" state ["-" parent]], or a state alone. */
bool trace_context_read_b3(struct trace_context *c, struct slice text)
{
	struct slice first, span, state, parent;
	uint8_t parent_id[8];

	c->has_ids = false;
	c->decision = TRACE_UNDECIDED;
	if (text.len <= 1)
		return read_state(&c->decision, text);
	if (text.data[text.len - 1] == '-')
		return false;
	first = next_part(&text);
	span = next_part(&text);
	state = next_part(&text);
	parent = next_part(&text);
	if (!read_trace_id(c->trace_id, first) || !read_span_id(c->span_id, span) || text.len)
		return false;
	if (state.len && !read_state(&c->decision, state))
		return false;
	c->has_ids = true;
	return parent.len == 0 || (state.len && read_span_id(parent_id, parent));
}

/* An id of 64 bits stays one: not everybody reads longer ones. */
size_t trace_context_write_b3(const struct trace_context *c, char room[TRACE_B3_TEXT])
{
	size_t skipped = is_zero(c->trace_id, 8) ? 8 : 0, at = 2 * (16 - skipped);

	trace_write_hex(room, c->trace_id + skipped, 16 - skipped);
	room[at++] = '-';
	trace_write_hex(room + at, c->span_id, 8);
	at += 16;
	if (c->decision == TRACE_UNDECIDED)
		return at;
	room[at++] = '-';
	room[at++] = c->decision == TRACE_SAMPLED ? '1' : '0';
	return at;
}

/* What the names of B3's several fields say together. Source: github.com/openzipkin/b3-propagation,
 * "Multiple Headers"; "true" and "false" are from before it was written down. */
static bool read_multi(struct trace_context *c, const struct slice values[TRACE_NAMES])
{
	struct slice sampled = values[TRACE_NAME_B3_SAMPLED];

	c->decision = TRACE_UNDECIDED;
	if (slice_eq(values[TRACE_NAME_B3_FLAGS], SLICE_LIT("1")) ||
	    slice_eq(sampled, SLICE_LIT("1")) || slice_eq(sampled, SLICE_LIT("true")))
		c->decision = TRACE_SAMPLED;
	else if (slice_eq(sampled, SLICE_LIT("0")) || slice_eq(sampled, SLICE_LIT("false")))
		c->decision = TRACE_LEFT_OUT;
	c->has_ids = read_trace_id(c->trace_id, values[TRACE_NAME_B3_TRACE_ID]) &&
		     read_span_id(c->span_id, values[TRACE_NAME_B3_SPAN_ID]);
	return c->has_ids ||
	       (c->decision != TRACE_UNDECIDED && values[TRACE_NAME_B3_TRACE_ID].len == 0);
}

/* ---- of a call ---- */

struct slice trace_id_in(enum trace_name name, struct slice value)
{
	struct trace_context c;

	if (name == TRACE_NAME_PARENT && trace_context_read_w3c(&c, value))
		return slice_sub(value, 3, TRACE_ID_TEXT);
	if (name == TRACE_NAME_B3 && trace_context_read_b3(&c, value) && c.has_ids)
		return next_part(&value);
	if (name == TRACE_NAME_B3_TRACE_ID && read_trace_id(c.trace_id, value))
		return value;
	return SLICE_NONE;
}

/* Whatever a call states, plain and as transient metadata. */
struct found {
	struct slice plain[TRACE_NAMES], transient[TRACE_NAMES];
};

static void find_in_fields(struct found *f, const struct rpc_message *m)
{
	for (unsigned i = 0; i < m->n_fields; i++) {
		bool is_transient;
		enum trace_name name = trace_name_of_field(m->fields[i].name, &is_transient);
		struct slice *at;

		if (name == TRACE_NAMES)
			continue;
		at = is_transient ? &f->transient[name] : &f->plain[name];
		if (at->data == NULL) /* of a repeated field the first counts, as in Kitex */
			*at = m->fields[i].value;
	}
}

static void find_in_entries(struct found *f, const struct rpc_message *m)
{
	struct ttheader_iter it = head_entries(m);
	struct ttheader_entry e;

	while (ttheader_next(&it, &e)) {
		bool is_transient;
		enum trace_name name =
		    e.kind == TTHEADER_STR ? trace_name_of_key(e.key, &is_transient) : TRACE_NAMES;

		if (name == TRACE_NAMES)
			continue;
		if (is_transient)
			f->transient[name] = e.value;
		else
			f->plain[name] = e.value;
	}
}

static bool has_multi(const struct slice values[TRACE_NAMES])
{
	return values[TRACE_NAME_B3_TRACE_ID].data || values[TRACE_NAME_B3_SAMPLED].data ||
	       values[TRACE_NAME_B3_FLAGS].data;
}

/* The bits of plain names; those of transient ones follow each. */
static unsigned spellings_of(const struct slice values[TRACE_NAMES])
{
	return (values[TRACE_NAME_PARENT].data ? TRACE_PARENT : 0u) |
	       (values[TRACE_NAME_B3].data ? TRACE_B3_SINGLE : 0u) |
	       (has_multi(values) ? TRACE_B3_MULTI : 0u);
}

static bool read_either(struct trace_context *c, struct slice a, struct slice b,
    bool (*read)(struct trace_context *c, struct slice text))
{
	return (a.data && read(c, a)) || (b.data && read(c, b));
}

bool trace_context_find(struct trace_context *c, const struct rpc_message *m, unsigned *spellings)
{
	struct found f = {.plain = {SLICE_NONE}};
	bool is_http = m->form.transport == RPC_HTTP2;
	/* What is next to the wire's own custom is the news. */
	const struct slice *first = is_http ? f.plain : f.transient;
	const struct slice *second = is_http ? f.transient : f.plain;

	*spellings = 0;
	if (m->form.transport == RPC_PLAIN && !(m->marks & RPC_IS_LIFTED))
		return false;
	if (is_http)
		find_in_fields(&f, m);
	else
		find_in_entries(&f, m);
	*spellings = spellings_of(f.plain) | spellings_of(f.transient) << 1;
	if (*spellings == 0)
		return false;
	if (read_either(
		c, first[TRACE_NAME_PARENT], second[TRACE_NAME_PARENT], trace_context_read_w3c))
		return true;
	if (read_either(c, first[TRACE_NAME_B3], second[TRACE_NAME_B3], trace_context_read_b3))
		return true;
	return (has_multi(first) && read_multi(c, first)) ||
	       (has_multi(second) && read_multi(c, second));
}
