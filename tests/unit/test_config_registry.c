#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <check.h>

#include "base/mem.h"
#include "model/config_tests.h"
#include "support/loaded.h"
#include "support/suite.h"

#define LISTENERS                                                                                  \
	"listeners:\n  - {address: \"127.0.0.1:7000\", service: a}\n  - {address: \"127.0.0.1:0\"}\n"
#define MAIN "registries: {main: {type: etcd, endpoints: [\"127.0.0.1:2379\"]}}\n"

/* One registry with these keys, and a service that is found there. */
static struct loaded with_registry(const char *keys)
{
	char text[1000];

	snprintf(text, sizeof text,
	    "registries: {main: {%s}}\n" LISTENERS "services: {a: {discover: main}}\n", keys);
	return loaded_from(text);
}

static const struct registry_config *registry_of(const struct loaded *l, const char *name)
{
	const struct registry_config *registry = config_registry(loaded_config(l), slice_str(name));

	ck_assert_ptr_nonnull(registry);
	return registry;
}

/* The keys of service a, in a file with the registry main. */
static struct loaded with_service(const char *keys)
{
	char text[1000];

	snprintf(text, sizeof text,
	    MAIN
	    "listeners: [{address: \"127.0.0.1:7000\", service: a}]\nservices:\n  a: {endpoints: [\"127.0.0.1:1\"], %s}\n",
	    keys);
	return loaded_from(text);
}

static const struct service_config *service_of(const struct loaded *l, const char *label)
{
	const struct service_config *service = config_service(loaded_config(l), slice_str(label));

	ck_assert_ptr_nonnull(service);
	return service;
}

static bool contains(const struct loaded *l, const char *part)
{
	char *text = loaded_dump(loaded_config(l));
	bool found = strstr(text, part) != NULL;

	free(text);
	return found;
}

/* ---- registries ---- */

START_TEST(registry_has_the_documented_defaults)
{
	struct loaded l = with_registry("type: etcd, endpoints: [\"127.0.0.1:2379\"]");
	const struct registry_config *r = registry_of(&l, "main");

	ck_assert_str_eq(r->name, "main");
	ck_assert_int_eq((int)r->type, REGISTRY_ETCD);
	ck_assert_uint_eq(r->n_endpoints, 1);
	ck_assert_str_eq(r->endpoints[0].text, "127.0.0.1:2379");
	ck_assert(!r->tls.is_on && !r->user && !r->cache && !r->path && !r->datacenter);
	ck_assert(!r->password.text && !r->password.file && !r->auth.text && !r->auth.file);
	ck_assert(!r->token.text && !r->token.file && !r->check_ttl && r->port == 0);
	ck_assert_uint_eq(r->refresh, 5 * USEC_S);
	ck_assert_uint_eq(r->empty_keep, 600 * USEC_S);
	ck_assert_int_eq((int)r->format, REGISTRY_FORMAT_KITEX);
	ck_assert_str_eq(r->prefix, "kitex/registry-etcd");
	ck_assert_str_eq(r->base, "");
	ck_assert_uint_eq(r->session, 30 * USEC_S);
	ck_assert_uint_eq(r->beat, 5 * USEC_S);
	ck_assert_str_eq(r->namespace, "");
	ck_assert_str_eq(r->group, "DEFAULT_GROUP");
	ck_assert_str_eq(r->cluster, "DEFAULT");
	loaded_free(&l);
}
END_TEST

START_TEST(registries_are_sorted_and_found_by_name)
{
	static const char *const names[] = {"a", "b", "zeta"};
	struct loaded l =
	    loaded_from("registries:\n  zeta: {type: dns, port: 80}\n  a: {type: file, path: "
			"/dev/null}\n  b: {type: nacos, endpoints: [\"n:8848\"]}\n" LISTENERS
			"services: {a: {endpoints: [\"127.0.0.1:1\"]}}\n");
	const struct config *config = loaded_config(&l);

	ck_assert_uint_eq(config->n_registries, 3);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		ck_assert_str_eq(config->registries[i]->name, names[i]);
		ck_assert_ptr_eq(
		    config_registry(config, slice_str(names[i])), config->registries[i]);
	}
	ck_assert_uint_eq(config->registries[2]->port, 80);
	ck_assert_int_eq((int)config->registries[1]->endpoints[0].kind, ADDRESS_NAME);
	ck_assert_ptr_null(config_registry(config, SLICE_LIT("c")));
	ck_assert_ptr_null(config_registry(config, SLICE_LIT("")));
	loaded_free(&l);
}
END_TEST

START_TEST(every_type_has_its_name)
{
	static const struct {
		enum registry_type type;
		const char *name, *keys;
	} types[] = {{REGISTRY_ETCD, "etcd", "endpoints: [\"h:1\"]"},
	    {REGISTRY_ZOOKEEPER, "zookeeper", "endpoints: [\"h:1\"]"},
	    {REGISTRY_CONSUL, "consul", "endpoints: [\"h:1\"]"},
	    {REGISTRY_NACOS, "nacos", "endpoints: [\"h:1\"]"}, {REGISTRY_DNS, "dns", "port: 1"},
	    {REGISTRY_FILE, "file", "path: /dev/null"}};
	char keys[100];

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		struct loaded l;

		snprintf(keys, sizeof keys, "type: %s, %s", types[i].name, types[i].keys);
		l = with_registry(keys);
		ck_assert_int_eq((int)registry_of(&l, "main")->type, (int)types[i].type);
		ck_assert_str_eq(registry_type_name(types[i].type), types[i].name);
		loaded_free(&l);
	}
}
END_TEST

START_TEST(empty_has_a_long_and_a_short_form)
{
	static const struct {
		const char *text, *dump;
		usec_t keep;
	} forms[] = {{"{keep: 30s}", "keep: 30s", 30 * USEC_S}, {"30s", "keep: 30s", 30 * USEC_S},
	    {"obey", "keep: obey", 0}, {"{keep: obey}", "keep: obey", 0}};
	char keys[100];

	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		struct loaded l;

		snprintf(keys, sizeof keys, "type: dns, port: 80, empty: %s", forms[i].text);
		l = with_registry(keys);
		ck_assert_uint_eq(registry_of(&l, "main")->empty_keep, forms[i].keep);
		ck_assert(contains(&l, forms[i].dump));
		loaded_free(&l);
	}
}
END_TEST

START_TEST(tls_is_on_where_there_is_a_map_and_off_where_there_is_none)
{
	struct loaded on =
	    with_registry("type: etcd, endpoints: [\"e:1\"], tls: {ca: /dev/null, sni: e.x}");
	struct loaded plain = with_registry("type: etcd, endpoints: [\"e:1\"], tls: {}");
	struct loaded off = with_registry("type: etcd, endpoints: [\"e:1\"], tls: none");
	const struct tls_config *tls = &registry_of(&on, "main")->tls;

	ck_assert(tls->is_on && !tls->verify_none && !tls->cert && !tls->key);
	ck_assert_str_eq(tls->ca, "/dev/null");
	ck_assert_str_eq(tls->sni, "e.x");
	tls = &registry_of(&plain, "main")->tls;
	ck_assert(tls->is_on && !tls->verify_none && !tls->ca && !tls->sni);
	ck_assert(contains(&plain, "    tls:\n      ca: system"));
	ck_assert(!registry_of(&off, "main")->tls.is_on);
	ck_assert(contains(&off, "    tls: none"));
	loaded_free(&on);
	loaded_free(&plain);
	loaded_free(&off);
}
END_TEST

START_TEST(dump_leaves_out_what_other_types_have)
{
	struct loaded l = with_registry("type: zookeeper, endpoints: [\"z:1\"]");

	ck_assert(contains(&l, "    session: 30s"));
	ck_assert(!contains(&l, "    prefix:"));
	ck_assert(!contains(&l, "    token:"));
	ck_assert(!contains(&l, "    beat:"));
	loaded_free(&l);
}
END_TEST

START_TEST(base_has_a_slash_whether_it_was_written_or_not)
{
	static const char *const written[] = {"rpcx_test", "/rpcx_test", "\"\""};

	for (size_t i = 0; i < ARRAY_LEN(written); i++) {
		char keys[100];
		struct loaded l;

		snprintf(keys, sizeof keys, "type: zookeeper, endpoints: [\"z:1\"], base: %s",
		    written[i]);
		l = with_registry(keys);
		ck_assert_str_eq(registry_of(&l, "main")->base, i < 2 ? "/rpcx_test" : "");
		loaded_free(&l);
	}
}
END_TEST

START_TEST(name_for_dns_may_bring_its_port)
{
	static const struct {
		const char *keys, *says;
	} cases[] = {
	    {"name: \"a.example:8888\", discover: dns", NULL},
	    {"name: \"a.example:65535\", discover: dns", NULL},
	    {"name: \"a.example\", discover: dns", "DNS does not say on which port"},
	    {"name: \"a.example:0\", discover: dns", "the port is out of range"},
	    {"name: \"a.example:65536\", discover: dns", "the port is out of range"},
	    {"name: \"a.example:4294967297\", discover: dns", "the port is out of range"},
	    {"name: \"a.example:\", discover: dns", "is not a name"},
	    {"name: \":80\", discover: dns", "is not a name"},
	    {"name: \"a:b:80\", discover: dns", "is not a name"},
	    {"name: \"_a._tcp.example:80\", discover: dns", "is not a name"},
	    {"name: \"a.example:80\", discover: main", "is not a name"},
	    {"name: \"a:80\", endpoints: [\"127.0.0.1:1\"]", "is not a name"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char text[1000];
		struct loaded l;

		snprintf(text, sizeof text,
		    "registries: {dns: {type: dns}, main: {type: etcd, endpoints: [\"e:1\"]}}\n"
		    "listeners: [{address: \"127.0.0.1:7000\", service: a}]\n"
		    "services: {a: {%s}}\n",
		    cases[i].keys);
		l = loaded_from(text);
		if (cases[i].says) {
			ck_assert_msg(l.problems.n > 0, "%s", cases[i].keys);
			ck_assert_msg(strstr(l.problems.list[0].text, cases[i].says) != NULL,
			    "%s: %s", cases[i].keys, l.problems.list[0].text);
		} else {
			ck_assert_msg(contains(&l, "    name: "), "%s", cases[i].keys);
		}
		loaded_free(&l);
	}
}
END_TEST

/* ---- secrets ---- */

START_TEST(secret_is_never_printed)
{
	static const char *const registries[] = {
	    "type: etcd, endpoints: [\"e:1\"], user: u, password: geheim",
	    "type: nacos, endpoints: [\"e:1\"], user: u, password: \"geheim\"",
	    "type: zookeeper, endpoints: [\"e:1\"], auth: \"user:geheim\"",
	    "type: consul, endpoints: [\"e:1\"], token: geheim"};

	for (size_t i = 0; i < ARRAY_LEN(registries); i++) {
		struct loaded l = with_registry(registries[i]), again;
		char *text = loaded_dump(loaded_config(&l));

		ck_assert_ptr_null(strstr(text, "geheim"));
		ck_assert_ptr_nonnull(strstr(text, ": \"<redacted>\""));
		/* what was printed loads, but it is said that the secret is lost */
		again = loaded_from(text);
		ck_assert_str_eq(loaded_config(&again)->hash, l.config->hash);
		ck_assert_uint_eq(again.problems.n, 1);
		ck_assert_ptr_nonnull(strstr(again.problems.list[0].text, "in place of a secret"));
		free(text);
		loaded_free(&l);
		loaded_free(&again);
	}
}
END_TEST

START_TEST(secret_stands_in_no_message)
{
	static const char *const registries[] = {
	    "type: dns, port: 1, user: geheim, password: 12345678",
	    "type: etcd, endpoints: [\"e:1\"], password: 12345678",
	    "type: etcd, endpoints: [\"e:1\"], user: u, password: [geheim]",
	    "type: etcd, endpoints: [\"e:1\"], user: u, password: {file: geheim}",
	    "type: etcd, endpoints: [\"e:1\"], user: u, password: {text: geheim}",
	    "type: etcd, endpoints: [\"e:1\"], token: geheim",
	    "type: consul, endpoints: [\"e:1\"], token: \"geheim\\n\"",
	    "type: zookeeper, endpoints: [\"e:1\"], auth: 12345678, format: dubbo"};

	for (size_t i = 0; i < ARRAY_LEN(registries); i++) {
		struct loaded l = with_registry(registries[i]);

		ck_assert_ptr_null(l.config);
		for (size_t k = 0; k < l.problems.n; k++) {
			const struct problem *p = &l.problems.list[k];

			ck_assert_msg(!strstr(p->text, "geheim") && !strstr(p->text, "12345678"),
			    "%s", p->text);
			ck_assert(!p->remedy || !strstr(p->remedy, "geheim"));
		}
		loaded_free(&l);
	}
}
END_TEST

START_TEST(secret_comes_from_a_file_or_from_a_variable)
{
	struct loaded file =
	    with_registry("type: consul, endpoints: [\"e:1\"], token: {file: /dev/null}");
	struct loaded variable =
	    with_registry("type: consul, endpoints: [\"e:1\"], token: \"${NUMBER}\"");
	struct loaded none = with_registry("type: consul, endpoints: [\"e:1\"], token: none");

	ck_assert_str_eq(registry_of(&file, "main")->token.file, "/dev/null");
	ck_assert_ptr_null(registry_of(&file, "main")->token.text);
	ck_assert(contains(&file, "    token: {file: /dev/null}"));
	ck_assert_str_eq(registry_of(&variable, "main")->token.text, "17");
	ck_assert(contains(&variable, "    token: \"<redacted>\""));
	ck_assert_ptr_null(registry_of(&none, "main")->token.text);
	ck_assert(contains(&none, "    token: none"));
	loaded_free(&file);
	loaded_free(&variable);
	loaded_free(&none);
}
END_TEST

START_TEST(hash_is_that_of_the_file_without_its_secrets)
{
	struct loaded a = with_registry("type: consul, endpoints: [\"e:1\"], token: one");
	struct loaded b = with_registry("type: consul, endpoints: [\"e:1\"], token: two");
	struct loaded c = with_registry("type: consul, endpoints: [\"e:2\"], token: two");

	ck_assert_str_eq(loaded_config(&a)->hash, loaded_config(&b)->hash);
	ck_assert_str_ne(loaded_config(&b)->hash, loaded_config(&c)->hash);
	loaded_free(&a);
	loaded_free(&b);
	loaded_free(&c);
}
END_TEST

/* A file that its owner alone may read can hold a secret. */
START_TEST(secret_is_doubted_only_where_others_can_read_it)
{
	static const char text[] =
	    "registries: {main: {type: consul, endpoints: [\"127.0.0.1:1\"], token: geheim}}\n" LISTENERS
	    "services: {a: {discover: main}}\n";
	char path[] = "/tmp/bridle-secret-XXXXXX";
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, sizeof text - 1), sizeof text - 1);
	for (mode_t mode = 0600; mode <= 0644; mode += 4) {
		struct loaded l;

		if (mode != 0600 && mode != 0640 && mode != 0604 && mode != 0644)
			continue;
		ck_assert_int_eq(fchmod(fd, mode), 0);
		l = loaded_file(path);
		loaded_config(&l);
		ck_assert_uint_eq(l.problems.n, (mode & 4) != 0);
		if (mode & 4)
			ck_assert(loaded_says(&l, "registries.main.token", "everybody", "file"));
		loaded_free(&l);
	}
	close(fd);
	unlink(path);
}
END_TEST

/* ---- services ---- */

START_TEST(service_is_discovered_in_two_forms)
{
	struct loaded l = loaded_from(MAIN LISTENERS
	    "services:\n  a: {discover: main}\n"
	    "  b: {name: shop.b, discover: {from: main, tags: {z: \"1\", env: prod}}}\n"
	    "  c: {endpoints: [\"127.0.0.1:1\"]}\n");
	const struct registry_config *main_registry = registry_of(&l, "main");
	const struct service_config *b = service_of(&l, "b");

	ck_assert_ptr_eq(service_of(&l, "a")->discover.from, main_registry);
	ck_assert_uint_eq(service_of(&l, "a")->discover.tags.n, 0);
	ck_assert_uint_eq(service_of(&l, "a")->n_endpoints, 0);
	ck_assert_ptr_eq(b->discover.from, main_registry);
	ck_assert_uint_eq(b->discover.tags.n, 2);
	ck_assert_str_eq(b->discover.tags.pairs[0].name, "env");
	ck_assert_str_eq(b->discover.tags.pairs[0].value, "prod");
	ck_assert_ptr_null(service_of(&l, "c")->discover.from);
	loaded_free(&l);
}
END_TEST

START_TEST(registration_has_the_documented_defaults)
{
	struct loaded l = with_service("name: shop.a, register: main");
	const struct register_config *r = &service_of(&l, "a")->registration;

	ck_assert_uint_eq(r->n_in, 1);
	ck_assert_ptr_eq(r->in[0], registry_of(&l, "main"));
	ck_assert(!r->has_address && !r->always && r->tags.n == 0);
	ck_assert_uint_eq(r->weight, 10);
	ck_assert_uint_eq(r->ttl, 60 * USEC_S);
	ck_assert_uint_eq(loaded_config(&l)->shutdown.deregister_wait, 6 * USEC_S);
	ck_assert_uint_eq(l.problems.n, 0);
	loaded_free(&l);
	l = with_service("name: shop.a");
	ck_assert_uint_eq(service_of(&l, "a")->registration.n_in, 0);
	loaded_free(&l);
}
END_TEST

START_TEST(registration_is_read_in_its_long_form)
{
	struct loaded l = with_service(
	    "name: shop.a, register: {in: [main], address: \"[2001:db8::1]:80\", weight: "
	    "1000000, tags: {x: y}, ttl: 5s, when: always}");
	const struct register_config *r = &service_of(&l, "a")->registration;

	ck_assert(r->n_in == 1 && r->has_address && r->always);
	ck_assert_str_eq(r->address.text, "[2001:db8::1]:80");
	ck_assert_uint_eq(r->weight, 1000000);
	ck_assert_uint_eq(r->ttl, 5 * USEC_S);
	ck_assert_str_eq(r->tags.pairs[0].value, "y");
	loaded_free(&l);
}
END_TEST

START_TEST(governance_is_read_in_two_forms)
{
	struct loaded l = with_service("governance: main");
	const struct governance_config *g = &service_of(&l, "a")->governance;

	ck_assert_ptr_eq(g->from, registry_of(&l, "main"));
	ck_assert_str_eq(g->prefix, "/KitexConfig");
	ck_assert_uint_eq(g->locked.n, 0);
	loaded_free(&l);
	l = with_service("governance: {from: main, prefix: /Our/Config, locked: [limit, retry]}");
	g = &service_of(&l, "a")->governance;
	ck_assert_str_eq(g->prefix, "/Our/Config");
	ck_assert_uint_eq(g->locked.n, 2);
	ck_assert_str_eq(g->locked.items[1], "retry");
	loaded_free(&l);
}
END_TEST

START_TEST(wait_after_withdrawing_can_be_none)
{
	struct loaded l = loaded_from("shutdown: {deregister_wait: none}\n" LISTENERS
				      "services: {a: {endpoints: [\"127.0.0.1:1\"]}}\n");

	ck_assert_uint_eq(loaded_config(&l)->shutdown.deregister_wait, 0);
	ck_assert(contains(&l, "deregister_wait: none"));
	ck_assert_uint_eq(l.problems.n, 0);
	loaded_free(&l);
}
END_TEST

START_TEST(registered_address_is_that_of_any_listener_that_is_pinned)
{
	static const struct {
		const char *listeners;
		bool fine;
	} cases[] = {
	    {"{address: \"127.0.0.1:0\", service: a}", true},
	    {"{address: [\"unix:/tmp/x.sock\", \"127.0.0.1:0\"], service: a}", true},
	    {"{address: \"unix:/tmp/x.sock\", service: a}, {address: \"0.0.0.0:1\", service: a}",
		true},
	    {"{address: \"unix:/tmp/x.sock\", service: a}", false},
	    {"{address: \"unix:@x\", allow: [\"uid:0\"], service: a}", false},
	    {"{address: \"127.0.0.1:1\"}", false},
	};
	char text[600];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct loaded l;

		snprintf(text, sizeof text,
		    MAIN "listeners: [%s]\nservices: {a: {name: shop.a, endpoints: "
			 "[\"127.0.0.1:9\"], register: main}}\n",
		    cases[i].listeners);
		l = loaded_from(text);
		ck_assert_msg((l.config != NULL) == cases[i].fine, "%s", text);
		if (!cases[i].fine)
			ck_assert(loaded_says(&l, "services.a.register.in",
			    "no address to register", "address: here"));
		loaded_free(&l);
	}
}
END_TEST

/* ---- the template ---- */

START_TEST(template_is_no_service_but_has_policies_of_its_own)
{
	struct loaded l = loaded_from(MAIN LISTENERS
	    "defaults: {timeout: {connect: 7ms}}\n"
	    "services:\n  a: {endpoints: [\"127.0.0.1:1\"]}\n"
	    "  \"*\": {discover: main, timeout: 3s, methods: {Get: {timeout: 1s}}}\n");
	const struct config *config = loaded_config(&l);
	const struct service_config *any = config->any;

	ck_assert_ptr_nonnull(any);
	ck_assert_uint_eq(config->n_services, 1);
	ck_assert_ptr_null(config_service(config, SLICE_LIT("*")));
	ck_assert_str_eq(any->label, "*");
	ck_assert_ptr_eq(any->discover.from, registry_of(&l, "main"));
	ck_assert_uint_eq(any->policy.timeout_call, 3 * USEC_S);
	ck_assert_uint_eq(any->policy.timeout_connect, 7 * USEC_MS);
	ck_assert_uint_eq(any->methods[0].policy.timeout_call, USEC_S);
	/* defaults, a, the template, its method */
	ck_assert_uint_eq(config->n_policies, 4);
	ck_assert_ptr_eq(config->policies[any->policy.index], &any->policy);
	ck_assert_ptr_eq(config->policies[any->methods[0].policy.index], &any->methods[0].policy);
	ck_assert_ptr_eq(any->policy.service, any);
	ck_assert_uint_eq(l.problems.n, 0);
	loaded_free(&l);
}
END_TEST

START_TEST(template_alone_is_enough_for_a_listener)
{
	struct loaded l = loaded_from(MAIN "listeners: [{address: \"127.0.0.1:0\"}]\n"
					   "services: {\"*\": {discover: main}}\n");

	ck_assert_uint_eq(loaded_config(&l)->n_services, 0);
	ck_assert_uint_eq(l.problems.n, 0);
	loaded_free(&l);
}
END_TEST

START_TEST(template_that_no_listener_leads_to_is_doubted)
{
	struct loaded l = loaded_from(
	    MAIN "listeners: [{address: \"127.0.0.1:0\", service: a}]\n"
		 "services: {a: {endpoints: [\"127.0.0.1:1\"]}, \"*\": {discover: main}}\n");

	loaded_config(&l);
	ck_assert(loaded_says(&l, "services.*", "no listener leads here", "without service"));
	ck_assert_uint_eq(l.problems.n, 1);
	loaded_free(&l);
}
END_TEST

START_TEST(template_is_not_led_to_by_name)
{
	struct loaded l = loaded_from(
	    MAIN LISTENERS "services:\n  a: {endpoints: [\"127.0.0.1:1\"], routes: [{to: {service: "
			   "\"*\"}}]}\n  \"*\": {discover: main}\n");

	ck_assert_ptr_null(l.config);
	ck_assert(loaded_says(&l, "services.a.routes[0].to.service", "not a name", NULL));
	loaded_free(&l);
}
END_TEST

/* Rules that look at endpoints of the file say nothing of those that a registry has. */
START_TEST(what_a_registry_has_is_not_missed)
{
	static const char *const keys[] = {
	    "subsets: {x: {lane: x}}, routes: [{to: x}]",
	    "subset_by: {tag: lane, key: meta.env}",
	    "balance: {type: maglev, key: meta.user, slow_start: 30s}",
	    "routes: [{mirror: a}]",
	    "fallback: {on: [any], to: {service: a}}",
	    "eject: {at_most: 1%}",
	    "retry: {type: fork, unsafe: true}",
	};
	char text[600];

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		struct loaded l;

		snprintf(text, sizeof text,
		    MAIN LISTENERS "services:\n  a: {discover: main}\n  b: {discover: main, %s}\n",
		    keys[i]);
		l = loaded_from(text);
		loaded_config(&l);
		if (l.problems.n)
			problems_print(&l.problems, stderr, true);
		ck_assert_msg(l.problems.n == 0, "%s", keys[i]);
		loaded_free(&l);
	}
}
END_TEST

START_TEST(local_service_with_a_label_of_its_own_leaves_its_name_to_the_mesh)
{
	static const struct {
		const char *label, *keys, *other;
		bool told;
	} cases[] = {
	    {"cart.local", "name: shop.cart", "\"*\": {discover: main}", false},
	    {"cart.local", "name: shop.cart", "shop.cart: {discover: main}", false},
	    {"cart.local", "name: shop.cart", "shop.other: {discover: main}", true},
	    {"shop.cart", "degrade: none", "\"*\": {discover: main}", true},
	    {"cart.local", "name: shop.cart, aliases: [shop.cart]", "\"*\": {discover: main}",
		true},
	    {"cart.local", "name: shop.cart, aliases: [CartService]", "\"*\": {discover: main}",
		false},
	};
	char text[600];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct loaded l;

		snprintf(text, sizeof text,
		    MAIN
		    "listeners:\n  - {address: \"127.0.0.1:1\", service: %s}\n  - {address: "
		    "\"127.0.0.1:0\"}\nservices:\n  %s: {endpoints: [\"127.0.0.1:2\"], register: main, "
		    "%s}\n  %s\n",
		    cases[i].label, cases[i].label, cases[i].keys, cases[i].other);
		l = loaded_from(text);
		loaded_config(&l);
		ck_assert_msg(l.problems.n == cases[i].told, "%s", text);
		if (cases[i].told)
			ck_assert_ptr_nonnull(strstr(l.problems.list[0].text, "[W52]"));
		loaded_free(&l);
	}
}
END_TEST

/* What the doubt is about happens so: see above. */
START_TEST(call_to_the_name_in_the_mesh_is_looked_up)
{
	struct loaded l = loaded_from(MAIN
	    "listeners:\n  - {name: in, address: \"127.0.0.1:1\", service: cart.local}\n"
	    "  - {name: out, address: \"127.0.0.1:0\"}\n"
	    "services:\n  cart.local: {name: shop.cart, endpoints: [\"127.0.0.1:2\"], register: "
	    "main}\n  \"*\": {discover: main}\n"
	    "tests:\n  - {listener: out, call: shop.cart/Get, expect: {service: shop.cart}}\n"
	    "  - {listener: out, call: cart.local/Get, expect: {service: cart.local}}\n"
	    "  - {listener: in, call: shop.cart/Get, expect: {service: cart.local}}\n");

	ck_assert_uint_eq(config_tests_run(loaded_config(&l), &l.problems), 0);
	loaded_free(&l);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    registry_has_the_documented_defaults,
	    registries_are_sorted_and_found_by_name,
	    every_type_has_its_name,
	    empty_has_a_long_and_a_short_form,
	    tls_is_on_where_there_is_a_map_and_off_where_there_is_none,
	    dump_leaves_out_what_other_types_have,
	    base_has_a_slash_whether_it_was_written_or_not,
	    name_for_dns_may_bring_its_port,
	    secret_is_never_printed,
	    secret_stands_in_no_message,
	    secret_comes_from_a_file_or_from_a_variable,
	    hash_is_that_of_the_file_without_its_secrets,
	    secret_is_doubted_only_where_others_can_read_it,
	    service_is_discovered_in_two_forms,
	    registration_has_the_documented_defaults,
	    registration_is_read_in_its_long_form,
	    governance_is_read_in_two_forms,
	    wait_after_withdrawing_can_be_none,
	    registered_address_is_that_of_any_listener_that_is_pinned,
	    template_is_no_service_but_has_policies_of_its_own,
	    template_alone_is_enough_for_a_listener,
	    template_that_no_listener_leads_to_is_doubted,
	    template_is_not_led_to_by_name,
	    what_a_registry_has_is_not_missed,
	    local_service_with_a_label_of_its_own_leaves_its_name_to_the_mesh,
	    call_to_the_name_in_the_mesh_is_looked_up,
	};

	return suite_run("config_registry", tests, ARRAY_LEN(tests));
}
