#include "daemon/log_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <check.h>

#include "base/log.h"
#include "base/mem.h"
#include "support/suite.h"

#define PATIENCE (60 * USEC_S) /* with the end: only a hang takes as long */

static char directory[64];
static struct err err;
static atomic_uint losses_told;

static void count_losses(const struct log_record *record)
{
	if (strcmp(record->subject, "log") == 0)
		atomic_fetch_add(&losses_told, 1);
}

static void begin(void)
{
	snprintf(directory, sizeof directory, "/tmp/test_log_writer.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	signal(SIGPIPE, SIG_IGN);
	atomic_store(&losses_told, 0);
	log_set_sink(count_losses);
}

static void end(void)
{
	char command[128];

	log_set_sink(NULL);
	snprintf(command, sizeof command, "rm -rf %s", directory);
	ck_assert_int_eq(system(command), 0);
}

static const char *path_of(const char *name)
{
	static char path[128];

	snprintf(path, sizeof path, "%s/%s", directory, name);
	return path;
}

static struct log_writer *writer_to(int fd)
{
	struct log_writer *w = log_writer_new("test", fd, &err);

	ck_assert_msg(w != NULL, "%s", err.text);
	return w;
}

static void put(struct log_writer *w, const char *line)
{
	log_writer_put(w, line, strlen(line));
}

static char *content_of(const char *path)
{
	static char content[8192];
	FILE *f = fopen(path, "r");
	size_t n;

	ck_assert_ptr_nonnull(f);
	n = fread(content, 1, sizeof content - 1, f);
	content[n] = '\0';
	fclose(f);
	return content;
}

/* Reads until the writer has nothing more and the pipe is closed; counts the lines. */
static uint64_t lines_from(int fd)
{
	char part[65536];
	uint64_t lines = 0;
	ssize_t n;

	while ((n = read(fd, part, sizeof part)) > 0)
		for (ssize_t i = 0; i < n; i++)
			lines += part[i] == '\n';
	return lines;
}

START_TEST(lines_arrive_whole_and_in_order)
{
	int fd = log_destination_open(path_of("a.log"), &err);
	struct log_writer *w = writer_to(fd);

	put(w, "one");
	put(w, "");
	put(w, "three");
	log_writer_free(&w, PATIENCE);
	ck_assert_ptr_null(w);
	ck_assert_str_eq(content_of(path_of("a.log")), "one\n\nthree\n");
}
END_TEST

START_TEST(a_file_is_made_for_owner_and_group_and_appended_to)
{
	struct stat st;
	struct log_writer *w;

	umask(0);
	w = writer_to(log_destination_open(path_of("a.log"), &err));
	put(w, "first");
	log_writer_free(&w, PATIENCE);
	ck_assert_int_eq(stat(path_of("a.log"), &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0640);
	w = writer_to(log_destination_open(path_of("a.log"), &err));
	put(w, "second");
	log_writer_free(&w, PATIENCE);
	ck_assert_str_eq(content_of(path_of("a.log")), "first\nsecond\n");
}
END_TEST

START_TEST(a_destination_that_cannot_be_opened_says_which_and_why)
{
	ck_assert_int_eq(log_destination_open(path_of("none/a.log"), &err), -1);
	ck_assert_int_eq(err.code, ENOENT);
	ck_assert_ptr_nonnull(strstr(err.text, path_of("none/a.log")));
	/* A FIFO that nobody reads would hold up the opener for ever. */
	ck_assert_int_eq(mkfifo(path_of("fifo"), 0600), 0);
	ck_assert_int_eq(log_destination_open(path_of("fifo"), &err), -1);
	ck_assert_int_eq(err.code, ENXIO);
}
END_TEST

START_TEST(a_pipe_that_nobody_reads_costs_lines_and_never_time)
{
	char line[1000];
	int ends[2];
	struct log_writer *w;
	uint64_t asked = 0, lost;

	ck_assert_int_eq(pipe(ends), 0);
	w = writer_to(ends[1]);
	memset(line, 'x', sizeof line);
	while (log_writer_dropped(w) < 1000) {
		log_writer_put(w, line, sizeof line);
		asked++;
	}
	lost = log_writer_dropped(w);
	/* What was kept is about the ring and the pipe, no more. */
	ck_assert_uint_ge((asked - lost) * (sizeof line + 1), LOG_WRITER_RING - sizeof line - 1);
	ck_assert_uint_le((asked - lost) * (sizeof line + 1), LOG_WRITER_RING + 2 * 65536);
	log_writer_free(&w, 50 * USEC_MS); /* returns although nobody reads */
	close(ends[0]);
}
END_TEST

static void *read_all(void *arg)
{
	uint64_t *lines = arg;

	*lines = lines_from((int)lines[1]);
	return NULL;
}

START_TEST(what_was_not_lost_arrives_when_the_reader_comes_back_and_the_loss_is_told)
{
	char line[1000];
	int ends[2];
	struct log_writer *w;
	uint64_t asked = 0, lost, reader_room[2];
	pthread_t reader;

	ck_assert_int_eq(pipe(ends), 0);
	w = writer_to(ends[1]);
	memset(line, 'x', sizeof line);
	while (log_writer_dropped(w) < 10) {
		log_writer_put(w, line, sizeof line);
		asked++;
	}
	reader_room[1] = (uint64_t)ends[0];
	ck_assert_int_eq(pthread_create(&reader, NULL, read_all, reader_room), 0);
	while (atomic_load(&losses_told) == 0)
		usleep(1000);
	lost = log_writer_dropped(w);
	log_writer_free(&w, PATIENCE);
	pthread_join(reader, NULL);
	ck_assert_uint_eq(reader_room[0] + lost, asked);
	close(ends[0]);
}
END_TEST

START_TEST(a_reader_that_is_gone_is_not_waited_for)
{
	int ends[2];
	struct log_writer *w;

	ck_assert_int_eq(pipe(ends), 0);
	close(ends[0]);
	w = writer_to(ends[1]);
	put(w, "into the void");
	while (log_writer_dropped(w) < 1)
		usleep(1000);
	put(w, "and again");
	while (log_writer_dropped(w) < 2)
		usleep(1000);
	log_writer_free(&w, PATIENCE);
}
END_TEST

START_TEST(a_full_disk_keeps_the_lines_for_better_times)
{
	struct log_writer *w = writer_to(log_destination_open("/dev/full", &err));

	put(w, "kept");
	log_writer_switch(w, log_destination_open(path_of("a.log"), &err));
	put(w, "new");
	log_writer_free(&w, PATIENCE);
	ck_assert_str_eq(content_of(path_of("a.log")), "kept\nnew\n");
}
END_TEST

START_TEST(a_full_disk_does_not_hold_up_the_end)
{
	struct log_writer *w = writer_to(log_destination_open("/dev/full", &err));
	usec_t began = clock_monotonic();

	put(w, "never written");
	log_writer_free(&w, 100 * USEC_MS);
	ck_assert_uint_lt(clock_monotonic() - began, 60 * USEC_S);
}
END_TEST

START_TEST(a_renamed_file_is_left_alone_after_the_switch)
{
	struct log_writer *w = writer_to(log_destination_open(path_of("a.log"), &err));
	char old[128];

	put(w, "before");
	snprintf(old, sizeof old, "%s", path_of("a.log.1"));
	while (access(path_of("a.log"), F_OK) < 0 || content_of(path_of("a.log"))[0] == '\0')
		usleep(1000);
	ck_assert_int_eq(rename(path_of("a.log"), old), 0);
	log_writer_switch(w, log_destination_open(path_of("a.log"), &err));
	put(w, "after");
	log_writer_free(&w, PATIENCE);
	ck_assert_str_eq(content_of(old), "before\n");
	ck_assert_str_eq(content_of(path_of("a.log")), "after\n");
}
END_TEST

struct producer {
	struct log_writer *writer;
	char name;
};

static void *produce(void *arg)
{
	const struct producer *p = arg;
	char line[64];

	for (int i = 0; i < 5000; i++) {
		int n = snprintf(line, sizeof line, "%c %d", p->name, i);

		log_writer_put(p->writer, line, (size_t)n);
	}
	return NULL;
}

START_TEST(lines_of_several_threads_do_not_mix)
{
	struct log_writer *w = writer_to(log_destination_open(path_of("a.log"), &err));
	struct producer producers[4];
	pthread_t threads[4];
	int next[4] = {0}, number;
	char name;
	FILE *f;

	for (int i = 0; i < 4; i++) {
		producers[i] = (struct producer){w, (char)('a' + i)};
		ck_assert_int_eq(pthread_create(&threads[i], NULL, produce, &producers[i]), 0);
	}
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	ck_assert_uint_eq(log_writer_dropped(w), 0);
	log_writer_free(&w, PATIENCE);
	f = fopen(path_of("a.log"), "r");
	while (fscanf(f, "%c %d\n", &name, &number) == 2) {
		ck_assert_int_ge(name, 'a');
		ck_assert_int_le(name, 'd');
		ck_assert_int_eq(number, next[name - 'a']++);
	}
	fclose(f);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(next[i], 5000);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {lines_arrive_whole_and_in_order, 1},
	    {a_file_is_made_for_owner_and_group_and_appended_to, 1},
	    {a_destination_that_cannot_be_opened_says_which_and_why, 1},
	    {a_pipe_that_nobody_reads_costs_lines_and_never_time, 1},
	    {what_was_not_lost_arrives_when_the_reader_comes_back_and_the_loss_is_told, 1},
	    {a_reader_that_is_gone_is_not_waited_for, 1},
	    {a_full_disk_keeps_the_lines_for_better_times, 1},
	    {a_full_disk_does_not_hold_up_the_end, 1},
	    {a_renamed_file_is_left_alone_after_the_switch, 1},
	    {lines_of_several_threads_do_not_mix, 1},
	};

	return suite_run_between("log_writer", tests, ARRAY_LEN(tests), begin, end);
}
