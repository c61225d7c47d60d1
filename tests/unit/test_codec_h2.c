/*
 * HTTP/2: calls and replies through both sides of the codec, golden frames, input cut anywhere, the
 * handshake, and what a header block looks like on the way.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "support/golden.h"
#include "support/h2_end.h"
#include "support/suite.h"

#define CALL_FIELDS  "content-type application/grpc\nte trailers\n"
#define REPLY_FIELDS "content-type application/grpc\n"

static struct golden_set golden;

/* ---- both sides ---- */

static struct h2_end caller, down; /* one connection */

static void open_pair(const struct codec_limits *limits)
{
	h2_end_open(&caller, CODEC_UPSTREAM, limits);
	h2_end_open(&down, CODEC_DOWNSTREAM, limits);
}

static void close_pair(void)
{
	h2_end_close(&caller);
	h2_end_close(&down);
}

/* Until nobody has anything to say any more. */
static void settle(void)
{
	bool any;

	do {
		any = h2_end_pass(&caller, &down);
		any |= h2_end_pass(&down, &caller);
	} while (any);
}

START_TEST(a_unary_call_passes_from_end_to_end)
{
	uint32_t id;

	open_pair(NULL);
	id = h2_end_begin(&caller, "/p.S/M", CALL_FIELDS, false);
	h2_end_message(&caller, id, 7, true);
	settle();
	ck_assert_str_eq(h2_end_log(&down), "call 1 POST /p.S/M\ndata 1 12 (1 of 7) end\n");
	codec_credit(down.codec, id, 12);
	h2_end_reply(&down, id, 200, REPLY_FIELDS, false);
	h2_end_message(&down, id, 3, false);
	h2_end_trailers(&down, id, "grpc-status 0\n");
	settle();
	ck_assert_str_eq(
	    h2_end_log(&caller), "reply 1 200\ndata 1 8 (1 of 3)\ntrailers 1 grpc=0\n");
	ck_assert_str_eq(h2_end_log(&down), "");
	ck_assert_uint_eq(codec_held(caller.codec), 0);
	ck_assert_uint_eq(codec_held(down.codec), 0);
	ck_assert(codec_is_idle(caller.codec) && codec_is_idle(down.codec));
	close_pair();
}
END_TEST

START_TEST(many_calls_share_a_connection)
{
	uint32_t ids[50];

	open_pair(NULL);
	for (unsigned i = 0; i < ARRAY_LEN(ids); i++) {
		ids[i] = h2_end_begin(&caller, "/p.S/M", CALL_FIELDS, false);
		ck_assert_uint_eq(ids[i], 2 * i + 1);
		h2_end_message(&caller, ids[i], i, true);
	}
	settle();
	ck_assert_uint_eq(codec_capacity(caller.codec), 50);
	for (unsigned i = ARRAY_LEN(ids); i-- > 0;) {
		h2_end_reply(&down, ids[i], 200, REPLY_FIELDS, false);
		h2_end_message(&down, ids[i], i, false);
		h2_end_trailers(&down, ids[i], "grpc-status 0\n");
	}
	h2_end_log(&caller);
	settle();
	ck_assert_uint_eq(codec_capacity(caller.codec), 100);
	ck_assert_ptr_nonnull(strstr(h2_end_log(&caller), "reply 99 200\ndata 99 54 (1 of 49)\n"));
	ck_assert_uint_eq(codec_held(down.codec), 0);
	close_pair();
}
END_TEST

START_TEST(ten_thousand_calls_share_a_connection)
{
	struct codec_limits limits = h2_end_limits;
	unsigned n = 10000;

	limits.in_flight = n;
	open_pair(&limits);
	codec_pump(caller.codec);
	settle(); /* the listener says how many it takes */
	ck_assert_uint_eq(codec_capacity(caller.codec), n);
	for (unsigned i = 0; i < n; i++)
		h2_end_begin(&caller, "/p.S/M", CALL_FIELDS, true);
	ck_assert_uint_eq(codec_capacity(caller.codec), 0);
	settle();
	for (unsigned i = 0; i < n; i++)
		h2_end_reply(&down, 2 * i + 1, 200, "grpc-status 0\n", true);
	settle();
	ck_assert_ptr_nonnull(strstr(h2_end_log(&caller), "reply 19999 200 end grpc=0\n"));
	ck_assert_uint_eq(codec_capacity(caller.codec), n);
	ck_assert_uint_eq(codec_held(caller.codec) + codec_held(down.codec), 0);
	close_pair();
}
END_TEST

START_TEST(names_values_order_and_secrets_survive)
{
	struct written w = {0};
	struct h2_end up;

	open_pair(NULL);
	h2_end_open(&up, CODEC_DOWNSTREAM, NULL);
	up.tells_fields = true;
	caller.tells_fields = true;
	h2_end_pass(&caller, &up);
	{
		struct rpc_field fields[] = {
		    {SLICE_LIT("content-type"), SLICE_LIT("application/grpc+x"), false},
		    {SLICE_LIT("zz-a"), SLICE_LIT("1"), false},
		    {SLICE_LIT("token"), SLICE_LIT("s3cret"), true},
		    {SLICE_LIT("zz-a"), SLICE_LIT(""), false},
		    {SLICE_LIT("k-bin"), SLICE_LIT("AAE\x80\xff"), false},
		};
		struct rpc_message m = {.form = {RPC_HTTP2, RPC_KITEXPB, false},
		    .kind = RPC_CALL,
		    .http_method = SLICE_LIT("PUT"),
		    .path = SLICE_LIT("/a%20b?c"),
		    .authority = SLICE_LIT("theirs"),
		    .fields = fields,
		    .n_fields = ARRAY_LEN(fields),
		    .complete = true};
		struct rpc_edit edit = {.form = m.form};
		uint32_t id = codec_begin(caller.codec, &caller);

		ck_assert(codec_send_message(caller.codec, id, &m, &edit));
	}
	h2_end_pass(&caller, &up);
	ck_assert_str_eq(h2_end_log(&up),
	    "call 1 PUT /a%20b?c end\n  content-type: application/grpc+x\n  zz-a: 1\n"
	    "  token: s3cret (secret)\n  zz-a: \n  k-bin: AAE\x80\xff\n");
	h2_end_close(&up);
	written_fini(&w);
	close_pair();
}
END_TEST

START_TEST(interim_replies_go_before_the_final_one)
{
	uint32_t id;

	open_pair(NULL);
	id = h2_end_begin(&caller, "/p.S/M", CALL_FIELDS, true);
	settle();
	h2_end_reply(&down, id, 100, "", false);
	h2_end_reply(&down, id, 103, "link </a>\n", false);
	h2_end_reply(&down, id, 200, REPLY_FIELDS, false);
	h2_end_trailers(&down, id, "grpc-status 5\n");
	settle();
	ck_assert_str_eq(
	    h2_end_log(&caller), "interim 1 100\ninterim 1 103\nreply 1 200\ntrailers 1 grpc=5\n");
	close_pair();
}
END_TEST

START_TEST(trailers_of_a_call_pass)
{
	uint32_t id;

	open_pair(NULL);
	down.tells_fields = true;
	id = h2_end_begin(&caller, "/p.S/M", "", false);
	codec_send_data(caller.codec, id, SLICE_LIT("plain"), false);
	h2_end_trailers(&caller, id, "x-sum 1\n");
	settle();
	ck_assert_str_eq(
	    h2_end_log(&down), "call 1 POST /p.S/M\ndata 1 5\ntrailers 1 grpc=-1\n  x-sum: 1\n");
	close_pair();
}
END_TEST

START_TEST(an_end_without_trailers_is_told_once)
{
	uint32_t id;

	open_pair(NULL);
	id = h2_end_begin(&caller, "/p.S/M", "", false);
	codec_send_data(caller.codec, id, SLICE_LIT("ab"), false);
	settle();
	codec_send_end(caller.codec, id, NULL);
	codec_send_end(caller.codec, id, NULL);
	codec_send_data(caller.codec, id, SLICE_LIT("too late"), true);
	settle();
	ck_assert_str_eq(h2_end_log(&down), "call 1 POST /p.S/M\ndata 1 2\ndata 1 0 end\n");
	close_pair();
}
END_TEST

/* ---- the handshake ---- */

START_TEST(our_settings_are_announced_first)
{
	struct codec_limits limits = h2_end_limits;
	struct written w = {0};

	limits.in_flight = 7;
	limits.max_header = 1234;
	open_pair(&limits);
	h2_preface(&w);
	h2_call(&w, H2_END_STREAM, 1, "");
	h2_end_hears(&down, &w);
	ck_assert_str_eq(
	    h2_end_frames(&down), "SETTINGS 3=7 6=1234\nSETTINGS ack\nWINDOW_UPDATE 0 16711681\n");
	h2_end_begin(&caller, "/p.S/M", CALL_FIELDS, true);
	ck_assert_str_eq(h2_end_frames(&caller),
	    "SETTINGS 2=0 4=24576 6=1234\nWINDOW_UPDATE 0 16711681\nHEADERS 1 end\n");
	written_fini(&w);
	close_pair();
}
END_TEST

START_TEST(it_is_idle_between_handshake_and_header_blocks)
{
	struct written w = {0};
	size_t len;

	open_pair(NULL);
	ck_assert(codec_is_idle(down.codec));
	h2_preface(&w);
	for (size_t i = 0; i + 1 < w.len; i++) {
		h2_end_feed(&down, slice_sub(written_slice(&w), i, 1));
		ck_assert(!codec_is_idle(down.codec));
		ck_assert(!codec_has_detected(down.codec));
	}
	h2_end_feed(&down, slice_from(written_slice(&w), w.len - 1));
	ck_assert(codec_is_idle(down.codec) && codec_has_detected(down.codec));
	w.len = 0;
	h2_call(&w, 0, 1, "");
	len = w.len;
	h2_end_feed(&down, slice_first(written_slice(&w), 3));
	ck_assert(!codec_is_idle(down.codec));
	h2_end_feed(&down, slice_sub(written_slice(&w), 3, len - 4));
	ck_assert(!codec_is_idle(down.codec));
	h2_end_feed(&down, slice_from(written_slice(&w), len - 1));
	ck_assert(codec_is_idle(down.codec));
	w.len = 0;
	h2_message(&w, 0, 1, 100);
	h2_end_feed(&down, slice_first(written_slice(&w), 50));
	ck_assert(codec_is_idle(down.codec)); /* a body may take its time */
	written_fini(&w);
	close_pair();
}
END_TEST

START_TEST(a_preface_that_goes_wrong_is_refused)
{
	open_pair(NULL);
	h2_end_feed(&down, SLICE_LIT("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"));
	ck_assert_str_eq(
	    h2_end_log(&down), "refused malformed: Received bad client magic byte string\n");
	ck_assert_ptr_nonnull(strstr(h2_end_frames(&down), "GOAWAY 0 1 "));
	h2_end_feed(&down, SLICE_LIT("more"));
	ck_assert_str_eq(h2_end_log(&down), "");
	close_pair();
}
END_TEST

/* ---- golden frames ---- */

static struct slice joined(const char *name, struct written *w)
{
	const struct golden *g = golden_find(&golden, name);

	ck_assert_ptr_nonnull(g);
	for (size_t i = 0; i < g->n_frames; i++)
		h2_put(w, g->frames[i]);
	return written_slice(w);
}

/* What a caller that has begun one call, or a listener, makes of the frames in pieces of @step. */
static char *log_of(const char *name, bool is_request, size_t step)
{
	struct written w = {0};
	struct h2_end e;
	char *log;

	h2_end_open(&e, is_request ? CODEC_DOWNSTREAM : CODEC_UPSTREAM, NULL);
	e.tells_fields = true;
	if (!is_request) {
		uint32_t id = h2_end_begin(
		    &e, "/demo.EchoService/Echo", "content-type application/grpc+thrift\n", false);

		h2_end_message(&e, id, 4, true);
	}
	h2_end_feed_in(&e, joined(name, &w), step);
	log = mem_strdup(h2_end_log(&e));
	h2_end_close(&e);
	written_fini(&w);
	return log;
}

static const struct {
	const char *name;
	bool is_request;
	const char *log; /* the beginning of each line */
} heard[] = {
    {"36_grpc_thrift_client", true,
	"call 1 POST /demo.EchoService/Echo\n  content-type: application/grpc+thrift\n"
	"  user-agent: kitex/v0.16.3\n  te: trailers\n  grpc-timeout: 299743u\n"},
    {"37_grpc_pb_client", true,
	"call 1 POST /demo.EchoService/Echo\n  content-type: application/grpc\n"},
    {"38_grpc_thrift_server_ok", false,
	"reply 1 200\n  content-type: application/grpc+thrift\ndata 1 18 (1 of 13)\n"
	"trailers 1 grpc=0\n  grpc-status: 0\n  grpc-message: \n"},
    {"39_grpc_trailers_only_biz", false,
	"reply 1 200 end grpc=13\n  content-type: application/grpc+thrift\n"},
    {"40_grpc_unknown_method", false,
	"reply 1 200 end grpc=1\n  content-type: application/grpc+thrift\n"},
    {"41_grpc_graceful_shutdown", false, "reset 1 reset 1000: the endpoint reset the stream\n"},
};

START_TEST(golden_frames_are_understood)
{
	char *log = log_of(heard[_i].name, heard[_i].is_request, 0);

	if (strncmp(log, heard[_i].log, strlen(heard[_i].log)) != 0)
		ck_assert_str_eq(log, heard[_i].log); /* shows both */
	free(log);
}
END_TEST

/* A message that came in pieces was given out in pieces: the lines of its data become one. */
static void join_data(char *log)
{
	char *to = log;
	unsigned last_id = 0, total = 0;

	for (char *line = strtok(log, "\n"); line; line = strtok(NULL, "\n")) {
		unsigned id, len;
		bool is_data = sscanf(line, "data %u %u", &id, &len) == 2;
		size_t n = strlen(line);

		if (is_data && id == last_id) {
			total += len;
			continue;
		}
		memmove(to, line, n);
		to += n;
		*to++ = '\n';
		last_id = is_data ? id : 0;
	}
	*to = '\0';
	(void)total;
}

START_TEST(it_does_not_matter_where_input_is_cut)
{
	char *whole = log_of(heard[_i].name, heard[_i].is_request, 0);
	size_t n_lines = 0;

	for (const char *at = whole; (at = strchr(at, '\n')); at++)
		n_lines++;
	for (size_t step = 1; step < 40; step++) {
		char *cut = log_of(heard[_i].name, heard[_i].is_request, step);
		char *data = strstr(whole, "data "), *cut_data = strstr(cut, "data ");
		size_t before = data ? (size_t)(data - whole) : strlen(whole);

		/* The same before the data and after it. */
		ck_assert_int_eq(strncmp(whole, cut, before), 0);
		ck_assert_int_eq(data == NULL, cut_data == NULL);
		join_data(cut);
		if (data) {
			const char *rest = strchr(data, '\n') + 1;

			cut_data = strstr(cut, "data ");
			ck_assert_str_eq(strchr(cut_data, '\n') + 1, rest);
		} else {
			ck_assert_str_eq(cut, whole);
		}
		free(cut);
	}
	ck_assert_uint_gt(n_lines, 0);
	free(whole);
}
END_TEST

START_TEST(blocks_that_are_cut_anywhere_stay_whole)
{
	static const char expected[] =
	    "call 1 POST /pkg.Service/Method end\n  content-type: application/grpc\n  te: trailers\n"
	    "  a: 1\ncall 3 POST /pkg.Service/Method end\n  content-type: application/grpc\n"
	    "  te: trailers\n  bb: 22\n  c: \n";
	struct written w = {0};
	size_t len;

	h2_preface(&w);
	h2_call(&w, H2_END_STREAM, 1, "a 1\n");
	h2_call(&w, H2_END_STREAM, 3, "bb 22\nc \n");
	len = w.len;
	for (size_t cut = 0; cut <= len; cut++) {
		open_pair(NULL);
		down.tells_fields = true;
		h2_end_feed(&down, slice_first(written_slice(&w), cut));
		h2_end_feed(&down, slice_from(written_slice(&w), cut));
		ck_assert_str_eq(h2_end_log(&down), expected);
		close_pair();
	}
	written_fini(&w);
}
END_TEST

START_TEST(pings_are_answered_exactly_and_not_told)
{
	struct written w = {0};

	open_pair(NULL);
	h2_preface(&w);
	h2_frame(&w, H2_PING, 0, 0, SLICE_LIT("\x02\x04\x10\x10\x09\x0e\x07\x07"));
	h2_frame(&w, H2_PING, H2_ACK, 0, SLICE_LIT("12345678"));
	h2_end_hears(&down, &w);
	ck_assert_str_eq(h2_end_log(&down), "");
	ck_assert_ptr_nonnull(strstr(h2_end_frames(&down), "PING ack 02041010090e0707\n"));
	codec_ping(down.codec);
	ck_assert_str_eq(h2_end_frames(&down), "PING 0000000000000000\n");
	written_fini(&w);
	close_pair();
}
END_TEST

START_TEST(a_push_promise_ends_the_connection)
{
	struct written w = {0};

	open_pair(NULL);
	h2_end_begin(&caller, "/p.S/M", "", true);
	h2_frame(&w, H2_SETTINGS, 0, 0, SLICE_NONE);
	h2_frame(&w, H2_PUSH_PROMISE, H2_END_HEADERS, 1, SLICE_LIT("\0\0\0\2"));
	h2_end_hears(&caller, &w);
	ck_assert_uint_eq(caller.refused, 1);
	ck_assert_ptr_nonnull(strstr(h2_end_log(&caller), "refused bad_reply: "));
	ck_assert(codec_is_ending(caller.codec));
	ck_assert_uint_eq(codec_capacity(caller.codec), 0);
	written_fini(&w);
	close_pair();
}
END_TEST

/* ---- what may not come ---- */

/* Fields of a call that HTTP/2 forbids. */
static const char *const forbidden[] = {
    ":method POST\n:scheme http\n:path /\n:authority a\nX-Upper 1\n",
    ":method POST\n:scheme http\n:path /\n:authority a\nconnection close\n",
    ":method POST\n:scheme http\n:path /\n:authority a\nte gzip\n",
    ":method POST\n:scheme http\n:path /\n:authority a\nx a\rb\n",
    ":method POST\n:scheme http\n:path /\nx 1\n:authority a\n",
    ":method POST\n:scheme http\n:path /\n:path /b\n:authority a\n",
    ":method POST\n:scheme http\n:authority a\n",
    ":method POST\n:path /\n:authority a\n",
    ":scheme http\n:path /\n:authority a\n",
    ":method POST\n:scheme http\n:path /\n:authority a\n:status 200\n",
    ":method POST\n:scheme http\n:path /\n:authority a\n:other 1\n",
    ":method POST\n:scheme http\n:path /\n:authority a\ncontent-length 1\ncontent-length 2\n",
    ":method POST\n:scheme http\n:path /\n:authority a\ntransfer-encoding chunked\n",
    ":method POST\n:scheme http\n:path /\n:authority a\nupgrade h3\n",
};

START_TEST(forbidden_fields_reset_the_stream_unseen)
{
	struct written w = {0};

	open_pair(NULL);
	h2_preface(&w);
	h2_headers(&w, H2_END_STREAM, 1, forbidden[_i]);
	h2_call(&w, H2_END_STREAM, 3, "");
	h2_end_hears(&down, &w);
	ck_assert_str_eq(h2_end_log(&down), "call 3 POST /pkg.Service/Method end\n");
	ck_assert_ptr_nonnull(strstr(h2_end_frames(&down), "RST_STREAM 1 1\n"));
	written_fini(&w);
	close_pair();
}
END_TEST

START_TEST(a_tunnel_is_refused)
{
	struct written w = {0};

	open_pair(NULL);
	h2_preface(&w);
	h2_headers(&w, 0, 1, ":method CONNECT\n:authority a:1\n");
	h2_frame(&w, H2_DATA, 0, 1, SLICE_LIT("bytes"));
	h2_end_hears(&down, &w);
	ck_assert_str_eq(h2_end_log(&down), "");
	ck_assert_ptr_nonnull(strstr(h2_end_frames(&down), "RST_STREAM 1 10\n"));
	written_fini(&w);
	close_pair();
}
END_TEST

START_TEST(forbidden_fields_of_a_reply_reset_the_call)
{
	struct written w = {0};

	open_pair(NULL);
	h2_end_begin(&caller, "/p.S/M", "", false);
	h2_end_frames(&caller);
	h2_frame(&w, H2_SETTINGS, 0, 0, SLICE_NONE);
	h2_headers(&w, 0, 1, ":status 200\nx a\rb\n");
	h2_end_hears(&caller, &w);
	ck_assert_str_eq(
	    h2_end_log(&caller), "reset 1 bad_reply 1: Invalid HTTP header field was received\n");
	ck_assert_ptr_nonnull(strstr(h2_end_frames(&caller), "RST_STREAM 1 1\n"));
	written_fini(&w);
	close_pair();
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {a_unary_call_passes_from_end_to_end, 1},
	    {many_calls_share_a_connection, 1},
	    {ten_thousand_calls_share_a_connection, 1},
	    {names_values_order_and_secrets_survive, 1},
	    {interim_replies_go_before_the_final_one, 1},
	    {trailers_of_a_call_pass, 1},
	    {an_end_without_trailers_is_told_once, 1},
	    {our_settings_are_announced_first, 1},
	    {it_is_idle_between_handshake_and_header_blocks, 1},
	    {a_preface_that_goes_wrong_is_refused, 1},
	    {golden_frames_are_understood, ARRAY_LEN(heard)},
	    {it_does_not_matter_where_input_is_cut, ARRAY_LEN(heard)},
	    {blocks_that_are_cut_anywhere_stay_whole, 1},
	    {pings_are_answered_exactly_and_not_told, 1},
	    {a_push_promise_ends_the_connection, 1},
	    {forbidden_fields_reset_the_stream_unseen, ARRAY_LEN(forbidden)},
	    {a_tunnel_is_refused, 1},
	    {forbidden_fields_of_a_reply_reset_the_call, 1},
	};
	int result;

	golden = golden_load();
	result = suite_run_between("codec_h2", tests, ARRAY_LEN(tests), NULL, NULL);
	golden_free(&golden);
	return result;
}
