#include "policy/fact.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <strings.h>

#include "base/mem.h"

#define INT_KEY_MAX 65535u

/* Source: kitex pkg/remote/transmeta/metakey.go, the last two gopkg
 * protocol/ttheader/metakey.go. */
static const char *const int_names[] = {"mesh_version", "transport_type", "log_id", "from_service",
    "from_cluster", "from_idc", "to_service", "to_cluster", "to_idc", "to_method", "env",
    "dest_address", "rpc_timeout", "read_timeout", "ring_hash_key", "ddp_tag", "with_mesh_header",
    "connect_timeout", "span_context", "short_connection", "from_method", "stress_tag", "msg_type",
    "http_content_type", "raw_ring_hash_key", "lb_type", "cluster_shard_id", "frame_type"};

static const struct {
	const char *word;
	enum fact_kind kind;
} words[] = {
    {"method", FACT_METHOD},
    {"idl_service", FACT_IDL_SERVICE},
    {"service", FACT_SERVICE},
    {"caller", FACT_CALLER},
    {"caller_method", FACT_CALLER_METHOD},
    {"log_id", FACT_LOG_ID},
    {"source", FACT_SOURCE},
    {"uid", FACT_UID},
    {"gid", FACT_GID},
};

int fact_int_named(struct slice name)
{
	for (size_t i = 0; i < ARRAY_LEN(int_names); i++)
		if (slice_eq_str(name, int_names[i]))
			return (int)i;
	return -1;
}

const char *fact_int_name(unsigned number)
{
	return number < ARRAY_LEN(int_names) ? int_names[number] : NULL;
}

static const char *parse_int(struct fact_key *key, struct slice text)
{
	uint64_t number;
	int named = fact_int_named(text);

	key->kind = FACT_INT;
	if (named >= 0) {
		key->number = (uint16_t)named;
		return NULL;
	}
	if (!slice_to_u64(text, &number) || number > INT_KEY_MAX)
		return "an int key is a number up to 65535 (int.14) or a name (int.stress_tag)";
	key->number = (uint16_t)number;
	return NULL;
}

/* A field id: Thrift has negative ones, too. */
static bool parse_id(struct slice text, int16_t *id)
{
	bool is_negative = text.len && text.data[0] == '-';
	uint64_t number;

	if (!slice_to_u64(slice_from(text, is_negative), &number) || number > INT16_MAX)
		return false;
	*id = (int16_t)(is_negative ? -(int)number : (int)number);
	return true;
}

static const char *parse_path(struct fact_key *key, struct slice text)
{
	key->kind = FACT_FIELD;
	for (size_t begin = 0, i = 0; i <= text.len; i++) {
		if (i < text.len && text.data[i] != '.')
			continue;
		if (key->depth == FACT_PATH_MAX)
			return "a field's path has at most 8 ids";
		if (!parse_id(slice_sub(text, begin, i - begin), &key->path[key->depth++]))
			return "a field's path is ids with dots between (field.1.3.2)";
		begin = i + 1;
	}
	return NULL;
}

static const char *parse_key(struct fact_key *key, struct slice text)
{
	static const struct slice meta = SLICE_LIT("meta."), header = SLICE_LIT("header."),
				  integer = SLICE_LIT("int."), field = SLICE_LIT("field.");

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (slice_eq_str(text, words[i].word)) {
			key->kind = words[i].kind;
			return NULL;
		}
	if (slice_starts(text, integer))
		return parse_int(key, slice_from(text, integer.len));
	if (slice_starts(text, field))
		return parse_path(key, slice_from(text, field.len));
	if (slice_starts(text, meta)) {
		key->kind = FACT_META;
		key->name = slice_from(text, meta.len);
		return key->name.len ? NULL : "meta. lacks the name behind its dot";
	}
	if (slice_starts(text, header)) {
		key->kind = FACT_HEADER;
		key->name = slice_from(text, header.len);
		return key->name.len ? NULL : "header. lacks the name behind its dot";
	}
	return "method, idl_service, service, caller, caller_method, log_id, meta.NAME, "
	       "header.NAME, int.N, source, uid, gid, field.1.2";
}

const char *fact_key_parse(struct fact_key *key, struct slice text, struct arena *arena)
{
	*key = (struct fact_key){.text = slice_str(arena_str(arena, text))};
	return parse_key(key, key->text);
}

/* ---- what rules may change ---- */

/* Of a TTHeader: exactly so. A '*' at the end stands for anything. */
static const char *const fixed_keys[] = {"isn", "rip", "crrst", "crc32c", "PV_*", "biz-*",
    "RPC_TRANSIT_gdpr-token", "RPC_TRANSIT_UPSTREAM_*", "RPC_BACKWARD_*"};

/* Of HTTP/2: in any case. Source: RFC 9113, 8.2.2; grpc/doc/PROTOCOL-HTTP2.md; kitex
 * pkg/remote/transmeta/http_metakey.go. */
static const char *const fixed_fields[] = {":*", "grpc-*", "biz-*", "te", "host", "upgrade",
    "user-agent", "connection", "keep-alive", "content-type", "content-length", "proxy-connection",
    "transfer-encoding", "source-service", "source-method", "destination-service",
    "destination-method", "destination-addr", "stream-log-id", "rpc-transit-gdpr-token",
    "rpc-transit-upstream-*", "rpc-backward-*"};

/* Transport type, log id, who calls whom, timeout, kinds of messages and frames. */
static const uint16_t fixed_ints[] = {1, 2, 3, 6, 9, 12, 20, 22, 27};

static bool fits(struct slice name, const char *pattern, bool folds)
{
	size_t len = strlen(pattern);
	bool is_open = pattern[len - 1] == '*';

	len -= is_open;
	if (is_open ? name.len < len : name.len != len)
		return false;
	return folds ? strncasecmp((const char *)name.data, pattern, len) == 0
		     : memcmp(name.data, pattern, len) == 0;
}

static bool is_fixed_header(struct slice name)
{
	for (size_t i = 0; i < ARRAY_LEN(fixed_keys); i++)
		if (fits(name, fixed_keys[i], false))
			return true;
	for (size_t i = 0; i < ARRAY_LEN(fixed_fields); i++)
		if (fits(name, fixed_fields[i], true))
			return true;
	return false;
}

bool fact_is_changeable(const struct fact_key *key)
{
	if (key->kind == FACT_META)
		return true;
	if (key->kind == FACT_HEADER)
		return !is_fixed_header(key->name);
	if (key->kind != FACT_INT)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(fixed_ints); i++)
		if (key->number == fixed_ints[i])
			return false;
	return true;
}

static uint8_t fold(uint8_t c)
{
	return c == '-' ? '_' : (uint8_t)tolower(c);
}

/* Of metadata: TTHeader has it in capitals with underscores, gRPC in small letters with hyphens. */
static bool meta_names_eq(struct slice a, struct slice b)
{
	for (size_t i = 0; i < a.len && i < b.len; i++)
		if (fold(a.data[i]) != fold(b.data[i]))
			return false;
	return a.len == b.len;
}

bool fact_key_eq(const struct fact_key *a, const struct fact_key *b)
{
	if (a->kind != b->kind)
		return false;
	switch (a->kind) {
	case FACT_META:
		return meta_names_eq(a->name, b->name);
	case FACT_HEADER:
		return slice_eq(a->name, b->name);
	case FACT_INT:
		return a->number == b->number;
	case FACT_FIELD:
		return a->depth == b->depth &&
		       memcmp(a->path, b->path, a->depth * sizeof a->path[0]) == 0;
	default:
		return true;
	}
}

/* A listener on [::] sees IPv4 callers as ::ffff:10.0.0.1: they are meant by what they are. */
static bool print_source(const struct sockaddr *sa, char room[FACT_ROOM])
{
	const struct sockaddr_in *v4 = (const void *)sa;
	const struct sockaddr_in6 *v6 = (const void *)sa;

	if (sa == NULL)
		return false;
	if (sa->sa_family == AF_INET)
		return inet_ntop(AF_INET, &v4->sin_addr, room, FACT_ROOM) != NULL;
	if (sa->sa_family != AF_INET6)
		return false;
	if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
		return inet_ntop(AF_INET, &v6->sin6_addr.s6_addr[12], room, FACT_ROOM) != NULL;
	return inet_ntop(AF_INET6, &v6->sin6_addr, room, FACT_ROOM) != NULL;
}

static bool print_id(int64_t id, char room[FACT_ROOM])
{
	return id >= 0 && snprintf(room, FACT_ROOM, "%" PRId64, id) > 0;
}

bool fact_find(const struct fact_source *source, const struct fact_key *key, char room[FACT_ROOM],
    struct slice *value)
{
	bool is_found;

	switch (key->kind) {
	case FACT_NONE:
		return false;
	case FACT_SOURCE:
		is_found = print_source(source->address, room);
		break;
	case FACT_UID:
		is_found = print_id(source->uid, room);
		break;
	case FACT_GID:
		is_found = print_id(source->gid, room);
		break;
	default:
		return source->find && source->find(source->call, key, value);
	}
	if (is_found)
		*value = slice_str(room);
	return is_found;
}
