#include "base/base64.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int digit_of(uint8_t c)
{
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* Four digits, of which the last @pads are padding: three bytes, or fewer. */
static int decode_group(const uint8_t *group, unsigned pads, uint8_t bytes[3])
{
	uint32_t bits = 0;

	for (unsigned i = 0; i < 4; i++) {
		int digit = i + pads >= 4 ? 0 : digit_of(group[i]);

		if (digit < 0)
			return -1;
		bits = bits << 6 | (uint32_t)digit;
	}
	/* what the padding cuts off must be nothing, or two texts would mean the same */
	if (bits & ((1u << 8 * pads) - 1))
		return -1;
	bytes[0] = (uint8_t)(bits >> 16);
	bytes[1] = (uint8_t)(bits >> 8);
	bytes[2] = (uint8_t)bits;
	return 0;
}

int base64_decode(struct slice text, struct arena *arena, struct slice *bytes)
{
	size_t n = text.len / 4;
	unsigned pads = 0;
	uint8_t *out;

	if (text.len % 4)
		return -1;
	while (n && pads < 2 && text.data[text.len - 1 - pads] == '=')
		pads++;
	out = arena_alloc(arena, n * 3 + 1);
	for (size_t i = 0; i < n; i++)
		if (decode_group(text.data + 4 * i, i + 1 == n ? pads : 0, out + 3 * i) < 0)
			return -1;
	*bytes = slice_of(out, n * 3 - pads);
	return 0;
}

void base64_write(struct slice bytes, char *room)
{
	for (size_t i = 0; i < (bytes.len + 2) / 3; i++) {
		size_t left = bytes.len - 3 * i;
		const uint8_t *from = bytes.data + 3 * i;
		uint32_t bits = (uint32_t)from[0] << 16;

		bits |= left > 1 ? (uint32_t)from[1] << 8 : 0;
		bits |= left > 2 ? from[2] : 0u;
		for (unsigned k = 0; k < 4; k++)
			room[4 * i + k] = k > left ? '=' : digits[bits >> (18 - 6 * k) & 63];
	}
}

struct slice base64_encode(struct slice bytes, struct arena *arena)
{
	size_t len = BASE64_LEN(bytes.len);
	char *out = arena_alloc(arena, len + 1);

	base64_write(bytes, out);
	out[len] = '\0';
	return slice_of(out, len);
}
