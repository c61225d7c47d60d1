/*
 * Streams on which both ends do anything at any time, by a seeded generator. Each call has a number
 * that stands in each of its messages with the number of the message, and so do replies, so that
 * what is heard can be told to be what was said, whole and in order. SIM_SEED=n in the environment
 * runs other seeds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "support/sim.h"
#include "support/stream_end.h"

#define STEPS   3000
#define SETUPS  8
#define RUNS    (2 * SETUPS)
#define CALLERS 6
#define APPS    200
#define CALLS   20000
#define OPEN    24 /* streams of one connection that are looked at */

struct call {
	struct stream *stream; /* NULL: its end is gone */
	unsigned said, heard, ends;
	bool has_finished, has_given_up, is_held;
};

struct caller {
	struct stream_end *end;
	unsigned open[OPEN]; /* numbers of its calls */
	unsigned n;
	bool is_done;
};

struct served {
	struct stream *stream;
	unsigned call, said, heard;
	bool has_begun, has_ended, is_over; /* its head, its end, and that of the stream */
};

struct app {
	struct stream_end *end;
	struct served open[OPEN];
	unsigned n;
	bool is_done;
};

static struct {
	struct rng rng;
	unsigned long seed;
	const struct sim_setup *setup;
	bool has_both; /* families */
	enum stream_family family;
	struct call calls[CALLS];
	unsigned n_calls;
	struct caller callers[CALLERS];
	struct app apps[APPS];
	unsigned n_good, n_failed, n_reset;
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
	return chance(80) ? below(500) : chance(80) ? below(20000) : below(150000);
}

/* "c17:3:" and a pattern. */
static void say_message(struct stream *s, char side, unsigned call, unsigned k, bool ends)
{
	char text[48];

	snprintf(text, sizeof text, "%c%u:%u:", side, call, k);
	speak(s, .message = text, .fill = some_size(), .ends = ends);
}

/* It is message @k of that side of that call, and nothing in it is torn. */
static void check_message(const struct stream_event *e, char side, unsigned call, unsigned k)
{
	char text[48];

	snprintf(text, sizeof text, "%c%u:%u:", side, call, k);
	ck_assert_msg(sim_text_is(e->text, text, e->text.len), "seed %lu: heard %.*s (%zu), not %s",
	    soak.seed, (int)(e->text.len < 40 ? e->text.len : 40), (const char *)e->text.data,
	    e->text.len, text);
}

/* A number among keys; -1: it is not there. */
static long number_in(const struct stream_event *e, const char *name)
{
	const char *found = strstr(e->keys, name);

	return found ? strtol(found + strlen(name), NULL, 10) : -1;
}

/* ---- callers ---- */

static void caller_is_gone(struct caller *c)
{
	for (unsigned i = 0; i < c->n; i++)
		soak.calls[c->open[i]].stream = NULL;
	fake_forget(net_of(c->end));
	stream_end_forget(c->end);
	*c = (struct caller){0};
}

static void caller_dials(struct caller *c)
{
	enum stream_family family =
	    soak.has_both ? (enum stream_family)below(FAMILIES) : soak.family;

	if (chance(20))
		c->end = dial_streams(family, .window = 64 + below(2000));
	else
		c->end = dial_streams(family);
	if (chance(50))
		write_in_pieces(c->end, 1 + below(chance(50) ? 50 : 5000));
}

static void new_call(struct caller *c)
{
	static const char *const more[] = {"", "", "grpc-timeout=50m", "grpc-timeout=1S"};
	struct call *call = &soak.calls[soak.n_calls];
	char keys[64];

	if (c->n == OPEN || goaways(c->end))
		return;
	ck_assert_uint_lt(soak.n_calls, CALLS);
	snprintf(keys, sizeof keys, "number=%u %s", soak.n_calls,
	    stream_family(c->end) == GRPC ? more[below(4)] : "");
	call->has_finished = chance(5); /* without a message */
	call->stream = begin(c->end, .keys = keys, .ends = call->has_finished);
	if (stream_family(c->end) == GRPC && chance(10)) {
		call->is_held = true;
		hold(call->stream);
	}
	c->open[c->n++] = soak.n_calls++;
}

static void note_end(struct call *call, const struct stream_event *e, bool is_reset)
{
	long count = is_reset ? -1 : number_in(e, " count=");

	ck_assert_msg(++call->ends == 1, "seed %lu: a call that ends twice", soak.seed);
	if (is_reset)
		soak.n_reset++;
	else if (e->status != 0)
		soak.n_failed++;
	else
		soak.n_good++;
	ck_assert_msg(is_reset || e->status != 0 || count == (long)call->heard,
	    "seed %lu: a good reply with %u messages of %ld", soak.seed, call->heard, count);
}

static void call_hears(unsigned number)
{
	struct call *call = &soak.calls[number];
	const struct stream_event *e;

	while ((e = stream_next_event(call->stream))->kind != STREAM_NOTHING) {
		if (call->has_given_up)
			continue;
		if (e->kind == STREAM_RESET && call->ends && e->code == H2_NO_ERROR)
			continue;
		ck_assert_msg(call->ends == 0, "seed %lu: something behind the end", soak.seed);
		if (e->kind == STREAM_MESSAGE)
			check_message(e, 'r', number, call->heard++);
		else if (e->kind == STREAM_END || e->kind == STREAM_RESET)
			note_end(call, e, e->kind == STREAM_RESET);
	}
}

static void call_acts(unsigned number)
{
	struct call *call = &soak.calls[number];

	if (call->ends || call->has_given_up)
		return;
	if (call->is_held && chance(20)) {
		call->is_held = false;
		release(call->stream);
	}
	if (chance(3)) {
		call->has_given_up = true;
		give_up(call->stream, H2_CANCEL);
	} else if (!call->has_finished) {
		call->has_finished = chance(25);
		say_message(call->stream, 'c', number, call->said++, call->has_finished);
	}
}

static void end_somehow(struct fake_end *net, bool *is_done)
{
	unsigned how = below(3);

	if (how == 0)
		fake_half_close(net);
	else if (how == 1)
		fake_reset(net);
	else
		fake_close(net);
	*is_done = true;
}

static void forget_ended(struct caller *c)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < c->n; i++) {
		const struct call *call = &soak.calls[c->open[i]];

		if (!call->ends && !call->has_given_up)
			c->open[kept++] = c->open[i];
	}
	c->n = kept;
}

static void caller_acts(struct caller *c)
{
	if (c->end && fake_is_over(net_of(c->end))) {
		stream_settle();
		for (unsigned i = 0; i < c->n; i++)
			call_hears(c->open[i]);
		caller_is_gone(c);
	}
	if (c->end == NULL)
		caller_dials(c);
	for (unsigned i = 0; i < c->n; i++)
		call_hears(c->open[i]);
	forget_ended(c);
	if (c->is_done)
		return;
	if (chance(10))
		gather(c->end);
	if (chance(30))
		new_call(c);
	if (c->n)
		call_acts(c->open[below(c->n)]);
	if (chance(40))
		let_go(c->end);
	if (chance(2))
		fake_take(net_of(c->end), chance(60) ? FAKE_ALL : below(3000));
	if (below(1000) < 4)
		end_somehow(net_of(c->end), &c->is_done);
}

/* ---- endpoints ---- */

static void served_hears(struct served *s)
{
	const struct call *call = &soak.calls[s->call];
	const struct stream_event *e;

	while ((e = stream_next_event(s->stream))->kind != STREAM_NOTHING) {
		if (e->kind == STREAM_MESSAGE)
			check_message(e, 'c', s->call, s->heard++);
		if (e->kind == STREAM_END && !s->is_over)
			ck_assert_msg(call->has_finished && call->said == s->heard,
			    "seed %lu: an end behind %u messages of %u", soak.seed, s->heard,
			    call->said);
		s->is_over |= e->kind == STREAM_RESET;
	}
}

static void take_calls(struct app *a)
{
	struct stream *stream;

	while (a->n < OPEN && (stream = stream_next_call(a->end))) {
		struct served *s = &a->open[a->n++];
		long number = number_in(stream_next_event(stream), " number=");

		ck_assert(number >= 0 && number < (long)soak.n_calls);
		*s = (struct served){.stream = stream, .call = (unsigned)number};
		if (stream_family(a->end) == GRPC && chance(10))
			hold(stream);
	}
}

static void finish_served(struct served *s)
{
	char keys[32];

	snprintf(keys, sizeof keys, "count=%u", s->said);
	s->is_over = true;
	if (!s->has_begun)
		head(s->stream);
	finish(s->stream, .keys = keys, .status = chance(80) ? 0 : 5, .text = "why");
}

static void served_acts(struct served *s, enum stream_family family)
{
	unsigned how = below(100);

	if (s->is_over)
		return;
	if (family == GRPC && chance(20))
		release(s->stream);
	if (how < 3) {
		s->is_over = true;
		give_up(s->stream, family == GRPC ? (chance(50) ? H2_REFUSED : 2) : 12011);
	} else if (how < 6 && !s->has_begun) {
		s->is_over = true;
		refuse(s->stream, .status = 7, .text = "no");
	} else if (how < 30) {
		finish_served(s);
	} else if (how < 70) {
		if (!s->has_begun)
			head(s->stream);
		s->has_begun = true;
		say_message(s->stream, 'r', s->call, s->said++, false);
	}
}

static void app_is_gone(struct app *a)
{
	fake_forget(net_of(a->end));
	stream_end_forget(a->end);
	*a = (struct app){0};
}

static void app_hears(struct app *a)
{
	unsigned kept = 0;

	take_calls(a);
	for (unsigned i = 0; i < a->n; i++) {
		served_hears(&a->open[i]);
		if (!a->open[i].is_over)
			a->open[kept++] = a->open[i];
	}
	a->n = kept;
}

static void app_acts(struct app *a)
{
	enum stream_family family = stream_family(a->end);

	if (chance(50))
		fake_connected(net_of(a->end)); /* if it hangs */
	app_hears(a);
	if (a->is_done)
		return;
	if (chance(10))
		gather(a->end);
	if (a->n)
		served_acts(&a->open[below(a->n)], family);
	if (chance(40))
		let_go(a->end);
	if (chance(2))
		fake_take(net_of(a->end), chance(60) ? FAKE_ALL : below(3000));
	if (family == GRPC && below(1000) < 4)
		say_goaway(a->end, a->n ? a->open[below(a->n)].stream : NULL);
	if (family == GRPC && below(1000) < 4)
		allow_streams(a->end, below(4));
	if (below(1000) < 8)
		end_somehow(net_of(a->end), &a->is_done);
}

/* The proxy tells by its first bytes what it speaks. */
static struct stream_end *accept_one(void)
{
	struct fake_end *net = fake_accept(sim_loop());

	return net ? stream_wrap(net, soak.has_both ? stream_guess(net) : soak.family) : NULL;
}

static void accept_all(void)
{
	for (size_t i = 0; i < APPS; i++) {
		struct app *a = &soak.apps[i];

		if (a->end && fake_is_over(net_of(a->end)))
			app_is_gone(a);
		if (a->end == NULL)
			a->end = accept_one();
		if (a->end == NULL)
			continue;
	}
}

/* ---- a run ---- */

static void disturb(void)
{
	static const enum fake_connect kinds[] = {FAKE_HANGS, FAKE_REFUSED, FAKE_NO_DESCRIPTOR};
	struct sim_setup setup = *soak.setup;

	if (chance(3))
		fake_script(sim_loop(), kinds[below(ARRAY_LEN(kinds))], 1 + below(3));
	if (below(1000) < 3) {
		setup.first = 1 + below(3);
		sim_reload(&setup);
	}
}

static void step(void)
{
	disturb();
	accept_all();
	for (size_t i = 0; i < CALLERS; i++)
		if (chance(30))
			caller_acts(&soak.callers[i]);
	for (size_t i = 0; i < APPS; i++)
		if (soak.apps[i].end && chance(40))
			app_acts(&soak.apps[i]);
	if (chance(50))
		stream_settle();
	else
		let_pass(below(12));
}

#define TIMES                                                                                      \
	"timeout: {call: 200ms, connect: 50ms, attempt: 100ms, stream: 2s, idle: 1s}, eject: none, "
#define ANY_METHOD "methods: {'*': {idempotent: true}}, "
#define OTHER      "other: {endpoints: ['10.0.1.1:80'], " TIMES "retry: none}"
#define TO_OTHER   "to: {service: other}"
#define QUEUE      "limit: {concurrency: 9, queue: {length: 5, wait: 60ms}}"

static void begin_run(int run)
{
	static const struct sim_setup setups[SETUPS] = {
	    {.service = "timeout: {call: 200ms, connect: 50ms, stream: 2s, idle: 1s}",
		.listener = "timeout: {write_stall: 500ms}",
		.endpoints = 2},
	    {.service = "timeout: {connect: 50ms, attempt: 100ms, stream: 2s}, "
			"retry: {buffer: 10KiB}, pool: {idle_timeout: 100ms}",
		.listener = "timeout: {write_stall: 500ms}, max_age: 3s",
		.endpoints = 3},
	    {.service =
		    "timeout: {call: 200ms, connect: 50ms, stream: 2s, idle: 1s}, eject: none, "
		    "limit: {concurrency: 12, queue: {length: 8, wait: 60ms}, rate: 900/s}, "
		    "breaker: {error_rate: 90%, min_samples: 50, window: 1s, open: 50ms, probe: 10ms}, "
		    "methods: {Quote: {limit: {concurrency: 9, queue: {length: 3, wait: 30ms}}}}",
		.listener = "timeout: {write_stall: 500ms}",
		.endpoints = 2},
	    {.service = TIMES ANY_METHOD
		"retry: {type: mixed, delay: 10ms, attempts: 3, backoff: 3ms, budget: none, on: "
		"[connect, unsent, reset, timeout, 'grpc:5,7']}, " QUEUE,
		.listener = "timeout: {write_stall: 500ms}",
		.endpoints = 3},
	    {.service = TIMES ANY_METHOD
		"routes: [{mirror: {service: other}}], "
		"retry: {type: backup, delay: 5ms, budget: none, buffer: 1KiB}",
		.listener = "timeout: {write_stall: 500ms}",
		.services = OTHER,
		.endpoints = 2},
	    {.service = TIMES ANY_METHOD
		"retry: {type: fork, buffer: 10KiB}, " QUEUE ", "
		"routes: [{mirror: {service: other}, fault: {delay: {for: 20ms, percent: 50%}}}], "
		"fallback: {on: [any], " TO_OTHER "}",
		.listener = "timeout: {write_stall: 500ms}",
		.services = OTHER,
		.endpoints = 3},
	    {.service = TIMES ANY_METHOD "retry: broadcast, " QUEUE ", "
					 "routes: [{fault: {delay: {for: 20ms, percent: 50%}}}]",
		.listener = "timeout: {write_stall: 500ms}",
		.endpoints = 2},
	    {.service = TIMES ANY_METHOD
		"retry: {on: [connect, unsent, reset, 'grpc:7'], attempts: 4, backoff: {min: 1ms, max: 9ms}}, "
		"breaker: {error_rate: 90%, min_samples: 50, window: 1s, open: 50ms, probe: 10ms}, "
		"fallback: {on: [any], " TO_OTHER
		"}, routes: [{mirror: {service: other, percent: 30%}}]",
		.listener = "timeout: {write_stall: 500ms}, max_age: 3s",
		.services = OTHER,
		.endpoints = 3},
	};
	const char *seed = getenv("SIM_SEED");

	soak.seed = (seed ? strtoul(seed, NULL, 10) : 1) * 1000 + (unsigned)run;
	soak.setup = &setups[run % SETUPS];
	soak.has_both = run % 3 == 2;
	soak.family = run % 3 == 1 ? TTS : GRPC;
	rng_init(&soak.rng, soak.seed);
	printf("seed %lu\n", soak.seed); /* in the log of a run that crashes, too */
	fflush(stdout);
	sim_start(soak.setup);
}

/* Everybody reads again, and nobody says anything more: all that runs has a time. */
static void let_all_end(void)
{
	for (size_t i = 0; i < CALLERS; i++) {
		struct caller *c = &soak.callers[i];

		if (c->end == NULL)
			continue;
		fake_take(net_of(c->end), FAKE_ALL);
		let_go(c->end);
	}
	accept_all();
	for (size_t i = 0; i < APPS; i++) {
		if (soak.apps[i].end == NULL)
			continue;
		fake_take(net_of(soak.apps[i].end), FAKE_ALL);
		let_go(soak.apps[i].end);
	}
	let_pass(5000);
	accept_all();
}

static void check_caller(struct caller *c)
{
	if (c->end == NULL || c->is_done || fake_is_over(net_of(c->end)))
		return;
	for (unsigned i = 0; i < c->n; i++) {
		const struct call *call = &soak.calls[c->open[i]];

		call_hears(c->open[i]);
		if (goaways(c->end) && (int32_t)stream_number(call->stream) > goaway_last(c->end))
			continue;
		ck_assert_msg(call->ends == 1 || call->has_given_up,
		    "seed %lu: call %u has no end (said %u, heard %u)", soak.seed, c->open[i],
		    call->said, call->heard);
	}
}

static void check_app(struct app *a)
{
	if (a->end == NULL || a->is_done || fake_is_over(net_of(a->end)))
		return;
	app_hears(a);
	ck_assert_msg(
	    a->n == 0, "seed %lu: call %u has no end at its endpoint", soak.seed, a->open[0].call);
}

static bool has_seen_enough(void)
{
	return soak.n_good > STEPS / 100 && soak.n_reset > 0;
}

START_TEST(every_stream_ends_once_at_both_ends_and_nothing_is_torn_or_left_behind)
{
	const char *only = getenv("SIM_RUN");

	if (only && atoi(only) != _i)
		return;
	begin_run(_i);
	/* A broadcast is good only where all answers are: some runs need more steps for as many. */
	for (int i = 0; i < STEPS || (i < 10 * STEPS && !has_seen_enough()); i++)
		step();
	ck_assert_uint_gt(soak.n_good, STEPS / 100); /* many wait for ends that never come */
	ck_assert_uint_gt(soak.n_failed, STEPS / 50);
	ck_assert_uint_gt(soak.n_reset, 0);
	if (_i / SETUPS) {
		sim_stop(); /* in the middle of it */
		return;
	}
	let_all_end();
	for (size_t i = 0; i < CALLERS; i++)
		check_caller(&soak.callers[i]);
	for (size_t i = 0; i < APPS; i++)
		check_app(&soak.apps[i]);
	ck_assert_uint_eq(in_flight(), 0);
	ck_assert_uint_eq(counter_get(&sim_worker()->calls_running), 0);
	ck_assert_uint_eq(atomic_load(&sim_worker()->shares->memory), 0);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {every_stream_ends_once_at_both_ends_and_nothing_is_torn_or_left_behind, RUNS},
	};

	return stream_main("sim_stream_soak", tests, ARRAY_LEN(tests));
}
