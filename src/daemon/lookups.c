#include "daemon/lookups.h"

#include <stdlib.h>

#include "base/mem.h"
#include "daemon/control.h"
#include "daemon/effective.h"
#include "daemon/found_names.h"
#include "net/loop.h"

#define LOOK_AT_USE_EVERY (30 * USEC_S)

struct lookups {
	struct control *control; /* borrowed */
	struct timer look;       /* at what is used */
	struct list settled;     /* names that are to be services with the next snapshot */
};

struct settled_name {
	struct list link;
	size_t len;
	char text[];
};

/* ---- from a worker ---- */

struct wanted {
	struct control *control;
	size_t len;
	char text[];
};

static void wanted_here(void *arg)
{
	struct wanted *w = arg;
	struct control *c = w->control;

	if (c->found_names) /* the end may come between */
		found_names_want(c->found_names, slice_of(w->text, w->len), loop_now(c->loop));
	free(w);
}

void lookups_want(void *arg, struct slice name)
{
	struct lookups *l = arg;
	struct wanted *w = mem_alloc(sizeof *w + name.len);

	w->control = l->control;
	w->len = name.len;
	memcpy(w->text, name.data, name.len);
	inbox_post(l->control->inbox, wanted_here, w);
}

/* ---- what becomes of names ---- */

struct followed {
	struct slice *list; /* owned */
	size_t n;
};

static void add_followed(void *arg, const struct found_name *name)
{
	struct followed *f = arg;

	if (name->state != FOUND_FAILED)
		f->list[f->n++] = name->name;
}

static void names_changed(void *arg)
{
	struct lookups *l = arg;
	struct followed f = {mem_calloc(FOUND_NAMES_MAX + 1, sizeof *f.list), 0};

	found_names_visit(l->control->found_names, add_followed, &f);
	discovery_follow_names(l->control->discovery, f.list, f.n);
	free(f.list);
	effective_changed(l->control);
}

static void name_settled(void *arg, const struct found_name *name)
{
	struct lookups *l = arg;
	struct settled_name *s;

	if (name->state == FOUND_FAILED) {
		workers_named(&l->control->workers, name->name, name->why);
		return;
	}
	if (config_service(l->control->snapshot->config, name->name)) {
		workers_named(&l->control->workers, name->name, NULL);
		return;
	}
	s = mem_alloc(sizeof *s + name->name.len);
	s->len = name->name.len;
	memcpy(s->text, name->name.data, s->len);
	list_push_back(&l->settled, &s->link);
}

void lookups_published(struct lookups *l)
{
	list_each_safe (link, &l->settled) {
		struct settled_name *s = list_item(link, struct settled_name, link);
		struct slice name = slice_of(s->text, s->len);

		if (config_service(l->control->snapshot->config, name) == NULL)
			continue; /* with the next */
		workers_named(&l->control->workers, name, NULL);
		list_remove(&s->link);
		free(s);
	}
}

void lookups_heard(struct lookups *l, struct slice name, bool has_endpoints, const char *why)
{
	struct control *c = l->control;

	found_names_heard(c->found_names, name, has_endpoints, why, loop_now(c->loop));
}

void lookups_reloaded(struct lookups *l)
{
	struct control *c = l->control;

	if (c->snapshot->config->any)
		return;
	found_names_clear(c->found_names, loop_now(c->loop));
	list_each_safe (link, &l->settled) {
		struct settled_name *s = list_item(link, struct settled_name, link);

		workers_named(
		    &c->workers, slice_of(s->text, s->len), "names are not looked up any more");
		list_remove(&s->link);
		free(s);
	}
}

/* ---- what is used ---- */

static void look_at_use(struct timer *timer, usec_t now)
{
	struct lookups *l = container_of(timer, struct lookups, look);
	struct control *c = l->control;

	for (size_t i = 0; i < c->snapshot->n_services; i++) {
		const struct service *s = &c->snapshot->services[i];

		if (!s->config->is_found)
			continue;
		s->tally->times_used += atomic_exchange(&s->tally->is_used, false);
		found_names_used(c->found_names, s->label, s->tally->times_used, now);
	}
	wheel_set(loop_wheel(c->loop), timer, now + LOOK_AT_USE_EVERY, look_at_use);
}

/* ---- its life ---- */

struct lookups *lookups_new(struct control *c)
{
	static const struct found_events events = {names_changed, name_settled};
	struct lookups *l = mem_calloc(1, sizeof *l);

	l->control = c;
	list_init(&l->settled);
	c->found_names = found_names_new(loop_wheel(c->loop), &events, l);
	wheel_set(
	    loop_wheel(c->loop), &l->look, loop_now(c->loop) + LOOK_AT_USE_EVERY, look_at_use);
	return l;
}

void lookups_free(struct lookups **pl)
{
	struct lookups *l = *pl;

	if (l == NULL)
		return;
	*pl = NULL;
	wheel_clear(&l->look);
	found_names_free(&l->control->found_names);
	list_each_safe (link, &l->settled)
		free(list_item(link, struct settled_name, link));
	free(l);
}
