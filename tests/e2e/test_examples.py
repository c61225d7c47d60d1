"""The programs of the quickstart, each pair without the daemon: what they show must be their doing."""

import os
import signal
import socket
import subprocess

import bridled
from bridled import TestCase, eventually
from sockets import PATIENCE, connect

PROGRAMS = os.path.join(bridled.BUILD, "examples", "legacy")
GOLDEN = os.path.join(bridled.TOP, "tests", "wire", "golden")


def golden(name):
    """The frames of a golden file."""
    with open(os.path.join(GOLDEN, name + ".hex"), encoding="ascii") as file:
        return [bytes.fromhex(line) for line in file.read().split("\n")
                if line and not line.startswith("#")]


class Examples(TestCase):
    def serve(self, program, *options):
        """Starts an application on a unix socket, which is its address from then on."""
        address = "unix:" + self.path(program + ".sock")
        process = subprocess.Popen([os.path.join(PROGRAMS, program), *options, address],
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
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
