#include "put.h"

#include <stdlib.h>

void block_open(struct block *block)
{
	block->out = open_memstream(&block->bytes, &block->len);
	if (!block->out)
		abort();
}

void block_close(struct block *block)
{
	if (fclose(block->out) != 0)
		abort();
	block->out = NULL;
}

void block_free(struct block *block)
{
	free(block->bytes);
	*block = (struct block){0};
}

void put_u8(FILE *out, size_t value)
{
	putc((int)(value & 0xff), out);
}

void put_u16(FILE *out, size_t value)
{
	put_u8(out, value >> 8);
	put_u8(out, value);
}

void put_u32(FILE *out, size_t value)
{
	put_u16(out, value >> 16);
	put_u16(out, value);
}

void put_text16(FILE *out, const char *text, size_t len)
{
	put_u16(out, len);
	fwrite(text, 1, len, out);
}

void put_text32(FILE *out, const char *text, size_t len)
{
	put_u32(out, len);
	fwrite(text, 1, len, out);
}
