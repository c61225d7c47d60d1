"""TTHeader Streaming frame by frame, for both ends: whatever can be said wrongly can be said here.

Nothing is sent that the test does not say.
"""

import itertools
import struct
import time

import ends
import sockets
import wire
from ends import PATIENCE, silent

META, HEADER, DATA, TRAILER, RST = "12345"
NAMES = {META: "meta", HEADER: "header", DATA: "data", TRAILER: "trailer", RST: "rst"}
STREAMING, STRUCT = 0x0002, 0x10  # the flag and the protocol id
FRAME_TYPE = 27
PATH = "ttscp"
TRANSPORT_CLOSING, USER_CANCEL, CLOSED, STREAM_TIMEOUT = 12006, 12007, 12013, 12015
INTERNAL, UNKNOWN_METHOD, UNKNOWN_SERVICE = 6, 1, 20
numbers = itertools.count(100001)  # below are those that a test has chosen itself


def pack(kind, stream, payload=b"", method="Bidi", strs=None, ints=None, flags=STREAMING,
         protocol=STRUCT, acl=None):
    """`kind` and `method` None: without that key."""
    keys = dict(ints or {})
    if kind is not None:
        keys[FRAME_TYPE] = kind
    if method is not None:
        keys[wire.TO_METHOD] = method
    header = wire.Header(stream, keys, strs, acl, flags)
    header.protocol = protocol
    return header.pack(payload)


def exception(stream, kind, text, method="Bidi"):
    """The payload of a trailer or a reset: a whole message."""
    return wire.message(method, wire.EXCEPTION, stream, wire.exception_body(kind, text))


class Frame:
    def __init__(self, header, payload, raw):
        self.header, self.payload, self.raw = header, payload, raw
        self.stream, self.kind = header.seq, header.ints.get(FRAME_TYPE)
        self.strs, self.ints = header.strs, header.ints
        self.method = header.ints.get(wire.TO_METHOD)
        self.time = time.monotonic()

    @property
    def exception(self):
        """(type, text) of a trailer or reset that carries one, else None."""
        if not self.payload:
            return None
        magic, kind, length = struct.unpack_from(">HHI", self.payload)
        if (magic, kind) != (wire.THRIFT, wire.EXCEPTION):
            raise wire.Malformed("not an exception: %r" % self.payload[:40])
        fields, end = wire.decode(self.payload, 12 + length, wire.STRUCT)
        if end != len(self.payload):
            raise wire.Malformed("%d bytes after the exception" % (len(self.payload) - end))
        return fields.get(2, 0), fields.get(1, b"").decode()

    @property
    def text(self):
        """Of data: the one string in it."""
        return wire.decode(self.payload, 0, wire.STRUCT)[0].get(1, b"").decode("latin-1")

    def __repr__(self):
        return "<%s %d %s %s %r>" % (NAMES.get(self.kind, self.kind), self.stream, self.method,
                                     self.strs, self.payload[:60])


class Peer(ends.End):
    # Sending.

    def frame(self, *args, **kwargs):
        return self.send(pack(*args, **kwargs))

    def header(self, stream, **kwargs):
        return self.frame(HEADER, stream, **kwargs)

    def data(self, stream, text, **kwargs):
        return self.frame(DATA, stream, wire.arguments(text), **kwargs)

    def trailer(self, stream, payload=b"", **kwargs):
        return self.frame(TRAILER, stream, payload, **kwargs)

    def rst(self, stream, kind=USER_CANCEL, text="canceled", path="demo.caller", **kwargs):
        return self.frame(RST, stream, exception(stream, kind, text),
                          strs={PATH: path} if path is not None else None, **kwargs)

    # Waiting.

    def of(self, stream, kind=None):
        with self.changed:
            return [f for f in self.frames if f.stream == stream and kind in (None, f.kind)]

    def await_frame(self, kind, stream=None, seconds=PATIENCE, count=1):
        """Number `count` of such frames."""
        def found():
            those = [f for f in self.frames if f.kind == kind and stream in (None, f.stream)]
            return those[count - 1] if len(those) >= count else None
        return self.until(found, seconds, "%s of stream %s" % (NAMES.get(kind, kind), stream))

    def over(self, stream, seconds=PATIENCE):
        """The trailer or reset with which the other side ends the stream."""
        return self.until(lambda: next((f for f in self.frames if f.stream == stream and
                                        f.kind in (TRAILER, RST)), None),
                          seconds, "the end of stream %d" % stream)

    # Reading.

    def read_frame(self):
        self.need(14)
        length, magic, flags, _, words = struct.unpack_from(">IHHiH", self.buffer)
        if magic != wire.TTHEADER or not flags & STREAMING or not words or length < 10 + 4 * words:
            raise wire.Malformed("a frame that begins with " + self.buffer[:14].hex())
        raw = self.exactly(length + 4)
        return Frame(wire.unpack_ttheader(raw[:14], raw[14:14 + 4 * words]), raw[14 + 4 * words:],
                     raw)


class Client(Peer):
    def __init__(self, address, **kwargs):
        super().__init__(sockets.connect(address), **kwargs)

    def open(self, method="Bidi", strs=None, **kwargs):
        """The number of the stream, which is unique in the process as those of Kitex are."""
        number = next(numbers)
        strs = {"isn": "EchoService"} if strs is None else strs
        self.header(number, method=method, strs=strs, **kwargs)
        return number

    def call(self, texts=("hello",), method="Bidi", **kwargs):
        """A whole stream with so many messages. Gives its number; `over` awaits the end."""
        number = self.open(method, **kwargs)
        for text in texts:
            self.data(number, text, method=method)
        self.trailer(number, method=method)
        return number


def echo(peer, frame):
    """A header for the header, each message as it comes, and the trailer for the trailer."""
    if frame is not None and frame.kind in (HEADER, DATA, TRAILER):
        peer.frame(frame.kind, frame.stream, frame.payload, frame.method)


class Upstream(ends.Listener):
    def __init__(self, behaviour=silent, path=None, **kwargs):
        super().__init__(behaviour, path, **kwargs)

    def welcome(self, sock):
        return Peer(sock, self.behave, keeps=self.keeps, reads=self.reads, starts=False)

    def received(self, kind=None):
        """[(peer, frame)] in order per connection."""
        return [(p, f) for p in list(self.peers) for f in list(p.frames) if kind in (None, f.kind)]

    def await_frames(self, kind, count=1, seconds=PATIENCE):
        return self.eventually(lambda: self.received(kind), count, seconds, NAMES.get(kind, kind))
