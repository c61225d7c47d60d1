"""What tests of HTTP/2 with raw ends have in common."""

import time

import h2
import h2_upstream
import hpack
from bridled import IS_SANITIZED, TestCase, eventually

MIB = 1 << 20
TIMES = {"detect": "500ms", "message": "1s", "idle": "20s", "write_stall": "1s"}
ONE_WORKER = {"workers": 1}
FAR_AWAY = 15  # seconds within which an attacker's connection has to be gone
AT_ONCE = 8    # seconds that nobody waits, however much else this machine has to do
PATIENT = {"connect": "5s"}


class H2TestCase(TestCase):
    def h2_upstream(self, behaviour=h2_upstream.echo, name=None, **kwargs):
        """An application; on a unix socket of that name if there is one."""
        service = h2_upstream.Upstream(behaviour, name and self.path(name), **kwargs)
        self.addCleanup(service.close)
        return service

    def client(self, daemon, listener="in", **kwargs):
        client = h2.Client(daemon.address(listener), **kwargs)
        self.addCleanup(client.close)
        return client

    def assert_echoed(self, stream, message=b"hello"):
        self.assertTrue(stream.ended, stream)
        self.assertEqual(stream.get(":status"), "200", stream)
        self.assertEqual(stream.trailers.get("grpc-status"), "0", stream)
        self.assertEqual(stream.messages, [(0, message)])

    def assert_status(self, stream, status, reason=None):
        """An answer of the proxy's own: trailers only, or after what has been passed on."""
        self.assertTrue(stream.ended, stream)
        self.assertEqual(stream.trailers.get("grpc-status"), str(status), stream)
        if reason:
            self.assertRegex(stream.trailers.get("grpc-message"), "^bridled: %s: " % reason)


class Attack(H2TestCase):
    LISTENER = {"timeout": TIMES}
    POLICY = {}
    MEMORY = 32 * MIB

    def setUp(self):
        super().setUp()
        self.service = self.h2_upstream(self.behave, updates=True)
        self.daemon = self.pinned(self.service, self.LISTENER, **{
            **self.POLICY, "timeout": {**PATIENT, **self.POLICY.get("timeout", {})}})
        self.address = self.daemon.address()
        for _ in range(4):
            self.good_call()
        self.calls_before = len(self.service.calls())
        self.descriptors, self.rss = self.daemon.descriptors(), self.daemon.rss()
        self.addCleanup(self.must_be_unharmed)

    def behave(self, peer, frame):
        """Calls to /pkg.Echo/Echo are answered, others as the test wants."""
        stream = frame is not None and peer.streams.get(frame.stream)
        path = stream and stream.blocks and dict(stream.blocks[0])[":path"]
        if path == "/pkg.Echo/Echo":
            h2_upstream.echo(peer, frame)
        elif stream:
            self.other(peer, frame)

    def other(self, peer, frame):
        """Not answered."""

    def good_call(self):
        with h2.Client(self.address) as client:
            began = time.monotonic()
            self.assert_echoed(client.call())
            return time.monotonic() - began

    def must_be_unharmed(self):
        self.assertTrue(self.daemon.is_alive(), self.daemon.errors()[-4000:])
        for _ in range(4):
            self.assertLess(self.good_call(), AT_ONCE)
        eventually(lambda: self.daemon.descriptors() <= self.descriptors + 8,
                   what="the end of the attack's descriptors")
        self.assert_memory(self.MEMORY)
        self.assertEqual(self.service.malformed, [])

    def assert_memory(self, more):
        if not IS_SANITIZED:
            self.assertLess(self.daemon.rss(), self.rss + more)

    def attacker(self, **kwargs):
        return self.client(self.daemon, **kwargs)

    def attacking_calls(self):
        return len(self.service.calls()) - self.calls_before

    def at_service(self, path="/pkg.Echo/Other"):
        """[(peer, stream)] of the calls with that path."""
        return [(p, s) for p, s in self.service.calls() if s.get(":path") == path]

    def must_end(self, client, *codes):
        """With a GOAWAY that says why."""
        code = client.closed(FAR_AWAY)
        self.assertIsNotNone(code, "closed without GOAWAY")
        self.assertIn(code, codes or (h2.ENHANCE_YOUR_CALM, h2.PROTOCOL_ERROR), client.goaways)

    def flood(self, client, data, count, batch=200):
        """Until the other side has had enough."""
        for done in range(0, count, batch):
            size = min(batch, count - done)
            if not client.send(b"".join(data(done + i) for i in range(size))
                               if callable(data) else data * size):
                return done
        return count

    def headers(self, number, end=False, path="/pkg.Echo/Other", **kwargs):
        return h2.pack_headers(number, hpack.block(h2.call_fields(path, **kwargs)), end)


class Upstreams(H2TestCase):
    """One application that the test drives by hand, unless a behaviour is given."""

    daemon = None

    def begin(self, behaviour=h2_upstream.silent, config=None, settings=(), listener=None,
              name=None, updates=None, **policy):
        if self.daemon:
            self.daemon.stop()
        self.service = self.h2_upstream(behaviour, name, settings=settings, updates=updates)
        policy["timeout"] = {**PATIENT, **policy.get("timeout", {})}
        self.daemon = self.pinned(self.service, listener, {**ONE_WORKER, **(config or {})},
                                  **policy)
        return self.client(self.daemon)

    def held(self, client, count):
        """So many calls, and [(peer, stream)] where each of them arrived."""
        numbers = [client.ask(b"hello %d" % i) for i in range(count)]
        found = {}
        for peer, stream in self.service.await_calls(count):
            peer.until(lambda s=stream: s.ended, what="the end of the request")
            found[stream.messages[0][1]] = peer, stream
        return numbers, [found[b"hello %d" % i] for i in range(count)]

    def nothing_malformed(self):
        self.assertEqual(self.service.malformed, [])
