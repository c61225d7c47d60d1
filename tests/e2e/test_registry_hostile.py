"""Registries that lie, stall and overflow: a server that poses as etcd and as an agent of Consul.
Calls go on to what was last said in good faith, the daemon stays quick and small, and when the
server behaves again it is believed again."""

import json
import socket
import threading
import time

from bridled import IS_SANITIZED, SANITIZER_SAYS, TestCase, allow, eventually
from registries import b64, kitex_value
from test_operation import Load

ANSWER_MAX = 8 << 20  # what one answer may have, in bytes
SERVICE = "svc"
PREFIX = "kitex/registry-etcd/%s/" % SERVICE
SECONDS = 4  # of each mood: longer than an exchange may take
ANSWERS_WITHIN = 4.0 if IS_SANITIZED else 1.0  # of a machine that does nothing else
GROWTH = (512 if IS_SANITIZED else 128) << 20
LINES = 200  # of log in that time
TOO_MANY = ["127.1.%d.%d:9" % (i // 250, i % 250) for i in range(10001)]


def http(body, status="200 OK", headers=()):
    body = body.encode() if isinstance(body, str) else body
    lines = ["HTTP/1.1 " + status, "Content-Type: application/json",
             "Content-Length: %d" % len(body), *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(text):
    data = text.encode() if isinstance(text, str) else text
    return b"%x\r\n" % len(data) + data + b"\r\n"


class Gone(Exception):
    """The other side has closed."""


class Impostor:
    """Answers whoever asks as its mood says: a function (request line, socket), raising Gone or
    returning when the connection is to be used for the next question."""

    def __init__(self, case):
        self.mood, self.asked, self.connections, self.is_over = None, 0, set(), False
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()
        case.addCleanup(self.close)

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.connections.add(sock)
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def serve(self, sock):
        try:
            with sock.makefile("rb") as reader:
                while line := reader.readline():
                    length = 0
                    while (header := reader.readline().strip()):
                        name, _, value = header.partition(b":")
                        if name.lower() == b"content-length":
                            length = int(value)
                    reader.read(length)
                    self.asked += 1
                    self.mood(line.decode(), sock)
        except (OSError, Gone, ValueError):
            pass
        finally:
            self.connections.discard(sock)
            sock.close()

    def behave(self, mood):
        """From the next question on; whoever waits for an answer is sent away."""
        self.mood, self.asked = mood, 0
        for sock in list(self.connections):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def hold(self, sock):
        """Until the other side leaves, or the mood changes."""
        while sock.recv(65536):
            pass
        raise Gone

    def close(self):
        self.is_over = True
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        self.behave(self.mood)


# ---- what any server may do wrong ----


def one_byte_too_many(_, sock):
    sock.sendall(http(b" " * (ANSWER_MAX + 1)))


def endless_chunks(_, sock):
    sock.sendall(CHUNKED)
    while True:
        sock.sendall(chunk(b" " * 65536))


def endless_small_chunks(_, sock):
    sock.sendall(CHUNKED)
    while True:
        sock.sendall(chunk(b" ") * 1000)


def a_chunk_of_any_size(_, sock):
    sock.sendall(CHUNKED + b"ffffffffffffffff\r\nxxxx\r\n")


def a_million_tiny_values(_, sock):
    sock.sendall(http(b"[" + b"0," * 999998 + b"0]"))


def a_million_tiny_keys(_, sock):
    sock.sendall(http("{" + ",".join('"%x":0' % i for i in range(700000)) + "}"))


def nested_deeply(_, sock):
    sock.sendall(http(b"[" * 100000 + b"]" * 100000))


def half_an_answer(_, sock):
    whole = http('{"header":{"revision":"7"},"kvs":[')
    sock.sendall(whole.replace(b"Content-Length: ", b"Content-Length: 1"))
    time.sleep(60)


def nothing_at_all(_, sock):
    sock.recv(1)
    raise Gone


def headers_without_end(_, sock):
    sock.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        sock.sendall(b"X-More: " + b"x" * 1000 + b"\r\n")


def a_header_without_end(_, sock):
    sock.sendall(b"HTTP/1.1 200 OK\r\nX-More: ")
    while True:
        sock.sendall(b"x" * 65536)


def speaks_tls(_, sock):
    sock.sendall(b"\x15\x03\x03\x00\x02\x02\x28" * 20)


def noise(_, sock):
    sock.sendall(bytes(range(256)) * 40)
    raise Gone


def fails(_, sock):
    sock.sendall(http('{"error":"no\x1b[31m\\u0000"}', "500 Internal Server Error"))


def forbids(_, sock):
    sock.sendall(http("x" * 100000, "403 Forbidden"))


def redirects(_, sock):
    sock.sendall(http("", "301 Moved Permanently", ["Location: http://127.0.0.1:1/"]))


def continues_for_ever(_, sock):
    while True:
        sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)


def lies_about_its_length(_, sock):
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n[]")


def has_two_lengths(_, sock):
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 90000000\r\n\r\n[]")


def drips(_, sock):
    for byte in http('{"header":{"revision":"7"}}'):
        sock.sendall(bytes((byte,)))
        time.sleep(1)


class Hostile(TestCase):
    """See the classes below: who is posed as."""

    def setUp(self):
        super().setUp()
        self.server = Impostor(self)
        self.one, self.other = self.upstream(), self.upstream()
        self.server.behave(self.good([self.one]))
        self.daemon = self.bridled({
            "node": {"service": "test.node"},
            "registries": {"main": {**self.registry(), "cache": self.path("cache")}},
            "listeners": [{"name": "in", "address": "127.0.0.1:0", "service": SERVICE},
                          {"name": "open", "address": "127.0.0.1:0"}],
            "services": {SERVICE: {"discover": "main"}}})
        self.wait_for([self.one])

    def registry(self):
        raise NotImplementedError

    def good(self, services):
        raise NotImplementedError

    def seen(self):
        return {e["address"]: e["weight"]
                for e in self.daemon.get_json("/services/" + SERVICE)["endpoints"]}

    def wait_for(self, services):
        wanted = {getattr(s, "address", s) for s in services}
        self.until(lambda: set(self.seen()) == wanted, "the endpoints %s" % wanted)

    def until(self, check, what):
        """The long pauses after refusals may be over by then."""
        try:
            eventually(check, 40, what)
        except AssertionError as error:
            self.fail("%s; %s: %s" % (error, self.seen(), self.daemon.errors()[-3000:]))

    def survive(self, mood, seconds=SECONDS):
        """Calls go on in that mood, and after it what the server says counts again."""
        before, lines = self.daemon.rss(), self.daemon.errors().count("\n")
        with Load(self.daemon.address(), threads=2, pause=0.005) as load:
            self.server.behave(mood)
            self.until(lambda: self.server.asked, "a question")
            self.watch(before, seconds)
            said = self.daemon.errors()
            self.assertLess(said.count("\n") - lines, LINES, said[-3000:])
            self.assertIsNone(SANITIZER_SAYS.search(said), said[-6000:])
            self.server.behave(self.good([self.one, self.other]))
            self.wait_for([self.one, self.other])
        self.assertEqual(load.failed[:3], [])
        self.assertGreater(load.calls, 10)

    def watch(self, before, seconds):
        """It is quick, and does not grow."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for page in ("/livez", "/status"):
                began = time.monotonic()
                self.assertEqual(self.daemon.get(page)[0], 200)
                self.assertLess(time.monotonic() - began, allow(ANSWERS_WITHIN), page)
            self.assertLess(self.daemon.rss() - before, GROWTH)
            time.sleep(0.05)

    def at_most_ten_thousand(self, mood):
        """Nobody is called meanwhile: there is nobody at those addresses."""
        before = self.daemon.rss()
        self.server.behave(mood)
        eventually(lambda: len(self.seen()) == 10000, what="ten thousand")
        self.watch(before, 1)
        self.server.behave(self.good([self.one]))
        self.wait_for([self.one])

    def believed(self, mood, addresses):
        """An answer of which a part is good."""
        with Load(self.daemon.address(), threads=2, pause=0.005) as load:
            self.server.behave(mood)
            self.wait_for(addresses)
            self.watch(self.daemon.rss(), 0.5)
        self.assertEqual(load.failed[:3], [])
        self.survive(self.good([self.one]), 0.2)


class TooMuch:
    def test_an_answer_that_is_one_byte_too_long(self):
        self.survive(one_byte_too_many)

    def test_chunks_without_end(self):
        self.survive(endless_chunks)

    def test_small_chunks_without_end(self):
        self.survive(endless_small_chunks)

    def test_a_chunk_of_any_size(self):
        self.survive(a_chunk_of_any_size)

    def test_a_million_tiny_values(self):
        self.survive(a_million_tiny_values)

    def test_a_million_tiny_keys(self):
        self.survive(a_million_tiny_keys)

    def test_json_that_is_nested_deeply(self):
        self.survive(nested_deeply)


class NoAnswer:
    def test_half_an_answer_and_silence(self):
        self.survive(half_an_answer)

    def test_silence(self):
        self.survive(nothing_at_all)

    def test_headers_without_end(self):
        self.survive(headers_without_end)

    def test_one_header_without_end(self):
        self.survive(a_header_without_end)

    def test_tls_where_none_was_asked_for(self):
        self.survive(speaks_tls)

    def test_noise(self):
        self.survive(noise)

    def test_errors(self):
        self.survive(fails)
        self.assertNotIn("\x1b", self.daemon.errors())

    def test_a_long_refusal(self):
        self.survive(forbids)

    def test_a_way_to_elsewhere_is_not_gone(self):
        self.survive(redirects)

    def test_it_will_go_on_and_never_does(self):
        self.survive(continues_for_ever)

    def test_a_negative_length(self):
        self.survive(lies_about_its_length)

    def test_two_lengths(self):
        self.survive(has_two_lengths)

    def test_a_byte_a_second(self):
        self.survive(drips, 8)


class AsEtcd(Hostile):
    def registry(self):
        return {"type": "etcd", "endpoints": [self.server.address]}

    @staticmethod
    def record(name, value):
        return {"key": b64(PREFIX + name), "value": b64(value), "mod_revision": "5"}

    def records(self, services):
        return [self.record(s.address, kitex_value(s.address)) for s in services]

    def listing(self, kvs, revision="7"):
        return {"header": {"revision": revision}, "kvs": kvs, "count": str(len(kvs))}

    def saying(self, listing, *messages):
        """Lists so, and says this in the watch, which stays open."""
        answer = http(listing if isinstance(listing, (str, bytes)) else json.dumps(listing))
        created = json.dumps({"result": {"header": {"revision": "7"}, "created": True}}) + "\n"

        def mood(line, sock):
            if "/v3/watch" not in line:
                sock.sendall(answer)
                return
            sock.sendall(CHUNKED + chunk(created))
            for message in messages:
                text = message if isinstance(message, (str, bytes)) else json.dumps(message) + "\n"
                sock.sendall(chunk(text))
            self.server.hold(sock)
        return mood

    def good(self, services):
        return self.saying(self.listing(self.records(services)))

    def event(self, **event):
        return {"result": {"header": {"revision": "9"}, "events": [event]}}


class EtcdTooMuch(TooMuch, AsEtcd):
    pass


class EtcdNoAnswer(NoAnswer, AsEtcd):
    pass


class EtcdRecords(AsEtcd):
    SECONDS_EACH = 18

    def test_keys_that_are_no_base64(self):
        bad = self.record("x", "y")
        for wrong in ("!!!!", "YQ", "YQ==YQ==", "Y", "\u00e9\u00e9\u00e9\u00e9", 5, None, {}):
            self.survive(self.saying(self.listing(
                self.records([self.one]) + [{**bad, "key": wrong}])), 0.3)

    def test_bytes_that_are_no_text_in_names_and_values(self):
        good = kitex_value("127.0.0.1:9")
        records = [self.record("a\0b", good.replace("127.0.0.1:9", "127.0.0.1\\u0000:9")),
                   self.record("\x1b[2J", good.replace("tcp", "\x1b[2J")[:-3]),
                   self.record("nul", good + "\0"), self.record("x", "\x7f" * 5000),
                   self.record("t", kitex_value("127.0.0.1:8\n")),
                   self.record("u", kitex_value("127.0.0.1:8", tags={"\x01": "\u0000"}))]
        self.believed(self.saying(self.listing(self.records([self.one, self.other]) + records)),
                      [self.one, self.other])
        self.assertEqual(set(self.daemon.errors()) & {"\x1b", "\0", "\x01"}, set())

    def test_ports_and_weights_that_cannot_be(self):
        records = [self.record("p%d" % i, kitex_value("127.0.0.1:%s" % port))
                   for i, port in enumerate(("0", "-1", "65536", "99999999999", "", "1e3", " 80"))]
        for i, weight in enumerate(("1e9", "NaN", "1e999", '"5"', "true", "[]", "0.5")):
            records.append(self.record("w%d" % i, kitex_value("127.0.0.1:9").replace(
                '"weight":10', '"weight":' + weight)))
        records += self.records([self.one, self.other])
        self.believed(self.saying(self.listing(records)), [self.one, self.other])

    def test_the_daemon_itself(self):
        mine = self.daemon.address("open")
        records = self.records([self.one, self.other]) + [self.record("me", kitex_value(mine))]
        self.believed(self.saying(self.listing(records)), [self.one, self.other])

    def test_more_endpoints_than_there_may_be(self):
        records = [self.record(a, kitex_value(a)) for a in TOO_MANY]
        self.at_most_ten_thousand(self.saying(self.listing(records)))

    def test_revisions_that_cannot_be(self):
        for revision in ("-1", "9223372036854775807", "9223372036854775808", "1e30", "x", "", None,
                         -5, 1.5, [], "18446744073709551615"):
            self.survive(self.saying(self.listing(self.records([self.one]), revision)), 0.3)

    def test_revisions_of_keys_that_cannot_be(self):
        for revision in ("-1", "9223372036854775807", "-9223372036854775808"):
            record = {**self.records([self.one])[0], "mod_revision": revision}
            self.survive(self.saying(self.listing([record]), self.event(kv=record)), 0.3)

    def test_events_of_keys_that_nobody_asked_for(self):
        others = [self.event(type="DELETE", kv={"key": b64(key), "mod_revision": "8"})
                  for key in ("x", PREFIX[:-1], PREFIX[:5], "kitex/registry-etcd/no/1", "\0", "")]
        self.survive(self.saying(self.listing(self.records([self.one])), *others), 1)

    def test_messages_that_are_none(self):
        for text in ("\n\n\n\n", "{", "[]\n", "null\n", '{"result":5}\n', '{"result":{}}\n' * 1000,
                     '{"error":{"message":"x"}}\n', '{"result":{"canceled":true}}\n',
                     '{"result":{"canceled":true,"compact_revision":"-1"}}\n',
                     '{"result":{"canceled":true,"compact_revision":"9223372036854775807"}}\n',
                     '{"result":{"events":[{}]}}\n', '{"result":{"events":{}}}\n',
                     json.dumps(self.event(type="MOVE", kv=self.records([self.one])[0])) + "\n",
                     b"\xff\0\xfe\n", " " * 70000 + "\n", "x" * (ANSWER_MAX + 1)):
            self.survive(self.saying(self.listing(self.records([self.one])), text), 0.3)

    def test_a_watch_that_says_too_much(self):
        """One key again and again, as fast as it can."""
        event = json.dumps(self.event(kv=self.records([self.one])[0])) + "\n"
        listing = http(json.dumps(self.listing(self.records([self.one]))))

        def mood(line, sock):
            if "/v3/watch" not in line:
                sock.sendall(listing)
                return
            sock.sendall(CHUNKED)
            while True:
                sock.sendall(chunk(event * 100))
        self.survive(mood)

    def test_a_set_that_is_another_each_time(self):
        """What is told changes without end; whoever is in it is there."""
        count, services = [0], [self.upstream() for _ in range(20)]

        def mood(line, sock):
            if "/v3/watch" in line:
                sock.sendall(CHUNKED)
                while True:
                    count[0] += 1
                    record = {**self.records([services[count[0] % 20]])[0],
                              "mod_revision": str(100 + count[0])}
                    kind = {"type": "DELETE"} if count[0] % 3 == 0 else {}
                    sock.sendall(chunk(json.dumps(self.event(kv=record, **kind)) + "\n"))
            else:
                sock.sendall(http(json.dumps(self.listing(self.records([self.one])))))
        self.survive(mood)


class AsConsul(Hostile):
    def registry(self):
        return {"type": "consul", "endpoints": [self.server.address]}

    @staticmethod
    def instance(address, **service):
        host, _, port = address.rpartition(":")
        return {"Node": {"Node": "n", "Address": host}, "Checks": [],
                "Service": {"ID": address, "Service": SERVICE, "Tags": [], "Address": host,
                            "Port": int(port), "Weights": {"Passing": 10, "Warning": 1}, **service}}

    def saying(self, body, index="7"):
        """At once; what is asked with an index waits, as if nothing had changed."""
        text = body if isinstance(body, (str, bytes)) else json.dumps(body)
        answer = http(text, headers=["X-Consul-Index: " + index])

        def mood(line, sock):
            if "index=" in line and "index=0" not in line and self.server.asked > 3:
                self.server.hold(sock)
            sock.sendall(answer)
        return mood

    def good(self, services):
        return self.saying([self.instance(s.address) for s in services])

    def instances(self, *more):
        return [self.instance(self.one.address), self.instance(self.other.address), *more]


class ConsulTooMuch(TooMuch, AsConsul):
    pass


class ConsulNoAnswer(NoAnswer, AsConsul):
    pass


class ConsulRecords(AsConsul):
    def test_bytes_that_are_no_text_in_names_and_tags(self):
        self.believed(self.saying(self.instances(
            self.instance("127.0.0.1:9", ID="\x1b[2J", Address="\x1b[2J"),
            self.instance("127.0.0.1:9", Address="a b"))), [self.one, self.other])
        self.assertNotIn("\x1b", self.daemon.errors())

    def test_a_nul_in_a_name_spoils_the_answer(self):
        self.survive(self.saying(self.instances(self.instance("127.0.0.1:9", ID="\0"))), 1)

    def test_tags_without_measure(self):
        self.believed(self.saying(self.instances(
            self.instance("127.0.0.1:9", Tags=["x" * 5000]),
            self.instance("127.0.0.1:9", Tags={"a": 1}), self.instance("127.0.0.1:9", Tags=5))),
            [self.one, self.other])

    def test_ports_and_weights_that_cannot_be(self):
        bad = [self.instance("127.0.0.1:9", Port=port)
               for port in (0, -1, 65536, 1e300, "x", None, 1.5)]
        bad += [self.instance("127.0.0.1:9", Weights={"Passing": weight})
                for weight in (1e9, "5", [], 1e300)]
        self.believed(self.saying(self.instances(*bad)), [self.one, self.other])

    def test_things_that_are_no_instances(self):
        self.believed(self.saying(self.instances(
            5, None, [], {}, "x", {"Service": 5}, {"Service": {}})), [self.one, self.other])

    def test_the_daemon_itself(self):
        self.believed(self.saying(self.instances(self.instance(self.daemon.address("open")))),
                      [self.one, self.other])

    def test_more_endpoints_than_there_may_be(self):
        self.at_most_ten_thousand(self.saying([self.instance(a) for a in TOO_MANY]))

    def test_an_index_that_cannot_be(self):
        for index in ("-1", "0", "x", "", "18446744073709551615", "99999999999999999999", "1e9"):
            self.survive(self.saying([self.instance(self.one.address)], index), 0.5)

    def test_an_index_that_always_grows(self):
        """Each question is answered at once: it has to wait by itself."""
        count = [10]

        def mood(_, sock):
            count[0] += 1
            sock.sendall(http(json.dumps([self.instance(self.one.address)]),
                              headers=["X-Consul-Index: %d" % count[0]]))
        self.survive(mood)
        self.assertLess(count[0], 1000)
