/*
 * Connecting to an endpoint: to an application that asks for metadata from a name of its own, by
 * which the worker finds the connection again.
 */
#include <errno.h>
#include <unistd.h>

#include "net/conn.h"
#include "net/loop.h"
#include "proxy/backend.h"
#include "proxy/upstream.h"
#include "proxy/upstream_name.h"
#include "proxy/worker.h"

#define NAME_TRIES 4u /* at one that nobody has */

static struct slice key_of(const struct upstream *u)
{
	return slice_of(&u->number, sizeof u->number);
}

static enum conn_start connect_as(
    struct upstream *u, struct backend *b, uint64_t number, int *error)
{
	struct upstream_name name = {getpid(), b->worker->index, number};
	char room[UPSTREAM_NAME_MAX];
	enum conn_start start;

	start = conn_connect_as(b->worker->loop, upstream_name_write(&name, room), &b->address,
	    &upstream_events, u, &u->conn, error);
	if (start == CONN_READY || start == CONN_PENDING) {
		u->number = number;
		table_put(&b->worker->named, key_of(u), u);
	}
	return start;
}

/* Where no name is to be had the connection carries calls all the same. */
enum conn_start upstream_connect(struct upstream *u, struct backend *b, int *error)
{
	for (unsigned i = 0; b->names_connections && i < NAME_TRIES; i++) {
		enum conn_start start = connect_as(u, b, rng_next(&b->worker->rng) | 1, error);

		if (start != CONN_FAILED || *error != EADDRINUSE)
			return start;
	}
	return conn_connect(b->worker->loop, &b->address, &upstream_events, u, &u->conn, error);
}

void upstream_forget_name(struct upstream *u)
{
	if (u->number)
		table_remove(&u->backend->worker->named, key_of(u));
}
