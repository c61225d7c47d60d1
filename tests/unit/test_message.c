/* Heads that are kept while what was made of their bodies, or by the proxy, lies elsewhere. */
#include <stdlib.h>

#include "base/mem.h"
#include "rpc/message.h"
#include "support/suite.h"

static const struct rpc_form framed = {RPC_PLAIN, RPC_THRIFT, true};

/* As if it were read there: each byte has its own memory, and ends with it. */
static struct slice elsewhere(const char *text)
{
	return slice_of(slice_dup(slice_str(text)), strlen(text));
}

static void forget(struct slice *s)
{
	free((void *)(uintptr_t)s->data);
}

START_TEST(what_was_lifted_is_kept_with_the_head)
{
	struct slice head = elsewhere("head: Echo"), body = elsewhere("body: cart"),
		     made = elsewhere("made: log7"), sections = elsewhere("sections");
	struct rpc_message m = {.form = framed,
	    .marks = RPC_IS_LIFTED,
	    .head = head,
	    .method = slice_from(head, 6),
	    .caller = slice_from(body, 6), /* a view into what it was read from */
	    .log_id = slice_from(made, 6),
	    .sections = sections,
	    .body = body};
	struct arena arena;

	arena_init(&arena, NULL, 0);
	rpc_message_keep_head(&m, &arena);
	ck_assert_ptr_eq(m.body.data, body.data); /* it is the caller's to keep */
	forget(&head);
	forget(&body);
	forget(&made);
	forget(&sections);
	ck_assert(slice_eq_str(m.head, "head: Echo"));
	ck_assert_ptr_eq(m.method.data, m.head.data + 6);
	ck_assert(slice_eq_str(m.caller, "cart"));
	ck_assert(slice_eq_str(m.log_id, "log7"));
	ck_assert(slice_eq_str(m.sections, "sections"));
	ck_assert_uint_eq(m.idl_service.len, 0);
	arena_fini(&arena);
}
END_TEST

START_TEST(what_a_body_says_of_an_error_is_kept_with_the_head)
{
	struct slice head = elsewhere("head: Echo"), body = elsewhere("body: poor"),
		     code = elsewhere("4001"), extra = elsewhere("{}");
	struct rpc_message m = {.form = framed,
	    .kind = RPC_REPLY,
	    .marks = RPC_HAS_BIZ | RPC_BIZ_IN_BODY,
	    .head = head,
	    .biz_status = code,
	    .biz_message = slice_from(body, 6),
	    .biz_extra = extra,
	    .body = body};
	struct arena arena;

	arena_init(&arena, NULL, 0);
	rpc_message_keep_head(&m, &arena);
	forget(&head);
	forget(&body);
	forget(&code);
	forget(&extra);
	ck_assert(slice_eq_str(m.biz_status, "4001"));
	ck_assert(slice_eq_str(m.biz_message, "poor"));
	ck_assert(slice_eq_str(m.biz_extra, "{}"));
	arena_fini(&arena);
}
END_TEST

START_TEST(a_head_that_is_kept_twice_is_the_same)
{
	struct slice head = elsewhere("head: Echo"), made = elsewhere("log7");
	struct rpc_message m = {.form = framed,
	    .marks = RPC_IS_LIFTED,
	    .head = head,
	    .method = slice_from(head, 6),
	    .log_id = made};
	struct arena first, second;

	arena_init(&first, NULL, 0);
	arena_init(&second, NULL, 0);
	rpc_message_keep_head(&m, &first);
	rpc_message_keep_head(&m, &second);
	forget(&head);
	forget(&made);
	arena_fini(&first);
	ck_assert(slice_eq_str(m.method, "Echo"));
	ck_assert(slice_eq_str(m.log_id, "log7"));
	arena_fini(&second);
}
END_TEST

START_TEST(views_into_a_body_stay_where_nothing_was_made_of_it)
{
	struct slice head = elsewhere("head: Echo"), body = elsewhere("body: text");
	struct rpc_message m = {.form = framed,
	    .kind = RPC_EXCEPTION,
	    .head = head,
	    .method = slice_from(head, 6),
	    .status_text = slice_from(body, 6),
	    .body = body};
	struct arena arena;

	arena_init(&arena, NULL, 0);
	rpc_message_keep_head(&m, &arena);
	forget(&head);
	ck_assert(slice_eq_str(m.method, "Echo"));
	ck_assert_ptr_eq(m.status_text.data, body.data + 6);
	forget(&body);
	arena_fini(&arena);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    what_was_lifted_is_kept_with_the_head,
	    what_a_body_says_of_an_error_is_kept_with_the_head,
	    a_head_that_is_kept_twice_is_the_same,
	    views_into_a_body_stay_where_nothing_was_made_of_it,
	};

	return suite_run("message", tests, ARRAY_LEN(tests));
}
