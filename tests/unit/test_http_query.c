#include <stdio.h>

#include "base/mem.h"
#include "daemon/http_query.h"
#include "support/suite.h"

/* "name>value;" for each. */
static const char *read_as(const char *query)
{
	static char text[256];
	struct slice left = slice_str(query), name, value;
	struct arena arena;
	size_t len = 0;

	text[0] = '\0';
	arena_init(&arena, NULL, 0);
	while (http_query_next(&left, &name, &value, &arena))
		len += (size_t)snprintf(text + len, sizeof text - len, "%.*s>%.*s;", (int)name.len,
		    (const char *)name.data, (int)value.len, (const char *)value.data);
	arena_fini(&arena);
	return text;
}

static const char *const queries[][2] = {
    {"", ""},
    {"&&", ""},
    {"a=1", "a>1;"},
    {"a=1&b=2", "a>1;b>2;"},
    {"&a=1&&b=2&", "a>1;b>2;"},
    {"a", "a>;"},
    {"a=", "a>;"},
    {"=1", ">1;"},
    {"a=b=c", "a>b=c;"},
    {"a!=b", "a!>b;"},
    {"a%3Db=%26%3d%25", "a=b>&=%;"},
    {"a=1+2", "a>1+2;"},
    {"a=%", "a>%;"},
    {"a=%4", "a>%4;"},
    {"a=%4x&b=%x4&c=%zz", "a>%4x;b>%x4;c>%zz;"},
    {"a=%41%62", "a>Ab;"},
};

START_TEST(a_query_is_pairs_without_their_escapes)
{
	ck_assert_str_eq(read_as(queries[_i][0]), queries[_i][1]);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {a_query_is_pairs_without_their_escapes, ARRAY_LEN(queries)},
	};

	return suite_run_between("http_query", tests, ARRAY_LEN(tests), NULL, NULL);
}
