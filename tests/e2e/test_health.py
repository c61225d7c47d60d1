"""Health checks of the daemon: who fails them gets no calls, who is well again gets some."""

import h2_upstream
import peers
import upstream
import wire
from bridled import TestCase, eventually
from peers import GOECHO, GOGRPC, VOLO_SERVER, needs
from sockets import PATIENCE

INTERVAL, FALL, RISE = 0.2, 3, 2
TIMES = {"interval": "200ms", "timeout": "150ms", "fall": FALL, "rise": RISE}
LATE = PATIENCE  # seconds that a busy machine may add
SERVING, NOT_SERVING = b"\x08\x01", b"\x08\x02"


class Health(TestCase):
    calls = 0  # that have been made

    def health(self, daemon, service):
        for one in daemon.get_json("/services/svc")["endpoints"]:
            if one["address"] == getattr(service, "address", service):
                return one["health"]
        raise AssertionError("no such endpoint")

    def await_health(self, daemon, service, health, seconds=LATE):
        eventually(lambda: self.health(daemon, service) == health, seconds,
                   "%s %s" % (service.address, health))

    def reached(self, daemon, services, method="Echo", calls=12):
        """How many of so many calls came to each."""
        before = [self.count(s, method) for s in services]
        self.calls += calls
        with self.caller(daemon) as caller:
            for _ in range(calls):
                self.assertEqual(caller.call(method, text="hi").text, "hi")
        return [self.count(s, method) - b for s, b in zip(services, before)]

    def await_reached(self, daemon, services, shares):
        """Workers hear of a change a moment after it is told."""
        eventually(lambda: self.reached(daemon, services) == shares, what="calls as %s" % shares)

    @staticmethod
    def count(service, method):
        with service.lock:
            return sum(p.method == method for p in service.packets)


class Tcp(Health):
    def test_one_that_is_killed_goes_and_comes_back(self):
        paths = ["a.sock", "b.sock", "c.sock"]
        services = [self.upstream(name=name) for name in paths]
        daemon = self.pinned(services, health={"type": "tcp", **TIMES})
        for service in services:
            self.await_health(daemon, service, "up")
        self.await_reached(daemon, services, [4, 4, 4])
        services[1].close()
        services[1].drop_connections()
        self.await_health(daemon, services[1], "down", FALL * INTERVAL * 1.1 + LATE)
        self.assertEqual(daemon.metric("bridle_endpoints", service="svc", state="down"), 1)
        self.await_reached(daemon, services, [6, 0, 6])
        self.assert_logged(daemon, "health: down")
        self.assert_logged(daemon, "Connection refused")
        services[1] = self.upstream(name=paths[1])
        self.await_health(daemon, services[1], "up", (RISE + 1) * INTERVAL * 1.1 + LATE)
        self.await_reached(daemon, services, [4, 4, 4])
        lines = [line["reason"] for line in daemon.access_log(self.calls)]
        self.assertEqual(set(lines), {"ok"})  # nobody noticed

    def test_when_all_are_down_calls_are_tried_all_the_same(self):
        def well_but_for_ping(connection, packet):
            if packet.method != "ping":
                connection.answer(packet)
        services = [self.upstream(well_but_for_ping) for _ in range(2)]
        daemon = self.pinned(services, protocol="framed", health={"type": "thrift", **TIMES})
        for service in services:
            self.await_health(daemon, service, "down")
        self.await_reached(daemon, services, [6, 6])

    def test_a_reload_begins_and_ends_checks(self):
        service, other = self.upstream(), self.upstream()
        whole = {"node": {"service": "test.node"},
                 "listeners": [{"name": "in", "address": "127.0.0.1:0", "service": "svc"}]}

        def with_policy(*services, **policy):
            return {**whole, "services": {"svc": {"endpoints": [s.address for s in services],
                                                  **policy}}}
        daemon = self.bridled(with_policy(service))
        self.assertEqual(self.health(daemon, service), "unknown")
        daemon.reload(with_policy(service, other, health={"type": "tcp", **TIMES}))
        self.await_health(daemon, service, "up")
        self.await_health(daemon, other, "up")
        daemon.reload(with_policy(other, health={"type": "tcp", **TIMES}))
        seen = service.accepted
        self.assertEqual(self.health(daemon, other), "up")
        daemon.reload(with_policy(service, other))
        self.assertEqual(self.health(daemon, other), "unknown")
        descriptors = daemon.descriptors()
        self.assertLessEqual(service.accepted - seen, 1)
        for _ in range(5):
            daemon.reload(with_policy(service, health={"type": "tcp", **TIMES}))
            daemon.reload(with_policy(service, other))
        eventually(lambda: daemon.descriptors() <= descriptors, what="descriptors given back")


class Thrift(Health):
    def test_any_answer_counts_and_silence_does_not(self):
        moods = [upstream.echo, upstream.fail, upstream.silent, upstream.garbage,
                 upstream.close_at_once]
        services = [self.upstream(mood) for mood in moods]
        daemon = self.pinned(services, protocol="framed",
                             health={"type": "thrift", "method": "Health", **TIMES})
        for service, health in zip(services, ("up", "up", "down", "down", "down")):
            self.await_health(daemon, service, health)
        for service in services:
            self.assertEqual({p.method for p in service.packets}, {"Health"})
            self.assertEqual(service.malformed, [])

    def test_it_is_asked_in_what_its_service_speaks(self):
        for protocol, form in (("framed", "framed"), ("buffered", "buffered"),
                               ("ttheader", "ttheader_framed"),
                               ("ttheader_bare", "ttheader_bare"), ("same", "framed")):
            with self.subTest(protocol=protocol):
                service = self.upstream()
                daemon = self.pinned(service, protocol=protocol,
                                     health={"type": "thrift", **TIMES})
                self.await_health(daemon, service, "up")
                packet = service.packets[0]
                self.assertEqual((packet.method, packet.kind), ("ping", wire.CALL))
                self.assertEqual(packet.form, form)
                daemon.stop()


class Grpc(Health):
    def answering(self, message, status="0"):
        """A server whose health is that, and the paths that it was asked for."""
        def behave(peer, frame):
            stream = frame and peer.streams.get(frame.stream)
            if stream and stream.ended and frame.stream and stream.number not in peer.answered:
                peer.answered.add(stream.number)
                asked.append(stream.get(":path"))
                h2_upstream.answer(peer, frame.stream, message,
                                   (("grpc-status", status),))
        asked = []

        def begin(peer, frame):
            if not hasattr(peer, "answered"):
                peer.answered = set()
            behave(peer, frame)
        service = h2_upstream.Upstream(begin)
        service.asked = asked
        self.addCleanup(service.close)
        return service

    def test_serving_alone_counts(self):
        services = [self.answering(SERVING), self.answering(NOT_SERVING),
                    self.answering(SERVING, status="12")]
        daemon = self.pinned(services, protocol="grpc", health={"type": "grpc", **TIMES})
        for service, health in zip(services, ("up", "down", "down")):
            self.await_health(daemon, service, health)
            self.assertEqual(set(service.asked), {"/grpc.health.v1.Health/Check"})
            self.assertEqual(service.malformed, [])


class Real(peers.Peers, Health):
    """Servers of Kitex and of Volo know no `ping`: their exception is an answer."""

    def check(self, server, protocol):
        daemon = self.pinned(server, protocol=protocol, health={"type": "thrift", **TIMES})
        self.await_health(daemon, server, "up")
        server.kill()
        self.await_health(daemon, server, "down")
        server.start()
        self.await_health(daemon, server, "up")
        daemon.stop()

    @needs(GOGRPC)
    def test_grpc(self):
        """The whole server is well, a service that it does not know is not."""
        server = self.server(GOGRPC, "server", "{}")
        daemon = self.pinned(server, protocol="grpc", health={"type": "grpc", **TIMES})
        self.await_health(daemon, server, "up")
        server.kill()
        self.await_health(daemon, server, "down")
        server.start()
        self.await_health(daemon, server, "up")
        daemon.stop()
        daemon = self.pinned(server, protocol="grpc",
                             health={"type": "grpc", "method": "shop.Cart", **TIMES})
        self.await_health(daemon, server, "down")
        self.assert_logged(daemon, "answers with status 5")

    @needs(VOLO_SERVER)
    def test_volo(self):
        for protocol in ("framed", "buffered", "ttheader_framed", "ttheader_bare"):
            with self.subTest(protocol=protocol):
                self.check(self.server(VOLO_SERVER, "thrift", "{}"), protocol)

    @needs(GOECHO)
    def test_kitex(self):
        for protocol in ("framed", "ttheader_framed", "same"):
            with self.subTest(protocol=protocol):
                self.check(self.server(GOECHO, "server", "{}"), protocol)
