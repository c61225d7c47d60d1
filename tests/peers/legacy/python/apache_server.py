"""An application on Apache Thrift for Python.

    apache_server.py GENERATED framed|buffered ADDRESS [NEXT]

GENERATED is the folder that thrift -gen py made; ADDRESS and NEXT, which relay() asks, are unix:PATH.
"""

import contextlib
import sys

from thrift.protocol.TBinaryProtocol import TBinaryProtocol, TBinaryProtocolFactory
from thrift.server.TServer import TThreadedServer
from thrift.Thrift import TApplicationException
from thrift.transport.TSocket import TServerSocket, TSocket
from thrift.transport.TTransport import (TBufferedTransport, TBufferedTransportFactory,
                                         TFramedTransport, TFramedTransportFactory)

from application import Application

sys.path.insert(0, sys.argv[1])
from legacy import Legacy, ttypes  # noqa: E402 pylint: disable=wrong-import-position,import-error


@contextlib.contextmanager
def next_client():
    socket = TSocket(unix_socket=sys.argv[4][5:])
    way = TFramedTransport(socket) if sys.argv[2] == "framed" else TBufferedTransport(socket)
    way.open()
    try:
        yield Legacy.Client(TBinaryProtocol(way))
    finally:
        way.close()


def main():
    mode, address = sys.argv[2:4]
    ways = TFramedTransportFactory() if mode == "framed" else TBufferedTransportFactory()
    processor = Legacy.Processor(Application(ttypes, TApplicationException, next_client))
    TThreadedServer(processor, TServerSocket(unix_socket=address[5:]), ways,
                    TBinaryProtocolFactory(), daemon=True).serve()


main()
