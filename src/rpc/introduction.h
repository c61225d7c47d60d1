/*
 * What an application is told at the beginning of a connection: on whose behalf it was opened, as a
 * header of the PROXY protocol. Which facts there are and what they are called on the wire; whose
 * they are is for the caller to know.
 */
#ifndef BRIDLE_RPC_INTRODUCTION_H
#define BRIDLE_RPC_INTRODUCTION_H

#include <sys/types.h>

#include "base/address.h"
#include "base/cursor.h"

/* Room for what is written, as long as names have no more than 200 bytes. */
#define RPC_INTRODUCTION_FACTS_MAX 1024u
#define RPC_INTRODUCTION_MAX       (RPC_INTRODUCTION_FACTS_MAX + 512)

/* Of the caller's connection to us. Texts that are empty are left out. */
struct rpc_introduction {
	const struct address *from, *to;
	struct slice id, caller, listener;
	bool has_process; /* it came over a unix socket */
	uid_t uid;
	pid_t pid;
};

/* What is the same in all headers for this connection, for rpc_introduction_write. */
void rpc_introduction_write_facts(struct writer *w, const struct rpc_introduction *introduction);
/* The header for a connection to an endpoint of @service. @facts: what was written for the caller;
 * none: it is opened for nobody, or for many. */
void rpc_introduction_write(struct writer *w, struct slice facts, struct slice service);

#endif
