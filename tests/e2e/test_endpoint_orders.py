"""Orders about endpoints: disabled, enabled, weighed, by hand and while calls go on."""

import json
import os
import threading

import registries
from bridled import TestCase, UnixHTTP, eventually
from peers import BOTH, GOGRPC, UNAVAILABLE, Grpc, msg, needs
from sockets import PATIENCE
from test_operation import Load


class Orders(TestCase):
    def several(self, count=2, **more):
        services = [self.upstream() for _ in range(count)]
        return services, self.pinned(services, **more)

    def order(self, daemon, verb, **body):
        """The answer of the admin socket: status, document."""
        connection = UnixHTTP(daemon.admin_path)
        try:
            connection.request("POST", "/endpoints/" + verb, json.dumps(body))
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def obeyed(self, daemon, verb, **body):
        status, said = self.order(daemon, verb, **body)
        self.assertEqual((status, said["ok"]), (200, True), said)
        return said

    def endpoint(self, daemon, service, label="svc"):
        for one in daemon.get_json("/services/" + label)["endpoints"]:
            if one["address"] == service.address:
                return one
        raise AssertionError("no endpoint " + service.address)

    def spread(self, daemon, services, calls=20):
        """How many of so many calls each of them gets."""
        before = [len(s.packets) for s in services]
        with self.caller(daemon) as caller:
            for _ in range(calls):
                self.assertIsNone(caller.call().exception)
        return [len(s.packets) - b for s, b in zip(services, before)]

    def assert_spread(self, daemon, services, expected):
        """Workers hear of an order a moment after its answer."""
        eventually(lambda: self.spread(daemon, services, sum(expected)) == expected,
                   what="the spread %s" % expected)


class Disabled(Orders):
    def test_it_gets_no_calls_until_it_is_enabled(self):
        services, daemon = self.several()
        first, second = services
        self.assertEqual(self.spread(daemon, services), [10, 10])
        status, said, _ = daemon.ctl("disable", first.address)
        self.assertEqual((status, said), (
            0, "%s of svc is disabled: it gets no new calls\n" % first.address))
        self.assert_spread(daemon, services, [0, 20])
        self.assertTrue(self.endpoint(daemon, first)["disabled"])
        self.assertFalse(self.endpoint(daemon, second)["disabled"])
        status, said, _ = daemon.ctl("enable", first.address)
        self.assertEqual((status, said), (0, "%s of svc is enabled, weight 10\n" % first.address))
        self.assert_spread(daemon, services, [10, 10])
        for said in ("disabled by an operator", "enabled by an operator"):
            eventually(lambda s=said: " endpoint: %s endpoint=" % s in daemon.errors(), what=said)

    def test_its_connections_end_with_their_calls(self):
        services, daemon = self.several()
        self.spread(daemon, services)
        eventually(lambda: len(services[0].open) > 0)
        self.obeyed(daemon, "disable", address=services[0].address)
        eventually(lambda: not services[0].open, what="the end of idle connections")
        self.assertTrue(services[1].open)
        eventually(lambda: self.endpoint(daemon, services[0])["connections"] == 0,
                   what="that none is counted")

    def test_calls_that_run_on_it_end_well(self):
        go_on = threading.Event()

        def late(connection, packet):
            go_on.wait(PATIENCE)
            connection.answer(packet)
        slow, fast = self.upstream(late), self.upstream()
        daemon = self.pinned([slow, fast])
        callers = [self.caller(daemon) for _ in range(4)]
        for caller in callers:
            caller.send("Echo", "hi")
        eventually(lambda: len(slow.packets) == 2, what="two calls")
        self.obeyed(daemon, "disable", address=slow.address)
        self.assert_spread(daemon, [slow, fast], [0, 10])
        self.assertEqual(len(slow.open), 2)
        go_on.set()
        for caller in callers:
            self.assertEqual(caller.receive().text, "hi")
        eventually(lambda: not slow.open, what="the end of its connections")
        self.assertEqual(len(slow.packets), 2)

    def test_under_load_no_call_fails(self):
        services, daemon = self.several(3)
        with Load(daemon.address()) as load:
            for _ in range(10):
                for service in services[:2]:
                    self.obeyed(daemon, "disable", address=service.address)
                    eventually(lambda s=service: not s.open, what="the end of connections")
                    service.drop_connections()  # none is there that anybody would miss
                    self.obeyed(daemon, "enable", address=service.address)
                enough = load.calls + 6
                eventually(lambda n=enough: load.calls >= n, what="calls after it")
        self.assertEqual(load.failed, [])
        self.assertGreater(load.calls, 50)

    def test_multiplexed_connections_end_after_their_calls(self):
        services, daemon = self.several(protocol="ttheader", multiplex=True)
        self.spread(daemon, services)
        self.obeyed(daemon, "disable", address=services[0].address)
        eventually(lambda: not services[0].open, what="the end of the shared connection")
        self.assert_spread(daemon, services, [0, 20])

    def test_with_all_disabled_calls_are_refused_in_words(self):
        services, daemon = self.several()
        self.obeyed(daemon, "disable", address=services[0].address)
        said = self.obeyed(daemon, "disable", address=services[1].address)
        self.assertEqual(said["without"], ["svc"])
        with self.caller(daemon) as caller:
            eventually(lambda: caller.call().exception, what="the refusal")
            answer = caller.call()
        self.assert_refused(answer, "no_endpoint")
        self.assertIn("every endpoint of it is disabled by an operator", answer.exception[1])
        explained = daemon.ctl_json("explain", "svc/Echo")
        self.assertEqual(explained["reason"], "no_endpoint")
        self.assertIsNone(explained["pick"])

    def test_explain_says_why_it_is_not_picked(self):
        services, daemon = self.several()
        self.obeyed(daemon, "disable", address=services[0].address)
        explained = daemon.ctl_json("explain", "svc/Echo")
        why = {c["address"]: c["why"] for c in explained["candidates"]}
        self.assertEqual(why[services[0].address], "disabled by an operator")
        self.assertIsNone(why[services[1].address])
        self.assertEqual(explained["pick"], services[1].address)

    def test_retries_do_not_go_there(self):
        """Nor those of calls that began before."""
        go_on = threading.Event()

        def late_reset(connection, packet):
            if packet.method != "Late":
                connection.answer(packet)
                return
            go_on.wait(PATIENCE)
            connection.reset()
        first, second = self.upstream(late_reset), self.upstream(late_reset)
        daemon = self.pinned([first, second], config={"workers": 1}, balance="round_robin",
                             retry={"attempts": 2, "on": ["reset"], "budget": "none"},
                             methods={"*": {"idempotent": True}})
        with self.caller(daemon) as caller:
            caller.send("Late", "hi")
            eventually(lambda: first.packets or second.packets)
            it, other = (first, second) if first.packets else (second, first)
            self.obeyed(daemon, "disable", address=other.address)
            self.assert_spread(daemon, [it, other], [4, 0])
            go_on.set()
            self.assertIsNotNone(caller.receive().exception)
        self.assertEqual([p for p in other.packets if p.method == "Late"], [])


class Published(Orders):
    def test_an_application_that_is_disabled_is_withdrawn(self):
        etcd = registries.Etcd(self).start()
        app = self.upstream()
        daemon = self.bridled({
            "registries": {"main": {"type": "etcd", "endpoints": [etcd.address]}},
            "listeners": [{"name": "in", "address": "127.0.0.1:0", "service": "svc"}],
            "services": {"svc": {"name": "demo.svc", "endpoints": [app.address],
                                 "register": {"in": ["main"], "ttl": "5s"}}}})
        places = registries.Kitex(etcd)
        eventually(lambda: places.addresses("demo.svc"), what="the registration")
        self.obeyed(daemon, "disable", address=app.address)
        eventually(lambda: not places.addresses("demo.svc"), what="the withdrawal")
        (registered,) = daemon.get_json("/services/svc")["registered"]
        self.assertEqual((registered["ready"], registered["why"]), (
            False, "every endpoint of the application is disabled by an operator"))
        self.obeyed(daemon, "enable", address=app.address)
        eventually(lambda: places.addresses("demo.svc"), what="the registration")


@needs(GOGRPC)
class Streams(Grpc, Orders):
    def test_a_stream_lives_on_to_its_end(self):
        service, daemon = self.both()
        calling = self.begin(daemon, BOTH, [msg("hello", i) for i in range(20)], ping_pong=True,
                             pause_ms=100)
        eventually(lambda: self.endpoint(daemon, service)["in_flight"] == 1, what="the stream")
        self.obeyed(daemon, "disable", address=service.address)

        def refused():
            (out,) = self.calls(daemon)
            return out.code == UNAVAILABLE and out
        self.assertIn("disabled by an operator", eventually(refused, what="the refusal").text)
        (out,) = calling.outcomes()
        self.assertEqual((out.code, len(out.messages)), (0, 20), out.text)
        eventually(lambda: self.endpoint(daemon, service)["connections"] == 0,
                   what="the end of its connection")


class Weights(Orders):
    def test_a_weight_of_its_own_and_back(self):
        services, daemon = self.several()
        status, said, _ = daemon.ctl("weight", services[0].address, "40")
        self.assertEqual((status, said), (0, "%s of svc is enabled, weight 40\n" %
                                          services[0].address))
        self.assert_spread(daemon, services, [16, 4])
        one = self.endpoint(daemon, services[0])
        self.assertEqual((one["weight"], one["weight_ordered"], one["weight_found"]), (40, 40, 10))
        self.assertNotIn("weight_ordered", self.endpoint(daemon, services[1]))
        self.assertIn("weight 40 for 10", daemon.ctl("endpoints", "svc")[1])
        daemon.ctl("weight", services[0].address, "default")
        self.assert_spread(daemon, services, [10, 10])
        self.assertNotIn("weight_ordered", self.endpoint(daemon, services[0]))

    def test_weight_0_gets_nothing(self):
        services, daemon = self.several()
        self.obeyed(daemon, "weight", address=services[0].address, weight=0)
        self.assert_spread(daemon, services, [0, 20])

    def test_what_is_no_weight(self):
        services, daemon = self.several()
        for weight in (-1, 1.5, 1e7, "2", True, [], 1e300):
            with self.subTest(weight=weight):
                status, said = self.order(daemon, "weight", address=services[0].address,
                                          weight=weight)
                self.assertEqual((status, said["ok"]), (400, False))
                self.assertIn("weight: ", said["error"])
        self.assertEqual(self.order(daemon, "weight", address=services[0].address)[0], 400)
        self.assertEqual(daemon.ctl("weight", services[0].address, "much")[0], 2)


class Standing(Orders):
    def config(self, services, **more):
        return {"listeners": [{"name": "in", "address": "127.0.0.1:0", "service": "svc"}],
                "services": {"svc": {"endpoints": [s.address for s in services], **more},
                             "other": {"endpoints": [s.address for s in services]}}}

    def test_orders_outlive_reloads(self):
        services = [self.upstream() for _ in range(3)]
        daemon = self.bridled(self.config(services[:2]))
        self.obeyed(daemon, "disable", address=services[0].address, service="svc")
        self.obeyed(daemon, "weight", address=services[1].address, weight=30)
        daemon.reload(self.config(services, timeout={"call": "9s"}))
        self.assertTrue(self.endpoint(daemon, services[0])["disabled"])
        self.assertFalse(self.endpoint(daemon, services[0], "other")["disabled"])
        self.assertEqual(self.endpoint(daemon, services[1])["weight"], 30)
        self.assert_spread(daemon, services, [0, 15, 5])
        # Gone from the file and back again.
        daemon.reload(self.config(services[1:]))
        daemon.reload(self.config(services))
        self.assertTrue(self.endpoint(daemon, services[0])["disabled"])
        # Also when the endpoint is not there, an order can be taken back.
        daemon.reload(self.config(services[1:]))
        self.obeyed(daemon, "enable", address=services[0].address)
        daemon.reload(self.config(services))
        self.assertFalse(self.endpoint(daemon, services[0])["disabled"])

    def test_one_service_or_all(self):
        services = [self.upstream(), self.upstream()]
        daemon = self.bridled(self.config(services))
        address = services[0].address

        def disabled():
            return [self.endpoint(daemon, services[0], label)["disabled"]
                    for label in ("svc", "other")]
        self.obeyed(daemon, "disable", address=address)
        self.assertEqual(disabled(), [True, True])
        self.obeyed(daemon, "enable", address=address, service="other")
        self.assertEqual(disabled(), [True, False])
        self.obeyed(daemon, "disable", address=address)
        self.assertEqual(disabled(), [True, True])
        self.obeyed(daemon, "enable", address=address)
        self.assertEqual(disabled(), [False, False])

    def test_what_a_registry_says_does_not_end_an_order(self):
        services = [self.upstream() for _ in range(3)]
        document = self.path("found.json")

        def write(found, weight=10):
            with open(document + ".new", "w", encoding="utf-8") as file:
                json.dump({"svc": [{"address": s.address, "weight": weight} for s in found]}, file)
            os.rename(document + ".new", document)
        write(services[:2])
        daemon = self.bridled({
            "registries": {"here": {"type": "file", "path": document}},
            "listeners": [{"name": "in", "address": "127.0.0.1:0", "service": "svc"}],
            "services": {"svc": {"discover": {"from": "here"}}}})
        self.obeyed(daemon, "disable", address=services[0].address)
        self.obeyed(daemon, "weight", address=services[1].address, weight=20)
        write(services, weight=5)
        eventually(lambda: len(daemon.get_json("/services/svc")["endpoints"]) == 3)
        self.assertTrue(self.endpoint(daemon, services[0])["disabled"])
        one = self.endpoint(daemon, services[1])
        self.assertEqual((one["weight"], one["weight_found"]), (20, 5))
        self.assert_spread(daemon, services, [0, 16, 4])


class Refused(Orders):
    def test_nobody_has_that_address(self):
        services, daemon = self.several()
        status, said, complaint = daemon.ctl("disable", "127.0.0.1:1")
        self.assertEqual((status, said), (1, ""))
        self.assertIn("no service has an endpoint 127.0.0.1:1", complaint)
        status, said = self.order(daemon, "disable", address=services[0].address[:-1] + "x")
        self.assertEqual(status, 400)
        wrong = services[0].address[:-1] + ("1" if services[0].address[-1] != "1" else "2")
        if wrong != services[1].address:
            status, said = self.order(daemon, "disable", address=wrong)
            self.assertEqual(status, 404)
            self.assertIn("did you mean 127.0.0.1:", said["error"])

    def test_no_service_has_that_label(self):
        services, daemon = self.several()
        status, said = self.order(daemon, "disable", address=services[0].address, service="svd")
        self.assertEqual(status, 404)
        self.assertEqual(said["error"], "no service has the label svd; did you mean svc?")

    def test_bodies_that_make_no_sense(self):
        services, daemon = self.several()
        for body in ("", "[]", "{", '{"address": 7}', '{"address": ""}', '{"addr": "x"}',
                     json.dumps({"address": services[0].address, "service": 1}),
                     json.dumps({"address": services[0].address, "service": ""})):
            with self.subTest(body=body):
                connection = UnixHTTP(daemon.admin_path)
                connection.request("POST", "/endpoints/disable", body)
                answer = connection.getresponse()
                said = json.loads(answer.read())
                connection.close()
                self.assertEqual((answer.status, said["ok"]), (400, False), said)

    def test_words_on_the_command_line(self):
        _, daemon = self.several()
        for words in (("disable",), ("disable", "a", "b", "c"), ("enable",), ("weight", "a"),
                      ("weight", "a", "1", "b", "c")):
            with self.subTest(words=words):
                self.assertEqual(daemon.ctl(*words)[0], 2)
