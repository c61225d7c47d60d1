/*
 * Thrift structs as tests see them: written down as text, and taken apart by plain recursion that
 * knows nothing of what is tested.
 *
 *     {1:"text" 2:i5 3:{1:B1} 4:<ss "k"="v"> 5:[i i1 i2] 6:(s "x") -7:d0}
 *
 * A value begins with its type: B bool, y byte, d double (its bits), h i16, i i32, l i64, all in
 * decimal; strings in quotes, in which \xNN is a byte; {struct}, <map>, [list] and (set) with the
 * types of their elements: the letters above and s string, r struct, m map, L list, S set, 0 none.
 */
#ifndef BRIDLE_TESTS_STRUCTS_H
#define BRIDLE_TESTS_STRUCTS_H

#include <stdint.h>

#include "base/slice.h"

/* The bytes of a struct; free with free. Aborts on text that is none. */
struct slice struct_made(const char *text);

struct struct_field {
	int16_t id;
	uint8_t type;
	struct slice whole, value; /* with its header; without */
};

/* A struct that fills @in. */
struct struct_parts {
	struct struct_field *list; /* owned */
	size_t n, size;
};

/* False: it is no struct, or does not end where @in does, or is nested more than 64 deep. */
bool struct_read(struct slice in, struct struct_parts *parts);
void struct_parts_free(struct struct_parts *parts);
/* How many fields have this id; *@last is the last one. */
size_t struct_find(const struct struct_parts *parts, int16_t id, struct struct_field *last);

/* The pairs of a map<string,string>: the one of that number. False: there are not so many, or it is
 * another map. */
bool struct_pair(struct slice map, size_t number, struct slice *key, struct slice *value);
/* The last value of a key, as a reader that fills a map sees it; NULL data: none. */
struct slice struct_value(struct slice map, const char *key);

#endif
