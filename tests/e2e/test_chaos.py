"""Many things at once, in an order that a seed decides: whatever happens, every answer is right.

$BRIDLE_CHAOS_SECONDS and $BRIDLE_CHAOS_SEED make it longer and different.
"""

import os
import random
import signal
import socket
import subprocess
import threading
import time

import sockets
import upstream
import wire
from bridled import BINARY, IS_SANITIZED, STOP_SECONDS, Bridled, TestCase, eventually
from h2_case import AT_ONCE
from test_operation import TRY_AGAIN, Load


SECONDS = float(os.environ.get("BRIDLE_CHAOS_SECONDS", "3"))
SEED = int(os.environ.get("BRIDLE_CHAOS_SEED", "1"))


def late(connection, packet):
    connection.later(1.1, packet.answer(wire.result(packet.text)).pack())


def in_pieces(connection, packet):
    data = packet.answer(wire.result(packet.text)).pack()
    third = len(data) // 3
    with connection.lock:  # or a late reply would get between them
        for start in range(0, len(data), third):
            upstream.send(connection.sock, data[start:start + third])
            time.sleep(0.001)


def goodbye(connection, packet):
    connection.write(packet.answer(wire.result(packet.text), strs={"crrst": "1"}))
    connection.close()


class Moody:
    """A service that mostly answers, and sometimes does one of the bad things."""

    BAD = (upstream.wrong_seq, upstream.wrong_method, upstream.twice, upstream.twice_apart,
           upstream.half_then_close, upstream.garbage, upstream.close_at_once,
           upstream.reset_at_once, upstream.silent, upstream.fail, upstream.longer_frame,
           late, in_pieces, goodbye)

    def __init__(self, seed, share=0.1):
        self.random = random.Random(1000 * SEED + seed)
        self.share, self.lock = share, threading.Lock()

    def __call__(self, connection, packet):
        with self.lock:
            bad = self.random.random() < self.share and self.random.choice(self.BAD)
        (bad or upstream.echo)(connection, packet)


def difference(expected, got):
    """Where two texts part, and what is there."""
    got = got or ""
    at = next((i for i, (a, b) in enumerate(zip(expected, got)) if a != b), len(got))
    return "of %d, from %d on: %r" % (len(expected), at, got[at:at + 100])


class MoodyLoad(Load):
    """Takes a refusal in words for an answer; anything else must be the echo."""

    def __init__(self, address, form, mux=False):
        super().__init__(address, form, threads=3)
        self.refused, self.late, self.flags = 0, 0, wire.OUT_OF_ORDER if mux else 0

    def run(self):
        caller = sockets.Caller(self.address, self.form, flags=self.flags)
        generator = random.Random(self.form)
        while not self.ends:
            size = generator.choice((1, 10, 1000, 20000, 100000))
            texts = ["%d " % next(sockets.sequence) + "x" * size for _ in range(
                generator.randrange(1, 6))]
            try:
                questions = [caller.send(text=text) for text in texts]
                waiting = {q.seq: q for q in questions}
                for expected in questions:
                    answer = caller.receive()
                    question = waiting.pop(answer.seq)
                    if not self.flags and question is not expected:
                        self.failed.append("out of order")
                    self.judge(question, answer)
            except (EOFError, OSError):
                # A reply that broke off after its first bytes had been passed on ends with the
                # connection; nothing else may.
                caller.close()
                caller = sockets.Caller(self.address, self.form, flags=self.flags)
        caller.close()

    def judge(self, question, answer):
        self.calls += 1
        if answer.exception is None:
            if answer.text != question.text:
                self.failed.append((question, answer, difference(question.text, answer.text)))
        elif answer.exception[1].startswith("bridled: ") or answer.exception[0] == 6:
            self.refused += 1
            self.late += answer.exception[1].startswith("bridled: timeout: ")
        else:
            self.failed.append(answer)

    def must_have_succeeded(self, share):
        """Mostly; calls whose time was up are not counted: the machine may have been busy."""
        assert self.calls - self.refused > (self.calls - self.late) * share, (
            self.calls, self.refused, self.late)


class RudeLoad(MoodyLoad):
    """Leaves in the middle of a question or of an answer, or says no more after it."""

    def run(self):
        generator = random.Random("rude %s %d" % (self.form, SEED))
        while not self.ends:
            with sockets.Caller(self.address, self.form, flags=self.flags) as caller:
                data = b"".join(caller.packet(text="x" * generator.choice((1, 3000, 150000))).pack()
                                for _ in range(generator.randrange(1, 4)))
                try:
                    caller.sock.sendall(data[:generator.randrange(1, len(data) + 1)])
                    how = generator.randrange(4)
                    if how == 0:
                        caller.sock.shutdown(socket.SHUT_WR)
                    if how < 3:
                        caller.sock.settimeout(0.05)
                        caller.sock.recv(generator.choice((1, 1000, 100000)))
                except OSError:
                    pass
                self.calls += 1
                if generator.randrange(2):
                    sockets.reset(caller.sock)


class Chaos(TestCase):
    def endure(self, daemon, *loads):
        for load in loads:
            load.__enter__()
        try:
            time.sleep(SECONDS)
            eventually(lambda: all(load.calls > 10 for load in loads), what="ten calls of each")
        finally:
            for load in loads:
                load.ends = True
            for load in loads:
                load.__exit__()
        for load in loads:
            self.assertEqual(load.failed[:3], [])
            if type(load) is MoodyLoad:
                load.must_have_succeeded(0.25)
        eventually(lambda: daemon.metric("bridle_downstream_connections") == 0)

    def nobody_sees_what_was_meant_for_another(self, protocol):
        services = [self.upstream(Moody(seed)) for seed in range(3)]
        daemon = self.pinned(services, protocol=protocol, timeout={"call": "1s"},
                             config={"workers": 2})
        address = daemon.address()
        self.endure(daemon, *(MoodyLoad(address, form) for form in wire.FORMS),
                    MoodyLoad(address, "ttheader_framed", mux=True), RudeLoad(address, "framed"),
                    RudeLoad(address, "ttheader_bare", mux=True))

    def test_services_with_moods_that_speak_as_the_caller_does(self):
        self.nobody_sees_what_was_meant_for_another("same")

    def test_framed_services_with_moods(self):
        self.nobody_sees_what_was_meant_for_another("framed")

    def test_ttheader_services_with_moods(self):
        self.nobody_sees_what_was_meant_for_another("ttheader_bare")

    def test_buffered_services_with_moods(self):
        self.nobody_sees_what_was_meant_for_another("buffered")

    def test_a_mux_service_with_moods(self):
        service = self.upstream(Moody(7, 0.03))
        daemon = self.pinned(service, protocol="ttheader", multiplex=True,
                             timeout={"call": "1s"})
        address = daemon.address()
        self.endure(daemon, *(MoodyLoad(address, form) for form in wire.FORMS),
                    MoodyLoad(address, "ttheader_framed", mux=True), RudeLoad(address, "framed"))

    def test_signals_in_any_order_cost_no_call(self):
        service = self.upstream(upstream.echo)
        daemon = self.pinned(service, config={"log": {"to": self.path("log")}})
        generator = random.Random(6)
        numbers = (signal.SIGHUP, signal.SIGUSR1, signal.SIGPIPE, signal.SIGWINCH, signal.SIGCONT)
        with Load(daemon.address(), threads=2) as load, \
                Load(daemon.address(), "ttheader_framed", 2, keep=False) as fresh:
            for _ in range(150):
                daemon.signal(generator.choice(numbers))
                time.sleep(0.005)
            daemon.signal(signal.SIGSTOP)
            time.sleep(0.2)
            daemon.signal(signal.SIGCONT)
            before = load.calls
            eventually(lambda: load.calls > before + 10)
        self.assertEqual(load.failed + fresh.failed, [])

    def test_reloads_leave_nothing_behind(self):
        service = self.upstream(upstream.echo)
        daemon = self.pinned(service)
        address = daemon.address()

        def config(turn):
            return {"node": {"service": "test.node"},
                    "listeners": [{"name": "in", "address": "127.0.0.1:0", "service": "svc"}],
                    "services": {"svc": {"endpoints": [service.address],
                                         "timeout": {"call": "%dms" % (20000 + turn)}}}}
        with Load(address, threads=2) as load:
            for turn in range(5):
                daemon.reload(config(turn))
            descriptors, memory = daemon.descriptors(), daemon.rss()
            for turn in range(5, 45):
                daemon.reload(config(turn))
        self.assertEqual(load.failed, [])
        eventually(lambda: daemon.descriptors() <= descriptors + 4, what="the end of what was old")
        if not IS_SANITIZED:
            self.assertLess(daemon.rss() - memory, 4 << 20)

    def test_broken_files_cost_no_call(self):
        service = self.upstream(upstream.echo)
        daemon = self.pinned(service)
        with open(daemon.config_path, "rb") as file:
            good = file.read()
        generator = random.Random(11)
        with Load(daemon.address(), threads=2) as load:
            for _ in range(40):
                data = bytearray(good)
                for _ in range(3):
                    data[generator.randrange(len(data))] = generator.choice(b"{}[]:,\"&*!x0\n\t\0")
                with open(daemon.config_path + ".new", "wb") as file:
                    file.write(data)
                os.rename(daemon.config_path + ".new", daemon.config_path)
                daemon.signal(signal.SIGHUP)
                time.sleep(0.01)
            with open(daemon.config_path + ".new", "wb") as file:
                file.write(good)
            os.rename(daemon.config_path + ".new", daemon.config_path)
            daemon.signal(signal.SIGHUP)
            eventually(lambda: daemon.get_json("/status")["config"]["last_reload"]["ok"])
        self.assertTrue(daemon.is_alive(), daemon.errors())

    def test_a_daemon_that_is_killed_starts_again_at_once(self):
        service = self.upstream(upstream.echo)
        config = {"listeners": [{"name": "in", "address": "unix:" + self.path("in.sock"),
                                 "service": "svc"}],
                  "services": {"svc": {"endpoints": [service.address]}}}
        daemon = self.bridled(config)
        for _ in range(10):
            with self.caller(daemon) as caller:
                caller.send()
                daemon.process.kill()
                daemon.process.wait()
            began = time.monotonic()
            daemon.start()
            self.assertLess(time.monotonic() - began, AT_ONCE)
            with self.caller(daemon) as caller:
                self.assertEqual(caller.call(text="x").text, "x")

    def test_of_two_that_start_at_once_one_serves(self):
        service = self.upstream(upstream.echo)
        config = {"listeners": [{"name": "in", "address": "unix:" + self.path("in.sock"),
                                 "service": "svc"}],
                  "services": {"svc": {"endpoints": [service.address]}}}
        for _ in range(10):
            daemon = Bridled(self.directory, config)
            pair = [subprocess.Popen([BINARY, "-c", daemon.config_path], stdin=subprocess.DEVNULL,
                                     stderr=subprocess.DEVNULL) for _ in range(2)]
            try:
                eventually(lambda pair=pair: any(p.poll() is not None for p in pair),
                           what="the end of one")
                ended = [p.returncode for p in pair if p.poll() is not None]
                self.assertEqual(ended, [TRY_AGAIN])
                eventually(daemon_answers(daemon))
                with sockets.Caller("unix:" + self.path("in.sock")) as caller:
                    self.assertEqual(caller.call(text="x").text, "x")
            finally:
                for process in pair:
                    if process.poll() is None:
                        process.terminate()
                    process.wait(STOP_SECONDS)


def daemon_answers(daemon):
    def ask():
        try:
            return daemon.get("/readyz")[0] == 200
        except OSError:
            return False
    return ask
