#include "rpc/metadata.h"

#include "rpc/trace_name.h"

#define IS(s, text)     slice_eq(s, SLICE_LIT(text))
#define STARTS(s, text) slice_starts(s, SLICE_LIT(text))

/* Prefixes. Source: bytedance/gopkg cloud/metainfo; backward values have one in Volo only. */
#define PERSIST_KEY    "RPC_PERSIST_"
#define PERSIST_FIELD  "rpc-persist-"
#define TRANSIT_KEY    "RPC_TRANSIT_"
#define TRANSIT_FIELD  "rpc-transit-"
#define BACKWARD_KEY   "RPC_BACKWARD_"
#define BACKWARD_FIELD "rpc-backward-"
#define UPSTREAM_KEY   TRANSIT_KEY "UPSTREAM_"
#define UPSTREAM_FIELD TRANSIT_FIELD "upstream-"
#define TOKEN          "gdpr-token"

/* ---- what names mean ---- */

/* Source: gopkg protocol/ttheader/metakey.go; kitex pkg/remote/codec/validate.go. */
enum metadata_kind metadata_of_key(struct slice key, bool is_reply)
{
	if (STARTS(key, "RPC_")) {
		if (STARTS(key, PERSIST_KEY))
			return METADATA_PERSISTENT;
		if (IS(key, TRANSIT_KEY TOKEN))
			return METADATA_ACL;
		if (STARTS(key, UPSTREAM_KEY))
			return METADATA_UPSTREAM;
		if (STARTS(key, TRANSIT_KEY))
			return METADATA_TRANSIENT;
		if (STARTS(key, BACKWARD_KEY))
			return METADATA_BACKWARD;
	}
	if (STARTS(key, "biz-"))
		return METADATA_BIZ;
	if (IS(key, "crc32c") || STARTS(key, "PV_"))
		return METADATA_CHECKSUM;
	if (IS(key, "isn"))
		return METADATA_IDL_SERVICE;
	if (IS(key, "rip"))
		return METADATA_PRIVATE;
	if (IS(key, "crrst")) /* belongs to the connection, not to the call */
		return METADATA_WRAPPING;
	return is_reply ? METADATA_BACKWARD : METADATA_HEADER;
}

static enum metadata_kind of_int(uint16_t key)
{
	switch (key) {
	case TTKEY_TRANSPORT_TYPE:
	case TTKEY_TO_METHOD: /* the message head says it, too */
	case TTKEY_MSG_TYPE:
		return METADATA_WRAPPING;
	case TTKEY_LOG_ID:
	case TTKEY_FROM_SERVICE:
	case TTKEY_TO_SERVICE:
	case TTKEY_RPC_TIMEOUT:
	case TTKEY_FROM_METHOD:
		return METADATA_FACT;
	default:
		return METADATA_INT;
	}
}

enum metadata_kind metadata_of_entry(const struct ttheader_entry *entry, bool is_reply)
{
	if (entry->kind == TTHEADER_INT)
		return of_int(entry->int_key);
	return entry->kind == TTHEADER_ACL ? METADATA_ACL : metadata_of_key(entry->key, is_reply);
}

/* Those of gRPC itself are not metadata, others that begin so may not be an application's.
 * Source: grpc/doc/PROTOCOL-HTTP2.md. */
static enum metadata_kind of_grpc_field(struct slice name)
{
	if (IS(name, "grpc-timeout"))
		return METADATA_FACT;
	if (IS(name, "grpc-status") || IS(name, "grpc-message") || IS(name, "grpc-encoding") ||
	    IS(name, "grpc-accept-encoding") || IS(name, "grpc-message-type"))
		return METADATA_WRAPPING;
	return METADATA_PRIVATE;
}

static enum metadata_kind of_rpc_field(struct slice name)
{
	if (STARTS(name, PERSIST_FIELD))
		return METADATA_PERSISTENT;
	if (IS(name, TRANSIT_FIELD TOKEN))
		return METADATA_ACL;
	if (STARTS(name, UPSTREAM_FIELD))
		return METADATA_UPSTREAM;
	if (STARTS(name, TRANSIT_FIELD))
		return METADATA_TRANSIENT;
	return STARTS(name, BACKWARD_FIELD) ? METADATA_BACKWARD : METADATA_HEADER;
}

/* Fields with a meaning in HTTP or between Kitex's peers. Source: RFC 9113, 8.2.2; kitex
 * pkg/remote/transmeta/http_metakey.go. */
static enum metadata_kind of_known_field(struct slice name)
{
	switch (name.len) {
	case 2:
		return IS(name, "te") ? METADATA_WRAPPING : METADATA_HEADER;
	case 4:
		return IS(name, "host") ? METADATA_WRAPPING : METADATA_HEADER;
	case 7:
		return IS(name, "upgrade") ? METADATA_PRIVATE : METADATA_HEADER;
	case 10:
		if (IS(name, "user-agent"))
			return METADATA_WRAPPING;
		return IS(name, "connection") || IS(name, "keep-alive") ? METADATA_PRIVATE
									: METADATA_HEADER;
	case 12:
		return IS(name, "content-type") ? METADATA_WRAPPING : METADATA_HEADER;
	case 13:
		return IS(name, "source-method") || IS(name, "stream-log-id") ? METADATA_FACT
									      : METADATA_HEADER;
	case 14:
		if (IS(name, "content-length"))
			return METADATA_WRAPPING;
		return IS(name, "source-service") ? METADATA_FACT : METADATA_HEADER;
	case 16:
		if (IS(name, "proxy-connection"))
			return METADATA_PRIVATE;
		return IS(name, "destination-addr") ? METADATA_INT : METADATA_HEADER;
	case 17:
		return IS(name, "transfer-encoding") ? METADATA_PRIVATE : METADATA_HEADER;
	case 18:
		return IS(name, "destination-method") ? METADATA_WRAPPING : METADATA_HEADER;
	case 19:
		return IS(name, "destination-service") ? METADATA_FACT : METADATA_HEADER;
	default:
		return METADATA_HEADER;
	}
}

enum metadata_kind metadata_of_field(struct slice name)
{
	if (STARTS(name, "grpc-"))
		return of_grpc_field(name);
	if (STARTS(name, "rpc-"))
		return of_rpc_field(name);
	if (STARTS(name, "biz-"))
		return METADATA_BIZ;
	return of_known_field(name);
}

bool metadata_is_carried(enum metadata_kind kind, bool is_reply)
{
	if (is_reply)
		return kind == METADATA_BACKWARD;
	return kind == METADATA_PERSISTENT || kind == METADATA_TRANSIENT || kind == METADATA_ACL ||
	       kind == METADATA_HEADER;
}

void metadata_drop(struct rpc_edit *edit, enum metadata_kind kind)
{
	static const int8_t classes[] = {
	    [METADATA_WRAPPING] = -1,
	    [METADATA_FACT] = RPC_DROPPED_INT,
	    [METADATA_IDL_SERVICE] = RPC_DROPPED_HEADER,
	    [METADATA_INT] = RPC_DROPPED_INT,
	    [METADATA_PERSISTENT] = RPC_DROPPED_PERSISTENT,
	    [METADATA_TRANSIENT] = RPC_DROPPED_TRANSIENT,
	    [METADATA_UPSTREAM] = RPC_DROPPED_TRANSIENT,
	    [METADATA_BACKWARD] = RPC_DROPPED_HEADER,
	    [METADATA_ACL] = RPC_DROPPED_ACL,
	    [METADATA_BIZ] = RPC_DROPPED_BIZ,
	    [METADATA_CHECKSUM] = RPC_DROPPED_CHECKSUM,
	    [METADATA_PRIVATE] = RPC_DROPPED_HEADER,
	    [METADATA_HEADER] = RPC_DROPPED_HEADER,
	};

	if (classes[kind] >= 0)
		edit->dropped[classes[kind]]++;
}

/* ---- from one spelling to the other ---- */

/* Lower-case token characters. Source: RFC 9110, 5.6.2, and RFC 9113, 8.2.1. */
static bool is_name_char(uint8_t c)
{
	if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
		return true;
	return c && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

static uint8_t upper(uint8_t c)
{
	return c >= 'a' && c <= 'z' ? c & 0xdf : c;
}

static uint8_t folded(uint8_t c)
{
	return c == '_' ? '-' : lower(c);
}

bool metadata_name_eq(struct slice a, struct slice b)
{
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++)
		if (folded(a.data[i]) != folded(b.data[i]))
			return false;
	return true;
}

bool metadata_is_field(struct slice field, struct slice name)
{
	if (field.len != name.len)
		return false;
	for (size_t i = 0; i < name.len; i++)
		if (lower(field.data[i]) != lower(name.data[i]))
			return false;
	return true;
}

/* How the names of a kind begin; those without a prefix are only folded to lower case. */
static bool prefixes_of(enum metadata_kind kind, struct slice *key, struct slice *field)
{
	switch (kind) {
	case METADATA_PERSISTENT:
		*key = SLICE_LIT(PERSIST_KEY);
		*field = SLICE_LIT(PERSIST_FIELD);
		return true;
	case METADATA_TRANSIENT:
		*key = SLICE_LIT(TRANSIT_KEY);
		*field = SLICE_LIT(TRANSIT_FIELD);
		return true;
	case METADATA_BACKWARD:
		*key = SLICE_LIT("");
		*field = SLICE_LIT(BACKWARD_FIELD);
		return true;
	default:
		*key = *field = SLICE_LIT("");
		return kind == METADATA_HEADER;
	}
}

bool metadata_to_field(
    enum metadata_kind kind, struct slice key, struct arena *arena, struct slice *name)
{
	bool is_plain = kind == METADATA_HEADER;
	struct slice from, to;
	uint8_t *room;

	if (!prefixes_of(kind, &from, &to))
		return false;
	if (kind == METADATA_BACKWARD && STARTS(key, BACKWARD_KEY))
		from = SLICE_LIT(BACKWARD_KEY);
	key = slice_from(key, from.len);
	if (key.len == 0 || to.len + key.len > METADATA_NAME_MAX)
		return false;
	room = arena_alloc(arena, to.len + key.len);
	memcpy(room, to.data, to.len);
	for (size_t i = 0; i < key.len; i++) {
		uint8_t c = lower(key.data[i]);

		room[to.len + i] = c == '_' && !is_plain ? '-' : c;
		if (!is_name_char(c))
			return false;
	}
	*name = slice_of(room, to.len + key.len);
	return metadata_of_field(*name) == kind;
}

bool metadata_to_key(
    enum metadata_kind kind, struct slice name, uint8_t room[METADATA_NAME_MAX], struct slice *key)
{
	/* Those of traces stay as their standards spell them, which is how Kitex's peers write
	 * them. */
	bool is_plain = kind == METADATA_HEADER, is_transient;
	struct slice from, to;

	if (!prefixes_of(kind, &to, &from))
		return false;
	name = slice_from(name, from.len);
	if (name.len == 0 || to.len + name.len > METADATA_NAME_MAX)
		return false;
	memcpy(room, to.data, to.len);
	is_plain |=
	    kind == METADATA_TRANSIENT && trace_name_of_field(name, &is_transient) != TRACE_NAMES;
	for (size_t i = 0; i < name.len; i++) {
		uint8_t c = name.data[i];

		room[to.len + i] = is_plain ? c : c == '-' ? '_' : upper(c);
	}
	*key = slice_of(room, to.len + name.len);
	return metadata_of_key(*key, kind == METADATA_BACKWARD) == kind;
}

/* Source: RFC 9113, 8.2.1, and the control characters that many readers refuse besides. */
bool metadata_is_field_value(struct slice value)
{
	for (size_t i = 0; i < value.len; i++)
		if ((value.data[i] < ' ' && value.data[i] != '\t') || value.data[i] == 0x7f)
			return false;
	return value.len == 0 || (value.data[0] > ' ' && value.data[value.len - 1] > ' ');
}

/* ---- single values ---- */

/* "0" and what is no i32 mean that there is none. Source: kitex pkg/transmeta/ttheader.go, which
 * reads it with strconv.ParseInt. */
bool metadata_is_biz_error(struct slice status)
{
	bool is_negative = STARTS(status, "-");
	bool has_sign = is_negative || STARTS(status, "+");
	uint64_t value;

	return slice_to_u64(slice_from(status, has_sign), &value) && value != 0 &&
	       value <= (uint64_t)INT32_MAX + is_negative;
}
