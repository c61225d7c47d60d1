"""`correlate: connection`: calls that a legacy application makes while it answers one."""

import json
import os
import random
import subprocess
import sys
import threading
import time

import h2_upstream
import sockets
import upstream
import wire
from bridled import TOP, TestCase, allow, eventually
from test_tap import Tap
from upgrading import UpgradeCase

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00-%s-00f067aa0ba902b7-01" % TRACE
APPLICATION = os.path.join(TOP, "tests", "e2e", "calling_application.py")
CARRIED = {"RPC_PERSIST_env": "gray", "RPC_PERSIST_Mixed_Case": "kept", "RPC_TRANSIT_hop": "one",
           "RPC_TRANSIT_traceparent": PARENT, "other": "header"}
INTS = {wire.LOG_ID: "log-of-the-first", wire.FROM_SERVICE: "first.caller"}


class CorrelateCase(TestCase):
    """Callers -> `in` -> the application -> `out`, on a unix socket -> a service that reports."""

    def application(self, *words, name="app.sock"):
        process = subprocess.Popen(
            [sys.executable, APPLICATION, self.path(name), self.directory, *words],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, start_new_session=True)
        self.addCleanup(self.end_application, process)
        self.assertEqual(process.stdout.readline(), "ready\n")
        return process

    @staticmethod
    def end_application(process):
        try:
            os.killpg(process.pid, 9)  # with those that it has forked
        except ProcessLookupError:
            pass
        process.wait()
        process.stdout.close()

    def daemon(self, more=None, app=None, services=None, **out):
        self.mesh = self.upstream(upstream.report)
        self.grpc = h2_upstream.Upstream(h2_upstream.echo)
        self.addCleanup(self.grpc.close)
        out = {"service": "mesh", "caller": "node", **out}
        return self.run_daemon({
            "node": {"service": "legacy.app"},
            "listeners": [
                {"name": "in", "address": "127.0.0.1:0", "service": "app"},
                {"name": "out", "address": "unix:" + self.path("out.sock"), **out},
                {"name": "grpc", "address": "unix:" + self.path("grpc.sock"), "service": "grpc"}],
            "services": {
                "app": {"endpoints": ["unix:" + self.path("app.sock")], "protocol": "framed",
                        "correlate": "connection", **(app or {})},
                "mesh": {"endpoints": [self.mesh.address], "protocol": "ttheader"},
                "grpc": {"endpoints": [self.grpc.address], "protocol": "grpc"},
                **(services or {})},
            **(more or {})})

    def run_daemon(self, config):
        return self.bridled(config)

    def caller(self, daemon, form="ttheader_framed", listener="in", **kwargs):
        return super().caller(daemon, form, listener, **kwargs)

    def ask(self, caller, ints=None, strs=None, method="Greet", **orders):
        """What arrived of the outgoing call."""
        answer = caller.call(method, json.dumps({"to": "out.sock", **orders}), ints=ints or INTS,
                             strs=CARRIED if strs is None else strs)
        self.assertIsNone(answer.exception, answer)
        return json.loads(answer.text)

    def assert_untied(self, seen):
        self.assertFalse([k for k in seen["strs"] if k.startswith("RPC_")], seen)
        self.assertNotIn(str(wire.FROM_METHOD), seen["ints"])
        self.assertNotEqual(seen["ints"].get(str(wire.LOG_ID)), INTS[wire.LOG_ID])

    def assert_counted(self, daemon, result, count, service="app"):
        self.assert_metric(daemon, count, "bridle_correlated_total", service=service, result=result)


class One(CorrelateCase):
    def test_a_legacy_call_carries_what_the_call_in_flight_does(self):
        self.application()
        daemon = self.daemon()
        seen = self.ask(self.caller(daemon), {**INTS, wire.RPC_TIMEOUT: "20000"})
        strs, ints = seen["strs"], seen["ints"]
        self.assertEqual(strs.get("RPC_PERSIST_env"), "gray", seen)
        self.assertEqual(strs.get("RPC_PERSIST_Mixed_Case"), "kept")
        self.assertEqual(strs.get("RPC_TRANSIT_traceparent"), PARENT)
        self.assertNotIn("RPC_TRANSIT_hop", strs)  # it was for the application alone
        self.assertNotIn("other", strs)
        self.assertEqual(ints[str(wire.LOG_ID)], "log-of-the-first")
        self.assertEqual(ints[str(wire.FROM_METHOD)], "Greet")
        self.assertEqual(ints[str(wire.FROM_SERVICE)], "legacy.app")
        self.assertLess(int(ints[str(wire.RPC_TIMEOUT)]), 20000)
        self.assertGreater(int(ints[str(wire.RPC_TIMEOUT)]), 20000 - 1000 * allow(10))
        self.assert_counted(daemon, "tied", 1)

    def test_a_caller_that_states_no_time_gives_none_on(self):
        self.application()
        seen = self.ask(self.caller(self.daemon(services={"mesh": {
            "endpoints": [self.mesh_later()], "protocol": "ttheader",
            "timeout": {"default": "7s"}}})))
        self.assertLessEqual(int(seen["ints"][str(wire.RPC_TIMEOUT)]), 7000)
        self.assertEqual(seen["strs"].get("RPC_PERSIST_env"), "gray")

    def test_one_at_a_time_all_are_tied_whichever_workers_they_are_on(self):
        self.application()
        daemon = self.daemon({"workers": 2})
        for i in range(60):
            with self.caller(daemon) as caller:  # connections are spread over the workers
                seen = self.ask(caller, {wire.LOG_ID: "log-%d" % i}, {"RPC_PERSIST_n": str(i)})
            self.assertEqual(seen["strs"].get("RPC_PERSIST_n"), str(i), seen)
            self.assertEqual(seen["ints"][str(wire.LOG_ID)], "log-%d" % i)
        self.assert_counted(daemon, "tied", 60)

    def test_rules_of_routes_see_what_a_call_is_tied_to_and_may_change_it(self):
        self.application()
        daemon = self.daemon(services={"mesh": {
            "endpoints": [self.mesh_later()], "protocol": "ttheader",
            "routes": [{"match": {"meta.env": "gray", "caller_method": "Greet"},
                        "set": {"header.route": "seen", "meta.Mixed_Case": "set"}}, {}]}})
        seen = self.ask(self.caller(daemon))
        self.assertEqual(seen["strs"].get("route"), "seen", seen)
        self.assertEqual(seen["strs"].get("RPC_PERSIST_env"), "gray")
        self.assertEqual(seen["strs"].get("RPC_PERSIST_Mixed_Case"), "set")

    def test_what_routes_change_in_the_first_call_is_handed_on_changed(self):
        self.application()
        daemon = self.daemon(app={"protocol": "ttheader", "routes": [
            {"set": {"meta.env": "blue", "meta.new": "one"}, "remove": ["meta.Mixed_Case"]}]})
        strs = self.ask(self.caller(daemon))["strs"]
        self.assertEqual((strs.get("RPC_PERSIST_env"), strs.get("RPC_PERSIST_new")), ("blue", "one"))
        self.assertNotIn("RPC_PERSIST_Mixed_Case", strs)

    def test_legacy_callers_have_a_log_id_and_a_method_to_hand_on(self):
        self.application()
        daemon = self.daemon()
        answer = self.caller(daemon, "framed").call("Greet", json.dumps({"to": "out.sock"}))
        seen = json.loads(answer.text)
        lines = {line["listener"]: line for line in daemon.access_log(2)}
        self.assertEqual(seen["ints"][str(wire.LOG_ID)], lines["in"]["log_id"])
        self.assertEqual(lines["out"]["log_id"], lines["in"]["log_id"])
        self.assertEqual(seen["ints"][str(wire.FROM_METHOD)], "Greet")
        self.assertFalse(seen["strs"].keys() & CARRIED.keys(), seen)

    def test_an_application_that_was_started_anew_is_known_again(self):
        first = self.application()
        daemon = self.daemon()
        self.assertEqual(self.ask(self.caller(daemon))["strs"].get("RPC_PERSIST_env"), "gray")
        self.end_application(first)
        os.unlink(self.path("app.sock"))
        self.application()
        with self.caller(daemon) as caller:
            self.assertEqual(self.ask(caller)["strs"].get("RPC_PERSIST_env"), "gray")
        self.assert_counted(daemon, "tied", 2)

    def test_more_than_is_kept_is_not_handed_on_in_part(self):
        self.application()
        daemon = self.daemon(app={"protocol": "ttheader"})
        for strs in ({"RPC_PERSIST_big": "x" * 20000},
                     {"RPC_PERSIST_%d" % i: "x" for i in range(80)}):
            self.assert_untied(self.ask(self.caller(daemon), strs=strs))
        self.assert_counted(daemon, "large", 2)
        self.assert_counted(daemon, "tied", 0)

    def test_a_tap_tells_which_calls_were_tied(self):
        self.application()
        daemon = self.daemon()
        tap = Tap(daemon)
        self.addCleanup(tap.close)
        self.ask(self.caller(daemon))
        told = {line["listener"]: line for line in tap.lines(2)}
        self.assertIs(told["out"].get("correlated"), True, told)
        self.assertNotIn("correlated", told["in"])
        self.assertEqual(told["out"]["metadata"]["call"]["persistent"]["env"], "gray")
        self.assertEqual(told["out"]["trace_id"], TRACE)

    def mesh_later(self):
        """For a service of the test's own: the address of one that reports."""
        service = self.upstream(upstream.report)
        return service.address


class Headers(CorrelateCase):
    """Applications that speak TTHeader or gRPC, and hand nothing on."""

    def test_a_header_is_given_what_it_lacks(self):
        self.application()
        daemon = self.daemon()
        seen = self.ask_header(daemon, {}, {})
        strs, ints = seen["strs"], seen["ints"]
        self.assertEqual(strs.get("RPC_PERSIST_env"), "gray", seen)
        self.assertEqual(strs.get("RPC_PERSIST_Mixed_Case"), "kept")
        self.assertEqual(strs.get("RPC_TRANSIT_traceparent"), PARENT)
        self.assertNotIn("RPC_TRANSIT_hop", strs)
        self.assertEqual(ints[str(wire.LOG_ID)], "log-of-the-first")
        self.assertEqual(ints[str(wire.FROM_METHOD)], "Greet")
        self.assertLessEqual(int(ints[str(wire.RPC_TIMEOUT)]), 9000)

    def test_what_a_header_says_stays(self):
        self.application()
        daemon = self.daemon(caller="as_stated")
        own = "00-11111111111111111111111111111111-2222222222222222-00"
        seen = self.ask_header(
            daemon, {wire.LOG_ID: "own", wire.FROM_METHOD: "Own", wire.RPC_TIMEOUT: "3000"},
            {"RPC_PERSIST_ENV": "own", "RPC_TRANSIT_mixed_case": "own", "x": "y",
             "RPC_TRANSIT_traceparent": own})
        strs, ints = seen["strs"], seen["ints"]
        self.assertEqual(strs, {"RPC_PERSIST_ENV": "own", "RPC_TRANSIT_mixed_case": "own", "x": "y",
                                "RPC_TRANSIT_traceparent": own})
        self.assertEqual((ints[str(wire.LOG_ID)], ints[str(wire.FROM_METHOD)],
                          ints[str(wire.RPC_TIMEOUT)]), ("own", "Own", "3000"))
        self.assert_counted(daemon, "tied", 1)

    def test_the_method_that_calls_is_known_better_than_who_may_not_state_it(self):
        self.application()
        ints = self.ask_header(self.daemon(), {wire.FROM_METHOD: "Own"}, {})["ints"]
        self.assertEqual(ints.get(str(wire.FROM_METHOD)), "Greet")

    def test_the_shorter_of_two_times_counts(self):
        self.application()
        ints = self.ask_header(self.daemon(), {wire.RPC_TIMEOUT: "50000"}, {})["ints"]
        self.assertLessEqual(int(ints[str(wire.RPC_TIMEOUT)]), 9000)

    def ask_header(self, daemon, ints, strs):
        caller = self.caller(daemon)
        orders = {"to": "out.sock", "form": "ttheader_framed", "strs": strs, "ints": ints}
        answer = caller.call("Greet", json.dumps(orders), strs=CARRIED,
                             ints={**INTS, wire.RPC_TIMEOUT: "9000"})
        return json.loads(answer.text)

    def ask_grpc(self, caller, **orders):
        answer = caller.call("Greet", json.dumps({"to": "grpc.sock", "form": "grpc", **orders}),
                             strs=CARRIED, ints={**INTS, wire.RPC_TIMEOUT: "9000"})
        self.assertEqual(answer.text, "0", answer)
        (_, stream), = self.grpc.calls()[-1:]
        return stream

    def test_a_grpc_call_is_given_what_it_lacks(self):
        self.application()
        daemon = self.daemon()
        stream = self.ask_grpc(self.caller(daemon))
        self.assertEqual(stream.get("rpc-persist-env"), "gray", stream)
        self.assertEqual(stream.get("rpc-persist-mixed-case"), "kept")
        self.assertEqual(stream.get("traceparent"), PARENT)
        self.assertIsNone(stream.get("rpc-transit-hop"))
        self.assertEqual(stream.get("stream-log-id"), "log-of-the-first")
        self.assertEqual(stream.get("source-method"), "Greet")
        self.assertIsNotNone(stream.get("grpc-timeout"))

    def test_what_a_grpc_call_says_stays(self):
        self.application()
        daemon = self.daemon()
        stream = self.ask_grpc(self.caller(daemon), fields=[
            ("rpc-persist-env", "own"), ("stream-log-id", "own"), ("source-method", "Own"),
            ("b3", "0")])
        said = [f for f in stream.fields if f[0] in ("rpc-persist-env", "stream-log-id",
                                                     "source-method", "b3", "traceparent")]
        self.assertEqual(said, [("rpc-persist-env", "own"), ("stream-log-id", "own"),
                                ("source-method", "Own"), ("b3", "0")])
        self.assertEqual(stream.get("rpc-persist-mixed-case"), "kept")


class Never(CorrelateCase):
    """Whatever leaves a doubt."""

    def hold(self, caller, name, **kwargs):
        """A call that stays in the application until its file is there."""
        question = caller.send("Hold", json.dumps({"await": name, "note": name + ".held"}), **kwargs)
        eventually(lambda: os.path.exists(self.path(name + ".held")), what="the call to hold")
        return question

    def release(self, name):
        with open(self.path(name), "w", encoding="ascii"):
            pass

    def test_two_calls_in_flight_are_one_too_many(self):
        self.application()
        daemon = self.daemon({"workers": 2})
        held = self.caller(daemon)
        self.hold(held, "go", strs={"RPC_PERSIST_held": "1"})
        self.assert_untied(self.ask(self.caller(daemon)))
        self.assert_counted(daemon, "several", 1)
        self.release("go")
        held.receive()
        self.assertEqual(self.ask(self.caller(daemon))["strs"].get("RPC_PERSIST_env"), "gray")

    def test_another_service_of_the_same_application_counts(self):
        self.application()
        daemon = self.daemon(services={
            "plain": {"endpoints": ["unix:" + self.path("app.sock")], "protocol": "framed"}},
            more={"listeners": [
                {"name": "in", "address": "127.0.0.1:0", "service": "app"},
                {"name": "plain", "address": "127.0.0.1:0", "service": "plain"},
                {"name": "out", "address": "unix:" + self.path("out.sock"), "service": "mesh"}]})
        self.assert_untied(self.ask(self.caller(daemon, listener="plain")))
        self.assert_counted(daemon, "none", 1, service="plain")
        held = self.caller(daemon, listener="plain")
        self.hold(held, "go")
        self.assert_untied(self.ask(self.caller(daemon)))
        self.release("go")
        held.receive()
        self.assertEqual(self.ask(self.caller(daemon))["strs"].get("RPC_PERSIST_env"), "gray")

    def test_another_process_is_not_the_application(self):
        self.application()
        daemon = self.daemon()
        self.assert_untied(self.ask(self.caller(daemon), by="child"))
        for result in ("tied", "none", "several", "large"):
            self.assert_counted(daemon, result, 0)

    def test_who_answers_for_a_process_that_only_listens_is_not_known(self):
        self.application("2")
        daemon = self.daemon()
        for _ in range(4):
            with self.caller(daemon) as caller:
                self.assert_untied(self.ask(caller))
        self.assert_counted(daemon, "tied", 0)

    def test_a_oneway_waits_for_nothing_and_so_belongs_to_nothing(self):
        self.application()
        daemon = self.daemon()
        caller = self.caller(daemon)
        answer = caller.call("Greet", json.dumps({"to": "out.sock", "kind": wire.ONEWAY}),
                             strs=CARRIED)
        self.assertEqual(answer.text, "sent")
        (packet,) = eventually(lambda: self.mesh.packets)
        self.assertFalse(packet.header.strs.keys() & CARRIED.keys())
        self.assert_counted(daemon, "tied", 0)

    def test_after_a_oneway_nothing_is_known_for_its_time(self):
        self.application()
        daemon = self.daemon(app={"methods": {"Soon": {"timeout": {"call": "100ms"}}}})
        oneway = self.caller(daemon, "framed")
        oneway.send("Fire", json.dumps({"note": "arrived"}), kind=wire.ONEWAY)
        eventually(lambda: os.path.exists(self.path("arrived")), what="the oneway")
        self.assert_untied(self.ask(self.caller(daemon)))
        self.assert_counted(daemon, "several", 1)

    def test_a_call_that_was_given_up_may_still_run(self):
        self.application()
        daemon = self.daemon(app={"timeout": {"call": "2s"}})
        held = self.caller(daemon)
        self.hold(held, "go")
        sockets.reset(held.sock)
        eventually(lambda: daemon.metric("bridle_attempts_total", service="app",
                                         outcome="canceled") == 1, what="the end of the call")
        self.assert_untied(self.ask(self.caller(daemon)))
        eventually(lambda: "RPC_PERSIST_env" in self.ask(self.caller(daemon))["strs"],
                   what="that its time was up")
        self.release("go")

    def test_a_daemon_that_has_just_begun_to_count_does_not_know(self):
        self.application()
        daemon = self.daemon(app={"correlate": "none"})
        self.assert_untied(self.ask(self.caller(daemon)))
        config = json.load(open(daemon.config_path, encoding="utf-8"))
        config["services"]["app"]["correlate"] = "connection"
        daemon.reload(config)
        caller = self.caller(daemon)
        self.assert_untied(self.ask(caller))
        eventually(lambda: self.ask(caller) and daemon.metric(
            "bridle_correlated_total", service="app", result="several"), what="counting")
        self.assert_counted(daemon, "tied", 0)

    def test_in_a_storm_no_call_is_tied_to_another(self):
        self.application()
        daemon = self.daemon({"workers": 2})
        seen, end = [], time.monotonic() + 3

        def storm(first):
            with sockets.Caller(daemon.address(), "ttheader_framed") as caller:
                number = first
                while time.monotonic() < end:
                    number += 1000
                    answer = caller.call("Greet", json.dumps({"to": "out.sock"}),
                                         strs={"RPC_PERSIST_n": str(number)},
                                         ints={wire.LOG_ID: str(number)})
                    report = json.loads(answer.text)
                    seen.append((number, report["strs"].get("RPC_PERSIST_n"),
                                 report["ints"][str(wire.LOG_ID)]))
                    time.sleep(random.random() / 50)

        threads = [threading.Thread(target=storm, args=(i,)) for i in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        tied = [s for s in seen if s[1]]
        self.assertEqual([s for s in tied if s[1:] != (str(s[0]), str(s[0]))], [])
        self.assertEqual([s for s in seen if not s[1] and len(s[2]) != 21], [])  # made here
        self.assertTrue(tied)
        self.assertLess(len(tied), len(seen))
        self.assert_counted(daemon, "tied", len(tied))


class Upgrades(CorrelateCase, UpgradeCase):
    def run_daemon(self, config):
        return UpgradeCase.run_daemon(self, config)

    def test_while_two_serve_the_application_neither_knows_all_that_is_in_flight(self):
        self.application()
        daemon = self.daemon({"upgrade": {"drain": "5s"}})
        caller = self.caller(daemon)
        self.assertEqual(self.ask(caller)["strs"].get("RPC_PERSIST_env"), "gray")
        daemon.upgrade()
        self.assert_untied(self.ask(caller))  # the old one still serves its connections
        with self.caller(daemon) as later:
            self.assert_untied(self.ask(later))
        caller.close()
        daemon.await_former()
        with self.caller(daemon) as later:  # what the old one has sent may still run
            self.assert_untied(self.ask(later))
        self.assert_counted(daemon, "tied", 0)


if __name__ == "__main__":
    import unittest
    unittest.main()
