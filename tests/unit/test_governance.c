/* What becomes of documents, against a registry that says what the test says. */
#include "daemon/governance.h"

#include <stdio.h>
#include <stdlib.h>

#include <check.h>

#include "base/log.h"
#include "base/mem.h"
#include "daemon/discovery.h"
#include "support/loaded.h"
#include "support/suite.h"

/* The linker puts these in the place of discovery and of the registries. */
struct registry *__wrap_discovery_registry(
    const struct discovery *d, const struct registry_config *config);
void __wrap_discovery_visit(const struct discovery *d,
    void (*visit)(void *arg, const struct registry *registry), void *arg);
const struct registry_config *__wrap_registry_config_of(const struct registry *registry);
void __wrap_registry_follow_documents(
    struct registry *registry, const struct slice *keys, size_t n);
struct registry_document __wrap_registry_document(
    const struct registry *registry, struct slice key);

/* ---- the registry ---- */

#define PREFIX "/KitexConfig/me/price/"

static struct shared_config *shared;
static bool is_closed; /* there is no such registry */
static struct {
	char key[128];
	const char *text; /* NULL: there is none */
} documents[16];
static size_t n_documents;
static char followed[4096]; /* keys, each with a space behind it */
static char here[1];        /* stands for the registry */

struct registry *__wrap_discovery_registry(
    const struct discovery *d, const struct registry_config *config)
{
	(void)d;
	ck_assert_str_eq(config->name, "main");
	return is_closed ? NULL : (struct registry *)(void *)here;
}

void __wrap_discovery_visit(
    const struct discovery *d, void (*visit)(void *arg, const struct registry *registry), void *arg)
{
	(void)d;
	if (!is_closed)
		visit(arg, (const struct registry *)(const void *)here);
}

const struct registry_config *__wrap_registry_config_of(const struct registry *registry)
{
	(void)registry;
	return config_registry(shared->config, SLICE_LIT("main"));
}

void __wrap_registry_follow_documents(struct registry *registry, const struct slice *keys, size_t n)
{
	(void)registry;
	followed[0] = '\0';
	for (size_t i = 0; i < n; i++)
		snprintf(followed + strlen(followed), sizeof followed - strlen(followed), "%.*s ",
		    (int)keys[i].len, (const char *)keys[i].data);
}

struct registry_document __wrap_registry_document(const struct registry *registry, struct slice key)
{
	(void)registry;
	for (size_t i = 0; i < n_documents; i++)
		if (slice_eq_str(key, documents[i].key))
			return (struct registry_document){
			    slice_str(documents[i].text), true, documents[i].text != NULL};
	return (struct registry_document){.is_known = false};
}

static void say(const char *key, const char *text)
{
	size_t i = 0;

	while (i < n_documents && strcmp(documents[i].key, key) != 0)
		i++;
	ck_assert_uint_lt(i, ARRAY_LEN(documents));
	snprintf(documents[i].key, sizeof documents[i].key, "%s", key);
	documents[i].text = text;
	n_documents += i == n_documents;
}

/* ---- what is said ---- */

static char said[16384];

static void take_line(const struct log_record *record)
{
	snprintf(said + strlen(said), sizeof said - strlen(said), "%s %s\n", record->event,
	    record->pairs);
}

static unsigned times_said(const char *part)
{
	unsigned n = 0;

	for (const char *at = strstr(said, part); at; at = strstr(at + 1, part))
		n++;
	return n;
}

/* ---- what is tested ---- */

static struct governance *governance;

#define HEAD                                                                                       \
	"node: {service: me}\n"                                                                    \
	"registries: {main: {type: etcd, endpoints: [\"127.0.0.1:1\"]}}\n"                         \
	"listeners: [{name: in, address: \"127.0.0.1:0\", service: price}, {address: "             \
	"\"127.0.0.1:0\"}]\n"
#define PRICE "services:\n  price: {discover: main, governance: main}\n"
#define ANY   "  \"*\": {discover: main, governance: main}\n"
#define LOCAL "  own: {name: app, endpoints: [\"127.0.0.1:2\"], governance: main}\n"

static void follow_names(const char *text, const struct slice *names, size_t n)
{
	struct loaded l = loaded_from(text);
	struct shared_config *old = shared;

	loaded_config(&l);
	shared = shared_config_new(l.config);
	l.config = NULL;
	loaded_free(&l);
	governance_follow(governance, shared, names, n);
	if (old)
		shared_config_unref(&old);
}

static void follow(const char *text)
{
	follow_names(text, NULL, 0);
}

static void begin(void)
{
	n_documents = 0;
	is_closed = false;
	said[0] = followed[0] = '\0';
	log_set_sink(take_line);
	governance = governance_new(NULL);
}

static void end(void)
{
	governance_free(&governance);
	if (shared)
		shared_config_unref(&shared);
	log_set_sink(NULL);
}

/* "path=value;" of all that holds; valid until the next call. */
static const char *held(void)
{
	static char text[8192];
	struct config_overlay *all;
	size_t n;

	all = governance_gather(governance, &n);
	text[0] = '\0';
	ck_assert((all == NULL) == (n == 0));
	for (size_t i = 0; i < n; i++)
		snprintf(text + strlen(text), sizeof text - strlen(text), "%s=%s;", all[i].path,
		    all[i].value);
	free(all);
	return text;
}

struct wanted_report {
	const char *service;
	enum governance_category category;
	struct document_report found;
	unsigned n;
};

static void look(void *arg, const struct document_report *report)
{
	struct wanted_report *wanted = arg;

	wanted->n++;
	if (strcmp(report->service, wanted->service) == 0 && report->category == wanted->category)
		wanted->found = *report;
}

static struct document_report report_on(const char *service, enum governance_category category)
{
	struct wanted_report wanted = {.service = service, .category = category};

	governance_visit(governance, look, &wanted);
	ck_assert_ptr_nonnull(wanted.found.service);
	return wanted.found;
}

static enum document_state state_of(enum governance_category category)
{
	return report_on("price", category).state;
}

#define DEGRADE(n) "{\"enable\": true, \"percentage\": " #n "}"
#define HOLDS(n)   "services.price.degrade=" #n "%;"

START_TEST(documents_of_clients_and_of_the_application_are_followed)
{
	static const struct slice names[] = {SLICE_LIT("found")};

	follow_names(HEAD PRICE LOCAL ANY, names, 1);
	ck_assert_str_eq(followed,
	    "/KitexConfig/app/limit " PREFIX "retry " PREFIX "rpc_timeout " PREFIX
	    "circuit_break " PREFIX "degradation "
	    "/KitexConfig/me/found/retry /KitexConfig/me/found/rpc_timeout "
	    "/KitexConfig/me/found/circuit_break /KitexConfig/me/found/degradation ");
	follow(HEAD "services: {price: {discover: main}}\n");
	ck_assert_str_eq(followed, "");
}
END_TEST

START_TEST(what_was_never_heard_of_changes_nothing)
{
	follow(HEAD PRICE);
	ck_assert_str_eq(held(), "");
	say(PREFIX "degradation", NULL);
	governance_refresh(governance);
	ck_assert_str_eq(held(), "");
	ck_assert_int_eq(state_of(GOVERNANCE_DEGRADATION), DOCUMENT_ABSENT);
	ck_assert_str_eq(said, "");
}
END_TEST

START_TEST(a_document_holds_until_it_is_gone)
{
	follow(HEAD PRICE);
	say(PREFIX "degradation", DEGRADE(5));
	governance_refresh(governance);
	ck_assert_str_eq(held(), HOLDS(5));
	ck_assert_int_eq(state_of(GOVERNANCE_DEGRADATION), DOCUMENT_APPLIED);
	say(PREFIX "degradation", DEGRADE(6));
	governance_refresh(governance);
	ck_assert_str_eq(held(), HOLDS(6));
	say(PREFIX "degradation", NULL);
	governance_refresh(governance);
	ck_assert_str_eq(held(), "");
	ck_assert_int_eq(state_of(GOVERNANCE_DEGRADATION), DOCUMENT_ABSENT);
}
END_TEST

START_TEST(a_bad_document_leaves_what_was_before)
{
	follow(HEAD PRICE);
	say(PREFIX "degradation", DEGRADE(101));
	governance_refresh(governance);
	ck_assert_str_eq(held(), "");
	ck_assert_int_eq(state_of(GOVERNANCE_DEGRADATION), DOCUMENT_BAD);
	say(PREFIX "degradation", DEGRADE(5));
	governance_refresh(governance);
	say(PREFIX "degradation", "{");
	for (int i = 0; i < 3; i++)
		governance_refresh(governance);
	ck_assert_str_eq(held(), HOLDS(5));
	ck_assert_int_eq(state_of(GOVERNANCE_DEGRADATION), DOCUMENT_BAD);
	ck_assert_str_ne(report_on("price", GOVERNANCE_DEGRADATION).error, "");
	/* said once each */
	ck_assert_uint_eq(report_on("price", GOVERNANCE_DEGRADATION).refused, 2);
	ck_assert_uint_eq(times_said("a document is wrong"), 2);
	/* back to what it was: no longer bad */
	say(PREFIX "degradation", DEGRADE(5));
	governance_refresh(governance);
	ck_assert_int_eq(state_of(GOVERNANCE_DEGRADATION), DOCUMENT_APPLIED);
	ck_assert_str_eq(report_on("price", GOVERNANCE_DEGRADATION).error, "");
	say(PREFIX "degradation", "{");
	governance_refresh(governance);
	say(PREFIX "degradation", NULL);
	governance_refresh(governance);
	ck_assert_str_eq(held(), "");
}
END_TEST

START_TEST(another_file_keeps_what_documents_said)
{
	follow(HEAD PRICE);
	say(PREFIX "degradation", DEGRADE(5));
	governance_refresh(governance);
	is_closed = true;
	follow(HEAD PRICE LOCAL);
	ck_assert_str_eq(held(), HOLDS(5));
	is_closed = false;
	/* of that file's methods, too */
	follow(HEAD "services: {price: {discover: main, governance: main, methods: {Get: {timeout: "
		    "1s}}}}\n");
	ck_assert_str_eq(held(), HOLDS(5) "services.price.methods.Get.degrade=5%;");
	/* what it locks is not used, and yet known */
	follow(HEAD "services: {price: {discover: main, governance: {from: main, locked: "
		    "[degrade]}}}\n");
	ck_assert_str_eq(held(), "");
	ck_assert_int_eq(state_of(GOVERNANCE_DEGRADATION), DOCUMENT_APPLIED);
	follow(HEAD PRICE);
	ck_assert_str_eq(held(), HOLDS(5));
}
END_TEST

START_TEST(another_key_is_another_document)
{
	follow(HEAD PRICE);
	say(PREFIX "degradation", DEGRADE(5));
	governance_refresh(governance);
	follow(HEAD "services: {price: {discover: main, governance: {from: main, prefix: /x}}}\n");
	ck_assert_str_eq(held(), "");
	ck_assert_ptr_nonnull(strstr(followed, "/x/me/price/degradation "));
}
END_TEST

START_TEST(a_bad_document_is_looked_at_anew_with_another_file_only)
{
	static const struct slice names[] = {SLICE_LIT("found")};

	say(PREFIX "degradation", "{");
	follow(HEAD PRICE ANY);
	ck_assert_uint_eq(times_said("a document is wrong"), 1);
	governance_follow(governance, shared, names, 1);
	ck_assert_uint_eq(times_said("a document is wrong"), 1);
	ck_assert_int_eq(state_of(GOVERNANCE_DEGRADATION), DOCUMENT_BAD);
	follow(HEAD PRICE);
	ck_assert_uint_eq(times_said("a document is wrong"), 2);
}
END_TEST

START_TEST(a_document_that_is_refused_gives_way_to_the_one_before)
{
	static const char source[] = "main:" PREFIX "degradation";

	follow(HEAD PRICE);
	say(PREFIX "degradation", DEGRADE(5));
	governance_refresh(governance);
	say(PREFIX "degradation", DEGRADE(6));
	governance_refresh(governance);
	ck_assert(governance_refuse(governance, source, "it does not fit"));
	ck_assert_str_eq(held(), HOLDS(5));
	ck_assert_int_eq(state_of(GOVERNANCE_DEGRADATION), DOCUMENT_BAD);
	ck_assert_str_eq(report_on("price", GOVERNANCE_DEGRADATION).error, "it does not fit");
	/* it is not taken again for being there still */
	governance_refresh(governance);
	ck_assert_str_eq(held(), HOLDS(5));
	/* and if that fits no better, nothing does */
	ck_assert(governance_refuse(governance, source, "nor does it"));
	ck_assert_str_eq(held(), "");
	ck_assert(!governance_refuse(governance, source, "nor does it"));
	ck_assert(!governance_refuse(governance, "main:/nothing", "of the kind"));
	governance_refresh(governance);
	ck_assert_str_eq(held(), "");
	/* until it is another */
	say(PREFIX "degradation", DEGRADE(7));
	governance_refresh(governance);
	ck_assert_str_eq(held(), HOLDS(7));
}
END_TEST

START_TEST(a_name_that_is_found_has_documents_of_its_own)
{
	static const struct slice names[] = {SLICE_LIT("a.b"), SLICE_LIT("c")};

	say("/KitexConfig/me/a.b/degradation", DEGRADE(5));
	say("/KitexConfig/me/c/degradation", DEGRADE(6));
	follow_names(HEAD PRICE ANY, names, 2);
	ck_assert_str_eq(held(), "services.\"a.b\".degrade=5%;services.c.degrade=6%;");
	governance_follow(governance, shared, names + 1, 1);
	ck_assert_str_eq(held(), "services.c.degrade=6%;");
	follow_names(HEAD PRICE, names, 2);
	ck_assert_str_eq(held(), "");
}
END_TEST

START_TEST(two_services_may_read_the_same_document)
{
	follow(HEAD PRICE "  price2: {name: price, discover: main, governance: main}\n");
	say(PREFIX "degradation", DEGRADE(5));
	governance_refresh(governance);
	ck_assert_str_eq(held(), HOLDS(5) "services.price2.degrade=5%;");
	/* and both are told that it does not fit */
	ck_assert(governance_refuse(governance, "main:" PREFIX "degradation", "no"));
	ck_assert_str_eq(held(), "");
}
END_TEST

START_TEST(without_a_name_of_ours_there_is_nothing_for_clients)
{
	follow("registries: {main: {type: etcd, endpoints: [\"127.0.0.1:1\"]}}\n"
	       "listeners: [{name: in, address: \"127.0.0.1:0\", service: price}]\n" PRICE LOCAL
	       "  other: {discover: main, governance: main}\n");
	ck_assert_str_eq(followed, "/KitexConfig/app/limit ");
	ck_assert_uint_eq(times_said("node.service"), 1);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {documents_of_clients_and_of_the_application_are_followed, 1},
	    {what_was_never_heard_of_changes_nothing, 1},
	    {a_document_holds_until_it_is_gone, 1},
	    {a_bad_document_leaves_what_was_before, 1},
	    {another_file_keeps_what_documents_said, 1},
	    {another_key_is_another_document, 1},
	    {a_bad_document_is_looked_at_anew_with_another_file_only, 1},
	    {a_document_that_is_refused_gives_way_to_the_one_before, 1},
	    {a_name_that_is_found_has_documents_of_its_own, 1},
	    {two_services_may_read_the_same_document, 1},
	    {without_a_name_of_ours_there_is_nothing_for_clients, 1},
	};

	return suite_run_between("governance", tests, ARRAY_LEN(tests), begin, end);
}
