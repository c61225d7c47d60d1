#include "ctl/dump_calls.h"

#include <stdlib.h>

#include "base/mem.h"

#define BUCKETS       128u
#define NAME_MAX_KEPT 256u

void dump_calls_init(struct dump_calls *calls)
{
	*calls = (struct dump_calls){.seed = (uint32_t)((uintptr_t)calls >> 4)};
	for (unsigned i = 0; i < 2; i++)
		list_init(&calls->by_age[i]);
}

void dump_calls_fini(struct dump_calls *calls)
{
	struct dump_call *call;

	for (unsigned i = 0; i < 2; i++)
		while ((call = dump_calls_oldest(calls, i)))
			dump_calls_remove(calls, call);
	free(calls->by_id);
	*calls = (struct dump_calls){0};
}

static struct list *bucket(const struct dump_calls *calls, uint32_t id)
{
	return &calls->by_id[((id ^ calls->seed) * 2654435761u) >> 25];
}

_Static_assert(BUCKETS == 1u << (32 - 25), "seven bits choose the bucket");

static struct slice put_name(char *names, size_t *at, struct slice name)
{
	struct slice kept = slice_of(names + *at, name.len);

	if (name.len)
		memcpy(names + *at, name.data, name.len);
	*at += name.len;
	return kept;
}

static void begin(struct dump_calls *calls)
{
	calls->by_id = mem_calloc(BUCKETS, sizeof *calls->by_id);
	calls->held += BUCKETS * sizeof *calls->by_id;
	for (unsigned i = 0; i < BUCKETS; i++)
		list_init(&calls->by_id[i]);
}

static size_t names_of(const struct dump_call *call)
{
	return call->service.len + call->idl_service.len + call->method.len;
}

struct dump_call *dump_calls_add(struct dump_calls *calls, unsigned side, uint32_t id, usec_t at,
    struct slice service, struct slice idl_service, struct slice method)
{
	struct dump_call *call = mem_calloc(1, sizeof *call);
	size_t used = 0;

	if (calls->by_id == NULL)
		begin(calls);
	if (calls->n[side] == DUMP_CALLS_MAX)
		dump_calls_remove(calls, dump_calls_oldest(calls, side));
	service = slice_first(service, NAME_MAX_KEPT);
	idl_service = slice_first(idl_service, NAME_MAX_KEPT);
	method = slice_first(method, NAME_MAX_KEPT);
	call->id = id;
	call->side = side;
	call->at = at;
	call->names = mem_alloc(service.len + idl_service.len + method.len + 1);
	call->service = put_name(call->names, &used, service);
	call->idl_service = put_name(call->names, &used, idl_service);
	call->method = put_name(call->names, &used, method);
	list_push_back(&calls->by_age[side], &call->by_age);
	list_push_back(bucket(calls, id), &call->by_id);
	calls->n[side]++;
	calls->held += sizeof *call + names_of(call);
	return call;
}

struct dump_call *dump_calls_find(const struct dump_calls *calls, unsigned side, uint32_t id)
{
	if (calls->by_id == NULL)
		return NULL;
	list_each (link, bucket(calls, id)) {
		struct dump_call *call = list_item(link, struct dump_call, by_id);

		if (call->id == id && call->side == side)
			return call;
	}
	return NULL;
}

struct dump_call *dump_calls_oldest(const struct dump_calls *calls, unsigned side)
{
	struct list *first = calls->by_age[side].next;

	return first == &calls->by_age[side] ? NULL : list_item(first, struct dump_call, by_age);
}

void dump_calls_remove(struct dump_calls *calls, struct dump_call *call)
{
	for (unsigned i = 0; i < 2; i++)
		dump_flow_reset(calls, &call->flows[i]);
	calls->held -= sizeof *call + names_of(call);
	calls->n[call->side]--;
	list_remove(&call->by_age);
	list_remove(&call->by_id);
	free(call->names);
	free(call);
}

void dump_flow_keep(
    struct dump_calls *calls, struct dump_flow *flow, struct slice bytes, size_t max)
{
	size_t before = flow->kept.room;

	if (flow->kept.len >= max || flow->missing)
		return;
	text_add(&flow->kept, slice_first(bytes, max - flow->kept.len));
	calls->held += flow->kept.room - before;
}

void dump_flow_reset(struct dump_calls *calls, struct dump_flow *flow)
{
	calls->held -= flow->kept.room;
	text_fini(&flow->kept);
	flow->n_prefix = 0;
	flow->left = flow->length = flow->missing = 0;
}
