/* Services that are followed in ZooKeeper: their sets asked for, answered, and told. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "registry/zookeeper_impl.h"

#ifdef HAVE_ZOOKEEPER

static struct slice path_of(const struct zookeeper_service *service)
{
	return slice_str(service->asker.path);
}

static struct registry *registry_of(const struct zookeeper_service *service)
{
	return service->asker.client->start.registry;
}

void zookeeper_watch(struct registry_client *client, struct slice name)
{
	struct zookeeper_service *service = mem_calloc(1, sizeof *service);
	const struct registry_config *config = client->start.config;

	service->name = slice_str(slice_dup(name));
	zookeeper_asker_init(&service->asker, client, ASKER_SERVICE, &client->services,
	    zookeeper_path(slice_str(config->base), name));
	zookeeper_set_init(&service->set, config->format, client->start.place->seed);
	table_put(&client->paths, path_of(service), service);
	loop_defer(client->start.place->loop, &client->work);
}

void zookeeper_service_free(struct zookeeper_service *service)
{
	table_remove(&service->asker.client->paths, path_of(service));
	zookeeper_asker_fini(&service->asker);
	zookeeper_set_fini(&service->set);
	free((void *)(uintptr_t)service->name.data);
	free(service);
}

void zookeeper_unwatch(struct registry_client *client, struct slice name)
{
	list_each_safe (link, &client->services) {
		struct zookeeper_service *service = container_of(
		    list_item(link, struct zookeeper_asker, link), struct zookeeper_service, asker);

		if (slice_eq(service->name, name))
			zookeeper_service_free(service);
	}
}

void zookeeper_service_begin(struct zookeeper_service *service, bool is_new_session)
{
	if (is_new_session)
		zookeeper_set_begin(&service->set);
	else
		zookeeper_set_resume(&service->set);
}

void zookeeper_services_noticed(struct registry_client *client, const char *path)
{
	const char *last = strrchr(path, '/');
	struct zookeeper_service *service = table_get(&client->paths, slice_str(path));

	if (service)
		zookeeper_set_noticed(&service->set);
	if (last == NULL)
		return;
	service = table_get(&client->paths, slice_of(path, (size_t)(last - path)));
	if (service)
		zookeeper_set_child_noticed(&service->set, slice_str(last + 1));
}

/* ---- asking ---- */

static void skip(struct zookeeper_service *service, struct slice name, const char *why)
{
	registry_skipped(registry_of(service), service->name, name, why);
}

static void list_failed(struct zookeeper_service *service, const struct err *err)
{
	struct registry_client *client = service->asker.client;
	usec_t pause = registry_pause_next(&service->asker.pause, &client->start.rng);

	zookeeper_set_failed(&service->set, usec_after(zookeeper_now(client), pause));
	registry_failed(registry_of(service), service->name, err);
}

static enum zookeeper_verb verb_of(enum zookeeper_set_step step)
{
	return step == ZOOKEEPER_SET_LIST    ? ZOOKEEPER_ASK_LIST
	       : step == ZOOKEEPER_SET_AWAIT ? ZOOKEEPER_ASK_AWAIT
					     : ZOOKEEPER_ASK_READ;
}

/* False when nothing can be asked any more. */
static bool ask(struct zookeeper_service *service, enum zookeeper_set_step step, struct slice child)
{
	struct zookeeper_question question = {.verb = verb_of(step), .path = service->asker.path};
	char *path = NULL;
	struct err err;
	bool can_ask;

	if (step == ZOOKEEPER_SET_READ)
		question.path = path = zookeeper_path(path_of(service), child);
	can_ask = zookeeper_client_ask(&service->asker, &question, &err);
	if (err.text[0] == '\0' || !can_ask)
		; /* asked, or asked again when there is somebody to ask */
	else if (step != ZOOKEEPER_SET_READ)
		list_failed(service, &err);
	else if (zookeeper_set_unreadable(&service->set, child))
		skip(service, child, err.text);
	free(path);
	return can_ask;
}

static void tell(struct zookeeper_service *service, usec_t now)
{
	const struct endpoint *list;
	char room[20], why[64];
	size_t n;

	if (service->set.n_left_out && service->set.n_left_out != service->n_left_out) {
		snprintf(why, sizeof why, "%zu more than the %u that are used",
		    service->set.n_left_out, REGISTRY_ENDPOINTS_MAX);
		skip(service, SLICE_NONE, why);
	}
	service->n_left_out = service->set.n_left_out;
	zookeeper_set_gather(&service->set, now, &list, &n);
	registry_heard(registry_of(service), service->name, list, n,
	    zookeeper_revision(service->set.change, room));
}

static void time_is_up(struct timer *timer, usec_t now)
{
	(void)now;
	zookeeper_service_drive(container_of(
	    container_of(timer, struct zookeeper_asker, timer), struct zookeeper_service, asker));
}

void zookeeper_service_drive(struct zookeeper_service *service)
{
	struct registry_client *client = service->asker.client;
	usec_t now = zookeeper_now(client), at;
	enum zookeeper_set_step step;
	struct slice child;

	if (!client->is_connected)
		return;
	for (;;) {
		bool may_read = client->n_reading < ZOOKEEPER_READS_MAX;

		step = zookeeper_set_next(&service->set, may_read, now, &child, &at);
		if (step == ZOOKEEPER_SET_REST)
			break;
		if (!ask(service, step, child))
			return;
	}
	if (zookeeper_set_is_due(&service->set, now)) {
		tell(service, now);
		zookeeper_set_next(&service->set, false, now, &child, &at);
	}
	wheel_set(loop_wheel(client->start.place->loop), &service->asker.timer, at, time_is_up);
}

/* ---- answers ---- */

static void was_listed(struct zookeeper_service *service, const struct zookeeper_answer *answer)
{
	usec_t now = zookeeper_now(service->asker.client);
	struct err err;

	switch (answer->code) {
	case ZOOKEEPER_OK:
		registry_pause_reset(&service->asker.pause);
		zookeeper_set_listed(
		    &service->set, answer->names, answer->n_names, answer->change, now);
		break;
	case ZOOKEEPER_NO_NODE:
		registry_pause_reset(&service->asker.pause);
		zookeeper_set_missing(&service->set, now);
		break;
	case ZOOKEEPER_LOST:
		zookeeper_set_failed(&service->set, now);
		break;
	default:
		err_set(&err, 0, "%s: %s", answer->path, answer->text);
		list_failed(service, &err);
	}
}

static void was_awaited(struct zookeeper_service *service, const struct zookeeper_answer *answer)
{
	if (answer->code == ZOOKEEPER_OK || answer->code == ZOOKEEPER_NO_NODE)
		zookeeper_set_appeared(&service->set, answer->code == ZOOKEEPER_OK);
	else
		was_listed(service, answer); /* it is listed again, and then found missing again */
}

static void was_read(struct zookeeper_service *service, const struct zookeeper_answer *answer)
{
	struct slice child = slice_str(strrchr(answer->path, '/') + 1);
	struct err err;

	switch (answer->code) {
	case ZOOKEEPER_OK:
		if (zookeeper_set_read(&service->set, child, answer->data, answer->change, &err) <
		    0)
			skip(service, child, err.text);
		break;
	case ZOOKEEPER_NO_NODE:
		zookeeper_set_vanished(&service->set, child);
		break;
	case ZOOKEEPER_LOST:
		zookeeper_set_unanswered(&service->set, child);
		break;
	default:
		if (zookeeper_set_unreadable(&service->set, child))
			skip(service, child, answer->text);
	}
}

void zookeeper_service_answered(
    struct zookeeper_service *service, const struct zookeeper_answer *answer)
{
	if (answer->verb == ZOOKEEPER_ASK_LIST)
		was_listed(service, answer);
	else if (answer->verb == ZOOKEEPER_ASK_AWAIT)
		was_awaited(service, answer);
	else
		was_read(service, answer);
}

#endif
