"""gRPC between real clients and servers: Volo, grpc-go, grpcio, over TCP and unix sockets.

Each client calls every method of echo.proto, with metadata, every status code, streams of three
kinds, long messages, a deadline, a hundred calls at once and a thousand in a row, and ends with 1
as soon as an answer is not what the service promises.
"""

from peers import (GOGRPC, GRPCIO, PYTHON, VOLO_GRPC_CLIENT, VOLO_GRPC_SERVER, Peers, needs)

SERVERS = {"volo": (VOLO_GRPC_SERVER, "{}"), "grpc-go": (GOGRPC, "server", "{}"),
           "grpcio": (PYTHON, GRPCIO, "server", "{}")}
EXPECTED = {"unary": ["hello"], "fail": ["16"], "up": ["50"], "down": ["50"], "both": ["50"],
            "long": [str(1 << 20), str(4 << 20)], "deadline": ["4"], "concurrent": ["100"]}


def client(name, address, calls, has_binary):
    """Volo's servers end the connection when binary metadata come."""
    if name == "volo":
        return (VOLO_GRPC_CLIENT, address, calls)
    if name == "grpc-go":
        return (GOGRPC, "client", *(() if has_binary else ("-plain",)), address, calls)
    return (PYTHON, GRPCIO, "client" if has_binary else "plain-client", address, calls)


@needs(VOLO_GRPC_CLIENT, VOLO_GRPC_SERVER, GOGRPC, PYTHON)
class Pairs(Peers):
    def daemon(self, server, network):
        return self.bridled({
            "listeners": [{"name": "tcp", "address": "127.0.0.1:0", "service": "pbecho"},
                          {"name": "unix", "address": "unix:" + self.path("in.sock"),
                           "service": "pbecho"}],
            "services": {"pbecho": {"endpoints": [self.serve(*SERVERS[server], network=network)],
                                    "protocol": "grpc"}}})

    def check(self, server, network):
        """Also the pairs that do not understand each other without the proxy: over unix sockets
        grpcio refuses the :scheme that Volo sends, and Volo the :authority of grpcio."""
        daemon = self.daemon(server, network)
        for name in ("volo", "grpc-go", "grpcio"):
            for listener, calls in (("tcp", "1000"), ("unix", "200")):
                with self.subTest(client=name, server=server, listener=listener, network=network):
                    said = self.run_client(*client(name, daemon.address(listener), calls,
                                                   server != "volo"))
                    expected = {**EXPECTED, "serial": [calls]}
                    if (name, server) == ("volo", "volo"):
                        expected["backward"] = ["TENANT=blue"]
                    got = {what: self.values(said, what) for what, _ in said}
                    self.assertEqual(got, expected)

    def test_volo_server_over_tcp(self):
        self.check("volo", "tcp")

    def test_volo_server_over_a_unix_socket(self):
        self.check("volo", "unix")

    def test_grpc_go_server_over_tcp(self):
        self.check("grpc-go", "tcp")

    def test_grpc_go_server_over_a_unix_socket(self):
        self.check("grpc-go", "unix")

    def test_grpcio_server_over_tcp(self):
        self.check("grpcio", "tcp")

    def test_grpcio_server_over_a_unix_socket(self):
        self.check("grpcio", "unix")
