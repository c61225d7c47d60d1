#include "support/frames.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

const struct rpc_form frame_forms[] = {
    {RPC_PLAIN, RPC_THRIFT, false},
    {RPC_PLAIN, RPC_THRIFT, true},
    {RPC_TTHEADER, RPC_THRIFT, false},
    {RPC_TTHEADER, RPC_THRIFT, true},
    {RPC_MESH, RPC_THRIFT, false},
    {RPC_MESH, RPC_THRIFT, true},
    {RPC_PLAIN, RPC_KITEXPB, true},
    {RPC_TTHEADER, RPC_KITEXPB, true},
    {RPC_MESH, RPC_KITEXPB, true},
};
const size_t frame_n_forms = ARRAY_LEN(frame_forms);

const char *frame_form_name(struct rpc_form form)
{
	static const char *const names[] = {"buffered", "framed", "ttheader bare",
	    "ttheader framed", "mesh bare", "mesh framed", "kitex protobuf",
	    "kitex protobuf in ttheader", "kitex protobuf in mesh"};

	for (size_t i = 0; i < frame_n_forms; i++)
		if (rpc_form_eq(frame_forms[i], form))
			return names[i];
	return "no form";
}

struct room {
	uint8_t *bytes;
	size_t len, size;
};

static void put(struct room *r, const void *bytes, size_t len)
{
	if (r->size - r->len < len) {
		r->size = 2 * r->size + len + 64;
		r->bytes = mem_realloc(r->bytes, r->size);
	}
	if (len)
		memcpy(r->bytes + r->len, bytes, len);
	r->len += len;
}

static void put_slice(struct room *r, struct slice s)
{
	put(r, s.data, s.len);
}

static void put_number(struct room *r, uint64_t n, unsigned bytes)
{
	for (unsigned i = bytes; i > 0; i--) {
		uint8_t b = (uint8_t)(n >> 8 * (i - 1));

		put(r, &b, 1);
	}
}

static void put_counted(struct room *r, const char *text, size_t len)
{
	put_number(r, len, 2);
	put(r, text, len);
}

static void put_transport(struct room *r, const struct frame *f, size_t payload)
{
	size_t header = 2 + f->sections.len, padding = (4 - header % 4) % 4;

	if (f->form.transport == RPC_MESH) {
		put_number(r, 0xffaf, 2);
		put_number(r, f->sections.len, 2);
		put_slice(r, f->sections);
	}
	if (f->form.transport != RPC_TTHEADER)
		return;
	put_number(r, (uint64_t)(10 + header + padding + payload) + (uint64_t)f->outer_off, 4);
	put_number(r, 0x1000, 2);
	put_number(r, f->flags, 2);
	put_number(r, (uint32_t)f->transport_seq, 4);
	put_number(r, (header + padding) / 4, 2);
	put_number(r, 0, 2);
	put_slice(r, f->sections);
	put_number(r, 0, (unsigned)padding);
}

struct slice frame_make(const struct frame *f)
{
	struct room r = {0};
	size_t method = strlen(f->method), message = 12 + method + f->body.len;

	put_transport(&r, f, message + (f->form.framed ? 4 : 0));
	if (f->form.framed)
		put_number(&r, (uint64_t)message + (uint64_t)f->inner_off, 4);
	put_number(&r, f->form.payload == RPC_KITEXPB ? 0x9001 : 0x8001, 2);
	put_number(&r, f->type, 2);
	put_number(&r, method, 4);
	put(&r, f->method, method);
	put_number(&r, (uint32_t)f->seq, 4);
	put_slice(&r, f->body);
	return slice_of(r.bytes, r.len);
}

struct slice frame_body(size_t len)
{
	struct room r = {0};

	put_number(&r, 0x0b0001, 3);
	put_number(&r, len - 8, 4);
	for (size_t i = 0; i < len - 8; i++)
		put_number(&r, 'a' + i % 26, 1);
	put_number(&r, 0, 1);
	return slice_of(r.bytes, r.len);
}

struct slice frame_join(struct slice a, struct slice b)
{
	struct room r = {0};

	put_slice(&r, a);
	put_slice(&r, b);
	return slice_of(r.bytes, r.len);
}

void frame_free(struct slice *s)
{
	free((void *)(uintptr_t)s->data);
	*s = SLICE_NONE;
}

/* "k=v" or "12=v", up to the next blank or the end of the section. */
static const char *put_entry(struct room *r, const char *at, bool is_int)
{
	size_t key = strcspn(at, "="), value = strcspn(at + key + 1, " ;");

	if (is_int)
		put_number(r, strtoul(at, NULL, 10), 2);
	else
		put_counted(r, at, key);
	put_counted(r, at + key + 1, value);
	return at + key + 1 + value;
}

static const char *put_entries(struct room *r, const char *at, bool is_int)
{
	size_t count_at = r->len;
	unsigned n = 0;

	put_number(r, 0, 2);
	while (*at == ' ') {
		at = put_entry(r, at + 1, is_int);
		n++;
	}
	r->bytes[count_at] = (uint8_t)(n >> 8);
	r->bytes[count_at + 1] = (uint8_t)n;
	return at;
}

struct slice frame_sections(const char *text)
{
	struct room r = {0};

	for (const char *at = text; *at; at += *at == ';') {
		char kind = *at++;

		if (kind == '0') {
			put_number(&r, 0, 1);
		} else if (kind == 'a') {
			put_number(&r, 0x11, 1);
			put_counted(&r, at + 1, strcspn(at + 1, ";"));
			at += strcspn(at, ";");
		} else {
			if (kind != 'm')
				put_number(&r, kind == 's' ? 0x01 : 0x10, 1);
			at = put_entries(&r, at, kind == 'i');
		}
	}
	return slice_of(r.bytes, r.len);
}
