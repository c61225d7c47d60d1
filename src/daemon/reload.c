#include "daemon/reload.h"

#include <stdio.h>
#include <string.h>

#include "daemon/admin.h"
#include "daemon/config_watch.h"
#include "daemon/effective.h"
#include "daemon/lookups.h"
#include "daemon/metadata_socket.h"
#include "daemon/notify.h"
#include "daemon/successor.h"
#include "daemon/upgrade.h"
#include "model/config_bind.h"
#include "model/config_source.h"
#include "model/config_tests.h"
#include "model/problems.h"
#include "registry/client.h"

#define DOORS_WITHIN USEC_S

/* What a file may say is the same everywhere; what this program was built with is not. */
static bool is_all_built(const struct config *config, struct problems *problems)
{
	bool is_built = true;

	for (size_t i = 0; i < config->n_registries; i++) {
		const struct registry_config *registry = config->registries[i];
		char path[300];

		if (registry_type_is_built(registry->type))
			continue;
		is_built = false;
		snprintf(path, sizeof path, "registries.%s.type", registry->name);
		problems_error(problems, origin_place(config, registry, "type"), path,
		    "%s was left out when this bridled was built\ninstall its client library and "
		    "build with --with-%s=yes; bridled -V shows what there is",
		    registry_type_name(registry->type), registry_type_name(registry->type));
	}
	return is_built;
}

struct config *reload_read(const struct options *options, struct problems *problems)
{
	struct config *config;
	struct config_source source = {
	    .path = options->config_path,
	    .overrides = options->overrides,
	    .n_overrides = options->n_overrides,
	};

	config = config_load(&source, problems);
	if (config && !is_all_built(config, problems))
		config_free(&config);
	return config;
}

struct config *reload_read_tested(const struct options *options, struct problems *problems)
{
	struct config *config = reload_read(options, problems);

	if (config && config_tests_run(config, problems))
		config_free(&config);
	return config;
}

/* Everything that a new configuration needs and that may be refused. */
struct reload_plan {
	struct logs_plan logs;
	struct bindings_plan bindings;
	struct admin_plan admin;
	struct metadata_plan metadata;
};

static void cancel(struct reload_plan *plan)
{
	logs_cancel(&plan->logs);
	bindings_cancel(&plan->bindings);
	admin_cancel(&plan->admin);
	metadata_socket_cancel(&plan->metadata);
}

/* Says in the file's own terms what could not be had. */
static void blame(struct reload_result *result, const struct config *config, const void *base,
    const char *key, const char *path)
{
	problems_error(
	    &result->problems, origin_place(config, base, key), path, "%s", result->err.text);
}

static int prepare_logs(struct control *c, const struct config *config, struct reload_plan *plan,
    struct reload_result *r)
{
	if (logs_prepare(&c->logs, config, &plan->logs, &r->err) == 0)
		return 0;
	blame(r, config, config, plan->logs.refused, plan->logs.refused);
	return -1;
}

static int prepare_doors(struct control *c, const struct config *config, struct reload_plan *plan,
    struct reload_result *r)
{
	const struct listener_config *refused;
	char path[64];

	acceptor_wait(c->workers.acceptor, DOORS_WITHIN); /* what was closed may be wanted again */
	if (bindings_prepare(&c->bindings, config, &plan->bindings, &r->err) == 0)
		return 0;
	refused = plan->bindings.refused;
	snprintf(path, sizeof path, "listeners[%zu]", (size_t)(refused - config->listeners));
	blame(r, config, refused, "address", path);
	return -1;
}

static int prepare_admin(struct control *c, const struct config *config, struct reload_plan *plan,
    struct reload_result *r)
{
	if (admin_prepare(c->admin, config, &plan->admin, &r->err) == 0)
		return 0;
	blame(r, config, config, "admin.http", "admin.http");
	return -1;
}

static int prepare_metadata(struct control *c, const struct config *config,
    struct reload_plan *plan, struct reload_result *r)
{
	if (metadata_socket_prepare(c->metadata_socket, config, &plan->metadata, &r->err) == 0)
		return 0;
	blame(r, config, config, "metadata_socket", "metadata_socket");
	return -1;
}

static int prepare_discovery(
    struct control *c, struct shared_config *shared, struct reload_result *r)
{
	const struct registry_config *refused;
	char path[300];

	if (discovery_follow(c->discovery, shared, &r->err) == 0)
		return 0;
	refused = discovery_refused(c->discovery);
	snprintf(path, sizeof path, "registries.%s", refused ? refused->name : "");
	if (refused)
		blame(r, shared->config, refused, NULL, path);
	else
		blame(r, shared->config, shared->config, "resolvers", "resolvers");
	return -1;
}

/* What is followed changes last: it is the only thing that cannot be taken back. */
static int prepare(struct control *c, struct shared_config *shared, struct reload_plan *plan,
    struct reload_result *result)
{
	const struct config *config = shared->config;

	*plan = (struct reload_plan){
	    .logs = {-1, -1, NULL}, .admin = {.fd = -1}, .metadata = {.fd = -1}};
	if (prepare_logs(c, config, plan, result) == 0 &&
	    prepare_doors(c, config, plan, result) == 0 &&
	    prepare_admin(c, config, plan, result) == 0 &&
	    prepare_metadata(c, config, plan, result) == 0 &&
	    prepare_discovery(c, shared, result) == 0)
		return 0;
	cancel(plan);
	return -1;
}

static void commit(struct control *c, struct shared_config *shared, struct reload_plan *plan)
{
	struct acceptor_plan doors;

	logs_commit(&c->logs, shared->config, &plan->logs);
	admin_commit(c->admin, shared->config, &plan->admin);
	metadata_socket_commit(c->metadata_socket, shared->config, &plan->metadata);
	c->loaded_at = clock_calendar();
	/* Workers hear of a new listener before its first connection comes. */
	effective_reload(c, shared);
	lookups_reloaded(c->lookups);
	doors = bindings_commit(&c->bindings, &plan->bindings);
	acceptor_apply(c->workers.acceptor, &doors);
	effective_limit_doors(c);
}

/* The file as it is, or NULL with the error set. */
static struct config *read_now(struct control *c, struct reload_result *result)
{
	struct config *config;

	config = reload_read_tested(c->options, &result->problems);
	if (config == NULL) {
		err_set(&result->err, 0, "the configuration has %zu error%s",
		    result->problems.n_errors, result->problems.n_errors == 1 ? "" : "s");
		return NULL;
	}
	result->is_unchanged = config_tree_same(config->tree, c->snapshot->config->tree);
	result->n_kept = fixed_keys_keep(config, c->snapshot->config, result->kept);
	return config;
}

static int take_over(struct control *c, struct config *moved, struct reload_result *result)
{
	struct shared_config *shared = shared_config_new(moved);
	struct reload_plan plan;
	int prepared = prepare(c, shared, &plan, result);

	if (prepared == 0)
		commit(c, shared, &plan);
	shared_config_unref(&shared);
	return prepared;
}

/* --- what became of it --- */

static void log_problem(const struct problem *p)
{
	char key[LOG_ESCAPED_MAX], text[LOG_ESCAPED_MAX];

	log_escape(key, sizeof key, slice_str(p->path));
	log_escape(text, sizeof text, slice_str(p->text));
	log_write(p->is_warning ? LOG_LEVEL_WARN : LOG_LEVEL_ERROR, "config",
	    p->is_warning ? "doubtful" : "wrong", "at=%s:%u:%u key=\"%s\" what=\"%s\"",
	    p->file ? p->file : "", p->line, p->column, key, text);
}

static void log_result(const struct control *c, const struct reload_result *result)
{
	char error[LOG_ESCAPED_MAX];

	for (size_t i = 0; i < result->problems.n; i++)
		log_problem(&result->problems.list[i]);
	for (size_t i = 0; i < result->n_kept; i++)
		log_warn("config", "a change takes effect only at the next start", "key=%s",
		    result->kept[i]);
	if (result->ok) {
		log_info("config",
		    result->is_unchanged ? "reloaded, nothing has changed" : "reloaded", "hash=%s",
		    c->snapshot->config->hash);
		return;
	}
	log_escape(error, sizeof error, slice_str(result->err.text));
	log_error("config", "not reloaded, the old configuration stays", "hash=%s error=\"%s\"",
	    c->snapshot->config->hash, error);
}

static void record(struct control *c, const struct reload_result *result)
{
	struct reload_record *r = &c->last_reload;

	r->ok = result->ok;
	r->is_unchanged = result->is_unchanged;
	r->at = clock_calendar();
	r->succeeded += result->ok;
	r->failed += !result->ok;
	snprintf(r->error, sizeof r->error, "%s", result->ok ? "" : result->err.text);
	r->n_kept = result->n_kept;
	for (size_t i = 0; i < result->n_kept; i++)
		r->kept[i] = result->kept[i];
}

/* The service manager waits for the end of what it was told has begun. */
static void tell_manager(const struct control *c, const struct reload_result *result)
{
	char error[LOG_ESCAPED_MAX], lines[LOG_ESCAPED_MAX + 128];

	log_escape(error, sizeof error, slice_str(result->err.text));
	snprintf(lines, sizeof lines, "READY=1\nSTATUS=%s%s%s\n",
	    c->state == CONTROL_DRAINING ? "draining" : "serving",
	    result->ok ? "" : "; the file was not reloaded: ", result->ok ? "" : error);
	notify_send(lines);
}

static bool has_failed(const struct control *c)
{
	return c->last_reload.at && !c->last_reload.ok;
}

static void finish(struct control *c, bool was_told, struct reload_result *result)
{
	record(c, result);
	log_result(c, result);
	config_watch_follow(c->watch, c->snapshot->config);
	if (was_told)
		tell_manager(c, result);
}

/* --- the doors to all of this --- */

/* Whether there is no place for another configuration now. */
static bool is_too_late(const struct control *c, struct err *err)
{
	if (c->stopping.is_under_way)
		err_set(err, 0, "the daemon is stopping");
	else if (c->upgrade && upgrade_is_under_way(c->upgrade))
		err_set(err, 0, "an upgrade is under way; ask again when it is over");
	else if (successor_is_waiting(c->successor))
		err_set(err, 0, "another process still serves in the place of this one");
	else
		return false;
	return true;
}

/* As long as it starts the manager waits for the first READY. */
static bool tell_beginning(const struct control *c)
{
	if (c->state == CONTROL_STARTING)
		return false;
	notify_reloading();
	return true;
}

static void dry_run(struct control *c, struct reload_result *result)
{
	struct config *config = read_now(c, result);

	result->ok = config != NULL;
	config_free(&config);
}

void reload_run(struct control *c, bool is_dry, struct reload_result *result)
{
	struct config *config;
	bool was_told;

	*result = (struct reload_result){0};
	problems_init(&result->problems);
	if (is_too_late(c, &result->err)) {
		if (!is_dry)
			log_warn("config", "not reloaded", "error=\"%s\"", result->err.text);
		return;
	}
	if (is_dry) {
		dry_run(c, result);
		return;
	}
	was_told = tell_beginning(c);
	config_watch_mark(c->watch);
	config = read_now(c, result);
	result->ok = config && take_over(c, config, result) == 0;
	finish(c, was_told, result);
}

void reload_run_if_changed(struct control *c)
{
	struct reload_result result = {0};
	struct config *config;
	bool was_told;

	if (is_too_late(c, &result.err))
		return;
	problems_init(&result.problems);
	config_watch_mark(c->watch);
	config = read_now(c, &result);
	if (config && result.is_unchanged && !has_failed(c)) {
		config_free(&config);
	} else {
		was_told = tell_beginning(c);
		result.ok = config && take_over(c, config, &result) == 0;
		finish(c, was_told, &result);
	}
	reload_result_fini(&result);
}

void reload_result_fini(struct reload_result *result)
{
	problems_fini(&result->problems);
}
