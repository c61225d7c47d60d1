"""Unary calls answered in another protocol: Thrift and Kitex Protobuf meet gRPC, both ways."""

import json

import h2_upstream
import upstream
import wire
from bridled import eventually
from h2 import grpc
from peers import (GOECHO, INTERNAL, UNAVAILABLE, UNIMPLEMENTED, VOLO_SERVER, Grpc, msg,
                   needs)

GRPC_THRIFT = "application/grpc+thrift"
ECHO = "/pkg.Svc/Echo"
CALLER, LOG_ID, TIMEOUT = wire.FROM_SERVICE, wire.LOG_ID, wire.RPC_TIMEOUT


def answering(message=b"", trailers=(), fields=()):
    """A gRPC application that answers every call alike; `message` None: with trailers alone."""
    status = [] if any(name == "grpc-status" for name, _ in trailers) else h2_upstream.OK

    def behaviour(peer, frame):
        stream = peer.streams.get(frame.stream) if frame else None
        if not stream or not stream.ended:
            return
        head = [(":status", "200"), ("content-type", stream.get("content-type")), *fields]
        if message is None:
            peer.headers(stream.number, head + [*trailers], end=True)
        else:
            h2_upstream.answer(peer, stream.number, message, [*status, *trailers], head)
    return behaviour


class ToGrpc(Grpc):
    """Callers of Kitex's own protocols, and an application that speaks gRPC."""

    def in_front(self, behaviour, **policy):
        self.server_ = self.raw_server(behaviour)
        return self.pinned(self.server_, protocol="grpc", aliases=["pkg.Svc"], name="mesh.name",
                           **policy)

    def came(self):
        """The one call that came to the application: its fields, its messages."""
        (_, stream), = self.server_.await_calls(1)
        return dict(stream.fields), [data for _, data in stream.messages]

    def test_the_call_and_its_metadata(self):
        daemon = self.in_front(answering(wire.result("back")))
        caller = self.caller(daemon, "ttheader_framed")
        answer = caller.call("Echo", "hi", ints={CALLER: "the.caller", LOG_ID: "log-7",
                                                 TIMEOUT: "50000"},
                             strs={"isn": "other.Svc", "RPC_PERSIST_TENANT": "blue",
                                   "RPC_TRANSIT_HOP_NO": "one"}, acl="token")
        self.assertEqual((answer.kind, answer.text), (wire.REPLY, "back"))
        fields, messages = self.came()
        self.assertEqual((fields[":path"], fields[":method"], fields["content-type"]),
                         ("/other.Svc/Echo", "POST", GRPC_THRIFT))
        self.assertEqual((fields[":authority"], fields["te"]), ("mesh.name", "trailers"))
        self.assertEqual((fields["source-service"], fields["stream-log-id"]),
                         ("the.caller", "log-7"))
        self.assertEqual((fields["rpc-persist-tenant"], fields["rpc-transit-hop-no"]),
                         ("blue", "one"))
        self.assertEqual(fields["rpc-transit-gdpr-token"], "token")
        self.assertRegex(fields["grpc-timeout"], "^4[0-9]{7}u$|^4[0-9]{4}m$")
        self.assertEqual(messages, [wire.arguments("hi")])

    def test_every_form_of_thrift(self):
        for form in wire.FORMS:
            daemon = self.in_front(answering(wire.result("back")))
            with self.subTest(form=form), self.caller(daemon, form) as caller:
                answer = caller.call("Echo", "hi")
                self.assertEqual((answer.kind, answer.text, answer.form),
                                 (wire.REPLY, "back", form))
                fields, messages = self.came()
                self.assertEqual((fields[":path"], messages), (ECHO, [wire.arguments("hi")]))
            daemon.stop()

    def test_kitex_protobuf(self):
        for form in wire.FRAMED_FORMS:
            daemon = self.in_front(answering(b"\x0a\x04back"))
            with self.subTest(form=form), self.caller(daemon, form, magic=wire.KITEXPB) as caller:
                answer = caller.call("Echo", body=b"\x0a\x02hi")
                self.assertEqual((answer.kind, answer.body, answer.form, answer.magic),
                                 (wire.REPLY, b"\x0a\x04back", form, wire.KITEXPB))
                fields, messages = self.came()
                self.assertEqual((fields[":path"], fields["content-type"], messages),
                                 (ECHO, "application/grpc", [b"\x0a\x02hi"]))
            daemon.stop()

    def test_backward_values(self):
        daemon = self.in_front(answering(wire.result("back"), [("rpc-backward-two", "2")],
                                         [("rpc-backward-one", "1")]))
        answer = self.caller(daemon, "ttheader_framed").call()
        self.assertEqual(answer.header.strs.get("ONE"), "1", answer.header.strs)
        self.assertEqual(answer.header.strs.get("TWO"), "2", answer.header.strs)

    def test_errors_become_exceptions(self):
        for magic in (wire.THRIFT, wire.KITEXPB):
            for status, kind in ((12, 1), (13, 6), (5, 6), (14, 6), (20, 6), (7, 6)):
                daemon = self.in_front(answering(None, [("grpc-status", str(status)),
                                                        ("grpc-message", "100 %25 no")]))
                for form in wire.FRAMED_FORMS:
                    with self.subTest(status=status, form=form, magic=hex(magic)), \
                            self.caller(daemon, form, magic=magic) as caller:
                        answer = caller.call()
                        self.assertEqual(answer.exception, (kind, "100 % no"))
                daemon.stop()

    def test_an_error_after_a_message(self):
        """Nobody could tell the message from an answer: the status decides."""
        daemon = self.in_front(answering(wire.result("back"), [("grpc-status", "9"),
                                                               ("grpc-message", "no")]))
        self.assertEqual(self.caller(daemon).call().exception, (6, "no"))

    def test_a_business_error(self):
        trailers = [("grpc-status", "13"), ("grpc-message", "no money"), ("biz-status", "1204"),
                    ("biz-extra", '{"a":"b"}')]
        daemon = self.in_front(answering(None, trailers))
        for magic, empty in ((wire.THRIFT, b"\0"), (wire.KITEXPB, b"")):
            with self.subTest(magic=hex(magic)):
                answer = self.caller(daemon, "ttheader_framed", magic=magic).call()
                self.assertEqual((answer.kind, answer.body), (wire.REPLY, empty))
                self.assertEqual(answer.header.strs, {
                    "biz-status": "1204", "biz-message": "no money", "biz-extra": '{"a":"b"}'})
                answer = self.caller(daemon, "framed", magic=magic).call()
                self.assertEqual(answer.exception[0], 6)
                self.assertIn("no money", answer.exception[1])
        lines = daemon.access_log(4)
        self.assertEqual({(line["reason"], str(line["biz_status"])) for line in lines},
                         {("biz_error", "1204")})

    def test_answers_that_are_none(self):
        """Not exactly one message that is not compressed."""
        def two(peer, frame):
            stream = peer.streams.get(frame.stream) if frame else None
            if stream and stream.ended:
                peer.headers(stream.number, h2_upstream.REPLY_FIELDS)
                peer.data(stream.number, grpc(wire.result("a")) + grpc(wire.result("b")))
                peer.headers(stream.number, h2_upstream.OK, True)

        def compressed(peer, frame):
            stream = peer.streams.get(frame.stream) if frame else None
            if stream and stream.ended:
                peer.headers(stream.number, h2_upstream.REPLY_FIELDS + [("grpc-encoding", "gzip")])
                peer.data(stream.number, grpc(b"\x1f\x8b", compressed=1))
                peer.headers(stream.number, h2_upstream.OK, True)

        for behaviour in (two, compressed, answering(None, h2_upstream.OK), answering(b"\x0b")):
            daemon = self.in_front(behaviour)
            with self.subTest(behaviour=behaviour), self.caller(daemon) as caller:
                self.assert_refused(caller.call(), "bad_reply", 6)
                self.assertTrue(daemon.is_alive())
            daemon.stop()

    def test_an_application_that_is_not_there(self):
        daemon = self.in_front(h2_upstream.silent, timeout={"call": "1s"})
        self.assert_refused(self.caller(daemon).call(), "timeout", 6)
        (_, stream), = self.server_.await_calls(1)
        eventually(lambda: stream.reset is not None, what="the reset")
        self.server_.close()
        self.assert_refused(self.caller(daemon).call(), "connect_failed", 6)

    def test_a_thousand_calls_share_a_connection(self):
        daemon = self.in_front(answering(wire.result("back")))
        for _ in range(4):
            with self.caller(daemon, "framed") as caller:
                for _ in range(250):
                    self.assertEqual(caller.call().text, "back")
        self.assertLessEqual(len(self.server_.peers), 2)
        self.assertEqual(self.server_.malformed, [])

    def test_a_oneway_finds_no_conversion(self):
        daemon = self.in_front(answering(b"\0"))
        caller = self.caller(daemon)
        caller.send("Fire", kind=wire.ONEWAY)
        answer = caller.call("Echo")
        self.assertEqual((answer.method, answer.kind), ("Echo", wire.REPLY))
        self.assertEqual([(line["kind"], line["reason"]) for line in daemon.access_log(2)],
                         [("oneway", "no_conversion"), ("call", "ok")])
        self.assertEqual(len(self.server_.calls()), 1)

    def test_grpc_go_behind_kitex_callers(self):
        server = self.grpc_server()
        daemon = self.pinned(server, protocol="grpc", aliases=["pkg.Svc"])
        for form in wire.FORMS:
            with self.subTest(form=form), self.caller(daemon, form) as caller:
                for text in ("", "hi", "x" * 60000):
                    self.assertEqual(caller.call("Echo", text).text, text)
        for form in wire.FRAMED_FORMS:
            with self.subTest(form=form), self.caller(daemon, form, magic=wire.KITEXPB) as caller:
                for text in ("", "hi", "x" * 60000, "y" * (1 << 20)):
                    answer = caller.call("Unary", body=msg(text, 1))
                    self.assertEqual((answer.kind, answer.body), (wire.REPLY, msg(text, 1)))
                answer = caller.call("Fail", body=msg("because", 9))
                self.assertEqual(answer.exception, (6, "because"))

    def test_a_long_thrift_body(self):
        server = self.grpc_server()
        daemon = self.pinned(server, protocol="grpc", aliases=["pkg.Svc"])
        for form in wire.FORMS:
            with self.subTest(form=form), self.caller(daemon, form) as caller:
                self.assertEqual(caller.call("Echo", "x" * (4 << 20)).text, "x" * (4 << 20))


class FromGrpc(Grpc):
    """Callers that speak gRPC, and an application of Kitex's own protocols."""

    def in_front(self, behaviour, protocol, **kwargs):
        self.service = self.upstream(behaviour)
        return self.pinned(self.service, protocol=protocol, name="mesh.name", **kwargs)

    def thrift(self, daemon, text="hi", path=ECHO, **kwargs):
        return self.call(daemon, path, [wire.arguments(text)], subtype="thrift", **kwargs)

    def test_every_form_of_thrift(self):
        for protocol, form in (("buffered", "buffered"), ("framed", "framed"),
                               ("ttheader_bare", "ttheader_bare"),
                               ("ttheader_framed", "ttheader_framed")):
            daemon = self.in_front(upstream.echo, protocol)
            with self.subTest(protocol=protocol):
                for text in ("", "hi", "x" * 60000, "y" * (1 << 20)):
                    out = self.thrift(daemon, text)
                    self.assert_ok(out, [wire.result(text)])
                    self.assertEqual(out.header["content-type"], [GRPC_THRIFT])
                self.assertEqual({(p.method, p.kind, p.form) for p in self.service.packets},
                                 {("Echo", wire.CALL, form)})
            daemon.stop()

    def test_kitex_protobuf(self):
        for protocol in ("framed", "ttheader_framed"):
            daemon = self.in_front(upstream.echo, protocol)
            with self.subTest(protocol=protocol):
                for text in ("", "hi", "x" * 60000, "y" * (1 << 20)):
                    self.assert_ok(self.call(daemon, ECHO, [msg(text, 1)]), [msg(text, 1)])
                self.assertEqual({(p.method, p.form, p.magic) for p in self.service.packets},
                                 {("Echo", protocol, wire.KITEXPB)})
            daemon.stop()

    def test_metadata(self):
        daemon = self.in_front(upstream.report, "ttheader_framed")
        out = self.thrift(daemon, timeout_ms=50000, metadata=[
            ["rpc-persist-tenant", "blue"], ["rpc-transit-hop-no", "one"],
            ["source-service", "the.caller"], ["stream-log-id", "log-7"],
            ["rpc-transit-gdpr-token", "token"]])
        self.assertEqual((out.code, out.text), (0, ""))
        fields, _ = wire.decode(out.messages[0], 0, wire.STRUCT)
        seen = json.loads(fields[0])
        ints, strs = seen["ints"], seen["strs"]
        self.assertEqual((ints[str(CALLER)], ints[str(wire.TO_SERVICE)], ints[str(wire.TO_METHOD)],
                          ints[str(wire.MESSAGE_TYPE)], ints[str(LOG_ID)]),
                         ("the.caller", "mesh.name", "Echo", "1", "log-7"))
        self.assertIn(int(ints[str(TIMEOUT)]), range(40000, 50001))
        self.assertEqual((strs["isn"], strs["RPC_PERSIST_TENANT"], strs["RPC_TRANSIT_HOP_NO"]),
                         ("Svc", "blue", "one"))
        self.assertEqual(seen["acl"], "token")
        self.assertEqual({**out.header, **out.trailer}.get("rpc-backward-back"), ["ward"])

    def test_what_a_framed_application_cannot_be_told_is_counted(self):
        daemon = self.in_front(upstream.echo, "framed")
        self.assert_ok(self.thrift(daemon, metadata=[["rpc-persist-tenant", "blue"]]))
        self.assert_metric(daemon, 1, "bridle_metadata_dropped_total", **{"class": "persistent"})

    def test_exceptions(self):
        for magic, subtype in ((wire.THRIFT, "thrift"), (wire.KITEXPB, "")):
            for kind, status in ((6, INTERNAL), (7, INTERNAL), (1, UNIMPLEMENTED),
                                 (20, UNIMPLEMENTED), (4, INTERNAL), (99, INTERNAL)):
                daemon = self.in_front(lambda c, p, kind=kind: c.write(p.answer(
                    wire.exception_body(kind, "d\u00e9j\u00e0".encode().decode("latin-1")
                                        if p.magic == wire.THRIFT else "no", p.magic),
                    wire.EXCEPTION)), "framed")
                with self.subTest(kind=kind, magic=hex(magic)):
                    out = self.call(daemon, ECHO, [wire.arguments("x")], subtype=subtype)
                    self.assertEqual(out.code, status)
                    self.assertNotIn("bridled", out.text)
                daemon.stop()

    def test_a_business_error(self):
        daemon = self.in_front(lambda c, p: c.write(p.answer(b"\0", strs={
            "biz-status": "1204", "biz-message": "no money: 100 %", "biz-extra": '{"a":"b"}'})),
            "ttheader_framed")
        out = self.thrift(daemon)
        self.assertEqual((out.code, out.text), (INTERNAL, "no money: 100 %"))
        self.assertEqual((out.trailer["biz-status"], out.trailer["biz-extra"]),
                         (["1204"], ['{"a":"b"}']))
        self.assertEqual(out.messages, [])

    def test_a_declared_exception_is_an_answer(self):
        body = wire.string_field(1, "declared") + b"\0"
        daemon = self.in_front(lambda c, p: c.write(p.answer(body)), "framed")
        self.assert_ok(self.thrift(daemon), [body])

    def test_streams_find_no_conversion(self):
        daemon = self.in_front(upstream.echo, "framed")
        out = self.call(daemon, ECHO, [wire.arguments("a"), wire.arguments("b")], subtype="thrift")
        self.assert_refused_call(out, UNIMPLEMENTED, "no_conversion")
        out = self.call(daemon, ECHO, [], subtype="thrift")
        self.assert_refused_call(out, UNIMPLEMENTED, "no_conversion")
        out = self.call(daemon, ECHO, [wire.arguments("a" * 1000)], subtype="thrift", gzip=True)
        self.assert_refused_call(out, UNIMPLEMENTED, "no_conversion")
        self.assertEqual(self.service.packets, [])
        self.assertEqual({line["reason"] for line in daemon.access_log(3)}, {"no_conversion"})

    def test_a_message_that_is_no_struct(self):
        daemon = self.in_front(upstream.echo, "framed")
        out = self.call(daemon, ECHO, [b"\x0b\x00"], subtype="thrift")
        self.assert_refused_call(out, UNIMPLEMENTED, "no_conversion")
        self.assertEqual(self.service.packets, [])
        self.assert_ok(self.thrift(daemon), [wire.result("hi")])

    def test_an_application_that_fails(self):
        for behaviour, reason in ((upstream.reset_at_once, "reset"),
                                  (upstream.close_at_once, "reset"),
                                  (upstream.wrong_seq, "bad_reply")):
            daemon = self.in_front(behaviour, "framed")
            with self.subTest(reason=reason):
                code = UNAVAILABLE if reason == "reset" else INTERNAL
                self.assert_refused_call(self.thrift(daemon), code, reason)
            daemon.stop()

    def test_a_caller_that_goes_away(self):
        """The connection to the application is not used again before its answer has come."""
        self.held = []
        daemon = self.in_front(lambda c, p: self.held.append((c, p)), "framed")
        out = self.thrift(daemon, timeout_ms=1000)
        self.assertEqual(out.code, 4)
        eventually(lambda: self.held)
        self.service.behaviour = upstream.echo
        self.assert_ok(self.thrift(daemon, "other"), [wire.result("other")])
        connection, packet = self.held[0]
        connection.answer(packet)
        self.assert_ok(self.thrift(daemon, "third"), [wire.result("third")])

    def test_many_at_once(self):
        daemon = self.in_front(upstream.echo, "framed")
        outs = self.calls(daemon, ECHO, [wire.arguments("hi")], subtype="thrift", callers=50,
                          calls=20)
        self.assertEqual({(out.code, out.text) for out in outs}, {(0, "")})
        self.assertEqual({out.messages[0] for out in outs}, {wire.result("hi")})


@needs(GOECHO, VOLO_SERVER)
class RealPeers(Grpc):
    """grpc-go on one side, and on the other who speaks Thrift as Kitex does."""

    def test_gopkg_callers_of_a_grpc_application(self):
        server = self.grpc_server()
        daemon = self.pinned(server, protocol="grpc", aliases=["echo.Echo"])
        for mode in ("ttheader", "ttheader-framed", "framed", "buffered"):
            with self.subTest(mode=mode):
                said = self.run_client(GOECHO, "client", mode, daemon.address())
                self.assertEqual(self.values(said, "serial"), ["500"])
                self.assertEqual(self.values(said, "unknown"), ["exception"])
        self.assertEqual({line.split()[1] for line in server.said("began")},
                         {"/echo.Echo/echo", "/echo.Echo/nowhere"})

    def echo(self, daemon, text, method="echo", **kwargs):
        """The arguments {1: Req{1: text}}; what comes back of the result."""
        question = b"\x0c\0\x01" + wire.string_field(1, text) + b"\0\0"
        out = self.call(daemon, "/echo.Echo/" + method, [question], subtype="thrift", **kwargs)
        return out, [wire.decode(m, 0, wire.STRUCT)[0] for m in out.messages]

    def test_grpc_callers_of_a_volo_application(self):
        for protocol in ("ttheader_framed", "ttheader_bare", "framed", "buffered"):
            daemon = self.pinned(self.serve(VOLO_SERVER, "thrift", "{}"), protocol=protocol)
            with self.subTest(protocol=protocol):
                out, (result,) = self.echo(daemon, "hello", timeout_ms=50000,
                                           metadata=[["rpc-persist-tenant", "blue"]])
                self.assertEqual((out.code, result[0][1]), (0, b"hello"))
                carried = protocol.startswith("ttheader")
                self.assertEqual(result[0].get(2), {b"p:TENANT": b"blue"} if carried else {})
                back = {**out.header, **out.trailer}
                self.assertEqual("rpc-backward-echoed" in back, carried, back)
                out, (result,) = self.echo(daemon, "oops")
                self.assertEqual((out.code, result), (0, {1: {1: 7, 2: b"declared"}}))
            daemon.stop()

    def test_errors_of_a_volo_application(self):
        """Its business errors are exceptions with keys beside them: the exception wins, as in
        Kitex."""
        for protocol in ("ttheader_framed", "framed"):
            daemon = self.pinned(self.serve(VOLO_SERVER, "thrift", "{}"), protocol=protocol)
            with self.subTest(protocol=protocol):
                out = self.call(daemon, "/echo.Echo/boom", [wire.arguments("x")], subtype="thrift")
                self.assertEqual((out.code, out.text), (INTERNAL, "undeclared"))
                out = self.call(daemon, "/echo.Echo/boom", [wire.arguments("biz")],
                                subtype="thrift")
                self.assertEqual(out.code, INTERNAL)
                self.assertIn("business says no", out.text)
                self.assertNotIn("biz-status", out.trailer)
            daemon.stop()
