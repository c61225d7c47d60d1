#include "model/config_source.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "model/config_allow.h"

struct config_tree *config_tree_new(void)
{
	struct config_tree *tree = mem_calloc(1, sizeof *tree);

	ref_init(&tree->ref);
	arena_init(&tree->arena, NULL, 0);
	return tree;
}

struct config_tree *config_tree_ref(struct config_tree *tree)
{
	ref_take(&tree->ref);
	return tree;
}

void config_tree_unref(struct config_tree **ptree)
{
	struct config_tree *tree = *ptree;

	*ptree = NULL;
	if (tree == NULL || !ref_drop(&tree->ref))
		return;
	arena_fini(&tree->arena);
	free(tree);
}

static bool same_node(const struct yaml_node *a, const struct yaml_node *b)
{
	const struct yaml_node *x = a->first, *y = b->first;

	if (a->kind != b->kind || a->n != b->n || a->is_plain != b->is_plain ||
	    !slice_eq(a->key, b->key) || !slice_eq(a->text, b->text))
		return false;
	for (; x && y; x = x->next, y = y->next)
		if (!same_node(x, y))
			return false;
	return x == y;
}

bool config_tree_same(const struct config_tree *a, const struct config_tree *b)
{
	return a->root && b->root && same_node(a->root, b->root);
}

static void complain(const struct source *s, const char *name, const char *what)
{
	problems_error(
	    s->problems, (struct place){name, 0, 0}, NULL, "%s: %s", what, strerror(errno));
}

/* Reads at most one byte more than a file may have, so that the reader sees that it is too long. */
static int read_all(int fd, struct slice *text)
{
	size_t room = YAML_MAX_BYTES + 1, len = 0;
	uint8_t *bytes = mem_alloc(room);

	while (len < room) {
		ssize_t n = read(fd, bytes + len, room - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			free(bytes);
			return -1;
		}
		if (n == 0)
			break;
		len += (size_t)n;
	}
	*text = slice_of(bytes, len);
	return 0;
}

static struct yaml_node *parse_text(const struct source *s, const char *name, struct slice text)
{
	struct yaml_input in = {name, text, s->nodes, s->problems, 0};
	struct yaml_node *root = yaml_read(&in);

	if (root == NULL)
		return NULL;
	if (s->allows)
		allows_read(s->allows, name, text);
	if (yaml_scalar_kind(root) == SCALAR_NULL && !root->is_bad)
		root->kind = NODE_MAP; /* only comments */
	if (root->kind == NODE_MAP)
		return root;
	problems_error(s->problems, root->at, NULL,
	    "the file is not a map\nexpected keys like \"listeners:\" and \"services:\"");
	return NULL;
}

static struct yaml_node *read_file(
    const struct source *s, int dir, const char *file, const char *shown)
{
	const char *name = arena_str(s->nodes, slice_str(shown));
	struct yaml_node *root = NULL;
	struct slice text;
	struct stat st;
	/* Not blocking, so that a fifo in the way does not stop us for ever. */
	int fd = openat(dir, file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0) {
		complain(s, name, "cannot open");
		return NULL;
	}
	errno = EISDIR;
	if (fstat(fd, &st) < 0 || S_ISDIR(st.st_mode) || read_all(fd, &text) < 0) {
		complain(s, name, "cannot read");
	} else {
		root = parse_text(s, name, text);
		free((void *)(uintptr_t)text.data);
	}
	close(fd);
	return root;
}

static int is_config_file(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name), end = sizeof CONFIG_SUFFIX - 1;

	return entry->d_name[0] != '.' && len > end &&
	       strcmp(entry->d_name + len - end, CONFIG_SUFFIX) == 0;
}

/* alphasort() follows the locale; the order of files must not. */
static int compare_entries(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static struct yaml_node *read_listed(const struct source *s, struct dirent **entries, size_t n)
{
	const char *path = s->from->path;
	struct yaml_node *root = NULL;
	int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0) {
		complain(s, path, "cannot open");
		return NULL;
	}
	for (size_t i = 0; i < n; i++) {
		const char *file = entries[i]->d_name;
		const char *slash = path[strlen(path) - 1] == '/' ? "" : "/";
		const char *shown = arena_printf(s->nodes, "%s%s%s", path, slash, file);
		struct yaml_node *node = read_file(s, dir, file, shown);

		if (root && node)
			source_merge(s, root, node);
		else if (node)
			root = node;
	}
	close(dir);
	return root;
}

static struct yaml_node *read_directory(const struct source *s)
{
	struct place at = {s->from->path, 0, 0};
	struct yaml_node *root = NULL;
	struct dirent **entries;
	int n = scandir(s->from->path, &entries, is_config_file, compare_entries);

	if (n < 0) {
		complain(s, s->from->path, "cannot list");
		return NULL;
	}
	if (n == 0)
		problems_error(s->problems, at, NULL,
		    "the directory holds no configuration\nexpected files named *.yaml");
	else if ((unsigned)n > SOURCE_MAX_FILES)
		problems_error(
		    s->problems, at, NULL, "%d files\nat most %u are read", n, SOURCE_MAX_FILES);
	else
		root = read_listed(s, entries, (size_t)n);
	while (n > 0)
		free(entries[--n]);
	free(entries);
	return root;
}

static struct yaml_node *finish(const struct source *s, struct yaml_node *root)
{
	if (root == NULL)
		return NULL;
	for (size_t i = 0; i < s->from->n_overrides; i++)
		source_override(s, root, s->from->overrides[i]);
	source_expand(s, root);
	return root;
}

struct yaml_node *source_read(const struct source *s)
{
	struct stat st;

	if (stat(s->from->path, &st) < 0) {
		complain(s, s->from->path, "cannot open");
		return NULL;
	}
	if (S_ISDIR(st.st_mode))
		return finish(s, read_directory(s));
	return finish(s, read_file(s, AT_FDCWD, s->from->path, s->from->path));
}

struct yaml_node *source_read_text(const struct source *s, const char *name, struct slice text)
{
	return finish(s, parse_text(s, arena_str(s->nodes, slice_str(name)), text));
}

const char *source_getenv(const struct config_source *from, const char *name)
{
	return from->getenv ? from->getenv(name) : getenv(name);
}
