/* Text that grows at its end, for answers of unknown length. */
#ifndef BRIDLE_BASE_TEXT_H
#define BRIDLE_BASE_TEXT_H

#include "base/slice.h"

struct text {
	char *bytes; /* owned, from malloc; may be moved out */
	size_t len, room;
};

void text_fini(struct text *t);
void text_add(struct text *t, struct slice s);
/* Room for @len bytes more behind the text; whoever writes there adds what it wrote to t->len. */
char *text_room(struct text *t, size_t len);
void text_add_str(struct text *t, const char *s);
void text_add_u64(struct text *t, uint64_t value);
void text_printf(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
