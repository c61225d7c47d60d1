#include "daemon/found_names.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/list.h"
#include "base/mem.h"
#include "base/table.h"
#include "base/wheel.h"

struct entry {
	struct list link; /* in names->of_state */
	struct found_names *names;
	char *text; /* owned */
	struct slice name;
	enum found_state state;
	char why[160];
	uint64_t calls; /* when it was last looked at */
	usec_t used_at;
	struct timer timer; /* LOOKING: patience; FAILED: until it is forgotten */
};

struct found_names {
	struct wheel *wheel; /* borrowed */
	const struct found_events *events;
	void *arg;
	struct table by_name;
	struct list of_state[FOUND_FAILED + 1];
	size_t n[FOUND_FAILED + 1];
};

struct found_names *found_names_new(
    struct wheel *wheel, const struct found_events *events, void *arg)
{
	struct found_names *names = mem_calloc(1, sizeof *names);

	names->wheel = wheel;
	names->events = events;
	names->arg = arg;
	table_init(&names->by_name, (uint64_t)(uintptr_t)names);
	for (int i = 0; i <= FOUND_FAILED; i++)
		list_init(&names->of_state[i]);
	return names;
}

static void forget(struct entry *e)
{
	table_remove(&e->names->by_name, e->name);
	list_remove(&e->link);
	e->names->n[e->state]--;
	wheel_clear(&e->timer);
	free(e->text);
	free(e);
}

static void forget_all(struct found_names *names)
{
	for (int i = 0; i <= FOUND_FAILED; i++)
		list_each_safe (link, &names->of_state[i])
			forget(list_item(link, struct entry, link));
}

void found_names_free(struct found_names **names)
{
	if (*names == NULL)
		return;
	forget_all(*names);
	table_fini(&(*names)->by_name);
	free(*names);
	*names = NULL;
}

static void move_to(struct entry *e, enum found_state state)
{
	struct found_names *names = e->names;

	list_remove(&e->link);
	names->n[e->state]--;
	e->state = state;
	names->n[state]++;
	list_push_back(&names->of_state[state], &e->link);
}

static void settled(const struct entry *e)
{
	struct found_name name = {e->name, e->state, e->why};

	e->names->events->settled(e->names->arg, &name);
}

static void refused_long_enough(struct timer *timer, usec_t now)
{
	(void)now;
	forget(container_of(timer, struct entry, timer));
}

/* There are no more of them than of those that are followed: callers can make up as many as they
 * like. */
static void bound_failed(struct found_names *names)
{
	if (names->n[FOUND_FAILED] > FOUND_NAMES_MAX)
		forget(list_item(names->of_state[FOUND_FAILED].next, struct entry, link));
}

static void fail(struct entry *e, const char *why, usec_t now)
{
	struct found_names *names = e->names;

	snprintf(e->why, sizeof e->why, "%s", why);
	move_to(e, FOUND_FAILED);
	wheel_set(names->wheel, &e->timer, now + FOUND_NAME_REFUSED, refused_long_enough);
	names->events->changed(names->arg);
	settled(e);
	bound_failed(names);
}

static void patience_is_over(struct timer *timer, usec_t now)
{
	fail(container_of(timer, struct entry, timer), "the registry has not answered within 3 s",
	    now);
}

static void look_up(struct found_names *names, struct slice name, usec_t now)
{
	struct entry *e = mem_calloc(1, sizeof *e);

	e->names = names;
	e->text = slice_dup(name);
	e->name = slice_of(e->text, name.len);
	e->used_at = now;
	e->state = FOUND_LOOKING;
	names->n[FOUND_LOOKING]++;
	list_push_back(&names->of_state[FOUND_LOOKING], &e->link);
	table_put(&names->by_name, e->name, e);
	wheel_set(names->wheel, &e->timer, now + FOUND_NAME_PATIENCE, patience_is_over);
	names->events->changed(names->arg);
}

void found_names_want(struct found_names *names, struct slice name, usec_t now)
{
	struct entry *e = table_get(&names->by_name, name);
	struct found_name too_many = {
	    name, FOUND_FAILED, "1000 names that no file lists are followed already"};

	if (e == NULL) {
		if (names->n[FOUND_LOOKING] + names->n[FOUND_LIVE] < FOUND_NAMES_MAX)
			look_up(names, name, now);
		else
			names->events->settled(names->arg, &too_many);
	} else if (e->state != FOUND_LOOKING) {
		e->used_at = now;
		settled(e);
	}
}

void found_names_heard(
    struct found_names *names, struct slice name, bool has_endpoints, const char *why, usec_t now)
{
	struct entry *e = table_get(&names->by_name, name);

	if (e == NULL || e->state != FOUND_LOOKING)
		return;
	if (!has_endpoints) {
		fail(e, why, now);
		return;
	}
	wheel_clear(&e->timer);
	e->used_at = now;
	move_to(e, FOUND_LIVE);
	names->events->changed(names->arg);
	settled(e);
}

void found_names_used(struct found_names *names, struct slice name, uint64_t calls, usec_t now)
{
	struct entry *e = table_get(&names->by_name, name);

	if (e == NULL || e->state != FOUND_LIVE)
		return;
	if (calls != e->calls) {
		e->calls = calls;
		e->used_at = now;
	} else if (now >= e->used_at + FOUND_NAME_KEPT) {
		forget(e);
		names->events->changed(names->arg);
	}
}

void found_names_clear(struct found_names *names, usec_t now)
{
	bool was_any = names->by_name.used > 0;

	list_each_safe (link, &names->of_state[FOUND_LOOKING])
		fail(list_item(link, struct entry, link), "names are not looked up any more", now);
	forget_all(names);
	if (was_any)
		names->events->changed(names->arg);
}

void found_names_visit(const struct found_names *names,
    void (*visit)(void *arg, const struct found_name *name), void *arg)
{
	for (int i = 0; i <= FOUND_FAILED; i++)
		list_each_safe (link, &names->of_state[i]) {
			const struct entry *e = list_item(link, struct entry, link);
			struct found_name name = {e->name, e->state, e->why};

			visit(arg, &name);
		}
}
