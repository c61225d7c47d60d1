/* The type of keys that name a place on a server of HTTP. */
#include <stdio.h>

#include "base/mem.h"
#include "model/config_bind.h"

#define EXPECTED      "expected a URL like http://127.0.0.1:4318, or https://collector.example:4318"
#define TEXT_MAX      500u
#define OTLP_PORT     4318u /* source: OpenTelemetry Protocol specification, OTLP/HTTP */
#define HOST_PORT_MAX 300u

static struct url_config *field(const struct key *key, void *base)
{
	return (struct url_config *)(void *)((char *)base + key->offset);
}

/* Characters that need no escape in a path; a query or a fragment has no place in ours.
 * Source: RFC 3986, 3.3. */
static bool is_path(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.data[i] <= ' ' || s.data[i] > '~' || strchr("\"#<>?\\^`{|}", s.data[i]))
			return false;
	return true;
}

static struct slice without_slashes(struct slice path)
{
	while (path.len && path.data[path.len - 1] == '/')
		path.len--;
	return path;
}

static size_t host_len(struct slice s)
{
	size_t n = 0;

	while (n < s.len && s.data[n] != '/')
		n++;
	return n;
}

/* A host with a port, which has a default. */
static bool parse_server(struct slice host, struct address *server)
{
	char text[HOST_PORT_MAX];
	struct err err;

	if (host.len == 0 || host.len > HOST_PORT_MAX - 8)
		return false;
	if (address_parse(server, host, &err) < 0) {
		int n = snprintf(text, sizeof text, "%.*s:%u", (int)host.len,
		    (const char *)host.data, OTLP_PORT);

		if (address_parse(server, slice_of(text, (size_t)n), &err) < 0)
			return false;
	}
	return (server->kind == ADDRESS_IP || server->kind == ADDRESS_NAME) && server->port > 0;
}

static int parse_url(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	struct url_config *url = field(key, base);
	struct slice text, rest, path;
	size_t host;

	*url = (struct url_config){0};
	if (bind_is_none(key, node))
		return 0;
	if (bind_text(b, node, &text) < 0)
		return -1;
	url->is_tls = slice_starts(text, SLICE_LIT("https://"));
	if (!url->is_tls && !slice_starts(text, SLICE_LIT("http://")))
		return bind_error(b, node, "%s begins with no http:// or https://\n" EXPECTED,
		    bind_shows(b, node));
	rest = slice_from(text, url->is_tls ? 8 : 7);
	host = host_len(rest);
	path = without_slashes(slice_from(rest, host));
	if (text.len > TEXT_MAX || !is_path(path) ||
	    !parse_server(slice_first(rest, host), &url->server))
		return bind_error(
		    b, node, "%s is no place of a server\n" EXPECTED, bind_shows(b, node));
	url->text = arena_str(b->arena, text);
	url->path = arena_str(b->arena, path);
	return 0;
}

static void print_url(const struct key *key, const void *base, FILE *to)
{
	const struct url_config *url = (const void *)((const char *)base + key->offset);

	if (url->text)
		print_text(slice_str(url->text), to);
	else
		fputs("none", to);
}

static void schema_url(const struct key *key, FILE *to)
{
	fputs("{\"anyOf\": [", to);
	if (key->flags & KEY_NONE)
		fputs("{\"const\": \"none\"}, ", to);
	fputs(
	    "{\"type\": \"string\", \"pattern\": \"^https?://.+\"}, {\"$ref\": \"#/$defs/variable\"}]}",
	    to);
}

const struct key_type key_url = {"url", parse_url, print_url, schema_url, KEY_VALUE, NULL};
