#include "proxy/access.h"

#include "model/caller.h"
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

struct slice access_caller(
    const struct downstream *d, const struct config *config, struct slice stated, bool *replaced)
{
	return caller_of(config, d->listener, d->has_uid ? (int64_t)d->uid : -1, stated, replaced);
}
