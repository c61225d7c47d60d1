/* What the fuzz targets share. */
#ifndef BRIDLE_TESTS_FUZZ_H
#define BRIDLE_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* libFuzzer's entry point, in every target. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* As assert, in every build. */
static inline void must(bool fact)
{
	if (!fact)
		abort();
}

#endif
