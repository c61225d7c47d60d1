#include "model/config_source.h"
#include "model/key_path.h"

/*
 * ${NAME}, ${NAME:-default} and $${ in values. It happens after parsing, so what a variable holds
 * can never become structure.
 */

#define EXPANDED_MAX (64u * 1024u)

struct expansion {
	const struct source *source;
	struct key_path path;
	struct yaml_node *node; /* being expanded */
	uint8_t *text;          /* the new text, in the arena */
	size_t len, room;
	bool failed;
};

/* @text is constant apart from the name in it. */
static void fail(struct expansion *e, const char *text)
{
	e->failed = true;
	problems_error(e->source->problems, e->node->at, e->path.text, "%s", text);
}

static void append(struct expansion *e, struct slice s)
{
	if (e->failed || s.len == 0)
		return;
	if (e->len + s.len > EXPANDED_MAX) {
		fail(e, "too long with its variables filled in\nat most 64 KiB");
		return;
	}
	if (e->len + s.len > e->room) {
		uint8_t *bigger = arena_alloc(e->source->nodes, (e->len + s.len) * 2);

		if (e->len)
			memcpy(bigger, e->text, e->len);
		e->text = bigger;
		e->room = (e->len + s.len) * 2;
	}
	memcpy(e->text + e->len, s.data, s.len);
	e->len += s.len;
}

static size_t name_len(struct slice s)
{
	size_t n = 0;

	while (n < s.len) {
		uint8_t c = s.data[n], lower = c | 0x20;

		if (!((lower >= 'a' && lower <= 'z') || c == '_' ||
			(n > 0 && c >= '0' && c <= '9')))
			break;
		n++;
	}
	return n;
}

static void append_variable(
    struct expansion *e, struct slice name, struct slice fallback, bool has_fallback)
{
	const char *variable = arena_str(e->source->nodes, name);
	const char *value = source_getenv(e->source->from, variable);
	struct slice text = slice_str(value);

	e->node->variable = variable;
	if (value && yaml_bad_byte(text) < text.len) {
		fail(e, arena_printf(e->source->nodes,
			    "the variable %s is no UTF-8 text\nexpected text without control bytes",
			    variable));
	} else if (value && (text.len > 0 || !has_fallback)) {
		append(e, text);
	} else if (has_fallback) {
		append(e, fallback);
	} else {
		fail(e, arena_printf(e->source->nodes,
			    "the variable %s is not set\nset it, or write ${%s:-default}", variable,
			    variable));
	}
}

/* @s starts with ${. Returns how many bytes the expression takes. */
static size_t take_expression(struct expansion *e, struct slice s)
{
	size_t name = name_len(slice_from(s, 2)), at = 2 + name, end = at;
	bool has_fallback = slice_starts(slice_from(s, at), SLICE_LIT(":-"));
	const char *hint = "expected ${NAME} or ${NAME:-default}; a literal ${ is written $${";

	while (end < s.len && s.data[end] != '}')
		end++;
	if (end == s.len || name == 0 || (!has_fallback && end != at)) {
		fail(e, arena_printf(e->source->nodes, "${ without %s\n%s",
			    end == s.len ? "a }" : "a name of a variable", hint));
		return s.len;
	}
	if (has_fallback)
		at += 2;
	append_variable(e, slice_sub(s, 2, name), slice_sub(s, at, end - at), has_fallback);
	return end + 1;
}

static void expand_scalar(struct expansion *e, struct yaml_node *node)
{
	struct slice s = node->text;

	if (memchr(s.data ? (const void *)s.data : "", '$', s.len) == NULL)
		return;
	e->node = node;
	e->text = NULL;
	e->len = e->room = 0;
	e->failed = false;
	while (s.len > 0 && !e->failed) {
		size_t used = 1;

		if (slice_starts(s, SLICE_LIT("$${"))) {
			append(e, SLICE_LIT("${"));
			used = 3;
		} else if (slice_starts(s, SLICE_LIT("${"))) {
			used = take_expression(e, s);
		} else {
			append(e, slice_first(s, 1));
		}
		s = slice_from(s, used);
	}
	node->is_bad |= e->failed;
	node->text = slice_of(e->text ? e->text : (const uint8_t *)"", e->len);
}

static void expand(struct expansion *e, struct yaml_node *node)
{
	size_t index = 0;

	if (node->kind == NODE_SCALAR)
		expand_scalar(e, node);
	if (node->shorthand)
		expand_scalar(e, node->shorthand);
	for (struct yaml_node *child = node->first; child; child = child->next) {
		size_t before = node->kind == NODE_MAP ? key_path_key(&e->path, child->key)
						       : key_path_index(&e->path, index++);

		expand(e, child);
		key_path_cut(&e->path, before);
	}
}

void source_expand(const struct source *s, struct yaml_node *root)
{
	struct expansion e = {.source = s};

	expand(&e, root);
}
