/* What went wrong, as the admin door tells it: GET /errors, and what /services says of each
 * service's calls. */
#include <stdlib.h>

#include <cJSON.h>

#include "base/clock.h"
#include "base/mem.h"
#include "daemon/admin_pages.h"
#include "daemon/admin_reply.h"
#include "daemon/admin_routes.h"
#include "daemon/control.h"
#include "daemon/traffic.h"
#include "net/loop.h"

#define ERRORS_MOST 1000u /* of one answer, the latest ones */

/* ---- of a service ---- */

/* Without the empty buckets at the end. */
static void add_counts(cJSON *object, const uint64_t *counts)
{
	cJSON *list = cJSON_AddArrayToObject(object, "latency");
	size_t n = HISTOGRAM_BOUNDS + 1;

	while (n && counts[n - 1] == 0)
		n--;
	for (size_t i = 0; i < n; i++)
		cJSON_AddItemToArray(list, cJSON_CreateNumber((double)counts[i]));
}

void admin_add_latency(cJSON *object, const struct histogram *took)
{
	struct buckets buckets = {0};

	buckets_add(&buckets, took);
	add_counts(object, buckets.counts);
}

static void add_reasons(cJSON *object, const uint64_t *by_reason)
{
	cJSON *reasons = cJSON_AddObjectToObject(object, "reasons");

	for (int i = 0; i < REASON_COUNT; i++)
		if (by_reason[i])
			cJSON_AddNumberToObject(
			    reasons, reason_name((enum reason)i), (double)by_reason[i]);
}

void admin_add_traffic(cJSON *object, const struct traffic *traffic, const struct service *service)
{
	static const struct service_traffic none;
	const struct service_traffic *t = traffic_service(traffic, service->label);
	cJSON *retries;

	t = t ? t : &none;
	cJSON_AddNumberToObject(object, "calls_total", (double)t->calls);
	add_reasons(object, t->by_reason);
	add_counts(object, t->took.counts);
	retries = cJSON_AddObjectToObject(object, "retries");
	cJSON_AddNumberToObject(retries, "connect", (double)t->retries_connect);
	cJSON_AddNumberToObject(retries, "unsent", (double)t->retries_unsent);
	cJSON_AddNumberToObject(retries, "failure", (double)t->retries_failure);
	cJSON_AddNumberToObject(retries, "backup", (double)t->retries_backup);
	cJSON_AddNumberToObject(object, "retries_refused",
	    (double)atomic_load_explicit(&service->tally->budget_exhausted, memory_order_relaxed));
	cJSON_AddNumberToObject(object, "ejections",
	    (double)atomic_load_explicit(&service->tally->ejections, memory_order_relaxed));
}

/* ---- of all ---- */

static int compare(const void *a, const void *b)
{
	const struct failure *left = *(const struct failure *const *)a;
	const struct failure *right = *(const struct failure *const *)b;

	if (left->last != right->last)
		return left->last < right->last ? 1 : -1;
	return left->count < right->count ? 1 : left->count > right->count ? -1 : 0;
}

static const struct failure **sorted(const struct traffic *t)
{
	const struct failure **list = mem_calloc(t->n_failures + 1, sizeof *list);
	size_t n = 0;

	for (const struct failure *f = t->failures; f; f = f->next)
		list[n++] = f;
	qsort(list, n, sizeof *list, compare);
	return list;
}

static void add_text(cJSON *object, const char *name, struct slice text)
{
	char *copy = slice_dup(text);

	cJSON_AddStringToObject(object, name, copy);
	free(copy);
}

static void add_moment(cJSON *object, const char *name, usec_t at, usec_t now)
{
	if (at == 0)
		cJSON_AddNullToObject(object, name);
	else
		admin_add_time(object, name, clock_calendar() - (now > at ? now - at : 0));
}

static cJSON *build_failure(const struct failure *f, usec_t now)
{
	cJSON *one = cJSON_CreateObject();
	char detail[FAULT_TEXT + 1] = "";

	if (f->note)
		fault_note_text(f->note, detail);
	add_text(one, "service", f->service);
	add_text(one, "method", f->method);
	cJSON_AddStringToObject(one, "reason", reason_name(f->reason));
	cJSON_AddNumberToObject(one, "count", (double)f->count);
	add_moment(one, "first_at", f->first, now);
	add_moment(one, "last_at", f->last, now);
	if (f->last)
		cJSON_AddNumberToObject(
		    one, "last_ago_s", (double)((now > f->last ? now - f->last : 0) / USEC_S));
	else
		cJSON_AddNullToObject(one, "last_ago_s");
	cJSON_AddStringToObject(one, "detail", detail);
	return one;
}

void admin_get_errors(
    struct control *c, const struct http_request *request, struct http_reply *reply)
{
	cJSON *root = cJSON_CreateObject(), *list;
	const struct failure **failures;
	usec_t now = loop_now(c->loop);
	struct traffic traffic;

	(void)request;
	traffic_of_failures(&traffic, c->workers.list, c->workers.n);
	failures = sorted(&traffic);
	add_moment(root, "since", c->started_at, now);
	list = cJSON_AddArrayToObject(root, "errors");
	for (size_t i = 0; i < traffic.n_failures && i < ERRORS_MOST; i++)
		cJSON_AddItemToArray(list, build_failure(failures[i], now));
	cJSON_AddNumberToObject(root, "left_out",
	    traffic.n_failures > ERRORS_MOST ? (double)(traffic.n_failures - ERRORS_MOST) : 0);
	free(failures);
	traffic_fini(&traffic);
	admin_reply_json(reply, 200, root);
}
