"""What shells complete: everything that --help offers, and nothing else, without a list of its own."""

import os
import re
import shutil
import subprocess
import unittest

import bridled
from bridled import TestCase

SHELL_SECONDS = 60
OPTION = re.compile(r"(?<![\w-])(--[a-z][a-z-]*|-[a-zA-Z])(?![\w-])")


def run(*command, **more):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          stdin=subprocess.DEVNULL, timeout=SHELL_SECONDS, check=False, **more)


def needs_shell(shell):
    return unittest.skipUnless(shutil.which(shell), "there is no " + shell)


def options_in(text):
    """The options that a help text lists: at the start of its lines, or in brackets and rows."""
    found = set()
    for line in text.split("\n"):
        said = line.strip()
        head = said.split("  ")[0]
        if said.startswith("-") or said.startswith("Usage: bridlectl"):
            found.update(OPTION.findall(head))
    return found


class Completion(TestCase):
    programs = {"bridled": bridled.BINARY, "bridlectl": bridled.CTL}

    def script(self, program, shell):
        """The file with what the program prints for that shell."""
        path = self.path("%s.%s" % (program, shell))
        done = run(self.programs[program], "--completion", shell)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        with open(path, "w", encoding="utf-8") as file:
            file.write(done.stdout)
        return path

    def help(self, program, *words):
        done = run(self.programs[program], *words, "--help")
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def commands(self):
        """Those of bridlectl, in the order of its --help."""
        listed = re.findall(r"^  ([a-z]+) .*$", self.help("bridlectl"), re.M)
        self.assertIn("status", listed)
        return listed

    def environment(self):
        folders = {os.path.dirname(path) for path in self.programs.values()}
        return {**os.environ, "PATH": os.pathsep.join([*folders, os.environ["PATH"]]),
                "HOME": self.directory, "XDG_CONFIG_HOME": self.directory}

    def complete(self, shell, line):
        """What the shell would offer for that line, as a set."""
        return getattr(self, "complete_" + shell)(line.split()[0], line)

    def complete_bash(self, program, line):
        text = """. "$1"; COMP_LINE=$2; COMP_POINT=${#2}; _%s; printf '%%s\\n' "${COMPREPLY[@]}" """
        done = run("bash", "--norc", "-c", text % program, "bash", self.script(program, "bash"), line,
                   env=self.environment())
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return set(done.stdout.split())

    def complete_fish(self, program, line):
        done = run("fish", "--no-config", "-c", "source $argv[1]; complete -C $argv[2]",
                   self.script(program, "fish"), line, env=self.environment())
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return {word.split("\t")[0] for word in done.stdout.split("\n") if word}

    def complete_zsh(self, program, line):
        """In a terminal of its own; what the shell would show is written to a file."""
        done = run("zsh", "-f", os.path.join(os.path.dirname(__file__), "complete.zsh"),
                   self.script(program, "zsh"), line, env=self.environment())
        self.assertEqual(done.returncode, 0, done.stderr)
        return set(done.stdout.split())


class Everything(Completion):
    """For each shell: all options of both programs, all commands, all options of each command."""

    SECONDS_EACH = 8

    def check_options(self, shell):
        for program in self.programs:
            offered = self.complete(shell, program + " --")
            expected = {o for o in options_in(self.help(program)) if o.startswith("--")}
            self.assertEqual({o.rstrip("=") for o in offered}, expected)

    def check_commands(self, shell):
        self.assertEqual(self.complete(shell, "bridlectl "), set(self.commands()))
        common = {"--socket", "--json", "--version", "--help"}
        for command in self.commands():
            offered = self.complete(shell, "bridlectl %s --" % command)
            expected = {o for o in options_in(self.help("bridlectl", command))
                        if o.startswith("--")}
            self.assertEqual({o.rstrip("=") for o in offered}, expected | common, command)

    def check_words(self, shell):
        commands = re.search(r"-s, --signal COMMAND +tell the running daemon: (.*)",
                             self.help("bridled"))[1]
        self.assertEqual(self.complete(shell, "bridled -s "),
                         set(re.findall(r"\w+", commands)) - {"or"})
        self.assertEqual(self.complete(shell, "bridlectl why no_"),
                         {"no_route", "no_endpoint", "no_conversion"})
        with open(self.path("some.yaml"), "w", encoding="utf-8"):
            pass
        files = self.complete(shell, "bridled -c %s/so" % self.directory)
        self.assertEqual({os.path.basename(path) for path in files}, {"some.yaml"})
        self.assertEqual(self.complete(shell, "bridlectl --json expl"), {"explain"})

    @needs_shell("bash")
    def test_bash(self):
        self.check_options("bash")
        self.check_commands("bash")
        self.check_words("bash")

    @needs_shell("fish")
    def test_fish(self):
        self.check_options("fish")
        self.check_commands("fish")
        self.check_words("fish")

    @needs_shell("zsh")
    def test_zsh(self):
        self.check_options("zsh")
        self.check_commands("zsh")
        self.check_words("zsh")

    @needs_shell("bash")
    def test_each_is_bound_to_its_program(self):
        for program in self.programs:
            done = run("bash", "--norc", "-c", '. "$1"; complete -p "$2"', "bash",
                       self.script(program, "bash"), program)
            self.assertEqual(done.stdout, "complete -F _%s %s\n" % (program, program))

    def test_another_shell_is_refused(self):
        for path in self.programs.values():
            done = run(path, "--completion", "cmd")
            self.assertEqual(done.returncode, 2)
            self.assertIn("there are bash, zsh and fish", done.stderr)


class Asked(Completion):
    """What a running daemon knows."""

    config = {
        "listeners": [{"name": "inbound", "address": "127.0.0.1:0", "service": "shop.cart"}],
        "services": {"shop.cart": {"endpoints": ["127.0.0.1:9000", "unix:/run/cart.sock"]},
                     "shop.price": {"endpoints": ["127.0.0.2:9000"]}},
    }

    def setUp(self):
        super().setUp()
        self.daemon = self.bridled(self.config)

    def offered(self, shell, line):
        """What is offered for a command with that daemon."""
        return self.complete(shell, "bridlectl -S %s %s" % (self.daemon.admin_path, line))

    def test_words(self):
        for kind, words in (("SERVICE", ["shop.cart", "shop.price"]), ("LISTENER", ["inbound"]),
                            ("ENDPOINT", ["127.0.0.1:9000", "unix:/run/cart.sock",
                                          "127.0.0.2:9000"]),
                            ("LEVEL", ["error", "warn", "info", "debug"]), ("NONSENSE", [])):
            done = run(bridled.CTL, "--words", kind, "-S", self.daemon.admin_path)
            self.assertEqual((done.returncode, done.stdout.split()), (0, words))

    def test_nobody_answers(self):
        done = run(bridled.CTL, "--words", "SERVICE", "-S", self.path("none.sock"))
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))

    @needs_shell("bash")
    def test_bash(self):
        self.assertEqual(self.offered("bash", "services shop.p"), {"shop.price"})

        self.assertEqual(self.offered("bash", "disable 127.0.0.1:"), {"9000"})  # behind the colon

    @needs_shell("fish")
    def test_fish(self):
        self.assertEqual(self.offered("fish", "services shop.p"), {"shop.price"})

    @needs_shell("zsh")
    def test_zsh(self):
        self.assertEqual(self.offered("zsh", "services shop.p"), {"shop.price"})
