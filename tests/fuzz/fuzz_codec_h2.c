/*
 * HTTP/2 with both sides attached: a caller and an application, which are codecs too, and between
 * them a proxy that relays what its two codecs tell. The input is a list of steps: calls begin,
 * bytes move a little further, streams are reset on either end or in the middle, connections are
 * full for a while, and frames that nobody sent are put in.
 *
 * Whatever happens, owners are told of streams that they have and that have not ended; and as long
 * as nothing was put in, bytes arrive as they were sent.
 */
#include <stdio.h>

#include "base/mem.h"

#include "fuzz.h"
#include "support/reading.h"

#define CALLS_MAX 256u
#define STEPS_MAX 3000u

enum end_name { CALLER, DOWN, UP, APP, N_ENDS };

struct end {
	struct codec *codec; /* owned; NULL: the connection has ended */
	struct written out;  /* must be the first that a sink is given */
	bool is_full;
};

/* A stream as one owner knows it: the caller, the proxy on both its sides, or the application. */
struct call {
	bool is_used;
	uint32_t ids[N_ENDS]; /* 0: not known there, or not any more */
	/* Of the caller and the application: */
	unsigned number;      /* of the call, which its path tells */
	uint64_t sent, heard; /* bytes */
	bool has_sent_end, has_heard_end, has_replied;
};

struct world {
	struct end ends[N_ENDS];
	struct call calls[CALLS_MAX];
	struct slice steps;
	unsigned n_begun;
	bool is_honest; /* nothing was put in */
	usec_t now;
};

static void sink(void *arg, const struct slice *pieces, int n)
{
	struct end *e = arg;

	written_io.write(&e->out, pieces, n);
}

static bool is_full(void *arg)
{
	const struct end *e = arg;

	return e->is_full;
}

static const struct codec_io end_io = {.write = sink, .is_full = is_full};

static const struct codec_limits limits = {
    .max_message = 100000, .max_header = 4096, .protocols = ~0u, .in_flight = 20};

static unsigned step(struct world *w)
{
	unsigned byte = w->steps.len ? w->steps.data[0] : 0;

	w->steps = slice_from(w->steps, 1);
	return byte;
}

static uint8_t byte_of(const struct call *call, uint64_t at)
{
	return (uint8_t)(at * 7 + call->number);
}

/* ---- how streams end ---- */

static bool knows(const struct world *w, const struct call *call, enum end_name name)
{
	return w->ends[name].codec && call->ids[name];
}

static void forget(struct world *w, struct call *call, enum end_name name)
{
	if (knows(w, call, name))
		codec_own(w->ends[name].codec, call->ids[name], NULL);
	call->ids[name] = 0;
	call->is_used = false;
	for (unsigned i = 0; i < N_ENDS; i++)
		call->is_used |= call->ids[i] != 0;
}

static void reset(struct world *w, struct call *call, enum end_name name, enum reason reason)
{
	struct codec_reset why = {.reason = reason};

	if (knows(w, call, name))
		codec_reset(w->ends[name].codec, call->ids[name], &why);
	forget(w, call, name);
}

/* The proxy has nothing more to do with the call. */
static void finish(struct world *w, struct call *call)
{
	forget(w, call, DOWN);
	reset(w, call, UP, REASON_OK);
}

static void fail(struct world *w, struct call *call, enum reason reason)
{
	struct rpc_message m = {.form = {RPC_HTTP2, RPC_KITEXPB, false}, .kind = RPC_CALL};
	struct rpc_status why = {.reason = reason};

	if (knows(w, call, DOWN))
		codec_send_failure(w->ends[DOWN].codec, call->ids[DOWN], &m, &why, false);
	finish(w, call);
}

/* ---- what is heard ---- */

static struct call *new_call(struct world *w)
{
	for (unsigned i = 0; i < CALLS_MAX; i++) {
		if (!w->calls[i].is_used) {
			w->calls[i] = (struct call){.is_used = true};
			return &w->calls[i];
		}
	}
	return NULL;
}

static const struct rpc_form form = {RPC_HTTP2, RPC_OPAQUE, false};

static void on_new_call(struct world *w, const struct codec_item *item)
{
	struct codec *down = w->ends[DOWN].codec, *up = w->ends[UP].codec;
	struct call *call = new_call(w);
	struct rpc_edit edit = {.form = form, .authority = SLICE_LIT("app")};

	if (call == NULL) {
		codec_own(down, item->id, NULL);
		return;
	}
	call->ids[DOWN] = item->id;
	codec_own(down, item->id, call);
	if (up == NULL || codec_capacity(up) == 0) {
		fail(w, call, REASON_NO_ENDPOINT);
		return;
	}
	call->ids[UP] = codec_begin(up, call);
	must(codec_send_message(up, call->ids[UP], &item->message, &edit));
}

static void relay_message(struct world *w, struct call *call, const struct codec_item *item)
{
	struct rpc_edit edit = {.form = form};

	if (!knows(w, call, DOWN))
		return;
	must(codec_send_message(w->ends[DOWN].codec, call->ids[DOWN], &item->message, &edit));
	if (item->message.complete)
		finish(w, call);
}

static void relay(
    struct world *w, enum end_name from, enum codec_event event, const struct codec_item *item)
{
	enum end_name to = from == DOWN ? UP : DOWN;
	struct call *call = item->owner;
	bool is_end = event == CODEC_END || (event == CODEC_DATA && item->last);

	if (event == CODEC_MESSAGE && from == DOWN) {
		must(call == NULL);
		on_new_call(w, item);
		return;
	}
	must(call && call->is_used && call->ids[from] == item->id);
	if (event == CODEC_MESSAGE)
		relay_message(w, call, item);
	if (event == CODEC_DATA && knows(w, call, to))
		codec_send_data(w->ends[to].codec, call->ids[to], item->data, item->last);
	if (event == CODEC_DATA)
		codec_credit(w->ends[from].codec, item->id, item->data.len);
	if (event == CODEC_END && knows(w, call, to))
		codec_send_end(w->ends[to].codec, call->ids[to], &item->message);
	if (event == CODEC_RESET)
		fail(w, call, item->reset.reason);
	else if (is_end && from == UP)
		finish(w, call);
}

/* Nothing more will be said there: the end of a reply is that of a call. */
static void tidy(struct world *w, struct call *call, enum end_name name)
{
	if (call->has_sent_end && (name == APP || call->has_heard_end))
		forget(w, call, name);
}

static struct call *hear_call(struct world *w, const struct codec_item *item)
{
	struct call *call = new_call(w);
	uint64_t number = 0;

	must(slice_to_u64(slice_from(item->message.path, 1), &number) || !w->is_honest);
	if (call == NULL)
		return NULL;
	call->number = (unsigned)number;
	call->ids[APP] = item->id;
	codec_own(w->ends[APP].codec, item->id, call);
	return call;
}

/* The caller and the application check what has come. */
static void check(
    struct world *w, enum end_name name, enum codec_event event, const struct codec_item *item)
{
	struct call *call = item->owner;

	if (event == CODEC_MESSAGE && name == APP) {
		must(call == NULL);
		call = hear_call(w, item);
		if (call == NULL)
			return;
	}
	must(call && call->is_used && call->ids[name] == item->id);
	must(!call->has_heard_end || event == CODEC_RESET || event == CODEC_ROOM);
	if (event == CODEC_DATA) {
		for (size_t i = 0; w->is_honest && i < item->data.len; i++)
			must(item->data.data[i] == byte_of(call, call->heard + i));
		call->heard += item->data.len;
		codec_credit(w->ends[name].codec, item->id, item->data.len);
	}
	call->has_heard_end |= event == CODEC_END || (event == CODEC_DATA && item->last) ||
			       (event == CODEC_MESSAGE && item->message.complete);
	if (event == CODEC_RESET)
		forget(w, call, name);
	else
		tidy(w, call, name);
}

static void end_connection(struct world *w, enum end_name name)
{
	codec_close(&w->ends[name].codec);
	for (unsigned i = 0; i < CALLS_MAX; i++) {
		struct call *call = &w->calls[i];

		if (!call->is_used || call->ids[name] == 0)
			continue;
		if (name == UP)
			fail(w, call, REASON_RESET);
		else if (name == DOWN)
			finish(w, call);
		forget(w, call, name);
	}
}

/* Up to @len bytes, in memory of their own exact size. */
static void hear(struct world *w, enum end_name name, struct slice piece)
{
	struct end *e = &w->ends[name];
	uint8_t *bytes = mem_alloc(piece.len);
	struct slice in = slice_of(bytes, piece.len);
	struct codec_item item = {0};
	enum codec_event event;

	if (piece.len)
		memcpy(bytes, piece.data, piece.len);
	codec_set_now(e->codec, w->now);
	while ((event = codec_next(e->codec, &in, &item)) != CODEC_MORE) {
		if (event == CODEC_REFUSED) {
			must(!w->is_honest || item.why.reason == REASON_OVERLOAD);
			end_connection(w, name);
			break;
		}
		if (name == DOWN || name == UP)
			relay(w, name, event, &item);
		else
			check(w, name, event, &item);
	}
	must(e->codec == NULL || in.len == 0);
	free(bytes);
}

/* ---- steps ---- */

static const enum end_name far_end[] = {[CALLER] = DOWN, [DOWN] = CALLER, [UP] = APP, [APP] = UP};

static void move_bytes(struct world *w, enum end_name from, size_t most)
{
	struct written *out = &w->ends[from].out, piece = {0};
	struct slice rest = slice_from(written_slice(out), most);

	if (w->ends[far_end[from]].codec == NULL) {
		out->len = 0;
		return;
	}
	written_io.write(
	    &piece, &(struct slice){out->bytes, slice_first(written_slice(out), most).len}, 1);
	if (rest.len)
		memmove(out->bytes, rest.data, rest.len);
	out->len = rest.len;
	hear(w, far_end[from], written_slice(&piece));
	written_fini(&piece);
}

static void begin_call(struct world *w, unsigned choice)
{
	struct codec *codec = w->ends[CALLER].codec;
	/* What is sent is hardly ever what it says it is: most of these break the rules of gRPC. */
	struct rpc_field fields[] = {
	    {SLICE_LIT("content-type"), SLICE_LIT("application/grpc"), false},
	    {SLICE_LIT("x-field"), slice_of("0123456789012345", choice % 16), choice & 64},
	};
	struct rpc_edit edit = {.form = form, .authority = SLICE_LIT("a")};
	struct rpc_message m = {.form = form,
	    .kind = RPC_CALL,
	    .timeout = USEC_NONE,
	    .http_method = SLICE_LIT("POST"),
	    .fields = fields + (choice % 16 != 3),
	    .n_fields = choice % 16 == 3 ? 2 : choice % 2,
	    .complete = choice % 8 == 7};
	char path[16];
	struct call *call;

	if (codec == NULL || codec_capacity(codec) == 0 || (call = new_call(w)) == NULL)
		return;
	call->number = ++w->n_begun;
	snprintf(path, sizeof path, "/%u", call->number);
	m.path = slice_str(path);
	call->ids[CALLER] = codec_begin(codec, call);
	call->has_sent_end = m.complete;
	must(codec_send_message(codec, call->ids[CALLER], &m, &edit));
}

/* The @choice'th call that this end knows; NULL: it knows none. */
static struct call *any_call(struct world *w, enum end_name name, unsigned choice)
{
	for (unsigned i = 0; i < CALLS_MAX; i++) {
		struct call *call = &w->calls[(choice + i) % CALLS_MAX];

		if (call->is_used && knows(w, call, name))
			return call;
	}
	return NULL;
}

static void send_bytes(struct world *w, enum end_name name, struct call *call, unsigned choice)
{
	static const size_t lengths[] = {0, 1, 100, 5000, 16384, 16385, 40000, 90000};
	size_t len = lengths[choice % 8];
	bool is_last = choice & 8;
	uint8_t *bytes = mem_alloc(len);

	for (size_t i = 0; i < len; i++)
		bytes[i] = byte_of(call, call->sent + i);
	call->sent += len;
	call->has_sent_end |= is_last;
	codec_send_data(w->ends[name].codec, call->ids[name], slice_of(bytes, len), is_last);
	free(bytes);
}

static void send_trailers(struct world *w, enum end_name name, struct call *call)
{
	struct rpc_field field = {SLICE_LIT("grpc-status"), SLICE_LIT("0"), false};
	struct rpc_message m = {
	    .form = form, .kind = RPC_TRAILERS, .fields = &field, .n_fields = 1};

	call->has_sent_end = true;
	codec_send_end(w->ends[name].codec, call->ids[name], &m);
}

static void reply(struct world *w, struct call *call, unsigned choice)
{
	struct rpc_message m = {.form = form,
	    .kind = choice & 16 ? RPC_INTERIM : RPC_REPLY,
	    .http_status = choice & 16 ? 100 : 200,
	    .complete = !(choice & 16) && choice & 32};
	struct rpc_edit edit = {.form = form};

	call->has_replied = m.kind == RPC_REPLY;
	call->has_sent_end = m.complete;
	must(codec_send_message(w->ends[APP].codec, call->ids[APP], &m, &edit));
}

static void talk(struct world *w, enum end_name name, unsigned choice)
{
	struct call *call = any_call(w, name, choice);

	if (call == NULL || call->has_sent_end)
		return;
	if (name == APP && !call->has_replied)
		reply(w, call, choice);
	else if (choice % 16 == 15)
		send_trailers(w, name, call);
	else
		send_bytes(w, name, call, choice);
	tidy(w, call, name);
}

static void put_in(struct world *w, enum end_name name, unsigned len)
{
	struct slice bytes = slice_first(w->steps, len);

	w->steps = slice_from(w->steps, len);
	w->is_honest = false;
	if (w->ends[name].codec)
		hear(w, name, bytes);
}

static void give_up(struct world *w, unsigned choice)
{
	enum end_name name = choice % N_ENDS;
	struct call *call = any_call(w, name, choice >> 2);

	if (call == NULL)
		return;
	if (name == DOWN || name == UP)
		fail(w, call, choice & 64 ? REASON_TIMEOUT : REASON_CANCELED);
	else
		reset(w, call, name, REASON_CANCELED);
}

static void pump(struct world *w, unsigned choice)
{
	struct end *e = &w->ends[choice % N_ENDS];

	e->is_full = choice & 4;
	if (e->codec == NULL)
		return;
	if (choice & 8)
		codec_ping(e->codec);
	if (choice & 16 && choice & 32 && choice % N_ENDS == DOWN)
		codec_drain(e->codec, choice & 64 ? CODEC_DRAIN_NOW : CODEC_DRAIN_SOON);
	codec_pump(e->codec);
	hear(w, choice % N_ENDS, SLICE_NONE);
}

static void take_step(struct world *w)
{
	static const size_t most[] = {1, 9, 100, 1000, 20000, SIZE_MAX, SIZE_MAX, SIZE_MAX};
	unsigned what = step(w), choice = step(w);

	w->now += 50 * USEC_MS; /* slow enough for every limit on rates */
	switch (what % 10) {
	case 0:
		begin_call(w, choice);
		break;
	case 1:
		talk(w, CALLER, choice);
		break;
	case 2:
		talk(w, APP, choice);
		break;
	case 3:
		pump(w, choice);
		break;
	case 4:
		give_up(w, choice);
		break;
	case 5:
		if (what >= 128)
			put_in(w, choice % N_ENDS, choice >> 2);
		break;
	default:
		move_bytes(w, (what >> 4) % N_ENDS, most[choice % 8]);
		break;
	}
}

static void start(struct world *w, struct slice steps)
{
	*w = (struct world){.steps = steps, .is_honest = true, .now = USEC_S};
	for (unsigned i = 0; i < N_ENDS; i++) {
		enum codec_side side = i == CALLER || i == UP ? CODEC_UPSTREAM : CODEC_DOWNSTREAM;

		w->ends[i].codec = codec_open(side, CODEC_HTTP2, &limits, &end_io, &w->ends[i]);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct world w;

	start(&w, slice_of(data, size));
	for (unsigned n = 0; n < STEPS_MAX && w.steps.len; n++)
		take_step(&w);
	for (unsigned i = 0; i < N_ENDS; i++) {
		codec_close(&w.ends[i].codec);
		written_fini(&w.ends[i].out);
	}
	return 0;
}
