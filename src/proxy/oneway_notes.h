/*
 * Oneways that have been sent on a connection of an application that asks for metadata: such a call
 * is over for us before its application has read it, so what there is to tell is kept for a while.
 * Nothing else knows of them.
 */
#ifndef BRIDLE_PROXY_ONEWAY_NOTES_H
#define BRIDLE_PROXY_ONEWAY_NOTES_H

#include "base/list.h"
#include "proxy/call_told.h"

#define ONEWAY_NOTES_MAX   256u
#define ONEWAY_NOTES_BYTES ((size_t)1 << 20) /* of their headers */
#define ONEWAY_NOTED_FOR   USEC_MIN

struct oneway_note {
	struct list link;
	usec_t at;
	size_t size;
	struct call_told told;
	struct arena arena; /* of what is told */
};

/* All zero but for a list that is not begun: nothing was ever noted. */
struct oneway_notes {
	struct list all; /* the oldest first */
	unsigned n;
	size_t size;
	int32_t last; /* number */
};

void oneway_notes_init(struct oneway_notes *notes);
void oneway_notes_fini(struct oneway_notes *notes);
/* The number of the next one: sequence ids of several callers may be the same. Never 0. */
int32_t oneway_notes_number(struct oneway_notes *notes);
/* The attempt's call has been written. */
void oneway_notes_add(struct oneway_notes *notes, struct attempt *a, usec_t now);
/* How many there are, of any number or (@seq not 0) of that one; *@note is the last of them. */
unsigned oneway_notes_find(
    struct oneway_notes *notes, int32_t seq, usec_t now, const struct oneway_note **note);

#endif
