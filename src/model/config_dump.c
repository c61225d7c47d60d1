#include "model/config_dump.h"

#include <inttypes.h>
#include <stdlib.h>

#include "model/config_bind.h"

struct dump {
	const struct config *config;
	FILE *to;
	bool comments;
	unsigned indent; /* in steps of two spaces */
	bool dash;       /* the next line starts an item of a list */
};

static void start_line(struct dump *d)
{
	for (unsigned i = 0; i + d->dash < d->indent; i++)
		fputs("  ", d->to);
	if (d->dash)
		fputs("- ", d->to);
	d->dash = false;
}

static void end_line(struct dump *d, const struct origin *origin)
{
	if (d->comments && origin == NULL)
		fputs("  # default", d->to);
	else if (d->comments && origin->at.line)
		fprintf(d->to, "  # %s:%u", origin->at.file, origin->at.line);
	else if (d->comments)
		fprintf(d->to, "  # %s", origin->at.file);
	fputc('\n', d->to);
}

/* Opens the maps that the name lies in and the one before did not. Returns how deep it is. */
static unsigned open_maps(struct dump *d, const char *name, const char *before)
{
	unsigned depth = 0;
	const char *dot;

	for (const char *at = name; (dot = strchr(at, '.')) != NULL; at = dot + 1) {
		size_t len = (size_t)(dot + 1 - name);

		if (strncmp(name, before, len) != 0) {
			d->indent += depth;
			start_line(d);
			d->indent -= depth;
			fprintf(d->to, "%.*s:\n", (int)(dot - at), at);
		}
		depth++;
	}
	return depth;
}

static void dump_scope(struct dump *d, const struct scope *scope, const void *base);

static const char *last_part(const struct key *key)
{
	const char *dot = strrchr(key->name, '.');

	return dot ? dot + 1 : key->name;
}

static void dump_list(struct dump *d, const struct key *key, const void *base)
{
	const struct scope *scope = key->scope;
	const char *label = NULL;
	const void *item = scope->item(base, 0, &label);
	size_t i = 0;

	fputs(item ? "\n" : key->type->shape == KEY_MAP ? " {}\n" : " []\n", d->to);
	for (; item; item = scope->item(base, ++i, &label)) {
		d->indent++;
		if (label) {
			start_line(d);
			print_label(slice_str(label), d->to);
			fputs(":\n", d->to);
		} else {
			d->dash = true;
		}
		d->indent++;
		dump_scope(d, scope, item);
		d->indent -= 2;
	}
}

static void dump_key(struct dump *d, const struct key *key, const void *base)
{
	const void *found = key->type->find ? key->type->find(key, base) : base;

	start_line(d);
	fprintf(d->to, "%s:", last_part(key));
	if (found == NULL || key->type->shape == KEY_VALUE) {
		fputc(' ', d->to);
		key->type->print(key, base, d->to);
		end_line(d, origin_find(d->config, base, key));
	} else if (key->type->shape == KEY_STRUCT) {
		fputc('\n', d->to);
		d->indent++;
		dump_scope(d, key->scope, found);
		d->indent--;
	} else {
		dump_list(d, key, base);
	}
}

/* ---- policies of methods and routes: what they add to what they start from ---- */

static bool is_of_policy(const struct key *key)
{
	return key >= policy_scope.keys && key < policy_scope.keys + policy_scope.n;
}

static bool is_added(const struct policy *policy)
{
	return policy->method || policy->route;
}

static bool is_own(const struct dump *d, const struct key *key, const void *base)
{
	const struct origin *origin = origin_find(d->config, base, key);

	return origin && !origin->is_inherited;
}

/* Loaded again, what is inherited has to be inherited again: a policy of a route comes between. */
static bool is_left_out(const struct dump *d, const struct key *key, const void *base)
{
	if (is_of_policy(key) && is_added(base))
		return !is_own(d, key, base);
	return key->is_absent && key->is_absent(key, base);
}

/* "timeout.call: 1s  # where"; what is not merged is told by where it stands. */
static void dump_line(struct dump *d, const struct key *key, const struct policy *policy)
{
	fprintf(d->to, "%s: ", key->name);
	if (key->type->shape == KEY_VALUE) {
		key->type->print(key, policy, d->to);
		end_line(d, origin_find(d->config, policy, key));
		return;
	}
	slots_print(key, policy, d->to);
	fputc('\n', d->to);
}

static void dump_inherited(struct dump *d, const struct policy *policy)
{
	for (size_t i = 0; i < policy_scope.n; i++) {
		const struct key *key = &policy_scope.keys[i];

		if (key->type == NULL || is_own(d, key, policy))
			continue;
		start_line(d);
		fputs("# ", d->to);
		dump_line(d, key, policy);
	}
}

/* What defaults give to a service without one of its own. */
static void dump_left_out(struct dump *d, const struct key *key, const void *base)
{
	if (!d->comments || !is_of_policy(key) || is_added(base))
		return;
	start_line(d);
	fputs("# ", d->to);
	dump_line(d, key, base);
}

static void dump_scope(struct dump *d, const struct scope *scope, const void *base)
{
	const struct key *key;
	const char *before = "";
	void *at;

	for (size_t i = 0; (key = scope_key(scope, i, (void *)(uintptr_t)base, &at)) != NULL; i++) {
		unsigned depth;

		if (key->type == NULL)
			continue;
		if (is_left_out(d, key, at)) {
			dump_left_out(d, key, at);
			continue;
		}
		depth = open_maps(d, key->name, before);
		before = key->name;
		d->indent += depth;
		dump_key(d, key, at);
		d->indent -= depth;
	}
	/* A map in which nothing is left is none. */
	if (scope == &route_policy_scope && *before == '\0') {
		start_line(d);
		fputs("{}\n", d->to);
	}
	if (d->comments && scope->include == &policy_scope &&
	    is_added((const void *)((const char *)base + scope->include_at)))
		dump_inherited(d, (const void *)((const char *)base + scope->include_at));
}

static void dump(const struct config *config, FILE *to, bool comments)
{
	struct dump d = {.config = config, .to = to, .comments = comments};

	dump_scope(&d, &top_scope, config);
}

void config_dump(const struct config *config, FILE *to)
{
	dump(config, to, true);
}

void config_dump_policy(const struct config *config, const struct policy *policy, FILE *to)
{
	struct dump d = {.config = config, .to = to, .comments = true};

	for (size_t i = 0; i < policy_scope.n; i++) {
		const struct key *key = &policy_scope.keys[i];

		if (key->type)
			dump_line(&d, key, policy);
	}
}

/* Source of the constants: RFC 9923 section 5 (64 bits). */
void config_hash(struct config *config)
{
	uint64_t hash = 0xcbf29ce484222325u;
	size_t size = 0;
	char *text = NULL;
	FILE *to = open_memstream(&text, &size);

	if (to) {
		dump(config, to, false);
		fclose(to);
	}
	for (size_t i = 0; i < size; i++)
		hash = (hash ^ (uint8_t)text[i]) * 0x100000001b3u;
	free(text);
	snprintf(config->hash, sizeof config->hash, "%016" PRIx64, hash);
}
