/* Rules about what is spoken on the two sides: where they differ, calls have to be converted. */
#include <stdio.h>

#include "model/config_bind.h"
#include "model/config_check.h"

#define BIT(name) PROTOCOL_BIT(PROTOCOL_##name)
#define UNARY     (BIT(BUFFERED) | BIT(FRAMED) | BIT(TTHEADER) | BIT(GRPC))

/* What calls may come in and reach endpoints that speak @protocol. Whether each can depends on its
 * payload and, in gRPC, on its kind; from the others none can. */
static unsigned convertible(enum service_protocol protocol)
{
	switch (protocol) {
	case SERVICE_SAME:
		break;
	case SERVICE_BUFFERED:
	case SERVICE_FRAMED:
	case SERVICE_TTHEADER:
	case SERVICE_TTHEADER_FRAMED:
	case SERVICE_TTHEADER_BARE:
	case SERVICE_GRPC:
		return UNARY;
	case SERVICE_TTHEADER_STREAMING:
		return BIT(TTHEADER_STREAMING);
	}
	return UNARY | BIT(TTHEADER_STREAMING);
}

static void list_protocols(unsigned bits, char *list, size_t size)
{
	list[0] = '\0';
	for (unsigned p = 0; p < PROTOCOL_COUNT; p++) {
		size_t len = strlen(list);

		if (bits & PROTOCOL_BIT(p))
			snprintf(list + len, size - len, "%s%s", len ? ", " : "",
			    protocol_name((enum protocol)p));
	}
}

static void check_pin(struct check *c, const struct listener_config *listener)
{
	unsigned from = convertible(listener->service->protocol);
	struct key_path path;
	char list[100];

	/* Nothing at all is admitted only where the list is wrong. */
	if (listener->protocols == 0 || (listener->protocols & from))
		return;
	list_protocols(from, list, sizeof list);
	problems_error(c->problems, origin_place(c->config, listener, "protocols"),
	    check_listener_path(c, listener, "protocols", &path),
	    "no call in these protocols can be turned into what the service \"%s\" speaks "
	    "(no_conversion)\nexpected at least one of: %s",
	    listener->service->label, list);
}

/* A service that is found by its name; the pinned ones have been checked at their listeners. */
static void check_open(struct check *c, const struct service_config *service)
{
	unsigned from = convertible(service->protocol), admitted = 0;
	struct key_path path = {.len = 0};
	char list[100];

	for (size_t i = 0; i < c->config->n_listeners; i++) {
		const struct listener_config *listener = &c->config->listeners[i];

		if (listener->service == service)
			return;
		if (listener->service == NULL)
			admitted |= listener->protocols & CHECK_NAMING_PROTOCOLS;
	}
	if (admitted == 0 || (admitted & from) || check_is_led_to(c->config, service))
		return;
	list_protocols(from & CHECK_NAMING_PROTOCOLS, list, sizeof list);
	key_path_key(&path, SLICE_LIT("services"));
	key_path_key(&path, slice_str(service->label));
	key_path_key(&path, SLICE_LIT("protocol"));
	problems_error(c->problems, origin_place(c->config, service, "protocol"), path.text,
	    "no call that may ask for this service can be turned into what it speaks "
	    "(no_conversion)\nexpected a listener whose protocols have one of: %s",
	    list);
}

void check_protocols(struct check *c)
{
	/* After an error the listener that leads there may be among what is wrong. */
	bool is_whole = c->problems->n_errors == 0;
	const struct service_config *service;

	for (size_t i = 0; i < c->config->n_listeners; i++)
		if (c->config->listeners[i].service)
			check_pin(c, &c->config->listeners[i]);
	for (size_t i = 0; is_whole && (service = check_service_at(c->config, i)) != NULL; i++)
		check_open(c, service);
}
