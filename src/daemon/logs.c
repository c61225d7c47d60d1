#include "daemon/logs.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

#define FLUSH_PATIENCE USEC_S

/* base/log calls its sink without an argument, so this is what the sink finds. */
static _Atomic(struct log_writer *) sink_writer;
static atomic_int sink_format;

static void sink(const struct log_record *record)
{
	struct log_writer *w = atomic_load_explicit(&sink_writer, memory_order_acquire);
	enum log_format format = (enum log_format)atomic_load(&sink_format);
	char line[LOG_LINE_MAX];
	size_t n;

	n = log_format_line(line, sizeof line, format, record, clock_calendar());
	log_writer_put(w, line, n);
}

/* JOURNAL_STREAM names device and inode of the stream that goes to the journal: sd_journal(3). */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	uint64_t device, inode;
	struct stat st;

	return stream && sscanf(stream, "%" SCNu64 ":%" SCNu64, &device, &inode) == 2 &&
	       fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

static enum log_format choose_format(const struct config *config)
{
	if (config->log.json)
		return LOG_FORMAT_JSON;
	if (strcmp(config->log.to, "stderr") == 0 && stderr_is_journal())
		return LOG_FORMAT_JOURNAL;
	return LOG_FORMAT_TEXT;
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static void keep_text(char **kept, const char *text)
{
	free(*kept);
	*kept = text ? mem_strdup(text) : NULL;
}

/* Does the access log need a writer of its own? */
static bool access_is_apart(const struct config *config)
{
	return config->access_log.to && strcmp(config->access_log.to, config->log.to) != 0;
}

/* Opens @to when it is not @present already. A writer that is missing is made with it, and stays
 * idle should the rest of the plan fail. */
static int prepare_one(struct log_writer **w, const char *name, const char *present, const char *to,
    int *fd, struct err *err)
{
	if (*w && same_text(present, to))
		return 0;
	*fd = log_destination_open(to, err);
	if (*fd < 0)
		return -1;
	if (*w)
		return 0;
	*w = log_writer_new(name, *fd, err);
	*fd = -1;
	return *w ? 0 : -1;
}

int logs_prepare(
    struct logs *l, const struct config *config, struct logs_plan *plan, struct err *err)
{
	/* While it shared the daemon's writer, its own was left at some older place. */
	const char *present = same_text(l->access_to, l->daemon_to) ? NULL : l->access_to;

	*plan = (struct logs_plan){-1, -1, NULL};
	if (prepare_one(&l->daemon, "daemon", l->daemon_to, config->log.to, &plan->daemon_fd, err) <
	    0) {
		plan->refused = "log.to";
		return -1;
	}
	if (!access_is_apart(config))
		return 0;
	if (prepare_one(
		&l->access, "access", present, config->access_log.to, &plan->access_fd, err) < 0) {
		logs_cancel(plan);
		plan->refused = "access_log.to";
		return -1;
	}
	return 0;
}

void logs_cancel(struct logs_plan *plan)
{
	if (plan->daemon_fd >= 0)
		close(plan->daemon_fd);
	if (plan->access_fd >= 0)
		close(plan->access_fd);
	*plan = (struct logs_plan){-1, -1, NULL};
}

void logs_commit(struct logs *l, const struct config *config, struct logs_plan *plan)
{
	if (plan->daemon_fd >= 0)
		log_writer_switch(l->daemon, plan->daemon_fd);
	if (plan->access_fd >= 0)
		log_writer_switch(l->access, plan->access_fd);
	keep_text(&l->daemon_to, config->log.to);
	keep_text(&l->access_to, config->access_log.to);
	atomic_store(&sink_format, (int)choose_format(config));
	if (logs_access(l))
		log_writer_set_clocked(
		    logs_access(l), strcmp(l->access_to, "stderr") == 0 && stderr_is_journal());
	log_set_level(config->log.level);
}

int logs_start(struct logs *l, const struct config *config, struct err *err)
{
	struct logs_plan plan;

	*l = (struct logs){0};
	if (logs_prepare(l, config, &plan, err) < 0)
		return -1;
	logs_commit(l, config, &plan);
	atomic_store_explicit(&sink_writer, l->daemon, memory_order_release);
	log_set_sink(sink);
	return 0;
}

void logs_stop(struct logs *l)
{
	log_set_sink(NULL);
	log_writer_free(&l->access, FLUSH_PATIENCE);
	log_writer_free(&l->daemon, FLUSH_PATIENCE);
	keep_text(&l->daemon_to, NULL);
	keep_text(&l->access_to, NULL);
}

static int reopen_one(struct log_writer *w, const char *to, struct err *err)
{
	int fd = log_destination_open(to, err);

	if (fd < 0)
		return -1;
	log_writer_switch(w, fd);
	return 0;
}

int logs_reopen(struct logs *l, struct err *err)
{
	if (reopen_one(l->daemon, l->daemon_to, err) < 0)
		return -1;
	if (logs_access(l) && logs_access(l) != l->daemon)
		return reopen_one(l->access, l->access_to, err);
	return 0;
}

struct log_writer *logs_access(const struct logs *l)
{
	if (l->access_to == NULL)
		return NULL;
	return strcmp(l->access_to, l->daemon_to) == 0 ? l->daemon : l->access;
}

void logs_access_line(void *writer, const char *line, size_t len)
{
	log_writer_put(writer, line, len);
}
