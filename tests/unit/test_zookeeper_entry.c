/* One node of ours: what is done about each thing that may be found in its place. The server is a
 * node and an owner here; the test plays all others. */
#include <stdio.h>

#include "base/mem.h"
#include "registry/zookeeper_entry.h"
#include "support/suite.h"

#define OURS   0x1001
#define OTHERS 0x2002

enum { PARENTS = 2 };

static struct {
	bool exists, is_same;
	int64_t owner;
	int version;
	int parents;                 /* how many of its parents are there */
	enum zookeeper_code refuses; /* whatever is asked; OK: nothing */
} node;
static struct zookeeper_entry entry;
static enum zookeeper_verdict last;

static void begin(void)
{
	memset(&node, 0, sizeof node);
	node.parents = PARENTS;
	zookeeper_entry_init(&entry);
	zookeeper_entry_begin(&entry, OURS);
}

static void put(int64_t owner, bool is_same)
{
	node.exists = true;
	node.owner = owner;
	node.is_same = is_same;
	node.version++;
}

static enum zookeeper_code serve(enum zookeeper_entry_step step)
{
	bool is_version = entry.version == node.version;

	if (node.refuses)
		return node.refuses;
	switch (step) {
	case ZOOKEEPER_ENTRY_PUBLISH:
		if (node.exists)
			return ZOOKEEPER_NODE_EXISTS;
		if (node.parents < PARENTS)
			return ZOOKEEPER_NO_NODE;
		put(entry.session, true);
		return ZOOKEEPER_OK;
	case ZOOKEEPER_ENTRY_PARENT:
		if ((int)entry.parent < node.parents)
			return ZOOKEEPER_NODE_EXISTS;
		node.parents = (int)entry.parent + 1;
		return ZOOKEEPER_OK;
	case ZOOKEEPER_ENTRY_REPLACE:
	case ZOOKEEPER_ENTRY_WRITE:
	case ZOOKEEPER_ENTRY_REMOVE:
		if (!node.exists)
			return ZOOKEEPER_NO_NODE;
		if (!is_version)
			return ZOOKEEPER_OTHER_VERSION;
		if (step == ZOOKEEPER_ENTRY_REMOVE)
			node.exists = false;
		else
			put(step == ZOOKEEPER_ENTRY_REPLACE ? entry.session : node.owner, true);
		return ZOOKEEPER_OK;
	default:
		return node.exists ? ZOOKEEPER_OK : ZOOKEEPER_NO_NODE;
	}
}

/* Does one step; writes its letter. False when there is nothing to do. */
static bool step(char *letter)
{
	static const char letters[] = ".rcpxwd.";
	enum zookeeper_entry_step next = zookeeper_entry_next(&entry);
	struct zookeeper_answer answer = {.text = "no"};

	if (next == ZOOKEEPER_ENTRY_REST)
		return false;
	answer.code = serve(next);
	answer.owner = node.owner;
	answer.version = node.version;
	*letter = letters[next];
	last = zookeeper_entry_answered(
	    &entry, &answer, node.is_same, (int)entry.parent + 1 == PARENTS);
	return true;
}

/* All steps until it rests: r read, c create, p parent, x replace, w write, d delete. */
static const char *run(void)
{
	static char did[200];
	size_t n = 0;

	while (n + 1 < sizeof did && step(&did[n]) && last != ZOOKEEPER_VERDICT_RETRY)
		n++;
	if (last == ZOOKEEPER_VERDICT_RETRY)
		n++;
	did[n] = '\0';
	return did;
}

static const char *look(void)
{
	zookeeper_entry_look(&entry);
	return run();
}

static void settle(void)
{
	run();
	ck_assert_int_eq(entry.state, REGISTRATION_PRESENT);
}

START_TEST(it_is_published_read_back_and_then_present)
{
	char letter;

	ck_assert(step(&letter));
	ck_assert(step(&letter));
	ck_assert_int_eq(entry.state, REGISTRATION_PENDING); /* not before it was read back */
	ck_assert_str_eq(run(), "r");
	ck_assert_int_eq(entry.state, REGISTRATION_PRESENT);
	ck_assert_int_eq(node.owner, OURS);
	ck_assert_str_eq(look(), "r");
	ck_assert_int_eq(entry.state, REGISTRATION_PRESENT);
}
END_TEST

START_TEST(missing_parents_are_made_from_above)
{
	node.parents = _i;
	ck_assert_str_eq(run(), "rcppcr");
	ck_assert_int_eq(entry.state, REGISTRATION_PRESENT);
}
END_TEST

START_TEST(the_first_time_it_takes_the_node_over)
{
	static const int64_t owners[] = {OTHERS, 0};

	put(owners[_i], _i == 0); /* of another session; one that stays */
	ck_assert_str_eq(run(), "rxr");
	ck_assert_int_eq(entry.state, REGISTRATION_PRESENT);
	ck_assert_int_eq(node.owner, OURS);
}
END_TEST

START_TEST(taking_over_is_said)
{
	char letter;

	put(OTHERS, true);
	step(&letter);
	ck_assert_int_eq(last, ZOOKEEPER_VERDICT_TAKEN);
}
END_TEST

START_TEST(later_it_yields_and_returns_when_the_node_has_gone)
{
	static const int64_t owners[] = {OTHERS, 0};

	settle();
	put(owners[_i], true);
	ck_assert_str_eq(look(), "r");
	ck_assert_int_eq(entry.state, REGISTRATION_CONTESTED);
	ck_assert_str_ne(entry.why, "");
	ck_assert_str_eq(look(), "r");
	ck_assert_int_eq(node.owner, owners[_i]);
	node.exists = false;
	ck_assert_str_eq(look(), "rcr");
	ck_assert_int_eq(entry.state, REGISTRATION_PRESENT);
}
END_TEST

START_TEST(a_node_that_is_missing_is_lost_and_made_at_once)
{
	char letter;

	settle();
	node.exists = false;
	zookeeper_entry_look(&entry);
	step(&letter);
	ck_assert_int_eq(entry.state, REGISTRATION_LOST);
	ck_assert_str_eq(run(), "cr");
	ck_assert_int_eq(entry.state, REGISTRATION_PRESENT);
}
END_TEST

START_TEST(a_node_that_was_changed_is_lost_and_written_at_once)
{
	char letter;

	settle();
	put(OURS, false);
	zookeeper_entry_look(&entry);
	step(&letter);
	ck_assert_int_eq(entry.state, REGISTRATION_LOST);
	ck_assert_str_eq(run(), "wr");
	ck_assert_int_eq(entry.state, REGISTRATION_PRESENT);
}
END_TEST

START_TEST(another_text_of_ours_is_written_and_was_never_lost)
{
	char letter;

	settle();
	node.is_same = false;
	zookeeper_entry_rewrite(&entry);
	step(&letter);
	ck_assert_int_eq(entry.state, REGISTRATION_PRESENT);
	ck_assert_str_eq(run(), "wr");
	put(OURS, false);
	zookeeper_entry_look(&entry);
	step(&letter);
	ck_assert_int_eq(entry.state, REGISTRATION_LOST); /* but from then on it would be */
}
END_TEST

START_TEST(a_new_session_publishes_again)
{
	settle();
	node.exists = false; /* it went with the old one */
	zookeeper_entry_begin(&entry, OURS + 1);
	ck_assert_str_eq(run(), "rcr");
	ck_assert_int_eq(node.owner, OURS + 1);
}
END_TEST

START_TEST(a_node_of_our_former_session_is_taken_over)
{
	settle();
	zookeeper_entry_begin(&entry, OURS + 1);
	ck_assert_str_eq(run(), "rxr");
	ck_assert_int_eq(node.owner, OURS + 1);
	ck_assert_int_eq(entry.state, REGISTRATION_PRESENT);
}
END_TEST

START_TEST(many_former_sessions_are_forgotten_one_by_one)
{
	settle();
	for (int i = 1; i <= 20; i++)
		zookeeper_entry_begin(&entry, OURS + i);
	put(OURS, true); /* too long ago */
	run();
	ck_assert_int_eq(entry.state, REGISTRATION_CONTESTED);
	put(OURS + 19, true);
	look();
	ck_assert_int_eq(entry.state, REGISTRATION_PRESENT);
}
END_TEST

START_TEST(another_sessions_node_is_left_alone_after_ours_expired)
{
	settle();
	put(OTHERS, true);
	zookeeper_entry_begin(&entry, OURS + 1);
	ck_assert_str_eq(run(), "r");
	ck_assert_int_eq(entry.state, REGISTRATION_CONTESTED);
}
END_TEST

START_TEST(leaving_deletes_what_is_ours)
{
	settle();
	zookeeper_entry_leave(&entry);
	ck_assert_str_eq(run(), "rd");
	ck_assert_int_eq(entry.step, ZOOKEEPER_ENTRY_GONE);
	ck_assert(!node.exists);
	zookeeper_entry_begin(&entry, OURS + 1);
	ck_assert_str_eq(run(), "");
}
END_TEST

START_TEST(leaving_leaves_what_is_not_ours)
{
	settle();
	put(_i ? OTHERS : 0, true);
	zookeeper_entry_leave(&entry);
	ck_assert_str_eq(run(), "r");
	ck_assert_int_eq(entry.step, ZOOKEEPER_ENTRY_GONE);
	ck_assert(node.exists);
}
END_TEST

START_TEST(leaving_finds_nothing_and_has_left)
{
	zookeeper_entry_leave(&entry);
	ck_assert_str_eq(run(), "r");
	ck_assert_int_eq(entry.step, ZOOKEEPER_ENTRY_GONE);
}
END_TEST

START_TEST(leaving_in_the_middle_of_each_step_leaves_nothing)
{
	char letter;

	node.parents = 0;
	for (int i = 0; i < _i; i++)
		ck_assert(step(&letter));
	ck_assert_int_ne(zookeeper_entry_next(&entry), ZOOKEEPER_ENTRY_REST); /* asked meanwhile */
	zookeeper_entry_leave(&entry);
	{
		struct zookeeper_answer answer = {.text = "no"};

		answer.code = serve(entry.step);
		answer.owner = node.owner;
		answer.version = node.version;
		zookeeper_entry_answered(&entry, &answer, true, entry.parent + 1 == PARENTS);
	}
	run();
	ck_assert_int_eq(entry.step, ZOOKEEPER_ENTRY_GONE);
	ck_assert(!node.exists);
}
END_TEST

START_TEST(leaving_deletes_what_a_former_session_left)
{
	settle();
	zookeeper_entry_begin(&entry, OURS + 1);
	zookeeper_entry_leave(&entry);
	ck_assert_str_eq(run(), "rd");
	ck_assert(!node.exists);
}
END_TEST

START_TEST(what_changed_between_two_steps_is_read_again)
{
	char letter;

	put(OTHERS, true);
	step(&letter);
	node.version++;                  /* its holder writes it */
	ck_assert_str_eq(run(), "xrxr"); /* the first is refused */
	ck_assert_int_eq(entry.state, REGISTRATION_PRESENT);
	ck_assert_int_eq(node.owner, OURS);
}
END_TEST

START_TEST(a_refusal_is_told_and_tried_again_later)
{
	static const enum zookeeper_code codes[] = {
	    ZOOKEEPER_NO_RIGHT, ZOOKEEPER_FAILED, ZOOKEEPER_NOT_EMPTY};

	node.refuses = codes[_i];
	ck_assert_str_eq(run(), "r");
	ck_assert_int_eq(last, ZOOKEEPER_VERDICT_PAUSE);
	ck_assert_int_eq(entry.state, REGISTRATION_PENDING);
	ck_assert_str_eq(entry.why, "ZooKeeper refuses: no");
	node.refuses = ZOOKEEPER_OK;
	ck_assert_str_eq(look(), "rcr");
	ck_assert_int_eq(entry.state, REGISTRATION_PRESENT);
	node.refuses = codes[_i];
	look();
	ck_assert_int_eq(entry.state, REGISTRATION_LOST);
}
END_TEST

START_TEST(a_lost_answer_waits_for_the_connection)
{
	node.refuses = ZOOKEEPER_LOST;
	ck_assert_str_eq(run(), "r");
	ck_assert_int_eq(last, ZOOKEEPER_VERDICT_RETRY);
	node.refuses = ZOOKEEPER_OK;
	zookeeper_entry_begin(&entry, OURS);
	ck_assert_str_eq(run(), "rcr");
}
END_TEST

START_TEST(being_away_loses_what_was_present_only)
{
	zookeeper_entry_away(&entry, "away");
	ck_assert_int_eq(entry.state, REGISTRATION_PENDING);
	settle();
	zookeeper_entry_away(&entry, "away");
	ck_assert_int_eq(entry.state, REGISTRATION_LOST);
	ck_assert_str_eq(entry.why, "away");
	zookeeper_entry_begin(&entry, OURS);
	ck_assert_str_eq(run(), "r");
	ck_assert_int_eq(entry.state, REGISTRATION_PRESENT);
}
END_TEST

START_TEST(nobody_is_raced_against_for_ever)
{
	char letter;
	unsigned n = 0;

	do {
		node.parents = 0; /* somebody takes them away as fast as they are made */
		n++;
	} while (step(&letter) && last != ZOOKEEPER_VERDICT_PAUSE && n < 1000);
	ck_assert_int_eq(last, ZOOKEEPER_VERDICT_PAUSE);
	ck_assert_uint_lt(n, 100);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {it_is_published_read_back_and_then_present, 1},
	    {missing_parents_are_made_from_above, PARENTS},
	    {the_first_time_it_takes_the_node_over, 2},
	    {taking_over_is_said, 1},
	    {later_it_yields_and_returns_when_the_node_has_gone, 2},
	    {a_node_that_is_missing_is_lost_and_made_at_once, 1},
	    {a_node_that_was_changed_is_lost_and_written_at_once, 1},
	    {another_text_of_ours_is_written_and_was_never_lost, 1},
	    {a_new_session_publishes_again, 1},
	    {a_node_of_our_former_session_is_taken_over, 1},
	    {many_former_sessions_are_forgotten_one_by_one, 1},
	    {another_sessions_node_is_left_alone_after_ours_expired, 1},
	    {leaving_deletes_what_is_ours, 1},
	    {leaving_leaves_what_is_not_ours, 2},
	    {leaving_finds_nothing_and_has_left, 1},
	    {leaving_in_the_middle_of_each_step_leaves_nothing, 6},
	    {leaving_deletes_what_a_former_session_left, 1},
	    {what_changed_between_two_steps_is_read_again, 1},
	    {a_refusal_is_told_and_tried_again_later, 3},
	    {a_lost_answer_waits_for_the_connection, 1},
	    {being_away_loses_what_was_present_only, 1},
	    {nobody_is_raced_against_for_ever, 1},
	};

	return suite_run_between("zookeeper_entry", tests, ARRAY_LEN(tests), begin, NULL);
}
