"""`correlate: connection`: calls that a legacy application makes while it answers one."""

import json
import os
import re
import subprocess
import sys
import threading
import time

import h2_upstream
import sockets
import upstream
import wire
from bridled import TOP, TestCase, allow, eventually
from test_tap import Tap

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00-%s-00f067aa0ba902b7-01" % TRACE
APPLICATION = os.path.join(TOP, "tests", "e2e", "calling_application.py")
CARRIED = {"RPC_PERSIST_env": "gray", "RPC_PERSIST_Mixed_Case": "kept", "RPC_TRANSIT_hop": "one",
           "RPC_TRANSIT_traceparent": PARENT, "other": "header"}
INTS = {wire.LOG_ID: "log-of-the-first", wire.FROM_SERVICE: "first.caller"}


class CorrelateCase(TestCase):
    """Callers -> `in` -> the application -> `out`, on a unix socket -> a service that reports."""

    def application(self, *words, name="app.sock"):
        process = subprocess.Popen(
            [sys.executable, APPLICATION, self.path(name), self.directory, *words],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, start_new_session=True)
        self.addCleanup(self.end_application, process)
        self.assertEqual(process.stdout.readline(), "ready\n")
        return process

    @staticmethod
    def end_application(process):
        try:
            os.killpg(process.pid, 9)  # with those that it has forked
        except ProcessLookupError:
            pass
        process.wait()
        process.stdout.close()

    def daemon(self, more=None, app=None, services=None):
        self.mesh = self.upstream(upstream.report)
        self.grpc = h2_upstream.Upstream(h2_upstream.echo)
        self.addCleanup(self.grpc.close)
        out = {"service": "mesh", "caller": "node"}
        return self.bridled({
            "node": {"service": "legacy.app"},
            "listeners": [
                {"name": "in", "address": "127.0.0.1:0", "service": "app"},
                {"name": "out", "address": "unix:" + self.path("out.sock"), **out},
                {"name": "grpc", "address": "unix:" + self.path("grpc.sock"), "service": "grpc"}],
            "services": {
                "app": {"endpoints": ["unix:" + self.path("app.sock")], "protocol": "framed",
                        "correlate": "connection", **(app or {})},
                "mesh": {"endpoints": [self.mesh.address], "protocol": "ttheader"},
                "grpc": {"endpoints": [self.grpc.address], "protocol": "grpc"},
                **(services or {})},
            **(more or {})})

    def caller(self, daemon, form="ttheader_framed", listener="in", **kwargs):
        return super().caller(daemon, form, listener, **kwargs)

    def ask(self, caller, ints=None, strs=None, method="Greet", **orders):
        """What arrived of the outgoing call."""
        answer = caller.call(method, json.dumps({"to": "out.sock", **orders}), ints=ints or INTS,
                             strs=CARRIED if strs is None else strs)
        self.assertIsNone(answer.exception, answer)
        return json.loads(answer.text)

    def assert_untied(self, seen):
        self.assertFalse([k for k in seen["strs"] if k.startswith("RPC_")], seen)
        self.assertNotIn(str(wire.FROM_METHOD), seen["ints"])
        self.assertNotEqual(seen["ints"].get(str(wire.LOG_ID)), INTS[wire.LOG_ID])

    def assert_counted(self, daemon, result, count, service="app"):
        self.assert_metric(daemon, count, "bridle_correlated_total", service=service, result=result)


class One(CorrelateCase):
    def test_a_legacy_call_carries_what_the_call_in_flight_does(self):
        self.application()
        daemon = self.daemon()
        seen = self.ask(self.caller(daemon), {**INTS, wire.RPC_TIMEOUT: "20000"})
        strs, ints = seen["strs"], seen["ints"]
        self.assertEqual(strs.get("RPC_PERSIST_env"), "gray", seen)
        self.assertEqual(strs.get("RPC_PERSIST_Mixed_Case"), "kept")
        self.assertEqual(strs.get("RPC_TRANSIT_traceparent"), PARENT)
        self.assertNotIn("RPC_TRANSIT_hop", strs)  # it was for the application alone
        self.assertNotIn("other", strs)
        self.assertEqual(ints[str(wire.LOG_ID)], "log-of-the-first")
        self.assertEqual(ints[str(wire.FROM_METHOD)], "Greet")
        self.assertEqual(ints[str(wire.FROM_SERVICE)], "legacy.app")
        self.assertLess(int(ints[str(wire.RPC_TIMEOUT)]), 20000)
        self.assertGreater(int(ints[str(wire.RPC_TIMEOUT)]), 20000 - 1000 * allow(10))
        self.assert_counted(daemon, "tied", 1)


if __name__ == "__main__":
    import unittest
    unittest.main()
