"""Services that are slow, broken, gone or lying: what the caller gets, and that nobody else pays."""

import json
import os
import socket
import threading
import time

import sockets
import upstream
import wire
from bridled import TestCase, eventually
from sockets import PATIENCE

SOON = 8.0  # seconds: far below every time that is not the one a test is about


class Timer:
    def __enter__(self):
        self.began = time.monotonic()
        return self

    def __exit__(self, *_):
        self.seconds = time.monotonic() - self.began


class Timeouts(TestCase):
    def test_the_operators_limit_ends_a_call(self):
        daemon = self.pinned(self.upstream(upstream.silent), timeout={"call": "150ms"})
        for form in wire.FORMS:
            with self.subTest(form=form), self.caller(daemon, form) as caller:
                with Timer() as timer:
                    answer = caller.call()
                self.assert_refused(answer, "timeout", 6)
                self.assertIn("rpc timeout", answer.exception[1])
                self.assertTrue(0.14 < timer.seconds < SOON, timer.seconds)

    def test_the_callers_time_ends_a_call_a_little_after_the_caller(self):
        daemon = self.pinned(self.upstream(upstream.silent))
        for form in ("ttheader_bare", "ttheader_framed"):
            with self.subTest(form=form), self.caller(daemon, form) as caller:
                with Timer() as timer:
                    answer = caller.call(ints={wire.RPC_TIMEOUT: "120"})
                self.assert_refused(answer, "caller_deadline", 6)
                self.assertTrue(0.12 < timer.seconds < SOON, timer.seconds)

    def test_kitex_protobuf_has_its_own_exceptions(self):
        daemon = self.pinned(self.upstream(upstream.silent), timeout={"call": "100ms"})
        for form in wire.FRAMED_FORMS:
            with self.subTest(form=form), \
                    self.caller(daemon, form, magic=wire.KITEXPB) as caller:
                self.assert_refused(caller.call(), "timeout", 6)

    def test_the_default_time_is_used_when_nobody_sets_one(self):
        daemon = self.pinned(self.upstream(upstream.silent), timeout={"default": "200ms"})
        with self.caller(daemon) as caller:
            self.assert_refused(caller.call(), "timeout", 6)

    def test_junk_from_the_caller_is_no_time(self):
        daemon = self.pinned(self.upstream(upstream.silent), timeout={"call": "100ms"})
        with self.caller(daemon, "ttheader_framed") as caller:
            for junk in ("", "0", "-5", "abc", "5s", "99999999999999999999"):
                with self.subTest(junk=junk):
                    answer = caller.call(ints={wire.RPC_TIMEOUT: junk})
                    self.assert_refused(answer, "timeout")

    def test_the_callers_time_is_passed_on_and_reduced_when_the_operator_allows_less(self):
        service = self.upstream(upstream.report)
        daemon = self.pinned(service)
        with self.caller(daemon, "ttheader_framed") as caller:
            answer = caller.call(ints={wire.RPC_TIMEOUT: "30000"})
            self.assertEqual(json.loads(answer.text)["ints"]["12"], "30000")
            self.assertNotIn("12", json.loads(caller.call().text)["ints"])
        daemon.stop()
        daemon = self.pinned(service, timeout={"call": "20s"})
        with self.caller(daemon, "ttheader_framed") as caller:
            answer = caller.call(ints={wire.RPC_TIMEOUT: "30000"})
            self.assertTrue(15000 <= int(json.loads(answer.text)["ints"]["12"]) <= 20000)

    def test_an_attempt_has_a_time_of_its_own(self):
        daemon = self.pinned(self.upstream(upstream.silent),
                             timeout={"call": "20s", "attempt": "100ms"})
        with self.caller(daemon) as caller, Timer() as timer:
            self.assert_refused(caller.call(), "timeout")
        self.assertLess(timer.seconds, SOON)

    def test_late_replies_reach_nobody(self):
        def late(connection, packet):
            if packet.method == "Late":
                time.sleep(0.5)
            connection.answer(packet)
        for protocol in ("same", "framed", "buffered"):
            with self.subTest(protocol=protocol):
                service = self.upstream(late)
                daemon = self.pinned(service, protocol=protocol, config={"workers": 1},
                                     methods={"Late": {"timeout": "100ms"}})
                with self.caller(daemon) as caller:
                    for i in range(5):
                        self.assert_refused(caller.call("Late", "late %d" % i), "timeout")
                    for i in range(100):
                        self.assertEqual(caller.call(text="unique %d" % i).text, "unique %d" % i)
                self.assertEqual(service.malformed, [])
                daemon.stop()

    def test_a_call_without_reply_that_is_not_marked_oneway_blocks_nobody_else(self):
        """Some clients send oneways as ordinary calls."""
        daemon = self.pinned(self.upstream(
            lambda c, p: p.method != "Notify" and c.answer(p)),
            methods={"Notify": {"timeout": "200ms"}})
        with self.caller(daemon) as first, self.caller(daemon) as second:
            first.send("Notify")
            self.assertEqual(second.call(text="x").text, "x")
            self.assert_refused(first.receive(), "timeout")
            self.assertEqual(first.call(text="y").text, "y")


class Endpoints(TestCase):
    def closed_port(self):
        """Bound, and so nobody else's, but not listening."""
        holder = socket.socket()
        self.addCleanup(holder.close)
        holder.bind(("127.0.0.1", 0))
        return "127.0.0.1:%d" % holder.getsockname()[1]

    def test_one_of_two_endpoints_is_down_and_every_call_succeeds(self):
        for dead in (self.closed_port(), "unix:" + self.path("nobody.sock")):
            with self.subTest(dead=dead):
                service = self.upstream(upstream.echo)
                daemon = self.pinned([dead, service], retry={"attempts": 2})
                for form in wire.FORMS:
                    for i in range(25):
                        with self.caller(daemon, form) as caller:
                            self.assertEqual(caller.call(text="call %d" % i).text, "call %d" % i)
                self.assert_metric(daemon, 100, "bridle_calls_total", reason="ok")
                daemon.stop()

    def test_no_endpoint_is_up(self):
        daemon = self.pinned([self.closed_port(), "unix:" + self.path("nobody.sock")])
        for form in wire.FORMS:
            with self.subTest(form=form), self.caller(daemon, form) as caller:
                for _ in range(3):
                    answer = caller.call()
                    self.assert_refused(answer, "connect_failed", 6)
                    self.assertIn("get connection error", answer.exception[1])
        with self.caller(daemon, "ttheader_framed") as caller:
            caller.send("Notify", kind=wire.ONEWAY)
            self.assert_refused(caller.call(seq=99), "connect_failed")

    def test_calls_are_spread_over_the_endpoints_by_weight(self):
        services = [self.upstream(upstream.echo) for _ in range(3)]
        endpoints = [{"address": s.address, "weight": w} for s, w in zip(services, (1, 2, 3))]
        daemon = self.bridled({
            "workers": 1,
            "listeners": [{"name": "in", "address": "127.0.0.1:0", "service": "svc"}],
            "services": {"svc": {"endpoints": endpoints, "balance": "weighted_round_robin"}}})
        with self.caller(daemon) as caller:
            for _ in range(60):
                caller.call()
        self.assertEqual([len(s.packets) for s in services], [10, 20, 30])

    def test_an_endpoint_that_is_a_name_is_resolved(self):
        service = self.upstream(upstream.echo)
        daemon = self.pinned("localhost:" + service.address.split(":")[1])
        with self.caller(daemon) as caller:
            eventually(lambda: caller.call(text="x").exception is None)
            self.assertEqual(caller.call(text="x").text, "x")

    def test_the_service_restarts(self):
        path = self.path("app.sock")
        service = self.upstream(upstream.echo, "app.sock")
        daemon = self.pinned(service)
        with self.caller(daemon) as caller:
            caller.call()
            service.close()
            self.assert_refused(caller.call(), "connect_failed")
            os.unlink(path)
            service = self.upstream(upstream.echo, "app.sock")
            for i in range(20):
                self.assertEqual(caller.call(text="call %d" % i).text, "call %d" % i)

    def test_a_service_that_closes_idle_connections_costs_no_call(self):
        service = self.upstream(upstream.echo)
        daemon = self.pinned(service)
        with self.caller(daemon) as caller:
            for i in range(30):
                self.assertEqual(caller.call(text="call %d" % i).text, "call %d" % i)
                service.drop_connections()
                eventually(lambda: not service.open)

    def test_a_full_accept_queue_delays_and_does_not_fail(self):
        """An application that does not accept for a while."""
        accepts = threading.Event()
        self.addCleanup(accepts.set)
        service = self.upstream(upstream.echo, "slow.sock", backlog=0,
                                on_accept=lambda sock: accepts.wait(PATIENCE) or True)
        daemon = self.pinned(service, timeout={"connect": "60s", "call": "60s"})
        callers = [self.caller(daemon) for _ in range(16)]
        questions = [c.send(text="caller %d" % i) for i, c in enumerate(callers)]
        eventually(lambda: daemon.metric("bridle_connect_backlog_total", service="svc") > 0)
        accepts.set()
        for caller, question in zip(callers, questions):
            caller.must_answer(question, caller.receive())


BROKEN = {
    "wrong_seq": ("bad_reply", upstream.wrong_seq),
    "wrong_method": ("bad_reply", upstream.wrong_method),
    "wrong_type": ("bad_reply", upstream.wrong_type),
    "garbage": ("bad_reply", upstream.garbage),
    "huge_length": ("bad_reply", upstream.huge_length),
    "negative_length": ("bad_reply", upstream.negative_length),
    "zero_length": ("bad_reply", upstream.zero_length),
    "longer_frame": ("bad_reply", upstream.longer_frame),
    "half_then_close": ("reset", upstream.half_then_close),
    "close_at_once": ("reset", upstream.close_at_once),
    "reset_at_once": ("reset", upstream.reset_at_once),
}


class BrokenServices(TestCase):
    """Each call fails in words, in the caller's form and with its ids, and nothing else suffers."""

    FORMS = {"zero_length": ("framed",), "negative_length": ("framed", "ttheader_framed"),
             "huge_length": ("framed", "ttheader_framed"), "longer_frame": wire.FRAMED_FORMS}

    def test_what_a_broken_service_answers(self):
        service = self.upstream(upstream.echo)
        daemon = self.pinned(service, timeout={"call": "20s"})
        for name, (reason, behaviour) in BROKEN.items():
            for form in self.FORMS.get(name, wire.FORMS):
                with self.subTest(broken=name, form=form), \
                        self.caller(daemon, form) as caller:
                    service.behaviour = behaviour
                    for _ in range(5):
                        with Timer() as timer:
                            answer = caller.call(text="hi")
                        self.assert_refused(answer, reason, 6)
                        self.assertLess(timer.seconds, SOON)
                    service.behaviour = upstream.echo
                    for i in range(10):
                        self.assertEqual(caller.call(text="good %d" % i).text, "good %d" % i)

    def test_an_unsolicited_reply_reaches_nobody(self):
        for behaviour in (upstream.twice, upstream.twice_apart):
            with self.subTest(behaviour=behaviour.__name__):
                service = self.upstream(behaviour)
                daemon = self.pinned(service)
                for i in range(30):
                    with self.caller(daemon, wire.FORMS[i % 4]) as caller:
                        self.assertEqual(caller.call(text="call %d" % i).text, "call %d" % i)
                        time.sleep(0.03 if behaviour is upstream.twice_apart else 0)
                daemon.stop()

    def test_nobody_is_there_after_accept(self):
        service = self.upstream(upstream.echo, on_accept=lambda sock: sock.close())
        daemon = self.pinned(service, timeout={"call": "20s"})
        for form in wire.FORMS:
            with self.subTest(form=form), self.caller(daemon, form) as caller:
                answer = caller.call()
                self.assertIsNotNone(answer.exception)
                self.assertRegex(answer.exception[1], "^bridled: (reset|connect_failed): ")

    def test_a_call_that_was_sent_is_not_sent_again(self):
        service = self.upstream(upstream.half_then_close)
        daemon = self.pinned([service, self.upstream(upstream.half_then_close)])
        with self.caller(daemon) as caller:
            for _ in range(20):
                self.assert_refused(caller.call(), "reset")
        self.assertLessEqual(len(service.packets), 20)
        self.assert_metric(daemon, 0, "bridle_retries_total", kind="failure")

    def test_a_service_that_is_killed_under_load(self):
        service = self.upstream(upstream.silent)
        daemon = self.pinned(service)
        callers = [self.caller(daemon, wire.FORMS[i % 4]) for i in range(12)]
        questions = [caller.send() for caller in callers]
        eventually(lambda: len(service.packets) == 12)
        service.drop_connections(upstream.Connection.reset)
        for caller, question in zip(callers, questions):
            answer = caller.receive()
            caller.must_answer(question, answer)
            self.assert_refused(answer, "reset", 6)
        service.behaviour = upstream.echo
        for caller in callers:
            self.assertEqual(caller.call(text="again").text, "again")

    def test_a_service_that_never_reads_costs_bounded_memory(self):
        stuck = []
        service = self.upstream(on_accept=stuck.append)
        daemon = self.pinned(service, timeout={"call": "30s"})
        before = daemon.rss()
        callers = [self.caller(daemon, timeout=0.5) for _ in range(10)]
        taken = 0
        for caller in callers:
            data = caller.packet(text="x" * (32 << 20)).pack()
            try:
                while data:
                    sent = caller.sock.send(data[:1 << 20])
                    data, taken = data[sent:], taken + sent
            except TimeoutError:
                pass
        self.assertLess(taken, 10 * (24 << 20))  # the kernel's buffers, on four ends
        self.assertLess(daemon.rss() - before, 64 << 20)
        for sock in stuck:
            sock.close()

    def test_a_caller_that_never_reads_costs_bounded_memory(self):
        text = "x" * (16 << 20)
        service = self.upstream(lambda c, p: c.write(p.answer(wire.result(text))))
        daemon = self.pinned(service, {"timeout": {"write_stall": "1s"}})
        before = daemon.rss()
        callers = [self.caller(daemon) for _ in range(10)]
        for caller in callers:
            caller.send()
        eventually(lambda: len(service.packets) == 10)
        time.sleep(0.5)
        self.assertLess(daemon.rss() - before, 64 << 20)
        eventually(lambda: daemon.metric("bridle_downstream_connections") == 0,
                   what="the end of the stalled connections")

    def test_a_caller_that_goes_away_leaves_nothing_behind(self):
        service = self.upstream(upstream.silent)
        daemon = self.pinned(service, methods={"Silent": {"timeout": "500ms"}})
        for i in range(40):
            caller = self.caller(daemon, wire.FORMS[i % 4])
            caller.send("Silent")
            if i % 2:
                sockets.reset(caller.sock)
            else:
                caller.close()
        eventually(lambda: daemon.metric("bridle_downstream_connections") == 0)
        service.behaviour = upstream.echo
        with self.caller(daemon) as caller:
            self.assertEqual(caller.call(text="x").text, "x")
        self.assertEqual(len(daemon.access_log(41)), 41)
