"""Nacos as a registry: discovery and registration over a stand-in for its server (there is no Nacos
here to ask; see nacos_stand_in.py)."""

import os
import time

from bridled import TOP, Bridled, TestCase, allow, eventually
from nacos_stand_in import NacosStandIn
from test_registry_config import Written

BACK_SECONDS = 5  # in which a loss is mended once the registry is there


class Nacos(TestCase):
    def server(self, **kwargs):
        return NacosStandIn(self, **kwargs)

    def registry(self, server, **keys):
        return {"type": "nacos", "endpoints": [server.address], "refresh": "300ms",
                "beat": "500ms", **keys}

    def endpoints(self, daemon, service="shop.price"):
        return {e["address"]: e for e in daemon.get_json("/services/" + service)["endpoints"]}

    def await_endpoints(self, daemon, addresses):
        eventually(lambda: set(self.endpoints(daemon)) == set(addresses),
                   what="the endpoints %s" % addresses)

    def reached(self, daemon, services, calls=12):
        before = [len(s.packets) for s in services]
        with self.caller(daemon) as caller:
            for _ in range(calls):
                self.assertEqual(caller.call("Echo", text="hi").text, "hi")
        return [len(s.packets) - b for s, b in zip(services, before)]


class Discovery(Nacos):
    def discovering(self, server, service=None, registry=None, **config):
        return self.bridled({
            "node": {"service": "test.node"},
            "registries": {"nacos": self.registry(server, **(registry or {}))},
            "listeners": [{"name": "in", "address": "127.0.0.1:0", "service": "shop.price"}],
            "services": {"shop.price": {"discover": "nacos", **(service or {})}}, **config})

    def test_instances_appear_change_and_vanish(self):
        server = self.server()
        one, two = self.upstream(), self.upstream()
        server.put_instance("shop.price", one.address, 10)
        daemon = self.discovering(server)
        self.await_endpoints(daemon, [one.address])
        self.assertEqual(self.reached(daemon, [one, two]), [12, 0])
        server.put_instance("shop.price", two.address, 10, {"env": "prod"})
        self.await_endpoints(daemon, [one.address, two.address])
        self.assertEqual(self.endpoints(daemon)[two.address]["tags"], {"env": "prod"})
        eventually(lambda: self.reached(daemon, [one, two]) == [6, 6], what="both")
        server.put_instance("shop.price", two.address, 50)
        eventually(lambda: self.reached(daemon, [one, two]) == [2, 10], what="the new weight")
        server.remove_instance("shop.price", one.address)
        self.await_endpoints(daemon, [two.address])

    def test_weights_are_cut_off_but_not_to_nothing(self):
        server = self.server()
        one, two = self.upstream(), self.upstream()
        server.put_instance("shop.price", one.address, 0.5)
        server.put_instance("shop.price", two.address, 2.9)
        daemon = self.discovering(server)
        self.await_endpoints(daemon, [one.address, two.address])
        self.assertEqual({a: e["weight"] for a, e in self.endpoints(daemon).items()},
                         {one.address: 1, two.address: 2})

    def test_the_unhealthy_and_the_disabled_get_no_calls(self):
        server = self.server()
        one, two, three = self.upstream(), self.upstream(), self.upstream()
        server.put_instance("shop.price", one.address)
        server.put_instance("shop.price", two.address, healthy=False)
        server.put_instance("shop.price", three.address, enabled=False)
        daemon = self.discovering(server)
        self.await_endpoints(daemon, [one.address])
        server.change("shop.price", two.address, healthy=True)
        self.await_endpoints(daemon, [one.address, two.address])
        server.change("shop.price", one.address, enabled=False)
        self.await_endpoints(daemon, [two.address])

    def test_namespace_group_and_cluster_are_those_of_the_file(self):
        server = self.server()
        one, two = self.upstream(), self.upstream()
        where = {"namespace": "team a", "group": "G&1", "cluster": "C/2"}
        server.put_instance("shop.price", one.address, **where)
        server.put_instance("shop.price", two.address)
        server.put_instance("shop.price", two.address, **{**where, "cluster": "C"})
        server.put_instance("shop.price", two.address, **{**where, "group": "G"})
        daemon = self.discovering(server, registry=where)
        self.await_endpoints(daemon, [one.address])

    def test_a_restart_of_the_server_costs_no_call(self):
        server = self.server()
        one, two = self.upstream(), self.upstream()
        server.put_instance("shop.price", one.address)
        daemon = self.discovering(server)
        self.await_endpoints(daemon, [one.address])
        server.stop()
        eventually(lambda: daemon.get_json("/services/shop.price")["state"] == "stale",
                   what="a stale set")
        self.assertEqual(self.reached(daemon, [one]), [12])
        server.forget()
        server.put_instance("shop.price", two.address)
        server.start()
        begun = time.monotonic()
        self.await_endpoints(daemon, [two.address])
        self.assertLess(time.monotonic() - begun, allow(BACK_SECONDS))

    def test_a_server_that_stalls_or_sends_by_drops_costs_no_call(self):
        server = self.server()
        one, two = self.upstream(), self.upstream()
        server.put_instance("shop.price", one.address)
        daemon = self.discovering(server)
        self.await_endpoints(daemon, [one.address])
        server.is_stalled = True
        server.put_instance("shop.price", two.address)
        eventually(lambda: daemon.get_json("/services/shop.price")["state"] == "stale",
                   what="a stale set")
        self.assertEqual(self.reached(daemon, [one]), [12])
        server.is_stalled = False
        self.await_endpoints(daemon, [one.address, two.address])
        server.drop_seconds = 0.02
        server.remove_instance("shop.price", two.address)
        eventually(lambda: daemon.get_json("/services/shop.price")["state"] == "stale",
                   what="a stale set")
        self.assertEqual(sum(self.reached(daemon, [one, two])), 12)
        server.drop_seconds = 0
        self.await_endpoints(daemon, [one.address])

    def test_an_empty_answer_is_not_believed(self):
        server = self.server()
        one = self.upstream()
        server.put_instance("shop.price", one.address)
        daemon = self.discovering(server)
        self.await_endpoints(daemon, [one.address])
        server.remove_instance("shop.price", one.address)
        eventually(lambda: daemon.get_json("/services/shop.price")["state"] == "stale",
                   what="doubt")
        self.assertEqual(self.reached(daemon, [one]), [12])

    def test_a_user_logs_in_and_again_before_the_token_ends(self):
        server = self.server(user="nacos", password="pass word&", token_seconds=2)
        one = self.upstream()
        server.put_instance("shop.price", one.address)
        daemon = self.discovering(server, registry={"user": "nacos", "password": "pass word&"})
        self.await_endpoints(daemon, [one.address])
        eventually(lambda: len(server.asked("POST", "/auth/login")) >= 3, what="two renewals")
        self.assertEqual(daemon.get_json("/services/shop.price")["state"], "fresh")
        self.assertNotIn("403", daemon.errors())

    def test_a_token_that_is_revoked_is_followed_by_another(self):
        server = self.server(user="nacos", password="secret-1")
        one, two = self.upstream(), self.upstream()
        server.put_instance("shop.price", one.address)
        daemon = self.discovering(server, registry={"user": "nacos", "password": "secret-1"})
        self.await_endpoints(daemon, [one.address])
        server.revoke_tokens()
        server.put_instance("shop.price", two.address)
        self.await_endpoints(daemon, [one.address, two.address])
        self.assertEqual(len(server.asked("POST", "/auth/login")), 2)

    def test_a_wrong_password_is_said_and_a_right_one_is_taken(self):
        server = self.server(user="nacos", password="open-sesame")
        one = self.upstream()
        server.put_instance("shop.price", one.address)
        with open(self.path("password"), "w", encoding="ascii") as file:
            file.write("wrong-secret\n")
        daemon = self.discovering(
            server, registry={"user": "nacos", "password": {"file": self.path("password")}})
        eventually(lambda: "403: unknown user!" in daemon.errors(), what="a word about it")
        self.assertEqual(server.asked("GET"), [])
        with open(self.path("password"), "w", encoding="ascii") as file:
            file.write("open-sesame\n")
        self.await_endpoints(daemon, [one.address])
        tokens = list(server.tokens)
        for text in daemon.errors(), daemon.get("/config")[1]:
            for secret in ["open-sesame", "wrong-secret"] + tokens:
                self.assertNotIn(secret, text)


class Registration(Nacos):
    def registering(self, server, app, registry=None, register=None):
        return self.bridled({
            "node": {"service": "test.node"},
            "registries": {"nacos": self.registry(server, **(registry or {}))},
            "shutdown": {"drain": "5s", "spread": "10ms", "deregister_wait": "0s"},
            "listeners": [{"name": "in", "address": "127.0.0.1:0", "service": "cart.local"}],
            "services": {"cart.local": {
                "name": "shop.cart", "endpoints": [getattr(app, "address", app)],
                "health": {"type": "tcp", "interval": "100ms", "fall": 2, "rise": 1},
                "register": {"in": "nacos", "weight": 20, "tags": {"env": "prod", "zone": "b"},
                             **(register or {})}}}})

    def await_registered(self, server, addresses, seconds=25, **where):
        eventually(lambda: list(server.registered("shop.cart", **where)) == addresses, seconds,
                   "registered %s" % addresses)

    def await_metric(self, daemon, value):
        eventually(lambda: daemon.metric("bridle_registered", service="cart.local",
                                         registry="nacos") == value,
                   what="bridle_registered %d" % value)

    def test_what_the_server_is_told_is_what_kitex_tells_it(self):
        server = self.server()
        daemon = self.registering(server, self.upstream())
        address = daemon.address()
        host, _, port = address.rpartition(":")
        self.await_registered(server, [address])
        request = server.asked("POST", "/nacos/v1/ns/instance?")[0]
        self.assertEqual({**request.query, "metadata": None}, {
            "serviceName": "DEFAULT_GROUP@@shop.cart", "groupName": "DEFAULT_GROUP",
            "clusterName": "DEFAULT", "ip": host, "port": port, "weight": "20", "enabled": "true",
            "healthy": "true", "ephemeral": "true", "metadata": None})
        self.assertEqual(server.registered("shop.cart")[address]["metadata"],
                         {"env": "prod", "zone": "b"})
        self.await_metric(daemon, 1)
        daemon.stop()
        self.assertEqual(server.registered("shop.cart"), {})
        self.assertEqual(server.asked("DELETE")[0].query["ephemeral"], "true")

    def test_it_is_kept_by_beats_of_which_only_the_first_says_all(self):
        server = self.server()
        server.unhealthy_after, server.removed_after = 2, 3
        daemon = self.registering(server, self.upstream())
        self.await_metric(daemon, 1)
        eventually(lambda: len(server.asked("PUT", "/beat")) >= 9, what="beats")
        self.assertTrue(server.registered("shop.cart")[daemon.address()]["healthy"])
        beats = server.asked("PUT", "/beat")
        self.assertIn('"serviceName":"DEFAULT_GROUP@@shop.cart"', beats[0].query["beat"])
        self.assertEqual([b for b in beats[1:] if "beat" in b.query], [])
        gaps = [b.at - a.at for a, b in zip(beats, beats[1:])]
        self.assertGreater(sum(gaps) / len(gaps), 0.3)
        self.assertLess(sorted(gaps)[len(gaps) // 2], allow(1))

    def test_one_that_the_server_lost_is_back_within_five_seconds(self):
        server = self.server()
        daemon = self.registering(server, self.upstream())
        self.await_metric(daemon, 1)
        address = daemon.address()
        server.remove_instance("shop.cart", address)
        self.await_registered(server, [address], allow(BACK_SECONDS))
        self.assertEqual(server.registered("shop.cart")[address]["metadata"],
                         {"env": "prod", "zone": "b"})
        eventually(lambda: "the registry does not know it" in daemon.errors(), what="a warning")
        self.await_metric(daemon, 1)

    def test_a_server_that_forgot_all_over_a_restart_has_it_back_within_five_seconds(self):
        server = self.server()
        daemon = self.registering(server, self.upstream())
        self.await_metric(daemon, 1)
        server.stop()
        server.forget()
        time.sleep(4)
        server.start()
        self.await_registered(server, [daemon.address()], allow(BACK_SECONDS))
        self.await_metric(daemon, 1)

    def test_one_that_somebody_changes_is_mended_and_a_disabled_one_is_left_so(self):
        server = self.server()
        daemon = self.registering(server, self.upstream())
        self.await_metric(daemon, 1)
        address = daemon.address()
        server.change("shop.cart", address, weight=1)
        eventually(lambda: server.registered("shop.cart")[address]["weight"] == 20,
                   what="the weight")
        self.await_metric(daemon, 1)
        posts = len(server.asked("POST"))
        server.change("shop.cart", address, enabled=False)
        self.await_metric(daemon, 0)
        self.assertFalse(server.registered("shop.cart")[address]["enabled"])
        self.assertEqual(len(server.asked("POST")), posts)
        server.change("shop.cart", address, enabled=True)
        self.await_metric(daemon, 1)

    def test_an_application_that_is_down_is_not_registered(self):
        server = self.server()
        app = self.upstream(name="app.sock")
        daemon = self.registering(server, "unix:" + self.path("app.sock"))
        address = daemon.address()
        self.await_registered(server, [address])
        app.close()
        app.drop_connections()
        self.await_registered(server, [])
        server.stop()
        server.start()
        time.sleep(2)
        self.assertEqual(server.registered("shop.cart"), {})
        self.upstream(name="app.sock")
        self.await_registered(server, [address])

    def test_it_is_registered_where_the_file_says_with_a_token(self):
        server = self.server(user="u", password="p")
        where = {"namespace": "team", "group": "G", "cluster": "C"}
        daemon = self.registering(server, self.upstream(),
                                  {**where, "user": "u", "password": "p"})
        self.await_registered(server, [daemon.address()], **where)
        self.await_metric(daemon, 1)
        server.revoke_tokens()
        server.remove_instance("shop.cart", daemon.address(), **where)
        self.await_registered(server, [daemon.address()], allow(BACK_SECONDS), **where)


class Together(Nacos):
    def sidecar(self, server, name, app, other):
        directory = self.path(name)
        os.mkdir(directory)
        daemon = Bridled(directory, {
            "node": {"service": "shop." + name},
            "registries": {"nacos": self.registry(server)},
            "shutdown": {"drain": "5s", "spread": "10ms", "deregister_wait": "0s"},
            "listeners": [{"name": "in", "address": "127.0.0.1:0", "service": "local"},
                          {"name": "out", "address": "unix:" + directory + "/out.sock",
                           "service": "shop." + other}],
            "services": {"local": {"name": "shop." + name, "endpoints": [app.address],
                                   "register": {"in": "nacos"}},
                         "shop." + other: {"discover": "nacos"}}})
        self.addCleanup(daemon.stop)
        return daemon.start()

    def test_two_sidecars_find_each_other_and_calls_flow_both_ways(self):
        server = self.server()
        cart_app, price_app = self.upstream(), self.upstream()
        cart = self.sidecar(server, "cart", cart_app, "price")
        price = self.sidecar(server, "price", price_app, "cart")
        for daemon, name, other, app in ((cart, "price", price, price_app),
                                         (price, "cart", cart, cart_app)):
            eventually(lambda d=daemon, n=name, o=other:
                       list(self.endpoints(d, "shop." + n)) == [o.address()],
                       what="the other's address")
            with self.caller(daemon, listener="out") as caller:
                self.assertEqual(caller.call("Echo", text="hi").text, "hi")
            self.assertEqual(len(app.packets), 1)


class Example(Nacos):
    """conf/nacos.yaml, with the addresses that there are here."""

    def test_what_it_registers_is_there_and_what_it_discovers_is_called(self):
        server = self.server()
        cart, price = self.upstream(name="cart.sock"), self.upstream()
        server.put_instance("shop.price", price.address)
        with open(os.path.join(TOP, "conf", "nacos.yaml"), encoding="utf-8") as file:
            text = file.read()
        for old, new in (("127.0.0.1:8848\"", server.address + '"'), ("0.0.0.0:8888", "127.0.0.1:0"),
                         ("unix:/run/cart/rpc.sock", cart.address),
                         ("${RUNTIME_DIRECTORY:-/run/bridled}", self.directory)):
            self.assertIn(old, text)
            text = text.replace(old, new)
        daemon = Written(self.directory, text)
        self.addCleanup(daemon.stop)
        daemon.start()
        self.await_endpoints(daemon, [price.address])
        with self.caller(daemon, listener="price") as caller:
            self.assertEqual(caller.call("Echo", text="hi").text, "hi")
        address = daemon.address("inbound")
        eventually(lambda: list(server.registered("shop.cart")) == [address], what="our own")
        with self.caller(daemon, listener="inbound") as caller:
            self.assertEqual(caller.call("Echo", text="hi").text, "hi")
        self.assertEqual((len(cart.packets), len(price.packets)), (1, 1))
