#include "registry/cache_writer.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "registry/cache.h"
#include "registry/registry_impl.h"

#define WRITE_AFTER (500 * USEC_MS) /* so that a burst of changes is one write */
#define WRITE_EVERY (5 * USEC_S)
#define LAST_WAIT_S 2 /* for a disk that is stuck, at the end */

/* One writing: all that its thread needs. */
struct cache_job {
	struct ref ref;       /* the writer's and the thread's */
	pthread_mutex_t lock; /* guards is_done */
	pthread_cond_t done;
	bool is_done;
	struct shared_config *shared; /* a reference; config lies in it */
	const struct registry_config *config;
	struct cached_set *sets; /* owned; with a reference to each set */
	size_t n;
	struct cached_document *documents; /* in the arena, as all texts */
	size_t n_documents;
	struct arena arena;
	int result;
	struct err err;
};

struct cache_writer {
	struct registry *registry; /* borrowed */
	struct timer timer;
	usec_t last;
	struct cache_job *job; /* a reference; NULL: none under way */
	pthread_t thread;      /* of the job */
	bool is_dirty, has_failed, is_held;
};

static void job_unref(struct cache_job *job)
{
	if (!ref_drop(&job->ref))
		return;
	for (size_t i = 0; i < job->n; i++)
		endpoint_list_unref(job->sets[i].set);
	arena_fini(&job->arena);
	shared_config_unref(&job->shared);
	pthread_mutex_destroy(&job->lock);
	pthread_cond_destroy(&job->done);
	free(job->sets);
	free(job);
}

static void *run_job(void *arg)
{
	struct cache_job *job = arg;
	const struct cache_content content = {job->sets, job->n, job->documents, job->n_documents};
	struct text out = {0};

	cache_format(&out, job->config, &content);
	job->result = cache_replace(job->config->cache, slice_of(out.bytes, out.len), &job->err);
	text_fini(&out);
	pthread_mutex_lock(&job->lock);
	job->is_done = true;
	pthread_cond_signal(&job->done);
	pthread_mutex_unlock(&job->lock);
	job_unref(job);
	return NULL;
}

/* Waits until @until (of the monotonic clock), or not at all. */
static bool job_is_done(struct cache_job *job, const struct timespec *until)
{
	bool is_done;

	pthread_mutex_lock(&job->lock);
	while (until && !job->is_done)
		if (pthread_cond_timedwait(&job->done, &job->lock, until) == ETIMEDOUT)
			break;
	is_done = job->is_done;
	pthread_mutex_unlock(&job->lock);
	return is_done;
}

static void init_waiting(struct cache_job *job)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&job->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&job->done, &attr);
	pthread_condattr_destroy(&attr);
}

/* One with a zero byte in it is none that anybody could read. */
static void gather_documents(struct cache_job *job, const struct registry *r)
{
	const struct followed_document *d;
	size_t at = 0;

	job->documents = arena_calloc(&job->arena, r->documents.used, sizeof *job->documents);
	while ((d = table_next(&r->documents, &at)))
		if (d->text && strlen(d->text) == d->len)
			job->documents[job->n_documents++] = (struct cached_document){
			    .key = arena_str(&job->arena, slice_str(d->key)),
			    .text = arena_str(&job->arena, slice_str(d->text)),
			};
}

static struct cache_job *job_new(struct registry *r)
{
	struct cache_job *job = mem_calloc(1, sizeof *job);
	struct followed *f;
	size_t at = 0;

	ref_init(&job->ref);
	init_waiting(job);
	job->shared = shared_config_ref(r->shared);
	job->config = r->config;
	arena_init(&job->arena, NULL, 0);
	job->sets = mem_calloc(r->services.used + 1, sizeof *job->sets);
	while ((f = table_next(&r->services, &at))) {
		if (f->set == NULL || f->set->n == 0)
			continue;
		ref_take(&f->set->ref);
		job->sets[job->n++] = (struct cached_set){
		    .name = arena_str(&job->arena, slice_str(f->name)),
		    .revision = arena_str(&job->arena, slice_str(f->revision)),
		    .at = f->at,
		    .set = f->set,
		};
	}
	gather_documents(job, r);
	return job;
}

/* Signals are for the thread that watches for them. */
static int start_thread(pthread_t *thread, struct cache_job *job)
{
	sigset_t all, before;
	int error;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(thread, NULL, run_job, job);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return error;
}

static void start_job(struct cache_writer *w)
{
	struct cache_job *job = job_new(w->registry);

	ref_take(&job->ref);
	w->is_dirty = false;
	w->last = loop_now(w->registry->place.loop);
	if (start_thread(&w->thread, job) == 0) {
		w->job = job;
		return;
	}
	log_warn("registry", "no thread to write the cache", "name=%s", w->registry->config->name);
	job_unref(job);
	job_unref(job);
	cache_writer_dirty(w);
}

/* One line when it begins to fail, one when it works again. */
static void end_job(struct cache_writer *w)
{
	struct cache_job *job = w->job;
	bool failed = job->result < 0;

	if (failed && !w->has_failed)
		log_warn("registry", "its cache cannot be written", "name=%s error=\"%s\"",
		    w->registry->config->name, job->err.text);
	else if (!failed && w->has_failed)
		log_info(
		    "registry", "its cache is written again", "name=%s", w->registry->config->name);
	w->has_failed = failed;
	w->job = NULL;
	job_unref(job);
}

static void look(struct timer *timer, usec_t now)
{
	struct cache_writer *w = container_of(timer, struct cache_writer, timer);

	if (w->job && job_is_done(w->job, NULL)) {
		pthread_join(w->thread, NULL);
		end_job(w);
		if (w->has_failed)
			w->is_dirty = true;
	}
	if (w->is_dirty && !w->is_held && w->job == NULL && now >= w->last + WRITE_EVERY)
		start_job(w);
	if (w->is_dirty || w->job)
		wheel_set(loop_wheel(w->registry->place.loop), timer,
		    usec_after(now, w->job ? WRITE_AFTER : WRITE_AFTER), look);
}

struct cache_writer *cache_writer_new(struct registry *registry)
{
	struct cache_writer *w = mem_calloc(1, sizeof *w);

	w->registry = registry;
	return w;
}

void cache_writer_dirty(struct cache_writer *w)
{
	usec_t now;

	/* What the file holds is better than what nobody has confirmed yet. */
	if (w == NULL || w->registry->heard_at == 0)
		return;
	w->is_dirty = true;
	if (timer_is_set(&w->timer))
		return;
	now = loop_now(w->registry->place.loop);
	wheel_set(
	    loop_wheel(w->registry->place.loop), &w->timer, usec_after(now, WRITE_AFTER), look);
}

void cache_writer_hold(struct cache_writer *w, bool hold)
{
	if (w)
		w->is_held = hold;
}

/* False when the disk takes too long; the thread then ends by itself, or with the process. */
static bool wait_for_thread(struct cache_writer *w)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += LAST_WAIT_S;
	if (job_is_done(w->job, &until)) {
		pthread_join(w->thread, NULL);
		end_job(w);
		return true;
	}
	pthread_detach(w->thread);
	job_unref(w->job);
	w->job = NULL;
	return false;
}

void cache_writer_free(struct cache_writer **pw)
{
	struct cache_writer *w = *pw;
	bool works = true;

	if (w == NULL)
		return;
	*pw = NULL;
	if (w->job)
		works = wait_for_thread(w);
	if (works && w->is_dirty && !w->is_held)
		start_job(w);
	if (w->job)
		wait_for_thread(w);
	wheel_clear(&w->timer);
	free(w);
}
