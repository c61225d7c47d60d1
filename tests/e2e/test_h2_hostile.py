"""HTTP/2 callers that mean harm: floods, stalls and bombs. After each the daemon is the same
process, serves a good call at once, and holds no descriptor and little memory for it."""

import struct
import time

import h2
import h2_upstream
import hpack
from bridled import IS_SANITIZED, eventually
from h2_case import FAR_AWAY, MIB, TIMES, Attack


class Resets(Attack):
    def test_h1_rapid_reset(self):
        client = self.attacker()
        before = self.daemon.cpu_seconds()
        rst = struct.pack(">I", h2.CANCEL)
        self.flood(client, lambda i: self.headers(2 * i + 1) + h2.pack(h2.RST_STREAM, 0, 2 * i + 1,
                                                                       rst), 20000)
        self.must_end(client)
        self.assertLessEqual(self.attacking_calls(), 1100)
        if not IS_SANITIZED:
            self.assertLess(self.daemon.cpu_seconds() - before, 0.5)

    def test_h1_rapid_reset_in_the_middle_of_a_message(self):
        client = self.attacker()
        rst = struct.pack(">I", h2.CANCEL)
        self.flood(client, lambda i: self.headers(2 * i + 1) +
                   h2.pack(h2.DATA, 0, 2 * i + 1, h2.grpc(b"", length=50)) +
                   h2.pack(h2.RST_STREAM, 0, 2 * i + 1, rst), 5000, 50)
        self.must_end(client)
        self.assertLessEqual(self.attacking_calls(), 1100)

    def test_h1_a_caller_may_cancel_now_and_then(self):
        client = self.attacker()
        for _ in range(800):
            client.rst(client.open(path="/pkg.Echo/Other"))
        self.assert_echoed(client.call())

    MADE = {
        "data after the end": lambda n, headers: headers(n, True) + h2.pack(h2.DATA, 0, n, b"x"),
        "headers after the end": lambda n, headers: headers(n, True) + headers(n, True),
        "window past the limit": lambda n, headers: headers(n) + h2.pack(
            h2.WINDOW_UPDATE, 0, n, struct.pack(">I", h2.MAX_WINDOW)),
        "window by nothing": lambda n, headers: headers(n) + h2.pack(
            h2.WINDOW_UPDATE, 0, n, b"\0\0\0\0"),
        "less than the content": lambda n, headers: headers(
            n, more=[("content-length", "1")]) + h2.pack(h2.DATA, h2.END_STREAM, n, b"xyz"),
        "content that does not come": lambda n, headers: headers(
            n, True, more=[("content-length", "10")]),
        "upper case": lambda n, headers: headers(n, more=[("Upper", "x")]),
        "depends on itself": lambda n, headers: headers(n) + h2.pack(
            h2.PRIORITY, 0, n, struct.pack(">IB", n, 1)),
        "short priority": lambda n, headers: headers(n) + h2.pack(h2.PRIORITY, 0, n, b"\0\0\0\0"),
    }

    def test_h2_resets_that_we_are_made_to_send(self):
        for name, frames in self.MADE.items():
            with self.subTest(made=name):
                self.calls_before = len(self.service.calls())
                client = self.attacker()
                self.flood(client, lambda i, make=frames: make(2 * i + 1, self.headers), 20000)
                self.must_end(client, h2.ENHANCE_YOUR_CALM, h2.PROTOCOL_ERROR, h2.STREAM_CLOSED,
                              h2.FRAME_SIZE_ERROR)
                self.assertLessEqual(self.attacking_calls(), 2000)
                client.close()


class FewResets(Attack):
    LISTENER = {"timeout": TIMES, "http2": {"resets": {"burst": 10, "rate": "1/m"}}}

    def test_h1_the_number_is_the_operators(self):
        client = self.attacker()
        for _ in range(10):
            client.rst(client.open(path="/pkg.Echo/Other"))
        self.assert_echoed(client.call())
        for _ in range(3):
            client.rst(client.open(path="/pkg.Echo/Other"))
        self.must_end(client)


class Blocks(Attack):
    def test_h3_a_block_without_end(self):
        client = self.attacker()
        piece = hpack.block([("x-%d" % i, "v" * 100) for i in range(150)])
        sent = h2.pack(h2.HEADERS, 0, 1, hpack.block(h2.call_fields("/pkg.Echo/Long")))
        while len(sent) < MIB:
            sent += h2.pack(h2.CONTINUATION, 0, 1, piece)
        client.send(sent)
        self.must_end(client, h2.ENHANCE_YOUR_CALM, h2.PROTOCOL_ERROR, h2.INTERNAL_ERROR)
        self.assertEqual(self.attacking_calls(), 0)

    def test_h3_a_block_of_nothing(self):
        client = self.attacker()
        client.send(h2.pack(h2.HEADERS, 0, 1, hpack.block(h2.call_fields("/pkg.Echo/Long"))))
        client.send(h2.pack(h2.CONTINUATION, 0, 1) * 10000)
        self.must_end(client, h2.ENHANCE_YOUR_CALM, h2.PROTOCOL_ERROR, h2.INTERNAL_ERROR)
        self.assertEqual(self.attacking_calls(), 0)

    def cut(self, pieces):
        """The headers of a good call, in HEADERS and so many CONTINUATIONs."""
        block = hpack.block(h2.call_fields())
        size = -(-len(block) // (pieces + 1))
        data = h2.pack_headers(1, block, size=size)
        self.assertEqual(data.count(b"\x09\x00\x00\x00\x00\x01") +
                         data.count(b"\x09\x04\x00\x00\x00\x01"), pieces)
        return data + h2.pack(h2.DATA, h2.END_STREAM, 1, h2.grpc(b"hello"))

    def test_h3_eight_continuations_and_not_nine(self):
        for pieces in (1, 2, 8):
            client = self.attacker()
            client.send(self.cut(pieces))
            self.assert_echoed(client.over(1))
        client = self.attacker()
        client.send(self.cut(9))
        self.must_end(client, h2.ENHANCE_YOUR_CALM, h2.PROTOCOL_ERROR, h2.INTERNAL_ERROR)

    def test_h4_bombs(self):
        before = self.daemon.cpu_seconds()
        bomb = hpack.block(h2.call_fields()) + hpack.literal_indexed("x", "b" * 4000)
        bomb += hpack.indexed(len(hpack.STATIC) + 1) * (h2.MAX_FRAME - len(bomb))
        for _ in range(100):
            with h2.Client(self.address) as client:
                client.send(h2.pack_headers(1, bomb) + h2.pack(h2.DATA, h2.END_STREAM, 1,
                                                              h2.grpc(b"hello")))
                self.must_be_refused(client, 1)
        if not IS_SANITIZED:
            self.assertLess(self.daemon.cpu_seconds() - before, 1)
        self.assert_memory(8 * MIB)
        self.assertEqual(self.attacking_calls(), 0)

    def must_be_refused(self, client, number):
        """Reset, answered with an error, or with the end of the connection."""
        stream = client.over(number)
        self.assertNotEqual(stream.trailers.get("grpc-status"), "0")
        self.assertNotIn(b"hello", stream.data)
        if not stream.is_over:
            self.assertIsNotNone(client.closed())

    def test_h4_how_long_a_list_may_be(self):
        client = self.attacker()
        self.assertEqual(client.await_settings()[h2.MAX_HEADER_LIST_SIZE], 65536)
        self.assert_echoed(client.call(more=[("x-%d" % i, "v" * 15000) for i in range(4)]))
        for more in ([("x-%d" % i, "v" * 15000) for i in range(5)], [("x", "v" * 66000)],
                     [("x" * 66000, "v")]):
            with h2.Client(self.address) as other:
                self.must_be_refused(other, other.ask(more=more))
        self.assertEqual(self.attacking_calls(), 1)
        self.assert_echoed(client.call())

    def test_h4_how_many_fields_there_may_be(self):
        client = self.attacker()
        have = len([name for name, _ in h2.call_fields() if not name.startswith(":")])
        self.assert_echoed(client.call(more=[("x-%d" % i, "v") for i in range(200 - have)]))
        with h2.Client(self.address) as other:
            self.must_be_refused(other, other.ask(
                more=[("x-%d" % i, "v") for i in range(201 - have)]))
        with h2.Client(self.address) as other:
            self.must_be_refused(other, other.ask(more=[("", "")] * 5000))
        self.assertEqual(self.attacking_calls(), 1)
        self.assert_echoed(client.call())

    def test_h4_trailers_of_a_caller_have_the_same_limits(self):
        for trailers in ([("x-%d" % i, "v") for i in range(300)],
                         [("x-%d" % i, "v" * 15000) for i in range(5)]):
            with h2.Client(self.address) as client:
                number = client.open()
                client.data(number, h2.grpc(b"hello"))
                client.headers(number, trailers, True)
                self.must_be_refused(client, number)

    def test_h4_tables_of_every_size(self):
        """The caller's encoder may change its table as it likes, within what we announced."""
        client = self.attacker()
        for size in (0, 4096, 100, 4096, 0, 64):
            number = client.number()
            block = hpack.table_size(size) + hpack.block(h2.call_fields())
            block += hpack.literal_indexed("x-kept", "v" * 20)
            client.send(h2.pack_headers(number, block) +
                        h2.pack(h2.DATA, h2.END_STREAM, number, h2.grpc(b"hello")))
            self.assert_echoed(client.over(number))
        client.send(h2.pack_headers(99, hpack.table_size(4097) + hpack.block(h2.call_fields())))
        self.must_end(client, h2.COMPRESSION_ERROR)


class ControlFrames(Attack):
    FLOODS = {
        "ping": h2.pack(h2.PING, 0, 0, b"\0" * 8),
        "settings": h2.pack(h2.SETTINGS),
        "settings with windows": h2.pack(h2.SETTINGS, 0, 0, h2.pack_settings(
            {h2.INITIAL_WINDOW_SIZE: 1000})),
        "settings with many": h2.pack(h2.SETTINGS, 0, 0, h2.pack_settings([(9, 9)] * 1000)),
        "answers to no ping": h2.pack(h2.PING, h2.ACK, 0, b"\0" * 8),
        "answers to no settings": h2.pack(h2.SETTINGS, h2.ACK),
    }

    def test_h5_floods_that_are_read_and_unread(self):
        for name, frame in self.FLOODS.items():
            for reads in (True, False):
                with self.subTest(flood=name, reads=reads):
                    client = self.attacker(reads=reads)
                    count = 300000 if len(frame) < 100 else 3000
                    self.flood(client, frame, count, 1000)
                    self.assert_memory(4 * MIB)
                    client.resume()
                    if reads:
                        self.must_end(client)
                    client.closed(FAR_AWAY)
                    client.close()

    def test_h5_a_hundred_at_once_are_served(self):
        client = self.attacker()
        client.send(h2.pack(h2.SETTINGS) * 50)
        for i in range(100):
            client.ping(struct.pack(">Q", i))
        client.settle()
        self.assertEqual(client.pings_answered[:100], [struct.pack(">Q", i) for i in range(100)])
        acks = [f for f in client.frames if f.kind == h2.SETTINGS and f.flags & h2.ACK]
        self.assertEqual(len(acks), 51)  # one for the first
        self.assert_echoed(client.call())

    def idle_streams(self, kind, payload):
        return lambda i: h2.pack(kind, 0, 2 * i + 3, payload)

    def test_h6_frames_that_say_nothing(self):
        """Ten thousand of them, and no more has to be said."""
        priority = struct.pack(">IB", 0, 1)
        floods = {
            "empty data": h2.pack(h2.DATA, 0, 1),
            "padding": h2.pack(h2.DATA, h2.PADDED, 1, b"\xff" + b"\0" * 255),
            "one byte of padding": h2.pack(h2.DATA, h2.PADDED, 1, b"\0"),
            "priority of one": h2.pack(h2.PRIORITY, 0, 1, priority),
            "priority of many": self.idle_streams(h2.PRIORITY, priority),
            "window of the connection": h2.pack(h2.WINDOW_UPDATE, 0, 0, b"\0\0\0\1"),
            "window of a stream": h2.pack(h2.WINDOW_UPDATE, 0, 1, b"\0\0\0\1"),
            "unknown": h2.pack(0x42, 0, 0, b"unknown"),
            "unknown on a stream": h2.pack(0xFE, 0xFF, 1, b""),
            "unknown in length": h2.pack(0x42, 0, 0, b"u" * 1000),
        }
        for name, frame in floods.items():
            with self.subTest(flood=name):
                client = self.attacker()
                client.open(path="/pkg.Echo/Other")
                self.flood(client, frame, 10000)
                self.must_end(client)
                self.assert_memory(8 * MIB)
                client.close()

    def test_h6_data_that_ends_nothing_is_not_passed_on_without_end(self):
        client = self.attacker()
        number = client.open(path="/pkg.Echo/Other")
        client.send(h2.pack(h2.DATA, 0, number) * 10)
        client.settle()
        client.data(number, h2.grpc(b"hello"), True)
        eventually(lambda: any(s.ended for _, s in self.at_service()))
        ((_, stream),) = self.at_service()
        self.assertEqual(stream.messages, [(0, b"hello")])

    def test_h6_unknown_frames_in_small_number_are_ignored(self):
        client = self.attacker()
        number = client.open()
        for kind in range(0x20, 0x50):  # below are some of RFC 7838, 8336 and 9218
            client.frame(kind, 0xFF, number, b"?")
            client.frame(kind, 0, 0, b"?" * kind)
        client.data(number, h2.grpc(b"hello"), True)
        self.assert_echoed(client.over(number))


class FewFrames(Attack):
    LISTENER = {"timeout": TIMES, "http2": {
        "control_frames": {"burst": 5, "rate": "1/m"}, "continuations": 1, "header_fields": 8,
        "empty_data": 2, "priorities": 3, "window_updates": 1, "unread_acks": 5}}

    def test_h6_the_numbers_are_the_operators(self):
        cases = {
            "ping": h2.pack(h2.PING, 0, 0, b"\0" * 8) * 7,
            "settings": h2.pack(h2.SETTINGS) * 7,
            "continuations": h2.pack_headers(1, hpack.block(h2.call_fields()), size=40),
            "empty data": self.headers(1) + h2.pack(h2.DATA, 0, 1) * 9,
            "priorities": self.headers(1) + h2.pack(h2.PRIORITY, 0, 1, b"\0\0\0\0\1") * 10,
            "window updates": self.headers(1) + h2.pack(h2.WINDOW_UPDATE, 0, 1, b"\0\0\0\1") * 9,
        }
        for name, data in cases.items():
            with self.subTest(limit=name):
                client = self.attacker()
                client.send(data)
                self.must_end(client)
                client.close()
        with h2.Client(self.address) as client:
            number = client.ask(more=[("x-%d" % i, "v") for i in range(7)])
            stream = client.over(number)
            self.assertNotEqual(stream.trailers.get("grpc-status"), "0")

    def test_h6_limits_that_strike_are_counted(self):
        client = self.attacker()
        client.send(h2.pack(h2.PING, 0, 0, b"\0" * 8) * 20)
        self.must_end(client)
        eventually(lambda: sum(
            float(line.rpartition(" ")[2]) for line in self.daemon.get("/metrics")[1].split("\n")
            if "control_frames" in line and not line.startswith("#")) > 0,
                   what="a count in /metrics")


class Stalls(Attack):
    """An answer of 1 MiB that is not taken."""
    LISTENER = {"timeout": {**TIMES, "idle": "3s"}}
    POLICY = {"timeout": {"idle": "1s"}}
    MEMORY = 64 * MIB

    def setUp(self):
        self.pour = h2_upstream.Pour(MIB)
        super().setUp()

    def other(self, peer, frame):
        self.pour(peer, frame)

    def asked(self, streams, **kwargs):
        client = self.attacker(**kwargs)
        for _ in range(streams):
            client.ask(path="/pkg.Echo/Pour")
        return client

    def test_h7_zero_windows(self):
        clients = [self.asked(100, settings={h2.INITIAL_WINDOW_SIZE: 0}) for _ in range(20)]
        eventually(lambda: self.attacking_calls() == 2000, what="2000 calls")
        self.assert_memory(64 * MIB)
        for client in clients:
            client.until(lambda c=client: c.is_closed or all(
                c.find(2 * i + 1).is_over for i in range(100)), what="the end of the stalls")
            self.assertEqual(sum(s.received for s in client.streams.values()), 0)
        self.assert_memory(64 * MIB)

    def test_h7_the_same_again_costs_no_more(self):
        """Memory that is kept for later is kept once."""
        used = []
        for _ in range(3):
            clients = [self.asked(100, settings={h2.INITIAL_WINDOW_SIZE: 0}) for _ in range(5)]
            for client in clients:
                client.until(lambda c=client: c.is_closed or all(
                    c.find(2 * i + 1).is_over for i in range(100)), what="the end of the stalls")
                client.close()
            eventually(lambda: self.daemon.metric("bridle_downstream_connections") == 0)
            used.append(self.daemon.rss())
        if not IS_SANITIZED:
            self.assertLess(used[2], used[1] + 4 * MIB)

    def test_h7_windows_that_stay_small(self):
        """65 535 bytes for a whole connection, and never more."""
        clients = [self.asked(100, settings={h2.INITIAL_WINDOW_SIZE: h2.MAX_WINDOW})
                   for _ in range(5)]
        for client in clients:
            client.until(lambda c=client: c.is_closed or all(
                c.find(2 * i + 1).is_over for i in range(100)), what="the end of the stalls")
            self.assertLessEqual(sum(s.received for s in client.streams.values()), 65535)
        self.assert_memory(64 * MIB)

    def test_h7_a_stall_is_its_streams_alone(self):
        client = self.attacker(settings={h2.INITIAL_WINDOW_SIZE: 0})
        stalled = client.ask(path="/pkg.Echo/Pour")
        client.await_frame(h2.HEADERS, stalled)
        for _ in range(20):
            number = client.ask()
            client.update(number, 1000)
            self.assert_echoed(client.over(number))
        self.assertEqual(client.stream(stalled).received, 0)

    def test_h8_a_caller_that_never_reads(self):
        clients = [self.asked(50, settings={h2.INITIAL_WINDOW_SIZE: h2.MAX_WINDOW}, reads=False)
                   for _ in range(20)]
        for client in clients:
            client.update(0, h2.MAX_WINDOW - h2.DEFAULT_WINDOW)
        eventually(lambda: self.attacking_calls() >= 1000, what="the calls")
        time.sleep(0.5)
        self.assert_memory(64 * MIB)
        eventually(lambda: self.daemon.metric("bridle_downstream_connections") == 0,
                   what="the end of the stalled connections")
        for client in clients:
            client.resume()
            client.closed()
            self.assertLess(sum(s.received for s in client.streams.values()), 16 * MIB)


class Overrun(Attack):
    LISTENER = {"timeout": TIMES, "in_flight": 10}

    def setUp(self):
        super().setUp()
        self.held = []

    def other(self, peer, frame):
        if frame.kind == h2.HEADERS:
            self.held.append((peer, frame.stream))

    def full(self):
        client = self.attacker()
        self.assertEqual(client.await_settings()[h2.MAX_CONCURRENT_STREAMS], 10)
        client.settle()
        numbers = [client.ask(path="/pkg.Echo/Held") for _ in range(10)]
        eventually(lambda: len(self.held) == 10)
        return client, numbers

    def test_h10_streams_past_the_limit_are_refused_and_others_go_on(self):
        client, numbers = self.full()
        for _ in range(5):
            stream = client.call()
            self.assertEqual(stream.reset, h2.REFUSED_STREAM, stream)
        self.assertEqual(self.attacking_calls(), 10, self.service.calls())
        for peer, number in self.held:
            h2_upstream.answer(peer, number)
        for number in numbers:
            self.assert_echoed(client.over(number))
        self.assert_echoed(client.call())

    def test_h10_a_place_is_free_when_its_caller_has_canceled(self):
        client, numbers = self.full()
        for number in numbers[:3]:
            client.rst(number)
        client.settle()
        for _ in range(3):
            self.assert_echoed(client.call())

    def test_h10_who_goes_on_is_told_to_go_away(self):
        client, _ = self.full()
        self.flood(client, lambda i: self.headers(2 * i + 21, True), 2000, 20)
        self.must_end(client)
        self.assertEqual(self.attacking_calls(), 10)


class Races(Attack):
    """Ends that meet on the way."""

    LISTENER = {"timeout": {**TIMES, "message": "20s"}}

    def test_h9_resets_at_any_moment(self):
        for delay in (0, 0.0003, 0.001, 0.003):
            client = self.attacker()
            for i in range(100):
                number = client.ask(b"x" * (i * 3))
                if delay:
                    time.sleep(delay)
                client.rst(number, (h2.CANCEL, h2.NO_ERROR, 1000)[i % 3])
            self.assert_echoed(client.call())
            self.assertEqual(client.goaways, [])

    def test_h9_frames_after_a_reset_are_ignored(self):
        client = self.attacker()
        for _ in range(50):
            number = client.open(path="/pkg.Echo/Other")
            client.rst(number)
            client.update(number, 10)
            client.frame(h2.PRIORITY, 0, number, b"\0\0\0\0\1")
            client.rst(number)
        self.assert_echoed(client.call())

    def test_h9_the_proxys_reset_crosses_with_frames_of_the_caller(self):
        """What a caller sends before it has seen our RST_STREAM is no offence, and its bytes return
        to the connection's window."""
        client = self.attacker()
        numbers = [client.open(path="/pkg.Echo/Other") for _ in range(20)]
        eventually(lambda: self.attacking_calls() == 20)
        for peer, stream in self.at_service():
            peer.rst(stream.number, h2.INTERNAL_ERROR)
        for number in numbers:
            client.over(number)
            client.data(number, b"x" * 3000)
        client.settle()
        self.assertEqual(client.goaways, [])
        client.updates = True
        for _ in range(20):
            number = client.open()
            client.flow(number, h2.grpc(b"y" * 60000), True)
            self.assert_echoed(client.over(number), b"y" * 60000)

    def test_h9_a_connection_ends_under_its_streams(self):
        for i in range(60):
            client = h2.Client(self.address)
            for _ in range(10):
                client.ask(b"x" * 1000, path=("/pkg.Echo/Echo", "/pkg.Echo/Other")[i % 2])
            if i % 3:
                client.abort()
            else:
                client.close()
        eventually(lambda: self.daemon.metric("bridle_downstream_connections") == 0)
        left = [s for _, s in self.at_service()]
        self.assertGreater(len(left), 10)
        eventually(lambda: all(s.reset == h2.CANCEL for s in left),
                   what="the end of what the callers left")
