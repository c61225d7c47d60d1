"""Services found and applications published in a real ZooKeeper: Kitex's layout and rpcx's, sessions
that break and expire, nodes of others in our place, and calls that notice none of it."""

import base64
import hashlib
import os
import signal
import socket
import threading
import time

import bridled
import sockets
import wire
import zookeeper_server
from bridled import eventually
from zookeeper_server import ALL, Kitex, Relay, ZooKeeper, kitex_value

SECRET = "shop:s3cret"
KITEX_EMPTY = b'{"Weight":10,"Tags":null}'


def named(name):
    """Answers each call with its own name."""
    def answer(connection, packet):
        connection.write(packet.answer(wire.result(name)))
    return answer


class ZooKeeperCase(bridled.TestCase):
    def setUp(self):
        super().setUp()
        self.zookeeper = ZooKeeper(self).start()
        self.session = self.zookeeper.session(self)
        self.kitex = Kitex(self.session)

    def registry(self, **more):
        return {"type": "zookeeper", "endpoints": [self.zookeeper.address], "session": "4s", **more}

    def seen(self, daemon, label="svc"):
        """{address: weight}, and the state."""
        service = daemon.get_json("/services/" + label)
        service = service[0] if isinstance(service, list) else service
        return ({e["address"]: e["weight"] for e in service["endpoints"]}, service["state"])

    def addresses(self, daemon, label="svc"):
        return set(self.seen(daemon, label)[0])

    def wait_for(self, daemon, addresses, label="svc"):
        eventually(lambda: self.addresses(daemon, label) == set(addresses),
                   what="%s at %s" % (label, sorted(addresses)))

    def finder(self, config=None, registry=None, **service):
        """A daemon that finds svc in ZooKeeper, for callers at `in`."""
        whole = {"node": {"service": "test.node"},
                 "registries": {"main": self.registry(**(registry or {}))},
                 "listeners": [{"name": "in", "address": "127.0.0.1:0", "service": "svc"}],
                 "services": {"svc": {"discover": "main", **service}}}
        whole.update(config or {})
        return self.bridled(whole)

    def call(self, daemon, listener="in"):
        with self.caller(daemon, listener=listener) as caller:
            answer = caller.call()
            self.assertIsNone(answer.exception, answer.exception)
            return answer.fields[0].decode()


class Calling:
    """Calls one after the other in the background; none may fail."""

    def __init__(self, case, daemon, listener="in"):
        self.case, self.address = case, daemon.address(listener)
        self.count, self.failures, self.is_over = 0, [], False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        case.addCleanup(self.end)

    def run(self):
        while not self.is_over:
            try:
                with sockets.Caller(self.address) as caller:
                    for _ in range(20):
                        answer = caller.call()
                        self.count += 1
                        if answer.exception:
                            self.failures.append(answer.exception)
                        time.sleep(0.002)
            except (OSError, EOFError, AssertionError) as error:
                self.failures.append(error)
                time.sleep(0.05)

    def end(self):
        self.is_over = True
        self.thread.join(30)

    def none_failed(self):
        self.end()
        self.case.assertEqual(self.failures, [])
        self.case.assertGreater(self.count, 0)


class Finding(ZooKeeperCase):
    def test_instances_appear_change_and_vanish(self):
        one, other = self.upstream(named("one")), self.upstream(named("other"))
        self.kitex.put("svc", one.address)
        daemon = self.finder()
        self.assertEqual(self.seen(daemon), ({one.address: 10}, "fresh"))
        self.assertEqual(self.call(daemon), "one")
        self.kitex.put("svc", other.address, weight=30)
        eventually(lambda: self.seen(daemon)[0] == {one.address: 10, other.address: 30})
        self.kitex.set("svc", one.address, weight=20)
        eventually(lambda: self.seen(daemon)[0] == {one.address: 20, other.address: 30})
        self.kitex.delete("svc", one.address)
        self.wait_for(daemon, [other.address])
        eventually(lambda: self.call(daemon) == "other")

    def test_the_tags_of_an_instance_decide_whether_it_is_wanted(self):
        one, other = self.upstream(named("one")), self.upstream(named("other"))
        self.kitex.put("svc", one.address, tags={"lane": "blue"})
        self.kitex.put("svc", other.address, tags={"lane": "green"})
        daemon = self.finder(discover={"from": "main", "tags": {"lane": "blue"}})
        self.wait_for(daemon, [one.address])
        self.kitex.set("svc", other.address, tags={"lane": "blue"})
        self.wait_for(daemon, [one.address, other.address])
        self.kitex.set("svc", one.address, tags={"lane": "red"})
        self.wait_for(daemon, [other.address])

    def test_a_service_whose_node_comes_later_is_found(self):
        service = self.upstream()
        daemon = self.finder()
        self.assertEqual(self.seen(daemon), ({}, "empty"))
        self.session.create("/svc")
        self.kitex.put("svc", service.address)
        self.wait_for(daemon, [service.address])
        self.call(daemon)

    def test_a_node_that_goes_and_comes_again_is_followed(self):
        service = self.upstream()
        self.kitex.put("svc", service.address)
        daemon = self.finder(registry={"empty": "obey"})
        self.wait_for(daemon, [service.address])
        for _ in range(3):
            self.session.delete_tree("/svc")
            self.wait_for(daemon, [])
            self.kitex.put("svc", service.address)
            self.wait_for(daemon, [service.address])

    def test_an_empty_set_is_not_believed_at_once(self):
        service = self.upstream()
        self.kitex.put("svc", service.address)
        daemon = self.finder()
        self.wait_for(daemon, [service.address])
        self.kitex.delete("svc", service.address)
        eventually(lambda: self.seen(daemon) == ({service.address: 10}, "stale"))
        self.call(daemon)

    def test_a_malformed_child_beside_good_ones_costs_only_itself(self):
        service = self.upstream()
        self.kitex.put("svc", service.address)
        for name, data in (("127.0.0.1:1", "{"), ("127.0.0.1:2", ""), ("127.0.0.1:3", "\xff"),
                           ("lock-1", KITEX_EMPTY), ("host.name:80", KITEX_EMPTY),
                           ("127.0.0.1:0", KITEX_EMPTY), ("127.0.0.1:4", '{"Weight":"10"}'),
                           ("127.0.0.1:5", b"{" * 100000)):
            self.session.create("/svc/" + name, data)
        daemon = self.finder()
        self.wait_for(daemon, [service.address])
        self.call(daemon)
        self.session.set("/svc/127.0.0.1:1", kitex_value(5))  # mended
        self.wait_for(daemon, [service.address, "127.0.0.1:1"])
        self.session.set("/svc/127.0.0.1:1", b"\x00")  # broken again
        self.wait_for(daemon, [service.address])

    def test_weights_that_are_not_positive_are_kitexs_default(self):
        for i, weight in enumerate((0, -5)):
            self.kitex.put("svc", "127.0.0.1:%d" % (1 + i), weight)
        self.session.create("/svc/127.0.0.1:3", "{}")
        daemon = self.finder()
        eventually(lambda: self.seen(daemon)[0] == {"127.0.0.1:%d" % i: 10 for i in (1, 2, 3)})

    def test_base_is_the_path_above(self):
        service = self.upstream()
        Kitex(self.session, "/mesh/kitex").put("svc", service.address)
        daemon = self.finder(registry={"base": "/mesh/kitex"})
        self.wait_for(daemon, [service.address])

    def test_the_layout_of_rpcx_is_read(self):
        service = self.upstream()
        self.session.put("/rpcx/svc/tcp@" + service.address, "weight=7&group=test")
        self.session.put("/rpcx/svc/tcp@127.0.0.1:1", "state=inactive")
        daemon = self.finder(registry={"format": "rpcx", "base": "/rpcx"})
        eventually(lambda: self.seen(daemon)[0] == {service.address: 7})
        self.call(daemon)

    def test_nodes_behind_a_digest_are_read_with_the_secret(self):
        service = self.upstream()
        self.session.authenticate(SECRET)
        acl = [(ALL, "auth", "")]
        self.session.create("/svc", acl=acl)
        self.session.create("/svc/" + service.address, KITEX_EMPTY, acl=acl)
        with open(self.path("secret"), "w", encoding="ascii") as file:
            file.write(SECRET + "\n")
        daemon = self.finder(registry={"auth": {"file": self.path("secret")}})
        self.wait_for(daemon, [service.address])
        self.call(daemon)

    def test_a_wrong_secret_is_told_and_keeps_what_was_known(self):
        service = self.upstream()
        self.kitex.put("svc", service.address)
        self.session.authenticate(SECRET)
        self.session.create("/other", acl=[(ALL, "auth", "")])
        daemon = self.finder(registry={"auth": "shop:wrong"},
                             config={"services": {"svc": {"discover": "main"},
                                                  "other": {"discover": "main"}}})
        self.wait_for(daemon, [service.address])
        self.call(daemon)
        self.assertEqual(self.seen(daemon, "other"), ({}, "unknown"))
        eventually(lambda: "not authenticated" in daemon.errors())
        self.assertNotIn("wrong", daemon.errors())
        self.assertNotIn("shop:wrong", daemon.get("/config")[1])

    def test_ten_thousand_instances_are_found_and_followed(self):
        service = self.upstream()
        self.session.create("/svc")
        self.session.create_many(("/svc/10.%d.%d.1:80" % (i // 250, i % 250), kitex_value(1))
                                 for i in range(9999))
        self.session.create("/svc/" + service.address, kitex_value(2))
        daemon = self.finder()
        eventually(lambda: len(self.addresses(daemon)) == 10000, what="10 000 instances")
        self.kitex.set("svc", "10.0.7.1:80", weight=5)
        eventually(lambda: self.seen(daemon)[0]["10.0.7.1:80"] == 5)
        self.session.delete("/svc/10.0.8.1:80")
        eventually(lambda: len(self.addresses(daemon)) == 9999)
        for i in range(3):  # more than there may be: the last by their names are left out
            self.session.create("/svc/99.0.0.%d:80" % i, kitex_value(1))
        eventually(lambda: "2 more than the 10000" in daemon.errors())
        eventually(lambda: len(self.addresses(daemon)) == 10000)

    def test_a_change_reaches_every_worker_in_less_than_a_fifth_of_a_second(self):
        services = [self.upstream(named(str(i))) for i in range(2)]
        self.kitex.put("svc", services[0].address)
        daemon = self.finder(config={"workers": 2})
        callers = [self.caller(daemon) for _ in range(12)]
        took = []
        for turn in range(1, 8):
            new, old = services[turn % 2], services[(turn + 1) % 2]
            began = time.monotonic()
            self.session.create("/svc/" + new.address, KITEX_EMPTY)
            self.session.delete("/svc/" + old.address)
            while not all(c.call().fields[0].decode() == str(turn % 2) for c in callers):
                self.assertLess(time.monotonic() - began, 20)
            took.append(time.monotonic() - began)
            time.sleep(0.15)  # what follows is another change, not the rest of this one
        took.sort()
        print("ms from a change to the last of 12 connections:", [round(t * 1000) for t in took])
        self.assertLess(took[len(took) // 2], bridled.allow(0.2))


class Outages(ZooKeeperCase):
    """Nothing that happens to ZooKeeper costs a call."""

    def setUp(self):
        super().setUp()
        self.service = self.upstream()
        self.kitex.put("svc", self.service.address)

    def relayed(self, **registry):
        self.relay = Relay(self, self.zookeeper.address)
        return self.finder(registry={"endpoints": ["127.0.0.1:%d" % self.relay.port], **registry})

    def more(self):
        """Another instance in a session of its own; its address."""
        other = self.upstream()
        session = self.zookeeper.session(self)
        Kitex(session).put("svc", other.address)
        return other.address

    def test_a_server_that_restarts_costs_no_call(self):
        daemon = self.finder()
        calling = Calling(self, daemon)
        self.zookeeper.kill()
        eventually(lambda: self.seen(daemon)[1] == "stale")
        self.call(daemon)
        self.zookeeper.start()
        other = self.more()
        self.wait_for(daemon, [self.service.address, other])
        eventually(lambda: self.seen(daemon)[1] == "fresh")
        calling.none_failed()

    def test_a_server_that_stands_still_costs_no_call(self):
        daemon = self.finder(registry={"session": "2s"})
        calling = Calling(self, daemon)
        self.zookeeper.pause()
        eventually(lambda: self.seen(daemon)[1] == "stale")
        self.call(daemon)
        self.zookeeper.resume()
        other = self.more()
        self.wait_for(daemon, [self.service.address, other])
        calling.none_failed()

    def test_connections_that_break_cost_no_call(self):
        daemon = self.relayed()
        calling = Calling(self, daemon)
        for _ in range(8):
            self.relay.cut()
            time.sleep(0.1)
        other = self.more()
        self.wait_for(daemon, [self.service.address, other])
        calling.none_failed()

    def test_what_changed_while_the_connection_was_broken_is_found(self):
        daemon = self.relayed()
        self.relay.shut()
        eventually(lambda: self.seen(daemon)[1] == "stale")
        other = self.more()
        self.kitex.set("svc", self.service.address, 99)
        self.relay.open()
        eventually(lambda: self.seen(daemon) == ({self.service.address: 99, other: 10}, "fresh"))

    def test_a_session_that_expired_is_followed_by_another(self):
        daemon = self.relayed()
        calling = Calling(self, daemon)
        for turn in range(3):
            self.relay.shut()
            eventually(lambda: self.seen(daemon)[1] == "stale")
            self.kitex.set("svc", self.service.address, 20 + turn)
            self.relay.expire()
            self.relay.open()
            eventually(lambda: self.seen(daemon)[0] == {self.service.address: 20 + turn})
            eventually(lambda: len({number for number, _ in self.relay.sessions}) == turn + 2)
        other = self.more()  # watches of the new session
        self.wait_for(daemon, [self.service.address, other])
        calling.none_failed()

    def test_a_registry_that_is_away_at_the_start_is_found_later(self):
        self.zookeeper.kill()
        whole = {"node": {"service": "test.node"}, "registries": {"main": self.registry()},
                 "listeners": [{"name": "in", "address": "127.0.0.1:0", "service": "svc"}],
                 "services": {"svc": {"discover": "main"}}}
        daemon = bridled.Bridled(self.directory, whole)
        self.addCleanup(daemon.stop)
        daemon.start()
        self.assertEqual(self.seen(daemon), ({}, "unknown"))
        self.zookeeper.start()
        self.wait_for(daemon, [self.service.address])
        self.call(daemon)

    def test_the_daemon_ends_in_time_though_the_server_stands_still(self):
        daemon = self.finder()
        self.zookeeper.pause()
        began = time.monotonic()
        daemon.stop()
        self.assertLess(time.monotonic() - began, bridled.allow(10))

    def test_more_watches_than_one_message_holds_survive_a_broken_connection(self):
        """The library tells the next server of all its watches at once, in a message that may be
        too long for it."""
        name = "x" * 120
        self.session.create("/" + name)
        self.session.create_many(("/%s/10.%d.%d.1:80" % (name, i // 250, i % 250), kitex_value(1))
                                 for i in range(9000))
        self.relay = Relay(self, self.zookeeper.address)
        daemon = self.finder(registry={"endpoints": ["127.0.0.1:%d" % self.relay.port]},
                             discover="main", name=name)
        eventually(lambda: len(self.addresses(daemon)) == 9000, what="9000 instances")
        self.relay.cut()
        self.session.create("/%s/127.0.0.1:80" % name, kitex_value(1))
        eventually(lambda: "127.0.0.1:80" in self.addresses(daemon), 60)
        eventually(lambda: self.seen(daemon)[1] == "fresh")

    def test_endpoints_may_be_names(self):
        daemon = self.finder(registry={"endpoints": ["localhost:%d" % self.zookeeper.port]})
        self.wait_for(daemon, [self.service.address])

    def test_the_other_server_is_asked_when_one_is_away(self):
        nobody = self.upstream()
        nobody.close()
        daemon = self.finder(registry={"endpoints": [nobody.address, self.zookeeper.address]})
        self.wait_for(daemon, [self.service.address])

    def test_nothing_of_the_library_is_written_but_by_our_log(self):
        daemon = self.finder()
        self.zookeeper.kill()
        eventually(lambda: "the library says" in daemon.errors())
        for line in daemon.errors().splitlines():
            self.assertRegex(line, r"^\d{4}-\d\d-\d\dT[\d:.]+Z (error|warn|info) ")


NONSENSE = {
    "nothing": lambda sock: sock.recv(4096) and time.sleep(1),
    "the end": lambda sock: None,
    "text": lambda sock: sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 10),
    "zeros": lambda sock: sock.sendall(b"\0" * 4096),
    "a negative length": lambda sock: sock.sendall(b"\xff" * 4096),
    "a length that never comes": lambda sock: sock.sendall(b"\x00\x10\x00\x00abc"),
}


class Nonsense(bridled.TestCase):
    """Whoever listens at the address of the registry is no ZooKeeper."""

    def listen(self, behaviour):
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)

        def serve(sock):
            with sock:
                try:
                    behaviour(sock)
                except OSError:
                    pass

        def accept():
            while True:
                try:
                    sock, _ = listener.accept()
                except OSError:
                    return
                self.accepted += 1
                threading.Thread(target=serve, args=(sock,), daemon=True).start()
        self.accepted = 0
        threading.Thread(target=accept, daemon=True).start()
        return "127.0.0.1:%d" % listener.getsockname()[1]

    def test_it_costs_no_call_and_is_told(self):
        for what, behaviour in NONSENSE.items():
            with self.subTest(what):
                service = self.upstream()
                daemon = self.bridled({
                    "node": {"service": "test.node"},
                    "registries": {"main": {"type": "zookeeper", "session": "2s",
                                            "endpoints": [self.listen(behaviour)]}},
                    "listeners": [{"name": "in", "address": "127.0.0.1:0", "service": "svc"}],
                    "shutdown": {"drain": "5s", "deregister_wait": "10ms"},
                    "services": {"svc": {"endpoints": [service.address],
                                         "register": {"in": "main", "address": "127.0.0.1:7"}}}})
                eventually(lambda: self.accepted > 3)
                calling = Calling(self, daemon)
                eventually(lambda: daemon.metric("bridle_registry_up") == 0)
                self.assertEqual(daemon.metric("bridle_registered"), 0)
                calling.none_failed()
                daemon.stop()


class Publishing(ZooKeeperCase):
    """One application, published as svc at an address that nobody connects to here."""

    address = "127.0.0.1:7777"
    node = "/svc/" + address

    def setUp(self):
        super().setUp()
        self.application = self.upstream(name="app.sock")

    def publisher(self, registry=None, register=None, start=True):
        whole = {"node": {"service": "test.node"},
                 "registries": {"main": self.registry(**(registry or {}))},
                 "shutdown": {"drain": "5s", "spread": "10ms", "deregister_wait": "10ms"},
                 "listeners": [{"name": "in", "address": "127.0.0.1:0", "service": "local"}],
                 "services": {"local": {"name": "svc", "endpoints": [self.application.address],
                                        "register": {"in": "main", "address": self.address,
                                                     **(register or {})}}}}
        daemon = bridled.Bridled(self.directory, whole)
        self.addCleanup(daemon.stop)
        return daemon.start() if start else daemon

    def relayed(self, **registry):
        self.relay = Relay(self, self.zookeeper.address)
        return self.publisher({"endpoints": ["127.0.0.1:%d" % self.relay.port], **registry})

    def registered(self, daemon):
        return daemon.metric("bridle_registered")

    def wait_until_present(self, daemon):
        eventually(lambda: self.registered(daemon) == 1, what="the registration")

    def drifts(self, daemon):
        return daemon.metric("bridle_registration_drifts_total")

    def test_the_node_is_as_kitex_writes_it(self):
        daemon = self.publisher()
        self.wait_until_present(daemon)
        data, stat = self.session.get(self.node)
        self.assertEqual(data, KITEX_EMPTY)
        self.assertNotEqual(stat["owner"], 0)
        self.assertEqual(self.session.acl(self.node), [(ALL, "world", "anyone")])
        data, stat = self.session.get("/svc")
        self.assertEqual((data, stat["owner"]), (b"", 0))
        self.assertEqual(self.session.acl("/svc"), [(ALL, "world", "anyone")])
        self.assertEqual(self.session.children("/svc"), [self.address])

    def test_weight_and_tags_are_written(self):
        daemon = self.publisher(register={"weight": 25, "tags": {"lane": "blue", "a": 'b"c'}})
        self.wait_until_present(daemon)
        self.assertEqual(self.session.get(self.node)[0],
                         b'{"Weight":25,"Tags":{"a":"b\\"c","lane":"blue"}}')

    def test_base_and_its_parents_are_made(self):
        daemon = self.publisher({"base": "/a/b"})
        self.wait_until_present(daemon)
        self.assertEqual(self.session.get("/a/b" + self.node)[0], KITEX_EMPTY)
        self.assertEqual(self.session.owner("/a/b/svc"), 0)

    def test_the_node_is_as_rpcx_writes_it(self):
        daemon = self.publisher({"format": "rpcx", "base": "/rpcx"}, {"weight": 3})
        self.wait_until_present(daemon)
        node = "/rpcx/svc/tcp@" + self.address
        self.assertIn(b"weight=3", self.session.get(node)[0])
        self.assertNotEqual(self.session.owner(node), 0)

    def test_with_a_secret_nodes_are_ours_alone(self):
        daemon = self.publisher({"auth": SECRET})
        self.wait_until_present(daemon)
        self.session.authenticate(SECRET)
        digest = base64.b64encode(hashlib.sha1(SECRET.encode()).digest()).decode()
        for node in ("/svc", self.node):
            self.assertEqual(self.session.acl(node), [(ALL, "digest", "shop:" + digest)])
        self.assertNotIn("s3cret", daemon.errors() + daemon.get("/config")[1])

    def test_it_goes_while_the_application_is_down(self):
        daemon = self.publisher()
        self.wait_until_present(daemon)
        self.application.close()
        eventually(lambda: self.session.get(self.node) is None)
        self.assertEqual(self.registered(daemon), 0)
        self.application = self.upstream(name="app.sock")
        self.wait_until_present(daemon)
        self.assertEqual(self.session.get(self.node)[0], KITEX_EMPTY)

    def test_it_is_withdrawn_when_the_daemon_ends(self):
        daemon = self.publisher()
        self.wait_until_present(daemon)
        daemon.stop()
        self.assertIsNone(self.session.get(self.node))
        self.assertEqual(self.session.children("/svc"), [])

    def test_the_node_that_a_crash_left_is_taken_over(self):
        daemon = self.publisher({"session": "60s"})
        self.wait_until_present(daemon)
        old = self.session.owner(self.node)
        daemon.expect_exit = -signal.SIGKILL
        daemon.signal(signal.SIGKILL)
        daemon.wait()
        daemon = self.publisher({"session": "60s"})
        self.wait_until_present(daemon)
        new = self.session.owner(self.node)
        self.assertNotIn(new, (old, 0))
        self.assertEqual(self.session.get(self.node)[0], KITEX_EMPTY)
        self.assertEqual(self.drifts(daemon), 0)

    def test_a_node_that_stays_is_replaced(self):
        self.session.put(self.node, "{}")
        daemon = self.publisher()
        self.wait_until_present(daemon)
        data, stat = self.session.get(self.node)
        self.assertEqual(data, KITEX_EMPTY)
        self.assertNotEqual(stat["owner"], 0)
        eventually(lambda: "taken over" in daemon.errors())

    def test_a_node_that_is_deleted_is_made_again_at_once(self):
        daemon = self.publisher()
        self.wait_until_present(daemon)
        for turn in range(1, 4):
            self.session.delete(self.node)
            began = time.monotonic()
            eventually(lambda: self.session.get(self.node))
            self.assertLess(time.monotonic() - began, bridled.allow(1))
            eventually(lambda turn=turn: self.drifts(daemon) == turn)
            self.wait_until_present(daemon)

    def test_a_node_that_is_changed_is_written_again(self):
        daemon = self.publisher()
        self.wait_until_present(daemon)
        self.session.set(self.node, kitex_value(99))
        eventually(lambda: self.session.get(self.node)[0] == KITEX_EMPTY)
        eventually(lambda: self.drifts(daemon) == 1)
        self.wait_until_present(daemon)

    def test_it_is_put_again_when_all_parents_are_deleted(self):
        daemon = self.publisher({"base": "/a/b"})
        self.wait_until_present(daemon)
        try:
            self.session.delete_tree("/a")
        except zookeeper_server.Failed:
            pass  # it may be back sooner than its parents are gone
        eventually(lambda: self.session.get("/a/b" + self.node))
        self.wait_until_present(daemon)

    def test_it_yields_to_another_and_returns_when_that_has_gone(self):
        daemon = self.publisher()
        self.wait_until_present(daemon)
        other = self.zookeeper.session(self)
        contest(other, self.node)
        eventually(lambda: self.registered(daemon) == 0)
        eventually(lambda: "contested" in daemon.errors())
        time.sleep(1)  # long enough for somebody who does not yield
        self.assertEqual(self.session.owner(self.node), other.number)
        other.close()
        self.wait_until_present(daemon)
        self.assertNotIn(self.session.owner(self.node), (other.number, 0, None))
        self.assertEqual(self.session.get(self.node)[0], KITEX_EMPTY)

    def test_what_another_holds_is_left_when_the_daemon_ends(self):
        daemon = self.publisher()
        self.wait_until_present(daemon)
        other = self.zookeeper.session(self)
        contest(other, self.node)
        eventually(lambda: "contested" in daemon.errors())
        daemon.stop()
        self.assertEqual(self.session.owner(self.node), other.number)

    def test_it_is_back_within_five_seconds_of_an_expired_session(self):
        daemon = self.relayed()
        self.wait_until_present(daemon)
        old = self.session.owner(self.node)
        self.relay.expire()
        began = time.monotonic()
        eventually(lambda: self.session.owner(self.node) not in (None, old))
        self.wait_until_present(daemon)
        self.assertLess(time.monotonic() - began, bridled.allow(5))
        eventually(lambda: self.drifts(daemon) == 1)

    def test_it_is_back_within_five_seconds_of_a_long_outage(self):
        daemon = self.relayed(session="1s")
        self.wait_until_present(daemon)
        self.relay.shut()
        eventually(lambda: self.session.get(self.node) is None)  # the server let the session expire
        eventually(lambda: self.registered(daemon) == 0)
        self.relay.open()
        began = time.monotonic()
        eventually(lambda: self.session.get(self.node))
        self.wait_until_present(daemon)
        self.assertLess(time.monotonic() - began, bridled.allow(5))

    def test_it_is_back_when_the_server_has_forgotten_everything(self):
        daemon = self.publisher()
        self.wait_until_present(daemon)
        self.zookeeper.kill()
        self.zookeeper.forget()
        self.zookeeper.start()
        began = time.monotonic()
        session = self.zookeeper.session(self)
        eventually(lambda: session.get(self.node))
        self.assertLess(time.monotonic() - began, bridled.allow(5))
        self.wait_until_present(daemon)

    def test_a_short_outage_loses_nothing(self):
        daemon = self.relayed(session="30s")
        self.wait_until_present(daemon)
        stat = self.session.get(self.node)[1]
        for _ in range(2):
            self.relay.cut()
            time.sleep(1)
        self.assertEqual(self.session.get(self.node)[1], stat)
        self.assertEqual((self.registered(daemon), self.drifts(daemon)), (1, 0))

    def test_it_is_withdrawn_from_a_registry_that_was_away_meanwhile(self):
        daemon = self.relayed(session="30s")
        self.wait_until_present(daemon)
        self.relay.shut()
        self.application.close()
        time.sleep(3)  # until it is known to be down; it cannot be seen from outside
        self.assertIsNotNone(self.session.get(self.node))
        self.relay.open()
        eventually(lambda: self.session.get(self.node) is None)
        daemon.stop()

    def test_a_reload_with_another_weight_writes_the_node(self):
        daemon = self.publisher()
        self.wait_until_present(daemon)
        owner = self.session.owner(self.node)
        with open(daemon.config_path, encoding="utf-8") as file:
            text = file.read()
        self.assertIn('"in": "main"', text)
        with open(daemon.config_path + ".new", "w", encoding="utf-8") as file:
            file.write(text.replace('"in": "main"', '"in": "main", "weight": 40'))
        os.rename(daemon.config_path + ".new", daemon.config_path)
        daemon.signal(signal.SIGHUP)
        eventually(lambda: self.session.get(self.node)[0] == b'{"Weight":40,"Tags":null}')
        self.assertEqual(self.session.owner(self.node), owner)
        self.wait_until_present(daemon)
        self.assertEqual(self.drifts(daemon), 0)


def contest(other, node):
    """Takes the node's place, however fast it is put again."""
    for _ in range(100):
        other.delete(node)
        try:
            other.create(node, kitex_value(1), ephemeral=True)
            return
        except zookeeper_server.Failed as error:
            if error.code != zookeeper_server.NODE_EXISTS:
                raise
    raise AssertionError("the node cannot be had")


class Meeting(ZooKeeperCase):
    """Two daemons, each with an application, that find each other through ZooKeeper."""

    def side(self, name, other):
        os.mkdir(self.path(name))
        application = self.upstream(named("from " + name))
        daemon = bridled.Bridled(self.path(name), {
            "node": {"service": name},
            "shutdown": {"drain": "5s", "spread": "10ms", "deregister_wait": "10ms"},
            "registries": {"main": self.registry(session="2s")},
            "listeners": [{"name": "inbound", "address": "127.0.0.1:0", "service": "local"},
                          {"name": "in", "address": "127.0.0.1:0", "service": other}],
            "services": {"local": {"name": name, "endpoints": [application.address],
                                   "register": {"in": "main"}},
                         other: {"discover": "main"}}})
        self.addCleanup(daemon.stop)
        return daemon.start()

    def test_calls_flow_both_ways_and_over_an_outage(self):
        cart, price = self.side("cart", "price"), self.side("price", "cart")
        self.wait_for(cart, [price.address("inbound")], "price")
        self.wait_for(price, [cart.address("inbound")], "cart")
        self.assertEqual(self.call(cart), "from price")
        self.assertEqual(self.call(price), "from cart")
        both = [Calling(self, cart), Calling(self, price)]
        self.zookeeper.kill()
        eventually(lambda: self.seen(cart, "price")[1] == "stale")
        time.sleep(3)  # longer than a session
        self.zookeeper.start()
        session = self.zookeeper.session(self)
        for name, daemon in (("cart", cart), ("price", price)):
            eventually(lambda n=name, d=daemon: session.children("/" + n) == [
                d.address("inbound")])
        eventually(lambda: self.seen(cart, "price")[1] == "fresh")
        for calling in both:
            calling.none_failed()
        self.assertEqual(self.call(cart), "from price")
        self.assertEqual(self.call(price), "from cart")


class Written(bridled.Bridled):
    """A daemon whose configuration is a text."""

    def write_config(self, config):
        with open(self.config_path, "w", encoding="utf-8") as file:
            file.write(config + 'admin: {socket: "%s"}\naccess_log: {to: "%s"}\n'
                       % (self.admin_path, self.access_path))


class Example(ZooKeeperCase):
    """conf/zookeeper.yaml, with the addresses that there are here."""

    def test_it_finds_and_publishes_as_its_comments_say(self):
        cart, price = self.upstream(name="cart.sock"), self.upstream(named("price"))
        self.kitex.put("shop.price", price.address, tags={"env": "prod"})
        self.kitex.put("shop.price", "127.0.0.1:1", tags={"env": "test"})
        with open(os.path.join(bridled.TOP, "conf", "zookeeper.yaml"), encoding="utf-8") as file:
            text = file.read()
        for old, new in (("127.0.0.1:2181", self.zookeeper.address),
                         ("0.0.0.0:8888", "127.0.0.1:0"),
                         ("unix:/run/cart/rpc.sock", cart.address),
                         ("${RUNTIME_DIRECTORY:-/run/bridled}", self.directory)):
            self.assertIn(old, text)
            text = text.replace(old, new)
        daemon = Written(self.directory, text)
        self.addCleanup(daemon.stop)
        daemon.start()
        node = "/shop.cart/" + daemon.address("inbound")
        eventually(lambda: self.session.get(node))
        self.assertEqual(self.session.get(node)[0], b'{"Weight":10,"Tags":{"env":"prod"}}')
        self.wait_for(daemon, [price.address], "shop.price")
        self.assertEqual(self.call(daemon, "price"), "price")
        self.call(daemon, "inbound")
        self.assertEqual(len(cart.packets), 1)
