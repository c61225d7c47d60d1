"""A registry, the way to it, applications and sidecars that fail in an order that a seed decides,
while calls go on: none fails that has an endpoint, and what stands in the registry is what is true.

$BRIDLE_REGISTRY_CHAOS_SECONDS and $BRIDLE_REGISTRY_CHAOS_SEED make it longer and different.
"""

import os
import random
import signal
import threading
import time
import traceback

import middleman
import registries
import sockets
import upstream
import wire
from bridled import IS_SANITIZED, SANITIZER_SAYS, Bridled, TestCase, eventually

SECONDS = float(os.environ.get("BRIDLE_REGISTRY_CHAOS_SECONDS", "12"))
SEED = int(os.environ.get("BRIDLE_REGISTRY_CHAOS_SEED", "1"))
TTL = 5.0  # seconds, of what is published
SETTLED = 5.0 + (4 if IS_SANITIZED else 2)  # after which what is published has to be true
LEFT_BEHIND = TTL + SETTLED  # after which nothing of a killed one is there any more
LINES_A_SECOND = 50
DESCRIPTORS = 250
GROWTH = 64 << 20  # bytes
CALL_SECONDS = 20  # more than any stop of a sidecar
FOUND = ["found.%d" % i for i in range(4)]


class Troubles:
    """When what was troubled by the test: intervals of time by the name of the victim."""

    def __init__(self):
        self.lock, self.intervals = threading.Lock(), {}

    def begin(self, victim):
        with self.lock:
            self.intervals.setdefault(victim, []).append([time.monotonic(), None])

    def end(self, victim):
        with self.lock:
            self.intervals[victim][-1][1] = time.monotonic()

    def touched(self, victim, since):
        """At any time from `since` on?"""
        with self.lock:
            return any(end is None or end >= since for _, end in self.intervals.get(victim, ()))

    def calm(self, victims):
        """For how long none of them has been in trouble."""
        return min(self.calm_one(victim) for victim in victims)

    def calm_one(self, victim):
        with self.lock:
            past = self.intervals.get(victim)
            if not past:
                return 1e9
            return 0 if past[-1][1] is None else time.monotonic() - past[-1][1]


class Calling:
    """Calls one after the other. What fails while `excuse(began)` gives no reason is a fault."""

    def __init__(self, world, name, address, form="framed", to=None, excuse=None):
        self.world, self.name, self.address, self.form, self.to = world, name, address, form, to
        self.excuse, self.count, self.excused = excuse, 0, 0
        self.good_since = None  # the first success since the last failure
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        caller = None
        while not self.world.is_over:
            began = time.monotonic()
            try:
                caller = caller or sockets.Caller(self.address, self.form, timeout=CALL_SECONDS + 5)
                text = "call %d" % next(sockets.sequence)
                meta = {"ints": {wire.TO_SERVICE: self.to}} if self.to else {}
                answer = caller.call("Echo", text, **meta)
                self.judge(began, text, answer)
            except (OSError, EOFError, AssertionError) as error:
                self.failed(began, repr(error))
                caller = None
                time.sleep(0.05)
            time.sleep(0.01)

    def judge(self, began, text, answer):
        self.count += 1
        if answer.exception:
            self.failed(began, answer.exception[1])
        elif answer.text != text:
            self.world.fault("%s: %r is no answer to %r" % (self.name, answer, text))
        elif self.good_since is None:
            self.good_since = time.monotonic()

    def failed(self, began, why):
        self.excused += 1
        if not self.excuse(self, began):
            self.world.fault("%s: after %.3f s: %s" % (self.name, time.monotonic() - began, why))
        self.good_since = None


class Sidecar:
    """A daemon, the application beside it, and its way to the registry."""

    def __init__(self, world, name, other, stated):
        self.world, self.case, self.name, self.other = world, world.case, name, other
        self.stated, self.turn = stated, 0
        self.way = middleman.Middleman(world.case, world.etcd.address)
        self.directory = world.case.path(name)
        os.mkdir(self.directory)
        self.app_path = os.path.join(name, "app.sock")
        self.app, self.app_changed_at = None, time.monotonic()
        self.is_killed = self.is_stopped = False
        self.daemon = Bridled(self.directory, self.config())
        world.case.addCleanup(self.daemon.stop)
        self.starting = None

    def at(self, name):
        return "unix:" + os.path.join(self.directory, name)

    def config(self):
        pinned = ("steady", "churn", "other")
        discover = {"discover": "main", "timeout": {"call": "%ds" % CALL_SECONDS, "connect": "1s"}}
        return {
            "node": {"service": "shop." + self.name}, "workers": 2,
            "registries": {"main": {"type": "etcd", "endpoints": [self.way.address],
                                    "cache": os.path.join(self.directory, "cache")}},
            "listeners": [{"name": "in", "address": self.stated, "service": "app"},
                          {"name": "out", "address": self.at("out")}] + [
                              {"name": name, "address": self.at(name), "service": name}
                              for name in pinned],
            "services": {"app": {"name": "shop." + self.name, "endpoints": [self.at("app.sock")],
                                 "register": {"in": "main", "ttl": "%gs" % TTL,
                                              "weight": 10 + self.turn % 5}},
                         "steady": discover, "churn": discover,
                         "other": {"name": "shop." + self.other, **discover}, "*": discover},
            "shutdown": {"deregister_wait": "0s", "drain": "2s", "spread": "10ms"}}

    def victims(self):
        """What has to be calm for what is published to be true."""
        return ("etcd", "way " + self.name, "daemon " + self.name, "app " + self.name)

    def start_app(self):
        self.app = self.case.upstream(name=self.app_path)
        self.app_changed_at = time.monotonic()

    def stop_app(self):
        self.app.close()
        self.app, self.app_changed_at = None, time.monotonic()

    def start(self):
        """In a thread of its own: it may be waiting for the registry."""
        def run():
            try:
                self.daemon.start()
                self.is_killed = False
            except AssertionError as error:
                self.world.fault("%s: start: %s" % (self.name, error))
            finally:
                self.world.troubles.end("daemon " + self.name)
        self.starting = threading.Thread(target=run)
        self.starting.start()

    @property
    def is_busy(self):
        return self.is_stopped or self.starting and self.starting.is_alive()

    def memory(self):
        return self.daemon.rss()


class World:
    """Everything together; `faults` is what must stay empty."""

    def __init__(self, case):
        self.case, self.random = case, random.Random(SEED)
        self.began, self.is_over, self.faults = time.monotonic(), False, []
        self.troubles, self.log = Troubles(), []
        self.etcd = registries.Etcd(case).start()
        self.kitex = registries.Kitex(self.etcd)
        self.steady = [case.upstream() for _ in range(4)]
        self.truth = {name: set() for name in ["steady", "churn"] + FOUND}
        self.passing = []  # endpoints of churn that do not live for ever
        self.pending = []  # (when, what ends then)
        for name in self.truth:
            self.put(name, self.steady[0].address)
        self.sidecars = [Sidecar(self, "a", "b", "127.0.0.1:%d" % registries.free_port()),
                         Sidecar(self, "b", "a", "127.0.0.1:0")]
        self.callings, self.addresses, self.memory = [], {}, {}

    # ---- what is said ----

    def note(self, text):
        self.log.append("%8.3f %s" % (time.monotonic() - self.began, text))

    def fault(self, text):
        self.note("FAULT " + text)
        if len(self.faults) < 50:
            self.faults.append("%.3f: %s" % (time.monotonic() - self.began, text))

    def last_words(self):
        """For whoever reads of a fault."""
        lines = self.log[-60:]
        for sidecar in self.sidecars:
            lines += [sidecar.name + ": " + line
                      for line in sidecar.daemon.errors().split("\n")[-60:]]
        return "\n".join(lines)

    # ---- records ----

    def put(self, service, address, weight=10):
        self.kitex.put(service, address, weight)
        self.truth[service].add(address)

    def remove(self, service, address):
        self.kitex.delete(service, address)
        self.truth[service].discard(address)

    # ---- calls ----

    def start_calls(self):
        for sidecar in self.sidecars:
            mine = "daemon " + sidecar.name

            def is_mine(_, began, mine=mine):
                return self.troubles.touched(mine, began)
            for name in ("steady", "churn"):
                self.call(sidecar, name, is_mine)
            self.call(sidecar, "other", self.excuse_other(sidecar))
            for name in FOUND:
                self.callings.append(Calling(self, sidecar.name + " " + name, sidecar.at("out"),
                                             "ttheader_framed", name, self.excuse_found(sidecar)))

    def call(self, sidecar, name, excuse):
        self.callings.append(Calling(self, sidecar.name + " " + name, sidecar.at(name),
                                     excuse=excuse))

    def excuse_other(self, sidecar):
        """Once a call has worked, only what is called, or calls, may make the next one fail."""
        victims = ["daemon a", "daemon b", "app " + sidecar.other]

        def excuse(calling, began):
            since = calling.good_since
            return since is None or any(
                self.troubles.touched(v, min(since, began)) for v in victims)
        return excuse

    def excuse_found(self, sidecar):
        """A name that has not been found yet needs a registry."""
        def excuse(calling, began):
            if self.troubles.touched("daemon " + sidecar.name, began):
                return True
            return calling.good_since is None and min(
                self.troubles.calm(("etcd", "way " + sidecar.name)), self.troubles.calm_one(
                    "daemon " + sidecar.name)) < SETTLED + 5  # a refusal lasts for five seconds
        return excuse

    # ---- what has to be true at any time ----

    def look(self):
        while not self.is_over:
            try:
                self.look_once()
            except Exception:  # pylint: disable=broad-except
                self.fault(traceback.format_exc())
            time.sleep(0.1)

    def look_once(self):
        before = time.monotonic()
        try:
            found = {s.name: self.kitex.addresses("shop." + s.name) for s in self.sidecars}
        except (OSError, ValueError, registries.Refused):
            return
        for sidecar in self.sidecars:
            self.look_at(sidecar, found[sidecar.name], before)
            if not sidecar.is_killed and not sidecar.is_busy and not sidecar.daemon.is_alive():
                sidecar.is_killed = True
                self.fault("%s ended: %s" % (sidecar.name, sidecar.daemon.errors()[-3000:]))

    def look_at(self, sidecar, found, before):
        victims = [v for v in sidecar.victims() if not v.startswith("app")]
        late = time.monotonic() - before
        calm = self.troubles.calm(victims) - late
        still = time.monotonic() - sidecar.app_changed_at - late
        if min(calm, still) < SETTLED:
            return
        expected = 1 if sidecar.app else 0
        dead = self.troubles.calm(("daemon " + sidecar.name, "etcd")) - late < LEFT_BEHIND
        if len(found) < expected or len(found) > expected and not dead:
            self.fault("%s stands as %s, its application is %s; calm for %.1f s, so for %.1f s" % (
                sidecar.name, found, "up" if expected else "down", calm, still))

    # ---- what happens ----

    def later(self, seconds, action):
        self.pending.append((time.monotonic() + seconds, action))

    def run_pending(self, all_of_them=False):
        now = time.monotonic()
        due = [p for p in self.pending if all_of_them or p[0] <= now]
        self.pending = [p for p in self.pending if p not in due]
        for _, action in due:
            action()

    def happen(self):
        """One thing."""
        kinds = [(6, self.change_a_record), (3, self.spoil_a_way), (2, self.reset_a_way),
                 (2, self.trouble_etcd), (3, self.toggle_an_app), (2, self.trouble_a_daemon),
                 (1, self.reload)]
        chosen = self.random.choices([k for _, k in kinds], [w for w, _ in kinds])[0]
        try:
            chosen()
        except (OSError, registries.Refused) as error:
            self.note("%s: %s" % (chosen.__name__, error))

    def change_a_record(self):
        if self.troubles.calm_one("etcd") == 0:
            return
        service = self.random.choice(list(self.truth))
        what = self.random.randrange(5)
        spare = [s.address for s in self.steady[1:]]
        self.note("record %d of %s" % (what, service))
        if what == 0:
            self.put(service, self.random.choice(spare), self.random.randrange(1, 50))
        elif what == 1:
            self.remove(service, self.random.choice(spare))
        elif what == 2:
            self.etcd.put(self.kitex.key(service, "bad"), self.random.choice(
                ["{", "", "null", registries.kitex_value("127.0.0.1:0")]))
        elif what == 3:
            self.remove(service, self.steady[0].address)
            self.later(self.random.uniform(0.1, 2), lambda: self.put_again(service))
        else:
            self.pass_by()

    def put_again(self, service):
        try:
            self.put(service, self.steady[0].address)
        except (OSError, registries.Refused):
            self.later(0.5, lambda: self.put_again(service))

    def pass_by(self):
        """An endpoint of churn that soon takes no more connections, and is taken away later."""
        service = self.case.upstream()
        self.put("churn", service.address)

        def leave():
            service.listener.close()
            self.later(self.random.uniform(0, 3), gone)

        def gone():
            try:
                self.remove("churn", service.address)
            except (OSError, registries.Refused):
                self.later(0.5, gone)
        self.later(self.random.uniform(0.2, 5), leave)

    def spoil_a_way(self):
        sidecar = self.random.choice(self.sidecars)
        victim = "way " + sidecar.name
        if self.troubles.calm_one(victim) == 0:
            return
        mood = self.random.choice((middleman.STALL, middleman.DRIP, middleman.CUT))
        self.note("%s: %s" % (victim, mood))
        self.troubles.begin(victim)
        sidecar.way.mood = mood
        if mood == middleman.CUT:
            sidecar.way.reset()

        def mend():
            self.note("%s: mended" % victim)
            sidecar.way.mood = middleman.PASS
            self.troubles.end(victim)
        self.later(self.random.uniform(0.2, 9), mend)

    def reset_a_way(self):
        sidecar = self.random.choice(self.sidecars)
        if self.troubles.calm_one("way " + sidecar.name) == 0:
            return
        self.note("way %s: reset" % sidecar.name)
        self.troubles.begin("way " + sidecar.name)
        sidecar.way.reset()
        self.troubles.end("way " + sidecar.name)

    def trouble_etcd(self):
        if self.troubles.calm_one("etcd") == 0:
            return
        self.troubles.begin("etcd")
        if self.random.randrange(2):
            self.note("etcd: killed")
            self.etcd.kill()

            def mend():
                self.etcd.start()
                self.note("etcd: there again")
                self.troubles.end("etcd")
        else:
            self.note("etcd: paused")
            self.etcd.pause()

            def mend():
                self.etcd.resume()
                self.note("etcd: goes on")
                self.troubles.end("etcd")
        self.later(self.random.uniform(0.2, 7), mend)

    def toggle_an_app(self):
        sidecar = self.random.choice(self.sidecars)
        victim = "app " + sidecar.name
        if self.troubles.calm_one(victim) == 0:
            return
        self.note(victim + ": down")
        self.troubles.begin(victim)
        sidecar.stop_app()

        def mend():
            sidecar.start_app()
            self.note(victim + ": up")
            self.troubles.end(victim)
        self.later(self.random.choice((self.random.uniform(0.1, 3), self.random.uniform(3, 20))),
                   mend)

    def trouble_a_daemon(self):
        sidecar = self.random.choice(self.sidecars)
        victim = "daemon " + sidecar.name
        if sidecar.is_busy or self.troubles.calm_one(victim) == 0:
            return
        how = self.random.choice(("kill", "stop", "term"))
        self.note("%s: %s" % (victim, how))
        self.troubles.begin(victim)
        if how == "stop":
            self.pause(sidecar)
            return
        sidecar.is_killed = True
        if how == "kill":
            sidecar.daemon.process.kill()
            sidecar.daemon.wait()
        else:
            sidecar.daemon.stop()
        sidecar.start()

    def pause(self, sidecar):
        sidecar.is_stopped = True
        sidecar.daemon.signal(signal.SIGSTOP)

        def mend():
            self.note("daemon %s: goes on" % sidecar.name)
            sidecar.daemon.signal(signal.SIGCONT)
            sidecar.is_stopped = False
            self.troubles.end("daemon " + sidecar.name)
        self.later(self.random.uniform(0.1, 8), mend)

    def reload(self):
        sidecar = self.random.choice(self.sidecars)
        if sidecar.is_busy:
            return
        self.note("daemon %s: reload" % sidecar.name)
        sidecar.turn += 1
        sidecar.daemon.write_config(sidecar.config())
        sidecar.daemon.signal(signal.SIGHUP)

    # ---- from the beginning to the end ----

    def live(self):
        for sidecar in self.sidecars:
            sidecar.start_app()
            sidecar.daemon.start()
            self.memory[sidecar.name] = sidecar.memory()
        self.start_calls()
        looking = threading.Thread(target=self.look, daemon=True)
        looking.start()
        end = time.monotonic() + SECONDS
        while time.monotonic() < end and not self.faults:
            self.happen()
            time.sleep(self.random.uniform(0.05, 0.7))
            self.run_pending()
        self.settle()
        self.is_over = True
        for calling in self.callings:
            calling.thread.join(CALL_SECONDS + 10)
        looking.join(20)

    def settle(self):
        self.note("all is made good")
        while self.pending:
            self.run_pending(True)
        for sidecar in self.sidecars:
            if sidecar.starting:
                sidecar.starting.join()

    def converge(self):
        """In the end everything is what it should be."""
        for sidecar in self.sidecars:
            for name in ("steady", "churn"):
                eventually(lambda s=sidecar, n=name: self.set_of(s, n) == self.truth[n],
                           what="%s of %s: %s, not %s" % (
                               name, sidecar.name, self.set_of(sidecar, name), self.truth[name]))
            address = sidecar.daemon.address()
            eventually(lambda s=sidecar, a=address: self.kitex.addresses("shop." + s.name) == [a],
                       what="%s at %s alone" % (sidecar.name, address))
            eventually(lambda s=sidecar: s.daemon.metric("bridle_registered", service="app") == 1,
                       what="registered")

    def set_of(self, sidecar, service):
        seen = sidecar.daemon.get_json("/services/" + service)
        return {e["address"] for e in seen["endpoints"]}


class Chaos(TestCase):
    SECONDS_EACH = 30

    def test_whatever_happens_no_call_fails_and_the_registry_tells_the_truth(self):
        world = World(self)
        print("seed %d" % SEED, flush=True)
        try:
            world.live()
        finally:
            world.is_over = True
            with open(os.environ.get("BRIDLE_REGISTRY_CHAOS_LOG") or self.path("log"), "w",
                      encoding="utf-8") as file:
                file.write("\n".join(world.log) + "\n")
        self.assertEqual(world.faults, [], "seed %d\n%s" % (SEED, world.last_words()))
        world.converge()
        self.bounds(world)
        for calling in world.callings:
            self.assertGreater(calling.count - calling.excused, 0, calling.name)

    def bounds(self, world):
        lived = time.monotonic() - world.began
        for sidecar in world.sidecars:
            said = sidecar.daemon.errors()
            self.assertIsNone(SANITIZER_SAYS.search(said), said[-3000:])
            self.assertLess(said.count("\n"), LINES_A_SECOND * lived, said[-3000:])
            self.assertLess(sidecar.daemon.descriptors(), DESCRIPTORS)
            if not IS_SANITIZED:
                self.assertLess(sidecar.memory() - world.memory[sidecar.name], GROWTH)
