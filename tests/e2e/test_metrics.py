"""Metrics as a whole: what promtool says of them, and that nothing counted goes back."""

import os
import shutil
import subprocess
import unittest

import sockets
import upstream
import wire
from bridled import REQUIRED, TestCase, eventually, parse_metrics
from consul_stand_in import ConsulStandIn

PROMTOOL = shutil.which("promtool")
# Families that dashboards and alarms rest on; those of Kitex have the names that they have there.
ALWAYS = {
    "kitex_server_throughput", "kitex_server_latency_us", "kitex_client_throughput",
    "kitex_client_latency_us", "bridle_calls_total", "bridle_call_seconds",
    "bridle_attempts_total", "bridle_retries_total", "bridle_retry_budget_exhausted_total",
    "bridle_downstream_connections", "bridle_upstream_connections", "bridle_connect_backlog_total",
    "bridle_endpoints", "bridle_ejections_total", "bridle_breaker_state", "bridle_limited_total",
    "bridle_bytes_total", "bridle_metadata_dropped_total", "bridle_stream_messages_total",
    "bridle_registry_up", "bridle_registered", "bridle_reloads_total", "bridle_config_info",
    "bridle_build_info"}
LABELS = {
    "bridle_calls_total": {"listener", "service", "method", "protocol", "reason"},
    "bridle_call_seconds_count": {"listener", "service", "method"},
    "bridle_attempts_total": {"service", "outcome"},
    "bridle_retries_total": {"service", "kind"},
    "bridle_downstream_connections": {"listener"},
    "bridle_upstream_connections": {"service"},
    "bridle_connect_backlog_total": {"service"},
    "bridle_endpoints": {"service", "state"},
    "bridle_limited_total": {"service", "limit"},
    "bridle_bytes_total": {"direction"},
    "bridle_metadata_dropped_total": {"class"},
    "bridle_stream_messages_total": {"service", "direction"},
    "bridle_registry_up": {"registry"},
    "bridle_registered": {"service", "registry"},
    "bridle_reloads_total": {"result"},
    "bridle_config_info": {"hash"},
    "kitex_client_throughput": {"caller", "callee", "method", "status", "retry"},
    "kitex_server_latency_us_sum": {"caller", "callee", "method", "status", "retry"}}


class Everything(TestCase):
    """A daemon with everything switched on that can be seen in metrics."""

    def config(self, local, far, agent, **services):
        return {
            "node": {"service": "shop.cart", "zone": "a"},
            "registries": {"main": {"type": "consul", "endpoints": [agent.address]}},
            "limits": {"memory": "256MiB", "connections": 1000},
            "shutdown": {"drain": "5s", "spread": "10ms", "deregister_wait": "0s"},
            "listeners": [
                {"name": "in", "address": "127.0.0.1:0", "service": "cart.local"},
                {"name": "any", "address": "unix:" + self.path("any.sock")}],
            "services": {
                "cart.local": {"name": "shop.cart", "endpoints": [local.address],
                               "limit": {"rate": "100000/s", "concurrency": 100},
                               "health": {"type": "tcp", "interval": "100ms"},
                               "register": "main"},
                "shop.price": {"discover": "main", "governance": "main",
                               "breaker": {"error_rate": "50%", "min_samples": 1000},
                               "retry": {"type": "failure", "attempts": 1,
                                         "on": ["connect", "unsent"]},
                               "balance": "peak_ewma"},
                "dead": {"endpoints": ["127.0.0.1:1"], "fallback": {
                    "on": ["any"], "to": {"service": "shop.price"}}},
                **services}}

    def daemon(self):
        agent = ConsulStandIn(self)
        local, far = self.upstream(), self.upstream(upstream.fail)
        agent.put_instance("shop.price", far.address)
        config = self.config(local, far, agent)
        daemon = self.bridled(config)
        near = self.caller(daemon, "framed", "in")
        outward = self.caller(daemon, "ttheader_bare", "any")
        for method in ("Get", 'G"e\\t\n\xfc'):
            near.call(method)
            outward.call(method, ints={wire.TO_SERVICE: "shop.price"})
        eventually(lambda: daemon.metric("bridle_registered"), what="the registration")
        eventually(lambda: daemon.metric("kitex_client_throughput") == 2 and
                   daemon.metric("kitex_server_throughput") == 2, what="the counts")
        return daemon, config

    @unittest.skipUnless(PROMTOOL or REQUIRED, "no promtool")
    def test_promtool_finds_nothing_but_the_names_that_are_kitexs(self):
        daemon, _ = self.daemon()
        done = subprocess.run([PROMTOOL, "check", "metrics"], input=daemon.get("/metrics")[1],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=sockets.PATIENCE, check=False)
        self.assertIn(done.returncode, (0, 3), done.stdout)  # 3: it has got something to say
        self.assertEqual([line for line in done.stdout.splitlines()
                          if not line.startswith("kitex_")], [])

    def test_every_family_is_there_once_with_its_labels(self):
        daemon, _ = self.daemon()
        page = daemon.get("/metrics")[1]
        heads = [line.split(" ")[2] for line in page.splitlines() if line.startswith("# TYPE ")]
        helps = [line.split(" ")[2] for line in page.splitlines() if line.startswith("# HELP ")]
        self.assertEqual(len(heads), len(set(heads)))
        self.assertEqual(heads, helps)
        self.assertEqual(ALWAYS - set(heads) - {"bridle_stream_messages_total"}, set())
        samples = parse_metrics(page)
        for name, labels in LABELS.items():
            with self.subTest(name=name):
                found = [set(have) for n, have, _ in samples if n == name]
                self.assertTrue(found)
                self.assertEqual([have for have in found if have != labels], [])
        self.assertEqual(len(samples), len({(n, tuple(sorted(have.items())))
                                            for n, have, _ in samples}))

    def test_a_call_refused_before_it_was_routed_counts_on_the_side_of_its_listener(self):
        daemon, _ = self.daemon()
        with sockets.connect(daemon.address("in")) as sock:
            sock.sendall(b"neither Thrift nor HTTP/2")
            self.assertTrue(sockets.is_closed(sock))
        eventually(lambda: daemon.metric("kitex_server_throughput", status="error") == 1,
                   what="the refusal among what the listener serves")
        self.assertEqual(daemon.metric("kitex_client_throughput"), 2)

    def test_histograms_add_up(self):
        daemon, _ = self.daemon()
        buckets, counts = {}, {}
        for name, labels, value in parse_metrics(daemon.get("/metrics")[1]):
            edge = labels.pop("le", None)
            key = tuple(sorted(labels.items()))
            if name.endswith("_bucket"):
                buckets.setdefault((name[:-7], key), []).append((edge, value))
            elif name.endswith("_count"):
                counts[name[:-6], key] = value
        self.assertEqual(set(buckets), set(counts))
        edges = {}
        for (name, key), found in buckets.items():
            values = [value for _, value in found]
            self.assertEqual(values, sorted(values))
            self.assertEqual(found[-1], ("+Inf", counts[name, key]))
            edges.setdefault(name, set()).add(tuple(edge for edge, _ in found))
        self.assertEqual({name: len(kinds) for name, kinds in edges.items()},
                         dict.fromkeys(edges, 1))
        self.assertEqual(edges["kitex_client_latency_us"],
                         {("5000", "10000", "25000", "50000", "100000", "250000", "500000",
                           "1000000", "+Inf")})

    def test_nothing_counted_goes_back_or_away_over_reloads(self):
        daemon, config = self.daemon()

        def counters():
            page = daemon.get("/metrics")[1]
            kinds = {line.split(" ")[2]: line.split(" ")[3] for line in page.splitlines()
                     if line.startswith("# TYPE ")}
            return {(name, tuple(sorted(labels.items()))): value
                    for name, labels, value in parse_metrics(page)
                    if kinds.get(name) == "counter" or name.endswith(("_bucket", "_count"))}
        before, services = counters(), dict(config["services"])
        for i in range(4):
            services["added%d" % i] = {"endpoints": ["127.0.0.1:1"]}
            services["cart.local"] = {**services["cart.local"], "timeout": "%ds" % (i + 1)}
            daemon.reload({**config, "services": services})
            after = counters()
            self.assertEqual({key: value for key, value in before.items()
                              if after.get(key, -1) < value}, {})
            before = after
        self.assertEqual(daemon.metric("bridle_reloads_total", result="ok"), 4)

    def test_the_manual_names_every_family(self):
        daemon, _ = self.daemon()
        manual = os.path.join(os.path.dirname(__file__), "..", "..", "man", "bridled.8")
        with open(manual, encoding="utf-8") as file:
            text = file.read()
        families = [line.split(" ")[2] for line in daemon.get("/metrics")[1].splitlines()
                    if line.startswith("# TYPE ")]
        self.assertEqual([name for name in families if name not in text], [])
