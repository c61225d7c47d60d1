#include "registry/record.h"

#include <math.h>
#include <stdio.h>

#include <cJSON.h>

#include "base/log.h"
#include "registry/json.h"
#include "registry/record_parts.h"

#define SHOWN_MAX 80u /* of a wrong value, in a message */

/* ---- taking apart ---- */

static bool is_wildcard(const struct address *a)
{
	struct sockaddr_in sin;
	struct sockaddr_in6 sin6;

	if (a->sa.ss_family == AF_INET) {
		memcpy(&sin, &a->sa, sizeof sin);
		return sin.sin_addr.s_addr == htonl(INADDR_ANY);
	}
	memcpy(&sin6, &a->sa, sizeof sin6);
	if (IN6_IS_ADDR_V4MAPPED(&sin6.sin6_addr))
		return memcmp(sin6.sin6_addr.s6_addr + 12, "\0\0\0\0", 4) == 0;
	return IN6_IS_ADDR_UNSPECIFIED(&sin6.sin6_addr);
}

static int refuse(struct err *err, const char *what, struct slice value, const char *why)
{
	char shown[LOG_ESCAPED_MAX];

	log_escape(shown, sizeof shown, slice_first(value, SHOWN_MAX));
	return err_set(err, 0, "%s \"%s\": %s", what, shown, why);
}

int record_take_address(struct slice text, struct address *address, struct err *err)
{
	if (text.len == 0)
		return err_set(err, 0, "there is no address");
	if (address_parse(address, text, err) < 0)
		return err_wrap(err, "address");
	if (address->kind != ADDRESS_IP)
		return refuse(err, "address", text, "only an IP address and a port may stand here");
	if (address->port == 0)
		return refuse(err, "address", text, "the port is 0");
	if (is_wildcard(address))
		return refuse(err, "address", text, "this host is every host");
	return 0;
}

int record_take_host(struct slice host, int64_t port, struct address *address, struct err *err)
{
	char room[ADDRESS_TEXT_MAX];
	bool is_bare6 = host.len && host.data[0] != '[' && memchr(host.data, ':', host.len);
	int len;

	if (host.len == 0)
		return err_set(err, 0, "there is no address");
	if (host.len > sizeof room - sizeof "[]:65535" || memchr(host.data, '\0', host.len))
		return refuse(err, "address", host, "not an IP address");
	len = snprintf(room, sizeof room, is_bare6 ? "[%.*s]:%u" : "%.*s:%u", (int)host.len,
	    (const char *)host.data, (unsigned)port);
	return record_take_address(slice_of(room, (size_t)len), address, err);
}

int record_take_weight(
    const struct cJSON *object, const char *name, unsigned *weight, struct err *err)
{
	const cJSON *member = json_get(object, name);

	*weight = RECORD_WEIGHT;
	if (member == NULL)
		return 0;
	if (!cJSON_IsNumber(member))
		return err_set(err, 0, "the weight is no number");
	if (!(member->valuedouble <= RECORD_WEIGHT_MAX))
		return err_set(err, 0, "a weight of %.16g: at most %u", member->valuedouble,
		    RECORD_WEIGHT_MAX);
	if (member->valuedouble != floor(member->valuedouble))
		return err_set(
		    err, 0, "a weight of %.16g: only whole numbers", member->valuedouble);
	if (member->valuedouble > 0)
		*weight = (unsigned)member->valuedouble;
	return 0;
}

const char *record_zone(const struct config_map *tags)
{
	const char *zone = config_map_find(tags, "zone");

	if (zone == NULL || zone[0] == '\0')
		zone = config_map_find(tags, "idc");
	return zone && zone[0] ? zone : NULL;
}

int record_take_tags(const struct cJSON *object, const char *name, struct arena *arena,
    struct endpoint *endpoint, struct err *err)
{
	if (json_tags(object, name, arena, &endpoint->tags) < 0)
		return err_set(err, 0, "the tags are no object of texts, or larger than 4 KiB");
	endpoint->zone = record_zone(&endpoint->tags);
	return 0;
}

struct slice record_host(const struct address *address)
{
	struct slice host = address_host(address);

	if (host.len >= 2 && host.data[0] == '[')
		host = slice_sub(host, 1, host.len - 2);
	return host;
}

/* ---- writing as Go does ---- */

/* Its encoding/json escapes what could end a script in HTML, too. */
static void write_byte(uint8_t c, struct text *out)
{
	static const char short_forms[] = "\b\f\n\r\t\"\\", letters[] = "bfnrt\"\\";
	const char *at = c ? strchr(short_forms, c) : NULL;

	if (at)
		text_printf(out, "\\%c", letters[at - short_forms]);
	else if (c < 0x20 || c == '<' || c == '>' || c == '&')
		text_printf(out, "\\u%04x", c);
	else
		text_add(out, slice_of(&c, 1));
}

void record_write_string(struct slice s, struct text *out)
{
	text_add_str(out, "\"");
	for (size_t i = 0; i < s.len; i++) {
		struct slice rest = slice_from(s, i);

		if (slice_starts(rest, SLICE_LIT("\xe2\x80\xa8")) ||
		    slice_starts(rest, SLICE_LIT("\xe2\x80\xa9"))) {
			text_printf(out, "\\u202%x", rest.data[2] & 0xfu);
			i += 2;
		} else {
			write_byte(s.data[i], out);
		}
	}
	text_add_str(out, "\"");
}

void record_write_tags(const struct config_map *tags, struct text *out)
{
	if (tags->n == 0) {
		text_add_str(out, "null");
		return;
	}
	for (size_t i = 0; i < tags->n; i++) {
		text_add_str(out, i ? "," : "{");
		record_write_string(slice_str(tags->pairs[i].name), out);
		text_add_str(out, ":");
		record_write_string(slice_str(tags->pairs[i].value), out);
	}
	text_add_str(out, "}");
}

/* Source: RFC 3986, section 2.3. */
static bool is_unreserved(uint8_t c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       c == '-' || c == '_' || c == '.' || c == '~';
}

void record_escape(struct slice bytes, struct text *out)
{
	for (size_t i = 0; i < bytes.len; i++) {
		if (is_unreserved(bytes.data[i]))
			text_add(out, slice_sub(bytes, i, 1));
		else
			text_printf(out, "%%%02X", bytes.data[i]);
	}
}

void record_escape_query(struct slice bytes, struct text *out)
{
	for (size_t i = 0; i < bytes.len; i++) {
		if (bytes.data[i] == ' ')
			text_add_str(out, "+");
		else
			record_escape(slice_sub(bytes, i, 1), out);
	}
}
