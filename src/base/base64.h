/* Bytes as text: the base64 of RFC 4648, section 4, with its padding and nothing else. */
#ifndef BRIDLE_BASE_BASE64_H
#define BRIDLE_BASE_BASE64_H

#include "base/arena.h"

/* What a text of so many bytes comes to, without a NUL. */
#define BASE64_LEN(bytes) (((bytes) + 2) / 3 * 4)

/* Ends with NUL; in @arena. */
struct slice base64_encode(struct slice bytes, struct arena *arena);
/* Into @room of BASE64_LEN(bytes.len), without a NUL. */
void base64_write(struct slice bytes, char *room);
/* @arena: for the result. Returns -1 when it is none. */
int base64_decode(struct slice text, struct arena *arena, struct slice *bytes);

#endif
