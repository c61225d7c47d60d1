/* UTF-8 as it is allowed to be: no detours, no halves of surrogates, nothing past U+10FFFF. */
#ifndef BRIDLE_BASE_UTF8_H
#define BRIDLE_BASE_UTF8_H

#include "base/slice.h"

/* Bytes of the character that begins here, 0 when none does; *@code is its number. */
size_t utf8_take(struct slice s, uint32_t *code);
/* It is all made of such characters; control characters, too. */
bool utf8_is_text(struct slice s);
/* A character that steers a terminal, or turns the order of what stands beside it: control
 * characters and the marks of writing direction. */
bool utf8_steers(uint32_t code);

#endif
