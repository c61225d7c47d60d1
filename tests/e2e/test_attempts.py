"""What becomes of calls that an endpoint fails: attempts, times, ejection, fallbacks, mirrors."""

import socket
import time

import ends
import h2_upstream
import upstream
from bridled import eventually
from peers import GOECHO, GOGRPC, HANG, msg, needs
from test_governance import overloaded
from test_policies import Policies, biz_error, exception, request, slow

ALL_MAY_RUN_TWICE = {"*": {"idempotent": True}}


# ---- second attempts ----

class Second(Policies):
    """One endpoint is ill and comes first, the other is Kitex's server."""

    def ill(self, behaviour, retry, **policy):
        self.sick = self.upstream(behaviour) if behaviour else None
        address = self.sick.address if behaviour else "unix:" + self.path("nobody.sock")
        self.well = self.serve(GOECHO, "server", "{}")
        policy = {"eject": "none", "balance": "round_robin", "methods": ALL_MAY_RUN_TWICE, **policy}
        return self.one([address, self.well], retry={"budget": "none", **retry}, **policy)

    def attempts_of(self, daemon, calls=6):
        """Of calls that are all answered well in the end, though one endpoint is ill."""
        with self.caller(daemon, "ttheader_framed") as caller:
            for _ in range(calls):
                self.assertEqual(self.ask(caller), "hello")
        attempts = [line["attempts"] for line in daemon.access_log(calls)]
        self.assertLessEqual(set(attempts), {1, 2})
        return attempts

    def check_kind(self, behaviour, retry, kind, **policy):
        daemon = self.ill(behaviour, retry, **policy)
        second = self.attempts_of(daemon).count(2)
        self.assertGreaterEqual(second, 2)
        self.assert_metric(daemon, second, "bridle_retries_total", service="svc", kind=kind)
        self.assert_metric(daemon, 0, "bridle_retry_budget_exhausted_total", service="svc")
        self.assert_metric(daemon, 6 + second, "bridle_attempts_total", service="svc")


@needs(GOECHO)
class Retries(Second):
    def test_each_failure_that_is_listed_is_tried_elsewhere(self):
        for on, behaviour, policy in (
                ("reset", upstream.reset_at_once, {}), ("reset", upstream.close_at_once, {}),
                ("timeout", upstream.silent, {"timeout": {"attempt": "50ms"}}),
                ("overload", overloaded, {}), ("exception:6", exception(6), {}),
                ("exception:1,7", exception(7), {}), ("biz:1,503", biz_error, {})):
            with self.subTest(on=on, behaviour=behaviour.__name__):
                self.check_kind(behaviour, {"on": ["connect", "unsent", on]}, "failure", **policy)

    def test_no_connection_is_tried_elsewhere_by_itself(self):
        self.check_kind(None, {"budget": "0%"}, "connect", methods={})

    def test_what_is_not_listed_is_not(self):
        for behaviour, reason in ((upstream.reset_at_once, "reset"), (exception(6), None),
                                  (overloaded, None), (upstream.garbage, "bad_reply")):
            with self.subTest(behaviour=behaviour.__name__):
                daemon = self.ill(behaviour, {"on": ["timeout", "exception:1"]},
                                  timeout={"attempt": "5s"})
                with self.caller(daemon, "ttheader_framed") as caller:
                    answers = [caller.call("echo", body=request()) for _ in range(4)]
                bad = [answer for answer in answers if answer.exception]
                self.assertEqual(len(bad), 2)
                for answer in bad:
                    if reason:
                        self.assert_refused(answer, reason, 6)
                self.assertEqual([l["attempts"] for l in daemon.access_log(4)], [1] * 4)

    def test_attempts_are_those_that_are_allowed(self):
        for attempts in (0, 1, 5):
            with self.subTest(attempts=attempts):
                sick = self.upstream(upstream.reset_at_once)
                daemon = self.one([sick.address], methods=ALL_MAY_RUN_TWICE, eject="none",
                                  retry={"on": ["reset"], "attempts": attempts, "budget": "none"})
                with self.caller(daemon) as caller:
                    answer = caller.call("echo")
                self.assert_refused(answer, "reset", 6)
                self.assertEqual(len(sick.packets), attempts + 1)
                self.assertEqual(daemon.access_log(1)[0]["attempts"], attempts + 1)
                if attempts:
                    self.assertIn("attempt %d of %d" % (attempts + 1, attempts + 1),
                                  answer.exception[1])

    def test_without_another_endpoint_the_same_is_tried(self):
        moods = iter([upstream.reset_at_once, upstream.echo])
        only = self.upstream(lambda connection, packet: next(moods)(connection, packet))
        daemon = self.one([only.address], methods=ALL_MAY_RUN_TWICE, retry={"on": ["reset"]})
        with self.caller(daemon) as caller:
            self.assertEqual(caller.call("echo").text, "hello")
        self.assertEqual(len(only.packets), 2)

    def test_waits_grow_between_attempts(self):
        times = []

        def note(connection, _packet):
            times.append(time.monotonic())
            connection.reset()
        for backoff, least in (("50ms", [0.05] * 3), ({"min": "40ms", "max": "60ms"}, [0.04] * 3),
                               ({"base": "40ms", "max": "80ms", "factor": 2, "jitter": "0%"},
                                [0.04, 0.08, 0.08])):
            with self.subTest(backoff=backoff):
                del times[:]
                daemon = self.one([self.upstream(note).address], methods=ALL_MAY_RUN_TWICE,
                                  retry={"on": ["reset"], "attempts": 3, "backoff": backoff,
                                         "budget": "none"}, eject="none")
                with self.caller(daemon) as caller:
                    self.assert_refused(caller.call("echo"), "reset")
                waits = [b - a for a, b in zip(times, times[1:])]
                self.assertEqual(len(waits), 3)
                for wait, bound in zip(waits, least):
                    self.assertGreaterEqual(wait, bound - 0.002)

    def test_no_attempt_begins_after_the_duration(self):
        sick = self.upstream(upstream.reset_at_once)
        daemon = self.one([sick.address], methods=ALL_MAY_RUN_TWICE, eject="none",
                          retry={"on": ["reset"], "attempts": 5, "backoff": "100ms",
                                 "duration": "150ms", "budget": "none"})
        with self.caller(daemon) as caller:
            self.assert_refused(caller.call("echo"), "reset")
        self.assertIn(len(sick.packets), (1, 2))

    def test_a_chain_of_retries_is_cut_unless_that_is_ignored(self):
        for chain, packets in (("stop", 1), ("ignore", 3)):
            with self.subTest(chain=chain):
                sick = self.upstream(upstream.reset_at_once)
                daemon = self.one([sick.address], methods=ALL_MAY_RUN_TWICE, eject="none",
                                  retry={"on": ["reset"], "chain": chain, "budget": "none"})
                with self.caller(daemon, "ttheader_framed") as caller:
                    caller.call("echo", strs={"RPC_PERSIST_retryreq": "1"})
                self.assertEqual(len(sick.packets), packets)

    def test_a_service_that_is_down_sees_a_quarter_more_at_most(self):
        """With the default budget: 20 % of the calls and three a second."""
        sick = self.upstream(upstream.reset_at_once)
        daemon = self.one([sick.address], methods=ALL_MAY_RUN_TWICE, eject="none",
                          retry={"on": ["connect", "unsent", "reset"]})
        began, calls = time.monotonic(), 0
        with self.caller(daemon) as caller:
            while time.monotonic() - began < 2 or calls < 300:
                caller.call("echo")
                calls += 1
        took = time.monotonic() - began
        self.assertLessEqual(len(sick.packets), 1.2 * calls + 3 * took + 4)
        self.assertGreater(len(sick.packets), 1.1 * calls)
        if calls > 200 * took:
            self.assertLessEqual(len(sick.packets) / calls, 1.25)
        self.assertGreater(daemon.metric("bridle_retry_budget_exhausted_total", service="svc"), 0)


@needs(GOECHO)
class Shots(Second):
    """Backups, both kinds mixed, and everybody at once."""

    def test_a_backup_answers_when_the_first_is_slow(self):
        self.check_kind(upstream.silent, {"type": "backup", "delay": "30ms"}, "backup")

    def test_the_first_good_answer_wins(self):
        """An exception that comes before it does not."""
        late = slow(0.1, exception(6))
        daemon = self.ill(late, {"type": "backup", "delay": "20ms"})
        self.attempts_of(daemon)
        self.check_kind(exception(6), {"type": "mixed", "delay": "5s", "on": ["exception:6"]},
                        "failure")

    def test_a_fast_answer_needs_no_backup(self):
        daemon = self.one(self.kitex(2), methods=ALL_MAY_RUN_TWICE,
                          retry={"type": "backup", "delay": "10s"})
        self.ask_all(daemon, 6)
        self.assertEqual(daemon.metric("bridle_retries_total"), 0)

    def test_mixed_shoots_after_a_failure_and_after_its_time(self):
        for behaviour, delay, kind in ((upstream.silent, "40ms", "backup"),
                                       (upstream.reset_at_once, "5s", "failure")):
            with self.subTest(behaviour=behaviour.__name__):
                self.check_kind(behaviour, {"type": "mixed", "delay": delay, "on": ["reset"]}, kind)

    def test_fork_asks_all_and_takes_the_first_good_answer(self):
        for behaviour in (upstream.silent, upstream.reset_at_once, exception(6)):
            with self.subTest(behaviour=behaviour.__name__):
                daemon = self.ill(behaviour, {"type": "fork"})
                self.assertEqual(self.attempts_of(daemon), [2] * 6)

    def test_broadcast_needs_all_the_answers(self):
        first, second = self.upstream(), self.upstream()
        daemon = self.one([first.address, second.address], retry="broadcast",
                          methods=ALL_MAY_RUN_TWICE)
        with self.caller(daemon) as caller:
            for _ in range(5):
                self.assertEqual(caller.call("echo").text, "hello")
            self.assertEqual((len(first.packets), len(second.packets)), (5, 5))
            second.behaviour = exception(6)
            self.assertEqual(caller.call("echo").exception, (6, "no"))
            second.behaviour = upstream.reset_at_once
            self.assert_refused(caller.call("echo"), "reset")

    def test_they_come_out_of_the_budget(self):
        daemon = self.ill(upstream.silent, {"type": "backup", "delay": "10ms", "budget": "1%"},
                          timeout="300ms")
        with self.caller(daemon) as caller:
            answers = [caller.call("echo", body=request()) for _ in range(16)]
        lost = [answer for answer in answers if answer.exception]
        self.assertGreater(len(lost), 0)
        for answer in lost:
            self.assert_refused(answer, "timeout")
        self.assert_metric(daemon, len(lost), "bridle_retry_budget_exhausted_total", service="svc")


def dying(status):
    """A gRPC server that answers every call with that status once it has all of it."""
    def answer(peer, frame):
        if frame is not None and frame.is_end:
            peer.headers(frame.stream, h2_upstream.REPLY_FIELDS[:1] + [
                ("content-type", "application/grpc"), ("grpc-status", str(status)),
                ("grpc-message", "dying")], True)
    return answer


@needs(GOGRPC)
class Grpc(Policies):
    """The same in gRPC, with its own library on both sides."""

    def attempts_of(self, behaviour, retry, calls=6, **policy):
        sick = h2_upstream.Upstream(behaviour)
        self.addCleanup(sick.close)
        well = self.server(GOGRPC, "server", "{}")
        daemon = self.one([sick.address, well.address], protocol="grpc", balance="round_robin",
                          methods=ALL_MAY_RUN_TWICE, eject="none",
                          retry={"budget": "none", **retry}, **policy)
        for _ in range(calls):
            self.assertEqual(self.grpc(daemon).code, 0)
        attempts = [line["attempts"] for line in daemon.access_log(calls)]
        self.assertLessEqual(set(attempts), {1, 2})
        sick.close()
        return attempts

    def test_statuses_that_are_listed_are_tried_elsewhere(self):
        for status, on in ((14, "grpc:4,14"), (4, "grpc:4,14"), (8, "overload")):
            with self.subTest(status=status):
                self.assertIn(2, self.attempts_of(dying(status), {"on": [on]}))

    def test_no_status_is_tried_elsewhere_that_is_not_listed(self):
        sick = h2_upstream.Upstream(dying(14))
        self.addCleanup(sick.close)
        daemon = self.one([sick.address], protocol="grpc", methods=ALL_MAY_RUN_TWICE,
                          retry={"on": ["grpc:4"]})
        out = self.grpc(daemon)
        self.assertEqual((out.code, out.text), (14, "dying"))
        self.assertEqual(daemon.access_log(1)[0]["attempts"], 1)

    def test_a_backup_answers_when_the_first_is_slow(self):
        for retry in ({"type": "backup", "delay": "30ms"},
                      {"type": "mixed", "delay": "30ms", "on": ["grpc:14"]}):
            with self.subTest(**retry):
                self.assertIn(2, self.attempts_of(ends.silent, retry))

    def test_mixed_needs_no_patience_with_failures(self):
        self.assertIn(2, self.attempts_of(
            dying(14), {"type": "mixed", "delay": "20s", "on": ["grpc:14"]}))

    def test_fork_and_broadcast_ask_all(self):
        for retry in ("fork", "broadcast"):
            with self.subTest(retry=retry):
                servers = [self.server(GOGRPC, "server", "{}") for _ in range(2)]
                daemon = self.one([server.address for server in servers], protocol="grpc",
                                  methods=ALL_MAY_RUN_TWICE, retry=retry)
                for _ in range(4):
                    self.assertEqual(self.grpc(daemon).code, 0)
                self.assertEqual([line["attempts"] for line in daemon.access_log(4)], [2] * 4)
                if retry == "broadcast":
                    self.assertEqual([len(server.said("began")) for server in servers], [4, 4])

    def test_attempts_have_a_time(self):
        self.assertIn(2, self.attempts_of(ends.silent, {"on": ["timeout"]},
                                          timeout={"attempt": "60ms"}))

    def test_what_does_not_fit_the_buffer_is_not_sent_again(self):
        sick = h2_upstream.Upstream(dying(14))
        self.addCleanup(sick.close)
        daemon = self.one([sick.address], protocol="grpc", methods=ALL_MAY_RUN_TWICE,
                          retry={"on": ["grpc:14"], "buffer": "4KiB"})
        for size, attempts in ((100, 3), (10000, 1)):
            out = self.grpc(daemon, messages=[msg(blob=b"x" * size)])
            self.assertEqual(out.code, 14, out.text)
            daemon.logged = getattr(daemon, "logged", 0) + 1
            line = daemon.access_log(daemon.logged)[-1]
            self.assertEqual(line["attempts"], attempts)


# ---- time ----

@needs(GOECHO)
class Times(Policies):
    def timed(self, policy, reason, least, most=3.0, **meta):
        """A call to somebody who never answers is refused after that time."""
        daemon = self.one([self.upstream(upstream.silent).address], **policy)
        with self.caller(daemon, "ttheader_framed") as caller:
            began = time.monotonic()
            self.assert_refused(caller.call("echo", **meta), reason, 6)
            took = time.monotonic() - began
        self.assertGreaterEqual(took, least - 0.002)
        self.assertLess(took, most)
        return daemon

    def test_the_smaller_of_ours_and_the_callers(self):
        self.timed({"timeout": "150ms"}, "timeout", 0.15, ints={12: "9000"})
        self.timed({"timeout": {"call": "9s"}}, "caller_deadline", 0.15, ints={12: "150"})
        self.timed({"timeout": {"default": "150ms"}}, "timeout", 0.15)
        self.timed({"timeout": {"call": "150ms", "default": "9s"}}, "timeout", 0.15)

    def test_what_is_no_time_is_ignored(self):
        for junk in ("0", "-5", "soon", "", "1e3"):
            with self.subTest(junk=junk):
                self.timed({"timeout": {"default": "50ms"}}, "timeout", 0.05, ints={12: junk})

    def test_one_attempt(self):
        self.timed({"timeout": {"attempt": "100ms"}, "retry": "none"}, "timeout", 0.1)

    def test_the_default_does_not_shorten_what_a_caller_states(self):
        late = self.upstream(slow(0.2))
        daemon = self.one([late.address], timeout={"default": "50ms"})
        with self.caller(daemon, "ttheader_framed") as caller:
            self.assertEqual(caller.call("Echo", ints={12: "20000"}).text, "hello")

    def test_a_margin_answers_before_the_caller_gives_up(self):
        """At most a tenth of its time; and without one a little after it."""
        for margin, least, most in (("none", 2.0, 9), ("1s", 1.8, 1.999)):
            with self.subTest(margin=margin):
                daemon = self.timed({"timeout": {"margin": margin}}, "caller_deadline", least, most,
                                    ints={12: "2000"})
                total = daemon.access_log(1)[0]["us"]["total"] / 1e6
                self.assertGreaterEqual(total, least)
                self.assertLess(total, most)

    def test_the_time_that_is_left_is_passed_on(self):
        """As it came, unless less than 99 % of it is left or ours is smaller."""
        for policy, stated, passed in (({}, "5000", "5000"), ({"timeout": "2s"}, "60000", None),
                                       ({"timeout": "9s"}, None, None)):
            with self.subTest(policy=policy, stated=stated):
                daemon = self.one(self.kitex(1), **policy)
                seen = self.echo_meta(daemon, ints={12: stated} if stated else {})
                if passed or not stated:
                    self.assertEqual(seen.get("int.12"), passed)
                else:
                    self.assertTrue(1900 <= int(seen["int.12"]) <= 2000, seen)

    def test_a_connection_that_cannot_be_made(self):
        """A listener whose queue is full answers no SYN; the next endpoint does."""

        full = socket.socket()
        self.addCleanup(full.close)
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
            fillers.append(filler)
            self.addCleanup(filler.close)
        (well,) = self.kitex(1)
        address = "%s:%d" % full.getsockname()
        daemon = self.one([address, well], timeout={"connect": "100ms"}, balance="round_robin")
        went = self.ask_all(daemon, 4)
        self.assertEqual(set(went), {well})
        daemon = self.one([address], timeout={"connect": "100ms"}, retry="none")
        with self.caller(daemon) as caller:
            began = time.monotonic()
            self.assert_refused(caller.call("echo"), "connect_failed")
            self.assertGreaterEqual(time.monotonic() - began, 0.099)

    @needs(GOGRPC)
    def test_of_grpc(self):
        server = self.server(GOGRPC, "server", "{}")
        daemon = self.one([server.address], protocol="grpc", timeout="200ms")
        out = self.grpc(daemon, HANG)
        self.assertEqual(out.code, 4, out.text)
        self.assertTrue(out.text.startswith("bridled: timeout: "), out.text)
        server.await_said("ended %s 1" % HANG)  # and it was canceled there


# ---- ejection ----

@needs(GOECHO)
class Ejection(Policies):
    def of(self, daemon, address):
        (left,) = [e["ejected_for_ms"] for e in daemon.get_json("/services/svc")["endpoints"]
                   if e["address"] == address]
        return left

    def test_who_fails_in_a_row_is_left_out_and_comes_back(self):
        """Of each kind that counts; callers hear of it only as often as it takes."""
        for behaviour, reason, more in ((upstream.reset_at_once, "reset", {}),
                                        (upstream.garbage, "bad_reply", {}),
                                        (upstream.silent, "timeout", {"timeout": "80ms"})):
            with self.subTest(reason=reason):
                sick = self.upstream(behaviour)
                well = self.kitex(3)
                daemon = self.one([sick.address, *well], balance="round_robin",
                                  eject={"consecutive": 3, "for": "1s"}, **more)
                with self.caller(daemon) as caller:
                    answers = [caller.call("echo", body=request()) for _ in range(40)]
                bad = [answer for answer in answers if answer.exception]
                self.assertEqual(len(bad), 3)
                for answer in bad:
                    self.assert_refused(answer, reason, 6)
                self.assertTrue(0 < self.of(daemon, sick.address) <= 1000)
                self.assert_metric(daemon, 1, "bridle_ejections_total", service="svc")
                self.assert_metric(daemon, 1, "bridle_endpoints", service="svc", state="ejected")
                sick.behaviour = upstream.silent if reason == "timeout" else slow(0)
                eventually(lambda: self.of(daemon, sick.address) == 0, what="its return")
                before = len(sick.packets)
                with self.caller(daemon) as caller:
                    for _ in range(4):
                        caller.call("echo", body=b"\0")
                self.assertGreater(len(sick.packets), before)

    def test_connections_that_fail_count_too(self):
        dead, well = "unix:" + self.path("nobody.sock"), self.kitex(3)
        daemon = self.one([dead, *well], eject={"consecutive": 2})
        self.ask_all(daemon, 20)
        self.assertGreater(self.of(daemon, dead), 5000)
        self.assert_metric(daemon, 2, "bridle_attempts_total", outcome="connect_failed")

    def test_exceptions_and_business_errors_never_count(self):
        for behaviour in (exception(6), overloaded, biz_error):
            with self.subTest(behaviour=behaviour.__name__):
                sick, well = self.upstream(behaviour), self.kitex(2)
                daemon = self.one([sick.address, *well], eject={"consecutive": 1})
                with self.caller(daemon, "ttheader_framed") as caller:
                    for _ in range(12):
                        caller.call("echo", body=request())
                self.assertEqual(self.of(daemon, sick.address), 0)
                self.assertEqual(len(sick.packets), 4)

    def test_never_the_last_and_never_more_than_the_cap(self):
        for count, at_most, out in ((1, "30%", 0), (2, "30%", 1), (2, "100%", 1), (4, "50%", 2)):
            with self.subTest(count=count, at_most=at_most):
                sick = [self.upstream(upstream.reset_at_once).address for _ in range(count)]
                daemon = self.one(sick, retry="none",
                                  eject={"consecutive": 1, "for": "60s", "at_most": at_most},
                                  balance={"type": "round_robin", "panic": "0%"})
                with self.caller(daemon) as caller:
                    for _ in range(4 * count):
                        self.assert_refused(caller.call("echo"), "reset")
                self.assertEqual(sum(self.of(daemon, one) > 0 for one in sick), out)

    def test_when_most_are_out_all_are_taken(self):
        """Panic: two of three are out, which is more than half."""
        sick, (well,) = [self.upstream(upstream.reset_at_once) for _ in range(2)], self.kitex(1)
        daemon = self.one([sick[0].address, sick[1].address, well], retry="none",
                          balance="round_robin",
                          eject={"consecutive": 1, "for": "60s", "at_most": "100%"})
        with self.caller(daemon) as caller:
            for _ in range(3):
                caller.call("echo", body=request())
            eventually(lambda: self.panics(caller, sick), what="the panic")

    @staticmethod
    def panics(caller, sick):
        before = sum(len(s.packets) for s in sick)
        for _ in range(3):
            caller.call("echo", body=request())
        return sum(len(s.packets) for s in sick) - before == 2


# ---- what answers instead, and what is copied ----

@needs(GOECHO)
class Instead(Policies):
    def falling(self, endpoints, on, **policy):
        self.cache = self.kitex(1)
        return self.one(endpoints, {"cache": {"endpoints": self.cache}},
                        fallback={"on": on, "to": {"service": "cache"}}, **policy)

    def test_another_service_answers_for_what_is_listed(self):
        for on, behaviour, policy in (
                ("timeout", upstream.silent, {"timeout": {"call": "9s", "attempt": "60ms"}}),
                ("no_endpoint", upstream.echo, {"subsets": {"lab": {"lane": "lab"}},
                                                "routes": [{"to": "lab"}]}),
                ("any", upstream.reset_at_once, {}),
                ("any", exception(6), {}), ("any", upstream.garbage, {})):
            with self.subTest(on=on, behaviour=behaviour.__name__):
                daemon = self.falling([self.upstream(behaviour).address], [on], **policy)
                self.assertEqual(set(self.ask_all(daemon, 4)), set(self.cache))

    def test_a_service_that_cannot_be_reached(self):
        daemon = self.falling(["unix:" + self.path("nobody.sock")], ["no_endpoint"])
        self.assertEqual(set(self.ask_all(daemon, 4)), set(self.cache))

    @needs(GOGRPC)
    def test_another_service_answers_calls_of_grpc(self):
        """Whose head comes before the rest, when it is already known that nobody will answer."""
        sick = h2_upstream.Upstream(dying(14))
        self.addCleanup(sick.close)
        well = self.server(GOGRPC, "server", "{}")
        for on, address, policy in (
                ("no_endpoint", "unix:" + self.path("nobody.sock"), {}),
                ("no_endpoint", sick.address, {"subsets": {"lab": {"lane": "lab"}},
                                               "routes": [{"to": "lab"}]}),
                ("any", sick.address, {"degrade": "100%"}), ("any", sick.address, {})):
            with self.subTest(on=on, **policy):
                daemon = self.one([address], {"cache": {"endpoints": [well.address],
                                                        "protocol": "grpc"}}, protocol="grpc",
                                  fallback={"on": [on], "to": {"service": "cache"}}, **policy)
                self.assertEqual([self.grpc(daemon).code for _ in range(4)], [0] * 4)

    def test_what_is_not_listed_goes_back_to_the_caller(self):
        daemon = self.falling([self.upstream(upstream.reset_at_once).address],
                              ["timeout", "breaker", "no_endpoint"])
        with self.caller(daemon) as caller:
            self.assert_refused(caller.call("echo"), "reset", 6)

    def test_an_open_breaker(self):
        daemon = self.falling([self.upstream(exception(6)).address], ["breaker"],
                              breaker={"min_samples": 3, "open": "60s", "window": "60s"})
        with self.caller(daemon, "ttheader_framed") as caller:
            for _ in range(3):
                self.assertIsNone(self.ask(caller))
            for _ in range(5):
                self.assertEqual(self.ask(caller), "hello")
        self.assertEqual([line["endpoint"] for line in daemon.access_log(8)[3:]], self.cache * 5)

    def test_it_is_followed_once(self):
        dead = "unix:" + self.path("nobody.sock")
        daemon = self.one([dead], {"b": {"endpoints": [dead + "2"], "fallback": {
            "on": ["any"], "to": {"service": "c"}}}, "c": {"endpoints": self.kitex(1)}},
                          fallback={"on": ["any"], "to": {"service": "b"}})
        with self.caller(daemon) as caller:
            self.assert_refused(caller.call("echo"), "connect_failed", 6)

    def test_copies_go_to_a_mirror_and_nobody_waits_for_it(self):
        for behaviour in (upstream.silent, upstream.echo, upstream.reset_at_once, upstream.garbage):
            with self.subTest(behaviour=behaviour.__name__):
                shadow = self.upstream(behaviour)
                daemon = self.one(self.kitex(1), {"shadow": {"endpoints": [shadow.address]}},
                                  routes=[{"mirror": {"service": "shadow"}}])
                self.ask_all(daemon, 20)
                eventually(lambda s=shadow: len(s.packets) == 20, what="the copies")
                self.assertEqual({packet.method for packet in shadow.packets}, {"echo"})
                slowest = max(line["us"]["total"] for line in daemon.access_log(20))
                self.assertLess(slowest, 5e6)
                shadow.close()

    def test_a_long_call_is_not_copied(self):
        shadow = self.upstream()
        daemon = self.one([self.upstream().address], {"shadow": {"endpoints": [shadow.address]}},
                          routes=[{"mirror": "shadow", "policy": {"retry": {"buffer": "64KiB"}}}])
        with self.caller(daemon) as caller:
            for text in ("x" * 200000, "short", "x" * 20000):
                self.assertEqual(caller.call(text=text).text, text)
        eventually(lambda: len(shadow.packets) == 2, what="the copies")
        self.assertEqual([len(packet.text) for packet in shadow.packets], [5, 20000])

    def test_a_share_is_copied(self):
        shadow = self.upstream()
        daemon = self.one(self.kitex(1), {"shadow": {"endpoints": [shadow.address]}},
                          routes=[{"mirror": {"service": "shadow", "percent": "25%"}}])
        self.ask_all(daemon, 400)
        self.assertAlmostEqual(len(shadow.packets), 100, delta=62)  # seven deviations

    def test_a_share_is_refused(self):
        daemon = self.one(self.kitex(1), degrade="25%", retry={"attempts": 5})
        with self.caller(daemon) as caller:
            answers = [caller.call("echo", body=request()) for _ in range(400)]
        refused = [answer for answer in answers if answer.exception]
        for answer in refused:
            self.assert_refused(answer, "degraded", 6)
        self.assertAlmostEqual(len(refused), 100, delta=62)
        self.assert_metric(daemon, len(refused), "bridle_calls_total", reason="degraded")
        self.assert_metric(daemon, 400 - len(refused), "bridle_attempts_total")
