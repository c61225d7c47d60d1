/* metadata_socket: where it is wanted, it has to be a path of its own. */
#include <stdio.h>

#include "model/config_bind.h"
#include "model/config_check.h"

#define KEY "metadata_socket"

static bool asks(const struct service_config *service)
{
	return service && service->metadata.type == METADATA_LOOKUP;
}

bool config_has_metadata_socket(const struct config *config)
{
	if (origin_named(config, config, KEY) || asks(config->any))
		return true;
	for (size_t i = 0; i < config->n_services; i++)
		if (asks(config->services[i]))
			return true;
	return false;
}

static void complain(struct check *c, const char *text)
{
	const struct config *config = c->config;
	const char *named = origin_named(config, config, KEY) ? KEY : NULL;

	problems_error(c->problems, origin_place(config, config, named), KEY, "%s", text);
}

void check_metadata_socket(struct check *c)
{
	const struct config *config = c->config;
	const char *path = config->metadata_socket;
	char text[ADDRESS_PATH_MAX + sizeof "unix:"];

	if (!config_has_metadata_socket(config))
		return;
	if (strlen(path) > ADDRESS_PATH_MAX) { /* what is written has been measured */
		complain(c,
		    "the default, beside admin.socket, is longer than a socket's path may be\n"
		    "expected metadata_socket: PATH with at most 107 bytes");
		return;
	}
	if (origin_named(config, config, KEY))
		check_directory(c, config, KEY, KEY, path);
	snprintf(text, sizeof text, "unix:%s", path);
	if (strcmp(path, config->admin.socket) == 0)
		complain(c, "admin.socket has this path\nexpected a path of its own");
	else if (table_get(&c->addresses, slice_str(text)))
		complain(c, "a listener has this path\nexpected a path of its own");
}
