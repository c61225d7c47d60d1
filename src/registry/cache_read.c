/* Reads cache files; what they look like is told in cache.c. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "registry/cache.h"
#include "registry/registry_impl.h"

struct cached {
	struct table sets;      /* name -> struct cached_entry, owned */
	struct table documents; /* key -> text, both in the arena */
	struct arena arena;
};

struct cached_entry {
	struct endpoint_list *set; /* a reference */
	usec_t at;
	char revision[32];
	char name[];
};

/* What is left of the file, with the number of the line for messages. */
struct lines {
	struct slice rest;
	unsigned number;
};

static bool next_line(struct lines *l, struct slice *line)
{
	const uint8_t *end;

	if (l->rest.len == 0)
		return false;
	end = memchr(l->rest.data, '\n', l->rest.len);
	if (end == NULL)
		return false;
	*line = slice_first(l->rest, (size_t)(end - l->rest.data));
	l->rest = slice_from(l->rest, line->len + 1);
	l->number++;
	return true;
}

static bool next_word(struct slice *line, struct slice *word)
{
	const uint8_t *end;

	if (line->len == 0)
		return false;
	end = memchr(line->data, ' ', line->len);
	*word = end ? slice_first(*line, (size_t)(end - line->data)) : *line;
	*line = slice_from(*line, word->len + (end ? 1 : 0));
	return word->len > 0;
}

static int hex(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The text that a word stands for, NULL when it stands for none. */
static const char *read_word(struct arena *arena, struct slice word)
{
	char *text = arena_alloc(arena, word.len + 1), *to = text;

	if (slice_eq(word, SLICE_LIT("-")))
		word = SLICE_NONE;
	for (size_t i = 0; i < word.len; i++) {
		int c = word.data[i];

		if (c == '%') {
			if (word.len - i < 3 || hex(word.data[i + 1]) < 0 ||
			    hex(word.data[i + 2]) < 0)
				return NULL;
			c = hex(word.data[i + 1]) * 16 + hex(word.data[i + 2]);
			i += 2;
		}
		if (c == 0)
			return NULL;
		*to++ = (char)c;
	}
	*to = '\0';
	return text;
}

static bool read_text(struct slice *line, struct arena *arena, const char **text)
{
	struct slice word;

	*text = next_word(line, &word) ? read_word(arena, word) : NULL;
	return *text != NULL;
}

static bool read_number(struct slice *line, uint64_t max, uint64_t *number)
{
	struct slice word;

	return next_word(line, &word) && slice_to_u64(word, number) && *number <= max;
}

static bool read_tag(struct slice word, struct arena *arena, struct config_pair *pair)
{
	const uint8_t *equal = memchr(word.data, '=', word.len);
	size_t at = equal ? (size_t)(equal - word.data) : 0;

	if (equal == NULL)
		return false;
	pair->name = read_word(arena, slice_first(word, at));
	pair->value = read_word(arena, slice_from(word, at + 1));
	return pair->name && pair->value;
}

static bool read_tags(struct slice line, struct arena *arena, struct config_map *tags)
{
	struct config_pair *pairs;
	struct slice word, count = line;
	size_t n = 0;

	while (next_word(&count, &word))
		n++;
	pairs = arena_calloc(arena, n, sizeof *pairs);
	for (size_t i = 0; i < n; i++)
		if (!next_word(&line, &word) || !read_tag(word, arena, &pairs[i]))
			return false;
	*tags = (struct config_map){pairs, n};
	return line.len == 0;
}

static bool read_endpoint(struct slice line, struct arena *arena, struct endpoint *e)
{
	const char *address;
	struct err ignored;
	uint64_t weight;

	if (!read_text(&line, arena, &address) || !read_number(&line, 1000000, &weight) ||
	    !read_text(&line, arena, &e->zone) || !read_tags(line, arena, &e->tags))
		return false;
	if (*e->zone == '\0')
		e->zone = NULL;
	e->weight = (unsigned)weight;
	return address_parse(&e->address, slice_str(address), &ignored) == 0 &&
	       e->address.kind != ADDRESS_NAME;
}

static void entry_free(struct cached_entry *entry)
{
	endpoint_list_unref(entry->set);
	free(entry);
}

/* The lines of a set; NULL when one is wrong. */
static struct endpoint_list *read_list(struct lines *lines, size_t n)
{
	struct endpoint_list *l = endpoint_list_new(NULL, 0);
	struct slice line;

	free(l->list);
	l->list = mem_calloc(n + 1, sizeof *l->list);
	for (; l->n < n; l->n++) {
		struct endpoint *e = &l->list[l->n];

		if (!next_line(lines, &line) || !read_endpoint(line, &l->arena, e) ||
		    (l->n && strcmp(e[-1].address.text, e->address.text) >= 0)) {
			endpoint_list_unref(l);
			return NULL;
		}
	}
	return l;
}

static bool read_document(struct cached *cached, struct slice line)
{
	const char *key, *text;

	if (!read_text(&line, &cached->arena, &key) || !read_text(&line, &cached->arena, &text) ||
	    line.len)
		return false;
	table_put(&cached->documents, slice_str(key), (void *)(uintptr_t)text);
	return true;
}

static bool read_set(struct cached *cached, struct lines *lines, struct slice line)
{
	struct cached_entry *entry, *before;
	const char *name, *revision;
	struct arena arena;
	uint64_t at, n;
	bool ok;

	arena_init(&arena, NULL, 0);
	ok = read_text(&line, &arena, &name) && read_number(&line, UINT64_MAX, &at) &&
	     read_text(&line, &arena, &revision) &&
	     read_number(&line, REGISTRY_ENDPOINTS_MAX, &n) && line.len == 0;
	if (ok) {
		entry = mem_calloc(1, sizeof *entry + strlen(name) + 1);
		memcpy(entry->name, name, strlen(name));
		snprintf(entry->revision, sizeof entry->revision, "%s", revision);
		entry->at = at;
		entry->set = read_list(lines, n);
		ok = entry->set != NULL;
		before = table_put(&cached->sets, slice_str(entry->name), entry);
		if (before)
			entry_free(before);
	}
	arena_fini(&arena);
	return ok;
}

static bool read_part(struct cached *cached, struct lines *lines, struct slice line)
{
	struct slice word;

	if (!next_word(&line, &word))
		return false;
	if (slice_eq(word, SLICE_LIT("document")))
		return read_document(cached, line);
	return slice_eq(word, SLICE_LIT("service")) && read_set(cached, lines, line);
}

/* Whose it is: a cache of another registry must not be taken for this one's. */
static bool read_owner(struct lines *lines, const struct registry_config *config)
{
	const char *word = "", *name = "", *type = "";
	struct arena arena;
	struct slice line;
	bool ok;

	arena_init(&arena, NULL, 0);
	ok = next_line(lines, &line) && read_text(&line, &arena, &word) &&
	     read_text(&line, &arena, &name) && read_text(&line, &arena, &type) && line.len == 0 &&
	     strcmp(word, "registry") == 0 && strcmp(name, config->name) == 0 &&
	     strcmp(type, registry_type_name(config->type)) == 0;
	arena_fini(&arena);
	return ok;
}

static int read_head(struct lines *lines, struct err *err)
{
	struct slice line;
	char sum[17];

	if (!next_line(lines, &line) || !slice_starts(line, SLICE_LIT(CACHE_HEAD)) ||
	    line.len != sizeof CACHE_HEAD - 1 + 16)
		return err_set(err, 0, "not a cache of this version");
	snprintf(sum, sizeof sum, "%016" PRIx64, cache_checksum(lines->rest));
	if (memcmp(line.data + sizeof CACHE_HEAD - 1, sum, 16) != 0)
		return err_set(err, 0, "damaged: its checksum is another");
	return 0;
}

struct cached *cache_parse(
    struct slice bytes, const struct registry_config *config, struct err *err)
{
	struct lines lines = {.rest = bytes};
	struct cached *cached;
	struct slice line;
	bool ok = true;

	if (read_head(&lines, err) < 0)
		return NULL;
	if (!read_owner(&lines, config)) {
		err_set(err, 0, "of another registry");
		return NULL;
	}
	cached = mem_calloc(1, sizeof *cached);
	table_init(&cached->sets, 0);
	table_init(&cached->documents, 0);
	arena_init(&cached->arena, NULL, 0);
	while (ok && next_line(&lines, &line))
		ok = read_part(cached, &lines, line);
	if (ok && lines.rest.len == 0)
		return cached;
	err_set(err, 0, "line %u is not understood", lines.number);
	cached_free(&cached);
	return NULL;
}

static int read_file(const char *path, struct text *bytes, struct err *err)
{
	/* Not blocking: what stands there may be a FIFO. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	ssize_t n = 1;

	if (fd < 0 && errno == ENOENT)
		return -1;
	if (fd < 0)
		return err_set(err, errno, "%s", strerror(errno));
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		err_set(err, 0, "not a file");
	else if (st.st_uid != geteuid() && st.st_uid != 0)
		err_set(err, 0, "it belongs to user %u", st.st_uid);
	else if (st.st_mode & S_IWOTH)
		err_set(err, 0, "anybody may write it");
	else if (st.st_size > (off_t)CACHE_SIZE_MAX)
		err_set(err, 0, "larger than %u bytes", CACHE_SIZE_MAX);
	else {
		bytes->room = (size_t)st.st_size;
		bytes->bytes = mem_alloc(bytes->room + 1);
		while (n > 0 && bytes->len < bytes->room) {
			n = read(fd, bytes->bytes + bytes->len, bytes->room - bytes->len);
			bytes->len += n > 0 ? (size_t)n : 0;
		}
	}
	close(fd);
	return err->text[0] ? -1 : 0;
}

struct cached *cache_load(const struct registry_config *config, struct err *err)
{
	struct cached *cached = NULL;
	struct text bytes = {0};

	err->text[0] = '\0';
	if (read_file(config->cache, &bytes, err) == 0)
		cached = cache_parse(slice_of(bytes.bytes, bytes.len), config, err);
	text_fini(&bytes);
	if (err->text[0])
		err_wrap(err, "%s", config->cache);
	return cached;
}

void cached_free(struct cached **pcached)
{
	struct cached *cached = *pcached;
	struct cached_entry *entry;
	size_t at = 0;

	if (cached == NULL)
		return;
	*pcached = NULL;
	while ((entry = table_next(&cached->sets, &at)))
		entry_free(entry);
	table_fini(&cached->sets);
	table_fini(&cached->documents);
	arena_fini(&cached->arena);
	free(cached);
}

size_t cached_services(const struct cached *cached)
{
	return cached->sets.used;
}

bool cached_get(const struct cached *cached, struct slice service, struct cached_set *set)
{
	const struct cached_entry *entry = cached ? table_get(&cached->sets, service) : NULL;

	if (entry == NULL)
		return false;
	*set = (struct cached_set){entry->name, entry->revision, entry->at, entry->set};
	return true;
}

const char *cached_text(const struct cached *cached, struct slice key)
{
	return cached ? table_get(&cached->documents, key) : NULL;
}
