/* Literal bytes as a slice, for tests. */
#ifndef BRIDLE_TESTS_BYTES_H
#define BRIDLE_TESTS_BYTES_H

#include "base/slice.h"

/* Lives as long as the block around it. */
#define BYTES(...)                                                                                 \
	((struct slice){(const uint8_t[]){__VA_ARGS__}, sizeof(const uint8_t[]){__VA_ARGS__}})

#endif
