#include "daemon/upgrade_spawn.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/slice.h"
#include "daemon/signals.h"
#include "daemon/upgrade_channel.h"

#define SELF            "/proc/self/exe"
#define CHANNEL_NUMBER  3 /* in the new process: the first after standard error */
#define CHANNEL_SETTING UPGRADE_VARIABLE "=3"
#define UPGRADE_OPTION  "--upgrade"

extern char **environ;

/* --- which file --- */

static bool is_this_program(const char *path)
{
	struct stat here, self;

	return stat(path, &here) == 0 && stat(SELF, &self) == 0 && here.st_dev == self.st_dev &&
	       here.st_ino == self.st_ino;
}

/* "<folder>/<word>", NULL when that is not what runs here. */
static char *look_in(struct slice folder, const char *word)
{
	char *path = NULL;

	if (asprintf(&path, "%.*s/%s", (int)folder.len, (const char *)folder.data, word) < 0)
		return NULL;
	if (path[0] == '/' && is_this_program(path))
		return path;
	free(path);
	return NULL;
}

static char *look_in_path(const char *word)
{
	const char *list = getenv("PATH");
	char *found = NULL;

	while (list && *list && found == NULL) {
		size_t len = strcspn(list, ":");

		found = look_in(slice_of(list, len), word);
		list += len + (list[len] == ':');
	}
	return found;
}

static char *look_here(const char *word)
{
	char folder[PATH_MAX];

	return getcwd(folder, sizeof folder) ? look_in(slice_str(folder), word) : NULL;
}

/* A symbolic link is kept as it is: what it leads to may be another version by then. */
char *upgrade_find_binary(const char *word)
{
	char self[PATH_MAX];
	char *found = NULL;
	ssize_t len;

	if (word && word[0] == '/')
		found = is_this_program(word) ? mem_strdup(word) : NULL;
	else if (word && strchr(word, '/'))
		found = look_here(word);
	else if (word && word[0])
		found = look_in_path(word);
	if (found)
		return found;
	len = readlink(SELF, self, sizeof self);
	return slice_dup(len > 0 ? slice_of(self, (size_t)len) : slice_str(word ? word : ""));
}

/* --- starting --- */

static bool is_setting_of(const char *setting, const char *name)
{
	size_t len = strlen(name);

	return strncmp(setting, name, len) == 0 && setting[len] == '=';
}

/* What was said to this very process is not said to the new one. */
static bool is_for_us_only(const char *setting)
{
	static const char *const names[] = {
	    UPGRADE_VARIABLE, "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"};
	uint64_t pid;

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (is_setting_of(setting, names[i]))
			return true;
	/* Without it the watchdog is whoever feeds it. */
	return is_setting_of(setting, "WATCHDOG_PID") &&
	       slice_to_u64(slice_str(strchr(setting, '=') + 1), &pid) && pid == (uint64_t)getpid();
}

/* NULL-terminated; the texts are borrowed. */
static char **make_environment(void)
{
	static char channel[] = CHANNEL_SETTING;
	size_t n = 0, at = 0;
	char **list;

	while (environ[n])
		n++;
	list = mem_calloc(n + 2, sizeof *list);
	for (size_t i = 0; i < n; i++)
		if (!is_for_us_only(environ[i]))
			list[at++] = environ[i];
	list[at] = channel;
	return list;
}

/* Before a "--" that is followed by what is not an option. */
static char **make_arguments(char *const argv[])
{
	static char option[] = UPGRADE_OPTION;
	bool has_option = false;
	size_t n = 0;
	char **list;

	for (; argv[n]; n++)
		has_option = has_option || strcmp(argv[n], UPGRADE_OPTION) == 0;
	list = mem_calloc(n + 2, sizeof *list);
	for (size_t i = 0; i < n; i++)
		list[i] = argv[i];
	if (has_option)
		return list;
	memmove(list + 2, list + 1, (n ? n - 1 : 0) * sizeof *list);
	list[n ? 1 : 0] = option;
	return list;
}

/* Libraries may have opened some without this. */
static void close_all_on_exec(void)
{
	DIR *folder = opendir("/proc/self/fd");
	const struct dirent *entry;

	if (folder == NULL)
		return;
	while ((entry = readdir(folder))) {
		uint64_t number;

		if (slice_to_u64(slice_str(entry->d_name), &number) && number > STDERR_FILENO)
			fcntl((int)number, F_SETFD, FD_CLOEXEC);
	}
	closedir(folder);
}

pid_t upgrade_spawn(const char *binary, char *const argv[], int channel, struct err *err)
{
	char **arguments = make_arguments(argv), **environment = make_environment();
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	pid_t process = -1;
	int error;

	close_all_on_exec();
	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attributes);
	signals_spawn_afresh(&attributes);
	error = posix_spawn_file_actions_adddup2(&actions, channel, CHANNEL_NUMBER);
	if (error == 0)
		error =
		    posix_spawn(&process, binary, &actions, &attributes, arguments, environment);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	free(arguments);
	free(environment);
	if (error == 0)
		return process;
	return err_set(err, error, "%s cannot be started: %s", binary, strerror(error));
}

bool upgrade_has_ended(pid_t process, char *how, size_t size)
{
	int status;
	pid_t ended = waitpid(process, &status, WNOHANG);

	if (ended == 0)
		return false;
	if (ended < 0)
		snprintf(how, size, "is gone");
	else if (WIFSIGNALED(status))
		snprintf(how, size, "was ended by signal %d", WTERMSIG(status));
	else
		snprintf(how, size, "ended with status %d", WEXITSTATUS(status));
	return true;
}
