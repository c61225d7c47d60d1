"""Real clients and real servers on either side."""

import os
import subprocess

import bridled
import peers
from peers import GOECHO, PY, PYTHON, VOLO_CLIENT, VOLO_SERVER, needs


class Peers(peers.Peers):
    def volo(self, daemon, mode, listener="in"):
        return self.run_client(VOLO_CLIENT, mode, daemon.address(listener))

    def goecho(self, daemon, mode, listener="in"):
        return self.run_client(GOECHO, "client", mode, daemon.address(listener))

    def thriftpy2(self, daemon, mode, listener="in"):
        return self.run_client(PYTHON, os.path.join(PY, "thriftpy2_peer.py"), "client", mode,
                               daemon.address(listener))

    def apache(self, daemon, mode, listener="in"):
        return self.run_client(PYTHON, os.path.join(PY, "apache_client.py"), mode,
                               daemon.address(listener))


@needs(VOLO_SERVER, VOLO_CLIENT)
class Volo(Peers):
    def check_metadata(self, said, is_carried):
        expected = ["p:TENANT=blue", "u:HOP=one"] if is_carried else []
        self.assertEqual(self.values(said, "meta"), expected)
        self.assertEqual(self.values(said, "backward"), ["ECHOED=yes"] if is_carried else [])
        if is_carried:
            self.assertEqual(self.values(said, "biz"), ["1204 business says no"])
        else:
            self.assertRegex(self.values(said, "biz")[0], "^exception .*business says no")

    def test_every_framing_to_a_service_that_speaks_them_all(self):
        daemon = self.pinned(self.serve(VOLO_SERVER, "thrift", "{}"))
        for mode in ("ttheader", "ttheader-bare", "framed", "buffered"):
            with self.subTest(mode=mode):
                self.check_metadata(self.volo(daemon, mode), mode.startswith("ttheader"))

    def test_every_framing_to_a_service_of_one(self):
        for protocol in ("ttheader_framed", "ttheader_bare", "framed", "buffered"):
            daemon = self.pinned(self.serve(VOLO_SERVER, "thrift", "{}"), protocol=protocol)
            for mode in ("ttheader", "ttheader-bare", "framed", "buffered"):
                with self.subTest(mode=mode, protocol=protocol):
                    said = self.volo(daemon, mode)
                    self.check_metadata(said, mode.startswith("ttheader") and
                                        protocol.startswith("ttheader"))
            daemon.stop()

    def test_a_mux_client_and_a_mux_server(self):
        daemon = self.pinned(self.serve(VOLO_SERVER, "thrift-mux", "{}"), protocol="ttheader",
                             multiplex=True)
        for mode in ("mux", "ttheader", "ttheader-bare", "framed", "buffered"):
            with self.subTest(mode=mode):
                said = self.volo(daemon, mode)
                self.assertEqual(self.values(said, "concurrent"), ["50"])
                carried = ["p:TENANT=blue", "u:HOP=one"]
                self.assertEqual(self.values(said, "meta"),
                                 carried if mode.startswith(("mux", "ttheader")) else [])

    def test_a_mux_client_and_an_ordinary_server(self):
        daemon = self.pinned(self.serve(VOLO_SERVER, "thrift", "{}"))
        self.assertEqual(self.values(self.volo(daemon, "mux"), "concurrent"), ["50"])

    @needs(GOECHO, PYTHON)
    def test_other_clients(self):
        daemon = self.pinned(self.serve(VOLO_SERVER, "thrift", "{}"))
        for mode in ("ttheader", "ttheader-framed", "framed", "buffered"):
            with self.subTest(client="goecho", mode=mode):
                self.assertEqual(self.values(self.goecho(daemon, mode), "serial"), ["500"])
            with self.subTest(client="thriftpy2", mode=mode):
                self.assertEqual(self.values(self.thriftpy2(daemon, mode), "serial"), ["200"])
        for mode in ("framed", "buffered"):
            with self.subTest(client="apache", mode=mode):
                self.assertEqual(self.values(self.apache(daemon, mode), "serial"), ["200"])


@needs(GOECHO)
class Gopkg(Peers):
    MODES = ("ttheader", "ttheader-framed", "framed", "buffered")

    def test_the_gopkg_codec_on_both_sides(self):
        for protocol in ("same", "ttheader_framed", "ttheader_bare", "framed", "buffered"):
            daemon = self.pinned(self.serve(GOECHO, "server", "{}"), protocol=protocol)
            for mode in self.MODES:
                with self.subTest(mode=mode, protocol=protocol):
                    said = self.goecho(daemon, mode)
                    self.assertEqual(self.values(said, "serial"), ["500"])
                    backward = self.values(said, "backward")
                    if mode.startswith("ttheader"):
                        self.assertIn("int.22=2", backward)
                        carried = protocol == "same" or protocol.startswith("ttheader")
                        self.assertEqual("ECHOED=yes" in backward, carried)
            daemon.stop()


@needs(PYTHON)
class Python(Peers):
    def test_thriftpy2_servers_of_each_framing(self):
        clients = ("ttheader", "ttheader-framed", "framed", "buffered")
        for mode, protocol in (("ttheader", "ttheader_bare"),
                               ("ttheader-framed", "ttheader_framed"),
                               ("framed", "framed"), ("buffered", "buffered")):
            address = self.serve(PYTHON, os.path.join(PY, "thriftpy2_peer.py"), "server", mode,
                                 "{}")
            daemon = self.pinned(address, protocol=protocol)
            for client in clients:
                with self.subTest(client=client, protocol=protocol):
                    said = self.thriftpy2(daemon, client)
                    self.assertEqual(self.values(said, "fired"), ["3"])
                    self.assertEqual(self.values(said, "serial"), ["200"])
            for client in ("framed", "buffered"):
                with self.subTest(client="apache " + client, protocol=protocol):
                    said = self.apache(daemon, client)
                    self.assertEqual(self.values(said, "serial"), ["200"])
            daemon.stop()


class Legacy(Peers):
    """The application and the caller of the quickstart."""

    LEGACY = os.path.join(bridled.BUILD, "examples", "legacy", "legacy-echo")
    CALL = os.path.join(bridled.BUILD, "examples", "legacy", "kitex-call")
    THRIFT = ("buffered", "framed", "ttheader", "ttheader_framed")
    KITEXPB = ("kitex_protobuf", "kitex_protobuf_ttheader")

    def call(self, daemon, protocol, *options):
        return subprocess.run([self.CALL, *options, protocol, daemon.address(), "some words"],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=20, check=False)

    def test_every_protocol_reaches_the_old_application(self):
        for options, protocol, modes in (((), "framed", self.THRIFT + self.KITEXPB),
                                         (("-b",), "buffered", self.THRIFT)):
            daemon = self.pinned(self.serve(self.LEGACY, *options, "{}"), protocol=protocol)
            for mode in modes:
                with self.subTest(mode=mode, protocol=protocol):
                    done = self.call(daemon, mode, "-m", "RPC_PERSIST_A=b")
                    self.assertEqual(done.returncode, 0, done.stdout)
                    self.assertIn('a reply: "some words"', done.stdout)
                    done = self.call(daemon, mode, "-M", "fail")
                    self.assertIn("an exception of type 6: this method always fails", done.stdout)
            daemon.stop()

    def test_it_refuses_what_it_was_not_made_for(self):
        daemon = self.pinned(self.serve(self.LEGACY, "{}"), protocol="same")
        done = self.call(daemon, "ttheader")
        self.assertEqual(done.returncode, 1)
        self.assertIn("bridled: reset: ", done.stdout)
