"""`metadata: proxy_v2`: an application hears who is behind a connection before the first call."""

import json
import os
import random
import socket
import subprocess
import threading
import time

import proxy_protocol
import sockets
import tts
import upstream
import wire
from bridled import BINARY, TestCase, eventually
from peers import GOECHO, GOGRPC, VOLO_CLIENT, VOLO_SERVER, Peers, needs
from proxy_protocol import LOCAL, PROXY, TCP4, TCP6, UNIX
from test_grpc import Grpc

OFTEN = {"interval": "200ms", "timeout": "5s", "rise": 1}


class Introduced(TestCase):
    def application(self, behaviour=upstream.echo, name=None, **kwargs):
        service = proxy_protocol.Application(behaviour, name and self.path(name), **kwargs)
        self.addCleanup(service.close)
        self.addCleanup(lambda: self.assertEqual(service.malformed, []))
        return service

    def serving(self, application, listener=None, config=None, **policy):
        return self.pinned(application, listener, {"workers": 1, **(config or {})},
                           **{"metadata": "proxy_v2", **policy})

    def assert_echoed(self, caller, text="hi"):
        self.assertEqual(caller.call(text=text).text, text)

    def await_open(self, application, count):
        """Connections that the daemon has not closed yet."""
        eventually(lambda: len(application.open) == count, what="%d open" % count)


class Facts(Introduced):
    def test_of_a_tcp_caller(self):
        application = self.application()
        daemon = self.serving(application)
        with self.caller(daemon) as caller:
            self.assert_echoed(caller)
            (seen,) = application.introductions
            self.assertEqual((seen.command, seen.family), (PROXY, TCP4))
            self.assertEqual(seen.source, caller.sock.getsockname())
            self.assertEqual(seen.destination, caller.sock.getpeername())
            self.assertEqual(set(seen.facts), {"service", "id", "listener"})
            self.assertEqual((seen.facts["service"], seen.facts["listener"]), ("svc", "in"))
            self.assertRegex(seen.facts["id"], "^[0-9a-f]{16}$")

    def test_of_a_caller_by_ipv6(self):
        if not socket.has_ipv6 or not os.path.exists("/proc/net/if_inet6"):
            self.skipTest("this machine has no IPv6")
        with open("/proc/net/if_inet6", encoding="ascii") as file:
            if "00000000000000000000000000000001" not in file.read():
                self.skipTest("this machine has no IPv6 loopback")
        application = self.application()
        daemon = self.serving(application, {"address": "[::1]:0"})
        port = int(daemon.address().rpartition(":")[2])
        with socket.create_connection(("::1", port), sockets.PATIENCE) as sock:
            sock.sendall(wire.Packet("framed", wire.CALL, "Echo", 1, wire.arguments("hi")).pack())
            self.assertEqual(wire.Stream(sock).read().text, "hi")
            (seen,) = application.introductions
            self.assertEqual(seen.family, TCP6)
            self.assertEqual(seen.source, sock.getsockname()[:2])
            self.assertEqual(seen.destination, ("::1", port))

    def test_of_a_unix_caller(self):
        application = self.application(name="app.sock")
        path = self.path("in.sock")
        daemon = self.serving(application, {"address": "unix:" + path, "caller": "node"})
        with self.caller(daemon) as caller:
            self.assert_echoed(caller)
        (seen,) = application.introductions
        self.assertEqual((seen.family, seen.source, seen.destination),
                         (UNIX, b"", path.encode()))
        del seen.facts["id"]
        self.assertEqual(seen.facts, {"service": "svc", "listener": "in", "caller": "test.node",
                                      "uid": os.getuid(), "pid": os.getpid()})

    def test_of_a_unix_caller_with_a_name(self):
        application = self.application()
        name = "\0bridle-test-%d" % os.getpid()
        daemon = self.serving(application, {"address": "unix:@%s-in" % name[1:],
                                            "allow": ["uid:%d" % os.getuid()],
                                            "caller": {"uid": {str(os.getuid()): "shop.cart"}}})
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.bind(name)
            sock.settimeout(sockets.PATIENCE)
            sock.connect(name + "-in")
            sock.sendall(wire.Packet("framed", wire.CALL, "Echo", 1, wire.arguments("hi")).pack())
            self.assertEqual(wire.Stream(sock).read().text, "hi")
        self.assertTrue(daemon.is_alive())
        (seen,) = application.introductions
        self.assertEqual((seen.source, seen.destination), (name.encode(), name.encode() + b"-in"))
        self.assertEqual(seen.facts["caller"], "shop.cart")

    def test_each_listener_is_told_by_its_name_and_each_service_by_its(self):
        applications = {name: self.application() for name in ("one", "two")}
        daemon = self.bridled({
            "workers": 1,
            "listeners": [{"name": "l-" + name, "address": "127.0.0.1:0", "service": name}
                          for name in applications],
            "services": {name: {"endpoints": [a.address], "metadata": "proxy_v2",
                                "name": "demo." + name} for name, a in applications.items()}})
        for name, application in applications.items():
            with self.caller(daemon, listener="l-" + name) as caller:
                self.assert_echoed(caller)
            facts = application.introductions[0].facts
            self.assertEqual((facts["listener"], facts["service"]), ("l-" + name, "demo." + name))

    def test_the_log_knows_a_connection_by_its_id(self):
        application = self.application()
        daemon = self.serving(application, config={"log": {"level": "debug"}})
        with self.caller(daemon) as caller:
            self.assert_echoed(caller)
        self.assert_logged(daemon, "id=" + application.introductions[0].facts["id"], 1)


class Sharing(Introduced):
    def test_a_caller_keeps_its_connection_and_shares_it_with_nobody(self):
        application = self.application()
        daemon = self.serving(application)
        callers = [self.caller(daemon) for _ in range(4)]
        for _ in range(5):
            for caller in callers:
                self.assert_echoed(caller)
        seen = [i.source for i in application.introductions]
        self.assertEqual(seen, [c.sock.getsockname() for c in callers])
        self.assertEqual(len({i.facts["id"] for i in application.introductions}), 4)

    def test_what_a_caller_leaves_is_closed(self):
        application = self.application()
        daemon = self.serving(application)
        with self.caller(daemon) as stays:
            for _ in range(5):
                with self.caller(daemon) as caller:
                    self.assert_echoed(caller)
                self.assert_echoed(stays)
            self.await_open(application, 1)
            self.assert_echoed(stays)
        self.await_open(application, 0)
        self.assertEqual(len(application.introductions), 6)

    def test_workers_and_a_crowd(self):
        """Each call arrives on a connection of the caller that made it."""
        def tell(connection, packet):
            host, port = connection.introduction.source
            connection.write(packet.answer(wire.result("%s:%d" % (host, port))))
        application = self.application(tell)
        daemon = self.serving(application, config={"workers": 2}, pool={"connections": 3})
        wrong = []

        def ask():
            for _ in range(5):
                with sockets.Caller(daemon.address()) as caller:
                    own = "%s:%d" % caller.sock.getsockname()
                    wrong.extend(a for _ in range(4) if (a := caller.call().text) != own)
        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])
        self.assertEqual({line["reason"] for line in daemon.access_log(160)}, {"ok"})
        self.await_open(application, 0)

    def test_calls_in_any_order_have_connections_that_say_the_same(self):
        def at_leisure(connection, packet):
            if packet.method != "Hold":
                connection.answer(packet)
        application = self.application(at_leisure)
        daemon = self.serving(application, protocol="ttheader_framed")
        with self.caller(daemon, "ttheader_framed", flags=wire.OUT_OF_ORDER) as caller:
            for _ in range(3):
                caller.send(method="Hold")
            self.assert_echoed(caller)
            self.assertEqual(len({i.raw for i in application.introductions}), 1)
            self.assertEqual(len(application.introductions), 4)

    def test_a_oneway_of_a_caller_that_is_gone_is_its_callers(self):
        application = self.application()
        daemon = self.serving(application)
        with self.caller(daemon) as caller:
            caller.send(kind=wire.ONEWAY)
            own = caller.sock.getsockname()
        eventually(lambda: application.packets, what="the oneway")
        self.assertEqual([i.source for i in application.introductions], [own])
        self.await_open(application, 0)

    def test_a_copy_is_introduced_too(self):
        application, other = self.application(), self.application()
        daemon = self.serving(application, config={"services": {
            "svc": {"endpoints": [application.address], "metadata": "proxy_v2",
                    "routes": [{"mirror": {"service": "other"}}]},
            "other": {"endpoints": [other.address], "metadata": "proxy_v2"}}})
        with self.caller(daemon) as caller:
            self.assert_echoed(caller)
            eventually(lambda: other.packets, what="the copy")
            self.assertEqual(other.introductions[0].facts["service"], "other")
            for fact in ("id", "listener"):
                self.assertEqual(other.introductions[0].facts[fact],
                                 application.introductions[0].facts[fact])

    def test_a_reload_turns_it_on_and_off(self):
        """The application is another at the same time, as it would be."""
        plain, asking = self.upstream(name="app.sock"), None
        config = {"workers": 1, "listeners": [{"name": "in", "address": "127.0.0.1:0",
                                               "service": "svc"}]}

        def service(**more):
            return {**config, "services": {"svc": {"endpoints": [plain.address], **more}}}
        daemon = self.bridled(service())
        with self.caller(daemon) as caller:
            self.assert_echoed(caller)
            plain.close()
            asking = self.application(name="app.sock")
            daemon.reload(service(metadata="proxy_v2"))
            eventually(lambda: caller.call(text="hi").exception is None, what="the new world")
            self.assertEqual({i.source for i in asking.introductions},
                             {caller.sock.getsockname()})
            asking.malformed.clear()  # what came before the worker had heard of it
            asking.close()
            plain = self.upstream(name="app.sock")
            daemon.reload(service())
            eventually(lambda: caller.call(text="hi").exception is None, what="the old world")
            self.assert_echoed(caller)


class Own(Introduced):
    """What the daemon asks for itself."""

    def test_health_checks_say_that_nobody_is_behind_them(self):
        for kind, more in (("tcp", {}), ("thrift", {"protocol": "framed"})):
            with self.subTest(kind=kind):
                application = self.application()
                daemon = self.serving(application, health={"type": kind, **OFTEN}, **more)
                eventually(lambda: [e["health"] for e in daemon.get_json("/services/svc")[
                    "endpoints"]] == ["up"], what="the check")
                eventually(lambda application=application: application.own() >= 2, what="checks")
                self.assertEqual(application.of_callers(), [])
                with self.caller(daemon) as caller:
                    self.assert_echoed(caller)
                self.assertEqual(len(application.of_callers()), 1)
                self.assertEqual(application.silent, 0)
                daemon.stop()

    def test_readiness_is_asked_so_too(self):
        application = self.application()
        self.serving(application, config={
            "registries": {"r": {"type": "consul", "endpoints": ["127.0.0.1:1"]}},
            "services": {"svc": {"endpoints": [application.address], "metadata": "proxy_v2",
                                 "register": {"in": "r"}}}})
        eventually(lambda: application.own() >= 2, what="probes")
        self.assertEqual((application.silent, application.of_callers()), (0, []))

    def test_what_carries_the_calls_of_many_is_nobodys(self):
        """`protocol: same` and callers of TTHeader Streaming: there is one connection for all."""
        application = self.upstream()
        doorman = proxy_protocol.Doorman(self, application.address)
        daemon = self.serving(doorman)
        for number in (1, 3):
            client = tts.Client(daemon.address())
            self.addCleanup(client.close)
            client.header(number)
            eventually(lambda: doorman.introductions, what="the application's side")
        self.assertEqual([i.command for i in doorman.introductions], [LOCAL])
        self.assertEqual(doorman.malformed, [])


class Bad(Introduced):
    def test_applications_that_end_it_within_the_header(self):
        """They are as bad as any that resets its connections, and harm nobody else."""
        dice = random.Random(8)

        def moody(sock):
            if dice.random() < 0.6:
                return True
            try:
                sock.settimeout(5)
                sock.recv(dice.randrange(1, 60))
                sockets.reset(sock)
            except OSError:
                pass
            return False
        for name in (None, "app.sock"):
            application = self.application(name=name, on_accept=moody)
            daemon = self.serving(application, eject="none", pool={"keep": 2})
            before = daemon.descriptors()
            answers = []
            for _ in range(60):
                with self.caller(daemon) as caller:
                    answers += [caller.call(text="hi") for _ in range(2)]
            well = sum(a.exception is None and a.text == "hi" for a in answers)
            self.assertGreater(well, 20)
            for answer in answers:
                if answer.exception:
                    self.assert_refused(answer, "reset")
            eventually(lambda d=daemon, b=before: d.descriptors() <= b, what="descriptors back")
            daemon.stop()

    def test_an_application_that_reads_late_loses_nothing(self):
        application = self.application(on_accept=lambda sock: time.sleep(0.05) or True)
        daemon = self.serving(application)
        callers = [self.caller(daemon) for _ in range(5)]
        questions = [c.send(text="hi") for c in callers]
        for caller, question in zip(callers, questions):
            answer = caller.receive()
            caller.must_answer(question, answer)
            self.assertEqual(answer.text, "hi")

    def test_a_header_in_crumbs_is_a_header(self):
        """The way to the application may take it apart."""
        application = self.application()
        between = Crumbs(self, application.address)
        daemon = self.serving(between)
        with self.caller(daemon) as caller:
            self.assert_echoed(caller)
            self.assertEqual(application.introductions[0].source, caller.sock.getsockname())

    def test_an_application_that_never_heard_of_it_does_not_get_the_call(self):
        """The signature is made to be refused by those who do not know it."""
        application = self.upstream()
        daemon = self.serving(application, retry="none", timeout={"call": "1s"})
        with self.caller(daemon) as caller:
            self.assertIsNotNone(caller.call(text="hi").exception)
        self.assertEqual(application.packets, [])


class Crumbs(proxy_protocol.middleman.Middleman):
    def pass_on(self, to, data, is_answer):
        for i in range(len(data)):
            to.sendall(data[i:i + 1])
            if i < 80:
                time.sleep(0.001)


class Config(Introduced):
    def refused(self, **service):
        config = self.path("bad.yaml")
        with open(config, "w", encoding="utf-8") as file:
            json.dump({"listeners": [{"address": "127.0.0.1:0", "service": "a"}],
                       "services": {"a": {"endpoints": ["127.0.0.1:1"], "metadata": "proxy_v2",
                                          **service}}}, file)
        done = subprocess.run([BINARY, "-t", "-c", config], stderr=subprocess.PIPE, text=True,
                              check=False)
        return done.returncode, done.stderr

    def test_shared_connections_are_refused(self):
        for service in ({"protocol": "grpc"}, {"protocol": "ttheader_streaming"},
                        {"multiplex": True}):
            code, said = self.refused(**service)
            self.assertEqual(code, 1, said)
            self.assertIn("carries the calls of many", said)


@needs(GOECHO, VOLO_SERVER, VOLO_CLIENT)
class Real(Peers):
    """Servers of Kitex behind one who reads the header for them."""

    def test_servers_get_their_calls_unharmed(self):
        for server, client in (((GOECHO, "server", "{}"), (GOECHO, "client", "framed")),
                               ((VOLO_SERVER, "thrift", "{}"), (VOLO_CLIENT, "ttheader"))):
            doorman = proxy_protocol.Doorman(self, self.serve(*server, network="tcp"))
            daemon = self.pinned(doorman, config={"workers": 1}, metadata="proxy_v2")
            self.assertTrue(self.run_client(*client, daemon.address("in")))
            self.assertEqual(doorman.malformed, [])
            self.assertEqual({i.command for i in doorman.introductions}, {PROXY})
            self.assertEqual({i.facts["service"] for i in doorman.introductions}, {"svc"})
            daemon.stop()


@needs(GOGRPC)
class RealGrpc(Grpc):
    def test_grpc_as_each_caller_speaks_goes_over_connections_of_nobody(self):
        doorman = proxy_protocol.Doorman(self, self.grpc_server(network="tcp").address)
        daemon = self.pinned(doorman, metadata="proxy_v2")
        self.assert_ok(self.call(daemon))
        self.assertEqual({i.command for i in doorman.introductions}, {LOCAL})
        self.assertEqual(doorman.malformed, [])
