/*
 * Asks a daemon over its admin socket: one HTTP exchange on a unix socket, waited for. For programs
 * that do nothing else meanwhile; whoever has a loop must not call this.
 */
#ifndef BRIDLE_NET_HTTP_ASK_H
#define BRIDLE_NET_HTTP_ASK_H

#include "base/err.h"
#include "base/text.h"

/* A connection to the unix socket @path (a leading @ stands for an abstract one), for one exchange.
 * Reading and writing give up after @seconds of silence. Returns the descriptor, owned by the
 * caller, or -1 with @err set and its code errno. */
int http_ask_open(const char *path, unsigned seconds, struct err *err);

struct http_answer {
	int status;
	struct slice body; /* within all */
	struct text all;   /* owned */
};

/* Sends the request, with @body as JSON unless it is empty, and reads the answer to its end; at
 * most 16 MiB. @target is sent as it is. Returns 0, or -1 with @err set; http_answer_fini is due
 * either way. */
int http_ask(int fd, const char *method, const char *target, struct slice body,
    struct http_answer *answer, struct err *err);
/* The first half of it: who wants to read an answer that goes on reads it from @fd. */
int http_ask_send(
    int fd, const char *method, const char *target, struct slice body, struct err *err);
void http_answer_fini(struct http_answer *answer);

#endif
