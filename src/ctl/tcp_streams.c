#include "ctl/tcp_streams.h"

#include <stdlib.h>

#include "base/cursor.h"

struct piece {
	struct list link;
	uint32_t seq, length;
	usec_t at;
	size_t len; /* captured */
	uint8_t bytes[];
};

/* Sequence numbers go round: how far @a is behind @b. */
static int32_t past(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b);
}

/* ---- connections ---- */

void tcp_streams_init(struct tcp_streams *t, const struct tcp_limits *limits,
    const struct tcp_events *events, void *arg)
{
	*t = (struct tcp_streams){.limits = *limits, .events = events, .arg = arg};
	table_init(&t->by_key, (uintptr_t)t);
	list_init(&t->by_use);
}

static void write_place(struct writer *w, const struct tcp_place *place)
{
	write_bytes(w, slice_of(place->bytes, sizeof place->bytes));
	write_u16(w, place->port);
	write_u16(w, place->is_v6);
}

/* The same for both directions. */
static void make_key(const struct segment *s, uint8_t key[TCP_KEY])
{
	struct writer w = writer_of(key, TCP_KEY);
	int order = memcmp(s->from.bytes, s->to.bytes, sizeof s->from.bytes);
	bool is_from_first = order ? order < 0 : s->from.port < s->to.port;

	write_place(&w, is_from_first ? &s->from : &s->to);
	write_place(&w, is_from_first ? &s->to : &s->from);
}

static void drop_piece(struct tcp_streams *t, struct tcp_side *side, struct piece *piece)
{
	list_remove(&piece->link);
	side->n_pieces--;
	side->kept -= piece->len;
	t->kept -= piece->len;
	free(piece);
}

static struct tcp_stream *add_stream(
    struct tcp_streams *t, const struct segment *s, const uint8_t key[TCP_KEY])
{
	bool is_opener = !(s->flags & TCP_SYN && s->flags & TCP_ACK);
	struct tcp_stream *stream;

	if (t->by_key.used >= t->limits.connections && tcp_streams_shed(t, NULL))
		t->evicted++;
	stream = mem_calloc(1, sizeof *stream);
	memcpy(stream->key, key, TCP_KEY);
	stream->sides[0].place = is_opener ? s->from : s->to;
	stream->sides[1].place = is_opener ? s->to : s->from;
	for (unsigned i = 0; i < 2; i++) {
		list_init(&stream->sides[i].pieces);
		stream->sides[i].hole_since = USEC_NONE;
	}
	list_push_back(&t->by_use, &stream->by_use);
	table_put(&t->by_key, slice_of(stream->key, TCP_KEY), stream);
	return stream;
}

static unsigned side_of(const struct tcp_stream *stream, const struct tcp_place *from)
{
	const struct tcp_place *first = &stream->sides[0].place;

	if (first->port == from->port && memcmp(first->bytes, from->bytes, sizeof from->bytes) == 0)
		return 0;
	return 1;
}

/* ---- bytes ---- */

/* Gives out what of [seq, seq + length) is new; it does not begin behind `next`. */
static void deliver(struct tcp_streams *t, struct tcp_stream *stream, unsigned i, uint32_t seq,
    uint32_t length, struct slice data, usec_t at)
{
	struct tcp_side *side = &stream->sides[i];
	uint32_t known = side->next - seq;

	if (known >= length)
		return;
	side->next = seq + length;
	data = slice_from(data, known);
	length -= known;
	if (data.len)
		t->events->bytes(t->arg, stream, i, at, data);
	if (length > data.len) /* cut when it was captured */
		t->events->missing(t->arg, stream, i, at, length - (uint32_t)data.len);
}

static struct piece *first_piece(struct tcp_side *side)
{
	return list_is_empty(&side->pieces) ? NULL
					    : list_item(side->pieces.next, struct piece, link);
}

/* Gives out the pieces that have become next. */
static void drain(struct tcp_streams *t, struct tcp_stream *stream, unsigned i, usec_t at)
{
	struct tcp_side *side = &stream->sides[i];
	struct piece *piece;
	bool is_moved = false;

	while ((piece = first_piece(side)) && past(piece->seq, side->next) <= 0) {
		deliver(t, stream, i, piece->seq, piece->length, slice_of(piece->bytes, piece->len),
		    piece->at);
		drop_piece(t, side, piece);
		is_moved = true;
	}
	if (piece == NULL)
		side->hole_since = USEC_NONE;
	else if (is_moved)
		side->hole_since = at;
	if (side->has_fin && !side->has_ended && past(side->next, side->fin) >= 0) {
		side->has_ended = true;
		t->events->ended(t->arg, stream, i, at, false);
	}
}

/* What is before the first piece, or what was acknowledged and never seen, will not come any
 * more. */
static void give_up(struct tcp_streams *t, struct tcp_stream *stream, unsigned i, usec_t at)
{
	struct tcp_side *side = &stream->sides[i];
	struct piece *piece = first_piece(side);
	uint32_t until = piece ? piece->seq : side->acked;

	if (piece == NULL && side->has_fin && past(until, side->fin) > 0)
		until = side->fin;
	if (past(until, side->next) > 0) {
		t->events->missing(t->arg, stream, i, at, until - side->next);
		side->next = until;
	}
	drain(t, stream, i, at);
}

/* Has the other side bytes that were not captured? */
static bool is_acked_past(const struct tcp_side *side)
{
	uint32_t end = side->has_fin ? side->fin : side->acked;

	return side->has_next && side->has_acked && past(side->acked, side->next) > 0 &&
	       past(end, side->next) > 0;
}

/* @is_answered: the other side has said something since. */
static void look_at_hole(
    struct tcp_streams *t, struct tcp_stream *stream, unsigned i, usec_t at, bool is_answered)
{
	struct tcp_side *side = &stream->sides[i];

	while (side->n_pieces > TCP_PIECES_MAX || side->kept > TCP_KEPT_MAX)
		give_up(t, stream, i, at);
	if (!is_acked_past(side))
		return;
	if (is_answered)
		give_up(t, stream, i, at);
	else if (side->hole_since == USEC_NONE)
		side->hole_since = at;
	else if (at != USEC_NONE && at > usec_after(side->hole_since, TCP_HOLE_WAIT))
		give_up(t, stream, i, at);
}

static void keep_piece(
    struct tcp_streams *t, struct tcp_side *side, const struct segment *s, usec_t at)
{
	struct list *before = &side->pieces;
	struct piece *piece;

	while (before->prev != &side->pieces) {
		struct piece *last = list_item(before->prev, struct piece, link);

		if (past(last->seq, s->seq) <= 0) {
			if (past(last->seq + last->length, s->seq + s->length) >= 0)
				return; /* it is here already */
			break;
		}
		before = before->prev;
	}
	piece = mem_alloc(sizeof *piece + s->data.len);
	piece->seq = s->seq;
	piece->length = s->length;
	piece->at = at;
	piece->len = s->data.len;
	if (s->data.len)
		memcpy(piece->bytes, s->data.data, s->data.len);
	list_insert(before, &piece->link);
	side->n_pieces++;
	side->kept += piece->len;
	t->kept += piece->len;
	if (side->hole_since == USEC_NONE)
		side->hole_since = at;
}

static void take_data(struct tcp_streams *t, struct tcp_stream *stream, unsigned i,
    const struct segment *s, usec_t at)
{
	struct tcp_side *side = &stream->sides[i];

	if (!side->has_next && (s->length || s->flags & TCP_FIN)) {
		side->has_next = true;
		side->next = side->start = s->seq;
	}
	if (s->flags & TCP_FIN && !side->has_fin) {
		side->has_fin = true;
		side->fin = s->seq + s->length;
	}
	if (s->length && past(s->seq, side->next) > 0)
		keep_piece(t, side, s, at);
	else if (s->length)
		deliver(t, stream, i, s->seq, s->length, s->data, at);
	if (side->has_next)
		drain(t, stream, i, at);
}

/* ---- beginnings and ends ---- */

static void forget(struct tcp_streams *t, struct tcp_stream *stream)
{
	for (unsigned i = 0; i < 2; i++)
		while (first_piece(&stream->sides[i]))
			give_up(t, stream, i, first_piece(&stream->sides[i])->at);
	t->events->gone(t->arg, stream);
	table_remove(&t->by_key, slice_of(stream->key, TCP_KEY));
	list_remove(&stream->by_use);
	free(stream);
}

bool tcp_streams_shed(struct tcp_streams *t, const struct tcp_stream *keep)
{
	list_each (link, &t->by_use) {
		struct tcp_stream *stream = list_item(link, struct tcp_stream, by_use);

		if (stream == keep)
			continue;
		forget(t, stream);
		return true;
	}
	return false;
}

void tcp_streams_fini(struct tcp_streams *t)
{
	while (tcp_streams_shed(t, NULL))
		;
	table_fini(&t->by_key);
}

/* The ports are used again, for another connection. */
static bool is_another(const struct tcp_side *side, const struct segment *s)
{
	return s->flags & TCP_SYN && side->has_next && side->start != s->seq + 1;
}

/* The connection of a segment, NULL when there is none that it could belong to. */
static struct tcp_stream *find_stream(
    struct tcp_streams *t, const struct segment *s, unsigned *side)
{
	struct tcp_stream *stream;
	uint8_t key[TCP_KEY];

	make_key(s, key);
	stream = table_get(&t->by_key, slice_of(key, sizeof key));
	if (stream) {
		*side = side_of(stream, &s->from);
		if (!is_another(&stream->sides[*side], s))
			return stream;
		forget(t, stream);
	}
	if (!(s->flags & TCP_SYN) && (s->length == 0 || s->flags & TCP_RST))
		return NULL;
	stream = add_stream(t, s, key);
	*side = side_of(stream, &s->from);
	return stream;
}

static void begin(struct tcp_side *side, const struct segment *s)
{
	if (side->has_next)
		return; /* sent again */
	side->has_syn = side->has_next = true;
	side->next = side->start = s->seq + 1;
}

static void reset(struct tcp_streams *t, struct tcp_stream *stream, unsigned i, usec_t at)
{
	for (unsigned n = 0; n < 2; n++)
		while (first_piece(&stream->sides[n]))
			give_up(t, stream, n, at);
	t->events->ended(t->arg, stream, i, at, true);
	forget(t, stream);
}

/* Before the data that comes with it: what is answered is shown before its answer. */
static void take_ack(struct tcp_streams *t, struct tcp_stream *stream, unsigned i,
    const struct segment *s, usec_t at)
{
	struct tcp_side *other = &stream->sides[!i];

	if (!other->has_acked || past(s->ack, other->acked) > 0)
		other->acked = s->ack;
	other->has_acked = true;
	look_at_hole(t, stream, !i, at, s->length > 0);
}

void tcp_streams_take(struct tcp_streams *t, const struct segment *segment, usec_t at)
{
	struct segment s = *segment;
	struct tcp_stream *stream;
	unsigned i;

	stream = find_stream(t, &s, &i);
	if (stream == NULL)
		return;
	list_remove(&stream->by_use);
	list_push_back(&t->by_use, &stream->by_use);
	if (s.flags & TCP_SYN) {
		begin(&stream->sides[i], &s);
		s.seq++;
	}
	if (s.flags & TCP_ACK)
		take_ack(t, stream, i, &s, at);
	take_data(t, stream, i, &s, at);
	if (s.flags & TCP_RST) {
		reset(t, stream, i, at);
		return;
	}
	look_at_hole(t, stream, i, at, false);
	if (stream->sides[0].has_ended && stream->sides[1].has_ended)
		forget(t, stream);
	while (t->kept > t->limits.kept && tcp_streams_shed(t, NULL))
		t->evicted++;
}
