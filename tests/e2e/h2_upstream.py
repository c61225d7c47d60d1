"""Applications that speak HTTP/2 and do as they are told, also badly."""

import socket
import struct
import threading

import ends
import hpack
from ends import PATIENCE, silent
from h2 import (CONTINUATION, DATA, DEFAULT_WINDOW, END_STREAM, HEADERS, PREFACE, WINDOW_UPDATE,
                Peer, grpc, pack, pack_headers)

REPLY_FIELDS = [(":status", "200"), ("content-type", "application/grpc")]
OK = [("grpc-status", "0"), ("grpc-message", "")]


def answer(peer, number, message=b"hello", trailers=tuple(OK), fields=tuple(REPLY_FIELDS)):
    peer.send(pack_headers(number, hpack.block(fields)) + pack(DATA, 0, number, grpc(message)) +
              pack_headers(number, hpack.block(trailers), True))


def echo(peer, frame):
    """Answers when the caller has ended, with what it sent; opens its windows again."""
    if frame is None:
        return
    if frame.kind == DATA and frame.payload:
        peer.send(pack(WINDOW_UPDATE, 0, 0, struct.pack(">I", len(frame.payload))) + (
            b"" if frame.is_end else pack(WINDOW_UPDATE, 0, frame.stream,
                                          struct.pack(">I", len(frame.payload)))))
    stream = peer.streams.get(frame.stream)
    if not stream or not stream.ended or frame.kind not in (DATA, HEADERS, CONTINUATION):
        return
    data = bytes(stream.data)
    if not peer.keeps:
        data = grpc(b"")
    peer.headers(stream.number, REPLY_FIELDS)
    if len(data) <= DEFAULT_WINDOW // 4:
        peer.data(stream.number, data)
        peer.headers(stream.number, OK, True)
    else:
        threading.Thread(target=echo_long, args=(peer, stream.number, data), daemon=True).start()


def echo_long(peer, number, data):
    try:
        peer.flow(number, data)
        peer.headers(number, OK, True)
    except (AssertionError, EOFError):
        pass  # the caller is gone or does not read; the tests look at what it saw


class Upstream(ends.Listener):
    """`settings` are sent first, as by every server."""

    def __init__(self, behaviour=silent, path=None, settings=(), **kwargs):
        self.settings, self.bad_prefaces = settings, []
        super().__init__(behaviour, path, **kwargs)

    def welcome(self, sock):
        sock.settimeout(PATIENCE)
        try:
            preface = sock.recv(len(PREFACE), socket.MSG_WAITALL)
        except OSError:
            preface = b""
        if preface == PREFACE:
            return Peer(sock, self.behave, self.settings, keeps=self.keeps, reads=self.reads)
        if preface:
            self.bad_prefaces.append(preface)
        sock.close()
        return None

    def calls(self):
        """[(peer, stream)] of all that came, in order per connection."""
        return [(p, s) for p in list(self.peers) for s in list(p.streams.values()) if s.blocks]

    def await_calls(self, count, seconds=PATIENCE):
        return self.eventually(self.calls, count, seconds, "calls")

    @property
    def malformed(self):
        return self.bad_prefaces + super().malformed
