#include "daemon/taps.h"

#include <errno.h>
#include <inttypes.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/text.h"
#include "daemon/http_query.h"
#include "daemon/http_server.h"
#include "daemon/workers.h"
#include "net/loop.h"
#include "proxy/tap.h"

#define TYPE_LINES "application/x-ndjson"
#define LIMIT_MAX  1000000000u
#define AWAIT_S    1            /* for workers, at the end */
#define LOOK_EVERY (USEC_S / 5) /* whether something was lost since, or the limit is reached */

/* One who looks on. */
struct reader {
	struct list link;
	struct taps *taps;        /* borrowed */
	struct tap *tap;          /* a reference; its owner is this */
	struct http_later *later; /* its answer */
	bool has_begun;
	unsigned unaware; /* workers that do not look yet */
	uint64_t shown;
	uint64_t dropped; /* had come here, and was not fetched in time */
	uint64_t told;    /* of what was lost */
	struct timer look;
};

struct taps {
	struct loop *loop;       /* borrowed */
	struct inbox *inbox;     /* borrowed */
	struct workers *workers; /* borrowed */
	struct list readers;
	unsigned n;
};

/* ---- to the workers and back ---- */

struct notice {
	struct worker *worker;
	struct inbox *inbox;   /* for the answer */
	struct tap_list *list; /* a reference, moves to the worker */
	struct tap *fresh;     /* a reference; NULL: nobody waits for it */
};

static void worker_looks(void *arg);

static void adopt(void *arg)
{
	struct notice *notice = arg;

	tap_list_adopt(notice->worker, notice->list);
	if (notice->fresh)
		inbox_post(notice->inbox, worker_looks, notice->fresh);
	free(notice);
}

/* Tells all workers who looks on; for @fresh they are to answer. */
static void publish(struct taps *t, struct tap *fresh)
{
	struct tap *list[TAPS_MAX];
	struct tap_list *all;
	unsigned n = 0;

	list_each (link, &t->readers)
		list[n++] = list_item(link, struct reader, link)->tap;
	all = tap_list_new(list, n);
	for (unsigned i = 0; i < t->workers->n; i++) {
		struct notice *notice = mem_alloc(sizeof *notice);

		*notice = (struct notice){t->workers->list[i], t->inbox, tap_list_ref(all),
		    fresh ? tap_ref(fresh) : NULL};
		worker_thread_post(t->workers->threads[i], adopt, notice);
	}
	tap_list_unref(&all);
}

/* ---- readers ---- */

/* It hears nothing more. */
static void forget(struct reader *r)
{
	struct taps *t = r->taps;

	log_info("tap", "ended", "shown=%" PRIu64 " lost=%" PRIu64, r->shown,
	    r->dropped + atomic_load(&r->tap->lost));
	wheel_clear(&r->look);
	list_remove(&r->link);
	t->n--;
	r->tap->owner = NULL;
	tap_unref(&r->tap);
	free(r);
	publish(t, NULL);
}

static void reader_gone(void *arg)
{
	forget(arg);
}

static uint64_t lost(const struct reader *r)
{
	return r->dropped + atomic_load(&r->tap->lost);
}

static void begin(struct reader *r)
{
	if (r->has_begun)
		return;
	r->has_begun = true;
	http_later_begin(r->later, 200, TYPE_LINES);
}

/* False: that does not get through, either. */
static bool tell_lost(struct reader *r)
{
	uint64_t n = lost(r) - r->told;
	char line[40];
	int len;

	if (n == 0)
		return true;
	len = snprintf(line, sizeof line, "{\"lost\":%" PRIu64 "}\n", n);
	if (!http_later_write(r->later, slice_of(line, (size_t)len)))
		return false;
	r->told += n;
	return true;
}

static void finish(struct reader *r)
{
	begin(r);
	tell_lost(r);
	http_later_end(&r->later);
	forget(r);
}

/* All that it asked for is on its way, or lost. */
static bool is_done(const struct reader *r)
{
	return r->tap->limit && r->shown + lost(r) >= r->tap->limit;
}

static void look(struct timer *timer, usec_t now)
{
	struct reader *r = container_of(timer, struct reader, look);

	if (r->has_begun && tell_lost(r) && is_done(r)) {
		finish(r);
		return;
	}
	wheel_set(loop_wheel(r->taps->loop), timer, usec_after(now, LOOK_EVERY), look);
}

/* A line has come from a worker. */
static void show(void *arg)
{
	struct tap_line *line = arg;
	struct reader *r = line->tap->owner;

	if (r) {
		begin(r);
		if (tell_lost(r) && http_later_write(r->later, slice_of(line->text, line->len)))
			r->shown++;
		else
			r->dropped++;
		if (is_done(r) && tell_lost(r))
			finish(r);
	}
	tap_line_free(line);
}

/* In a worker's thread. */
static void post(void *inbox, struct tap_line *line)
{
	inbox_post(inbox, show, line);
}

/* The answer begins when no call can be missed any more. */
static void worker_looks(void *arg)
{
	struct tap *tap = arg;
	struct reader *r = tap->owner;

	if (r && --r->unaware == 0)
		begin(r);
	tap_unref(&tap);
}

/* ---- what is asked ---- */

static int read_number(const char *name, struct slice value, uint64_t min, uint64_t max,
    uint64_t *number, struct err *err)
{
	if (slice_to_u64(value, number) && *number >= min && *number <= max)
		return 0;
	return err_set(err, 0, "%s is a number from %" PRIu64 " to %" PRIu64, name, min, max);
}

static int read_pair(struct tap *tap, struct slice name, struct slice value, struct err *err)
{
	uint64_t number = 0;

	if (slice_eq_str(name, "n"))
		return read_number("n", value, 1, LIMIT_MAX, &tap->limit, err);
	if (slice_eq_str(name, "body")) {
		if (read_number("body", value, 0, TAP_BODY_MAX, &number, err) < 0)
			return -1;
		tap->body = (size_t)number;
		return 0;
	}
	if (slice_eq_str(name, "redact")) {
		if (read_number("redact", value, 0, 1, &number, err) < 0)
			return -1;
		tap->shows_secrets = number == 0;
		return 0;
	}
	return tap_filter_add(&tap->filter, name, value, err);
}

static int read_query(struct tap *tap, struct slice query, struct err *err)
{
	struct slice name, value;

	while (http_query_next(&query, &name, &value, &tap->filter.arena))
		if (read_pair(tap, name, value, err) < 0)
			return -1;
	return 0;
}

/* For the log: what is looked for, but under names that smell of secrets. */
static void log_begin(const struct tap *tap, struct slice query)
{
	struct slice name, value, wanted;
	char shown[LOG_ESCAPED_MAX];
	struct text text = {0};
	struct arena arena;

	arena_init(&arena, NULL, 0);
	while (http_query_next(&query, &name, &value, &arena)) {
		wanted = secret_is_named(name) ? slice_str(SECRET_SHOWN) : value;
		text_add_str(&text, text.len ? " " : "");
		text_add(&text, name);
		text_add_str(&text, "=");
		text_add(&text, wanted);
	}
	log_escape(shown, sizeof shown, slice_of(text.bytes, text.len));
	log_info("tap", "began", "filter=\"%s\" body=%zu secrets=%s", shown, tap->body,
	    tap->shows_secrets ? "shown" : "hidden");
	text_fini(&text);
	arena_fini(&arena);
}

int taps_open(struct taps *t, struct slice query, struct http_reply *reply, struct err *err)
{
	struct tap *tap;
	struct reader *r;

	if (t->n == TAPS_MAX)
		return err_set(err, EBUSY,
		    "%u taps are open already, which is as many as there may be; end one of them",
		    TAPS_MAX);
	tap = tap_new(post, t->inbox);
	if (read_query(tap, query, err) < 0) {
		tap_unref(&tap);
		return -1;
	}
	r = mem_calloc(1, sizeof *r);
	*r = (struct reader){.taps = t, .tap = tap, .unaware = t->workers->n};
	tap->owner = r;
	r->later = http_reply_later(reply, reader_gone, r);
	list_push_back(&t->readers, &r->link);
	t->n++;
	log_begin(tap, query);
	look(&r->look, loop_now(t->loop));
	publish(t, tap);
	return 0;
}

/* ---- all of them ---- */

/* What each worker passes when it has posted all lines that came before. Freed by the last of
 * them. */
struct barrier {
	struct ref ref;
	sem_t passed;
};

static void barrier_unref(struct barrier *b)
{
	if (!ref_drop(&b->ref))
		return;
	sem_destroy(&b->passed);
	free(b);
}

static void pass(void *arg)
{
	struct barrier *b = arg;

	sem_post(&b->passed);
	barrier_unref(b);
}

/* A worker that is stuck keeps nobody from ending. */
static void await_workers(const struct workers *workers)
{
	struct barrier *b = mem_calloc(1, sizeof *b);
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += AWAIT_S;
	ref_init(&b->ref);
	sem_init(&b->passed, 0, 0);
	for (unsigned i = 0; i < workers->n; i++) {
		ref_take(&b->ref);
		worker_thread_post(workers->threads[i], pass, b);
	}
	for (unsigned i = 0; i < workers->n; i++)
		while (sem_clockwait(&b->passed, CLOCK_MONOTONIC, &until) < 0 && errno == EINTR)
			;
	barrier_unref(b);
}

struct taps *taps_new(struct loop *loop, struct inbox *inbox, struct workers *workers)
{
	struct taps *t = mem_calloc(1, sizeof *t);

	t->loop = loop;
	t->inbox = inbox;
	t->workers = workers;
	list_init(&t->readers);
	return t;
}

void taps_free(struct taps **at)
{
	struct taps *t = *at;

	if (t == NULL)
		return;
	*at = NULL;
	if (t->n) {
		await_workers(t->workers);
		inbox_run(t->inbox);
	}
	list_each_safe (link, &t->readers)
		finish(list_item(link, struct reader, link));
	free(t);
}
