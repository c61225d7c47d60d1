/*
 * An application that speaks gRPC, and nothing else.
 *
 *     grpc-echo [-v] unix:PATH | 127.0.0.1:PORT
 *
 * Every method of every service gives each message back as it came, whether it is Protobuf or
 * Thrift, one of one call or one of many on a stream. Metadata whose names begin with "x-" come
 * back as trailers. A method named Fail answers with status 13 at once. With -v it says what
 * arrived.
 *
 * A byte counts as read when it has been written back: a caller that does not read its answers is
 * not read from any more, and no stream holds more than its window.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <nghttp2/nghttp2.h>

#include "h2.h"
#include "sockets.h"

#define CALLS_MAX 1000u

struct stream {
	struct h2_fields kept; /* :path, content-type, grpc-encoding, and x-... */
	struct h2_messages messages;
	uint8_t *bytes; /* owned: what came and has not gone back */
	size_t len;
	bool fails, is_ended; /* by the caller */
};

static bool verbose;

static struct stream *stream_of(nghttp2_session *session, int32_t id)
{
	return nghttp2_session_get_stream_user_data(session, id);
}

static const char *kept(const struct stream *stream, const char *name)
{
	const char *value = h2_fields_value(&stream->kept, name);

	return value ? value : "";
}

static void say(const char *how, const struct stream *stream)
{
	if (verbose)
		printf("  arrived   as gRPC: %s, %s", kept(stream, ":path"), how);
}

/* At the end of the body; its metadata and the status that says all went well. */
static void send_trailers(nghttp2_session *session, int32_t id, const struct stream *stream)
{
	nghttp2_nv trailers[H2_FIELDS_MAX + 1] = {h2_nv("grpc-status", "0")};
	size_t n = 1;

	for (size_t i = 0; i < stream->kept.n; i++) {
		if (strncmp(stream->kept.each[i].name, "x-", 2) == 0)
			trailers[n++] =
			    h2_nv(stream->kept.each[i].name, stream->kept.each[i].value);
	}
	nghttp2_submit_trailer(session, id, trailers, n);
}

/* nghttp2 asks for the next bytes of an answer's body. */
static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *to, size_t room,
    uint32_t *flags, nghttp2_data_source *source, void *user_data)
{
	struct stream *stream = source->ptr;
	size_t n = stream->len < room ? stream->len : room;

	(void)user_data;
	if (n == 0 && !stream->is_ended)
		return NGHTTP2_ERR_DEFERRED;
	if (n == 0) {
		*flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
		send_trailers(session, id, stream);
		return 0;
	}
	memcpy(to, stream->bytes, n);
	stream->len -= n;
	memmove(stream->bytes, stream->bytes + n, stream->len);
	nghttp2_session_consume(session, id, n);
	return (ssize_t)n;
}

static void answer_echo(nghttp2_session *session, int32_t id, struct stream *stream)
{
	nghttp2_nv head[] = {
	    h2_nv(":status", "200"),
	    h2_nv("content-type", kept(stream, "content-type")),
	    h2_nv("grpc-encoding", kept(stream, "grpc-encoding")),
	};
	size_t n = *kept(stream, "grpc-encoding") ? 3 : 2;
	nghttp2_data_provider body = {.source.ptr = stream, .read_callback = read_body};

	nghttp2_submit_response(session, id, head, n, &body);
}

/* A single block of fields. */
static void answer_failure(nghttp2_session *session, int32_t id, struct stream *stream)
{
	nghttp2_nv head[] = {
	    h2_nv(":status", "200"),
	    h2_nv("content-type", kept(stream, "content-type")),
	    h2_nv("grpc-status", "13"),
	    h2_nv("grpc-message", "this method always fails"),
	};

	say("a call that fails\n", stream);
	stream->fails = true;
	nghttp2_submit_response(session, id, head, 4, NULL);
}

static void refuse(nghttp2_session *session, int32_t id, struct stream *stream)
{
	nghttp2_nv head[] = {h2_nv(":status", "415")};

	stream->fails = true;
	nghttp2_submit_response(session, id, head, 1, NULL);
}

static void begin_answer(nghttp2_session *session, int32_t id, struct stream *stream)
{
	const char *path = kept(stream, ":path"), *method = strrchr(path, '/');

	if (strncmp(kept(stream, "content-type"), "application/grpc", 16) != 0)
		refuse(session, id, stream);
	else if (method && strcmp(method, "/Fail") == 0)
		answer_failure(session, id, stream);
	else
		answer_echo(session, id, stream);
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
	struct stream *stream;

	(void)user_data;
	if (frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	stream = calloc(1, sizeof(*stream));
	if (!stream)
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	return nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, stream);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
    size_t name_len, const uint8_t *value, size_t len, uint8_t flags, void *user_data)
{
	struct stream *stream = stream_of(session, frame->hd.stream_id);
	const char *text = (const char *)name; /* nghttp2 ends it with a zero */

	(void)flags;
	(void)user_data;
	if (stream && (strncmp(text, "x-", 2) == 0 || strcmp(text, ":path") == 0 ||
			  strcmp(text, "content-type") == 0 || strcmp(text, "grpc-encoding") == 0))
		h2_fields_add(&stream->kept, name, name_len, value, len);
	return 0;
}

static void say_messages(struct stream *stream, const uint8_t *bytes, size_t len)
{
	char how[64];
	size_t used;

	while (h2_messages_next(&stream->messages, bytes, len, &used)) {
		snprintf(how, sizeof(how), "a message of %zu bytes\n", stream->messages.size);
		say(how, stream);
		bytes += used;
		len -= used;
	}
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes,
    size_t len, void *user_data)
{
	struct stream *stream = stream_of(session, id);
	uint8_t *grown;

	(void)flags;
	(void)user_data;
	if (stream->fails)
		return nghttp2_session_consume(session, id, len);
	say_messages(stream, bytes, len);
	grown = realloc(stream->bytes, stream->len + len);
	if (!grown)
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	stream->bytes = grown;
	memcpy(grown + stream->len, bytes, len);
	stream->len += len;
	nghttp2_session_resume_data(session, id);
	return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
	int32_t id = frame->hd.stream_id;
	struct stream *stream = stream_of(session, id);
	bool is_end = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;

	(void)user_data;
	if (!stream || (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA))
		return 0;
	stream->is_ended |= is_end;
	if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
		begin_answer(session, id, stream);
	else if (is_end && !stream->fails)
		nghttp2_session_resume_data(session, id);
	return 0;
}

/*
 * After an early answer the rest of the call is of no use any more: a reset without an error says
 * so.
 */
static int on_sent(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
	int32_t id = frame->hd.stream_id;
	struct stream *stream = stream_of(session, id);

	(void)user_data;
	if (stream && stream->fails && !stream->is_ended && frame->hd.type == NGHTTP2_HEADERS)
		nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_NO_ERROR);
	return 0;
}

/* What a stream leaves unwritten is given back to the window of its connection. */
static int on_close(nghttp2_session *session, int32_t id, uint32_t error, void *user_data)
{
	struct stream *stream = stream_of(session, id);

	(void)user_data;
	if (!stream)
		return 0;
	if (error != NGHTTP2_NO_ERROR)
		say("cut off\n", stream);
	nghttp2_session_consume_connection(session, stream->len);
	h2_fields_free(&stream->kept);
	free(stream->bytes);
	free(stream);
	return 0;
}

static nghttp2_session *session_new(void)
{
	nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, CALLS_MAX}};
	nghttp2_session_callbacks *callbacks;
	nghttp2_session *session;
	nghttp2_option *option;

	if (nghttp2_session_callbacks_new(&callbacks) != 0 || nghttp2_option_new(&option) != 0)
		abort();
	nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
	nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_sent);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
	nghttp2_option_set_no_auto_window_update(option, 1);
	if (nghttp2_session_server_new2(&session, callbacks, NULL, option) != 0)
		abort();
	nghttp2_option_del(option);
	nghttp2_session_callbacks_del(callbacks);
	nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings, 1);
	return session;
}

static void serve(int fd)
{
	struct h2 h2 = {.session = session_new(), .fd = fd};

	while (h2_turn(&h2, -1))
		continue;
	nghttp2_session_del(h2.session);
}

int main(int argc, char **argv)
{
	int opt;

	while ((opt = getopt(argc, argv, "v")) != -1) {
		verbose |= opt == 'v';
		if (opt == '?')
			return 2;
	}
	if (optind + 1 != argc || !strchr(argv[optind], ':')) {
		fprintf(stderr, "usage: grpc-echo [-v] unix:PATH | 127.0.0.1:PORT\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	sockets_serve(argv[optind], serve);
	return 0;
}
