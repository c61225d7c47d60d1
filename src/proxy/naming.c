#include "proxy/naming.h"

#include <stdlib.h>

#include "base/mem.h"
#include "proxy/call.h"
#include "proxy/worker.h"

/* All calls of a worker that wait for one name. */
struct name_wait {
	struct worker *worker; /* borrowed */
	char *text;            /* owned */
	struct slice name;
	struct list calls;
	bool is_settling; /* out of the table already */
};

void naming_init(struct worker *w)
{
	table_init(&w->name_waits, rng_next(&w->rng));
}

void naming_fini(struct worker *w)
{
	table_fini(&w->name_waits);
}

static void free_wait(struct name_wait *wait)
{
	free(wait->text);
	free(wait);
}

static struct name_wait *wait_for(struct worker *w, struct slice name)
{
	struct name_wait *wait = table_get(&w->name_waits, name);

	if (wait)
		return wait;
	wait = mem_calloc(1, sizeof *wait);
	wait->worker = w;
	wait->text = slice_dup(name);
	wait->name = slice_of(wait->text, name.len);
	list_init(&wait->calls);
	table_put(&w->name_waits, wait->name, wait);
	w->want_name(w->wake_arg, name);
	return wait;
}

bool naming_wait(struct call *call, struct slice name)
{
	struct naming *n = &call->naming;

	if (n->wait)
		return true; /* woken by something else meanwhile */
	if (n->is_over || call->worker->want_name == NULL)
		return false;
	n->is_over = true;
	n->wait = wait_for(call->worker, name);
	list_push_back(&n->wait->calls, &n->link);
	return true;
}

void naming_cancel(struct call *call)
{
	struct name_wait *wait = call->naming.wait;

	if (wait == NULL)
		return;
	call->naming.wait = NULL;
	list_remove(&call->naming.link);
	if (wait->is_settling || !list_is_empty(&wait->calls))
		return;
	table_remove(&wait->worker->name_waits, wait->name);
	free_wait(wait);
}

void naming_settled(struct worker *w, struct slice name, const char *why)
{
	struct name_wait *wait = table_remove(&w->name_waits, name);

	if (wait == NULL)
		return; /* those who waited have gone */
	wait->is_settling = true;
	while (!list_is_empty(&wait->calls)) {
		struct call *call = container_of(wait->calls.next, struct call, naming.link);

		naming_cancel(call);
		call_is_named(call, why);
	}
	free_wait(wait);
}
