#include "model/config_check.h"

#include <errno.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "model/config_bind.h"
#include "model/config_warn.h"

void check_directory(
    struct check *c, const void *base, const char *key, const char *path, const char *file)
{
	struct place at = origin_place(c->config, base, key);
	const char *slash = strrchr(file, '/');
	char directory[512];
	struct stat st;

	if (slash == NULL || (size_t)(slash - file) >= sizeof directory)
		return;
	memcpy(directory, file, (size_t)(slash - file));
	directory[slash - file] = '\0';
	if (slash == file || (stat(directory, &st) == 0 && S_ISDIR(st.st_mode)))
		return;
	problems_error(c->problems, at, path,
	    "the directory %s is not there\nmake it first; under systemd RuntimeDirectory= and "
	    "LogsDirectory= do",
	    directory);
}

static void check_log_target(struct check *c, const char *key, const char *to)
{
	const struct config *config = c->config;
	struct stat st;

	check_directory(c, config, key, key, to);
	if (stat(to, &st) == 0 && S_ISDIR(st.st_mode))
		problems_error(c->problems, origin_place(config, config, key), key,
		    "%s is a directory\nexpected the name of a file in it", to);
}

static void check_log(struct check *c)
{
	const struct config *config = c->config;
	const struct access_log_config *log = &config->access_log;
	const struct {
		const char *key;
		bool is_set;
	} idle[] = {{"access_log.format", log->format != NULL},
	    {"access_log.sample", log->sample < 1.0},
	    {"access_log.always.errors", !log->always_errors},
	    {"access_log.always.slower_than", log->always_slower_than != USEC_NONE}};

	check_log_target(c, "log.to", config->log.to);
	if (log->to) {
		check_log_target(c, "access_log.to", log->to);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(idle); i++) {
		/* After an error it may be that access_log.to was there. */
		if (!idle[i].is_set || c->problems->n_errors > 0)
			continue;
		warn_at(c, WARN_ACCESS_LOG, origin_place(config, config, idle[i].key), idle[i].key,
		    "means nothing without access_log.to\nexpected a place for the access log, like "
		    "access_log: {to: stderr}");
		return;
	}
}

/* The daemon makes the folder of its admin socket, but not those above it. */
static void check_admin_directory(struct check *c, const char *file)
{
	const char *slash = strrchr(file, '/');
	char directory[ADDRESS_PATH_MAX + 1];
	struct stat st;

	if (slash == NULL || (size_t)(slash - file) >= sizeof directory)
		return;
	memcpy(directory, file, (size_t)(slash - file));
	directory[slash - file] = '\0';
	check_directory(c, c->config, "admin.socket", "admin.socket",
	    stat(directory, &st) < 0 && errno == ENOENT ? directory : file);
}

static void check_admin_socket(struct check *c)
{
	const struct config *config = c->config;

	/* The default is for the machine that runs the daemon; what is written must be right
	 * here. */
	if (origin_named(config, config, "admin.socket"))
		check_admin_directory(c, config->admin.socket);
	else if (strlen(config->admin.socket) > ADDRESS_PATH_MAX)
		problems_error(c->problems, origin_place(config, config, NULL), "admin.socket",
		    "the default, %s, is longer than a socket's path may be\nexpected admin: {socket: PATH} "
		    "with at most %u bytes",
		    config->admin.socket, ADDRESS_PATH_MAX);
}

void config_check(const struct config *config, struct problems *problems, struct allows *allows)
{
	struct check c = {.config = config, .problems = problems, .allows = allows};

	table_init(&c.addresses, 0);
	check_registries(&c);
	check_listeners(&c);
	check_services(&c);
	check_registrations(&c);
	check_protocols(&c);
	check_policies(&c);
	check_retries(&c);
	check_routes(&c);
	check_tests(&c);
	check_log(&c);
	check_admin_socket(&c);
	check_metadata_socket(&c);
	if (problems->n_errors == 0 && allows)
		config_warn(&c);
	table_fini(&c.addresses);
}
