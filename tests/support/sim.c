#include "support/sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "base/mem.h"
#include "net/loop.h"
#include "proxy/backend.h"
#include "proxy/correlation.h"
#include "proxy/slot_queue.h"
#include "proxy/world.h"
#include "support/loaded.h"
#include "support/suite.h"

#define SEED          4711u
#define LINES_MAX     100000u
#define CALLER_TEXT   "192.0.2.7:5555"
#define LONG_ENOUGH_S 120u /* past every default time of a call, a connection, a farewell */

static struct {
	struct loop *loop;
	struct worker *worker, *second; /* second: NULL unless a test wants it */
	struct snapshot *snapshot;      /* the last one: a reference */
	struct tallies *tallies;        /* owned */
	struct list wakes;              /* of struct wake */
	struct loop_work wakes_work;
	bool wakes_wait;
	struct process_shares shares;
	char **lines; /* owned */
	unsigned n_lines, next_line;
	int process;    /* of the next caller on a unix socket; 0: any */
	uint64_t begun; /* calls, of a worker that is gone */
} sim;

/* ---- the world ---- */

static const char *or_nothing(const char *text)
{
	return text ? text : "";
}

static size_t write_endpoints(char *room, size_t size, const struct sim_setup *s)
{
	unsigned first = s->first ? s->first : 1, n = s->endpoints ? s->endpoints : 1;
	size_t len = 0;

	for (unsigned i = first; i < first + n; i++)
		len += (size_t)snprintf(room + len, size - len,
		    s->is_local ? "%s\"unix:/tmp/app-%u.sock\"" : "%s\"10.0.0.%u:80\"",
		    len ? ", " : "", i);
	return len;
}

static void write_text(char *room, size_t size, const struct sim_setup *s)
{
	char endpoints[2048];
	size_t len;

	write_endpoints(endpoints, sizeof endpoints, s);
	len = (size_t)snprintf(room, size, "node: {service: sidecar}\nlisteners:\n");
	if (!s->without_in)
		len += (size_t)snprintf(room + len, size - len,
		    "  - {name: in, address: \"127.0.0.1:1\", service: app%s%s}\n",
		    s->listener ? ", " : "", or_nothing(s->listener));
	snprintf(room + len, size - len,
	    "  - {name: open, address: \"127.0.0.1:2\"}\n"
	    "  - {name: local, address: \"unix:/tmp/local.sock\", service: app%s%s}\n"
	    "services: {app: {endpoints: [%s]%s%s}%s%s}\n%s%s\n",
	    s->local ? ", " : "", or_nothing(s->local), endpoints, s->service ? ", " : "",
	    or_nothing(s->service), s->services ? ", " : "", or_nothing(s->services),
	    s->top && strstr(s->top, "access_log:") ? "" : "access_log: {to: stderr}\n",
	    or_nothing(s->top));
}

static struct endpoint *endpoints_of(const struct service_config *service)
{
	struct endpoint *list = mem_calloc(service->n_endpoints, sizeof *list);

	for (size_t i = 0; i < service->n_endpoints; i++) {
		list[i].address = service->endpoints[i].address;
		list[i].weight = service->endpoints[i].weight;
	}
	return list;
}

static struct snapshot *new_snapshot(const struct sim_setup *setup)
{
	char text[8192];
	struct loaded loaded;
	struct endpoint_set *sets;
	struct shared_config *shared;
	struct snapshot *snapshot;
	size_t n;

	write_text(text, sizeof text, setup);
	loaded = loaded_from(text);
	n = loaded_config(&loaded)->n_services;
	sets = mem_calloc(n, sizeof *sets);
	for (size_t i = 0; i < n; i++) {
		const struct service_config *service = loaded.config->services[i];

		sets[i].list = endpoints_of(service);
		sets[i].n = setup->is_empty ? 0 : service->n_endpoints;
		sets[i].state = setup->is_empty ? ENDPOINTS_EMPTY : ENDPOINTS_FRESH;
	}
	shared = shared_config_new(loaded.config);
	loaded.config = NULL;
	snapshot = snapshot_new(shared, sets, sim.tallies, NULL, loop_now(sim.loop));
	shared_config_unref(&shared);
	while (n--)
		free((void *)(uintptr_t)sets[n].list);
	free(sets);
	loaded_free(&loaded);
	return snapshot;
}

/* What a worker says to the other. */
struct wake {
	struct list link;
	struct worker *to;
	struct limit_tally *tally; /* a reference */
	uint64_t key;
};

static void deliver_wakes(struct loop_work *work)
{
	struct list *link;

	(void)work;
	while (!sim.wakes_wait && (link = list_pop_front(&sim.wakes))) {
		struct wake *wake = list_item(link, struct wake, link);

		slot_queue_freed(wake->to, wake->tally, wake->key);
		free(wake);
	}
}

static void wake_other(void *arg, unsigned worker, struct limit_tally *tally, uint64_t key)
{
	struct wake *wake = mem_alloc(sizeof *wake);

	(void)arg;
	*wake = (struct wake){.tally = tally, .key = key};
	wake->to = worker == 0 ? sim.worker : sim.second;
	list_push_back(&sim.wakes, &wake->link);
	loop_defer(sim.loop, &sim.wakes_work);
}

static void forget_wakes(void)
{
	struct list *link;

	while ((link = list_pop_front(&sim.wakes))) {
		struct wake *wake = list_item(link, struct wake, link);

		limit_tally_unref(&wake->tally);
		free(wake);
	}
	loop_undefer(&sim.wakes_work);
}

void hold_wakes(bool hold)
{
	sim.wakes_wait = hold;
	loop_defer(sim.loop, &sim.wakes_work);
	fake_settle(sim.loop);
}

static void take_line(void *arg, const char *line, size_t len)
{
	(void)arg;
	ck_assert_uint_lt(sim.n_lines, LINES_MAX);
	sim.lines[sim.n_lines++] = slice_dup(slice_of(line, len));
}

void sim_start(const struct sim_setup *setup)
{
	struct snapshot *snapshot;

	sim.lines = mem_calloc(LINES_MAX, sizeof *sim.lines);
	sim.loop = fake_loop_new();
	sim.tallies = tallies_new();
	sim.shares.correlation = correlation_new();
	snapshot = new_snapshot(setup);
	sim.worker = worker_new(0, sim.loop, &sim.shares, snapshot, SEED);
	sim.worker->access_sink = take_line;
	sim.snapshot = snapshot;
	list_init(&sim.wakes);
	sim.wakes_work.run = deliver_wakes;
}

void start_second_worker(void)
{
	sim.second = worker_new(1, sim.loop, &sim.shares, sim.snapshot, SEED + 1);
	sim.second->access_sink = take_line;
	sim.worker->wake = sim.second->wake = wake_other;
}

uint64_t running(const char *limit)
{
	const struct config *config = sim.snapshot->config;

	for (size_t i = 0; i < config->n_policies * LEVELS; i++) {
		const struct limit_config *c = config->policies[i / LEVELS]->limits[i % LEVELS];
		struct limit_tally *tally = sim.snapshot->guards[i / LEVELS].limits[i % LEVELS];

		if (tally && c && strcmp(c->at, limit) == 0)
			return limit_running(tally);
	}
	ck_abort_msg("there is no %s", limit);
	return 0;
}

/* Whatever became of calls, they hold nothing. */
static void check_limits(void)
{
	const struct config *config = sim.snapshot->config;

	for (size_t i = 0; i < config->n_policies * LEVELS; i++) {
		struct limit_tally *tally = sim.snapshot->guards[i / LEVELS].limits[i % LEVELS];

		if (tally == NULL)
			continue;
		ck_assert_uint_eq(limit_running(tally), 0);
		ck_assert_int_eq(limit_longest_waiting(tally), -1);
	}
}

void sim_reload(const struct sim_setup *setup)
{
	struct snapshot *snapshot = new_snapshot(setup);

	worker_adopt(sim.worker, snapshot);
	if (sim.second)
		worker_adopt(sim.second, snapshot);
	snapshot_unref(&sim.snapshot);
	sim.snapshot = snapshot;
	fake_settle(sim.loop);
}

void end_worker(void)
{
	sim.begun = sim.worker->next_call;
	sim.worker->wake = NULL;
	if (sim.second) {
		sim.begun += sim.second->next_call;
		sim.second->wake = NULL;
	}
	forget_wakes();
	worker_free(&sim.worker);
	if (sim.second)
		worker_free(&sim.second);
	check_limits();
	snapshot_unref(&sim.snapshot);
	fake_settle(sim.loop);
}

static void stop(bool is_all_logged)
{
	if (sim.worker)
		end_worker();
	fake_sleep(sim.loop, LONG_ENOUGH_S * USEC_S); /* farewells have a patience of their own */
	ck_assert_uint_eq(fake_open(sim.loop), 0);
	/* One line for each call, however it ended. */
	ck_assert(sim.n_lines == sim.begun || !is_all_logged);
	ck_assert_uint_eq(atomic_load(&sim.shares.memory), 0);
	ck_assert_uint_eq(atomic_load(&sim.shares.connections), 0);
	ck_assert_uint_eq(atomic_load(&sim.shares.connecting), 0);
	correlation_free(&sim.shares.correlation);
	tallies_free(&sim.tallies);
	fake_loop_free(&sim.loop);
	while (sim.n_lines)
		free(sim.lines[--sim.n_lines]);
	free(sim.lines);
	sim.next_line = 0;
}

void sim_stop(void)
{
	stop(true);
}

void sim_stop_quietly(void)
{
	stop(false);
}

static uint64_t sum_of(size_t counter)
{
	const struct worker *all[] = {sim.worker, sim.second};
	uint64_t sum = 0;

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (all[i])
			sum +=
			    counter_get((const struct counter *)((const char *)all[i] + counter));
	return sum;
}

void sim_end(void)
{
	if (sim.loop == NULL)
		return;
	if (sim.worker) {
		fake_sleep(sim.loop, LONG_ENOUGH_S * USEC_S);
		ck_assert_uint_eq(sum_of(offsetof(struct worker, calls_running)), 0);
		ck_assert_uint_eq(sum_of(offsetof(struct worker, calls_total)), sim.n_lines);
		ck_assert_uint_eq(in_flight(), 0);
	}
	sim_stop();
}

struct worker *sim_worker(void)
{
	return sim.worker;
}

struct worker *sim_second(void)
{
	return sim.second;
}

bool sim_is_drained(void)
{
	return list_is_empty(&sim.worker->downstreams) && list_is_empty(&sim.worker->orphans);
}

struct loop *sim_loop(void)
{
	return sim.loop;
}

usec_t sim_now(void)
{
	return loop_now(sim.loop);
}

struct service_stats *sim_stats(void)
{
	return worker_service_stats(sim.worker, SLICE_LIT("app"));
}

int sim_main(const char *name, const TTest *const *tests, size_t count)
{
	struct suite_test *list = mem_calloc(count, sizeof *list);
	int result;

	for (size_t i = 0; i < count; i++)
		list[i] = (struct suite_test){tests[i], 1};
	result = suite_run_between(name, list, count, NULL, sim_end);
	free(list);
	return result;
}

/* ---- far ends ---- */

static struct fake_end *dial_as(
    struct worker *worker, const char *listener, int uid, bool over_limit)
{
	struct address from = {.kind = ADDRESS_UNIX, .text = "unix:"};
	struct fake_end *end;
	int fd;

	if (uid < 0)
		ck_assert_int_eq(address_parse(&from, SLICE_LIT(CALLER_TEXT), NULL), 0);
	end = fake_dial(sim.loop, uid, &fd);
	fake_calling_process(end, sim.process);
	sim.process = 0;
	atomic_fetch_add(&worker->connections, 1);
	atomic_fetch_add(&sim.shares.connections, 1);
	if (over_limit)
		atomic_fetch_add(&sim.shares.connecting, 1);
	worker_take(worker, listener, "", fd, &from, over_limit);
	fake_settle(sim.loop);
	return end;
}

struct fake_end *dial(void)
{
	return dial_as(sim.worker, "in", -1, false);
}

struct fake_end *dial_second(void)
{
	return dial_as(sim.second, "in", -1, false);
}

struct fake_end *dial_to(const char *listener)
{
	return dial_as(sim.worker, listener, -1, false);
}

struct fake_end *dial_local(int uid)
{
	return dial_as(sim.worker, "local", uid, false);
}

struct fake_end *dial_process(unsigned worker, const char *listener, int process)
{
	sim.process = process;
	return dial_as(worker ? sim.second : sim.worker, listener, 0, false);
}

void apps_run_as(int process)
{
	fake_listening_process(sim.loop, process);
}

struct fake_end *dial_over_limit(void)
{
	return dial_as(sim.worker, "in", -1, true);
}

struct fake_end *sim_accepted(int line)
{
	struct fake_end *end = fake_accept(sim.loop);

	ck_assert_msg(end != NULL, "line %d: no connection was made", line);
	return end;
}

void sim_no_connect(int line)
{
	ck_assert_msg(fake_accept(sim.loop) == NULL, "line %d: a connection was made", line);
}

static bool is_endpoint(const struct fake_end *end)
{
	return fake_address(end)->text[0] != '\0';
}

static struct sim_frame said(const struct fake_end *end, const struct sim_frame *f)
{
	struct sim_frame whole = *f;

	if (whole.kind == 0)
		whole.kind = is_endpoint(end) ? REPLY : CALL;
	return whole;
}

static void put_bytes(struct fake_end *end, const struct sim_frame *f, size_t from, size_t to)
{
	struct sim_frame whole = said(end, f);
	size_t len;
	uint8_t *bytes = sim_frame_make(&whole, &len);

	to = to < len ? to : len;
	fake_send(end, slice_of(bytes + from, to - from));
	free(bytes);
}

void sim_put(struct fake_end *end, const struct sim_frame *f)
{
	put_bytes(end, f, 0, SIZE_MAX);
}

void sim_say(struct fake_end *end, const struct sim_frame *f, size_t from, size_t to)
{
	put_bytes(end, f, from, to);
	fake_settle(sim.loop);
}

void sim_say_part(struct fake_end *end, long from, long to, const struct sim_frame *f)
{
	struct sim_frame whole = said(end, f);
	size_t len;

	free(sim_frame_make(&whole, &len));
	from = from < 0 ? (long)len + from : from;
	to = to <= 0 ? (long)len + to : to;
	sim_say(end, f, (size_t)from, (size_t)to);
}

void say_bytes(struct fake_end *end, struct slice bytes)
{
	fake_send(end, bytes);
	fake_settle(sim.loop);
}

void half_close(struct fake_end *end)
{
	fake_half_close(end);
	fake_settle(sim.loop);
}

void hang_up(struct fake_end *end)
{
	fake_close(end);
	fake_settle(sim.loop);
}

void reset(struct fake_end *end)
{
	fake_reset(end);
	fake_settle(sim.loop);
}

void take(struct fake_end *end, size_t bytes)
{
	fake_take(end, bytes);
	fake_settle(sim.loop);
}

/* ---- hearing ---- */

static const struct sim_heard *next_frame(int line, struct fake_end *end)
{
	static struct sim_heard r;
	static uint8_t *last; /* the views of the frame read last */
	struct slice in = fake_received(end);
	size_t used = sim_frame_read(in, &r);

	ck_assert_msg(used > 0, "line %d: no whole message, only %zu bytes", line, in.len);
	free(last);
	last = mem_alloc(used);
	memcpy(last, in.data, used);
	if (r.text.len)
		r.text.data = last + (r.text.data - in.data);
	fake_consume(end, used);
	return &r;
}

static bool has_key(const char *keys, const char *key, size_t len)
{
	char wanted[1024];

	snprintf(
	    wanted, sizeof wanted, " %.*s%s", (int)len, key, memchr(key, '=', len) ? " " : "=");
	return strstr(keys, wanted) != NULL;
}

static void check_keys(int line, const char *what, const char *heard, const char *keys)
{
	while (keys && *keys) {
		size_t len = strcspn(keys, " ");
		bool unwanted = *keys == '!';

		ck_assert_msg(has_key(heard, keys + unwanted, len - unwanted) != unwanted,
		    "line %d: %s is%s, expected %.*s", line, what, heard, (int)len, keys);
		keys += len;
		keys += strspn(keys, " ");
	}
}

static void check_head(int line, const struct sim_heard *r, const struct sim_frame *f)
{
	int32_t outer = f->outer == OUTER_ZERO ? 0 : f->outer ? (int32_t)f->outer : f->seq;
	const char *method = f->method ? f->method : "Echo";

	ck_assert_msg(r->form == f->form, "line %d: form %d, expected %d", line, r->form, f->form);
	ck_assert_msg(r->kind == f->kind, "line %d: kind %d, expected %d: %.*s", line, r->kind,
	    f->kind, (int)(r->text.len < 300 ? r->text.len : 300), (const char *)r->text.data);
	ck_assert_msg(r->seq == f->seq, "line %d: seq %d, expected %d", line, r->seq, f->seq);
	ck_assert_msg(!sim_form_has_header(f->form) || r->outer == outer,
	    "line %d: transport seq %d, expected %d", line, r->outer, outer);
	ck_assert_msg(strcmp(r->method, method) == 0, "line %d: method %s, expected %s", line,
	    r->method, method);
	ck_assert_msg((r->flags & f->flags) == f->flags, "line %d: flags %x", line, r->flags);
	check_keys(line, "header", r->keys, f->keys);
	check_keys(line, "base", r->base, f->base);
	check_keys(line, "map", r->map, f->map);
	ck_assert_msg(r->map_id == f->map_id || f->map == NULL, "line %d: map %d", line, r->map_id);
}

const struct sim_heard *sim_hear(int line, struct fake_end *end, const struct sim_frame *f)
{
	struct sim_frame expected = *f;
	const struct sim_heard *r = next_frame(line, end);

	if (expected.kind == 0)
		expected.kind = is_endpoint(end) ? CALL : REPLY;
	check_head(line, r, &expected);
	if (f->text || f->fill)
		ck_assert_msg(sim_text_is(r->text, or_nothing(f->text), f->fill),
		    "line %d: text \"%.*s\" (%zu)", line,
		    (int)(r->text.len < 100 ? r->text.len : 100), (const char *)r->text.data,
		    r->text.len);
	if (f->id)
		ck_assert_msg(r->id == f->id, "line %d: exception %d", line, r->id);
	return r;
}

const struct sim_heard *sim_hear_failure(
    int line, struct fake_end *end, enum reason reason, const struct sim_frame *f)
{
	struct sim_frame expected = *f;
	const struct sim_heard *r;
	char start[128];

	expected.kind = EXCEPTION;
	expected.id = reason_exception_id(reason);
	r = sim_hear(line, end, &expected);
	snprintf(start, sizeof start, "bridled: %s", reason_name(reason));
	ck_assert_msg(slice_starts(r->text, slice_str(start)), "line %d: \"%.*s\", expected %s",
	    line, (int)r->text.len, (const char *)r->text.data, start);
	return r;
}

void sim_hear_nothing(int line, struct fake_end *end)
{
	ck_assert_msg(fake_received(end).len == 0, "line %d: %zu bytes have come", line,
	    fake_received(end).len);
}

void sim_hear_end(int line, struct fake_end *end)
{
	sim_hear_nothing(line, end);
	ck_assert_msg(fake_is_over(end), "line %d: it is still open", line);
}

/* ---- time, and what was noted ---- */

void pass(unsigned ms)
{
	fake_sleep(sim.loop, ms * USEC_MS);
}

/* Does the line have key=value, or key~part? */
static bool line_has(const char *json, const char *wanted, size_t len)
{
	size_t key = strcspn(wanted, "=~");
	char name[64], value[512], whole[600];
	const char *found;

	snprintf(name, sizeof name, "\"%.*s\":", (int)key, wanted);
	snprintf(value, sizeof value, "%.*s", (int)(len - key - 1), wanted + key + 1);
	found = strstr(json, name);
	if (found == NULL)
		return false;
	found += strlen(name);
	if (wanted[key] == '~') {
		snprintf(whole, sizeof whole, "%.*s", (int)strcspn(found, "}"), found);
		return strstr(whole, value) != NULL;
	}
	if (*found == '"')
		snprintf(whole, sizeof whole, "\"%s\"", value);
	else
		snprintf(whole, sizeof whole, "%s%c", value, found[strspn(found, "0123456789")]);
	return strncmp(found, whole, strlen(whole)) == 0;
}

void sim_logged(int line, const char *expected)
{
	const char *json;

	ck_assert_msg(sim.next_line < sim.n_lines, "line %d: nothing was logged", line);
	json = sim.lines[sim.next_line++];
	while (*expected) {
		size_t len = strcspn(expected, " ");

		ck_assert_msg(line_has(json, expected, len), "line %d: no %.*s in %s", line,
		    (int)len, expected, json);
		expected += len;
		expected += strspn(expected, " ");
	}
}

void sim_logged_nothing(int line)
{
	ck_assert_msg(sim.next_line == sim.n_lines, "line %d: logged %s", line,
	    sim.next_line < sim.n_lines ? sim.lines[sim.next_line] : "");
}

const char *sim_line(void)
{
	return sim.lines[sim.next_line - 1];
}

unsigned sim_lines(void)
{
	return sim.n_lines - sim.next_line;
}

uint64_t attempts(enum attempt_outcome outcome)
{
	return counter_get(&sim_stats()->attempts[outcome]);
}

uint64_t dropped(enum metadata_class class)
{
	return counter_get(&sim.worker->metadata_dropped[class]);
}

uint64_t in_flight(void)
{
	const struct worker *w = sim.worker;
	struct backend *b;
	uint64_t n = 0;
	size_t position = 0;

	while ((b = table_next(&w->backends, &position)))
		n += counter_get(&b->in_flight);
	return n;
}

uint64_t upstreams(void)
{
	return counter_get(&sim_stats()->upstream_connections);
}
