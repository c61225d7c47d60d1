/*
 * What of ours stands in a registry: plans, states, and who is told about them. How a registration
 * is put and kept there is the client's business.
 *
 *     enroll --> PENDING --> PRESENT <--> LOST, CONTESTED
 *        every state --withdraw, gone or five seconds--> WITHDRAWN, and forgotten
 *
 * A key is never given to the client twice at a time: a new registration is held back until the one
 * that leaves its place is gone.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "registry/registry_impl.h"

#define WITHDRAW_WITHIN (5 * USEC_S)

const char *registration_state_name(enum registration_state state)
{
	switch (state) {
	case REGISTRATION_PENDING:
		return "pending";
	case REGISTRATION_PRESENT:
		return "present";
	case REGISTRATION_LOST:
		return "lost";
	case REGISTRATION_CONTESTED:
		return "contested";
	case REGISTRATION_WITHDRAWN:
		return "withdrawn";
	}
	return "pending";
}

static void copy_plan(struct registration *reg, const struct registration_plan *plan)
{
	reg->plan = *plan;
	reg->plan.service = slice_str(arena_str(&reg->arena, plan->service));
	reg->plan.tags = config_map_copy(&reg->arena, &plan->tags);
}

static void tell_registration(struct registration *reg)
{
	if (list_is_empty(&reg->changed))
		list_push_back(&reg->registry->changed_registrations, &reg->changed);
	loop_defer(reg->registry->place.loop, &reg->registry->tell);
}

static bool same_place(const struct registration *a, const struct registration *b)
{
	return slice_eq(a->plan.service, b->plan.service) &&
	       strcmp(a->plan.address.text, b->plan.address.text) == 0;
}

static void give_to_client(struct registration *reg)
{
	struct registry *r = reg->registry;

	reg->is_held = false;
	if (r->ops->enroll) {
		r->ops->enroll(r->client, reg);
		return;
	}
	reg->is_gone = true;
	registration_is(reg, REGISTRATION_LOST, "nothing can be registered there");
}

struct registration *registry_enroll(
    struct registry *r, const struct registration_plan *plan, void *arg)
{
	struct registration *reg = mem_calloc(1, sizeof *reg);

	reg->registry = r;
	reg->arg = arg;
	arena_init(&reg->arena, NULL, 0);
	copy_plan(reg, plan);
	list_init(&reg->changed);
	list_each (link, &r->registrations) {
		const struct registration *other = list_item(link, struct registration, link);

		/* One that is gone, and only not told yet, has given its place away already. */
		if (!other->is_gone && same_place(other, reg))
			reg->is_held = true;
	}
	list_push_back(&r->registrations, &reg->link);
	if (!reg->is_held)
		give_to_client(reg);
	return reg;
}

void registration_change(struct registration *reg, const struct registration_plan *plan)
{
	struct arena old = reg->arena;

	arena_init(&reg->arena, NULL, 0);
	copy_plan(reg, plan);
	if (!reg->is_held && !reg->is_gone)
		reg->registry->ops->enroll(reg->registry->client, reg);
	arena_fini(&old);
}

static void registration_free(struct registration *reg)
{
	wheel_clear(&reg->patience);
	list_remove(&reg->link);
	list_remove(&reg->changed);
	arena_fini(&reg->arena);
	free(reg);
}

static void withdrawn(struct registration *reg)
{
	wheel_clear(&reg->patience);
	if (reg->state == REGISTRATION_WITHDRAWN)
		return;
	reg->state = REGISTRATION_WITHDRAWN;
	tell_registration(reg);
}

static void waited_enough(struct timer *timer, usec_t now)
{
	struct registration *reg = container_of(timer, struct registration, patience);

	(void)now;
	snprintf(reg->error, sizeof reg->error, "the registry has not answered in time");
	withdrawn(reg);
}

void registration_withdraw(struct registration *reg)
{
	struct registry *r = reg->registry;

	if (reg->is_leaving)
		return;
	reg->is_leaving = true;
	if (reg->is_held || reg->is_gone) {
		reg->is_gone = true;
		withdrawn(reg);
		return;
	}
	wheel_set(loop_wheel(r->place.loop), &reg->patience,
	    usec_after(loop_now(r->place.loop), WITHDRAW_WITHIN), waited_enough);
	r->ops->withdraw(r->client, reg);
}

void registration_let_go(struct registration *reg)
{
	struct registry *r = reg->registry;

	if (!reg->is_held && !reg->is_gone && r->ops->let_go)
		r->ops->let_go(r->client, reg);
	registration_free(reg);
}

void registration_is(struct registration *reg, enum registration_state state, const char *why)
{
	bool is_bad = state == REGISTRATION_LOST || state == REGISTRATION_CONTESTED;
	bool is_new = reg->state != state || strcmp(reg->error, why) != 0;

	if (reg->is_leaving || !is_new)
		return;
	if (is_bad && reg->state == REGISTRATION_PRESENT)
		reg->drifts++;
	/* What is to be done about it, and said, is its owner's business. */
	log_debug("registry", "a registration",
	    "name=%s service=%.*s address=%s state=%s drifts=%" PRIu64 " why=\"%s\"",
	    reg->registry->config->name, (int)reg->plan.service.len,
	    (const char *)reg->plan.service.data, reg->plan.address.text,
	    registration_state_name(state), reg->drifts, why);
	reg->state = state;
	snprintf(reg->error, sizeof reg->error, "%s", why);
	tell_registration(reg);
}

/* The first that waits for the place takes it; others behind it go on waiting. */
static void give_place(struct registry *r, const struct registration *gone)
{
	list_each (link, &r->registrations) {
		struct registration *next = list_item(link, struct registration, link);

		if (next->is_held && !next->is_leaving && same_place(next, gone)) {
			give_to_client(next);
			return;
		}
	}
}

static void free_when_done(struct registration *reg)
{
	if (reg->is_gone && reg->is_told)
		registration_free(reg);
}

void registration_gone(struct registration *reg)
{
	struct registry *r = reg->registry;

	reg->is_gone = true;
	reg->client = NULL;
	withdrawn(reg);
	list_remove(&reg->link);
	give_place(r, reg);
	list_push_back(&r->registrations, &reg->link);
	free_when_done(reg);
}

struct registration_report registration_report(const struct registration *reg)
{
	return (struct registration_report){
	    .service = reg->plan.service,
	    .address = &reg->plan.address,
	    .registry = reg->registry->config,
	    .state = reg->state,
	    .drifts = reg->drifts,
	    .error = reg->error,
	    .arg = reg->arg,
	};
}

size_t registration_count(const struct registry *r)
{
	size_t n = 0;

	list_each (link, &r->registrations)
		n += !list_item(link, struct registration, link)->is_told;
	return n;
}

void registration_tell_all(struct registry *r)
{
	struct list *link;

	while ((link = list_pop_front(&r->changed_registrations))) {
		struct registration *reg = list_item(link, struct registration, changed);

		reg->is_told = reg->state == REGISTRATION_WITHDRAWN;
		r->events.registration_changed(r->arg, reg);
		free_when_done(reg);
	}
}

void registration_end_all(struct registry *r)
{
	list_each_safe (link, &r->registrations)
		registration_free(list_item(link, struct registration, link));
}
