/*
 * Callers and endpoints that do anything at any time, by a seeded generator. Each call has a number
 * of its own in its text, which its reply repeats, so that a reply can be told to be the call's.
 * SIM_SEED=n in the environment runs other seeds, SIM_RUN=n one of the setups alone.
 */
#include <stdio.h>
#include <stdlib.h>

#include <check.h>

#include "base/mem.h"
#include "base/rng.h"
#include "net/conn.h"
#include "net/loop.h"
#include "proxy/backend.h"
#include "proxy/call.h"
#include "proxy/downstream.h"
#include "proxy/upstream.h"
#include "support/sim.h"
#include "support/suite.h"
#include "wire/proxy_v2.h"

#define STEPS       4000
#define RUNS        16
#define CARRYING    13 /* the first run in which bodies carry metadata */
#define CALLERS     12
#define CONNECTIONS 400
#define PENDING     64 /* calls on one connection */
#define TIME_MS     200
#define ANY_ORDER   1u
#define MESSAGE_MAX (600u * 1024)
#define CALLS_MAX   (STEPS * CALLERS)
#define INTRODUCED  11 /* the setups from here on want to know who is behind a connection */

#define TIMES      "timeout: {call: 200ms, connect: 50ms, attempt: 100ms}, pool: {keep: 4}, "
#define ANY_METHOD "methods: {'*': {idempotent: true}}, "
#define OTHER                                                                                      \
	"other: {endpoints: ['10.0.9.1:80'], timeout: {call: 100ms, connect: 20ms}, pool: {keep: 4}}"
#define OTHER_INTRODUCED                                                                           \
	"other: {endpoints: ['10.0.9.1:80'], timeout: {call: 100ms, connect: 20ms}, pool: {keep: " \
	"4}, metadata: proxy_v2}"
#define OTHER_CARRIES                                                                              \
	"other: {endpoints: ['10.0.9.1:80'], timeout: {call: 100ms, connect: 20ms}, "              \
	"pool: {keep: 4}, metadata: 'argfield:9', protocol: buffered}"

/* What is on its way out of a far end, sent in pieces. */
struct outbox {
	uint8_t *data;
	size_t len, at;
};

struct caller {
	struct fake_end *end;
	struct outbox out;
	unsigned number;            /* of the connection */
	bool in_any_order, is_done; /* it will say nothing more */
	int ids[PENDING];           /* calls that have no reply yet, oldest first */
	unsigned n;
};

struct endpoint_side {
	struct fake_end *end;
	struct outbox out;
	bool is_shared, is_done;
	bool is_introduced;
	unsigned owner; /* whose calls it carries, where it was introduced; 0: none came yet */
	struct sim_heard calls[PENDING];
	int ids[PENDING];
	unsigned n;
};

static struct {
	struct rng rng;
	unsigned long seed;
	const struct sim_setup *setup;
	bool headers_only;                     /* callers speak TTHeader alone */
	bool is_introducing;                   /* connections begin with a PROXY header */
	unsigned n_callers, owners[CALLS_MAX]; /* whose each call is */
	bool carries;                          /* bodies carry metadata */
	struct caller callers[CALLERS];
	struct endpoint_side *connections[CONNECTIONS];
	int next_id;
	unsigned n_good, n_failed;
} soak;

static bool chance(unsigned percent)
{
	return rng_below(&soak.rng, 100) < percent;
}

static unsigned below(unsigned n)
{
	return (unsigned)rng_below(&soak.rng, n);
}

static size_t some_size(void)
{
	return chance(80) ? below(2000) : chance(80) ? below(64000) : below(300000);
}

/* ---- outboxes ---- */

static void out_add(struct outbox *o, const struct sim_frame *f)
{
	size_t len;
	uint8_t *bytes = sim_frame_make(f, &len);

	o->data = mem_realloc(o->data, o->len + len);
	memcpy(o->data + o->len, bytes, len);
	o->len += len;
	free(bytes);
}

static void out_send(struct outbox *o, struct fake_end *end)
{
	size_t left = o->len - o->at, piece = left;

	if (left == 0)
		return;
	if (chance(40))
		piece = 1 + below((unsigned)left);
	fake_send(end, slice_of(o->data + o->at, piece));
	o->at += piece;
	if (o->at == o->len) {
		free(o->data);
		*o = (struct outbox){0};
	}
}

static void end_somehow(struct fake_end *end, bool *is_done)
{
	unsigned how = below(4);

	if (how == 0)
		fake_half_close(end);
	else if (how == 1)
		fake_reset(end);
	else
		fake_close(end);
	*is_done = true;
}

static void change_window(struct fake_end *end)
{
	fake_take(end, chance(60) ? FAKE_ALL : below(3000));
}

/* What a body carries, if any does; none at all of them. */
static const char *some_base(const char *const *list, size_t n)
{
	return soak.carries && chance(80) ? list[below((unsigned)n)] : NULL;
}

/* ---- callers ---- */

static const char *const bases[] = {
    "",
    "mine=1",
    "@1=log @2=cart RPC_PERSIST_X=y",
    "@2=cart rpc-deadline=1700000003000",
    "@2=front destination-service=app destination-method=Echo RPC_TRANSIT_T=1",
};

static void new_call(struct caller *c)
{
	static const enum sim_form forms[] = {
	    FRAMED, BUFFERED, TTHEADER, TTHEADER_FRAMED, FRAMED, TTHEADER};
	struct sim_frame f = {.kind = CALL};
	char text[32];
	int id = soak.next_id++;

	soak.owners[id] = c->number;
	if (c->n == PENDING)
		return;
	f.form = forms[below(ARRAY_LEN(forms))];
	if (c->in_any_order || soak.headers_only)
		f.form = chance(50) ? TTHEADER : TTHEADER_FRAMED;
	if (c->in_any_order && chance(90))
		f.flags = ANY_ORDER;
	if (chance(10))
		f.kind = ONEWAY;
	if (chance(20))
		f.keys = chance(50) ? "12=50 3=soak" : "12=1000 RPC_PERSIST_X=1";
	f.base = some_base(bases, ARRAY_LEN(bases));
	f.seq = id;
	f.fill = some_size();
	snprintf(text, sizeof text, "c%d:", id);
	f.text = text;
	out_add(&c->out, &f);
	if (f.kind == CALL)
		c->ids[c->n++] = id;
}

/* The call that a reply is for. */
static void take_id(struct caller *c, const struct sim_heard *r)
{
	unsigned i = 0;

	if (c->in_any_order)
		while (i < c->n && c->ids[i] != (r->kind == REPLY ? r->seq : r->outer))
			i++;
	ck_assert_msg(i < c->n, "seed %lu: a reply to no call: %d", soak.seed, r->outer);
	if (r->kind == REPLY || !slice_starts(r->text, SLICE_LIT("bridled: "))) {
		char text[32];

		snprintf(text, sizeof text, "r%d:", c->ids[i]);
		ck_assert_msg(slice_starts(r->text, slice_str(text)),
		    "seed %lu: a foreign reply: %.*s, not %s", soak.seed,
		    (int)(r->text.len < 40 ? r->text.len : 40), (const char *)r->text.data, text);
		ck_assert_msg(r->kind != REPLY || sim_text_is(r->text, text, r->text.len),
		    "seed %lu: a reply whose body is not what was sent", soak.seed);
		soak.n_good++;
	} else {
		soak.n_failed++;
	}
	c->n--;
	memmove(&c->ids[i], &c->ids[i + 1], (c->n - i) * sizeof c->ids[0]);
}

static void caller_hears(struct caller *c)
{
	static struct sim_heard r;
	size_t used;

	while ((used = sim_frame_read(fake_received(c->end), &r)) > 0) {
		ck_assert(r.kind == REPLY || r.kind == EXCEPTION);
		take_id(c, &r);
		fake_consume(c->end, used);
	}
}

static void forget_caller(struct caller *c)
{
	caller_hears(c);
	fake_forget(c->end);
	free(c->out.data);
	*c = (struct caller){0};
}

static void caller_acts(struct caller *c)
{
	if (c->end && fake_is_over(c->end))
		forget_caller(c);
	if (c->end == NULL) {
		c->end = chance(30) ? dial_local(1000) : dial_to("local");
		c->in_any_order = chance(40);
		c->number = ++soak.n_callers;
	}
	if (chance(30))
		caller_hears(c);
	if (c->is_done)
		return;
	if (chance(40))
		new_call(c);
	if (chance(70))
		out_send(&c->out, c->end);
	if (chance(3))
		change_window(c->end);
	if (chance(1))
		end_somehow(c->end, &c->is_done);
}

/* ---- endpoints ---- */

/* False: the header that it begins with is not whole yet. */
static bool is_introduced(struct endpoint_side *e)
{
	struct proxy_v2_head head;
	enum proxy_v2_result result;

	if (e->is_introduced || !soak.is_introducing)
		return true;
	result = proxy_v2_read(fake_received(e->end), &head);
	ck_assert_int_ne(result, PROXY_V2_BAD);
	if (result == PROXY_V2_MORE)
		return false;
	ck_assert_int_eq(head.command, PROXY_V2_PROXY);
	fake_consume(e->end, head.len);
	e->is_introduced = true;
	return true;
}

/* It carries the calls of one caller. */
static void check_owner(struct endpoint_side *e, int id)
{
	unsigned owner = soak.owners[id];

	if (!soak.is_introducing)
		return;
	ck_assert_msg(e->owner == 0 || e->owner == owner,
	    "seed %lu: a call of another caller on a connection that is not its own", soak.seed);
	e->owner = owner;
}

static void endpoint_hears(struct endpoint_side *e)
{
	size_t used;

	if (!is_introduced(e))
		return;
	while (e->n < PENDING) {
		struct sim_heard *r = &e->calls[e->n];

		used = sim_frame_read(fake_received(e->end), r);
		if (used == 0)
			return;
		ck_assert_msg(r->text.len > 2 && r->text.data[0] == 'c',
		    "seed %lu: an endpoint heard no call", soak.seed);
		ck_assert(r->kind == CALL || r->kind == ONEWAY);
		e->ids[e->n] = atoi((const char *)r->text.data + 1);
		check_owner(e, e->ids[e->n]);
		e->is_shared |= r->flags & ANY_ORDER && r->seq != e->ids[e->n];
		e->n += r->kind == CALL || chance(30); /* some answer oneways */
		fake_consume(e->end, used);
	}
}

static void drop_pending(struct endpoint_side *e, unsigned i)
{
	e->n--;
	memmove(&e->calls[i], &e->calls[i + 1], (e->n - i) * sizeof e->calls[0]);
	memmove(&e->ids[i], &e->ids[i + 1], (e->n - i) * sizeof e->ids[0]);
}

static const char *const base_resps[] = {"", "@2=0", "@1=poor @2=7 K=v", "@2=-8"};

static void answer(struct endpoint_side *e)
{
	unsigned i = e->is_shared ? below(e->n) : 0, how = below(100);
	const struct sim_heard *call = &e->calls[i];
	struct sim_frame f = {.form = call->form,
	    .kind = REPLY,
	    .seq = call->seq,
	    .outer = call->outer ? call->outer : OUTER_ZERO,
	    .method = call->method,
	    .fill = some_size(),
	    .base = some_base(base_resps, ARRAY_LEN(base_resps))};
	char text[32];

	snprintf(text, sizeof text, "r%d:", e->ids[i]);
	f.text = text;
	if (how < 3)
		f.seq += 1000000;
	else if (how < 6)
		f.method = "Other";
	else if (how < 12)
		f = (struct sim_frame){.form = f.form,
		    .kind = EXCEPTION,
		    .seq = how < 9 ? 0 : f.seq,
		    .outer = f.outer,
		    .method = f.method,
		    .text = f.text,
		    .id = how < 9 ? 7 : 6};
	else if (how < 15)
		f.keys = "crrst=1 k=v";
	else if (how < 17)
		f.outer = 424242;
	out_add(&e->out, &f);
	if (how >= 97) /* twice */
		out_add(&e->out, &f);
	drop_pending(e, i);
}

static void say_junk(struct endpoint_side *e)
{
	uint8_t junk[64];

	for (size_t i = 0; i < sizeof junk; i++)
		junk[i] = (uint8_t)below(256);
	fake_send(e->end, slice_of(junk, 1 + below(sizeof junk)));
}

static void endpoint_acts(struct endpoint_side *e)
{
	if (chance(50))
		fake_connected(e->end); /* if it hangs */
	endpoint_hears(e);
	if (e->is_done)
		return;
	if (e->n && chance(70))
		answer(e);
	if (chance(70))
		out_send(&e->out, e->end);
	if (chance(3))
		change_window(e->end);
	if (below(1000) < 5 && e->out.at == 0) /* within a message it might make another one */
		say_junk(e);
	if (chance(2))
		end_somehow(e->end, &e->is_done);
	else if (chance(1) && e->n)
		drop_pending(e, 0); /* and never answers it */
}

static void forget_endpoint(struct endpoint_side **at)
{
	fake_forget((*at)->end);
	free((*at)->out.data);
	free(*at);
	*at = NULL;
}

static void accept_all(void)
{
	for (size_t i = 0; i < CONNECTIONS; i++) {
		struct endpoint_side **at = &soak.connections[i];
		struct fake_end *end;

		if (*at && fake_is_over((*at)->end))
			forget_endpoint(at);
		if (*at)
			continue;
		end = fake_accept(sim_loop());
		if (end == NULL)
			continue;
		*at = mem_calloc(1, sizeof **at);
		(*at)->end = end;
	}
}

/* ---- what must always hold ---- */

static void check_calls(const struct list *calls)
{
	list_each (link, calls) {
		const struct call *call = list_item(link, struct call, link);

		/* What is answered may still have its own body read and thrown away. */
		ck_assert_msg(call->deadline.at == 0 || call->reply_is_begun ||
				  call->waits_for_turn ||
				  sim_now() <= call->deadline.at + 10 * USEC_MS,
		    "seed %lu: a call is late", soak.seed);
	}
}

static void check_connections(const struct list *list)
{
	list_each (link, list) {
		const struct upstream *u = list_item(link, struct upstream, link);

		ck_assert_uint_le(conn_pending(u->conn), CONN_HIGH_WATER + MESSAGE_MAX);
	}
}

static void check_everything(void)
{
	struct worker *w = sim_worker();
	struct backend *b;
	size_t position = 0;

	list_each (link, &w->downstreams) {
		const struct downstream *d = list_item(link, struct downstream, link);

		check_calls(&d->calls);
		ck_assert_uint_le(d->ahead_len, DOWNSTREAM_AHEAD + LOOP_READ_BUFFER);
		ck_assert_uint_le(d->n_calls, d->listener->in_flight);
		ck_assert_uint_le(conn_pending(d->conn), DOWNSTREAM_QUEUE_MAX + 2 * MESSAGE_MAX);
	}
	check_calls(&w->orphans);
	while ((b = table_next(&w->backends, &position))) {
		check_connections(&b->idle);
		check_connections(&b->busy);
		check_connections(&b->shared);
		check_connections(&b->oneways);
		ck_assert_uint_le(counter_get(&b->n_idle), 4);
		ck_assert_uint_le(b->n_discarding, BACKEND_DISCARDING_MAX);
	}
}

/* ---- a run ---- */

static void disturb(void)
{
	static const enum fake_connect kinds[] = {
	    FAKE_HANGS, FAKE_REFUSED, FAKE_NO_DESCRIPTOR, FAKE_HANGS, FAKE_BACKLOG};
	struct sim_setup setup = *soak.setup;
	unsigned kind = below(ARRAY_LEN(kinds));

	if (chance(5) && (kinds[kind] != FAKE_BACKLOG || setup.is_local))
		fake_script(sim_loop(), kinds[kind], 1 + below(3));
	if (below(1000) < 3) {
		setup.first = 1 + below(3);
		setup.local = soak.is_introducing && chance(50) ? "caller: node" : NULL;
		sim_reload(&setup);
	}
}

static void step(void)
{
	disturb();
	accept_all();
	for (size_t i = 0; i < CALLERS; i++)
		if (chance(30))
			caller_acts(&soak.callers[i]);
	for (size_t i = 0; i < CONNECTIONS; i++)
		if (soak.connections[i] && chance(40))
			endpoint_acts(soak.connections[i]);
	if (chance(50))
		fake_turn(sim_loop());
	else
		pass(below(12));
}

static void begin(int run)
{
	static const struct sim_setup setups[] = {
	    {.service = "timeout: {call: 200ms, connect: 50ms}, pool: {keep: 4}", .endpoints = 3},
	    {.service =
		    "timeout: {call: 200ms, connect: 50ms}, pool: {keep: 4, idle_timeout: 100ms},"
		    " multiplex: true",
		.endpoints = 2},
	    {.service = "timeout: {call: 200ms, attempt: 150ms}, pool: {keep: 2}, protocol: framed",
		.endpoints = 2,
		.is_local = true},
	    {.service =
		    "timeout: {call: 200ms, connect: 50ms}, pool: {keep: 4}, protocol: ttheader,"
		    " multiplex: true",
		.endpoints = 2,
		.is_local = true},
	    {.service =
		    "timeout: {call: 200ms, connect: 50ms}, pool: {keep: 4}, protocol: buffered",
		.endpoints = 2},
	    {.service = TIMES ANY_METHOD
		"retry: {type: mixed, delay: 10ms, attempts: 3, backoff: 3ms, budget: none, on: "
		"[connect, unsent, reset, timeout, 'exception:6,7']}",
		.endpoints = 3},
	    {.service = TIMES ANY_METHOD "multiplex: true, routes: [{mirror: {service: other}}], "
					 "retry: {type: backup, delay: 5ms, budget: none}",
		.services = OTHER,
		.endpoints = 2},
	    {.service = TIMES ANY_METHOD "retry: fork, routes: [{mirror: {service: other}}], "
					 "fallback: {on: [any], to: {service: other}}",
		.services = OTHER,
		.endpoints = 3},
	    {.service = TIMES ANY_METHOD "retry: broadcast, "
					 "limit: {concurrency: 4, queue: {length: 6, wait: 30ms}}",
		.endpoints = 2,
		.is_local = true},
	    {.service = TIMES ANY_METHOD
		"retry: {on: [connect, unsent, reset], attempts: 4}, "
		"breaker: {min_samples: 20, window: 1s, open: 100ms}, degrade: 5%, "
		"fallback: {on: [timeout, breaker], to: {service: other}}",
		.services = OTHER,
		.endpoints = 3},
	    {.service = TIMES
		"protocol: framed, limit: {rate: 300/s, concurrency: 3, queue: "
		"{length: 20, wait: 100ms}, share: equal}, "
		"routes: [{match: {percent: 20%}, fault: {delay: {for: 20ms, percent: 50%}, "
		"abort: {exception: 6, percent: 10%}}, set: {meta.a: b}}]",
		.endpoints = 2},
	    {.service = "timeout: {call: 200ms, connect: 50ms}, metadata: proxy_v2, "
			"pool: {keep: 4, connections: 6}",
		.endpoints = 2,
		.is_local = true},
	    {.service = TIMES ANY_METHOD
		"metadata: proxy_v2, routes: [{mirror: {service: other}}], "
		"retry: {on: [connect, unsent, reset, timeout], attempts: 3, budget: none}",
		.services = OTHER_INTRODUCED,
		.endpoints = 3},
	    {.service = TIMES ANY_METHOD
		"metadata: base255, retry: {type: mixed, delay: 10ms, attempts: 3, budget: none, "
		"buffer: 128KiB, on: [connect, unsent, reset, timeout, 'biz:7']}, "
		"eject: {on: [reset, 'biz:-8'], for: 50ms}, routes: [{mirror: {service: other}}], "
		"fallback: {on: [any], to: {service: other}}",
		.services = OTHER_CARRIES,
		.endpoints = 3},
	    {.service = TIMES ANY_METHOD
		"protocol: framed, metadata: {type: base255, merge: replace}, retry: fork, "
		"routes: [{mirror: {service: other}, set: {meta.a: b, header.own: c}}]",
		.services = OTHER_CARRIES,
		.top = "limits: {memory: 1MiB}",
		.endpoints = 2,
		.is_local = true},
	    {.service = TIMES ANY_METHOD
		"protocol: ttheader, multiplex: true, metadata: base255, "
		"retry: {on: [connect, unsent, reset, 'biz:7'], attempts: 2, budget: none}, "
		"limit: {rate: 300/s, concurrency: 3, by: caller, "
		"queue: {length: 20, wait: 100ms}}",
		.endpoints = 2},
	};
	const char *seed = getenv("SIM_SEED");

	soak.seed = (seed ? strtoul(seed, NULL, 10) : 1) * 1000 + (unsigned)run;
	soak.setup = &setups[(size_t)run % ARRAY_LEN(setups)];
	soak.headers_only = soak.setup == &setups[1] || soak.setup == &setups[6];
	soak.is_introducing = (size_t)run % ARRAY_LEN(setups) >= INTRODUCED && run < CARRYING;
	soak.carries = run >= CARRYING;
	soak.next_id = 1;
	rng_init(&soak.rng, soak.seed);
	printf("seed %lu\n", soak.seed); /* in the log of a run that crashes, too */
	fflush(stdout);
	sim_start(soak.setup);
}

static void clean_up(void)
{
	for (size_t i = 0; i < CALLERS; i++)
		free(soak.callers[i].out.data);
	for (size_t i = 0; i < CONNECTIONS; i++) {
		if (soak.connections[i])
			free(soak.connections[i]->out.data);
		free(soak.connections[i]);
	}
}

START_TEST(no_reply_is_foreign_no_call_is_late_and_nothing_is_left_behind)
{
	const char *only = getenv("SIM_RUN");

	if (only && atoi(only) != _i)
		return;
	begin(_i);
	for (int i = 0; i < STEPS; i++) {
		step();
		if (i % 20 == 0)
			check_everything();
	}
	ck_assert_uint_gt(soak.n_good, STEPS / 20);
	ck_assert_uint_gt(soak.n_failed, 0);
	clean_up();
	if (_i % 2)
		sim_stop(); /* in the middle of it; else the fixture lets all of them end */
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {no_reply_is_foreign_no_call_is_late_and_nothing_is_left_behind, RUNS},
	};

	return suite_run_between("sim_soak", tests, ARRAY_LEN(tests), NULL, sim_end);
}
