/*
 * What a route changes of a call: the order, conditions, and what is looked up meanwhile. A call is
 * written down as "meta.a=1 caller=me", what comes of it in the same way.
 */
#include "model/route_changes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "support/loaded.h"
#include "support/suite.h"

struct call {
	struct fact_value facts[16];
	size_t n;
	char *text;    /* owned */
	char room[24]; /* a number as text: gone when the next fact is asked for */
	struct arena arena;
};

static bool find(const void *arg, const struct fact_key *key, struct slice *value)
{
	struct call *call = (struct call *)(uintptr_t)arg;

	memset(call->room, '#', sizeof call->room);
	for (size_t i = 0; i < call->n; i++) {
		if (!fact_key_eq(&call->facts[i].key, key))
			continue;
		*value = call->facts[i].value;
		if (key->kind != FACT_FIELD || value->len > sizeof call->room)
			return true;
		memcpy(call->room, value->data, value->len);
		*value = slice_of(call->room, value->len);
		return true;
	}
	return false;
}

static void call_read(struct call *call, const char *text)
{
	char *rest, *word;

	*call = (struct call){0};
	arena_init(&call->arena, NULL, 0);
	call->text = rest = mem_strdup(text);
	while ((word = strsep(&rest, " "))) {
		char *equals = strchr(word, '=');
		struct fact_value *fact = &call->facts[call->n];

		if (equals == NULL)
			continue;
		ck_assert_ptr_null(fact_key_parse(
		    &fact->key, slice_of(word, (size_t)(equals - word)), &call->arena));
		fact->value = slice_str(equals + 1);
		call->n++;
	}
}

/* "meta.a=1 -meta.b", in their order; of two of one key the last. */
static char *describe(const struct route_changes *changes)
{
	char *text = NULL;
	size_t len = 0;
	FILE *to = open_memstream(&text, &len);

	for (size_t i = 0; i < changes->n; i++) {
		const struct changed_fact *c = &changes->list[i];

		fprintf(to, "%s%s%.*s", i ? " " : "", c->is_removal ? "-" : "",
		    (int)c->key->text.len, (const char *)c->key->text.data);
		if (!c->is_removal)
			fprintf(to, "=%.*s", (int)c->value.len, (const char *)c->value.data);
	}
	fclose(to);
	return text;
}

struct row {
	const char *route, *call, *changes;
};

static const struct row rows[] = {
    {"remove: [meta.a, int.14]", "meta.a=1", "-meta.a -int.14"},
    {"rename: {meta.a: meta.b}", "meta.a=1 meta.b=2", "-meta.a meta.b=1"},
    {"rename: {meta.a: meta.b}", "meta.b=2", ""},
    {"rename: {header.x: meta.b}", "header.x=1", "-header.x meta.b=1"},
    {"copy: {caller: meta.c, method: header.m, int.2: meta.d}", "caller=me method=Get",
	"meta.c=me header.m=Get"},
    {"set: {meta.a: '1', header.b: ''}", "", "meta.a=1 header.b="},
    /* Remove, rename, copy, set; each sees what came before. */
    {"set: {meta.a: new}, copy: {meta.a: meta.b}", "meta.a=1", "meta.b=1 meta.a=new"},
    {"copy: {meta.a: meta.b}, rename: {meta.a: meta.c}", "meta.a=1", "-meta.a meta.c=1"},
    {"copy: {meta.c: meta.b}, rename: {meta.a: meta.c}", "meta.a=1", "-meta.a meta.c=1 meta.b=1"},
    {"remove: [meta.a], copy: {meta.a: meta.b}", "meta.a=1", "-meta.a"},
    {"rename: {meta.a: meta.b, meta.b: meta.c}", "meta.a=1 meta.b=2",
	"-meta.a meta.b=1 -meta.b meta.c=1"},
    {"rename: {meta.A: meta.b, meta.a: meta.c}", "meta.a=1", "-meta.A meta.b=1"},
    /* Conditions are about what is written, as it is by then. */
    {"set: {meta.a: {value: x, when: absent}}", "meta.a=1", ""},
    {"set: {meta.a: {value: x, when: absent}}", "meta.b=1", "meta.a=x"},
    {"set: {meta.a: {value: x, when: present}}", "meta.a=1", "meta.a=x"},
    {"set: {meta.a: {value: x, when: present}}", "", ""},
    {"set: {meta.a: {value: x, when: always}}", "", "meta.a=x"},
    {"rename: {meta.a: {to: meta.b, when: absent}}", "meta.a=1 meta.b=2", ""},
    {"rename: {meta.a: {to: meta.b, when: present}}", "meta.a=1 meta.b=2", "-meta.a meta.b=1"},
    {"copy: {caller: {to: meta.b, when: absent}}, rename: {meta.a: meta.b}", "caller=me meta.a=1",
	"-meta.a meta.b=1"},
    {"remove: [meta.a], set: {meta.a: {value: x, when: absent}}", "meta.a=1", "-meta.a meta.a=x"},
    {"copy: {caller: meta.a, source: {to: meta.a, when: present}, "
     "method: {to: meta.a, when: absent}}",
	"caller=me method=Get", "meta.a=me"},
    /* What stays only until the next fact is asked for. */
    {"copy: {field.1: meta.a, field.2: meta.b, uid: meta.c, source: meta.d, gid: meta.e}",
	"field.1=17 field.2=4", "meta.a=17 meta.b=4 meta.c=1000"},
    {"copy: {field.1: {to: meta.a, when: absent}, field.2: {to: meta.b, when: absent}}",
	"field.1=17 field.2=4", "meta.a=17 meta.b=4"},
};

static struct loaded route_of(const char *route)
{
	char text[1024];

	snprintf(text, sizeof text,
	    "listeners: [{name: in, address: '127.0.0.1:0', service: a}]\n"
	    "services: {a: {endpoints: ['127.0.0.1:1'], routes: [{%s}]}}\n",
	    route);
	return loaded_from(text);
}

START_TEST(changes_come_in_their_order_and_on_their_conditions)
{
	const struct row *row = &rows[_i];
	struct loaded l = route_of(row->route);
	static struct route_changes changes;
	struct fact_source source = {.find = find, .uid = 1000, .gid = -1};
	struct call call;
	char *text;

	ck_assert_msg(
	    l.config != NULL, "%s: %s", row->route, l.problems.n ? l.problems.list[0].text : "");
	call_read(&call, row->call);
	source.call = &call;
	route_changes_find(&changes, l.config->services[0]->routes, &source);
	text = describe(&changes);
	ck_assert_str_eq(text, row->changes);
	free(text);
	free(call.text);
	arena_fini(&call.arena);
	loaded_free(&l);
}
END_TEST

START_TEST(a_value_past_8_kib_is_not_copied)
{
	struct loaded l = route_of("copy: {header.x: meta.a}");
	static char value[ROUTE_COPY_MAX + 2];
	static struct route_changes changes;
	struct fact_source source = {.find = find, .uid = -1, .gid = -1};
	struct call call;

	call_read(&call, "header.x=1");
	source.call = &call;
	memset(value, 'x', sizeof value);
	for (size_t len = ROUTE_COPY_MAX; len <= ROUTE_COPY_MAX + 1; len++) {
		call.facts[0].value = slice_of(value, len);
		route_changes_find(&changes, l.config->services[0]->routes, &source);
		ck_assert_uint_eq(changes.n, len == ROUTE_COPY_MAX);
	}
	free(call.text);
	arena_fini(&call.arena);
	loaded_free(&l);
}
END_TEST

/* As many as a file may say: 64 that go, 32 that are renamed, 32 copies, 64 that come. */
START_TEST(as_many_as_a_file_may_say_have_room)
{
	char *text = mem_calloc(1, 32768);
	static struct route_changes changes;
	struct fact_source source = {.find = find, .uid = 7, .gid = -1};
	struct loaded l;
	struct call call;

	strcat(text, "listeners: [{name: in, address: '127.0.0.1:0', service: a}]\n"
		     "services: {a: {endpoints: ['127.0.0.1:1'], routes: [{remove: [int.0");
	for (int i = 1; i < 64; i++)
		sprintf(text + strlen(text), ", meta.r%d", i);
	strcat(text, "], rename: {header.x: header.n0");
	for (int i = 1; i < 32; i++)
		sprintf(text + strlen(text), ", header.n%d: header.n%d", i - 1, i);
	strcat(text, "}, copy: {uid: meta.c0");
	for (int i = 1; i < 32; i++)
		sprintf(text + strlen(text), ", meta.c%d: meta.c%d", i - 1, i);
	strcat(text, "}, set: {meta.s0: x");
	for (int i = 1; i < 64; i++)
		sprintf(text + strlen(text), ", meta.s%d: x", i);
	strcat(text, "}}]}}\n");
	l = loaded_from(text);
	ck_assert_msg(l.config != NULL, "%s", l.problems.n ? l.problems.list[0].text : "");
	call_read(&call, "header.x=1");
	source.call = &call;
	route_changes_find(&changes, l.config->services[0]->routes, &source);
	ck_assert_uint_eq(changes.n, 64 + 2 * 32 + 32 + 64);
	ck_assert_uint_eq(changes.n, ROUTE_CHANGES_MAX);
	ck_assert(slice_eq_str(changes.list[64 + 2 * 31 + 1].value, "1"));
	ck_assert(slice_eq_str(changes.list[64 + 64 + 31].value, "7"));
	free(call.text);
	arena_fini(&call.arena);
	free(text);
	loaded_free(&l);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {changes_come_in_their_order_and_on_their_conditions, ARRAY_LEN(rows)},
	    {a_value_past_8_kib_is_not_copied, 1},
	    {as_many_as_a_file_may_say_have_room, 1},
	};

	return suite_run_between("route_changes", tests, ARRAY_LEN(tests), NULL, NULL);
}
