"""A client on the transports and the protocol of Apache Thrift, without generated code.

    apache_client.py framed|buffered ADDRESS [CALLS]
"""

import sys

from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.Thrift import TApplicationException, TMessageType, TType
from thrift.transport.TSocket import TSocket
from thrift.transport.TTransport import TBufferedTransport, TFramedTransport

PATIENCE_MS = 10000


def wrong(what, got):
    print("WRONG", what, repr(got))
    sys.exit(1)


def send(protocol, method, seq, text):
    """The arguments {1: Req{1: text}}."""
    protocol.writeMessageBegin(method, TMessageType.CALL, seq)
    protocol.writeStructBegin("args")
    protocol.writeFieldBegin("req", TType.STRUCT, 1)
    protocol.writeStructBegin("Req")
    protocol.writeFieldBegin("text", TType.STRING, 1)
    protocol.writeString(text)
    protocol.writeFieldEnd()
    protocol.writeFieldStop()
    protocol.writeStructEnd()
    protocol.writeFieldEnd()
    protocol.writeFieldStop()
    protocol.writeStructEnd()
    protocol.writeMessageEnd()
    protocol.trans.flush()


def receive_text(protocol):
    """The first string of the result, however deep."""
    text = None
    protocol.readStructBegin()
    while True:
        _, kind, _ = protocol.readFieldBegin()
        if kind == TType.STOP:
            break
        if kind == TType.STRUCT:
            text = receive_text(protocol)
        elif kind == TType.STRING and text is None:
            text = protocol.readString()
        else:
            protocol.skip(kind)
        protocol.readFieldEnd()
    protocol.readStructEnd()
    return text


def call(protocol, method, seq, text):
    send(protocol, method, seq, text)
    name, kind, got = protocol.readMessageBegin()
    if kind == TMessageType.EXCEPTION:
        exception = TApplicationException()
        exception.read(protocol)
        protocol.readMessageEnd()
        return exception
    if (name, kind, got) != (method, TMessageType.REPLY, seq):
        wrong("head", (name, kind, got))
    answer = receive_text(protocol)
    protocol.readMessageEnd()
    return answer


def main():
    mode, address = sys.argv[1:3]
    calls = int(sys.argv[3]) if len(sys.argv) > 3 else 200
    if address.startswith("unix:"):
        socket = TSocket(unix_socket=address[5:])
    else:
        host, port = address.split(":")
        socket = TSocket(host, int(port))
    socket.setTimeout(PATIENCE_MS)
    transport = TFramedTransport(socket) if mode == "framed" else TBufferedTransport(socket)
    protocol = TBinaryProtocol(transport)
    transport.open()
    for i in range(calls):
        text = "serial %d" % i
        answer = call(protocol, "echo", i + 1, text)
        if answer != text:
            wrong("echo", answer)
    print("serial", calls)
    exception = call(protocol, "nowhere", -7, "x")
    if not isinstance(exception, TApplicationException):
        wrong("unknown method", exception)
    print("unknown", exception.type, exception.message)


main()
