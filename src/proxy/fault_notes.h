/*
 * What went wrong last: for each reason why calls of one set of labels failed, when that was first
 * and last, and the last one's details. The worker writes, any thread reads; neither waits for the
 * other.
 */
#ifndef BRIDLE_PROXY_FAULT_NOTES_H
#define BRIDLE_PROXY_FAULT_NOTES_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/clock.h"
#include "base/reason.h"
#include "base/slice.h"

#define FAULT_NOTES 2000u /* of one worker; failures under further labels are counted, not noted */
#define FAULT_WORDS 20u
#define FAULT_TEXT  (FAULT_WORDS * sizeof(uint64_t)) /* what is kept of the details */

/* Added once, never removed while it is read. */
struct fault_note {
	_Atomic(struct fault_note *) next;
	enum reason reason;
	_Atomic usec_t first, last;
	atomic_uint version; /* odd while the text is another */
	_Atomic uint64_t text[FAULT_WORDS];
};

struct fault_list {
	_Atomic(struct fault_note *) first;
};

/* The worker's: @n_notes counts all of its notes. */
void fault_list_note(struct fault_list *list, unsigned *n_notes, enum reason reason,
    struct slice detail, usec_t now);
/* Only when no reader is left. */
void fault_list_fini(struct fault_list *list);

/* Any thread: the text of the last one, ended by a zero; "" when it is written all the while. */
void fault_note_text(const struct fault_note *note, char room[static FAULT_TEXT + 1]);

#endif
