"""bridlectl top on a terminal, and pools, errors and log beside it."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

import sockets
import upstream
import wire
from bridled import CTL, TestCase, eventually

HOME, ENTER, LEAVE = b"\x1b[H", b"\x1b[?1049h", b"\x1b[?1049l"
SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
KNOWN = re.compile(r"\x1b\[(?:\?1049[hl]|\?25[hl]|H|2J|J|K|[0-9;]*m)")


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, words, width, height):
        self.near, far = pty.openpty()
        self.resize(width, height)
        self.before = termios.tcgetattr(far)
        self.process = subprocess.Popen(words, stdin=far, stdout=far, stderr=far,
                                        preexec_fn=lambda: self.own(far), close_fds=True)
        self.far, self.seen = far, b""

    @staticmethod
    def own(far):
        os.setsid()
        fcntl.ioctl(far, termios.TIOCSCTTY, 0)

    def resize(self, width, height):
        fcntl.ioctl(self.near, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def read(self, seconds=0.05):
        while select.select([self.near], [], [], seconds)[0]:
            data = os.read(self.near, 65536)
            if not data:
                break
            self.seen += data

    def frames(self):
        """Whole ones: each but the last is."""
        self.read()
        return self.seen.split(HOME)[2:-1]

    def lines(self):
        """Of the newest whole frame."""
        frames = eventually(self.frames, what="a frame")
        return SEQUENCE.sub("", frames[-1].decode()).replace("\r", "").split("\n")

    def press(self, key):
        os.write(self.near, key)

    def end(self):
        code = self.process.wait(sockets.PATIENCE)
        self.read(0)
        return code

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.near)
        os.close(self.far)


class Top(TestCase):
    def top(self, daemon, width=80, height=24, words=("-d", "0.2")):
        terminal = Terminal([CTL, "-S", daemon.admin_path, "top", *words], width, height)
        self.addCleanup(terminal.close)
        return terminal

    def fits(self, terminal, width, height):
        def is_of_that_size():
            lines = terminal.lines()
            return len(lines) == height and max(map(len, lines)) <= width and lines
        return eventually(is_of_that_size, what="a screen of %dx%d" % (width, height))

    def test_the_screen_has_the_terminals_size_and_follows_it(self):
        daemon = self.pinned([self.upstream() for _ in range(12)])
        terminal = self.top(daemon, 80, 24)
        self.fits(terminal, 80, 24)
        for width, height in ((120, 40), (40, 12), (80, 24)):
            with self.subTest(width=width):
                terminal.resize(width, height)
                lines = self.fits(terminal, width, height)
                self.assertTrue(lines[0].startswith("bridled "))
                self.assertRegex(lines[3], r"^SERVICE .*CALLS/S +ERR/S .*P99")
                self.assertTrue(lines[-1].startswith("q quit"))
        self.assertEqual(KNOWN.sub("", terminal.seen.decode()).count("\x1b"), 0)

    def test_calls_errors_and_reasons_are_rates_of_the_last_interval(self):
        daemon = self.pinned(self.upstream(upstream.fail))
        terminal = self.top(daemon, 140, 30)
        caller = self.caller(daemon)

        def is_failing():
            for _ in range(20):
                caller.call()
            return any(re.match(r"svc +fresh .*app_exception [0-9.k]+/s", line)
                       for line in terminal.lines())
        eventually(is_failing, what="the reason")
        self.assertTrue(any(line.startswith("  127.0.0.1:") for line in terminal.lines()))
        # Nothing happens any more: the rate goes, what was counted does not matter.
        eventually(lambda: terminal.lines()[1].startswith("calls/s 0 "), what="rest")

    def test_s_changes_the_order_and_q_leaves_the_terminal_as_it_was(self):
        daemon = self.pinned(self.upstream())
        terminal = self.top(daemon)
        eventually(lambda: "sort: calls" in terminal.lines()[-1])
        for order in ("errors", "p99", "name", "calls"):
            terminal.press(b"s")
            eventually(lambda order=order: "sort: " + order in terminal.lines()[-1], what=order)
        terminal.press(b"q")
        self.assertEqual(terminal.end(), 0)
        self.assertTrue(terminal.seen.startswith(ENTER))
        self.assertIn(LEAVE, terminal.seen[-20:])
        self.assertEqual(termios.tcgetattr(terminal.far), terminal.before)

    def test_signals_leave_the_terminal_as_it_was_too(self):
        daemon = self.pinned(self.upstream())
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with self.subTest(number=number):
                terminal = self.top(daemon)
                terminal.lines()
                terminal.process.send_signal(number)
                self.assertEqual(terminal.end(), 0)
                self.assertIn(LEAVE, terminal.seen[-20:])
                self.assertEqual(termios.tcgetattr(terminal.far), terminal.before)

    def test_a_stop_gives_the_terminal_back_and_goes_on_afterwards(self):
        daemon = self.pinned(self.upstream())
        terminal = self.top(daemon)
        terminal.lines()
        terminal.process.send_signal(signal.SIGTSTP)

        def is_stopped():
            with open("/proc/%d/stat" % terminal.process.pid, encoding="ascii") as file:
                return file.read().rpartition(")")[2].split()[0] == "T"
        eventually(is_stopped, what="the stop")
        terminal.read()
        self.assertTrue(terminal.seen.endswith(LEAVE))
        self.assertEqual(termios.tcgetattr(terminal.far), terminal.before)
        terminal.seen = b""
        terminal.process.send_signal(signal.SIGCONT)
        eventually(lambda: terminal.read() or ENTER in terminal.seen, what="its screen")
        terminal.press(b"q")
        self.assertEqual(terminal.end(), 0)

    def test_a_daemon_that_goes_and_comes_back_is_said(self):
        daemon = self.pinned(self.upstream())
        terminal = self.top(daemon)
        terminal.lines()
        daemon.stop()
        eventually(lambda: "no answer" in terminal.lines()[0], what="no answer")
        self.assertIn("no daemon answers at", terminal.lines()[2])
        daemon.start()
        eventually(lambda: "ready" in terminal.lines()[0], what="an answer")

    def test_without_a_terminal_it_prints_one_screen(self):
        daemon = self.pinned(self.upstream())
        began = time.monotonic()
        status, said, complaint = daemon.ctl("top", "-d", "0.3")
        self.assertEqual((status, complaint), (0, ""))
        self.assertGreaterEqual(time.monotonic() - began, 0.3)
        self.assertNotIn("\x1b", said)
        self.assertRegex(said, r"(?m)^svc +fresh ")
        shown = daemon.ctl_json("top", "--once", "-d", "0.2")
        self.assertEqual([s["label"] for s in shown["services"]], ["svc"])
        self.assertGreaterEqual(shown["interval_s"], 0.2)

    def test_words_that_make_no_sense_are_refused(self):
        daemon = self.pinned(self.upstream())
        for words in (["-d", "0"], ["-d", "x"], ["-s", "luck"], ["now"], ["--nonsense"], ["-d"]):
            with self.subTest(words=words):
                status, said, complaint = daemon.ctl("top", *words)
                self.assertEqual((status, said), (2, ""))
                self.assertIn("Usage: bridlectl [-S PATH] [--json] top", complaint)
        daemon.stop()
        self.assertEqual(daemon.ctl("top", "--once")[0], 3)

    def test_hostile_names_do_not_steer_the_terminal(self):
        wild = "\x1b[2J\x1b]0;owned\x07"
        daemon = self.pinned(self.upstream(upstream.fail))
        self.caller(daemon).call(wild)
        eventually(lambda: daemon.ctl_json("errors")["errors"], what="the failure")
        said = daemon.ctl("errors")[1]
        self.assertIn("?[2J?]0;owned?", said)
        self.assertNotIn("\x1b", said)

    def test_a_name_that_is_no_text_leaves_the_answer_what_it_is(self):
        daemon = self.pinned("127.0.0.1:1")
        self.caller(daemon).call("a\x9b31m\xe2\x80\xae\xff")  # latin-1: any bytes
        errors = eventually(lambda: daemon.ctl_json("errors")["errors"], what="the failure")
        self.assertEqual(errors[0]["method"], "a?31m\u202e?")
        self.assertIn("a?31m????", daemon.ctl("errors")[1])


class Asked(TestCase):
    def test_errors_tell_what_happened_last_and_since_when(self):
        daemon = self.pinned("127.0.0.1:1")
        self.assertIn("no call failed since 20", daemon.ctl("errors")[1])
        caller = self.caller(daemon)
        for _ in range(3):
            caller.call("Get")
        caller.call("List")
        errors = eventually(lambda: len((e := daemon.ctl_json("errors"))["errors"]) == 2 and e,
                            what="both")["errors"]
        self.assertEqual([(e["service"], e["method"], e["reason"], e["count"]) for e in errors],
                         [("svc", "List", "connect_failed", 1), ("svc", "Get", "connect_failed", 3)])
        for error in errors:
            self.assertIn("127.0.0.1:1", error["detail"])
            self.assertLessEqual(error["first_at"], error["last_at"])
        said = daemon.ctl("errors")[1]
        self.assertRegex(said, r"(?m)^svc +Get +connect_failed +3 +\S.* service svc, endpoint")

    def test_errors_of_the_newest_come_first_and_good_calls_are_none(self):
        daemon = self.pinned(self.upstream())
        self.caller(daemon).call()
        self.assert_metric(daemon, 1, "bridle_calls_total", reason="ok")
        self.assertEqual(daemon.ctl_json("errors")["errors"], [])
        self.assertEqual(daemon.ctl("errors", "now")[0], 2)

    def test_pools_tell_who_has_connections_and_who_waits(self):
        slow = self.upstream(lambda connection, packet: connection.later(
            1, packet.answer(wire.result("late"))))
        daemon = self.pinned(slow, config={"workers": 1}, pool={"connections": 1})
        callers = [self.caller(daemon) for _ in range(3)]
        questions = [caller.send() for caller in callers]

        def endpoint():
            (service,) = daemon.ctl_json("pools")
            self.assertEqual(service["pool"]["connections"], 1)
            return service["endpoints"][0]

        def shape(**wanted):
            eventually(lambda: wanted.items() <= endpoint().items(), what=str(wanted))
        shape(open=1, idle=0, leased=1, waiting=2)
        for caller, question in zip(callers, questions):
            caller.must_answer(question, caller.receive())
        shape(open=1, idle=1, leased=0, waiting=0)
        self.assertRegex(daemon.ctl("pools")[1], r"(?m)^svc +127\.0\.0\.1:\d+ +1 +1 +0 +0 +0$")

    def test_log_changes_the_level_at_once(self):
        daemon = self.pinned(self.upstream())
        status, said, _ = daemon.ctl("log", "debug")
        self.assertEqual(status, 0)
        self.assertIn("debug", said)
        self.assertEqual(daemon.get_json("/status")["log_level"], "debug")
        self.assertTrue(daemon.ctl_json("log", "warn")["ok"])
        self.assertEqual(daemon.get_json("/status")["log_level"], "warn")
        for words in ([], ["loud"], ["info", "debug"]):
            self.assertEqual(daemon.ctl("log", *words)[0], 2)
