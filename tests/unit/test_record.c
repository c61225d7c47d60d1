#include "registry/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cJSON.h>
#include <check.h>

#include "base/mem.h"
#include "base/rng.h"
#include "registry/json.h"
#include "support/suite.h"

static struct arena arena;
static struct err err;
static struct text out;
static struct registration_plan plan;
static struct endpoint endpoint;

static void begin(void)
{
	arena_init(&arena, NULL, 0);
	err = (struct err){0};
	plan = (struct registration_plan){
	    .service = SLICE_LIT("shop.price"), .weight = 10, .ttl = 60 * USEC_S};
	ck_assert_int_eq(address_parse(&plan.address, SLICE_LIT("127.0.0.1:8888"), &err), 0);
}

static void end(void)
{
	text_fini(&out);
	arena_fini(&arena);
}

static void check_written(const char *expected)
{
	ck_assert_msg(slice_eq_str(slice_of(out.bytes, out.len), expected),
	    "wrote    %.*s\nnot      %s", (int)out.len, out.bytes, expected);
	text_fini(&out);
	out = (struct text){0};
}

/* Every byte of ASCII but NUL, and what is special beyond it. */
static const char *all_bytes(void)
{
	char bytes[128];

	for (int i = 1; i < 128; i++)
		bytes[i - 1] = (char)i;
	bytes[127] = '\0';
	return arena_printf(&arena, "%s\u2027\u2028\u2029\u00e9\U0001f600", bytes);
}

static void use_tags(const struct config_pair *pairs, size_t n)
{
	plan.tags = (struct config_map){pairs, n};
}

/* ---- written ---- */

START_TEST(an_instance_is_written_for_etcd_as_kitex_does)
{
	static const struct config_pair tags[] = {{"env", "prod"}, {"idc", "eu"}};

	record_write_etcd(&plan, &out);
	check_written(
	    "{\"network\":\"tcp\",\"address\":\"127.0.0.1:8888\",\"weight\":10,\"tags\":null}");
	use_tags(tags, 2);
	plan.weight = 1000000;
	ck_assert_int_eq(address_parse(&plan.address, SLICE_LIT("[2001:db8::1]:80"), &err), 0);
	record_write_etcd(&plan, &out);
	check_written("{\"network\":\"tcp\",\"address\":\"[2001:db8::1]:80\",\"weight\":1000000,"
		      "\"tags\":{\"env\":\"prod\",\"idc\":\"eu\"}}");
}
END_TEST

START_TEST(an_instance_is_written_for_zookeeper_as_kitex_does)
{
	static const struct config_pair tags[] = {{"env", "prod"}};

	record_write_zookeeper(&plan, &out);
	check_written("{\"Weight\":10,\"Tags\":null}");
	use_tags(tags, 1);
	record_write_zookeeper(&plan, &out);
	check_written("{\"Weight\":10,\"Tags\":{\"env\":\"prod\"}}");
}
END_TEST

/* Origin: encoding/json and net/url of Go 1.26, run on the same text. */
#define GO_JSON                                                                                    \
	"\\u0001\\u0002\\u0003\\u0004\\u0005\\u0006\\u0007\\b\\t\\n\\u000b\\f\\r\\u000e\\u000f"    \
	"\\u0010\\u0011\\u0012\\u0013\\u0014\\u0015\\u0016\\u0017\\u0018\\u0019\\u001a\\u001b"     \
	"\\u001c\\u001d\\u001e\\u001f !\\\"#$%\\u0026'()*+,-./0123456789:;\\u003c=\\u003e?"        \
	"@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\\\]^_`abcdefghijklmnopqrstuvwxyz{|}~\x7f"                   \
	"\u2027\\u2028\\u2029\u00e9\U0001f600"
#define GO_QUERY                                                                                   \
	"%01%02%03%04%05%06%07%08%09%0A%0B%0C%0D%0E%0F%10%11%12%13%14%15%16%17%18%19%1A%1B%1C"     \
	"%1D%1E%1F+%21%22%23%24%25%26%27%28%29%2A%2B%2C-.%2F0123456789%3A%3B%3C%3D%3E%3F%40"       \
	"ABCDEFGHIJKLMNOPQRSTUVWXYZ%5B%5C%5D%5E_%60abcdefghijklmnopqrstuvwxyz%7B%7C%7D~%7F"        \
	"%E2%80%A7%E2%80%A8%E2%80%A9%C3%A9%F0%9F%98%80"

START_TEST(every_byte_is_escaped_as_go_escapes_it)
{
	struct config_pair tags[] = {{"a b", "c&d=e"}, {"zz", all_bytes()}};

	use_tags(tags, 2);
	record_write_zookeeper(&plan, &out);
	check_written("{\"Weight\":10,\"Tags\":{\"a b\":\"c\\u0026d=e\",\"zz\":\"" GO_JSON "\"}}");
	record_write_rpcx(&plan, &out);
	check_written("a+b=c%26d%3De&weight=10&zz=" GO_QUERY);
	record_escape(SLICE_LIT("a b/c~\xff"), &out);
	check_written("a%20b%2Fc~%FF");
}
END_TEST

START_TEST(an_instance_is_written_as_rpcx_does)
{
	static const struct config_pair tags[] = {{"group", "a"}, {"weight", "99"}, {"zz", "1"}};

	record_write_rpcx_key(&plan, &out);
	check_written("tcp@127.0.0.1:8888");
	record_write_rpcx(&plan, &out);
	check_written("weight=10");
	use_tags(tags, 3);
	record_write_rpcx(&plan, &out);
	check_written("group=a&weight=10&zz=1");
}
END_TEST

START_TEST(an_instance_is_written_for_consul_with_a_check_of_its_own)
{
	static const struct config_pair tags[] = {{"a:b", "left out"}, {"env", "x:y"}};

	use_tags(tags, 2);
	record_write_consul(&plan, false, &out);
	check_written("{\"ID\":\"shop.price:127.0.0.1:8888\",\"Name\":\"shop.price\","
		      "\"Tags\":[\"env:x:y\"],\"Port\":8888,\"Address\":\"127.0.0.1\","
		      "\"Weights\":{\"Passing\":10,\"Warning\":10},\"Check\":{\"Interval\":\"5s\","
		      "\"Timeout\":\"5s\",\"TCP\":\"127.0.0.1:8888\","
		      "\"DeregisterCriticalServiceAfter\":\"1m\"}}");
	use_tags(NULL, 0);
	ck_assert_int_eq(address_parse(&plan.address, SLICE_LIT("[::1]:80"), &err), 0);
	record_write_consul(&plan, true, &out);
	check_written("{\"ID\":\"shop.price:::1:80\",\"Name\":\"shop.price\",\"Port\":80,"
		      "\"Address\":\"::1\",\"Weights\":{\"Passing\":10,\"Warning\":10},"
		      "\"Check\":{\"TTL\":\"60s\",\"DeregisterCriticalServiceAfter\":\"1m\"}}");
	plan.ttl = 1500 * USEC_MS;
	record_write_consul(&plan, true, &out);
	ck_assert_ptr_nonnull(memmem(out.bytes, out.len, "\"TTL\":\"1500ms\"", 14));
}
END_TEST

START_TEST(an_instance_is_written_for_nacos_as_a_query)
{
	static const struct config_pair tags[] = {{"env", "a b"}};
	struct registry_config config = {.group = "G 1", .cluster = "C"};

	record_write_nacos(&plan, &config, &out);
	check_written("serviceName=G+1%40%40shop.price&groupName=G+1&clusterName=C&ip=127.0.0.1"
		      "&port=8888&weight=10&enabled=true&healthy=true&ephemeral=true"
		      "&metadata=%7B%7D");
	use_tags(tags, 1);
	config.namespace = "ns";
	record_write_nacos(&plan, &config, &out);
	check_written("serviceName=G+1%40%40shop.price&groupName=G+1&clusterName=C&namespaceId=ns"
		      "&ip=127.0.0.1&port=8888&weight=10&enabled=true&healthy=true&ephemeral=true"
		      "&metadata=%7B%22env%22%3A%22a+b%22%7D");
}
END_TEST

/* ---- read ---- */

static const struct {
	const char *value, *address; /* NULL: refused */
	unsigned weight;
	size_t n_tags;
	const char *zone;
} etcd_records[] = {
    {"{\"network\":\"tcp\",\"address\":\"127.0.0.1:8888\",\"weight\":10,\"tags\":null}",
	"127.0.0.1:8888", 10, 0, NULL},
    {"{\"address\":\"[2001:DB8::1]:80\",\"weight\":7,\"tags\":{\"a\":\"b\"}}", "[2001:db8::1]:80",
	7, 1, NULL},
    {"{\"address\":\"1.2.3.4:5\"}", "1.2.3.4:5", 10, 0, NULL},
    {"{\"address\":\"1.2.3.4:5\",\"weight\":0}", "1.2.3.4:5", 10, 0, NULL},
    {"{\"address\":\"1.2.3.4:5\",\"weight\":-3}", "1.2.3.4:5", 10, 0, NULL},
    {"{\"address\":\"1.2.3.4:5\",\"weight\":10.0}", "1.2.3.4:5", 10, 0, NULL},
    {"{\"address\":\"1.2.3.4:5\",\"weight\":1000000}", "1.2.3.4:5", 1000000, 0, NULL},
    {"{\"address\":\"1.2.3.4:5\",\"weight\":null,\"tags\":{}}", "1.2.3.4:5", 10, 0, NULL},
    {"{\"address\":\"1.2.3.4:5\",\"unknown\":[{}]}", "1.2.3.4:5", 10, 0, NULL},
    {"{\"address\":\"1.2.3.4:5\",\"tags\":{\"idc\":\"eu\"}}", "1.2.3.4:5", 10, 1, "eu"},
    {"{\"address\":\"1.2.3.4:5\",\"tags\":{\"idc\":\"eu\",\"zone\":\"b\"}}", "1.2.3.4:5", 10, 2,
	"b"},
    {"{\"address\":\"1.2.3.4:5\",\"tags\":{\"idc\":\"eu\",\"zone\":\"\"}}", "1.2.3.4:5", 10, 2,
	"eu"},
    {.value = "{\"address\":\"1.2.3.4:5\",\"weight\":1000001}"},
    {.value = "{\"address\":\"1.2.3.4:5\",\"weight\":1e300}"},
    {.value = "{\"address\":\"1.2.3.4:5\",\"weight\":1e999}"},
    {.value = "{\"address\":\"1.2.3.4:5\",\"weight\":1.5}"},
    {.value = "{\"address\":\"1.2.3.4:5\",\"weight\":\"10\"}"},
    {.value = "{\"address\":\"1.2.3.4:5\",\"weight\":1,\"weight\":2}"},
    {.value = "{\"address\":\"1.2.3.4:5\",\"tags\":[]}"},
    {.value = "{\"address\":\"1.2.3.4:5\",\"tags\":{\"a\":1}}"},
    {.value = "{\"address\":\"1.2.3.4:5\"} trailing"},
    {.value = "{\"address\":\"1.2.3.4:5\\u0000\"}"},
    {.value = "{\"address\":\"1.2.3.4:0\"}"},
    {.value = "{\"address\":\"1.2.3.4:65536\"}"},
    {.value = "{\"address\":\"1.2.3.4\"}"},
    {.value = "{\"address\":\":5\"}"},
    {.value = "{\"address\":\"0.0.0.0:5\"}"},
    {.value = "{\"address\":\"[::]:5\"}"},
    {.value = "{\"address\":\"[::ffff:0.0.0.0]:5\"}"},
    {.value = "{\"address\":\"localhost:5\"}"},
    {.value = "{\"address\":\"unix:/run/app.sock\"}"},
    {.value = "{\"network\":\"unix\",\"address\":\"1.2.3.4:5\"}"},
    {.value = "{\"network\":7,\"address\":\"1.2.3.4:5\"}"},
    {.value = "{\"address\":\"\"}"},
    {.value = "{\"address\":5}"},
    {.value = "{}"},
    {.value = "[]"},
    {.value = "null"},
    {.value = ""},
};

static void check_endpoint(
    const char *address, unsigned weight, size_t n_tags, const char *zone, const char *what)
{
	ck_assert_msg(strcmp(endpoint.address.text, address) == 0, "%s", what);
	ck_assert_msg(endpoint.weight == weight, "%s: %u", what, endpoint.weight);
	ck_assert_msg(endpoint.tags.n == n_tags, "%s", what);
	ck_assert_pstr_eq(endpoint.zone, zone);
}

START_TEST(a_record_of_etcd_is_read_as_kitex_reads_it_or_refused)
{
	const char *value = etcd_records[_i].value, *address = etcd_records[_i].address;
	int rc = record_read_etcd(slice_str(value), &arena, &endpoint, &err);

	ck_assert_msg(rc == (address ? 0 : -1), "%s: %s", value, err.text);
	if (address)
		check_endpoint(address, etcd_records[_i].weight, etcd_records[_i].n_tags,
		    etcd_records[_i].zone, value);
	else
		ck_assert_str_ne(err.text, "");
}
END_TEST

START_TEST(a_weight_that_is_refused_is_said_as_it_is)
{
	ck_assert_int_eq(
	    record_read_etcd(SLICE_LIT("{\"address\":\"1.2.3.4:5\",\"weight\":1000001}"), &arena,
		&endpoint, &err),
	    -1);
	ck_assert_msg(strstr(err.text, "1000001:") != NULL, "%s", err.text);
}
END_TEST

START_TEST(a_node_of_zookeeper_has_its_address_in_its_name)
{
	struct slice data = SLICE_LIT("{\"Weight\":4,\"Tags\":{\"idc\":\"x\"},\"weight\":9}");

	ck_assert_int_eq(
	    record_read_zookeeper(SLICE_LIT("10.0.0.1:80"), data, &arena, &endpoint, &err), 0);
	check_endpoint("10.0.0.1:80", 4, 1, "x", "capitals");
	ck_assert_int_eq(record_read_zookeeper(
			     SLICE_LIT("10.0.0.1:80"), SLICE_LIT("{}"), &arena, &endpoint, &err),
	    0);
	check_endpoint("10.0.0.1:80", 10, 0, NULL, "nothing");
	ck_assert_int_eq(
	    record_read_zookeeper(SLICE_LIT("a:80"), data, &arena, &endpoint, &err), -1);
	ck_assert_int_eq(
	    record_read_zookeeper(SLICE_LIT("10.0.0.1:80"), SLICE_LIT(""), &arena, &endpoint, &err),
	    -1);
}
END_TEST

static const struct {
	const char *key, *value;
	int rc;
	unsigned weight;
	const char *tags; /* name=value, one after another */
} rpcx_records[] = {
    {"tcp@127.0.0.1:8972", "", 0, 1, ""},
    {"127.0.0.1:8972", "", 0, 1, ""},
    {"tcp4@127.0.0.1:8972", "weight=7", 0, 7, ""},
    {"tcp@127.0.0.1:8972", "weight=0", 0, 0, ""},
    {"tcp@127.0.0.1:8972", "weight=7&weight=8", 0, 7, ""},
    {"tcp@127.0.0.1:8972", "state=active&b=+x%2b&a", 0, 1, "a=;b= x+;state=active;"},
    {"tcp@127.0.0.1:8972", "&&a=1&&", 0, 1, "a=1;"},
    {"tcp@127.0.0.1:8972", "group=b&x=1&group=a&x=2", 0, 1, "group=b,a;x=1;"},
    {"tcp@127.0.0.1:8972", "state=inactive", 1, 1, "state=inactive;"},
    {"tcp@127.0.0.1:8972", "calls=1.00&latitude=48.1", 0, 1, "calls=1.00;latitude=48.1;"},
    {"tcp@127.0.0.1:8972", "weight=", -1, 0, NULL},
    {"tcp@127.0.0.1:8972", "weight=-1", -1, 0, NULL},
    {"tcp@127.0.0.1:8972", "weight=1000001", -1, 0, NULL},
    {"tcp@127.0.0.1:8972", "a=%", -1, 0, NULL},
    {"tcp@127.0.0.1:8972", "a=%4", -1, 0, NULL},
    {"tcp@127.0.0.1:8972", "a=%zz", -1, 0, NULL},
    {"tcp@127.0.0.1:8972", "a=%00", -1, 0, NULL},
    {"tcp@127.0.0.1:8972", "a=%ff", -1, 0, NULL},
    {"tcp@127.0.0.1:8972", "a=%c3%a9", 0, 1, "a=\xc3\xa9;"},
    {"tcp@localhost:8972", "", -1, 0, NULL},
    {"tcp@127.0.0.1:0", "", -1, 0, NULL},
    {"unix@/run/app.sock", "", -1, 0, NULL},
    {"quic@127.0.0.1:8972", "", -1, 0, NULL},
    {"@127.0.0.1:8972", "", -1, 0, NULL},
    {"", "", -1, 0, NULL},
};

START_TEST(a_pair_of_rpcx_is_read_or_refused)
{
	struct slice key = slice_str(rpcx_records[_i].key);
	struct slice value = slice_str(rpcx_records[_i].value);
	char tags[200] = "";
	int rc = record_read_rpcx(key, value, &arena, &endpoint, &err);

	ck_assert_msg(rc == rpcx_records[_i].rc, "%s %s: %d %s", rpcx_records[_i].key,
	    rpcx_records[_i].value, rc, err.text);
	if (rc < 0)
		return;
	ck_assert_uint_eq(endpoint.weight, rpcx_records[_i].weight);
	for (size_t i = 0; i < endpoint.tags.n; i++)
		snprintf(tags + strlen(tags), sizeof tags - strlen(tags), "%s=%s;",
		    endpoint.tags.pairs[i].name, endpoint.tags.pairs[i].value);
	ck_assert_str_eq(tags, rpcx_records[_i].tags);
}
END_TEST

START_TEST(a_query_of_rpcx_has_its_limits)
{
	char text[5000];
	struct slice key = SLICE_LIT("tcp@127.0.0.1:1");

	memset(text, 'a', sizeof text);
	ck_assert_int_eq(record_read_rpcx(key, slice_of(text, 4096), &arena, &endpoint, &err), 0);
	ck_assert_int_eq(record_read_rpcx(key, slice_of(text, 4097), &arena, &endpoint, &err), -1);
	for (size_t i = 0; i < 2 * 257; i++)
		text[i] = i % 2 ? '&' : 'a';
	ck_assert_int_eq(
	    record_read_rpcx(key, slice_of(text, 2 * 256), &arena, &endpoint, &err), 0);
	ck_assert_int_eq(
	    record_read_rpcx(key, slice_of(text, 2 * 257), &arena, &endpoint, &err), -1);
}
END_TEST

typedef int (*read_fn)(const cJSON *, struct arena *, struct endpoint *, struct err *);

static int read_slice(struct slice text, read_fn read)
{
	cJSON *root = json_parse(text, &err);
	int rc;

	ck_assert_msg(root != NULL, "%.*s", (int)text.len, (const char *)text.data);
	rc = read(root, &arena, &endpoint, &err);
	cJSON_Delete(root);
	return rc;
}

static int read_value(const char *text, read_fn read)
{
	return read_slice(slice_str(text), read);
}

#define CONSUL(members) "{\"Node\":{\"Address\":\"9.9.9.9\"},\"Service\":{" members "}}"

static const struct {
	const char *value, *address;
	unsigned weight;
	size_t n_tags;
} consul_entries[] = {
    {CONSUL("\"Address\":\"1.2.3.4\",\"Port\":80,\"Weights\":{\"Passing\":5,\"Warning\":1},"
	    "\"Tags\":[\"env:a:b\",\"none\",\"env2:\"]"),
	"1.2.3.4:80", 5, 2},
    {CONSUL("\"Address\":\"::1\",\"Port\":80,\"Tags\":null"), "[::1]:80", 10, 0},
    {CONSUL("\"Address\":\"[::1]\",\"Port\":80"), "[::1]:80", 10, 0},
    {CONSUL("\"Address\":\"1.2.3.4\",\"Port\":80,\"Weights\":{\"Passing\":0}"), "1.2.3.4:80", 10,
	0},
    {CONSUL("\"Address\":\"1.2.3.4\",\"Port\":80,\"Tags\":[\"a:1\",\"a:2\"]"), "1.2.3.4:80", 10, 1},
    {CONSUL("\"Address\":\"\",\"Port\":80"), NULL, 0, 0},
    {CONSUL("\"Port\":80"), NULL, 0, 0},
    {CONSUL("\"Address\":\"db.local\",\"Port\":80"), NULL, 0, 0},
    {CONSUL("\"Address\":\"1.2.3.4\",\"Port\":0"), NULL, 0, 0},
    {CONSUL("\"Address\":\"1.2.3.4\",\"Port\":65536"), NULL, 0, 0},
    {CONSUL("\"Address\":\"1.2.3.4:5\",\"Port\":80"), NULL, 0, 0},
    {CONSUL("\"Address\":\"1.2.3.4\",\"Port\":80,\"Tags\":{}"), NULL, 0, 0},
    {CONSUL("\"Address\":\"0.0.0.0\",\"Port\":80"), NULL, 0, 0},
    {"{}", NULL, 0, 0},
    {"[]", NULL, 0, 0},
    {"{\"Service\":[]}", NULL, 0, 0},
};

START_TEST(an_entry_of_consul_is_read_or_refused)
{
	const char *value = consul_entries[_i].value, *address = consul_entries[_i].address;

	ck_assert_msg(read_value(value, record_read_consul) == (address ? 0 : -1), "%s", value);
	if (address)
		check_endpoint(
		    address, consul_entries[_i].weight, consul_entries[_i].n_tags, NULL, value);
}
END_TEST

START_TEST(tags_of_consul_are_split_at_their_first_colon_and_the_last_of_a_name_counts)
{
	ck_assert_int_eq(read_value(CONSUL("\"Address\":\"1.2.3.4\",\"Port\":80,\"Tags\":"
					   "[\"b:x:y\",\"a:1\",7,\"a:2\",\"idc:q\"]"),
			     record_read_consul),
	    0);
	ck_assert_uint_eq(endpoint.tags.n, 3);
	ck_assert_str_eq(endpoint.tags.pairs[0].value, "2");
	ck_assert_str_eq(endpoint.tags.pairs[1].value, "x:y");
	ck_assert_str_eq(endpoint.zone, "q");
}
END_TEST

static const struct {
	const char *members;
	int rc;
	unsigned weight;
} nacos_hosts[] = {
    {"\"weight\":10.0,\"healthy\":true,\"enabled\":true,\"metadata\":{\"a\":\"b\"}", 0, 10},
    {"\"weight\":2.9", 0, 2},
    {"\"weight\":0.5", 0, 1},
    {"\"weight\":0", 0, 0},
    {"\"metadata\":null", 0, 10},
    {"\"healthy\":false", 1, 10},
    {"\"enabled\":false", 1, 10},
    {"\"weight\":-1", -1, 0},
    {"\"weight\":1000000.5", -1, 0},
    {"\"weight\":\"1\"", -1, 0},
    {"\"metadata\":{\"a\":1}", -1, 0},
};

START_TEST(a_host_of_nacos_is_read_or_refused)
{
	char text[300];
	int rc;

	snprintf(text, sizeof text, "{\"ip\":\"1.2.3.4\",\"port\":80,%s}", nacos_hosts[_i].members);
	rc = read_value(text, record_read_nacos);
	ck_assert_msg(rc == nacos_hosts[_i].rc, "%s: %d", text, rc);
	if (rc >= 0)
		ck_assert_uint_eq(endpoint.weight, nacos_hosts[_i].weight);
	ck_assert_int_eq(read_value("{\"ip\":\"a\",\"port\":80}", record_read_nacos), -1);
	ck_assert_int_eq(read_value("{\"ip\":\"1.2.3.4\"}", record_read_nacos), -1);
}
END_TEST

/* ---- what is written is read as it was ---- */

/* Tags with bytes that need escapes, and with characters of several bytes. */
static const char *random_text(struct rng *rng, size_t max)
{
	static const char *const parts[] = {"a", "B", "0", " ", "\"", "\\", "/", "<", ">", "&", "=",
	    "+", "%", "\n", "\t", "\x01", "\x7f", "é", "\u2028", "\u2029", "\U0001f600", ";", ","};
	size_t n = (size_t)rng_below(rng, max + 1);
	const char *text = "";

	for (size_t i = 0; i < n; i++)
		text = arena_printf(&arena, "%s%s", text, parts[rng_below(rng, ARRAY_LEN(parts))]);
	return text;
}

static void random_plan(struct rng *rng)
{
	static struct config_pair pairs[8];
	char address[64];
	size_t n = (size_t)rng_below(rng, ARRAY_LEN(pairs) + 1);
	unsigned a = (unsigned)rng_below(rng, 65536), port = 1 + (unsigned)rng_below(rng, 65535);

	snprintf(address, sizeof address, a % 2 ? "10.1.%u.%u:%u" : "[fd00::%x:%x]:%u", a / 256,
	    a % 256, port);
	ck_assert_int_eq(address_parse(&plan.address, slice_str(address), &err), 0);
	plan.weight = 1 + (unsigned)rng_below(rng, RECORD_WEIGHT_MAX);
	for (size_t i = 0; i < n; i++)
		pairs[i] = (struct config_pair){
		    arena_printf(&arena, "%c%s", 'a' + (char)i, random_text(rng, 6)),
		    random_text(rng, 12)};
	use_tags(pairs, n);
}

static void check_same(void)
{
	ck_assert_str_eq(endpoint.address.text, plan.address.text);
	ck_assert_uint_eq(endpoint.weight, plan.weight);
	ck_assert_uint_eq(endpoint.tags.n, plan.tags.n);
	for (size_t i = 0; i < plan.tags.n; i++) {
		ck_assert_str_eq(endpoint.tags.pairs[i].name, plan.tags.pairs[i].name);
		ck_assert_str_eq(endpoint.tags.pairs[i].value, plan.tags.pairs[i].value);
	}
	text_fini(&out);
	out = (struct text){0};
}

static struct slice written(void)
{
	return arena_copy(&arena, slice_of(out.bytes, out.len));
}

static void read_back(void)
{
	struct slice key;

	record_write_etcd(&plan, &out);
	ck_assert_int_eq(record_read_etcd(written(), &arena, &endpoint, &err), 0);
	check_same();
	record_write_zookeeper(&plan, &out);
	ck_assert_int_eq(
	    record_read_zookeeper(slice_str(plan.address.text), written(), &arena, &endpoint, &err),
	    0);
	check_same();
	record_write_rpcx_key(&plan, &out);
	key = written();
	out.len = 0;
	record_write_rpcx(&plan, &out);
	ck_assert_msg(record_read_rpcx(key, written(), &arena, &endpoint, &err) == 0, "%.*s: %s",
	    (int)out.len, out.bytes, err.text);
	check_same();
}

START_TEST(whatever_is_written_is_read_as_it_was)
{
	struct rng rng;

	rng_init(&rng, 1000 + (uint64_t)_i);
	for (int i = 0; i < 300; i++) {
		random_plan(&rng);
		read_back();
		arena_fini(&arena);
		arena_init(&arena, NULL, 0);
	}
}
END_TEST

START_TEST(what_is_written_for_consul_is_read_as_it_was)
{
	struct rng rng;

	rng_init(&rng, 8500);
	for (int i = 0; i < 300; i++) {
		struct text entry = {0};

		random_plan(&rng);
		record_write_consul(&plan, false, &out);
		text_printf(&entry, "{\"Service\":%.*s}", (int)out.len, out.bytes);
		ck_assert_int_eq(
		    read_slice(slice_of(entry.bytes, entry.len), record_read_consul), 0);
		text_fini(&entry);
		check_same();
	}
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {an_instance_is_written_for_etcd_as_kitex_does, 1},
	    {an_instance_is_written_for_zookeeper_as_kitex_does, 1},
	    {every_byte_is_escaped_as_go_escapes_it, 1},
	    {an_instance_is_written_as_rpcx_does, 1},
	    {an_instance_is_written_for_consul_with_a_check_of_its_own, 1},
	    {an_instance_is_written_for_nacos_as_a_query, 1},
	    {a_record_of_etcd_is_read_as_kitex_reads_it_or_refused, ARRAY_LEN(etcd_records)},
	    {a_weight_that_is_refused_is_said_as_it_is, 1},
	    {a_node_of_zookeeper_has_its_address_in_its_name, 1},
	    {a_pair_of_rpcx_is_read_or_refused, ARRAY_LEN(rpcx_records)},
	    {a_query_of_rpcx_has_its_limits, 1},
	    {an_entry_of_consul_is_read_or_refused, ARRAY_LEN(consul_entries)},
	    {tags_of_consul_are_split_at_their_first_colon_and_the_last_of_a_name_counts, 1},
	    {a_host_of_nacos_is_read_or_refused, ARRAY_LEN(nacos_hosts)},
	    {whatever_is_written_is_read_as_it_was, 4},
	    {what_is_written_for_consul_is_read_as_it_was, 1},
	};

	return suite_run_between("record", tests, ARRAY_LEN(tests), begin, end);
}
