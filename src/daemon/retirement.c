#include "daemon/retirement.h"

#include <stdlib.h>

#include "base/mem.h"
#include "net/loop.h"

#define LOOK_EVERY (200 * USEC_MS)

static void look(struct timer *timer, usec_t now)
{
	struct retirement *r = container_of(timer, struct retirement, look);
	size_t kept = 0;

	for (size_t i = 0; i < r->n; i++) {
		if (ref_is_sole(&r->list[i]->ref))
			snapshot_unref(&r->list[i]);
		else
			r->list[kept++] = r->list[i];
	}
	r->n = kept;
	if (r->n)
		wheel_set(loop_wheel(r->loop), timer, usec_after(now, LOOK_EVERY), look);
}

void retirement_take(struct retirement *r, struct loop *loop, struct snapshot *snapshot)
{
	r->loop = loop;
	if (r->n == r->room) {
		r->room = r->room ? 2 * r->room : 8;
		r->list = mem_realloc(r->list, r->room * sizeof(struct snapshot *));
	}
	r->list[r->n++] = snapshot;
	if (!timer_is_set(&r->look))
		wheel_set(loop_wheel(loop), &r->look, usec_after(loop_now(loop), LOOK_EVERY), look);
}

void retirement_fini(struct retirement *r)
{
	wheel_clear(&r->look);
	for (size_t i = 0; i < r->n; i++)
		snapshot_unref(&r->list[i]);
	free(r->list);
	*r = (struct retirement){0};
}
