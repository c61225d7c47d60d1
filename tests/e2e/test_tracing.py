"""Traces: what is exported of calls, and how their context goes from one protocol to another."""

import json
import tempfile

import h2_upstream
import upstream
import wire
from bridled import eventually
from collector_stand_in import CLIENT, SERVER, Collector, certificate
from peers import GOECHO, VOLO_SERVER, Grpc, needs
from test_convert import answering
from test_governance import overloaded

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
W3C = "00-%s-%s-01" % (TRACE, PARENT)
UNSAMPLED = W3C[:-1] + "0"
MAY_RUN_TWICE = {"*": {"idempotent": True}}
B3 = "%s-%s-1" % (TRACE, PARENT)
TRANSIENT = "RPC_TRANSIT_traceparent"


class Many(Grpc):
    """Tests of several daemons, each of which has its own directory."""

    def setUp(self):
        super().setUp()
        self.top = self.directory


class Traced(Many):
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

    def test_who_was_called_says_which_side_it_is(self):
        """Calls to others than the application beside us are those of a client."""
        service = self.upstream()
        daemon = self.bridled({
            "node": {"service": "test.node"},
            "listeners": [{"name": "in", "address": "127.0.0.1:0"}],
            "services": {"far": {"name": "far.away", "endpoints": [service.address]}},
            "tracing": {"export": {"otlp": self.collector.url + "/some/where/"},
                        "sample": "100%"}})
        self.caller(daemon, "ttheader_framed").call(ints={wire.TO_SERVICE: "far.away"})
        call, attempt = self.collector.wait(2)
        self.assertEqual((call.kind, attempt.kind), (CLIENT, CLIENT))
        self.assertEqual((call.values["peer.service"], call.values["bridle.service"]),
                         ("far.away", "far"))
        (request,) = self.collector.asked("POST")
        self.assertEqual(request.target, "/some/where/v1/traces")

    def test_each_attempt_is_a_span_and_goes_out_with_its_own(self):
        bad, good = self.upstream(overloaded), self.upstream()
        daemon = self.traced([bad, good], balance="round_robin", methods=MAY_RUN_TWICE,
                             retry={"on": ["overload"], "budget": "none"})
        caller = self.caller(daemon, "ttheader_framed")
        for _ in range(4):
            self.assertEqual(caller.call().text, "hello")
        calls, attempts = self.collector.wait_for_calls(4)
        self.assertEqual({(s.values["bridle.outcome"], s.is_error) for s in attempts},
                         {("exception", True), ("ok", False)})
        self.assertEqual({s.values["bridle.endpoint"]: s.values.get("bridle.retry")
                          for s in attempts if s.values.get("bridle.retry")},
                         {good.address: 1})
        self.assertEqual({s.parent for s in attempts}, {s.id for s in calls})
        told = {p.header.strs[TRANSIENT] for p in bad.packets + good.packets}
        self.assertEqual(told, {"00-%s-%s-01" % (s.trace, s.id) for s in attempts})
        self.assertEqual(len({s.id for s in calls + attempts}), len(calls) + len(attempts))

    def test_a_backup_that_was_not_needed_is_no_error(self):
        slow = self.upstream(lambda c, p: c.later(1.0, p.answer(wire.result("slow")).pack()))
        quick = self.upstream()
        daemon = self.traced([slow, quick], balance="round_robin", methods=MAY_RUN_TWICE,
                             retry={"type": "backup", "delay": "50ms", "budget": "none"})
        caller = self.caller(daemon, "ttheader_framed")
        for _ in range(2):
            caller.call()
        calls, attempts = self.collector.wait_for_calls(2)
        self.assertEqual({s.values["bridle.outcome"] for s in attempts}, {"lost", "ok"})
        self.assertFalse(any(s.is_error for s in calls + attempts))

    def test_failures_say_why(self):
        daemon = self.traced("127.0.0.1:1")
        self.assert_refused(self.caller(daemon, "ttheader_framed").call(), "connect_failed")
        call, *attempts = self.collector.wait(4)
        self.assertTrue(all(s.is_error for s in [call, *attempts]), attempts)
        self.assertEqual(call.values["bridle.reason"], "connect_failed")
        self.assertRegex(call.message, "^connect_failed: ")
        self.assertEqual({(s.values["bridle.outcome"], s.message) for s in attempts},
                         {("connect_failed", "connect_failed: Connection refused")})

    def test_a_call_that_was_refused_has_a_span_without_attempts(self):
        service = self.upstream()
        daemon = self.traced(service, acl=[{"deny": {"caller": {"prefix": "bad."}}}])
        caller = self.caller(daemon, "ttheader_framed")
        self.assert_refused(caller.call(ints={wire.FROM_SERVICE: "bad.one"}), "acl_denied")
        (call,) = self.collector.wait(1)
        self.assertEqual((call.values["bridle.reason"], call.values["bridle.attempts"]),
                         ("acl_denied", 0))
        self.assertTrue(call.is_error)

    def test_errors_of_business_are_none(self):
        service = self.upstream(lambda c, p: c.write(p.answer(b"\0", strs={
            "biz-status": "1204", "biz-message": "no"})))
        daemon = self.traced(service)
        self.caller(daemon, "ttheader_framed").call()
        call = self.collector.wait(2)[0]
        self.assertFalse(call.is_error)
        self.assertEqual((call.values["bridle.reason"], call.values["bridle.biz_status"]),
                         ("biz_error", "1204"))

    def test_a_stream_is_one_span(self):
        server = self.raw_server(h2_upstream.echo)
        daemon = self.traced(server, protocol="grpc")
        client = self.raw(daemon)
        client.call(path="/pkg.Echo/Echo", more=[("traceparent", W3C)])
        call, attempt = self.collector.wait(2)
        self.assertEqual((call.name, call.values["rpc.system"]), ("pkg.Echo/Echo", "grpc"))
        self.assertEqual((call.values["bridle.messages_in"], call.values["bridle.messages_out"]),
                         (1, 1))
        self.assertEqual((call.parent, attempt.parent), (PARENT, call.id))
        (_, stream), = server.await_calls(1)
        told = "00-%s-%s-01" % (TRACE, attempt.id)
        self.assertEqual((stream.get("traceparent"), stream.get("rpc-transit-traceparent")),
                         (told, told))

    def test_oneways(self):
        service = self.upstream()
        daemon = self.traced(service)
        self.caller(daemon, "ttheader_framed").send(kind=wire.ONEWAY)
        call, attempt = self.collector.wait(2)
        self.assertEqual((call.values["bridle.reason"], attempt.values["bridle.outcome"]),
                         ("ok", "ok"))

    def test_strange_names_are_json_all_the_same(self):
        service = self.upstream()
        daemon = self.traced(service)
        name = 'a"\\\n\x01\xff' + "x" * 240
        self.caller(daemon, "ttheader_framed").call(name)
        call = self.collector.wait(2)[0]
        self.assertTrue(call.values["rpc.method"].startswith('a"\\\n\x01\xff'))
        self.assertEqual(len(call.values["rpc.method"]), 200)


class Sampling(Traced):
    """Who has decided already is obeyed; the share is of the traces that begin here."""

    def told(self, strs, propagate=("w3c", "kitex", "b3"), sample="0%"):
        """What the endpoint sees of them, what is exported, the trace in the log."""
        self.directory = tempfile.mkdtemp(dir=self.top)
        service = self.upstream()
        daemon = self.traced(service, propagate, sample)
        self.caller(daemon, "ttheader_framed").call(strs=strs)
        seen = {k: v for k, v in self.context_at(service).items() if k != "isn"}
        (line,) = daemon.access_log(1)
        daemon.stop()  # which sends what it has
        spans, self.collector.spans = self.collector.spans, []
        return seen, spans, line["trace_id"]

    def test_a_caller_that_left_it_out(self):
        for strs in ({TRANSIENT: UNSAMPLED}, {"RPC_TRANSIT_b3": B3[:-1] + "0"},
                     {"RPC_TRANSIT_x-b3-traceid": TRACE, "RPC_TRANSIT_x-b3-spanid": PARENT,
                      "RPC_TRANSIT_x-b3-sampled": "0"}):
            with self.subTest(strs=strs):
                self.assertEqual(self.told(strs, sample="100%"), (strs, [], TRACE))

    def test_a_caller_that_wants_it(self):
        for strs in ({TRANSIENT: W3C}, {"RPC_TRANSIT_b3": B3}, {"RPC_TRANSIT_b3": B3[:-1] + "d"},
                     {"RPC_TRANSIT_x-b3-traceid": TRACE, "RPC_TRANSIT_x-b3-spanid": PARENT,
                      "RPC_TRANSIT_x-b3-sampled": "1"}):
            with self.subTest(strs=strs):
                seen, spans, logged = self.told(strs)
                self.assertEqual(len(spans), 2)
                self.assertEqual({s.trace for s in spans} | {logged}, {TRACE})
                self.assertIn(PARENT, {s.parent for s in spans})
                (attempt,) = [s for s in spans if s.is_attempt]
                self.assertEqual(seen[TRANSIENT], "00-%s-%s-01" % (TRACE, attempt.id))
                self.assertEqual(seen["RPC_TRANSIT_b3"], "%s-%s-1" % (TRACE, attempt.id))
                self.assertEqual(seen.get("RPC_TRANSIT_x-b3-spanid", attempt.id), attempt.id)

    def test_a_decision_without_a_trace(self):
        seen, spans, _ = self.told({"RPC_TRANSIT_b3": "0"}, sample="100%")
        self.assertEqual(spans, [])
        self.assertRegex(seen["RPC_TRANSIT_b3"], "^[0-9a-f]{32}-[0-9a-f]{16}-0$")
        seen, spans, logged = self.told({"RPC_TRANSIT_b3": "1"})
        self.assertEqual((len(spans), {s.trace for s in spans}), (2, {logged}))

    def test_one_that_nobody_decided(self):
        strs = {"RPC_TRANSIT_b3": "%s-%s" % (TRACE, PARENT)}
        self.assertEqual(self.told(strs, sample="0%"), (strs, [], TRACE))
        self.assertEqual(len(self.told(strs, sample="100%")[1]), 2)

    def test_what_begins_here_and_is_left_out_goes_on_so(self):
        seen, spans, logged = self.told({}, ("w3c",))
        self.assertEqual(spans, [])
        self.assertRegex(seen[TRANSIENT], "^00-%s-[0-9a-f]{16}-00$" % logged)

    def test_contexts_pass_as_they_come_unless_something_else_is_asked_for(self):
        self.assertEqual(self.told({}, ()), ({}, [], ""))
        strs = {TRANSIENT: W3C, "RPC_TRANSIT_tracestate": "a=b", "RPC_TRANSIT_b3": B3}
        seen, spans, _ = self.told(strs, ())
        self.assertEqual((seen, len(spans)), (strs, 2))

    def test_broken_contexts_are_none(self):
        """Nobody's trace is joined by guessing; what is not ours to read stays."""
        for value in ("", "00", W3C[:-1], W3C.upper(), "ff" + W3C[2:], W3C + "-00", W3C + "0",
                      "00-%s-%s-01" % ("0" * 32, PARENT), "00-%s-%s-01" % (TRACE, "0" * 16),
                      W3C.replace("-", "_"), W3C[:-2] + "0g", "\xff" * 55, "x" * 3000):
            with self.subTest(value=value):
                seen, spans, logged = self.told({TRANSIENT: value}, ())
                self.assertEqual((seen, spans, logged), ({TRANSIENT: value}, [], ""))

    def test_a_later_version_is_understood(self):
        _, spans, _ = self.told({TRANSIENT: "cc" + W3C[2:] + "-what-else"}, ())
        self.assertEqual({s.trace for s in spans}, {TRACE})

    def test_a_share(self):
        service = self.upstream()
        daemon = self.traced(service, (), "20%")
        caller = self.caller(daemon, "framed")
        for _ in range(1000):
            caller.call()
        daemon.stop()
        traces = {s.trace for s in self.collector.spans}
        self.assertGreater(len(traces), 120)
        self.assertLess(len(traces), 290)
        self.assertEqual(len(self.collector.spans), 2 * len(traces))


class Spellings(Traced):
    """Without export: one spelling becomes others, of the same ids."""

    def told(self, propagate, strs):
        self.directory = tempfile.mkdtemp(dir=self.top)
        service = self.upstream()
        daemon = self.pinned(service, config={"tracing": {"propagate": propagate}})
        self.caller(daemon, "ttheader_framed").call(strs=strs)
        daemon.stop()
        return self.context_at(service)

    def test_one_becomes_the_other(self):
        self.assertEqual(self.told(["b3"], {TRANSIENT: W3C}),
                         {TRANSIENT: W3C, "RPC_TRANSIT_b3": B3})
        self.assertEqual(self.told(["w3c"], {"RPC_TRANSIT_b3": B3}),
                         {TRANSIENT: W3C, "RPC_TRANSIT_b3": B3})
        self.assertEqual(self.told(["kitex"], {"RPC_TRANSIT_b3": TRACE[16:] + "-" + PARENT}),
                         {TRANSIENT: "00-%s%s-%s-00" % ("0" * 16, TRACE[16:], PARENT),
                          "RPC_TRANSIT_b3": TRACE[16:] + "-" + PARENT})

    def test_what_is_there_stays_as_it_is(self):
        strs = {"RPC_TRANSIT_TRACEPARENT": W3C + "", "RPC_TRANSIT_b3": B3[:-1] + "0"}
        self.assertEqual(self.told(["w3c", "b3", "kitex"], strs), strs)
        self.assertEqual(self.told(["w3c"], {"RPC_TRANSIT_x": "y"}), {"RPC_TRANSIT_x": "y"})

    def test_rules_of_routes_have_the_last_word(self):
        service = self.upstream()
        daemon = self.traced(service, routes=[
            {"set": {"header." + TRANSIENT: "mine"}}])
        self.caller(daemon, "ttheader_framed").call()
        self.assertEqual(self.context_at(service)[TRANSIENT], "mine")


TTHEADER_CONTEXT = {TRANSIENT: W3C, "RPC_TRANSIT_tracestate": "vendor=1,other=2",
                    "RPC_TRANSIT_b3": B3, "RPC_TRANSIT_x-b3-traceid": TRACE,
                    "RPC_TRANSIT_x-b3-spanid": PARENT, "RPC_TRANSIT_x-b3-parentspanid": "1" * 16,
                    "RPC_TRANSIT_x-b3-sampled": "1", "RPC_TRANSIT_x-b3-flags": "1",
                    "RPC_TRANSIT_JAEGERSPANCONTEXT": "Cvd2UZFs1UPdhEjrIRyAMQ=="}
PLAIN = ("traceparent", "tracestate", "b3", "x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid",
         "x-b3-sampled", "x-b3-flags")


class Carried(Many):
    """Between TTHeader and HTTP/2, whatever the configuration says of traces."""

    def test_from_ttheader_to_grpc(self):
        server = self.raw_server(answering(wire.result("back")))
        daemon = self.pinned(server, protocol="grpc", aliases=["pkg.Svc"])
        self.caller(daemon, "ttheader_framed").call(strs=TTHEADER_CONTEXT)
        (_, stream), = server.await_calls(1)
        names = [name for name, _ in stream.fields]
        for name in PLAIN:
            value = TTHEADER_CONTEXT["RPC_TRANSIT_" + name]
            self.assertEqual((stream.get(name), stream.get("rpc-transit-" + name)),
                             (value, value))
            self.assertEqual((names.count(name), names.count("rpc-transit-" + name)), (1, 1))
        self.assertEqual(stream.get("rpc-transit-jaegerspancontext"),
                         TTHEADER_CONTEXT["RPC_TRANSIT_JAEGERSPANCONTEXT"])
        self.assertEqual(daemon.access_log(1)[0]["trace_id"], TRACE)

    def test_a_plain_key_stays_the_plain_field(self):
        server = self.raw_server(answering(wire.result("back")))
        daemon = self.pinned(server, protocol="grpc", aliases=["pkg.Svc"])
        self.caller(daemon, "ttheader_framed").call(
            strs={"traceparent": UNSAMPLED, TRANSIENT: W3C})
        (_, stream), = server.await_calls(1)
        self.assertEqual([v for n, v in stream.fields if n == "traceparent"], [UNSAMPLED])
        self.assertEqual(stream.get("rpc-transit-traceparent"), W3C)

    def from_grpc(self, fields):
        """What a TTHeader application sees of a call with these fields, and the log's trace id."""
        service = self.upstream()
        self.directory = tempfile.mkdtemp(dir=self.top)  # a log of its own: some ask twice
        daemon = self.pinned(service, protocol="ttheader_framed")
        self.raw(daemon).call(wire.arguments("hi"), path="/pkg.Svc/Echo", more=fields,
                              kind="application/grpc+thrift")
        (line,) = daemon.access_log(1)
        daemon.stop()
        strs = service.packets[0].header.strs
        return {k: v for k, v in strs.items() if k != "isn"}, line["trace_id"]

    def test_from_grpc_to_ttheader(self):
        seen, trace = self.from_grpc(
            [(n, TTHEADER_CONTEXT["RPC_TRANSIT_" + n]) for n in PLAIN] +
            [("rpc-transit-jaegerspancontext",
              TTHEADER_CONTEXT["RPC_TRANSIT_JAEGERSPANCONTEXT"])])
        self.assertEqual((seen, trace), (TTHEADER_CONTEXT, TRACE))

    def test_what_a_peer_of_kitex_says_comes_before_the_plain_field(self):
        other = W3C.replace(TRACE, "f" * 32)
        for fields in ([("traceparent", other), ("rpc-transit-traceparent", W3C)],
                       [("rpc-transit-traceparent", W3C), ("traceparent", other)]):
            self.assertEqual(self.from_grpc(fields)[0], {TRANSIENT: W3C})

    def test_of_a_repeated_field_the_first_counts(self):
        other = W3C.replace(TRACE, "f" * 32)
        self.assertEqual(self.from_grpc([("traceparent", W3C), ("traceparent", other)]),
                         ({TRANSIENT: W3C}, TRACE))

    def test_there_and_back(self):
        """TTHeader, gRPC between two daemons, TTHeader."""
        service = self.upstream()
        second = self.pinned(service, protocol="ttheader_framed")
        self.directory = tempfile.mkdtemp(dir=self.top)
        first = self.pinned(second.address(), protocol="grpc", aliases=["pkg.Svc"])
        for _ in range(2):
            self.caller(first, "ttheader_framed").call(strs={**TTHEADER_CONTEXT, "isn": "Svc"})
            self.assertEqual(service.packets[-1].header.strs, {**TTHEADER_CONTEXT, "isn": "Svc"})

    def test_the_log_knows_every_spelling(self):
        service = self.upstream()
        daemon = self.pinned(service)
        short = TRACE[16:]
        caller = self.caller(daemon, "ttheader_framed")
        told = [({TRANSIENT: W3C}, TRACE), ({"RPC_TRANSIT_b3": B3}, TRACE),
                ({"RPC_TRANSIT_x-b3-traceid": short}, short), ({"RPC_TRANSIT_b3": "1"}, ""),
                ({"RPC_TRANSIT_TRACEPARENT": W3C}, TRACE), ({TRANSIENT: W3C.upper()}, "")]
        for strs, _ in told:
            caller.call(strs=strs)
        lines = daemon.access_log(len(told))
        self.assertEqual([line["trace_id"] for line in lines], [trace for _, trace in told])


class Secure(Traced):
    """A collector of https."""

    def in_front(self, names, **export):
        self.collector = Collector(self, certificate(self.directory, names))
        export = {"otlp": self.collector.url, **export}
        daemon = self.pinned(self.upstream(), config={
            "tracing": {"export": export, "sample": "100%"}})
        self.caller(daemon).call()
        return daemon

    def test_its_certificate_is_verified(self):
        ca = self.path("cert.pem")
        self.in_front("IP:127.0.0.1", tls={"ca": ca})
        self.assertEqual(len(self.collector.wait(2)), 2)

    def test_one_that_nobody_vouches_for_gets_nothing(self):
        daemon = self.in_front("IP:127.0.0.1")
        eventually(lambda: "does not take spans" in daemon.errors(), what="the warning")
        self.assertEqual(self.collector.spans, [])

    def test_one_of_another_name_gets_nothing(self):
        daemon = self.in_front("DNS:other.test", tls={"ca": self.path("cert.pem")})
        eventually(lambda: "does not take spans" in daemon.errors(), what="the warning")
        self.assertEqual(self.collector.spans, [])

    def test_the_name_that_is_configured(self):
        self.in_front("DNS:other.test", tls={"ca": self.path("cert.pem"), "sni": "other.test"})
        self.assertEqual(len(self.collector.wait(2)), 2)


@needs(GOECHO, VOLO_SERVER)
class RealPeers(Traced):
    """grpc-go on one side and Volo on the other: what it takes for transient metadata."""

    def ask(self, daemon, metadata):
        question = b"\x0c\0\x01" + wire.string_field(1, "hello") + b"\0\0"
        out = self.call(daemon, "/echo.Echo/echo", [question], subtype="thrift",
                        metadata=metadata)
        self.assertEqual((out.code, out.text), (0, ""))
        result, _ = wire.decode(out.messages[0], 0, wire.STRUCT)
        return {k.decode(): v.decode() for k, v in result[0].get(2, {}).items()}

    def test_a_context_passes(self):
        daemon = self.pinned(self.serve(VOLO_SERVER, "thrift", "{}"), protocol="ttheader_framed")
        for name in ("traceparent", "rpc-transit-traceparent"):
            seen = self.ask(daemon, [[name, W3C], ["tracestate", "a=b"], ["b3", B3]])
            self.assertEqual({k: seen.get(k) for k in ("u:traceparent", "u:tracestate", "u:b3")},
                             {"u:traceparent": W3C, "u:tracestate": "a=b", "u:b3": B3}, seen)

    def test_ours_is_the_parent(self):
        daemon = self.traced(self.serve(VOLO_SERVER, "thrift", "{}"), protocol="ttheader_framed")
        seen = self.ask(daemon, [["traceparent", W3C]])
        call, attempt = self.collector.wait(2)
        self.assertEqual((call.trace, call.parent, call.values["rpc.system"]),
                         (TRACE, PARENT, "grpc"))
        self.assertEqual(seen["u:traceparent"], "00-%s-%s-01" % (TRACE, attempt.id))


class Away(Traced):
    """Collectors that are slow, away or refuse: calls hear nothing of it."""

    def many(self, daemon, count):
        caller = self.caller(daemon, "framed")
        for _ in range(count):
            self.assertEqual(caller.call().text, "hello")

    def test_one_that_comes_back(self):
        self.collector.stop()
        daemon = self.traced(self.upstream())
        self.many(daemon, 10)
        eventually(lambda: "does not take spans" in daemon.errors(), what="the warning")
        self.many(daemon, 10)
        self.collector.start()
        self.assertEqual(len(self.collector.wait(40)), 40)
        self.assert_metric(daemon, 40, "bridle_spans_total", result="exported")
        self.assert_logged(daemon, "does not take spans", 1)
        eventually(lambda: "takes spans again" in daemon.errors())

    def test_what_may_be_asked_again_is(self):
        for status in (429, 502, 503, 504):
            self.collector.spans, self.collector.status = [], status
            self.collector.forget_requests()
            daemon = self.traced(self.upstream())
            with self.subTest(status=status):
                self.many(daemon, 1)
                eventually(lambda: self.collector.asked("POST"))
                self.collector.status = 200
                self.assertEqual(len(self.collector.wait(2)), 2)
                self.assertEqual(self.counted(daemon, "failed"), 0)
            daemon.stop()

    def test_what_is_refused_is_counted(self):
        self.collector.status, self.collector.text = 400, "no such\ncustomer"
        daemon = self.traced(self.upstream())
        self.many(daemon, 3)
        self.assert_metric(daemon, 6, "bridle_spans_total", result="failed")
        self.assert_logged(daemon, "status=400")
        self.assertNotIn("no such\n", daemon.errors())

    def test_what_waits_is_bounded(self):
        self.collector.is_stalled = True
        daemon = self.traced(self.upstream())
        self.many(daemon, 2500)
        eventually(lambda: self.counted(daemon, "dropped") > 0, what="drops")
        self.assertEqual(self.counted(daemon, "exported"), 0)
        dropped = self.counted(daemon, "dropped")
        self.assertGreaterEqual(dropped, 5000 - 4096 - 64)
        self.collector.is_stalled = False
        eventually(lambda: self.counted(daemon, "exported") + self.counted(daemon, "dropped")
                   == 5000, what="the rest")

    def test_on_the_way_out_what_is_left_is_sent(self):
        daemon = self.traced(self.upstream())
        self.many(daemon, 700)
        daemon.stop()
        self.assertEqual(len(self.collector.spans), 1400)

    def test_the_way_out_does_not_wait_for_long(self):
        self.collector.is_stalled = True
        daemon = self.traced(self.upstream())
        self.many(daemon, 3)
        daemon.stop()
        self.assertEqual(self.collector.spans, [])

    def test_another_collector_by_a_reload(self):
        daemon = self.traced(self.upstream())
        self.many(daemon, 1)
        self.collector.wait(2)
        other = Collector(self)
        with open(daemon.config_path, encoding="utf-8") as file:
            config = json.load(file)
        config["tracing"]["export"]["otlp"] = other.url
        daemon.reload(config)
        self.many(daemon, 1)
        self.assertEqual((len(other.wait(2)), len(self.collector.spans)), (2, 2))
        del config["tracing"]
        daemon.reload(config)
        self.many(daemon, 5)
        self.assertEqual(len(other.wait(2)), 2)
