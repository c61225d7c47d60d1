#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/un.h>

#include "base/address.h"
#include "base/mem.h"
#include "support/bytes.h"
#include "support/suite.h"

static struct address parsed(const char *text)
{
	struct address a;
	struct err err = {0};

	ck_assert_msg(address_parse(&a, slice_str(text), &err) == 0, "%s", err.text);
	return a;
}

START_TEST(address_parses_ip4)
{
	struct address a = parsed("127.0.0.1:8080");
	struct sockaddr_in sin;

	memcpy(&sin, &a.sa, sizeof sin);
	ck_assert_int_eq(a.kind, ADDRESS_IP);
	ck_assert_uint_eq(a.port, 8080);
	ck_assert_uint_eq(a.len, sizeof sin);
	ck_assert_int_eq(sin.sin_family, AF_INET);
	ck_assert_uint_eq(ntohs(sin.sin_port), 8080);
	ck_assert_uint_eq(ntohl(sin.sin_addr.s_addr), 0x7f000001u);
	ck_assert_str_eq(a.text, "127.0.0.1:8080");
}
END_TEST

START_TEST(address_normalises_ip6)
{
	struct address a = parsed("[2001:0DB8:0:0::0:1]:065");
	struct sockaddr_in6 sin6;

	memcpy(&sin6, &a.sa, sizeof sin6);
	ck_assert_str_eq(a.text, "[2001:db8::1]:65");
	ck_assert_uint_eq(a.len, sizeof sin6);
	ck_assert_int_eq(sin6.sin6_family, AF_INET6);
	ck_assert_uint_eq(ntohs(sin6.sin6_port), 65);
	ck_assert_str_eq(parsed("[::]:0").text, "[::]:0");
}
END_TEST

START_TEST(address_parses_unix_paths_to_the_last_byte)
{
	char text[160] = "unix:/";
	struct address a = parsed("unix:/run/app.sock");
	struct sockaddr_un un;
	struct err err;

	memcpy(&un, &a.sa, sizeof un);
	ck_assert_int_eq(a.kind, ADDRESS_UNIX);
	ck_assert_str_eq(un.sun_path, "/run/app.sock");
	ck_assert_uint_eq(a.len, offsetof(struct sockaddr_un, sun_path) + 13 + 1);
	memset(text + 6, 'p', ADDRESS_PATH_MAX - 1);
	a = parsed(text);
	ck_assert_str_eq(a.text, text);
	ck_assert_uint_eq(a.len, sizeof un);
	text[5 + ADDRESS_PATH_MAX] = 'p';
	ck_assert_int_eq(address_parse(&a, slice_str(text), &err), -1);
	ck_assert_ptr_nonnull(strstr(err.text, "107"));
}
END_TEST

START_TEST(address_parses_abstract_names)
{
	struct address a = parsed("unix:@app");
	struct sockaddr_un un;

	memcpy(&un, &a.sa, sizeof un);
	ck_assert_int_eq(a.kind, ADDRESS_ABSTRACT);
	ck_assert_int_eq(un.sun_family, AF_UNIX);
	ck_assert_mem_eq(un.sun_path, "\0app", 4);
	ck_assert_uint_eq(
	    a.len, offsetof(struct sockaddr_un, sun_path) + 4); /* no NUL at its end */
	ck_assert_str_eq(a.text, "unix:@app");
}
END_TEST

START_TEST(address_leaves_names_to_others)
{
	struct address a = parsed("svc-a.ns_1.example.com.:20880");

	ck_assert_int_eq(a.kind, ADDRESS_NAME);
	ck_assert_uint_eq(a.port, 20880);
	ck_assert_uint_eq(a.len, 0);
	ck_assert(slice_eq_str(address_host(&a), "svc-a.ns_1.example.com."));
	ck_assert_int_eq(parsed("localhost:0").kind, ADDRESS_NAME);
	ck_assert_int_eq(parsed("4a.1x:1").kind, ADDRESS_NAME);
}
END_TEST

START_TEST(address_refuses_with_a_remedy)
{
	static const struct {
		const char *text, *says;
	} bad[] = {
	    {"", "host:port"},
	    {"localhost", "port is missing"},
	    {":80", "host is missing"},
	    {"a:", "0 to 65535"},
	    {"a:65536", "0 to 65535"},
	    {"a:-1", "0 to 65535"},
	    {"a:+1", "0 to 65535"},
	    {"a: 1", "0 to 65535"},
	    {"a:1x", "0 to 65535"},
	    {"a:http", "0 to 65535"},
	    {"a:000080", "0 to 65535"},
	    {"::1:80", "brackets"},
	    {"fe80::1", "brackets"},
	    {"[::1]", "port is missing"},
	    {"[::1]80", "port is missing"},
	    {"[::1", "]"},
	    {"[]:80", "no IPv6 address"},
	    {"[127.0.0.1]:80", "no IPv6 address"},
	    {"[::1%lo]:80", "no IPv6 address"},
	    {"[localhost]:80", "no IPv6 address"},
	    {"256.0.0.1:80", "not an IPv4"},
	    {"127.1:80", "not an IPv4"},
	    {"2130706433:80", "not an IPv4"},
	    {"1.2.3.4.:80", "not an IPv4"},
	    {"a..b:80", "empty labels"},
	    {".a:80", "empty labels"},
	    {".:80", "empty labels"},
	    {"a b:80", "letters"},
	    {"a/b:80", "letters"},
	    {"h\xc3\xa4user:80", "letters"},
	    {"unix:", "whole path"},
	    {"unix:app.sock", "whole path"},
	    {"unix:@", "name after unix:@"},
	    {"unix:/a\nb", "control"},
	    {"tcp://a:80", "scheme"},
	    {"http://a", "scheme"},
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct address a;
		struct err err = {0};

		ck_assert_msg(
		    address_parse(&a, slice_str(bad[i].text), &err) == -1, "%s", bad[i].text);
		ck_assert_msg(
		    strstr(err.text, bad[i].says) != NULL, "%s: %s", bad[i].text, err.text);
	}
}
END_TEST

START_TEST(address_refuses_nul_everywhere)
{
	const struct slice bad[] = {
	    BYTES('u', 'n', 'i', 'x', ':', '/', 'a', 0, 'b'),
	    BYTES('u', 'n', 'i', 'x', ':', '@', 0, 'b'),
	    BYTES('1', '.', '2', '.', '3', '.', '4', 0, ':', '1'),
	    BYTES('[', ':', ':', '1', 0, ']', ':', '1'),
	    BYTES('a', 0, ':', '1'),
	    BYTES('a', ':', '1', 0),
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct address a;
		struct err err;

		ck_assert_int_eq(address_parse(&a, bad[i], &err), -1);
	}
}
END_TEST

START_TEST(address_limits_names_and_labels)
{
	char text[300];
	struct address a;
	struct err err;

	snprintf(text, sizeof text, "%063d.%063d.%063d.%060dz:65535", 0, 0, 0, 0);
	ck_assert_uint_eq(strlen(text), 253 + 6);
	a = parsed(text);
	ck_assert_str_eq(a.text, text);
	snprintf(text, sizeof text, "%063d.%063d.%063d.%061dz:65535", 0, 0, 0, 0);
	ck_assert_int_eq(address_parse(&a, slice_str(text), &err), -1);
	ck_assert_ptr_nonnull(strstr(err.text, "253"));
	snprintf(text, sizeof text, "%063dz:1", 0);
	ck_assert_int_eq(address_parse(&a, slice_str(text), &err), -1);
	ck_assert_ptr_nonnull(strstr(err.text, "63"));
}
END_TEST

START_TEST(address_errors_show_hostile_bytes_escaped)
{
	struct address a;
	struct err err;

	ck_assert_int_eq(address_parse(&a, SLICE_LIT("a\x1b[31m\r\n:80"), &err), -1);
	ck_assert_ptr_nonnull(strstr(err.text, "\\x1b"));
	for (const char *c = err.text; *c; c++)
		ck_assert(*c >= 0x20);
}
END_TEST

START_TEST(address_comes_back_from_its_socket_address)
{
	static const char *const texts[] = {"10.1.2.3:65535", "[fd00::1]:1", "[::ffff:10.0.0.1]:80",
	    "unix:/run/app.sock", "unix:@app"};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct address a = parsed(texts[i]), b;

		address_from_sockaddr(&b, (const struct sockaddr *)&a.sa, a.len);
		ck_assert_str_eq(b.text, texts[i]);
		ck_assert_int_eq(a.kind, b.kind);
		ck_assert_uint_eq(a.port, b.port);
		ck_assert_uint_eq(a.len, b.len);
	}
}
END_TEST

/* Callers on unix sockets have no name, as a rule. */
START_TEST(address_from_sockaddr_takes_what_the_kernel_gives)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	struct sockaddr_storage other = {.ss_family = AF_INET};
	struct address a;

	address_from_sockaddr(&a, (const struct sockaddr *)&un, sizeof un.sun_family);
	ck_assert_int_eq(a.kind, ADDRESS_UNIX);
	ck_assert_str_eq(a.text, "unix:");
	memset(un.sun_path, '/', sizeof un.sun_path); /* 108 bytes, no NUL */
	address_from_sockaddr(&a, (const struct sockaddr *)&un, sizeof un);
	ck_assert_uint_eq(strlen(a.text), 5 + ADDRESS_PATH_MAX);
	memset(un.sun_path, '\n', sizeof un.sun_path);
	un.sun_path[0] = '\0';
	address_from_sockaddr(&a, (const struct sockaddr *)&un, sizeof un);
	ck_assert_int_eq(a.kind, ADDRESS_ABSTRACT);
	ck_assert_ptr_null(strchr(a.text, '\n'));
	address_from_sockaddr(&a, (const struct sockaddr *)&other, 4); /* cut short */
	ck_assert_str_eq(a.text, "unknown:0");
	ck_assert_uint_eq(a.len, 0);
	other.ss_family = AF_PACKET;
	address_from_sockaddr(&a, (const struct sockaddr *)&other, sizeof other);
	ck_assert_str_eq(a.text, "unknown:0");
}
END_TEST

START_TEST(address_changes_its_port)
{
	static const struct {
		const char *from, *to;
	} rows[] = {{"127.0.0.1:80", "127.0.0.1:8888"}, {"[::1]:80", "[::1]:8888"}};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct address a, other;
		struct err err;

		ck_assert_int_eq(address_parse(&a, slice_str(rows[i].from), &err), 0);
		other = address_with_port(&a, 8888);
		ck_assert_str_eq(other.text, rows[i].to);
		ck_assert_uint_eq(other.port, 8888);
	}
}
END_TEST

START_TEST(address_is_local_for_loopback_and_unix_only)
{
	static const char *const local[] = {"127.0.0.1:1", "127.255.0.9:1", "[::1]:1",
	    "[::ffff:127.0.0.1]:1", "unix:/a", "unix:@a"};
	static const char *const remote[] = {"128.0.0.1:1", "0.0.0.0:1", "10.0.0.1:1", "[::]:1",
	    "[::2]:1", "[::ffff:10.0.0.1]:1", "[7f00::1]:1", "localhost:1"};

	for (size_t i = 0; i < ARRAY_LEN(local); i++)
		ck_assert_msg(
		    address_is_local((struct address[]){parsed(local[i])}), "%s", local[i]);
	for (size_t i = 0; i < ARRAY_LEN(remote); i++)
		ck_assert_msg(
		    !address_is_local((struct address[]){parsed(remote[i])}), "%s", remote[i]);
}
END_TEST

static bool is_in(const char *network, const char *host)
{
	char text[64];
	struct address a;
	struct cidr c;

	ck_assert_msg(cidr_parse(&c, slice_str(network)), "%s", network);
	if (strchr(host, ':'))
		snprintf(text, sizeof text, "[%s]:1", host);
	else
		snprintf(text, sizeof text, "%s:1", host);
	a = parsed(text);
	return cidr_contains(&c, (const struct sockaddr *)&a.sa);
}

START_TEST(cidr_contains_its_network_to_the_bit)
{
	ck_assert(is_in("10.0.0.0/8", "10.255.255.255"));
	ck_assert(!is_in("10.0.0.0/8", "11.0.0.0"));
	ck_assert(is_in("192.168.4.0/22", "192.168.7.255"));
	ck_assert(!is_in("192.168.4.0/22", "192.168.8.0"));
	ck_assert(!is_in("192.168.4.0/22", "192.168.3.255"));
	ck_assert(is_in("0.0.0.0/0", "255.255.255.255"));
	ck_assert(is_in("1.2.3.4", "1.2.3.4"));
	ck_assert(!is_in("1.2.3.4", "1.2.3.5"));
	ck_assert(is_in("1.2.3.4/32", "1.2.3.4"));
	ck_assert(is_in("fd00::/8", "fdff::1"));
	ck_assert(!is_in("fd00::/8", "fe00::1"));
	ck_assert(is_in("2001:db8::/33", "2001:db8:7fff::1"));
	ck_assert(!is_in("2001:db8::/33", "2001:db8:8000::1"));
	ck_assert(is_in("::/0", "fe80::1"));
}
END_TEST

START_TEST(cidr_ignores_bits_of_the_host)
{
	ck_assert(is_in("10.1.2.3/8", "10.9.9.9"));
	ck_assert(is_in("fd12::5/8", "fd00::1"));
}
END_TEST

/* A dual-stack listener sees IPv4 callers as mapped addresses: the rules must not change with
 * it. */
START_TEST(cidr_treats_mapped_addresses_as_ip4)
{
	ck_assert(is_in("10.0.0.0/8", "::ffff:10.1.1.1"));
	ck_assert(!is_in("10.0.0.0/8", "::ffff:11.1.1.1"));
	ck_assert(is_in("::ffff:10.0.0.0/104", "10.1.1.1"));
	ck_assert(is_in("::ffff:10.0.0.0/104", "::ffff:10.1.1.1"));
	ck_assert(!is_in("::/0", "::ffff:10.1.1.1"));
	ck_assert(!is_in("::/0", "10.1.1.1"));
	ck_assert(!is_in("0.0.0.0/0", "::1"));
}
END_TEST

START_TEST(cidr_holds_no_unix_sockets)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	struct cidr c;

	ck_assert(cidr_parse(&c, SLICE_LIT("0.0.0.0/0")));
	ck_assert(!cidr_contains(&c, (const struct sockaddr *)&un));
}
END_TEST

START_TEST(cidr_refuses_junk)
{
	static const char *const bad[] = {"", "/", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1",
	    "10.0.0/8", "10.0.0.0/8/8", "fd00::/129", "[fd00::]/8", "a.b", "10.0.0.0/x",
	    "10.0.0.0 /8", "10.0.0.0/255.0.0.0"};
	struct cidr c;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		ck_assert_msg(!cidr_parse(&c, slice_str(bad[i])), "%s", bad[i]);
	ck_assert(!cidr_parse(&c, SLICE_NONE));
}
END_TEST

int main(void)
{
	const TTest *tests[] = {
	    address_parses_ip4,
	    address_normalises_ip6,
	    address_parses_unix_paths_to_the_last_byte,
	    address_parses_abstract_names,
	    address_leaves_names_to_others,
	    address_refuses_with_a_remedy,
	    address_refuses_nul_everywhere,
	    address_limits_names_and_labels,
	    address_errors_show_hostile_bytes_escaped,
	    address_comes_back_from_its_socket_address,
	    address_from_sockaddr_takes_what_the_kernel_gives,
	    address_changes_its_port,
	    address_is_local_for_loopback_and_unix_only,
	    cidr_contains_its_network_to_the_bit,
	    cidr_ignores_bits_of_the_host,
	    cidr_treats_mapped_addresses_as_ip4,
	    cidr_holds_no_unix_sockets,
	    cidr_refuses_junk,
	};

	return suite_run("address", tests, ARRAY_LEN(tests));
}
