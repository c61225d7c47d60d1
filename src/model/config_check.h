/*
 * The rules that hold between values: what one of them alone cannot tell. They look at a bound
 * configuration, say what is wrong with places and remedies, and change nothing. They look at the
 * machine too (users, directories), but bind, connect and resolve nothing.
 */
#ifndef BRIDLE_MODEL_CONFIG_CHECK_H
#define BRIDLE_MODEL_CONFIG_CHECK_H

#include "base/table.h"
#include "model/config.h"
#include "model/key_path.h"

/* Those in which a call says for whom it is. */
#define CHECK_NAMING_PROTOCOLS                                                                     \
	(PROTOCOL_BIT(PROTOCOL_TTHEADER) | PROTOCOL_BIT(PROTOCOL_TTHEADER_STREAMING) |             \
	    PROTOCOL_BIT(PROTOCOL_GRPC))

struct allows;

struct check {
	const struct config *config;
	struct problems *problems;
	struct table addresses; /* what listeners bind -> struct listener_config */
	struct allows *allows;  /* comments of the file; NULL: nobody wants warnings */
};

/* @allows: NULL where warnings are not looked for. */
void config_check(const struct config *config, struct problems *problems, struct allows *allows);

/* Its parts. */
void check_listeners(struct check *c);
void check_listener_alone(struct check *c, const struct listener_config *listener);
void check_registries(struct check *c);
void check_services(struct check *c);
void check_metadata_socket(struct check *c);
void check_registrations(struct check *c);
void check_protocols(struct check *c);
void check_policies(struct check *c);
void check_retries(struct check *c);
void check_routes(struct check *c);
void check_tests(struct check *c);

/* defaults.key, services.a.key, services.a.methods.Get.key, services.a.routes[0].policy.key */
const char *check_policy_path(const struct policy *policy, const char *key, struct key_path *path);
/* Whether routes, mirrors or fallbacks of other services bring calls to it. */
bool check_is_led_to(const struct config *config, const struct service_config *service);
/* Whether the value was written for this policy, not for one that it starts from. */
bool check_is_own(const struct check *c, const void *base, const char *key);
/* Appends the parts of balance.zone. */
void check_path_dotted(struct key_path *path, const char *key);
/* The services, and behind them the template "*" if there is one; NULL past the end. */
const struct service_config *check_service_at(const struct config *config, size_t i);
/* The address that is registered, as far as the file says it: its port may be 0 and its host a
 * wildcard. NULL where it says nothing. */
const struct address *check_registered_address(
    const struct config *config, const struct service_config *service);
/* registries.a.key */
const char *check_registry_path(
    const struct registry_config *registry, const char *key, struct key_path *path);
/* services.a.key */
const char *check_service_path(
    const struct service_config *service, const char *key, struct key_path *path);
/* Complains at a key of a policy; the text may hold a newline. */
void check_refuse(struct check *c, const struct policy *policy, const char *key, const char *format,
    ...) __attribute__((format(printf, 4, 5)));

/* listeners[i] or listeners[i].key */
const char *check_listener_path(const struct check *c, const struct listener_config *listener,
    const char *key, struct key_path *path);
/* The directory of @file must be there; complains at @key of @base otherwise. */
void check_directory(
    struct check *c, const void *base, const char *key, const char *path, const char *file);

#endif
