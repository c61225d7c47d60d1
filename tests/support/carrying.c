#include "support/carrying.h"

#include <stdlib.h>

#include "support/frames.h"
#include "support/structs.h"

const struct rpc_carry_facts carrying_facts = {
    .log_id = {(const uint8_t *)"log", 3},
    .caller = {(const uint8_t *)"cal", 3},
    .address = {(const uint8_t *)"1.2.3.4:5", 9},
    .service = {(const uint8_t *)"svc", 3},
    .method = {(const uint8_t *)"Echo", 4},
};

static struct slice exact(struct slice s)
{
	uint8_t *copy = malloc(s.len ? s.len : 1);

	if (copy == NULL)
		abort();
	if (s.len)
		memcpy(copy, s.data, s.len);
	return slice_of(copy, s.len);
}

void carrying_begin_with(struct carrying *c, struct slice sections, struct slice body)
{
	*c = (struct carrying){
	    .m = {.form = {RPC_TTHEADER, RPC_THRIFT, true},
		.kind = RPC_CALL,
		.sections = exact(sections),
		.body = exact(body),
		.body_len = body.len,
		.complete = true},
	    .edit = {.form = {RPC_PLAIN, RPC_THRIFT, true}},
	    .carrier = {.type = RPC_CARRIER_BASE, .merge = RPC_MERGE_FILL},
	    .facts = carrying_facts,
	};
	arena_init(&c->arena, NULL, 0);
}

void carrying_begin(struct carrying *c, const char *sections, const char *body)
{
	struct slice s = frame_sections(sections), b = struct_made(body);

	carrying_begin_with(c, s, b);
	frame_free(&s);
	frame_free(&b);
}

void carrying_change(struct carrying *c, const char *changes)
{
	changes_read(&c->changes, changes, &c->edit);
	c->has_changes = true;
}

static void must(bool fact)
{
	if (!fact)
		abort();
}

static struct slice spliced(struct slice body, const struct rpc_splice *s)
{
	uint8_t *out;

	must(s->at <= body.len && s->cut <= body.len - s->at && s->with.len <= 2 * RPC_CARRY_MAX);
	out = malloc(body.len - s->cut + s->with.len + 1);
	must(out != NULL);
	memcpy(out, body.data, s->at);
	if (s->with.len)
		memcpy(out + s->at, s->with.data, s->with.len);
	memcpy(out + s->at + s->with.len, body.data + s->at + s->cut, body.len - s->at - s->cut);
	return slice_of(out, body.len - s->cut + s->with.len);
}

enum rpc_uncarried carrying_go(struct carrying *c)
{
	unsigned dropped[sizeof c->edit.dropped / sizeof c->edit.dropped[0]];
	struct slice before = exact(c->m.body);
	struct struct_parts parts;
	enum rpc_uncarried why;
	bool was_struct = struct_read(before, &parts);

	struct_parts_free(&parts);
	memcpy(dropped, c->edit.dropped, sizeof dropped);
	why = rpc_carry(&c->m, &c->edit, &c->carrier, &c->facts, &c->arena, &c->splice);
	must(slice_eq(c->m.body, before));
	free((void *)(uintptr_t)c->out.data);
	if (why == RPC_CARRIED) {
		c->out = spliced(c->m.body, &c->splice);
		must(was_struct && struct_read(c->out, &parts));
		struct_parts_free(&parts);
		must(!slice_eq(c->out, before));
	} else {
		c->out = exact(before);
		must(memcmp(dropped, c->edit.dropped, sizeof dropped) == 0);
	}
	frame_free(&before);
	return why;
}

bool carrying_is(const struct carrying *c, const char *text)
{
	struct slice expected = struct_made(text);
	bool is_same = slice_eq(c->out, expected);

	frame_free(&expected);
	return is_same;
}

void carrying_end(struct carrying *c)
{
	frame_free(&c->m.sections);
	frame_free(&c->m.body);
	frame_free(&c->out);
	if (c->has_changes)
		changes_text_free(&c->changes);
	arena_fini(&c->arena);
}

/* ---- a plain reader ---- */

static bool is_text_map(const struct struct_field *field)
{
	const uint8_t *p = field->value.data;
	bool is_empty;

	if (field->type != 13)
		return false;
	is_empty = p[2] + p[3] + p[4] + p[5] == 0;
	return (p[0] == 11 || (is_empty && p[0] == 0)) && (p[1] == 11 || (is_empty && p[1] == 0));
}

static void see_base(struct carrier_seen *s, struct slice value)
{
	struct struct_field field;
	size_t n;

	must(struct_read(value, &s->base));
	s->is_there = true;
	for (int16_t id = 1; id <= 4; id++) {
		n = struct_find(&s->base, id, &field);
		s->is_understood &= n == 0 || (n == 1 && field.type == 11);
		if (n == 1)
			s->strings[id - 1] = slice_from(field.value, 4);
	}
	n = struct_find(&s->base, 6, &field);
	s->is_understood &= n == 0 || (n == 1 && is_text_map(&field));
	if (n == 1)
		s->map = field.value;
}

static void see_request(struct carrier_seen *s)
{
	struct struct_field field;
	size_t n = struct_find(&s->args, 1, &field);

	s->is_understood = n == 1 && field.type == 12;
	if (!s->is_understood)
		return;
	must(struct_read(field.value, &s->request));
	n = struct_find(&s->request, 255, &field);
	s->is_understood = n == 0 || (n == 1 && field.type == 12);
	if (s->is_understood && n == 1)
		see_base(s, field.value);
}

void carrier_see(struct carrier_seen *s, struct slice body, const struct rpc_carrier *carrier)
{
	struct struct_field field;
	size_t n;

	*s = (struct carrier_seen){.is_understood = false};
	if (!struct_read(body, &s->args))
		return;
	if (carrier->type == RPC_CARRIER_BASE) {
		see_request(s);
		return;
	}
	n = struct_find(&s->args, carrier->id, &field);
	s->is_there = n > 0;
	s->is_understood = n == 0 || (n == 1 && is_text_map(&field));
	s->map = n ? field.value : SLICE_NONE;
}

void carrier_seen_free(struct carrier_seen *s)
{
	struct_parts_free(&s->args);
	struct_parts_free(&s->request);
	struct_parts_free(&s->base);
}

static bool is_among(int16_t id, const int16_t *ids, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (ids[i] == id)
			return true;
	return false;
}

/* All fields but those of these ids are the same, in the same order. */
static bool is_same_but(
    const struct struct_parts *a, const struct struct_parts *b, const int16_t *ids, size_t n)
{
	size_t i = 0, k = 0;

	for (;; i++, k++) {
		while (i < a->n && is_among(a->list[i].id, ids, n))
			i++;
		while (k < b->n && is_among(b->list[k].id, ids, n))
			k++;
		if (i == a->n || k == b->n)
			return i == a->n && k == b->n;
		if (!slice_eq(a->list[i].whole, b->list[k].whole))
			return false;
	}
}

bool carrier_differs_alone(
    const struct carrier_seen *a, const struct carrier_seen *b, const struct rpc_carrier *carrier)
{
	static const int16_t known[] = {1, 2, 3, 4, 6}, request = 1, base = 255;

	if (carrier->type == RPC_CARRIER_ARGUMENT)
		return is_same_but(&a->args, &b->args, &carrier->id, 1);
	return is_same_but(&a->args, &b->args, &request, 1) &&
	       is_same_but(&a->request, &b->request, &base, 1) &&
	       is_same_but(&a->base, &b->base, known, 5);
}
