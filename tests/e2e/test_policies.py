"""Who gets a call and who gets none: balancing, subsets, limits and breakers, between real ends.

The servers are those of Kitex's own library where they are to be well, and scripted ones where they
are to be ill in a certain way. What happened is taken from the access log and from the metrics.
Attempts, times, ejection and fallbacks are in test_attempts.py.
"""

import collections
import json
import os
import select
import statistics
import threading
import time

import peers
import upstream
import wire
from bridled import eventually
from peers import GOECHO, GOGRPC, HANG, msg, needs
from test_governance import Rules

CALLS = 120


def request(text="hello"):
    """The argument of echo: a struct with the text."""
    inner = wire.string_field(1, text)
    return bytes((wire.STRUCT,)) + b"\0\1" + inner + b"\0\0"


def biz_error(connection, packet):
    """A business error as Kitex's TTHeader carries it: a reply without a result."""
    connection.write(packet.answer(b"\0", strs={"biz-status": "503", "biz-message": "later"}))


def exception(kind):
    def answer(connection, packet):
        connection.write(packet.answer(wire.exception_body(kind, "no", packet.magic),
                                       wire.EXCEPTION))
    return answer


def slow(seconds, behaviour=upstream.echo):
    def answer(connection, packet):
        threading.Timer(seconds, behaviour, (connection, packet)).start()
    return answer


class Policies(Rules):
    daemon = whole = None

    def kitex(self, count):
        return [self.serve(GOECHO, "server", "{}") for _ in range(count)]

    def one(self, endpoints, services=None, **policy):
        """A daemon of one worker in front of svc, after the one before; it logs calls in order."""
        if self.daemon:
            self.daemon.stop()
            os.unlink(self.daemon.access_path)
        listener = {"name": "in", "address": "127.0.0.1:0", "service": "svc"}
        self.whole = {"node": {"service": "test.node", "zone": "az1",
                               "location": {"latitude": 52, "longitude": 13}},
                      "workers": 1, "listeners": [listener],
                      "services": {"svc": {"endpoints": endpoints, **policy}, **(services or {})}}
        self.daemon = self.bridled(self.whole)
        return self.daemon

    def ask(self, caller, text="hello", **meta):
        """The text of the answer, or None when it is an exception."""
        answer = caller.call("echo", body=request(text), **meta)
        return None if answer.exception else answer.fields[0][1].decode()

    def ask_all(self, daemon, calls=CALLS, form="ttheader_framed", each=None):
        """As many calls, one by one, all of which are answered well; where they went, in order."""
        logged = getattr(daemon, "logged", 0)
        with self.caller(daemon, form) as caller:
            for number in range(calls):
                self.assertEqual(self.ask(caller, **(each(number) if each else {})), "hello")
        daemon.logged = logged + calls
        return [line["endpoint"] for line in daemon.access_log(daemon.logged)[logged:]]


# ---- balancing ----

@needs(GOECHO)
class Balancing(Policies):
    def shares(self, balance, weights=(10, 30, 0), calls=CALLS, each=None, **policy):
        addresses = self.kitex(len(weights))
        daemon = self.one([{"address": a, "weight": w} for a, w in zip(addresses, weights)],
                          balance=balance, **policy)
        went = collections.Counter(self.ask_all(daemon, calls, each=each))
        return [went[address] for address in addresses]

    def test_turns_give_each_its_weight(self):
        for balance in ("weighted_round_robin", "interleaved_weighted_round_robin"):
            with self.subTest(balance=balance):
                self.assertEqual(self.shares(balance), [30, 90, 0])
        self.assertEqual(self.shares("round_robin"), [60, 60, 0])

    def test_chance_gives_each_about_its_weight(self):
        for balance, part in (("weighted_random", 1 / 4), ("random", 1 / 2),
                              ("network_quality", 1 / 2)):
            with self.subTest(balance=balance):
                got = self.shares(balance, calls=400)
                self.assertEqual(got[2], 0)
                self.assertAlmostEqual(got[0], 400 * part, delta=70, msg=got)  # seven deviations

    def test_who_has_calls_in_flight_gets_fewer(self):
        """One of two that never answers takes a few calls and no more."""
        for balance in ("least_request", "peak_ewma"):
            with self.subTest(balance=balance):
                stuck, (well,) = self.upstream(upstream.silent), self.kitex(1)
                daemon = self.one([stuck.address, well], balance=balance)
                went = [self.is_answered(daemon, stuck) for _ in range(60)]
                self.assertIn(False, went[:30])
                self.assertLess(went.count(False), 10)
                stuck.close()

    def is_answered(self, daemon, stuck):
        """A call either has its answer or is stuck."""
        before = len(stuck.packets)
        caller = self.caller(daemon)
        caller.send("echo", body=request())

        def came():
            return select.select([caller.sock], [], [], 0)[0] or len(stuck.packets) > before
        eventually(came, what="the call")
        return len(stuck.packets) == before

    def test_the_same_key_goes_to_the_same_endpoint(self):
        def keyed(**made):
            return lambda n: {what: {key: "k%d" % (n % 10)} for what, key in made.items()}
        addresses = self.kitex(4)
        for balance, each in (
                ("consistent_hash", keyed(ints=14)), ("maglev", keyed(ints=24)),
                ({"type": "consistent_hash", "key": "meta.user"}, keyed(strs="RPC_PERSIST_user")),
                ({"type": "maglev", "key": "header.user"}, keyed(strs="user")),
                ({"type": "maglev", "key": "int.stress_tag"}, keyed(ints=21)),
                ({"type": "maglev", "key": "caller"}, keyed(ints=3))):
            with self.subTest(balance=balance):
                homes = []
                for _ in range(2):  # another process finds the same
                    daemon = self.one(addresses, balance=balance)
                    went = self.ask_all(daemon, 40, each=each)
                    self.assertEqual(went, went[:10] * 4)
                    self.assertGreater(len(set(went)), 1)
                    homes.append(went[:10])
                self.assertEqual(homes[0], homes[1])

    def test_by_the_address_and_by_a_field_of_the_argument(self):
        addresses = self.kitex(4)
        daemon = self.one(addresses, balance={"type": "consistent_hash", "key": "source"})
        self.assertEqual(len(set(self.ask_all(daemon, 20))), 1)
        daemon = self.one(addresses, balance={"type": "maglev", "key": "field.1.1"})
        with self.caller(daemon) as caller:
            for number in range(30):
                text = "key %d" % (number % 10)
                self.assertEqual(self.ask(caller, text), text)
        went = [line["endpoint"] for line in daemon.access_log(30)]
        self.assertEqual(went, went[:10] * 3)
        self.assertGreater(len(set(went)), 1)

    def test_calls_without_the_key_are_spread(self):
        addresses = self.kitex(2)
        daemon = self.one(addresses, balance="consistent_hash")
        self.assertEqual(set(self.ask_all(daemon, 60)), set(addresses))

    def test_an_endpoint_that_goes_moves_only_its_own_keys(self):
        addresses = self.kitex(4)

        def each(number):
            return {"ints": {14: "k%d" % number}}
        daemon = self.one(addresses, balance="consistent_hash")
        before = self.ask_all(daemon, 40, each=each)
        daemon = self.one(addresses[:3], balance="consistent_hash")
        after = self.ask_all(daemon, 40, each=each)
        for one, other in zip(before, after):
            if one != addresses[3]:
                self.assertEqual(one, other)

    def test_zones(self):
        near, far, nowhere = self.kitex(3)
        endpoints = [{"address": near, "zone": "az1"}, {"address": far, "zone": "az2"}, nowhere]
        for zone, expected in (("prefer", {near}), ("only", {near}), ("any", {near, far, nowhere})):
            with self.subTest(zone=zone):
                daemon = self.one(endpoints, balance={"zone": zone})
                self.assertEqual(set(self.ask_all(daemon, 12)), expected)
        daemon = self.one(endpoints[1:], balance={"zone": "prefer"})  # none of ours: all
        self.assertEqual(set(self.ask_all(daemon, 12)), {far, nowhere})
        daemon = self.one(endpoints[1:], balance={"zone": "only"})
        with self.caller(daemon) as caller:
            self.assert_refused(caller.call("echo"), "no_endpoint", 6)

    def test_what_our_zone_cannot_take_goes_to_the_others(self):
        dead = "unix:" + self.path("nobody.sock")
        near, far = self.kitex(2)
        daemon = self.one([{"address": near, "zone": "az1"}, {"address": dead, "zone": "az1"},
                           {"address": far, "zone": "az2"}],
                          balance={"zone": "prefer"}, eject={"consecutive": 2, "for": "60s"})
        self.ask_all(daemon, 20)
        went = collections.Counter(self.ask_all(daemon, 40))
        self.assertEqual(went[dead], 0)
        self.assertAlmostEqual(went[far], 20, delta=2)

    def test_to_the_nearest(self):
        places = ("52.37,4.90", "40.71,-74.01")
        for tags in ([{"location": p} for p in places],
                     [dict(zip(("latitude", "longitude"), p.split(","))) for p in places]):
            near, far, unknown = self.kitex(3)
            daemon = self.one([{"address": near, "tags": tags[0]},
                               {"address": far, "tags": tags[1]}, unknown], balance="closest")
            self.assertEqual(set(self.ask_all(daemon, 12)), {near})

    def test_one_that_is_new_starts_slowly(self):
        old, new = self.kitex(2)
        policy = {"balance": {"type": "weighted_round_robin", "slow_start": "10m"}}
        daemon = self.one([old], **policy)
        self.ask_all(daemon, 10)
        self.assertEqual(len(set(self.ask_all(daemon, 10))), 1)
        self.whole["services"]["svc"]["endpoints"].append(new)
        daemon.reload(self.whole)
        went = collections.Counter(self.ask_all(daemon, 400))
        self.assertGreater(went[new], 0)
        self.assertLess(went[new], 120)  # a tenth of its turns, and half of them if it were not new


# ---- subsets and splits ----

@needs(GOECHO)
class Subsets(Policies):
    def lanes(self, **policy):
        self.base, self.gray, self.blue = self.kitex(3)
        endpoints = [self.base, {"address": self.gray, "tags": {"lane": "gray"}},
                     {"address": self.blue, "tags": {"lane": "blue"}}]
        return self.one(endpoints, **policy)

    def to(self, daemon, env=None, calls=6):
        strs = {"RPC_TRANSIT_ENV": env} if env is not None else {}
        return set(self.ask_all(daemon, calls, each=lambda _: {"strs": strs}))

    def test_calls_stay_in_their_lane(self):
        for fallback, others in (("base", "base"), ("any", "all"), ("none", None)):
            with self.subTest(fallback=fallback):
                daemon = self.lanes(subset_by={"tag": "lane", "key": "meta.env",
                                               "fallback": fallback})
                others = {"base": {self.base}, "all": {self.base, self.gray, self.blue},
                          None: None}[others]
                self.assertEqual(self.to(daemon, "gray"), {self.gray})
                self.assertEqual(self.to(daemon, "blue"), {self.blue})
                if others:
                    self.assertEqual(self.to(daemon, "red"), others)
                    self.assertEqual(self.to(daemon), others)
                else:
                    with self.caller(daemon, "ttheader_framed") as caller:
                        answer = caller.call("echo", strs={"RPC_TRANSIT_ENV": "red"})
                        self.assert_refused(answer, "no_endpoint", 6)

    SUBSETS = {"gray": {"lane": "gray"}, "blue": {"lane": "blue"}, "rest": {"lane": ""},
               "nobody": {"lane": "green"}}

    def test_a_split_has_the_shares_it_says(self):
        daemon = self.lanes(subset_by={"tag": "lane", "key": "meta.env"}, subsets=self.SUBSETS,
                            routes=[{"split": {"base": 75, "gray": 25}}])
        went = collections.Counter(self.ask_all(daemon, 400))
        self.assertEqual(set(went), {self.base, self.gray})
        self.assertAlmostEqual(went[self.gray], 100, delta=61)  # seven deviations

    def test_a_sticky_split_keeps_each_where_it_is(self):
        daemon = self.lanes(subsets=self.SUBSETS,
                            routes=[{"split": {"rest": 1, "blue": 1}, "sticky": "meta.user"}])
        went = self.ask_all(daemon, 60, each=lambda n: {
            "strs": {"RPC_PERSIST_USER": "user %d" % (n % 20)}})
        self.assertEqual(went, went[:20] * 3)
        self.assertEqual(set(went), {self.base, self.blue})

    def test_a_route_for_a_share_of_the_calls(self):
        daemon = self.lanes(subsets=self.SUBSETS, routes=[
            {"match": {"percent": "25%", "caller": {"prefix": "shop."}}, "to": "gray"},
            {"to": "rest"}])
        went = collections.Counter(self.ask_all(daemon, 400, each=lambda _: {
            "ints": {3: "shop.cart"}}))
        self.assertAlmostEqual(went[self.gray], 100, delta=61)  # seven deviations
        self.assertEqual(set(went), {self.gray, self.base})
        self.assertEqual(self.to(daemon), {self.base})

    def test_an_empty_subset(self):
        routes = [{"match": {"int.env": "any"}, "to": "nobody", "fallback": "any"},
                  {"match": {"int.env": "gray"}, "to": "nobody", "fallback": "gray"},
                  {"match": {"int.env": "none"}, "to": "nobody"}]
        daemon = self.lanes(subsets=self.SUBSETS, routes=routes)
        for env, expected in (("any", {self.base, self.gray, self.blue}), ("gray", {self.gray})):
            went = self.ask_all(daemon, 12, each=lambda _, env=env: {"ints": {10: env}})
            self.assertEqual(set(went), expected)
        with self.caller(daemon, "ttheader_framed") as caller:
            answer = caller.call("echo", ints={10: "none"})
            self.assert_refused(answer, "no_endpoint", 6)
            self.assertIn("routes[2]", answer.exception[1])  # it says which


# ---- limits and breakers ----

class Refusals(Policies):
    def ask_as(self, caller, name, count, method="Echo"):
        """How many of so many calls of somebody were answered well; the others' reasons."""
        good, reasons = 0, collections.Counter()
        for _ in range(count):
            answer = caller.call(method, ints={3: name} if name else {})
            if answer.exception is None:
                good += 1
            else:
                reasons[answer.exception[1].split(": ")[1]] += 1
        return good, dict(reasons)

    def test_each_caller_and_each_method_has_a_limit_of_its_own(self):
        for by, ask in (("caller", lambda c, who: self.ask_as(c, who, 10)),
                        ("method", lambda c, who: self.ask_as(c, "same", 10, who))):
            with self.subTest(by=by):
                daemon = self.one([self.upstream().address],
                                  limit={"rate": "1/h", "burst": 4, "by": by})
                with self.caller(daemon, "ttheader_framed") as caller:
                    for who in ("a", "b", "c"):
                        self.assertEqual(ask(caller, who), (4, {"rate_limited": 6}))
                    self.assertEqual(ask(caller, "b"), (0, {"rate_limited": 10}))
                self.assert_metric(daemon, 28, "bridle_limited_total", service="svc",
                                   limit="services.svc.limit")

    def test_a_call_has_to_be_within_all_of_them(self):
        """The one of the service counts all calls, the one of a method its own in addition."""
        daemon = self.one([self.upstream().address], limit={"rate": "1/h", "burst": 5}, methods={
            "Few": {"limit": {"rate": "1/h", "burst": 2}}, "Free": {"limit": "none"}})
        with self.caller(daemon, "ttheader_framed") as caller:
            self.assertEqual(self.ask_as(caller, "", 4, "Few"), (2, {"rate_limited": 2}))
            self.assertEqual(self.ask_as(caller, "", 4), (3, {"rate_limited": 1}))
            self.assertEqual(self.ask_as(caller, "", 4, "Free"), (4, {}))

    def test_those_of_the_defaults_are_one_for_each_service(self):
        daemon = self.bridled({
            "node": {"service": "test.node"}, "workers": 1,
            "defaults": {"limit": {"rate": "1/h", "burst": 2}},
            "listeners": [{"name": n, "address": "127.0.0.1:0", "service": n} for n in "abc"],
            "services": {"a": {"endpoints": [self.upstream().address]},
                         "b": {"endpoints": [self.upstream().address]},
                         "c": {"endpoints": [self.upstream().address],
                               "limit": {"rate": "1/h", "burst": 3}}}})
        for listener, good in (("a", 2), ("b", 2), ("c", 3)):
            with self.caller(daemon, "ttheader_framed", listener) as caller:
                self.assertEqual(self.ask_as(caller, "", 5), (good, {"rate_limited": 5 - good}))

    def test_a_rate_is_never_over_by_more_than_one(self):
        daemon = self.one([self.upstream().address], limit={"rate": "150/s", "burst": 10})
        times = []
        with self.caller(daemon) as caller:
            began = time.monotonic()
            while time.monotonic() - began < 2.5:
                if caller.call("Echo").exception is None:
                    times.append(time.monotonic() - began)
        for first in range(0, len(times), 7):  # over any span
            for last in range(first, len(times), 11):
                span = times[last] - times[first]
                self.assertLessEqual(last - first + 1, 150 * (span + 0.02) + 10 + 1)
        self.assertLessEqual(len(times), 150 * 2.5 + 10 + 1)

    def test_a_caller_beyond_its_share_leaves_the_others_theirs(self):
        """One asks ten times its share; the four others stay within theirs."""
        daemon = self.one([self.upstream().address], limit={
            "rate": "250/s", "burst": 25, "share": "equal"}, balance="round_robin")
        share, seconds, got = 250 / 5, 3.0, {}

        def paced(name, rate):
            good = asked = 0
            with self.caller(daemon, "ttheader_framed") as caller:
                due = time.monotonic()
                end = due + seconds
                while (now := time.monotonic()) < end:
                    time.sleep(max(0, due - now))
                    due = max(due, now) + 1 / rate  # who was held up does not make up for it
                    asked += 1
                    good += caller.call("Echo", ints={3: name}).exception is None
            got[name] = good, asked
        rates = {"meek %d" % n: share * 0.95 for n in range(4)}
        rates["greedy"] = share * 10
        threads = [threading.Thread(target=paced, args=rate) for rate in rates.items()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for name, (good, asked) in got.items():
            if name != "greedy":
                self.assertGreaterEqual(good, 0.95 * asked, got)
        self.assertLess(got["greedy"][0], got["greedy"][1], got)

    def test_a_caller_with_many_calls_leaves_the_others_a_place(self):
        daemon = self.one([self.upstream(slow(0.01)).address], limit={
            "concurrency": 4, "queue": {"length": 40, "wait": "10s"}, "share": "equal"})
        stop = threading.Event()

        def greedy():
            with self.caller(daemon, "ttheader_framed") as caller:
                while not stop.is_set():
                    caller.call("Echo", ints={3: "greedy"})
        threads = [threading.Thread(target=greedy) for _ in range(24)]
        for thread in threads:
            thread.start()
        with self.caller(daemon, "ttheader_framed") as caller:
            for _ in range(20):
                self.assertIsNone(caller.call("Echo", ints={3: "meek"}).exception)
        stop.set()
        for thread in threads:
            thread.join()
        with open(daemon.access_path, encoding="utf-8") as file:
            lines = [json.loads(line) for line in file]
        meek, eager = (statistics.median(line["us"]["queue"] for line in lines
                                         if line["caller"] == who) for who in ("meek", "greedy"))
        self.assertLess(meek, eager / 2)

    def test_a_breaker_for_each_method(self):
        def moody(connection, packet):
            (exception(6) if packet.method == "Bad" else upstream.echo)(connection, packet)
        daemon = self.one([self.upstream(moody).address], breaker={
            "by": "method", "min_samples": 4, "open": "60s", "window": "60s"})
        with self.caller(daemon, "ttheader_framed") as caller:
            for _ in range(4):
                self.assertEqual(caller.call("Bad").exception, (6, "no"))
            self.assert_refused(caller.call("Bad"), "breaker_open", 6)
            self.assertEqual(self.ask_as(caller, "", 10), (10, {}))
        self.assertEqual(daemon.get_json("/services/svc")["breaker"], "open")  # the worst

    def test_business_errors_are_successes_of_a_breaker(self):
        daemon = self.one([self.upstream(biz_error).address],
                          breaker={"min_samples": 2, "open": "60s", "window": "60s"})
        with self.caller(daemon, "ttheader_framed") as caller:
            for _ in range(10):
                caller.call("Echo")
        self.assertEqual({line["reason"] for line in daemon.access_log(10)}, {"biz_error"})
        self.assertEqual(daemon.get_json("/services/svc")["breaker"], "closed")

    def test_what_is_refused_here_does_not_count_for_a_breaker(self):
        daemon = self.one([self.upstream().address], limit={"rate": "1/h", "burst": 1},
                          breaker={"min_samples": 2, "open": "60s", "window": "60s"})
        with self.caller(daemon, "ttheader_framed") as caller:
            self.assertEqual(self.ask_as(caller, "", 10), (1, {"rate_limited": 9}))
        self.assertEqual(daemon.get_json("/services/svc")["breaker"], "closed")

    @needs(GOGRPC)
    def test_a_stream_holds_its_place_until_it_ends(self):
        server = self.server(GOGRPC, "server", "{}")
        daemon = self.one([server.address], protocol="grpc", limit={"concurrency": 1})
        calling = self.begin(daemon)
        server.await_said("began %s none" % HANG)
        out = self.grpc(daemon)
        self.assertEqual(out.code, 8, out.text)
        self.assertTrue(out.text.startswith("bridled: concurrency_limited: "), out.text)
        calling.stop()
        eventually(lambda: self.grpc(daemon).code == 0, what="a place")
        server.await_said("ended %s 1" % HANG)

    def begin(self, daemon):
        calling = peers.Calling(daemon.address(), HANG, [msg("x")])
        self.addCleanup(calling.stop)
        return calling
