"""What `bridled -t` says about files, broken and good ones."""

import glob
import json
import os
import re
import subprocess
import textwrap

from bridled import BINARY, STOP_SECONDS, TOP, TestCase

GOOD = """\
listeners:
  - {name: in, address: "127.0.0.1:0", service: svc}
services:
  svc: {endpoints: ["127.0.0.1:9"]}
"""

# name: (file, line of the problem, words that its report contains)
BROKEN = {
    "not yaml": ("listeners: [\n", None, []),
    "not a map": ("- a\n- b\n", 1, []),
    "unknown key": (GOOD + "lisseners: []\n", 5, ["lisseners", 'did you mean "listeners"']),
    "unknown key of a listener": (
        GOOD.replace("service: svc", "servise: svc"), 2, ["servise", 'did you mean "service"']),
    "duplicate key": (GOOD + "services: {}\n", 5, ["services"]),
    "wrong type": (GOOD.replace('["127.0.0.1:9"]', "{a: b}"), 4, ["endpoints"]),
    "dangling service": (GOOD.replace("service: svc", "service: cart"), 2, ["cart"]),
    "number without unit": (GOOD.replace('9"]', '9"], timeout: {call: 5}'), 4,
                            ["timeout.call", "unit"]),
    "unknown unit": (GOOD.replace('9"]', '9"], timeout: {call: 5 fortnights}'), 4,
                     ["timeout.call"]),
    "zero where it makes no sense": (
        GOOD.replace('9"]', '9"], timeout: {call: 0s}'), 4, ["timeout.call"]),
    "unknown word": (GOOD.replace('9"]', '9"], balance: rondom'), 4,
                     ["balance", "random", "round_robin"]),
    "unknown protocol": (GOOD.replace('9"]', '9"], protocol: frammed'), 4,
                         ["protocol", 'did you mean "framed"']),
    "port out of range": (GOOD.replace(":9", ":99999"), 4, ["99999"]),
    "path too long": (GOOD.replace("127.0.0.1:9", "unix:/" + "x" * 120), 4, ["107"]),
    "undefined variable": (GOOD.replace("127.0.0.1:9", "${BRIDLE_NO_SUCH_VARIABLE}"), 4,
                           ["BRIDLE_NO_SUCH_VARIABLE"]),
    "alias": (GOOD.replace("listeners:", "x: &a 1\ny: *a\nlisteners:"), 2, ["alias"]),
    "merge key": (GOOD.replace("{endpoints", "{<<: {a: b}, endpoints"), 4, []),
    "custom tag": (GOOD.replace("name: in", "name: !secret in"), 2, ["tag"]),
    "two names of one listener": (
        GOOD.replace("services:", '  - {name: in, address: "127.0.0.1:0", service: svc}\n'
                     "services:"), 3, ["in"]),
    "open relay": (GOOD.replace("127.0.0.1:0", "0.0.0.0:0").replace(", service: svc", ""), 2,
                   ["allow"]),
    "no listener": ("services: {}\n", None, ["listeners"]),
    "endpoints and discover": (
        GOOD.replace('9"]', '9"], discover: main'), 4, ["discover"]),
    "neither endpoints nor discover": (GOOD.replace('endpoints: ["127.0.0.1:9"]', ""), 4, []),
    "yaml 1.1 boolean": (GOOD.replace('9"]', '9"], multiplex: yes'), 4, ["multiplex"]),
    "tab": ("listeners:\n\t- a\n", 2, []),
    "nested too deep": ("a: " + "[" * 100 + "]" * 100 + "\n", 1, []),
}

REPORT = re.compile(r"^(?P<file>[^:]+):(?P<line>\d+):(?P<column>\d+): error: (?P<text>.*)$", re.M)


class Check(TestCase):
    def check(self, text, *options, environment=None):
        path = self.path("test.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return subprocess.run([BINARY, *options, "-c", path], stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=STOP_SECONDS,
                              env={**os.environ, **(environment or {})}, check=False)

    def test_good_files_pass(self):
        done = self.check(GOOD, "-t")
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_every_example_passes(self):
        examples = [path for path in glob.glob(os.path.join(TOP, "conf", "*.yaml"))
                    if os.path.basename(path) != "simulate.yaml"]  # a plan, of test_simulate
        self.assertTrue(examples)
        for path in examples:
            with self.subTest(example=path):
                done = subprocess.run([BINARY, "-t", "-c", path], stdout=subprocess.PIPE, text=True,
                                      stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                      timeout=STOP_SECONDS, check=False)
                problems = [m["text"] for m in REPORT.finditer(done.stdout)
                            if "is not there" not in m["text"]]  # directories of an installation
                self.assertEqual(problems, [])

    def test_broken_files_are_refused_with_line_column_path_and_remedy(self):
        for name, (text, line, words) in BROKEN.items():
            with self.subTest(broken=name):
                done = self.check(text, "-t")
                self.assertEqual(done.returncode, 1, done.stdout)
                found = [m for m in REPORT.finditer(done.stdout)]
                self.assertTrue(found, done.stdout)
                self.assertTrue(found[0]["file"].endswith("test.yaml"))
                if line is not None:
                    self.assertIn(line, [int(m["line"]) for m in found], done.stdout)
                for word in words:
                    self.assertIn(word, done.stdout)

    def test_a_remedy_is_indented_under_its_problem(self):
        done = self.check(BROKEN["unknown word"][0], "-t")
        lines = done.stdout.splitlines()
        at = next(i for i, l in enumerate(lines) if REPORT.match(l))
        self.assertRegex(lines[at + 1], r"^\s+\S")

    def test_all_problems_are_reported_in_one_run(self):
        done = self.check(textwrap.dedent("""\
            listeners:
              - {name: in, address: "nonsense", servise: svc}
            services:
              svc: {endpoints: ["127.0.0.1:9"], balance: rondom, timeout: {call: 5}}
            wrokers: 2
        """), "-t")
        self.assertGreaterEqual(len(REPORT.findall(done.stdout)), 4, done.stdout)

    def test_variables(self):
        text = GOOD.replace("127.0.0.1:9", "127.0.0.1:${BRIDLE_TEST_PORT:-9}")
        self.assertEqual(self.check(text, "-t").returncode, 0)
        done = self.check(text, "-T", environment={"BRIDLE_TEST_PORT": "4321"})
        self.assertIn("127.0.0.1:4321", done.stdout)

    def test_a_variable_cannot_inject_structure(self):
        text = GOOD.replace("name: in", 'name: "${BRIDLE_TEST_NAME}"')
        done = self.check(text, "-T", environment={"BRIDLE_TEST_NAME": "in, service: other"})
        self.assertNotRegex(done.stdout, r"(?m)^\s*service: other")

    def test_the_dump_is_a_file_that_means_the_same(self):
        text = GOOD + 'admin: {socket: "%s"}\n' % self.path("admin.sock")
        done = self.check(text, "-T")
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn("# default", done.stdout)
        self.assertRegex(done.stdout, r"# \S*test\.yaml:\d+")
        again = self.check(done.stdout, "-t")
        self.assertEqual(again.returncode, 0, again.stdout)

    def test_overrides(self):
        done = self.check(GOOD, "-T", "--set", "services.svc.timeout.call=7s", "--set",
                          "workers=3")
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertRegex(done.stdout, r"call: 7s")
        self.assertRegex(done.stdout, r"workers: 3")
        self.assertNotEqual(self.check(GOOD, "-t", "--set", "wrokers=3").returncode, 0)

    def test_the_schema_is_json_and_knows_the_keys(self):
        done = subprocess.run([BINARY, "--schema"], stdout=subprocess.PIPE,
                              stdin=subprocess.DEVNULL, timeout=STOP_SECONDS, check=True)
        schema = json.loads(done.stdout)
        whole = schema["$defs"][schema["$ref"].rpartition("/")[2]]
        self.assertLessEqual({"listeners", "services", "defaults", "workers", "admin"},
                             set(whole["properties"]))

    def test_a_directory_is_one_file_in_many(self):
        os.mkdir(self.path("conf.d"))
        listeners, services = GOOD.split("services:")
        for name, text in (("10-l.yaml", listeners), ("20-s.yaml", "services:" + services)):
            with open(self.path("conf.d/" + name), "w", encoding="utf-8") as file:
                file.write(text)
        done = subprocess.run([BINARY, "-t", "-c", self.path("conf.d")], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, timeout=STOP_SECONDS,
                              check=False)
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_bombs_are_refused_at_once(self):
        bombs = {"unclosed flow": "[" * 200000, "self reference": "a: &a [*a]\n",
                 "alias bomb": "a: &a [x,x]\n" + "".join(
                     "%s: &%s [*%s,*%s]\n" % (n, n, p, p) for p, n in zip("abcdefgh", "bcdefghi")),
                 "2 MiB": "a: " + "x" * (2 << 20), "zeros": "\0" * 1000, "one key": "? " * 5000}
        for name, text in bombs.items():
            with self.subTest(bomb=name):
                done = self.check(text, "-t")
                self.assertEqual(done.returncode, 1, done.stdout[:500])
