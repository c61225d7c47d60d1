"""An application to run under the sidecar: serves Framed Thrift where its environment says, notes in a
directory what happens to it, and ends as its orders say.

    hosted_application.py DIRECTORY [ORDER]...

Orders: late (serves only once the file `go` is there), slow (a call of Slow is answered when `go` is
there), deaf (takes no SIGTERM), calls (makes a call of its own when it is told to end), catches-hup.
"""

import json
import os
import signal
import sys
import time

import sockets
import upstream

DIRECTORY, ORDERS = sys.argv[1], sys.argv[2:]
END_STATUS = 7


def note(name, what):
    path = os.path.join(DIRECTORY, name)
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump(what, file)
    os.rename(path + ".new", path)


def await_go():
    while not os.path.exists(os.path.join(DIRECTORY, "go")):
        time.sleep(0.01)


def answer(connection, packet):
    if packet.method == "Slow":
        note("slow", True)
        await_go()
    upstream.echo(connection, packet)


def end(number, _frame):
    if "deaf" in ORDERS:
        note("deaf", number)
        return
    if "calls" in ORDERS:
        with sockets.Caller(os.environ["BRIDLE_LISTENER_OUT"]) as caller:
            note("called", caller.call(text="last words").text)
    note("ended", number)
    os._exit(END_STATUS)


def main():
    note("environment", dict(os.environ))
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, end)
    signal.signal(signal.SIGUSR2, lambda number, _: note("caught", number))
    if "catches-hup" in ORDERS:
        signal.signal(signal.SIGHUP, lambda number, _: note("caught", number))
    note("pid", os.getpid())
    if "late" in ORDERS:
        await_go()
    (path,) = (value for name, value in os.environ.items()
               if name.startswith("BRIDLE_SERVICE_") and name.endswith("_PATH"))
    upstream.Service(answer, path)
    while True:
        signal.pause()


main()
