/*
 * The file's own tree with more in it: a node for each name that "*" stands for, and values over
 * others. Nothing is read: the tree is as it was when the file was loaded, with its variables
 * filled in, and what is put over it has none. Overlays that are wrong are found by binding: those
 * that an error points at go at once, and what is left is halved until it binds.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "base/table.h"
#include "model/config_bind.h"
#include "model/config_load.h"
#include "model/key_path.h"

#define TRIES_MAX 64u /* of binding; what could not be judged by then is left out */

struct derivation {
	const struct config *base;
	const struct config_overlay *overlays;
	size_t n_overlays;
	struct slice *names; /* those that are services; each once */
	size_t n_names;
	bool *is_on;               /* for each overlay: it is in the next attempt */
	struct problems *problems; /* the caller's */
	struct arena arena;
	unsigned tries;
	struct config *best; /* of the last attempt that went well; with all that is good in it */
};

/* ---- names ---- */

static bool is_name(struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		uint8_t c = s.data[i], lower = c | 0x20;

		if (!(lower >= 'a' && lower <= 'z') && !(c >= '0' && c <= '9') && c != '.' &&
		    c != '_' && c != '-')
			return false;
	}
	return s.len > 0 && s.len <= 200 && !slice_eq_str(s, "none");
}

/* All by which the file's own services can be asked for. */
static void add_taken(struct table *taken, const struct config *config)
{
	for (size_t i = 0; i < config->n_services; i++) {
		const struct service_config *s = config->services[i];

		if (s->is_found)
			continue;
		table_put(taken, slice_str(s->label), taken);
		/* under its name in the mesh it is one of those that are found */
		if (s->registration.n_in == 0)
			table_put(taken, slice_str(s->name), taken);
		for (size_t a = 0; a < s->aliases.n; a++)
			table_put(taken, slice_str(s->aliases.items[a]), taken);
	}
}

static void choose_names(struct derivation *d, const struct slice *names, size_t n)
{
	struct table taken;

	if (d->base->any == NULL || n == 0)
		return;
	d->names = arena_calloc(&d->arena, n, sizeof *d->names);
	table_init(&taken, 0);
	add_taken(&taken, d->base);
	for (size_t i = 0; i < n; i++)
		if (is_name(names[i]) && table_put(&taken, names[i], &taken) == NULL)
			d->names[d->n_names++] = names[i];
	table_fini(&taken);
}

/* ---- the tree ---- */

static struct yaml_node *copy_node(struct arena *arena, const struct yaml_node *node)
{
	struct yaml_node *copy = arena_alloc(arena, sizeof *copy);

	*copy = *node;
	copy->first = copy->last = NULL;
	copy->n = 0;
	for (const struct yaml_node *child = node->first; child; child = child->next)
		yaml_append(copy, child->key, copy_node(arena, child));
	return copy;
}

/* What one attempt works on. */
struct attempt {
	struct derivation *d;
	struct arena scratch;
	struct problems problems;
	struct yaml_node *root;
	struct table services; /* label -> node */
};

static void add_services(struct attempt *a)
{
	struct yaml_node *services = yaml_find(a->root, SLICE_LIT("services"));
	const struct yaml_node *any;

	if (services == NULL)
		return;
	any = yaml_find(services, SLICE_LIT("*"));
	for (size_t i = 0; any && i < a->d->n_names; i++)
		yaml_append(services, a->d->names[i], copy_node(&a->scratch, any));
	for (struct yaml_node *node = services->first; node; node = node->next)
		table_put(&a->services, node->key, node);
}

/* The node that the path starts from, with the rest of the path: a service that is there, or the
 * root for all else. NULL when it names a service that is not. */
static struct yaml_node *find_start(const struct attempt *a, struct slice *path)
{
	struct slice rest = *path;
	struct key_step step;

	if (!key_path_step(&rest, &step) || step.is_index || !slice_eq_str(step.key, "services"))
		return a->root;
	if (!key_path_step(&rest, &step) || step.is_index || rest.len == 0)
		return NULL;
	*path = rest;
	return table_get(&a->services, step.key);
}

/* The method that a path within a service is about, with the rest of the path; false for others,
 * and for a method as a whole. */
static bool take_method(struct slice *path, struct slice *method)
{
	struct slice rest = *path;
	struct key_step step;

	if (!key_path_step(&rest, &step) || step.is_index || !slice_eq_str(step.key, "methods") ||
	    !key_path_step(&rest, &step) || step.is_index || rest.len == 0)
		return false;
	*path = rest;
	*method = step.key;
	return true;
}

/* A method without an entry has that of "*", and so it begins with that when it gets one. */
static void begin_method(struct attempt *a, const struct yaml_node *service, struct slice path)
{
	struct yaml_node *methods = yaml_find(service, SLICE_LIT("methods"));
	const struct yaml_node *any;
	struct slice method;

	if (methods == NULL || !take_method(&path, &method) || yaml_find(methods, method))
		return;
	any = yaml_find(methods, SLICE_LIT("*"));
	if (any)
		yaml_append(methods, arena_copy(&a->scratch, method), copy_node(&a->scratch, any));
}

/* Those of "*" go first, so that what begins with it has them. */
static bool is_of_any_method(const struct derivation *d, size_t i)
{
	struct slice path = slice_str(d->overlays[i].path), method;
	struct key_step step;

	return key_path_step(&path, &step) && !step.is_index &&
	       slice_eq_str(step.key, "services") && key_path_step(&path, &step) &&
	       !step.is_index && take_method(&path, &method) && slice_eq_str(method, "*");
}

/* Of all that an overlay makes. Its column tells which one it is; without a line nobody shows
 * it. */
static struct place place_of(const struct derivation *d, size_t i)
{
	return (struct place){d->overlays[i].source, 0, (unsigned)i + 1};
}

static bool is_overlaid(struct place at)
{
	return at.line == 0 && at.column > 0;
}

static void put_overlay(struct attempt *a, size_t i)
{
	const struct config_overlay *overlay = &a->d->overlays[i];
	struct source_value value = {
	    .nodes = &a->scratch,
	    .problems = &a->problems,
	    .text = slice_str(overlay->value),
	    .path = overlay->path,
	    .file = overlay->source,
	    .at = place_of(a->d, i),
	    .by = overlay->source,
	    .is_whole = true,
	};
	struct slice path = slice_str(overlay->path);
	struct yaml_node *start = find_start(a, &path);

	if (start == NULL) {
		problems_error(
		    &a->problems, value.at, overlay->path, "there is no such service to change");
		return;
	}
	if (start != a->root)
		begin_method(a, start, path);
	source_put(&value, start, path);
}

static void put_overlays(struct attempt *a, bool of_any_method)
{
	struct derivation *d = a->d;

	for (size_t i = 0; i < d->n_overlays; i++)
		if (d->is_on[i] && is_of_any_method(d, i) == of_any_method)
			put_overlay(a, i);
}

/* ---- attempts ---- */

static void mark_found(struct config *config, void *arg)
{
	const struct derivation *d = arg;

	for (size_t i = 0; i < d->n_names; i++) {
		const struct service_config *found = config_service(config, d->names[i]);

		if (found)
			((struct service_config *)(uintptr_t)found)->is_found = true;
	}
}

/* Where values came from outlives what the overlays were given in. */
static void keep_sources(const struct derivation *d, struct config *config)
{
	const char **kept = mem_calloc(d->n_overlays + 1, sizeof *kept);
	struct origin *origin;
	size_t position = 0;

	while ((origin = table_next(&config->origins->table, &position)) != NULL) {
		const char *source = origin->at.file;
		size_t i = origin->at.column - 1;

		if (!is_overlaid(origin->at))
			continue;
		if (kept[i] == NULL)
			kept[i] = arena_str(&config->arena, slice_str(source));
		origin->at = (struct place){kept[i], 0, 0};
	}
	free(kept);
}

static void attempt_init(struct attempt *a, struct derivation *d)
{
	*a = (struct attempt){.d = d};
	arena_init(&a->scratch, NULL, 0);
	problems_init(&a->problems);
	table_init(&a->services, 0);
}

static void attempt_fini(struct attempt *a)
{
	table_fini(&a->services);
	problems_fini(&a->problems);
	arena_fini(&a->scratch);
}

/* Binds with all that is on. What comes of it is the best so far; false when it has errors. */
static bool attempt_run(struct attempt *a)
{
	struct derivation *d = a->d;
	struct config_binding binding = {
	    .tree = d->base->tree,
	    .scratch = &a->scratch,
	    .problems = &a->problems,
	    .hash = d->base->hash,
	    .adjust = mark_found,
	    .arg = d,
	};
	struct config *config;

	d->tries++;
	a->root = copy_node(&a->scratch, d->base->tree->root);
	binding.root = a->root;
	add_services(a);
	put_overlays(a, true);
	put_overlays(a, false);
	config = config_bind(&binding);
	if (config == NULL)
		return false;
	keep_sources(d, config);
	config_free(&d->best);
	d->best = config;
	return true;
}

static void report(struct derivation *d, struct place at, const struct problem *p)
{
	problems_error(d->problems,
	    (struct place){at.file, at.line, is_overlaid(at) ? 0 : at.column}, p->path, "%s%s%s",
	    p->text, p->remedy ? "\n" : "", p->remedy ? p->remedy : "");
}

static void leave_out(struct derivation *d, size_t i, const char *why)
{
	d->is_on[i] = false;
	problems_error(d->problems, (struct place){d->overlays[i].source, 0, 0},
	    d->overlays[i].path, "%s", why);
}

/* Leaves those out that errors point at. Returns how many. */
static size_t leave_out_blamed(struct derivation *d, const struct problems *problems)
{
	size_t n = 0;

	for (size_t i = 0; i < problems->n; i++) {
		const struct problem *p = &problems->list[i];
		struct place at = {p->file, p->line, p->column};

		if (p->is_warning || !is_overlaid(at))
			continue;
		report(d, at, p);
		n += d->is_on[p->column - 1];
		d->is_on[p->column - 1] = false;
	}
	return n;
}

/* What is wrong without an overlay being pointed at: it is that of the only one that was added. */
static void blame(struct derivation *d, size_t i, const struct problems *problems)
{
	const struct config_overlay *overlay = &d->overlays[i];

	d->is_on[i] = false;
	for (size_t p = 0; p < problems->n; p++) {
		if (problems->list[p].is_warning)
			continue;
		report(d, (struct place){overlay->source, 0, 0}, &problems->list[p]);
		return;
	}
	leave_out(d, i, "cannot be used here");
}

/* Of the overlays of @list, which together with those that are on do not bind, turns those on that
 * do. */
static void halve(struct derivation *d, const size_t *list, size_t n);

static void judge(struct derivation *d, const size_t *list, size_t n)
{
	struct attempt a;
	bool is_good;

	if (n == 0)
		return;
	if (d->tries >= TRIES_MAX) {
		for (size_t i = 0; i < n; i++)
			leave_out(d, list[i], "left out, since too many others are wrong");
		return;
	}
	for (size_t i = 0; i < n; i++)
		d->is_on[list[i]] = true;
	attempt_init(&a, d);
	is_good = attempt_run(&a);
	if (!is_good && n == 1)
		blame(d, list[0], &a.problems);
	attempt_fini(&a);
	if (!is_good && n > 1)
		halve(d, list, n);
}

static void halve(struct derivation *d, const size_t *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		d->is_on[list[i]] = false;
	judge(d, list, n / 2);
	judge(d, list + n / 2, n - n / 2);
}

/* None of the errors points at an overlay. */
static void search(struct derivation *d)
{
	size_t *list = arena_calloc(&d->arena, d->n_overlays + 1, sizeof *list), n = 0;
	struct attempt a;

	for (size_t i = 0; i < d->n_overlays; i++) {
		if (d->is_on[i])
			list[n++] = i;
		d->is_on[i] = false;
	}
	attempt_init(&a, d);
	if (attempt_run(&a)) {
		if (n > 1)
			halve(d, list, n);
		else
			judge(d, list, n);
	} else {
		for (size_t i = 0; i < a.problems.n; i++)
			report(d,
			    (struct place){a.problems.list[i].file, a.problems.list[i].line,
				a.problems.list[i].column},
			    &a.problems.list[i]);
	}
	attempt_fini(&a);
}

/* True when this was the last attempt that is needed. */
static bool try_all(struct derivation *d)
{
	struct attempt a;
	bool is_done;

	attempt_init(&a, d);
	is_done = attempt_run(&a);
	if (!is_done && (leave_out_blamed(d, &a.problems) == 0 || d->tries >= TRIES_MAX / 2)) {
		search(d);
		is_done = true;
	}
	attempt_fini(&a);
	return is_done;
}

struct config *config_derive(
    const struct config *base, const struct config_additions *with, struct problems *problems)
{
	struct derivation d = {
	    .base = base,
	    .overlays = with->overlays,
	    .n_overlays = with->n_overlays,
	    .problems = problems,
	};

	arena_init(&d.arena, NULL, 0);
	d.is_on = arena_alloc(&d.arena, with->n_overlays + 1);
	memset(d.is_on, true, with->n_overlays);
	choose_names(&d, with->names, with->n_names);
	while (!try_all(&d))
		continue;
	arena_fini(&d.arena);
	return d.best;
}
