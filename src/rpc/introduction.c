#include "rpc/introduction.h"

#include <stdio.h>

#include "wire/proxy_v2.h"

#define NUMBER_DIGITS 24
#define SERVICE_MAX   400u /* a name, and the number that may follow it */

static void write_number(struct writer *w, enum proxy_v2_type type, uint64_t number)
{
	char digits[NUMBER_DIGITS];

	snprintf(digits, sizeof digits, "%llu", (unsigned long long)number);
	proxy_v2_write_value(w, type, slice_str(digits));
}

static void write_text(struct writer *w, enum proxy_v2_type type, struct slice text)
{
	if (text.len)
		proxy_v2_write_value(w, type, text);
}

/* The first byte is the family, which is known when the addresses are written. */
void rpc_introduction_write_facts(struct writer *w, const struct rpc_introduction *i)
{
	uint8_t *family = writer_room(w, 1);
	enum proxy_v2_family written = proxy_v2_write_addresses(w, i->from, i->to);

	if (family)
		*family = (uint8_t)written;
	write_text(w, PROXY_V2_UNIQUE_ID, i->id);
	write_text(w, PROXY_V2_CALLER, i->caller);
	write_text(w, PROXY_V2_LISTENER, i->listener);
	if (i->has_process) {
		write_number(w, PROXY_V2_UID, i->uid);
		write_number(w, PROXY_V2_PID, (uint64_t)i->pid);
	}
}

void rpc_introduction_write(struct writer *w, struct slice facts, struct slice service)
{
	struct slice rest = slice_from(facts, 1);
	size_t len;

	if (facts.len == 0) {
		proxy_v2_write_start(w, PROXY_V2_LOCAL, PROXY_V2_UNSPEC, 0);
		return;
	}
	service = slice_first(service, SERVICE_MAX);
	len = rest.len + PROXY_V2_VALUE_HEAD + service.len;
	proxy_v2_write_start(w, PROXY_V2_PROXY, (enum proxy_v2_family)facts.data[0], (uint16_t)len);
	write_bytes(w, rest);
	proxy_v2_write_value(w, PROXY_V2_AUTHORITY, service);
}
