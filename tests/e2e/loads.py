"""Continuous load: callers that go on until they are told to stop, and forget no failure."""

import subprocess
import threading
import time

import sockets
from peers import CLIENT_SECONDS, ENVIRONMENT, UNARY, Calling, msg


class Load:
    """Threads that run `once` until the end. What goes wrong is in `failed`, with its time."""

    def __init__(self, threads=1, pause=0.0):
        self.pause, self.ends = pause, False
        self.calls, self.failed, self.took = 0, [], []
        self.threads = [threading.Thread(target=self.run) for _ in range(threads)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ends = True
        for thread in self.threads:
            thread.join()

    def open(self):
        return None

    def once(self, caller):
        raise NotImplementedError

    def run(self):
        caller = None
        while not self.ends:
            began = time.monotonic()
            try:
                caller = caller or self.open()
                caller = self.once(caller)
                self.calls += 1
                self.took.append((began, time.monotonic() - began))
                time.sleep(self.pause)
            except (OSError, EOFError, AssertionError, ValueError) as error:
                self.failed.append((began, repr(error)))
                caller = None
        if caller:
            caller.close()

    def slowest(self, share=1.0):
        """Seconds that so many of the calls took at most."""
        took = sorted(seconds for _, seconds in self.took)
        return took[min(len(took) - 1, int(len(took) * share))] if took else 0.0


class Calls(Load):
    """Echo calls of one form. `keep`: so many on a connection, None for all."""

    def __init__(self, address, form="framed", threads=2, keep=None, pause=0.0, **kwargs):
        super().__init__(threads, pause)
        self.address, self.form, self.keep, self.kwargs = address, form, keep, kwargs
        self.made = {}

    def open(self):
        return sockets.Caller(self.address, self.form, **self.kwargs)

    def once(self, caller):
        text = "call %d" % next(sockets.sequence)
        answer = caller.call(text=text)
        if answer.exception or answer.text != text:
            raise AssertionError("%r for %r" % (answer, text))
        made = self.made[caller] = self.made.get(caller, 0) + 1
        # A caller of TTHeader that is asked to go elsewhere does so, as those of Kitex do.
        asked = answer.header is not None and answer.header.strs.get("crrst") == "1"
        if asked or (self.keep and made >= self.keep):
            del self.made[caller]
            caller.close()
            return None
        return caller


class GoGrpc(Load):
    """Unary calls of grpc-go: so many at once on a connection, and then on a new one."""

    def __init__(self, address, callers=4, calls=50):
        super().__init__(1)
        self.address, self.order = address, {"callers": callers, "calls": calls}

    def once(self, caller):
        calling = Calling(self.address, UNARY, (msg("hello", 1),), **self.order)
        try:
            outcomes = calling.outcomes()
        finally:
            calling.stop()
        wrong = [(out.code, out.text) for out in outcomes if out.code]
        if wrong:
            raise AssertionError("gRPC: %r" % wrong[:5])


class Clients(Load):
    """A client program, run over and over; it checks its answers, and ends with 0 if all are right."""

    def __init__(self, *command, says=None):
        super().__init__(1)
        self.command, self.says = command, says

    def once(self, caller):
        done = subprocess.run(self.command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, timeout=CLIENT_SECONDS, check=False, env=ENVIRONMENT)
        if done.returncode or (self.says and self.says not in done.stdout):
            raise AssertionError("%s ended with %d: %s" % (
                self.command[0], done.returncode, done.stdout[-1500:]))


def all_of(loads):
    """One context for several."""
    return _All(loads)


class _All:
    def __init__(self, loads):
        self.loads = loads

    def __enter__(self):
        for load in self.loads:
            load.__enter__()
        return self

    def __exit__(self, *_):
        for load in self.loads:
            load.ends = True
        for load in self.loads:
            load.__exit__()

    @property
    def failed(self):
        return [failure for load in self.loads for failure in load.failed]

    @property
    def calls(self):
        return sum(load.calls for load in self.loads)
