#include "registry/zookeeper_entry.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Somebody who takes the parents away as fast as we make them is not raced against. */
#define TURNS_MAX 64u

void zookeeper_entry_init(struct zookeeper_entry *e)
{
	*e = (struct zookeeper_entry){.step = ZOOKEEPER_ENTRY_READ, .state = REGISTRATION_PENDING};
}

static void step_to(struct zookeeper_entry *e, enum zookeeper_entry_step step)
{
	e->step = step;
	e->is_asked = false;
}

static void say(struct zookeeper_entry *e, enum registration_state state, const char *why)
{
	e->state = state;
	snprintf(e->why, sizeof e->why, "%s", why);
}

/* Not there as it should be: before the first time it is only not there yet. */
static void say_missing(struct zookeeper_entry *e, const char *why)
{
	bool was_there = e->state != REGISTRATION_PENDING;

	say(e, was_there ? REGISTRATION_LOST : REGISTRATION_PENDING, why);
}

static void remember_session(struct zookeeper_entry *e)
{
	e->former[e->n_former++ % ZOOKEEPER_ENTRY_FORMER] = e->session;
}

static bool was_session(const struct zookeeper_entry *e, int64_t session)
{
	for (unsigned i = 0; i < e->n_former && i < ZOOKEEPER_ENTRY_FORMER; i++)
		if (e->former[i] == session)
			return true;
	return false;
}

void zookeeper_entry_begin(struct zookeeper_entry *e, int64_t session)
{
	if (e->session && e->session != session)
		remember_session(e);
	e->session = session;
	e->turns = 0;
	if (e->step != ZOOKEEPER_ENTRY_GONE)
		step_to(e, ZOOKEEPER_ENTRY_READ);
}

void zookeeper_entry_look(struct zookeeper_entry *e)
{
	if (e->step != ZOOKEEPER_ENTRY_REST)
		return; /* what is asked ends with a look anyway */
	e->turns = 0;
	step_to(e, ZOOKEEPER_ENTRY_READ);
}

void zookeeper_entry_rewrite(struct zookeeper_entry *e)
{
	e->is_rewritten = true;
	zookeeper_entry_look(e);
}

void zookeeper_entry_leave(struct zookeeper_entry *e)
{
	e->is_leaving = true;
	zookeeper_entry_look(e);
}

void zookeeper_entry_away(struct zookeeper_entry *e, const char *why)
{
	say_missing(e, why);
}

enum zookeeper_entry_step zookeeper_entry_next(struct zookeeper_entry *e)
{
	if (e->is_asked || e->step == ZOOKEEPER_ENTRY_GONE)
		return ZOOKEEPER_ENTRY_REST;
	/* Whatever it was about to do: what it finds decides how it leaves. */
	if (e->is_leaving && e->step != ZOOKEEPER_ENTRY_REMOVE)
		e->step = ZOOKEEPER_ENTRY_READ;
	e->is_asked = e->step != ZOOKEEPER_ENTRY_REST;
	return e->step;
}

/* ---- answers ---- */

static enum zookeeper_verdict refused(struct zookeeper_entry *e, const struct zookeeper_answer *a)
{
	char why[128];

	snprintf(why, sizeof why, "ZooKeeper refuses: %s", a->text);
	say_missing(e, why);
	step_to(e, ZOOKEEPER_ENTRY_REST);
	return ZOOKEEPER_VERDICT_PAUSE;
}

static enum zookeeper_verdict go_on(struct zookeeper_entry *e, enum zookeeper_entry_step step)
{
	static const struct zookeeper_answer busy = {
	    .text = "others keep changing the nodes around it"};

	if (++e->turns > TURNS_MAX)
		return refused(e, &busy);
	step_to(e, step);
	return ZOOKEEPER_VERDICT_ON;
}

static enum zookeeper_verdict found_ours(struct zookeeper_entry *e, bool is_same)
{
	if (e->is_leaving)
		return go_on(e, ZOOKEEPER_ENTRY_REMOVE);
	e->was_put = true;
	if (is_same) {
		e->is_rewritten = false;
		say(e, REGISTRATION_PRESENT, "");
		step_to(e, ZOOKEEPER_ENTRY_REST);
		return ZOOKEEPER_VERDICT_ON;
	}
	if (!e->is_rewritten && e->state == REGISTRATION_PRESENT)
		say(e, REGISTRATION_LOST, "somebody has changed our node; it is written again");
	return go_on(e, ZOOKEEPER_ENTRY_WRITE);
}

static enum zookeeper_verdict found_others(struct zookeeper_entry *e, int64_t owner)
{
	char why[128];

	if (e->is_leaving && !was_session(e, owner)) {
		step_to(e, ZOOKEEPER_ENTRY_GONE);
		return ZOOKEEPER_VERDICT_ON;
	}
	if (e->is_leaving)
		return go_on(e, ZOOKEEPER_ENTRY_REMOVE);
	if (was_session(e, owner))
		return go_on(e, ZOOKEEPER_ENTRY_REPLACE);
	if (!e->was_put)
		return go_on(e, ZOOKEEPER_ENTRY_REPLACE) == ZOOKEEPER_VERDICT_ON
			   ? ZOOKEEPER_VERDICT_TAKEN
			   : ZOOKEEPER_VERDICT_PAUSE;
	if (owner)
		snprintf(
		    why, sizeof why, "the session 0x%" PRIx64 " holds our node", (uint64_t)owner);
	else
		snprintf(why, sizeof why, "a node that stays is in place of ours");
	say(e, REGISTRATION_CONTESTED, why);
	step_to(e, ZOOKEEPER_ENTRY_REST);
	return ZOOKEEPER_VERDICT_ON;
}

static enum zookeeper_verdict was_read(
    struct zookeeper_entry *e, const struct zookeeper_answer *a, bool is_same)
{
	if (a->code == ZOOKEEPER_OK) {
		e->version = a->version;
		return a->owner && a->owner == e->session ? found_ours(e, is_same)
							  : found_others(e, a->owner);
	}
	if (a->code != ZOOKEEPER_NO_NODE)
		return refused(e, a);
	if (e->is_leaving) {
		step_to(e, ZOOKEEPER_ENTRY_GONE);
		return ZOOKEEPER_VERDICT_ON;
	}
	if (e->state == REGISTRATION_PRESENT)
		say(e, REGISTRATION_LOST, "our node was missing; it is made again");
	return go_on(e, ZOOKEEPER_ENTRY_PUBLISH);
}

static enum zookeeper_verdict was_published(
    struct zookeeper_entry *e, const struct zookeeper_answer *a)
{
	switch (a->code) {
	case ZOOKEEPER_OK:
		e->was_put = true;
		return go_on(e, ZOOKEEPER_ENTRY_READ);
	case ZOOKEEPER_NODE_EXISTS:
		return go_on(e, ZOOKEEPER_ENTRY_READ);
	case ZOOKEEPER_NO_NODE:
		e->parent = 0;
		return go_on(e, ZOOKEEPER_ENTRY_PARENT);
	default:
		return refused(e, a);
	}
}

static enum zookeeper_verdict parent_made(
    struct zookeeper_entry *e, const struct zookeeper_answer *a, bool is_last)
{
	/* One above it went meanwhile: publishing finds out, and begins anew. */
	bool is_there = a->code == ZOOKEEPER_OK || a->code == ZOOKEEPER_NODE_EXISTS ||
			a->code == ZOOKEEPER_NO_NODE;

	if (!is_there)
		return refused(e, a);
	if (is_last || a->code == ZOOKEEPER_NO_NODE)
		return go_on(e, ZOOKEEPER_ENTRY_PUBLISH);
	e->parent++;
	return go_on(e, ZOOKEEPER_ENTRY_PARENT);
}

/* Of REPLACE and WRITE: what was read is not what was there by then, so it is read again. */
static enum zookeeper_verdict was_written(
    struct zookeeper_entry *e, const struct zookeeper_answer *a)
{
	switch (a->code) {
	case ZOOKEEPER_OK:
		e->was_put = true;
		return go_on(e, ZOOKEEPER_ENTRY_READ);
	case ZOOKEEPER_NO_NODE:
	case ZOOKEEPER_NODE_EXISTS:
	case ZOOKEEPER_OTHER_VERSION:
		return go_on(e, ZOOKEEPER_ENTRY_READ);
	default:
		return refused(e, a);
	}
}

static enum zookeeper_verdict was_removed(
    struct zookeeper_entry *e, const struct zookeeper_answer *a)
{
	if (a->code == ZOOKEEPER_OTHER_VERSION)
		return go_on(e, ZOOKEEPER_ENTRY_READ);
	if (a->code != ZOOKEEPER_OK && a->code != ZOOKEEPER_NO_NODE)
		return refused(e, a);
	step_to(e, ZOOKEEPER_ENTRY_GONE);
	return ZOOKEEPER_VERDICT_ON;
}

enum zookeeper_verdict zookeeper_entry_answered(
    struct zookeeper_entry *e, const struct zookeeper_answer *a, bool is_same, bool is_last_parent)
{
	if (!e->is_asked)
		return ZOOKEEPER_VERDICT_ON;
	e->is_asked = false;
	if (a->code == ZOOKEEPER_LOST) {
		step_to(e, ZOOKEEPER_ENTRY_READ);
		return ZOOKEEPER_VERDICT_RETRY;
	}
	switch (e->step) {
	case ZOOKEEPER_ENTRY_READ:
		return was_read(e, a, is_same);
	case ZOOKEEPER_ENTRY_PUBLISH:
		return was_published(e, a);
	case ZOOKEEPER_ENTRY_PARENT:
		return parent_made(e, a, is_last_parent);
	case ZOOKEEPER_ENTRY_REPLACE:
	case ZOOKEEPER_ENTRY_WRITE:
		return was_written(e, a);
	case ZOOKEEPER_ENTRY_REMOVE:
		return was_removed(e, a);
	case ZOOKEEPER_ENTRY_REST:
	case ZOOKEEPER_ENTRY_GONE:
		break;
	}
	return ZOOKEEPER_VERDICT_ON;
}
