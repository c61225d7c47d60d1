/*
 * What a capture holds, as it is shown: one message a line, what is in it below, or one JSON
 * object. Filters are applied here. Who fills the messages in is in dump_unary.c and dump_h2.c.
 */
#ifndef BRIDLE_CTL_DUMP_PRINT_H
#define BRIDLE_CTL_DUMP_PRINT_H

#include <stdio.h>

#include "base/clock.h"
#include "base/text.h"

struct dump_options {
	bool is_json, is_verbose, has_hex, shows_secrets;
	bool only_errors;
	const char *service, *method; /* borrowed; NULL: any */
	unsigned port;                /* 0: any */
};

enum dump_section {
	DUMP_STR,     /* TTHeader: a str key */
	DUMP_INT,     /* TTHeader: an int key */
	DUMP_ACL,     /* TTHeader: the token */
	DUMP_HEADER,  /* HTTP/2 */
	DUMP_UNKNOWN, /* TTHeader: bytes that are no section */
};

struct dump_field {
	enum dump_section section;
	uint16_t number; /* of an int key */
	struct slice name, value;
};

#define DUMP_DETAIL_MAX 192u

/* Views stay until it is printed. All texts may be empty, all names NULL. */
struct dump_message {
	usec_t at;             /* USEC_NONE: not known */
	const char *from, *to; /* addresses; NULL: not known */
	const char *protocol;  /* "ttheader" */
	const char *payload;   /* "thrift" */
	const char *kind;      /* "call" */
	struct slice service;  /* whom the call is for */
	struct slice idl_service;
	struct slice method;
	bool has_seq, has_stream;
	int32_t seq;
	uint32_t stream;
	uint64_t bytes;         /* on the wire; 0: of no interest */
	uint64_t payload_bytes; /* of them the payload */
	uint64_t missing;       /* of them not captured */
	usec_t latency;         /* from the call; USEC_NONE: not known */
	bool is_error;
	bool is_detail;        /* shown only with -v */
	const char *code_name; /* what `code` is; NULL: none */
	int64_t code;
	struct slice text;               /* of an error */
	char detail[DUMP_DETAIL_MAX];    /* more of it, of ours */
	const char *problem;             /* it is not what it should be */
	const struct dump_field *fields; /* borrowed */
	size_t n_fields;
	struct slice body; /* what was kept of the payload behind its head */
	bool is_thrift;    /* the body is a Thrift struct */
};

/* Behind what `detail` says already. */
void dump_add_detail(struct dump_message *m, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* @room keeps its memory from one message to the next. */
void dump_print(
    const struct dump_options *options, const struct dump_message *m, struct text *room, FILE *out);
/* Something to say about a connection as a whole. */
void dump_note(
    const struct dump_options *options, const struct dump_message *m, struct text *room, FILE *out);

#endif
