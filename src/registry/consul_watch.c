/*
 * One blocking query after the other for each service and document that is followed. The first, and
 * each after something went wrong, asks for what there is without waiting; those that follow wait
 * for an index past the last one.
 *
 *     ask (index 0) --answer--> ask (index n, wait) --change, end of wait--> ask (index m, wait) ..
 *          ^----------------- index missing or gone back, no answer, refused --------'
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "registry/consul_impl.h"
#include "registry/consul_read.h"

#define WAIT      (55 * USEC_S)
#define ASK_GAP   (100 * USEC_MS) /* between two asks for the same: many changes are one */
#define GAP_BYTES 2u              /* of the last answer, for each microsecond more */
#define NO_LEADER 500             /* what an agent answers that asks a server without one */
#define REFUSED   403             /* as good as: we have no token to show */
#define TEXT_MAX  32u             /* of an index, as revision */

struct consul_watch {
	struct list link; /* the client's */
	struct registry_client *client;
	struct http_exchange *exchange;
	struct timer again;
	struct registry_pause pause;
	uint64_t index; /* 0: start over */
	usec_t asked_at;
	size_t heard_bytes; /* of the last answer */
	bool is_document;
	char name[];
};

static void ask(struct consul_watch *w);

static void ask_again(struct timer *timer, usec_t now)
{
	(void)now;
	ask(container_of(timer, struct consul_watch, again));
}

static void ask_in(struct consul_watch *w, usec_t wait)
{
	http_place_timer(&w->client->place, &w->again, wait, ask_again);
}

static void fail(struct consul_watch *w, int status, const struct err *err)
{
	struct registry *registry = w->client->start->registry;

	if (w->is_document)
		registry_refused(registry, status, err);
	else
		registry_failed(registry, slice_str(w->name), err);
	w->index = 0;
	ask_in(w, http_place_pause(&w->client->place, &w->pause, status));
}

/* ---- the answer ---- */

static bool is_header(const struct http_response *response, const char *name, const char *value)
{
	const char *is = http_response_header(response, name);

	return is && strcmp(is, value) == 0;
}

/* What a server without a leader knows may be old, or nothing yet. */
static bool has_no_leader(const struct http_response *response)
{
	return is_header(response, "X-Consul-KnownLeader", "false");
}

static int take_document(
    struct consul_watch *w, const struct http_response *response, const char *revision)
{
	struct slice text = response->status == 404 ? SLICE_NONE : response->body;

	if (response->status != 404 && text.data == NULL)
		text = SLICE_LIT("");
	registry_heard_document(w->client->start->registry, slice_str(w->name), text, revision);
	return 0;
}

static int read_set(struct consul_watch *w, const struct http_response *response,
    struct gathering *set, struct err *err)
{
	struct text prefix = {0};
	int result = 0;

	if (w->client->start->config->format == REGISTRY_FORMAT_KITEX)
		return consul_read_health(response->body, set, err);
	consul_tree(w->client->start->config, slice_str(w->name), &prefix);
	if (response->status != 404)
		result =
		    consul_read_tree(response->body, slice_of(prefix.bytes, prefix.len), set, err);
	text_fini(&prefix);
	return result;
}

static int take_set(struct consul_watch *w, const struct http_response *response,
    const char *revision, struct err *err)
{
	struct gathering set;
	int result;

	gathering_init(&set);
	result = read_set(w, response, &set, err);
	/* Without the right to see them all, an empty list says nothing. */
	if (result == 0 && set.n == 0 &&
	    is_header(response, "X-Consul-Results-Filtered-By-ACLs", "true"))
		result = err_set(err, 0, "the token may not see the instances");
	if (result == 0)
		gathering_tell(&set, w->client->start->registry, slice_str(w->name), revision);
	gathering_fini(&set);
	return result;
}

static int take(struct consul_watch *w, const struct http_response *response, struct err *err)
{
	bool is_store = w->is_document || w->client->start->config->format == REGISTRY_FORMAT_RPCX;
	const char *index = http_response_header(response, "X-Consul-Index");
	char revision[TEXT_MAX] = "";

	if (response->status != 200 && !(response->status == 404 && is_store))
		return http_place_refuse(response, err);
	if (has_no_leader(response))
		return err_set(err, 0, "the cluster has no leader");
	if (index && strlen(index) < sizeof revision)
		memcpy(revision, index, strlen(index) + 1);
	return w->is_document ? take_document(w, response, revision)
			      : take_set(w, response, revision, err);
}

/*
 * Not at once when the answer came at once: whatever changes all the time is heard ten times a
 * second, and a large set, of which each change brings the whole, so seldom that reading it takes a
 * tenth of a core at most. Without any index there is nothing to wait for but time.
 */
static void go_on(struct consul_watch *w, uint64_t index)
{
	usec_t since = http_place_now(&w->client->place) - w->asked_at;
	usec_t gap = ASK_GAP + w->heard_bytes / GAP_BYTES;
	bool has_no_index = index == 0 && w->index == 0;

	w->index = index;
	if (has_no_index)
		ask_in(w, w->client->start->config->refresh);
	else if (since < gap)
		ask_in(w, gap - since);
	else
		ask(w);
}

static void answered(void *arg, const struct http_response *response)
{
	struct consul_watch *w = arg;
	struct err err = {0};

	w->exchange = NULL;
	w->heard_bytes = response->body.len;
	if (take(w, response, &err) < 0) {
		fail(w, has_no_leader(response) ? NO_LEADER : response->status, &err);
		return;
	}
	registry_pause_reset(&w->pause);
	go_on(w, consul_next_index(http_response_header(response, "X-Consul-Index"), w->index));
}

/* ---- the question ---- */

static void write_target(const struct consul_watch *w, struct text *target)
{
	const struct registry_config *config = w->client->start->config;
	struct slice name = slice_str(w->name);
	struct text prefix = {0};

	if (w->is_document) {
		text_add_str(target, "/v1/kv/");
		consul_add_key(target, name);
		consul_add(target, "raw", SLICE_LIT("true"));
	} else if (config->format == REGISTRY_FORMAT_RPCX) {
		text_add_str(target, "/v1/kv/");
		consul_tree(config, name, &prefix);
		consul_add_key(target, slice_of(prefix.bytes, prefix.len));
		consul_add(target, "recurse", SLICE_LIT("true"));
	} else {
		text_add_str(target, "/v1/health/service/");
		record_escape(name, target);
		consul_add(target, "passing", SLICE_LIT("true"));
	}
	if (config->datacenter)
		consul_add(target, "dc", slice_str(config->datacenter));
	if (w->index)
		consul_add_wait(target, w->index, WAIT);
	text_fini(&prefix);
}

static void ask(struct consul_watch *w)
{
	struct consul_request request = {
	    .method = "GET", .wait = w->index ? WAIT : 0, .done = answered, .arg = w};
	struct text target = {0};
	struct err err = {0};

	write_target(w, &target);
	request.target = slice_of(target.bytes, target.len);
	w->asked_at = http_place_now(&w->client->place);
	w->exchange = consul_ask(w->client, &request, &err);
	text_fini(&target);
	if (w->exchange == NULL)
		fail(w, REFUSED, &err);
}

/* ---- from outside ---- */

void consul_watch(struct registry_client *client, struct slice name, bool is_document)
{
	struct consul_watch *w = mem_calloc(1, sizeof *w + name.len + 1);

	w->client = client;
	w->is_document = is_document;
	memcpy(w->name, name.data, name.len);
	list_push_back(&client->watches, &w->link);
	ask(w);
}

static void drop(struct consul_watch *w)
{
	wheel_clear(&w->again);
	if (w->exchange)
		http_exchange_drop(&w->exchange);
	list_remove(&w->link);
	free(w);
}

void consul_unwatch(struct registry_client *client, struct slice name, bool is_document)
{
	list_each_safe (link, &client->watches) {
		struct consul_watch *w = list_item(link, struct consul_watch, link);

		if (w->is_document == is_document && slice_eq_str(name, w->name))
			drop(w);
	}
}

void consul_unwatch_all(struct registry_client *client)
{
	list_each_safe (link, &client->watches)
		drop(list_item(link, struct consul_watch, link));
}
