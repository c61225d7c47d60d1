#include "daemon/http.h"

#include <strings.h>

const char *http_status_text(int status)
{
	switch (status) {
	case 200:
		return "OK";
	case 400:
		return "Bad Request";
	case 403:
		return "Forbidden";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 409:
		return "Conflict";
	case 413:
		return "Content Too Large";
	case 431:
		return "Request Header Fields Too Large";
	case 500:
		return "Internal Server Error";
	case 501:
		return "Not Implemented";
	case 503:
		return "Service Unavailable";
	case 505:
		return "HTTP Version Not Supported";
	}
	return "Unknown";
}

/* What stands before @byte, which is skipped; all of it and nothing after when there is none. */
static struct slice cut(struct slice *rest, char byte)
{
	const uint8_t *at = rest->len ? memchr(rest->data, byte, rest->len) : NULL;
	struct slice before = *rest;

	if (at == NULL) {
		*rest = slice_from(*rest, rest->len);
		return before;
	}
	before.len = (size_t)(at - rest->data);
	*rest = slice_from(*rest, before.len + 1);
	return before;
}

static struct slice trim(struct slice s)
{
	while (s.len && (s.data[0] == ' ' || s.data[0] == '\t'))
		s = slice_from(s, 1);
	while (s.len && (s.data[s.len - 1] == ' ' || s.data[s.len - 1] == '\t'))
		s.len--;
	return s;
}

static bool same_word(struct slice s, const char *word)
{
	return s.len == strlen(word) && strncasecmp((const char *)s.data, word, s.len) == 0;
}

static bool has_odd_bytes(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.data[i] <= ' ' || s.data[i] >= 0x7f)
			return true;
	return false;
}

/* One line without its CRLF; a bare CR or LF is no line end here. */
static bool take_line(struct slice *rest, struct slice *line)
{
	*line = cut(rest, '\n');
	if (line->len == 0 || line->data[line->len - 1] != '\r')
		return false;
	line->len--;
	return line->len == 0 || memchr(line->data, '\r', line->len) == NULL;
}

/* What a proxy is sent names the host as well: http://host/path. Source: RFC 9112, section
 * 3.2.2. */
static bool strip_origin(struct slice *target)
{
	static const char scheme[] = "http://";
	size_t len = sizeof scheme - 1, host = 0;

	if (target->len < len || !same_word(slice_first(*target, len), scheme))
		return target->data[0] == '/';
	*target = slice_from(*target, len);
	while (host < target->len && target->data[host] != '/' && target->data[host] != '?')
		host++;
	*target = slice_from(*target, host);
	return host > 0;
}

static int parse_request_line(struct slice line, struct http_request *r)
{
	struct slice rest = line, target;

	r->method = cut(&rest, ' ');
	target = cut(&rest, ' ');
	if (r->method.len == 0 || target.len == 0 || has_odd_bytes(r->method) ||
	    has_odd_bytes(target) || !strip_origin(&target))
		return 400;
	r->knows_chunks = slice_eq_str(rest, "HTTP/1.1");
	if (r->knows_chunks)
		r->keeps_alive = true;
	else if (!slice_eq_str(rest, "HTTP/1.0"))
		return slice_starts(rest, SLICE_LIT("HTTP/")) ? 505 : 400;
	r->path = cut(&target, '?');
	if (r->path.len == 0)
		r->path = SLICE_LIT("/");
	r->query = target;
	return 0;
}

/* What a head says about the body. */
struct body_facts {
	uint64_t length;
	bool has_length, awaits_continue;
};

static int take_field(
    struct slice name, struct slice value, struct http_request *r, struct body_facts *body)
{
	if (same_word(name, "content-length")) {
		uint64_t length;

		/* Two lengths are how requests are smuggled. */
		if (!slice_to_u64(value, &length) || body->has_length)
			return 400;
		body->length = length;
		body->has_length = true;
	} else if (same_word(name, "transfer-encoding")) {
		return 501;
	} else if (same_word(name, "connection")) {
		if (same_word(value, "close"))
			r->keeps_alive = false;
	} else if (same_word(name, "expect")) {
		body->awaits_continue = same_word(value, "100-continue");
	}
	return 0;
}

static int parse_head(struct slice head, struct http_request *r, struct body_facts *body)
{
	struct slice line, rest = head;
	int status;

	if (!take_line(&rest, &line))
		return 400;
	status = parse_request_line(line, r);
	while (status == 0 && rest.len) {
		struct slice name, value;

		if (!take_line(&rest, &value))
			return 400;
		if (value.len == 0)
			break;
		name = cut(&value, ':');
		if (name.len == 0 || has_odd_bytes(name))
			return 400;
		status = take_field(name, trim(value), r, body);
	}
	return status;
}

enum http_result http_parse(struct slice in, struct http_request *r, size_t *used, int *status)
{
	const uint8_t *end = in.len ? memmem(in.data, in.len, "\r\n\r\n", 4) : NULL;
	struct body_facts body = {0};
	size_t head_len;

	*r = (struct http_request){0};
	if (end == NULL || (size_t)(end - in.data) + 4 > HTTP_HEAD_MAX) {
		*status = 431;
		return in.len >= HTTP_HEAD_MAX ? HTTP_BAD : HTTP_MORE;
	}
	head_len = (size_t)(end - in.data) + 4;
	*status = parse_head(slice_first(in, head_len), r, &body);
	if (*status)
		return HTTP_BAD;
	if (body.length > HTTP_BODY_MAX) {
		*status = 413;
		return HTTP_BAD;
	}
	r->awaits_continue = body.awaits_continue;
	if (in.len - head_len < body.length)
		return HTTP_MORE;
	r->body = slice_sub(in, head_len, (size_t)body.length);
	*used = head_len + (size_t)body.length;
	return HTTP_WHOLE;
}

struct slice http_query_value(struct slice query, const char *name)
{
	while (query.len) {
		struct slice value = cut(&query, '&');
		struct slice key = cut(&value, '=');

		if (slice_eq_str(key, name))
			return value;
	}
	return SLICE_NONE;
}
