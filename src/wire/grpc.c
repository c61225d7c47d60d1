#include "wire/grpc.h"

#include "base/hex.h"
#include "base/mem.h"

#define DIGITS_MAX 8u /* of a timeout */
#define DIGITS_END 100000000u

/* ---- messages ---- */

void grpc_walk_init(struct grpc_walk *walk, uint64_t limit)
{
	*walk = (struct grpc_walk){.limit = limit};
}

/* One byte more of a prefix. WIRE_MORE: it is not whole yet. */
static enum wire_result add_to_prefix(struct grpc_walk *walk, uint8_t byte, struct wire_note *note)
{
	walk->prefix[walk->n_prefix++] = byte;
	if (walk->prefix[0] > 1) {
		note->why = "gRPC message with an unknown flag";
		return WIRE_BAD;
	}
	if (walk->n_prefix < GRPC_PREFIX)
		return WIRE_MORE;
	walk->is_compressed |= walk->prefix[0];
	walk->length = walk->left = load_u32(walk->prefix + 1);
	if (walk->length <= walk->limit)
		return WIRE_OK;
	note->why = "gRPC message longer than max_message";
	return WIRE_TOO_LARGE;
}

enum wire_result grpc_walk(
    struct grpc_walk *walk, struct slice in, struct grpc_ended *ended, struct wire_note *note)
{
	*ended = (struct grpc_ended){0};
	while (in.len) {
		enum wire_result result = WIRE_OK;
		size_t take;

		if (walk->n_prefix < GRPC_PREFIX) {
			result = add_to_prefix(walk, in.data[0], note);
			in = slice_from(in, 1);
		}
		if (result == WIRE_MORE)
			continue;
		if (result != WIRE_OK)
			return result;
		take = in.len < walk->left ? in.len : walk->left;
		walk->left -= (uint32_t)take;
		in = slice_from(in, take);
		if (walk->left == 0) {
			walk->n_prefix = 0;
			ended->n++;
			ended->bytes += walk->length;
		}
	}
	return WIRE_OK;
}

void grpc_prefix_write(uint8_t prefix[GRPC_PREFIX], uint32_t length)
{
	prefix[0] = 0;
	store_u32(prefix + 1, length);
}

/* ---- grpc-timeout ---- */

/* The units, finest first, in nanoseconds. */
static const struct {
	char letter;
	uint64_t ns;
} units[] = {{'n', 1}, {'u', 1000}, {'m', 1000000}, {'S', 1000000000}, {'M', 60000000000},
    {'H', 3600000000000}};

usec_t grpc_timeout_read(struct slice text)
{
	uint64_t n, us;

	if (text.len < 2 || text.len > DIGITS_MAX + 1 ||
	    !slice_to_u64(slice_first(text, text.len - 1), &n) || n == 0)
		return USEC_NONE;
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (text.data[text.len - 1] != units[i].letter)
			continue;
		us = units[i].ns < 1000 ? (n + 999) / 1000 : n * (units[i].ns / 1000);
		return usec_min(us, GRPC_TIMEOUT_MAX);
	}
	return USEC_NONE;
}

struct slice grpc_timeout_write(usec_t timeout, char room[GRPC_TIMEOUT_ROOM])
{
	uint64_t ns = usec_min(timeout, GRPC_TIMEOUT_MAX) * 1000, n = ns;
	size_t unit = 0, at = GRPC_TIMEOUT_ROOM;

	while (n >= DIGITS_END) {
		unit++;
		n = ns / units[unit].ns + (ns % units[unit].ns != 0);
	}
	room[--at] = units[unit].letter;
	do {
		room[--at] = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	return slice_of(room + at, GRPC_TIMEOUT_ROOM - at);
}

/* ---- grpc-message ---- */

void grpc_message_decode(struct writer *w, struct slice text)
{
	for (size_t i = 0; i < text.len; i++) {
		int high = -1, low = -1;

		if (text.data[i] == '%' && text.len - i > 2) {
			high = hex_digit(text.data[i + 1]);
			low = hex_digit(text.data[i + 2]);
		}
		if (high < 0 || low < 0) {
			write_u8(w, text.data[i]);
			continue;
		}
		write_u8(w, (uint8_t)(high << 4 | low));
		i += 2;
	}
}

/* Blanks at the ends are legal in gRPC, but not in a field of HTTP/2. Source: RFC 9113, 8.2.1. */
static bool is_plain(struct slice text, size_t i)
{
	if (text.data[i] == ' ')
		return i > 0 && i + 1 < text.len;
	return text.data[i] > ' ' && text.data[i] <= '~' && text.data[i] != '%';
}

void grpc_message_encode(struct writer *w, struct slice text)
{
	static const char digits[] = "0123456789ABCDEF";

	for (size_t i = 0; i < text.len; i++) {
		uint8_t c = text.data[i];

		if (is_plain(text, i)) {
			write_u8(w, c);
		} else {
			write_u8(w, '%');
			write_u8(w, (uint8_t)digits[c >> 4]);
			write_u8(w, (uint8_t)digits[c & 15]);
		}
	}
}

/* ---- binary values ---- */

bool grpc_is_binary(struct slice name)
{
	return name.len >= 4 && slice_eq(slice_from(name, name.len - 4), SLICE_LIT("-bin"));
}

void grpc_binary_encode(struct writer *w, struct slice bytes)
{
	static const char digits[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	unsigned bits = 0, n = 0;

	for (size_t i = 0; i < bytes.len; i++) {
		bits = (bits & 0x3f) << 8 | bytes.data[i];
		for (n += 8; n >= 6; n -= 6)
			write_u8(w, (uint8_t)digits[bits >> (n - 6) & 0x3f]);
	}
	if (n)
		write_u8(w, (uint8_t)digits[bits << (6 - n) & 0x3f]);
}

static int base64_digit(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* The digits before the padding; false when that is too long or not in its place. */
static bool strip_padding(struct slice *text)
{
	size_t len = text->len;

	while (len && text->data[len - 1] == '=')
		len--;
	if (len != text->len && (text->len % 4 || text->len - len > 2))
		return false;
	text->len = len;
	return len % 4 != 1;
}

bool grpc_binary_decode(struct writer *w, struct slice text)
{
	unsigned bits = 0, n = 0;

	if (!strip_padding(&text))
		return false;
	for (size_t i = 0; i < text.len; i++) {
		int digit = base64_digit(text.data[i]);

		if (digit < 0)
			return false;
		bits = (bits & 0xff) << 6 | (unsigned)digit;
		n += 6;
		if (n >= 8) {
			n -= 8;
			write_u8(w, (uint8_t)(bits >> n));
		}
	}
	return true;
}

/* ---- content-type, :path, status ---- */

/* Exact, as Kitex and grpc-go compare it. */
enum grpc_content grpc_content_type(struct slice value)
{
	const struct slice base = SLICE_LIT("application/grpc");

	if (!slice_starts(value, base))
		return GRPC_CONTENT_NONE;
	value = slice_from(value, base.len);
	if (value.len == 0)
		return GRPC_CONTENT_PROTOBUF;
	if (value.data[0] != '+' && value.data[0] != ';')
		return GRPC_CONTENT_NONE; /* application/grpc-web is another protocol */
	return slice_eq(slice_from(value, 1), SLICE_LIT("thrift")) ? GRPC_CONTENT_THRIFT
								   : GRPC_CONTENT_PROTOBUF;
}

/* Where the last @c stands; false when there is none. */
static bool find_last(struct slice s, char c, size_t *at)
{
	const uint8_t *found = s.len ? memrchr(s.data, c, s.len) : NULL;

	if (found == NULL)
		return false;
	*at = (size_t)(found - s.data);
	return true;
}

bool grpc_path_split(struct slice path, struct grpc_path *parts)
{
	size_t at;

	if (slice_starts(path, SLICE_LIT("/")))
		path = slice_from(path, 1);
	if (!find_last(path, '/', &at) || at == 0 || at + 1 == path.len)
		return false;
	parts->method = slice_from(path, at + 1);
	parts->service = parts->name = slice_first(path, at);
	if (find_last(parts->service, '.', &at))
		parts->name = slice_from(parts->service, at + 1);
	return parts->name.len > 0;
}

bool grpc_status_read(struct slice text, uint32_t *status)
{
	uint64_t value;

	if (!slice_to_u64(text, &value) || value > INT32_MAX)
		return false;
	*status = (uint32_t)value;
	return true;
}

/* Source: grpc/doc/http-grpc-status-mapping.md, and 400 as there. */
enum grpc_status grpc_status_of_http(unsigned http_status)
{
	switch (http_status) {
	case 400:
		return GRPC_INTERNAL;
	case 401:
		return GRPC_UNAUTHENTICATED;
	case 403:
		return GRPC_PERMISSION_DENIED;
	case 404:
		return GRPC_UNIMPLEMENTED;
	case 429:
	case 502:
	case 503:
	case 504:
		return GRPC_UNAVAILABLE;
	default:
		return GRPC_UNKNOWN;
	}
}
