/*
 * Asks for metadata that go to a process that was replaced and still has the connection: sent on to
 * it, its answer passed back. Such a process listens on an abstract address that its id tells;
 * either side believes only a process of its own user, or root's.
 */
#ifndef BRIDLE_DAEMON_METADATA_FORWARD_H
#define BRIDLE_DAEMON_METADATA_FORWARD_H

#include <sys/types.h>

#include "base/address.h"
#include "daemon/http_server.h"

struct metadata_question;
struct upstream_name;

/* Where the process @process answers those that took its place. */
void metadata_forward_address(pid_t process, struct address *address);
/* Sends it on, and answers by http_reply_later. False: there is no such process, or it cannot be
 * asked; @reply is as it was. */
bool metadata_forward(struct loop *loop, const struct upstream_name *name,
    const struct metadata_question *question, struct http_reply *reply);

#endif
