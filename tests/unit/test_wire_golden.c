/*
 * Every golden frame of the unary codecs, arriving whole, cut in two at every place, and byte by
 * byte: what comes out must be the same. The reader here is the shortest that uses all of wire/ as
 * a codec does.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "support/golden.h"
#include "support/suite.h"
#include "wire/sniff.h"
#include "wire/thrift.h"
#include "wire/ttheader.h"

#define MAX_HEADER  65536u
#define MAX_MESSAGE (1u << 20)

enum stage { AT_START, AT_PAYLOAD, AT_HEAD, AT_BODY, AT_END };

struct reader {
	enum stage stage;
	enum sniff_form outer, inner;
	size_t at;  /* read so far */
	size_t end; /* of the message, 0 while unknown */
	bool walk_started;
	struct thrift_walk walk;
	/* The outcome. */
	struct thrift_head head;
	struct slice head_bytes;
	unsigned entries;
	uint64_t entries_hash;
	struct wire_note note;
};

static enum wire_result read_entries(struct reader *r, struct ttheader_iter it)
{
	struct ttheader_entry e;

	while (ttheader_next(&it, &e)) {
		r->entries++;
		r->entries_hash = slice_hash(e.key, r->entries_hash ^ e.int_key);
		r->entries_hash = slice_hash(e.value, r->entries_hash);
	}
	r->note.why = it.why;
	return it.why ? WIRE_BAD : WIRE_OK;
}

static enum wire_result read_start(struct reader *r, struct slice view)
{
	struct ttheader tt;
	struct meshheader mesh;
	enum wire_result result;

	r->outer = sniff_message(view);
	r->stage = AT_PAYLOAD;
	switch (r->outer) {
	case SNIFF_MORE:
		r->stage = AT_START;
		r->note.need = SNIFF_BYTES;
		return WIRE_MORE;
	case SNIFF_TTHEADER:
		result = ttheader_read(view, MAX_HEADER, MAX_MESSAGE, &tt, &r->note);
		if (result == WIRE_OK) {
			r->at = tt.header_len;
			r->end = tt.header_len + tt.payload_len;
			return read_entries(r, ttheader_entries(tt.sections));
		}
		r->stage = AT_START;
		return result;
	case SNIFF_MESH:
		result = meshheader_read(view, MAX_HEADER, &mesh, &r->note);
		if (result == WIRE_OK) {
			r->at = mesh.header_len;
			return read_entries(r, ttheader_entries_mesh(mesh.sections));
		}
		r->stage = AT_START;
		return result;
	case SNIFF_UNKNOWN:
		return WIRE_BAD;
	default:
		return WIRE_OK;
	}
}

static enum wire_result read_payload_form(struct reader *r, struct slice view)
{
	struct slice rest = slice_from(view, r->at);
	size_t end;

	r->inner = sniff_payload(rest);
	if (r->inner == SNIFF_UNKNOWN)
		return WIRE_BAD;
	if (r->inner == SNIFF_MORE) {
		r->note.need = r->at + SNIFF_BYTES;
		return WIRE_MORE;
	}
	r->stage = AT_HEAD;
	if (r->inner == SNIFF_BARE_THRIFT)
		return WIRE_OK;
	end = r->at + 4 + load_u32(rest.data);
	if (r->end && r->end != end)
		return WIRE_BAD;
	r->end = end;
	r->at += 4;
	return WIRE_OK;
}

static enum wire_result read_head(struct reader *r, struct slice view)
{
	enum wire_result result = thrift_head_read(slice_from(view, r->at), &r->head, &r->note);

	if (result == WIRE_MORE)
		r->note.need += r->at;
	if (result != WIRE_OK)
		return result;
	r->head_bytes = slice_sub(view, r->at, r->head.len);
	r->at += r->head.len;
	r->stage = AT_BODY;
	return WIRE_OK;
}

static enum wire_result read_body(struct reader *r, struct slice view)
{
	enum wire_result result;
	size_t used;

	r->note.need = r->end;
	if (r->head.magic == KITEXPB_MAGIC && view.len < r->end)
		return WIRE_MORE;
	if (r->head.magic == KITEXPB_MAGIC) {
		r->at = r->end;
	} else {
		if (!r->walk_started)
			thrift_walk_init(&r->walk);
		r->walk_started = true;
		result = thrift_walk(&r->walk, slice_from(view, r->at), &used, &r->note);
		r->at += used;
		if (result == WIRE_MORE)
			r->note.need += r->at;
		if (result != WIRE_OK)
			return result;
	}
	r->stage = AT_END;
	return r->end && r->at != r->end ? WIRE_BAD : WIRE_OK;
}

static enum wire_result feed(struct reader *r, struct slice view)
{
	static enum wire_result (*const steps[])(struct reader *, struct slice) = {
	    [AT_START] = read_start,
	    [AT_PAYLOAD] = read_payload_form,
	    [AT_HEAD] = read_head,
	    [AT_BODY] = read_body,
	};

	while (r->stage != AT_END) {
		enum wire_result result = steps[r->stage](r, view);

		if (result != WIRE_OK)
			return result;
	}
	return WIRE_OK;
}

static void check_same(const struct golden *g, const struct reader *a, const struct reader *b)
{
	ck_assert_msg(a->at == b->at && a->end == b->end, "%s: length", g->name);
	ck_assert_msg(a->outer == b->outer && a->inner == b->inner, "%s: form", g->name);
	ck_assert_msg(slice_eq(a->head_bytes, b->head_bytes), "%s: head", g->name);
	ck_assert_msg(a->entries == b->entries && a->entries_hash == b->entries_hash,
	    "%s: header entries", g->name);
}

/* A copy in memory of exactly its size, so that a sanitizer sees a byte read too many. */
static uint8_t *exact_copy(struct slice frame, size_t len)
{
	uint8_t *copy = mem_alloc(len);

	memcpy(copy, frame.data, len);
	return copy;
}

static void feed_prefix(const struct golden *g, struct reader *r, struct slice frame, size_t len)
{
	uint8_t *copy = exact_copy(frame, len);
	enum wire_result result;

	r->note.need = 0;
	result = feed(r, slice_of(copy, len));
	free(copy);
	r->head_bytes = SLICE_NONE;
	if (g->accept)
		ck_assert_msg(result == WIRE_MORE, "%s: %d after %zu bytes", g->name, result, len);
	else
		ck_assert_msg(result == WIRE_MORE || result == WIRE_BAD, "%s: %d after %zu bytes",
		    g->name, result, len);
	if (result == WIRE_MORE && g->accept)
		ck_assert_msg(r->note.need > len && r->note.need <= frame.len,
		    "%s: asks for %zu of %zu bytes with %zu there", g->name, r->note.need,
		    frame.len, len);
	if (result == WIRE_BAD)
		*r = (struct reader){0}; /* what follows must find the same once more */
}

/* The frame first as @cut bytes, then whole. */
static void feed_two(const struct golden *g, struct slice frame, size_t cut)
{
	struct reader whole = {0}, parts = {0};
	enum wire_result expected = feed(&whole, frame), result;

	feed_prefix(g, &parts, frame, cut);
	result = feed(&parts, frame);
	ck_assert_int_eq(result, expected);
	if (result != WIRE_OK)
		return;
	if (parts.head_bytes.data == NULL) /* it was read from the first piece, which is gone */
		parts.head_bytes = whole.head_bytes;
	check_same(g, &whole, &parts);
}

START_TEST(golden_frames_are_accepted_or_refused_as_listed)
{
	struct golden_set set = golden_load();
	ck_assert_uint_ge(set.count, 50);
	for (size_t i = 0; i < set.count; i++) {
		const struct golden *g = &set.items[i];

		for (size_t k = 0; k < g->n_frames && golden_is_unary(g); k++) {
			struct reader r = {0};
			enum wire_result result = feed(&r, g->frames[k]);

			ck_assert_msg(result == (g->accept ? WIRE_OK : WIRE_BAD),
			    "%s line %zu: %d (%s)", g->name, k + 1, result,
			    r.note.why ? r.note.why : "-");
			ck_assert(!g->accept || r.at == g->frames[k].len);
		}
	}
	golden_free(&set);
}
END_TEST

/* Against what another decoder found in the same bytes. */
START_TEST(golden_frames_hold_the_messages_listed)
{
	struct golden_set set = golden_load();
	for (size_t i = 0; i < set.count; i++) {
		const struct golden *g = &set.items[i];
		char found[256] = "";
		size_t n = 0;

		if (!golden_is_unary(g) || !g->accept)
			continue;
		for (size_t k = 0; k < g->n_frames; k++) {
			struct reader r = {0};

			ck_assert_int_eq(feed(&r, g->frames[k]), WIRE_OK);
			n += (size_t)snprintf(found + n, sizeof found - n, "%s%s:%.*s:%u:%d",
			    k ? "," : "",
			    r.head.magic == THRIFT_MAGIC ? "thrift-binary" : "kitex-protobuf",
			    (int)r.head.method.len, (const char *)r.head.method.data, r.head.type,
			    r.head.seq);
		}
		ck_assert_str_eq(found, g->messages);
	}
	golden_free(&set);
}
END_TEST

START_TEST(golden_frames_read_the_same_cut_at_every_place)
{
	struct golden_set set = golden_load();
	for (size_t i = 0; i < set.count; i++) {
		const struct golden *g = &set.items[i];

		for (size_t k = 0; k < g->n_frames && golden_is_unary(g); k++)
			for (size_t cut = 0; cut < g->frames[k].len; cut++)
				feed_two(g, g->frames[k], cut);
	}
	golden_free(&set);
}
END_TEST

START_TEST(golden_frames_read_the_same_byte_by_byte)
{
	struct golden_set set = golden_load();
	for (size_t i = 0; i < set.count; i++) {
		const struct golden *g = &set.items[i];

		for (size_t k = 0; k < g->n_frames && golden_is_unary(g); k++) {
			struct reader whole = {0}, parts = {0};
			enum wire_result expected = feed(&whole, g->frames[k]);

			for (size_t len = 0; len < g->frames[k].len; len++)
				feed_prefix(g, &parts, g->frames[k], len);
			ck_assert_int_eq(feed(&parts, g->frames[k]), expected);
			parts.head_bytes = whole.head_bytes;
			if (expected == WIRE_OK)
				check_same(g, &whole, &parts);
		}
	}
	golden_free(&set);
}
END_TEST

START_TEST(golden_frames_stay_refused_however_much_follows)
{
	struct golden_set set = golden_load();
	for (size_t i = 0; i < set.count; i++) {
		const struct golden *g = &set.items[i];
		bool refused = false;

		for (size_t len = 0; len <= g->frames[0].len && !g->accept; len++) {
			struct reader r = {0};
			enum wire_result result = feed(&r, slice_first(g->frames[0], len));

			ck_assert_msg(
			    !refused || result == WIRE_BAD, "%s: taken back at %zu", g->name, len);
			refused = result == WIRE_BAD;
		}
		ck_assert_msg(refused || g->accept, "%s: never refused", g->name);
	}
	golden_free(&set);
}
END_TEST

START_TEST(golden_families_are_told_apart)
{
	struct golden_set set = golden_load();
	for (size_t i = 0; i < set.count; i++) {
		const struct golden *g = &set.items[i];
		enum sniff_family expected = SNIFF_FAMILY_UNARY;

		if (strstr(g->protocol, "Streaming"))
			expected = SNIFF_FAMILY_TTSTREAM;
		else if (strstr(g->protocol, "gRPC") && strcmp(g->direction, "request") == 0)
			expected = SNIFF_FAMILY_HTTP2;
		else if (strstr(g->protocol, "gRPC") || !g->accept)
			continue;
		ck_assert_msg(sniff_family(g->frames[0]) == expected, "%s", g->name);
	}
	golden_free(&set);
}
END_TEST

int main(void)
{
	const TTest *tests[] = {
	    golden_frames_are_accepted_or_refused_as_listed,
	    golden_frames_hold_the_messages_listed,
	    golden_frames_read_the_same_cut_at_every_place,
	    golden_frames_read_the_same_byte_by_byte,
	    golden_frames_stay_refused_however_much_follows,
	    golden_families_are_told_apart,
	};

	return suite_run("wire_golden", tests, ARRAY_LEN(tests));
}
