#include "proxy/metadata_page.h"

#include <unistd.h>

#include "net/conn.h"
#include "net/loop.h"
#include "proxy/attempt.h"
#include "proxy/backend.h"
#include "proxy/call_told.h"
#include "proxy/slots.h"
#include "proxy/upstream.h"
#include "proxy/upstream_name.h"
#include "proxy/worker.h"

/* The calls in flight that are meant. */
struct search {
	const struct metadata_question *question;
	struct attempt *found; /* the last of them */
	unsigned n;
};

static void look_at(struct search *s, struct attempt *a)
{
	if (a == NULL || a->state < ATTEMPT_WAITING)
		return; /* the application has not got it yet */
	if (s->question->has_seq && s->question->seq != call_told_seq(a))
		return;
	s->found = a;
	s->n++;
}

static void look_through(struct search *s, struct upstream *u)
{
	look_at(s, u->attempt);
	if (u->relaying != u->attempt)
		look_at(s, u->relaying);
	for (unsigned i = 0; u->slots && i < u->slots->size; i++)
		look_at(s, slots_at(u->slots, i));
	list_each (link, &u->streams)
		look_at(s, list_item(link, struct attempt, link));
}

static struct slice name_of(const struct upstream *u, char room[UPSTREAM_NAME_MAX])
{
	struct upstream_name name = {getpid(), u->backend->worker->index, u->number};

	return upstream_name_write(&name, room);
}

static void write_page(
    const struct upstream *u, const struct call_told *told, bool with_secrets, struct text *page)
{
	struct loop *loop = u->backend->worker->loop;
	const struct call_told_moment moment = {loop_now(loop), loop_calendar(loop)};
	char room[UPSTREAM_NAME_MAX];

	call_told_write(told, name_of(u, room), &moment, with_secrets, page);
}

static enum metadata_answer tell_oneway(struct upstream *u,
    const struct metadata_question *question, bool with_secrets, struct text *page)
{
	usec_t now = loop_now(u->backend->worker->loop);
	const struct oneway_note *note = NULL;
	unsigned n;

	if (question->has_seq && question->seq == 0)
		return METADATA_NO_CALL; /* none has that number */
	n = oneway_notes_find(&u->oneways, question->has_seq ? question->seq : 0, now, &note);
	if (n != 1)
		return n ? METADATA_SEVERAL : METADATA_NO_CALL;
	write_page(u, &note->told, with_secrets, page);
	return METADATA_ANSWERED;
}

static enum metadata_answer tell_call(struct upstream *u, const struct metadata_question *question,
    bool with_secrets, struct text *page)
{
	struct search search = {.question = question};
	struct call_told told;
	struct arena arena;

	look_through(&search, u);
	if (search.n != 1)
		return search.n ? METADATA_SEVERAL : METADATA_NO_CALL;
	arena_init(&arena, NULL, 0);
	call_told_of(search.found, &arena, &told);
	write_page(u, &told, with_secrets, page);
	arena_fini(&arena);
	return METADATA_ANSWERED;
}

const char *metadata_answer_name(enum metadata_answer answer)
{
	static const char *const names[METADATA_ANSWERS] = {
	    [METADATA_ANSWERED] = "told",
	    [METADATA_UNKNOWN] = "unknown",
	    [METADATA_FORBIDDEN] = "forbidden",
	    [METADATA_NO_CALL] = "no_call",
	    [METADATA_SEVERAL] = "several",
	};

	return names[answer];
}

static enum metadata_answer find(
    struct worker *worker, const struct metadata_question *question, struct text *page)
{
	struct slice key = slice_of(&question->number, sizeof question->number);
	struct upstream *u = table_get(&worker->named, key);
	struct conn_identity application;
	bool is_its_own;

	if (u == NULL)
		return METADATA_UNKNOWN;
	is_its_own = conn_identity(u->conn, &application) && application.uid == question->asker.uid;
	if (!is_its_own && !question->asker.is_trusted)
		return METADATA_FORBIDDEN;
	if (u->use == UPSTREAM_FOR_ONEWAY || u->use == UPSTREAM_FOR_LONG_ONEWAY)
		return tell_oneway(u, question, is_its_own, page);
	return tell_call(u, question, is_its_own, page);
}

enum metadata_answer metadata_page(
    struct worker *worker, const struct metadata_question *question, struct text *page)
{
	enum metadata_answer answer = find(worker, question, page);

	counter_add(&worker->metadata_asked[answer], 1);
	return answer;
}
