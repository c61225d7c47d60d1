/* An address that is parsed is written so that it parses to the same; a network contains itself. */
#include <netinet/in.h>
#include <stdio.h>

#include "base/address.h"
#include "fuzz.h"

static void check_address(struct slice text)
{
	struct address a, again, back;
	struct err err = {0};

	if (address_parse(&a, text, &err) < 0) {
		must(err.text[0] != '\0');
		return;
	}
	must(strlen(a.text) < sizeof a.text);
	must(address_parse(&again, slice_str(a.text), &err) == 0);
	must(strcmp(a.text, again.text) == 0 && a.kind == again.kind && a.port == again.port);
	must(a.len == again.len && memcmp(&a.sa, &again.sa, sizeof a.sa) == 0);
	must(a.kind != ADDRESS_NAME || address_host(&a).len > 0);
	if (a.kind != ADDRESS_IP)
		return;
	address_from_sockaddr(&back, (const struct sockaddr *)&a.sa, a.len);
	must(strcmp(a.text, back.text) == 0 && back.port == a.port);
}

static void check_network(struct slice text)
{
	struct sockaddr_in sin = {.sin_family = AF_INET};
	struct sockaddr_in6 sin6 = {.sin6_family = AF_INET6};
	const struct sockaddr *sa;
	struct cidr c;

	if (!cidr_parse(&c, text))
		return;
	must(c.bits <= (c.family == AF_INET ? 32u : 128u));
	memcpy(&sin.sin_addr, c.bytes, 4);
	memcpy(&sin6.sin6_addr, c.bytes, 16);
	sa = c.family == AF_INET ? (const struct sockaddr *)&sin : (const struct sockaddr *)&sin6;
	/* an IPv4-mapped address is never in a network of IPv6 addresses */
	must(cidr_contains(&c, sa) ||
	     (c.family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&sin6.sin6_addr)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_address(slice_of(data, size));
	check_network(slice_of(data, size));
	return 0;
}
