#include "daemon/enrolment.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"

static const char *copy_text(struct arena *arena, const char *text)
{
	return text ? arena_str(arena, slice_str(text)) : NULL;
}

/* What was there before is not needed any more. */
static void keep_plan(struct enrolment *e, const struct registration_plan *plan, const char *label)
{
	struct arena before = e->arena;

	arena_init(&e->arena, NULL, 0);
	e->plan = *plan;
	e->plan.service = arena_copy(&e->arena, plan->service);
	e->plan.tags = config_map_copy(&e->arena, &plan->tags);
	e->label = copy_text(&e->arena, label);
	e->where = copy_text(&e->arena, registry_config_of(e->registry)->name);
	arena_fini(&before);
}

struct enrolment *enrolment_new(
    struct registry *registry, const struct registration_plan *plan, const char *label)
{
	struct enrolment *e = mem_calloc(1, sizeof *e);

	list_init(&e->link);
	arena_init(&e->arena, NULL, 0);
	e->registry = registry;
	keep_plan(e, plan, label);
	e->state = REGISTRATION_PENDING;
	e->registration = registry_enroll(registry, plan, e);
	return e;
}

void enrolment_free(struct enrolment **pe)
{
	struct enrolment *e = *pe;

	if (e == NULL)
		return;
	*pe = NULL;
	list_remove(&e->link);
	arena_fini(&e->arena);
	free(e);
}

bool enrolment_is_for(const struct enrolment *e, const struct registration_plan *plan)
{
	return slice_eq(e->plan.service, plan->service) &&
	       strcmp(e->plan.address.text, plan->address.text) == 0;
}

void enrolment_change(struct enrolment *e, const struct registration_plan *plan)
{
	if (e->is_leaving || (e->plan.weight == plan->weight && e->plan.ttl == plan->ttl &&
				 config_map_eq(&e->plan.tags, &plan->tags)))
		return;
	keep_plan(e, plan, e->label);
	log_info("registration", "changed", "service=%s registry=%s address=%s weight=%u", e->label,
	    e->where, e->plan.address.text, e->plan.weight);
	registration_change(e->registration, plan);
}

void enrolment_withdraw(struct enrolment *e, const char *why)
{
	if (e->is_leaving)
		return;
	e->is_leaving = true;
	snprintf(e->why, sizeof e->why, "%s", why);
	registration_withdraw(e->registration);
}

void enrolment_let_go(struct enrolment **pe)
{
	registration_let_go((*pe)->registration);
	enrolment_free(pe);
}

/* --- what the registry says --- */

static void say(const struct enrolment *e, enum log_level level, const char *event)
{
	char why[LOG_ESCAPED_MAX];

	log_escape(why, sizeof why, slice_str(e->why));
	log_write(level, "registration", event,
	    "service=%s registry=%s address=%s drifts=%" PRIu64 "%s%s%s", e->label, e->where,
	    e->plan.address.text, e->drifts, why[0] ? " why=\"" : "", why, why[0] ? "\"" : "");
}

static void say_state(struct enrolment *e)
{
	switch (e->state) {
	case REGISTRATION_PENDING:
	case REGISTRATION_WITHDRAWN:
		break;
	case REGISTRATION_PRESENT:
		say(e, LOG_LEVEL_INFO, e->was_present ? "back" : "published");
		e->was_present = true;
		break;
	case REGISTRATION_LOST:
		say(e, LOG_LEVEL_WARN, "lost");
		break;
	case REGISTRATION_CONTESTED:
		say(e, LOG_LEVEL_WARN, "contested: another holds our place");
		break;
	}
}

static void say_gone(struct enrolment *e, const char *error)
{
	if (error[0]) {
		snprintf(e->why, sizeof e->why, "%s", error);
		say(e, LOG_LEVEL_WARN, "withdrawn, but the registry has not confirmed it");
	} else {
		say(e, LOG_LEVEL_INFO, "withdrawn");
	}
}

bool enrolment_hear(struct enrolment *e)
{
	struct registration_report report = registration_report(e->registration);
	enum registration_state before = e->state;

	if (report.state == REGISTRATION_WITHDRAWN) {
		e->state = report.state;
		say_gone(e, report.error);
		return false;
	}
	if (e->is_leaving)
		return true; /* what becomes of it until then is nothing to tell */
	e->state = report.state;
	e->drifts = report.drifts;
	snprintf(e->why, sizeof e->why, "%s", report.error);
	if (e->state != before)
		say_state(e);
	return true;
}
