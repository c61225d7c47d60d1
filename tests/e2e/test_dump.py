"""bridlectl dump: calls through the daemon, recorded on their way and read back from captures."""

import json
import os
import resource
import shutil
import signal
import struct
import subprocess
import time

import h2
import middleman
import sockets
import tts
import upstream
import wire
from bridled import CTL, IS_SANITIZED, PATIENCE, STOP_SECONDS, TestCase, eventually
from h2_case import H2TestCase

DONE, FAILED = 0, 1
SYN, PUSH, ACK, FIN = 2, 8, 16, 1
RAW, ETHERNET = 101, 1
SEGMENT = 1000
MEMORY = 8 << 20
NOWHERE = ["unix:/nowhere/at/all"]


def little_memory():
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))


class Recorder(middleman.Middleman):
    """Passes everything on, and remembers what went which way, and when."""

    def __init__(self, case, server):
        self.seen = []  # (time, caller's address, whether it is an answer, bytes; none at its end)
        super().__init__(case, server)

    def carry(self, source, to, is_answer):
        try:
            caller = (to if is_answer else source).getpeername()
            while data := source.recv(65536):
                self.seen.append((time.time(), caller, is_answer, data))
                to.sendall(data)
            self.seen.append((time.time(), caller, is_answer, b""))
        except OSError:
            pass
        try:
            to.shutdown(1)
        except OSError:
            pass


class Capture:
    """Packets as they would have been captured, from what a recorder has seen."""

    def __init__(self, seen, server_port=9000, link=RAW):
        self.link, self.packets, self.ports = link, [], {}
        self.server_port = server_port
        for at, caller, is_answer, data in list(seen):
            if caller not in self.ports:
                self.open(at, caller)
            self.say(at, caller, is_answer, data)

    def open(self, at, caller):
        self.ports[caller] = [1000, 2000]
        self.add(at, caller, False, SYN)
        self.ports[caller][0] += 1
        self.add(at, caller, True, SYN | ACK)
        self.ports[caller][1] += 1

    def say(self, at, caller, is_answer, data):
        if not data:
            self.add(at, caller, is_answer, FIN | ACK)
        for i in range(0, len(data), SEGMENT):
            piece = data[i:i + SEGMENT]
            self.add(at, caller, is_answer, PUSH | ACK, piece)
            self.ports[caller][is_answer] += len(piece)

    def add(self, at, caller, is_answer, flags, data=b""):
        ports = (caller[1], self.server_port)
        seq = self.ports[caller]
        tcp = struct.pack(">HHIIBBHHH", ports[is_answer], ports[not is_answer], seq[is_answer],
                          seq[not is_answer], 5 << 4, flags, 65535, 0, 0) + data
        packet = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 0, 0, 64, 6, 0,
                             b"\x7f\0\0\1", b"\x7f\0\0\1") + tcp
        if self.link == ETHERNET:
            packet = bytes(12) + b"\x08\0" + packet
        self.packets.append((at, packet))

    def pcap(self):
        packed = [struct.pack(">IHHIIII", 0xa1b2c3d4, 2, 4, 0, 0, 262144, self.link)]
        for at, packet in self.packets:
            packed.append(struct.pack(">IIII", int(at), int(at % 1 * 1e6), len(packet),
                                      len(packet)))
            packed.append(packet)
        return b"".join(packed)

    def pcapng(self):
        def block(kind, body):
            body += bytes(-len(body) % 4)
            return struct.pack("<II", kind, len(body) + 12) + body + struct.pack(
                "<I", len(body) + 12)
        packed = [block(0x0a0d0d0a, struct.pack("<IHHq", 0x1a2b3c4d, 1, 0, -1)),
                  block(1, struct.pack("<HHI", self.link, 0, 0))]
        for at, packet in self.packets:
            ticks = int(at * 1e6)
            packed.append(block(6, struct.pack("<IIIII", 0, ticks >> 32, ticks & 0xffffffff,
                                               len(packet), len(packet)) + packet))
        return b"".join(packed)


class DumpCase(TestCase):
    def dump(self, data, *words, status=DONE):
        """What is printed of these bytes, by way of a file; a path is read as it is."""
        path = data
        if isinstance(data, bytes):
            path = self.path("capture")
            with open(path, "wb") as file:
                file.write(data)
        done = subprocess.run([CTL, "dump", *words, path], capture_output=True, text=True,
                              timeout=STOP_SECONDS, check=False)
        self.assertEqual(done.returncode, status, done.stderr)
        return done.stdout

    def lines(self, data, *words, **kwargs):
        return [json.loads(line) for line in self.dump(data, "--json", *words, **kwargs).split("\n")
                if line]

    def recorder(self, daemon):
        return Recorder(self, daemon.address())

    def between(self, recorder, form, **kwargs):
        caller = sockets.Caller(recorder.address, form, **kwargs)
        self.addCleanup(caller.close)
        return caller


class Unary(DumpCase):
    FORMS = {"framed": "framed", "buffered": "buffered", "ttheader_bare": "ttheader",
             "ttheader_framed": "ttheader"}

    def test_calls_and_replies_of_every_form(self):
        recorder = self.recorder(self.pinned(self.upstream(upstream.echo)))
        for form, protocol in self.FORMS.items():
            with self.subTest(form=form), self.between(recorder, form) as caller:
                del recorder.seen[:]
                texts = ["first", "x" * 3000]
                seqs = [caller.call(text=text).seq for text in texts]
                for packed in (Capture(recorder.seen).pcap(), Capture(recorder.seen).pcapng(),
                               Capture(recorder.seen, link=ETHERNET).pcap()):
                    shown = self.lines(packed, "-v")
                    self.assertEqual([(s["protocol"], s["kind"], s["method"], s["seq"])
                                      for s in shown],
                                     [(protocol, kind, "Echo", seq) for seq in seqs
                                      for kind in ("call", "reply")])
                    self.assertEqual(shown[0]["thrift"], {"1": {"string": "first"}})
                    self.assertEqual(shown[1]["thrift"], {"0": {"string": "first"}})
                    self.assertGreaterEqual(shown[1]["latency_us"], 0)
                    self.assertEqual([s["error"] for s in shown], [False] * 4)

    def test_kitex_protobuf(self):
        recorder = self.recorder(self.pinned(self.upstream(upstream.echo)))
        with self.between(recorder, "ttheader_framed", magic=wire.KITEXPB) as caller:
            caller.call()
        shown = self.lines(Capture(recorder.seen).pcap(), "-x")
        self.assertEqual([(s["kind"], s["payload"]) for s in shown],
                         [("call", "kitex protobuf"), ("reply", "kitex protobuf")])
        self.assertEqual(bytes.fromhex(shown[0]["hex"]), b"hello")

    def test_a_refusal_tells_its_reason(self):
        recorder = self.recorder(self.pinned(NOWHERE))
        with self.between(recorder, "ttheader_framed") as caller:
            caller.send("Echo", strs={"RPC_PERSIST_TOKEN": "very secret", "RPC_TRANSIT_A": "b"})
            self.assert_refused(caller.receive(), "connect_failed")
        packed = Capture(recorder.seen).pcap()
        (one,) = self.lines(packed, "--errors")
        self.assertEqual((one["kind"], one["method"], one["error"], one["code_name"]),
                         ("exception", "Echo", True, "exception"))
        self.assertTrue(one["text"].startswith("bridled: connect_failed: "), one)
        said = self.dump(packed, "-v")
        self.assertIn('str RPC_TRANSIT_A: "b"', said)
        self.assertIn("str RPC_PERSIST_TOKEN: <redacted>", said)
        self.assertNotIn("very secret", said)
        self.assertIn("very secret", self.dump(packed, "-v", "--show-secrets"))

    def test_one_direction_piped_in(self):
        recorder = self.recorder(self.pinned(self.upstream(upstream.echo)))
        with self.between(recorder, "ttheader_framed") as caller:
            for _ in range(3):
                caller.call()
        asked = b"".join(data for _, _, is_answer, data in recorder.seen if not is_answer)
        done = subprocess.run([CTL, "--json", "dump", "-"], input=asked, capture_output=True,
                              timeout=STOP_SECONDS, check=True)
        shown = [json.loads(line) for line in done.stdout.decode().split("\n") if line]
        self.assertEqual([s["kind"] for s in shown], ["call"] * 3)

    def test_a_capture_with_a_hole_goes_on_behind_it(self):
        recorder = self.recorder(self.pinned(self.upstream(upstream.echo)))
        with self.between(recorder, "framed") as caller:
            for i in range(4):
                caller.call(text="%d" % i * 2500)
        capture = Capture(recorder.seen)
        longest = [i for i, (_, packet) in enumerate(capture.packets) if len(packet) > SEGMENT]
        del capture.packets[longest[1]]
        shown = self.lines(capture.pcap())
        self.assertEqual([s["kind"] for s in shown].count("call"), 4)
        self.assertEqual([s["kind"] for s in shown].count("reply"), 4)
        self.assertEqual([s["missing"] for s in shown if "missing" in s], [SEGMENT])


class Streams(DumpCase):
    def test_frames_of_ttheader_streaming(self):
        server = tts.Upstream(tts.echo)
        self.addCleanup(server.close)
        recorder = self.recorder(self.pinned(server))
        client = tts.Client(recorder.address)
        self.addCleanup(client.close)
        client.over(client.call(["one", "two"]))
        shown = self.lines(Capture(recorder.seen).pcap(), "-v")
        self.assertEqual({s["protocol"] for s in shown}, {"ttheader_streaming"})
        asked = [s for s in shown if s["to"].endswith(":9000")]
        answers = [s for s in shown if s["from"].endswith(":9000")]
        self.assertEqual([s["kind"] for s in asked], ["header", "data", "data", "trailer"])
        self.assertEqual([s["kind"] for s in answers], ["header", "data", "data", "trailer"])
        self.assertEqual([s["thrift"] for s in asked if s["kind"] == "data"],
                         [{"1": {"string": "one"}}, {"1": {"string": "two"}}])
        self.assertIn("latency_us", answers[-1])
        self.assertEqual({s["method"] for s in shown}, {"Bidi"})


class Grpc(DumpCase, H2TestCase):
    def test_calls_messages_and_trailers(self):
        recorder = self.recorder(self.pinned(self.h2_upstream()))
        with h2.Client(recorder.address) as client:
            for text in (b"hello", b"h" * 16000):
                self.assert_echoed(client.call(text), text)
        shown = self.lines(Capture(recorder.seen).pcap())
        grpc = [s for s in shown if s["protocol"] == "grpc"]
        self.assertEqual([(s["kind"], s["stream"]) for s in grpc], [
            (kind, stream) for stream in (1, 3)
            for kind in ("call", "message", "message", "trailers")])
        self.assertEqual([s["payload_bytes"] for s in grpc if s["kind"] == "message"],
                         [5, 5, 16000, 16000])
        self.assertEqual({(s["service"], s["method"]) for s in grpc}, {("pkg.Echo", "Echo")})
        self.assertEqual([s["code"] for s in grpc if s["kind"] == "trailers"], [0, 0])
        self.assertTrue(all("latency_us" in s for s in grpc if s["kind"] == "trailers"))

    def test_a_refusal_tells_its_reason(self):
        recorder = self.recorder(self.pinned(NOWHERE))
        with h2.Client(recorder.address) as client:
            self.assert_status(client.call(), 14, "connect_failed")
        errors = self.lines(Capture(recorder.seen).pcap(), "--errors", "--service", "Echo")
        (one,) = [s for s in errors if s["kind"] == "trailers"]
        self.assertEqual((one["code_name"], one["code"]), ("grpc_status", 14))
        self.assertTrue(one["text"].startswith("bridled: connect_failed: "), one)


class Captured(DumpCase):
    """By a program that captures, where this machine has one and allows it."""

    def capture(self, port, path):
        program = shutil.which("dumpcap")
        if program is None:
            self.skipTest("there is no dumpcap")
        capturing = subprocess.Popen(
            [program, "-q", "-i", "lo", "-f", "tcp port %d" % port, "-w", path],
            stderr=subprocess.PIPE, text=True)

        def stop():
            capturing.send_signal(signal.SIGINT)
            capturing.wait(PATIENCE)
            capturing.stderr.close()
        for line in capturing.stderr:
            if line.startswith("File:"):
                self.addCleanup(stop)
                return
        capturing.wait(PATIENCE)
        capturing.stderr.close()
        self.skipTest("dumpcap may not capture here")

    def test_calls_on_loopback(self):
        daemon = self.pinned(self.upstream(upstream.echo))
        path = self.path("lo.pcapng")
        port = int(daemon.address().rpartition(":")[2])
        self.capture(port, path)
        with self.caller(daemon, "ttheader_framed") as caller:
            seqs = [caller.call(text="x" * n).seq for n in (1, 100, 100000)]

        def shown():
            words = [CTL, "dump", "--json", "--port", str(port), path]
            done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                  text=True, timeout=STOP_SECONDS, check=False)
            found = [json.loads(line) for line in done.stdout.split("\n") if line]
            is_complete = len(found) >= 6 and "problem" not in found[-1]
            return found if is_complete else None
        found = eventually(shown)
        self.assertEqual([(s["kind"], s["seq"]) for s in found],
                         [(kind, seq) for seq in seqs for kind in ("call", "reply")])
        self.assertFalse(any("problem" in s or "missing" in s for s in found), found)


class Hostile(DumpCase):
    def test_files_that_are_no_captures_and_captures_that_end_early(self):
        self.assertEqual(self.dump(b""), "")
        self.assertEqual(self.dump(os.devnull), "")
        packed = Capture([(1.0, ("127.0.0.1", 5), False, b"GET / HTTP/1.1\r\n\r\n")]).pcap()
        self.assertIn("http/1: not decoded", self.dump(packed))
        for cut in (25, 41, len(packed) - 1):
            self.dump(packed[:cut], status=FAILED)

    def test_a_large_capture_takes_little_memory(self):
        call = wire.Packet("framed", wire.CALL, "Echo", 1, wire.arguments("x" * 900)).pack()
        reply = wire.Packet("framed", wire.REPLY, "Echo", 1, wire.result("x" * 900)).pack()
        seen = [(1e9 + i, ("127.0.0.1", 1000 + i % 50), bool(i // 50 % 2), reply if i // 50 % 2
                 else call) for i in range(20000)]
        path = self.path("large")
        with open(path, "wb") as file:
            file.write(Capture(seen).pcap())
        done = subprocess.run([CTL, "dump", "--json", path], stdout=subprocess.PIPE,
                              preexec_fn=None if IS_SANITIZED else little_memory,
                              timeout=STOP_SECONDS, check=False)
        self.assertEqual((done.returncode, done.stdout.count(b"\n")), (DONE, len(seen)))
