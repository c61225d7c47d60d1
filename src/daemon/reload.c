#include "daemon/reload.h"

#include <stdio.h>
#include <string.h>

#include "daemon/admin.h"
#include "daemon/notify.h"
#include "model/config_tests.h"

struct config *reload_read(const struct options *options, struct problems *problems)
{
	struct config_source source = {
	    .path = options->config_path,
	    .overrides = options->overrides,
	    .n_overrides = options->n_overrides,
	};

	return config_load(&source, problems);
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

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_map(const struct config_map *a, const struct config_map *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (!same_text(a->pairs[i].name, b->pairs[i].name) ||
		    !same_text(a->pairs[i].value, b->pairs[i].value))
			return false;
	return true;
}

static bool same_node(const struct config *a, const struct config *b)
{
	return same_text(a->node.service, b->node.service) &&
	       same_text(a->node.cluster, b->node.cluster) &&
	       same_text(a->node.zone, b->node.zone) && same_text(a->node.id, b->node.id) &&
	       same_map(&a->node.tags, &b->node.tags);
}

static const char *copy_text(struct arena *arena, const char *text)
{
	return text ? arena_str(arena, slice_str(text)) : NULL;
}

static void copy_node(struct config *to, const struct config *from)
{
	struct config_pair *pairs = arena_calloc(&to->arena, from->node.tags.n, sizeof *pairs);

	for (size_t i = 0; i < from->node.tags.n; i++) {
		pairs[i].name = copy_text(&to->arena, from->node.tags.pairs[i].name);
		pairs[i].value = copy_text(&to->arena, from->node.tags.pairs[i].value);
	}
	to->node.service = copy_text(&to->arena, from->node.service);
	to->node.cluster = copy_text(&to->arena, from->node.cluster);
	to->node.zone = copy_text(&to->arena, from->node.zone);
	to->node.id = copy_text(&to->arena, from->node.id);
	to->node.tags = (struct config_map){pairs, from->node.tags.n};
}

/* What lasts for the life of the process stays as it was at its start. */
static void keep_fixed(
    struct config *fresh, const struct config *present, struct reload_result *result)
{
	if (!same_node(fresh, present)) {
		copy_node(fresh, present);
		result->kept[result->n_kept++] = "node";
	}
	if (fresh->workers != present->workers) {
		fresh->workers = present->workers;
		result->kept[result->n_kept++] = "workers";
	}
	if (!same_text(fresh->admin.socket, present->admin.socket)) {
		fresh->admin.socket = copy_text(&fresh->arena, present->admin.socket);
		result->kept[result->n_kept++] = "admin.socket";
	}
}

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
	control_publish(c, shared);
	doors = bindings_commit(&c->bindings, &plan->bindings);
	acceptor_apply(c->workers.acceptor, &doors);
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
	keep_fixed(config, c->snapshot->config, result);
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
