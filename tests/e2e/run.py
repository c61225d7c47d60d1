#!/usr/bin/env python3
"""Runs the end-to-end tests against the daemon in $BRIDLE_BUILD_DIR (default: build).

    run.py [-v] [-f] [-j JOBS] [-k PATTERN]... [FILE | FILE.CLASS]...

With -j so many processes share the work, class by class; most tests wait more than they do. Ends with
77 if nothing could run; with $BRIDLE_E2E_REQUIRE=1 whatever is absent is a failure, but not what the
machine does not allow.
"""

import argparse
import collections
import concurrent.futures
import os
import re
import subprocess
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True

import bridled  # noqa: E402 pylint: disable=wrong-import-position

SKIPPED = 77
RAN = re.compile(r"^Ran (\d+) tests? in ", re.M)


def names_of(tests):
    """For each test the name of its class, and about how long it takes; what cannot be loaded is a
    class of its own."""
    for test in tests:
        if isinstance(test, unittest.TestSuite):
            yield from names_of(test)
        elif isinstance(test, bridled.TestCase):
            yield type(test).__module__ + "." + type(test).__qualname__, type(test).SECONDS_EACH
        else:
            yield test.id().rpartition(".")[2], 1


def classes_of(tests):
    """Their names, the long ones first: nobody is to wait for one at the end."""
    seconds = collections.Counter()
    for name, each in names_of(tests):
        seconds[name] += each
    return [name for name, _ in seconds.most_common()]


def run_class(name, options):
    """(exit code, how many tests, seconds, what was said)"""
    began = time.monotonic()
    command = [sys.executable, os.path.abspath(__file__), name]
    command += ["-v"] * options.verbose + ["-f"] * options.failfast
    for pattern in options.k:
        command += ["-k", pattern]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, encoding="utf-8", errors="replace", check=False)
    ran = RAN.search(done.stdout)
    return done.returncode, int(ran[1]) if ran else 0, time.monotonic() - began, done.stdout


def run_shared(tests, options):
    began, count, codes, failures = time.monotonic(), 0, set(), []
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        running = {pool.submit(run_class, name, options): name for name in classes_of(tests)}
        for one in concurrent.futures.as_completed(running):
            if one.cancelled():
                continue
            code, ran, took, said = one.result()
            count += ran
            codes.add(code)
            failed = code not in (0, SKIPPED)
            print("%s: %s, %d tests, %d s" % (running[one], "FAILED" if failed else "ok", ran, took),
                  flush=True)
            if failed:
                failures.append(said)
                if options.failfast:
                    pool.shutdown(wait=False, cancel_futures=True)
            elif options.verbose:
                print(said, flush=True)
    for said in failures:
        print("\n" + said)
    print("Ran %d tests in %.3fs\n\n%s" % (count, time.monotonic() - began,
                                          "FAILED" if failures else "OK"))
    if failures:
        return 1
    return SKIPPED if codes <= {SKIPPED} else 0


def run_here(tests, options):
    result = unittest.TextTestRunner(verbosity=2 if options.verbose else 1,
                                     failfast=options.failfast).run(tests)
    if not result.wasSuccessful():
        return 1
    absent = [(test, why) for test, why in result.skipped
              if not why.startswith(bridled.NOT_ALLOWED)]
    if absent and bridled.REQUIRED:
        for test, why in absent:
            print("skipped although everything is required: %s: %s" % (test, why))
        return 1
    return SKIPPED if len(result.skipped) == result.testsRun else 0


def main():
    options = argparse.ArgumentParser()
    options.add_argument("-v", "--verbose", action="store_true")
    options.add_argument("-f", "--failfast", action="store_true")
    options.add_argument("-j", "--jobs", type=int, default=1)
    options.add_argument("-k", action="append", default=[])
    options.add_argument("files", nargs="*")
    options = options.parse_args()
    if not os.access(bridled.BINARY, os.X_OK):
        print("no daemon at", bridled.BINARY)
        return 1 if bridled.REQUIRED else SKIPPED
    loader = unittest.TestLoader()
    if options.k:
        loader.testNamePatterns = ["*%s*" % pattern for pattern in options.k]
    if options.files:
        names = [os.path.basename(name).removesuffix(".py") for name in options.files]
        tests = loader.loadTestsFromNames(names)
    else:
        tests = loader.discover(HERE, "test_*.py", HERE)
    return (run_shared if options.jobs > 1 else run_here)(tests, options)


sys.exit(main())
