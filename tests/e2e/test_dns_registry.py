"""Services found in DNS, with a real name server: addresses and SRV, changes, a server that is away,
names that are gone, and calls that notice none of it."""

import os
import socket
import threading

import upstream
from bridled import TOP, Bridled, TestCase, eventually
from registries import Dnsmasq, free_port
from test_discovery import Calls

NAME = "price.test"
SRV = "_rpc._tcp.stock.test"
HOSTS = ["127.0.0.%d" % i for i in range(2, 6)]  # all of them this machine


class Written(Bridled):
    """A daemon whose configuration is a text."""

    def write_config(self, config):
        with open(self.config_path, "w", encoding="utf-8") as file:
            file.write(config + "\nadmin: {socket: \"%s\"}\n" % self.admin_path)


class At(upstream.Service):
    """A service on an address of this machine of its own; port 0 for one that is free."""

    def __init__(self, host, port):  # pylint: disable=super-init-not-called
        self.behaviour, self.on_accept, self.path = upstream.echo, None, None
        self.packets, self.malformed, self.open, self.accepted = [], [], set(), 0
        self.lock = threading.Lock()
        self.listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((host, port))
        self.address = "%s:%d" % (host, self.listener.getsockname()[1])
        self.listener.listen(64)
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()


class DnsCase(TestCase):
    def setUp(self):
        super().setUp()
        self.dns = Dnsmasq(self)
        # Answers are kept for a second, so that changes are seen soon.
        self.dns.flags = ["--local-ttl=1"]

    def services(self, count):
        """Services on several addresses of this machine, all with one port."""
        for _ in range(50):
            port = free_port()
            try:
                return port, [self.at(host, port) for host in HOSTS[:count]]
            except OSError:
                continue
        raise AssertionError("no port that is free everywhere")

    def at(self, host, port):
        service = At(host, port)
        self.addCleanup(service.close)
        return service

    def finder(self, name, registry=None, **service):
        return self.bridled({
            "node": {"service": "test.node"},
            "registries": {"main": {"type": "dns", "endpoints": [self.dns.address],
                                    "refresh": "1s", **(registry or {})}},
            "listeners": [{"name": "in", "address": "127.0.0.1:0", "service": "svc"}],
            "services": {"svc": {"name": name, "discover": "main", **service}}})

    def seen(self, daemon, label="svc"):
        return {e["address"]: e["weight"]
                for e in daemon.get_json("/services/" + label)["endpoints"]}

    def state(self, daemon):
        return daemon.get_json("/services/svc")["state"]

    def hosts(self, **names):
        self.dns.write_hosts({name + ".test": list(hosts) for name, hosts in names.items()})
        if self.dns.process:
            self.dns.reload()


class Addresses(DnsCase):
    def test_addresses_come_and_go(self):
        port, there = self.services(3)
        self.hosts(price=HOSTS[:1])
        self.dns.start()
        daemon = self.finder(NAME, {"port": port})
        self.assertEqual(self.seen(daemon), {there[0].address: 10})
        calls = Calls(self, daemon)
        self.hosts(price=HOSTS[:3])
        eventually(lambda: self.seen(daemon) == {t.address: 10 for t in there})
        eventually(lambda: all(t.packets for t in there))
        self.hosts(price=HOSTS[2:3])
        eventually(lambda: self.seen(daemon) == {there[2].address: 10})
        self.assertEqual(calls.end(), [])

    def test_a_server_that_is_away_costs_no_call(self):
        port, there = self.services(2)
        self.hosts(price=HOSTS[:1])
        self.dns.start()
        daemon = self.finder(NAME, {"port": port})
        calls = Calls(self, daemon)
        for stop, back in ((self.dns.kill, self.dns.start), (self.dns.pause, self.dns.resume)):
            stop()
            eventually(lambda: self.state(daemon) == "stale", 40)
            self.assertEqual(self.seen(daemon), {there[0].address: 10})
            self.assertTrue(daemon.get_json("/services/svc")["error"])
            back()
            eventually(lambda: self.state(daemon) == "fresh", 15)
        self.hosts(price=HOSTS[1:2])
        eventually(lambda: self.seen(daemon) == {there[1].address: 10})
        self.assertEqual(calls.end(), [])

    def test_a_server_that_comes_after_the_start(self):
        port, there = self.services(1)
        self.hosts(price=HOSTS[:1])
        daemon = self.finder(NAME, {"port": port})
        self.assertEqual(self.state(daemon), "unknown")
        self.dns.start()
        eventually(lambda: self.seen(daemon) == {there[0].address: 10})

    def test_a_name_that_is_gone_is_kept_for_a_while_and_found_when_it_is_back(self):
        port, there = self.services(1)
        self.hosts(price=HOSTS[:1])
        self.dns.start()
        daemon = self.finder(NAME, {"port": port, "empty": {"keep": "4s"}})
        with self.caller(daemon) as caller:
            self.hosts(other=HOSTS[:1])
            eventually(lambda: self.state(daemon) == "stale")
            self.assertEqual(caller.call("Echo", "a").text, "a")
            eventually(lambda: self.state(daemon) == "empty")
            self.assert_refused(caller.call("Echo", "a"), "no_endpoint")
            self.hosts(price=HOSTS[:1])
            eventually(lambda: self.seen(daemon) == {there[0].address: 10})
            self.assertEqual(caller.call("Echo", "a").text, "a")

    def test_a_name_that_there_never_was_is_empty(self):
        self.dns.start()
        daemon = self.finder("nobody.test", {"port": 80})
        eventually(lambda: self.state(daemon) == "empty")


class Services(DnsCase):
    def srv(self, *records):
        """(target, port, priority, weight)"""
        self.dns.flags = ["--local-ttl=1"] + [
            "--srv-host=%s,%s.test,%d,%d,%d" % ((SRV,) + record) for record in records]

    def test_hosts_ports_and_weights_of_the_best_priority(self):
        one, two, spare = (self.at(host, 0) for host in HOSTS[:3])
        ports = [int(s.address.rsplit(":", 1)[1]) for s in (one, two, spare)]
        self.hosts(a=HOSTS[:1], b=HOSTS[1:2], c=HOSTS[2:3])
        self.srv(("a", ports[0], 1, 30), ("b", ports[1], 1, 0), ("c", ports[2], 2, 9),
                 ("nobody", 80, 1, 1))
        self.dns.start()
        daemon = self.finder(SRV)
        eventually(lambda: self.seen(daemon) == {one.address: 30, two.address: 1})
        self.assertIn("nobody.test", daemon.get("/history/svc")[1])
        calls = Calls(self, daemon)
        eventually(lambda: one.packets and two.packets)
        # A host has moved, and then the records.
        moved = self.at(HOSTS[3], ports[0])
        self.hosts(a=HOSTS[3:4], b=HOSTS[1:2], c=HOSTS[2:3])
        eventually(lambda: self.seen(daemon) == {moved.address: 30, two.address: 1})
        self.dns.kill()
        eventually(lambda: self.state(daemon) == "stale", 40)
        self.srv(("c", ports[2], 1, 9))
        self.dns.start()
        eventually(lambda: self.seen(daemon) == {spare.address: 9})
        eventually(lambda: spare.packets)
        self.assertEqual(calls.end(), [])


class Example(DnsCase):
    """conf/dns.yaml, with the addresses that there are here."""

    def test_names_and_services_are_called(self):
        port, there = self.services(1)
        stock = self.at(HOSTS[1], 0)
        self.dns.flags = ["--local-ttl=1",
                          "--address=/price.shop.svc.cluster.local/" + HOSTS[0],
                          "--address=/a.example.com/" + HOSTS[1],
                          "--srv-host=_rpc._tcp.stock.example.com,a.example.com,%s,1,7"
                          % stock.address.rsplit(":", 1)[1]]
        self.dns.start()
        with open(os.path.join(TOP, "conf", "dns.yaml"), encoding="utf-8") as file:
            text = file.read()
        for old, new in (("# endpoints: [\"10.96.0.10:53\"]",
                          "endpoints: [\"%s\"]" % self.dns.address),
                         ("port: 8888", "port: %d" % port),
                         ("${RUNTIME_DIRECTORY:-/run/bridled}", self.directory)):
            self.assertIn(old, text)
            text = text.replace(old, new)
        daemon = Written(self.directory, text)
        self.addCleanup(daemon.stop)
        daemon.start()
        eventually(lambda: self.seen(daemon, "price") == {there[0].address: 10})
        eventually(lambda: self.seen(daemon, "stock") == {stock.address: 7})
        for listener in ("price", "stock"):
            with self.caller(daemon, listener=listener) as caller:
                self.assertEqual(caller.call("Echo", text="hi").text, "hi")
