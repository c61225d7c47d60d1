/* What `bridlectl dump` shows of captures that are made here, and of the golden frames. */
#include "ctl/dump.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cJSON.h>

#include "ctl/capture.h"
#include "ctl/command.h"
#include "support/bytes.h"
#include "support/golden.h"
#include "support/made_capture.h"
#include "support/suite.h"
#include "wire/proxy_v2.h"

static struct golden_set golden;
static struct made_capture made;
static struct dump_options options;
static char *shown;
static struct err err;

static void begin(void)
{
	golden = golden_load();
	made_begin(&made);
	options = (struct dump_options){0};
}

static void end(void)
{
	golden_free(&golden);
	made_fini(&made);
	free(shown);
	shown = NULL;
}

static int show(FILE *from)
{
	struct dump dump;
	size_t len;
	FILE *to;
	int rc;

	free(shown);
	to = open_memstream(&shown, &len);
	dump_init(&dump, &options, to);
	rc = dump_file(&dump, from, &err);
	ck_assert_uint_eq(dump.held, 0);
	dump_fini(&dump);
	fclose(from);
	fclose(to);
	return rc;
}

static void show_raw(struct slice bytes)
{
	struct text copy = {0};

	text_add(&copy, bytes);
	ck_assert_int_eq(show(fmemopen(copy.bytes, copy.len, "rb")), 0);
	text_fini(&copy);
}

static void show_made(void)
{
	ck_assert_int_eq(show(made_open(&made)), 0);
}

static struct slice frame(const char *name, size_t i)
{
	const struct golden *g = golden_find(&golden, name);

	ck_assert_ptr_nonnull(g);
	ck_assert_uint_lt(i, g->n_frames);
	return g->frames[i];
}

static void send_golden(struct made_conn *conn, unsigned side, const char *name)
{
	const struct golden *g = golden_find(&golden, name);

	ck_assert_ptr_nonnull(g);
	for (size_t i = 0; i < g->n_frames; i++)
		made_send(&made, conn, side, g->frames[i]);
}

/* All but the reset at its end. */
static void call_by_grpc(struct made_conn *conn)
{
	const struct golden *g = golden_find(&golden, "36_grpc_thrift_client");

	ck_assert_ptr_nonnull(g);
	for (size_t i = 0; i + 1 < g->n_frames; i++)
		made_send(&made, conn, 0, g->frames[i]);
}

static void expect(const char *words)
{
	ck_assert_msg(strstr(shown, words) != NULL, "\"%s\" is not in:\n%s", words, shown);
}

static void expect_not(const char *words)
{
	ck_assert_msg(strstr(shown, words) == NULL, "\"%s\" is in:\n%s", words, shown);
}

static unsigned n_lines(void)
{
	unsigned n = 0;

	for (const char *c = shown; *c; c++)
		n += *c == '\n';
	return n;
}

/* ---- golden frames ---- */

START_TEST(dump_decodes_all_golden_frames)
{
	for (size_t i = 0; i < golden.count; i++) {
		const struct golden *g = &golden.items[i];
		struct text all = {0};

		for (size_t n = 0; n < g->n_frames; n++)
			text_add(&all, g->frames[n]);
		options = (struct dump_options){.is_verbose = true};
		show_raw(slice_of(all.bytes, all.len));
		text_fini(&all);
		ck_assert_msg(shown[0] != '\0', "%s: nothing is shown", g->name);
		if (g->accept) {
			ck_assert_msg(strstr(shown, "BROKEN") == NULL, "%s:\n%s", g->name, shown);
			ck_assert_msg(
			    strstr(shown, "unknown: ") == NULL, "%s:\n%s", g->name, shown);
		}
	}
}
END_TEST

START_TEST(dump_says_what_is_wrong_with_bad_frames)
{
	show_raw(frame("50_neg_tth_zero_words", 0));
	expect("BROKEN: ttheader without a header");
	show_raw(frame("51_neg_tth_protocol_id_2", 0));
	expect("protocol id 0x02, BROKEN: unknown ttheader protocol id");
	options.is_verbose = true;
	show_raw(frame("52_neg_tth_bad_section", 0));
	expect("BROKEN: unknown ttheader section");
	expect("    unknown section: hex 0200");
	show_raw(frame("55_neg_http1", 0));
	expect("http/1: not decoded");
	show_raw(frame("56_neg_kpb_unframed_in_tth", 0));
	expect("BROKEN: the payload is no message");
}
END_TEST

START_TEST(dump_shows_metadata_and_fields)
{
	options.is_verbose = true;
	show_raw(frame("13_tth_call_full", 0));
	expect("ttheader call demo.callee/Echo seq 7, 176 bytes (payload 26)\n");
	expect("    str isn: \"EchoService\"\n");
	expect("    int 12 rpc_timeout: \"300\"\n");
	expect("    thrift {1: \"hi\"}\n");
}
END_TEST

START_TEST(dump_shows_hex_of_payloads)
{
	options.has_hex = true;
	show_raw(frame("03_framed_call", 0));
	expect("    000000  0b 00 01 00 00 00 02 68  69 00 ");
	expect("  .......hi.\n");
}
END_TEST

START_TEST(dump_shows_every_frame_as_json)
{
	options = (struct dump_options){.is_json = true, .is_verbose = true, .has_hex = true};
	for (size_t i = 0; i < golden.count; i++)
		for (size_t n = 0; n < golden.items[i].n_frames; n++) {
			char *rest;

			show_raw(golden.items[i].frames[n]);
			for (char *line = strtok_r(shown, "\n", &rest); line;
			     line = strtok_r(NULL, "\n", &rest)) {
				cJSON *root = cJSON_Parse(line);

				ck_assert_msg(cJSON_IsObject(root), "%s", line);
				cJSON_Delete(root);
			}
		}
}
END_TEST

/* ---- calls ---- */

START_TEST(dump_matches_replies_with_their_calls)
{
	struct made_conn conn;

	made_connect(&made, &conn, 40000);
	send_golden(&conn, 0, "13_tth_call_full");
	send_golden(&conn, 1, "14_tth_reply");
	show_made();
	ck_assert_uint_eq(n_lines(), 2);
	expect("2023-11-14T22:13:20.003000Z 127.0.0.1:40000 -> 127.0.0.1:9000 ttheader call "
	       "demo.callee/Echo seq 7");
	expect("127.0.0.1:9000 -> 127.0.0.1:40000 ttheader reply demo.callee/Echo seq 7, 67 bytes "
	       "(payload 29), after 1.000ms\n");
}
END_TEST

START_TEST(dump_matches_replies_in_any_order)
{
	struct made_conn conn;

	made_connect(&made, &conn, 40000);
	send_golden(&conn, 0, "05_framed_pipelined3"); /* its replies stand behind its calls */
	show_made();
	made_fini(&made);
	made_begin(&made);
	made_connect(&made, &conn, 40000);
	for (size_t i = 0; i < 3; i++)
		made_send(&made, &conn, 0, frame("05_framed_pipelined3", i));
	for (size_t i = 6; i > 3; i--)
		made_send(&made, &conn, 1, frame("05_framed_pipelined3", i - 1));
	show_made();
	expect("framed reply Echo seq 9, 32 bytes, after 1.000ms\n");
	expect("framed reply Echo seq 8, 32 bytes, after 3.000ms\n");
	expect("framed reply Echo seq 7, 32 bytes, after 5.000ms\n");
}
END_TEST

START_TEST(dump_matches_exceptions_that_lost_their_number)
{
	struct made_conn conn;

	made_connect(&made, &conn, 40000);
	send_golden(&conn, 0, "24_kpb_framed_call");
	send_golden(&conn, 1, "27_kpb_exception_unknown");
	options.only_errors = true;
	show_made();
	ck_assert_uint_eq(n_lines(), 1);
	expect(
	    "framed exception Echo seq 0, 53 bytes, after 1.000ms, exception 20, kitex protobuf, "
	    "unknown service: \"unknown service , method Nope\"\n");
}
END_TEST

START_TEST(dump_names_streams_by_their_header)
{
	struct made_conn conn;

	made_connect(&made, &conn, 40000);
	send_golden(&conn, 0, "30_tts_client_header_data_trailer");
	send_golden(&conn, 1, "32_tts_server_error_trailer");
	options.service = "EchoService";
	show_made();
	ck_assert_uint_eq(n_lines(), 5);
	expect("ttheader_streaming data EchoService/Bidi stream 1, 44 bytes (payload 10)\n");
	expect(
	    "trailer EchoService/Bidi stream 1, 87 bytes (payload 53), after 4.000ms, exception 6: "
	    "\"biz error: stream boom\"\n");
}
END_TEST

START_TEST(dump_shows_calls_messages_and_trailers_of_grpc)
{
	struct made_conn conn;

	made_connect(&made, &conn, 40000);
	call_by_grpc(&conn);
	send_golden(&conn, 1, "38_grpc_thrift_server_ok");
	show_made();
	ck_assert_uint_eq(n_lines(), 4);
	expect("grpc call demo.EchoService/Echo stream 1, ");
	expect("grpc message demo.EchoService/Echo stream 1, 15 bytes (payload 10)\n");
	expect("grpc message demo.EchoService/Echo stream 1, 18 bytes (payload 13)\n");
	expect("grpc trailers demo.EchoService/Echo stream 1, ");
	expect(", grpc_status 0\n");
	options.is_verbose = true;
	show_made();
	expect("http2 settings, 6 bytes, INITIAL_WINDOW_SIZE 65535\n");
	expect("    :path: \"/demo.EchoService/Echo\"\n");
	expect("    thrift {0: \"re:hi\"}\n");
}
END_TEST

START_TEST(dump_shows_how_grpc_fails)
{
	struct made_conn conn;

	made_connect(&made, &conn, 40000);
	call_by_grpc(&conn);
	send_golden(&conn, 1, "39_grpc_trailers_only_biz");
	send_golden(&conn, 1, "41_grpc_graceful_shutdown");
	options.only_errors = true;
	show_made();
	ck_assert_uint_eq(n_lines(), 2);
	expect("grpc_status 13, biz_status 404: \"not found\"\n");
	expect("reset");
	expect("http2_error 1000, graceful shutdown\n");
}
END_TEST

/* ---- filters and secrets ---- */

START_TEST(dump_shows_only_what_is_asked_for)
{
	struct made_conn conn;

	made_connect(&made, &conn, 40000);
	send_golden(&conn, 0, "13_tth_call_full");
	send_golden(&conn, 0, "20_tthframed_oneway");
	send_golden(&conn, 1, "14_tth_reply");
	options.method = "Fire";
	show_made();
	ck_assert_uint_eq(n_lines(), 1);
	expect("oneway demo.callee/Fire");
	options = (struct dump_options){.service = "demo.callee", .method = "Echo"};
	show_made();
	ck_assert_uint_eq(n_lines(), 2); /* the reply, too: its call says whose it is */
	options = (struct dump_options){.port = 40000};
	show_made();
	ck_assert_uint_eq(n_lines(), 3);
	options.port = 40001;
	show_made();
	ck_assert_str_eq(shown, "");
}
END_TEST

START_TEST(dump_hides_secrets_unless_asked)
{
	options.is_verbose = true;
	show_raw(frame("11_tth_call_acl", 0));
	expect("    acl token: <redacted>\n");
	options.is_json = true;
	show_raw(frame("11_tth_call_acl", 0));
	expect("{\"section\":\"acl\",\"value\":\"<redacted>\"}");
	options = (struct dump_options){.is_verbose = true, .shows_secrets = true};
	show_raw(frame("11_tth_call_acl", 0));
	expect_not("<redacted>");
}
END_TEST

/* ---- captures with holes ---- */

START_TEST(dump_finds_the_next_message_behind_a_hole)
{
	struct made_conn conn;
	struct slice call = frame("18_tthframed_call", 0);

	made_connect(&made, &conn, 40000);
	made_send(&made, &conn, 0, call);
	made_send(&made, &conn, 0, slice_first(call, 100));
	made_lose(&conn, 0, 500);
	made_send(&made, &conn, 0, slice_from(call, 150));
	made_send(&made, &conn, 0, frame("03_framed_call", 0));
	made_ack(&made, &conn, 1);
	made.at += USEC_S;
	made_ack(&made, &conn, 1);
	show_made();
	expect("ttheader call demo.callee/Echo seq 5, 188 bytes");
	expect("BROKEN: bytes are missing here, and with them its end\n");
	expect("note: 500 bytes missing here\n");
	expect("framed call Echo seq 3, 30 bytes\n");
}
END_TEST

START_TEST(dump_shows_a_message_that_has_a_hole)
{
	struct made_conn conn;
	struct slice call = frame("18_tthframed_call", 0);

	made_connect(&made, &conn, 40000);
	made_send(&made, &conn, 0, slice_first(call, 180));
	made_lose(&conn, 0, 8);
	made_send(&made, &conn, 0, frame("03_framed_call", 0));
	made_end(&made, &conn, 0);
	made_end(&made, &conn, 1);
	show_made();
	expect(
	    "ttheader call demo.callee/Echo seq 5, 188 bytes (payload 30), 8 of them missing here");
	expect("framed call Echo seq 3, 30 bytes\n");
	expect_not("BROKEN");
}
END_TEST

START_TEST(dump_begins_in_the_midst_of_a_connection)
{
	struct made_conn conn = {{{40000, 77}, {9000, 88}}};

	made_send(&made, &conn, 0, slice_from(frame("13_tth_call_full", 0), 60));
	made_send(&made, &conn, 0, frame("18_tthframed_call", 0));
	made_send(&made, &conn, 1, frame("38_grpc_thrift_server_ok", 0));
	show_made();
	expect("call demo.callee/Echo seq 5");
	expect("buffered call Echo seq 7"); /* all that the cut one still says */
}
END_TEST

START_TEST(dump_of_snapped_packets_shows_what_is_there)
{
	struct made_conn conn;
	struct text packet = {0};
	struct slice call = frame("18_tthframed_call", 0);

	made_connect(&made, &conn, 40000);
	made_segment(&packet, &conn, 0, TCP_ACK, conn.sides[0].seq, call);
	made_packet(&made, slice_of(packet.bytes, 96), packet.len);
	made_lose(&conn, 0, call.len);
	made_send(&made, &conn, 0, frame("03_framed_call", 0));
	text_fini(&packet);
	show_made();
	expect("ttheader message seq 5, 188 bytes (payload 30), 132 of them missing here");
	expect("framed call Echo seq 3, 30 bytes\n");
}
END_TEST

START_TEST(dump_says_what_is_not_complete_at_the_end)
{
	struct made_conn conn;

	made_connect(&made, &conn, 40000);
	made_send(&made, &conn, 0, slice_first(frame("13_tth_call_full", 0), 170));
	show_made();
	expect("BROKEN: the capture ends within it\n");
	made_end(&made, &conn, 0);
	show_made();
	expect("BROKEN: the direction ends within it\n");
	show_raw(slice_first(frame("03_framed_call", 0), 20));
	expect("framed call Echo seq 3");
	expect("BROKEN");
}
END_TEST

START_TEST(dump_finds_messages_among_raw_nonsense)
{
	struct text bytes = {0};

	text_add(&bytes, SLICE_LIT("this is no message at all"));
	text_add(&bytes, frame("13_tth_call_full", 0));
	text_add(&bytes, SLICE_LIT("neither is this, of no sense"));
	text_add(&bytes, frame("24_kpb_framed_call", 0));
	show_raw(slice_of(bytes.bytes, bytes.len));
	text_fini(&bytes);
	expect("note: 25 bytes passed over until a message began\n");
	expect("ttheader call demo.callee/Echo seq 7");
	expect("framed call Echo seq 7, 24 bytes, kitex protobuf\n");
}
END_TEST

static void add_header(struct text *out, bool is_bad)
{
	struct address from, to;
	uint8_t room[256];
	struct writer w = writer_of(room, sizeof room), start;

	ck_assert_int_eq(address_parse(&from, SLICE_LIT("192.0.2.7:5555"), &err), 0);
	ck_assert_int_eq(address_parse(&to, SLICE_LIT("10.1.2.3:80"), &err), 0);
	w.at += PROXY_V2_START;
	proxy_v2_write_addresses(&w, &from, &to);
	proxy_v2_write_value(&w, PROXY_V2_AUTHORITY, SLICE_LIT("shop.cart"));
	proxy_v2_write_value(&w, PROXY_V2_CALLER, SLICE_LIT("a\x1b[2Jb"));
	proxy_v2_write_value(&w, 0x99, SLICE_LIT("\x01\x02"));
	w.at -= is_bad;
	start = writer_of(room, PROXY_V2_START);
	proxy_v2_write_start(
	    &start, PROXY_V2_PROXY, PROXY_V2_TCP4, (uint16_t)(writer_len(&w) - PROXY_V2_START));
	text_add(out, writer_slice(&w));
}

/* In one piece, or byte by byte. */
START_TEST(dump_shows_who_is_behind_a_connection)
{
	struct text said = {0};
	struct made_conn conn;
	size_t piece;

	add_header(&said, false);
	text_add(&said, frame("03_framed_call", 0));
	piece = _i ? 1 : said.len;
	made_connect(&made, &conn, 4000);
	for (size_t at = 0; at < said.len; at += piece)
		made_send(&made, &conn, 0, slice_of(said.bytes + at, piece));
	show_made();
	expect("proxy_v2: opened for 192.0.2.7:5555 at 10.1.2.3:80 service=shop.cart "
	       "caller=a?[2Jb 0x99=0102\n");
	expect("framed call");
	expect_not("unknown");
	ck_assert_uint_eq(n_lines(), 2);
	text_fini(&said);
}
END_TEST

START_TEST(dump_shows_connections_for_nobody_whatever_is_spoken_on_them)
{
	uint8_t room[PROXY_V2_START];
	struct writer w = writer_of(room, sizeof room);
	struct made_conn conn;

	proxy_v2_write_start(&w, PROXY_V2_LOCAL, PROXY_V2_UNSPEC, 0);
	made_connect(&made, &conn, 4000);
	made_send(&made, &conn, 0, writer_slice(&w));
	call_by_grpc(&conn);
	show_made();
	expect("proxy_v2: opened for nobody\n");
	expect("grpc call");
	expect_not("unknown");
}
END_TEST

START_TEST(dump_takes_one_header_at_most_and_says_what_is_wrong_with_it)
{
	struct text said = {0};
	struct made_conn conn;

	add_header(&said, true);
	add_header(&said, false);
	made_connect(&made, &conn, 4000);
	made_send(&made, &conn, 0, slice_of(said.bytes, said.len));
	made_send(&made, &conn, 0, frame("03_framed_call", 0));
	show_made();
	expect("(its values are malformed)\n");
	expect("unknown: no protocol that is known here begins with 0d0a0d0a00");
	expect_not("framed");
	text_fini(&said);
}
END_TEST

START_TEST(dump_recognises_tls)
{
	struct made_conn conn;

	made_connect(&made, &conn, 40000);
	made_send(&made, &conn, 0, BYTES(22, 3, 1, 0, 5, 1, 0, 0, 1, 0));
	made_send(&made, &conn, 1, BYTES(22, 3, 3, 0, 5, 2, 0, 0, 1, 0));
	made_send(&made, &conn, 0, BYTES(23, 3, 3, 0, 5, 2, 0, 0, 1, 0));
	show_made();
	ck_assert_uint_eq(n_lines(), 1);
	expect("tls: encrypted; what is said cannot be shown\n");
}
END_TEST

/* ---- hostile ones ---- */

START_TEST(dump_of_a_huge_message_keeps_little_of_it)
{
	struct made_conn conn;
	uint8_t chunk[1400] = {0};
	struct dump dump;
	FILE *from, *to;
	size_t len;

	made_connect(&made, &conn, 40000);
	made_send(&made, &conn, 0,
	    BYTES(0x7f, 0xff, 0xff, 0xff, 0x80, 1, 0, 1, 0, 0, 0, 1, 'E', 0, 0, 0, 1, 11, 0, 1,
		0x7f, 0xff, 0xff, 0));
	for (unsigned i = 0; i < 2000; i++)
		made_send(&made, &conn, 0, slice_of(chunk, sizeof chunk));
	from = made_open(&made);
	to = open_memstream(&shown, &len);
	options.has_hex = true;
	dump_init(&dump, &options, to);
	ck_assert_int_eq(dump_file(&dump, from, &err), 0);
	dump_fini(&dump);
	fclose(from);
	fclose(to);
	expect("framed call E seq 1, 2800024 bytes");
	ck_assert_uint_lt(len, 8 * DUMP_BODY_KEPT);
}
END_TEST

static long most_memory_kb(void)
{
	struct rusage used;

	getrusage(RUSAGE_SELF, &used);
	return used.ru_maxrss;
}

START_TEST(dump_of_nothing_but_beginnings_that_break_off_takes_little)
{
	static const uint8_t broken[] = {0x80, 1, 0, 1, 0, 0, 0, 1, 'E', 0, 0, 0, 1, 0x7f};
	struct text bytes = {0};
	struct dump_conn *conn;
	struct dump dump;
	long before;
	unsigned n = 0;
	size_t len;
	FILE *to;

	for (; bytes.len < CAPTURE_PACKET_MAX / 2; n++)
		text_add(&bytes, slice_of(broken, sizeof broken));
	to = open_memstream(&shown, &len);
	dump_init(&dump, &options, to);
	conn = dump_conn_new(&dump);
	before = most_memory_kb();
	dump_lane_take(&conn->lanes[0], 0, slice_of(bytes.bytes, bytes.len));
	ck_assert_int_lt(most_memory_kb() - before, 64 << 10); /* what is shown is kept, too */
	dump_conn_free(&conn);
	dump_fini(&dump);
	fclose(to);
	text_fini(&bytes);
	ck_assert_uint_eq(n_lines(), n);
}
END_TEST

START_TEST(dump_shows_text_from_outside_without_its_escapes)
{
	struct text bytes = {0};

	text_add(
	    &bytes, BYTES(0, 0, 0, 16, 0x80, 1, 0, 1, 0, 0, 0, 3, 0x1b, ']', ' ', 0, 0, 0, 1, 0));
	show_raw(slice_of(bytes.bytes, bytes.len));
	text_fini(&bytes);
	expect("framed call ?]? seq 1, 20 bytes\n");
}
END_TEST

/* ---- the command ---- */

static enum ctl_exit run(const char *line, char **complaint)
{
	char words[512], *argv[16] = {NULL}, *rest;
	size_t out_len, errors_len;
	FILE *out, *errors;
	enum ctl_exit code;
	int argc = 0;

	free(shown);
	snprintf(words, sizeof words, "%s", line);
	for (char *word = strtok_r(words, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
		argv[argc++] = word;
	out = open_memstream(&shown, &out_len);
	errors = open_memstream(complaint, &errors_len);
	code = ctl_run(argc, argv, out, errors);
	fclose(out);
	fclose(errors);
	return code;
}

static enum ctl_exit run_on_file(const char *format, char **complaint)
{
	char path[] = "/tmp/test_dump_XXXXXX", line[256];
	int fd = mkstemp(path);
	enum ctl_exit code;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, made.bytes.bytes, made.bytes.len), (ssize_t)made.bytes.len);
	close(fd);
	snprintf(line, sizeof line, "bridlectl dump %s %s", format, path);
	code = run(line, complaint);
	unlink(path);
	return code;
}

START_TEST(dump_as_a_command_shows_the_file)
{
	struct made_conn conn;
	char *complaint;

	made_connect(&made, &conn, 40000);
	send_golden(&conn, 0, "13_tth_call_full");
	ck_assert_int_eq(run_on_file("-v --service EchoService --port 9000", &complaint), CTL_DONE);
	expect("    int 12 rpc_timeout: \"300\"\n");
	ck_assert_str_eq(complaint, "");
	free(complaint);
	ck_assert_int_eq(run_on_file("--errors", &complaint), CTL_DONE);
	ck_assert_str_eq(shown, "");
	free(complaint);
	made.bytes.len -= 3;
	ck_assert_int_eq(run_on_file("--json", &complaint), CTL_FAILED);
	ck_assert_msg(strstr(complaint, "the file ends within a packet"), "%s", complaint);
	free(complaint);
}
END_TEST

START_TEST(dump_as_a_command_tells_what_it_left_out)
{
	struct made_conn conn;
	char *complaint;
	size_t packet;

	made_connect(&made, &conn, 40000);
	packet = made.bytes.len + 16;
	send_golden(&conn, 0, "13_tth_call_full");
	made.bytes.bytes[packet + 6] = 0x20; /* more fragments */
	made_packet(&made, BYTES(0x45, 0), 2);
	ck_assert_int_eq(run_on_file("", &complaint), CTL_DONE);
	ck_assert_ptr_nonnull(strstr(complaint, "dump: 1 packets are fragments of IP packets"));
	ck_assert_ptr_nonnull(strstr(complaint, "dump: 1 packets were cut"));
	free(complaint);
}
END_TEST

START_TEST(dump_as_a_command_refuses_what_it_does_not_understand)
{
	static const char *const lines[] = {"bridlectl dump", "bridlectl dump a b",
	    "bridlectl dump --port 0 a", "bridlectl dump --port 65536 a", "bridlectl dump --method",
	    "bridlectl dump -q a"};
	char *complaint;

	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		ck_assert_int_eq(run(lines[i], &complaint), CTL_USAGE);
		ck_assert_ptr_nonnull(strstr(complaint, "Usage: bridlectl"));
		free(complaint);
	}
	ck_assert_int_eq(run("bridlectl dump /nowhere/at/all", &complaint), CTL_FAILED);
	ck_assert_ptr_nonnull(strstr(complaint, "/nowhere/at/all: No such file"));
	free(complaint);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {dump_decodes_all_golden_frames, 1},
	    {dump_says_what_is_wrong_with_bad_frames, 1},
	    {dump_shows_metadata_and_fields, 1},
	    {dump_shows_hex_of_payloads, 1},
	    {dump_shows_every_frame_as_json, 1},
	    {dump_matches_replies_with_their_calls, 1},
	    {dump_matches_replies_in_any_order, 1},
	    {dump_matches_exceptions_that_lost_their_number, 1},
	    {dump_names_streams_by_their_header, 1},
	    {dump_shows_calls_messages_and_trailers_of_grpc, 1},
	    {dump_shows_how_grpc_fails, 1},
	    {dump_shows_only_what_is_asked_for, 1},
	    {dump_hides_secrets_unless_asked, 1},
	    {dump_finds_the_next_message_behind_a_hole, 1},
	    {dump_shows_a_message_that_has_a_hole, 1},
	    {dump_begins_in_the_midst_of_a_connection, 1},
	    {dump_of_snapped_packets_shows_what_is_there, 1},
	    {dump_says_what_is_not_complete_at_the_end, 1},
	    {dump_finds_messages_among_raw_nonsense, 1},
	    {dump_shows_who_is_behind_a_connection, 2},
	    {dump_shows_connections_for_nobody_whatever_is_spoken_on_them, 1},
	    {dump_takes_one_header_at_most_and_says_what_is_wrong_with_it, 1},
	    {dump_recognises_tls, 1},
	    {dump_of_a_huge_message_keeps_little_of_it, 1},
	    {dump_of_nothing_but_beginnings_that_break_off_takes_little, 1},
	    {dump_shows_text_from_outside_without_its_escapes, 1},
	    {dump_as_a_command_shows_the_file, 1},
	    {dump_as_a_command_tells_what_it_left_out, 1},
	    {dump_as_a_command_refuses_what_it_does_not_understand, 1},
	};

	return suite_run_between("dump", tests, ARRAY_LEN(tests), begin, end);
}
