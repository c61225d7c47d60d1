/*
 * Writes cache files, which look so:
 *
 *     bridle-cache 1 <checksum of all that follows, 16 hex digits>
 *     registry <name> <type>
 *     service <name> <confirmed at, us> <revision> <endpoints>
 *     <address> <weight> <zone> <tag>=<value> ...
 *     document <key> <text>
 *
 * Words are separated by one space; bytes that could be taken for something else are written as
 * %xx, an empty word as "-".
 */
#include "registry/cache.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "registry/registry_impl.h"

/* FNV-1a: it has to find damage, not malice. */
uint64_t cache_checksum(struct slice s)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (size_t i = 0; i < s.len; i++)
		h = (h ^ s.data[i]) * 0x100000001b3u;
	return h;
}

static void add_word(struct text *out, const char *word)
{
	if (word == NULL || *word == '\0' || strcmp(word, "-") == 0) {
		text_add_str(out, word && *word ? "%2d" : "-");
		return;
	}
	for (const char *plain = word; *word; plain = word) {
		while ((unsigned char)*word > ' ' && *word != '%' && *word != '=' && *word != 127)
			word++;
		text_add(out, slice_of(plain, (size_t)(word - plain)));
		if (*word)
			text_printf(out, "%%%02x", (unsigned char)*word++);
	}
}

static void add_endpoint(struct text *out, const struct endpoint *e)
{
	add_word(out, e->address.text);
	text_add(out, SLICE_LIT(" "));
	text_add_u64(out, e->weight);
	text_add(out, SLICE_LIT(" "));
	add_word(out, e->zone);
	for (size_t i = 0; i < e->tags.n; i++) {
		text_add(out, SLICE_LIT(" "));
		add_word(out, e->tags.pairs[i].name);
		text_add(out, SLICE_LIT("="));
		add_word(out, e->tags.pairs[i].value);
	}
	text_add(out, SLICE_LIT("\n"));
}

static void add_set(struct text *out, const struct cached_set *s)
{
	text_add_str(out, "service ");
	add_word(out, s->name);
	text_printf(out, " %" PRIu64 " ", s->at);
	add_word(out, s->revision);
	text_printf(out, " %zu\n", s->set->n);
	for (size_t i = 0; i < s->set->n; i++)
		add_endpoint(out, &s->set->list[i]);
}

static void add_document(struct text *out, const struct cached_document *d)
{
	text_add_str(out, "document ");
	add_word(out, d->key);
	text_add(out, SLICE_LIT(" "));
	add_word(out, d->text);
	text_add(out, SLICE_LIT("\n"));
}

void cache_format(
    struct text *out, const struct registry_config *config, const struct cache_content *content)
{
	size_t start = out->len + sizeof CACHE_HEAD - 1 + 17;
	char sum[17];

	text_add_str(out, CACHE_HEAD "0000000000000000\nregistry ");
	add_word(out, config->name);
	text_printf(out, " %s\n", registry_type_name(config->type));
	for (size_t i = 0; i < content->n_sets; i++)
		add_set(out, &content->sets[i]);
	for (size_t i = 0; i < content->n_documents; i++)
		add_document(out, &content->documents[i]);
	snprintf(sum, sizeof sum, "%016" PRIx64,
	    cache_checksum(slice_of(out->bytes + start, out->len - start)));
	memcpy(out->bytes + start - 17, sum, 16);
}

static int write_whole(int fd, struct slice bytes)
{
	while (bytes.len) {
		ssize_t n = write(fd, bytes.data, bytes.len);

		if (n < 0 && errno != EINTR)
			return -1;
		if (n > 0)
			bytes = slice_from(bytes, (size_t)n);
	}
	return fsync(fd);
}

/* The name is on disk only when the directory is. */
static int sync_directory(const char *path)
{
	char copy[PATH_MAX];
	int fd, result;

	snprintf(copy, sizeof copy, "%s", path);
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	/* Some file systems have nothing to do for it, and say so. */
	result = fsync(fd) < 0 && errno != EINVAL ? -1 : 0;
	close(fd);
	return result;
}

int cache_replace(const char *path, struct slice bytes, struct err *err)
{
	char fresh[PATH_MAX];
	int fd, written, error;

	if ((size_t)snprintf(fresh, sizeof fresh, "%s.new", path) >= sizeof fresh)
		return err_set(err, ENAMETOOLONG, "%s: %s", path, strerror(ENAMETOOLONG));
	/* Never into what somebody else has put there: another's file, a link, a FIFO. */
	unlink(fresh);
	fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_set(err, errno, "%s: %s", fresh, strerror(errno));
	written = write_whole(fd, bytes);
	error = errno;
	close(fd);
	if (written == 0 && rename(fresh, path) == 0 && sync_directory(path) == 0)
		return 0;
	if (written == 0)
		error = errno;
	unlink(fresh);
	return err_set(err, error, "%s: %s", path, strerror(error));
}
