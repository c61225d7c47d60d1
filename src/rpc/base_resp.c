/* BaseResp of a reply, and what it says as a TTHeader would say it: numbers in decimal, the map in
 * JSON. Source: kitex pkg/transmeta/ttheader.go. */
#include "base/utf8.h"
#include "rpc/carrier.h"
#include "rpc/exception.h"
#include "rpc/head_write.h"

/* Of what goes into a header that has to go out: a message is cut, an extra that is longer is left
 * to those who read the body. */
#define MESSAGE_MAX (8u * 1024)
#define EXTRA_MAX   (16u * 1024)

#define ESCAPE      6u /* bytes of \u0000 */
#define REPLACEMENT 0xfffdu
#define CODE_ROOM   12u /* of an i32, with its sign */

enum { STATUS_MESSAGE, STATUS_CODE, EXTRA, FIELDS };

/* ---- JSON ---- */

static void write_escape(struct writer *w, uint32_t code)
{
	static const char digits[] = "0123456789abcdef";

	write_bytes(w, SLICE_LIT("\\u"));
	for (unsigned shift = 16; shift > 0;) {
		shift -= 4;
		write_u8(w, (uint8_t)digits[code >> shift & 15]);
	}
}

static void write_string(struct writer *w, struct slice s)
{
	write_u8(w, '"');
	while (s.len) {
		uint32_t code;
		size_t len = utf8_take(s, &code);

		if (len == 0)
			write_escape(w, REPLACEMENT);
		else if (code < 0x20)
			write_escape(w, code);
		else if (code == '"' || code == '\\')
			write_bytes(w, slice_of(code == '"' ? "\\\"" : "\\\\", 2));
		else
			write_bytes(w, slice_first(s, len));
		s = slice_from(s, len ? len : 1);
	}
	write_u8(w, '"');
}

/* {"key":"value",...}; empty when there is nothing in it, or it is too long. */
static struct slice as_json(struct carrier_pairs pairs, struct arena *arena)
{
	size_t left = cursor_left(&pairs.in);
	struct slice key, value;
	struct writer w;

	if (pairs.n == 0 || left > EXTRA_MAX)
		return SLICE_NONE;
	w = writer_of(arena_alloc(arena, ESCAPE * left + 2), ESCAPE * left + 2);
	write_u8(&w, '{');
	while (carrier_next_pair(&pairs, &key, &value)) {
		if (writer_len(&w) > 1)
			write_u8(&w, ',');
		write_string(&w, key);
		write_u8(&w, ':');
		write_string(&w, value);
	}
	write_u8(&w, '}');
	return w.bad || writer_len(&w) > EXTRA_MAX ? SLICE_NONE : writer_slice(&w);
}

/* ---- */

static struct slice code_text(int32_t code, struct arena *arena)
{
	char *room = arena_alloc(arena, CODE_ROOM);
	uint64_t number = code < 0 ? -(uint64_t)code : (uint64_t)code;
	struct slice text = head_decimal(room, CODE_ROOM, number);

	if (code >= 0)
		return text;
	room[CODE_ROOM - 1 - text.len] = '-';
	return slice_of(room + CODE_ROOM - 1 - text.len, text.len + 1);
}

static bool find_fields(struct slice body, struct carrier_field fields[FIELDS])
{
	struct carrier_place place;

	if (!carrier_find_base_resp(body, &place) || !place.is_there)
		return false;
	return carrier_read_fields(slice_sub(body, place.at, place.len), fields, FIELDS) &&
	       fields[STATUS_CODE].is_there;
}

bool rpc_note_base_resp(struct rpc_message *reply, struct arena *arena)
{
	struct carrier_field fields[FIELDS] = {
	    [STATUS_MESSAGE] = {.id = 1, .type = THRIFT_STRING},
	    [STATUS_CODE] = {.id = 2, .type = THRIFT_I32},
	    [EXTRA] = {.id = 3, .type = THRIFT_MAP},
	};
	struct carrier_pairs pairs;
	struct slice text;
	int32_t code;

	if (reply->kind != RPC_REPLY || reply->form.payload != RPC_THRIFT || !reply->complete)
		return false;
	if (reply->marks & RPC_HAS_BIZ)
		return true;
	if (!find_fields(reply->body, fields))
		return false;
	code = (int32_t)load_u32(fields[STATUS_CODE].value.data);
	if (code == 0)
		return false;
	text = exception_cut(carrier_text(&fields[STATUS_MESSAGE]), MESSAGE_MAX);
	reply->marks |= RPC_HAS_BIZ | RPC_BIZ_IN_BODY;
	reply->biz_status = code_text(code, arena);
	reply->biz_message = arena_copy(arena, text);
	if (carrier_pairs_of(fields[EXTRA].is_there ? fields[EXTRA].value : SLICE_NONE, &pairs))
		reply->biz_extra = as_json(pairs, arena);
	return true;
}
