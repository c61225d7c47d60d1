"""A legacy application under the sidecar: serves Thrift on a unix socket, each connection in a thread
of its own, and makes a call over another one while it answers, as its caller's text says. It hands
nothing on that came with the call.

    calling_application.py PATH OUT [WORKERS]

PATH is where it listens, OUT the directory of the sidecar's sockets. With WORKERS it is a pre-forked
server: the process that listens answers nothing.

The text of a call is JSON: `to`: the name of the socket in OUT, without which nothing is called;
`form`, `method`, `kind`, `text`, `strs`, `ints`, `fields` (gRPC): of the outgoing call; `by`: `child`,
a process of its own, or `nobody`; `await`: a file that has to be there first; `note`: one that is
made before. The answer is what the outgoing call was answered with.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import h2
import sockets
import upstream
import wire

PATH, OUT = sys.argv[1:3]
WORKERS = int(sys.argv[3]) if len(sys.argv) > 3 else 0
CHILD = """
import sys
sys.path.insert(0, %r)
import sockets
with sockets.Caller(sys.argv[1]) as caller:
    print(caller.call("Report", "by a child").text, end="")
"""
here = threading.local()


def caller_to(name, form):
    """A connection for each thread, kept."""
    open_ones = here.__dict__.setdefault("open", {})
    if (name, form) not in open_ones:
        kind = h2.Client if form == "grpc" else sockets.Caller
        more = {} if form == "grpc" else {"form": form}
        open_ones[name, form] = kind("unix:" + os.path.join(OUT, name), **more)
    return open_ones[name, form]


def call_grpc(orders):
    stream = caller_to(orders["to"], "grpc").call(
        orders.get("text", "hello").encode(), path="/pkg.Echo/Report",
        more=[tuple(field) for field in orders.get("fields", ())])
    return stream.trailers.get("grpc-status")


def call_out(orders):
    form = orders.get("form", "framed")
    if orders.get("by") == "child":
        script = CHILD % os.path.dirname(os.path.abspath(__file__))
        return subprocess.run([sys.executable, "-c", script, "unix:" + os.path.join(OUT, orders["to"])],
                              stdout=subprocess.PIPE, text=True, check=True).stdout
    if form == "grpc":
        return call_grpc(orders)
    meta = {name: {int(k) if name == "ints" else k: v for k, v in orders[name].items()}
            for name in ("ints", "strs") if name in orders}
    kind = orders.get("kind", wire.CALL)
    caller, method = caller_to(orders["to"], form), orders.get("method", "Report")
    body = wire.arguments(orders.get("text", "hello"))
    if kind == wire.ONEWAY:
        caller.send(method, kind=kind, body=body, **meta)
        return "sent"
    return caller.call(method, body=body, **meta).text


def answer(connection, packet):
    orders = json.loads(packet.text)
    if "note" in orders:
        with open(os.path.join(OUT, orders["note"]), "w", encoding="ascii"):
            pass
    while "await" in orders and not os.path.exists(os.path.join(OUT, orders["await"])):
        time.sleep(0.002)
    said = call_out(orders) if "to" in orders else "nothing called"
    if packet.kind != wire.ONEWAY:
        connection.write(packet.answer(wire.result(said)))


class Service(upstream.Service):
    accepts = not WORKERS

    def accept(self):
        if self.accepts:
            super().accept()


def main():
    service = Service(answer, PATH)
    for _ in range(WORKERS):
        if os.fork() == 0:
            service.accepts = True
            service.accept()
    print("ready", flush=True)
    while True:
        signal.pause()


main()
