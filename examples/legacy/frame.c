#include "frame.h"

#include <stdlib.h>
#include <string.h>

#include "put.h"

#define MAGIC           0x1000u
#define FLAG_STREAMING  0x0002u
#define THRIFT_STRUCT   0x10u /* the protocol id: what data frames carry */
#define SECTION_PADDING 0x00u
#define SECTION_STRINGS 0x01u
#define SECTION_INTS    0x10u
#define FIXED           10u /* bytes after the length word and before the header proper */
#define FRAME_MAX       (64u << 20)
#define EXCEPTION       0x80010003u /* the first word of a strict Thrift Binary exception */

enum int_key { TO_METHOD = 9, FRAME_TYPE = 27 };
enum thrift_type { STOP = 0, I32 = 8, STRING = 11 };

/* Reads from memory. Once it is bad all it gives is zero. */
struct cursor {
	const uint8_t *at, *end;
	bool bad;
};

static const uint8_t *take(struct cursor *cursor, size_t n)
{
	const uint8_t *bytes = cursor->at;

	if (cursor->bad || (size_t)(cursor->end - cursor->at) < n) {
		cursor->bad = true;
		return NULL;
	}
	cursor->at += n;
	return bytes;
}

static uint32_t take_number(struct cursor *cursor, size_t n_bytes)
{
	const uint8_t *bytes = take(cursor, n_bytes);
	uint32_t number = 0;

	for (size_t i = 0; bytes && i < n_bytes; i++)
		number = number << 8 | bytes[i];
	return number;
}

static char *take_text(struct cursor *cursor, size_t len)
{
	const uint8_t *bytes = take(cursor, len);
	char *text = calloc(1, bytes ? len + 1 : 1);

	if (!text)
		abort();
	if (bytes)
		memcpy(text, bytes, len);
	return text;
}

const char *frame_string(const struct frame *frame, const char *key)
{
	for (unsigned i = 0; i < frame->n_strings; i++) {
		if (strcmp(frame->strings[i].key, key) == 0)
			return frame->strings[i].value;
	}
	return NULL;
}

static void take_string_pair(struct cursor *cursor, struct frame *frame)
{
	struct frame_string *pair = &frame->strings[frame->n_strings];

	if (frame->n_strings == FRAME_STRINGS_MAX) {
		cursor->bad = true;
		return;
	}
	frame->n_strings++;
	pair->key = take_text(cursor, take_number(cursor, 2));
	pair->value = take_text(cursor, take_number(cursor, 2));
}

static void take_int_pair(struct cursor *cursor, struct frame *frame)
{
	uint32_t key = take_number(cursor, 2);
	char *value = take_text(cursor, take_number(cursor, 2));

	if (key == FRAME_TYPE && strlen(value) == 1 && value[0] >= '1' && value[0] <= '5')
		frame->type = (enum frame_type)(value[0] - '0');
	if (key == TO_METHOD) {
		free(frame->method);
		frame->method = value;
		return;
	}
	free(value);
}

static void take_sections(struct cursor *cursor, struct frame *frame)
{
	uint32_t section, count;

	while (!cursor->bad && cursor->at < cursor->end) {
		section = take_number(cursor, 1);
		if (section == SECTION_PADDING)
			continue;
		for (count = take_number(cursor, 2); count > 0 && !cursor->bad; count--) {
			if (section == SECTION_STRINGS)
				take_string_pair(cursor, frame);
			else if (section == SECTION_INTS)
				take_int_pair(cursor, frame);
			else
				cursor->bad = true;
		}
	}
}

/* Everything behind the length word. */
static bool frame_parse(struct cursor *cursor, struct frame *frame)
{
	struct cursor head = {0};
	size_t head_len;

	cursor->bad |= take_number(cursor, 2) != MAGIC;
	cursor->bad |= !(take_number(cursor, 2) & FLAG_STREAMING);
	frame->stream = take_number(cursor, 4);
	head_len = (size_t)take_number(cursor, 2) * 4;
	head.at = take(cursor, head_len);
	head.end = head.at ? head.at + head_len : NULL;
	take_number(&head, 1);
	take(&head, take_number(&head, 1)); /* transforms, of which nobody makes use */
	take_sections(&head, frame);
	frame->len = cursor->bad ? 0 : (size_t)(cursor->end - cursor->at);
	frame->payload = (uint8_t *)take_text(cursor, frame->len);
	if (!frame->method)
		frame->method = take_text(&head, 0);
	return !cursor->bad && !head.bad && frame->type != 0;
}

bool frame_read(FILE *in, struct frame *frame)
{
	uint8_t word[4], *bytes;
	struct cursor length = {word, word + sizeof(word), false}, whole = {0};
	size_t len;
	bool good;

	*frame = (struct frame){0};
	if (fread(word, 1, sizeof(word), in) != sizeof(word))
		return false;
	len = take_number(&length, sizeof(word));
	bytes = len >= FIXED && len <= FRAME_MAX ? malloc(len) : NULL;
	if (!bytes)
		return false;
	whole = (struct cursor){bytes, bytes + len, false};
	good = fread(bytes, 1, len, in) == len && frame_parse(&whole, frame);
	free(bytes);
	if (!good)
		frame_free(frame);
	return good;
}

void frame_free(struct frame *frame)
{
	for (unsigned i = 0; i < frame->n_strings; i++) {
		free(frame->strings[i].key);
		free(frame->strings[i].value);
	}
	free(frame->method);
	free(frame->payload);
	*frame = (struct frame){0};
}

static void put_sections(FILE *out, const struct frame *frame)
{
	const char type = (char)('0' + frame->type);

	if (frame->n_strings > 0) {
		put_u8(out, SECTION_STRINGS);
		put_u16(out, frame->n_strings);
	}
	for (unsigned i = 0; i < frame->n_strings; i++) {
		put_text16(out, frame->strings[i].key, strlen(frame->strings[i].key));
		put_text16(out, frame->strings[i].value, strlen(frame->strings[i].value));
	}
	put_u8(out, SECTION_INTS);
	put_u16(out, 2);
	put_u16(out, FRAME_TYPE);
	put_text16(out, &type, 1);
	put_u16(out, TO_METHOD);
	put_text16(out, frame->method, strlen(frame->method));
}

bool frame_write(FILE *out, const struct frame *frame)
{
	struct block head;

	block_open(&head);
	put_u8(head.out, THRIFT_STRUCT);
	put_u8(head.out, 0); /* no transforms */
	put_sections(head.out, frame);
	while (fflush(head.out) == 0 && head.len % 4 != 0)
		put_u8(head.out, SECTION_PADDING);
	block_close(&head);
	put_u32(out, FIXED + head.len + frame->len);
	put_u16(out, MAGIC);
	put_u16(out, FLAG_STREAMING);
	put_u32(out, frame->stream);
	put_u16(out, head.len / 4);
	fwrite(head.bytes, 1, head.len, out);
	if (frame->len > 0)
		fwrite(frame->payload, 1, frame->len, out);
	block_free(&head);
	return fflush(out) == 0;
}

void frame_put_exception(struct frame *frame, uint32_t type, const char *text)
{
	struct block block;

	block_open(&block);
	put_u32(block.out, EXCEPTION);
	put_text32(block.out, frame->method, strlen(frame->method));
	put_u32(block.out, frame->stream);
	put_u8(block.out, STRING);
	put_u16(block.out, 1);
	put_text32(block.out, text, strlen(text));
	put_u8(block.out, I32);
	put_u16(block.out, 2);
	put_u32(block.out, type);
	put_u8(block.out, STOP);
	block_close(&block);
	frame->payload = (uint8_t *)block.bytes;
	frame->len = block.len;
}

/* {1: string text, 2: i32 type}, in this order, as everyone writes it. */
char *frame_exception(const struct frame *frame, uint32_t *type)
{
	struct cursor cursor = {frame->payload, frame->payload + frame->len, false};
	char *text;

	cursor.bad = take_number(&cursor, 4) != EXCEPTION;
	take(&cursor, take_number(&cursor, 4)); /* the method */
	take(&cursor, 4 + 3);                   /* the sequence id, and the head of field 1 */
	text = take_text(&cursor, take_number(&cursor, 4));
	take(&cursor, 3);
	*type = take_number(&cursor, 4);
	if (!cursor.bad)
		return text;
	free(text);
	return NULL;
}
