/* What calls came to, by label: bounded in number, and read by other threads while calls run. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "proxy/call_stats.h"
#include "support/suite.h"

static struct call_stats stats;

static void begin(void)
{
	call_stats_init(&stats, 4711);
}

static void end(void)
{
	call_stats_fini(&stats);
}

static struct call_labels labels_of(const char *service, const char *method, const char *caller)
{
	return (struct call_labels){.listener = SLICE_LIT("in"),
	    .service = slice_str(service),
	    .callee = slice_str(service),
	    .method = slice_str(method),
	    .caller = slice_str(caller),
	    .protocol = PROTOCOL_FRAMED};
}

static struct call_series *find(const char *service, const char *method, const char *caller)
{
	struct call_labels l = labels_of(service, method, caller);

	return call_stats_find(&stats, &l);
}

static const char *numbered(const char *prefix, unsigned i)
{
	static char text[64];

	snprintf(text, sizeof text, "%s%u", prefix, i);
	return text;
}

START_TEST(equal_labels_are_one_series)
{
	struct call_series *a = find("price", "Quote", "cart");

	ck_assert_ptr_eq(a, find("price", "Quote", "cart"));
	ck_assert_ptr_ne(a, find("price", "Quote", "web"));
	ck_assert_ptr_ne(a, find("price", "quote", "cart"));
	ck_assert_ptr_ne(a, find("stock", "Quote", "cart"));
	ck_assert_ptr_ne(a, find("price", "Quote", ""));
	ck_assert_uint_eq(stats.n_series, 5);
}
END_TEST

START_TEST(every_label_tells_series_apart)
{
	struct call_labels l = labels_of("price", "Quote", "cart");
	struct call_series *a = call_stats_find(&stats, &l);

	l.protocol = PROTOCOL_TTHEADER;
	ck_assert_ptr_ne(a, call_stats_find(&stats, &l));
	l.protocol = PROTOCOL_FRAMED;
	l.retries = 1;
	ck_assert_ptr_ne(a, call_stats_find(&stats, &l));
	l.retries = 0;
	l.is_server = true;
	ck_assert_ptr_ne(a, call_stats_find(&stats, &l));
	l.is_server = false;
	l.listener = SLICE_LIT("out");
	ck_assert_ptr_ne(a, call_stats_find(&stats, &l));
	ck_assert_uint_eq(stats.n_series, 5);
}
END_TEST

START_TEST(values_that_join_to_the_same_text_are_different)
{
	struct call_series *a = find("ab", "c", "");

	ck_assert_ptr_ne(a, find("a", "bc", ""));
	ck_assert_ptr_ne(a, find("ab", "", "c"));
	ck_assert_ptr_ne(a, find("", "abc", ""));
}
END_TEST

START_TEST(labels_are_copied)
{
	char method[] = "Quote";
	struct call_series *a = find("price", method, "cart");

	memset(method, 'x', 5);
	ck_assert(slice_eq_str(a->labels.method, "Quote"));
	ck_assert(slice_eq_str(a->labels.callee, "price"));
	ck_assert(slice_eq_str(a->labels.listener, "in"));
	ck_assert_ptr_eq(a, find("price", "Quote", "cart"));
}
END_TEST

START_TEST(a_service_has_1000_methods_and_then_others)
{
	for (unsigned i = 0; i < CALL_STATS_METHODS; i++) {
		struct call_series *a = find("price", numbered("M", i), "");

		ck_assert(slice_eq_str(a->labels.method, numbered("M", i)));
	}
	for (unsigned i = 0; i < 3; i++) {
		struct call_series *a = find("price", numbered("New", i), "");

		ck_assert(slice_eq_str(a->labels.method, "other"));
		ck_assert(slice_eq_str(a->labels.service, "price"));
	}
	/* Those that are known stay, and another service has room of its own. */
	ck_assert(slice_eq_str(find("price", "M999", "")->labels.method, "M999"));
	ck_assert(slice_eq_str(find("price", "M7", "web")->labels.method, "M7"));
	ck_assert(slice_eq_str(find("stock", "New1", "")->labels.method, "New1"));
	ck_assert_uint_eq(stats.n_series, CALL_STATS_METHODS + 3);
}
END_TEST

START_TEST(there_are_200_callers_and_then_others)
{
	find("price", "Quote", ""); /* no name is not a name */
	for (unsigned i = 0; i < CALL_STATS_CALLERS; i++) {
		struct call_series *a = find("price", "Quote", numbered("c", i));

		ck_assert(slice_eq_str(a->labels.caller, numbered("c", i)));
	}
	ck_assert(slice_eq_str(find("price", "Quote", "new")->labels.caller, "other"));
	ck_assert(slice_eq_str(find("stock", "Quote", "new")->labels.caller, "other"));
	ck_assert(slice_eq_str(find("stock", "Quote", "c199")->labels.caller, "c199"));
	ck_assert_uint_eq(find("price", "Quote", "")->labels.caller.len, 0);
}
END_TEST

START_TEST(there_are_1000_services_and_then_others)
{
	for (unsigned i = 0; i < CALL_STATS_SERVICES; i++) {
		struct call_series *a = find(numbered("s", i), "M", "");

		ck_assert(slice_eq_str(a->labels.service, numbered("s", i)));
	}
	ck_assert(slice_eq_str(find("new", "M", "")->labels.service, "other"));
	ck_assert(slice_eq_str(find("s0", "M", "")->labels.service, "s0"));
	ck_assert_uint_eq(find("", "M", "")->labels.service.len, 0);
}
END_TEST

static void fill(void)
{
	for (unsigned i = 0; i < CALL_STATS_SERIES; i++) {
		struct call_labels l = labels_of("", "", "");
		char service[32], method[32];

		snprintf(service, sizeof service, "s%u", i / 1000);
		snprintf(method, sizeof method, "M%u", i % 1000);
		l.service = slice_str(service);
		l.method = slice_str(method);
		call_stats_find(&stats, &l);
	}
}

START_TEST(there_are_20000_series_and_then_others)
{
	struct call_series *last;

	fill();
	ck_assert_uint_eq(stats.n_series, CALL_STATS_SERIES);
	last = find("s1", "M1", "late");
	ck_assert(slice_eq_str(last->labels.method, "other"));
	ck_assert(slice_eq_str(last->labels.caller, "other"));
	ck_assert_ptr_eq(last, find("s1", "M2", "later"));
	ck_assert_uint_eq(stats.n_series, CALL_STATS_SERIES + 1);
	ck_assert(slice_eq_str(find("s1", "M1", "")->labels.method, "M1"));
}
END_TEST

START_TEST(names_that_have_no_series_any_more_are_not_remembered)
{
	size_t before;

	fill();
	before = stats.names.used;
	for (unsigned i = 0; i < 5000; i++)
		find("s1", numbered("late", i), numbered("who", i));
	ck_assert_uint_le(stats.names.used, before + 2);
}
END_TEST

START_TEST(labels_of_any_length_are_stood)
{
	static char text[70000];

	memset(text, 'x', sizeof text);
	for (size_t len = 1; len < sizeof text; len = len * 2 + 1) {
		struct call_labels l = labels_of("price", "Quote", "cart");
		struct slice value = slice_of(text, len);
		struct slice *const at[] = {&l.method, &l.caller, &l.service, &l.listener};

		for (size_t i = 0; i < ARRAY_LEN(at); i++) {
			*at[i] = value;
			ck_assert_ptr_eq(call_stats_find(&stats, &l), call_stats_find(&stats, &l));
		}
	}
	ck_assert_uint_lt(stats.n_series, 100);
}
END_TEST

START_TEST(retries_past_9_count_as_9)
{
	struct call_labels l = labels_of("price", "Quote", "cart");
	struct call_series *nine;

	l.retries = 9;
	nine = call_stats_find(&stats, &l);
	l.retries = 300;
	ck_assert_ptr_eq(call_stats_find(&stats, &l), nine);
}
END_TEST

START_TEST(calls_are_counted_by_reason_and_by_kitexs_sense_of_success)
{
	struct call_series *a = find("price", "Quote", "cart");

	call_series_count(a, REASON_OK, 100);
	call_series_count(a, REASON_BIZ_ERROR, 200);
	call_series_count(a, REASON_APP_EXCEPTION, 400);
	call_series_count(a, REASON_TIMEOUT, 800);
	ck_assert_uint_eq(counter_get(&a->by_reason[REASON_OK]), 1);
	ck_assert_uint_eq(counter_get(&a->by_reason[REASON_TIMEOUT]), 1);
	ck_assert_uint_eq(counter_get(&a->good.sum_us), 300);
	ck_assert_uint_eq(counter_get(&a->bad.sum_us), 1200);
	ck_assert(reason_is_success(REASON_BIZ_ERROR));
	ck_assert(!reason_is_success(REASON_APP_EXCEPTION));
}
END_TEST

/* ---- a reader beside the writer ---- */

#define ADDED 4000u

static _Atomic bool is_over;

static uint64_t sum_all(unsigned *n)
{
	struct call_series *s = atomic_load_explicit(&stats.first, memory_order_acquire);
	uint64_t sum = 0;

	for (*n = 0; s; s = atomic_load_explicit(&s->next, memory_order_relaxed)) {
		if (s->labels.method.len == 0 || s->labels.method.data[0] != 'M')
			abort(); /* a thread cannot fail the test otherwise */
		sum += counter_get(&s->by_reason[REASON_OK]);
		(*n)++;
	}
	return sum;
}

/* What it sees only ever grows. */
static void *read_on(void *arg)
{
	uint64_t last_sum = 0;
	unsigned last_n = 0;

	(void)arg;
	do {
		unsigned n;
		uint64_t sum = sum_all(&n);

		if (n < last_n || sum < last_sum)
			abort();
		last_n = n;
		last_sum = sum;
	} while (!atomic_load(&is_over));
	return NULL;
}

START_TEST(another_thread_may_walk_while_series_are_added)
{
	pthread_t reader;
	unsigned n;

	ck_assert_int_eq(pthread_create(&reader, NULL, read_on, NULL), 0);
	for (unsigned i = 0; i < ADDED; i++) {
		struct call_labels l = labels_of("", numbered("M", i), "");
		char service[32];

		snprintf(service, sizeof service, "s%u", i / 500);
		l.service = slice_str(service);
		for (int k = 0; k < 3; k++)
			call_series_count(call_stats_find(&stats, &l), REASON_OK, i);
	}
	atomic_store(&is_over, true);
	ck_assert_int_eq(pthread_join(reader, NULL), 0);
	ck_assert_uint_eq(sum_all(&n), 3 * ADDED);
	ck_assert_uint_eq(n, ADDED);
}
END_TEST

/* What a worker has not seen, another may have; past the bound nobody gets a name of his own. */
START_TEST(workers_that_share_names_are_bounded_together)
{
	struct label_names *names = label_names_new(7);
	struct call_labels l = labels_of("price", "x", "");
	struct call_stats second;

	call_stats_init(&second, 4712);
	stats.shared = second.shared = names;
	for (unsigned i = 0; i < CALL_STATS_METHODS; i++)
		find("price", numbered("m", i), "");
	l.method = SLICE_LIT("late");
	ck_assert(slice_eq_str(call_stats_find(&second, &l)->labels.method, "other"));
	l.method = SLICE_LIT("m7");
	ck_assert(slice_eq_str(call_stats_find(&second, &l)->labels.method, "m7"));
	l.service = SLICE_LIT("stock"); /* a scope of its own */
	l.method = SLICE_LIT("late");
	ck_assert(slice_eq_str(call_stats_find(&second, &l)->labels.method, "late"));
	call_stats_fini(&second);
	stats.shared = NULL;
	label_names_free(&names);
}
END_TEST

static const struct fault_note *note_of(const struct call_series *series, enum reason reason)
{
	const struct fault_note *note = atomic_load(&series->faults.first);

	while (note && note->reason != reason)
		note = atomic_load(&note->next);
	return note;
}

START_TEST(a_failure_is_noted_with_its_first_time_its_last_and_its_last_words)
{
	struct call_series *series = find("price", "Quote", "cart");
	char text[FAULT_TEXT + 1];

	ck_assert_ptr_null(note_of(series, REASON_TIMEOUT));
	call_stats_note(&stats, series, REASON_TIMEOUT, SLICE_LIT("a longer text"), 100);
	call_stats_note(&stats, series, REASON_RESET, SLICE_NONE, 150);
	call_stats_note(&stats, series, REASON_TIMEOUT, SLICE_LIT("short"), 200);
	ck_assert_uint_eq(note_of(series, REASON_TIMEOUT)->first, 100);
	ck_assert_uint_eq(note_of(series, REASON_TIMEOUT)->last, 200);
	fault_note_text(note_of(series, REASON_TIMEOUT), text);
	ck_assert_str_eq(text, "short");
	fault_note_text(note_of(series, REASON_RESET), text);
	ck_assert_str_eq(text, "");
	ck_assert_uint_eq(stats.n_faults, 2);
}
END_TEST

START_TEST(long_words_are_cut_and_too_many_notes_are_not_taken)
{
	struct call_series *series = find("price", "Quote", "cart");
	char text[FAULT_TEXT + 1], longer[2 * FAULT_TEXT];

	memset(longer, 'x', sizeof longer);
	call_stats_note(&stats, series, REASON_RESET, slice_of(longer, sizeof longer), 1);
	fault_note_text(note_of(series, REASON_RESET), text);
	ck_assert_uint_eq(strlen(text), FAULT_TEXT);
	for (unsigned i = 1; i <= FAULT_NOTES; i++)
		call_stats_note(&stats,
		    find("price", numbered("m", i % 900), numbered("c", i / 900)), REASON_RESET,
		    SLICE_NONE, i);
	ck_assert_uint_le(stats.n_faults, FAULT_NOTES);
	stats.n_faults = FAULT_NOTES;
	call_stats_note(&stats, series, REASON_TIMEOUT, SLICE_NONE, 5);
	ck_assert_ptr_null(note_of(series, REASON_TIMEOUT));
	call_stats_note(&stats, series, REASON_RESET, SLICE_LIT("again"), 6);
	ck_assert_uint_eq(note_of(series, REASON_RESET)->last, 6);
}
END_TEST

struct reading {
	const struct fault_note *note;
	atomic_bool is_over;
	unsigned odd;
};

/* Words of one letter each: whatever is read has only one. */
static void *read_notes(void *arg)
{
	struct reading *r = arg;

	while (!atomic_load(&r->is_over)) {
		char text[FAULT_TEXT + 1];

		fault_note_text(r->note, text);
		r->odd += strspn(text, (char[]){text[0], '\0'}) != strlen(text);
	}
	return NULL;
}

START_TEST(a_note_is_read_whole_while_it_is_written)
{
	struct call_series *series = find("price", "Quote", "cart");
	struct reading reading = {0};
	char words[FAULT_TEXT];
	pthread_t reader;

	call_stats_note(&stats, series, REASON_RESET, SLICE_LIT("a"), 1);
	reading.note = note_of(series, REASON_RESET);
	ck_assert_int_eq(pthread_create(&reader, NULL, read_notes, &reading), 0);
	for (unsigned i = 0; i < 100000; i++) {
		memset(words, 'a' + (int)(i % 26), sizeof words);
		call_stats_note(
		    &stats, series, REASON_RESET, slice_of(words, 1 + i % FAULT_TEXT), i);
	}
	atomic_store(&reading.is_over, true);
	pthread_join(reader, NULL);
	ck_assert_uint_eq(reading.odd, 0);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {equal_labels_are_one_series, 1},
	    {every_label_tells_series_apart, 1},
	    {values_that_join_to_the_same_text_are_different, 1},
	    {labels_are_copied, 1},
	    {a_service_has_1000_methods_and_then_others, 1},
	    {there_are_200_callers_and_then_others, 1},
	    {there_are_1000_services_and_then_others, 1},
	    {there_are_20000_series_and_then_others, 1},
	    {names_that_have_no_series_any_more_are_not_remembered, 1},
	    {labels_of_any_length_are_stood, 1},
	    {retries_past_9_count_as_9, 1},
	    {calls_are_counted_by_reason_and_by_kitexs_sense_of_success, 1},
	    {another_thread_may_walk_while_series_are_added, 1},
	    {workers_that_share_names_are_bounded_together, 1},
	    {a_failure_is_noted_with_its_first_time_its_last_and_its_last_words, 1},
	    {long_words_are_cut_and_too_many_notes_are_not_taken, 1},
	    {a_note_is_read_whole_while_it_is_written, 1},
	};

	return suite_run_between("call_stats", tests, ARRAY_LEN(tests), begin, end);
}
