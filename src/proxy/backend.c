#include "proxy/backend.h"

#include <stdlib.h>

#include "base/mem.h"
#include "model/snapshot.h"
#include "proxy/upstream.h"
#include "proxy/worker.h"

static char *make_key(struct slice label, const char *address, size_t *len)
{
	size_t address_len = strlen(address);
	char *key = mem_alloc(label.len + 1 + address_len);

	memcpy(key, label.data, label.len);
	key[label.len] = '\0';
	memcpy(key + label.len + 1, address, address_len);
	*len = label.len + 1 + address_len;
	return key;
}

/* Whether calls of this service have their connections for themselves. */
static bool leases(const struct service_config *service)
{
	return service->protocol != SERVICE_GRPC &&
	       service->protocol != SERVICE_TTHEADER_STREAMING && !service->multiplex;
}

static void set_pool(struct backend *b, const struct service_config *service)
{
	const struct policy *p = &service->policy;

	b->most_connections = p->pool_connections;
	b->warm = leases(service) ? p->pool_warm : 0;
	b->warm_keep = p->pool_keep;
	b->warm_keep_for = p->pool_idle_timeout;
	b->warm_within = p->timeout_connect;
	if (b->warm || !list_is_empty(&b->hungry))
		loop_defer(b->worker->loop, &b->supply);
}

static struct backend *backend_new(struct worker *worker, char *key, size_t key_len)
{
	struct backend *b = mem_calloc(1, sizeof *b);

	b->worker = worker;
	b->key = key;
	b->key_len = key_len;
	list_init(&b->idle);
	list_init(&b->busy);
	list_init(&b->shared);
	list_init(&b->oneways);
	list_init(&b->hungry);
	b->supply.run = upstream_supply;
	table_put(&worker->backends, slice_of(key, key_len), b);
	return b;
}

struct backend *backend_use(struct worker *worker, const struct service *service,
    const struct address *address, struct service_stats *stats, const struct snapshot *snapshot)
{
	size_t key_len;
	char *key = make_key(service->label, address->text, &key_len);
	struct backend *b = table_get(&worker->backends, slice_of(key, key_len));

	if (b)
		free(key);
	else
		b = backend_new(worker, key, key_len);
	b->users++;
	set_pool(b, service->config);
	b->address = *address;
	b->stats = stats;
	b->limits = (struct codec_limits){.max_message = snapshot->max_message,
	    .max_header = snapshot->max_header,
	    .protocols = ~0u,
	    .node = slice_str(worker->node)};
	return b;
}

static bool has_connections(const struct backend *b)
{
	return !list_is_empty(&b->idle) || !list_is_empty(&b->busy) || !list_is_empty(&b->shared) ||
	       !list_is_empty(&b->oneways);
}

/* Readers find a backend through the table, under the lock, so it leaves the table with its users
 * and may be freed later without the lock. */
static void backend_free(struct backend *b)
{
	loop_undefer(&b->supply);
	free(b->key);
	free(b);
}

void backend_unuse(struct backend **p)
{
	struct backend *b = *p;

	*p = NULL;
	if (--b->users > 0)
		return;
	table_remove(&b->worker->backends, slice_of(b->key, b->key_len));
	b->users++; /* closing connections must not free it under us */
	upstream_close_unused(b);
	b->users--;
	if (!has_connections(b))
		backend_free(b);
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
	if (b->users == 0 && !has_connections(b))
		backend_free(b);
}
