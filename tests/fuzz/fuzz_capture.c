/*
 * Captures, their packets, and the connections in these: no packet is longer than it may be, no
 * view leaves it, and of each direction so many bytes are given out or said to be missing as its
 * sequence numbers moved on.
 */
#include <stdio.h>

#include "ctl/capture.h"
#include "ctl/tcp_streams.h"
#include "fuzz.h"

struct told {
	uint32_t bytes[2];
	bool has_ended[2];
};

static struct told *told_of(struct tcp_stream *stream)
{
	if (stream->owner == NULL)
		stream->owner = calloc(1, sizeof(struct told));
	must(stream->owner != NULL);
	return stream->owner;
}

static void on_bytes(
    void *arg, struct tcp_stream *stream, unsigned side, usec_t at, struct slice bytes)
{
	struct told *told = told_of(stream);

	(void)arg;
	(void)at;
	must(bytes.len > 0);
	told->bytes[side] += (uint32_t)bytes.len;
}

static void on_missing(void *arg, struct tcp_stream *stream, unsigned side, usec_t at, uint32_t n)
{
	struct told *told = told_of(stream);

	(void)arg;
	(void)at;
	must(n > 0);
	told->bytes[side] += n;
}

static void on_ended(void *arg, struct tcp_stream *stream, unsigned side, usec_t at, bool is_reset)
{
	struct told *told = told_of(stream);

	(void)arg;
	(void)at;
	must(!told->has_ended[side] || is_reset);
	told->has_ended[side] = true;
}

static void on_gone(void *arg, struct tcp_stream *stream)
{
	struct told *told = told_of(stream);
	unsigned *n_gone = arg;

	for (unsigned i = 0; i < 2; i++) {
		const struct tcp_side *side = &stream->sides[i];

		must(side->n_pieces == 0 && side->kept == 0);
		must(told->bytes[i] == side->next - side->start);
	}
	free(told);
	(*n_gone)++;
}

static void take(struct tcp_streams *streams, const struct packet *packet)
{
	struct slice s = packet->bytes;
	struct segment segment;

	must(s.len <= CAPTURE_PACKET_MAX && packet->length >= s.len);
	if (segment_read(packet->link, s, &segment) != SEGMENT_OK)
		return;
	must(segment.data.len <= segment.length);
	must(segment.data.len == 0 || (segment.data.data >= s.data &&
					  segment.data.data + segment.data.len <= s.data + s.len));
	tcp_streams_take(streams, &segment, packet->at);
	must(streams->kept <= streams->limits.kept);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct tcp_limits limits = {.connections = 8, .kept = 4096};
	static const struct tcp_events events = {
	    .bytes = on_bytes, .missing = on_missing, .ended = on_ended, .gone = on_gone};
	FILE *from = size ? fmemopen((void *)(uintptr_t)data, size, "rb") : NULL;
	struct tcp_streams streams;
	struct capture *capture;
	struct packet packet;
	struct err err = {.text = ""};
	unsigned n_gone = 0;

	if (from == NULL)
		return 0;
	capture = capture_open(from);
	tcp_streams_init(&streams, &limits, &events, &n_gone);
	if (capture_kind(capture) == CAPTURE_RAW) {
		must(capture_first(capture).len <= size);
	} else {
		enum capture_event event;

		while ((event = capture_next(capture, &packet, &err)) == CAPTURE_PACKET)
			take(&streams, &packet);
		must(event == CAPTURE_END || err.text[0]);
	}
	tcp_streams_fini(&streams);
	capture_close(&capture);
	fclose(from);
	return 0;
}
