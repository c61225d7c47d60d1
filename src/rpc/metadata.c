#include "rpc/metadata.h"

#include "base/mem.h"

/* ---- the tables ---- */

#define NOTHING (-1) /* is lost with it */

const struct metadata_rule metadata_rules[METADATA_KINDS] = {
    [METADATA_WRAPPING] = {.dropped = NOTHING},
    [METADATA_FACT] = {.dropped = RPC_DROPPED_INT},
    [METADATA_IDL_SERVICE] = {.dropped = RPC_DROPPED_HEADER},
    [METADATA_INT] = {.dropped = RPC_DROPPED_INT},
    [METADATA_PERSISTENT] = {true, false, RPC_DROPPED_PERSISTENT, METADATA_NAME_PERSISTENT},
    [METADATA_TRANSIENT] = {true, false, RPC_DROPPED_TRANSIENT, METADATA_NAME_TRANSIENT},
    [METADATA_UPSTREAM] = {false, false, RPC_DROPPED_TRANSIENT, METADATA_NAME_UPSTREAM},
    [METADATA_BACKWARD] = {false, true, RPC_DROPPED_HEADER, METADATA_NAME_BACKWARD},
    [METADATA_ACL] = {true, false, RPC_DROPPED_ACL, METADATA_NAME_TOKEN},
    [METADATA_BIZ] = {.dropped = RPC_DROPPED_BIZ},
    [METADATA_CHECKSUM] = {.dropped = RPC_DROPPED_CHECKSUM},
    [METADATA_PRIVATE] = {.dropped = RPC_DROPPED_HEADER},
    [METADATA_HEADER] = {true, false, RPC_DROPPED_HEADER, METADATA_NAME_NONE},
};

#define NAME(text)                                                                                 \
	{                                                                                          \
		(const uint8_t *)(text), sizeof(text) - 1                                          \
	}

/*
 * Names of one letter stand together, exact ones before the prefix that they begin with.
 *
 * Sources: gopkg protocol/ttheader/metakey.go; kitex pkg/remote/transmeta/http_metakey.go,
 * pkg/remote/codec/validate.go; bytedance/gopkg cloud/metainfo, and Volo's metainfo for the prefix
 * of backward values; grpc/doc/PROTOCOL-HTTP2.md; RFC 9113, 8.2.2.
 */
const struct metadata_spelling metadata_spellings[METADATA_NAMES] = {
    [METADATA_NAME_NONE] = {.kind = METADATA_HEADER},
    [METADATA_NAME_BIZ_STATUS] = {METADATA_BIZ, .key = NAME("biz-status"),
	.field = NAME("biz-status")},
    [METADATA_NAME_BIZ_MESSAGE] = {METADATA_BIZ, .key = NAME("biz-message"),
	.field = NAME("biz-message")},
    [METADATA_NAME_BIZ_EXTRA] = {METADATA_BIZ, .key = NAME("biz-extra"),
	.field = NAME("biz-extra")},
    [METADATA_NAME_BIZ] = {METADATA_BIZ, true, .key = NAME("biz-"), .field = NAME("biz-")},
    [METADATA_NAME_CONNECTION] = {METADATA_PRIVATE, .field = NAME("connection")},
    [METADATA_NAME_CONTENT_LENGTH] = {METADATA_WRAPPING, .field = NAME("content-length")},
    [METADATA_NAME_CONTENT_TYPE] = {METADATA_WRAPPING, .field = NAME("content-type")},
    [METADATA_NAME_CRC32C] = {METADATA_CHECKSUM, .key = NAME("crc32c")},
    /* belongs to the connection, not to the call */
    [METADATA_NAME_CRRST] = {METADATA_WRAPPING, .key = NAME("crrst")},
    [METADATA_NAME_DEST_ADDRESS] = {METADATA_INT, .number = TTKEY_DEST_ADDRESS,
	.field = NAME("destination-addr")},
    /* the message head says it, too; or the path */
    [METADATA_NAME_TO_METHOD] = {METADATA_WRAPPING, .number = TTKEY_TO_METHOD,
	.field = NAME("destination-method")},
    [METADATA_NAME_TO_SERVICE] = {METADATA_FACT, .number = TTKEY_TO_SERVICE,
	.field = NAME("destination-service")},
    [METADATA_NAME_TIMEOUT] = {METADATA_FACT, .number = TTKEY_RPC_TIMEOUT,
	.field = NAME("grpc-timeout")},
    [METADATA_NAME_GRPC_STATUS] = {METADATA_WRAPPING, .field = NAME("grpc-status")},
    [METADATA_NAME_GRPC_MESSAGE] = {METADATA_WRAPPING, .field = NAME("grpc-message")},
    [METADATA_NAME_GRPC_ENCODING] = {METADATA_WRAPPING, .field = NAME("grpc-encoding")},
    [METADATA_NAME_GRPC_ACCEPT_ENCODING] = {METADATA_WRAPPING,
	.field = NAME("grpc-accept-encoding")},
    [METADATA_NAME_GRPC_MESSAGE_TYPE] = {METADATA_WRAPPING, .field = NAME("grpc-message-type")},
    /* may not be an application's */
    [METADATA_NAME_GRPC] = {METADATA_PRIVATE, true, .field = NAME("grpc-")},
    [METADATA_NAME_HOST] = {METADATA_WRAPPING, .field = NAME("host")},
    [METADATA_NAME_ISN] = {METADATA_IDL_SERVICE, .key = NAME("isn")},
    [METADATA_NAME_KEEP_ALIVE] = {METADATA_PRIVATE, .field = NAME("keep-alive")},
    [METADATA_NAME_PROXY_CONNECTION] = {METADATA_PRIVATE, .field = NAME("proxy-connection")},
    [METADATA_NAME_VALIDATOR] = {METADATA_CHECKSUM, true, .key = NAME("PV_")},
    [METADATA_NAME_PERSISTENT] = {METADATA_PERSISTENT, true, .key = NAME("RPC_PERSIST_"),
	.field = NAME("rpc-persist-")},
    [METADATA_NAME_TOKEN] = {METADATA_ACL, .key = NAME(METADATA_TOKEN_KEY),
	.field = NAME(METADATA_TOKEN_FIELD)},
    [METADATA_NAME_UPSTREAM] = {METADATA_UPSTREAM, true,
	.key = NAME(METADATA_TRANSIT_KEY "UPSTREAM_"),
	.field = NAME(METADATA_TRANSIT_FIELD "upstream-")},
    [METADATA_NAME_TRANSIENT] = {METADATA_TRANSIENT, true, .key = NAME(METADATA_TRANSIT_KEY),
	.field = NAME(METADATA_TRANSIT_FIELD)},
    [METADATA_NAME_BACKWARD] = {METADATA_BACKWARD, true, .key = NAME("RPC_BACKWARD_"),
	.field = NAME("rpc-backward-")},
    [METADATA_NAME_RIP] = {METADATA_PRIVATE, .key = NAME("rip")},
    [METADATA_NAME_CALLER] = {METADATA_FACT, .number = TTKEY_FROM_SERVICE,
	.field = NAME("source-service")},
    [METADATA_NAME_CALLER_METHOD] = {METADATA_FACT, .number = TTKEY_FROM_METHOD,
	.field = NAME("source-method")},
    [METADATA_NAME_LOG_ID] = {METADATA_FACT, .number = TTKEY_LOG_ID,
	.field = NAME("stream-log-id")},
    [METADATA_NAME_TE] = {METADATA_WRAPPING, .field = NAME("te")},
    [METADATA_NAME_TRANSFER_ENCODING] = {METADATA_PRIVATE, .field = NAME("transfer-encoding")},
    [METADATA_NAME_UPGRADE] = {METADATA_PRIVATE, .field = NAME("upgrade")},
    [METADATA_NAME_USER_AGENT] = {METADATA_WRAPPING, .field = NAME("user-agent")},
    [METADATA_NAME_TRANSPORT_TYPE] = {METADATA_WRAPPING, .number = TTKEY_TRANSPORT_TYPE},
    [METADATA_NAME_MSG_TYPE] = {METADATA_WRAPPING, .number = TTKEY_MSG_TYPE},
    [METADATA_NAME_FRAME_TYPE] = {METADATA_WRAPPING, .number = TTKEY_FRAME_TYPE},
};

/* ---- what names mean ---- */

/* Inlined with bounds that are constant, these become comparisons with the texts themselves: every
 * key of every call is looked for here. */
#define UNROLLED _Pragma("GCC unroll 8")
#define INLINED  static inline __attribute__((always_inline))

static inline uint64_t word_at(const uint8_t *p)
{
	uint64_t word;

	memcpy(&word, p, sizeof word);
	return word;
}

/* Of a length that is constant: words that overlap, and no call. */
INLINED bool are_same(const uint8_t *a, const uint8_t *b, size_t len)
{
	if (len < 8)
		return memcmp(a, b, len) == 0;
	UNROLLED
	for (size_t at = 0; at + 8 < len; at += 8)
		if (word_at(a + at) != word_at(b + at))
			return false;
	return word_at(a + len - 8) == word_at(b + len - 8);
}

INLINED bool fits(struct slice name, struct slice known, bool is_prefix)
{
	return (is_prefix ? name.len >= known.len : name.len == known.len) &&
	       are_same(name.data, known.data, known.len);
}

INLINED enum metadata_name key_among(
    struct slice key, enum metadata_name first, enum metadata_name last)
{
	UNROLLED
	for (enum metadata_name i = first; i <= last; i++)
		if (fits(key, metadata_spellings[i].key, metadata_spellings[i].is_prefix))
			return i;
	return METADATA_NAME_NONE;
}

INLINED enum metadata_name field_among(
    struct slice field, enum metadata_name first, enum metadata_name last)
{
	UNROLLED
	for (enum metadata_name i = first; i <= last; i++)
		if (fits(field, metadata_spellings[i].field, metadata_spellings[i].is_prefix))
			return i;
	return METADATA_NAME_NONE;
}

INLINED enum metadata_name find_key(struct slice key)
{
	if (key.len == 0)
		return METADATA_NAME_NONE;
	if (key.data[0] == 'R') /* most of them */
		return key_among(key, METADATA_NAME_PERSISTENT, METADATA_NAME_BACKWARD);
	switch (key.data[0]) {
	case 'P':
		return key_among(key, METADATA_NAME_VALIDATOR, METADATA_NAME_VALIDATOR);
	case 'b':
		return key_among(key, METADATA_NAME_BIZ_STATUS, METADATA_NAME_BIZ);
	case 'c':
		return key_among(key, METADATA_NAME_CRC32C, METADATA_NAME_CRRST);
	case 'i':
		return key_among(key, METADATA_NAME_ISN, METADATA_NAME_ISN);
	case 'r':
		return key_among(key, METADATA_NAME_RIP, METADATA_NAME_RIP);
	default:
		return METADATA_NAME_NONE;
	}
}

INLINED enum metadata_name find_field(struct slice field)
{
	if (field.len == 0)
		return METADATA_NAME_NONE;
	switch (field.data[0]) {
	case 'b':
		return field_among(field, METADATA_NAME_BIZ_STATUS, METADATA_NAME_BIZ);
	case 'c':
		return field_among(field, METADATA_NAME_CONNECTION, METADATA_NAME_CONTENT_TYPE);
	case 'd':
		return field_among(field, METADATA_NAME_DEST_ADDRESS, METADATA_NAME_TO_SERVICE);
	case 'g':
		return field_among(field, METADATA_NAME_TIMEOUT, METADATA_NAME_GRPC);
	case 'h':
		return field_among(field, METADATA_NAME_HOST, METADATA_NAME_HOST);
	case 'k':
		return field_among(field, METADATA_NAME_KEEP_ALIVE, METADATA_NAME_KEEP_ALIVE);
	case 'p':
		return field_among(
		    field, METADATA_NAME_PROXY_CONNECTION, METADATA_NAME_PROXY_CONNECTION);
	case 'r':
		return field_among(field, METADATA_NAME_PERSISTENT, METADATA_NAME_BACKWARD);
	case 's':
		return field_among(field, METADATA_NAME_CALLER, METADATA_NAME_LOG_ID);
	case 't':
		return field_among(field, METADATA_NAME_TE, METADATA_NAME_TRANSFER_ENCODING);
	case 'u':
		return field_among(field, METADATA_NAME_UPGRADE, METADATA_NAME_USER_AGENT);
	default:
		return METADATA_NAME_NONE;
	}
}

enum metadata_name metadata_find_key(struct slice key)
{
	return find_key(key);
}

enum metadata_name metadata_find_field(struct slice field)
{
	return find_field(field);
}

enum metadata_name metadata_find_int(uint16_t number)
{
	static const uint8_t names[] = {
	    [TTKEY_TRANSPORT_TYPE] = METADATA_NAME_TRANSPORT_TYPE,
	    [TTKEY_LOG_ID] = METADATA_NAME_LOG_ID,
	    [TTKEY_FROM_SERVICE] = METADATA_NAME_CALLER,
	    [TTKEY_TO_SERVICE] = METADATA_NAME_TO_SERVICE,
	    [TTKEY_TO_METHOD] = METADATA_NAME_TO_METHOD,
	    [TTKEY_DEST_ADDRESS] = METADATA_NAME_DEST_ADDRESS,
	    [TTKEY_RPC_TIMEOUT] = METADATA_NAME_TIMEOUT,
	    [TTKEY_FROM_METHOD] = METADATA_NAME_CALLER_METHOD,
	    [TTKEY_MSG_TYPE] = METADATA_NAME_MSG_TYPE,
	    [TTKEY_FRAME_TYPE] = METADATA_NAME_FRAME_TYPE,
	};

	return number < ARRAY_LEN(names) ? (enum metadata_name)names[number] : METADATA_NAME_NONE;
}

enum metadata_kind metadata_of_key(struct slice key, bool is_reply)
{
	enum metadata_name name = find_key(key);

	if (name == METADATA_NAME_NONE && is_reply)
		return METADATA_BACKWARD;
	return metadata_spellings[name].kind;
}

enum metadata_kind metadata_of_field(struct slice name)
{
	return metadata_spellings[find_field(name)].kind;
}

static enum metadata_kind of_int(uint16_t number)
{
	enum metadata_name name = metadata_find_int(number);

	return name == METADATA_NAME_NONE ? METADATA_INT : metadata_spellings[name].kind;
}

enum metadata_kind metadata_of_entry(const struct ttheader_entry *entry, bool is_reply)
{
	if (entry->kind == TTHEADER_INT)
		return of_int(entry->int_key);
	return entry->kind == TTHEADER_ACL ? METADATA_ACL : metadata_of_key(entry->key, is_reply);
}

bool metadata_is_carried(enum metadata_kind kind, bool is_reply)
{
	return is_reply ? metadata_rules[kind].in_replies : metadata_rules[kind].in_calls;
}

void metadata_drop(struct rpc_edit *edit, enum metadata_kind kind)
{
	int dropped = metadata_rules[kind].dropped;

	if (dropped != NOTHING)
		edit->dropped[dropped]++;
}
