/* CRC-32C (Castagnoli), as Kitex's payload check computes it. */
#ifndef BRIDLE_WIRE_CRC32C_H
#define BRIDLE_WIRE_CRC32C_H

#include "base/slice.h"

/* Continues from @crc, which is 0 at the start. */
uint32_t crc32c(uint32_t crc, struct slice s);

#endif
