/*
 * gRPC messages as unary ones, and unary ones as header blocks of gRPC. The first byte says which
 * way and in which form; then either the fields of a block (each name and value behind its length)
 * and a body, or a message. What is written reads back as what it was, and has no key or field that
 * would mean something else there.
 */
#include "fuzz.h"
#include "rpc/grpc_head.h"
#include "rpc/metadata.h"
#include "support/reading.h"
#include "wire/grpc.h"

#define FIELDS_MAX 64u

/* ---- from gRPC ---- */

static const struct rpc_form forms[] = {
    {RPC_PLAIN, RPC_THRIFT, false},
    {RPC_PLAIN, RPC_THRIFT, true},
    {RPC_TTHEADER, RPC_THRIFT, false},
    {RPC_TTHEADER, RPC_THRIFT, true},
    {RPC_PLAIN, RPC_KITEXPB, true},
    {RPC_TTHEADER, RPC_KITEXPB, true},
};

/* Fields up to an empty name, then the body. */
static void take_block(struct cursor *c, struct rpc_field *fields, struct rpc_message *m)
{
	m->head = slice_of(c->at, cursor_left(c));
	m->fields = fields;
	while (m->n_fields < FIELDS_MAX) {
		struct slice name = cursor_take(c, cursor_u8(c));
		struct slice value = name.len ? cursor_take(c, cursor_u8(c)) : SLICE_NONE;

		if (c->bad || name.len == 0)
			break;
		fields[m->n_fields++] = (struct rpc_field){.name = name, .value = value};
	}
	m->body = slice_of(c->at, c->bad ? 0 : cursor_left(c));
}

static void check_key(const struct ttheader_entry *e, const struct rpc_message *before)
{
	bool is_reply = before->kind != RPC_CALL;
	enum metadata_kind kind = metadata_of_entry(e, is_reply);

	if (is_reply)
		must(kind == METADATA_WRAPPING || kind == METADATA_BACKWARD ||
		     (kind == METADATA_BIZ && before->marks & RPC_HAS_BIZ));
	else
		must(kind != METADATA_BACKWARD && kind != METADATA_BIZ &&
		     kind != METADATA_PRIVATE && kind != METADATA_CHECKSUM &&
		     kind != METADATA_UPSTREAM && kind != METADATA_INT);
}

static void check_header(const struct rpc_message *before, const struct rpc_message *after)
{
	struct ttheader_iter it = ttheader_entries(after->sections);
	struct ttheader_entry e;

	while (ttheader_next(&it, &e))
		check_key(&e, before);
	must(it.why == NULL && !(after->marks & (RPC_HAS_CRRST | RPC_HAS_CHECKSUM)));
	must(!!(after->marks & RPC_HAS_BIZ) ==
	     (before->kind == RPC_REPLY && before->marks & RPC_HAS_BIZ));
	if (before->kind != RPC_CALL)
		return;
	must(slice_eq(after->caller, before->caller) && slice_eq(after->log_id, before->log_id));
	must(slice_eq(after->service_asked, before->service_asked));
	must(slice_eq(after->caller_method, before->caller_method));
	must((after->timeout == USEC_NONE) == (before->timeout == USEC_NONE));
}

static void check_written(
    const struct rpc_message *before, struct rpc_form form, struct slice written)
{
	struct reading r;
	const struct rpc_message *after;

	reading_open(
	    &r, before->kind == RPC_CALL ? CODEC_DOWNSTREAM : CODEC_UPSTREAM, &reading_limits);
	reading_feed(&r, written);
	must(r.n == 1 && r.list[0].is_whole && !r.list[0].is_refused);
	after = &r.list[0].message;
	must(rpc_form_eq(after->form, form) && after->kind == before->kind);
	must(slice_eq(after->method, before->method) && after->seq == before->seq);
	if (before->kind == RPC_EXCEPTION)
		must(codec_exception_id(after) == before->status);
	else
		must(slice_eq(after->body, before->body));
	if (form.transport == RPC_TTHEADER)
		check_header(before, after);
	reading_close(&r);
}

static void write_from_grpc(const struct rpc_message *m, struct rpc_form form)
{
	enum codec_side side = m->kind == RPC_CALL ? CODEC_UPSTREAM : CODEC_DOWNSTREAM;
	struct written out = {0};
	struct rpc_edit edit = {.form = form, .add_prefix = m->n_fields % 2};
	struct codec *to = codec_open(side, CODEC_UNARY, &reading_limits, &written_io, &out);

	if (codec_send_message(to, 0, m, &edit))
		check_written(m, form, written_slice(&out));
	else
		must(out.len == 0 && m->method.len > 256);
	codec_close(&to);
	written_fini(&out);
}

static void fuzz_grpc_call(struct rpc_form form, struct cursor c)
{
	struct rpc_field fields[FIELDS_MAX];
	struct rpc_message m = {.form = {RPC_HTTP2, form.payload, false}, .kind = RPC_CALL};

	m.path = cursor_take(&c, cursor_u8(&c));
	take_block(&c, fields, &m);
	grpc_note_call(&m);
	if (m.method.len && rpc_call_from_grpc(&m) == NULL)
		write_from_grpc(&m, form);
}

static void fuzz_grpc_reply(struct rpc_form form, struct cursor c)
{
	struct rpc_field fields[FIELDS_MAX], end_fields[FIELDS_MAX];
	struct rpc_message m = {.form = {RPC_HTTP2, form.payload, false}, .kind = RPC_REPLY};
	struct rpc_message end = {.form = m.form, .kind = RPC_TRAILERS};
	struct arena arena;
	struct slice body;

	arena_init(&arena, NULL, 0);
	m.http_status = cursor_u8(&c) == 0 ? 503 : 200;
	take_block(&c, end_fields, &end);
	c = cursor_of(end.body);
	take_block(&c, fields, &m);
	body = m.body;
	grpc_note_reply(&m);
	grpc_note_reply(&end);
	m.method = SLICE_LIT("Say");
	m.seq = 7;
	m.body = body;
	if (rpc_reply_from_grpc(&m, end.n_fields ? &end : NULL, &arena) == NULL)
		write_from_grpc(&m, form);
	arena_fini(&arena);
}

/* ---- to gRPC ---- */

static bool is_name(struct slice name)
{
	for (size_t i = 0; i < name.len; i++)
		if (name.data[i] <= ' ' || name.data[i] > '~' ||
		    (name.data[i] >= 'A' && name.data[i] <= 'Z') || name.data[i] == ':')
			return false;
	return name.len > 0;
}

/* Names that an implementation writes itself stand once, whatever the header had. */
static void check_fields(const struct field_list *list, bool is_reply)
{
	for (unsigned i = 0; i < list->n; i++) {
		const struct rpc_field *f = &list->items[i];
		enum metadata_kind kind = metadata_of_field(f->name);

		must(is_name(f->name) && metadata_is_field_value(f->value));
		if (metadata_is_carried(kind, is_reply))
			continue;
		must(kind == METADATA_WRAPPING || kind == METADATA_FACT ||
		     (kind == METADATA_BIZ && is_reply));
		for (unsigned k = 0; k < i; k++)
			must(!slice_eq(list->items[k].name, f->name));
	}
}

static void fuzz_unary(enum codec_side side, struct slice in)
{
	struct codec *from = codec_open(side, CODEC_UNARY, &reading_limits, NULL, NULL);
	struct codec_item item;
	struct arena arena;
	struct field_list head = {.arena = &arena}, trailers = {.arena = &arena};
	struct rpc_edit edit = {.form = {RPC_HTTP2, RPC_THRIFT, false}};
	const struct rpc_message *m = &item.message;
	struct grpc_path parts;
	struct slice path;

	arena_init(&arena, NULL, 0);
	if (codec_next(from, &in, &item) == CODEC_MESSAGE && m->complete) {
		edit.form.payload = m->form.payload;
		if (side == CODEC_UPSTREAM)
			grpc_reply_fields(m, &edit, &head, &trailers);
		else if (grpc_call_fields(m, &edit, &head, &path))
			must(grpc_path_split(path, &parts) && slice_eq(parts.method, m->method));
		check_fields(&head, side == CODEC_UPSTREAM);
		check_fields(&trailers, side == CODEC_UPSTREAM);
	}
	arena_fini(&arena);
	codec_close(&from);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rpc_form form;

	if (size < 1)
		return 0;
	form = forms[(data[0] >> 2) % (sizeof forms / sizeof forms[0])];
	switch (data[0] & 3) {
	case 0:
		fuzz_grpc_call(form, cursor_of(slice_of(data + 1, size - 1)));
		break;
	case 1:
		fuzz_grpc_reply(form, cursor_of(slice_of(data + 1, size - 1)));
		break;
	case 2:
		fuzz_unary(CODEC_DOWNSTREAM, slice_of(data + 1, size - 1));
		break;
	default:
		fuzz_unary(CODEC_UPSTREAM, slice_of(data + 1, size - 1));
		break;
	}
	return 0;
}
