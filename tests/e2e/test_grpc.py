"""gRPC as grpc-go calls and answers it, and what the daemon adds to that."""

import base64
import json
import re
import signal
import socket
import time

import h2
import h2_upstream
from bridled import eventually
from h2_case import AT_ONCE
from peers import (BOTH, CANCELED, DEADLINE_EXCEEDED, DOWN, EXHAUSTED, FAIL, GOGRPC, HANG,
                   UNAVAILABLE, UNARY, UNIMPLEMENTED, UP, Grpc, msg)

FOR_EVER = 10000  # messages


class Passing(Grpc):
    def test_metadata_of_both_directions(self):
        _, daemon = self.both()
        out = self.call(daemon, metadata=[
            ["x-one", "1"], ["x-two", "b"], ["x-two", "a"], ["x-report", "1"], ["x-peer", "p"],
            ["rpc-persist-tenant", "blue"], ["x-trailer", "x-last=t"]],
            binary=[("x-peer-bin", b"\0\xff\n"), ("x-empty-bin", b"")])
        self.assert_ok(out, [msg("hello", 1)])
        seen = json.loads(out.trailer["x-seen-bin"][0])
        self.assertEqual((seen["x-one"], seen["x-two"]), (["1"], ["b", "a"]))
        self.assertEqual(seen["rpc-persist-tenant"], ["blue"])
        self.assertEqual(base64.b64decode(seen["x-peer-bin"][0]), b"\0\xff\n")
        self.assertEqual(seen["x-empty-bin"], [""])
        self.assertEqual(seen["content-type"], ["application/grpc+proto"])
        self.assertRegex(seen["user-agent"][0], "^grpc-go/")
        self.assertEqual(out.header["x-echoed"], ["p"])
        self.assertEqual(out.header["x-echoed-bin"], [b"\0\xff\n"])
        self.assertEqual(out.trailer["x-last"], ["t"])

    def test_the_authority_is_that_of_the_service(self):
        _, daemon = self.both(name="mesh.name")
        out = self.call(daemon, authority="what.the.caller.says:80", metadata=[["x-report", "1"]])
        seen = json.loads(out.trailer["x-seen-bin"][0])
        self.assertEqual(seen[":authority"], ["mesh.name"])

    def test_any_content_subtype(self):
        _, daemon = self.both()
        for subtype in ("thrift", "proto", "x-own"):
            with self.subTest(subtype=subtype):
                out = self.call(daemon, "/Any/Thing", [b"\0\xff\x7f"], subtype=subtype,
                                metadata=[["x-report", "1"]])
                self.assert_ok(out, [b"\0\xff\x7f"])
                seen = json.loads(out.trailer["x-seen-bin"][0])
                self.assertEqual(seen["content-type"], ["application/grpc+" + subtype])
                self.assertEqual(out.header["content-type"], ["application/grpc+" + subtype])

    def test_status_codes_also_those_without_a_name(self):
        _, daemon = self.both()
        for code in [*range(1, 17), 20, 99, 12345]:
            with self.subTest(code=code):
                out = self.call(daemon, FAIL, [msg("because", code)])
                self.assertEqual((out.code, out.text), (code, "because"))

    def test_texts_that_must_be_escaped(self):
        _, daemon = self.both()
        for text in ("100 % d\u00e9j\u00e0 vu", "two\nlines", "%41", "\u4e16\u754c" * 500):
            with self.subTest(text=text[:20]):
                out = self.call(daemon, FAIL, [msg(text, 9)])
                self.assertEqual((out.code, out.text), (9, text))

    def test_trailers_without_headers_stay_one_block(self):
        _, daemon = self.both()
        stream = self.raw(daemon).call(msg("gone", 5), path=FAIL)
        self.assertEqual(len(stream.blocks), 1, stream.blocks)
        self.assertEqual((stream.trailers[":status"], stream.trailers["grpc-status"],
                          stream.trailers["grpc-message"]), ("200", "5", "gone"))

    def test_a_business_error_in_the_trailers(self):
        _, daemon = self.both()
        out = self.call(daemon, FAIL, [msg("no money", 13)], metadata=[
            ["x-trailer", "biz-status=1204"], ["x-trailer", 'biz-extra={"a":"b"}']])
        self.assertEqual((out.code, out.text), (13, "no money"))
        self.assertEqual(out.trailer["biz-status"], ["1204"])
        self.assertEqual(out.trailer["biz-extra"], ['{"a":"b"}'])
        (line,) = daemon.access_log(1)
        self.assertEqual((line["reason"], str(line["biz_status"])), ("biz_error", "1204"))

    def test_compressed_messages_stay_compressed(self):
        _, daemon = self.both()
        message = msg(blob=b"a" * 100000)
        out = self.call(daemon, messages=[message], gzip=True, metadata=[["x-report", "1"]])
        self.assert_ok(out, [message])
        (line,) = daemon.access_log(1)
        self.assertLess(line["bytes_in"], 10000)
        self.assertLess(line["bytes_out"], 10000)

    def test_messages_of_every_size(self):
        _, daemon = self.both()
        messages = [bytes((n & 0xFF,)) * n for n in (0, 1, 16378, 16379, 16380, 65535, 65536,
                                                     1 << 20, 0, 4 << 20, 1)]
        for ping_pong in (True, False):
            self.assert_ok(self.call(daemon, BOTH, messages, ping_pong=ping_pong), messages)

    def test_a_stream_of_many_long_messages(self):
        _, daemon = self.both()
        blob = msg(blob=b"x" * (1 << 20))
        out = self.call(daemon, BOTH, [blob] * 32, only_lengths=True, slow_ms=5)
        self.assert_ok(out)
        self.assertEqual(out.lengths, [len(blob)] * 32)

    def test_a_message_past_the_limit(self):
        _, daemon = self.both(listener={"max_message": "64KiB"})
        self.assert_ok(self.call(daemon, messages=[b"x" * (64 << 10)]))
        out = self.call(daemon, messages=[b"x" * ((64 << 10) + 1)])
        self.assert_refused_call(out, EXHAUSTED, "too_large")


class Times(Grpc):
    def given(self, server):
        """The milliseconds that the last call was given, None if it was not told."""
        ms = server.said("began")[-1].split()[2]
        return None if ms == "none" else int(ms)

    def test_what_the_caller_states_is_passed_on(self):
        server, daemon = self.both()
        self.assert_ok(self.call(daemon, timeout_ms=50000))
        self.assertIn(self.given(server), range(40000, 50001))
        self.assert_ok(self.call(daemon))
        self.assertIsNone(self.given(server))

    def test_it_shrinks_by_the_time_spent(self):
        """Half of the calls meet an endpoint first whose queue of connections is full."""
        hole = socket.socket()
        self.addCleanup(hole.close)
        hole.bind(("127.0.0.1", 0))
        hole.listen(0)
        for _ in range(2):
            filler = socket.socket()
            self.addCleanup(filler.close)
            filler.setblocking(False)
            filler.connect_ex(hole.getsockname())
        server = self.grpc_server()
        daemon = self.pinned(["127.0.0.1:%d" % hole.getsockname()[1], server.address],
                             protocol="grpc", timeout={"connect": "400ms"})
        given = []
        for _ in range(4):
            began = time.monotonic()
            self.assert_ok(self.call(daemon, timeout_ms=50000))
            given.append(self.given(server))
            spent = 1000 * (time.monotonic() - began)
            self.assertGreater(given[-1], 50000 - spent - 100)
        self.assertLessEqual(min(given), 49600, given)

    def test_expiry_answers_the_caller_and_resets_the_endpoint(self):
        """A caller that keeps no time of its own."""
        server = self.raw_server(h2_upstream.silent)
        daemon = self.pinned(server, protocol="grpc")
        client = self.raw(daemon)
        began = time.monotonic()
        stream = client.call(path=HANG, more=[("grpc-timeout", "1S")])
        self.assertIn(time.monotonic() - began, Between(0.99, 1 + AT_ONCE))
        self.assertEqual(stream.trailers.get("grpc-status"), "4", stream)
        self.assertIn("context deadline exceeded", stream.trailers["grpc-message"])
        self.assertTrue(stream.trailers["grpc-message"].startswith("bridled: caller_deadline: "))
        (_, sent), = server.await_calls(1)
        eventually(lambda: sent.reset == h2.CANCEL, what="the reset of %r" % sent)
        (line,) = daemon.access_log(1)
        self.assertEqual(line["reason"], "caller_deadline")

    def test_the_server_sees_a_cancel_when_time_is_up(self):
        server, daemon = self.both()
        out = self.call(daemon, HANG, timeout_ms=1500)
        self.assertEqual(out.code, DEADLINE_EXCEEDED)
        eventually(lambda: server.said("ended " + HANG), what="the end at the server")

    def test_the_time_that_the_operator_allows(self):
        server, daemon = self.both(timeout={"call": "1s"})
        out = self.call(daemon, HANG, timeout_ms=20000)
        self.assert_refused_call(out, DEADLINE_EXCEEDED, "timeout")
        self.assertIn(out.ms, range(980, 1000 * (1 + AT_ONCE)))
        server.await_said("ended %s 1" % HANG)

    def test_it_does_not_run_while_messages_are_sent(self):
        _, daemon = self.both(timeout={"call": "4s"})
        messages = [msg("m", n) for n in range(8)]
        both = self.begin(daemon, BOTH, messages, ping_pong=True, pause_ms=600)
        self.assert_ok(self.call(daemon, UP, messages, pause_ms=600), [msg("m" * 8, 8)])
        self.assert_ok(*both.outcomes(), messages)

    def test_a_stream_on_which_nothing_moves(self):
        server, daemon = self.both(timeout={"idle": "4s"})
        messages = [msg("m", n) for n in range(8)]
        out = self.call(daemon, BOTH, messages, ping_pong=True, pause_ms=600, keep_open=True)
        self.assertEqual(out.messages, messages)
        self.assert_refused_call(out, DEADLINE_EXCEEDED, "timeout")
        server.await_said("ended %s 1" % BOTH)

    def test_a_whole_stream(self):
        server, daemon = self.both(timeout={"stream": "1500ms"})
        out = self.call(daemon, BOTH, [b"x"] * FOR_EVER, ping_pong=True, pause_ms=20)
        self.assert_refused_call(out, DEADLINE_EXCEEDED, "timeout")
        self.assertIn(out.ms, range(1480, 1000 * (2 + AT_ONCE)))
        server.await_said("ended %s 1" % BOTH)


class Between:
    def __init__(self, low, high):
        self.low, self.high = low, high

    def __contains__(self, value):
        return self.low <= value <= self.high

    def __repr__(self):
        return "%g..%g" % (self.low, self.high)


class Ends(Grpc):
    def test_a_cancel_before_any_answer(self):
        server, daemon = self.both()
        out = self.call(daemon, HANG, cancel_ms=1500)
        self.assertEqual(out.code, CANCELED)
        server.await_said("ended %s 1" % HANG)
        (line,) = daemon.access_log(1)
        self.assertEqual((line["reason"], line["method"]), ("canceled", "Hang"))

    def test_a_cancel_in_the_middle_of_a_stream(self):
        server, daemon = self.both()
        out = self.call(daemon, BOTH, [b"x"] * FOR_EVER, pause_ms=5, cancel_at=3)
        self.assertEqual((out.code, len(out.lengths)), (CANCELED, 3))
        server.await_said("ended %s 1" % BOTH)

    def test_other_streams_of_the_connection_go_on(self):
        server, daemon = self.both()
        client = self.raw(daemon)
        first, second = client.open(path=BOTH), client.open(path=BOTH)
        for number in (first, second):
            client.data(number, h2.grpc(b"one"))
            client.until(lambda n=number: client.find(n).received >= 8)
        client.rst(first)
        server.await_said("ended %s 1" % BOTH)
        client.data(second, h2.grpc(b"two"), end=True)
        stream = client.over(second)
        self.assertEqual(stream.messages, [(0, b"one"), (0, b"two")])
        self.assertEqual(stream.trailers["grpc-status"], "0")

    def test_a_caller_that_dies(self):
        server, daemon = self.both()
        calling = self.begin(daemon, HANG)
        server.await_said("began %s none" % HANG)
        calling.stop()
        server.await_said("ended %s 1" % HANG)
        (line,) = daemon.access_log(1)
        self.assertEqual(line["reason"], "canceled")

    def test_a_server_that_dies_before_any_answer(self):
        server, daemon = self.both()
        calling = self.begin(daemon, HANG)
        server.await_said("began %s none" % HANG)
        server.kill()
        (out,) = calling.outcomes()
        self.assert_refused_call(out, UNAVAILABLE, "reset")

    def test_a_server_that_dies_in_the_middle_of_a_stream(self):
        server, daemon = self.both()
        calling = self.begin(daemon, BOTH, [b"x"] * FOR_EVER, pause_ms=5)
        server.await_said("began %s none" % BOTH)
        eventually(lambda: daemon.metric("bridle_stream_messages_total", direction="out") > 10,
                   what="some messages")
        server.kill()
        (out,) = calling.outcomes()
        self.assert_refused_call(out, UNAVAILABLE, "reset")
        self.assertGreater(len(out.lengths), 5)

    def test_a_server_that_has_done_before_the_caller(self):
        """Down needs one message; the caller never ends its side."""
        _, daemon = self.both()
        out = self.call(daemon, DOWN, [msg("d", 3)], keep_open=True)
        self.assert_ok(out)
        self.assertEqual(len(out.messages), 3)
        self.assertIn(b"d", out.messages[0])


class Loads(Grpc):
    def test_a_thousand_calls_in_a_row_use_one_connection(self):
        _, daemon = self.both(config={"workers": 1})
        outs = self.calls(daemon, calls=1000, only_lengths=True)
        self.assertEqual({out.code for out in outs}, {0})
        self.assert_metric(daemon, 1, "bridle_upstream_connections", service="svc")
        self.assert_metric(daemon, 1000, "bridle_calls_total", reason="ok", method="Unary")

    def test_a_hundred_at_once_on_one_connection(self):
        _, daemon = self.both(config={"workers": 1})
        outs = self.calls(daemon, BOTH, [b"one", b"two"], callers=100, calls=10, ping_pong=True)
        self.assertEqual({(out.code, out.text) for out in outs}, {(0, "")})
        self.assertTrue(all(out.messages == [b"one", b"two"] for out in outs))
        self.assert_metric(daemon, 1, "bridle_upstream_connections", service="svc")

    def test_pings_that_measure_the_connection_are_no_flood(self):
        """grpc-go sends one per round trip as long as messages come to it, and none of its own."""
        _, daemon = self.both()
        out = self.call(daemon, DOWN, [msg("d", 4000)], metadata=[["x-pause-us", "200"]],
                        only_lengths=True)
        self.assert_ok(out)
        self.assertEqual(len(out.lengths), 4000)
        outs = self.calls(daemon, FAIL, [msg("no", 5)], calls=1000)
        self.assertEqual({out.code for out in outs}, {5})

    def test_a_server_that_says_goodbye_all_the_time(self):
        """GOAWAY every tenth of a second, with the calls that are running allowed to end."""
        _, daemon = self.both("-age", "100ms")
        outs = self.calls(daemon, callers=4, calls=300, gap_ms=5, only_lengths=True)
        self.assertEqual({(out.code, out.text) for out in outs}, {(0, "")})
        self.assertEqual(len(outs), 1200)

    def test_a_server_that_is_started_again_between_calls(self):
        server, daemon = self.both()
        for _ in range(5):
            self.assert_ok(self.call(daemon))
            server.kill()
            server.start()

    def test_a_server_with_few_streams_gets_more_connections(self):
        _, daemon = self.both("-streams", "50", config={"workers": 1})
        said = self.run_client(GOGRPC, "streams", daemon.address(), "2", "1000")
        self.assertEqual(said, [("round", "1 1000"), ("round", "2 1000"), ("ended", "1000")])

    def test_ten_thousand_streams_at_once(self):
        _, daemon = self.both()
        before = daemon.rss()
        said = self.run_client(GOGRPC, "streams", daemon.address(), "20", "10000")
        self.assertEqual(said, [("round", "1 10000"), ("round", "2 10000"), ("ended", "10000")])
        self.assertLess(daemon.rss() - before, 10000 * 20 * 1024)
        self.assert_metric(daemon, 10000, "bridle_calls_total", reason="ok", method="Both")


class Routing(Grpc):
    def daemon(self, **services):
        self.one, self.two = self.grpc_server(), self.grpc_server()
        return self.bridled({
            "listeners": [{"name": "in", "address": "127.0.0.1:0"}],
            "services": {
                "one": {"endpoints": [self.one.address], "protocol": "grpc"},
                "two": {"endpoints": [self.two.address], "protocol": "grpc",
                        "aliases": ["shop.v1.Users"]}, **services}})

    def answered_by(self, server, count):
        return eventually(lambda: len(server.said("ended")) == count, what="call %d" % count)

    def test_by_the_service_that_is_asked_for(self):
        daemon = self.daemon()
        self.assert_ok(self.call(daemon, metadata=[["destination-service", "two"]]))
        self.answered_by(self.two, 1)
        self.assert_ok(self.call(daemon, authority="one"))
        self.answered_by(self.one, 1)
        self.assert_ok(self.call(daemon, "/shop.v1.Users/Get"))
        self.answered_by(self.two, 2)

    def test_the_metadata_come_before_the_authority_and_that_before_the_path(self):
        daemon = self.daemon()
        self.assert_ok(self.call(daemon, "/shop.v1.Users/Get", authority="two",
                                 metadata=[["destination-service", "one"]]))
        self.answered_by(self.one, 1)
        self.assert_ok(self.call(daemon, "/shop.v1.Users/Get", authority="one"))
        self.answered_by(self.one, 2)
        self.assertEqual(self.two.said("began"), [])

    def test_no_service_at_all(self):
        daemon = self.daemon()
        self.assert_refused_call(self.call(daemon, "/No/Where"), UNIMPLEMENTED, "no_route")
        self.assert_refused_call(self.call(daemon, metadata=[["destination-service", "three"]]),
                                 UNIMPLEMENTED, "no_route")

    def test_a_service_that_nobody_answers_for(self):
        daemon = self.daemon(gone={"endpoints": ["unix:" + self.path("gone")], "protocol": "grpc"})
        out = self.call(daemon, authority="gone")
        self.assert_refused_call(out, UNAVAILABLE, "connect_failed")

    def test_the_connection_lives_after_a_refusal(self):
        daemon = self.daemon()
        client = self.raw(daemon)
        for path in ("/No/Where", "/no-method"):
            self.assertEqual(client.call(path=path, authority="x:1").trailers["grpc-status"], "12")
        stream = client.call(msg("hello"), path=UNARY, authority="one")
        self.assertEqual(stream.messages, [(0, msg("hello"))])
        self.assertEqual([line["protocol"] for line in daemon.access_log(3)], ["grpc"] * 3)

    def test_a_listener_that_does_not_admit_grpc(self):
        _, daemon = self.both(listener={"protocols": ["framed", "grpc"]}, config=None)
        self.assert_ok(self.call(daemon))
        daemon.stop()
        server = self.grpc_server()
        daemon = self.bridled({
            "listeners": [{"name": "in", "address": "127.0.0.1:0", "service": "svc",
                           "protocols": ["framed"], "timeout": {"detect": "60s"}}],
            "services": {"svc": {"endpoints": [server.address], "protocol": "framed"}}})
        self.assertEqual(self.call(daemon, timeout_ms=20000).code, UNAVAILABLE)
        self.assertEqual(server.said("began"), [])


class Seen(Grpc):
    def test_a_line_for_a_unary_call(self):
        server, daemon = self.both()
        self.assert_ok(self.call(daemon, metadata=[["source-service", "the.caller"],
                                                   ["stream-log-id", "log-7"]]))
        (line,) = daemon.access_log(1)
        self.assertEqual((line["listener"], line["protocol"], line["service"], line["method"]),
                         ("in", "grpc", "svc", "Unary"))
        self.assertEqual((line["idl_service"], line["caller"], line["log_id"]),
                         ("pbecho.PbEcho", "the.caller", "log-7"))
        self.assertEqual((line["reason"], str(line["status"])), ("ok", "0"))
        self.assertEqual((line["kind"], line["messages"]), ("call", {"in": 1, "out": 1}))
        self.assertEqual((line["endpoint"], line["attempts"]), (server.address, 1))

    def test_the_messages_of_a_stream(self):
        _, daemon = self.both()
        self.assert_ok(self.call(daemon, BOTH, [b"x" * 100] * 7))
        self.assert_ok(self.call(daemon, UP, [msg("u")] * 5))
        self.assert_ok(self.call(daemon, DOWN, [msg("d", 9)]))
        lines = {line["method"]: line for line in daemon.access_log(3)}
        self.assertEqual({line["kind"] for line in lines.values()}, {"stream"})
        self.assertEqual(lines["Both"]["messages"], {"in": 7, "out": 7})
        self.assertEqual(lines["Up"]["messages"], {"in": 5, "out": 1})
        self.assertEqual(lines["Down"]["messages"], {"in": 1, "out": 9})
        self.assertGreaterEqual(lines["Both"]["bytes_in"], 700)
        self.assertGreaterEqual(lines["Both"]["bytes_out"], 700)
        self.assert_metric(daemon, 13, "bridle_stream_messages_total", service="svc",
                           direction="in")
        self.assert_metric(daemon, 17, "bridle_stream_messages_total", service="svc",
                           direction="out")

    def test_a_debug_log_follows_a_stream(self):
        _, daemon = self.both(config={"log": {"level": "debug"}})
        self.assert_ok(self.call(daemon, BOTH, [b"x" * 100] * 3))
        eventually(lambda: re.search("RPCFinish .*\n", daemon.errors()))
        said = [line for line in daemon.errors().split("\n") if " debug stream: " in line]
        self.assertIn("RPCStart ", said[0])
        self.assertRegex(said[-1], "RPCFinish .*reason=ok in=3 out=3")
        for event in ("StreamSend", "StreamRecv"):
            found = [re.search(event + " .*messages=([0-9]+) bytes=([0-9]+)", line) for line in said]
            self.assertEqual(sum(int(m[1]) for m in found if m), 3)
            self.assertEqual(sum(int(m[2]) for m in found if m), 300)

    def test_the_status_of_the_application(self):
        _, daemon = self.both()
        self.call(daemon, FAIL, [msg("gone", 5)])
        (line,) = daemon.access_log(1)
        self.assertEqual((line["reason"], str(line["status"])), ("app_exception", "5"))
        self.assert_metric(daemon, 1, "bridle_calls_total", protocol="grpc", method="Fail",
                           reason="app_exception")


class Draining(Grpc):
    def test_a_stream_that_runs_may_end(self):
        server, daemon = self.both(config={"shutdown": {"drain": "60s", "spread": "10ms"}})
        messages = [msg("m", n) for n in range(15)]
        calling = self.begin(daemon, BOTH, messages, ping_pong=True, pause_ms=100)
        server.await_said("began %s none" % BOTH)
        daemon.signal(signal.SIGTERM)
        (out,) = calling.outcomes()
        self.assert_ok(out, messages)
        self.assertEqual(daemon.wait(), 0)

    def test_the_caller_is_told_in_two_steps(self):
        _, daemon = self.both()
        client = self.raw(daemon)
        number = client.open(path=BOTH)
        client.data(number, h2.grpc(b"one"))
        client.until(lambda: client.find(number).received >= 8)
        daemon.signal(signal.SIGTERM)
        client.until(lambda: client.goaways)
        self.assertEqual((client.goaways[0].last_stream, client.goaways[0].code),
                         (h2.MAX_WINDOW, h2.NO_ERROR))
        client.until(lambda: len(client.goaways) == 2)
        self.assertEqual((client.goaways[1].last_stream, client.goaways[1].code),
                         (number, h2.NO_ERROR))
        client.data(number, h2.grpc(b"two"), end=True)
        stream = client.over(number)
        self.assertEqual(stream.messages, [(0, b"one"), (0, b"two")])
        self.assertEqual(stream.trailers["grpc-status"], "0")
        client.closed()
        self.assertEqual(daemon.wait(), 0)

    def test_a_stream_that_does_not_end(self):
        server, daemon = self.both(config={"shutdown": {"drain": "500ms", "spread": "10ms"}})
        calling = self.begin(daemon, BOTH, [b"x"], keep_open=True)
        server.await_said("began %s none" % BOTH)
        daemon.signal(signal.SIGTERM)
        (out,) = calling.outcomes()
        self.assert_refused_call(out, UNAVAILABLE, "draining")
        self.assertEqual(daemon.wait(), 0)

    def test_calls_under_way_while_the_daemon_stops(self):
        """Whoever is told to go elsewhere was told before it had an answer."""
        _, daemon = self.both()
        calling = self.begin(daemon, callers=8, calls=100, gap_ms=5, only_lengths=True,
                             metadata=[["x-delay-ms", "20"]])
        eventually(lambda: daemon.metric("bridle_calls_total") > 50)
        daemon.signal(signal.SIGTERM)
        outs = calling.outcomes()
        self.assertEqual(daemon.wait(), 0)
        codes = {out.code for out in outs}
        self.assertLessEqual(codes, {0, UNAVAILABLE}, {out.text for out in outs})
        for out in outs:
            self.assertNotIn("bridled: reset", out.text)
