/* Doubts about how metadata reaches the application of a service, and what it hands on. */
#include "model/config_warn.h"

/* Protocols whose calls are written with a header of their own, and whose bodies are never
 * edited. */
static bool has_own_metadata(enum service_protocol protocol)
{
	return protocol == SERVICE_GRPC || protocol == SERVICE_TTHEADER_STREAMING;
}

static bool is_unix(const struct address *address)
{
	return address->kind == ADDRESS_UNIX || address->kind == ADDRESS_ABSTRACT;
}

static bool has_unix_endpoint(const struct service_config *service)
{
	for (size_t i = 0; i < service->n_endpoints; i++)
		if (is_unix(&service->endpoints[i].address))
			return true;
	return false;
}

static bool has_unix_listener(const struct config *config)
{
	for (size_t i = 0; i < config->n_listeners; i++)
		for (size_t j = 0; j < config->listeners[i].n_addresses; j++)
			if (is_unix(&config->listeners[i].addresses[j]))
				return true;
	return false;
}

static void warn_of_correlation(struct check *c, const struct service_config *service)
{
	if (!service->correlate)
		return;
	if (!has_unix_endpoint(service))
		warn_service(c, WARN_CORRELATE, service, "correlate",
		    "none of its endpoints is on a unix socket, so its process is not known\n"
		    "expected an endpoint like unix:/run/app.sock, or correlate: none");
	else if (!has_unix_listener(c->config))
		warn_service(c, WARN_CORRELATE, service, "correlate",
		    "no listener is on a unix socket, so nobody knows who makes a call\n"
		    "expected a listener with an address like unix:/run/bridled/out.sock, or "
		    "correlate: none");
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
	warn_of_correlation(c, service);
	if (service->metadata.type == METADATA_LOOKUP && service->n_endpoints &&
	    !has_unix_endpoint(service))
		warn_service(c, WARN_METADATA_LOOKUP, service, "metadata.type",
		    "its application can ask for nothing: no endpoint is a unix socket\nexpected an "
		    "endpoint like unix:/run/app.sock, or another kind of metadata");
}
