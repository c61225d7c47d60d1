/*
 * What a registry file says: endpoints by service, and documents of dynamic configuration. YAML or
 * JSON, through the guarded reader. Knows nothing of where the text comes from.
 *
 *     shop.price: [10.0.0.1:8888, {address: 10.0.0.2:8888, weight: 5, tags: {env: prod}, zone: b}]
 *     shop.cart/shop.price: {timeout: {...}, retry: {...}, circuitbreaker: {...}}
 *     shop.price: {limit: {...}}
 *
 * A list is endpoints, also as the records of Kitex's etcd registry; a map is documents.
 */
#ifndef BRIDLE_REGISTRY_FILE_SERVICES_H
#define BRIDLE_REGISTRY_FILE_SERVICES_H

#include "model/yaml.h"
#include "registry/registry.h"

#define FILE_SERVICES_MAX (8u * 1024 * 1024) /* bytes of a file */

struct file_services {
	struct arena arena;
	const struct yaml_node *root; /* a map */
};

/* Reads the whole text; @name is for messages. -1 with @err set, which has line and column, when
 * any of it cannot be read: then nothing of it holds. */
int file_services_init(
    struct file_services *file, struct slice text, const char *name, struct err *err);
void file_services_fini(struct file_services *file);

/* An item of a set that cannot be used: what it says, and why not. */
typedef void (*file_skipped_fn)(void *arg, struct slice record, const char *why);
/*
 * The endpoints of a service, none when it is not there; they lie in @file. -1 with @err set when
 * what stands there is no list.
 */
int file_services_find(struct file_services *file, struct slice service, struct endpoint **list,
    size_t *n, file_skipped_fn skipped, void *arg, struct err *err);
/* What stands under <names>/<category>, as JSON in @file; SLICE_NONE when there is nothing. */
struct slice file_services_document(struct file_services *file, struct slice key);

#endif
