"""A daemon that is replaced by another process again and again, and callers that must not notice."""

import ctypes
import json
import os
import shutil
import signal
import subprocess
import threading
import time

import bridled
import sockets
from bridled import Bridled, TestCase, eventually

PR_SET_CHILD_SUBREAPER = 36  # <linux/prctl.h>: what a daemon leaves behind is ours to wait for


class Process:
    """A process that we did not start; like one of subprocess."""

    def __init__(self, pid):
        self.pid, self.returncode = pid, None

    def poll(self):
        if self.returncode is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:  # still its parent's
                if not os.path.exists("/proc/%d" % self.pid):
                    raise AssertionError("its parent has waited for %d" % self.pid) from None
                return None
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout=None):
        end = time.monotonic() + (timeout or bridled.STOP_SECONDS)
        while self.poll() is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired("process %d" % self.pid, timeout)
            time.sleep(0.005)
        return self.returncode

    def send_signal(self, number):
        os.kill(self.pid, number)

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)


def is_running(pid):
    try:
        with open("/proc/%d/stat" % pid, encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def children(pid):
    """Of all its threads."""
    found = []
    try:
        for thread in os.listdir("/proc/%d/task" % pid):
            with open("/proc/%d/task/%s/children" % (pid, thread), encoding="ascii") as file:
                found += [int(word) for word in file.read().split()]
    except (FileNotFoundError, ProcessLookupError):
        pass
    return found


class Upgraded(Bridled):
    """Runs from a file of its own, which can be swapped. `process` is the one that serves."""

    def __init__(self, directory, config, environment=None, before=(), pass_fds=()):
        super().__init__(directory, config)
        self.binary = os.path.join(directory, "bridled")
        self.environment, self.before, self.pass_fds = environment, list(before), pass_fds
        self.former = []  # those that have been replaced, in the order of their start

    def start(self):
        self.install(bridled.BINARY)
        with open(self.error_path, "ab") as errors:
            self.process = subprocess.Popen(
                [*self.before, self.binary, "-c", self.config_path], stdin=subprocess.DEVNULL,
                stderr=errors, env=self.environment, pass_fds=self.pass_fds)
        eventually(self.is_ready, bridled.START_SECONDS, "readiness (%s)" % self.errors()[-500:])
        return self

    def install(self, program):
        """Puts another program in the place of ours, or None in it."""
        beside = self.binary + ".new"
        if program is None:
            os.unlink(self.binary)
            return
        shutil.copy(program, beside)
        os.rename(beside, self.binary)

    def install_script(self, text):
        """A program in Python that speaks for the new process. `say` and `hear` are there."""
        beside = self.binary + ".new"
        with open(beside, "w", encoding="utf-8") as file:
            file.write(SCRIPT + text)
        os.chmod(beside, 0o755)
        os.rename(beside, self.binary)

    def post(self, path):
        """(status, answer)"""
        status, body = self.get(path, "POST")
        return status, json.loads(body)

    def moved_to(self, pid):
        self.former.append(self.process)
        self.process = Process(pid)

    def upgrade(self):
        """By the admin socket. The old process goes on until its calls have ended."""
        status, answer = self.post("/upgrade")
        if status != 200 or not answer["ok"]:
            raise AssertionError("%d %r" % (status, answer))
        self.moved_to(answer["pid"])
        return answer["pid"]

    def serves(self):
        try:
            return self.get("/readyz")[0] == 200
        except OSError:
            return False

    def await_former(self, seconds=bridled.STOP_SECONDS):
        """Waits until all that were replaced have ended, as they should."""
        for process in self.former:
            code = process.wait(seconds)
            if code != 0:
                raise AssertionError("process %d ended with %d: %s" % (
                    process.pid, code, self.errors()[-2000:]))
        self.former = []

    def stop(self):
        for process in self.former:  # until they end, what they have started is theirs
            if process.poll() is None:
                process.kill()
                process.wait()
        super().stop()


SCRIPT = """#!/usr/bin/env python3
import os, socket, struct, sys, time
channel = socket.socket(fileno=int(os.environ["BRIDLED_UPGRADE"]))
DOOR, END, TOOK, READY, GO, SERVING, FAILED = range(1, 8)
def say(word, number=0, text=b"", magic=b"BrUp", version=1):
    channel.send(magic + struct.pack(">BBBBIH", version, word, 0, 0, number, len(text)) + text)
def hear():
    data, descriptors, _, _ = socket.recv_fds(channel, 4096, 4)
    if not data:
        sys.exit(0)
    return struct.unpack(">4xBBBBIH", data[:14]) + (data[14:], descriptors)
def doors():
    found = []
    while (heard := hear())[1] == DOOR:
        found.append(heard)
    return found
"""


class Callers:
    """Callers that call all the time, over connections that stay and over a new one for each call.

    A connection that stays may be closed by the daemon between two calls, as any server may: then
    nothing of an answer has come, and the call goes over another one. It is no loss if the service
    has not seen it, which `lost` looks at: every call is made once."""

    def __init__(self, service, addresses, callers=4, pause=0.0):
        self.service, self.addresses, self.pause = service, addresses, pause
        self.failures, self.calls, self.again, self.slowest = [], 0, 0, 0.0
        self.over, self.lock = threading.Event(), threading.Lock()
        self.threads = [threading.Thread(target=self.run, args=(n,)) for n in range(callers)]
        for thread in self.threads:
            thread.start()

    def run(self, number):
        address = self.addresses[number // 2 % len(self.addresses)]
        form, is_short = ("framed", "ttheader_framed")[number % 2], number // 2 % 2 == 1
        caller, count = None, 0
        while not self.over.is_set():
            count += 1
            began = time.monotonic()
            try:
                caller = self.call(address, form, caller, "c%d.%d" % (number, count))
            except Exception as e:  # pylint: disable=broad-except
                self.failures.append("%s caller %d at %.3f: %r" % (form, number, began, e))
                caller = None
            with self.lock:
                self.calls += 1
                self.slowest = max(self.slowest, time.monotonic() - began)
            if caller and is_short:
                caller.close()
                caller = None
            if self.pause:
                time.sleep(self.pause)
        if caller:
            caller.close()

    def call(self, address, form, caller, text):
        """The connection for the next call, or None."""
        is_used = caller is not None
        caller = caller or sockets.Caller(address, form)
        try:
            answer = caller.call(text=text)
        except (EOFError, ConnectionError) as e:
            caller.close()
            if not is_used or "0 bytes" not in str(e) and isinstance(e, EOFError):
                raise
            with self.lock:
                self.again += 1
            return self.call(address, form, None, text)
        if answer.exception or answer.text != text:
            raise AssertionError(answer)
        if answer.header and "crrst" in answer.header.strs:
            caller.close()
            return None
        return caller

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join()

    def lost(self):
        """What failed, and calls that the service has seen more than once. After stop."""
        seen, twice = set(), []
        for packet in self.service.packets:
            if packet.text in seen and packet.text.startswith("c"):
                twice.append("made twice: " + packet.text)
            seen.add(packet.text)
        return self.failures + twice


class UpgradeCase(TestCase):
    def setUp(self):
        super().setUp()
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def config(self, service, **more):
        """Listens on TCP and on a unix socket."""
        return {"node": {"service": "test.node"},
                "listeners": [{"name": "in", "address": "127.0.0.1:0", "service": "svc"},
                              {"name": "path", "address": "unix:" + self.path("in.sock"),
                               "service": "svc"}],
                "services": {"svc": {"endpoints": [service.address]}}, **more,
                "upgrade": {"drain": "4s", **more.get("upgrade", {})}}

    def run_daemon(self, config, **kwargs):
        daemon = Upgraded(self.directory, config, **kwargs)
        self.addCleanup(daemon.stop)
        return daemon.start()

    def callers(self, daemon, service, **kwargs):
        callers = Callers(service, [daemon.address("in"), daemon.address("path")], **kwargs)
        self.addCleanup(callers.stop)
        self.await_calls(callers, 50)
        return callers

    def await_calls(self, callers, count):
        """So many more."""
        enough = callers.calls + count
        eventually(lambda: callers.calls >= enough, what="%d calls" % count)

    def assert_nothing_lost(self, daemon, callers):
        """And all processes that were replaced end when their callers have gone."""
        callers.stop()
        self.assertEqual(callers.lost(), [])
        self.assertGreater(callers.calls, 0)
        daemon.await_former()

    def assert_goes_on(self, daemon, callers, pid):
        """The same process serves, and nobody is left of the other."""
        self.assertEqual(daemon.get_json("/status")["pid"], pid)
        self.await_calls(callers, 20)
        eventually(lambda: not children(pid), what="the end of the new process")
