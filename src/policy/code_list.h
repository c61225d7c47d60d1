/*
 * Codes that a policy names: of exceptions, of business errors, of gRPC. There are few of them, and
 * they are looked at only after a call has gone wrong.
 */
#ifndef BRIDLE_POLICY_CODE_LIST_H
#define BRIDLE_POLICY_CODE_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct code_list {
	const int32_t *list; /* borrowed from the configuration */
	size_t n;
};

static inline bool code_list_has(const struct code_list *codes, int32_t code)
{
	for (size_t i = 0; i < codes->n; i++)
		if (codes->list[i] == code)
			return true;
	return false;
}

#endif
