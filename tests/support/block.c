#include "support/block.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "wire/grpc.h"

#define FIELDS_MAX 1024u

static void must(bool fact)
{
	if (!fact)
		abort();
}

static void add_line(struct block *b, struct slice name, struct slice value)
{
	struct rpc_message *m = &b->message;
	uint64_t status;

	if (slice_eq(name, SLICE_LIT(":path"))) {
		m->path = value;
	} else if (slice_eq(name, SLICE_LIT(":authority"))) {
		m->authority = value;
	} else if (slice_eq(name, SLICE_LIT(":status"))) {
		must(slice_to_u64(value, &status));
		m->http_status = (unsigned)status;
	} else {
		must(m->n_fields < FIELDS_MAX);
		b->fields[m->n_fields++] = (struct rpc_field){.name = name, .value = value};
	}
}

static void add_lines(struct block *b)
{
	char *at = b->text;

	while (*at) {
		char *colon = strstr(at, ": "), *end = strchr(at, '\n');

		must(colon && end && colon < end);
		add_line(b, slice_of(at, (size_t)(colon - at)),
		    slice_of(colon + 2, (size_t)(end - colon - 2)));
		at = end + 1;
	}
}

static enum rpc_payload payload_of(struct slice content_type)
{
	if (content_type.len == 0 || grpc_content_type(content_type) == GRPC_CONTENT_THRIFT)
		return RPC_THRIFT;
	return grpc_content_type(content_type) == GRPC_CONTENT_NONE ? RPC_OPAQUE : RPC_KITEXPB;
}

void block_make(struct block *b, enum rpc_kind kind, const char *lines)
{
	struct rpc_message *m = &b->message;

	*b = (struct block){.text = mem_strdup(lines)};
	b->fields = mem_calloc(FIELDS_MAX, sizeof *b->fields);
	m->form.transport = RPC_HTTP2;
	m->kind = kind;
	m->timeout = USEC_NONE;
	m->head = slice_str(b->text);
	m->fields = b->fields;
	add_lines(b);
	if (kind == RPC_CALL)
		grpc_note_call(m);
	else
		grpc_note_reply(m);
	m->form.payload = payload_of(m->content_type);
}

void block_free(struct block *b)
{
	free(b->text);
	free(b->fields);
	*b = (struct block){0};
}

const char *block_text(const struct field_list *list)
{
	static char room[65536];
	size_t at = 0;

	room[0] = '\0';
	for (unsigned i = 0; i < list->n; i++) {
		const struct rpc_field *f = &list->items[i];

		at +=
		    (size_t)snprintf(room + at, sizeof room - at, "%.*s: %.*s\n", (int)f->name.len,
			(const char *)f->name.data, (int)f->value.len, (const char *)f->value.data);
		must(at < sizeof room);
	}
	return room;
}

struct slice block_body(uint8_t flag, struct slice message)
{
	uint8_t *bytes = mem_alloc(GRPC_PREFIX + message.len);

	grpc_prefix_write(bytes, (uint32_t)message.len);
	bytes[0] = flag;
	if (message.len)
		memcpy(bytes + GRPC_PREFIX, message.data, message.len);
	return slice_of(bytes, GRPC_PREFIX + message.len);
}
