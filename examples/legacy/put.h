#ifndef EXAMPLES_PUT_H
#define EXAMPLES_PUT_H

#include <stddef.h>
#include <stdio.h>

/* Numbers and texts as the wire has them, high byte first, into a stdio stream. */

/* What has to be whole before its length can be told. The bytes are there after block_close. */
struct block {
	char *bytes; /* owned; block_free gives them back */
	size_t len;
	FILE *out;
};

void block_open(struct block *block);
void block_close(struct block *block);
void block_free(struct block *block);

void put_u8(FILE *out, size_t value);
void put_u16(FILE *out, size_t value);
void put_u32(FILE *out, size_t value);

/* A text behind its length of two or four bytes. */
void put_text16(FILE *out, const char *text, size_t len);
void put_text32(FILE *out, const char *text, size_t len);

#endif
