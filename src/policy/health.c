#include "policy/health.h"

#include "base/rng.h"

bool health_note(struct health_streak *s, bool is_good, unsigned rise, unsigned fall)
{
	enum health_state next = is_good ? HEALTH_STATE_UP : HEALTH_STATE_DOWN;
	unsigned needed = is_good ? rise : fall;

	if (s->state == next) {
		s->against = 0;
		return false;
	}
	/* Nothing speaks against one that was never found bad; a good check starts its count of bad
	 * ones anew in any case. */
	if (is_good && s->state == HEALTH_STATE_UNKNOWN)
		needed = 1;
	if (++s->against < needed)
		return false;
	*s = (struct health_streak){.state = next};
	return true;
}

usec_t health_wait(usec_t interval, struct rng *rng)
{
	return interval - interval / 10 + rng_below(rng, interval / 5 + 1);
}

usec_t health_first_wait(usec_t interval, struct rng *rng)
{
	return rng_below(rng, interval + 1);
}
