/* Far ends of TTHeader Streaming: frames by hand. Source of the numbers: gopkg protocol/ttheader,
 * kitex pkg/remote/trans/ttstream. */
#include <stdio.h>
#include <stdlib.h>

#include <check.h>

#include "support/stream_parts.h"

#define MAGIC      0x1000u
#define STREAMING  0x0002u
#define PROTOCOL   0x10u
#define FRAME_TYPE 27
#define TO_METHOD  9
#define INFO_STR   0x01
#define INFO_INT   0x10
#define FIXED      14u
#define EXCEPTION  0x80010003u
#define FIELD_TEXT 11
#define FIELD_I32  8

struct tts_wire {
	uint32_t next_id;
	char method[64]; /* of every stream, as a scenario needs no more */
};

static void tts_open(struct stream_end *end, const struct stream_setup *setup)
{
	struct tts_wire *wire = mem_calloc(1, sizeof *wire);

	(void)setup;
	wire->next_id = 1;
	end->wire = wire;
}

static void tts_close(struct stream_end *end)
{
	free(end->wire);
}

/* ---- writing ---- */

static void add_string(struct pile *p, struct slice text)
{
	pile_add_number(p, text.len, 2);
	pile_add(p, text);
}

static void add_int(struct pile *p, unsigned key, const char *value)
{
	pile_add_number(p, key, 2);
	add_string(p, slice_str(value));
}

static bool is_number(struct slice name)
{
	uint64_t number;

	return slice_to_u64(name, &number);
}

static unsigned add_keys(struct pile *p, const char *keys, bool ints)
{
	struct key_word word;
	unsigned n = 0;

	while (next_key(&keys, &word)) {
		uint64_t number = 0;

		if (is_number(word.name) != ints)
			continue;
		slice_to_u64(word.name, &number);
		if (ints)
			pile_add_number(p, number, 2);
		else
			add_string(p, word.name);
		add_string(p, word.value);
		n++;
	}
	return n;
}

static void add_sections(struct pile *p, const char *type, const char *method, const char *keys)
{
	struct pile ints = {0}, strs = {0};
	unsigned n_ints = 2 + add_keys(&ints, keys, true), n_strs = add_keys(&strs, keys, false);

	pile_add_number(p, PROTOCOL, 1);
	pile_add_number(p, 0, 1);
	pile_add_number(p, INFO_INT, 1);
	pile_add_number(p, n_ints, 2);
	add_int(p, FRAME_TYPE, type);
	add_int(p, TO_METHOD, method);
	pile_add(p, slice_of(ints.data, ints.len));
	if (n_strs) {
		pile_add_number(p, INFO_STR, 1);
		pile_add_number(p, n_strs, 2);
		pile_add(p, slice_of(strs.data, strs.len));
	}
	while (p->len % 4)
		pile_add_number(p, 0, 1);
	pile_fini(&ints);
	pile_fini(&strs);
}

static void put_frame(struct stream *s, const char *type, const char *keys, struct slice payload)
{
	const struct tts_wire *wire = s->end->wire;
	struct pile sections = {0}, *out = &s->end->out;

	add_sections(&sections, type, wire->method[0] ? wire->method : "Quote", keys);
	pile_add_number(out, 10 + sections.len + payload.len, 4);
	pile_add_number(out, MAGIC, 2);
	pile_add_number(out, STREAMING, 2);
	pile_add_number(out, s->id, 4);
	pile_add_number(out, sections.len / 4, 2);
	pile_add(out, slice_of(sections.data, sections.len));
	pile_add(out, payload);
	pile_fini(&sections);
}

static void put_exception(
    struct stream *s, const char *type, const char *keys, int32_t id, const char *text)
{
	struct pile p = {0};

	pile_add_number(&p, EXCEPTION, 4);
	pile_add_number(&p, 5, 4);
	pile_add(&p, SLICE_LIT("Quote"));
	pile_add_number(&p, s->id, 4);
	pile_add_number(&p, FIELD_TEXT, 1);
	pile_add_number(&p, 1, 2);
	pile_add_number(&p, strlen(text), 4);
	pile_add(&p, slice_str(text));
	pile_add_number(&p, FIELD_I32, 1);
	pile_add_number(&p, 2, 2);
	pile_add_number(&p, (uint32_t)id, 4);
	pile_add_number(&p, 0, 1);
	put_frame(s, type, keys, slice_of(p.data, p.len));
	pile_fini(&p);
}

static uint32_t tts_begin(struct stream_end *end, struct stream *s, const struct stream_words *w)
{
	struct tts_wire *wire = end->wire;
	char keys[1024];

	s->id = wire->next_id++;
	snprintf(wire->method, sizeof wire->method, "%s", w->method ? w->method : "Quote");
	snprintf(keys, sizeof keys, "isn=" STREAM_SERVICE " %s", w->keys ? w->keys : "");
	put_frame(s, "2", keys, SLICE_NONE);
	return s->id;
}

static void tts_finish(struct stream *s, const struct stream_words *w)
{
	if (w->status)
		put_exception(s, "4", w->keys, w->status, w->text ? w->text : "no");
	else
		put_frame(s, "4", w->keys, SLICE_NONE);
}

static void tts_head(struct stream *s, const struct stream_words *w, bool is_all)
{
	put_frame(s, "2", is_all ? NULL : w->keys, SLICE_NONE);
	if (is_all)
		tts_finish(s, w);
}

static void tts_message(struct stream *s, struct slice body)
{
	put_frame(s, "3", NULL, body);
}

static void tts_reset(struct stream *s, uint32_t code)
{
	put_exception(s, "5", "ttscp=tester", (int32_t)code, "given up");
}

static void tts_give(struct stream_end *end)
{
	(void)end; /* everything is written at once */
}

void stream_say_frame(struct stream *s, const char *type, const struct stream_words *w)
{
	put_frame(s, type, w->keys, slice_str(w->message));
	stream_settle();
}

/* ---- reading ---- */

struct in {
	struct slice left;
	bool is_short;
};

static struct slice get_bytes(struct in *in, size_t len)
{
	struct slice s = slice_first(in->left, len);

	in->is_short |= s.len < len;
	in->left = slice_from(in->left, len);
	return s;
}

static uint64_t get(struct in *in, size_t bytes)
{
	struct slice s = get_bytes(in, bytes);
	uint64_t value = 0;

	for (size_t i = 0; i < s.len; i++)
		value = value << 8 | s.data[i];
	return value;
}

static void note_key(struct pile *keys, struct slice name, struct slice value)
{
	pile_add(keys, name);
	pile_add(keys, SLICE_LIT("="));
	pile_add(keys, value);
	pile_add(keys, SLICE_LIT(" "));
}

static void get_section(struct in *in, bool ints, struct pile *keys, char type[16])
{
	for (uint64_t n = get(in, 2); n > 0 && !in->is_short; n--) {
		uint64_t key = ints ? get(in, 2) : 0;
		struct slice name = ints ? SLICE_NONE : get_bytes(in, get(in, 2));
		struct slice value = get_bytes(in, get(in, 2));
		char number[16];

		snprintf(number, sizeof number, "%u", (unsigned)key);
		note_key(keys, ints ? slice_str(number) : name, value);
		if (ints && key == FRAME_TYPE)
			snprintf(type, 16, "%.*s", (int)value.len, (const char *)value.data);
	}
}

static void get_sections(struct slice bytes, struct pile *keys, char type[16])
{
	struct in in = {.left = bytes};

	ck_assert_uint_eq(get(&in, 1), PROTOCOL);
	get(&in, 1);
	while (in.left.len) {
		uint64_t kind = get(&in, 1);

		ck_assert_msg(kind == 0 || kind == INFO_STR || kind == INFO_INT, "section %u",
		    (unsigned)kind);
		if (kind)
			get_section(&in, kind == INFO_INT, keys, type);
	}
	ck_assert_msg(!in.is_short, "a header whose entries pass its end");
}

static void get_exception(struct slice payload, struct stream *s, struct stream_event *e)
{
	struct in in = {.left = payload};
	uint64_t type, id;

	ck_assert_uint_eq(get(&in, 4), EXCEPTION);
	get_bytes(&in, get(&in, 4));
	id = get(&in, 4);
	while ((type = get(&in, 1)) != 0 && !in.is_short) {
		get(&in, 2);
		if (type == FIELD_TEXT) {
			struct slice text = get_bytes(&in, get(&in, 4));

			free((void *)(uintptr_t)e->text.data);
			e->text = slice_of(slice_dup(text), text.len);
		} else {
			e->status = (int64_t)(int32_t)get(&in, 4);
		}
	}
	ck_assert_msg(
	    !in.is_short && in.left.len == 0, "an exception that does not fill its frame");
	/* One that was passed on is as it was. */
	ck_assert_msg(id == s->id || !slice_starts(e->text, SLICE_LIT("bridled: ")),
	    "stream %u: an exception of the proxy that names stream %u", s->id, (unsigned)id);
}

static void on_frame(struct stream *s, char type, struct slice keys, struct slice payload)
{
	static const enum stream_event_kind kinds[] = {
	    ['2'] = STREAM_HEAD, ['3'] = STREAM_MESSAGE, ['4'] = STREAM_END, ['5'] = STREAM_RESET};
	bool is_known = type >= '2' && type <= '5';
	struct stream_event *e = stream_heard(s, is_known ? kinds[(int)type] : STREAM_FRAME, keys,
	    type == '3' ? payload : SLICE_NONE);

	ck_assert_msg(type != '2' || !s->has_head, "a second header frame");
	ck_assert_msg(s->has_head || type != '3', "data before the header frame");
	ck_assert_msg(type != '2' || payload.len == 0, "a header frame with a payload");
	s->has_head |= type == '2';
	s->heard += type == '3' ? payload.len : 0;
	if ((type == '4' || type == '5') && payload.len)
		get_exception(payload, s, e);
	if (!is_known) {
		free((void *)(uintptr_t)e->text.data);
		e->text = slice_of(slice_dup(payload), payload.len);
	}
	e->code = (uint32_t)e->status;
}

static struct stream *stream_of(struct stream_end *end, uint32_t id, char type)
{
	struct stream *s = stream_find(end, id);

	if (s == NULL && !end->is_caller && type == '2') {
		s = stream_add(end, id);
		s->is_theirs = s->is_new = true;
	}
	return s;
}

static size_t tts_take(struct stream_end *end, struct slice bytes)
{
	size_t used = 0;

	while (bytes.len - used >= FIXED) {
		struct in in = {.left = slice_from(bytes, used)};
		size_t len = (size_t)get(&in, 4), words;
		struct pile keys = {0};
		struct slice sections;
		struct stream *s;
		char type[16] = "";
		uint32_t id;

		if (bytes.len - used < len + 4)
			break;
		ck_assert_uint_eq(get(&in, 2), MAGIC);
		ck_assert_uint_eq(get(&in, 2) & STREAMING, STREAMING);
		id = (uint32_t)get(&in, 4);
		words = (size_t)get(&in, 2);
		sections = get_bytes(&in, words * 4);
		get_sections(sections, &keys, type);
		s = stream_of(end, id, type[0]);
		ck_assert_msg(s, "a frame of type %s for a stream that is not there", type);
		on_frame(s, type[0], slice_of(keys.data, keys.len),
		    get_bytes(&in, len - 10 - words * 4));
		pile_fini(&keys);
		used += len + 4;
	}
	return used;
}

const struct stream_kind stream_tts = {
    .open = tts_open,
    .close = tts_close,
    .take = tts_take,
    .give = tts_give,
    .say_call = tts_begin,
    .say_head = tts_head,
    .say_message = tts_message,
    .say_end = tts_finish,
    .say_reset = tts_reset,
};
