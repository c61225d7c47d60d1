"""Upgrades of the running daemon: another process takes its place, and nobody loses a call."""

import os
import signal
import threading
import time
import unittest

import bridled
import sockets
import upstream
from bridled import eventually


class Load:
    """Callers that call all the time, each over its own connection or, one in two, over a new one for
    each call; what fails is kept."""

    def __init__(self, addresses, callers=4):
        self.addresses, self.failures, self.calls = addresses, [], 0
        self.over = threading.Event()
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.run, args=(n,)) for n in range(callers)]
        for thread in self.threads:
            thread.start()

    def run(self, number):
        address = self.addresses[number // 2 % len(self.addresses)]
        form, is_short, caller = ("framed", "ttheader_framed")[number % 2], number % 2 == 1, None
        while not self.over.is_set():
            try:
                if caller is None:
                    caller = sockets.Caller(address, form)
                answer = caller.call(text="n%d" % number)
                if answer.exception:
                    raise AssertionError(answer.exception)
                with self.lock:
                    self.calls += 1
                if is_short or not self.may_go_on(caller, answer):
                    caller.close()
                    caller = None
            except Exception as e:  # pylint: disable=broad-except
                self.failures.append(repr(e))
                caller = None
        if caller:
            caller.close()

    @staticmethod
    def may_go_on(caller, answer):
        """A connection that is being closed, or that is to be left, is not used for another call."""
        if answer.header and "crrst" in answer.header.strs:
            return False
        caller.sock.setblocking(False)
        try:
            return caller.sock.recv(1, sockets.socket.MSG_PEEK) != b""
        except BlockingIOError:
            return True
        except OSError:
            return False
        finally:
            caller.sock.settimeout(sockets.PATIENCE)

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join()


class UpgradeCase(bridled.TestCase):
    def daemon(self, **config):
        """One that listens on TCP and on a unix socket."""
        service = self.upstream()
        return self.bridled({
            "node": {"service": "test.node"},
            "listeners": [{"name": "in", "address": "127.0.0.1:0", "service": "svc"},
                          {"name": "path", "address": "unix:" + self.path("in.sock"),
                           "service": "svc"}],
            "services": {"svc": {"endpoints": [service.address]}}, **config})

    def load(self, daemon, **kwargs):
        load = Load([daemon.address("in"), daemon.address("path")], **kwargs)
        self.addCleanup(load.stop)
        return load


class Upgrades(UpgradeCase):
    def test_another_process_takes_the_place_under_load(self):
        daemon = self.daemon()
        inode = os.stat(self.path("in.sock")).st_ino
        load = self.load(daemon)
        eventually(lambda: load.calls > 100, what="load")
        old = daemon.process
        daemon.signal(signal.SIGUSR2)
        new = eventually(lambda: daemon.get_json("/status")["pid"] != old.pid and
                         daemon.get_json("/status")["pid"], what="another process")
        self.addCleanup(lambda: os.path.exists("/proc/%d" % new) and os.kill(new, signal.SIGTERM))
        self.assertEqual(old.wait(bridled.PATIENCE), 0)
        seen = load.calls
        eventually(lambda: load.calls > seen + 100, what="load on the new one")
        load.stop()
        self.assertEqual(load.failures, [])
        self.assertEqual(os.stat(self.path("in.sock")).st_ino, inode)


if __name__ == "__main__":
    unittest.main()
