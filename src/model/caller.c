#include "model/caller.h"

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
