/* Facts by name: which names there are, what they mean, and where a value is found. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "base/mem.h"
#include "policy/fact.h"
#include "support/suite.h"

static struct arena arena;

static void begin(void)
{
	arena_init(&arena, NULL, 0);
}

static void end(void)
{
	arena_fini(&arena);
}

static struct fact_key key_of(const char *text)
{
	struct fact_key key;
	const char *wrong = fact_key_parse(&key, slice_str(text), &arena);

	ck_assert_msg(wrong == NULL, "%s: %s", text, wrong);
	ck_assert(slice_eq_str(key.text, text));
	return key;
}

static void must_be_wrong(const char *text, const char *why)
{
	struct fact_key key;
	const char *wrong = fact_key_parse(&key, slice_str(text), &arena);

	ck_assert_msg(wrong != NULL, "%s is taken for a fact", text);
	ck_assert_msg(strstr(wrong, why) != NULL, "%s: %s", text, wrong);
}

START_TEST(plain_names_are_facts)
{
	ck_assert_int_eq(key_of("method").kind, FACT_METHOD);
	ck_assert_int_eq(key_of("idl_service").kind, FACT_IDL_SERVICE);
	ck_assert_int_eq(key_of("service").kind, FACT_SERVICE);
	ck_assert_int_eq(key_of("caller").kind, FACT_CALLER);
	ck_assert_int_eq(key_of("caller_method").kind, FACT_CALLER_METHOD);
	ck_assert_int_eq(key_of("log_id").kind, FACT_LOG_ID);
	ck_assert_int_eq(key_of("source").kind, FACT_SOURCE);
	ck_assert_int_eq(key_of("uid").kind, FACT_UID);
	ck_assert_int_eq(key_of("gid").kind, FACT_GID);
}
END_TEST

START_TEST(metadata_and_headers_have_a_name_of_their_own)
{
	struct fact_key key = key_of("meta.env");

	ck_assert_int_eq(key.kind, FACT_META);
	ck_assert(slice_eq_str(key.name, "env"));
	key = key_of("meta.a.b");
	ck_assert(slice_eq_str(key.name, "a.b"));
	key = key_of("header.x-user");
	ck_assert_int_eq(key.kind, FACT_HEADER);
	ck_assert(slice_eq_str(key.name, "x-user"));
}
END_TEST

START_TEST(a_key_outlives_the_text_it_was_read_from)
{
	char text[] = "meta.env";
	struct fact_key key;

	ck_assert_ptr_null(fact_key_parse(&key, slice_str(text), &arena));
	memset(text, 'x', sizeof text - 1);
	ck_assert(slice_eq_str(key.name, "env"));
	ck_assert(slice_eq_str(key.text, "meta.env"));
}
END_TEST

START_TEST(int_keys_have_numbers_and_names)
{
	static const struct {
		const char *text;
		unsigned number;
	} keys[] = {{"int.0", 0}, {"int.14", 14}, {"int.65535", 65535}, {"int.mesh_version", 0},
	    {"int.from_service", 3}, {"int.env", 10}, {"int.ring_hash_key", 14},
	    {"int.stress_tag", 21}, {"int.raw_ring_hash_key", 24}, {"int.frame_type", 27}};

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		struct fact_key key = key_of(keys[i].text);

		ck_assert_int_eq(key.kind, FACT_INT);
		ck_assert_uint_eq(key.number, keys[i].number);
	}
	ck_assert_int_eq(fact_int_named(slice_str("stress_tag")), 21);
	ck_assert_int_eq(fact_int_named(slice_str("21")), -1);
	ck_assert_int_eq(fact_int_named(slice_str("")), -1);
}
END_TEST

START_TEST(a_field_is_a_path_of_ids)
{
	struct fact_key key = key_of("field.1.3.-2");

	ck_assert_int_eq(key.kind, FACT_FIELD);
	ck_assert_uint_eq(key.depth, 3);
	ck_assert_int_eq(key.path[0], 1);
	ck_assert_int_eq(key.path[1], 3);
	ck_assert_int_eq(key.path[2], -2);
	ck_assert_uint_eq(key_of("field.32767").depth, 1);
	ck_assert_uint_eq(key_of("field.1.2.3.4.5.6.7.8").depth, FACT_PATH_MAX);
}
END_TEST

START_TEST(other_names_are_refused_with_a_reason)
{
	static const char *const unknown[] = {
	    "", "Method", "metod", "meta", "field", "int", "header", "caller.x", " method", "uid1"};

	for (size_t i = 0; i < ARRAY_LEN(unknown); i++)
		must_be_wrong(unknown[i], "meta.NAME");
	must_be_wrong("meta.", "lacks the name");
	must_be_wrong("header.", "lacks the name");
	must_be_wrong("int.", "int key");
	must_be_wrong("int.65536", "int key");
	must_be_wrong("int.-1", "int key");
	must_be_wrong("int.no_such_name", "int key");
	must_be_wrong("field.", "ids with dots");
	must_be_wrong("field.1..2", "ids with dots");
	must_be_wrong("field.1.", "ids with dots");
	must_be_wrong("field..1", "ids with dots");
	must_be_wrong("field.1.a", "ids with dots");
	must_be_wrong("field.-", "ids with dots");
	must_be_wrong("field.32768", "ids with dots");
	must_be_wrong("field.1.2.3.4.5.6.7.8.9", "at most 8");
}
END_TEST

START_TEST(keys_are_alike_when_they_mean_the_same)
{
	static const struct {
		const char *a, *b;
		bool same;
	} pairs[] = {
	    {"method", "method", true},
	    {"method", "caller", false},
	    {"meta.env", "meta.ENV", true},
	    {"meta.user_id", "meta.User-Id", true},
	    {"meta.env", "meta.en", false},
	    {"meta.env", "header.env", false},
	    {"header.x", "header.x", true},
	    {"header.x", "header.X", false},
	    {"int.14", "int.ring_hash_key", true},
	    {"int.14", "int.15", false},
	    {"field.1.2", "field.1.2", true},
	    {"field.1.2", "field.1", false},
	    {"field.1.2", "field.1.3", false},
	};

	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		struct fact_key a = key_of(pairs[i].a), b = key_of(pairs[i].b);

		ck_assert_msg(
		    fact_key_eq(&a, &b) == pairs[i].same, "%s, %s", pairs[i].a, pairs[i].b);
	}
}
END_TEST

/* ---- finding ---- */

static bool find_caller(const void *call, const struct fact_key *key, struct slice *value)
{
	*value = slice_str(call);
	return key->kind == FACT_CALLER;
}

static bool find(const struct fact_source *source, const char *name, char *room)
{
	struct fact_key key = key_of(name);
	char inside[FACT_ROOM];
	struct slice value;

	if (!fact_find(source, &key, inside, &value))
		return false;
	memcpy(room, value.data, value.len);
	room[value.len] = '\0';
	return true;
}

START_TEST(what_a_message_has_is_asked_of_its_owner)
{
	struct fact_source source = {.find = find_caller, .call = "cart", .uid = -1, .gid = -1};
	char room[64];

	ck_assert(find(&source, "caller", room));
	ck_assert_str_eq(room, "cart");
	ck_assert(!find(&source, "method", room));
	source.find = NULL;
	ck_assert(!find(&source, "caller", room));
}
END_TEST

START_TEST(a_key_that_is_not_set_finds_nothing)
{
	struct fact_source source = {.find = find_caller, .call = "cart", .uid = 1, .gid = 1};
	struct fact_key none = {.kind = FACT_NONE};
	char room[FACT_ROOM];
	struct slice value;

	ck_assert(!fact_find(&source, &none, room, &value));
}
END_TEST

START_TEST(the_source_is_the_address_without_its_port)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(4000)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(4000)};
	struct fact_source source = {.address = (struct sockaddr *)&v4, .uid = -1, .gid = -1};
	char room[64];

	inet_pton(AF_INET, "10.1.2.3", &v4.sin_addr);
	ck_assert(find(&source, "source", room));
	ck_assert_str_eq(room, "10.1.2.3");
	inet_pton(AF_INET6, "fd00::1", &v6.sin6_addr);
	source.address = (struct sockaddr *)&v6;
	ck_assert(find(&source, "source", room));
	ck_assert_str_eq(room, "fd00::1");
	inet_pton(AF_INET6, "::ffff:10.1.2.3", &v6.sin6_addr);
	ck_assert(find(&source, "source", room));
	ck_assert_str_eq(room, "10.1.2.3");
}
END_TEST

START_TEST(a_caller_on_a_unix_socket_has_ids_and_no_source)
{
	struct sockaddr un = {.sa_family = AF_UNIX};
	struct fact_source source = {.address = &un, .uid = 0, .gid = 4294967295};
	char room[64];

	ck_assert(!find(&source, "source", room));
	ck_assert(find(&source, "uid", room));
	ck_assert_str_eq(room, "0");
	ck_assert(find(&source, "gid", room));
	ck_assert_str_eq(room, "4294967295");
	source = (struct fact_source){.uid = -1, .gid = -1};
	ck_assert(!find(&source, "source", room));
	ck_assert(!find(&source, "uid", room));
	ck_assert(!find(&source, "gid", room));
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {plain_names_are_facts, 1},
	    {metadata_and_headers_have_a_name_of_their_own, 1},
	    {a_key_outlives_the_text_it_was_read_from, 1},
	    {int_keys_have_numbers_and_names, 1},
	    {a_field_is_a_path_of_ids, 1},
	    {other_names_are_refused_with_a_reason, 1},
	    {keys_are_alike_when_they_mean_the_same, 1},
	    {what_a_message_has_is_asked_of_its_owner, 1},
	    {a_key_that_is_not_set_finds_nothing, 1},
	    {the_source_is_the_address_without_its_port, 1},
	    {a_caller_on_a_unix_socket_has_ids_and_no_source, 1},
	};

	return suite_run_between("fact", tests, ARRAY_LEN(tests), begin, end);
}
