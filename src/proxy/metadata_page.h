/*
 * What an application is told when it asks for the metadata of the call that it has in hand, by the
 * name of our end of its connection: the call as a TTHeader would have told of it, as JSON. In the
 * thread of the worker that has the connection; nothing is kept for it while calls go by.
 */
#ifndef BRIDLE_PROXY_METADATA_PAGE_H
#define BRIDLE_PROXY_METADATA_PAGE_H

#include <sys/types.h>

#include "base/text.h"

struct worker;

struct metadata_asker {
	uid_t uid;
	bool is_trusted; /* may ask for what is another user's, but is not told its secrets */
};

struct metadata_question {
	uint64_t number; /* of the connection's name */
	bool has_seq;
	int32_t seq; /* of the call, where a connection carries several */
	struct metadata_asker asker;
};

enum metadata_answer {
	METADATA_ANSWERED,
	METADATA_UNKNOWN,   /* there is no such connection */
	METADATA_FORBIDDEN, /* it is another user's */
	METADATA_NO_CALL,   /* none is in flight on it, or none with that sequence id */
	METADATA_SEVERAL,   /* more than one is, and none is named */
	METADATA_ANSWERS,
};

/* The word for it in metrics. */
const char *metadata_answer_name(enum metadata_answer answer);

/* Appends the JSON to @page if it is ANSWERED. Counted in worker->metadata_asked. */
enum metadata_answer metadata_page(
    struct worker *worker, const struct metadata_question *question, struct text *page);

#endif
