#include "daemon/traffic.h"

static void init(struct traffic *t)
{
	*t = (struct traffic){0};
	arena_init(&t->arena, NULL, 0);
	table_init(&t->by_service, 0);
	table_init(&t->by_failure, 0);
}

void traffic_fini(struct traffic *t)
{
	table_fini(&t->by_service);
	table_fini(&t->by_failure);
	arena_fini(&t->arena);
}

const struct service_traffic *traffic_service(const struct traffic *t, struct slice label)
{
	return table_get(&t->by_service, label);
}

/* ---- services ---- */

static struct service_traffic *find_service(struct traffic *t, struct slice label)
{
	struct service_traffic *found = table_get(&t->by_service, label);

	if (found)
		return found;
	found = arena_calloc(&t->arena, 1, sizeof *found);
	found->label = label;
	table_put(&t->by_service, label, found);
	return found;
}

static void add_series(struct traffic *t, const struct call_series *s)
{
	struct service_traffic *to = find_service(t, s->labels.service);

	for (int i = 0; i < REASON_COUNT; i++) {
		uint64_t n = counter_get(&s->by_reason[i]);

		to->by_reason[i] += n;
		to->calls += n;
	}
	buckets_add(&to->took, &s->good);
	buckets_add(&to->took, &s->bad);
}

static void add_retries(struct traffic *t, const struct service_stats *s)
{
	struct service_traffic *to = find_service(t, slice_str(s->label));

	to->retries_connect += counter_get(&s->retries_connect);
	to->retries_unsent += counter_get(&s->retries_unsent);
	to->retries_failure += counter_get(&s->retries_failure);
	to->retries_backup += counter_get(&s->retries_backup);
}

void traffic_of_services(struct traffic *t, struct worker *const *workers, unsigned n)
{
	init(t);
	for (unsigned i = 0; i < n; i++) {
		const struct call_series *series =
		    atomic_load_explicit(&workers[i]->calls.first, memory_order_acquire);
		const struct service_stats *stats =
		    atomic_load_explicit(&workers[i]->services, memory_order_acquire);

		for (; series; series = atomic_load_explicit(&series->next, memory_order_acquire))
			add_series(t, series);
		for (; stats; stats = atomic_load_explicit(&stats->next, memory_order_acquire))
			add_retries(t, stats);
	}
}

/* ---- failures ---- */

static struct failure *find_failure(
    struct traffic *t, const struct call_labels *labels, enum reason reason)
{
	struct slice service = labels->service, method = labels->method, key;
	size_t room = 2 + service.len + method.len;
	uint8_t *bytes = arena_alloc(&t->arena, room);
	struct failure *found;

	bytes[0] = (uint8_t)reason;
	if (service.len)
		memcpy(bytes + 1, service.data, service.len);
	bytes[1 + service.len] = '\0'; /* labels have none */
	if (method.len)
		memcpy(bytes + 2 + service.len, method.data, method.len);
	key = slice_of(bytes, room);
	found = table_get(&t->by_failure, key);
	if (found)
		return found;
	found = arena_calloc(&t->arena, 1, sizeof *found);
	*found = (struct failure){
	    .next = t->failures, .service = service, .method = method, .reason = reason};
	t->failures = found;
	t->n_failures++;
	table_put(&t->by_failure, key, found);
	return found;
}

static void add_note(struct failure *to, const struct fault_note *note)
{
	usec_t first = atomic_load_explicit(&note->first, memory_order_relaxed);
	usec_t last = atomic_load_explicit(&note->last, memory_order_relaxed);

	to->first = to->first ? usec_min(to->first, first) : first;
	if (last >= to->last) {
		to->last = last;
		to->note = note;
	}
}

static const struct fault_note *find_note(const struct call_series *s, enum reason reason)
{
	const struct fault_note *note =
	    atomic_load_explicit(&s->faults.first, memory_order_acquire);

	while (note && note->reason != reason)
		note = atomic_load_explicit(&note->next, memory_order_acquire);
	return note;
}

static void add_failures(struct traffic *t, const struct call_series *s)
{
	for (int i = 0; i < REASON_COUNT; i++) {
		uint64_t n = counter_get(&s->by_reason[i]);
		const struct fault_note *note;
		struct failure *to;

		if (n == 0 || reason_is_success((enum reason)i))
			continue;
		to = find_failure(t, &s->labels, (enum reason)i);
		to->count += n;
		note = find_note(s, (enum reason)i);
		if (note)
			add_note(to, note);
	}
}

void traffic_of_failures(struct traffic *t, struct worker *const *workers, unsigned n)
{
	init(t);
	for (unsigned i = 0; i < n; i++) {
		const struct call_series *s =
		    atomic_load_explicit(&workers[i]->calls.first, memory_order_acquire);

		for (; s; s = atomic_load_explicit(&s->next, memory_order_acquire))
			add_failures(t, s);
	}
}
