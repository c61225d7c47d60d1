/*
 * A Thrift struct for people who have no IDL: fields by their numbers, values with their types.
 *
 *     {1: "text", 2: i32 5, 3: list<i32>[1, 2], 4: map<string,bool>{"a": true}, 5: {1: hex 00ff}}
 *
 * In JSON the type is the name, so that nothing is lost:
 *
 *     {"1":{"string":"text"},"2":{"i32":5},"3":{"list<i32>":[1,2]},
 *      "4":{"map<string,bool>":[["a",true]]},"5":{"struct":{"1":{"binary":"00ff"}}}}
 *
 * Whatever the bytes are, what is written is whole (its brackets close, its JSON can be read),
 * bounded and harmless to a terminal. A struct that lies is shown as far as it is good.
 */
#ifndef BRIDLE_CTL_THRIFT_VIEW_H
#define BRIDLE_CTL_THRIFT_VIEW_H

#include "base/text.h"

struct thrift_view_limits {
	unsigned depth; /* structs and containers in each other; deeper ones are "{…}" */
	unsigned items; /* of one struct or container; then how many more there are */
	size_t text;    /* bytes of one string */
	size_t length;  /* bytes written, about; what would come then is left out */
};

/* One line of a log; all that a reader may want. */
#define THRIFT_VIEW_LINE ((struct thrift_view_limits){4, 16, 64, 512})
#define THRIFT_VIEW_FULL ((struct thrift_view_limits){16, 256, 1024, 64 << 10})

struct thrift_view {
	bool is_whole; /* the struct was walked to its end, */
	size_t used;   /* which is here. Else: the byte at which it went wrong, */
	char why[96];  /* and why; "" when the limit of length was all */
};

/* Adds the struct that @body begins with to @out. What may follow it is the caller's: view.used. */
struct thrift_view thrift_view_text(
    struct text *out, struct slice body, const struct thrift_view_limits *limits);
struct thrift_view thrift_view_json(
    struct text *out, struct slice body, const struct thrift_view_limits *limits);

#endif
