"""Traces: what is exported of calls, and how their context goes from one protocol to another."""

import re

import h2_upstream
import upstream
import wire
from bridled import eventually
from collector_stand_in import CLIENT, SERVER, Collector
from h2_case import H2TestCase
from peers import Grpc
from test_convert import answering

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
W3C = "00-%s-%s-01" % (TRACE, PARENT)
UNSAMPLED = W3C[:-1] + "0"
B3 = "%s-%s-1" % (TRACE, PARENT)
TRANSIENT = "RPC_TRANSIT_traceparent"


class Traced(Grpc):
    def setUp(self):
        super().setUp()
        self.collector = Collector(self)

    def traced(self, service, propagate=("w3c", "kitex"), sample="100%", listener=None, **policy):
        tracing = {"export": {"otlp": self.collector.url}, "sample": sample}
        if propagate:
            tracing["propagate"] = list(propagate)
        return self.pinned(service, listener, {"tracing": tracing}, **policy)

    def context_at(self, service, count=1):
        """The header's strs of the last call that came."""
        self.assertEqual(len(service.packets), count)
        return service.packets[-1].header.strs

    def counted(self, daemon, result):
        return daemon.metric("bridle_spans_total", result=result)


class Export(Traced):
    def test_a_call_and_its_attempt(self):
        service = self.upstream()
        daemon = self.traced(service)
        caller = self.caller(daemon, "ttheader_framed")
        answer = caller.call("Echo", "hi", strs={TRANSIENT: W3C, "isn": "pkg.Svc"},
                             ints={wire.FROM_SERVICE: "the.caller", wire.LOG_ID: "log-9"})
        self.assertEqual(answer.text, "hi")
        call, attempt = self.collector.wait(2)
        self.assertEqual((call.trace, call.parent), (TRACE, PARENT))
        self.assertEqual((attempt.trace, attempt.parent), (TRACE, call.id))
        self.assertEqual((call.name, attempt.name), ("pkg.Svc/Echo", "pkg.Svc/Echo"))
        self.assertEqual((call.kind, attempt.kind), (SERVER, CLIENT))
        self.assertFalse(call.is_error or attempt.is_error)
        expected = {"rpc.system": "kitex", "rpc.service": "pkg.Svc", "rpc.method": "Echo",
                    "request.protocol": "ttheader", "peer.service": "the.caller",
                    "bridle.callee": "svc", "bridle.caller": "the.caller",
                    "bridle.listener": "in", "bridle.endpoint": service.address,
                    "bridle.reason": "ok", "bridle.status": 0, "bridle.attempts": 1,
                    "bridle.log_id": "log-9"}
        self.assertEqual({k: call.values.get(k) for k in expected}, expected)
        self.assertGreater(call.values["kitex.recv_size"], 0)
        self.assertGreater(call.values["kitex.send_size"], 0)
        self.assertEqual((attempt.values["bridle.outcome"], attempt.values["bridle.endpoint"]),
                         ("ok", service.address))
        self.assertLessEqual(call.start, attempt.start)
        self.assertLessEqual(attempt.end, call.end)
        self.assertEqual((call.resource["service.name"], "service.instance.id" in call.resource),
                         ("test.node", True))
        # What the endpoint was told is the attempt.
        self.assertEqual(self.context_at(service)[TRANSIENT],
                         "00-%s-%s-01" % (TRACE, attempt.id))
        self.assert_metric(daemon, 2, "bridle_spans_total", result="exported")

    def test_a_trace_that_begins_here(self):
        service = self.upstream()
        daemon = self.traced(service)
        self.caller(daemon, "ttheader_framed").call()
        call, attempt = self.collector.wait(2)
        self.assertIsNone(call.parent)
        self.assertEqual(self.context_at(service)[TRANSIENT],
                         "00-%s-%s-01" % (call.trace, attempt.id))
        (line,) = daemon.access_log(1)
        self.assertEqual(line["trace_id"], call.trace)
