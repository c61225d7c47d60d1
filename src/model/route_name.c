#include "model/route_name.h"

#include <arpa/inet.h>
#include <string.h>

#include "model/route.h"

#define SERVICE_NAME_MAX 200u

static void add_name(struct snapshot *s, struct slice name, struct service *service)
{
	if (name.len && table_get(&s->by_name, name) == NULL)
		table_put(&s->by_name, name, service);
}

/* Under its name in the mesh the application beside us is one of many: "*" finds them all, with it
 * among them. */
static bool leaves_its_name(const struct snapshot *s, const struct service_config *service)
{
	return s->config->any && service->registration.n_in > 0;
}

/* Labels win over wire names, wire names over aliases. */
void route_index(struct snapshot *s)
{
	table_init(&s->by_name, (uint64_t)(uintptr_t)s);
	for (size_t i = 0; i < s->n_services; i++)
		add_name(s, s->services[i].label, &s->services[i]);
	for (size_t i = 0; i < s->n_services; i++)
		if (!leaves_its_name(s, s->services[i].config))
			add_name(s, s->services[i].name, &s->services[i]);
	for (size_t i = 0; i < s->n_services; i++) {
		const struct config_list *aliases = &s->services[i].config->aliases;

		for (size_t k = 0; k < aliases->n; k++)
			add_name(s, slice_str(aliases->items[k]), &s->services[i]);
	}
}

/* Names from callers: [A-Za-z0-9._-]{1,200}. */
static bool is_service_name(struct slice name)
{
	if (name.len == 0 || name.len > SERVICE_NAME_MAX)
		return false;
	for (size_t i = 0; i < name.len; i++) {
		uint8_t b = name.data[i];
		bool is_letter = (b | 0x20) >= 'a' && (b | 0x20) <= 'z';

		if (!is_letter && !(b >= '0' && b <= '9') && b != '.' && b != '_' && b != '-')
			return false;
	}
	return true;
}

static const struct service *find_pinned(
    const struct snapshot *s, const struct call_facts *f, const char **why)
{
	const struct service_config *pin = f->listener->service;
	const struct service *asked;

	if (f->listener->strict_service && f->service_asked.len) {
		asked = table_get(&s->by_name, f->service_asked);
		if (!slice_eq_str(f->service_asked, pin->name) &&
		    (asked == NULL || asked->config != pin)) {
			*why =
			    "the call asks for another service than this listener's (strict_service)";
			return NULL;
		}
	}
	return table_get(&s->by_name, slice_str(pin->label));
}

static const struct service *find_listed(const struct snapshot *s, struct slice name)
{
	return is_service_name(name) ? table_get(&s->by_name, name) : NULL;
}

/* "pkg.Service" is also known as "Service": Kitex leaves the package out, too. */
static struct slice without_package(struct slice idl_service)
{
	for (size_t i = idl_service.len; i > 0; i--)
		if (idl_service.data[i - 1] == '.')
			return slice_from(idl_service, i);
	return idl_service;
}

/* The IDL service stands for a service that has it as an alias. */
static const struct service *find_alias(
    const struct snapshot *s, struct slice idl_service, const char **why)
{
	const struct service *found = find_listed(s, idl_service);

	if (found == NULL)
		found = find_listed(s, without_package(idl_service));
	*why = found
		   ? "its IDL service is an alias of it"
		   : "the IDL service (isn, or the path) is no alias of any service; add it under "
		     "aliases";
	return found;
}

/* A name that "*" stands for: @name becomes @wanted. */
static bool is_anyones(const struct snapshot *s, struct slice name, struct slice *wanted)
{
	if (s->config->any == NULL || !is_service_name(name) || slice_eq_str(name, "none"))
		return false; /* `none` is no label */
	*wanted = name;
	return true;
}

/* An :authority is rather where a connection goes than what is called, unless it looks like a
 * name. */
static bool is_place(struct slice authority)
{
	char text[INET_ADDRSTRLEN];
	struct in_addr address;

	if (slice_eq_str(authority, "localhost"))
		return true;
	if (authority.len == 0 || authority.len >= sizeof text)
		return false;
	memcpy(text, authority.data, authority.len);
	text[authority.len] = '\0';
	return inet_pton(AF_INET, text, &address) == 1;
}

static const struct service *find_named(
    const struct snapshot *s, const struct call_facts *f, const char **why, struct slice *wanted)
{
	static const char *const looked_up = "not looked up yet: \"*\" stands for it";
	const struct service *found;

	if (f->service_asked.len) {
		found = find_listed(s, f->service_asked);
		*why = found ? "the call asks for it by name"
			     : "no service of that name; list it under services, or as an alias of "
			       "one";
		if (found == NULL && is_anyones(s, f->service_asked, wanted))
			*why = looked_up;
		return found;
	}
	found = f->authority.len ? find_listed(s, f->authority) : NULL;
	if (found) {
		*why = "it is the :authority of the call";
		return found;
	}
	if (!is_place(f->authority) && is_anyones(s, f->authority, wanted)) {
		*why = looked_up;
		return NULL;
	}
	if (f->idl_service.len)
		return find_alias(s, f->idl_service, why);
	*why = "the call names no service; pin the listener with service:, or name one by int key "
	       "6 (TTHeader), :authority or destination-service (gRPC)";
	return NULL;
}

const struct service *route_find_service(
    const struct snapshot *s, const struct call_facts *f, const char **why, struct slice *wanted)
{
	*wanted = SLICE_NONE;
	if (f->listener->service == NULL)
		return find_named(s, f, why, wanted);
	*why = "the listener is pinned to it";
	return find_pinned(s, f, why);
}
