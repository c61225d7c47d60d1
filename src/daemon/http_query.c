#include "daemon/http_query.h"

#include "base/hex.h"

/* Source: RFC 3986 section 2.1; `+` is a plus. */
struct slice http_unescape(struct slice text, struct arena *arena)
{
	uint8_t *room = arena_alloc(arena, text.len + 1);
	size_t len = 0;

	for (size_t i = 0; i < text.len; i++) {
		int high =
		    text.data[i] == '%' && i + 2 < text.len ? hex_digit(text.data[i + 1]) : -1;
		int low = high >= 0 ? hex_digit(text.data[i + 2]) : -1;

		room[len++] = low >= 0 ? (uint8_t)(high << 4 | low) : text.data[i];
		i += low >= 0 ? 2 : 0;
	}
	return slice_of(room, len);
}

/* Where @c stands, or the end. */
static size_t find(struct slice s, char c)
{
	const uint8_t *at = s.len ? memchr(s.data, c, s.len) : NULL;

	return at ? (size_t)(at - s.data) : s.len;
}

bool http_query_next(
    struct slice *query, struct slice *name, struct slice *value, struct arena *arena)
{
	struct slice pair;
	size_t is;

	do { /* nothing between two of them is no pair */
		if (query->len == 0)
			return false;
		pair = slice_first(*query, find(*query, '&'));
		*query = slice_from(*query, pair.len + 1);
	} while (pair.len == 0);
	is = find(pair, '=');
	*name = http_unescape(slice_first(pair, is), arena);
	*value = http_unescape(slice_from(pair, is + 1), arena);
	return true;
}
