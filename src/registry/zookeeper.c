/*
 * The client of ZooKeeper: one session at a time, which is begun anew when the server has let it
 * expire, and what comes from it handed to those who asked.
 *
 *     no session --addresses known--> CONNECTING <--> CONNECTED
 *         '---- expired, refused, connections that break at once ----'
 *
 * A session that is away for two seconds gets a probe beside it, another session that does nothing:
 * when that one is let in and ours is not, ours will never be.
 *
 * While a session lives, the server keeps watches and our nodes over a lost connection, and the
 * library goes on trying to reach it. In a new session everything is read anew.
 */
#include "registry/zookeeper_impl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"

#ifdef HAVE_ZOOKEEPER

#define PROBE_SESSION   (30 * USEC_S) /* of a probe; the library connects every 60th of it */
#define GRACE           USEC_S        /* for a session after a probe got through */
#define STALL           (10 * USEC_S) /* without an answer, on a connection that seems well */
#define WATCHDOG_EVERY  (2 * USEC_S)
#define SHORT_CONNECTED (2 * USEC_S) /* what broke sooner may break again for the same reason */
#define SHORT_MAX       3u

usec_t zookeeper_now(const struct registry_client *client)
{
	return loop_now(client->start.place->loop);
}

char *zookeeper_path(struct slice above, struct slice name)
{
	struct text path = {0};

	text_add(&path, above);
	text_add_str(&path, "/");
	text_add(&path, name);
	text_add(&path, slice_of("", 1));
	return path.bytes;
}

const char *zookeeper_revision(int64_t change, char room[20])
{
	if (change == 0)
		return "";
	snprintf(room, 20, "0x%" PRIx64, (uint64_t)change);
	return room;
}

/* ---- who asks ---- */

static struct slice number_of(const uint64_t *number)
{
	return slice_of(number, sizeof *number);
}

void zookeeper_asker_init(struct zookeeper_asker *asker, struct registry_client *client, int kind,
    struct list *among, char *path)
{
	asker->client = client;
	asker->kind = (unsigned)kind;
	asker->number = ++client->last_number;
	asker->path = path;
	list_push_back(among, &asker->link);
	table_put(&client->askers, number_of(&asker->number), asker);
}

void zookeeper_asker_fini(struct zookeeper_asker *asker)
{
	table_remove(&asker->client->askers, number_of(&asker->number));
	wheel_clear(&asker->timer);
	list_remove(&asker->link);
	free(asker->path);
}

static void stalled(struct timer *timer, usec_t now);

static void wait_for_answer(struct registry_client *client)
{
	usec_t at = client->n_reading ? usec_after(zookeeper_now(client), STALL) : USEC_NONE;

	wheel_set(loop_wheel(client->start.place->loop), &client->stall, at, stalled);
}

bool zookeeper_client_ask(
    struct zookeeper_asker *asker, struct zookeeper_question *question, struct err *err)
{
	struct registry_client *client = asker->client;

	err->text[0] = '\0';
	if (!client->is_connected)
		return false;
	question->asker = asker->number;
	if (zookeeper_session_ask(client->session, question, err) < 0) {
		if (err->code != ENOTCONN)
			return true;
		/* It is over, and we are about to hear of it. */
		client->is_connected = false;
		return false;
	}
	if (question->verb == ZOOKEEPER_ASK_READ && client->n_reading++ == 0)
		wait_for_answer(client);
	return true;
}

static void drive(struct zookeeper_asker *asker)
{
	switch (asker->kind) {
	case ASKER_SERVICE:
		zookeeper_service_drive(container_of(asker, struct zookeeper_service, asker));
		break;
	case ASKER_DOCUMENT:
		zookeeper_document_drive(container_of(asker, struct zookeeper_document, asker));
		break;
	case ASKER_ENTRY:
		zookeeper_registration_drive(
		    container_of(asker, struct zookeeper_registration, asker));
		break;
	}
}

static void drive_list(struct list *askers)
{
	list_each_safe (link, askers)
		drive(list_item(link, struct zookeeper_asker, link));
}

/* What of ours stands there comes first: it is little, and others wait for it. */
static void ask_all(struct loop_work *work)
{
	struct registry_client *client = container_of(work, struct registry_client, work);

	drive_list(&client->entries);
	drive_list(&client->documents);
	drive_list(&client->services);
}

static void ask_soon(struct registry_client *client)
{
	loop_defer(client->start.place->loop, &client->work);
}

/* ---- what a session says ---- */

static void fail(struct registry_client *client, const char *what)
{
	struct err err;

	err_set(&err, 0, "%s: %s", client->servers ? client->servers : "ZooKeeper", what);
	registry_failed(client->start.registry, SLICE_NONE, &err);
}

static void begin_session(struct timer *timer, usec_t now);

static void end_probe(struct registry_client *client)
{
	wheel_clear(&client->grace);
	zookeeper_session_free(&client->probe);
}

static void end_session(struct registry_client *client, usec_t pause)
{
	client->is_connected = false;
	end_probe(client);
	zookeeper_session_free(&client->session);
	wheel_clear(&client->watchdog);
	wheel_clear(&client->stall);
	wheel_set(loop_wheel(client->start.place->loop), &client->renew,
	    usec_after(zookeeper_now(client), pause), begin_session);
}

static void connected(struct registry_client *client)
{
	int64_t number = zookeeper_session_number(client->session);
	bool is_new = number != client->session_number;

	log_info("zookeeper", is_new ? "a session" : "connected again",
	    "name=%s servers=%s session=0x%" PRIx64, client->start.config->name, client->servers,
	    (uint64_t)number);
	client->is_connected = true;
	client->session_number = number;
	client->changed_at = zookeeper_now(client);
	client->n_reading = 0;
	wheel_clear(&client->stall);
	end_probe(client);
	wheel_clear(&client->watchdog);
	registry_pause_reset(&client->pause);
	registry_alive(client->start.registry);
	list_each (link, &client->services)
		zookeeper_service_begin(container_of(list_item(link, struct zookeeper_asker, link),
					    struct zookeeper_service, asker),
		    is_new);
	list_each (document, &client->documents)
		zookeeper_document_begin(
		    container_of(list_item(document, struct zookeeper_asker, link),
			struct zookeeper_document, asker));
	zookeeper_registrations_begin(client);
	ask_soon(client);
}

/* Its pings are answered, else the library would have seen it: but nothing else is. */
static void stalled(struct timer *timer, usec_t now)
{
	struct registry_client *client = container_of(timer, struct registry_client, stall);

	(void)now;
	fail(client, "no answer");
	log_warn("zookeeper", "a session is given up", "name=%s session=0x%" PRIx64 " why=stalled",
	    client->start.config->name, (uint64_t)client->session_number);
	end_session(client, registry_pause_reconnect(&client->pause, &client->start.rng));
}

/* All addresses that are known, as the library wants them: an IPv6 address without brackets. */
static char *write_servers(struct registry_client *client)
{
	struct text text = {0};
	struct address server;

	for (size_t i = 0; registry_server(&client->start, i, &server); i++) {
		const char *colon = strrchr(server.text, ':');
		struct slice host = slice_of(server.text, (size_t)(colon - server.text));

		if (host.len > 2 && host.data[0] == '[')
			host = slice_sub(host, 1, host.len - 2);
		if (text.len)
			text_add_str(&text, ",");
		text_add(&text, host);
		text_add_str(&text, colon);
	}
	if (text.len)
		text_add(&text, slice_of("", 1));
	return text.bytes;
}

static void follow_servers(struct registry_client *client)
{
	char *servers = write_servers(client);

	if (servers == NULL || strcmp(servers, client->servers) == 0) {
		free(servers);
		return;
	}
	free(client->servers);
	client->servers = servers;
	zookeeper_session_move(client->session, servers);
	end_probe(client); /* the next one asks them */
}

/* ---- a probe: does the server answer, only not to our session? ---- */

/* One that has lost its data refuses all who have seen more of it than it has, for ever. */
static void replace_session(struct timer *timer, usec_t now)
{
	struct registry_client *client = container_of(timer, struct registry_client, grace);

	(void)now;
	fail(client, "it answers, but not to our session");
	log_warn("zookeeper", "a session is given up", "name=%s session=0x%" PRIx64,
	    client->start.config->name, (uint64_t)client->session_number);
	end_session(client, 0);
}

static void probe_state(void *arg, enum zookeeper_state state)
{
	struct registry_client *client = arg;

	if (state != ZOOKEEPER_CONNECTED)
		end_probe(client);
	else
		wheel_set(loop_wheel(client->start.place->loop), &client->grace,
		    usec_after(zookeeper_now(client), GRACE), replace_session);
}

static void probe(struct registry_client *client)
{
	static const struct zookeeper_events events = {.state = probe_state};
	struct zookeeper_start start = {client->start.place->loop, client->start.place->inbox,
	    client->servers, PROBE_SESSION, "", &events, client};
	struct err err;

	if (client->probe == NULL)
		client->probe = zookeeper_session_new(&start, &err);
}

static void still_away(struct timer *timer, usec_t now)
{
	struct registry_client *client = container_of(timer, struct registry_client, watchdog);

	fail(client, "no connection");
	if (now - client->changed_at > client->start.config->session)
		zookeeper_registrations_away(
		    client, "no connection for longer than the session lasts");
	follow_servers(client);
	probe(client);
	wheel_set(loop_wheel(client->start.place->loop), timer, usec_after(now, WATCHDOG_EVERY),
	    still_away);
}

/* More than what the session remembers may be too much for one message, with which the library
 * tells the next server of its watches; then only another session helps. */
static bool breaks_at_once(struct registry_client *client, usec_t now)
{
	if (now - client->changed_at < SHORT_CONNECTED)
		client->n_short++;
	else
		client->n_short = 0;
	return client->n_short >= SHORT_MAX;
}

static void disconnected(struct registry_client *client)
{
	usec_t now = zookeeper_now(client);

	if (!client->is_connected)
		return;
	client->is_connected = false;
	wheel_clear(&client->stall);
	fail(client, "connection lost");
	if (breaks_at_once(client, now)) {
		client->n_short = 0;
		end_session(client, registry_pause_reconnect(&client->pause, &client->start.rng));
		return;
	}
	client->changed_at = now;
	wheel_set(loop_wheel(client->start.place->loop), &client->watchdog,
	    usec_after(now, WATCHDOG_EVERY), still_away);
}

static void session_state(void *arg, enum zookeeper_state state)
{
	struct registry_client *client = arg;

	switch (state) {
	case ZOOKEEPER_CONNECTED:
		connected(client);
		break;
	case ZOOKEEPER_CONNECTING:
		disconnected(client);
		break;
	case ZOOKEEPER_EXPIRED:
		fail(client, "the session has expired");
		zookeeper_registrations_away(client, "the session has expired");
		log_warn("zookeeper", "a session has expired", "name=%s session=0x%" PRIx64,
		    client->start.config->name, (uint64_t)client->session_number);
		end_session(
		    client, registry_pause_reconnect(&client->pause, &client->start.rng) / 10);
		break;
	case ZOOKEEPER_REFUSED:
		fail(client, "the secret is not accepted");
		zookeeper_registrations_away(client, "the secret is not accepted");
		end_session(client, registry_pause_next(&client->pause, &client->start.rng));
		break;
	}
}

static void session_noticed(void *arg, const char *path)
{
	struct registry_client *client = arg;

	zookeeper_services_noticed(client, path);
	zookeeper_documents_noticed(client, path);
	zookeeper_registrations_noticed(client, path);
	ask_soon(client);
}

static void session_answered(void *arg, const struct zookeeper_answer *answer)
{
	struct registry_client *client = arg;
	struct zookeeper_asker *asker = table_get(&client->askers, number_of(&answer->asker));

	if (answer->verb == ZOOKEEPER_ASK_READ && client->n_reading) {
		client->n_reading--;
		wait_for_answer(client);
	}
	ask_soon(client);
	if (asker == NULL)
		return;
	switch (asker->kind) {
	case ASKER_SERVICE:
		zookeeper_service_answered(
		    container_of(asker, struct zookeeper_service, asker), answer);
		break;
	case ASKER_DOCUMENT:
		zookeeper_document_answered(
		    container_of(asker, struct zookeeper_document, asker), answer);
		break;
	case ASKER_ENTRY:
		zookeeper_registration_answered(
		    container_of(asker, struct zookeeper_registration, asker), answer);
		break;
	}
}

static int new_session(struct registry_client *client, struct err *err)
{
	static const struct zookeeper_events events = {
	    session_state, session_noticed, session_answered};
	const struct registry_place *place = client->start.place;
	char secret[4097];
	struct zookeeper_start start = {place->loop, place->inbox, client->servers,
	    client->start.config->session, secret, &events, client};

	if (secret_read(&client->start.config->auth, secret, sizeof secret, err) < 0)
		return -1;
	client->session = zookeeper_session_new(&start, err);
	explicit_bzero(secret, sizeof secret);
	return client->session ? 0 : -1;
}

/* Returns -1 with @err set when there is nobody to begin one with. */
static int try_session(struct registry_client *client, struct err *err)
{
	char *servers = write_servers(client);

	if (servers == NULL)
		return err_set(err, 0, "no address of its endpoints is known yet");
	free(client->servers);
	client->servers = servers;
	return new_session(client, err);
}

static void begin_session(struct timer *timer, usec_t now)
{
	struct registry_client *client = container_of(timer, struct registry_client, renew);
	struct wheel *wheel = loop_wheel(client->start.place->loop);
	struct err err;

	if (try_session(client, &err) < 0) {
		registry_failed(client->start.registry, SLICE_NONE, &err);
		wheel_set(wheel, timer,
		    usec_after(now, registry_pause_reconnect(&client->pause, &client->start.rng)),
		    begin_session);
		return;
	}
	client->changed_at = now;
	wheel_set(wheel, &client->watchdog, usec_after(now, WATCHDOG_EVERY), still_away);
}

/* ---- the client ---- */

static struct registry_client *client_open(
    const struct registry_client_start *start, struct err *err)
{
	struct registry_client *client = mem_calloc(1, sizeof *client);

	(void)err;
	client->start = *start;
	table_init(&client->askers, start->place->seed);
	table_init(&client->paths, start->place->seed);
	list_init(&client->services);
	list_init(&client->documents);
	list_init(&client->entries);
	client->work.run = ask_all;
	/* Not at once: names of its endpoints may be answered in this turn. */
	wheel_set(
	    loop_wheel(start->place->loop), &client->renew, zookeeper_now(client), begin_session);
	return client;
}

static void client_close(struct registry_client **at)
{
	struct registry_client *client = *at;

	*at = NULL;
	end_probe(client);
	if (client->has_let_go)
		zookeeper_session_leave(&client->session);
	else
		zookeeper_session_free(&client->session);
	list_each_safe (link, &client->services)
		zookeeper_service_free(container_of(list_item(link, struct zookeeper_asker, link),
		    struct zookeeper_service, asker));
	list_each_safe (document, &client->documents)
		zookeeper_document_free(
		    container_of(list_item(document, struct zookeeper_asker, link),
			struct zookeeper_document, asker));
	list_each_safe (entry, &client->entries)
		zookeeper_registration_free(
		    container_of(list_item(entry, struct zookeeper_asker, link),
			struct zookeeper_registration, asker));
	loop_undefer(&client->work);
	wheel_clear(&client->renew);
	wheel_clear(&client->watchdog);
	wheel_clear(&client->stall);
	table_fini(&client->askers);
	table_fini(&client->paths);
	free(client->servers);
	free(client);
}

const struct registry_client_ops zookeeper_ops = {
    .open = client_open,
    .close = client_close,
    .watch = zookeeper_watch,
    .unwatch = zookeeper_unwatch,
    .watch_document = zookeeper_watch_document,
    .unwatch_document = zookeeper_unwatch_document,
    .enroll = zookeeper_enroll,
    .withdraw = zookeeper_withdraw,
    .let_go = zookeeper_let_go,
};

#else

/* Without the library there is no such registry; whoever configures one is told so. */
const struct registry_client_ops zookeeper_ops = {NULL};

#endif
