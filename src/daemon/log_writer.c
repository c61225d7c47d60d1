#include "daemon/log_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/stat.h"
#include "daemon/thread.h"

/*
 * The writer's thread is ASLEEP until a line comes. Having written, it naps: lines of that time,
 * and the few that came while it wrote, gather without waking anyone, and only an empty nap ends in
 * sleep. So a busy log costs its producers no system call, and the writer one for many lines.
 *
 *     ASLEEP --line--> AWAKE --all written--> NAPPING --lines--> AWAKE
 *        ^                                        |
 *        +------------------nothing---------------+
 */
enum writer_state { WRITER_ASLEEP, WRITER_AWAKE, WRITER_NAPPING };

#define NAP              (20 * USEC_MS)
#define NAP_BELOW        PIPE_BUF /* bytes that came during a write and may wait for others */
#define RETRY_AFTER      USEC_S   /* when the destination refuses */
#define WAIT_FOR_ROOM_MS 100      /* in a pipe, before looking whether it is time to stop */
#define STACK_SIZE       ((size_t)128 * 1024)

struct log_writer {
	const char *name; /* borrowed */
	pthread_t thread;
	pthread_mutex_t lock; /* guards what follows; held for a copy at most */
	pthread_cond_t wake;
	enum writer_state state;
	char *ring; /* owned; bytes [tail, head) wait, positions modulo the size */
	uint64_t head, tail;
	int next_fd; /* to change to, or -1 */
	bool is_stopping;
	usec_t stop_by;
	struct counter dropped; /* written under the lock */
	atomic_bool is_clocked;

	/* the writer's thread alone */
	int fd; /* owned */
	bool is_file;
	uint64_t told; /* dropped lines already warned about */
	struct log_gate gate;
};

int log_destination_open(const char *to, struct err *err)
{
	int fd;

	if (strcmp(to, "stderr") == 0)
		fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	else if (strcmp(to, "stdout") == 0)
		fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	else
		/* Not blocking on open: a FIFO without a reader is refused instead of waited
		 * for. */
		fd = open(
		    to, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
	if (fd < 0)
		return err_set(err, errno, "log %s: %s", to, strerror(errno));
	return fd;
}

static bool is_regular(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

static struct timespec timespec_of(usec_t at)
{
	return (struct timespec){(time_t)(at / USEC_S), (long)(at % USEC_S) * 1000};
}

/* Sleeps under the lock until woken, or for @wait. */
static void wait_under_lock(struct log_writer *w, usec_t wait)
{
	struct timespec until = timespec_of(clock_monotonic() + wait);

	pthread_cond_timedwait(&w->wake, &w->lock, &until);
}

/* Leaves with work to do, or with the order to stop. Under the lock. */
static void wait_for_lines(struct log_writer *w)
{
	if (w->head - w->tail >= NAP_BELOW || w->is_stopping || w->next_fd >= 0)
		return;
	if (w->head == w->tail)
		w->head = w->tail = 0; /* start over at the front: a quiet log touches few pages */
	w->state = WRITER_NAPPING;
	wait_under_lock(w, NAP);
	w->state = WRITER_ASLEEP;
	while (w->head == w->tail && !w->is_stopping && w->next_fd < 0)
		pthread_cond_wait(&w->wake, &w->lock);
	w->state = WRITER_AWAKE;
}

static bool is_time_to_give_up(const struct log_writer *w)
{
	return w->is_stopping && clock_monotonic() >= w->stop_by;
}

/*
 * The next bytes to write in one go. A pipe gets whole lines of at most PIPE_BUF bytes, so that
 * they do not mix with another process's and a write after POLLOUT cannot block.
 */
static size_t next_piece(const struct log_writer *w, const char **piece)
{
	size_t at = (size_t)(w->tail % LOG_WRITER_RING);
	size_t n = (size_t)(w->head - w->tail);
	const char *end;

	if (n > LOG_WRITER_RING - at)
		n = LOG_WRITER_RING - at;
	*piece = w->ring + at;
	if (w->is_file || n <= PIPE_BUF)
		return n;
	end = memrchr(*piece, '\n', PIPE_BUF);
	return end ? (size_t)(end - *piece) + 1 : PIPE_BUF;
}

/* Without the lock. Returns bytes written, 0 to try again, or -1 with errno. */
static ssize_t write_piece(const struct log_writer *w, const char *piece, size_t n)
{
	struct pollfd p = {.fd = w->fd, .events = POLLOUT};
	ssize_t written;

	if (!w->is_file && poll(&p, 1, WAIT_FOR_ROOM_MS) <= 0)
		return 0;
	written = write(w->fd, piece, n);
	return written < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : written;
}

static void drop_all(struct log_writer *w)
{
	uint64_t lines = 0;

	for (; w->tail != w->head; w->tail++)
		lines += w->ring[w->tail % LOG_WRITER_RING] == '\n';
	counter_add(&w->dropped, lines);
}

/* Under the lock; releases it while it writes. */
static void write_lines(struct log_writer *w)
{
	const char *piece;
	size_t n = next_piece(w, &piece);
	ssize_t written;
	int error;

	pthread_mutex_unlock(&w->lock);
	written = write_piece(w, piece, n);
	error = errno;
	pthread_mutex_lock(&w->lock);
	if (written >= 0) {
		w->tail += (uint64_t)written;
		return;
	}
	/* A full or failing disk may recover; a reader that has gone does not come back. */
	if (error != ENOSPC && error != EDQUOT && error != EIO)
		drop_all(w);
	else if (w->is_stopping)
		w->stop_by = 0;
	else
		wait_under_lock(w, RETRY_AFTER);
}

static void change_destination(struct log_writer *w)
{
	if (w->next_fd < 0)
		return;
	close(w->fd);
	w->fd = w->next_fd;
	w->next_fd = -1;
	w->is_file = is_regular(w->fd);
}

/* Without the lock: the warning may go through this very writer. */
static void tell_losses(struct log_writer *w)
{
	uint64_t dropped = counter_get(&w->dropped);
	unsigned held;

	if (dropped == w->told || !log_gate_open(&w->gate, clock_monotonic(), &held))
		return;
	log_warn("log", "lines were lost because the destination did not take them",
	    "log=%s lines=%llu", w->name, (unsigned long long)(dropped - w->told));
	w->told = dropped;
}

static void *run(void *arg)
{
	struct log_writer *w = arg;

	pthread_mutex_lock(&w->lock);
	for (;;) {
		wait_for_lines(w);
		change_destination(w);
		if (w->head != w->tail)
			write_lines(w);
		if (w->is_stopping && (w->head == w->tail || is_time_to_give_up(w)))
			break;
		if (w->head - w->tail < LOG_WRITER_RING / 2) {
			pthread_mutex_unlock(&w->lock);
			tell_losses(w);
			pthread_mutex_lock(&w->lock);
		}
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

static void free_all(struct log_writer *w)
{
	if (w->next_fd >= 0)
		close(w->next_fd);
	close(w->fd);
	pthread_cond_destroy(&w->wake);
	pthread_mutex_destroy(&w->lock);
	free(w->ring);
	free(w);
}

struct log_writer *log_writer_new(const char *name, int fd, struct err *err)
{
	struct log_writer *w = mem_calloc(1, sizeof *w);
	pthread_condattr_t attr;

	w->name = name;
	w->fd = fd;
	w->is_file = is_regular(fd);
	w->next_fd = -1;
	w->state = WRITER_AWAKE;
	w->ring = mem_alloc(LOG_WRITER_RING);
	pthread_mutex_init(&w->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&w->wake, &attr);
	pthread_condattr_destroy(&attr);
	if (thread_start(&w->thread, &(struct thread_options){name, STACK_SIZE}, run, w, err) < 0) {
		free_all(w);
		return NULL;
	}
	return w;
}

void log_writer_free(struct log_writer **pw, usec_t patience)
{
	struct log_writer *w = *pw;
	struct timespec until;

	if (w == NULL)
		return;
	*pw = NULL;
	pthread_mutex_lock(&w->lock);
	w->is_stopping = true;
	w->stop_by = clock_monotonic() + patience;
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->lock);
	/* A disk that hangs holds the thread inside write(): it is left behind then, memory and
	 * all. */
	until = timespec_of(clock_calendar() + patience + USEC_S);
	if (pthread_timedjoin_np(w->thread, NULL, &until) != 0) {
		pthread_detach(w->thread);
		return;
	}
	free_all(w);
}

static void ring_copy(struct log_writer *w, const char *bytes, size_t len)
{
	size_t at = (size_t)(w->head % LOG_WRITER_RING);
	size_t first = len < LOG_WRITER_RING - at ? len : LOG_WRITER_RING - at;

	memcpy(w->ring + at, bytes, first);
	memcpy(w->ring, bytes + first, len - first);
	w->head += len;
}

/* The writer needs a signal when it sleeps, and when a nap would let the ring run full. */
static bool must_wake(const struct log_writer *w)
{
	return w->state == WRITER_ASLEEP ||
	       (w->state == WRITER_NAPPING && w->head - w->tail > LOG_WRITER_RING / 2);
}

void log_writer_put(struct log_writer *w, const char *line, size_t len)
{
	bool wake = false;

	pthread_mutex_lock(&w->lock);
	if (len + 1 > LOG_WRITER_RING - (size_t)(w->head - w->tail)) {
		counter_add(&w->dropped, 1);
	} else {
		ring_copy(w, line, len);
		ring_copy(w, "\n", 1);
		wake = must_wake(w);
		if (wake)
			w->state = WRITER_AWAKE;
	}
	pthread_mutex_unlock(&w->lock);
	if (wake)
		pthread_cond_signal(&w->wake);
}

void log_writer_switch(struct log_writer *w, int fd)
{
	pthread_mutex_lock(&w->lock);
	if (w->next_fd >= 0)
		close(w->next_fd);
	w->next_fd = fd;
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->lock);
}

void log_writer_set_clocked(struct log_writer *w, bool is_clocked)
{
	atomic_store_explicit(&w->is_clocked, is_clocked, memory_order_relaxed);
}

bool log_writer_is_clocked(const struct log_writer *w)
{
	return atomic_load_explicit(&w->is_clocked, memory_order_relaxed);
}

uint64_t log_writer_dropped(const struct log_writer *w)
{
	return counter_get(&w->dropped);
}

const char *log_writer_name(const struct log_writer *w)
{
	return w->name;
}
