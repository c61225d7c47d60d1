"""metadata: lookup: an application on a unix socket asks for the metadata of the call it has in hand."""

import http.client
import json
import threading
import time

import sockets
import upstream
import wire
from bridled import TestCase, UnixHTTP, eventually

HEADER = {"ints": {wire.FROM_SERVICE: "web.front", wire.TO_SERVICE: "shop.price",
                   wire.TO_METHOD: "Echo", wire.FROM_METHOD: "Page", wire.LOG_ID: "log-1",
                   wire.RPC_TIMEOUT: "60000", 14: "spot"},
          "strs": {"RPC_PERSIST_tenant": "blue", "RPC_TRANSIT_canary": "1", "Env": "prod",
                   "isn": "PriceService"}}


def name_of(connection):
    """Of the daemon's end, as the application sees it."""
    return connection.sock.getpeername()[1:].decode()


class LookupCase(TestCase):
    def lookup(self, behaviour=None, listener=None, config=None, **more):
        self.service = self.upstream(behaviour or self.tell, "app.sock")
        self.daemon = self.pinned(self.service, listener, config,
                                  **{"protocol": "framed", "metadata": "lookup", **more})
        return self.daemon

    @property
    def socket_path(self):
        return self.path("metadata.sock")

    def get(self, target, method="GET"):
        """(status, what the JSON says)"""
        connection = UnixHTTP(self.socket_path)
        try:
            connection.request(method, target)
            answer = connection.getresponse()
            body = answer.read()
            self.assertEqual(answer.getheader("Content-Type"), "application/json")
            return answer.status, json.loads(body) if body else None
        finally:
            connection.close()

    def ask(self, connection, query=""):
        return self.get("/meta/" + name_of(connection) + query)

    def tell(self, connection, packet):
        """Answers a call with what there is to know about it."""
        status, told = self.ask(connection)
        text = json.dumps({"status": status, "told": told, "seq": packet.seq})
        connection.write(packet.answer(wire.result(text)))

    def told(self, answer, status=200):
        said = json.loads(answer.text)
        self.assertEqual(said["status"], status, said)
        return said["told"]


class LookupTest(LookupCase):
    def test_a_framed_application_learns_what_a_ttheader_says(self):
        daemon = self.lookup()
        caller = self.caller(daemon, "ttheader_framed")
        before = time.time()
        told = self.told(caller.call(**HEADER))
        self.assertRegex(told["name"], r"^bridled-%d-\d+-[0-9a-f]{16}$" % daemon.process.pid)
        self.assertEqual(told["service"], "svc")
