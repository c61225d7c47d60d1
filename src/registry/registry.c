#include "registry/registry.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "registry/cache.h"
#include "registry/cache_writer.h"
#include "registry/registry_impl.h"

/* ---- its life ---- */

static void tell(struct loop_work *work);

static void load_cache(struct registry *r)
{
	struct err err = {0};

	if (r->config->cache == NULL)
		return;
	r->writer = cache_writer_new(r);
	r->cached = cache_load(r->config, &err);
	if (r->cached)
		log_info("registry", "its cache was loaded", "name=%s cache=%s services=%zu",
		    r->config->name, r->config->cache, cached_services(r->cached));
	else if (err.text[0])
		log_warn("registry", "its cache cannot be used", "name=%s error=\"%s\"",
		    r->config->name, err.text);
	r->has_answered = r->cached != NULL;
}

struct registry *registry_new_with(const struct registry_client_ops *ops,
    struct shared_config *shared, const struct registry_config *config,
    const struct registry_place *place, const struct registry_events *events, void *arg,
    struct err *err)
{
	struct registry *r;

	if (ops->open == NULL) {
		err_set(err, 0, "registry %s: this bridled was built without %s", config->name,
		    registry_type_name(config->type));
		return NULL;
	}
	r = mem_calloc(1, sizeof *r);
	r->shared = shared_config_ref(shared);
	r->config = config;
	r->place = *place;
	r->events = *events;
	r->arg = arg;
	r->ops = ops;
	r->tell.run = tell;
	table_init(&r->services, place->seed);
	table_init(&r->documents, place->seed);
	list_init(&r->registrations);
	list_init(&r->changed_services);
	list_init(&r->changed_documents);
	list_init(&r->changed_registrations);
	load_cache(r);
	r->start = (struct registry_client_start){.config = config,
	    .place = &r->place,
	    .resolvers = &shared->config->resolvers,
	    .registry = r};
	rng_init(&r->start.rng, place->seed ^ slice_hash(slice_str(config->name), 0));
	r->client = ops->open(&r->start, err);
	if (r->client)
		return r;
	err_wrap(err, "registry %s", config->name);
	registry_free(&r);
	return NULL;
}

static void followed_free(void *object)
{
	struct followed *f = object;

	followed_fini(f);
	free(f);
}

static void document_free(void *object)
{
	struct followed_document *d = object;

	free(d->text);
	free(d);
}

void registry_hold_cache(struct registry *r, bool hold)
{
	cache_writer_hold(r->writer, hold);
}

void registry_free(struct registry **pr)
{
	struct registry *r = *pr;
	struct followed_document *d;
	struct followed *f;
	size_t at = 0;

	if (r == NULL)
		return;
	*pr = NULL;
	if (r->client)
		r->ops->close(&r->client);
	registration_end_all(r);
	cache_writer_free(&r->writer); /* writes what is not on disk yet */
	cached_free(&r->cached);
	loop_undefer(&r->tell);
	while ((f = table_next(&r->services, &at)))
		followed_free(f);
	at = 0;
	while ((d = table_next(&r->documents, &at)))
		document_free(d);
	table_fini(&r->services);
	table_fini(&r->documents);
	shared_config_unref(&r->shared);
	free(r);
}

const struct registry_config *registry_config_of(const struct registry *r)
{
	return r->config;
}

bool registry_reached_at(const struct registry *r, size_t i, struct address *server)
{
	return registry_server(&r->start, i, server);
}

/* ---- what is followed ---- */

static struct followed *follow_service(struct registry *r, struct slice name)
{
	struct followed *f = mem_calloc(1, sizeof *f + name.len + 1);

	f->registry = r;
	list_init(&f->changed);
	memcpy(f->name, name.data, name.len);
	table_put(&r->services, slice_str(f->name), f);
	return f;
}

/* Whoever holds something of it may do so until the end of the turn. */
static void forget_service(struct registry *r, struct followed *f)
{
	r->ops->unwatch(r->client, slice_str(f->name));
	table_remove(&r->services, slice_str(f->name));
	list_remove(&f->changed);
	wheel_clear(&f->keep);
	cache_writer_dirty(r->writer);
	loop_reap(r->place.loop, f, followed_free);
}

/* A table must not change while it is walked, so what goes is gathered first. */
static void forget_unwanted_services(struct registry *r)
{
	struct followed **gone = mem_calloc(r->services.used + 1, sizeof(struct followed *));
	struct followed *f;
	size_t at = 0, n = 0;

	while ((f = table_next(&r->services, &at)))
		if (!f->is_wanted)
			gone[n++] = f;
	for (size_t i = 0; i < n; i++)
		forget_service(r, gone[i]);
	free(gone);
}

void registry_follow(struct registry *r, const struct slice *services, size_t n)
{
	struct followed *f;
	size_t at = 0;

	while ((f = table_next(&r->services, &at)))
		f->is_wanted = false;
	for (size_t i = 0; i < n; i++) {
		f = table_get(&r->services, services[i]);
		if (f) {
			f->is_wanted = true;
			continue;
		}
		f = follow_service(r, services[i]);
		f->is_wanted = true;
		followed_from_cache(f);
		r->ops->watch(r->client, slice_str(f->name));
	}
	forget_unwanted_services(r);
}

static void tell_document(struct registry *r, struct followed_document *d)
{
	if (list_is_empty(&d->changed))
		list_push_back(&r->changed_documents, &d->changed);
	loop_defer(r->place.loop, &r->tell);
}

static struct followed_document *follow_document(struct registry *r, struct slice key)
{
	struct followed_document *d = mem_calloc(1, sizeof *d + key.len + 1);
	const char *text = cached_text(r->cached, key);

	list_init(&d->changed);
	memcpy(d->key, key.data, key.len);
	table_put(&r->documents, slice_str(d->key), d);
	if (text) {
		d->text = mem_strdup(text);
		d->len = strlen(text);
		d->is_known = true;
		tell_document(r, d);
	}
	return d;
}

static void forget_document(struct registry *r, struct followed_document *d)
{
	r->ops->unwatch_document(r->client, slice_str(d->key));
	table_remove(&r->documents, slice_str(d->key));
	list_remove(&d->changed);
	loop_reap(r->place.loop, d, document_free);
}

static void forget_unwanted_documents(struct registry *r)
{
	struct followed_document **gone =
	    mem_calloc(r->documents.used + 1, sizeof(struct followed_document *));
	struct followed_document *d;
	size_t at = 0, n = 0;

	while ((d = table_next(&r->documents, &at)))
		if (!d->is_wanted)
			gone[n++] = d;
	for (size_t i = 0; i < n; i++)
		forget_document(r, gone[i]);
	free(gone);
}

void registry_follow_documents(struct registry *r, const struct slice *keys, size_t n)
{
	struct followed_document *d;
	size_t at = 0;

	if (r->ops->watch_document == NULL)
		return;
	while ((d = table_next(&r->documents, &at)))
		d->is_wanted = false;
	for (size_t i = 0; i < n; i++) {
		d = table_get(&r->documents, keys[i]);
		if (d) {
			d->is_wanted = true;
			continue;
		}
		d = follow_document(r, keys[i]);
		d->is_wanted = true;
		r->ops->watch_document(r->client, keys[i]);
	}
	forget_unwanted_documents(r);
}

struct registry_document registry_document(const struct registry *r, struct slice key)
{
	const struct followed_document *d = table_get(&r->documents, key);

	if (d == NULL)
		return (struct registry_document){.text = SLICE_NONE};
	return (struct registry_document){slice_of(d->text, d->len), d->is_known, d->text != NULL};
}

void registry_heard_document(
    struct registry *r, struct slice key, struct slice text, const char *revision)
{
	struct followed_document *d = table_get(&r->documents, key);
	bool exists = text.data != NULL;

	registry_answered(r);
	if (d == NULL)
		return;
	if (d->is_known && exists == (d->text != NULL) && slice_eq(text, slice_of(d->text, d->len)))
		return;
	log_info("registry", exists ? "a document" : "there is no such document",
	    "name=%s key=%s revision=%s", r->config->name, d->key, revision);
	if (d->text)
		loop_reap(r->place.loop, d->text, free);
	d->text = exists ? slice_dup(text) : NULL;
	d->len = exists ? text.len : 0;
	d->is_known = true;
	r->changes++;
	cache_writer_dirty(r->writer);
	tell_document(r, d);
}

/* ---- events ---- */

void registry_tell_service(struct followed *f)
{
	if (list_is_empty(&f->changed))
		list_push_back(&f->registry->changed_services, &f->changed);
	loop_defer(f->registry->place.loop, &f->registry->tell);
}

/* Those who hear may follow less: what is told is taken out of its list before, and what is
 * forgotten lives until the end of the turn. */
static void tell(struct loop_work *work)
{
	struct registry *r = container_of(work, struct registry, tell);
	struct list *link;

	while ((link = list_pop_front(&r->changed_services)))
		r->events.set_changed(
		    r->arg, r, slice_str(list_item(link, struct followed, changed)->name));
	while ((link = list_pop_front(&r->changed_documents)))
		r->events.document_changed(
		    r->arg, r, slice_str(list_item(link, struct followed_document, changed)->key));
	registration_tell_all(r);
}

void registry_answered(struct registry *r)
{
	if (!r->is_up && r->error[0])
		log_info("registry", "it answers again", "name=%s", r->config->name);
	r->is_up = true;
	r->has_answered = true;
	r->error[0] = '\0';
	r->heard_at = loop_calendar(r->place.loop);
	r->alive_at = loop_now(r->place.loop);
	/* From here on it is asked anew for whatever is followed later. */
	cached_free(&r->cached);
}

void registry_alive(struct registry *r)
{
	registry_answered(r);
}

struct registry_report registry_report(const struct registry *r)
{
	return (struct registry_report){
	    .is_up = r->is_up,
	    .has_answered = r->has_answered,
	    .heard_at = r->heard_at,
	    .age = r->heard_at ? loop_now(r->place.loop) - r->alive_at : USEC_NONE,
	    .changes = r->changes,
	    .errors = r->errors,
	    .n_services = r->services.used,
	    .n_documents = r->documents.used,
	    .n_registrations = registration_count(r),
	    .error = r->error,
	};
}

void registry_history(const struct registry *r, struct slice service,
    void (*visit)(void *arg, const struct registry_change *change), void *arg)
{
	const struct followed *f = table_get(&r->services, service);

	if (f)
		history_visit(&f->history, visit, arg);
}
