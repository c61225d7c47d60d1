"""Stands between the daemon and a server, and is as bad a network as it is told to be."""

import socket
import threading
import time

import sockets

PASS = "pass"    # every byte, both ways
STALL = "stall"  # nothing gets through, connections stay
DRIP = "drip"    # one byte of an answer every now and then
CUT = "cut"      # connections are taken and closed at once


class Middleman:
    def __init__(self, case, server):
        """`server`: "host:port"."""
        host, _, port = server.rpartition(":")
        self.server, self.mood = (host, int(port)), PASS
        self.pairs, self.lock, self.is_closed = set(), threading.Lock(), False
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()
        case.addCleanup(self.close)

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            if self.mood == CUT:
                near.close()
                continue
            threading.Thread(target=self.join, args=(near,), daemon=True).start()

    def join(self, near):
        far = None
        while far is None and not self.is_closed:
            if self.mood != STALL:
                try:
                    far = socket.create_connection(self.server, 10)
                except OSError:
                    near.close()
                    return
            else:
                time.sleep(0.02)
        if far is None:
            near.close()
            return
        pair = (near, far)
        with self.lock:
            self.pairs.add(pair)
        back = threading.Thread(target=self.carry, args=(far, near, True), daemon=True)
        back.start()
        self.carry(near, far, False)
        back.join()
        with self.lock:
            self.pairs.discard(pair)
        near.close()
        far.close()

    def carry(self, source, to, is_answer):
        try:
            while data := source.recv(65536):
                self.pass_on(to, data, is_answer)
        except OSError:
            pass
        for sock in (source, to):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def pass_on(self, to, data, is_answer):
        while data:
            while self.mood == STALL and not self.is_closed:
                time.sleep(0.02)
            if self.mood == DRIP and is_answer:
                to.sendall(data[:1])
                data = data[1:]
                time.sleep(0.02)
            else:
                to.sendall(data)
                return

    def reset(self):
        """Every connection that there is, as after a crash of the machine between."""
        with self.lock:
            pairs = list(self.pairs)
        for near, far in pairs:
            for sock in (near, far):
                try:
                    sockets.reset(sock)
                except OSError:
                    pass

    def close(self):
        self.is_closed = True
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        self.thread.join(5)
        self.reset()
