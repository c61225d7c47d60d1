#include "daemon/trace_export.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/text.h"
#include "daemon/span_json.h"
#include "net/http_client.h"
#include "net/loop.h"
#include "net/tls.h"
#include "registry/dns.h"

#define REQUEST_SPANS 512u /* of one request */
#define GATHER        USEC_S
#define TIMEOUT       (10 * USEC_S)
#define ANSWER_MAX    (64u * 1024)
#define PAUSE_MIN     USEC_S
#define PAUSE_MAX     (60 * USEC_S)
#define TARGET_MAX    520u

/*
 * One request is under way at a time:
 *
 *     IDLE --spans--> GATHERING --512 of them, or 1 s--> SENDING --taken, refused--> IDLE
 *                                                         ^    |
 *                                                         |    '--away--> PAUSING
 *                                                         '--- the same ----'
 */
enum export_state { EXPORT_IDLE, EXPORT_GATHERING, EXPORT_SENDING, EXPORT_PAUSING };

struct trace_export {
	struct loop *loop; /* borrowed, as the inbox */
	struct inbox *inbox;
	pthread_mutex_t lock;            /* guards the next three */
	struct span_batch *first, **end; /* owned */
	unsigned n_waiting;              /* spans in the queue and under way */
	bool is_told;                    /* that there is something in the queue */
	atomic_uint_least64_t exported, dropped, failed;

	/* the control thread alone */
	struct shared_config *shared; /* whose collector it is; a reference of its own */
	struct tls_client *tls;
	struct http_client *http; /* NULL: there is no collector */
	struct dns *dns;          /* of its name; NULL until there was one */
	struct rng rng;
	enum export_state state;
	struct timer timer;
	struct http_exchange *exchange;
	struct text body; /* of the request under way, kept while it may be asked again */
	unsigned n_sending;
	usec_t pause;
	bool is_failing;
	bool is_ending;
};

static const struct tracing_config *tracing(const struct trace_export *e)
{
	return &e->shared->config->tracing;
}

/* ---- the queue ---- */

static void count(atomic_uint_least64_t *counter, unsigned n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static void look(struct trace_export *e);

static void told(void *arg)
{
	struct trace_export *e = arg;

	pthread_mutex_lock(&e->lock);
	e->is_told = false;
	pthread_mutex_unlock(&e->lock);
	look(e);
}

void trace_export_take(void *arg, struct span_batch *batch)
{
	struct trace_export *e = arg;
	bool has_room, tell = false;

	batch->next = NULL;
	pthread_mutex_lock(&e->lock);
	has_room = e->n_waiting + batch->n <= TRACE_EXPORT_QUEUE;
	if (has_room) {
		*e->end = batch;
		e->end = &batch->next;
		e->n_waiting += batch->n;
		tell = !e->is_told;
		e->is_told = true;
	}
	pthread_mutex_unlock(&e->lock);
	if (tell)
		inbox_post(e->inbox, told, e);
	if (has_room)
		return;
	count(&e->dropped, batch->n);
	free(batch);
}

static struct span_batch *take_first(struct trace_export *e)
{
	struct span_batch *batch;

	pthread_mutex_lock(&e->lock);
	batch = e->first;
	if (batch)
		e->first = batch->next;
	if (e->first == NULL)
		e->end = &e->first;
	pthread_mutex_unlock(&e->lock);
	return batch;
}

/* So many are not waiting any more. */
static void let_go(struct trace_export *e, unsigned n, atomic_uint_least64_t *counter)
{
	pthread_mutex_lock(&e->lock);
	e->n_waiting -= n;
	pthread_mutex_unlock(&e->lock);
	count(counter, n);
}

static unsigned waiting(struct trace_export *e)
{
	unsigned n;

	pthread_mutex_lock(&e->lock);
	n = e->n_waiting - e->n_sending;
	pthread_mutex_unlock(&e->lock);
	return n;
}

static void throw_away(struct trace_export *e, atomic_uint_least64_t *counter)
{
	struct span_batch *batch;

	while ((batch = take_first(e))) {
		let_go(e, batch->n, counter);
		free(batch);
	}
}

/* ---- requests ---- */

static void fill_body(struct trace_export *e)
{
	const struct config *config = e->shared->config;
	const struct span_resource resource = {
	    .service = config->node.service[0] ? config->node.service : "unknown_service:bridled",
	    .instance = config->node.id,
	    .version = PACKAGE_VERSION,
	    .zone = config->node.zone,
	};
	struct span_batch *batch;

	e->body.len = 0;
	e->n_sending = 0;
	span_json_begin(&e->body, &resource);
	while (e->n_sending + SPAN_BATCH <= REQUEST_SPANS && (batch = take_first(e))) {
		for (unsigned i = 0; i < batch->n; i++)
			span_json_add(&e->body, &batch->list[i]);
		e->n_sending += batch->n;
		free(batch);
	}
	span_json_end(&e->body);
}

static void answered(void *arg, const struct http_response *response);

static void ask(struct trace_export *e)
{
	static const struct http_header headers[] = {{"Content-Type", "application/json"}};
	const struct http_done on = {.done = answered};
	char target[TARGET_MAX];
	struct http_request request = {
	    .method = "POST",
	    .target = target,
	    .headers = headers,
	    .n_headers = ARRAY_LEN(headers),
	    .body = slice_of(e->body.bytes, e->body.len),
	    .timeout = TIMEOUT,
	    .at_most = ANSWER_MAX,
	};

	snprintf(target, sizeof target, "%s/v1/traces", tracing(e)->otlp.path);
	e->state = EXPORT_SENDING;
	e->exchange = http_client_ask(e->http, &request, &on, e);
}

static void timer_fired(struct timer *timer, usec_t now)
{
	struct trace_export *e = container_of(timer, struct trace_export, timer);

	(void)now;
	if (e->state == EXPORT_GATHERING)
		fill_body(e);
	ask(e);
}

static void wait_for(struct trace_export *e, enum export_state state, usec_t wait)
{
	e->state = state;
	wheel_set(loop_wheel(e->loop), &e->timer, usec_after(loop_now(e->loop), wait), timer_fired);
}

/* Is there something to begin? */
static void look(struct trace_export *e)
{
	unsigned n = waiting(e);

	if (e->http == NULL) {
		throw_away(e, &e->dropped);
		return;
	}
	if (n == 0 || e->state == EXPORT_SENDING || e->state == EXPORT_PAUSING)
		return;
	if (n < REQUEST_SPANS && !e->is_ending) {
		if (e->state == EXPORT_IDLE)
			wait_for(e, EXPORT_GATHERING, GATHER);
		return;
	}
	wheel_clear(&e->timer);
	fill_body(e);
	ask(e);
}

static void end_request(struct trace_export *e, atomic_uint_least64_t *counter)
{
	unsigned n = e->n_sending;

	e->n_sending = 0;
	e->state = EXPORT_IDLE;
	let_go(e, n, counter);
	look(e);
}

/* Silence, and what the protocol says may be asked again.
 * Source: OpenTelemetry Protocol specification, "Retryable Response Codes". */
static bool is_passing(int status)
{
	return status == 0 || status == 429 || status == 502 || status == 503 || status == 504;
}

static void warn_once(struct trace_export *e, const struct http_response *response)
{
	char text[LOG_ESCAPED_MAX];

	if (e->is_failing)
		return;
	e->is_failing = true;
	log_escape(text, sizeof text,
	    response->status ? slice_first(response->body, 120) : slice_str(response->error));
	log_warn("tracing", "the collector does not take spans",
	    "collector=%s status=%d error=\"%s\"", tracing(e)->otlp.text, response->status, text);
}

static void answered(void *arg, const struct http_response *response)
{
	struct trace_export *e = arg;
	int status = response->status;

	e->exchange = NULL;
	if (status >= 200 && status < 300) {
		if (e->is_failing)
			log_info("tracing", "the collector takes spans again", "collector=%s",
			    tracing(e)->otlp.text);
		e->is_failing = false;
		e->pause = 0;
		end_request(e, &e->exported);
		return;
	}
	warn_once(e, response);
	if (!is_passing(status) || e->is_ending) {
		end_request(e, &e->failed);
		return;
	}
	e->pause = usec_min(e->pause ? 2 * e->pause : PAUSE_MIN, PAUSE_MAX);
	wait_for(e, EXPORT_PAUSING, e->pause - rng_below(&e->rng, e->pause / 5));
}

/* ---- the collector ---- */

static bool server(void *arg, size_t i, struct address *address)
{
	struct trace_export *e = arg;
	const struct address *asked = &tracing(e)->otlp.server;
	struct dns_answer answer;

	if (asked->kind != ADDRESS_NAME) {
		*address = *asked;
		return i == 0;
	}
	answer = dns_answer(e->dns, address_host(asked));
	if (i >= answer.n)
		return false;
	*address = address_with_port(&answer.list[i], asked->port);
	memcpy(address->text, asked->text, sizeof address->text); /* by which it is verified */
	return true;
}

static void names_changed(void *arg)
{
	(void)arg; /* the next connection asks */
}

static int follow_name(struct trace_export *e, struct err *err)
{
	const struct config *config = e->shared->config;
	const struct address *asked = &config->tracing.otlp.server;
	struct slice host;

	if (asked->kind != ADDRESS_NAME)
		return 0;
	if (e->dns == NULL)
		e->dns = dns_new(e->loop, rng_next(&e->rng), names_changed, e, err);
	if (e->dns == NULL || dns_set_servers(e->dns, &config->resolvers, err) < 0)
		return -1;
	host = address_host(asked);
	dns_follow(e->dns, &host, 1);
	return 0;
}

static int open_tls(struct trace_export *e, struct err *err)
{
	const struct tls_config *tls = &tracing(e)->tls;
	const struct tls_files files = {
	    .ca = tls->ca,
	    .cert = tls->cert,
	    .key = tls->key,
	    .verify_none = tls->verify_none,
	};

	if (!tracing(e)->otlp.is_tls)
		return 0;
	e->tls = tls_client_new(&files, err);
	return e->tls ? 0 : -1;
}

static int open_collector(struct trace_export *e, struct err *err)
{
	struct http_client_start start = {.loop = e->loop, .server = server, .arg = e};

	if (follow_name(e, err) < 0 || open_tls(e, err) < 0)
		return -1;
	start.tls = e->tls;
	start.sni = tracing(e)->tls.sni;
	e->http = http_client_new(&start);
	return 0;
}

static void close_collector(struct trace_export *e)
{
	wheel_clear(&e->timer);
	if (e->exchange)
		http_exchange_drop(&e->exchange);
	if (e->http)
		http_client_free(&e->http);
	if (e->tls)
		tls_client_free(&e->tls);
	e->pause = 0;
	e->is_failing = false;
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool is_same(const struct tracing_config *a, const struct tracing_config *b)
{
	return same_text(a->otlp.text, b->otlp.text) && same_text(a->tls.ca, b->tls.ca) &&
	       same_text(a->tls.cert, b->tls.cert) && same_text(a->tls.key, b->tls.key) &&
	       same_text(a->tls.sni, b->tls.sni) && a->tls.verify_none == b->tls.verify_none;
}

void trace_export_follow(struct trace_export *e, struct shared_config *shared)
{
	bool has_changed = e->shared == NULL || !is_same(tracing(e), &shared->config->tracing);
	struct shared_config *before = e->shared;
	struct err err;

	if (shared == before)
		return;
	if (has_changed && before)
		close_collector(e);
	e->shared = shared_config_ref(shared);
	if (before)
		shared_config_unref(&before);
	if (!has_changed)
		return;
	if (tracing(e)->otlp.text && open_collector(e, &err) < 0)
		log_error("tracing", "no spans are exported", "collector=%s error=\"%s\"",
		    tracing(e)->otlp.text, err.text);
	/* What was on its way to another collector goes to this one. */
	if (e->n_sending && e->http)
		ask(e);
	else if (e->n_sending)
		end_request(e, &e->failed);
	else {
		e->state = EXPORT_IDLE;
		look(e);
	}
}

/* ---- from beginning to end ---- */

struct trace_export *trace_export_new(struct loop *loop, struct inbox *inbox, uint64_t seed)
{
	struct trace_export *e = mem_calloc(1, sizeof *e);

	e->loop = loop;
	e->inbox = inbox;
	e->end = &e->first;
	rng_init(&e->rng, seed);
	pthread_mutex_init(&e->lock, NULL);
	return e;
}

/* What waits is sent at once, whatever the pause. */
static void flush(struct trace_export *e, usec_t patience)
{
	usec_t until = usec_after(clock_monotonic(), patience), now;

	e->is_ending = true;
	if (e->state == EXPORT_PAUSING) {
		wheel_clear(&e->timer);
		ask(e);
	}
	look(e);
	while (e->state != EXPORT_IDLE && (now = clock_monotonic()) < until)
		loop_turn(e->loop, until - now);
}

void trace_export_free(struct trace_export **pe, usec_t patience)
{
	struct trace_export *e = *pe;

	if (e == NULL)
		return;
	*pe = NULL;
	if (e->http)
		flush(e, patience);
	close_collector(e);
	throw_away(e, &e->failed);
	if (e->dns)
		dns_free(&e->dns);
	if (e->shared)
		shared_config_unref(&e->shared);
	text_fini(&e->body);
	pthread_mutex_destroy(&e->lock);
	free(e);
}

struct trace_export_counts trace_export_counts(const struct trace_export *e)
{
	return (struct trace_export_counts){
	    .exported = atomic_load_explicit(&e->exported, memory_order_relaxed),
	    .dropped = atomic_load_explicit(&e->dropped, memory_order_relaxed),
	    .failed = atomic_load_explicit(&e->failed, memory_order_relaxed),
	};
}
