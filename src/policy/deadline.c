#include "policy/deadline.h"

struct deadline deadline_of(const struct deadline_policy *p, usec_t stated, usec_t start)
{
	struct deadline d = {.start = start, .stated = stated};

	if (stated == USEC_NONE) {
		d.allowed = p->call != USEC_NONE ? p->call : p->dflt;
		d.at = usec_after(start, d.allowed);
		return d;
	}
	d.allowed = usec_min(stated, p->call);
	if (p->call < stated) {
		d.at = usec_after(start, p->call);
		return d;
	}
	d.is_callers = true;
	if (p->margin == USEC_NONE)
		d.at = usec_after(start, usec_after(stated, DEADLINE_GRACE));
	else
		d.at = usec_after(start, stated - usec_min(p->margin, stated / 10));
	return d;
}

usec_t deadline_rest(const struct deadline *d, usec_t now)
{
	usec_t end = usec_after(d->start, d->allowed);

	if (end == USEC_NONE)
		return USEC_NONE;
	return end > now ? end - now : 0;
}

uint64_t deadline_rest_ms(const struct deadline *d, usec_t now)
{
	usec_t left = deadline_rest(d, now);

	if (left == USEC_NONE)
		return 0;
	return left < USEC_MS ? 1 : left / USEC_MS; /* 0 would read as no limit */
}

uint64_t deadline_to_write(const struct deadline *d, usec_t now)
{
	if (d->stated == USEC_NONE || deadline_rest(d, now) >= d->stated - d->stated / 100)
		return 0;
	return deadline_rest_ms(d, now);
}
