/* Rules between listeners: names and addresses, each once. */
#include "model/config_bind.h"
#include "model/config_check.h"

const char *check_listener_path(const struct check *c, const struct listener_config *listener,
    const char *key, struct key_path *path)
{
	path->len = 0;
	key_path_key(path, SLICE_LIT("listeners"));
	key_path_index(path, (size_t)(listener - c->config->listeners));
	if (key)
		key_path_key(path, slice_str(key));
	return path->text;
}

static void check_names(struct check *c)
{
	struct table names;

	table_init(&names, 0);
	for (size_t i = 0; i < c->config->n_listeners; i++) {
		const struct listener_config *listener = &c->config->listeners[i], *other;
		struct key_path path;

		if (listener->name == NULL) /* it was no map */
			continue;
		other = table_put(&names, slice_str(listener->name), (void *)(uintptr_t)listener);
		if (other)
			problems_error(c->problems, origin_place(c->config, listener, "name"),
			    check_listener_path(c, listener, "name", &path),
			    "two listeners are called \"%s\"\nthe other is listeners[%zu]: give each a "
			    "name of its own",
			    listener->name, (size_t)(other - c->config->listeners));
	}
	table_fini(&names);
}

static struct place address_place(const struct check *c, const struct address *address)
{
	return origin_place(c->config, address, NULL);
}

static void check_address(
    struct check *c, const struct listener_config *listener, const struct address *address)
{
	const struct listener_config *other;
	struct key_path path;

	/* Port 0 is another port each time. */
	if (address->kind == ADDRESS_IP && address->port == 0)
		return;
	other = table_put(&c->addresses, slice_str(address->text), (void *)(uintptr_t)listener);
	if (other == NULL)
		return;
	problems_error(c->problems, address_place(c, address),
	    check_listener_path(c, listener, "address", &path),
	    "the address %s is taken\nlisteners[%zu] has it already: an address belongs to one listener",
	    address->text, (size_t)(other - c->config->listeners));
}

/* The daemon listens for its operator too. */
static void check_admin(struct check *c)
{
	const struct config *config = c->config;
	char text[ADDRESS_PATH_MAX + sizeof "unix:"];

	if (config->admin.has_http && config->admin.http.port > 0 &&
	    table_get(&c->addresses, slice_str(config->admin.http.text)))
		problems_error(c->problems, origin_place(config, config, "admin.http"),
		    "admin.http", "a listener has this address\nexpected an address of its own");
	snprintf(text, sizeof text, "unix:%s", config->admin.socket);
	if (table_get(&c->addresses, slice_str(text)))
		problems_error(c->problems, origin_place(config, config, "admin.socket"),
		    "admin.socket", "a listener has this path\nexpected a path of its own");
}

void check_listeners(struct check *c)
{
	check_names(c);
	for (size_t i = 0; i < c->config->n_listeners; i++) {
		const struct listener_config *listener = &c->config->listeners[i];

		for (size_t j = 0; j < listener->n_addresses; j++)
			check_address(c, listener, &listener->addresses[j]);
		if (listener->n_addresses > 0)
			check_listener_alone(c, listener);
	}
	check_admin(c);
}
