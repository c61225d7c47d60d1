/*
 * An application that speaks TTHeader Streaming, and nothing else.
 *
 *     stream-echo [-v] unix:PATH | 127.0.0.1:PORT
 *
 * Whatever comes in on a stream goes back on it: header for header, message for message, and the
 * trailer when the caller has ended its side. String keys of the header that begin with "x-" come
 * back in the header. A method named Fail ends its stream at once, with an exception. With -v it
 * says what arrived.
 *
 * Every frame names its stream and its method, so there is nothing to remember between two of them.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "frame.h"
#include "sockets.h"

#define INTERNAL_ERROR 6u

static bool verbose;

static void say(const struct frame *frame)
{
	if (verbose && frame->type == FRAME_DATA)
		printf("  arrived   as TTHeader Streaming: %s, a message of %zu bytes\n",
		    frame->method, frame->len);
	else if (verbose && frame->type == FRAME_RST)
		printf("  arrived   as TTHeader Streaming: %s, cut off\n", frame->method);
}

static bool answer_header(FILE *out, const struct frame *header)
{
	struct frame answer = {
	    .type = FRAME_HEADER, .stream = header->stream, .method = header->method};

	for (unsigned i = 0; i < header->n_strings; i++) {
		if (strncmp(header->strings[i].key, "x-", 2) == 0)
			answer.strings[answer.n_strings++] = header->strings[i];
	}
	return frame_write(out, &answer);
}

static bool answer_failure(FILE *out, const struct frame *header)
{
	struct frame answer = {
	    .type = FRAME_TRAILER, .stream = header->stream, .method = header->method};
	bool sent;

	frame_put_exception(&answer, INTERNAL_ERROR, "this method always fails");
	sent = frame_write(out, &answer);
	free(answer.payload);
	return sent;
}

static bool answer(FILE *out, const struct frame *frame)
{
	struct frame same = {.type = frame->type,
	    .stream = frame->stream,
	    .method = frame->method,
	    .payload = frame->payload,
	    .len = frame->len};
	bool fails = strcmp(frame->method, "Fail") == 0;

	switch (frame->type) {
	case FRAME_HEADER:
		return answer_header(out, frame) && (!fails || answer_failure(out, frame));
	case FRAME_DATA:
	case FRAME_TRAILER:
		return fails || frame_write(out, &same);
	case FRAME_META:
	case FRAME_RST:
		break; /* nothing is said to these */
	}
	return true;
}

static void serve(int fd)
{
	FILE *in = fdopen(dup(fd), "r"), *out = fdopen(dup(fd), "w");
	struct frame frame;
	bool is_open = true;

	if (!in || !out)
		abort();
	while (is_open && frame_read(in, &frame)) {
		say(&frame);
		is_open = answer(out, &frame);
		frame_free(&frame);
	}
	fclose(out);
	fclose(in);
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
		fprintf(stderr, "usage: stream-echo [-v] unix:PATH | 127.0.0.1:PORT\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	sockets_serve(argv[optind], serve);
	return 0;
}
