"""The access log: which calls have a line, what stands in it, where it goes, and that it holds up
nobody."""

import json
import os
import re
import socket
import threading
import time
import unittest

import upstream
import wire
from bridled import TestCase, eventually
from h2_case import H2TestCase

NAP = 0.02  # seconds; so often, at most, the writer of a busy log looks
FIELDS = {"time", "log_id", "trace_id", "listener", "protocol", "caller", "service", "idl_service",
          "method", "kind", "reason", "detail", "biz_status", "endpoint", "source", "status",
          "attempts", "bytes_in", "bytes_out", "us"}


class Lines(H2TestCase):
    def test_a_good_call(self):
        service = self.upstream()
        daemon = self.pinned(service)
        caller = self.caller(daemon, "ttheader_framed")
        question = caller.send("Echo", "hi", strs={"isn": "Svc"},
                               ints={wire.FROM_SERVICE: "the.caller", wire.LOG_ID: "log-1"})
        caller.receive()
        (line,) = daemon.access_log(1)
        self.assertEqual(set(line), FIELDS)
        self.assertEqual(set(line["us"]), {"total", "queue", "connect", "first_byte"})
        self.assertRegex(line["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")
        expected = {"log_id": "log-1", "trace_id": "", "listener": "in", "protocol": "ttheader",
                    "caller": "the.caller", "service": "svc", "idl_service": "Svc",
                    "method": "Echo", "kind": "call", "reason": "ok", "detail": "",
                    "biz_status": "", "endpoint": service.address, "status": 0, "attempts": 1,
                    "bytes_in": len(question.raw)}
        self.assertEqual({k: line[k] for k in expected}, expected)
        self.assertRegex(line["source"], r"^127\.0\.0\.1:\d+$")

    def test_a_log_id_of_our_own_has_the_form_of_kitex(self):
        daemon = self.pinned(self.upstream())
        caller = self.caller(daemon)
        for _ in range(3):
            caller.call()
        ids = [line["log_id"] for line in daemon.access_log(3)]
        self.assertEqual(len(set(ids)), 3)
        for made in ids:
            self.assertRegex(made, "^02[0-9]{13}[1-9a-f][0-9a-f]{5}$")

    def test_calls_that_were_refused(self):
        """Before they were calls, before they had a service, and by a rule."""
        daemon = self.bridled({
            "listeners": [{"name": "in", "address": "127.0.0.1:0"}],
            "services": {"svc": {"endpoints": [self.upstream().address],
                                 "acl": [{"deny": {"caller": "bad"}}]}}})
        self.caller(daemon, "ttheader_framed").call(ints={wire.TO_SERVICE: "nobody"})
        self.caller(daemon, "ttheader_framed").call(ints={wire.TO_SERVICE: "svc",
                                                          wire.FROM_SERVICE: "bad"})
        garbage = self.caller(daemon)
        garbage.sock.sendall(b"\xff" * 64)
        lines = daemon.access_log(3)
        self.assertEqual(sorted(line["reason"] for line in lines),
                         ["acl_denied", "no_route", "protocol_unknown"])
        for line in lines:
            self.assertEqual(set(line), FIELDS)
            self.assertEqual((line["endpoint"], line["attempts"]), ("", 0))
        by_reason = {line["reason"]: line for line in lines}
        self.assertEqual(by_reason["no_route"]["service"], "nobody")
        self.assertEqual(by_reason["protocol_unknown"]["protocol"], "unknown")

    def test_streams_count_their_messages(self):
        server = self.h2_upstream()
        daemon = self.pinned(server, protocol="grpc")
        client = self.client(daemon)
        client.call()
        (line,) = daemon.access_log(1)
        self.assertEqual((line["kind"], line["messages"]), ("call", {"in": 1, "out": 1}))
        self.assertEqual(set(line), FIELDS | {"messages"})

    def test_text_from_outside_is_escaped_and_cut(self):
        daemon = self.pinned(self.upstream())
        caller = self.caller(daemon, "ttheader_framed")
        ugly = 'a"b\\c\n\x1b[31m\x7f\xff</script>'
        caller.call(ints={wire.FROM_SERVICE: ugly, wire.LOG_ID: "x" * 300})
        (line,) = daemon.access_log(1)
        self.assertEqual(line["caller"], ugly)
        self.assertEqual(line["log_id"], "x" * 256 + "...")
        with open(daemon.access_path, "rb") as file:
            raw = file.read()
        self.assertNotRegex(raw[:-1], rb"[^\x20-\x7e]")


class Choice(TestCase):
    """Which calls have a line."""

    def logged(self, log, good=200, bad=10):
        service = self.upstream()
        path = self.path("chosen.log")
        daemon = self.pinned(service, config={"access_log": {"to": path, **log}})
        caller = self.caller(daemon)
        for _ in range(good):
            caller.call()
        service.behaviour = upstream.reset_at_once
        for _ in range(bad):
            caller.call()
        daemon.stop()
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
        os.unlink(path)
        return lines

    def test_a_share_and_all_errors(self):
        lines = [json.loads(line) for line in self.logged({"sample": "20%"}, 1000)]
        good = sum(line["reason"] == "ok" for line in lines)
        self.assertEqual(sum(line["reason"] == "reset" for line in lines), 10)
        self.assertGreater(good, 120)
        self.assertLess(good, 290)

    def test_a_share_of_everything(self):
        lines = self.logged({"sample": "1%", "always": {"errors": False}}, 100, 100)
        self.assertLess(len(lines), 20)

    def test_slow_calls(self):
        slow = upstream.Service(lambda c, p: c.later(0.3, p.answer(wire.result("x")).pack()))
        self.addCleanup(slow.close)
        daemon = self.pinned(slow, config={"access_log": {
            "to": self.path("access.log"), "sample": "1%", "always": {"slower_than": "100ms"}}})
        self.caller(daemon).call()
        self.assertGreater(daemon.access_log(1)[0]["us"]["total"], 250000)

    def test_a_format(self):
        lines = self.logged({"format": "%{time} %{method} [%{caller}] %{reason} %{us.total}us"},
                            1, 1)
        self.assertEqual(len(lines), 2)
        self.assertRegex(lines[0], r"^20\S+Z Echo \[-\] ok \d+us$")
        self.assertRegex(lines[1], r"^20\S+Z Echo \[-\] reset \d+us$")


class Places(TestCase):
    def test_the_journal_has_a_clock(self):
        """It connects standard error to a socket, and says so. Source: systemd.exec(5)."""
        ours, theirs = socket.socketpair()
        self.addCleanup(ours.close)
        stat = os.fstat(theirs.fileno())
        os.environ["JOURNAL_STREAM"] = "%d:%d" % (stat.st_dev, stat.st_ino)
        self.addCleanup(os.environ.pop, "JOURNAL_STREAM", None)
        daemon = self.pinned(self.upstream(), stderr=theirs,
                             config={"access_log": {"to": "stderr"}})
        theirs.close()
        self.caller(daemon).call()
        got = b""
        ours.settimeout(20)
        while b'"method":"Echo"' not in got:
            got += ours.recv(65536)
        (line,) = [part for part in got.split(b"\n") if b'"method"' in part]
        self.assertEqual(set(json.loads(line)), FIELDS - {"time"})

    def test_a_pipe_that_nobody_reads(self):
        """Lines are lost, and counted; calls are not."""
        fifo = self.path("fifo")
        os.mkfifo(fifo)
        reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        daemon = self.pinned(self.upstream(), config={"access_log": {"to": fifo}})
        caller = self.caller(daemon)
        calls = 0
        while daemon.metric("bridle_log_dropped_total", log="access") == 0:
            for _ in range(500):
                self.assertEqual(caller.call().text, "hello")
            calls += 500
            self.assertLess(calls, 20000)
        got = b""
        def read():
            nonlocal got
            try:
                got += os.read(reader, 1 << 20)
            except BlockingIOError:
                pass
            return got.count(b"\n") + daemon.metric("bridle_log_dropped_total",
                                                     log="access") >= calls
        eventually(read, what="the rest of the lines")
        for line in got.split(b"\n")[:-1]:
            self.assertEqual(set(json.loads(line)), FIELDS)

    @unittest.skipUnless(os.path.exists("/dev/full"), "no /dev/full")
    def test_a_full_disk(self):
        daemon = self.pinned(self.upstream(), config={"access_log": {"to": "/dev/full"}})
        caller = self.caller(daemon)
        for _ in range(200):
            self.assertEqual(caller.call().text, "hello")

    def test_a_busy_log_is_written_in_wide_pieces(self):
        """By one system call for many lines, and no wake-up for each."""
        daemon = self.pinned(self.upstream())
        def threads():
            for task in os.listdir("/proc/%d/task" % daemon.process.pid):
                with open("/proc/%d/task/%s/comm" % (daemon.process.pid, task)) as file:
                    if "access" in file.read():
                        return "/proc/%d/task/%s/status" % (daemon.process.pid, task)
            raise AssertionError("no thread of the access log")
        def switches():
            with open(threads(), encoding="ascii") as file:
                return int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", file.read(), re.M)[1])
        callers = [self.caller(daemon) for _ in range(4)]
        before, began = switches(), time.monotonic()
        def call(caller):
            for _ in range(1000):
                caller.call()
        together = [threading.Thread(target=call, args=(caller,)) for caller in callers]
        for one in together:
            one.start()
        for one in together:
            one.join()
        eventually(lambda: len(open(daemon.access_path).read().split("\n")) > 4000)
        # Where calls take longer, more often than not none has come after a nap.
        naps = (time.monotonic() - began) / NAP
        self.assertLess(switches() - before, max(1000, 3 * naps))
