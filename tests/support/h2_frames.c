#include "support/h2_frames.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cursor.h"
#include "base/mem.h"
#include "support/bytes.h"

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

void h2_put(struct written *w, struct slice bytes)
{
	written_io.write(w, &bytes, 1);
}

void h2_frame(struct written *w, unsigned type, unsigned flags, uint32_t id, struct slice payload)
{
	uint8_t head[9];

	store_u32(head, (uint32_t)payload.len << 8 | type);
	head[4] = (uint8_t)flags;
	store_u32(head + 5, id);
	h2_put(w, slice_of(head, sizeof head));
	h2_put(w, payload);
}

void h2_frame_u32(struct written *w, unsigned type, uint32_t id, uint32_t value)
{
	uint8_t bytes[4];

	store_u32(bytes, value);
	h2_frame(w, type, 0, id, slice_of(bytes, sizeof bytes));
}

void h2_preface(struct written *w)
{
	h2_put(w, SLICE_LIT(PREFACE));
	h2_frame(w, H2_SETTINGS, 0, 0, SLICE_NONE);
}

void h2_setting(struct written *w, unsigned id, uint32_t value)
{
	uint8_t bytes[6];

	store_u16(bytes, (uint16_t)id);
	store_u32(bytes + 2, value);
	h2_frame(w, H2_SETTINGS, 0, 0, slice_of(bytes, sizeof bytes));
}

void h2_goaway(struct written *w, uint32_t last, uint32_t code)
{
	uint8_t bytes[8];

	store_u32(bytes, last);
	store_u32(bytes + 4, code);
	h2_frame(w, H2_GOAWAY, 0, 0, slice_of(bytes, sizeof bytes));
}

/* A string literal without Huffman's code. Source: RFC 7541, 5.2. */
static void put_string(struct written *w, struct slice s)
{
	if (s.len < 127) {
		h2_put(w, BYTES((uint8_t)s.len));
	} else {
		size_t rest = s.len - 127;

		h2_put(w, BYTES(127));
		for (; rest >= 128; rest >>= 7)
			h2_put(w, BYTES((uint8_t)(rest & 127) | 128));
		h2_put(w, BYTES((uint8_t)rest));
	}
	h2_put(w, s);
}

void h2_block(struct written *w, const char *fields)
{
	while (*fields) {
		const char *blank = strchr(fields, ' '), *end = strchr(fields, '\n');

		h2_put(w, BYTES(0)); /* a literal without indexing, new name */
		put_string(w, slice_of(fields, (size_t)(blank - fields)));
		put_string(w, slice_of(blank + 1, (size_t)(end - blank - 1)));
		fields = end + 1;
	}
}

void h2_headers(struct written *w, unsigned flags, uint32_t id, const char *fields)
{
	struct written block = {0};

	h2_block(&block, fields);
	h2_frame(w, H2_HEADERS, flags | H2_END_HEADERS, id, written_slice(&block));
	written_fini(&block);
}

void h2_call(struct written *w, unsigned flags, uint32_t id, const char *more)
{
	char fields[4096];

	snprintf(fields, sizeof fields,
	    ":method POST\n:scheme http\n:path /pkg.Service/Method\n:authority callee\n"
	    "content-type application/grpc\nte trailers\n%s",
	    more);
	h2_headers(w, flags, id, fields);
}

void h2_message(struct written *w, unsigned flags, uint32_t id, size_t len)
{
	uint8_t *bytes = mem_alloc(len + 5);

	bytes[0] = 0;
	store_u32(bytes + 1, (uint32_t)len);
	memset(bytes + 5, 'm', len);
	h2_frame(w, H2_DATA, flags, id, slice_of(bytes, len + 5));
	free(bytes);
}

/* ---- as text ---- */

struct frame_text {
	char text[16384];
	size_t len;
};

__attribute__((format(printf, 2, 3))) static void say(struct frame_text *t, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(t->text + t->len, sizeof t->text - t->len, format, args);
	va_end(args);
	t->len += (size_t)n;
	if (t->len >= sizeof t->text)
		abort(); /* a test that is too long to read */
}

static void say_payload(struct frame_text *t, unsigned type, struct slice p)
{
	struct cursor c = cursor_of(p);

	switch (type) {
	case H2_RST_STREAM:
	case H2_WINDOW_UPDATE:
		say(t, " %u", cursor_u32(&c));
		break;
	case H2_GOAWAY:
		say(t, " %u", cursor_u32(&c));
		say(t, " %u", cursor_u32(&c));
		if (cursor_left(&c))
			say(t, " %.*s", (int)cursor_left(&c), (const char *)c.at);
		break;
	case H2_SETTINGS:
		while (cursor_left(&c)) {
			unsigned id = cursor_u16(&c);

			say(t, " %u=%u", id, cursor_u32(&c));
		}
		break;
	case H2_PING:
		say(t, " ");
		for (size_t i = 0; i < p.len; i++)
			say(t, "%02x", p.data[i]);
		break;
	case H2_DATA:
		say(t, " %zu", p.len);
		break;
	default:
		break;
	}
}

const char *h2_frames_text(struct slice bytes)
{
	static const char *const names[] = {"DATA", "HEADERS", "PRIORITY", "RST_STREAM", "SETTINGS",
	    "PUSH_PROMISE", "PING", "GOAWAY", "WINDOW_UPDATE", "CONTINUATION"};
	static struct frame_text t;
	struct cursor c = cursor_of(bytes);

	t.len = 0;
	t.text[0] = '\0';
	if (slice_starts(bytes, SLICE_LIT(PREFACE)))
		cursor_take(&c, strlen(PREFACE));
	while (cursor_left(&c)) {
		uint32_t word = cursor_u32(&c), length = word >> 8, type = word & 255;
		unsigned flags = cursor_u8(&c);
		uint32_t id = cursor_u32(&c);
		struct slice payload = cursor_take(&c, length);

		if (c.bad || type >= ARRAY_LEN(names))
			abort();
		say(&t, "%s", names[type]);
		if (id || type == H2_WINDOW_UPDATE)
			say(&t, " %u", id);
		if ((type == H2_SETTINGS || type == H2_PING) && flags & H2_ACK)
			say(&t, " ack");
		say_payload(&t, type, payload);
		say(&t, "%s\n", type <= H2_HEADERS && flags & H2_END_STREAM ? " end" : "");
	}
	return t.text;
}
