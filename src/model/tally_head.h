/*
 * What limit and breaker tallies have in common, for the table that finds them by name: private to
 * tally.c, limit_tally.c and breaker_tally.c.
 */
#ifndef BRIDLE_MODEL_TALLY_HEAD_H
#define BRIDLE_MODEL_TALLY_HEAD_H

#include "base/clock.h"
#include "base/ref.h"
#include "base/slice.h"

struct limit_config;
struct limit_tally;
struct service_tally;

/* The first member of a tally. */
struct tally_head {
	struct ref ref;
	char *name;          /* owned */
	usec_t absent_since; /* private to the table; USEC_NONE: somebody names it */
};

/* Zeroed but for its head, which is the table's to fill. */
struct tally_head *limit_tally_new(void);
struct tally_head *breaker_tally_new(void);
void limit_tally_free(struct tally_head *head);
void breaker_tally_free(struct tally_head *head);
/* Makes room for what @config asks for and the tally has not had yet. */
void limit_tally_prepare(struct limit_tally *tally, const struct limit_config *config);

/* Counts anew what is ejected or down: time alone ends ejections, and nobody is told. */
void service_tally_look(struct service_tally *service, usec_t now);

#endif
