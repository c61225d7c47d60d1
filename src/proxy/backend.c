#include "proxy/backend.h"

#include <stdlib.h>

#include "base/mem.h"
#include "model/snapshot.h"
#include "proxy/upstream.h"
#include "proxy/worker.h"

#define KEY_MAX (256u + 1 + ADDRESS_TEXT_MAX)

/* label NUL address; @room has KEY_MAX bytes. Labels have at most 200. */
static struct slice make_key(char *room, struct slice label, const char *address)
{
	size_t address_len = strlen(address);

	memcpy(room, label.data, label.len);
	room[label.len] = '\0';
	memcpy(room + label.len + 1, address, address_len);
	return slice_of(room, label.len + 1 + address_len);
}

/* Connections that have none give way to others. */
static void set_names(struct backend *b, const struct service_config *service)
{
	bool named = b->names_connections;

	b->names_connections =
	    service->metadata.type == METADATA_LOOKUP && b->address.sa.ss_family == AF_UNIX;
	if (b->names_connections && !named)
		upstream_outdate(b);
}

bool backend_is_going(const struct backend *b)
{
	return b->is_vanished || endpoint_tally_is_disabled(b->tally);
}

/* Whether a connection of this service may be made before it is known whose call it is to carry. */
static bool can_wait(const struct service_config *service)
{
	return service->metadata.type != METADATA_PROXY_V2 && service->protocol != SERVICE_GRPC &&
	       service->protocol != SERVICE_TTHEADER_STREAMING && !service->multiplex;
}

static void set_pool(struct backend *b, const struct service_config *service)
{
	const struct policy *p = &service->policy;

	b->most_connections = p->pool_connections;
	b->warm = can_wait(service) && !backend_is_going(b) ? p->pool_warm : 0;
	b->warm_keep = p->pool_keep;
	b->warm_keep_for = p->pool_idle_timeout;
	b->warm_within = p->timeout_connect;
	if (b->warm || !list_is_empty(&b->hungry))
		loop_defer(b->worker->loop, &b->supply);
}

static void set_introduction(struct backend *b, const struct service *service)
{
	bool is_introduced = service->config->metadata.type == METADATA_PROXY_V2;
	char *before = b->introduced_as;

	if (before ? is_introduced && slice_eq_str(service->name, before) : !is_introduced)
		return;
	b->introduced_as = is_introduced ? slice_dup(service->name) : NULL;
	free(before);
	upstream_outdate(b);
}

static void set_limits(
    struct backend *b, const struct service *service, const struct snapshot *snapshot)
{
	set_pool(b, service->config);
	set_introduction(b, service);
	b->limits = (struct codec_limits){.max_message = snapshot->max_message,
	    .max_header = snapshot->max_header,
	    .protocols = ~0u,
	    .node = slice_str(b->worker->node)};
	set_names(b, service->config);
}

static struct backend *backend_new(
    struct worker *worker, struct slice key, struct endpoint_tally *tally)
{
	struct backend *b = mem_calloc(1, sizeof *b);

	b->worker = worker;
	b->key = slice_dup(key);
	b->key_len = key.len;
	list_init(&b->link);
	list_init(&b->idle);
	list_init(&b->busy);
	list_init(&b->shared);
	list_init(&b->oneways);
	list_init(&b->hungry);
	b->supply.run = upstream_supply;
	b->tally = endpoint_tally_ref(tally);
	/* A call of an older world may still go there; nobody else finds it. */
	b->is_vanished = !endpoint_tally_is_present(tally);
	if (b->is_vanished)
		return b;
	list_push_back(&worker->backend_list, &b->link);
	pthread_mutex_lock(&worker->backends_lock);
	table_put(&worker->backends, slice_of(b->key, b->key_len), b);
	pthread_mutex_unlock(&worker->backends_lock);
	return b;
}

struct backend *backend_use(struct worker *worker, const struct service *service, size_t endpoint,
    struct service_stats *stats, const struct snapshot *snapshot)
{
	const struct address *address = &service->endpoints[endpoint].address;
	char room[KEY_MAX];
	struct slice key = make_key(room, service->label, address->text);
	struct backend *b = table_get(&worker->backends, key);

	if (b == NULL) {
		b = backend_new(worker, key, service->endpoint_tallies[endpoint]);
		b->address = *address;
		b->stats = stats;
		set_limits(b, service, snapshot);
	}
	b->users++;
	return b;
}

static bool has_connections(const struct backend *b)
{
	return !list_is_empty(&b->idle) || !list_is_empty(&b->busy) || !list_is_empty(&b->shared) ||
	       !list_is_empty(&b->oneways);
}

/* Readers find a backend through the table, under the lock, so it leaves the table first and may be
 * freed later without the lock. */
static void free_if_done(struct backend *b)
{
	if (!b->is_vanished || b->users > 0 || has_connections(b))
		return;
	loop_undefer(&b->supply);
	endpoint_tally_unref(&b->tally);
	free(b->introduced_as);
	free(b->key);
	free(b);
}

void backend_unuse(struct backend **p)
{
	struct backend *b = *p;

	*p = NULL;
	if (b->users == 1 && b->is_vanished)
		upstream_close_unused(b);
	b->users--;
	free_if_done(b);
}

void backend_vanish(struct backend *b)
{
	b->is_vanished = true;
	list_remove(&b->link);
	pthread_mutex_lock(&b->worker->backends_lock);
	table_remove(&b->worker->backends, slice_of(b->key, b->key_len));
	pthread_mutex_unlock(&b->worker->backends_lock);
	b->users++;
	upstream_close_unused(b); /* which must not free it under us */
	backend_unuse(&b);
}

void backend_follow(struct backend *b, const struct snapshot *snapshot)
{
	const struct service *service =
	    snapshot_service(snapshot, slice_of(b->key, strlen(b->key)));

	if (service == NULL || !endpoint_tally_is_present(b->tally)) {
		backend_vanish(b);
		return;
	}
	set_limits(b, service, snapshot);
	if (backend_is_going(b))
		upstream_close_unused(b);
}

static void close_all(struct list *list)
{
	list_each_safe (link, list)
		upstream_close(list_item(link, struct upstream, link));
}

void backend_close_all(struct backend *b)
{
	close_all(&b->idle);
	close_all(&b->busy);
	close_all(&b->shared);
	close_all(&b->oneways);
}

void backend_note_reply(struct backend *b, usec_t took, usec_t now)
{
	latency_note(&b->latency, took, now);
}

void backend_note_connect(struct backend *b, usec_t took)
{
	b->connect_time = latency_mix(b->connect_time, took);
}

struct lb_load backend_load(const struct backend *b, usec_t now)
{
	return (struct lb_load){
	    .in_flight = (uint32_t)counter_get(&b->in_flight),
	    .latency = latency_at(&b->latency, now),
	    .connect = b->connect_time,
	};
}

void backend_connection_gone(struct backend *b)
{
	free_if_done(b);
}
