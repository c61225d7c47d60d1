#include "proxy/access.h"

#include "proxy/downstream.h"

static bool rule_matches(
    const struct access_rule *rule, const struct address *from, const struct downstream *d)
{
	switch (rule->kind) {
	case ACCESS_CIDR:
		return from->len && cidr_contains(&rule->cidr, (const struct sockaddr *)&from->sa);
	case ACCESS_UID:
		return d->has_uid && d->uid == rule->id;
	case ACCESS_GID:
		return d->has_uid && d->gid == rule->id;
	}
	return false;
}

static bool list_matches(
    const struct access_list *list, const struct address *from, const struct downstream *d)
{
	for (size_t i = 0; i < list->n; i++)
		if (rule_matches(&list->rules[i], from, d))
			return true;
	return false;
}

bool access_admits(
    const struct listener_config *listener, const struct address *from, const struct downstream *d)
{
	if (list_matches(&listener->deny, from, d))
		return false;
	return listener->allow.n == 0 || list_matches(&listener->allow, from, d);
}

static struct slice caller_of_uid(const struct downstream *d)
{
	const struct listener_config *l = d->listener;

	for (size_t i = 0; d->has_uid && i < l->n_caller_uids; i++)
		if (l->caller_uids[i].uid == d->uid)
			return slice_str(l->caller_uids[i].name);
	return SLICE_NONE;
}

struct slice access_caller(
    const struct downstream *d, const struct config *config, struct slice stated, bool *replaced)
{
	*replaced = false;
	switch (d->listener->caller) {
	case CALLER_AS_STATED:
		break;
	case CALLER_NODE:
		*replaced = true;
		return slice_str(config->node.service);
	case CALLER_UID:
		*replaced = true;
		return caller_of_uid(d);
	}
	if (stated.len == 0 && d->has_uid)
		return slice_str(config->node.service);
	return stated;
}
