/*
 * What an application is told of the caller's connection for whose calls a connection to it is
 * opened: the PROXY header that such a connection begins with, where its service has `metadata:
 * proxy_v2`. An introduction is made when the first call wants one and belongs to the caller's
 * connection; connections that began with it serve no other, and end with it.
 *
 * What carries the calls of many callers, and what we do for ourselves, is introduced by the
 * header's command LOCAL, which says that nobody stands behind it: here that is NULL.
 *
 * Belongs to one worker's thread.
 */
#ifndef BRIDLE_PROXY_INTRODUCTION_H
#define BRIDLE_PROXY_INTRODUCTION_H

#include <stdint.h>

#include "base/list.h"
#include "base/slice.h"

struct backend;
struct call;
struct config;
struct conn;
struct downstream;
struct upstream;

struct introduction {
	unsigned refs;
	bool is_over;            /* the caller's connection has ended */
	struct list connections; /* upstreams that began with it, idle ones first */
	char id[17];             /* 16 digits */
	size_t len;
	uint8_t facts[];
};

struct introduction *introduction_ref(struct introduction *introduction);
void introduction_unref(struct introduction **introduction);

/* Of the connection that the call came on, borrowed; made if there is none yet. */
struct introduction *introduction_of(struct call *call);
/* The call will outlive its caller's connection, or never had one: it keeps the introduction of
 * @like, which may be the call itself. */
void introduction_keep(struct call *call, struct call *like);
/* What the listener's rules say has changed, or may have: if so, its connections serve no more. */
void introduction_follow(struct downstream *d, const struct config *config);
/* The caller's connection has ended: what began with the introduction closes, in time. Drops the
 * reference. */
void introduction_end(struct introduction **introduction);

/* The most recently used idle connection to @backend that began with it; NULL: none. */
struct upstream *introduction_idle(
    const struct introduction *introduction, const struct backend *backend);
/* Writes the header, before anything else, on a connection to an endpoint of @service.
 * @introduction NULL: for nobody. Returns 0, or -1 with the errno in *@error: the connection is
 * broken. */
int introduction_write(
    const struct introduction *introduction, struct slice service, struct conn *conn, int *error);

#endif
