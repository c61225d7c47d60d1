#include "proxy/line.h"

/* Two digits at a time, from the end. The room behind them is for copying eight bytes, which is
 * quicker than copying as many as there are. */
void line_put_number(struct line *l, uint64_t n)
{
	static const char pairs[] = "00010203040506070809101112131415161718192021222324"
				    "25262728293031323334353637383940414243444546474849"
				    "50515253545556575859606162636465666768697071727374"
				    "75767778798081828384858687888990919293949596979899";
	char text[28] = {0}, *end = text + 20, *at = end;
	size_t len;

	for (; n >= 100; n /= 100) {
		at -= 2;
		memcpy(at, pairs + n % 100 * 2, 2);
	}
	if (n >= 10) {
		at -= 2;
		memcpy(at, pairs + n * 2, 2);
	} else {
		*--at = (char)('0' + n);
	}
	len = (size_t)(end - at);
	if (len <= 8 && line_room(l) >= 8) {
		memcpy(l->at, at, 8);
		l->at += len;
	} else {
		line_put(l, slice_of(at, len));
	}
}

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

static inline uint64_t has_zero(uint64_t word)
{
	return (word - EACH(1)) & ~word;
}

/* Do all eight bytes stand for themselves in JSON, and on a terminal? */
static inline bool is_plain_word(uint64_t word)
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

	while (n < s.len && is_plain(s.data[n]))
		n++;
	return n;
}

static uint64_t load_word(const uint8_t *from)
{
	uint64_t word;

	memcpy(&word, from, sizeof word);
	return word;
}

/* Copies a text of which every byte stands for itself, as nearly every one does: eight at a time,
 * the last eight of them perhaps for the second time. False: what is behind @to is undefined. */
static bool copy_plain(char *to, struct slice s)
{
	uint64_t word;

	if (s.len < sizeof word) {
		memcpy(to, s.data, s.len);
		return plain_len(s) == s.len;
	}
	for (size_t n = 0; n < s.len - sizeof word; n += sizeof word) {
		word = load_word(s.data + n);
		if (!is_plain_word(word))
			return false;
		memcpy(to + n, &word, sizeof word);
	}
	word = load_word(s.data + s.len - sizeof word);
	memcpy(to + s.len - sizeof word, &word, sizeof word);
	return is_plain_word(word);
}

static void put_escaped(struct line *l, uint8_t b)
{
	static const char digits[] = "0123456789abcdef";
	char text[6] = {'\\', 'u', '0', '0', digits[b >> 4], digits[b & 15]};

	if (b == '"' || b == '\\')
		text[1] = (char)b;
	line_put(l, slice_of(text, b == '"' || b == '\\' ? 2 : sizeof text));
}

static void put_with_escapes(struct line *l, struct slice s)
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

void line_put_json(struct line *l, struct slice s)
{
	if (s.len == 0)
		return;
	if (s.len <= LINE_TEXT_MAX && s.len <= line_room(l) && copy_plain(l->at, s))
		l->at += s.len;
	else
		put_with_escapes(l, s);
}
