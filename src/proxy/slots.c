#include "proxy/slots.h"

#include <stdlib.h>

#include "base/mem.h"

#define FIRST_SIZE       64u
#define GENERATION_FIRST 1u
#define GENERATION_LAST  0x7fffu /* ids stay positive */

struct slots *slots_new(void)
{
	return mem_calloc(1, sizeof(struct slots));
}

void slots_free(struct slots **slots)
{
	if (*slots) {
		free((*slots)->list);
		free(*slots);
	}
	*slots = NULL;
}

static void grow(struct slots *s)
{
	unsigned size = s->size ? s->size * 2 : FIRST_SIZE;

	s->list = mem_realloc(s->list, size * sizeof *s->list);
	for (unsigned i = s->size; i < size; i++)
		s->list[i] = (struct slot){NULL, GENERATION_FIRST, false};
	s->next = s->size;
	s->size = size;
}

int32_t slots_take(struct slots *s, struct attempt *attempt)
{
	struct slot *slot;

	if (s->used == s->size) {
		if (s->size == SLOTS_MAX)
			return 0;
		grow(s);
	}
	/* Round and round: the slot just freed is the last to be taken again. */
	while (s->list[s->next].is_taken)
		s->next = (s->next + 1) % s->size;
	slot = &s->list[s->next];
	s->next = (s->next + 1) % s->size;
	slot->is_taken = true;
	slot->attempt = attempt;
	s->used++;
	return (int32_t)((uint32_t)slot->generation << 16 | (uint32_t)(slot - s->list));
}

static struct slot *find(const struct slots *s, int32_t id)
{
	uint32_t bits = (uint32_t)id;
	unsigned i = bits & 0xffff;

	if (i >= s->size || !s->list[i].is_taken || s->list[i].generation != bits >> 16)
		return NULL;
	return &s->list[i];
}

bool slots_answer(struct slots *s, int32_t id, struct attempt **attempt)
{
	struct slot *slot = find(s, id);

	if (slot == NULL)
		return false;
	*attempt = slot->attempt;
	s->abandoned -= slot->attempt == NULL;
	s->used--;
	slot->is_taken = false;
	slot->attempt = NULL;
	slot->generation = slot->generation == GENERATION_LAST ? GENERATION_FIRST
							       : (uint16_t)(slot->generation + 1);
	return true;
}

void slots_abandon(struct slots *s, int32_t id)
{
	struct slot *slot = find(s, id);

	if (slot && slot->attempt) {
		slot->attempt = NULL;
		s->abandoned++;
	}
}

unsigned slots_waiting(const struct slots *s)
{
	return s->used - s->abandoned;
}

struct attempt *slots_at(const struct slots *s, unsigned i)
{
	return i < s->size ? s->list[i].attempt : NULL;
}
