/* Doubts about how metadata reaches the application of a service. */
#include "model/config_warn.h"

/* Protocols whose calls are written with a header of their own, and whose bodies are never edited. */
static bool has_own_metadata(enum service_protocol protocol)
{
	return protocol == SERVICE_GRPC || protocol == SERVICE_TTHEADER_STREAMING;
}

void warn_of_metadata(struct check *c, const struct service_config *service)
{
	if (metadata_is_in_body(&service->metadata) && has_own_metadata(service->protocol))
		warn_service(c, WARN_METADATA_BODY, service, "metadata.type",
		    "no body of its protocol is ever edited\nexpected protocol: framed, buffered or "
		    "a form of ttheader, or metadata: auto");
	if (service->metadata.type == METADATA_PROXY_V2 && service->policy.pool_warm)
		warn_service(c, WARN_METADATA_WARM, service, "metadata.type",
		    "each connection is made for a caller, so pool.warm, %u, makes none\n"
		    "expected pool.warm: none",
		    service->policy.pool_warm);
}
