/* What the application under the sidecar finds in its environment. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "daemon/bindings.h"
#include "daemon/hosted.h"
#include "model/snapshot.h"

#define UNIX_PREFIX "unix:"

struct environment {
	char **list; /* owned, with what is in it; ended by NULL */
	size_t n, room;
};

static void add(struct environment *e, const char *entry)
{
	if (e->n + 2 > e->room) {
		e->room = 2 * e->room + 16;
		e->list = mem_realloc(e->list, e->room * sizeof *e->list);
	}
	e->list[e->n++] = mem_strdup(entry);
	e->list[e->n] = NULL;
}

/* What a supervisor says to this process alone, and what we say ourselves. */
static bool is_ours_alone(const char *entry)
{
	static const char *const names[] = {
	    "NOTIFY_SOCKET=",
	    "WATCHDOG_USEC=",
	    "WATCHDOG_PID=",
	    "LISTEN_PID=",
	    "LISTEN_FDS=",
	    "LISTEN_FDNAMES=",
	    "BRIDLE_ADMIN_SOCKET=",
	    "BRIDLE_METADATA_SOCKET=",
	    "BRIDLE_LISTENER_",
	    "BRIDLE_SERVICE_",
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strncmp(entry, names[i], strlen(names[i])) == 0)
			return true;
	return false;
}

static void add_name(struct text *t, const char *prefix, struct slice name)
{
	text_add_str(t, prefix);
	for (size_t i = 0; i < name.len; i++) {
		char c = (char)(isalnum(name.data[i]) ? toupper(name.data[i]) : '_');

		text_add(t, slice_of(&c, 1));
	}
}

static void add_text(struct environment *e, struct text *moved)
{
	text_add(moved, slice_of("", 1)); /* ends the string */
	add(e, moved->bytes);
	text_fini(moved);
}

static bool is_path(const char *address)
{
	return strncmp(address, UNIX_PREFIX "/", sizeof UNIX_PREFIX) == 0;
}

/* PREFIX_NAME=addresses, and the path of the first. */
static void add_addresses(struct environment *e, const char *prefix, struct slice name,
    const char *const *addresses, size_t n)
{
	struct text t = {0};

	add_name(&t, prefix, name);
	text_add_str(&t, "=");
	for (size_t i = 0; i < n; i++) {
		text_add_str(&t, i ? " " : "");
		text_add_str(&t, addresses[i]);
	}
	add_text(e, &t);
	if (!is_path(addresses[0]))
		return;
	t = (struct text){0};
	add_name(&t, prefix, name);
	text_add_str(&t, "_PATH=");
	text_add_str(&t, addresses[0] + sizeof UNIX_PREFIX - 1);
	add_text(e, &t);
}

static void add_listener(
    struct environment *e, const struct bindings *bindings, const struct listener_config *listener)
{
	const char **addresses = mem_calloc(listener->n_addresses, sizeof *addresses);
	size_t n = 0;

	list_each (link, &bindings->all) {
		const struct binding *b = list_item(link, struct binding, link);

		if (strcmp(b->listener, listener->name) == 0 && n < listener->n_addresses)
			addresses[n++] = b->bound.text;
	}
	if (n)
		add_addresses(e, "BRIDLE_LISTENER_", slice_str(listener->name), addresses, n);
	free(addresses);
}

static void add_service(struct environment *e, const struct service *service)
{
	const char **addresses = mem_calloc(service->n_endpoints, sizeof *addresses);

	for (size_t i = 0; i < service->n_endpoints; i++)
		addresses[i] = service->endpoints[i].address.text;
	add_addresses(e, "BRIDLE_SERVICE_", service->label, addresses, service->n_endpoints);
	free(addresses);
}

static bool is_pinned(const struct config *config, const struct service *service)
{
	for (size_t i = 0; i < config->n_listeners; i++)
		if (config->listeners[i].service == service->config)
			return true;
	return false;
}

bool hosted_serves(const struct snapshot *snapshot, const struct service *service)
{
	return service->is_local && is_pinned(snapshot->config, service);
}

char **hosted_environment(
    char *const *ours, const struct bindings *bindings, const struct snapshot *snapshot)
{
	const struct config *config = snapshot->config;
	struct environment e = {0};
	struct text admin = {0}, metadata = {0};

	for (; *ours; ours++)
		if (!is_ours_alone(*ours))
			add(&e, *ours);
	text_printf(&admin, "BRIDLE_ADMIN_SOCKET=%s", config->admin.socket);
	add_text(&e, &admin);
	if (config_has_metadata_socket(config)) {
		text_printf(&metadata, "BRIDLE_METADATA_SOCKET=%s", config->metadata_socket);
		add_text(&e, &metadata);
	}
	for (size_t i = 0; i < config->n_listeners; i++)
		add_listener(&e, bindings, &config->listeners[i]);
	for (size_t i = 0; i < snapshot->n_services; i++)
		if (hosted_serves(snapshot, &snapshot->services[i]))
			add_service(&e, &snapshot->services[i]);
	return e.list;
}

void hosted_environment_free(char ***environment)
{
	for (char **at = *environment; at && *at; at++)
		free(*at);
	free(*environment);
	*environment = NULL;
}
