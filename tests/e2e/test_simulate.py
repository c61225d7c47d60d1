"""bridlectl simulate: what it prints, and that calls through the daemon spread as it says."""

import json
import os
import re
import subprocess

import upstream
from bridled import CTL, TOP, TestCase

DONE, FAILED = 0, 1
EXAMPLE = os.path.join(TOP, "conf", "simulate.yaml")
WEIGHTS = (10, 20, 30, 40)
CALLS, BATCH = 6000, 50
CALLS_AT_RANDOM = 24000  # so that the difference allowed is more than four deviations
WITHIN = 0.02


def simulate(*words):
    done = subprocess.run([CTL, "simulate", *words], stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.PIPE, timeout=120, check=False)
    return done.returncode, done.stdout, done.stderr


class Plans(TestCase):
    def plan(self, text, name="plan.yaml"):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        return self.path(name)

    def test_the_example_plays_and_always_alike(self):
        status, said, complaint = simulate(EXAMPLE)
        self.assertEqual((status, complaint), (DONE, ""))
        self.assertRegex(said, r"^shop\.price/Quote, \d+ calls, seed 1\n")
        for address in re.findall(r'"(10\.0\.0\.\d:8888)"', open(EXAMPLE, encoding="utf-8").read()):
            self.assertIn(address, said)
        self.assertEqual(simulate(EXAMPLE), (DONE, said, ""))
        found = json.loads(simulate("--json", EXAMPLE)[1])
        self.assertEqual(sum(found["outcomes"].values()), found["calls"])
        self.assertAlmostEqual(sum(one["share"] for one in found["endpoints"]), 1, places=4)
        self.assertEqual([one["ejections"] > 0 for one in found["endpoints"]],
                         [False, False, True, False])

    def test_a_configuration_can_be_played_as_it_is(self):
        self.plan(json.dumps({
            "listeners": [{"name": "in", "address": "127.0.0.1:1", "service": "svc"}],
            "services": {"svc": {"endpoints": ["10.0.0.1:1", "10.0.0.2:1"],
                                 "limit": {"rate": "50/s"}}}}), "bridled.yaml")
        status, said, complaint = simulate("--json", self.plan(
            "config: bridled.yaml\ncall: svc/Get\nrate: 100/s\nduration: 10s\n"
            "endpoints: {\"*\": {latency: 3ms}}\n"))
        self.assertEqual((status, complaint), (DONE, ""))
        found = json.loads(said)
        self.assertEqual(found["latency_us"]["max"], 3000)
        self.assertAlmostEqual(found["outcomes"]["ok"], 500, delta=20)
        self.assertGreater(found["outcomes"]["rate_limited"], 400)

    def test_what_is_wrong_is_said_with_its_place(self):
        for text, complaint in (
                ("call: svc/Get\nrate: 5\nservice: {}\nendpoints: {\"1.1.1.1:1\": {}}\n",
                 "plan.yaml:2:7: error: rate: "),
                ("call: svc/Get\nrate: 5/s\nservice:\n  balance: best\n"
                 "endpoints: {\"1.1.1.1:1\": {}}\n",
                 "plan.yaml:4:12: error: services.svc.balance"),
                ("call: svc/Get\nrate: 5/s\nconfig: none.yaml\nendpoints: {\"1.1.1.1:1\": {}}\n",
                 "none.yaml")):
            status, said, got = simulate(self.plan(text))
            self.assertEqual((status, said), (FAILED, ""), text)
            self.assertIn(complaint, got)
        self.assertEqual(simulate(self.path("nowhere.yaml"))[0], FAILED)


class Live(TestCase):
    def live_shares(self, balance, services):
        calls = CALLS_AT_RANDOM if balance == "weighted_random" else CALLS
        daemon = self.pinned([{"address": s.address, "weight": w}
                              for s, w in zip(services, WEIGHTS)],
                             config={"workers": 1}, balance=balance)
        with self.caller(daemon) as caller:
            for _ in range(calls // BATCH):
                for _ in range(BATCH):
                    caller.send(text="hi")
                for _ in range(BATCH):
                    self.assertEqual(caller.receive().text, "hi")
        self.assert_metric(daemon, calls, "bridle_calls_total", reason="ok")
        got = {one["address"]: one["calls_total"] for one in daemon.ctl_json("endpoints", "svc")}
        daemon.stop()
        return [got[s.address] / calls for s in services]

    def simulated_shares(self, balance, services):
        with open(self.path("plan.yaml"), "w", encoding="utf-8") as file:
            json.dump({"call": "svc/Echo", "rate": "1000/s", "duration": "30s",
                       "service": {"balance": balance},
                       "endpoints": {s.address: {"latency": "10us", "weight": w}
                                     for s, w in zip(services, WEIGHTS)}}, file)
        status, said, complaint = simulate("--json", self.path("plan.yaml"))
        self.assertEqual((status, complaint), (DONE, ""))
        shares = {one["address"]: one["share"] for one in json.loads(said)["endpoints"]}
        return [shares[s.address] for s in services]

    def test_calls_spread_as_simulated(self):
        services = [self.upstream(upstream.echo) for _ in WEIGHTS]
        for balance in ("weighted_round_robin", "interleaved_weighted_round_robin", "round_robin",
                        "weighted_random", "least_request"):
            with self.subTest(balance=balance):
                live = self.live_shares(balance, services)
                simulated = self.simulated_shares(balance, services)
                for one, other in zip(live, simulated):
                    self.assertAlmostEqual(one, other, delta=WITHIN, msg=(live, simulated))
