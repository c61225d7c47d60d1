"""The programs of the quickstart, each pair without the daemon: what they show must be their doing. And
the files of conf/ that tell applications of metadata."""

import json
import os
import signal
import socket
import subprocess

import bridled
import legacy
import sockets
import wire
from bridled import Bridled, TestCase, UnixHTTP, eventually, http_get
from sockets import PATIENCE, connect

PROGRAMS = os.path.join(bridled.BUILD, "examples", "legacy")
GOLDEN = os.path.join(bridled.TOP, "tests", "wire", "golden")


def golden(name):
    """The frames of a golden file."""
    with open(os.path.join(GOLDEN, name + ".hex"), encoding="ascii") as file:
        return [bytes.fromhex(line) for line in file.read().split("\n")
                if line and not line.startswith("#")]


class Examples(TestCase):
    def serve(self, program, *options, output=subprocess.PIPE):
        """Starts an application on a unix socket, which is its address from then on."""
        address = "unix:" + self.path(program + ".sock")
        process = subprocess.Popen([os.path.join(PROGRAMS, program), *options, address],
                                   stdout=output, stderr=subprocess.STDOUT, text=True)
        self.addCleanup(self.end, process, address[5:])

        def answers():
            if process.poll() is not None:
                raise AssertionError("%s ended with %d" % (program, process.returncode))
            try:
                connect(address).close()
                return True
            except OSError:
                return False
        eventually(answers, bridled.START_SECONDS, program)
        return address

    def end(self, process, path):
        """TERM ends an application, and its socket goes with it, however many still call."""
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=bridled.STOP_SECONDS)
        self.assertEqual(process.returncode, 0, said)
        self.assertFalse(os.path.exists(path))

    def run_call(self, program, *arguments, expect=0):
        """What a caller said."""
        done = subprocess.run([os.path.join(PROGRAMS, program), *arguments], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=bridled.STOP_SECONDS, check=False)
        self.assertEqual(done.returncode, expect, done.stdout)
        return done.stdout

    def received(self, said):
        return [line.split(None, 1)[1] for line in said.split("\n")
                if line.startswith("  received")]

    def open(self, address):
        sock = connect(address)
        self.addCleanup(sock.close)
        sock.settimeout(PATIENCE)
        return sock


def read_all(sock, count):
    """That many bytes, fewer if the connection ends before."""
    got = b""
    while len(got) < count:
        piece = sock.recv(count - len(got))
        if not piece:
            break
        got += piece
    return got


class GRPC(Examples):
    def test_a_message_comes_back_with_status_and_metadata(self):
        address = self.serve("grpc-echo")
        for options in ((), ("-t",)):
            said = self.run_call("grpc-call", *options, "-m", "x-tenant=blue", address, "hello")
            self.assertEqual(self.received(said), ['"hello"', "status 0, x-tenant=blue"])

    def test_a_stream_goes_both_ways_at_once(self):
        address = self.serve("grpc-echo")
        said = self.run_call("grpc-call", "-b", address, "one", "two", "three")
        self.assertEqual([line.split()[:2] for line in said.split("\n") if '"' in line],
                         [[word, '"%s"' % text + ("," if word == "sent" else "")]
                          for text in ("one", "two", "three") for word in ("sent", "received")])

    def test_messages_larger_than_a_window(self):
        address = self.serve("grpc-echo")
        text = "x" * 100000
        said = self.run_call("grpc-call", "-b", address, *[text] * 5)
        self.assertEqual(self.received(said), ['"%s"' % text] * 5 + ["status 0"])

    def test_a_failure_is_a_status(self):
        address = self.serve("grpc-echo")
        for options in ((), ("-b",)):
            said = self.run_call("grpc-call", *options, "-M", "/demo.Echo/Fail", address, "hello",
                                 expect=1)
            self.assertEqual(self.received(said), ["status 13: this method always fails"])

    def test_what_is_no_http2_is_not_answered(self):
        sock = self.open(self.serve("grpc-echo"))
        sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" + bytes(100))
        while sock.recv(4096):
            pass  # its settings, then the end

    def test_a_caller_says_that_nobody_answers(self):
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.addCleanup(listener.close)
        listener.bind(self.path("mute.sock"))
        listener.listen()
        listener.settimeout(PATIENCE)
        process = subprocess.Popen([os.path.join(PROGRAMS, "grpc-call"),
                                    "unix:" + self.path("mute.sock"), "hello"], text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        listener.accept()[0].close()
        said, _ = process.communicate(timeout=PATIENCE)
        self.assertEqual(process.returncode, 1, said)
        self.assertIn("no answer came", said)


class Streaming(Examples):
    CALL, OK, ERROR = ("30_tts_client_header_data_trailer", "31_tts_server_ok",
                       "32_tts_server_error_trailer")

    def test_messages_and_metadata_come_back(self):
        address = self.serve("stream-echo")
        said = self.run_call("stream-call", "-m", "x-tenant=blue", address, "one", "two")
        self.assertEqual(self.received(said), ["metadata x-tenant=blue", '"one"', '"two"',
                                               "the end of the stream"])

    def test_a_failure_ends_the_stream(self):
        said = self.run_call("stream-call", "-M", "Fail", self.serve("stream-echo"), "one",
                             expect=1)
        self.assertEqual(self.received(said), [
            "the end of the stream, an exception of type 6: this method always fails"])

    def test_the_application_speaks_as_kitex_does(self):
        """The frames of a Kitex client; header and trailer are those of a Kitex server."""
        sock = self.open(self.serve("stream-echo"))
        header, _, trailer = golden(self.OK)
        expected = header + golden(self.CALL)[1] + trailer
        for byte in b"".join(golden(self.CALL)):
            sock.sendall(bytes([byte]))
        self.assertEqual(read_all(sock, len(expected)), expected)

    def test_the_caller_speaks_as_kitex_does(self):
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.addCleanup(listener.close)
        listener.bind(self.path("kitex.sock"))
        listener.listen()
        listener.settimeout(PATIENCE)
        process = subprocess.Popen(
            [os.path.join(PROGRAMS, "stream-call"), "-m", "RPC_PERSIST_PK=pv", "-M", "Bidi",
             "unix:" + self.path("kitex.sock"), "hi"],
            text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        sock = listener.accept()[0]
        self.addCleanup(sock.close)
        header, data, trailer = golden(self.CALL)
        self.assertEqual(read_all(sock, len(header + data)), header + data)
        sock.sendall(golden(self.OK)[0] + data)
        self.assertEqual(read_all(sock, len(trailer)), trailer)
        sock.sendall(golden(self.ERROR)[1])
        said, _ = process.communicate(timeout=PATIENCE)
        self.assertEqual(process.returncode, 1, said)
        self.assertEqual(self.received(said), [
            '"hi"', "the end of the stream, an exception of type 6: biz error: stream boom"])

    def test_streams_share_a_connection(self):
        sock = self.open(self.serve("stream-echo"))
        header, data, trailer = golden(self.CALL)

        def of(stream, frame):
            return frame[:8] + stream.to_bytes(4, "big") + frame[12:]
        sock.sendall(of(7, header) + of(9, header) + of(9, data) + of(7, data) + of(9, trailer))
        answer = golden(self.OK)[0]
        expected = (of(7, answer) + of(9, answer) + of(9, data) + of(7, data) + of(9, trailer))
        self.assertEqual(read_all(sock, len(expected)), expected)

    def test_a_reset_is_not_answered(self):
        sock = self.open(self.serve("stream-echo"))
        header, _, _ = golden(self.CALL)
        sock.sendall(header + golden("34_tts_client_rst")[0])
        answer = golden(self.OK)[0]
        sock.shutdown(socket.SHUT_WR)
        self.assertEqual(read_all(sock, len(answer) + 1), answer)

    def test_what_is_no_stream_ends_the_connection(self):
        address = self.serve("stream-echo")
        lying = bytearray(golden(self.CALL)[0])
        lying[12:14] = b"\xff\xff"  # a header longer than its frame
        for bytes_ in (golden("09_tth_call_min")[0], bytes(lying), b"\xff" * 64, bytes(64)):
            sock = self.open(address)
            sock.sendall(bytes_)
            self.assertEqual(sock.recv(1), b"")


class Legacy(Examples):
    def test_the_old_application_ends_when_told(self):
        address = self.serve("legacy-echo")
        said = self.run_call("kitex-call", "framed", address, "some words")
        self.assertIn('a reply: "some words"', said)
        self.open(address)


class Proxied(Examples):
    """What scripts/quickstart shows, with an application and a caller of each kind."""

    def test_who_calls_is_told_to_the_old_application(self):
        said = self.path("said")
        with open(said, "wb") as file:
            address = self.serve("legacy-echo", "-v", output=file)
        daemon = self.pinned(address, protocol="framed", metadata="base255")
        for protocol, caller in (("ttheader", ", from shop.web"), ("ttheader_framed", ", from shop.web"),
                                 ("framed", ""), ("buffered", "")):
            self.assertIn('a reply: "hello"', self.run_call(
                "kitex-call", "-r", "-M", "Ask", "-c", "shop.web", protocol, daemon.address(),
                "hello"))
            with open(said, encoding="utf-8") as file:
                self.assertRegex(file.read().split("\n")[-2],
                                 "^  arrived   as Framed Thrift: Ask, seq 1, 5 bytes%s, "
                                 "log id 02[0-9a-f]+$" % caller)

    def test_grpc_in_every_way(self):
        daemon = self.pinned(self.serve("grpc-echo"), protocol="grpc")
        address = daemon.address()
        for options, texts in (((), ["hello"]), (("-t",), ["hello"]),
                               (("-b",), ["one", "two", "three"])):
            said = self.run_call("grpc-call", *options, "-m", "x-tenant=blue", address, *texts)
            self.assertEqual(self.received(said), ['"%s"' % text for text in texts] +
                             ["status 0, x-tenant=blue"])
        said = self.run_call("grpc-call", "-M", "/demo.Echo/Fail", address, "hello", expect=1)
        self.assertEqual(self.received(said), ["status 13: this method always fails"])
        lines = daemon.access_log(4)
        self.assertEqual([line["reason"] for line in lines], ["ok"] * 3 + ["app_exception"])
        self.assertEqual([line["messages"]["in"] for line in lines][:3], [1, 1, 3])

    def test_streams_of_ttheader(self):
        daemon = self.pinned(self.serve("stream-echo"), protocol="ttheader_streaming")
        said = self.run_call("stream-call", "-m", "x-tenant=blue", daemon.address(), "one", "two")
        self.assertEqual(self.received(said), ["metadata x-tenant=blue", '"one"', '"two"',
                                               "the end of the stream"])
        self.assertEqual(daemon.access_log(1)[0]["messages"], {"in": 2, "out": 2})

    def test_kitex_protobuf_reaches_an_application_that_has_only_grpc(self):
        daemon = self.pinned(self.serve("grpc-echo"), protocol="grpc", aliases=["demo.Echo"])
        for mode in ("kitex_protobuf", "kitex_protobuf_ttheader"):
            said = self.run_call("kitex-call", mode, daemon.address(), "some words")
            self.assertIn('a reply: "some words"', said)
        said = self.run_call("kitex-call", "-M", "Fail", "kitex_protobuf", daemon.address(),
                             expect=1)
        self.assertIn("an exception of type 6: this method always fails", said)

    def test_grpc_reaches_an_old_application(self):
        daemon = self.pinned(self.serve("legacy-echo"), protocol="framed")
        for options in ((), ("-t",)):
            said = self.run_call("grpc-call", *options, daemon.address(), "hello")
            self.assertEqual(self.received(said), ['"hello"', "status 0"])
        said = self.run_call("grpc-call", "-t", "-M", "/demo.Echo/fail", daemon.address(), "hello",
                             expect=1)
        self.assertEqual(self.received(said), ["status 13: this method always fails"])


class Written(Bridled):
    """A daemon whose configuration is a text."""

    def write_config(self, config):
        with open(self.config_path, "w", encoding="utf-8") as file:
            file.write(config + "\nadmin: {socket: \"%s\"}\n" % self.admin_path)


class Metadata(TestCase):
    """Of conf/, with the addresses that there are here: one file for each way to tell an application."""

    INTS = {wire.FROM_SERVICE: "shop.web", wire.LOG_ID: "log-1", wire.RPC_TIMEOUT: "60000"}
    STRS = {"RPC_PERSIST_TENANT": "blue"}

    def start(self, name, **addresses):
        with open(os.path.join(bridled.TOP, "conf", name + ".yaml"), encoding="utf-8") as file:
            text = file.read()
        text = text.replace("${RUNTIME_DIRECTORY:-/run/bridled}", self.directory)
        addresses["0.0.0.0:8888"] = "127.0.0.1:0"
        for old, new in addresses.items():
            self.assertIn(old, text)
            text = text.replace(old, new)
        self.daemon = Written(self.directory, text)
        self.addCleanup(self.daemon.stop)
        self.daemon.start()

    def application(self, path="/run/cart/rpc.sock", behaviour=None):
        """What stands in the file in place of its address, and the application."""
        service = self.upstream(behaviour or self.echo, "app.sock")
        return {"unix:" + path: service.address}, service

    def price(self):
        service = self.upstream()
        return {"192.0.2.10:8888": service.address, "192.0.2.11:8888": service.address}, service

    def echo(self, connection, packet):
        connection.write(packet.answer(wire.result("hi")))

    def call(self, body=wire.arguments("hi")):
        caller = self.caller(self.daemon, "ttheader_framed", "inbound")
        return caller.call("Get", body=body, ints=self.INTS, strs=self.STRS)

    def call_price(self, body=wire.arguments("hi")):
        with sockets.Caller("unix:" + self.path("price.sock")) as caller:
            return caller.call("Quote", body=body)

    def test_base255(self):
        def unwell(connection, packet):
            """Every other time."""
            base_resp = legacy.field(wire.STRUCT, 255, wire.i32_field(2, 503) + b"\0")
            more = base_resp if len(app.packets) % 2 else b""
            connection.write(packet.answer(legacy.field(
                wire.STRUCT, 0, wire.string_field(1, "hi") + more + b"\0") + b"\0"))
        own, app = self.application(behaviour=unwell)
        other, price = self.price()
        self.start("base255", **own, **other)
        request = legacy.field(wire.STRUCT, 1, wire.string_field(1, "hi") + b"\0") + b"\0"
        answer = self.call(request)
        self.assertEqual(answer.fields[0], {1: b"hi"})
        self.assertNotIn("biz-status", answer.header.strs)
        self.assertEqual(len(app.packets), 2)
        for packet in app.packets:
            base = packet.fields[1][255]
            self.assertEqual((base[1], base[2], base[4]), (b"log-1", b"shop.web", b"bridled"))
            self.assertTrue(base[3].startswith(b"127.0.0.1:"), base)
            self.assertEqual(base[6][b"RPC_PERSIST_TENANT"], b"blue")
        handed_on = legacy.field(wire.STRUCT, 1, packet.body[3:-1]) + b"\0"
        self.call_price(handed_on)
        head = price.packets[0].header
        self.assertEqual((head.ints[wire.FROM_SERVICE], head.ints[wire.LOG_ID],
                          head.strs["RPC_PERSIST_TENANT"]), ("shop.cart", "log-1", "blue"))
        self.assertLess(int(head.ints[wire.RPC_TIMEOUT]), 60000)

    def test_argfield(self):
        own, app = self.application("/run/price/rpc.sock")
        self.start("argfield", **own)
        self.assertEqual(self.call().text, "hi")
        facts = app.packets[0].fields[100]
        self.assertEqual((facts[b"source-service"], facts[b"stream-log-id"],
                          facts[b"RPC_PERSIST_TENANT"], facts[b"destination-service"]),
                         (b"shop.web", b"log-1", b"blue", b"shop.price"))

    def test_lookup(self):
        def ask(connection, packet):
            name = connection.sock.getpeername()[1:].decode()
            told.append(http_get(UnixHTTP(self.path("metadata.sock")), "/meta/" + name))
            self.echo(connection, packet)
        told = []
        own, _ = self.application(behaviour=ask)
        self.start("lookup", **own)
        self.assertEqual(self.call().text, "hi")
        status, said = told[0]
        self.assertEqual((status, json.loads(said)["caller"]), (200, "shop.web"))
        self.assertIn('"blue"', said)

    def test_correlate(self):
        def ask_price(connection, packet):
            self.call_price()
            self.echo(connection, packet)
        own, _ = self.application(behaviour=ask_price)
        other, price = self.price()
        self.start("correlate", **own, **other)
        for _ in range(3):
            self.assertEqual(self.call().text, "hi")
        for packet in price.packets:
            head = packet.header
            self.assertEqual((head.ints[wire.FROM_SERVICE], head.ints[wire.LOG_ID],
                              head.strs["RPC_PERSIST_TENANT"]), ("shop.cart", "log-1", "blue"))
        self.assert_metric(self.daemon, 3, "bridle_correlated_total", result="tied")
        self.call_price()  # one of its own
        self.assertNotIn("RPC_PERSIST_TENANT", price.packets[3].header.strs)
