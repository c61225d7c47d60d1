"""What arrives where: the table of METADATA in bridled-protocols(7), with real peers at either end.

A sidecar and its application are one hop: what travels goes on as it came, what belongs to a
connection ends here.
"""

import base64
import collections
import json
import os
import re
import struct
import subprocess

import bridled
import h2_upstream
import tts
import upstream
import wire
from bridled import eventually
from peers import GOECHO, VOLO_CLIENT, Grpc, needs

SERVICE = "demo.echo"
PATH = "/demo.EchoService/echo"
PAGE = os.path.join(bridled.TOP, "man", "bridled-protocols.7")
BYTES = bytes(range(256))

# A fact as the page calls it; how it is said in a TTHeader and in gRPC; what arrives of it from a
# TTHeader in gRPC, and back; as what it is counted where there is no place for it: without any header,
# from a TTHeader in gRPC, and back. "int.2" is an int key, "acl" the token.
Row = collections.namedtuple("Row", "fact tth grpc to_grpc to_tth lost lost_in_grpc lost_in_tth")

CALLS = (
    Row("persistent", {"RPC_PERSIST_Ab_c": "1"}, {"rpc-persist-ab-c": "1"},
        {"rpc-persist-ab-c": "1"}, {"RPC_PERSIST_AB_C": "1"}, "persistent", None, None),
    Row("transient", {"RPC_TRANSIT_Hop": "2"}, {"rpc-transit-hop": "2"},
        {"rpc-transit-hop": "2"}, {"RPC_TRANSIT_HOP": "2"}, "transient", None, None),
    Row("of earlier hops", {"RPC_TRANSIT_UPSTREAM_Up": "3"}, {"rpc-transit-upstream-up": "3"},
        {}, {}, "transient", "transient", "transient"),
    Row("other keys", {"X-Tag": "4"}, {"x-tag": "4"}, {"x-tag": "4"}, {"x-tag": "4"},
        "header", None, None),
    Row("bytes", {"blob-bin": BYTES.decode("latin-1")}, {"blob-bin": BYTES},
        {"blob-bin": BYTES}, {"blob-bin": BYTES.decode("latin-1")}, "header", None, None),
    Row("log id", {"int.2": "log-5"}, {"stream-log-id": "log-5"},
        {"stream-log-id": "log-5"}, {"int.2": "log-5"}, "int", None, None),
    Row("caller", {"int.3": "shop.cart"}, {"source-service": "shop.cart"},
        {"source-service": "shop.cart"}, {"int.3": "shop.cart"}, "int", None, None),
    Row("its method", {"int.20": "Buy"}, {"source-method": "Buy"},
        {"source-method": "Buy"}, {"int.20": "Buy"}, "int", None, None),
    Row("service called", {"int.6": SERVICE}, {"destination-service": SERVICE},
        {"destination-service": SERVICE}, {"int.6": SERVICE}, "int", None, None),
    Row("IDL's service", {"isn": "EchoService"}, {}, {}, {"isn": "EchoService"},
        "header", None, None),
    Row("other int keys", {"int.10": "gray", "int.25": "lb", "int.999": "x"},
        {"destination-addr": "10.0.0.9:5"}, {}, {}, "int", "int", "int"),
    Row("token", {"acl": "tok"}, {"rpc-transit-gdpr-token": "tok"},
        {"rpc-transit-gdpr-token": "tok"}, {"acl": "tok"}, "acl", None, None),
    Row("caller's address", {"rip": "10.0.0.9:5"}, {}, {}, {}, "header", "header", None),
    Row("checksums", {"PV_sum": "7"}, {}, {}, {}, "checksum", "checksum", None),
    Row("connection's end", {"crrst": "1"}, {}, {}, {}, None, None, None),
)

REPLIES = (
    Row("backward values", {"Ab_c": "1"}, {"rpc-backward-ab-c": "1"}, {"rpc-backward-ab-c": "1"},
        {"AB_C": "1"}, "header", None, None),
    Row("Volo's prefix", {"RPC_BACKWARD_Two": "2"}, {"rpc-backward-two": "2"},
        {"rpc-backward-two": "2"}, {"TWO": "2"}, "header", None, None),
    Row("other fields", {}, {"x-served-by": "a", "rpc-persist-k": "v"}, {}, {},
        None, None, "header persistent"),
    Row("connection's end", {"crrst": "1"}, {}, {}, {}, None, None, None),
)


def said(rows, column):
    """Everything that the rows say there, as one."""
    return {k: v for row in rows for k, v in getattr(row, column).items()}


def counted(rows, column, once=None):
    """How much of it has no place; `once`: the column that says how much a row is."""
    counts = collections.Counter()
    for row in rows:
        classes = (getattr(row, column) or "").split()
        if len(classes) == 1:
            counts[classes[0]] += len(getattr(row, once))
        else:
            counts.update(classes)
    return counts


def split(entries):
    """As the arguments of a call."""
    ints = {int(k[4:]): v for k, v in entries.items() if k.startswith("int.")}
    strs = {k: v for k, v in entries.items() if not k.startswith("int.") and k != "acl"}
    return {"ints": ints, "strs": strs, "acl": entries.get("acl")}


def with_token_as_key(entries):
    """As goecho tells it, whose codec has one map for str keys and the token."""
    return {"RPC_TRANSIT_gdpr-token" if k == "acl" else k: v for k, v in entries.items()}


def echo_arguments(text="hi"):
    """Of echo in echo.thrift."""
    return struct.pack(">Bh", wire.STRUCT, 1) + wire.string_field(1, text) + b"\0\0"


def told(result):
    """What goecho says that came to it."""
    fields, _ = wire.decode(result, 0, wire.STRUCT)
    return {k.decode(): v.decode("latin-1") for k, v in fields[0][2].items()}


class Metadata(Grpc):
    maxDiff = None

    def assert_counted(self, daemon, counts):
        for kind in ("persistent", "transient", "header", "int", "acl", "checksum", "biz"):
            self.assert_metric(daemon, counts[kind], "bridle_metadata_dropped_total", **{"class": kind})

    def goecho(self, **policy):
        return self.pinned(self.serve(GOECHO, "server", "{}"), name=SERVICE, **policy)

    def ask(self, daemon, form, entries):
        """What arrives at goecho."""
        entries = split(entries) if form.startswith("ttheader") else {}
        answer = self.caller(daemon, form).call("echo", body=echo_arguments(), **entries)
        self.assertEqual(answer.kind, wire.REPLY, answer)
        return told(answer.body)

    def ask_grpc(self, daemon, fields, **order):
        """The outcome of gogrpc's call with these fields."""
        plain = [[k, v] for k, v in fields.items() if not k.endswith("-bin")]
        binary = [(k, v) for k, v in fields.items() if k.endswith("-bin")]
        out = self.call(daemon, PATH, [echo_arguments()], subtype="thrift", metadata=plain,
                        binary=binary, **order)
        self.assert_ok(out)
        return out


@needs(GOECHO)
class Calls(Metadata):
    SENT = {**said(CALLS, "tth"), "int.12": "50000", "int.9": "echo"}

    def test_a_ttheader_goes_on_as_it_came(self):
        for form, protocol in (("ttheader_framed", "same"), ("ttheader_bare", "ttheader"),
                               ("ttheader_framed", "ttheader_framed")):
            daemon = self.goecho(protocol=protocol)
            with self.subTest(form=form, protocol=protocol):
                expected = with_token_as_key(self.SENT)
                del expected["crrst"]
                self.assertEqual(self.ask(daemon, form, self.SENT), expected)
                self.assert_counted(daemon, collections.Counter())
            daemon.stop()

    def test_a_value_that_is_passed_on_is_no_older(self):
        """Two sidecars on the way, as between any two applications."""
        second = "unix:" + self.path("second.sock")
        daemon = self.bridled({
            "listeners": [{"name": "in", "address": "127.0.0.1:0", "service": "hop"},
                          {"name": "second", "address": second, "service": "svc"}],
            "services": {"hop": {"endpoints": [second], "protocol": "ttheader"},
                         "svc": {"endpoints": [self.serve(GOECHO, "server", "{}")]}}})
        expected = with_token_as_key(self.SENT)
        del expected["crrst"]
        self.assertEqual(self.ask(daemon, "ttheader_framed", self.SENT), expected)

    def test_a_ttheader_becomes_fields(self):
        def behaviour(peer, frame):
            stream = peer.streams.get(frame.stream) if frame else None
            if stream and stream.ended:
                h2_upstream.answer(peer, stream.number, wire.result("x"))
        server = self.raw_server(behaviour)
        daemon = self.pinned(server, protocol="grpc", name=SERVICE)
        answer = self.caller(daemon, "ttheader_framed").call("echo", **split(self.SENT))
        self.assertEqual(answer.kind, wire.REPLY, answer)
        (_, stream), = server.await_calls(1)
        fields = dict(stream.fields)
        self.assertEqual(len(fields), len(stream.fields), stream.fields)
        self.assertRegex(fields.pop("grpc-timeout"), "^4[0-9]{7}u$")
        expected = said(CALLS, "to_grpc")
        expected["blob-bin"] = h2_binary(expected["blob-bin"])
        self.assertEqual(fields, {
            **expected, ":method": "POST", ":scheme": "http", ":path": "/EchoService/echo",
            ":authority": SERVICE, "content-type": "application/grpc+thrift", "te": "trailers"})
        self.assert_counted(daemon, counted(CALLS, "lost_in_grpc", "tth"))

    def test_fields_become_a_ttheader(self):
        for form in ("ttheader_framed", "ttheader_bare"):
            daemon = self.goecho(protocol=form)
            with self.subTest(form=form):
                out = self.ask_grpc(daemon, said(CALLS, "grpc"), timeout_ms=50000)
                came = told(out.messages[0])
                self.assertRegex(came.pop("int.12"), "^(50000|4[0-9]{4})$")
                transport = {"ttheader_framed": "framed", "ttheader_bare": "unframed"}[form]
                self.assertEqual(came, {**with_token_as_key(said(CALLS, "to_tth")),
                                        "int.1": transport, "int.9": "echo", "int.22": "1"})
                self.assert_counted(daemon, counted(CALLS, "lost_in_tth", "grpc"))
            daemon.stop()

    def test_fields_go_on_as_they_came(self):
        server, daemon = self.both()
        out = self.ask_grpc(daemon, {**said(CALLS, "grpc"), "x-report": "1"}, timeout_ms=50000)
        came = json.loads(out.trailer["x-seen-bin"][0])
        expected = {k: [v] for k, v in said(CALLS, "grpc").items() if k != "blob-bin"}
        self.assertEqual({k: v for k, v in came.items() if k in expected}, expected)
        self.assertEqual(set(came) - set(expected),
                         {"blob-bin", "x-report", ":authority", "content-type", "user-agent",
                          "grpc-accept-encoding"})
        given, = [line.split()[2] for line in server.said("began")]
        self.assertGreater(int(given), 40000)
        self.assertLessEqual(int(given), 50000)
        self.assert_counted(daemon, collections.Counter())

    def test_a_mesh_header_becomes_a_ttheader(self):
        """It has str keys alone."""
        strs = split(self.SENT)["strs"]
        daemon = self.goecho(protocol="ttheader_framed")
        caller = self.caller(daemon, "framed")
        payload = caller.packet("echo", body=echo_arguments())
        entries = struct.pack(">H", len(strs)) + b"".join(
            wire.text16(k) + wire.text16(v) for k, v in strs.items())
        caller.sock.sendall(struct.pack(">HH", 0xFFAF, len(entries)) + entries + payload.pack())
        came = told(caller.receive().body)
        expected = {k: v for k, v in strs.items() if k != "crrst"}
        self.assertEqual(came, {**expected, "int.1": "framed", "int.9": "echo", "int.22": "1",
                                "int.6": SERVICE, "int.12": "30000", "int.2": came["int.2"]})

    def test_nothing_reaches_an_application_that_reads_no_header(self):
        for mode in ("auto", "drop"):
            for protocol in ("framed", "buffered"):
                daemon = self.goecho(protocol=protocol, metadata=mode)
                with self.subTest(protocol=protocol, metadata=mode):
                    self.assertEqual(self.ask(daemon, "ttheader_framed", self.SENT), {})
                    lost = counted(CALLS, "lost", "tth")
                    lost["int"] += 1  # the time allowed
                    self.assert_counted(daemon, lost)
                daemon.stop()

    def test_fields_do_not_reach_it_either(self):
        daemon = self.goecho(protocol="framed")
        out = self.ask_grpc(daemon, said(CALLS, "grpc"), timeout_ms=50000)
        self.assertEqual(told(out.messages[0]), {})
        lost = counted(CALLS, "lost", "grpc")
        lost["int"] += 1
        self.assert_counted(daemon, lost)

    def test_a_call_without_a_header_says_what_is_known(self):
        for form in ("framed", "buffered"):
            daemon = self.goecho(protocol="ttheader_framed", aliases=["EchoService"],
                                 listener={"caller": "node"})
            with self.subTest(form=form):
                came = self.ask(daemon, form, {})
                self.assertRegex(came.pop("int.2"), "^[0-9A-Za-z]{16,}")
                self.assertEqual(came, {"int.1": "framed", "int.3": "test.node", "int.6": SERVICE,
                                        "int.9": "echo", "int.12": "30000", "int.22": "1",
                                        "isn": "EchoService"})
            daemon.stop()

    @needs(VOLO_CLIENT)
    def test_what_a_client_of_volo_says(self):
        daemon = self.goecho()
        done = subprocess.run([VOLO_CLIENT, "ttheader", daemon.address()], stdout=subprocess.PIPE,
                              text=True, timeout=60, check=False)  # goecho has not all its methods
        came = dict(line[5:].split("=") for line in done.stdout.splitlines()
                    if line.startswith("meta "))
        self.assertEqual(came, {
            "RPC_PERSIST_TENANT": "blue", "RPC_TRANSIT_HOP": "one", "int.3": "demo.caller",
            "int.6": SERVICE, "int.9": "echo", "int.11": daemon.address(), "int.12": "10000",
            "int.16": "3", "isn": "Echo"})


def h2_binary(value):
    """As it stands in a field."""
    return base64.b64encode(value).decode().rstrip("=")


class Spelling(Metadata):
    """HTTP/2 folds the case of names: where the call itself is at hand, it is not asked."""

    SENT = {"RPC_PERSIST_Ab_c": "1", "RPC_TRANSIT_Hop": "2", "X-Tag": "3", "isn": "EchoService"}

    def spare(self, **policy):
        self.seen = self.upstream(upstream.report)
        return {"endpoints": [self.seen.address], "protocol": "ttheader", **policy}

    def config(self, first, **policy):
        return {"listeners": [{"name": "in", "address": "127.0.0.1:0", "service": "first"}],
                "services": {"first": {"endpoints": [first], "protocol": "grpc", **policy},
                             "spare": self.spare()}}

    def test_a_fallback_gets_the_call_as_it_came(self):
        daemon = self.bridled(self.config(
            "unix:" + self.path("nobody.sock"),
            fallback={"on": ["any"], "to": {"service": "spare"}}))
        answer = self.caller(daemon, "ttheader_framed").call("echo", **split(self.SENT))
        self.assertEqual(json.loads(answer.text)["strs"], self.SENT)

    def test_so_does_a_mirror(self):
        server = self.raw_server(lambda peer, frame: (
            frame and peer.streams.get(frame.stream) and peer.streams[frame.stream].ended and
            h2_upstream.answer(peer, frame.stream, wire.result("x"))))
        daemon = self.bridled(self.config(
            server.address, routes=[{"mirror": {"service": "spare", "percent": "100%"}}]))
        answer = self.caller(daemon, "ttheader_framed").call("echo", **split(self.SENT))
        self.assertEqual(answer.kind, wire.REPLY, answer)
        eventually(lambda: self.seen.packets, what="the mirrored call")
        self.assertEqual(self.seen.packets[0].header.strs, self.SENT)
        (_, stream), = server.await_calls(1)
        self.assertEqual(stream.get("rpc-persist-ab-c"), "1")


class Replies(Metadata):
    def serving(self, protocol="ttheader", **policy):
        """A service that answers with all rows."""
        strs = said(REPLIES, "tth")
        service = self.upstream(lambda connection, packet: connection.write(
            packet.answer(wire.result("x"), strs=strs)))
        return self.pinned(service, protocol=protocol, aliases=["demo.EchoService"], **policy)

    def serving_grpc(self):
        fields = list(said(REPLIES, "grpc").items())

        def behaviour(peer, frame):
            stream = peer.streams.get(frame.stream) if frame else None
            if stream and stream.ended:
                head = [(":status", "200"), ("content-type", stream.get("content-type")), *fields[:2]]
                h2_upstream.answer(peer, stream.number, echoed(stream), fields[2:] + [*h2_upstream.OK],
                                   head)
        return self.pinned(self.raw_server(behaviour), protocol="grpc", name=SERVICE,
                           aliases=["demo.EchoService"])

    def test_a_ttheader_goes_on_as_it_came(self):
        daemon = self.serving("same")
        for form in ("ttheader_framed", "ttheader_bare"):
            header = self.caller(daemon, form).call().header
            expected = said(REPLIES, "tth")
            del expected["crrst"]
            self.assertEqual((header.strs, header.ints), (expected, {wire.MESSAGE_TYPE: "2"}))
        self.assert_counted(daemon, collections.Counter())

    def test_a_ttheader_becomes_fields(self):
        daemon = self.serving()
        out = self.ask_grpc(daemon, {})
        came = {k: v for k, (v,) in out.header.items() if k != "content-type"}
        self.assertEqual((came, out.trailer), (said(REPLIES, "to_grpc"), {}))
        self.assert_counted(daemon, collections.Counter())

    def test_fields_become_a_ttheader(self):
        daemon = self.serving_grpc()
        answer = self.caller(daemon, "ttheader_framed").call()
        self.assertEqual((answer.header.strs, answer.header.ints),
                         (said(REPLIES, "to_tth"), {wire.MESSAGE_TYPE: "2"}))
        self.assert_counted(daemon, counted(REPLIES, "lost_in_tth", "grpc"))

    @needs(GOECHO)
    def test_a_client_with_the_gopkg_codec_sees_these_alone(self):
        """It shows its application every key, as a client of Kitex does."""
        daemon = self.serving_grpc()
        done = subprocess.run([GOECHO, "client", "ttheader-framed", daemon.address(), "0"],
                              stdout=subprocess.PIPE, text=True, timeout=60, check=False)
        came = [line for line in done.stdout.splitlines() if line.startswith("backward ")]
        self.assertEqual(came, ["backward AB_C=1", "backward TWO=2", "backward int.22=2"])

    @needs(VOLO_CLIENT)
    def test_a_client_of_volo_sees_them_too(self):
        daemon = self.serving_grpc()
        done = subprocess.run([VOLO_CLIENT, "ttheader", daemon.address()], stdout=subprocess.PIPE,
                              text=True, timeout=60, check=False)
        came = sorted(line for line in done.stdout.splitlines() if line.startswith("backward "))
        self.assertEqual(came, ["backward AB_C=1", "backward TWO=2"])

    def test_fields_go_on_as_they_came(self):
        daemon = self.serving_grpc()
        out = self.ask_grpc(daemon, {})
        came = {k: v for block in (out.header, out.trailer) for k, (v,) in block.items()
                if k != "content-type"}
        self.assertEqual(came, said(REPLIES, "grpc"))

    def test_a_caller_without_a_header_gets_none(self):
        for form in ("framed", "buffered"):
            daemon = self.serving("ttheader")
            with self.subTest(form=form):
                self.assertIsNone(self.caller(daemon, form).call().header)
                self.assert_counted(daemon, counted(REPLIES, "lost", "tth"))
            daemon.stop()


def echoed(stream):
    """The result that clients of echo.thrift expect: {0: {1: text}}."""
    (_, data), = stream.messages
    fields, _ = wire.decode(data, 0, wire.STRUCT)
    text = fields[1][1] if isinstance(fields[1], dict) else fields[1]
    return struct.pack(">Bh", wire.STRUCT, 0) + wire.string_field(1, text) + b"\0\0"


@needs(GOECHO)
class Streams(Metadata):
    def test_a_header_frame_goes_on_as_it_came(self):
        daemon = self.pinned(self.serve(GOECHO, "stream-server", "{}"),
                             protocol="ttheader_streaming")
        client = tts.Client(daemon.address())
        self.addCleanup(client.close)
        entries = {**said(CALLS, "tth"), "int.12": "50000"}
        del entries["acl"]
        sent = split(entries)
        stream = client.open(strs=sent["strs"], ints=sent["ints"])
        client.trailer(stream)
        client.over(stream)
        header, = client.of(stream, tts.HEADER)
        came = {k[5:]: v for k, v in header.header.strs.items()}
        expected = {re.sub("^RPC_", "", k): v for k, v in sent["strs"].items() if k != "crrst"}
        expected.update({str(k): v for k, v in sent["ints"].items()})
        self.assertEqual({k: v for k, v in came.items() if k not in ("9", "27")}, expected)
        trailer, = client.of(stream, tts.TRAILER)
        self.assertEqual(trailer.header.strs, {"ECHOED": "yes"})


class Page(bridled.TestCase):
    def test_it_has_the_rows_that_are_tested(self):
        with open(PAGE, encoding="utf-8") as page:
            text = page.read()
        section = text.split(".Ss From header to header\n")[1].split("\n.S")[0]
        rows = re.findall(r"^\.It ([^\n]*?) Ta ", section, re.M)
        tested = [row.fact for row in CALLS + REPLIES]
        self.assertEqual([row for row in rows if row in tested], tested)
        self.assertEqual([row for row in rows if not row.startswith("Sy") and row not in tested],
                         ["time allowed"])  # it shrinks on the way
