"""The local application in registries: at the right address, while it answers and at no other time,
back after every outage, and gone first when the daemon leaves."""

import json
import os
import signal
import socket
import threading
import time

import registries
import upstream
import wire
import zookeeper_server
from bridled import Bridled, TestCase, allow, eventually
from consul_stand_in import ConsulStandIn
from sockets import PATIENCE, Caller

SERVICE = "shop.price"
TTL = 5.0  # seconds: the shortest that there is
BACK_WITHIN = 5.0  # after a registry has come back
WAIT = 2.0  # shutdown.deregister_wait where it matters


class InEtcd:
    """What stands in etcd, in Kitex's layout."""

    def __init__(self, case, name="etcd"):
        self.server = registries.Etcd(case, name).start()
        self.kitex = registries.Kitex(self.server)
        self.config = {"type": "etcd", "endpoints": [self.server.address]}

    def addresses(self, service=SERVICE):
        return self.kitex.addresses(service)

    def record(self, address, service=SERVICE):
        """(weight, tags)"""
        value = json.loads(self.server.get(self.kitex.key(service, address)))
        return value["weight"], value["tags"]

    def owner(self, address, service=SERVICE):
        entry = self.server.entry(self.kitex.key(service, address))
        return entry and entry["lease"]

    def remove(self, address, service=SERVICE):
        self.kitex.delete(service, address)


class InZooKeeper:
    """The same in ZooKeeper."""

    def __init__(self, case, name="zookeeper"):
        self.server = zookeeper_server.ZooKeeper(case, name).start()
        self.case = case
        self.config = {"type": "zookeeper", "endpoints": [self.server.address], "session": "5s"}

    def ask(self, question):
        """A session for each: it would not live through an outage."""
        session = self.server.session(self.case)
        try:
            return question(session, zookeeper_server.Kitex(session))
        finally:
            session.close()

    def addresses(self, service=SERVICE):
        return self.ask(lambda session, kitex: session.children(kitex.path(service)) or [])

    def record(self, address, service=SERVICE):
        data, _ = self.ask(lambda session, kitex: session.get(kitex.path(service, address)))
        value = json.loads(data)
        return value["Weight"], value["Tags"]

    def owner(self, address, service=SERVICE):
        return self.ask(lambda session, kitex: session.owner(kitex.path(service, address)))

    def remove(self, address, service=SERVICE):
        self.ask(lambda session, kitex: kitex.delete(service, address))


class InConsul:
    """The same with a stand-in for an agent of Consul."""

    def __init__(self, case):
        self.server = ConsulStandIn(case)
        self.config = {"type": "consul", "endpoints": [self.server.address]}

    def addresses(self, service=SERVICE):
        return sorted("%s:%d" % (one["Address"], one["Port"])
                      for one in self.server.registered(service))


def own_ipv4():
    """The addresses of this machine that are not loopback, by its own list."""
    with open("/proc/net/fib_trie", encoding="ascii") as file:
        lines = file.read().split("\n")
    found = [lines[i - 1].split()[-1] for i in range(1, len(lines)) if "/32 host LOCAL" in lines[i]]
    return [a for a in found if not a.startswith("127.")]


class Registering(TestCase):
    def app(self, behaviour=upstream.echo, name="app.sock"):
        return self.upstream(behaviour, name)

    def config(self, places, app, listener=None, service=None, shutdown=None, **register):
        return {"registries": {name: place.config for name, place in places.items()},
                "listeners": [{"name": "in", "address": "127.0.0.1:0", "service": "svc",
                               **(listener or {})}],
                "services": {"svc": {"name": SERVICE, "endpoints": [getattr(app, "address", app)],
                                     "register": {"in": list(places), "ttl": "%gs" % TTL,
                                                  **register}, **(service or {})}},
                "shutdown": {"deregister_wait": "0s", "drain": "5s", "spread": "10ms",
                             **(shutdown or {})}}

    def await_addresses(self, place, addresses, seconds=PATIENCE):
        eventually(lambda: place.addresses() == sorted(addresses), seconds,
                   "%s, not %s" % (addresses, place.addresses()))

    def registered(self, daemon, registry="main"):
        for one in daemon.get_json("/services/svc")["registered"]:
            if one["registry"] == registry:
                return one
        raise AssertionError("not to be registered in " + registry)

    def await_registered(self, daemon, registry="main", seconds=PATIENCE):
        eventually(lambda: daemon.metric("bridle_registered", service="svc",
                                         registry=registry) == 1, seconds,
                   "registered in %s (%s)" % (registry, self.registered(daemon, registry)))

    def sidecar(self, config, name):
        """One more daemon, in a directory of its own."""
        directory = self.path(name)
        os.mkdir(directory)
        daemon = Bridled(directory, config)
        self.addCleanup(daemon.stop)
        return daemon.start()


class Basics:
    """What holds in every registry; see the classes at the end."""

    def place(self, name="main"):
        raise NotImplementedError

    def test_published_with_all_that_the_file_says(self):
        place, app = self.place(), self.app()
        daemon = self.bridled(self.config({"main": place}, app, weight=7, tags={"env": "prod"}))
        address = daemon.address()
        self.await_addresses(place, [address])
        self.assertEqual(place.record(address), (7, {"env": "prod"}))
        self.await_registered(daemon)
        seen = self.registered(daemon)
        self.assertEqual((seen["address"], seen["state"], seen["ready"], seen["why"],
                          seen["drifts"]), (address, "present", True, "", 0))
        self.assert_logged(daemon, "registration: published", 1)
        status, said, _ = daemon.ctl("services")
        self.assertEqual(status, 0)
        self.assertIn("1 of 1", said)
        status, said, _ = daemon.ctl("services", "svc")
        self.assertRegex(said, r"main +%s +present" % address)

    def test_it_follows_the_application(self):
        """Down at the start; up; down; up."""
        place, path = self.place(), "unix:" + self.path("app.sock")
        daemon = self.bridled(self.config({"main": place}, path))
        address = daemon.address()
        time.sleep(1.5)  # nothing may happen
        self.assertEqual(place.addresses(), [])
        self.assertIn("does not answer", self.registered(daemon)["why"])
        self.assertEqual(daemon.metric("bridle_registered", service="svc", registry="main"), 0)
        for _ in range(2):
            app = self.app()
            self.await_addresses(place, [address])
            self.await_registered(daemon)
            app.close()
            self.await_addresses(place, [])
            self.assertEqual(self.registered(daemon)["state"], "withdrawn")
        self.assert_logged(daemon, "registration: published", 2)
        self.assertEqual(daemon.metric("bridle_registration_drifts_total"), 0)

    def test_an_application_that_stops_is_gone_soon(self):
        place, app = self.place(), self.app()
        daemon = self.bridled(self.config({"main": place}, app))
        self.await_addresses(place, [daemon.address()])
        app.close()
        began = time.monotonic()
        self.await_addresses(place, [])
        self.assertLess(time.monotonic() - began, allow(3 + self.slack))

    def test_what_is_taken_away_comes_back(self):
        place, app = self.place(), self.app()
        daemon = self.bridled(self.config({"main": place}, app))
        address = daemon.address()
        self.await_registered(daemon)
        place.remove(address)
        eventually(lambda: daemon.metric("bridle_registration_drifts_total") == 1,
                   what="the drift")
        self.await_addresses(place, [address])
        self.await_registered(daemon)
        self.assertEqual(self.registered(daemon)["drifts"], 1)
        self.assert_logged(daemon, "registration: lost", 1)
        self.assert_logged(daemon, "registration: back", 1)

    def test_after_a_kill_the_next_one_takes_the_place_over(self):
        place, app = self.place(), self.app()
        stated = "127.0.0.1:%d" % registries.free_port()
        config = self.config({"main": place}, app, listener={"address": stated})
        daemon = self.bridled(config)
        self.await_registered(daemon)
        owner = place.owner(stated)
        daemon.process.kill()
        daemon.wait()
        self.assertEqual(place.addresses(), [stated])  # nobody has taken it away
        daemon.start()
        self.await_registered(daemon)
        self.assertEqual(place.addresses(), [stated])
        self.assertNotEqual(place.owner(stated), owner)
        end = time.monotonic() + TTL + 2  # the old one's time runs out meanwhile
        while time.monotonic() < end:
            self.assertEqual(place.addresses(), [stated])
            time.sleep(0.05)
        self.assertEqual(daemon.metric("bridle_registration_drifts_total"), 0)

    def test_a_stop_takes_it_away(self):
        place, app = self.place(), self.app()
        daemon = self.bridled(self.config({"main": place}, app))
        self.await_registered(daemon)
        daemon.signal(signal.SIGTERM)
        self.assertEqual(daemon.wait(), 0)
        self.assertEqual(place.addresses(), [])
        self.assertIn("registration: withdrawn", daemon.errors())

    def test_an_outage_longer_than_the_lease(self):
        """The registry hears and says nothing; then it is there again, and knows that time is up."""
        place, app = self.place(), self.app()
        daemon = self.bridled(self.config({"main": place}, app))
        address = daemon.address()
        self.await_registered(daemon)
        place.server.pause()
        eventually(lambda: daemon.metric("bridle_registered", service="svc") == 0,
                   what="the loss to be noticed")
        time.sleep(2 * TTL)
        place.server.resume()
        began = time.monotonic()
        seen = set()

        def is_back():
            found = place.addresses()
            seen.update(found)
            return found == [address] and daemon.metric("bridle_registered", service="svc") == 1
        eventually(is_back, what="the registration")
        self.assertLess(time.monotonic() - began, allow(BACK_WITHIN + self.slack))
        self.assertEqual(seen, {address})
        time.sleep(TTL + 1)  # it stays
        self.assertEqual(place.addresses(), [address])
        self.assertEqual(daemon.metric("bridle_registered", service="svc"), 1)

    def test_a_registry_that_is_started_again(self):
        place, app = self.place(), self.app()
        daemon = self.bridled(self.config({"main": place}, app))
        address = daemon.address()
        self.await_registered(daemon)
        place.server.kill()
        eventually(lambda: daemon.metric("bridle_registered", service="svc") == 0,
                   what="the loss to be noticed")
        time.sleep(TTL)
        place.server.start()
        began = time.monotonic()
        eventually(lambda: place.addresses() == [address] and
                   daemon.metric("bridle_registered", service="svc") == 1, what="the registration")
        self.assertLess(time.monotonic() - began, allow(BACK_WITHIN + self.slack))
        time.sleep(TTL + 1)
        self.assertEqual(place.addresses(), [address])

    def test_never_while_the_application_is_down(self):
        """It goes down while the registry is away, and is nowhere when that is back."""
        place, app = self.place(), self.app()
        daemon = self.bridled(self.config({"main": place}, app))
        address = daemon.address()
        self.await_registered(daemon)
        place.server.pause()
        app.close()
        eventually(lambda: self.registered(daemon)["state"] == "withdrawn", what="the withdrawal")
        time.sleep(2 * TTL)
        place.server.resume()
        eventually(lambda: place.addresses() == [], allow(TTL + self.slack),
                   "the end of the record")
        end = time.monotonic() + TTL
        while time.monotonic() < end:
            self.assertEqual(place.addresses(), [])
            time.sleep(0.05)
        self.app()
        self.await_addresses(place, [address])

    def test_away_at_the_start(self):
        place, app = self.place(), self.app()
        place.server.kill()
        daemon = self.bridled(self.config({"main": place}, app))
        self.assertEqual(daemon.metric("bridle_registered", service="svc", registry="main"), 0)
        with self.caller(daemon) as caller:
            self.assertEqual(caller.call(text="served").text, "served")
        place.server.start()
        began = time.monotonic()
        self.await_addresses(place, [daemon.address()])
        self.assertLess(time.monotonic() - began, allow(BACK_WITHIN + self.slack))

    def test_a_daemon_that_was_stopped_for_long_is_back(self):
        place, app = self.place(), self.app()
        daemon = self.bridled(self.config({"main": place}, app))
        address = daemon.address()
        self.await_registered(daemon)
        daemon.signal(signal.SIGSTOP)
        try:
            self.await_addresses(place, [], allow(3 * TTL + self.slack))
        finally:
            daemon.signal(signal.SIGCONT)
        self.await_addresses(place, [address], allow(BACK_WITHIN + self.slack))
        self.await_registered(daemon)

    def test_reloads_change_what_is_there(self):
        place, app = self.place(), self.app()
        config = self.config({"main": place}, app, weight=10)
        daemon = self.bridled(config)
        address = daemon.address()
        self.await_registered(daemon)
        owner = place.owner(address)
        register = config["services"]["svc"]["register"]
        register.update(weight=20, tags={"lane": "b"})
        daemon.reload(config)
        eventually(lambda: place.record(address) == (20, {"lane": "b"}), what="the new record")
        self.assertEqual(place.owner(address), owner)
        register["address"] = "127.0.0.1:4321"
        daemon.reload(config)
        self.await_addresses(place, ["127.0.0.1:4321"])
        del config["services"]["svc"]["register"]
        daemon.reload(config)
        self.await_addresses(place, [])
        self.assertNotIn("registered", daemon.get_json("/services/svc"))
        self.assertEqual(daemon.metric("bridle_registered"), 0)

    def test_two_at_one_address_do_not_fight(self):
        place, app = self.place(), self.app()
        config = self.config({"main": place}, app, address="127.0.0.1:4321")
        first = self.sidecar(config, "a")
        self.await_registered(first)
        owners = [place.owner("127.0.0.1:4321")]
        second = self.sidecar(config, "b")
        self.await_registered(second)
        end = time.monotonic() + 4 * TTL
        while time.monotonic() < end:
            owner = place.owner("127.0.0.1:4321")
            if owner and owner != owners[-1]:
                owners.append(owner)
            time.sleep(0.02)
        self.assertLessEqual(len(owners), 3, owners)
        self.assertEqual(self.registered(first)["state"], "contested")
        self.assertEqual(first.metric("bridle_registered", service="svc"), 0)
        self.assert_logged(first, "registration: contested", 1)
        self.assertEqual(second.metric("bridle_registered", service="svc"), 1)
        second.stop()  # then it is the first one's again
        self.await_registered(first)
        self.assertEqual(place.addresses(), ["127.0.0.1:4321"])

    def test_two_sidecars_find_each_other(self):
        """Each has an application, which is published, and calls the other's by its name."""
        place = self.place()
        sidecars = []
        for own, other in (("east", "west"), ("west", "east")):
            app = self.app(lambda c, p, own=own: c.write(p.answer(wire.result("from " + own))),
                           own + ".sock")
            sidecars.append(self.sidecar({
                "registries": {"main": place.config},
                "listeners": [{"name": "in", "address": "127.0.0.1:0", "service": "local"},
                              {"name": "out", "address": "127.0.0.1:0", "service": other}],
                "services": {"local": {"name": own, "endpoints": [app.address],
                                       "register": {"in": "main", "ttl": "%gs" % TTL}},
                             other: {"discover": "main"}},
                "shutdown": {"deregister_wait": "0s", "drain": "5s", "spread": "10ms"}}, own))
        for daemon, other in zip(sidecars, ("west", "east")):
            eventually(lambda d=daemon, o=other: d.get_json("/services/" + o)["endpoints"],
                       what="endpoints of " + other)
        for daemon, other in zip(sidecars, ("west", "east")):
            with self.caller(daemon, listener="out") as caller:
                for _ in range(10):
                    self.assertEqual(caller.call().text, "from " + other)


class Etcd(Basics, Registering):
    SECONDS_EACH = 7

    slack = 1

    def place(self, name="main"):
        return InEtcd(self, name)


class ZooKeeper(Basics, Registering):
    SECONDS_EACH = 8

    slack = 4  # its server looks for sessions that have ended in steps

    def place(self, name="main"):
        return InZooKeeper(self, name)


class Addresses(Registering):
    def test_behind_a_wildcard(self):
        """The address from which the registry is reached, which is here one of loopback. Consul is
        asked through an agent on the same machine: that says nothing of where the others are."""
        places = {"main": InEtcd(self), "other": InConsul(self)}
        daemon = self.bridled(self.config(places, self.app(), listener={"address": "0.0.0.0:0"}))
        port = daemon.address().rsplit(":", 1)[1]
        self.await_addresses(places["main"], ["127.0.0.1:" + port])
        (outer,) = eventually(places["other"].addresses)
        self.assertIn(outer, [host + ":" + port for host in own_ipv4() or ["127.0.0.1"]])
        for address in ("127.0.0.1:" + port, outer):
            with Caller(address) as caller:
                self.assertEqual(caller.call(text="through").text, "through")

    def test_the_first_address_of_the_pinned_listener_that_is_tcp(self):
        place, app = InEtcd(self), self.app()
        daemon = self.bridled(self.config({"main": place}, app, listener={
            "address": ["unix:" + self.path("in.sock"), "127.0.0.1:0", "127.0.0.2:0"]}))
        found = daemon.get_json("/status")["listeners"][0]["addresses"]
        self.await_addresses(place, [found[1]])

    def test_a_listener_that_moves_takes_its_record_with_it(self):
        place, app = InEtcd(self), self.app()
        config = self.config({"main": place}, app)
        daemon = self.bridled(config)
        before = daemon.address()
        self.await_addresses(place, [before])
        config["listeners"][0]["address"] = "127.0.0.2:0"
        daemon.reload(config)
        after = daemon.address()
        self.assertTrue(after.startswith("127.0.0.2:"), after)
        self.await_addresses(place, [after])


class Readiness(Registering):
    def test_health_checks_decide_where_there_are_any(self):
        """It accepts, and fails its checks."""
        mood = {"is_well": False}

        def behave(connection, packet):
            if packet.method != "ping" or mood["is_well"]:
                connection.answer(packet)
        place, app = InEtcd(self), self.app(behave)
        daemon = self.bridled(self.config({"main": place}, app, service={
            "protocol": "framed", "health": {"type": "thrift", "interval": "200ms",
                                             "timeout": "150ms", "rise": 2, "fall": 2}}))
        eventually(lambda: len(app.packets) > 3, what="some checks")
        self.assertEqual(place.addresses(), [])
        self.assertIn("health check", self.registered(daemon)["why"])
        mood["is_well"] = True
        self.await_addresses(place, [daemon.address()])
        mood["is_well"] = False
        self.await_addresses(place, [])

    def test_always_means_without_an_application(self):
        place = InEtcd(self)
        daemon = self.bridled(self.config({"main": place}, "unix:" + self.path("none.sock"),
                                          when="always"))
        self.await_addresses(place, [daemon.address()])

    def test_failing_calls_play_no_part(self):
        place, app = InEtcd(self), self.app(upstream.reset_at_once)
        daemon = self.bridled(self.config({"main": place}, app, service={
            "eject": {"consecutive": 1}}))
        address = daemon.address()
        self.await_registered(daemon)
        for _ in range(10):
            with self.caller(daemon) as caller:
                caller.call()
        time.sleep(1.5)
        self.assertEqual(place.addresses(), [address])
        self.assertEqual(daemon.metric("bridle_registration_drifts_total"), 0)


class Several(Registering):
    def test_each_registry_has_it_and_one_that_is_away_hinders_none(self):
        places = {"main": InEtcd(self, "one"), "other": InEtcd(self, "two")}
        app = self.app()
        places["other"].server.pause()
        daemon = self.bridled(self.config(places, app))
        address = daemon.address()
        self.await_addresses(places["main"], [address])
        self.await_registered(daemon, "main")
        self.assertEqual(daemon.metric("bridle_registered", registry="other"), 0)
        places["other"].server.resume()
        self.await_addresses(places["other"], [address])
        places["main"].server.kill()
        self.await_registered(daemon, "other")
        time.sleep(TTL + 1)
        self.assertEqual(places["other"].addresses(), [address])

    def test_a_registry_that_is_configured_anew_keeps_the_record(self):
        place, app = InEtcd(self), self.app()
        config = self.config({"main": place}, app)
        daemon = self.bridled(config)
        address = daemon.address()
        self.await_registered(daemon)
        owner, seen, stop = place.owner(address), [], threading.Event()

        def watch():
            while not stop.is_set():
                seen.append(place.addresses())
        thread = threading.Thread(target=watch)
        thread.start()
        try:
            config["registries"]["main"] = dict(place.config, refresh="7s")
            daemon.reload(config)
            eventually(lambda: place.owner(address) not in (owner, None), what="the new owner")
            self.await_registered(daemon)
            time.sleep(1)
        finally:
            stop.set()
            thread.join()
        self.assertEqual([s for s in seen if s != [address]], [])
        time.sleep(TTL + 1)
        self.assertEqual(place.addresses(), [address])

    def test_registries_of_three_kinds_at_once(self):
        places = {"main": InEtcd(self), "other": InZooKeeper(self), "third": InConsul(self)}
        app = self.app()
        daemon = self.bridled(self.config(places, app))
        for name, place in places.items():
            self.await_addresses(place, [daemon.address()])
            self.await_registered(daemon, name)
        self.assertEqual(daemon.metric("bridle_registered"), 3)
        self.assertIn("3 of 3", daemon.ctl("services")[1])
        app.close()
        for place in places.values():
            self.await_addresses(place, [])
        self.app()
        for place in places.values():
            self.await_addresses(place, [daemon.address()])
        daemon.signal(signal.SIGTERM)
        self.assertEqual(daemon.wait(), 0)
        for place in places.values():
            self.assertEqual(place.addresses(), [])

    def test_where_keys_have_no_owners_an_end_is_not_the_end_of_what_comes(self):
        """The registry is configured anew: the old one withdraws what the new one registers."""
        place = InConsul(self)
        config = self.config({"main": place}, self.app())
        daemon = self.bridled(config)
        self.await_registered(daemon)
        config["registries"]["main"] = dict(place.config, refresh="7s")
        daemon.reload(config)
        eventually(lambda: daemon.errors().count("registration: published") == 2,
                   what="the new one's")
        time.sleep(1)
        self.assertEqual(place.addresses(), [daemon.address()])
        self.assertEqual(daemon.metric("bridle_registration_drifts_total"), 0)

    def test_moved_from_one_registry_to_another(self):
        places = {"main": InEtcd(self, "one"), "other": InEtcd(self, "two")}
        config = self.config(places, self.app())
        register = config["services"]["svc"]["register"]
        register["in"] = "main"
        daemon = self.bridled(config)
        self.await_addresses(places["main"], [daemon.address()])
        register["in"] = "other"
        del config["registries"]["main"]
        daemon.reload(config)
        self.await_addresses(places["other"], [daemon.address()])
        self.await_addresses(places["main"], [])


class PollingCaller(threading.Thread):
    """Calls whom the registry lists, as Kitex's clients do: it asks now and then, and believes the
    answer until it asks again."""

    def __init__(self, place, every):
        super().__init__(daemon=True)
        self.place, self.every = place, every
        self.good, self.failures, self.last_good = 0, [], 0
        self.is_over = threading.Event()

    def run(self):
        caller, listed, looked = None, [], 0.0
        while not self.is_over.is_set():
            if time.monotonic() - looked >= self.every:
                listed, looked = self.place.addresses(), time.monotonic()
                if not listed and caller:
                    caller.close()
                    caller = None
            if not listed:
                time.sleep(0.01)
                continue
            try:
                caller = caller or Caller(listed[0])
                caller.call(text="x")
                self.good += 1
                self.last_good = time.monotonic()
            except (OSError, EOFError, AssertionError) as error:
                self.failures.append(repr(error))
                if caller:
                    caller.close()
                caller = None
            time.sleep(0.005)


class Leaving(Registering):
    def leave(self, how):
        place, app = InEtcd(self), self.app()
        daemon = self.bridled(self.config({"main": place}, app,
                                          shutdown={"deregister_wait": "%gs" % WAIT}))
        self.await_registered(daemon)
        polling = PollingCaller(place, 0.5)
        polling.start()
        eventually(lambda: polling.good > 20, what="calls")
        began = time.monotonic()
        how(daemon)
        self.await_addresses(place, [])
        self.assertLess(time.monotonic() - began, allow(WAIT))
        self.assertTrue(daemon.is_alive())
        return daemon, polling, began

    def test_the_record_goes_first_and_no_call_fails(self):
        daemon, polling, began = self.leave(lambda d: d.signal(signal.SIGTERM))
        self.assertEqual(daemon.get("/readyz")[0], 503)
        with self.caller(daemon) as late:  # the doors are open for whoever has not heard yet
            self.assertEqual(late.call(text="late").text, "late")
        self.assertEqual(daemon.wait(), 0)
        took = time.monotonic() - began
        self.assertGreaterEqual(took, WAIT)
        self.assertLess(took, allow(WAIT + 5))
        polling.is_over.set()
        polling.join(PATIENCE)
        self.assertEqual(polling.failures, [])
        self.assertGreater(polling.good, 20)

    def test_a_drain_withdraws_and_goes_on_serving(self):
        daemon, polling, began = self.leave(lambda d: d.get("/drain", "POST"))
        self.assertEqual(daemon.get("/readyz")[0], 503)
        eventually(lambda: "control: draining" in daemon.errors(), what="the drain")
        self.assertGreaterEqual(time.monotonic() - began, WAIT)
        with self.caller(daemon) as late:
            self.assertEqual(late.call(text="late").text, "late")
        time.sleep(2)
        self.assertEqual(self.registered(daemon)["state"], "withdrawn")
        polling.is_over.set()
        polling.join(PATIENCE)
        self.assertEqual(polling.failures, [])
        daemon.signal(signal.SIGTERM)  # the wait is over already
        began = time.monotonic()
        self.assertEqual(daemon.wait(), 0)
        self.assertLess(time.monotonic() - began, allow(WAIT))

    def test_asked_twice_it_is_now(self):
        daemon, polling, began = self.leave(lambda d: d.signal(signal.SIGTERM))
        polling.is_over.set()
        polling.join(PATIENCE)
        daemon.signal(signal.SIGTERM)
        self.assertEqual(daemon.wait(), 0)
        self.assertLess(time.monotonic() - began, allow(WAIT))

    def test_the_time_to_drain_counts_from_then_on(self):
        """A call that never ends holds the daemon up for the wait and then for the drain."""
        place, app = InEtcd(self), self.app(upstream.silent)
        daemon = self.bridled(self.config({"main": place}, app, shutdown={
            "deregister_wait": "%gs" % WAIT, "drain": "2s"}))
        self.await_registered(daemon)
        with self.caller(daemon) as caller:
            caller.send()
            eventually(lambda: app.packets, what="the call")
            began = time.monotonic()
            daemon.signal(signal.SIGTERM)
            self.assertEqual(daemon.wait(), 0)
        took = time.monotonic() - began
        self.assertGreaterEqual(took, WAIT + 2)
        self.assertLess(took, allow(WAIT + 2 + 5))

    def test_quit_takes_the_same_way_without_a_limit(self):
        place, app = InEtcd(self), self.app(upstream.silent)
        daemon = self.bridled(self.config({"main": place}, app, {}, {"timeout": {"call": "6s"}}, {
            "deregister_wait": "1s", "drain": "1s"}))
        self.await_registered(daemon)
        with self.caller(daemon) as caller:
            caller.send()
            eventually(lambda: app.packets, what="the call")
            daemon.signal(signal.SIGQUIT)
            self.await_addresses(place, [])
            eventually(lambda: "control: draining" in daemon.errors(), what="the drain")
            time.sleep(1.5)
            self.assertTrue(daemon.is_alive())
        self.assertEqual(daemon.wait(), 0)

    def test_without_anything_registered_nobody_waits(self):
        place, app = InEtcd(self), self.app()
        config = self.config({"main": place}, app, shutdown={"deregister_wait": "20s"})
        del config["services"]["svc"]["register"]
        daemon = self.bridled(config)
        began = time.monotonic()
        daemon.signal(signal.SIGTERM)
        self.assertEqual(daemon.wait(), 0)
        self.assertLess(time.monotonic() - began, allow(3))

    def test_a_registry_that_is_away_holds_it_up_for_five_seconds_only(self):
        place, app = InEtcd(self), self.app()
        daemon = self.bridled(self.config({"main": place}, app))
        self.await_registered(daemon)
        place.server.pause()
        began = time.monotonic()
        daemon.signal(signal.SIGTERM)
        self.assertEqual(daemon.wait(), 0)
        self.assertLess(time.monotonic() - began, allow(8))
