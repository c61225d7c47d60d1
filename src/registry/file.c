/*
 * The file registry: services, their endpoints and their dynamic configuration in one file of this
 * machine (registry/file_services.h). The whole file is read anew whenever it may be another, and
 * what is followed is told from it; nothing of it is kept in between. A file that cannot be read or
 * is not right in any place changes nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/table.h"
#include "net/file_watch.h"
#include "net/loop.h"
#include "registry/client.h"
#include "registry/file_services.h"

#define QUIET (50 * USEC_MS)

/* A service or a document that is followed. */
struct wanted {
	bool is_new; /* not told yet */
	char name[];
};

struct registry_client {
	const char *path;                 /* borrowed */
	struct registry *registry;        /* borrowed */
	struct loop *loop;                /* borrowed */
	struct file_watch *watch;         /* owned */
	struct table services, documents; /* name -> struct wanted, owned */
	struct loop_work catch_up;        /* tells those that are new */
};

/* ---- reading ---- */

static int read_all(int fd, uint8_t *room, size_t size, size_t *len)
{
	*len = 0;
	while (*len < size) {
		ssize_t n = read(fd, room + *len, size - *len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		*len += (size_t)n;
	}
	return 0;
}

static int parse_open_file(
    int fd, const char *path, char revision[32], struct file_services *file, struct err *err)
{
	size_t room, len;
	struct stat st;
	uint8_t *bytes;
	int rc;

	if (fstat(fd, &st) < 0)
		return err_set(err, errno, "%s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return err_set(err, 0, "%s: not a file", path);
	/* One byte too much: of a file that is longer than it was, the start would mean another
	 * thing. */
	room = (st.st_size < FILE_SERVICES_MAX ? (size_t)st.st_size : FILE_SERVICES_MAX) + 1;
	bytes = mem_alloc(room);
	if (read_all(fd, bytes, room, &len) < 0)
		rc = err_set(err, errno, "%s: %s", path, strerror(errno));
	else if (len == room && len <= FILE_SERVICES_MAX)
		rc = err_set(err, 0, "%s: it is being written", path);
	else
		rc = file_services_init(file, slice_of(bytes, len), path, err);
	free(bytes);
	snprintf(revision, 32, "%" PRId64 ".%03ld", (int64_t)st.st_mtim.tv_sec,
	    st.st_mtim.tv_nsec / 1000000);
	return rc;
}

static int read_file(
    const char *path, char revision[32], struct file_services *file, struct err *err)
{
	/* Not blocking, so that a FIFO in its place stops nobody. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), rc;

	if (fd < 0)
		return err_set(err, errno, "%s: %s", path, strerror(errno));
	rc = parse_open_file(fd, path, revision, file, err);
	close(fd);
	return rc;
}

/* ---- telling ---- */

/* A record that cannot be used, on its way to the registry. */
struct skipping {
	struct registry *registry;
	struct slice service;
};

static void skipped(void *arg, struct slice record, const char *why)
{
	const struct skipping *s = arg;

	registry_skipped(s->registry, s->service, record, why);
}

static void tell_service(struct registry_client *client, struct file_services *file,
    const char *revision, const char *name)
{
	struct skipping skipping = {client->registry, slice_str(name)};
	struct endpoint *list;
	struct err err;
	size_t n;

	if (file_services_find(file, skipping.service, &list, &n, skipped, &skipping, &err) < 0)
		registry_failed(client->registry, skipping.service, &err);
	else
		registry_heard(client->registry, skipping.service, list, n, revision);
}

static void tell_document(struct registry_client *client, struct file_services *file,
    const char *revision, const char *name)
{
	struct slice key = slice_str(name);

	registry_heard_document(client->registry, key, file_services_document(file, key), revision);
}

typedef void (*tell_fn)(struct registry_client *client, struct file_services *file,
    const char *revision, const char *name);

static void tell_each(struct registry_client *client, struct table *wanted, bool only_new,
    struct file_services *file, const char *revision, tell_fn tell)
{
	struct wanted *one;
	size_t at = 0;

	while ((one = table_next(wanted, &at))) {
		if (only_new && !one->is_new)
			continue;
		one->is_new = false;
		tell(client, file, revision, one->name);
	}
}

static void tell(struct registry_client *client, bool only_new)
{
	struct file_services file;
	char revision[32];
	struct err err;

	if (read_file(client->path, revision, &file, &err) < 0) {
		registry_failed(client->registry, SLICE_NONE, &err);
		if (err.code)
			file_watch_doubt(client->watch);
		return;
	}
	registry_alive(client->registry);
	tell_each(client, &client->services, only_new, &file, revision, tell_service);
	tell_each(client, &client->documents, only_new, &file, revision, tell_document);
	file_services_fini(&file);
}

static void file_changed(void *arg)
{
	struct registry_client *client = arg;

	loop_undefer(&client->catch_up);
	file_watch_mark(client->watch);
	tell(client, false);
}

/* Many are wanted in one turn: the file is read once for them. */
static void catch_up(struct loop_work *work)
{
	tell(container_of(work, struct registry_client, catch_up), true);
}

/* ---- what is followed ---- */

static void want(struct registry_client *client, struct table *wanted, struct slice name)
{
	struct wanted *one = mem_calloc(1, sizeof *one + name.len + 1);

	memcpy(one->name, name.data, name.len);
	one->is_new = true;
	table_put(wanted, slice_str(one->name), one);
	if (!file_watch_is_due(client->watch))
		loop_defer(client->loop, &client->catch_up);
}

static void file_watch_service(struct registry_client *client, struct slice service)
{
	want(client, &client->services, service);
}

static void file_unwatch_service(struct registry_client *client, struct slice service)
{
	free(table_remove(&client->services, service));
}

static void file_watch_document(struct registry_client *client, struct slice key)
{
	want(client, &client->documents, key);
}

static void file_unwatch_document(struct registry_client *client, struct slice key)
{
	free(table_remove(&client->documents, key));
}

static struct registry_client *file_open(const struct registry_client_start *start, struct err *err)
{
	const struct file_watch_options options = {
	    .path = start->config->path,
	    .quiet = QUIET,
	    .refresh = start->config->refresh,
	};
	struct registry_client *client = mem_calloc(1, sizeof *client);

	(void)err;
	client->path = start->config->path;
	client->registry = start->registry;
	client->loop = start->place->loop;
	client->catch_up.run = catch_up;
	table_init(&client->services, start->place->seed);
	table_init(&client->documents, start->place->seed);
	client->watch = file_watch_new(client->loop, &options, file_changed, client);
	return client;
}

static void free_wanted(struct table *wanted)
{
	struct wanted *one;
	size_t at = 0;

	while ((one = table_next(wanted, &at)))
		free(one);
	table_fini(wanted);
}

static void file_close(struct registry_client **pclient)
{
	struct registry_client *client = *pclient;

	*pclient = NULL;
	if (client == NULL)
		return;
	loop_undefer(&client->catch_up);
	file_watch_free(&client->watch);
	free_wanted(&client->services);
	free_wanted(&client->documents);
	free(client);
}

const struct registry_client_ops file_ops = {
    .open = file_open,
    .close = file_close,
    .watch = file_watch_service,
    .unwatch = file_unwatch_service,
    .watch_document = file_watch_document,
    .unwatch_document = file_unwatch_document,
};
