"""Real clients and real servers, which tests/peers/build makes from tests/peers."""

import base64
import json
import os
import random
import signal
import socket
import subprocess
import tempfile
import types
import unittest

import bridled
import h2
import h2_upstream
from bridled import TestCase, eventually
from sockets import connect

PEERS = os.environ.get("BRIDLE_PEERS_DIR", os.path.join(bridled.TOP, "build", "peers"))
VOLO_SERVER, VOLO_CLIENT, VOLO_GRPC_SERVER, VOLO_GRPC_CLIENT = (
    os.path.join(PEERS, "volo-" + name)
    for name in ("server", "client", "grpc-server", "grpc-client"))
GOECHO, GOGRPC, H2SPEC = (os.path.join(PEERS, name) for name in ("goecho", "gogrpc", "h2spec"))
PYTHON = os.path.join(PEERS, "venv", "bin", "python3")
PY = os.path.join(bridled.TOP, "tests", "peers", "py")
GRPCIO = os.path.join(PY, "grpcio_peer.py")
CLIENT_SECONDS = 300
METHODS = "/pbecho.PbEcho/"  # of echo.proto, and one that never answers
UNARY, FAIL, UP, DOWN, BOTH, HANG = (
    METHODS + name for name in ("Unary", "Fail", "Up", "Down", "Both", "Hang"))
CANCELED, DEADLINE_EXCEEDED, EXHAUSTED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE = 1, 4, 8, 12, 13, 14
ENVIRONMENT = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "no_proxy": "*"}


def needs(*programs):
    return unittest.skipUnless(all(os.access(p, os.X_OK) for p in programs),
                               "not built: " + ", ".join(programs))


def free_address():
    """Nobody listens there now; and whoever else asks for a port, asks for one of another host."""
    host = "127.%d.%d.%d" % tuple(random.randrange(1, 255) for _ in range(3))
    with socket.socket() as sock:
        sock.bind((host, 0))
        return "%s:%d" % sock.getsockname()


def varint(value):
    out = b""
    while value > 0x7F:
        out, value = out + bytes((value & 0x7F | 0x80,)), value >> 7
    return out + bytes((value,))


def msg(text="", n=0, blob=b""):
    """Msg of echo.proto."""
    return ((b"\x0a" + varint(len(text.encode())) + text.encode() if text else b"") +
            (b"\x10" + varint(n) if n else b"") +
            (b"\x1a" + varint(len(blob)) + blob if blob else b""))


class Server:
    """A process; what it prints is in `said`."""

    def __init__(self, command, address, log):
        self.command, self.address, self.log, self.process = command, address, log, None

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, env=ENVIRONMENT)
        eventually(self.answers, bridled.START_SECONDS, self.command[0])
        return self

    def answers(self):
        if self.process.poll() is not None:
            raise AssertionError("%s ended with %d: %s" % (
                self.command[0], self.process.returncode, self.said()[-5:]))
        try:
            connect(self.address).close()
            return True
        except OSError:
            return False

    def said(self, first=""):
        """The lines it printed that begin with that word."""
        with open(self.log, encoding="utf-8", errors="replace") as file:
            whole = file.read().split("\n")[:-1]
        return [line for line in whole if line.startswith(first)]

    def await_said(self, line, count=1):
        eventually(lambda: self.said().count(line) >= count,
                   what="%d times %r in %s" % (count, line, self.said()[-10:]))

    def kill(self):
        self.process.kill()
        self.process.wait()
        if self.address.startswith("unix:"):
            os.unlink(self.address[5:])

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        self.process.wait()


class Peers(TestCase):
    servers = 0

    def server(self, *command, network="unix"):
        """A server that is up; {} stands for its address."""
        self.servers += 1
        address = (free_address() if network == "tcp" else
                   "unix:" + self.path("peer%d.sock" % self.servers))
        server = Server([part.replace("{}", address) for part in command], address,
                        self.path("peer%d.log" % self.servers))
        server.start()
        self.addCleanup(server.stop)
        return server

    def serve(self, *command, network="unix"):
        """The address of a server that is up."""
        return self.server(*command, network=network).address

    def run_client(self, *command):
        """What it printed, as (what, value) pairs."""
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=CLIENT_SECONDS, check=False, env=ENVIRONMENT)
        self.assertEqual(done.returncode, 0, done.stdout)
        return [line.partition(" ")[::2] for line in done.stdout.splitlines()]

    def values(self, said, what):
        return [value for word, value in said if word == what]


def outcome(found):
    """Of one call of gogrpc."""
    found["messages"] = [base64.b64decode(m or "") for m in found["messages"] or []]
    for block in ("header", "trailer"):
        found[block] = {key: [base64.b64decode(v) if key.endswith("-bin") else v for v in values]
                        for key, values in (found[block] or {}).items()}
    found["lengths"] = found["lengths"] or []
    return types.SimpleNamespace(**found)


class Calling:
    """gogrpc making the calls that it was told to make; see its `order` for what there is."""

    def __init__(self, address, path, messages, binary=(), **order):
        order.update(path=path, messages=[base64.b64encode(m).decode() for m in messages],
                     binary=[{"key": k, "value": base64.b64encode(v).decode()} for k, v in binary])
        with tempfile.TemporaryFile("w+") as said:
            json.dump(order, said)
            said.seek(0)
            self.process = subprocess.Popen([GOGRPC, "call", address], stdin=said, text=True,
                                            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                            env=ENVIRONMENT)

    def outcomes(self):
        said, errors = self.process.communicate(timeout=CLIENT_SECONDS)
        if self.process.returncode:
            raise AssertionError(said[-2000:] + errors[-2000:])
        return [outcome(found) for found in json.loads(said)]

    def stop(self):
        self.process.kill()
        self.process.communicate()


@needs(GOGRPC)
class Grpc(Peers):
    def grpc_server(self, *options, network="unix"):
        return self.server(GOGRPC, "server", *options, "{}", network=network)

    def both(self, *options, listener=None, config=None, **policy):
        """A server, and a daemon in front of it."""
        server = self.grpc_server(*options)
        return server, self.pinned(server, listener, config, protocol="grpc", **policy)

    def begin(self, daemon, path=UNARY, messages=(msg("hello", 1),), listener="in", **order):
        calling = Calling(daemon.address(listener), path, messages, **order)
        self.addCleanup(calling.stop)
        return calling

    def calls(self, *args, **kwargs):
        return self.begin(*args, **kwargs).outcomes()

    def call(self, *args, **kwargs):
        (out,) = self.calls(*args, **kwargs)
        return out

    def assert_ok(self, out, messages=None):
        self.assertEqual((out.code, out.text), (0, ""))
        if messages is not None:
            self.assertEqual(out.messages, list(messages))

    def assert_refused_call(self, out, code, reason):
        self.assertEqual(out.code, code, out.text)
        self.assertTrue(out.text.startswith("bridled: %s: " % reason), out.text)

    def raw(self, daemon, listener="in", **kwargs):
        client = h2.Client(daemon.address(listener), **kwargs)
        self.addCleanup(client.close)
        return client

    def raw_server(self, behaviour, **kwargs):
        server = h2_upstream.Upstream(behaviour, **kwargs)
        self.addCleanup(server.close)
        return server
