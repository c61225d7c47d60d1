/*
 * One connection of the HTTP client, with one exchange at a time: libevent's evhttp with what it
 * lacks, bounds on what it collects and freedom to give it up within its own callbacks. Which
 * server, when, and for whom is decided behind this (http_client.c).
 */
#ifndef BRIDLE_NET_HTTP_LINK_H
#define BRIDLE_NET_HTTP_LINK_H

#include "net/http_client.h"

struct http_link;

struct http_link_end {
	int status; /* 0: there was no whole answer */
	const char *error;
	struct slice body; /* valid until the link's next exchange */
	bool was_sent;     /* the server may have seen some of the request */
	bool was_heard;    /* it has begun to answer */
	bool is_reusable;  /* the link may be used again */
};

struct http_link_events {
	/* The head of a stream is there, its status 2xx. */
	void (*streaming)(void *arg);
	void (*piece)(void *arg, struct slice bytes);
	/* The exchange is over; at the end of a turn. The link is free for the next, or to be
	 * closed. */
	void (*end)(void *arg, const struct http_link_end *end);
	/* Closed by the other side while it had nothing to do; at the end of a turn. */
	void (*closed)(void *arg);
};

struct http_link_to {
	struct loop *loop;
	struct tls_client *tls; /* NULL: plain */
	const char *name;       /* asked for and verified */
	const struct address *server;
};

/* Connects with the first exchange. NULL with @err set. */
struct http_link *http_link_open(const struct http_link_to *to, struct err *err);
/* Legal at any time; nothing is raised any more. NULLs the pointer. */
void http_link_close(struct http_link **link);

/* @events and @arg hold until the next http_link_ask or http_link_rest. Nothing is raised in here.
 * @host: of the header. The timeout of @request is not looked at. */
void http_link_ask(struct http_link *link, const struct http_request *request, const char *host,
    const struct http_link_events *events, void *arg);
/* Nothing is to be done for a while: from now on only closed is raised. */
void http_link_rest(struct http_link *link, const struct http_link_events *events, void *arg);
bool http_link_was_sent(const struct http_link *link);
/* Of the last whole answer; NULL when there is no such header. */
const char *http_link_header(const struct http_link *link, const char *name);

#endif
