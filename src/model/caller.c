#include "model/caller.h"

#include <ctype.h>

#include "base/mem.h"

static struct slice caller_of_uid(const struct listener_config *l, int64_t uid)
{
	for (size_t i = 0; i < l->n_caller_uids; i++)
		if ((int64_t)l->caller_uids[i].uid == uid)
			return slice_str(l->caller_uids[i].name);
	return SLICE_NONE;
}

struct slice caller_of(const struct config *config, const struct listener_config *listener,
    int64_t uid, struct slice stated, bool *replaced)
{
	*replaced = listener->caller != CALLER_AS_STATED;
	switch (listener->caller) {
	case CALLER_AS_STATED:
		break;
	case CALLER_NODE:
		return slice_str(config->node.service);
	case CALLER_UID:
		return caller_of_uid(listener, uid);
	}
	/* Who is on this machine and says nothing is taken for the one we stand beside. */
	if (stated.len == 0 && uid >= 0)
		return slice_str(config->node.service);
	return stated;
}

/* ---- what a caller may state ---- */

static int folded(uint8_t c)
{
	return c == '_' ? '-' : tolower(c);
}

static bool begins(struct slice name, struct slice with)
{
	if (name.len < with.len)
		return false;
	for (size_t i = 0; i < with.len; i++)
		if (folded(name.data[i]) != folded(with.data[i]))
			return false;
	return true;
}

static bool is_same(struct slice a, struct slice b)
{
	return a.len == b.len && begins(a, b);
}

/* The name of metadata that is written as a header; empty: it is none. */
static struct slice meta_name(const struct fact_key *key)
{
	static const struct slice prefixes[] = {SLICE_LIT("rpc-persist-"),
	    SLICE_LIT("rpc-transit-upstream-"), SLICE_LIT("rpc-transit-")};

	if (key->kind == FACT_META)
		return key->name;
	for (size_t i = 0; key->kind == FACT_HEADER && i < ARRAY_LEN(prefixes); i++)
		if (begins(key->name, prefixes[i]))
			return slice_from(key->name, prefixes[i].len);
	return SLICE_NONE;
}

/* As rpc/attest has it for messages. */
static bool is_identity(const struct fact_key *key)
{
	static const struct slice headers[] = {
	    SLICE_LIT("rip"), SLICE_LIT("source-service"), SLICE_LIT("source-method")};

	if (key->kind == FACT_CALLER_METHOD || is_same(meta_name(key), SLICE_LIT("gdpr-token")))
		return true;
	for (size_t i = 0; key->kind == FACT_HEADER && i < ARRAY_LEN(headers); i++)
		if (is_same(key->name, headers[i]))
			return true;
	return key->kind == FACT_INT &&
	       (key->number == fact_int_named(SLICE_LIT("from_service")) ||
		   key->number == fact_int_named(SLICE_LIT("from_method")));
}

static bool is_reserved(const struct reserved_name *reserved, const struct fact_key *key)
{
	struct slice name = reserved->key.kind == FACT_META ? meta_name(key) : key->name;

	if (reserved->key.kind == FACT_INT || name.len == 0)
		return fact_key_eq(&reserved->key, key);
	if (reserved->key.kind == FACT_HEADER && key->kind != FACT_HEADER)
		return false;
	if (meta_name(key).len == 0 && !fact_is_changeable(key))
		return false; /* it has a place of its own */
	return reserved->is_prefix ? begins(name, reserved->key.name)
				   : is_same(name, reserved->key.name);
}

bool caller_may_state(const struct listener_config *listener, const struct fact_key *key)
{
	if (listener->caller != CALLER_AS_STATED && is_identity(key))
		return false;
	for (size_t i = 0; i < listener->n_reserved; i++)
		if (is_reserved(&listener->reserved[i], key))
			return false;
	return true;
}
