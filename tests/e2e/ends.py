"""The two ends of a connection that a test scripts itself, whatever is spoken on it.

An `End` has a thread that reads frames and keeps them; the test sends, and waits with `until`. A
behaviour is a function (end, frame) that is called for each frame that arrives, with None when the
connection ends. What a frame is say the classes made from these: h2.py, tts.py.
"""

import os
import socket
import struct
import threading
import time

import hpack
import sockets
import wire
from sockets import PATIENCE


class End:
    def __init__(self, sock, behaviour=None, reads=True, keeps=True, first=b"", starts=True):
        """`reads`: from the beginning, else after `resume`. `keeps`: frames, not only their number.
        `first` is sent at once. `starts`: the reader, else `start` does."""
        self.sock, self.behaviour, self.keeps = sock, behaviour, keeps
        self.frames, self.count, self.malformed, self.buffer = [], 0, [], bytearray()
        self.is_closed = self.was_reset = False
        self.changed = threading.Condition()
        self.sending = threading.Lock()
        self.may_read = threading.Event()
        if reads:
            self.may_read.set()
        sock.settimeout(PATIENCE)
        if sock.family == socket.AF_INET:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if first:
            self.send(first)
        self.thread = threading.Thread(target=self.read, daemon=True)
        if starts:
            self.start()

    def start(self):
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.may_read.set()
        try:
            self.sock.shutdown(socket.SHUT_RDWR)  # wakes the reader
        except OSError:
            pass
        self.thread.join(PATIENCE)
        self.sock.close()

    def abort(self):
        """With RST, as a process that was killed."""
        self.may_read.set()
        try:
            self.sock.shutdown(socket.SHUT_RD)  # says nothing, and wakes the reader
        except OSError:
            pass
        self.thread.join(PATIENCE)
        sockets.reset(self.sock)

    def pause(self):
        self.may_read.clear()

    def resume(self):
        self.may_read.set()

    def send(self, data):
        """False: the other side has closed or does not read, which is for the test to judge."""
        try:
            with self.sending:
                self.sock.sendall(data)
            return True
        except OSError:
            return False

    def until(self, test, seconds=PATIENCE, what="it"):
        """The first true answer. Asked again after each frame, under the lock of the reader."""
        with self.changed:
            answer = self.changed.wait_for(test, seconds)
            if not answer:
                raise AssertionError("%s did not happen in %g s: closed %s, %d frames, last %s" % (
                    what, seconds, self.is_closed, self.count, self.frames[-5:]))
            return answer

    def closed(self, seconds=PATIENCE):
        return self.until(lambda: self.is_closed, seconds, "the close")

    def read(self):
        try:
            while True:
                self.may_read.wait()
                self.take(self.read_frame())
        except (EOFError, OSError) as error:
            self.was_reset = isinstance(error, ConnectionError)
        except (wire.Malformed, hpack.Malformed, struct.error, IndexError, ValueError) as error:
            self.malformed.append(error)
        finally:
            with self.changed:
                self.is_closed = True
                self.changed.notify_all()
            if self.behaviour:
                self.behaviour(self, None)

    def need(self, count):
        """At least so many bytes are in the buffer."""
        while len(self.buffer) < count:
            try:
                more = self.sock.recv(65536)
            except TimeoutError:
                continue
            if not more:
                raise EOFError
            self.buffer += more

    def exactly(self, count):
        self.need(count)
        data = bytes(self.buffer[:count])
        del self.buffer[:count]
        return data

    def take(self, frame):
        with self.changed:
            self.count += 1
            if self.keeps:
                self.frames.append(frame)
            self.note(frame)
            self.changed.notify_all()
        if self.behaviour:
            self.behaviour(self, frame)

    def read_frame(self):
        raise NotImplementedError

    def note(self, frame):
        """What a frame changes, under the lock."""


def silent(_end, _frame):
    pass


class Listener:
    """An application; `address` is for the configuration. Its ends are made by `welcome`."""

    def __init__(self, behaviour=silent, path=None, keeps=True, reads=True):
        self.behaviour, self.keeps, self.reads = behaviour, keeps, reads
        self.peers = []
        self.changed = threading.Condition()
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
        self.listener.listen(128)
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.begin, args=(sock,), daemon=True).start()

    def begin(self, sock):
        peer = self.welcome(sock)
        if peer:
            with self.changed:
                self.peers.append(peer)
                self.changed.notify_all()
            peer.start()  # what it is given is known from the first frame on

    def welcome(self, sock):
        """The end, not started, of a connection that has come; None when it is not wanted."""
        raise NotImplementedError

    def behave(self, peer, frame):
        """The behaviour of today: a test may change it."""
        self.behaviour(peer, frame)

    def peer(self, index=0, seconds=PATIENCE):
        """The connection that came as number `index`, waited for."""
        with self.changed:
            if not self.changed.wait_for(lambda: len(self.peers) > index, seconds):
                raise AssertionError("only %d connections after %g s" % (len(self.peers), seconds))
            return self.peers[index]

    def eventually(self, find, count, seconds, what):
        """The answer of `find` when it is at least so long."""
        end = time.monotonic() + seconds
        while len(found := find()) < count:
            if time.monotonic() > end:
                raise AssertionError("%d %s after %g s, not %d: %s" % (
                    len(found), what, seconds, count, found[-5:]))
            time.sleep(0.005)
        return found

    @property
    def malformed(self):
        return [error for p in self.peers for error in p.malformed]

    def close(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
        except OSError:
            pass
        self.listener.close()
        self.thread.join(5)
        for peer in self.peers:
            peer.close()
