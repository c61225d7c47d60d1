"""Looking on: GET /tap and bridlectl tap, while calls go by."""

import base64
import json
import urllib.parse

import upstream
import wire
from bridled import TestCase, UnixHTTP, eventually
from sockets import PATIENCE


class Tap:
    """An open GET /tap; its answer has begun, so that no call is missed from here on."""

    def __init__(self, daemon, **query):
        self.connection = UnixHTTP(daemon.admin_path)
        target = "/tap"
        if query:
            target += "?" + urllib.parse.urlencode(query)
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
    def tap(self, daemon, **query):
        tap = Tap(daemon, **query)
        self.addCleanup(tap.close)
        return tap

    def good_tap(self, daemon, **query):
        tap = self.tap(daemon, **query)
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
