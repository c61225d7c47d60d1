/*
 * A header that is read has honest sizes, its entries lie in order inside it, and written anew they
 * read the same.
 */
#include "fuzz.h"
#include "wire/ttheader.h"

#define MAX_HEADER  4096u
#define MAX_MESSAGE 65536u

static void check_entry(const struct ttheader_entry *e, struct slice sections, size_t after)
{
	must(e->offset >= after);
	must(e->len <= sections.len && e->offset <= sections.len - e->len);
	must(e->section <= e->offset);
	must(e->kind == TTHEADER_STR || e->key.len == 0);
	must(e->kind == TTHEADER_INT || e->int_key == 0);
}

static void write_entry(struct ttheader_writer *t, const struct ttheader_entry *e)
{
	if (e->kind == TTHEADER_ACL) {
		ttheader_put_acl(t, e->value);
		return;
	}
	ttheader_section_begin(t, e->kind);
	if (e->kind == TTHEADER_STR)
		ttheader_put_str(t, e->key, e->value);
	else
		ttheader_put_int(t, e->int_key, e->value);
	ttheader_section_end(t);
}

/* Each entry in a section of its own: longer than before, so the room is larger. */
static struct slice rewrite(const struct ttheader *h, uint8_t *room, size_t size)
{
	struct writer w = writer_of(room, size);
	struct ttheader_iter it = ttheader_entries(h->sections);
	struct ttheader_writer t;
	struct ttheader_entry e;
	size_t after = 0;

	ttheader_begin(&t, &w, h->flags, h->seq, h->protocol_id);
	while (ttheader_next(&it, &e)) {
		check_entry(&e, h->sections, after);
		after = e.offset + e.len;
		write_entry(&t, &e);
	}
	ttheader_end(&t, h->payload_len);
	if (it.why)
		return SLICE_NONE;
	must(!w.bad);
	return writer_slice(&w);
}

static void compare(const struct ttheader *a, const struct ttheader *b)
{
	struct ttheader_iter ia = ttheader_entries(a->sections);
	struct ttheader_iter ib = ttheader_entries(b->sections);
	struct ttheader_entry x, y;

	must(a->flags == b->flags && a->seq == b->seq && a->protocol_id == b->protocol_id);
	must(a->payload_len == b->payload_len);
	while (ttheader_next(&ia, &x)) {
		must(ttheader_next(&ib, &y));
		must(x.kind == y.kind && x.int_key == y.int_key);
		must(slice_eq(x.key, y.key) && slice_eq(x.value, y.value));
	}
	must(!ttheader_next(&ib, &y) && ib.why == NULL);
}

static void check_prefixes(struct slice all, enum wire_result whole)
{
	for (size_t len = 0; len < all.len && len < 64; len++) {
		struct ttheader h;
		struct wire_note note = {0};
		enum wire_result result =
		    ttheader_read(slice_first(all, len), MAX_HEADER, MAX_MESSAGE, &h, &note);

		must(result == WIRE_MORE || result == whole);
		must(result != WIRE_MORE || note.need > len);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t room[4 * MAX_HEADER];
	struct slice all = slice_of(data, size), again;
	struct ttheader h, copy;
	struct wire_note note = {0};
	enum wire_result result = ttheader_read(all, MAX_HEADER, MAX_MESSAGE, &h, &note);

	check_prefixes(all, result);
	must(result != WIRE_MORE || note.need > size);
	must(result == WIRE_OK || result == WIRE_MORE || note.why);
	if (result != WIRE_OK)
		return 0;
	must(h.header_len <= size && h.header_len + h.payload_len == (size_t)h.length + 4);
	must(h.sections.data + h.sections.len == data + h.header_len);
	again = rewrite(&h, room, sizeof room);
	if (again.len == 0)
		return 0;
	must(ttheader_read(again, TTHEADER_HEADER_MAX, 2 * MAX_MESSAGE, &copy, &note) == WIRE_OK);
	compare(&h, &copy);
	return 0;
}
