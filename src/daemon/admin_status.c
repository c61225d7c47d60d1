#include "daemon/admin_pages.h"

#include <time.h>
#include <unistd.h>

#include <cJSON.h>

#include "daemon/reload.h"
#include "net/loop.h"

void admin_add_time(cJSON *object, const char *name, usec_t calendar)
{
	time_t seconds = (time_t)(calendar / USEC_S);
	char text[32];
	struct tm tm;

	if (calendar == 0) {
		cJSON_AddNullToObject(object, name);
		return;
	}
	gmtime_r(&seconds, &tm);
	strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
	cJSON_AddStringToObject(object, name, text);
}

/* Keys whose new values wait for the next start. */
static void add_kept(cJSON *object, const char *const *kept, size_t n)
{
	cJSON *list = cJSON_AddArrayToObject(object, "not_applied");

	for (size_t i = 0; i < n; i++)
		cJSON_AddItemToArray(list, cJSON_CreateString(kept[i]));
}

static void add_config(cJSON *root, const struct control *c)
{
	cJSON *config = cJSON_AddObjectToObject(root, "config");
	cJSON *last;

	cJSON_AddStringToObject(config, "hash", c->snapshot->config->hash);
	admin_add_time(config, "loaded_at", c->loaded_at);
	if (c->last_reload.at == 0) {
		cJSON_AddNullToObject(config, "last_reload");
		return;
	}
	last = cJSON_AddObjectToObject(config, "last_reload");
	cJSON_AddBoolToObject(last, "ok", c->last_reload.ok);
	if (c->last_reload.ok)
		cJSON_AddNullToObject(last, "error");
	else
		cJSON_AddStringToObject(last, "error", c->last_reload.error);
	cJSON_AddBoolToObject(last, "changed", c->last_reload.ok && !c->last_reload.is_unchanged);
	add_kept(last, c->last_reload.kept, c->last_reload.n_kept);
	admin_add_time(last, "at", c->last_reload.at);
}

static void add_workers(cJSON *root, const struct workers *workers)
{
	cJSON *list = cJSON_AddArrayToObject(root, "workers");

	for (unsigned i = 0; i < workers->n; i++) {
		const struct worker *w = workers->list[i];
		cJSON *one = cJSON_CreateObject();

		cJSON_AddNumberToObject(one, "connections", atomic_load(&w->connections));
		cJSON_AddNumberToObject(one, "calls", (double)counter_get(&w->calls_total));
		cJSON_AddItemToArray(list, one);
	}
}

static void count_listener(
    const struct workers *workers, const char *name, double *connections, double *calls)
{
	*connections = *calls = 0;
	for (unsigned i = 0; i < workers->n; i++) {
		const struct listener_stats *s = atomic_load(&workers->list[i]->listeners);

		for (; s; s = atomic_load(&s->next)) {
			if (strcmp(s->name, name) != 0)
				continue;
			*connections += (double)counter_get(&s->connections);
			*calls += (double)counter_get(&s->calls);
		}
	}
}

static void add_addresses(cJSON *one, const struct bindings *bindings, const char *listener)
{
	cJSON *list = cJSON_AddArrayToObject(one, "addresses");

	list_each (link, &bindings->all) {
		const struct binding *b = list_item(link, struct binding, link);

		if (strcmp(b->listener, listener) == 0)
			cJSON_AddItemToArray(list, cJSON_CreateString(b->bound.text));
	}
}

static void add_listeners(cJSON *root, const struct control *c)
{
	const struct config *config = c->snapshot->config;
	cJSON *list = cJSON_AddArrayToObject(root, "listeners");

	for (size_t i = 0; i < config->n_listeners; i++) {
		const char *name = config->listeners[i].name;
		cJSON *one = cJSON_CreateObject();
		double connections, calls;

		count_listener(&c->workers, name, &connections, &calls);
		cJSON_AddStringToObject(one, "name", name);
		add_addresses(one, &c->bindings, name);
		cJSON_AddNumberToObject(one, "connections", connections);
		cJSON_AddNumberToObject(one, "calls_total", calls);
		cJSON_AddItemToArray(list, one);
	}
}

/* What the lists called "latency" count: calls up to each bound, and beyond the last. */
static void add_bounds(cJSON *root)
{
	cJSON *list = cJSON_AddArrayToObject(root, "histogram_bounds_us");

	for (size_t i = 0; i < HISTOGRAM_BOUNDS; i++)
		cJSON_AddItemToArray(list, cJSON_CreateNumber((double)histogram_bounds[i]));
}

struct cJSON *admin_page_status(const struct control *c)
{
	cJSON *root = cJSON_CreateObject(), *memory;

	cJSON_AddStringToObject(root, "version", PACKAGE_VERSION);
	cJSON_AddNumberToObject(
	    root, "uptime_s", (double)((loop_now(c->loop) - c->started_at) / USEC_S));
	cJSON_AddNumberToObject(root, "pid", getpid());
	cJSON_AddStringToObject(root, "state", control_state_name(c->state));
	add_config(root, c);
	admin_add_upgrade(root, c);
	add_workers(root, &c->workers);
	add_listeners(root, c);
	admin_add_registries(root, c);
	memory = cJSON_AddObjectToObject(root, "memory");
	cJSON_AddNumberToObject(memory, "rss_bytes", (double)overload_resident());
	cJSON_AddNumberToObject(
	    root, "overload", (double)overload_get(&c->workers.shares.overload));
	cJSON_AddStringToObject(root, "log_level", log_level_name(log_get_level()));
	add_bounds(root);
	return root;
}

struct cJSON *admin_page_ready(const struct control *c)
{
	cJSON *root = cJSON_CreateObject(), *list;
	char missing[320];

	cJSON_AddBoolToObject(root, "ready", c->state == CONTROL_READY);
	cJSON_AddStringToObject(root, "state", control_state_name(c->state));
	list = cJSON_AddArrayToObject(root, "missing");
	control_missing(c, missing, sizeof missing);
	if (missing[0])
		cJSON_AddItemToArray(list, cJSON_CreateString(missing));
	return root;
}

struct cJSON *admin_page_live(const struct control *c)
{
	cJSON *root = cJSON_CreateObject();
	int stuck = liveness_stuck_worker(c->liveness);

	cJSON_AddBoolToObject(root, "live", stuck < 0);
	if (stuck >= 0)
		cJSON_AddNumberToObject(root, "stuck_worker", stuck);
	return root;
}

static void add_text(cJSON *object, const char *name, const char *text)
{
	if (text)
		cJSON_AddStringToObject(object, name, text);
	else
		cJSON_AddNullToObject(object, name);
}

static void add_problems(cJSON *root, const struct problems *problems)
{
	cJSON *list = cJSON_AddArrayToObject(root, "problems");

	for (size_t i = 0; i < problems->n; i++) {
		const struct problem *p = &problems->list[i];
		cJSON *one = cJSON_CreateObject();

		add_text(one, "file", p->file);
		cJSON_AddNumberToObject(one, "line", p->line);
		cJSON_AddNumberToObject(one, "column", p->column);
		add_text(one, "path", p->path);
		add_text(one, "text", p->text);
		add_text(one, "remedy", p->remedy);
		cJSON_AddBoolToObject(one, "warning", p->is_warning);
		cJSON_AddItemToArray(list, one);
	}
}

struct cJSON *admin_page_reload(const struct control *c, const struct reload_result *result)
{
	cJSON *root = cJSON_CreateObject();

	cJSON_AddBoolToObject(root, "ok", result->ok);
	if (!result->ok)
		cJSON_AddStringToObject(root, "error", result->err.text);
	cJSON_AddStringToObject(root, "hash", c->snapshot->config->hash);
	cJSON_AddBoolToObject(root, "changed", result->ok && !result->is_unchanged);
	add_kept(root, result->kept, result->n_kept);
	add_problems(root, &result->problems);
	return root;
}
