#include "daemon/readiness.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "model/snapshot.h"
#include "net/conn.h"
#include "net/loop.h"
#include "proxy/introduction.h"

#define FAILURES 2u /* in a row, until an endpoint is down that did not refuse */

enum answer { ANSWER_UNKNOWN, ANSWER_UP, ANSWER_DOWN };

/* Asks one endpoint. */
struct probe {
	struct application *application; /* borrowed */
	struct list link;
	struct address address;
	bool is_wanted; /* while a snapshot is followed */
	enum answer answer;
	unsigned failures;   /* in a row */
	int error;           /* why it is down */
	struct timer timer;  /* the next connect; the end of patience for this one */
	struct conn *conn;   /* owned; NULL while it waits */
	usec_t connected_at; /* when the last connect began */
};

/* One service's. */
struct application {
	struct readiness *readiness; /* borrowed */
	struct list link;
	char *label; /* owned */
	bool is_wanted;
	const struct service *service; /* of the present snapshot */
	struct list probes;            /* owned; none where health checks decide */
	bool is_ready;
	char why[ADDRESS_TEXT_MAX + 128];
};

struct readiness {
	struct loop *loop; /* borrowed */
	struct list applications;
	struct snapshot *snapshot; /* owned reference; NULL: none yet */
	struct timer look;
	readiness_wants_fn wants;
	usec_t every;
	void (*changed)(void *arg);
	void *arg; /* borrowed */
};

static bool is_checked(const struct service *service)
{
	return service->config->policy.health.type != HEALTH_NONE;
}

/* --- the verdict --- */

/* How many of an application's endpoints are what. */
struct count {
	size_t up, unknown;
};

static struct count count_checked(const struct service *service)
{
	struct count n = {0};

	for (size_t i = 0; i < service->n_endpoints; i++) {
		int health = atomic_load_explicit(
		    &service->endpoint_tallies[i]->health, memory_order_relaxed);

		if (service->endpoints[i].is_disabled)
			continue;
		n.up += health == (int)HEALTH_UP;
		n.unknown += health == (int)HEALTH_UNKNOWN;
	}
	return n;
}

static struct count count_probed(const struct application *a)
{
	struct count n = {0};

	list_each (link, &a->probes) {
		const struct probe *p = list_item(link, struct probe, link);

		n.up += p->answer == ANSWER_UP;
		n.unknown += p->answer == ANSWER_UNKNOWN;
	}
	return n;
}

static void say_why_not(struct application *a, size_t unknown)
{
	const struct probe *first;

	if (a->service->n_endpoints == 0) {
		snprintf(a->why, sizeof a->why, "no endpoint of the application is known");
	} else if (a->service->groups[0].is_disabled) {
		snprintf(a->why, sizeof a->why,
		    "every endpoint of the application is disabled by an operator");
	} else if (is_checked(a->service)) {
		snprintf(a->why, sizeof a->why,
		    unknown ? "no health check of the application has passed yet"
			    : "health checks find the application down");
	} else {
		first = list_item(a->probes.next, struct probe, link);
		snprintf(a->why, sizeof a->why, "the application does not answer at %s%s%s",
		    first->address.text, first->error ? ": " : " yet",
		    first->error ? strerror(first->error) : "");
	}
}

static void judge(struct application *a)
{
	struct count n = is_checked(a->service) ? count_checked(a->service) : count_probed(a);
	bool is_ready = n.up > 0 || (a->is_ready && n.unknown > 0);
	bool is_other = is_ready != a->is_ready;

	a->is_ready = is_ready;
	if (is_ready)
		a->why[0] = '\0';
	else
		say_why_not(a, n.unknown);
	if (is_other)
		a->readiness->changed(a->readiness->arg);
}

/* --- connecting --- */

static void connect_now(struct probe *p);

static void on_time(struct timer *timer, usec_t now)
{
	(void)now;
	connect_now(container_of(timer, struct probe, timer));
}

static void wait_for_next(struct probe *p)
{
	const struct readiness *r = p->application->readiness;

	if (p->conn)
		conn_close(&p->conn);
	wheel_set(loop_wheel(r->loop), &p->timer, usec_after(p->connected_at, r->every), on_time);
}

static void answered(struct probe *p)
{
	wait_for_next(p);
	p->failures = 0;
	p->error = 0;
	p->answer = ANSWER_UP;
	judge(p->application);
}

static void failed(struct probe *p, int error)
{
	bool is_sure = error == ECONNREFUSED || error == ENOENT;

	wait_for_next(p);
	if (conn_error_is_ours(error))
		return;
	p->error = error;
	if (++p->failures >= FAILURES || is_sure)
		p->answer = ANSWER_DOWN;
	judge(p->application);
}

static void patience_ends(struct timer *timer, usec_t now)
{
	(void)now;
	failed(container_of(timer, struct probe, timer), ETIMEDOUT);
}

/* An application that wants to be told who is there hears that it is only us. */
static void introduce(const struct probe *p)
{
	int error;

	if (p->application->service->config->metadata.type == METADATA_PROXY_V2)
		introduction_write(NULL, SLICE_NONE, p->conn, &error);
}

static void on_connected(void *arg)
{
	introduce(arg);
	answered(arg);
}

static void on_closed(void *arg, int error)
{
	failed(arg, error);
}

/* Between `connected` and these the connection is closed already. */
static void on_input(void *arg, struct slice in)
{
	(void)arg;
	(void)in;
}

static void on_nothing(void *arg)
{
	(void)arg;
}

static const struct conn_events probe_events = {
    .connected = on_connected,
    .input = on_input,
    .eof = on_nothing,
    .closed = on_closed,
    .drained = on_nothing,
};

static void connect_now(struct probe *p)
{
	struct loop *loop = p->application->readiness->loop;
	int error = 0;

	p->connected_at = loop_now(loop);
	switch (conn_connect(loop, &p->address, &probe_events, p, &p->conn, &error)) {
	case CONN_READY:
		introduce(p);
		answered(p);
		break;
	case CONN_BACKLOG: /* it listens, and has more to do than it can */
		answered(p);
		break;
	case CONN_PENDING:
		wheel_set(loop_wheel(loop), &p->timer,
		    usec_after(p->connected_at, READINESS_TIMEOUT), patience_ends);
		break;
	case CONN_FAILED:
		failed(p, error);
		break;
	}
}

/* --- which --- */

static void probe_free(struct probe *p)
{
	wheel_clear(&p->timer);
	if (p->conn)
		conn_close(&p->conn);
	list_remove(&p->link);
	free(p);
}

static void application_free(struct application *a)
{
	list_each_safe (link, &a->probes)
		probe_free(list_item(link, struct probe, link));
	list_remove(&a->link);
	free(a->label);
	free(a);
}

static struct application *find(const struct readiness *r, struct slice label)
{
	list_each (link, &r->applications) {
		struct application *a = list_item(link, struct application, link);

		if (slice_eq_str(label, a->label))
			return a;
	}
	return NULL;
}

static struct application *find_or_add(struct readiness *r, const struct service *service)
{
	struct application *a = find(r, service->label);

	if (a)
		return a;
	a = mem_calloc(1, sizeof *a);
	a->readiness = r;
	a->label = slice_dup(service->label);
	list_init(&a->probes);
	list_push_back(&r->applications, &a->link);
	return a;
}

static void want_probe(struct application *a, const struct address *address)
{
	struct probe *p;

	list_each (link, &a->probes) {
		p = list_item(link, struct probe, link);
		if (strcmp(p->address.text, address->text) == 0) {
			p->is_wanted = true;
			return;
		}
	}
	p = mem_calloc(1, sizeof *p);
	p->application = a;
	p->address = *address;
	p->is_wanted = true;
	list_push_back(&a->probes, &p->link);
	/* Not from here: what it finds is to be judged with all of them in place. */
	wheel_set(loop_wheel(a->readiness->loop), &p->timer, loop_now(a->readiness->loop), on_time);
}

static void follow_service(struct readiness *r, const struct service *service)
{
	struct application *a = find_or_add(r, service);

	a->is_wanted = true;
	a->service = service;
	list_each (link, &a->probes)
		list_item(link, struct probe, link)->is_wanted = false;
	for (size_t i = 0; i < service->n_endpoints && !is_checked(service); i++)
		if (!service->endpoints[i].is_disabled)
			want_probe(a, &service->endpoints[i].address);
	list_each_safe (link, &a->probes)
		if (!list_item(link, struct probe, link)->is_wanted)
			probe_free(list_item(link, struct probe, link));
	judge(a);
}

static void look_at_checks(struct timer *timer, usec_t now)
{
	struct readiness *r = container_of(timer, struct readiness, look);
	bool has_checks = false;

	list_each (link, &r->applications) {
		struct application *a = list_item(link, struct application, link);

		if (!is_checked(a->service))
			continue;
		has_checks = true;
		judge(a);
	}
	if (has_checks)
		wheel_set(
		    loop_wheel(r->loop), timer, usec_after(now, READINESS_LOOK), look_at_checks);
}

void readiness_follow(struct readiness *r, struct snapshot *snapshot)
{
	struct snapshot *before = r->snapshot;

	list_each (link, &r->applications)
		list_item(link, struct application, link)->is_wanted = false;
	for (size_t i = 0; i < snapshot->n_services; i++) {
		const struct service *service = &snapshot->services[i];

		if (r->wants(snapshot, service))
			follow_service(r, service);
	}
	list_each_safe (link, &r->applications)
		if (!list_item(link, struct application, link)->is_wanted)
			application_free(list_item(link, struct application, link));
	r->snapshot = snapshot_ref(snapshot);
	if (before)
		snapshot_unref(&before);
	if (!timer_is_set(&r->look))
		look_at_checks(&r->look, loop_now(r->loop));
}

bool readiness_for_registration(const struct snapshot *snapshot, const struct service *service)
{
	const struct register_config *wish = &service->config->registration;

	(void)snapshot;
	return wish->n_in && !wish->always;
}

bool readiness_is_ready(const struct readiness *r, struct slice label, const char **why)
{
	const struct application *a = find(r, label);

	*why = a ? a->why : "the application has not been asked yet";
	return a && a->is_ready;
}

bool readiness_all_ready(const struct readiness *r, const char **why)
{
	*why = "";
	list_each (link, &r->applications) {
		const struct application *a = list_item(link, struct application, link);

		if (a->is_ready)
			continue;
		*why = a->why;
		return false;
	}
	return true;
}

struct readiness *readiness_new(struct loop *loop, readiness_wants_fn wants, usec_t every,
    void (*changed)(void *arg), void *arg)
{
	struct readiness *r = mem_calloc(1, sizeof *r);

	r->loop = loop;
	r->wants = wants;
	r->every = every;
	r->changed = changed;
	r->arg = arg;
	list_init(&r->applications);
	return r;
}

void readiness_free(struct readiness **pr)
{
	struct readiness *r = *pr;

	if (r == NULL)
		return;
	*pr = NULL;
	wheel_clear(&r->look);
	list_each_safe (link, &r->applications)
		application_free(list_item(link, struct application, link));
	if (r->snapshot)
		snapshot_unref(&r->snapshot);
	free(r);
}
