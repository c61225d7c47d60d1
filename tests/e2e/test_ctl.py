"""bridlectl: what an operator asks a running daemon, as text and as JSON."""

import json
import os
import socket
import subprocess
import threading

import upstream
from bridled import CTL, STOP_SECONDS, TOP, TestCase, eventually

DONE, FAILED, USAGE, UNREACHABLE = 0, 1, 2, 3


def run(*words, environment=None):
    done = subprocess.run([CTL, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          env={**os.environ, **(environment or {})}, timeout=STOP_SECONDS, check=False)
    return done.returncode, done.stdout, done.stderr


class CommandLine(TestCase):
    def test_help_and_version(self):
        for words in (("-h",), ("--help",)):
            status, said, _ = run(*words)
            self.assertEqual(status, DONE)
            for command in ("status", "services", "endpoints", "listeners", "config", "reload",
                            "why"):
                self.assertIn("\n  " + command, said)
            self.assertLessEqual(max(map(len, said.split("\n"))), 100)
        status, said, _ = run("reload", "--help")
        self.assertEqual((status, said.split("\n")[0]),
                         (DONE, "Usage: bridlectl [-S PATH] [--json] reload [--dry-run]"))
        self.assertRegex(run("-V")[1], r"^bridlectl \d+\.\d+")

    def test_a_wrong_command_line_is_2(self):
        for words in ((), ("frobnicate",), ("-x",), ("--frobnicate", "status"), ("-S",),
                      ("status", "me"), ("endpoints",), ("endpoints", "a", "b"),
                      ("services", "a", "b"), ("reload", "--dry"), ("why", "ok", "reset"),
                      ("listeners", "in"), ("config", "x")):
            status, said, complaint = run(*words)
            self.assertEqual((status, said), (USAGE, ""), words)
            self.assertTrue(complaint.startswith("bridlectl: "), (words, complaint))

    def test_why_needs_no_daemon(self):
        environment = {"RUNTIME_DIRECTORY": self.directory}
        status, said, _ = run("why", "no_route", environment=environment)
        self.assertEqual(status, DONE)
        self.assertTrue(said.startswith("no_route: "), said)
        self.assertIn("rpc route failed", said)
        status, said, _ = run("why", "--json", "no_route", environment=environment)
        self.assertEqual((status, json.loads(said)["exception"]), (DONE, 20))
        words = {one["reason"] for one in json.loads(run("--json", "why")[1])}
        self.assertLessEqual({"ok", "breaker_open", "acl_denied", "canceled", "internal"}, words)
        self.assertEqual(run("why", "bad_luck")[0], FAILED)

    def test_the_manual_has_every_reason(self):
        with open(os.path.join(TOP, "man", "bridled.8"), encoding="utf-8") as file:
            lists = [line for line in file if line.startswith(".Li ")]
        known = {word for line in lists for word in line.split()}
        for one in json.loads(run("--json", "why")[1]):
            self.assertIn(one["reason"], known)


class Unreachable(TestCase):
    def test_no_daemon_is_3_and_its_socket_is_named(self):
        status, said, complaint = run("-S", self.path("admin.sock"), "status")
        self.assertEqual((status, said), (UNREACHABLE, ""))
        self.assertIn(self.path("admin.sock"), complaint)

    def test_the_default_is_the_daemons(self):
        _, _, complaint = run("status", environment={"RUNTIME_DIRECTORY": self.directory + ":/x"})
        self.assertIn(self.path("admin.sock"), complaint)

    def answered(self, answer):
        """What a daemon that answers so is taken for."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.addCleanup(listener.close)
        path = self.path("fake.sock")
        if os.path.exists(path):
            os.unlink(path)
        listener.bind(path)
        listener.listen()

        def serve():
            sock, _ = listener.accept()
            while b"\r\n\r\n" not in sock.recv(65536):
                pass
            sock.sendall(answer)
            sock.close()
        thread = threading.Thread(target=serve)
        thread.start()
        result = run("-S", path, "status")
        thread.join()
        return result

    def test_what_is_no_answer(self):
        for answer in (b"", b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 2x0 OK\r\n\r\n",
                       b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}"):
            status, said, complaint = self.answered(answer)
            self.assertEqual((status, said), (UNREACHABLE, ""), answer)
            self.assertIn("the answer", complaint)
        status, _, complaint = self.answered(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{")
        self.assertEqual(status, FAILED)
        self.assertIn("not understood", complaint)


class Commands(TestCase):
    def setUp(self):
        super().setUp()
        self.service = self.upstream(upstream.echo)
        self.daemon = self.pinned(self.service)
        with self.caller(self.daemon) as caller:
            for _ in range(3):
                caller.call()
        self.assert_metric(self.daemon, 3, "bridle_calls_total")

    def said(self, *words):
        status, said, complaint = self.daemon.ctl(*words)
        self.assertEqual((status, complaint), (DONE, ""), words)
        return said

    def test_status(self):
        said = self.said("status")
        self.assertIn(" is ready; pid %d, up " % self.daemon.process.pid, said)
        self.assertRegex(said, r"calls +3\n")
        self.assertEqual(self.daemon.ctl_json("status")["pid"], self.daemon.process.pid)

    def test_options_stand_anywhere(self):
        path = self.daemon.admin_path
        for words in (("--json", "-S", path, "status"), ("status", "--json", "--socket=" + path),
                      ("-S", path, "status", "--json")):
            self.assertEqual(json.loads(run(*words)[1])["state"], "ready")

    def test_listeners(self):
        said = self.said("listeners").split("\n")
        self.assertEqual(said[1].split()[0], "in")
        self.assertIn(self.daemon.address(), said[1])
        self.assertEqual(self.daemon.ctl_json("listeners")[0]["calls_total"], 3)

    def test_services_and_endpoints(self):
        head, row, _ = self.said("services").split("\n")
        columns = dict(zip(head.split(), row.split()))
        self.assertEqual((columns["SERVICE"], columns["USABLE"], columns["CALLS"]),
                         ("svc", "1", "3"))
        said = self.said("services", "svc")
        self.assertRegex(said, r"service +svc\n")
        self.assertIn(self.service.address, said)
        self.assertIn(self.service.address, self.said("endpoints", "svc"))
        (one,) = self.daemon.ctl_json("endpoints", "svc")
        self.assertEqual((one["address"], one["calls_total"]), (self.service.address, 3))
        self.assertEqual(self.daemon.ctl_json("services", "svc")["endpoints"], [one])

    def test_a_service_that_is_not_there(self):
        for name in ("other", "../status", "a b", "", "x" * 300, "svc?x=1"):
            status, said, complaint = self.daemon.ctl("endpoints", name)
            self.assertEqual((status, said), (FAILED, ""), name)
            self.assertIn("bridlectl: ", complaint)

    def test_a_refusal_is_json_too_where_json_was_asked_for(self):
        for words in (("endpoints", "other"), ("services", "other"), ("history", "other"),
                      ("explain", "svc/Echo", "--listener", "other"),
                      ("disable", "127.0.0.1:1"), ("weight", "127.0.0.1:1", "5")):
            status, said, _ = self.daemon.ctl("--json", *words)
            answer = json.loads(said)
            self.assertEqual((status, answer["ok"]), (FAILED, False), words)
            self.assertEqual((bool(answer["error"]), answer["problems"]), (True, []), words)

    def test_config(self):
        self.assertIn("default", self.said("config"))
        config = self.daemon.ctl_json("config")
        self.assertEqual(config["listeners"][0]["name"], "in")
        self.assertIs(config["services"]["svc"]["multiplex"], False)
        self.assertIsInstance(config["workers"], int)
        self.assertEqual(config["listeners"][0]["mode"], "0660")

    def test_reload(self):
        before = self.daemon.get_json("/status")["config"]["hash"]
        whole = {"listeners": [{"name": "in", "address": "127.0.0.1:0", "service": "svc"}],
                 "node": {"service": "test.other"},
                 "services": {"svc": {"endpoints": [self.service.address],
                                      "timeout": {"call": "7s"}}}}
        self.daemon.write_config(whole)
        self.assertIn("good", self.daemon.ctl("reload", "--dry-run")[1])
        self.assertEqual(self.daemon.get_json("/status")["config"]["hash"], before)
        status, said, complaint = self.daemon.ctl("reload")
        after = self.daemon.get_json("/status")["config"]["hash"]
        self.assertNotEqual(before, after)
        self.assertEqual((status, said), (DONE, "reloaded, %s\n" % after))
        self.assertIn("node: takes effect only at the next start", complaint)

    def test_a_reload_that_is_refused(self):
        with open(self.daemon.config_path, "w", encoding="utf-8") as file:
            file.write("listeners: []\nwrokers: 3\n")
        for words in (("reload",), ("reload", "--dry-run")):
            status, said, complaint = self.daemon.ctl(*words)
            self.assertEqual((status, said), (FAILED, ""))
            self.assertIn('bridled.yaml:2:1: error: wrokers', complaint)
            self.assertIn("refused", complaint)
        status, said, _ = self.daemon.ctl("--json", "reload")
        self.assertEqual((status, json.loads(said)["ok"]), (FAILED, False))

    def test_a_daemon_that_is_gone(self):
        self.daemon.stop()
        self.assertEqual(self.daemon.ctl("status")[0], UNREACHABLE)
        self.daemon.start()
        eventually(lambda: self.daemon.ctl("status")[0] == DONE)
