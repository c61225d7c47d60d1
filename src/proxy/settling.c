#include "proxy/settling.h"

#include "net/loop.h"
#include "proxy/backend.h"
#include "proxy/worker.h"
#include "proxy/world.h"

#define AT_ONCE 256u /* backends looked at, or endpoints, in one turn: some 20 us */

/* Returns how many of @budget are left. */
static size_t follow_some(struct worker *w, size_t budget)
{
	struct settling *s = &w->settling;

	for (; budget && s->n_backends && !list_is_empty(&w->backend_list); budget--) {
		struct list *first = w->backend_list.next;

		s->n_backends--;
		list_remove(first);
		list_push_back(&w->backend_list, first);
		backend_follow(list_item(first, struct backend, link), w->world->snapshot);
	}
	return budget;
}

/* Connections are made by the backend itself, as soon as it is there. */
static size_t warm_some(struct worker *w, size_t budget)
{
	struct settling *s = &w->settling;
	const struct snapshot *snapshot = w->world->snapshot;

	for (; budget && s->service < snapshot->n_services; budget--) {
		struct world_service *ws = &w->world->services[s->service];

		if (ws->service->config->policy.pool_warm &&
		    s->endpoint < ws->service->n_endpoints) {
			if (!ws->service->endpoints[s->endpoint].is_disabled)
				world_backend(w->world, ws, s->endpoint);
			s->endpoint++;
			continue;
		}
		s->service++;
		s->endpoint = 0;
	}
	return budget;
}

static void go_on(struct timer *timer, usec_t now)
{
	struct worker *w = container_of(timer, struct worker, settling.next);

	if (warm_some(w, follow_some(w, AT_ONCE)) == 0)
		wheel_set(loop_wheel(w->loop), timer, now, go_on);
}

void settling_begin(struct worker *w)
{
	struct settling *s = &w->settling;

	s->n_backends = w->backends.used;
	s->service = s->endpoint = 0;
	go_on(&s->next, loop_now(w->loop));
}

void settling_end(struct worker *w)
{
	wheel_clear(&w->settling.next);
}
