/*
 * One screen of top: rows put into as many lines and columns as there are. Pure; what comes from
 * outside is shown as ASCII, so that it can neither steer the terminal nor shift a column.
 */
#ifndef BRIDLE_CTL_TOP_FRAME_H
#define BRIDLE_CTL_TOP_FRAME_H

#include "base/text.h"
#include "ctl/top_rows.h"

#define TOP_WIDTH_MIN  20u
#define TOP_WIDTH_MAX  400u
#define TOP_HEIGHT_MIN 6u

struct top_screen {
	unsigned width, height; /* height 0: as many lines as it takes */
	bool is_terminal;       /* lines are erased to their ends, and the screen below the last */
	bool has_colours;
	enum top_order order;
	const char *trouble; /* why there is no newer answer; NULL: there is one */
};

/* Lines of at most the screen's width. On a terminal the last one has no line end. */
void top_frame(struct text *out, const struct top_screen *screen, const struct top_sample *now,
    const struct top_rows *rows, struct arena *arena);

#endif
