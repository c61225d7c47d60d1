#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <check.h>

#include "base/mem.h"
#include "support/loaded.h"
#include "support/suite.h"

static void assert_has(const char *text, const char *part)
{
	ck_assert_msg(strstr(text, part) != NULL, "no \"%s\" in\n%s", part, text);
}

static void strip_places(char *text)
{
	for (char *at = text; (at = strstr(at, "  # ")) != NULL;)
		memmove(at, at + strcspn(at, "\n"), strlen(at + strcspn(at, "\n")) + 1);
}

static char *policy_text(const struct config *config, const struct policy *policy)
{
	char *text = NULL;
	size_t size = 0;
	FILE *to = open_memstream(&text, &size);

	ck_assert_ptr_nonnull(to);
	config_dump_policy(config, policy, to);
	ck_assert_int_eq(fclose(to), 0);
	strip_places(text);
	return text;
}

/* Whatever is merged of what was printed comes to the same as well. */
static void assert_same_policies(const struct config *a, const struct config *b)
{
	ck_assert_uint_eq(a->n_policies, b->n_policies);
	for (size_t i = 0; i < a->n_policies; i++) {
		char *first = policy_text(a, a->policies[i]);
		char *second = policy_text(b, b->policies[i]);

		ck_assert_str_eq(first, second);
		ck_assert_int_eq(a->policies[i]->is_idempotent, b->policies[i]->is_idempotent);
		free(first);
		free(second);
	}
}

/* The number of a doubt, like "W57"; "" of other problems. */
static const char *id_of(const struct problem *p, char id[8])
{
	const char *mark = p->is_warning ? strrchr(p->text, '[') : NULL;

	snprintf(id, 8, "%.3s", mark ? mark + 1 : "");
	return id;
}

/* Files that registries have on a machine (W59, W60) need not be on this one. What a comment allows
 * in @written is said again of what was printed, which has no comments. */
static bool is_quiet(const struct loaded *l, const char *written)
{
	for (size_t i = 0; i < l->problems.n; i++) {
		char id[8], comment[20];

		if (*id_of(&l->problems.list[i], id) == '\0')
			return false;
		snprintf(comment, sizeof comment, "# allow %s:", id);
		if (strcmp(id, "W59") && strcmp(id, "W60") && !strstr(written, comment))
			return false;
	}
	return true;
}

static char *read_text(const char *path)
{
	char *text = NULL;
	size_t size = 0;
	FILE *from = fopen(path, "r");

	ck_assert_ptr_nonnull(from);
	ck_assert(getdelim(&text, &size, '\0', from) > 0);
	fclose(from);
	return text;
}

/* What is printed loads, without a word, to the same; and so does what that prints. */
static void assert_round_trip(const struct config *config, const char *written)
{
	char *first = loaded_dump(config), *second;
	struct loaded again = loaded_from(first);

	ck_assert_str_eq(loaded_config(&again)->hash, config->hash);
	if (!is_quiet(&again, written))
		problems_print(&again.problems, stderr, true);
	ck_assert(is_quiet(&again, written));
	assert_same_policies(config, again.config);
	second = loaded_dump(again.config);
	strip_places(first);
	strip_places(second);
	ck_assert_str_eq(first, second);
	free(first);
	free(second);
	loaded_free(&again);
}

static unsigned check_folder(const char *path)
{
	struct dirent *entry;
	unsigned count = 0;
	DIR *dir;

	ck_assert_int_eq(chdir(suite_path(path)), 0);
	dir = opendir(".");
	ck_assert_ptr_nonnull(dir);
	while ((entry = readdir(dir)) != NULL) {
		size_t len = strlen(entry->d_name);
		struct loaded l;
		char *written;

		/* a plan for bridlectl(1) is another kind of file */
		if (len <= 5 || strcmp(entry->d_name + len - 5, ".yaml") != 0 ||
		    strncmp(entry->d_name, "simulate", 8) == 0)
			continue;
		l = loaded_file(entry->d_name);
		loaded_config(&l);
		problems_print(&l.problems, stderr, true);
		ck_assert_msg(is_quiet(&l, ""), "%s", entry->d_name);
		written = read_text(entry->d_name);
		assert_round_trip(l.config, written);
		free(written);
		loaded_free(&l);
		count++;
	}
	closedir(dir);
	return count;
}

START_TEST(examples_load_without_a_word_and_come_back)
{
	ck_assert_uint_ge(check_folder("conf"), 8);
}
END_TEST

START_TEST(good_files_load_without_a_word_and_come_back)
{
	ck_assert_uint_ge(check_folder("tests/config/good"), 3);
}
END_TEST

START_TEST(dump_says_where_each_value_came_from)
{
	static const char *const overrides[] = {"workers=1", "services.app.timeout.call=3s"};
	struct loaded l = loaded_with("listeners:\n"
				      "  - address: \"127.0.0.1:0\"\n"
				      "    service: app\n"
				      "defaults: {timeout: {connect: 7ms}}\n"
				      "services:\n"
				      "  app:\n"
				      "    endpoints: [\"127.0.0.1:1\"]\n"
				      "    methods: {Get: {timeout: {attempt: 9ms}}}\n",
	    overrides, 2);
	char *text = loaded_dump(loaded_config(&l));

	assert_has(text, "version: 1  # default\n");
	assert_has(text, "workers: 1  # command line\n");
	assert_has(text,
	    "  - name: listener-1  # default\n    address: [\"127.0.0.1:0\"]  # test.yaml:2\n");
	assert_has(text, "    service: app  # test.yaml:3\n");
	/* inherited values keep the place where they were written */
	assert_has(text,
	    "    timeout:\n      connect: 7ms  # test.yaml:4\n      call: 3s  # command line\n");
	/* a method has what it adds, and as comments what it does not */
	assert_has(text, "      Get:\n        idempotent: false  # default\n        timeout:\n"
			 "          attempt: 9ms  # test.yaml:8\n"
			 "        # timeout.connect: 7ms  # test.yaml:4\n"
			 "        # timeout.call: 3s  # command line\n");
	assert_has(text,
	    "      - address: \"127.0.0.1:1\"  # test.yaml:7\n        weight: 10  # default\n");
	free(text);
	loaded_free(&l);
}
END_TEST

START_TEST(dump_quotes_what_would_read_otherwise)
{
	static const char *const texts[] = {"true", "no", "none", "17", "1.5", "~", "a: b", "a #b",
	    "", " x", "${HOME}", "$${x}", "$", "${", "[a]", "{a}", "*a", "&a", "!a",
	    "a\\nb\\t\\\"\\\\", "é😀", "-", "- a", "a:", "null", "0x1f", "@a", "`a", "%a", "<<",
	    "a,b", "plain", "pl.ain-2", "a\\u0085b", "\\u2028\\u2029", "/p/q_r"};
	char text[500];

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		char written[100] = "";
		struct loaded l;

		/* ${ has to be written $${ in a file */
		for (const char *at = texts[i]; *at; at++)
			snprintf(written + strlen(written), sizeof written - strlen(written),
			    "%s%c", at[0] == '$' && at[1] == '{' ? "$" : "", *at);
		snprintf(text, sizeof text,
		    "node: {zone: \"%s\", tags: {\"%s\": \"%s\", b: \"\"}}\n"
		    "listeners: [{address: \"127.0.0.1:0\"}]\nservices: {app: {endpoints: [\"a:1\"]}}\n",
		    written, *texts[i] ? texts[i] : "e", written);
		l = loaded_from(text);
		loaded_config(&l);
		if (strchr(texts[i], '\\') == NULL)
			ck_assert_str_eq(l.config->node.zone, texts[i]);
		assert_round_trip(l.config, "");
		loaded_free(&l);
	}
}
END_TEST

/* A route's policy lies over the service's and under what a method says itself, and no more. */
START_TEST(dump_keeps_apart_what_a_method_says_and_what_it_inherits)
{
	static const char *const files[] = {
	    /* the method says nothing of the time: the route's counts */
	    "    timeout: 1s\n    routes: [{policy: {timeout: 2s}}]\n"
	    "    methods: {Get: {retry: none}}\n",
	    /* the method says what the service says: it counts */
	    "    timeout: 1s\n    routes: [{policy: {timeout: 2s}}]\n"
	    "    methods: {Get: {timeout: 1s}}\n",
	    "    limit: {rate: 500/s}\n    routes: [{policy: {limit: {rate: 400/s}, acl: none}}]\n"
	    "    methods: {Get: {limit: {rate: 300/s}}, Put: {limit: none}, Set: {}}\n",
	    "    limit: none\n    routes: [{match: {percent: 5%}, policy: {}}]\n",
	    "    routes: [{policy: {breaker: none, eject: none}}]\n    methods: {\"*\": {}}\n",
	    "    methods: {Get: {eject: [\"biz:7\"]}, Put: {eject: [reset, \"biz:5003,-1\"]}}\n",
	};
	char text[1000];

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		struct loaded l;

		snprintf(text, sizeof text,
		    "defaults: {limit: {rate: 900/s}, breaker: {}, acl: [{deny: {caller: x}}]}\n"
		    "listeners: [{address: \"127.0.0.1:0\"}]\n"
		    "services:\n  a:\n    endpoints: [\"127.0.0.1:1\"]\n%s"
		    "  b: {endpoints: [\"127.0.0.1:2\"]}\n",
		    files[i]);
		l = loaded_from(text);
		loaded_config(&l);
		assert_round_trip(l.config, "");
		loaded_free(&l);
	}
}
END_TEST

START_TEST(dump_says_which_limits_hold_where_none_is_written)
{
	struct loaded l = loaded_from(
	    "defaults: {limit: {rate: 900/s}, acl: [{deny: {caller: x}}]}\n"
	    "listeners: [{address: \"127.0.0.1:0\"}]\n"
	    "services:\n"
	    "  a: {endpoints: [\"127.0.0.1:1\"], methods: {Get: {limit: {rate: 1/s}}}}\n"
	    "  b: {endpoints: [\"127.0.0.1:2\"], limit: none, acl: [{allow: {}}]}\n");
	char *text = loaded_dump(loaded_config(&l));

	assert_has(text, "  acl:\n    - deny: {caller: x}  # test.yaml:1\n");
	assert_has(text, "        limit:\n          rate: 1/s  # test.yaml:4\n");
	assert_has(text, "        # breaker: none\n");
	assert_has(text, "        # acl: defaults.acl\n");
	assert_has(text, "    # limit: defaults.limit\n");
	assert_has(text, "    limit: none  # test.yaml:5\n");
	assert_has(text, "    acl:\n      - allow: {}  # test.yaml:5\n");
	free(text);
	loaded_free(&l);
}
END_TEST

START_TEST(hash_is_of_the_content_and_nothing_else)
{
	struct loaded a = loaded_from("services: {app: {endpoints: [\"127.0.0.1:1\"]}}\n"
				      "listeners: [{address: \"127.0.0.1:0\"}]\n");
	struct loaded same = loaded_from(
	    "# with a comment\nlisteners:\n- address: 127.0.0.1:0\n"
	    "services:\n  app: {endpoints: [{address: \"127.0.0.1:1\", weight: 10}]}\n");
	struct loaded other =
	    loaded_from("services: {app: {endpoints: [\"127.0.0.1:1\"]}}\n"
			"listeners: [{address: \"127.0.0.1:0\", in_flight: 999}]\n");

	ck_assert_uint_eq(strlen(loaded_config(&a)->hash), 16);
	ck_assert_uint_eq(strspn(a.config->hash, "0123456789abcdef"), 16);
	ck_assert_str_eq(a.config->hash, loaded_config(&same)->hash);
	ck_assert_str_ne(a.config->hash, loaded_config(&other)->hash);
	loaded_free(&a);
	loaded_free(&same);
	loaded_free(&other);
}
END_TEST

static char *written(void (*write)(FILE *to))
{
	char *text = NULL;
	size_t size = 0;
	FILE *to = open_memstream(&text, &size);

	ck_assert_ptr_nonnull(to);
	write(to);
	ck_assert_int_eq(fclose(to), 0);
	return text;
}

/* The whole grammar of JSON is for its readers; here: brackets and quotes match. */
static void assert_balanced(const char *text)
{
	char open[100];
	size_t depth = 0;

	for (bool quoted = false; *text; text++) {
		if (quoted && *text == '\\')
			text++;
		else if (*text == '"')
			quoted = !quoted;
		else if (!quoted && strchr("{[", *text))
			open[depth++] = *text == '{' ? '}' : ']';
		else if (!quoted && strchr("}]", *text))
			ck_assert(depth > 0 && open[--depth] == *text);
		ck_assert_uint_lt(depth, sizeof open);
	}
	ck_assert_uint_eq(depth, 0);
}

START_TEST(schema_has_the_keys_and_leaves_out_those_to_come)
{
	char *text = written(config_schema);

	assert_balanced(text);
	assert_has(text, "https://json-schema.org/draft/2020-12/schema");
	assert_has(text, "\"write_stall\"");
	assert_has(text, "\"slower_than\"");
	assert_has(text, "\"required\": [\"listeners\"]");
	assert_has(text, "\"idempotent\"");
	assert_has(text, "\"^[0-9]+(/s|/m|/h)$");
	assert_has(text, "\"ttheader\", \"ttheader_streaming\", \"grpc\"]");
	assert_has(text, "\"breaker\"");
	assert_has(text, "\"peak_ewma\"");
	assert_has(text, "{\"$ref\": \"#/$defs/Rule of an ACL\"}");
	assert_has(text, "\"registries\": {\"allOf\": [{\"type\": \"object\", "
			 "\"additionalProperties\": {\"$ref\": \"#/$defs/Registry\"}}]");
	assert_has(text, "\"etcd\", \"zookeeper\", \"consul\", \"nacos\", \"dns\", \"file\"]");
	assert_has(text, "{\"enum\": [\"timeout\", \"retry\", \"breaker\"");
	ck_assert_ptr_null(strstr(text, "\"redis\""));
	ck_assert_ptr_null(strstr(text, "\"proxy_protocol\""));
	free(text);
}
END_TEST

START_TEST(manual_describes_each_key_once)
{
	char *text = written(config_manual);
	unsigned lists = 0;

	assert_has(text, ".It Ic listeners[].timeout.idle\nA time, or none (default: 10m).\n");
	assert_has(text, ".It Ic services.LABEL.protocol\n");
	assert_has(text, ".It Ic retry.on\n");
	assert_has(text, ".It Ic listeners[].http2.resets.rate\nA rate (default: 33/s).\n");
	assert_has(text, "The value may stand in place of the map\n.Ic http2.resets .\n");
	assert_has(text, ".It Ic breaker.window\nA time (default: 10s).\n");
	assert_has(text, ".It Ic services.LABEL.routes[].to.subset\n");
	assert_has(text, ".It Ic registries.NAME.empty.keep\nA time or obey (default: 10m).\n");
	assert_has(text, "The value may stand in place of the map\n.Ic discover .\n");
	ck_assert_ptr_null(strstr(text, ".It Ic listeners[].proxy_protocol"));
	for (char *at = text; (at = strstr(at, "\n.It Ic ")) != NULL; at++) {
		char line[200];

		snprintf(line, sizeof line, "%.*s\n", (int)strcspn(at + 1, "\n"), at + 1);
		ck_assert_msg(strstr(at + 1 + strlen(line), line) == NULL, "twice: %s", line);
	}
	for (char *at = text; (at = strstr(at, ".Bl ")) != NULL; at++)
		lists++;
	for (char *at = text; (at = strstr(at, ".El\n")) != NULL; at++)
		lists--;
	ck_assert_uint_eq(lists, 0);
	for (char *at = text; *at; at += strcspn(at, "\n") + 1)
		ck_assert_uint_le(strcspn(at, "\n"), 80);
	free(text);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    examples_load_without_a_word_and_come_back,
	    good_files_load_without_a_word_and_come_back,
	    dump_says_where_each_value_came_from,
	    dump_quotes_what_would_read_otherwise,
	    dump_keeps_apart_what_a_method_says_and_what_it_inherits,
	    dump_says_which_limits_hold_where_none_is_written,
	    hash_is_of_the_content_and_nothing_else,
	    schema_has_the_keys_and_leaves_out_those_to_come,
	    manual_describes_each_key_once,
	};

	return suite_run("config_dump", tests, ARRAY_LEN(tests));
}
