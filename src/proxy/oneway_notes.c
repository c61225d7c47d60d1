#include "proxy/oneway_notes.h"

#include <stdlib.h>

#include "base/mem.h"
#include "proxy/attempt.h"

void oneway_notes_init(struct oneway_notes *notes)
{
	*notes = (struct oneway_notes){0};
	list_init(&notes->all);
}

static void drop_oldest(struct oneway_notes *notes)
{
	struct oneway_note *note = list_item(notes->all.next, struct oneway_note, link);

	list_remove(&note->link);
	notes->n--;
	notes->size -= note->size;
	arena_fini(&note->arena);
	free(note);
}

void oneway_notes_fini(struct oneway_notes *notes)
{
	while (notes->n)
		drop_oldest(notes);
}

static void drop_old(struct oneway_notes *notes, usec_t now)
{
	while (notes->n) {
		struct oneway_note *note = list_item(notes->all.next, struct oneway_note, link);

		if (now - note->at < ONEWAY_NOTED_FOR && notes->n <= ONEWAY_NOTES_MAX &&
		    notes->size <= ONEWAY_NOTES_BYTES)
			return;
		drop_oldest(notes);
	}
}

int32_t oneway_notes_number(struct oneway_notes *notes)
{
	notes->last = notes->last == INT32_MAX ? 1 : notes->last + 1;
	return notes->last;
}

void oneway_notes_add(struct oneway_notes *notes, struct attempt *a, usec_t now)
{
	struct oneway_note *note = mem_calloc(1, sizeof *note);

	arena_init(&note->arena, NULL, 0);
	call_told_of(a, &note->arena, &note->told);
	note->at = now;
	note->size = sizeof *note + note->told.seen.head.len;
	list_push_back(&notes->all, &note->link);
	notes->n++;
	notes->size += note->size;
	drop_old(notes, now);
}

unsigned oneway_notes_find(
    struct oneway_notes *notes, int32_t seq, usec_t now, const struct oneway_note **found)
{
	unsigned n = 0;

	drop_old(notes, now);
	list_each (link, &notes->all) {
		const struct oneway_note *note = list_item(link, struct oneway_note, link);

		if (seq && note->told.seq != seq)
			continue;
		*found = note;
		n++;
	}
	return n;
}
