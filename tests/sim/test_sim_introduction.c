/* Connections that tell an application who is behind them: what they say, whose calls they carry,
 * and when they end. */
#include <stdio.h>

#include <check.h>

#include "base/mem.h"
#include "net/loop.h"
#include "support/bytes.h"
#include "support/sim.h"
#include "support/stream_end.h"
#include "wire/proxy_v2.h"

#define ON     "metadata: proxy_v2"
#define SIMPLY ON ", retry: none"

struct facts {
	struct proxy_v2_head head;
	uint8_t bytes[512];
	char text[512]; /* " 02=app e1=in" one after another, but for the connection's id */
	char id[20];
};

static struct facts facts, others;

static void note_value(struct facts *f, uint8_t type, struct slice value)
{
	size_t len = strlen(f->text);

	if (type == PROXY_V2_UNIQUE_ID)
		snprintf(f->id, sizeof f->id, "%.*s", (int)value.len, (const char *)value.data);
	else
		snprintf(f->text + len, sizeof f->text - len, " %02x=%.*s", type, (int)value.len,
		    (const char *)value.data);
}

/* The header that has come on this connection, which it gives the end of. */
static struct facts *introduced_as(struct fake_end *end, struct facts *f)
{
	struct slice in = fake_received(end), value;
	struct cursor values;
	uint8_t type;

	*f = (struct facts){0};
	ck_assert_uint_le(in.len, sizeof f->bytes);
	memcpy(f->bytes, in.data, in.len);
	ck_assert_int_eq(proxy_v2_read(slice_of(f->bytes, in.len), &f->head), PROXY_V2_OK);
	values = cursor_of(f->head.values);
	while (proxy_v2_next(&values, &type, &value))
		note_value(f, type, value);
	ck_assert(!values.bad);
	fake_consume(end, f->head.len);
	return f;
}

static void introduced(struct fake_end *end)
{
	introduced_as(end, &facts);
	ck_assert_int_eq(facts.head.command, PROXY_V2_PROXY);
}

static void introduced_for_nobody(struct fake_end *end)
{
	introduced_as(end, &facts);
	ck_assert_int_eq(facts.head.command, PROXY_V2_LOCAL);
	ck_assert_uint_eq(facts.head.len, PROXY_V2_START);
}

/* A call and its reply. NULL: on a connection that is made for it, and introduced. */
static struct fake_end *call_over(struct fake_end *caller, struct fake_end *app, int32_t seq)
{
	say(caller, FRAMED, .seq = seq);
	if (app == NULL) {
		app = accepted();
		introduced(app);
	}
	hear(app, FRAMED, .seq = seq);
	say(app, FRAMED, .seq = seq);
	hear(caller, FRAMED, .seq = seq);
	return app;
}

/* ---- what they say ---- */

START_TEST(a_connection_begins_with_who_is_behind_it)
{
	start(.service = ON);
	call_over(dial(), NULL, 1);
	ck_assert_uint_eq(facts.head.family, PROXY_V2_TCP4);
	ck_assert(slice_eq(
	    facts.head.addresses, BYTES(192, 0, 2, 7, 127, 0, 0, 1, 0x15, 0xb3, 0x22, 0xb8)));
	ck_assert_str_eq(facts.text, " e1=in 02=app");
	ck_assert_uint_eq(strlen(facts.id), 16);
}
END_TEST

START_TEST(a_caller_on_a_unix_socket_is_a_process)
{
	uint8_t expected[216] = {0};

	start(.service = ON);
	call_over(dial_local(1000), NULL, 1);
	ck_assert_uint_eq(facts.head.family, PROXY_V2_UNIX);
	memcpy(expected + 1, "caller", 6);
	memcpy(expected + 108, "/run/local.sock", 15);
	ck_assert(slice_eq(facts.head.addresses, slice_of(expected, sizeof expected)));
	ck_assert_str_eq(facts.text, " e1=local e2=1000 e3=4711 02=app");
}
END_TEST

START_TEST(the_caller_is_named_where_the_listener_knows_it)
{
	start(.service = ON, .listener = "caller: node",
	    .local = "caller: {uid: {1000: shop, 1001: desk}}");
	call_over(dial(), NULL, 1);
	ck_assert_str_eq(facts.text, " e0=sidecar e1=in 02=app");
	call_over(dial_local(1001), NULL, 1);
	ck_assert_str_eq(facts.text, " e0=desk e1=local e2=1001 e3=4711 02=app");
}
END_TEST

START_TEST(what_a_call_says_of_its_caller_is_no_fact_of_the_connection)
{
	struct fake_end *caller, *app;

	start(.service = ON);
	caller = dial();
	say(caller, TTHEADER, .seq = 1, .keys = "3=liar");
	app = accepted();
	introduced(app);
	ck_assert_str_eq(facts.text, " e1=in 02=app");
	hear(app, TTHEADER, .seq = 1, .keys = "3=liar");
}
END_TEST

START_TEST(the_name_is_that_of_the_service_whatever_it_was_called)
{
	start(.service = ON ", name: shop.app, aliases: [Shop]");
	call_over(dial(), NULL, 1);
	ck_assert_str_eq(facts.text, " e1=in 02=shop.app");
}
END_TEST

START_TEST(without_the_key_nothing_is_said)
{
	struct fake_end *caller;

	start();
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	hear(accepted(), FRAMED, .seq = 1);
}
END_TEST

/* ---- whose calls they carry ---- */

START_TEST(a_connection_carries_the_calls_of_one_caller)
{
	struct fake_end *one, *two, *app_of_one, *app_of_two;

	start(.service = ON);
	one = dial();
	two = dial();
	app_of_one = call_over(one, NULL, 1);
	others = facts;
	app_of_two = call_over(two, NULL, 1);
	ck_assert_str_ne(facts.id, others.id);
	for (int32_t seq = 2; seq < 6; seq++) {
		call_over(two, app_of_two, seq);
		call_over(one, app_of_one, seq);
	}
	no_connect();
	ck_assert_uint_eq(upstreams(), 2);
}
END_TEST

START_TEST(what_runs_at_the_same_time_is_introduced_alike)
{
	struct fake_end *caller, *app[3];

	start(.service = ON);
	caller = dial();
	for (int i = 0; i < 3; i++) {
		say(caller, TTHEADER, .seq = i + 1, .flags = 1);
		app[i] = accepted();
		introduced(app[i]);
		if (i)
			ck_assert_str_eq(facts.id, others.id);
		others = facts;
		hear(app[i], TTHEADER, .seq = i + 1);
	}
	for (int i = 2; i >= 0; i--) {
		say(app[i], TTHEADER, .seq = i + 1);
		hear(caller, TTHEADER, .seq = i + 1);
	}
	/* The one that rested last serves first. */
	say(caller, TTHEADER, .seq = 9, .flags = 1);
	hear(app[0], TTHEADER, .seq = 9);
	say(caller, TTHEADER, .seq = 10, .flags = 1);
	hear(app[1], TTHEADER, .seq = 10);
	no_connect();
}
END_TEST

START_TEST(a_caller_has_its_own_at_each_endpoint)
{
	struct fake_end *caller, *app[2];

	start(.service = SIMPLY ", balance: round_robin", .endpoints = 2);
	caller = dial();
	app[0] = call_over(caller, NULL, 1);
	app[1] = call_over(caller, NULL, 2);
	ck_assert(fake_address(app[0]) != fake_address(app[1]));
	call_over(caller, app[0], 3);
	call_over(caller, app[1], 4);
	no_connect();
}
END_TEST

START_TEST(another_attempt_is_introduced_as_the_first)
{
	struct fake_end *caller, *app;

	start(.service = ON ", retry: {attempts: 2, on: [reset], unsafe: true}", .endpoints = 2);
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	app = accepted();
	introduced(app);
	others = facts;
	hear(app, FRAMED, .seq = 1);
	reset(app);
	app = accepted();
	introduced(app);
	ck_assert_str_eq(facts.id, others.id);
	hear(app, FRAMED, .seq = 1);
	say(app, FRAMED, .seq = 1);
	hear(caller, FRAMED, .seq = 1);
}
END_TEST

START_TEST(a_copy_is_introduced_as_what_it_is_a_copy_of)
{
	struct fake_end *caller, *app, *copy;

	start(.service = ON ", routes: [{mirror: {service: other}}]",
	    .services = "other: {endpoints: [\"10.0.1.1:80\"], " ON "}");
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	app = accepted();
	copy = accepted();
	introduced(app);
	others = facts;
	introduced(copy);
	ck_assert_str_eq(facts.id, others.id);
	ck_assert_str_eq(others.text, " e1=in 02=app");
	ck_assert_str_eq(facts.text, " e1=in 02=other");
	hear(copy, FRAMED, .seq = 1);
	say(copy, FRAMED, .seq = 1);
	say(app, FRAMED, .seq = 1);
	hear(caller, FRAMED, .seq = 1);
	hang_up(caller);
	hear_end(copy);
}
END_TEST

/* ---- when they end ---- */

START_TEST(idle_ones_end_with_their_caller)
{
	struct fake_end *one, *two, *app_of_one, *app_of_two;

	start(.service = ON);
	one = dial();
	two = dial();
	app_of_one = call_over(one, NULL, 1);
	app_of_two = call_over(two, NULL, 1);
	hang_up(one);
	ck_assert(fake_is_over(app_of_one));
	ck_assert(is_open(app_of_two));
	call_over(two, app_of_two, 2);
	ck_assert_uint_eq(upstreams(), 1);
}
END_TEST

START_TEST(one_whose_call_was_given_up_waits_for_no_reply)
{
	struct fake_end *caller, *app;

	start(.service = ON ", timeout: {call: 5s}");
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	app = accepted();
	introduced(app);
	hear(app, FRAMED, .seq = 1);
	reset(caller);
	logged("reason=canceled");
	ck_assert(fake_is_over(app));
	ck_assert_uint_eq(upstreams(), 0);
}
END_TEST

START_TEST(the_last_reply_ends_it_where_the_caller_reads_no_more)
{
	struct fake_end *caller, *app;

	start(.service = ON);
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	app = accepted();
	introduced(app);
	hear(app, FRAMED, .seq = 1);
	half_close(caller);
	say(app, FRAMED, .seq = 1);
	hear(caller, FRAMED, .seq = 1);
	hear_end(caller);
	ck_assert(fake_is_over(app));
}
END_TEST

START_TEST(they_rest_for_no_longer_than_others)
{
	struct fake_end *app;

	start(.service = ON ", pool: {idle_timeout: 2s}");
	app = call_over(dial(), NULL, 1);
	pass(1990);
	ck_assert(is_open(app));
	pass(20);
	ck_assert(fake_is_over(app));
}
END_TEST

START_TEST(one_that_its_endpoint_closed_is_not_used)
{
	struct fake_end *caller, *app;

	start(.service = ON);
	caller = dial();
	app = call_over(caller, NULL, 1);
	hang_up(app);
	call_over(caller, NULL, 2);
	ck_assert_uint_eq(upstreams(), 1);
}
END_TEST

/* ---- bounds of the pool ---- */

START_TEST(so_many_rest_as_the_pool_keeps)
{
	struct fake_end *caller[4], *app[4];

	start(.service = ON ", pool: {keep: 2}");
	for (int i = 0; i < 4; i++) {
		caller[i] = dial();
		app[i] = call_over(caller[i], NULL, 1);
	}
	ck_assert_uint_eq(upstreams(), 2);
	ck_assert(fake_is_over(app[0]) && fake_is_over(app[1]));
	call_over(caller[3], app[3], 2);
	call_over(caller[2], app[2], 2);
	call_over(caller[0], NULL, 2);
	ck_assert(fake_is_over(app[3])); /* it had rested longest */
}
END_TEST

START_TEST(one_that_rests_makes_room_for_another_caller)
{
	struct fake_end *one, *two, *app;

	start(.service = SIMPLY ", pool: {connections: 1}");
	one = dial();
	two = dial();
	app = call_over(one, NULL, 1);
	call_over(two, NULL, 1);
	ck_assert(fake_is_over(app));
	ck_assert_uint_eq(upstreams(), 1);
	call_over(one, NULL, 2);
}
END_TEST

START_TEST(who_waits_for_a_connection_gets_one_of_its_own)
{
	struct fake_end *caller[3], *app;

	start(.service = SIMPLY ", pool: {connections: 1}");
	for (int i = 0; i < 3; i++) {
		caller[i] = dial();
		say(caller[i], FRAMED, .seq = i);
	}
	for (int i = 0; i < 3; i++) {
		app = accepted();
		no_connect();
		introduced(app);
		hear(app, FRAMED, .seq = i);
		say(app, FRAMED, .seq = i);
		hear(caller[i], FRAMED, .seq = i);
		ck_assert(fake_is_over(app) == (i < 2));
	}
	ck_assert_uint_eq(upstreams(), 1);
}
END_TEST

START_TEST(nothing_is_made_ready_before_it_is_known_for_whom)
{
	start(.service = ON ", pool: {warm: 2}");
	pass(100);
	no_connect();
	call_over(dial(), NULL, 1);
	pass(100);
	no_connect();
}
END_TEST

/* ---- oneways ---- */

static struct fake_end *oneway(struct fake_end *caller, struct fake_end *app, int32_t seq)
{
	say(caller, FRAMED, .kind = ONEWAY, .seq = seq);
	if (app == NULL) {
		app = accepted();
		introduced(app);
	}
	pass(5); /* what waited for the connect is looked for a moment later */
	hear(app, FRAMED, .kind = ONEWAY, .seq = seq);
	return app;
}

START_TEST(oneways_of_each_caller_have_a_connection)
{
	struct fake_end *one, *two, *app_of_one, *app_of_two;

	start(.service = ON);
	one = dial();
	two = dial();
	app_of_one = oneway(one, NULL, 1);
	app_of_two = oneway(two, NULL, 1);
	oneway(one, app_of_one, 2);
	oneway(two, app_of_two, 2);
	no_connect();
	hang_up(one);
	ck_assert(fake_is_over(app_of_one));
	oneway(two, app_of_two, 3);
}
END_TEST

START_TEST(connections_of_oneways_are_bounded_too)
{
	struct fake_end *caller[4], *app[4];

	start(.service = ON ", pool: {keep: 2}");
	for (int i = 0; i < 4; i++) {
		caller[i] = dial();
		app[i] = oneway(caller[i], NULL, 1);
	}
	ck_assert_uint_eq(upstreams(), 2);
	oneway(caller[3], app[3], 2);
	oneway(caller[2], app[2], 2);
	sim_stop_quietly();

	start(.service = ON ", pool: {connections: 2}");
	for (int i = 0; i < 4; i++) {
		caller[i] = dial();
		app[i] = oneway(caller[i], NULL, 1);
	}
	ck_assert_uint_eq(upstreams(), 2);
	call_over(caller[0], NULL, 2); /* a call makes one of them go, too */
	ck_assert_uint_eq(upstreams(), 2);
}
END_TEST

START_TEST(a_oneway_whose_caller_is_gone_is_still_its_callers)
{
	struct fake_end *caller, *app;

	start(.service = ON);
	fake_script(sim_loop(), FAKE_HANGS, 1);
	caller = dial_local(1000);
	say(caller, FRAMED, .kind = ONEWAY, .seq = 1);
	app = accepted();
	reset(caller);
	fake_connected(app);
	pass(0);
	introduced(app);
	ck_assert_str_eq(facts.text, " e1=local e2=1000 e3=4711 02=app");
	hear(app, FRAMED, .kind = ONEWAY, .seq = 1);
	pass(5);
	logged("reason=ok kind=oneway");
	ck_assert(fake_is_over(app));
	ck_assert(sim_is_drained());
}
END_TEST

START_TEST(a_oneway_may_lose_its_caller_before_anything_was_tried)
{
	struct fake_end *caller, *first, *app;

	start(.service = SIMPLY ", limit: {concurrency: 1, queue: {length: 4, wait: 1s}}");
	first = dial();
	say(first, FRAMED, .seq = 1);
	app = accepted();
	introduced(app);
	hear(app, FRAMED, .seq = 1);
	caller = dial_local(1000);
	say(caller, FRAMED, .kind = ONEWAY, .seq = 2);
	hang_up(caller);
	say(app, FRAMED, .seq = 1);
	hear(first, FRAMED, .seq = 1);
	app = accepted();
	introduced(app);
	ck_assert_str_eq(facts.text, " e1=local e2=1000 e3=4711 02=app");
	hear(app, FRAMED, .kind = ONEWAY, .seq = 2);
	pass(5);
	ck_assert(fake_is_over(app));
}
END_TEST

/* ---- connections of many ---- */

static void stream_over(struct stream_end *caller, struct stream_end *app)
{
	struct stream *call = begin(caller, .message = "how much?", .ends = true);
	struct stream *served = hear_call(app, .message = "how much?", .ends = true);

	answer(served, .message = "7");
	hear_answer(call, .message = "7");
}

/* In whichever family _i says. */
START_TEST(what_carries_the_calls_of_many_is_for_nobody)
{
	struct stream_end *one, *two, *app;
	struct fake_end *net;

	start(.service = ON);
	one = dial_streams(_i);
	begin(one, .message = "first", .ends = true);
	net = accepted();
	introduced_for_nobody(net);
	app = stream_wrap(net, _i);
	hear_call(app, .message = "first", .ends = true);
	stream_over(one, app);
	two = dial_streams(_i);
	stream_over(two, app);
	no_connect();
	hang_up(net_of(one));
	stream_over(two, app);
}
END_TEST

/* ---- a reload ---- */

START_TEST(a_reload_that_wants_it_begins_anew)
{
	struct fake_end *rests, *busy, *app, *app_of_busy;

	start(.service = "retry: none");
	rests = dial();
	busy = dial();
	say(busy, FRAMED, .seq = 1);
	app_of_busy = accepted();
	hear(app_of_busy, FRAMED, .seq = 1);
	say(rests, FRAMED, .seq = 1);
	app = accepted();
	hear(app, FRAMED, .seq = 1);
	say(app, FRAMED, .seq = 1);
	hear(rests, FRAMED, .seq = 1);
	reload(.service = SIMPLY);
	ck_assert(fake_is_over(app));
	say(app_of_busy, FRAMED, .seq = 1);
	hear(busy, FRAMED, .seq = 1);
	ck_assert(fake_is_over(app_of_busy));
	call_over(rests, NULL, 2);
	call_over(busy, NULL, 2);
}
END_TEST

START_TEST(a_reload_that_wants_it_no_more_shares_again)
{
	struct fake_end *one, *two, *app, *busy;

	start(.service = SIMPLY);
	one = dial();
	two = dial();
	app = call_over(one, NULL, 1);
	say(two, FRAMED, .seq = 1);
	busy = accepted();
	introduced(busy);
	hear(busy, FRAMED, .seq = 1);
	reload(.service = "retry: none");
	ck_assert(fake_is_over(app));
	say(busy, FRAMED, .seq = 1);
	hear(two, FRAMED, .seq = 1);
	ck_assert(fake_is_over(busy));
	say(one, FRAMED, .seq = 2);
	app = accepted();
	hear(app, FRAMED, .seq = 2);
	say(app, FRAMED, .seq = 2);
	hear(one, FRAMED, .seq = 2);
	say(two, FRAMED, .seq = 2);
	hear(app, FRAMED, .seq = 2);
	no_connect();
}
END_TEST

START_TEST(a_reload_that_changes_nothing_of_it_keeps_them)
{
	struct fake_end *caller, *app;

	start(.service = ON);
	caller = dial();
	app = call_over(caller, NULL, 1);
	reload(.service = ON ", pool: {keep: 7}");
	call_over(caller, app, 2);
	no_connect();
}
END_TEST

START_TEST(a_reload_that_names_the_caller_or_the_service_begins_anew)
{
	struct fake_end *caller, *app;

	start(.service = ON);
	caller = dial();
	app = call_over(caller, NULL, 1);
	others = facts;
	reload(.service = ON, .listener = "caller: node");
	ck_assert(fake_is_over(app));
	app = call_over(caller, NULL, 2);
	ck_assert_str_eq(facts.text, " e0=sidecar e1=in 02=app");
	ck_assert_str_eq(facts.id, others.id); /* the connection is the same */
	reload(.service = ON ", name: shop", .listener = "caller: node");
	ck_assert(fake_is_over(app));
	call_over(caller, NULL, 3);
	ck_assert_str_eq(facts.text, " e0=sidecar e1=in 02=shop");
	reload(.service = ON ", name: shop", .listener = "caller: node", .first = 5);
	call_over(caller, NULL, 4);
}
END_TEST

/* ---- what breaks ---- */

START_TEST(a_call_of_which_no_byte_left_is_unsent_even_if_its_header_did)
{
	struct fake_end *caller, *app;

	start(.service = ON ", retry: {attempts: 2}");
	call_over(dial(), NULL, 9);
	others = facts;
	fake_script(sim_loop(), FAKE_HANGS, 1);
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	app = accepted();
	fake_take(app, 0);
	fake_connected(app);
	pass(0);
	fake_take(app, others.head.len);
	pass(0);
	ck_assert_uint_eq(fake_received(app).len, others.head.len);
	reset(app);
	ck_assert_uint_eq(attempts(ATTEMPT_UNSENT), 1);
	app = accepted();
	introduced(app);
	hear(app, FRAMED, .seq = 1);
	say(app, FRAMED, .seq = 1);
	hear(caller, FRAMED, .seq = 1);
}
END_TEST

START_TEST(a_reset_within_the_header_is_no_call_lost)
{
	struct fake_end *caller, *app;

	start(.service = ON ", retry: {attempts: 2}");
	fake_script(sim_loop(), FAKE_HANGS, 1);
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	app = accepted();
	fake_take(app, 7);
	fake_connected(app);
	pass(0);
	ck_assert_uint_eq(fake_received(app).len, 7);
	ck_assert_int_eq(proxy_v2_read(fake_received(app), &facts.head), PROXY_V2_MORE);
	reset(app);
	ck_assert_uint_eq(attempts(ATTEMPT_UNSENT), 1);
	app = accepted();
	introduced(app);
	hear(app, FRAMED, .seq = 1);
	say(app, FRAMED, .seq = 1);
	hear(caller, FRAMED, .seq = 1);
}
END_TEST

START_TEST(a_full_accept_queue_is_waited_for)
{
	struct fake_end *caller, *app;

	start(.service = SIMPLY, .is_local = true);
	fake_script(sim_loop(), FAKE_BACKLOG, 2);
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	no_connect();
	pass(10);
	app = accepted();
	introduced(app);
	hear(app, FRAMED, .seq = 1);
}
END_TEST

START_TEST(a_connect_that_hangs_ends_with_its_caller)
{
	struct fake_end *caller, *app;

	start(.service = ON);
	fake_script(sim_loop(), FAKE_HANGS, 1);
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	app = accepted();
	reset(caller);
	ck_assert(fake_is_over(app));
	ck_assert_uint_eq(upstreams(), 0);
}
END_TEST

START_TEST(a_worker_may_end_in_the_middle_of_it)
{
	struct fake_end *caller;

	start(.service = ON);
	call_over(dial(), NULL, 1);
	oneway(dial(), NULL, 1);
	caller = dial();
	say(caller, FRAMED, .seq = 2);
	accepted();
	sim_stop_quietly();
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {a_connection_begins_with_who_is_behind_it, 1},
	    {a_caller_on_a_unix_socket_is_a_process, 1},
	    {the_caller_is_named_where_the_listener_knows_it, 1},
	    {what_a_call_says_of_its_caller_is_no_fact_of_the_connection, 1},
	    {the_name_is_that_of_the_service_whatever_it_was_called, 1},
	    {without_the_key_nothing_is_said, 1},
	    {a_connection_carries_the_calls_of_one_caller, 1},
	    {what_runs_at_the_same_time_is_introduced_alike, 1},
	    {a_caller_has_its_own_at_each_endpoint, 1},
	    {another_attempt_is_introduced_as_the_first, 1},
	    {a_copy_is_introduced_as_what_it_is_a_copy_of, 1},
	    {idle_ones_end_with_their_caller, 1},
	    {one_whose_call_was_given_up_waits_for_no_reply, 1},
	    {the_last_reply_ends_it_where_the_caller_reads_no_more, 1},
	    {they_rest_for_no_longer_than_others, 1},
	    {one_that_its_endpoint_closed_is_not_used, 1},
	    {so_many_rest_as_the_pool_keeps, 1},
	    {one_that_rests_makes_room_for_another_caller, 1},
	    {who_waits_for_a_connection_gets_one_of_its_own, 1},
	    {nothing_is_made_ready_before_it_is_known_for_whom, 1},
	    {oneways_of_each_caller_have_a_connection, 1},
	    {connections_of_oneways_are_bounded_too, 1},
	    {a_oneway_whose_caller_is_gone_is_still_its_callers, 1},
	    {a_oneway_may_lose_its_caller_before_anything_was_tried, 1},
	    {what_carries_the_calls_of_many_is_for_nobody, FAMILIES},
	    {a_reload_that_wants_it_begins_anew, 1},
	    {a_reload_that_wants_it_no_more_shares_again, 1},
	    {a_reload_that_changes_nothing_of_it_keeps_them, 1},
	    {a_reload_that_names_the_caller_or_the_service_begins_anew, 1},
	    {a_call_of_which_no_byte_left_is_unsent_even_if_its_header_did, 1},
	    {a_reset_within_the_header_is_no_call_lost, 1},
	    {a_full_accept_queue_is_waited_for, 1},
	    {a_connect_that_hangs_ends_with_its_caller, 1},
	    {a_worker_may_end_in_the_middle_of_it, 1},
	};

	return stream_main("sim_introduction", tests, ARRAY_LEN(tests));
}
