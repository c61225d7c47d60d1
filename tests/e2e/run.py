#!/usr/bin/env python3
"""Runs the end-to-end tests against the daemon in $BRIDLE_BUILD_DIR (default: build).

    run.py [-v] [-k PATTERN]... [FILE]...

Ends with 77 if nothing could run; with $BRIDLE_E2E_REQUIRE=1 whatever is absent is a failure.
"""

import argparse
import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True

import bridled  # noqa: E402 pylint: disable=wrong-import-position

SKIPPED = 77


def main():
    options = argparse.ArgumentParser()
    options.add_argument("-v", "--verbose", action="store_true")
    options.add_argument("-f", "--failfast", action="store_true")
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
    result = unittest.TextTestRunner(verbosity=2 if options.verbose else 1,
                                     failfast=options.failfast).run(tests)
    if not result.wasSuccessful():
        return 1
    if result.skipped and bridled.REQUIRED:
        print("skipped although everything is required:", [str(test) for test, _ in result.skipped])
        return 1
    return SKIPPED if len(result.skipped) == result.testsRun else 0

sys.exit(main())
