/* Hexadecimal digits. */
#ifndef BRIDLE_BASE_HEX_H
#define BRIDLE_BASE_HEX_H

#include <stdint.h>

/* What a digit counts, in either case; -1 when it is none. */
static inline int hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

#endif
