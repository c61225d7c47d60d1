"""The applications of tests/peers/legacy, what they are asked, and what that means to each of them."""

import os
import struct
import subprocess

import peers
import wire
from peers import PEERS, PYTHON

LEGACY = os.path.join(PEERS, "legacy")
VOLO = os.path.join(PEERS, "volo-legacy")
JARS = ":".join("/usr/share/java/%s.jar" % name for name in ("thrift", "libthrift", "slf4j-api"))
PY = os.path.join(LEGACY, "%s")
KINDS = ("old", "known")  # whether they know of Base

# What a server of each is started with; %s stands for old or known, and MODE for framed or buffered.
SERVERS = {
    "thriftpy2": (PYTHON, PY + "/thriftpy2_server.py", PY + "/legacy.thrift", "MODE"),
    "py": (PYTHON, PY + "/apache_server.py", PY + "/gen-py", "MODE"),
    "cpp": (PY + "/cpp", "MODE"),
    "go": (PY + "/go", "MODE"),
    "java": ("java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", "-cp",
             PY + "/java:" + JARS, "Server", "MODE"),
    "volo": (VOLO, "%s"),
}


def absent():
    """The languages that this distribution has no packages for, as tests/peers/build found."""
    try:
        with open(LEGACY + ".absent", encoding="ascii") as file:
            return file.read().split()
    except FileNotFoundError:
        return []


def command(language, kind, mode):
    return [part.replace("%s", kind).replace("MODE", mode) for part in SERVERS[language]]


def field(kind, number, data):
    return struct.pack(">BH", kind, number) + data


def text(value):
    return wire.text32(value)


def text_map(values):
    return struct.pack(">BBI", wire.STRING, wire.STRING, len(values)) + b"".join(
        text(k) + text(v) for k, v in values.items())


def texts(values):
    return struct.pack(">BI", wire.STRING, len(values)) + b"".join(map(text, values))


def item(name, count, price, tags):
    return (wire.string_field(1, name) + wire.i32_field(2, count) +
            field(wire.DOUBLE, 3, struct.pack(">d", price)) + field(wire.LIST, 4, texts(tags)) + b"\0")


def items(values):
    return struct.pack(">BI", wire.STRUCT, len(values)) + b"".join(item(*v) for v in values)


def digest_items(values):
    return ";".join("%s:%d:%s:%s" % (name, count, struct.pack(">d", price).hex(), ",".join(tags))
                    for name, count, price, tags in values)


ITEMS = (("apple", -3, 0.1, ("red", "gr\u00fcn", "")), ("", 2**31 - 1, float("-inf"), ()))
COUNTS = {"a": 1, "b": -(2**31), "": 0}
SHELVES = {"left": ITEMS, "right": ()}


class Query:
    """Query of legacy.thrift, with something of everything in it."""

    def __init__(self, words, blob=None, delay_ms=None, number=-(2**62), weight=2.5e-300):
        self.text, self.blob, self.delay_ms = words, blob, delay_ms
        self.number, self.weight = number, weight

    def fields(self):
        """All but the stop byte."""
        counts = b"".join(text(k) + struct.pack(">i", v) for k, v in COUNTS.items())
        shelves = b"".join(text(k) + items(v) for k, v in SHELVES.items())
        whole = (wire.string_field(1, self.text) +
                 field(wire.I64, 2, struct.pack(">q", self.number)) +
                 field(wire.DOUBLE, 3, struct.pack(">d", self.weight)) + field(wire.BOOL, 4, b"\1") +
                 field(wire.LIST, 5, items(ITEMS)) +
                 field(wire.MAP, 6, struct.pack(">BBI", wire.STRING, wire.I32, len(COUNTS)) + counts) +
                 field(wire.MAP, 7, struct.pack(">BBI", wire.STRING, wire.LIST, len(SHELVES)) + shelves))
        if self.blob is not None:
            whole += wire.string_field(8, self.blob)
        if self.delay_ms is not None:
            whole += wire.i32_field(9, self.delay_ms)
        return whole

    def body(self, more=b""):
        """The arguments; `more` are further fields of the request."""
        return field(wire.STRUCT, 1, self.fields() + more + b"\0") + b"\0"

    def digest(self):
        blob = self.blob or b""
        return "|".join((
            self.text, str(self.number), struct.pack(">d", self.weight).hex(), "true",
            digest_items(ITEMS), ",".join("%s=%d" % pair for pair in sorted(COUNTS.items())),
            ",".join("%s=[%s]" % (k, digest_items(v)) for k, v in sorted(SHELVES.items())),
            "%d/%d" % (len(blob), sum(blob) & 0xFFFFFFFF)))


BASE_FIELDS = {"LogID": 1, "Caller": 2, "Addr": 3, "Client": 4}


def base(extra=None, more=b"", **fields):
    """A Base without its stop byte: the bytes of a struct's inside; `more` goes to its end."""
    data = b"".join(wire.string_field(BASE_FIELDS[k], v) for k, v in fields.items())
    if extra is not None:
        data += field(wire.MAP, 6, text_map(extra))
    return data + more


def base_field(*args, **kwargs):
    """The same as field 255 of a request."""
    return field(wire.STRUCT, 255, base(*args, **kwargs) + b"\0")


def lines(said):
    """{key: value} of what an application tells as lines KEY=VALUE."""
    return dict(line.partition("=")[::2] for line in said.split("\n") if line)


class Answer:
    """Answer of legacy.thrift, from a reply."""

    def __init__(self, packet):
        found = packet.fields
        if set(found) != {0}:
            raise AssertionError(packet)
        found = found[0]
        self.digest, base_lines, meta = (found[n].decode() for n in (1, 2, 3))
        self.base, self.meta = lines(base_lines), lines(meta)
        self.names = [i[1].decode() for i in found[4]]
        self.base_resp = found.get(255)


class Peers(peers.Peers):
    def application(self, language, kind="old", mode="framed", after=None):
        """A server that is up. `after`: whom it asks when it is asked to."""
        if language in absent():
            self.skipTest("not allowed here: no packages for an application in " + language)
        program = command(language, kind, mode)
        path = program[0] if language in ("cpp", "go", "volo") else program[-2]
        return self.server(*program, "{}", *([after] if after else []),
                           network="tcp" if language == "java" else "unix")

    def ask(self, caller, query, more=b"", method="ask", **kwargs):
        return Answer(caller.call(method=method, body=query.body(more), **kwargs))

    def volo_call(self, method, mode, address, words="hello", timeout_ms=10000, delay_ms=0, **entries):
        """What the Volo client printed, as (digest, lines)."""
        done = subprocess.run([VOLO, method, mode, address, words, str(timeout_ms),
                               str(delay_ms), *("%s=%s" % pair for pair in entries.items())],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=peers.CLIENT_SECONDS, check=False, env=peers.ENVIRONMENT)
        self.assertEqual(done.returncode, 0, done.stdout)
        first, _, rest = done.stdout.partition("\n")
        return first.partition(" ")[2], lines(rest)
