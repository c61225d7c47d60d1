"""TTHeader Streaming: Kitex's frames through the daemon, and every way in which a stream ends."""

import os
import signal
import time

import sockets
import tts
import wire
from bridled import TOP, TestCase, eventually
from h2_case import AT_ONCE
from peers import GOECHO, Peers, needs
from tts import DATA, HEADER, META, RST, TRAILER

GOLDEN = os.path.join(TOP, "tests", "wire", "golden")
OWN = "test.node"  # node.service


def golden(name):
    """The frames, as bytes."""
    with open(os.path.join(GOLDEN, name + ".hex"), encoding="ascii") as file:
        return [bytes.fromhex(line) for line in file.read().split()]


def unpack(raw):
    words = int.from_bytes(raw[12:14], "big")
    return tts.Frame(wire.unpack_ttheader(raw[:14], raw[14:14 + 4 * words]), raw[14 + 4 * words:],
                     raw)


def content(frame):
    """All but the number of the stream, which is the connection's own."""
    return (frame.kind, frame.method, frame.header.flags, frame.header.protocol, frame.strs,
            frame.ints, frame.payload)


class Streaming(TestCase):
    def both(self, behaviour=tts.silent, listener=None, config=None, **policy):
        server = tts.Upstream(behaviour)
        self.addCleanup(server.close)
        daemon = self.pinned(server, listener, config, protocol="ttheader_streaming", **policy)
        return server, daemon

    def client(self, daemon, listener="in"):
        client = tts.Client(daemon.address(listener))
        self.addCleanup(client.close)
        return client

    def assert_exception(self, frame, kind, reason):
        self.assertIsNotNone(frame.exception, frame)
        got, text = frame.exception
        self.assertEqual(got, kind, text)
        self.assertTrue(text.startswith("bridled: %s: " % reason), text)


class Passing(Streaming):
    def test_what_kitex_sends_arrives_as_it_was_sent(self):
        for question, replies in (("30_tts_client_header_data_trailer", "31_tts_server_ok"),
                                  ("30_tts_client_header_data_trailer",
                                   "32_tts_server_error_trailer"),
                                  ("30_tts_client_header_data_trailer",
                                   "33_tts_server_biz_trailer")):
            with self.subTest(replies=replies):
                self.check_golden(question, replies)

    def check_golden(self, question, replies):
        server, daemon = self.both()
        client = self.client(daemon)
        for raw in golden(question):
            client.send(raw)
        came = server.await_frames(TRAILER) and server.received()
        sent = [unpack(raw) for raw in golden(question)]
        self.assertEqual([content(f) for _, f in came], [content(f) for f in sent])
        peer, first = came[0]
        for raw in golden(replies):
            answer = unpack(raw)
            number, payload = first.stream, answer.payload
            if payload[:2] == b"\x80\x01":  # an exception has the number once more
                payload = tts.exception(number, *answer.exception, method=answer.method)
            peer.send(tts.pack(answer.kind, number, payload, answer.method, answer.strs))
        client.over(sent[0].stream)
        for got, raw in zip(client.frames, golden(replies), strict=True):
            expected = unpack(raw)
            self.assertEqual(content(got)[:-1], content(expected)[:-1])
            if got.kind == TRAILER:
                self.assertEqual(got.exception, expected.exception)
            else:
                self.assertEqual(got.payload, expected.payload)
            self.assertEqual(got.stream, sent[0].stream)
        client.close()
        daemon.stop()

    def test_a_reset_that_kitex_sends(self):
        server, daemon = self.both(tts.echo)
        client = self.client(daemon)
        (raw,) = golden("34_tts_client_rst")
        reset = unpack(raw)
        client.header(reset.stream, method=reset.method)
        client.await_frame(HEADER, reset.stream)
        client.send(raw)
        (_, came), = server.await_frames(RST)
        self.assertEqual(came.exception, reset.exception)
        self.assertEqual(came.strs["ttscp"], reset.strs["ttscp"] + "," + OWN)

    def test_keys_of_every_kind(self):
        server, daemon = self.both()
        client = self.client(daemon)
        strs = {"isn": "EchoService", "RPC_PERSIST_A": "b", "RPC_TRANSIT_C": "d", "own": "key"}
        number = client.open("Bidi", strs, ints={wire.FROM_SERVICE: "the.caller", 2: "log-7",
                                                 77: "x"}, acl="token")
        (peer, came), = server.await_frames(HEADER)
        self.assertEqual((came.strs, came.header.acl), (strs, "token"))
        self.assertEqual((came.ints[wire.FROM_SERVICE], came.ints[2], came.ints[77]),
                         ("the.caller", "log-7", "x"))
        peer.header(came.stream, strs={"one": "1"})
        self.assertEqual(client.await_frame(HEADER, number).strs, {"one": "1"})
        peer.trailer(came.stream, strs={"two": "2"})
        self.assertEqual(client.over(number).strs, {"two": "2"})

    def test_streams_are_numbered_anew_and_stay_apart(self):
        """Two callers with the same numbers, on one connection to the application."""
        server, daemon = self.both(tts.echo, config={"workers": 1})
        one, two = self.client(daemon), self.client(daemon)
        for client, text in ((one, "of one"), (two, "of two")):
            for number in (1, -7, 2147483647):
                client.header(number)
                client.data(number, text)
        for client, text in ((one, "of one"), (two, "of two")):
            for number in (1, -7, 2147483647):
                self.assertEqual(client.await_frame(DATA, number).text, text)
                client.trailer(number)
                self.assertEqual(client.over(number).kind, TRAILER)
        self.assertEqual(len(server.peers), 1)
        numbers = [f.stream for _, f in server.received(HEADER)]
        self.assertEqual(len(set(numbers)), 6)
        self.assertNotIn(0, numbers)

    def test_an_unknown_kind_of_frame_and_meta_are_passed_on(self):
        server, daemon = self.both(tts.echo)
        client = self.client(daemon)
        number = client.open()
        client.await_frame(HEADER, number)
        (peer, came), = server.await_frames(HEADER)
        peer.frame(META, came.stream, b"meta", strs={"some": "thing"})
        got = client.await_frame(META, number)
        self.assertEqual((got.payload, got.strs), (b"meta", {"some": "thing"}))

    def test_frames_of_unknown_streams_change_nothing(self):
        server, daemon = self.both(tts.echo)
        client = self.client(daemon)
        number = client.open()
        client.await_frame(HEADER, number)
        (peer, came), = server.await_frames(HEADER)
        for other in (came.stream + 1000, 0):
            peer.data(other, "nobody's")
            peer.trailer(other)
            peer.rst(other)
        for other in (number + 100000, ):
            client.data(other, "nobody's")
            client.trailer(other)
            client.rst(other)
        client.data(number, "still here")
        self.assertEqual(client.await_frame(DATA, number).text, "still here")
        self.assertEqual(len(server.received(DATA)), 1)

    def test_messages_of_many_sizes(self):
        _, daemon = self.both(tts.echo)
        client = self.client(daemon)
        number = client.open()
        for index, size in enumerate((0, 1, 1000, 65536, 200000), 1):
            client.data(number, "x" * size)
            got = client.await_frame(DATA, number, count=index)
            self.assertEqual(len(got.text), size)

    def test_both_framings_on_one_port(self):
        """The first bytes of a connection decide."""
        server = self.upstream()
        streams = tts.Upstream(tts.echo)
        self.addCleanup(streams.close)
        daemon = self.bridled({
            "listeners": [{"name": "in", "address": "127.0.0.1:0"}],
            "services": {"unary": {"endpoints": [server.address], "protocol": "ttheader"},
                         "streams": {"endpoints": [streams.address],
                                     "protocol": "ttheader_streaming"}}})
        client = self.client(daemon)
        number = client.open(ints={wire.TO_SERVICE: "streams"})
        self.assertEqual(client.await_frame(HEADER, number).kind, HEADER)
        with self.caller(daemon, "ttheader_framed") as caller:
            self.assertEqual(caller.call(ints={wire.TO_SERVICE: "unary"}).text, "hello")


class Ends(Streaming):
    """Who ends a stream, how, and who has to be told."""

    def running(self, behaviour=tts.silent, **kwargs):
        """A stream with a message that has gone to and fro."""
        server, daemon = self.both(behaviour, **kwargs)
        client = self.client(daemon)
        number = client.open()
        client.data(number, "one")
        peer, came = server.await_frames(DATA)[0]
        peer.header(came.stream)
        peer.data(came.stream, "one")
        client.await_frame(DATA, number)
        return server, daemon, client, number, peer, came.stream

    def test_both_sides_finish(self):
        _, daemon, client, number, peer, theirs = self.running()
        client.trailer(number)
        peer.await_frame(TRAILER, theirs)
        peer.trailer(theirs)
        self.assertEqual(client.over(number).kind, TRAILER)
        (line,) = daemon.access_log(1)
        self.assertEqual((line["protocol"], line["kind"], line["method"], line["reason"]),
                         ("ttheader_streaming", "stream", "Bidi", "ok"))
        self.assertEqual(line["messages"], {"in": 1, "out": 1})
        self.assert_metric(daemon, 1, "bridle_stream_messages_total", service="svc", direction="in")
        self.assert_metric(daemon, 1, "bridle_stream_messages_total", service="svc",
                           direction="out")

    def test_the_application_finishes_first(self):
        """Which ends the stream for both; what the caller still says is for nobody."""
        server, daemon, client, number, peer, theirs = self.running(
            config={"shutdown": {"drain": "300ms", "spread": "10ms"}})
        peer.trailer(theirs)
        self.assertEqual(client.over(number).kind, TRAILER)
        client.data(number, "too late")
        client.trailer(number)
        other = client.call()
        server.await_frames(TRAILER)
        self.assertEqual([f.text for _, f in server.received(DATA) if f.stream == theirs], ["one"])
        del daemon, other

    def test_the_application_fails(self):
        _, daemon, client, number, peer, theirs = self.running()
        peer.trailer(theirs, tts.exception(theirs, 6, "biz error: boom"))
        end = client.over(number)
        self.assertEqual((end.kind, end.exception), (TRAILER, (6, "biz error: boom")))
        (line,) = daemon.access_log(1)
        self.assertEqual(line["reason"], "app_exception")

    def test_a_business_error(self):
        _, daemon, client, number, peer, theirs = self.running()
        peer.trailer(theirs, strs={"biz-status": "404", "biz-message": "not found"})
        end = client.over(number)
        self.assertEqual((end.kind, end.exception, end.strs),
                         (TRAILER, None, {"biz-status": "404", "biz-message": "not found"}))
        (line,) = daemon.access_log(1)
        self.assertEqual((line["reason"], str(line["biz_status"])), ("biz_error", "404"))

    def test_the_caller_cancels(self):
        """Kitex sends a trailer behind it, for applications that know no resets."""
        server, daemon, client, number, peer, theirs = self.running()
        client.rst(number, path="a,b")
        client.trailer(number)
        reset = peer.await_frame(RST, theirs)
        self.assertEqual(reset.exception, (tts.USER_CANCEL, "canceled"))
        self.assertEqual(reset.strs["ttscp"], "a,b," + OWN)
        (line,) = daemon.access_log(1)
        self.assertEqual(line["reason"], "canceled")
        self.assertEqual(client.of(number, RST), [])
        del server

    def test_the_caller_cancels_without_a_path(self):
        _, _, client, number, peer, theirs = self.running()
        client.rst(number, path=None)
        self.assertEqual(peer.await_frame(RST, theirs).strs.get("ttscp"), OWN)

    def test_the_application_resets(self):
        _, daemon, client, number, peer, theirs = self.running()
        peer.rst(theirs, 12012, "handler returned", path="the.server")
        end = client.over(number)
        self.assertEqual((end.kind, end.exception), (RST, (12012, "handler returned")))
        self.assertEqual(end.strs["ttscp"], "the.server," + OWN)
        (line,) = daemon.access_log(1)
        self.assertNotEqual(line["reason"], "ok")

    def test_the_caller_is_lost(self):
        self.check_lost_caller(tts.Client.abort)

    def test_the_caller_closes(self):
        self.check_lost_caller(tts.Client.close)

    def check_lost_caller(self, how):
        _, daemon, client, _, peer, theirs = self.running()
        how(client)
        reset = peer.await_frame(RST, theirs)
        self.assertIsNotNone(reset.exception)
        self.assertEqual(reset.strs["ttscp"], OWN)
        self.assertFalse(peer.is_closed)
        (line,) = daemon.access_log(1)
        self.assertEqual(line["reason"], "canceled")

    def test_the_application_is_lost(self):
        _, daemon, client, number, peer, _ = self.running()
        peer.abort()
        end = client.over(number)
        self.assert_exception(end, tts.TRANSPORT_CLOSING, "reset")
        (line,) = daemon.access_log(1)
        self.assertEqual(line["reason"], "reset")
        self.assertFalse(client.is_closed)

    def test_the_application_is_lost_before_its_header(self):
        """A trailer may only follow a header."""
        server, daemon = self.both()
        client = self.client(daemon)
        number = client.open()
        client.data(number, "one")
        server.await_frames(DATA)
        server.peer().abort()
        end = client.over(number)
        self.assert_exception(end, tts.TRANSPORT_CLOSING, "reset")
        if end.kind == TRAILER:
            self.assertEqual([f.kind for f in client.of(number)], [HEADER, TRAILER])
        del daemon

    def test_nobody_listens(self):
        server, daemon = self.both()
        server.close()
        client = self.client(daemon)
        number = client.call()
        end = client.over(number)
        self.assert_exception(end, tts.TRANSPORT_CLOSING, "connect_failed")
        self.assertEqual([f.kind for f in client.of(number)], [HEADER, TRAILER])

    def test_no_service(self):
        server, _ = self.both()
        daemon = self.other({"svc": {"endpoints": [server.address],
                                     "protocol": "ttheader_streaming"}})
        client = self.client(daemon)
        number = client.open()
        end = client.over(number)
        self.assert_exception(end, tts.UNKNOWN_SERVICE, "no_route")
        self.assertEqual([f.kind for f in client.of(number)], [HEADER, TRAILER])

    def other(self, services):
        os.mkdir(self.path("other"))
        self.directory = self.path("other")
        return self.bridled({"listeners": [{"name": "in", "address": "127.0.0.1:0"}],
                             "services": services})

    def test_by_the_idl_service_through_an_alias(self):
        server, _ = self.both(tts.echo)
        daemon = self.other({"svc": {"endpoints": [server.address], "aliases": ["EchoService"],
                                     "protocol": "ttheader_streaming"}})
        client = self.client(daemon)
        self.assertEqual(client.over(client.call()).exception, None)

    def test_an_application_that_does_not_know_the_method(self):
        """Kitex says nothing then: the time for a first answer is up after the caller's end."""
        _, daemon = self.both(timeout={"call": "300ms"})
        client = self.client(daemon)
        began = time.monotonic()
        number = client.call(method="Nope")
        end = client.over(number)
        self.assert_exception(end, tts.STREAM_TIMEOUT, "timeout")
        self.assertLess(time.monotonic() - began, AT_ONCE)

    def test_a_stream_on_which_nothing_moves(self):
        _, _, client, number, peer, theirs = self.running(timeout={"idle": "2s"})
        self.assert_exception(client.over(number), tts.STREAM_TIMEOUT, "timeout")
        reset = peer.await_frame(RST, theirs)
        self.assertEqual(reset.exception[0], tts.STREAM_TIMEOUT)
        self.assertEqual(reset.strs["ttscp"], OWN)

    def test_a_second_header_kills_no_neighbours(self):
        server, _, client, number, peer, theirs = self.running()
        other = client.open()
        eventually(lambda: len(server.received(HEADER)) == 2)
        second = server.received(HEADER)[1][1].stream
        peer.header(theirs)
        self.assertIsNotNone(client.over(number).exception)
        peer.header(second)
        peer.data(second, "well")
        self.assertEqual(client.await_frame(DATA, other).text, "well")

    def test_too_many_streams_on_a_connection(self):
        server, daemon = self.both(tts.echo, listener={"in_flight": 2})
        client = self.client(daemon)
        numbers = [client.open() for _ in range(3)]
        end = client.over(numbers[2])
        self.assertEqual((end.kind, end.exception[0]), (TRAILER, 6))
        for number in numbers[:2]:
            client.trailer(number)
            self.assertIsNone(client.over(number).exception)
        number = client.call()
        self.assertIsNone(client.over(number).exception)
        self.assertEqual(len(server.received(HEADER)), 3)

    def test_a_caller_that_does_not_read(self):
        """Its stream is reset when 256 KiB wait; the streams of other callers go on."""
        server, daemon = self.both(config={"workers": 1})
        slow, quick = self.client(daemon), self.client(daemon)
        first = slow.open()
        server.await_frames(HEADER)
        slow.pause()
        peer, came = server.received(HEADER)[0]
        peer.header(came.stream)
        filler = tts.pack(DATA, came.stream, wire.arguments("x" * 60000))

        def is_reset():
            peer.send(filler)
            return peer.of(came.stream, RST)
        (reset,) = eventually(is_reset, what="the reset")
        self.assertEqual(reset.strs["ttscp"], OWN)
        number = quick.open()
        second = eventually(lambda: server.received(HEADER)[1:])[0][1].stream
        peer.header(second)
        peer.data(second, "quick")
        self.assertEqual(quick.await_frame(DATA, number).text, "quick")
        slow.resume()
        self.assertIsNotNone(slow.over(first).exception)


class Hostile(Streaming):
    CLOSING = {"no kind": tts.pack(None, 5), "no flag": tts.pack(DATA, 5, flags=0),
               "a kind that is none": tts.pack("9x", 5), "no TTHeader": b"\0\0\0\x10" + b"x" * 16,
               "a length past the limit": b"\x7f\xff\xff\xff" + tts.pack(DATA, 5)[4:],
               "no room for the header": tts.pack(DATA, 5)[:12] + b"\xff\xff" +
                                         tts.pack(DATA, 5)[14:]}

    def test_frames_that_end_the_connection(self):
        server, daemon = self.both(tts.echo)
        for name, frame in self.CLOSING.items():
            with self.subTest(name), self.client(daemon) as client:
                number = client.open()
                client.await_frame(HEADER, number)
                client.send(frame)
                client.closed(AT_ONCE)
        resets = server.await_frames(RST, len(self.CLOSING))
        self.assertEqual(len({(id(p), f.stream) for p, f in resets}), len(self.CLOSING))
        self.assertEqual(server.malformed, [])

    def test_frames_that_end_the_stream(self):
        server, daemon = self.both(tts.echo)
        client = self.client(daemon)
        neighbour = client.open()
        for name, frames in (("a second header", (tts.pack(HEADER, 5), tts.pack(HEADER, 5))),
                             ("no method", (tts.pack(HEADER, 7, method=None),))):
            with self.subTest(name):
                for frame in frames:
                    client.send(frame)
                end = client.over(unpack(frames[0]).stream)
                self.assertTrue(end.exception[1].startswith("bridled: malformed: "), end)
        client.data(neighbour, "well")
        self.assertEqual(client.await_frame(DATA, neighbour).text, "well")
        self.assertEqual(server.malformed, [])


class Draining(Streaming):
    def test_streams_that_run_may_end(self):
        server, daemon = self.both(tts.echo, config={"shutdown": {"drain": "60s",
                                                                  "spread": "10ms"}})
        client = self.client(daemon)
        number = client.open()
        client.data(number, "one")
        client.await_frame(DATA, number)
        daemon.signal(signal.SIGTERM)
        eventually(lambda: not listens(daemon_address(client)), what="the end of listening")
        client.data(number, "two")
        self.assertEqual(client.await_frame(DATA, number, count=2).text, "two")
        client.trailer(number)
        self.assertIsNone(client.over(number).exception)
        client.closed()
        self.assertEqual(daemon.wait(), 0)
        self.assertEqual(server.malformed, [])

    def test_streams_that_do_not_end_are_told(self):
        server, daemon = self.both(config={"shutdown": {"drain": "500ms", "spread": "10ms"}})
        client = self.client(daemon)
        number = client.open()
        peer, came = server.await_frames(HEADER)[0]
        daemon.signal(signal.SIGTERM)
        self.assert_exception(client.over(number), tts.TRANSPORT_CLOSING, "draining")
        self.assertIsNotNone(peer.await_frame(RST, came.stream).exception)
        client.closed()
        self.assertEqual(daemon.wait(), 0)


def daemon_address(client):
    return "%s:%d" % client.sock.getpeername()


def listens(address):
    try:
        sockets.connect(address).close()
        return True
    except OSError:
        return False


@needs(GOECHO)
class Gopkg(Peers):
    """The codec that Kitex itself uses, on both sides."""

    EXPECTED = {
        "bidi": ["50"], "up": ["50"], "down": ["50"], "long": ["100000"],
        "fail": ["6 biz error: stream boom"], "biz": ["0   404 not found"],
        "reset": ["12012 the handler has returned go.server," + OWN], "early": ["first"],
        "cancel": ["12007"], "concurrent": ["100"], "serial": ["500"],
        "header": ["came.27=2", "came.3=go.caller", "came.6=demo.stream", "came.9=Bidi",
                   "came.PERSIST_TENANT=blue", "came.TRANSIT_HOP=one", "came.isn=EchoService"]}

    def check(self, network):
        server = self.server(GOECHO, "stream-server", "{}", network=network)
        daemon = self.pinned(server, protocol="ttheader_streaming", config={"listeners": [
            {"name": "in", "address": "127.0.0.1:0", "service": "svc"},
            {"name": "unix", "address": "unix:" + self.path("in.sock"), "service": "svc"}]})
        for listener in ("in", "unix"):
            with self.subTest(listener=listener, network=network):
                said = self.run_client(GOECHO, "stream-client", daemon.address(listener))
                got = {what: [v.strip() for v in self.values(said, what)] for what, _ in said}
                self.assertEqual(got, self.EXPECTED)
        server.await_said("canceled Bidi 12007 go.caller," + OWN, count=2)
        self.assertEqual(server.said("lost"), [])
        self.assertFalse([line for line in server.said() if not line.startswith(
            ("began", "canceled"))])

    def test_over_tcp(self):
        self.check("tcp")

    def test_over_a_unix_socket(self):
        self.check("unix")

    def test_one_connection_for_all_streams(self):
        server = self.server(GOECHO, "stream-server", "{}")
        daemon = self.pinned(server, protocol="ttheader_streaming", config={"workers": 1})
        self.run_client(GOECHO, "stream-client", daemon.address(), "100")
        self.assert_metric(daemon, 1, "bridle_upstream_connections", service="svc")
        self.assert_metric(daemon, 1, "bridle_calls_total", method="Biz", reason="biz_error")
        self.assert_metric(daemon, 1, "bridle_calls_total", method="Fail", reason="app_exception")
        self.assert_metric(daemon, 202, "bridle_calls_total", method="Bidi", reason="ok")
        self.assert_metric(daemon, 1, "bridle_calls_total", method="Bidi", reason="canceled")
