/* What a message of a unary protocol, or a frame of TTHeader streaming, says. */
#include "base/cursor.h"
#include "ctl/dump.h"
#include "wire/kitexpb.h"
#include "wire/ttstream.h"

#define FRAME_LENGTH 4u

/* Types of exceptions. Source: kitex pkg/remote/trans_errors.go, pkg/remote/trans/ttstream. */
static const char *const exception_names[] = {"unknown application exception", "unknown method",
    "invalid message type", "wrong method name", "bad sequence id", "missing result",
    "internal error", "protocol error", "invalid transform", "invalid protocol",
    "unsupported client type", [20] = "unknown service", [21] = "no service name"};

struct reading {
	struct dump_lane *lane;
	struct dump *dump;
	const struct dump_frame *frame;
	struct slice whole; /* what was kept */
	struct dump_message m;
	bool has_crrst, is_complete;
	uint16_t flags;
	struct slice biz_status, biz_message, frame_type;
	struct dump_field spare; /* for what has no place */
};

/* ---- transport headers ---- */

static struct dump_field *add_field(struct reading *r, enum dump_section section)
{
	struct dump_field *f = &r->spare;

	if (r->m.n_fields < DUMP_FIELDS_MAX)
		f = &r->dump->fields[r->m.n_fields++];
	*f = (struct dump_field){.section = section};
	return f;
}

static void note_int(struct reading *r, uint16_t key, struct slice value)
{
	if (key == TTKEY_TO_SERVICE)
		r->m.service = value;
	else if (key == TTKEY_TO_METHOD)
		r->m.method = value;
	else if (key == TTKEY_FRAME_TYPE)
		r->frame_type = value;
}

static void note_str(struct reading *r, struct slice key, struct slice value)
{
	if (slice_eq_str(key, "isn"))
		r->m.idl_service = value;
	else if (slice_eq_str(key, "crrst"))
		r->has_crrst = true;
	else if (slice_eq_str(key, "biz-status"))
		r->biz_status = value;
	else if (slice_eq_str(key, "biz-message"))
		r->biz_message = value;
}

static void read_entries(struct reading *r, struct ttheader_iter it, struct slice sections)
{
	struct ttheader_entry entry;
	struct dump_field *f;

	while (ttheader_next(&it, &entry)) {
		f = add_field(r, entry.kind == TTHEADER_INT   ? DUMP_INT
				 : entry.kind == TTHEADER_ACL ? DUMP_ACL
							      : DUMP_STR);
		f->number = entry.int_key;
		f->name = entry.key;
		f->value = entry.value;
		if (entry.kind == TTHEADER_INT)
			note_int(r, entry.int_key, entry.value);
		else if (entry.kind == TTHEADER_STR)
			note_str(r, entry.key, entry.value);
	}
	if (it.why == NULL)
		return;
	r->m.problem = it.why;
	f = add_field(r, DUMP_UNKNOWN);
	f->value = slice_from(sections, it.section);
}

/* What most messages have needs no words. */
static void note_oddities(struct reading *r, struct slice s)
{
	bool is_stream = r->flags & TTHEADER_FLAG_STREAMING;
	unsigned flags = r->flags & ~TTHEADER_FLAG_STREAMING;

	if (flags)
		dump_add_detail(&r->m, "flags 0x%04x", flags);
	if (s.len > TTHEADER_FIXED && s.data[TTHEADER_FIXED] != (is_stream ? TTSTREAM_PROTOCOL : 0))
		dump_add_detail(&r->m, "protocol id 0x%02x", s.data[TTHEADER_FIXED]);
}

/* The payload behind a TTHeader whose bytes are all here, or as many as were kept. */
static struct slice read_ttheader(struct reading *r)
{
	struct ttheader h;
	struct wire_note note = {0};
	struct slice s = r->whole;
	enum wire_result result = ttheader_read(s, TTHEADER_HEADER_MAX, SIZE_MAX, &h, &note);

	if (s.len < TTHEADER_FIXED)
		return SLICE_NONE;
	r->flags = load_u16(s.data + 6);
	r->m.protocol = "ttheader";
	r->m.has_seq = true;
	r->m.seq = (int32_t)load_u32(s.data + 8);
	note_oddities(r, s);
	if (result == WIRE_OK) {
		read_entries(r, ttheader_entries(h.sections), h.sections);
	} else if (result != WIRE_MORE) {
		r->m.problem = note.why;
		if (r->frame->body_at > TTHEADER_FIXED)
			add_field(r, DUMP_UNKNOWN)->value =
			    slice_from(slice_first(s, r->frame->body_at), TTHEADER_FIXED);
	}
	return slice_from(s, r->frame->body_at);
}

static struct slice read_mesh(struct reading *r)
{
	struct meshheader h;
	struct wire_note note = {0};

	r->m.protocol = "mesh";
	switch (meshheader_read(r->whole, UINT16_MAX, &h, &note)) {
	case WIRE_OK:
		read_entries(r, ttheader_entries_mesh(h.sections), h.sections);
		return slice_from(r->whole, h.header_len);
	case WIRE_BAD:
	case WIRE_TOO_LARGE:
		r->m.problem = note.why;
		break;
	case WIRE_MORE:
		break;
	}
	return SLICE_NONE;
}

/* ---- the message itself ---- */

static void read_exception(struct reading *r, bool is_protobuf)
{
	struct dump_message *m = &r->m;
	int32_t type = 0;

	m->is_error = true;
	m->is_thrift = false;
	if (is_protobuf ? !kitexpb_error_read(m->body, &m->text, &type)
			: !thrift_exception_read(m->body, &m->text, &type)) {
		if (r->is_complete && m->missing == 0)
			dump_add_detail(m, "an exception that cannot be read");
		return;
	}
	m->code_name = "exception";
	m->code = type;
	if (type >= 0 && (size_t)type < ARRAY_LEN(exception_names) && exception_names[type])
		dump_add_detail(m, "%s", exception_names[type]);
}

static const char *kind_of(unsigned type)
{
	switch (type) {
	case THRIFT_CALL:
		return "call";
	case THRIFT_REPLY:
		return "reply";
	case THRIFT_EXCEPTION:
		return "exception";
	case THRIFT_ONEWAY:
		return "oneway";
	default:
		return "message";
	}
}

static void read_head(struct reading *r, struct slice s)
{
	struct dump_message *m = &r->m;
	struct thrift_head head;
	struct wire_note note = {0};

	if (thrift_head_read(s, &head, &note) != WIRE_OK) {
		if (m->problem == NULL && r->is_complete)
			m->problem = note.why ? note.why : "it ends within the head of the message";
		return;
	}
	m->kind = kind_of(head.type);
	if (head.type < THRIFT_CALL || head.type > THRIFT_ONEWAY)
		dump_add_detail(m, "of type %u", head.type);
	if (m->has_seq && m->seq != head.seq)
		dump_add_detail(m, "inner seq %d", head.seq);
	else if (!m->has_seq)
		m->seq = head.seq;
	m->has_seq = true;
	if (head.method.len)
		m->method = head.method;
	m->payload = "thrift";
	if (head.magic == KITEXPB_MAGIC) {
		m->payload = "kitex protobuf";
		dump_add_detail(m, "kitex protobuf");
	}
	m->is_thrift = head.magic == THRIFT_MAGIC;
	m->body = slice_from(s, head.len);
	if (head.type == THRIFT_EXCEPTION)
		read_exception(r, head.magic == KITEXPB_MAGIC);
}

static void check_inner_length(struct reading *r, uint32_t length, size_t at)
{
	uint64_t said = (uint64_t)length + at + FRAME_LENGTH;

	if (r->m.problem == NULL && r->frame->total && said != r->frame->total)
		r->m.problem = "the length of the inner frame is not that of the payload";
}

/* Bare or in a frame of its own. */
static void read_message(struct reading *r, struct slice s)
{
	bool is_alone = r->m.protocol == NULL;

	switch (sniff_payload(s)) {
	case SNIFF_FRAMED_THRIFT:
	case SNIFF_FRAMED_KITEXPB:
		if (is_alone)
			r->m.protocol = "framed";
		else
			dump_add_detail(&r->m, "framed");
		check_inner_length(r, load_u32(s.data), r->whole.len - s.len);
		read_head(r, slice_from(s, FRAME_LENGTH));
		return;
	case SNIFF_BARE_THRIFT:
		if (is_alone)
			r->m.protocol = "buffered";
		read_head(r, s);
		return;
	case SNIFF_MORE:
	case SNIFF_UNKNOWN:
	case SNIFF_TTHEADER:
	case SNIFF_MESH:
		break;
	}
	r->m.body = s;
	if (r->m.problem == NULL && r->is_complete)
		r->m.problem = "the payload is no message";
}

static void read_stream_frame(struct reading *r, struct slice payload)
{
	static const char *const kinds[] = {NULL, "meta", "header", "data", "trailer", "rst"};
	struct dump_message *m = &r->m;
	uint64_t type = TTSTREAM_OTHER;
	int32_t code;

	m->protocol = "ttheader_streaming";
	m->has_stream = true;
	m->stream = (uint32_t)m->seq;
	m->has_seq = false;
	m->body = payload;
	if (!slice_to_u64(r->frame_type, &type) || type < TTSTREAM_META || type > TTSTREAM_RST) {
		m->kind = "frame";
		if (m->problem == NULL && r->is_complete)
			m->problem = "the type of the frame is missing, or no number from 1 to 5";
		return;
	}
	m->kind = kinds[type];
	m->is_thrift = type == TTSTREAM_DATA && payload.len;
	m->payload = m->is_thrift ? "thrift" : NULL;
	m->is_error = type == TTSTREAM_RST;
	if (type < TTSTREAM_TRAILER || !ttstream_exception_read(payload, &m->text, &code))
		return;
	m->is_error = true;
	m->code_name = "exception";
	m->code = code;
}

static void read_biz(struct reading *r)
{
	struct dump_message *m = &r->m;
	bool is_negative = slice_starts(r->biz_status, SLICE_LIT("-"));
	uint64_t code;

	if (!slice_to_u64(slice_from(r->biz_status, is_negative), &code) || code == 0 ||
	    code > INT32_MAX || m->code_name)
		return;
	m->is_error = true;
	m->code_name = "biz_status";
	m->code = is_negative ? -(int64_t)code : (int64_t)code;
	m->text = r->biz_message;
}

/* ---- calls and their answers ---- */

static void take_names(struct reading *r, const struct dump_call *call)
{
	struct dump_message *m = &r->m;

	m->latency = r->lane->at >= call->at && call->at != USEC_NONE && r->lane->at != USEC_NONE
			 ? r->lane->at - call->at
			 : USEC_NONE;
	m->service = call->service;
	m->idl_service = call->idl_service;
	if (m->method.len == 0 || m->is_error)
		m->method = call->method;
}

static struct dump_call *answered(struct reading *r)
{
	struct dump_calls *calls = &r->lane->conn->calls;
	unsigned caller = !r->lane->side;
	struct dump_call *call = dump_calls_find(calls, caller, (uint32_t)r->m.seq);

	/* Exceptions may have lost the number and the name of their calls; they come in their
	 * turn. */
	if (call == NULL && (r->m.seq == 0 || r->m.is_error))
		call = dump_calls_oldest(calls, caller);
	return call;
}

/* A server that ends a multiplexed connection says so in a reply to nothing.
 * Source: kitex pkg/remote/trans/netpollmux/server_handler.go. */
static bool is_control(const struct reading *r)
{
	return r->has_crrst && r->m.seq == 0 && slice_eq_str(r->m.method, "none");
}

static void match(struct reading *r)
{
	struct dump_calls *calls = &r->lane->conn->calls;
	struct dump_message *m = &r->m;
	struct dump_call *call;

	if (strcmp(m->kind, "call") == 0) {
		dump_calls_add(calls, r->lane->side, (uint32_t)m->seq, m->at, m->service,
		    m->idl_service, m->method);
	} else if (strcmp(m->kind, "reply") == 0 || strcmp(m->kind, "exception") == 0) {
		if (is_control(r)) {
			m->kind = "control";
			dump_add_detail(m, "no more calls are wanted on this connection");
			return;
		}
		call = answered(r);
		if (call)
			take_names(r, call);
	}
	if (r->has_crrst)
		dump_add_detail(m, "the connection will be closed");
}

/* Frames of the caller name the stream; all others are known by its number. */
static struct dump_call *match_stream(struct reading *r)
{
	struct dump_calls *calls = &r->lane->conn->calls;
	struct dump_message *m = &r->m;
	struct dump_call *call = dump_calls_find(calls, !r->lane->side, m->stream);

	if (call) {
		struct slice method = m->method;

		take_names(r, call);
		m->method = method.len ? method : call->method;
		if (strcmp(m->kind, "trailer") && strcmp(m->kind, "rst"))
			m->latency = USEC_NONE;
		return call;
	}
	call = dump_calls_find(calls, r->lane->side, m->stream);
	if (call == NULL && strcmp(m->kind, "header") == 0)
		dump_calls_add(
		    calls, r->lane->side, m->stream, m->at, m->service, m->idl_service, m->method);
	else if (call) {
		m->service = call->service;
		m->idl_service = call->idl_service;
	}
	return call;
}

/* The answer is shown: its call is over. */
static void settle(struct reading *r)
{
	struct dump_calls *calls = &r->lane->conn->calls;
	const struct dump_message *m = &r->m;
	struct dump_call *call = NULL;

	if (m->has_stream) {
		if (strcmp(m->kind, "trailer") && strcmp(m->kind, "rst"))
			return;
		call = dump_calls_find(calls, !r->lane->side, m->stream);
		if (call == NULL && strcmp(m->kind, "rst") == 0)
			call = dump_calls_find(calls, r->lane->side, m->stream);
	} else if (strcmp(m->kind, "reply") == 0 || strcmp(m->kind, "exception") == 0) {
		call = answered(r);
	}
	if (call)
		dump_calls_remove(calls, call);
}

/* ---- all of it ---- */

static void read_frame(struct reading *r)
{
	struct slice payload = r->whole;

	if (r->frame->form == SNIFF_TTHEADER)
		payload = read_ttheader(r);
	else if (r->frame->form == SNIFF_MESH)
		payload = read_mesh(r);
	if (r->flags & TTHEADER_FLAG_STREAMING)
		read_stream_frame(r, payload);
	else
		read_message(r, payload);
	read_biz(r);
	if (r->m.protocol == NULL)
		r->m.protocol = "unknown";
	r->m.payload_bytes = 0;
	if (r->frame->body_at && r->frame->have >= r->frame->body_at)
		r->m.payload_bytes = r->frame->have - r->frame->body_at;
	else if (r->frame->body_at == 0)
		r->m.payload_bytes = r->frame->have;
}

void dump_unary(struct dump_lane *lane, const struct dump_frame *frame, const char *problem)
{
	struct reading r = {
	    .lane = lane,
	    .dump = lane->conn->dump,
	    .frame = frame,
	    .whole = slice_of(frame->kept.bytes, frame->kept.len),
	    .m = dump_message_of(lane, frame->at),
	    .is_complete = problem == NULL && frame->missing == 0,
	};

	r.m.kind = "message";
	r.m.fields = r.dump->fields;
	r.m.problem = problem;
	r.m.bytes = frame->have;
	r.m.missing = frame->missing;
	read_frame(&r);
	if (r.m.has_stream)
		match_stream(&r);
	else if (r.m.has_seq)
		match(&r);
	dump_print(&r.dump->options, &r.m, &r.dump->room, r.dump->out);
	settle(&r);
}
