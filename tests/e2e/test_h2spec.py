"""h2spec, which asks whether a server does what RFC 7540 and RFC 7541 demand, against a listener."""

import os
import re
import subprocess
import xml.etree.ElementTree as xml

from peers import CLIENT_SECONDS, GOGRPC, H2SPEC, Peers, needs

CASES = 145
NO_XML = re.compile(r"[^\t\n\r -\uffff]")  # the report quotes what came


@needs(GOGRPC, H2SPEC)
class H2spec(Peers):
    def run_suite(self, address):
        """{(section, case): what was wrong, None if nothing}"""
        host, port = address.rsplit(":", 1)
        report = self.path("h2spec.xml")
        done = subprocess.run([H2SPEC, "-h", host, "-p", port, "-o", "5", "-j", report],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=CLIENT_SECONDS, check=False)
        self.assertTrue(os.path.exists(report), done.stdout[-2000:])
        with open(report, encoding="utf-8", errors="replace") as file:
            whole = xml.fromstring(NO_XML.sub("?", file.read()))
        return {(case.get("package"), case.get("classname")): [
            (child.tag, "".join(child.itertext())) for child in case] or None
                for case in whole.iter("testcase")}

    def test_every_case(self):
        daemon = self.pinned(self.serve(GOGRPC, "http", "{}"), protocol="grpc")
        cases = self.run_suite(daemon.address())
        self.assertEqual(len(cases), CASES)
        self.assertEqual({case: what for case, what in cases.items() if what}, {})
        self.assert_metric(daemon, 0, "bridle_downstream_connections", listener="in")
