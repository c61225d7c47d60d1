#include "daemon/liveness.h"

#include <stdlib.h>

#include "base/mem.h"
#include "daemon/notify.h"
#include "net/loop.h"

#define LOOK_EVERY  (500 * USEC_MS)
#define STUCK_AFTER (5 * USEC_S)
#define WE_SLEPT    (2 * USEC_S) /* between two looks: then it was us who stood still */

struct pulse {
	uint64_t turns;
	usec_t seen; /* when they last moved */
};

struct liveness {
	struct loop *loop;             /* borrowed */
	const struct workers *workers; /* borrowed */
	struct pulse *pulses;          /* owned, one for each worker */
	struct timer look;
	usec_t looked;
	usec_t feed_every, fed; /* the watchdog */
	int stuck;
};

static void feed_watchdog(struct liveness *l, usec_t now)
{
	if (l->feed_every == USEC_NONE || l->stuck >= 0 || now < usec_after(l->fed, l->feed_every))
		return;
	l->fed = now;
	notify_send("WATCHDOG=1\n");
}

static void look(struct timer *timer, usec_t now)
{
	struct liveness *l = container_of(timer, struct liveness, look);
	bool we_slept = now - l->looked > WE_SLEPT;
	int stuck = -1;

	for (unsigned i = 0; i < l->workers->n; i++) {
		struct pulse *p = &l->pulses[i];
		uint64_t turns = loop_turns(worker_thread_loop(l->workers->threads[i]));

		/* A stopped process that goes on must not find all its workers dead. */
		if (turns != p->turns || we_slept) {
			p->turns = turns;
			p->seen = now;
		} else if (now - p->seen > STUCK_AFTER) {
			stuck = (int)i;
		}
	}
	if (stuck >= 0 && l->stuck < 0)
		log_error("worker", "its loop stands still", "index=%d", stuck);
	l->stuck = stuck;
	l->looked = now;
	feed_watchdog(l, now);
	wheel_set(loop_wheel(l->loop), &l->look, usec_after(now, LOOK_EVERY), look);
}

struct liveness *liveness_new(struct loop *loop, const struct workers *workers)
{
	struct liveness *l = mem_calloc(1, sizeof *l);
	usec_t interval = notify_watchdog_interval();

	l->loop = loop;
	l->workers = workers;
	l->pulses = mem_calloc(workers->n, sizeof *l->pulses);
	l->stuck = -1;
	/* Half of what is allowed, as sd_watchdog_enabled(3) advises, less what a look may be
	 * late. */
	l->feed_every = interval == USEC_NONE ? USEC_NONE : interval / 2;
	if (l->feed_every != USEC_NONE && l->feed_every > LOOK_EVERY)
		l->feed_every -= LOOK_EVERY;
	look(&l->look, loop_now(loop));
	return l;
}

void liveness_free(struct liveness **pl)
{
	struct liveness *l = *pl;

	if (l == NULL)
		return;
	*pl = NULL;
	wheel_clear(&l->look);
	free(l->pulses);
	free(l);
}

int liveness_stuck_worker(const struct liveness *l)
{
	return l->stuck;
}
