#include "registry/zookeeper_session.h"

#ifdef HAVE_ZOOKEEPER

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <zookeeper/zookeeper.h>

#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/ref.h"
#include "net/inbox.h"
#include "net/loop.h"

#define CLOSE_WITHIN 1  /* second, at the end of the loop */
#define SAYS_EVERY   10 /* seconds, between two lines of one of its threads */
#define LOOK_EVERY   (50 * USEC_MS)

struct zookeeper_session {
	struct ref ref;    /* the owner's or closing's, and one for each delivery in the inbox */
	zhandle_t *zoo;    /* owned */
	struct loop *loop; /* borrowed, like the next two */
	const struct zookeeper_events *events;
	void *arg;
	bool has_secret;
	bool is_over; /* the loop's thread: nobody listens */
	int64_t number;

	pthread_mutex_t lock; /* over what follows */
	pthread_cond_t closed;
	struct inbox *inbox; /* NULL: nobody listens */
	struct list asked;   /* what the library owes an answer for */
	bool is_closed;
};

/* A question on its way through the library. */
struct asked {
	struct list link;
	struct zookeeper_session *session; /* borrowed: the library is ended before it */
	enum zookeeper_verb verb;
	uint64_t asker;
	zoo_op_t ops[2];
	zoo_op_result_t results[2];
	char made[8]; /* the library writes a path of a new node there, as much as fits */
	char path[];
};

/* Something on its way to the loop's thread. */
struct delivery {
	struct zookeeper_session *session; /* a reference */
	enum { DELIVER_STATE, DELIVER_NOTICE, DELIVER_ANSWER } kind;
	enum zookeeper_state state;
	int64_t number;
	struct zookeeper_answer
	    answer; /* owns what it points to: path, data and names lie behind it */
	char *path; /* owned */
};

static void session_unref(void *object)
{
	struct zookeeper_session *s = object;

	if (!ref_drop(&s->ref))
		return;
	list_each_safe (link, &s->asked)
		free(list_item(link, struct asked, link));
	pthread_cond_destroy(&s->closed);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

/* ---- from the library's threads to the loop's ---- */

static void delivery_free(struct delivery *d)
{
	free(d->path);
	free((void *)(uintptr_t)d->answer.data.data);
	free((void *)(uintptr_t)d->answer.names);
	free(d);
}

static void arrive(void *arg)
{
	struct delivery *d = arg;
	struct zookeeper_session *s = d->session;
	const struct zookeeper_events *events = s->events;

	if (!s->is_over) {
		switch (d->kind) {
		case DELIVER_STATE:
			if (d->state == ZOOKEEPER_CONNECTED)
				s->number = d->number;
			events->state(s->arg, d->state);
			break;
		case DELIVER_NOTICE:
			events->noticed(s->arg, d->path);
			break;
		case DELIVER_ANSWER:
			events->answered(s->arg, &d->answer);
			break;
		}
	}
	delivery_free(d);
	session_unref(s);
}

static void deliver(struct zookeeper_session *s, struct delivery *d)
{
	pthread_mutex_lock(&s->lock);
	if (s->inbox) {
		d->session = s;
		ref_take(&s->ref);
		inbox_post(s->inbox, arrive, d);
		d = NULL;
	}
	pthread_mutex_unlock(&s->lock);
	if (d)
		delivery_free(d);
}

static bool translate_state(int state, enum zookeeper_state *to)
{
	if (state == ZOO_CONNECTED_STATE)
		*to = ZOOKEEPER_CONNECTED;
	else if (state == ZOO_EXPIRED_SESSION_STATE)
		*to = ZOOKEEPER_EXPIRED;
	else if (state == ZOO_AUTH_FAILED_STATE)
		*to = ZOOKEEPER_REFUSED;
	else if (state == ZOO_CONNECTING_STATE || state == ZOO_ASSOCIATING_STATE ||
		 state == ZOO_NOTCONNECTED_STATE)
		*to = ZOOKEEPER_CONNECTING;
	else
		return false;
	return true;
}

static void watch_fired(zhandle_t *zoo, int type, int state, const char *path, void *arg)
{
	struct delivery *d = mem_calloc(1, sizeof *d);

	if (type != ZOO_SESSION_EVENT) {
		d->kind = DELIVER_NOTICE;
		d->path = mem_strdup(path ? path : "");
	} else if (translate_state(state, &d->state)) {
		d->kind = DELIVER_STATE;
		if (d->state == ZOOKEEPER_CONNECTED)
			d->number = zoo_client_id(zoo)->client_id;
	} else {
		free(d);
		return;
	}
	deliver(arg, d);
}

/* Watches of nodes hear of the session, too, once each; that is said by the session's own. */
static void node_changed(zhandle_t *zoo, int type, int state, const char *path, void *arg)
{
	if (type != ZOO_SESSION_EVENT)
		watch_fired(zoo, type, state, path, arg);
}

static enum zookeeper_code translate_code(int code)
{
	switch (code) {
	case ZOK:
		return ZOOKEEPER_OK;
	case ZNONODE:
		return ZOOKEEPER_NO_NODE;
	case ZNODEEXISTS:
		return ZOOKEEPER_NODE_EXISTS;
	case ZNOTEMPTY:
		return ZOOKEEPER_NOT_EMPTY;
	case ZBADVERSION:
		return ZOOKEEPER_OTHER_VERSION;
	case ZNOAUTH:
	case ZINVALIDACL:
		return ZOOKEEPER_NO_RIGHT;
	case ZCONNECTIONLOSS:
	case ZOPERATIONTIMEOUT:
	case ZSESSIONEXPIRED:
	case ZSESSIONMOVED:
	case ZINVALIDSTATE:
	case ZCLOSING:
	case ZTHROTTLEDOP:
		return ZOOKEEPER_LOST;
	default:
		return ZOOKEEPER_FAILED;
	}
}

/* The answer to @data without what only some answers have; @data is freed. */
static struct delivery *answer_new(int code, const void *data, struct zookeeper_session **session)
{
	struct asked *asked = (void *)(uintptr_t)data;
	struct delivery *d = mem_calloc(1, sizeof *d);

	*session = asked->session;
	d->kind = DELIVER_ANSWER;
	d->path = mem_strdup(asked->path);
	d->answer = (struct zookeeper_answer){.verb = asked->verb,
	    .code = translate_code(code),
	    .path = d->path,
	    .text = zerror(code),
	    .asker = asked->asker};
	pthread_mutex_lock(&asked->session->lock);
	list_remove(&asked->link);
	pthread_mutex_unlock(&asked->session->lock);
	free(asked);
	return d;
}

static void take_stat(struct zookeeper_answer *answer, const struct Stat *stat, int64_t change)
{
	answer->owner = stat->ephemeralOwner;
	answer->version = stat->version;
	answer->change = change;
}

static void listed(
    int code, const struct String_vector *strings, const struct Stat *stat, const void *data)
{
	struct zookeeper_session *session;
	struct delivery *d = answer_new(code, data, &session);
	size_t n = code == ZOK && strings ? (size_t)strings->count : 0, bytes = 0;
	struct slice *names;
	char *at;

	for (size_t i = 0; i < n; i++)
		bytes += strlen(strings->data[i]);
	names = mem_alloc(n * sizeof *names + bytes + 1);
	at = (char *)(names + n);
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(strings->data[i]);

		memcpy(at, strings->data[i], len);
		names[i] = slice_of(at, len);
		at += len;
	}
	d->answer.names = names;
	d->answer.n_names = n;
	if (code == ZOK && stat)
		take_stat(&d->answer, stat, stat->pzxid);
	deliver(session, d);
}

static void was_read(
    int code, const char *value, int len, const struct Stat *stat, const void *data)
{
	struct zookeeper_session *session;
	struct delivery *d = answer_new(code, data, &session);

	if (code == ZOK) {
		size_t n = value && len > 0 ? (size_t)len : 0;
		uint8_t *copy = mem_alloc(n + 1);

		if (n)
			memcpy(copy, value, n);
		d->answer.data = slice_of(copy, n);
		if (stat)
			take_stat(&d->answer, stat, stat->mzxid);
	}
	deliver(session, d);
}

static void was_looked_at(int code, const struct Stat *stat, const void *data)
{
	struct zookeeper_session *session;
	struct delivery *d = answer_new(code, data, &session);

	(void)stat;
	deliver(session, d);
}

static void was_made(int code, const char *value, const void *data)
{
	struct zookeeper_session *session;
	struct delivery *d = answer_new(code, data, &session);

	(void)value;
	deliver(session, d);
}

static void was_done(int code, const void *data)
{
	struct zookeeper_session *session;
	struct delivery *d = answer_new(code, data, &session);

	deliver(session, d);
}

/* ---- the library's log ---- */

/* "2026-01-02 03:04:05,678:123(0x7f00):ZOO_WARN@where@12: text": we say time and place
 * ourselves. */
static const char *without_place(const char *message)
{
	const char *at = strstr(message, ":ZOO_"), *text = at ? strchr(at, ' ') : NULL;

	return text ? text + 1 : message;
}

static usec_t coarse_time(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return (usec_t)ts.tv_sec * USEC_S + (usec_t)ts.tv_nsec / 1000;
}

/* Called by the library's threads with nothing to hold on to, so each thread has its own gate. It
 * would go on for as long as an outage lasts. */
static void library_says(const char *message)
{
	static _Thread_local struct log_gate gate;
	char text[LOG_ESCAPED_MAX];
	unsigned held;

	if (!log_gate_open(&gate, coarse_time() / SAYS_EVERY, &held))
		return;
	log_escape(text, sizeof text, slice_str(without_place(message)));
	log_warn("zookeeper", "the library says", "text=\"%s\" held=%u", text, held);
}

/* What it says of no session in particular goes nowhere: standard error is not its own. */
static void silence_library(void)
{
	FILE *nowhere = fopen("/dev/null", "we");

	if (nowhere)
		zoo_set_log_stream(nowhere);
	zoo_set_debug_level(ZOO_LOG_LEVEL_WARN);
}

const char *zookeeper_library_version(void)
{
	return ZOO_VERSION;
}

/* ---- beginning and end ---- */

/* Threads that begin meanwhile are not those that signals are for. */
static void block_signals(sigset_t *before)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, before);
}

static int connect_library(
    struct zookeeper_session *s, const struct zookeeper_start *start, struct err *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	usec_t ms = start->timeout / USEC_MS;
	sigset_t before;

	pthread_once(&once, silence_library);
	block_signals(&before);
	s->zoo = zookeeper_init2(start->servers, watch_fired, ms > INT_MAX ? INT_MAX : (int)ms,
	    NULL, s, ZOO_NO_LOG_CLIENTENV, library_says);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (s->zoo == NULL)
		return err_set(err, errno, "no session can be begun: %s", strerror(errno));
	if (s->has_secret)
		zoo_add_auth(
		    s->zoo, "digest", start->secret, (int)strlen(start->secret), NULL, NULL);
	return 0;
}

struct zookeeper_session *zookeeper_session_new(
    const struct zookeeper_start *start, struct err *err)
{
	struct zookeeper_session *s = mem_calloc(1, sizeof *s);

	s->loop = start->loop;
	s->events = start->events;
	s->arg = start->arg;
	ref_init(&s->ref);
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->closed, NULL);
	list_init(&s->asked);
	s->inbox = start->inbox;
	s->has_secret = start->secret[0] != '\0';
	if (connect_library(s, start, err) == 0)
		return s;
	session_unref(s);
	return NULL;
}

/* A session that is being ended by a thread of its own, looked at until that is done. */
struct closing {
	struct loop_orphan orphan;
	struct timer look;
	struct loop *loop;
	usec_t deadline;
	struct zookeeper_session *session; /* a reference */
};

static void *close_session(void *arg)
{
	struct zookeeper_session *s = arg;

	zookeeper_close(s->zoo); /* joins the library's threads: nothing is called any more */
	pthread_mutex_lock(&s->lock);
	s->is_closed = true;
	pthread_cond_signal(&s->closed);
	pthread_mutex_unlock(&s->lock);
	session_unref(s);
	return NULL;
}

static void closing_free(struct closing *c)
{
	wheel_clear(&c->look);
	list_remove(&c->orphan.link);
	session_unref(c->session);
	free(c);
}

static void look_whether_closed(struct timer *timer, usec_t now)
{
	struct closing *c = container_of(timer, struct closing, look);
	bool is_closed;

	pthread_mutex_lock(&c->session->lock);
	is_closed = c->session->is_closed;
	pthread_mutex_unlock(&c->session->lock);
	if (is_closed)
		closing_free(c);
	else
		wheel_set(
		    loop_wheel(c->loop), timer, usec_after(now, LOOK_EVERY), look_whether_closed);
}

/* The loop ends: the server should hear of it, but nobody waits for one that does not listen. */
static void closing_ends(struct loop_orphan *orphan)
{
	struct closing *c = container_of(orphan, struct closing, orphan);
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += CLOSE_WITHIN;
	pthread_mutex_lock(&c->session->lock);
	while (!c->session->is_closed &&
	       pthread_cond_timedwait(&c->session->closed, &c->session->lock, &until) == 0)
		continue;
	pthread_mutex_unlock(&c->session->lock);
	closing_free(c);
}

static void start_closing(struct zookeeper_session *s)
{
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t before;
	int error;

	ref_take(&s->ref); /* the thread's */
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	block_signals(&before);
	error = pthread_create(&thread, &attr, close_session, s);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	if (error)
		close_session(s); /* no thread is to be had: then it is waited for here */
}

/* Nothing of it is delivered any more. Takes it; NULL when there was none. */
static struct zookeeper_session *silence(struct zookeeper_session **at)
{
	struct zookeeper_session *s = *at;

	if (s == NULL)
		return NULL;
	*at = NULL;
	s->is_over = true;
	pthread_mutex_lock(&s->lock);
	s->inbox = NULL;
	pthread_mutex_unlock(&s->lock);
	return s;
}

void zookeeper_session_free(struct zookeeper_session **at)
{
	struct zookeeper_session *s = silence(at);
	struct closing *c;

	if (s == NULL)
		return;
	c = mem_calloc(1, sizeof *c);
	c->loop = s->loop;
	c->session = s;
	c->orphan.end = closing_ends;
	loop_adopt(c->loop, &c->orphan);
	wheel_set(loop_wheel(c->loop), &c->look, usec_after(loop_now(c->loop), LOOK_EVERY),
	    look_whether_closed);
	start_closing(s);
}

void zookeeper_session_move(struct zookeeper_session *s, const char *servers)
{
	zoo_set_servers(s->zoo, servers);
}

/* The library can end a session or keep it. So what it has stays, with its threads, until the
 * process ends. */
void zookeeper_session_leave(struct zookeeper_session **at)
{
	silence(at);
}

int64_t zookeeper_session_number(const struct zookeeper_session *s)
{
	return s->number;
}

/* ---- questions ---- */

static int ask_replace(
    struct zookeeper_session *s, const struct zookeeper_question *q, struct asked *asked)
{
	const struct ACL_vector *acl = s->has_secret ? &ZOO_CREATOR_ALL_ACL : &ZOO_OPEN_ACL_UNSAFE;

	/* It is written to the wire in here; only the results and where a path goes are used
	 * later. */
	zoo_delete_op_init(&asked->ops[0], asked->path, q->version);
	zoo_create_op_init(&asked->ops[1], asked->path, (const char *)q->data.data,
	    (int)q->data.len, acl, ZOO_EPHEMERAL, asked->made, sizeof asked->made);
	return zoo_amulti(s->zoo, 2, asked->ops, asked->results, was_done, asked);
}

static int ask_library(
    struct zookeeper_session *s, const struct zookeeper_question *q, struct asked *asked)
{
	const struct ACL_vector *acl = s->has_secret ? &ZOO_CREATOR_ALL_ACL : &ZOO_OPEN_ACL_UNSAFE;
	const char *bytes = q->data.len ? (const char *)q->data.data : "";
	int len = (int)q->data.len;

	switch (q->verb) {
	case ZOOKEEPER_ASK_LIST:
		return zoo_awget_children2(s->zoo, q->path, node_changed, s, listed, asked);
	case ZOOKEEPER_ASK_READ:
		return zoo_awget(s->zoo, q->path, node_changed, s, was_read, asked);
	case ZOOKEEPER_ASK_AWAIT:
		return zoo_awexists(s->zoo, q->path, node_changed, s, was_looked_at, asked);
	case ZOOKEEPER_ASK_CREATE:
		return zoo_acreate(s->zoo, q->path, "", 0, acl, ZOO_PERSISTENT, was_made, asked);
	case ZOOKEEPER_ASK_PUBLISH:
		return zoo_acreate(
		    s->zoo, q->path, bytes, len, acl, ZOO_EPHEMERAL, was_made, asked);
	case ZOOKEEPER_ASK_REPLACE:
		return ask_replace(s, q, asked);
	case ZOOKEEPER_ASK_WRITE:
		return zoo_aset(s->zoo, q->path, bytes, len, q->version, was_looked_at, asked);
	case ZOOKEEPER_ASK_DELETE:
		return zoo_adelete(s->zoo, q->path, q->version, was_done, asked);
	}
	return ZUNIMPLEMENTED;
}

int zookeeper_session_ask(
    struct zookeeper_session *s, const struct zookeeper_question *q, struct err *err)
{
	size_t len = strlen(q->path);
	struct asked *asked = mem_calloc(1, sizeof *asked + len + 1);
	int code;

	asked->session = s;
	asked->verb = q->verb;
	asked->asker = q->asker;
	memcpy(asked->path, q->path, len + 1);
	/* On the list before the library has it: it may be answered at once, and freed. */
	pthread_mutex_lock(&s->lock);
	list_push_back(&s->asked, &asked->link);
	pthread_mutex_unlock(&s->lock);
	code = ask_library(s, q, asked);
	if (code == ZOK)
		return 0;
	pthread_mutex_lock(&s->lock);
	list_remove(&asked->link);
	pthread_mutex_unlock(&s->lock);
	free(asked);
	/* Nothing is wrong with the question when the session is over. */
	return err_set(err, translate_code(code) == ZOOKEEPER_LOST ? ENOTCONN : 0, "%s: %s",
	    q->path, zerror(code));
}

#else

const char *zookeeper_library_version(void)
{
	return NULL;
}

#endif
