#include "rpc/head.h"

#include "rpc/metadata.h"
#include "rpc/trace_context.h"
#include "rpc/trace_name.h"
#include "wire/sniff.h"
#include "wire/thrift.h"
#include "wire/ttheader.h"

#define METHOD_LEN_END 8u /* of a message head: its type and the length of the method are known */
#define TIMEOUT_MS_MAX 86400000000u /* a thousand days: what is longer is no time limit */

static enum wire_result refuse(struct head_refusal *refusal, enum reason reason, const char *why)
{
	refusal->reason = reason;
	refusal->why = why;
	return WIRE_BAD;
}

/* Turns what wire/ says into what the codec wants to know. @base: where the view began. */
static enum wire_result pass(enum wire_result result, const struct wire_note *note, size_t base,
    size_t *need, struct head_refusal *refusal)
{
	if (result == WIRE_MORE)
		*need = base + note->need;
	else if (result == WIRE_BAD)
		return refuse(refusal, REASON_MALFORMED, note->why);
	else if (result == WIRE_TOO_LARGE)
		return refuse(refusal, REASON_TOO_LARGE, note->why);
	return result;
}

static usec_t read_timeout(struct slice text)
{
	uint64_t ms;

	if (!slice_to_u64(text, &ms) || ms == 0 || ms > TIMEOUT_MS_MAX)
		return USEC_NONE;
	return ms * USEC_MS;
}

static void note_int(struct rpc_message *m, const struct ttheader_entry *e)
{
	switch (e->int_key) {
	case TTKEY_TRANSPORT_TYPE:
		m->marks |= RPC_HAS_TRANSPORT_TYPE;
		break;
	case TTKEY_LOG_ID:
		m->log_id = e->value;
		break;
	case TTKEY_FROM_SERVICE:
		m->caller = e->value;
		m->marks |= RPC_HAS_CALLER;
		break;
	case TTKEY_TO_SERVICE:
		m->service_asked = e->value;
		break;
	case TTKEY_RPC_TIMEOUT:
		m->timeout = read_timeout(e->value);
		break;
	case TTKEY_FROM_METHOD:
		m->caller_method = e->value;
		break;
	case TTKEY_WITH_HEADER:
		if (slice_eq(e->value, SLICE_LIT("3")))
			m->marks |= RPC_WANTS_PREFIX;
		break;
	default:
		break;
	}
}

static void note_trace(struct rpc_message *m, const struct ttheader_entry *e)
{
	bool is_transient;
	struct slice id = trace_id_in(trace_name_of_key(e->key, &is_transient), e->value);

	if (id.len && is_transient)
		m->trace_id = id;
}

static void note_str(struct rpc_message *m, const struct ttheader_entry *e)
{
	switch (e->key.len) { /* keys that matter have few lengths: most are passed over at once */
	case 3:
		if (slice_eq(e->key, SLICE_LIT("isn")))
			m->idl_service = e->value;
		else if (slice_eq(e->key, SLICE_LIT("rip")))
			m->marks |= RPC_HAS_RIP;
		break;
	case 5:
		if (slice_eq(e->key, SLICE_LIT("crrst")))
			m->marks |= RPC_HAS_CRRST;
		break;
	case 6:
		if (slice_eq(e->key, SLICE_LIT("crc32c")))
			m->marks |= RPC_HAS_CHECKSUM;
		break;
	case 10:
		if (slice_eq(e->key, SLICE_LIT("biz-status")))
			m->biz_status = e->value;
		break;
	case 11:
		if (slice_eq(e->key, SLICE_LIT("biz-message")))
			m->biz_message = e->value;
		break;
	case 14: /* RPC_TRANSIT_b3 */
	case 23: /* RPC_TRANSIT_traceparent */
	case 24: /* RPC_TRANSIT_x-b3-traceid */
		note_trace(m, e);
		break;
	default:
		break;
	}
	if (slice_starts(e->key, SLICE_LIT("PV_")))
		m->marks |= RPC_HAS_VALIDATOR;
}

bool head_note(struct rpc_message *m, struct ttheader_iter it, const char **why)
{
	struct ttheader_entry e;

	while (ttheader_next(&it, &e)) {
		if (e.kind == TTHEADER_INT)
			note_int(m, &e);
		else if (e.kind == TTHEADER_STR)
			note_str(m, &e);
	}
	if (metadata_is_biz_error(m->biz_status))
		m->marks |= RPC_HAS_BIZ;
	*why = it.why;
	return it.why == NULL;
}

/* Reads the transport header; *@payload_len becomes what it says of the payload, if it does. */
static enum wire_result read_transport(const struct codec_limits *limits, struct slice in,
    enum sniff_form form, struct rpc_message *m, uint64_t *payload_len, size_t *need,
    struct head_refusal *refusal)
{
	struct wire_note note;
	struct ttheader tt;
	struct meshheader mesh;
	struct ttheader_iter entries;
	enum wire_result result;
	const char *why;

	if (form == SNIFF_TTHEADER) {
		result = ttheader_read(in, limits->max_header, limits->max_message, &tt, &note);
		if (result == WIRE_MORE && in.len < TTHEADER_SECTIONS)
			note.need = in.len + 1; /* each byte here may be a reason to refuse */
		if (result != WIRE_OK)
			return pass(result, &note, 0, need, refusal);
		if (tt.flags & TTHEADER_FLAG_STREAMING)
			return refuse(refusal, REASON_PROTOCOL_UNKNOWN,
			    "a frame of a stream on a connection of unary calls");
		m->form.transport = RPC_TTHEADER;
		m->flags = tt.flags;
		m->transport_seq = tt.seq;
		m->payload_at = tt.header_len;
		m->sections = tt.sections;
		*payload_len = tt.payload_len;
		entries = ttheader_entries(tt.sections);
	} else {
		result = meshheader_read(in, limits->max_header, &mesh, &note);
		if (result != WIRE_OK)
			return pass(result, &note, 0, need, refusal);
		m->form.transport = RPC_MESH;
		m->payload_at = mesh.header_len;
		m->sections = mesh.sections;
		entries = ttheader_entries_mesh(mesh.sections);
	}
	if (!head_note(m, entries, &why))
		return refuse(refusal, REASON_MALFORMED, why);
	return WIRE_OK;
}

/* Which calls a downstream may send, which replies an upstream. Source: wire types of thrift.h. */
static bool read_kind(enum codec_side side, uint16_t type, enum rpc_kind *kind)
{
	if (side == CODEC_DOWNSTREAM && (type == THRIFT_CALL || type == THRIFT_ONEWAY)) {
		*kind = type == THRIFT_CALL ? RPC_CALL : RPC_ONEWAY;
		return true;
	}
	if (side == CODEC_UPSTREAM && (type == THRIFT_REPLY || type == THRIFT_EXCEPTION)) {
		*kind = type == THRIFT_REPLY ? RPC_REPLY : RPC_EXCEPTION;
		return true;
	}
	return false;
}

/* The length of the body, when the message head is known; false when lengths contradict. */
static bool measure_body(
    struct rpc_message *m, const struct thrift_head *head, uint64_t payload_len, uint32_t frame_len)
{
	if (m->form.framed) {
		if (payload_len != RPC_LENGTH_UNKNOWN && (uint64_t)frame_len + 4 != payload_len)
			return false;
		payload_len = frame_len;
	}
	if (payload_len == RPC_LENGTH_UNKNOWN) {
		m->body_len = RPC_LENGTH_UNKNOWN;
		return true;
	}
	if (payload_len < head->len)
		return false;
	m->body_len = payload_len - head->len;
	return true;
}

static enum wire_result read_message_head(enum codec_side side, const struct codec_limits *limits,
    struct slice in, struct rpc_message *m, uint64_t payload_len, size_t *need,
    struct head_refusal *refusal)
{
	struct slice payload = slice_from(in, m->payload_at);
	uint32_t frame_len = m->form.framed ? load_u32(payload.data) : 0;
	bool is_long =
	    m->form.framed && (uint64_t)frame_len + 4 + m->payload_at > limits->max_message;
	uint64_t room = m->form.framed ? (uint64_t)frame_len + 4 : RPC_LENGTH_UNKNOWN;
	struct thrift_head head;
	struct wire_note note;
	enum wire_result result;

	m->message_at = m->payload_at + (m->form.framed ? 4 : 0);
	if (m->form.framed && frame_len < 12) /* the smallest head: no method at all */
		return refuse(refusal, REASON_MALFORMED, "frame shorter than a message head");
	if (payload_len < room)
		room = payload_len;
	if (room < payload.len)
		payload.len = room;
	payload = slice_from(payload, m->form.framed ? 4 : 0);
	result = thrift_head_read(payload, &head, &note);
	if (result == WIRE_MORE && note.need + (m->form.framed ? 4 : 0) > room)
		return refuse(refusal, REASON_MALFORMED, "method name longer than the message");
	if (result == WIRE_MORE && payload.len < METHOD_LEN_END)
		note.need = METHOD_LEN_END; /* it may be a reason to refuse */
	if (result != WIRE_OK)
		return pass(result, &note, m->message_at, need, refusal);
	if (!read_kind(side, head.type, &m->kind))
		return refuse(
		    refusal, REASON_MALFORMED, "message type not expected from this side");
	if (side == CODEC_DOWNSTREAM && head.method.len == 0)
		return refuse(refusal, REASON_MALFORMED, "empty method name");
	m->seq = head.seq;
	if (m->form.transport != RPC_TTHEADER)
		m->transport_seq = head.seq;
	m->method = head.method;
	m->head = slice_first(in, m->message_at + head.len);
	refusal->has_message = true;
	if (is_long)
		return refuse(refusal, REASON_TOO_LARGE, "frame longer than max_message");
	if (!measure_body(m, &head, payload_len, frame_len))
		return refuse(refusal, REASON_MALFORMED, "inner and outer length disagree");
	return WIRE_OK;
}

enum wire_result head_read(enum codec_side side, const struct codec_limits *limits, struct slice in,
    struct rpc_message *m, size_t *need, struct head_refusal *refusal)
{
	enum sniff_form form;
	uint64_t payload_len = RPC_LENGTH_UNKNOWN;
	enum wire_result result;

	*refusal = (struct head_refusal){.reason = REASON_MALFORMED};
	*m = (struct rpc_message){.timeout = USEC_NONE};
	form = sniff_message(in);
	if (form == SNIFF_TTHEADER || form == SNIFF_MESH) {
		result = read_transport(limits, in, form, m, &payload_len, need, refusal);
		if (result != WIRE_OK)
			return result;
		form = sniff_payload(slice_from(in, m->payload_at));
	}
	if (form == SNIFF_MORE) {
		*need = in.len + 1; /* any of the few that are missing may exclude every form */
		return WIRE_MORE;
	}
	if (form == SNIFF_UNKNOWN)
		return m->payload_at ? refuse(refusal, REASON_MALFORMED,
					   "neither Thrift strict binary nor Kitex Protobuf")
				     : refuse(refusal, REASON_PROTOCOL_UNKNOWN,
					   "neither Thrift strict binary, nor Kitex Protobuf, nor "
					   "HTTP/2 with prior knowledge");
	m->form.framed = form != SNIFF_BARE_THRIFT;
	m->form.payload = form == SNIFF_FRAMED_KITEXPB ? RPC_KITEXPB : RPC_THRIFT;
	result = read_message_head(side, limits, in, m, payload_len, need, refusal);
	if (result != WIRE_OK)
		return result;
	if (!(limits->protocols & PROTOCOL_BIT(rpc_form_protocol(m->form))))
		return refuse(
		    refusal, REASON_PROTOCOL_UNKNOWN, "not among this listener's protocols");
	return WIRE_OK;
}
