#include "support/stream_end.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "net/loop.h"
#include "support/sim.h"
#include "support/stream_parts.h"

#define PIECES_MAX 1000  /* of what is written at once */
#define ROUNDS_MAX 20000 /* more at one moment is a loop that never ends */

static struct list ends = {&ends, &ends};

/* ---- bytes ---- */

void pile_add(struct pile *p, struct slice bytes)
{
	if (p->size - p->len < bytes.len) {
		p->size = (p->len + bytes.len) * 2;
		p->data = mem_realloc(p->data, p->size);
	}
	if (bytes.len)
		memcpy(p->data + p->len, bytes.data, bytes.len);
	p->len += bytes.len;
}

void pile_add_number(struct pile *p, uint64_t value, int bytes)
{
	while (bytes-- > 0) {
		uint8_t byte = (uint8_t)(value >> (8 * bytes));

		pile_add(p, slice_of(&byte, 1));
	}
}

void pile_drop(struct pile *p, size_t len)
{
	p->len -= len;
	if (p->len)
		memmove(p->data, p->data + len, p->len);
}

void pile_fini(struct pile *p)
{
	free(p->data);
	*p = (struct pile){0};
}

bool next_key(const char **keys, struct key_word *word)
{
	const char *at = *keys ? *keys + strspn(*keys, " ") : "";
	size_t whole = strcspn(at, " "), name;

	if (whole == 0)
		return false;
	name = strcspn(at + 1, "=") + 1; /* a pseudo field begins with a colon, none with "=" */
	ck_assert_msg(name < whole, "no name=value: %.*s", (int)whole, at);
	word->name = slice_of(at, name);
	word->value = slice_of(at + name + 1, whole - name - 1);
	*keys = at + whole;
	return true;
}

/* ---- streams ---- */

static void free_event(struct queued_event *e)
{
	if (e == NULL)
		return;
	free(e->event.keys);
	free((void *)(uintptr_t)e->event.text.data);
	free(e);
}

static void free_stream(struct stream *s)
{
	struct list *link;

	while ((link = list_pop_front(&s->events)))
		free_event(list_item(link, struct queued_event, link));
	free_event(s->taken);
	pile_fini(&s->keys);
	pile_fini(&s->in);
	pile_fini(&s->out);
	pile_fini(&s->trailers);
	list_remove(&s->link);
	free(s);
}

struct stream *stream_add(struct stream_end *end, uint32_t id)
{
	struct stream *s = mem_calloc(1, sizeof *s);

	s->end = end;
	s->id = id;
	list_init(&s->events);
	list_push_back(&end->streams, &s->link);
	return s;
}

struct stream *stream_find(const struct stream_end *end, uint32_t id)
{
	list_each (link, &end->streams) {
		struct stream *s = list_item(link, struct stream, link);

		if (s->id == id)
			return s;
	}
	return NULL;
}

struct stream_event *stream_heard(
    struct stream *s, enum stream_event_kind kind, struct slice keys, struct slice text)
{
	struct queued_event *e = mem_calloc(1, sizeof *e);
	struct pile blank = {0};

	pile_add(&blank, SLICE_LIT(" "));
	pile_add(&blank, keys);
	e->event.kind = kind;
	e->event.keys = slice_dup(slice_of(blank.data, blank.len));
	e->event.text = slice_of(slice_dup(text), text.len);
	pile_fini(&blank);
	list_push_back(&s->events, &e->link);
	return &e->event;
}

const struct stream_event *stream_next_event(struct stream *s)
{
	static const struct stream_event nothing = {.kind = STREAM_NOTHING};
	struct list *link = list_pop_front(&s->events);

	free_event(s->taken);
	s->taken = link ? list_item(link, struct queued_event, link) : NULL;
	return s->taken ? &s->taken->event : &nothing;
}

struct stream *stream_next_call(struct stream_end *end)
{
	list_each (link, &end->streams) {
		struct stream *s = list_item(link, struct stream, link);

		if (s->is_new && s->has_head) {
			s->is_new = false;
			return s;
		}
	}
	return NULL;
}

/* ---- connections ---- */

static struct stream_end *wrap(struct fake_end *net, bool is_caller, enum stream_family family,
    const struct stream_setup *setup)
{
	struct stream_end *end = mem_calloc(1, sizeof *end);

	end->net = net;
	end->is_caller = is_caller;
	end->family = family;
	end->kind = family == GRPC ? &stream_h2 : &stream_tts;
	end->goaway_last = -1;
	end->is_gathering = setup->gathers;
	list_init(&end->streams);
	list_push_back(&ends, &end->link);
	end->kind->open(end, setup);
	stream_settle();
	return end;
}

struct stream_end *stream_dial(
    enum stream_family family, const char *listener, const struct stream_setup *setup)
{
	return wrap(dial_to(listener), true, family, setup);
}

struct stream_end *dial_streams_over_limit(enum stream_family family)
{
	return wrap(dial_over_limit(), true, family, &(struct stream_setup){0});
}

struct stream_end *stream_accepted(
    int line, enum stream_family family, const struct stream_setup *setup)
{
	return wrap(sim_accepted(line), false, family, setup);
}

struct stream_end *stream_wrap(struct fake_end *net, enum stream_family family)
{
	return wrap(net, false, family, &(struct stream_setup){0});
}

enum stream_family stream_guess(const struct fake_end *net)
{
	return slice_starts(fake_received(net), SLICE_LIT("PRI ")) ? GRPC : TTS;
}

void stream_end_forget(struct stream_end *end)
{
	while (!list_is_empty(&end->streams))
		free_stream(list_item(end->streams.next, struct stream, link));
	end->kind->close(end);
	pile_fini(&end->out);
	list_remove(&end->link);
	free(end);
}

static void forget_all(void)
{
	while (!list_is_empty(&ends))
		stream_end_forget(list_item(ends.next, struct stream_end, link));
}

struct fake_end *net_of(struct stream_end *end)
{
	return end->net;
}

static void send_out(struct stream_end *end)
{
	struct slice left = slice_of(end->out.data, end->out.len);
	size_t piece = end->piece ? end->piece : left.len;

	if (piece < left.len / PIECES_MAX)
		piece = left.len / PIECES_MAX;
	for (; left.len; left = slice_from(left, piece))
		fake_send(end->net, slice_first(left, piece));
	pile_fini(&end->out);
}

/* Reads what came and writes what can be written. False: there was nothing. */
static bool pull(struct stream_end *end)
{
	struct slice in = fake_received(end->net);
	size_t used = in.len ? end->kind->take(end, in) : 0;
	bool has_moved = used > 0;

	fake_consume(end->net, used);
	end->kind->give(end);
	if (end->out.len && !end->is_gathering) {
		send_out(end);
		has_moved = true;
	}
	return has_moved;
}

void stream_settle(void)
{
	bool has_moved = true;

	for (int rounds = 0; has_moved; rounds++) {
		ck_assert_int_lt(rounds, ROUNDS_MAX);
		fake_settle(sim_loop());
		has_moved = false;
		list_each (link, &ends)
			has_moved |= pull(list_item(link, struct stream_end, link));
	}
}

void gather(struct stream_end *end)
{
	end->is_gathering = true;
}

void let_go(struct stream_end *end)
{
	end->is_gathering = false;
	stream_settle();
}

void write_in_pieces(struct stream_end *end, size_t piece)
{
	end->piece = piece;
}

void let_pass(unsigned ms)
{
	usec_t until = sim_now() + ms * USEC_MS;

	stream_settle();
	while (sim_now() < until) {
		usec_t next = wheel_next(loop_wheel(sim_loop()));

		next = next < until ? next : until;
		fake_sleep(sim_loop(), next > sim_now() ? next - sim_now() : 1);
		stream_settle();
	}
}

/* ---- bodies ---- */

static struct pile body_of(const struct stream *s, bool is_said, const struct stream_words *w)
{
	bool is_reply = s->is_theirs == is_said;
	size_t len = w->message ? strlen(w->message) : 0, whole = len > w->fill ? len : w->fill;
	struct pile p = {0};

	if (w->body == AS_THRIFT) {
		pile_add_number(&p, 11, 1);
		pile_add_number(&p, is_reply ? 0 : 1, 2);
		pile_add_number(&p, whole, 4);
	} else if (w->body == AS_PB) {
		ck_assert_uint_lt(whole, 128);
		pile_add_number(&p, 0x0a00 | whole, 2);
	}
	pile_add(&p, slice_str(w->message));
	for (size_t i = len; i < whole; i++)
		pile_add_number(&p, 'a' + i % 23, 1);
	if (w->body == AS_THRIFT)
		pile_add_number(&p, 0, 1);
	return p;
}

static bool has_message(const struct stream_words *w)
{
	return w->message || w->fill;
}

/* ---- saying ---- */

static void put_messages(struct stream *s, const struct stream_words *w)
{
	unsigned times = w->times ? w->times : 1;
	struct pile body;

	if (!has_message(w))
		return;
	body = body_of(s, true, w);
	for (unsigned i = 0; i < times; i++)
		s->end->kind->say_message(s, slice_of(body.data, body.len));
	pile_fini(&body);
}

/* A key belongs to what its word is for, not to what is said along. */
static struct stream_words without_keys(const struct stream_words *w)
{
	struct stream_words bare = *w;

	bare.keys = NULL;
	return bare;
}

struct stream *stream_begin(struct stream_end *end, const struct stream_words *w)
{
	struct stream *s = stream_add(end, 0);
	struct stream_words bare = without_keys(w);

	s->id = end->kind->say_call(end, s, w);
	put_messages(s, w);
	if (w->ends)
		end->kind->say_end(s, &bare);
	stream_settle();
	return s;
}

static void put_head(struct stream *s, const struct stream_words *w)
{
	s->has_said_head = true;
	s->end->kind->say_head(s, w, false);
	put_messages(s, w);
}

void stream_head(struct stream *s, const struct stream_words *w)
{
	struct stream_words bare = without_keys(w);

	put_head(s, w);
	if (w->ends)
		s->end->kind->say_end(s, &bare);
	stream_settle();
}

void stream_speak(struct stream *s, const struct stream_words *w)
{
	put_messages(s, w);
	if (w->ends)
		s->end->kind->say_end(s, w);
	stream_settle();
}

void stream_finish(struct stream *s, const struct stream_words *w)
{
	s->end->kind->say_end(s, w);
	stream_settle();
}

void stream_answer(struct stream *s, const struct stream_words *w)
{
	struct stream_words bare = without_keys(w);

	put_head(s, w);
	s->end->kind->say_end(s, &bare);
	stream_settle();
}

void stream_refuse(struct stream *s, const struct stream_words *w)
{
	s->end->kind->say_head(s, w, true);
	stream_settle();
}

void give_up(struct stream *s, uint32_t code)
{
	s->end->kind->say_reset(s, code);
	stream_settle();
}

/* ---- hearing ---- */

static const char *const kind_names[] = {
    "nothing", "an interim head", "a head", "a message", "the end", "a reset", "another frame"};

static const struct stream_event *expect(int line, struct stream *s, enum stream_event_kind kind)
{
	const struct stream_event *e;

	stream_settle();
	e = stream_next_event(s);
	ck_assert_msg(e->kind == kind,
	    "line %d: heard %s, expected %s; status %d, code %u,%s: %.*s", line,
	    kind_names[e->kind], kind_names[kind], (int)e->status, e->code, e->keys ? e->keys : "",
	    (int)(e->text.len < 200 ? e->text.len : 200), (const char *)e->text.data);
	return e;
}

static bool has_key(const char *keys, const char *key, size_t len)
{
	char wanted[1024];

	snprintf(
	    wanted, sizeof wanted, " %.*s%s", (int)len, key, memchr(key, '=', len) ? " " : "=");
	return strstr(keys, wanted) != NULL;
}

static void check_keys(int line, const struct stream_event *e, const char *keys)
{
	while (keys && *keys) {
		size_t len = strcspn(keys, " ");
		bool unwanted = *keys == '!';

		ck_assert_msg(has_key(e->keys, keys + unwanted, len - unwanted) != unwanted,
		    "line %d: keys are%s, expected %.*s", line, e->keys, (int)len, keys);
		keys += len;
		keys += strspn(keys, " ");
	}
}

static void check_head(
    int line, const struct stream *s, const struct stream_event *e, const struct stream_words *w)
{
	char key[300];

	check_keys(line, e, w->keys);
	if (w->method) {
		snprintf(key, sizeof key,
		    s->end->family == GRPC ? ":path=/" STREAM_SERVICE "/%s" : "9=%s", w->method);
		check_keys(line, e, key);
	}
	if (w->authority && s->end->family == GRPC) {
		snprintf(key, sizeof key, ":authority=%s", w->authority);
		check_keys(line, e, key);
	}
	if (w->type) {
		snprintf(key, sizeof key, "content-type=%s", w->type);
		check_keys(line, e, key);
	}
}

void stream_hear_message(int line, struct stream *s, const struct stream_words *w)
{
	unsigned times = w->times ? w->times : 1;
	struct pile body = body_of(s, false, w);

	for (unsigned i = 0; i < times; i++) {
		const struct stream_event *e = expect(line, s, STREAM_MESSAGE);

		ck_assert_msg(!has_message(w) || slice_eq(e->text, slice_of(body.data, body.len)),
		    "line %d: message \"%.*s\" (%zu)", line,
		    (int)(e->text.len < 100 ? e->text.len : 100), (const char *)e->text.data,
		    e->text.len);
	}
	pile_fini(&body);
}

void stream_hear_last(int line, struct stream *s, const struct stream_words *w)
{
	const struct stream_event *e = expect(line, s, STREAM_END);
	int64_t expected = s->is_theirs && s->end->family == GRPC ? -1 : w->status;

	ck_assert_msg(e->status == expected, "line %d: status %d, expected %d: %.*s", line,
	    (int)e->status, (int)expected, (int)e->text.len, (const char *)e->text.data);
	if (w->text)
		ck_assert_msg(slice_starts(e->text, slice_str(w->text)),
		    "line %d: text \"%.*s\", expected %s", line, (int)e->text.len,
		    (const char *)e->text.data, w->text);
	check_keys(line, e, w->keys);
}

/* Messages and the end, where they are given. */
static void hear_rest(int line, struct stream *s, const struct stream_words *w)
{
	struct stream_words end = {.status = w->status, .text = w->text};

	if (has_message(w))
		stream_hear_message(line, s, w);
	if (w->ends)
		stream_hear_last(line, s, &end);
}

struct stream *stream_hear_call(int line, struct stream_end *end, const struct stream_words *w)
{
	struct stream *s;

	stream_settle();
	s = stream_next_call(end);
	ck_assert_msg(s != NULL, "line %d: no call has come", line);
	check_head(line, s, expect(line, s, STREAM_HEAD), w);
	hear_rest(line, s, w);
	return s;
}

void stream_hear_no_call(int line, struct stream_end *end)
{
	stream_settle();
	ck_assert_msg(stream_next_call(end) == NULL, "line %d: a call has come", line);
}

void stream_hear_head(int line, struct stream *s, const struct stream_words *w)
{
	check_head(line, s, expect(line, s, STREAM_HEAD), w);
	hear_rest(line, s, w);
}

void stream_hear_answer(int line, struct stream *s, const struct stream_words *w)
{
	struct stream_words whole = *w;

	whole.ends = true;
	stream_hear_head(line, s, &whole);
}

static int number_of(const struct stream *s, enum reason reason)
{
	return s->end->family == GRPC ? reason_grpc_status(reason) : reason_ttstream_id(reason);
}

static void check_reason(
    int line, const struct stream *s, const struct stream_event *e, enum reason reason)
{
	char start[128];

	snprintf(start, sizeof start, "bridled: %s", reason_name(reason));
	ck_assert_msg(slice_starts(e->text, slice_str(start)), "line %d: \"%.*s\", expected %s",
	    line, (int)e->text.len, (const char *)e->text.data, start);
	ck_assert_msg(e->status == number_of(s, reason), "line %d: status %d for %s", line,
	    (int)e->status, reason_name(reason));
}

void stream_hear_refusal(int line, struct stream *s, enum reason reason)
{
	const struct stream_event *e;

	stream_settle();
	e = stream_next_event(s);
	if (e->kind == STREAM_HEAD) {
		/* HTTP/2: one block of headers is all of it. */
		ck_assert_msg(s->end->family == TTS || has_key(e->keys, "grpc-status", 11),
		    "line %d: a head without a status:%s", line, e->keys);
		e = stream_next_event(s);
	}
	ck_assert_msg(e->kind == STREAM_END, "line %d: heard %s, expected a refusal", line,
	    kind_names[e->kind]);
	check_reason(line, s, e, reason);
}

/* Towards servers that know no resets a trailer follows, as from clients of Kitex. */
static void drop_trailer(struct stream *s)
{
	struct queued_event *next;

	if (s->end->family == GRPC || !s->is_theirs || list_is_empty(&s->events))
		return;
	next = list_item(s->events.next, struct queued_event, link);
	if (next->event.kind != STREAM_END)
		return;
	list_remove(&next->link);
	free_event(next);
}

const char *stream_hear_reset(int line, struct stream *s, uint32_t code)
{
	const struct stream_event *e = expect(line, s, STREAM_RESET);

	drop_trailer(s);
	ck_assert_msg(e->code == code, "line %d: code %u, expected %u: %.*s", line, e->code, code,
	    (int)e->text.len, (const char *)e->text.data);
	return e->keys;
}

void stream_hear_given_up(int line, struct stream *s, enum reason reason)
{
	const struct stream_event *e = expect(line, s, STREAM_RESET);

	drop_trailer(s);
	if (s->end->family == GRPC) {
		ck_assert_msg(e->code == H2_CANCEL, "line %d: code %u", line, e->code);
		return;
	}
	check_reason(line, s, e, reason);
	check_keys(line, e, "ttscp=sidecar");
}

void stream_hear_done(int line, struct stream *s)
{
	if (s->end->family == GRPC)
		stream_hear_reset(line, s, H2_NO_ERROR);
}

void stream_hear_frame(int line, struct stream *s, const struct stream_words *w)
{
	const struct stream_event *e = expect(line, s, STREAM_FRAME);

	check_keys(line, e, w->keys);
	if (w->message)
		ck_assert_msg(slice_eq_str(e->text, w->message), "line %d: payload \"%.*s\"", line,
		    (int)e->text.len, (const char *)e->text.data);
}

void stream_hear_silence(int line, struct stream *s)
{
	const struct stream_event *e;

	stream_settle();
	e = stream_next_event(s);
	ck_assert_msg(e->kind == STREAM_NOTHING, "line %d: heard %s, status %d, code %u: %.*s",
	    line, kind_names[e->kind], (int)e->status, e->code, (int)e->text.len,
	    (const char *)e->text.data);
}

/* ---- facts ---- */

size_t heard_bytes(const struct stream *s)
{
	return s->heard;
}

size_t unsaid_bytes(const struct stream *s)
{
	return s->out.len - s->out_at;
}

unsigned goaways(const struct stream_end *end)
{
	return end->goaways;
}

int32_t goaway_last(const struct stream_end *end)
{
	return end->goaway_last;
}

uint32_t stream_number(const struct stream *s)
{
	return s->id;
}

enum stream_family stream_family(const struct stream_end *end)
{
	return end->family;
}

/* ---- suites ---- */

static void end_scenario(void)
{
	forget_all();
	sim_end();
}

int stream_main(const char *name, const struct suite_test *tests, size_t count)
{
	return suite_run_between(name, tests, count, NULL, end_scenario);
}
