"""HTTP/2 callers whose bytes are not what they should be: frames and fields that two parsers could
read differently, messages that lie, and callers that never come to the point."""

import random
import struct
import time

import h2
import h2_upstream
import hpack
import sockets
from bridled import SLOWER, eventually
from h2_case import FAR_AWAY, MIB, TIMES, Attack

PRIORITY = b"\0\0\0\0\1"
OPEN = h2.pack_headers(1, hpack.block(h2.call_fields("/pkg.Echo/Other")))
GOOD = hpack.block(h2.call_fields("/pkg.Echo/Lies"))


def settings(name, value):
    return h2.pack(h2.SETTINGS, 0, 0, h2.pack_settings({name: value}))


def number(value):
    return struct.pack(">I", value)


# What breaks a connection, and the code that says why; RFC 9113 has all of them in section 6.
BROKEN = {
    "DATA on no stream": (h2.PROTOCOL_ERROR, h2.pack(h2.DATA, 0, 0, b"x")),
    "HEADERS on no stream": (h2.PROTOCOL_ERROR, h2.pack(h2.HEADERS, 4, 0, GOOD)),
    "PRIORITY on no stream": (h2.PROTOCOL_ERROR, h2.pack(h2.PRIORITY, 0, 0, PRIORITY)),
    "RST_STREAM on no stream": (h2.PROTOCOL_ERROR, h2.pack(h2.RST_STREAM, 0, 0, number(8))),
    "CONTINUATION on no stream": (h2.PROTOCOL_ERROR, h2.pack(h2.CONTINUATION, 4, 0, GOOD)),
    "SETTINGS on a stream": (h2.PROTOCOL_ERROR, h2.pack(h2.SETTINGS, 0, 1)),
    "PING on a stream": (h2.PROTOCOL_ERROR, h2.pack(h2.PING, 0, 1, b"\0" * 8)),
    "GOAWAY on a stream": (h2.PROTOCOL_ERROR, h2.pack(h2.GOAWAY, 0, 1, b"\0" * 8)),
    "an even stream": (h2.PROTOCOL_ERROR, h2.pack_headers(2, GOOD)),
    "a stream below the last": (h2.PROTOCOL_ERROR, h2.pack_headers(
        9, hpack.block(h2.call_fields("/pkg.Echo/Other"))) + h2.pack_headers(7, GOOD)),
    "DATA on an idle stream": (h2.PROTOCOL_ERROR, h2.pack(h2.DATA, 0, 5, b"x")),
    "RST_STREAM on an idle stream": (h2.PROTOCOL_ERROR, h2.pack(h2.RST_STREAM, 0, 5, number(8))),
    "WINDOW_UPDATE on an idle stream": (h2.PROTOCOL_ERROR, h2.pack(
        h2.WINDOW_UPDATE, 0, 5, number(1))),
    "PUSH_PROMISE of a caller": (h2.PROTOCOL_ERROR, OPEN + h2.pack(
        h2.PUSH_PROMISE, 4, 1, number(2) + GOOD)),
    "CONTINUATION after nothing": (h2.PROTOCOL_ERROR, OPEN + h2.pack(h2.CONTINUATION, 4, 1, GOOD)),
    "CONTINUATION of another stream": (h2.PROTOCOL_ERROR, h2.pack(h2.HEADERS, 0, 1, GOOD) + h2.pack(
        h2.CONTINUATION, 4, 3, GOOD)),
    "a PING inside a block": (h2.PROTOCOL_ERROR, h2.pack(h2.HEADERS, 0, 1, GOOD) + h2.pack(
        h2.PING, 0, 0, b"\0" * 8)),
    "an unknown frame inside a block": (h2.PROTOCOL_ERROR, h2.pack(h2.HEADERS, 0, 1, GOOD) +
                                        h2.pack(0x42, 0, 1)),
    "RST_STREAM of 3 bytes": (h2.FRAME_SIZE_ERROR, OPEN + h2.pack(h2.RST_STREAM, 0, 1, b"\0\0\0")),
    "RST_STREAM of 5 bytes": (h2.FRAME_SIZE_ERROR, OPEN + h2.pack(h2.RST_STREAM, 0, 1, b"\0" * 5)),
    "PING of 7 bytes": (h2.FRAME_SIZE_ERROR, h2.pack(h2.PING, 0, 0, b"\0" * 7)),
    "PING of 9 bytes": (h2.FRAME_SIZE_ERROR, h2.pack(h2.PING, 0, 0, b"\0" * 9)),
    "SETTINGS of 5 bytes": (h2.FRAME_SIZE_ERROR, h2.pack(h2.SETTINGS, 0, 0, b"\0" * 5)),
    "SETTINGS that answer with bytes": (h2.FRAME_SIZE_ERROR, h2.pack(
        h2.SETTINGS, h2.ACK, 0, b"\0" * 6)),
    "WINDOW_UPDATE of 3 bytes": (h2.FRAME_SIZE_ERROR, h2.pack(h2.WINDOW_UPDATE, 0, 0, b"\0\0\1")),
    "WINDOW_UPDATE of 5 bytes": (h2.FRAME_SIZE_ERROR, h2.pack(h2.WINDOW_UPDATE, 0, 0, b"\1" * 5)),
    "GOAWAY of 7 bytes": (h2.FRAME_SIZE_ERROR, h2.pack(h2.GOAWAY, 0, 0, b"\0" * 7)),
    "a frame past the limit": (h2.FRAME_SIZE_ERROR, OPEN + h2.pack(
        h2.DATA, 0, 1, b"x" * (h2.MAX_FRAME + 1))),
    "a block past the limit": (h2.FRAME_SIZE_ERROR, h2.pack(
        h2.HEADERS, 4, 1, GOOD + b"x" * h2.MAX_FRAME)),
    "a length of 2^24-1": (h2.FRAME_SIZE_ERROR, h2.pack(0x42, 0, 0, b"", length=(1 << 24) - 1)),
    "DATA with more padding than bytes": (h2.PROTOCOL_ERROR, OPEN + h2.pack(
        h2.DATA, h2.PADDED, 1, b"\x05" + b"x" * 4)),
    "HEADERS with more padding than bytes": (h2.PROTOCOL_ERROR, h2.pack(
        h2.HEADERS, 4 | h2.PADDED, 1, b"\xff" + GOOD)),
    "a window that grows by nothing": (h2.PROTOCOL_ERROR, h2.pack(
        h2.WINDOW_UPDATE, 0, 0, number(0))),
    "a window past the limit": (h2.FLOW_CONTROL_ERROR, h2.pack(
        h2.WINDOW_UPDATE, 0, 0, number(h2.MAX_WINDOW))),
    "push that is 2": (h2.PROTOCOL_ERROR, settings(h2.ENABLE_PUSH, 2)),
    "a first window past the limit": (h2.FLOW_CONTROL_ERROR, settings(
        h2.INITIAL_WINDOW_SIZE, h2.MAX_WINDOW + 1)),
    "a frame size below the least": (h2.PROTOCOL_ERROR, settings(h2.MAX_FRAME_SIZE, 16383)),
    "a frame size past the limit": (h2.PROTOCOL_ERROR, settings(h2.MAX_FRAME_SIZE, 1 << 24)),
    "an index of no entry": (h2.COMPRESSION_ERROR, h2.pack_headers(1, hpack.indexed(62))),
    "index 0": (h2.COMPRESSION_ERROR, h2.pack_headers(1, b"\x80")),
    "an index without end": (h2.COMPRESSION_ERROR, h2.pack_headers(1, b"\xff" * 30 + b"\0")),
    "a string past the block": (h2.COMPRESSION_ERROR, h2.pack_headers(1, GOOD + b"\0\x7f\xf0\1ab")),
    "a block that ends in the middle": (h2.COMPRESSION_ERROR, h2.pack_headers(1, GOOD[:-3])),
    "the end symbol in a string": (h2.COMPRESSION_ERROR, h2.pack_headers(
        1, GOOD + b"\0\x01x" + b"\x84\xff\xff\xff\xff")),
    "a string with a byte of padding": (h2.COMPRESSION_ERROR, h2.pack_headers(
        1, GOOD + b"\0\x01x" + b"\x82\x1f\xff")),
    "a string padded with 0": (h2.COMPRESSION_ERROR, h2.pack_headers(
        1, GOOD + b"\0\x01x" + b"\x81\x18")),
    "a table past the limit": (h2.COMPRESSION_ERROR, h2.pack_headers(
        1, hpack.table_size(1 << 20) + GOOD)),
    "a table that changes inside a block": (h2.COMPRESSION_ERROR, h2.pack_headers(
        1, GOOD + hpack.table_size(0))),
}


class Frames(Attack):
    def test_h11_what_breaks_a_connection(self):
        for name, (code, data) in BROKEN.items():
            with self.subTest(broken=name):
                client = self.attacker()
                client.send(data)
                self.must_end(client, code)
                client.close()
        self.assertEqual([s for _, s in self.service.calls()
                          if (":path", "/pkg.Echo/Lies") in s.blocks[0]], [])

    def test_h11_a_stream_that_breaks_is_its_own_loss(self):
        """What RFC 9113 calls a stream error leaves its neighbours alone."""
        window = h2.pack(h2.WINDOW_UPDATE, 0, 3, number(h2.MAX_WINDOW))
        client = self.attacker()
        held = client.open(path="/pkg.Echo/Other")
        self.assertEqual(client.open(path="/pkg.Echo/Other"), 3)
        client.send(window)
        self.assertEqual(client.over(3).reset, h2.FLOW_CONTROL_ERROR)
        self.assert_echoed(client.call())
        self.assertFalse(client.stream(held).is_over)
        eventually(lambda: len([s for _, s in self.at_service() if s.reset is not None]) == 1,
                   what="the reset at the application")

    def test_h11_a_setting_that_takes_windows_past_the_limit(self):
        """An error of the connection, says RFC 9113 6.9.2; of the stream will do."""
        client = self.attacker()
        client.send(OPEN + h2.pack(h2.WINDOW_UPDATE, 0, 1, number(1000)) +
                    settings(h2.INITIAL_WINDOW_SIZE, h2.MAX_WINDOW))
        stream = client.over(1)
        self.assertEqual(stream.reset if stream.is_over else client.closed(),
                         h2.FLOW_CONTROL_ERROR)

    def test_h11_prefaces(self):
        good = h2.PREFACE
        for preface in (good[:16] + b"XX\r\n\r\n\r\n", good[:-1] + b"x", good[:8] + b"X" * 16,
                        good.lower(), b"PRI * HTTP/1.1\r\n\r\nSM\r\n\r\n", good[:18] + good):
            with self.subTest(preface=preface):
                client = self.attacker(preface=preface)
                client.ask()
                client.closed(FAR_AWAY)
                client.close()
        for first in (h2.pack(h2.PING, 0, 0, b"\0" * 8), OPEN, h2.pack(h2.SETTINGS, h2.ACK),
                      h2.pack(h2.WINDOW_UPDATE, 0, 0, number(1)), good):
            with self.subTest(first=first[:16]):
                client = self.attacker(preface=good + first)
                self.must_end(client, h2.PROTOCOL_ERROR)
                client.close()
        self.assertEqual(self.attacking_calls(), 0)

    def test_h11_frames_of_garbage(self):
        generator = random.Random(11)
        frames = 0
        while frames < 10000:
            with h2.Client(self.address) as client:
                for _ in range(generator.randrange(1, 100)):
                    frames += 1
                    if not client.frame(
                            generator.choice((generator.randrange(11), generator.randrange(256))),
                            generator.choice((0, 1, 4, 5, 8, generator.randrange(256))),
                            generator.choice((0, 1, 3, 5, 2, 1 << 30, h2.MAX_WINDOW)),
                            generator.randbytes(generator.choice((0, 4, 5, 6, 8, 40, 2000)))):
                        break

    def test_h11_good_calls_with_a_few_bytes_changed(self):
        generator = random.Random(12)
        seed = h2.PREFACE + h2.pack(h2.SETTINGS) + h2.pack_headers(1, hpack.block(
            h2.call_fields("/pkg.Echo/Other"))) + h2.pack(h2.DATA, 1, 1, h2.grpc(b"hello"))
        for _ in range(1500):
            data = bytearray(seed)
            for _ in range(generator.randrange(1, 4)):
                data[generator.randrange(24, len(data))] = generator.choice(
                    (0, 1, 0x7F, 0x80, 0xFF, generator.randrange(256)))
            sock = sockets.connect(self.address)
            sock.sendall(data)
            sock.close()


class Pieces(Attack):
    LISTENER = {"timeout": {**TIMES, "detect": "60s", "message": "60s"}}  # none of them is late

    def test_t22_any_segmentation(self):
        generator = random.Random(22)
        for _ in range(30):
            client = self.attacker(preface=b"", settings=None)
            client.acknowledges = set()  # nothing comes between the pieces
            data = h2.PREFACE + h2.pack(h2.SETTINGS)
            for n in (1, 3, 5):
                data += h2.pack_headers(n, hpack.block(h2.call_fields()), size=30) + h2.pack(
                    h2.DATA, h2.END_STREAM, n, h2.grpc(b"hello"))
            cuts = [0] + sorted(generator.randrange(len(data)) for _ in range(8)) + [len(data)]
            for start, end in zip(cuts, cuts[1:]):
                client.send(data[start:end])
                time.sleep(0.0005)
            for n in (1, 3, 5):
                self.assert_echoed(client.over(n))
            client.close()


class Fields(Attack):
    def bad(self):
        """Field lists that a proxy must not pass on. :path names them."""
        good = h2.call_fields("/pkg.Echo/Desync")

        def replaced(name, value):
            return [(n, value if n == name else v) for n, v in good]

        def without(name):
            return [field for field in good if field[0] != name]

        def more(*fields):
            return good + list(fields)
        return {
            "CR": more(("x", "a\rb")), "LF": more(("x", "a\nb")), "NUL": more(("x", "a\0b")),
            "CR LF and a field": more(("x", "a\r\nx-admin: yes")),
            "upper case": more(("X-Upper", "x")), "a space in a name": more(("x y", "x")),
            "a colon in a name": more(("x:y", "x")), "an empty name": more(("", "x")),
            "a line end in a name": more(("x\r\ny", "x")), "an 8-bit name": more(("x\xe9", "x")),
            "pseudo after regular": good[:2] + [("x", "y")] + good[2:],
            "two paths": good[:3] + [(":path", "/pkg.Echo/Other")] + good[3:],
            "two methods": good[:1] + good, "two schemes": good[:2] + good[1:],
            "two authorities": good[:4] + [(":authority", "bank")] + good[4:],
            "no path": without(":path"), "no method": without(":method"),
            "no scheme": without(":scheme"), "an empty path": replaced(":path", ""),
            "a path that is not one": replaced(":path", "pkg.Echo/Desync"),
            "a line end in a path": replaced(":path", "/pkg.Echo/Desync HTTP/1.1\r\nx: y"),
            "a space in a path": replaced(":path", "/pkg.Echo/Desync x"),
            "unknown pseudo": [(":unknown", "x")] + good, "a status": [(":status", "200")] + good,
            "connection": more(("connection", "close")),
            "keep-alive": more(("keep-alive", "timeout=5")), "upgrade": more(("upgrade", "h2c")),
            "proxy-connection": more(("proxy-connection", "close")),
            "transfer-encoding": more(("transfer-encoding", "chunked")),
            "te": replaced("te", "gzip"),
            "two lengths": more(("content-length", "10"), ("content-length", "5")),
            "a length that is no number": more(("content-length", "1x")),
            "a negative length": more(("content-length", "-1")),
            "a longer length": more(("content-length", "11")),
            "a shorter length": more(("content-length", "9")),
        }

    def test_h12_no_two_parsers_may_disagree(self):
        for name, fields in self.bad().items():
            with self.subTest(bad=name), h2.Client(self.address) as client:
                before = [s for _, s in self.service.calls()]
                client.headers(1, fields)
                client.data(1, h2.grpc(b"hello"), True)
                stream = client.over(1)
                self.assertTrue(stream.reset == h2.PROTOCOL_ERROR or client.goaways or
                                stream.get(":status") == "400" or
                                stream.trailers.get("grpc-status", "0") != "0", stream)
                for call in [s for _, s in self.service.calls() if s not in before]:
                    self.assertIn("length", name, "passed on: %r" % call)
                    eventually(lambda c=call: c.is_over)
                    self.assertIsNotNone(call.reset, "passed on whole: %r" % call)

    def test_h12_trailers_of_callers(self):
        for trailers in ([(":path", "/x")], [(":status", "200")], [("x", "a\nb")], [("Upper", "x")],
                         [("connection", "close")], [("content-length", "3")] * 2):
            with self.subTest(trailers=trailers), h2.Client(self.address) as client:
                number_ = client.open(path="/pkg.Echo/Desync")
                client.data(number_, h2.grpc(b"hello"))
                client.headers(number_, trailers, True)
                stream = client.over(number_)
                self.assertNotEqual(stream.trailers.get("grpc-status"), "0", stream)
        for _, call in self.at_service("/pkg.Echo/Desync"):
            eventually(lambda c=call: c.reset is not None, what="the reset of what was begun")

    def test_h12_trailers_have_to_end_the_stream(self):
        client = self.attacker()
        number_ = client.open(path="/pkg.Echo/Other")
        client.data(number_, h2.grpc(b"hello"))
        client.headers(number_, [("x", "y")])
        stream = client.over(number_)
        self.assertEqual(stream.reset if stream.reset is not None else client.closed(),
                         h2.PROTOCOL_ERROR)

    def test_h12_odd_but_legal_fields_pass_unchanged(self):
        fields = [("x", ""), ("x-tab", "a\tb"), ("x-high", "\xff\x80"), ("x-dup", "1"),
                  ("x-dup", "2"), ("cookie", "a=b"), ("cookie", "c=d"), ("user-agent", "kitex/1"),
                  ("x-!#$%&'*+.^_`|~09", "y"), ("te-like", "gzip"), ("x-long", "v" * 5000),
                  ("token-bin", "AAEC"), ("content-length", "10")]
        client = self.attacker()
        self.assert_echoed(client.call(more=fields))
        (call,) = [s for _, s in self.service.calls() if s.get("x-high")]
        self.assertEqual([f for f in call.blocks[0] if f in fields], fields)


class Slow(Attack):
    LISTENER = {"timeout": {**TIMES, "idle": "1500ms"}}

    def test_h13_callers_who_never_come_to_the_point(self):
        head = h2.PREFACE + h2.pack(h2.SETTINGS)
        begun = [h2.PREFACE[:5], h2.PREFACE[:23], h2.PREFACE, head[:-4], head, head + b"\0\0",
                 head + h2.pack(h2.HEADERS, 0, 1, GOOD), head + h2.pack(h2.HEADERS, 0, 1, GOOD[:9]),
                 head + h2.pack(h2.HEADERS, 4, 1, GOOD[:20], length=len(GOOD)),
                 head + h2.pack(h2.PING, 0, 0, b"\0" * 3, length=8)]
        socks = []
        for i in range(300):
            sock = sockets.connect(self.address)
            self.addCleanup(sock.close)
            sock.sendall(begun[i % len(begun)])
            socks.append((sock, begun[i % len(begun)]))
        end = time.monotonic() + FAR_AWAY
        for sock, first in socks:
            sock.settimeout(max(0.1, end - time.monotonic()))
            try:
                while sock.recv(65536):
                    pass
            except ConnectionError:
                pass
            except TimeoutError:
                self.fail("still open: %r" % first)
        self.assertEqual(self.attacking_calls(), 0)

    def test_h13_a_byte_now_and_then_buys_no_time(self):
        data = h2.PREFACE + h2.pack(h2.SETTINGS) + h2.pack_headers(1, GOOD, size=10)
        sock = sockets.connect(self.address)
        self.addCleanup(sock.close)
        sock.sendall(data[:40])
        with self.assertRaises(ConnectionError):
            for i in range(40, len(data)):
                sock.sendall(data[i:i + 1])
                time.sleep(0.1)

    def test_h13_a_ping_buys_no_time_for_a_block(self):
        """Frames of other kinds may not come inside a block, so there is nothing that does."""
        client = self.attacker()
        client.frame(h2.HEADERS, 0, 1, GOOD)
        client.closed(FAR_AWAY)

    def test_h13_a_long_stream_is_not_slow(self):
        client = self.attacker()
        number_ = client.open()
        for i in range(25):
            client.data(number_, h2.grpc(b"%02d" % i))
            time.sleep(0.1)
        client.data(number_, b"", True)
        stream = client.over(number_)
        self.assertEqual([m for _, m in stream.messages], [b"%02d" % i for i in range(25)])


class Messages(Attack):
    LISTENER = {"timeout": {**TIMES, "message": "20s"}, "max_message": "1MiB"}

    def other(self, peer, frame):
        stream = peer.streams[frame.stream]
        if frame.is_end and stream.get("grpc-encoding"):
            peer.headers(frame.stream, h2_upstream.REPLY_FIELDS + [("grpc-encoding", "gzip")])
            peer.data(frame.stream, bytes(stream.data))
            peer.headers(frame.stream, h2_upstream.OK, True)
        elif frame.is_end:
            h2_upstream.answer(peer, frame.stream, b"")

    def ask(self, client, data, path="/pkg.Echo/Lies", more=()):
        number_ = client.open(path=path, more=more)
        client.data(number_, data, True)
        return client.over(number_)

    def assert_not_passed_on(self):
        """As a whole call."""
        for _, call in self.at_service("/pkg.Echo/Lies"):
            eventually(lambda c=call: c.reset is not None, what="the reset of %r" % call)

    def test_h14_lengths_that_are_too_much(self):
        client = self.attacker()
        for length in (0xFFFFFFFF, 0x80000000, 0x7FFFFFFF, MIB + 1):
            with self.subTest(length=length):
                number_ = client.open(path="/pkg.Echo/Lies")
                client.data(number_, h2.grpc(b"x" * 1000, length=length))
                self.assert_status(client.over(number_), 8, "too_large")
        self.assert_not_passed_on()
        self.assert_echoed(client.call())

    def test_h14_the_limit_is_of_each_message(self):
        client = self.attacker(updates=True)
        number_ = client.open()
        for _ in range(3):
            client.flow(number_, h2.grpc(b"x" * (MIB - 5)))
        client.data(number_, b"", True)
        stream = client.over(number_)
        self.assertEqual([len(m) for _, m in stream.messages], [MIB - 5] * 3)

    def test_h14_a_message_that_is_not_there(self):
        client = self.attacker()
        for data in (b"\0", b"\0\0\0\0", b"\0\0\0\0\1", h2.grpc(b"hello", length=6),
                     h2.grpc(b"hello") + b"\0\0", h2.grpc(b"a") + h2.grpc(b"b", length=100)):
            with self.subTest(data=data):
                stream = self.ask(client, data)
                self.assertNotEqual(stream.trailers.get("grpc-status"), "0", stream)
        self.assert_not_passed_on()
        self.assert_echoed(client.call())

    def test_h14_flags_that_do_not_exist(self):
        client = self.attacker()
        for flag in (2, 3, 0x80, 0xFF):
            with self.subTest(flag=flag):
                stream = self.ask(client, h2.grpc(b"hello", compressed=flag))
                self.assertNotEqual(stream.trailers.get("grpc-status"), "0", stream)
        self.assert_not_passed_on()

    def test_h14_compressed_without_saying_how(self):
        client = self.attacker()
        stream = self.ask(client, h2.grpc(b"hello", compressed=1))
        self.assert_status(stream, 13)
        self.assert_not_passed_on()
        stream = self.ask(client, h2.grpc(b"hello", compressed=1), "/pkg.Echo/Packed",
                          [("grpc-encoding", "gzip")])
        self.assertEqual(stream.messages, [(1, b"hello")])

    def test_h14_messages_of_nothing(self):
        client = self.attacker()
        before = self.daemon.cpu_seconds()
        number_ = client.open(path="/pkg.Echo/Other")
        client.flow(number_, h2.grpc(b"") * 200000, True)
        self.assert_echoed(client.over(number_), b"")
        self.assertLess(self.daemon.cpu_seconds() - before, 3 * SLOWER)
        ((_, call),) = self.at_service()
        self.assertEqual(len(call.data), 5 * 200000)

    def test_h14_times_that_are_absurd(self):
        client = self.attacker()
        for time_ in ("99999999H", "99999999S", "99999999n", "99999999u"):
            with self.subTest(time=time_):
                self.assert_echoed(client.call(more=[("grpc-timeout", time_)]))
        for junk in ("", "5", "H", "-1S", "123456789S", "1x", "1 S", "S1", "1.5S", "0x1S", "1SS"):
            with self.subTest(junk=junk):
                self.assert_echoed(client.call(more=[("grpc-timeout", junk)]))

    def test_h14_a_time_that_is_up_at_once(self):
        client = self.attacker()
        for time_ in ("1n", "1u", "20m"):
            with self.subTest(time=time_):
                number_ = client.open(path="/pkg.Echo/Silent", more=[("grpc-timeout", time_)])
                self.assert_status(client.over(number_), 4)
