/* What the daemon answers, read and printed: JSON and tables of text. */
#ifndef BRIDLE_CTL_ANSWER_H
#define BRIDLE_CTL_ANSWER_H

#include "ctl/command.h"

struct cJSON;

/* Members of an object; what is missing or of another type is "" or 0. */
const char *answer_text(const struct cJSON *object, const char *name);
double answer_number(const struct cJSON *object, const char *name);
/* Sum of a number over the items of a list. */
double answer_sum(const struct cJSON *list, const char *name);

/* GETs a page that is JSON into *root, owned by the caller. What goes wrong is complained about. */
enum ctl_exit answer_get(const struct ctl *ctl, const char *target, struct cJSON **root);
/*
 * POSTs @body, none where it is empty. CTL_DONE when what is asked for was done, CTL_FAILED when
 * not. The answer is in *root, owned by the caller, to be told in words; NULL when there is nothing
 * to tell any more: it was printed as JSON, or what goes wrong has been complained about.
 */
enum ctl_exit answer_post(
    const struct ctl *ctl, const char *target, struct slice body, struct cJSON **root);
/* Prints it as JSON, in lines. */
enum ctl_exit answer_print_json(const struct ctl *ctl, const struct cJSON *root);

#define TABLE_COLUMNS 16u

/* A table whose columns are as wide as what stands in them; numbers are set to the right. */
struct answer_table {
	const char *const *heads; /* one for each column; begins with '#' when it holds numbers */
	size_t n_columns;
	char **cells; /* owned */
	size_t n_cells, room;
};

void answer_table_init(struct answer_table *t, const char *const *heads, size_t n);
void answer_table_fini(struct answer_table *t);
/* The next cell, row by row. Bytes that steer a terminal are shown as '?'. */
void answer_table_add(struct answer_table *t, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void answer_table_print(const struct answer_table *t, FILE *to);

/* "1.2ms", "3h 5m": into @room of at least 24 bytes, which is returned. */
const char *answer_usec(double usec, char *room);

#endif
