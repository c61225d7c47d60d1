#include "daemon/admin_explain.h"

#include <stdio.h>
#include <stdlib.h>

#include "daemon/control.h"
#include "model/explain_ask.h"
#include "net/loop.h"

static int hex_of(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* What a part of a query means, without its escapes. Source: RFC 3986 section 2.1; `+` is a plus. */
static struct slice decode(struct slice text, struct arena *arena)
{
	uint8_t *room = arena_alloc(arena, text.len + 1);
	size_t len = 0;

	for (size_t i = 0; i < text.len; i++) {
		int high = text.data[i] == '%' && i + 2 < text.len ? hex_of(text.data[i + 1]) : -1;
		int low = high >= 0 ? hex_of(text.data[i + 2]) : -1;

		room[len++] = low >= 0 ? (uint8_t)(high << 4 | low) : text.data[i];
		i += low >= 0 ? 2 : 0;
	}
	return slice_of(room, len);
}

static int add_pair(struct explain_ask *ask, struct slice pair, struct err *err)
{
	const uint8_t *is = pair.len ? memchr(pair.data, '=', pair.len) : NULL;
	size_t at = is ? (size_t)(is - pair.data) : pair.len;

	if (pair.len == 0)
		return 0;
	return explain_ask_add(ask, decode(slice_first(pair, at), &ask->arena),
	    decode(slice_from(pair, at + 1), &ask->arena), err);
}

static int read_query(struct explain_ask *ask, struct slice query, struct err *err)
{
	for (size_t from = 0, i = 0; i <= query.len; i++) {
		if (i < query.len && query.data[i] != '&')
			continue;
		if (add_pair(ask, slice_sub(query, from, i - from), err) < 0)
			return -1;
		from = i + 1;
	}
	return 0;
}

char *admin_explain(const struct control *control, struct slice query, size_t *len, struct err *err)
{
	struct explain_ask ask;
	char *body = NULL;
	FILE *to = open_memstream(&body, len);
	int rc;

	if (to == NULL) {
		err_set(err, 0, "out of memory");
		return NULL;
	}
	explain_ask_init(&ask);
	rc = read_query(&ask, query, err);
	if (rc == 0)
		rc = explain_ask_answer(&ask, control->snapshot, loop_now(control->loop), to, err);
	explain_ask_fini(&ask);
	if (fclose(to) != 0 && rc == 0)
		rc = err_set(err, 0, "out of memory");
	if (rc == 0)
		return body;
	free(body);
	return NULL;
}
