#include "daemon/registration_address.h"

#include <arpa/inet.h>
#include <string.h>

bool registration_address_is_v4(const struct address *address)
{
	return address->sa.ss_family == AF_INET;
}

bool registration_address_is_wildcard(const struct address *address)
{
	if (address->kind != ADDRESS_IP)
		return false;
	if (registration_address_is_v4(address))
		return ((const struct sockaddr_in *)&address->sa)->sin_addr.s_addr == INADDR_ANY;
	return IN6_IS_ADDR_UNSPECIFIED(&((const struct sockaddr_in6 *)&address->sa)->sin6_addr);
}

static const struct address *find_bound(const struct bindings *bindings, const char *listener)
{
	list_each (link, &bindings->all) {
		const struct binding *b = list_item(link, struct binding, link);

		if (b->bound.kind == ADDRESS_IP && strcmp(b->listener, listener) == 0)
			return &b->bound;
	}
	return NULL;
}

int registration_address_find(const struct config *config, const struct service_config *service,
    const struct bindings *bindings, struct address *found, struct err *err)
{
	bool has_listener = false;

	if (service->registration.has_address) {
		*found = service->registration.address;
		return 0;
	}
	for (size_t i = 0; i < config->n_listeners; i++) {
		const struct listener_config *l = &config->listeners[i];
		const struct address *bound;

		if (l->service == NULL || strcmp(l->service->label, service->label) != 0)
			continue;
		has_listener = true;
		bound = find_bound(bindings, l->name);
		if (bound == NULL)
			continue;
		*found = *bound;
		return 0;
	}
	return err_set(err, 0,
	    has_listener ? "no listener pinned to %s has a TCP address; state register.address"
			 : "no listener is pinned to %s; state register.address",
	    service->label);
}
