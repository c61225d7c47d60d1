#include "model/access_field.h"

static const char *const names[ACCESS_COUNT] = {
    [ACCESS_TIME] = "time",
    [ACCESS_LOG_ID] = "log_id",
    [ACCESS_TRACE_ID] = "trace_id",
    [ACCESS_LISTENER] = "listener",
    [ACCESS_PROTOCOL] = "protocol",
    [ACCESS_CALLER] = "caller",
    [ACCESS_SERVICE] = "service",
    [ACCESS_IDL_SERVICE] = "idl_service",
    [ACCESS_METHOD] = "method",
    [ACCESS_KIND] = "kind",
    [ACCESS_REASON] = "reason",
    [ACCESS_DETAIL] = "detail",
    [ACCESS_BIZ_STATUS] = "biz_status",
    [ACCESS_ENDPOINT] = "endpoint",
    [ACCESS_SOURCE] = "source",
    [ACCESS_STATUS] = "status",
    [ACCESS_ATTEMPTS] = "attempts",
    [ACCESS_BYTES_IN] = "bytes_in",
    [ACCESS_BYTES_OUT] = "bytes_out",
    [ACCESS_MESSAGES_IN] = "messages.in",
    [ACCESS_MESSAGES_OUT] = "messages.out",
    [ACCESS_US_TOTAL] = "us.total",
    [ACCESS_US_QUEUE] = "us.queue",
    [ACCESS_US_CONNECT] = "us.connect",
    [ACCESS_US_FIRST_BYTE] = "us.first_byte",
};

const char *access_field_name(enum access_field field)
{
	return names[field];
}

enum access_field access_field_find(struct slice name)
{
	int f = 0;

	while (f < ACCESS_COUNT && !slice_eq_str(name, names[f]))
		f++;
	return (enum access_field)f;
}
