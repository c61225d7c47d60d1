"""An application that wants a PROXY header, version 2, before all else on each connection.

The reader is written apart from the daemon, and strict: what it does not know is an error.
"""

import socket
import struct

import middleman
import upstream
import wire

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LOCAL, PROXY = 0, 1
TCP4, TCP6, UNIX = 0x11, 0x21, 0x31
NAMES = {0x02: "service", 0x05: "id", 0xE0: "caller", 0xE1: "listener", 0xE2: "uid", 0xE3: "pid"}
NUMBERS = ("uid", "pid")
UNIX_NAME = 108


class Introduction:
    """What a header says: `command`, `family`, `source`, `destination`, and `facts` by name."""

    def __init__(self, take):
        """`take`: a function that gives so many bytes."""
        start = take(16)
        if start[:12] != SIGNATURE:
            raise wire.Malformed("no PROXY header but %r" % start)
        version, self.family, length = struct.unpack(">BBH", start[12:])
        if version >> 4 != 2 or version & 15 > PROXY:
            raise wire.Malformed("version and command %#x" % version)
        self.command = version & 15
        self.raw = start + take(length)
        self.source = self.destination = None
        self.facts = {}
        rest = self.raw[16:]
        if self.command == PROXY:
            self.read_facts(self.read_addresses(rest))
        elif rest or self.family:
            raise wire.Malformed("LOCAL with family %#x and %r" % (self.family, rest))

    def __repr__(self):
        return "Introduction(%s, %s)" % ("PROXY" if self.command else "LOCAL", self.facts)

    def read_addresses(self, rest):
        if self.family in (TCP4, TCP6):
            size, kind = (4, socket.AF_INET) if self.family == TCP4 else (16, socket.AF_INET6)
            if len(rest) < 2 * size + 4:
                raise wire.Malformed("addresses are cut off")
            ports = struct.unpack_from(">HH", rest, 2 * size)
            self.source = (socket.inet_ntop(kind, rest[:size]), ports[0])
            self.destination = (socket.inet_ntop(kind, rest[size:2 * size]), ports[1])
            return rest[2 * size + 4:]
        if self.family != UNIX or len(rest) < 2 * UNIX_NAME:
            raise wire.Malformed("family %#x with %d bytes" % (self.family, len(rest)))
        self.source = rest[:UNIX_NAME].rstrip(b"\0")
        self.destination = rest[UNIX_NAME:2 * UNIX_NAME].rstrip(b"\0")
        return rest[2 * UNIX_NAME:]

    def read_facts(self, rest):
        while rest:
            kind, length = struct.unpack_from(">BH", rest)
            value, rest = rest[3:3 + length], rest[3 + length:]
            name = NAMES.get(kind)
            if len(value) != length or name is None or name in self.facts:
                raise wire.Malformed("value %#x of %d bytes: %r" % (kind, length, value))
            self.facts[name] = int(value.decode("ascii")) if name in NUMBERS else value.decode()


class Connection(upstream.Connection):
    """Its packets know by which connection they came."""

    introduction = None

    def serve(self):
        try:
            self.introduction = Introduction(self.stream.take)
        except EOFError:
            if self.stream.buffer:
                self.service.malformed.append(wire.Malformed("a part of a header"))
            self.service.silent += 1
            self.sock.close()
            return
        except OSError:
            self.sock.close()
            return
        except (wire.Malformed, ValueError, struct.error) as error:
            self.service.malformed.append(error)
            self.sock.close()
            return
        with self.service.lock:
            self.service.introductions.append(self.introduction)
        del self.stream.buffer[:self.stream.at]
        self.stream.at = 0
        super().serve()


class Application(upstream.Service):
    """`introductions`: of all connections, in their order. `silent`: connections that ended before
    a byte of a header."""

    kind = Connection

    def __init__(self, *args, **kwargs):
        self.introductions, self.silent = [], 0
        super().__init__(*args, **kwargs)

    def of_callers(self):
        with self.lock:
            return [i for i in self.introductions if i.command == PROXY]

    def own(self):
        """How many were for nobody."""
        with self.lock:
            return sum(i.command == LOCAL for i in self.introductions)


class Doorman(middleman.Middleman):
    """Stands before a server that has never heard of the PROXY protocol, and reads it for it."""

    def __init__(self, case, server):
        self.introductions, self.malformed = [], []
        super().__init__(case, server)

    def join(self, near):
        def take(count):
            data = near.recv(count, socket.MSG_WAITALL) if count else b""
            if len(data) < count:
                raise EOFError("%d bytes of a header" % len(data))
            return data
        try:
            introduction = Introduction(take)
        except (EOFError, OSError):
            near.close()
            return
        except (wire.Malformed, ValueError, struct.error) as error:
            self.malformed.append(error)
            near.close()
            return
        with self.lock:
            self.introductions.append(introduction)
        super().join(near)
