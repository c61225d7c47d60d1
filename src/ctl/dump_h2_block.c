/*
 * Header blocks: put together, read by HPACK, and what they say of a call. Fields lie one behind
 * the other in one piece of memory until they are shown.
 */
#include "ctl/dump_h2.h"
#include "rpc/codec_h2_inflate.h"
#include "wire/grpc.h"

#define FIELDS_KEPT (256u << 10) /* bytes of the fields of one block */

/* ---- header blocks ---- */

static void add_header(void *arg, struct slice name, struct slice value)
{
	struct h2_lane *h = arg;
	struct dump_field *fields = h->lane->conn->dump->fields;

	if (h->n_fields == DUMP_FIELDS_MAX || h->names.len + name.len + value.len > FIELDS_KEPT)
		return;
	text_add(&h->names, name);
	text_add(&h->names, value);
	fields[h->n_fields++] = (struct dump_field){
	    .section = DUMP_HEADER, .name.len = name.len, .value.len = value.len};
}

/* Only now their bytes stay where they are. */
static void place_headers(struct h2_lane *h)
{
	struct dump_field *fields = h->lane->conn->dump->fields;
	const char *names = h->names.bytes ? h->names.bytes : ""; /* all may be empty */
	size_t at = 0;

	for (size_t i = 0; i < h->n_fields; i++) {
		fields[i].name = slice_of(names + at, fields[i].name.len);
		at += fields[i].name.len;
		fields[i].value = slice_of(names + at, fields[i].value.len);
		at += fields[i].value.len;
	}
}

static struct slice header(const struct h2_lane *h, const char *name)
{
	const struct dump_field *fields = h->lane->conn->dump->fields;

	for (size_t i = 0; i < h->n_fields; i++)
		if (slice_eq_str(fields[i].name, name))
			return fields[i].value;
	return SLICE_NONE;
}

static void set_flow(struct h2_lane *h, struct dump_call *call)
{
	struct dump_flow *flow = &call->flows[h->lane->side];
	enum grpc_content content = grpc_content_type(header(h, "content-type"));

	flow->is_grpc = content != GRPC_CONTENT_NONE;
	flow->is_thrift = content == GRPC_CONTENT_THRIFT;
}

static struct dump_call *read_request(struct h2_lane *h, struct dump_message *m)
{
	struct slice path = header(h, ":path");
	struct grpc_path parts = {.method = path};
	struct dump_call *call;

	grpc_path_split(path, &parts);
	call = dump_calls_add(&h->lane->conn->calls, h->lane->side, h->block_stream, h->lane->at,
	    parts.service, SLICE_NONE, parts.method);
	set_flow(h, call);
	m->kind = "call";
	m->service = call->service;
	m->method = call->method;
	m->protocol = call->flows[h->lane->side].is_grpc ? "grpc" : "http2";
	return call;
}

static void read_status(struct h2_lane *h, struct dump_message *m, struct text *decoded)
{
	struct slice message = header(h, "grpc-message"), biz = header(h, "biz-status");
	struct writer w;
	uint32_t status;
	uint64_t code;

	if (grpc_status_read(header(h, "grpc-status"), &status)) {
		m->code_name = "grpc_status";
		m->code = status;
		m->is_error = status != 0;
	}
	if (slice_to_u64(biz, &code) && code)
		dump_add_detail(m, "biz_status %llu", (unsigned long long)code);
	if (message.len == 0)
		return;
	text_add(decoded, message); /* room enough: escapes are longer than what they stand for */
	w = writer_of(decoded->bytes, decoded->len);
	grpc_message_decode(&w, message);
	m->text = writer_slice(&w);
}

/* An answer whose call was not captured. */
static struct dump_call *unknown_call(struct h2_lane *h)
{
	struct dump_call *call = dump_calls_add(&h->lane->conn->calls, !h->lane->side,
	    h->block_stream, USEC_NONE, SLICE_NONE, SLICE_NONE, SLICE_NONE);

	set_flow(h, call);
	call->flows[call->side].is_grpc = call->flows[h->lane->side].is_grpc;
	return call;
}

static void read_response(
    struct h2_lane *h, struct dump_message *m, struct dump_call *call, struct text *decoded)
{
	struct slice status = header(h, ":status");
	bool is_end = h->block_flags & H2_END_STREAM;
	uint64_t code = 0;

	if (call && status.len && h->lane->side != call->side)
		set_flow(h, call);
	m->kind = is_end || status.len == 0 ? "trailers" : "head";
	if (grpc_content_type(header(h, "content-type")) != GRPC_CONTENT_NONE ||
	    header(h, "grpc-status").len)
		m->protocol = "grpc";
	if (slice_to_u64(status, &code) && code != 200) {
		m->code_name = "status";
		m->code = (int64_t)code;
		m->is_error = code >= 400;
	}
	m->is_detail = !is_end && !m->is_error;
	if (is_end || status.len == 0)
		read_status(h, m, decoded);
	if (call && is_end)
		h2_set_latency(h, call, m);
}

/* The table is not known any more. */
static void give_up_blocks(struct h2_lane *h)
{
	h2_inflate_free(&h->inflate);
	h->is_sure = false;
}

static const char *read_block(struct h2_lane *h)
{
	const char *why = NULL;

	h->n_fields = 0;
	h->names.len = 0;
	if (h->is_block_cut)
		why = "a header block that is too long to be kept";
	else if (h->inflate == NULL)
		return NULL;
	else
		why = h2_inflate_block(h->inflate, h2_bytes(&h->block), add_header, h);
	if (why)
		give_up_blocks(h);
	place_headers(h);
	return why;
}

static void end_block(struct h2_lane *h)
{
	struct dump_call *call = h2_find_call(h, h->block_stream);
	struct dump_message m = h2_message(h, h->block_stream, "headers", call);
	bool was_sure = h->is_sure, is_readable;
	struct text decoded = {0};

	m.problem = read_block(h);
	m.bytes = h->block.len;
	is_readable = h->inflate != NULL;
	m.fields = h->lane->conn->dump->fields;
	m.n_fields = h->n_fields;
	if (m.problem && !was_sure)
		m.problem = NULL; /* it is not the peer's fault */
	if (!is_readable)
		dump_add_detail(&m, "its fields cannot be read");
	else if (!h->is_sure)
		dump_add_detail(&m, "fields may be wrong: not all before them was captured");
	if (h->block_type == H2_PUSH_PROMISE) {
		m.kind = "push_promise";
	} else if (header(h, ":method").len) {
		call = read_request(h, &m);
	} else if (is_readable) {
		if (call == NULL && header(h, ":status").len)
			call = unknown_call(h);
		read_response(h, &m, call, &decoded);
	}
	m.payload_bytes = m.bytes;
	h2_show(h, &m);
	if (call && h->block_flags & H2_END_STREAM && h->block_type == H2_HEADERS)
		h2_end_flow(h, call);
	text_fini(&decoded);
	h2_empty(&h->block);
	h2_empty(&h->names);
	h->is_block_open = h->is_block_cut = false;
}

/* Takes what is no part of the block off the payload. */
static struct slice fragment(const struct h2_lane *h)
{
	struct slice s = h2_bytes(&h->payload);
	size_t padding = 0;

	if (h->type != H2_CONTINUATION && h->flags & H2_PADDED && s.len) {
		padding = s.data[0];
		s = slice_from(s, 1);
	}
	if (h->type == H2_HEADERS && h->flags & H2_HAS_PRIORITY)
		s = slice_from(s, 5);
	if (h->type == H2_PUSH_PROMISE)
		s = slice_from(s, 4);
	return padding < s.len ? slice_first(s, s.len - padding) : SLICE_NONE;
}

void h2_take_fragment(struct h2_lane *h)
{
	struct slice s = fragment(h);

	if (h->type == H2_CONTINUATION) {
		if (!h->is_block_open || h->block_stream != h->stream)
			h->is_sure = false;
	} else {
		h->block.len = 0;
		h->is_block_open = true;
		h->is_block_cut = false;
		h->block_stream = h->stream;
		h->block_type = h->type;
		h->block_flags = h->flags;
	}
	h->is_block_cut |= h->payload.len < h->length || h->block.len + s.len > H2_KEPT;
	if (!h->is_block_cut)
		text_add(&h->block, s);
	if (h->flags & H2_END_HEADERS && h->is_block_open)
		end_block(h);
}
