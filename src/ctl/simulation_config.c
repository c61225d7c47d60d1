#include "ctl/simulation_config.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "model/yaml.h"

/* A line of the configuration, and where in the plan it is from. */
struct line {
	struct place key, value;
	unsigned value_column; /* in the line: a problem there is the value's; 0: none is on it */
};

/* A configuration that is written line by line. */
struct writer {
	FILE *to;
	struct line *lines; /* owned */
	size_t n, room;
	long line_at; /* where the present line begins */
	unsigned depth;
};

static void begin_line(struct writer *w, struct place at)
{
	if (w->n == w->room) {
		w->room = w->room ? 2 * w->room : 64;
		w->lines = mem_realloc(w->lines, w->room * sizeof *w->lines);
	}
	w->lines[w->n++] = (struct line){.key = at};
	w->line_at = ftell(w->to);
	fprintf(w->to, "%*s", (int)(2 * w->depth), "");
}

static void write_quoted(struct slice text, FILE *to)
{
	fputc('"', to);
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] == '"' || text.data[i] == '\\')
			fputc('\\', to);
		if (text.data[i] < ' ')
			fprintf(to, "\\x%02x", text.data[i]);
		else
			fputc(text.data[i], to);
	}
	fputc('"', to);
}

/* Plain ones stay plain: quotes would make texts of numbers. */
static void write_scalar(const struct yaml_node *node, FILE *to)
{
	if (node->is_plain)
		fprintf(to, "%.*s", (int)node->text.len, (const char *)node->text.data);
	else
		write_quoted(node->text, to);
}

static void write_value(struct writer *w, const struct yaml_node *node);

static void write_key(struct writer *w, struct slice key, struct place at)
{
	begin_line(w, at);
	write_quoted(key, w->to);
	fputc(':', w->to);
}

static void write_items(struct writer *w, const struct yaml_node *node)
{
	w->depth++;
	for (const struct yaml_node *item = node->first; item; item = item->next) {
		if (node->kind == NODE_MAP) {
			write_key(w, item->key, item->key_at);
		} else {
			begin_line(w, item->at);
			fputc('-', w->to);
		}
		write_value(w, item);
	}
	w->depth--;
}

/* After its key or dash. */
static void write_value(struct writer *w, const struct yaml_node *node)
{
	struct line *line = &w->lines[w->n - 1];

	line->value = node->at;
	line->value_column = (unsigned)(ftell(w->to) - w->line_at) + 2; /* behind a space */
	if (node->kind == NODE_SCALAR) {
		fputc(' ', w->to);
		write_scalar(node, w->to);
		fputc('\n', w->to);
	} else if (node->n == 0) {
		fputs(node->kind == NODE_MAP ? " {}\n" : " []\n", w->to);
	} else {
		fputc('\n', w->to);
		write_items(w, node);
	}
}

static void write_part(struct writer *w, const char *name, const struct yaml_node *node)
{
	if (node == NULL)
		return;
	write_key(w, slice_str(name), node->key_at);
	write_value(w, node);
}

/* The endpoints of the plan as endpoints of its service. */
static void write_endpoints(struct writer *w, const struct simulation_plan *plan)
{
	struct place at = plan->inline_service->at;

	write_key(w, SLICE_LIT("endpoints"), at);
	fputc('\n', w->to);
	w->depth++;
	for (size_t i = 0; i < plan->n_endpoints; i++) {
		const struct simulated_endpoint *e = &plan->endpoints[i];

		if (strcmp(e->address, "*") == 0)
			continue;
		begin_line(w, at);
		fputs("-\n", w->to);
		w->depth++;
		write_key(w, SLICE_LIT("address"), at);
		fputc(' ', w->to);
		write_quoted(slice_str(e->address), w->to);
		fputc('\n', w->to);
		write_part(w, "weight", e->weight);
		write_part(w, "zone", e->zone);
		write_part(w, "tags", e->tags);
		w->depth--;
	}
	w->depth--;
}

static void write_config(struct writer *w, const struct simulation_plan *plan)
{
	const struct yaml_node *service = plan->inline_service;

	/* Nothing of it is ever bound. */
	begin_line(w, service->at);
	fprintf(w->to, "admin: {socket: /simulated.sock}\n");
	begin_line(w, service->at);
	fprintf(w->to, "listeners: [{name: simulated, address: \"127.0.0.1:1\", service: ");
	write_quoted(plan->service, w->to);
	fprintf(w->to, "}]\n");
	write_part(w, "node", plan->inline_node);
	write_part(w, "defaults", plan->inline_defaults);
	begin_line(w, service->at);
	fprintf(w->to, "services:\n");
	w->depth++;
	write_key(w, plan->service, service->key_at);
	fputc('\n', w->to);
	write_items(w, service);
	w->depth++;
	if (yaml_find(service, SLICE_LIT("endpoints")) == NULL)
		write_endpoints(w, plan);
	w->depth -= 2;
}

/* Problems point at the lines that were made; the reader has the plan before him. */
static void move_problems(struct problems *problems, const struct writer *w)
{
	for (size_t i = 0; i < problems->n; i++) {
		struct problem *p = &problems->list[i];
		const struct line *line =
		    p->line && p->line <= w->n ? &w->lines[p->line - 1] : NULL;
		struct place at;

		if (line == NULL)
			continue;
		at =
		    line->value_column && p->column >= line->value_column ? line->value : line->key;
		p->file = at.file;
		p->line = at.line;
		p->column = at.column;
	}
}

static struct config *load_inline(const struct simulation_plan *plan, struct problems *problems)
{
	struct config_source source = {0};
	struct config *config = NULL;
	struct writer w = {0};
	size_t len;
	char *text;

	if (plan->inline_service->kind != NODE_MAP) {
		problems_error(problems, plan->inline_service->at, "service",
		    "no map\nexpected a service as it stands in a configuration");
		return NULL;
	}
	w.to = open_memstream(&text, &len);
	if (w.to == NULL)
		return NULL;
	write_config(&w, plan);
	fclose(w.to);
	config = config_load_text(slice_of(text, len), "simulation", &source, problems);
	move_problems(problems, &w);
	free(w.lines);
	free(text);
	return config;
}

struct config *simulation_config_load(
    const struct simulation_plan *plan, const char *path, struct problems *problems)
{
	const char *slash = strrchr(path, '/');
	struct config_source source = {.path = plan->config_path};
	struct config *config;
	char *joined = NULL;

	if (plan->inline_service)
		return load_inline(plan, problems);
	if (plan->config_path[0] != '/' && slash &&
	    asprintf(&joined, "%.*s/%s", (int)(slash - path), path, plan->config_path) >= 0)
		source.path = joined;
	config = config_load(&source, problems);
	free(joined);
	return config;
}

bool simulation_config_has(const struct config *config, struct slice address)
{
	for (size_t i = 0; i < config->n_services; i++)
		for (size_t j = 0; j < config->services[i]->n_endpoints; j++)
			if (slice_eq_str(address, config->services[i]->endpoints[j].address.text))
				return true;
	return false;
}
