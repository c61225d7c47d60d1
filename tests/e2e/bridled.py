"""The daemon under test: started with a generated configuration, asked over its admin socket."""

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

import sockets
import upstream
from sockets import PATIENCE

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD = os.environ.get("BRIDLE_BUILD_DIR", os.path.join(TOP, "build"))
BINARY = os.path.join(BUILD, "src", "bridled")
CTL = os.path.join(BUILD, "src", "bridlectl")
REQUIRED = os.environ.get("BRIDLE_E2E_REQUIRE") == "1"
NOT_ALLOWED = "not allowed here: "  # begins why a test is skipped that asks the machine for too much
IS_SANITIZED = os.path.exists(BINARY) and any(
    name in open(BINARY, "rb").read() for name in (b"__asan_init", b"__tsan_init"))
SLOWER = 5 if IS_SANITIZED else 1  # the factor by which it may take more CPU
START_SECONDS = STOP_SECONDS = 60
SANITIZER_SAYS = re.compile(r"ERROR: \w+Sanitizer|runtime error:|SUMMARY: \w+Sanitizer|Assertion .* failed")


def allow(seconds):
    """So long may take here and now what takes so long where nobody else computes."""
    began, computed = time.monotonic(), time.thread_time()
    while time.thread_time() - computed < 0.02:
        pass
    return seconds * SLOWER * max(1, (time.monotonic() - began) / 0.02)


def eventually(check, seconds=PATIENCE, what="it"):
    """Asks until the answer is true, and gives it. For what happens soon, but not at once."""
    end = time.monotonic() + seconds
    while True:
        answer = check()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError("%s did not happen in %g s" % (what, seconds))
        time.sleep(0.01)


class UnixHTTP(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=PATIENCE)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def http_get(connection, path, method="GET"):
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


METRIC = re.compile(r'^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$')
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def parse_metrics(text):
    """[(name, labels, value)]"""
    found = []
    for line in text.split("\n"):
        if not line or line.startswith("#"):
            continue
        match = METRIC.match(line)
        if not match:
            raise AssertionError("not a metric: %r" % line)
        found.append((match[1], dict(LABEL.findall(match[2] or "")), float(match[3])))
    return found


class Bridled:
    def __init__(self, directory, config, preexec=None, stderr=None):
        self.directory = directory
        self.admin_path = os.path.join(directory, "admin.sock")
        self.access_path = os.path.join(directory, "access.log")
        self.config_path = os.path.join(directory, "bridled.yaml")
        self.error_path = os.path.join(directory, "stderr")
        self.write_config(config)
        self.process, self.expect_exit = None, 0
        self.preexec, self.stderr = preexec, stderr

    def write_config(self, config):
        """JSON is YAML. What every test wants alike is added."""
        whole = {"admin": {"socket": self.admin_path},
                 "access_log": {"to": self.access_path, "format": "json"},
                 "defaults": {"timeout": {"connect": "5s"}},  # also where nobody gets much time
                 "shutdown": {"drain": "5s", "spread": "10ms"}}
        whole.update(config)
        with open(self.config_path + ".new", "w", encoding="utf-8") as file:
            json.dump(whole, file, indent=1)
        os.rename(self.config_path + ".new", self.config_path)

    def start(self):
        stderr = self.stderr
        if stderr is None:
            stderr = open(self.error_path, "ab")
        self.process = subprocess.Popen([BINARY, "-c", self.config_path], stdin=subprocess.DEVNULL,
                                        stderr=stderr, preexec_fn=self.preexec)
        if self.stderr is None:
            stderr.close()
        eventually(self.is_ready, START_SECONDS, "readiness (%s)" % self.errors()[-500:])
        return self

    def is_ready(self):
        if self.process.poll() is not None:
            raise AssertionError("bridled ended with %d: %s" % (self.process.returncode,
                                                                self.errors()))
        try:
            return self.get("/readyz")[0] == 200
        except OSError:
            return False

    def get(self, path, method="GET"):
        return http_get(UnixHTTP(self.admin_path), path, method)

    def get_json(self, path):
        status, body = self.get(path)
        if status != 200:
            raise AssertionError("%s: %d %s" % (path, status, body))
        return json.loads(body)

    def ctl(self, *words):
        """What bridlectl says: its exit status, what it printed, what it complained about."""
        done = subprocess.run([CTL, "-S", self.admin_path, *words], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=STOP_SECONDS, check=False)
        if SANITIZER_SAYS.search(done.stderr):
            raise AssertionError(done.stderr[-6000:])
        return done.returncode, done.stdout, done.stderr

    def ctl_json(self, *words):
        status, said, complaint = self.ctl("--json", *words)
        if status != 0:
            raise AssertionError("bridlectl %s: %d %s" % (" ".join(words), status, complaint))
        return json.loads(said)

    def address(self, listener="in"):
        for found in self.get_json("/status")["listeners"]:
            if found["name"] == listener:
                return found["addresses"][0]
        raise AssertionError("no listener " + listener)

    def metric(self, name, **labels):
        """The sum over all samples that carry the labels."""
        samples = parse_metrics(self.get("/metrics")[1])
        return sum(value for n, have, value in samples
                   if n == name and labels.items() <= have.items())

    def access_log(self, count, seconds=PATIENCE):
        """The first `count` lines, waited for; there may not be more."""
        def lines():
            if not os.path.exists(self.access_path):
                return []
            with open(self.access_path, encoding="utf-8") as file:
                return file.read().split("\n")[:-1]  # what has no end is still being written
        eventually(lambda: len(lines()) >= count, seconds, "%d log lines" % count)
        found = lines()
        if len(found) != count:
            raise AssertionError("%d lines in the access log, not %d: %s" % (
                len(found), count, found))
        return [json.loads(line) for line in found]

    def errors(self):
        if not os.path.exists(self.error_path):
            return ""
        with open(self.error_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def is_alive(self):
        return self.process.poll() is None

    def descriptors(self):
        return len(os.listdir("/proc/%d/fd" % self.process.pid))

    def rss(self):
        with open("/proc/%d/statm" % self.process.pid, encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")

    def cpu_seconds(self):
        with open("/proc/%d/stat" % self.process.pid, encoding="ascii") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, seconds=STOP_SECONDS):
        return self.process.wait(seconds)

    def reload(self, config):
        """Waits until the new file is in force for new connections. The worker of one that is open
        already hears of it a moment later: what is to change there has to be waited for."""
        before = self.get_json("/status")["config"]["hash"]
        self.write_config(config)
        self.signal(signal.SIGHUP)
        eventually(lambda: self.get_json("/status")["config"]["hash"] != before,
                   what="the reload")

    def stop(self):
        if not self.process:
            return
        if self.is_alive():
            self.signal(signal.SIGTERM)
        try:
            code = self.wait()
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError("bridled did not end after TERM") from None
        said = self.errors()
        if SANITIZER_SAYS.search(said):
            raise AssertionError(said[-6000:])
        if code != self.expect_exit:
            raise AssertionError("bridled ended with %d: %s" % (code, said[-2000:]))


class TestCase(unittest.TestCase):
    """Everything a test starts ends with it, the daemon first."""

    SECONDS_EACH = 1  # about what a test takes; a class of few long ones says more, and begins early
    longMessage = True

    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="br")
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.directory, name)

    def upstream(self, behaviour=upstream.echo, name=None, **kwargs):
        """A service; on a unix socket of that name if there is one."""
        service = upstream.Service(behaviour, name and self.path(name), **kwargs)
        self.addCleanup(service.close)
        return service

    def bridled(self, config, **kwargs):
        daemon = Bridled(self.directory, config, **kwargs)
        self.addCleanup(daemon.stop)
        return daemon.start()

    def pinned(self, service, listener=None, config=None, preexec=None, stderr=None, **policy):
        """A daemon with one listener that is pinned to one service; the rest is its policy."""
        endpoints = service if isinstance(service, list) else [service]
        whole = {"node": {"service": "test.node"},
                 "listeners": [{"name": "in", "address": "127.0.0.1:0", "service": "svc",
                                **(listener or {})}],
                 "services": {"svc": {"endpoints": [getattr(e, "address", e) for e in endpoints],
                                      **policy}}}
        whole.update(config or {})
        return self.bridled(whole, preexec=preexec, stderr=stderr)

    def caller(self, daemon, form="framed", listener="in", **kwargs):
        caller = sockets.Caller(daemon.address(listener), form, **kwargs)
        self.addCleanup(caller.close)
        return caller

    def assert_metric(self, daemon, expected, name, **labels):
        """A call is counted when it ends, which may be a moment after its answer; a connection
        that ends counts as one until the daemon has seen it."""
        end = time.monotonic() + PATIENCE
        while (got := daemon.metric(name, **labels)) != expected and time.monotonic() < end:
            time.sleep(0.01)
        self.assertEqual(got, expected, (name, labels))

    def assert_logged(self, daemon, text, count=None):
        """So many times, or at all: a line is written a moment after what it tells of."""
        eventually(lambda: daemon.errors().count(text) >= (count or 1), what="a line: " + text)
        if count is not None:
            self.assertEqual(daemon.errors().count(text), count)

    def assert_refused(self, answer, reason, kind=None):
        """By the proxy itself, in words that begin with the reason."""
        self.assertIsNotNone(answer.exception, answer)
        got, text = answer.exception
        self.assertTrue(text.startswith("bridled: %s: " % reason), text)
        if kind is not None:
            self.assertEqual(got, kind, text)
