/*
 * What is followed: a service is all keys of one range, a document is one key.
 *
 *     listing --answer--> listed --events--> listed --its watch is lost--> listing
 *        ^ '--failed: pause--'
 *
 * Events come beside a listing, too; the revisions say which word about a key is the last
 * (etcd_set). What many events change is told once.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "registry/etcd_impl.h"
#include "registry/record.h"

#define TELL_GAP (50 * USEC_MS) /* between two tellings of one set */

/* ---- telling ---- */

static void tell_service(struct etcd_follow *f, const char *revision)
{
	struct endpoint *set = mem_calloc(f->set.n + 1, sizeof *set);
	size_t n = 0;

	for (size_t i = 0; i < f->set.n; i++)
		if (f->set.list[i]->is_good && !f->set.list[i]->is_deleted)
			set[n++] = f->set.list[i]->endpoint;
	registry_heard(f->client->start->registry, slice_str(f->name), set, n, revision);
	free(set);
}

static void tell_document(struct etcd_follow *f, const char *revision)
{
	const struct etcd_record *record = f->set.n ? f->set.list[0] : NULL;
	struct slice text = record && !record->is_deleted ? record->text : SLICE_NONE;

	registry_heard_document(f->client->start->registry, slice_str(f->name), text, revision);
}

static void tell(struct timer *timer, usec_t now)
{
	struct etcd_follow *f = container_of(timer, struct etcd_follow, telling);
	char revision[24];

	if (!f->is_listed)
		return;
	f->told_at = now;
	snprintf(revision, sizeof revision, "%" PRId64, f->revision);
	if (f->is_document)
		tell_document(f, revision);
	else
		tell_service(f, revision);
	etcd_set_sweep(&f->set);
}

static void tell_soon(struct etcd_follow *f)
{
	usec_t now = http_place_now(&f->client->place);
	usec_t next = usec_after(f->told_at, TELL_GAP);

	if (!timer_is_set(&f->telling))
		http_place_timer(&f->client->place, &f->telling,
		    f->told_at && next > now ? next - now : 0, tell);
}

void etcd_follow_confirm(struct etcd_follow *f)
{
	if (f->is_listed && !f->is_document &&
	    registry_set(f->client->start->registry, slice_str(f->name)).error[0])
		tell_soon(f);
}

/* ---- records ---- */

static void read_endpoint(
    struct etcd_follow *f, struct etcd_record *record, const struct etcd_key *key)
{
	bool is_rpcx = f->client->start->config->format == REGISTRY_FORMAT_RPCX;
	struct slice rest = slice_from(record->key, f->start.len);
	struct err err = {0};
	int result =
	    is_rpcx ? record_read_rpcx(rest, key->value, &record->arena, &record->endpoint, &err)
		    : record_read_etcd(key->value, &record->arena, &record->endpoint, &err);

	record->is_good = result == 0;
	if (result < 0)
		registry_skipped(
		    f->client->start->registry, slice_str(f->name), record->key, err.text);
}

/* True: it was news. */
static bool take(struct etcd_follow *f, const struct etcd_key *key)
{
	struct etcd_record *record = etcd_set_take(&f->set, key);

	if (record == NULL)
		return false;
	if (f->is_document && !record->is_deleted)
		/* An empty text is one, too. */
		record->text = slice_of(arena_str(&record->arena, key->value), key->value.len);
	else if (!record->is_deleted)
		read_endpoint(f, record, key);
	return true;
}

void etcd_follow_event(struct etcd_follow *f, const struct etcd_key *key)
{
	if (!take(f, key))
		return;
	if (f->is_listed && key->mod_revision > f->revision)
		f->revision = key->mod_revision;
	tell_soon(f);
}

/* ---- listing ---- */

static bool is_ours(const struct etcd_follow *f, struct slice key)
{
	return f->end.len ? slice_starts(key, f->start) : slice_eq(key, f->start);
}

static void take_range(struct etcd_follow *f, const struct etcd_range *range)
{
	if (etcd_watch_is_past(f->watch, range->revision)) {
		etcd_set_fini(&f->set);
		etcd_watch_restart(f->watch, "its revisions have gone back");
		return;
	}
	/* No event can have come meanwhile, and it may be another store by now. */
	if (!etcd_watch_is_open(f->watch))
		etcd_set_fini(&f->set);
	etcd_set_list(&f->set);
	for (size_t i = 0; i < range->n; i++)
		if (is_ours(f, range->keys[i].key))
			take(f, &range->keys[i]);
	etcd_set_listed(&f->set, range->revision);
	f->revision = range->revision;
	f->is_listed = true;
	registry_pause_reset(&f->pause);
	tell_soon(f);
	etcd_watch_listed(f->watch);
}

static void failed(struct etcd_follow *f, int status, const struct err *err)
{
	struct registry *registry = f->client->start->registry;

	if (f->is_document)
		registry_refused(registry, status, err);
	else
		registry_failed(registry, slice_str(f->name), err);
	etcd_follow_list(f, http_place_pause(&f->client->place, &f->pause, status));
	etcd_watch_listed(f->watch);
}

static void listed(void *arg, const struct http_response *response)
{
	struct etcd_follow *f = arg;
	struct etcd_range range;
	struct arena arena;
	struct err err = {0};

	f->listing = NULL;
	if (response->status != 200) {
		etcd_refuse(f->client, response, &err);
		failed(f, response->status, &err);
		return;
	}
	arena_init(&arena, NULL, 0);
	if (etcd_read_range(response->body, &arena, &range, &err) < 0)
		failed(f, response->status, &err);
	else
		take_range(f, &range);
	arena_fini(&arena);
}

static void list(struct timer *timer, usec_t now)
{
	struct etcd_follow *f = container_of(timer, struct etcd_follow, again);
	struct text body = {0};
	struct err err = {0};

	(void)now;
	text_add_str(&body, "{");
	etcd_add_range(&body, f->start, f->end);
	text_add_str(&body, "}");
	f->listing = etcd_ask(f->client, "/v3/kv/range", &body, listed, f, &err);
	/* The login wakes it. */
	if (f->listing == NULL)
		etcd_follow_list(f, REGISTRY_BACKOFF_MAX);
}

void etcd_follow_list(struct etcd_follow *f, usec_t wait)
{
	if (f->listing)
		http_exchange_drop(&f->listing);
	f->is_listed = false;
	http_place_timer(&f->client->place, &f->again, wait, list);
}

void etcd_follow_wake_all(struct registry_client *client)
{
	list_each (link, &client->follows) {
		struct etcd_follow *f = list_item(link, struct etcd_follow, link);

		if (timer_is_set(&f->again))
			etcd_follow_list(f, 0);
	}
}

/* ---- its life ---- */

static void follow(
    struct registry_client *client, struct slice name, struct slice start, struct slice end)
{
	struct etcd_follow *f = mem_calloc(1, sizeof *f);

	f->client = client;
	f->name = slice_dup(name);
	f->start = start;
	f->end = end;
	f->is_document = end.len == 0;
	list_push_back(&client->follows, &f->link);
	etcd_watch_join(f);
	etcd_follow_list(f, 0);
}

static void unfollow(struct etcd_follow *f)
{
	if (f->listing)
		http_exchange_drop(&f->listing);
	wheel_clear(&f->again);
	wheel_clear(&f->telling);
	list_remove(&f->link);
	etcd_watch_leave(f);
	etcd_set_fini(&f->set);
	free(f->name);
	free((void *)(uintptr_t)f->start.data);
	free((void *)(uintptr_t)f->end.data);
	free(f);
}

static void unfollow_named(struct registry_client *client, struct slice name, bool is_document)
{
	list_each_safe (link, &client->follows) {
		struct etcd_follow *f = list_item(link, struct etcd_follow, link);

		if (f->is_document == is_document && slice_eq_str(name, f->name))
			unfollow(f);
	}
}

void etcd_follow_service(struct registry_client *client, struct slice service)
{
	struct slice start = etcd_service_start(client, service);

	follow(client, service, start, etcd_range_end(start));
}

void etcd_unfollow_service(struct registry_client *client, struct slice service)
{
	unfollow_named(client, service, false);
}

void etcd_follow_document(struct registry_client *client, struct slice key)
{
	follow(client, key, slice_of(slice_dup(key), key.len), SLICE_NONE);
}

void etcd_unfollow_document(struct registry_client *client, struct slice key)
{
	unfollow_named(client, key, true);
}

void etcd_unfollow_all(struct registry_client *client)
{
	while (!list_is_empty(&client->follows))
		unfollow(list_item(client->follows.next, struct etcd_follow, link));
}
