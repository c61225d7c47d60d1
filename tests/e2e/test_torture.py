"""What no operator should do, done to a daemon under load: nobody who calls may notice more of it than
the manual says.

$BRIDLE_TORTURE_ROUNDS scales all counts in percent, $BRIDLE_TORTURE_SEED makes other choices.
"""

import json
import os
import random
import re
import signal
import subprocess
import threading
import time

import sockets
import upgrading
import upstream
from bridled import BINARY, IS_SANITIZED, NOT_ALLOWED, Bridled, TestCase, allow, eventually
from consul_stand_in import ConsulStandIn
from loads import Calls, Clients, GoGrpc, all_of
from peers import GOECHO, GOGRPC, VOLO_CLIENT, VOLO_SERVER, Peers
from test_reload import Changing

SHARE = int(os.environ.get("BRIDLE_TORTURE_ROUNDS", "100")) / 100
SEED = int(os.environ.get("BRIDLE_TORTURE_SEED", "1"))
START_SECONDS = 0.2
STOPPED_SECONDS = 3


def rounds(n):
    return max(1, int(n * SHARE))


class Mutations:
    """Of a text: seldom right, often nearly so, sometimes malicious."""

    BOMBS = (b"a: &a [x, x]\nb: &b [*a, *a, *a]\nc: [*b, *b, *b, *b]\n", b"&a [*a]\n",
             b"[" * 5000, b"{a: " * 200, b"\0", b"\xff\xfe", b"\t\t- x\n", b"!!python/object:os.x {}\n",
             b"%YAML 9.9\n---\n", b"<<: {services: {}}\n", b"---\na: b\n---\nc: d\n", b"? [a]\n: b\n",
             b"'", b'"\\x', b"|\n  " + b"x" * 100000 + b"\n", b"\xef\xbb\xbf", b"*\n", b"- " * 500,
             b"services: {svc: {endpoints: [\"127.0.0.1:1\"]}}\n")
    VALUES = (b"-1", b"18446744073709551616", b"1e999", b".nan", b"~", b"0", b"''", b"[]", b"{}",
              b"none", b"yes", b"99999999999h", b"100000%", b"${NOBODY}", b"${HOME:-}", b"\xc3\x28")

    def __init__(self, text, seed):
        self.text, self.random = text, random.Random(seed)

    def flip(self, data):
        for _ in range(self.random.randrange(1, 5)):
            data[self.random.randrange(len(data))] ^= 1 << self.random.randrange(8)
        return data

    def cut(self, data):
        return data[:self.random.randrange(len(data))]

    def swap(self, data):
        lines = data.split(b"\n")
        i, j = (self.random.randrange(len(lines)) for _ in range(2))
        lines[i], lines[j] = lines[j], lines[i]
        return b"\n".join(lines)

    def double(self, data):
        lines = data.split(b"\n")
        i = self.random.randrange(len(lines))
        return b"\n".join(lines[:i] + lines[i:i + 3] + lines[i:])

    def drop(self, data):
        lines = data.split(b"\n")
        del lines[self.random.randrange(len(lines))]
        return b"\n".join(lines)

    def bomb(self, data):
        at = self.random.randrange(len(data))
        at = data.rfind(b"\n", 0, at) + 1
        return data[:at] + self.random.choice(self.BOMBS) + data[at:]

    def value(self, data):
        found = self.random.choice(list(re.finditer(rb": *([^\n,{}\[\]]+)", data)))
        return data[:found.start(1)] + self.random.choice(self.VALUES) + data[found.end(1):]

    def replace(self, _):
        return bytearray(self.random.choice(self.BOMBS))

    def next(self):
        ways = (self.flip, self.cut, self.swap, self.double, self.drop, self.bomb, self.value,
                self.replace)
        return bytes(self.random.choice(ways)(bytearray(self.text)))


class Files(TestCase):
    """What serves the callers is in one file, which is good; the other of the directory is not."""

    SECONDS_EACH = 15
    OTHER = """# what nobody calls
listeners:
  - {name: other, address: "127.0.0.1:0", service: other, protocols: [ttheader, framed]}
services:
  other:
    name: shop.other
    aliases: [shop.else, shop.more]
    endpoints:
      - {address: "unix:/nowhere/a.sock", weight: 10, tags: {color: blue}}
      - {address: "unix:/nowhere/b.sock", weight: 20, zone: z1}
    protocol: ttheader_framed
    balance: {type: consistent_hash, key: meta.user}
    timeout: {call: 800ms, connect: 50ms}
    retry: {type: failure, attempts: 2, on: [connect, unsent]}
    breaker: {error_rate: 50%, min_samples: 20, window: 10s}
    limit: {rate: 100/s, burst: 10, concurrency: 50}
    subsets: {blue: {color: blue}}
    routes:
      - match: {meta.lane: {in: [a, b]}, method: {prefix: Get}}
        to: blue
        set: {meta.seen: "1"}
      - match: {caller: {regex: "^shop[.](a|b)$"}}
        split: {blue: 1}
    methods:
      Get: {timeout: {call: 100ms}}
      "*": {retry: none}
tests:
  - {call: other/Get, meta: {lane: a}, expect: {subset: blue}}
"""

    def test_five_hundred_that_are_wrong_cost_no_call(self):
        service = self.upstream()
        directory = self.path("conf")
        os.mkdir(directory)
        good = {"admin": {"socket": self.path("admin.sock")}, "resolvers": ["127.0.0.1:9"],
                "log": {"to": self.path("log")}, "limits": {"connections": 1000, "memory": "64MiB"},
                "defaults": {"timeout": {"connect": "5s"}}, "workers": 2, "node": {"service": "x.y"},
                "registries": {}, "access_log": {"to": "none"},
                "shutdown": {"drain": "5s", "spread": "10ms"}, "reload": {"drain": "1s"},
                "listeners": [{"name": "in", "address": "127.0.0.1:0", "service": "svc"}],
                "services": {"svc": {"endpoints": [service.address]}}}
        with open(os.path.join(directory, "good.yaml"), "w", encoding="utf-8") as file:
            json.dump(good, file)
        daemon = Bridled(self.directory, {})
        daemon.config_path = directory
        self.addCleanup(daemon.stop)
        other = os.path.join(directory, "other.yaml")
        self.write(other, self.OTHER.encode())
        daemon.start()
        self.assertEqual(len(daemon.get_json("/status")["listeners"]), 2)
        self.hammer(daemon, other)

    def write(self, path, data):
        with open(path + ".new", "wb") as file:
            file.write(data)
        os.rename(path + ".new", path)

    def hammer(self, daemon, other):
        mutations, address = Mutations(self.OTHER.encode(), SEED), daemon.address()
        loads = [Calls(address, "framed"), Calls(address, "ttheader_framed", keep=5)]
        with all_of(loads) as load:
            for number in range(1, rounds(500) + 1):
                self.write(other, mutations.next())
                daemon.signal(signal.SIGHUP)
                eventually(lambda n=number: daemon.metric("bridle_reloads_total") == n,
                           what="the result of reload %d" % number)
                if number == 50:
                    descriptors, rss = daemon.descriptors(), daemon.rss()
            self.assertEqual(load.failed, [])
            good, bad = (daemon.metric("bridle_reloads_total", result=word)
                         for word in ("ok", "failed"))
            self.write(other, self.OTHER.encode())
            daemon.signal(signal.SIGHUP)
            eventually(lambda: daemon.metric("bridle_reloads_total", result="ok") == good + 1,
                       what="the good file")
        self.assertEqual(load.failed, [])
        self.assertGreater(bad, good)
        self.assertGreater(good, 0)
        if number > 50:
            eventually(lambda: daemon.descriptors() <= descriptors + 8, what="few descriptors")
            if not IS_SANITIZED:
                self.assertLess(daemon.rss(), rss + (16 << 20))


class Signals(Peers):
    """In any order, from a caller's point of view: nothing."""

    SECONDS_EACH = 12

    def test_a_thousand_in_any_order(self):
        generator = random.Random(SEED)
        services = [self.upstream() for _ in range(2)]
        served = {"svc": (None, [s.address for s in services])}
        if os.access(GOECHO, os.X_OK):
            served["thrift"] = (None, [self.serve(GOECHO, "server", "{}")])
        if os.access(GOGRPC, os.X_OK):
            served["grpc"] = ("grpc", [self.serve(GOGRPC, "server", "{}")])
        if os.access(VOLO_CLIENT, os.X_OK):
            served["volo"] = (None, [self.serve(VOLO_SERVER, "thrift", "{}")])
        changing = Changing(self, served, SEED)
        daemon = self.bridled(changing.next())

        def to(label):
            return "unix:" + self.path(label + ".in")
        loads = [Calls(to("svc"), "framed", 1, keep=50), Calls(to("svc"), "ttheader_framed", 1)]
        if "thrift" in served:
            loads.append(Clients(GOECHO, "client", "ttheader", to("thrift"), "200"))
        if "grpc" in served:
            loads.append(GoGrpc(to("grpc")))
        if "volo" in served:
            loads.append(Clients(VOLO_CLIENT, "ttheader", to("volo"), "200"))
        with all_of(loads) as load:
            for _ in range(rounds(1000)):
                self.shoot(daemon, changing, generator)
        self.assertEqual(load.failed, [])
        self.assertEqual(daemon.get_json("/status")["state"], "ready")

    def shoot(self, daemon, changing, generator):
        number = generator.choice((signal.SIGHUP, signal.SIGUSR1, signal.SIGPIPE, signal.SIGWINCH,
                                   signal.SIGCONT, signal.SIGSTOP))
        if number == signal.SIGHUP:
            daemon.write_config(changing.next())
        daemon.signal(number)
        if number == signal.SIGSTOP:
            time.sleep(generator.uniform(0, 0.02))
            daemon.signal(signal.SIGCONT)
        time.sleep(generator.uniform(0, 0.01))


class Upgrades(upgrading.UpgradeCase):
    """USR2 among them. Whoever keeps a connection may find it closed between two calls, and makes
    another."""

    SECONDS_EACH = 10

    def test_upgrades_among_them(self):
        generator, service = random.Random(SEED), self.upstream()
        config = self.config(service, log={"to": self.path("log")})
        daemon = self.run_daemon(config)
        callers = self.callers(daemon, service, pause=0.001)
        for turn in range(rounds(500)):  # of one to four each
            self.shoot(daemon, dict(config, limits={"connections": 1000 + turn}), generator)
        self.assert_nothing_lost(daemon, callers)

    def shoot(self, daemon, config, generator):
        upgrades = generator.random() < 0.05
        if upgrades:
            daemon.signal(signal.SIGUSR2)
        for _ in range(generator.randrange(1, 4)):
            number = generator.choice((signal.SIGHUP, signal.SIGUSR1, signal.SIGPIPE,
                                       signal.SIGWINCH, signal.SIGCONT, signal.SIGSTOP))
            if number == signal.SIGHUP:
                daemon.write_config(config)
            daemon.signal(number)
            if number == signal.SIGSTOP:
                time.sleep(generator.uniform(0, 0.02))
                daemon.signal(signal.SIGCONT)
            time.sleep(generator.uniform(0, 0.005))
        if upgrades:
            old = daemon.process.pid
            daemon.moved_to(eventually(
                lambda: [pid for pid in [daemon.get_json("/status")["pid"]] if pid != old],
                what="another process")[0])


class Killed(TestCase):
    """kill -9, at any moment: the next start needs nothing of what was there, and minds nothing."""

    SECONDS_EACH = 7

    def test_it_starts_at_once_whenever_it_was_killed(self):
        generator, agent = random.Random(SEED), ConsulStandIn(self)
        one, two = self.upstream(), self.upstream()
        for service in (one, two):
            agent.put_instance("shop.price", service.address)
        os.mkdir(self.path("kept"))
        cache = self.path("kept/cache")
        config = {"node": {"service": "test.node"},
                  "registries": {"consul": {"type": "consul", "endpoints": [agent.address],
                                            "cache": cache}},
                  "admin": {"socket": self.path("admin.sock"), "http": "127.0.0.1:0"},
                  "listeners": [{"name": "in", "address": "unix:" + self.path("in.sock"),
                                 "service": "shop.price"}],
                  "services": {"shop.price": {"discover": "consul"}}}
        daemon = self.bridled(config)
        eventually(lambda: os.path.exists(cache), what="the cache")
        slow = 0
        for turn in range(rounds(20)):
            with Calls("unix:" + self.path("in.sock"), "framed", 2, pause=0.001):
                time.sleep(generator.uniform(0, 0.03))
                if turn % 3 == 0:  # so that what is kept changes, too
                    agent.put_instance("shop.price", two.address, weight=turn + 1)
                    time.sleep(generator.uniform(0, 0.1))
                if turn % 2:
                    agent.stop()  # and the next start has nothing but what was kept
                daemon.process.kill()
                daemon.process.wait()
            most, began = allow(START_SECONDS), time.monotonic()
            daemon.start()
            slow += time.monotonic() - began > most
            with self.caller(daemon) as caller:
                self.assertEqual(caller.call(text="x").text, "x")
            if turn % 2:
                agent.start()
            self.assertLessEqual(len(os.listdir(self.path("kept"))), 2)
        self.assertNotIn("cannot be read", daemon.errors())
        self.assertLess(slow, 1 + rounds(20) / 10, "%d slow starts" % slow)

    def test_it_starts_at_once_when_it_was_killed_while_it_started(self):
        generator, service = random.Random(SEED), self.upstream()
        daemon = self.pinned(service, listener={"address": "unix:" + self.path("in.sock")})
        for _ in range(rounds(40)):
            daemon.process.kill()
            daemon.process.wait()
            with open(daemon.error_path, "ab") as errors:
                half = subprocess.Popen([BINARY, "-c", daemon.config_path], stderr=errors,
                                        stdin=subprocess.DEVNULL)
            time.sleep(generator.uniform(0, 0.02))
            half.kill()
            half.wait()
            daemon.start()
            with self.caller(daemon) as caller:
                self.assertEqual(caller.call(text="x").text, "x")


class Stopped(TestCase):
    """SIGSTOP for three seconds: everybody waits, and then all is as it was."""

    SECONDS_EACH = 4

    def stand_still(self, daemon):
        """No thread of it runs any more. What one of them had in hand would be late."""
        daemon.signal(signal.SIGSTOP)
        tasks = "/proc/%d/task" % daemon.process.pid

        def state(task):
            with open(os.path.join(tasks, task, "stat"), encoding="ascii") as file:
                return file.read().rpartition(")")[2].split()[0]
        eventually(lambda: {state(task) for task in os.listdir(tasks)} == {"T"}, what="standing still")

    def test_who_has_patience_gets_an_answer(self):
        services = [self.upstream() for _ in range(3)]
        daemon = self.pinned(services, timeout={"call": "2s", "attempt": "1s", "connect": "1s"},
                             eject={"consecutive": 3}, breaker={"error_rate": "10%",
                                                                "min_samples": 5},
                             health={"type": "tcp", "interval": "500ms", "timeout": "200ms",
                                     "fall": 1})
        address = daemon.address()
        # As many as come in one turn; under a sanitizer fewer, as all are to be answered in a second.
        pairs = 10 if IS_SANITIZED else 60
        callers = [self.caller(daemon, form) for form in ("framed", "ttheader_framed") * pairs]
        for caller in callers:
            caller.call()
        self.stand_still(daemon)
        questions = [caller.send(text="asked meanwhile") for caller in callers]
        time.sleep(STOPPED_SECONDS)
        daemon.signal(signal.SIGCONT)
        for caller, question in zip(callers, questions):
            answer = caller.receive()
            caller.must_answer(question, answer)
            self.assertIsNone(answer.exception, answer)
        with all_of([Calls(address, "framed", 2, pause=0.01),
                     Calls(address, "framed", 1, keep=1, pause=0.01)]) as load:
            eventually(lambda: load.calls > 50)
        self.assertEqual(load.failed, [])
        self.assertEqual(daemon.metric("bridle_ejections_total"), 0)
        self.assertEqual(daemon.metric("bridle_calls_total"),
                         daemon.metric("bridle_calls_total", reason="ok"))
        self.assertEqual({e["health"] for e in daemon.get_json("/services/svc")["endpoints"]},
                         {"up"})

    def test_an_answer_that_came_meanwhile_is_in_time(self):
        """The service answers while the daemon stands still, and the time for that is up when it goes
        on: what has come counts."""
        held = []
        service = self.upstream(lambda connection, packet: held.append((connection, packet)))
        daemon = self.pinned(service, timeout={"call": "2s"}, retry="none")
        callers = [self.caller(daemon) for _ in range(100)]
        questions = [caller.send(text="slow") for caller in callers]
        eventually(lambda: len(held) == len(callers))
        daemon.signal(signal.SIGSTOP)
        for connection, packet in held:
            connection.answer(packet)
        time.sleep(STOPPED_SECONDS)
        daemon.signal(signal.SIGCONT)
        for caller, question in zip(callers, questions):
            answer = caller.receive()
            caller.must_answer(question, answer)
            self.assertEqual(answer.text, "slow", answer)


class Logs(TestCase):
    """Nobody waits for a log: what cannot be written is counted, and when there is room again lines
    are written again."""

    SECONDS_EACH = 5
    PAIRS = 12

    def setUp(self):
        super().setUp()
        self.service = self.upstream()

    def logging_to(self, log, access):
        return self.pinned(self.service, config={
            "log": {"to": log}, "access_log": {"to": access, "format": "json"}})

    def p99(self, daemon, seconds=0.5):
        with Calls(daemon.address(), "ttheader_framed", 2) as load:
            time.sleep(seconds)
        self.assertEqual(load.failed, [])
        return load.slowest(0.99)

    def dropped(self, daemon, log="access"):
        return daemon.metric("bridle_log_dropped_total", log=log)

    def lose_some(self, daemon):
        """Until nothing more can be kept for later."""
        before = self.dropped(daemon)
        while self.dropped(daemon) == before:
            self.p99(daemon, 0.3)

    def assert_same_speed(self, daemon, shut, opened):
        """In one of several pairs of windows, one after the other: others compute here, too, and what
        makes calls wait for a log would make them wait in every pair."""
        pairs = []
        while len(pairs) < self.PAIRS:
            opened()
            free = self.p99(daemon)
            shut()
            before = self.dropped(daemon)
            full = self.p99(daemon)
            self.assertGreater(self.dropped(daemon), before)
            pairs.append((free, full))
            if full < 1.2 * free + allow(0.0002):
                break
        else:
            self.fail("free, full: %r" % pairs)
        opened()

    def assert_flows(self, daemon, lines):
        """`lines()` gives what arrives in the access log, and the calls of now are among it."""
        with self.caller(daemon, "ttheader_framed") as caller:
            def arrives():
                word = "log-%d" % next(sockets.sequence)
                caller.call(ints={2: word})
                end = time.monotonic() + 0.5
                while time.monotonic() < end:
                    if word.encode() in lines():
                        return True
                    time.sleep(0.01)
                return False
            eventually(arrives, what="a line")

    def test_a_full_disk(self):
        disk = self.path("disk")
        os.mkdir(disk)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", disk],
                                 capture_output=True, text=True, check=False)
        if mounted.returncode:
            self.skipTest(NOT_ALLOWED + mounted.stderr.strip())
        self.addCleanup(subprocess.run, ["umount", "-l", disk], check=False)
        access, filler = os.path.join(disk, "access.log"), os.path.join(disk, "filler")
        daemon = self.logging_to(os.path.join(disk, "log"), access)

        def shut():
            with open(filler, "ab", buffering=0) as file:
                try:
                    while file.write(b"x" * 4096):
                        pass
                except OSError:
                    pass
            self.lose_some(daemon)

        def opened():
            os.truncate(access, 0)
            if os.path.exists(filler):
                os.unlink(filler)

        def lines():
            with open(access, "rb") as file:
                return file.read()
        self.assert_same_speed(daemon, shut, opened)
        self.assert_flows(daemon, lines)

    def test_a_pipe_that_nobody_reads(self):
        pipe = self.path("pipe")
        os.mkfifo(pipe)
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        daemon = self.logging_to("stderr", pipe)
        reads = threading.Event()
        kept, is_over = [], threading.Event()

        def read():
            while not is_over.is_set():
                if not reads.wait(0.05):
                    continue
                try:
                    kept.append(os.read(reader, 1 << 16))
                except BlockingIOError:
                    time.sleep(0.001)
        thread = threading.Thread(target=read)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(is_over.set)

        def shut():
            reads.clear()
            self.lose_some(daemon)
        self.assert_same_speed(daemon, shut, reads.set)
        self.assert_flows(daemon, lambda: b"".join(kept[-200:]))
