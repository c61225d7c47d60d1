#include "payload.h"

#include <stdlib.h>
#include <string.h>

#include "put.h"

/* Thrift's words for what a field holds; Protobuf's are in the low bits of the field's tag. */
enum thrift_type { STOP = 0, STRING = 11 };

#define PROTOBUF_FIELD(number) ((number) << 3 | 2u)
#define PROTOBUF_STRING        2u

void payload_put(FILE *out, enum payload payload, const char *text)
{
	size_t len = strlen(text);

	if (payload == THRIFT) {
		put_u8(out, STRING);
		put_u16(out, 1);
		put_text32(out, text, len);
		put_u8(out, STOP);
		return;
	}
	put_u8(out, PROTOBUF_FIELD(1u));
	for (; len >= 0x80; len >>= 7)
		put_u8(out, len | 0x80);
	put_u8(out, len);
	fputs(text, out);
}

static char *text_new(const uint8_t *bytes, size_t len)
{
	char *text = calloc(1, len + 1);

	if (!text)
		abort();
	memcpy(text, bytes, len);
	return text;
}

/* type, field (2), length (4), text, stop */
static char *thrift_text(const uint8_t *bytes, size_t len)
{
	size_t said;

	if (len < 8 || bytes[0] != STRING || bytes[len - 1] != STOP)
		return NULL;
	said = (size_t)bytes[3] << 24 | (size_t)bytes[4] << 16 | (size_t)bytes[5] << 8 | bytes[6];
	return said == len - 8 ? text_new(bytes + 7, said) : NULL;
}

/* tag (1), length (a varint), text */
static char *protobuf_text(const uint8_t *bytes, size_t len)
{
	size_t said = 0, at = 1;
	unsigned shift = 0;

	if (len < 2 || (bytes[0] & 7u) != PROTOBUF_STRING)
		return NULL;
	do {
		said |= (size_t)(bytes[at] & 0x7fu) << shift;
		shift += 7;
	} while (bytes[at++] & 0x80u && at < len && shift < 32);
	return said == len - at ? text_new(bytes + at, said) : NULL;
}

char *payload_text(enum payload payload, const uint8_t *bytes, size_t len)
{
	return payload == THRIFT ? thrift_text(bytes, len) : protobuf_text(bytes, len);
}
