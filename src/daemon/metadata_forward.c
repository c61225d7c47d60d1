#include "daemon/metadata_forward.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/text.h"
#include "net/conn.h"
#include "net/loop.h"
#include "proxy/metadata_page.h"
#include "proxy/upstream_name.h"

#define PATIENCE   (2 * USEC_S)
#define ANSWER_MAX ((size_t)4 << 20)

struct forward {
	struct http_later *later; /* the answer that is owed */
	struct conn *conn;        /* owned */
	struct text answer;
	struct timer patience;
};

void metadata_forward_address(pid_t process, struct address *address)
{
	char text[64];
	struct err err;

	snprintf(text, sizeof text, "unix:@bridled-%d-metadata", (int)process);
	address_parse(address, slice_str(text), &err); /* it is one */
}

static void forward_free(struct forward *f)
{
	wheel_clear(&f->patience);
	conn_close(&f->conn);
	text_fini(&f->answer);
	free(f);
}

/* The status and the body of the whole answer; false: it is none. */
static bool take_answer(const struct text *answer, struct http_reply *reply)
{
	const char *body = answer->len ? memmem(answer->bytes, answer->len, "\r\n\r\n", 4) : NULL;
	uint64_t number;

	if (body == NULL || body - answer->bytes < 12 ||
	    !slice_to_u64(slice_of(answer->bytes + 9, 3), &number))
		return false;
	body += 4;
	reply->status = (int)number;
	reply->len = answer->len - (size_t)(body - answer->bytes);
	reply->body = mem_alloc(reply->len + 1);
	memcpy(reply->body, body, reply->len);
	return true;
}

static void finish(struct forward *f)
{
	static const char lost[] = "{\"error\":\"the process that has the connection is gone\"}\n";
	struct http_reply reply = {.type = "application/json"};
	struct http_later *later = f->later;

	if (!take_answer(&f->answer, &reply)) {
		reply.status = 404;
		reply.body = mem_strdup(lost);
		reply.len = sizeof lost - 1;
	}
	forward_free(f);
	http_later_answer(&later, &reply);
}

static void asker_gone(void *arg)
{
	forward_free(arg);
}

static void on_input(void *arg, struct slice in)
{
	struct forward *f = arg;

	if (f->answer.len + in.len <= ANSWER_MAX)
		text_add(&f->answer, in);
}

static void on_eof(void *arg)
{
	finish(arg);
}

static void on_closed(void *arg, int error)
{
	(void)error;
	finish(arg);
}

static void out_of_patience(struct timer *timer, usec_t now)
{
	(void)now;
	finish(container_of(timer, struct forward, patience));
}

static void on_nothing(void *arg)
{
	(void)arg;
}

static const struct conn_events events = {
    .connected = on_nothing,
    .input = on_input,
    .eof = on_eof,
    .closed = on_closed,
    .drained = on_nothing,
};

static bool is_ours(const struct conn *conn)
{
	struct conn_identity who;

	return conn_identity(conn, &who) && (who.uid == geteuid() || who.uid == 0);
}

static int ask(
    struct conn *conn, const struct upstream_name *name, const struct metadata_question *question)
{
	char room[UPSTREAM_NAME_MAX], seq[32] = "";
	struct slice text = upstream_name_write(name, room), piece;
	char request[256];
	int len, error;

	if (question->has_seq)
		snprintf(seq, sizeof seq, "&seq=%" PRId32, question->seq);
	len = snprintf(request, sizeof request,
	    "GET /meta/%.*s?uid=%u%s HTTP/1.1\r\nHost: bridled\r\nConnection: close\r\n\r\n",
	    (int)text.len, (const char *)text.data, (unsigned)question->asker.uid, seq);
	piece = slice_of(request, (size_t)len);
	return conn_write(conn, &piece, 1, &error);
}

bool metadata_forward(struct loop *loop, const struct upstream_name *name,
    const struct metadata_question *question, struct http_reply *reply)
{
	struct forward *f = mem_calloc(1, sizeof *f);
	struct address address;
	int error;

	metadata_forward_address(name->process, &address);
	if (conn_connect(loop, &address, &events, f, &f->conn, &error) != CONN_READY ||
	    !is_ours(f->conn) || ask(f->conn, name, question) < 0) {
		forward_free(f);
		return false;
	}
	wheel_set(
	    loop_wheel(loop), &f->patience, usec_after(loop_now(loop), PATIENCE), out_of_patience);
	f->later = http_reply_later(reply, asker_gone, f);
	return true;
}
