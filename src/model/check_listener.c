/* Rules within one listener: what its address, its callers and its pin allow together. */
#include <grp.h>
#include <pwd.h>

#include "base/mem.h"
#include "model/config_bind.h"
#include "model/config_check.h"
#include "model/config_warn.h"

#define MODE_DEFAULT 0660 /* as the key has it */

/* The kinds of addresses that a listener has. */
struct kinds {
	bool ip, path, abstract, open; /* open: IP, and not the loopback network */
};

static struct kinds kinds_of(const struct listener_config *listener)
{
	struct kinds kinds = {false, false, false, false};

	for (size_t i = 0; i < listener->n_addresses; i++) {
		const struct address *address = &listener->addresses[i];

		kinds.ip |= address->kind == ADDRESS_IP;
		kinds.path |= address->kind == ADDRESS_UNIX;
		kinds.abstract |= address->kind == ADDRESS_ABSTRACT;
		kinds.open |= !address_is_local(address);
	}
	return kinds;
}

static bool has_rule(const struct access_list *list, bool by_id)
{
	for (size_t i = 0; i < list->n; i++)
		if ((list->rules[i].kind != ACCESS_CIDR) == by_id)
			return true;
	return false;
}

static void refuse(
    struct check *c, const struct listener_config *listener, const char *key, const char *text)
{
	struct key_path path;

	problems_error(c->problems, origin_place(c->config, listener, key),
	    check_listener_path(c, listener, key, &path), "%s", text);
}

static void warn(struct check *c, enum warning_id id, const struct listener_config *listener,
    const char *key, const char *text)
{
	struct key_path path;

	warn_at(c, id, origin_place(c->config, listener, key),
	    check_listener_path(c, listener, key, &path), "%s", text);
}

static void check_access(
    struct check *c, const struct listener_config *listener, const struct kinds *kinds)
{
	bool is_unix = kinds->path || kinds->abstract;

	if (kinds->open && listener->service == NULL && listener->allow.n == 0)
		refuse(c, listener, "address",
		    "anybody who reaches this address could call every service\nexpected allow: "
		    "[networks], or service: to pin one, or a loopback address");
	if (kinds->abstract && !has_rule(&listener->allow, true))
		refuse(c, listener, "address",
		    "an abstract socket has no file permissions\nexpected allow: [\"uid:N\"] beside it");
	if (!is_unix && has_rule(&listener->allow, true))
		refuse(c, listener, "allow",
		    "uid and gid are known on unix sockets only\nexpected networks like 10.0.0.0/8");
	if (!is_unix && has_rule(&listener->deny, true))
		refuse(c, listener, "deny",
		    "uid and gid are known on unix sockets only\nexpected networks like 10.0.0.0/8");
	if (!kinds->ip && has_rule(&listener->allow, false))
		refuse(c, listener, "allow",
		    "a caller on a unix socket is in no network\nexpected uid:N or gid:N");
	if (!kinds->ip && has_rule(&listener->deny, false))
		refuse(c, listener, "deny",
		    "a caller on a unix socket is in no network\nexpected uid:N or gid:N");
}

static void check_caller(
    struct check *c, const struct listener_config *listener, const struct kinds *kinds)
{
	if (listener->caller == CALLER_NODE && c->config->node.service[0] == '\0')
		refuse(c, listener, "caller",
		    "node has no service to be named after\nexpected node: {service: NAME} at the top");
	if (listener->caller == CALLER_UID && !kinds->path && !kinds->abstract)
		refuse(c, listener, "caller",
		    "uids are known on unix sockets only\nexpected as_stated or node");
}

static void check_owner(struct check *c, const struct listener_config *listener)
{
	if (listener->owner && getpwnam(listener->owner) == NULL)
		refuse(c, listener, "owner", "there is no such user\nexpected a user's name");
	if (listener->group && getgrnam(listener->group) == NULL)
		refuse(c, listener, "group", "there is no such group\nexpected a group's name");
}

static void check_file(
    struct check *c, const struct listener_config *listener, const struct kinds *kinds)
{
	/* What has its default changes nothing either: the dump of a good file is a good file. */
	const struct {
		const char *key;
		bool is_set;
	} rights[] = {{"mode", listener->mode != MODE_DEFAULT}, {"owner", listener->owner != NULL},
	    {"group", listener->group != NULL}};
	struct key_path path;

	check_owner(c, listener);
	for (size_t i = 0; !kinds->path && i < ARRAY_LEN(rights); i++)
		if (rights[i].is_set)
			warn(c, WARN_SOCKET_KEY, listener, rights[i].key,
			    "means nothing without a unix socket that has a path\nleave it out");
	if (kinds->path && (listener->mode & 0022) == 0)
		warn(c, WARN_SOCKET_MODE, listener, "mode",
		    "nobody but the owner may connect\nexpected write permission for the group or for "
		    "others, like 0660");
	check_listener_path(c, listener, "address", &path);
	for (size_t i = 0; i < listener->n_addresses; i++)
		if (listener->addresses[i].kind == ADDRESS_UNIX)
			check_directory(c, listener, "address", path.text,
			    listener->addresses[i].text + strlen("unix:"));
}

static void check_reach(struct check *c, const struct listener_config *listener)
{
	if (listener->service)
		return;
	if (c->config->n_services == 0 && c->config->any == NULL)
		warn(c, WARN_LISTENER, listener, NULL,
		    "leads nowhere: there are no services\nexpected entries under services");
	else if (listener->protocols && (listener->protocols & CHECK_NAMING_PROTOCOLS) == 0)
		warn(c, WARN_LISTENER, listener, "protocols",
		    "leads nowhere: calls in these protocols do not name a service\nexpected service: to "
		    "pin one, or ttheader, ttheader_streaming or grpc among the protocols");
}

void check_listener_alone(struct check *c, const struct listener_config *listener)
{
	struct kinds kinds = kinds_of(listener);

	check_access(c, listener, &kinds);
	check_caller(c, listener, &kinds);
	check_file(c, listener, &kinds);
	check_reach(c, listener);
}
