#include "proxy/correlation.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/table.h"
#include "net/process.h"

/* How long calls may run that were sent before anybody counted, and whose end was not seen. */
#define UNSEEN_TIME (30 * USEC_S)

struct correlation {
	pthread_mutex_t lock; /* guards all of it */
	struct table processes;
	uint64_t last_serial;
	unsigned n_blind; /* worlds whose calls do not count */
	usec_t blind_until;
	bool is_shared;
	int sharer; /* owned: a process that is not to be there; -1 */
};

/* Those without users stay for as long as something may still run in them. */
struct correlation_process {
	pid_t pid; /* in the table: its key */
	uid_t uid;
	int process;     /* owned descriptor; -1 */
	uint64_t serial; /* no other has it */
	unsigned users;  /* connections and flights */
	struct list flights;
	unsigned n_flights;
	usec_t blind_until;
	bool is_listed; /* in the table; another process may have its number by now */
	char label[CORRELATION_LABEL_MAX];
};

const char *correlation_result_name(enum correlation_result result)
{
	static const char *const names[CORRELATION_COUNTED] = {
	    [CORRELATION_TIED] = "tied",
	    [CORRELATION_NONE] = "none",
	    [CORRELATION_SEVERAL] = "several",
	    [CORRELATION_LARGE] = "large",
	};

	return names[result];
}

/* ---- what is handed on ---- */

struct correlated *correlated_new(size_t size)
{
	struct correlated *correlated = mem_alloc(sizeof *correlated + size);

	memset(correlated, 0, sizeof *correlated);
	ref_init(&correlated->refs);
	correlated->until = correlated->what.timeout = USEC_NONE;
	return correlated;
}

void correlated_unref(struct correlated **p)
{
	struct correlated *correlated = *p;

	*p = NULL;
	if (correlated && ref_drop(&correlated->refs))
		free(correlated);
}

/* ---- the table ---- */

struct correlation *correlation_new(void)
{
	struct correlation *c = mem_calloc(1, sizeof *c);

	pthread_mutex_init(&c->lock, NULL);
	table_init(&c->processes, 0);
	c->sharer = -1;
	return c;
}

static struct slice key_of(const pid_t *pid)
{
	return slice_of(pid, sizeof *pid);
}

static void unlist(struct correlation *c, struct correlation_process *p)
{
	if (p->is_listed)
		table_remove(&c->processes, key_of(&p->pid));
	p->is_listed = false;
}

static void free_process(struct correlation *c, struct correlation_process *p)
{
	unlist(c, p);
	if (p->process >= 0)
		close(p->process);
	free(p);
}

static void free_unused(struct correlation *c, usec_t now)
{
	size_t at = 0;
	struct correlation_process *p;

	while ((p = table_next(&c->processes, &at)) != NULL) {
		if (p->users || p->blind_until > now)
			continue;
		free_process(c, p);
		at = 0; /* the table has changed */
	}
}

void correlation_free(struct correlation **p)
{
	struct correlation *c = *p;

	*p = NULL;
	free_unused(c, USEC_NONE);
	assert(c->processes.used == 0);
	table_fini(&c->processes);
	pthread_mutex_destroy(&c->lock);
	if (c->sharer >= 0)
		close(c->sharer);
	free(c);
}

static void be_blind(struct correlation *c, usec_t until)
{
	if (until > c->blind_until)
		c->blind_until = until;
}

void correlation_begin_blind(struct correlation *c)
{
	pthread_mutex_lock(&c->lock);
	c->n_blind++;
	pthread_mutex_unlock(&c->lock);
}

void correlation_end_blind(struct correlation *c, usec_t now)
{
	pthread_mutex_lock(&c->lock);
	if (--c->n_blind == 0)
		be_blind(c, usec_after(now, UNSEEN_TIME));
	pthread_mutex_unlock(&c->lock);
}

void correlation_share(struct correlation *c, bool is_shared, usec_t now)
{
	pthread_mutex_lock(&c->lock);
	if (c->is_shared && !is_shared)
		be_blind(c, usec_after(now, UNSEEN_TIME));
	c->is_shared = is_shared;
	pthread_mutex_unlock(&c->lock);
}

void correlation_share_with(struct correlation *c, int process, usec_t until)
{
	pthread_mutex_lock(&c->lock);
	c->sharer = process;
	if (process < 0 || until != USEC_NONE)
		be_blind(c, until);
	pthread_mutex_unlock(&c->lock);
}

/* ---- processes ---- */

static struct correlation_process *new_process(
    struct correlation *c, struct conn_process *who, struct slice label, usec_t now)
{
	struct correlation_process *p = mem_calloc(1, sizeof *p);

	free_unused(c, now);
	p->pid = who->pid;
	p->uid = who->uid;
	p->process = who->process;
	who->process = -1;
	p->serial = ++c->last_serial;
	list_init(&p->flights);
	label = slice_first(label, sizeof p->label - 1);
	memcpy(p->label, label.data, label.len);
	p->is_listed = true;
	table_put(&c->processes, key_of(&p->pid), p);
	return p;
}

/* Numbers are given out again, but not while their process is there: if both are, they are one. */
static bool is_same(const struct correlation_process *p, const struct conn_process *who)
{
	return p->uid == who->uid && process_is_alive(p->process);
}

struct correlation_process *correlation_process(
    struct correlation *c, struct conn_process *who, struct slice label, usec_t now)
{
	struct correlation_process *p;

	pthread_mutex_lock(&c->lock);
	p = table_get(&c->processes, key_of(&who->pid));
	if (p && !is_same(p, who)) {
		unlist(c, p);
		if (p->users == 0)
			free_process(c, p);
		p = NULL;
	}
	if (p == NULL)
		p = new_process(c, who, label, now);
	p->users++;
	pthread_mutex_unlock(&c->lock);
	if (who->process >= 0)
		close(who->process);
	who->process = -1;
	return p;
}

/* What may still run in it is remembered, but for one that is gone. */
static void leave(struct correlation *c, struct correlation_process *p)
{
	if (--p->users == 0 && (p->blind_until == 0 || !p->is_listed))
		free_process(c, p);
}

void correlation_leave(struct correlation *c, struct correlation_process **p)
{
	pthread_mutex_lock(&c->lock);
	leave(c, *p);
	pthread_mutex_unlock(&c->lock);
	*p = NULL;
}

/* ---- flights ---- */

void correlation_begin(struct correlation *c, struct correlation_flight *flight,
    struct correlation_process *process, struct correlated *hands_on)
{
	flight->process = process;
	flight->hands_on = hands_on;
	pthread_mutex_lock(&c->lock);
	process->users++;
	process->n_flights++;
	list_push_back(&process->flights, &flight->link);
	pthread_mutex_unlock(&c->lock);
}

void correlation_give_up(
    struct correlation *c, struct correlation_flight *flight, struct correlation_flight *to)
{
	pthread_mutex_lock(&c->lock);
	to->process = flight->process;
	to->hands_on = NULL;
	list_push_back(&to->process->flights, &to->link);
	list_remove(&flight->link);
	pthread_mutex_unlock(&c->lock);
	flight->process = NULL;
	correlated_unref(&flight->hands_on);
}

void correlation_end(struct correlation *c, struct correlation_flight *flight, usec_t blind_until)
{
	struct correlation_process *p = flight->process;

	pthread_mutex_lock(&c->lock);
	list_remove(&flight->link);
	p->n_flights--;
	if (blind_until > p->blind_until)
		p->blind_until = blind_until;
	leave(c, p);
	pthread_mutex_unlock(&c->lock);
	flight->process = NULL;
	correlated_unref(&flight->hands_on);
}

/* ---- asking ---- */

/* What others have sent, or nobody counted, may run where one call is seen. */
static bool is_blind(struct correlation *c, usec_t now)
{
	if (c->sharer >= 0 && !process_is_alive(c->sharer)) {
		close(c->sharer);
		c->sharer = -1;
		be_blind(c, usec_after(now, UNSEEN_TIME));
	}
	return c->is_shared || c->sharer >= 0 || c->n_blind || now < c->blind_until;
}

static enum correlation_result find_flight(struct correlation *c,
    const struct correlation_process *p, usec_t now, struct correlated **found)
{
	struct correlated *hands_on;

	if (p->n_flights == 0)
		return CORRELATION_NONE;
	if (p->n_flights > 1 || now < p->blind_until || is_blind(c, now))
		return CORRELATION_SEVERAL;
	hands_on = list_item(p->flights.next, struct correlation_flight, link)->hands_on;
	if (hands_on == NULL)
		return CORRELATION_NONE;
	if (hands_on->is_large)
		return CORRELATION_LARGE;
	ref_take(&hands_on->refs);
	*found = hands_on;
	return CORRELATION_TIED;
}

enum correlation_result correlation_find(struct correlation *c, struct correlation_asker *asker,
    usec_t now, struct correlated **found, char *label)
{
	enum correlation_result result = CORRELATION_STRANGER;
	struct correlation_process *p;

	pthread_mutex_lock(&c->lock);
	p = table_get(&c->processes, key_of(&asker->pid));
	if (p && p->uid == asker->uid) {
		if (p->serial == asker->proven)
			result = find_flight(c, p, now, found);
		else if (process_is_alive(p->process))
			result = CORRELATION_UNPROVEN;
		asker->proven = p->serial;
		memcpy(label, p->label, sizeof p->label);
	}
	pthread_mutex_unlock(&c->lock);
	return result;
}
