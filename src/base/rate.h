/* So many events in so much time: what a budget of frames or calls fills up with. */
#ifndef BRIDLE_BASE_RATE_H
#define BRIDLE_BASE_RATE_H

#include "base/clock.h"

struct rate {
	unsigned count;
	usec_t
	    per; /* a second, a minute or an hour: as it was written, so that nothing is rounded */
};

#endif
