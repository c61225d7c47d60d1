#include "daemon/metadata_socket.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "daemon/http_query.h"
#include "daemon/http_server.h"
#include "daemon/metadata_forward.h"
#include "daemon/workers.h"
#include "net/conn.h"
#include "net/listener.h"
#include "net/socket_file.h"
#include "proxy/metadata_page.h"
#include "proxy/upstream_name.h"

#define PATH_PREFIX     "/meta/"
#define CONNECTIONS_MAX 256u /* each thread of an application may have one */

struct metadata_socket {
	struct loop *loop;       /* borrowed */
	struct inbox *inbox;     /* borrowed */
	struct workers *workers; /* borrowed */
	char *path;              /* owned; NULL: it is not open */
	struct socket_file file; /* that it was when it was bound */
	struct http_server *server;
	struct http_server *behind; /* for the process that serves in our place; NULL: none does */
};

/* ---- what is asked ---- */

/* On its way to a worker and back; freed when it is back. */
struct inquiry {
	struct metadata_question question;
	struct worker *worker;    /* in whose thread it is answered */
	struct inbox *inbox;      /* for the answer */
	struct http_later *later; /* NULL: who asked is gone */
	enum metadata_answer answer;
	struct text page;
};

/* @error: constant, without quotes. */
static void reply_error(struct http_reply *reply, int status, const char *error)
{
	struct text page = {0};

	text_printf(&page, "{\"error\":\"%s\"}\n", error);
	reply->status = status;
	reply->body = page.bytes;
	reply->len = page.len;
}

static void reply_refusal(struct http_reply *reply, enum metadata_answer answer)
{
	switch (answer) {
	case METADATA_ANSWERED:
	case METADATA_ANSWERS:
		break;
	case METADATA_UNKNOWN:
		reply_error(reply, 404, "there is no connection of that name");
		break;
	case METADATA_FORBIDDEN:
		reply_error(
		    reply, 403, "the connection of that name is one to another user's process");
		break;
	case METADATA_NO_CALL:
		reply_error(reply, 404,
		    "no call is in flight on that connection, or none with that sequence id");
		break;
	case METADATA_SEVERAL:
		reply_error(reply, 409,
		    "several calls are in flight on that connection: say which by ?seq=N, the "
		    "sequence id");
		break;
	}
}

static void inquiry_free(struct inquiry *i)
{
	text_fini(&i->page);
	free(i);
}

/* In the control thread again. */
static void tell(void *arg)
{
	struct inquiry *i = arg;
	struct http_reply reply = {.type = "application/json"};

	if (i->later && i->answer == METADATA_ANSWERED) {
		reply.status = 200;
		reply.body = i->page.bytes;
		reply.len = i->page.len;
		i->page = (struct text){0};
	} else if (i->later) {
		reply_refusal(&reply, i->answer);
	}
	if (i->later)
		http_later_answer(&i->later, &reply);
	inquiry_free(i);
}

/* In the worker's thread. */
static void look(void *arg)
{
	struct inquiry *i = arg;

	i->answer = metadata_page(i->worker, &i->question, &i->page);
	inbox_post(i->inbox, tell, i);
}

static void asker_gone(void *arg)
{
	struct inquiry *i = arg;

	i->later = NULL;
}

static void ask_worker(struct metadata_socket *m, unsigned worker,
    const struct metadata_question *question, struct http_reply *reply)
{
	struct inquiry *i = mem_calloc(1, sizeof *i);

	i->question = *question;
	i->worker = m->workers->list[worker];
	i->inbox = m->inbox;
	i->later = http_reply_later(reply, asker_gone, i);
	worker_thread_post(m->workers->threads[worker], look, i);
}

static bool is_trusted(uid_t uid)
{
	return uid == 0 || uid == geteuid();
}

static bool read_seq(struct slice text, int32_t *seq)
{
	bool is_negative = text.len && text.data[0] == '-';
	uint64_t number;

	if (!slice_to_u64(slice_from(text, is_negative), &number) ||
	    number > (uint64_t)INT32_MAX + is_negative)
		return false;
	*seq = (int32_t)(is_negative ? -(int64_t)number : (int64_t)number);
	return true;
}

/* Who took our place says who asked it. */
static bool read_uid(struct slice text, struct metadata_asker *asker)
{
	uint64_t number;

	if (!asker->is_trusted || !slice_to_u64(text, &number) || number > UINT32_MAX)
		return false;
	asker->uid = (uid_t)number;
	asker->is_trusted = is_trusted(asker->uid);
	return true;
}

static bool read_pair(struct slice name, struct slice value, struct metadata_question *question)
{
	if (slice_eq_str(name, "uid"))
		return read_uid(value, &question->asker);
	question->has_seq = true;
	return slice_eq_str(name, "seq") && read_seq(value, &question->seq);
}

static bool read_query(struct slice query, struct metadata_question *question)
{
	struct slice name, value;
	struct arena arena;
	bool is_good = true;

	arena_init(&arena, NULL, 0);
	while (is_good && http_query_next(&query, &name, &value, &arena))
		is_good = read_pair(name, value, question);
	arena_fini(&arena);
	return is_good;
}

/* Anybody else is told of processes of its own user alone. */
static bool read_asker(const struct http_reply *reply, struct metadata_asker *asker)
{
	struct conn_identity who;

	if (!http_asker(reply, &who))
		return false;
	asker->uid = who.uid;
	asker->is_trusted = is_trusted(who.uid);
	return true;
}

/* As the kernel has it, behind the NUL of the abstract namespace, which may be escaped, or `@` as
 * tools show it, or left out. */
static bool read_name(struct slice text, struct upstream_name *name)
{
	struct arena arena;
	bool is_good;

	arena_init(&arena, NULL, 0);
	text = http_unescape(text, &arena);
	if (text.len && (text.data[0] == '\0' || text.data[0] == '@'))
		text = slice_from(text, 1);
	is_good = upstream_name_read(text, name);
	arena_fini(&arena);
	return is_good;
}

/* A connection of ours, or of a process before us. */
static void find(struct metadata_socket *m, struct slice text, struct metadata_question *question,
    struct http_reply *reply)
{
	struct upstream_name name;

	if (!read_name(text, &name)) {
		reply_refusal(reply, METADATA_UNKNOWN);
	} else if (name.process != getpid()) {
		if (!metadata_forward(m->loop, &name, question, reply))
			reply_refusal(reply, METADATA_UNKNOWN);
	} else if (name.worker >= m->workers->n) {
		reply_refusal(reply, METADATA_UNKNOWN);
	} else {
		question->number = name.number;
		ask_worker(m, name.worker, question, reply);
	}
}

static void serve(void *arg, const struct http_request *request, struct http_reply *reply)
{
	struct slice prefix = SLICE_LIT(PATH_PREFIX);
	struct metadata_socket *m = arg;
	struct metadata_question question = {.has_seq = false};

	if (!slice_starts(request->path, prefix)) {
		reply_error(reply, 404, "there is only GET " PATH_PREFIX "NAME here");
	} else if (!slice_eq_str(request->method, "GET") &&
		   !slice_eq_str(request->method, "HEAD")) {
		reply_error(reply, 405, "this path takes another method");
		reply->allow = "GET, HEAD";
	} else if (!read_asker(reply, &question.asker)) {
		reply_error(reply, 403, "who asks is not known");
	} else if (!read_query(request->query, &question)) {
		reply_error(reply, 400, "the query may be seq=N, with a sequence id of 32 bits");
	} else {
		find(m, slice_from(request->path, prefix.len), &question, reply);
	}
}

/* ---- the socket ---- */

/* Returns the descriptor, or -1 with @err set. */
static int bind_socket(const char *path, pid_t predecessor, struct address *bound, struct err *err)
{
	struct listener_options options = {
	    0666, (uid_t)-1, (gid_t)-1, 0, "metadata_socket", predecessor};
	struct address address;
	char text[ADDRESS_TEXT_MAX];
	int fd = -1;

	snprintf(text, sizeof text, "unix:%s", path);
	if (address_parse(&address, slice_str(text), err) == 0)
		fd = listener_bind(&address, &options, bound, err);
	return fd < 0 ? err_wrap(err, "metadata_socket") : fd;
}

static int prepare(struct metadata_socket *m, const struct config *config, pid_t predecessor,
    struct metadata_plan *plan, struct err *err)
{
	bool is_same;

	*plan = (struct metadata_plan){.fd = -1, .closes = !config_has_metadata_socket(config)};
	is_same = m->path && strcmp(m->path, config->metadata_socket) == 0;
	if (plan->closes || is_same)
		return 0;
	plan->fd = bind_socket(config->metadata_socket, predecessor, &plan->bound, err);
	return plan->fd < 0 ? -1 : 0;
}

static void close_socket(struct metadata_socket *m)
{
	http_server_free(&m->server);
	http_server_free(&m->behind);
	free(m->path);
	m->path = NULL;
}

struct metadata_socket *metadata_socket_new(
    struct loop *loop, struct inbox *inbox, struct workers *workers)
{
	struct metadata_socket *m = mem_calloc(1, sizeof *m);

	m->loop = loop;
	m->inbox = inbox;
	m->workers = workers;
	return m;
}

void metadata_socket_free(struct metadata_socket **at)
{
	struct metadata_socket *m = *at;

	if (m == NULL)
		return;
	*at = NULL;
	close_socket(m);
	free(m);
}

int metadata_socket_prepare(struct metadata_socket *m, const struct config *config,
    struct metadata_plan *plan, struct err *err)
{
	return prepare(m, config, 0, plan, err);
}

void metadata_socket_cancel(struct metadata_plan *plan)
{
	if (plan->fd < 0)
		return;
	unlink(((const struct sockaddr_un *)&plan->bound.sa)->sun_path);
	close(plan->fd);
	plan->fd = -1;
}

void metadata_socket_commit(
    struct metadata_socket *m, const struct config *config, struct metadata_plan *plan)
{
	if (plan->fd < 0 && !plan->closes)
		return;
	close_socket(m);
	if (plan->closes)
		return;
	m->path = mem_strdup(config->metadata_socket);
	m->file = socket_file_look(m->path);
	m->server = http_server_new(m->loop, plan->fd, &plan->bound, "metadata_socket", serve, m);
	http_server_allow(m->server, CONNECTIONS_MAX);
	plan->fd = -1;
	log_info("metadata", "applications may ask for metadata", "socket=%s", m->path);
}

int metadata_socket_enter(
    struct metadata_socket *m, const struct config *config, pid_t predecessor, struct err *err)
{
	struct metadata_plan plan;

	if (prepare(m, config, predecessor, &plan, err) < 0)
		return -1;
	metadata_socket_commit(m, config, &plan);
	return 0;
}

void metadata_socket_leave(struct metadata_socket *m)
{
	struct listener_options options = {
	    .owner = (uid_t)-1, .group = (gid_t)-1, .label = "metadata_socket"};
	struct address address, bound;
	struct err err;
	int fd;

	if (m->server == NULL)
		return;
	metadata_forward_address(getpid(), &address);
	fd = listener_bind(&address, &options, &bound, &err);
	if (fd < 0) {
		log_warn("metadata", "nobody can ask for what is still in flight", "error=\"%s\"",
		    err.text);
		return;
	}
	m->behind = http_server_new(m->loop, fd, &bound, "metadata_socket", serve, m);
	http_server_allow(m->behind, CONNECTIONS_MAX);
}

void metadata_socket_take_back(struct metadata_socket *m)
{
	struct socket_file now;
	struct address bound;
	struct err err;
	int fd;

	if (m->path == NULL)
		return;
	now = socket_file_look(m->path);
	if (now.inode == m->file.inode && now.device == m->file.device)
		return;
	fd = bind_socket(m->path, 0, &bound, &err);
	if (fd < 0) {
		log_error("metadata", "the socket cannot be had back", "error=\"%s\"", err.text);
		return;
	}
	m->file = socket_file_look(m->path);
	http_server_move(m->server, fd, &bound);
}
