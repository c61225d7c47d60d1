/* A whole capture, from the file to what is shown. */
#include <errno.h>
#include <stdlib.h>

#include "ctl/capture.h"
#include "ctl/dump.h"

#define CHUNK (64u << 10) /* of a file that is no capture */

static void settle(struct dump_conn *conn)
{
	size_t held = dump_conn_held(conn);

	conn->dump->held += held - conn->held;
	conn->held = held;
}

/* ---- what TCP says ---- */

static struct dump_lane *lane_of(struct dump *d, struct tcp_stream *stream, unsigned side)
{
	struct dump_conn *conn = stream->owner;

	if (conn == NULL) {
		stream->owner = conn = dump_conn_new(d);
		conn->has_places = true;
		for (unsigned i = 0; i < 2; i++) {
			tcp_place_text(&stream->sides[i].place, conn->places[i]);
			conn->lanes[i].has_syn = stream->sides[i].has_syn;
		}
	}
	if (conn->lanes[side].state == LANE_NEW)
		conn->lanes[side].has_syn = stream->sides[side].has_syn;
	return &conn->lanes[side];
}

static void on_bytes(
    void *arg, struct tcp_stream *stream, unsigned side, usec_t at, struct slice bytes)
{
	struct dump_lane *lane = lane_of(arg, stream, side);

	dump_lane_take(lane, at, bytes);
	settle(lane->conn);
}

static void on_missing(void *arg, struct tcp_stream *stream, unsigned side, usec_t at, uint32_t n)
{
	struct dump_lane *lane = lane_of(arg, stream, side);

	dump_lane_miss(lane, at, n);
	settle(lane->conn);
}

static void on_ended(void *arg, struct tcp_stream *stream, unsigned side, usec_t at, bool is_reset)
{
	struct dump_conn *conn = stream->owner;

	(void)arg;
	if (conn == NULL)
		return;
	dump_lane_end(&conn->lanes[side], at, is_reset);
	if (is_reset)
		dump_lane_end(&conn->lanes[!side], at, true);
	settle(conn);
}

static void on_gone(void *arg, struct tcp_stream *stream)
{
	struct dump_conn *conn = stream->owner;
	struct dump *d = arg;

	if (conn == NULL)
		return;
	dump_conn_end(conn);
	d->held -= conn->held;
	dump_conn_free(&conn);
	stream->owner = NULL;
}

static const struct tcp_events events = {
    .bytes = on_bytes, .missing = on_missing, .ended = on_ended, .gone = on_gone};

void dump_init(struct dump *d, const struct dump_options *options, FILE *out)
{
	static const struct tcp_limits limits = {
	    .connections = DUMP_CONNECTIONS_MAX, .kept = DUMP_HELD_MAX / 2};
	bool is_shown = options->is_verbose || options->has_hex;

	*d = (struct dump){.options = *options, .out = out};
	d->body_kept = is_shown ? DUMP_BODY_KEPT : DUMP_BODY_BRIEF;
	d->fields = mem_calloc(DUMP_FIELDS_MAX, sizeof *d->fields);
	tcp_streams_init(&d->streams, &limits, &events, d);
}

void dump_fini(struct dump *d)
{
	tcp_streams_fini(&d->streams);
	text_fini(&d->room);
	free(d->fields);
	d->fields = NULL;
}

/* ---- files ---- */

static bool is_asked_for(const struct dump *d, const struct segment *s)
{
	return d->options.port == 0 || s->from.port == d->options.port ||
	       s->to.port == d->options.port;
}

static void take_packet(struct dump *d, const struct packet *packet)
{
	struct segment segment;

	switch (segment_read(packet->link, packet->bytes, &segment)) {
	case SEGMENT_OK:
		break;
	case SEGMENT_OTHER:
		return;
	case SEGMENT_FRAGMENT:
		d->fragments++;
		return;
	case SEGMENT_BAD:
		d->cut++;
		return;
	case SEGMENT_LINK:
		d->unknown_links++;
		return;
	}
	if (!is_asked_for(d, &segment))
		return;
	tcp_streams_take(&d->streams, &segment, packet->at);
	while (d->held > DUMP_HELD_MAX && tcp_streams_shed(&d->streams, NULL))
		d->forgotten++;
}

static int read_packets(struct dump *d, struct capture *capture, struct err *err)
{
	struct packet packet;
	enum capture_event event;

	while ((event = capture_next(capture, &packet, err)) == CAPTURE_PACKET)
		take_packet(d, &packet);
	d->cut += capture_skipped(capture);
	return event == CAPTURE_END ? 0 : -1;
}

/* The bytes of one direction, without anything around them. */
static int read_raw(struct dump *d, struct slice first, FILE *from, struct err *err)
{
	struct dump_conn *conn = dump_conn_new(d);
	struct dump_lane *lane = &conn->lanes[0];
	uint8_t *chunk = mem_alloc(CHUNK);
	size_t n;

	lane->has_syn = true;
	dump_lane_take(lane, USEC_NONE, first);
	while ((n = fread(chunk, 1, CHUNK, from)) > 0)
		dump_lane_take(lane, USEC_NONE, slice_of(chunk, n));
	dump_lane_end(lane, USEC_NONE, false);
	dump_conn_free(&conn);
	free(chunk);
	return ferror(from) ? err_set(err, errno, "cannot be read: %s", strerror(errno)) : 0;
}

int dump_file(struct dump *d, FILE *from, struct err *err)
{
	struct capture *capture = capture_open(from);
	int rc;

	if (capture_kind(capture) == CAPTURE_RAW)
		rc = read_raw(d, capture_first(capture), from, err);
	else
		rc = read_packets(d, capture, err);
	while (tcp_streams_shed(&d->streams, NULL))
		;
	capture_close(&capture);
	return rc;
}
