/*
 * What an answer of a registry means for a service: sets are put in order, equal ones change
 * nothing, errors keep what is known, and an empty answer is believed only as configured.
 *
 *     UNKNOWN --set--> FRESH <--set-- STALE <--error, empty answer-- FRESH
 *        |                              |
 *        +--empty answer--> EMPTY <-----+ empty for `empty.keep`, or obeyed at once
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "registry/cache.h"
#include "registry/cache_writer.h"
#include "registry/registry_impl.h"

#define SKIPPED_LINES 20u /* of one answer */

/* ---- lists ---- */

/* Of equal addresses the one that was given first comes first. */
static int by_address(const void *a, const void *b)
{
	const struct endpoint *x = *(const struct endpoint *const *)a;
	const struct endpoint *y = *(const struct endpoint *const *)b;
	int order = strcmp(x->address.text, y->address.text);

	return order ? order : (x > y) - (x < y);
}

static const char *unusable(const struct registry *r, const struct endpoint *e)
{
	switch (e->address.kind) {
	case ADDRESS_IP:
		break;
	case ADDRESS_UNIX:
	case ADDRESS_ABSTRACT:
		if (r->config->type != REGISTRY_FILE)
			return "a unix socket is taken from a file only";
		break;
	case ADDRESS_NAME:
		return "a host name is not an address";
	}
	if (e->address.kind == ADDRESS_IP && e->address.port == 0)
		return "its port is 0";
	if (e->weight > 1000000)
		return "its weight is more than 1000000";
	return NULL;
}

/* Pointers to what may be used of @set, sorted by address, each address once; the caller frees. */
static const struct endpoint **in_order(
    struct followed *f, const struct endpoint *set, size_t n, size_t *n_kept)
{
	const struct endpoint **sorted = mem_calloc(n + 1, sizeof(const struct endpoint *));
	size_t usable = 0, kept = 0;
	bool is_sorted = true;

	for (size_t i = 0; i < n; i++) {
		const char *why = unusable(f->registry, &set[i]);

		if (why) {
			registry_skipped(
			    f->registry, slice_str(f->name), slice_str(set[i].address.text), why);
			continue;
		}
		is_sorted = is_sorted && (usable == 0 || strcmp(sorted[usable - 1]->address.text,
							     set[i].address.text) < 0);
		sorted[usable++] = &set[i];
	}
	/* Most registries give their keys in order. */
	if (!is_sorted)
		qsort(sorted, usable, sizeof *sorted, by_address);
	for (size_t i = 0; i < usable; i++)
		if (kept == 0 ||
		    strcmp(sorted[kept - 1]->address.text, sorted[i]->address.text) != 0)
			sorted[kept++] = sorted[i];
	*n_kept = kept;
	return sorted;
}

static bool same_list(const struct endpoint_list *l, const struct endpoint *const *sorted, size_t n)
{
	if (l == NULL || l->n != n)
		return l == NULL && n == 0;
	for (size_t i = 0; i < n; i++)
		if (!history_same(&l->list[i], sorted[i]))
			return false;
	return true;
}

/* ---- one service ---- */

static size_t endpoints_of(const struct followed *f)
{
	return f->set ? f->set->n : 0;
}

static void remember(struct followed *f, int kind, const char *address, const char *text)
{
	struct registry_change change = {
	    .at = loop_calendar(f->registry->place.loop),
	    .address = address,
	    .revision = f->revision,
	    .text = text,
	};

	change.kind = (unsigned)kind;
	history_add(&f->history, &change);
}

/* Replaces the set; whoever looks at the old one may do so until the end of the turn. */
static void take_list(struct followed *f, struct endpoint_list *moved)
{
	struct registry *r = f->registry;
	struct endpoint_list *old = f->set;

	history_add_differences(&f->history, old ? old->list : NULL, old ? old->n : 0, moved->list,
	    moved->n, loop_calendar(r->place.loop), f->revision);
	f->set = moved;
	if (old)
		loop_reap(r->place.loop, old, endpoint_list_unref);
	r->changes++;
	cache_writer_dirty(r->writer);
}

static void confirm(struct followed *f)
{
	f->at = loop_calendar(f->registry->place.loop);
	f->confirmed_at = loop_now(f->registry->place.loop);
}

static void believe_empty(struct followed *f, const char *why)
{
	size_t n = endpoints_of(f);

	wheel_clear(&f->keep);
	f->is_doubted = false;
	f->error[0] = '\0';
	if (n) {
		log_warn("registry", "a service has no endpoints any more",
		    "name=%s service=%s before=%zu", f->registry->config->name, f->name, n);
		take_list(f, endpoint_list_new(NULL, 0));
		remember(f, CHANGE_REMOVED, "", why);
	}
	f->state = ENDPOINTS_EMPTY;
	confirm(f);
	registry_tell_service(f);
}

static void kept_long_enough(struct timer *timer, usec_t now)
{
	struct followed *f = container_of(timer, struct followed, keep);

	(void)now;
	/* An answer that nobody stands behind any more proves nothing: the next empty one will. */
	if (!f->is_away)
		believe_empty(f, "it stayed empty: believed");
}

static void doubt_empty(struct followed *f)
{
	struct registry *r = f->registry;
	char text[160];

	if (f->is_doubted) {
		if (!timer_is_set(&f->keep))
			believe_empty(f, "it was empty again: believed");
		return;
	}
	snprintf(text, sizeof text,
	    "the registry says that there are none; %zu kept for %" PRIu64 " s", endpoints_of(f),
	    r->config->empty_keep / USEC_S);
	log_warn("registry", "an empty answer is not believed yet",
	    "name=%s service=%s kept=%zu for_s=%" PRIu64, r->config->name, f->name, endpoints_of(f),
	    r->config->empty_keep / USEC_S);
	remember(f, CHANGE_KEPT, "", text);
	snprintf(f->error, sizeof f->error, "%s", text);
	f->is_doubted = true;
	f->state = ENDPOINTS_STALE;
	wheel_set(loop_wheel(r->place.loop), &f->keep,
	    usec_after(loop_now(r->place.loop), r->config->empty_keep), kept_long_enough);
	registry_tell_service(f);
}

static void heard_nothing(struct followed *f)
{
	bool was_empty = f->state == ENDPOINTS_EMPTY && f->error[0] == '\0';

	if (was_empty)
		confirm(f);
	else if (endpoints_of(f) == 0)
		believe_empty(f, "");
	else if (f->registry->config->empty_keep == 0)
		believe_empty(f, "an empty answer, obeyed");
	else
		doubt_empty(f);
}

static void heard_some(struct followed *f, const struct endpoint *const *sorted, size_t n)
{
	bool is_new = f->state != ENDPOINTS_FRESH || f->error[0];

	wheel_clear(&f->keep);
	f->is_doubted = false;
	f->error[0] = '\0';
	f->state = ENDPOINTS_FRESH;
	confirm(f);
	if (!same_list(f->set, sorted, n)) {
		take_list(f, endpoint_list_new(sorted, n));
		is_new = true;
	}
	if (is_new)
		registry_tell_service(f);
}

void registry_heard(struct registry *r, struct slice service, const struct endpoint *set, size_t n,
    const char *revision)
{
	struct followed *f = table_get(&r->services, service);
	const struct endpoint **sorted;
	size_t n_kept;

	registry_answered(r);
	if (f == NULL)
		return;
	snprintf(f->revision, sizeof f->revision, "%s", revision);
	sorted = in_order(f, set, n, &n_kept);
	if (n_kept > REGISTRY_ENDPOINTS_MAX) {
		char text[128];

		snprintf(text, sizeof text, "%zu endpoints are too many: the first %u are used",
		    n_kept, REGISTRY_ENDPOINTS_MAX);
		registry_skipped(r, service, SLICE_NONE, text);
		n_kept = REGISTRY_ENDPOINTS_MAX;
	}
	f->n_skipped = 0;
	f->is_answered = true;
	f->is_away = false;
	if (n_kept)
		heard_some(f, sorted, n_kept);
	else
		heard_nothing(f);
	free(sorted);
}

void registry_skipped(
    struct registry *r, struct slice service, struct slice record, const char *why)
{
	struct followed *f = table_get(&r->services, service);
	char escaped[LOG_ESCAPED_MAX], text[512];

	log_escape(escaped, sizeof escaped, record);
	snprintf(text, sizeof text, "skipped: %s", why);
	registry_make_plain(text);
	/* A registry repeats what it holds: one line for each record while it stays as it is. */
	if (f == NULL || f->n_skipped++ >= SKIPPED_LINES ||
	    history_has_error(&f->history, escaped, text))
		return;
	log_warn("registry", "a record is skipped", "name=%s service=%s record=\"%s\" why=\"%s\"",
	    r->config->name, f->name, escaped, text + strlen("skipped: "));
	remember(f, CHANGE_ERROR, escaped, text);
}

static void fail_service(struct followed *f, const char *why)
{
	bool was_fresh = f->state == ENDPOINTS_FRESH;
	bool is_new = was_fresh || (!f->is_doubted && strcmp(f->error, why) != 0);

	f->is_away = true;
	if (was_fresh)
		f->state = ENDPOINTS_STALE;
	if (!f->is_doubted)
		snprintf(f->error, sizeof f->error, "%s", why);
	remember(f, CHANGE_ERROR, "", why);
	if (is_new)
		registry_tell_service(f);
}

static void fail_one(struct followed *f, const char *why)
{
	if (strcmp(f->error, why) != 0)
		log_warn("registry", "a service cannot be asked for",
		    "name=%s service=%s error=\"%s\"", f->registry->config->name, f->name, why);
	fail_service(f, why);
}

static void fail_all(struct registry *r, const char *why)
{
	struct followed *f;
	size_t at = 0;

	if (strcmp(r->error, why) != 0)
		log_warn(
		    "registry", "it cannot be asked", "name=%s error=\"%s\"", r->config->name, why);
	while ((f = table_next(&r->services, &at)))
		fail_service(f, why);
}

void registry_failed(struct registry *r, struct slice service, const struct err *why)
{
	struct followed *f = service.data ? table_get(&r->services, service) : NULL;
	char text[sizeof r->error];

	snprintf(text, sizeof text, "%.*s", (int)sizeof text - 1, why->text);
	registry_make_plain(text);
	if (f)
		fail_one(f, text);
	else if (service.data == NULL)
		fail_all(r, text);
	r->errors++;
	r->is_up = false;
	snprintf(r->error, sizeof r->error, "%s", text);
}

void registry_refused(struct registry *r, int status, const struct err *why)
{
	if (status == 0) {
		registry_failed(r, SLICE_NONE, why);
		return;
	}
	if (strcmp(r->error, why->text) != 0)
		log_warn(
		    "registry", "it refuses", "name=%s error=\"%s\"", r->config->name, why->text);
	r->errors++;
	r->is_up = false;
	snprintf(r->error, sizeof r->error, "%.*s", (int)sizeof r->error - 1, why->text);
}

/* Of what an earlier process left only the calendar tells. */
static usec_t age_of(const struct registry *r, const struct followed *f)
{
	usec_t calendar = loop_calendar(r->place.loop);

	if (f->at == 0)
		return USEC_NONE;
	if (f->confirmed_at)
		return loop_now(r->place.loop) - f->confirmed_at;
	return calendar > f->at ? calendar - f->at : 0;
}

struct registry_set registry_set(const struct registry *r, struct slice service)
{
	const struct followed *f = table_get(&r->services, service);

	if (f == NULL)
		return (struct registry_set){.age = USEC_NONE, .error = ""};
	return (struct registry_set){
	    .list = f->set ? f->set->list : NULL,
	    .n = endpoints_of(f),
	    .state = f->state,
	    .is_answered = f->is_answered,
	    .at = f->at,
	    .age = age_of(r, f),
	    .error = f->error,
	};
}

void followed_from_cache(struct followed *f)
{
	struct registry *r = f->registry;
	struct cached_set c;
	char text[96];

	if (!cached_get(r->cached, slice_str(f->name), &c))
		return;
	ref_take(&c.set->ref);
	f->set = c.set;
	f->at = c.at;
	f->state = c.set->n ? ENDPOINTS_STALE : ENDPOINTS_EMPTY;
	f->is_answered = true;
	snprintf(f->revision, sizeof f->revision, "%s", c.revision);
	snprintf(f->error, sizeof f->error, "from the cache; the registry has not answered yet");
	snprintf(text, sizeof text, "%zu endpoints from the cache", c.set->n);
	remember(f, CHANGE_CACHED, "", text);
	registry_tell_service(f);
}

void followed_fini(struct followed *f)
{
	wheel_clear(&f->keep);
	endpoint_list_unref(f->set);
	history_fini(&f->history);
}
