"""Consul as a registry: discovery and registration over a stand-in for its agent (there is no Consul
here to ask; see consul_stand_in.py)."""

import json
import os
import signal
import time

from bridled import TOP, Bridled, TestCase, allow, eventually
from consul_stand_in import ConsulStandIn
from test_registry_config import Written

BACK_SECONDS = 5  # in which a loss is mended once the registry is there


class Consul(TestCase):
    def agent(self, **kwargs):
        return ConsulStandIn(self, **kwargs)

    def registry(self, agent, **keys):
        return {"type": "consul", "endpoints": [agent.address], **keys}

    def discovering(self, agent, service=None, registry=None, **config):
        return self.bridled({
            "node": {"service": "test.node"},
            "registries": {"consul": self.registry(agent, **(registry or {}))},
            "listeners": [{"name": "in", "address": "127.0.0.1:0", "service": "shop.price"}],
            "services": {"shop.price": {"discover": "consul", **(service or {})}}, **config})

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


class Discovery(Consul):
    def test_instances_appear_change_and_vanish(self):
        agent = self.agent()
        one, two = self.upstream(), self.upstream()
        agent.put_instance("shop.price", one.address, weight=10)
        daemon = self.discovering(agent)
        self.await_endpoints(daemon, [one.address])
        self.assertEqual(self.reached(daemon, [one, two]), [12, 0])
        agent.put_instance("shop.price", two.address, ["env:prod", "plain", "a:b:c"], weight=10)
        self.await_endpoints(daemon, [one.address, two.address])
        self.assertEqual(self.endpoints(daemon)[two.address]["tags"], {"a": "b:c", "env": "prod"})
        eventually(lambda: self.reached(daemon, [one, two]) == [6, 6], what="both")
        agent.put_instance("shop.price", two.address, weight=50)
        eventually(lambda: self.reached(daemon, [one, two]) == [2, 10], what="the new weight")
        agent.remove_instance("shop.price", one.address)
        self.await_endpoints(daemon, [two.address])
        eventually(lambda: self.reached(daemon, [one, two]) == [0, 12], what="the second alone")

    def test_whoever_does_not_pass_gets_no_calls(self):
        agent = self.agent()
        one, two = self.upstream(), self.upstream()
        agent.put_instance("shop.price", one.address)
        agent.put_instance("shop.price", two.address, status="warning")
        daemon = self.discovering(agent)
        self.await_endpoints(daemon, [one.address])
        agent.put_instance("shop.price", two.address)
        self.await_endpoints(daemon, [one.address, two.address])
        agent.put_instance("shop.price", one.address, status="critical")
        self.await_endpoints(daemon, [two.address])

    def test_only_instances_with_the_tags_asked_for(self):
        agent = self.agent()
        one, two = self.upstream(), self.upstream()
        agent.put_instance("shop.price", one.address, ["env:prod"])
        agent.put_instance("shop.price", two.address, ["env:test"])
        daemon = self.discovering(
            agent, {"discover": {"from": "consul", "tags": {"env": "prod"}}})
        self.await_endpoints(daemon, [one.address])
        agent.put_instance("shop.price", two.address, ["env:prod"])
        self.await_endpoints(daemon, [one.address, two.address])

    def test_an_instance_without_an_address_of_its_own_is_left_out(self):
        agent = self.agent()
        one = self.upstream()
        agent.put_instance("shop.price", one.address)
        agent.put_instance("shop.price", ":80")
        daemon = self.discovering(agent)
        self.await_endpoints(daemon, [one.address])

    def test_the_agent_is_asked_again_and_again_only_when_something_changed(self):
        agent = self.agent()
        one = self.upstream()
        agent.put_instance("shop.price", one.address)
        daemon = self.discovering(agent)
        self.await_endpoints(daemon, [one.address])
        eventually(lambda: agent.asked("GET", "index="), what="a blocking query")
        time.sleep(1)
        self.assertEqual(len(agent.asked("GET", "/v1/health/service/shop.price")), 2)
        self.assertEqual(agent.asked("GET", "index=")[0].query["wait"], "55s")

    def test_a_restart_of_the_agent_costs_no_call_and_all_is_asked_anew(self):
        agent = self.agent()
        one, two = self.upstream(), self.upstream()
        agent.put_instance("shop.price", one.address)
        daemon = self.discovering(agent)
        self.await_endpoints(daemon, [one.address])
        agent.stop()
        eventually(lambda: daemon.get_json("/services/shop.price")["state"] == "stale",
                   what="a stale set")
        self.assertEqual(self.reached(daemon, [one]), [12])
        agent.forget()
        agent.put_instance("shop.price", two.address)
        agent.start()
        begun = time.monotonic()
        self.await_endpoints(daemon, [two.address])
        self.assertLess(time.monotonic() - begun, allow(BACK_SECONDS))

    def test_an_agent_that_stalls_or_sends_by_drops_costs_no_call(self):
        agent = self.agent()
        one, two = self.upstream(), self.upstream()
        agent.put_instance("shop.price", one.address)
        daemon = self.discovering(agent)
        self.await_endpoints(daemon, [one.address])
        agent.is_stalled = True
        agent.put_instance("shop.price", two.address)
        self.assertEqual(self.reached(daemon, [one]), [12])
        agent.is_stalled = False
        self.await_endpoints(daemon, [one.address, two.address])
        agent.drop_seconds = 0.01  # too slow for what it has to say
        agent.remove_instance("shop.price", two.address)
        self.assertEqual(sum(self.reached(daemon, [one, two])), 12)
        agent.drop_seconds = 0
        self.await_endpoints(daemon, [one.address])

    def test_an_empty_answer_is_not_believed(self):
        agent = self.agent()
        one = self.upstream()
        agent.put_instance("shop.price", one.address)
        daemon = self.discovering(agent)
        self.await_endpoints(daemon, [one.address])
        agent.remove_instance("shop.price", one.address)
        eventually(lambda: daemon.get_json("/services/shop.price")["state"] == "stale",
                   what="doubt")
        self.assertEqual(self.reached(daemon, [one]), [12])

    def test_ten_thousand_instances_are_all_heard(self):
        """With all that Consul says of each of them they are more than eight mebibytes."""
        agent = self.agent()
        one = self.upstream()
        node = {"Meta": {"consul-network-segment": "", "rack": "r" * 500}}
        with agent.changed:
            for i in range(9999):
                agent.put_instance("shop.price", "10.0.%d.%d:80" % (i // 250, i % 250 + 1),
                                   weight=1, node=node)
            agent.put_instance("shop.price", one.address, weight=1000)
        daemon = self.discovering(agent)
        eventually(lambda: len(self.endpoints(daemon)) == 10000, 60, "ten thousand")
        agent.put_instance("shop.price", one.address, weight=2000)
        eventually(lambda: self.endpoints(daemon)[one.address]["weight"] == 2000, 60, "a change")
        self.assertNotIn("it cannot be asked", daemon.errors())

    def test_without_a_leader_nothing_is_believed(self):
        agent = self.agent()
        one = self.upstream()
        agent.put_instance("shop.price", one.address)
        daemon = self.discovering(agent, registry={"empty": "obey"})
        self.await_endpoints(daemon, [one.address])
        agent.has_leader = False
        agent.remove_instance("shop.price", one.address)
        eventually(lambda: daemon.get_json("/services/shop.price")["state"] == "stale",
                   what="a stale set")
        self.assertEqual(self.reached(daemon, [one]), [12])
        agent.has_leader = True
        self.await_endpoints(daemon, [])

    def test_a_token_that_is_refused_is_said_and_a_right_one_is_taken(self):
        agent = self.agent(token="open-sesame")
        one = self.upstream()
        agent.put_instance("shop.price", one.address)
        with open(self.path("token"), "w", encoding="ascii") as file:
            file.write("wrong-secret\n")
        daemon = self.discovering(agent, registry={"token": {"file": self.path("token")}})
        eventually(lambda: "403" in daemon.errors(), what="a word about it")
        with open(self.path("token"), "w", encoding="ascii") as file:
            file.write("open-sesame\n")
        self.await_endpoints(daemon, [one.address])
        for text in daemon.errors(), daemon.get("/config")[1]:
            self.assertNotIn("open-sesame", text)
            self.assertNotIn("wrong-secret", text)

    def test_the_tree_of_rpcx(self):
        agent = self.agent()
        one, two = self.upstream(), self.upstream()
        agent.put_key("rpcx/shop.price", "shop.price")
        agent.put_key("rpcx/shop.price/tcp@" + one.address, "weight=3&group=a")
        daemon = self.discovering(agent, registry={"format": "rpcx", "base": "/rpcx"})
        self.await_endpoints(daemon, [one.address])
        self.assertEqual(self.endpoints(daemon)[one.address]["weight"], 3)
        agent.put_key("rpcx/shop.price/tcp@" + two.address, "")
        self.await_endpoints(daemon, [one.address, two.address])
        agent.put_key("rpcx/shop.price/tcp@" + one.address, "state=inactive")
        self.await_endpoints(daemon, [two.address])

    def test_documents_of_governance(self):
        agent = self.agent()
        one = self.upstream()
        key = "KitexConfig/test.node/shop.price/rpc_timeout"
        agent.put_instance("shop.price", one.address)
        daemon = self.discovering(
            agent, {"governance": {"from": "consul", "prefix": "/KitexConfig"}})
        self.await_endpoints(daemon, [one.address])
        eventually(lambda: agent.asked("GET", "/v1/kv/" + key + "?raw=true&index="),
                   what="waiting for the document")
        agent.put_key(key, '{"*": {"rpc_timeout_ms": 1234}}')
        eventually(lambda: "1234ms" in daemon.get("/config")[1], 2, "the document's value")
        agent.put_key(key, '{"*": {"rpc_timeout_ms": 4321}}')
        eventually(lambda: "4321ms" in daemon.get("/config")[1], 2, "another value")
        agent.remove_key(key)
        eventually(lambda: "4321ms" not in daemon.get("/config")[1], 2, "no value")


class Registration(Consul):
    def registering(self, agent, app, registry=None, register=None, **config):
        return self.bridled({
            "node": {"service": "test.node"},
            "registries": {"consul": self.registry(agent, **(registry or {}))},
            "shutdown": {"drain": "5s", "spread": "10ms", "deregister_wait": "0s"},
            "listeners": [{"name": "in", "address": "127.0.0.1:0", "service": "cart.local"}],
            "services": {"cart.local": {
                "name": "shop.cart", "endpoints": [getattr(app, "address", app)],
                "health": {"type": "tcp", "interval": "100ms", "fall": 2, "rise": 1},
                "register": {"in": "consul", "weight": 20, "tags": {"env": "prod", "zone": "b"},
                             **(register or {})}}}, **config})

    def await_registered(self, agent, count=1, seconds=25):
        eventually(lambda: len(agent.registered("shop.cart")) == count, seconds,
                   "%d registered" % count)

    def await_metric(self, daemon, value):
        eventually(lambda: daemon.metric("bridle_registered", service="cart.local",
                                         registry="consul") == value,
                   what="bridle_registered %d" % value)

    def test_what_the_agent_is_told_is_what_kitex_tells_it(self):
        agent = self.agent()
        daemon = self.registering(agent, self.upstream())
        self.await_registered(agent)
        address = daemon.address()
        host, _, port = address.rpartition(":")
        self.assertEqual(agent.registered("shop.cart"), [{
            "ID": "shop.cart:" + address, "Name": "shop.cart",
            "Tags": ["env:prod", "zone:b"], "Port": int(port), "Address": host,
            "Weights": {"Passing": 20, "Warning": 20},
            "Check": {"Interval": "5s", "Timeout": "5s", "TCP": address,
                      "DeregisterCriticalServiceAfter": "1m"}}])
        eventually(lambda: agent.status("shop.cart") == ["passing"], what="a check that passes")
        self.await_metric(daemon, 1)
        daemon.stop()
        self.assertEqual(agent.registered("shop.cart"), [])

    def test_a_ttl_check_is_kept_passing(self):
        agent = self.agent()
        daemon = self.registering(agent, self.upstream(), {"check": "ttl"}, {"ttl": "5s"})
        self.await_registered(agent)
        self.assertEqual(agent.registered("shop.cart")[0]["Check"],
                         {"TTL": "5s", "DeregisterCriticalServiceAfter": "1m"})
        eventually(lambda: agent.status("shop.cart") == ["passing"], what="a check that passes")
        end = time.monotonic() + 7
        while time.monotonic() < end:
            self.assertEqual(agent.status("shop.cart"), ["passing"])
            time.sleep(0.05)
        self.assertEqual(agent.asked("PUT", "/v1/agent/check/pass/")[0].query["note"], "online")
        self.await_metric(daemon, 1)

    def test_one_that_somebody_takes_away_is_back_within_five_seconds(self):
        agent = self.agent()
        daemon = self.registering(agent, self.upstream())
        self.await_metric(daemon, 1)
        agent.lose("shop.cart:" + daemon.address())
        self.await_registered(agent, 1, allow(BACK_SECONDS))
        self.await_metric(daemon, 1)
        eventually(lambda: "registration: lost" in daemon.errors(),
                   what="a warning")

    def test_one_that_somebody_changes_is_mended(self):
        agent = self.agent()
        daemon = self.registering(agent, self.upstream())
        self.await_metric(daemon, 1)
        agent.change("shop.cart:" + daemon.address(), Tags=["env:test"])
        eventually(lambda: agent.registered("shop.cart")[0]["Tags"] == ["env:prod", "zone:b"],
                   allow(BACK_SECONDS), "the tags")
        self.await_metric(daemon, 1)

    def test_an_agent_that_forgot_all_over_a_restart_has_it_back_within_five_seconds(self):
        agent = self.agent()
        daemon = self.registering(agent, self.upstream())
        self.await_metric(daemon, 1)
        agent.stop()
        agent.forget()
        self.await_metric(daemon, 0)
        time.sleep(3)
        agent.start()
        self.await_registered(agent, 1, allow(BACK_SECONDS))
        self.await_metric(daemon, 1)

    def test_an_application_that_is_down_is_not_registered(self):
        agent = self.agent()
        path = self.path("app.sock")
        app = self.upstream(name="app.sock")
        daemon = self.registering(agent, "unix:" + path)
        self.await_registered(agent)
        app.close()
        app.drop_connections()
        self.await_registered(agent, 0)
        agent.stop()
        agent.start()
        time.sleep(3)
        self.assertEqual(agent.registered("shop.cart"), [])
        self.upstream(name="app.sock")
        self.await_registered(agent, 1)
        self.await_metric(daemon, 1)

    def test_a_key_of_rpcx_lives_with_its_session(self):
        agent = self.agent()
        daemon = self.registering(
            agent, self.upstream(), {"format": "rpcx", "base": "/rpcx"}, {"ttl": "20s"})
        key = "rpcx/shop.cart/tcp@" + daemon.address()
        eventually(lambda: agent.value(key) == "env=prod&weight=20&zone=b", what="the key")
        self.await_metric(daemon, 1)
        session = agent.keys[key]["Session"]
        self.assertEqual(agent.sessions[session]["body"],
                         {"Name": "bridle", "TTL": "10s", "Behavior": "delete",
                          "LockDelay": "1ms"})
        self.assertEqual(agent.keys[key]["Flags"], 3304740253564472344)
        with agent.changed:
            agent.end_session(session)
        eventually(lambda: agent.value(key), allow(BACK_SECONDS), "the key again")
        self.assertNotEqual(agent.keys[key]["Session"], session)
        self.await_metric(daemon, 1)
        daemon.stop()
        self.assertIsNone(agent.value(key))
        self.assertEqual(agent.sessions, {})

    def test_a_sidecar_that_was_killed_takes_its_key_of_rpcx_over(self):
        agent = self.agent()
        daemon = self.registering(
            agent, self.upstream(), {"format": "rpcx", "base": "/rpcx"}, {"ttl": "120s"})
        address = daemon.address()
        key = "rpcx/shop.cart/tcp@" + address
        self.await_metric(daemon, 1)
        before = agent.keys[key]["Session"]
        daemon.signal(signal.SIGKILL)
        daemon.wait()
        self.assertIsNotNone(agent.value(key))
        with open(daemon.config_path, encoding="utf-8") as file:
            config = json.load(file)
        config["listeners"][0]["address"] = address
        daemon.write_config(config)
        daemon.start()
        self.await_metric(daemon, 1)
        self.assertNotEqual(agent.keys[key]["Session"], before)
        self.assertEqual(agent.value(key), "env=prod&weight=20&zone=b")

    def test_a_key_of_rpcx_in_other_hands_is_not_fought_for(self):
        agent = self.agent()
        daemon = self.registering(
            agent, self.upstream(), {"format": "rpcx", "base": "/rpcx"}, {"ttl": "20s"})
        key = "rpcx/shop.cart/tcp@" + daemon.address()
        self.await_metric(daemon, 1)
        with agent.changed:
            agent.sessions["other"] = {"until": time.monotonic() + 1000, "ttl": 1000,
                                       "Behavior": "delete", "body": {}}
        agent.put_key(key, "weight=1", "other")
        eventually(lambda: "another holds its key" in daemon.errors(), what="the yielding")
        time.sleep(3)
        self.assertEqual(agent.value(key), "weight=1")
        with agent.changed:
            agent.end_session("other")
        eventually(lambda: agent.value(key) == "env=prod&weight=20&zone=b", what="the key")
        self.await_metric(daemon, 1)


class Together(Consul):
    def sidecar(self, agent, name, app, other):
        directory = self.path(name)
        os.mkdir(directory)
        daemon = Bridled(directory, {
            "node": {"service": "shop." + name},
            "registries": {"consul": self.registry(agent)},
            "shutdown": {"drain": "5s", "spread": "10ms", "deregister_wait": "0s"},
            "listeners": [{"name": "in", "address": "127.0.0.1:0", "service": "local"},
                          {"name": "out", "address": "unix:" + directory + "/out.sock",
                           "service": "shop." + other}],
            "services": {"local": {"name": "shop." + name, "endpoints": [app.address],
                                   "register": {"in": "consul"}},
                         "shop." + other: {"discover": "consul"}}})
        self.addCleanup(daemon.stop)
        return daemon.start()

    def test_two_sidecars_find_each_other_and_calls_flow_both_ways(self):
        agent = self.agent()
        cart_app, price_app = self.upstream(), self.upstream()
        cart = self.sidecar(agent, "cart", cart_app, "price")
        price = self.sidecar(agent, "price", price_app, "cart")
        for daemon, name, other, app in ((cart, "price", price, price_app),
                                         (price, "cart", cart, cart_app)):
            eventually(lambda d=daemon, n=name, o=other:
                       list(self.endpoints(d, "shop." + n)) == [o.address()],
                       what="the other's address")
            with self.caller(daemon, listener="out") as caller:
                self.assertEqual(caller.call("Echo", text="hi").text, "hi")
            self.assertEqual(len(app.packets), 1)


class Example(Consul):
    """conf/consul.yaml, with the addresses that there are here."""

    def test_what_it_registers_is_there_and_what_it_discovers_is_called(self):
        agent = self.agent()
        cart, price, test = self.upstream(name="cart.sock"), self.upstream(), self.upstream()
        agent.put_instance("shop.price", price.address, ["env:prod"])
        agent.put_instance("shop.price", test.address, ["env:test"])
        with open(os.path.join(TOP, "conf", "consul.yaml"), encoding="utf-8") as file:
            text = file.read()
        for old, new in (("127.0.0.1:8500\"", agent.address + '"'), ("0.0.0.0:8888", "127.0.0.1:0"),
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
        eventually(lambda: [s["ID"] for s in agent.registered("shop.cart")] ==
                   ["shop.cart:" + address], what="our own")
        with self.caller(daemon, listener="inbound") as caller:
            self.assertEqual(caller.call("Echo", text="hi").text, "hi")
        self.assertEqual((len(cart.packets), len(price.packets)), (1, 1))
