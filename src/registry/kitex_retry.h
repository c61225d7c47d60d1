/* Kitex's policy of retries, as its configuration centres write it, in the words of our file. */
#ifndef BRIDLE_REGISTRY_KITEX_RETRY_H
#define BRIDLE_REGISTRY_KITEX_RETRY_H

#include "base/arena.h"
#include "base/err.h"

struct yaml_node;

/* What `retry` of a method comes to, all that a file can say but `buffer`; in @arena. NULL with
 * @err set where Kitex would refuse the policy. */
const char *kitex_retry(const struct yaml_node *policy, struct arena *arena, struct err *err);

#endif
