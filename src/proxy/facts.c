#include "proxy/facts.h"

#include "proxy/call.h"
#include "proxy/downstream.h"
#include "rpc/facts.h"

static bool give(struct slice from, struct slice *value)
{
	*value = from;
	return from.len > 0;
}

/* An IP address without its port, a unix socket's other end as it is. */
static struct slice source_of(const struct call *call)
{
	struct slice s = slice_str(call->source);

	if (slice_starts(s, SLICE_LIT("unix:")))
		return s;
	for (size_t i = s.len; i > 0; i--)
		if (s.data[i - 1] == ':') {
			s = slice_first(s, i - 1);
			break;
		}
	if (s.len > 2 && s.data[0] == '[')
		s = slice_sub(s, 1, s.len - 2);
	return s;
}

static bool find(const void *arg, const struct fact_key *key, struct slice *value)
{
	struct call_finder *finder = (struct call_finder *)(uintptr_t)arg;
	const struct call *call = finder->call;
	const struct rpc_message *m = &call->request;

	switch (key->kind) {
	case FACT_METHOD:
		return give(m->method, value);
	case FACT_IDL_SERVICE:
		return give(m->idl_service, value);
	case FACT_SERVICE:
		return give(m->service_asked, value);
	case FACT_CALLER:
		return give(call->caller, value);
	case FACT_CALLER_METHOD:
		return give(m->caller_method, value);
	case FACT_LOG_ID:
		return give(m->log_id, value);
	case FACT_META:
		return rpc_facts_meta(&finder->facts, key->name, value);
	case FACT_HEADER:
		if (call->listener->caller_address_set && slice_eq_str(key->name, "rip"))
			return give(slice_str(call->source), value); /* as it goes on */
		return rpc_facts_header(&finder->facts, key->name, value);
	case FACT_INT:
		return rpc_facts_int(&finder->facts, key->number, value);
	case FACT_SOURCE:
		return give(source_of(call), value);
	case FACT_FIELD:
		finder->turn ^= 1;
		return rpc_find_field(m, key->path, key->depth, finder->rooms[finder->turn], value);
	case FACT_UID: /* the source has them */
	case FACT_GID:
	case FACT_NONE:
		break;
	}
	return false;
}

struct fact_source call_fact_source(const struct call *call, struct call_finder *finder)
{
	const struct downstream *d = call->downstream;
	struct fact_source source = {.find = find, .call = finder, .uid = -1, .gid = -1};

	finder->call = call;
	rpc_facts_init(&finder->facts, &call->request);
	finder->turn = 0;
	if (d == NULL)
		return source;
	source.address = address_source_get(&d->from);
	if (d->has_uid) {
		source.uid = d->uid;
		source.gid = d->gid;
	}
	return source;
}
