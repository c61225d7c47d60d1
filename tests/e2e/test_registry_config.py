"""What the configuration says of registries: the example of a mesh as it is in conf/, and secrets that
show nowhere."""

import json
import os
import subprocess

import wire
from bridled import BINARY, STOP_SECONDS, TOP, Bridled, TestCase, eventually
from registries import Etcd, Kitex

SECRET = "gehe1mgehe1m"


class Written(Bridled):
    """A daemon whose configuration is a text."""

    def write_config(self, config):
        with open(self.config_path, "w", encoding="utf-8") as file:
            file.write(config + 'admin: {socket: "%s"}\naccess_log: {to: "%s"}\n'
                       % (self.admin_path, self.access_path))


class Mesh(TestCase):
    """conf/mesh.yaml, with the addresses that there are here."""

    def setUp(self):
        super().setUp()
        self.etcd = Etcd(self).start()
        self.kitex = Kitex(self.etcd)
        self.cart = self.upstream(name="cart.sock")
        self.price = self.upstream()
        self.kitex.put("shop.price", self.price.address)
        with open(os.path.join(TOP, "conf", "mesh.yaml"), encoding="utf-8") as file:
            text = file.read()
        for old, new in (("127.0.0.1:2379", self.etcd.address), ("0.0.0.0:8888", "127.0.0.1:0"),
                         ("unix:/run/cart/rpc.sock", self.cart.address),
                         ("${RUNTIME_DIRECTORY:-/run/bridled}", self.directory)):
            self.assertIn(old, text)
            text = text.replace(old, new)
        self.daemon = Written(self.directory, text)
        self.addCleanup(self.daemon.stop)
        self.daemon.start()

    def call(self, listener, form, **keys):
        with self.caller(self.daemon, form, listener=listener) as caller:
            return caller.call("Echo", "hi", **keys)

    def test_the_application_is_published_under_its_name(self):
        address = self.daemon.address("inbound")
        eventually(lambda: self.kitex.addresses("shop.cart") == [address], what="the record")
        record = json.loads(self.etcd.get(self.kitex.key("shop.cart", address)))
        self.assertEqual(record, {"network": "tcp", "address": address, "weight": 10,
                                  "tags": {"env": "prod"}})
        self.assertEqual(self.call("inbound", "ttheader_framed").text, "hi")
        self.assertEqual(len(self.cart.packets), 1)

    def test_others_are_found_by_a_socket_of_their_own_and_by_name(self):
        self.assertEqual(self.call("price", "framed").text, "hi")
        self.assertEqual(self.call("outbound", "ttheader_framed",
                                   ints={wire.TO_SERVICE: "shop.price"}).text, "hi")
        stock = self.upstream()
        self.kitex.put("shop.stock", stock.address)
        self.assertEqual(self.call("outbound", "ttheader_framed",
                                   ints={wire.TO_SERVICE: "shop.stock"}).text, "hi")
        self.assertEqual((len(self.price.packets), len(stock.packets)), (2, 1))

    def test_the_name_in_the_mesh_leads_to_all_who_have_it(self):
        """The application here is one of them, found like the others."""
        other = self.upstream()
        self.kitex.put("shop.cart", other.address)
        eventually(lambda: len(self.kitex.addresses("shop.cart")) == 2, what="both records")

        def answered():
            answer = self.call("outbound", "ttheader_framed", ints={wire.TO_SERVICE: "shop.cart"})
            self.assertEqual(answer.text, "hi")
            return self.cart.packets and other.packets
        eventually(answered, what="both")

    def test_it_is_withdrawn_when_the_daemon_leaves(self):
        eventually(lambda: self.kitex.addresses("shop.cart"), what="the record")
        self.daemon.signal(15)
        eventually(lambda: not self.kitex.addresses("shop.cart"), what="no record")
        # callers who have not heard of it yet are still answered
        self.assertEqual(self.call("inbound", "ttheader_framed").text, "hi")


class Secrets(TestCase):
    REGISTRIES = {
        "e": {"type": "etcd", "user": "me", "password": SECRET},
        "n": {"type": "nacos", "user": "me", "password": SECRET},
        "c": {"type": "consul", "token": SECRET},
    }

    def config(self):
        """Registries that are not there."""
        gone = self.path("gone")
        registries = {name: {**keys, "endpoints": ["127.0.0.1:1"]}
                      for name, keys in self.REGISTRIES.items()}
        service = self.upstream()
        return {"registries": registries, "node": {"service": "test.node"},
                "log": {"level": "debug"},
                "listeners": [{"name": "in", "address": "127.0.0.1:0", "service": "svc"}],
                "services": {"svc": {"endpoints": [service.address],
                                     "register": {"in": sorted(registries)}},
                             **{name: {"discover": name} for name in registries}},
                "tests": [], "limits": {"connections": 100}, "admin": {"socket": gone}}

    def test_what_is_shown_of_a_configuration_has_none(self):
        config = self.config()
        path = self.path("test.yaml")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(config, file)
        for option in ("-t", "-T"):
            done = subprocess.run([BINARY, option, "-c", path], stdin=subprocess.DEVNULL, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  timeout=STOP_SECONDS, check=False)
            self.assertEqual(done.returncode, 0, done.stdout)
            self.assertNotIn(SECRET, done.stdout)
        self.assertEqual(done.stdout.count('"<redacted>"'), 3)

    def test_a_daemon_tells_nobody(self):
        config = self.config()
        del config["admin"]
        daemon = Bridled(self.directory, config)
        self.addCleanup(daemon.stop)
        daemon.is_ready = lambda: os.path.exists(daemon.admin_path)  # its registries never are
        daemon.start()
        for name in self.REGISTRIES:
            eventually(lambda n=name: " name=%s " % n in daemon.errors(), what="a complaint")
        for page in ("/config", "/status", "/services", "/metrics", "/readyz"):
            self.assertNotIn(SECRET, str(daemon.get(page)), page)
        self.assertIn("<redacted>", daemon.get("/config")[1])
        self.assertNotIn(SECRET, daemon.errors())
