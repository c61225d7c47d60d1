#include "proxy/health_check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "model/snapshot.h"
#include "net/conn.h"
#include "net/loop.h"
#include "policy/health.h"
#include "proxy/introduction.h"
#include "rpc/codec.h"
#include "rpc/probe.h"

#define BACKLOG_WAIT   (20 * USEC_MS)
#define SERVING_MAX    64u /* bytes of an answer of grpc.health.v1 */
#define ANSWER_MAX     ((uint64_t)16 << 20)
#define DEFAULT_METHOD "ping"

enum check_state {
	CHECK_WAITING,    /* for its time */
	CHECK_CONNECTING, /* or for room in the accept queue */
	CHECK_ASKING,     /* waits for the answer */
};

struct check {
	struct health_checks *checks; /* borrowed */
	struct list link;
	struct slice key; /* owned bytes: label, NUL, address */
	bool is_wanted;   /* while a snapshot is followed */

	/* Of the present snapshot. */
	const struct service *service;
	const struct endpoint *endpoint;
	struct endpoint_tally *tally;

	enum check_state state;
	struct health_streak streak;
	struct timer timer; /* the next check; a look at a full accept queue; the end of patience */
	usec_t until;       /* when patience ends */
	struct conn *conn;  /* owned; NULL while it waits */
	struct codec *codec;
	int write_error;
	uint8_t answer[SERVING_MAX]; /* of grpc.health.v1 */
	size_t answer_len;
};

struct health_checks {
	struct loop *loop; /* borrowed */
	struct rng rng;
	struct list all;
	struct table by_key;
	struct snapshot *snapshot; /* owned reference; NULL: none yet */
};

static const struct health_config *config_of(const struct check *c)
{
	return &c->service->config->policy.health;
}

static usec_t now_of(const struct check *c)
{
	return loop_now(c->checks->loop);
}

static void set_timer(struct check *c, usec_t at, timer_fn fire)
{
	wheel_set(loop_wheel(c->checks->loop), &c->timer, at, fire);
}

/* --- results --- */

static void on_time(struct timer *timer, usec_t now);

static void hang_up(struct check *c)
{
	if (c->conn)
		conn_close(&c->conn);
	if (c->codec)
		codec_close(&c->codec);
}

static void tell(struct check *c, const char *why)
{
	bool is_up = c->streak.state == HEALTH_STATE_UP;

	endpoint_tally_set_health(c->tally, is_up ? HEALTH_UP : HEALTH_DOWN);
	if (is_up)
		log_info("health", "up", "service=%s endpoint=%s", c->service->config->label,
		    c->endpoint->address.text);
	else
		log_warn("health", "down", "service=%s endpoint=%s checks=%u why=\"%s\"",
		    c->service->config->label, c->endpoint->address.text, config_of(c)->fall, why);
}

static void wait_for_next(struct check *c)
{
	usec_t wait = health_wait(config_of(c)->interval, &c->checks->rng);

	hang_up(c);
	c->state = CHECK_WAITING;
	set_timer(c, usec_after(now_of(c), wait), on_time);
}

/* @why: what is bad about it, NULL for a good one. */
static void finish(struct check *c, const char *why)
{
	const struct health_config *config = config_of(c);

	wait_for_next(c);
	if (health_note(&c->streak, why == NULL, config->rise, config->fall))
		tell(c, why);
}

static void finish_broken(struct check *c, const char *doing, int error)
{
	char why[160];

	snprintf(why, sizeof why, "%s: %s", doing, strerror(error));
	finish(c, why);
}

static void patience_ends(struct timer *timer, usec_t now)
{
	struct check *c = container_of(timer, struct check, timer);

	(void)now;
	finish(c, c->codec ? "no answer in time" : "no connection in time");
}

/* --- asking --- */

static void sink(void *arg, const struct slice *pieces, int n)
{
	struct check *c = arg;

	if (c->write_error == 0 && conn_write(c->conn, pieces, n, &c->write_error) < 0 &&
	    c->write_error == 0)
		c->write_error = EPIPE;
}

static const struct codec_io check_io = {.write = sink};

/* What a Thrift service is asked in. Where its endpoints speak as each caller does, they are
 * Kitex's, which know Framed. */
static struct rpc_form form_of(const struct service_config *service)
{
	switch (service->protocol) {
	case SERVICE_BUFFERED:
		return (struct rpc_form){RPC_PLAIN, RPC_THRIFT, false};
	case SERVICE_TTHEADER:
	case SERVICE_TTHEADER_FRAMED:
		return (struct rpc_form){RPC_TTHEADER, RPC_THRIFT, true};
	case SERVICE_TTHEADER_BARE:
		return (struct rpc_form){RPC_TTHEADER, RPC_THRIFT, false};
	case SERVICE_SAME:
	case SERVICE_FRAMED:
	case SERVICE_TTHEADER_STREAMING:
	case SERVICE_GRPC:
		break;
	}
	return (struct rpc_form){RPC_PLAIN, RPC_THRIFT, true};
}

/* The call leaves; what the other side says to that comes in as input. */
static void send_call(struct check *c)
{
	const struct service_config *service = c->service->config;
	const char *name = config_of(c)->method;
	struct rpc_edit edit = {.service = c->service->name};
	struct rpc_probe probe;
	uint32_t id = 0;

	if (config_of(c)->type == HEALTH_GRPC) {
		rpc_probe_grpc(&probe, slice_str(name));
		edit.form = (struct rpc_form){RPC_HTTP2, RPC_KITEXPB, false};
		edit.authority = c->service->name;
		id = codec_begin(c->codec, c);
	} else {
		rpc_probe_thrift(&probe, slice_str(name ? name : DEFAULT_METHOD));
		edit.form = form_of(service);
	}
	c->state = CHECK_ASKING;
	if (!codec_send_message(c->codec, id, &probe.message, &edit))
		finish(c, "the call does not fit the protocol");
	else if (c->write_error)
		finish_broken(c, "writing", c->write_error);
}

/* --- what comes back --- */

static void take_answer(struct check *c, struct slice data)
{
	size_t room = sizeof c->answer - c->answer_len;

	if (data.len > room)
		data.len = room; /* too long to be what was asked for */
	memcpy(c->answer + c->answer_len, data.data, data.len);
	c->answer_len += data.len;
}

static void judge_grpc(struct check *c, const struct rpc_message *end)
{
	char why[80];

	if (end->status == 0 && rpc_probe_is_serving(slice_of(c->answer, c->answer_len))) {
		finish(c, NULL);
	} else if (end->status == 0) {
		finish(c, "grpc.health.v1 does not say SERVING");
	} else {
		snprintf(why, sizeof why, "grpc.health.v1 answers with status %lld",
		    (long long)end->status);
		finish(c, why);
	}
}

static void take_item(struct check *c, enum codec_event event, const struct codec_item *item)
{
	const struct rpc_message *m = &item->message;

	switch (event) {
	case CODEC_MESSAGE:
		if (config_of(c)->type != HEALTH_GRPC)
			finish(c, NULL); /* an exception is an answer, too */
		else if (m->kind != RPC_INTERIM && m->complete)
			judge_grpc(c, m); /* trailers alone */
		break;
	case CODEC_DATA:
		take_answer(c, item->data);
		if (item->last)
			finish(c, "the answer has no status");
		break;
	case CODEC_END:
		judge_grpc(c, m);
		break;
	case CODEC_RESET:
		finish(c, "the call was reset");
		break;
	case CODEC_REFUSED:
		finish(c, "what it answers cannot be read");
		break;
	case CODEC_MORE:
	case CODEC_ROOM:
		break;
	}
}

static bool is_asking_grpc(const struct check *c)
{
	return config_of(c)->type == HEALTH_GRPC && c->state == CHECK_CONNECTING;
}

static void take_events(struct check *c, struct slice in)
{
	struct codec_item item;

	codec_set_now(c->codec, now_of(c));
	while (c->codec) {
		enum codec_event event = codec_next(c->codec, &in, &item);

		if (event == CODEC_MORE)
			break;
		take_item(c, event, &item);
	}
	/* How many calls it takes stands in its first frame. */
	if (c->codec && is_asking_grpc(c) && codec_has_detected(c->codec) &&
	    codec_capacity(c->codec))
		send_call(c);
}

static void open_codec(struct check *c)
{
	const struct codec_limits limits = {
	    .max_message = ANSWER_MAX,
	    .max_header = 64 * 1024,
	    .protocols = ~0u,
	    .in_flight = 1,
	};
	bool is_grpc = config_of(c)->type == HEALTH_GRPC;

	c->codec =
	    codec_open(CODEC_UPSTREAM, is_grpc ? CODEC_HTTP2 : CODEC_UNARY, &limits, &check_io, c);
	c->write_error = 0;
	c->answer_len = 0;
	if (!is_grpc)
		send_call(c);
	else
		codec_pump(c->codec);
}

/* It is for nobody but us. */
static void introduce(struct check *c)
{
	int error;

	if (c->service->config->metadata.type == METADATA_PROXY_V2)
		introduction_write(NULL, SLICE_NONE, c->conn, &error);
}

static void on_connected(void *arg)
{
	struct check *c = arg;

	introduce(c);
	if (config_of(c)->type == HEALTH_TCP)
		finish(c, NULL);
	else
		open_codec(c);
}

static void on_input(void *arg, struct slice in)
{
	struct check *c = arg;

	if (c->codec)
		take_events(c, in);
}

static void on_eof(void *arg)
{
	finish(arg, "it closed the connection");
}

static void on_closed(void *arg, int error)
{
	struct check *c = arg;

	finish_broken(c, c->codec ? "the connection broke" : "connecting", error);
}

static void on_drained(void *arg)
{
	struct check *c = arg;

	if (c->codec)
		codec_pump(c->codec);
}

static const struct conn_events check_events = {
    .connected = on_connected,
    .input = on_input,
    .eof = on_eof,
    .closed = on_closed,
    .drained = on_drained,
};

/* --- one after another --- */

static void skip(struct check *c, int error)
{
	log_debug("health", "no check", "service=%s endpoint=%s error=\"%s\"",
	    c->service->config->label, c->endpoint->address.text, strerror(error));
	wait_for_next(c);
}

static void try_connect(struct check *c);

static void look_again(struct timer *timer, usec_t now)
{
	struct check *c = container_of(timer, struct check, timer);

	if (now >= c->until)
		finish(c, "its accept queue is full");
	else
		try_connect(c);
}

static void try_connect(struct check *c)
{
	int error = 0;

	c->state = CHECK_CONNECTING;
	switch (conn_connect(
	    c->checks->loop, &c->endpoint->address, &check_events, c, &c->conn, &error)) {
	case CONN_READY:
		set_timer(c, c->until, patience_ends);
		on_connected(c);
		break;
	case CONN_PENDING:
		set_timer(c, c->until, patience_ends);
		break;
	case CONN_BACKLOG:
		set_timer(c, usec_min(usec_after(now_of(c), BACKLOG_WAIT), c->until), look_again);
		break;
	case CONN_FAILED:
		if (conn_error_is_ours(error))
			skip(c, error);
		else
			finish_broken(c, "connecting", error);
		break;
	}
}

static void on_time(struct timer *timer, usec_t now)
{
	struct check *c = container_of(timer, struct check, timer);

	c->until = usec_after(now, config_of(c)->timeout);
	try_connect(c);
}

/* --- which --- */

static struct slice make_key(const struct service *service, const struct endpoint *endpoint)
{
	struct slice address = slice_str(endpoint->address.text);
	size_t len = service->label.len + 1 + address.len;
	uint8_t *bytes = mem_alloc(len);

	memcpy(bytes, service->label.data, service->label.len);
	bytes[service->label.len] = '\0';
	memcpy(bytes + service->label.len + 1, address.data, address.len);
	return slice_of(bytes, len);
}

static void check_free(struct check *c)
{
	wheel_clear(&c->timer);
	hang_up(c);
	table_remove(&c->checks->by_key, c->key);
	list_remove(&c->link);
	free((void *)(uintptr_t)c->key.data);
	free(c);
}

/* Takes the key. */
static struct check *check_new(struct health_checks *checks, struct slice key)
{
	struct check *c = mem_calloc(1, sizeof *c);

	c->checks = checks;
	c->key = key;
	list_push_back(&checks->all, &c->link);
	table_put(&checks->by_key, c->key, c);
	return c;
}

static bool is_another_question(const struct health_config *a, const struct health_config *b)
{
	return a->type != b->type || !slice_eq(slice_str(a->method), slice_str(b->method));
}

/* It begins anew, and what was found before counts no more. */
static void begin_anew(struct check *c)
{
	hang_up(c);
	c->state = CHECK_WAITING;
	c->streak = (struct health_streak){0};
	endpoint_tally_set_health(c->tally, HEALTH_UNKNOWN);
	set_timer(c,
	    usec_after(now_of(c), health_first_wait(config_of(c)->interval, &c->checks->rng)),
	    on_time);
}

static void follow_endpoint(struct health_checks *checks, const struct service *service, size_t i)
{
	struct slice key = make_key(service, &service->endpoints[i]);
	struct check *c = table_get(&checks->by_key, key);
	bool is_new = c == NULL;
	bool is_changed = is_new;

	if (is_new)
		c = check_new(checks, key);
	else
		free((void *)(uintptr_t)key.data);
	if (!is_new)
		is_changed = is_another_question(config_of(c), &service->config->policy.health) ||
			     c->tally != service->endpoint_tallies[i] ||
			     c->service->config->protocol != service->config->protocol ||
			     c->service->config->metadata.type != service->config->metadata.type;
	c->is_wanted = true;
	c->service = service;
	c->endpoint = &service->endpoints[i];
	c->tally = service->endpoint_tallies[i];
	if (is_changed)
		begin_anew(c);
	else if (c->state == CHECK_WAITING && /* a shorter interval holds at once */
		 c->timer.at > usec_after(now_of(c), config_of(c)->interval))
		set_timer(c, usec_after(now_of(c), config_of(c)->interval), on_time);
}

static void drop_unwanted(struct health_checks *checks)
{
	list_each_safe (link, &checks->all) {
		struct check *c = list_item(link, struct check, link);

		if (c->is_wanted)
			continue;
		endpoint_tally_set_health(c->tally, HEALTH_UNKNOWN);
		check_free(c);
	}
}

void health_checks_follow(struct health_checks *checks, struct snapshot *snapshot)
{
	struct snapshot *before = checks->snapshot;

	list_each (link, &checks->all)
		list_item(link, struct check, link)->is_wanted = false;
	for (size_t i = 0; i < snapshot->n_services; i++) {
		const struct service *service = &snapshot->services[i];

		if (service->config->policy.health.type == HEALTH_NONE)
			continue;
		for (size_t j = 0; j < service->n_endpoints; j++)
			follow_endpoint(checks, service, j);
	}
	drop_unwanted(checks);
	checks->snapshot = snapshot_ref(snapshot);
	if (before)
		snapshot_unref(&before);
}

struct health_checks *health_checks_new(struct loop *loop, uint64_t seed)
{
	struct health_checks *checks = mem_calloc(1, sizeof *checks);

	checks->loop = loop;
	rng_init(&checks->rng, seed);
	list_init(&checks->all);
	table_init(&checks->by_key, seed);
	return checks;
}

void health_checks_free(struct health_checks **pchecks)
{
	struct health_checks *checks = *pchecks;

	if (checks == NULL)
		return;
	*pchecks = NULL;
	list_each_safe (link, &checks->all)
		check_free(list_item(link, struct check, link));
	table_fini(&checks->by_key);
	if (checks->snapshot)
		snapshot_unref(&checks->snapshot);
	free(checks);
}
