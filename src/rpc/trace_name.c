#include "rpc/trace_name.h"

#include "rpc/metadata.h"

#define NAME(text)                                                                                 \
	{                                                                                          \
		(text), sizeof(text) - 1                                                           \
	}

static const struct {
	const char *text;
	size_t len;
} names[TRACE_NAMES] = {
    [TRACE_NAME_PARENT] = NAME("traceparent"),
    [TRACE_NAME_STATE] = NAME("tracestate"),
    [TRACE_NAME_B3] = NAME("b3"),
    [TRACE_NAME_B3_TRACE_ID] = NAME("x-b3-traceid"),
    [TRACE_NAME_B3_SPAN_ID] = NAME("x-b3-spanid"),
    [TRACE_NAME_B3_PARENT_ID] = NAME("x-b3-parentspanid"),
    [TRACE_NAME_B3_SAMPLED] = NAME("x-b3-sampled"),
    [TRACE_NAME_B3_FLAGS] = NAME("x-b3-flags"),
};

struct slice trace_name_text(enum trace_name name)
{
	return slice_of(names[name].text, names[name].len);
}

/* First letters and lengths tell nearly everything else at once. */
static enum trace_name find(struct slice text)
{
	uint8_t first = text.len ? text.data[0] | 0x20 : 0;

	if (first != 't' && first != 'x' && first != 'b')
		return TRACE_NAMES;
	for (int i = 0; i < TRACE_NAMES; i++)
		if (names[i].len == text.len &&
		    metadata_name_eq(text, trace_name_text((enum trace_name)i)))
			return (enum trace_name)i;
	return TRACE_NAMES;
}

enum trace_name trace_name_of_key(struct slice key, bool *is_transient)
{
	*is_transient = slice_starts(key, SLICE_LIT(METADATA_TRANSIT_KEY));
	return find(*is_transient ? slice_from(key, METADATA_PREFIX) : key);
}

enum trace_name trace_name_of_field(struct slice field, bool *is_transient)
{
	*is_transient = slice_starts(field, SLICE_LIT(METADATA_TRANSIT_FIELD));
	return find(*is_transient ? slice_from(field, METADATA_PREFIX) : field);
}
