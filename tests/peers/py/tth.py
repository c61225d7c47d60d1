"""TTHeader as a transport of thriftpy2, client and server side."""

import struct

MAGIC = 0x1000
FIXED_BYTES = 10  # after the length word, before the header proper
FROM_SERVICE, TO_SERVICE, TO_METHOD, RPC_TIMEOUT, MESSAGE_TYPE = 3, 6, 9, 12, 22
STRINGS, INTS, ACL_TOKEN = 0x01, 0x10, 0x11


def _text16(text):
    raw = text.encode()
    return struct.pack(">H", len(raw)) + raw


def pack(payload, seq=0, ints=None, strs=None):
    header = b"\0\0"  # protocol id, no transforms
    if strs:
        header += struct.pack(">BH", STRINGS, len(strs))
        header += b"".join(_text16(k) + _text16(v) for k, v in strs.items())
    if ints:
        header += struct.pack(">BH", INTS, len(ints))
        header += b"".join(struct.pack(">H", k) + _text16(v) for k, v in ints.items())
    header += b"\0" * (-len(header) % 4)
    length = FIXED_BYTES + len(header) + len(payload)
    fixed = struct.pack(">IHHIH", length, MAGIC, 0, seq & 0xFFFFFFFF, len(header) // 4)
    return fixed + header + payload


class Header:
    def __init__(self, raw, seq):
        self.seq, self.ints, self.strs = seq, {}, {}
        self._raw, self._at = raw, 2 + raw[1]
        while self._at < len(raw):
            self._section(self._take(">B"))

    def _take(self, form):
        (value,) = struct.unpack_from(form, self._raw, self._at)
        self._at += struct.calcsize(form)
        return value

    def _text(self):
        length = self._take(">H")
        self._at += length
        return self._raw[self._at - length:self._at].decode()

    def _section(self, kind):
        if kind == 0:
            return
        if kind == ACL_TOKEN:
            self._text()
            return
        if kind not in (STRINGS, INTS):
            raise ValueError("section %d" % kind)
        for _ in range(self._take(">H")):
            key = self._text() if kind == STRINGS else self._take(">H")
            (self.strs if kind == STRINGS else self.ints)[key] = self._text()


def unpack(frame):
    """The frame is what follows the length word; gives the header and the payload."""
    magic, _flags, seq, words = struct.unpack_from(">HHIH", frame)
    if magic != MAGIC:
        raise ValueError("not TTHeader")
    end = FIXED_BYTES + 4 * words
    return Header(frame[FIXED_BYTES:end], seq), frame[end:]


class Transport:
    """One frame for each flush. The header read last is kept on the socket object, because a server
    of thriftpy2 wraps one socket in two transports."""

    def __init__(self, socket, framed, headers):
        self.socket, self.framed, self.headers = socket, framed, headers
        self.out, self.rest, self.seq = b"", b"", 0

    @property
    def header(self):
        return getattr(self.socket, "last_header", None)

    def open(self):
        return self.socket.open()

    def is_open(self):
        return self.socket.is_open()

    def close(self):
        return self.socket.close()

    def write(self, data):
        self.out += data

    def _need(self, length):
        got = b""
        while len(got) < length:
            more = self.socket.read(length - len(got))
            if not more:
                raise EOFError
            got += more
        return got

    def read(self, length):
        if not self.rest:
            (total,) = struct.unpack(">I", self._need(4))
            self.socket.last_header, self.rest = unpack(self._need(total))
            if self.rest[:1] != b"\x80":  # an inner frame
                self.rest = self.rest[4:]
        data, self.rest = self.rest[:length], self.rest[length:]
        return data

    def flush(self):
        payload, self.out = self.out, b""
        if self.framed:
            payload = struct.pack(">I", len(payload)) + payload
        seq, ints, strs = self.headers(self)
        self.socket.write(pack(payload, seq, ints, strs))
        self.socket.flush()


class Factory:
    """`headers` is asked with the transport for (sequence id, int keys, string keys) to send."""

    def __init__(self, framed, headers):
        self.framed, self.headers = framed, headers

    def get_transport(self, socket):
        return Transport(socket, self.framed, self.headers)
