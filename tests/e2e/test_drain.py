"""Drains as callers see them, what takes them back, and restarts that nobody notices."""

import os
import select
import signal
import threading
import time

import h2
import registries
import sockets
import upstream
import wire
from bridled import Bridled, TestCase, allow, eventually
from loads import Calls, Clients, GoGrpc, Load, all_of
from peers import GOGRPC, VOLO_CLIENT, VOLO_SERVER, Peers, free_address, needs
from sockets import PATIENCE

LONG = {"drain": "60s", "spread": "10ms"}
ROUNDS = int(os.environ.get("BRIDLE_RESTART_ROUNDS", "2"))


class Late:
    """Answers when it is let."""

    def __init__(self):
        self.go_on = threading.Event()

    def __call__(self, connection, packet):
        self.go_on.wait(PATIENCE)
        upstream.echo(connection, packet)


class Draining(TestCase):
    def late(self, **shutdown):
        late = Late()
        self.addCleanup(late.go_on.set)
        service = self.upstream(late)
        return late, service, self.pinned(service, config={"shutdown": {**LONG, **shutdown},
                                                           "workers": 1})

    def calling(self, daemon, service, form="framed", **kwargs):
        caller = self.caller(daemon, form, **kwargs)
        count = len(service.packets)
        caller.question = caller.send(text="hello")
        eventually(lambda: len(service.packets) > count, what="the call")
        return caller

    def told(self, daemon, command="drain"):
        status, said, complaint = daemon.ctl(command)
        self.assertEqual(status, 0, complaint)
        return said


class Commands(Draining):
    def test_drain_and_back(self):
        service = self.upstream()
        daemon = self.pinned(service, config={"workers": 1})
        idle = self.caller(daemon, "ttheader_framed")
        idle.call()
        self.assertIn("draining: ", self.told(daemon))
        self.assertEqual(daemon.get("/readyz")[0], 503)
        self.assertEqual(daemon.get_json("/status")["state"], "draining")
        self.assertTrue(sockets.is_closed(idle.sock))
        with self.caller(daemon, "ttheader_framed") as caller:  # who comes is served
            self.assertEqual(caller.call().header.strs.get("crrst"), "1")
        self.assertEqual(self.told(daemon, "undrain"), "ready: callers are wanted\n")
        self.assertEqual(daemon.get("/readyz")[0], 200)
        self.assertEqual(daemon.get_json("/status")["state"], "ready")

        def is_normal():
            with self.caller(daemon, "ttheader_framed") as caller:
                return "crrst" not in caller.call().header.strs
        eventually(is_normal, what="replies without crrst")
        caller = self.caller(daemon, "ttheader_framed")
        caller.call()
        self.assertFalse(sockets.is_closed(caller.sock, 1.5))
        caller.call()

    def test_both_may_be_said_twice(self):
        daemon = self.pinned(self.upstream())
        for command in ("undrain", "drain", "drain", "undrain", "undrain"):
            self.told(daemon, command)
        self.assertEqual(daemon.get_json("/status")["state"], "ready")

    def test_there_is_no_way_back_from_a_stop(self):
        _, service, daemon = self.late()
        self.calling(daemon, service)
        daemon.signal(signal.SIGTERM)
        eventually(lambda: daemon.get("/readyz")[0] == 503)
        status, said, complaint = daemon.ctl("undrain")
        self.assertEqual((status, said), (1, ""))
        self.assertIn("it is stopping", complaint)
        self.assertEqual(daemon.get("/undrain", "POST")[0], 409)

    def test_words_that_are_too_many(self):
        daemon = self.pinned(self.upstream())
        self.assertEqual(daemon.ctl("drain", "now")[0], 2)
        self.assertEqual(daemon.ctl("undrain", "now")[0], 2)
        self.assertEqual(daemon.get_json("/status")["state"], "ready")

    def test_under_load_nobody_notices(self):
        daemon = self.pinned(self.upstream(), config={"shutdown": {"spread": "100ms"}})
        pooled = Pooled([daemon.address()])
        with all_of([Calls(daemon.address(), "ttheader_framed"), pooled]) as load:
            for _ in range(5):
                self.told(daemon)
                time.sleep(0.3)  # so that some are told and some are not
                self.told(daemon, "undrain")
        self.assertEqual(load.failed, [])
        self.assertLessEqual(pooled.again, 5 * len(pooled.threads))
        self.assertGreater(load.calls, 20)


class Callers(Draining):
    """What callers of each protocol see of a drain."""

    def test_a_framed_call_that_runs_is_answered_and_then_the_end_comes(self):
        for form in ("framed", "buffered"):
            with self.subTest(form=form):
                late, service, daemon = self.late()
                caller = self.calling(daemon, service, form)
                daemon.signal(signal.SIGTERM)
                eventually(lambda d=daemon: d.get("/readyz")[0] == 503)
                late.go_on.set()
                self.assertEqual(caller.receive().text, "hello")
                self.assertTrue(sockets.is_closed(caller.sock))
                self.assertEqual(daemon.wait(), 0)

    def test_a_caller_with_many_calls_at_once(self):
        """The word for it comes when none runs, and its connection ends after a moment more."""
        late, service, daemon = self.late()
        caller = self.calling(daemon, service, "ttheader_bare", flags=wire.OUT_OF_ORDER)
        idle = self.caller(daemon)
        self.told(daemon)
        self.assertTrue(sockets.is_closed(idle.sock))  # so the worker has heard of it
        self.assertFalse(select.select([caller.sock], [], [], 0)[0])
        late.go_on.set()
        self.assertEqual(caller.receive().header.strs.get("crrst"), "1")
        control = caller.receive()
        self.assertEqual((control.kind, control.method, control.seq, control.header.seq,
                          control.header.flags, control.header.strs, control.body),
                         (wire.REPLY, "none", 0, 0, 0, {"crrst": "1"}, b"\0"))
        question = caller.send(text="on its way")
        caller.must_answer(question, caller.receive())
        self.assertTrue(sockets.is_closed(caller.sock))

    def test_a_caller_of_http2(self):
        service = self.upstream()
        daemon = self.pinned(service)
        caller = h2.Client(daemon.address())
        self.addCleanup(caller.close)
        caller.await_settings()
        self.told(daemon)
        first = caller.await_frame(h2.GOAWAY)
        self.assertEqual((first.last_stream, first.code), (0x7FFFFFFF, h2.NO_ERROR))
        caller.closed()
        goaways = [f for f in caller.frames if f.kind == h2.GOAWAY]
        self.assertEqual([g.last_stream for g in goaways], [0x7FFFFFFF, 0])

    def test_at_the_end_of_the_time_calls_are_answered(self):
        service = self.upstream(upstream.silent)
        daemon = self.pinned(service, config={"shutdown": {"drain": "300ms", "spread": "10ms"}})
        callers = [self.calling(daemon, service, form) for form in wire.FORMS]
        daemon.signal(signal.SIGTERM)
        for caller in callers:
            answer = caller.receive()
            caller.must_answer(caller.question, answer)
            self.assert_refused(answer, "draining")
            self.assertTrue(sockets.is_closed(caller.sock))
        self.assertEqual(daemon.wait(), 0)
        self.assertEqual({l["reason"] for l in daemon.access_log(4)}, {"draining"})

    def test_a_second_term_answers_them_at_once(self):
        _, service, daemon = self.late()
        caller = self.calling(daemon, service)
        daemon.signal(signal.SIGTERM)
        eventually(lambda: daemon.get("/readyz")[0] == 503)
        daemon.signal(signal.SIGTERM)
        self.assert_refused(caller.receive(), "draining")
        self.assertEqual(daemon.wait(), 0)

    def test_a_long_reply_leaves_whole_before_the_process(self):
        """Its caller reads slowly; nothing else keeps the daemon."""
        text = "x" * (8 << 20)
        service = self.upstream(lambda c, p: c.write(p.answer(wire.result(text))))
        daemon = self.pinned(service, config={"shutdown": LONG})
        caller = self.caller(daemon)
        caller.send()
        eventually(lambda: service.packets)
        daemon.signal(signal.SIGTERM)
        time.sleep(0.5)  # as a slow caller
        self.assertEqual(len(caller.receive().text), len(text))
        self.assertEqual(daemon.wait(), 0)


class Gone(Draining):
    """Callers that have left calls behind."""

    def test_a_patient_stop_does_not_wait_for_them(self):
        for network in ("127.0.0.1:0", "unix:" + self.path("in.sock")):
            with self.subTest(network=network):
                service = self.upstream(upstream.silent)
                daemon = self.pinned(service, {"address": network}, timeout={"call": "60s"})
                self.calling(daemon, service).close()
                began = time.monotonic()
                daemon.signal(signal.SIGQUIT)
                self.assertEqual(daemon.wait(), 0)
                self.assertLess(time.monotonic() - began, allow(8))

    def test_nor_for_copies_that_nobody_waits_for(self):
        service, shadow = self.upstream(), self.upstream(upstream.silent)
        daemon = self.bridled({
            "listeners": [{"name": "in", "address": "127.0.0.1:0", "service": "svc"}],
            "services": {"svc": {"endpoints": [service.address],
                                 "routes": [{"mirror": {"service": "shadow"}}]},
                         "shadow": {"endpoints": [shadow.address], "timeout": {"call": "60s"}}}})
        with self.caller(daemon) as caller:
            caller.call()
        eventually(lambda: shadow.packets, what="the copy")
        began = time.monotonic()
        daemon.signal(signal.SIGQUIT)
        self.assertEqual(daemon.wait(), 0)
        self.assertLess(time.monotonic() - began, allow(8))


class Pooled(Load):
    """A caller that knows several places and keeps a connection to one: before each call it looks
    whether that has ended, as connection pools do, and goes to the next. Where it ends between that
    look and the call nobody has seen the call, and it is made again: that is counted in `again`."""

    def __init__(self, addresses, form="framed", threads=2, pause=0.07):
        super().__init__(threads, pause)
        self.addresses, self.form, self.turn, self.again = addresses, form, 0, 0

    def open(self):
        for _ in range(len(self.addresses) * 50):
            self.turn += 1
            try:
                caller = sockets.Caller(self.addresses[self.turn % len(self.addresses)], self.form)
                caller.is_used = False
                return caller
            except OSError:
                time.sleep(0.01)
        raise AssertionError("nobody is there")

    def once(self, caller):
        if select.select([caller.sock], [], [], 0)[0]:
            caller.close()
            caller = self.open()
        text = "call %d" % next(sockets.sequence)
        try:
            answer = caller.call(text=text)
        except (EOFError, ConnectionError) as e:
            if not caller.is_used or (isinstance(e, EOFError) and "0 bytes" not in str(e)):
                raise
            caller.close()
            self.again += 1
            caller = self.open()
            answer = caller.call(text=text)
        if answer.exception or answer.text != text:
            raise AssertionError("%r for %r" % (answer, text))
        caller.is_used = True
        asked = answer.header is not None and answer.header.strs.get("crrst") == "1"
        if asked:
            caller.close()
            return None
        return caller


class Restarts(Peers):
    """Two sidecars, A and B, restarted one after the other."""

    SHUTDOWN = {"drain": "20s", "spread": "200ms"}

    def side(self, name, config):
        directory = self.path(name)
        os.mkdir(directory)
        daemon = Bridled(directory, {"shutdown": self.SHUTDOWN, **config})
        self.addCleanup(daemon.stop)
        return daemon.start()

    def pair(self, app, network="unix", **config):
        sides = []
        for name in "ab":
            address = ("unix:" + self.path(name + ".sock") if network == "unix" else
                       free_address())
            daemon = self.side(name, {
                "listeners": [{"name": "in", "address": address, "service": "svc"}],
                "services": {"svc": {"endpoints": [app]}}, **config})
            daemon.at = address
            sides.append(daemon)
        return sides

    def front(self, sides, **policy):
        return self.side("front", {
            "listeners": [{"name": "in", "address": "127.0.0.1:0", "service": "svc"}],
            "services": {"svc": {"endpoints": [s.at for s in sides], **policy}}})

    def restart(self, daemon):
        daemon.signal(signal.SIGTERM)
        self.assertEqual(daemon.wait(), 0)
        daemon.start()

    def roll(self, sides, loads, service=None):
        """The service has seen every call once, if it is one of ours."""
        with all_of(loads) as load:
            for _ in range(ROUNDS):
                for daemon in sides:
                    calls = [l.calls for l in loads]
                    self.restart(daemon)
                    for one, before in zip(loads, calls):
                        eventually(lambda o=one, b=before: o.calls > b or o.failed,
                                   what="more calls")
        self.assertEqual(load.failed, [])
        for one in loads:
            if isinstance(one, Pooled):
                self.assertLessEqual(one.again, ROUNDS * len(sides) * len(one.threads))
        if service:
            texts = [packet.text for packet in service.packets]
            self.assertEqual(len(texts), len(set(texts)))

    def test_callers_that_know_both(self):
        service = self.upstream()
        sides = self.pair(service.address)
        addresses = [s.at for s in sides]
        self.roll(sides, [Pooled(addresses), Pooled(addresses, "ttheader_framed"),
                          Pooled(addresses, "buffered")], service)

    def test_callers_that_know_both_by_tcp(self):
        service = self.upstream()
        sides = self.pair(service.address, "tcp")
        addresses = [s.at for s in sides]
        self.roll(sides, [Pooled(addresses), Pooled(addresses, "ttheader_framed")], service)

    def test_a_sidecar_that_knows_both(self):
        sides = self.pair(self.upstream().address)
        front = self.front(sides)
        self.roll(sides, [Calls(front.address(), "ttheader_framed"),
                          Calls(front.address(), "ttheader_bare", pause=0.01)])

    def test_a_sidecar_that_keeps_shared_connections(self):
        sides = self.pair(self.upstream().address)
        front = self.front(sides, protocol="ttheader", multiplex=True)
        self.roll(sides, [Calls(front.address(), "ttheader_framed", 4),
                          Calls(front.address(), "framed", 2)])

    @needs(VOLO_SERVER, VOLO_CLIENT)
    def test_volo(self):
        sides = self.pair(self.serve(VOLO_SERVER, "thrift", "{}"))
        front = self.front(sides)
        self.roll(sides, [Clients(VOLO_CLIENT, "ttheader", front.address())])

    @needs(GOGRPC)
    def test_grpc_go(self):
        sides = self.pair(self.serve(GOGRPC, "server", "{}"))
        front = self.front(sides, protocol="grpc")
        self.roll(sides, [GoGrpc(front.address())])

    def test_callers_that_look_into_etcd(self):
        etcd = registries.Etcd(self).start()
        place = {"type": "etcd", "endpoints": [etcd.address]}
        app = self.upstream().address
        sides = []
        for name in "ab":
            daemon = self.side(name, {
                "registries": {"main": place},
                "listeners": [{"name": "in", "address": free_address(), "service": "svc"}],
                "services": {"svc": {"name": "demo.svc", "endpoints": [app],
                                     "register": {"in": ["main"], "ttl": "5s"}}},
                "shutdown": {**self.SHUTDOWN, "deregister_wait": "1s"}})
            eventually(lambda d=daemon: d.metric("bridle_registered", service="svc") == 1,
                       what="the registration")
            sides.append(daemon)
        front = self.side("front", {
            "registries": {"main": place},
            "listeners": [{"name": "in", "address": "127.0.0.1:0", "service": "svc"}],
            "services": {"svc": {"name": "demo.svc", "discover": {"from": "main"}}}})

        def known():
            return len(front.get_json("/services/svc")["endpoints"]) == 2
        eventually(known, what="both endpoints")
        loads = [Calls(front.address(), form) for form in ("framed", "ttheader_framed")]
        with all_of(loads) as load:
            for _ in range(ROUNDS):
                for daemon in sides:
                    self.restart(daemon)
                    eventually(known, what="both endpoints")
        self.assertEqual(load.failed, [])
        self.assertGreater(load.calls, 50)
