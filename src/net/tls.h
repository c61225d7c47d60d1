/* TLS of connections that we open: contexts made from a configuration. OpenSSL is known here
 * alone. */
#ifndef BRIDLE_NET_TLS_H
#define BRIDLE_NET_TLS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct bufferevent;
struct event_base;
struct tls_client;

/* Paths of PEM files; NULL: the system's certificates, none of our own. */
struct tls_files {
	const char *ca, *cert, *key;
	bool verify_none;
};

/* TLS 1.2 or later, the other side verified unless told not to. NULL with @err set: which file,
 * why. */
struct tls_client *tls_client_new(const struct tls_files *files, struct err *err);
void tls_client_free(struct tls_client **tls);
/* A stream, not connected yet, that asks for and verifies @name (a host name or an address). */
struct bufferevent *tls_client_stream(
    struct tls_client *tls, struct event_base *base, const char *name, struct err *err);
/* Why such a stream failed; false when TLS was not to blame. */
bool tls_stream_reason(struct bufferevent *stream, char *room, size_t size);
/* What the library says of the last failure on this thread, for a log line. */
void tls_reason(char *room, size_t size);
const char *tls_library_version(void);

#endif
