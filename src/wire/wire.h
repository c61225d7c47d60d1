/*
 * What reading bytes can come to. Every reader of wire/ looks at a view from its start, keeps no
 * state unless it says so, and limits a length before it uses it.
 */
#ifndef BRIDLE_WIRE_WIRE_H
#define BRIDLE_WIRE_WIRE_H

#include "base/slice.h"

enum wire_result {
	WIRE_OK,
	WIRE_MORE, /* well so far, but it does not end here */
	WIRE_BAD,  /* no continuation can make it right */
	WIRE_TOO_LARGE,
};

/* Filled on every result but WIRE_OK. */
struct wire_note {
	size_t need;     /* WIRE_MORE: look again when the view has this many bytes */
	const char *why; /* WIRE_BAD, WIRE_TOO_LARGE: what is wrong, constant text */
};

static inline enum wire_result wire_bad(struct wire_note *note, const char *why)
{
	note->why = why;
	return WIRE_BAD;
}

static inline enum wire_result wire_more(struct wire_note *note, size_t need)
{
	note->need = need;
	return WIRE_MORE;
}

#endif
