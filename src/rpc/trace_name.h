/*
 * By which names the context of a trace travels: plain ones in HTTP/2, and the same as transient
 * metadata where Kitex's peers propagate it. Private to rpc/.
 */
#ifndef BRIDLE_RPC_TRACE_NAME_H
#define BRIDLE_RPC_TRACE_NAME_H

#include <stdbool.h>

#include "base/slice.h"

enum trace_name {
	TRACE_NAME_PARENT,
	TRACE_NAME_STATE,
	TRACE_NAME_B3,
	TRACE_NAME_B3_TRACE_ID,
	TRACE_NAME_B3_SPAN_ID,
	TRACE_NAME_B3_PARENT_ID,
	TRACE_NAME_B3_SAMPLED,
	TRACE_NAME_B3_FLAGS,
	TRACE_NAMES, /* none of these */
};

/* Of a TTHeader's str key, whatever its case, and with _ for -, as Kitex's peers read it; of a
 * field. *@is_transient is set unless it is none. */
enum trace_name trace_name_of_key(struct slice key, bool *is_transient);
enum trace_name trace_name_of_field(struct slice field, bool *is_transient);
/* Its plain spelling, as the standards have it. */
struct slice trace_name_text(enum trace_name name);
/* The text of the trace id in what stands under that name; empty when there is none. */
struct slice trace_id_in(enum trace_name name, struct slice value);

#endif
