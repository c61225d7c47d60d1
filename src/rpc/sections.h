/*
 * The sections of a TTHeader on their way from one header to the next. They keep their order, and
 * entries their bytes: neighbours that stay are copied in one piece. What is added goes behind the
 * entries of the first section of its kind, or into one at the end. Private to rpc/.
 */
#ifndef BRIDLE_RPC_SECTIONS_H
#define BRIDLE_RPC_SECTIONS_H

#include "wire/ttheader.h"

/* Puts what is still to be added to a section of this kind: STR or INT. Asked at the end of each
 * section, and once more for those that were not there. */
typedef void sections_add_cb(void *arg, struct ttheader_writer *t, enum ttheader_section kind);

struct sections {
	struct ttheader_writer *t;
	struct slice from;   /* as they came */
	size_t copied, seen; /* bytes of them that are dealt with, and looked at */
	size_t section;      /* where the present one began */
	bool is_open;        /* it is written entry by entry; never an ACL token */
	unsigned written;    /* entries of sections that have been left */
	sections_add_cb *add;
	void *arg; /* of add */
};

void sections_begin(struct sections *s, struct ttheader_writer *t, struct slice from,
    sections_add_cb *add, void *arg);
void sections_enter(struct sections *s, const struct ttheader_entry *first);
void sections_copy_upto(struct sections *s, size_t at);
/* All entries have been given: what stands behind them and is none makes the writer bad. */
void sections_end(struct sections *s);

/* They can be read again here; to be asked in the end, where the message stays. */
static inline bool sections_are_readable(const struct sections *s)
{
	return s->written <= TTHEADER_ENTRIES_MAX;
}

/* The next entry, which stays, or not: then what is put into the writer stands in its place. */
static inline void sections_keep(struct sections *s, const struct ttheader_entry *e)
{
	if (e->section != s->section)
		sections_enter(s, e);
	s->t->count++;
	s->seen = e->offset + e->len;
}

static inline void sections_cut(struct sections *s, const struct ttheader_entry *e)
{
	if (e->section != s->section)
		sections_enter(s, e);
	sections_copy_upto(s, e->offset);
	s->copied += e->len;
	s->seen = e->offset + e->len;
}

#endif
