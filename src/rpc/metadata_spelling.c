/*
 * Names of metadata from one spelling to the other, and what can be said of a name or a value
 * without knowing what it means.
 */
#include "rpc/metadata.h"
#include "rpc/trace_name.h"

/* Lower-case token characters. Source: RFC 9110, 5.6.2, and RFC 9113, 8.2.1. */
static bool is_name_char(uint8_t c)
{
	if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
		return true;
	return c == '-' || c == '_' || (c && strchr("!#$%&'*+.^`|~", c) != NULL);
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

struct slice metadata_bare(struct slice name, enum metadata_kind kind)
{
	const struct metadata_spelling *known = metadata_prefix(kind);

	if (kind == METADATA_ACL)
		return slice_from(name, METADATA_PREFIX);
	if (!known->is_prefix)
		return SLICE_NONE;
	if (slice_starts(name, known->key) || slice_starts(name, known->field))
		return slice_from(name, known->key.len);
	return kind == METADATA_BACKWARD ? name : SLICE_NONE;
}

/* A name without its prefix is to stand behind another. */
static bool has_room(struct slice prefix, struct slice bare)
{
	return bare.len && prefix.len + bare.len <= METADATA_NAME_MAX;
}

static bool is_ever_carried(enum metadata_kind kind)
{
	return metadata_rules[kind].in_calls || metadata_rules[kind].in_replies;
}

static uint8_t *put_prefix(uint8_t *room, struct slice prefix)
{
	if (prefix.len)
		memcpy(room, prefix.data, prefix.len);
	return room + prefix.len;
}

/* What applications have called so themselves differs in its case alone. */
static bool keeps_signs(enum metadata_kind kind)
{
	return kind == METADATA_HEADER;
}

bool metadata_to_field(
    enum metadata_kind kind, struct slice key, struct arena *arena, struct slice *name)
{
	const struct metadata_spelling *known = metadata_prefix(kind);
	struct slice bare = slice_from(key, slice_starts(key, known->key) ? known->key.len : 0);
	uint8_t *room, *at;

	if (kind == METADATA_ACL) {
		*name = known->field;
		return true;
	}
	if (!is_ever_carried(kind) || !has_room(known->field, bare))
		return false;
	room = arena_alloc(arena, known->field.len + bare.len);
	at = put_prefix(room, known->field);
	for (size_t i = 0; i < bare.len; i++) {
		uint8_t c = lower(bare.data[i]);

		if (!is_name_char(c))
			return false;
		at[i] = c == '_' && !keeps_signs(kind) ? '-' : c;
	}
	*name = slice_of(room, known->field.len + bare.len);
	return metadata_of_field(*name) == kind;
}

/* Names of traces stay as their standards spell them, which is how Kitex's peers write them. */
static bool is_of_trace(enum metadata_kind kind, struct slice bare)
{
	bool is_transient;

	return kind == METADATA_TRANSIENT &&
	       trace_name_of_field(bare, &is_transient) != TRACE_NAMES;
}

bool metadata_to_key(enum metadata_kind kind, struct slice name, uint8_t room[METADATA_NAME_MAX],
    bool add_prefix, struct slice *key)
{
	const struct metadata_spelling *known = metadata_prefix(kind);
	struct slice prefix = kind == METADATA_BACKWARD && !add_prefix ? SLICE_NONE : known->key;
	struct slice bare = slice_from(name, known->field.len);
	bool stays = keeps_signs(kind) || is_of_trace(kind, bare);
	uint8_t *at;

	if (kind == METADATA_ACL) {
		*key = known->key;
		return true;
	}
	if (!is_ever_carried(kind) || !has_room(prefix, bare))
		return false;
	at = put_prefix(room, prefix);
	for (size_t i = 0; i < bare.len; i++) {
		uint8_t c = bare.data[i];

		at[i] = stays ? c : c == '-' ? '_' : upper(c);
	}
	*key = slice_of(room, prefix.len + bare.len);
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
	bool is_negative = slice_starts(status, SLICE_LIT("-"));
	bool has_sign = is_negative || slice_starts(status, SLICE_LIT("+"));
	uint64_t value;

	return slice_to_u64(slice_from(status, has_sign), &value) && value != 0 &&
	       value <= (uint64_t)INT32_MAX + is_negative;
}
