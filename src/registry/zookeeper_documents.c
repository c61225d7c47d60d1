/* Documents that are followed in ZooKeeper: a node each, read whenever its watch fires. */
#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "registry/zookeeper_impl.h"

#ifdef HAVE_ZOOKEEPER

static struct zookeeper_document *document_of(struct list *link)
{
	return container_of(
	    list_item(link, struct zookeeper_asker, link), struct zookeeper_document, asker);
}

void zookeeper_watch_document(struct registry_client *client, struct slice key)
{
	struct zookeeper_document *document = mem_calloc(1, sizeof *document);
	struct text path = {0};

	if (key.len == 0 || key.data[0] != '/')
		text_add_str(&path, "/");
	text_add(&path, key);
	text_add(&path, slice_of("", 1));
	document->key = slice_str(slice_dup(key));
	zookeeper_asker_init(
	    &document->asker, client, ASKER_DOCUMENT, &client->documents, path.bytes);
	loop_defer(client->start.place->loop, &client->work);
}

void zookeeper_document_free(struct zookeeper_document *document)
{
	zookeeper_asker_fini(&document->asker);
	free((void *)(uintptr_t)document->key.data);
	free(document);
}

void zookeeper_unwatch_document(struct registry_client *client, struct slice key)
{
	list_each_safe (link, &client->documents)
		if (slice_eq(document_of(link)->key, key))
			zookeeper_document_free(document_of(link));
}

void zookeeper_document_begin(struct zookeeper_document *document)
{
	document->step = DOCUMENT_READ;
	document->is_asked = false;
	wheel_clear(&document->asker.timer);
}

void zookeeper_documents_noticed(struct registry_client *client, const char *path)
{
	list_each (link, &client->documents) {
		struct zookeeper_document *document = document_of(link);

		/* A watch that fires before an answer has fired before what the answer shows. */
		if (!document->is_asked && strcmp(document->asker.path, path) == 0)
			document->step = DOCUMENT_READ;
	}
}

static void look_again(struct timer *timer, usec_t now)
{
	struct zookeeper_document *document = container_of(
	    container_of(timer, struct zookeeper_asker, timer), struct zookeeper_document, asker);

	(void)now;
	document->step = DOCUMENT_READ;
	zookeeper_document_drive(document);
}

static void failed(struct zookeeper_document *document, const char *why)
{
	struct registry_client *client = document->asker.client;
	usec_t pause = registry_pause_next(&document->asker.pause, &client->start.rng);

	log_warn("zookeeper", "a document cannot be read", "name=%s path=%s error=\"%s\"",
	    client->start.config->name, document->asker.path, why);
	document->step = DOCUMENT_REST;
	document->is_asked = false;
	wheel_set(loop_wheel(client->start.place->loop), &document->asker.timer,
	    usec_after(zookeeper_now(client), pause), look_again);
}

void zookeeper_document_drive(struct zookeeper_document *document)
{
	struct zookeeper_question question = {.path = document->asker.path};
	struct err err;

	if (document->is_asked || document->step == DOCUMENT_REST)
		return;
	question.verb = document->step == DOCUMENT_READ ? ZOOKEEPER_ASK_READ : ZOOKEEPER_ASK_AWAIT;
	if (!zookeeper_client_ask(&document->asker, &question, &err))
		return;
	document->is_asked = true;
	if (err.text[0])
		failed(document, err.text);
}

static void tell(struct zookeeper_document *document, struct slice text, int64_t change)
{
	char room[20];

	registry_pause_reset(&document->asker.pause);
	registry_heard_document(document->asker.client->start.registry, document->key, text,
	    zookeeper_revision(change, room));
}

void zookeeper_document_answered(
    struct zookeeper_document *document, const struct zookeeper_answer *answer)
{
	bool was_looked_for = answer->verb == ZOOKEEPER_ASK_AWAIT;

	document->is_asked = false;
	switch (answer->code) {
	case ZOOKEEPER_OK:
		document->step = was_looked_for ? DOCUMENT_READ : DOCUMENT_REST;
		if (!was_looked_for)
			tell(document, answer->data, answer->change);
		break;
	case ZOOKEEPER_NO_NODE:
		document->step = was_looked_for ? DOCUMENT_REST : DOCUMENT_AWAIT;
		if (!was_looked_for)
			tell(document, SLICE_NONE, 0);
		break;
	case ZOOKEEPER_LOST:
		document->step = DOCUMENT_READ;
		break;
	default:
		failed(document, answer->text);
	}
}

#endif
