/*
 * Unary calls that become other ones, both ways at once, by a seeded generator: callers of gRPC in
 * front of a framed application, callers of Kitex's protocols in front of one of gRPC. Each call
 * has a number in its text, which its reply repeats. SIM_SEED=n in the environment runs other
 * seeds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "support/sim.h"
#include "support/stream_end.h"

#define STEPS       2000
#define RULES       4
#define RUNS        (2 * RULES)
#define PEERS       6
#define APPS        100
#define CALLS       10000
#define OPEN        16
#define NOT_YET     UINT32_MAX
#define STRUCT_HEAD 7u /* before the text: its field, its length */
#define THRIFT      "application/grpc+thrift"

struct open_call {
	struct stream *stream;
	unsigned number, heard; /* of the call; in the reply */
};

/* A caller or a connection to an endpoint, of either side. */
struct peer {
	struct stream_end *end; /* gRPC, */
	struct fake_end *net;   /* or not */
	struct open_call open[OPEN];
	unsigned n;
	bool is_done;
};

static struct {
	struct rng rng;
	unsigned long seed;
	bool to_grpc;
	struct peer callers[PEERS], apps[APPS];
	unsigned n_calls, n_good, n_failed;
} soak;

static bool chance(unsigned percent)
{
	return rng_below(&soak.rng, 100) < percent;
}

static unsigned below(unsigned n)
{
	return (unsigned)rng_below(&soak.rng, n);
}

static size_t some_size(void)
{
	return chance(70) ? below(500) : chance(70) ? below(70000) : below(300000);
}

static struct fake_end *net(const struct peer *p)
{
	return p->end ? net_of(p->end) : p->net;
}

static void drop_open(struct peer *p, unsigned i)
{
	p->open[i] = p->open[--p->n];
}

static void forget(struct peer *p)
{
	fake_forget(net(p));
	if (p->end)
		stream_end_forget(p->end);
	*p = (struct peer){0};
}

/* The number in "c17:". */
static unsigned number_in(struct slice text, char side)
{
	ck_assert_msg(text.len > 2 && text.data[0] == (uint8_t)side,
	    "seed %lu: a text of %zu that is none of side %c", soak.seed, text.len, side);
	return (unsigned)strtoul((const char *)text.data + 1, NULL, 10);
}

/* The text in the one field of a struct. */
static struct slice text_in(struct slice body)
{
	return slice_from(body, STRUCT_HEAD);
}

static void note_reply(struct peer *p, unsigned i, bool is_good, unsigned number)
{
	ck_assert_msg(!is_good || number == p->open[i].number,
	    "seed %lu: the reply of call %u is that of %u", soak.seed, p->open[i].number, number);
	soak.n_good += is_good;
	soak.n_failed += !is_good;
	drop_open(p, i);
}

/* ---- callers ---- */

static void begin_grpc(struct peer *p, const char *text)
{
	static const char *const more[] = {NULL, NULL, "grpc-timeout=20m", "source-service=cart"};
	bool is_whole = chance(90);

	p->open[p->n].stream =
	    begin(p->end, .type = THRIFT, .message = text, .fill = some_size(), .body = AS_THRIFT,
		.times = chance(95) ? 1 : 2, .ends = is_whole, .keys = more[below(4)]);
	if (!is_whole && chance(70))
		speak(p->open[p->n].stream, .ends = true);
	if (chance(10))
		hold(p->open[p->n].stream);
}

static void new_call(struct peer *p)
{
	static const enum sim_form forms[] = {FRAMED, BUFFERED, TTHEADER, TTHEADER_FRAMED};
	enum sim_form form = forms[below(4)];
	char text[32];

	if (p->n == (soak.to_grpc ? 1 : OPEN))
		return;
	snprintf(text, sizeof text, "c%u:", soak.n_calls);
	p->open[p->n].heard = NOT_YET;
	p->open[p->n].number = soak.n_calls++;
	if (soak.to_grpc)
		put(p->net, form, .seq = 5, .method = "Quote", .text = text, .fill = some_size(),
		    .keys = form == TTHEADER ? "isn=shop.Price" : NULL);
	else
		begin_grpc(p, text);
	p->n++;
}

/* What a gRPC caller hears of one call; true: it is over. */
static bool hears_stream(struct peer *p, unsigned i)
{
	struct open_call *call = &p->open[i];
	const struct stream_event *e;

	while ((e = stream_next_event(call->stream))->kind != STREAM_NOTHING) {
		if (e->kind == STREAM_MESSAGE) {
			ck_assert_msg(
			    call->heard == NOT_YET, "seed %lu: a second message", soak.seed);
			call->heard = number_in(text_in(e->text), 'r');
		} else if (e->kind == STREAM_END || e->kind == STREAM_RESET) {
			note_reply(p, i, e->kind == STREAM_END && e->status == 0, call->heard);
			return true;
		}
	}
	return false;
}

static void caller_hears(struct peer *p)
{
	static struct sim_heard r;
	size_t used;

	for (unsigned i = 0; p->end && i < p->n;)
		i += !hears_stream(p, i);
	while (p->net && (used = sim_frame_read(fake_received(p->net), &r)) > 0) {
		ck_assert_msg(p->n == 1, "seed %lu: a reply to no call", soak.seed);
		note_reply(p, 0, r.kind == REPLY, r.kind == REPLY ? number_in(r.text, 'r') : 0);
		fake_consume(p->net, used);
	}
}

static void end_somehow(struct peer *p)
{
	p->is_done = true;
	if (chance(30))
		fake_half_close(net(p));
	else if (chance(50))
		fake_reset(net(p));
	else
		fake_close(net(p));
}

static void caller_acts(struct peer *p)
{
	if ((p->end || p->net) && fake_is_over(net(p)))
		forget(p);
	if (p->end == NULL && p->net == NULL && soak.to_grpc)
		p->net = dial();
	else if (p->end == NULL && !soak.to_grpc)
		p->end = dial_streams(GRPC);
	caller_hears(p);
	if (p->is_done)
		return;
	if (chance(50))
		new_call(p);
	for (unsigned i = 0; p->end && i < p->n; i++) {
		if (chance(10))
			release(p->open[i].stream);
		if (chance(3)) {
			give_up(p->open[i].stream, H2_CANCEL);
			drop_open(p, i);
		}
	}
	if (below(1000) < 5)
		end_somehow(p);
}

/* ---- endpoints ---- */

static void take_streams(struct peer *p)
{
	struct stream *s;
	const struct stream_event *e;

	while (p->n < OPEN && (s = stream_next_call(p->end)))
		p->open[p->n++] = (struct open_call){s, NOT_YET, 0};
	for (unsigned i = 0; i < p->n;) {
		while ((e = stream_next_event(p->open[i].stream))->kind == STREAM_MESSAGE ||
		       e->kind == STREAM_HEAD || e->kind == STREAM_END)
			if (e->kind == STREAM_MESSAGE)
				p->open[i].number = number_in(text_in(e->text), 'c');
		if (e->kind == STREAM_RESET)
			drop_open(p, i);
		else
			i++;
	}
}

static void answer_stream(struct peer *p)
{
	unsigned i = below(p->n), how = below(100);
	struct stream *s = p->open[i].stream;
	char text[32];

	if (p->open[i].number == NOT_YET)
		return; /* not whole yet */
	snprintf(text, sizeof text, "r%u:", p->open[i].number);
	if (how < 70)
		answer(s, .type = THRIFT, .message = text, .fill = some_size(), .body = AS_THRIFT);
	else if (how < 80)
		refuse(s, .status = 5, .text = "no");
	else if (how < 85)
		answer(s, .type = THRIFT, .message = text, .body = AS_THRIFT, .times = 2);
	else if (how < 90)
		give_up(s, chance(50) ? H2_REFUSED : 2);
	else if (how < 95)
		head(s, .type = THRIFT, .message = text, .body = AS_THRIFT);
	drop_open(p, i);
}

static void answer_frame(struct peer *p)
{
	struct sim_frame f = {.form = FRAMED, .kind = REPLY, .seq = 1, .method = "Quote"};
	struct sim_heard r;
	size_t used = sim_frame_read(fake_received(p->net), &r);
	unsigned how = below(100);
	char text[32];

	if (used == 0)
		return;
	ck_assert_int_eq(r.kind, CALL);
	snprintf(text, sizeof text, "r%u:", number_in(r.text, 'c'));
	fake_consume(p->net, used);
	f.text = text;
	f.fill = some_size();
	if (how < 10)
		f = (struct sim_frame){.form = FRAMED,
		    .kind = EXCEPTION,
		    .seq = 1,
		    .method = "Quote",
		    .text = "no",
		    .id = 6};
	else if (how < 15)
		f.seq = 9;
	if (how < 90)
		sim_put(p->net, &f);
	else if (how < 95)
		say_part(
		    p->net, 0, 20, FRAMED, .kind = REPLY, .seq = 1, .method = "Quote", .fill = 100);
}

static void app_acts(struct peer *p)
{
	if (chance(50))
		fake_connected(net(p)); /* if it hangs */
	if (p->is_done)
		return;
	if (p->end) {
		take_streams(p);
		if (p->n && chance(60))
			answer_stream(p);
	} else if (chance(60)) {
		answer_frame(p);
	}
	if (chance(2)) /* all calls may share one connection: none stands still for long */
		fake_take(net(p), chance(80) ? FAKE_ALL : below(3000));
	if (chance(10))
		fake_take(net(p), FAKE_ALL);
	if (below(1000) < 8)
		end_somehow(p);
}

static void accept_all(void)
{
	for (size_t i = 0; i < APPS; i++) {
		struct peer *p = &soak.apps[i];
		struct fake_end *end;

		if ((p->end || p->net) && fake_is_over(net(p)))
			forget(p);
		if (p->end || p->net || (end = fake_accept(sim_loop())) == NULL)
			continue;
		if (soak.to_grpc)
			p->end = stream_wrap(end, GRPC);
		else
			p->net = end;
	}
}

/* ---- a run ---- */

static void step(void)
{
	if (chance(3))
		fake_script(sim_loop(), chance(50) ? FAKE_HANGS : FAKE_REFUSED, 1 + below(3));
	accept_all();
	for (size_t i = 0; i < PEERS; i++)
		if (chance(30))
			caller_acts(&soak.callers[i]);
	for (size_t i = 0; i < APPS; i++)
		if ((soak.apps[i].end || soak.apps[i].net) && chance(40))
			app_acts(&soak.apps[i]);
	if (chance(50))
		stream_settle();
	else
		let_pass(below(12));
}

#define TIMES      "timeout: {call: 100ms, connect: 50ms}, "
#define TO_GRPC    "protocol: grpc, "
#define ANY_METHOD "methods: {'*': {idempotent: true}}, "
#define OTHER      "endpoints: ['10.0.1.1:80'], eject: none, " TIMES

/* What the service asks for beside its protocol. */
static const char *const rules[RULES] = {
    "retry: {buffer: 10KiB}",
    ANY_METHOD "eject: none, retry: {type: mixed, delay: 10ms, attempts: 3, backoff: 3ms, "
	       "budget: none, on: [connect, unsent, reset, timeout, 'exception:6', 'grpc:5']}, "
	       "routes: [{mirror: {service: other, percent: 50%}}]",
    ANY_METHOD "eject: none, retry: {type: backup, delay: 5ms, budget: none}, "
	       "fallback: {on: [any], to: {service: other}}, "
	       "limit: {concurrency: 6, queue: {length: 4, wait: 30ms}}",
    ANY_METHOD "eject: none, retry: fork, fallback: {on: [any], to: {service: other}}, "
	       "routes: [{fault: {delay: {for: 10ms, percent: 50%}}, mirror: {service: other}}]",
};

static void begin_run(int run)
{
	char service[700], other[200];
	const char *seed = getenv("SIM_SEED");

	soak.seed = (seed ? strtoul(seed, NULL, 10) : 1) * 1000 + (unsigned)run;
	soak.to_grpc = run % 2;
	rng_init(&soak.rng, soak.seed);
	printf("seed %lu\n", soak.seed); /* in the log of a run that crashes, too */
	fflush(stdout);
	snprintf(service, sizeof service, "%s" TIMES "%s",
	    soak.to_grpc ? TO_GRPC "aliases: [shop.Price], " : "protocol: framed, ",
	    rules[run / 2]);
	snprintf(other, sizeof other, "other: {%s" OTHER "}",
	    soak.to_grpc ? TO_GRPC : "protocol: framed, ");
	start(.service = service, .services = other,
	    .listener = "timeout: {message: 1s, write_stall: 500ms}", .endpoints = 2);
}

static void check_caller(struct peer *p)
{
	if ((p->end == NULL && p->net == NULL) || p->is_done || fake_is_over(net(p)))
		return;
	caller_hears(p);
	ck_assert_msg(p->n == 0, "seed %lu: call %u has no end", soak.seed, p->open[0].number);
}

START_TEST(every_call_has_one_reply_of_its_own_and_nothing_is_left_behind)
{
	const char *only = getenv("SIM_RUN");

	if (only && atoi(only) != _i)
		return;
	begin_run(_i);
	for (int i = 0; i < STEPS; i++)
		step();
	ck_assert_uint_gt(soak.n_good, STEPS / 40);
	ck_assert_uint_gt(soak.n_failed, STEPS / 100);
	for (size_t i = 0; i < APPS; i++)
		if (soak.apps[i].end || soak.apps[i].net)
			fake_take(net(&soak.apps[i]), FAKE_ALL);
	let_pass(5000);
	for (size_t i = 0; i < PEERS; i++)
		check_caller(&soak.callers[i]);
	ck_assert_uint_eq(in_flight(), 0);
	ck_assert_uint_eq(counter_get(&sim_worker()->calls_running), 0);
	ck_assert_uint_eq(atomic_load(&sim_worker()->shares->memory), 0);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {every_call_has_one_reply_of_its_own_and_nothing_is_left_behind, RUNS},
	};

	return stream_main("sim_stream_bridge", tests, ARRAY_LEN(tests));
}
