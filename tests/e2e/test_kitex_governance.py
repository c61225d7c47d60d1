"""Kitex's dynamic configuration: documents in a registry that go over what the file says.

The same tests run against a real etcd, a real ZooKeeper, a stand-in of Consul and a file. What a
document does is seen on calls; "soon" is within a second.
"""

import json
import os
import re
import threading
import time

import bridled
import consul_stand_in
import registries
import upstream
import zookeeper_server
from bridled import eventually

SOON = 1
CLIENT = ("retry", "rpc_timeout", "circuit_break", "degradation")


def attempts(times, **stop):
    return {"enable": True, "type": 0,
            "failure_policy": {"stop_policy": {"max_retry_times": times, **stop}}}


class EtcdCentre:
    def __init__(self, case):
        self.server = registries.Etcd(case, "centre").start()

    def registry(self):
        return {"type": "etcd", "endpoints": [self.server.address]}

    def put(self, key, text):
        self.server.put("/KitexConfig/" + key, text)

    def delete(self, key):
        self.server.delete("/KitexConfig/" + key)


class ZooKeeperCentre:
    def __init__(self, case):
        self.server = zookeeper_server.ZooKeeper(case, "centre").start()
        self.session = self.server.session(case)

    def registry(self):
        return {"type": "zookeeper", "endpoints": [self.server.address]}

    def put(self, key, text):
        path = "/KitexConfig/" + key
        if self.session.get(path) is None:
            self.session.put(path, text)
        else:
            self.session.set(path, text)

    def delete(self, key):
        self.session.delete("/KitexConfig/" + key)


class ConsulCentre:
    """A stand-in of Consul's agent."""

    def __init__(self, case):
        self.server = consul_stand_in.ConsulStandIn(case)

    def registry(self):
        return {"type": "consul", "endpoints": [self.server.address]}

    def put(self, key, text):
        self.server.put_key("KitexConfig/" + key, text)

    def delete(self, key):
        self.server.remove_key("KitexConfig/" + key)


class FileCentre:
    """One file for all, in which a category is a member of <client>/<server>, or of <server>."""

    MEMBERS = {"rpc_timeout": "timeout", "circuit_break": "circuitbreaker"}

    def __init__(self, case):
        self.path = case.path("centre.json")
        self.texts = {}
        self.write()

    def registry(self):
        return {"type": "file", "path": self.path}

    def write(self):
        """By hand, so that what is no JSON can stand in it."""
        groups = {}
        for key, text in self.texts.items():
            names, _, category = key.rpartition("/")
            groups.setdefault(names, []).append(
                "%s: %s" % (json.dumps(self.MEMBERS.get(category, category)), text))
        with open(self.path + ".new", "w", encoding="utf-8") as file:
            file.write("{%s}" % ", ".join("%s: {%s}" % (json.dumps(names), ", ".join(members))
                                          for names, members in groups.items()))
        os.rename(self.path + ".new", self.path)

    def put(self, key, text):
        self.texts[key] = text
        self.write()

    def delete(self, key):
        del self.texts[key]
        self.write()


class Written(bridled.Bridled):
    """From a file as somebody wrote it."""

    def write_config(self, config):
        with open(self.config_path, "w", encoding="utf-8") as file:
            file.write(config + 'admin: {socket: "%s"}\n' % self.admin_path)


class Governed:
    """What holds for every centre; a class below names it."""

    centre_type = None

    def setUp(self):
        super().setUp()
        self.centre = self.centre_type(self)

    def put(self, category, document, server="shop.price"):
        text = document if isinstance(document, str) else json.dumps(document)
        self.centre.put(self.key(category, server), text)

    def delete(self, category, server="shop.price"):
        self.centre.delete(self.key(category, server))

    def key(self, category, server):
        return server + "/limit" if category == "limit" else "test.node/%s/%s" % (server, category)

    def config(self, endpoints, governance=None, services=None, **policy):
        """A service that is found, as documents of clients are for those alone."""
        with open(self.path("found.yaml"), "w", encoding="utf-8") as file:
            json.dump({"shop.price": endpoints}, file)
        return {"node": {"service": "test.node"},
                "registries": {"here": {"type": "file", "path": self.path("found.yaml")},
                               "centre": self.centre.registry()},
                "listeners": [{"name": "in", "address": "127.0.0.1:0", "service": "price"}],
                "services": {"price": {"name": "shop.price", "discover": "here", "eject": "none",
                                       "governance": governance or {"from": "centre"}, **policy},
                             **(services or {})}}

    def governed(self, endpoints, **more):
        daemon = self.bridled(self.config(endpoints, **more))
        eventually(lambda: daemon.get_json("/services/price")["endpoints"], what="the endpoints")
        return daemon

    def state(self, daemon, category, state, value=1, service="price"):
        return daemon.metric("bridle_governance_documents", service=service, category=category,
                             state=state) == value

    def wait(self, daemon, category, state, service="price"):
        began = time.monotonic()
        eventually(lambda: self.state(daemon, category, state, service=service),
                   what="%s to be %s" % (category, state))
        self.assertLess(time.monotonic() - began, bridled.allow(SOON))

    def call(self, daemon, method="Echo", listener="in"):
        with self.caller(daemon, listener=listener) as caller:
            began = time.monotonic()
            answer = caller.call(method)
            return answer, time.monotonic() - began

    def reason(self, daemon, method="Echo"):
        """Why the proxy refused a call."""
        return self.call(daemon, method)[0].exception[1].split()[1].strip(":")

    def soon(self, check, what):
        """True within a second."""
        began = time.monotonic()
        eventually(check, what=what)
        self.assertLess(time.monotonic() - began, bridled.allow(SOON), what)

    # ---- what documents do ----

    def test_a_timeout_goes_over_the_files_and_away_again(self):
        silent = self.upstream(upstream.silent)
        daemon = self.governed([silent.address], timeout={"call": "700ms"}, retry="none")
        answer, took = self.call(daemon)
        self.assert_refused(answer, "timeout", 6)
        self.assertGreaterEqual(took, 0.7)
        self.put("rpc_timeout", {"*": {"rpc_timeout_ms": 60}})
        self.wait(daemon, "rpc_timeout", "applied")
        eventually(lambda: self.call(daemon)[1] < 0.6, what="a document for all methods")
        answer, took = self.call(daemon)
        self.assert_refused(answer, "timeout", 6)
        self.assertGreaterEqual(took, 0.06)
        self.put("rpc_timeout", {"Other": {"rpc_timeout_ms": 60}})
        eventually(lambda: self.call(daemon)[1] >= 0.7, what="a document without the method")
        eventually(lambda: self.call(daemon, "Other")[1] < 0.6, what="one with it")
        self.delete("rpc_timeout")
        self.wait(daemon, "rpc_timeout", "absent")
        eventually(lambda: self.call(daemon, "Other")[1] >= 0.7, what="the file's value")

    def test_retries_follow_timeouts_of_attempts(self):
        silent = self.upstream(upstream.silent)
        daemon = self.governed([silent.address], timeout={"call": "5s"})
        self.put("rpc_timeout", {"*": {"rpc_timeout_ms": 50}})
        self.put("retry", {"*": attempts(2, cb_policy={"error_rate": 0.3}),
                           "Once": {"enable": False}})
        self.wait(daemon, "rpc_timeout", "applied")
        self.wait(daemon, "retry", "applied")
        eventually(lambda: self.attempts_of(daemon) == 3, what="retries after timeouts")
        self.assertEqual(self.attempts_of(daemon, "Once"), 1)
        self.put("retry", {"*": attempts(1)})
        eventually(lambda: self.attempts_of(daemon) == 2, what="the new document")
        eventually(lambda: self.attempts_of(daemon, "Once") == 2, what="that for all methods")

    def attempts_of(self, daemon, method="Echo"):
        """Of a call; the daemon has had no others but these."""
        self.call(daemon, method)
        daemon.logged = getattr(daemon, "logged", 0) + 1
        return daemon.access_log(daemon.logged)[-1]["attempts"]

    def shown(self, daemon):
        return daemon.get("/config")[1]

    def test_a_backup_leaves_after_its_delay(self):
        calls = []

        def every_second(connection, packet):
            calls.append(packet)
            if len(calls) % 2 == 0:
                upstream.echo(connection, packet)
        daemon = self.governed([self.upstream(every_second).address], timeout={"call": "200ms"})
        self.put("retry", {"Echo": {"enable": True, "type": 1, "backup_policy": {
            "retry_delay_ms": 40, "stop_policy": {"max_retry_times": 1}}}})

        def is_well():
            del calls[:]
            return not self.call(daemon)[0].exception
        self.soon(is_well, "the backup")
        self.assertGreaterEqual(self.call(daemon)[1], 0.04)

    def test_degradation_refuses_a_share(self):
        daemon = self.governed([self.upstream().address])
        self.assertEqual(self.call(daemon)[0].text, "hello")
        self.put("degradation", {"enable": True, "percentage": 100})
        self.soon(lambda: self.call(daemon)[0].exception, "the degradation")
        self.assert_refused(self.call(daemon)[0], "degraded")
        self.put("degradation", {"enable": False, "percentage": 100})
        self.soon(lambda: not self.call(daemon)[0].exception, "its end")

    def test_a_breaker_of_a_method_opens(self):
        broken = self.upstream(upstream.reset_at_once)
        daemon = self.governed([broken.address], retry="none")
        self.put("circuit_break", {"Echo": {"enable": True, "err_rate": 0.5, "min_sample": 3}})
        reasons = []
        self.soon(lambda: reasons.append(self.reason(daemon)) or reasons[-1] == "breaker_open",
                  "the breaker")
        self.assertGreaterEqual(reasons.count("reset"), 3)
        self.assertEqual(self.reason(daemon, "Other"), "reset")

    def test_a_limit_is_for_the_application_beside_us(self):
        app = self.upstream()
        local = {"local": {"name": "test.node", "endpoints": [app.address],
                           "governance": {"from": "centre"}}}
        config = self.config([app.address], services=local)
        config["listeners"].append({"name": "own", "address": "127.0.0.1:0", "service": "local"})
        daemon = self.bridled(config)
        self.put("limit", {"qps_limit": 1, "connection_limit": 2}, "test.node")
        refused = []

        def is_refused():
            refused.append(self.call(daemon, listener="own")[0])
            return refused[-1].exception
        self.soon(is_refused, "the limit")
        self.assert_refused(refused[-1], "rate_limited")
        self.assertIsNone(self.call(daemon)[0].exception)
        # and of its connections
        self.put("limit", {"connection_limit": 2}, "test.node")
        self.soon(lambda: not any(self.call(daemon, listener="own")[0].exception
                                  for _ in range(3)), "calls without a limit")
        for caller in [self.caller(daemon, listener="own") for _ in range(2)]:
            self.assertEqual(caller.call().text, "hello")
        eventually(lambda: self.call(daemon, listener="own")[0].exception, what="the limit")
        self.assert_refused(self.call(daemon, listener="own")[0], "connection_limited")
        self.put("limit", {"connection_limit": 0}, "test.node")
        self.soon(lambda: not self.call(daemon, listener="own")[0].exception, "no limit")

    def test_documents_that_were_there_before_hold_from_the_start(self):
        self.put("degradation", {"enable": True, "percentage": 100})
        daemon = self.governed([self.upstream().address])
        self.soon(lambda: self.call(daemon)[0].exception, "the degradation")
        self.assert_refused(self.call(daemon)[0], "degraded")

    # ---- documents that are wrong, or locked ----

    def test_a_bad_document_changes_nothing(self):
        silent = self.upstream(upstream.silent)
        daemon = self.governed([silent.address], retry="none", timeout={"call": "1s"})
        self.put("rpc_timeout", {"Echo": {"rpc_timeout_ms": 60}})
        self.wait(daemon, "rpc_timeout", "applied")
        eventually(lambda: self.call(daemon)[1] < 0.6, what="the good one")
        for bad in ('{"Echo": {"rpc_timeout_ms": -1}}', '{"Echo": {"rpc_timeout_ms": "60"}}',
                    '{"Echo": 1}', '{"Echo": {}, "a b": {}}', "[]"):
            with self.subTest(bad=bad):
                said = daemon.errors().count("a document is wrong")
                self.put("rpc_timeout", bad)
                self.soon(lambda: daemon.errors().count("a document is wrong") > said, "a word")
                self.wait(daemon, "rpc_timeout", "bad")
                eventually(lambda: self.call(daemon)[1] < 0.6, what="the good one still")
        self.assert_logged(daemon, "test.node/shop.price/rpc_timeout")
        told = {one["category"]: one for one in daemon.get_json("/services/price")["governance"]}
        self.assertEqual(sorted(told), sorted(CLIENT))
        self.assertEqual((told["rpc_timeout"]["state"], told["rpc_timeout"]["refused"]),
                         ("bad", 5))
        self.assertIn("expected a map", told["rpc_timeout"]["error"])
        self.assertEqual(told["retry"]["state"], "absent")
        self.put("rpc_timeout", {"Echo": {"rpc_timeout_ms": 70}})
        self.wait(daemon, "rpc_timeout", "applied")
        self.assertEqual(self.call(daemon)[0].exception[0], 6)

    def test_a_bad_document_at_first_leaves_the_file(self):
        self.put("degradation", {"enable": True, "percentage": 101})
        daemon = self.governed([self.upstream().address])
        self.wait(daemon, "degradation", "bad")
        self.assertEqual(self.call(daemon)[0].text, "hello")
        self.delete("degradation")
        self.wait(daemon, "degradation", "absent")

    def test_what_is_locked_stays(self):
        daemon = self.governed([self.upstream().address],
                               governance={"from": "centre", "locked": ["degrade", "timeout"]},
                               timeout={"call": "3s"})
        self.put("degradation", {"enable": True, "percentage": 100})
        self.put("rpc_timeout", {"*": {"rpc_timeout_ms": 1}})
        self.put("circuit_break", {"Other": {"enable": True, "err_rate": 0.5, "min_sample": 3}})
        for category in ("degradation", "rpc_timeout", "circuit_break"):
            self.wait(daemon, category, "applied")
        for _ in range(10):
            self.assertEqual(self.call(daemon)[0].text, "hello")
        shown = self.shown(daemon)
        self.assertIn("call: 3s  # " + daemon.config_path, shown)
        self.assertIn("min_samples: 3  # centre:", shown)

    # ---- beside reloads, names, outages ----

    def test_a_reload_keeps_what_documents_say(self):
        service = self.upstream()
        daemon = self.governed([service.address])
        self.put("degradation", {"enable": True, "percentage": 100})
        self.soon(lambda: self.call(daemon)[0].exception, "the degradation")
        config = self.config([service.address], timeout={"call": "2s"})
        daemon.reload(config)
        self.assert_refused(self.call(daemon)[0], "degraded")
        self.assertTrue(self.state(daemon, "degradation", "applied"))
        del config["services"]["price"]["governance"]
        daemon.reload(config)
        eventually(lambda: not self.call(daemon)[0].exception, what="the file alone")
        self.assertEqual(daemon.metric("bridle_governance_documents"), 0)

    def test_the_file_is_not_read_for_a_document(self):
        """Nor does what is wrong in it by now matter."""
        daemon = self.governed([self.upstream().address])
        with open(daemon.config_path, "w", encoding="utf-8") as file:
            file.write("listeners: [")
        self.put("degradation", {"enable": True, "percentage": 100})
        self.soon(lambda: self.call(daemon)[0].exception, "the degradation")
        self.assert_refused(self.call(daemon)[0], "degraded")
        before = daemon.get_json("/status")["config"]["hash"]
        self.delete("degradation")
        self.wait(daemon, "degradation", "absent")
        eventually(lambda: not self.call(daemon)[0].exception, what="the file's value")
        self.assertEqual(daemon.get_json("/status")["config"]["hash"], before)

    def test_names_that_are_found_are_governed(self):
        service = self.upstream()
        config = self.config([service.address])
        config["services"]["*"] = {"discover": "here", "governance": {"from": "centre"}}
        with open(self.path("found.yaml"), "w", encoding="utf-8") as file:
            json.dump({"shop.price": [service.address], "shop.new": [service.address]}, file)
        config["listeners"].append({"name": "out", "address": "127.0.0.1:0"})
        daemon = self.bridled(config)
        self.put("degradation", {"enable": True, "percentage": 100}, "shop.new")
        with self.caller(daemon, "ttheader_framed", "out") as caller:
            eventually(lambda: caller.call("Echo", ints={6: "shop.new"}).exception,
                       what="the document of a name that was found")
            self.assert_refused(caller.call("Echo", ints={6: "shop.new"}), "degraded")
            self.assertIsNone(caller.call("Echo", ints={6: "shop.price"}).exception)

    def test_calls_go_on_while_documents_change(self):
        daemon = self.governed([self.upstream().address])
        failed, done = [], threading.Event()

        def call():
            with self.caller(daemon) as caller:
                while not done.is_set():
                    answer = caller.call()
                    if answer.exception:
                        failed.append(answer)

        callers = [threading.Thread(target=call) for _ in range(3)]
        for thread in callers:
            thread.start()
        for number in range(1, 40):
            self.put("rpc_timeout", {"Echo": {"rpc_timeout_ms": 20000 + number}})
        last = "attempt: %dms" % (20000 + number)
        self.soon(lambda: last in self.shown(daemon), "the last of a burst")
        done.set()
        for thread in callers:
            thread.join()
        self.assertEqual(failed, [])


class ByEtcd(Governed, bridled.TestCase):
    centre_type = EtcdCentre

    def test_an_outage_changes_nothing(self):
        daemon = self.governed([self.upstream().address])
        self.put("degradation", {"enable": True, "percentage": 100})
        self.soon(lambda: self.call(daemon)[0].exception, "the degradation")
        self.centre.server.kill()
        eventually(lambda: daemon.metric("bridle_registry_up", registry="centre") == 0,
                   what="the outage")
        self.assert_refused(self.call(daemon)[0], "degraded")
        self.centre.server.start()
        self.put("degradation", {"enable": False})
        eventually(lambda: not self.call(daemon)[0].exception, what="what is said after it")


    def test_the_example_does_what_its_comments_say(self):
        cart, price = self.upstream(name="cart.sock"), self.upstream(upstream.silent)
        with open(os.path.join(bridled.TOP, "conf", "governance.yaml"), encoding="utf-8") as file:
            text = file.read()
        said = re.findall(r"etcdctl put (\S+) '(.*)'", text)
        self.assertEqual(len(said), 3)
        for old, new in (("127.0.0.1:2379", self.centre.server.address),
                         ("127.0.0.1:8888", "127.0.0.1:0"),
                         ("unix:/run/cart/rpc.sock", cart.address),
                         ("${RUNTIME_DIRECTORY:-/run/bridled}", self.directory)):
            self.assertIn(old, text)
            text = text.replace(old, new)
        registries.Kitex(self.centre.server).put("shop.price", price.address)
        daemon = Written(self.directory, text)
        self.addCleanup(daemon.stop)
        daemon.start()
        answer, took = self.call(daemon, listener="price")
        self.assertGreaterEqual(took, 1)
        for key, document in said:
            self.centre.server.put(key, document)
        for service, category in (("shop.price", "rpc_timeout"), ("shop.price", "degradation"),
                                  ("cart.local", "limit")):
            self.wait(daemon, category, "applied", service)
        reasons = set()
        while reasons != {"timeout", "degraded"}:
            answer, took = self.call(daemon, listener="price")
            if took < 0.9:
                reasons.add(answer.exception[1].split()[1].strip(":"))
        shown = self.shown(daemon)
        for value in ("degrade: 20%  # main:/KitexConfig/shop.cart/shop.price/degradation",
                      "rate: 500/s  # main:/KitexConfig/shop.cart/limit",
                      "connections: 100  # main:/KitexConfig/shop.cart/limit"):
            self.assertIn(value, shown)


class ByZooKeeper(Governed, bridled.TestCase):
    centre_type = ZooKeeperCentre


class ByConsulStandIn(Governed, bridled.TestCase):
    centre_type = ConsulCentre

    def test_a_document_may_be_yaml(self):
        daemon = self.governed([self.upstream(upstream.silent).address], retry="none")
        self.put("rpc_timeout", "# all\n'*':\n  rpc_timeout_ms: 60\n")
        self.wait(daemon, "rpc_timeout", "applied")
        eventually(lambda: self.call(daemon)[1] < 0.6, what="the document")


class ByFile(Governed, bridled.TestCase):
    centre_type = FileCentre

    def test_text_that_is_no_file_changes_nothing(self):
        daemon = self.governed([self.upstream().address])
        self.put("degradation", {"enable": True, "percentage": 100})
        self.soon(lambda: self.call(daemon)[0].exception, "the degradation")
        self.put("retry", "{")
        eventually(lambda: daemon.metric("bridle_registry_up", registry="centre") == 0,
                   what="the complaint")
        self.assert_refused(self.call(daemon)[0], "degraded")


    def test_a_machine_that_has_changed_under_the_file_keeps_what_holds(self):
        """What the file needs is gone, so that it could not be loaded now; later it is back."""
        folder = self.path("logs")
        os.mkdir(folder)
        config = self.config([self.upstream().address])
        config["log"] = {"to": os.path.join(folder, "log")}
        daemon = self.bridled(config)
        eventually(lambda: self.call(daemon)[0].exception is None, what="a call")
        os.rename(folder, folder + ".gone")
        self.put("degradation", {"enable": True, "percentage": 100})

        def said():
            with open(os.path.join(folder + ".gone", "log"), encoding="utf-8") as file:
                return file.read()
        eventually(lambda: "no change is taken over" in said(), what="the complaint")
        self.assertIsNone(self.call(daemon)[0].exception)
        os.mkdir(folder)
        eventually(lambda: self.call(daemon)[0].exception, what="the change")
        self.assertEqual(said().count("no change is taken over"), 1)


class Nameless(bridled.TestCase):
    def test_without_a_name_documents_of_clients_are_not_read(self):
        service = self.upstream()
        path = self.path("registry.yaml")
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"svc": [service.address]}, file)
        daemon = self.bridled({
            "registries": {"main": {"type": "file", "path": path}},
            "listeners": [{"name": "in", "address": "127.0.0.1:0", "service": "svc"}],
            "services": {"svc": {"discover": "main", "governance": {"from": "main"}}}})
        eventually(lambda: "node.service" in daemon.errors(), what="the complaint")
        with self.caller(daemon) as caller:
            self.assertEqual(caller.call().text, "hello")
        self.assert_logged(daemon, "node.service", 1)
