/* The kinds of registries that there are. */
#include "registry/client.h"

static const struct registry_client_ops *ops_of(enum registry_type type)
{
	switch (type) {
	case REGISTRY_ETCD:
		return &etcd_ops;
	case REGISTRY_ZOOKEEPER:
		return &zookeeper_ops;
	case REGISTRY_CONSUL:
		return &consul_ops;
	case REGISTRY_NACOS:
		return &nacos_ops;
	case REGISTRY_DNS:
		return &names_ops;
	case REGISTRY_FILE:
		return &file_ops;
	}
	return &file_ops;
}

bool registry_type_is_built(enum registry_type type)
{
	return ops_of(type)->open != NULL;
}

struct registry *registry_new(struct shared_config *shared, const struct registry_config *config,
    const struct registry_place *place, const struct registry_events *events, void *arg,
    struct err *err)
{
	return registry_new_with(ops_of(config->type), shared, config, place, events, arg, err);
}
