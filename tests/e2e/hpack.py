"""Header compression of HTTP/2 (RFC 7541): a whole decoder, and an encoder that compresses nothing
unless it is told to, so that what a test sends is what it says. Text is latin-1.
"""

# Appendix A, from index 1 on.
STATIC = [
    (":authority", ""), (":method", "GET"), (":method", "POST"), (":path", "/"),
    (":path", "/index.html"), (":scheme", "http"), (":scheme", "https")] + [
        (":status", status) for status in "200 204 206 304 400 404 500".split()] + [
            ("accept-charset", ""), ("accept-encoding", "gzip, deflate")] + [
                (name, "") for name in """
        accept-language accept-ranges accept access-control-allow-origin age allow authorization
        cache-control content-disposition content-encoding content-language content-length
        content-location content-range content-type cookie date etag expect expires from host
        if-match if-modified-since if-none-match if-range if-unmodified-since last-modified link
        location max-forwards proxy-authenticate proxy-authorization range referer refresh
        retry-after server set-cookie strict-transport-security transfer-encoding user-agent vary
        via www-authenticate""".split()]
ENTRY_OVERHEAD = 32
DEFAULT_TABLE = 4096

# Appendix B. The code is canonical, so its lengths say all: of symbols 0 to 256 (the end), "a" is 5.
LENGTHS = (
    "isxxxxxxxtzxxzxxxxxxxxzxxxxxxxxxbffhibdgffdgdbbbaaabbbbbbbcdkbhf"
    "ibccccccccccccccccccccccdcdioijbkabababbbaccbbbabcbaabccccckgjix"
    "prpprrrsrssssststtrstssssqrsrsstrqprrssqsrrtqrssqqrqsrssprrrsrrs"
    "vvporsruvvvwwvtuoqvwwvwtqqvvxwwwptpqrqqsrruuttvsvwvvwwwwwxwwwwwv"
    "z")
END_SYMBOL = 256


def huffman_codes():
    """{(length, code): symbol}"""
    codes, code, before = {}, 0, 0
    for length, symbol in sorted((ord(c) - ord("a") + 5, s) for s, c in enumerate(LENGTHS)):
        code <<= length - before
        codes[length, code] = symbol
        code, before = code + 1, length
    return codes


SYMBOLS = huffman_codes()
CODES = {symbol: key for key, symbol in SYMBOLS.items()}


class Malformed(Exception):
    pass


def decode_huffman(data):
    out, code, length = bytearray(), 0, 0
    for byte in data:
        for bit in range(7, -1, -1):
            code, length = code << 1 | byte >> bit & 1, length + 1
            symbol = SYMBOLS.get((length, code))
            if symbol is None:
                continue
            if symbol == END_SYMBOL:
                raise Malformed("the end symbol inside a string")
            out.append(symbol)
            code = length = 0
    if length > 7 or code != (1 << length) - 1:
        raise Malformed("padding of %d bits" % length)
    return bytes(out)


def encode_huffman(data):
    bits, count = 0, 0
    for byte in data:
        length, code = CODES[byte]
        bits, count = bits << length | code, count + length
    pad = -count % 8
    return (bits << pad | (1 << pad) - 1).to_bytes((count + pad) // 8, "big")


def integer(value, prefix, first=0):
    """`first`: the bits before the prefix of so many bits."""
    limit = (1 << prefix) - 1
    if value < limit:
        return bytes((first | value,))
    out = bytearray((first | limit,))
    value -= limit
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def string(text, huffman=False):
    raw = text if isinstance(text, bytes) else text.encode("latin-1")
    if huffman:
        raw = encode_huffman(raw)
    return integer(len(raw), 7, 0x80 if huffman else 0) + raw


def indexed(index):
    return integer(index, 7, 0x80)


def literal(name, value, first=0x00, prefix=4, huffman=False):
    """Without indexing. A name that is a number stands for an index."""
    if isinstance(name, int):
        return integer(name, prefix, first) + string(value, huffman)
    return bytes((first,)) + string(name, huffman) + string(value, huffman)


def literal_indexed(name, value, huffman=False):
    """Goes into the table of the other side."""
    return literal(name, value, 0x40, 6, huffman)


def literal_never(name, value, huffman=False):
    return literal(name, value, 0x10, 4, huffman)


def table_size(size):
    return integer(size, 5, 0x20)


def block(fields, huffman=False):
    return b"".join(literal(name, value, huffman=huffman) for name, value in fields)


class Decoder:
    """One direction of one connection; blocks are to be given in the order they came."""

    def __init__(self, limit=DEFAULT_TABLE):
        self.limit, self.size, self.dynamic = limit, limit, []
        self.data, self.at = b"", 0

    def decode(self, data):
        """[(name, value)]"""
        self.data, self.at, fields = data, 0, []
        while self.at < len(data):
            first = data[self.at]
            if first & 0x80:
                fields.append(self.entry(self.integer(7)))
            elif first & 0x40:
                fields.append(self.literal(6))
                self.dynamic.insert(0, fields[-1])
                self.shrink()
            elif first & 0x20:
                self.size = self.integer(5)
                if self.size > self.limit or fields:
                    raise Malformed("table of %d after %d fields" % (self.size, len(fields)))
                self.shrink()
            else:
                fields.append(self.literal(4))
        return fields

    def literal(self, prefix):
        index = self.integer(prefix)
        name = self.entry(index)[0] if index else self.string()
        return name, self.string()

    def entry(self, index):
        if not 1 <= index <= len(STATIC) + len(self.dynamic):
            raise Malformed("index %d" % index)
        if index <= len(STATIC):
            return STATIC[index - 1]
        return self.dynamic[index - len(STATIC) - 1]

    def shrink(self):
        while sum(len(n) + len(v) + ENTRY_OVERHEAD for n, v in self.dynamic) > self.size:
            self.dynamic.pop()

    def take(self, count):
        if self.at + count > len(self.data):
            raise Malformed("a block of %d bytes ends in the middle" % len(self.data))
        self.at += count
        return self.data[self.at - count:self.at]

    def integer(self, prefix):
        limit = (1 << prefix) - 1
        value = self.take(1)[0] & limit
        if value < limit:
            return value
        shift = 0
        while True:
            byte = self.take(1)[0]
            value += (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def string(self):
        if self.at >= len(self.data):
            raise Malformed("a block of %d bytes ends in the middle" % len(self.data))
        is_huffman = self.data[self.at] & 0x80
        raw = self.take(self.integer(7))
        return (decode_huffman(raw) if is_huffman else raw).decode("latin-1")
