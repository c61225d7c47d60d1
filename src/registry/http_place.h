/*
 * How a registry that speaks HTTP is reached: one HTTP client over the servers, the names and the
 * TLS of its configuration; what a bad answer says, and when to ask again after one. What is asked,
 * and with which credentials, is the business of each registry's client.
 */
#ifndef BRIDLE_REGISTRY_HTTP_PLACE_H
#define BRIDLE_REGISTRY_HTTP_PLACE_H

#include "net/http_client.h"
#include "registry/client.h"

/* Embedded in a client. */
struct http_place {
	const struct registry_client_start *start; /* borrowed */
	struct tls_client *tls;                    /* owned; NULL: plain */
	struct http_client *http;                  /* owned */
	struct rng rng;
};

/* Connects to nobody yet. Returns -1 with @err set; http_place_close is due either way. */
int http_place_open(
    struct http_place *place, const struct registry_client_start *start, struct err *err);
/* What is under way is dropped without a word. */
void http_place_close(struct http_place *place);
usec_t http_place_now(const struct http_place *place);
void http_place_timer(
    const struct http_place *place, struct timer *timer, usec_t wait, timer_fn fire);

/* Says in @err why this answer is none: that there was no answer, or its status and the begin of
 * its text. Nothing of what was asked, where secrets may stand. Returns -1. */
int http_place_refuse(const struct http_response *response, struct err *err);
/*
 * How long to wait after such an answer. Silence and errors of the server's own (5xx: it starts, or
 * elects a leader) end some time by themselves, and what they took away has to be back soon after:
 * never long pauses. All else is a refusal that only people mend.
 * @status: 0 where there was none.
 */
usec_t http_place_pause(struct http_place *place, struct registry_pause *pause, int status);

#endif
