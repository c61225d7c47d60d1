"""Metadata in the bodies of calls, for applications that read no header: field 255, or an argument."""

import struct
import tempfile
import time

import legacy
import upstream
import wire
from bridled import eventually
from legacy import Answer, Query, base_field, field, text_map
from peers import GOGRPC, Grpc, needs
from test_convert import answering
from test_tracing import TRANSIENT, W3C

LOG_ID = "20261122053000010203004005006A1B2C"
INTS = {wire.FROM_SERVICE: "the.caller", wire.FROM_METHOD: "Before", wire.LOG_ID: LOG_ID,
        wire.RPC_TIMEOUT: "4000", wire.TO_METHOD: "ask"}
STRS = {"RPC_PERSIST_TENANT": "blue", "RPC_TRANSIT_HOP": "one", TRANSIENT: W3C, "isn": "Legacy",
        "rip": "192.0.2.7:1234", "x-App": "own"}
CARRIED = {"RPC_PERSIST_TENANT": "blue", "RPC_TRANSIT_HOP": "one", "x-App": "own",
           "source-method": "Before", "destination-service": "svc", "destination-method": "ask"}
STATUS = {1: b"no stock", 2: 7, 3: {b"shelf": b"7"}}  # BaseResp to "status 7"


def texts_of(value):
    """What a map or a struct of strings holds, as text."""
    if isinstance(value, dict):
        return {texts_of(k): texts_of(v) for k, v in value.items()}
    return value.decode() if isinstance(value, bytes) else value


class Based(legacy.Peers):
    def header(self, form, ints=None, **strs):
        """What a call in that form has of a header."""
        if not form.startswith("ttheader"):
            return {}
        return {"ints": {**INTS, **(ints or {})}, "strs": {**STRS, **strs}}

    def told(self, behaviour=None, listener=None, config=None, **policy):
        """A service that answers with what came, and a daemon in front of it."""
        service = self.upstream(behaviour or answer_well)
        policy.setdefault("metadata", "base255")
        return service, self.pinned(service, listener, config, **policy)

    def base_at(self, service, query, more=b""):
        """The Base that was added to the last call; every other byte must be as it was."""
        body = service.packets[-1].body
        before, after = query.body(more)[:-2], b"\0\0"
        self.assertEqual(body[:len(before)], before)
        self.assertEqual(body[len(body) - len(after):], after)
        middle = body[len(before):len(body) - len(after)]
        self.assertEqual(middle[:3], field(wire.STRUCT, 255, b""))
        found, end = wire.decode(middle, 3, wire.STRUCT)
        self.assertEqual(end, len(middle))
        return texts_of(found)

    def check_deadline(self, extra, at_most_ms):
        """Taken out of it: the rest of it differs by nothing but the time."""
        rest = int(extra.pop("rpc-deadline")) - time.time() * 1000
        self.assertLessEqual(rest, at_most_ms)
        self.assertGreater(rest, -60000)

    def unedited(self, daemon, why, count):
        self.assert_metric(daemon, count, "bridle_metadata_unedited_total", why=why)


def reply_to(words):
    """The result; to "status N" with a BaseResp."""
    more = b""
    if words.startswith(b"status "):
        code = int(words[7:])
        more = field(wire.STRUCT, 255, wire.string_field(1, "no stock") + wire.i32_field(2, code) +
                     field(wire.MAP, 3, text_map({"shelf": "7"})) + b"\0")
    empty_list = struct.pack(">BI", wire.STRUCT, 0)
    answer = b"".join(wire.string_field(n, words) for n in (1, 2, 3))
    return field(wire.STRUCT, 0, answer + field(wire.LIST, 4, empty_list) + more + b"\0") + b"\0"


def answer_well(connection, packet):
    if packet.kind == wire.ONEWAY:
        return
    query = packet.fields.get(1)
    connection.write(packet.answer(reply_to(query.get(1, b"") if isinstance(query, dict) else b"")))


class Bytes(Based):
    """What a service receives that is told everything."""

    def test_one_field_is_added_and_nothing_else_changes(self):
        for protocol in ("same", "framed", "buffered", "ttheader_framed", "ttheader_bare"):
            service, daemon = self.told(protocol=protocol)
            for form in wire.FORMS:
                with self.subTest(form=form, protocol=protocol):
                    query = Query("hello", b"\0\xff" * 99)
                    caller = self.caller(daemon, form)
                    caller.call("ask", body=query.body(), **self.header(form))
                    found = self.base_at(service, query)
                    self.check(form, found)
            daemon.stop()

    def check(self, form, found):
        extra = found[6]
        self.assertEqual(found[4], "bridled")
        if not form.startswith("ttheader"):
            self.assertEqual({k: extra[k] for k in extra if k != "rpc-deadline"},
                             {"destination-service": "svc", "destination-method": "ask"})
            return
        self.check_deadline(extra, 4000)
        trace = extra.pop(TRANSIENT)
        self.assertEqual(trace.split("-")[1], W3C.split("-")[1])
        self.assertEqual(extra, CARRIED)
        self.assertEqual((found[1], found[2], found[3]), (LOG_ID, "the.caller", "192.0.2.7:1234"))

    def test_a_header_that_goes_on_is_as_it_was(self):
        service, daemon = self.told()
        caller = self.caller(daemon, "ttheader_framed")
        caller.call("ask", body=Query("hello").body(), **self.header("ttheader_framed"))
        head = service.packets[-1].header
        self.assertEqual({k: head.strs[k] for k in STRS}, STRS)
        self.assertEqual({k: head.ints[k] for k in INTS if k != wire.RPC_TIMEOUT},
                         {k: v for k, v in INTS.items() if k != wire.RPC_TIMEOUT})

    def test_the_checksum_is_that_of_the_new_body(self):
        service, daemon = self.told()
        for form in ("ttheader_bare", "ttheader_framed"):
            for text_ in ("", "x" * 5000):
                with self.subTest(form=form, length=len(text_)):
                    query = Query(text_)
                    caller = self.caller(daemon, form)
                    question = caller.packet("ask", body=query.body(), **self.header(form))
                    data = question.pack()
                    payload = data[14 + 4 * struct.unpack_from(">H", data, 12)[0]:]
                    question.header.strs["crc32c"] = wire.crc32c(payload)
                    caller.sock.sendall(question.pack())
                    caller.receive()
                    self.base_at(service, query)
                    came = service.packets[-1]
                    words = struct.unpack_from(">H", came.raw, 12)[0]
                    self.assertEqual(came.header.strs["crc32c"],
                                     wire.crc32c(came.raw[14 + 4 * words:]))

    def test_oneways_carry_it_too(self):
        service, daemon = self.told(protocol="framed")
        caller = self.caller(daemon, "ttheader_framed")
        caller.send("note", body=Query("x").body(), kind=wire.ONEWAY,
                    **self.header("ttheader_framed"))
        eventually(lambda: service.packets)
        self.assertEqual(self.base_at(service, Query("x"))[2], "the.caller")

    def test_each_attempt_carries_it(self):
        def reset_first(connection, packet):
            behave = upstream.reset_at_once if len(service.packets) % 2 else answer_well
            behave(connection, packet)
        service, daemon = self.told(reset_first, protocol="framed",
                                    methods={"*": {"idempotent": True}},
                                    retry={"on": ["connect", "unsent", "reset"], "budget": "none"})
        caller = self.caller(daemon, "ttheader_framed")
        caller.call("ask", body=Query("x").body(), **self.header("ttheader_framed"))
        self.assertEqual(len(service.packets), 2)
        self.assertEqual(self.base_at(service, Query("x"))[2], "the.caller")

    def test_many_calls_on_one_connection(self):
        service, daemon = self.told(protocol="framed")
        caller = self.caller(daemon, "ttheader_framed")
        for n in range(50):
            query = Query("number %d" % n, b"x" * n * 37)
            caller.call("ask", body=query.body(), **self.header("ttheader_framed", X_N=str(n)))
            self.assertEqual(self.base_at(service, query)[6]["X_N"], str(n))

    def test_without_the_key_no_byte_changes(self):
        for metadata in ("auto", "drop"):
            service, daemon = self.told(protocol="framed", metadata=metadata)
            caller = self.caller(daemon, "ttheader_framed")
            caller.call("ask", body=Query("x").body(), **self.header("ttheader_framed"))
            self.assertEqual(service.packets[-1].body, Query("x").body())
            daemon.stop()

    def test_a_rename_of_the_method_is_told(self):
        """Kitex's name of it is what the application is called by."""
        service, daemon = self.told(protocol="framed")
        caller = self.caller(daemon, "ttheader_framed")
        caller.call("other", body=Query("x").body(), **self.header("ttheader_framed"))
        self.assertEqual(self.base_at(service, Query("x"))[6]["destination-method"], "other")


class Merging(Based):
    """What a call has in its field 255 already, which a caller without a header wrote."""

    UNKNOWN = wire.string_field(5, "five") + wire.i32_field(77, 7)
    OWN = {"RPC_PERSIST_TENANT": "green", "own": "stays", "empty": "", "x-App": ""}

    def ask_with(self, merge, **fields):
        """The Base that comes out of one that the caller sent beside its header."""
        service, daemon = self.told(metadata={"type": "base255", "merge": merge}, protocol="framed")
        more = base_field(self.OWN, self.UNKNOWN, **fields)
        caller = self.caller(daemon, "ttheader_framed")
        caller.call("ask", body=Query("x").body(more), **self.header("ttheader_framed"))
        body = service.packets[-1].body
        before = Query("x").body()[:-2] + more[:3]
        self.assertEqual(body[:len(before)], before)
        self.assertIn(self.UNKNOWN, body)
        self.unedited(daemon, "shape", 0)
        fields, end = wire.decode(body, 0, wire.STRUCT)
        self.assertEqual(end, len(body))
        daemon.stop()
        return texts_of(fields[1][255]), body, Query("x").body(more)

    def test_keep_touches_nothing(self):
        _, body, sent = self.ask_with("keep", Caller="before")
        self.assertEqual(body, sent)

    def test_fill_adds_what_is_missing_or_empty(self):
        found, _, _ = self.ask_with("fill", Caller="before", Addr="")
        self.assertEqual(found[2], "before")
        self.assertEqual((found[1], found[3], found[4]), (LOG_ID, "192.0.2.7:1234", "bridled"))
        self.assertEqual((found[5], found[77]), ("five", 7))
        extra = found[6]
        self.assertEqual((extra["RPC_PERSIST_TENANT"], extra["own"], extra["empty"]),
                         ("green", "stays", ""))
        self.assertEqual((extra["x-App"], extra["RPC_TRANSIT_HOP"]), ("own", "one"))

    def test_replace_writes_what_is_known(self):
        found, _, _ = self.ask_with("replace", Caller="before", LogID="before", Client="before")
        self.assertEqual([found[n] for n in range(1, 6)],
                         [LOG_ID, "the.caller", "192.0.2.7:1234", "bridled", "five"])
        extra = found[6]
        self.assertEqual((extra["RPC_PERSIST_TENANT"], extra["own"]), ("blue", "stays"))
        self.assertEqual(found[77], 7)

    def test_a_base_without_a_map_gets_one(self):
        for merge in ("fill", "replace"):
            service, daemon = self.told(metadata={"type": "base255", "merge": merge})
            caller = self.caller(daemon, "ttheader_framed")
            caller.call("ask", body=Query("x").body(base_field()), **self.header("ttheader_framed"))
            found = texts_of(service.packets[-1].fields[1][255])
            self.assertEqual((found[2], found[6]["RPC_PERSIST_TENANT"]), ("the.caller", "blue"))
            daemon.stop()

    def test_what_a_caller_without_a_header_says_stays(self):
        """It is lifted, but its body is its own."""
        service, daemon = self.told(protocol="same", metadata="base255")
        for form in ("framed", "buffered"):
            with self.subTest(form=form):
                more = base_field({"RPC_PERSIST_TENANT": "green"}, LogID="log-7",
                                  Caller="legacy.one")
                caller = self.caller(daemon, form)
                caller.call("ask", body=Query("x").body(more))
                found = texts_of(service.packets[-1].fields[1][255])
                self.assertEqual((found[1], found[2], found[4]), ("log-7", "legacy.one", "bridled"))
                self.assertEqual(found[6]["RPC_PERSIST_TENANT"], "green")
        line = daemon.access_log(2)[-1]
        self.assertEqual((line["caller"], line["log_id"]), ("legacy.one", "log-7"))


class Misunderstood(Based):
    """What is not understood passes byte for byte, and is counted."""

    INNER = Query("x").fields() + b"\0"
    SHAPES = {
        "no arguments": b"\0",
        "a string": wire.arguments("x"),
        "the struct is another field": field(wire.STRUCT, 2, INNER) + b"\0",
        "twice the struct": field(wire.STRUCT, 1, INNER) * 2 + b"\0",
        "twice Base": Query("x").body(base_field() * 2),
        "Base is a string": Query("x").body(wire.string_field(255, "base")),
        "Base is a map": Query("x").body(field(wire.MAP, 255, text_map({"a": "b"}))),
        "Extra is a list": Query("x").body(
            base_field(more=field(wire.LIST, 6, struct.pack(">BI", wire.STRING, 0)))),
        "Extra holds numbers": Query("x").body(
            base_field(more=field(wire.MAP, 6, struct.pack(">BBI", wire.STRING, wire.I32, 0)))),
        "Caller is a number": Query("x").body(base_field(more=wire.i32_field(2, 7))),
    }

    def test_shapes(self):
        service, daemon = self.told()
        caller = self.caller(daemon, "ttheader_framed")
        for count, (name, body) in enumerate(self.SHAPES.items(), 1):
            with self.subTest(shape=name):
                caller.call("ask", body=body, **self.header("ttheader_framed"))
                self.assertEqual(service.packets[-1].body, body)
                self.unedited(daemon, "shape", count)

    def test_protobuf(self):
        service, daemon = self.told(upstream.echo)
        caller = self.caller(daemon, "ttheader_framed", magic=wire.KITEXPB)
        self.assertEqual(caller.call(text="words", **self.header("ttheader_framed")).text, "words")
        self.assertEqual(service.packets[-1].body, b"words")
        self.unedited(daemon, "payload", 1)

    def test_bodies_longer_than_the_buffer(self):
        service, daemon = self.told(protocol="framed", retry={"buffer": "4KiB"})
        fits, misses = 0, 0
        for form in ("ttheader_framed", "ttheader_bare", "framed", "buffered"):
            caller = self.caller(daemon, form)
            overhead = len(Query("", b"").body())
            for length in (4096, 4097, 70000, 2 << 20):
                with self.subTest(form=form, length=length):
                    query = Query("", b"x" * (length - overhead))
                    body = query.body()
                    self.assertEqual(len(body), length)
                    caller.call("ask", body=body, **self.header(form))
                    if length > 4096:
                        misses += 1
                        self.assertEqual(service.packets[-1].body, body)
                    else:
                        fits += 1
                        self.base_at(service, query)
                    self.unedited(daemon, "long", misses)
        self.assertEqual((fits, misses), (4, 12))

    def test_a_carrier_that_would_be_too_long(self):
        service, daemon = self.told(protocol="framed")
        caller = self.caller(daemon, "ttheader_framed")
        for count, (entries, length) in enumerate(((300, 10), (250, 250)), 1):
            many = {"k%03d" % n: "v" * length for n in range(entries)}
            caller.call("ask", body=Query("x").body(), ints=INTS, strs=many)
            self.assertEqual(service.packets[-1].body, Query("x").body())
            self.unedited(daemon, "size", count)

    def test_what_comes_in_pieces_is_understood(self):
        service, daemon = self.told(protocol="framed")
        for form in wire.FORMS:
            with self.subTest(form=form):
                query = Query("x", b"y" * 3000)
                caller = self.caller(daemon, form)
                data = caller.packet("ask", body=query.body(), **self.header(form)).pack()
                for at in range(0, len(data), 97):
                    caller.sock.sendall(data[at:at + 97])
                caller.receive()
                self.base_at(service, query)


class Answers(Based):
    """BaseResp: the business status of an application that has no other place for it."""

    def status(self, daemon, form, code=7):
        caller = self.caller(daemon, form)
        return caller.call("ask", body=Query("status %d" % code).body(), **self.header(form))

    def test_it_is_told_to_callers_with_a_header(self):
        service, daemon = self.told(protocol="framed")
        for form in wire.FORMS:
            with self.subTest(form=form):
                answer = self.status(daemon, form)
                self.assertEqual(answer.kind, wire.REPLY)
                self.assertEqual(Answer(answer).base_resp, STATUS)
                self.assertEqual(answer.body, reply_to(b"status 7"))
                if answer.header:
                    self.assertEqual([answer.header.strs.get("biz-" + k) for k in
                                      ("status", "message", "extra")], ["7", "no stock",
                                                                        '{"shelf":"7"}'])
        for line in daemon.access_log(4):
            self.assertEqual((line["reason"], line["biz_status"]), ("biz_error", "7"))
        self.assert_metric(daemon, 4, "bridle_calls_total", reason="biz_error")

    def test_a_status_of_0_is_none(self):
        _, daemon = self.told(protocol="framed")
        for form in wire.FORMS:
            answer = self.status(daemon, form, 0)
            self.assertEqual(Answer(answer).base_resp[2], 0)
            if answer.header:
                self.assertNotIn("biz-status", answer.header.strs)
        self.assertEqual([line["reason"] for line in daemon.access_log(4)], ["ok"] * 4)

    def test_without_the_key_nothing_is_read(self):
        _, daemon = self.told(protocol="framed", metadata="auto")
        self.assertNotIn("biz-status", self.status(daemon, "ttheader_framed").header.strs)
        self.assertEqual(daemon.access_log(1)[0]["reason"], "ok")

    def test_a_status_can_be_tried_elsewhere(self):
        def first_bad(connection, packet):
            self.seen += 1
            if self.seen > 1:
                packet.body = Query("fine").body()
            answer_well(connection, packet)
        self.top = self.directory
        for on, attempts in (("biz:7", 2), ("biz:1,7", 2), ("biz:8", 1)):
            with self.subTest(on=on):
                self.seen = 0
                self.directory = tempfile.mkdtemp(dir=self.top)
                _, daemon = self.told(first_bad, protocol="framed",
                                     methods={"*": {"idempotent": True}},
                                     retry={"on": ["connect", on], "budget": "none"})
                answer = self.status(daemon, "ttheader_framed")
                self.assertEqual("biz-status" in answer.header.strs, attempts == 1)
                self.assertEqual(daemon.access_log(1)[0]["attempts"], attempts)
                daemon.stop()

    def test_an_exception_remains_one(self):
        _, daemon = self.told(upstream.fail, protocol="framed")
        answer = self.status(daemon, "ttheader_framed")
        self.assertEqual(answer.exception, (6, "biz error: no"))
        self.assertNotIn("biz-status", answer.header.strs)

    def test_what_an_own_header_says_counts_more(self):
        def both(connection, packet):
            body = field(wire.STRUCT, 0, field(
                wire.STRUCT, 255, wire.i32_field(2, 7) + b"\0") + b"\0") + b"\0"
            connection.write(packet.answer(body, strs={"biz-status": "9"}))
        _, daemon = self.told(both)
        self.assertEqual(self.status(daemon, "ttheader_framed").header.strs["biz-status"], "9")

    def test_longer_replies_pass_as_they_are(self):
        def long_answer(connection, packet):
            inside = wire.string_field(1, "x" * (3 << 20)) + field(
                wire.STRUCT, 255, wire.i32_field(2, 7) + b"\0")
            connection.write(packet.answer(field(wire.STRUCT, 0, inside + b"\0") + b"\0"))
        _, daemon = self.told(long_answer, protocol="framed")
        for form in wire.FORMS:
            answer = self.status(daemon, form)
            self.assertEqual(len(answer.fields[0][1]), 3 << 20)
            self.assertEqual(answer.fields[0][255], {2: 7})


class Argument(Based):
    """metadata: argfield:<id>"""

    def facts(self, service, sent):
        """The map that was added to the arguments; every other byte must be as it was."""
        body = service.packets[-1].body
        self.assertEqual(body[:len(sent) - 1], sent[:-1])
        self.assertEqual(body[-1:], b"\0")
        self.assertEqual(body[len(sent) - 1:len(sent) + 2], field(wire.MAP, 7, b""))
        found, end = wire.decode(body, len(sent) + 2, wire.MAP)
        self.assertEqual(end, len(body) - 1)
        return texts_of(found)

    def test_a_map_among_the_arguments(self):
        service, daemon = self.told(upstream.echo, metadata="argfield:7", protocol="framed")
        for form in wire.FORMS:
            with self.subTest(form=form):
                self.caller(daemon, form).call("tell", body=wire.arguments("words"),
                                               **self.header(form))
                found = self.facts(service, wire.arguments("words"))
                if not form.startswith("ttheader"):
                    self.assertEqual(found["destination-method"], "tell")
                    continue
                self.check_deadline(found, 4000)
                found.pop(TRANSIENT)
                self.assertEqual(found, {**CARRIED, "destination-method": "tell",
                                         "stream-log-id": LOG_ID, "source-service": "the.caller",
                                         "rip": "192.0.2.7:1234"})

    def test_methods_without_arguments_and_with_structs(self):
        service, daemon = self.told(metadata="argfield:7", protocol="framed")
        for body in (b"\0", Query("x").body()):
            self.caller(daemon, "ttheader_framed").call("ask", body=body,
                                                        **self.header("ttheader_framed"))
            self.assertEqual(self.facts(service, body)["source-service"], "the.caller")

    def test_an_argument_of_another_type_stays(self):
        service, daemon = self.told(metadata="argfield:1", protocol="framed")
        body = wire.arguments("words")
        self.caller(daemon, "ttheader_framed").call("tell", body=body,
                                                    **self.header("ttheader_framed"))
        self.assertEqual(service.packets[-1].body, body)
        self.unedited(daemon, "shape", 1)


@needs(GOGRPC)
class HTTP2(Based, Grpc):
    """Callers and services whose metadata are fields of HTTP/2."""

    def test_a_caller_of_grpc_and_an_old_application(self):
        service, daemon = self.told(protocol="framed")
        out = self.call(daemon, "/pkg.Legacy/ask", [Query("hello").body()], subtype="thrift",
                        timeout_ms=4000, metadata=[
                            ["source-service", "the.caller"], ["source-method", "Before"],
                            ["stream-log-id", LOG_ID], ["rpc-persist-tenant", "blue"],
                            ["rpc-transit-hop", "one"], ["traceparent", W3C]])
        self.assert_ok(out, [reply_to(b"hello")])
        found = self.base_at(service, Query("hello"))
        self.assertEqual((found[1], found[2], found[4]), (LOG_ID, "the.caller", "bridled"))
        extra = found[6]
        self.check_deadline(extra, 4000)
        self.assertEqual({key: extra.get(key) for key in CARRIED if key != "x-App"},
                         {key: CARRIED[key] for key in CARRIED if key != "x-App"})
        self.assertIn(W3C.split("-")[1], {v.split("-")[1] for k, v in extra.items()
                                          if k.endswith("traceparent")})

    def test_a_business_status_leaves_the_answer_as_it_is(self):
        """A status of gRPC would come without it."""
        _, daemon = self.told(protocol="framed")
        out = self.call(daemon, "/pkg.Legacy/ask", [Query("status 7").body()], subtype="thrift")
        self.assert_ok(out, [reply_to(b"status 7")])
        self.assertEqual(daemon.access_log(1)[0]["reason"], "biz_error")

    def test_an_old_caller_and_an_application_of_grpc(self):
        server = self.raw_server(answering(reply_to(b"hello")))
        daemon = self.pinned(server, {"metadata": "base255"}, protocol="grpc", aliases=["pkg.Legacy"])
        for count, form in enumerate(("framed", "buffered"), 1):
            body = Query("hello").body(base_field({"RPC_PERSIST_TENANT": "blue"}, LogID=LOG_ID,
                                                  Caller="legacy.one"))
            answer = self.caller(daemon, form).call("ask", body=body)
            self.assertEqual(answer.body, reply_to(b"hello"))
            _, stream = server.await_calls(count)[-1]
            fields = dict(stream.fields)
            self.assertEqual((fields["rpc-persist-tenant"], fields["stream-log-id"],
                              fields["source-service"]), ("blue", LOG_ID, "legacy.one"))
            self.assertEqual([data for _, data in stream.messages], [body])
