#include "rpc/status.h"

#include <stdarg.h>
#include <stdio.h>

void rpc_status_set(struct rpc_status *status, enum reason reason, const char *format, ...)
{
	va_list args;

	status->reason = reason;
	status->has_exception_id = false;
	status->exception_id = 0;
	va_start(args, format);
	vsnprintf(status->detail, sizeof status->detail, format, args);
	va_end(args);
}

size_t rpc_status_text(const struct rpc_status *status, char *room, size_t size)
{
	const char *kitex = reason_kitex_text(status->reason);
	int len = snprintf(room, size, "bridled: %s%s%s%s%s", reason_name(status->reason),
	    kitex ? ": " : "", kitex ? kitex : "", status->detail[0] ? ": " : "", status->detail);

	return (size_t)len < size ? (size_t)len : size - 1;
}
