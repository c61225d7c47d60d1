/*
 * Makes one real call and says in words what went out and what came back.
 *
 *     kitex-call [-c CALLER] [-s SERVICE] [-m KEY=VALUE]... [-M METHOD] [-r]
 *                PROTOCOL ADDRESS [TEXT]
 *
 * ADDRESS is unix:PATH, unix:@NAME or 127.0.0.1:PORT; PROTOCOL one of the table below. In Kitex
 * Protobuf TEXT is wrapped as {1: string}, and with -r in Thrift, too: {1: Request {1: string}}, as
 * Ask of the old application has it. Ends with 0 if the text came back, 1 if anything else did.
 */
#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "payload.h"
#include "put.h"
#include "sockets.h"

#define THRIFT_MAGIC    0x8001u
#define KITEXPB_MAGIC   0x9001u
#define TTHEADER_MAGIC  0x1000u
#define TTHEADER_FIXED  10u /* bytes after the length word and before the header proper */
#define SECTION_STRINGS 0x01u
#define SECTION_INTS    0x10u
#define SEQ             1u
#define METADATA_MAX    16u
#define ANSWER_MAX      (64u << 20)
#define ANSWER_SECONDS  5

enum message_type { CALL = 1, REPLY = 2, EXCEPTION = 3 };
enum field_type { STOP = 0, I32 = 8, STRING = 11, STRUCT = 12 };
enum int_key { TRANSPORT = 1, FROM_SERVICE = 3, TO_SERVICE = 6, TO_METHOD = 9, MESSAGE_TYPE = 22 };

static const struct protocol {
	const char *name, *words;
	uint32_t magic;
	bool header, frame;
} protocols[] = {
    {"buffered", "Buffered Thrift", THRIFT_MAGIC, false, false},
    {"framed", "Framed Thrift", THRIFT_MAGIC, false, true},
    {"ttheader", "Thrift in TTHeader", THRIFT_MAGIC, true, false},
    {"ttheader_framed", "Framed Thrift in TTHeader", THRIFT_MAGIC, true, true},
    {"kitex_protobuf", "Kitex Protobuf", KITEXPB_MAGIC, false, true},
    {"kitex_protobuf_ttheader", "Kitex Protobuf in TTHeader", KITEXPB_MAGIC, true, true},
};

struct request {
	const struct protocol *protocol;
	const char *address, *caller, *service, *method, *text;
	const char *metadata[METADATA_MAX]; /* KEY=VALUE each */
	unsigned n_metadata;
	bool in_struct;
};

struct answer {
	FILE *in;
	uint32_t left; /* of the innermost length that is known; bounds every read */
	size_t taken;
	enum message_type type;
	uint32_t exception;
	char *text; /* owned */
};

static void fail(const char *what)
{
	printf("\n"); /* whatever was being said ends here */
	fflush(stdout);
	fprintf(stderr, "kitex-call: %s\n", what);
	exit(1);
}

/* The same envelope for Thrift and Kitex Protobuf. */
static void put_message(FILE *out, const struct request *request)
{
	uint32_t magic = request->protocol->magic;
	bool in_struct = request->in_struct && magic == THRIFT_MAGIC;

	put_u32(out, magic << 16 | CALL);
	put_text32(out, request->method, strlen(request->method));
	put_u32(out, SEQ);
	if (in_struct) {
		put_u8(out, STRUCT);
		put_u16(out, 1);
	}
	payload_put(out, magic == THRIFT_MAGIC ? THRIFT : PROTOBUF, request->text);
	if (in_struct)
		put_u8(out, STOP);
}

static void put_int_key(FILE *out, enum int_key key, const char *value)
{
	put_u16(out, key);
	put_text16(out, value, strlen(value));
}

static void put_header(FILE *out, const struct request *request)
{
	put_u16(out, 0); /* protocol id 0, no transforms */
	if (request->n_metadata > 0) {
		put_u8(out, SECTION_STRINGS);
		put_u16(out, request->n_metadata);
	}
	for (unsigned i = 0; i < request->n_metadata; i++) {
		const char *key = request->metadata[i], *value = strchr(key, '=') + 1;

		put_text16(out, key, (size_t)(value - 1 - key));
		put_text16(out, value, strlen(value));
	}
	put_u8(out, SECTION_INTS);
	put_u16(out, 5);
	put_int_key(out, TRANSPORT, request->protocol->frame ? "framed" : "unframed");
	put_int_key(out, FROM_SERVICE, request->caller);
	put_int_key(out, TO_SERVICE, request->service);
	put_int_key(out, TO_METHOD, request->method);
	put_int_key(out, MESSAGE_TYPE, "1");
}

static void request_write(const struct request *request, struct block *whole)
{
	bool header = request->protocol->header, frame = request->protocol->frame;
	struct block message = {0}, head = {0};

	block_open(&message);
	put_message(message.out, request);
	block_close(&message);
	block_open(&head);
	if (header)
		put_header(head.out, request);
	while (fflush(head.out) == 0 && head.len % 4 != 0)
		put_u8(head.out, 0);
	block_close(&head);

	block_open(whole);
	if (header) {
		put_u32(whole->out, TTHEADER_FIXED + head.len + (frame ? 4 : 0) + message.len);
		put_u32(whole->out, TTHEADER_MAGIC << 16); /* no flags */
		put_u32(whole->out, SEQ);
		put_u16(whole->out, head.len / 4);
		fwrite(head.bytes, 1, head.len, whole->out);
	}
	if (frame)
		put_u32(whole->out, message.len);
	fwrite(message.bytes, 1, message.len, whole->out);
	block_close(whole);
	block_free(&message);
	block_free(&head);
}

static void take(struct answer *answer, void *to, uint32_t n)
{
	if (n > answer->left)
		fail("the answer is longer than it says");
	if (fread(to, 1, n, answer->in) != n)
		fail("the answer ends in the middle");
	answer->left -= n;
	answer->taken += n;
}

static uint32_t take_u32(struct answer *answer)
{
	uint32_t word;

	take(answer, &word, sizeof(word));
	return ntohl(word);
}

static uint32_t take_u16(struct answer *answer)
{
	uint16_t word;

	take(answer, &word, sizeof(word));
	return ntohs(word);
}

static unsigned take_u8(struct answer *answer)
{
	uint8_t byte;

	take(answer, &byte, 1);
	return byte;
}

static char *take_text(struct answer *answer, uint32_t len)
{
	char *text = len <= answer->left ? calloc(1, len + 1) : NULL;

	if (!text)
		fail("a text of the answer is longer than the answer");
	take(answer, text, len);
	return text;
}

/* Prints the metadata of one section. Keys are numbers in one kind and strings in the other. */
static void take_section(struct answer *answer, unsigned section)
{
	uint32_t count = take_u16(answer);

	while (count-- > 0) {
		uint32_t number = take_u16(answer);
		char *key = section == SECTION_STRINGS ? take_text(answer, number) : NULL;
		char *value = take_text(answer, take_u16(answer));

		if (key)
			printf(" %s=%s", key, value);
		else
			printf(" int %u=%s", number, value);
		free(key);
		free(value);
	}
}

static void take_header(struct answer *answer)
{
	uint32_t total = take_u32(answer), after, section;

	if (take_u32(answer) >> 16 != TTHEADER_MAGIC)
		fail("the answer is not in TTHeader");
	take_u32(answer);
	after = take_u16(answer) * 4;
	if (total > ANSWER_MAX || total < TTHEADER_FIXED + after)
		fail("the lengths of the answer's header do not fit");
	after = total - TTHEADER_FIXED - after; /* what is left when the header has ended */
	answer->left = total - TTHEADER_FIXED;
	take_u16(answer);
	printf(", metadata");
	while (answer->left > after) {
		section = take_u8(answer);
		if (section == SECTION_STRINGS || section == SECTION_INTS)
			take_section(answer, section);
		else if (section != 0)
			fail("the answer has a section of an unknown kind");
	}
}

/* A result is {0: string} or {0: i32}, an exception {1: string, 2: i32}. */
static void take_thrift(struct answer *answer)
{
	unsigned type;

	while ((type = take_u8(answer)) != STOP) {
		take_u16(answer);
		if (type == I32) {
			answer->exception = take_u32(answer);
		} else if (type == STRING) {
			free(answer->text);
			answer->text = take_text(answer, take_u32(answer));
		} else {
			fail("the answer has a field that an echo does not have");
		}
	}
}

/* Varints and strings: {1: string} in a result, {1: int32, 2: string} in an exception. */
static void take_protobuf(struct answer *answer)
{
	while (answer->left > 0) {
		bool is_text = (take_u8(answer) & 7) == 2;
		uint32_t value = 0, shift = 0, byte;

		do {
			byte = take_u8(answer);
			value |= (byte & 0x7f) << shift;
			shift += 7;
		} while (byte & 0x80 && shift < 28);
		if (!is_text) {
			answer->exception = value;
			continue;
		}
		free(answer->text);
		answer->text = take_text(answer, value);
	}
}

static void answer_read(struct answer *answer, const struct protocol *protocol)
{
	int first = getc(answer->in);
	uint32_t word;

	if (first == EOF)
		fail("no answer came");
	ungetc(first, answer->in);
	printf("  received  %s", protocol->words);
	answer->left = ANSWER_MAX;
	if (protocol->header)
		take_header(answer);
	if (protocol->frame) {
		word = take_u32(answer);
		if (word > answer->left)
			fail("the answer's frame is too long");
		answer->left = word;
	}
	word = take_u32(answer);
	if (word >> 16 != protocol->magic)
		fail("the answer is in another protocol");
	answer->type = word & 0xffff;
	free(take_text(answer, take_u32(answer)));
	if (take_u32(answer) != SEQ)
		fail("the answer has a sequence id that was not asked with");
	if (protocol->magic == THRIFT_MAGIC)
		take_thrift(answer);
	else
		take_protobuf(answer);
}

static void say_request(const struct request *request, size_t bytes)
{
	printf("%s\n  sent      %s(\"%s\") to %s, %zu bytes", request->protocol->words,
	    request->method, request->text, request->address, bytes);
	if (request->protocol->header) {
		printf(", metadata caller=%s service=%s", request->caller, request->service);
		for (unsigned i = 0; i < request->n_metadata; i++)
			printf(" %s", request->metadata[i]);
	}
	printf("\n");
	fflush(stdout);
}

/* Returns whether the answer is what an echo of the request should be. */
static bool say_answer(const struct request *request, const struct answer *answer)
{
	const char *text = answer->text ? answer->text : "";

	if (answer->type == EXCEPTION)
		printf(", an exception of type %u: %s\n", answer->exception, text);
	else
		printf(", a reply: \"%s\", %zu bytes\n", text, answer->taken);
	return answer->type == REPLY && strcmp(text, request->text) == 0;
}

static void request_parse(struct request *request, int argc, char **argv)
{
	int opt;

	while ((opt = getopt(argc, argv, "c:rs:m:M:")) != -1) {
		if (opt == 'c')
			request->caller = optarg;
		else if (opt == 'r')
			request->in_struct = true;
		else if (opt == 's')
			request->service = optarg;
		else if (opt == 'M')
			request->method = optarg;
		else if (opt == 'm' && strchr(optarg, '=') && request->n_metadata < METADATA_MAX)
			request->metadata[request->n_metadata++] = optarg;
		else
			exit(2);
	}
	argc -= optind;
	argv += optind;
	for (size_t i = 0; argc > 0 && i < sizeof(protocols) / sizeof(protocols[0]); i++) {
		if (strcmp(argv[0], protocols[i].name) == 0)
			request->protocol = &protocols[i];
	}
	if (!request->protocol || argc < 2 || argc > 3 || !strchr(argv[1], ':')) {
		fprintf(stderr,
		    "usage: kitex-call [-c CALLER] [-s SERVICE] [-m KEY=VALUE]... "
		    "[-M METHOD] [-r] PROTOCOL unix:PATH|unix:@NAME|127.0.0.1:PORT [TEXT]\n");
		exit(2);
	}
	request->address = argv[1];
	if (argc == 3)
		request->text = argv[2];
}

int main(int argc, char **argv)
{
	struct request request = {
	    .caller = "demo.caller", .service = "demo.echo", .method = "Echo", .text = "hello"};
	struct answer answer = {0};
	struct block bytes = {0};
	bool good;
	int fd;

	request_parse(&request, argc, argv);
	request_write(&request, &bytes);
	fd = sockets_connect(request.address, ANSWER_SECONDS);
	answer.in = fdopen(fd, "r");
	say_request(&request, bytes.len);
	if (!answer.in || write(fd, bytes.bytes, bytes.len) != (ssize_t)bytes.len)
		fail("the call could not be sent");
	answer_read(&answer, request.protocol);
	good = say_answer(&request, &answer);
	fclose(answer.in);
	free(answer.text);
	block_free(&bytes);
	return good ? 0 : 1;
}
