#include "registry/kitex_governance.h"

#include <string.h>

#include "model/key_path.h"
#include "registry/kitex_reading.h"
#include "registry/kitex_retry.h"

#define MS_MAX          86400000 /* a day */
#define LIMIT_MAX       1000000000
#define CONNECTIONS_MAX 1000000000
#define SAMPLES_MAX     1000000

static const struct {
	const char *name, *locked;
} categories[GOVERNANCE_CATEGORIES] = {
    [GOVERNANCE_RETRY] = {"retry", "retry"},
    [GOVERNANCE_RPC_TIMEOUT] = {"rpc_timeout", "timeout"},
    [GOVERNANCE_CIRCUIT_BREAK] = {"circuit_break", "breaker"},
    [GOVERNANCE_DEGRADATION] = {"degradation", "degrade"},
    [GOVERNANCE_LIMIT] = {"limit", "limit"},
};

const char *governance_category_name(enum governance_category category)
{
	return categories[category].name;
}

bool governance_is_of_server(const struct service_config *service)
{
	for (size_t i = 0; i < service->n_endpoints; i++)
		if (!address_is_local(&service->endpoints[i].address))
			return false;
	return service->n_endpoints > 0;
}

struct slice governance_key(const struct service_config *service, const char *client,
    enum governance_category category, struct arena *arena)
{
	const struct registry_config *from = service->governance.from;
	const char *prefix = from->type == REGISTRY_FILE ? "" : service->governance.prefix;
	bool is_rooted = from->type == REGISTRY_ETCD || from->type == REGISTRY_ZOOKEEPER;
	const char *key;

	if (category == GOVERNANCE_LIMIT)
		key = arena_printf(
		    arena, "%s/%s/%s", prefix, service->name, categories[category].name);
	else
		key = arena_printf(
		    arena, "%s/%s/%s/%s", prefix, client, service->name, categories[category].name);
	while (!is_rooted && *key == '/')
		key++;
	return slice_str(key);
}

/* ---- where values go ---- */

struct writing {
	const struct governance_document *document;
	struct arena *arena;
	struct config_overlay *list;
	size_t n, room;
};

static void put(struct writing *w, const char *path, const char *value)
{
	if (w->n == w->room) {
		struct config_overlay *bigger;

		w->room = w->room ? w->room * 2 : 8;
		bigger = arena_alloc(w->arena, w->room * sizeof *bigger);
		if (w->n)
			memcpy(bigger, w->list, w->n * sizeof *bigger);
		w->list = bigger;
	}
	w->list[w->n++] = (struct config_overlay){path, value, w->document->source};
}

/* services.LABEL.key or services.LABEL.methods.METHOD.key */
static void put_key(struct writing *w, const char *method, const char *key, const char *value)
{
	struct key_path path = {.len = 0};

	key_path_key(&path, SLICE_LIT("services"));
	key_path_key(&path, slice_str(w->document->service->label));
	if (method) {
		key_path_key(&path, SLICE_LIT("methods"));
		key_path_key(&path, slice_str(method));
	}
	put(w, arena_printf(w->arena, "%s.%s", path.text, key), value);
}

/*
 * Calls @write for each entry of a map of methods. That of "*" is for all methods without an entry
 * here, so it goes to the service, from which methods inherit, and to those methods of the file
 * that may have a value of their own.
 */
static void write_methods(struct writing *w, const struct yaml_node *map,
    void (*write)(struct writing *w, const char *method, const struct yaml_node *entry))
{
	const struct service_config *service = w->document->service;
	const struct yaml_node *any = yaml_find(map, SLICE_LIT("*"));

	if (any)
		write(w, NULL, any);
	for (size_t i = 0; any && i < service->n_methods; i++)
		if (strcmp(service->methods[i].name, "*") == 0 ||
		    yaml_find(map, slice_str(service->methods[i].name)) == NULL)
			write(w, service->methods[i].name, any);
	for (const struct yaml_node *entry = map->first; entry; entry = entry->next)
		if (entry != any)
			write(w, arena_str(w->arena, entry->key), entry);
}

/* The same for a document that is of the service as a whole. */
static void put_everywhere(struct writing *w, const char *key, const char *value)
{
	const struct service_config *service = w->document->service;

	put_key(w, NULL, key, value);
	for (size_t i = 0; i < service->n_methods; i++)
		put_key(w, service->methods[i].name, key, value);
}

/* ---- retry ---- */

static void write_retry(struct writing *w, const char *method, const struct yaml_node *entry)
{
	struct err err;

	put_key(w, method, "retry", kitex_retry(entry, w->arena, &err));
}

static int read_retry(struct writing *w, const struct yaml_node *root, struct err *err)
{
	for (const struct yaml_node *entry = root->first; entry; entry = entry->next)
		if (kitex_retry(entry, w->arena, err) == NULL)
			return -1;
	write_methods(w, root, write_retry);
	return 0;
}

/* ---- rpc_timeout ---- */

struct times {
	int64_t rpc, connect; /* milliseconds; 0: none */
};

static int read_times(const struct yaml_node *entry, struct times *times, struct err *err)
{
	if (kitex_map(entry, "a map with rpc_timeout_ms", err) < 0 ||
	    kitex_integer(entry, "rpc_timeout_ms", 0, MS_MAX, &times->rpc, err) < 0)
		return -1;
	return kitex_integer(entry, "conn_timeout_ms", 0, MS_MAX, &times->connect, err);
}

/*
 * In Kitex this is the time of one attempt, and only its retries follow a timeout; timeout.call
 * would leave them no time. All attempts together have room under timeout.default then.
 */
static void write_times(struct writing *w, const char *method, const struct yaml_node *entry)
{
	struct times times = {0};
	struct err err;

	read_times(entry, &times, &err);
	put_key(w, method, "timeout.call", "none");
	if (times.rpc > 0) {
		put_key(w, method, "timeout.attempt",
		    arena_printf(w->arena, "%lldms", (long long)times.rpc));
		put_key(w, method, "timeout.default",
		    arena_printf(
			w->arena, "%lldms", (long long)times.rpc * (1 + RETRY_ATTEMPTS_MAX)));
	} else {
		put_key(w, method, "timeout.attempt", "none");
	}
	if (times.connect > 0)
		put_key(w, method, "timeout.connect",
		    arena_printf(w->arena, "%lldms", (long long)times.connect));
}

static int read_rpc_timeout(struct writing *w, const struct yaml_node *root, struct err *err)
{
	struct times times;

	for (const struct yaml_node *entry = root->first; entry; entry = entry->next)
		if (read_times(entry, &times, err) < 0)
			return -1;
	write_methods(w, root, write_times);
	return 0;
}

/* ---- circuit_break ---- */

/* NULL with @err set when it is wrong. */
static const char *breaker_of(const struct yaml_node *entry, struct arena *arena, struct err *err)
{
	bool enable = false;
	double rate = 0;
	int64_t samples = 0;

	if (kitex_map(entry, "a map with enable, err_rate and min_sample", err) < 0 ||
	    kitex_bool(entry, "enable", &enable, err) < 0)
		return NULL;
	if (!enable)
		return "none";
	if (kitex_number(entry, "err_rate", 0.000001, 1, &rate, err) < 0 ||
	    kitex_integer(entry, "min_sample", 1, SAMPLES_MAX, &samples, err) < 0)
		return NULL;
	if (rate <= 0 || samples <= 0) {
		kitex_refuse(entry, rate <= 0 ? "err_rate" : "min_sample", "is missing", err);
		return NULL;
	}
	return arena_printf(
	    arena, "{error_rate: %.6f%%, min_samples: %lld}", rate * 100, (long long)samples);
}

/* "*" is a method's name to Kitex's breakers, and no method has it. */
static int read_circuit_break(struct writing *w, const struct yaml_node *root, struct err *err)
{
	for (const struct yaml_node *entry = root->first; entry; entry = entry->next) {
		const char *breaker = breaker_of(entry, w->arena, err);

		if (breaker == NULL)
			return -1;
		if (!slice_eq_str(entry->key, "*"))
			put_key(w, arena_str(w->arena, entry->key), "breaker", breaker);
	}
	return 0;
}

/* ---- degradation ---- */

static int read_degradation(struct writing *w, const struct yaml_node *root, struct err *err)
{
	bool enable = false;
	int64_t percentage = 0;

	if (root->n == 0) /* as Kitex makes one in Consul where there is none */
		return 0;
	if (kitex_bool(root, "enable", &enable, err) < 0 ||
	    kitex_integer(root, "percentage", 0, 100, &percentage, err) < 0)
		return -1;
	if (!enable || percentage == 0)
		put_everywhere(w, "degrade", "none");
	else
		put_everywhere(
		    w, "degrade", arena_printf(w->arena, "%lld%%", (long long)percentage));
	return 0;
}

/* ---- limit ---- */

static void write_rate(struct writing *w, int64_t qps)
{
	const struct limit_config *own = w->document->service->policy.limits[LEVEL_SERVICE];

	if (qps > 0)
		put_key(w, NULL, "limit.rate", arena_printf(w->arena, "%lld/s", (long long)qps));
	else if (own && own->has_rate && own->concurrency != COUNT_NONE)
		put_key(w, NULL, "limit.rate", "none");
	else if (own == NULL || own->has_rate)
		put_key(w, NULL, "limit", "none");
}

static void write_connections(struct writing *w, int64_t connections)
{
	const struct config *config = w->document->config;
	const char *value =
	    connections > 0 ? arena_printf(w->arena, "%lld", (long long)connections) : "none";

	for (size_t i = 0; i < config->n_listeners; i++) {
		const struct service_config *pin = config->listeners[i].service;

		if (pin && strcmp(pin->label, w->document->service->label) == 0)
			put(w, arena_printf(w->arena, "listeners[%zu].connections", i), value);
	}
}

/* 0 is no limit; what is missing is as in the file. */
static int read_limit(struct writing *w, const struct yaml_node *root, struct err *err)
{
	int64_t qps = INT64_MIN, connections = INT64_MIN;

	if (kitex_integer(root, "qps_limit", INT32_MIN, LIMIT_MAX, &qps, err) < 0 ||
	    kitex_integer(root, "connection_limit", INT32_MIN, CONNECTIONS_MAX, &connections, err) <
		0)
		return -1;
	if (qps != INT64_MIN)
		write_rate(w, qps);
	if (connections != INT64_MIN)
		write_connections(w, connections);
	return 0;
}

/* ---- all ---- */

static bool is_locked(const struct governance_document *document)
{
	const struct config_list *locked = &document->service->governance.locked;

	for (size_t i = 0; i < locked->n; i++)
		if (strcmp(locked->items[i], categories[document->category].locked) == 0)
			return true;
	return false;
}

static int read_document(struct writing *w, const struct yaml_node *root, struct err *err)
{
	switch (w->document->category) {
	case GOVERNANCE_RETRY:
		return kitex_methods(root, err) < 0 ? -1 : read_retry(w, root, err);
	case GOVERNANCE_RPC_TIMEOUT:
		return kitex_methods(root, err) < 0 ? -1 : read_rpc_timeout(w, root, err);
	case GOVERNANCE_CIRCUIT_BREAK:
		return kitex_methods(root, err) < 0 ? -1 : read_circuit_break(w, root, err);
	case GOVERNANCE_DEGRADATION:
		return read_degradation(w, root, err);
	case GOVERNANCE_LIMIT:
		return read_limit(w, root, err);
	case GOVERNANCE_CATEGORIES:
		break;
	}
	return 0;
}

int governance_overlays(const struct governance_document *document, struct arena *arena,
    struct config_overlay **overlays, size_t *n, struct err *err)
{
	struct writing w = {.document = document, .arena = arena};
	struct arena scratch;
	const struct yaml_node *root;
	int rc = -1;

	*overlays = NULL;
	*n = 0;
	arena_init(&scratch, NULL, 0);
	root = kitex_read(document->text, &scratch, err);
	/* A document that is locked is looked at all the same: it should not be wrong. */
	if (root)
		rc = read_document(&w, root, err);
	if (rc == 0 && w.n > 0 && !is_locked(document)) {
		*overlays = w.list;
		*n = w.n;
	}
	arena_fini(&scratch);
	return rc;
}
