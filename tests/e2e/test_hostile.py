"""Callers that mean harm. After each the daemon is the same process, serves a good call at once, and
holds no descriptor and little memory for it."""

import json
import os
import random
import resource
import socket
import struct
import threading
import time

import h2
import sockets
import upstream
import wire
from bridled import IS_SANITIZED, SLOWER, TestCase, eventually, parse_metrics
from h2_case import AT_ONCE, FAR_AWAY
from test_operation import Load

MIB = 1 << 20
TIMES = {"detect": "500ms", "message": "1s", "idle": "1500ms", "write_stall": "1s"}


def ends(sock, seconds=FAR_AWAY):
    """Reads to the end, which must come; gives what came before."""
    sock.settimeout(seconds)
    data = b""
    try:
        while more := sock.recv(65536):
            data += more
    except ConnectionError:
        pass
    return data


def exception_in(data):
    """(type, text) of the one exception in a last answer, whatever its form."""
    left, right = socket.socketpair()
    with left, right:
        left.sendall(data)
        left.shutdown(socket.SHUT_WR)
        return wire.Stream(right).read().exception


class Attack(TestCase):
    LISTENER = {"timeout": TIMES}
    POLICY = {"pool": {"keep": 4, "idle_timeout": "1s"}}

    def setUp(self):
        super().setUp()
        self.service = self.upstream(upstream.echo)
        self.daemon = self.pinned(self.service, self.LISTENER, **self.POLICY)
        self.address = self.daemon.address()
        for form in wire.FORMS:
            self.good_call(form)
        self.descriptors, self.rss = self.daemon.descriptors(), self.daemon.rss()
        self.addCleanup(self.must_be_unharmed)

    def good_call(self, form="framed"):
        with sockets.Caller(self.address, form) as caller:
            began = time.monotonic()
            text = "good %d" % next(sockets.sequence)
            self.assertEqual(caller.call(text=text).text, text)
            return time.monotonic() - began

    def must_be_unharmed(self):
        self.assertTrue(self.daemon.is_alive(), self.daemon.errors()[-4000:])
        for form in wire.FORMS:
            self.assertLess(self.good_call(form), AT_ONCE)
        eventually(lambda: self.daemon.descriptors() <= self.descriptors + 8,
                   what="the end of the attack's descriptors")
        if not IS_SANITIZED:
            self.assertLess(self.daemon.rss(), self.rss + 32 * MIB)
        self.assertEqual(self.service.malformed, [])

    def connect(self):
        sock = sockets.connect(self.address)
        self.addCleanup(sock.close)
        return sock

    def refuse(self, data, count=20):
        """Each of `count` connections is closed, after an exception at most."""
        socks = [self.connect() for _ in range(count)]
        for sock in socks:
            try:
                sock.sendall(data)
            except ConnectionError:
                pass
        for sock in socks:
            answer = ends(sock)
            sock.close()
            if answer:
                self.assertIn(b"bridled: ", answer)

    def call_bytes(self, method="Echo", kind=wire.CALL, seq=5, body=None):
        return wire.message(method, kind, seq, wire.arguments("x") if body is None else body)

    def calls_at_service(self, method):
        return [p for p in self.service.packets if p.method == method]


class Lengths(Attack):
    def test_t01_negative_and_huge_lengths(self):
        call = self.call_bytes()
        for length in (0xFFFFFFFF, 0x80000000, 0x7FFFFFFF, 65 * MIB):
            with self.subTest(length=length):
                self.refuse(struct.pack(">I", length) + call)
                self.refuse(wire.pack_ttheader(b"\0\0\0\0", call, length=length))
                self.refuse(wire.pack_ttheader(b"\0\0\0\0", struct.pack(">I", length) + call))
        eventually(lambda: self.daemon.metric("bridle_calls_total", reason="too_large") > 0)

    def test_t02_frames_of_nothing(self):
        before = self.daemon.cpu_seconds()
        self.refuse(b"\0\0\0\0" * 10000, 10)
        for length in range(1, 13):
            self.refuse(struct.pack(">I", length) + self.call_bytes()[:length] + b"\0" * 64, 2)
        self.assertLess(self.daemon.cpu_seconds() - before, 1 * SLOWER)

    def test_t03_headers_that_do_not_fit(self):
        call = self.call_bytes()
        self.refuse(wire.pack_ttheader(b"", call, words=0))
        for words in (2, 100, 0x7FFF, 0xFFFF):
            self.refuse(wire.pack_ttheader(b"\0\0\0\0", call, words=words) + b"\0" * 300, 5)
        for length in (0, 1, 4, 9, 10, 13, 14, 15, 20):
            self.refuse(wire.pack_ttheader(b"\0\0\0\0", call, length=length), 5)
        self.refuse(wire.pack_ttheader(b"\0\0\0\0", b""), 5)
        self.refuse(wire.pack_ttheader(b"\0\0\0\0", b"\0\0\0\0"), 5)

    def test_t04_sections_that_lie(self):
        call = self.call_bytes("Lies")
        liars = [
            b"\0\0\x01\xff\xff", b"\0\0\x10\xff\xff", b"\0\0\x11\xff\xff",
            b"\0\0\x01\0\x01\xff\xffkey", b"\0\0\x01\0\x01\0\x01k\xff\xffvalue",
            b"\0\0\x10\0\x01\0\x06\xff\xffvalue", b"\0\0\x10\0\x02\0\x06\0\x01x",
            b"\0\0\x02\0\x01", b"\0\0\x12\0\0", b"\0\0\xff", b"\0\xff\0\0", b"\0\x01\x01\0",
            b"\x02\0\0\0", b"\x7f\0\0\0", b"\xff\0\0\0", b"\0\0\x01", b"\0\0\x10\0", b"\0\0\x11",
        ]
        for liar in liars:
            liar += b"\0" * (-len(liar) % 4)
            with self.subTest(header=liar.hex()):
                self.refuse(wire.pack_ttheader(liar, call), 5)
        self.assertEqual(self.calls_at_service("Lies"), [])

    def test_t04_headers_above_the_limit(self):
        header = wire.Header(strs={"k%d" % i: "v" * 60000 for i in range(4)})
        self.refuse(header.pack(self.call_bytes("Big")), 20)
        many = wire.Header(ints={i: "" for i in range(60000)})
        self.refuse(many.pack(self.call_bytes("Big")), 5)
        self.assertEqual(self.calls_at_service("Big"), [])


class Smuggling(Attack):
    """Nothing is passed on that two parsers could read differently."""

    def setUp(self):
        super().setUp()
        self.hidden = wire.frame(self.call_bytes("Smuggled", seq=6))
        self.addCleanup(lambda: self.assertEqual(self.calls_at_service("Smuggled"), []))

    def outer(self, body_size):
        return self.call_bytes("Outer", body=wire.arguments("x" * body_size))

    def test_t05_a_frame_that_is_longer_than_its_message(self):
        for size in (1, 1000, 60000, 100000, 300000):
            outer = self.outer(size)
            for tail in (b"\0", self.hidden, self.hidden[4:]):
                with self.subTest(size=size, tail=len(tail)):
                    self.refuse(wire.frame(outer + tail), 3)
                    self.refuse(wire.pack_ttheader(b"\0\0\0\0", outer + tail), 3)
                    self.refuse(wire.pack_ttheader(b"\0\0\0\0", wire.frame(outer + tail)), 3)

    def test_t05_an_inner_frame_that_is_not_the_rest_of_the_outer(self):
        outer = self.outer(10)
        for off in (-9, -1, 1, 4, 1000):
            inner = struct.pack(">I", len(outer) + off) + outer
            for tail in (b"", self.hidden):
                with self.subTest(off=off, tail=len(tail)):
                    self.refuse(wire.pack_ttheader(b"\0\0\0\0", inner + tail), 3)

    def test_t05_a_frame_that_ends_inside_its_message(self):
        for size in (10, 100000):
            outer = self.outer(size)
            for off in (1, 2, 8):
                short = struct.pack(">I", len(outer) - off) + outer
                with self.subTest(size=size, off=off):
                    self.refuse(short + self.hidden, 3)
                    self.refuse(wire.pack_ttheader(b"\0\0\0\0", outer, length=10 + 4 + len(
                        outer) - off) + self.hidden, 3)

    def test_t05_a_message_after_a_refused_one_is_not_looked_at(self):
        bad = wire.frame(self.outer(5) + b"\0")
        self.refuse(bad + self.hidden * 10, 5)

    def test_t05_the_refusal_says_why_in_the_callers_form(self):
        caller = self.caller(self.daemon, "framed")
        caller.sock.sendall(wire.frame(self.outer(5) + b"junk"))
        answer = caller.receive()
        self.assert_refused(answer, "malformed", 7)
        self.assertEqual((answer.method, answer.seq), ("Outer", 5))
        self.assertTrue(sockets.is_closed(caller.sock))


def h2_frames(data):
    """The kinds of the frames."""
    kinds = []
    while data:
        kinds.append(data[3])
        data = data[9 + int.from_bytes(data[:3], "big"):]
    return kinds


class Ambiguity(Attack):
    def test_t06_first_bytes_of_two_protocols(self):
        call = self.call_bytes("Ambiguous")
        for data in (
                b"\x80\x01\x00\x01\x10\x00\x00\x00" + b"\0" * 30,
                b"PRI \x10\x00\x00\x00" + b"\0" * 30,
                b"\xff\xaf\x10\x00\x10\x00" + b"\0" * 30,
                b"\xff\xaf\x00\x00" + call, b"\xff\xaf\xff\xff\xff\xff" + call,
                b"\xff\xaf\x00\x0a\x00\x01\x00\x03rip\x00\x01x" * 2 + call,
                b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 64,
                b"\x82\x21\x01\x04Echo" + b"\0" * 16, b"\0\0\0\x10\x82\x21\x01\x04Echo" + b"\0" * 8,
                b"\x90\x01\x00\x01" + call[4:],
                wire.pack_ttheader(b"\0\0\0\0", wire.pack_ttheader(b"\0\0\0\0", call)),
                b"\xff" * 64, b"\0" * 64, b"\r\n" * 32, b"\x10" * 64):
            with self.subTest(data=data[:16].hex()):
                self.refuse(data, 3)
        self.assertEqual(self.calls_at_service("Ambiguous"), [])

    def test_t06_half_a_preface_of_http2(self):
        with self.connect() as sock:
            sock.sendall(b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n")
            answer = ends(sock)
        self.assertEqual(h2_frames(answer), [h2.SETTINGS, h2.WINDOW_UPDATE, h2.GOAWAY])

    def test_t06_too_few_bytes_to_tell(self):
        for length in range(1, 8):
            self.refuse(self.call_bytes()[:length], 3)

    def test_t07_heads_of_messages(self):
        body = wire.arguments("x")
        call = self.call_bytes("Head")
        for length in (0xFFFFFFFF, 0x7FFFFFFF, 0x10000, 257, 0):
            lying = struct.pack(">HHI", wire.THRIFT, wire.CALL, length) + b"Head" + b"\0" * 4 + body
            with self.subTest(name=length):
                self.refuse(lying, 5)
                self.refuse(wire.frame(lying), 5)
                self.refuse(wire.pack_ttheader(b"\0\0\0\0", wire.frame(lying)), 5)
        for magic in (0x8002, 0x0001, 0x9101):
            self.refuse(wire.frame(struct.pack(">H", magic) + call[2:]), 3)

    def test_t07_types_that_a_caller_does_not_send(self):
        for kind in (wire.REPLY, wire.EXCEPTION, 0, 5, 6, 255, 0x0101, 0xFF01):
            data = self.call_bytes("Type", kind=kind)
            for wrapped in (data, wire.frame(data), wire.pack_ttheader(b"\0\0\0\0", data),
                            wire.frame(b"\x90\x01" + data[2:])):
                with self.subTest(kind=kind, form=wrapped[:6].hex()):
                    sock = self.connect()
                    sock.sendall(wrapped)
                    self.assertEqual(ends(sock), b"")
        self.assertEqual(self.calls_at_service("Type"), [])


class Nesting(Attack):
    LISTENER = {"timeout": {**TIMES, "message": "10s", "write_stall": "10s"}}  # for long calls

    def both(self, body, count=3):
        data = self.call_bytes("Deep", body=body)
        self.refuse(data, count)
        self.refuse(wire.frame(data), count)

    def test_t08_deep_structs_lists_and_maps(self):
        self.both(b"\x0c\x00\x01" * 300000)
        self.both(b"\x0f\x00\x01" + b"\x0f\x00\x00\x00\x01" * 100000)
        self.both(b"\x0d\x00\x01" + b"\x0b\x0d\x00\x00\x00\x01\x00\x00\x00\x00" * 50000)
        self.both(b"\x0c\x00\x01" * 65 + b"\0" * 66)
        self.assertEqual(self.calls_at_service("Deep"), [])

    def test_t08_64_levels_are_legal_for_both_sides(self):
        with self.caller(self.daemon) as caller:
            answer = caller.call(body=b"\x0c\x00\x01" * 60 + b"\0" * 61)
            self.assertEqual(answer.kind, wire.REPLY)

    def test_t08_counts_and_sizes_that_lie(self):
        for count in (0x7FFFFFFF, 0xFFFFFFFF, 0x80000000, 1000000):
            number = struct.pack(">I", count)
            for body in (b"\x0f\x00\x01\x0c" + number, b"\x0e\x00\x01\x08" + number,
                         b"\x0d\x00\x01\x0b\x0b" + number, b"\x0b\x00\x01" + number,
                         b"\x0f\x00\x01\x02" + number, b"\x0d\x00\x01\x02\x02" + number):
                with self.subTest(body=body.hex()):
                    self.refuse(wire.frame(self.call_bytes("Count", body=body + b"\0" * 20)), 2)
        for kind in (1, 5, 7, 9, 16, 17, 255):
            self.both(bytes((kind,)) + b"\0\x01" + b"\0" * 20, 2)
        self.assertEqual(self.calls_at_service("Count"), [])

    def test_t08_long_legal_lists_pass(self):
        body = b"\x0f\x00\x01\x08" + struct.pack(">I", 250000) + b"\0\0\0\x01" * 250000 + b"\0"
        for form in wire.FORMS:
            with self.caller(self.daemon, form) as caller:
                self.assertEqual(caller.call(body=body).kind, wire.REPLY)
        self.assertEqual(self.service.packets[-1].body, body)

    def test_t08_a_list_of_a_million_structs_costs_others_nothing(self):
        """A million steps of the walker; the loop goes on meanwhile."""
        count = 1000000
        body = b"\x0f\x00\x01\x0c" + struct.pack(">I", count) + b"\0" * count + b"\0"
        with self.caller(self.daemon, "buffered") as caller:
            self.service.behaviour = lambda c, p: c.write(p.answer(b"\0"))
            caller.send(body=body)
            self.assertLess(self.good_void_call(), AT_ONCE)
            self.assertEqual(caller.receive().kind, wire.REPLY)
        self.service.behaviour = upstream.echo

    def good_void_call(self):
        with sockets.Caller(self.address) as caller:
            began = time.monotonic()
            caller.call()
            return time.monotonic() - began


class Patience(Attack):
    def test_t09_slow_callers_are_closed(self):
        with Load(self.address, threads=1) as load:
            call = wire.frame(self.call_bytes(body=wire.arguments("x" * 1000)))
            socks = [self.connect() for _ in range(60)]
            began = time.monotonic()
            for i, sock in enumerate(socks):
                sock.sendall(call[:(1, 7, 8, 20, 500)[i % 5]])
            open_socks, sent = set(socks), 500
            while open_socks and time.monotonic() - began < FAR_AWAY:
                for sock in list(open_socks):  # a byte now and then does not buy time
                    try:
                        sock.sendall(call[sent:sent + 1])
                        sock.setblocking(False)
                        if not sock.recv(4096):
                            open_socks.discard(sock)
                    except BlockingIOError:
                        pass
                    except OSError:
                        open_socks.discard(sock)
                    finally:
                        sock.setblocking(True)
                sent = 500 + (sent - 499) % 400
                time.sleep(0.1)
        self.assertEqual(open_socks, set())
        self.assertEqual(load.failed, [])

    def test_t09_idle_connections_cost_little_and_end(self):
        socks = [self.connect() for _ in range(400)]
        with Load(self.address, threads=1) as load:
            eventually(lambda: self.daemon.metric("bridle_downstream_connections") >= 400)
            if not IS_SANITIZED:
                self.assertLess(self.daemon.rss() - self.rss, 8 * MIB)
            for sock in socks:
                self.assertEqual(ends(sock), b"")
        self.assertEqual(load.failed, [])

    def test_t10_a_caller_that_asks_and_never_reads(self):
        taken = 0
        for _ in range(5):
            sock = self.connect()
            sock.settimeout(0.5)
            call = wire.frame(self.call_bytes(body=wire.arguments("x" * 20000))) * 20
            try:
                for _ in range(200):
                    sock.sendall(call)
                    taken += len(call)
            except (TimeoutError, ConnectionError):
                pass
        self.assertLess(taken, 5 * 16 * MIB)
        if not IS_SANITIZED:
            self.assertLess(self.daemon.rss() - self.rss, 48 * MIB)

    def test_t12_callers_that_leave_in_the_middle(self):
        generator = random.Random(12)
        calls = [wire.Packet(form, wire.CALL, "Echo", 1, wire.arguments("x" * 2000),
                             wire.Header(1)).pack() for form in wire.FORMS]
        with Load(self.address, threads=1) as load:
            for i in range(400):
                sock = sockets.connect(self.address)
                data = calls[i % 4]
                sock.sendall(data[:generator.randrange(len(data) + 1)])
                sockets.reset(sock) if i % 2 else sock.close()
        self.assertEqual(load.failed, [])

    def test_t12_connections_come_and_go(self):
        for i in range(1500):
            sock = sockets.connect(self.address)
            sockets.reset(sock) if i % 2 else sock.close()

    def test_t18_a_flood_of_oneways_and_then_a_call(self):
        with self.caller(self.daemon) as caller:
            oneway = caller.packet("Notify", "x", kind=wire.ONEWAY).pack()
            caller.sock.sendall(oneway * 5000)
            self.assertEqual(caller.call(text="after").text, "after")
        eventually(lambda: len(self.calls_at_service("Notify")) == 5000, what="all oneways")


class Identity(Attack):
    LISTENER = {"timeout": TIMES, "caller": "node", "caller_address": "set"}

    def test_t19_a_caller_cannot_say_who_it_is(self):
        self.service.behaviour = upstream.report
        for form in ("ttheader_bare", "ttheader_framed"):
            with self.caller(self.daemon, form) as caller:
                answer = caller.call(ints={wire.FROM_SERVICE: "bank.admin"},
                                     strs={"rip": "10.0.0.1:1"})
                seen = json.loads(answer.text)
                self.assertEqual(seen["ints"]["3"], "test.node")
                self.assertTrue(seen["strs"]["rip"].startswith("127.0.0.1"))
        self.service.behaviour = upstream.echo


class Logs(Attack):
    NAMES = ["a\r\nb", "\x1b[31mred", 'quote"quote', "back\\slash", "tab\t", "nul\0nul", "\x7f",
             "\xff\xfe\xfd", "\xe2\x28\xa1", "l" * 256, "{}", "%s%n", "\u2028".encode().decode("latin-1")]

    def test_t20_names_cannot_forge_lines(self):
        before = len(self.daemon.access_log(len(wire.FORMS)))  # of the good calls
        for number, name in enumerate(self.NAMES, 1):
            with self.caller(self.daemon, "ttheader_framed") as caller:
                raw = name.encode("latin-1")
                head = wire.Header(9, {3: name, 2: name, 6: name}, {"isn": name})
                message = struct.pack(">HHI", wire.THRIFT, wire.CALL, len(raw)) + raw
                message += b"\0\0\0\x09" + wire.arguments("x")
                caller.sock.sendall(head.pack(wire.frame(message)))
                caller.receive()
            # The next call may be another worker's, whose line may be faster.
            lines = self.daemon.access_log(before + number)
        for line, name in zip(lines[before:], self.NAMES):
            self.assertEqual(line["reason"], "ok")
            self.assertLessEqual(len(line["method"].encode()), 4 * 256)
            if name.isascii() and name.isprintable():
                self.assertEqual(line["method"], name)
        with open(self.daemon.access_path, "rb") as file:
            self.assertNotRegex(file.read(), rb"[\x00-\x09\x0b-\x1f\x7f]")
        parse_metrics(self.daemon.get("/metrics")[1])

    def test_t20_method_names_do_not_fill_the_memory(self):
        """Past the limit they are counted as one."""
        with self.caller(self.daemon) as caller:
            for start in range(0, 3000, 100):
                for i in range(start, start + 100):
                    caller.send("method%d" % i)
                for _ in range(100):
                    caller.receive()
        methods = {labels["method"] for name, labels, _ in
                   parse_metrics(self.daemon.get("/metrics")[1]) if name == "bridle_calls_total"}
        self.assertLessEqual(len(methods), 1001)
        self.assertIn("other", methods)


class Noise(Attack):
    """Nobody waits here for the end of a time: what comes in pieces has all the time it needs."""

    LISTENER = {"timeout": {"detect": "60s", "message": "60s", "idle": "60s", "write_stall": "60s"}}

    def send_and_forget(self, data):
        sock = sockets.connect(self.address)
        try:
            sock.sendall(data)
            sock.setblocking(False)
            sock.recv(65536)
        except OSError:
            pass
        sock.close()

    def test_t21_random_bytes(self):
        generator = random.Random(21)
        with Load(self.address, threads=1) as load:
            for _ in range(600):
                self.send_and_forget(generator.randbytes(generator.choice((1, 8, 20, 200, 5000))))
        self.assertEqual(load.failed, [])

    def test_t21_frames_with_a_few_bytes_changed(self):
        generator = random.Random(22)
        meta = {"ints": {6: "svc", 12: "1000"}, "strs": {"RPC_PERSIST_A": "b"}, "acl": "t"}
        seeds = []
        for form in wire.FORMS:
            for magic in (wire.THRIFT, wire.KITEXPB):
                header = wire.Header(7, **meta) if form.startswith("ttheader") else None
                seeds.append(wire.Packet(form, wire.CALL, "Echo", 7, wire.arguments("hello"),
                                         header, magic).pack())
        with Load(self.address, threads=1) as load:
            for i in range(2500):
                data = bytearray(seeds[i % len(seeds)])
                for _ in range(generator.randrange(1, 5)):
                    data[generator.randrange(min(len(data), 80))] = generator.choice(
                        (0, 1, 0x7F, 0x80, 0xFF, generator.randrange(256)))
                self.send_and_forget(bytes(data))
        self.assertEqual(load.failed, [])
        self.service.malformed.clear()  # a changed argument struct is the service's to judge

    def test_t22_any_segmentation(self):
        generator = random.Random(23)
        for turn in range(80):
            form = wire.FORMS[turn % 4]
            with self.caller(self.daemon, form) as caller:
                questions = [caller.packet(text="call %d" % i) for i in range(3)]
                data = b"".join(q.pack() for q in questions)
                cuts = sorted(generator.randrange(len(data)) for _ in range(6))
                for start, end in zip([0] + cuts, cuts + [len(data)]):
                    caller.sock.sendall(data[start:end])
                    time.sleep(0.0005)
                for question in questions:
                    answer = caller.receive()
                    caller.must_answer(question, answer)
                    self.assertEqual(answer.text, question.text)


class Resources(TestCase):
    """Not the callers' fault: descriptors, disks and pipes that are full."""

    def test_s1_no_descriptor_is_left_for_accept(self):
        daemon = self.pinned(self.upstream(upstream.echo))
        address = daemon.address()
        with sockets.Caller(address) as caller:
            caller.call()
            soft, hard = resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE)
            resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE,
                             (daemon.descriptors() + 3, hard))
            others = [sockets.connect(address) for _ in range(30)]
            before = daemon.cpu_seconds()
            time.sleep(1)
            self.assertLess(daemon.cpu_seconds() - before, 0.3)
            for i in range(20):  # those who are in are served
                self.assertEqual(caller.call(text="call %d" % i).text, "call %d" % i)
            for other in others:
                other.close()
            resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, (soft, hard))
        began = time.monotonic()
        with sockets.Caller(address) as caller:
            caller.call()
        self.assertLess(time.monotonic() - began, AT_ONCE)

    def test_s1_more_callers_than_descriptors(self):
        daemon = self.pinned(
            self.upstream(upstream.echo),
            preexec=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (160, 160)))
        address = daemon.address()
        for _ in range(2):
            callers, answered, refused, closed = [], 0, 0, 0
            for i in range(300):
                caller = sockets.Caller(address, wire.FORMS[i % 4])
                callers.append(caller)
                try:
                    caller.send(text="x")
                except OSError:
                    pass
            for caller in callers:
                try:
                    answer = caller.receive()
                    if answer.exception:
                        self.assertRegex(answer.exception[1], "^bridled: ")
                        refused += 1
                    else:
                        answered += 1
                except (EOFError, ConnectionError):
                    closed += 1
                caller.close()
            self.assertEqual(answered + refused + closed, 300)
            self.assertGreater(answered, 10)
        eventually(lambda: self.is_served(address))

    def is_served(self, address):
        with sockets.Caller(address) as caller:
            try:
                return caller.call(text="x").exception is None
            except (EOFError, ConnectionError):
                return False

    def test_the_connections_of_a_listener_are_limited(self):
        daemon = self.pinned(self.upstream(upstream.echo), {"connections": 10})
        callers = [self.caller(daemon) for _ in range(10)]
        for caller in callers:
            self.assertEqual(caller.call(text="x").text, "x")
        with self.caller(daemon, "ttheader_framed") as late:
            self.assert_refused(late.call(), "connection_limited", 6)
            self.assertTrue(sockets.is_closed(late.sock))
        callers[0].close()
        eventually(lambda: self.is_served(daemon.address()))

    def test_s4_a_full_disk_under_the_logs(self):
        daemon = self.pinned(self.upstream(upstream.echo), config={
            "access_log": {"to": "/dev/full", "format": "json"},
            "log": {"to": "/dev/full", "level": "debug"}})
        with self.caller(daemon) as caller:
            for i in range(2000):
                self.assertEqual(caller.call(text="call %d" % i).text, "call %d" % i)

    def test_s4_a_pipe_that_nobody_reads(self):
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        config = {"access_log": {"to": "stderr", "format": "json"}, "log": {"level": "debug"}}
        daemon = self.pinned(self.upstream(upstream.echo), config=config, stderr=writer)
        os.close(writer)
        slowest = 0
        with self.caller(daemon) as caller:
            for i in range(3000):
                began = time.monotonic()
                self.assertEqual(caller.call(text="call %d" % i).text, "call %d" % i)
                slowest = max(slowest, time.monotonic() - began)
        self.assertLess(slowest, AT_ONCE)

    def test_two_callers_may_not_starve_a_third(self):
        daemon = self.pinned(self.upstream(upstream.echo), config={"workers": 1})
        stop = threading.Event()
        self.addCleanup(stop.set)

        def flood():
            caller = sockets.Caller(daemon.address())
            call = caller.packet(text="x" * 1000).pack() * 50
            while not stop.is_set():
                caller.sock.sendall(call)
                for _ in range(50):
                    caller.receive()
            caller.close()
        floods = [threading.Thread(target=flood) for _ in range(2)]
        for thread in floods:
            thread.start()
        with self.caller(daemon) as caller:
            for _ in range(50):
                began = time.monotonic()
                caller.call()
                self.assertLess(time.monotonic() - began, AT_ONCE)
        stop.set()
        for thread in floods:
            thread.join()
