"""A gRPC peer on grpcio, without generated code.

    grpcio_peer.py server ADDRESS
    grpcio_peer.py client|plain-client ADDRESS [CALLS]

ADDRESS is unix:PATH or HOST:PORT. The server answers the service PbEcho of echo.proto; the client calls
it, prints one line for each thing it tried and ends with 1 as soon as an answer is wrong. The plain
client sends no binary metadata, for servers that have none.
"""

import sys
import time
from concurrent import futures

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

STRING, INT32, BYTES, OPTIONAL = 9, 5, 12, 1
PATIENCE = 60
FAIL_TEXT = "asked to fail: 100 % d\u00e9j\u00e0 vu"
BIN = b"\x00\xff\x10\n"
CODES = {code.value[0]: code for code in grpc.StatusCode}
THREADS = 128
SIZES = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
UNARY, UP, DOWN, BOTH = "unary_unary", "stream_unary", "unary_stream", "stream_stream"
KINDS = {"Unary": UNARY, "Fail": UNARY, "Up": UP, "Down": DOWN, "Both": BOTH}


def message_class():
    file = descriptor_pb2.FileDescriptorProto(name="echo.proto", package="pbecho", syntax="proto3")
    fields = file.message_type.add(name="Msg").field
    for number, (name, kind) in enumerate((("text", STRING), ("n", INT32), ("blob", BYTES)), 1):
        fields.add(name=name, number=number, type=kind, label=OPTIONAL)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("pbecho.Msg"))


Msg = message_class()


def blob(size):
    return (bytes(range(251)) * (size // 251 + 1))[:size]


def wrong(what, *got):
    print("WRONG", what, *map(repr, got))
    sys.exit(1)


def echo_metadata(context):
    came = dict(context.invocation_metadata())
    context.send_initial_metadata([("x-echoed" + suffix, came["x-peer" + suffix])
                                   for suffix in ("", "-bin") if "x-peer" + suffix in came])
    return came


class Server:
    def Unary(self, message, context):
        came = echo_metadata(context)
        time.sleep(int(came.get("x-delay-ms", 0)) / 1000)
        return message

    def Fail(self, message, context):
        context.abort(CODES[message.n], FAIL_TEXT)

    def Up(self, messages, context):
        echo_metadata(context)
        messages = list(messages)
        return Msg(text="".join(m.text for m in messages), n=len(messages))

    def Down(self, message, context):
        echo_metadata(context)
        for n in range(message.n):
            yield Msg(text=message.text, n=n)

    def Both(self, messages, context):
        echo_metadata(context)
        yield from messages


def run_server(address):
    peer = Server()
    handlers = {name: getattr(grpc, kind + "_rpc_method_handler")(
        getattr(peer, name), Msg.FromString, Msg.SerializeToString) for name, kind in KINDS.items()}
    server = grpc.server(futures.ThreadPoolExecutor(THREADS), options=SIZES)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("pbecho.PbEcho", handlers),))
    server.add_insecure_port(address)
    server.start()
    server.wait_for_termination()


class Client:
    def __init__(self, address, is_plain):
        self.metadata = [("x-peer", "abc")] + ([] if is_plain else [("x-peer-bin", BIN)])
        self.channel = grpc.insecure_channel(address, options=SIZES)

    def method(self, name):
        return getattr(self.channel, KINDS[name])("/pbecho.PbEcho/" + name, Msg.SerializeToString,
                                                  Msg.FromString)

    def must_echo_metadata(self, method, header):
        header = dict(header)
        for key, value in self.metadata:
            if header.get(key.replace("peer", "echoed")) != value:
                wrong(method, header)

    def echo(self, message):
        back = self.method("Unary")(message, timeout=PATIENCE)
        if back != message:
            wrong("unary", back.text, back.n, len(back.blob))

    def unary(self):
        answer, call = self.method("Unary").with_call(
            Msg(text="hello", n=7), metadata=self.metadata, timeout=PATIENCE)
        self.must_echo_metadata("unary", call.initial_metadata())
        print("unary", answer.text)

    def fail(self):
        for code in range(1, 17):
            try:
                wrong("fail", code, self.method("Fail")(Msg(n=code), timeout=PATIENCE))
            except grpc.RpcError as error:
                if error.code().value[0] != code or error.details() != FAIL_TEXT:
                    wrong("fail", code, error)
        print("fail 16")

    def streams(self):
        messages = [Msg(text="ab", n=n) for n in range(50)]
        answer, call = self.method("Up").with_call(
            iter(messages), metadata=self.metadata, timeout=PATIENCE)
        self.must_echo_metadata("up", call.initial_metadata())
        if answer != Msg(text="ab" * 50, n=50):
            wrong("up", answer)
        print("up 50")
        for name, argument in (("Down", Msg(text="ab", n=50)), ("Both", iter(messages))):
            call = self.method(name)(argument, metadata=self.metadata, timeout=PATIENCE)
            got = list(call)
            self.must_echo_metadata(name, call.initial_metadata())
            if got != messages:
                wrong(name, got)
            print(name.lower(), len(got))

    def deadline(self):
        try:
            self.method("Unary")(Msg(text="late"), metadata=[("x-delay-ms", "3000")], timeout=0.2)
            wrong("deadline", "an answer")
        except grpc.RpcError as error:
            print("deadline", error.code().value[0])

    def concurrent(self, count):
        with futures.ThreadPoolExecutor(count) as pool:
            list(pool.map(lambda n: self.echo(Msg(text="concurrent", n=n)), range(count)))
        print("concurrent", count)


def run_client(address, is_plain, calls):
    client = Client(address, is_plain)
    client.unary()
    client.fail()
    client.streams()
    for size in (1 << 20, 4 << 20):
        client.echo(Msg(blob=blob(size)))
        print("long", size)
    client.deadline()
    client.concurrent(100)
    for n in range(calls):
        client.echo(Msg(text="serial", n=n))
    print("serial", calls)


def main():
    role, address = sys.argv[1:3]
    if role == "server":
        run_server(address)
    else:
        run_client(address, role.startswith("plain"), int(sys.argv[3]) if len(sys.argv) > 3 else 1000)


main()
