"""The wire as the tests speak it: written apart from the daemon, so that both can be wrong only apart.

A `Packet` is one message in one form. Forms: buffered, framed, ttheader_bare, ttheader_framed; Kitex
Protobuf has the two with a frame.
"""

import struct

CALL, REPLY, EXCEPTION, ONEWAY = 1, 2, 3, 4
THRIFT, KITEXPB, TTHEADER = 0x8001, 0x9001, 0x1000
STOP, BOOL, BYTE, DOUBLE, I16, I32, I64, STRING, STRUCT, MAP, SET, LIST = (
    0, 2, 3, 4, 6, 8, 10, 11, 12, 13, 14, 15)
OUT_OF_ORDER = 0x0001

TRANSPORT, LOG_ID, FROM_SERVICE, TO_SERVICE, TO_METHOD, RPC_TIMEOUT, FROM_METHOD, MESSAGE_TYPE = (
    1, 2, 3, 6, 9, 12, 20, 22)

FORMS = ("buffered", "framed", "ttheader_bare", "ttheader_framed")
FRAMED_FORMS = ("framed", "ttheader_framed")


class Malformed(Exception):
    pass


class Header:
    """A TTHeader. `raw` is its bytes between the length fields and the payload."""

    def __init__(self, seq=0, ints=None, strs=None, acl=None, flags=0):
        self.seq, self.flags, self.acl = seq, flags, acl
        self.ints, self.strs = dict(ints or {}), dict(strs or {})
        self.protocol, self.transforms = 0, 0

    def pack(self, payload):
        body = bytes((self.protocol, 0))
        if self.acl is not None:
            body += b"\x11" + text16(self.acl)
        if self.strs:
            body += struct.pack(">BH", 1, len(self.strs))
            body += b"".join(text16(k) + text16(v) for k, v in self.strs.items())
        if self.ints:
            body += struct.pack(">BH", 0x10, len(self.ints))
            body += b"".join(struct.pack(">H", k) + text16(v) for k, v in self.ints.items())
        body += b"\0" * (-len(body) % 4)
        return pack_ttheader(body, payload, self.seq, self.flags)


def pack_ttheader(body, payload, seq=0, flags=0, length=None, words=None, magic=TTHEADER):
    """`length` and `words` may lie."""
    length = 10 + len(body) + len(payload) if length is None else length
    words = len(body) // 4 if words is None else words
    return struct.pack(">IHHIH", length & 0xFFFFFFFF, magic, flags, seq & 0xFFFFFFFF,
                       words) + body + payload


def unpack_ttheader(fixed, body):
    header = Header(*struct.unpack_from(">i", fixed, 8))
    header.flags = struct.unpack_from(">H", fixed, 6)[0]
    header.protocol, header.transforms = body[0], body[1]
    at = 2 + body[1]

    def text():
        nonlocal at
        (length,) = struct.unpack_from(">H", body, at)
        at += 2 + length
        if at > len(body):
            raise Malformed("text beyond the header")
        return body[at - length:at].decode("latin-1")

    while at < len(body):
        kind, at = body[at], at + 1
        if kind == 0:
            continue
        if kind == 0x11:
            header.acl = text()
            continue
        if kind not in (1, 0x10):
            raise Malformed("section %#x" % kind)
        (count,) = struct.unpack_from(">H", body, at)
        at += 2
        for _ in range(count):
            if kind == 1:
                key = text()
                header.strs[key] = text()
            else:
                (key,) = struct.unpack_from(">H", body, at)
                at += 2
                header.ints[key] = text()
    return header


def text16(text):
    raw = text if isinstance(text, bytes) else text.encode("latin-1")
    return struct.pack(">H", len(raw)) + raw


def text32(text):
    raw = text if isinstance(text, bytes) else text.encode()
    return struct.pack(">I", len(raw)) + raw


def string_field(number, text):
    return struct.pack(">BH", STRING, number) + text32(text)


def i32_field(number, value):
    return struct.pack(">BHi", I32, number, value)


def arguments(text):
    """{1: string}"""
    return string_field(1, text) + b"\0"


def result(text):
    """{0: string}"""
    return string_field(0, text) + b"\0"


def exception_body(kind, text, magic=THRIFT):
    if magic == KITEXPB:
        return b"\x08" + varint(kind) + b"\x12" + varint(len(text)) + text.encode()
    return string_field(1, text) + i32_field(2, kind) + b"\0"


def varint(value):
    out = b""
    while value >= 0x80:
        out += bytes((value & 0x7F | 0x80,))
        value >>= 7
    return out + bytes((value,))


def message(method, kind, seq, body, magic=THRIFT):
    head = struct.pack(">HH", magic, kind) + text32(method.encode("latin-1"))
    return head + struct.pack(">I", seq & 0xFFFFFFFF) + body


def frame(data):
    return struct.pack(">I", len(data)) + data


def crc32c(data):
    """The Castagnoli sum as Kitex writes it: 8 lower-case hexadecimal digits."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return "%08x" % (value ^ 0xFFFFFFFF)


class Packet:
    def __init__(self, form, kind, method, seq, body, header=None, magic=THRIFT):
        self.form, self.kind, self.method, self.seq, self.body = form, kind, method, seq, body
        self.header, self.magic, self.raw = header, magic, None

    def pack(self):
        data = message(self.method, self.kind, self.seq, self.body, self.magic)
        if self.form in FRAMED_FORMS:
            data = frame(data)
        if self.form.startswith("ttheader"):
            data = (self.header or Header(self.seq)).pack(data)
        return data

    def answer(self, body, kind=REPLY, strs=None, ints=None, method=None, seq=None):
        """To this call, in its own form, as a Kitex server would."""
        header = None
        if self.header:
            header = Header(self.header.seq, {MESSAGE_TYPE: str(kind), **(ints or {})}, strs)
        return Packet(self.form, kind, self.method if method is None else method,
                      self.seq if seq is None else seq, body, header, self.magic)

    @property
    def fields(self):
        value, end = decode(self.body, 0, STRUCT)
        if end != len(self.body):
            raise Malformed("%d bytes after the struct" % (len(self.body) - end))
        return value

    @property
    def text(self):
        """What an echo carries: the one string of arguments or result, or the protobuf bytes."""
        if self.magic == KITEXPB:
            return self.body.decode("latin-1")
        strings = [v for v in self.fields.values() if isinstance(v, bytes)]
        return strings[0].decode("latin-1") if strings else None

    @property
    def exception(self):
        """(type, text) of an exception, else None."""
        if self.kind != EXCEPTION:
            return None
        if self.magic == KITEXPB:
            fields = decode_protobuf(self.body)
            return fields.get(1, 0), fields.get(2, b"").decode()
        return self.fields.get(2, 0), self.fields.get(1, b"").decode()

    def __repr__(self):
        what = self.exception or self.body[:60]
        return "<%s kind %d %s seq %d %r>" % (self.form, self.kind, self.method, self.seq, what)


FIXED = {BOOL: ">b", BYTE: ">b", DOUBLE: ">d", I16: ">h", I32: ">i", I64: ">q"}


def decode(data, at, kind):
    """Gives (value, position after it); structs are dicts by field id."""
    if kind in FIXED:
        return struct.unpack_from(FIXED[kind], data, at)[0], at + struct.calcsize(FIXED[kind])
    if kind == STRING:
        (length,) = struct.unpack_from(">i", data, at)
        if length < 0 or at + 4 + length > len(data):
            raise Malformed("string of %d" % length)
        return data[at + 4:at + 4 + length], at + 4 + length
    if kind == STRUCT:
        fields = {}
        while True:
            field, at = data[at], at + 1
            if field == STOP:
                return fields, at
            (number,) = struct.unpack_from(">h", data, at)
            fields[number], at = decode(data, at + 2, field)
    if kind in (LIST, SET):
        of, count = struct.unpack_from(">Bi", data, at)
        return decode_many(data, at + 5, [of] * count)
    if kind == MAP:
        key, value, count = struct.unpack_from(">BBi", data, at)
        flat, at = decode_many(data, at + 6, [key, value] * count)
        return dict(zip(flat[::2], flat[1::2])), at
    raise Malformed("field type %d" % kind)


def decode_many(data, at, kinds):
    values = []
    for kind in kinds:
        value, at = decode(data, at, kind)
        values.append(value)
    return values, at


def decode_protobuf(data):
    fields, at = {}, 0

    def take():
        nonlocal at
        value = shift = 0
        while True:
            byte, at = data[at], at + 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        tag = take()
        value = take()
        if tag & 7 == 2:
            at += value
            value = data[at - value:at]
        fields[tag >> 3] = value
    return fields


class Stream:
    """Reads packets from a socket, whatever their form, and is strict about every length."""

    def __init__(self, sock):
        self.sock, self.buffer, self.at = sock, bytearray(), 0

    def need(self, count):
        """Makes `count` bytes available from `at` on, or raises EOFError."""
        while len(self.buffer) - self.at < count:
            more = self.sock.recv(max(65536, min(count, 1 << 20)))
            if not more:
                raise EOFError("%d bytes of a message" % len(self.buffer))
            self.buffer += more

    def take(self, count):
        self.need(count)
        self.at += count
        return bytes(self.buffer[self.at - count:self.at])

    def unpack(self, form):
        return struct.unpack(form, self.take(struct.calcsize(form)))

    def read(self):
        self.need(8)
        first, second = struct.unpack_from(">HxxH", self.buffer)
        header, end = None, None
        if second == TTHEADER:
            fixed = self.take(14)
            total, words = struct.unpack_from(">I", fixed)[0] + 4, struct.unpack_from(">H", fixed, 12)[0]
            if not words or total < 14 + 4 * words:
                raise Malformed("TTHeader of %d bytes with %d words" % (total, words))
            header = unpack_ttheader(fixed, self.take(4 * words))
            end = total
            self.need(4)
            (first,) = struct.unpack_from(">H", self.buffer, self.at)
        framed = first not in (THRIFT, KITEXPB)
        if framed:
            (length,) = self.unpack(">I")
            if end is not None and self.at + length != end:
                raise Malformed("frame of %d in a TTHeader that ends at %d" % (length, end))
            end = self.at + length
        packet = self.read_message(end)
        packet.header = header
        packet.form = {(False, False): "buffered", (False, True): "framed",
                       (True, False): "ttheader_bare", (True, True): "ttheader_framed"}[
                           header is not None, framed]
        packet.raw = bytes(self.buffer[:self.at])
        del self.buffer[:self.at]
        self.at = 0
        return packet

    def read_message(self, end):
        magic, kind, length = self.unpack(">HHI")
        if magic not in (THRIFT, KITEXPB) or length > 1024:
            raise Malformed("magic %#x, name of %d" % (magic, length))
        method = self.take(length).decode("latin-1")
        (seq,) = self.unpack(">i")
        start = self.at
        if end is None:
            self.skip(STRUCT)
        else:
            self.take(end - start)
        packet = Packet(None, kind, method, seq, bytes(self.buffer[start:self.at]), magic=magic)
        if magic == THRIFT:
            packet.fields  # pylint: disable=pointless-statement # raises if it does not fill the frame
        return packet

    def skip(self, kind):
        if kind in FIXED:
            self.take(struct.calcsize(FIXED[kind]))
        elif kind == STRING:
            self.take(self.unpack(">I")[0])
        elif kind == STRUCT:
            while (field := self.take(1)[0]) != STOP:
                self.take(2)
                self.skip(field)
        elif kind in (LIST, SET):
            of, count = self.unpack(">BI")
            for _ in range(count):
                self.skip(of)
        elif kind == MAP:
            key, value, count = self.unpack(">BBI")
            for _ in range(count):
                self.skip(key)
                self.skip(value)
        else:
            raise Malformed("field type %d" % kind)
