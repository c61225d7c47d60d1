"""A peer on thriftpy2.

    thriftpy2_peer.py server MODE ADDRESS
    thriftpy2_peer.py client MODE ADDRESS [CALLS]

MODE is ttheader, ttheader-framed, framed or buffered; ADDRESS is unix:PATH or HOST:PORT. The client
prints one line for each thing it tried and ends with 1 as soon as an answer is wrong.
"""

import os
import sys
import time

import thriftpy2
from thriftpy2.protocol.binary import TBinaryProtocolFactory
from thriftpy2.rpc import make_client, make_server
from thriftpy2.thrift import TApplicationException
from thriftpy2.transport import TBufferedTransportFactory, TFramedTransportFactory

import tth

HERE = os.path.dirname(os.path.abspath(__file__))
echo = thriftpy2.load(os.path.join(HERE, "..", "echo.thrift"), module_name="echo_thrift")
PATIENCE_MS = 10000


class Handler:
    fired_count = 0

    def echo(self, req):
        if req.delay_ms:
            time.sleep(req.delay_ms / 1000)
        if req.text == "oops":
            raise echo.Oops(code=7, why="declared")
        return echo.Resp(text=req.text, meta={}, blob=req.blob)

    def fire(self, req):
        Handler.fired_count += 1

    def fired(self):
        return Handler.fired_count

    def boom(self, kind):
        raise TApplicationException(6, "undeclared")


def reply_headers(transport):
    return transport.header.seq, {tth.MESSAGE_TYPE: "2"}, {"ECHOED": "yes"}


def call_headers(transport):
    transport.seq += 1
    ints = {tth.FROM_SERVICE: "py.caller", tth.TO_SERVICE: "demo.echo", tth.RPC_TIMEOUT: "5000"}
    return transport.seq, ints, {"RPC_PERSIST_TENANT": "blue", "RPC_TRANSIT_HOP": "one"}


def options(mode, address, headers):
    where = {"unix_socket": address[5:]} if address.startswith("unix:") else dict(
        zip(("host", "port"), (address.split(":")[0], int(address.split(":")[1]))))
    if mode.startswith("ttheader"):  # the compiled protocol takes compiled transports only
        return dict(where, proto_factory=TBinaryProtocolFactory(),
                    trans_factory=tth.Factory(mode.endswith("framed"), headers))
    framed = TFramedTransportFactory() if mode == "framed" else TBufferedTransportFactory()
    return dict(where, trans_factory=framed)


def wrong(what, got):
    print("WRONG", what, repr(got))
    sys.exit(1)


def wait_for_oneways(client, expected):
    """A oneway may arrive after the next call."""
    for _ in range(200):
        if client.fired() == expected:
            return
        time.sleep(0.01)
    wrong("fired", client.fired())


def run_client(mode, address, calls):
    client = make_client(echo.Echo, timeout=PATIENCE_MS, **options(mode, address, call_headers))
    if client.echo(echo.Req(text="hello")).text != "hello":
        wrong("echo", "another text")
    print("echo hello")
    header = getattr(client._iprot.trans, "header", None)
    for key, value in sorted(header.strs.items()) if header else ():
        print("backward %s=%s" % (key, value))
    try:
        wrong("oops", client.echo(echo.Req(text="oops")))
    except echo.Oops:
        print("oops declared")
    try:
        wrong("boom", client.boom("undeclared"))
    except TApplicationException as error:
        print("boom", error.type, error.message)
    before = client.fired()
    for _ in range(3):
        client.fire(echo.Req(text="f"))
    wait_for_oneways(client, before + 3)
    print("fired 3")
    blob = bytes(range(251)) * 4000
    if client.echo(echo.Req(text="long", blob=blob)).blob != blob:
        wrong("long", "another blob")
    print("long", len(blob))
    for i in range(calls):
        if client.echo(echo.Req(text="serial %d" % i)).text != "serial %d" % i:
            wrong("serial", i)
    print("serial", calls)


def main():
    role, mode, address = sys.argv[1:4]
    if role == "client":
        run_client(mode, address, int(sys.argv[4]) if len(sys.argv) > 4 else 200)
        return
    make_server(echo.Echo, Handler(), client_timeout=None,
                **options(mode, address, reply_headers)).serve()


main()
