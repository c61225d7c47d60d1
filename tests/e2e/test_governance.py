"""Rules of routes, access lists, faults and retries between real clients and real servers.

What a rule matches on, changes or injects is judged by what the application at the other end saw,
and by what the caller's own library makes of the answer, in every protocol.
"""

import json
import os
import socket
import subprocess
import time

import h2
import h2_upstream
import peers
import tts
import upstream
import wire
from peers import (CLIENT_SECONDS, ENVIRONMENT, GOECHO, GOGRPC, INTERNAL, PY, PYTHON, UNARY,
                   VOLO_CLIENT, VOLO_GRPC_CLIENT, VOLO_GRPC_SERVER, VOLO_SERVER, msg, needs)

WITH_HEADER, WITHOUT = ("ttheader", "ttheader-bare", "mux"), ("framed", "buffered")
DENIED = 7  # gRPC
CALLS = 20


class Rules(peers.Peers):
    def ruled(self, services, **top):
        """A daemon whose listener `in` is pinned to svc."""
        listener = {"name": "in", "address": "127.0.0.1:0", "service": "svc"}
        return self.bridled({"node": {"service": "test.node"}, "listeners": [listener],
                             "services": services, **top})

    def volo(self, daemon, mode):
        return self.run_client(VOLO_CLIENT, mode, daemon.address(), str(CALLS))

    def failing(self, *command):
        """What a client printed that ended with 1 because a call went wrong."""
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=CLIENT_SECONDS, check=False, env=ENVIRONMENT)
        self.assertNotEqual(done.returncode, 0, done.stdout)
        return done.stdout

    def calls_of(self, daemon, service):
        return daemon.metric("bridle_calls_total", service=service)

    def echo_meta(self, daemon, form="ttheader_framed", **meta):
        """What goecho says that a call of echo came with."""
        caller = self.caller(daemon, form)
        body = wire.string_field(1, "hello")
        body = bytes((wire.STRUCT,)) + b"\0\1" + body + b"\0\0"
        answer = caller.call("echo", body=body, **meta)
        self.assertIsNone(answer.exception, answer)
        caller.close()
        seen = answer.fields[0].get(2, {})
        return {key.decode(): value.decode() for key, value in seen.items()}

    def grpc(self, daemon, path=UNARY, messages=(msg("hello", 1),), **order):
        (out,) = peers.Calling(daemon.address(), path, messages, **order).outcomes()
        return out

    def seen(self, out):
        """What the metadata were with which a call reached gogrpc, which was asked to tell."""
        self.assertEqual((out.code, out.text), (0, ""))
        found = json.loads(out.trailer["x-seen-bin"][0])
        return {key: values[0] if isinstance(values, list) else values
                for key, values in found.items()}

    def check_marks(self, daemon, marks):
        """Whose first attempt was lost has the mark, and nobody else."""
        tried = [line["attempts"] for line in daemon.access_log(len(marks))]
        self.assertEqual(marks, [{1: None, 2: "1"}[attempts] for attempts in tried])
        self.assertIn("1", marks)


# ---- routes ----

LANE = {"match": {"meta.tenant": "blue"}, "to": {"service": "blue"},
        "set": {"meta.LANE": "7", "header.RPC_TRANSIT_SHIFT": "late"}, "remove": ["meta.hop"]}


@needs(VOLO_SERVER, VOLO_CLIENT)
class Volo(Rules):
    def both(self, **svc):
        return self.ruled({"svc": {"endpoints": [self.serve(VOLO_SERVER, "thrift-mux", "{}")],
                                   "multiplex": True, "protocol": "ttheader", **svc},
                           "blue": {"endpoints": [self.serve(VOLO_SERVER, "thrift", "{}")]}})

    def test_metadata_lead_to_a_service_and_are_changed_on_the_way(self):
        for mode in WITH_HEADER + WITHOUT:
            daemon = self.both(routes=[LANE])
            with self.subTest(mode=mode):
                said = self.volo(daemon, mode)
                has_header = mode in WITH_HEADER
                expected = ["p:LANE=7", "p:TENANT=blue", "u:SHIFT=late"] if has_header else []
                self.assertEqual(self.values(said, "meta"), expected)
                if has_header:  # but those without metadata, fifty at once
                    self.assert_metric(daemon, 50, "bridle_calls_total", service="svc")
                    self.assertGreater(self.calls_of(daemon, "blue"), CALLS)
                else:
                    self.assertEqual(self.calls_of(daemon, "blue"), 0)
            daemon.stop()

    def test_a_field_of_the_argument_leads_to_a_service_in_every_form(self):
        for mode in WITH_HEADER + WITHOUT:
            daemon = self.both(routes=[{"match": {"method": "echo",
                                                  "field.1.1": {"prefix": "serial"}},
                                        "to": {"service": "blue"}}])
            with self.subTest(mode=mode):
                self.volo(daemon, mode)
                self.assert_metric(daemon, CALLS, "bridle_calls_total", service="blue")
                self.assertGreater(self.calls_of(daemon, "svc"), 50)
            daemon.stop()

    def test_a_long_call_is_led_by_the_part_that_is_here(self):
        daemon = self.both(routes=[{"match": {"field.1.1": "long"}, "to": {"service": "blue"}}])
        said = self.volo(daemon, "ttheader")
        self.assertEqual(self.values(said, "long"), [str(1 << 20)])
        self.assert_metric(daemon, 1, "bridle_calls_total", service="blue")


@needs(GOECHO)
class Gopkg(Rules):
    def test_the_server_sees_what_rules_set_and_not_what_they_take_away(self):
        daemon = self.ruled({"svc": {"endpoints": [self.serve(GOECHO, "server", "{}")], "routes": [
            {"match": {"int.stress_tag": "gold"},
             "set": {"int.14": "ring", "meta.Env": "gray", "header.X-Tag": "a b"},
             "remove": ["int.21", "header.secret", "meta.HOP"]},
            {}]}})
        strs = {"RPC_TRANSIT_env": "red", "secret": "1", "isn": "Echo", "RPC_PERSIST_Hop": "2",
                "RPC_TRANSIT_hop": "3", "other": "stays"}
        for form in ("ttheader_framed", "ttheader_bare"):
            with self.subTest(form=form):
                seen = self.echo_meta(daemon, form, ints={21: "gold", 24: "raw"}, strs=strs)
                self.assertEqual(seen, {"int.14": "ring", "int.24": "raw", "isn": "Echo",
                                        "RPC_PERSIST_Env": "gray", "X-Tag": "a b",
                                        "other": "stays"})
                seen = self.echo_meta(daemon, form, ints={21: "tin"}, strs=strs)
                self.assertEqual(seen, {"int.21": "tin", **strs})

    def test_a_caller_without_a_header_has_what_rules_set(self):
        """The server is spoken to with a TTHeader, which is made here."""
        daemon = self.ruled({"svc": {"endpoints": [self.serve(GOECHO, "server", "{}")],
                                     "protocol": "ttheader_framed",
                                     "routes": [{"match": {"method": "echo"},
                                                 "set": {"meta.Env": "gray", "int.14": "r"}}]}})
        for form in ("framed", "buffered"):
            with self.subTest(form=form):
                seen = self.echo_meta(daemon, form)
                self.assertEqual((seen["RPC_PERSIST_Env"], seen["int.14"]), ("gray", "r"))

    def test_what_has_no_place_is_counted(self):
        daemon = self.ruled({"svc": {"endpoints": [self.serve(GOECHO, "server", "{}")],
                                     "protocol": "framed",
                                     "routes": [{"set": {"meta.Env": "gray", "int.14": "r"}}]}})
        self.assertEqual(self.echo_meta(daemon, "framed"), {})
        self.assert_metric(daemon, 1, "bridle_metadata_dropped_total", **{"class": "persistent"})
        self.assert_metric(daemon, 1, "bridle_metadata_dropped_total", **{"class": "int"})

    def test_streams_are_led_and_changed_by_their_metadata(self):
        server = self.server(GOECHO, "stream-server", "{}")
        daemon = self.ruled({"svc": {"endpoints": [self.upstream().address],
                                     "routes": [dict(LANE, to={"service": "blue"})]},
                             "blue": {"endpoints": [server.address],
                                      "protocol": "ttheader_streaming"}})
        said = self.run_client(GOECHO, "stream-client", daemon.address(), str(CALLS))
        header = dict(line.split("=") for line in self.values(said, "header"))
        self.assertEqual(header["came.PERSIST_LANE"], "7")
        self.assertEqual(header["came.TRANSIT_SHIFT"], "late")
        self.assertEqual(header["came.PERSIST_TENANT"], "blue")
        self.assertNotIn("came.TRANSIT_HOP", header)
        self.assertEqual(self.values(said, "serial"), [str(CALLS)])
        self.assertEqual(self.calls_of(daemon, "svc"), 0)


@needs(GOGRPC)
class Grpc(Rules):
    def test_metadata_lead_to_a_service_and_are_changed_on_the_way(self):
        blue, svc = (self.server(GOGRPC, "server", "{}") for _ in range(2))
        daemon = self.ruled({
            "svc": {"endpoints": [svc.address], "protocol": "grpc", "routes": [
                dict(LANE, set={"meta.LANE_NO": "7", "header.X-Tag": "t", "meta.env": "gray"}),
                {}]},
            "blue": {"endpoints": [blue.address], "protocol": "grpc"}})
        metadata = [["x-report", "1"], ["rpc-persist-tenant", "blue"], ["rpc-transit-hop", "1"],
                    ["rpc-transit-env", "red"], ["other", "stays"]]
        seen = self.seen(self.grpc(daemon, metadata=metadata))
        self.assertEqual({k: v for k, v in seen.items() if k.startswith(("rpc-", "x-t", "oth"))},
                         {"rpc-persist-tenant": "blue", "rpc-persist-lane-no": "7",
                          "rpc-persist-env": "gray", "x-tag": "t", "other": "stays"})
        metadata[1][1] = "red"
        seen = self.seen(self.grpc(daemon, metadata=metadata))
        self.assertEqual(seen["rpc-transit-hop"], "1")
        self.assertNotIn("x-tag", seen)
        self.assertEqual(len(blue.said("began")), 1)
        self.assertEqual(len(svc.said("began")), 1)

    @needs(VOLO_GRPC_CLIENT, VOLO_GRPC_SERVER)
    def test_volo_on_both_sides(self):
        daemon = self.ruled({
            "svc": {"endpoints": [self.upstream().address], "protocol": "grpc",
                    "routes": [{"to": {"service": "blue"}, "set": {"meta.LANE": "7"}}]},
            "blue": {"endpoints": [self.serve(VOLO_GRPC_SERVER, "{}")], "protocol": "grpc"}})
        said = self.run_client(VOLO_GRPC_CLIENT, daemon.address(), str(CALLS))
        self.assertEqual(self.values(said, "serial"), [str(CALLS)])

    @needs(GOECHO)
    def test_a_grpc_call_is_changed_on_its_way_into_a_ttheader(self):
        daemon = self.ruled({
            "svc": {"endpoints": [self.serve(GOECHO, "server", "{}")],
                    "protocol": "ttheader_framed",
                    "routes": [{"match": {"meta.tenant": "blue"},
                                "set": {"meta.LANE": "7", "int.14": "r"},
                                "remove": ["meta.hop"]}]}})
        body = bytes((wire.STRUCT,)) + b"\0\1" + wire.string_field(1, "hello") + b"\0\0"
        out = self.grpc(daemon, "/echo.Echo/echo", [body], subtype="thrift",
                        metadata=[["rpc-persist-tenant", "blue"], ["rpc-transit-hop", "1"]])
        self.assertEqual((out.code, out.text), (0, ""))
        fields, _ = wire.decode(out.messages[0], 0, wire.STRUCT)
        seen = {k.decode(): v.decode() for k, v in fields[0][2].items()}
        self.assertEqual((seen["RPC_PERSIST_LANE"], seen["int.14"], seen["RPC_PERSIST_TENANT"]),
                         ("7", "r", "blue"))
        self.assertNotIn("RPC_TRANSIT_HOP", seen)


# ---- the mark of a retry ----

class Retries(Rules):
    RETRY = {"methods": {"*": {"idempotent": True}}, "eject": {"consecutive": 1000},
             "retry": {"on": ["connect", "unsent", "reset"], "attempts": 2, "budget": "100%"}}

    def one_by_one(self, *endpoints, **policy):
        """A daemon of one worker, whose log has the calls in the order in which they were made."""
        return self.ruled({"svc": {"endpoints": list(endpoints), "balance": "round_robin",
                                   **policy, **self.RETRY}}, workers=1)

    @needs(GOECHO)
    def test_a_retry_is_marked_in_a_ttheader(self):
        broken = self.upstream(upstream.reset_at_once)
        daemon = self.one_by_one(broken.address, self.serve(GOECHO, "server", "{}"))
        marks = [self.echo_meta(daemon, strs=strs).get("RPC_PERSIST_RetryReq")
                 for strs in ({}, {"RPC_PERSIST_A": "b"}, {}, {}, {}, {})]
        self.check_marks(daemon, marks)

    @needs(GOECHO)
    def test_a_call_that_is_marked_is_not_tried_again(self):
        daemon = self.ruled({"svc": {"endpoints": [self.upstream(upstream.reset_at_once).address],
                                     **self.RETRY}})
        for key in ("RPC_PERSIST_RetryReq", "RPC_PERSIST_RETRYREQ"):
            caller = self.caller(daemon, "ttheader_framed")
            self.assert_refused(caller.call("echo", strs={key: "1"}), "reset")
            caller.close()
        self.assertEqual([line["attempts"] for line in daemon.access_log(2)], [1, 1])

    @needs(GOGRPC)
    def test_a_retry_is_marked_in_http2(self):
        def refuse(end, frame):
            if frame is not None and frame.is_end:
                end.sock.shutdown(2)
        broken = h2_upstream.Upstream(refuse)
        self.addCleanup(broken.close)
        server = self.server(GOGRPC, "server", "{}")
        daemon = self.one_by_one(broken.address, server.address, protocol="grpc")
        marks = [self.seen(self.grpc(daemon, metadata=[["x-report", "1"]])).get(
            "rpc-persist-retryreq") for _ in range(6)]
        self.check_marks(daemon, marks)


def overloaded(connection, packet):
    """As a Kitex server with a limit answers. Source: kitex pkg/kerrors/kerrors.go."""
    text = "request over limit: request too frequent"
    connection.write(packet.answer(wire.exception_body(6, text, packet.magic), wire.EXCEPTION))


def exhausted(peer, frame):
    """RESOURCE_EXHAUSTED, once the caller has ended."""
    if frame is not None and frame.is_end:
        peer.headers(frame.stream, h2_upstream.REPLY_FIELDS[:1] + [
            ("content-type", "application/grpc"), ("grpc-status", "8"),
            ("grpc-message", "too much")], True)


class Overload(Rules):
    """An endpoint that says that it has too much to do is left for another, if that is asked."""

    RETRY = {**Retries.RETRY, "balance": "round_robin",
             "retry": {"on": ["overload"], "attempts": 1, "budget": "100%"}}

    @needs(GOECHO)
    def test_in_every_form_of_thrift(self):
        server = self.serve(GOECHO, "server", "{}")
        daemon = self.ruled({"svc": {"endpoints": [self.upstream(overloaded).address, server],
                                     **self.RETRY}})
        for number, form in enumerate(wire.FORMS, 1):
            with self.subTest(form=form):
                marks = [self.echo_meta(daemon, form).get("RPC_PERSIST_RetryReq")
                         for _ in range(4)]
                lines = daemon.access_log(4 * number)[-4:]
                self.assertIn(2, [line["attempts"] for line in lines])
                if form.startswith("ttheader"):
                    self.assertEqual(marks, [{1: None, 2: "1"}[line["attempts"]]
                                             for line in lines])

    @needs(GOGRPC)
    def test_in_grpc(self):
        broken = h2_upstream.Upstream(exhausted)
        self.addCleanup(broken.close)
        server = self.server(GOGRPC, "server", "{}")
        daemon = self.ruled({"svc": {"endpoints": [broken.address, server.address],
                                     "protocol": "grpc", **self.RETRY}})
        marks = [self.seen(self.grpc(daemon, metadata=[["x-report", "1"]])).get(
            "rpc-persist-retryreq") for _ in range(4)]
        self.check_marks(daemon, marks)

    def test_a_grpc_endpoint_of_a_thrift_caller(self):
        broken = h2_upstream.Upstream(exhausted)
        self.addCleanup(broken.close)
        daemon = self.ruled({"svc": {"endpoints": [broken.address], "protocol": "grpc",
                                     "aliases": ["pkg.Echo"], **self.RETRY}})
        answer = self.caller(daemon, "framed").call("echo")
        self.assertEqual(answer.exception, (6, "too much"))
        self.assertEqual(daemon.access_log(1)[0]["attempts"], 2)

    def test_other_exceptions_are_answers(self):
        daemon = self.ruled({"svc": {"endpoints": [self.upstream(upstream.fail).address],
                                     **self.RETRY}})
        self.assertEqual(self.caller(daemon).call("echo").exception[0], 6)
        self.assertEqual(daemon.access_log(1)[0]["attempts"], 1)


# ---- access lists and faults, as clients see them ----

class Access(Rules):
    def answer(self, daemon, listener="in", text="hello", **call):
        """Whether the call was let through."""
        caller = self.caller(daemon, "ttheader_framed", listener)
        answer = caller.call("echo", text, **call)
        caller.close()
        if answer.exception:
            self.assert_refused(answer, "acl_denied", 6)
        return answer.exception is None

    @needs(VOLO_SERVER, VOLO_CLIENT, GOECHO)
    def test_by_who_calls(self):
        daemon = self.ruled({"svc": {"endpoints": [self.serve(VOLO_SERVER, "thrift", "{}")],
                                     "acl": [{"deny": {"caller": {"prefix": "demo."}}}]}})
        self.assertIn("bridled: acl_denied: ",
                      self.failing(VOLO_CLIENT, "ttheader", daemon.address()))
        said = self.run_client(GOECHO, "client", "ttheader", daemon.address(), "5")
        self.assertEqual(self.values(said, "serial"), ["5"])

    def test_by_the_address_of_the_caller(self):
        daemon = self.ruled({"svc": {"endpoints": [self.upstream().address], "acl": [
            {"allow": {"source": ["127.0.0.0/29", "::1"]}}]}})
        host, port = daemon.address().rsplit(":", 1)
        for source, is_allowed in (("127.0.0.1", True), ("127.0.0.7", True), ("127.0.0.8", False)):
            with self.subTest(source=source):
                with socket.create_connection((host, int(port)), 10, (source, 0)) as sock:
                    body = wire.arguments("hello")
                    sock.sendall(wire.frame(wire.message("echo", wire.CALL, 1, body)))
                    answer = wire.Stream(sock).read()
                self.assertEqual(answer.exception is None, is_allowed, answer)

    def test_by_the_user_of_the_process(self):
        whole = {"services": {"svc": {"endpoints": [self.upstream().address]}},
                 "listeners": [{"name": "unix", "address": "unix:" + self.path("in.sock"),
                                "service": "svc"},
                               {"name": "in", "address": "127.0.0.1:0", "service": "svc"}]}
        for key, value in (("uid", os.getuid()), ("gid", os.getgid())):
            for number, is_allowed in ((value, True), (value + 1, False)):
                with self.subTest(**{key: number}):
                    whole["services"]["svc"]["acl"] = [{"allow": {key: number}}]
                    daemon = self.bridled(whole)
                    self.assertEqual(self.answer(daemon, "unix"), is_allowed)
                    self.assertFalse(self.answer(daemon))  # nobody knows who it is
                    daemon.stop()

    def test_the_first_that_matches_decides(self):
        """Of the method, the route, the service and the defaults, in this order."""
        daemon = self.ruled(
            {"svc": {"endpoints": [self.upstream().address],
                     "acl": [{"deny": {"meta.a": "service"}}, {"allow": {"meta.a": "both"}}],
                     "methods": {"echo": {"acl": [{"allow": {"meta.b": "method"}}]}},
                     "routes": [{"match": {"meta.c": "1"},
                                 "policy": {"acl": [{"deny": {"meta.a": "both"}}]}}, {}]}},
            defaults={"acl": [{"deny": {"meta.a": "defaults"}}]})
        for strs, is_allowed in (({}, False), ({"a": "both"}, True), ({"a": "service"}, False),
                                 ({"a": "defaults"}, False), ({"a": "both", "c": "1"}, False),
                                 ({"a": "both", "b": "method", "c": "1"}, True),
                                 ({"a": "service", "b": "method"}, True)):
            with self.subTest(strs=strs):
                strs = {"RPC_PERSIST_" + key: value for key, value in strs.items()}
                self.assertEqual(self.answer(daemon, strs=strs), is_allowed)

    def test_a_field_of_the_argument(self):
        daemon = self.ruled({"svc": {"endpoints": [self.upstream().address],
                                     "acl": [{"deny": {"field.1": {"regex": "^secret"}}}]}})
        self.assertTrue(self.answer(daemon))
        self.assertFalse(self.answer(daemon, text="secret of mine"))
        twice = wire.string_field(1, "innocent") + wire.string_field(1, "secret") + b"\0"
        self.assertFalse(self.answer(daemon, body=twice))  # readers keep the last


class Answers(Rules):
    """Every call is answered by the proxy with this; nobody may reach the application."""

    def check_all(self, policy, reason, thrift_kind, grpc_code, stream_kind):
        app = self.upstream()
        daemon = self.ruled({"svc": {"endpoints": [app.address], **policy}})
        for form in wire.FORMS:
            with self.subTest(form=form):
                caller = self.caller(daemon, form)
                self.assert_refused(caller.call("echo"), reason, thrift_kind)
                self.assert_refused(caller.call("echo"), reason, thrift_kind)  # it stays open
                caller.close()
        for form in wire.FRAMED_FORMS:
            with self.subTest(form=form, payload="kitex protobuf"):
                caller = self.caller(daemon, form, magic=wire.KITEXPB)
                self.assert_refused(caller.call("echo"), reason, thrift_kind)
                caller.close()
        if os.access(GOGRPC, os.X_OK):
            out = self.grpc(daemon)
            self.assertEqual(out.code, grpc_code, out.text)
            self.assertTrue(out.text.startswith("bridled: %s: " % reason), out.text)
        client = tts.Client(daemon.address())
        self.addCleanup(client.close)
        kind, text = client.over(client.call(method="echo")).exception
        self.assertEqual(kind, stream_kind)
        self.assertTrue(text.startswith("bridled: %s: " % reason), text)
        self.check_clients(daemon, reason)
        self.assertEqual(app.accepted, 0)

    def check_clients(self, daemon, reason):
        """The words reach the code of applications, whatever they are written in."""
        if os.access(VOLO_CLIENT, os.X_OK):
            for mode in WITH_HEADER + WITHOUT:
                with self.subTest(client="volo", mode=mode):
                    self.assertIn("bridled: %s: " % reason,
                                  self.failing(VOLO_CLIENT, mode, daemon.address()))
        if os.access(PYTHON, os.X_OK):
            for mode in ("ttheader", "ttheader-framed") + WITHOUT:
                with self.subTest(client="thriftpy2", mode=mode):
                    self.assertIn("bridled: %s: " % reason, self.failing(
                        PYTHON, os.path.join(PY, "thriftpy2_peer.py"), "client", mode,
                        daemon.address()))
            for mode in WITHOUT:
                with self.subTest(client="apache", mode=mode):
                    self.assertIn("WRONG echo TApplicationException", self.failing(
                        PYTHON, os.path.join(PY, "apache_client.py"), mode, daemon.address()))

    def test_an_access_list_that_denies(self):
        self.check_all({"acl": [{"deny": {"method": "nobody"}}, {"deny": {}}]}, "acl_denied",
                       tts.INTERNAL, DENIED, tts.INTERNAL)

    def test_an_access_list_that_lets_nobody_in(self):
        daemon = self.ruled({"svc": {"endpoints": [self.upstream().address],
                                     "acl": [{"allow": {"meta.tenant": "blue"}}]}})
        caller = self.caller(daemon, "ttheader_framed")
        self.assert_refused(caller.call("echo"), "acl_denied")
        self.assert_refused(caller.call("echo", strs={"RPC_PERSIST_TENANT": "red"}), "acl_denied")
        self.assertEqual(caller.call("echo", strs={"RPC_PERSIST_TENANT": "blue"}).text, "hello")

    def test_a_fault_with_an_exception(self):
        self.check_all({"routes": [{"fault": {"abort": {"exception": 6}}}]}, "fault_injected", 6,
                       INTERNAL, 6)

    def test_a_fault_with_an_exception_of_ones_own(self):
        self.check_all({"routes": [{"fault": {"abort": {"exception": 1000}}}]}, "fault_injected",
                       1000, INTERNAL, 1000)

    def test_a_fault_with_a_reason(self):
        daemon = self.ruled({"svc": {"endpoints": [self.upstream().address], "routes": [
            {"fault": {"abort": {"reason": "overload"}}}]}})
        for form in wire.FORMS:
            with self.subTest(form=form):
                answer = self.caller(daemon, form).call("echo")
                self.assert_refused(answer, "overload", 6)
                self.assertIn("request over limit", answer.exception[1])

    def test_a_fault_of_a_share(self):
        daemon = self.ruled({"svc": {"endpoints": [self.upstream().address], "routes": [
            {"fault": {"abort": {"exception": 6, "percent": "30%"}}}]}})
        caller = self.caller(daemon)
        refused = sum(caller.call("echo").exception is not None for _ in range(400))
        self.assertTrue(60 <= refused <= 190, refused)  # of 400: 120, give or take seven deviations

    def test_a_delay(self):
        daemon = self.ruled({"svc": {"endpoints": [self.upstream().address], "routes": [
            {"match": {"method": "slow"}, "fault": {"delay": {"for": "300ms"}}}, {}]}})
        caller = self.caller(daemon)
        began = time.monotonic()
        self.assertEqual(caller.call("slow").text, "hello")
        self.assertGreaterEqual(time.monotonic() - began, 0.3)

    def test_a_reset(self):
        daemon = self.ruled({"svc": {"endpoints": [self.upstream().address], "routes": [
            {"match": {"method": "gone"}, "fault": {"abort": {"reset": True}}}, {}]}})
        caller = self.caller(daemon)
        self.assertEqual(caller.call("echo").text, "hello")
        caller.send("gone")
        with self.assertRaises((EOFError, ConnectionError)):
            caller.receive()
