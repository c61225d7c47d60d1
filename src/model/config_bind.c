#include "model/config_bind.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"
#include "model/nearest.h"

int bind_error(struct binder *b, const struct yaml_node *node, const char *format, ...)
{
	char text[1024], *remedy;
	const char *from = node->variable;
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	remedy = strchr(text, '\n');
	if (remedy)
		*remedy++ = '\0';
	problems_error(b->problems, node->at, b->path.text, "%s%s%s%s%s%s", text,
	    from ? " (from the variable " : "", from ? from : "", from ? ")" : "",
	    remedy ? "\n" : "", remedy ? remedy : "");
	return -1;
}

const char *bind_shows(struct binder *b, const struct yaml_node *node)
{
	struct slice shown = slice_first(node->text, 80);
	char *text;

	if (node->kind != NODE_SCALAR)
		return node->kind == NODE_LIST ? "a list" : "a map";
	if (yaml_scalar_kind(node) == SCALAR_NULL && node->variable == NULL)
		return "nothing";
	text = arena_printf(b->scratch, "\"%.*s\"", (int)shown.len, (const char *)shown.data);
	for (char *at = text; *at; at++)
		if ((uint8_t)*at < ' ')
			*at = '?';
	return text;
}

int bind_expected(
    struct binder *b, const struct yaml_node *node, const char *what, const char *like)
{
	return bind_error(
	    b, node, "%s where %s belongs\nexpected %s", bind_shows(b, node), what, like);
}

int bind_text(struct binder *b, const struct yaml_node *node, struct slice *text)
{
	enum scalar_kind kind = node->kind == NODE_SCALAR ? yaml_scalar_kind(node) : SCALAR_TEXT;

	if (node->kind != NODE_SCALAR || (kind == SCALAR_NULL && !node->variable))
		return bind_expected(b, node, "a text", "a text");
	if (kind != SCALAR_TEXT && !node->variable)
		return bind_error(b, node,
		    "%s is a %s, not a text\nexpected a text: put it in quotes",
		    bind_shows(b, node), kind == SCALAR_BOOL ? "bool" : "number");
	*text = node->text;
	return 0;
}

bool bind_is_none(const struct key *key, const struct yaml_node *node)
{
	return (key->flags & KEY_NONE) && node->kind == NODE_SCALAR &&
	       slice_eq_str(node->text, "none");
}

bool bind_is_plain_none(const struct key *key, const struct yaml_node *node)
{
	return bind_is_none(key, node) && (node->is_plain || node->variable);
}

static bool is_name(struct slice text)
{
	for (size_t i = 0; i < text.len; i++) {
		uint8_t c = text.data[i], lower = c | 0x20;

		if (!((lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '.' ||
			c == '_' || c == '-'))
			return false;
	}
	return text.len > 0 && text.len <= 200;
}

int bind_name(struct binder *b, const struct yaml_node *node, struct slice text)
{
	struct yaml_node shown = {.text = text};

	if (is_name(text) && !slice_eq_str(text, "none"))
		return 0;
	return bind_error(b, node,
	    "%s is not a name\nexpected 1 to 200 letters, digits, \".\", \"_\" or \"-\", and not "
	    "\"none\"",
	    bind_shows(b, &shown));
}

static struct slice id_of(const struct origin *origin)
{
	return slice_of(&origin->id, sizeof origin->id);
}

struct origin *bind_origin(
    struct binder *b, const void *base, const struct key *key, struct place at)
{
	struct origin *origin = arena_calloc(b->arena, 1, sizeof *origin);

	origin->id.base = base;
	origin->id.key = key;
	origin->at = at;
	table_put(&b->origins->table, id_of(origin), origin);
	return origin;
}

const struct origin *origin_find(
    const struct config *config, const void *base, const struct key *key)
{
	struct origin wanted = {.id = {base, key}};

	return table_get(&config->origins->table, id_of(&wanted));
}

const struct key *scope_key(const struct scope *scope, size_t i, void *base, void **at)
{
	*at = base;
	if (i < scope->n)
		return &scope->keys[i];
	if (scope->include == NULL)
		return NULL;
	return scope_key(
	    scope->include, i - scope->n, base ? (char *)base + scope->include_at : NULL, at);
}

/* How a written name stands to the keys of a scope. */
enum standing { NAME_UNKNOWN, NAME_LATER, NAME_MAP, NAME_VALUE };

static enum standing stand(const struct scope *scope, struct slice name, bool *has_short)
{
	const struct key *key;
	enum standing found = NAME_UNKNOWN;
	void *at;

	*has_short = false;
	for (size_t i = 0; (key = scope_key(scope, i, NULL, &at)) != NULL; i++) {
		struct slice known = slice_str(key->name);

		if (slice_eq(known, name))
			return key->type ? NAME_VALUE : NAME_LATER;
		if (slice_starts(known, name) && known.data[name.len] == '.') {
			struct slice rest = slice_from(known, name.len + 1);

			found = NAME_MAP;
			/* That of a map within this map is no short form of this one. */
			*has_short |=
			    (key->flags & KEY_SHORT) && memchr(rest.data, '.', rest.len) == NULL;
		}
	}
	return found;
}

/* The names that may stand in the map @prefix: the next part of every key that starts with it. */
static bool next_part(const struct key *key, struct slice prefix, struct slice *part)
{
	struct slice name = slice_str(key->name);
	size_t len = 0;

	if (!slice_starts(name, prefix) || (prefix.len && name.data[prefix.len] != '.'))
		return false;
	name = slice_from(name, prefix.len ? prefix.len + 1 : 0);
	while (len < name.len && name.data[len] != '.')
		len++;
	*part = slice_first(name, len);
	return len > 0;
}

static const char *list_parts(struct binder *b, const struct scope *scope, struct slice prefix)
{
	struct slice part, last = SLICE_NONE;
	const struct key *key;
	const char *list = "";
	void *at;

	for (size_t i = 0; (key = scope_key(scope, i, NULL, &at)) != NULL; i++) {
		if (key->type == NULL || !next_part(key, prefix, &part) || slice_eq(part, last))
			continue;
		list = arena_printf(b->scratch, "%s%s%.*s", list, *list ? ", " : "", (int)part.len,
		    (const char *)part.data);
		last = part;
	}
	return list;
}

static void complain_unknown(
    struct binder *b, const struct scope *scope, struct slice prefix, const struct yaml_node *value)
{
	struct nearest nearest;
	struct slice part;
	const struct key *key;
	char meant[300] = "";
	void *at;

	/* Nobody reads on after so many, and the words take room. */
	if (b->problems->n >= PROBLEMS_MAX) {
		b->problems->n_errors++;
		return;
	}
	nearest_init(&nearest, value->key);
	for (size_t i = 0; (key = scope_key(scope, i, NULL, &at)) != NULL; i++)
		if (key->type && next_part(key, prefix, &part))
			nearest_try(&nearest, part);
	if (nearest_found(&nearest))
		snprintf(meant, sizeof meant, "; did you mean \"%.*s\"?", (int)nearest.best.len,
		    (const char *)nearest.best.data);
	problems_error(b->problems, value->key_at, b->path.text,
	    "unknown key\nexpected one of: %s%s", list_parts(b, scope, prefix), meant);
}

static void check_names(
    struct binder *b, const struct scope *scope, struct slice prefix, const struct yaml_node *map);

static void check_value(
    struct binder *b, const struct scope *scope, struct slice prefix, const struct yaml_node *value)
{
	bool has_short = false;
	struct slice name = value->key;
	enum standing standing = NAME_UNKNOWN;

	if (value->key.len < 100) {
		name = slice_str(arena_printf(b->scratch, "%.*s%s%.*s", (int)prefix.len,
		    (const char *)prefix.data, prefix.len ? "." : "", (int)value->key.len,
		    (const char *)value->key.data));
		/* A key with a dot in it names nothing here. */
		if (memchr(value->key.data, '.', value->key.len) == NULL)
			standing = stand(scope, name, &has_short);
	}
	if (standing == NAME_UNKNOWN)
		complain_unknown(b, scope, prefix, value);
	else if (standing == NAME_LATER)
		problems_error(b->problems, value->key_at, b->path.text,
		    "not supported by this version\nknown, but still to come: leave it out");
	else if (standing == NAME_MAP && value->kind == NODE_MAP)
		check_names(b, scope, name, value);
	else if (standing == NAME_MAP && !has_short && !value->is_bad)
		bind_error(b, value, "%s where a map belongs\nexpected a map with: %s",
		    bind_shows(b, value), list_parts(b, scope, name));
}

static void check_names(
    struct binder *b, const struct scope *scope, struct slice prefix, const struct yaml_node *map)
{
	for (const struct yaml_node *value = map->first; value; value = value->next) {
		size_t before = key_path_key(&b->path, value->key);

		check_value(b, scope, prefix, value);
		key_path_cut(&b->path, before);
	}
}

/*
 * The node of a key, or NULL. The path grows by the key's parts. A node that is no map where one
 * is due is the short form.
 */
static const struct yaml_node *find_value(
    struct binder *b, const struct key *key, const struct yaml_node *node)
{
	struct slice rest = slice_str(key->name), part;

	while (node && node->kind == NODE_MAP && rest.len > 0) {
		const struct yaml_node *child;

		next_part(&(struct key){.name = (const char *)rest.data}, SLICE_NONE, &part);
		child = yaml_find(node, part);
		rest = slice_from(rest, part.len + 1);
		if (child == NULL && rest.len == 0 && (key->flags & KEY_SHORT))
			return node->shorthand;
		if (child)
			key_path_key(&b->path, part);
		node = child;
	}
	if (rest.len == 0)
		return node;
	/* One part is left, and this is not a map: does it stand for that part? */
	return node && (key->flags & KEY_SHORT) && memchr(rest.data, '.', rest.len) == NULL ? node
											    : NULL;
}

/* Where there was nothing in the file. */
static void bind_missing(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	if (key->fill)
		key->fill(b, base);
	if ((key->flags & KEY_REQUIRED) && !node->is_bad) {
		key_path_key(&b->path, slice_str(key->name));
		bind_error(b, node, "is missing\nexpected %s", key->missing);
	}
}

static void bind_key(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	size_t before = b->path.len;
	const struct yaml_node *value = find_value(b, key, node);

	if (value == NULL)
		bind_missing(b, key, node, base);
	else if (!value->is_bad && key->type->parse(b, key, value, base) == 0)
		bind_origin(b, base, key, value->at);
	else if (key->fill)
		key->fill(b, base); /* the rules between values find something here */
	key_path_cut(&b->path, before);
}

void bind_included(struct binder *b, const struct scope *scope, const struct yaml_node *node,
    void *base, const void *parent)
{
	memcpy(base, parent, scope->size);
	for (size_t i = 0; i < scope->n; i++) {
		const struct origin *origin = origin_find(b->config, parent, &scope->keys[i]);

		if (scope->keys[i].type == NULL)
			continue;
		if (origin)
			bind_origin(b, base, &scope->keys[i], origin->at)->is_inherited = true;
		bind_key(b, &scope->keys[i], node, base);
	}
}

void bind_scope(struct binder *b, const struct scope *scope, const struct yaml_node *node,
    void *base, const void *parent)
{
	bind_origin(b, base, NULL, node->key.data ? node->key_at : node->at);
	if (node->kind == NODE_MAP)
		check_names(b, scope, SLICE_NONE, node);
	/* First, so that what lies below a value inherits it. */
	if (scope->include)
		bind_included(b, scope->include, node, (char *)base + scope->include_at, parent);
	for (size_t i = 0; i < scope->n; i++)
		if (scope->keys[i].type)
			bind_key(b, &scope->keys[i], node, base);
}

void bind_defaults(struct binder *b, const struct scope *scope, void *base)
{
	struct arena nodes;

	arena_init(&nodes, NULL, 0);
	for (size_t i = 0; i < scope->n; i++) {
		const struct key *key = &scope->keys[i];
		struct yaml_input in = {"default", SLICE_NONE, &nodes, b->problems, 0};

		if (key->fallback == NULL || key->type == NULL)
			continue;
		in.text = slice_str(key->fallback);
		key->type->parse(b, key, yaml_read(&in), base);
	}
	arena_fini(&nodes);
}

const void *bind_template(struct binder *b, const struct scope *scope)
{
	size_t i = 0;

	while (b->templates[i].scope != scope && b->templates[i].made)
		i++;
	assert(i < TEMPLATES_MAX);
	if (b->templates[i].made == NULL) {
		b->templates[i].scope = scope;
		b->templates[i].made = arena_calloc(b->arena, 1, scope->size);
		bind_defaults(b, scope, b->templates[i].made);
	}
	return b->templates[i].made;
}

void bind_late(struct binder *b, void (*bind)(struct binder *b, const struct late *late),
    void *base, const struct yaml_node *node)
{
	struct late *late = arena_alloc(b->scratch, sizeof *late);

	*late = (struct late){NULL, bind, base, node, b->path};
	*b->late_end = late;
	b->late_end = &late->next;
}

const char *bind_meant(struct binder *b, const struct nearest *nearest)
{
	if (!nearest_found(nearest))
		return "";
	return arena_printf(b->scratch, "; did you mean \"%.*s\"?", (int)nearest->best.len,
	    (const char *)nearest->best.data);
}

/* All keys of one name: each scope may have its own. */
struct named_key {
	const struct key *key;
	struct named_key *next;
};

static void index_key(struct config_origins *origins, struct arena *arena, const struct key *key)
{
	struct named_key *named = arena_calloc(arena, 1, sizeof *named);
	struct slice name = slice_str(key->name);
	struct named_key *last = table_get(&origins->keys, name);

	named->key = key;
	while (last && last->next)
		last = last->next;
	if (last)
		last->next = named;
	else
		table_put(&origins->keys, name, named);
}

void origins_init(struct config_origins *origins, struct arena *arena)
{
	static const struct scope *const scopes[] = {&top_scope, &listener_scope, &service_scope,
	    &endpoint_scope, &method_scope, &policy_scope, &limit_scope, &breaker_scope, &acl_scope,
	    &route_scope, &fault_scope, &test_scope, &registry_scope, &tls_scope};

	*origins = (struct config_origins){0};
	table_init(&origins->table, 0);
	table_init(&origins->keys, 0);
	for (size_t s = 0; s < ARRAY_LEN(scopes); s++)
		for (size_t i = 0; i < scopes[s]->n; i++)
			index_key(origins, arena, &scopes[s]->keys[i]);
}

void origins_fini(struct config_origins *origins)
{
	config_free_regexes(origins);
	table_fini(&origins->table);
	table_fini(&origins->keys);
}

/* A name stands in one scope for one struct, so whichever key has an origin here is meant. */
const struct origin *origin_named(const struct config *config, const void *base, const char *name)
{
	const struct named_key *named = table_get(&config->origins->keys, slice_str(name));
	const struct origin *origin = NULL;

	for (; named && origin == NULL; named = named->next)
		origin = origin_find(config, base, named->key);
	return origin;
}

struct place origin_place(const struct config *config, const void *base, const char *name)
{
	const struct origin *origin = name ? origin_named(config, base, name) : NULL;

	if (origin == NULL)
		origin = origin_find(config, base, NULL);
	return origin ? origin->at : (struct place){NULL, 0, 0};
}
