/*
 * The old application of the examples: a server that knows nothing of meshes.
 *
 *     legacy-echo [-b] [-v] unix:PATH | 127.0.0.1:PORT
 *
 * It speaks Framed Thrift and Kitex Protobuf; with -b Buffered Thrift (no frame, no length) and
 * nothing else. With -v it says what it was asked. Each connection has a thread that reads a
 * message, answers it and reads the next, as such servers do.
 *
 *     string Echo(1: string text)          gives the text back
 *     string Ask(1: Request request)       gives the text in it back
 *     string fail(1: string text)          always an exception, type 6
 *     oneway void Notify(1: string text)   is counted, not answered
 *     i32 Count()                          how many Notify there were
 *
 *     struct Request {1: string text, 255: Base base}
 *     struct Base {1: string LogID, 2: string Caller, ...}
 *
 * Base is where its makers once agreed to say who calls; the application reads it where it is
 * there. In Kitex Protobuf Echo and Ask give the bytes of the message back, whatever they mean.
 */
#include <arpa/inet.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "put.h"
#include "sockets.h"

#define THRIFT_MAGIC  0x8001u /* the upper half of a strict Thrift Binary message's first word */
#define KITEXPB_MAGIC 0x9001u /* the same place in Kitex Protobuf */
#define MESSAGE_MAX   (64u << 20)
#define METHOD_MAX    64u

enum message_type { CALL = 1, REPLY = 2, EXCEPTION = 3, ONEWAY = 4 };
enum field_type { STOP = 0, I32 = 8, STRING = 11, STRUCT = 12, MAP = 13 };
enum base_field { BASE_LOG_ID = 1, BASE_CALLER = 2, BASE = 255 };
enum exception_type { UNKNOWN_METHOD = 1, INTERNAL_ERROR = 6 };

/* A connection. What is left of the message being read bounds every read from it. */
struct peer {
	FILE *in, *out;
	uint32_t left;
	bool failed;
};

struct call {
	uint32_t magic, type, seq;
	char method[METHOD_MAX + 1];
	char *text; /* owned: the argument of Thrift, the whole message of Kitex Protobuf */
	uint32_t len;
	char *caller, *log_id; /* owned: of Base; NULL: not there */
};

static bool buffered, verbose;
static atomic_uint notified;

static void take(struct peer *peer, void *to, uint32_t n)
{
	if (peer->failed || n > peer->left || fread(to, 1, n, peer->in) != n) {
		peer->failed = true;
		memset(to, 0, n);
		return;
	}
	peer->left -= n;
}

static uint32_t take_u32(struct peer *peer)
{
	uint32_t word;

	take(peer, &word, sizeof(word));
	return ntohl(word);
}

static unsigned take_u8(struct peer *peer)
{
	uint8_t byte;

	take(peer, &byte, 1);
	return byte;
}

/* In place of what was there. Gives its length. */
static uint32_t take_text(struct peer *peer, char **text, uint32_t len)
{
	if (len > peer->left)
		peer->failed = true;
	if (peer->failed)
		return 0;
	free(*text);
	*text = calloc(1, len + 1);
	if (!*text)
		abort();
	take(peer, *text, len);
	return len;
}

static unsigned take_field(struct peer *peer, unsigned *id)
{
	unsigned type = take_u8(peer), high = type == STOP ? 0 : take_u8(peer);

	*id = type == STOP ? 0 : high << 8 | take_u8(peer);
	return type;
}

static void pass_map_of_strings(struct peer *peer)
{
	char *passed = NULL;
	uint32_t count;

	if (take_u8(peer) != STRING || take_u8(peer) != STRING)
		peer->failed = true;
	for (count = take_u32(peer); count > 0 && !peer->failed; count--) {
		take_text(peer, &passed, take_u32(peer));
		take_text(peer, &passed, take_u32(peer));
	}
	free(passed);
}

static void take_base(struct peer *peer, struct call *call)
{
	char *others = NULL, **to;
	unsigned type, id;

	while ((type = take_field(peer, &id)) == STRING || type == MAP) {
		to = id == BASE_LOG_ID ? &call->log_id : &others;
		if (id == BASE_CALLER)
			to = &call->caller;
		if (type == STRING)
			take_text(peer, to, take_u32(peer));
		else
			pass_map_of_strings(peer);
	}
	free(others);
	if (type != STOP)
		peer->failed = true;
}

static void take_request(struct peer *peer, struct call *call)
{
	unsigned type, id;

	while ((type = take_field(peer, &id)) == STRING || (type == STRUCT && id == BASE)) {
		if (type == STRING)
			call->len = take_text(peer, &call->text, take_u32(peer));
		else
			take_base(peer, call);
	}
	if (type != STOP)
		peer->failed = true;
}

/* One argument at most, a string or a request. An old application knows no other interface than its
 * own. */
static void take_arguments(struct peer *peer, struct call *call)
{
	unsigned type, id;

	while ((type = take_field(peer, &id)) == STRING || type == STRUCT) {
		if (type == STRING)
			call->len = take_text(peer, &call->text, take_u32(peer));
		else
			take_request(peer, call);
	}
	if (type != STOP)
		peer->failed = true;
}

/* Returns false at the end of the connection, or when what came cannot be understood. */
static bool take_call(struct peer *peer, struct call *call)
{
	uint32_t word, len;

	peer->left = buffered ? MESSAGE_MAX : sizeof(word);
	if (!buffered) {
		len = take_u32(peer);
		peer->left = len <= MESSAGE_MAX ? len : 0;
	}
	word = take_u32(peer);
	call->magic = word >> 16;
	call->type = word & 0xffffu;
	len = take_u32(peer);
	if (len > METHOD_MAX)
		return false;
	take(peer, call->method, len);
	call->method[len] = '\0';
	call->seq = take_u32(peer);
	if (call->magic == THRIFT_MAGIC)
		take_arguments(peer, call);
	else if (call->magic == KITEXPB_MAGIC && !buffered)
		call->len = take_text(peer, &call->text, peer->left);
	else
		return false;
	return !peer->failed && (buffered || peer->left == 0);
}

static void put_field(FILE *out, enum field_type type, unsigned id)
{
	put_u8(out, type);
	put_u16(out, id);
}

static void answer_begin(struct block *answer, const struct call *call, enum message_type type)
{
	block_open(answer);
	put_u32(answer->out, call->magic << 16 | type);
	put_text32(answer->out, call->method, strlen(call->method));
	put_u32(answer->out, call->seq);
}

static void answer_send(struct block *answer, struct peer *peer)
{
	block_close(answer);
	if (!buffered)
		put_u32(peer->out, answer->len);
	fwrite(answer->bytes, 1, answer->len, peer->out);
	fflush(peer->out);
	block_free(answer);
}

static void reply_text(struct peer *peer, const struct call *call)
{
	struct block answer;

	answer_begin(&answer, call, REPLY);
	if (call->magic == THRIFT_MAGIC) {
		put_field(answer.out, STRING, 0);
		put_text32(answer.out, call->text ? call->text : "", call->len);
		put_u8(answer.out, STOP);
	} else {
		fwrite(call->text, 1, call->len, answer.out);
	}
	answer_send(&answer, peer);
}

static void reply_count(struct peer *peer, const struct call *call)
{
	struct block answer;
	uint32_t count = atomic_load(&notified);

	answer_begin(&answer, call, REPLY);
	if (call->magic == THRIFT_MAGIC) {
		put_field(answer.out, I32, 0);
		put_u32(answer.out, count);
		put_u8(answer.out, STOP);
	} else {
		fprintf(answer.out, "%u", count);
	}
	answer_send(&answer, peer);
}

/* Thrift: {1: string text, 2: i32 type}. Kitex Protobuf: {1: int32 type, 2: string text}. */
static void reply_exception(
    struct peer *peer, const struct call *call, enum exception_type type, const char *text)
{
	struct block answer;

	answer_begin(&answer, call, EXCEPTION);
	if (call->magic == THRIFT_MAGIC) {
		put_field(answer.out, STRING, 1);
		put_text32(answer.out, text, strlen(text));
		put_field(answer.out, I32, 2);
		put_u32(answer.out, type);
		put_u8(answer.out, STOP);
	} else {
		put_u8(answer.out, 1 << 3 | 0); /* field 1, a varint */
		put_u8(answer.out, type);
		put_u8(answer.out, 2 << 3 | 2); /* field 2, a string */
		put_u8(answer.out, (unsigned)strlen(text));
		fputs(text, answer.out);
	}
	answer_send(&answer, peer);
}

/* In one go: other applications write to the same terminal. */
static void say_call(const struct call *call)
{
	printf("  arrived   as %s %s: %s, seq %d, %u bytes%s%s%s%s\n",
	    buffered ? "Buffered" : "Framed",
	    call->magic == THRIFT_MAGIC ? "Thrift" : "Kitex Protobuf", call->method, (int)call->seq,
	    call->len, call->caller ? ", from " : "", call->caller ? call->caller : "",
	    call->log_id ? ", log id " : "", call->log_id ? call->log_id : "");
}

static void serve_call(struct peer *peer, const struct call *call)
{
	if (verbose)
		say_call(call);
	if (strcmp(call->method, "Notify") == 0)
		atomic_fetch_add(&notified, 1);
	else if (strcmp(call->method, "Echo") == 0 || strcmp(call->method, "Ask") == 0)
		reply_text(peer, call);
	else if (strcmp(call->method, "Count") == 0)
		reply_count(peer, call);
	else if (strcmp(call->method, "fail") == 0)
		reply_exception(peer, call, INTERNAL_ERROR, "this method always fails");
	else
		reply_exception(peer, call, UNKNOWN_METHOD, "there is no such method here");
}

static void forget_call(struct call *call)
{
	free(call->text);
	free(call->caller);
	free(call->log_id);
	*call = (struct call){0};
}

static void serve(int fd)
{
	struct peer peer = {.in = fdopen(dup(fd), "r"), .out = fdopen(dup(fd), "w")};
	struct call call = {0};

	if (!peer.in || !peer.out)
		abort();
	while (take_call(&peer, &call)) {
		serve_call(&peer, &call);
		forget_call(&call);
	}
	forget_call(&call);
	fclose(peer.out);
	fclose(peer.in);
}

int main(int argc, char **argv)
{
	int opt;

	while ((opt = getopt(argc, argv, "bv")) != -1) {
		buffered |= opt == 'b';
		verbose |= opt == 'v';
		if (opt == '?')
			return 2;
	}
	if (optind + 1 != argc || !strchr(argv[optind], ':')) {
		fprintf(stderr, "usage: legacy-echo [-b] [-v] unix:PATH | 127.0.0.1:PORT\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	sockets_serve(argv[optind], serve);
	return 0;
}
