/*
 * A stream of events, for one follow or, beyond the first few, for all that have the begin of
 * their keys in common: each stream is a connection of its own.
 *
 *     its follows list themselves --all have an answer--> opened --created--> events
 *        ^                                                   |                  |
 *        '------- a pause, everything is listed anew --------'--- ended, lost <-'
 *
 * It begins behind the oldest of the listings. Nothing is ever resumed: whatever ends a stream,
 * that history was compacted, a server that stops, garbage, too much at once, leads to listings.
 * A stream that says nothing may be quiet or dead, and its server may hold it open in silence for
 * ever; so from time to time the store is asked for keys that are newer than what was heard.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "registry/etcd_impl.h"

#define OWN_MAX    16u          /* streams for one follow each */
#define LOOK_EVERY (5 * USEC_S) /* whether the stream still says all */
#define LATE       USEC_S       /* an event may be on its way */
#define AT_ONCE    (50 * USEC_MS)
#define LIVED      (10 * USEC_S) /* a stream that has is opened again without a long pause */

struct etcd_watch {
	struct list link; /* the client's */
	struct registry_client *client;
	struct list follows;     /* of etcd_follow */
	struct slice start, end; /* owned; borrowed from its follow unless it is shared */
	bool is_shared;
	struct table by_start; /* follows; where it is shared */
	struct http_exchange *stream;
	struct etcd_lines lines;
	usec_t opened_at;
	int64_t revision; /* the newest that was heard of */
	struct timer looking;
	struct http_exchange *look;
	int64_t suspect_at; /* where a look found what was not heard; -1: it did not */
	struct registry_pause pause;
};

static void close_stream(struct etcd_watch *w)
{
	if (w->stream)
		http_exchange_drop(&w->stream);
	if (w->look)
		http_exchange_drop(&w->look);
	wheel_clear(&w->looking);
	etcd_lines_fini(&w->lines);
	w->suspect_at = -1;
}

/* All is listed anew, not all at the same moment. */
static void restart(struct etcd_watch *w, usec_t wait)
{
	close_stream(w);
	w->revision = 0;
	list_each (link, &w->follows)
		etcd_follow_list(list_item(link, struct etcd_follow, of_same), wait);
}

static void lost(struct etcd_watch *w, int status, const char *why)
{
	struct registry_client *client = w->client;
	bool has_lived = http_place_now(&client->place) - w->opened_at > LIVED;
	usec_t jitter = rng_below(&client->place.rng, AT_ONCE);
	char shown[LOG_ESCAPED_MAX];

	log_escape(shown, sizeof shown, slice_str(why));
	if (has_lived)
		registry_pause_reset(&w->pause);
	log_info("etcd", "a watch has ended, everything is listed anew", "name=%s why=\"%s\"",
	    client->start->config->name, shown);
	restart(
	    w, has_lived ? AT_ONCE + jitter : http_place_pause(&client->place, &w->pause, status));
}

void etcd_watch_restart(struct etcd_watch *w, const char *why)
{
	log_warn("etcd", "everything is listed anew", "name=%s why=\"%s\"",
	    w->client->start->config->name, why);
	restart(w, AT_ONCE);
}

bool etcd_watch_is_open(const struct etcd_watch *w)
{
	return w->stream != NULL;
}

bool etcd_watch_is_past(const struct etcd_watch *w, int64_t revision)
{
	return revision < w->revision;
}

static void hear_of(struct etcd_watch *w, int64_t revision)
{
	if (revision > w->revision)
		w->revision = revision;
}

/* ---- events ---- */

/* A key of a document is one itself; one of a service has the service's name behind what all
 * share. */
static struct etcd_follow *follow_of(const struct etcd_watch *w, struct slice key)
{
	struct etcd_follow *f;
	const uint8_t *slash;

	if (!w->is_shared) {
		f = list_item(w->follows.next, struct etcd_follow, of_same);
		return f->end.len ? (slice_starts(key, f->start) ? f : NULL)
				  : (slice_eq(key, f->start) ? f : NULL);
	}
	f = table_get(&w->by_start, key);
	if (f || key.len <= w->start.len)
		return f;
	slash = memchr(key.data + w->start.len, '/', key.len - w->start.len);
	return slash ? table_get(&w->by_start, slice_first(key, (size_t)(slash - key.data) + 1))
		     : NULL;
}

static int take_message(struct etcd_watch *w, const struct etcd_message *m, struct err *err)
{
	char reason[LOG_ESCAPED_MAX];

	if (m->is_canceled && m->compact_revision)
		return err_set(err, 0, "its history was compacted");
	if (m->is_canceled) {
		log_escape(reason, sizeof reason, slice_first(m->reason, 120));
		return err_set(err, EPERM, "its watch is refused: %s", reason);
	}
	for (size_t i = 0; i < m->n; i++) {
		struct etcd_follow *f = follow_of(w, m->events[i].key);

		hear_of(w, m->events[i].mod_revision);
		if (f)
			etcd_follow_event(f, &m->events[i]);
	}
	return 0;
}

static int visit(void *arg, struct slice line)
{
	struct etcd_watch *w = arg;
	struct etcd_message message;
	struct arena arena;
	struct err err = {0};
	int result;

	arena_init(&arena, NULL, 0);
	result = etcd_read_message(line, &arena, &message, &err);
	if (result == 0)
		result = take_message(w, &message, &err);
	arena_fini(&arena);
	if (result == 0) {
		registry_alive(w->client->start->registry);
		return 0;
	}
	if (err.code == EPERM)
		registry_failed(w->client->start->registry, SLICE_NONE, &err);
	lost(w, err.code == EPERM ? ETCD_REFUSED : 0, err.text);
	return -1;
}

static void heard(void *arg, struct slice bytes)
{
	struct etcd_watch *w = arg;

	if (etcd_lines_feed(&w->lines, bytes, REGISTRY_ANSWER_MAX, visit, w) < 0 && w->stream)
		lost(w, 0, "a message is too long");
}

static void ended(void *arg, const struct http_response *response)
{
	struct etcd_watch *w = arg;
	struct err err = {0};

	w->stream = NULL;
	if (response->status == 200) {
		lost(w, 0, "the server ended it");
		return;
	}
	etcd_refuse(w->client, response, &err);
	lost(w, response->status, err.text);
}

/* ---- is it still alive? ---- */

static void look_after(struct etcd_watch *w, usec_t wait);

static size_t count_known(const struct etcd_watch *w)
{
	const struct etcd_follow *f = list_item(w->follows.next, struct etcd_follow, of_same);

	return f->set.n - f->set.n_deleted;
}

static bool is_missing_something(const struct etcd_watch *w, const struct etcd_range *range)
{
	if (range->n && range->keys[0].mod_revision > w->revision)
		return true;
	return !w->is_shared && (uint64_t)range->count != count_known(w) &&
	       count_known(w) < ETCD_SET_MAX;
}

static void judge(struct etcd_watch *w, const struct etcd_range *range)
{
	bool is_suspect = is_missing_something(w, range);

	/* Where events keep coming the two never quite agree. */
	if (is_suspect && w->suspect_at == w->revision) {
		http_client_turn(w->client->place.http);
		lost(w, 0, "it does not tell all");
		return;
	}
	w->suspect_at = is_suspect ? w->revision : -1;
	registry_alive(w->client->start->registry);
	list_each (link, &w->follows)
		if (!is_suspect)
			etcd_follow_confirm(list_item(link, struct etcd_follow, of_same));
	look_after(w, is_suspect ? LATE : LOOK_EVERY);
}

static void looked(void *arg, const struct http_response *response)
{
	struct etcd_watch *w = arg;
	struct etcd_range range;
	struct arena arena;
	struct err err = {0};

	w->look = NULL;
	if (response->status != 200) {
		etcd_refuse(w->client, response, &err);
		registry_failed(w->client->start->registry, SLICE_NONE, &err);
		lost(w, response->status, err.text);
		return;
	}
	arena_init(&arena, NULL, 0);
	if (etcd_read_range(response->body, &arena, &range, &err) < 0)
		lost(w, 0, err.text);
	else
		judge(w, &range);
	arena_fini(&arena);
}

static void look(struct timer *timer, usec_t now)
{
	struct etcd_watch *w = container_of(timer, struct etcd_watch, looking);
	struct text body = {0};
	struct err err;

	(void)now;
	text_add_str(&body, "{");
	etcd_add_range(&body, w->start, w->end);
	text_printf(&body, ",\"min_mod_revision\":\"%lld\",\"keys_only\":true,\"limit\":\"1\"}",
	    (long long)w->revision + 1);
	w->look = etcd_ask(w->client, "/v3/kv/range", &body, looked, w, &err);
	if (w->look == NULL)
		look_after(w, LOOK_EVERY);
}

static void look_after(struct etcd_watch *w, usec_t wait)
{
	http_place_timer(&w->client->place, &w->looking, wait, look);
}

/* ---- opening ---- */

static void open_stream(struct etcd_watch *w, int64_t from)
{
	struct http_header headers[2] = {{"Content-Type", "application/json"}};
	const struct http_done on = {heard, ended};
	struct http_request request = {
	    .method = "POST",
	    .target = "/v3/watch",
	    .headers = headers,
	    .n_headers = 1,
	    .timeout = REGISTRY_TIMEOUT,
	    .at_most = REGISTRY_ANSWER_MAX,
	};
	struct text body = {0};

	if (w->client->login.token)
		headers[request.n_headers++] =
		    (struct http_header){"Authorization", w->client->login.token};
	text_add_str(&body, "{\"create_request\":{");
	etcd_add_range(&body, w->start, w->end);
	text_printf(
	    &body, ",\"start_revision\":\"%lld\",\"progress_notify\":true}}", (long long)from);
	request.body = slice_of(body.bytes, body.len);
	w->opened_at = http_place_now(&w->client->place);
	w->stream = http_client_ask(w->client->place.http, &request, &on, w);
	text_fini(&body);
	look_after(w, LOOK_EVERY);
}

void etcd_watch_listed(struct etcd_watch *w)
{
	int64_t oldest = INT64_MAX;

	list_each (link, &w->follows) {
		const struct etcd_follow *f = list_item(link, struct etcd_follow, of_same);

		if (f->is_listed)
			hear_of(w, f->revision);
		if (f->listing && w->stream == NULL)
			return;
		if (f->is_listed && f->revision < oldest)
			oldest = f->revision;
	}
	if (w->stream == NULL && oldest != INT64_MAX)
		open_stream(w, oldest + 1);
}

/* ---- who shares it ---- */

/* What the keys begin with, of a service its registry's prefix, of a document the first part of its
 * path: /KitexConfig/. Empty where there is none. */
static struct slice common_of(const struct etcd_follow *f)
{
	struct slice key = f->start;
	size_t i;

	if (!f->is_document)
		return slice_first(key, key.len - strlen(f->name) - 1);
	for (i = 1; i < key.len; i++)
		if (key.data[i] == '/')
			return slice_first(key, i + 1);
	return SLICE_NONE;
}

static struct etcd_watch *watch_new(struct registry_client *client)
{
	struct etcd_watch *w = mem_calloc(1, sizeof *w);

	w->client = client;
	w->suspect_at = -1;
	list_init(&w->follows);
	table_init(&w->by_start, client->start->place->seed);
	list_push_back(&client->watches, &w->link);
	return w;
}

static struct etcd_watch *shared_watch(struct registry_client *client, struct slice common)
{
	struct etcd_watch *w;

	list_each (link, &client->watches) {
		w = list_item(link, struct etcd_watch, link);
		if (w->is_shared && slice_eq(w->start, common))
			return w;
	}
	w = watch_new(client);
	w->is_shared = true;
	w->start = slice_of(slice_dup(common), common.len);
	w->end = etcd_range_end(common);
	return w;
}

void etcd_watch_join(struct etcd_follow *f)
{
	struct registry_client *client = f->client;
	struct slice common = common_of(f);

	if (client->n_own < OWN_MAX || common.len == 0) {
		f->watch = watch_new(client);
		f->watch->start = f->start;
		f->watch->end = f->end;
		client->n_own++;
	} else {
		f->watch = shared_watch(client, common);
		table_put(&f->watch->by_start, f->start, f);
	}
	list_push_back(&f->watch->follows, &f->of_same);
}

void etcd_watch_leave(struct etcd_follow *f)
{
	struct etcd_watch *w = f->watch;

	list_remove(&f->of_same);
	f->watch = NULL;
	if (w->is_shared)
		table_remove(&w->by_start, f->start);
	if (!list_is_empty(&w->follows)) {
		etcd_watch_listed(w);
		return;
	}
	close_stream(w);
	list_remove(&w->link);
	if (w->is_shared) {
		free((void *)(uintptr_t)w->start.data);
		free((void *)(uintptr_t)w->end.data);
	} else {
		w->client->n_own--;
	}
	table_fini(&w->by_start);
	free(w);
}
