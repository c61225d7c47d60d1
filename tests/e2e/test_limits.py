"""Limits, queues and breakers of a running daemon, with calls on both of its workers."""

import threading
import time

import upstream
from bridled import TestCase, eventually
from sockets import PATIENCE

CALLERS = 16


def slow(seconds):
    def answer(connection, packet):
        time.sleep(seconds)
        upstream.echo(connection, packet)
    return answer


class Limits(TestCase):
    def storm(self, daemon, calls, callers=CALLERS):
        """Calls on many connections at once; the answers of all."""
        answers, lock = [], threading.Lock()

        def run():
            with self.caller(daemon) as caller:
                for _ in range(calls):
                    answer = caller.call(text="hi")
                    with lock:
                        answers.append(answer)

        threads = [threading.Thread(target=run) for _ in range(callers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(answers), calls * callers)
        return answers

    def limit(self, name, path="services.svc.limit"):
        return {"name": "bridle_" + name, "service": "svc", "limit": path}

    def test_a_rate_is_that_of_the_whole_process(self):
        daemon = self.pinned(self.upstream(), config={"workers": 2},
                             limit={"rate": "50/s", "burst": 20})
        begun = time.monotonic()
        answers = self.storm(daemon, 40)
        took = time.monotonic() - begun
        good = sum(a.exception is None for a in answers)
        for answer in answers:
            if answer.exception:
                self.assert_refused(answer, "rate_limited", 6)
        self.assertGreaterEqual(good, 20)
        self.assertLessEqual(good, 20 + 50 * took + 1)
        self.assert_metric(daemon, len(answers) - good, **self.limit("limited_total"))

    def test_places_go_from_hand_to_hand_between_workers(self):
        daemon = self.pinned(self.upstream(slow(0.001)), config={"workers": 2},
                             limit={"concurrency": 2, "queue": {"length": 100, "wait": "60s"}})
        answers = self.storm(daemon, 50)
        self.assertEqual([a.exception for a in answers if a.exception], [])
        self.assert_metric(daemon, 0, **self.limit("limit_running"))
        self.assert_metric(daemon, 0, **self.limit("limited_total"))
        workers = daemon.get_json("/status")["workers"]
        self.assertTrue(all(w["calls"] for w in workers), workers)

    def test_a_full_queue_refuses_at_once_and_loses_no_place(self):
        daemon = self.pinned(self.upstream(slow(0.02)), config={"workers": 2},
                             limit={"concurrency": 2, "queue": {"length": 3, "wait": "60s"}})
        answers = self.storm(daemon, 10)
        refused = [a for a in answers if a.exception]
        for answer in refused:
            self.assert_refused(answer, "concurrency_limited", 6)
        self.assertLess(len(refused), len(answers))
        self.assert_metric(daemon, len(refused), **self.limit("limited_total"))
        self.assert_metric(daemon, 0, **self.limit("limit_running"))
        with self.caller(daemon) as caller:
            self.assertEqual(caller.call(text="hi").text, "hi")

    def test_callers_that_leave_the_queue_leave_nothing_behind(self):
        listener = {"address": "unix:" + self.path("in.sock")}  # there it is seen at once
        daemon = self.pinned(self.upstream(slow(0.3)), listener, {"workers": 2},
                             limit={"concurrency": 1, "queue": {"length": 50, "wait": "60s"}})
        for _ in range(20):
            caller = self.caller(daemon)
            caller.send(text="hi")
            caller.close()
        with self.caller(daemon) as caller:
            self.assertEqual(caller.call(text="last").text, "last")
        self.assert_metric(daemon, 0, **self.limit("limit_running"))

    def test_a_wait_ends_after_its_time(self):
        daemon = self.pinned(self.upstream(upstream.silent), timeout="30s",
                             limit={"concurrency": 1, "queue": {"length": 5, "wait": "100ms"}})
        holder = self.caller(daemon)
        holder.send(text="hi")
        eventually(lambda: daemon.metric(**self.limit("limit_running")) == 1, what="a call")
        with self.caller(daemon) as caller:
            begun = time.monotonic()
            self.assert_refused(caller.call(text="hi"), "queue_timeout", 6)
            self.assertGreaterEqual(time.monotonic() - begun, 0.1)


class Breakers(TestCase):
    RULES = {"min_samples": 5, "error_rate": "50%", "window": "60s", "open": "1s",
             "probe": "1ms", "successes": 1}

    def state(self, daemon):
        return daemon.get_json("/services/svc")["breaker"]

    def test_a_breaker_opens_and_closes_again(self):
        is_ill = threading.Event()
        is_ill.set()

        def moody(connection, packet):
            (upstream.fail if is_ill.is_set() else upstream.echo)(connection, packet)

        daemon = self.pinned(self.upstream(moody), config={"workers": 2}, breaker=self.RULES)
        at = {"service": "svc", "breaker": "services.svc.breaker"}
        self.assertEqual(self.state(daemon), "closed")
        with self.caller(daemon) as caller:
            for _ in range(5):
                self.assertIsNotNone(caller.call(text="hi").exception)
            eventually(lambda: self.state(daemon) == "open", what="the breaker to open")
            self.assert_metric(daemon, 2, "bridle_breaker_state", **at)
            self.assert_refused(caller.call(text="hi"), "breaker_open", 6)
        is_ill.clear()
        eventually(lambda: self.state(daemon) == "half_open", PATIENCE, "its time to be over")
        with self.caller(daemon) as caller:
            self.assertEqual(caller.call(text="hi").text, "hi")
            eventually(lambda: self.state(daemon) == "closed", what="the breaker to close")
            self.assertEqual(caller.call(text="hi").text, "hi")
        self.assert_metric(daemon, 0, "bridle_breaker_state", **at)
