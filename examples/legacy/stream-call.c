/*
 * Opens one stream of TTHeader Streaming and says in words what went out and what came back.
 *
 *     stream-call [-s SERVICE] [-m KEY=VALUE]... [-M METHOD] ADDRESS TEXT...
 *
 * ADDRESS is unix:PATH, unix:@NAME or 127.0.0.1:PORT. Each TEXT is a message, {1: string} in
 * Thrift; the next one leaves when the last one has come back, so the stream works in both
 * directions at once or not at all. Ends with 0 if every text came back and the stream ended well,
 * 1 if anything else happened.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "frame.h"
#include "payload.h"
#include "put.h"
#include "sockets.h"

#define PATIENCE_SECONDS 5

struct caller {
	struct frame header; /* its stream and method are those of every frame */
	const char *address;
	char **texts;
	int n_texts;
	FILE *in, *out;
};

static void fail(const char *what)
{
	fflush(stdout);
	fprintf(stderr, "stream-call: %s\n", what);
	exit(1);
}

static void send_frame(struct caller *caller, enum frame_type type, const struct block *payload)
{
	struct frame frame = {
	    .type = type, .stream = caller->header.stream, .method = caller->header.method};

	if (payload) {
		frame.payload = (uint8_t *)payload->bytes;
		frame.len = payload->len;
	}
	if (!frame_write(caller->out, &frame))
		fail("the connection is broken");
}

static void open_stream(struct caller *caller)
{
	const struct frame *header = &caller->header;

	printf("Thrift in TTHeader Streaming\n  sent      %s to %s, metadata", header->method,
	    caller->address);
	for (unsigned i = 0; i < header->n_strings; i++)
		printf(" %s=%s", header->strings[i].key, header->strings[i].value);
	printf("\n");
	fflush(stdout);
	if (!frame_write(caller->out, header))
		fail("the connection is broken");
}

static void send_text(struct caller *caller, const char *text)
{
	struct block message;

	block_open(&message);
	payload_put(message.out, THRIFT, text);
	block_close(&message);
	printf("  sent      \"%s\", %zu bytes\n", text, message.len);
	fflush(stdout);
	send_frame(caller, FRAME_DATA, &message);
	block_free(&message);
}

static void say_metadata(const struct frame *frame)
{
	if (frame->n_strings == 0)
		return;
	printf("  received  metadata");
	for (unsigned i = 0; i < frame->n_strings; i++)
		printf(" %s=%s", frame->strings[i].key, frame->strings[i].value);
	printf("\n");
}

/* The next frame that says something; metadata is said on the way. */
static void receive(struct caller *caller, struct frame *frame)
{
	while (frame_read(caller->in, frame)) {
		if (frame->stream != caller->header.stream)
			fail("a frame of a stream that was not opened");
		say_metadata(frame);
		if (frame->type != FRAME_HEADER && frame->type != FRAME_META)
			return;
		frame_free(frame);
	}
	fail("the stream was not ended");
}

/* Says how the stream ended. Returns whether it did so without an error. */
static bool say_end(const struct frame *frame)
{
	const char *biz = frame_string(frame, "biz-status");
	uint32_t type;
	char *text;

	if (frame->len == 0 && frame->type == FRAME_TRAILER) {
		printf("  received  the end of the stream%s\n", biz ? ", a business error" : "");
		return !biz;
	}
	text = frame_exception(frame, &type);
	printf("  received  %s, an exception of type %u: %s\n",
	    frame->type == FRAME_RST ? "a reset" : "the end of the stream", text ? type : 0,
	    text ? text : "unreadable");
	free(text);
	return false;
}

/* Returns whether @frame brought @text. Anything but data is the end of the stream. */
static bool say_text(const struct frame *frame, const char *text)
{
	char *got;
	bool same;

	if (frame->type != FRAME_DATA) {
		say_end(frame);
		return false;
	}
	got = payload_text(THRIFT, frame->payload, frame->len);
	printf("  received  \"%s\"\n", got ? got : "something else than a text");
	fflush(stdout);
	same = got && strcmp(got, text) == 0;
	free(got);
	return same;
}

static bool call(struct caller *caller)
{
	struct frame frame;
	bool good = true;

	open_stream(caller);
	for (int i = 0; i < caller->n_texts && good; i++) {
		send_text(caller, caller->texts[i]);
		receive(caller, &frame);
		good = say_text(&frame, caller->texts[i]);
		frame_free(&frame);
	}
	if (!good)
		return false;
	send_frame(caller, FRAME_TRAILER, NULL);
	receive(caller, &frame);
	good = say_end(&frame);
	frame_free(&frame);
	return good;
}

/* KEY=VALUE; the value begins where the sign was. */
static void add_string(struct frame *header, char *pair)
{
	char *sign = strchr(pair, '=');

	if (!sign || header->n_strings == FRAME_STRINGS_MAX)
		exit(2);
	*sign = '\0';
	header->strings[header->n_strings++] = (struct frame_string){pair, sign + 1};
}

static void caller_parse(struct caller *caller, int argc, char **argv)
{
	int opt;

	while ((opt = getopt(argc, argv, "s:m:M:")) != -1) {
		if (opt == 's')
			caller->header.strings[0].value = optarg;
		else if (opt == 'm')
			add_string(&caller->header, optarg);
		else if (opt == 'M')
			caller->header.method = optarg;
		else
			exit(2);
	}
	if (argc - optind < 2 || !strchr(argv[optind], ':')) {
		fprintf(stderr, "usage: stream-call [-s SERVICE] [-m KEY=VALUE]... [-M METHOD] "
				"unix:PATH|unix:@NAME|127.0.0.1:PORT TEXT...\n");
		exit(2);
	}
	caller->address = argv[optind];
	caller->texts = argv + optind + 1;
	caller->n_texts = argc - optind - 1;
}

int main(int argc, char **argv)
{
	char key[] = "isn", service[] = "EchoService", method[] = "Chat";
	struct caller caller = {
	    .header = {.type = FRAME_HEADER,
		.stream = 1,
		.method = method,
		.strings = {{key, service}}, /* what callers of Kitex say, and all they say */
		.n_strings = 1},
	};
	bool good;
	int fd;

	caller_parse(&caller, argc, argv);
	fd = sockets_connect(caller.address, PATIENCE_SECONDS);
	caller.in = fdopen(fd, "r");
	caller.out = fdopen(dup(fd), "w");
	if (!caller.in || !caller.out)
		fail("out of descriptors");
	good = call(&caller);
	fclose(caller.out);
	fclose(caller.in);
	return good ? 0 : 1;
}
