#include "daemon/effective.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "daemon/control.h"
#include "daemon/fixed_keys.h"
#include "daemon/found_names.h"
#include "daemon/governance.h"
#include "daemon/successor.h"
#include "net/loop.h"

#define SOON      (10 * USEC_MS)
#define NOT_AGAIN (100 * USEC_MS) /* before so much has passed, or */
#define AT_MOST   10u             /* times as long as it took; so it is a tenth of a core */
#define AFTER_ALL USEC_S          /* but then */
#define TRY_AGAIN (5 * USEC_S)    /* when the file could not be bound */
#define ROUNDS    3               /* of leaving documents out that make no sense with the file */

struct effective {
	struct control *control;    /* borrowed */
	struct shared_config *file; /* a reference: what was loaded last */
	struct timer timer;
	usec_t not_before;  /* when it may run next */
	uint64_t additions; /* what was published, so that the same is not published again */
	bool limits_doors;  /* the doors are not as the file has them */
	bool has_failed;    /* and has said so */
};

/* ---- what is known ---- */

struct live_names {
	struct slice *list; /* owned */
	size_t n;
};

static void add_live(void *arg, const struct found_name *name)
{
	struct live_names *live = arg;

	if (name->state == FOUND_LIVE)
		live->list[live->n++] = name->name;
}

static struct live_names live_names(const struct control *c)
{
	struct live_names live = {mem_calloc(FOUND_NAMES_MAX, sizeof *live.list), 0};

	if (c->found_names)
		found_names_visit(c->found_names, add_live, &live);
	return live;
}

/* Names and overlays in one number. Names come in no order. */
static uint64_t hash_additions(
    const struct live_names *live, const struct config_overlay *overlays, size_t n)
{
	uint64_t hash = live->n;

	for (size_t i = 0; i < live->n; i++)
		hash += slice_hash(live->list[i], 1);
	for (size_t i = 0; i < n; i++) {
		hash = slice_hash(slice_str(overlays[i].path), hash);
		hash = slice_hash(slice_str(overlays[i].value), hash);
		hash = slice_hash(slice_str(overlays[i].source), hash);
	}
	return hash;
}

/* ---- what it comes to ---- */

static void log_problems(const struct problems *problems)
{
	for (size_t i = 0; i < problems->n; i++) {
		const struct problem *p = &problems->list[i];
		char key[LOG_ESCAPED_MAX], text[LOG_ESCAPED_MAX];

		log_escape(key, sizeof key, slice_str(p->path));
		log_escape(text, sizeof text, slice_str(p->text));
		log_warn("config", "a value cannot be used now", "from=%s key=\"%s\" what=\"%s\"",
		    p->file ? p->file : "", key, text);
	}
}

/* Documents whose values are among the problems count for nothing. True when there were such. */
static bool refuse_documents(struct governance *governance, const struct problems *problems)
{
	bool refused = false;

	for (size_t i = 0; i < problems->n; i++) {
		const struct problem *p = &problems->list[i];
		char why[512];

		snprintf(why, sizeof why, "%s: %s", p->path ? p->path : "", p->text);
		if (p->file && governance_refuse(governance, p->file, why))
			refused = true;
	}
	return refused;
}

/* One round. NULL when the file itself cannot be bound any more; *again when documents were left
 * out, so that it is to be tried without them. */
static struct config *derive(
    struct effective *e, const struct live_names *live, bool is_last, bool *again)
{
	struct governance *governance = e->control->governance;
	struct config_additions with = {.names = live->list, .n_names = live->n};
	struct config_overlay *overlays = governance_gather(governance, &with.n_overlays);
	struct problems problems;
	struct config *config;

	problems_init(&problems);
	with.overlays = overlays;
	config = config_derive(e->file->config, &with, &problems);
	*again = !is_last && refuse_documents(governance, &problems);
	if (!*again)
		log_problems(&problems);
	problems_fini(&problems);
	free(overlays);
	if (config && *again)
		config_free(&config);
	return config;
}

/* A new reference. */
static struct shared_config *build(struct effective *e, const struct live_names *live)
{
	struct config *config = NULL;
	const char *kept[FIXED_KEYS_MAX];
	bool again = true;

	for (int i = 1; again; i++)
		config = derive(e, live, i == ROUNDS, &again);
	if (config == NULL)
		return NULL;
	fixed_keys_keep(config, e->file->config, kept);
	return shared_config_new(config);
}

/* Nothing to add: the file itself. NULL as in derive. */
static struct shared_config *build_or_file(
    struct effective *e, const struct live_names *live, size_t n_overlays)
{
	if (n_overlays == 0 && live->n == 0)
		return shared_config_ref(e->file);
	return build(e, live);
}

/* What is in use stays, until the file can be bound again. */
static void complain(struct effective *e)
{
	if (!e->has_failed)
		log_error("config",
		    "the file cannot be used as it was loaded, no change is taken over", "hash=%s",
		    e->file->config->hash);
	e->has_failed = true;
}

/* ---- publishing ---- */

static bool same_limits(const struct config *a, const struct config *b)
{
	for (size_t i = 0; i < a->n_listeners; i++)
		if (a->listeners[i].connections != b->listeners[i].connections)
			return false;
	return true;
}

void effective_limit_doors(struct control *c)
{
	struct effective *e = c->effective;
	const struct config *config = c->snapshot->config;
	bool is_limited = !same_limits(config, e->file->config);
	struct bindings_plan plan;
	struct acceptor_plan doors;
	struct err err;

	if (c->stopping.is_under_way || successor_is_waiting(c->successor) ||
	    (!is_limited && !e->limits_doors))
		return;
	if (bindings_prepare(&c->bindings, config, &plan, &err) < 0) {
		log_error("config", "connections cannot be limited", "error=\"%s\"", err.text);
		return;
	}
	e->limits_doors = is_limited;
	doors = bindings_commit(&c->bindings, &plan);
	acceptor_apply(c->workers.acceptor, &doors);
}

static void publish(
    struct effective *e, const struct live_names *live, size_t n_overlays, bool must)
{
	struct shared_config *shared = build_or_file(e, live, n_overlays);

	if (shared == NULL)
		complain(e);
	else
		e->has_failed = false;
	if (shared == NULL && must)
		shared = shared_config_ref(e->file);
	if (shared == NULL)
		return;
	control_publish(e->control, shared);
	shared_config_unref(&shared);
}

static void timer_fired(struct timer *timer, usec_t now);

static void run(struct effective *e, bool must_publish)
{
	struct control *c = e->control;
	usec_t began = clock_monotonic(), pause;
	struct live_names live = live_names(c);
	struct config_overlay *overlays;
	uint64_t additions;
	size_t n;

	governance_follow(c->governance, e->file, live.list, live.n);
	overlays = governance_gather(c->governance, &n);
	additions = hash_additions(&live, overlays, n);
	free(overlays);
	if (must_publish || e->has_failed || additions != e->additions)
		publish(e, &live, n, must_publish);
	e->additions = additions;
	free(live.list);
	if (e->has_failed)
		wheel_set(
		    loop_wheel(c->loop), &e->timer, loop_now(c->loop) + TRY_AGAIN, timer_fired);
	pause = usec_min(AT_MOST * (clock_monotonic() - began), AFTER_ALL);
	e->not_before = loop_now(c->loop) + (pause > NOT_AGAIN ? pause : NOT_AGAIN);
}

static void timer_fired(struct timer *timer, usec_t now)
{
	struct effective *e = container_of(timer, struct effective, timer);

	(void)now;
	run(e, false);
	effective_limit_doors(e->control);
}

void effective_changed(struct control *c)
{
	struct effective *e = c->effective;
	usec_t now = loop_now(c->loop), at = now + SOON;

	if (e == NULL)
		return;
	if (e->not_before > at)
		at = e->not_before;
	if (!timer_is_set(&e->timer) || e->timer.at > at)
		wheel_set(loop_wheel(c->loop), &e->timer, at, timer_fired);
}

void effective_reload(struct control *c, struct shared_config *file)
{
	struct effective *e = c->effective;
	struct shared_config *old = e->file;

	e->file = shared_config_ref(file);
	shared_config_unref(&old);
	wheel_clear(&e->timer);
	e->limits_doors = false; /* they are about to be opened as the file has them */
	run(e, true);
}

/* ---- its life ---- */

struct effective *effective_new(struct control *c, struct shared_config *file)
{
	struct effective *e = mem_calloc(1, sizeof *e);

	e->control = c;
	e->file = shared_config_ref(file);
	c->governance = governance_new(c->discovery);
	governance_follow(c->governance, file, NULL, 0);
	return e;
}

void effective_free(struct effective **pe)
{
	struct effective *e = *pe;

	if (e == NULL)
		return;
	*pe = NULL;
	wheel_clear(&e->timer);
	governance_free(&e->control->governance);
	shared_config_unref(&e->file);
	free(e);
}
