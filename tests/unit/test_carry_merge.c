/*
 * Metadata put into carriers that are there already: what fills, what replaces, what keeps, what an
 * earlier hop left in it, and what a caller may not say of itself. Bodies are text
 * (support/structs.h); what is not named in an expectation must not have moved.
 */
#include <stdio.h>

#include "base/mem.h"
#include "rpc/attest.h"
#include "support/carrying.h"
#include "support/frames.h"
#include "support/structs.h"
#include "support/suite.h"

static void must_be(const struct carrying *c, const char *expected)
{
	ck_assert_msg(carrying_is(c, expected), "not %s", expected);
}

#define CALLEE "\"destination-service\"=\"svc\" \"destination-method\"=\"Echo\""

/* With no fact but those that every test wants: log id, caller and client. */
static void begin(struct carrying *c, enum rpc_merge merge, const char *sections, const char *body)
{
	carrying_begin(c, sections, body);
	c->carrier.merge = merge;
	c->facts.address = c->facts.service = c->facts.method = SLICE_NONE;
}

static void must_merge(
    enum rpc_merge merge, const char *sections, const char *body, const char *expected)
{
	struct carrying c;

	begin(&c, merge, sections, body);
	ck_assert_int_eq(carrying_go(&c), RPC_CARRIED);
	must_be(&c, expected);
	carrying_end(&c);
}

static void must_stay(enum rpc_merge merge, const char *sections, const char *body)
{
	struct carrying c;

	begin(&c, merge, sections, body);
	ck_assert_int_eq(carrying_go(&c), RPC_UNCARRIED_KEPT);
	must_be(&c, body);
	carrying_end(&c);
}

/* ---- fill ---- */

START_TEST(an_empty_base_is_filled)
{
	must_merge(RPC_MERGE_FILL, "s k=v;", "{1:{255:{}}}",
	    "{1:{255:{1:\"log\" 2:\"cal\" 4:\"bridled\" 6:<ss \"k\"=\"v\">}}}");
}
END_TEST

START_TEST(what_a_base_says_stays_when_it_is_filled)
{
	must_merge(RPC_MERGE_FILL, "s a=ours b=ours c=ours;",
	    "{1:{1:i1 255:{4:\"go\" 2:\"me\" 6:<ss \"a\"=\"theirs\" \"b\"=\"\"> 5:{1:B1}} 2:i2} 2:i3}",
	    "{1:{1:i1 255:{4:\"go\" 2:\"me\" 6:<ss \"a\"=\"theirs\" \"b\"=\"ours\" \"c\"=\"ours\"> "
	    "5:{1:B1} 1:\"log\"} 2:i2} 2:i3}");
}
END_TEST

START_TEST(empty_fields_are_filled_in_their_place)
{
	must_merge(RPC_MERGE_FILL, "", "{1:{255:{2:\"\" 1:\"\" 4:\"x\" 3:\"\"}}}",
	    "{1:{255:{2:\"cal\" 1:\"log\" 4:\"x\" 3:\"\"}}}");
}
END_TEST

START_TEST(fields_that_nobody_knows_stay_byte_for_byte)
{
	must_merge(RPC_MERGE_FILL, "",
	    "{1:{255:{7:[r {255:{}}] -1:d77 6:<00> 300:\"\\xff\" 0:(s \"x\")}}}",
	    "{1:{255:{7:[r {255:{}}] -1:d77 6:<ss> 300:\"\\xff\" 0:(s \"x\") "
	    "1:\"log\" 2:\"cal\" 4:\"bridled\"}}}");
}
END_TEST

/* Readers take the last of them. */
START_TEST(of_a_repeated_key_the_last_value_says_whether_it_is_there)
{
	must_merge(RPC_MERGE_FILL, "s k=ours;",
	    "{1:{255:{1:\"l\" 2:\"c\" 4:\"b\" 6:<ss \"k\"=\"x\" \"k\"=\"\">}}}",
	    "{1:{255:{1:\"l\" 2:\"c\" 4:\"b\" 6:<ss \"k\"=\"ours\">}}}");
	must_stay(RPC_MERGE_FILL, "s k=ours;",
	    "{1:{255:{1:\"l\" 2:\"c\" 4:\"b\" 6:<ss \"k\"=\"\" \"k\"=\"x\">}}}");
}
END_TEST

START_TEST(what_is_filled_once_is_not_changed_again)
{
	struct carrying once, again;

	carrying_begin(
	    &once, "s k=v RPC_TRANSIT_t=1 RPC_PERSIST_p=2;a token;", "{1:{1:\"x\" 255:{9:i1}}}");
	once.facts.deadline_ms = 1795326243123;
	ck_assert_int_eq(carrying_go(&once), RPC_CARRIED);
	carrying_begin_with(&again, once.m.sections, once.out);
	again.facts = once.facts;
	ck_assert_int_eq(carrying_go(&again), RPC_UNCARRIED_KEPT);
	carrying_end(&again);
	carrying_end(&once);
}
END_TEST

/* ---- keep ---- */

START_TEST(what_is_to_be_kept_is_not_touched)
{
	must_stay(RPC_MERGE_KEEP, "s k=v;", "{1:{255:{}}}");
	must_stay(RPC_MERGE_KEEP, "s k=v;",
	    "{1:{255:{2:\"old\" 6:<ss \"destination-service\"=\"earlier\">}}}");
}
END_TEST

START_TEST(what_is_not_there_is_not_kept)
{
	must_merge(RPC_MERGE_KEEP, "", "{1:{}}", "{1:{255:{1:\"log\" 2:\"cal\" 4:\"bridled\"}}}");
}
END_TEST

/* ---- replace ---- */

START_TEST(what_we_know_replaces_what_it_says)
{
	must_merge(RPC_MERGE_REPLACE, "s a=ours c=ours;",
	    "{1:{255:{3:\"addr\" 2:\"me\" 6:<ss \"a\"=\"theirs\" \"b\"=\"theirs\"> 5:i5}}}",
	    "{1:{255:{3:\"addr\" 2:\"cal\" 6:<ss \"a\"=\"ours\" \"b\"=\"theirs\" \"c\"=\"ours\"> "
	    "5:i5 1:\"log\" 4:\"bridled\"}}}");
}
END_TEST

START_TEST(a_key_that_is_replaced_is_there_once)
{
	must_merge(RPC_MERGE_REPLACE, "s k=ours;",
	    "{1:{255:{1:\"l\" 2:\"c\" 4:\"b\" 6:<ss \"k\"=\"1\" \"j\"=\"2\" \"k\"=\"3\">}}}",
	    "{1:{255:{1:\"log\" 2:\"cal\" 4:\"bridled\" 6:<ss \"k\"=\"ours\" \"j\"=\"2\">}}}");
}
END_TEST

START_TEST(what_says_the_same_already_stays)
{
	must_stay(RPC_MERGE_REPLACE, "s k=v;",
	    "{1:{255:{1:\"log\" 2:\"cal\" 4:\"bridled\" 6:<ss \"x\"=\"y\" \"k\"=\"v\">}}}");
}
END_TEST

/* ---- of an earlier hop ---- */

/* An application that hands its Base through says who called it, not who it is. */
START_TEST(what_was_said_to_somebody_else_is_said_anew)
{
	struct carrying c;

	carrying_begin(&c, "s RPC_PERSIST_new=1;",
	    "{1:{255:{1:\"first\" 2:\"grandparent\" 3:\"9.9.9.9:9\" 4:\"bridled\" 6:<ss "
	    "\"source-method\"=\"Old\" \"destination-service\"=\"parent\" "
	    "\"destination-method\"=\"Mid\" \"rpc-deadline\"=\"1\" \"RPC_PERSIST_p\"=\"2\" "
	    "\"RPC_TRANSIT_t\"=\"3\" \"RPC_TRANSIT_traceparent\"=\"4\" "
	    "\"RPC_TRANSIT_gdpr-token\"=\"5\" \"own\"=\"6\"> 8:i8}}}");
	ck_assert_int_eq(carrying_go(&c), RPC_CARRIED);
	must_be(&c, "{1:{255:{1:\"log\" 2:\"cal\" 3:\"1.2.3.4:5\" 4:\"bridled\" 6:<ss "
		    "\"destination-service\"=\"svc\" \"destination-method\"=\"Echo\" "
		    "\"RPC_PERSIST_p\"=\"2\" \"RPC_TRANSIT_traceparent\"=\"4\" \"own\"=\"6\" "
		    "\"RPC_PERSIST_new\"=\"1\"> 8:i8}}}");
	carrying_end(&c);
}
END_TEST

/* By the proxy of a caller, where both sides have one. */
START_TEST(what_was_said_for_this_very_call_is_not_of_an_earlier_hop)
{
	static const char body[] =
	    "{1:{255:{1:\"first\" 2:\"cal\" 3:\"9.9.9.9:9\" 4:\"x\" 6:<ss "
	    "\"destination-service\"=\"svc\" \"destination-method\"=\"Echo\" "
	    "\"source-method\"=\"Say\" \"RPC_TRANSIT_t\"=\"1\">}}}";
	struct carrying c;

	carrying_begin(&c, "", body);
	ck_assert_int_eq(carrying_go(&c), RPC_UNCARRIED_KEPT);
	must_be(&c, body);
	c.facts.caller = SLICE_LIT("other");
	ck_assert_int_eq(carrying_go(&c), RPC_CARRIED);
	must_be(&c,
	    "{1:{255:{1:\"log\" 2:\"other\" 3:\"1.2.3.4:5\" 4:\"bridled\" 6:<ss " CALLEE ">}}}");
	carrying_end(&c);
}
END_TEST

START_TEST(what_was_said_for_another_method_is_of_an_earlier_hop)
{
	struct carrying c;

	carrying_begin(&c, "",
	    "{1:{255:{2:\"cal\" 6:<ss \"destination-service\"=\"svc\" "
	    "\"destination-method\"=\"Other\" \"RPC_TRANSIT_t\"=\"1\">}}}");
	ck_assert_int_eq(carrying_go(&c), RPC_CARRIED);
	must_be(
	    &c, "{1:{255:{2:\"cal\" 6:<ss " CALLEE "> 1:\"log\" 3:\"1.2.3.4:5\" 4:\"bridled\"}}}");
	carrying_end(&c);
}
END_TEST

START_TEST(who_called_somebody_else_does_not_pass_for_who_calls)
{
	struct carrying c;

	begin(&c, RPC_MERGE_FILL, "",
	    "{1:{255:{1:\"first\" 2:\"grandparent\" 3:\"9.9.9.9:9\" 6:<ss "
	    "\"destination-service\"=\"parent\" \"RPC_TRANSIT_b3\"=\"0\">}}}");
	c.facts = (struct rpc_carry_facts){.deadline_ms = 0};
	ck_assert_int_eq(carrying_go(&c), RPC_CARRIED);
	must_be(&c, "{1:{255:{1:\"first\" 6:<ss \"RPC_TRANSIT_b3\"=\"0\"> 4:\"bridled\"}}}");
	carrying_end(&c);
}
END_TEST

/* ---- who calls ---- */

START_TEST(what_a_caller_may_not_say_is_replaced)
{
	struct carrying c;

	begin(&c, RPC_MERGE_FILL, "",
	    "{1:{255:{1:\"theirs\" 2:\"admin\" 3:\"10.0.0.1\" 6:<ss \"source-method\"=\"Root\" "
	    "\"k\"=\"v\" \"RPC_TRANSIT_gdpr-token\"=\"forged\" \"rip\"=\"10.0.0.1\">}}}");
	c.facts.is_attested = true;
	ck_assert_int_eq(carrying_go(&c), RPC_CARRIED);
	must_be(&c, "{1:{255:{1:\"theirs\" 2:\"cal\" 6:<ss \"k\"=\"v\"> 4:\"bridled\"}}}");
	carrying_end(&c);
}
END_TEST

START_TEST(what_is_attested_stands_in_an_argument_too)
{
	struct carrying c;

	begin(&c, RPC_MERGE_FILL, "a good;",
	    "{9:<ss \"source-service\"=\"admin\" \"source-service\"=\"root\" \"rip\"=\"x\" "
	    "\"RPC_TRANSIT_gdpr-token\"=\"forged\" \"stream-log-id\"=\"theirs\">}");
	c.carrier = (struct rpc_carrier){RPC_CARRIER_ARGUMENT, 9, RPC_MERGE_FILL, SLICE_NONE};
	c.facts.is_attested = true;
	ck_assert_int_eq(carrying_go(&c), RPC_CARRIED);
	must_be(&c, "{9:<ss \"source-service\"=\"cal\" \"RPC_TRANSIT_gdpr-token\"=\"good\" "
		    "\"stream-log-id\"=\"theirs\">}");
	carrying_end(&c);
}
END_TEST

START_TEST(who_calls_goes_under_every_name_that_says_it)
{
	struct carrying c;

	begin(&c, RPC_MERGE_FILL, "",
	    "{1:{255:{1:\"l\" 4:\"go\" 6:<ss \"RPC_TRANSIT_GDPR_TOKEN\"=\"1\" "
	    "\"RPC_PERSIST_gdpr-token\"=\"2\" \"RPC_TRANSIT_UPSTREAM_gdpr_token\"=\"3\" "
	    "\"Source-Service\"=\"4\" \"source_method\"=\"5\" \"RIP\"=\"6\" \"gdpr-token\"=\"7\">}}}");
	c.facts.is_attested = true;
	ck_assert_int_eq(carrying_go(&c), RPC_CARRIED);
	must_be(&c, "{1:{255:{1:\"l\" 4:\"go\" 6:<ss \"gdpr-token\"=\"7\"> 2:\"cal\"}}}");
	carrying_end(&c);
}
END_TEST

START_TEST(names_that_no_caller_may_use_go)
{
	static const struct rpc_reserved reserved[] = {
	    {.kind = RPC_CHANGE_META, .name = SLICE_LIT("auth-"), .is_prefix = true},
	    {.kind = RPC_CHANGE_HEADER, .name = SLICE_LIT("x-role")},
	};
	struct carrying c;

	begin(&c, RPC_MERGE_FILL, "s RPC_PERSIST_auth-user=ours;",
	    "{1:{255:{1:\"l\" 2:\"them\" 4:\"go\" 6:<ss \"RPC_PERSIST_AUTH_ROLE\"=\"root\" "
	    "\"RPC_PERSIST_auth-user\"=\"them\" \"X-Role\"=\"root\" \"k\"=\"v\">}}}");
	c.facts.reserved = reserved;
	c.facts.n_reserved = ARRAY_LEN(reserved);
	ck_assert_int_eq(carrying_go(&c), RPC_CARRIED);
	must_be(&c, "{1:{255:{1:\"l\" 2:\"them\" 4:\"go\" 6:<ss "
		    "\"RPC_PERSIST_auth-user\"=\"ours\" \"k\"=\"v\">}}}");
	carrying_end(&c);
}
END_TEST

/* ---- changes ---- */

START_TEST(changes_hold_in_a_carrier_that_is_filled)
{
	struct carrying c;

	begin(&c, RPC_MERGE_FILL, "",
	    "{1:{255:{1:\"l\" 2:\"c\" 4:\"b\" 6:<ss \"RPC_PERSIST_a\"=\"1\" \"x\"=\"2\" "
	    "\"RPC_TRANSIT_TRACEPARENT\"=\"old\" \"y\"=\"3\">}}}");
	carrying_change(&c, "+meta.A=new -header.x +header.RPC_TRANSIT_traceparent=t");
	ck_assert_int_eq(carrying_go(&c), RPC_CARRIED);
	must_be(&c, "{1:{255:{1:\"l\" 2:\"c\" 4:\"b\" 6:<ss \"y\"=\"3\" "
		    "\"RPC_PERSIST_A\"=\"new\" \"RPC_TRANSIT_traceparent\"=\"t\">}}}");
	carrying_end(&c);
}
END_TEST

/* ---- arguments ---- */

START_TEST(a_map_that_is_an_argument_is_filled)
{
	struct carrying c;

	carrying_begin(&c, "s a=1 b=2;", "{9:<ss \"a\"=\"x\" \"rip\"=\"\"> 1:{255:{}}}");
	c.carrier = (struct rpc_carrier){RPC_CARRIER_ARGUMENT, 9, RPC_MERGE_FILL, SLICE_NONE};
	ck_assert_int_eq(carrying_go(&c), RPC_CARRIED);
	must_be(&c, "{9:<ss \"a\"=\"x\" \"rip\"=\"1.2.3.4:5\" \"stream-log-id\"=\"log\" "
		    "\"source-service\"=\"cal\" " CALLEE " \"b\"=\"2\"> 1:{255:{}}}");
	carrying_end(&c);
}
END_TEST

START_TEST(entries_of_both_together_are_bounded)
{
	char body[RPC_CARRY_ENTRIES * 16 + 64];
	size_t len = (size_t)snprintf(body, sizeof body, "{1:{255:{6:<ss");
	struct carrying c;

	for (unsigned i = 0; i < RPC_CARRY_ENTRIES; i++)
		len += (size_t)snprintf(body + len, sizeof body - len, " \"k%u\"=\"v\"", i);
	snprintf(body + len, sizeof body - len, ">}}}");
	begin(&c, RPC_MERGE_FILL, "", body);
	ck_assert_int_eq(carrying_go(&c), RPC_CARRIED);
	carrying_end(&c);
	begin(&c, RPC_MERGE_FILL, "s one-more=v;", body);
	ck_assert_int_eq(carrying_go(&c), RPC_UNCARRIED_SIZE);
	carrying_end(&c);
	begin(&c, RPC_MERGE_REPLACE, "s k7=v;", body);
	ck_assert_int_eq(carrying_go(&c), RPC_CARRIED);
	carrying_end(&c);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    an_empty_base_is_filled,
	    what_a_base_says_stays_when_it_is_filled,
	    empty_fields_are_filled_in_their_place,
	    fields_that_nobody_knows_stay_byte_for_byte,
	    of_a_repeated_key_the_last_value_says_whether_it_is_there,
	    what_is_filled_once_is_not_changed_again,
	    what_is_to_be_kept_is_not_touched,
	    what_is_not_there_is_not_kept,
	    what_we_know_replaces_what_it_says,
	    a_key_that_is_replaced_is_there_once,
	    what_says_the_same_already_stays,
	    what_was_said_to_somebody_else_is_said_anew,
	    what_was_said_for_this_very_call_is_not_of_an_earlier_hop,
	    what_was_said_for_another_method_is_of_an_earlier_hop,
	    who_called_somebody_else_does_not_pass_for_who_calls,
	    what_a_caller_may_not_say_is_replaced,
	    what_is_attested_stands_in_an_argument_too,
	    who_calls_goes_under_every_name_that_says_it,
	    names_that_no_caller_may_use_go,
	    changes_hold_in_a_carrier_that_is_filled,
	    a_map_that_is_an_argument_is_filled,
	    entries_of_both_together_are_bounded,
	};

	return suite_run("carry_merge", tests, sizeof tests / sizeof tests[0]);
}
