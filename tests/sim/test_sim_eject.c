/* Endpoints that fail again and again are left out for a while, but never too many of them. */
#include <check.h>
#include <stdio.h>

#include "base/mem.h"
#include "proxy/world.h"
#include "support/sim.h"
#include "support/stream_end.h"

#define ONE_TRY "retry: none, "

/* One call that its endpoint breaks off; gives the endpoint's address. */
static void break_off(struct fake_end *caller, char *address, size_t size)
{
	struct fake_end *app;

	say(caller, FRAMED, .seq = 7);
	app = accepted();
	snprintf(address, size, "%.63s", fake_address(app)->text);
	hear(app, FRAMED, .seq = 7);
	reset(app);
	hear_failure(caller, REASON_RESET, FRAMED, .seq = 7);
	fake_forget(app);
}

static void answer_well(struct fake_end *caller, char *address, size_t size)
{
	struct fake_end *app;

	say(caller, FRAMED, .seq = 7);
	app = accepted();
	snprintf(address, size, "%.63s", fake_address(app)->text);
	hear(app, FRAMED, .seq = 7);
	say(app, FRAMED, .seq = 7);
	hear(caller, FRAMED, .seq = 7);
	hang_up(app);
	fake_forget(app);
}

START_TEST(an_endpoint_that_failed_five_times_is_left_out_for_a_while)
{
	char bad[64], at[64];
	struct fake_end *caller;
	unsigned fails = 0;

	start(.endpoints = 4, .service = ONE_TRY "eject: {for: 10s}");
	caller = dial();
	break_off(caller, bad, sizeof bad);
	for (int i = 0; i < 16; i++) { /* round robin: it gets each fourth */
		say(caller, FRAMED, .seq = 7);
		struct fake_end *app = accepted();
		bool is_bad = strcmp(fake_address(app)->text, bad) == 0;

		hear(app, FRAMED, .seq = 7);
		if (is_bad) {
			reset(app);
			hear_failure(caller, REASON_RESET, FRAMED, .seq = 7);
			fails++;
		} else {
			say(app, FRAMED, .seq = 7);
			hear(caller, FRAMED, .seq = 7);
			hang_up(app);
		}
		fake_forget(app);
	}
	ck_assert_uint_eq(fails, 4);
	for (int i = 0; i < 12; i++) {
		answer_well(caller, at, sizeof at);
		ck_assert_str_ne(at, bad);
	}
	pass(10000);
	for (int i = 0, seen = 0; i < 4; i++) {
		answer_well(caller, at, sizeof at);
		seen += strcmp(at, bad) == 0;
		ck_assert(i < 3 || seen == 1);
	}
	sim_stop_quietly();
}
END_TEST

START_TEST(not_all_are_ever_left_out)
{
	for (unsigned n = 1; n <= 10; n++) {
		unsigned times[11] = {0}, out = 0;
		struct fake_end *caller;
		char at[64];

		start(.endpoints = n, .service = ONE_TRY "eject: {consecutive: 2, for: 1h}");
		caller = dial();
		for (unsigned i = 0; i < n * 4; i++)
			break_off(caller, at, sizeof at);
		for (unsigned i = 0; i < n * 4; i++) {
			unsigned last;

			answer_well(caller, at, sizeof at);
			ck_assert_int_eq(sscanf(strrchr(at, '.'), ".%u", &last), 1);
			times[last <= 10 ? last : 0]++;
		}
		for (unsigned i = 1; i <= n; i++)
			out += times[i] == 0;
		ck_assert_uint_le(out, n * 3 / 10 > 1 ? n * 3 / 10 : 1);
		ck_assert_uint_lt(out, n);
		ck_assert_uint_ge(out, n > 1);
		sim_stop_quietly();
	}
}
END_TEST

START_TEST(exceptions_do_not_count)
{
	char at[64], first[64] = "";
	struct fake_end *caller;
	bool others = false;

	start(.endpoints = 2, .service = ONE_TRY "eject: {consecutive: 1, for: 1h}");
	caller = dial();
	for (int i = 0; i < 8; i++) {
		struct fake_end *app;

		say(caller, FRAMED, .seq = 7);
		app = accepted();
		snprintf(at, sizeof at, "%.63s", fake_address(app)->text);
		hear(app, FRAMED, .seq = 7);
		say(app, FRAMED, .kind = EXCEPTION, .seq = 7, .id = 6, .text = "no");
		hear(caller, FRAMED, .kind = EXCEPTION, .seq = 7, .id = 6, .text = "no");
		hang_up(app);
		fake_forget(app);
		if (i == 0)
			snprintf(first, sizeof first, "%s", at);
		others |= i >= 2 && strcmp(first, at) != 0;
		if (i >= 2)
			ck_assert(i % 2 ? strcmp(first, at) != 0 : strcmp(first, at) == 0);
	}
	ck_assert(others);
	sim_stop_quietly();
}
END_TEST

static unsigned ejected(void)
{
	const struct service *s = &sim_worker()->world->snapshot->services[0];
	unsigned n = 0;

	for (size_t i = 0; i < s->n_endpoints; i++)
		n += endpoint_tally_is_ejected(s->endpoint_tallies[i], sim_now());
	return n;
}

/* The endpoint that is asked answers after @took; at 0 never, and its caller's time is up. */
static void ask(struct fake_end *caller, unsigned ms, unsigned took)
{
	struct fake_end *app;
	char stated[16];

	snprintf(stated, sizeof stated, "12=%u", ms);
	say(caller, TTHEADER, .seq = 7, .keys = stated);
	app = accepted();
	hear(app, TTHEADER, .seq = 7);
	pass(took ? took : ms + 6);
	if (took) {
		say(app, TTHEADER, .seq = 7);
		hear(caller, TTHEADER, .seq = 7);
	} else {
		hear_failure(caller, REASON_CALLER_DEADLINE, TTHEADER, .seq = 7);
	}
	hang_up(app);
	fake_forget(app);
}

START_TEST(callers_that_leave_no_time_eject_nobody)
{
	struct fake_end *caller;

	start(.endpoints = 2, .service = ONE_TRY "eject: {consecutive: 1, for: 1h}");
	caller = dial();
	for (int i = 0; i < 10; i++) {
		ask(caller, 1, 0);
		ck_assert_uint_eq(ejected(), 0);
	}
	ask(caller, 1000, 50); /* both take as long as that */
	ask(caller, 1000, 50);
	for (int i = 0; i < 10; i++)
		ask(caller, 60, 0);
	ck_assert_uint_eq(ejected(), 0);
	ask(caller, 200, 0);
	ck_assert_uint_eq(ejected(), 1);
	sim_stop_quietly();
}
END_TEST

START_TEST(an_endpoint_that_never_answered_is_ejected_by_callers_that_waited)
{
	struct fake_end *caller;

	start(.endpoints = 2, .service = ONE_TRY "eject: {consecutive: 1, for: 1h}");
	caller = dial();
	ask(caller, 90, 0);
	ck_assert_uint_eq(ejected(), 0);
	ask(caller, 100, 0);
	ck_assert_uint_eq(ejected(), 1);
	sim_stop_quietly();
}
END_TEST

START_TEST(callers_that_do_not_send_all_eject_nobody)
{
	struct fake_end *caller, *app;

	start(.endpoints = 2,
	    .service = ONE_TRY "timeout: {attempt: 50ms}, eject: {consecutive: 1, for: 1h}");
	for (int i = 0; i < 4; i++) {
		caller = dial();
		say_part(caller, 0, -5, FRAMED, .seq = 7, .fill = 300000);
		app = accepted();
		pass(60);
		hear_failure(caller, REASON_TIMEOUT, FRAMED, .seq = 7);
		hang_up(caller);
		fake_forget(app);
	}
	ck_assert_uint_eq(ejected(), 0);
	caller = dial();
	say(caller, FRAMED, .seq = 7, .fill = 300000);
	app = accepted();
	pass(60);
	hear_failure(caller, REASON_TIMEOUT, FRAMED, .seq = 7);
	ck_assert_uint_eq(ejected(), 1);
	sim_stop_quietly();
}
END_TEST

START_TEST(what_is_ejected_stays_so_over_a_reload)
{
	char bad[64], at[64];
	struct fake_end *caller;

	start(.endpoints = 2, .service = ONE_TRY "eject: {consecutive: 1, for: 1h}");
	caller = dial();
	break_off(caller, bad, sizeof bad);
	reload(.endpoints = 2, .service = ONE_TRY "eject: {consecutive: 1, for: 1h}");
	for (int i = 0; i < 6; i++) {
		answer_well(caller, at, sizeof at);
		ck_assert_str_ne(at, bad);
	}
	sim_stop_quietly();
}
END_TEST

START_TEST(a_full_accept_queue_ejects_nobody)
{
	char at[64], first[64];
	struct fake_end *caller;

	start(.endpoints = 2, .is_local = true,
	    .service = ONE_TRY "eject: {consecutive: 1, for: 1h}, timeout: {connect: 10ms}");
	caller = dial();
	for (int i = 0; i < 2; i++) { /* one for each endpoint */
		fake_script(sim_loop(), FAKE_BACKLOG, 4);
		say(caller, FRAMED, .seq = 7);
		pass(10);
		hear_failure(caller, REASON_CONNECT_FAILED, FRAMED, .seq = 7);
	}
	ck_assert_uint_eq(fake_connects(sim_loop()), 8);
	answer_well(caller, first, sizeof first);
	answer_well(caller, at, sizeof at);
	ck_assert_str_ne(at, first);
	sim_stop_quietly();
}
END_TEST

START_TEST(a_want_of_descriptors_is_no_fault_of_the_endpoints)
{
	char at[64], first[64];
	struct fake_end *caller;

	start(.endpoints = 2, .service = ONE_TRY "eject: {consecutive: 1, for: 1h}, "
						 "breaker: {min_samples: 1, error_rate: 1%}");
	caller = dial();
	for (int i = 0; i < 4; i++) {
		fake_script(sim_loop(), FAKE_NO_DESCRIPTOR, 1);
		say(caller, FRAMED, .seq = 7);
		hear_failure(caller, REASON_CONNECT_FAILED, FRAMED, .seq = 7);
	}
	answer_well(caller, first, sizeof first);
	answer_well(caller, at, sizeof at);
	ck_assert_str_ne(at, first);
	sim_stop_quietly();
}
END_TEST

/* ---- business errors ---- */

#define SICK "@1=sick @2=5003"

/* One call, which is answered so; gives the endpoint's address. */
static void answer_with(struct fake_end *caller, enum sim_form form, const struct sim_frame *reply,
    char *address, size_t size)
{
	struct sim_frame whole = *reply;
	struct fake_end *app;

	whole.form = form;
	whole.seq = 7;
	say(caller, form, .seq = 7, .base = "@2=cart", .keys = "3=cart");
	app = accepted();
	snprintf(address, size, "%.63s", fake_address(app)->text);
	hear(app, form, .seq = 7);
	sim_say(app, &whole, 0, SIZE_MAX);
	hear(caller, form, .seq = 7, .kind = reply->kind);
	hang_up(app);
	fake_forget(app);
}

START_TEST(business_errors_that_are_named_count)
{
	static const struct {
		enum sim_form form;
		struct sim_frame reply;
	} rows[] = {
	    {FRAMED, {.base = SICK}},
	    {TTHEADER, {.base = SICK}},
	    {TTHEADER, {.keys = "biz-status=5003 biz-message=sick"}},
	    {FRAMED, {.base = "@2=-3"}},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct fake_end *caller;
		char bad[64], at[64];

		start(.endpoints = 2,
		    .service = ONE_TRY
		    "metadata: base255, eject: {on: ['biz:-3,5003'], consecutive: 1, for: 1h}");
		caller = dial();
		answer_with(caller, rows[i].form, &rows[i].reply, bad, sizeof bad);
		ck_assert_uint_eq(ejected(), 1);
		logged("reason=biz_error");
		for (int k = 0; k < 3; k++) {
			answer_with(caller, FRAMED, &(struct sim_frame){.base = ""}, at, sizeof at);
			ck_assert_str_ne(at, bad);
		}
		sim_stop_quietly();
	}
}
END_TEST

START_TEST(other_business_errors_are_answers)
{
	static const struct sim_frame fine = {.base = "@2=0"}, sick = {.base = SICK},
				      other = {.base = "@2=4001"};
	const struct sim_frame *const replies[] = {&sick, &sick, &other, &sick, &sick, &fine};
	struct fake_end *caller;
	char at[64];

	start(.endpoints = 2, .service = ONE_TRY
			      "metadata: base255, "
			      "balance: {type: consistent_hash, key: caller}, "
			      "eject: {on: [reset, 'biz:5003'], consecutive: 3, for: 1h}");
	caller = dial();
	for (size_t i = 0; i < 2 * ARRAY_LEN(replies); i++) {
		answer_with(caller, FRAMED, replies[i % ARRAY_LEN(replies)], at, sizeof at);
		ck_assert_uint_eq(ejected(), 0); /* never three in a row */
	}
	for (int i = 0; i < 2; i++)
		answer_with(caller, FRAMED, &sick, at, sizeof at);
	ck_assert_uint_eq(ejected(), 0);
	answer_with(caller, FRAMED, &sick, at, sizeof at);
	ck_assert_uint_eq(ejected(), 1);
	sim_stop_quietly();
}
END_TEST

START_TEST(business_errors_that_are_not_named_never_count)
{
	static const struct sim_frame sick = {.base = SICK};
	struct fake_end *caller;
	char at[64];

	start(.endpoints = 2,
	    .service = ONE_TRY "metadata: base255, eject: {consecutive: 1, for: 1h}");
	caller = dial();
	for (int i = 0; i < 6; i++)
		answer_with(caller, FRAMED, &sick, at, sizeof at);
	ck_assert_uint_eq(ejected(), 0);
	sim_stop_quietly();
}
END_TEST

START_TEST(a_business_error_that_is_tried_again_counts_once)
{
	static const struct sim_frame sick = {.base = SICK};
	struct fake_end *caller, *app;
	char bad[64];

	start(.endpoints = 3,
	    .service = "methods: {'*': {idempotent: true}}, "
		       "retry: {on: ['biz:5003']}, metadata: base255, "
		       "eject: {on: ['biz:5003'], consecutive: 1, for: 1h, at_most: 100%}");
	caller = dial();
	say(caller, FRAMED, .seq = 7, .base = "");
	app = accepted();
	snprintf(bad, sizeof bad, "%.63s", fake_address(app)->text);
	hear(app, FRAMED, .seq = 7);
	say(app, FRAMED, .seq = 7, .base = sick.base);
	ck_assert_uint_eq(ejected(), 1);
	app = accepted();
	ck_assert_str_ne(fake_address(app)->text, bad);
	hear(app, FRAMED, .seq = 7);
	say(app, FRAMED, .seq = 7, .base = "@2=0"); /* by the same attempt, anew */
	hear(caller, FRAMED, .seq = 7);
	ck_assert_uint_eq(ejected(), 1);
	logged("reason=ok attempts=2");
}
END_TEST

START_TEST(a_long_reply_with_a_business_error_in_its_header_counts)
{
	struct fake_end *caller, *app;

	start(.endpoints = 2,
	    .service = ONE_TRY "eject: {on: ['biz:5003'], consecutive: 1, for: 1h}");
	caller = dial();
	say(caller, TTHEADER, .seq = 7);
	app = accepted();
	hear(app, TTHEADER, .seq = 7);
	say_part(app, 0, 100000, TTHEADER, .seq = 7, .fill = 200000, .keys = "biz-status=5003");
	ck_assert_uint_eq(ejected(), 0); /* it has not ended */
	say_part(app, 100000, 0, TTHEADER, .seq = 7, .fill = 200000, .keys = "biz-status=5003");
	hear(caller, TTHEADER, .seq = 7, .keys = "biz-status=5003");
	ck_assert_uint_eq(ejected(), 1);
}
END_TEST

START_TEST(a_business_error_in_trailers_of_grpc_counts)
{
	struct stream_end *caller;
	struct stream *said, *served;

	start(.endpoints = 2,
	    .service = ONE_TRY "eject: {on: ['biz:5003'], consecutive: 1, for: 1h}");
	caller = dial_streams(GRPC);
	said = begin(caller, .message = "x", .ends = true);
	served = hear_call(accepted_streams(GRPC));
	head(served, .message = "y");
	ck_assert_uint_eq(ejected(), 0);
	finish(served, .status = 13, .text = "sick", .keys = "biz-status=5003");
	hear_head(said);
	ck_assert_uint_eq(ejected(), 1);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    an_endpoint_that_failed_five_times_is_left_out_for_a_while,
	    not_all_are_ever_left_out,
	    exceptions_do_not_count,
	    callers_that_leave_no_time_eject_nobody,
	    an_endpoint_that_never_answered_is_ejected_by_callers_that_waited,
	    callers_that_do_not_send_all_eject_nobody,
	    what_is_ejected_stays_so_over_a_reload,
	    a_full_accept_queue_ejects_nobody,
	    a_want_of_descriptors_is_no_fault_of_the_endpoints,
	    business_errors_that_are_named_count,
	    other_business_errors_are_answers,
	    business_errors_that_are_not_named_never_count,
	    a_business_error_that_is_tried_again_counts_once,
	    a_long_reply_with_a_business_error_in_its_header_counts,
	    a_business_error_in_trailers_of_grpc_counts,
	};

	return sim_main("sim_eject", tests, ARRAY_LEN(tests));
}
