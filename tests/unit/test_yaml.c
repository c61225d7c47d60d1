#include <stdio.h>
#include <stdlib.h>

#include <check.h>

#include "base/mem.h"
#include "model/yaml.h"
#include "support/suite.h"

static struct arena arena;
static struct problems problems;
static size_t n_nodes;

static void begin(void)
{
	arena_init(&arena, NULL, 0);
	problems_init(&problems);
}

static void end(void)
{
	problems_fini(&problems);
	arena_fini(&arena);
}

static struct yaml_node *read_bytes(struct slice text)
{
	struct yaml_input in = {"f.yaml", text, &arena, &problems, 0};
	struct yaml_node *root = yaml_read(&in);

	n_nodes = in.n_nodes;
	return root;
}

static struct yaml_node *read_text(const char *text)
{
	return read_bytes(slice_str(text));
}

/* @n times @part, and @last. */
static struct slice repeat(const char *part, size_t n, const char *last)
{
	size_t len = strlen(part), tail = strlen(last);
	uint8_t *text = arena_alloc(&arena, n * len + tail);

	for (size_t i = 0; i < n; i++)
		memcpy(text + i * len, part, len);
	memcpy(text + n * len, last, tail);
	return slice_of(text, n * len + tail);
}

static void assert_problem(
    size_t i, unsigned line, unsigned column, const char *path, const char *text)
{
	const struct problem *problem;

	ck_assert_uint_gt(problems.n, i);
	problem = &problems.list[i];
	ck_assert_uint_eq(problem->line, line);
	ck_assert_uint_eq(problem->column, column);
	ck_assert_str_eq(problem->path ? problem->path : "", path);
	ck_assert_msg(
	    strstr(problem->text, text) != NULL, "\"%s\" has no \"%s\"", problem->text, text);
	ck_assert_msg(problem->remedy != NULL, "no remedy for \"%s\"", problem->text);
}

static void assert_text(const struct yaml_node *node, const char *text)
{
	ck_assert_ptr_nonnull(node);
	ck_assert_int_eq(node->kind, NODE_SCALAR);
	ck_assert_msg(slice_eq_str(node->text, text), "%.*s is not %s", (int)node->text.len,
	    (const char *)node->text.data, text);
}

START_TEST(yaml_makes_a_tree_with_places)
{
	struct yaml_node *root = read_text("a: 1\n"
					   "b:\n"
					   "  - x\n"
					   "  - {c: \"y\", d: [p, q]}\n");
	struct yaml_node *list, *map;

	ck_assert_ptr_nonnull(root);
	ck_assert_uint_eq(problems.n, 0);
	ck_assert_uint_eq(root->n, 2);
	assert_text(yaml_find(root, SLICE_LIT("a")), "1");
	list = yaml_find(root, SLICE_LIT("b"));
	ck_assert_int_eq(list->kind, NODE_LIST);
	ck_assert_uint_eq(list->key_at.line, 2);
	ck_assert_uint_eq(list->key_at.column, 1);
	ck_assert_uint_eq(list->n, 2);
	assert_text(list->first, "x");
	ck_assert_uint_eq(list->first->at.line, 3);
	ck_assert_uint_eq(list->first->at.column, 5);
	map = list->first->next;
	assert_text(yaml_find(map, SLICE_LIT("c")), "y");
	ck_assert(!yaml_find(map, SLICE_LIT("c"))->is_plain);
	ck_assert_uint_eq(yaml_find(map, SLICE_LIT("d"))->n, 2);
	ck_assert_ptr_null(yaml_find(map, SLICE_LIT("e")));
	ck_assert_str_eq(map->at.file, "f.yaml");
}
END_TEST

START_TEST(yaml_counts_columns_in_characters)
{
	read_text("é: \"ü\"\nñ: *x\n");
	assert_problem(0, 2, 4, "\"ñ\"", "aliases");
}
END_TEST

START_TEST(yaml_reads_an_empty_text_as_nothing)
{
	struct yaml_node *root = read_text("# only this\n");

	ck_assert_ptr_nonnull(root);
	ck_assert_int_eq(yaml_scalar_kind(root), SCALAR_NULL);
	root = read_bytes(SLICE_NONE);
	ck_assert_ptr_nonnull(root);
	ck_assert_uint_eq(problems.n, 0);
}
END_TEST

START_TEST(yaml_skips_a_byte_order_mark)
{
	assert_text(yaml_find(read_text("\xef\xbb\xbf"
					"a: b\n"),
			SLICE_LIT("a")),
	    "b");
	ck_assert_uint_eq(problems.n, 0);
}
END_TEST

START_TEST(yaml_tells_bools_numbers_and_texts_as_version_1_2_does)
{
	static const struct {
		const char *text;
		enum scalar_kind kind;
	} cases[] = {
	    {"true", SCALAR_BOOL},
	    {"False", SCALAR_BOOL},
	    {"TRUE", SCALAR_BOOL},
	    {"no", SCALAR_TEXT},
	    {"yes", SCALAR_TEXT},
	    {"on", SCALAR_TEXT},
	    {"off", SCALAR_TEXT},
	    {"tRue", SCALAR_TEXT},
	    {"null", SCALAR_NULL},
	    {"~", SCALAR_NULL},
	    {"", SCALAR_NULL},
	    {"nil", SCALAR_TEXT},
	    {"0", SCALAR_NUMBER},
	    {"-17", SCALAR_NUMBER},
	    {"+1", SCALAR_NUMBER},
	    {"007", SCALAR_NUMBER},
	    {"1.5", SCALAR_NUMBER},
	    {".5", SCALAR_NUMBER},
	    {"1.", SCALAR_NUMBER},
	    {".", SCALAR_TEXT},
	    {"1e3", SCALAR_NUMBER},
	    {"1e", SCALAR_TEXT},
	    {"1e+", SCALAR_TEXT},
	    {"0x1F", SCALAR_NUMBER},
	    {"0x", SCALAR_TEXT},
	    {"0o17", SCALAR_NUMBER},
	    {"0o18", SCALAR_TEXT},
	    {".inf", SCALAR_NUMBER},
	    {"-.INF", SCALAR_NUMBER},
	    {".nan", SCALAR_NUMBER},
	    {"10ms", SCALAR_TEXT},
	    {"1_000", SCALAR_TEXT},
	    {"1:30", SCALAR_TEXT},
	    {"-", SCALAR_TEXT},
	    {"1.2.3", SCALAR_TEXT},
	    {"2001-01-01", SCALAR_TEXT},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct yaml_node node = {.is_plain = true, .text = slice_str(cases[i].text)};

		ck_assert_msg(yaml_scalar_kind(&node) == cases[i].kind, "%s", cases[i].text);
		node.is_plain = false;
		ck_assert_int_eq(yaml_scalar_kind(&node), SCALAR_TEXT);
	}
}
END_TEST

START_TEST(yaml_refuses_aliases_and_anchors_and_reads_on)
{
	ck_assert_ptr_nonnull(read_text("a: &x 1\nb: [*x, &y {c: 2}]\n"));
	ck_assert_uint_eq(problems.n_errors, 3);
	assert_problem(0, 1, 4, "a", "anchors");
	assert_problem(1, 2, 5, "b[0]", "aliases");
	assert_problem(2, 2, 9, "b[1]", "anchors");
}
END_TEST

START_TEST(yaml_refuses_tags_merge_keys_and_keys_that_are_no_words)
{
	struct yaml_node *root = read_text(
	    "a: !!str 1\nb: !mine {c: 2}\n<<: {d: 3}\n? [x, {y: z}]\n: 4\n\"<<\": fine\ne: 5\n");

	ck_assert_uint_eq(problems.n_errors, 4);
	assert_problem(0, 1, 4, "a", "tags");
	assert_problem(1, 2, 4, "b", "tags");
	assert_problem(2, 3, 1, "", "merge keys");
	assert_problem(3, 4, 3, "", "a key cannot be");
	ck_assert_ptr_null(yaml_find(root, SLICE_LIT("d")));
	assert_text(yaml_find(root, SLICE_LIT("<<")), "fine");
	assert_text(yaml_find(root, SLICE_LIT("e")), "5");
	ck_assert_uint_eq(root->n, 4);
}
END_TEST

START_TEST(yaml_reports_doubled_keys_with_both_places_and_keeps_the_first)
{
	struct yaml_node *root = read_text("a:\n  b: 1\n  c: 2\n  b: [3]\na: 4\n");

	ck_assert_uint_eq(problems.n_errors, 2);
	assert_problem(0, 4, 3, "a.b", "second time");
	ck_assert_ptr_nonnull(strstr(problems.list[0].remedy, "f.yaml:2:3"));
	assert_problem(1, 5, 1, "a", "second time");
	assert_text(yaml_find(yaml_find(root, SLICE_LIT("a")), SLICE_LIT("b")), "1");
}
END_TEST

START_TEST(yaml_finds_doubled_keys_among_very_many)
{
	char *text = arena_alloc(&arena, 30000 * 16);
	size_t len = 0;

	for (int i = 0; i < 30000; i++)
		len += (size_t)sprintf(text + len, "k%d: 1\n", i);
	len += (size_t)sprintf(text + len, "k17: 1\n");
	ck_assert_ptr_nonnull(read_bytes(slice_of(text, len)));
	ck_assert_uint_eq(problems.n_errors, 1);
	assert_problem(0, 30001, 1, "k17", "second time");
}
END_TEST

START_TEST(yaml_refuses_a_second_document)
{
	ck_assert_ptr_null(read_text("---\na: 1\n---\nb: 2\n"));
	assert_problem(0, 3, 1, "", "second document");
}
END_TEST

START_TEST(yaml_refuses_directives_before_they_cost_anything)
{
	ck_assert_ptr_null(read_text("%YAML 1.2\n---\na: 1\n"));
	assert_problem(0, 1, 1, "", "directives");
	ck_assert_ptr_null(read_bytes(repeat("%TAG !a! b\n", 50000, "---\n")));
	ck_assert_uint_eq(n_nodes, 0);
	ck_assert_uint_eq(problems.n_errors, 2);
}
END_TEST

START_TEST(yaml_says_what_is_wrong_with_the_form)
{
	ck_assert_ptr_null(read_text("a: [1, 2\nb: 3\n"));
	assert_problem(0, 2, 2, "a[2]", "not YAML");
	ck_assert_ptr_nonnull(strstr(problems.list[0].remedy, "line 1"));
	end();
	begin();
	ck_assert_ptr_null(read_text("a:\n\t- b\n"));
	assert_problem(0, 2, 1, "a", "a tab");
	end();
	begin();
	ck_assert_ptr_null(read_text("a: b: c\n"));
	assert_problem(0, 1, 5, "", "not YAML");
	end();
	begin();
	ck_assert_ptr_null(read_text("a: {b: ${X}}\n"));
	ck_assert_ptr_nonnull(strstr(problems.list[0].remedy, "needs quotes"));
}
END_TEST

START_TEST(yaml_refuses_bytes_that_are_no_text)
{
	static const struct {
		const char *text;
		size_t len;
		unsigned line, column;
	} cases[] = {
	    {"a: \0b", 5, 1, 4},
	    {"a: é\nb: \xff", 10, 2, 4},
	    {"a: \xc0\xaf", 5, 1, 4},     /* too long a form of / */
	    {"a: \xed\xa0\x80", 6, 1, 4}, /* half of a pair */
	    {"a: \xf4\x90\x80\x80", 7, 1, 4},
	    {"a: \xe2\x82", 5, 1, 4}, /* cut off */
	    {"a: \x1b[0m", 7, 1, 4},
	    {"a: \xc2\x9b", 5, 1, 4},
	    {"a: \x7f", 4, 1, 4},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		ck_assert_ptr_null(read_bytes(slice_of(cases[i].text, cases[i].len)));
		assert_problem(0, cases[i].line, cases[i].column, "", "UTF-8");
		ck_assert_uint_eq(n_nodes, 0);
		end();
		begin();
	}
}
END_TEST

START_TEST(yaml_refuses_control_bytes_that_escapes_make)
{
	read_text("a: \"x\\0y\"\nb: \"\\x1b[0m\"\nc: \"\\n\\t\"\n\"d\\a\": 1\n");
	ck_assert_uint_eq(problems.n_errors, 3);
	assert_problem(0, 1, 4, "a", "control byte");
	assert_problem(1, 2, 4, "b", "control byte");
	assert_problem(2, 4, 1, "", "control byte");
}
END_TEST

START_TEST(yaml_takes_every_kind_of_text)
{
	struct slice s = SLICE_LIT("tab\t nl\n é € 😀 \xc2\x85");

	ck_assert_uint_eq(yaml_bad_byte(s), s.len);
	ck_assert_uint_eq(yaml_bad_byte(SLICE_NONE), 0);
}
END_TEST

START_TEST(yaml_nests_32_deep_and_no_deeper)
{
	char text[100];

	for (int depth = 32; depth <= 33; depth++) {
		memset(text, '[', (size_t)depth);
		memset(text + depth, ']', (size_t)depth);
		text[2 * depth] = '\0';
		ck_assert_int_eq(read_text(text) != NULL, depth == 32);
	}
	ck_assert_uint_eq(problems.n_errors, 1);
	ck_assert_uint_eq(problems.list[0].column, 33);
}
END_TEST

/* What bounds the time is that reading stops at the first nodes, whatever follows. */
START_TEST(yaml_gives_bombs_up_after_a_few_nodes)
{
	static const char *const parts[] = {
	    "[", "{", "- ", "? ", "[a,", "{a: ", "[[]]: ", "- - ", "{? "};

	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		ck_assert_ptr_null(read_bytes(repeat(parts[i], 200000 / strlen(parts[i]), "")));
		ck_assert_msg(n_nodes <= 200, "%s made %zu nodes", parts[i], n_nodes);
		ck_assert_uint_ge(problems.n_errors, 1);
		end();
		begin();
	}
}
END_TEST

START_TEST(yaml_refuses_alias_bombs_without_following_them)
{
	ck_assert_ptr_nonnull(read_text("a: &a [*a]\n"));
	ck_assert_uint_le(n_nodes, 4);
	ck_assert_uint_eq(problems.n_errors, 2);
	end();
	begin();
	/* each line is nine times the one before */
	read_text("a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
		  "c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\n"
		  "e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\n");
	ck_assert_uint_le(n_nodes, 100);
	ck_assert_uint_eq(problems.n_errors, 6 + 5 * 9);
}
END_TEST

START_TEST(yaml_bounds_bytes_and_nodes)
{
	ck_assert_ptr_nonnull(read_bytes(repeat("#", YAML_MAX_BYTES, "")));
	ck_assert_uint_eq(problems.n, 0);
	ck_assert_ptr_null(read_bytes(repeat("#", YAML_MAX_BYTES, "#")));
	assert_problem(0, 0, 0, "", "bytes long");
	ck_assert_ptr_null(read_bytes(repeat("- 1\n", 200000, "")));
	ck_assert_uint_eq(n_nodes, YAML_MAX_NODES + 1);
	assert_problem(1, YAML_MAX_NODES, 3, "[100000]", "too many");
}
END_TEST

START_TEST(problems_beyond_a_thousand_are_counted_only)
{
	read_bytes(repeat("- *a\n", 3000, ""));
	ck_assert_uint_eq(problems.n, PROBLEMS_MAX);
	ck_assert_uint_eq(problems.n_errors, 3000);
}
END_TEST

START_TEST(problems_are_listed_in_order_of_place)
{
	problems_error(&problems, (struct place){"b", 1, 1}, "x", "three");
	problems_error(&problems, (struct place){"a", 2, 9}, NULL, "two\nthe remedy");
	problems_warn(&problems, (struct place){"b", 1, 1}, "y", "four");
	problems_error(&problems, (struct place){"a", 2, 3}, "z", "one");
	problems_error(&problems, (struct place){NULL, 0, 0}, "", "zero");
	ck_assert_uint_eq(problems.n_errors, 4);
	ck_assert_str_eq(problems.list[0].text, "zero");
	ck_assert_str_eq(problems.list[1].text, "one");
	ck_assert_str_eq(problems.list[2].text, "two");
	ck_assert_str_eq(problems.list[2].remedy, "the remedy");
	ck_assert_str_eq(problems.list[3].text, "three");
	ck_assert_str_eq(problems.list[4].text, "four");
}
END_TEST

START_TEST(problems_are_printed_for_people_and_editors)
{
	char *text = NULL;
	size_t size = 0;
	FILE *to = open_memstream(&text, &size);

	problems_error(
	    &problems, (struct place){"a.yaml", 3, 7}, "log.level", "wrong\nexpected right");
	problems_warn(&problems, (struct place){"a.yaml", 4, 1}, "x", "odd");
	problems_error(&problems, (struct place){"b.yaml", 0, 0}, NULL, "cannot open");
	problems_print(&problems, to, true);
	fputs("--\n", to);
	problems_print(&problems, to, false);
	fclose(to);
	ck_assert_str_eq(text, "a.yaml:3:7: error: log.level: wrong\n"
			       "    expected right\n"
			       "a.yaml:4:1: warning: x: odd\n"
			       "b.yaml: error: cannot open\n"
			       "--\n"
			       "a.yaml:3:7: error: log.level: wrong\n"
			       "    expected right\n"
			       "b.yaml: error: cannot open\n");
	free(text);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {yaml_makes_a_tree_with_places, 1},
	    {yaml_counts_columns_in_characters, 1},
	    {yaml_reads_an_empty_text_as_nothing, 1},
	    {yaml_skips_a_byte_order_mark, 1},
	    {yaml_tells_bools_numbers_and_texts_as_version_1_2_does, 1},
	    {yaml_refuses_aliases_and_anchors_and_reads_on, 1},
	    {yaml_refuses_tags_merge_keys_and_keys_that_are_no_words, 1},
	    {yaml_reports_doubled_keys_with_both_places_and_keeps_the_first, 1},
	    {yaml_finds_doubled_keys_among_very_many, 1},
	    {yaml_refuses_a_second_document, 1},
	    {yaml_refuses_directives_before_they_cost_anything, 1},
	    {yaml_says_what_is_wrong_with_the_form, 1},
	    {yaml_refuses_bytes_that_are_no_text, 1},
	    {yaml_refuses_control_bytes_that_escapes_make, 1},
	    {yaml_takes_every_kind_of_text, 1},
	    {yaml_nests_32_deep_and_no_deeper, 1},
	    {yaml_gives_bombs_up_after_a_few_nodes, 1},
	    {yaml_refuses_alias_bombs_without_following_them, 1},
	    {yaml_bounds_bytes_and_nodes, 1},
	    {problems_beyond_a_thousand_are_counted_only, 1},
	    {problems_are_listed_in_order_of_place, 1},
	    {problems_are_printed_for_people_and_editors, 1},
	};

	return suite_run_between("yaml", tests, ARRAY_LEN(tests), begin, end);
}
