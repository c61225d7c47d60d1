"""Services that do as they are told, also badly: threads behind a listening socket.

A behaviour is a function (connection, packet) that is called for each packet that arrives.
"""

import json
import os
import socket
import struct
import threading

import sockets
import wire


def echo(connection, packet):
    if packet.kind != wire.ONEWAY:
        connection.answer(packet)


def fail(connection, packet):
    body = wire.exception_body(6, "biz error: no", packet.magic)
    connection.write(packet.answer(body, wire.EXCEPTION))


def report(connection, packet):
    """Answers with what arrived, as JSON in the place of the text."""
    header = packet.header or wire.Header()
    seen = {"form": packet.form, "kind": packet.kind, "method": packet.method, "seq": packet.seq,
            "ints": {str(k): v for k, v in header.ints.items()}, "strs": header.strs,
            "acl": header.acl, "flags": header.flags, "header_seq": header.seq}
    text = json.dumps(seen)
    body = text.encode() if packet.magic == wire.KITEXPB else wire.result(text)
    connection.write(packet.answer(body, strs={"BACK": "ward"}))


def silent(_connection, _packet):
    pass


def wrong_seq(connection, packet):
    connection.write(packet.answer(wire.result("wrong seq"), seq=packet.seq + 1000))


def wrong_method(connection, packet):
    connection.write(packet.answer(wire.result("wrong method"), method="Other"))


def wrong_type(connection, packet):
    connection.write(packet.answer(wire.result("wrong type"), kind=wire.CALL))


def twice(connection, packet):
    """An unsolicited second reply after the right one, in one write."""
    right = packet.answer(wire.result(packet.text)).pack()
    connection.write(right + packet.answer(wire.result("unsolicited")).pack())


def twice_apart(connection, packet):
    connection.answer(packet)
    connection.later(0.02, packet.answer(wire.result("unsolicited")).pack())


def half_then_close(connection, packet):
    data = packet.answer(wire.result(packet.text)).pack()
    connection.write(data[:len(data) // 2])
    connection.close()


def garbage(connection, packet):
    connection.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def huge_length(connection, packet):
    connection.write(b"\x7f\xff\xff\xff" + packet.answer(wire.result("x")).pack()[4:])


def negative_length(connection, packet):
    connection.write(b"\xff\xff\xff\xff" + packet.answer(wire.result("x")).pack()[4:])


def zero_length(connection, packet):
    connection.write(b"\0\0\0\0" * 8)


def longer_frame(connection, packet):
    """A frame with a byte more than the message in it."""
    connection.write(packet.answer(wire.result(packet.text) + b"\0"))


def close_at_once(connection, packet):
    connection.close()


def reset_at_once(connection, packet):
    connection.reset()


def send(sock, data):
    try:
        sock.sendall(data)
    except OSError:
        pass  # the other side has gone; the tests look at what it saw


class Connection:
    def __init__(self, service, sock):
        self.service, self.sock = service, sock
        self.stream = wire.Stream(sock)
        self.lock = threading.Lock()

    def answer(self, packet):
        body = packet.body
        if packet.magic == wire.THRIFT:
            text = packet.fields.get(1)
            body = wire.result(text) if isinstance(text, bytes) else b"\0"
        self.write(packet.answer(body))

    def write(self, what):
        with self.lock:
            send(self.sock, what if isinstance(what, bytes) else what.pack())

    def later(self, seconds, what):
        threading.Timer(seconds, self.write, (what,)).start()

    def close(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def reset(self):
        sockets.reset(self.sock)

    def serve(self):
        try:
            while True:
                packet = self.stream.read()
                with self.service.lock:
                    self.service.packets.append(packet)
                self.service.behaviour(self, packet)
        except (EOFError, OSError, ValueError):
            pass
        except (wire.Malformed, IndexError, struct.error) as error:
            self.service.malformed.append(error)
        finally:
            with self.service.lock:
                self.service.open.discard(self)
            self.sock.close()


class Service:
    """Listens at once; `address` is for the configuration."""

    kind = Connection  # of its connections

    def __init__(self, behaviour=echo, path=None, on_accept=None, backlog=512):
        self.behaviour, self.on_accept = behaviour, on_accept
        self.packets, self.malformed, self.open, self.accepted = [], [], set(), 0
        self.lock = threading.Lock()
        self.path = path
        if path:
            if os.path.exists(path):
                os.unlink(path)
            self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.listener.bind(path)
            self.address = "unix:" + path
        else:
            self.listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            self.listener.bind(("127.0.0.1", 0))
            self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.listener.listen(backlog)
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.accepted += 1
            if self.on_accept and not self.on_accept(sock):
                continue
            connection = self.kind(self, sock)
            with self.lock:
                self.open.add(connection)
            threading.Thread(target=connection.serve, daemon=True).start()

    def drop_connections(self, how=Connection.close):
        with self.lock:
            connections = list(self.open)
        for connection in connections:
            how(connection)

    def close(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
        except OSError:
            pass
        self.listener.close()
        self.thread.join(5)
        self.drop_connections()
