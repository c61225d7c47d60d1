/* What of ours stands in ZooKeeper: a node for each registration, put and kept there. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "registry/record.h"
#include "registry/zookeeper_impl.h"

#ifdef HAVE_ZOOKEEPER

static struct zookeeper_registration *registration_of(struct list *link)
{
	return container_of(
	    list_item(link, struct zookeeper_asker, link), struct zookeeper_registration, asker);
}

static bool is_rpcx(const struct registry_client *client)
{
	return client->start.config->format == REGISTRY_FORMAT_RPCX;
}

static void write_data(struct zookeeper_registration *r)
{
	text_fini(&r->data);
	if (is_rpcx(r->asker.client))
		record_write_rpcx(&r->registration->plan, &r->data);
	else
		record_write_zookeeper(&r->registration->plan, &r->data);
}

static char *write_path(struct registry_client *client, const struct registration_plan *plan)
{
	char *above = zookeeper_path(slice_str(client->start.config->base), plan->service), *path;
	struct text name = {0};

	if (is_rpcx(client))
		record_write_rpcx_key(plan, &name);
	else
		text_add_str(&name, plan->address.text);
	path = zookeeper_path(slice_str(above), slice_of(name.bytes, name.len));
	text_fini(&name);
	free(above);
	return path;
}

static struct zookeeper_registration *registration_new(
    struct registry_client *client, struct registration *registration)
{
	struct zookeeper_registration *r = mem_calloc(1, sizeof *r);

	r->registration = registration;
	registration->client = r;
	zookeeper_asker_init(&r->asker, client, ASKER_ENTRY, &client->entries,
	    write_path(client, &registration->plan));
	zookeeper_entry_init(&r->entry);
	if (client->is_connected)
		zookeeper_entry_begin(&r->entry, client->session_number);
	return r;
}

void zookeeper_registration_free(struct zookeeper_registration *r)
{
	r->registration->client = NULL;
	zookeeper_asker_fini(&r->asker);
	text_fini(&r->data);
	free(r);
}

void zookeeper_enroll(struct registry_client *client, struct registration *registration)
{
	struct zookeeper_registration *r = registration->client;

	if (r)
		zookeeper_entry_rewrite(&r->entry);
	else
		r = registration_new(client, registration);
	write_data(r);
	loop_defer(client->start.place->loop, &client->work);
}

/* The registration is forgotten with it. */
static void gone(struct zookeeper_registration *r)
{
	struct registration *registration = r->registration;

	zookeeper_registration_free(r);
	registration_gone(registration);
}

void zookeeper_withdraw(struct registry_client *client, struct registration *registration)
{
	struct zookeeper_registration *r = registration->client;

	if (r == NULL) {
		registration_gone(registration);
		return;
	}
	if (r->entry.session == 0) { /* nothing was ever asked for it */
		gone(r);
		return;
	}
	zookeeper_entry_leave(&r->entry);
	loop_defer(client->start.place->loop, &client->work);
}

void zookeeper_let_go(struct registry_client *client, struct registration *registration)
{
	client->has_let_go = true;
	if (registration->client)
		zookeeper_registration_free(registration->client);
}

void zookeeper_registrations_begin(struct registry_client *client)
{
	list_each (link, &client->entries)
		zookeeper_entry_begin(&registration_of(link)->entry, client->session_number);
}

static void tell(struct zookeeper_registration *r)
{
	registration_is(r->registration, r->entry.state, r->entry.why);
}

void zookeeper_registrations_away(struct registry_client *client, const char *why)
{
	list_each (link, &client->entries) {
		zookeeper_entry_away(&registration_of(link)->entry, why);
		tell(registration_of(link));
	}
}

void zookeeper_registrations_noticed(struct registry_client *client, const char *path)
{
	list_each (link, &client->entries)
		if (strcmp(registration_of(link)->asker.path, path) == 0)
			zookeeper_entry_look(&registration_of(link)->entry);
}

/* ---- asking ---- */

/* The path of the @i-th parent from above; false for one that is not there any more. */
static bool parent_path(const char *path, unsigned i, struct slice *parent)
{
	const char *end = path;

	for (unsigned n = 0; n <= i; n++) {
		end = strchr(end + 1, '/');
		if (end == NULL)
			return false;
	}
	*parent = slice_of(path, (size_t)(end - path));
	return true;
}

static enum zookeeper_verb verb_of(enum zookeeper_entry_step step)
{
	switch (step) {
	case ZOOKEEPER_ENTRY_PUBLISH:
		return ZOOKEEPER_ASK_PUBLISH;
	case ZOOKEEPER_ENTRY_PARENT:
		return ZOOKEEPER_ASK_CREATE;
	case ZOOKEEPER_ENTRY_REPLACE:
		return ZOOKEEPER_ASK_REPLACE;
	case ZOOKEEPER_ENTRY_WRITE:
		return ZOOKEEPER_ASK_WRITE;
	case ZOOKEEPER_ENTRY_REMOVE:
		return ZOOKEEPER_ASK_DELETE;
	case ZOOKEEPER_ENTRY_READ:
	case ZOOKEEPER_ENTRY_REST:
	case ZOOKEEPER_ENTRY_GONE:
		break;
	}
	return ZOOKEEPER_ASK_READ;
}

static bool ask(struct zookeeper_registration *r, enum zookeeper_entry_step step, struct err *err)
{
	struct zookeeper_question question = {
	    .verb = verb_of(step),
	    .path = r->asker.path,
	    .data = slice_of(r->data.bytes, r->data.len),
	    .version = r->entry.version,
	};
	struct slice parent = SLICE_NONE;
	char *path = NULL;
	bool can_ask;

	if (step == ZOOKEEPER_ENTRY_PARENT) {
		parent_path(r->asker.path, r->entry.parent, &parent);
		question.path = path = slice_dup(parent);
	}
	can_ask = zookeeper_client_ask(&r->asker, &question, err);
	free(path);
	return can_ask;
}

static void look_again(struct timer *timer, usec_t now)
{
	struct zookeeper_registration *r =
	    container_of(container_of(timer, struct zookeeper_asker, timer),
		struct zookeeper_registration, asker);

	(void)now;
	zookeeper_entry_look(&r->entry);
	loop_defer(r->asker.client->start.place->loop, &r->asker.client->work);
}

static void look_after(struct zookeeper_registration *r, usec_t pause)
{
	struct registry_client *client = r->asker.client;

	wheel_set(loop_wheel(client->start.place->loop), &r->asker.timer,
	    usec_after(zookeeper_now(client), pause), look_again);
}

void zookeeper_registration_drive(struct zookeeper_registration *r)
{
	struct registry_client *client = r->asker.client;
	struct zookeeper_answer refused = {.code = ZOOKEEPER_FAILED};
	enum zookeeper_entry_step step;
	struct err err;

	if (r->entry.step == ZOOKEEPER_ENTRY_GONE) {
		gone(r);
		return;
	}
	if (!client->is_connected)
		return;
	step = zookeeper_entry_next(&r->entry);
	if (step == ZOOKEEPER_ENTRY_REST || !ask(r, step, &err) || err.text[0] == '\0')
		return;
	refused.text = err.text; /* the library will not ask that at all */
	refused.asker = r->asker.number;
	zookeeper_registration_answered(r, &refused);
}

/* ---- answers ---- */

void zookeeper_registration_answered(
    struct zookeeper_registration *r, const struct zookeeper_answer *answer)
{
	struct registry_client *client = r->asker.client;
	struct slice below, wanted = slice_of(r->data.bytes, r->data.len);
	bool is_last = !parent_path(r->asker.path, r->entry.parent + 1, &below);
	bool is_same = slice_eq(answer->data, wanted);

	switch (zookeeper_entry_answered(&r->entry, answer, is_same, is_last)) {
	case ZOOKEEPER_VERDICT_TAKEN:
		log_warn("zookeeper", "a node of another session is taken over",
		    "name=%s path=%s owner=0x%llx", client->start.config->name, r->asker.path,
		    (unsigned long long)answer->owner);
		break;
	case ZOOKEEPER_VERDICT_PAUSE:
		look_after(r, registry_pause_next(&r->asker.pause, &client->start.rng));
		break;
	case ZOOKEEPER_VERDICT_ON:
		if (r->entry.step == ZOOKEEPER_ENTRY_REST) {
			registry_pause_reset(&r->asker.pause);
			look_after(r, ZOOKEEPER_LOOK);
		}
		break;
	case ZOOKEEPER_VERDICT_RETRY:
		break;
	}
	tell(r);
	loop_defer(client->start.place->loop, &client->work);
}

#endif
