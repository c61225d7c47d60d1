"""What others notice of HTTP/2 callers that mean harm: their neighbours on the same worker,
applications of another protocol, logs and metrics."""

import struct
import subprocess
import sys
import threading
import time

import h2
import h2_upstream
import hpack
import sockets
import upstream
import wire
from bridled import IS_SANITIZED, eventually, parse_metrics
from h2_case import (AT_ONCE, FAR_AWAY, MIB, ONE_WORKER, PATIENT, TIMES, H2TestCase,
                     Upstreams)

THRIFT = "application/grpc+thrift"
RST = struct.pack(">I", h2.CANCEL)


def reset(number, path="/pkg.Svc/Echo", kind="application/grpc", message=None):
    """A call and its end."""
    block = h2.pack_headers(number, hpack.block(h2.call_fields(path, kind=kind)))
    if message is not None:
        block += h2.pack(h2.DATA, h2.END_STREAM, number, h2.grpc(message))
    return block + h2.pack(h2.RST_STREAM, 0, number, RST)


ATTACKER = """
import socket, sys, time
host, port = sys.argv[1].rsplit(":", 1)
data = sys.stdin.buffer.read()
while True:
    try:
        with socket.create_connection((host, int(port)), 5) as sock:
            sock.sendall(data)
            while sock.recv(65536):
                pass
    except OSError:
        pass
    time.sleep(0.01)
"""


class Neighbours(H2TestCase):
    """On one worker, and served at once while others are at it. Those others call a service that is
    down, so that no application's work is measured."""

    def floods(self):
        bomb = hpack.block(h2.call_fields()) + hpack.literal_indexed("x", "b" * 4000)
        return {
            "resets": b"".join(reset(2 * i + 1) for i in range(2000)),
            "pings": h2.pack(h2.PING, 0, 0, b"\0" * 8) * 50000,
            "windows": h2.pack(h2.WINDOW_UPDATE, 0, 0, b"\0\0\0\1") * 50000,
            "blocks": h2.pack(h2.HEADERS, 0, 1, b"\x82" * 16000) + h2.pack(
                h2.CONTINUATION, 0, 1, b"\x82" * 16000) * 60,
            "bombs": h2.pack_headers(1, bomb + hpack.indexed(62) * 10000) + b"".join(
                h2.pack_headers(2 * i + 3, hpack.indexed(62) * 16000) for i in range(50)),
            "messages of nothing": h2.pack_headers(1, hpack.block(h2.call_fields(
                "/pkg.Svc/Zero"))) + h2.pack(h2.DATA, 0, 1, h2.grpc(b"") * 3000) * 4,
            "connections": b"",
        }

    def test_a_neighbour_is_served_meanwhile(self):
        listeners = [{"name": name, "address": "127.0.0.1:0", "service": name}
                     for name in ("good", "down")]
        daemon = self.bridled({**ONE_WORKER, "listeners": listeners, "services": {
            "good": {"endpoints": [self.h2_upstream().address]},
            "down": {"endpoints": ["unix:" + self.path("nobody.sock")]}}})
        client = self.client(daemon, "good")
        for name, flood in self.floods().items():
            with self.subTest(flood=name):
                attackers = [subprocess.Popen(
                    [sys.executable, "-c", ATTACKER, daemon.address("down")],
                    stdin=subprocess.PIPE) for _ in range(2)]
                try:
                    for attacker in attackers:
                        attacker.stdin.write(h2.PREFACE + h2.pack(h2.SETTINGS) + flood)
                        attacker.stdin.close()
                    slowest = self.slowest(client)
                finally:
                    for attacker in attackers:
                        attacker.kill()
                        attacker.wait()
                self.assertLess(slowest, AT_ONCE)

    def slowest(self, client):
        slowest, end = 0, time.monotonic() + 1
        while time.monotonic() < end:
            text = b"good %d" % next(sockets.sequence)
            began = time.monotonic()
            stream = client.call(text)
            slowest = max(slowest, time.monotonic() - began)
            self.assert_echoed(stream, text)
            client.update(0, stream.received)
        return slowest


class OtherProtocols(H2TestCase):
    """An application of Thrift cannot be told that a call is off: what was begun counts on."""

    def begin(self, behaviour, **listener):
        self.service = self.upstream(behaviour)
        times = {**TIMES, "message": "20s"}  # a flood keeps a worker busy, and nobody is late then
        daemon = self.pinned(self.service, {"timeout": times, **listener}, ONE_WORKER,
                             protocol="framed", timeout={**PATIENT, "call": "20s"})
        return daemon, self.client(daemon)

    def push(self, client, size):
        """A call that says 60 MiB, and so much of it."""
        number = client.open(kind=THRIFT, path="/pkg.Svc/Echo")
        head = b"\x0b\0\1" + struct.pack(">I", 50 * MIB)
        try:
            client.flow(number, h2.grpc(head, length=60 * MIB))
            for _ in range(size // h2.MAX_FRAME):
                client.flow(number, b"z" * h2.MAX_FRAME)
        except (AssertionError, EOFError):
            pass  # no more of it is wanted
        return client.stream(number)

    def call(self, client, text):
        return client.call(wire.arguments(text), kind=THRIFT, path="/pkg.Svc/Echo")

    def assert_good(self, daemon):
        with self.client(daemon) as client:
            stream = self.call(client, "good")
            self.assertEqual(stream.trailers.get("grpc-status"), "0", stream)
            self.assertEqual(stream.messages, [(0, wire.result("good"))])

    def test_h1_rapid_reset_of_converted_calls(self):
        for behaviour in (upstream.echo, upstream.silent):
            with self.subTest(behaviour=behaviour.__name__):
                daemon, client = self.begin(behaviour)
                before = daemon.cpu_seconds()
                for i in range(0, 20000, 100):
                    if not client.send(b"".join(reset(
                            2 * k + 1, kind=THRIFT, message=wire.arguments("x"))
                                                for k in range(i, i + 100))):
                        break
                self.assertIsNotNone(client.closed(FAR_AWAY))
                self.assertLessEqual(len(self.service.packets), 1100)
                if not IS_SANITIZED:
                    self.assertLess(daemon.cpu_seconds() - before, 1)
                eventually(lambda: len(self.service.open) <= 128, what="fewer connections")
                self.service.behaviour = upstream.echo
                self.assert_good(daemon)
                self.assertEqual(self.service.malformed, [])
                daemon.stop()

    def test_s12_long_calls_that_have_to_be_whole_share_the_memory(self):
        self.service = self.upstream(upstream.echo)
        daemon = self.pinned(self.service, {"timeout": {**TIMES, "message": "120s"}},
                             {**ONE_WORKER, "limits": {"memory": "32MiB"}}, protocol="framed",
                             timeout={"call": "120s"})
        before = daemon.rss()
        clients = [self.client(daemon) for _ in range(10)]
        streams = {}

        def push(client):
            streams[client] = self.push(client, 10 * MIB)
        threads = [threading.Thread(target=push, args=(client,)) for client in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        def refused():
            return [s for s in streams.values() if s.ended]
        eventually(lambda: len(refused()) >= 6, what="refusals")
        for stream in refused():
            self.assert_status(stream, 8, "overload")
        if not IS_SANITIZED:
            self.assertLess(daemon.rss() - before, 64 * MIB)
        for client in clients:
            client.close()
        self.assert_good(daemon)

    def test_h14_what_cannot_be_converted(self):
        daemon, client = self.begin(upstream.echo)
        good = wire.arguments("x")
        for name, message in (("nothing", b""), ("no struct", b"\xff" * 20),
                              ("more than a struct", good + b"\0"), ("less", good[:-1]),
                              ("a deep one", b"\x0c\0\1" * 100 + b"\0" * 101),
                              ("a list that lies", b"\x0f\0\1\x0c\x7f\xff\xff\xff\0")):
            with self.subTest(message=name):
                stream = client.call(message, kind=THRIFT, path="/pkg.Svc/Echo")
                self.assertNotIn(stream.trailers.get("grpc-status"), ("0", None), stream)
        number = client.open(kind=THRIFT, path="/pkg.Svc/Echo")
        client.data(number, h2.grpc(good) * 2, True)
        self.assertNotIn(client.over(number).trailers.get("grpc-status"), ("0", None))
        number = client.open(kind=THRIFT, path="/pkg.Svc/Echo", end=True)
        self.assertNotIn(client.over(number).trailers.get("grpc-status"), ("0", None))
        stream = client.call(good, kind=THRIFT, path="/pkg.Svc/" + "m" * 5000)
        self.assertNotIn(stream.trailers.get("grpc-status"), ("0", None))
        self.assertEqual(self.service.packets, [])
        self.assertEqual(client.goaways, [])
        self.assert_good(daemon)

    def test_h14_answers_that_cannot_be_converted(self):
        daemon, client = self.begin(upstream.echo)
        for behaviour in (upstream.wrong_seq, upstream.wrong_method, upstream.wrong_type,
                          upstream.garbage, upstream.huge_length, upstream.longer_frame,
                          upstream.half_then_close, upstream.close_at_once, upstream.reset_at_once,
                          upstream.zero_length):
            with self.subTest(behaviour=behaviour.__name__):
                self.service.behaviour = behaviour
                began = time.monotonic()
                for i in range(3):
                    stream = self.call(client, "call %d" % i)
                    self.assertTrue(stream.ended, stream)
                    self.assertNotIn(stream.trailers.get("grpc-status"), ("0", None), stream)
                self.assertLess(time.monotonic() - began, AT_ONCE)
                self.service.behaviour = upstream.echo
                self.assert_good(daemon)
        self.assertEqual(client.goaways, [])


class Logs(Upstreams):
    NAMES = ['quote"quote', "back\\slash", "{}", "%s%n", "%0d%0a", "\xff\xfe\xfd", "\xe2\x28\xa1",
             "l" * 2000, "a?b=c", "a/b", "..", "\xe2\x80\xa8"]

    def test_t20_names_cannot_forge_lines(self):
        client = self.begin(h2_upstream.echo)
        for name in self.NAMES:
            client.call(path="/pkg.Svc/" + name, more=[
                ("source-service", name), ("stream-log-id", name), ("destination-service", name)])
        lines = self.daemon.access_log(len(self.NAMES))
        for line, name in zip(lines, self.NAMES):
            self.assertLessEqual(len(line["method"].encode()), 4 * 256)
            self.assertLessEqual(len(line["caller"].encode()), 4 * 256)
            if name.isascii() and len(name) < 100 and "/" not in name and "?" not in name:
                self.assertEqual(line["method"], name)
        with open(self.daemon.access_path, "rb") as file:
            self.assertNotRegex(file.read(), rb"[\x00-\x09\x0b-\x1f\x7f]")
        parse_metrics(self.daemon.get("/metrics")[1])
        self.assertEqual(client.goaways, [])

    def test_t20_names_do_not_fill_the_memory(self):
        client = self.begin(h2_upstream.echo)
        before = self.daemon.rss()
        for start in range(0, 5000, 50):
            for number in [client.ask(path="/pkg%d.Svc/method%d" % (i, i), more=[
                    ("source-service", "caller%d" % i)]) for i in range(start, start + 50)]:
                self.assert_echoed(client.over(number))
                client.update(0, 20)
        labels = [labels for name, labels, _ in parse_metrics(self.daemon.get("/metrics")[1])
                  if name == "bridle_calls_total"]
        self.assertLessEqual(len({found["method"] for found in labels}), 1001)
        self.assertIn("other", {found["method"] for found in labels})
        if not IS_SANITIZED:
            self.assertLess(self.daemon.rss() - before, 16 * MIB)

    def test_t20_services_that_callers_make_up(self):
        """On a listener that is not pinned, nothing is remembered of names that nobody listed."""
        service = self.h2_upstream()
        daemon = self.bridled({**ONE_WORKER, "listeners": [
            {"name": "in", "address": "127.0.0.1:0"}], "services": {
                "svc": {"endpoints": [service.address]}}})
        client = self.client(daemon, updates=True)
        before = daemon.rss()
        for name in ("no.such", "a" * 300, "", "svc\xff", "../svc", "SVC", "svc ", "svc:80",
                     "127.0.0.1"):
            stream = client.call(authority=name or "x", more=[("destination-service", name)])
            self.assertNotEqual(stream.trailers.get("grpc-status"), "0", (name, stream))
        for start in range(0, 3000, 50):
            for number in [client.ask(authority="made.up%d" % i) for i in range(start, start + 50)]:
                self.assert_status(client.over(number), 12, "no_route")
        self.assert_echoed(client.call(authority="svc"))
        if not IS_SANITIZED:
            self.assertLess(daemon.rss() - before, 16 * MIB)
        names = {labels["service"] for name, labels, _ in parse_metrics(daemon.get("/metrics")[1])
                 if name == "bridle_calls_total"}
        self.assertLessEqual(len(names), 3, names)
