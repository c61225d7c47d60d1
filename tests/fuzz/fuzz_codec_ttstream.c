/*
 * TTHeader Streaming, both sides of a proxy at once. The first byte chooses limits; then come
 * steps, a byte of what and two of how much: bytes from the caller, bytes from the endpoint, room
 * on either connection, a call that fails. The bytes of each side are also read alone, however
 * they are cut.
 *
 * Whatever comes, events go to owners that are there, what is written are whole frames in legal
 * order, and no more waits than may.
 */
#include "fuzz.h"
#include "support/frames.h"
#include "support/tts_end.h"
#include "wire/ttstream.h"

#define N_LINKS   16u
#define N_NUMBERS 64u /* streams whose order is watched */
#define STEP_HEAD 3u
#define LONG_DATA 60000u

enum step { FROM_CALLER, FROM_ENDPOINT, ROOM_DOWN, ROOM_UP, FAIL, GIVE_UP, FORGET, FLOOD, N_STEPS };

/* A call, and its numbers on both sides; 0 upstream when that side is over. */
struct link {
	bool is_used, has_down;
	uint32_t down, up;
	bool replied;
};

enum order { ORDER_NONE, ORDER_OPEN, ORDER_OVER };

struct side {
	struct codec *codec;
	struct written out;
	size_t room;
	bool is_refused;
	/* The last frame of each stream that was written. */
	struct {
		uint32_t id;
		enum order order;
	} numbers[N_NUMBERS];
};

struct pair {
	struct side down, up;
	struct link links[N_LINKS];
};

static const struct codec_limits choices[] = {
    {.max_message = 64u << 20, .max_header = 262140, .protocols = ~0u, .in_flight = 8},
    {.max_message = 400, .max_header = 64, .protocols = ~0u, .in_flight = 2},
    {.max_message = 64u << 20, .max_header = 262140, .protocols = ~0u, .in_flight = 100},
    {.max_message = 8192, .max_header = 8000, .protocols = ~0u, .in_flight = 3},
};

static void sink(void *arg, const struct slice *pieces, int n)
{
	written_io.write(&((struct side *)arg)->out, pieces, n);
}

static bool is_full(void *arg)
{
	const struct side *side = arg;

	return side->out.len >= side->room;
}

static const struct codec_io io = {.write = sink, .is_full = is_full};

static enum order *order_of(struct side *side, uint32_t id)
{
	for (size_t i = 0; i < N_NUMBERS; i++) {
		if (side->numbers[i].order == ORDER_NONE)
			side->numbers[i].id = id;
		if (side->numbers[i].id == id)
			return &side->numbers[i].order;
	}
	return NULL;
}

/* A header comes first and once, unless the stream begins with its reset. A trailer of a reply,
 * and any reset, is the last; a call may be reset after its trailer, and ended after its reset. */
static void check_order(struct side *side, const struct ttstream_frame *f, bool is_reply)
{
	enum order *order = order_of(side, f->stream);

	must(f->stream != 0);
	if (order == NULL)
		return;
	if (f->type == TTSTREAM_HEADER) {
		must(*order != ORDER_OPEN);
		*order = ORDER_OPEN;
	} else if (f->type == TTSTREAM_RST) {
		*order = ORDER_OVER;
	} else if (f->type == TTSTREAM_TRAILER && is_reply) {
		must(*order == ORDER_OPEN);
		*order = ORDER_OVER;
	} else if (f->type == TTSTREAM_DATA) {
		must(*order == ORDER_OPEN);
	}
}

/* Everything written is there to be checked, and then gone. */
static void take_written(struct side *side, bool is_reply)
{
	struct slice rest = written_slice(&side->out);

	while (rest.len) {
		struct ttstream_frame f;
		struct wire_note note;

		must(ttstream_read(rest, SIZE_MAX, SIZE_MAX, &f, &note) == WIRE_OK);
		check_order(side, &f, is_reply);
		rest = slice_from(rest, f.bytes.len);
	}
	side->out.len = 0;
}

static void drop_link(struct pair *p, struct link *l)
{
	if (l->has_down)
		codec_own(p->down.codec, l->down, NULL);
	if (l->up)
		codec_own(p->up.codec, l->up, NULL);
	*l = (struct link){0};
}

static void reset_both(struct pair *p, struct link *l, enum reason reason)
{
	struct codec_reset why = {.reason = reason, .detail = "fuzz"};

	if (l->up)
		codec_reset(p->up.codec, l->up, &why);
	if (l->has_down)
		codec_reset(p->down.codec, l->down, &why);
	drop_link(p, l);
}

static void fail(struct pair *p, struct link *l, enum reason reason)
{
	struct codec_reset why = {.reason = reason};
	struct rpc_status status;

	rpc_status_set(&status, reason, "fuzz");
	if (l->up)
		codec_reset(p->up.codec, l->up, &why);
	if (l->has_down)
		codec_send_failure(p->down.codec, l->down, NULL, &status, false);
	drop_link(p, l);
}

static void start(struct pair *p, const struct codec_item *item)
{
	struct rpc_edit edit = {.form = item->message.form, .rip = SLICE_LIT("me")};
	enum order *order = order_of(&p->down, item->id);
	struct rpc_status busy;
	struct link *l = NULL;

	take_written(&p->down, true);
	if (order && *order == ORDER_OPEN) /* its caller had reset the last of this number */
		*order = ORDER_OVER;
	for (size_t i = 0; i < N_LINKS && l == NULL; i++)
		if (!p->links[i].is_used)
			l = &p->links[i];
	if (l == NULL || p->up.is_refused) {
		rpc_status_set(&busy, REASON_OVERLOAD, "fuzz");
		codec_send_failure(p->down.codec, item->id, NULL, &busy, false);
		return;
	}
	must(codec_capacity(p->up.codec) > 0);
	*l = (struct link){.is_used = true, .has_down = true, .down = item->id};
	l->up = codec_begin(p->up.codec, l);
	codec_own(p->down.codec, l->down, l);
	if (!codec_send_message(p->up.codec, l->up, &item->message, &edit))
		fail(p, l, REASON_NO_CONVERSION);
}

static void on_reset(struct pair *p, struct link *l, const struct codec_reset *why, bool from_up)
{
	struct codec_reset passed = *why;

	if (from_up) {
		l->up = 0;
		codec_reset(p->down.codec, l->down, &passed);
	} else {
		l->has_down = false;
		if (l->up)
			codec_reset(p->up.codec, l->up, &passed);
	}
	drop_link(p, l);
}

static void on_event(
    struct pair *p, struct side *from, enum codec_event event, const struct codec_item *item)
{
	bool from_up = from == &p->up;
	struct side *to = from_up ? &p->down : &p->up;
	struct link *l = item->owner;
	struct rpc_edit edit = {.form = item->message.form};
	uint32_t id;

	if (!from_up && event == CODEC_MESSAGE) {
		start(p, item);
		return;
	}
	must(l != NULL && l->is_used);
	must(item->id == (from_up ? l->up : l->down));
	id = from_up ? l->down : l->up;
	if (event == CODEC_RESET) {
		on_reset(p, l, &item->reset, from_up);
	} else if (event == CODEC_MESSAGE) {
		must(!l->replied);
		l->replied = true;
		must(codec_send_message(to->codec, id, &item->message, &edit));
	} else if (event == CODEC_DATA) {
		must(!from_up || l->replied);
		if (from_up || l->up)
			codec_send_data(to->codec, id, item->data, false);
	} else if (event == CODEC_END) {
		must(!from_up || l->replied);
		if (from_up || l->up)
			codec_send_end(to->codec, id, &item->message);
		if (from_up) {
			l->up = 0;
			drop_link(p, l);
		}
	}
}

static void read_side(struct pair *p, struct side *side, struct slice piece)
{
	struct slice in = piece;
	struct codec_item item;
	enum codec_event event;

	while ((event = codec_next(side->codec, &in, &item)) != CODEC_MORE) {
		if (event == CODEC_REFUSED) {
			side->is_refused = true;
			for (size_t i = 0; i < N_LINKS; i++)
				if (p->links[i].is_used)
					fail(p, &p->links[i], REASON_MALFORMED);
		} else {
			on_event(p, side, event, &item);
		}
	}
	must(in.len == 0);
}

/* Events that came of what was sent. */
static void settle(struct pair *p)
{
	for (int i = 0; i < 2; i++) {
		read_side(p, &p->up, SLICE_NONE);
		read_side(p, &p->down, SLICE_NONE);
	}
	take_written(&p->down, true);
	take_written(&p->up, false);
}

/* Long data for a call, from one side or the other. */
static void flood(struct pair *p, const struct link *l, size_t much)
{
	struct side *side = much & 256 ? &p->up : &p->down;
	uint8_t *payload = malloc(LONG_DATA);
	struct slice frame;

	must(payload != NULL);
	memset(payload, 'x', LONG_DATA);
	frame = tts_frame_of('3', side == &p->up ? l->up : l->down, slice_of(payload, LONG_DATA));
	read_side(p, side, frame);
	frame_free(&frame);
	free(payload);
}

static void do_step(struct pair *p, enum step what, size_t much, struct slice piece)
{
	struct link *l = &p->links[much % N_LINKS];

	switch (what) {
	case FROM_CALLER:
		read_side(p, &p->down, piece);
		break;
	case FROM_ENDPOINT:
		read_side(p, &p->up, piece);
		break;
	case ROOM_DOWN:
		p->down.room = much & 1 ? SIZE_MAX : much;
		codec_pump(p->down.codec);
		break;
	case ROOM_UP:
		p->up.room = much & 1 ? SIZE_MAX : much;
		codec_pump(p->up.codec);
		break;
	case FAIL:
		if (l->is_used)
			fail(p, l, (enum reason)(REASON_NO_ROUTE + much % 16));
		break;
	case GIVE_UP:
		if (l->is_used)
			reset_both(p, l, (enum reason)(REASON_NO_ROUTE + much % 16));
		break;
	case FORGET:
		if (l->is_used)
			drop_link(p, l);
		break;
	case FLOOD:
		if (l->is_used && l->up)
			flood(p, l, much);
		break;
	case N_STEPS:
		break;
	}
	settle(p);
}

/* One step from the front. */
static bool take_step(struct slice *in, enum step *what, size_t *much, struct slice *piece)
{
	if (in->len < STEP_HEAD)
		return false;
	*what = (enum step)(in->data[0] % N_STEPS);
	*much = (size_t)in->data[1] << 8 | in->data[2];
	*in = slice_from(*in, STEP_HEAD);
	*piece = SLICE_NONE;
	if (*what == FROM_CALLER || *what == FROM_ENDPOINT) {
		*piece = slice_first(*in, *much);
		*in = slice_from(*in, piece->len);
	}
	return true;
}

static void run_pair(const struct codec_limits *limits, struct slice in)
{
	static struct pair p;
	enum step what;
	size_t much;
	struct slice piece;

	p = (struct pair){.down.room = SIZE_MAX, .up.room = SIZE_MAX};
	p.down.codec = codec_open(CODEC_DOWNSTREAM, CODEC_TTSTREAM, limits, &io, &p.down);
	p.up.codec = codec_open(CODEC_UPSTREAM, CODEC_TTSTREAM, limits, &io, &p.up);
	while (take_step(&in, &what, &much, &piece))
		do_step(&p, what, much, piece);
	must(codec_held(p.up.codec) <= 2 * (N_LINKS + 4) * CODEC_STREAM_QUEUE);
	p.down.room = p.up.room = SIZE_MAX;
	codec_pump(p.down.codec);
	codec_pump(p.up.codec);
	settle(&p);
	codec_close(&p.down.codec);
	codec_close(&p.up.codec);
	written_fini(&p.down.out);
	written_fini(&p.up.out);
}

/* The bytes of one side, of all steps. */
static void read_cut(struct tts_end *e, enum codec_side side, const struct codec_limits *l,
    struct slice in, size_t n)
{
	tts_end_open_as(e, side, CODEC_TTSTREAM, l);
	if (side == CODEC_UPSTREAM)
		codec_begin(e->codec, tts_owner(1));
	tts_end_feed_in(e, in, n);
}

static void compare_cuts(enum step what, const struct codec_limits *limits, struct slice in)
{
	static const size_t steps[] = {1, 3, 50};
	enum codec_side side = what == FROM_CALLER ? CODEC_DOWNSTREAM : CODEC_UPSTREAM;
	struct written all = {0};
	struct tts_end whole, cut;
	enum step step;
	struct slice piece;
	size_t much;

	while (take_step(&in, &step, &much, &piece))
		if (step == what)
			written_io.write(&all, &piece, 1);
	read_cut(&whole, side, limits, written_slice(&all), 0);
	for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
		read_cut(&cut, side, limits, written_slice(&all), steps[i]);
		must(tts_end_difference(&whole, &cut) == NULL);
		tts_end_close(&cut);
	}
	tts_end_close(&whole);
	written_fini(&all);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct codec_limits *limits;
	struct slice in;

	if (size == 0)
		return 0;
	limits = &choices[data[0] % (sizeof choices / sizeof choices[0])];
	in = slice_of(data + 1, size - 1);
	run_pair(limits, in);
	compare_cuts(FROM_CALLER, limits, in);
	compare_cuts(FROM_ENDPOINT, limits, in);
	return 0;
}
