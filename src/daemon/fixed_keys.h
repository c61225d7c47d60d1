/* The keys that last for the life of the process: what a later configuration says of them waits for
 * the next start. */
#ifndef BRIDLE_DAEMON_FIXED_KEYS_H
#define BRIDLE_DAEMON_FIXED_KEYS_H

#include "model/config.h"

#define FIXED_KEYS_MAX 3u

/* Gives @fresh what @present has. Returns how many were different, with their names in @kept. */
size_t fixed_keys_keep(
    struct config *fresh, const struct config *present, const char *kept[FIXED_KEYS_MAX]);

#endif
