#include "proxy/overload.h"

/* A level is reached at its share and left below another: 95 % stays until 90 % is passed
 * downwards. */
static const struct {
	const char *name;
	double reached, left;
} levels[] = {
    [OVERLOAD_NONE] = {"none", 0, 0},
    [OVERLOAD_SHRINK] = {"shrink", 0.80, 0.75},
    [OVERLOAD_REFUSE] = {"refuse", 0.90, 0.85},
    [OVERLOAD_CLOSED] = {"closed", 0.95, 0.90},
};

const char *overload_level_name(enum overload_level level)
{
	return levels[level].name;
}

static enum overload_level next(enum overload_level before, double used)
{
	int level = OVERLOAD_CLOSED;

	while (level > OVERLOAD_NONE) {
		double from = level <= (int)before ? levels[level].left : levels[level].reached;

		if (used >= from)
			break;
		level--;
	}
	return (enum overload_level)level;
}

struct overload_levels overload_next(
    struct overload_levels before, const struct overload_shares *shares)
{
	double memory = shares->memory > shares->resident ? shares->memory : shares->resident;
	struct overload_levels after = {
	    next(before.memory, memory), next(before.descriptors, shares->descriptors)};

	/* To refuse calls of those who are in would free none. */
	if (after.descriptors == OVERLOAD_REFUSE)
		after.descriptors = OVERLOAD_SHRINK;
	return after;
}
