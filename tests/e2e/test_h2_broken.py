"""Applications that speak HTTP/2 and break its rules, or break down: each call ends soon, in words
or with a reset, and the next connection works."""

import struct
import time

import h2
import h2_upstream
import hpack
from bridled import IS_SANITIZED
from h2_case import AT_ONCE, FAR_AWAY, MIB, ONE_WORKER, Upstreams
from h2_upstream import OK, REPLY_FIELDS, answer


class Broken(Upstreams):
    """Each call fails in words or with a reset, soon, and the next connection works."""

    def fields_too_long(self):
        return hpack.block(REPLY_FIELDS + [("x-%d" % i, "v" * 15000) for i in range(40)])

    def bomb(self):
        block = hpack.block(REPLY_FIELDS) + hpack.literal_indexed("x", "b" * 4000)
        return block + hpack.indexed(62) * 12000

    def what_is_sent(self):
        """Name: what arrives for stream n in place of an answer."""
        reply, ok = hpack.block(REPLY_FIELDS), hpack.block(OK)
        return {
            "garbage": lambda n: b"HTTP/1.1 400 Bad Request\r\n\r\n" * 20,
            "a frame too long": lambda n: h2.pack(h2.DATA, 0, n, b"x" * 16385),
            "data before headers": lambda n: h2.pack(h2.DATA, 1, n, h2.grpc(b"x")),
            "data on an idle stream": lambda n: h2.pack(h2.DATA, 0, n + 100, b"x"),
            "data on no stream": lambda n: h2.pack(h2.DATA, 0, 0, b"x"),
            "headers on a stream of its own": lambda n: h2.pack_headers(2, reply),
            "headers on an idle stream": lambda n: h2.pack_headers(n + 100, reply),
            "push": lambda n: h2.pack(h2.PUSH_PROMISE, 4, n, struct.pack(">I", 2) + hpack.block(
                h2.call_fields())),
            "no status": lambda n: h2.pack_headers(n, hpack.block(REPLY_FIELDS[1:])),
            "two status": lambda n: h2.pack_headers(n, hpack.block(REPLY_FIELDS[:1]) + reply),
            "a status of words": lambda n: h2.pack_headers(n, hpack.block([(":status", "okay")])),
            "a path in an answer": lambda n: h2.pack_headers(n, reply + hpack.block(
                [(":path", "/")])),
            "upper case": lambda n: h2.pack_headers(n, reply + hpack.block([("X-Y", "z")])),
            "CR LF": lambda n: h2.pack_headers(n, reply + hpack.block([("x", "y\r\nz: 1")])),
            "connection": lambda n: h2.pack_headers(n, reply + hpack.block(
                [("connection", "close")])),
            "too many fields": lambda n: h2.pack_headers(n, reply + hpack.block(
                [("x", "y")] * 5000)),
            "too long fields": lambda n: h2.pack_headers(n, self.fields_too_long()),
            "a bomb": lambda n: h2.pack_headers(n, self.bomb()),
            "blocks of nothing": lambda n: h2.pack(h2.HEADERS, 0, n, reply) + h2.pack(
                h2.CONTINUATION, 0, n) * 10000,
            "an index of no entry": lambda n: h2.pack_headers(n, hpack.indexed(100)),
            "a window past the limit": lambda n: h2.pack(h2.WINDOW_UPDATE, 0, 0, struct.pack(
                ">I", h2.MAX_WINDOW)),
            "a window by nothing": lambda n: h2.pack(h2.WINDOW_UPDATE, 0, n, b"\0\0\0\0"),
            "more than the windows": lambda n: h2.pack_headers(n, reply) + h2.pack(
                h2.DATA, 0, n, b"\0\0\x7f\xff\xff" + b"x" * 16000) * 2000,
            "an end without trailers": lambda n: h2.pack_headers(n, reply) + h2.pack(
                h2.DATA, 1, n, h2.grpc(b"hello")),
            "headers that end without a status": lambda n: h2.pack_headers(n, reply, True),
            "trailers without a status": lambda n: h2.pack_headers(n, reply) + h2.pack(
                h2.DATA, 0, n, h2.grpc(b"hello")) + h2.pack_headers(n, hpack.block(
                    [("x", "y")]), True),
            "trailers with pseudo fields": lambda n: h2.pack_headers(n, reply) + h2.pack_headers(
                n, hpack.block([(":status", "200")]) + ok, True),
            "trailers that do not end": lambda n: h2.pack_headers(n, reply) + h2.pack(
                h2.DATA, 0, n, h2.grpc(b"hello")) + h2.pack_headers(n, ok),
            "half a message": lambda n: h2.pack_headers(n, reply) + h2.pack(
                h2.DATA, 0, n, h2.grpc(b"hello", length=100)) + h2.pack_headers(n, ok, True),
            "a message of 4 GiB": lambda n: h2.pack_headers(n, reply) + h2.pack(
                h2.DATA, 0, n, h2.grpc(b"hello", length=0xFFFFFFFF)),
            "a compressed message without encoding": lambda n: h2.pack_headers(n, reply) + h2.pack(
                h2.DATA, 0, n, h2.grpc(b"hello", compressed=1)) + h2.pack_headers(n, ok, True),
        }

    def test_h15_whatever_an_application_sends(self):
        current = []

        def misbehave(peer, frame):
            if frame is not None and frame.is_end:
                peer.send(current[0](frame.stream)) if current else answer(peer, frame.stream)
        client = self.begin(misbehave, timeout={"call": "20s"})
        self.assert_echoed(client.call())
        before = self.daemon.rss()
        for name, make in self.what_is_sent().items():
            with self.subTest(sent=name), self.client(self.daemon, updates=True) as client:
                current[:] = [make]
                for _ in range(3):
                    began = time.monotonic()
                    got = client.call()
                    self.assertTrue(got.is_over, got)
                    self.assertLess(time.monotonic() - began, AT_ONCE, "only the deadline ended it")
                    if got.ended:
                        self.assertNotIn(got.trailers.get("grpc-status"), ("0", None), got)
                        self.assertNotIn("", got.trailers)
                current.clear()
                self.assert_echoed(client.call())
                self.assertEqual(client.goaways, [])
        if not IS_SANITIZED:
            self.assertLess(self.daemon.rss() - before, 16 * MIB)

    def test_h15_floods_of_an_application(self):
        floods = {
            "ping": lambda n: h2.pack(h2.PING, 0, 0, b"\0" * 8), "settings": lambda n: h2.pack(
                h2.SETTINGS),
            "empty data": lambda n: h2.pack(h2.DATA, 0, n),
            "unknown": lambda n: h2.pack(0x42, 0, n),
            "padding": lambda n: h2.pack(h2.DATA, h2.PADDED, n, b"\0"),
            "window": lambda n: h2.pack(h2.WINDOW_UPDATE, 0, n, b"\0\0\0\1"),
        }
        client = self.begin(timeout={"call": "20s"})
        before = self.daemon.rss()
        for name, make in floods.items():
            with self.subTest(flood=name):
                count = len(self.service.calls())
                number = client.ask()
                peer, stream = self.service.await_calls(count + 1)[-1]
                if name in ("empty data", "padding"):
                    peer.headers(stream.number, REPLY_FIELDS)
                frames = make(stream.number) * 1000
                for _ in range(100):
                    if not peer.send(frames):
                        break
                got = client.over(number, FAR_AWAY)
                self.assertNotEqual(got.trailers.get("grpc-status"), "0")
                peer.closed(FAR_AWAY)
        if not IS_SANITIZED:
            self.assertLess(self.daemon.rss() - before, 8 * MIB)

    def test_h15_a_connection_that_dies_under_its_calls(self):
        for how in (h2.Peer.close, h2.Peer.abort):
            with self.subTest(how=how.__name__):
                client = self.begin()
                numbers, calls = self.held(client, 10)
                peer = calls[0][0]
                for _, stream in calls[:4]:
                    peer.headers(stream.number, REPLY_FIELDS)
                    peer.data(stream.number, h2.grpc(b"part"))
                for number in numbers[:4]:
                    client.until(lambda n=number: client.find(n).data)
                how(peer)
                for number in numbers[:4]:
                    got = client.over(number)
                    self.assertNotEqual(got.trailers.get("grpc-status"), "0", got)
                for number in numbers[4:]:
                    self.assert_status(client.over(number), 14, "reset")
                self.service.behaviour = h2_upstream.echo
                for _ in range(5):
                    self.assert_echoed(client.call())
                self.daemon.stop()

    def test_h15_nobody_says_anything(self):
        """A listener that accepts, and no more: not even SETTINGS."""
        self.service = self.h2_upstream(settings=None, reads=False)
        daemon = self.pinned(self.service, config=ONE_WORKER, timeout={"call": "300ms"})
        client = self.client(daemon)
        began = time.monotonic()
        self.assert_status(client.call(), 4, "timeout")
        self.assertLess(time.monotonic() - began, AT_ONCE)

    def test_h15_an_application_that_never_reads(self):
        self.service = self.h2_upstream(reads=False)
        daemon = self.pinned(self.service, config=ONE_WORKER)
        before = daemon.rss()
        taken = 0
        for _ in range(10):
            client = self.client(daemon)
            client.sock.settimeout(0.5)
            numbers = [client.open() for _ in range(20)]
            try:
                for _ in range(20):
                    for number in numbers:
                        size = client.take_window(number, 16384, 0.2)
                        if not client.data(number, b"\0\0\0\xff\xff" + b"x" * (size - 5)):
                            break
                        taken += size
            except (AssertionError, EOFError):
                pass
        self.assertLess(taken, 10 * 16 * MIB)
        if not IS_SANITIZED:
            self.assertLess(daemon.rss() - before, 64 * MIB)
