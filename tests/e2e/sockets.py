"""Addresses as in the configuration, and the caller's end of a connection."""

import itertools
import socket
import struct

import wire

# Seconds. Whatever is waited for comes long before, however busy the machine is; less than the 30 s
# after which the daemon of its own accord ends calls and connections on which nothing happens.
PATIENCE = 25.0
sequence = itertools.count(1)


def connect(address, timeout=PATIENCE):
    if address.startswith("unix:"):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        where = address[5:]
    else:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        host, port = address.rsplit(":", 1)
        where = (host, int(port))
    sock.settimeout(timeout)
    sock.connect(where)
    if sock.family == socket.AF_INET:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def reset(sock):
    """Closes with RST, so that the other side sees an error and not an end."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    try:
        sock.shutdown(socket.SHUT_RD)  # a thread that reads from it keeps it open
    except OSError:
        pass
    sock.close()


def is_closed(sock, timeout=PATIENCE):
    """Whether the other side closes without another byte."""
    sock.settimeout(timeout)
    try:
        return sock.recv(1) == b""
    except ConnectionError:
        return True
    except TimeoutError:
        return False


class Caller:
    """A connection of a caller that speaks one form, and Thrift or Kitex Protobuf in it."""

    def __init__(self, address, form="framed", magic=wire.THRIFT, timeout=PATIENCE, flags=0):
        self.form, self.magic, self.flags = form, magic, flags
        self.sock = connect(address, timeout)
        self.stream = wire.Stream(self.sock)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def packet(self, method="Echo", text="hello", kind=wire.CALL, seq=None, body=None, **meta):
        """`meta`: ints, strs, acl of a TTHeader."""
        seq = next(sequence) if seq is None else seq
        if body is None:
            body = text.encode() if self.magic == wire.KITEXPB else wire.arguments(text)
        header = None
        if self.form.startswith("ttheader"):
            header = wire.Header(seq, flags=self.flags, **meta)
        return wire.Packet(self.form, kind, method, seq, body, header, self.magic)

    def send(self, *args, **kwargs):
        packet = self.packet(*args, **kwargs)
        packet.raw = packet.pack()
        self.sock.sendall(packet.raw)
        return packet

    def receive(self):
        return self.stream.read()

    def call(self, *args, **kwargs):
        """The answer; in the form, with the method and with the sequence ids of the question."""
        question = self.send(*args, **kwargs)
        answer = self.receive()
        self.must_answer(question, answer)
        return answer

    def must_answer(self, question, answer):
        got = (answer.form, answer.magic, answer.method, answer.seq)
        expected = (self.form, self.magic, question.method, question.seq)
        if got != expected:
            raise AssertionError("answered %r, expected %r: %r" % (got, expected, answer))
        if answer.header and answer.header.seq != question.seq:
            raise AssertionError("TTHeader of the answer has seq %d" % answer.header.seq)
