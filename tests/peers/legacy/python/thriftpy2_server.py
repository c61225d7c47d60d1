"""An application on thriftpy2.

    thriftpy2_server.py IDL framed|buffered ADDRESS [NEXT]

ADDRESS and NEXT, which relay() asks, are unix:PATH.
"""

import sys

import thriftpy2
from thriftpy2.rpc import client_context, make_server
from thriftpy2.thrift import TApplicationException
from thriftpy2.transport import TBufferedTransportFactory, TFramedTransportFactory

from application import Application

PATIENCE_MS = 10000


def main():
    idl, mode, address = sys.argv[1:4]
    types = thriftpy2.load(idl, module_name="legacy_thrift")
    way = TFramedTransportFactory() if mode == "framed" else TBufferedTransportFactory()

    def next_client():
        return client_context(types.Legacy, unix_socket=sys.argv[4][5:], trans_factory=way,
                              timeout=PATIENCE_MS)

    application = Application(types, TApplicationException, next_client)
    make_server(types.Legacy, application, unix_socket=address[5:], trans_factory=way,
                client_timeout=None).serve()


main()
