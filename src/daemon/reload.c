#include "daemon/reload.h"

#include <stdio.h>
#include <string.h>

#include "daemon/admin.h"
#include "daemon/effective.h"
#include "daemon/lookups.h"
#include "daemon/notify.h"
#include "model/config_bind.h"
#include "model/config_tests.h"
#include "model/problems.h"
#include "registry/client.h"

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
};

static void cancel(struct reload_plan *plan)
{
	logs_cancel(&plan->logs);
	bindings_cancel(&plan->bindings);
	admin_cancel(&plan->admin);
}

static int prepare(
    struct control *c, struct shared_config *shared, struct reload_plan *plan, struct err *err)
{
	const struct config *config = shared->config;

	*plan = (struct reload_plan){.logs = {-1, -1}, .admin = {.fd = -1}};
	if (logs_prepare(&c->logs, config, &plan->logs, err) == 0 &&
	    bindings_prepare(&c->bindings, config, &plan->bindings, err) == 0 &&
	    admin_prepare(c->admin, config, &plan->admin, err) == 0 &&
	    discovery_follow(c->discovery, shared, err) == 0)
		return 0;
	cancel(plan);
	return -1;
}

static void commit(struct control *c, struct shared_config *shared, struct reload_plan *plan)
{
	struct acceptor_plan doors;

	logs_commit(&c->logs, shared->config, &plan->logs);
	admin_commit(c->admin, shared->config, &plan->admin);
	c->loaded_at = clock_calendar();
	/* Workers hear of a new listener before its first connection comes. */
	effective_reload(c, shared);
	lookups_reloaded(c->lookups);
	doors = bindings_commit(&c->bindings, &plan->bindings);
	acceptor_apply(c->workers.acceptor, &doors);
	effective_limit_doors(c);
}

static int run(struct control *c, bool dry_run, struct reload_result *result)
{
	struct config *config = reload_read_tested(c->options, &result->problems);
	struct shared_config *shared;
	struct reload_plan plan;
	int prepared;

	if (config == NULL)
		return err_set(&result->err, 0, "the configuration has %zu error%s",
		    result->problems.n_errors, result->problems.n_errors == 1 ? "" : "s");
	result->n_kept = fixed_keys_keep(config, c->snapshot->config, result->kept);
	if (dry_run) {
		config_free(&config);
		return 0;
	}
	shared = shared_config_new(config);
	prepared = prepare(c, shared, &plan, &result->err);
	if (prepared == 0)
		commit(c, shared, &plan);
	shared_config_unref(&shared);
	return prepared;
}

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
	for (size_t i = 0; i < result->problems.n; i++)
		log_problem(&result->problems.list[i]);
	for (size_t i = 0; i < result->n_kept; i++)
		log_warn("config", "a change takes effect only at the next start", "key=%s",
		    result->kept[i]);
	if (result->ok)
		log_info("config", "reloaded", "hash=%s", c->snapshot->config->hash);
	else
		log_error("config", "not reloaded, the old configuration stays", "error=\"%s\"",
		    result->err.text);
}

static void record(struct control *c, const struct reload_result *result)
{
	struct reload_record *r = &c->last_reload;

	r->ok = result->ok;
	r->at = clock_calendar();
	r->succeeded += result->ok;
	r->failed += !result->ok;
	snprintf(r->error, sizeof r->error, "%s", result->ok ? "" : result->err.text);
}

void reload_run(struct control *c, bool dry_run, struct reload_result *result)
{
	*result = (struct reload_result){0};
	problems_init(&result->problems);
	if (c->stopping.is_under_way) {
		err_set(&result->err, 0, "the daemon is stopping");
		return;
	}
	if (!dry_run)
		notify_reloading();
	result->ok = run(c, dry_run, result) == 0;
	if (dry_run)
		return;
	record(c, result);
	log_result(c, result);
	if (c->state == CONTROL_READY)
		notify_ready();
}

void reload_result_fini(struct reload_result *result)
{
	problems_fini(&result->problems);
}
