/*
 * Makes one gRPC call and says in words what went out and what came back.
 *
 *     grpc-call [-b] [-t] [-c CALLER] [-s SERVICE] [-m NAME=VALUE]... [-M PATH] ADDRESS TEXT...
 *
 * ADDRESS is unix:PATH, unix:@NAME or 127.0.0.1:PORT. Each TEXT is a message, {1: string} in
 * Protobuf, or in Thrift with -t. Without -b there is one, as in a unary call. With -b it is a
 * stream in both directions: the next message leaves when the last one has come back. SERVICE is
 * the :authority, PATH is /SERVICE/METHOD. Ends with 0 if every text came back and the status is 0,
 * 1 if anything else happened.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <nghttp2/nghttp2.h>

#include "h2.h"
#include "payload.h"
#include "put.h"
#include "sockets.h"

#define PATIENCE_SECONDS 5
#define PATIENCE         "5S" /* the same for grpc-timeout */
#define ANSWER_MAX       (64u << 20)

struct call {
	const char *address, *caller, *service, *path;
	enum payload payload;
	bool is_stream;
	struct h2_fields metadata;
	char **texts;
	size_t n_texts, n_sent, n_received;

	struct block body; /* the message being sent, with its prefix */
	size_t body_at;
	struct h2_messages messages;
	uint8_t *reply; /* owned: the message being received, with its prefix */
	size_t reply_len;
	struct h2_fields answer; /* of the last block of fields */
	bool is_over, has_failed;
};

static void fail(const char *what)
{
	fflush(stdout);
	fprintf(stderr, "grpc-call: %s\n", what);
	exit(1);
}

static void send_next(struct call *call)
{
	const char *text = call->texts[call->n_sent++];
	struct block message;

	block_open(&message);
	payload_put(message.out, call->payload, text);
	block_close(&message);
	block_free(&call->body);
	block_open(&call->body);
	put_u8(call->body.out, 0); /* not compressed */
	put_text32(call->body.out, message.bytes, message.len);
	block_close(&call->body);
	call->body_at = 0;
	printf("  sent      \"%s\", %zu bytes\n", text, message.len);
	fflush(stdout);
	block_free(&message);
}

/* nghttp2 asks for the next bytes of the call's body. */
static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *to, size_t room,
    uint32_t *flags, nghttp2_data_source *source, void *user_data)
{
	struct call *call = user_data;
	size_t left, n;

	(void)session;
	(void)id;
	(void)source;
	if (call->body_at == call->body.len && call->n_sent < call->n_texts &&
	    call->n_sent == call->n_received)
		send_next(call);
	left = call->body.len - call->body_at;
	n = left < room ? left : room;
	if (n > 0)
		memcpy(to, call->body.bytes + call->body_at, n);
	call->body_at += n;
	/* A stream's side is ended when all has come back, the side of a single call at once. */
	if (n == left && (call->is_stream ? call->n_received : call->n_sent) == call->n_texts)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	else if (n == 0)
		return NGHTTP2_ERR_DEFERRED;
	return (ssize_t)n;
}

static void say_message(struct call *call)
{
	const char *sent = call->n_received < call->n_sent ? call->texts[call->n_received] : NULL;
	char *text = payload_text(call->payload, call->reply + H2_PREFIX, call->messages.size);

	printf("  received  \"%s\"\n", text ? text : "something else than a text");
	fflush(stdout);
	call->has_failed |= !sent || !text || strcmp(text, sent) != 0;
	call->n_received++;
	free(text);
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes,
    size_t len, void *user_data)
{
	struct call *call = user_data;
	bool is_whole;
	size_t used;

	(void)flags;
	while (len > 0) {
		is_whole = h2_messages_next(&call->messages, bytes, len, &used);
		call->reply = realloc(call->reply, call->reply_len + used);
		if (!call->reply || call->messages.size > ANSWER_MAX)
			fail("the answer is too long");
		memcpy(call->reply + call->reply_len, bytes, used);
		call->reply_len += used;
		bytes += used;
		len -= used;
		if (is_whole) {
			say_message(call);
			call->reply_len = 0;
			nghttp2_session_resume_data(session, id);
		}
	}
	return 0;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
	struct call *call = user_data;

	(void)session;
	(void)frame;
	h2_fields_free(&call->answer);
	return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
    size_t name_len, const uint8_t *value, size_t len, uint8_t flags, void *user_data)
{
	struct call *call = user_data;

	(void)session;
	(void)frame;
	(void)flags;
	h2_fields_add(&call->answer, name, name_len, value, len);
	return 0;
}

/* @error is the code of a reset; it counts if nothing better is known. */
static void say_end(struct call *call, uint32_t error)
{
	const char *status = h2_fields_value(&call->answer, "grpc-status"),
		   *message = h2_fields_value(&call->answer, "grpc-message"),
		   *http = h2_fields_value(&call->answer, ":status");

	if (status)
		printf("  received  status %s%s%s", status, message && *message ? ": " : "",
		    message ? message : "");
	else if (http && strcmp(http, "200") != 0)
		printf("  received  HTTP status %s", http);
	else
		printf("  received  a reset with code %u", error);
	for (size_t i = 0; i < call->answer.n; i++) {
		if (strncmp(call->answer.each[i].name, "x-", 2) == 0)
			printf(", %s=%s", call->answer.each[i].name, call->answer.each[i].value);
	}
	printf("\n");
	call->is_over = true;
	call->has_failed |=
	    !status || strcmp(status, "0") != 0 || call->n_received != call->n_texts;
}

/* The server's end is the end of the call, whether or not all of it has been sent. */
static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
	struct call *call = user_data;
	bool can_end = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;

	(void)session;
	if (can_end && frame->hd.flags & NGHTTP2_FLAG_END_STREAM && !call->is_over)
		say_end(call, NGHTTP2_NO_ERROR);
	return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t error, void *user_data)
{
	struct call *call = user_data;

	(void)session;
	(void)id;
	if (!call->is_over)
		say_end(call, error);
	return 0;
}

static void submit(struct call *call, nghttp2_session *session)
{
	nghttp2_data_provider body = {.read_callback = read_body};
	nghttp2_nv head[9 + H2_FIELDS_MAX] = {
	    h2_nv(":method", "POST"),
	    h2_nv(":scheme", "http"),
	    h2_nv(":path", call->path),
	    h2_nv(":authority", call->service),
	    h2_nv("content-type",
		call->payload == THRIFT ? "application/grpc+thrift" : "application/grpc"),
	    h2_nv("user-agent", "grpc-call"),
	    h2_nv("te", "trailers"),
	    h2_nv("grpc-timeout", PATIENCE),
	    h2_nv("source-service", call->caller),
	};
	size_t n = 9;

	printf("gRPC with %s, %s\n  sent      %s to %s, metadata :authority=%s source-service=%s",
	    call->payload == THRIFT ? "Thrift" : "Protobuf",
	    call->is_stream ? "a stream in both directions" : "unary", call->path, call->address,
	    call->service, call->caller);
	for (size_t i = 0; i < call->metadata.n; i++) {
		printf(" %s=%s", call->metadata.each[i].name, call->metadata.each[i].value);
		head[n++] = h2_nv(call->metadata.each[i].name, call->metadata.each[i].value);
	}
	printf("\n");
	fflush(stdout);
	if (nghttp2_submit_request(session, NULL, head, n, &body, NULL) < 0)
		fail("the call could not be made");
}

static nghttp2_session *session_new(struct call *call)
{
	nghttp2_session_callbacks *callbacks;
	nghttp2_session *session;

	if (nghttp2_session_callbacks_new(&callbacks) != 0)
		abort();
	nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
	if (nghttp2_session_client_new(&session, callbacks, call) != 0)
		abort();
	nghttp2_session_callbacks_del(callbacks);
	nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, NULL, 0);
	return session;
}

static void make_call(struct call *call)
{
	struct h2 h2 = {.fd = sockets_connect(call->address, PATIENCE_SECONDS)};

	h2.session = session_new(call);
	submit(call, h2.session);
	while (!call->is_over) {
		if (!h2_turn(&h2, PATIENCE_SECONDS * 1000))
			fail("no answer came");
	}
	nghttp2_session_del(h2.session);
	close(h2.fd);
}

static void add_metadata(struct call *call, const char *pair)
{
	const char *sign = strchr(pair, '=');

	if (!sign)
		exit(2);
	h2_fields_add(&call->metadata, (const uint8_t *)pair, (size_t)(sign - pair),
	    (const uint8_t *)sign + 1, strlen(sign + 1));
}

static void call_option(struct call *call, int opt, char *value)
{
	switch (opt) {
	case 'b':
		call->is_stream = true;
		break;
	case 't':
		call->payload = THRIFT;
		break;
	case 'c':
		call->caller = value;
		break;
	case 's':
		call->service = value;
		break;
	case 'm':
		add_metadata(call, value);
		break;
	case 'M':
		call->path = value;
		break;
	default:
		exit(2);
	}
}

static void call_parse(struct call *call, int argc, char **argv)
{
	int opt;

	while ((opt = getopt(argc, argv, "btc:s:m:M:")) != -1)
		call_option(call, opt, optarg);
	call->address = argv[optind];
	call->texts = argv + optind + 1;
	if (argc - optind < 2 || !strchr(call->address, ':') ||
	    (!call->is_stream && argc - optind > 2)) {
		fprintf(stderr,
		    "usage: grpc-call [-b] [-t] [-c CALLER] [-s SERVICE] [-m NAME=VALUE]... "
		    "[-M PATH] unix:PATH|unix:@NAME|127.0.0.1:PORT TEXT...\n");
		exit(2);
	}
	call->n_texts = (size_t)(argc - optind - 1);
}

int main(int argc, char **argv)
{
	struct call call = {
	    .caller = "demo.caller",
	    .service = "demo.echo",
	    .path = "/demo.Echo/Echo",
	    .payload = PROTOBUF,
	};

	call_parse(&call, argc, argv);
	make_call(&call);
	block_free(&call.body);
	h2_fields_free(&call.metadata);
	h2_fields_free(&call.answer);
	free(call.reply);
	return call.has_failed ? 1 : 0;
}
