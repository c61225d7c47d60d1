"""TTHeader Streaming, whose peers mean harm, break the rules or go away. The protocol has no flow
control and no signal for the end of a connection, so that the proxy has to bring both."""

import random
import signal
import struct
import time

import sockets
import tts
import wire
from bridled import IS_SANITIZED, TestCase, eventually
from ends import PATIENCE
from h2_case import AT_ONCE, FAR_AWAY, ONE_WORKER, PATIENT

MIB = 1 << 20
TIMES = {"detect": "500ms", "message": "1s", "idle": "20s", "write_stall": "2s"}


class Streams(TestCase):
    """One application that the test drives by hand, unless a behaviour is given."""

    daemon = None

    def begin(self, behaviour=tts.silent, listener=None, config=None, name=None, **policy):
        if self.daemon:
            self.daemon.stop()
        self.service = self.tts_upstream(behaviour, name)
        policy["timeout"] = {**PATIENT, **policy.get("timeout", {})}
        self.daemon = self.pinned(self.service, {"timeout": TIMES, **(listener or {})},
                                  {**ONE_WORKER, **(config or {})}, **policy)
        return self.client()

    def tts_upstream(self, behaviour=tts.silent, name=None, **kwargs):
        service = tts.Upstream(behaviour, name and self.path(name), **kwargs)
        self.addCleanup(service.close)
        return service

    def client(self, **kwargs):
        client = tts.Client(self.daemon.address(), **kwargs)
        self.addCleanup(client.close)
        return client

    def opened(self, client, count=1):
        """[(the caller's number, the application's end, its number)] of streams just opened."""
        before = len(self.service.received(tts.HEADER))
        mine = [client.open() for _ in range(count)]
        theirs = self.service.await_frames(tts.HEADER, before + count)[before:]
        return [(a, peer, frame.stream) for a, (peer, frame) in zip(mine, theirs)]

    def assert_echoed(self, client, number, texts):
        end = client.over(number)
        self.assertEqual((end.kind, end.exception), (tts.TRAILER, None), end)
        kinds = [f.kind for f in client.of(number)]
        self.assertEqual(kinds, [tts.HEADER] + [tts.DATA] * len(texts) + [tts.TRAILER])
        self.assertEqual([f.text for f in client.of(number, tts.DATA)], list(texts))

    def good_call(self, client=None):
        client = client or self.client()
        text = "good %d" % next(sockets.sequence)
        began = time.monotonic()
        self.assert_echoed(client, client.call((text, text)), (text, text))
        return time.monotonic() - began

    def assert_ended_by_us(self, client, number, kind, reason, seconds=PATIENCE):
        """In legal order: an exception in a trailer behind a header, or a reset behind ours."""
        end = client.over(number, seconds)
        kinds = [f.kind for f in client.of(number)]
        self.assertEqual(kinds[0], tts.HEADER, kinds)
        self.assertEqual(kinds.count(tts.HEADER), 1, kinds)
        self.assertIsNotNone(end.exception, end)
        got, text = end.exception
        self.assertRegex(text, "^bridled: %s: " % reason)
        if kind is not None:
            self.assertEqual(got, kind, text)
        if end.kind == tts.RST:
            self.assertEqual(end.strs.get(tts.PATH), "test.node")
        return end

    def assert_unharmed(self):
        self.assertTrue(self.daemon.is_alive(), self.daemon.errors()[-4000:])
        self.service.behaviour = tts.echo
        self.good_call()  # may wait for what the application has still to read
        for _ in range(3):
            self.assertLess(self.good_call(), AT_ONCE)
        self.assertEqual(self.service.malformed, [])


class Passing(Streams):
    def test_what_is_passed_on_is_what_came(self):
        client = self.begin()
        meta = {"strs": {"isn": "EchoService", "RPC_PERSIST_K": "v", "x": "", "\xe9": "\xff"},
                "ints": {2: "log-1", 3: "the.caller", 999: "x"}, "acl": "token"}
        number = client.open(**meta)
        ((peer, frame),) = self.service.await_frames(tts.HEADER)
        self.assertEqual((frame.strs, frame.header.acl), (meta["strs"], "token"))
        self.assertEqual({k: frame.ints.get(k) for k in meta["ints"]}, meta["ints"])
        self.assertEqual((frame.method, frame.header.flags, frame.header.protocol, frame.payload),
                         ("Bidi", tts.STREAMING, tts.STRUCT, b""))
        payload = wire.arguments("x" * 100000)[:-1] + wire.i32_field(9, 7) + b"\0"
        client.frame(tts.DATA, number, payload, ints={1000: "y"})
        got = peer.await_frame(tts.DATA)
        self.assertEqual((got.payload, got.stream, got.ints.get(1000)),
                         (payload, frame.stream, "y"))
        peer.frame(tts.HEADER, frame.stream, strs={"a": "b"}, ints={77: "z"})
        peer.frame(tts.DATA, frame.stream, payload)
        peer.trailer(frame.stream, strs={"biz-status": "404", "biz-message": "not found"})
        header = client.await_frame(tts.HEADER, number)
        self.assertEqual((header.strs, header.ints.get(77)), ({"a": "b"}, "z"))
        self.assertEqual(client.await_frame(tts.DATA, number).payload, payload)
        self.assertEqual(client.over(number).strs, {"biz-status": "404",
                                                    "biz-message": "not found"})

    def test_an_exception_of_the_application_is_passed_on(self):
        client = self.begin()
        ((mine, peer, theirs),) = self.opened(client)
        peer.header(theirs)
        peer.trailer(theirs, tts.exception(theirs, 12012, "biz error: no"))
        self.assertEqual(client.over(mine).exception, (12012, "biz error: no"))

    def test_messages_flow_while_both_sides_talk(self):
        client = self.begin(tts.echo)
        number = client.open()
        for i in range(50):
            client.data(number, "message %d" % i)
            client.await_frame(tts.DATA, number, count=i + 1)
        client.trailer(number)
        self.assert_echoed(client, number, ["message %d" % i for i in range(50)])

    def test_a_trailer_of_the_application_ends_the_stream_both_ways(self):
        client = self.begin()
        ((mine, peer, theirs),) = self.opened(client)
        peer.header(theirs)
        peer.trailer(theirs)
        client.over(mine)
        client.data(mine, "late")
        client.trailer(mine)
        peer.header(theirs)
        self.assert_unharmed()
        self.assertEqual([f.kind for f in client.of(mine)], [tts.HEADER, tts.TRAILER])
        self.assertEqual(peer.of(theirs, tts.DATA), [])

    def test_unix_sockets(self):
        client = self.begin(tts.echo, name="app.sock")
        self.good_call(client)


class Numbers(Streams):
    """Ids belong to a connection: those of callers are mapped onto those of ours."""

    def test_callers_with_the_same_ids_share_a_connection(self):
        first = self.begin()
        clients = [first] + [self.client() for _ in range(4)]
        for client in clients:
            for number in (7, 8, -3):
                client.header(number, strs={"who": "%d of %d" % (number, clients.index(client))})
        headers = self.service.await_frames(tts.HEADER, 15)
        self.assertEqual(len({(peer, f.stream) for peer, f in headers}), 15)
        self.assertEqual(len({peer for peer, _ in headers}), 1)
        self.assertNotIn(0, [f.stream for _, f in headers])
        for peer, frame in reversed(headers):
            peer.header(frame.stream)
            peer.data(frame.stream, frame.strs["who"])
            peer.trailer(frame.stream)
        for i, client in enumerate(clients):
            for number in (7, 8, -3):
                self.assert_echoed(client, number, ["%d of %d" % (number, i)])

    def test_ids_of_every_kind(self):
        client = self.begin(tts.echo)
        for number in (1, -1, 0x7FFFFFFF, -0x80000000, 1000, 2, 1):
            with self.subTest(id=number):
                before = len(client.of(number))
                client.header(number)
                client.data(number, "x")
                client.trailer(number)
                client.until(lambda n=number, b=before: len(
                    [f for f in client.frames if f.stream == n]) == b + 3)
                self.assertEqual([f.kind for f in client.of(number)][before:],
                                 [tts.HEADER, tts.DATA, tts.TRAILER])

    def test_unknown_ids_are_ignored_on_both_sides(self):
        client = self.begin(tts.echo)
        self.good_call(client)
        peer = self.service.peer()
        for kind in (tts.DATA, tts.TRAILER, tts.RST, tts.META, "9"):
            client.frame(kind, 4711, b"", strs={tts.PATH: "x"})
            peer.frame(kind, 4712, b"")
        peer.header(4713)
        self.good_call(client)
        self.assertEqual([f for f in client.frames if f.stream in (4711, 4712, 4713)], [])
        self.assertEqual([f for f in peer.frames if f.stream == 4711], [])
        self.assertEqual((len(self.service.peers), client.is_closed), (1, False))

    def test_an_id_that_is_open_twice(self):
        """Kitex would not say it; nobody may get what belongs to the first."""
        client = self.begin()
        ((mine, peer, theirs),) = self.opened(client)
        client.header(mine)
        time.sleep(0.1)
        self.assertLessEqual(len(peer.of(theirs, tts.HEADER)), 1)
        self.assert_unharmed()


class Kinds(Streams):
    def test_frames_of_unknown_kinds_are_passed_on(self):
        client = self.begin()
        ((mine, peer, theirs),) = self.opened(client)
        peer.header(theirs)
        client.await_frame(tts.HEADER, mine)
        for kind in ("9", "6", "123", tts.META):
            with self.subTest(kind=kind):
                client.frame(kind, mine, b"any bytes", strs={"k": "v"})
                got = peer.await_frame(kind, theirs)
                self.assertEqual((got.payload, got.strs), (b"any bytes", {"k": "v"}))
                peer.frame(kind, theirs, b"back", strs={"b": "w"})
                got = client.await_frame(kind, mine)
                self.assertEqual((got.payload, got.strs), (b"back", {"b": "w"}))

    def test_no_kind_closes(self):
        for data in (tts.pack(None, 1), tts.pack(tts.HEADER, 3) + tts.pack(None, 3),
                     tts.pack(tts.HEADER, 3) + tts.pack(tts.DATA, 3, flags=0),
                     tts.pack(tts.HEADER, 3) + wire.Packet(
                         "ttheader_framed", wire.CALL, "Echo", 1, wire.arguments("x")).pack(),
                     tts.pack(tts.HEADER, 3) + tts.pack(tts.DATA, 3)[:-2] + b"PRI * HTTP/2.0\r\n",
                     tts.pack(tts.HEADER, 3) + wire.frame(b"\x80\1\0\1" + b"\0" * 20),
                     tts.pack("", 3), tts.pack(tts.HEADER, 3) + b"\0" * 20,
                     tts.pack(tts.HEADER, 3) + b"\xff" * 20):
            with self.subTest(data=data[:80].hex()):
                client = self.begin()
                client.send(data)
                client.closed(AT_ONCE)
                for peer, frame in self.service.received(tts.HEADER):
                    self.assertEqual(peer.over(frame.stream).kind, tts.RST)
                self.assert_unharmed()

    def test_no_kind_from_the_application_closes_its_connection(self):
        for data in (tts.pack(None, 1), tts.pack(tts.DATA, 1, flags=0), b"HTTP/1.1 400 Bad\r\n\r\n",
                     b"\xff" * 40, b"\0" * 40):
            with self.subTest(data=data[:40].hex()):
                client = self.begin()
                streams = self.opened(client, 5)
                peer = streams[0][1]
                peer.header(streams[0][2])
                peer.send(data)
                peer.closed(AT_ONCE)
                for mine, _, _ in streams:
                    self.assert_ended_by_us(client, mine, None, "(bad_reply|reset)")
                self.assert_unharmed()

    def test_headers_that_lie(self):
        good = tts.pack(tts.HEADER, 5)
        for data in (
                wire.pack_ttheader(b"\x10\0\x10\xff\xff\0\0\0", b"", 5, tts.STREAMING),
                wire.pack_ttheader(b"\x10\0\1\0\1\xff\xff\0", b"", 5, tts.STREAMING),
                wire.pack_ttheader(b"\x10\0\2\0", b"", 5, tts.STREAMING),
                struct.pack(">I", 0xFFFFFFFF) + good[4:], struct.pack(">I", 10) + good[4:],
                struct.pack(">I", 0x80000000) + good[4:], good[:12] + b"\0\0" + good[14:],
                good[:12] + b"\xff\xff" + good[14:]):
            with self.subTest(data=data[:40].hex()):
                client = self.begin(tts.echo)
                self.good_call(client)
                client.send(data)
                client.closed(FAR_AWAY)
                self.assert_unharmed()

    def test_an_application_without_order(self):
        """What the caller sees is in order, whatever comes."""
        orders = {"two headers": "22", "data first": "3", "trailer first": "4",
                  "data after end": "243", "two trailers": "244",
                  "header after end": "242", "reset first": "5",
                  "reset after end": "245", "nothing known": "2923", "data after reset": "253"}
        for name, kinds in orders.items():
            with self.subTest(order=name):
                client = self.begin(timeout={"stream": "1s"})
                ((mine, peer, theirs),) = self.opened(client)
                for kind in kinds:
                    payload = wire.arguments("x") if kind == tts.DATA else b""
                    if kind == tts.RST:
                        payload = tts.exception(theirs, 12008, "no")
                    peer.frame(kind, theirs, payload)
                client.over(mine)
                self.assert_unharmed()
                seen = "".join(f.kind for f in client.of(mine))
                self.assertRegex(seen, "^(2[39]*4|2[39]*5|5)$", "sent %s" % kinds)

    def test_a_caller_without_order(self):
        for kinds in ("22", "243", "244", "242", "253", "255", "254", "2424", "2999"):
            with self.subTest(order=kinds):
                client = self.begin(config={"shutdown": {"drain": "300ms", "spread": "10ms"}})
                for kind in kinds:
                    client.frame(kind, 5, wire.arguments("x") if kind == tts.DATA else b"")
                client.header(6)
                eventually(lambda c=client: c.is_closed or any(
                    f.stream != 5 for _, f in self.service.received(tts.HEADER)))
                for peer in self.service.peers:
                    for number in {f.stream for f in peer.frames}:
                        seen = "".join(f.kind for f in peer.of(number))
                        self.assertRegex(seen, "^2[39]*(4?5?|54)$", "sent %s" % kinds)
                client.close()
                self.assert_unharmed()


class Ends(Streams):
    def test_a_cancel_names_the_way_it_came(self):
        client = self.begin()
        for path, expected in (("demo.caller", "demo.caller,test.node"), ("a,b", "a,b,test.node"),
                               (None, "test.node")):
            with self.subTest(path=path):
                ((mine, peer, theirs),) = self.opened(client)
                began = time.monotonic()
                client.rst(mine, tts.USER_CANCEL, "user code", path)
                client.trailer(mine)  # as Kitex does for those who know no reset
                got = peer.await_frame(tts.RST, theirs)
                self.assertLess(time.monotonic() - began, AT_ONCE)
                self.assertEqual(got.strs.get(tts.PATH), expected)
                self.assertEqual(got.exception, (tts.USER_CANCEL, "user code"))
        time.sleep(0.1)
        self.assertEqual([f for f in client.frames if f.kind in (tts.TRAILER, tts.RST)], [])
        self.assertEqual({line["reason"] for line in self.daemon.access_log(3)}, {"canceled"})

    def test_a_reset_of_the_application_reaches_the_caller(self):
        client = self.begin()
        for begun in (True, False):
            with self.subTest(begun=begun):
                ((mine, peer, theirs),) = self.opened(client)
                if begun:
                    peer.header(theirs)
                peer.rst(theirs, 12009, "no more", "app")
                end = client.over(mine)
                self.assertEqual(end.exception, (12009, "no more"))
        self.assert_unharmed()

    def test_the_application_is_lost(self):
        for how in (tts.Peer.close, tts.Peer.abort):
            with self.subTest(how=how.__name__):
                client = self.begin()
                streams = self.opened(client, 10)
                peer = streams[0][1]
                for _, _, theirs in streams[:5]:
                    peer.header(theirs)
                    peer.data(theirs, "part")
                for mine, _, _ in streams[:5]:
                    client.await_frame(tts.DATA, mine)
                how(peer)
                for mine, _, _ in streams:
                    self.assert_ended_by_us(client, mine, tts.TRANSPORT_CLOSING, "reset")
                self.assertFalse(client.is_closed)
                self.assert_unharmed()

    def test_the_caller_is_lost(self):
        for how in (tts.Peer.close, tts.Peer.abort):
            with self.subTest(how=how.__name__):
                client, other = self.begin(), self.client()
                streams = self.opened(client, 10)
                ((mine, peer, theirs),) = self.opened(other)
                for _, _, number in streams[:5]:
                    peer.header(number)
                how(client)
                for _, _, number in streams:
                    got = peer.await_frame(tts.RST, number)
                    self.assertEqual(got.strs.get(tts.PATH), "test.node")
                    self.assertIn(got.exception[0], range(12006, 12014))
                peer.header(theirs)
                peer.trailer(theirs)
                other.over(mine)
                self.assertFalse(peer.is_closed)
                self.assert_unharmed()

    def test_no_application(self):
        client = self.begin()
        self.service.close()
        number = client.open()
        end = self.assert_ended_by_us(client, number, None, "connect_failed")
        self.assertIn(end.exception[0], (tts.INTERNAL, tts.TRANSPORT_CLOSING))
        self.assertEqual(end.kind, tts.TRAILER)
        self.assertFalse(client.is_closed)

    def test_times_of_a_stream(self):
        client = self.begin(timeout={"stream": "1500ms"})
        streams = self.opened(client, 2)
        streams[0][1].header(streams[0][2])
        for mine, peer, theirs in streams:
            self.assert_ended_by_us(client, mine, tts.STREAM_TIMEOUT, "timeout", FAR_AWAY)
            self.assertEqual(peer.await_frame(tts.RST, theirs).exception[0], tts.STREAM_TIMEOUT)
        self.assert_unharmed()

    def test_an_application_that_does_not_know_the_method_says_nothing(self):
        client = self.begin(timeout={"call": "300ms"})
        number = client.call(("x",))
        self.assert_ended_by_us(client, number, None, "timeout", FAR_AWAY)
        self.assert_unharmed()

    def test_a_drain_waits_for_streams_and_tells_those_that_stay(self):
        client = self.begin(config={"shutdown": {"drain": "4s", "spread": "10ms"}})
        streams = self.opened(client, 3)
        for _, peer, theirs in streams:
            peer.header(theirs)
        self.daemon.signal(signal.SIGTERM)
        eventually(lambda: self.daemon.get("/readyz")[0] == 503)
        mine, peer, theirs = streams[0]
        peer.data(theirs, "last")
        peer.trailer(theirs)
        self.assert_echoed(client, mine, ["last"])
        for mine, peer, theirs in streams[1:]:
            self.assert_ended_by_us(client, mine, tts.TRANSPORT_CLOSING, "draining")
            peer.await_frame(tts.RST, theirs)
        client.closed()
        self.daemon.wait()

    def test_too_many_streams(self):
        client = self.begin(listener={"in_flight": 5})
        streams = self.opened(client, 5)
        number = client.open()
        end = self.assert_ended_by_us(client, number, tts.INTERNAL, "[a-z_]+")
        self.assertEqual(end.kind, tts.TRAILER)
        client.data(number, "in vain")
        client.trailer(number)
        mine, peer, theirs = streams[0]
        peer.header(theirs)
        peer.trailer(theirs)
        client.over(mine)
        ((mine, peer, theirs),) = self.opened(client)
        peer.header(theirs)
        peer.trailer(theirs)
        client.over(mine)
        self.assertEqual(len(self.service.received(tts.HEADER)), 6)


class Memory(Streams):
    def assert_memory(self, more):
        if not IS_SANITIZED:
            self.assertLess(self.daemon.rss(), self.rss + more)

    def by_method(self, text, count):
        """Pour: so much data without a pause; others: echoed."""
        def behave(peer, frame):
            if frame is not None and frame.kind == tts.HEADER and frame.method == "Pour":
                peer.header(frame.stream, method="Pour")
                data = tts.pack(tts.DATA, frame.stream, wire.arguments(text), "Pour")
                for _ in range(count):
                    peer.send(data)
                peer.trailer(frame.stream, method="Pour")
            elif frame is not None and frame.method != "Pour":
                tts.echo(peer, frame)
        return behave

    def test_a_caller_that_does_not_read_loses_its_stream_and_its_neighbours_go_on(self):
        other = self.begin(self.by_method("x" * 60000, 500))
        self.good_call(other)
        self.rss = self.daemon.rss()
        for turn in range(3):
            slow = self.client(reads=False)
            number = slow.open("Pour")
            self.good_call(other)
            eventually(lambda n=turn: len(self.service.received(tts.RST)) > n,
                       what="a reset at the application")
            self.assert_memory(16 * MIB)
            slow.resume()
            end = slow.over(number)
            self.assertEqual(end.kind, tts.RST)
            self.assertRegex(end.exception[1], "^bridled: ")
            self.good_call(slow)
            slow.close()
        self.good_call(other)

    def test_a_caller_that_reads_gets_everything(self):
        client = self.begin(self.by_method("x" * 60000, 4))
        for _ in range(50):
            number = client.open("Pour")
            self.assertEqual(client.over(number).kind, tts.TRAILER)
            self.assertEqual(len(client.of(number, tts.DATA)), 4)

    def test_an_application_that_does_not_read_loses_its_streams_alone(self):
        self.service = self.tts_upstream(reads=False)
        self.daemon = self.pinned(self.service, {"timeout": TIMES}, ONE_WORKER)
        client = self.client()
        self.rss = self.daemon.rss()
        numbers = [client.open() for _ in range(3)]
        for _ in range(200):
            if not client.data(numbers[0], "x" * 60000) or any(
                    f.kind in (tts.RST, tts.TRAILER) for f in list(client.frames)):
                break
        self.assert_ended_by_us(client, numbers[0], None, "[a-z_]+")
        self.assert_memory(16 * MIB)
        time.sleep(0.1)
        self.assertEqual([f for n in numbers[1:] for f in client.of(n)
                          if f.kind in (tts.RST, tts.TRAILER)], [])

    def test_messages_past_the_limit(self):
        client = self.begin(tts.echo, listener={
            "max_message": "1MiB", "timeout": {**TIMES, "message": "20s"}})
        self.good_call(client)
        self.rss = self.daemon.rss()
        number = client.open()
        client.data(number, "x" * (900 << 10))
        client.await_frame(tts.DATA, number)
        client.data(number, "x" * (2 * MIB))
        client.until(lambda: client.is_closed or any(
            f.kind in (tts.RST, tts.TRAILER) for f in client.frames if f.stream == number))
        self.assert_memory(32 * MIB)
        self.assert_unharmed()

    def test_frames_that_do_not_end_share_the_memory(self):
        self.begin(tts.echo, {"timeout": {**TIMES, "message": "30s"}},
                   {"limits": {"memory": "32MiB"}})
        self.good_call()
        self.rss = self.daemon.rss()
        part = tts.pack(tts.DATA, 5, wire.arguments("x" * (30 * MIB)))[:10 * MIB]
        clients = [self.client() for _ in range(10)]
        for client in clients:
            client.header(5)
            client.send(part)
        eventually(lambda: len([c for c in clients if c.is_closed]) >= 6, what="refusals")
        self.assert_memory(64 * MIB)
        self.good_call()

    def test_headers_past_the_limit(self):
        for strs in ({"k%d" % i: "v" * 30000 for i in range(3)},
                     {"k%d" % i: "v" for i in range(5000)}):
            client = self.begin(tts.echo)
            client.header(5, strs=strs)
            client.closed()
            self.assert_unharmed()

    def test_many_streams_that_come_and_go(self):
        client = self.begin(tts.echo)
        self.good_call(client)
        self.rss = self.daemon.rss()
        for start in range(0, 20000, 500):
            data = b""
            for i in range(start + 1, start + 501):
                data += tts.pack(tts.HEADER, i, method="Reset") + tts.pack(
                    tts.RST, i, tts.exception(i, 12007, "no", "Reset"), "Reset")
            if not client.send(data):
                break
        self.assert_unharmed()
        self.assert_memory(16 * MIB)

    def test_slow_frames_end_by_time(self):
        client = self.begin(tts.echo)
        self.good_call(client)
        client.send(tts.pack(tts.HEADER, 5)[:20])
        client.closed(FAR_AWAY)
        client = self.client()
        client.header(6)
        client.send(tts.pack(tts.DATA, 6, wire.arguments("x" * 1000))[:-1])
        client.closed(FAR_AWAY)
        self.assert_unharmed()

    def test_frames_with_a_few_bytes_changed(self):
        client = self.begin(tts.echo)
        self.good_call(client)
        generator = random.Random(7)
        seed = tts.pack(tts.HEADER, 1, strs={"isn": "E"}, acl="t") + tts.pack(
            tts.DATA, 1, wire.arguments("hello")) + tts.pack(tts.TRAILER, 1)
        for _ in range(1500):
            data = bytearray(seed)
            for _ in range(generator.randrange(1, 4)):
                data[generator.randrange(8, len(data))] = generator.choice(
                    (0, 1, 2, 0x10, 0x7F, 0x80, 0xFF, generator.randrange(256)))
            sock = sockets.connect(self.daemon.address())
            sock.sendall(data)
            sock.close()
        self.assert_unharmed()
        self.good_call(client)
