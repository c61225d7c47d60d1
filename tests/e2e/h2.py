"""HTTP/2 frame by frame (RFC 9113), for both ends: whatever can be said wrongly can be said here.

A `Peer` is one end of a connection. It keeps the state of every stream, and acknowledges SETTINGS
and PINGs; nothing else is sent that the test does not say.
"""

import itertools
import struct
import time

import ends
import hpack
import sockets
from ends import PATIENCE

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, \
    CONTINUATION = range(10)
NAMES = ("DATA HEADERS PRIORITY RST_STREAM SETTINGS PUSH_PROMISE PING GOAWAY WINDOW_UPDATE "
         "CONTINUATION").split()
END_STREAM = ACK = 0x1
END_HEADERS, PADDED, HAS_PRIORITY = 0x4, 0x8, 0x20
HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, \
    MAX_HEADER_LIST_SIZE = range(1, 7)
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED, \
    FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, CONNECT_ERROR, \
    ENHANCE_YOUR_CALM = range(12)
DEFAULT_WINDOW, MAX_WINDOW, MAX_FRAME = 65535, (1 << 31) - 1, 16384


def pack(kind, flags=0, stream=0, payload=b"", length=None):
    """`length` may lie."""
    length = len(payload) if length is None else length
    return struct.pack(">I", length)[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def pack_settings(settings):
    """A dict, or pairs when one is to be said twice."""
    pairs = settings.items() if isinstance(settings, dict) else settings
    return b"".join(struct.pack(">HI", *pair) for pair in pairs)


def pack_headers(stream, block, end=False, size=MAX_FRAME):
    """One block, cut into HEADERS and as many CONTINUATIONs as it takes."""
    pieces = [block[i:i + size] for i in range(0, len(block), size)] or [b""]
    out = b""
    for i, piece in enumerate(pieces):
        flags = (END_STREAM if end and not i else 0) | (END_HEADERS if i + 1 == len(pieces) else 0)
        out += pack(CONTINUATION if i else HEADERS, flags, stream, piece)
    return out


class Frame:
    def __init__(self, kind, flags, stream, payload):
        self.kind, self.flags, self.stream, self.payload = kind, flags, stream, payload
        self.fields = None  # of HEADERS, when the block is whole
        self.time = time.monotonic()

    @property
    def code(self):
        """Of RST_STREAM and GOAWAY."""
        return struct.unpack_from(">I", self.payload, 4 if self.kind == GOAWAY else 0)[0]

    @property
    def last_stream(self):
        return struct.unpack_from(">I", self.payload)[0] & MAX_WINDOW

    @property
    def is_end(self):
        return self.kind in (DATA, HEADERS) and bool(self.flags & END_STREAM)

    def __repr__(self):
        name = NAMES[self.kind] if self.kind < len(NAMES) else "kind %d" % self.kind
        what = self.fields or self.payload[:16].hex()
        return "<%s flags %#x stream %d, %d bytes %s>" % (name, self.flags, self.stream,
                                                          len(self.payload), what)


class Stream:
    """What has been received on one stream."""

    def __init__(self, number):
        self.number = number
        self.blocks = []  # of fields: interim ones, the headers, the trailers
        self.data, self.received, self.window = bytearray(), 0, DEFAULT_WINDOW
        self.ended, self.reset = False, None

    @property
    def is_over(self):
        return self.ended or self.reset is not None

    @property
    def fields(self):
        """Of the headers: the first block that is not interim."""
        for fields in self.blocks:
            if not dict(fields).get(":status", "200").startswith("1"):
                return fields
        return None

    @property
    def trailers(self):
        """The last block, which of an answer without headers of its own is the only one."""
        return dict(self.blocks[-1]) if self.ended and self.blocks else {}

    def get(self, name):
        return dict(self.fields or []).get(name)

    @property
    def messages(self):
        """Of gRPC: [(is compressed, bytes)]; what is left over has to be nothing."""
        found, at = [], 0
        while at < len(self.data):
            flag, length = struct.unpack_from(">BI", self.data, at)
            if at + 5 + length > len(self.data):
                raise ValueError("a message of %d bytes is cut" % length)
            found.append((flag, bytes(self.data[at + 5:at + 5 + length])))
            at += 5 + length
        return found

    def __repr__(self):
        return "<stream %d %s, %d bytes, ended %s, reset %s>" % (
            self.number, self.blocks, self.received, self.ended, self.reset)


class Peer(ends.End):
    def __init__(self, sock, behaviour=None, settings=None, first=b"", updates=False, **kwargs):
        """`first` is sent before the SETTINGS, which are left out when they are None. `updates`:
        what has been read is given back to the windows, or to that of the "connection" alone."""
        self.updates = updates
        self.streams, self.goaways, self.pings_answered = {}, [], []
        self.acknowledges = {SETTINGS, PING}
        self.decoder, self.partial = hpack.Decoder(), None
        self.settings, self.window, self.initial_window = {}, DEFAULT_WINDOW, DEFAULT_WINDOW
        if settings is not None:
            first += pack(SETTINGS, 0, 0, pack_settings(settings))
        super().__init__(sock, behaviour, first=first, **kwargs)

    # Sending.

    def frame(self, *args, **kwargs):
        return self.send(pack(*args, **kwargs))

    def set(self, settings):
        return self.frame(SETTINGS, 0, 0, pack_settings(settings))

    def headers(self, stream, fields, end=False):
        return self.send(pack_headers(stream, hpack.block(fields), end))

    def data(self, stream, data=b"", end=False):
        """In frames of legal size, and without a look at the windows."""
        out = b""
        for at in range(0, max(1, len(data)), MAX_FRAME):
            is_last = at + MAX_FRAME >= len(data)
            out += pack(DATA, END_STREAM if end and is_last else 0, stream,
                        data[at:at + MAX_FRAME])
        return self.send(out)

    def flow(self, stream, data, end=False, seconds=PATIENCE):
        """As `data`, but waits for windows as RFC 9113 5.2 asks."""
        at = 0
        while at < len(data):
            size = self.take_window(stream, min(len(data) - at, MAX_FRAME), seconds)
            is_last = at + size == len(data)
            if not self.frame(DATA, END_STREAM if end and is_last else 0, stream,
                              data[at:at + size]):
                return False
            at += size
        return True

    def take_window(self, number, wanted, seconds=PATIENCE):
        """So many bytes may be sent, at least one."""
        stream = self.stream(number)
        self.until(lambda: min(self.window, stream.window) > 0 or self.is_closed or
                   stream.reset is not None, seconds, "a window on stream %d" % number)
        with self.changed:
            if self.is_closed or stream.reset is not None:
                raise EOFError(repr(stream))
            size = min(self.window, stream.window, wanted)
            self.window -= size
            stream.window -= size
            return size

    def rst(self, stream, code=CANCEL):
        return self.frame(RST_STREAM, 0, stream, struct.pack(">I", code))

    def update(self, stream, increment):
        return self.frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", increment))

    def goaway(self, last, code=NO_ERROR, text=b""):
        return self.frame(GOAWAY, 0, 0, struct.pack(">II", last, code) + text)

    def ping(self, data=b"\0" * 8):
        return self.frame(PING, 0, 0, data)

    # Waiting.

    def stream(self, number):
        with self.changed:
            return self.find(number)

    def find(self, number):
        if number not in self.streams:
            self.streams[number] = Stream(number)
            self.streams[number].window = self.initial_window
        return self.streams[number]

    def over(self, number, seconds=PATIENCE):
        """The stream when it has ended, been reset or lost its connection."""
        stream = self.stream(number)
        self.until(lambda: stream.is_over or self.is_closed, seconds, "the end of %r" % stream)
        return stream

    def await_frame(self, kind, stream=None, seconds=PATIENCE, after=0):
        """The first such frame, not looking at the first `after` ones."""
        def found():
            return next((f for f in self.frames[after:] if f.kind == kind and
                         stream in (None, f.stream)), None)
        return self.until(found, seconds, NAMES[kind])

    def await_settings(self, seconds=PATIENCE):
        self.until(lambda: any(f.kind == SETTINGS and not f.flags & ACK for f in self.frames),
                   seconds, "SETTINGS")
        return self.settings

    def closed(self, seconds=PATIENCE):
        """As every end; gives the code of the last GOAWAY, None without one."""
        super().closed(seconds)
        return self.goaways[-1].code if self.goaways else None

    def settle(self, seconds=PATIENCE):
        """When this returns, the other side has looked at everything that was sent before."""
        data = struct.pack(">4sI", b"wait", next(sequence))
        self.ping(data)
        self.until(lambda: data in self.pings_answered or self.is_closed, seconds, "the PING's ACK")

    # Reading.

    def read_frame(self):
        head = self.exactly(9)
        length, kind, flags, stream = (int.from_bytes(head[:3], "big"), head[3], head[4],
                                       int.from_bytes(head[5:], "big"))
        if length > MAX_FRAME or stream > MAX_WINDOW:
            raise ValueError("a frame of %d bytes on stream %d" % (length, stream))
        return Frame(kind, flags, stream, self.exactly(length))

    def take(self, frame):
        super().take(frame)
        if frame.kind in self.acknowledges and not frame.flags & ACK:
            self.frame(frame.kind, ACK, 0, frame.payload if frame.kind == PING else b"")
        if frame.kind == DATA and frame.payload and self.updates:
            self.update(0, len(frame.payload))
            if not frame.is_end and self.updates != "connection":
                self.update(frame.stream, len(frame.payload))

    def note(self, frame):
        if frame.kind in (HEADERS, CONTINUATION):
            self.note_block(frame)
        elif self.partial:
            raise ValueError("%r inside a block" % frame)
        elif frame.kind == DATA:
            stream = self.find(frame.stream)
            stream.received += len(frame.payload)
            stream.ended = stream.ended or frame.is_end
            if self.keeps:
                stream.data += unpad(frame)
        elif frame.kind == RST_STREAM:
            self.find(frame.stream).reset = frame.code
        elif frame.kind == GOAWAY:
            self.goaways.append(frame)
        elif frame.kind == WINDOW_UPDATE:
            self.note_window(frame.stream, struct.unpack(">I", frame.payload)[0])
        elif frame.kind == PING and frame.flags & ACK:
            self.pings_answered.append(frame.payload)
        elif frame.kind == SETTINGS:
            for at in range(0, len(frame.payload), 6):
                self.note_setting(*struct.unpack_from(">HI", frame.payload, at))

    def note_window(self, number, increment):
        if not number:
            self.window += increment
        else:
            self.find(number).window += increment
        if max(self.window, self.find(number).window if number else 0) > MAX_WINDOW:
            raise ValueError("window of stream %d past the limit" % number)

    def note_setting(self, name, value):
        self.settings[name] = value
        if name == INITIAL_WINDOW_SIZE:
            for stream in self.streams.values():
                stream.window += value - self.initial_window
            self.initial_window = value

    def note_block(self, frame):
        if bool(self.partial) != (frame.kind == CONTINUATION):
            raise ValueError("%r out of place" % frame)
        if frame.kind == HEADERS:
            self.partial = [frame, unpad(frame)[5 if frame.flags & HAS_PRIORITY else 0:]]
        else:
            self.partial[1] += frame.payload
        if frame.flags & END_HEADERS:
            first, block = self.partial
            self.partial = None
            frame.fields = first.fields = self.decoder.decode(block)
            stream = self.find(frame.stream)
            stream.blocks.append(frame.fields)
            stream.ended = stream.ended or first.is_end


def unpad(frame):
    if not frame.flags & PADDED:
        return frame.payload
    return frame.payload[1:len(frame.payload) - frame.payload[0]]


sequence = itertools.count(1)


def grpc(message, compressed=0, length=None):
    """With the prefix of gRPC; `length` may lie."""
    return struct.pack(">BI", compressed, len(message) if length is None else length) + message


def call_fields(path="/pkg.Echo/Echo", authority="svc", more=(), kind="application/grpc"):
    """In the order in which Kitex sends them."""
    fields = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", authority)]
    if kind:
        fields += [("content-type", kind), ("te", "trailers")]
    return fields + list(more)


class Client(Peer):
    """A caller. `preface` may be wrong, and `settings` None."""

    def __init__(self, address, settings=(), preface=PREFACE, **kwargs):
        self.next_stream = 1
        super().__init__(sockets.connect(address), settings=settings, first=preface, **kwargs)

    def number(self):
        self.next_stream += 2
        return self.next_stream - 2

    def open(self, fields=None, end=False, **kwargs):
        """The number of the stream; `kwargs` as of `call_fields`."""
        number = self.number()
        self.headers(number, call_fields(**kwargs) if fields is None else fields, end)
        return number

    def ask(self, message=b"hello", **kwargs):
        """A unary call, sent in one piece."""
        number = self.number()
        self.send(pack_headers(number, hpack.block(call_fields(**kwargs))) +
                  pack(DATA, END_STREAM, number, grpc(message)))
        return number

    def call(self, message=b"hello", seconds=PATIENCE, **kwargs):
        """Gives the stream when it is over."""
        return self.over(self.ask(message, **kwargs), seconds)
