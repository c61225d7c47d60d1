#include "proxy/fault_notes.h"

#include <stdlib.h>

#include "base/mem.h"

#define READ_TRIES 1000 /* its writer may have lost its processor in the middle */

static struct fault_note *find(const struct fault_list *list, enum reason reason)
{
	struct fault_note *note = atomic_load_explicit(&list->first, memory_order_relaxed);

	while (note && note->reason != reason)
		note = atomic_load_explicit(&note->next, memory_order_relaxed);
	return note;
}

static struct fault_note *add(struct fault_list *list, enum reason reason, usec_t now)
{
	struct fault_note *note = mem_calloc(1, sizeof *note);

	note->reason = reason;
	atomic_init(&note->first, now);
	atomic_init(&note->next, atomic_load_explicit(&list->first, memory_order_relaxed));
	atomic_store_explicit(&list->first, note, memory_order_release);
	return note;
}

/* Words of an atomic type, so that a reader beside it reads old ones or new ones. */
static void write_text(struct fault_note *note, struct slice detail)
{
	uint64_t words[FAULT_WORDS] = {0};
	unsigned version = atomic_load_explicit(&note->version, memory_order_relaxed);

	detail = slice_first(detail, detail.len < FAULT_TEXT ? detail.len : FAULT_TEXT);
	if (detail.len)
		memcpy(words, detail.data, detail.len);
	atomic_store_explicit(&note->version, version + 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	for (unsigned i = 0; i < FAULT_WORDS; i++)
		atomic_store_explicit(&note->text[i], words[i], memory_order_relaxed);
	atomic_store_explicit(&note->version, version + 2, memory_order_release);
}

void fault_list_note(
    struct fault_list *list, unsigned *n_notes, enum reason reason, struct slice detail, usec_t now)
{
	struct fault_note *note = find(list, reason);

	if (note == NULL) {
		if (*n_notes >= FAULT_NOTES)
			return;
		++*n_notes;
		note = add(list, reason, now);
	}
	write_text(note, detail);
	atomic_store_explicit(&note->last, now, memory_order_relaxed);
}

void fault_list_fini(struct fault_list *list)
{
	struct fault_note *note = atomic_load(&list->first);

	while (note) {
		struct fault_note *next = atomic_load(&note->next);

		free(note);
		note = next;
	}
}

void fault_note_text(const struct fault_note *note, char room[static FAULT_TEXT + 1])
{
	for (int i = 0; i < READ_TRIES; i++) {
		unsigned before = atomic_load_explicit(&note->version, memory_order_acquire);
		uint64_t words[FAULT_WORDS];

		for (unsigned w = 0; w < FAULT_WORDS; w++)
			words[w] = atomic_load_explicit(&note->text[w], memory_order_relaxed);
		memcpy(room, words, FAULT_TEXT);
		room[FAULT_TEXT] = '\0';
		atomic_thread_fence(memory_order_acquire);
		if (before % 2 == 0 &&
		    atomic_load_explicit(&note->version, memory_order_relaxed) == before)
			return;
	}
	room[0] = '\0';
}
