#include "rpc/sections.h"

#include "base/mem.h"

#define SECTION_HEAD 3u /* id, count */

void sections_begin(struct sections *s, struct ttheader_writer *t, struct slice from,
    sections_add_cb *add, void *arg)
{
	*s = (struct sections){.t = t, .from = from, .section = SIZE_MAX, .add = add, .arg = arg};
}

void sections_copy_upto(struct sections *s, size_t at)
{
	write_bytes(s->t->w, slice_sub(s->from, s->copied, at - s->copied));
	s->copied = at;
}

static void leave(struct sections *s)
{
	if (!s->is_open)
		return;
	sections_copy_upto(s, s->seen);
	s->add(s->arg, s->t, (enum ttheader_section)s->from.data[s->section]);
	ttheader_section_end(s->t);
	s->is_open = false;
}

/* What stands between sections is copied: padding, and sections without entries. */
void sections_enter(struct sections *s, const struct ttheader_entry *first)
{
	leave(s);
	sections_copy_upto(s, first->section);
	s->section = first->section;
	s->is_open = first->kind != TTHEADER_ACL;
	if (!s->is_open)
		return;
	ttheader_section_begin(s->t, first->kind);
	s->copied += SECTION_HEAD;
}

/* What stands behind the last entry: sections without entries stay, the last padding is made
 * anew. */
static struct slice tail_of(struct slice sections, size_t at)
{
	size_t end = at, next = at;

	while (next < sections.len) {
		if (sections.data[next] == TTHEADER_PADDING) {
			next++;
		} else {
			next += SECTION_HEAD;
			end = next;
		}
	}
	return slice_sub(sections, at, end - at);
}

void sections_end(struct sections *s)
{
	static const enum ttheader_section kinds[] = {TTHEADER_STR, TTHEADER_INT};

	leave(s);
	sections_copy_upto(s, s->seen);
	write_bytes(s->t->w, tail_of(s->from, s->copied));
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		ttheader_section_begin(s->t, kinds[i]);
		s->add(s->arg, s->t, kinds[i]);
		ttheader_section_end(s->t);
	}
}
