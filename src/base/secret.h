/*
 * Which names smell of secrets, so that the values under them are not shown to whoever looks on:
 * metadata and header fields in taps and captures. A guess, on the safe side.
 */
#ifndef BRIDLE_BASE_SECRET_H
#define BRIDLE_BASE_SECRET_H

#include "base/slice.h"

#define SECRET_SHOWN "<redacted>" /* in place of the value */

/* In any case, with or without a prefix: authorization, x-api-key, RPC_PERSIST_SESSION_TOKEN. */
bool secret_is_named(struct slice name);

#endif
