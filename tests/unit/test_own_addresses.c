/* Which addresses lead calls back to this daemon. */
#include "daemon/own_addresses.h"

#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <check.h>

#include "base/mem.h"
#include "daemon/bindings.h"
#include "support/loaded.h"
#include "support/suite.h"

static struct own_addresses own;
static struct bindings bindings;
static struct loaded loaded;

static void begin(void)
{
	own_addresses_init(&own);
	bindings_init(&bindings);
}

static void end(void)
{
	own_addresses_fini(&own);
	bindings_fini(&bindings);
	loaded_free(&loaded);
}

static void listen_on(const char *listeners)
{
	char text[1024];

	snprintf(text, sizeof text,
	    "listeners: [%s]\nservices: {app: {endpoints: [\"127.0.0.1:9\"]}}\n", listeners);
	loaded = loaded_from(text);
	own_addresses_set(&own, loaded_config(&loaded), &bindings, 1);
}

static bool is_own(const char *address)
{
	struct address a;
	struct err err;

	ck_assert_int_eq(address_parse(&a, slice_str(address), &err), 0);
	return own_addresses_has(&own, &a);
}

START_TEST(an_unpinned_listener_is_own_and_a_pinned_one_is_not)
{
	listen_on("{name: a, address: \"127.0.0.1:7001\"},"
		  "{name: b, address: \"127.0.0.1:7002\", service: app}");
	ck_assert(is_own("127.0.0.1:7001"));
	ck_assert(!is_own("127.0.0.1:7002"));
	ck_assert(!is_own("127.0.0.2:7001"));
}
END_TEST

START_TEST(sockets_of_the_file_system_count)
{
	listen_on("{name: a, address: \"unix:/tmp/bridle-out.sock\"}");
	ck_assert(is_own("unix:/tmp/bridle-out.sock"));
	ck_assert(!is_own("unix:/tmp/bridle-in.sock"));
}
END_TEST

START_TEST(a_wildcard_is_every_address_of_this_machine)
{
	listen_on("{name: a, address: \"0.0.0.0:7001\", allow: [127.0.0.0/8]}");
	ck_assert(is_own("127.0.0.1:7001"));
	ck_assert(is_own("127.9.9.9:7001"));
	ck_assert(is_own("0.0.0.0:7001"));
	ck_assert(!is_own("127.0.0.1:7002"));
	ck_assert(!is_own("192.0.2.1:7001"));
	/* It takes IPv4 only. */
	ck_assert(!is_own("[::1]:7001"));
}
END_TEST

START_TEST(a_wildcard_of_ipv6_takes_both)
{
	listen_on("{name: a, address: \"[::]:7001\", allow: [127.0.0.0/8]}");
	ck_assert(is_own("[::1]:7001"));
	ck_assert(is_own("127.0.0.1:7001"));
	ck_assert(!is_own("[2001:db8::1]:7001"));
}
END_TEST

START_TEST(addresses_of_the_interfaces_are_known)
{
	struct ifaddrs *list;
	char text[INET6_ADDRSTRLEN + 16];

	listen_on("{name: a, address: \"0.0.0.0:7001\", allow: [127.0.0.0/8]}");
	ck_assert_int_eq(getifaddrs(&list), 0);
	for (struct ifaddrs *one = list; one; one = one->ifa_next) {
		struct address a;

		if (one->ifa_addr == NULL || one->ifa_addr->sa_family != AF_INET)
			continue;
		address_from_sockaddr(&a, one->ifa_addr, sizeof(struct sockaddr_in));
		snprintf(
		    text, sizeof text, "%.*s:7001", (int)(strchr(a.text, ':') - a.text), a.text);
		ck_assert_msg(is_own(text), "%s", text);
	}
	freeifaddrs(list);
}
END_TEST

START_TEST(the_ports_that_were_really_bound_count)
{
	struct bindings_plan plan;
	struct acceptor_plan doors;
	struct binding *b;
	struct err err;

	loaded = loaded_from("listeners: [{name: a, address: \"127.0.0.1:0\"}]\n"
			     "services: {app: {endpoints: [\"127.0.0.1:9\"]}}\n");
	ck_assert_int_eq(bindings_prepare(&bindings, loaded_config(&loaded), &plan, &err), 0);
	doors = bindings_commit(&bindings, &plan);
	b = list_item(bindings.all.next, struct binding, link);
	own_addresses_set(&own, loaded.config, &bindings, 1);
	ck_assert_uint_ne(b->bound.port, 0);
	ck_assert(is_own(b->bound.text));
	for (size_t i = 0; i < doors.n; i++) {
		close(doors.doors[i].fd);
		free(doors.doors[i].listener);
	}
	free(doors.doors);
}
END_TEST

START_TEST(the_next_configuration_takes_the_place_of_the_one_before)
{
	listen_on("{name: a, address: \"127.0.0.1:7001\"}");
	loaded_free(&loaded);
	listen_on("{name: a, address: \"127.0.0.1:7002\"}");
	ck_assert(!is_own("127.0.0.1:7001"));
	ck_assert(is_own("127.0.0.1:7002"));
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {an_unpinned_listener_is_own_and_a_pinned_one_is_not, 1},
	    {sockets_of_the_file_system_count, 1},
	    {a_wildcard_is_every_address_of_this_machine, 1},
	    {a_wildcard_of_ipv6_takes_both, 1},
	    {addresses_of_the_interfaces_are_known, 1},
	    {the_ports_that_were_really_bound_count, 1},
	    {the_next_configuration_takes_the_place_of_the_one_before, 1},
	};

	return suite_run_between("own_addresses", tests, ARRAY_LEN(tests), begin, end);
}
