#include "daemon/governance.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/table.h"
#include "daemon/discovery.h"

/* One category of one service. */
struct document {
	const struct service_config *config; /* in the file; of "*" for a name that was found */
	char *label, *id, *source;           /* owned; id: label and category */
	struct slice key;                    /* in source */
	enum governance_category category;
	enum document_state state;
	/* Owned texts, from malloc; NULL: none. */
	char *holds;  /* what counts */
	char *before; /* what counted before that */
	char *bad;    /* what it says instead, if that makes no sense */
	struct arena arena;
	struct config_overlay *overlays; /* of `holds`, in the arena */
	size_t n_overlays;
	uint64_t refused;
	char error[512];
};

struct governance {
	struct discovery *discovery;
	struct shared_config *file; /* a reference; NULL: nothing is followed yet */
	struct document **list;     /* owned */
	size_t n;
	bool has_complained; /* that we have no name */
};

const char *document_state_name(enum document_state state)
{
	switch (state) {
	case DOCUMENT_ABSENT:
		return "absent";
	case DOCUMENT_APPLIED:
		return "applied";
	case DOCUMENT_BAD:
		return "bad";
	}
	return "absent";
}

/* ---- one document ---- */

static void document_free(struct document *d)
{
	free(d->label);
	free(d->id);
	free(d->source);
	free(d->holds);
	free(d->before);
	free(d->bad);
	arena_fini(&d->arena);
	free(d);
}

static const struct registry_config *registry_of(const struct document *d)
{
	return d->config->governance.from;
}

/* The service as the file has it, under the label of this document. */
static struct service_config service_of(const struct document *d)
{
	struct service_config service = *d->config;

	if (strcmp(service.label, d->label) != 0)
		service.label = service.name = d->label;
	return service;
}

/* Replaces the overlays by those of @text; leaves them when it makes no sense. */
static int apply(struct governance *g, struct document *d, const char *text, struct err *err)
{
	struct service_config service = service_of(d);
	struct governance_document document = {
	    .config = g->file->config,
	    .service = &service,
	    .category = d->category,
	    .text = slice_str(text),
	    .source = d->source,
	};
	struct config_overlay *overlays;
	struct arena arena;
	size_t n;

	arena_init(&arena, NULL, 0);
	if (governance_overlays(&document, &arena, &overlays, &n, err) < 0) {
		arena_fini(&arena);
		return -1;
	}
	arena_fini(&d->arena);
	d->arena = arena;
	d->overlays = overlays;
	d->n_overlays = n;
	return 0;
}

static void clear(struct document *d)
{
	d->overlays = NULL;
	d->n_overlays = 0;
	arena_fini(&d->arena);
	arena_init(&d->arena, NULL, 0);
}

static void replace(char **text, char *with)
{
	free(*text);
	*text = with;
}

static void complain(struct document *d, const char *why)
{
	char shown[LOG_ESCAPED_MAX];

	d->state = DOCUMENT_BAD;
	d->refused++;
	snprintf(d->error, sizeof d->error, "%s", why);
	log_escape(shown, sizeof shown, slice_str(why));
	log_warn("governance", "a document is wrong, what was before stays",
	    "service=%s document=\"%s\" error=\"%s\"", d->label, d->source, shown);
}

static void take(struct governance *g, struct document *d, struct slice text)
{
	char *copy = slice_dup(text);
	struct err err;

	/* A text with a NUL in it is longer than it seems, and refused as any control byte is. */
	if (strlen(copy) != text.len)
		err_set(&err, 0, "a NUL in the text");
	else if (apply(g, d, copy, &err) == 0) {
		replace(&d->before, d->holds);
		d->holds = copy;
		replace(&d->bad, NULL);
		d->state = DOCUMENT_APPLIED;
		d->error[0] = '\0';
		log_info("governance", "a document holds", "service=%s document=\"%s\" values=%zu",
		    d->label, d->source, d->n_overlays);
		return;
	}
	replace(&d->bad, copy);
	complain(d, err.text);
}

static void forget(struct document *d)
{
	if (d->state == DOCUMENT_ABSENT)
		return;
	clear(d);
	replace(&d->holds, NULL);
	replace(&d->before, NULL);
	replace(&d->bad, NULL);
	d->state = DOCUMENT_ABSENT;
	d->error[0] = '\0';
	log_info("governance", "a document is gone, the file counts again",
	    "service=%s document=\"%s\"", d->label, d->source);
}

static void refresh(struct governance *g, struct document *d)
{
	struct registry *registry = discovery_registry(g->discovery, registry_of(d));
	const char *last = d->bad ? d->bad : d->holds;
	struct registry_document now;

	if (registry == NULL)
		return;
	now = registry_document(registry, d->key);
	if (!now.is_known)
		return;
	if (!now.exists)
		forget(d);
	else if (last == NULL || !slice_eq_str(now.text, last))
		take(g, d, now.text);
}

void governance_refresh(struct governance *g)
{
	for (size_t i = 0; i < g->n; i++)
		refresh(g, g->list[i]);
}

bool governance_refuse(struct governance *g, const char *source, const char *why)
{
	bool found = false;
	struct err err;

	for (size_t i = 0; i < g->n; i++) {
		struct document *d = g->list[i];

		if (strcmp(d->source, source) != 0 || d->n_overlays == 0)
			continue;
		complain(d, why);
		if (d->bad == NULL)
			d->bad = d->holds;
		else
			free(d->holds);
		d->holds = d->before;
		d->before = NULL;
		if (d->holds == NULL || apply(g, d, d->holds, &err) < 0)
			clear(d);
		found = true;
	}
	return found;
}

/* ---- which are followed ---- */

struct following {
	struct governance *g;
	struct document **list;
	size_t n, room;
	struct table before; /* id -> struct document */
	bool is_new_file;
};

/* What was known of the document before, if it is the same. */
static void inherit(struct following *f, struct document *d)
{
	struct document *old = table_get(&f->before, slice_str(d->id));
	struct err err;

	if (old == NULL || strcmp(old->source, d->source) != 0)
		return;
	d->state = old->state;
	d->refused = old->refused;
	memcpy(d->error, old->error, sizeof d->error);
	d->holds = old->holds;
	d->before = old->before;
	old->holds = old->before = NULL;
	/* With another file it may make sense. */
	if (!f->is_new_file) {
		d->bad = old->bad;
		old->bad = NULL;
	}
	if (d->holds && apply(f->g, d, d->holds, &err) < 0)
		complain(d, err.text);
}

/* Where it is, and what it is known by from one time to the next. */
static void name_document(struct document *d, const char *client)
{
	struct service_config service = service_of(d);
	struct arena arena;
	struct slice key;

	arena_init(&arena, NULL, 0);
	key = governance_key(&service, client, d->category, &arena);
	d->source = mem_strdup(arena_printf(
	    &arena, "%s:%.*s", registry_of(d)->name, (int)key.len, (const char *)key.data));
	d->key = slice_from(slice_str(d->source), strlen(d->source) - key.len);
	d->id = mem_strdup(
	    arena_printf(&arena, "%s/%s", d->label, governance_category_name(d->category)));
	arena_fini(&arena);
}

static void add(struct following *f, const struct service_config *config, struct slice label,
    enum governance_category category)
{
	struct document *d = mem_calloc(1, sizeof *d);

	arena_init(&d->arena, NULL, 0);
	d->config = config;
	d->category = category;
	d->label = slice_dup(label);
	name_document(d, f->g->file->config->node.service);
	if (f->n == f->room) {
		f->room = f->room ? f->room * 2 : 16;
		f->list = mem_realloc(f->list, f->room * sizeof *f->list);
	}
	f->list[f->n++] = d;
	inherit(f, d);
}

static void add_service(
    struct following *f, const struct service_config *config, struct slice label)
{
	const char *client = f->g->file->config->node.service;

	if (config->governance.from == NULL)
		return;
	if (governance_is_of_server(config)) {
		add(f, config, label, GOVERNANCE_LIMIT);
		return;
	}
	if (client == NULL || *client == '\0') {
		if (!f->g->has_complained)
			log_warn("governance",
			    "documents of clients are not read: node.service does not say who we are",
			    "service=%.*s", (int)label.len, (const char *)label.data);
		f->g->has_complained = true;
		return;
	}
	for (int c = 0; c < GOVERNANCE_CATEGORIES; c++)
		if (c != GOVERNANCE_LIMIT)
			add(f, config, label, (enum governance_category)c);
}

static void ask_registry(void *arg, const struct registry *registry)
{
	struct governance *g = arg;
	const char *name = registry_config_of(registry)->name;
	struct slice *keys = mem_calloc(g->n + 1, sizeof *keys);
	size_t n = 0;

	for (size_t i = 0; i < g->n; i++)
		if (strcmp(registry_of(g->list[i])->name, name) == 0)
			keys[n++] = g->list[i]->key;
	registry_follow_documents(
	    discovery_registry(g->discovery, registry_config_of(registry)), keys, n);
	free(keys);
}

void governance_follow(
    struct governance *g, struct shared_config *file, const struct slice *names, size_t n_names)
{
	struct following f = {.g = g};
	const struct config *config = file->config;
	struct shared_config *old_file = g->file;

	f.is_new_file = file != old_file;
	g->file = shared_config_ref(file);
	table_init(&f.before, 0);
	for (size_t i = 0; i < g->n; i++)
		table_put(&f.before, slice_str(g->list[i]->id), g->list[i]);
	for (size_t i = 0; i < config->n_services; i++)
		add_service(&f, config->services[i], slice_str(config->services[i]->label));
	for (size_t i = 0; config->any && i < n_names; i++)
		add_service(&f, config->any, names[i]);
	table_fini(&f.before);
	for (size_t i = 0; i < g->n; i++)
		document_free(g->list[i]);
	free(g->list);
	g->list = f.list;
	g->n = f.n;
	discovery_visit(g->discovery, ask_registry, g);
	if (old_file)
		shared_config_unref(&old_file);
	governance_refresh(g);
}

/* ---- what holds ---- */

struct config_overlay *governance_gather(const struct governance *g, size_t *n)
{
	struct config_overlay *all;
	size_t room = 0;

	*n = 0;
	for (size_t i = 0; i < g->n; i++)
		room += g->list[i]->n_overlays;
	if (room == 0)
		return NULL;
	all = mem_calloc(room, sizeof *all);
	for (size_t i = 0; i < g->n; i++) {
		const struct document *d = g->list[i];

		if (d->n_overlays)
			memcpy(all + *n, d->overlays, d->n_overlays * sizeof *all);
		*n += d->n_overlays;
	}
	return all;
}

void governance_visit(const struct governance *g,
    void (*visit)(void *arg, const struct document_report *report), void *arg)
{
	for (size_t i = 0; i < g->n; i++) {
		const struct document *d = g->list[i];
		struct document_report report = {
		    .service = d->label,
		    .category = d->category,
		    .source = d->source,
		    .state = d->state,
		    .n_values = d->n_overlays,
		    .refused = d->refused,
		    .error = d->error,
		};

		visit(arg, &report);
	}
}

/* ---- its life ---- */

struct governance *governance_new(struct discovery *discovery)
{
	struct governance *g = mem_calloc(1, sizeof *g);

	g->discovery = discovery;
	return g;
}

void governance_free(struct governance **pg)
{
	struct governance *g = *pg;

	if (g == NULL)
		return;
	*pg = NULL;
	for (size_t i = 0; i < g->n; i++)
		document_free(g->list[i]);
	free(g->list);
	if (g->file)
		shared_config_unref(&g->file);
	free(g);
}
