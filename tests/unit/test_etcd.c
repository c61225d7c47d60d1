#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <check.h>

#include "base/base64.h"
#include "base/mem.h"
#include "net/loop.h"
#include "registry/json.h"
#include "support/asked_registry.h"
#include "support/suite.h"

#define PREFIX    "kitex/registry-etcd/"
#define ONE       PREFIX "shop.price/10.0.0.1:80"
#define TWO       PREFIX "shop.price/10.0.0.2:80"
#define OWN_KEY   PREFIX "shop.cart/127.0.0.1:8888"
#define OWN_VALUE "{\"network\":\"tcp\",\"address\":\"127.0.0.1:8888\",\"weight\":10,\"tags\":null}"

/* ---- a store like etcd's, as far as it is asked here ---- */

struct kept {
	char key[128], value[256];
	long long mod, lease;
};

static struct asked_registry a;
static struct kept kept[64];
static size_t n_kept;
static long long revision, next_lease, live_lease;
static struct script_peer *watchers[64]; /* in the order they came */
static size_t n_watchers;
static const char *wrong_range, *wrong_renewal; /* answered instead */
static unsigned n_logins;
static bool is_deaf; /* streams hear nothing of puts */

static struct kept *find(const char *key)
{
	for (size_t i = 0; i < n_kept; i++)
		if (strcmp(kept[i].key, key) == 0)
			return &kept[i];
	return NULL;
}

static const char *code(const char *text)
{
	static char room[4][512];
	static unsigned turn;
	struct arena arena;
	struct slice coded;

	arena_init(&arena, NULL, 0);
	coded = base64_encode(slice_str(text), &arena);
	turn = (turn + 1) % 4;
	snprintf(room[turn], sizeof room[0], "%.*s", (int)coded.len, (const char *)coded.data);
	arena_fini(&arena);
	return room[turn];
}

static void tell(size_t watcher, const char *text)
{
	ck_assert_uint_lt(watcher, n_watchers);
	script_chunk(watchers[watcher], text);
}

static void tell_all(const char *text)
{
	for (size_t i = 0; i < n_watchers && !is_deaf; i++)
		script_chunk(watchers[i], text);
}

static const char *event(const char *type, const char *key, const char *value, long long mod)
{
	static char line[2048];

	snprintf(line, sizeof line,
	    "{\"result\":{\"header\":{\"revision\":\"%lld\"},\"events\":[{%s\"kv\":{\"key\":\"%s\","
	    "\"mod_revision\":\"%lld\",\"value\":\"%s\"}}]}}\n",
	    revision, type, code(key), mod, code(value));
	return line;
}

static void keep(const char *key, const char *value, long long lease)
{
	struct kept *at = find(key);

	if (at == NULL)
		at = &kept[n_kept++];
	snprintf(at->key, sizeof at->key, "%s", key);
	snprintf(at->value, sizeof at->value, "%s", value);
	at->mod = ++revision;
	at->lease = lease;
	tell_all(event("", key, value, revision));
}

static void lose(const char *key)
{
	struct kept *at = find(key);

	ck_assert_ptr_nonnull(at);
	*at = kept[--n_kept];
	revision++;
	tell_all(event("\"type\":\"DELETE\",", key, "", revision));
}

static void keep_one(const char *address, unsigned weight)
{
	char key[128], value[200];

	snprintf(key, sizeof key, PREFIX "shop.price/%s", address);
	snprintf(value, sizeof value,
	    "{\"network\":\"tcp\",\"address\":\"%s\",\"weight\":%u,\"tags\":null}", address,
	    weight);
	keep(key, value, 0);
}

static void decode(const cJSON *object, const char *name, char *room, size_t size)
{
	struct arena arena;
	struct slice bytes = SLICE_NONE;

	arena_init(&arena, NULL, 0);
	ck_assert_int_eq(base64_decode(json_text(object, name), &arena, &bytes), 0);
	snprintf(room, size, "%.*s", (int)bytes.len, (const char *)bytes.data);
	arena_fini(&arena);
}

static void add_kvs(struct text *out, const char *start, const char *end)
{
	unsigned n = 0;

	text_add_str(out, "\"kvs\":[");
	for (size_t i = 0; i < n_kept; i++) {
		bool is_in = end[0]
				 ? strcmp(kept[i].key, start) >= 0 && strcmp(kept[i].key, end) < 0
				 : strcmp(kept[i].key, start) == 0;

		if (is_in)
			text_printf(out,
			    "%s{\"key\":\"%s\",\"value\":\"%s\",\"mod_revision\":\"%lld\",\"lease\":\"%"
			    "lld\"}",
			    n++ ? "," : "", code(kept[i].key), code(kept[i].value), kept[i].mod,
			    kept[i].lease);
	}
	text_printf(out, "],\"count\":\"%u\"", n);
}

static void say(struct script_peer *peer, int status, struct text *out)
{
	text_add(out, slice_of("", 1));
	script_answer(peer, status, out->bytes);
	text_fini(out);
}

static void range(struct script_peer *peer, const cJSON *asked)
{
	char start[128], end[128];
	struct text out = {0};

	decode(asked, "key", start, sizeof start);
	decode(asked, "range_end", end, sizeof end);
	text_printf(&out, "{\"header\":{\"revision\":\"%lld\"},", revision);
	add_kvs(&out, start, end);
	text_add_str(&out, "}");
	if (wrong_range) {
		out.len = 0;
		text_add_str(&out, wrong_range);
	}
	say(peer, 200, &out);
}

static void put_asked(const cJSON *asked)
{
	char key[128], value[256];
	int64_t lease = 0;

	decode(asked, "key", key, sizeof key);
	decode(asked, "value", value, sizeof value);
	ck_assert(json_integer(asked, "lease", 1, INT64_MAX, &lease));
	keep(key, value, lease);
}

static bool compare(const cJSON *asked)
{
	const cJSON *first = cJSON_GetArrayItem(json_get(asked, "compare"), 0);
	const struct kept *at;
	char key[128];
	int64_t lease = 0;

	if (first == NULL)
		return true;
	decode(first, "key", key, sizeof key);
	at = find(key);
	if (slice_eq_str(json_text(first, "target"), "VERSION"))
		return at == NULL;
	ck_assert(json_integer(first, "lease", 1, INT64_MAX, &lease));
	return at && at->lease == lease;
}

static void txn(struct script_peer *peer, const cJSON *asked)
{
	const cJSON *success = cJSON_GetArrayItem(json_get(asked, "success"), 0);
	const cJSON *put = json_get(success, "request_put");
	bool succeeds = compare(asked);
	struct text out = {0};
	char key[128];

	text_printf(&out, "{\"header\":{\"revision\":\"%lld\"}", revision);
	if (put && succeeds && !json_text(put, "lease").len)
		ck_abort_msg("a put without a lease");
	decode(put ? put : json_get(success, "request_delete_range"), "key", key, sizeof key);
	if (put && succeeds && live_lease == 0) {
		out.len = 0;
		text_add_str(
		    &out, "{\"error\":\"etcdserver: requested lease not found\",\"code\":5}");
		say(peer, 404, &out);
		return;
	}
	if (succeeds && put)
		put_asked(put);
	else if (succeeds)
		lose(key);
	text_add_str(
	    &out, succeeds ? ",\"succeeded\":true" : ",\"responses\":[{\"response_range\":{");
	if (!succeeds)
		add_kvs(&out, key, "");
	text_add_str(&out, succeeds ? "}" : "}}]}");
	say(peer, 200, &out);
}

static void lease(struct script_peer *peer, const char *target, const cJSON *asked)
{
	struct text out = {0};
	int64_t id = 0;

	json_integer(asked, "ID", 0, INT64_MAX, &id);
	if (strcmp(target, "/v3/lease/grant") == 0) {
		live_lease = ++next_lease;
		text_printf(&out, "{\"ID\":\"%lld\",\"TTL\":\"3\"}", live_lease);
	} else if (strcmp(target, "/v3/lease/revoke") == 0) {
		live_lease = 0;
		text_add_str(&out, "{}");
	} else if (wrong_renewal) {
		text_add_str(&out, wrong_renewal);
	} else {
		text_printf(&out, "{\"result\":{\"ID\":\"%lld\",\"TTL\":\"%s\"}}", (long long)id,
		    id == live_lease ? "3" : "0");
	}
	say(peer, 200, &out);
}

static void store(void *arg, struct script_peer *peer, const struct script_request *request)
{
	struct err err = {0};
	struct cJSON *asked = json_parse(request->body, &err);

	(void)arg;
	ck_assert_msg(asked != NULL, "%s: %s", request->target, err.text);
	ck_assert_str_eq(request->method, "POST");
	if (strcmp(request->target, "/v3/kv/range") == 0) {
		range(peer, asked);
	} else if (strcmp(request->target, "/v3/kv/txn") == 0) {
		txn(peer, asked);
	} else if (strcmp(request->target, "/v3/watch") == 0) {
		script_stream(peer);
		script_chunk(
		    peer, "{\"result\":{\"header\":{\"revision\":\"1\"},\"created\":true}}\n");
		watchers[n_watchers++] = peer;
	} else {
		lease(peer, request->target, asked);
	}
	cJSON_Delete(asked);
}

static void begin(void)
{
	n_kept = n_watchers = 0;
	revision = 7;
	next_lease = 100;
	live_lease = 0;
	wrong_range = wrong_renewal = NULL;
	is_deaf = false;
	n_logins = 0;
}

static void end(void)
{
	asked_close(&a);
}

static bool is_watched(struct asked_registry *unused)
{
	(void)unused;
	return n_watchers > 0;
}

static bool is_watched_again(struct asked_registry *unused)
{
	(void)unused;
	return n_watchers > 1;
}

static void open_with_one(void)
{
	keep_one("10.0.0.1:80", 10);
	asked_open(&a, "type: etcd", store);
	asked_follow(&a, "shop.price");
	asked_until(&a, is_watched);
	asked_until_set(&a, "shop.price", "10.0.0.1:80 w10");
}

/* ---- sets ---- */

START_TEST(a_listing_is_the_set_and_the_watch_begins_behind_it)
{
	open_with_one();
	ck_assert(asked_said(&a, "\"start_revision\":\"9\""));
	ck_assert(asked_said(&a, code(PREFIX "shop.price/")));
	ck_assert(asked_said(&a, code(PREFIX "shop.price0")));
}
END_TEST

START_TEST(instances_appear_change_and_vanish)
{
	open_with_one();
	keep_one("10.0.0.2:80", 5);
	asked_until_set(&a, "shop.price", "10.0.0.1:80 w10; 10.0.0.2:80 w5");
	keep_one("10.0.0.1:80", 6);
	asked_until_set(&a, "shop.price", "10.0.0.1:80 w6; 10.0.0.2:80 w5");
	lose(ONE);
	asked_until_set(&a, "shop.price", "10.0.0.2:80 w5");
	ck_assert_uint_eq(asked_times(&a, "/v3/watch"), 1);
	ck_assert_uint_eq(asked_times(&a, "/v3/kv/range"), 1);
}
END_TEST

static unsigned n_raised;

START_TEST(many_events_are_told_together)
{
	struct registry_report before;

	open_with_one();
	asked_turn(&a, 100 * USEC_MS);
	before = registry_report(a.registry);
	for (unsigned i = 0; i < 40; i++)
		keep_one("10.0.0.1:80", 20 + i);
	asked_until_set(&a, "shop.price", "10.0.0.1:80 w59");
	n_raised = (unsigned)(registry_report(a.registry).changes - before.changes);
	ck_assert_uint_le(n_raised, 3);
}
END_TEST

START_TEST(events_may_come_in_pieces_of_any_size)
{
	char first[2048], rest[2048];

	open_with_one();
	is_deaf = true;
	keep_one("10.0.0.2:80", 5);
	snprintf(first, sizeof first, "%s", event("", TWO, kept[1].value, revision));
	ck_assert_uint_lt((size_t)_i * 7, strlen(first));
	snprintf(rest, sizeof rest, "%s", first + _i * 7);
	first[_i * 7] = '\0';
	if (first[0])
		tell(0, first);
	asked_turn(&a, 5 * USEC_MS);
	tell(0, rest);
	asked_until_set(&a, "shop.price", "10.0.0.1:80 w10; 10.0.0.2:80 w5");
}
END_TEST

START_TEST(events_of_other_keys_and_old_ones_change_nothing)
{
	open_with_one();
	tell(0, event("", PREFIX "shop.price", kept[0].value, 50));
	tell(0, event("", PREFIX "shop.prices/10.0.0.9:80", kept[0].value, 50));
	tell(0, event("", "a", "b", 50));
	tell(0, event("\"type\":\"DELETE\",", ONE, "", 3));
	tell(0, event("\"type\":\"DELETE\",", ONE, "", 8));
	tell(0, event("", ONE, "{", 8));
	tell(0, event("\"type\":\"DELETE\",", TWO, "", 60));
	asked_turn(&a, 150 * USEC_MS);
	ck_assert_str_eq(asked_set(&a, "shop.price"), "10.0.0.1:80 w10");
	ck_assert_uint_eq(n_watchers, 1);
}
END_TEST

START_TEST(whatever_ends_a_watch_everything_is_listed_anew)
{
	static const char *const lines[] = {"{\n", "[]\n", "{}\n", "{\"result\":5}\n", "null\n",
	    "{\"result\":{\"header\":{\"revision\":\"x\"}}}\n",
	    "{\"result\":{\"header\":{\"revision\":\"-5\"}}}\n",
	    "{\"result\":{\"events\":[{\"kv\":{\"key\":\"!\"}}]}}\n",
	    "{\"result\":{\"events\":[{\"kv\":{\"value\":\"YQ==\"}}]}}\n",
	    "{\"result\":{\"events\":[{\"type\":\"WHAT\",\"kv\":{\"key\":\"YQ==\"}}]}}\n",
	    "{\"result\":{\"events\":{}}}\n", "{\"result\":{\"events\":[5]}}\n",
	    "{\"error\":{\"grpc_code\":14,\"message\":\"gone \\\"away\\\"\"}}\n",
	    "{\"result\":{\"canceled\":true,\"compact_revision\":\"50\"}}\n",
	    "{\"result\":{\"canceled\":true,\"cancel_reason\":\"permission\\ndenied\"}}\n"};

	open_with_one();
	is_deaf = true;
	keep_one("10.0.0.2:80", 5);
	is_deaf = false;
	tell(0, lines[_i]);
	asked_until_set(&a, "shop.price", "10.0.0.1:80 w10; 10.0.0.2:80 w5");
	asked_until(&a, is_watched_again);
	ck_assert(!script_is_open(watchers[0]));
}
END_TEST

START_TEST(a_watch_that_breaks_off_is_opened_again)
{
	open_with_one();
	is_deaf = true;
	lose(ONE);
	keep_one("10.0.0.2:80", 5);
	is_deaf = false;
	if (_i == 0)
		script_reset(watchers[0]);
	else if (_i == 1)
		script_stream_end(watchers[0]);
	else
		script_close(watchers[0]);
	asked_until_set(&a, "shop.price", "10.0.0.2:80 w5");
	asked_until(&a, is_watched_again);
}
END_TEST

START_TEST(a_listing_that_is_wrong_leaves_what_is_known)
{
	static const char *const answers[] = {"", "{", "[]", "5", "{\"kvs\":5}", "{\"kvs\":[5]}",
	    "{\"kvs\":[{\"key\":5}]}", "{\"kvs\":[{\"key\":\"*\"}]}",
	    "{\"kvs\":[{\"value\":\"YQ==\"}]}", "{\"header\":{\"revision\":\"-1\"}}",
	    "{\"kvs\":[{\"key\":\"YQ==\",\"mod_revision\":\"99999999999999999999\"}]}",
	    "{\"header\":{\"revision\":\"9\"}} trailing",
	    "{\"header\":{\"revision\":\"9223372036854775807\"}}",
	    "{\"kvs\":[{\"key\":\"YQ==\",\"mod_revision\":\"9223372036854775807\"}]}"};

	open_with_one();
	wrong_range = answers[_i];
	script_reset(watchers[0]);
	asked_until_set(&a, "shop.price", "stale: 10.0.0.1:80 w10");
	wrong_range = NULL;
	keep_one("10.0.0.2:80", 5);
	asked_until_set(&a, "shop.price", "10.0.0.1:80 w10; 10.0.0.2:80 w5");
}
END_TEST

START_TEST(a_store_whose_revisions_went_back_is_believed_anew)
{
	open_with_one();
	for (int i = 0; i < 30; i++)
		keep_one("10.0.0.1:80", 10);
	asked_turn(&a, 20 * USEC_MS);
	n_kept = 0;
	revision = 2;
	is_deaf = true;
	keep_one("10.0.0.3:80", 1);
	script_reset(watchers[0]);
	asked_until_set(&a, "shop.price", "10.0.0.3:80 w1");
}
END_TEST

START_TEST(a_watch_that_hides_something_is_found_out)
{
	open_with_one();
	is_deaf = true;
	if (_i == 0)
		keep_one("10.0.0.1:80", 11);
	else
		lose(ONE);
	is_deaf = false;
	if (_i == 0)
		asked_until_set(&a, "shop.price", "10.0.0.1:80 w11");
	asked_until(&a, is_watched_again);
	ck_assert_uint_eq(n_watchers, 2);
}
END_TEST

static bool all_watched(struct asked_registry *unused)
{
	(void)unused;
	return n_watchers == 17;
}

static bool are_few_open(struct asked_registry *unused)
{
	(void)unused;
	return script_open(a.script) <= 3 + 8;
}

START_TEST(many_services_share_a_watch)
{
	struct slice names[40];
	static char texts[40][16];
	char key[128];

	asked_open(&a, "type: etcd", store);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(texts[i], sizeof texts[i], "s%02zu", i);
		names[i] = slice_str(texts[i]);
	}
	registry_follow(a.registry, names, ARRAY_LEN(names));
	asked_until(&a, all_watched);
	asked_turn(&a, 100 * USEC_MS);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(key, sizeof key, PREFIX "s%02zu/10.0.0.1:80", i);
		is_deaf = true;
		keep(key, "{\"address\":\"10.0.0.1:80\"}", 0);
		tell(n_watchers - 1, event("", key, kept[n_kept - 1].value, revision));
	}
	asked_until_set(&a, "s39", "10.0.0.1:80 w10");
	asked_until_set(&a, "s20", "10.0.0.1:80 w10");
	ck_assert_uint_eq(n_watchers, 17);
	registry_follow(a.registry, names, 3);
	asked_until(&a, are_few_open);
}
END_TEST

START_TEST(documents_are_single_keys)
{
	const struct slice keys[] = {SLICE_LIT("/c/a/b/retry"), SLICE_LIT("/c/a/b/limit")};
	struct registry_document document;

	keep("/c/a/b/retry", "{}", 0);
	keep("/c/a/b/retry2", "no", 0);
	asked_open(&a, "type: etcd", store);
	registry_follow_documents(a.registry, keys, 2);
	while (n_watchers < 2 || !registry_document(a.registry, keys[0]).is_known ||
	       !registry_document(a.registry, keys[1]).is_known)
		asked_turn(&a, USEC_MS);
	document = registry_document(a.registry, keys[0]);
	ck_assert(document.is_known && document.exists && slice_eq_str(document.text, "{}"));
	document = registry_document(a.registry, keys[1]);
	ck_assert(document.is_known && !document.exists);
	keep("/c/a/b/limit", "", 0);
	lose("/c/a/b/retry");
	while (registry_document(a.registry, keys[0]).exists ||
	       !registry_document(a.registry, keys[1]).exists)
		asked_turn(&a, USEC_MS);
	ck_assert(!registry_document(a.registry, keys[0]).exists);
	ck_assert(registry_document(a.registry, keys[1]).exists);
}
END_TEST

/* ---- registrations ---- */

static void open_enrolled(void)
{
	asked_open(&a, "type: etcd", store);
	asked_enroll(&a, 10, "", 3 * USEC_S);
	asked_until_state(&a, REGISTRATION_PRESENT);
}

static bool is_there(struct asked_registry *unused)
{
	const struct kept *at = find(OWN_KEY);

	(void)unused;
	return at && at->lease == live_lease && strcmp(at->value, OWN_VALUE) == 0;
}

START_TEST(what_is_put_is_what_kitex_writes_under_a_lease)
{
	open_enrolled();
	ck_assert(is_there(&a));
	ck_assert_int_eq(find(OWN_KEY)->lease, 101);
	ck_assert(asked_said(&a, "{\"TTL\":\"3\"}"));
}
END_TEST

START_TEST(the_first_put_takes_the_key_from_whoever_holds_it)
{
	keep(OWN_KEY, "of before", 5);
	open_enrolled();
	ck_assert(is_there(&a));
}
END_TEST

START_TEST(a_lease_that_ended_is_replaced)
{
	static const char *const renewals[] = {"{\"result\":{\"ID\":\"101\"}}",
	    "{\"result\":{\"ID\":\"101\",\"TTL\":\"0\"}}",
	    "{\"result\":{\"ID\":\"101\",\"TTL\":\"-1\"}}"};

	open_enrolled();
	wrong_renewal = renewals[_i];
	lose(OWN_KEY);
	live_lease = 0;
	asked_until_state(&a, REGISTRATION_LOST);
	wrong_renewal = NULL;
	asked_until_state(&a, REGISTRATION_PRESENT);
	ck_assert(is_there(&a));
	ck_assert_int_gt(live_lease, 101);
}
END_TEST

START_TEST(a_renewal_that_says_nothing_is_asked_again)
{
	static const char *const renewals[] = {"", "{", "{\"result\":5}",
	    "{\"result\":{\"ID\":\"7\",\"TTL\":\"0\"}}", "{\"error\":{}}"};

	open_enrolled();
	wrong_renewal = renewals[_i];
	asked_until_asked(&a, "/v3/lease/keepalive");
	wrong_renewal = NULL;
	asked_turn(&a, 100 * USEC_MS);
	ck_assert(is_there(&a));
	ck_assert_int_eq(live_lease, 101);
}
END_TEST

START_TEST(a_key_that_is_gone_is_put_again_under_the_same_lease)
{
	open_enrolled();
	lose(OWN_KEY);
	asked_until(&a, is_there);
	ck_assert_int_eq(live_lease, 101);
	asked_until_state(&a, REGISTRATION_PRESENT);
	ck_assert_uint_eq(registration_report(a.registration).drifts, 1);
}
END_TEST

START_TEST(a_value_that_was_changed_is_put_right)
{
	open_enrolled();
	keep(OWN_KEY, "changed", live_lease);
	asked_until(&a, is_there);
	asked_until_state(&a, REGISTRATION_PRESENT);
}
END_TEST

START_TEST(a_key_of_another_is_left_alone_until_it_is_gone)
{
	open_enrolled();
	keep(OWN_KEY, _i ? OWN_VALUE : "of another", _i ? 0 : 5);
	asked_until_state(&a, REGISTRATION_CONTESTED);
	asked_turn(&a, 2500 * USEC_MS);
	ck_assert_int_eq(find(OWN_KEY)->lease, _i ? 0 : 5);
	lose(OWN_KEY);
	asked_until(&a, is_there);
	asked_until_state(&a, REGISTRATION_PRESENT);
}
END_TEST

START_TEST(another_weight_is_put_over_the_old)
{
	open_enrolled();
	asked_change(&a, 20, "b=c", 3 * USEC_S);
	while (strstr(find(OWN_KEY)->value, "\"weight\":20,\"tags\":{\"b\":\"c\"}") == NULL)
		asked_turn(&a, USEC_MS);
	ck_assert_int_eq(find(OWN_KEY)->lease, 101);
	ck_assert_uint_eq(registration_report(a.registration).drifts, 0);
}
END_TEST

START_TEST(another_time_to_live_is_another_lease)
{
	open_enrolled();
	asked_change(&a, 10, "", 9 * USEC_S);
	while (find(OWN_KEY)->lease == 101)
		asked_turn(&a, USEC_MS);
	ck_assert(asked_said(&a, "{\"TTL\":\"9\"}"));
	ck_assert_uint_eq(registration_report(a.registration).drifts, 0);
}
END_TEST

START_TEST(what_is_withdrawn_goes_with_its_lease)
{
	open_enrolled();
	registration_withdraw(a.registration);
	asked_until_asked(&a, "/v3/lease/revoke");
	ck_assert_ptr_null(find(OWN_KEY));
	while (a.n_withdrawn == 0)
		asked_turn(&a, USEC_MS);
}
END_TEST

START_TEST(what_another_holds_is_not_withdrawn)
{
	open_enrolled();
	keep(OWN_KEY, "of another", 5);
	registration_withdraw(a.registration);
	asked_until_asked(&a, "/v3/lease/revoke");
	ck_assert_ptr_nonnull(find(OWN_KEY));
}
END_TEST

/* ---- tokens ---- */

static void store_with_token(
    void *arg, struct script_peer *peer, const struct script_request *request)
{
	static const char login[] = "{\"name\":\"us\",\"password\":\"a\\u0022b\"}";
	char token[64];

	if (strcmp(request->target, "/v3/auth/authenticate") == 0) {
		ck_assert(slice_eq_str(request->body, login));
		snprintf(token, sizeof token, "{\"token\":\"t.%u\"}", ++n_logins);
		script_answer(peer, 200, token);
		return;
	}
	snprintf(token, sizeof token, "Authorization: t.%u\r\n", a.stage);
	if (memmem(request->head.data, request->head.len, token, strlen(token)))
		store(arg, peer, request);
	else
		script_answer(
		    peer, 401, "{\"error\":\"etcdserver: invalid auth token\",\"code\":16}");
}

START_TEST(a_token_that_is_refused_is_replaced)
{
	n_logins = 0;
	a.stage = 1;
	keep_one("10.0.0.1:80", 10);
	asked_open(&a, "type: etcd, user: us, password: 'a\"b'", store_with_token);
	a.stage = 1;
	asked_follow(&a, "shop.price");
	asked_enroll(&a, 10, "", 3 * USEC_S);
	asked_until_set(&a, "shop.price", "10.0.0.1:80 w10");
	asked_until_state(&a, REGISTRATION_PRESENT);
	ck_assert_uint_eq(n_logins, 1);
	a.stage = 2;
	script_reset(watchers[0]);
	asked_until(&a, is_watched_again);
	ck_assert_uint_eq(n_logins, 2);
}
END_TEST

/* The watch goes on: what it tells is as good as before, whoever else is refused meanwhile. */
static void store_with_slow_login(
    void *arg, struct script_peer *peer, const struct script_request *request)
{
	if (strcmp(request->target, "/v3/auth/authenticate") == 0 && n_logins == 1 && a.stage == 2)
		n_logins++, script_answer(peer, 500, "{\"error\":\"etcdserver: no leader\"}");
	else
		store_with_token(arg, peer, request);
}

static bool is_stale(struct asked_registry *unused)
{
	(void)unused;
	return strncmp(asked_set(&a, "shop.price"), "stale: ", 7) == 0;
}

START_TEST(a_set_is_fresh_again_after_a_login_that_failed)
{
	a.stage = 1;
	keep_one("10.0.0.1:80", 10);
	asked_open(&a, "type: etcd, user: us, password: 'a\"b'", store_with_slow_login);
	a.stage = 1;
	asked_follow(&a, "shop.price");
	asked_enroll(&a, 10, "", 3 * USEC_S);
	asked_until_set(&a, "shop.price", "10.0.0.1:80 w10");
	asked_until_state(&a, REGISTRATION_PRESENT);
	a.stage = 2;
	asked_until(&a, is_stale);
	a.stage = 3;
	asked_until_set(&a, "shop.price", "10.0.0.1:80 w10");
	ck_assert_uint_eq(n_watchers, 1);
}
END_TEST

/* ---- rights ---- */

static unsigned n_refused_documents, n_refused_leases;

static void store_for_readers(
    void *arg, struct script_peer *peer, const struct script_request *request)
{
	const char *document = code("/c/a/b/retry");
	bool is_lease = strcmp(request->target, "/v3/lease/grant") == 0;
	bool is_document =
	    memmem(request->body.data, request->body.len, document, strlen(document));

	n_refused_leases += is_lease;
	n_refused_documents += is_document;
	if (is_lease || is_document)
		script_answer(
		    peer, 403, "{\"error\":\"etcdserver: permission denied\",\"code\":7}");
	else
		store(arg, peer, request);
}

static bool are_both_refused(struct asked_registry *unused)
{
	(void)unused;
	return n_refused_documents > 1 && n_refused_leases > 1;
}

START_TEST(a_document_and_a_registration_that_are_refused_leave_the_sets_fresh)
{
	const struct slice key = SLICE_LIT("/c/a/b/retry");

	n_refused_documents = n_refused_leases = 0;
	keep_one("10.0.0.1:80", 10);
	asked_open(&a, "type: etcd", store_for_readers);
	asked_follow(&a, "shop.price");
	asked_until_set(&a, "shop.price", "10.0.0.1:80 w10");
	registry_follow_documents(a.registry, &key, 1);
	asked_enroll(&a, 10, "", 3 * USEC_S);
	asked_until(&a, are_both_refused);
	ck_assert_str_eq(asked_set(&a, "shop.price"), "10.0.0.1:80 w10");
	ck_assert_uint_gt(registry_report(a.registry).errors, 1);
	ck_assert(strstr(registration_report(a.registration).error, "permission denied"));
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {a_listing_is_the_set_and_the_watch_begins_behind_it, 1},
	    {instances_appear_change_and_vanish, 1},
	    {many_events_are_told_together, 1},
	    {events_may_come_in_pieces_of_any_size, 20},
	    {events_of_other_keys_and_old_ones_change_nothing, 1},
	    {whatever_ends_a_watch_everything_is_listed_anew, 15},
	    {a_watch_that_breaks_off_is_opened_again, 3},
	    {a_listing_that_is_wrong_leaves_what_is_known, 14},
	    {a_store_whose_revisions_went_back_is_believed_anew, 1},
	    {a_watch_that_hides_something_is_found_out, 2},
	    {many_services_share_a_watch, 1},
	    {documents_are_single_keys, 1},
	    {what_is_put_is_what_kitex_writes_under_a_lease, 1},
	    {the_first_put_takes_the_key_from_whoever_holds_it, 1},
	    {a_lease_that_ended_is_replaced, 3},
	    {a_renewal_that_says_nothing_is_asked_again, 5},
	    {a_key_that_is_gone_is_put_again_under_the_same_lease, 1},
	    {a_value_that_was_changed_is_put_right, 1},
	    {a_key_of_another_is_left_alone_until_it_is_gone, 2},
	    {another_weight_is_put_over_the_old, 1},
	    {another_time_to_live_is_another_lease, 1},
	    {what_is_withdrawn_goes_with_its_lease, 1},
	    {what_another_holds_is_not_withdrawn, 1},
	    {a_token_that_is_refused_is_replaced, 1},
	    {a_set_is_fresh_again_after_a_login_that_failed, 1},
	    {a_document_and_a_registration_that_are_refused_leave_the_sets_fresh, 1},
	};

	return suite_run_between("etcd", tests, ARRAY_LEN(tests), begin, end);
}
