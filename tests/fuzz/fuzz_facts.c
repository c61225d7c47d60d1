/*
 * Facts of any message: the first bytes choose its form, a name and a path of ids, the rest is a
 * message (or, for HTTP/2, fields with their lengths and a body). What is found is what a plain
 * reader finds that knows nothing of prefixes and lengths kept, and lies in the message.
 */
#include <string.h>

#include "fuzz.h"
#include "rpc/facts.h"
#include "rpc/metadata.h"
#include "support/reading.h"
#include "support/tts_end.h"

#define FIELDS_MAX 64u
#define PATH_MAX   8u
#define NAMES      "RetryReq\0k\0env\0gdpr-token\0isn\0RPC_PERSIST_PK\0RPC_TRANSIT_gdpr-token\0"

enum { CHOICES = 2 + PATH_MAX };

static bool lies_in(struct slice whole, struct slice part)
{
	return part.data >= whole.data && part.data + part.len <= whole.data + whole.len;
}

/* One of a few names that count, or one of the input. */
static struct slice choose_name(uint8_t choice, struct slice in)
{
	const char *name = NAMES;

	for (unsigned i = choice % 16; i && *name; i--)
		name += strlen(name) + 1;
	return *name ? slice_str(name) : slice_first(slice_from(in, choice), choice % 8);
}

static uint8_t folded(uint8_t c)
{
	return c == '_' ? '-' : c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

static bool has_name(struct slice key, const char *prefix, struct slice name)
{
	size_t len = strlen(prefix);

	if (key.len != len + name.len || memcmp(key.data, prefix, len) != 0)
		return false;
	for (size_t i = 0; i < name.len; i++)
		if (folded(key.data[len + i]) != folded(name.data[i]))
			return false;
	return true;
}

/* Is @value the last that a key with this name has? Then the message says so. */
static void check_entries(const struct rpc_message *m, struct slice name)
{
	bool is_mesh = m->form.transport == RPC_MESH;
	struct ttheader_iter it =
	    is_mesh ? ttheader_entries_mesh(m->sections) : ttheader_entries(m->sections);
	struct slice persistent = SLICE_NONE, header = SLICE_NONE, value;
	struct ttheader_entry e;
	bool is_header = false;

	while (ttheader_next(&it, &e)) {
		if (e.kind == TTHEADER_ACL && slice_eq_str(name, METADATA_TOKEN_KEY)) {
			header = e.value;
			is_header = true;
		}
		if (e.kind != TTHEADER_STR)
			continue;
		if (has_name(e.key, "RPC_PERSIST_", name))
			persistent = e.value;
		if (slice_eq(e.key, name)) {
			header = e.value;
			is_header = true;
		}
	}
	if (persistent.len)
		must(rpc_find_meta(m, name, &value) && value.data == persistent.data);
	must(rpc_find_header(m, name, &value) == is_header);
	must(!is_header || value.data == header.data);
}

/* Asked more than once it says what it says when it is asked once. */
static void check_again(const struct rpc_message *m, struct slice name, uint16_t number)
{
	struct slice once = SLICE_NONE, again = SLICE_NONE;
	struct rpc_facts facts;

	rpc_facts_init(&facts, m);
	for (int i = 0; i < 2; i++) {
		must(rpc_facts_meta(&facts, name, &again) == rpc_find_meta(m, name, &once));
		must(slice_eq(again, once));
		must(rpc_facts_header(&facts, name, &again) == rpc_find_header(m, name, &once));
		must(slice_eq(again, once));
		must(rpc_facts_int(&facts, number, &again) == rpc_find_int(m, number, &once));
		must(slice_eq(again, once));
	}
}

static void check_names(const struct rpc_message *m, struct slice name, uint16_t number)
{
	struct slice value;

	if (rpc_find_meta(m, name, &value))
		must(value.len && lies_in(m->head, value));
	if (rpc_find_header(m, name, &value))
		must(lies_in(m->head, value));
	if (rpc_find_int(m, number, &value))
		must(lies_in(m->head, value));
	if (rpc_is_marked_retry(m))
		must(rpc_find_meta(m, SLICE_LIT("retryreq"), &value));
	check_again(m, name, number);
	if (m->form.transport == RPC_PLAIN)
		must(!rpc_find_meta(m, name, &value) && !rpc_find_header(m, name, &value));
	else if (m->form.transport != RPC_HTTP2)
		check_entries(m, name);
}

static bool is_decimal(struct slice s)
{
	uint64_t n;

	return slice_to_u64(slice_from(s, s.data[0] == '-'), &n);
}

/* In every piece of the body from its start, too: nothing is found past its end. */
static void check_field(const struct rpc_message *m, const uint8_t *ids)
{
	struct rpc_message cut = *m;
	int16_t path[PATH_MAX];
	struct slice value;
	char room[24];

	for (unsigned i = 0; i < PATH_MAX; i++)
		path[i] = (int16_t)((int8_t)ids[i] >> 3);
	for (unsigned depth = 0; depth <= PATH_MAX; depth++) {
		size_t len = m->body.len * (depth + 1) / (PATH_MAX + 1);
		uint8_t *exact = malloc(len ? len : 1);

		must(exact != NULL);
		if (len)
			memcpy(exact, m->body.data, len);
		cut.body = slice_of(exact, len);
		if (rpc_find_field(&cut, path, depth, room, &value))
			must(lies_in(cut.body, value) ||
			     (lies_in(slice_of(room, sizeof room), value) && is_decimal(value)));
		if (rpc_find_field(m, path, depth, room, &value))
			must(depth > 0 && m->form.payload == RPC_THRIFT);
		free(exact);
	}
}

static void check(const struct rpc_message *m, const uint8_t *choices)
{
	struct slice name = choose_name(choices[1], m->head);

	check_names(m, name, choices[1]);
	check_field(m, choices + 2);
}

static void check_unary(struct slice in, const uint8_t *choices)
{
	struct codec *codec =
	    codec_open(CODEC_DOWNSTREAM, CODEC_UNARY, &reading_limits, NULL, NULL);
	struct codec_item item;

	if (codec_next(codec, &in, &item) == CODEC_MESSAGE)
		check(&item.message, choices);
	codec_close(&codec);
}

static void check_stream(struct slice in, const uint8_t *choices)
{
	struct tts_end end;

	tts_end_open_as(&end, CODEC_DOWNSTREAM, CODEC_TTSTREAM, &reading_limits);
	tts_end_feed(&end, in);
	for (size_t i = 0; i < end.n; i++)
		if (end.list[i].event == CODEC_MESSAGE)
			check(&end.list[i].message, choices);
	tts_end_close(&end);
}

/* Fields up to an empty name, then the body. */
static void check_block(struct slice in, const uint8_t *choices)
{
	struct rpc_field fields[FIELDS_MAX];
	struct rpc_message m = {
	    .form = {RPC_HTTP2, RPC_THRIFT, false}, .kind = RPC_CALL, .head = in, .fields = fields};
	struct cursor c = cursor_of(in);

	while (m.n_fields < FIELDS_MAX) {
		struct slice name = cursor_take(&c, cursor_u8(&c));
		struct slice value = name.len ? cursor_take(&c, cursor_u8(&c)) : SLICE_NONE;

		if (c.bad || name.len == 0)
			break;
		fields[m.n_fields++] = (struct rpc_field){.name = name, .value = value};
	}
	m.body = slice_of(c.at, c.bad ? 0 : cursor_left(&c));
	check(&m, choices);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in;

	if (size < CHOICES)
		return 0;
	in = slice_of(data + CHOICES, size - CHOICES);
	if (data[0] % 3 == 0)
		check_unary(in, data);
	else if (data[0] % 3 == 1)
		check_block(in, data);
	else
		check_stream(in, data);
	return 0;
}
