/*
 * What the parts of the ZooKeeper client share: zookeeper.c (sessions, and who is told what comes
 * from them), zookeeper_services.c, zookeeper_documents.c and zookeeper_entries.c. Not for anybody
 * else.
 */
#ifndef BRIDLE_REGISTRY_ZOOKEEPER_IMPL_H
#define BRIDLE_REGISTRY_ZOOKEEPER_IMPL_H

#include "base/table.h"
#include "base/text.h"
#include "net/loop.h"
#include "registry/client.h"
#include "registry/zookeeper_entry.h"
#include "registry/zookeeper_session.h"
#include "registry/zookeeper_set.h"

#define ZOOKEEPER_READS_MAX 64u           /* questions for data that are under way */
#define ZOOKEEPER_LOOK      (10 * USEC_S) /* between two looks at a node of ours */

/* Something that asks; the number finds it again when the answer comes, if it is still there. */
struct zookeeper_asker {
	struct list link; /* in the client's list of its kind */
	struct registry_client *client;
	enum { ASKER_SERVICE, ASKER_DOCUMENT, ASKER_ENTRY } kind;
	uint64_t number;
	char *path; /* owned */
	struct timer timer;
	struct registry_pause pause;
};

struct zookeeper_service {
	struct zookeeper_asker asker;
	struct zookeeper_set set;
	struct slice name; /* owned */
	size_t n_left_out; /* as it was told last */
};

struct zookeeper_document {
	struct zookeeper_asker asker;
	struct slice key; /* owned */
	enum { DOCUMENT_READ, DOCUMENT_AWAIT, DOCUMENT_REST } step;
	bool is_asked;
};

struct zookeeper_registration {
	struct zookeeper_asker asker;
	struct zookeeper_entry entry;
	struct registration *registration; /* the registry's */
	struct text data;
};

struct registry_client {
	struct registry_client_start start;
	struct zookeeper_session *session; /* owned; NULL between two */
	bool is_connected;
	bool has_let_go; /* nodes of the session are to outlive us */
	int64_t session_number;
	char *servers;                   /* owned; as the session knows them */
	struct zookeeper_session *probe; /* owned; NULL: none is needed */
	struct table askers;             /* number -> struct zookeeper_asker */
	struct table paths;              /* path -> struct zookeeper_service */
	struct list services, documents, entries;
	uint64_t last_number;
	unsigned n_reading;
	struct loop_work work; /* asks what is to be asked */

	struct timer renew;    /* begins a session */
	struct timer stall;    /* while data are asked for */
	struct timer grace;    /* for the session, when the probe got through */
	struct timer watchdog; /* while it is not connected */
	usec_t changed_at;     /* since when it is connected, or is not */
	unsigned n_short;      /* connections one after another that broke at once */
	struct registry_pause pause;
};

/* ---- zookeeper.c ---- */

/* @path moves to it. */
void zookeeper_asker_init(struct zookeeper_asker *asker, struct registry_client *client, int kind,
    struct list *among, char *path);
void zookeeper_asker_fini(struct zookeeper_asker *asker);
/* Asks in the name of @asker. Returns false when no session can be asked now: wait until one can. A
 * question that makes no sense to the library fills @err, which is empty else. */
bool zookeeper_client_ask(
    struct zookeeper_asker *asker, struct zookeeper_question *question, struct err *err);
/* "<above>/<name>", owned by the caller. */
char *zookeeper_path(struct slice above, struct slice name);
usec_t zookeeper_now(const struct registry_client *client);
/* "0x1f", for people. */
const char *zookeeper_revision(int64_t change, char room[20]);

/* ---- each kind: what is asked, answered, noticed; what a session's beginning means ---- */

void zookeeper_service_drive(struct zookeeper_service *service);
void zookeeper_service_begin(struct zookeeper_service *service, bool is_new_session);
void zookeeper_service_answered(
    struct zookeeper_service *service, const struct zookeeper_answer *answer);
void zookeeper_service_free(struct zookeeper_service *service);
void zookeeper_services_noticed(struct registry_client *client, const char *path);
void zookeeper_watch(struct registry_client *client, struct slice name);
void zookeeper_unwatch(struct registry_client *client, struct slice name);

void zookeeper_document_drive(struct zookeeper_document *document);
void zookeeper_document_begin(struct zookeeper_document *document);
void zookeeper_document_answered(
    struct zookeeper_document *document, const struct zookeeper_answer *answer);
void zookeeper_document_free(struct zookeeper_document *document);
void zookeeper_documents_noticed(struct registry_client *client, const char *path);
void zookeeper_watch_document(struct registry_client *client, struct slice key);
void zookeeper_unwatch_document(struct registry_client *client, struct slice key);

void zookeeper_registration_drive(struct zookeeper_registration *r);
void zookeeper_registration_answered(
    struct zookeeper_registration *r, const struct zookeeper_answer *answer);
void zookeeper_registration_free(struct zookeeper_registration *r);
void zookeeper_registrations_begin(struct registry_client *client);
void zookeeper_registrations_away(struct registry_client *client, const char *why);
void zookeeper_registrations_noticed(struct registry_client *client, const char *path);
void zookeeper_enroll(struct registry_client *client, struct registration *registration);
void zookeeper_withdraw(struct registry_client *client, struct registration *registration);
void zookeeper_let_go(struct registry_client *client, struct registration *registration);

#endif
