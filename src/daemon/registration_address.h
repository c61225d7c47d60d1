/*
 * At which address the application behind a service is published: the one that the file states,
 * else the first TCP address of the listener that is pinned to the service, as it is really bound.
 * A wildcard host is left for the caller to fill in: which of the machine's addresses stands for it
 * is a matter of the registry that is told.
 */
#ifndef BRIDLE_DAEMON_REGISTRATION_ADDRESS_H
#define BRIDLE_DAEMON_REGISTRATION_ADDRESS_H

#include "daemon/bindings.h"

/* Returns 0, or -1 with @err saying what is missing. */
int registration_address_find(const struct config *config, const struct service_config *service,
    const struct bindings *bindings, struct address *found, struct err *err);
/* 0.0.0.0 or [::] */
bool registration_address_is_wildcard(const struct address *address);
/* Does a listener on this address take IPv4 alone? */
bool registration_address_is_v4(const struct address *address);

#endif
