"""metadata: lookup: an application on a unix socket asks for the metadata of its call."""

import base64
import json
import os
import queue
import socket
import struct
import threading
import time
import unittest

import h2
import sockets
import tts
import wire
from bridled import IS_SANITIZED, TestCase, UnixHTTP, eventually
from h2_case import H2TestCase
from sockets import PATIENCE
from upgrading import UpgradeCase

MIB = 1 << 20
NOBODY = 65534
NO_DRAIN = {"shutdown": {"drain": "20ms", "spread": "10ms"}}  # calls that are held end with it
INTS = {wire.FROM_SERVICE: "web.front", wire.TO_SERVICE: "shop.price", wire.TO_METHOD: "Echo",
        wire.FROM_METHOD: "Page", wire.LOG_ID: "log-1", wire.RPC_TIMEOUT: "60000", 14: "spot"}
STRS = {"RPC_PERSIST_tenant": "blue", "RPC_TRANSIT_canary": "1", "Env": "prod",
        "isn": "PriceService", "rip": "10.0.0.9"}
TRACE = "0af7651916cd43dd8448eb211c80319c"


def name_of(connection):
    """Of the daemon's end, as the application sees it."""
    return connection.sock.getpeername()[1:].decode() if connection.sock.getpeername() else ""


def as_user(uid, function):
    """What @function returns in a process of that user, as JSON can say it."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgid(uid)
            os.setuid(uid)
            os.write(write, json.dumps(function()).encode())
        finally:
            os._exit(0)
    os.close(write)
    with open(read, "rb") as said:
        text = said.read()
    os.waitpid(child, 0)
    return json.loads(text)


class LookupCase(TestCase):
    """The application holds each call until it is told to answer."""

    def setUp(self):
        super().setUp()
        self.held = queue.Queue()
        os.chmod(self.directory, 0o755)

    def hold(self, connection, packet):
        self.held.put((connection, packet))

    def lookup(self, listener=None, config=None, behaviour=None, **more):
        self.service = self.upstream(behaviour or self.hold, "app.sock")
        self.daemon = self.pinned(self.service, listener, {**NO_DRAIN, **(config or {})},
                                  **{"protocol": "framed", "metadata": "lookup", **more})
        return self.daemon

    def get(self, target, method="GET", path=None, headers=()):
        """(status, what the JSON says)"""
        connection = UnixHTTP(path or self.path("metadata.sock"))
        try:
            connection.request(method, target, headers=dict(headers))
            answer = connection.getresponse()
            body = answer.read()
            return answer.status, json.loads(body) if body else None
        finally:
            connection.close()

    def ask(self, connection, query=""):
        return self.get("/meta/" + name_of(connection) + query)

    def in_hand(self):
        return self.held.get(timeout=PATIENCE)

    def told(self, connection, query=""):
        status, told = self.ask(connection, query)
        self.assertEqual(status, 200, told)
        return told

    def assert_refused_to_tell(self, asked, status, words):
        self.assertEqual(asked[0], status, asked)
        self.assertRegex(asked[1]["error"], words)

    def in_flight(self, caller=None, **call):
        """A call that its application holds: the caller, the connection, the call as it came."""
        caller = caller or self.caller(self.daemon, "ttheader_framed")
        caller.send(**call)
        return (caller, *self.in_hand())


class WhatIsToldTest(LookupCase):
    def test_a_framed_application_learns_what_a_ttheader_says(self):
        daemon = self.lookup()
        before = time.time() * 1000
        caller, connection, packet = self.in_flight(seq=77, ints=INTS, strs=STRS, acl="token")
        told = self.told(connection)
        after = time.time() * 1000
        self.assertRegex(told["name"], r"^bridled-%d-\d+-[0-9a-f]{16}$" % daemon.process.pid)
        deadline, left = told.pop("deadline_ms"), told.pop("time_left_ms")
        self.assertTrue(before + 59900 < deadline < after + 60100, (before, deadline))
        self.assertTrue(60000 - (after - before) - 100 < left <= 60000, left)
        self.assertEqual(told, {
            "name": name_of(connection), "service": "svc", "idl_service": "PriceService",
            "method": "Echo", "seq": 77, "caller": "web.front", "caller_method": "Page",
            "log_id": "log-1", "trace_id": "",
            "source": "%s:%d" % caller.sock.getsockname(), "persistent": {"tenant": "blue"},
            "transient": {"canary": "1", "gdpr-token": "token"}, "headers": {"Env": "prod"},
            "ints": {"int.14": "spot"}})
        self.assertEqual(packet.seq, 77)
        connection.answer(packet)
        self.assertEqual(caller.receive().text, "hello")

    def test_every_form_of_an_application(self):
        for protocol in ("buffered", "framed", "ttheader_framed", "ttheader_bare", "same"):
            daemon = self.lookup(protocol=protocol)
            with self.subTest(protocol=protocol):
                caller, connection, packet = self.in_flight(ints=INTS, strs=STRS)
                told = self.told(connection)
                self.assertEqual((told["caller"], told["persistent"], told["seq"]),
                                 ("web.front", {"tenant": "blue"}, packet.seq))
                connection.answer(packet)
                caller.receive()
            daemon.stop()

    def test_a_caller_without_a_header(self):
        self.lookup()
        _, connection, packet = self.in_flight(self.caller(self.daemon, "framed"))
        told = self.told(connection)
        self.assertEqual((told["service"], told["method"], told["seq"], told["caller"]),
                         ("svc", "Echo", packet.seq, ""))
        self.assertEqual((told["persistent"], told["transient"], told["headers"], told["ints"]),
                         ({}, {}, {}, {}))
        self.assertNotEqual(told["log_id"], "")

    def test_time_without_a_limit_and_time_that_passes(self):
        self.lookup(timeout={"call": "none", "default": "none"})
        _, connection, packet = self.in_flight(self.caller(self.daemon, "framed"))
        told = self.told(connection)
        self.assertEqual((told["deadline_ms"], told["time_left_ms"]), (None, None))
        connection.answer(packet)
        _, connection, _ = self.in_flight(ints={wire.RPC_TIMEOUT: "50000"})
        first = self.told(connection)
        eventually(lambda: self.told(connection)["time_left_ms"] < first["time_left_ms"] - 20)
        self.assertAlmostEqual(self.told(connection)["deadline_ms"], first["deadline_ms"], delta=50)

    def test_what_the_rules_of_a_route_change(self):
        rules = {"set": {"meta.lane": "7", "header.Shift": "late", "int.15": "ring"},
                 "remove": ["meta.canary", "int.14"]}
        self.lookup(routes=[rules])
        _, connection, _ = self.in_flight(ints=INTS, strs=STRS)
        told = self.told(connection)
        self.assertEqual((told["persistent"], told["transient"], told["headers"], told["ints"]),
                         ({"tenant": "blue", "lane": "7"}, {}, {"Env": "prod", "Shift": "late"},
                          {"int.15": "ring"}))

    def test_a_caller_that_the_listener_names(self):
        self.lookup({"caller": "node"})
        _, connection, _ = self.in_flight(ints=INTS, strs=STRS)
        self.assertEqual(self.told(connection)["caller"], "test.node")

    def test_the_context_of_a_trace(self):
        self.lookup()
        parent = "00-%s-b7ad6b7169203331-01" % TRACE
        _, connection, _ = self.in_flight(strs={"RPC_TRANSIT_traceparent": parent})
        told = self.told(connection)
        self.assertEqual(told["trace_id"], TRACE)
        self.assertIn(TRACE, told["transient"]["traceparent"])

    def test_bytes_that_are_no_text(self):
        raw = {"RPC_PERSIST_raw": b"\xff\0\x01".decode("latin-1"),
               b"RPC_PERSIST_\xfe".decode("latin-1"): "x",
               "RPC_PERSIST_text": "\u00e4\u65e5".encode().decode("latin-1"),
               "RPC_PERSIST_quote": 'a"b\\c\n\x7f', "RPC_PERSIST_empty": ""}
        self.lookup()
        _, connection, _ = self.in_flight(strs=raw)
        self.assertEqual(self.told(connection)["persistent"], {
            "raw": {"base64": base64.b64encode(b"\xff\0\x01").decode()},
            "base64:" + base64.b64encode(b"\xfe").decode(): "x",
            "text": "\u00e4\u65e5", "quote": 'a"b\\c\n\x7f', "empty": ""})

    def test_a_key_that_comes_twice_is_told_once(self):
        pairs = [("RPC_PERSIST_k", "first"), ("RPC_PERSIST_k", "last"), ("RPC_TRANSIT_k", "t"),
                 ("k", "h"), ("k", "H")]
        body = b"\0\0\x01" + struct.pack(">H", len(pairs))
        body += b"".join(wire.text16(k) + wire.text16(v) for k, v in pairs)
        body += b"\0" * (-len(body) % 4)
        self.lookup()
        caller = self.caller(self.daemon, "ttheader_framed")
        payload = wire.frame(wire.message("Echo", wire.CALL, 3, wire.arguments("x")))
        caller.sock.sendall(wire.pack_ttheader(body, payload, 3))
        connection, _ = self.in_hand()
        text = self.get_text(connection)
        told = json.loads(text)
        self.assertEqual((told["persistent"], told["transient"], told["headers"]),
                         ({"k": "last"}, {"k": "t"}, {"k": "H"}))
        self.assertEqual(text.count('"k":'), 3)

    def get_text(self, connection):
        asking = UnixHTTP(self.path("metadata.sock"))
        asking.request("GET", "/meta/" + name_of(connection))
        text = asking.getresponse().read().decode()
        asking.close()
        return text

    def test_a_header_as_long_as_may_be(self):
        strs = {"RPC_PERSIST_%d" % i: "\1" * 1000 for i in range(60)}
        self.lookup()
        _, connection, _ = self.in_flight(strs=strs)
        self.assertEqual(self.told(connection)["persistent"],
                         {"%d" % i: "\1" * 1000 for i in range(60)})
        many = {"RPC_PERSIST_%d" % i: "" for i in range(900)}
        _, connection, _ = self.in_flight(strs=many)
        self.assertEqual(len(self.told(connection)["persistent"]), 900)


class WhichCallTest(LookupCase):
    def test_between_two_calls_there_is_nothing_to_tell(self):
        self.lookup()
        caller, connection, packet = self.in_flight(ints=INTS)
        connection.answer(packet)
        caller.receive()
        asked = eventually(lambda: self.not_ok(connection))
        self.assert_refused_to_tell(asked, 404, "no call is in flight")
        _, again, _ = self.in_flight(caller, ints={**INTS, wire.LOG_ID: "log-2"})
        self.assertIs(again, connection)
        self.assertEqual(self.told(connection)["log_id"], "log-2")

    def not_ok(self, connection, query=""):
        asked = self.ask(connection, query)
        return asked if asked[0] != 200 else None

    def test_a_sequence_id_has_to_be_that_of_the_call(self):
        self.lookup()
        for seq in (5, -5, 0, -2147483648):
            caller, connection, packet = self.in_flight(seq=seq)
            self.assertEqual(self.told(connection, "?seq=%d" % seq)["seq"], seq)
            self.assert_refused_to_tell(self.ask(connection, "?seq=6"), 404, "sequence id")
            connection.answer(packet)
            caller.receive()

    def test_a_call_that_its_caller_gave_up_is_over(self):
        self.lookup()
        caller, connection, _ = self.in_flight()
        self.told(connection)
        sockets.reset(caller.sock)
        asked = eventually(lambda: self.not_ok(connection))
        self.assertEqual(asked[0], 404)

    def test_calls_at_once_have_names_of_their_own(self):
        self.lookup()
        flying = [self.in_flight(ints={wire.LOG_ID: "log-%d" % i}) for i in range(8)]
        self.assertEqual(len({name_of(connection) for _, connection, _ in flying}), 8)
        for i, (_, connection, _) in enumerate(flying):
            self.assertEqual(self.told(connection)["log_id"], "log-%d" % i)

    def test_calls_that_share_a_connection_are_told_apart_by_their_sequence_id(self):
        self.lookup(config={"workers": 1}, protocol="ttheader", multiplex=True)
        flying = [self.in_flight(seq=1, ints={wire.LOG_ID: "log-%d" % i}) for i in range(3)]
        connection = flying[0][1]
        self.assertEqual({c for _, c, _ in flying}, {connection})
        self.assert_refused_to_tell(self.ask(connection), 409, r"\?seq=N")
        for i, (_, _, packet) in enumerate(flying):
            told = self.told(connection, "?seq=%d" % packet.seq)
            self.assertEqual((told["log_id"], told["seq"]), ("log-%d" % i, packet.seq))
        for caller, _, packet in flying[1:]:
            connection.answer(packet)
            caller.receive()
        self.assertEqual(self.told(connection)["log_id"], "log-0")

    def test_oneways_are_told_apart_although_their_callers_number_them_alike(self):
        self.lookup(config={"workers": 1})
        for i in range(3):
            caller = self.caller(self.daemon, "ttheader_framed")
            caller.send("Log", kind=wire.ONEWAY, seq=9, ints={wire.LOG_ID: "log-%d" % i})
            connection, packet = self.in_hand()
            told = self.told(connection, "?seq=%d" % packet.seq)
            self.assertEqual((told["log_id"], told["method"], told["seq"]),
                             ("log-%d" % i, "Log", packet.seq))
            if i == 0:
                self.assertEqual(self.told(connection)["log_id"], "log-0")
        self.assert_refused_to_tell(self.ask(connection), 409, r"\?seq=N")
        self.assert_refused_to_tell(self.ask(connection, "?seq=0"), 404, "in flight")
        self.assert_refused_to_tell(self.ask(connection, "?seq=99"), 404, "in flight")

    def test_of_many_oneways_the_last_ones_are_known(self):
        self.lookup(config={"workers": 1})
        caller = self.caller(self.daemon, "ttheader_framed")
        for i in range(300):
            caller.send("Log", kind=wire.ONEWAY, ints={wire.LOG_ID: "log-%d" % i})
        came = [self.in_hand() for _ in range(300)]
        for i in (299, 200, 44):
            connection, packet = came[i]
            self.assertEqual(self.told(connection, "?seq=%d" % packet.seq)["log_id"], "log-%d" % i)
        connection, packet = came[43]
        self.assert_refused_to_tell(self.ask(connection, "?seq=%d" % packet.seq), 404, "in flight")


class StreamsTest(LookupCase, H2TestCase):
    def test_streams_of_http2_by_their_number(self):
        self.peers = queue.Queue()
        service = self.h2_upstream(self.keep, "app.sock")
        daemon = self.pinned(service, config={"workers": 1, **NO_DRAIN}, protocol="grpc",
                             metadata="lookup")
        client = self.client(daemon)
        for i in range(2):
            fields = h2.call_fields("/pkg.Svc/M%d" % i, more=[("rpc-persist-tenant", "t%d" % i),
                                                               ("source-service", "web")])
            client.open(fields)
        peers = [self.peers.get(timeout=PATIENCE) for _ in range(2)]
        self.assertIs(peers[0][0], peers[1][0])
        self.assertEqual(self.ask(peers[0][0])[0], 409)
        for peer, number, path in peers:
            told = self.told(peer, "?seq=%d" % number)
            i = path[-1]
            self.assertEqual((told["method"], told["idl_service"], told["seq"], told["caller"]),
                             ("M" + i, "Svc", number, "web"))
            self.assertEqual(list(told["persistent"].values()), ["t" + i])

    def test_streams_of_ttheader_by_their_number(self):
        came = queue.Queue()

        def keep(peer, frame):
            if frame is not None and frame.kind == tts.HEADER:
                came.put((peer, frame))

        service = tts.Upstream(keep, self.path("app.sock"))
        self.addCleanup(service.close)
        daemon = self.pinned(service, config={"workers": 1, **NO_DRAIN}, metadata="lookup",
                             protocol="ttheader_streaming")
        client = tts.Client(daemon.address())
        self.addCleanup(client.close)
        for i in range(2):
            client.open("M%d" % i, strs={"RPC_PERSIST_tenant": "t%d" % i, "Env": "prod"})
        for _ in range(2):
            peer, frame = came.get(timeout=PATIENCE)
            told = self.told(peer, "?seq=%d" % frame.stream)
            self.assertEqual((told["method"], told["seq"], told["headers"]),
                             (frame.method, frame.stream, {"Env": "prod"}))
            self.assertEqual(told["persistent"], {"tenant": "t" + frame.method[-1]})
        self.assertEqual(self.ask(peer)[0], 409)

    def keep(self, peer, frame):
        stream = frame is not None and peer.streams.get(frame.stream)
        if stream and stream.blocks and frame.kind == h2.HEADERS:
            self.peers.put((peer, frame.stream, dict(stream.blocks[0])[":path"]))


class WhoMayAskTest(LookupCase):
    def listen_as(self, uid):
        """The application listens as that user; who is connected to it is told that one."""
        service = self.upstream(self.hold, "app.sock")
        os.chmod(self.path("app.sock"), 0o666)
        os.seteuid(uid)
        try:
            service.listener.listen(64)
        finally:
            os.seteuid(0)
        self.service = service
        self.daemon = self.pinned(service, config=NO_DRAIN, protocol="framed", metadata="lookup")

    @unittest.skipIf(os.geteuid() != 0, "not allowed here: to be other users")
    def test_of_its_own_calls_each_user_is_told_and_of_no_others(self):
        self.listen_as(NOBODY)
        _, connection, _ = self.in_flight(acl="token", strs={"RPC_PERSIST_a": "b"})
        status, told = as_user(NOBODY, lambda: self.ask(connection))
        self.assertEqual((status, told["transient"], told["persistent"]),
                         (200, {"gdpr-token": "token"}, {"a": "b"}))
        asked = as_user(NOBODY - 1, lambda: self.ask(connection))
        self.assert_refused_to_tell(asked, 403, "another user")
        told = self.told(connection)  # root, but the token is not for it
        self.assertEqual((told["transient"], told["persistent"]), ({}, {"a": "b"}))

    @unittest.skipIf(os.geteuid() != 0, "not allowed here: to be other users")
    def test_nobody_says_who_asks_but_a_process_that_is_trusted(self):
        self.listen_as(0)
        _, connection, _ = self.in_flight(acl="token")
        asked = as_user(NOBODY, lambda: self.ask(connection, "?uid=0"))
        self.assertEqual(asked[0], 400)
        self.assertEqual(self.ask(connection, "?uid=%d" % NOBODY)[0], 403)

    def test_names_that_are_none(self):
        self.lookup()
        _, connection, _ = self.in_flight()
        name = name_of(connection)
        prefix, _, number = name.rpartition("-")
        for wrong in ("", "x", name[:-1], name + "0", prefix + "-" + number.upper() + "A",
                      prefix + "-" + "0" * 16, "bridled-1-0-" + number, name + "%00",
                      "%00%00" + name, "@@" + name, name + "@", "%0" + name, "%2500" + name,
                      prefix + "0-" + number, name.replace("bridled", "Bridled"), "a" * 4000,
                      "bridled--0-" + number, "bridled-99999999999999999999-0-" + number,
                      "%63" + name[1:], name + "/", "../" + name):
            self.assert_refused_to_tell(self.get("/meta/" + wrong), 404, "no connection")
        self.told(connection)

    def test_a_name_may_be_spelled_as_the_kernel_and_tools_do(self):
        self.lookup()
        _, connection, packet = self.in_flight()
        name = name_of(connection)
        for spelled in ("%00" + name, "@" + name, "%40" + name, "%62" + name[1:],
                        name.replace("-", "%2D"), name.replace("-", "%2d")):
            for query in ("", "?seq=%d" % packet.seq):
                status, told = self.get("/meta/" + spelled + query)
                self.assertEqual((status, told.get("name")), (200, name), spelled)

    def test_what_was_answered_is_counted(self):
        self.lookup()
        _, connection, packet = self.in_flight()
        self.told(connection)
        self.told(connection)
        self.ask(connection, "?seq=%d" % (packet.seq + 1))
        self.get("/meta/" + name_of(connection)[:-4] + "0000")
        for answer, count in (("told", 2), ("no_call", 1), ("unknown", 1), ("several", 0)):
            self.assert_metric(self.daemon, count, "bridle_metadata_asked_total", answer=answer)

    def test_what_cannot_be_asked(self):
        self.lookup()
        _, connection, _ = self.in_flight()
        for target in ("/", "/metrics", "/meta", "/metb/x"):
            self.assert_refused_to_tell(self.get(target), 404, "/meta/NAME")
        for method in ("POST", "PUT", "DELETE"):
            self.assertEqual(self.get("/meta/" + name_of(connection), method)[0], 405)
        self.assertEqual(self.get("/meta/" + name_of(connection), "HEAD"), (200, None))
        for query in ("?seq=", "?seq=x", "?seq=2147483648", "?seq=-2147483649", "?seq", "?a=b",
                      "?seq=1&x=2"):
            self.assertEqual(self.ask(connection, query)[0], 400, query)
        self.told(connection)

    def test_requests_that_are_none(self):
        self.lookup()
        for raw in (b"\0" * 100, b"GET /meta/\0\0 HTTP/1.1\r\n\r\n", b"G" * 20000,
                    b"GET /meta/x HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n"):
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(PATIENCE)
            sock.connect(self.path("metadata.sock"))
            sock.sendall(raw)
            sock.shutdown(socket.SHUT_WR)
            try:
                said = sock.recv(4096)
            except ConnectionError:
                said = b""
            self.assertTrue(said == b"" or said.startswith(b"HTTP/1.1 4"), (raw[:40], said))
            sock.close()
        _, connection, _ = self.in_flight()
        self.told(connection)

    def test_askers_that_do_not_wait(self):
        self.lookup()
        _, connection, _ = self.in_flight()
        request = b"GET /meta/%s HTTP/1.1\r\nHost: x\r\n\r\n" % name_of(connection).encode()
        for _ in range(300):
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(self.path("metadata.sock"))
            sock.sendall(request)
            sock.close()
        self.told(connection)

    def test_who_asks_again_and_again_takes_no_memory(self):
        self.lookup(config={"tracing": {"propagate": ["w3c", "b3", "kitex"]}})
        _, connection, _ = self.in_flight(ints=INTS, strs=STRS)
        request = b"GET /meta/%s HTTP/1.1\r\nHost: x\r\n\r\n" % name_of(connection).encode()
        sock = socket.socket(socket.AF_UNIX)
        self.addCleanup(sock.close)
        sock.settimeout(PATIENCE)
        sock.connect(self.path("metadata.sock"))

        def ask(times):
            for _ in range(times):
                sock.sendall(request)
                self.assertEqual(sock.recv(65536)[:12], b"HTTP/1.1 200")

        ask(500)
        before = self.daemon.rss()
        ask(5000)
        if not IS_SANITIZED:  # they keep what is freed
            self.assertLess(self.daemon.rss() - before, 8 * MIB)

    def test_a_body_that_tells_of_metadata_is_told_like_a_header(self):
        self.lookup({"metadata": "base255"})
        extra = {b"RPC_PERSIST_tenant": b"blue", b"Env": b"prod"}
        pairs = b"".join(wire.text32(k) + wire.text32(v) for k, v in extra.items())
        base = (wire.string_field(1, "log-1") + wire.string_field(2, "web.front") +
                struct.pack(">BHBBI", wire.MAP, 6, wire.STRING, wire.STRING, len(extra)) + pairs)
        request = struct.pack(">BH", wire.STRUCT, 255) + base + b"\0"
        body = struct.pack(">BH", wire.STRUCT, 1) + request + b"\0\0"
        caller = self.caller(self.daemon, "framed")
        caller.send("Echo", body=body)
        connection, packet = self.in_hand()
        told = self.told(connection)
        self.assertEqual((told["caller"], told["log_id"], told["persistent"], told["headers"]),
                         ("web.front", "log-1", {"tenant": "blue"}, {"Env": "prod"}))
        self.assertEqual(packet.body, body)

    def test_askers_at_rest_leave_room_for_others(self):
        self.lookup()
        _, connection, _ = self.in_flight()
        resting = []
        for _ in range(200):
            sock = socket.socket(socket.AF_UNIX)
            self.addCleanup(sock.close)
            sock.connect(self.path("metadata.sock"))
            resting.append(sock)
        self.told(connection)
        request = b"GET /meta/%s HTTP/1.1\r\nHost: x\r\n\r\n" % name_of(connection).encode()
        for sock in resting:
            sock.settimeout(PATIENCE)
            sock.sendall(request)
        self.assertEqual({sock.recv(12) for sock in resting}, {b"HTTP/1.1 200"})

    def test_many_threads_of_an_application(self):
        def tell(connection, packet):
            _, told = self.ask(connection)
            connection.write(packet.answer(wire.result(told["log_id"])))

        daemon = self.lookup(behaviour=tell)
        wrong = []

        def run(number):
            with self.caller(daemon, "ttheader_framed") as caller:
                for i in range(20):
                    log_id = "log-%d-%d" % (number, i)
                    if (text := caller.call(ints={wire.LOG_ID: log_id}).text) != log_id:
                        wrong.append((log_id, text))

        threads = [threading.Thread(target=run, args=(n,)) for n in range(24)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])


class FormerTest(LookupCase):
    """What stands in the place of a process that was replaced."""

    PROCESS = 4194303  # the highest there can be: nobody has it

    def stand_in(self, said, uid=None):
        """Answers with those bytes and closes; None: with nothing, for ever."""
        door = socket.socket(socket.AF_UNIX)
        self.addCleanup(door.close)
        door.bind("\0bridled-%d-metadata" % self.PROCESS)
        if uid is not None:
            os.seteuid(uid)
        try:
            door.listen(8)
        finally:
            if uid is not None:
                os.seteuid(0)
        heard = []

        def serve():
            try:
                connection, _ = door.accept()
            except OSError:
                return
            connection.settimeout(PATIENCE)
            heard.append(connection.recv(4096))
            if said is None:
                heard.append(connection.recv(4096))
            else:
                connection.sendall(said)
            connection.close()

        threading.Thread(target=serve, daemon=True).start()
        return door, heard

    def ask_former(self):
        return self.get("/meta/bridled-%d-0-00000000000000ab?seq=7" % self.PROCESS)

    def test_its_answer_is_passed_back(self):
        self.lookup()
        _, heard = self.stand_in(b"HTTP/1.1 409 X\r\nA: b\r\n\r\n{\"error\":\"so it is\"}")
        self.assertEqual(self.ask_former(), (409, {"error": "so it is"}))
        self.assertTrue(heard[0].startswith(
            b"GET /meta/bridled-%d-0-00000000000000ab?uid=%d&seq=7 HTTP/1.1\r\n"
            % (self.PROCESS, os.geteuid())), heard)

    def test_an_answer_that_is_none_is_none(self):
        self.lookup()
        for said in (b"", b"HTTP/1.1 200 OK\r\n", b"\r\n\r\n", b"nonsense of any kind\r\n\r\n{}",
                     None):
            door, _ = self.stand_in(said)
            self.assert_refused_to_tell(self.ask_former(), 404, "is gone")
            door.shutdown(socket.SHUT_RDWR)
            door.close()

    @unittest.skipIf(os.geteuid() != 0, "not allowed here: to be other users")
    def test_another_users_process_is_not_asked(self):
        self.lookup()
        _, heard = self.stand_in(b"HTTP/1.1 200 OK\r\n\r\n{}", NOBODY)
        self.assert_refused_to_tell(self.ask_former(), 404, "no connection")
        self.assertEqual(b"".join(heard), b"")


class DoorTest(LookupCase):
    def config(self, metadata, **more):
        return {"node": {"service": "test.node"}, "workers": 1,
                "listeners": [{"name": "in", "address": "127.0.0.1:0", "service": "svc"}],
                "services": {"svc": {"endpoints": [self.service.address], "protocol": "framed",
                                     "metadata": metadata}}, **{**NO_DRAIN, **more}}

    def started(self, metadata, **more):
        self.service = self.upstream(self.hold, "app.sock")
        self.daemon = self.bridled(self.config(metadata, **more))
        return self.daemon

    def has_socket(self, name="metadata.sock"):
        return os.path.exists(self.path(name))

    def test_it_is_there_only_where_an_application_asks(self):
        self.started("drop")
        self.assertFalse(self.has_socket())
        self.daemon.reload(self.config("lookup"))
        self.assertTrue(self.has_socket())
        self.assertEqual(os.stat(self.path("metadata.sock")).st_mode & 0o777, 0o666)
        self.daemon.reload(self.config("drop"))
        self.assertFalse(self.has_socket())
        self.daemon.reload(self.config("drop", metadata_socket=self.path("other.sock")))
        self.assertTrue(self.has_socket("other.sock"))
        self.daemon.stop()
        self.assertFalse(self.has_socket("other.sock"))

    def test_it_moves_with_its_path(self):
        self.started("lookup")
        self.daemon.reload(self.config("lookup", metadata_socket=self.path("b.sock")))
        self.assertEqual((self.has_socket(), self.has_socket("b.sock")), (False, True))
        _, connection, _ = self.in_flight()
        status, told = self.get("/meta/" + name_of(connection), path=self.path("b.sock"))
        self.assertEqual((status, told["method"]), (200, "Echo"))

    def test_connections_without_a_name_give_way_to_some_with_one(self):
        self.started("drop")
        caller, connection, packet = self.in_flight()
        self.assertEqual(name_of(connection), "")
        connection.answer(packet)
        caller.receive()
        self.daemon.reload(self.config("lookup"))

        def has_name():
            _, fresh, call = self.in_flight(caller)
            named = name_of(fresh) != "" and self.ask(fresh)[0] == 200
            fresh.answer(call)
            caller.receive()
            return named

        eventually(has_name)

    def test_a_path_that_cannot_be_had_is_no_reload(self):
        self.started("lookup")
        before = self.daemon.get_json("/status")["config"]["hash"]
        with open(self.path("file"), "w", encoding="ascii"):
            pass
        self.daemon.write_config(self.config("lookup", metadata_socket=self.path("file")))
        status, text = self.daemon.get("/reload", "POST")
        self.assertNotEqual(status, 200)
        self.assertIn("metadata_socket", text)
        self.assertEqual(self.daemon.get_json("/status")["config"]["hash"], before)
        _, connection, _ = self.in_flight()
        self.told(connection)

    def test_who_asks_while_the_daemon_stops_is_told(self):
        self.started("lookup", shutdown={"drain": "20s", "spread": "10ms"})
        caller, connection, packet = self.in_flight(ints=INTS)
        self.daemon.signal(15)
        eventually(lambda: self.daemon.get_json("/status")["state"] == "draining")
        self.assertEqual(self.told(connection)["caller"], "web.front")
        connection.answer(packet)
        caller.receive()
        self.daemon.wait()
        self.assertFalse(self.has_socket())

    def test_endpoints_that_are_no_unix_sockets_have_no_names(self):
        service = self.upstream(self.hold)
        self.daemon = self.pinned(service, protocol="framed", metadata="lookup")
        _, connection, packet = self.in_flight()
        self.assertEqual(connection.sock.getpeername()[0], "127.0.0.1")
        connection.answer(packet)


class UpgradeTest(LookupCase, UpgradeCase):
    def run_upgraded(self):
        self.service = self.upstream(self.hold, "app.sock")
        config = self.config(self.service)
        config["services"]["svc"].update({"protocol": "framed", "metadata": "lookup"})
        self.daemon = self.run_daemon({**config, **NO_DRAIN, "upgrade": {"drain": "20s"}})

    def test_either_process_tells_of_its_calls_by_the_one_socket(self):
        self.run_upgraded()
        caller, old, packet = self.in_flight(ints=INTS, acl="token")
        first = self.told(old)
        name = name_of(old)
        self.daemon.upgrade()
        second = self.told(old)
        for told in (first, second):
            del told["time_left_ms"], told["deadline_ms"]
        self.assertEqual(second, first)
        self.assertEqual(self.told(old, "?seq=%d" % packet.seq)["seq"], packet.seq)
        self.assertEqual(self.ask(old, "?seq=%d" % (packet.seq + 1))[0], 404)
        _, new, call = self.in_flight(strs=STRS)
        self.assertIn("-%d-" % self.daemon.process.pid, self.told(new)["name"])
        old.answer(packet)
        caller.receive()
        new.answer(call)
        caller.close()
        self.daemon.await_former()
        self.assert_refused_to_tell(self.get("/meta/" + name), 404, "no connection")
        self.told_again()

    def told_again(self):
        """The socket is still that of the process that serves."""
        _, connection, packet = self.in_flight()
        self.told(connection)
        connection.answer(packet)

    def test_a_process_that_fails_to_take_over_leaves_the_socket(self):
        self.run_upgraded()
        self.daemon.install_script("sys.exit(3)")
        status, _ = self.daemon.post("/upgrade")
        self.assertNotEqual(status, 200)
        self.told_again()
        self.daemon.install_script("doors(); say(READY); hear(); os.unlink(%r); sys.exit(3)"
                                   % self.path("metadata.sock"))
        status, _ = self.daemon.post("/upgrade")
        self.assertNotEqual(status, 200)
        self.told_again()
