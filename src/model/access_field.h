/* The fields of a line of the access log, by the names that its JSON and format strings use. */
#ifndef BRIDLE_MODEL_ACCESS_FIELD_H
#define BRIDLE_MODEL_ACCESS_FIELD_H

#include "base/slice.h"

enum access_field {
	ACCESS_TIME,
	ACCESS_LOG_ID,
	ACCESS_TRACE_ID,
	ACCESS_LISTENER,
	ACCESS_PROTOCOL,
	ACCESS_CALLER,
	ACCESS_SERVICE,
	ACCESS_IDL_SERVICE,
	ACCESS_METHOD,
	ACCESS_KIND,
	ACCESS_REASON,
	ACCESS_DETAIL,
	ACCESS_BIZ_STATUS,
	ACCESS_ENDPOINT,
	ACCESS_SOURCE,
	ACCESS_STATUS, /* from here on numbers */
	ACCESS_ATTEMPTS,
	ACCESS_BYTES_IN,
	ACCESS_BYTES_OUT,
	/* From here on grouped in JSON, by what stands before the dot. */
	ACCESS_MESSAGES_IN, /* of gRPC and streams alone */
	ACCESS_MESSAGES_OUT,
	ACCESS_US_TOTAL,
	ACCESS_US_QUEUE,
	ACCESS_US_CONNECT,
	ACCESS_US_FIRST_BYTE,
	ACCESS_COUNT,
};

const char *access_field_name(enum access_field field);
/* ACCESS_COUNT when there is none of that name. */
enum access_field access_field_find(struct slice name);

#endif
