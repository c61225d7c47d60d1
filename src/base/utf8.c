#include "base/utf8.h"

/* Source: RFC 3629, section 3. */
static size_t length_of(uint8_t first)
{
	if (first < 0x80)
		return 1;
	if (first >= 0xc2 && first <= 0xdf)
		return 2;
	if (first >= 0xe0 && first <= 0xef)
		return 3;
	return first >= 0xf0 && first <= 0xf4 ? 4 : 0;
}

size_t utf8_take(struct slice s, uint32_t *code)
{
	static const uint8_t first_bits[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t len = s.len ? length_of(s.data[0]) : 0;

	if (len == 0 || s.len < len)
		return 0;
	*code = s.data[0] & first_bits[len];
	for (size_t i = 1; i < len; i++) {
		if ((s.data[i] & 0xc0) != 0x80)
			return 0;
		*code = *code << 6 | (s.data[i] & 0x3f);
	}
	if (*code < least[len] || *code > 0x10ffff || (*code >= 0xd800 && *code <= 0xdfff))
		return 0;
	return len;
}

bool utf8_is_text(struct slice s)
{
	uint32_t code;
	size_t n;

	while ((n = utf8_take(s, &code)))
		s = slice_from(s, n);
	return s.len == 0;
}

/* Source: Unicode Standard Annex 9, table 1, for the marks of direction. */
bool utf8_steers(uint32_t code)
{
	if (code < 0x20 || (code >= 0x7f && code <= 0x9f))
		return true;
	return code == 0x061c || code == 0x200e || code == 0x200f || code == 0x2028 ||
	       code == 0x2029 || (code >= 0x202a && code <= 0x202e) ||
	       (code >= 0x2066 && code <= 0x2069);
}
