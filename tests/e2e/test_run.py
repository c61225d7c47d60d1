"""bridled run -- COMMAND: the application under the sidecar."""

import json
import os
import signal
import subprocess
import sys

import sockets
import upstream
from bridled import BINARY, STOP_SECONDS, TOP, Bridled, TestCase, eventually

APPLICATION = os.path.join(os.path.dirname(os.path.abspath(__file__)), "hosted_application.py")
END_STATUS, NOT_RUN, NOT_FOUND, BY_SIGNAL = 7, 126, 127, 128


class Hosting(Bridled):
    """A daemon with a command under it; not waited for until it is ready."""

    def __init__(self, directory, config, command, environment=None):
        super().__init__(directory, config)
        self.command, self.environment = command, environment

    def begin(self):
        with open(self.error_path, "ab") as stderr:
            self.process = subprocess.Popen(
                [BINARY, "run", "-c", self.config_path, "--", *self.command],
                stdin=subprocess.DEVNULL, stderr=stderr, env=self.environment)
        return self

    def await_ready(self):
        eventually(self.is_ready, what="readiness")
        return self

    def is_answering(self):
        try:
            return self.get("/livez")[0] == 200
        except OSError:
            return False


class Run(TestCase):
    def hosting(self, *orders, command=None, environment=None, expect=END_STATUS, **config):
        whole = {"node": {"service": "test.node"},
                 "listeners": [{"name": "in", "address": "127.0.0.1:0", "service": "app"},
                               {"name": "out", "address": "unix:" + self.path("out.sock"),
                                "service": "far"}],
                 "services": {"app": {"endpoints": ["unix:" + self.path("app.sock")]},
                              "far": {"endpoints": [self.far.address]}}}
        whole.update(config)
        command = command or [sys.executable, "-B", APPLICATION, self.directory, *orders]
        daemon = Hosting(self.directory, whole, command, environment)
        daemon.expect_exit = expect
        self.addCleanup(self.end, daemon)
        return daemon

    def setUp(self):
        super().setUp()
        self.far = self.upstream(upstream.echo)

    def end(self, daemon):
        if daemon.process and daemon.is_alive() and os.path.exists(self.path("deaf")):
            daemon.expect_exit = BY_SIGNAL + signal.SIGKILL
            daemon.signal(signal.SIGTERM)
        daemon.stop()

    def noted(self, name):
        """What the application has noted, waited for."""
        eventually(lambda: os.path.exists(self.path(name)), what="the note " + name)
        with open(self.path(name), encoding="utf-8") as file:
            return json.load(file)

    def go(self):
        with open(self.path("go"), "w", encoding="utf-8"):
            pass

    def assert_gone(self, pid):
        eventually(lambda: not os.path.exists("/proc/%d" % pid), what="the application's end")

    def test_the_application_finds_its_addresses_in_its_environment(self):
        environment = dict(os.environ, NOTIFY_SOCKET="/nowhere", WATCHDOG_USEC="1000000",
                           LISTEN_FDS="0", BRIDLE_LISTENER_OLD="stale", MY_OWN="value")
        door = self.path("metadata.sock")
        daemon = self.hosting(environment=environment, metadata_socket=door, listeners=[
            {"name": "in", "address": "127.0.0.1:0", "service": "app"},
            {"name": "out", "address": "unix:" + self.path("out.sock"), "service": "far"},
            {"name": "out-b.2", "service": "far",
             "address": ["unix:" + self.path("2.sock"), "127.0.0.1:0"]}]).begin().await_ready()
        found = self.noted("environment")
        self.assertRegex(found["BRIDLE_LISTENER_OUT_B_2"],
                         "^unix:%s 127\\.0\\.0\\.1:[1-9]" % self.path("2.sock"))
        self.assertEqual(found["BRIDLE_LISTENER_OUT_B_2_PATH"], self.path("2.sock"))
        self.assertEqual(found["BRIDLE_LISTENER_IN"], daemon.address("in"))
        self.assertNotIn("BRIDLE_LISTENER_IN_PATH", found)
        self.assertEqual(found["BRIDLE_LISTENER_OUT"], "unix:" + self.path("out.sock"))
        self.assertEqual(found["BRIDLE_LISTENER_OUT_PATH"], self.path("out.sock"))
        self.assertEqual(found["BRIDLE_SERVICE_APP"], "unix:" + self.path("app.sock"))
        self.assertEqual(found["BRIDLE_SERVICE_APP_PATH"], self.path("app.sock"))
        self.assertEqual(found["BRIDLE_ADMIN_SOCKET"], daemon.admin_path)
        self.assertEqual(found["BRIDLE_METADATA_SOCKET"], door)
        self.assertEqual(found["MY_OWN"], "value")
        for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "LISTEN_FDS", "BRIDLE_LISTENER_OLD"):
            self.assertNotIn(name, found)

    def test_the_daemon_is_ready_when_the_application_answers(self):
        daemon = self.hosting("late").begin()
        self.noted("pid")
        status, body = daemon.get("/readyz")
        self.assertEqual(status, 503)
        self.assertIn("the application does not answer at unix:" + self.path("app.sock"), body)
        with sockets.Caller("unix:" + self.path("out.sock")) as caller:
            self.assertEqual(caller.call(text="out already").text, "out already")
        self.go()
        daemon.await_ready()
        with self.caller(daemon) as caller:
            self.assertEqual(caller.call(text="in").text, "in")

    def test_its_exit_status_is_returned_and_nothing_is_left(self):
        daemon = self.hosting(command=["sh", "-c", "exit 5"], expect=5).begin()
        self.assertEqual(daemon.wait(), 5)
        self.assertFalse(os.path.exists(self.path("out.sock")))
        self.assertFalse(os.path.exists(daemon.admin_path))
        daemon = self.hosting(command=["true"], expect=0).begin()
        self.assertEqual(daemon.wait(), 0)

    def test_its_death_by_a_signal_is_told(self):
        daemon = self.hosting(expect=BY_SIGNAL + signal.SIGKILL).begin().await_ready()
        os.kill(self.noted("pid"), signal.SIGKILL)
        self.assertEqual(daemon.wait(), BY_SIGNAL + signal.SIGKILL)
        self.assertIn("was ended by a signal", daemon.errors())

    def test_what_cannot_be_run_is_told(self):
        daemon = self.hosting(command=["/not/there"], expect=NOT_FOUND).begin()
        self.assertEqual(daemon.wait(), NOT_FOUND)
        self.assertIn("cannot be started command=/not/there", daemon.errors())
        with open(self.path("text"), "w", encoding="utf-8") as file:
            file.write("no program")
        daemon = self.hosting(command=[self.path("text")], expect=NOT_RUN).begin()
        self.assertEqual(daemon.wait(), NOT_RUN)

    def test_calls_in_flight_are_answered_before_it_is_told_to_end(self):
        daemon = self.hosting("slow").begin().await_ready()
        with self.caller(daemon) as caller:
            question = caller.send("Slow", "still here")
            self.noted("slow")
            daemon.signal(signal.SIGTERM)
            eventually(lambda: daemon.get("/readyz")[0] == 503, what="the drain")
            self.assertFalse(os.path.exists(self.path("ended")))
            self.go()
            answer = caller.receive()
            caller.must_answer(question, answer)
            self.assertEqual(answer.text, "still here")
        self.assertEqual(self.noted("ended"), signal.SIGTERM)
        self.assertEqual(daemon.wait(), END_STATUS)

    def test_its_last_calls_are_served_while_it_ends(self):
        daemon = self.hosting("calls").begin().await_ready()
        daemon.signal(signal.SIGTERM)
        self.assertEqual(daemon.wait(), END_STATUS)
        self.assertEqual(self.noted("called"), "last words")

    def test_it_is_told_by_the_signal_that_we_were_told_by(self):
        for number in (signal.SIGINT, signal.SIGQUIT):
            with self.subTest(number):
                daemon = self.hosting().begin().await_ready()
                daemon.signal(number)
                self.assertEqual(daemon.wait(), END_STATUS)
                self.assertEqual(self.noted("ended"), number)
                os.unlink(self.path("ended"))
        daemon = self.hosting().begin().await_ready()
        self.assertEqual(daemon.get("/stop", "POST")[0], 200)
        self.assertEqual(daemon.wait(), END_STATUS)
        self.assertEqual(self.noted("ended"), signal.SIGTERM)

    def test_one_that_does_not_end_is_killed_at_the_deadline(self):
        daemon = self.hosting("deaf", expect=BY_SIGNAL + signal.SIGKILL,
                              shutdown={"drain": "600ms", "spread": "10ms"})
        daemon.begin().await_ready()
        pid = self.noted("pid")
        daemon.signal(signal.SIGTERM)
        self.assertEqual(self.noted("deaf"), signal.SIGTERM)
        self.assertEqual(daemon.wait(), BY_SIGNAL + signal.SIGKILL)
        self.assert_gone(pid)

    def test_a_second_signal_ends_both_now(self):
        daemon = self.hosting("deaf", expect=BY_SIGNAL + signal.SIGKILL,
                              shutdown={"drain": "10m", "spread": "10ms"})
        daemon.begin().await_ready()
        pid = self.noted("pid")
        daemon.signal(signal.SIGTERM)
        self.noted("deaf")
        daemon.signal(signal.SIGTERM)
        self.assertEqual(daemon.wait(STOP_SECONDS), BY_SIGNAL + signal.SIGKILL)
        self.assert_gone(pid)

    def test_a_signal_that_would_kill_it_without_need_is_kept_from_it(self):
        daemon = self.hosting().begin().await_ready()
        daemon.signal(signal.SIGHUP)  # to reload, and the application knows no SIGHUP
        eventually(lambda: daemon.metric("bridle_reloads_total") == 1, what="the reload")
        with self.caller(daemon) as caller:
            self.assertEqual(caller.call(text="alive").text, "alive")

    def test_signals_that_it_catches_are_passed_on(self):
        daemon = self.hosting("catches-hup").begin().await_ready()
        daemon.signal(signal.SIGUSR2)
        self.assertEqual(self.noted("caught"), signal.SIGUSR2)
        os.unlink(self.path("caught"))
        daemon.signal(signal.SIGHUP)
        self.assertEqual(self.noted("caught"), signal.SIGHUP)
        eventually(lambda: daemon.metric("bridle_reloads_total") == 1, what="the reload")

    def test_one_that_serves_nothing_here_is_ready_at_once(self):
        daemon = self.hosting(command=["sleep", "600"], expect=BY_SIGNAL + signal.SIGTERM,
                              listeners=[{"name": "out", "address": "unix:" + self.path("out.sock"),
                                          "allow": []}])
        daemon.begin().await_ready()

    def test_no_descriptor_of_ours_is_left_to_it(self):
        script = "ls /proc/self/fd > %s.new; mv %s.new %s" % ((self.path("fds"),) * 3)
        daemon = self.hosting(command=["sh", "-c", script], expect=0).begin()
        self.assertEqual(daemon.wait(), 0)
        with open(self.path("fds"), encoding="ascii") as file:
            self.assertEqual(file.read().split(), ["0", "1", "2", "3"])  # 3: the directory read

    def test_the_example(self):
        with open(os.path.join(TOP, "conf", "run.yaml"), encoding="utf-8") as file:
            example = file.read().replace("127.0.0.1:8888", "127.0.0.1:0")
        daemon = self.hosting(command=[sys.executable, "-B", APPLICATION, self.directory],
                              environment=dict(os.environ, XDG_RUNTIME_DIR=self.directory))
        with open(daemon.config_path, "w", encoding="utf-8") as file:
            file.write(example + "\nadmin: {socket: %s}\n" % json.dumps(daemon.admin_path))
        daemon.begin().await_ready()
        with self.caller(daemon, listener="inbound") as caller:
            self.assertEqual(caller.call(text="in the cart").text, "in the cart")
        daemon.signal(signal.SIGTERM)
        self.assertEqual(daemon.wait(), END_STATUS)

    def test_the_command_line_says_what_it_lacks(self):
        for words, what in ((["run"], "which command?"), (["run", "--"], "which command?"),
                            (["run", "-t", "--", "true"], "another action"),
                            (["run", "true"], "no argument is expected"),
                            (["--", "true"], "no argument is expected")):
            done = subprocess.run([BINARY, *words], stdin=subprocess.DEVNULL, text=True,
                                  capture_output=True, timeout=STOP_SECONDS, check=False)
            self.assertEqual((done.returncode, what in done.stderr), (2, True),
                             (words, done.stderr))
