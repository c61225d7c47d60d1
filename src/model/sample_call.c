#include "model/sample_call.h"

#include <stdio.h>

#include "model/caller.h"

static const struct slice *find_kind(const struct sample_call *call, enum fact_kind kind)
{
	for (size_t i = 0; i < call->n; i++)
		if (call->list[i].key.kind == kind)
			return &call->list[i].value;
	return NULL;
}

static struct slice value_of(const struct sample_call *call, enum fact_kind kind)
{
	const struct slice *value = find_kind(call, kind);

	return value ? *value : SLICE_NONE;
}

/* Metadata that is empty is none, as in a message. */
static bool find_fact(const void *arg, const struct fact_key *key, struct slice *value)
{
	const struct sample_call *call = arg;

	if (key->kind == FACT_CALLER) {
		*value = call->caller;
		return value->len > 0;
	}
	if (!caller_may_state(call->facts.listener, key))
		return false;
	for (size_t i = 0; i < call->n; i++)
		if (fact_key_eq(&call->list[i].key, key)) {
			*value = call->list[i].value;
			return value->len > 0 || key->kind != FACT_META;
		}
	return false;
}

static bool is_name_of(const struct service_config *service, struct slice name)
{
	if (slice_eq_str(name, service->label) || slice_eq_str(name, service->name))
		return true;
	for (size_t i = 0; i < service->aliases.n; i++)
		if (slice_eq_str(name, service->aliases.items[i]))
			return true;
	return false;
}

static const struct listener_config *choose_listener(
    const struct config *config, struct slice service)
{
	for (size_t i = 0; i < config->n_listeners; i++)
		if (config->listeners[i].service == NULL)
			return &config->listeners[i];
	for (size_t i = 0; i < config->n_listeners; i++)
		if (is_name_of(config->listeners[i].service, service))
			return &config->listeners[i];
	return config->n_listeners ? &config->listeners[0] : NULL;
}

static int read_source(struct sample_call *call, struct err *err)
{
	struct slice text = value_of(call, FACT_SOURCE);
	char with_port[FACT_ROOM + 16];

	if (text.len == 0)
		return 0;
	snprintf(with_port, sizeof with_port,
	    memchr(text.data, ':', text.len) ? "[%.*s]:0" : "%.*s:0", (int)text.len,
	    (const char *)text.data);
	if (text.len >= FACT_ROOM || address_parse(&call->address, slice_str(with_port), err) < 0 ||
	    call->address.kind != ADDRESS_IP)
		return err_set(err, 0, "source \"%.*s\" is no IP address",
		    (int)slice_first(text, 80).len, (const char *)text.data);
	call->facts.more.address = (const struct sockaddr *)&call->address.sa;
	return 0;
}

static int read_id(
    const struct sample_call *call, enum fact_kind kind, int64_t *id, struct err *err)
{
	const struct slice *text = find_kind(call, kind);
	uint64_t number;

	*id = -1;
	if (text == NULL)
		return 0;
	if (!slice_to_u64(*text, &number) || number > UINT32_MAX)
		return err_set(err, 0, "%s \"%.*s\" is no number", kind == FACT_UID ? "uid" : "gid",
		    (int)slice_first(*text, 80).len, (const char *)text->data);
	*id = (int64_t)number;
	return 0;
}

/* On a unix socket the other side always has a uid: nobody's where none is given. */
static int64_t uid_of(const struct sample_call *call)
{
	const struct listener_config *l = call->facts.listener;
	bool is_unix = l->n_addresses && l->addresses[0].kind != ADDRESS_IP;

	return call->facts.more.uid < 0 && is_unix ? INT64_MAX : call->facts.more.uid;
}

int sample_call_init(struct sample_call *call, const struct config *config,
    const struct listener_config *listener, const struct fact_value *facts, size_t n,
    struct err *err)
{
	struct fact_source *more = &call->facts.more;
	bool is_replaced;

	*call = (struct sample_call){.config = config, .list = facts, .n = n};
	call->facts.service_asked = value_of(call, FACT_SERVICE);
	call->facts.idl_service = value_of(call, FACT_IDL_SERVICE);
	call->facts.method = value_of(call, FACT_METHOD);
	call->facts.listener =
	    listener ? listener : choose_listener(config, call->facts.service_asked);
	more->find = find_fact;
	more->call = call;
	if (call->facts.listener == NULL)
		return err_set(err, 0, "the file has no listener that a call could come in by");
	if (read_source(call, err) < 0 || read_id(call, FACT_UID, &more->uid, err) < 0 ||
	    read_id(call, FACT_GID, &more->gid, err) < 0)
		return -1;
	call->caller = caller_of(
	    config, call->facts.listener, uid_of(call), value_of(call, FACT_CALLER), &is_replaced);
	return 0;
}
