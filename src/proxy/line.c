#include "proxy/line.h"

void line_put_number(struct line *l, uint64_t n)
{
	char text[20], *at = text + sizeof text;

	do {
		*--at = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	line_put(l, slice_of(at, (size_t)(text + sizeof text - at)));
}

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

static uint64_t has_zero(uint64_t word)
{
	return (word - EACH(1)) & ~word;
}

/* Do all eight bytes stand for themselves in JSON, and on a terminal? */
static bool is_plain_word(uint64_t word)
{
	uint64_t is_low = (word - EACH(0x20)) & ~word, is_high = (word + EACH(1)) | word;

	return ((is_low | is_high | has_zero(word ^ EACH('"')) | has_zero(word ^ EACH('\\'))) &
		   EACH(0x80)) == 0;
}

static bool is_plain(uint8_t b)
{
	return b >= 0x20 && b < 0x7f && b != '"' && b != '\\';
}

/* How many bytes from the start stand for themselves. */
static size_t plain_len(struct slice s)
{
	size_t n = 0;

	for (uint64_t word; n + sizeof word <= s.len; n += sizeof word) {
		memcpy(&word, s.data + n, sizeof word);
		if (!is_plain_word(word))
			break;
	}
	while (n < s.len && is_plain(s.data[n]))
		n++;
	return n;
}

static void put_escaped(struct line *l, uint8_t b)
{
	static const char digits[] = "0123456789abcdef";
	char text[6] = {'\\', 'u', '0', '0', digits[b >> 4], digits[b & 15]};

	if (b == '"' || b == '\\')
		text[1] = (char)b;
	line_put(l, slice_of(text, b == '"' || b == '\\' ? 2 : sizeof text));
}

void line_put_json(struct line *l, struct slice s)
{
	struct slice left = slice_first(s, LINE_TEXT_MAX);
	const char *start = l->at;

	while (left.len && (size_t)(l->at - start) < LINE_VALUE_MAX) {
		size_t n = plain_len(left);

		line_put(l, slice_first(left, n));
		if (n < left.len)
			put_escaped(l, left.data[n++]);
		left = slice_from(left, n);
	}
	if (left.len || s.len > LINE_TEXT_MAX)
		line_put_str(l, "...");
}
