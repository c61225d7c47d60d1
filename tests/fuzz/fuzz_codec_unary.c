/*
 * The unary codec, either side of it. The first four bytes choose: side and limits, where the input
 * is cut, and whether 70 KB are put in somewhere, so that bodies become long enough to be relayed.
 * However the bytes are cut, the same is heard; what is heard leaves byte by byte as it came; and
 * written in every other form it is read back as the same message.
 */
#include "base/rng.h"
#include "fuzz.h"
#include "support/frames.h"
#include "support/reading.h"

#define CHOICES   4u
#define LONG_PART 70000u

static const struct codec_limits limits[] = {
    {.max_message = 64u << 20, .max_header = 262140, .protocols = ~0u},
    {.max_message = 400, .max_header = 64, .protocols = ~0u},
    {.max_message = 66000, .max_header = 4096, .protocols = ~0u},
    {.max_message = 64u << 20, .max_header = 262140, .protocols = PROTOCOL_BIT(PROTOCOL_FRAMED)},
};

static void read_in_cuts(struct reading *r, enum codec_side side, const struct codec_limits *l,
    struct slice in, struct rng *rng, uint64_t most)
{
	reading_open(r, side, l);
	while (in.len) {
		size_t len = 1 + (size_t)rng_below(rng, most);

		reading_feed(r, slice_first(in, len));
		in = slice_from(in, len);
	}
}

static void compare_cuts(const struct reading *whole, enum codec_side side,
    const struct codec_limits *l, struct slice in, struct rng *rng)
{
	static const uint64_t most[] = {1, 8, 100, 5000};

	for (size_t i = in.len > LONG_PART ? 2 : 0; i < sizeof most / sizeof most[0]; i++) {
		struct reading cut;

		read_in_cuts(&cut, side, l, in, rng, most[i]);
		must(reading_difference(whole, &cut) == NULL);
		reading_close(&cut);
	}
}

/* What was heard lies in the input in this order, without gaps. */
static void must_cover(const struct reading *whole, struct slice in)
{
	for (size_t i = 0; i < whole->n && whole->list[i].is_whole; i++) {
		const struct rpc_message *m = &whole->list[i].message;

		must(slice_starts(in, m->head));
		in = slice_from(in, m->head.len);
		must(slice_starts(in, m->body));
		in = slice_from(in, m->body.len);
	}
}

static void must_be_honest(const struct rpc_message *m, const struct written *out)
{
	must(out->len == m->head.len + m->body.len);
	must(slice_starts(written_slice(out), m->head));
	must(slice_eq(slice_from(written_slice(out), m->head.len), m->body));
}

static void must_be_same(const struct rpc_message *m, struct rpc_form form,
    const struct written *out, enum codec_side side)
{
	struct reading again;
	const struct rpc_message *n;

	reading_open(&again, side, &reading_limits);
	reading_feed(&again, written_slice(out));
	must(again.n == 1 && again.list[0].is_whole);
	n = &again.list[0].message;
	must(rpc_form_eq(n->form, form) && n->kind == m->kind && n->seq == m->seq);
	must(slice_eq(n->method, m->method) && slice_eq(n->body, m->body));
	if (form.transport == RPC_TTHEADER)
		must(n->transport_seq == m->transport_seq);
	reading_close(&again);
}

static void convert(
    const struct heard *h, enum codec_side side, struct codec *to, struct written *out)
{
	struct rpc_message m = h->message;

	m.complete = true; /* all of it is here by now */
	m.body_len = m.body.len;
	for (size_t i = 0; i < frame_n_forms; i++) {
		struct rpc_edit edit = {.form = frame_forms[i]};

		if (!codec_can_convert(m.form, edit.form))
			continue;
		out->len = 0;
		must(codec_send_message(to, 0, &m, &edit));
		if (rpc_form_eq(m.form, edit.form))
			must_be_honest(&m, out);
		must_be_same(&m, edit.form, out, side);
	}
}

static void convert_all(const struct reading *whole, enum codec_side side)
{
	enum codec_side other = side == CODEC_UPSTREAM ? CODEC_DOWNSTREAM : CODEC_UPSTREAM;
	struct written out = {0};
	struct codec *to = codec_open(other, CODEC_UNARY, &reading_limits, &written_io, &out);

	for (size_t i = 0; i < whole->n && i < 8; i++)
		if (whole->list[i].is_whole)
			convert(&whole->list[i], side, to, &out);
	codec_close(&to);
	written_fini(&out);
}

/* Puts the long part in at @at. */
static struct slice lengthen(struct slice in, size_t at, uint8_t *room)
{
	struct slice before = slice_first(in, at), after = slice_from(in, at);

	if (before.len)
		memcpy(room, before.data, before.len);
	memset(room + before.len, 'a', LONG_PART);
	if (after.len)
		memcpy(room + before.len + LONG_PART, after.data, after.len);
	return slice_of(room, in.len + LONG_PART);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in;
	enum codec_side side;
	const struct codec_limits *l;
	struct reading whole;
	struct rng rng;
	uint8_t *room = NULL;

	if (size < CHOICES)
		return 0;
	in = slice_of(data + CHOICES, size - CHOICES);
	side = data[0] & 1 ? CODEC_UPSTREAM : CODEC_DOWNSTREAM;
	l = &limits[data[0] >> 1 & 3];
	rng_init(&rng, data[1]);
	if (data[2] == 1) {
		room = malloc(in.len + LONG_PART);
		must(room != NULL);
		in = lengthen(in, data[3], room);
	}
	reading_open(&whole, side, l);
	reading_feed(&whole, in);
	must_cover(&whole, in);
	compare_cuts(&whole, side, l, in, &rng);
	convert_all(&whole, side);
	reading_close(&whole);
	free(room);
	return 0;
}
