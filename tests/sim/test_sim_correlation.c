/*
 * Calls of an application, tied to the one that it answers meanwhile: from worker to worker, as
 * long as that one is in flight, and never where another might be meant.
 */
#include <check.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/rng.h"
#include "net/loop.h"
#include "proxy/correlation.h"
#include "support/sim.h"

#define APP 100 /* its process */
/* Calls of Out go on to another service. */
#define OUT                                                                                        \
	"correlate: connection, protocol: framed, "                                                \
	"routes: [{match: {method: Out}, to: {service: mesh}}, {}]"
#define MESH_SERVICE "mesh: {endpoints: [\"10.9.9.9:80\"], protocol: ttheader}"
#define CARRIED      "RPC_PERSIST_k=v RPC_TRANSIT_t=no 2=log-1"
#define IS_TIED      "RPC_PERSIST_k=v 2=log-1 20=Echo !RPC_TRANSIT_t"
#define IS_UNTIED    "!RPC_PERSIST_k !20"

static struct fake_end *app, *mesh;

static void begin_with(const struct sim_setup *setup)
{
	struct sim_setup s = *setup;

	app = mesh = NULL;
	s.is_local = true;
	s.service = s.service ? s.service : OUT;
	s.services = s.services ? s.services : MESH_SERVICE;
	sim_start(&s);
	start_second_worker();
	apps_run_as(APP);
}

#define begin(...) begin_with(&(struct sim_setup){__VA_ARGS__})

/* A call that the application has got, and answers when it is told to. */
static struct fake_end *ask(int seq, const char *keys)
{
	struct fake_end *caller = dial();

	say(caller, TTHEADER, .seq = seq, .keys = keys);
	app = accepted();
	hear(app, FRAMED, .seq = seq);
	return caller;
}

static void answer(struct fake_end *caller, int seq)
{
	say(app, FRAMED, .seq = seq);
	hear(caller, TTHEADER, .seq = seq);
}

/* What arrives of a call that the process makes. */
static void call_out(unsigned worker, int process, const char *expected)
{
	struct fake_end *out = dial_process(worker, "in", process);

	say(out, FRAMED, .seq = 7, .method = "Out");
	mesh = accepted();
	hear(mesh, TTHEADER_FRAMED, .seq = 7, .method = "Out", .keys = expected);
	say(mesh, TTHEADER_FRAMED, .seq = 7, .method = "Out");
	hear(out, FRAMED, .seq = 7, .method = "Out");
	hang_up(mesh);
}

static uint64_t counted(enum correlation_result result)
{
	uint64_t n = counter_get(&sim_stats()->correlated[result]);

	return n + counter_get(
		       &worker_service_stats(sim_second(), SLICE_LIT("app"))->correlated[result]);
}

START_TEST(a_call_is_tied_to_the_only_one_in_flight_on_whichever_worker)
{
	struct fake_end *caller;

	begin();
	caller = ask(1, CARRIED);
	call_out(0, APP, IS_TIED);
	call_out(1, APP, IS_TIED);
	answer(caller, 1);
	call_out(0, APP, IS_UNTIED);
	ck_assert_uint_eq(counted(CORRELATION_TIED), 2);
	ck_assert_uint_eq(counted(CORRELATION_NONE), 1);
}
END_TEST

START_TEST(other_processes_are_strangers)
{
	begin();
	ask(1, CARRIED);
	call_out(0, APP + 1, IS_UNTIED);
	for (int i = 0; i < CORRELATION_COUNTED; i++)
		ck_assert_uint_eq(counted((enum correlation_result)i), 0);
}
END_TEST

START_TEST(callers_on_tcp_have_no_process)
{
	struct fake_end *out;

	begin();
	ask(1, CARRIED);
	out = dial();
	say(out, FRAMED, .seq = 7, .method = "Out");
	hear(accepted(), TTHEADER_FRAMED, .seq = 7, .method = "Out", .keys = IS_UNTIED);
}
END_TEST

START_TEST(endpoints_whose_process_is_not_known_tie_nothing)
{
	begin();
	apps_run_as(0); /* in another namespace */
	ask(1, CARRIED);
	call_out(0, APP, IS_UNTIED);
}
END_TEST

START_TEST(of_two_in_flight_neither_is_meant)
{
	struct fake_end *first, *second, *one, *two;

	begin();
	first = ask(1, CARRIED);
	one = app;
	second = ask(2, "RPC_PERSIST_k=other 2=log-2");
	two = app;
	call_out(1, APP, IS_UNTIED);
	ck_assert_uint_eq(counted(CORRELATION_SEVERAL), 1);
	app = two;
	answer(second, 2);
	call_out(1, APP, IS_TIED);
	app = one;
	answer(first, 1);
}
END_TEST

START_TEST(a_call_is_in_flight_until_its_reply_is_whole)
{
	struct fake_end *caller;

	begin();
	caller = ask(1, CARRIED);
	say_part(app, 0, 100000, FRAMED, .seq = 1, .fill = 200000);
	call_out(0, APP, IS_TIED);
	say_part(app, 100000, 0, FRAMED, .seq = 1, .fill = 200000);
	hear(caller, TTHEADER, .seq = 1, .fill = 200000);
	call_out(0, APP, IS_UNTIED);
}
END_TEST

START_TEST(the_rest_of_its_callers_time_is_what_the_next_has)
{
	struct fake_end *out;

	begin();
	ask(1, "12=1000 RPC_PERSIST_k=v");
	pass(400);
	call_out(0, APP, "12=600");
	out = dial_process(0, "open", APP);
	say(out, TTHEADER, .seq = 8, .keys = "6=mesh 12=500");
	mesh = accepted();
	hear(mesh, TTHEADER, .seq = 8, .keys = "12=500 RPC_PERSIST_k=v");
	hang_up(out);
	out = dial_process(0, "open", APP);
	say(out, TTHEADER, .seq = 9, .keys = "6=mesh 12=90000");
	mesh = accepted();
	hear(mesh, TTHEADER, .seq = 9, .keys = "12=600");
	pass(604); /* it is ended by that time, too */
	hear_nothing(out);
	pass(1);
	hear_failure(out, REASON_CALLER_DEADLINE, TTHEADER, .seq = 9);
}
END_TEST

START_TEST(what_was_given_up_may_run_on_for_as_long_as_it_had)
{
	struct fake_end *caller, *gone;

	begin(.service = OUT ", timeout: {call: 100ms}");
	gone = ask(1, CARRIED);
	pass(100);
	hear_failure(gone, REASON_TIMEOUT, TTHEADER, .seq = 1);
	hear_end(app);
	call_out(0, APP, IS_UNTIED);
	pass(60);
	caller = ask(2, CARRIED);
	call_out(0, APP, IS_UNTIED);
	ck_assert_uint_eq(counted(CORRELATION_SEVERAL), 1);
	pass(39);
	call_out(0, APP, IS_UNTIED);
	pass(1);
	call_out(0, APP, IS_TIED);
	answer(caller, 2);
}
END_TEST

START_TEST(a_caller_that_is_gone_leaves_its_call_running)
{
	struct fake_end *caller, *first;

	begin();
	caller = ask(1, CARRIED);
	first = app;
	reset(caller);
	call_out(0, APP, IS_UNTIED);
	caller = ask(2, CARRIED);
	call_out(0, APP, IS_UNTIED);
	ck_assert_uint_eq(counted(CORRELATION_SEVERAL), 1);
	say(first, FRAMED, .seq = 1); /* nobody wants it, but now it is over */
	call_out(0, APP, IS_TIED);
	answer(caller, 2);
}
END_TEST

START_TEST(what_nobody_answers_may_run_on_when_its_connection_is_gone)
{
	struct fake_end *caller, *first;

	begin(.service = OUT ", timeout: {call: 100ms}");
	caller = ask(1, CARRIED);
	first = app;
	pass(50);
	reset(caller);
	hang_up(first);
	caller = ask(2, CARRIED);
	pass(99);
	call_out(0, APP, IS_UNTIED);
	answer(caller, 2);
	pass(1);
	hang_up(app);
	caller = ask(3, CARRIED);
	call_out(0, APP, IS_TIED);
	answer(caller, 3);
}
END_TEST

START_TEST(a_slower_attempt_counts_until_it_is_answered)
{
	struct fake_end *caller, *slow, *fast;

	begin(.service = OUT ", retry: {type: backup, delay: 10ms, unsafe: true}", .endpoints = 2);
	caller = ask(1, CARRIED);
	slow = app;
	pass(10);
	fast = accepted();
	hear(fast, FRAMED, .seq = 1);
	call_out(0, APP, IS_UNTIED);
	say(fast, FRAMED, .seq = 1);
	hear(caller, TTHEADER, .seq = 1);
	hang_up(fast);
	call_out(0, APP, IS_UNTIED); /* its call has ended */
	caller = ask(2, CARRIED);
	call_out(0, APP, IS_UNTIED);
	ck_assert_uint_eq(counted(CORRELATION_SEVERAL), 2);
	say(slow, FRAMED, .seq = 1);
	call_out(0, APP, IS_TIED);
	answer(caller, 2);
}
END_TEST

START_TEST(a_oneway_may_run_for_its_time)
{
	struct fake_end *caller = NULL;

	begin(.service = OUT ", methods: {Tell: {timeout: {call: 50ms}}}");
	caller = dial();
	say(caller, TTHEADER, .seq = 1, .kind = ONEWAY, .method = "Tell", .keys = CARRIED);
	hear(accepted(), FRAMED, .seq = 1, .kind = ONEWAY, .method = "Tell");
	call_out(0, APP, IS_UNTIED);
	caller = ask(2, CARRIED);
	call_out(0, APP, IS_UNTIED);
	pass(50);
	call_out(0, APP, IS_TIED);
	answer(caller, 2);
}
END_TEST

START_TEST(a_oneway_is_tied_to_nothing)
{
	struct fake_end *out;

	begin();
	ask(1, CARRIED);
	out = dial_process(0, "in", APP);
	say(out, FRAMED, .seq = 7, .method = "Out", .kind = ONEWAY);
	hear(accepted(), TTHEADER_FRAMED, .seq = 7, .method = "Out", .kind = ONEWAY,
	    .keys = IS_UNTIED);
}
END_TEST

/* The pooled connection is found dead when it is written to: the call leaves once. */
START_TEST(a_call_that_left_on_the_second_connection_is_in_flight_once)
{
	struct fake_end *caller;

	begin();
	caller = ask(1, CARRIED);
	answer(caller, 1);
	hang_up(app);
	caller = ask(2, CARRIED);
	call_out(0, APP, IS_TIED);
	answer(caller, 2);
	call_out(0, APP, IS_UNTIED);
	ck_assert_uint_eq(counted(CORRELATION_NONE), 1);
}
END_TEST

START_TEST(an_application_with_another_process_is_another)
{
	struct fake_end *caller;

	begin();
	caller = ask(1, CARRIED);
	answer(caller, 1);
	hang_up(app);
	apps_run_as(APP + 1);
	caller = ask(2, CARRIED);
	call_out(0, APP, IS_UNTIED);
	call_out(0, APP + 1, IS_TIED);
	answer(caller, 2);
}
END_TEST

START_TEST(calls_of_services_that_do_not_correlate_count)
{
	struct fake_end *plain, *other, *caller;

	begin(.services = MESH_SERVICE
	      ", plain: {endpoints: [\"unix:/tmp/app-1.sock\"], protocol: framed}");
	plain = dial_to("open");
	say(plain, TTHEADER, .seq = 3, .keys = "6=plain RPC_PERSIST_k=v 2=log-1");
	other = accepted();
	hear(other, FRAMED, .seq = 3);
	call_out(0, APP, IS_UNTIED);
	caller = ask(1, CARRIED);
	call_out(0, APP, IS_UNTIED);
	say(other, FRAMED, .seq = 3);
	hear(plain, TTHEADER, .seq = 3);
	call_out(0, APP, IS_TIED);
	answer(caller, 1);
}
END_TEST

/* Its body may bring something of its own, which is known at its end. */
START_TEST(a_long_call_is_tied_when_it_has_come)
{
	struct fake_end *out;

	begin(.listener = "metadata: base255");
	ask(1, "12=5000 " CARRIED);
	out = dial_process(0, "in", APP);
	say_part(out, 0, 100000, FRAMED, .seq = 7, .method = "Out", .fill = 200000);
	no_connect();
	pass(1000);
	say_part(out, 100000, 0, FRAMED, .seq = 7, .method = "Out", .fill = 200000);
	hear(accepted(), TTHEADER_FRAMED, .seq = 7, .method = "Out", .fill = 200000,
	    .keys = "12=4000 " IS_TIED);
}
END_TEST

START_TEST(what_is_too_long_to_be_collected_is_tied_all_the_same)
{
	struct fake_end *out;

	begin(.listener = "metadata: base255", .services = MESH_SERVICE);
	ask(1, CARRIED);
	out = dial_process(0, "in", APP);
	say(out, FRAMED, .seq = 7, .method = "Out", .fill = 3000000);
	hear(accepted(), TTHEADER_FRAMED, .seq = 7, .method = "Out", .fill = 3000000,
	    .keys = IS_TIED);
}
END_TEST

START_TEST(after_a_reload_nothing_is_tied_before_all_that_ran_is_known)
{
	const char *off =
	    "protocol: framed, routes: [{match: {method: Out}, to: {service: mesh}}, {}]";
	struct fake_end *caller, *before, *caller_before;

	begin(.service = off);
	caller_before = ask(1, CARRIED);
	before = app;
	call_out(0, APP, IS_UNTIED);
	reload(.service = OUT, .services = MESH_SERVICE, .is_local = true);
	caller = ask(2, CARRIED);
	pass(1);
	call_out(0, APP, IS_UNTIED); /* the other is not in the table */
	say(before, FRAMED, .seq = 1);
	hear(caller_before, TTHEADER, .seq = 1);
	call_out(0, APP, IS_UNTIED);
	ck_assert_uint_eq(counted(CORRELATION_SEVERAL), 2);
	answer(caller, 2);
	hang_up(app);
	hang_up(before);
	pass(30000);
	caller = ask(3, CARRIED);
	call_out(0, APP, IS_TIED);
	reload(.service = off, .services = MESH_SERVICE, .is_local = true);
	call_out(0, APP, IS_UNTIED);
	ck_assert_uint_eq(counted(CORRELATION_TIED), 1);
	answer(caller, 3);
}
END_TEST

START_TEST(a_reload_that_leaves_it_on_changes_nothing)
{
	struct fake_end *caller;

	begin();
	caller = ask(1, CARRIED);
	reload(.service = OUT ", timeout: {call: 9s}", .services = MESH_SERVICE, .is_local = true);
	call_out(0, APP, IS_TIED);
	answer(caller, 1);
}
END_TEST

/* One that is asked by several callers, of whom some go away. */
struct crowd {
	struct rng rng;
	struct fake_end *callers[4], *apps[4]; /* NULL: has no call */
};

static void begin_call(struct crowd *c, unsigned i)
{
	char keys[64], method[24];

	snprintf(method, sizeof method, "M%u", i);
	snprintf(keys, sizeof keys, "RPC_PERSIST_k=%u 2=log-%u", i, i);
	c->callers[i] = dial();
	say(c->callers[i], TTHEADER, .seq = 1, .method = method, .keys = keys);
	c->apps[i] = accepted();
	hear(c->apps[i], FRAMED, .seq = 1, .method = method);
}

static void end_call(struct crowd *c, unsigned i)
{
	char method[24];

	snprintf(method, sizeof method, "M%u", i);
	say(c->apps[i], FRAMED, .seq = 1, .method = method);
	hear(c->callers[i], TTHEADER, .seq = 1, .method = method);
	c->callers[i] = NULL;
}

/* Then the time of all is up, and that for which they may run on. */
static void give_up(struct crowd *c, unsigned i)
{
	reset(c->callers[i]);
	call_out(0, APP, IS_UNTIED);
	pass(20);
	call_out(0, APP, IS_UNTIED);
	pass(20);
	memset(c->callers, 0, sizeof c->callers);
}

static void must_tie_the_only_one(struct crowd *c, unsigned worker)
{
	char expected[64] = IS_UNTIED;
	unsigned n = 0;

	for (unsigned i = 0; i < ARRAY_LEN(c->callers); i++)
		n += c->callers[i] != NULL;
	for (unsigned i = 0; i < ARRAY_LEN(c->callers) && n == 1; i++)
		if (c->callers[i])
			snprintf(
			    expected, sizeof expected, "RPC_PERSIST_k=%u 2=log-%u 20=M%u", i, i, i);
	call_out(worker, APP, expected);
}

static void play(struct crowd *c)
{
	unsigned i = (unsigned)rng_below(&c->rng, ARRAY_LEN(c->callers));

	if (c->callers[i] == NULL && rng_chance(&c->rng, 0.6))
		begin_call(c, i);
	else if (c->callers[i] && rng_chance(&c->rng, 0.6))
		end_call(c, i);
	else if (c->callers[i] && rng_chance(&c->rng, 0.3))
		give_up(c, i);
}

START_TEST(no_call_is_ever_tied_to_another)
{
	for (uint64_t seed = 1; seed <= 4; seed++) {
		struct crowd c = {.callers = {NULL}};

		begin(.service = OUT ", timeout: {call: 20ms}, pool: {keep: 0}");
		rng_init(&c.rng, seed);
		for (unsigned round = 0; round < 150; round++) {
			play(&c);
			must_tie_the_only_one(&c, round & 1);
		}
		ck_assert_uint_gt(counted(CORRELATION_TIED), 9);
		ck_assert_uint_gt(counted(CORRELATION_SEVERAL), 9);
		sim_stop_quietly();
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    a_call_is_tied_to_the_only_one_in_flight_on_whichever_worker,
	    other_processes_are_strangers,
	    callers_on_tcp_have_no_process,
	    endpoints_whose_process_is_not_known_tie_nothing,
	    of_two_in_flight_neither_is_meant,
	    a_call_is_in_flight_until_its_reply_is_whole,
	    the_rest_of_its_callers_time_is_what_the_next_has,
	    what_was_given_up_may_run_on_for_as_long_as_it_had,
	    a_caller_that_is_gone_leaves_its_call_running,
	    what_nobody_answers_may_run_on_when_its_connection_is_gone,
	    a_slower_attempt_counts_until_it_is_answered,
	    a_oneway_may_run_for_its_time,
	    a_oneway_is_tied_to_nothing,
	    a_call_that_left_on_the_second_connection_is_in_flight_once,
	    an_application_with_another_process_is_another,
	    calls_of_services_that_do_not_correlate_count,
	    a_long_call_is_tied_when_it_has_come,
	    what_is_too_long_to_be_collected_is_tied_all_the_same,
	    after_a_reload_nothing_is_tied_before_all_that_ran_is_known,
	    a_reload_that_leaves_it_on_changes_nothing,
	    no_call_is_ever_tied_to_another,
	};

	return sim_main("sim_correlation", tests, ARRAY_LEN(tests));
}
