#include "model/yaml.h"

#include <string.h>

#include <yaml.h>

#include "base/table.h"
#include "model/key_path.h"

/*
 * The parser of libyaml is driven event by event. It accepts aliases that contain themselves and
 * takes quadratic time over unclosed brackets and over tag directives, so depth and nodes are
 * counted on its events, which come while it reads, and directives never reach it.
 */

/* One open list or map. */
struct frame {
	struct yaml_node *node;
	struct table keys; /* of a map: key -> its first value or key node */
	bool has_key;      /* the next node is the value of key */
	bool drop;         /* ... and goes nowhere */
	struct slice key;
	struct place key_at;
};

struct reading {
	struct yaml_input *in;
	yaml_parser_t parser;
	struct frame frames[YAML_MAX_DEPTH];
	size_t depth;
	struct yaml_node *root;
	unsigned documents;
	size_t max_nodes;
};

static struct place place_of(const struct reading *r, yaml_mark_t mark)
{
	return (struct place){r->in->file, (unsigned)mark.line + 1, (unsigned)mark.column + 1};
}

static const char *path_of(const struct reading *r, struct key_path *path)
{
	path->len = 0;
	path->text[0] = '\0';
	for (size_t i = 0; i < r->depth; i++) {
		const struct frame *f = &r->frames[i];

		bool inside = i + 1 < r->depth; /* the value was put in when it was opened */

		if (f->node->kind == NODE_LIST)
			key_path_index(path, f->node->n - inside);
		else if (f->has_key || inside)
			key_path_key(path, f->key);
	}
	return path->text;
}

static void refuse(struct reading *r, yaml_mark_t mark, const char *text)
{
	struct key_path path;

	problems_error(r->in->problems, place_of(r, mark), path_of(r, &path), "%s", text);
}

static struct yaml_node *make_node(struct reading *r, enum node_kind kind, yaml_mark_t mark)
{
	struct yaml_node *node = arena_calloc(r->in->arena, 1, sizeof *node);

	r->in->n_nodes++;
	node->kind = kind;
	node->at = place_of(r, mark);
	return node;
}

/* The node is the key of the map on top. */
static void take_key(struct reading *r, struct frame *f, struct yaml_node *node, yaml_mark_t mark)
{
	struct yaml_node *first;
	struct key_path path;

	f->key = node->text;
	f->key_at = node->at;
	f->drop = node->is_bad || node->kind != NODE_SCALAR;
	if (node->kind != NODE_SCALAR) {
		refuse(
		    r, mark, "a key cannot be a list or a map\nexpected a word before the colon");
	} else if (node->is_plain && slice_eq_str(node->text, "<<")) {
		refuse(r, mark,
		    "merge keys (<<) are not accepted\nwrite the keys out here; what services "
		    "share goes into \"defaults\"");
		f->drop = true;
	} else if (!node->is_bad && (first = table_get(&f->keys, node->text)) != NULL) {
		f->has_key = true;
		problems_error(r->in->problems, node->at, path_of(r, &path),
		    "the same key a second time\nfirst given at %s:%u:%u", first->at.file,
		    first->at.line, first->at.column);
		f->drop = true;
	} else if (!node->is_bad) {
		table_put(&f->keys, node->text, node);
	}
	f->has_key = true;
}

/* Puts a node where it belongs: root, item, key or value. */
static void attach(struct reading *r, struct yaml_node *node, yaml_mark_t mark)
{
	struct frame *f;

	if (r->depth == 0) {
		r->root = node;
		return;
	}
	f = &r->frames[r->depth - 1];
	if (f->node->kind == NODE_LIST) {
		yaml_append(f->node, SLICE_NONE, node);
	} else if (!f->has_key) {
		take_key(r, f, node, mark);
	} else {
		if (!f->drop) {
			node->key_at = f->key_at;
			yaml_append(f->node, f->key, node);
		}
		f->has_key = false;
	}
}

/* What is refused about a single node, and can be passed over. */
static void check_properties(struct reading *r, yaml_mark_t mark, bool anchor, bool tag)
{
	if (anchor)
		refuse(r, mark,
		    "anchors (&name) are not accepted\nnothing may refer to them: what services "
		    "share goes into \"defaults\"");
	if (tag)
		refuse(r, mark,
		    "tags (!name) are not accepted\nleave the tag out; quotes make a string");
}

static void take_scalar(struct reading *r, const yaml_event_t *event)
{
	struct yaml_node *node = make_node(r, NODE_SCALAR, event->start_mark);

	check_properties(r, event->start_mark, event->data.scalar.anchor != NULL,
	    event->data.scalar.tag != NULL);
	node->is_plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	node->text = slice_of(
	    arena_str(r->in->arena, slice_of(event->data.scalar.value, event->data.scalar.length)),
	    event->data.scalar.length);
	/* Escapes can make what the bytes of a file may not hold. */
	if (yaml_bad_byte(node->text) < node->text.len) {
		refuse(r, event->start_mark,
		    "a control byte in a text\nleave the escape (\\0, \\x..) out");
		node->is_bad = true;
	}
	attach(r, node, event->start_mark);
}

static void take_alias(struct reading *r, const yaml_event_t *event)
{
	struct yaml_node *node = make_node(r, NODE_SCALAR, event->start_mark);

	refuse(r, event->start_mark,
	    "aliases (*name) are not accepted\nwrite the value out here; what "
	    "services share goes into \"defaults\"");
	node->is_plain = node->is_bad = true;
	attach(r, node, event->start_mark);
}

static int open_collection(struct reading *r, const yaml_event_t *event)
{
	bool is_map = event->type == YAML_MAPPING_START_EVENT;
	struct yaml_node *node;
	bool anchor, tag;

	if (r->depth == YAML_MAX_DEPTH) {
		refuse(r, event->start_mark, "nested too deeply\na file may be nested 32 deep");
		return -1;
	}
	anchor = is_map ? event->data.mapping_start.anchor != NULL
			: event->data.sequence_start.anchor != NULL;
	tag =
	    is_map ? event->data.mapping_start.tag != NULL : event->data.sequence_start.tag != NULL;
	check_properties(r, event->start_mark, anchor, tag);
	node = make_node(r, is_map ? NODE_MAP : NODE_LIST, event->start_mark);
	attach(r, node, event->start_mark);
	r->frames[r->depth] = (struct frame){.node = node};
	table_init(&r->frames[r->depth].keys, 0);
	r->depth++;
	return 0;
}

static void close_collection(struct reading *r)
{
	r->depth--;
	table_fini(&r->frames[r->depth].keys);
}

static int take_document(struct reading *r, const yaml_event_t *event)
{
	if (r->documents++ == 0)
		return 0;
	refuse(r, event->start_mark, "a second document\na file holds one: take the line --- out");
	return -1;
}

/* Returns -1 when there is no point in reading on. */
static int take_event(struct reading *r, const yaml_event_t *event)
{
	struct key_path path;

	switch (event->type) {
	case YAML_DOCUMENT_START_EVENT:
		return take_document(r, event);
	case YAML_SCALAR_EVENT:
		take_scalar(r, event);
		break;
	case YAML_ALIAS_EVENT:
		take_alias(r, event);
		break;
	case YAML_MAPPING_START_EVENT:
	case YAML_SEQUENCE_START_EVENT:
		return open_collection(r, event);
	case YAML_MAPPING_END_EVENT:
	case YAML_SEQUENCE_END_EVENT:
		close_collection(r);
		break;
	default:
		break;
	}
	if (r->in->n_nodes <= r->max_nodes)
		return 0;
	problems_error(r->in->problems, place_of(r, event->start_mark), path_of(r, &path),
	    "too many values\na file may hold %zu", r->max_nodes);
	return -1;
}

/* The commonest mistake, for which libyaml has no words of its own. */
static bool is_indented_by_tab(struct slice text, size_t line)
{
	size_t at = 0;

	for (; line > 0 && at < text.len; at++)
		line -= text.data[at] == '\n';
	while (at < text.len && text.data[at] == ' ')
		at++;
	return at < text.len && text.data[at] == '\t';
}

/* The second commonest: a brace in a plain text inside of braces ends the text. */
static bool has_variable(struct slice text, size_t line)
{
	size_t at = 0;

	for (; line > 0 && at < text.len; at++)
		line -= text.data[at] == '\n';
	for (; at + 1 < text.len && text.data[at] != '\n'; at++)
		if (text.data[at] == '$' && text.data[at + 1] == '{')
			return true;
	return false;
}

static void report_syntax(struct reading *r)
{
	const yaml_parser_t *y = &r->parser;
	const char *problem = y->problem ? y->problem : "it cannot be read";
	struct place at = place_of(r, y->problem_mark);
	struct key_path path;

	path_of(r, &path);
	if (is_indented_by_tab(r->in->text, y->problem_mark.line))
		problems_error(r->in->problems, at, path.text,
		    "not YAML: a tab where none may be\nindent with spaces");
	else if (has_variable(r->in->text, y->problem_mark.line))
		problems_error(r->in->problems, at, path.text,
		    "not YAML: %s\nwithin { } and [ ] a variable needs quotes: \"${NAME}\"",
		    problem);
	else if (y->context)
		problems_error(r->in->problems, at, path.text,
		    "not YAML: %s\n%s at line %u, column %u", problem, y->context,
		    (unsigned)y->context_mark.line + 1, (unsigned)y->context_mark.column + 1);
	else
		problems_error(r->in->problems, at, path.text,
		    "not YAML: %s\ncheck the indentation, the quotes and the brackets before it",
		    problem);
}

/* Runs the parser over the text. Returns 0, or -1 when it was given up. */
static int read_events(struct reading *r)
{
	int rc = 0;

	for (bool done = false; rc == 0 && !done;) {
		yaml_event_t event;

		if (!yaml_parser_parse(&r->parser, &event)) {
			report_syntax(r);
			rc = -1;
			break;
		}
		done = event.type == YAML_STREAM_END_EVENT;
		rc = take_event(r, &event);
		yaml_event_delete(&event);
	}
	while (r->depth > 0)
		close_collection(r);
	return rc;
}

static struct place place_at(const struct yaml_input *in, size_t offset)
{
	struct place at = {in->file, 1, 1};

	for (size_t i = 0; i < offset; i++) {
		uint8_t c = in->text.data[i];

		at.column += (c & 0xc0) != 0x80;
		if (c == '\n') {
			at.line++;
			at.column = 1;
		}
	}
	return at;
}

/* The offset of a % at the start of a line: a directive. text.len when there is none. */
static size_t find_directive(struct slice text)
{
	const uint8_t *at = text.data;

	if (text.len > 0 && at[0] == '%')
		return 0;
	for (size_t i = 1; i < text.len; i++)
		if (text.data[i] == '%' && text.data[i - 1] == '\n')
			return i;
	return text.len;
}

/* What can be told before parsing. */
static int check_bytes(const struct yaml_input *in, size_t max_bytes)
{
	size_t bad;

	if (in->text.len > max_bytes) {
		problems_error(in->problems, (struct place){in->file, 0, 0}, NULL,
		    "%zu bytes long\na file may have %zu MiB; use a directory of files",
		    in->text.len, max_bytes >> 20);
		return -1;
	}
	bad = yaml_bad_byte(in->text);
	if (bad < in->text.len) {
		problems_error(in->problems, place_at(in, bad), NULL,
		    "the byte 0x%02x is no UTF-8 text\nsave the file as UTF-8, without control bytes",
		    in->text.data[bad]);
		return -1;
	}
	bad = find_directive(in->text);
	if (bad < in->text.len) {
		problems_error(in->problems, place_at(in, bad), NULL,
		    "directives (%%...) are not accepted\ntake the line out; quote a value that starts "
		    "with %%");
		return -1;
	}
	return 0;
}

struct yaml_node *yaml_read(struct yaml_input *in)
{
	return yaml_read_up_to(in, YAML_MAX_BYTES, YAML_MAX_NODES);
}

struct yaml_node *yaml_read_up_to(struct yaml_input *in, size_t max_bytes, size_t max_nodes)
{
	struct reading r = {.in = in, .max_nodes = max_nodes};
	int rc;

	if (slice_starts(in->text, SLICE_LIT("\xef\xbb\xbf")))
		in->text = slice_from(in->text, 3);
	if (check_bytes(in, max_bytes) < 0)
		return NULL;
	if (!yaml_parser_initialize(&r.parser)) {
		problems_error(in->problems, (struct place){in->file, 0, 0}, NULL, "out of memory");
		return NULL;
	}
	yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(
	    &r.parser, in->text.len ? in->text.data : (const uint8_t *)"", in->text.len);
	rc = read_events(&r);
	yaml_parser_delete(&r.parser);
	if (rc < 0)
		return NULL;
	if (r.root == NULL) {
		r.root = make_node(&r, NODE_SCALAR, (yaml_mark_t){0});
		r.root->is_plain = true;
	}
	return r.root;
}

const char *yaml_library_version(void)
{
	return yaml_get_version_string();
}
