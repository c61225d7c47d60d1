#include "proxy/upstream_name.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>

#include "base/hex.h"

#define PREFIX        "bridled-"
#define NUMBER_DIGITS 16u

struct slice upstream_name_write(const struct upstream_name *name, char room[UPSTREAM_NAME_MAX])
{
	int len = snprintf(room, UPSTREAM_NAME_MAX, PREFIX "%d-%u-%016" PRIx64, (int)name->process,
	    name->worker, name->number);

	return slice_of(room, (size_t)len);
}

/* Takes a decimal number and the dash behind it off the front. */
static bool take_decimal(struct slice *text, uint64_t *number)
{
	const uint8_t *dash = text->len ? memchr(text->data, '-', text->len) : NULL;
	size_t len = dash ? (size_t)(dash - text->data) : 0;

	if (dash == NULL || !slice_to_u64(slice_first(*text, len), number) || *number > INT_MAX)
		return false;
	*text = slice_from(*text, len + 1);
	return true;
}

static bool read_hex(struct slice text, uint64_t *number)
{
	*number = 0;
	if (text.len != NUMBER_DIGITS)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		int digit = hex_digit(text.data[i]);

		if (digit < 0)
			return false;
		*number = *number << 4 | (unsigned)digit;
	}
	return *number != 0;
}

bool upstream_name_read(struct slice text, struct upstream_name *name)
{
	char room[UPSTREAM_NAME_MAX];
	struct slice whole = text;
	uint64_t process, worker;

	if (!slice_starts(text, SLICE_LIT(PREFIX)))
		return false;
	text = slice_from(text, sizeof PREFIX - 1);
	if (!take_decimal(&text, &process) || !take_decimal(&text, &worker) ||
	    !read_hex(text, &name->number))
		return false;
	name->process = (pid_t)process;
	name->worker = (unsigned)worker;
	return slice_eq(upstream_name_write(name, room), whole); /* no other spelling of it */
}
