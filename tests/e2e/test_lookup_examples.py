"""The helpers of examples/metadata-lookup, each as the application of a real daemon."""

import json
import os
import shutil
import subprocess
import sys
import unittest

import wire
from bridled import TOP, TestCase

EXAMPLES = os.path.join(TOP, "examples", "metadata-lookup")
JAVA_HOME = os.path.dirname(os.path.dirname(os.path.realpath(shutil.which("javac") or "/a/a")))
JNI = os.path.join(JAVA_HOME, "include")
BUILD_SECONDS = 300


def needs(*programs):
    return unittest.skipUnless(all(shutil.which(p) for p in programs),
                               "not here: " + " or ".join(programs))


class HelpersTest(TestCase):
    SECONDS_EACH = 4

    def source(self, name):
        return os.path.join(EXAMPLES, name)

    def build(self, *words):
        environment = {"HOME": self.directory, **os.environ, "GO111MODULE": "off", "GOFLAGS": ""}
        done = subprocess.run(words, cwd=self.directory, env=environment, text=True, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=BUILD_SECONDS)
        self.assertEqual((done.returncode, done.stdout), (0, ""), words)

    def told_by(self, *words):
        """What the helper, started for each call, says of it; and what of another sequence id."""
        door = self.path("metadata.sock")

        def run(connection, *seq):
            done = subprocess.run([*words, door, *seq], stdin=connection.sock, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
            return done.returncode, done.stdout, done.stderr

        def behave(connection, packet):
            said = [run(connection), run(connection, str(packet.seq)),
                    run(connection, str(packet.seq + 1))]
            connection.write(packet.answer(wire.result(json.dumps(said))))

        service = self.upstream(behave, "app.sock")
        daemon = self.pinned(service, protocol="framed", metadata="lookup")
        caller = self.caller(daemon, "ttheader_framed")
        ints = {wire.FROM_SERVICE: "web.front", wire.LOG_ID: "log-1", wire.RPC_TIMEOUT: "60000"}
        answer = caller.call("Quote", ints=ints, strs={"RPC_PERSIST_tenant": "bl\u00fc".encode(
        ).decode("latin-1")}, seq=41)
        return json.loads(answer.text)

    def assert_tells(self, *words):
        plain, named, other = self.told_by(*words)
        for status, text, complaint in (plain, named):
            self.assertEqual((status, complaint), (0, ""))
            told = {key.lower(): value for key, value in json.loads(text).items()}
            self.assertEqual((told["caller"], told["method"], told["log_id"], told["seq"]),
                             ("web.front", "Quote", "log-1", 41))
            self.assertEqual(told["persistent"], {"tenant": "bl\u00fc"})
            self.assertTrue(0 < told["time_left_ms"] <= 60000, told)
        self.assertNotEqual(other[0], 0, other)
        self.assertIn("no call is in flight", other[1] + other[2])

    def test_python(self):
        self.assert_tells(sys.executable, self.source("metadata.py"))

    @needs("cc")
    def test_c(self):
        program = self.path("metadata")
        self.build("cc", "-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-o", program,
                   self.source("metadata.c"), self.source("metadata-main.c"))
        self.assert_tells(program)

    @needs("go")
    def test_go(self):
        program = self.path("metadata-go")
        self.build("go", "build", "-o", program, self.source("metadata.go"))
        self.assert_tells(program)

    @needs("cc", "javac", "java")
    @unittest.skipUnless(os.path.exists(os.path.join(JNI, "jni.h")), "not here: jni.h")
    def test_java(self):
        self.build("javac", "-Xlint:all", "-Werror", "-d", self.directory,
                   self.source("Metadata.java"))
        self.build("cc", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-I" + JNI,
                   "-I" + os.path.join(JNI, "linux"), "-o", self.path("libpeername.so"),
                   self.source("PeerName.c"))
        self.assert_tells(os.path.join(JAVA_HOME, "bin", "java"),
                          "-Djava.library.path=" + self.directory, "-cp", self.directory,
                          "Metadata")
