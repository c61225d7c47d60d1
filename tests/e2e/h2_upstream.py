"""Applications that speak HTTP/2 and do as they are told, also badly."""

import socket
import threading

import ends
import hpack
from ends import PATIENCE, silent
from h2 import (CONTINUATION, DATA, DEFAULT_WINDOW, HEADERS, MAX_FRAME, PREFACE, Peer, grpc, pack,
                pack_headers)

REPLY_FIELDS = [(":status", "200"), ("content-type", "application/grpc")]
OK = [("grpc-status", "0"), ("grpc-message", "")]


def answer(peer, number, message=b"hello", trailers=tuple(OK), fields=tuple(REPLY_FIELDS)):
    peer.send(pack_headers(number, hpack.block(fields)) + pack(DATA, 0, number, grpc(message)) +
              pack_headers(number, hpack.block(trailers), True))


def echo(peer, frame):
    """Answers when the caller has ended, with what it sent."""
    if frame is None:
        return
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


class Pour:
    """Answers each call with so many bytes, as fast as the windows allow and without end."""

    def __init__(self, size):
        self.size, self.left = size, {}

    def __call__(self, peer, frame):
        left = self.left.setdefault(peer, {})
        if frame is None or frame.kind == HEADERS and not peer.headers(frame.stream, REPLY_FIELDS):
            left.clear()
            return
        if frame.kind == HEADERS:
            left[frame.stream] = self.size
        for number in list(left) if not frame.stream else [frame.stream]:
            self.fill(peer, peer.find(number), left)

    @staticmethod
    def fill(peer, stream, left):
        while left.get(stream.number) and stream.reset is None:
            size = min(left[stream.number], peer.window, stream.window, MAX_FRAME)
            if size <= 0:
                break
            peer.window -= size
            stream.window -= size
            left[stream.number] -= size
            peer.frame(DATA, 0, stream.number, b"\0" * size)


class Upstream(ends.Listener):
    """`settings` are sent first, as by every server."""

    def __init__(self, behaviour=silent, path=None, settings=(), updates=None, **kwargs):
        """`updates`: as of a peer; a service that echoes has to."""
        self.settings, self.bad_prefaces = settings, []
        self.updates = behaviour is echo if updates is None else updates
        super().__init__(behaviour, path, **kwargs)

    def welcome(self, sock):
        sock.settimeout(PATIENCE)
        try:
            preface = sock.recv(len(PREFACE), socket.MSG_WAITALL)
        except OSError:
            preface = b""
        if preface == PREFACE:
            return Peer(sock, self.behave, self.settings, updates=self.updates, keeps=self.keeps,
                        reads=self.reads, starts=False)
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
