/*
 * The end of a connection that we ask its caller to give up: because the process goes, its listener
 * was taken away, or it is old.
 *
 *     OPEN --drain--> DRAINING --nothing runs, nothing comes, the last word is said--> closed
 *                         '--end_at--> CUT: calls are answered with `draining` --> closed
 *
 * HTTP/2 has two words for it, with time between them for calls that are on their way; callers of
 * TTHeader find it in each reply, and those with many calls at once in a message of its own, when
 * none runs. The others have no word: they are closed in a moment in which they are silent, because
 * a call that meets the end of its connection is lost.
 */
#include "net/conn.h"
#include "proxy/call.h"
#include "proxy/downstream.h"
#include "proxy/worker.h"
#include "proxy/world.h"

#define FIRST_CALL    (1 * USEC_S)    /* after it was opened it is told nothing until then */
#define LAST_WORD_GAP (1 * USEC_S)    /* for calls that are on their way while we say it */
#define SILENCE       (50 * USEC_MS)  /* after which a caller is taken to have nothing to say */
#define REST          (100 * USEC_MS) /* without a call: then it is told, where there is time */
#define NEVER_SILENT  (2 * USEC_S)    /* then it ends behind a reply */
#define GONE_PATIENCE (5 * USEC_S)    /* for answers to those who have ended their side */
#define CUT_PATIENCE  (500 * USEC_MS) /* for streams to take their end */

static usec_t now_of(const struct downstream *d)
{
	return loop_now(d->worker->loop);
}

/* ---- the words ---- */

/* Many calls may be on their way to here: they are still served, then the caller hears which was
 * the last. */
static void say_first(struct downstream *d)
{
	if (codec_family(d->codec) != CODEC_HTTP2)
		return;
	d->has_said_last = true;
	codec_drain(d->codec, CODEC_DRAIN_SOON);
	d->last_word_at = usec_after(now_of(d), LAST_WORD_GAP);
	downstream_arm(d, d->last_word_at);
}

/* Some callers lose a call that is about to leave when they hear the first word: where there is
 * time it is said while they rest. */
static bool waits_with_first(struct downstream *d)
{
	usec_t now = now_of(d), at = d->worker->patient_until;

	if (codec_family(d->codec) != CODEC_HTTP2 || d->got_eof)
		return false;
	if (d->n_calls == 0)
		at = usec_min(at, usec_after(d->active_at, REST));
	if (now >= at)
		return false;
	downstream_arm(d, at);
	return true;
}

static void say_last(struct downstream *d)
{
	d->last_word_at = USEC_NONE;
	if (codec_family(d->codec) == CODEC_HTTP2)
		codec_drain(d->codec, CODEC_DRAIN_NOW);
	downstream_resume(d);
}

/* Some callers go on with new calls after the first word, and lose those that the last one crosses:
 * where there is time they are left to end what they do. */
static bool waits_with_last(struct downstream *d)
{
	usec_t now = now_of(d), until = d->worker->patient_until;

	if (codec_family(d->codec) != CODEC_HTTP2 || now >= until || d->got_eof)
		return false;
	if (d->n_calls == 0 && now >= usec_after(d->active_at, LAST_WORD_GAP))
		return false;
	d->last_word_at = usec_min(usec_after(now, LAST_WORD_GAP), until);
	downstream_arm(d, d->last_word_at);
	return true;
}

/* Nothing runs: now callers with many calls at once can be told. */
static void say_only(struct downstream *d)
{
	d->has_said_last = true;
	codec_drain(d->codec, CODEC_DRAIN_NOW);
	d->last_word_at = usec_after(now_of(d), LAST_WORD_GAP);
	downstream_arm(d, d->last_word_at);
}

/* ---- draining ---- */

static bool is_silent(struct downstream *d)
{
	usec_t at =
	    usec_min(usec_after(d->active_at, SILENCE), usec_after(d->drained_at, NEVER_SILENT));

	if (now_of(d) >= at)
		return true;
	downstream_arm(d, at);
	return false;
}

/* Where there is time, it is the caller who ends a connection at rest: so no call meets its end. */
static bool is_left_alone(struct downstream *d)
{
	usec_t until = d->worker->patient_until;

	if (now_of(d) >= until)
		return false;
	downstream_arm(d, until);
	return true;
}

bool downstream_lingers(struct downstream *d)
{
	if (!d->is_draining || d->is_closing || d->got_eof || codec_is_ending(d->codec))
		return false;
	if (!conn_is_quiet(d->conn))
		return true; /* it will be read */
	if (codec_family(d->codec) == CODEC_HTTP2) {
		if (d->has_said_last)
			return false;
		if (!waits_with_first(
			d)) /* or it was told to go before anybody knew what it speaks */
			say_first(d);
		return true;
	}
	if (codec_is_unordered(d->codec) && !d->has_said_last) {
		say_only(d);
		return true;
	}
	if (is_left_alone(d))
		return true;
	return !codec_is_multiplexed(d->codec) && !d->has_said_last && !is_silent(d);
}

void downstream_drain(struct downstream *d)
{
	if (d->is_closed || d->is_broken)
		return;
	d->drain_at = d->age_at = USEC_NONE;
	if (!d->is_draining) {
		d->is_draining = true;
		d->drained_at = now_of(d);
		conn_set_batching(d->conn, true); /* a last reply and its end leave together */
	}
	if (!d->has_said_last && !waits_with_first(d))
		say_first(d);
	if (!d->is_reading)
		downstream_close_when_done(d);
}

void downstream_drain_after(struct downstream *d, usec_t wait)
{
	usec_t first_call = usec_after(d->opened_at, FIRST_CALL), now = now_of(d);

	if (d->is_draining)
		return;
	/* Whoever has just come is about to call, and takes the word for a failure of what it
	 * asks. */
	if (!d->has_called && first_call > now && first_call - now > wait)
		wait = first_call - now;
	if (wait == 0) {
		downstream_drain(d);
		return;
	}
	d->drain_at = usec_after(now_of(d), wait);
	downstream_arm(d, d->drain_at);
}

void downstream_stay(struct downstream *d)
{
	if (!d->is_draining)
		d->drain_at = USEC_NONE;
}

static void end_within(struct downstream *d, usec_t time)
{
	d->end_at = usec_min(d->end_at, usec_after(now_of(d), time));
	downstream_arm(d, d->end_at);
}

void downstream_orphan(struct downstream *d)
{
	if (d->kept == NULL) {
		d->kept = snapshot_ref(d->worker->world->snapshot);
		end_within(d, d->kept->config->reload_drain);
	}
	downstream_drain(d);
}

void downstream_forget_gone(struct downstream *d)
{
	if (d->got_eof && !d->is_cut && !d->is_closed)
		end_within(d, GONE_PATIENCE);
}

/* ---- the end of the time ---- */

/* Calls come and go while others are answered: each of those that are there now has its turn, the
 * oldest first, and goes to the end of the list. */
static void answer_all(struct downstream *d)
{
	d->parked = NULL; /* not to be begun any more */
	d->is_reading = true;
	for (unsigned n = d->n_calls; n && !list_is_empty(&d->calls); n--) {
		struct list *first = d->calls.next;

		list_remove(first);
		list_push_back(&d->calls, first);
		call_event(list_item(first, struct call, link), CALL_EVENT_DRAINED);
	}
	d->is_reading = false;
}

void downstream_cut(struct downstream *d)
{
	if (d->is_closed || d->is_cut)
		return;
	d->is_cut = d->is_draining = d->is_closing = true;
	d->drain_at = d->age_at = d->last_word_at = USEC_NONE;
	answer_all(d);
	if (d->is_closed || d->is_broken)
		return; /* one of them was in the middle of its reply */
	if (d->n_calls == 0 || !codec_is_multiplexed(d->codec)) {
		downstream_end(d);
		return;
	}
	codec_drain(d->codec, CODEC_DRAIN_NOW);
	d->end_at = usec_after(now_of(d), CUT_PATIENCE);
	downstream_arm(d, d->end_at);
	downstream_resume(d);
}

/* ---- times ---- */

usec_t downstream_drain_time(const struct downstream *d)
{
	return usec_min(usec_min(d->drain_at, d->age_at), d->last_word_at);
}

static void end_on_time(struct downstream *d)
{
	d->end_at = USEC_NONE;
	if (d->is_cut)
		downstream_end(d);
	else
		downstream_cut(d);
}

void downstream_drain_on_time(struct downstream *d, usec_t now)
{
	if (now >= d->end_at)
		end_on_time(d);
	if (!d->is_closed && now >= d->last_word_at && !waits_with_last(d))
		say_last(d);
	if (!d->is_closed && (now >= usec_min(d->drain_at, d->age_at) || d->is_draining))
		downstream_drain(d); /* or whether it can close by now */
}
