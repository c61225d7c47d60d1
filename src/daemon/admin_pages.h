/* The answers of the admin door that are JSON, each built from the daemon's present state. */
#ifndef BRIDLE_DAEMON_ADMIN_PAGES_H
#define BRIDLE_DAEMON_ADMIN_PAGES_H

#include "base/clock.h"
#include "base/slice.h"

struct cJSON;
struct control;
struct reload_result;

/* The caller owns what they return. */
struct cJSON *admin_page_status(const struct control *control);
struct cJSON *admin_page_ready(const struct control *control);
struct cJSON *admin_page_live(const struct control *control);
struct cJSON *admin_page_services(const struct control *control);
/* NULL when there is no service with that label. */
struct cJSON *admin_page_service(const struct control *control, struct slice label);
/* What discovery said of the service with that label, or else name, when, and what became of it;
 * NULL when there is none. */
struct cJSON *admin_page_history(const struct control *control, struct slice wanted);
struct cJSON *admin_page_reload(const struct control *control, const struct reload_result *result);

/* Parts of pages: where a service is found, and how well that is known; the registries. */
struct endpoint;
struct service;
/* Its weight, and what operators have ordered of it. */
void admin_add_orders(struct cJSON *page, const struct endpoint *endpoint);
void admin_add_source(
    struct cJSON *page, const struct control *control, const struct service *service);
void admin_add_registries(struct cJSON *page, const struct control *control);
/* What became of the last upgrade. */
void admin_add_upgrade(struct cJSON *root, const struct control *c);
/* RFC 3339 in UTC; null for never (0). */
void admin_add_time(struct cJSON *object, const char *name, usec_t calendar);

/* Parts of what is said of a service, and of an endpoint: why calls ended, how long they took. */
struct histogram;
struct traffic;
void admin_add_traffic(
    struct cJSON *object, const struct traffic *traffic, const struct service *service);
void admin_add_latency(struct cJSON *object, const struct histogram *took);

#endif
