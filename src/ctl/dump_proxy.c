/*
 * The PROXY header that a connection to an application may begin with: who is behind it, as a note
 * before its first message.
 */
#include <arpa/inet.h>

#include "ctl/dump.h"
#include "ctl/shown.h"
#include "wire/proxy_v2.h"

#define WORD_MAX  40u /* bytes that are shown of a value */
#define UNIX_NAME 108u

static const char *name_of(uint8_t type)
{
	switch (type) {
	case PROXY_V2_AUTHORITY:
		return "service";
	case PROXY_V2_UNIQUE_ID:
		return "id";
	case PROXY_V2_CALLER:
		return "caller";
	case PROXY_V2_LISTENER:
		return "listener";
	case PROXY_V2_UID:
		return "uid";
	case PROXY_V2_PID:
		return "pid";
	}
	return NULL;
}

static void add_ip(struct text *out, int family, const uint8_t *host, uint16_t port)
{
	char text[INET6_ADDRSTRLEN];

	inet_ntop(family, host, text, sizeof text);
	text_printf(out, family == AF_INET ? "%s:%u" : "[%s]:%u", text, port);
}

/* Source, then destination; ports behind both. */
static void add_ips(struct text *out, int family, const uint8_t *at, size_t host)
{
	const uint8_t *ports = at + 2 * host;

	add_ip(out, family, at, load_u16(ports));
	text_add_str(out, " at ");
	add_ip(out, family, at + host, load_u16(ports + 2));
}

static void add_unix(struct text *out, const uint8_t *name)
{
	bool is_abstract = name[0] == '\0';
	struct slice s = slice_of(
	    name + is_abstract, strnlen((const char *)name + is_abstract, UNIX_NAME - is_abstract));

	text_add_str(out, is_abstract && s.len ? "unix:@" : "unix:");
	shown_word(out, s, WORD_MAX);
}

static void add_addresses(struct text *out, const struct proxy_v2_head *head)
{
	const uint8_t *at = head->addresses.data;

	switch (head->family) {
	case PROXY_V2_TCP4:
		add_ips(out, AF_INET, at, 4);
		return;
	case PROXY_V2_TCP6:
		add_ips(out, AF_INET6, at, 16);
		return;
	case PROXY_V2_UNIX:
		add_unix(out, at);
		text_add_str(out, " at ");
		add_unix(out, at + UNIX_NAME);
		return;
	}
	text_add_str(out, "somebody");
}

static void add_values(struct text *out, struct slice all)
{
	struct cursor values = cursor_of(all);
	struct slice value;
	uint8_t type;

	while (out->len < DUMP_DETAIL_MAX && proxy_v2_next(&values, &type, &value)) {
		const char *name = name_of(type);

		if (name) {
			text_printf(out, " %s=", name);
			shown_word(out, value, WORD_MAX);
		} else {
			text_printf(out, " %#x=", type);
			shown_hex(out, value, WORD_MAX / 2);
		}
	}
	if (values.bad)
		text_add_str(out, " (its values are malformed)");
}

bool dump_proxy_header(struct dump_lane *lane, struct slice *bytes)
{
	struct proxy_v2_head head;
	struct text said = {0};

	switch (proxy_v2_read(*bytes, &head)) {
	case PROXY_V2_BAD:
		return false;
	case PROXY_V2_MORE:
		text_add(&lane->window, *bytes);
		*bytes = SLICE_NONE;
		return true;
	case PROXY_V2_OK:
		break;
	}
	if (head.command == PROXY_V2_PROXY) {
		add_addresses(&said, &head);
		add_values(&said, head.values);
	} else {
		text_add_str(&said, "nobody");
	}
	dump_lane_note(lane, "proxy_v2", "opened for %.*s", (int)said.len, said.bytes);
	text_fini(&said);
	lane->is_introduced = true;
	*bytes = slice_from(*bytes, head.len);
	return true;
}
