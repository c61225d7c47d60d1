"""Looking on: GET /tap and bridlectl tap, while calls go by."""

import base64
import http.client
import json
import re
import signal
import subprocess
import time
import urllib.parse

import h2
import h2_upstream
import sockets
import tts
import upstream
import wire
from bridled import CTL, SLOWER, STOP_SECONDS, TestCase, UnixHTTP, eventually, http_get
from h2_case import H2TestCase
from upgrading import UpgradeCase

TAPS = 8  # at a time
MIB = 1 << 20
HIDDEN = "<redacted>"


class Tap:
    """An open GET /tap; its answer has begun, so that no call is missed from here on."""

    def __init__(self, daemon, query=(), **more):
        self.connection = UnixHTTP(daemon.admin_path)
        target = "/tap"
        pairs = [*query, *more.items()]
        if pairs:
            target += "?" + urllib.parse.urlencode(pairs, quote_via=urllib.parse.quote)
        self.connection.request("GET", target)
        self.answer = self.connection.getresponse()

    @property
    def status(self):
        return self.answer.status

    def line(self):
        """The next one; None at the end."""
        raw = self.answer.readline()
        return json.loads(raw) if raw else None

    def lines(self, count=None):
        """So many, or all to the end."""
        found = []
        while count is None or len(found) < count:
            line = self.line()
            if line is None:
                return found
            found.append(line)
        return found

    def close(self):
        self.answer.close()
        self.connection.close()


class TapCase(TestCase):
    begun = 0  # taps that the daemon has opened, and has told in its log or will

    def tap(self, daemon, *args, **query):
        tap = Tap(daemon, *args, **query)
        self.addCleanup(tap.close)
        self.begun += tap.status == 200
        return tap

    def good_tap(self, daemon, *args, **query):
        tap = self.tap(daemon, *args, **query)
        if tap.status != 200:
            raise AssertionError("%d %s" % (tap.status, tap.answer.read()))
        return tap


class Lines(TapCase):
    def test_a_call_is_seen_as_in_the_access_log(self):
        service = self.upstream(upstream.echo)
        daemon = self.pinned(service)
        tap = self.good_tap(daemon)
        self.assertEqual(tap.answer.headers["Content-Type"], "application/x-ndjson")
        with self.caller(daemon, "ttheader_framed") as caller:
            caller.send("Echo", "hi", ints={3: "the.caller", 2: "log-7"})
            caller.receive()
        line = tap.line()
        (logged,) = daemon.access_log(1)
        self.assertEqual({k: line[k] for k in logged if k != "time"},
                         {k: v for k, v in logged.items() if k != "time"})
        self.assertEqual(set(line) - set(logged), {"metadata"})

    def test_metadata_of_call_and_reply_is_taken_apart(self):
        daemon = self.pinned(self.upstream(lambda c, p: c.write(p.answer(
            wire.result("x"), strs={"RPC_BACKWARD_BOX": "b", "PLAIN": "p"}))))
        tap = self.good_tap(daemon)
        with self.caller(daemon, "ttheader_framed") as caller:
            caller.send("Echo", "hi", ints={3: "the.caller", 21: "", 999: "own"}, strs={
                "RPC_PERSIST_ENV": "gray", "RPC_TRANSIT_HOP": "1", "any": "thing"})
            caller.receive()
        metadata = tap.line()["metadata"]
        self.assertEqual(metadata["call"], {
            "ints": {"from_service": "the.caller", "stress_tag": "", "999": "own"},
            "persistent": {"ENV": "gray"}, "transient": {"HOP": "1"}, "strs": {"any": "thing"}})
        self.assertEqual(metadata["reply"]["backward"], {"BOX": "b"})
        self.assertEqual(metadata["reply"]["strs"], {"PLAIN": "p"})

    def test_without_a_transport_header_there_is_no_metadata(self):
        daemon = self.pinned(self.upstream(upstream.echo))
        tap = self.good_tap(daemon)
        with self.caller(daemon) as caller:
            caller.call()
        self.assertEqual(tap.line()["metadata"], {})

    def test_bodies_when_they_are_asked_for(self):
        daemon = self.pinned(self.upstream(upstream.echo))
        tap = self.good_tap(daemon, body=16)
        with self.caller(daemon) as caller:
            caller.call(text="a text that is longer than it")
        line = tap.line()
        whole = wire.arguments("a text that is longer than it")
        self.assertEqual(base64.b64decode(line["request_body"]), whole[:16])
        self.assertEqual(line["request_body_bytes"], len(whole))
        self.assertEqual(base64.b64decode(line["reply_body"]),
                         wire.result("a text that is longer than it")[:16])
        self.assertEqual(line["payload"], "thrift")

    def test_a_name_that_stands_twice_has_all_its_values(self):
        pairs = [("RPC_PERSIST_A", "1"), ("x", "2"), ("RPC_PERSIST_A", "3")]
        header = b"\x01" + len(pairs).to_bytes(2, "big")
        header += b"".join(wire.text16(k) + wire.text16(v) for k, v in pairs)
        metadata = self.metadata_of(header)
        self.assertEqual(metadata["call"], {"persistent": {"A": ["1", "3"]}, "strs": {"x": "2"}})

    def metadata_of(self, header, **query):
        """What a tap says of a call with these info sections."""
        daemon = self.pinned(self.upstream(upstream.echo), listener={"max_header": "256KiB"})
        tap = self.good_tap(daemon, **query)
        body = b"\0\0" + header + b"\0" * (-(2 + len(header)) % 4)
        payload = wire.frame(wire.message("Echo", wire.CALL, 1, wire.arguments("hi")))
        with sockets.connect(daemon.address()) as sock:
            sock.sendall(wire.pack_ttheader(body, payload, 1))
            self.assertTrue(sock.recv(1000))
        return tap.line()["metadata"]

    def test_the_longest_header_still_makes_a_line(self):
        """As many entries as may be, of bytes that all have to be escaped."""
        entry = wire.text16(bytes(range(128, 248))) + wire.text16(b"\xff" * 120)
        metadata = self.metadata_of(b"\x01" + (1000).to_bytes(2, "big") + entry * 1000)
        self.assertEqual(metadata["call"]["left_out"] + len(
            metadata["call"].get("strs", {}).get(bytes(range(128, 248)).decode("latin-1"), ())),
                         1000)

    def test_many_different_entries(self):
        entries = b"".join(wire.text16("key%d" % i) + wire.text16("\xff" * 1000)
                           for i in range(200))
        metadata = self.metadata_of(b"\x01" + (200).to_bytes(2, "big") + entries)
        shown = metadata["call"]["strs"]
        self.assertEqual(metadata["call"]["left_out"] + len(shown), 200)
        self.assertGreater(len(shown), 10)
        for value in shown.values():
            self.assertRegex(value, "^\xff{100,256}[.][.][.]$")

    def test_calls_that_the_proxy_refuses(self):
        daemon = self.bridled({"listeners": [{"name": "in", "address": "127.0.0.1:0"}],
                               "services": {"svc": {"endpoints": ["127.0.0.1:1"]}}})
        tap = self.good_tap(daemon, errors=1)
        with self.caller(daemon, "ttheader_framed") as caller:
            caller.send("Echo", "hi", ints={wire.TO_SERVICE: "no.such.service"})
            caller.receive()
        line = tap.line()
        self.assertEqual((line["reason"], line["service"]), ("no_route", "no.such.service"))
        self.assertEqual(line["metadata"]["call"]["ints"], {"to_service": "no.such.service"})

    def test_a_long_reply_whose_head_is_gone_when_it_ends(self):
        text = "x" * (2 * MIB)
        daemon = self.pinned(self.upstream(lambda c, p: c.write(p.answer(
            wire.result(p.text), strs={"RPC_BACKWARD_BOX": "b"}))))
        tap = self.good_tap(daemon, body=4096)
        with self.caller(daemon, "ttheader_framed") as caller:
            answer = caller.call(text=text)
        self.assertEqual(answer.text, text)
        line = tap.line()
        self.assertEqual(line["metadata"]["reply"]["backward"], {"BOX": "b"})
        self.assertEqual(base64.b64decode(line["reply_body"]), wire.result(text)[:4096])
        self.assertEqual(base64.b64decode(line["request_body"]), wire.arguments(text)[:4096])
        self.assertEqual(line["reply_body_bytes"], len(wire.result(text)))
        self.assertEqual(line["request_body_bytes"], len(wire.arguments(text)))

    def test_a_oneway(self):
        daemon = self.pinned(self.upstream(upstream.echo))
        tap = self.good_tap(daemon, body=8)
        with self.caller(daemon) as caller:
            caller.send("Notify", kind=wire.ONEWAY)
            line = tap.line()
        self.assertEqual((line["kind"], line["reason"], line["reply_body"]), ("oneway", "ok", ""))


class Filters(TapCase):
    def two_services(self):
        service = self.upstream(upstream.echo)
        return self.bridled({
            "node": {"service": "test.node"},
            "listeners": [{"name": name, "address": "127.0.0.1:0", "service": name}
                          for name in ("cart", "stock")],
            "services": {name: {"endpoints": [service.address]} for name in ("cart", "stock")}})

    def calls(self, daemon):
        """Four, told apart by their log ids."""
        with self.caller(daemon, "ttheader_framed", "cart") as caller:
            caller.send("Get", ints={2: "1", 3: "shop"}, strs={"RPC_PERSIST_ENV": "gray"})
            caller.receive()
            caller.send("GetAll", ints={2: "2", 3: "shop", 21: "yes"})
            caller.receive()
        with self.caller(daemon, "ttheader_framed", "stock") as caller:
            caller.send("Get", ints={2: "3", 3: "shelf"}, strs={"RPC_TRANSIT_ENV": "prod"})
            caller.receive()
            caller.send("Put", ints={2: "4"}, strs={"own": "a & b=c%"})
            caller.receive()

    def test_by_what_lines_and_messages_say(self):
        cases = [
            ({}, "1234"),
            ({"service": "cart"}, "12"),
            ({"service!": "cart"}, "34"),
            ({"service": "*ar*"}, "12"),
            ({"service": "car"}, ""),
            ({"listener": "stock"}, "34"),
            ({"method": "Get"}, "13"),
            ({"method": "Get*"}, "123"),
            ({"method": "*t", "service": "stock"}, "34"),
            ({"method!": "Get*"}, "4"),
            ({"caller": "sh*"}, "123"),
            ({"caller": ""}, "4"),
            ({"caller!": "shop", "caller": "*"}, "34"),
            ({"reason": "ok"}, "1234"),
            ({"reason!": "ok"}, ""),
            ({"protocol": "ttheader"}, "1234"),
            ({"protocol": "grpc"}, ""),
            ({"kind": "oneway"}, ""),
            ({"endpoint": "127.0.0.1:*"}, "1234"),
            ({"source": "127.0.0.1:*"}, "1234"),
            ({"log_id": "3"}, "3"),
            ({"meta.env": "gray"}, "1"),
            ({"meta.ENV": "*"}, "1234"),
            ({"meta.env!": ""}, "13"),
            ({"header.own": "a & b=c%"}, "4"),
            ({"int.stress_tag": "yes"}, "2"),
            ({"int.21!": "yes"}, "134"),
            ({"errors": "1"}, ""),
            ({"errors": "0", "slower_than": "0us"}, "1234"),
            ({"slower_than": "5s"}, ""),
            ({"sample": "100%", "uid": ""}, "1234"),
        ]
        for first in range(0, len(cases), TAPS):
            self.check_cases(cases[first:first + TAPS])

    def check_cases(self, cases):
        daemon = self.two_services()
        taps = [(self.good_tap(daemon, query.items()), query, wanted) for query, wanted in cases]
        self.calls(daemon)
        daemon.stop()
        for tap, query, wanted in taps:
            with self.subTest(query=query):
                self.assertEqual("".join(sorted(line["log_id"] for line in tap.lines())), wanted)

    def test_what_is_no_filter_is_refused_with_words(self):
        daemon = self.two_services()
        for query, words in (
                ("bogus=1", "\"bogus\""), ("service", None), ("=x", "\"\""), ("&&", None),
                ("field.1=x", "\"field.1\""), ("time=1", "\"time\""), ("status=1", "\"status\""),
                ("int.x=1", "int key"), ("int.65536=1", "int key"), ("meta.=1", "meta."),
                ("header.=1", "header."), ("n=0", "n is"), ("n=x", "n is"), ("n=", "n is"),
                ("body=4097", "body is"), ("body=-1", "body is"), ("redact=2", "redact is"),
                ("sample=0", "sample"), ("sample=2", "sample"), ("sample=nan", "sample"),
                ("sample=101%25", "sample"), ("sample=1e-400", "sample"), ("errors=yes", "errors"),
                ("slower_than=5", "slower_than"), ("slower_than=25h", "slower_than"),
                ("slower_than=99999999999999999999s", "slower_than"),
                ("&".join(["method=x"] * 17), "16"), ("%00=1", "x00"), ("%zz=1", "%zz"),
                ("x%1b[31m=1", "x1b")):
            with self.subTest(query=query):
                connection = UnixHTTP(daemon.admin_path)
                connection.request("GET", "/tap?" + query)
                answer = connection.getresponse()
                if words is None:
                    self.assertEqual(answer.status, 200)
                else:
                    said = json.loads(answer.read())
                    self.assertEqual((answer.status, said["ok"]), (400, False))
                    self.assertIn(words, said["error"])
                answer.close()
                connection.close()

    def test_a_share_of_the_calls(self):
        daemon = self.pinned(self.upstream(upstream.echo))
        quarter = self.good_tap(daemon, sample="25%")
        every = self.good_tap(daemon, n=300)
        with self.caller(daemon) as caller:
            for _ in range(300):
                caller.call()
        self.assertEqual(len(every.lines()), 300)
        daemon.stop()
        self.assertTrue(30 < len(quarter.lines()) < 130)

    def test_slow_calls_and_those_that_fail(self):
        service = self.upstream(upstream.echo)
        daemon = self.pinned(service, methods={"Silent": {"timeout": "2s"}})
        slow = self.good_tap(daemon, slower_than="1999ms")
        bad = self.good_tap(daemon, errors=1)
        with self.caller(daemon) as caller:
            caller.call()
            service.behaviour = upstream.silent
            caller.call("Silent")
            service.behaviour = upstream.fail
            caller.call()
        self.assertEqual([l["reason"] for l in bad.lines(2)], ["timeout", "app_exception"])
        daemon.stop()
        self.assertEqual([l["reason"] for l in slow.lines()], ["timeout"])


class Secrets(TapCase):
    STRS = {"RPC_PERSIST_SESSION_TOKEN": "1", "RPC_TRANSIT_PASSWORD": "2", "Authorization": "3",
            "x-api-key": "4", "cookie": "5", "author": "6"}

    def shown(self, **query):
        daemon = self.pinned(self.upstream(lambda c, p: c.write(p.answer(
            wire.result("x"), strs={"RPC_BACKWARD_NEW_TOKEN": "7"}))))
        tap = self.good_tap(daemon, **query)
        with self.caller(daemon, "ttheader_framed") as caller:
            caller.send("Echo", "hi", ints={14: "9"}, strs=self.STRS, acl="8")
            caller.receive()
        return tap.line()["metadata"]

    def test_they_are_not_shown(self):
        metadata = self.shown()
        self.assertEqual(metadata["call"], {
            "ints": {"ring_hash_key": "9"}, "persistent": {"SESSION_TOKEN": HIDDEN},
            "transient": {"PASSWORD": HIDDEN, "gdpr-token": HIDDEN},
            "strs": {"Authorization": HIDDEN, "x-api-key": HIDDEN, "cookie": HIDDEN,
                     "author": "6"}})
        self.assertEqual(metadata["reply"]["backward"], {"NEW_TOKEN": HIDDEN})

    def test_unless_they_are_asked_for(self):
        metadata = self.shown(redact=0)
        self.assertEqual(metadata["call"]["transient"], {"PASSWORD": "2", "gdpr-token": "8"})
        self.assertEqual(metadata["call"]["strs"]["Authorization"], "3")
        self.assertEqual(metadata["reply"]["backward"], {"NEW_TOKEN": "7"})

    def test_who_looked_stands_in_the_log(self):
        daemon = self.pinned(self.upstream(upstream.echo))
        self.good_tap(daemon, redact=0, body=10, service="a\"b\x1b").close()
        eventually(lambda: "ended" in daemon.errors(), what="the end of the tap")
        self.assertRegex(daemon.errors(), "tap.* began .*secrets=shown")
        self.assertNotIn("\x1b", daemon.errors())

    def test_a_secret_that_is_looked_for_is_not_logged(self):
        daemon = self.pinned(self.upstream(upstream.echo))
        self.good_tap(daemon, **{"meta.session_token": "abc123", "method": "Echo"}).close()
        eventually(lambda: "ended" in daemon.errors(), what="the end of the tap")
        self.assertIn("meta.session_token=<redacted> method=Echo", daemon.errors())
        self.assertNotIn("abc123", daemon.errors())


class Streams(H2TestCase, TapCase):
    def test_grpc(self):
        service = self.h2_upstream(lambda peer, frame: h2_upstream.answer(
            peer, frame.stream, b"reply", [("grpc-status", "0"), ("x-last", "t")],
            [(":status", "200"), ("content-type", "application/grpc"),
             ("rpc-backward-box", "b")]) if frame and frame.is_end else None)
        daemon = self.pinned(service, protocol="grpc")
        tap = self.good_tap(daemon, body=100)
        client = self.client(daemon)
        client.call(b"hello", more=[
            ("rpc-persist-env", "gray"), ("authorization", "Bearer x"), ("x-two", "a"),
            ("x-two", "b")])
        line = tap.line()
        self.assertEqual((line["protocol"], line["messages"]), ("grpc", {"in": 1, "out": 1}))
        call = line["metadata"]["call"]
        self.assertEqual(call["persistent"], {"env": "gray"})
        self.assertEqual(call["headers"]["authorization"], HIDDEN)
        self.assertEqual(call["headers"]["x-two"], ["a", "b"])
        self.assertEqual(line["metadata"]["reply"]["backward"], {"box": "b"})
        self.assertEqual(line["metadata"]["trailers"]["headers"]["x-last"], "t")
        self.assertEqual(base64.b64decode(line["request_body"]), h2.grpc(b"hello"))
        self.assertEqual(base64.b64decode(line["reply_body"]), h2.grpc(b"reply"))
        self.assertEqual(line["payload"], "protobuf")

    def test_a_stream_is_one_line_when_it_ends(self):
        server = tts.Upstream(tts.echo)
        self.addCleanup(server.close)
        daemon = self.pinned(server, protocol="ttheader_streaming")
        tap = self.good_tap(daemon, body=20)
        client = tts.Client(daemon.address())
        self.addCleanup(client.close)
        number = client.call(("one", "two"), strs={"RPC_PERSIST_ENV": "gray"})
        client.over(number)
        line = tap.line()
        self.assertEqual((line["kind"], line["messages"]["in"]), ("stream", 2))
        self.assertEqual(line["metadata"]["call"]["persistent"], {"ENV": "gray"})
        self.assertGreater(line["request_body_bytes"], 6)


class Bounds(TapCase):
    def test_a_limit_ends_the_answer(self):
        daemon = self.pinned(self.upstream(upstream.echo))
        tap = self.good_tap(daemon, n=3)
        with self.caller(daemon) as caller:
            for _ in range(5):
                caller.call()
            self.assertEqual(len(tap.lines()), 3)
            caller.call()

    def test_so_many_at_a_time(self):
        daemon = self.pinned(self.upstream(upstream.echo))
        taps = [self.good_tap(daemon) for _ in range(TAPS)]
        refused = self.tap(daemon)
        self.assertEqual(refused.status, 503)
        self.assertIn("8 taps", json.loads(refused.answer.read())["error"])
        with self.caller(daemon) as caller:
            caller.call()
            for tap in taps:
                self.assertEqual(tap.line()["reason"], "ok")
            taps[0].close()
            eventually(lambda: self.tap(daemon).status == 200, what="room for another")
            caller.call()
            self.assertEqual(taps[1].line()["reason"], "ok")

    def test_a_reader_that_does_not_read_loses_lines_and_is_told(self):
        daemon = self.pinned(self.upstream(upstream.echo))
        idle = self.good_tap(daemon)
        brisk = self.good_tap(daemon, [("method", "None")])
        calls = 0
        rss = daemon.rss()
        with self.caller(daemon, "ttheader_framed") as caller:
            strs = {"k%d" % i: "\xff" * 256 for i in range(40)}
            for _ in range(200):
                caller.send("Echo", strs=strs)
                caller.receive()
                calls += 1
            self.assertLess(daemon.rss() - rss, 8 * MIB * SLOWER)
            seen = lost = 0
            for line in self.until_all(idle, lambda: seen + lost, calls):
                lost += line.get("lost", 0)
                seen += "lost" not in line
            self.assertEqual(seen + lost, calls)
            self.assertGreater(lost, 50)
            self.assertGreater(seen, 10)
            caller.call("None")
        self.assertEqual(brisk.line()["method"], "None")
        self.assertEqual(idle.line()["method"], "None")

    @staticmethod
    def until_all(tap, count, wanted):
        while count() < wanted:
            yield tap.line()

    def test_a_limit_counts_what_was_lost(self):
        daemon = self.pinned(self.upstream(upstream.echo))
        tap = self.good_tap(daemon, n=150)
        with self.caller(daemon, "ttheader_framed") as caller:
            for _ in range(200):
                caller.send("Echo", strs={"k%d" % i: "\xff" * 256 for i in range(40)})
                caller.receive()
        lines = tap.lines()
        lost = sum(line.get("lost", 0) for line in lines)
        self.assertEqual(sum("lost" not in line for line in lines) + lost, 150)
        self.assertGreater(lost, 20)

    def test_a_reader_that_leaves_is_nobodys_trouble(self):
        daemon = self.pinned(self.upstream(upstream.echo))
        descriptors = daemon.descriptors()
        with self.caller(daemon) as caller:
            for round_ in range(40):
                tap = Tap(daemon, body=4096 * (round_ % 2))
                caller.call()
                if round_ % 3:
                    tap.line()
                tap.close()
                caller.call()
        eventually(lambda: daemon.descriptors() <= descriptors + 1, what="the end of the taps")

    def test_it_is_read_with_get_on_the_socket_alone(self):
        daemon = self.pinned(self.upstream(upstream.echo),
                             config={"admin": {"socket": self.path("admin.sock"),
                                               "http": "127.0.0.1:0"}})
        self.assertEqual(daemon.get("/tap", "HEAD")[0], 405)
        self.assertEqual(daemon.get("/tap", "POST")[0], 405)
        port = self.http_port(daemon)
        status, _ = http_get(http.client.HTTPConnection("127.0.0.1", port), "/tap")
        self.assertEqual(status, 404)

    @staticmethod
    def http_port(daemon):
        return int(eventually(lambda: [
            line.rpartition(":")[2].split()[0].strip('"') for line in daemon.errors().split("\n")
            if "read-only pages" in line], what="the address of admin.http")[0])


class Changes(TapCase):
    def test_it_goes_on_over_a_reload(self):
        service = self.upstream(upstream.echo)
        address = "unix:" + self.path("in.sock")

        def config(name):
            return {"listeners": [{"name": "in", "address": address, "service": name}],
                    "services": {name: {"endpoints": [service.address]}}}
        daemon = self.bridled(config("one"))
        tap = self.good_tap(daemon, service="*")
        for name in ("one", "two", "three"):
            if name != "one":
                daemon.reload(config(name))
            with self.caller(daemon) as caller:
                caller.call()
            self.assertEqual(tap.line()["service"], name)

    def test_the_end_of_the_daemon_ends_it_as_it_should(self):
        daemon = self.pinned(self.upstream(upstream.echo))
        taps = [self.good_tap(daemon) for _ in range(3)]
        with self.caller(daemon) as caller:
            caller.call()
        daemon.signal(signal.SIGTERM)
        for tap in taps:
            self.assertEqual(len(tap.lines()), 1)  # raises where the last chunk is missing
        self.assertEqual(daemon.wait(), 0)

    def test_calls_that_end_while_it_drains_are_seen(self):
        service = self.upstream(lambda c, p: c.later(0.5, p.answer(wire.result("late")).pack()))
        daemon = self.pinned(service)
        tap = self.good_tap(daemon)
        with self.caller(daemon) as caller:
            question = caller.send("Echo")
            eventually(lambda: daemon.metric("bridle_upstream_connections") == 1)
            daemon.signal(signal.SIGTERM)
            caller.must_answer(question, caller.receive())
        self.assertEqual([line["reason"] for line in tap.lines()], ["ok"])

    def test_taps_that_come_and_go_under_load(self):
        daemon = self.pinned(self.upstream(upstream.echo), config={"workers": 4})
        callers = [self.caller(daemon, "ttheader_framed") for _ in range(8)]
        end = time.monotonic() + 2
        taps = []
        while time.monotonic() < end:
            tap = self.tap(daemon, body=64)
            if tap.status == 200:
                taps.append(tap)
            for caller in callers:
                caller.send("Echo", strs={"RPC_PERSIST_ENV": "gray"})
            for caller in callers:
                caller.receive()
            if len(taps) > 4:
                self.assertGreaterEqual(len(taps[0].lines(8)), 8)
                taps.pop(0).close()
        self.assertTrue(daemon.is_alive())


class Upgrades(UpgradeCase, TapCase):
    def test_the_old_process_is_looked_at_until_it_ends(self):
        daemon = self.run_daemon(self.config(self.upstream()))
        tap = self.good_tap(daemon)
        address = daemon.address("in")
        with sockets.Caller(address) as caller:
            caller.call()
            daemon.upgrade()
            later = self.good_tap(daemon, n=1)
            with sockets.Caller(address) as other:
                other.call("New")
            caller.call()
        self.assertEqual([line["method"] for line in tap.lines()], ["Echo", "Echo"])
        self.assertEqual([line["method"] for line in later.lines()], ["New"])
        daemon.await_former()


class Command(TapCase):
    def command(self, daemon, *words):
        """bridlectl tap, once the daemon looks for it."""
        process = subprocess.Popen([CTL, "-S", daemon.admin_path, *words], text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for action in (process.stderr.close, process.stdout.close, process.wait, process.kill):
            self.addCleanup(action)
        self.begun += 1
        eventually(lambda: daemon.errors().count("tap: began") == self.begun, what="the tap")
        self.good_tap(daemon, n=1).close()  # whoever has heard of this one has heard of that
        return process

    def call(self, daemon, text="hi", count=1):
        with self.caller(daemon, "ttheader_framed") as caller:
            for _ in range(count):
                caller.send("Echo", text, ints={3: "the.caller", 2: "log-7"},
                            strs={"RPC_PERSIST_ENV": "gr\x1b[31may", "RPC_PERSIST_TOKEN": "hush"})
                caller.receive()

    def test_a_line_for_people(self):
        service = self.upstream(upstream.echo)
        daemon = self.pinned(service)
        command = self.command(daemon, "tap", "service=svc", "n=1")
        self.call(daemon)
        said, more = command.communicate(timeout=STOP_SECONDS)
        self.assertEqual(command.returncode, 0)
        self.assertRegex(said, r"^\d\d:\d\d:\d\d[.]\d{6} +\S+ ok +svc/Echo the.caller>%s ttheader "
                               r"bytes=\d+>\d+ log_id=log-7\n$" % service.address)
        self.assertEqual(more, "1 calls shown, 0 lost\n")

    def test_metadata_and_bodies_taken_apart(self):
        daemon = self.pinned(self.upstream(upstream.echo))
        command = self.command(daemon, "tap", "-v", "body", "n=1")
        self.call(daemon)
        said, _ = command.communicate(timeout=STOP_SECONDS)
        self.assertIn('    call ints: from_service="the.caller" log_id="log-7"\n', said)
        self.assertIn('    call persistent: ENV="gr\\u001b[31may" TOKEN="<redacted>"\n', said)
        self.assertIn('    request {1: "hi"}\n', said)
        self.assertIn('    reply {0: "hi"}\n', said)
        self.assertNotIn("\x1b", said)

    def test_secrets_when_they_are_asked_for(self):
        daemon = self.pinned(self.upstream(upstream.echo))
        command = self.command(daemon, "tap", "--verbose", "show-secrets", "n=1")
        self.call(daemon)
        self.assertIn('TOKEN="hush"', command.communicate(timeout=STOP_SECONDS)[0])

    def test_json_is_passed_on_as_it_is(self):
        daemon = self.pinned(self.upstream(upstream.echo))
        tap = self.good_tap(daemon)
        command = self.command(daemon, "--json", "tap", "caller=the.*", "n=2")
        self.call(daemon, count=2)
        said, _ = command.communicate(timeout=STOP_SECONDS)
        mine, theirs = tap.lines(2), [json.loads(line) for line in said.splitlines()]
        for line in mine + theirs:
            del line["time"]
        self.assertEqual(mine, theirs)

    def test_it_ends_when_it_is_told_to(self):
        daemon = self.pinned(self.upstream(upstream.echo))
        for number in (signal.SIGINT, signal.SIGTERM):
            command = self.command(daemon, "tap")
            self.call(daemon)
            line = command.stdout.readline()
            command.send_signal(number)
            said, more = command.communicate(timeout=STOP_SECONDS)
            self.assertEqual((command.returncode, said, more), (0, "", "1 calls shown, 0 lost\n"))
            self.assertIn("svc/Echo", line)

    def test_it_ends_with_the_daemon(self):
        daemon = self.pinned(self.upstream(upstream.echo))
        command = self.command(daemon, "tap", "errors")
        daemon.stop()
        self.assertEqual(command.communicate(timeout=STOP_SECONDS),
                         ("", "0 calls shown, 0 lost; the daemon has ended\n"))
        self.assertEqual(command.returncode, 0)

    def test_what_cannot_be(self):
        daemon = self.pinned(self.upstream(upstream.echo))
        for words, code, complaint in ((["bogus=1"], 1, "bogus"), (["bogus"], 2, "Usage"),
                                       (["=x"], 2, "Usage"), (["slower=5"], 1, "slower_than")):
            with self.subTest(words=words):
                status, said, complaints = daemon.ctl("tap", *words)
                self.assertEqual((status, said), (code, ""))
                self.assertIn(complaint, complaints)
        taps = [self.good_tap(daemon) for _ in range(TAPS)]
        status, _, complaints = daemon.ctl("tap")
        self.assertEqual((status, len(taps)), (1, TAPS))
        self.assertIn("8 taps", complaints)
        daemon.stop()
        self.assertEqual(daemon.ctl("tap")[0], 3)

    def test_what_was_lost_is_told(self):
        """It is stopped, so that nobody reads, and goes on later."""
        daemon = self.pinned(self.upstream(upstream.echo))
        command = self.command(daemon, "tap", "n=1500")
        command.send_signal(signal.SIGSTOP)
        with self.caller(daemon, "ttheader_framed") as caller:
            strs = {"k%d" % i: "\xff" * 256 for i in range(40)}
            for _ in range(1500):
                caller.send("Echo", strs=strs)
                caller.receive()
        command.send_signal(signal.SIGCONT)
        said, more = command.communicate(timeout=STOP_SECONDS)
        shown, lost = (int(word) for word in re.findall(r"\d+", more))
        self.assertEqual(shown + lost, 1500)
        self.assertGreater(lost, 100)
        self.assertIn("calls are not shown: they come faster than they are read\n", said)
        self.assertEqual(said.count("svc/Echo"), shown)
