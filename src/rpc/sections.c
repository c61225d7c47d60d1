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
	s->written += s->t->count;
	s->is_open = false;
}

/* What stands between sections is copied: padding, and sections without entries. */
void sections_enter(struct sections *s, const struct ttheader_entry *first)
{
	leave(s);
	sections_copy_upto(s, first->section);
	s->section = first->section;
	s->is_open = first->kind != TTHEADER_ACL;
	s->written += !s->is_open;
	if (!s->is_open)
		return;
	ttheader_section_begin(s->t, first->kind);
	s->copied += SECTION_HEAD;
}

static bool is_without_entries(struct slice section)
{
	return section.len >= SECTION_HEAD &&
	       (section.data[0] == TTHEADER_STR || section.data[0] == TTHEADER_INT) &&
	       load_u16(section.data + 1) == 0;
}

/* What stands behind the last entry: sections without entries stay, the last padding is made
 * anew. False: it is anything else, which nobody has looked at. */
static bool tail_of(struct slice sections, size_t at, struct slice *tail)
{
	size_t end = at, next = at;

	while (next < sections.len) {
		if (sections.data[next] == TTHEADER_PADDING) {
			next++;
		} else if (is_without_entries(slice_from(sections, next))) {
			next += SECTION_HEAD;
			end = next;
		} else {
			return false;
		}
	}
	*tail = slice_sub(sections, at, end - at);
	return true;
}

void sections_end(struct sections *s)
{
	static const enum ttheader_section kinds[] = {TTHEADER_STR, TTHEADER_INT};
	struct slice tail = SLICE_NONE;

	leave(s);
	sections_copy_upto(s, s->seen);
	s->t->w->bad |= !tail_of(s->from, s->copied, &tail);
	write_bytes(s->t->w, tail);
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		ttheader_section_begin(s->t, kinds[i]);
		s->add(s->arg, s->t, kinds[i]);
		ttheader_section_end(s->t);
		s->written += s->t->count;
	}
}
