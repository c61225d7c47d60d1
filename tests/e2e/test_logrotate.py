"""The snippet for logrotate, with the daemon that writes the logs."""

import os
import shutil
import subprocess
import unittest

import bridled
from bridled import TestCase, eventually

LOGROTATE = shutil.which("logrotate", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
SNIPPET = os.path.join(bridled.TOP, "logrotate", "bridled.in")


@unittest.skipUnless(LOGROTATE, "there is no logrotate")
class Rotation(TestCase):
    def setUp(self):
        """The snippet, with the paths of this test, and without another user to be."""
        super().setUp()
        with open(SNIPPET, encoding="utf-8") as file:
            text = file.read()
        for installed, here in (("@sbindir@/bridled", bridled.BINARY),
                                ("@sysconfdir@/bridled", self.directory),
                                ("/run/bridled", self.directory),
                                ("/var/log/bridled/*.log", self.path("*.log")),
                                ("\tsu bridled bridled\n", "")):
            self.assertIn(installed, text)
            text = text.replace(installed, here)
        self.snippet = self.path("snippet")
        with open(self.snippet, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(self.snippet, 0o644)

    def rotate(self, *options):
        done = subprocess.run([LOGROTATE, "--state", self.path("state"), *options, self.snippet],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=bridled.STOP_SECONDS, check=False)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertNotIn("error", done.stdout.lower())
        return done.stdout

    def lines_in(self, name):
        try:
            with open(self.path(name), encoding="utf-8") as file:
                return len(file.readlines())
        except FileNotFoundError:
            return 0

    def test_logs_go_on_under_their_names(self):
        daemon = self.pinned(self.upstream(), config={"log": {"to": self.path("bridled.log")}})
        caller = self.caller(daemon)
        caller.call("Before")
        eventually(lambda: self.lines_in("access.log") == 1, what="a line")
        self.assertIn("rotating pattern", self.rotate("--debug"))
        self.rotate("--force")
        self.assertEqual(self.lines_in("access.log.1"), 1)
        for round_number in range(2, 4):
            caller.call("After")
            eventually(lambda: self.lines_in("access.log") == 1, what="a line in the new file")
            self.rotate("--force")
            self.assertTrue(os.path.exists(self.path("access.log.%d.gz" % round_number)))
        eventually(lambda: self.lines_in("bridled.log") > 0, what="that they are opened anew")

    def test_where_no_daemon_runs_it_is_no_error(self):
        with open(self.path("access.log"), "w", encoding="utf-8") as file:
            file.write("left over\n")
        self.assertEqual(self.rotate("--force"), "")
        self.assertEqual(self.lines_in("access.log.1"), 1)

    def test_without_logs_there_is_nothing_to_do(self):
        self.assertEqual(self.rotate("--force"), "")
