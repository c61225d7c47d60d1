"""Who calls: a caller that lies in every protocol is believed by nobody, and routes that change calls."""

import os
import struct

import h2
import h2_upstream
import tts
import upstream
import wire
from bridled import TestCase, eventually
from h2_case import H2TestCase
from peers import GOECHO, GOGRPC, Grpc, Peers, needs

NODE = "test.node"
STR, INT, ACL = 1, 0x10, 0x11
EVIL = "evil"  # in every value that is not the caller's to say, and in no other
TOKENS = ("RPC_TRANSIT_gdpr-token", "RPC_TRANSIT_GDPR_TOKEN", "RPC_PERSIST_gdpr-token",
          "RPC_TRANSIT_UPSTREAM_gdpr-token", "RPC_TRANSIT_Gdpr_Token", "Rpc-Transit-Gdpr-Token")
HONEST = {"RPC_PERSIST_TENANT": "blue", "RPC_TRANSIT_HOP": "one", "x-own": "1"}
LIES_STR = [("rip", "10.6.6.6:1 evil"), ("RIP", EVIL), ("source-service", EVIL),
            ("Source-Method", EVIL), *((name, EVIL) for name in TOKENS)]
# In several sections, some of them twice: which one a reader takes is not told by any rule.
LYING = [(INT, [(wire.FROM_SERVICE, EVIL), (wire.FROM_METHOD, EVIL), (wire.LOG_ID, "log-1")]),
         (ACL, EVIL), (STR, [*LIES_STR, *HONEST.items()]), (STR, LIES_STR[:1]), (ACL, "evil two"),
         (INT, [(wire.FROM_SERVICE, "evil two"), (10, "prod"), (wire.FROM_METHOD, "evil two"),
                (wire.FROM_SERVICE, "evil three")])]
FIELDS = [("source-service", EVIL), ("source-method", EVIL), ("x-own", "1"), ("rip", EVIL),
          ("rpc-transit-gdpr-token", EVIL), ("rpc-transit-gdpr_token", EVIL),
          ("rpc-persist-gdpr-token", EVIL), ("rpc-transit-upstream-gdpr-token", EVIL),
          ("source-service", "evil two"), ("rpc-persist-tenant", "blue"),
          ("source-method", "evil two"), ("rpc-transit-hop", "one"), ("stream-log-id", "log-1")]
# A rule that is led by any of it ends the call.
RULES = [{"match": {fact: {"regex": EVIL}}, "fault": {"abort": "overload"}}
         for fact in ("caller", "caller_method", "meta.gdpr-token", "header.rip", "int.3", "int.20",
                      "header.RPC_TRANSIT_gdpr-token", "header.source-service")]


def pack_sections(parts):
    out = b""
    for kind, entries in parts:
        if kind == ACL:
            out += b"\x11" + wire.text16(entries)
            continue
        out += struct.pack(">BH", kind, len(entries))
        for key, value in entries:
            out += (struct.pack(">H", key) if kind == INT else wire.text16(key)) + wire.text16(value)
    return out


def pack_call(parts, payload, seq=1, flags=0, protocol=0):
    body = bytes((protocol, 0)) + pack_sections(parts)
    return wire.pack_ttheader(body + b"\0" * (-len(body) % 4), payload, seq, flags)


def unpack_sections(raw):
    """Every entry of a TTHeader, as often as it is there: [(section, key, value)]."""
    words = struct.unpack_from(">H", raw, 12)[0]
    data, at, found = raw[16:14 + 4 * words], 0, []

    def text():
        nonlocal at
        (length,) = struct.unpack_from(">H", data, at)
        at += 2 + length
        return data[at - length:at].decode("latin-1")

    while at < len(data):
        kind, at = data[at], at + 1
        if kind == ACL:
            found.append((ACL, None, text()))
        elif kind:
            (count,) = struct.unpack_from(">H", data, at)
            at += 2
            for _ in range(count):
                if kind == INT:
                    (key,), at = struct.unpack_from(">H", data, at), at + 2
                else:
                    key = text()
                found.append((kind, key, text()))
    return found


HONEST_ENTRIES = [(INT, wire.LOG_ID, "log-1"), *((STR, k, v) for k, v in HONEST.items()),
                  (INT, 10, "prod")]


class Lying(H2TestCase):
    LISTENER = {"caller": "node"}

    def daemon(self, service, listener=None, **policy):
        return self.pinned(service, {**self.LISTENER, **(listener or {})},
                           {"node": {"service": NODE}}, routes=RULES, **policy)

    def assert_honest(self, raw, entries, address=None):
        """What arrived: the node alone says who calls, and all that is not about that is there."""
        self.assertNotIn(EVIL.encode(), raw)
        self.assertEqual([e for e in entries if e[1] == wire.FROM_SERVICE], [(INT, 3, NODE)])
        self.assertEqual([e for e in entries if e[1] == "rip"],
                         [(STR, "rip", address)] if address else [])
        self.assertFalse([e for e in entries if e[1] == wire.FROM_METHOD or e[0] == ACL])
        left = [e for e in entries if e[1] not in (wire.FROM_SERVICE, "rip")]
        self.assertEqual([e for e in left if e in HONEST_ENTRIES], HONEST_ENTRIES)

    def assert_counted(self, daemon, **classes):
        for name, count in classes.items():
            self.assert_metric(daemon, count, "bridle_metadata_dropped_total", **{"class": name})

    def lie(self, daemon, form, flags=0, parts=LYING):
        """One call; the connection's own address."""
        with self.caller(daemon, form) as caller:
            payload = wire.message("Echo", wire.CALL, 7, wire.arguments("hello"))
            if form in wire.FRAMED_FORMS:
                payload = wire.frame(payload)
            caller.sock.sendall(pack_call(parts, payload, 7, flags))
            answer = caller.receive()
            self.assertIsNone(answer.exception, answer)
            self.assertEqual(answer.text, "hello")
            return "%s:%d" % caller.sock.getsockname()


class InTtheader(Lying):
    def test_bare_and_framed(self):
        service = self.upstream()
        daemon = self.daemon(service)
        for form in ("ttheader_bare", "ttheader_framed"):
            with self.subTest(form=form):
                address = self.lie(daemon, form)
                raw = service.packets[-1].raw
                self.assert_honest(raw, unpack_sections(raw), address)
                left = [e for e in unpack_sections(raw) if e[1] != wire.RPC_TIMEOUT]
                self.assertEqual(len(left), len(HONEST_ENTRIES) + 2)
        # Each time: 3 callers, 2 methods, 3 addresses, 2 names of fields; 2 tokens and their names.
        self.assert_counted(daemon, identity=2 * 10, acl=2 * (2 + len(TOKENS)))
        lines = daemon.access_log(2)
        self.assertEqual({line["caller"] for line in lines}, {NODE})

    def test_many_at_once(self):
        service = self.upstream()
        daemon = self.daemon(service, multiplex=True, protocol="ttheader")
        address = self.lie(daemon, "ttheader_framed", wire.OUT_OF_ORDER)
        raw = service.packets[-1].raw
        self.assert_honest(raw, unpack_sections(raw), address)

    def test_what_is_true_already_stays_as_it_is(self):
        """But for what may not be stated at all."""
        service = self.upstream()
        daemon = self.daemon(service)
        parts = [(INT, [(wire.LOG_ID, "log-1"), (wire.FROM_SERVICE, NODE)]), (STR, [("x-own", "1")])]
        self.lie(daemon, "ttheader_framed", parts=parts)
        self.assertEqual(service.packets[-1].raw[14:], pack_call(parts, wire.frame(wire.message(
            "Echo", wire.CALL, 7, wire.arguments("hello"))))[14:])
        self.lie(daemon, "ttheader_framed", parts=[*parts, (INT, [(wire.FROM_METHOD, EVIL)])])
        self.assertEqual(unpack_sections(service.packets[-1].raw),
                         [(INT, 2, "log-1"), (INT, 3, NODE), (STR, "x-own", "1")])
        self.assert_counted(daemon, identity=1)

    def test_as_stated_passes_byte_for_byte(self):
        service = self.upstream()
        daemon = self.pinned(service)
        self.lie(daemon, "ttheader_framed")
        payload = wire.frame(wire.message("Echo", wire.CALL, 7, wire.arguments("hello")))
        self.assertEqual(service.packets[-1].raw, pack_call(LYING, payload, 7))
        self.assert_counted(daemon, identity=0, acl=0)

    def test_who_is_known_by_uid_on_a_unix_socket(self):
        """Another name for another user, and an address for nobody unless that is asked for."""
        service = self.upstream()
        for address, rip in (("keep", None), ("set", "unix:uid=%d,pid=%d")):
            for uid, name in ((os.getuid(), "shop.me"), (os.getuid() + 1, None)):
                with self.subTest(address=address, name=name):
                    daemon = self.daemon(service, {
                        "address": "unix:" + self.path("in.sock"), "caller_address": address,
                        "caller": {"uid": {str(uid): "shop.me"}}})
                    self.lie_on_socket(daemon)
                    raw = service.packets[-1].raw
                    self.assertNotIn(EVIL.encode(), raw)
                    entries = unpack_sections(raw)
                    self.assertEqual([v for _, k, v in entries if k == wire.FROM_SERVICE],
                                     [name] if name else [])
                    self.assertEqual([v for _, k, v in entries if k == "rip"],
                                     [rip % (os.getuid(), os.getpid())] if rip else [])
                    daemon.stop()
                    os.unlink(daemon.access_path)

    def lie_on_socket(self, daemon):
        with self.caller(daemon, "ttheader_framed") as caller:
            payload = wire.frame(wire.message("Echo", wire.CALL, 7, wire.arguments("hello")))
            caller.sock.sendall(pack_call(LYING, payload, 7))
            self.assertEqual(caller.receive().text, "hello")

    def test_a_mesh_header_becomes_a_ttheader(self):
        service = self.upstream()
        daemon = self.daemon(service, protocol="ttheader")
        strs = [*LIES_STR, *HONEST.items(), *LIES_STR[:1]]
        entries = b"".join(wire.text16(k) + wire.text16(v) for k, v in strs)
        payload = wire.frame(wire.message("Echo", wire.CALL, 7, wire.arguments("hello")))
        with self.caller(daemon, "framed") as caller:
            caller.sock.sendall(struct.pack(">HHH", 0xFFAF, len(entries) + 2, len(strs)) + entries +
                                payload)
            self.assertEqual(caller.receive().text, "hello")
        raw = service.packets[-1].raw
        self.assertNotIn(EVIL.encode(), raw)
        found = unpack_sections(raw)
        self.assertEqual([v for _, k, v in found if k == wire.FROM_SERVICE], [NODE])
        for item in HONEST.items():
            self.assertIn((STR, *item), found)

    def test_the_header_frame_of_a_stream(self):
        server = tts.Upstream(tts.echo)
        self.addCleanup(server.close)
        daemon = self.daemon(server, protocol="ttheader_streaming")
        client = tts.Client(daemon.address())
        self.addCleanup(client.close)
        parts = [(INT, [(tts.FRAME_TYPE, tts.HEADER), (wire.TO_METHOD, "Bidi")]),
                 (STR, [("isn", "EchoService")]), *LYING]
        client.send(pack_call(parts, b"", 77, tts.STREAMING, tts.STRUCT))
        client.data(77, "hello")
        client.trailer(77)
        server.await_frames(tts.TRAILER)
        (_, frame), = server.received(tts.HEADER)
        self.assert_honest(frame.raw, unpack_sections(frame.raw),
                           "%s:%d" % client.sock.getsockname())
        self.assertEqual((frame.method, frame.strs["isn"]), ("Bidi", "EchoService"))
        client.over(77)


class InGrpc(Lying):
    def assert_fields(self, fields):
        self.assertNotIn(EVIL, repr(fields))
        self.assertEqual([v for k, v in fields if k == "source-service"], [NODE])
        self.assertFalse([k for k, v in fields if k in ("source-method", "rip") or "gdpr" in k])
        for honest in (("x-own", "1"), ("rpc-persist-tenant", "blue"), ("rpc-transit-hop", "one"),
                       ("stream-log-id", "log-1")):
            self.assertEqual(fields.count(honest), 1, fields)

    def test_unary_calls_and_streams(self):
        service = self.h2_upstream()
        daemon = self.daemon(service, protocol="grpc")
        client = self.client(daemon)
        self.assert_echoed(client.call(more=FIELDS))
        number = client.open(more=FIELDS)
        client.data(number, h2.grpc(b"one"))
        client.data(number, h2.grpc(b"two"), end=True)
        client.over(number)
        for _, stream in service.await_calls(2):
            self.assert_fields(stream.fields)
        # Each time 2 callers, 2 methods, an address; the names of a token.
        self.assert_counted(daemon, identity=2 * 5, acl=2 * 4)

    def test_trailers_of_a_call(self):
        service = self.h2_upstream()
        daemon = self.daemon(service, protocol="grpc")
        client = self.client(daemon)
        number = client.open()
        client.data(number, h2.grpc(b"one"))
        client.headers(number, [*FIELDS], end=True)
        client.over(number)
        (_, stream), = service.await_calls(1)
        eventually(lambda: stream.ended, what="the trailers")
        self.assertEqual(sorted(stream.blocks[-1]), sorted(
            (k, v) for k, v in FIELDS if EVIL not in v))

    def test_as_stated_passes_field_for_field(self):
        service = self.h2_upstream()
        daemon = self.pinned(service, protocol="grpc")
        self.assert_echoed(self.client(daemon).call(more=FIELDS))
        (_, stream), = service.await_calls(1)
        self.assertEqual([f for f in stream.fields if f in FIELDS], FIELDS)

    def test_into_grpc_and_out_of_it(self):
        answering = self.h2_upstream(self.answer_thrift)
        daemon = self.daemon(answering, protocol="grpc", aliases=["pkg.Echo"])
        with self.caller(daemon, "ttheader_framed") as caller:
            payload = wire.frame(wire.message("Echo", wire.CALL, 7, wire.arguments("hello")))
            caller.sock.sendall(pack_call(LYING, payload, 7))
            self.assertEqual(caller.receive().text, "hello")
        (_, stream), = answering.await_calls(1)
        self.assert_fields(stream.fields)
        daemon.stop()
        os.unlink(daemon.access_path)
        service = self.upstream()
        for protocol in ("ttheader_framed", "ttheader_bare"):
            daemon = self.daemon(service, protocol=protocol)
            client = self.client(daemon)
            client.call(wire.arguments("hello"), more=FIELDS, kind="application/grpc+thrift")
            raw = service.packets[-1].raw
            self.assertNotIn(EVIL.encode(), raw)
            entries = unpack_sections(raw)
            self.assertEqual([v for _, k, v in entries if k == wire.FROM_SERVICE], [NODE])
            self.assertIn((STR, "RPC_PERSIST_TENANT", "blue"), entries)
            self.assertFalse([e for e in entries if e[0] == ACL or e[1] in ("rip", 20)])
            daemon.stop()
            os.unlink(daemon.access_path)

    @staticmethod
    def answer_thrift(peer, frame):
        if frame is not None and frame.kind == h2.DATA and frame.is_end:
            h2_upstream.answer(peer, frame.stream, wire.result("hello"), fields=[
                (":status", "200"), ("content-type", "application/grpc+thrift")])


class Reserved(Lying):
    LISTENER = {"reserved": ["meta.user", "header.x-internal-*", "int.from_cluster", "meta.auth-*"]}
    NAMES = [("RPC_PERSIST_USER", EVIL), ("RPC_TRANSIT_user", EVIL), ("x-internal-id", EVIL),
             ("X_Internal_Other", EVIL), ("RPC_PERSIST_AUTH_LEVEL", EVIL),
             ("RPC_TRANSIT_UPSTREAM_USER", EVIL)]

    def daemon(self, service, listener=None, **policy):
        rules = [{"match": {fact: {"regex": EVIL}}, "fault": {"abort": "overload"}} for fact in (
            "meta.user", "meta.auth-level", "header.x-internal-id", "int.4")]
        return self.pinned(service, {**self.LISTENER, **(listener or {})}, routes=rules, **policy)

    def test_names_that_no_caller_may_state(self):
        """All that is not reserved stays: who says that it calls, too."""
        service = self.upstream()
        daemon = self.daemon(service)
        parts = [(INT, [(3, "shop.cart"), (4, EVIL)]), (STR, [*self.NAMES, *HONEST.items()]),
                 (INT, [(20, "Add"), (4, "evil two")]), (ACL, "token")]
        self.lie(daemon, "ttheader_framed", parts=parts)
        self.assertEqual(unpack_sections(service.packets[-1].raw), [
            (INT, 3, "shop.cart"), *((STR, k, v) for k, v in HONEST.items()), (INT, 20, "Add"),
            (ACL, None, "token")])
        self.assert_counted(daemon, identity=0, acl=0, int=2, header=2, persistent=2, transient=2)

    def test_fields(self):
        service = self.h2_upstream()
        daemon = self.daemon(service, protocol="grpc")
        honest = [("source-service", "shop.cart"), ("x-own", "1"), ("rpc-persist-tenant", "blue")]
        self.assert_echoed(self.client(daemon).call(more=[
            ("rpc-persist-user", EVIL), *honest, ("rpc-transit-user", EVIL), ("x-internal-a", EVIL),
            ("rpc-transit-auth-x", EVIL), ("x_internal_b", EVIL)]))
        (_, stream), = service.await_calls(1)
        self.assertNotIn(EVIL, repr(stream.fields))
        self.assertEqual([f for f in stream.fields if f in honest], honest)


class Changes(H2TestCase):
    ROUTE = {"remove": ["meta.debug"], "rename": {"meta.user-id": "meta.user",
                                                  "header.x-old": {"to": "header.x-new",
                                                                   "when": "absent"}},
             "copy": {"caller": "meta.from", "source": "header.x-source", "field.1": "meta.tenant",
                      "meta.user": {"to": "header.x-user", "when": "present"}},
             "set": {"meta.env": {"value": "gray", "when": "absent"}, "header.x-on": "1",
                     "header.x-was": {"value": "2", "when": "present"}}}

    def assert_changed(self, raw, expected):
        found = {(k if isinstance(k, str) else "int.%d" % k): v for _, k, v in unpack_sections(raw)}
        self.assertEqual({k: found.get(k) for k in expected}, expected)

    def call(self, daemon, strs, listener="in"):
        with self.caller(daemon, "ttheader_framed", listener) as caller:
            caller.call(text="acme", ints={3: "shop.cart"}, strs=strs)

    def test_each_change_and_its_conditions(self):
        service, copies = self.upstream(), self.upstream()
        daemon = self.pinned(service, routes=[{**self.ROUTE, "mirror": "other"}], config={
            "services": {"svc": {"endpoints": [service.address],
                                 "routes": [{**self.ROUTE, "mirror": "other"}]},
                         "other": {"endpoints": [copies.address]}}})
        self.call(daemon, {"RPC_PERSIST_USER_ID": "7", "RPC_PERSIST_DEBUG": "1", "x-old": "a",
                           "x-was": "1"})
        changed = {"RPC_PERSIST_user": "7", "RPC_PERSIST_USER_ID": None, "RPC_PERSIST_DEBUG": None,
                   "x-old": None, "x-new": "a", "RPC_PERSIST_from": "shop.cart",
                   "x-source": "127.0.0.1", "RPC_PERSIST_tenant": "acme", "x-user": None,
                   "RPC_PERSIST_env": "gray", "x-on": "1", "x-was": "2"}
        self.assert_changed(service.packets[-1].raw, changed)
        eventually(lambda: copies.packets, what="the copy")
        self.assert_changed(copies.packets[-1].raw, changed)
        self.call(daemon, {"x-old": "a", "x-new": "b", "RPC_TRANSIT_ENV": "prod", "x-user": "u",
                           "RPC_PERSIST_USER": "9"})
        self.assert_changed(service.packets[-1].raw, {
            "x-old": "a", "x-new": "b", "RPC_TRANSIT_ENV": "prod", "RPC_PERSIST_env": None,
            "x-user": "9", "RPC_PERSIST_USER": "9", "x-was": None})

    def test_what_comes_in_framed_and_goes_on_in_grpc(self):
        """field.1 is looked for in a body without a header; the header is made with it."""
        service = self.h2_upstream(InGrpc.answer_thrift)
        daemon = self.pinned(service, protocol="grpc", aliases=["pkg.Echo"], routes=[{
            "copy": {"field.1": "meta.tenant", "method": "header.x-method"}}])
        with self.caller(daemon, "framed") as caller:
            self.assertEqual(caller.call(text="acme").text, "hello")
        (_, stream), = service.await_calls(1)
        self.assertEqual((stream.get("rpc-persist-tenant"), stream.get("x-method")),
                         ("acme", "Echo"))

    def test_a_value_that_is_too_long_is_not_copied(self):
        service = self.upstream()
        daemon = self.pinned(service, protocol="ttheader", routes=[{
            "copy": {"field.1": "meta.tenant"}}])
        for length, copied in ((8192, True), (8193, False)):
            with self.caller(daemon, "framed") as caller:
                caller.call(text="x" * length)
            found = {k: v for _, k, v in unpack_sections(service.packets[-1].raw)}
            self.assertEqual("RPC_PERSIST_tenant" in found, copied, length)


class Logged(TestCase):
    # What steers a terminal, ends a line, closes a string, is no UTF-8 or hides what follows.
    HOSTILE = "a\r\nb\x1b[2J\"}\x00\x7f\x85\xff\u2028".encode("utf-8", "surrogateescape").decode(
        "latin-1")

    def assert_plain(self, text):
        self.assertFalse([c for c in text if ord(c) < 32 or ord(c) > 126], text)

    def test_names_of_callers_end_no_line_and_steer_no_terminal(self):
        """In any log, at any level, whoever may state them."""
        service = self.upstream()
        for rule in ("as_stated", "node"):
            with self.subTest(caller=rule):
                daemon = self.pinned(service, {"caller": rule}, {
                    "node": {"service": NODE}, "log": {"level": "debug"}}, metadata="base255",
                    correlate="connection")
                with self.caller(daemon, "ttheader_framed") as caller:
                    for name in (self.HOSTILE, "Echo"):
                        caller.sock.sendall(pack_call(
                            [(INT, [(2, self.HOSTILE), (3, self.HOSTILE), (6, self.HOSTILE),
                                    (20, self.HOSTILE)]),
                             (STR, [("isn", self.HOSTILE), ("rip", self.HOSTILE),
                                    ("RPC_TRANSIT_gdpr-token", self.HOSTILE)])],
                            wire.frame(wire.message(name, wire.CALL, 7, wire.arguments("x"))), 7))
                        caller.receive()
                lines = daemon.access_log(2)
                with open(daemon.access_path, "rb") as file:
                    written = file.read().decode("latin-1")
                self.assertEqual(written.count("\n"), 2)
                self.assert_plain(written.replace("\n", ""))
                self.assertEqual(lines[1]["caller"] == NODE, rule == "node")
                self.assert_plain(daemon.errors().replace("\n", ""))
                daemon.stop()
                os.unlink(daemon.access_path)


@needs(GOECHO)
class Gopkg(Peers):
    """The codec that Kitex itself uses, on both sides."""

    def test_a_stream_is_the_nodes(self):
        server = self.server(GOECHO, "stream-server", "{}")
        daemon = self.pinned(server, {"caller": "node"}, protocol="ttheader_streaming")
        said = self.run_client(GOECHO, "stream-client", daemon.address())
        came = [v.strip() for v in self.values(said, "header")]
        self.assertIn("came.3=" + NODE, came)
        self.assertNotIn("came.3=go.caller", came)
        self.assertIn("came.PERSIST_TENANT=blue", came)


@needs(GOGRPC)
class GrpcGo(Grpc):
    def test_metadata_of_grpc_go_as_ttheader(self):
        """Its user's lies become none of a TTHeader; what is no lie does."""
        service = upstream.Service()
        self.addCleanup(service.close)
        daemon = self.pinned(service, {"caller": "node"}, protocol="ttheader_framed")
        question = wire.arguments("hello")
        out = self.call(daemon, "/pkg.Echo/Echo", [question], subtype="thrift", metadata=[
            [k, v] for k, v in FIELDS])
        self.assert_ok(out)
        raw = service.packets[-1].raw
        self.assertNotIn(EVIL.encode(), raw)
        entries = unpack_sections(raw)
        self.assertEqual([v for _, k, v in entries if k == wire.FROM_SERVICE], [NODE])
        self.assertIn((STR, "RPC_PERSIST_TENANT", "blue"), entries)
