/*
 * What an application may be told of a call that it was sent: the facts and metadata that a
 * TTHeader would have had for it, as JSON.
 */
#ifndef BRIDLE_PROXY_CALL_TOLD_H
#define BRIDLE_PROXY_CALL_TOLD_H

#include "base/text.h"
#include "rpc/message.h"

struct attempt;

struct call_told {
	struct rpc_message seen; /* without body */
	struct slice service, source;
	int32_t seq;     /* as the application has it from us */
	usec_t deadline; /* by the loop's clock; USEC_NONE: there is none */
};

/* The sequence id, or number of the stream, that the application has from us. */
int32_t call_told_seq(const struct attempt *a);
/* Of the call of an attempt that has been sent; all views are into @arena. */
void call_told_of(struct attempt *a, struct arena *arena, struct call_told *told);

struct call_told_moment {
	usec_t now, calendar; /* of the loop */
};

/* Appends the JSON. @name: of the connection; @with_secrets: the ACL token is told, too. */
void call_told_write(const struct call_told *told, struct slice name,
    const struct call_told_moment *moment, bool with_secrets, struct text *page);

#endif
